//! The reference against the deployed contract: every vector, every class.

use tribunal_conformance::{VectorHost, assert_as_deployed, deployed_vectors, reference};
use tribunal_machine::Machine as _;
use tribunal_memory::{PROOF_BYTES, Proof};
use tribunal_mips64::{MEMORY_PROOFS_OFFSET, Mips64, StateWitness};

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    assert_as_deployed(&mut reference);
}

#[test]
fn the_word_a_step_touches_is_the_one_it_proves() {
    let (mut touching, mut others) = (0, 0);
    for vector in deployed_vectors() {
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
