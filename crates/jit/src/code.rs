//! Memory for compiled code: one view to write it, another to execute it.
//!
//! No page is ever writable and executable at one address (W^X): the same memory is mapped twice,
//! and where it is executed nothing can write. Knows nothing of instructions.

#![expect(unsafe_code, reason = "maps memory that is executed")]

use std::ffi::c_void;
use std::ptr;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The most code there is at once. Reserved, not allocated.
const CODE_BYTES: usize = 128 << 20;

/// Compiled code, appended to until it is full.
#[derive(Debug)]
pub(crate) struct CodeMemory {
    writable: *mut u8,
    executable: *const u8,
    used: usize,
}

// SAFETY: both views belong to this value alone, and neither is tied to a thread.
unsafe impl Send for CodeMemory {}

/// Why there can be no compiled code.
#[derive(Debug, thiserror::Error)]
#[error("cannot get executable memory: {0}")]
pub(crate) struct CodeError(#[from] rustix::io::Errno);

impl CodeMemory {
    pub(crate) fn new() -> Result<Self, CodeError> {
        let file = memfd_create("tribunal-code", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, CODE_BYTES as u64)?;
        let map = |protection| {
            // SAFETY: the kernel chooses an address where nothing is; the file is only ever mapped
            // here.
            unsafe { mmap(ptr::null_mut(), CODE_BYTES, protection, MapFlags::SHARED, &file, 0) }
        };
        let writable = map(ProtFlags::READ | ProtFlags::WRITE)?;
        match map(ProtFlags::READ | ProtFlags::EXEC) {
            Ok(executable) => Ok(Self {
                writable: writable.cast(),
                executable: executable.cast_const().cast(),
                used: 0,
            }),
            Err(error) => {
                unmap(writable);
                Err(error.into())
            }
        }
    }

    /// Where the next code will be executed.
    pub(crate) fn next(&self) -> *const u8 {
        self.executable.wrapping_add(self.used)
    }

    /// Whether so many bytes fit.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        bytes <= CODE_BYTES - self.used
    }

    /// Appends code that was assembled for [`CodeMemory::next`].
    pub(crate) fn append(&mut self, code: &[u8]) -> *const u8 {
        assert!(self.has_room(code.len()), "whoever appends asks for room first");
        let start = self.next();
        // SAFETY: there is room, and the writable view is this value's alone.
        unsafe {
            ptr::copy_nonoverlapping(code.as_ptr(), self.writable.add(self.used), code.len());
        }
        self.used += code.len();
        start
    }

    /// Makes the jump whose 32-bit displacement is at `site` lead to `target`. Both are addresses
    /// of executable code of this memory.
    pub(crate) fn link(&mut self, site: *const u8, target: *const u8) {
        let offset = self.offset(site);
        assert!(offset + 4 <= self.used && self.offset(target) < self.used);
        let displacement = (target.addr() as i64) - (site.addr() as i64 + 4);
        let displacement = i32::try_from(displacement).expect("code lies within 128 MiB");
        // SAFETY: four bytes within what was appended, asserted above. Nobody executes them
        // meanwhile: code runs only for who holds this value exclusively.
        unsafe { self.writable.add(offset).cast::<i32>().write_unaligned(displacement.to_le()) };
    }

    fn offset(&self, at: *const u8) -> usize {
        at.addr().wrapping_sub(self.executable.addr())
    }

    /// Forgets everything after the first `keep` bytes.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.used = self.used.min(keep);
    }

    /// Bytes of code.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        unmap(self.writable.cast());
        unmap(self.executable.cast_mut().cast());
    }
}

fn unmap(start: *mut c_void) {
    // SAFETY: a view of this module's own, of this length, that nobody uses any more.
    let unmapped = unsafe { munmap(start, CODE_BYTES) };
    debug_assert!(unmapped.is_ok(), "a mapping can be given back");
}
