//! The heap: small blocks in size classes, large ones in runs of pages that grow together again.
//!
//! In a fault-proof VM every instruction is a step and every page that was ever touched is hashed
//! again and again, so the heap is quick and lazy: a small block costs a few instructions, has no
//! header and wastes at most a fifth (beyond 64 bytes), and memory is not written before the
//! program asks for it. Nothing goes back to the system, for no VM takes memory back.
//! Knows nothing of system calls or of threads: memory comes from a [`Source`], and whoever makes a
//! `Heap` global answers for there being one thread.

use core::alloc::Layout;
use core::ptr::{self, with_exposed_provenance_mut};

/// Every block begins at a multiple of this, and every small class is a multiple of it.
const GRAIN: usize = 16;
/// Large blocks, spans and mappings are a multiple of this.
const PAGE: usize = 4096;
/// Blocks up to here are small.
const LARGEST_SMALL: usize = 16 << 10;
/// Larger requests are refused: no fault-proof VM has that much address space for its heap.
const LARGEST_BLOCK: usize = 1 << 46;
const CLASSES: usize = class_of(LARGEST_SMALL) + 1;
/// How much is set aside at once to cut small blocks from.
const SPAN: usize = 64 << 10;
/// The first mapping; each one after it is twice as large, up to [`LARGEST_MAPPING`].
const FIRST_MAPPING: usize = 256 << 10;
const LARGEST_MAPPING: usize = 64 << 20;

/// Where a heap gets its memory from.
pub(crate) trait Source {
    /// The address of `size` bytes that are zero and used by nobody else, at a multiple of 16 and
    /// with exposed provenance; `None` if there is no more. `size` is a multiple of 4096.
    fn map(&mut self, size: usize) -> Option<usize>;
}

/// An allocator over the memory that `S` hands out.
pub(crate) struct Heap<S> {
    source: S,
    /// For each small class its free blocks, as a list that runs through the blocks themselves.
    free: [*mut FreeBlock; CLASSES],
    /// What small blocks are cut from.
    span: Region,
    /// The free runs of pages, as a list in the order of their addresses; no two of them touch.
    runs: *mut FreeRun,
    /// What the source gave and nobody has had yet: always fresh.
    wild: Region,
    /// The size of the next mapping.
    mapping: usize,
}

/// Memory from `next` to `end`.
#[derive(Clone, Copy)]
struct Region {
    next: usize,
    end: usize,
    /// Whether nobody has ever written to it, so that it is still zero.
    fresh: bool,
}

struct FreeBlock {
    next: *mut FreeBlock,
}

struct FreeRun {
    size: usize,
    next: *mut FreeRun,
}

/// A block, and whether it is known to be zero.
struct Block {
    start: *mut u8,
    zero: bool,
}

impl<S: Source> Heap<S> {
    /// A heap that has asked its source for nothing yet.
    pub(crate) const fn new(source: S) -> Self {
        let nothing = Region { next: 0, end: 0, fresh: true };
        Self {
            source,
            free: [ptr::null_mut(); CLASSES],
            span: nothing,
            runs: ptr::null_mut(),
            wild: nothing,
            mapping: FIRST_MAPPING,
        }
    }

    /// A block for `layout`, or null if the source has no more.
    pub(crate) fn allocate(&mut self, layout: Layout) -> *mut u8 {
        if layout.align() > GRAIN {
            return self.allocate_aligned(layout, false);
        }
        self.block(layout.size()).map_or(ptr::null_mut(), |block| block.start)
    }

