//! The program as a process of the operating system, which talks to its host over the file
//! descriptors 3 to 6.
#![cfg(unix)]

#[allow(dead_code, reason = "shared with the other tests")]
mod store;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, pipe};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use alloy_primitives::B256;
use command_fds::{CommandFdExt as _, FdMapping};
use store::Store;
use transactions::CLAIM;
use tribunal_guest::{Key, Oracle as _};
use tribunal_preimage::channel::ReadWrite;
use tribunal_preimage::server::{HintReader, OracleServer, Turn};
use tribunal_preimage::{Channel, ChannelError};

#[test]
fn a_true_claim_is_status_0_and_a_line_on_stdout() {
    let end = run_with_host(recorded(), usize::MAX);
    assert_eq!((end.status, &end.stderr[..]), (Some(0), ""));
    assert!(end.stdout.starts_with("block 26207961 0x163f974e"), "{}", end.stdout);
    assert_eq!(end.stdout.lines().count(), 1);
}

#[test]
fn one_byte_at_a_time_is_enough() {
    let end = run_with_host(recorded(), 1);
    assert_eq!((end.status, &end.stderr[..]), (Some(0), ""));
}

#[test]
fn a_false_claim_is_status_1() {
    let mut store = recorded();
    store.set_claim(B256::ZERO);
    let end = run_with_host(store, usize::MAX);
    assert_eq!((end.status, &end.stderr[..]), (Some(1), ""));
}

/// The server has no way to say that it does not know a preimage but to close.
#[test]
fn a_host_that_goes_away_is_status_3() {
    let mut store = recorded();
    store.preimages.remove(&CLAIM);
    let end = run_with_host(store, usize::MAX);
    assert_eq!(end.status, Some(3));
    let lines: Vec<_> = end.stderr.lines().collect();
    assert_eq!(lines[0], "error: no claim (local input 3)");
    assert!(lines[1].starts_with("  because: ") && lines[1].contains("closed its channel"));
    // What the cause of the cause would say has been said.
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn a_host_that_lies_is_status_3() {
    let mut store = recorded();
    let header = Key::keccak256(store.block_hash().0);
    store.preimages.get_mut(&header).unwrap()[40] ^= 1;
    let end = run_with_host(store, usize::MAX);
    assert_eq!(end.status, Some(3));
    assert!(end.stderr.contains("the host lied"), "{}", end.stderr);
}

#[test]
fn a_host_that_answers_nothing_is_status_3() {
    let null = || File::options().read(true).write(true).open("/dev/null").unwrap().into();
    let mut command = program();
    command
        .fd_mappings((3..7).map(|child_fd| FdMapping { parent_fd: null(), child_fd }).collect())
        .unwrap();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: no block hash (local input 1)\n"), "{stderr}");
}

struct End {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_transactions"))
}

fn recorded() -> Store {
    let path = "../../testdata/transactions/op-sepolia-26207961.json.gz";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    Store::from_json_gz(&std::fs::read(path).unwrap()).unwrap()
}

/// Runs the program over a host that moves at most `piece` bytes at once.
fn run_with_host(store: Store, piece: usize) -> End {
    let (ack_reader, ack_writer) = pipe().unwrap();
    let (hint_reader, hint_writer) = pipe().unwrap();
    let (data_reader, data_writer) = pipe().unwrap();
    let (key_reader, key_writer) = pipe().unwrap();
    let descriptors = [
        (ack_reader.into(), 3),
        (hint_writer.into(), 4),
        (data_reader.into(), 5),
        (key_writer.into(), 6),
    ];
    let mappings = descriptors.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
    let mut command = program();
    command.fd_mappings(mappings.into()).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The child has the only copies now, so that each side notices when the other one goes away.
    drop(command);

    let mut hint_store = store.clone();
    let hints = thread::spawn(move || {
        let mut hints = HintReader::new(Pieces::new(hint_reader, ack_writer, piece));
        while hints.next(|hint| hint_store.hint(hint)).unwrap() == Turn::Served {}
        hint_store.hints
    });
    let mut preimage_store = store;
    let preimages = thread::spawn(move || {
        let mut preimages = OracleServer::new(Pieces::new(key_reader, data_writer, piece));
        while let Ok(Turn::Served) = preimages.next(|key| preimage_store.preimage(key)) {}
    });
    let mut end = End { status: None, stdout: String::new(), stderr: String::new() };
    child.stdout.take().unwrap().read_to_string(&mut end.stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut end.stderr).unwrap();
    end.status = child.wait().unwrap().code();
    preimages.join().unwrap();
    let hints = hints.join().unwrap();
    let decided = matches!(end.status, Some(0 | 1));
    assert!(hints.len() == 2 || !decided, "{hints:?}");
    end
}

/// A channel of two pipes that moves a few bytes at a time.
struct Pieces {
    pipes: ReadWrite<PipeReader, PipeWriter>,
    piece: usize,
}

impl Pieces {
    fn new(reader: PipeReader, writer: PipeWriter, piece: usize) -> Self {
        Self { pipes: ReadWrite { reader, writer }, piece }
    }
}

impl Channel for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
        let length = buf.len().min(self.piece);
        self.pipes.read(&mut buf[..length])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        self.pipes.write(&bytes[..bytes.len().min(self.piece)])
    }
}
