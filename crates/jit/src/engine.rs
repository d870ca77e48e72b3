//! The engine: decides for every moment whether compiled code or the reference takes the next
//! steps, and compiles what is executed often.
//!
//! Compiled code takes plain steps only: registers, memory, branches. Every syscall, fault, switch
//! of threads and load-linked is a step of the reference, on the same state.

#![expect(unsafe_code, reason = "enters compiled code and is called back by it")]

use std::convert::Infallible;
use std::ffi::c_void;
use std::io::{self, Write};

use tribunal_keccak::Hash;
use tribunal_machine::{
    Fault, Host, Later, Machine, Pause, PreimageRead, Statistics, StepProof, StopOn, Stream,
};
use tribunal_mips64::{Mips64, State};
use tribunal_preimage::{Key, Oracle, OracleError};

use crate::blocks::Blocks;
use crate::code::CodeError;
use crate::fast::{Unavailable, Unread};
use crate::frame::{Exit, Frame, Near, Pins};
use crate::pinning::Sampler;
use crate::translate::{CAREFUL, Request, WITHHELD, compile};
use crate::turns::{self, Left};
use crate::window::{TABLE_END, Window, WindowError};

/// How often a place is come by before it is compiled.
const WARM: u8 = 2;

/// Places whose visits are counted. Two may share a count: then they are compiled sooner.
const COUNTED_PLACES: usize = 1 << 14;

/// A machine whose steps are taken by compiled code where that is possible.
///
/// Every step is counted, and any can be stopped at and proven: state, hashes and proofs are those
/// of [`Mips64`] at every step.
pub struct Compiler {
    core: Box<Core>,
    frame: Box<Frame>,
    visits: Box<[u8; COUNTED_PLACES]>,
    sampler: Sampler,
    /// The next block is to check each access by itself.
    careful: bool,
    /// Compiled code counts its steps: see [`Compiler::recompile`].
    counted: bool,
    options: Options,
    tables: Tables,
}

/// Looks now and then how much the kernel keeps of memory that the guest only reads.
#[derive(Default)]
struct Tables {
    /// How often the engine has run since somebody looked.
    runs: u32,
    /// Kilobytes that were there when all that could be was forgotten.
    base: u64,
}

impl Tables {
    /// A few hundredths of a second, mostly.
    const RUNS: u32 = 64;
    /// As much may come to be until the next time.
    const MOST: u64 = 256 << 10;

    fn are_large(&mut self) -> bool {
        self.runs += 1;
        if self.runs < Self::RUNS {
            return false;
        }
        self.runs = 0;
        Self::kilobytes().is_some_and(|kilobytes| kilobytes > self.base + Self::MOST)
    }

    fn forgotten(&mut self) {
        self.base = Self::kilobytes().unwrap_or_default();
    }

    /// Of this process, if the kernel says.
    fn kilobytes() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }
}

/// What compiled code can reach when it calls back.
struct Core {
    machine: Mips64<Window>,
    blocks: Blocks,
    /// The steps that compiled code was given when it was entered.
    given: u64,
}

/// How to compile. Changes how long a run takes, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Visits to a place before it is compiled.
    pub warm: u8,
    /// The most steps of one block.
    pub max_block: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { warm: WARM, max_block: usize::MAX }
    }
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("this processor lacks {0}")]
    Processor(&'static str),
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    Code(#[from] CodeError),
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("machine", &self.core.machine).finish_non_exhaustive()
    }
}

// SAFETY: the pointers in the frame lead to the window, which is owned and can be sent, and to the
// core, which is written there anew each time compiled code is entered.
unsafe impl Send for Compiler {}

impl Compiler {
    /// Goes on where `machine` stands.
    ///
    /// # Errors
    /// Where the system does not allow it; then `machine` comes back as it was.
    pub fn new(machine: Mips64, options: Options) -> Result<Self, (Box<Mips64>, Unavailable)> {
        match Room::reserve() {
            Ok(room) => Ok(room.furnish(options, |window| machine.move_to(window))),
            Err(reason) => Err((Box::new(machine), Unavailable(reason.to_string()))),
        }
    }

