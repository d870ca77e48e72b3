//! Keccak-f\[1600\] with few registers, for machines in which every instruction counts as a step.
//!
//! A processor with many pipelines is content with the permutation as it is written down. Without
//! them, and with registers for half of the lanes, most of that is moving lanes in and out. Here a row
//! is read, worked on and written before the next, and only the parities of the columns stay in
//! registers: 25 loads and stores a round, or fewer. Two more things make the round short:
//!
//! - **In place.** What a row becomes is written to where its lanes came from, so that there is one
//!   array. A lane then stands elsewhere after each round, and where it stood at first after four.
//! - **Complements.** `a ^ (!b & c)` is three operations a lane. Where some lanes are kept as their
//!   complements, it is two for most, because a conjunction of complements is a disjunction.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::permutation::{ROUND_CONSTANTS, State};

/// The lanes that are kept as their complements. Each round leaves just these complemented again.
const COMPLEMENTED: [usize; 6] = [1, 2, 8, 12, 17, 20];

/// Rounds after which each lane is where it was.
const CYCLE: usize = 4;

/// The lane that ρ and π bring to each place.
const FROM: [usize; 25] =
    [0, 6, 12, 18, 24, 3, 9, 10, 16, 22, 1, 7, 13, 19, 20, 4, 5, 11, 17, 23, 2, 8, 14, 15, 21];

/// By how much that lane is rotated to the left.
const ROTATED: [u32; 25] =
    [0, 44, 43, 21, 14, 28, 20, 3, 45, 61, 1, 6, 25, 8, 18, 27, 36, 10, 15, 56, 62, 55, 39, 41, 2];

/// Where each lane stands before each round of a cycle. A lane never leaves its column.
const PLACES: [[usize; 25]; CYCLE] = {
    let mut places = [[0; 25]; CYCLE];
    let mut round = 0;
    while round < CYCLE {
        let mut lane = 0;
        while lane < 25 {
            places[round][lane] = if round == 0 { lane } else { places[round - 1][heir(lane)] };
            lane += 1;
        }
        round += 1;
    }
    places
};

/// The lane whose place a lane takes: of those that its row is made of, the one of its column.
const fn heir(lane: usize) -> usize {
    let mut x = 0;
    while FROM[lane / 5 * 5 + x] % 5 != lane % 5 {
        x += 1;
    }
    FROM[lane / 5 * 5 + x]
}

/// The permutation.
#[inline(never)]
pub(crate) fn permute(state: &mut State) {
    complement(state);
    let a = &*state;
    let mut columns = core::array::from_fn(|x| a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
    for constants in ROUND_CONSTANTS.as_chunks::<CYCLE>().0 {
        columns = round::<0>(state, columns, constants[0]);
        columns = round::<1>(state, columns, constants[1]);
        columns = round::<2>(state, columns, constants[2]);
        columns = round::<3>(state, columns, constants[3]);
    }
    complement(state);
}

#[inline(always)]
fn complement(state: &mut State) {
    for lane in COMPLEMENTED {
        state[lane] = !state[lane];
    }
}

/// One round, from the parities of the columns before it to those after it.
#[inline(always)]
fn round<const ROUND: usize>(state: &mut State, c: [u64; 5], constant: u64) -> [u64; 5] {
    let d = [
        c[4] ^ c[1].rotate_left(1),
        c[0] ^ c[2].rotate_left(1),
        c[1] ^ c[3].rotate_left(1),
        c[2] ^ c[4].rotate_left(1),
        c[3] ^ c[0].rotate_left(1),
    ];
    // Which of a row's operations have to be conjunctions, disjunctions, or work on one more
    // complement follows from which lanes are complements before and after.
    let mut columns = [0; 5];
    row::<ROUND, 0>(state, &d, &mut columns, |[a, b, c, d, e]| {
        [a ^ (b | c) ^ constant, b ^ (!c | d), c ^ (d & e), d ^ (e | a), e ^ (a & b)]
    });
    row::<ROUND, 1>(state, &d, &mut columns, |[a, b, c, d, e]| {
        [a ^ (b | c), b ^ (c & d), c ^ (d | !e), d ^ (e | a), e ^ (a & b)]
    });
    row::<ROUND, 2>(state, &d, &mut columns, |[a, b, c, d, e]| {
        [a ^ (b | c), b ^ (c & d), c ^ (!d & e), !d ^ (e | a), e ^ (a & b)]
    });
    // Or else the compiler would read the lanes of the other rows early, and have no registers for
    // them. More fences would make it keep fewer lanes in registers than there are.
    compiler_fence(Ordering::SeqCst);
    row::<ROUND, 3>(state, &d, &mut columns, |[a, b, c, d, e]| {
        [a ^ (b & c), b ^ (c | d), c ^ (!d | e), !d ^ (e & a), e ^ (a | b)]
    });
    row::<ROUND, 4>(state, &d, &mut columns, |[a, b, c, d, e]| {
        [a ^ (!b & c), !b ^ (c | d), c ^ (d & e), d ^ (e | a), e ^ (a & b)]
    });
    columns
}

/// The row `ROW` of a round: θ by the parities `d`, ρ and π where its lanes come from, then `chi`.
#[inline(always)]
fn row<const ROUND: usize, const ROW: usize>(
    state: &mut State,
    d: &[u64; 5],
    columns: &mut [u64; 5],
    chi: impl FnOnce([u64; 5]) -> [u64; 5],
) {
    let places = &PLACES[ROUND];
    let lanes = core::array::from_fn(|x| {
        let lane = FROM[5 * ROW + x];
        (state[places[lane]] ^ d[lane % 5]).rotate_left(ROTATED[5 * ROW + x])
    });
    for (x, lane) in chi(lanes).into_iter().enumerate() {
        state[places[heir(5 * ROW + x)]] = lane;
        columns[x] ^= lane;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permutation;

    #[test]
    fn it_is_the_permutation_as_it_is_written_down() {
        permutation::check(permute);
    }

    #[test]
    fn lanes_are_back_after_a_cycle() {
        let last = PLACES[CYCLE - 1];
        assert!((0..25).all(|lane| last[heir(lane)] == lane));
        assert_eq!(PLACES[0], core::array::from_fn(|lane| lane));
    }
}
