//! `sample --check`: have the contract take random steps of a run.
//!
//! The program runs twice: once to learn how long the run is, once to prove the steps that were drawn.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{Write as _, stderr};

use tribunal_jit::Engine;
use tribunal_machine::{
    Machine as _, PreimageStop, ProofFile, RunPlan, Sample as Point, SamplePoints, StepPattern,
    run, sample,
};
use tribunal_mips64::{FieldDifference, Mips64, StateWitness};
use tribunal_onchain::{Gas, LoadedHow};

use super::Sample;
use crate::commands::verify::{describe, show_gas};
use crate::engines::Engines;
use crate::failure::{Failure, Result, of_run};
use crate::input::{Loaded, load};
use crate::interrupt::Interrupt;
use crate::judge::{Judge, Judgement};
use crate::output::print;
use crate::progress::Progress;
use crate::speaker::{Mute, Speaker, host_words};
use crate::units::Count;
use crate::watch::{Watch, run_to_end};
use crate::world::{Listener as _, Source, World};

/// What came out so far.
#[derive(Default)]
struct Tally {
    checked: u64,
    differ: u64,
    proven: u64,
    given: u64,
    gas: Vec<Gas>,
    first: Option<(ProofFile, Judgement)>,
}

/// A run, and what it takes to run it again.
struct Runs<'a> {
    start: Mips64,
    engines: Engines,
    quiet: bool,
    source: Source,
    speaker: Speaker,
    progress: Progress,
    interrupt: &'a Interrupt,
}

impl Sample {
    pub(super) fn check(&self, count: u64) -> Result<u8> {
        let limit = self.machine.memory_limit();
        let loaded = load(&self.input, self.meta.as_deref(), limit)?;
        let Loaded { machine: start, symbols, recording } = loaded;
        let host = self.host.or_recording(recording);
        let mut judge = self.contracts.judge()?.with_store(host.store()?);
        let interrupt = Interrupt::listen()?;
        let quiet = self.quiet.quiet;
        let progress = Progress::new(quiet, start.step());
        let source = Source::open(&host, &interrupt, host_words(&progress, quiet))?;
        let speaker = Speaker::new(progress.bar(), true);
        let engines = self.machine.engines();
        let interrupt = &interrupt;
        let mut runs = Runs { start, engines, quiet, source, speaker, progress, interrupt };

        let first = runs.start.step();
        let told = |error, machine: &Engine| of_run(error, machine, &symbols);
        let last = runs.again(|machine, world, watch| {
            let code = run_to_end(machine, limit, world, watch);
            code.map(|_| machine.step()).map_err(|error| told(error, machine))
        })?;
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        // An exited state has one step left, which changes nothing.
        let steps = draw(first..last.max(first.saturating_add(1)), count, seed);
        let mut tally = Tally::default();
        let points = list(&steps)?;
        runs.again(|machine, world, watch| {
            let found = |point: Point| tally.add(point, &mut judge);
            sample(machine, &points, true, limit, world, watch, found)
                .map_err(|error| told(error, machine))
        })?;

        if let Some((proof, judgement)) = &tally.first {
            let mut text = describe("the first difference", proof, judgement, &symbols);
            let after = runs.again(|machine, world, watch| {
                run(machine, &until(proof.step.saturating_add(1), limit), world, watch)
                    .map_err(|error| told(error, machine))?;
                Ok(machine.witness())
            })?;
            text.push_str(&field_by_field(&after, judgement));
            runs.progress.finish();
            print(&text)?;
        }
        runs.progress.finish();
        let problem = runs.source.shutdown();
        if !quiet {
            if let Some(problem) = problem {
                runs.speaker.warn(&problem);
            }
            let summary = tally.summary(first..last, seed);
            let _ = stderr().write_all(summary.as_bytes());
        }
        Ok(u8::from(tally.differ > 0))
    }
}

impl Runs<'_> {
    /// Does something with the machine at its start.
    fn again<T>(
        &mut self,
        work: impl FnOnce(&mut Engine, &mut World<'_, Mute<'_>>, &mut Watch<'_>) -> Result<T>,
    ) -> Result<T> {
        let warn = self.speaker.unless(self.quiet);
        let mut machine = self.engines.start(self.start.clone(), warn);
        let mut world = World { source: &mut self.source, listener: Mute(&mut self.speaker) };
        let mut watch = Watch { interrupt: self.interrupt, progress: &mut self.progress };
        work(&mut machine, &mut world, &mut watch)
    }
}

