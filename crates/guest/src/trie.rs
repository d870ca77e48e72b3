//! What is behind a key in a Merkle Patricia trie, by its root.
//!
//! [`walk`] knows no oracle: whoever has the nodes hands them over by their hashes. It proves both
//! that a value is there and that none is. Whoever chose the root chose the nodes, so nothing is
//! believed: every node takes at least a nibble of the key, or is the last one.
//!
//! The hash of a node is the business of whoever hands it over. A key of an oracle holds 31 of its 32
//! bytes; a root that somebody claims is to be compared with one that is known, or hashed in full
//! ([`Preimages::hashed`](crate::Preimages::hashed)).

use alloc::borrow::ToOwned as _;
use alloc::vec::Vec;

use tribunal_keccak::keccak256;

use crate::rlp::{self, Item, Items, RlpError};
use crate::{Error, Hash, Key, Malformed, Number, Oracle};

/// The root of a trie without anything in it: keccak256 of the empty string's encoding.
pub const EMPTY_ROOT: Hash = [
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e,
    0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
];

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeError {
    /// A reference to a node is neither a hash nor a node shorter than one.
    Child,
    /// An extension that extends nothing.
    EmptyExtension,
    /// A path begins with something else than what says how long it is.
    Path,
    /// It is not RLP.
    Rlp(RlpError),
    /// Neither 17 items nor 2.
    Shape,
}

impl core::fmt::Display for NodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Child => "a reference to a node is neither a hash nor a short node",
            Self::EmptyExtension => "an extension has an empty path",
            Self::Path => "a path has no valid beginning",
            Self::Rlp(error) => return error.fmt(f),
            Self::Shape => "it has neither 17 items nor 2",
        })
    }
}

impl From<RlpError> for NodeError {
    fn from(error: RlpError) -> Self {
        Self::Rlp(error)
    }
}

/// What is behind `key` in the trie with this root, or `None` if nothing is.
///
/// The keys of Ethereum's state are hashes: see [`account`] and [`storage`]. Those of its lists are
/// the encoding of an index.
///
/// # Errors
/// If a node is missing or malformed.
pub fn get<O: Oracle>(oracle: &mut O, root: &Hash, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    walk(root, key, |hash| {
        let node = oracle.preimage(Key::keccak256(*hash));
        node.map_err(|source| Error::Oracle { what: "trie node".into(), source })
    })
}

/// What is behind `key`; `node` hands over the node with a hash.
///
/// # Errors
/// What `node` says, or that a node is malformed.
pub fn walk<N: AsRef<[u8]>, E: From<Malformed>>(
    root: &Hash,
    key: &[u8],
    mut node: impl FnMut(&Hash) -> Result<N, E>,
) -> Result<Option<Vec<u8>>, E> {
    if *root == EMPTY_ROOT {
        return Ok(None);
    }
    let mut hash = *root;
    let mut path = Path { key, taken: 0 };
    loop {
        let encoded = node(&hash)?;
        match path.descend(encoded.as_ref()) {
            Ok(Turn::Below(next)) => hash = next,
            Ok(Turn::Found(value)) => return Ok(Some(value.to_owned())),
            Ok(Turn::Nothing) => return Ok(None),
            Err(error) => {
                let what = alloc::format!("trie node behind {} nibbles", path.taken);
                return Err(Malformed::new(what, error).into());
            }
        }
    }
}

/// Where a node leads.
enum Turn<'a> {
    Below(Hash),
    Found(&'a [u8]),
    Nothing,
}

/// A key, and how many nibbles of it led here.
struct Path<'a> {
    key: &'a [u8],
    taken: usize,
}

