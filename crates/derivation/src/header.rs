//! Block headers of either chain, as far as derivation looks at them.

use alloy_primitives::{Address, B256, Bytes, U256};
use tribunal_keccak::{Keccak256, keccak256};
use tribunal_rollup::BlockId;

use crate::rlp::exact_list;

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// keccak256 of its bytes.
    pub hash: B256,
    /// The hash of the block before.
    pub parent_hash: B256,
    /// The root of the transaction trie.
    pub transactions_root: B256,
    /// The root of the receipt trie.
    pub receipts_root: B256,
    /// The bloom filter of the logs, 256 bytes.
    pub logs_bloom: Bytes,
    /// The block's number.
    pub number: u64,
    /// The gas limit.
    pub gas_limit: u64,
    /// The time, in seconds.
    pub timestamp: u64,
    /// The extra data.
    pub extra_data: Bytes,
    /// The mix digest: randomness.
    pub mix_digest: B256,
    /// The base fee, in wei; 0 before there was one.
    pub base_fee: U256,
    /// From Cancun on.
    pub excess_blob_gas: Option<u64>,
    /// From Cancun on.
    pub parent_beacon_root: Option<B256>,
}

impl Header {
    /// Reads a header from its RLP and hashes it. Fields of later forks are passed over.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode_hashed(bytes, B256::new(keccak256(bytes)))
    }

    /// Reads a header from its RLP, whose hash is known to be `hash`.
    pub fn decode_hashed(bytes: &[u8], hash: B256) -> Option<Self> {
        let mut items = exact_list(bytes)?;
        let parent_hash = B256::new(items.array()?);
        let [_ommers, _beneficiary, _state_root] =
            [items.string()?, items.string()?, items.string()?];
        let transactions_root = B256::new(items.array()?);
        let receipts_root = B256::new(items.array()?);
        let logs_bloom = Bytes::copy_from_slice(items.string().filter(|bloom| bloom.len() == 256)?);
        let _difficulty = items.u256()?;
        let number = items.u64()?;
        let gas_limit = items.u64()?;
        let _gas_used = items.u64()?;
        let timestamp = items.u64()?;
        let extra_data = Bytes::copy_from_slice(items.string()?);
        let mix_digest = B256::new(items.array()?);
        let _nonce = items.array::<8>()?;
        let mut header = Self {
            hash,
            parent_hash,
            transactions_root,
            receipts_root,
            logs_bloom,
            number,
            gas_limit,
            timestamp,
            extra_data,
            mix_digest,
            base_fee: U256::ZERO,
            excess_blob_gas: None,
            parent_beacon_root: None,
        };
        if !items.is_empty() {
            header.base_fee = items.u256()?;
        }
        if !items.is_empty() {
            let _withdrawals_root = items.array::<32>()?;
        }
        if !items.is_empty() {
            let _blob_gas_used = items.u64()?;
            header.excess_blob_gas = Some(items.u64()?);
            header.parent_beacon_root = Some(B256::new(items.array()?));
        }
        Some(header)
    }

    /// Hash and number.
    pub const fn id(&self) -> BlockId {
        BlockId { hash: self.hash, number: self.number }
    }

    /// Whether a log of this contract may be in the block. If the bloom filter says no, there is none,
    /// and nobody has to read the receipts.
    pub fn may_have_logs_of(&self, contract: Address) -> bool {
        let mut hasher = Keccak256::new();
        hasher.update(contract.as_slice());
        let hash = hasher.finish();
        let (pairs, _) = hash.as_chunks::<2>();
        pairs.iter().take(3).all(|pair| {
            let bit = usize::from(u16::from_be_bytes(*pair) & 2047);
            self.logs_bloom.get(255 - bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
        })
    }
}

/// A block of L1 as the rules compare it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1BlockRef {
    /// Hash and number.
    pub id: BlockId,
    /// The time, in seconds.
    pub time: u64,
}

impl From<&Header> for L1BlockRef {
    fn from(header: &Header) -> Self {
        Self { id: header.id(), time: header.timestamp }
    }
}
