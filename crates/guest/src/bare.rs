//! What the standard library would bring where there is none: the heap and the panic handler.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::heap::{Heap, Source};
use crate::{ExitStatus, eprintln, sys};

#[global_allocator]
static HEAP: GlobalHeap = GlobalHeap(UnsafeCell::new(Heap::new(System)));

struct GlobalHeap(UnsafeCell<Heap<System>>);

// SAFETY: a program has one thread, nothing interrupts it, and the heap calls nobody who allocates.
unsafe impl Sync for GlobalHeap {}

// SAFETY: `Heap` keeps the promises of an allocator, and each method's callers keep theirs.
unsafe impl GlobalAlloc for GlobalHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: nobody else holds a reference, see `Sync`.
        unsafe { &mut *self.0.get() }.allocate(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: nobody else holds a reference, see `Sync`.
        unsafe { &mut *self.0.get() }.allocate_zeroed(layout)
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: nobody else holds a reference, see `Sync`; the caller gives a block of ours up.
        unsafe { (*self.0.get()).free(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: nobody else holds a reference, see `Sync`; the caller gives a block of ours up.
        unsafe { (*self.0.get()).resize(start, layout, size) }
    }
}

struct System;

impl Source for System {
    fn map(&mut self, size: usize) -> Option<usize> {
        sys::map(size).ok()
    }
}

/// Says how much was asked for in vain and ends the machine: nothing was decided.
#[alloc_error_handler]
fn out_of_memory(layout: Layout) -> ! {
    eprintln!("error: the program is out of memory: there are no {} bytes more", layout.size());
    sys::exit(ExitStatus::OUT_OF_MEMORY.code())
}

/// Says what happened and ends the machine: nothing was decided.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    if PANICKING.swap(true, Ordering::Relaxed) {
        eprintln!("error: the program panicked while it said why it panicked");
    } else {
        eprintln!("error: the program {info}");
    }
    sys::exit(ExitStatus::PANICKED.code())
}
