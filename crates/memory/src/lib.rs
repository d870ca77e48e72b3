//! The memory of a fault-proof VM: a sparse 64-bit address space in 4 KiB pages, and the Merkle
//! tree that commits to it.
//!
//! Knows pages, words and hashes. Knows nothing of instructions, threads, files or limits: whoever
//! runs a machine decides how many pages are too many.

mod page;
mod proof;
mod tree;

use std::collections::BTreeMap;

use tribunal_keccak::Hash;

pub use crate::page::{PAGE_SIZE, PageData};
pub use crate::proof::{PROOF_BYTES, PROOF_NODES, Proof};

use crate::page::Page;
use crate::tree::UpperTree;

/// Bits of an address that select a byte within its page.
pub const PAGE_ADDRESS_BITS: u32 = 12;

/// A sparse, byte-addressed, big-endian 64-bit address space.
///
/// A page exists once something was written to it, even a zero, and then for ever; which zero pages
/// exist is part of a state file, though not of the root. Reading creates nothing.
#[derive(Clone)]
pub struct Memory {
    /// The slot in `pages` of each page that exists.
    slots: BTreeMap<u64, u32>,
    pages: Vec<Page>,
    /// Recently used pages, by the low bits of the page index. A slot never moves, so an entry is
    /// never wrong.
    recent: Box<[Recent; RECENT_PAGES]>,
    /// The page that instructions came from last: data must not push it out of `recent`.
    code: Recent,
    /// Slots of the pages that changed since the tree was last brought up to date.
    changed: Vec<u32>,
    tree: UpperTree,
}

/// A page index and its slot.
#[derive(Clone, Copy)]
struct Recent {
    index: u64,
    slot: u32,
}

impl Recent {
    /// No page has this index: an index has 52 bits.
    const NONE: Self = Self { index: u64::MAX, slot: 0 };
}

const RECENT_PAGES: usize = 1024;

impl Memory {
    /// A memory without pages: every byte reads as zero.
    pub fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            pages: Vec::new(),
            recent: Box::new([Recent::NONE; RECENT_PAGES]),
            code: Recent::NONE,
            changed: Vec::new(),
            tree: UpperTree::new(),
        }
    }

    /// The 8-byte word at `address`; the low three bits of `address` are ignored.
    #[inline]
    pub fn word(&mut self, address: u64) -> u64 {
        match self.slot_for_reading(address) {
            Some(slot) => self.pages[slot as usize].word(address),
            None => 0,
        }
    }

    /// The 4-byte instruction at `address`; the low two bits of `address` are ignored.
    #[inline]
    pub fn instruction(&mut self, address: u64) -> u32 {
        let index = page_index(address);
        if self.code.index != index {
            let Some(slot) = self.slot_for_reading(address) else { return 0 };
            self.code = Recent { index, slot };
        }
        self.pages[self.code.slot as usize].instruction(address)
    }

    /// Stores an 8-byte word; the low three bits of `address` are ignored. Creates the page.
    #[inline]
    pub fn set_word(&mut self, address: u64, word: u64) {
        let slot = self.slot_for_writing(page_index(address));
        let page = &mut self.pages[slot as usize];
        if page.is_clean() {
            self.changed.push(slot);
        }
        page.set_word(address, word);
    }

    /// The 8-byte word at `address`, like [`Memory::word`], for those who only look.
    pub fn peek(&self, address: u64) -> u64 {
        match self.slots.get(&page_index(address)) {
            Some(&slot) => self.pages[slot as usize].word(address),
            None => 0,
        }
    }

    /// Makes the page `index` (an address divided by 4096) exist.
    ///
    /// # Panics
    /// If `index` has more than the 52 bits that an address divided by 4096 can have.
    pub fn touch(&mut self, index: u64) {
        self.slot_for_writing(index);
    }

    /// Writes `bytes` from `address` on, wrapping at the end of the address space.
    pub fn write(&mut self, mut address: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let offset = (address % PAGE_SIZE as u64) as usize;
            let (head, rest) = bytes.split_at(bytes.len().min(PAGE_SIZE - offset));
            let slot = self.slot_for_writing(page_index(address));
            let page = &mut self.pages[slot as usize];
            let was_clean = page.is_clean();
            page.write(offset, head);
            if was_clean && !page.is_clean() {
                self.changed.push(slot);
            }
            address = address.wrapping_add(head.len() as u64);
            bytes = rest;
        }
    }

    /// Reads into `bytes` from `address` on, wrapping at the end of the address space.
    pub fn read(&self, mut address: u64, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let offset = (address % PAGE_SIZE as u64) as usize;
            let (head, rest) = bytes.split_at_mut(bytes.len().min(PAGE_SIZE - offset));
            match self.slots.get(&page_index(address)) {
                Some(&slot) => {
                    let data = self.pages[slot as usize].data();
                    head.copy_from_slice(&data[offset..offset + head.len()]);
                }
                None => head.fill(0),
            }
            address = address.wrapping_add(head.len() as u64);
            bytes = rest;
        }
    }

    /// How many pages exist.
    pub fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// Whether the page `index` exists.
    pub fn has_page(&self, index: u64) -> bool {
        self.slots.contains_key(&index)
    }

    /// Every page that exists with its index, in ascending order.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &PageData)> {
        self.slots.iter().map(|(&index, &slot)| (index, self.pages[slot as usize].data()))
    }

    /// The root of the tree over all of memory (spec: MIPS64 FPVM §1.4).
    ///
    /// Costs what changed since the last call: seven hashes for a changed 32-byte leaf within its
    /// page, fewer where leaves share a path, and 52 above it, shared between pages likewise.
    pub fn root(&mut self) -> Hash {
        self.update_tree();
        self.tree.root()
    }

    /// The leaf that holds `address` and its siblings up to the root.
    pub fn proof(&mut self, address: u64) -> Proof {
        self.update_tree();
        let index = page_index(address);
        let mut proof = Proof::of_untouched_memory();
        if let Some(&slot) = self.slots.get(&index) {
            self.pages[slot as usize].prove(address, proof.within_page_mut());
        }
        self.tree.prove(index, proof.above_page_mut());
        proof
    }

    fn update_tree(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        page::rehash(&mut self.pages, &self.changed);
        let pages = &self.pages;
        self.tree.update(self.changed.drain(..).map(|slot| {
            let page = &pages[slot as usize];
            (page.index(), page.root())
        }));
    }

    #[inline]
    fn slot_for_reading(&mut self, address: u64) -> Option<u32> {
        let index = page_index(address);
        let recent = self.recent[recent_place(index)];
        if recent.index == index { Some(recent.slot) } else { self.find_slot(index) }
    }

    #[inline]
    fn slot_for_writing(&mut self, index: u64) -> u32 {
        let recent = self.recent[recent_place(index)];
        if recent.index == index {
            return recent.slot;
        }
        match self.find_slot(index) {
            Some(slot) => slot,
            None => self.create_page(index),
        }
    }

    #[cold]
    fn find_slot(&mut self, index: u64) -> Option<u32> {
        let slot = *self.slots.get(&index)?;
        self.recent[recent_place(index)] = Recent { index, slot };
        Some(slot)
    }

    #[cold]
    fn create_page(&mut self, index: u64) -> u32 {
        assert!(index < 1 << 52, "a page index has 52 bits");
        let slot =
            u32::try_from(self.pages.len()).expect("fewer than 2^32 pages fit in any memory");
        self.pages.push(Page::new(index));
        self.slots.insert(index, slot);
        self.recent[recent_place(index)] = Recent { index, slot };
        slot
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("pages", &self.page_count()).finish_non_exhaustive()
    }
}

