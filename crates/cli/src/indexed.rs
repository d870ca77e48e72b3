//! Answers for many steps of a run: from one run forward, or from an index of it.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use indicatif::ProgressBar;
use tribunal_index::{Found, Hand, Identity, Index, IndexError, Recorder, in_order};
use tribunal_jit::Engine;
use tribunal_machine::{
    Events, Host, Later, Machine, Sample, SamplePoints, StepProof, Stream, Symbols, sample,
};
use tribunal_mips64::Mips64;
use tribunal_preimage::{Key, Oracle, OracleError};

use crate::cli::{IndexArgs, MachineArgs};
use crate::failure::{Failure, Result, of_run};
use crate::input::Loaded;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::speaker::{Mute, Speaker, host_words};
use crate::watch::Watch;
use crate::world::{HostArgs, Listener as _, Source, World};

/// What is asked of a run.
pub(crate) struct Question<'a> {
    pub(crate) points: &'a SamplePoints,
    pub(crate) prove: bool,
    pub(crate) machine: MachineArgs,
    pub(crate) index: &'a IndexArgs,
    pub(crate) host: &'a HostArgs,
    pub(crate) quiet: bool,
}

/// Engines at once: each reserves 6 TiB of address space or more, of the 128 that a process has.
const MOST_ENGINES: usize = 16;

/// Steps that are worth a thread of their own, and the way from the snapshot to them.
const POINTS_PER_THREAD: u64 = 1024;

impl Question<'_> {
    /// Hands the state at each point to `found`, in ascending order, with the progress bar if there is
    /// one.
    pub(crate) fn answer(
        &self,
        loaded: Loaded,
        mut found: impl FnMut(Sample, Option<&ProgressBar>) -> Result<()>,
    ) -> Result<()> {
        let start = loaded.machine.step();
        if let Some(step) = self.points.first_before(start) {
            return Err(Failure::input(format!(
                "step {step} lies before the state, which is at step {start}"
            ))
            .hint("begin with an earlier snapshot, or with the state that load-elf made"));
        }
        let Loaded { machine, symbols, recording } = loaded;
        let interrupt = Interrupt::listen()?;
        let mut progress = Progress::new(self.quiet, machine.step());
        let words = host_words(&progress, self.quiet);
        let mut source = Source::open(&self.host.or_recording(recording), &interrupt, words)?;
        let mut speaker = Speaker::new(progress.bar(), true);
        // Asked once, before threads ask for one each.
        let kind = self.machine.engines().available(speaker.unless(self.quiet));
        let slower = OnceLock::new();
        let engine = |machine| {
            let (engine, problem) = Engine::new(kind, machine);
            problem.into_iter().for_each(|problem| drop(slower.set(problem)));
            engine
        };
        let bar = progress.bar();
        let outcome = Answering {
            question: self,
            engine,
            symbols: &symbols,
            interrupt: &interrupt,
            progress: &mut progress,
            speaker: &mut speaker,
            source: &mut source,
            found: |point: Sample| found(point, bar.as_ref()),
        }
        .answer(machine);
        progress.finish();
        outcome?;
        if let Some(problem) = slower.get()
            && !self.quiet
        {
            speaker.warn(&format!("in part the portable engine ran, which is slower: {problem}"));
        }
        if let Some(problem) = source.shutdown()
            && !self.quiet
        {
            speaker.warn(&problem);
        }
        Ok(())
    }
}

/// A question that is being answered.
struct Answering<'a, E, F> {
    question: &'a Question<'a>,
    engine: E,
    symbols: &'a Symbols,
    interrupt: &'a Interrupt,
    progress: &'a mut Progress,
    speaker: &'a mut Speaker,
    source: &'a mut Source,
    found: F,
}

/// Points that are answered from one snapshot on.
struct Job {
    /// The step of the snapshot, or the first one of the run.
    from: u64,
    points: SamplePoints,
}

