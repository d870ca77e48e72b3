//! MIPS64 system calls: number in `$2`, arguments from `$4` on; `$7` is zero if the call went well
//! and then `$2` is its result, otherwise `$2` says what went wrong.

use core::arch::asm;
use core::mem::MaybeUninit;

use crate::fd::Errno;

const READ: usize = 5000;
const WRITE: usize = 5001;
const MMAP: usize = 5009;
const EXIT_GROUP: usize = 5205;

const PROT_READ_WRITE: usize = 0x1 | 0x2;
const MAP_PRIVATE_ANONYMOUS: usize = 0x2 | 0x800;

pub(crate) fn read(fd: u32, buffer: &mut [u8]) -> Result<usize, Errno> {
    let room: *mut [u8] = buffer;
    // SAFETY: initialised bytes are a room for bytes, and the call only ever writes bytes to it.
    read_into(fd, unsafe { &mut *(room as *mut [MaybeUninit<u8>]) })
}

/// As [`read`], into memory that nobody has written yet; as many bytes as it returns are then.
///
/// A preimage comes 8 bytes a call, so this call is made for itself: it sets no register but those
/// that it needs.
pub(crate) fn read_into(fd: u32, room: &mut [MaybeUninit<u8>]) -> Result<usize, Errno> {
    let value: usize;
    let failed: usize;
    // SAFETY: the call writes at most `room.len()` bytes to `room`, which is ours to write; the
    // registers are as in `call`.
    unsafe {
        asm!(
            "syscall",
            inlateout("$2") READ => value,
            in("$4") fd as usize,
            in("$5") room.as_mut_ptr().expose_provenance(),
            in("$6") room.len(),
            lateout("$7") failed,
            lateout("$3") _,
            lateout("$8") _,
            lateout("$9") _,
            lateout("$10") _,
            lateout("$11") _,
            lateout("$12") _,
            lateout("$13") _,
            lateout("$14") _,
            lateout("$15") _,
            lateout("$24") _,
            lateout("$25") _,
            options(nostack),
        );
    }
    if failed == 0 { Ok(value) } else { Err(Errno(value)) }
}

pub(crate) fn write(fd: u32, buffer: &[u8]) -> Result<usize, Errno> {
    let arguments = [fd as usize, buffer.as_ptr().expose_provenance(), buffer.len(), 0, 0, 0];
    // SAFETY: the call only reads `buffer.len()` bytes from `buffer`.
    unsafe { call(WRITE, arguments) }
}

/// The address of `size` new zero bytes.
pub(crate) fn map(size: usize) -> Result<usize, Errno> {
    let arguments = [0, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0];
    // SAFETY: a new anonymous mapping overlaps nothing.
    unsafe { call(MMAP, arguments) }
}

pub(crate) fn exit(code: u8) -> ! {
    // The call does not return; if it did, there would be nothing better to do than to insist.
    loop {
        // SAFETY: the call touches no memory.
        let _ = unsafe { call(EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// # Safety
/// The memory that the call reads and writes must be the caller's to read and write.
unsafe fn call(number: usize, arguments: [usize; 6]) -> Result<usize, Errno> {
    let value: usize;
    let failed: usize;
    // SAFETY: the caller answers for memory; every register that the kernel interface may change
    // is named (`$1` is reserved for the assembler and cannot be).
    unsafe {
        asm!(
            "syscall",
            inlateout("$2") number => value,
            in("$4") arguments[0],
            in("$5") arguments[1],
            in("$6") arguments[2],
            inlateout("$7") arguments[3] => failed,
            inlateout("$8") arguments[4] => _,
            inlateout("$9") arguments[5] => _,
            lateout("$3") _,
            lateout("$10") _,
            lateout("$11") _,
            lateout("$12") _,
            lateout("$13") _,
            lateout("$14") _,
            lateout("$15") _,
            lateout("$24") _,
            lateout("$25") _,
            options(nostack),
        );
    }
    if failed == 0 { Ok(value) } else { Err(Errno(value)) }
}
