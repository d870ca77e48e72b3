//! The tree over all of memory: roots of pages, the trees of those that change often, and the
//! levels above them.

use std::borrow::Cow;
use std::collections::HashMap;

use tribunal_keccak::Hash;

use crate::page_tree::{PageTree, Rehash, prove, rehash, tree_of};
use crate::proof::Proof;
use crate::upper_tree::UpperTree;
use crate::{Changed, PageData, Storage, page_index};

#[derive(Clone, Default)]
pub(crate) struct Tree {
    upper: UpperTree,
    /// The trees of pages that changed again after their first hash. Looked up only, never iterated.
    pages: HashMap<u64, Box<PageTree>, foldhash::fast::FixedState>,
}

/// Pages that are hashed before their roots go into the levels above: bounds what that holds.
const PAGES_AT_ONCE: usize = 2048;

impl Tree {
    pub(crate) fn root(&self) -> Hash {
        self.upper.root()
    }

    /// Takes in the roots of pages that were hashed elsewhere.
    pub(crate) fn take_roots(&mut self, roots: &[(u64, Hash)]) {
        self.upper.update(roots.iter().copied());
    }

    /// Forgets how the leaves of page `index` hash: it will be hashed as a whole.
    pub(crate) fn forget(&mut self, index: u64) {
        self.pages.remove(&index);
    }

    /// Takes in what changed in `storage`.
    pub(crate) fn update<S: Storage>(&mut self, storage: &mut S) {
        let changed = storage.take_changed();
        self.take_from(&changed, storage);
    }

    /// Takes in the pages of `storage` that are said to have changed.
    pub(crate) fn take_from<S: Storage>(&mut self, changed: &[Changed], storage: &S) {
        for changed in changed.chunks(PAGES_AT_ONCE) {
            let page = |changed: &Changed| Some((*changed, storage.page(changed.index)?));
            let pages: Vec<(Changed, Cow<'_, PageData>)> =
                changed.iter().filter_map(page).collect();
            self.take(pages.iter().map(|(changed, data)| (*changed, &**data)));
        }
    }

    /// Takes in pages that changed.
    pub(crate) fn take<'a>(&mut self, changed: impl Iterator<Item = (Changed, &'a PageData)>) {
        let mut pages: Vec<Rehash<'_>> = changed
            .map(|(Changed { index, leaves }, data)| {
                let (leaves, tree) = match self.pages.remove(&index) {
                    Some(tree) => (leaves, Some(tree)),
                    None if self.upper.knows(index) => (u128::MAX, Some(Box::new([[0; 32]; 128]))),
                    None => (u128::MAX, None),
                };
                Rehash { index, data, leaves, tree, root: [0; 32] }
            })
            .collect();
        rehash(&mut pages);
        self.upper.update(pages.iter().map(|page| (page.index, page.root)));
        for page in pages {
            if let Some(tree) = page.tree {
                self.pages.insert(page.index, tree);
            }
        }
    }

    /// Proves the leaf that holds `address`, whose page is `data` if it exists.
    pub(crate) fn prove(&self, address: u64, data: Option<&PageData>) -> Proof {
        let index = page_index(address);
        let mut proof = Proof::of_untouched_memory();
        if let Some(data) = data {
            let nodes = proof.within_page_mut();
            match self.pages.get(&index) {
                Some(tree) => prove(address, data, tree, nodes),
                None => prove(address, data, &tree_of(data), nodes),
            }
        }
        self.upper.prove(index, proof.above_page_mut());
        proof
    }
}
