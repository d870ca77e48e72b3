//! L2 blocks as derivation needs them: where they stand in the chain, their L1 origin, and the system
//! configuration that they carry on. Knows how a block says so.

use alloy_primitives::B256;
use tribunal_rollup::{BlockId, Eip1559Params, Fork, OperatorFee, RollupConfig, SystemConfig};

use crate::data::L2Data;
use crate::deposit::Deposit;
use crate::header::Header;
use crate::l1_info::{L1Info, Layout};
use crate::{ChainError, Error};

/// An L2 block as the rules compare it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L2BlockRef {
    /// Its hash.
    pub hash: B256,
    /// Its number.
    pub number: u64,
    /// Its time, in seconds.
    pub time: u64,
    /// The L1 block whose deposits it, or a block before it, has.
    pub l1_origin: BlockId,
    /// How many blocks of the same origin came before it.
    pub sequence_number: u64,
}

/// An L2 block to build on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2Head {
    /// Where it stands.
    pub block: L2BlockRef,
    /// Its header.
    pub header: Header,
    /// The system configuration as of it.
    pub system_config: SystemConfig,
}

impl L2Head {
    /// What a block says, given its first transaction.
    ///
    /// # Errors
    /// If it is no block of this chain.
    pub fn new(
        config: &RollupConfig,
        header: Header,
        first_transaction: Option<&[u8]>,
    ) -> Result<Self, ChainError> {
        let error = |reason| ChainError::L2Block { block: header.id(), reason };
        let genesis = &config.genesis;
        if header.number <= genesis.l2.number {
            if header.id() != genesis.l2 {
                return Err(error("it is not the genesis block of the configuration"));
            }
            let block = L2BlockRef {
                hash: header.hash,
                number: header.number,
                time: header.timestamp,
                l1_origin: genesis.l1,
                sequence_number: 0,
            };
            return Ok(Self { block, header, system_config: genesis.system_config });
        }
        let time = header.timestamp;
        let layout = Layout::at(config, time);
        let deposit = first_transaction.and_then(Deposit::decode);
        let info = deposit.and_then(|deposit| L1Info::decode(layout, &deposit.data));
        let info = info.ok_or_else(|| error("its first transaction does not tell of L1"))?;
        let (eip1559, min_base_fee) = extra_data(config, &header)
            .ok_or_else(|| error("its extra data is not what its fork has there"))?;
        let block = L2BlockRef {
            hash: header.hash,
            number: header.number,
            time,
            l1_origin: info.origin,
            sequence_number: info.sequence_number,
        };
        let isthmus = config.is_active(Fork::Isthmus, time);
        let system_config = SystemConfig {
            batcher: info.batcher,
            overhead: info.overhead,
            scalar: info.scalar,
            gas_limit: header.gas_limit,
            eip1559,
            operator_fee: if isthmus { info.operator_fee } else { OperatorFee::default() },
            min_base_fee,
            da_footprint_gas_scalar: info.da_footprint_gas_scalar,
        };
        Ok(Self { block, header, system_config })
    }

    /// Reads the block with this hash.
    ///
    /// # Errors
    /// If it cannot be had, or is no block of this chain.
    pub fn read<D: L2Data>(
        config: &RollupConfig,
        hash: B256,
        data: &mut D,
    ) -> Result<Self, Error<D::Error>> {
        let header = data.l2_header(hash).map_err(Error::Data)?;
        let first = if header.number <= config.genesis.l2.number {
            None
        } else {
            data.l2_first_transaction(&header).map_err(Error::Data)?
        };
        Ok(Self::new(config, header, first.as_ref().map(|first| &first[..]))?)
    }
}

/// What the extra data of a header says: the parameters of the base fee, and the least one.
fn extra_data(config: &RollupConfig, header: &Header) -> Option<(Eip1559Params, u64)> {
    let extra = &header.extra_data[..];
    if !config.is_active(Fork::Holocene, header.timestamp) {
        return extra.is_empty().then_some((Eip1559Params::default(), 0));
    }
    let (version, rest) = extra.split_first()?;
    let (denominator, rest) = rest.split_first_chunk::<4>()?;
    let (elasticity, rest) = rest.split_first_chunk::<4>()?;
    let params = Eip1559Params {
        denominator: u32::from_be_bytes(*denominator),
        elasticity: u32::from_be_bytes(*elasticity),
    };
    let jovian = config.is_active(Fork::Jovian, header.timestamp);
    let min_base_fee =
        if jovian { u64::from_be_bytes(rest.try_into().ok()?) } else { u64::default() };
    let is_right = *version == u8::from(jovian)
        && params.denominator != 0
        && params.elasticity != 0
        && (jovian || rest.is_empty());
    is_right.then_some((params, min_base_fee))
}

