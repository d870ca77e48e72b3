//! The reference against the deployed contract: every vector, every class.

use std::path::{Path, PathBuf};

use tribunal_conformance::{VectorHost, failures, read_vectors, reference};
use tribunal_machine::Machine as _;
use tribunal_memory::{PROOF_BYTES, Proof};
use tribunal_mips64::{MEMORY_PROOFS_OFFSET, Mips64, StateWitness};

fn vectors_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/mips64-single-step.jsonl.gz")
}

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    let vectors = read_vectors(&vectors_file()).unwrap();
    assert_eq!(vectors.len(), 6000);
    let failed = failures(&mut reference, &vectors);
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_word_a_step_touches_is_the_one_it_proves() {
    let (mut touching, mut others) = (0, 0);
    for vector in read_vectors(&vectors_file()).unwrap() {
        let mut machine = Mips64::new(vector.state.clone());
        let witness = machine.witness();
        let fields = StateWitness::decode(witness.as_slice().try_into().unwrap());
        let Some(thread) = vector.state.active_stack().top().cloned() else { continue };
        let touched = fields.touched(&thread, machine.instruction());
        let (proof_data, _) = machine.attempt_step(&mut VectorHost(vector.preimage.as_ref()));
        let slot = &proof_data[MEMORY_PROOFS_OFFSET + PROOF_BYTES..][..PROOF_BYTES];
        match touched {
            Some(address) => {
                let root = Proof::from_bytes(slot.try_into().unwrap()).root(address);
                assert_eq!(root, fields.memory_root, "{}", vector.name);
                touching += 1;
            }
            None => {
                assert!(slot.iter().all(|&byte| byte == 0), "{}", vector.name);
                others += 1;
            }
        }
    }
    assert!(touching > 1000 && others > 1000, "{touching} and {others}");
}
