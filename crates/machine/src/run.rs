//! The run loop: forward to the end or to a stop, with snapshots and proofs on the way.
//!
//! The order at each step is Cannon's: information, stop, snapshot, then the step itself, proven or
//! not, then the question whether it read the preimage to stop at.

use std::error::Error;

use crate::{Fault, Host, Later, Machine, Pause, PreimageRead, StepPattern, StepProof, StopOn};

/// The most steps between two looks at the world: the limit on memory, and [`Events::poll`].
pub const STEPS_BETWEEN_POLLS: u64 = 1 << 18;

/// So many between two looks at least, as long as nothing else stops the run. An engine that compiles
/// has to leave its code for each.
const LEAST_BETWEEN_POLLS: u64 = 1 << 15;

/// The most bytes that a step makes of pages. So memory outgrows its limit by
/// [`LEAST_BETWEEN_POLLS`] times as much at most: 256 MiB.
const BYTES_OF_STEP: u64 = 2 * 4096;

/// What to do on the way.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// When to call [`Events::info`].
    pub info_at: StepPattern,
    /// Where to stop.
    pub stop_at: StepPattern,
    /// When to call [`Events::snapshot`].
    pub snapshot_at: StepPattern,
    /// Which steps to prove.
    pub proof_at: StepPattern,
    /// After which preimage read to stop.
    pub stop_at_preimage: PreimageStop,
    /// The most bytes that the state may hold.
    pub max_bytes: u64,
}

/// A preimage read to stop after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreimageStop {
    /// Stop at any read at all.
    pub any: bool,
    /// Bytes that the key begins with. Empty: no key stops the run.
    pub key_prefix: Vec<u8>,
    /// The offset the read begins at, when the key alone decides; `None` for any.
    pub offset: Option<u64>,
    /// The first step that may stop, when the key alone decides.
    pub min_step: u64,
    /// Stop at preimages larger than this, their 8-byte length included. 0: size stops nothing.
    pub larger_than: u64,
}

impl PreimageStop {
    fn stops_nothing(&self) -> bool {
        !self.any && self.key_prefix.is_empty() && self.larger_than == 0
    }

    /// Whether to stop after `read`, which `step` did.
    ///
    /// With a prefix and a size both must match; a prefix alone needs its offset and its first
    /// step; a size alone is enough.
    fn matches(&self, read: &PreimageRead, step: u64) -> bool {
        if self.any {
            return true;
        }
        let size = self.larger_than != 0 && read.value.len() as u64 > self.larger_than;
        if self.key_prefix.is_empty() {
            return size;
        }
        let key = read.key.as_bytes().starts_with(&self.key_prefix);
        if self.larger_than != 0 {
            return key && size;
        }
        key && self.offset.is_none_or(|offset| offset == read.offset) && step >= self.min_step
    }
}

/// What happens on the way, for whoever wants to know, show or keep it.
pub trait Events<M> {
    /// Why the run cannot go on.
    type Error: Error;

    /// Called every [`STEPS_BETWEEN_POLLS`] steps or more often.
    ///
    /// # Errors
    /// Ends the run.
    fn poll(&mut self, machine: &M) -> Result<(), Self::Error>;

    /// A step of `info_at` is next.
    fn info(&mut self, machine: &M);

    /// A step of `snapshot_at` is next.
    ///
    /// # Errors
    /// Ends the run.
    fn snapshot(&mut self, machine: &M) -> Result<(), Self::Error>;

    /// A step of `proof_at` was taken, whose proof may be still to come.
    ///
    /// # Errors
    /// Ends the run.
    fn proof(&mut self, proof: Later<StepProof>) -> Result<(), Self::Error>;
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program exited with this code.
    Exited(u8),
    /// The next step is one to stop at.
    Stopped,
    /// The last step read the preimage to stop after.
    StoppedAtPreimage(PreimageRead),
}

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E: Error + 'static> {
    /// A step could not be taken.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The state outgrew its limit.
    #[error(
        "the program uses {bytes} bytes of memory at step {step}, more than the limit of {limit}"
    )]
    TooLarge {
        /// Where.
        step: u64,
        /// What the state holds.
        bytes: u64,
        /// What it may hold.
        limit: u64,
    },
    /// Whoever listens could not go on.
    #[error(transparent)]
    Listener(E),
}

