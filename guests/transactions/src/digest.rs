//! The digest of a block's transactions, and what is said about them in a line.

use core::fmt;

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::{Decodable2718 as _, Typed2718 as _};
use alloy_primitives::{B256, U256};
use op_alloy_consensus::{OpTxEnvelope, OpTxType};
use tribunal_keccak::{Keccak256, keccak256};

use crate::block::{Block, Error};

/// What a block's transactions come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The digest, as the crate defines it.
    pub digest: B256,
    /// How many transactions there are of each type, in the order of [`OpTxType::ALL`].
    pub count: [usize; OpTxType::ALL.len()],
    /// The value that all of them transfer, in wei; the largest number there is if it is more.
    pub value: U256,
    /// The sum of their gas limits, in gas.
    pub gas_limit: u128,
}

/// Decodes the transactions of `block` and folds them into the digest.
///
/// # Errors
/// If a transaction is malformed or of a type that the chain does not have.
pub fn digest(block: &Block) -> Result<Summary, Error> {
    let mut summary = Summary {
        digest: B256::new(keccak256(block.hash.as_slice())),
        count: [0; OpTxType::ALL.len()],
        value: U256::ZERO,
        gas_limit: 0,
    };
    for (index, encoded) in block.transactions.iter().enumerate() {
        let transaction = OpTxEnvelope::decode_2718_exact(encoded)
            .map_err(|reason| Error::Transaction { index, reason })?;
        summary.add(index, encoded, &transaction);
    }
    Ok(summary)
}

impl Summary {
    fn add(&mut self, index: usize, encoded: &[u8], transaction: &OpTxEnvelope) {
        let tx_type = transaction.tx_type();
        for (count, known) in self.count.iter_mut().zip(OpTxType::ALL) {
            *count += usize::from(known == tx_type);
        }
        self.value = self.value.saturating_add(transaction.value());
        self.gas_limit += u128::from(transaction.gas_limit());

        let to = transaction.to();
        let mut hasher = Keccak256::new();
        hasher.update(self.digest.as_slice());
        hasher.update(&(index as u64).to_be_bytes());
        hasher.update(&keccak256(encoded));
        hasher.update(&[transaction.ty(), u8::from(to.is_some())]);
        hasher.update(to.unwrap_or_default().as_slice());
        hasher.update(&transaction.value().to_be_bytes::<32>());
        hasher.update(&transaction.gas_limit().to_be_bytes());
        self.digest = B256::new(hasher.finish());
    }
}

impl fmt::Display for Summary {
    /// `12 transactions (3 eip1559, 9 deposit), value 5 wei, gas limit 21000`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.count.iter().sum();
        write!(f, "{total} transaction{}", if total == 1 { "" } else { "s" })?;
        let present = self.count.iter().zip(OpTxType::ALL).filter(|(count, _)| **count > 0);
        for (i, (count, tx_type)) in present.enumerate() {
            write!(f, "{}{count} {tx_type}", if i == 0 { " (" } else { ", " })?;
        }
        let close = if total > 0 { ")" } else { "" };
        write!(f, "{close}, value {} wei, gas limit {}", self.value, self.gas_limit)
    }
}
