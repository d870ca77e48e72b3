//! The seven tree levels within a page.
//!
//! Nodes of many pages are hashed at once, level by level. The tree of a page is kept only once the
//! page has changed again after its first hash: most pages are written and then left alone, and a
//! root is all that those need.

use tribunal_keccak::{Hash, Node, hash_nodes};

use crate::PageData;
use crate::proof::ZERO_HASHES;

/// Bytes in a leaf of the tree.
pub(crate) const LEAF_BYTES: usize = 32;

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

/// Pages from which on a second thread is worth its start.
const PAGES_PER_THREAD: usize = 256;

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

/// Nodes of one level, of many pages, that wait to be hashed together.
#[derive(Default)]
struct Batch {
    nodes: Vec<Node>,
    /// Where each hash goes: a page of the batch and a place in its tree.
    places: Vec<(u8, u8)>,
    hashes: Vec<Hash>,
    /// For pages without a tree.
    scratch: Vec<PageTree>,
}

impl Batch {
    fn rehash(&mut self, pages: &mut [Rehash<'_>]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(PAGES_PER_BATCH.min(pages.len()), [[0; 32]; 128]);
        for pages in pages.chunks_mut(PAGES_PER_BATCH) {
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
