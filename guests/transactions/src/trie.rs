//! The list behind the root of an ordered trie, where the key of item `i` is `rlp(i)`.
//!
//! Whoever chooses the root chooses the nodes, so nothing is believed: depth, count and size are
//! bounded, and the keys must be exactly those of a list.

use alloc::vec::Vec;

use alloy_primitives::B256;
use alloy_trie::nodes::{RlpNode, TrieNode};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use tribunal_guest::Oracle;

use crate::block::{Error, Item, preimage};

/// More items than any block has room for: they would need 22 billion gas.
const MAX_ITEMS: usize = 1 << 20;

/// `rlp(i)` of an index below [`MAX_ITEMS`] is at most 4 bytes. It bounds the depth of the walk.
const MAX_KEY_NIBBLES: usize = 8;

/// The most that all items together may weigh, in bytes. Nodes may be shared, so that a few of them
/// could otherwise stand for a list that fills any memory.
const MAX_TOTAL_BYTES: usize = 128 << 20;

/// The items of the trie with this root, in order.
pub(crate) fn read_ordered<O: Oracle>(oracle: &mut O, root: B256) -> Result<Vec<Vec<u8>>, Error> {
    let malformed = |source| Error::Trie { root, source };
    let mut list = List::default();
    let mut to_visit = Vec::new();
    if root != EMPTY_ROOT_HASH {
        to_visit.push(Visit { path: Nibbles::new(), node: Reference::Hash(root) });
    }
    while let Some(Visit { path, node }) = to_visit.pop() {
        let encoded = match node {
            Reference::Hash(hash) => &preimage(oracle, hash, Item::TrieNode)?[..],
            Reference::Embedded(ref encoded) => encoded,
        };
        visit(path, encoded, &mut list, &mut to_visit).map_err(malformed)?;
    }
    list.into_items().map_err(malformed)
}

/// A node that the walk has still to look at.
struct Visit {
    /// The nibbles that lead to it.
    path: Nibbles,
    node: Reference,
}

/// How a node names its child.
enum Reference {
    Hash(B256),
    /// The child itself, if it is shorter than a hash.
    Embedded(RlpNode),
}

/// Takes the item of one node, or adds its children to what is to be visited.
fn visit(
    path: Nibbles,
    encoded: &[u8],
    list: &mut List,
    to_visit: &mut Vec<Visit>,
) -> Result<(), TrieError> {
    let node: TrieNode =
        alloy_rlp::decode_exact(encoded).map_err(|reason| TrieError::Node { path, reason })?;
    match node {
        TrieNode::EmptyRoot => Err(TrieError::EmptyNode { path }),
        // Every branch leads to two items at least, so the walk is no longer than the list.
        TrieNode::Branch(node) if node.stack.len() < 2 => Err(TrieError::LonelyBranch { path }),
        TrieNode::Branch(node) => {
            for (nibble, child) in node.as_ref().children() {
                if let Some(child) = child {
                    to_visit.push(Visit::new(&path, &Nibbles::from_nibbles([nibble]), child)?);
                }
            }
            Ok(())
        }
        TrieNode::Extension(node) if node.key.is_empty() => Err(TrieError::EmptyExtension { path }),
        TrieNode::Extension(node) => {
            to_visit.push(Visit::new(&path, &node.key, &node.child)?);
            Ok(())
        }
        TrieNode::Leaf(node) => list.take(&join(&path, &node.key)?, node.value),
    }
}

impl Visit {
    /// The child that a node at `parent` has behind `key`.
    fn new(parent: &Nibbles, key: &Nibbles, child: &RlpNode) -> Result<Self, TrieError> {
        let path = join(parent, key)?;
        let node = match child.as_slice() {
            [0xa0, hash @ ..] if hash.len() == 32 => Reference::Hash(B256::from_slice(hash)),
            embedded if embedded.len() < 32 => Reference::Embedded(child.clone()),
            _ => return Err(TrieError::Child { path }),
        };
        Ok(Self { path, node })
    }
}

