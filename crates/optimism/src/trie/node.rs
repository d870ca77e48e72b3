//! The nodes of a trie: how they are kept, decoded and encoded.
//!
//! Leaves and extensions hold the path from the root, not from where they stand, so that a node that
//! moves up or down is the same node.

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_primitives::B256;
use tribunal_keccak::keccak256;
use tribunal_rlp::{self as rlp, Item, Items, write_list, write_string};

use super::{Error, KEY_NIBBLES, Nodes, Problem, nibble, set_nibble};

/// The longest branch without a value: sixteen hashes, an empty string, and the list around them.
pub(super) const MAX_BRANCH_BYTES: usize = 3 + 16 * 33 + 1;

/// A place for a node.
#[derive(Debug)]
pub(super) struct Slot {
    /// The hash of the node, if `clean`.
    pub(super) hash: B256,
    /// The node has not changed since it had `hash`. Never so for one below 32 bytes.
    pub(super) clean: bool,
    pub(super) kind: Kind,
}

/// What stands in a place.
#[derive(Debug)]
pub(super) enum Kind {
    Branch(Branch),
    Empty,
    Extension(Box<Extension>),
    Leaf(Box<Leaf>),
    /// A node of which only the hash is known; the slot is clean.
    Unread,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub(super) children: Box<[Slot; 16]>,
}

/// Leads to a branch through nibbles in which all keys below agree.
#[derive(Debug)]
pub(super) struct Extension {
    /// A key of which the nibbles below `end` count.
    pub(super) prefix: B256,
    /// The depth of the child.
    pub(super) end: usize,
    pub(super) child: Slot,
}

#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) key: B256,
    pub(super) value: Vec<u8>,
}

impl Kind {
    pub(super) fn leaf(key: B256, value: Vec<u8>) -> Self {
        Self::Leaf(Box::new(Leaf { key, value }))
    }

    pub(super) fn extension(prefix: B256, end: usize, child: Slot) -> Self {
        Self::Extension(Box::new(Extension { prefix, end, child }))
    }
}

impl Branch {
    pub(super) fn new() -> Self {
        Self { children: Box::new([Slot::EMPTY; 16]) }
    }

    /// This branch at the depth `fork`, for a place at `depth` on the way to `key`.
    pub(super) fn below(self, key: &B256, depth: usize, fork: usize) -> Kind {
        let branch = Kind::Branch(self);
        if depth == fork { branch } else { Kind::extension(*key, fork, Slot::changed(branch)) }
    }

    /// The nibble of the only child, if there is only one.
    pub(super) fn only_child(&self) -> Option<usize> {
        let mut there = (0..16).filter(|&i| !matches!(self.children[i].kind, Kind::Empty));
        let first = there.next()?;
        there.next().is_none().then_some(first)
    }
}

impl Slot {
    pub(super) const EMPTY: Self = Self { hash: B256::ZERO, clean: false, kind: Kind::Empty };

    pub(super) const fn unread(hash: B256) -> Self {
        Self { hash, clean: true, kind: Kind::Unread }
    }

    pub(super) const fn changed(kind: Kind) -> Self {
        Self { hash: B256::ZERO, clean: false, kind }
    }

    /// Reads the node if only its hash is known. The first `depth` nibbles of `path` lead to it.
    pub(super) fn read<N: Nodes>(
        &mut self,
        nodes: &mut N,
        path: &B256,
        depth: usize,
    ) -> Result<(), Error<N::Error>> {
        if let Kind::Unread = self.kind {
            let encoded = nodes.node(self.hash).map_err(Error::Nodes)?;
            self.kind = rlp::list(&encoded)
                .map_err(|_| (depth, Problem::Rlp))
                .and_then(|items| decode(items, path, depth))
                .map_err(|(depth, problem)| Error::Malformed { hash: self.hash, depth, problem })?;
        }
        Ok(())
    }

