//! What the program asks its host for, by name: headers, trie nodes, code, the results of precompiled
//! contracts, each with the hint that lets a host fetch it.
//!
//! Knows hints and keys; knows nothing of what the answers are for.

use alloc::vec::Vec;
use core::fmt;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256};
use tribunal_optimism_hints::{BlockId, Dialect, Hint, PayloadWitness, line};
use tribunal_preimage::{Key, Oracle, OracleError};

use crate::trie;

/// How hints are given. A host that serves a program natively can do without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hints {
    /// None: whoever answers has everything.
    None,
    /// One for each trie node, which every host follows.
    Nodes,
    /// One for each account and each slot, which brings all nodes that lead there; trie nodes that
    /// are beside the way are hinted one by one.
    #[default]
    Proofs,
}

/// The oracle, asked for what a state and its blocks need.
#[derive(Debug)]
pub struct Preimages<O> {
    oracle: O,
    hints: Hints,
    accelerated: bool,
    /// The block whose state is read, in hints of proofs.
    block: u64,
    /// A proof hint was given for what is read now.
    covered: bool,
}

impl<O: Oracle> Preimages<O> {
    /// Asks `oracle`, with hints for proofs, and for the results of precompiled contracts.
    pub const fn new(oracle: O) -> Self {
        Self { oracle, hints: Hints::Proofs, accelerated: true, block: 0, covered: false }
    }

    /// Gives hints in another way.
    pub const fn with_hints(mut self, hints: Hints) -> Self {
        self.hints = hints;
        self
    }

    /// Computes precompiled contracts here, all of them, instead of asking for their results.
    pub const fn without_acceleration(mut self) -> Self {
        self.accelerated = false;
        self
    }

    /// Whether the results of precompiled contracts are asked for.
    pub const fn is_accelerated(&self) -> bool {
        self.accelerated
    }

    /// The oracle.
    pub const fn oracle(&mut self) -> &mut O {
        &mut self.oracle
    }

    /// The header with this hash.
    ///
    /// # Errors
    /// If it is not to be had, or is none.
    pub fn header(&mut self, hash: B256) -> Result<Header, Undecided> {
        self.tell(&Hint::L2BlockHeader { hash: hash.0, chain: None })?;
        let encoded = self.keccak(hash, Item::Header)?;
        alloy_rlp::decode_exact(&encoded).map_err(|reason| Undecided::Header { hash, reason })
    }

    /// The code with this hash.
    ///
    /// # Errors
    /// If it is not to be had.
    pub fn code(&mut self, hash: B256) -> Result<Vec<u8>, Undecided> {
        self.tell(&Hint::L2Code { hash: hash.0, chain: None })?;
        self.keccak(hash, Item::Code)
    }

    /// The output of the precompiled contract at `address`, or `None` if it fails.
    ///
    /// `gas` is what the contract needs on L1: there the call is made again, with at least as much.
    ///
    /// # Errors
    /// If the result is not to be had.
    pub fn precompile(
        &mut self,
        address: &Address,
        gas: u64,
        input: &[u8],
    ) -> Result<Option<Vec<u8>>, Undecided> {
        let address = address.into_array();
        let required_gas = Some(gas);
        self.tell(&Hint::L1Precompile { address, required_gas, input: input.into() })?;
        let key = Key::precompile(&address, gas, input);
        let mut result = self.ask(key, Item::Precompile)?;
        match result.first() {
            Some(0) => Ok(None),
            Some(1) => {
                result.remove(0);
                Ok(Some(result))
            }
            _ => Err(Undecided::Precompile { key }),
        }
    }

    /// Says that what is read from now on is the state of this block.
    pub(crate) const fn at_block(&mut self, number: u64) {
        self.block = number;
    }

    /// Says that an account will be read.
    pub(crate) fn for_account(&mut self, address: Address) -> Result<(), Undecided> {
        self.covered = self.hints == Hints::Proofs;
        if self.covered {
            let (block, address) = (BlockId::Number(self.block), address.into_array());
            self.tell(&Hint::L2AccountProof { block, address, chain: None })?;
        }
        Ok(())
    }

    /// Says that a slot of an account will be read.
    pub(crate) fn for_slot(&mut self, address: Address, slot: U256) -> Result<(), Undecided> {
        self.covered = self.hints == Hints::Proofs;
        if self.covered {
            let (block, address) = (BlockId::Number(self.block), address.into_array());
            let slot = slot.to_be_bytes::<32>();
            self.tell(&Hint::L2AccountStorageProof { block, address, slot, chain: None })?;
        }
        Ok(())
    }

    /// Says that trie nodes will be read that no proof covers.
    pub(crate) const fn for_siblings(&mut self) {
        self.covered = false;
    }

    /// Hints that the block with these payload attributes will be executed on top of `parent`: a host
    /// can fetch all that this takes at once.
    ///
    /// `attributes` is their JSON. That is a lot to write for a program in a machine, so whoever
    /// drives this program decides whether the saved round trips are worth it.
    ///
    /// # Errors
    /// If the hint is not acknowledged.
    pub fn for_payload(&mut self, parent: B256, attributes: &[u8]) -> Result<(), Undecided> {
        let (parent, attributes) = (parent.0, attributes.into());
        let parts = PayloadWitness::Parts { parent, attributes, chain: None };
        self.tell(&Hint::L2PayloadWitness(parts))
    }