impl Tally {
    fn add(&mut self, point: Point, judge: &mut Judge) -> Result<()> {
        let Some(proof) = point.proof else { return Ok(()) };
        let proof = ProofFile::from(proof);
        let judgement = judge.judge(&proof)?;
        self.checked += 1;
        match judgement.preimage.as_ref().map(|preimage| &preimage.how) {
            Some(Ok(LoadedHow::Proven { .. })) => self.proven += 1,
            Some(Ok(LoadedHow::Given { .. })) => self.given += 1,
            _ => {}
        }
        self.gas.extend(judgement.gas);
        if !judgement.holds() {
            self.differ += 1;
            self.first.get_or_insert((proof, judgement));
        }
        Ok(())
    }

    fn summary(&mut self, run: std::ops::Range<u64>, seed: u64) -> String {
        let Self { checked, differ, proven, given, gas, .. } = self;
        gas.sort_unstable_by_key(|gas| gas.execution);
        let verdict = match differ {
            0 => "machine and contract agree".to_owned(),
            _ => format!("machine and contract differ at {}", Count(*differ)),
        };
        let gas = match gas.get(gas.len() / 2) {
            Some(gas) => format!("; median gas {}", show_gas(*gas)),
            None => String::new(),
        };
        format!(
            "{} steps of {} to {} checked: {verdict}; preimages {} proven, {} given{gas}; \
             again with --seed {seed}\n",
            Count(*checked),
            Count(run.start),
            Count(run.end),
            Count(*proven),
            Count(*given)
        )
    }
}

/// Numbers from a range, each once: `count`, or all if there are fewer.
fn draw(range: std::ops::Range<u64>, count: u64, seed: u64) -> BTreeSet<u64> {
    let length = range.end - range.start;
    let mut state = seed;
    let mut drawn = BTreeSet::new();
    // Floyd's algorithm: one draw for each number, however many are wanted.
    for last in length - count.min(length)..length {
        let drawn_now = (u128::from(splitmix64(&mut state)) * (u128::from(last) + 1)) >> 64;
        if !drawn.insert(range.start + drawn_now as u64) {
            drawn.insert(range.start + last);
        }
    }
    drawn
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn list(steps: &BTreeSet<u64>) -> Result<SamplePoints> {
    let list: Vec<String> = steps.iter().map(u64::to_string).collect();
    list.join(",").parse().map_err(|error| Failure::input(format!("{error}")))
}

/// Forward to a step and no further.
fn until(step: u64, max_bytes: u64) -> RunPlan {
    RunPlan {
        info_at: StepPattern::Never,
        stop_at: StepPattern::At(step),
        snapshot_at: StepPattern::Never,
        proof_at: StepPattern::Never,
        stop_at_preimage: PreimageStop::default(),
        max_bytes,
    }
}

/// The state after a step as the machine has it, against the contract's.
fn field_by_field(after: &[u8], judgement: &Judgement) -> String {
    let theirs = judgement.answer.as_ref().ok().and_then(|answer| answer.state);
    let (Ok(ours), Some(theirs)) = (after.try_into(), theirs) else { return String::new() };
    let differences = StateWitness::decode(ours).differences(&StateWitness::decode(&theirs));
    let line = |FieldDifference { field, one, other }: FieldDifference| {
        format!("  {field}\n    the machine   {one}\n    the contract  {other}\n")
    };
    differences.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_drawn_once_and_any_can_be() {
        assert_eq!(draw(5..15, 10, 1), (5..15).collect());
        assert_eq!(draw(5..15, 99, 1), (5..15).collect());
        assert!(draw(5..15, 0, 1).is_empty());
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let drawn = draw(5..15, 3, seed);
            assert_eq!(drawn.len(), 3);
            assert_eq!(drawn, draw(5..15, 3, seed));
            seen.extend(drawn);
        }
        assert_eq!(seen, (5..15).collect());
    }
}
