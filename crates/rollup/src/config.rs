//! The rollup configuration and the part of it that L1 can change. Knows what a configuration must be
//! for rules to make sense of it; not what they do.

use alloy_primitives::{Address, B256, U256};

use crate::{Fork, ForkTimes};

/// Celo's chains: the main one and its test networks. They have transactions of their own.
const CELO: [u64; 4] = [42_220, 44_787, 62_320, 11_142_220];

/// A block of either chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockId {
    /// Its hash.
    pub hash: B256,
    /// Its number.
    pub number: u64,
}

/// Where a chain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The L1 block after which L1 is read.
    pub l1: BlockId,
    /// The first L2 block.
    pub l2: BlockId,
    /// The time of the first L2 block, in seconds.
    pub l2_time: u64,
    /// The system configuration of the first block.
    pub system_config: SystemConfig,
}

/// What the `SystemConfig` contract on L1 can change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemConfig {
    /// Who may send batches.
    pub batcher: Address,
    /// The fixed overhead of L1 costs, in gas; 0 since Ecotone.
    pub overhead: U256,
    /// The scalar of L1 costs; since Ecotone two scalars behind a version byte.
    pub scalar: U256,
    /// The gas limit of L2 blocks.
    pub gas_limit: u64,
    /// Of the base fee, since Holocene; zeroes mean the chain's own.
    pub eip1559: Eip1559Params,
    /// Since Isthmus.
    pub operator_fee: OperatorFee,
    /// The least base fee, in wei, since Jovian.
    pub min_base_fee: u64,
    /// The weight of data in a block, since Jovian; 0 means the default of 400.
    pub da_footprint_gas_scalar: u16,
}

/// The parameters of the base fee that L1 can set (Holocene).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eip1559Params {
    /// How slowly the fee changes.
    pub denominator: u32,
    /// How many times the target the limit is.
    pub elasticity: u32,
}

/// The operator fee (Isthmus).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperatorFee {
    /// Per gas.
    pub scalar: u32,
    /// Per transaction.
    pub constant: u64,
}

/// The base fee parameters that a chain has of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainOpConfig {
    /// How many times the target the gas limit is.
    pub elasticity: u64,
    /// How slowly the fee changes before Canyon.
    pub denominator: u64,
    /// How slowly since.
    pub denominator_canyon: u64,
}

impl ChainOpConfig {
    /// Of a chain that does not say otherwise.
    pub const DEFAULT: Self = Self { elasticity: 6, denominator: 50, denominator_canyon: 250 };
}

/// All that is agreed about a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupConfig {
    /// Where it begins.
    pub genesis: Genesis,
    /// Seconds from one L2 block to the next.
    pub block_time: u64,
    /// How far an L2 block may be ahead of its L1 origin before Fjord, in seconds.
    pub max_sequencer_drift: u64,
    /// How many L1 blocks after its origin a batch may come.
    pub seq_window_size: u64,
    /// How many L1 blocks a channel may stay open before Granite.
    pub channel_timeout: u64,
    /// The chain id of L1.
    pub l1_chain_id: u64,
    /// The chain id.
    pub l2_chain_id: u64,
    /// When forks activate.
    pub forks: ForkTimes,
    /// Before this L1 time the blob prices of Cancun are kept, if it is set.
    pub pectra_blob_schedule_time: Option<u64>,
    /// Where batches are sent.
    pub batch_inbox: Address,
    /// The L1 contract that deposits come from.
    pub deposit_contract: Address,
    /// The L1 contract that configuration updates come from.
    pub l1_system_config: Address,
    /// The base fee parameters of the chain.
    pub chain_op_config: ChainOpConfig,
    /// Whether batches may lie outside of L1: such a chain cannot be derived from L1 alone.
    pub alt_da: bool,
}

impl RollupConfig {
    /// The channel timeout from Granite on, in L1 blocks.
    pub const GRANITE_CHANNEL_TIMEOUT: u64 = 50;

    /// The sequencer drift from Fjord on, in seconds.
    pub const FJORD_MAX_SEQUENCER_DRIFT: u64 = 1800;

    /// Whether the rules of `fork` hold at `time`.
    pub fn is_active(&self, fork: Fork, time: u64) -> bool {
        self.forks.is_active(fork, time)
    }

    /// Whether the L2 block at `time` is the first with the rules of `fork`.
    pub fn activates_at(&self, fork: Fork, time: u64) -> bool {
        self.forks.activates_at(fork, time, self.block_time)
    }

    /// How many L1 blocks a channel may stay open at an L1 time.
    pub fn channel_timeout(&self, l1_time: u64) -> u64 {
        if self.is_active(Fork::Granite, l1_time) {
            Self::GRANITE_CHANNEL_TIMEOUT
        } else {
            self.channel_timeout
        }
    }

    /// How far an L2 block may be ahead of an L1 origin of this time, in seconds.
    pub fn max_sequencer_drift(&self, l1_origin_time: u64) -> u64 {
        if self.is_active(Fork::Fjord, l1_origin_time) {
            Self::FJORD_MAX_SEQUENCER_DRIFT
        } else {
            self.max_sequencer_drift
        }
    }

    /// Whether the rules can make sense of it: what they divide by is not 0, forks are in order, and
    /// the chain is none that has rules of its own.
    ///
    /// # Errors
    /// With the first thing they cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        let ChainOpConfig { elasticity, denominator, denominator_canyon } = self.chain_op_config;
        let fjord_at_genesis = self.is_active(Fork::Fjord, self.genesis.l2_time);
        for (value, field) in [
            (self.block_time, "block_time"),
            (self.seq_window_size, "seq_window_size"),
            (self.channel_timeout, "channel_timeout"),
            (self.l1_chain_id, "l1_chain_id"),
            (self.l2_chain_id, "l2_chain_id"),
            (elasticity, "chain_op_config.eip1559Elasticity"),
            (denominator, "chain_op_config.eip1559Denominator"),
            (denominator_canyon, "chain_op_config.eip1559DenominatorCanyon"),
            (self.max_sequencer_drift | u64::from(fjord_at_genesis), "max_sequencer_drift"),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { field });
            }
        }
        if CELO.contains(&self.l2_chain_id) {
            return Err(ConfigError::OtherRules { chain_id: self.l2_chain_id, name: "Celo" });
        }
        match self.forks.disorder() {
            None => Ok(()),
            Some(fork) => Err(ConfigError::ForkOrder { fork }),
        }
    }
}

/// Why a configuration is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A fork comes before one that it builds on.
    #[error(
        "the fork {fork} activates before the one that it follows: give the earlier forks a time"
    )]
    ForkOrder {
        /// The later one.
        fork: Fork,
    },
    /// The chain has rules of its own, which nothing here knows.
    #[error(
        "chain {chain_id} is {name}'s: its kinds of transactions and its fees are not the OP Stack's"
    )]
    OtherRules {
        /// The chain.
        chain_id: u64,
        /// Whose it is.
        name: &'static str,
    },
    /// Something that cannot be 0 is.
    #[error("{field} is 0 or missing")]
    Zero {
        /// What.
        field: &'static str,
    },
}