    /// Says what will be asked for, in kona's words.
    ///
    /// # Errors
    /// If it is not acknowledged.
    pub fn tell(&mut self, hint: &Hint<'_>) -> Result<(), Undecided> {
        if self.hints == Hints::None {
            return Ok(());
        }
        let words = Dialect::Kona;
        let Some((name, text)) = hint.name(words).zip(hint.encode(words)) else { return Ok(()) };
        self.send(name, text.as_bytes())
    }

    /// Says what will be asked for, in any words: a name and the parts of the data.
    ///
    /// # Errors
    /// If it is not acknowledged.
    pub fn hint(&mut self, name: &'static str, data: &[&[u8]]) -> Result<(), Undecided> {
        if self.hints == Hints::None {
            return Ok(());
        }
        self.send(name, &line(name, data))
    }

    fn send(&mut self, name: &'static str, hint: &[u8]) -> Result<(), Undecided> {
        let told = self.oracle.hint(hint);
        told.map_err(|source| Undecided::Oracle { item: Item::Hint(name), source })
    }

    /// The preimage of `key`.
    ///
    /// # Errors
    /// If it is not to be had.
    pub fn ask(&mut self, key: Key, item: Item) -> Result<Vec<u8>, Undecided> {
        self.oracle.preimage(key).map_err(|source| Undecided::Oracle { item, source })
    }

    /// What has this keccak256. Whoever answers has compared the 31 bytes of it that are in the key:
    /// the machine, the contract, or the oracle around a host that is not trusted.
    pub fn keccak(&mut self, hash: B256, item: Item) -> Result<Vec<u8>, Undecided> {
        self.ask(Key::keccak256(hash.0), item)
    }
}

impl<O: Oracle> trie::Nodes for Preimages<O> {
    type Error = Undecided;

    fn node(&mut self, hash: B256) -> Result<Vec<u8>, Undecided> {
        if !self.covered {
            self.tell(&Hint::L2StateNode { hash: hash.0, chain: None })?;
        }
        self.keccak(hash, Item::Node)
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// The code of a contract.
    Code,
    /// A block's header.
    Header,
    /// The acknowledgement of a hint with this name.
    Hint(&'static str),
    /// An input of the program.
    Local(&'static str),
    /// A trie node.
    Node,
    /// The result of a precompiled contract.
    Precompile,
    /// A node of the trie of a block's transactions.
    Transactions,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("code of a contract"),
            Self::Header => f.write_str("block header"),
            Self::Hint(name) => write!(f, "acknowledgement of the hint {name}"),
            Self::Local(name) => write!(f, "local input: {name}"),
            Self::Node => f.write_str("node of the state trie"),
            Self::Precompile => f.write_str("result of a precompiled contract"),
            Self::Transactions => f.write_str("node of the transaction trie"),
        }
    }
}

/// Why nothing was decided: the world did not answer, or what it agreed on makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecided {
    /// The leaf of an account is none.
    #[error("what the state holds for account {address} is no account: {reason}")]
    Account {
        /// The account's address.
        address: Address,
        /// What the decoder says.
        reason: alloy_rlp::Error,
    },
    /// A header on the way to an older block has the wrong number.
    #[error("the ancestor {hash} should be block {expected}, its header says {number}")]
    AncestorNumber {
        /// The ancestor's hash.
        hash: B256,
        /// The number that it should have.
        expected: u64,
        /// The number that it has.
        number: u64,
    },
    /// Code that cannot be code.
    #[error("what has the code hash {hash} is no code")]
    Code {
        /// The hash.
        hash: B256,
    },
    /// The interpreter gave up for a reason that is no transaction's.
    #[error("the interpreter failed: {0}")]
    Evm(alloc::string::String),
    /// The bytes with the hash of a block are no header.
    #[error("what has the block hash {hash} is no header: {reason}")]
    Header {
        /// The hash.
        hash: B256,
        /// What the decoder says.
        reason: alloy_rlp::Error,
    },
    /// The host did not answer.
    #[error("no {item}")]
    Oracle {
        /// What was asked for.
        item: Item,
        /// What the oracle says.
        source: OracleError,
    },
    /// The parent's header does not say what the next base fee is.
    #[error("block {number} is agreed on, but {problem}")]
    Parent {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The result of a precompiled contract has no status.
    #[error("the result of the precompiled contract {key} has no status byte of 0 or 1")]
    Precompile {
        /// Its key.
        key: Key,
    },
    /// The value of a slot is none.
    #[error("what the state holds for slot {slot} of {address} is no word: {reason}")]
    Slot {
        /// The account's address.
        address: Address,
        /// The slot.
        slot: U256,
        /// What the decoder says.
        reason: alloy_rlp::Error,
    },
    /// A trie node is malformed.
    #[error(
        "the trie node {hash}, {depth} nibbles below the root of the state or a storage, is \
         malformed: {problem}"
    )]
    Trie {
        /// Its hash, or that of the node it is embedded in.
        hash: B256,
        /// How many nibbles lead to it.
        depth: usize,
        /// What is wrong.
        problem: trie::Problem,
    },
}

impl From<trie::Error<Self>> for Undecided {
    fn from(error: trie::Error<Self>) -> Self {
        match error {
            trie::Error::Malformed { hash, depth, problem } => Self::Trie { hash, depth, problem },
            trie::Error::Nodes(undecided) => undecided,
        }
    }
}

impl revm::database_interface::DBErrorMarker for Undecided {}
