//! A block's header and transactions, from an oracle that is not trusted.

use alloc::vec::Vec;
use core::fmt;

use alloy_consensus::Header;
use alloy_eips::eip2718::Eip2718Error;
use alloy_primitives::B256;
use tribunal_guest::{Dialect, Hint, Key, Oracle, OracleError};
use tribunal_keccak::keccak256;

use crate::trie::{self, TrieError};

/// A block whose parts were all held against its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// keccak256 of the encoded header.
    pub hash: B256,
    /// The header.
    pub header: Header,
    /// The transactions in the order of the block, as the trie holds them (EIP-2718).
    pub transactions: Vec<Vec<u8>>,
}

/// Reads the block with this hash and all its transactions.
///
/// # Errors
/// If the header or a node is missing, does not have the hash it was asked for by, or is malformed.
pub fn read_block<O: Oracle>(oracle: &mut O, hash: B256) -> Result<Block, Error> {
    hint(oracle, &Hint::L2BlockHeader { hash: hash.0, chain: None })?;
    let encoded = preimage(oracle, hash, Item::Header)?;
    let header: Header =
        alloy_rlp::decode_exact(&encoded).map_err(|reason| Error::Header { hash, reason })?;
    hint(oracle, &Hint::L2Transactions { hash: hash.0, chain: None })?;
    let transactions = trie::read_ordered(oracle, header.transactions_root)?;
    Ok(Block { hash, header, transactions })
}

/// The bytes with this keccak256.
///
/// A key holds 31 bytes of the hash and whoever answers may not have looked even at those, so the
/// answer is hashed here.
pub(crate) fn preimage<O: Oracle>(
    oracle: &mut O,
    hash: B256,
    item: Item,
) -> Result<Vec<u8>, Error> {
    let key = Key::keccak256(hash.0);
    let bytes =
        oracle.preimage(key).map_err(|source| Error::Oracle { item: item.clone(), source })?;
    let actual = B256::new(keccak256(&bytes));
    if actual == hash { Ok(bytes) } else { Err(Error::Hash { item, hash, actual }) }
}

fn hint<O: Oracle>(oracle: &mut O, hint: &Hint<'_>) -> Result<(), Error> {
    let words = Dialect::Kona;
    let Some((name, bytes)) = hint.name(words).zip(hint.bytes(words)) else { return Ok(()) };
    oracle.hint(&bytes).map_err(|source| Error::Oracle { item: Item::Hint(name), source })
}

/// Why nothing was decided.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes given for a hash have another one.
    #[error("the {item} should have the hash {hash}, what the host gave has {actual}")]
    Hash {
        /// What was asked for.
        item: Item,
        /// Its hash.
        hash: B256,
        /// The hash of what came.
        actual: B256,
    },
    /// The header is none, though its hash is right: the block hash is not one of a block.
    #[error("what has the block hash {hash} is no header: {reason}")]
    Header {
        /// The block hash.
        hash: B256,
        /// What the decoder says.
        reason: alloy_rlp::Error,
    },
    /// A local input that should be 32 bytes is not.
    #[error(
        "the {item} is {len} bytes long, a hash is 32: the host was started with a wrong input"
    )]
    LocalInput {
        /// Which one.
        item: Item,
        /// Its length in bytes.
        len: usize,
    },
    /// The host did not answer.
    #[error("no {item}")]
    Oracle {
        /// What was asked for.
        item: Item,
        /// What the oracle says.
        source: OracleError,
    },
    /// A transaction cannot be decoded.
    #[error("transaction {index} of the block cannot be decoded: {reason}")]
    Transaction {
        /// Its index in the block, from 0.
        index: usize,
        /// What the decoder says.
        reason: Eip2718Error,
    },
    /// The transaction trie is not the trie of a list of transactions.
    #[error("the transaction trie {root} is malformed")]
    Trie {
        /// The root that the header names.
        root: B256,
        /// What is wrong with it.
        source: TrieError,
    },
}

/// What the program asks its host for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// Local input 1.
    BlockHash,
    /// Local input 3.
    Claim,
    /// The block's header.
    Header,
    /// The acknowledgement of a hint with this name.
    Hint(&'static str),
    /// A node of the transaction trie.
    TrieNode,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockHash => f.write_str("block hash (local input 1)"),
            Self::Claim => f.write_str("claim (local input 3)"),
            Self::Header => f.write_str("block header"),
            Self::Hint(name) => write!(f, "acknowledgement of the hint {name}"),
            Self::TrieNode => f.write_str("node of the transaction trie"),
        }
    }
}
