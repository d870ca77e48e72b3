//! What is measured beside the workloads: beginning, memory, hashing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::contest::median;
use super::platform::Tools;
use super::process::{Clock, Cost};
use super::programs::{Program, build_memory, build_start};
use super::runners::{End, Tribunal};
use crate::{build_cargo, cargo};

/// Bytes in a page.
const PAGE_BYTES: u64 = 4096;

/// All of it, as far as the tools were there.
pub(crate) struct Extras {
    pub(crate) start: Option<Start>,
    pub(crate) memory: Memory,
    pub(crate) root: Root,
    pub(crate) counting: Vec<Counting>,
}

/// How long it takes to begin.
pub(crate) struct Start {
    pub(crate) elf_bytes: u64,
    pub(crate) engines: Vec<StartOf>,
}

/// How long an engine takes to begin.
pub(crate) struct StartOf {
    pub(crate) engine: &'static str,
    /// From a state file to the state after one step.
    pub(crate) first_step: Vec<Cost>,
    /// From an ELF file to the hash of its first state.
    pub(crate) first_hash: Vec<Cost>,
}

/// What memory a run takes that fills much of its own.
pub(crate) struct Memory {
    pub(crate) pages: u64,
    /// The most that was resident at a time, for each engine.
    pub(crate) engines: Vec<(&'static str, Vec<Cost>)>,
}

/// What it costs to count every step of a workload.
pub(crate) struct Counting {
    pub(crate) workload: &'static str,
    /// Seconds of the processor, with and without.
    pub(crate) counted: Vec<f64>,
    pub(crate) uncounted: Vec<f64>,
}

/// What a root takes of memory that changed everywhere.
pub(crate) struct Root {
    pub(crate) bytes: u64,
    pub(crate) keccak: String,
    pub(crate) threads: Vec<(u64, Vec<f64>)>,
}

impl Extras {
    pub(crate) fn measure(
        tribunal: &Tribunal,
        tools: &Tools,
        programs: &[Program],
        rounds: usize,
        folder: &Path,
    ) -> Result<Self> {
        eprintln!("start, memory, root and counting: {rounds} rounds");
        Ok(Self {
            start: Start::measure(tribunal, tools, rounds, folder)?,
            memory: Memory::measure(tribunal, rounds, folder)?,
            root: Root::measure(rounds)?,
            counting: match tribunal.has_fast() {
                true => Counting::measure(programs, rounds)?,
                false => Vec::new(),
            },
        })
    }

    pub(crate) fn json(&self) -> Value {
        let seconds =
            |costs: &[Cost]| -> Vec<f64> { costs.iter().map(|cost| cost.seconds).collect() };
        let peaks =
            |costs: &[Cost]| -> Vec<u64> { costs.iter().map(|cost| cost.peak_bytes).collect() };
        let start = self.start.as_ref().map(|start| {
            let engines = start.engines.iter().map(|of| {
                json!({
                    "engine": of.engine,
                    "firstStepSeconds": seconds(&of.first_step),
                    "firstHashSeconds": seconds(&of.first_hash),
                })
            });
            json!({ "elfBytes": start.elf_bytes, "engines": engines.collect::<Vec<_>>() })
        });
        let memory = self.memory.engines.iter().map(|(engine, costs)| {
            json!({ "engine": engine, "peakBytes": peaks(costs), "seconds": seconds(costs) })
        });
        let threads = self.root.threads.iter();
        let threads =
            threads.map(|(count, seconds)| json!({ "threads": count, "seconds": seconds }));
        let counting = self.counting.iter().map(|of| {
            json!({
                "workload": of.workload,
                "countedSeconds": of.counted,
                "uncountedSeconds": of.uncounted,
            })
        });
        json!({
            "start": start,
            "counting": counting.collect::<Vec<_>>(),
            "memory": { "pages": self.memory.pages, "engines": memory.collect::<Vec<_>>() },
            "root": {
                "bytes": self.root.bytes,
                "keccak": self.root.keccak,
                "runs": threads.collect::<Vec<_>>(),
            },
        })
    }
}

impl Start {
    fn measure(
        tribunal: &Tribunal,
        tools: &Tools,
        rounds: usize,
        folder: &Path,
    ) -> Result<Option<Self>> {
        let Some(elf) = build_start(tools, folder)? else { return Ok(None) };
        let state = folder.join("start.bin");
        tribunal.load_elf(&elf, &state)?;
        let new = |&engine| StartOf { engine, first_step: Vec::new(), first_hash: Vec::new() };
        let mut engines: Vec<StartOf> = tribunal.engines().iter().map(new).collect();
        for _ in 0..rounds {
            for of in &mut engines {
                of.first_step.push(tribunal.first_step(of.engine, &state)?);
                of.first_hash.push(tribunal.first_hash(of.engine, &elf)?);
            }
        }
        Ok(Some(Self { elf_bytes: elf.metadata()?.len(), engines }))
    }
}

impl StartOf {
    pub(crate) fn first_step_seconds(&self, clock: Clock) -> f64 {
        median(self.first_step.iter().map(|cost| cost.by(clock)).collect())
    }

