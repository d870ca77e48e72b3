//! What runs a workload: processes, and the machines that count its steps.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::options::Runner;
use super::process::{Cost, Done, measure};

/// How many hashes and proofs are asked of one run: as many as a bisection asks one by one.
const SAMPLES: usize = 43;

/// One run of a workload.
pub(crate) struct Run {
    pub(crate) cost: Cost,
    /// What the workload printed; `None` if it was not run to its end.
    pub(crate) check: Option<String>,
    /// Where it ended, for a machine of ours.
    pub(crate) end: Option<End>,
}

/// The last state of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) steps: u64,
    pub(crate) pages: u64,
    pub(crate) state_hash: String,
}

/// An ordinary process.
pub(crate) fn native(program: &Path, folder: &Path) -> Result<Run> {
    process(Command::new(program), folder)
}

/// qemu's user mode.
pub(crate) fn qemu(elf: &Path, folder: &Path) -> Result<Run> {
    let mut command = Command::new("qemu-mips64");
    command.arg(elf);
    process(command, folder)
}

fn process(mut command: Command, folder: &Path) -> Result<Run> {
    let done = measure(&mut command, folder)?;
    Ok(Run { cost: done.cost, check: Some(done.check()?), end: None })
}

/// Our command line.
pub(crate) struct Tribunal {
    program: PathBuf,
    folder: PathBuf,
    has_fast: bool,
}

impl Tribunal {
    /// Asks which engines there are, with a program to try them on.
    pub(crate) fn new(program: PathBuf, folder: PathBuf, any_elf: &Path) -> Result<Self> {
        let mut tribunal = Self { program, folder, has_fast: false };
        tribunal.first_hash("reference", any_elf)?;
        tribunal.has_fast = match tribunal.first_hash("fast", any_elf) {
            Ok(_) => true,
            // What the command line says of an engine that it does not know.
            Err(error) if error.to_string().contains("invalid value 'fast'") => false,
            Err(error) => return Err(error),
        };
        Ok(tribunal)
    }

    pub(crate) fn has_fast(&self) -> bool {
        self.has_fast
    }

    /// The names of its engines.
    pub(crate) fn engines(&self) -> &'static [&'static str] {
        if self.has_fast { &["reference", "fast"] } else { &["reference"] }
    }

    pub(crate) fn quickest(&self) -> &'static str {
        if self.has_fast { "fast" } else { "reference" }
    }

    /// Runs a program to its end.
    pub(crate) fn exec(&self, engine: &str, elf: &Path) -> Result<Run> {
        let done = self.run("exec", engine, &["--json".as_ref(), elf.as_os_str()])?;
        let summary: Value =
            serde_json::from_str(&done.stdout).context("tribunal exec --json wrote no JSON")?;
        let number = |name: &str| {
            summary[name].as_u64().with_context(|| format!("tribunal exec --json: no {name}"))
        };
        let state_hash = summary["stateHash"].as_str().context("tribunal exec: no stateHash")?;
        let end = End {
            steps: number("steps")?,
            pages: number("pages")?,
            state_hash: state_hash.to_owned(),
        };
        Ok(Run { cost: done.cost, check: Some(done.check()?), end: Some(end) })
    }

    /// Asks one run for the hashes and proofs of many steps, the last of them the end.
    pub(crate) fn sample(&self, elf: &Path, end: &End) -> Result<Run> {
        let steps = random_steps(end.steps);
        let at: Vec<String> = steps.iter().chain([&end.steps]).map(u64::to_string).collect();
        let list = at.join(",");
        let done = self.run(
            "sample",
            self.quickest(),
            &[
                "--proof".as_ref(),
                "--input".as_ref(),
                elf.as_os_str(),
                "--at".as_ref(),
                list.as_ref(),
            ],
        )?;
        let hashes = hashes(&done)?;
        ensure!(hashes.len() == at.len(), "{} hashes, not {}", hashes.len(), at.len());
        ensure!(
            hashes.last() == Some(&end.state_hash),
            "sample ends in another state than exec: {:?}, not {}",
            hashes.last(),
            end.state_hash
        );
        Ok(Run { cost: done.cost, check: None, end: None })
    }

    /// The state hash of a program at a step.
    pub(crate) fn hash_at(&self, elf: &Path, step: u64) -> Result<String> {
        let at = step.to_string();
        let arguments = ["--input".as_ref(), elf.as_os_str(), "--at".as_ref(), at.as_ref()];
        let done = self.run("sample", self.quickest(), &arguments)?;
        hashes(&done)?.pop().context("tribunal sample: no hash")
    }

    /// Loads a program, and hashes its first state.
    pub(crate) fn first_hash(&self, engine: &str, elf: &Path) -> Result<Cost> {
        let arguments = ["--input".as_ref(), elf.as_os_str(), "--at".as_ref(), "0".as_ref()];
        Ok(self.run("sample", engine, &arguments)?.cost)
    }

    /// Makes a state file of a program.
    pub(crate) fn load_elf(&self, elf: &Path, state: &Path) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["load-elf", "--type", "multithreaded64-5", "--meta", "", "--path"]);
        command.arg(elf).arg("--out").arg(state);
        measure(&mut command, &self.folder).map(drop)
    }

    /// Loads a state file and takes one step.
    pub(crate) fn first_step(&self, engine: &str, state: &Path) -> Result<Cost> {
        let mut command = Command::new(&self.program);
        command.args(["run", "--meta", "", "--output", "", "--stop-at", "=1", "--engine", engine]);
        Ok(measure(command.arg("--input").arg(state), &self.folder)?.cost)
    }

    fn run(&self, command: &str, engine: &str, arguments: &[&OsStr]) -> Result<Done> {
        let mut tribunal = Command::new(&self.program);
        tribunal.args([command, "--quiet", "--engine", engine]).args(arguments);
        measure(&mut tribunal, &self.folder)
    }
}

