//! The Merkle Patricia trie of a state, over preimages: nodes are read when a key leads through them,
//! changed in memory, and hashed again where something changed.
//!
//! Knows tries whose keys all have 32 bytes, which the account trie and the storage tries are. Knows
//! nothing of accounts, and of where nodes come from only that someone has them by hash. What was
//! read may have been made by anyone: a node that no such trie has is an error, never a panic.

mod node;

use alloc::vec::Vec;
use core::fmt;

use alloy_primitives::{B256, b256};
use tribunal_keccak::keccak256;

use self::node::{Branch, Kind, Slot};

/// The root of a trie that holds nothing: keccak256 of an empty RLP string.
pub const EMPTY_ROOT: B256 =
    b256!("0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");

/// Nibbles of a key, and so the most levels that a trie can have.
const KEY_NIBBLES: usize = 64;

/// Who has the nodes.
pub trait Nodes {
    /// Why a node is not to be had.
    type Error;

    /// The encoded node with this hash.
    ///
    /// # Errors
    /// If it is not to be had.
    fn node(&mut self, hash: B256) -> Result<Vec<u8>, Self::Error>;
}

/// A trie of which as much is in memory as was needed so far.
///
/// After an error of [`insert`](Self::insert) or [`remove`](Self::remove) the trie is of no more use:
/// the change may be half done.
#[derive(Debug)]
pub struct Trie {
    root: Slot,
}

impl Trie {
    /// A trie that holds nothing.
    pub const fn empty() -> Self {
        Self { root: Slot::EMPTY }
    }

    /// The trie with this root.
    pub fn at(root: B256) -> Self {
        if root == EMPTY_ROOT { Self::empty() } else { Self { root: Slot::unread(root) } }
    }

    /// The value of `key`, if it has one.
    ///
    /// # Errors
    /// If a node on the way is not to be had or malformed.
    pub fn get<N: Nodes>(
        &mut self,
        nodes: &mut N,
        key: &B256,
    ) -> Result<Option<&[u8]>, Error<N::Error>> {
        let (mut slot, mut depth) = (&mut self.root, 0);
        loop {
            slot.read(nodes, key, depth)?;
            match &mut slot.kind {
                Kind::Empty | Kind::Unread => return Ok(None),
                Kind::Leaf(leaf) => return Ok((leaf.key == *key).then_some(&leaf.value)),
                Kind::Extension(extension) => {
                    if first_difference(&extension.prefix, key, depth, extension.end).is_some() {
                        return Ok(None);
                    }
                    depth = extension.end;
                    slot = &mut extension.child;
                }
                Kind::Branch(branch) => {
                    slot = &mut branch.children[nibble(key, depth)];
                    depth += 1;
                }
            }
        }
    }

    /// Gives `key` a value, which must not be empty: a trie has no empty values.
    ///
    /// # Errors
    /// If a node on the way is not to be had or malformed.
    pub fn insert<N: Nodes>(
        &mut self,
        nodes: &mut N,
        key: &B256,
        value: Vec<u8>,
    ) -> Result<(), Error<N::Error>> {
        insert(&mut self.root, nodes, key, 0, value).map(|_| ())
    }

    /// Takes the value of `key` away, if it has one.
    ///
    /// # Errors
    /// If a node on the way is not to be had or malformed, or the only sibling that a removed node
    /// leaves behind, which has to be read because it moves up.
    pub fn remove<N: Nodes>(&mut self, nodes: &mut N, key: &B256) -> Result<(), Error<N::Error>> {
        remove(&mut self.root, nodes, key, 0).map(|_| ())
    }

    /// The root of the trie as it stands.
    pub fn root(&mut self) -> B256 {
        self.commit(&mut |_, _| {})
    }

    /// The root of the trie as it stands; gives every node that has changed since the last time, with
    /// its hash, to `keep`.
    pub fn commit(&mut self, keep: &mut dyn FnMut(B256, &[u8])) -> B256 {
        if let Kind::Empty = self.root.kind {
            return EMPTY_ROOT;
        }
        if self.root.clean {
            return self.root.hash;
        }
        let mut encoded = Vec::with_capacity(node::MAX_BRANCH_BYTES);
        self.root.encode(0, &mut encoded, keep);
        // The root is hashed however short it is, but only a longer node may be referred to by hash.
        let hash = B256::new(keccak256(&encoded));
        keep(hash, &encoded);
        if encoded.len() >= 32 {
            self.root.hash = hash;
            self.root.clean = true;
        }
        hash
    }
}

/// Puts a value below `slot`, which stands at `depth` on the way to `key`; says whether that changed
/// anything.
fn insert<N: Nodes>(
    slot: &mut Slot,
    nodes: &mut N,
    key: &B256,
    depth: usize,
    value: Vec<u8>,
) -> Result<bool, Error<N::Error>> {
    slot.read(nodes, key, depth)?;
    let changed = match &mut slot.kind {
        Kind::Empty | Kind::Unread => {
            slot.kind = Kind::leaf(*key, value);
            true
        }
        Kind::Leaf(leaf) => match first_difference(&leaf.key, key, depth, KEY_NIBBLES) {
            None if leaf.value == value => false,
            None => {
                leaf.value = value;
                true
            }
            Some(fork) => {
                let old = nibble(&leaf.key, fork);
                let was = core::mem::replace(&mut slot.kind, Kind::Empty);
                let mut branch = Branch::new();
                branch.children[old] = Slot::changed(was);
                branch.children[nibble(key, fork)] = Slot::changed(Kind::leaf(*key, value));
                slot.kind = branch.below(key, depth, fork);
                true
            }
        },
        Kind::Extension(extension) => {
            match first_difference(&extension.prefix, key, depth, extension.end) {
                None => insert(&mut extension.child, nodes, key, extension.end, value)?,
                Some(fork) => {
                    let (prefix, end) = (extension.prefix, extension.end);
                    let child = core::mem::replace(&mut extension.child, Slot::EMPTY);
                    let mut branch = Branch::new();
                    branch.children[nibble(&prefix, fork)] = if fork + 1 == end {
                        child
                    } else {
                        Slot::changed(Kind::extension(prefix, end, child))
                    };
                    branch.children[nibble(key, fork)] = Slot::changed(Kind::leaf(*key, value));
                    slot.kind = branch.below(key, depth, fork);
                    true
                }
            }
        }
        Kind::Branch(branch) => {
            insert(&mut branch.children[nibble(key, depth)], nodes, key, depth + 1, value)?
        }
    };
    slot.clean &= !changed;
    Ok(changed)
}

