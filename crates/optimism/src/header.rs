//! What a header takes from its parent, its attributes and the forks: base fee and extra data.

use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes};
use tribunal_rollup::{Eip1559Params, Fork, RollupConfig};

use crate::block::InvalidBlock;
use crate::preimages::Undecided;

/// What a block is made of, besides its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Seconds.
    pub timestamp: u64,
    /// The randomness of the L1 origin.
    pub prev_randao: B256,
    /// Who gets the tips.
    pub fee_recipient: Address,
    /// Gas.
    pub gas_limit: u64,
    /// From Ecotone on: the beacon block root of the L1 origin.
    pub parent_beacon_block_root: Option<B256>,
    /// From Holocene on: what the base fee of the next block is made with. Zeroes stand for the
    /// chain's constants.
    pub eip1559: Option<Eip1559Params>,
    /// From Jovian on: the least base fee of the next block, in wei per gas.
    pub min_base_fee: Option<u64>,
    /// Encoded as in the block (EIP-2718), deposits first.
    pub transactions: Vec<Bytes>,
}

impl Attributes {
    /// The attributes that a block with this header and these transactions was made of.
    ///
    /// # Errors
    /// If the extra data is not what the fork has there.
    pub fn of_block(
        config: &RollupConfig,
        header: &Header,
        transactions: Vec<Bytes>,
    ) -> Result<Self, InvalidBlock> {
        let extra = ExtraData::read(config, header).ok_or(InvalidBlock::ExtraData)?;
        Ok(Self {
            timestamp: header.timestamp,
            prev_randao: header.mix_hash,
            fee_recipient: header.beneficiary,
            gas_limit: header.gas_limit,
            parent_beacon_block_root: header.parent_beacon_block_root,
            eip1559: extra.eip1559,
            min_base_fee: extra.min_base_fee,
            transactions,
        })
    }
}

/// The fields of the extra data that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ExtraData {
    eip1559: Option<Eip1559Params>,
    min_base_fee: Option<u64>,
}

impl ExtraData {
    /// Reads what a block has; `None` if it is not of its fork's form.
    fn read(config: &RollupConfig, header: &Header) -> Option<Self> {
        let time = header.timestamp;
        let bytes = &header.extra_data[..];
        let (version, length) = match () {
            () if config.is_active(Fork::Jovian, time) => (1, 17),
            () if config.is_active(Fork::Holocene, time) => (0, 9),
            () => return bytes.is_empty().then(Self::default),
        };
        if bytes.len() != length || bytes[0] != version {
            return None;
        }
        let (denominator, rest) = bytes[1..].split_first_chunk()?;
        let (elasticity, rest) = rest.split_first_chunk()?;
        let (denominator, elasticity) =
            (u32::from_be_bytes(*denominator), u32::from_be_bytes(*elasticity));
        if denominator == 0 || elasticity == 0 {
            return None;
        }
        Some(Self {
            eip1559: Some(Eip1559Params { denominator, elasticity }),
            min_base_fee: rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)),
        })
    }
}

/// The extra data of a block with these attributes.
pub(crate) fn extra_data(
    config: &RollupConfig,
    attributes: &Attributes,
) -> Result<Bytes, InvalidBlock> {
    let time = attributes.timestamp;
    let holocene = config.is_active(Fork::Holocene, time);
    let jovian = config.is_active(Fork::Jovian, time);
    if holocene != attributes.eip1559.is_some() || jovian != attributes.min_base_fee.is_some() {
        return Err(InvalidBlock::ExtraData);
    }
    let Some(mut params) = attributes.eip1559 else {
        return Ok(Bytes::new());
    };
    if params.denominator == 0 {
        let canyon = &config.chain_op_config;
        let narrow = |value| u32::try_from(value).map_err(|_| InvalidBlock::ExtraData);
        params = Eip1559Params {
            denominator: narrow(canyon.denominator_canyon)?,
            elasticity: narrow(canyon.elasticity)?,
        };
    }
    if params.elasticity == 0 {
        return Err(InvalidBlock::ExtraData);
    }
    let mut extra = Vec::with_capacity(17);
    extra.push(u8::from(jovian));
    extra.extend(params.denominator.to_be_bytes());
    extra.extend(params.elasticity.to_be_bytes());
    if let Some(min_base_fee) = attributes.min_base_fee {
        extra.extend(min_base_fee.to_be_bytes());
    }
    Ok(extra.into())
}

