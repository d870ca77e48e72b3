//! An index answers as a straight run does, whatever happened to its files, or it does not answer.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tempfile::TempDir;
use tribunal_conformance::assemble::{
    NOP, S0, T0, T1, ZERO, addiu, before, beq, bne, call, ld, ll, load_value, sc, sd,
};
use tribunal_conformance::{Random, RecordingHost};
use tribunal_host::store;
use tribunal_index::{Found, Identity, Index, IndexError, Options};
use tribunal_jit::Compiler;
use tribunal_keccak::Hash;
use tribunal_machine::{Host, Machine, StepProof, StopOn};
use tribunal_mips64::{Mips64, State, load_elf};
use tribunal_preimage::Key;

const LIMIT: u64 = 1 << 30;

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guests")
}

/// A Go program, and a host that knows what it asks for.
fn guest(name: &str) -> (Mips64, RecordingHost) {
    let mut elf = Vec::new();
    let file = fs::File::open(guests().join(format!("{name}.elf.gz"))).unwrap();
    GzDecoder::new(file).read_to_end(&mut elf).unwrap();
    let mut host = RecordingHost::default();
    let store = store::open(&guests().join("preimages.json")).unwrap();
    let text = fs::read_to_string(guests().join("preimages.json")).unwrap();
    for digits in text.split('"').filter_map(|text| text.strip_prefix("0x")) {
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        if digits.len() == 64 {
            let key = Key::from_bytes(std::array::from_fn(|place| byte(place * 2)));
            host.preimages.extend(store.get(key).unwrap().map(|data| (key, data)));
        }
    }
    (Mips64::new(load_elf(&elf, LIMIT).unwrap().state), host)
}

/// Options by which a snapshot is taken wherever one may be.
fn every(spacing: u64) -> Options {
    Options { spacing, share: 0, ..Options::default() }
}

/// Runs on to `until` and records it, looking up every `pause` steps.
fn record<M: Machine>(
    directory: &Path,
    start: &Mips64,
    engine: impl Fn(Mips64) -> M,
    host: &mut dyn Host,
    options: Options,
    (pause, until): (u64, u64),
) -> bool {
    let identity = Identity::of(&mut start.clone());
    let index = match Index::find(directory, &identity).unwrap() {
        Found::Index(index) => index,
        Found::Nothing => Index::create(directory, &identity).unwrap(),
    };
    let rebuilt = index.steps().last().map(|step| index.rebuild(*step, LIMIT).unwrap());
    let mut recorder = index.record(rebuilt.as_ref(), options).unwrap();
    let mut machine = engine(rebuilt.map_or(start.clone(), |rebuilt| rebuilt.machine));
    while machine.exit_code().is_none() && machine.step() < until {
        recorder.offer(&machine).unwrap();
        // On the way it may be half as large again, however large a state is.
        let size = size(directory);
        assert!(size <= options.max_bytes / 2 * 3, "{size} of {}", options.max_bytes);
        let next = until.min(machine.step() + pause);
        machine.run(next, StopOn::Nothing, &mut recorder.observe(host)).unwrap();
    }
    recorder.finish(&machine).unwrap()
}

fn straight(start: &Mips64, host: &RecordingHost, step: u64) -> (Hash, StepProof) {
    go_on(start.clone(), host, step)
}

fn go_on(mut machine: Mips64, host: &RecordingHost, step: u64) -> (Hash, StepProof) {
    let mut host = host.clone();
    machine.run(step, StopOn::Nothing, &mut host).unwrap();
    (machine.state_hash(), machine.prove_step(&mut host).unwrap())
}

/// The answer from the snapshot before `step`.
fn answer(index: &Index, host: &RecordingHost, step: u64) -> Result<(Hash, StepProof), IndexError> {
    index.check_inputs(&mut host.clone())?;
    let from = index.steps().iter().rev().find(|from| **from <= step).expect("a snapshot before");
    Ok(go_on(index.rebuild(*from, LIMIT)?.machine, host, step))
}

fn open(directory: &Path, start: &Mips64) -> Result<Index, IndexError> {
    match Index::find(directory, &Identity::of(&mut start.clone()))? {
        Found::Index(index) => Ok(index),
        Found::Nothing => panic!("there is an index"),
    }
}

