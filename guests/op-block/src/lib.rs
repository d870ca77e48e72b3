//! A fault-proof program: is this L2 block what its parent and its transactions make it?
//!
//! It is given the hash of a block that is agreed on and the hash that is claimed of the next one. It
//! reads both headers and the claimed block's transactions, executes these on the state after the
//! parent, and compares every field of the header that comes out. Transactions, time, randomness, fee
//! recipient, gas limit, beacon root and fee parameters are the claimed header's: it asks no further.
//!
//! # Inputs
//! | local key | content |
//! | --- | --- |
//! | 2 | hash of the parent, 32 bytes |
//! | 3 | claimed hash of the block, 32 bytes |
//! | 5 | chain id, 8 bytes, big-endian |
//! | 6 | rollup configuration, JSON; asked for only if the chain is none that the program knows |
//!
//! # Exit status
//! 0 the claim holds, 1 it is wrong: a field differs, the rules allow no such block, or what has the
//! claimed hash is no block. Whatever is missing, or of the parent malformed, is an [`Error`], so 2.
#![no_std]

extern crate alloc;

mod compare;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use alloy_primitives::B256;
use tribunal_guest::{Hint, Key, Oracle, Verdict, println};
use tribunal_optimism::{
    Attributes, Error as BlockError, Hints, Item, Preimages, State, Undecided, execute, list,
};
use tribunal_rollup::{ConfigError, JsonError, RollupConfig, registry};

pub use compare::{Difference, compare};

/// Local input: the hash of the parent, which is agreed on.
pub const PARENT: Key = Key::local(2);

/// Local input: the claimed hash of the block.
pub const CLAIM: Key = Key::local(3);

/// Local input: the chain.
pub const CHAIN_ID: Key = Key::local(5);

/// Local input: the configuration of a chain that the program does not know.
pub const CONFIG: Key = Key::local(6);

/// The program: [`decide`], and what it found on stdout.
///
/// # Errors
/// As [`decide`].
pub fn run<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    print(decide(Preimages::new(oracle)))
}

/// The same, with every precompiled contract computed in place.
///
/// # Errors
/// As [`decide`].
pub fn run_computed<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    print(decide(Preimages::new(oracle).without_acceleration()))
}

fn print(decision: Result<Decision, Error>) -> Result<Verdict, Error> {
    let decision = decision?;
    println!("{decision}");
    Ok(decision.verdict())
}

/// Whether the claimed block is what its parent and its transactions make it.
///
/// # Errors
/// If that could not be told.
pub fn decide<O: Oracle>(mut preimages: Preimages<O>) -> Result<Decision, Error> {
    let parent_hash = hash_input(&mut preimages, PARENT, "hash of the parent")?;
    let claim = hash_input(&mut preimages, CLAIM, "claimed hash")?;
    let (config, known_chain) = configuration(&mut preimages)?;
    let parent = preimages.header(parent_hash)?;
    let decision = |finding| Decision { claim, parent: parent.number, known_chain, finding };

    let claimed = match preimages.header(claim) {
        Ok(header) => header,
        // The bytes are there, and whoever claims that they are a block is wrong.
        Err(error @ Undecided::Header { .. }) => {
            return Ok(decision(Finding::Impossible(error.to_string())));
        }
        Err(error) => return Err(error.into()),
    };
    let hint = Hint::L2Transactions { hash: claim.0, chain: None };
    let transactions = match preimages.list(&hint, claimed.transactions_root) {
        Ok(transactions) => transactions,
        Err(list::Error::Nodes(undecided)) => return Err(undecided.into()),
        Err(error) => return Ok(decision(Finding::Impossible(error.to_string()))),
    };
    let count = transactions.len();
    let attributes = match Attributes::of_block(&config, &claimed, transactions) {
        Ok(attributes) => attributes,
        Err(invalid) => return Ok(decision(Finding::Impossible(invalid.to_string()))),
    };
    let mut state = State::new(preimages, parent.clone(), parent_hash);
    let executed = execute(&mut state, &config, &attributes, &mut |_, _| {});
    // In a machine the program ends with this block: nobody needs the memory that it took.
    #[cfg(target_os = "none")]
    core::mem::forget(state);
    match executed {
        Ok(executed) if executed.hash == claim => {
            let gas_used = executed.header.gas_used;
            Ok(decision(Finding::Same { transactions: count, gas_used }))
        }
        Ok(executed) => Ok(decision(Finding::Differs(compare(&claimed, &executed.header)))),
        Err(BlockError::Invalid(invalid)) => Ok(decision(Finding::Impossible(invalid.to_string()))),
        Err(BlockError::Undecided(undecided)) => Err(undecided.into()),
    }
}

