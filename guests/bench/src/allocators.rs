//! Allocators beside each other: the heap of the kit, and two that others keep well, over the same
//! work.
#![allow(unsafe_code, reason = "the interface of allocators is unsafe, and calling it is the work")]

use alloc::alloc::{alloc, alloc_zeroed, dealloc, realloc};
use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;

use buddy_system_allocator::LockedHeap;
use talc::TalcCell;
use talc::source::Manual;

/// What the other two have for a heap: untouched memory.
const ARENA: Layout = match Layout::from_size_align(64 << 20, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("a valid layout"),
};

/// The heap that the program has anyway.
pub(crate) struct Ours;

// SAFETY: the global allocator keeps the promises of an allocator.
unsafe impl GlobalAlloc for Ours {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { realloc(start, layout, size) }
    }
}

/// Memory for an allocator, given back at the end.
struct Arena(*mut u8);

impl Arena {
    fn new() -> Self {
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(ARENA) };
        assert!(!start.is_null(), "no memory for an arena");
        Self(start)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: made in `new`, with this layout, and nobody uses it any more.
        unsafe { dealloc(self.0, ARENA) }
    }
}

/// <https://docs.rs/talc>, for one thread.
pub(crate) struct Talc {
    heap: TalcCell<Manual>,
    _arena: Arena,
}

impl Talc {
    pub(crate) fn new() -> Self {
        let arena = Arena::new();
        let heap = TalcCell::new(Manual);
        // SAFETY: the arena is nobody else's, and lives as long as the heap.
        let claimed = unsafe { heap.claim(arena.0, ARENA.size()) };
        assert!(claimed.is_some(), "the arena is large enough");
        Self { heap, _arena: arena }
    }
}

// SAFETY: as talc.
unsafe impl GlobalAlloc for Talc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.heap.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.heap.realloc(start, layout, size) }
    }
}

/// <https://docs.rs/buddy_system_allocator>, which kona's programs have.
pub(crate) struct Buddy {
    heap: LockedHeap<32>,
    _arena: Arena,
}

impl Buddy {
    pub(crate) fn new() -> Self {
        let arena = Arena::new();
        let heap = LockedHeap::empty();
        // SAFETY: the arena is nobody else's, and lives as long as the heap.
        unsafe { heap.lock().init(arena.0.expose_provenance(), ARENA.size()) };
        Self { heap, _arena: arena }
    }
}

// SAFETY: as buddy_system_allocator.
unsafe impl GlobalAlloc for Buddy {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.heap.dealloc(start, layout) }
    }
}

/// Blocks of a few words to a few kilobytes that come and go in no order.
pub(crate) mod churn {
    use super::*;

    pub(crate) const COUNT: u64 = 20_000;
    const SLOTS: usize = 512;

    pub(crate) fn run(allocator: &impl GlobalAlloc) {
        let mut slots = [None; SLOTS];
        let mut random = 88_172_645_463_325_252u64;
        for _ in 0..COUNT {
            random = next(random);
            let slot = &mut slots[random as usize % SLOTS];
            // One in eight is larger.
            let bits = if (random >> 16).is_multiple_of(8) { 12 } else { 8 };
            let size = (random >> 32) as usize % (1 << bits) + 8;
            if let Some((start, layout)) = slot.take() {
                free(allocator, start, layout);
            }
            *slot = Some(block(allocator, size));
        }
        slots.into_iter().flatten().for_each(|(start, layout)| free(allocator, start, layout));
    }
}

/// A vector that doubles from 16 bytes to 32 KiB, beside another that does too.
pub(crate) mod grow {
    use super::*;

    pub(crate) const COUNT: u64 = 64;

    pub(crate) fn run(allocator: &impl GlobalAlloc) {
        for _ in 0..COUNT {
            let mut pair = [block(allocator, 16), block(allocator, 16)];
            while pair[0].1.size() < 32 << 10 {
                for (start, layout) in &mut pair {
                    let size = layout.size() * 2;
                    // SAFETY: the block is the allocator's, with this layout.
                    *start = unsafe { allocator.realloc(*start, *layout, size) };
                    assert!(!start.is_null(), "out of memory");
                    *layout = layout_of(size);
                }
            }
            pair.into_iter().for_each(|(start, layout)| free(allocator, start, layout));
        }
    }
}

/// Blocks of 20 to 300 KiB that come and go in no order.
pub(crate) mod large {
    use super::*;

    pub(crate) const COUNT: u64 = 2_000;
    const SLOTS: usize = 32;

    pub(crate) fn run(allocator: &impl GlobalAlloc) {
        let mut slots = [None; SLOTS];
        let mut random = 88_172_645_463_325_252u64;
        for _ in 0..COUNT {
            random = next(random);
            let slot = &mut slots[random as usize % SLOTS];
            if let Some((start, layout)) = slot.take() {
                free(allocator, start, layout);
            }
            *slot = Some(block(allocator, (20 << 10) + (random >> 32) as usize % (280 << 10)));
        }
        slots.into_iter().flatten().for_each(|(start, layout)| free(allocator, start, layout));
    }
}

fn layout_of(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a valid layout")
}

fn block(allocator: &impl GlobalAlloc, size: usize) -> (*mut u8, Layout) {
    let layout = layout_of(size);
    // SAFETY: no layout here is empty.
    let start = unsafe { allocator.alloc(layout) };
    assert!(!start.is_null(), "out of memory");
    // SAFETY: the block is at least a word long, and ours.
    unsafe { start.cast::<u64>().write(black_box(size as u64)) };
    (start, layout)
}

fn free(allocator: &impl GlobalAlloc, start: *mut u8, layout: Layout) {
    // SAFETY: made by `block` with this layout, and not used any more.
    unsafe { allocator.dealloc(start, layout) }
}

/// Marsaglia's xorshift.
fn next(mut random: u64) -> u64 {
    random ^= random << 13;
    random ^= random >> 7;
    random ^ (random << 17)
}
