//! One page: 4096 bytes, which of its leaves changed, and the seven tree levels within it.
//!
//! A page that was never hashed carries no tree, so a program that is only run pays for none.

use tribunal_keccak::{Hash, Node, hash_nodes};

use crate::proof::ZERO_HASHES;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// The bytes of a page.
pub type PageData = [u8; PAGE_SIZE];

/// What a page holds before anything else was written to it.
static ZERO_PAGE: PageData = [0; PAGE_SIZE];

/// Bytes in a leaf of the tree.
const LEAF_BYTES: usize = 32;

/// Tree levels within a page: 128 leaves.
pub(crate) const PAGE_LEVELS: usize = 7;

/// Inner nodes of a page in heap order: 1 is the root of the page, 64 to 127 are the parents of two
/// leaves each, 0 is unused.
type PageTree = [Hash; 128];

#[derive(Clone)]
pub(crate) struct Page {
    index: u64,
    /// The leaves that changed since the tree was last brought up to date, one bit each.
    dirty: u128,
    /// `None` while every byte is zero: a page that only exists costs no 4 KiB.
    data: Option<Box<PageData>>,
    tree: Option<Box<PageTree>>,
}

impl Page {
    pub(crate) fn new(index: u64) -> Self {
        Self { index, dirty: 0, data: None, tree: None }
    }

    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    pub(crate) fn data(&self) -> &PageData {
        self.data.as_deref().unwrap_or(&ZERO_PAGE)
    }

    #[inline]
    pub(crate) fn is_clean(&self) -> bool {
        self.dirty == 0
    }

    #[inline]
    pub(crate) fn word(&self, address: u64) -> u64 {
        let offset = address as usize % PAGE_SIZE / 8;
        match &self.data {
            Some(data) => u64::from_be_bytes(data.as_chunks().0[offset]),
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn instruction(&self, address: u64) -> u32 {
        let offset = address as usize % PAGE_SIZE / 4;
        match &self.data {
            Some(data) => u32::from_be_bytes(data.as_chunks().0[offset]),
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn set_word(&mut self, address: u64, word: u64) {
        let offset = address as usize % PAGE_SIZE;
        self.data_mut().as_chunks_mut().0[offset / 8] = word.to_be_bytes();
        self.dirty |= 1 << (offset / LEAF_BYTES);
    }

    /// Writes `bytes`, which must end within the page.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.data.is_none() && bytes.iter().all(|&byte| byte == 0) {
            return;
        }
        self.data_mut()[offset..end].copy_from_slice(bytes);
        for leaf in offset / LEAF_BYTES..end.div_ceil(LEAF_BYTES) {
            self.dirty |= 1 << leaf;
        }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut PageData {
        self.data.get_or_insert_with(|| Box::new([0; PAGE_SIZE]))
    }

    /// The root of the page as of the last [`rehash`].
    pub(crate) fn root(&self) -> Hash {
        match &self.tree {
            Some(tree) => tree[1],
            None => ZERO_HASHES[PAGE_LEVELS],
        }
    }

    /// Fills in the leaf that holds `address`, then its siblings up to below the page's root, as of
    /// the last [`rehash`].
    pub(crate) fn prove(&self, address: u64, nodes: &mut [Hash; PAGE_LEVELS + 1]) {
        let leaves = self.data().as_chunks::<LEAF_BYTES>().0;
        let leaf = address as usize % PAGE_SIZE / LEAF_BYTES;
        nodes[0] = leaves[leaf];
        nodes[1] = leaves[leaf ^ 1];
        if let Some(tree) = &self.tree {
            for (level, node) in nodes[2..].iter_mut().enumerate() {
                *node = tree[((128 + leaf) >> (level + 1)) ^ 1];
            }
        }
    }
}

/// Pages whose nodes are hashed in one batch: enough to keep any hasher busy, few enough to stay in
/// the processor's cache.
const PAGES_PER_BATCH: usize = 32;

/// Brings the trees of the pages in `changed` up to date and marks them clean.
pub(crate) fn rehash(pages: &mut [Page], changed: &[u32]) {
    let mut batch = Batch::default();
    for slots in changed.chunks(PAGES_PER_BATCH) {
        for level in 0..PAGE_LEVELS {
            for &slot in slots {
                batch.gather(&mut pages[slot as usize], slot, level);
            }
            batch.hash(pages);
        }
        for &slot in slots {
            pages[slot as usize].dirty = 0;
        }
    }
}

/// Nodes of one level, of many pages, that wait to be hashed together.
#[derive(Default)]
struct Batch {
    nodes: Vec<Node>,
    /// Where each hash goes: a slot and a place in its page's tree.
    places: Vec<(u32, u8)>,
    hashes: Vec<Hash>,
}

impl Batch {
    /// Collects the nodes above `level` (0 is the leaves) that a dirty leaf is below of. Where both
    /// children are untouched memory the hash is known and goes straight to its place.
    fn gather(&mut self, page: &mut Page, slot: u32, level: usize) {
        let tree = page.tree.get_or_insert_with(|| {
            let mut tree = Box::new([[0; 32]; 128]);
            for (place, node) in tree.iter_mut().enumerate().skip(1) {
                *node = ZERO_HASHES[PAGE_LEVELS - place.ilog2() as usize];
            }
            tree
        });
        let leaves = page.data.as_deref().unwrap_or(&ZERO_PAGE).as_chunks::<LEAF_BYTES>().0;
        let mut dirty = page.dirty;
        while dirty != 0 {
            let leaf = dirty.trailing_zeros() as usize;
            let place = (128 + leaf) >> (level + 1);
            // Everything below this node is settled: continue right of it.
            let right_of_it = ((place + 1) << (level + 1)) - 128;
            dirty &= u128::MAX.checked_shl(right_of_it as u32).unwrap_or(0);

            let children = place * 2;
            let (left, right) = if level == 0 {
                (&leaves[children - 128], &leaves[children - 127])
            } else {
                (&tree[children], &tree[children + 1])
            };
            if *left == ZERO_HASHES[level] && *right == ZERO_HASHES[level] {
                tree[place] = ZERO_HASHES[level + 1];
                continue;
            }
            let mut node = [0; 64];
            node[..32].copy_from_slice(left);
            node[32..].copy_from_slice(right);
            self.nodes.push(node);
            self.places.push((slot, place as u8));
        }
    }

    fn hash(&mut self, pages: &mut [Page]) {
        self.hashes.resize(self.nodes.len(), [0; 32]);
        hash_nodes(&self.nodes, &mut self.hashes);
        for (&(slot, place), hash) in self.places.iter().zip(&self.hashes) {
            if let Some(tree) = &mut pages[slot as usize].tree {
                tree[place as usize] = *hash;
            }
        }
        self.nodes.clear();
        self.places.clear();
    }
}