impl<E, F> Answering<'_, E, F>
where
    E: Fn(Mips64) -> Engine + Sync,
    F: FnMut(Sample) -> Result<()>,
{
    fn answer(mut self, mut start: Mips64) -> Result<()> {
        let points = self.question.points;
        let Some(directory) = self.question.index.directory()? else {
            return self.forward(start, points, None);
        };
        let identity = Identity::of(&mut start);
        let index = match Index::find(directory, &identity)? {
            Found::Index(index) => index,
            Found::Nothing => Index::create(directory, &identity)?,
        };
        index.check_inputs(self.source)?;
        let complete = index.is_complete()?;
        self.replay(&index, &start, complete)?;
        let last = index.steps().last().copied();
        let rest = points.within(last.unwrap_or(start.step()), None);
        if complete || rest.next(last.unwrap_or(start.step())).is_none() {
            return Ok(());
        }
        let rebuilt = last
            .map(|step| index.rebuild(step, self.question.machine.memory_limit()))
            .transpose()?;
        let recorder = index.record(rebuilt.as_ref(), self.question.index.options())?;
        if let Some(rebuilt) = rebuilt {
            repeat_hint(self.source, rebuilt.inputs.last_hint())?;
            start = rebuilt.machine;
        }
        self.forward(start, &rest, Some(recorder))
    }

    /// Answers as far as the snapshots reach.
    fn replay(&mut self, index: &Index, start: &Mips64, complete: bool) -> Result<()> {
        let threads = available_parallelism().map_or(1, NonZero::get).min(MOST_ENGINES);
        let jobs = jobs(self.question.points, start.step(), index.steps(), complete, threads);
        let (question, interrupt, symbols) = (self.question, self.interrupt, self.symbols);
        let engine = &self.engine;
        let work = |job: &Job, oracle: &mut dyn Oracle, hand: Hand<'_, Sample>| {
            let machine = if job.from == start.step() {
                start.clone()
            } else {
                let rebuilt = index.rebuild(job.from, question.machine.memory_limit())?;
                repeat_hint(oracle, rebuilt.inputs.last_hint())?;
                rebuilt.machine
            };
            let mut machine = engine(machine);
            let mut events = Interruptible(interrupt);
            let hand = |point| match hand(point) {
                true => Ok(()),
                false => Err(Failure::interrupted()),
            };
            let (prove, limit) = (question.prove, question.machine.memory_limit());
            sample(&mut machine, &job.points, prove, limit, &mut Asked(oracle), &mut events, hand)
                .map_err(|error| of_run(error, &machine, symbols))
        };
        match self.source.shared() {
            Some(shared) => {
                let work = |job: &Job, hand: Hand<'_, Sample>| work(job, &mut shared.clone(), hand);
                in_order(&jobs, threads, work, &mut self.found)
            }
            // A host process answers one after the other.
            None => jobs.iter().try_for_each(|job| {
                let mut refused = Ok(());
                let mut hand = |point| {
                    refused = (self.found)(point);
                    refused.is_ok()
                };
                let outcome = work(job, self.source, &mut hand);
                refused.and(outcome)
            }),
        }
    }

    /// Runs on from `start`, and records the run.
    fn forward(
        mut self,
        start: Mips64,
        points: &SamplePoints,
        recorder: Option<Recorder>,
    ) -> Result<()> {
        let mut machine = (self.engine)(start);
        let mut world = World { source: self.source, listener: Mute(self.speaker) };
        let watch = Watch { interrupt: self.interrupt, progress: self.progress };
        let mut events = Recording { watch, recorder };
        let (prove, limit, found) =
            (self.question.prove, self.question.machine.memory_limit(), &mut self.found);
        let outcome = match &events.recorder {
            Some(recorder) => {
                let mut world = recorder.observe(&mut world);
                sample(&mut machine, points, prove, limit, &mut world, &mut events, found)
            }
            None => sample(&mut machine, points, prove, limit, &mut world, &mut events, found),
        };
        let outcome = outcome.map_err(|error| of_run(error, &machine, self.symbols));
        // Whatever ended the run: what it has come to is where it can be taken up again.
        let finished = events.recorder.map_or(Ok(true), |recorder| recorder.finish(&machine));
        outcome?;
        if !finished? && !self.question.quiet {
            self.speaker.warn(
                "the index holds nothing: a single snapshot would be larger than --index-size \
                 allows; every question runs the program again",
            );
        }
        Ok(())
    }
}

