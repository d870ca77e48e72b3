//! Cannon's own proofs of whole runs of Go programs, judged by our contract.

use std::collections::BTreeMap;
use std::path::Path;

use tribunal_conformance::{TrailPoint, read_trail};
use tribunal_machine::PreimageRead;
use tribunal_onchain::{Instance, LoadedHow, StepCall};
use tribunal_preimage::KeyKind;

const CONTEXT: [u8; 32] = [0x17; 32];

fn points(name: &str) -> Vec<TrailPoint> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guests").join(name);
    read_trail(&path).unwrap()
}

/// Lets the contract judge every step that Cannon proved, and counts how preimages got in.
fn judge(name: &str) -> (usize, BTreeMap<(KeyKind, bool), usize>) {
    let mut instance = Instance::new();
    let (mut steps, mut loads) = (0, BTreeMap::new());
    for point in points(name) {
        let (Some(state), Some(proof), Some(post)) =
            (&point.state, &point.proof, point.post.as_ref())
        else {
            continue;
        };
        if let (Some(key), Some(value)) = (point.key(), &point.oracle_value) {
            let offset = point.oracle_offset.unwrap_or_default();
            let read = PreimageRead { key, value: value.0.clone().into(), offset };
            let call =
                StepCall { state_data: &state.0, proof_data: &proof.0, local_context: CONTEXT };
            let unknown = instance.step(&call).unwrap_err();
            assert_eq!(unknown.to_string(), "pre-image must exist", "step {}", point.step);

            let loaded = instance.load_preimage(&read, None, &CONTEXT).unwrap();
            let proven = matches!(loaded.how, LoadedHow::Proven { .. });
            *loads.entry((key.kind().unwrap(), proven)).or_default() += 1;
        }
        let call = StepCall { state_data: &state.0, proof_data: &proof.0, local_context: CONTEXT };
        let needed = instance.needed_proof_data(&call);
        for proof_data in [call.proof_data, needed] {
            let step = instance.step(&StepCall { proof_data, ..call }).unwrap();
            assert_eq!(step.post, post.0, "step {}", point.step);
            assert_eq!(step.post_state.map(|state| state.len()), Some(188));
        }
        instance.reset();
        steps += 1;
    }
    (steps, loads)
}

#[test]
fn a_run_with_threads() {
    let (steps, loads) = judge("threads.trail.jsonl.gz");
    assert_eq!(steps, 21);
    assert!(loads.is_empty());
}

#[test]
fn a_run_that_reads_preimages_of_every_kind() {
    let (steps, loads) = judge("preimages.trail.jsonl.gz");
    assert_eq!(steps, 45);
    // Nobody knows what the keys of this program's blob and precompile are made of, and its first
    // local input is longer than an oracle takes.
    let kinds: Vec<_> = loads.keys().copied().collect();
    assert_eq!(
        kinds,
        [
            (KeyKind::Local, false),
            (KeyKind::Local, true),
            (KeyKind::Keccak256, true),
            (KeyKind::GlobalGeneric, false),
            (KeyKind::Sha256, true),
            (KeyKind::Blob, false),
            (KeyKind::Precompile, false),
        ]
    );
}