fn bytes_of(machine: &Mips64) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.write_state(&mut bytes).unwrap();
    bytes
}

fn size(directory: &Path) -> u64 {
    // Files come and go while a snapshot is written.
    fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum()
}

#[test]
fn snapshots_of_go_programs_are_the_states_of_a_straight_run() {
    for (name, seed) in [("threads", 1), ("preimages", 2)] {
        let (start, mut host) = guest(name);
        let directory = TempDir::new().unwrap();
        let compiler = |machine| {
            Compiler::new(machine, tribunal_jit::Options::default()).map_err(|(_, e)| e).unwrap()
        };
        let clean = host.clone();
        record(directory.path(), &start, compiler, &mut host, every(100_000), (7001, u64::MAX));
        let index = open(directory.path(), &start).unwrap();
        assert!(index.steps().len() > 3, "{name}: {:?}", index.steps());
        assert!(index.is_complete().unwrap());

        let mut machine = start.clone();
        for &step in index.steps() {
            machine.run(step, StopOn::Nothing, &mut clean.clone()).unwrap();
            let rebuilt = index.rebuild(step, LIMIT).unwrap().machine;
            assert!(bytes_of(&rebuilt) == bytes_of(&machine), "{name}, step {step}");
        }
        let end = machine.step();
        let mut random = Random::new(seed);
        for _ in 0..24 {
            let step = index.steps()[0] + random.below(end + 10 - index.steps()[0]);
            let expected = straight(&start, &clean, step);
            assert_eq!(answer(&index, &clean, step).unwrap(), expected, "{name}, step {step}");
        }
    }
}

/// Hints and a key in pieces, a preimage, a read-modify-write sequence, branches, an exit.
fn odd_program() -> (State, RecordingHost) {
    const DATA: u64 = 0x10_0000;
    let mut host = RecordingHost::default();
    host.preimages.insert(Key::local(3), b"a local preimage".to_vec());
    let hints = b"\0\0\0\x05first\0\0\0\0";
    let mut words = load_value(S0, DATA);
    words.extend([ll(T0, 4, S0), addiu(T0, T0, 1), sc(T0, 4, S0), sc(T1, 4, S0)]);
    words.extend([addiu(T0, ZERO, 3), addiu(T0, T0, -1), bne(T0, ZERO, -2), sd(T0, 64, S0)]);
    words.extend([beq(ZERO, ZERO, 1), ld(T1, 64, S0), NOP]);
    for (piece, bytes) in hints.chunks(3).enumerate() {
        words.extend(call(5001, &[4, DATA + 0x100 + piece as u64 * 3, bytes.len() as u64]));
    }
    for piece in 0..4 {
        words.extend(call(5001, &[6, DATA + 0x200 + piece * 8, 8]));
    }
    for piece in 0..3 {
        words.extend(call(5000, &[5, DATA + 0x3000 + piece * 8, 8]));
    }
    words.extend(call(5205, &[1]));
    let mut state = before(0x1000, &words);
    state.memory.write(DATA + 0x100, hints);
    state.memory.write(DATA + 0x200, Key::local(3).as_bytes());
    (state, host)
}

#[test]
fn a_run_that_is_interrupted_before_every_step_is_the_straight_run() {
    let (state, host) = odd_program();
    let start = Mips64::new(state);
    let mut machine = start.clone();
    let directory = TempDir::new().unwrap();
    let mut told = host.clone();
    let mut states = Vec::new();
    while machine.exit_code().is_none() {
        machine.run(machine.step() + 1, StopOn::Nothing, &mut told).unwrap();
        states.push(bytes_of(&machine));
        let mut host = host.clone();
        let until = machine.step();
        record(directory.path(), &start, |machine| machine, &mut host, every(1), (1, until));
    }
    let end = machine.step();
    let index = open(directory.path(), &start).unwrap();
    assert_eq!(index.steps(), (1..=end).collect::<Vec<_>>());
    for step in 1..=end {
        let rebuilt = index.rebuild(step, LIMIT).unwrap();
        assert!(bytes_of(&rebuilt.machine) == states[step as usize - 1], "step {step}");
        for later in [step, end, end + 1, end + 100] {
            let expected = straight(&start, &host, later);
            assert_eq!(go_on(rebuilt.machine.clone(), &host, later), expected, "{step}, {later}");
        }
    }
    assert_eq!(index.rebuild(end, LIMIT).unwrap().inputs.last_hint(), b"");
    assert_eq!(told.hints, [&b"first"[..], b""]);
}