    /// Appends what a parent holds of this node: its hash, or the node itself if it is shorter.
    fn refer(&mut self, depth: usize, out: &mut Vec<u8>, keep: &mut dyn FnMut(B256, &[u8])) {
        if let Kind::Empty = self.kind {
            write_string(out, &[]);
            return;
        }
        if !self.clean {
            let start = out.len();
            self.encode(depth, out, keep);
            let encoded = &out[start..];
            if encoded.len() < 32 {
                return;
            }
            self.hash = B256::new(keccak256(encoded));
            self.clean = true;
            keep(self.hash, encoded);
            out.truncate(start);
        }
        write_string(out, &self.hash.0);
    }

    /// Appends the encoded node, which is in memory.
    pub(super) fn encode(
        &mut self,
        depth: usize,
        out: &mut Vec<u8>,
        keep: &mut dyn FnMut(B256, &[u8]),
    ) {
        write_list(out, |out| match &mut self.kind {
            Kind::Branch(branch) => {
                for child in branch.children.iter_mut() {
                    child.refer(depth + 1, out, keep);
                }
                write_string(out, &[]);
            }
            Kind::Extension(extension) => {
                encode_path(&extension.prefix, depth, extension.end, out);
                extension.child.refer(extension.end, out, keep);
            }
            Kind::Leaf(leaf) => {
                encode_leaf_path(&leaf.key, depth, out);
                write_string(out, &leaf.value);
            }
            Kind::Empty | Kind::Unread => {}
        });
    }
}

/// Appends the compact path of a leaf at `depth`: all nibbles of `key` from there on.
fn encode_leaf_path(key: &B256, depth: usize, out: &mut Vec<u8>) {
    // The rest of the key ends with a byte, so only the byte that `depth` cuts needs a look.
    let whole = &key.0[depth.div_ceil(2)..];
    let first = if depth.is_multiple_of(2) { 0x20 } else { 0x30 | nibble(key, depth) as u8 };
    if !whole.is_empty() {
        out.push(0x80 + 1 + whole.len() as u8);
    }
    out.push(first);
    out.extend_from_slice(whole);
}

/// Appends the compact path of an extension: the nibbles of `key` from `from` to `to`.
fn encode_path(key: &B256, from: usize, to: usize, out: &mut Vec<u8>) {
    let odd = (to - from) % 2;
    let bytes = 1 + (to - from) / 2;
    if bytes > 1 {
        out.push(0x80 + bytes as u8);
    }
    out.push(if odd == 1 { 0x10 | nibble(key, from) as u8 } else { 0 });
    for i in (from + odd..to).step_by(2) {
        out.push((nibble(key, i) << 4 | nibble(key, i + 1)) as u8);
    }
}

/// Decodes a node to which the first `depth` nibbles of `path` lead. An error says at which depth.
fn decode(mut items: Items<'_>, path: &B256, depth: usize) -> Result<Kind, (usize, Problem)> {
    let at = |problem| (depth, problem);
    if depth < KEY_NIBBLES
        && let Some(branch) = branch_of_hashes(items.rest())
    {
        return Ok(Kind::Branch(branch));
    }
    let (first, second) = (next(&mut items, depth)?, next(&mut items, depth)?);
    if items.is_empty() {
        return decode_short(first, second, path, depth);
    }
    if depth == KEY_NIBBLES {
        return Err(at(Problem::Path));
    }
    // Where they will stay, one after the other: that is a copy less.
    let mut children = Vec::with_capacity(16);
    let mut path = *path;
    let mut count = 0;
    let mut item = first;
    for i in 0..16 {
        if item.is_empty() {
            children.push(Slot::EMPTY);
        } else {
            set_nibble(&mut path, depth, i);
            children.push(decode_child(item, &path, depth + 1)?);
            count += 1;
        }
        item = if i == 0 { second } else { next(&mut items, depth)? };
    }
    match () {
        () if !items.is_empty() => Err(at(Problem::Rlp)),
        () if !item.is_empty() => Err(at(Problem::BranchValue)),
        () if count < 2 => Err(at(Problem::LonelyBranch)),
        () => {
            let children = children.into_boxed_slice().try_into();
            children.map(|children| Kind::Branch(Branch { children })).map_err(|_| at(Problem::Rlp))
        }
    }
}