impl Path<'_> {
    /// Goes through a node and the nodes inside it.
    fn descend<'n>(&mut self, encoded: &'n [u8]) -> Result<Turn<'n>, NodeError> {
        let mut items = rlp::list(encoded)?;
        loop {
            let child = match self.enter(items)? {
                Step::Child(child) => child,
                Step::Turn(turn) => return Ok(turn),
            };
            match child {
                Item::Bytes([]) => return Ok(Turn::Nothing),
                Item::Bytes(hash) => {
                    return Ok(Turn::Below(hash.try_into().map_err(|_| NodeError::Child)?));
                }
                Item::List(embedded) if embedded.len() < 31 => {
                    items = Item::List(embedded).list()?
                }
                Item::List(_) => return Err(NodeError::Child),
            }
        }
    }

    fn enter<'n>(&mut self, mut items: Items<'n>) -> Result<Step<'n>, NodeError> {
        let first = items.take()?;
        let second = items.take()?;
        if items.is_empty() {
            return self.enter_short(first.bytes()?, second);
        }
        // A branch: sixteen children and a value.
        let wanted = self.nibble(self.taken);
        let mut found = match wanted {
            Some(0) => Some(first),
            Some(1) => Some(second),
            _ => None,
        };
        for nibble in 2..17 {
            let item = items.take().map_err(|_| NodeError::Shape)?;
            // The value stands in the place of a nibble that a key which ends here does not have.
            if nibble == wanted.unwrap_or(16) {
                found = Some(item);
            }
        }
        items.end().map_err(|_| NodeError::Shape)?;
        let found = found.ok_or(NodeError::Shape)?;
        Ok(match wanted {
            Some(_) => {
                self.taken += 1;
                Step::Child(found)
            }
            None => Step::Turn(match found.bytes()? {
                [] => Turn::Nothing,
                value => Turn::Found(value),
            }),
        })
    }

    /// Enters a leaf or an extension.
    fn enter_short<'n>(&mut self, path: &[u8], next: Item<'n>) -> Result<Step<'n>, NodeError> {
        let (&first, rest) = path.split_first().ok_or(NodeError::Path)?;
        let (is_leaf, is_odd) = (first & 0x20 != 0, first & 0x10 != 0);
        if first & 0xc0 != 0 || (!is_odd && first & 0x0f != 0) {
            return Err(NodeError::Path);
        }
        let length = rest.len() * 2 + usize::from(is_odd);
        if length == 0 && !is_leaf {
            return Err(NodeError::EmptyExtension);
        }
        let nothing = Ok(Step::Turn(Turn::Nothing));
        let mut at = self.taken;
        if is_odd {
            if self.nibble(at) != Some(usize::from(first & 0x0f)) {
                return nothing;
            }
            at += 1;
        }
        for &pair in rest {
            let here = (self.nibble(at), self.nibble(at + 1));
            if here != (Some(usize::from(pair >> 4)), Some(usize::from(pair & 0x0f))) {
                return nothing;
            }
            at += 2;
        }
        self.taken = at;
        match (is_leaf, self.nibble(at)) {
            (false, _) if next == Item::Bytes(&[]) => Err(NodeError::Child),
            (false, _) => Ok(Step::Child(next)),
            (true, None) => Ok(Step::Turn(Turn::Found(next.bytes()?))),
            (true, Some(_)) => nothing,
        }
    }

    fn nibble(&self, at: usize) -> Option<usize> {
        let byte = *self.key.get(at / 2)?;
        Some(usize::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }))
    }
}

/// Where a node leads, before it is known whether what it leads to is part of it.
enum Step<'a> {
    Child(Item<'a>),
    Turn(Turn<'a>),
}

/// An account of a chain's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent, or contracts made.
    pub nonce: u64,
    /// In wei.
    pub balance: Number,
    /// The root of its storage.
    pub storage_root: Hash,
    /// keccak256 of its code.
    pub code_hash: Hash,
}

impl Account {
    /// Reads what the state holds behind the hash of an address.
    ///
    /// # Errors
    /// If it is no account.
    pub fn decode(encoded: &[u8]) -> Result<Self, Malformed> {
        let read = || {
            let mut items = rlp::list(encoded)?;
            let account = Self {
                nonce: items.take()?.u64()?,
                balance: items.take()?.number().map(Number)?,
                storage_root: items.take()?.array()?,
                code_hash: items.take()?.array()?,
            };
            items.end().map(|()| account)
        };
        read().map_err(|error: RlpError| Malformed::new("account", error))
    }
}

/// The account at `address` in the state with this root, or `None` if there is none.
///
/// # Errors
/// If a node is missing or malformed.
pub fn account<O: Oracle>(
    oracle: &mut O,
    state_root: &Hash,
    address: &[u8; 20],
) -> Result<Option<Account>, Error> {
    match get(oracle, state_root, &keccak256(address))? {
        Some(encoded) => Ok(Some(Account::decode(&encoded)?)),
        None => Ok(None),
    }
}

/// What is in `slot` of the storage with this root; zero if nothing is.
///
/// # Errors
/// If a node is missing or malformed.
pub fn storage<O: Oracle>(
    oracle: &mut O,
    storage_root: &Hash,
    slot: &Hash,
) -> Result<Number, Error> {
    let Some(encoded) = get(oracle, storage_root, &keccak256(slot))? else {
        return Ok(Number::ZERO);
    };
    let number = rlp::exact(&encoded).and_then(Item::number).map(Number);
    Ok(number.map_err(|error| Malformed::new("storage slot", error))?)
}
