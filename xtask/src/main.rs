//! Tribunal's automation: `cargo xtask COMMAND`.
//!
//! Everything a contributor or a CI runs goes through here, so that it is the same for both; this
//! crate therefore has few dependencies: what needs heavy ones is an example of its own crate.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

mod bench;
mod block;
mod check;
mod contracts;
mod fuzz;
mod guests;
mod integration;
mod testdata;
mod tidy;
mod vectors;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

Commands:
  bench [OPTIONS]    how long the same work takes natively, under qemu, in Cannon and on our engines;
                     --size full|tenth|hundredth, --rounds N, --cannon PATH, --json FILE, and what
                     docs/speed.md says
  bench gas [FILE...]
                     what a step costs on chain, by class: our contract, and compiled ones beside it
  bench guest        what programs do with tribunal-guest, in steps of the machine
  bench op-block     what executing an L2 block costs, natively and in the machine, and where its steps go
  bench op-program [--profile] [FILE...]
                     what judging a claim about an L2 chain costs, natively and in the machine, per
                     claim and per block, blob and MB; --profile: where the steps go
  block [--vm] [--computed] FILE...
                     executes recorded blocks of the OP Stack, here or in the machine; ends with
                     \"N passed, M failed\"; --computed: precompiled contracts in the program itself
  check              the gate: everything that CI runs
  contracts          compiles contracts/ into contracts/artifacts/, with Node
  contracts --check  and says whether the artifacts are what the sources compile to
  guests             builds the programs of guests/ into target/guests/{mips64,riscv64}/NAME.elf
  guests --update    and stores the MIPS64 ones in guests/elf/, from where the command line embeds them
  guests --check     and says whether the stored ones are the same, byte for byte
  integration [--record]
                     fetching from a real geth and a real anvil, which it gets with Go and npm; and
                     keeps what geth answers in testdata/nodes/, for the tests that need no node
  fixtures DIR       makes testdata/transactions/ of the chain data in DIR
  soak [--steps N] [--seed S] [--over states|programs|runs|all]
                     steps on the reference and on our contract, until they differ: of random states,
                     of random programs, and random ones of the runs of testdata/ and guests/
  testdata [DIR]     shows that the copies in testdata/ are the originals: by their SHA-256, or those in DIR
  tidy               the house rules that a compiler does not know
  vectors [--engine E] FILE...
                     runs conformance vectors; ends with \"N passed, M failed\"
  fuzz [OPTIONS]     throws hostile inputs at whatever reads files, wires and states: for a minute, or
                     --seconds N in all; at --target T only; from --seed S on; --iterations N each
";

fn main() -> ExitCode {
    // Cargo starts this executable in the place of the compiler where programs are built.
    if let Some(code) = tribunal_build::stand_in() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["bench", "gas", ref artifacts @ ..] => contracts::gas(artifacts),
        ["bench", "guest"] => bench::kit(),
        ["bench", "op-block", ref options @ ..] => block::bench(options),
        ["bench", "op-program", ref options @ ..] => block::bench_program(options),
        ["bench", ref options @ ..] => bench::run(options),
        ["block", ref options @ ..] => block::run(options),
        ["check"] => check::run(),
        ["contracts", ref options @ ..] => contracts::run(options),
        ["guests", ref options @ ..] => guests::run(options),
        ["fixtures", source] => fixtures(source),
        ["fuzz", ref options @ ..] => fuzz::run(options),
        ["integration", ref options @ ..] => integration::run(options),
        ["soak", ref options @ ..] => contracts::soak(options),
        ["testdata", ref options @ ..] => testdata::run(options),
        ["tidy"] => tidy::run(),
        ["vectors", ref options @ ..] => vectors::run(options),
        [] | ["help" | "-h" | "--help", ..] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("error: no such command: {}\n\n{USAGE}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The converter is an example of its crate, because it needs that crate's heavy dependencies.
fn fixtures(source: &str) -> Result<()> {
    let source = std::path::absolute(source)?;
    run(cargo()
        .args(["run", "--release", "--package", "transactions", "--example", "fixtures", "--"])
        .arg(source)
        .arg(root().join("testdata/transactions")))
}

/// The root of the workspace.
fn root() -> PathBuf {
    // Cargo says where the crate is now; what it was compiled with may be elsewhere by then.
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    let here = here.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or(here.clone(), Path::to_path_buf)
}

/// Cargo, in the root of the workspace.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Builds something with cargo, and returns where the executable is.
fn build_cargo(cargo: &mut Command, arguments: &[&str]) -> Result<PathBuf> {
    cargo.args(["build", "--quiet", "--message-format", "json-render-diagnostics"]).args(arguments);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo build {} failed", arguments.join(" "));
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.context("cargo built no executable")
}

/// Runs a command that speaks for itself.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}
