//! A run that nothing is kept of on the way: it only shows progress and can be interrupted.

use tribunal_machine::{
    Events, Host, Later, Machine, Outcome, PreimageStop, RunError, RunPlan, StepPattern, StepProof,
    run,
};

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Polls for interrupts and shows progress.
pub(crate) struct Watch<'a> {
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) progress: &'a mut Progress,
}

impl<M: Machine> Events<M> for Watch<'_> {
    type Error = Failure;

    fn poll(&mut self, machine: &M) -> Result<()> {
        self.interrupt.check()?;
        self.progress.tick(machine);
        Ok(())
    }

    fn info(&mut self, _: &M) {}

    fn snapshot(&mut self, _: &M) -> Result<()> {
        Ok(())
    }

    fn proof(&mut self, _: Later<StepProof>) -> Result<()> {
        Ok(())
    }
}

/// Runs to the end of the program and returns its exit code.
pub(crate) fn run_to_end<M: Machine>(
    machine: &mut M,
    max_bytes: u64,
    host: &mut dyn Host,
    watch: &mut Watch<'_>,
) -> std::result::Result<u8, RunError<Failure>> {
    let plan = RunPlan {
        info_at: StepPattern::Never,
        stop_at: StepPattern::Never,
        snapshot_at: StepPattern::Never,
        proof_at: StepPattern::Never,
        stop_at_preimage: PreimageStop::default(),
        max_bytes,
    };
    loop {
        // Nothing stops it on the way, so this is its exit code.
        if let Outcome::Exited(code) = run(machine, &plan, host, watch)? {
            return Ok(code);
        }
    }
}
