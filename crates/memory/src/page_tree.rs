//! The seven tree levels within a page.
//!
//! Nodes of many pages are hashed at once, level by level. The tree of a page is kept only once the
//! page has changed again after its first hash: most pages are written and then left alone, and a
//! root is all that those need.

use tribunal_keccak::{Hash, Node, hash_nodes};

use crate::proof::ZERO_HASHES;
use crate::{PAGE_SIZE, PageData, is_zero};

/// Bytes in a leaf of the tree.
pub(crate) const LEAF_BYTES: usize = 32;

/// Bytes in a node: two leaves, or the hashes of two nodes.
const NODE_BYTES: usize = size_of::<Node>();

/// Tree levels within a page: 128 leaves.
pub(crate) const PAGE_LEVELS: usize = 7;

/// Inner nodes of a page in heap order: 1 is the root of the page, 64 to 127 are the parents of two
/// leaves each, 0 is unused.
pub(crate) type PageTree = [Hash; 128];

/// A page whose root is to be computed.
pub(crate) struct Rehash<'a> {
    pub(crate) index: u64,
    pub(crate) data: &'a PageData,
    /// The leaves that changed. All of them, unless `tree` is there and says how the others hash.
    pub(crate) leaves: u128,
    /// The tree as of before, and then as of now.
    pub(crate) tree: Option<Box<PageTree>>,
    /// The result.
    pub(crate) root: Hash,
}

/// Pages whose nodes are hashed in one batch: enough to keep any hasher busy, few enough to stay in
/// the processor's cache.
const PAGES_PER_BATCH: usize = 32;

/// Pages from which on another thread is worth its start, which takes as long as hashing ten of them.
const PAGES_PER_THREAD: usize = 64;

/// Computes the roots of `pages`, on more than one processor where there are many.
pub(crate) fn rehash(pages: &mut [Rehash<'_>]) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.min(pages.len() / PAGES_PER_THREAD).max(1);
    let share = pages.len().div_ceil(threads).max(1);
    // No result depends on who computes it: each page has a place of its own.
    std::thread::scope(|scope| {
        let mut shares = pages.chunks_mut(share);
        let own = shares.next();
        for share in shares {
            scope.spawn(|| Batch::default().rehash(share));
        }
        if let Some(own) = own {
            Batch::default().rehash(own);
        }
    });
}

/// The root of each of these pages, computed on this thread alone.
pub fn page_roots(pages: &[&PageData]) -> Vec<Hash> {
    let rehash = |&data| Rehash { index: 0, data, leaves: u128::MAX, tree: None, root: [0; 32] };
    let mut pages: Vec<Rehash<'_>> = pages.iter().map(rehash).collect();
    Batch::default().rehash(&mut pages);
    pages.into_iter().map(|page| page.root).collect()
}

/// Fills in the leaf that holds `address`, then its siblings up to below the page's root.
pub(crate) fn prove(
    address: u64,
    data: &PageData,
    tree: &PageTree,
    nodes: &mut [Hash; PAGE_LEVELS + 1],
) {
    let leaves = data.as_chunks::<LEAF_BYTES>().0;
    let leaf = address as usize % size_of::<PageData>() / LEAF_BYTES;
    nodes[0] = leaves[leaf];
    nodes[1] = leaves[leaf ^ 1];
    for (level, node) in nodes[2..].iter_mut().enumerate() {
        *node = tree[((128 + leaf) >> (level + 1)) ^ 1];
    }
}

/// The tree of a page.
pub(crate) fn tree_of(data: &PageData) -> Box<PageTree> {
    let tree = Box::new([[0; 32]; 128]);
    let mut page = Rehash { index: 0, data, leaves: u128::MAX, tree: Some(tree), root: [0; 32] };
    Batch::default().rehash(std::slice::from_mut(&mut page));
    page.tree.expect("a tree that was given is given back")
}

impl Rehash<'_> {
    /// Whether it is hashed as a whole, and most of it is not zeroes.
    fn is_full(&self) -> bool {
        let nodes = self.data.as_chunks::<NODE_BYTES>().0;
        let half = nodes.len() / 2;
        let filled = || nodes.iter().filter(|node| !is_zero(*node)).take(half).count();
        self.leaves == u128::MAX && filled() == half
    }
}

/// Hashes nodes of many pages together, level by level. What is kept here is room for them.
#[derive(Default)]
struct Batch {
    full: FullPages,
    sparse: SparsePages,
}

