//! Guest memory as the processor sees it: pieces of reserved address space, and a byte per page that
//! says whether a store to it needs attention.
//!
//! Knows where a guest address lies in the host, and what changed. Knows nothing of instructions.
//!
//! # Containment
//!
//! The first 2^47 bytes of guest memory are cut into 64 segments. A segment that is written to gets
//! a piece of the host's address space, [`MARGIN`] longer than itself, and a delta: what is to be
//! added to a guest address to find it there. Compiled code adds a delta to an address only if it
//! has seen
//!
//! * that the address lies in the segment, all its bits above [`SEGMENT_BITS`] being the segment's
//!   (when it was compiled, if the address is a constant), or
//! * that a base lies at least 2^15 behind the segment's start and less than 2^15 behind its end. What
//!   a displacement of 16 bits reaches from there is in the piece, margin included; and so is what
//!   several displacements and constants added to the base reach that come to no more than 16 bits.
//!
//! The margin behind a piece is the beginning of the next segment, which therefore gets no piece of
//! its own ([`Window::find`]): every byte of a piece is guest memory, at one guest address. So there is
//! nothing else that compiled code could reach, and it always reaches what the guest means. Whatever
//! has no piece is kept in ordinary pages and reached through [`Storage`].
//!
//! A piece holds each aligned word of 8 bytes as this processor would: its value, least significant
//! byte first, while the guest means it most significant byte first. So a double is read and written
//! as it is, and the byte at a guest address lies at that address with its three lowest bits turned
//! around: in the same word, so in the same piece. Bytes leave and enter in the guest's order.
//!
//! Pages are reserved, not allocated: the kernel hands one out when it is first written to, and
//! reads zeroes until then, as the machine wants it. There is no fault to handle. What the kernel
//! needs to know of pages that are only read, a page of tables for each 2 MiB, is given back when it
//! has become much ([`Window::forget_reads`]). Huge pages are not wanted: a guest that writes one word
//! in every 2 MiB must not take all of them.

#![expect(unsafe_code, reason = "maps guest memory and reads it by address; see above")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use tribunal_memory::{Changed, PAGE_SIZE, PageData, Pages, Storage, is_zero};

/// Bits of an address that select a byte within its segment.
pub(crate) const SEGMENT_BITS: u32 = 41;
/// Segments there are.
pub(crate) const SEGMENTS: usize = 64;
const SEGMENT_BYTES: u64 = 1 << SEGMENT_BITS;
/// What a displacement of 16 bits can reach beyond the end of a segment.
const MARGIN: u64 = 1 << 16;

/// Program counters below this one are found in the table of compiled blocks.
pub(crate) const TABLE_END: u64 = 1 << 29;
/// Bytes of that table: 8 for each instruction. It lies right below the marks.
pub(crate) const TABLE_BYTES: usize = (TABLE_END * 2) as usize;
/// Below it lie the deltas of the segments, 8 bytes each, 0 for those without a piece.
pub(crate) const DELTAS_BYTES: usize = PAGE_SIZE;

/// One byte for each page below 2^47, and for the margin of the last segment.
const MARKS_BYTES: usize = (1 << 35) + PAGE_SIZE;

/// What one page of the kernel's tables describes.
const TABLE_REACH: u64 = 2 << 20;

/// A piece of this process's address space, given back when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    bytes: usize,
}

