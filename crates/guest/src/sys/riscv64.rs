//! RISC-V system calls: number in `a7`, arguments from `a0` on, result in `a0`. A failure is `-1`
//! in `a0` with the reason in `a1`, where Linux would have the negated reason in `a0` itself; both
//! are understood.

use core::arch::asm;
use core::mem::MaybeUninit;

use crate::fd::Errno;

const READ: usize = 63;
const WRITE: usize = 64;
const EXIT_GROUP: usize = 94;
const MMAP: usize = 222;

const PROT_READ_WRITE: usize = 0x1 | 0x2;
const MAP_PRIVATE_ANONYMOUS: usize = 0x2 | 0x20;
/// Results from here to `usize::MAX` are failures.
const FIRST_ERROR: usize = usize::MAX - 4094;

pub(crate) fn read(fd: u32, buffer: &mut [u8]) -> Result<usize, Errno> {
    let room: *mut [u8] = buffer;
    // SAFETY: initialised bytes are a room for bytes, and the call only ever writes bytes to it.
    read_into(fd, unsafe { &mut *(room as *mut [MaybeUninit<u8>]) })
}

/// As [`read`], into memory that nobody has written yet; as many bytes as it returns are then.
pub(crate) fn read_into(fd: u32, room: &mut [MaybeUninit<u8>]) -> Result<usize, Errno> {
    let arguments = [fd as usize, room.as_mut_ptr().expose_provenance(), room.len(), 0, 0, 0];
    // SAFETY: the call writes at most `room.len()` bytes to `room`, which is ours to write.
    unsafe { call(READ, arguments) }
}

/// As [`read_into`] for as many calls as fill 8 bytes each, and what the first that does not gives;
/// says how many bytes that were. Whatever ends it, another [`read_into`] says.
pub(crate) fn read_words(fd: u32, room: &mut [MaybeUninit<u8>]) -> usize {
    let mut done = 0;
    for word in room.as_chunks_mut::<8>().0 {
        let count = read_into(fd, word).unwrap_or(0).min(8);
        done += count;
        if count < 8 {
            break;
        }
    }
    done
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
    let reason: usize;
    // SAFETY: the caller answers for memory; the kernel interface keeps every other register.
    unsafe {
        asm!(
            "ecall",
            in("a7") number,
            inlateout("a0") arguments[0] => value,
            inlateout("a1") arguments[1] => reason,
            in("a2") arguments[2],
            in("a3") arguments[3],
            in("a4") arguments[4],
            in("a5") arguments[5],
            options(nostack),
        );
    }
    match value {
        usize::MAX => Err(Errno(reason)),
        FIRST_ERROR.. => Err(Errno(value.wrapping_neg())),
        _ => Ok(value),
    }
}