    /// Goes on where a machine stands that is read into the memory of compiled code, with no other on
    /// the way.
    ///
    /// # Errors
    /// Where the system does not allow it; then `unread` comes back. Within: where reading fails.
    pub fn read<U: Unread>(
        unread: U,
        options: Options,
    ) -> Result<Result<Self, U::Error>, (U, Unavailable)> {
        match Room::reserve() {
            Ok(room) => Ok(room.try_furnish(options, |window| unread.read(window))),
            Err(reason) => Err((unread, Unavailable(reason.to_string()))),
        }
    }

    /// Bytes of compiled code.
    pub fn code_bytes(&self) -> usize {
        self.core.blocks.code_bytes()
    }

    /// Throws away what is compiled, and goes on with code that counts its steps or, to measure what
    /// that costs, with code that does not. Of such a run only the end means anything: its steps have
    /// no numbers, it cannot be stopped, and it must not change its own code.
    #[doc(hidden)]
    pub fn recompile(&mut self, counted: bool) {
        self.counted = counted;
        let Core { machine, blocks, .. } = &mut *self.core;
        let (pins, near) = (Pins::new(*blocks.pins().guests()), blocks.near());
        blocks.clear(machine.state_mut().memory.storage_mut(), pins, near);
    }

    /// The block at `pc`, compiled now if it is warm.
    fn block(&mut self, pc: u64, careful: bool) -> Option<*const u8> {
        let name = if careful { pc | CAREFUL } else { pc };
        if let Some(code) = self.core.blocks.find(name) {
            return Some(code);
        }
        let visits = &mut self.visits[(pc >> 2) as usize % COUNTED_PLACES];
        if *visits < self.options.warm && !careful {
            *visits += 1;
            return None;
        }
        let Core { machine, blocks, .. } = &mut *self.core;
        let room = blocks.may_compile(pc);
        if room == 0 {
            return None;
        }
        let state = machine.state_mut();
        let at = blocks.next(state.memory.storage_mut());
        let memory = &state.memory;
        let request = Request {
            pc,
            max_steps: self.options.max_block.min(room),
            registers: &state.active_stack().top()?.registers,
            peek: &|address| memory.peek(address),
            at,
            links: blocks.links(),
            pins: blocks.pins(),
            near: blocks.near(),
            careful,
            counted: self.counted,
            shared: blocks.shared(),
        };
        let compiled = compile(&request);
        Some(blocks.insert(name, compiled, state.memory.storage_mut()))
    }

    /// Runs compiled code from `block` on, for at most `budget` steps.
    fn enter(&mut self, block: *const u8, budget: u64) -> Left {
        let frame = &mut *self.frame;
        let core = &mut *self.core;
        if let Some(thread) = core.machine.state().active_stack().top() {
            frame.registers = thread.registers;
            (frame.hi, frame.lo) = (thread.hi, thread.lo);
        }
        frame.budget = budget;
        core.given = budget;
        frame.engine = std::ptr::from_mut(core).cast();
        let enter = core.blocks.enter();
        // SAFETY: the block is one of `core.blocks`, so compiled for its prologue and for the window
        // of `core.machine`; both live as long as `core`. `load` and `store` expect a `Core`, and
        // nothing else refers to it while compiled code runs.
        unsafe { enter.call(frame, block) };
        // Below zero, if what came next was not to run whatever is left.
        let withheld = frame.budget > u64::MAX / 2;
        let left = frame.budget.wrapping_add(if withheld { WITHHELD } else { 0 });
        let state = core.machine.state_mut();
        state.step = state.step.wrapping_add(budget - left);
        state.steps_since_switch += budget - left;
        if let Some(thread) = state.active_stack_mut().top_mut() {
            thread.registers = frame.registers;
            (thread.hi, thread.lo) = (frame.hi, frame.lo);
            // Only a link leads to a careful block; another pc is as the guest made it.
            let by_link = frame.exit >= Exit::FIRST_LINK as u64;
            let pc = if by_link { frame.pc & !CAREFUL } else { frame.pc };
            (thread.pc, thread.next_pc) = (pc, pc.wrapping_add(4));
        }
        match frame.exit as usize {
            exit if exit == Exit::Budget as usize && !withheld => Left::WithTooFew(left),
            exit if exit == Exit::Interpret as usize => Left::ForReference,
            exit => {
                self.careful = exit >= Exit::FIRST_LINK && frame.pc & CAREFUL != 0;
                Left::ForBlock
            }
        }
    }

    /// The state, for who only looks.
    pub(crate) fn state(&self) -> &State<Window> {
        self.core.machine.state()
    }

