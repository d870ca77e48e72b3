//! Work of known size: keccak, a hash table, a sweep over memory, quicksort; and, as a program of its
//! own, memory that is filled once.
//!
//! The four are those of `bench/guest.c`, with the same check value for the same amount. How much
//! there is to do is fixed when the program is built, because it is given nothing: all of it, or the
//! part that `TRIBUNAL_BENCH_DIVISOR` says. A third program, [`kit()`], does what programs do with
//! `tribunal-guest`, a little of each, and says where each begins. Knows nothing of clocks.
#![no_std]

extern crate alloc;

mod allocators;
mod kit;
mod work;

use alloc::vec::Vec;
use core::convert::Infallible;
use core::hint::black_box;

use tribunal_guest::{Oracle, Verdict, println};

pub use kit::kit;
pub use work::Work;

/// By what the amounts of [`Work::FULL`] are divided.
const DIVISOR: u64 = match option_env!("TRIBUNAL_BENCH_DIVISOR") {
    None => 1,
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(divisor) => divisor,
        Err(_) => panic!("TRIBUNAL_BENCH_DIVISOR is no number"),
    },
};

/// How much memory [`fill`] writes to.
const FILLED_BYTES: usize = 128 << 20;

/// Does the work and prints its check value.
///
/// # Errors
/// None.
pub fn run<O: Oracle>(_: &mut O) -> Result<Verdict, Infallible> {
    println!("check={:x}", Work::FULL.divided_by(DIVISOR).check());
    Ok(Verdict::Holds)
}

/// Writes every word of 128 MiB once, and prints a check value.
///
/// # Errors
/// None.
pub fn fill<O: Oracle>(_: &mut O) -> Result<Verdict, Infallible> {
    let words = (FILLED_BYTES / 8) as u64;
    let memory: Vec<u64> = (0..words).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).collect();
    let check = black_box(&memory).iter().fold(0, |sum: u64, word| sum.rotate_left(1) ^ word);
    println!("check={check:x}");
    Ok(Verdict::Holds)
}
