//! The OP Stack program as a function in this process: what it decides in the machine, at the speed of
//! this one. Knows how far it got and what kept it from a verdict; knows no rule of the chain.

use std::collections::BTreeSet;
use std::error::Error as _;

use optimism::{Decision, Progress as Event, decide};
use tribunal_guest::Verdict;
use tribunal_keccak::Hash;
use tribunal_optimism::Preimages;
use tribunal_preimage::{ChannelError, Key, Oracle, OracleError};

use crate::failure::{Failure, Kind, Result, of_oracle, was_sought};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::units::Count;

/// What the program decided, and on what way.
pub(crate) struct Judged {
    pub(crate) decision: Decision,
    /// The L2 blocks that were derived and executed: number and hash, in ascending order.
    pub(crate) blocks: Vec<(u64, Hash)>,
    /// How many L1 blocks were looked at.
    pub(crate) l1_blocks: usize,
    /// The number of the L1 block at which data ends, if any was looked at.
    pub(crate) l1_head: Option<u64>,
}

impl Judged {
    /// The program's exit status.
    pub(crate) fn code(&self) -> u8 {
        match self.decision.verdict() {
            Verdict::Holds => 0,
            Verdict::Wrong => 1,
        }
    }
}

/// Runs the program over a host in this process, and shows how far it is.
pub(crate) fn judge(
    oracle: &mut dyn Oracle,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Result<Judged> {
    let mut blocks: Vec<(u64, Hash)> = Vec::new();
    let mut l1_blocks = BTreeSet::new();
    let mut l1_head = None;
    let mut place = String::new();
    let decision = decide(Preimages::new(Interruptible { oracle, interrupt }), &mut |event| {
        match event {
            Event::L1 { number, head } => {
                l1_blocks.insert(number);
                l1_head = Some(head);
                place = format!("L1 block {} of {}", Count(number), Count(head));
            }
            Event::L2 { number, hash, claimed } => {
                // After a batch that was given up, a block may come again.
                blocks.retain(|(before, _)| *before < number);
                blocks.push((number, hash.0));
                let made = format!("L2 block {} of {}", Count(number), Count(claimed));
                place = match place.split_once(", L2") {
                    Some((l1, _)) => format!("{l1}, {made}"),
                    None => format!("{place}, {made}"),
                };
            }
            _ => {}
        }
        progress.show(|_| place.clone());
    });
    let decision = decision.map_err(|error| undecided(&error))?;
    Ok(Judged { decision, blocks, l1_blocks: l1_blocks.len(), l1_head })
}

/// An oracle that fails once somebody wants the command to end.
struct Interruptible<'a> {
    oracle: &'a mut dyn Oracle,
    interrupt: &'a Interrupt,
}

impl Oracle for Interruptible<'_> {
    fn hint(&mut self, hint: &[u8]) -> std::result::Result<(), OracleError> {
        self.oracle.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> std::result::Result<Vec<u8>, OracleError> {
        if self.interrupt.check().is_err() {
            return Err(OracleError::Channel(ChannelError::Cancelled));
        }
        self.oracle.preimage(key)
    }
}

/// Why nothing was decided.
fn undecided(error: &optimism::Error) -> Failure {
    let mut failure = Failure::new(Kind::Input, format!("nothing was decided: {error}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<OracleError>() {
            let told = of_oracle(error, "the native run").detail(failure.to_string());
            return match error {
                OracleError::Missing { why, .. } if !was_sought(why) => told
                    .hint("name nodes that have it, or a store; nothing is known of the claim yet"),
                _ => told,
            };
        }
        failure = failure.detail(error.to_string());
        cause = error.source();
    }
    failure.hint("what is agreed, the L1 head or a configuration was wrong; look at the inputs")
}