/// Runs `machine` until it exits or is to stop.
///
/// # Errors
/// See [`RunError`]; the machine then stands before the step that could not be taken.
pub fn run<M: Machine, E: Events<M>>(
    machine: &mut M,
    plan: &RunPlan,
    host: &mut dyn Host,
    events: &mut E,
) -> Result<Outcome, RunError<E::Error>> {
    let stop_on =
        if plan.stop_at_preimage.stops_nothing() { StopOn::Nothing } else { StopOn::PreimageRead };
    loop {
        if let Some(code) = machine.exit_code() {
            return Ok(Outcome::Exited(code));
        }
        let unwatched = poll(machine, plan.max_bytes, events)?;
        let step = machine.step();
        if plan.info_at.matches(step) {
            events.info(machine);
        }
        if plan.stop_at.matches(step) {
            return Ok(Outcome::Stopped);
        }
        if plan.snapshot_at.matches(step) {
            events.snapshot(machine).map_err(RunError::Listener)?;
        }
        let may_have_read = if plan.proof_at.matches(step) {
            let proof = machine.prove_step_later(host)?;
            events.proof(proof).map_err(RunError::Listener)?;
            true
        } else {
            let pause = machine.run(next_halt(plan, step, unwatched), stop_on, host)?;
            pause == Pause::PreimageRead
        };
        if may_have_read
            && let Some(read) = machine.last_preimage_read()
            && plan.stop_at_preimage.matches(&read, machine.step().wrapping_sub(1))
        {
            return Ok(Outcome::StoppedAtPreimage(read));
        }
    }
}

/// The first step after `step` at which the loop has something to do, at most `unwatched` away.
fn next_halt(plan: &RunPlan, step: u64, unwatched: u64) -> u64 {
    let after = step.wrapping_add(1);
    [plan.info_at, plan.stop_at, plan.snapshot_at, plan.proof_at]
        .into_iter()
        .filter_map(|pattern| pattern.next(after))
        // Next to its end the counter wraps, and a halt may lie behind: go step by step there.
        .chain([step.checked_add(unwatched).unwrap_or(after)])
        .min()
        .unwrap_or(after)
}

/// Looks at the world, and says for how many steps nobody needs to look again.
pub(crate) fn poll<M: Machine, E: Events<M>>(
    machine: &M,
    limit: u64,
    events: &mut E,
) -> Result<u64, RunError<E::Error>> {
    let bytes = machine.state_bytes();
    let Some(left) = limit.checked_sub(bytes) else {
        return Err(RunError::TooLarge { step: machine.step(), bytes, limit });
    };
    events.poll(machine).map_err(RunError::Listener)?;
    Ok((left / BYTES_OF_STEP).clamp(LEAST_BETWEEN_POLLS, STEPS_BETWEEN_POLLS))
}

#[cfg(test)]
mod tests {
    use tribunal_preimage::Key;

    use super::*;

    fn read(key: Key, length: usize, offset: u64) -> PreimageRead {
        PreimageRead { key, value: vec![0; length].into(), offset }
    }

    #[test]
    fn key_and_size_stop_as_in_cannon() {
        let key = Key::local(1);
        let prefix = PreimageStop {
            key_prefix: vec![1, 0],
            offset: Some(8),
            min_step: 50,
            ..PreimageStop::default()
        };
        assert!(prefix.matches(&read(key, 20, 8), 50));
        assert!(!prefix.matches(&read(key, 20, 8), 49), "too early");
        assert!(!prefix.matches(&read(key, 20, 0), 50), "another offset");
        assert!(!prefix.matches(&read(Key::from_bytes([2; 32]), 20, 8), 50), "another key");

        let size = PreimageStop { larger_than: 20, ..PreimageStop::default() };
        assert!(size.matches(&read(key, 21, 3), 0) && !size.matches(&read(key, 20, 3), 0));

        let both = PreimageStop { larger_than: 20, ..prefix };
        assert!(both.matches(&read(key, 21, 0), 0), "with a size, offset and step do not count");
        assert!(!both.matches(&read(key, 20, 8), 50));
        assert!(!both.matches(&read(Key::from_bytes([2; 32]), 21, 8), 50));

        assert!(PreimageStop { any: true, ..PreimageStop::default() }.matches(&read(key, 1, 0), 0));
        assert!(PreimageStop::default().stops_nothing());
    }

    #[test]
    fn the_loop_halts_at_the_nearest_thing_to_do() {
        let plan = RunPlan {
            info_at: StepPattern::Every(1000),
            stop_at: StepPattern::At(70),
            snapshot_at: StepPattern::Never,
            proof_at: StepPattern::Always,
            stop_at_preimage: PreimageStop::default(),
            max_bytes: u64::MAX,
        };
        assert_eq!(next_halt(&plan, 5, 500), 6);
        let plan = RunPlan { proof_at: StepPattern::Never, ..plan };
        assert_eq!(next_halt(&plan, 5, 500), 70);
        assert_eq!(next_halt(&plan, 70, 5000), 1000);
        let plan = RunPlan { info_at: StepPattern::Never, ..plan };
        assert_eq!(next_halt(&plan, 1000, 77), 1077);
        assert_eq!(next_halt(&plan, u64::MAX, 500), 0, "the step counter wraps");
        assert_eq!(next_halt(&plan, u64::MAX - 1, 500), u64::MAX);
    }
}