    /// As [`Heap::allocate`], and the block is zero. Memory that nobody has written is not written.
    pub(crate) fn allocate_zeroed(&mut self, layout: Layout) -> *mut u8 {
        if layout.align() > GRAIN {
            return self.allocate_aligned(layout, true);
        }
        self.zeroed_block(layout.size())
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// `start` came from this heap for this `layout`, and nobody uses it any more.
    pub(crate) unsafe fn free(&mut self, start: *mut u8, layout: Layout) {
        if layout.align() > GRAIN {
            // SAFETY: `allocate_aligned` made this block, for this layout, and it has written where
            // the outer block starts into the word before.
            let outer = unsafe { start.cast::<*mut u8>().sub(1).read() };
            // SAFETY: the outer block is ours, and nobody uses what is in it.
            return unsafe { self.free_block(outer, layout.size() + layout.align()) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.free_block(start, layout.size()) };
    }

    /// Makes a block larger or smaller, in place where that is simple; null if there is no more
    /// memory, and then the old block stays as it is.
    ///
    /// # Safety
    /// As [`Heap::free`]; `size` is at least 1 and with `layout.align()` makes a valid layout.
    pub(crate) unsafe fn resize(&mut self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= GRAIN && self.resize_in_place(start.addr(), layout.size(), size) {
            return start;
        }
        // SAFETY: `size` and the alignment make a valid layout by the caller's promise.
        let new = self.allocate(unsafe { Layout::from_size_align_unchecked(size, layout.align()) });
        if !new.is_null() {
            // SAFETY: both blocks are at least that long, and the new one overlaps no used one.
            unsafe { ptr::copy_nonoverlapping(start, new, layout.size().min(size)) };
            // SAFETY: the caller gave the old block up.
            unsafe { self.free(start, layout) };
        }
        new
    }

    /// A block of at least `size` bytes.
    #[inline]
    fn block(&mut self, size: usize) -> Option<Block> {
        if size > LARGEST_SMALL {
            return self.large(size);
        }
        let class = class_of(size);
        let head = self.free[class];
        if !head.is_null() {
            // SAFETY: blocks in the lists are ours and hold a valid `FreeBlock`.
            self.free[class] = unsafe { (*head).next };
            return Some(Block { start: head.cast(), zero: false });
        }
        let size = class_size(class);
        if size > self.span.left() {
            self.new_span()?;
        }
        Some(self.span.cut(size))
    }

    fn zeroed_block(&mut self, size: usize) -> *mut u8 {
        let Some(block) = self.block(size) else { return ptr::null_mut() };
        if !block.zero {
            // SAFETY: the block is at least `size` long and nobody else uses it.
            unsafe { ptr::write_bytes(block.start, 0, size) };
        }
        block.start
    }

    /// # Safety
    /// `start` is a block that [`Heap::block`] made for this size, and nobody uses it any more.
    unsafe fn free_block(&mut self, start: *mut u8, size: usize) {
        if size > LARGEST_SMALL {
            return self.free_run(start.expose_provenance(), pages(size));
        }
        // SAFETY: `block` chose this class for this size.
        unsafe { self.push(start, class_of(size)) };
    }

    /// Whether a block can go on where it is with another size, and makes it so.
    fn resize_in_place(&mut self, start: usize, old: usize, new: usize) -> bool {
        if old <= LARGEST_SMALL || new <= LARGEST_SMALL {
            return old.max(new) <= LARGEST_SMALL && class_of(old) == class_of(new);
        }
        if new > LARGEST_BLOCK {
            return false;
        }
        let (old_end, new_end) = (start + pages(old), start + pages(new));
        if new_end < old_end {
            self.free_run(new_end, old_end - new_end);
        } else if new_end > old_end && old_end == self.wild.next && new_end <= self.wild.end {
            self.wild.next = new_end;
        } else if new_end > old_end {
            return self.take_run_at(old_end, new_end - old_end);
        }
        true
    }

    /// Replaces the span by a new one; what is left of the old one becomes free blocks.
    #[cold]
    fn new_span(&mut self) -> Option<()> {
        let block = self.large(SPAN)?;
        let next = block.start.expose_provenance();
        let mut old = self.span;
        self.span = Region { next, end: next + SPAN, fresh: block.zero };
        while old.left() >= GRAIN {
            let mut class = class_of(old.left());
            if class_size(class) > old.left() {
                class -= 1;
            }
            let block = old.cut(class_size(class));
            // SAFETY: the block lies in the old span, which nobody uses any more.
            unsafe { self.push(block.start, class) };
        }
        Some(())
    }

    /// # Safety
    /// `start` is a block of `class` that is ours and unused.
    unsafe fn push(&mut self, start: *mut u8, class: usize) {
        let block = start.cast::<FreeBlock>();
        // SAFETY: a block is at least 16 bytes long, aligned to 16, and unused.
        unsafe { block.write(FreeBlock { next: self.free[class] }) };
        self.free[class] = block;
    }

    /// A block of whole pages: of the smallest run that holds it, or of what nobody has had yet.
    fn large(&mut self, size: usize) -> Option<Block> {
        if size > LARGEST_BLOCK {
            return None;
        }
        let size = pages(size);
        if let Some(start) = self.smallest_run(size)
            && self.take_run_at(start, size)
        {
            return Some(Block { start: with_exposed_provenance_mut(start), zero: false });
        }
        if size > self.wild.left() {
            self.map(size)?;
        }
        Some(self.wild.cut(size))
    }

    /// Gets `size` bytes from the source, and more if it has them.
    #[cold]
    fn map(&mut self, size: usize) -> Option<()> {
        let generous = size.max(self.mapping);
        let (start, size) = match self.source.map(generous) {
            Some(start) => (start, generous),
            // The system may be nearly out of memory: ask for no more than is needed.
            None => (self.source.map(size)?, size),
        };
        self.mapping = (self.mapping * 2).min(LARGEST_MAPPING);
        if start == self.wild.end {
            self.wild.end += size;
            return Some(());
        }
        let old = self.wild;
        self.wild = Region { next: start, end: start + size, fresh: true };
        if old.left() > 0 {
            self.free_run(old.next, old.left());
        }
        Some(())
    }

    /// The address of the smallest free run of at least `size` bytes.
    fn smallest_run(&self, size: usize) -> Option<usize> {
        let mut smallest: Option<(usize, usize)> = None;
        let mut run = self.runs;
        while !run.is_null() {
            // SAFETY: runs in the list are ours and begin with a valid `FreeRun`.
            let FreeRun { size: found, next } = unsafe { run.read() };
            if found >= size && smallest.is_none_or(|(best, _)| found < best) {
                smallest = Some((found, run.addr()));
            }
            run = next;
        }
        smallest.map(|(_, start)| start)
    }

    /// Takes the first `size` bytes of the free run at `start`, if there is one that long.
    fn take_run_at(&mut self, start: usize, size: usize) -> bool {
        let mut link: *mut *mut FreeRun = &raw mut self.runs;
        loop {
            // SAFETY: `link` is the head of the list, or the link inside a run of it.
            let run = unsafe { link.read() };
            if run.is_null() || run.addr() > start {
                return false;
            }
            // SAFETY: runs in the list are ours and begin with a valid `FreeRun`.
            let FreeRun { size: found, next } = unsafe { run.read() };
            if run.addr() == start {
                if found < size {
                    return false;
                }
                let mut rest = next;
                if found > size {
                    rest = with_exposed_provenance_mut(start + size);
                    // SAFETY: the rest of the run is at least a page, ours, and unused.
                    unsafe { rest.write(FreeRun { size: found - size, next }) };
                }
                // SAFETY: as for reading it.
                unsafe { link.write(rest) };
                return true;
            }
            // SAFETY: as above; the run stays in the list while the link is used.
            link = unsafe { &raw mut (*run).next };
        }
    }

    /// Makes `size` bytes at `start`, which are ours and unused, a free run, together with the free
    /// runs that touch them. Both are multiples of pages from where the source gave memory.
    fn free_run(&mut self, start: usize, mut size: usize) {
        let mut before: *mut FreeRun = ptr::null_mut();
        let mut after = self.runs;
        while !after.is_null() && after.addr() < start {
            before = after;
            // SAFETY: runs in the list are ours and begin with a valid `FreeRun`.
            after = unsafe { (*after).next };
        }
        if !after.is_null() && start + size == after.addr() {
            // SAFETY: as above.
            let FreeRun { size: more, next } = unsafe { after.read() };
            size += more;
            after = next;
        }
        // SAFETY: as above, if there is a run before.
        let touching = !before.is_null() && before.addr() + unsafe { (*before).size } == start;
        if touching {
            // SAFETY: as above.
            unsafe { before.write(FreeRun { size: (*before).size + size, next: after }) };
            return;
        }
        let run: *mut FreeRun = with_exposed_provenance_mut(start);
        // SAFETY: the memory is at least a page, ours, and unused.
        unsafe { run.write(FreeRun { size, next: after }) };
        if before.is_null() {
            self.runs = run;
        } else {
            // SAFETY: as above.
            unsafe { (*before).next = run };
        }
    }

    /// A block with a large alignment, inside a block that is longer by the alignment; the word
    /// before it says where that one starts.
    #[cold]
    fn allocate_aligned(&mut self, layout: Layout, zeroed: bool) -> *mut u8 {
        let Some(size) = layout.size().checked_add(layout.align()) else {
            return ptr::null_mut();
        };
        let outer = if zeroed {
            self.zeroed_block(size)
        } else {
            self.block(size).map_or(ptr::null_mut(), |block| block.start)
        };
        if outer.is_null() {
            return outer;
        }
        let gap = layout.align() - outer.addr() % layout.align();
        // SAFETY: 16 <= gap <= align, so the word and the block both lie inside the outer block,
        // and the word is aligned.
        unsafe {
            let inner = outer.add(gap);
            inner.cast::<*mut u8>().sub(1).write(outer);
            inner
        }
    }
}

impl Region {
    fn left(&self) -> usize {
        self.end - self.next
    }

    /// The next `size` bytes, which are there.
    fn cut(&mut self, size: usize) -> Block {
        let start = with_exposed_provenance_mut(self.next);
        self.next += size;
        Block { start, zero: self.fresh }
    }
}

/// `size` in whole pages.
const fn pages(size: usize) -> usize {
    size.next_multiple_of(PAGE)
}

/// The smallest class whose blocks hold `size` bytes: 16, 32, 48, 64, then four per doubling.
const fn class_of(size: usize) -> usize {
    if size <= 4 * GRAIN {
        return size.saturating_sub(1) / GRAIN;
    }
    let last = size - 1;
    let doubling = last.ilog2() as usize;
    let quarter = (last >> (doubling - 2)) & 3;
    4 + (doubling - 6) * 4 + quarter
}

/// How long the blocks of a class are.
const fn class_size(class: usize) -> usize {
    if class < 4 {
        return (class + 1) * GRAIN;
    }
    (class % 4 + 5) << (class / 4 + 3)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::alloc::{alloc_zeroed, dealloc};
    use std::vec::Vec;

    use super::*;

    /// Hands out pieces of an arena from its beginning, with a gap before every `gap_every`th.
    struct Arena {
        start: *mut u8,
        used: usize,
        limit: usize,
        maps: usize,
        gap_every: usize,
    }

    const ARENA: Layout = match Layout::from_size_align(256 << 20, PAGE) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };

    impl Arena {
        fn new(limit: usize, gap_every: usize) -> Self {
            // SAFETY: the layout is not empty.
            let start = unsafe { alloc_zeroed(ARENA) };
            assert!(!start.is_null());
            Self { start, used: 0, limit, maps: 0, gap_every }
        }
    }

    impl Source for Arena {
        fn map(&mut self, size: usize) -> Option<usize> {
            assert_eq!(size % PAGE, 0);
            let gap = if self.maps % self.gap_every == self.gap_every - 1 { PAGE } else { 0 };
            if size + gap > self.limit - self.used {
                return None;
            }
            self.maps += 1;
            let start = self.start.expose_provenance() + self.used + gap;
            self.used += gap + size;
            Some(start)
        }
    }

    impl Drop for Arena {
        fn drop(&mut self) {
            // SAFETY: `new` allocated it with this layout.
            unsafe { dealloc(self.start, ARENA) };
        }
    }

    fn heap(limit: usize, gap_every: usize) -> Heap<Arena> {
        Heap::new(Arena::new(limit, gap_every))
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// A block in use, filled with its mark.
    struct Used {
        start: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Used {
        fn fill(start: *mut u8, layout: Layout, mark: u8) -> Self {
            assert!(!start.is_null());
            assert_eq!(start.addr() % layout.align(), 0, "{layout:?}");
            // SAFETY: the heap gave us that much.
            unsafe { ptr::write_bytes(start, mark, layout.size()) };
            Self { start, layout, mark }
        }

        fn holds(&self, len: usize, mark: u8) -> bool {
            // SAFETY: the block is ours and was written.
            let bytes = unsafe { core::slice::from_raw_parts(self.start, len) };
            bytes.iter().all(|byte| *byte == mark)
        }
    }

    #[test]
    fn classes_are_tight_aligned_and_in_order() {
        for class in 0..CLASSES {
            let size = class_size(class);
            assert_eq!(size % GRAIN, 0);
            assert_eq!(class_of(size), class);
            if class + 1 < CLASSES {
                assert_eq!(class_of(size + 1), class + 1);
            }
        }
        for size in 1..10_000 {
            let given = class_size(class_of(size));
            assert!(given >= size && (size <= 64 || given * 4 <= size * 5 + 4 * GRAIN), "{size}");
        }
        assert_eq!(class_size(CLASSES - 1), LARGEST_SMALL);
    }

    /// Blocks never overlap, keep what is in them, and are aligned, through a long mixed use.
    #[test]
    fn blocks_are_kept_apart_and_whole() {
        for gap_every in [usize::MAX, 2, 1] {
            let mut heap = heap(ARENA.size(), gap_every);
            let mut random = 0x9e37_79b9_7f4a_7c15_u64;
            let mut below = |end: usize| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random >> 33) as usize % end
            };
            let mut used: Vec<Used> = Vec::new();
            for round in 0..15_000 {
                let mark = round as u8;
                let largest = [40, 600, 9_000, 200_000][below(40).min(3)];
                let size = 1 + below(largest);
                match below(if used.len() > 300 { 4 } else { 8 }) {
                    0..=3 if !used.is_empty() => {
                        let old = used.swap_remove(below(used.len()));
                        assert!(old.holds(old.layout.size(), old.mark));
                        if below(2) == 0 {
                            // SAFETY: the block is given up with the layout it was asked for by.
                            unsafe { heap.free(old.start, old.layout) };
                            continue;
                        }
                        // SAFETY: the old block is not used any more.
                        let start = unsafe { heap.resize(old.start, old.layout, size) };
                        let kept = size.min(old.layout.size());
                        let new = layout(size, old.layout.align());
                        assert!(Used { start, layout: new, mark }.holds(kept, old.mark));
                        used.push(Used::fill(start, new, mark));
                    }
                    4 => {
                        let layout = layout(size, 1 << below(13));
                        let start = heap.allocate_zeroed(layout);
                        assert!(Used { start, layout, mark }.holds(size, 0));
                        used.push(Used::fill(start, layout, mark));
                    }
                    _ => {
                        let layout = layout(size, 1 << below(5));
                        used.push(Used::fill(heap.allocate(layout), layout, mark));
                    }
                }
            }
            assert!(used.iter().all(|block| block.holds(block.layout.size(), block.mark)));
            assert!(heap.source.used < 64 << 20, "{} bytes for 300 blocks", heap.source.used);
        }
    }

    #[test]
    fn what_is_freed_is_used_again() {
        let mut heap = heap(FIRST_MAPPING, usize::MAX);
        for _ in 0..1_000 {
            for size in [24, 1_000, 60_000] {
                let block = heap.allocate(layout(size, 8));
                assert!(!block.is_null());
                // SAFETY: the block is not used.
                unsafe { heap.free(block, layout(size, 8)) };
            }
        }
        assert_eq!(heap.source.maps, 1);
    }

    #[test]
    fn large_freed_blocks_become_small_ones_before_the_system_is_asked() {
        let mut heap = heap(ARENA.size(), usize::MAX);
        let large = heap.allocate(layout(2 << 20, 8));
        // SAFETY: the block is not used.
        unsafe { heap.free(large, layout(2 << 20, 8)) };
        let before = heap.source.used;
        for _ in 0..30_000 {
            assert!(!heap.allocate(layout(64, 8)).is_null());
        }
        assert_eq!(heap.source.used, before);
    }

    /// Whatever was freed in whatever order grows together again.
    #[test]
    fn freed_neighbours_make_room_for_a_larger_block() {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let mut heap = heap(FIRST_MAPPING, usize::MAX);
            let part = layout(FIRST_MAPPING / 4, 8);
            let parts = [(); 4].map(|()| heap.allocate(part));
            for i in order {
                // SAFETY: the block is not used.
                unsafe { heap.free(parts[i], part) };
            }
            assert_eq!(heap.allocate(layout(FIRST_MAPPING, 8)), parts[0], "{order:?}");
        }
    }

