//! The server role over real pipes, against the client side and against programs that misbehave.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tribunal_host::serve::{ServeFailure, ServerPipes, serve};
use tribunal_host::store::MemoryStore;
use tribunal_host::{LocalHost, Patience, PreimageStore as _, Router};
use tribunal_preimage::channel::{Field, ReadWrite};
use tribunal_preimage::client::{Client, HintWriter, OracleReader};
use tribunal_preimage::{ChannelError, Checked, Key, Oracle as _, OracleError};

/// The program's ends.
struct Program {
    hints: ReadWrite<PipeReader, PipeWriter>,
    preimages: ReadWrite<PipeReader, PipeWriter>,
}

/// Serves one sha256 preimage, and whatever `put` hints bring.
fn start() -> (Program, JoinHandle<Result<(), ServeFailure>>) {
    let (hint_requests, to_hints) = io::pipe().unwrap();
    let (from_hints, hint_acks) = io::pipe().unwrap();
    let (requests, to_preimages) = io::pipe().unwrap();
    let (from_preimages, answers) = io::pipe().unwrap();
    let pipes = ServerPipes::new(
        (hint_requests.into(), hint_acks.into()),
        (requests.into(), answers.into()),
    )
    .unwrap();
    let server = thread::spawn(move || {
        let mut router = Router::new();
        router.on("put", |hint, errand| {
            let data = hint.data()?;
            Ok(errand.store().put(Key::keccak256_of(&data), data)?)
        });
        router.on("panic", |_, _| panic!("a bug in a handler"));
        router.on("never", |_, _| Err("not yet".into()));
        // Longer than any test may take.
        let hour = Duration::from_secs(3600);
        let patience = Patience { deadline: hour, first_wait: hour, ..Patience::default() };
        let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience));
        host.store().put(Key::sha256_of(b"sha"), b"sha".to_vec()).unwrap();
        serve(&host, pipes)
    });
    let program = Program {
        hints: ReadWrite { reader: from_hints, writer: to_hints },
        preimages: ReadWrite { reader: from_preimages, writer: to_preimages },
    };
    (program, server)
}

#[test]
fn a_program_is_served_to_its_end() {
    let (Program { hints, preimages }, server) = start();
    let mut client = Client::new(HintWriter::new(hints), OracleReader::new(preimages));
    assert_eq!(client.preimage(Key::sha256_of(b"sha")).unwrap(), b"sha");
    for i in 0..200u32 {
        // Up to more than a pipe holds.
        let data = vec![i as u8; (i * 500) as usize];
        let hint: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        client.hint(format!("put 0x{hint}").as_bytes()).unwrap();
        client.hint(b"unknown").unwrap();
        assert_eq!(client.preimage(Key::keccak256_of(&data)).unwrap(), data);
    }
    drop(client);
    server.join().unwrap().unwrap();
}

#[test]
fn either_channel_may_end_first() {
    let (Program { hints, preimages }, server) = start();
    drop(hints);
    let mut reader = OracleReader::new(preimages);
    assert_eq!(reader.read(Key::sha256_of(b"sha")).unwrap(), b"sha");
    drop(reader);
    server.join().unwrap().unwrap();

    let (Program { hints, preimages }, server) = start();
    drop(preimages);
    let mut writer = HintWriter::new(hints);
    writer.write(b"anything").unwrap();
    drop(writer);
    server.join().unwrap().unwrap();
}

/// A hint that is still on its way does not hold up a preimage.
#[test]
fn hints_and_preimages_are_served_at_the_same_time() {
    let (Program { mut hints, preimages }, server) = start();
    hints.writer.write_all(b"\0\0\0\x09half").unwrap();
    let mut reader = OracleReader::new(preimages);
    assert_eq!(reader.read(Key::sha256_of(b"sha")).unwrap(), b"sha");
    hints.writer.write_all(b" word").unwrap();
    let mut ack = [9];
    hints.reader.read_exact(&mut ack).unwrap();
    assert_eq!(ack, [0]);
    drop((hints, reader));
    server.join().unwrap().unwrap();
}

#[test]
fn two_hints_may_be_sent_before_the_first_is_acknowledged() {
    let (Program { mut hints, preimages }, server) = start();
    hints.writer.write_all(b"\0\0\0\x01a\0\0\0\x00\0\0\0\x01b").unwrap();
    let mut acks = [9; 3];
    hints.reader.read_exact(&mut acks).unwrap();
    assert_eq!(acks, [0; 3]);
    drop((hints, preimages));
    server.join().unwrap().unwrap();
}

/// The program sees the end of its channels; whoever serves is told what was missing.
#[test]
fn a_missing_preimage_ends_both_channels() {
    let (Program { hints, preimages }, server) = start();
    let mut client = Client::new(HintWriter::new(hints), OracleReader::new(preimages));
    client.hint(b"l2-code 0x00").unwrap();
    let key = Key::keccak256_of(b"nobody has this");
    let ended = |field, expected| ChannelError::Ended { field, done: 0, expected };
    let error = client.preimage(key).unwrap_err();
    assert_eq!(error, OracleError::Channel(ended(Field::PreimageLength, 8)));
    let failure = server.join().unwrap().unwrap_err();
    let ServeFailure::Oracle(OracleError::Missing { key: named, why }) = &failure else {
        panic!("{failure}");
    };
    assert_eq!(*named, key);
    assert!(why.contains("last hint: l2-code 0x00"), "{why}");
    assert_eq!(client.hint(b"x"), Err(OracleError::Channel(ended(Field::HintLength, 4))));
}

