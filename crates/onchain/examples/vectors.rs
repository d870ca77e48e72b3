//! Conformance vectors on our contract: `cargo xtask vectors --engine contract FILE…`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[path = "../tests/engine/mod.rs"]
mod engine;

use std::path::Path;
use std::process::ExitCode;

use engine::Contract;
use tribunal_conformance::{failures, read_vectors};

/// Failures shown in full; the rest is counted.
const SHOWN: usize = 20;

fn main() -> ExitCode {
    let mut contract = Contract::new();
    let (mut count, mut failed) = (0, Vec::new());
    for file in std::env::args_os().skip(1) {
        match read_vectors(Path::new(&file)) {
            Ok(vectors) => {
                count += vectors.len();
                failed.extend(failures(&mut contract, &vectors));
            }
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        }
    }
    failed.iter().take(SHOWN).for_each(|failure| println!("{failure}"));
    println!("{} passed, {} failed", count - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