/// The hashes that `tribunal sample` printed.
fn hashes(done: &Done) -> Result<Vec<String>> {
    let hash = |line: &str| {
        let line: Value = serde_json::from_str(line).context("tribunal sample wrote no JSON")?;
        line["hash"].as_str().map(str::to_owned).context("tribunal sample: no hash")
    };
    done.stdout.lines().map(hash).collect()
}

/// The same steps in every round, in order, each below `end`.
fn random_steps(end: u64) -> Vec<u64> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut steps: Vec<u64> = (0..SAMPLES)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % end.max(1)
        })
        .collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// Cannon, as far as it is let to go.
pub(crate) struct Cannon {
    program: PathBuf,
    steps: u64,
    folder: PathBuf,
}

impl Cannon {
    pub(crate) fn new(program: PathBuf, steps: u64, folder: PathBuf) -> Self {
        Self { program, steps, folder }
    }

    /// How far it goes in a program that takes `all` steps.
    pub(crate) fn steps(&self, all: u64) -> u64 {
        self.steps.min(all)
    }

    /// Makes the state that runs begin with.
    pub(crate) fn load(&self, elf: &Path) -> Result<()> {
        let mut command = self.command("load-elf");
        command.args(["--type", "multithreaded64-5", "--meta", "", "--path"]).arg(elf);
        measure(command.arg("--out").arg(self.first()), &self.folder).map(drop)
    }

    /// Runs what was loaded.
    pub(crate) fn run(&self) -> Result<Run> {
        let mut command = self.command("run");
        command.args(["--meta", "", "--info-at", "never", "--stop-at"]);
        command.arg(format!("={}", self.steps)).arg("--input").arg(self.first());
        let done = measure(command.arg("--output").arg(self.last()), &self.folder)?;
        Ok(Run { cost: done.cost, check: done.check().ok(), end: None })
    }

    /// The state hash of where the last run stopped.
    pub(crate) fn hash(&self) -> Result<String> {
        let mut command = self.command("witness");
        let done = measure(command.arg("--input").arg(self.last()), &self.folder)?;
        let witness: Value =
            serde_json::from_str(&done.stdout).context("cannon witness wrote no JSON")?;
        witness["witnessHash"].as_str().map(str::to_owned).context("cannon witness: no hash")
    }

    fn first(&self) -> PathBuf {
        self.folder.join("cannon-first.bin")
    }

    fn last(&self) -> PathBuf {
        self.folder.join("cannon-last.bin")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name);
        command
    }
}

/// What runs a workload, with what it needs for that.
pub(crate) struct Runners {
    pub(crate) tribunal: Tribunal,
    pub(crate) cannon: Option<Cannon>,
    pub(crate) has_qemu: bool,
    pub(crate) folder: PathBuf,
}

impl Runners {
    /// Whether a runner is there at all.
    pub(crate) fn has(&self, runner: Runner) -> bool {
        match runner {
            Runner::Cannon => self.cannon.is_some(),
            Runner::Fast => self.tribunal.has_fast(),
            Runner::Qemu => self.has_qemu,
            Runner::Native | Runner::Reference | Runner::Sample => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_in_order_and_before_the_end() {
        let steps = random_steps(2_000_000_000);
        assert_eq!(steps.len(), SAMPLES);
        assert!(steps.is_sorted_by(|a, b| a < b));
        assert!(steps.last() < Some(&2_000_000_000));
        assert_eq!(random_steps(2), [0, 1]);
    }
}
