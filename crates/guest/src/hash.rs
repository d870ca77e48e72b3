//! keccak256 under the name by which `alloy-primitives`, with its feature `native-keccak`, asks
//! whoever runs it for hashes. Else it has a permutation of its own, in more steps.
//!
//! Contracts hash the same 64 bytes, the key of a mapping and its place, again and again: to read an
//! entry and to write it, in one transaction and in the next. Such hashes are remembered.

use core::cell::UnsafeCell;
use core::slice;

use tribunal_keccak::{Hash, keccak256};

/// How many are remembered, at most one for each place in the table.
const PLACES: usize = 512;

static REMEMBERED: Remembered = Remembered(UnsafeCell::new([Entry::NONE; PLACES]));

struct Remembered(UnsafeCell<[Entry; PLACES]>);

// SAFETY: a program has one thread, nothing interrupts it, and whoever uses this calls nobody who
// does.
unsafe impl Sync for Remembered {}

#[derive(Clone, Copy)]
struct Entry {
    message: [u64; 8],
    hash: Hash,
    is_there: bool,
}

impl Entry {
    const NONE: Self = Self { message: [0; 8], hash: [0; 32], is_there: false };
}

/// # Safety
/// `bytes` must point to `len` readable bytes, and `output` to 32 writable ones.
#[unsafe(no_mangle)]
unsafe extern "C" fn native_keccak256(bytes: *const u8, len: usize, output: *mut u8) {
    // SAFETY: that many bytes may be read, says the caller.
    let message = unsafe { slice::from_raw_parts(bytes, len) };
    let hash = match message.as_array() {
        Some(message) => remembered(message),
        None => keccak256(message),
    };
    // SAFETY: a hash has 32 bytes, and no alignment is asked for.
    unsafe { output.cast::<Hash>().write_unaligned(hash) };
}

fn remembered(message: &[u8; 64]) -> Hash {
    let words: [u64; 8] =
        core::array::from_fn(|i| u64::from_be_bytes(message.as_chunks::<8>().0[i]));
    // Addresses and numbers differ at their ends, hashes anywhere.
    let mixed = (words[3].rotate_left(32) ^ words[7]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (mixed >> (u64::BITS - PLACES.ilog2())) as usize;
    // SAFETY: nobody else holds a reference, see `Sync`, and hashing calls nobody who might.
    let entry = unsafe { &mut (&mut *REMEMBERED.0.get())[place] };
    if !(entry.is_there && entry.message == words) {
        *entry = Entry { message: words, hash: keccak256(message), is_there: true };
    }
    entry.hash
}