    /// A mapping that does not go on where the last one ended leaves a rest behind.
    #[test]
    fn the_rest_of_an_old_mapping_is_used() {
        let mut heap = heap(ARENA.size(), 1);
        assert!(!heap.allocate(layout(FIRST_MAPPING / 2, 8)).is_null());
        assert!(!heap.allocate(layout(FIRST_MAPPING, 8)).is_null());
        let rest = heap.allocate(layout(FIRST_MAPPING / 2, 8));
        assert_eq!(rest.addr(), heap.source.start.addr() + PAGE + FIRST_MAPPING / 2);
    }

    /// What the program does not ask for is not written: in a VM every touched page costs.
    #[test]
    fn fresh_zeroed_memory_is_not_touched() {
        let mut heap = heap(ARENA.size(), usize::MAX);
        let mapped = heap.allocate(layout(1, 1));
        // Poison what the heap believes to be zero: whoever writes it would be seen.
        // SAFETY: the memory is the arena's, and nobody uses it.
        unsafe { ptr::write_bytes(mapped.add(GRAIN), 0xee, FIRST_MAPPING - GRAIN) };
        let size = FIRST_MAPPING / 2;
        let start = heap.allocate_zeroed(layout(size, 8));
        assert!(Used { start, layout: layout(size, 8), mark: 0 }.holds(size, 0xee));
        // A block that was used is not fresh.
        // SAFETY: the block is not used any more.
        unsafe { heap.free(start, layout(size, 8)) };
        let again = heap.allocate_zeroed(layout(size, 8));
        assert!(Used { start: again, layout: layout(size, 8), mark: 0 }.holds(size, 0));
    }

