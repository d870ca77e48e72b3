//! The memory of a fault-proof VM: a sparse 64-bit address space in 4 KiB pages, and the Merkle
//! tree that commits to it.
//!
//! Knows pages, words and hashes. Knows nothing of instructions, threads, files or limits: whoever
//! runs a machine decides how many pages are too many.

mod later;
mod page_tree;
mod pages;
mod proof;
mod storage;
mod tree;
mod upper_tree;

use std::borrow::Cow;
use std::sync::mpsc::Receiver;

use tribunal_keccak::Hash;

pub use crate::later::Answers;
pub use crate::page_tree::page_roots;
pub use crate::pages::Pages;
pub use crate::proof::{PROOF_BYTES, PROOF_NODES, Proof};
pub use crate::storage::{Changed, Storage};

use crate::later::{Asked, Keeper};
use crate::tree::Tree;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// The bytes of a page.
pub type PageData = [u8; PAGE_SIZE];

/// Bits of an address that select a byte within its page.
pub const PAGE_ADDRESS_BITS: u32 = 12;

/// A sparse, byte-addressed, big-endian 64-bit address space.
///
/// A page exists once something was written to it, even a zero, and then for ever; which zero pages
/// exist is part of a state file, though not of the root. Reading creates nothing.
#[derive(Clone)]
pub struct Memory<S = Pages> {
    storage: S,
    tree: Keeper,
    asked: Asked,
}

impl Memory {
    /// A memory without pages: every byte reads as zero.
    pub fn new() -> Self {
        Self::over(Pages::default())
    }
}

impl<S: Storage> Memory<S> {
    /// A memory of what `storage` holds, all of which counts as changed there.
    pub fn over(storage: S) -> Self {
        Self { storage, tree: Keeper::default(), asked: Asked::default() }
    }

    /// What holds the bytes.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// What holds the bytes. Nothing is wrong with changing them, as long as it notes the change.
    #[inline]
    pub fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// A memory of what `storage` holds, with the root of each of its pages ([`page_roots`]), by
    /// index. They are believed: whoever kept them has checked them.
    ///
    /// # Panics
    /// If there are not as many roots as pages.
    pub fn with_page_roots(mut storage: S, roots: &[(u64, Hash)]) -> Self {
        assert_eq!(roots.len(), storage.page_count(), "each page has a root");
        storage.take_changed();
        let mut tree = Tree::default();
        tree.take_roots(roots);
        Self { storage, tree: Keeper::Here(tree), asked: Asked::default() }
    }

    /// The same pages, kept by another storage, which is empty. What was hashed stays so.
    pub fn move_to<T: Storage>(mut self, mut storage: T) -> Memory<T> {
        let tree = self.tree.here();
        self.asked.settle(tree);
        let changed = self.storage.take_changed();
        let mut changed: Vec<u64> = changed.into_iter().map(|changed| changed.index).collect();
        changed.sort_unstable();
        let is_changed = |index: &u64| changed.binary_search(index).is_ok();
        for index in self.storage.indices().filter(|index| !is_changed(index)) {
            copy_page(&self.storage, &mut storage, index);
        }
        // So far nothing has changed since it was hashed; the others have.
        storage.take_changed();
        for &index in &changed {
            copy_page(&self.storage, &mut storage, index);
            let start = index << PAGE_ADDRESS_BITS;
            // A page of zeroes is not written: this one may have held something else before.
            let first = storage.word(start);
            storage.set_word(start, first);
            tree.forget(index);
        }
        Memory { storage, tree: self.tree, asked: self.asked }
    }

    /// The 8-byte word at `address`; the low three bits of `address` are ignored.
    #[inline]
    pub fn word(&mut self, address: u64) -> u64 {
        self.storage.word(address)
    }

    /// The 4-byte instruction at `address`; the low two bits of `address` are ignored.
    #[inline]
    pub fn instruction(&mut self, address: u64) -> u32 {
        self.storage.instruction(address)
    }

    /// Stores an 8-byte word; the low three bits of `address` are ignored. Creates the page.
    #[inline]
    pub fn set_word(&mut self, address: u64, word: u64) {
        self.storage.set_word(address, word);
    }

    /// The 8-byte word at `address`, like [`Memory::word`], for those who only look.
    pub fn peek(&self, address: u64) -> u64 {
        self.storage.peek(address)
    }

    /// Makes the page `index` (an address divided by 4096) exist.
    ///
    /// # Panics
    /// If `index` has more than the 52 bits that an address divided by 4096 can have.
    pub fn touch(&mut self, index: u64) {
        self.storage.touch(index);
    }

