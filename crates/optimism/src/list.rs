//! Lists as blocks commit to them, of transactions and of receipts: a trie in which the key of item
//! `i` is `rlp(i)`.
//!
//! Whoever chose a root chose the nodes, so nothing is believed: depth, count and size are bounded,
//! and the keys must be exactly those of a list.

use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use tribunal_keccak::keccak256;
use tribunal_rlp::{self as rlp, Item, Items, write_list, write_string};

use crate::trie::{EMPTY_ROOT, Nodes};

/// More items than any block has room for: they would need 22 billion gas.
const MAX_ITEMS: usize = 1 << 20;

/// `rlp(i)` of an index below [`MAX_ITEMS`] is at most 4 bytes. It bounds the depth of the walk.
const MAX_KEY_NIBBLES: usize = 8;

/// The most that all items together may weigh, in bytes. Nodes may be shared, so that a few of them
/// could otherwise stand for a list that fills any memory.
const MAX_TOTAL_BYTES: usize = 128 << 20;

/// The root of a list; all nodes are given to `keep` with their hashes.
pub fn root<T: AsRef<[u8]>>(items: &[T], keep: &mut dyn FnMut(B256, &[u8])) -> B256 {
    if items.is_empty() {
        return EMPTY_ROOT;
    }
    let mut leaves: Vec<_> =
        items.iter().enumerate().map(|(i, item)| (Key::of(i), item.as_ref())).collect();
    leaves.sort_unstable_by(|(a, _), (b, _)| a.nibbles().cmp(b.nibbles()));
    let mut encoded = Vec::new();
    encode(&leaves, 0, &mut encoded, keep);
    let hash = B256::new(keccak256(&encoded));
    keep(hash, &encoded);
    hash
}

/// Appends the node that holds these leaves, whose keys agree in the first `depth` nibbles.
fn encode(
    leaves: &[(Key, &[u8])],
    depth: usize,
    out: &mut Vec<u8>,
    keep: &mut dyn FnMut(B256, &[u8]),
) {
    let (first, last) = (leaves[0].0.nibbles(), leaves[leaves.len() - 1].0.nibbles());
    write_list(out, |out| {
        if let [(_, item)] = leaves {
            encode_path(&first[depth..], 0x20, out);
            write_string(out, item);
            return;
        }
        // In sorted keys, what the first and the last have in common all have.
        let fork = (depth..).find(|&i| first[i] != last[i]).unwrap_or(depth);
        if fork > depth {
            encode_path(&first[depth..fork], 0, out);
            refer(leaves, fork, out, keep);
            return;
        }
        let mut rest = leaves;
        for nibble in 0..16 {
            let count = rest.partition_point(|(key, _)| key.nibbles()[depth] <= nibble);
            let (below, after) = rest.split_at(count);
            rest = after;
            match below {
                [] => write_string(out, &[]),
                _ => refer(below, depth + 1, out, keep),
            }
        }
        write_string(out, &[]);
    });
}

/// Appends what a parent holds of a node: its hash, or the node itself if it is shorter.
fn refer(
    leaves: &[(Key, &[u8])],
    depth: usize,
    out: &mut Vec<u8>,
    keep: &mut dyn FnMut(B256, &[u8]),
) {
    let start = out.len();
    encode(leaves, depth, out, keep);
    if out.len() - start >= 32 {
        let hash = keccak256(&out[start..]);
        keep(B256::new(hash), &out[start..]);
        out.truncate(start);
        write_string(out, &hash);
    }
}

