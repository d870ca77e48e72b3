//! `bench ELF ELF-COMPUTED FILE…`: what the program costs over recorded blocks, natively and in the
//! machine, with and without asking for the results of precompiled contracts, and where its steps go.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use fixture::{Fixture, Store};
use op_block::{Finding, decide};
use tribunal_jit::{Engine, EngineKind};
use tribunal_machine::{Machine as _, StopOn, Symbols};
use tribunal_mips64::{Mips64, Program, load_elf};
use tribunal_optimism::Preimages;
use tribunal_preimage::Checked;

/// The most bytes that a program may take as it is loaded.
const MAX_PROGRAM: u64 = 64 << 20;

/// Steps between two samples of the profile: a prime, so that no loop keeps in step with it.
const SAMPLE_EVERY: u64 = 4_999;

/// Functions that the profile shows.
const SHOWN: usize = 25;

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [asking, computing, files @ ..] = &paths[..] else {
        bail!("usage: bench ELF ELF-COMPUTED FILE...")
    };
    ensure!(!files.is_empty(), "name a file of a recorded block");
    let programs = [("asked for", load(asking)?), ("computed", load(computing)?)];
    println!(
        "| block | transactions | gas | precompiled contracts | steps | steps per gas | native | \
         machine | memory | preimages | bytes read | hints |"
    );
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut heaviest: Option<(u64, Fixture, u64)> = None;
    for file in files {
        let fixture = Fixture::read(file)?;
        let executed = fixture.execute()?;
        fixture.judge(&executed)?;
        let (gas, number) = (executed.header.gas_used, executed.header.number);
        let host = fixture.host(&executed);
        for (how, program) in &programs {
            let native = natively(host.clone(), *how == "computed")?;
            let run = in_machine(program, host.clone())?;
            println!(
                "| {number} | {} | {gas} | {how} | {} | {:.2} | {:.0} ms | {:.2} s | {:.1} MB | {} \
                 | {} | {} |",
                fixture.attributes.transactions.len(),
                run.steps,
                run.steps as f64 / gas as f64,
                native * 1e3,
                run.seconds,
                run.bytes as f64 / 1e6,
                run.host.log.len(),
                run.host.bytes_read(),
                run.host.hints,
            );
        }
        if heaviest.as_ref().is_none_or(|(most, ..)| gas > *most) {
            heaviest = Some((gas, fixture, number));
        }
    }
    let Some((gas, fixture, number)) = heaviest else { return Ok(()) };
    let executed = fixture.execute()?;
    for (how, program) in &programs {
        println!("\nSteps by function, block {number}, precompiled contracts {how}:\n");
        println!("| function | share | steps per gas |\n|---|--:|--:|");
        let profile = profile(program, fixture.host(&executed))?;
        let samples: u64 = profile.values().sum();
        let mut rows: Vec<_> = profile.into_iter().collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        for (name, count) in rows.into_iter().take(SHOWN) {
            let share = count as f64 / samples as f64;
            let steps = (count * SAMPLE_EVERY) as f64;
            println!("| `{name}` | {:.1} % | {:.2} |", share * 100.0, steps / gas as f64);
        }
    }
    Ok(())
}

fn load(elf: &Path) -> Result<Program> {
    let elf = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    Ok(load_elf(&elf, MAX_PROGRAM)?)
}

fn natively(mut host: Store, computed: bool) -> Result<f64> {
    let start = Instant::now();
    let mut preimages = Preimages::new(Checked(&mut host));
    if computed {
        preimages = preimages.without_acceleration();
    }
    let decision = decide(preimages)?;
    ensure!(matches!(decision.finding, Finding::Same { .. }), "{decision}");
    Ok(start.elapsed().as_secs_f64())
}

struct Run {
    steps: u64,
    seconds: f64,
    bytes: u64,
    host: Store,
}

fn in_machine(program: &Program, mut host: Store) -> Result<Run> {
    let (mut engine, _) = Engine::new(EngineKind::Fast, Mips64::new(program.state.clone()));
    let start = Instant::now();
    engine.run(u64::MAX, StopOn::Nothing, &mut host)?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(engine.exit_code() == Some(0), "it failed: {}", host.output.trim_end());
    Ok(Run { steps: engine.step(), seconds, bytes: engine.page_count() * 4096, host })
}

/// How often each function was found running.
fn profile(program: &Program, mut host: Store) -> Result<BTreeMap<String, u64>> {
    let none = Symbols::default();
    let symbols = program.symbols.as_ref().unwrap_or(&none);
    let (mut engine, _) = Engine::new(EngineKind::Fast, Mips64::new(program.state.clone()));
    let mut addresses: BTreeMap<u64, u64> = BTreeMap::new();
    while engine.exit_code().is_none() {
        *addresses.entry(engine.pc()).or_default() += 1;
        engine.run(engine.step() + SAMPLE_EVERY, StopOn::Nothing, &mut host)?;
    }
    let mut functions = BTreeMap::new();
    for (address, count) in addresses {
        let name = format!("{:#}", rustc_demangle::demangle(symbols.name(address)));
        *functions.entry(name).or_default() += count;
    }
    Ok(functions)
}