    #[test]
    fn large_blocks_grow_and_shrink_in_place_where_they_can() {
        let mut heap = heap(ARENA.size(), usize::MAX);
        let resize = |heap: &mut Heap<Arena>, start, from, to| {
            // SAFETY: each block is resized from the layout it has.
            unsafe { heap.resize(start, layout(from, 8), to) }
        };
        let first = Used::fill(heap.allocate(layout(20_000, 8)), layout(20_000, 8), 7);
        // Into what nobody has had yet.
        assert_eq!(resize(&mut heap, first.start, 20_000, 200_000), first.start);
        assert!(first.holds(20_000, 7));
        // What is cut off is free, and can be had back.
        assert_eq!(resize(&mut heap, first.start, 200_000, 20_000), first.start);
        let second = heap.allocate(layout(100_000, 8));
        assert_eq!(second.addr(), first.start.addr() + pages(20_000));
        // SAFETY: the block is not used.
        unsafe { heap.free(second, layout(100_000, 8)) };
        assert_eq!(resize(&mut heap, first.start, 20_000, 150_000), first.start);
        // Not where somebody else is.
        let third = heap.allocate(layout(40_000, 8));
        assert_eq!(third.addr(), first.start.addr() + pages(150_000));
        let moved = resize(&mut heap, first.start, 150_000, 180_000);
        assert_ne!(moved, first.start);
        assert!(Used { start: moved, ..first }.holds(20_000, 7));
        // A small block keeps its place within its class, and otherwise moves.
        let small = Used::fill(heap.allocate(layout(65, 8)), layout(65, 8), 9);
        assert_eq!(resize(&mut heap, small.start, 65, 80), small.start);
        let moved = resize(&mut heap, small.start, 80, 30_000);
        assert!(Used { start: moved, ..small }.holds(65, 9));
    }