/// Appends a compact path.
fn encode_path(nibbles: &[u8], flag: u8, out: &mut Vec<u8>) {
    let mut path = Vec::with_capacity(1 + nibbles.len() / 2);
    let (first, pairs) = nibbles.split_at(nibbles.len() % 2);
    path.push(flag | first.first().map_or(0, |nibble| 0x10 | nibble));
    path.extend(pairs.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    write_string(out, &path);
}

/// The nibbles of the RLP of an index.
#[derive(Clone, Copy)]
struct Key {
    nibbles: [u8; 2 * 9],
    length: usize,
}

impl Key {
    fn of(index: usize) -> Self {
        let mut key = Self { nibbles: [0; 18], length: 0 };
        let bytes = (index as u64).to_be_bytes();
        let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        if !matches!(digits, [0..0x80]) {
            key.push(0x80 + digits.len() as u8);
        }
        digits.iter().for_each(|digit| key.push(*digit));
        key
    }

    fn push(&mut self, byte: u8) {
        self.nibbles[self.length] = byte >> 4;
        self.nibbles[self.length + 1] = byte & 15;
        self.length += 2;
    }

    fn nibbles(&self) -> &[u8] {
        &self.nibbles[..self.length]
    }
}

/// The items of the list with this root, in order.
///
/// # Errors
/// If a node is not to be had, or the trie is not the trie of a list.
pub fn read<N: Nodes>(nodes: &mut N, root: B256) -> Result<Vec<Bytes>, Error<N::Error>> {
    let mut list = List { items: Vec::new(), bytes: 0 };
    if root != EMPTY_ROOT {
        list.read(nodes, root, &mut Vec::new())?;
    }
    list.items.sort_unstable_by_key(|(index, _)| *index);
    match list.items.iter().enumerate().find(|(i, (index, _))| i != index) {
        Some((missing, _)) => Err(Error::Gap { missing }),
        None => Ok(list.items.into_iter().map(|(_, item)| item).collect()),
    }
}

/// The first item of the list with this root, if it has any. The rest is not looked at.
///
/// # Errors
/// If a node is not to be had, or the trie is not the trie of a list.
pub fn first<N: Nodes>(nodes: &mut N, root: B256) -> Result<Option<Bytes>, Error<N::Error>> {
    if root == EMPTY_ROOT {
        return Ok(None);
    }
    let first = Key::of(0);
    let mut encoded = nodes.node(root).map_err(Error::Nodes)?;
    let mut path = Vec::new();
    loop {
        let malformed = || Error::Node { path: path.clone() };
        let children = rlp::list(&encoded).ok().and_then(split).ok_or_else(malformed)?;
        let depth = path.len();
        let next = match children[..] {
            [compact, content] => {
                let leaf =
                    join(&mut path, compact).ok_or_else(|| Error::Node { path: path.clone() })?;
                if leaf {
                    let item = content.bytes().ok().filter(|item| !item.is_empty());
                    let item = item.filter(|_| path == first.nibbles());
                    let item = item.ok_or_else(|| Error::Leaf { path: path.clone() })?;
                    return Ok(Some(Bytes::copy_from_slice(item)));
                }
                if path.len() == depth {
                    return Err(Error::Node { path });
                }
                content
            }
            [ref children @ .., _] if children.len() == 16 => {
                let nibble = *first.nibbles().get(depth).ok_or_else(malformed)?;
                path.push(nibble);
                children[usize::from(nibble)]
            }
            _ => return Err(malformed()),
        };
        encoded = match next {
            Item::Bytes(hash) if hash.len() == 32 => {
                nodes.node(B256::from_slice(hash)).map_err(Error::Nodes)?
            }
            Item::List(embedded) if embedded.len() < 31 => rlp::list_of(embedded),
            _ => return Err(Error::Node { path }),
        };
    }
}

/// The items of a node.
fn split(mut node: Items<'_>) -> Option<Vec<Item<'_>>> {
    let mut children = Vec::with_capacity(17);
    while !node.is_empty() {
        children.push(node.take().ok()?);
    }
    Some(children)
}

struct List {
    items: Vec<(usize, Bytes)>,
    bytes: usize,
}

impl List {
    /// Takes the items below the node with this hash, to which the nibbles of `path` lead.
    fn read<N: Nodes>(
        &mut self,
        nodes: &mut N,
        hash: B256,
        path: &mut Vec<u8>,
    ) -> Result<(), Error<N::Error>> {
        let encoded = nodes.node(hash).map_err(Error::Nodes)?;
        let node = rlp::list(&encoded).map_err(|_| Error::Node { path: path.clone() })?;
        self.take(nodes, node, path)
    }

    /// Takes the items below a node to which the nibbles of `path` lead.
    fn take<N: Nodes>(
        &mut self,
        nodes: &mut N,
        node: Items<'_>,
        path: &mut Vec<u8>,
    ) -> Result<(), Error<N::Error>> {
        let malformed = || Error::Node { path: path.clone() };
        let children = split(node).ok_or_else(malformed)?;
        let depth = path.len();
        match children[..] {
            [compact, content] => {
                let leaf = join(path, compact).ok_or_else(|| Error::Node { path: path.clone() })?;
                if leaf {
                    self.add(path, content).ok_or_else(|| Error::Leaf { path: path.clone() })?;
                } else if path.len() == depth {
                    return Err(Error::Node { path: path.clone() });
                } else {
                    self.follow(nodes, content, path)?;
                }
            }
            [ref children @ .., value] if children.len() == 16 && value.is_empty() => {
                let there = || children.iter().enumerate().filter(|(_, child)| !child.is_empty());
                // Every branch leads to two items at least, so the walk is no longer than the list.
                if there().count() < 2 || depth == MAX_KEY_NIBBLES {
                    return Err(malformed());
                }
                for (nibble, child) in there() {
                    path.push(nibble as u8);
                    self.follow(nodes, *child, path)?;
                    path.truncate(depth);
                }
            }
            _ => return Err(malformed()),
        }
        path.truncate(depth);
        Ok(())
    }

    fn follow<N: Nodes>(
        &mut self,
        nodes: &mut N,
        child: Item<'_>,
        path: &mut Vec<u8>,
    ) -> Result<(), Error<N::Error>> {
        match child {
            Item::Bytes(hash) if hash.len() == 32 => self.read(nodes, B256::from_slice(hash), path),
            // With its header it is shorter than a hash.
            Item::List(embedded) if embedded.len() < 31 => {
                self.take(nodes, Items::new(embedded), path)
            }
            _ => Err(Error::Node { path: path.clone() }),
        }
    }

    fn add(&mut self, path: &[u8], content: Item<'_>) -> Option<()> {
        let (bytes, []) = path.as_chunks::<2>() else { return None };
        let bytes: Vec<u8> = bytes.iter().map(|[high, low]| high << 4 | low).collect();
        let index: u32 = alloy_rlp::decode_exact(bytes).ok()?;
        let item = content.bytes().ok().filter(|item| !item.is_empty())?;
        self.bytes += item.len();
        if self.items.len() == MAX_ITEMS || self.bytes > MAX_TOTAL_BYTES {
            return None;
        }
        self.items.push((index as usize, Bytes::copy_from_slice(item)));
        Some(())
    }
}

/// Appends the nibbles of a compact path; says whether it is a leaf's.
fn join(path: &mut Vec<u8>, compact: Item<'_>) -> Option<bool> {
    let [flag, rest @ ..] = compact.bytes().ok()? else { return None };
    match flag >> 4 {
        0 | 2 if flag & 15 == 0 => {}
        1 | 3 => path.push(flag & 15),
        _ => return None,
    }
    if path.len() + 2 * rest.len() > MAX_KEY_NIBBLES {
        return None;
    }
    path.extend(rest.iter().flat_map(|byte| [byte >> 4, byte & 15]));
    Some(flag & 0x20 != 0)
}

/// Why a list cannot be read. Paths are in nibbles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// An item is missing.
    #[error("the list has no item {missing}, but later ones")]
    Gap {
        /// Its index.
        missing: usize,
    },
    /// A leaf is no item of a list, or the list is longer than any.
    #[error("what is at {path:?} is no item of a list")]
    Leaf {
        /// Where it is.
        path: Vec<u8>,
    },
    /// A node is none of a list.
    #[error("what is at {path:?} is no node of a list")]
    Node {
        /// Where it is.
        path: Vec<u8>,
    },
    /// A node is not to be had.
    #[error(transparent)]
    Nodes(E),
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec;

    struct Store(BTreeMap<B256, Vec<u8>>);

    impl Nodes for Store {
        type Error = B256;
        fn node(&mut self, hash: B256) -> Result<Vec<u8>, B256> {
            self.0.get(&hash).cloned().ok_or(hash)
        }
    }

    fn items(count: usize, length: usize) -> Vec<Bytes> {
        let item = |i: usize| Bytes::from(vec![i as u8 | 1; length + i % 5]);
        (0..count).map(item).collect()
    }

    #[test]
    fn lists_have_the_root_of_another_implementation_and_are_read_back() {
        for count in (0..40).chain([127, 128, 129, 255, 256, 257, 1000, 70_000]) {
            for length in [1, 30, 100] {
                let items = items(count, length);
                let mut store = Store(BTreeMap::new());
                let root = root(&items, &mut |hash, node| {
                    store.0.insert(hash, node.to_vec());
                });
                let expected = alloy_trie::root::ordered_trie_root_with_encoder(
                    &items,
                    |item: &Bytes, out| out.extend_from_slice(item),
                );
                assert_eq!(root, expected, "{count} items of {length} bytes");
                assert_eq!(read(&mut store, root).unwrap(), items);
                assert_eq!(first(&mut store, root).unwrap(), items.first().cloned());
                if count > 300 {
                    break;
                }
            }
        }
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        let mut store = Store(BTreeMap::new());
        let mut of = |node: &[u8]| {
            let hash = B256::new(keccak256(node));
            store.0.insert(hash, node.to_vec());
            first(&mut store, hash).unwrap_err();
            read(&mut store, hash).unwrap_err()
        };
        // A list of one item begins with 0: rlp(0) is 0x80.
        assert_eq!(of(&[0xc4, 0x82, 0x20, 0x01, 0x07]), Error::Gap { missing: 0 });
        let empty = of(&[0xc4, 0x82, 0x20, 0x80, 0x80]);
        assert_eq!(empty, Error::Leaf { path: vec![8, 0] });
        let odd = of(&[0xc2, 0x38, 0x07]);
        assert_eq!(odd, Error::Leaf { path: vec![8] });
        let long = of(&[0xc8, 0x86, 0x20, 1, 2, 3, 4, 5, 0x07]);
        assert_eq!(long, Error::Node { path: vec![] });
        for node in [&[0x80][..], &[], &[0xc0], &[0xc2, 0x80, 0x80], &[0xc3, 0x20, 0x07, 0x07]] {
            if node != [0x80] {
                assert_eq!(of(node), Error::Node { path: vec![] }, "{node:02x?}");
            }
        }
        let missing = B256::repeat_byte(1);
        assert_eq!(read(&mut store, missing), Err(Error::Nodes(missing)));
        assert_eq!(first(&mut store, missing), Err(Error::Nodes(missing)));
    }
    #[test]
    fn the_first_item_takes_only_the_nodes_that_lead_to_it() {
        let items = items(300, 100);
        let mut store = Store(BTreeMap::new());
        let root = root(&items, &mut |hash, node| {
            store.0.insert(hash, node.to_vec());
        });
        let all = store.0.clone();
        let needed: Vec<B256> = all
            .keys()
            .filter(|hash| {
                store.0.remove(*hash);
                let missing = first(&mut store, root).is_err();
                store.0.insert(**hash, all[*hash].clone());
                missing
            })
            .copied()
            .collect();
        store.0.retain(|hash, _| needed.contains(hash));
        assert_eq!(first(&mut store, root).unwrap(), Some(items[0].clone()));
        assert!((2..=4).contains(&store.0.len()), "{} of {}", store.0.len(), all.len());
        read(&mut store, root).unwrap_err();
    }

    #[test]
    fn of_what_is_a_list_in_spite_of_damage_the_first_item_is_the_same() {
        let (mut lists, mut errors) = (0, 0);
        for (count, length) in [(1, 1), (1, 100), (3, 5), (20, 1), (200, 40)] {
            let items = items(count, length);
            let mut whole = BTreeMap::new();
            let root = root(&items, &mut |hash, node| {
                whole.insert(hash, node.to_vec());
            });
            for (hash, node) in &whole {
                for place in 0..node.len() {
                    for bit in [1, 0x10, 0x80] {
                        let mut store = Store(whole.clone());
                        store.0.get_mut(hash).unwrap()[place] ^= bit;
                        let first = first(&mut store, root);
                        match read(&mut store, root) {
                            Ok(items) => {
                                lists += 1;
                                assert_eq!(first, Ok(items.first().cloned()));
                            }
                            Err(_) => errors += usize::from(first.is_err()),
                        }
                    }
                }
                if count == 200 && errors > 2000 {
                    break;
                }
            }
        }
        assert!(lists > 100 && errors > 100, "{lists} {errors}");
    }
}
