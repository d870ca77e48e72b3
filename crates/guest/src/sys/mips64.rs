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

/// As [`read_into`] for as many calls as fill 8 bytes each, and what the first that does not gives;
/// says how many bytes that were. Whatever ends it, another [`read_into`] says.
///
/// Five steps for 8 bytes: of a preimage there are no more in one call.
pub(crate) fn read_words(fd: u32, room: &mut [MaybeUninit<u8>]) -> usize {
    let whole = room.len() & !7;
    if whole == 0 {
        return 0;
    }
    let start = room.as_mut_ptr().expose_provenance();
    let reached: usize;
    let value: usize;
    let failed: usize;
    // SAFETY: each call writes at most 8 bytes, from `start` on where the last has ended, and the last
    // ends with `whole`, so inside `room`, which is ours to write; the registers are as in `call`.
    // None is shared between what goes in and what a call changes. An error is no 8: that is
    // ENOEXEC, which no `read` has.
    unsafe {
        asm!(
            ".set push",
            ".set noreorder",
            "2:",
            "syscall",
            "bne $2, $17, 3f",
            "daddiu $5, $5, 8",
            "bne $5, $16, 2b",
            "addiu $2, $0, {read}",
            "3:",
            ".set pop",
            read = const READ,
            in("$17") 8_usize,
            in("$16") start + whole,
            inout("$2") READ => value,
            in("$4") fd as usize,
            inout("$5") start => reached,
            in("$6") 8_usize,
            out("$7") failed,
            out("$3") _,
            out("$8") _,
            out("$9") _,
            out("$10") _,
            out("$11") _,
            out("$12") _,
            out("$13") _,
            out("$14") _,
            out("$15") _,
            out("$24") _,
            out("$25") _,
            options(nostack),
        );
    }
    match value {
        READ => whole,
        // The address was advanced beside the branch.
        _ => reached - 8 - start + if failed == 0 { value.min(8) } else { 0 },
    }
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