/// The base fee of the block at `time` on top of `parent`, in wei per gas.
pub(crate) fn next_base_fee(
    config: &RollupConfig,
    parent: &Header,
    time: u64,
) -> Result<u64, Undecided> {
    let malformed = |problem| Undecided::Parent { number: parent.number, problem };
    let base = parent.base_fee_per_gas.ok_or(malformed("it has no base fee"))?;
    // Before Holocene nothing is read there, and genesis blocks say what they like ("BEDROCK").
    let extra = match config.is_active(Fork::Holocene, parent.timestamp) {
        true => ExtraData::read(config, parent)
            .ok_or(malformed("its extra data is not what its fork has there"))?,
        false => ExtraData::default(),
    };
    let (elasticity, denominator) = match extra.eip1559 {
        Some(params) => (u64::from(params.elasticity), u64::from(params.denominator)),
        None if config.is_active(Fork::Canyon, time) => {
            (config.chain_op_config.elasticity, config.chain_op_config.denominator_canyon)
        }
        None => (config.chain_op_config.elasticity, config.chain_op_config.denominator),
    };
    let mut metered = parent.gas_used;
    if config.is_active(Fork::Jovian, parent.timestamp) {
        // From Jovian on this field holds the DA footprint.
        metered = metered.max(parent.blob_gas_used.unwrap_or_default());
    }
    let target = parent.gas_limit.checked_div(elasticity).unwrap_or_default();
    if target == 0 || denominator == 0 {
        return Err(malformed("its gas target, or the denominator of its base fee, is zero"));
    }
    let step = |distance: u64| {
        u128::from(base) * u128::from(distance) / u128::from(target) / u128::from(denominator)
    };
    let next = if metered > target {
        u128::from(base) + step(metered - target).max(1)
    } else {
        u128::from(base).saturating_sub(step(target - metered))
    };
    let next = u64::try_from(next).map_err(|_| malformed("its base fee is too large to grow"))?;
    Ok(next.max(extra.min_base_fee.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloy_primitives::{address, b256};
    use tribunal_rollup::{ChainOpConfig, registry};

    fn config(last: Fork) -> RollupConfig {
        let mut config = registry::rollup(10).unwrap();
        config.forks = tribunal_rollup::ForkTimes::from_genesis(last);
        config.chain_op_config = ChainOpConfig::DEFAULT;
        config
    }

    fn parent(gas_used: u64) -> Header {
        Header {
            gas_limit: 30_000_000,
            gas_used,
            base_fee_per_gas: Some(1_000_000_000),
            ..Header::default()
        }
    }

    /// Gas target 5,000,000: 30,000,000 over an elasticity of 6.
    #[test]
    fn the_base_fee_follows_the_gas_used() {
        let next = |fork, header: &Header| next_base_fee(&config(fork), header, 0).unwrap();
        assert_eq!(next(Fork::Regolith, &parent(5_000_000)), 1_000_000_000);
        assert_eq!(next(Fork::Regolith, &parent(0)), 980_000_000);
        assert_eq!(next(Fork::Canyon, &parent(0)), 996_000_000);
        assert_eq!(next(Fork::Regolith, &parent(30_000_000)), 1_100_000_000);
        let low = Header { base_fee_per_gas: Some(7), ..parent(5_000_001) };
        assert_eq!(next(Fork::Canyon, &low), 8);
        let holocene = Header { extra_data: vec![0, 0, 0, 0, 10, 0, 0, 0, 2].into(), ..parent(0) };
        assert_eq!(next(Fork::Holocene, &holocene), 900_000_000);
    }

    /// OP Mainnet's first block of Bedrock, whose hash is in the registry.
    #[test]
    fn what_a_genesis_block_says_before_holocene_is_of_no_meaning() {
        let config = registry::rollup(10).unwrap();
        let genesis = Header {
            parent_hash: b256!("21a168dfa5e727926063a28ba16fd5ee84c814e847c81a699c7a0ea551e4ca50"),
            beneficiary: address!("4200000000000000000000000000000000000011"),
            state_root: b256!("920314c198da844a041d63bf6cbe8b59583165fd2229d1b3f599da812fd424cb"),
            number: config.genesis.l2.number,
            gas_limit: 30_000_000,
            timestamp: config.genesis.l2_time,
            extra_data: Bytes::from_static(b"BEDROCK"),
            base_fee_per_gas: Some(1_000_000_000),
            ..Header::default()
        };
        assert_eq!(genesis.hash_slow().0, config.genesis.l2.hash);
        let next = next_base_fee(&config, &genesis, genesis.timestamp + 2);
        assert_eq!(next.unwrap(), 980_000_000);
    }

    #[test]
    fn from_jovian_on_the_footprint_counts_and_the_fee_has_a_floor() {
        let extra = [&[1, 0, 0, 0, 250, 0, 0, 0, 6][..], &999_000_000u64.to_be_bytes()].concat();
        let header = |gas_used, footprint| Header {
            extra_data: extra.clone().into(),
            blob_gas_used: Some(footprint),
            ..parent(gas_used)
        };
        let next = |header: &Header| next_base_fee(&config(Fork::Jovian), header, 0).unwrap();
        assert_eq!(next(&header(0, 0)), 999_000_000);
        assert_eq!(next(&header(0, 30_000_000)), 1_020_000_000);
        assert_eq!(next(&header(30_000_000, 0)), 1_020_000_000);
    }

    #[test]
    fn a_parent_that_divides_by_zero_is_an_error() {
        let tiny = Header { gas_limit: 5, ..parent(0) };
        next_base_fee(&config(Fork::Canyon), &tiny, 0).unwrap_err();
        for params in [[0, 0, 0, 0, 0, 0, 0, 0, 6], [0, 0, 0, 0, 250, 0, 0, 0, 0]] {
            let header = Header { extra_data: params.to_vec().into(), ..parent(0) };
            next_base_fee(&config(Fork::Holocene), &header, 0).unwrap_err();
        }
        let without = Header { base_fee_per_gas: None, ..parent(0) };
        next_base_fee(&config(Fork::Canyon), &without, 0).unwrap_err();
    }
}