/// Copies an index, to damage the copy.
fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn damage_is_found_or_does_not_matter() {
    let (state, host) = odd_program();
    let start = Mips64::new(state);
    let directory = TempDir::new().unwrap();
    let until = (1, u64::MAX);
    record(directory.path(), &start, |machine| machine, &mut host.clone(), every(40), until);
    let steps = open(directory.path(), &start).unwrap().steps().to_vec();
    let answers: Vec<_> = steps.iter().map(|step| straight(&start, &host, step + 7)).collect();
    let (mut refused, mut unharmed) = (0, 0);
    let mut check = |damaged: &Path, what: &str| {
        let index = match open(damaged, &start) {
            Ok(index) => index,
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(damaged.to_str().unwrap()), "{what}: {error}");
                return;
            }
        };
        for (step, expected) in steps.iter().zip(&answers) {
            match answer(&index, &host, step + 7) {
                Ok(answer) => {
                    unharmed += 1;
                    assert!(answer == *expected, "{what}, step {step}");
                }
                Err(error) => {
                    refused += 1;
                    let told = error.to_string();
                    assert!(told.contains(damaged.to_str().unwrap()), "{what}: {told}");
                }
            }
        }
    };
    let mut random = Random::new(3);
    for entry in fs::read_dir(directory.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let whole = fs::read(directory.path().join(&name)).unwrap();
        if name == "lock" {
            continue;
        }
        // Every byte of what is small, some of what is large.
        let stride = if whole.len() < 400 { 1 } else { whole.len() as u64 / 100 };
        let damaged = copy(directory.path());
        let path = damaged.path().join(&name);
        let mut at = random.below(stride);
        while at < whole.len() as u64 {
            let mut bytes = whole.clone();
            bytes[at as usize] ^= 1 << random.below(8);
            fs::write(&path, &bytes).unwrap();
            check(damaged.path(), &format!("{name:?}, byte {at} changed"));
            fs::write(&path, &whole[..at as usize]).unwrap();
            check(damaged.path(), &format!("{name:?}, cut to {at} bytes"));
            at += stride;
        }
        // A file of another step, or of another index of the same run, in its place.
        let (other, mut host) = (copy(directory.path()), host.clone());
        Index::remove(other.path()).unwrap();
        record(other.path(), &start, |machine| machine, &mut host, every(23), until);
        for entry in fs::read_dir(other.path()).unwrap() {
            let from = entry.unwrap();
            fs::copy(from.path(), &path).unwrap();
            check(damaged.path(), &format!("{:?} as {name:?}", from.file_name()));
        }
    }
    assert!(refused > 500 && unharmed > 200, "{refused} refused, {unharmed} unharmed");
}

#[test]
fn the_index_of_another_run_is_refused() {
    let (state, host) = odd_program();
    let start = Mips64::new(state.clone());
    let directory = TempDir::new().unwrap();
    let until = (1, u64::MAX);
    record(directory.path(), &start, |machine| machine, &mut host.clone(), every(9), until);

    let mut other = state;
    other.memory.set_word(0x9000, 1);
    let error = open(directory.path(), &Mips64::new(other)).err().unwrap();
    assert!(matches!(error, IndexError::Foreign { .. }), "{error}");

    // Local keys name another preimage in each run.
    let mut told_otherwise = host.clone();
    told_otherwise.preimages.insert(Key::local(3), b"another preimage".to_vec());
    let index = open(directory.path(), &start).unwrap();
    let error = index.check_inputs(&mut told_otherwise).unwrap_err();
    assert!(matches!(error, IndexError::OtherInput { key, .. } if key == Key::local(3)), "{error}");
    let error = index.check_inputs(&mut RecordingHost::default()).unwrap_err();
    assert!(matches!(error, IndexError::Input(_)), "{error}");

    // While somebody reads it, nobody writes to it.
    let identity = Identity::of(&mut start.clone());
    let Ok(Found::Index(second)) = Index::find(directory.path(), &identity) else {
        panic!("two may read it");
    };
    let error = second.record(None, every(1)).err().unwrap();
    assert!(matches!(error, IndexError::Busy { .. }), "{error}");

    let full = TempDir::new().unwrap();
    fs::write(full.path().join("mine"), "text").unwrap();
    for error in [
        Index::find(full.path(), &identity).err().unwrap(),
        Index::create(full.path(), &identity).err().unwrap(),
        Index::remove(full.path()).err().unwrap(),
    ] {
        assert!(matches!(error, IndexError::NoIndex { .. }), "{error}");
    }
    assert_eq!(fs::read(full.path().join("mine")).unwrap(), b"text");
}

