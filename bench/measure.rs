//! A program in the machine: what a run costs, and where its steps go. For examples that measure
//! programs, which take this file in as a module.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use tribunal_jit::{Engine, EngineKind};
use tribunal_machine::{Host, Machine as _, StopOn, Symbols};
use tribunal_mips64::{Mips64, Program, load_elf};

/// The most bytes that a program may take as it is loaded.
const MAX_PROGRAM: u64 = 64 << 20;

/// Steps between two samples of a profile: a prime, so that no loop keeps in step with it.
const SAMPLE_EVERY: u64 = 4_999;

/// Functions that a profile shows.
const SHOWN: usize = 25;

pub(crate) fn load(elf: &Path) -> Result<Program> {
    let elf = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    Ok(load_elf(&elf, MAX_PROGRAM)?)
}

pub(crate) struct Run {
    pub(crate) exit_code: Option<u8>,
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
    /// Of the memory at the end, which never shrinks.
    pub(crate) bytes: u64,
}

pub(crate) fn in_machine(program: &Program, host: &mut dyn Host) -> Result<Run> {
    let (mut engine, _) = Engine::new(EngineKind::Fast, Mips64::new(program.state.clone()));
    let start = Instant::now();
    engine.run(u64::MAX, StopOn::Nothing, host)?;
    Ok(Run {
        exit_code: engine.exit_code(),
        steps: engine.step(),
        seconds: start.elapsed().as_secs_f64(),
        bytes: engine.page_count() * 4096,
    })
}

/// Prints the functions in which most steps were taken; `unit` is what they are divided by, and its
/// name.
pub(crate) fn print_profile(
    program: &Program,
    host: &mut dyn Host,
    unit: (f64, &str),
) -> Result<()> {
    let none = Symbols::default();
    let symbols = program.symbols.as_ref().unwrap_or(&none);
    let (mut engine, _) = Engine::new(EngineKind::Fast, Mips64::new(program.state.clone()));
    let mut addresses: BTreeMap<u64, u64> = BTreeMap::new();
    while engine.exit_code().is_none() {
        *addresses.entry(engine.pc()).or_default() += 1;
        engine.run(engine.step() + SAMPLE_EVERY, StopOn::Nothing, host)?;
    }
    let mut functions: BTreeMap<String, u64> = BTreeMap::new();
    for (address, count) in addresses {
        let name = format!("{:#}", rustc_demangle::demangle(symbols.name(address)));
        *functions.entry(name).or_default() += count;
    }
    let samples: u64 = functions.values().sum();
    let mut rows: Vec<_> = functions.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let (unit, name) = unit;
    println!("| function | share | steps {name} |\n|---|--:|--:|");
    for (name, count) in rows.into_iter().take(SHOWN) {
        let share = count as f64 / samples as f64;
        let steps = (count * SAMPLE_EVERY) as f64;
        println!("| `{name}` | {:.1} % | {:.2} |", share * 100.0, steps / unit);
    }
    Ok(())
}