/// Which snapshot answers which points, in ascending order. Where the run is not `complete`, what
/// follows the last one is left out.
fn jobs(
    points: &SamplePoints,
    start: u64,
    steps: &[u64],
    complete: bool,
    threads: usize,
) -> Vec<Job> {
    let mut froms = vec![start];
    froms.extend(steps.iter().copied().filter(|&step| step > start));
    let ends = froms.iter().skip(1).copied().map(Some).chain([None]);
    let mut jobs = Vec::new();
    for (&from, end) in froms.iter().zip(ends) {
        let Some(end) = end else {
            if complete {
                jobs.push(Job { from, points: points.within(from, None) });
            }
            continue;
        };
        // Many points between two snapshots are shared out.
        let pieces = points.count(from, end) / POINTS_PER_THREAD;
        let pieces = pieces.clamp(1, threads as u64);
        let length = (end - from).div_ceil(pieces);
        for piece in 0..pieces {
            let first = from + piece * length;
            jobs.push(Job { from, points: points.within(first, Some(end.min(first + length))) });
        }
    }
    jobs.retain(|job| job.points.next(job.from).is_some());
    jobs
}

/// A host that was started since must know what it would have been told by now.
fn repeat_hint(oracle: &mut dyn Oracle, hint: &[u8]) -> Result<()> {
    match hint.is_empty() {
        true => Ok(()),
        false => Ok(oracle.hint(hint).map_err(IndexError::from)?),
    }
}

/// Records a run that is watched.
struct Recording<'a> {
    watch: Watch<'a>,
    recorder: Option<Recorder>,
}

impl<M: Machine> Events<M> for Recording<'_> {
    type Error = Failure;

    fn poll(&mut self, machine: &M) -> Result<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder.offer(machine)?;
        }
        self.watch.poll(machine)
    }

    fn info(&mut self, _: &M) {}

    fn snapshot(&mut self, _: &M) -> Result<()> {
        Ok(())
    }

    fn proof(&mut self, _: Later<StepProof>) -> Result<()> {
        Ok(())
    }
}

/// A run that can be interrupted, and that nobody watches.
struct Interruptible<'a>(&'a Interrupt);

impl<M: Machine> Events<M> for Interruptible<'_> {
    type Error = Failure;

    fn poll(&mut self, _: &M) -> Result<()> {
        self.0.check()
    }

    fn info(&mut self, _: &M) {}

    fn snapshot(&mut self, _: &M) -> Result<()> {
        Ok(())
    }

    fn proof(&mut self, _: Later<StepProof>) -> Result<()> {
        Ok(())
    }
}

/// Who answers a run that was watched before.
struct Asked<'a>(&'a mut dyn Oracle);

impl Oracle for Asked<'_> {
    fn hint(&mut self, hint: &[u8]) -> std::result::Result<(), OracleError> {
        self.0.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> std::result::Result<Vec<u8>, OracleError> {
        self.0.preimage(key)
    }
}

impl Host for Asked<'_> {
    fn output(&mut self, _: Stream, _: &[u8]) {}

    fn warn(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_is_answered_once_by_the_snapshot_before_it() {
        let at = |points: &str, steps: &[u64], complete| {
            let points: SamplePoints = points.parse().unwrap();
            let mut found: Vec<(u64, u64)> = Vec::new();
            for job in jobs(&points, 10, steps, complete, 3) {
                let mut point = job.points.next(job.from);
                while let Some(step) = point.filter(|step| *step < 100_000) {
                    found.push((job.from, step));
                    point = job.points.next(step + 1);
                }
            }
            found
        };
        let expected = [(10, 10), (10, 19), (20, 20), (50, 50), (50, 60)];
        assert_eq!(at("60,10,19,20,50", &[20, 30, 50], true), expected);
        assert_eq!(at("60,10,19,20,50", &[20, 30, 50], false), expected[..3]);
        assert_eq!(at("60", &[], false), []);
        assert_eq!(at("60", &[], true), [(10, 60)]);
        let many: Vec<u64> = at("%3,29999", &[30_000], false).iter().map(|at| at.1).collect();
        assert_eq!(many, (12..30_000).filter(|n| n % 3 == 0 || *n == 29_999).collect::<Vec<_>>());
    }
}