#[test]
fn a_key_of_no_kind_ends_it() {
    let (Program { hints, mut preimages }, server) = start();
    preimages.writer.write_all(&[0; 32]).unwrap();
    assert_eq!(preimages.reader.read(&mut [0]).unwrap(), 0);
    let failure = server.join().unwrap().unwrap_err();
    assert!(matches!(&failure, ServeFailure::Oracle(OracleError::InvalidKey { .. })), "{failure}");
    drop(hints);
}

#[test]
fn programs_that_end_in_the_middle_are_told() {
    for (hint, key, words) in [
        (
            &b"\0\0"[..],
            &b""[..],
            "hint channel failed: the other side closed its channel 2 bytes into",
        ),
        (b"\0\0\0\x05abc", b"", "3 bytes into a hint of 5 bytes"),
        (b"\xff\xff\xff\xffabc", b"", "a hint of 4294967295 bytes is announced"),
        (b"", &[2; 31], "preimage channel failed: the other side closed its channel 31 bytes into"),
    ] {
        let (Program { mut hints, mut preimages }, server) = start();
        hints.writer.write_all(hint).unwrap();
        preimages.writer.write_all(key).unwrap();
        drop((hints, preimages));
        let failure = server.join().unwrap().unwrap_err().to_string();
        assert!(failure.contains(words), "{failure}");
    }
}

/// The program that does not read its answer is gone when the server writes it.
#[test]
fn a_program_that_leaves_before_the_answer_is_told_and_no_signal() {
    let (Program { hints, mut preimages }, server) = start();
    drop((hints, preimages.reader));
    preimages.writer.write_all(Key::sha256_of(b"sha").as_bytes()).unwrap();
    let failure = server.join().unwrap().unwrap_err();
    let error = ChannelError::Ended { field: Field::PreimageLength, done: 0, expected: 8 };
    assert!(matches!(&failure, ServeFailure::Preimages(e) if *e == error), "{failure}");
}

#[test]
fn a_handler_that_panics_does_not_leave_the_program_waiting() {
    let (Program { hints, preimages }, server) = start();
    let mut client = Client::new(HintWriter::new(hints), OracleReader::new(preimages));
    client.hint(b"panic").unwrap();
    let error = client.preimage(Key::sha256_of(b"")).unwrap_err();
    assert!(matches!(error, OracleError::Channel(ChannelError::Ended { .. })), "{error}");
    assert!(server.join().is_err());
}

/// Around words, digests, the blocks of keccak256 and what a pipe holds.
#[test]
fn preimages_of_every_awkward_length_are_served() {
    let (Program { hints, preimages }, server) = start();
    let mut client = Checked(Client::new(HintWriter::new(hints), OracleReader::new(preimages)));
    let blocks = (1..4).flat_map(|k| [136 * k - 1, 136 * k, 136 * k + 1]);
    let pipes = [4095, 4096, 65_535, 65_536, 65_537, 1 << 20];
    for length in [0, 1, 7, 8, 9, 31, 32, 33].into_iter().chain(blocks).chain(pipes) {
        let data: Vec<u8> = (0..length).map(|i| i as u8 ^ 0xa5).collect();
        client.hint(format!("put 0x{}", hex::encode(&data)).as_bytes()).unwrap();
        assert_eq!(client.preimage(Key::keccak256_of(&data)).unwrap(), data, "{length}");
    }
    drop(client);
    server.join().unwrap().unwrap();
}

/// The host looks for a preimage that nobody waits for any more.
#[test]
fn a_program_that_leaves_while_a_preimage_is_sought_ends_the_search() {
    let (Program { mut hints, mut preimages }, server) = start();
    hints.writer.write_all(&5u32.to_be_bytes()).unwrap();
    hints.writer.write_all(b"never").unwrap();
    hints.reader.read_exact(&mut [0]).unwrap();
    preimages.writer.write_all(Key::sha256_of(b"never").as_bytes()).unwrap();
    drop((hints, preimages));
    let failure = server.join().unwrap().unwrap_err();
    let error = ChannelError::Ended { field: Field::PreimageLength, done: 0, expected: 8 };
    assert!(matches!(&failure, ServeFailure::Preimages(e) if *e == error), "{failure}");
}

/// Whatever a program sends, serving ends when its channels do.
#[test]
fn random_programs_are_survived() {
    let mut state = 1u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    for _ in 0..200 {
        let (Program { mut hints, mut preimages }, server) = start();
        let mut bytes = |len: u32| -> Vec<u8> {
            (0..random() % len)
                .map(|_| if random() % 2 == 0 { 0 } else { random() as u8 })
                .collect()
        };
        // The server may be gone already: that is no error of the test.
        let _ = hints.writer.write_all(&bytes(300));
        let _ = preimages.writer.write_all(&bytes(300));
        drop((hints, preimages));
        let _ = server.join().unwrap();
    }
}
