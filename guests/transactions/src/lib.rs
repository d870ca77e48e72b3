//! A fault-proof program: what the transactions of an L2 block are.
//!
//! It is given the hash of an L2 block and the claimed digest of the block's transactions. It reads
//! the header and every node of the transaction trie, holds each against its hash, decodes the
//! transactions, folds them into the digest and compares.
//!
//! # Inputs
//! | local key | content |
//! | --- | --- |
//! | 1 | hash of the L2 block, 32 bytes |
//! | 3 | claimed digest, 32 bytes |
//!
//! Hints, once each: `l2-block-header 0xHASH`, then `l2-transactions 0xHASH`, with the hash of the
//! block. Everything else is asked for by keccak256 key.
//!
//! # The digest
//! `digest(0) = keccak256(block hash)`, and for the transaction at index `i`, counted from 0,
//! `digest(i + 1) = keccak256(digest(i) ‖ record(i))`, where the record is
//!
//! ```text
//!  0        8                               40   41   42        62                94       102
//! ┌────────┬───────────────────────────────┬────┬────┬─────────┬─────────────────┬────────┐
//! │ index  │ keccak256 of the encoded      │type│call│ to      │ value           │ gas    │
//! │ u64    │ transaction                   │ u8 │ u8 │ address │ u256            │ limit  │
//! └────────┴───────────────────────────────┴────┴────┴─────────┴─────────────────┴────────┘
//! ```
//!
//! Integers are big-endian. `call` is 1 if there is a recipient; a transaction that creates a
//! contract has 0 there and in all of `to`. The digest of the block is the last one.
//!
//! # Exit status
//! 0 the claim holds, 1 it is wrong. Whatever is missing or malformed is an [`Error`], so 2 or more:
//! of such a block nothing is decided.
#![no_std]

extern crate alloc;

mod block;
mod digest;
mod trie;

pub use block::{Block, Error, Item, read_block};
pub use digest::{Summary, digest};
pub use trie::TrieError;

use core::fmt;

use alloy_primitives::B256;
use tribunal_guest::{Key, Oracle, Verdict, println};

/// Local input: the hash of the L2 block.
pub const BLOCK_HASH: Key = Key::local(1);

/// Local input: the claimed digest.
pub const CLAIM: Key = Key::local(3);

/// The program: [`decide`], and one line about the block on stdout.
///
/// # Errors
/// As [`decide`].
pub fn run<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    let decision = decide(oracle)?;
    println!("{decision}");
    Ok(decision.verdict())
}

/// Whether the claim is the digest of the block's transactions.
///
/// # Errors
/// If an input, the header, a node or a transaction is missing or is not what it should be.
pub fn decide<O: Oracle>(oracle: &mut O) -> Result<Decision, Error> {
    let hash = local_hash(oracle, BLOCK_HASH, Item::BlockHash)?;
    let claim = local_hash(oracle, CLAIM, Item::Claim)?;
    let block = read_block(oracle, hash)?;
    Ok(Decision { hash, number: block.header.number, summary: digest(&block)?, claim })
}

/// What the program found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The block's hash.
    pub hash: B256,
    /// The block's number.
    pub number: u64,
    /// What its transactions come to.
    pub summary: Summary,
    /// What their digest was claimed to be.
    pub claim: B256,
}

impl Decision {
    /// What follows for the claim.
    pub fn verdict(&self) -> Verdict {
        Verdict::from_claim(self.summary.digest == self.claim)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, number, summary, claim } = self;
        write!(f, "block {number} {hash}: {summary}, digest {}", summary.digest)?;
        match self.verdict() {
            Verdict::Holds => Ok(()),
            Verdict::Wrong => write!(f, ", not {claim}"),
        }
    }
}

/// A local input that is a hash.
fn local_hash<O: Oracle>(oracle: &mut O, key: Key, item: Item) -> Result<B256, Error> {
    let bytes =
        oracle.preimage(key).map_err(|source| Error::Oracle { item: item.clone(), source })?;
    B256::try_from(&bytes[..]).map_err(|_| Error::LocalInput { item, len: bytes.len() })
}
