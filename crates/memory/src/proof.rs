//! Proofs of one leaf: the leaf and its 59 siblings, bottom-up (spec: MIPS64 FPVM §1.4).

use std::sync::LazyLock;

use tribunal_keccak::{Hash, hash_pair};

use crate::page_tree::PAGE_LEVELS;
use crate::upper_tree::UPPER_LEVELS;

/// Levels of the tree: leaves are 32 bytes, an address has 64 bits.
pub(crate) const TREE_DEPTH: usize = 59;

/// Hashes in a proof: the leaf, then 59 siblings.
pub const PROOF_NODES: usize = TREE_DEPTH + 1;

/// Bytes in an encoded proof.
pub const PROOF_BYTES: usize = PROOF_NODES * 32;

/// The root of untouched memory of `2^i` leaves, at place `i`. A leaf is not hashed: 32 zero bytes.
pub(crate) static ZERO_HASHES: LazyLock<[Hash; PROOF_NODES]> = LazyLock::new(|| {
    let mut hashes = [[0; 32]; PROOF_NODES];
    for level in 1..PROOF_NODES {
        hashes[level] = hash_pair(&hashes[level - 1], &hashes[level - 1]);
    }
    hashes
});

/// A 32-byte leaf and its siblings up to the root, bottom-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    nodes: Box<[Hash; PROOF_NODES]>,
}

impl Proof {
    pub(crate) fn of_untouched_memory() -> Self {
        let mut nodes = Box::new([[0; 32]; PROOF_NODES]);
        nodes[1..].copy_from_slice(&ZERO_HASHES[..TREE_DEPTH]);
        Self { nodes }
    }

    pub(crate) fn within_page_mut(&mut self) -> &mut [Hash; PAGE_LEVELS + 1] {
        self.nodes.first_chunk_mut().expect("a proof is longer than its part within a page")
    }

    pub(crate) fn above_page_mut(&mut self) -> &mut [Hash; UPPER_LEVELS] {
        self.nodes.last_chunk_mut().expect("a proof is longer than its part above a page")
    }

    /// The proof that these bytes encode. Says nothing of whether it is true.
    pub fn from_bytes(bytes: &[u8; PROOF_BYTES]) -> Self {
        let mut nodes = Box::new([[0; 32]; PROOF_NODES]);
        nodes.as_flattened_mut().copy_from_slice(bytes);
        Self { nodes }
    }

    /// The leaf, then the siblings, bottom-up.
    pub fn as_bytes(&self) -> &[u8; PROOF_BYTES] {
        self.nodes.as_flattened().try_into().expect("60 times 32 bytes")
    }

    /// The 32 bytes that are proven.
    pub fn leaf(&self) -> &Hash {
        &self.nodes[0]
    }

    /// The root of a memory in which the leaf that holds `address` is this one.
    pub fn root(&self, address: u64) -> Hash {
        let mut node = self.nodes[0];
        let mut path = address >> 5;
        for sibling in &self.nodes[1..] {
            node = match path & 1 {
                0 => hash_pair(&node, sibling),
                _ => hash_pair(sibling, &node),
            };
            path >>= 1;
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Memory, PAGE_SIZE};

    /// The definition, straight from the spec: no cache, no pages.
    fn plain_root(leaves: &BTreeMap<u64, Hash>) -> Hash {
        let mut level: BTreeMap<u64, Hash> = leaves.clone();
        let mut zero = [0; 32];
        for _ in 0..TREE_DEPTH {
            let mut above = BTreeMap::new();
            for &index in level.keys() {
                let child = |index| level.get(&index).unwrap_or(&zero);
                above.insert(index >> 1, hash_pair(child(index & !1), child(index | 1)));
            }
            zero = hash_pair(&zero, &zero);
            level = above;
        }
        level.get(&0).copied().unwrap_or(zero)
    }

    /// Numbers that look random and are the same on every run.
    fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
        move || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    #[test]
    fn an_untouched_memory_has_the_root_of_zeroes() {
        assert_eq!(Memory::new().root(), plain_root(&BTreeMap::new()));
    }

    #[test]
    fn cached_roots_and_proofs_agree_with_the_definition_through_random_writes() {
        let mut next = numbers(1);
        let mut memory = Memory::new();
        let mut leaves: BTreeMap<u64, Hash> = BTreeMap::new();
        let bases = [0u64, 0x1_0000, 0x00c0_0000_0000, 0x7fff_ffff_f000, 0xffff_ffff_ffff_f000];
        for round in 0..60 {
            for _ in 0..next() % 12 {
                let address = bases[next() as usize % bases.len()]
                    .wrapping_add(next() % (3 * PAGE_SIZE as u64));
                // Zeroes too: a leaf may return to what untouched memory holds.
                let word = if next().is_multiple_of(4) { 0 } else { next() };
                memory.set_word(address, word);
                let leaf = leaves.entry(address >> 5).or_default();
                leaf.as_chunks_mut().0[(address as usize & 31) / 8] = word.to_be_bytes();
            }
            let root = memory.root();
            assert_eq!(root, plain_root(&leaves), "round {round}");
            for address in [bases[next() as usize % bases.len()], next()] {
                let proof = memory.proof(address);
                assert_eq!(proof.root(address), root, "round {round}, {address:#x}");
                assert_eq!(*proof.leaf(), leaves.get(&(address >> 5)).copied().unwrap_or_default());
                assert_eq!(Proof::from_bytes(proof.as_bytes()), proof);
            }
        }
    }

    #[test]
    fn many_pages_at_once_agree_with_the_definition() {
        let mut memory = Memory::new();
        let mut leaves = BTreeMap::new();
        for page in 0..200u64 {
            let bytes = [page as u8 + 1; PAGE_SIZE];
            memory.write(page << 12, &bytes);
            leaves.extend((0..128).map(|leaf| (page * 128 + leaf, [page as u8 + 1; 32])));
        }
        assert_eq!(memory.root(), plain_root(&leaves));
        let copy = memory.clone().root();
        assert_eq!(copy, memory.root());
    }

    #[test]
    fn a_proof_of_another_leaf_or_with_another_sibling_has_another_root() {
        let mut memory = Memory::new();
        memory.set_word(0x4020, 7);
        let root = memory.root();
        let proof = memory.proof(0x4020);
        assert_ne!(proof.root(0x4040), root);
        for place in 0..PROOF_NODES {
            let mut bytes = *proof.as_bytes();
            bytes[place * 32 + 5] ^= 1;
            assert_ne!(Proof::from_bytes(&bytes).root(0x4020), root, "node {place}");
        }
    }
}
