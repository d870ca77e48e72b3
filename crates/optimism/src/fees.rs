//! What a transaction pays for its data on L1, and what of a block's data limit it takes.
//!
//! The numbers come from the contract `L1Block`, which the first transaction of each block fills in.
//! `op-revm` could compute this itself; it is done here because its rule for Ecotone's activation
//! block differs from the chain's, and because the compressed size is needed twice.

use alloy_primitives::{U256, address};
use op_revm::{L1BlockInfo, estimate_tx_compressed_size};
use revm::database_interface::Database as _;
use tribunal_preimage::Oracle;
use tribunal_rollup::Fork;

use crate::preimages::Undecided;
use crate::state::State;

/// The predeploy that says what L1 looks like.
const L1_BLOCK: alloy_primitives::Address = address!("0x4200000000000000000000000000000000000015");

/// The parameters of one block.
#[derive(Clone, Debug)]
pub(crate) struct Fees {
    fork: Fork,
    base_fee: U256,
    overhead: U256,
    scalar: U256,
    blob_base_fee: U256,
    base_fee_scalar: U256,
    blob_base_fee_scalar: U256,
    operator_fee_scalar: U256,
    operator_fee_constant: U256,
    footprint_scalar: u16,
}

/// How large a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Gas of its bytes as calldata: 4 for each zero, 16 for each other.
    calldata_gas: u64,
    /// Estimated bytes after compression, times 10⁶.
    estimate: u64,
}

impl Fees {
    /// Reads the parameters for a block with the rules of `fork`.
    pub(crate) fn read<O: Oracle>(state: &mut State<O>, fork: Fork) -> Result<Self, Undecided> {
        let mut slot = |number: u64| state.storage(L1_BLOCK, U256::from(number));
        let zero = [0; 32];
        let scalars = if fork >= Fork::Ecotone { slot(3)?.to_be_bytes::<32>() } else { zero };
        let operator = if fork >= Fork::Isthmus { slot(8)?.to_be_bytes::<32>() } else { zero };
        let mut fees = Self {
            fork,
            base_fee: slot(1)?,
            overhead: U256::ZERO,
            scalar: U256::ZERO,
            blob_base_fee: if fork >= Fork::Ecotone { slot(7)? } else { U256::ZERO },
            base_fee_scalar: U256::from_be_slice(&scalars[16..20]),
            blob_base_fee_scalar: U256::from_be_slice(&scalars[20..24]),
            operator_fee_scalar: U256::from_be_slice(&operator[20..24]),
            operator_fee_constant: U256::from_be_slice(&operator[24..32]),
            footprint_scalar: u16::from_be_bytes([operator[18], operator[19]]),
        };
        let nothing_set = fees.blob_base_fee.is_zero() && scalars[16..24] == [0; 8];
        if fork < Fork::Ecotone || nothing_set {
            // In the block that activates Ecotone the new parameters are not there yet.
            fees.overhead = slot(5)?;
            fees.scalar = slot(6)?;
            fees.fork = fork.min(Fork::Delta);
        }
        Ok(fees)
    }

    pub(crate) fn size(transaction: &[u8]) -> Size {
        let zeros = transaction.iter().filter(|byte| **byte == 0).count() as u64;
        Size {
            calldata_gas: 16 * transaction.len() as u64 - 12 * zeros,
            estimate: estimate_tx_compressed_size(transaction),
        }
    }

    /// What a transaction pays for its data, in wei.
    pub(crate) fn data_fee(&self, size: Size) -> U256 {
        if self.fork < Fork::Ecotone {
            // Before Regolith the signature was thought to be missing.
            let signature = if self.fork < Fork::Regolith { 68 * 16 } else { 0 };
            let fee = U256::from(size.calldata_gas + signature)
                .saturating_add(self.overhead)
                .saturating_mul(self.base_fee)
                .saturating_mul(self.scalar);
            return fee / U256::from(1_000_000);
        }
        let per_byte = self
            .base_fee
            .saturating_mul(U256::from(16))
            .saturating_mul(self.base_fee_scalar)
            .saturating_add(self.blob_base_fee.saturating_mul(self.blob_base_fee_scalar));
        if self.fork < Fork::Fjord {
            U256::from(size.calldata_gas).saturating_mul(per_byte) / U256::from(16_000_000)
        } else {
            U256::from(size.estimate).saturating_mul(per_byte) / U256::from(10u64.pow(12))
        }
    }

    /// What a transaction takes of the block's data limit, in gas.
    pub(crate) fn footprint(&self, size: Size) -> u64 {
        (size.estimate / 1_000_000).saturating_mul(u64::from(self.footprint_scalar))
    }

    /// The parameters as `op-revm` knows them, with the data fee of the next transaction.
    pub(crate) fn for_transaction(&self, block: u64, data_fee: U256) -> L1BlockInfo {
        L1BlockInfo {
            l2_block: Some(U256::from(block)),
            operator_fee_scalar: Some(self.operator_fee_scalar),
            operator_fee_constant: Some(self.operator_fee_constant),
            tx_l1_cost: Some(data_fee),
            ..L1BlockInfo::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn fees(fork: Fork) -> Fees {
        Fees {
            fork,
            base_fee: U256::from(1_000_000_000),
            overhead: U256::from(188),
            scalar: U256::from(684_000),
            blob_base_fee: U256::from(3),
            base_fee_scalar: U256::from(1_368),
            blob_base_fee_scalar: U256::from(810_949),
            operator_fee_scalar: U256::ZERO,
            operator_fee_constant: U256::ZERO,
            footprint_scalar: 400,
        }
    }

    /// The vector of the specification: FastLZ makes 4,033 bytes of these 4,000.
    #[test]
    fn sizes_are_those_of_the_chain() {
        let bytes: Vec<u8> =
            (0..1000u32).flat_map(|k| [k as u8, (k >> 3) as u8, (k * k) as u8, 5]).collect();
        let size = Fees::size(&bytes);
        assert_eq!(size.estimate / 1_000_000, 3331);
        assert_eq!(fees(Fork::Jovian).footprint(size), 3331 * 400);
        assert_eq!(Fees::size(&[0, 0, 1]), Size { calldata_gas: 24, estimate: 100_000_000 });
    }

    #[test]
    fn each_fork_has_its_formula() {
        let size = Size { calldata_gas: 1_600, estimate: 120_000_000 };
        let fee = |fork| fees(fork).data_fee(size);
        // (gas + 68 bytes of signature + overhead) · base fee · scalar / 10⁶
        assert_eq!(fee(Fork::Bedrock), U256::from((1_600 + 1_088 + 188) * 684_000_000u64));
        assert_eq!(fee(Fork::Regolith), U256::from((1_600 + 188) * 684_000_000u64));
        let per_byte = 16 * 1_000_000_000 * 1_368 + 3 * 810_949u64;
        assert_eq!(fee(Fork::Ecotone), U256::from(1_600 * u128::from(per_byte) / 16_000_000));
        let fjord = 120_000_000 * u128::from(per_byte) / 10u128.pow(12);
        assert_eq!(fee(Fork::Fjord), U256::from(fjord));
    }
}
