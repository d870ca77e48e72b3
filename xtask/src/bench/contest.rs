//! One workload, by all who can run it: in turns, so that whatever else the machine does meets all
//! of them, and with the same result, or the numbers mean nothing.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::options::{Options, Runner, Workload};
use super::process::{Clock, Cost};
use super::programs::Program;
use super::runners::{End, Run, Runners, native, qemu};

/// What came out of a workload.
pub(crate) struct Contest {
    pub(crate) workload: Workload,
    pub(crate) check: String,
    /// Where our machines ended, if one ran.
    pub(crate) end: Option<End>,
    /// In the order of a round.
    pub(crate) entries: Vec<Entry>,
}

/// One runner's part.
pub(crate) struct Entry {
    pub(crate) runner: Runner,
    /// The steps it took, if it takes any.
    pub(crate) steps: Option<u64>,
    pub(crate) costs: Vec<Cost>,
}

impl Contest {
    /// Runs the rounds; `None` if nobody can run the program.
    pub(crate) fn hold(
        runners: &Runners,
        program: &Program,
        options: &Options,
    ) -> Result<Option<Self>> {
        let rounds = |runner: &Runner| match runners.can_run(*runner, program) {
            true => options.rounds_of(*runner),
            false => 0,
        };
        let field: Vec<(Runner, usize)> =
            Runner::ALL.into_iter().map(|runner| (runner, rounds(&runner))).collect();
        let name = program.workload.name();
        let most = field.iter().map(|(_, rounds)| *rounds).max().unwrap_or_default();
        let mut tally = Tally::default();
        let mut entries: Vec<Entry> = Vec::new();
        for round in 0..most {
            for &(runner, _) in field.iter().filter(|(_, rounds)| round < *rounds) {
                eprintln!("{name}: round {} of {most}, {}", round + 1, runner.name());
                let run = runners.run(runner, program, &mut tally, round == 0)?;
                tally.add(&run).with_context(|| format!("{name}, {}", runner.name()))?;
                match entries.iter_mut().find(|entry| entry.runner == runner) {
                    Some(entry) => entry.costs.push(run.cost),
                    None => entries.push(Entry { runner, steps: None, costs: vec![run.cost] }),
                }
            }
        }
        let Some(check) = tally.check else { return Ok(None) };
        for entry in &mut entries {
            let steps = tally.end.as_ref().map(|end| end.steps);
            entry.steps = match entry.runner {
                Runner::Native | Runner::Qemu => None,
                Runner::Cannon => steps.zip(runners.cannon.as_ref()).map(|(s, c)| c.steps(s)),
                Runner::Reference | Runner::Fast | Runner::Sample => steps,
            };
        }
        Ok(Some(Self { workload: program.workload, check, end: tally.end, entries }))
    }

    pub(crate) fn entry(&self, runner: Runner) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.runner == runner)
    }

    /// The time a runner takes for the whole workload: what it did not run is reckoned.
    pub(crate) fn seconds(&self, entry: &Entry, clock: Clock) -> f64 {
        let share = match (&self.end, entry.steps) {
            (Some(end), Some(steps)) if steps > 0 => end.steps as f64 / steps as f64,
            _ => 1.0,
        };
        entry.median(|cost| cost.by(clock)) * share
    }
}

impl Entry {
    pub(crate) fn median(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        median(self.costs.iter().map(of).collect())
    }
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

/// What all runs so far agree on.
#[derive(Default)]
struct Tally {
    check: Option<String>,
    end: Option<End>,
}

impl Tally {
    fn add(&mut self, run: &Run) -> Result<()> {
        if let Some(check) = &run.check {
            let known = self.check.get_or_insert_with(|| check.clone());
            ensure!(known == check, "the check value is {check}, and was {known} before");
        }
        if let Some(end) = &run.end {
            let known = self.end.get_or_insert_with(|| end.clone());
            ensure!(known == end, "the run ends in {end:?}, and ended in {known:?} before");
        }
        Ok(())
    }
}

impl Runners {
    fn can_run(&self, runner: Runner, program: &Program) -> bool {
        let built = match runner {
            Runner::Native => &program.native,
            _ => &program.elf,
        };
        self.has(runner) && built.is_some()
    }

    fn run(
        &self,
        runner: Runner,
        program: &Program,
        tally: &mut Tally,
        is_first: bool,
    ) -> Result<Run> {
        let not_built = || format!("{} was not built", program.workload.name());
        let elf = || program.elf.as_deref().with_context(not_built);
        match runner {
            Runner::Native => {
                native(program.native.as_deref().with_context(not_built)?, &self.folder)
            }
            Runner::Qemu => qemu(elf()?, &self.folder),
            Runner::Reference => self.tribunal.exec("reference", elf()?),
            Runner::Fast => self.tribunal.exec("fast", elf()?),
            Runner::Sample => {
                let end = self.end(elf()?, tally)?;
                self.tribunal.sample(elf()?, &end)
            }
            Runner::Cannon => self.run_cannon(elf()?, tally, is_first),
        }
    }

    /// Where the program ends: known, or run to, which is not counted.
    fn end(&self, elf: &Path, tally: &mut Tally) -> Result<End> {
        if tally.end.is_none() {
            tally.add(&self.tribunal.exec(self.tribunal.quickest(), elf)?)?;
        }
        tally.end.clone().context("a run without an end")
    }

    /// The first time, what it comes to is held against ours.
    fn run_cannon(&self, elf: &Path, tally: &mut Tally, is_first: bool) -> Result<Run> {
        let cannon = self.cannon.as_ref().context("there is no Cannon")?;
        if !is_first {
            return cannon.run();
        }
        cannon.load(elf)?;
        let run = cannon.run()?;
        let steps = cannon.steps(self.end(elf, tally)?.steps);
        let (theirs, ours) = (cannon.hash()?, self.tribunal.hash_at(elf, steps)?);
        ensure!(theirs == ours, "at step {steps} Cannon's state is {theirs}, ours {ours}");
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(check: &str, state_hash: &str) -> Run {
        let cost = Cost { seconds: 1.0, cpu_seconds: 1.0, peak_bytes: 1 };
        let end = End { steps: 10, pages: 1, state_hash: state_hash.to_owned() };
        Run { cost, check: Some(check.to_owned()), end: Some(end) }
    }

    #[test]
    fn runs_that_differ_are_an_error() {
        let mut tally = Tally::default();
        tally.add(&run("aa", "0x1")).unwrap();
        tally.add(&run("aa", "0x1")).unwrap();
        assert!(tally.add(&run("ab", "0x1")).is_err());
        assert!(tally.add(&run("aa", "0x2")).is_err());
    }

    #[test]
    fn what_was_not_run_is_reckoned() {
        let cost = |seconds| Cost { seconds, cpu_seconds: 0.0, peak_bytes: 0 };
        let costs = vec![cost(5.0), cost(1.0), cost(2.0)];
        let entry = Entry { runner: Runner::Cannon, steps: Some(100), costs };
        let end = Some(End { steps: 1000, pages: 1, state_hash: String::new() });
        let contest =
            Contest { workload: Workload::C, check: String::new(), end, entries: Vec::new() };
        assert_eq!(contest.seconds(&entry, Clock::Wall), 20.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
    }
}