#[inline]
fn page_index(address: u64) -> u64 {
    address >> PAGE_ADDRESS_BITS
}

#[inline]
fn recent_place(index: u64) -> usize {
    index as usize % RECENT_PAGES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_creates_nothing_and_writing_zero_creates_a_page() {
        let mut memory = Memory::new();
        assert_eq!(memory.word(0x1000), 0);
        assert_eq!(memory.instruction(0x1000), 0);
        assert_eq!(memory.page_count(), 0);
        memory.set_word(0x1000, 0);
        assert_eq!(memory.pages().map(|(index, _)| index).collect::<Vec<_>>(), [1]);
        assert_eq!(memory.root(), Memory::new().root());
    }

    #[test]
    fn words_are_big_endian_and_aligned_down() {
        let mut memory = Memory::new();
        memory.set_word(0xffff_ffff_ffff_ffff, 0x0102_0304_0506_0708);
        assert_eq!(memory.word(0xffff_ffff_ffff_fff8), 0x0102_0304_0506_0708);
        assert_eq!(memory.peek(0xffff_ffff_ffff_fffb), 0x0102_0304_0506_0708);
        assert_eq!(memory.instruction(0xffff_ffff_ffff_fff8), 0x0102_0304);
        assert_eq!(memory.instruction(0xffff_ffff_ffff_ffff), 0x0506_0708);
        let mut bytes = [0xaa; 4];
        memory.read(0xffff_ffff_ffff_fffe, &mut bytes);
        assert_eq!(bytes, [7, 8, 0, 0]);
    }

    #[test]
    fn pages_that_share_a_place_in_the_cache_stay_apart() {
        let mut memory = Memory::new();
        let stride = (RECENT_PAGES * PAGE_SIZE) as u64;
        for i in 0..8 {
            memory.set_word(i * stride, i + 1);
        }
        for i in 0..8 {
            assert_eq!(memory.word(i * stride), i + 1);
            assert_eq!(memory.instruction(i * stride + 4), i as u32 + 1);
        }
    }

    #[test]
    fn bytes_written_across_pages_are_the_words_read() {
        let mut memory = Memory::new();
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i * 7 + i / 256) as u8).collect();
        memory.write(0x1ff5, &bytes);
        let mut read = vec![0; bytes.len()];
        memory.read(0x1ff5, &mut read);
        assert_eq!(read, bytes);
        assert_eq!(memory.word(0x2000), u64::from_be_bytes(bytes[11..19].try_into().unwrap()));
    }
}
