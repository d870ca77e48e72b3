//! `cargo xtask check`: the gate. What passes here passes in CI, which runs the same commands.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::{cargo, contracts, fuzz, guests, root, run as run_command, testdata, tidy};

/// How long the gate fuzzes whatever reads what others wrote.
const FUZZ_SECONDS: &str = "20";

/// How long it fuzzes what anybody may write to L1, and then the engines.
const LONG_FUZZ_SECONDS: &str = "60";

/// Steps that the gate has the contract judge: half a minute of them.
const SOAK_STEPS: &str = "100000";

/// Where `keccak` has vector instructions of its own.
const AARCH64: &str = "aarch64-unknown-linux-gnu";

pub(crate) fn run() -> Result<()> {
    stage("format", || run_command(cargo().args(["fmt", "--all", "--check"])))?;
    stage("tidy", tidy::run)?;
    stage("test data", || testdata::run(&[]))?;
    stage("clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run_command(cargo().args(arguments))
    })?;
    stage("clippy for aarch64", clippy_for_aarch64)?;
    stage("tests", || run_command(cargo().args(["test", "--workspace"])))?;
    stage("documentation", || {
        let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items"];
        run_command(cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    // Compiling the programs keeps one core busy most of the time, what follows another.
    std::thread::scope(|scope| {
        let guests = scope.spawn(|| stage("guests", || guests::run(&["--check"])));
        let rest = beside_guests();
        let guests = guests.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        rest.and(guests)
    })
}

fn beside_guests() -> Result<()> {
    let long = |target| ["--target", target, "--seconds", LONG_FUZZ_SECONDS];
    stage("contracts", contracts::check_if_possible)?;
    stage("soak", || contracts::short_soak(SOAK_STEPS))?;
    stage("fuzz", || fuzz::run(&["--seconds", FUZZ_SECONDS]))?;
    stage("derivation", || fuzz::run(&long("derivation")))?;
    stage("engines", || fuzz::run(&long("engines")))
}

/// What x86-64 does not compile; clippy needs no linker.
fn clippy_for_aarch64() -> Result<()> {
    if !is_installed(AARCH64)? {
        println!("    skipped: no such target here; `rustup target add {AARCH64}` brings it");
        return Ok(());
    }
    let package = ["clippy", "--package", "tribunal-keccak", "--features", "std", "--all-targets"];
    run_command(cargo().args(package).args(["--target", AARCH64, "--", "-D", "warnings"]))
}

/// Whether the toolchain of the workspace has a standard library for `target`.
fn is_installed(target: &str) -> Result<bool> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let asked = rustc.current_dir(root()).args(["--print", "target-libdir", "--target", target]);
    let answer = asked.output().context("cannot run rustc")?;
    let folder = String::from_utf8(answer.stdout).context("rustc names no folder")?;
    Ok(answer.status.success() && Path::new(folder.trim_end()).is_dir())
}

fn stage(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {name}");
    let start = Instant::now();
    work()?;
    println!("    {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
