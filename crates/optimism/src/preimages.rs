//! What the program asks its host for, by name: headers, trie nodes, code, the results of precompiled
//! contracts, each with the hint that lets a host fetch it.
//!
//! Knows hints and keys; knows nothing of what the answers are for.

use alloc::vec::Vec;
use core::fmt;

use alloy_consensus::Header;
use alloy_primitives::map::B256Map;
use alloy_primitives::{Address, B256, Bytes, U256};
use tribunal_optimism_hints::{BlockId, Dialect, Hint, PayloadWitness};
use tribunal_preimage::{Key, Oracle, OracleError};
use tribunal_rollup::Fork;

use crate::{list, payload, trie};

/// How hints are given. A host that serves a program natively can do without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hints {
    /// None: whoever answers has everything.
    None,
    /// One for each trie node, which every host follows.
    Nodes,
    /// One for each block, which can bring all that its execution reads; then one for each account and
    /// each slot, which brings all nodes that lead there; trie nodes that are beside the way are
    /// hinted one by one. In op-program's dialect every node is, for its hosts follow the block's hint
    /// only when a node of it is missing, and forget it over the next of its kind.
    #[default]
    Proofs,
}

/// The oracle, asked for what a state and its blocks need.
#[derive(Debug)]
pub struct Preimages<O> {
    oracle: O,
    hints: Hints,
    dialect: Dialect,
    accelerated: bool,
    /// The block whose state is read, in hints of proofs.
    block: u64,
    /// A proof hint was given for what is read now.
    covered: bool,
    /// What came of blocks that were executed here: nobody else may have it.
    own: B256Map<Vec<u8>>,
}

impl<O: Oracle> Preimages<O> {
    /// Asks `oracle`, with hints for proofs in kona's words, and for the results of precompiled
    /// contracts.
    pub fn new(oracle: O) -> Self {
        let (hints, dialect) = (Hints::default(), Dialect::default());
        let own = B256Map::default();
        Self { oracle, hints, dialect, accelerated: true, block: 0, covered: false, own }
    }

    /// Gives hints in another way.
    pub fn with_hints(mut self, hints: Hints) -> Self {
        self.hints = hints;
        self
    }

