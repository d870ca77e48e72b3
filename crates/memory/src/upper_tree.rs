//! The 52 tree levels above the pages, sparse: only nodes above a page that was hashed are kept.

use std::collections::HashMap;

use tribunal_keccak::{Hash, Node, hash_nodes};

use crate::page_tree::PAGE_LEVELS;
use crate::proof::{TREE_DEPTH, ZERO_HASHES};

/// Levels from the root of memory down to the roots of pages.
pub(crate) const UPPER_LEVELS: usize = TREE_DEPTH - PAGE_LEVELS;

#[derive(Clone, Default)]
pub(crate) struct UpperTree {
    /// Nodes in heap order: 1 is the root, `2^52 + page index` the root of a page. A node that is
    /// not here is the root of untouched memory. Looked up only, never iterated.
    nodes: HashMap<u64, Hash, foldhash::fast::FixedState>,
}

impl UpperTree {
    pub(crate) fn root(&self) -> Hash {
        self.node(1, 0)
    }

    /// Whether the root of page `index` was ever taken in.
    pub(crate) fn knows(&self, index: u64) -> bool {
        self.nodes.contains_key(&((1 << UPPER_LEVELS) | index))
    }

    /// Takes in the new roots of pages (index and root) and rehashes the paths above them.
    pub(crate) fn update(&mut self, pages: impl Iterator<Item = (u64, Hash)>) {
        let mut changed: Vec<u64> = pages
            .map(|(index, root)| {
                let place = (1 << UPPER_LEVELS) | index;
                self.nodes.insert(place, root);
                place
            })
            .collect();
        changed.sort_unstable();

        let mut nodes: Vec<Node> = Vec::with_capacity(changed.len());
        let mut hashes: Vec<Hash> = Vec::with_capacity(changed.len());
        for depth in (0..UPPER_LEVELS).rev() {
            for place in &mut changed {
                *place >>= 1;
            }
            changed.dedup();
            nodes.clear();
            for &place in &changed {
                let mut node = [0; 64];
                node[..32].copy_from_slice(&self.node(place * 2, depth + 1));
                node[32..].copy_from_slice(&self.node(place * 2 + 1, depth + 1));
                nodes.push(node);
            }
            hashes.resize(nodes.len(), [0; 32]);
            hash_nodes(&nodes, &mut hashes);
            self.nodes.extend(changed.iter().copied().zip(hashes.iter().copied()));
        }
    }

    /// Fills in the siblings on the way from page `index` up to the root.
    pub(crate) fn prove(&self, index: u64, siblings: &mut [Hash; UPPER_LEVELS]) {
        let mut place = (1 << UPPER_LEVELS) | index;
        for (depth, sibling) in (1..=UPPER_LEVELS).rev().zip(siblings) {
            *sibling = self.node(place ^ 1, depth);
            place >>= 1;
        }
    }

    fn node(&self, place: u64, depth: usize) -> Hash {
        self.nodes.get(&place).copied().unwrap_or(ZERO_HASHES[TREE_DEPTH - depth])
    }
}
