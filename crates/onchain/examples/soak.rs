//! Random states, stepped by the reference and by our contract, until they differ or the steps are
//! used up: `cargo xtask soak [--steps N] [--seed S]`. A difference is printed as a vector.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[path = "../tests/engine/mod.rs"]
mod engine;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use engine::{Contract, random_vector, to_line};
use tribunal_conformance::Engine as _;

const DEFAULT_STEPS: u64 = 100_000;

/// Between two signs of life.
const PROGRESS: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Some((steps, seed)) = options() else {
        eprintln!("error: soak takes --steps NUMBER and --seed NUMBER");
        return ExitCode::from(2);
    };
    let mut contract = Contract::new();
    let mut spoken = Instant::now();
    for done in 0..steps {
        let seed = seed.wrapping_add(done);
        let vector = random_vector(seed);
        if let Err(difference) = vector.check(&contract.take(&vector)) {
            println!("{}", to_line(&vector));
            eprintln!("seed {seed}: {difference}; above is what the reference makes of the state");
            return ExitCode::FAILURE;
        }
        if spoken.elapsed() > PROGRESS {
            spoken = Instant::now();
            eprintln!("{done} of {steps} steps agree");
        }
    }
    println!("{steps} steps from seed {seed} on agree");
    ExitCode::SUCCESS
}

fn options() -> Option<(u64, u64)> {
    let (mut steps, mut seed) = (DEFAULT_STEPS, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let number = arguments.next()?.replace('_', "").parse().ok()?;
        match option.as_str() {
            "--steps" => steps = number,
            "--seed" => seed = number,
            _ => return None,
        }
    }
    Some((steps, seed))
}
