//! `blocks [--vm ELF] [--computed] FILE…`: executes recorded blocks and says what came of each; ends
//! with `N passed, M failed`.
//!
//! Each block is executed over the preimages of its file and held against what the file expects.
//! Then the program is asked about it, here or in the machine.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use fixture::{Chain, Fixture, Store};
use op_block::{Finding, decide};
use tribunal_jit::{Engine, EngineKind};
use tribunal_machine::{Machine as _, StopOn};
use tribunal_mips64::{Mips64, Program, load_elf};
use tribunal_optimism::Preimages;
use tribunal_preimage::Checked;

/// The most bytes that a program may take as it is loaded.
const MAX_PROGRAM: u64 = 64 << 20;

struct Options {
    elf: Option<PathBuf>,
    computed: bool,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let done = options().and_then(|options| {
        if let Some(elf) = &options.elf {
            let prestate = Mips64::new(load(elf)?.state).state_hash();
            println!("prestate 0x{}", hex::encode(prestate));
        }
        let (mut passed, mut failed) = (0, 0);
        for file in &options.files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let lines = match Chain::read(file) {
                Ok(Some(chain)) => {
                    (1..chain.blocks.len()).map(|i| ask(chain.host(i), &options)).collect()
                }
                Ok(None) => vec![judge(file, &options)],
                Err(error) => vec![Err(error)],
            };
            for line in lines {
                match line {
                    Ok(line) => {
                        passed += 1;
                        println!("{name}: {line}");
                    }
                    Err(error) => {
                        failed += 1;
                        println!("{name}: FAILED: {error:#}");
                    }
                }
            }
        }
        println!("{passed} passed, {failed} failed");
        Ok(failed)
    });
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options> {
    let mut options = Options { elf: None, computed: false, files: Vec::new() };
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--vm") => options.elf = Some(arguments.next().context("--vm ELF")?.into()),
            Some("--computed") => options.computed = true,
            Some(flag) if flag.starts_with("--") => bail!("there is no option {flag}"),
            _ => options.files.push(argument.into()),
        }
    }
    ensure!(!options.files.is_empty(), "name a file of a recorded block");
    Ok(options)
}

/// Executes the block of a file, and then asks the program about it.
fn judge(file: &Path, options: &Options) -> Result<String> {
    let fixture = Fixture::read(file)?;
    let executed = fixture.execute()?;
    fixture.judge(&executed)?;
    ask(fixture.host(&executed), options)
}

fn ask(host: Store, options: &Options) -> Result<String> {
    match &options.elf {
        Some(elf) => in_machine(elf, host),
        None => natively(host, options.computed),
    }
}

fn natively(mut host: Store, computed: bool) -> Result<String> {
    let start = Instant::now();
    let mut preimages = Preimages::new(Checked(&mut host));
    if computed {
        preimages = preimages.without_acceleration();
    }
    let decision = decide(preimages)?;
    let time = start.elapsed();
    ensure!(matches!(decision.finding, Finding::Same { .. }), "{decision}");
    let said = decision.to_string();
    Ok(format!("{}; {:.1} ms, {}", first_line(&said), time.as_secs_f64() * 1e3, host.traffic()))
}

fn in_machine(elf: &Path, mut host: Store) -> Result<String> {
    let program = load(elf)?;
    let (mut engine, unavailable) = Engine::new(EngineKind::Fast, Mips64::new(program.state));
    if let Some(reason) = unavailable {
        eprintln!("not the fastest engine: {reason}");
    }
    let start = Instant::now();
    engine.run(u64::MAX, StopOn::Nothing, &mut host)?;
    let time = start.elapsed();
    let code = engine.exit_code();
    ensure!(code == Some(0), "it exited with {code:?}: {}", host.output.trim_end());
    Ok(format!(
        "{}; {} steps, {:.2} s, {:.1} MB, {}",
        first_line(&host.output),
        engine.step(),
        time.as_secs_f64(),
        engine.page_count() as f64 * 4096.0 / 1e6,
        host.traffic()
    ))
}

fn load(elf: &Path) -> Result<Program> {
    let elf = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    Ok(load_elf(&elf, MAX_PROGRAM)?)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
