//! Configurations in JSON, as op-node, op-geth and kona write them and as local inputs of a program
//! bring them. Fields that nothing here needs are passed over.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use alloy_primitives::{Address, B256, FixedBytes, U64, U256};
use serde::Deserialize;

use crate::config::{
    BlockId, ChainOpConfig, ConfigError, Eip1559Params, Genesis, OperatorFee, RollupConfig,
    SystemConfig,
};
use crate::fork::{Fork, ForkTimes};
use crate::l1::{BlobParams, BlobSchedule, L1Config};

/// Why JSON is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It cannot be used.
    #[error("the configuration cannot be used: {0}")]
    Config(#[from] ConfigError),
    /// It cannot be read.
    #[error("not the JSON of a configuration: {0}")]
    Json(String),
    /// A blob price that can be divided by is missing.
    #[error("the blob schedule has no baseFeeUpdateFraction for the fork {0}, or 0")]
    UpdateFraction(&'static str),
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, JsonError> {
    serde_json::from_slice(json).map_err(|error| JsonError::Json(error.to_string()))
}

impl RollupConfig {
    /// Reads `rollup.json`: what op-node takes and `optimism_rollupConfig` answers, and kona's form of
    /// it (its local input 6).
    ///
    /// # Errors
    /// If it is none, lacks something, or does not pass [`check`](Self::check).
    pub fn from_json(json: &[u8]) -> Result<Self, JsonError> {
        let config = Self::from_json_unchecked(json)?;
        config.check()?;
        Ok(config)
    }

    /// The same without the [`check`](Self::check), which whoever uses it has to make.
    ///
    /// # Errors
    /// If it is none or lacks something.
    pub fn from_json_unchecked(json: &[u8]) -> Result<Self, JsonError> {
        Ok(read::<RollupJson>(json)?.into())
    }
}

impl ChainOpConfig {
    /// Reads the member `optimism` of an L2 chain configuration in op-geth's form (op-program's local
    /// input 6).
    ///
    /// # Errors
    /// If it is none. A chain configuration without the member has the default.
    pub fn from_l2_chain_config_json(json: &[u8]) -> Result<Self, JsonError> {
        let config: L2ChainJson = read(json)?;
        Ok(config.optimism.map_or(Self::DEFAULT, Self::from))
    }
}

impl L1Config {
    /// Reads an L1 chain configuration in geth's form (kona's local input 7, op-program's 9).
    ///
    /// # Errors
    /// If it is none, or names a price that cannot be divided by.
    pub fn from_json(json: &[u8]) -> Result<Self, JsonError> {
        let config: L1Json = read(json)?;
        let schedule = config.blob_schedule.unwrap_or_default();
        let forks = [
            ("cancun", config.cancun_time, schedule.cancun),
            ("prague", config.prague_time, schedule.prague),
            ("osaka", config.osaka_time, schedule.osaka),
            ("bpo1", config.bpo1_time, schedule.bpo1),
            ("bpo2", config.bpo2_time, schedule.bpo2),
            ("bpo3", config.bpo3_time, schedule.bpo3),
            ("bpo4", config.bpo4_time, schedule.bpo4),
            ("bpo5", config.bpo5_time, schedule.bpo5),
        ];
        let mut params = Vec::new();
        for (name, time, blobs) in forks {
            let (Some(time), Some(blobs)) = (time, blobs) else { continue };
            let update_fraction = blobs.base_fee_update_fraction.to::<u64>();
            if update_fraction == 0 {
                return Err(JsonError::UpdateFraction(name));
            }
            params.push(BlobParams { time: time.to(), update_fraction });
        }
        let blob_schedule = BlobSchedule { params };
        Ok(Self { chain_id: config.chain_id.to(), blob_schedule })
    }
}

#[derive(Deserialize)]
struct RollupJson {
    genesis: GenesisJson,
    block_time: U64,
    #[serde(default)]
    max_sequencer_drift: U64,
    seq_window_size: U64,
    channel_timeout: U64,
    l1_chain_id: U64,
    l2_chain_id: U64,
    regolith_time: Option<U64>,
    canyon_time: Option<U64>,
    delta_time: Option<U64>,
    ecotone_time: Option<U64>,
    fjord_time: Option<U64>,
    granite_time: Option<U64>,
    holocene_time: Option<U64>,
    isthmus_time: Option<U64>,
    jovian_time: Option<U64>,
    karst_time: Option<U64>,
    #[serde(alias = "lagoon_time")]
    interop_time: Option<U64>,
    pectra_blob_schedule_time: Option<U64>,
    batch_inbox_address: Address,
    deposit_contract_address: Address,
    l1_system_config_address: Address,
    chain_op_config: Option<ChainOpJson>,
    alt_da: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct GenesisJson {
    l1: BlockJson,
    l2: BlockJson,
    l2_time: U64,
    system_config: Option<SystemConfigJson>,
}

#[derive(Deserialize)]
struct BlockJson {
    hash: B256,
    number: U64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SystemConfigJson {
    #[serde(alias = "batcherAddress")]
    batcher_addr: Address,
    overhead: U256,
    scalar: U256,
    gas_limit: U64,
    eip1559_params: Option<FixedBytes<8>>,
    eip1559_denominator: Option<U64>,
    eip1559_elasticity: Option<U64>,
    operator_fee_params: Option<B256>,
    operator_fee_scalar: Option<U64>,
    operator_fee_constant: Option<U64>,
    min_base_fee: Option<U64>,
    da_footprint_gas_scalar: Option<U64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChainOpJson {
    eip1559_elasticity: U64,
    eip1559_denominator: U64,
    /// Chains made before Canyon may lack it.
    eip1559_denominator_canyon: Option<U64>,
}

#[derive(Deserialize)]
struct L2ChainJson {
    optimism: Option<ChainOpJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct L1Json {
    chain_id: U64,
    cancun_time: Option<U64>,
    prague_time: Option<U64>,
    osaka_time: Option<U64>,
    bpo1_time: Option<U64>,
    bpo2_time: Option<U64>,
    bpo3_time: Option<U64>,
    bpo4_time: Option<U64>,
    bpo5_time: Option<U64>,
    blob_schedule: Option<BlobScheduleJson>,
}

#[derive(Default, Deserialize)]
struct BlobScheduleJson {
    cancun: Option<BlobsJson>,
    prague: Option<BlobsJson>,
    osaka: Option<BlobsJson>,
    bpo1: Option<BlobsJson>,
    bpo2: Option<BlobsJson>,
    bpo3: Option<BlobsJson>,
    bpo4: Option<BlobsJson>,
    bpo5: Option<BlobsJson>,
}

#[derive(Deserialize)]
struct BlobsJson {
    #[serde(rename = "baseFeeUpdateFraction", default)]
    base_fee_update_fraction: U64,
}

impl From<RollupJson> for RollupConfig {
    fn from(json: RollupJson) -> Self {
        let mut forks = ForkTimes::NONE;
        for (fork, time) in [
            (Fork::Regolith, json.regolith_time),
            (Fork::Canyon, json.canyon_time),
            (Fork::Delta, json.delta_time),
            (Fork::Ecotone, json.ecotone_time),
            (Fork::Fjord, json.fjord_time),
            (Fork::Granite, json.granite_time),
            (Fork::Holocene, json.holocene_time),
            (Fork::Isthmus, json.isthmus_time),
            (Fork::Jovian, json.jovian_time),
            (Fork::Karst, json.karst_time),
            (Fork::Interop, json.interop_time),
        ] {
            forks.set(fork, time.map(|time| time.to()));
        }
        Self {
            genesis: json.genesis.into(),
            block_time: json.block_time.to(),
            max_sequencer_drift: json.max_sequencer_drift.to(),
            seq_window_size: json.seq_window_size.to(),
            channel_timeout: json.channel_timeout.to(),
            l1_chain_id: json.l1_chain_id.to(),
            l2_chain_id: json.l2_chain_id.to(),
            forks,
            pectra_blob_schedule_time: json.pectra_blob_schedule_time.map(|time| time.to()),
            batch_inbox: json.batch_inbox_address,
            deposit_contract: json.deposit_contract_address,
            l1_system_config: json.l1_system_config_address,
            chain_op_config: json.chain_op_config.map_or(ChainOpConfig::DEFAULT, Into::into),
            alt_da: json.alt_da.is_some(),
        }
    }
}

impl From<GenesisJson> for Genesis {
    fn from(json: GenesisJson) -> Self {
        let block = |block: BlockJson| BlockId { hash: block.hash, number: block.number.to() };
        Self {
            l1: block(json.l1),
            l2: block(json.l2),
            l2_time: json.l2_time.to(),
            system_config: json.system_config.unwrap_or_default().into(),
        }
    }
}

impl From<SystemConfigJson> for SystemConfig {
    fn from(json: SystemConfigJson) -> Self {
        // op-node packs these two as L1 does, kona spells them out.
        let eip1559 = json.eip1559_params.map_or_else(
            || Eip1559Params {
                denominator: small(json.eip1559_denominator),
                elasticity: small(json.eip1559_elasticity),
            },
            |packed| {
                let [d0, d1, d2, d3, e0, e1, e2, e3] = packed.0;
                Eip1559Params {
                    denominator: u32::from_be_bytes([d0, d1, d2, d3]),
                    elasticity: u32::from_be_bytes([e0, e1, e2, e3]),
                }
            },
        );
        let operator_fee = json.operator_fee_params.map_or_else(
            || OperatorFee {
                scalar: small(json.operator_fee_scalar),
                constant: json.operator_fee_constant.unwrap_or_default().to(),
            },
            |packed| {
                let packed = U256::from_be_bytes(packed.0);
                OperatorFee {
                    scalar: (packed >> 64_usize).wrapping_to(),
                    constant: packed.wrapping_to(),
                }
            },
        );
        Self {
            batcher: json.batcher_addr,
            overhead: json.overhead,
            scalar: json.scalar,
            gas_limit: json.gas_limit.to(),
            eip1559,
            operator_fee,
            min_base_fee: json.min_base_fee.unwrap_or_default().to(),
            da_footprint_gas_scalar: json
                .da_footprint_gas_scalar
                .unwrap_or_default()
                .saturating_to(),
        }
    }
}

/// A number of 32 bits; a larger one is the largest.
fn small(number: Option<U64>) -> u32 {
    number.unwrap_or_default().saturating_to()
}

impl From<ChainOpJson> for ChainOpConfig {
    fn from(json: ChainOpJson) -> Self {
        let denominator = json.eip1559_denominator;
        Self {
            elasticity: json.eip1559_elasticity.to(),
            denominator: denominator.to(),
            denominator_canyon: json.eip1559_denominator_canyon.unwrap_or(denominator).to(),
        }
    }
}