    /// Gives hints in the words of this dialect.
    pub const fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Computes precompiled contracts here, all of them, instead of asking for their results.
    pub fn without_acceleration(mut self) -> Self {
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

    /// The L2 header with this hash.
    ///
    /// # Errors
    /// If it is not to be had, or is none.
    pub fn header(&mut self, hash: B256) -> Result<Header, Undecided> {
        let encoded =
            self.encoded_header(&Hint::L2BlockHeader { hash: hash.0, chain: None }, hash)?;
        alloy_rlp::decode_exact(&encoded).map_err(|reason| Undecided::Header { hash, reason })
    }

    /// The bytes of the header with this hash, after this hint.
    ///
    /// # Errors
    /// If they are not to be had.
    pub fn encoded_header(&mut self, hint: &Hint<'_>, hash: B256) -> Result<Vec<u8>, Undecided> {
        self.tell(hint)?;
        self.keccak(hash, Item::Header)
    }

    /// The list with this root, after this hint.
    ///
    /// # Errors
    /// If a node is not to be had, or `root` is none of a list.
    pub fn list(
        &mut self,
        hint: &Hint<'_>,
        root: B256,
    ) -> Result<Vec<Bytes>, list::Error<Undecided>> {
        self.tell(hint).map_err(list::Error::Nodes)?;
        list::read(&mut ListNodes(self), root)
    }

    /// The first item of such a list, if it has any.
    ///
    /// # Errors
    /// If a node is not to be had, or `root` is none of a list.
    pub fn first_of_list(
        &mut self,
        hint: &Hint<'_>,
        root: B256,
    ) -> Result<Option<Bytes>, list::Error<Undecided>> {
        self.tell(hint).map_err(list::Error::Nodes)?;
        list::first(&mut ListNodes(self), root)
    }

    /// The code with this hash.
    ///
    /// # Errors
    /// If it is not to be had.
    pub fn code(&mut self, hash: B256) -> Result<Vec<u8>, Undecided> {
        if let Some(code) = self.own.get(&hash) {
            return Ok(code.clone());
        }
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

    /// Keeps a node or a code that came of a block, so that it is not asked for.
    pub fn keep(&mut self, hash: B256, bytes: Vec<u8>) {
        self.own.insert(hash, bytes);
    }

    /// Says that what is read from now on is the state of this block.
    pub(crate) const fn at_block(&mut self, number: u64) {
        self.block = number;
    }

    /// Whether the way to an account or a slot is hinted as one.
    fn are_ways_hinted(&self) -> bool {
        self.hints == Hints::Proofs && self.dialect == Dialect::Kona
    }

    /// Says that an account will be read.
    pub(crate) fn for_account(&mut self, address: Address) -> Result<(), Undecided> {
        self.covered = self.are_ways_hinted();
        if self.covered {
            let (block, address) = (BlockId::Number(self.block), address.into_array());
            self.tell(&Hint::L2AccountProof { block, address, chain: None })?;
        }
        Ok(())
    }

    /// Says that a slot of an account will be read.
    pub(crate) fn for_slot(&mut self, address: Address, slot: U256) -> Result<(), Undecided> {
        self.covered = self.are_ways_hinted();
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

    /// Says that a block will be executed on top of `parent`: a host that wants to can fetch all that
    /// this takes at once. `attributes` writes the block's payload attributes in JSON, unless they are
    /// too long for that.
    pub(crate) fn for_payload(
        &mut self,
        parent: B256,
        attributes: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<(), Undecided> {
        if self.hints != Hints::Proofs {
            return Ok(());
        }
        let Some(attributes) = attributes() else { return Ok(()) };
        let payload = match self.dialect {
            Dialect::Kona => {
                let (parent, attributes) = (parent.0, attributes.into());
                PayloadWitness::Parts { parent, attributes, chain: None }
            }
            Dialect::OpProgram => {
                PayloadWitness::Object(payload::on_parent(parent, &attributes).into())
            }
        };
        self.tell(&Hint::L2PayloadWitness(payload))
    }

    /// Says what will be asked for; a hint that the dialect does not have is left out.
    ///
    /// # Errors
    /// If it is not acknowledged.
    pub fn tell(&mut self, hint: &Hint<'_>) -> Result<(), Undecided> {
        if self.hints == Hints::None {
            return Ok(());
        }
        let dialect = self.dialect;
        let Some((name, bytes)) = hint.name(dialect).zip(hint.bytes(dialect)) else {
            return Ok(());
        };
        let told = self.oracle.hint(&bytes);
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
        if let Some(node) = self.own.get(&hash) {
            return Ok(node.clone());
        }
        if !self.covered {
            self.tell(&Hint::L2StateNode { hash: hash.0, chain: None })?;
        }
        self.keccak(hash, Item::Node)
    }
}

/// The nodes of a list.
struct ListNodes<'a, O>(&'a mut Preimages<O>);

impl<O: Oracle> trie::Nodes for ListNodes<'_, O> {
    type Error = Undecided;

    fn node(&mut self, hash: B256) -> Result<Vec<u8>, Undecided> {
        self.0.keccak(hash, Item::List)
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// An element of a blob.
    Blob,
    /// The code of a contract.
    Code,
    /// The commitment to a blob.
    Commitment,
    /// A block's header.
    Header,
    /// The acknowledgement of a hint with this name.
    Hint(&'static str),
    /// A node of the trie of a block's transactions or receipts.
    List,
    /// An input of the program.
    Local(&'static str),
    /// A trie node.
    Node,
    /// What an output root is the hash of.
    Output,
    /// The result of a precompiled contract.
    Precompile,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob => f.write_str("element of a blob"),
            Self::Code => f.write_str("code of a contract"),
            Self::Commitment => f.write_str("commitment to a blob"),
            Self::Header => f.write_str("block header"),
            Self::Hint(name) => write!(f, "acknowledgement of the hint {name}"),
            Self::List => f.write_str("node of the trie of transactions or receipts"),
            Self::Local(name) => write!(f, "local input: {name}"),
            Self::Node => f.write_str("node of the state trie"),
            Self::Output => f.write_str("preimage of an output root"),
            Self::Precompile => f.write_str("result of a precompiled contract"),
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
    /// What was given as part of a blob is none.
    #[error("what the host gave as {item} of the blob {versioned_hash} is {problem}")]
    Blob {
        /// Of the blob's commitment.
        versioned_hash: B256,
        /// What it is.
        item: Item,
        /// What is wrong with it.
        problem: &'static str,
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
    /// A fork is active whose rules are not here.
    #[error("the fork {fork} is active, and its rules are not known here")]
    Unsupported {
        /// The fork.
        fork: Fork,
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