#[test]
fn what_grows_too_large_is_thinned_out_and_still_answers() {
    let (start, host) = guest("preimages");
    let full = TempDir::new().unwrap();
    let until = (10_000, u64::MAX);
    record(full.path(), &start, |machine| machine, &mut host.clone(), every(40_000), until);
    let summary = open(full.path(), &start).unwrap().summary().unwrap();
    let (all, last) = (summary.steps.len(), summary.state_pages * 4200);
    for limit in [last * 9 / 8, last * 5 / 4, last / 2, 4096] {
        let directory = TempDir::new().unwrap();
        let options = Options { max_bytes: limit, ..every(40_000) };
        let engine = |machine| machine;
        let kept = record(directory.path(), &start, engine, &mut host.clone(), options, until);
        assert_eq!(kept, limit > last, "{limit} of {last}");
        assert!(size(directory.path()) <= limit, "{} of {limit}", size(directory.path()));
        let index = open(directory.path(), &start).unwrap();
        assert!(index.steps().len() < all, "{limit}");
        assert_eq!(index.steps().is_empty(), !kept);
        for &step in index.steps() {
            let expected = straight(&start, &host, step + 1234);
            assert_eq!(answer(&index, &host, step + 1234).unwrap(), expected, "{limit}, {step}");
        }
    }
}

#[test]
fn what_a_process_left_that_was_killed_is_an_index_up_to_its_last_snapshot() {
    let (start, host) = guest("preimages");
    let directory = TempDir::new().unwrap();
    let identity = Identity::of(&mut start.clone());
    let index = Index::create(directory.path(), &identity).unwrap();
    let mut recorder = index.record(None, every(200_000)).unwrap();
    let mut machine = start.clone();
    let mut asked = host.clone();
    while machine.step() < 1_000_000 {
        machine
            .run(machine.step() + 50_000, StopOn::Nothing, &mut recorder.observe(&mut asked))
            .unwrap();
        recorder.offer(&machine).unwrap();
    }
    drop(recorder);
    let before = open(directory.path(), &start).unwrap().steps().to_vec();
    assert!(!before.is_empty() && before.iter().all(|step| step % 50_000 == 0), "{before:?}");
    // Pages without a snapshot, half a page, and a file that had no name yet.
    fs::write(directory.path().join("pages-00000077"), [7; 5000]).unwrap();
    fs::write(directory.path().join(".tribunal-abc.tmp"), "half").unwrap();
    let until = (50_000, u64::MAX);
    record(directory.path(), &start, |machine| machine, &mut host.clone(), every(200_000), until);
    assert!(!directory.path().join(".tribunal-abc.tmp").exists());
    let index = open(directory.path(), &start).unwrap();
    assert!(index.steps().starts_with(&before) && index.is_complete().unwrap());
    for &step in index.steps() {
        assert_eq!(answer(&index, &host, step + 99).unwrap(), straight(&start, &host, step + 99));
    }
    let summary = index.summary().unwrap();
    assert_eq!((summary.exit_code, summary.bytes), (Some(0), size(directory.path())));
    drop(index);
    Index::remove(directory.path()).unwrap();
    assert!(matches!(Index::find(directory.path(), &identity), Ok(Found::Nothing)));
}
