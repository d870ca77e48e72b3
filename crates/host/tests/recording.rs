//! Recordings: what is written is what is read, and nothing else is.

use std::io::{BufReader, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use tribunal_host::recording::{Asked, Beginning, End, Misplaced};
use tribunal_host::store::{Backend as _, MemoryStore};
use tribunal_host::{
    LocalHost, PreimageStore as _, Recorder, Recording, RecordingError, RecordingStore,
    RecordingWriter, StoreError, store,
};
use tribunal_preimage::{Key, Oracle, OracleError};

const LIMIT: u64 = 1 << 20;

fn beginning() -> Beginning {
    Beginning { machine: "mips64".into(), prestate: [3; 32], step: 7 }
}

fn end() -> End {
    End { exit_code: Some(1), state_hash: [1; 32], step: 1_000 }
}

fn preimages() -> Vec<(Key, Vec<u8>)> {
    vec![
        (Key::local(1), b"head".to_vec()),
        (Key::keccak256_of(b""), vec![]),
        (Key::sha256_of(b"sha"), b"sha".to_vec()),
        (Key::precompile(&[3; 20], 21_000, b"in"), b"\x01out".to_vec()),
    ]
}

/// A recording of a run with two hints, in which everything is asked for twice.
fn record(program: Option<&[u8]>) -> Vec<u8> {
    let host = LocalHost::new(MemoryStore::new());
    host.store().put_all(preimages()).unwrap();
    let mut writer = RecordingWriter::begin(Vec::new(), &beginning()).unwrap();
    if let Some(program) = program {
        writer.program(program).unwrap();
    }
    let mut recorder = Recorder::new(host, writer);
    recorder.hint(b"l1-block-header 0x01").unwrap();
    for _ in 0..2 {
        for (key, data) in preimages() {
            assert_eq!(recorder.preimage(key).unwrap(), data);
        }
    }
    recorder.hint(b"").unwrap();
    let missing = recorder.preimage(Key::local(2)).unwrap_err();
    assert!(matches!(missing, OracleError::Missing { .. }), "{missing}");
    assert_eq!(recorder.counts(), (2, 4));
    recorder.end(&end()).unwrap().1
}

fn read(bytes: &[u8]) -> Result<Recording, RecordingError> {
    // In small pieces, as a pipe gives them.
    Recording::read(&mut BufReader::with_capacity(17, bytes), LIMIT)
}

#[test]
fn what_is_recorded_is_read() {
    for program in [None, Some(&b"state"[..]), Some(b"")] {
        let recording = read(&record(program)).unwrap();
        assert_eq!(recording.beginning, beginning());
        assert_eq!(recording.end, end());
        assert_eq!(recording.program.as_deref(), program);
        let mut events = vec![Asked::Hint(b"l1-block-header 0x01".to_vec())];
        events.extend(preimages().into_iter().map(|(key, data)| Asked::Preimage(key, data)));
        events.push(Asked::Hint(vec![]));
        assert_eq!(recording.events, events);
    }
}

#[test]
fn a_recording_is_a_store_that_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    std::fs::write(&path, record(None)).unwrap();
    let store = store::open(&path).unwrap();
    assert_eq!(store.keys().unwrap().len(), preimages().len());
    for (key, data) in preimages() {
        assert_eq!(store.get(key).unwrap(), Some(data));
    }
    let error = store.put(Key::local(9), vec![]).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    let error = LocalHost::new(store).find(Key::local(9)).unwrap_err().to_string();
    assert!(error.contains("it is not in the recording "), "{error}");

    std::fs::write(&path, b"recor").unwrap();
    assert!(!RecordingStore::is_at(&path).unwrap());
    assert!(matches!(store::open(&path), Err(StoreError::NotAStore { .. })));
}

/// Not one byte may be missing, and not one may be another.
#[test]
fn every_damage_is_noticed() {
    let whole = record(Some(b"state"));
    for length in 0..whole.len() {
        let error = read(&whole[..length]).unwrap_err();
        match error {
            RecordingError::Foreign => assert!(length < 16),
            RecordingError::Truncated(_) => assert!(length >= 16),
            other => panic!("{length}: {other}"),
        }
    }
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            match read(&bytes) {
                Err(_) => {}
                // Some bits of gzip say nothing: in its header, or of codes that nothing uses.
                Ok(recording) => assert_eq!(recording, read(&whole).unwrap(), "{place}, {bit}"),
            }
        }
    }
    let error = read(&[&whole[..], b"x"].concat()).unwrap_err();
    assert!(matches!(error, RecordingError::Trailing), "{error}");
}