impl Mapping {
    /// Reserves zeroes.
    fn reserve(bytes: usize) -> rustix::io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, flags)? };
        let start = NonNull::new(start).ok_or(rustix::io::Errno::NOMEM)?;
        let mapping = Self { start, bytes };
        mapping.refuse_huge_pages(0, bytes);
        Ok(mapping)
    }

    /// A kernel without huge pages refuses this, and need not be told.
    fn refuse_huge_pages(&self, offset: usize, bytes: usize) {
        debug_assert!(offset + bytes <= self.bytes);
        // SAFETY: the range lies in this mapping; nothing that can be read there changes.
        let _ = unsafe {
            madvise(self.start().wrapping_add(offset).cast(), bytes, Advice::LinuxNoHugepage)
        };
    }

    /// Makes zeroes of a range that holds nothing else, so that the kernel forgets what it knows of it.
    fn renew(&mut self, offset: usize, bytes: usize) {
        assert!(offset + bytes <= self.bytes);
        let start = self.start().wrapping_add(offset).cast();
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the range lies in this mapping, asserted above, and nothing refers to it: it is
        // borrowed exclusively. It reads as zeroes before and after.
        let renewed = unsafe { mmap_anonymous(start, bytes, protection, flags) };
        // There may be nothing in its place now, where compiled code is sure to find something.
        renewed.expect("the kernel reserves again what was reserved");
        self.refuse_huge_pages(offset, bytes);
    }

    fn start(&self) -> *mut u8 {
        self.start.as_ptr().cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and whatever pointed into it is gone with its
        // owner.
        let unmapped = unsafe { munmap(self.start.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping can be given back");
    }
}

/// Guest memory.
#[derive(Debug)]
pub(crate) struct Window {
    /// The deltas, the table of compiled blocks, then for each page: 1 if it may be written without
    /// further ado. That is so when it is in `changed` already and nobody watches it.
    marks: Mapping,
    /// What the deltas lead to, with their segments.
    pieces: Vec<(usize, Mapping)>,
    deltas: [u64; SEGMENTS],
    /// Segments that get no piece any more, one bit each.
    without: u64,
    /// The place in `pages` of each page that exists in the pieces.
    slots: BTreeMap<u64, u32>,
    pages: Vec<Page>,
    changed: Vec<u32>,
    /// Pages that hold compiled code.
    code: BTreeSet<u64>,
    /// The page of the live reservation of load-linked.
    reserved: u64,
    /// Words written on pages with compiled code, by address.
    code_writes: Vec<u64>,
    /// What lies outside of the pieces.
    beyond: Pages,
}

// SAFETY: the mappings belong to the window alone; nothing of them is tied to a thread.
unsafe impl Send for Window {}

/// A page as it lies there.
type RawPage = [u64; PAGE_SIZE / 8];

#[derive(Debug)]
struct Page {
    index: u64,
    is_changed: bool,
    /// How often it was hashed, up to 2.
    hashed: u8,
    /// What it held when it was last hashed, if it is hashed often and has changed since.
    before: Option<Box<RawPage>>,
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
#[error("cannot reserve address space for guest memory: {0}")]
pub(crate) struct WindowError(#[from] rustix::io::Errno);

impl Window {
    /// A window in which the segments of `segments` have their pieces already.
    pub(crate) fn new(segments: &[usize]) -> Result<Self, WindowError> {
        let mut window = Self {
            marks: Mapping::reserve(DELTAS_BYTES + TABLE_BYTES + MARKS_BYTES)?,
            pieces: Vec::new(),
            deltas: [0; SEGMENTS],
            without: 0,
            slots: BTreeMap::new(),
            pages: Vec::new(),
            changed: Vec::new(),
            code: BTreeSet::new(),
            reserved: 0,
            code_writes: Vec::new(),
            beyond: Pages::default(),
        };
        for &segment in segments {
            window.add_piece(segment)?;
        }
        Ok(window)
    }

    fn add_piece(&mut self, segment: usize) -> Result<(), WindowError> {
        let bytes = (SEGMENT_BYTES + MARGIN) as usize;
        let start = (segment as u64) << SEGMENT_BITS;
        let mut piece = Mapping::reserve(bytes)?;
        if piece.start().addr() as u64 == start {
            // A delta of 0 says that there is no piece. Where this one is, another is not.
            piece = Mapping::reserve(bytes)?;
        }
        let delta = (piece.start().addr() as u64).wrapping_sub(start);
        self.deltas[segment] = delta;
        let entry = self.marks.start().cast::<u64>().wrapping_add(segment);
        // SAFETY: the first page of the marks' mapping has a place for each segment.
        unsafe { entry.write(delta) };
        self.pieces.push((segment, piece));
        Ok(())
    }

    /// What is to be added to a guest address in `segment`, or 0 if that has no piece.
    pub(crate) fn delta(&self, segment: usize) -> u64 {
        self.deltas[segment]
    }

    /// The mark of page 0; those of the others follow.
    pub(crate) fn marks(&self) -> *mut u8 {
        self.marks.start().wrapping_add(DELTAS_BYTES + TABLE_BYTES)
    }

    /// Makes `code` the entry of the table of compiled blocks for `pc`, which is below [`TABLE_END`]
    /// and divisible by 4.
    pub(crate) fn set_table(&mut self, pc: u64, code: *const u8) {
        assert!(pc < TABLE_END && pc.is_multiple_of(4));
        let offset = DELTAS_BYTES + pc as usize * 2;
        let entry = self.marks.start().wrapping_add(offset).cast::<*const u8>();
        // SAFETY: the table is 8 bytes for each of the program counters just asserted, in a mapping
        // that this window owns.
        unsafe { entry.write(code) };
    }

    /// Forgets all of the table of compiled blocks.
    pub(crate) fn clear_table(&mut self) {
        let table = self.marks.start().wrapping_add(DELTAS_BYTES);
        // SAFETY: the pages lie in this window's own mapping; they read as zeroes afterwards, which
        // is a table without entries.
        let cleared = unsafe { madvise(table.cast(), TABLE_BYTES, Advice::LinuxDontNeed) };
        if cleared.is_err() {
            // SAFETY: as above.
            unsafe { ptr::write_bytes(table, 0, TABLE_BYTES) };
        }
    }

    /// Lets the kernel forget what it knows of memory that was read and never written to.
    pub(crate) fn forget_reads(&mut self) {
        for (segment, piece) in &mut self.pieces {
            let start = (*segment as u64) << SEGMENT_BITS;
            let end = start + piece.bytes as u64;
            let pages = start / PAGE_SIZE as u64..end.div_ceil(PAGE_SIZE as u64);
            let mut unwritten = start;
            let written = self.slots.range(pages).map(|(index, _)| index * PAGE_SIZE as u64);
            for page in written.chain([end]) {
                // Whole tables only: of others, the kernel keeps the page all the same.
                let from = unwritten.next_multiple_of(TABLE_REACH);
                let to = page / TABLE_REACH * TABLE_REACH;
                if from < to {
                    piece.renew((from - start) as usize, (to - from) as usize);
                }
                unwritten = page + PAGE_SIZE as u64;
            }
        }
    }

    /// Where the byte at `address` lies, if it is in a piece.
    #[inline]
    fn find(&self, address: u64) -> Option<*mut u8> {
        let segment = (address >> SEGMENT_BITS) as usize;
        let delta = match self.deltas.get(segment) {
            Some(&delta) if delta != 0 => delta,
            _ => self.delta_of_margin(address)?,
        };
        Some(ptr::without_provenance_mut(address.wrapping_add(delta) as usize))
    }

    /// The delta of the segment whose margin `address` is in.
    #[cold]
    fn delta_of_margin(&self, address: u64) -> Option<u64> {
        let before = ((address >> SEGMENT_BITS) as usize).checked_sub(1)?;
        let delta = *self.deltas.get(before)?;
        (delta != 0 && address % SEGMENT_BYTES < MARGIN).then_some(delta)
    }

    /// Where the byte at `address` lies, after its segment was given a piece if it can have one.
    #[inline]
    fn find_or_add(&mut self, address: u64) -> Option<*mut u8> {
        if let Some(at) = self.find(address) {
            return Some(at);
        }
        self.add_piece_for(address)?;
        self.find(address)
    }

    #[cold]
    fn add_piece_for(&mut self, address: u64) -> Option<()> {
        let segment = (address >> SEGMENT_BITS) as usize;
        if segment >= SEGMENTS || self.without >> segment & 1 != 0 {
            return None;
        }
        let neighbours = [segment.wrapping_sub(1), segment + 1];
        let has_piece =
            |segment: &usize| self.deltas.get(*segment).is_some_and(|delta| *delta != 0);
        // What would be the margin may have been written to already.
        let margin = (segment as u64 + 1) << (SEGMENT_BITS - 12);
        let mut margin = margin..margin + MARGIN / PAGE_SIZE as u64;
        let taken =
            neighbours.iter().any(has_piece) || margin.any(|index| self.beyond.has_page(index));
        if taken || self.add_piece(segment).is_err() {
            // What has been written to without a piece stays without.
            self.without |= 1 << segment;
            return None;
        }
        Some(())
    }

    /// The mark of page `index`.
    fn mark(&self, index: u64) -> *mut u8 {
        debug_assert!(index < MARKS_BYTES as u64);
        self.marks().wrapping_add(index as usize)
    }

    fn set_mark(&mut self, index: u64, plain: bool) {
        if index < MARKS_BYTES as u64 {
            // SAFETY: inside of the marks' mapping, by the line above.
            unsafe { self.mark(index).write(u8::from(plain)) };
        }
    }

    /// A page in the pieces is about to be written to.
    #[cold]
    fn note_write(&mut self, index: u64, start: *const RawPage) {
        let slot = self.create(index);
        let page = &mut self.pages[slot as usize];
        if !page.is_changed {
            page.is_changed = true;
            self.changed.push(slot);
            if page.hashed == 2 {
                // SAFETY: `start` is the first byte of a page in one of the pieces.
                page.before = Some(Box::new(unsafe { start.read() }));
            }
        }
        // Without a reservation it is address 0 that counts as reserved, for statistics.
        let plain = index != self.reserved && index != 0 && !self.code.contains(&index);
        self.set_mark(index, plain);
    }

    fn create(&mut self, index: u64) -> u32 {
        *self.slots.entry(index).or_insert_with(|| {
            let slot =
                u32::try_from(self.pages.len()).expect("fewer than 2^32 pages fit in any memory");
            self.pages.push(Page { index, is_changed: false, hashed: 0, before: None });
            slot
        })
    }

    /// Watches a page for stores, or no longer. The page `index` holds compiled code.
    pub(crate) fn watch_code(&mut self, index: u64, watch: bool) {
        if watch {
            self.code.insert(index);
        } else {
            self.code.remove(&index);
        }
        self.set_mark(index, false);
    }

    /// Watches the page of the live reservation instead of the one before.
    #[inline]
    pub(crate) fn watch_reservation(&mut self, address: u64) {
        let index = address / PAGE_SIZE as u64;
        if index != self.reserved {
            self.reserved = index;
            self.set_mark(index, false);
        }
    }

    /// The words that were written on pages with compiled code since the last call.
    #[inline]
    pub(crate) fn take_code_writes(&mut self) -> Vec<u64> {
        if self.code_writes.is_empty() { Vec::new() } else { std::mem::take(&mut self.code_writes) }
    }
}

impl Window {
    /// The page `index` as it lies there, if it is in a piece and exists.
    fn raw_page(&self, index: u64) -> Option<&RawPage> {
        self.slots.get(&index)?;
        let at = self.find(index * PAGE_SIZE as u64)?;
        // SAFETY: a whole page of a piece. Nothing writes to it while the window is borrowed:
        // compiled code runs only for who holds it exclusively.
        Some(unsafe { &*at.cast() })
    }
}

impl Storage for Window {
    #[inline]
    fn word(&mut self, address: u64) -> u64 {
        match self.find(address & !7) {
            // SAFETY: `find` answers with a byte of one of the pieces, and a word that is aligned
            // lies in it as a whole.
            Some(at) => unsafe { at.cast::<u64>().read() },
            None => self.beyond.word(address),
        }
    }

    fn peek(&self, address: u64) -> u64 {
        match self.find(address & !7) {
            // SAFETY: as for `word`.
            Some(at) => unsafe { at.cast::<u64>().read() },
            None => self.beyond.peek(address),
        }
    }

    #[inline]
    fn instruction(&mut self, address: u64) -> u32 {
        // The first of the two in a word is its upper half.
        match self.find(address & !3 ^ 4) {
            // SAFETY: as for a word, which holds it.
            Some(at) => unsafe { at.cast::<u32>().read() },
            None => self.beyond.instruction(address),
        }
    }

    #[inline]
    fn set_word(&mut self, address: u64, word: u64) {
        let address = address & !7;
        let Some(at) = self.find_or_add(address) else {
            return self.beyond.set_word(address, word);
        };
        let index = address / PAGE_SIZE as u64;
        // SAFETY: a page of the pieces lies below 2^47, so it has a mark.
        if unsafe { self.mark(index).read() } == 0 {
            self.note_write(index, page_start(at));
            if self.code.contains(&index) {
                self.code_writes.push(address);
            }
        }
        // SAFETY: as for reading a word.
        unsafe { at.cast::<u64>().write(word) };
    }

    fn write_within_page(&mut self, address: u64, bytes: &[u8]) {
        assert!(address as usize % PAGE_SIZE + bytes.len() <= PAGE_SIZE);
        let Some(at) = self.find_or_add(address) else {
            return self.beyond.write_within_page(address, bytes);
        };
        let index = address / PAGE_SIZE as u64;
        // What nobody wrote to holds zeroes: the kernel need not find memory for more of them.
        let pages = self.pages.len();
        self.create(index);
        if self.pages.len() > pages && is_zero(bytes) {
            return;
        }
        self.note_write(index, page_start(at));
        if self.code.contains(&index) {
            let words = (address & !7..address + bytes.len() as u64).step_by(8);
            self.code_writes.extend(words);
        }
        let page = page_start(at);
        let place = address as usize % PAGE_SIZE;
        let (head, rest) = bytes.split_at(bytes.len().min(place.wrapping_neg() % 8));
        let (words, tail) = rest.as_chunks();
        let behind = place + head.len() + words.len() * 8;
        // SAFETY: the bytes lie within one page, asserted above, and pages within a piece; and so do
        // the words that hold them.
        unsafe {
            for (which, byte) in head.iter().enumerate() {
                page.cast::<u8>().add((place + which) ^ 7).write(*byte);
            }
            for (which, word) in words.iter().enumerate() {
                let at = page.cast::<u64>().add((place + head.len()) / 8 + which);
                at.write(u64::from_be_bytes(*word));
            }
            for (which, byte) in tail.iter().enumerate() {
                page.cast::<u8>().add((behind + which) ^ 7).write(*byte);
            }
        }
    }

    fn touch(&mut self, index: u64) {
        assert!(index < 1 << 52, "a page index has 52 bits");
        match self.find_or_add(index * PAGE_SIZE as u64) {
            Some(_) => {
                self.create(index);
            }
            None => self.beyond.touch(index),
        }
    }

    fn page(&self, index: u64) -> Option<Cow<'_, PageData>> {
        let Some(words) = self.raw_page(index) else { return self.beyond.page(index) };
        let mut page = [0; PAGE_SIZE];
        for (bytes, word) in page.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_be_bytes();
        }
        Some(Cow::Owned(page))
    }

    fn has_page(&self, index: u64) -> bool {
        self.slots.contains_key(&index) || self.beyond.has_page(index)
    }

    fn page_count(&self) -> usize {
        self.pages.len() + self.beyond.page_count()
    }

    fn indices(&self) -> impl Iterator<Item = u64> {
        let mut indices: Vec<u64> =
            self.slots.keys().copied().chain(self.beyond.indices()).collect();
        indices.sort_unstable();
        indices.into_iter()
    }

    fn take_changed(&mut self) -> Vec<Changed> {
        let slots = std::mem::take(&mut self.changed);
        let mut changed = self.beyond.take_changed();
        for slot in slots {
            let page = &mut self.pages[slot as usize];
            let index = page.index;
            page.is_changed = false;
            page.hashed = (page.hashed + 1).min(2);
            let before = page.before.take();
            let leaves = match (before, self.raw_page(index)) {
                (Some(before), Some(now)) => different_leaves(&before, now),
                _ => u128::MAX,
            };
            changed.push(Changed { index, leaves });
            self.set_mark(index, false);
        }
        changed
    }
}

fn page_start(at: *mut u8) -> *mut RawPage {
    at.map_addr(|address| address & !(PAGE_SIZE - 1)).cast()
}

/// Which 32-byte leaves differ.
fn different_leaves(before: &RawPage, now: &RawPage) -> u128 {
    let (before, now) = (before.as_chunks::<4>().0, now.as_chunks::<4>().0);
    let differs = |leaf: usize| u128::from(before[leaf] != now[leaf]) << leaf;
    (0..PAGE_SIZE / 32).map(differs).fold(0, |leaves, leaf| leaves | leaf)
}

#[cfg(test)]
mod tests {
    use tribunal_memory::Memory;

    use super::*;

    /// Both sides of edges: of segments, of margins, of what can have a piece.
    fn edges() -> Vec<u64> {
        let heap = tribunal_mips64::HEAP_START;
        [0, SEGMENT_BYTES, SEGMENT_BYTES + MARGIN, heap, heap + SEGMENT_BYTES, 1 << 47]
            .into_iter()
            .chain([(1 << 47) + MARGIN, 1 << 48, 63 << SEGMENT_BITS, 17 << SEGMENT_BITS])
            .flat_map(|edge: u64| {
                [-4096i64, -8, 0, 8, 4096].map(|offset| edge.wrapping_add_signed(offset))
            })
            .collect()
    }

    #[test]
    fn a_window_is_a_memory_like_any_other_on_every_side_of_every_edge() {
        for segments in [&[][..], &[0, 63], &[0, 8, 17, 63]] {
            let mut window = Memory::over(Window::new(segments).unwrap());
            let mut pages = Memory::new();
            for round in 0..4 {
                for (place, address) in edges().into_iter().enumerate() {
                    if (place + round) % 3 == 0 {
                        let word = (place as u64 + 1) << (round * 8);
                        window.set_word(address, word);
                        pages.set_word(address, word);
                    }
                }
                for address in edges() {
                    assert_eq!(window.word(address), pages.word(address), "{address:#x}");
                    assert_eq!(window.peek(address), pages.peek(address), "{address:#x}");
                    assert_eq!(window.instruction(address + 4), pages.instruction(address + 4));
                }
                assert!(window.pages().eq(pages.pages()), "the same pages in the same order");
                assert_eq!(window.root(), pages.root(), "round {round}");
                assert_eq!(window.proof(round as u64 * 32), pages.proof(round as u64 * 32));
            }
        }
    }

    #[test]
    fn what_was_read_is_forgotten_and_what_was_written_stays() {
        let heap = tribunal_mips64::HEAP_START;
        let mut window = Memory::over(Window::new(&[0, 8]).unwrap());
        let written = [0, 0x1f_f000, 0x20_0000, 0x5f_fff8, 0x80_0000, heap, SEGMENT_BYTES + 8];
        for address in written {
            window.set_word(address, address + 1);
        }
        let root = window.root();
        for place in 0..4096 {
            assert_eq!(window.word(0x1_0000_0008 + place * TABLE_REACH), 0);
        }
        for _ in 0..3 {
            window.storage_mut().forget_reads();
            for address in written {
                assert_eq!(window.word(address), address + 1, "{address:#x}");
            }
            assert_eq!(window.word(0x1_0000_0008), 0);
            assert_eq!(window.root(), root);
            window.set_word(heap, heap + 1);
        }
    }

    #[test]
    fn windows_lie_side_by_side_and_come_back() {
        let heap = tribunal_mips64::HEAP_START;
        let mut windows: Vec<_> = (0..8).map(|_| Window::new(&[0, 63]).unwrap()).collect();
        for (value, window) in windows.iter_mut().enumerate() {
            window.set_word(heap, value as u64);
        }
        for (value, window) in windows.iter_mut().enumerate() {
            assert_eq!(window.word(heap), value as u64);
        }
        drop(windows);
        for _ in 0..100 {
            assert_eq!(Window::new(&[0, 8, 63]).unwrap().word(heap), 0);
        }
    }
}
