//! Proof data: what the contract needs besides the witness to take one step (spec: MIPS64 FPVM §1.5).
//!
//! Always 6,090 bytes: the active thread, the root of its stack without it, and three memory proofs:
//! of the instruction, of the first word a step touches, of the second one (clock_gettime only).
//! Proofs that a step does not need are zero.

use tribunal_memory::{Memory, PROOF_BYTES, Proof, Storage};

use crate::execute::effective_address;
use crate::instructions::{Op, Syntax, decode};
use crate::state::{LlReservation, QUANTUM, State, Thread};
use crate::step::Recorder;
use crate::syscall::touched_by_syscall;
use crate::witness::{StateWitness, THREAD_WITNESS_BYTES};

/// Where the memory proofs begin in proof data.
pub const MEMORY_PROOFS_OFFSET: usize = THREAD_WITNESS_BYTES + 32;

/// Bytes in proof data.
pub const PROOF_DATA_BYTES: usize = MEMORY_PROOFS_OFFSET + 3 * PROOF_BYTES;

/// The part of proof data that is known before the step: thread, inner root and instruction.
pub(crate) fn encode_proof_data<S: Storage>(state: &mut State<S>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PROOF_DATA_BYTES);
    let stack = state.active_stack_mut();
    // Without an active thread the step fails before anyone looks at a proof.
    let thread = stack.top().cloned().unwrap_or_default();
    bytes.extend_from_slice(&thread.witness());
    bytes.extend_from_slice(&stack.root_below_top());
    bytes.extend_from_slice(state.memory.proof(thread.pc).as_bytes());
    bytes
}

/// Proves the words that a step touches, as they were before it touched them.
#[derive(Default)]
pub(crate) struct ProofRecorder {
    first: Option<Proof>,
    second: Option<Proof>,
}

impl ProofRecorder {
    /// Completes proof data.
    pub(crate) fn append_to(self, mut proof_data: Vec<u8>) -> Vec<u8> {
        for proof in [self.first, self.second] {
            match proof {
                Some(proof) => proof_data.extend_from_slice(proof.as_bytes()),
                None => proof_data.extend_from_slice(&[0; PROOF_BYTES]),
            }
        }
        proof_data
    }
}

impl Recorder for ProofRecorder {
    fn access<S: Storage>(&mut self, memory: &mut Memory<S>, address: u64) {
        self.first = Some(memory.proof(address));
    }

    fn second_access<S: Storage>(&mut self, memory: &mut Memory<S>, address: u64) {
        self.second = Some(memory.proof(address));
    }
}

impl StateWitness {
    /// The address whose word the next step reads or writes first, if it touches memory at all
    /// besides its instruction: where memory proof 1 belongs. What stands in the place of a proof
    /// that is not needed, the contract ignores.
    pub fn touched(&self, thread: &Thread, instruction: u32) -> Option<u64> {
        let scheduled = thread.exited != 0 || self.steps_since_switch >= QUANTUM;
        if self.exited != 0 || scheduled || !thread.pc.is_multiple_of(4) {
            return None;
        }
        match decode(instruction)? {
            Op::Syscall => touched_by_syscall(thread),
            op if op.row().syntax == Syntax::RtOffset => {
                let address = effective_address(thread, instruction);
                let reserved = |status| LlReservation { status, address, owner: thread.id };
                match op {
                    Op::Sc if self.reservation != reserved(1) => None,
                    Op::Scd if self.reservation != reserved(2) => None,
                    _ => Some(address),
                }
            }
            _ => None,
        }
    }
}