/// The branch in these items if it is as nearly all are: two hashes or more among its children, nothing
/// embedded, no value. Whatever else it is, [`decode`] says.
fn branch_of_hashes(mut items: &[u8]) -> Option<Branch> {
    // An RLP string of 32 bytes.
    const HASH: u8 = 0x80 + 32;
    if items.len() < 2 * 33 + 14 + 1 {
        return None;
    }
    let mut children = Vec::with_capacity(16);
    for _ in 0..16 {
        let (first, rest) = items.split_first()?;
        (items, _) = match *first {
            HASH => {
                let (hash, rest) = rest.split_first_chunk()?;
                (rest, children.push(Slot::unread(B256::new(*hash))))
            }
            0x80 => (rest, children.push(Slot::EMPTY)),
            _ => return None,
        };
    }
    let children = children.into_boxed_slice().try_into().ok()?;
    (items == [0x80]).then_some(Branch { children })
}

fn next<'a>(items: &mut Items<'a>, depth: usize) -> Result<Item<'a>, (usize, Problem)> {
    items.take().map_err(|_| (depth, Problem::Rlp))
}

/// Decodes a leaf or an extension from its two items.
fn decode_short(
    compact: Item<'_>,
    content: Item<'_>,
    path: &B256,
    depth: usize,
) -> Result<Kind, (usize, Problem)> {
    let at = |problem| (depth, problem);
    let Ok([flag, rest @ ..]) = compact.bytes() else {
        return Err(at(Problem::Path));
    };
    let odd = flag & 0x10 != 0;
    let length = rest.len() * 2 + usize::from(odd);
    if flag & 0xc0 != 0 || (!odd && flag & 0x0f != 0) || depth + length > KEY_NIBBLES {
        return Err(at(Problem::Path));
    }
    let end = depth + length;
    let mut key = *path;
    if odd {
        set_nibble(&mut key, depth, usize::from(flag & 15));
    }
    if flag & 0x20 != 0 {
        if end != KEY_NIBBLES {
            return Err(at(Problem::Path));
        }
        key.0[32 - rest.len()..].copy_from_slice(rest);
        return match content.bytes() {
            Err(_) => Err(at(Problem::Rlp)),
            Ok([]) => Err(at(Problem::EmptyValue)),
            Ok(value) => Ok(Kind::leaf(key, value.to_vec())),
        };
    }
    // Below an extension there is a branch, which takes one more nibble.
    if length == 0 || end == KEY_NIBBLES {
        return Err(at(Problem::Path));
    }
    let first = depth + usize::from(odd);
    for (i, byte) in rest.iter().enumerate() {
        set_nibble(&mut key, first + 2 * i, usize::from(byte >> 4));
        set_nibble(&mut key, first + 2 * i + 1, usize::from(byte & 15));
    }
    let child = decode_child(content, &key, end)?;
    // A child that is not embedded shows only later what it is; no harm is done by then.
    match child.kind {
        Kind::Branch(_) | Kind::Unread => Ok(Kind::extension(key, end, child)),
        _ => Err(at(Problem::NoBranch)),
    }
}

/// Decodes a reference that is not empty.
fn decode_child(item: Item<'_>, path: &B256, depth: usize) -> Result<Slot, (usize, Problem)> {
    match item {
        Item::Bytes(hash) if hash.len() == 32 => Ok(Slot::unread(B256::from_slice(hash))),
        // With its header it is shorter than a hash.
        Item::List(node) if node.len() < 31 && depth <= KEY_NIBBLES => {
            Ok(Slot::changed(decode(Items::new(node), path, depth)?))
        }
        _ => Err((depth, Problem::Child)),
    }
}
