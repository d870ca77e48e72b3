//! Which words of memory blocks were decoded from.
//!
//! Knows addresses and the numbers of blocks, and nothing of what is in either.

use std::collections::{HashMap, HashSet};

use tribunal_memory::{PAGE_SIZE, Pages};

/// How often code of a page may change before its instructions are no longer decoded.
const MAX_CHANGES: u32 = 32;

const WORDS: usize = PAGE_SIZE / 8;

/// Words that hold decoded instructions, by page.
#[derive(Default)]
pub(crate) struct Code {
    pages: HashMap<u64, Page>,
    /// How often code of a page changed.
    changes: HashMap<u64, u32>,
    /// Pages whose code changes too often to be decoded.
    restless: HashSet<u64>,
}

struct Page {
    /// One bit for each word.
    words: [u64; WORDS / 64],
    /// The blocks with an instruction of the page.
    blocks: Vec<u32>,
}

/// Instructions at consecutive addresses, from one to before another. Neither is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    /// The words that it has a part in.
    fn words(self) -> impl Iterator<Item = u64> {
        self.start / 8..self.end.div_ceil(8)
    }

    fn pages(self) -> impl Iterator<Item = u64> {
        self.start / PAGE_SIZE as u64..self.end.div_ceil(PAGE_SIZE as u64)
    }
}

impl Code {
    /// Whether the word of `address` holds decoded instructions.
    pub(crate) fn holds(&self, address: u64) -> bool {
        self.pages.get(&(address / PAGE_SIZE as u64)).is_some_and(|page| {
            let word = address as usize % PAGE_SIZE / 8;
            page.words[word / 64] >> (word % 64) & 1 == 1
        })
    }

    /// Whether any of a page is decoded.
    pub(crate) fn is_in(&self, page: u64) -> bool {
        self.pages.contains_key(&page)
    }

    /// Whether instructions of the page of `pc` are decoded.
    pub(crate) fn may_decode(&self, pc: u64) -> bool {
        self.restless.is_empty() || !self.restless.contains(&(pc / PAGE_SIZE as u64))
    }

    /// A block was decoded from this.
    pub(crate) fn add(&mut self, block: u32, spans: &[Span], memory: &mut Pages) {
        for span in spans {
            for index in span.pages() {
                let page = self.pages.entry(index).or_insert_with(|| {
                    memory.watch(index, true);
                    Page { words: [0; WORDS / 64], blocks: Vec::new() }
                });
                if page.blocks.last() != Some(&block) {
                    page.blocks.push(block);
                }
            }
            for word in span.words() {
                if let Some(page) = self.pages.get_mut(&(word / WORDS as u64)) {
                    let word = word as usize % WORDS;
                    page.words[word / 64] |= 1 << (word % 64);
                }
            }
        }
    }

    /// Memory changed at `address`. Returns the blocks that are stale: if any instruction of a page
    /// changed, all that have one there. That a few more are named does no harm.
    pub(crate) fn invalidate(&mut self, address: u64, memory: &mut Pages) -> Vec<u32> {
        if !self.holds(address) {
            return Vec::new();
        }
        let index = address / PAGE_SIZE as u64;
        let changes = self.changes.entry(index).or_default();
        *changes += 1;
        if *changes == MAX_CHANGES {
            self.restless.insert(index);
        }
        memory.watch(index, false);
        self.pages.remove(&index).map_or_else(Vec::new, |page| page.blocks)
    }

    /// There are no blocks any more. How often pages changed stays known.
    pub(crate) fn clear(&mut self, memory: &mut Pages) {
        for index in std::mem::take(&mut self.pages).into_keys() {
            memory.watch(index, false);
        }
    }
}
