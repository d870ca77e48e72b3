//! How an engine and the reference take turns: plain steps in blocks, every other step by the
//! reference, and all of them counted.
//!
//! Knows when blocks may begin and how far they may go. Knows nothing of how they are made.

use tribunal_machine::{Fault, Host, Machine, Pause, StopOn};
use tribunal_memory::Storage;
use tribunal_mips64::{QUANTUM, State};

/// Why blocks were left.
pub(crate) enum Left {
    /// The next block has more steps than these, which are left.
    WithTooFew(u64),
    /// The next step is for the reference.
    ForReference,
    /// For a block that is not there yet.
    ForBlock,
}

/// An engine that runs blocks where it has some.
pub(crate) trait Blocks: Machine {
    /// Runs blocks from here on, up to step `until`. None if there is no block, or none may begin.
    fn run_blocks(&mut self, until: u64) -> Option<Left>;

    /// Takes one step of the reference, and notice of what it changed.
    ///
    /// # Errors
    /// As [`Machine::run`].
    fn step_of_reference(&mut self, host: &mut dyn Host) -> Result<(), Fault>;
}

/// [`Machine::run`], in turns.
pub(crate) fn run<B: Blocks>(
    engine: &mut B,
    until: u64,
    stop: StopOn,
    host: &mut dyn Host,
) -> Result<Pause, Fault> {
    // Steps that the reference is to take before anything else.
    let mut owed = 0;
    while engine.step() != until && engine.exit_code().is_none() {
        if owed == 0
            && let Some(left) = engine.run_blocks(until)
        {
            owed = match left {
                Left::WithTooFew(steps) => steps,
                Left::ForReference => 1,
                Left::ForBlock => 0,
            };
            continue;
        }
        // So many steps, or as far as the program goes without a jump.
        let counted = owed > 0;
        loop {
            let next = engine.pc().wrapping_add(4);
            engine.step_of_reference(host)?;
            if stop == StopOn::PreimageRead && engine.last_preimage_read().is_some() {
                return Ok(Pause::PreimageRead);
            }
            owed = owed.saturating_sub(1);
            let enough = if counted { owed == 0 } else { engine.pc() != next };
            if enough || engine.step() == until || engine.exit_code().is_some() {
                break;
            }
        }
    }
    Ok(if engine.exit_code().is_some() { Pause::Exited } else { Pause::Reached })
}

/// Where blocks would begin, and the steps that they may take at once: up to `until`, and no
/// thread's turn ends before. None if the state is not one that blocks begin from.
#[inline]
pub(crate) fn budget<S: Storage>(state: &State<S>, until: u64) -> Option<(u64, u64)> {
    let thread = state.active_stack().top()?;
    let plain = state.exited == 0
        && thread.exited == 0
        && thread.pc.is_multiple_of(4)
        && thread.next_pc == thread.pc.wrapping_add(4)
        && thread.registers[0] == 0;
    let turn = QUANTUM.checked_sub(state.steps_since_switch)?;
    (plain && turn > 0).then(|| (thread.pc, turn.min(until.wrapping_sub(state.step))))
}
