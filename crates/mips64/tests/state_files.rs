//! State files: what they hold, what they must not, and what becomes of them on the way to disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tribunal_conformance::assemble::{NOP, before};
use tribunal_machine::{FileError, Machine, ReadState, StateFileError, load_state, save_state};
use tribunal_mips64::{KNOWN_VERSIONS, LlReservation, Mips64, State, Thread, ThreadStack};

const LIMIT: u64 = 1 << 20;

/// Bytes of a page in a file.
const PAGE_RECORD: usize = 8 + 4096;
/// Where the fields behind the two pages of [`state`] begin.
const FIELDS: usize = 9 + 2 * PAGE_RECORD;
/// Where, behind the pages, some of them are.
const RESERVATION_STATUS: usize = FIELDS + 48;
const EXITED: usize = FIELDS + 66;
const TRAVERSE_RIGHT: usize = FIELDS + 83;
const LEFT_LENGTH: usize = FIELDS + 92;

/// A state in which no field is what another one is.
fn state() -> State {
    let thread = |id: u64| Thread {
        id,
        exit_code: 9,
        exited: (id % 2) as u8,
        pc: 0x1000 + id * 4,
        next_pc: 0x1004 + id * 4,
        lo: id << 40,
        hi: id << 41,
        registers: std::array::from_fn(|register| id * 100 + register as u64),
    };
    let mut state = before(0x1ffc, &[0x1234_5678, NOP]);
    state.preimage_key = std::array::from_fn(|i| i as u8 + 1);
    state.preimage_offset = 0x0101;
    state.heap = 0x0202;
    state.reservation = LlReservation { status: 2, address: 0x0303, owner: 0x0404 };
    state.exit_code = 5;
    state.exited = 1;
    state.step = 0x0606;
    state.steps_since_switch = 0x0707;
    state.traverse_right = 1;
    state.next_thread_id = 0x0808;
    state.left = ThreadStack::new(vec![thread(1), thread(2)]);
    state.right = ThreadStack::new(vec![thread(3)]);
    state.last_hint = vec![0, 0, 0, 9, b'h', b'i'];
    state
}

fn bytes_of(machine: &Mips64) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.write_state(&mut bytes).unwrap();
    bytes
}

fn bytes() -> Vec<u8> {
    bytes_of(&Mips64::new(state()))
}

fn read(bytes: &[u8]) -> Result<Mips64, StateFileError> {
    Mips64::read_state(&mut &bytes[..], LIMIT)
}