    /// Compiled code was interrupted here: takes a sample, and now and then looks again which
    /// registers and segments are used most.
    fn sample(&mut self) {
        let Core { machine, blocks, .. } = &mut *self.core;
        let state = machine.state_mut();
        let Some(thread) = state.active_stack().top() else { return };
        if !self.sampler.sample(thread.pc, &thread.registers, &state.memory) {
            return;
        }
        let window = state.memory.storage_mut();
        let better = self.sampler.better_than(blocks.pins().guests(), blocks.near(), |segment| {
            window.delta(segment) != 0
        });
        if let Some((guests, near)) = better {
            blocks.clear(window, Pins::new(guests), near);
            self.frame.set_near(near, window);
        }
    }
}

/// What compiled code needs, before there is a machine.
struct Room {
    window: Window,
    blocks: Blocks,
    frame: Box<Frame>,
}

impl Room {
    fn reserve() -> Result<Self, Reason> {
        check_processor()?;
        let near = Near::FIRST_GUESS;
        let blocks = Blocks::new(Pins::new(Sampler::FIRST_GUESS), near)?;
        let window = Window::new(&near.segments)?;
        let mut frame = Box::new(Frame::new(&window, load, store, step));
        frame.set_near(blocks.near(), &window);
        Ok(Self { window, blocks, frame })
    }

    fn furnish(self, options: Options, machine: impl FnOnce(Window) -> Mips64<Window>) -> Compiler {
        let Ok(compiler) = self.try_furnish(options, |window| Ok::<_, Infallible>(machine(window)));
        compiler
    }

    fn try_furnish<E>(
        self,
        options: Options,
        machine: impl FnOnce(Window) -> Result<Mips64<Window>, E>,
    ) -> Result<Compiler, E> {
        let Self { window, blocks, frame } = self;
        let mut core = Box::new(Core { machine: machine(window)?, blocks, given: 0 });
        core.settle();
        Ok(Compiler {
            core,
            frame,
            visits: Box::new([0; COUNTED_PLACES]),
            sampler: Sampler::default(),
            careful: false,
            counted: true,
            options,
            tables: Tables::default(),
        })
    }
}

impl Core {
    /// Takes notice of what a step of the reference changed.
    #[inline]
    fn settle(&mut self) -> bool {
        let Self { machine, blocks, .. } = self;
        let reserved = machine.state().reservation.address;
        let window = machine.state_mut().memory.storage_mut();
        window.watch_reservation(reserved);
        let mut stale = false;
        for address in window.take_code_writes() {
            stale |= blocks.invalidate(address, window);
        }
        stale
    }
}

/// A load that compiled code does not do itself.
unsafe extern "sysv64" fn load(core: *mut c_void, address: u64, _value: u64, size: u64) -> u64 {
    // SAFETY: compiled code passes what `Compiler::enter` put into the frame: its core, which nobody
    // else refers to meanwhile.
    let core = unsafe { &mut *core.cast::<Core>() };
    let aligned = address & !(size - 1);
    let word = core.machine.state_mut().memory.word(aligned);
    let behind = 64 - size * 8 - (aligned & 7) * 8;
    word >> behind & (u64::MAX >> (64 - size * 8))
}

/// A store that compiled code does not do itself. Not 0 if compiled code may be stale.
unsafe extern "sysv64" fn store(core: *mut c_void, address: u64, value: u64, size: u64) -> u64 {
    // SAFETY: as for `load`.
    let core = unsafe { &mut *core.cast::<Core>() };
    let aligned = address & !(size - 1);
    let word = core.machine.state_mut().memory.word(aligned);
    let behind = 64 - size * 8 - (aligned & 7) * 8;
    let mask = (u64::MAX >> (64 - size * 8)) << behind;
    core.machine.store(aligned, word & !mask | value << behind & mask);
    core.settle().into()
}