    pub(crate) fn first_hash_seconds(&self, clock: Clock) -> f64 {
        median(self.first_hash.iter().map(|cost| cost.by(clock)).collect())
    }
}

impl Memory {
    fn measure(tribunal: &Tribunal, rounds: usize, folder: &Path) -> Result<Self> {
        let elf = build_memory(folder)?;
        let mut engines: Vec<(&str, Vec<Cost>)> =
            tribunal.engines().iter().map(|&engine| (engine, Vec::new())).collect();
        let mut known: Option<End> = None;
        for _ in 0..rounds {
            for (engine, costs) in &mut engines {
                let run = tribunal.exec(engine, &elf)?;
                let end = run.end.context("a run without an end")?;
                let first = known.get_or_insert_with(|| end.clone());
                ensure!(*first == end, "{engine} ends in {end:?}, not in {first:?}");
                costs.push(run.cost);
            }
        }
        Ok(Self { pages: known.map_or(0, |end| end.pages), engines })
    }

    /// Peak memory for each byte that the program touched.
    pub(crate) fn ratio(&self, costs: &[Cost]) -> f64 {
        let peak = median(costs.iter().map(|cost| cost.peak_bytes as f64).collect());
        peak / (self.pages * PAGE_BYTES) as f64
    }

    pub(crate) fn touched_bytes(&self) -> u64 {
        self.pages * PAGE_BYTES
    }
}

impl Counting {
    /// The example runs a program with and without, in turns.
    fn measure(programs: &[Program], rounds: usize) -> Result<Vec<Self>> {
        let arguments = ["--release", "--package", "tribunal-jit", "--example", "counting"];
        let example = build_cargo(&mut cargo(), &arguments)?;
        let mut all = Vec::new();
        for Program { workload, elf, .. } in programs {
            let Some(elf) = elf else { continue };
            let output = Command::new(&example).arg(rounds.to_string()).arg(elf).output();
            let output = output.with_context(|| format!("cannot run {example:?}"))?;
            ensure!(output.status.success(), "{example:?} failed ({})", output.status);
            let of: Value = serde_json::from_slice(&output.stdout).context("counting: no JSON")?;
            if of.is_null() {
                break;
            }
            let seconds = |name: &str| -> Result<Vec<f64>> {
                let list = of[name].as_array().with_context(|| format!("counting: no {name}"))?;
                Ok(list.iter().filter_map(Value::as_f64).collect())
            };
            all.push(Self {
                workload: workload.name(),
                counted: seconds("counted")?,
                uncounted: seconds("uncounted")?,
            });
        }
        Ok(all)
    }
}

impl Root {
    /// The example prints a line for each number of threads.
    fn measure(rounds: usize) -> Result<Self> {
        let arguments = ["--release", "--package", "tribunal-memory", "--example", "root"];
        let program = build_cargo(&mut cargo(), &arguments)?;
        let output = Command::new(&program).arg(rounds.to_string()).output();
        let output = output.with_context(|| format!("cannot run {program:?}"))?;
        ensure!(output.status.success(), "{program:?} failed ({})", output.status);
        let mut root = Self { bytes: 0, keccak: String::new(), threads: Vec::new() };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let line: Value = serde_json::from_str(line).context("root wrote no JSON")?;
            root.bytes = line["bytes"].as_u64().context("root: no bytes")?;
            root.keccak = line["keccak"].as_str().context("root: no keccak")?.to_owned();
            let seconds = line["seconds"].as_array().context("root: no seconds")?;
            let seconds = seconds.iter().filter_map(Value::as_f64).collect();
            root.threads.push((line["threads"].as_u64().context("root: no threads")?, seconds));
        }
        Ok(root)
    }
}
