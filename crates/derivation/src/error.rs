//! Why derivation cannot go on. Never because of what a batcher wrote, and nothing is decided then.

use alloy_primitives::U256;
use tribunal_rollup::{BlockId, Fork};

/// Why derivation cannot go on. `E` is the error of whoever has the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// What was asked for cannot be had.
    #[error("{0}")]
    Data(E),
    /// What is there contradicts what is agreed.
    #[error("{0}")]
    Chain(ChainError),
}

impl<E> From<ChainError> for Error<E> {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

/// Something that cannot be in a chain with this configuration: the configuration, the agreed block or
/// the L1 head is of another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Batches of the chain may lie outside of L1.
    #[error("the chain's batches may lie outside of L1 (alt-DA), where nothing can be proven")]
    AltDa,
    /// A batch was chosen for another block than the one to build on.
    #[error("the batch chosen does not follow L2 block {number}")]
    Batch {
        /// The block.
        number: u64,
    },
    /// A deposit that cannot be left out cannot be read.
    #[error("log {log} of L1 block {} is a deposit that cannot be read", block.number)]
    Deposit {
        /// The L1 block.
        block: BlockId,
        /// The log's place in it.
        log: u64,
    },
    /// The L1 blocks that were read do not hold the origin of the block to build on.
    #[error(
        "the L1 origin {} of L2 block {number} is not in the L1 chain that was read", origin.number
    )]
    Epoch {
        /// The L2 block.
        number: u64,
        /// Its L1 origin.
        origin: BlockId,
    },
    /// The L1 chain that ends with the head does not hold the origin of the block to build on.
    #[error(
        "the L1 chain up to the head that was given does not hold block {} ({}), \
         the L1 origin of L2 block {number}: the L1 head is before it, or of another chain",
        origin.number, origin.hash
    )]
    L1Head {
        /// The L2 block.
        number: u64,
        /// Its L1 origin.
        origin: BlockId,
    },
    /// An L2 block is none of this chain.
    #[error("L2 block {} ({}) is not of this chain: {reason}", block.number, block.hash)]
    L2Block {
        /// The block.
        block: BlockId,
        /// What is wrong.
        reason: &'static str,
    },
    /// An L1 origin cannot follow that of the block to build on.
    #[error("L1 block {} cannot be the origin of what follows L2 block {number}", origin.number)]
    Origin {
        /// The L1 block.
        origin: BlockId,
        /// The L2 block.
        number: u64,
    },
    /// What should be receipts are none.
    #[error("the receipts of L1 block {} cannot be read", block.number)]
    Receipts {
        /// The block.
        block: BlockId,
    },
    /// An L1 block does not follow the one before.
    #[error("L1 block {} does not follow the one that was read before it", block.number)]
    Reorg {
        /// The later one.
        block: BlockId,
    },
    /// The scalar of the system configuration is of a version that there is not.
    #[error("the system configuration has the scalar {word:#x}, whose version is unknown")]
    Scalar {
        /// The scalar.
        word: U256,
    },
    /// A fork is active whose rules are not here.
    #[error("the fork {fork} is active, and its rules are not known here")]
    Unsupported {
        /// The fork.
        fork: Fork,
    },
}