#[track_caller]
fn refusal(bytes: &[u8]) -> StateFileError {
    match read(bytes) {
        Ok(_) => panic!("read as if it were right"),
        Err(error) => error,
    }
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder for files, gone with the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn load(path: &Path) -> Result<Mips64, FileError> {
    load_state(path, LIMIT)
}

#[track_caller]
fn load_refusal(path: &Path) -> String {
    match load(path) {
        Ok(_) => panic!("{} loads", path.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_field_stands_where_cannon_has_it() {
    let mut expected = vec![8];
    expected.extend(2u64.to_be_bytes());
    for (index, place, word) in [(1u64, 0xffc, 0x1234_5678u32), (2, 0, 0)] {
        let mut page = [0; 4096];
        page[place..place + 4].copy_from_slice(&word.to_be_bytes());
        expected.extend(index.to_be_bytes());
        expected.extend(page);
    }
    expected.extend(1..=32);
    expected.extend([0x0101u64, 0x0202].map(u64::to_be_bytes).concat());
    expected.push(2);
    expected.extend([0x0303u64, 0x0404].map(u64::to_be_bytes).concat());
    expected.extend([5, 1]);
    expected.extend([0x0606u64, 0x0707].map(u64::to_be_bytes).concat());
    expected.push(1);
    expected.extend(0x0808u64.to_be_bytes());
    let state = state();
    for stack in [&state.left, &state.right] {
        expected.extend((stack.len() as u64).to_be_bytes());
        for thread in stack.as_slice() {
            expected.extend(thread.id.to_be_bytes());
            expected.extend([thread.exit_code, thread.exited]);
            for word in [thread.pc, thread.next_pc, thread.lo, thread.hi] {
                expected.extend(word.to_be_bytes());
            }
            expected.extend(thread.registers.map(u64::to_be_bytes).concat());
        }
    }
    expected.extend([0, 0, 0, 6, 0, 0, 0, 9, b'h', b'i']);
    assert_eq!(bytes(), expected);
    let mut machine = read(&expected).unwrap();
    assert_eq!(bytes_of(&machine), expected);
    assert_eq!(machine.state_hash(), Mips64::new(state).state_hash());
}

#[test]
fn a_file_that_ends_anywhere_within_is_truncated_and_says_in_what() {
    let bytes = bytes();
    for length in 0..bytes.len() {
        let error = refusal(&bytes[..length]);
        assert!(matches!(error, StateFileError::Truncated { .. }), "{length}: {error}");
    }
    for (length, within) in [
        (0, "the version"),
        (1, "the number of pages"),
        (8, "the number of pages"),
        (9, "the index of a page"),
        (17, "a page"),
        (9 + PAGE_RECORD - 1, "a page"),
        (9 + PAGE_RECORD, "the index of a page"),
        (FIELDS, "the preimage key"),
        (FIELDS + 32, "the preimage offset"),
        (FIELDS + 40, "the heap pointer"),
        (RESERVATION_STATUS, "the reservation status"),
        (FIELDS + 49, "the reserved address"),
        (FIELDS + 57, "the owner of the reservation"),
        (FIELDS + 65, "the exit code"),
        (FIELDS + 67, "the step counter"),
        (FIELDS + 75, "the steps since the last switch"),
        (TRAVERSE_RIGHT, "the traversal direction"),
        (FIELDS + 84, "the next thread id"),
        (LEFT_LENGTH, "the left thread stack"),
        (LEFT_LENGTH + 8, "the left thread stack"),
        (LEFT_LENGTH + 8 + 298, "the left thread stack"),
        (LEFT_LENGTH + 8 + 2 * 298, "the right thread stack"),
        (bytes.len() - 10, "the length of the pending hint"),
        (bytes.len() - 6, "the pending hint"),
        (bytes.len() - 1, "the pending hint"),
    ] {
        let error = refusal(&bytes[..length]).to_string();
        assert_eq!(error, format!("it ends within {within}: the file is truncated"), "{length}");
    }
}

#[test]
fn a_truncated_compressed_file_is_refused_wherever_it_ends() {
    let folder = Folder::new();
    let zipped = zip(&bytes());
    load(&folder.file("whole.bin.gz", &zipped)).unwrap();
    for length in 0..zipped.len() {
        let error = load_refusal(&folder.file("cut.bin.gz", &zipped[..length]));
        assert!(error.contains("truncated"), "{length}: {error}");
    }
}

#[test]
fn another_version_is_refused_by_its_name() {
    let names = [
        "singlethreaded",
        "multithreaded",
        "singlethreaded-2",
        "multithreaded64",
        "multithreaded64-2",
        "multithreaded-2",
        "multithreaded64-3",
        "multithreaded64-4",
    ];
    assert_eq!(KNOWN_VERSIONS[..8], names);
    let mut bytes = bytes();
    for (version, name) in names.into_iter().enumerate() {
        bytes[0] = version as u8;
        assert_eq!(
            refusal(&bytes).to_string(),
            format!(
                "state version {version} ({name}) is not supported; \
                 this machine is multithreaded64-5"
            )
        );
    }
    for version in [9, 10, 0x1f, 0x7b, 255] {
        bytes[0] = version;
        let error = refusal(&bytes).to_string();
        assert!(error.contains(&format!("version {version} (no version that")), "{error}");
    }
}

#[test]
fn a_byte_that_no_run_produces_is_refused() {
    let thread_exited = LEFT_LENGTH + 8 + 9;
    for (place, most, what) in [
        (RESERVATION_STATUS, 2, "the reservation status"),
        (EXITED, 1, "the exited byte"),
        (TRAVERSE_RIGHT, 1, "the traversal direction"),
        (thread_exited, 1, "the exited byte of a thread"),
    ] {
        let mut bytes = bytes();
        for value in 0..=255 {
            bytes[place] = value;
            let read = read(&bytes);
            if value <= most {
                assert_eq!(bytes_of(&read.unwrap()), bytes);
            } else {
                let error = read.err().map(|error| error.to_string());
                assert_eq!(error, Some(format!("{what} cannot be {value:#x}")));
            }
        }
    }
}

#[test]
fn pages_may_come_in_any_order_and_are_written_in_theirs() {
    let in_order = bytes();
    let mut swapped = in_order.clone();
    let (first, second) = swapped[9..FIELDS].split_at_mut(PAGE_RECORD);
    first.swap_with_slice(second);
    assert_ne!(swapped, in_order);
    assert_eq!(bytes_of(&read(&swapped).unwrap()), in_order);
}

#[test]
fn a_page_that_is_there_twice_is_refused() {
    let mut bytes = bytes();
    bytes.copy_within(9..17, 9 + PAGE_RECORD);
    assert_eq!(refusal(&bytes).to_string(), "page 0x1 is there twice");
    // Also when both are the same to the last byte.
    bytes.copy_within(9..9 + PAGE_RECORD, 9 + PAGE_RECORD);
    assert_eq!(refusal(&bytes).to_string(), "page 0x1 is there twice");
}

#[test]
fn a_page_lies_within_the_address_space() {
    let mut bytes = bytes();
    let mut with_index = |index: u64| {
        bytes[9 + PAGE_RECORD..][..8].copy_from_slice(&index.to_be_bytes());
        read(&bytes)
    };
    let last = with_index((1 << 52) - 1).unwrap();
    assert!(last.state().memory.has_page((1 << 52) - 1));
    for index in [1 << 52, 1 << 63, u64::MAX] {
        let error = with_index(index).err().map(|error| error.to_string());
        assert_eq!(error, Some(format!("the index of a page cannot be {index:#x}")));
    }
}

#[test]
fn pages_of_zeroes_exist_as_others_do() {
    let mut state = state();
    state.memory.touch(77);
    let machine = read(&bytes_of(&Mips64::new(state))).unwrap();
    assert!(machine.state().memory.has_page(77));
    assert_eq!(machine.page_count(), 3);
}

#[test]
fn the_limit_is_on_what_the_state_takes() {
    let bytes = bytes();
    let size = read(&bytes).unwrap().state_bytes();
    assert_eq!(size, 2 * 4096 + 3 * 298 + 6);
    assert!(Mips64::read_state(&mut bytes.as_slice(), size).is_ok());
    for limit in [0, 4096, 2 * 4096, size - 7, size - 1] {
        let error = Mips64::read_state(&mut bytes.as_slice(), limit).err();
        let error = error.map(|error| error.to_string());
        let expected =
            format!("it holds more than {limit} bytes, the limit on the size of a state");
        assert_eq!(error, Some(expected));
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let folder = Folder::new();
    let mut longer = bytes();
    longer.push(0);
    for (name, contents) in [
        ("plain.bin", longer.clone()),
        ("within.bin.gz", zip(&longer)),
        ("another-member.bin.gz", [zip(&bytes()), zip(&[0])].concat()),
        ("twice.bin.gz", [zip(&bytes()), zip(&bytes())].concat()),
    ] {
        let error = load_refusal(&folder.file(name, &contents));
        assert!(error.contains("bytes follow the end of the state"), "{name}: {error}");
    }
    // What follows the compressed data is no compressed data.
    load_refusal(&folder.file("behind.bin.gz", &[zip(&bytes()), vec![1, 2, 3]].concat()));
}

#[test]
fn a_compressed_file_may_have_several_members() {
    let folder = Folder::new();
    let bytes = bytes();
    let (start, end) = bytes.split_at(5000);
    let members = [zip(start), zip(&[]), zip(end), zip(&[])].concat();
    assert_eq!(bytes_of(&load(&folder.file("members.bin.gz", &members)).unwrap()), bytes);
    // Many more of them than a recursion would survive.
    let members = [zip(&bytes), zip(&[]).repeat(200_000)].concat();
    assert_eq!(bytes_of(&load(&folder.file("many.bin.gz", &members)).unwrap()), bytes);
}

#[test]
fn a_flipped_bit_in_a_compressed_file_never_makes_another_state() {
    let folder = Folder::new();
    let zipped = zip(&bytes());
    let mut unnoticed = 0;
    for bit in 0..zipped.len() * 8 {
        let mut damaged = zipped.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match load(&folder.file("damaged.bin.gz", &damaged)) {
            // The name of the operating system, the time, the length of a code that no byte has: bits
            // that say nothing of the state.
            Ok(machine) => {
                assert_eq!(bytes_of(&machine), bytes(), "bit {bit}");
                unnoticed += 1;
            }
            Err(FileError::State { .. }) => {}
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    assert!(unnoticed < zipped.len() * 8 / 10, "{unnoticed} of {} bits", zipped.len() * 8);
    // The checksum and the length at its end, by name.
    for place in 1..=8 {
        let mut damaged = zipped.clone();
        let length = damaged.len();
        damaged[length - place] ^= 0x10;
        load_refusal(&folder.file("checksum.bin.gz", &damaged));
    }
}

#[test]
fn compression_is_told_by_the_name_alone() {
    let folder = Folder::new();
    let error = load_refusal(&folder.file("zipped.bin", &zip(&bytes())));
    assert!(error.contains("state version 31"), "{error}");
    load_refusal(&folder.file("plain.bin.gz", &bytes()));
}

#[test]
fn a_state_has_a_name_of_its_own() {
    let folder = Folder::new();
    let machine = Mips64::new(state());
    for name in ["state.json", "state.json.gz", "state", "state.gz", "bin", "state.bin.xz", "a.BIN"]
    {
        let path = folder.path(name);
        for error in [
            save_state(&machine, &path).unwrap_err(),
            load(&folder.file(name, &bytes())).err().unwrap(),
        ] {
            assert!(matches!(&error, FileError::NotBinary { .. }), "{error}");
            assert!(error.to_string().contains("named .bin or .bin.gz"), "{error}");
        }
        fs::remove_file(path).unwrap();
    }
    assert!(folder.names().is_empty(), "nothing was written");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let missing = folder.path("missing.bin");
    let error = load_refusal(&missing);
    assert!(error.starts_with(&format!("cannot read {}: ", missing.display())), "{error}");
    fs::create_dir(folder.path("folder.bin")).unwrap();
    load_refusal(&folder.path("folder.bin"));
}

#[test]
fn what_was_saved_is_loaded_and_nothing_else_is_left() {
    let folder = Folder::new();
    let machine = Mips64::new(state());
    for name in ["a.bin", "a.bin.gz"] {
        let path = folder.path(name);
        // Twice: over nothing, then over the file that is there.
        for _ in 0..2 {
            save_state(&machine, &path).unwrap();
            assert_eq!(bytes_of(&load(&path).unwrap()), bytes());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o700, 0o700);
        }
    }
    assert_eq!(folder.names(), ["a.bin", "a.bin.gz"]);
    assert_eq!(fs::read(folder.path("a.bin")).unwrap(), bytes());
    let zipped = fs::read(folder.path("a.bin.gz")).unwrap();
    assert_eq!(zipped[..2], [0x1f, 0x8b]);
    save_state(&machine, &folder.path("b.bin.gz")).unwrap();
    assert_eq!(fs::read(folder.path("b.bin.gz")).unwrap(), zipped, "no name, no time within");
}

#[test]
fn a_state_that_cannot_be_saved_leaves_nothing_behind() {
    let folder = Folder::new();
    let machine = Mips64::new(state());
    let nowhere = folder.path("nowhere/a.bin");
    let error = save_state(&machine, &nowhere).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot write {}: ", nowhere.display())), "{error}");

    fs::create_dir(folder.path("folder.bin")).unwrap();
    save_state(&machine, &folder.path("folder.bin")).unwrap_err();

    // A disk that is full, for both kinds.
    for name in ["full.bin", "full.bin.gz"] {
        symlink("/dev/full", folder.path(name)).unwrap();
        let error = save_state(&machine, &folder.path(name)).unwrap_err();
        assert!(matches!(error, FileError::Write { .. }), "{error}");
    }
    assert_eq!(folder.names(), ["folder.bin", "full.bin", "full.bin.gz"]);
}
