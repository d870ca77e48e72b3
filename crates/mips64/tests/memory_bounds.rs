//! Files that promise much and hold little must cost little: the most memory that this process
//! ever had is measured at the end.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tribunal_conformance::assemble::{before, call};
use tribunal_conformance::elf_file::{ElfFile, Segment};
use tribunal_machine::{Host, Machine, ReadState, StateFileError, StopOn, Stream, load_state};
use tribunal_mips64::{Mips64, State, load_elf};
use tribunal_preimage::{Key, Oracle, OracleError};

/// As much as the command line allows: only what is really there may be paid for.
const LIMIT: u64 = 16 << 30;

/// What everything here together may take. Most of the lies below are worth gigabytes.
const MOST_BYTES: u64 = 100 << 20;

/// The most memory that this process ever had.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

// One test, so that there is one process whose memory is measured.
#[test]
fn promises_cost_nothing() {
    for (name, lie) in [
        ("state files that promise much", state_files_that_promise_much as fn()),
        ("a bomb in a compressed file", a_bomb_in_a_compressed_file),
        ("programs with much room", programs_with_much_room),
        ("mappings of terabytes", mappings_of_terabytes),
        ("output that never ends", output_that_never_ends),
        ("hints that never end", hints_that_never_end),
    ] {
        lie();
        let peak = peak_bytes();
        assert!(peak < MOST_BYTES, "{name}: {} MiB", peak >> 20);
    }
}

fn state_files_that_promise_much() {
    let read = |bytes: &[u8], limit| Mips64::read_state(&mut &bytes[..], limit).err();
    for promise in [1u64 << 20, 1 << 40, 1 << 63, u64::MAX] {
        // Pages.
        let mut bytes = vec![8];
        bytes.extend(promise.to_be_bytes());
        bytes.extend([0; 11]);
        let error = read(&bytes, u64::MAX);
        assert!(matches!(error, Some(StateFileError::Truncated { within: "a page" })), "{error:?}");

        // Threads, on either stack.
        let mut bytes = vec![8];
        bytes.extend([0; 8]);
        bytes.extend([0; 92]);
        let left = [&bytes, &promise.to_be_bytes()[..]].concat();
        let right = [&bytes, &[0; 8][..], &promise.to_be_bytes()].concat();
        for (bytes, what) in [(left, "the left thread stack"), (right, "the right thread stack")] {
            let error = read(&bytes, u64::MAX);
            let expected =
                matches!(error, Some(StateFileError::Truncated { within }) if within == what);
            assert!(expected, "{error:?}");
        }
    }
    // Bytes of a hint.
    let mut bytes = vec![8];
    bytes.extend([0; 8 + 92 + 16]);
    bytes.extend(u32::MAX.to_be_bytes());
    bytes.extend([0; 20]);
    let error = read(&bytes, u64::MAX);
    let truncated = StateFileError::Truncated { within: "the pending hint" };
    assert_eq!(error.map(|error| error.to_string()), Some(truncated.to_string()));
    let error = read(&bytes, 1 << 20);
    assert!(matches!(error, Some(StateFileError::TooLarge { .. })), "{error:?}");
}

/// 128 MiB of pages in less than two: refused as soon as the limit is reached.
fn a_bomb_in_a_compressed_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.bin.gz");
    let mut bomb = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::new(4));
    bomb.write_all(&[8]).unwrap();
    bomb.write_all(&(1u64 << 21).to_be_bytes()).unwrap();
    let mut page = [1; 8 + 4096];
    for index in 0..1u64 << 15 {
        page[..8].copy_from_slice(&index.to_be_bytes());
        bomb.write_all(&page).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let length = bomb.metadata().unwrap().len();
    assert!(length < 2 << 20, "{length}");
    let error = load_state::<Mips64>(&path, 16 << 20).err().map(|error| error.to_string());
    assert!(
        error.as_ref().is_some_and(|error| error.contains("more than 16777216 bytes")),
        "{error:?}"
    );
}

fn programs_with_much_room() {
    let program = |zeroes: u64| {
        let bss = Segment::load(0x10_0000, []).with_memory_size(zeroes);
        ElfFile::new(vec![Segment::load(0x1000, [0; 16]), bss]).to_bytes()
    };
    // Real programs have 32 MiB of it, and some a gigabyte.
    let loaded = load_elf(&program(32 << 20), LIMIT).unwrap();
    assert_eq!(loaded.state.memory.page_count(), (32 << 20) / 4096 + 1 + 5);
    let mut machine = Mips64::new(loaded.state);
    let mut file = Counted(0);
    machine.write_state(&mut file).unwrap();
    assert!(file.0 > 32 << 20);
    machine.state_hash();
    load_elf(&program(1 << 30), LIMIT).unwrap();
    for zeroes in [LIMIT + 1, 1 << 40, (1 << 44) - (1 << 20)] {
        assert!(load_elf(&program(zeroes), LIMIT).is_err(), "{zeroes:#x}");
    }
}

fn mappings_of_terabytes() {
    let mut words = call(5009, &[0, 1 << 40]);
    words.extend(call(5009, &[0, 1 << 45]));
    // Reading what was mapped makes no page either.
    words.extend(call(5001, &[1, 0x1000_0000_0000, 1000]));
    let state = run(before(0x1000, &words), words.len() as u64);
    assert_eq!(state.memory.page_count(), 1);
    assert_eq!(state.heap, 0x1000_0000_0000 + (1 << 40) + (1 << 45));
}

/// A hint of 4 GiB, in pieces of 8 MiB: what is no hint any more is dropped.
fn hints_that_never_end() {
    let mut words = Vec::new();
    for _ in 0..10 {
        words.extend(call(5001, &[4, 0x1_0000, 8 << 20]));
    }
    let mut state = before(0x1000, &words);
    state.memory.set_word(0x1_0000, u64::MAX);
    let state = run(state, words.len() as u64);
    assert!(state.last_hint.len() <= 64 << 20);
}

fn output_that_never_ends() {
    let words = call(5001, &[1, 0x1_0000, 1 << 63]);
    run(before(0x1000, &words), words.len() as u64);
}

fn run(state: State, steps: u64) -> State {
    let mut machine = Mips64::new(state);
    machine.run(steps, StopOn::Nothing, &mut DeafHost).unwrap();
    machine.into_state()
}

/// Listens to nothing: what a host keeps is the host's business.
struct DeafHost;

impl Oracle for DeafHost {
    fn hint(&mut self, _hint: &[u8]) -> Result<(), OracleError> {
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        Err(OracleError::Missing { key, why: String::new() })
    }
}

impl Host for DeafHost {
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}

    fn warn(&mut self, _message: &str) {}
}

/// Counts bytes and keeps none.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
