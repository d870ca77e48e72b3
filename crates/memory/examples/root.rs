//! How long the root of a gibibyte takes of which every word changed: `root [ROUNDS]`.
//!
//! Prints a JSON object, which `cargo xtask bench` reads. Memory that was never hashed is the worst
//! case: no tree is there yet.
#![allow(clippy::print_stdout, reason = "a tool that people run speaks")]

use std::time::Instant;

use tribunal_keccak::NodeHasher;
use tribunal_memory::{Memory, PAGE_SIZE};

const BYTES: usize = 1 << 30;

fn main() {
    let rounds =
        std::env::args().nth(1).map_or(5, |text| text.parse().expect("a number of rounds"));
    let seconds: Vec<String> = (0..rounds)
        .map(|_| {
            let mut memory = filled();
            let start = Instant::now();
            std::hint::black_box(memory.root());
            format!("{:.4}", start.elapsed().as_secs_f64())
        })
        .collect();
    println!(
        r#"{{"bytes":{BYTES},"keccak":"{}","threads":{},"seconds":[{}]}}"#,
        NodeHasher::here().name(),
        std::thread::available_parallelism().map_or(1, usize::from),
        seconds.join(",")
    );
}

/// Memory in which no two leaves are equal.
fn filled() -> Memory {
    let mut memory = Memory::new();
    let mut page = [0; PAGE_SIZE];
    for address in (0..BYTES).step_by(PAGE_SIZE) {
        for (place, word) in page.as_chunks_mut().0.iter_mut().enumerate() {
            let word: &mut [u8; 8] = word;
            let seed = (address + 8 * place) as u64 + 1;
            *word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        }
        memory.write(address as u64, &page);
    }
    memory
}
