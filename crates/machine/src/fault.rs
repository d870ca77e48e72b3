//! A step that could not be taken, and whose fault that is.

use std::error::Error;

/// A step that could not be taken. The machine is as it was before that step.
#[derive(Debug, thiserror::Error)]
#[error("{blame} at step {step} (thread {thread}, pc {pc:#x}): {reason}")]
pub struct Fault {
    /// The step that could not be taken.
    pub step: u64,
    /// The active thread.
    pub thread: u64,
    /// The address of the instruction.
    pub pc: u64,
    /// Whose fault it is.
    pub blame: Blame,
    /// What is wrong. Where the host did not answer, an
    /// [`OracleError`](tribunal_preimage::OracleError).
    pub reason: Box<dyn Error + Send + Sync>,
}

/// Whose fault a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The program did what no program may do. On chain the same step reverts.
    Guest,
    /// The host did not answer, or answered wrongly. Says nothing of the program.
    Host,
    /// The state is none that a machine can be in.
    State,
}

impl std::fmt::Display for Blame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Guest => "the program failed",
            Self::Host => "the host failed",
            Self::State => "the state is broken",
        })
    }
}