    #[test]
    fn memory_that_runs_out_is_null_and_the_rest_stays_usable() {
        let mut heap = heap(3 * FIRST_MAPPING / 2, usize::MAX);
        assert!(heap.allocate(layout(usize::MAX / 2, 1)).is_null());
        assert!(heap.allocate(layout(isize::MAX as usize - 8192, 4096)).is_null());
        assert!(heap.allocate_zeroed(layout(LARGEST_BLOCK + 1, 1)).is_null());
        let first = Used::fill(heap.allocate(layout(1_000, 8)), layout(1_000, 8), 1);
        assert!(heap.allocate(layout(2 * FIRST_MAPPING, 8)).is_null());
        // SAFETY: a resize that fails leaves the block alone.
        assert!(unsafe { heap.resize(first.start, first.layout, 2 * FIRST_MAPPING) }.is_null());
        // The next mapping would be twice as large as the first; less is there, and less is enough.
        let rest = layout(FIRST_MAPPING / 3, 8);
        let second = Used::fill(heap.allocate(rest), rest, 2);
        let third = Used::fill(heap.allocate(rest), rest, 3);
        let fourth = Used::fill(heap.allocate(rest), rest, 4);
        for block in [first, second, third, fourth] {
            assert!(block.holds(block.layout.size(), block.mark));
        }
    }
}