    /// Writes `bytes` from `address` on, wrapping at the end of the address space.
    pub fn write(&mut self, mut address: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let offset = (address % PAGE_SIZE as u64) as usize;
            let (head, rest) = bytes.split_at(bytes.len().min(PAGE_SIZE - offset));
            self.storage.write_within_page(address, head);
            address = address.wrapping_add(head.len() as u64);
            bytes = rest;
        }
    }

    /// Reads into `bytes` from `address` on, wrapping at the end of the address space.
    pub fn read(&self, mut address: u64, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let offset = (address % PAGE_SIZE as u64) as usize;
            let (head, rest) = bytes.split_at_mut(bytes.len().min(PAGE_SIZE - offset));
            match self.storage.page(page_index(address)) {
                Some(data) => head.copy_from_slice(&data[offset..offset + head.len()]),
                None => head.fill(0),
            }
            address = address.wrapping_add(head.len() as u64);
            bytes = rest;
        }
    }

    /// How many pages exist.
    pub fn page_count(&self) -> usize {
        self.storage.page_count()
    }

    /// Whether the page `index` exists.
    pub fn has_page(&self, index: u64) -> bool {
        self.storage.has_page(index)
    }

    /// Every page that exists with its index, in ascending order.
    pub fn pages(&self) -> impl Iterator<Item = (u64, Cow<'_, PageData>)> {
        let page = |index| Some((index, self.storage.page(index)?));
        self.storage.indices().filter_map(page)
    }

    /// The root of the tree over all of memory (spec: MIPS64 FPVM §1.4).
    ///
    /// Costs what changed since the last call: 127 hashes for a page the first two times, from then
    /// on seven for a changed 32-byte leaf, fewer where leaves share a path; and 52 above a page,
    /// shared between pages likewise.
    pub fn root(&mut self) -> Hash {
        self.hashed().0.root()
    }

    /// The leaf that holds `address` and its siblings up to the root.
    pub fn proof(&mut self, address: u64) -> Proof {
        let (tree, storage) = self.hashed();
        tree.prove(address, storage.page(page_index(address)).as_deref())
    }

    /// The tree of what is stored now.
    fn hashed(&mut self) -> (&Tree, &S) {
        let tree = self.tree.here();
        self.asked.settle(tree);
        tree.update(&mut self.storage);
        (tree, &self.storage)
    }

    /// Asks for the root as it is now. The answer comes from [`Memory::answer`], computed on another
    /// thread, or from [`Memory::answer_now`].
    pub fn ask_root(&mut self) {
        self.asked.root(&mut self.storage, &mut self.tree);
    }

    /// Asks for the proof of `address` as it is now, as [`Memory::ask_root`] does for the root.
    pub fn ask_proof(&mut self, address: u64) {
        self.asked.proof(address, &mut self.storage, &mut self.tree);
    }

    /// Answers all that was asked for since the last call.
    pub fn answer_now(&mut self) -> Answers {
        self.asked.answers(self.tree.here())
    }

    /// Has another thread answer all that was asked for since the last call, and do `work` with the
    /// answers.
    ///
    /// Waits only where that thread is far behind.
    pub fn answer<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(Answers) -> T + Send + 'static,
    ) -> Receiver<T> {
        self.asked.answer(&mut self.tree, work)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Storage> std::fmt::Debug for Memory<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("pages", &self.page_count()).finish_non_exhaustive()
    }
}

/// Whether all of these bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // In pieces that vector instructions look at as a whole.
    let (pieces, rest) = bytes.as_chunks::<64>();
    let is_zero = |piece: &[u8]| piece.iter().fold(0, |all, byte| all | byte) == 0;
    pieces.iter().all(|piece| is_zero(piece)) && is_zero(rest)
}

fn copy_page(from: &impl Storage, to: &mut impl Storage, index: u64) {
    if let Some(data) = from.page(index) {
        to.write_within_page(index << PAGE_ADDRESS_BITS, &*data);
    }
}

#[inline]
fn page_index(address: u64) -> u64 {
    address >> PAGE_ADDRESS_BITS
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
    fn a_memory_with_the_roots_of_its_pages_hashes_like_one_that_computed_them() {
        let mut memory = Memory::new();
        for page in 0..40u64 {
            memory.set_word(page * 0x3000 + 8, page * 0x0101_0101);
        }
        memory.touch(0x77);
        let pages: Vec<(u64, PageData)> = memory.pages().map(|(i, page)| (i, *page)).collect();
        let roots = page_roots(&pages.iter().map(|(_, page)| page).collect::<Vec<_>>());
        let roots: Vec<(u64, Hash)> = pages.iter().map(|(i, _)| *i).zip(roots).collect();
        let mut storage = Pages::default();
        for (index, data) in &pages {
            storage.touch(*index);
            storage.write_within_page(index << PAGE_ADDRESS_BITS, data);
        }
        let mut known = Memory::with_page_roots(storage, &roots);
        assert_eq!(known.root(), memory.root());
        assert_eq!(known.proof(0x3008), memory.proof(0x3008));
        for memory in [&mut known, &mut memory] {
            memory.set_word(0x3010, 5);
            memory.set_word(0x77_7000, 6);
        }
        assert_eq!(known.root(), memory.root());
    }

    #[test]
    fn what_was_hashed_and_what_changed_since_moves_to_another_storage() {
        for hashes in 0..3u64 {
            let mut memory = Memory::new();
            for address in [0x1000, 0x2000, 0x3000, 0x9008] {
                memory.set_word(address, 0xabcd);
            }
            for round in 0..hashes {
                memory.root();
                memory.set_word(0x2040, round);
            }
            // A page that becomes zero, one that goes on, one that is new.
            memory.write(0x1000, &[0; PAGE_SIZE]);
            memory.set_word(0x2000, 7);
            memory.set_word(0x5000, 8);
            let mut fresh = Memory::new();
            memory.pages().for_each(|(index, data)| fresh.write(index * 0x1000, &*data));
            let mut moved = memory.move_to(Pages::default());
            assert_eq!(moved.root(), fresh.root(), "{hashes}");
            assert_eq!(moved.proof(0x2040), fresh.proof(0x2040), "{hashes}");
            moved.set_word(0x3008, 1);
            fresh.set_word(0x3008, 1);
            assert_eq!(moved.root(), fresh.root(), "{hashes}");
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