fn join(path: &Nibbles, key: &Nibbles) -> Result<Nibbles, TrieError> {
    if path.len() + key.len() > MAX_KEY_NIBBLES {
        return Err(TrieError::TooDeep { path: *path });
    }
    Ok(path.join(key))
}

/// What the leaves hold, in the order they were found.
#[derive(Default)]
struct List {
    items: Vec<(usize, Vec<u8>)>,
    /// Length of all items, in bytes.
    bytes: usize,
}

impl List {
    fn take(&mut self, key: &Nibbles, item: Vec<u8>) -> Result<(), TrieError> {
        let index = index_of(key).ok_or(TrieError::Key { key: *key })?;
        if item.is_empty() {
            return Err(TrieError::EmptyItem { index });
        }
        self.bytes += item.len();
        if self.items.len() == MAX_ITEMS || self.bytes > MAX_TOTAL_BYTES {
            return Err(TrieError::TooLarge);
        }
        self.items.push((index, item));
        Ok(())
    }

    /// The items in order, if they are numbered from 0 without a gap.
    fn into_items(mut self) -> Result<Vec<Vec<u8>>, TrieError> {
        self.items.sort_unstable_by_key(|(index, _)| *index);
        match self.items.iter().enumerate().find(|(i, (index, _))| i != index) {
            Some((missing, _)) => Err(TrieError::Gap { missing, items: self.items.len() }),
            None => Ok(self.items.into_iter().map(|(_, item)| item).collect()),
        }
    }
}

/// The index whose encoding `key` is, if it is one.
fn index_of(key: &Nibbles) -> Option<usize> {
    if !key.len().is_multiple_of(2) {
        return None;
    }
    alloy_rlp::decode_exact::<u32>(key.pack()).ok()?.try_into().ok()
}

/// What is wrong with a trie. Paths and keys are shown in nibbles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrieError {
    /// A reference to a node is neither a hash nor a short node.
    #[error("the reference to the node at {path:?} is neither a hash nor a node below 32 bytes")]
    Child {
        /// Where the node should be.
        path: Nibbles,
    },
    /// An extension that extends nothing.
    #[error("the extension node at {path:?} has an empty key")]
    EmptyExtension {
        /// Where the node is.
        path: Nibbles,
    },
    /// A leaf without a value.
    #[error("item {index} is empty")]
    EmptyItem {
        /// Its index, from 0.
        index: usize,
    },
    /// The empty node, which only an empty trie has.
    #[error("there is an empty node at {path:?}, inside the trie")]
    EmptyNode {
        /// Where it is.
        path: Nibbles,
    },
    /// The keys are not those of a list.
    #[error("there are {items} items but none with index {missing}")]
    Gap {
        /// The first index that no item has.
        missing: usize,
        /// How many items there are.
        items: usize,
    },
    /// A key is not the encoding of an index.
    #[error("the key {key:?} is not the RLP of an index")]
    Key {
        /// The key.
        key: Nibbles,
    },
    /// A branch that does not branch.
    #[error("the branch node at {path:?} has fewer than two children")]
    LonelyBranch {
        /// Where the node is.
        path: Nibbles,
    },
    /// A node that is no node.
    #[error("what is at {path:?} is no trie node: {reason}")]
    Node {
        /// Where it is.
        path: Nibbles,
        /// What the decoder says.
        reason: alloy_rlp::Error,
    },
    /// A key is longer than the encoding of an index can be.
    #[error("the trie goes on below {path:?}, deeper than the key of any transaction")]
    TooDeep {
        /// Where it gets too deep.
        path: Nibbles,
    },
    /// The list is larger than that of any block.
    #[error("the trie holds more than {MAX_ITEMS} items or {MAX_TOTAL_BYTES} bytes")]
    TooLarge,
}
