//! Whole runs of Go programs: steps all along them, proven by the reference and taken by the contract.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use tribunal_conformance::{Random, RecordingHost};
use tribunal_machine::{Machine as _, Pause, StopOn};
use tribunal_mips64::{Mips64, load_elf};
use tribunal_onchain::{Instance, StepCall};
use tribunal_preimage::Key;

const CONTEXT: [u8; 32] = [0x2b; 32];

fn guest(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guests").join(name)
}

fn load(name: &str) -> Mips64 {
    let mut elf = Vec::new();
    GzDecoder::new(File::open(guest(name)).unwrap()).read_to_end(&mut elf).unwrap();
    Mips64::new(load_elf(&elf, 1 << 30).unwrap().state)
}

fn preimages() -> BTreeMap<Key, Vec<u8>> {
    let json: BTreeMap<String, String> =
        serde_json::from_reader(File::open(guest("preimages.json")).unwrap()).unwrap();
    let data = |text: &str| hex::decode(&text[2..]).unwrap();
    json.iter().map(|(key, text)| (key.parse().unwrap(), data(text))).collect()
}

/// Runs to the end, and has the contract judge about one step in `stride`.
/// Returns how many it judged.
fn judge(mut machine: Mips64, mut host: RecordingHost, stride: u64) -> u64 {
    let (mut instance, mut random) = (Instance::new(), Random::new(stride));
    let mut judged = 0;
    loop {
        let until = machine.step() + random.below(2 * stride);
        if machine.run(until, StopOn::Nothing, &mut host).unwrap() == Pause::Exited {
            return judged;
        }
        let proof = machine.prove_step(&mut host).unwrap();
        if let Some(read) = &proof.preimage {
            instance.load_preimage(read, None, &CONTEXT).unwrap();
        }
        let call = StepCall {
            state_data: &proof.state_data,
            proof_data: &proof.proof_data,
            local_context: CONTEXT,
        };
        let step = instance.step(&call);
        let step = step.unwrap_or_else(|refused| panic!("step {}: {refused}", proof.step));
        assert_eq!(step.post_state.unwrap(), machine.witness(), "step {}", proof.step);
        assert_eq!(step.post, proof.post, "step {}", proof.step);
        if proof.preimage.is_some() {
            instance.reset();
        }
        judged += 1;
    }
}

#[test]
fn a_run_with_threads() {
    let judged = judge(load("threads.elf.gz"), RecordingHost::default(), 10_007);
    assert!(judged > 2_000, "{judged}");
}

#[test]
fn a_run_that_reads_preimages() {
    let host = RecordingHost { preimages: preimages(), ..RecordingHost::default() };
    let judged = judge(load("preimages.elf.gz"), host, 997);
    assert!(judged > 2_000, "{judged}");
}