impl Batch {
    fn rehash(&mut self, pages: &mut [Rehash<'_>]) {
        let (mut full, mut sparse): (Vec<_>, Vec<_>) =
            pages.iter_mut().partition(|page| page.is_full());
        full.chunks_mut(PAGES_PER_BATCH).for_each(|pages| self.full.rehash(pages));
        sparse.chunks_mut(PAGES_PER_BATCH).for_each(|pages| self.sparse.rehash(pages));
    }
}

/// Pages of which every node is hashed. The hashes of one level, side by side, are the nodes of the
/// next: nothing is collected and nothing put in place.
#[derive(Default)]
struct FullPages {
    level: Vec<Hash>,
    above: Vec<Hash>,
}

impl FullPages {
    fn rehash(&mut self, pages: &mut [&mut Rehash<'_>]) {
        // Hashes of each page on this level: those of its 64-byte nodes first.
        let mut width = PAGE_SIZE / NODE_BYTES;
        self.level.resize(pages.len() * width, [0; 32]);
        for (page, hashes) in pages.iter().zip(self.level.chunks_exact_mut(width)) {
            hash_nodes(page.data.as_chunks().0, hashes);
        }
        loop {
            for (page, hashes) in pages.iter_mut().zip(self.level.chunks_exact(width)) {
                if let Some(tree) = &mut page.tree {
                    tree[width..2 * width].copy_from_slice(hashes);
                }
            }
            if width == 1 {
                break;
            }
            width /= 2;
            self.above.resize(pages.len() * width, [0; 32]);
            hash_nodes(self.level.as_flattened().as_chunks().0, &mut self.above);
            std::mem::swap(&mut self.level, &mut self.above);
        }
        for (page, root) in pages.iter_mut().zip(&self.level) {
            page.root = *root;
        }
    }
}

/// Pages of which some nodes are hashed: those above leaves that changed, and are not zeroes.
#[derive(Default)]
struct SparsePages {
    /// Nodes of one level that wait to be hashed together.
    nodes: Vec<Node>,
    /// Where each hash goes: a page of the batch and a place in its tree.
    places: Vec<(u8, u8)>,
    hashes: Vec<Hash>,
    /// For pages without a tree.
    scratch: Vec<PageTree>,
}

impl SparsePages {
    fn rehash(&mut self, pages: &mut [&mut Rehash<'_>]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(pages.len(), [[0; 32]; 128]);
        for level in 0..PAGE_LEVELS {
            for (which, (page, scratch)) in pages.iter_mut().zip(&mut scratch).enumerate() {
                let tree = page.tree.as_deref_mut().unwrap_or(scratch);
                self.gather(which as u8, page.data, page.leaves, tree, level);
            }
            self.hashes.resize(self.nodes.len(), [0; 32]);
            hash_nodes(&self.nodes, &mut self.hashes);
            for (&(which, place), hash) in self.places.iter().zip(&self.hashes) {
                let which = usize::from(which);
                let tree = pages[which].tree.as_deref_mut().unwrap_or(&mut scratch[which]);
                tree[usize::from(place)] = *hash;
            }
            self.nodes.clear();
            self.places.clear();
        }
        for (page, scratch) in pages.iter_mut().zip(&scratch) {
            page.root = page.tree.as_deref().unwrap_or(scratch)[1];
        }
        self.scratch = scratch;
    }

    /// Collects the nodes above `level` (0 is the leaves) that a changed leaf is below of. Where
    /// both children are untouched memory the hash is known and goes straight to its place.
    fn gather(
        &mut self,
        which: u8,
        data: &PageData,
        mut changed: u128,
        tree: &mut PageTree,
        level: usize,
    ) {
        let leaves = data.as_chunks::<LEAF_BYTES>().0;
        let zero = &ZERO_HASHES[level];
        while changed != 0 {
            let leaf = changed.trailing_zeros() as usize;
            let place = (128 + leaf) >> (level + 1);
            // Everything below this node is settled: continue right of it.
            let right_of_it = ((place + 1) << (level + 1)) - 128;
            changed &= u128::MAX.checked_shl(right_of_it as u32).unwrap_or(0);

            let children = place * 2;
            let (left, right) = if level == 0 {
                (&leaves[children - 128], &leaves[children - 127])
            } else {
                (&tree[children], &tree[children + 1])
            };
            if left == zero && right == zero {
                tree[place] = ZERO_HASHES[level + 1];
                continue;
            }
            let mut node = [0; 64];
            node[..32].copy_from_slice(left);
            node[32..].copy_from_slice(right);
            self.nodes.push(node);
            self.places.push((which, place as u8));
        }
    }
}

#[cfg(test)]
mod tests {
    use tribunal_keccak::hash_pair;

    use super::*;

    #[test]
    fn a_page_has_one_root_and_one_tree_however_much_of_it_is_zeroes() {
        let pages: Vec<PageData> = (0..=64)
            .map(|filled| {
                let mut page = [0; PAGE_SIZE];
                // Spread, and in each second one only the second leaf of a node.
                for node in (0..64).map(|node| node * 29 % 64).take(filled) {
                    page[node * 64 + node % 2 * 32 + 5] = node as u8 + 1;
                }
                page
            })
            .collect();
        let expected = |page: &PageData| {
            let mut tree = [[0; 32]; 256];
            tree[128..].copy_from_slice(page.as_chunks().0);
            for place in (1..128).rev() {
                tree[place] = hash_pair(&tree[2 * place], &tree[2 * place + 1]);
            }
            tree
        };
        let roots = page_roots(&pages.iter().collect::<Vec<_>>());
        for (page, root) in pages.iter().zip(roots) {
            let expected = expected(page);
            assert_eq!(root, expected[1]);
            assert_eq!(tree_of(page)[1..], expected[1..128]);
        }
    }
}
