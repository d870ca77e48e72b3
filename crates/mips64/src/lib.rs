//! The MIPS64 fault-proof VM, state version 8 (`multithreaded64-5`): what the deployed contract
//! `MIPS64` 1.10.1 does with one step, and the bytes that Cannon reads and writes.
//!
//! This is the meaning of the machine: everything faster is held against [`Mips64`]. Knows the
//! instructions, syscalls, threads and encodings. Knows nothing of files, clocks, processes, or of
//! how preimages are found.

mod disassemble;
mod elf;
mod execute;
mod instructions;
mod proof;
mod state;
mod state_file;
mod statistics;
mod step;
mod syscall;
mod witness;

use std::io::{self, Read, Write};
use std::sync::Arc;

use tribunal_keccak::Hash;
use tribunal_machine::{
    Blame, Fault, Host, Later, Machine, Pause, PreimageRead, ReadState, StateFileError, Statistics,
    Status, StepProof, StopOn,
};
use tribunal_memory::{Memory, Pages, Storage};
use tribunal_preimage::{Fault as OracleFault, Key};

pub use crate::disassemble::{REGISTER_NAMES, disassemble};
pub use crate::elf::{ElfError, Program, load_elf};
pub use crate::execute::GuestFault;
pub use crate::instructions::{Encoding, INSTRUCTIONS, Instruction, Op, Syntax, decode};
pub use crate::proof::{MEMORY_PROOFS_OFFSET, PROOF_DATA_BYTES};
pub use crate::state::{
    HEAP_END, HEAP_START, INITIAL_SP, LlReservation, PROGRAM_BREAK, QUANTUM, State, Thread,
    ThreadStack, USER_ADDRESS_LIMIT,
};
pub use crate::state_file::Splitter;
pub use crate::syscall::{SYSCALLS, Syscall, SyscallKind};
pub use crate::witness::{
    EMPTY_STACK_ROOT, FieldDifference, STATE_WITNESS_BYTES, StateWitness, THREAD_WITNESS_BYTES,
    WitnessError,
};

use crate::proof::ProofRecorder;
use crate::statistics::Tracker;
use crate::step::NotProving;
use crate::witness::complete_witness;

/// The version byte of a state file.
pub const STATE_VERSION: u8 = 8;

/// What Cannon calls this version.
pub const VERSION_NAME: &str = "multithreaded64-5";

/// Every version Cannon has had, by version byte. Only the last is supported.
pub const KNOWN_VERSIONS: [&str; 9] = [
    "singlethreaded",
    "multithreaded",
    "singlethreaded-2",
    "multithreaded64",
    "multithreaded64-2",
    "multithreaded-2",
    "multithreaded64-3",
    "multithreaded64-4",
    VERSION_NAME,
];

/// The machine: a [`State`], and what it remembers between steps that is not part of it.
#[derive(Clone, Debug)]
pub struct Mips64<S: Storage = Pages> {
    state: State<S>,
    preimage: Option<CachedPreimage>,
    statistics: Tracker,
}

/// The preimage that was read from last. It is asked for again only once the key changes.
#[derive(Clone, Debug)]
struct CachedPreimage {
    key: Key,
    /// Behind its length as 8 big-endian bytes.
    value: Arc<[u8]>,
    /// Where the last read began, and the step counter after it.
    read: (u64, u64),
}

impl<S: Storage> Mips64<S> {
    /// A machine that goes on from `state`.
    pub fn new(state: State<S>) -> Self {
        Self { state, preimage: None, statistics: Tracker::default() }
    }

    /// The state.
    pub fn state(&self) -> &State<S> {
        &self.state
    }

    /// The state, for an engine that takes the plain steps itself and leaves the others to this one.
    ///
    /// A state that no steps lead to gets no worse answers here than from [`Mips64::new`].
    #[inline]
    pub fn state_mut(&mut self) -> &mut State<S> {
        &mut self.state
    }

    /// The state, when the run is over.
    pub fn into_state(self) -> State<S> {
        self.state
    }

    /// Reads a state of at most `max_bytes` bytes ([`Machine::state_bytes`]) into `storage`, which is
    /// empty.
    ///
    /// # Errors
    /// As [`ReadState::read_state`].
    pub fn read_into(
        storage: S,
        source: &mut dyn Read,
        max_bytes: u64,
    ) -> Result<Self, StateFileError> {
        state_file::read(source, storage, max_bytes).map(Self::new)
    }

    /// The same machine at the same moment, its memory kept by another storage, which is empty.
    pub fn move_to<T: Storage>(self, storage: T) -> Mips64<T> {
        let Self { state, preimage, statistics } = self;
        Mips64 { state: state.move_to(storage), preimage, statistics }
    }