/// A step of the reference in the middle of compiled code. Not 0 if compiled code may be stale.
unsafe extern "sysv64" fn step(core: *mut c_void, frame: *mut Frame, pc: u64, left: u64) -> u64 {
    // SAFETY: as for `load`; the frame is the one that compiled code runs with, on its stack.
    let (core, frame) = unsafe { (&mut *core.cast::<Core>(), &mut *frame) };
    let state = core.machine.state_mut();
    // The counters stand where compiled code was entered, and are to stay there.
    let counters = (state.step, state.steps_since_switch);
    let taken = core.given - left;
    state.step = state.step.wrapping_add(taken);
    state.steps_since_switch += taken;
    if let Some(thread) = state.active_stack_mut().top_mut() {
        thread.registers = frame.registers;
        (thread.pc, thread.next_pc) = (pc, pc.wrapping_add(4));
    }
    let done = core.machine.step_once(&mut NoHost);
    debug_assert!(done.is_ok(), "load-linked and store-conditional cannot fail");
    let state = core.machine.state_mut();
    if let Some(thread) = state.active_stack().top() {
        frame.registers = thread.registers;
    }
    (state.step, state.steps_since_switch) = counters;
    core.settle().into()
}

/// For steps that ask nothing of the world.
struct NoHost;

impl Oracle for NoHost {
    fn hint(&mut self, _hint: &[u8]) -> Result<(), OracleError> {
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        Err(OracleError::Missing { key, why: String::new() })
    }
}

impl Host for NoHost {
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}

    fn warn(&mut self, _message: &str) {}
}

fn check_processor() -> Result<(), Reason> {
    /// In the second word of hardware capabilities: user code may set the base of gs.
    const FSGSBASE: usize = 1 << 1;
    for (has, name) in [
        (is_x86_feature_detected!("bmi1"), "bmi1"),
        (is_x86_feature_detected!("bmi2"), "bmi2"),
        (is_x86_feature_detected!("lzcnt"), "lzcnt"),
        (
            rustix::param::linux_hwcap().1 & FSGSBASE != 0,
            "fsgsbase, or the kernel does not allow it",
        ),
    ] {
        if !has {
            return Err(Reason::Processor(name));
        }
    }
    Ok(())
}

impl turns::Blocks for Compiler {
    fn run_blocks(&mut self, until: u64) -> Option<Left> {
        let careful = std::mem::take(&mut self.careful);
        let (pc, budget) = turns::budget(self.state(), until)?;
        if pc >= TABLE_END {
            return None;
        }
        let block = self.block(pc, careful)?;
        let left = self.enter(block, budget);
        if matches!(left, Left::WithTooFew(_)) && self.sampler.is_due() {
            self.sample();
        }
        Some(left)
    }

    #[inline]
    fn step_of_reference(&mut self, host: &mut dyn Host) -> Result<(), Fault> {
        let result = self.core.machine.step_once(host);
        self.core.settle();
        result
    }
}

impl Machine for Compiler {
    const NAME: &'static str = Mips64::<Window>::NAME;

    fn step(&self) -> u64 {
        self.core.machine.step()
    }

    fn pc(&self) -> u64 {
        self.core.machine.pc()
    }

    fn instruction(&self) -> u32 {
        self.core.machine.instruction()
    }

    fn exit_code(&self) -> Option<u8> {
        self.core.machine.exit_code()
    }

    fn page_count(&self) -> u64 {
        self.core.machine.page_count()
    }

    fn state_bytes(&self) -> u64 {
        self.core.machine.state_bytes()
    }

    fn run(&mut self, until: u64, stop: StopOn, host: &mut dyn Host) -> Result<Pause, Fault> {
        if self.tables.are_large() {
            self.core.machine.state_mut().memory.storage_mut().forget_reads();
            self.tables.forgotten();
        }
        turns::run(self, until, stop, host)
    }

    fn prove_step(&mut self, host: &mut dyn Host) -> Result<StepProof, Fault> {
        let proof = self.core.machine.prove_step(host);
        self.core.settle();
        proof
    }

    fn prove_step_later(&mut self, host: &mut dyn Host) -> Result<Later<StepProof>, Fault> {
        let proof = self.core.machine.prove_step_later(host);
        self.core.settle();
        proof
    }

    fn witness(&mut self) -> Vec<u8> {
        self.core.machine.witness()
    }

    fn state_hash(&mut self) -> Hash {
        self.core.machine.state_hash()
    }

    fn state_hash_later(&mut self) -> Later<Hash> {
        self.core.machine.state_hash_later()
    }

    fn last_preimage_read(&self) -> Option<PreimageRead> {
        self.core.machine.last_preimage_read()
    }

    fn write_state(&self, sink: &mut dyn Write) -> io::Result<()> {
        self.core.machine.write_state(sink)
    }

    fn statistics(&self) -> Statistics {
        self.core.machine.statistics()
    }
}
