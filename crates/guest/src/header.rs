//! The header of a block, of Ethereum and of the chains that are like it.

use alloc::vec::Vec;

use crate::rlp::{self, RlpError};
use crate::{Hash, Malformed, Number};

/// What a header says. The fields that came with later forks are there if the header has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// keccak256 of the parent's header.
    pub parent_hash: Hash,
    /// Who is paid.
    pub beneficiary: [u8; 20],
    /// The root of the accounts after this block.
    pub state_root: Hash,
    /// The root of the transactions.
    pub transactions_root: Hash,
    /// The root of the receipts.
    pub receipts_root: Hash,
    /// How many blocks were before.
    pub number: u64,
    /// In gas.
    pub gas_limit: u64,
    /// In gas.
    pub gas_used: u64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// What the proposer wrote.
    pub extra_data: Vec<u8>,
    /// The randomness of the beacon chain, or the old seal.
    pub prev_randao: Hash,
    /// Since London, in wei.
    pub base_fee: Option<Number>,
    /// Since Shanghai. The root of the withdrawals; on an OP Stack chain since Isthmus, the storage
    /// root of the account that passes messages.
    pub withdrawals_root: Option<Hash>,
    /// Since Cancun, in gas.
    pub blob_gas_used: Option<u64>,
    /// Since Cancun, in gas.
    pub excess_blob_gas: Option<u64>,
    /// Since Cancun.
    pub parent_beacon_root: Option<Hash>,
    /// Since Prague.
    pub requests_hash: Option<Hash>,
}

impl Header {
    /// Reads an encoded header. Fields behind those that are known are left alone.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(encoded: &[u8]) -> Result<Self, Malformed> {
        Self::read(encoded).map_err(|error| Malformed::new("block header", error))
    }

    fn read(encoded: &[u8]) -> Result<Self, RlpError> {
        let mut items = rlp::list(encoded)?;
        let parent_hash = items.take()?.array()?;
        let _ommers_hash: Hash = items.take()?.array()?;
        let beneficiary = items.take()?.array()?;
        let state_root = items.take()?.array()?;
        let transactions_root = items.take()?.array()?;
        let receipts_root = items.take()?.array()?;
        let _logs_bloom: [u8; 256] = items.take()?.array()?;
        let _difficulty: [u8; 32] = items.take()?.number()?;
        let number = items.take()?.u64()?;
        let gas_limit = items.take()?.u64()?;
        let gas_used = items.take()?.u64()?;
        let timestamp = items.take()?.u64()?;
        let extra_data = items.take()?.bytes()?.to_vec();
        let prev_randao = items.take()?.array()?;
        let _nonce: [u8; 8] = items.take()?.array()?;
        let mut later = || if items.is_empty() { Ok(None) } else { items.take().map(Some) };
        let header = Self {
            parent_hash,
            beneficiary,
            state_root,
            transactions_root,
            receipts_root,
            number,
            gas_limit,
            gas_used,
            timestamp,
            extra_data,
            prev_randao,
            base_fee: later()?.map(|item| item.number().map(Number)).transpose()?,
            withdrawals_root: later()?.map(rlp::Item::array).transpose()?,
            blob_gas_used: later()?.map(rlp::Item::u64).transpose()?,
            excess_blob_gas: later()?.map(rlp::Item::u64).transpose()?,
            parent_beacon_root: later()?.map(rlp::Item::array).transpose()?,
            requests_hash: later()?.map(rlp::Item::array).transpose()?,
        };
        // What a fork to come may add has to be whole all the same.
        while later()?.is_some() {}
        Ok(header)
    }
}
