//! The four kinds of work, and how much of each.

use alloc::boxed::Box;
use alloc::vec;

/// How much of each kind of work there is.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Permutations of keccak-f(1600).
    pub permutations: u64,
    /// Look-ups in a hash table of a mebibyte, half of it used.
    pub lookups: u64,
    /// Times that every word of a mebibyte is read and written.
    pub sweeps: u64,
    /// Times that 16,384 words are sorted.
    pub sorts: u64,
}

/// Slots of the hash table.
const SLOTS: usize = 1 << 16;
/// Words that are swept over.
const SWEPT: usize = 1 << 17;
/// Words that are sorted.
const SORTED: usize = 1 << 14;

const SEED: u64 = 88_172_645_463_325_252;

impl Work {
    /// Seconds on a machine of today.
    pub const FULL: Self =
        Self { permutations: 600_000, lookups: 200_000_000, sweeps: 10_000, sorts: 600 };

    /// A part of the work.
    #[must_use]
    pub const fn divided_by(self, divisor: u64) -> Self {
        Self {
            permutations: self.permutations / divisor,
            lookups: self.lookups / divisor,
            sweeps: self.sweeps / divisor,
            sorts: self.sorts / divisor,
        }
    }

    /// Does the work. The value depends on every part of it.
    pub fn check(self) -> u64 {
        permute(self.permutations) ^ look_up(self.lookups) ^ sweep(self.sweeps) ^ sort(self.sorts)
    }
}

/// The first lane after so many permutations of a state that is 1.
#[inline(never)]
fn permute(times: u64) -> u64 {
    let mut state = [0; 25];
    state[0] = 1;
    for _ in 0..times {
        keccak_f(&mut state);
    }
    state[0]
}

/// One permutation, written plainly: what a compiler makes of it is what is measured.
#[inline(never)]
fn keccak_f(a: &mut [u64; 25]) {
    let mut parity = [0; 5];
    for constant in ROUND_CONSTANTS {
        for x in 0..5 {
            parity[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        }
        for x in 0..5 {
            let change = parity[(x + 4) % 5] ^ parity[(x + 1) % 5].rotate_left(1);
            for y in 0..5 {
                a[5 * y + x] ^= change;
            }
        }
        let mut moved = a[1];
        for (place, rotation) in PLACES.into_iter().zip(ROTATIONS) {
            (a[place], moved) = (moved.rotate_left(rotation), a[place]);
        }
        for y in 0..5 {
            let row: [u64; 5] = core::array::from_fn(|x| a[5 * y + x]);
            for x in 0..5 {
                a[5 * y + x] = row[x] ^ (!row[(x + 1) % 5] & row[(x + 2) % 5]);
            }
        }
        a[0] ^= constant;
    }
}

/// Counts random keys in a table with open addressing.
#[inline(never)]
fn look_up(times: u64) -> u64 {
    // An array, so that the compiler knows its length and an index below that needs no check.
    let table: Result<Box<[(u64, u64); SLOTS]>, _> = vec![(0, 0); SLOTS].try_into();
    let mut table = table.expect("that many slots");
    let mut random = SEED;
    let mut sum = 0u64;
    for i in 0..times {
        random = next(random);
        let key = (random & (SLOTS as u64 / 2 - 1)) + 1;
        let mut slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize;
        while table[slot % SLOTS].0 != 0 && table[slot % SLOTS].0 != key {
            slot += 1;
        }
        let (known, count) = &mut table[slot % SLOTS];
        *known = key;
        *count = count.wrapping_add(i);
        sum = sum.wrapping_add(*count);
    }
    sum
}

/// Reads and writes every word of a mebibyte.
#[inline(never)]
fn sweep(times: u64) -> u64 {
    let mut words = vec![0u64; SWEPT];
    let mut sum = 0u64;
    for _ in 0..times {
        for word in &mut words {
            sum = sum.wrapping_add(*word);
            *word = sum ^ (sum >> 3);
        }
    }
    sum
}

/// Sorts random words.
#[inline(never)]
fn sort(times: u64) -> u64 {
    let mut words = vec![0u64; SORTED];
    let mut random = SEED;
    let mut sum = 0;
    for i in 0..times as usize {
        for word in &mut words {
            random = next(random);
            *word = random;
        }
        quicksort(&mut words);
        sum ^= words[i % SORTED];
    }
    sum
}

/// Hoare's, with the middle for a pivot: the smaller part by recursion, the larger in the loop.
fn quicksort(mut words: &mut [u64]) {
    while words.len() > 1 {
        let pivot = words[(words.len() - 1) / 2];
        // What is before `low` is at most the pivot, what is from `high` on at least.
        let (mut low, mut high) = (0, words.len());
        while low < high {
            while words[low] < pivot {
                low += 1;
            }
            while words[high - 1] > pivot {
                high -= 1;
            }
            if low < high {
                words.swap(low, high - 1);
                low += 1;
                high -= 1;
            }
        }
        let (rest, right) = words.split_at_mut(low);
        let left = &mut rest[..high];
        let (smaller, larger) =
            if left.len() < right.len() { (left, right) } else { (right, left) };
        quicksort(smaller);
        words = larger;
    }
}

/// Marsaglia's xorshift.
fn next(mut random: u64) -> u64 {
    random ^= random << 13;
    random ^= random >> 7;
    random ^ (random << 17)
}

const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

const ROTATIONS: [u32; 24] =
    [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];

const PLACES: [usize; 24] =
    [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_that_of_the_same_work_in_c() {
        // bench/guest.c with -DKROUNDS=6000UL -DHOPS=2000000UL -DSWEEPS=100UL -DSORTS=6UL
        assert_eq!(Work::FULL.divided_by(100).check(), 0x6c2f_013c_da07_d739);
    }

    #[test]
    fn what_is_sorted_is_in_order() {
        let mut random = SEED;
        for length in 0..200 {
            let mut words: alloc::vec::Vec<u64> = (0..length)
                .map(|_| {
                    random = next(random);
                    // Few values, so that many are equal.
                    random % 50
                })
                .collect();
            let mut expected = words.clone();
            expected.sort_unstable();
            quicksort(&mut words);
            assert_eq!(words, expected);
        }
    }
}