/// A recording of these records, with no checksum.
fn of_records(records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"recorded\0\0\0\0\0\0\0\x01".to_vec();
    let mut sink = GzEncoder::new(&mut bytes, Compression::fast());
    sink.write_all(&[&6u64.to_be_bytes()[..], b"mips64", &[3; 32], &[0; 8]].concat()).unwrap();
    records.iter().for_each(|record| sink.write_all(record).unwrap());
    sink.finish().unwrap();
    bytes
}

fn long(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &(bytes.len() as u64).to_be_bytes(), bytes].concat()
}

fn preimage(key: Key, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_be_bytes();
    [b"k", &key.as_bytes()[..], &length, data].concat()
}

#[test]
fn what_makes_no_sense_is_named() {
    let good = preimage(Key::local(1), b"1");
    for (records, says) in [
        (vec![preimage(Key::keccak256_of(b"true"), b"false")], "is not the preimage"),
        (vec![preimage(Key::from_bytes([9; 32]), b"")], "type byte 9"),
        (vec![good.clone(), good.clone()], "is there twice"),
        (vec![long(b'h', b""), long(b'p', b"late")], "a program follows after"),
        (vec![long(b'p', b"one"), long(b'p', b"two")], "a program follows after"),
        (vec![b"z".to_vec()], "a record of the unknown kind 122"),
        (vec![[b"e", &[0; 8][..], &[2, 0], &[0; 64]].concat()], "a value that has no meaning"),
        (vec![[b"e", &[0; 8][..], &[1, 0], &[0; 64]].concat()], "its checksum does not match"),
        (vec![], "it ends within its records"),
    ] {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let error = read(&of_records(&records)).unwrap_err().to_string();
        let known = error.contains(says) || says == "is not the preimage" && error.contains("0x");
        assert!(known, "{says}: {error}");
    }
    let error = RecordingError::Misplaced(Misplaced::Again(Key::local(1))).to_string();
    assert!(error.contains(&Key::local(1).to_string()), "{error}");
}

/// Neither a length nor a small file that unpacks to a large one fills the memory.
#[test]
fn lengths_are_not_believed() {
    let huge = [&b"h"[..], &u64::MAX.to_be_bytes()].concat();
    let error = read(&of_records(&[&huge])).unwrap_err();
    assert!(matches!(error, RecordingError::TooLarge { limit: LIMIT }), "{error}");
    let short = [&b"h"[..], &(LIMIT / 2).to_be_bytes(), b"short"].concat();
    let error = read(&of_records(&[&short])).unwrap_err();
    assert!(matches!(error, RecordingError::Truncated("a hint")), "{error}");
    let bomb = long(b'h', &vec![0; 2 << 20]);
    let bytes = of_records(&[&bomb]);
    assert!(bytes.len() < 100_000);
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error, RecordingError::TooLarge { .. }), "{error}");
}

/// Gives a key another answer each time.
struct Fickle(u8);

impl Oracle for Fickle {
    fn hint(&mut self, _: &[u8]) -> Result<(), OracleError> {
        Ok(())
    }

    fn preimage(&mut self, _: Key) -> Result<Vec<u8>, OracleError> {
        self.0 += 1;
        Ok(vec![self.0])
    }
}

#[test]
fn an_answer_that_changes_is_the_hosts_fault() {
    let writer = RecordingWriter::begin(Vec::new(), &beginning()).unwrap();
    let mut recorder = Recorder::new(Fickle(0), writer);
    assert_eq!(recorder.preimage(Key::local(1)).unwrap(), [1]);
    assert_eq!(recorder.preimage(Key::local(2)).unwrap(), [2]);
    for _ in 0..2 {
        let error = recorder.preimage(Key::local(1)).unwrap_err();
        let told = matches!(&error, OracleError::Host(why) if why.contains("another answer"));
        assert!(told, "{error}");
    }
    let (_, bytes) = recorder.end(&end()).unwrap();
    let recording = read(&bytes).unwrap();
    assert_eq!(recording.preimages().next(), Some((Key::local(1), &[1][..])));
    assert_eq!(recording.preimages().count(), 2);
}

/// A sink that is full after some bytes.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        match taken {
            0 => Err(std::io::Error::other("no space left")),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recording_that_cannot_be_written_stops_the_run() {
    let writer = RecordingWriter::begin(Full(100), &beginning()).unwrap();
    let mut recorder = Recorder::new(Fickle(0), writer);
    let error = (0..100_000u64)
        .find_map(|i| recorder.hint(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).err())
        .unwrap();
    assert_eq!(error, OracleError::Host("the recording cannot be written: no space left".into()));
}