/// The block `number` of the chain that ends with `head`.
///
/// # Errors
/// If it cannot be had, or is no block of this chain.
pub(crate) fn ancestor<D: L2Data>(
    config: &RollupConfig,
    head: &L2BlockRef,
    number: u64,
    data: &mut D,
) -> Result<L2Head, Error<D::Error>> {
    let hash = match number {
        number if number == head.number => head.hash,
        number => data.l2_hash(head.hash, number).map_err(Error::Data)?,
    };
    L2Head::read(config, hash, data)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use alloy_primitives::{Address, Bytes, U256};

    use super::*;
    use crate::testing::config;

    fn header(time: u64, extra: &[u8]) -> Header {
        Header {
            hash: B256::repeat_byte(8),
            parent_hash: B256::ZERO,
            transactions_root: B256::ZERO,
            receipts_root: B256::ZERO,
            logs_bloom: vec![0; 256].into(),
            number: 9,
            gas_limit: 40_000_000,
            timestamp: time,
            extra_data: Bytes::copy_from_slice(extra),
            mix_digest: B256::ZERO,
            base_fee: U256::ONE,
            excess_blob_gas: None,
            parent_beacon_root: None,
        }
    }

    fn extra(version: u8, params: [u32; 2], min_base_fee: &[u8]) -> Vec<u8> {
        let mut out = vec![version];
        params.iter().for_each(|param| out.extend(param.to_be_bytes()));
        out.extend_from_slice(min_base_fee);
        out
    }

    fn info() -> L1Info {
        L1Info {
            origin: BlockId { hash: B256::repeat_byte(4), number: 17 },
            sequence_number: 2,
            batcher: Address::repeat_byte(6),
            scalar: U256::from(5),
            operator_fee: OperatorFee { scalar: 1, constant: 2 },
            da_footprint_gas_scalar: 500,
            ..L1Info::default()
        }
    }

    #[test]
    fn a_block_carries_its_configuration_on() {
        let minimum = 77_u64.to_be_bytes();
        for (fork, extra) in [
            (Fork::Bedrock, vec![]),
            (Fork::Ecotone, vec![]),
            (Fork::Holocene, extra(0, [250, 6], &[])),
            (Fork::Isthmus, extra(0, [250, 6], &[])),
            (Fork::Jovian, extra(1, [250, 6], &minimum)),
        ] {
            let config = config(fork);
            let first = info().deposit(&config, 1018).expect("a known scalar").encode();
            let head = L2Head::new(&config, header(1018, &extra), Some(&first)).expect("a block");
            assert_eq!(head.block.l1_origin, info().origin);
            assert_eq!(head.block.sequence_number, 2);
            let found = head.system_config;
            assert_eq!((found.batcher, found.gas_limit), (Address::repeat_byte(6), 40_000_000));
            let holocene = Eip1559Params { denominator: 250, elasticity: 6 };
            let expected = if fork >= Fork::Holocene { holocene } else { Eip1559Params::default() };
            assert_eq!(found.eip1559, expected);
            let operator_fee =
                if fork >= Fork::Isthmus { info().operator_fee } else { OperatorFee::default() };
            assert_eq!(found.operator_fee, operator_fee);
            let jovian = fork >= Fork::Jovian;
            assert_eq!(found.min_base_fee, if jovian { 77 } else { 0 });
            assert_eq!(found.da_footprint_gas_scalar, if jovian { 500 } else { 0 });
            // Ecotone's layout turns a Bedrock scalar into two.
            let byte = found.scalar.byte(31);
            assert_eq!(byte, u8::from(fork >= Fork::Ecotone));
        }
    }

    #[test]
    fn what_is_no_block_of_the_chain_is_refused() {
        let config = config(Fork::Holocene);
        let first = info().deposit(&config, 1018).expect("a known scalar").encode();
        let good = extra(0, [250, 6], &[]);
        let is_block = |extra: &[u8], first: Option<&[u8]>| {
            L2Head::new(&config, header(1018, extra), first).is_ok()
        };
        assert!(is_block(&good, Some(&first)));
        assert!(!is_block(&good, None) && !is_block(&good, Some(&first[1..])));
        for bad in [
            vec![],
            extra(1, [250, 6], &[]),
            extra(0, [0, 6], &[]),
            extra(0, [250, 0], &[]),
            extra(0, [250, 6], &[0]),
            extra(1, [250, 6], &[0; 8]),
        ] {
            assert!(!is_block(&bad, Some(&first)));
        }
        let mut genesis = header(1000, &[]);
        genesis.number = 0;
        assert!(L2Head::new(&config, genesis.clone(), None).is_err(), "another genesis");
        genesis.hash = config.genesis.l2.hash;
        let head = L2Head::new(&config, genesis, None).expect("genesis");
        assert_eq!(head.system_config, config.genesis.system_config);
        assert_eq!(head.block.l1_origin, config.genesis.l1);
    }
}
