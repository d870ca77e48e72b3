//! Proof data: what the contract needs besides the witness to take one step (spec: MIPS64 FPVM §1.5).
//!
//! Always 6,090 bytes: the active thread, the root of its stack without it, and three memory proofs:
//! of the instruction, of the first word a step touches, of the second one (clock_gettime only).
//! Proofs that a step does not need are zero.

use tribunal_machine::{Fault, Host, Machine as _, PreimageRead, StepProof};
use tribunal_memory::{Answers, Memory, PROOF_BYTES, Storage};

use crate::Mips64;
use crate::execute::effective_address;
use crate::instructions::{Op, Syntax, decode};
use crate::state::{LlReservation, QUANTUM, State, Thread};
use crate::step::Recorder;
use crate::syscall::touched_by_syscall;
use crate::witness::{STATE_WITNESS_BYTES, StateWitness, THREAD_WITNESS_BYTES, complete_witness};

/// Where the memory proofs begin in proof data.
pub const MEMORY_PROOFS_OFFSET: usize = THREAD_WITNESS_BYTES + 32;

/// Bytes in proof data.
pub const PROOF_DATA_BYTES: usize = MEMORY_PROOFS_OFFSET + 3 * PROOF_BYTES;

/// Proof data while its step is taken. Takes everything as it is before the step touches it, and asks
/// the memory for the proofs.
pub(crate) struct ProofRecorder {
    /// Thread and inner root.
    thread: Vec<u8>,
    /// Whether the proofs of a first and of a second word were asked for, besides the instruction's.
    asked: [bool; 2],
}

impl ProofRecorder {
    /// Begins with what is known before the step: thread, inner root and instruction.
    pub(crate) fn begin<S: Storage>(state: &mut State<S>) -> Self {
        let mut bytes = Vec::with_capacity(PROOF_DATA_BYTES);
        let stack = state.active_stack_mut();
        // Without an active thread the step fails before anyone looks at a proof.
        let thread = stack.top().cloned().unwrap_or_default();
        bytes.extend_from_slice(&thread.witness());
        bytes.extend_from_slice(&stack.root_below_top());
        state.memory.ask_proof(thread.pc);
        Self { thread: bytes, asked: [false; 2] }
    }

    /// The whole of it, once the proofs are there.
    pub(crate) fn complete(self, answers: &mut Answers) -> Vec<u8> {
        let mut proof_data = self.thread;
        for asked in [true, self.asked[0], self.asked[1]] {
            match asked {
                true => proof_data.extend_from_slice(answers.proof().as_bytes()),
                false => proof_data.extend_from_slice(&[0; PROOF_BYTES]),
            }
        }
        proof_data
    }
}

impl Recorder for ProofRecorder {
    fn access<S: Storage>(&mut self, memory: &mut Memory<S>, address: u64) {
        debug_assert!(!self.asked[0], "a step has one first word");
        memory.ask_proof(address);
        self.asked[0] = true;
    }

    fn second_access<S: Storage>(&mut self, memory: &mut Memory<S>, address: u64) {
        memory.ask_proof(address);
        self.asked[1] = true;
    }
}

/// A step that was taken, and whose proof lacks what its memory was asked for.
pub(crate) struct AskedProof {
    step: u64,
    pre: [u8; STATE_WITNESS_BYTES],
    /// The witness after, and what it takes to come there. None where the program has exited: nothing.
    taken: Option<([u8; STATE_WITNESS_BYTES], ProofRecorder)>,
    preimage: Option<PreimageRead>,
}

impl<S: Storage> Mips64<S> {
    /// Takes one step, and asks the memory for what its proof needs.
    ///
    /// Where the step cannot be taken, what was asked for stays unanswered.
    pub(crate) fn ask_step_proof(&mut self, host: &mut dyn Host) -> Result<AskedProof, Fault> {
        let step = self.state.step;
        let pre = self.state.ask_witness();
        if self.state.exited == 1 {
            self.step_once(host)?;
            return Ok(AskedProof { step, pre, taken: None, preimage: None });
        }
        let mut recorder = ProofRecorder::begin(&mut self.state);
        self.step_with(host, &mut recorder)?;
        let taken = Some((self.state.ask_witness(), recorder));
        Ok(AskedProof { step, pre, taken, preimage: self.last_preimage_read() })
    }
}

impl AskedProof {
    /// The proof, now that the memory has answered.
    pub(crate) fn complete(self, answers: &mut Answers) -> StepProof {
        let Self { step, mut pre, taken, preimage } = self;
        let pre_hash = complete_witness(&mut pre, answers);
        let (post, proof_data) = match taken {
            None => (pre_hash, Vec::new()),
            Some((mut post, recorder)) => {
                (complete_witness(&mut post, answers), recorder.complete(answers))
            }
        };
        StepProof { step, pre: pre_hash, post, state_data: pre.to_vec(), proof_data, preimage }
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
