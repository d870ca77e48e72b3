//! Copying, filling and comparing memory, by the names that the compiler calls them by.
//!
//! The compiler brings its own for bare machines, which go byte by byte where addresses are not
//! aligned, or always. A machine of 64 bits reads 8 bytes from anywhere in two steps, and most of what
//! programs copy and compare are hashes and numbers of 32 bytes that may lie anywhere.
//!
//! That the compiler makes no call of a function out of that function's own loop is its promise for
//! `memcpy` and `memset` by their names; a comparison it never makes of a loop.

/// # Safety
/// `from` must point to `count` readable bytes, `to` to as many writable ones, and they must not
/// overlap.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    let mut at = 0;
    // SAFETY: what is read and written is at `at` and below `count`.
    unsafe {
        if (to.addr() | from.addr()).is_multiple_of(8) {
            while at + 32 <= count {
                let (to, from) = (to.add(at).cast::<[u64; 4]>(), from.add(at).cast::<[u64; 4]>());
                let [a, b, c, d] = from.read();
                to.write([a, b, c, d]);
                at += 32;
            }
            while at + 8 <= count {
                to.add(at).cast::<u64>().write(from.add(at).cast::<u64>().read());
                at += 8;
            }
        } else {
            while at + 16 <= count {
                let a = from.add(at).cast::<u64>().read_unaligned();
                let b = from.add(at + 8).cast::<u64>().read_unaligned();
                to.add(at).cast::<u64>().write_unaligned(a);
                to.add(at + 8).cast::<u64>().write_unaligned(b);
                at += 16;
            }
            if at + 8 <= count {
                let word = from.add(at).cast::<u64>().read_unaligned();
                to.add(at).cast::<u64>().write_unaligned(word);
                at += 8;
            }
        }
        while at < count {
            to.add(at).write(from.add(at).read());
            at += 1;
        }
    }
    to
}

/// # Safety
/// `to` must point to `count` writable bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    let byte = byte as u8;
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    let mut at = 0;
    // SAFETY: what is written is at `at` and below `count`.
    unsafe {
        if count >= 16 {
            // The first bytes up to an aligned address are written once more below.
            to.cast::<u64>().write_unaligned(word);
            at = to.addr().wrapping_neg() % 8;
            while at + 32 <= count {
                to.add(at).cast::<[u64; 4]>().write([word; 4]);
                at += 32;
            }
            while at + 8 <= count {
                to.add(at).cast::<u64>().write(word);
                at += 8;
            }
        }
        while at < count {
            to.add(at).write(byte);
            at += 1;
        }
    }
    to
}

/// # Safety
/// Both must point to `count` readable bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    let mut at = 0;
    // SAFETY: what is read is at `at` and below `count`.
    unsafe {
        while at + 8 <= count {
            let one = a.add(at).cast::<u64>().read_unaligned();
            let other = b.add(at).cast::<u64>().read_unaligned();
            if one != other {
                return if u64::from_be(one) < u64::from_be(other) { -1 } else { 1 };
            }
            at += 8;
        }
        while at < count {
            let (one, other) = (a.add(at).read(), b.add(at).read());
            if one != other {
                return i32::from(one) - i32::from(other);
            }
            at += 1;
        }
    }
    0
}

/// # Safety
/// As [`memcmp`], of which it says only whether it is zero.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { memcmp(a, b, count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 128;

    fn bytes(seed: u8) -> [u8; ROOM] {
        core::array::from_fn(|i| (i as u8).wrapping_mul(29).wrapping_add(seed) % 100 + 50)
    }

    /// Every length, from and to every alignment; what lies around stays as it was.
    #[test]
    fn memory_is_copied_and_filled_and_no_more() {
        for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))) {
            for count in 0..=80 {
                let source = bytes(3);
                let (mut copied, mut expected) = (bytes(90), bytes(90));
                expected[to..to + count].copy_from_slice(&source[from..from + count]);
                // SAFETY: both lie within their arrays.
                unsafe { memcpy(copied.as_mut_ptr().add(to), source.as_ptr().add(from), count) };
                assert_eq!(copied, expected, "{count} bytes from {from} to {to}");
                expected[to..to + count].fill(0xa5);
                // SAFETY: it lies within the array.
                unsafe { memset(copied.as_mut_ptr().add(to), 0x7fff_ffa5, count) };
                assert_eq!(copied, expected, "{count} bytes at {to}");
            }
        }
    }

    #[test]
    fn the_first_byte_that_differs_decides() {
        for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))) {
            for count in 0..=40 {
                let mut a = [7; ROOM];
                let mut b = [7; ROOM];
                b[from..from + count].copy_from_slice(&bytes(5)[..count]);
                a[to..to + count].copy_from_slice(&bytes(5)[..count]);
                (a[to + count], b[from + count]) = (0, 1);
                // SAFETY: both lie within their arrays.
                let compared = |a: &[u8; ROOM], b: &[u8; ROOM]| unsafe {
                    let (a, b) = (a.as_ptr().add(to), b.as_ptr().add(from));
                    (memcmp(a, b, count).signum(), bcmp(a, b, count) == 0)
                };
                assert_eq!(compared(&a, &b), (0, true));
                for at in 0..count {
                    let mut a = a;
                    a[to + at] += 1;
                    let later = count - 1;
                    a[to + later] -= 3 * u8::from(later > at);
                    assert_eq!(compared(&a, &b), (1, false), "{count} bytes, {at}");
                    a[to + at] -= 2;
                    assert_eq!(compared(&a, &b), (-1, false), "{count} bytes, {at}");
                }
            }
        }
    }
}
