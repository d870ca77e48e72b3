//! A fault-proof program: is this the output root of this block of an L2 chain?
//!
//! It begins with an output root that is agreed on, derives the blocks that follow from the data on L1
//! up to a block of it, executes them, and compares the output root of the last one with the claim.
//!
//! # Inputs
//! | local key | content |
//! | --- | --- |
//! | 1 | hash of the L1 block at which data ends, 32 bytes |
//! | 2 | agreed output root, 32 bytes |
//! | 3 | claimed output root, 32 bytes |
//! | 4 | number of the L2 block that the claim is about, 8 bytes, big-endian |
//! | 5 | chain id, 8 bytes, big-endian |
//! | 6 | rollup configuration, JSON; asked for only if the chain is none that the program knows |
//! | 7 | L1 chain configuration, JSON; likewise |
//!
//! These are kona's, whose rules these are too. On chain only 1 to 5 exist.
//!
//! # What follows for a claim
//! | the claimed block | the claim holds if its root is that of |
//! | --- | --- |
//! | is before the agreed one | no block |
//! | is the agreed one | the agreed one |
//! | is in what L1 holds | the block |
//! | is beyond it | the last block that can be derived |
//!
//! # Exit status
//! 0 the claim holds, 1 it is wrong. Whatever is missing, or contradicts what is agreed, is an
//! [`Error`], so 2 and above. What a batcher wrote is skipped at worst.
#![no_std]

extern crate alloc;

mod boot;
mod chain;
mod derive;
mod error;

use core::fmt;

use alloy_primitives::B256;
use tribunal_guest::{Oracle, Verdict, println};
use tribunal_optimism::{Hints, Preimages};

pub use boot::{Boot, inputs};
pub use chain::Progress;
pub use derive::Output;
pub use error::Error;

/// The program: [`decide`], and what it found on stdout.
///
/// # Errors
/// As [`decide`].
pub fn run<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    let decision = decide(Preimages::new(oracle).with_hints(Hints::Proofs), &mut |_| {})?;
    println!("{decision}");
    Ok(decision.verdict())
}

/// Whether the claim holds. `watch` is told how far it got.
///
/// # Errors
/// If that could not be told.
pub fn decide<O: Oracle>(
    mut preimages: Preimages<O>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Decision, Error> {
    let boot = Boot::read(&mut preimages)?;
    let decision = |finding| Decision {
        claim: boot.claim,
        number: boot.claimed_number,
        known_chain: boot.known_chain,
        finding,
    };
    let chain = chain::Chain::agreed(preimages, &boot, watch)?;
    let agreed = chain.agreed_number();
    if boot.claimed_number < agreed {
        return Ok(decision(Finding::BeforeAgreed { agreed }));
    }
    let output = if boot.claimed_number == agreed {
        Output { number: agreed, root: boot.agreed_output }
    } else {
        derive::derive(chain, &boot)?
    };
    Ok(decision(Finding::Output(output)))
}

/// What the program found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The claimed output root.
    pub claim: B256,
    /// The number of the block that it is claimed of.
    pub number: u64,
    /// The configurations are the program's own, not inputs that nobody has verified.
    pub known_chain: bool,
    /// What was found.
    pub finding: Finding,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The claim is about a block before the agreed one, of which nobody can claim anything.
    BeforeAgreed {
        /// The number of the agreed block.
        agreed: u64,
    },
    /// The output root of the block, or of the last one that L1 holds.
    Output(Output),
}

impl Decision {
    /// What follows for the claim.
    pub fn verdict(&self) -> Verdict {
        Verdict::from_claim(match self.finding {
            Finding::BeforeAgreed { .. } => false,
            Finding::Output(output) => output.root == self.claim,
        })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, number, .. } = self;
        match self.finding {
            Finding::BeforeAgreed { agreed } => {
                write!(f, "block {number} is claimed, and block {agreed} is agreed on already")?;
            }
            Finding::Output(output) => {
                let root = output.root;
                if output.number < *number {
                    writeln!(f, "L1 holds no block after {}, its output counts", output.number)?;
                }
                let verdict = if root == *claim { "as claimed" } else { "and not as claimed" };
                write!(f, "output root of block {}: {root}, {verdict}", output.number)?;
                if root != *claim {
                    write!(f, ": {claim}")?;
                }
            }
        }
        if !self.known_chain {
            f.write_str("\nnote: the chain is not known here; its configuration was not verified")?;
        }
        Ok(())
    }
}
