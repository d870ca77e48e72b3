//! `cargo xtask check`: the gate. What passes here passes in CI, which runs the same commands.

use std::time::Instant;

use anyhow::Result;

use crate::{cargo, contracts, fuzz, guests, run as run_command, testdata, tidy};

/// How long the gate fuzzes: whatever reads what others wrote, then the engines.
const FUZZ_SECONDS: &str = "60";

/// Steps that the gate has the contract judge: half a minute of them.
const SOAK_STEPS: &str = "100000";

pub(crate) fn run() -> Result<()> {
    stage("format", || run_command(cargo().args(["fmt", "--all", "--check"])))?;
    stage("tidy", tidy::run)?;
    stage("test data", || testdata::run(&[]))?;
    stage("clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run_command(cargo().args(arguments))
    })?;
    stage("tests", || run_command(cargo().args(["test", "--workspace"])))?;
    stage("documentation", || {
        let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items"];
        run_command(cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    stage("guests", || guests::run(&["--check"]))?;
    stage("contracts", contracts::check_if_possible)?;
    stage("soak", || contracts::short_soak(SOAK_STEPS))?;
    stage("fuzz", || fuzz::run(&["--seconds", FUZZ_SECONDS]))?;
    stage("engines", || fuzz::run(&["--target", "engines", "--seconds", FUZZ_SECONDS]))
}

fn stage(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {name}");
    let start = Instant::now();
    work()?;
    println!("    {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