/// Removes `key` below `slot`, which stands at `depth` on the way to it; says whether that changed
/// anything.
fn remove<N: Nodes>(
    slot: &mut Slot,
    nodes: &mut N,
    key: &B256,
    depth: usize,
) -> Result<bool, Error<N::Error>> {
    slot.read(nodes, key, depth)?;
    let changed = match &mut slot.kind {
        Kind::Empty | Kind::Unread => false,
        Kind::Leaf(leaf) => {
            let found = leaf.key == *key;
            if found {
                slot.kind = Kind::Empty;
            }
            found
        }
        Kind::Extension(extension) => {
            let differs = first_difference(&extension.prefix, key, depth, extension.end).is_some();
            let changed = !differs && remove(&mut extension.child, nodes, key, extension.end)?;
            // Leaves and extensions know their whole path, so the lower one of two replaces both.
            if changed && !matches!(extension.child.kind, Kind::Branch(_)) {
                slot.kind = core::mem::replace(&mut extension.child.kind, Kind::Empty);
            }
            changed
        }
        Kind::Branch(branch) => {
            let child = &mut branch.children[nibble(key, depth)];
            let changed = remove(child, nodes, key, depth + 1)?;
            if changed && let Some(last) = branch.only_child() {
                // A branch that no longer branches gives way to what is left of it.
                let mut path = *key;
                set_nibble(&mut path, depth, last);
                let mut left = core::mem::replace(&mut branch.children[last], Slot::EMPTY);
                left.read(nodes, &path, depth + 1)?;
                slot.kind = match left.kind {
                    Kind::Branch(_) => Kind::extension(path, depth + 1, left),
                    kind => kind,
                };
            }
            changed
        }
    };
    slot.clean &= !changed;
    Ok(changed)
}

/// The nibble of `key` at `index`, counted from 0 at the front.
fn nibble(key: &B256, index: usize) -> usize {
    let byte = key.0[index / 2];
    usize::from(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

fn set_nibble(key: &mut B256, index: usize, nibble: usize) {
    let byte = &mut key.0[index / 2];
    let nibble = nibble as u8 & 15;
    *byte = if index.is_multiple_of(2) { *byte & 15 | nibble << 4 } else { *byte & 0xf0 | nibble };
}

/// The first nibble from `from` and below `to` in which two keys differ.
fn first_difference(a: &B256, b: &B256, from: usize, to: usize) -> Option<usize> {
    let mut index = from;
    while index < to {
        if index.is_multiple_of(2) && index + 1 < to && a.0[index / 2] == b.0[index / 2] {
            index += 2;
        } else if nibble(a, index) == nibble(b, index) {
            index += 1;
        } else {
            return Some(index);
        }
    }
    None
}

/// Why a trie cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// A node is malformed, though it has the hash that it was asked for by: whoever made the root
    /// made no trie.
    #[error("the trie node {hash}, {depth} nibbles below the root, is malformed: {problem}")]
    Malformed {
        /// Its hash, or that of the node it is embedded in.
        hash: B256,
        /// How many nibbles lead to it.
        depth: usize,
        /// What is wrong.
        problem: Problem,
    },
    /// A node is not to be had.
    #[error(transparent)]
    Nodes(E),
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A branch holds a value, though keys are all equally long.
    BranchValue,
    /// A reference to a child is neither a hash nor a node below 32 bytes.
    Child,
    /// A leaf holds no value.
    EmptyValue,
    /// A branch has fewer than two children.
    LonelyBranch,
    /// An extension leads to no branch.
    NoBranch,
    /// The path is no compact path, or leads further than a key does, or not far enough.
    Path,
    /// It is no RLP list of two or of seventeen items.
    Rlp,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BranchValue => "a branch with a value",
            Self::Child => "a reference that is neither a hash nor a node below 32 bytes",
            Self::EmptyValue => "a leaf without a value",
            Self::LonelyBranch => "a branch with fewer than two children",
            Self::NoBranch => "an extension that leads to no branch",
            Self::Path => "a path that is not as long as keys are",
            Self::Rlp => "it is no list of two or seventeen items",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_from_and_to_any_nibble() {
        let a = B256::repeat_byte(0x77);
        for at in 0..KEY_NIBBLES {
            let mut b = a;
            set_nibble(&mut b, at, 3);
            assert_eq!((nibble(&a, at), nibble(&b, at)), (7, 3));
            for (from, to) in [(0, 64), (0, at), (at, 64), (at + 1, 64), (0, at + 1), (at, at + 1)]
            {
                let expected = (from <= at && at < to).then_some(at);
                assert_eq!(first_difference(&a, &b, from, to), expected, "{at} in {from}..{to}");
            }
        }
    }
}
