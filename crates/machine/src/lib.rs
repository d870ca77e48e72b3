//! What every fault-proof VM has in common, whatever its instruction set: stepping, stopping,
//! proving, state files.
//!
//! Knows no instruction, and nothing of where preimages come from or of who looks at the results.

mod fault;
mod file;
mod json;
mod later;
mod pattern;
mod proof_file;
mod run;
mod sample;
mod saver;
mod symbols;

use std::io::{Read, Write};

use tribunal_keccak::Hash;
use tribunal_preimage::{Key, Oracle};

pub use crate::fault::{Blame, Fault};
pub use crate::file::{
    FileError, StateFileError, check_state_path, is_gzip, load_state, load_state_with, save_state,
    write_atomically,
};
pub use crate::json::to_go_json;
pub use crate::later::Later;
pub use crate::pattern::{PatternError, StepPattern};
pub use crate::proof_file::{Hex, ProofFile};
pub use crate::run::{Events, Outcome, PreimageStop, RunError, RunPlan, STEPS_BETWEEN_POLLS, run};
pub use crate::sample::{Sample, SampleError, SamplePoints, sample};
pub use crate::saver::Saver;
pub use crate::symbols::{Symbol, Symbols};

/// A fault-proof VM at one moment: state, and how it goes on.
///
/// A run is a pure function of the state and the preimages. Hints and output leave the machine and
/// never come back into it.
pub trait Machine: Sized {
    /// The name of the machine and of its state version, as users of it know it.
    const NAME: &'static str;

    /// Steps taken since the prestate. Wraps at 2^64.
    fn step(&self) -> u64;

    /// The address of the next instruction of the active thread.
    fn pc(&self) -> u64;

    /// The next instruction of the active thread, undecoded.
    fn instruction(&self) -> u32;

    /// The program's exit code, once it has one. From then on a step changes nothing.
    fn exit_code(&self) -> Option<u8>;

    /// Pages of memory, of 4096 bytes each, that exist.
    fn page_count(&self) -> u64;

    /// Bytes that the state holds: memory, threads, hints not yet complete. What a limit is held against.
    fn state_bytes(&self) -> u64;

    /// Steps until [`Machine::step`] is `until`, the program exits, or, if asked to, the step that
    /// read a preimage is done.
    ///
    /// # Errors
    /// A step that cannot be taken leaves the state as it was before that step.
    fn run(&mut self, until: u64, stop: StopOn, host: &mut dyn Host) -> Result<Pause, Fault>;

    /// Takes one step and proves it. `pre` and `post` of an exited machine are equal.
    ///
    /// # Errors
    /// As [`Machine::run`].
    fn prove_step(&mut self, host: &mut dyn Host) -> Result<StepProof, Fault>;

    /// Takes one step as [`Machine::prove_step`] does, and leaves as much of the proof to another thread
    /// as it can.
    ///
    /// # Errors
    /// As [`Machine::run`].
    fn prove_step_later(&mut self, host: &mut dyn Host) -> Result<Later<StepProof>, Fault> {
        self.prove_step(host).map(Later::ready)
    }

    /// The bytes that the state hash commits to.
    fn witness(&mut self) -> Vec<u8>;

    /// keccak256 of the witness, with the first byte replaced by the [`Status`].
    fn state_hash(&mut self) -> Hash;

    /// [`Machine::state_hash`] of this moment, computed by another thread as far as it can.
    fn state_hash_later(&mut self) -> Later<Hash> {
        Later::ready(self.state_hash())
    }

    /// What the last step read from a preimage.
    fn last_preimage_read(&self) -> Option<PreimageRead>;

    /// Writes the state: the same bytes for the same state, always.
    ///
    /// # Errors
    /// Those of `sink`.
    fn write_state(&self, sink: &mut dyn Write) -> std::io::Result<()>;

    /// What the run so far did, for people and for `--debug-info`.
    fn statistics(&self) -> Statistics;
}

/// A machine that state files can be read into.
pub trait ReadState: Machine {
    /// Reads a state of at most `max_bytes` bytes ([`Machine::state_bytes`]).
    ///
    /// # Errors
    /// If these bytes are not a state of this machine.
    fn read_state(source: &mut dyn Read, max_bytes: u64) -> Result<Self, StateFileError>;
}

/// What a machine asks of the world around it.
pub trait Host: Oracle {
    /// The program wrote to its standard output or error.
    fn output(&mut self, stream: Stream, bytes: &[u8]);

    /// The machine went on, but something happened that a person would want to know.
    fn warn(&mut self, message: &str);
}

/// Where a program's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// What ends [`Machine::run`] early, besides the end of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOn {
    /// Nothing.
    Nothing,
    /// A step that read from a preimage.
    PreimageRead,
}

/// Why [`Machine::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The step that was asked for is next.
    Reached,
    /// The program has exited.
    Exited,
    /// The last step read from a preimage.
    PreimageRead,
}

/// What a state says of the claim: the first byte of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Exited with 0: the claim holds.
    Valid = 0,
    /// Exited with 1: the claim is wrong.
    Invalid = 1,
    /// Exited with anything else: nothing was decided.
    Panic = 2,
    /// Still running.
    Unfinished = 3,
}

impl Status {
    /// The status of a machine with this exit code.
    pub fn of(exit_code: Option<u8>) -> Self {
        match exit_code {
            None => Self::Unfinished,
            Some(0) => Self::Valid,
            Some(1) => Self::Invalid,
            Some(_) => Self::Panic,
        }
    }
}

/// One step, with all that an EVM needs to take it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepProof {
    /// The step that was taken: the state before it has this step number.
    pub step: u64,
    /// The state hash before.
    pub pre: Hash,
    /// The state hash after.
    pub post: Hash,
    /// The witness before.
    pub state_data: Vec<u8>,
    /// What the witness commits to and the step touches: the thread, memory proofs.
    pub proof_data: Vec<u8>,
    /// What the step read from a preimage.
    pub preimage: Option<PreimageRead>,
}

/// A preimage as a step read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreimageRead {
    /// Its key.
    pub key: Key,
    /// Its length as 8 big-endian bytes, then the preimage.
    pub value: std::sync::Arc<[u8]>,
    /// Where in `value` the step began to read.
    pub offset: u64,
}

/// What a run did. Counts begin where this process took up the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Preimages asked for.
    pub preimage_requests: u64,
    /// Bytes of all the preimages asked for, without their length prefixes.
    pub preimage_bytes: u64,
    /// Read-modify-write sequences that succeeded (sc, scd).
    pub rmw_successes: u64,
    /// Read-modify-write sequences that failed.
    pub rmw_failures: u64,
    /// The most steps between a load-linked and its store-conditional.
    pub max_steps_between_ll_and_sc: u64,
    /// Reservations that a store cleared.
    pub reservation_invalidations: u64,
    /// Threads preempted at the end of their quantum.
    pub forced_preemptions: u64,
    /// Steps during which thread 0 was not the active one, up to its last activation.
    pub idle_steps_of_thread_0: u64,
}