    /// Takes exactly one step, proving nothing.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn step_once(&mut self, host: &mut dyn Host) -> Result<(), Fault> {
        self.step_with(host, &mut NotProving)
    }

    /// Takes one step, or fails to, and proves what it looked at until then: what an EVM needs to
    /// take the step, or to refuse it for the same reason.
    pub fn attempt_step(&mut self, host: &mut dyn Host) -> (Vec<u8>, Result<(), Fault>) {
        let mut recorder = ProofRecorder::begin(&mut self.state);
        let result = self.step_with(host, &mut recorder);
        (recorder.complete(&mut self.state.memory.answer_now()), result)
    }

    fn blame(&self, reason: GuestFault) -> Fault {
        let active = self.state.active_stack().top();
        let (blame, reason): (Blame, Box<dyn std::error::Error + Send + Sync>) = match reason {
            GuestFault::Oracle(error) if error.fault() == OracleFault::Program => {
                (Blame::Guest, error.into())
            }
            GuestFault::Oracle(error) => (Blame::Host, error.into()),
            GuestFault::State(what) => (Blame::State, what.into()),
            reason => (Blame::Guest, reason.into()),
        };
        Fault {
            step: self.state.step,
            thread: active.map_or(0, |thread| thread.id),
            pc: active.map_or(0, |thread| thread.pc),
            blame,
            reason,
        }
    }
}

impl<S: Storage> Machine for Mips64<S> {
    const NAME: &'static str = VERSION_NAME;

    fn step(&self) -> u64 {
        self.state.step
    }

    fn pc(&self) -> u64 {
        self.state.active_stack().top().map_or(0, |thread| thread.pc)
    }

    fn instruction(&self) -> u32 {
        let word = self.state.memory.peek(self.pc());
        (word >> if self.pc() & 4 == 0 { 32 } else { 0 }) as u32
    }

    fn exit_code(&self) -> Option<u8> {
        self.state.exit_code()
    }

    fn page_count(&self) -> u64 {
        self.state.memory.page_count() as u64
    }

    fn state_bytes(&self) -> u64 {
        self.state.bytes()
    }

    fn run(&mut self, until: u64, stop: StopOn, host: &mut dyn Host) -> Result<Pause, Fault> {
        while self.state.step != until {
            if self.state.exited == 1 {
                return Ok(Pause::Exited);
            }
            self.step_with(host, &mut NotProving)?;
            if stop == StopOn::PreimageRead && self.last_preimage_read().is_some() {
                return Ok(Pause::PreimageRead);
            }
        }
        Ok(if self.state.exited == 1 { Pause::Exited } else { Pause::Reached })
    }

    fn prove_step(&mut self, host: &mut dyn Host) -> Result<StepProof, Fault> {
        let asked = self.ask_step_proof(host);
        let mut answers = self.state.memory.answer_now();
        Ok(asked?.complete(&mut answers))
    }

    fn prove_step_later(&mut self, host: &mut dyn Host) -> Result<Later<StepProof>, Fault> {
        match self.ask_step_proof(host) {
            Ok(asked) => {
                let proof = self.state.memory.answer(|mut answers| asked.complete(&mut answers));
                Ok(proof.into())
            }
            Err(fault) => {
                drop(self.state.memory.answer_now());
                Err(fault)
            }
        }
    }

    fn witness(&mut self) -> Vec<u8> {
        self.state.witness().to_vec()
    }

    fn state_hash(&mut self) -> Hash {
        self.state.hash()
    }

    fn state_hash_later(&mut self) -> Later<Hash> {
        let mut witness = self.state.ask_witness();
        let hash = move |mut answers| complete_witness(&mut witness, &mut answers);
        self.state.memory.answer(hash).into()
    }

    fn last_preimage_read(&self) -> Option<PreimageRead> {
        let cached = self.preimage.as_ref()?;
        let (offset, step) = cached.read;
        (step == self.state.step).then(|| PreimageRead {
            key: cached.key,
            value: Arc::clone(&cached.value),
            offset,
        })
    }

    fn write_state(&self, sink: &mut dyn Write) -> io::Result<()> {
        state_file::write(&self.state, sink)
    }

    fn statistics(&self) -> Statistics {
        self.statistics.totals()
    }
}

impl Mips64 {
    /// Puts together what a [`Splitter`] took apart, in at most `max_bytes` bytes.
    ///
    /// # Errors
    /// If `rest` is not the rest of a state of this machine.
    pub fn from_split(rest: &[u8], memory: Memory, max_bytes: u64) -> Result<Self, StateFileError> {
        state_file::read_split(rest, memory, max_bytes).map(Self::new)
    }
}

impl ReadState for Mips64 {
    fn read_state(source: &mut dyn Read, max_bytes: u64) -> Result<Self, StateFileError> {
        Self::read_into(Pages::default(), source, max_bytes)
    }
}

/// The status byte of a state with these exit fields.
pub(crate) fn status(exited: u8, exit_code: u8) -> Status {
    Status::of((exited == 1).then_some(exit_code))
}
