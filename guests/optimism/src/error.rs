//! Why nothing was decided.

use alloc::boxed::Box;

use alloy_primitives::B256;
use tribunal_derivation::ChainError;
use tribunal_optimism::{InvalidBlock, Undecided, list};
use tribunal_rollup::{ConfigError, JsonError};

/// Why nothing was decided.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is agreed, the L1 head and the configuration cannot all be of one chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The configuration is another chain's.
    #[error("the {what} (local input {key}) is of chain {config}, expected was {expected}")]
    ChainId {
        /// Which configuration.
        what: &'static str,
        /// The local input.
        key: u64,
        /// What the configuration says.
        config: u64,
        /// What another input says.
        expected: u64,
    },
    /// A configuration is none.
    #[error("the {what} (local input {key}) cannot be used")]
    Config {
        /// Which configuration.
        what: &'static str,
        /// The local input.
        key: u64,
        /// Why.
        source: JsonError,
    },
    /// A block that cannot be otherwise is none.
    #[error("L2 block {number} with nothing but its deposits is invalid: {reason}")]
    DepositsOnly {
        /// The block's number.
        number: u64,
        /// Why.
        reason: InvalidBlock,
    },
    /// The bytes with the hash of a block are no header.
    #[error("what has the {chain} block hash {hash} is no header")]
    Header {
        /// Of which chain.
        chain: &'static str,
        /// The hash.
        hash: B256,
    },
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
    /// The list of a block is none.
    #[error("the {what} of block {block} are no list: {reason}")]
    List {
        /// Transactions or receipts.
        what: &'static str,
        /// The block's hash.
        block: B256,
        /// What is wrong.
        reason: Box<list::Error<Undecided>>,
    },
    /// The preimage of the agreed output root is none.
    #[error("the agreed output root {root} is not that of a block: {problem}")]
    Output {
        /// The root.
        root: B256,
        /// What is wrong with its preimage.
        problem: &'static str,
    },
    /// The chain is known, but has rules of its own.
    #[error("nothing can be said of this chain's blocks: {0}")]
    Rules(#[from] ConfigError),
    /// It could not be told.
    #[error(transparent)]
    Undecided(#[from] Undecided),
}

impl From<tribunal_derivation::Error<Self>> for Error {
    fn from(error: tribunal_derivation::Error<Self>) -> Self {
        match error {
            tribunal_derivation::Error::Chain(error) => error.into(),
            tribunal_derivation::Error::Data(error) => error,
        }
    }
}