/// What the program found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The claimed hash.
    pub claim: B256,
    /// The parent's number.
    pub parent: u64,
    /// The configuration is the program's own, not an input that nobody has verified.
    pub known_chain: bool,
    /// What was found.
    pub finding: Finding,
}

/// What was found of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The header that came out is another one.
    Differs(Vec<Difference>),
    /// The rules allow no such block, for this reason.
    Impossible(String),
    /// The claimed header came out.
    Same {
        /// How many transactions there are.
        transactions: usize,
        /// The gas that they used.
        gas_used: u64,
    },
}

impl Decision {
    /// What follows for the claim.
    pub const fn verdict(&self) -> Verdict {
        Verdict::from_claim(matches!(self.finding, Finding::Same { .. }))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.parent.wrapping_add(1);
        write!(f, "block {number} {}: ", self.claim)?;
        match &self.finding {
            Finding::Same { transactions, gas_used } => {
                write!(f, "as claimed, {transactions} transactions, {gas_used} gas")?;
            }
            Finding::Impossible(reason) => write!(f, "no such block: {reason}")?,
            Finding::Differs(differences) => {
                f.write_str("not what its transactions make it")?;
                for difference in differences {
                    write!(f, "\n  {difference}")?;
                }
            }
        }
        if !self.known_chain {
            f.write_str("\nnote: the chain is not known here; its configuration was not verified")?;
        }
        Ok(())
    }
}

/// The configuration of the chain, and whether it is the program's own.
fn configuration<O: Oracle>(preimages: &mut Preimages<O>) -> Result<(RollupConfig, bool), Error> {
    let bytes = preimages.ask(CHAIN_ID, Item::Local("chain id"))?;
    let bytes = <[u8; 8]>::try_from(&bytes[..]).map_err(|_| Error::Input {
        name: "chain id",
        expected: 8,
        len: bytes.len(),
    })?;
    let chain_id = u64::from_be_bytes(bytes);
    if let Some(config) = registry::rollup(chain_id) {
        config.check()?;
        return Ok((config, true));
    }
    let json = preimages.ask(CONFIG, Item::Local("rollup configuration"))?;
    let config = RollupConfig::from_json(&json)?;
    if config.l2_chain_id != chain_id {
        return Err(Error::Chain { given: chain_id, config: config.l2_chain_id });
    }
    Ok((config, false))
}

/// A local input that is a hash.
fn hash_input<O: Oracle>(
    preimages: &mut Preimages<O>,
    key: Key,
    name: &'static str,
) -> Result<B256, Error> {
    let bytes = preimages.ask(key, Item::Local(name))?;
    let len = bytes.len();
    B256::try_from(&bytes[..]).map_err(|_| Error::Input { name, expected: 32, len })
}

/// Why nothing was decided.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is another chain's.
    #[error("the chain id (local input 5) is {given}, the configuration (6) says {config}")]
    Chain {
        /// Local input 5.
        given: u64,
        /// What the configuration says.
        config: u64,
    },
    /// The configuration is none.
    #[error("the rollup configuration (local input 6) cannot be used")]
    Config(#[from] JsonError),
    /// The chain is known, but has rules of its own.
    #[error("nothing can be said of this chain's blocks: {0}")]
    Rules(#[from] ConfigError),
    /// A local input has the wrong length.
    #[error(
        "the {name} is {len} bytes long, not {expected}: the host was started with a wrong input"
    )]
    Input {
        /// Which one.
        name: &'static str,
        /// The length that it should have, in bytes.
        expected: usize,
        /// The one that it has.
        len: usize,
    },
    /// It could not be told.
    #[error(transparent)]
    Undecided(#[from] Undecided),
}

/// Hints are needless where everything is there.
pub fn without_hints<O: Oracle>(oracle: O) -> Preimages<O> {
    Preimages::new(oracle).with_hints(Hints::None)
}
