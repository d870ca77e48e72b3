//! The reference against whole runs of Cannon: every sampled hash, every proof, the output, and the
//! bytes of the state files.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::Digest as _;
use tribunal_conformance::{TrailPoint, read_trail};
use tribunal_machine::{Host, Machine, Pause, ReadState, StopOn, Stream};
use tribunal_mips64::{MEMORY_PROOFS_OFFSET, Mips64, PROOF_DATA_BYTES, load_elf};
use tribunal_preimage::{Key, Oracle, OracleError};

const MAX_BYTES: u64 = 1 << 30;

#[derive(Default)]
struct TestHost {
    preimages: BTreeMap<Key, Vec<u8>>,
    hints: Vec<String>,
    output: String,
}

impl Oracle for TestHost {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.hints.push(String::from_utf8(hint.to_vec()).unwrap());
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.preimages.get(&key).cloned().ok_or_else(|| OracleError::Host(key.to_string()))
    }
}

impl Host for TestHost {
    fn output(&mut self, _stream: Stream, bytes: &[u8]) {
        self.output.push_str(std::str::from_utf8(bytes).unwrap());
    }

    fn warn(&mut self, message: &str) {
        panic!("{message}");
    }
}

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guests")
}

fn load(name: &str) -> Mips64 {
    let mut elf = Vec::new();
    let file = std::fs::File::open(guests().join(format!("{name}.elf.gz"))).unwrap();
    GzDecoder::new(file).read_to_end(&mut elf).unwrap();
    Mips64::new(load_elf(&elf, MAX_BYTES).unwrap().state)
}

fn preimages() -> BTreeMap<Key, Vec<u8>> {
    let text = std::fs::read_to_string(guests().join("preimages.json")).unwrap();
    let entries: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let bytes = |text: &str| hex::decode(text.strip_prefix("0x").unwrap()).unwrap();
    entries
        .iter()
        .map(|(key, data)| (Key::from_bytes(bytes(key).try_into().unwrap()), bytes(data)))
        .collect()
}

/// Runs along a trail, comparing everything on it.
fn follow(name: &str, host: &mut TestHost) -> Mips64 {
    let mut machine = load(name);
    let trail = read_trail(&guests().join(format!("{name}.trail.jsonl.gz"))).unwrap();
    for point in &trail {
        machine.run(point.step, StopOn::Nothing, host).unwrap();
        assert_eq!(machine.step(), point.step);
        assert_eq!(machine.state_hash(), point.hash.0, "{name}, step {}", point.step);
        if point.proof.is_some() {
            compare_proof(&mut machine, point, host);
        }
    }
    machine
}

fn compare_proof(machine: &mut Mips64, point: &TrailPoint, host: &mut TestHost) {
    let step = point.step;
    let proof = machine.prove_step(host).unwrap();
    let expected = &point.proof.as_ref().unwrap().0;
    assert_eq!(proof.step, step);
    assert_eq!(proof.pre, point.hash.0, "step {step}");
    assert_eq!(Some(proof.post), point.post.as_ref().map(|post| post.0), "step {step}");
    assert_eq!(Some(&proof.state_data), point.state.as_ref().map(|state| &state.0));
    assert_eq!(proof.proof_data.len(), PROOF_DATA_BYTES);
    let proofs = |bytes: &[u8]| {
        bytes[MEMORY_PROOFS_OFFSET..].chunks(1920).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    assert_eq!(proof.proof_data[..MEMORY_PROOFS_OFFSET], expected[..MEMORY_PROOFS_OFFSET]);
    for (place, (ours, theirs)) in
        proofs(&proof.proof_data).iter().zip(proofs(expected)).enumerate()
    {
        assert_eq!(*ours, theirs, "step {step}, memory proof {place}");
    }
    let read = proof.preimage.as_ref();
    assert_eq!(read.map(|read| read.key), point.key(), "step {step}");
    if let Some(read) = read {
        assert_eq!(*read.value, *point.oracle_value.as_ref().unwrap().0, "step {step}");
        assert_eq!(read.offset, point.oracle_offset.unwrap_or(0), "step {step}");
    }
}

fn sha256(machine: &Mips64) -> String {
    let mut bytes = Vec::new();
    machine.write_state(&mut bytes).unwrap();
    let reread = Mips64::read_state(&mut bytes.as_slice(), MAX_BYTES).unwrap();
    let mut again = Vec::new();
    reread.write_state(&mut again).unwrap();
    assert!(bytes == again, "a state file that was read is written as it was");
    hex::encode(sha2::Sha256::digest(&bytes))
}

#[test]
fn threads_runs_as_in_cannon() {
    assert_eq!(
        sha256(&load("threads")),
        "1182ff80c09fffdb14f6724eff697b7c29f865b1f2204486f512b7346b6d6ea0"
    );
    let mut host = TestHost::default();
    let machine = follow("threads", &mut host);
    assert_eq!((machine.step(), machine.exit_code()), (24_712_149, Some(0)));
    assert_eq!(
        sha256(&machine),
        "e24d9a99fec868fb896447f6cac0d72e50b8e3f623ed17047a36f1e897006a42"
    );
    assert_eq!(
        host.output,
        "pool 40db50198074f300\ncount 1800 1800\ntimer true context deadline exceeded\n\
         tree ab527e71e147721a\nmap 1500 k00700 k00701 k00702 18\nrecovered true\n"
    );
}

#[test]
fn preimages_runs_as_in_cannon() {
    assert_eq!(
        sha256(&load("preimages")),
        "4a90f5a2b5464b04c8e447d66fff58de650cc2ca9efa9c61ee77a12a45957a73"
    );
    let mut host = TestHost { preimages: preimages(), ..TestHost::default() };
    let mut machine = follow("preimages", &mut host);
    assert_eq!((machine.step(), machine.exit_code()), (2_533_557, Some(0)));
    assert_eq!(
        sha256(&machine),
        "8994c96ef4565c37bd531c262a9372847ab2a78874cc6c2da60b2adf0709af82"
    );
    let read = host.output.lines().filter(|line| line.contains(" type ")).count();
    assert_eq!(host.hints.len(), read, "a hint before each preimage");
    assert!(host.hints.iter().all(|hint| hint.starts_with("fetch 0x")));

    // Past the end nothing changes any more.
    let end = machine.state_hash();
    assert_eq!(machine.run(u64::MAX, StopOn::Nothing, &mut host).unwrap(), Pause::Exited);
    assert_eq!(machine.state_hash(), end);
    let proof = machine.prove_step(&mut host).unwrap();
    assert_eq!((proof.pre, proof.post, proof.proof_data.len()), (end, end, 0));
}

#[test]
fn a_run_taken_up_from_a_file_is_the_straight_run_at_every_boundary() {
    let mut host = TestHost { preimages: preimages(), ..TestHost::default() };
    let mut straight = load("preimages");
    let mut resumed = load("preimages");
    // Boundaries within hints, keys and preimages too: the steps around the reads of a trail.
    let trail = read_trail(&guests().join("preimages.trail.jsonl.gz")).unwrap();
    for point in &trail {
        straight.run(point.step, StopOn::Nothing, &mut host).unwrap();
        resumed.run(point.step, StopOn::Nothing, &mut host).unwrap();
        let mut bytes = Vec::new();
        resumed.write_state(&mut bytes).unwrap();
        resumed = Mips64::read_state(&mut bytes.as_slice(), MAX_BYTES).unwrap();
        assert_eq!(resumed.state_hash(), straight.state_hash(), "step {}", point.step);
    }
    straight.run(u64::MAX, StopOn::Nothing, &mut host).unwrap();
    resumed.run(u64::MAX, StopOn::Nothing, &mut host).unwrap();
    assert_eq!(sha256(&resumed), sha256(&straight));
}
