//! Hostile inputs, made from a seed, for whatever reads what others wrote: ELF files, state files,
//! the wire protocols, what batchers write to L1, and machine states themselves, which the fast engine
//! must take as the reference does.
//!
//! Runs on stable Rust and needs no corpus, so the gate can run it for a minute. An input is a
//! number: whoever has the seed of a failure has the failure. Knows what must hold for every input;
//! what a right input means, the conformance suite knows.

mod derivation;
mod elf;
mod engines;
mod mutate;
mod state_file;
mod step;
mod wire;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tribunal_conformance::Random;

/// An input that takes longer than this hangs. The slowest take milliseconds, but the machine may have
/// much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often someone looks whether the work goes on.
const TICK: Duration = Duration::from_millis(250);

/// What inputs are thrown at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The readers of what is on L1.
    Derivation,
    /// The ELF loader.
    Elf,
    /// The reader of state files, plain and compressed.
    StateFile,
    /// One step, and a few hundred, of random states.
    Step,
    /// Both sides of the hint and preimage protocols.
    Wire,
    /// The fast engine beside the reference.
    Engines,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Derivation, Self::Elf, Self::StateFile, Self::Step, Self::Wire, Self::Engines];

    /// What the command line calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Derivation => "derivation",
            Self::Elf => "elf",
            Self::StateFile => "state-file",
            Self::Step => "step",
            Self::Wire => "wire",
            Self::Engines => "engines",
        }
    }

    /// Makes inputs and throws them, one at a time.
    fn checker(self) -> Result<Checker, String> {
        Ok(match self {
            Self::Derivation => {
                let derivation = derivation::Derivation::new()?;
                Box::new(move |random| derivation.check(random))
            }
            Self::Elf => Box::new(elf::check),
            Self::StateFile => {
                let mut files = state_file::Files::new().map_err(|error| error.to_string())?;
                Box::new(move |random| files.check(random))
            }
            Self::Step => Box::new(step::check),
            Self::Wire => Box::new(wire::check),
            Self::Engines => {
                let engines = engines::Engines::new()?;
                Box::new(move |random| engines.check(random))
            }
        })
    }
}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(name: &str) -> Result<Self, UnknownTarget> {
        let found = Self::ALL.into_iter().find(|target| target.name() == name);
        found.ok_or_else(|| UnknownTarget { name: name.to_owned() })
    }
}

/// A name that no target has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no target \"{name}\": choose one of {}", Target::ALL.map(Target::name).join(", "))]
pub struct UnknownTarget {
    name: String,
}

type Checker = Box<dyn FnMut(&mut Random) -> Result<Verdict, String>>;

/// What became of an input for which everything held that must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It was an input as it should be.
    Taken,
    /// It was refused, with an explanation.
    Refused,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// After this many inputs.
    Inputs(u64),
    /// After the first input that ends later than this.
    Time(Duration),
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Inputs tried.
    pub inputs: u64,
    /// How many of them were not refused.
    pub taken: u64,
}

/// An input for which something did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} fails: {problem}\nhint: cargo xtask fuzz --target {} --seed {seed} --iterations 1",
    target.name(), target.name()
)]
pub struct Failure {
    /// What the input was thrown at.
    pub target: Target,
    /// The seed that makes the input, as the first one of a run.
    pub seed: u64,
    /// What happened.
    pub problem: Problem,
}

/// What an input must not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It never ended.
    #[error("no end after {} s", .0.as_secs())]
    Hang(Duration),
    /// It panicked.
    #[error("panic: {0}")]
    Panic(String),
    /// It led to something that must never be.
    #[error("{0}")]
    Wrong(String),
}

/// Throws inputs at `target` until `limit`. The input after the one of `seed` is that of `seed + 1`.
///
/// `report` is called a few times a second.
///
/// # Errors
/// The first input for which something does not hold. After [`Problem::Hang`] a thread is left
/// behind that nobody can stop but the end of the process.
pub fn run(
    target: Target,
    limit: Limit,
    seed: u64,
    report: impl FnMut(Progress),
) -> Result<Progress, Failure> {
    let checker = move || target.checker();
    watch(checker, PATIENCE, limit, seed, report).map_err(|(seed, problem)| Failure {
        target,
        seed,
        problem,
    })
}

/// The seed of an input, and what is wrong with it.
type Found = (u64, Problem);

/// Works on a thread of its own, so that someone is left who notices when it hangs.
fn watch(
    checker: impl FnOnce() -> Result<Checker, String> + Send + 'static,
    patience: Duration,
    limit: Limit,
    seed: u64,
    mut report: impl FnMut(Progress),
) -> Result<Progress, Found> {
    let counters = Arc::new(Counters::default());
    let (done, result) = mpsc::channel();
    let worker = {
        let counters = Arc::clone(&counters);
        move || done.send(work(checker, limit, seed, &counters))
    };
    thread::Builder::new()
        .name("fuzz".into())
        .spawn(worker)
        .map_err(|error| (seed, Problem::Wrong(format!("no thread for it: {error}"))))?;
    // Counted in looks, not by the clock: this process may be stopped and go on.
    let mut last = (0, Duration::ZERO);
    loop {
        let result = result.recv_timeout(TICK);
        let progress = counters.progress();
        let current = seed.wrapping_add(progress.inputs);
        match result {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err((current, Problem::Panic("outside of any input".into())));
            }
            Err(RecvTimeoutError::Timeout) => {
                report(progress);
                if progress.inputs != last.0 {
                    last = (progress.inputs, Duration::ZERO);
                    continue;
                }
                last.1 += TICK;
                if last.1 > patience {
                    return Err((current, Problem::Hang(patience)));
                }
            }
        }
    }
}

#[derive(Default)]
struct Counters {
    inputs: AtomicU64,
    taken: AtomicU64,
}

impl Counters {
    fn progress(&self) -> Progress {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress { inputs: load(&self.inputs), taken: load(&self.taken) }
    }
}

fn work(
    checker: impl FnOnce() -> Result<Checker, String>,
    limit: Limit,
    seed: u64,
    counters: &Counters,
) -> Result<Progress, Found> {
    let start = Instant::now();
    let mut check = checker().map_err(|problem| (seed, Problem::Wrong(problem)))?;
    for input in 0.. {
        match limit {
            Limit::Inputs(inputs) if input >= inputs => break,
            Limit::Time(time) if start.elapsed() >= time => break,
            _ => {}
        }
        let seed = seed.wrapping_add(input);
        let verdict = catch_unwind(AssertUnwindSafe(|| check(&mut Random::new(seed))))
            .map_err(|panic| (seed, Problem::Panic(message(&*panic))))?
            .map_err(|problem| (seed, Problem::Wrong(problem)))?;
        counters.inputs.fetch_add(1, Ordering::Relaxed);
        counters.taken.fetch_add(u64::from(verdict == Verdict::Taken), Ordering::Relaxed);
    }
    Ok(counters.progress())
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}

/// Fails with the text that `describe` makes, unless `holds`.
fn ensure(holds: bool, describe: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(describe()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `check` the numbers of ten inputs, whose seeds wrap.
    fn ten(
        mut check: impl FnMut(u64) -> Result<Verdict, String> + Send + 'static,
    ) -> Result<Progress, Found> {
        let mut inputs = 0..;
        let checker = move || -> Result<Checker, String> {
            Ok(Box::new(move |_| check(inputs.next().unwrap_or(u64::MAX))))
        };
        watch(checker, Duration::from_millis(1), Limit::Inputs(10), u64::MAX - 1, |_| {})
    }

    #[test]
    fn every_input_is_counted() {
        let progress = ten(|input| Ok(if input < 3 { Verdict::Taken } else { Verdict::Refused }));
        assert_eq!(progress, Ok(Progress { inputs: 10, taken: 3 }));
    }

    #[test]
    fn what_goes_wrong_is_found_with_the_seed_of_the_input() {
        let wrong = ten(|input| if input == 3 { Err("odd".into()) } else { Ok(Verdict::Taken) });
        assert_eq!(wrong, Err((1, Problem::Wrong("odd".into()))));
        let panic = ten(|input| {
            assert!(input < 1, "input {input} on purpose");
            Ok(Verdict::Taken)
        });
        assert_eq!(panic, Err((u64::MAX, Problem::Panic("input 1 on purpose".into()))));
        let hang = ten(|input| {
            if input < 2 {
                return Ok(Verdict::Taken);
            }
            loop {
                thread::park();
            }
        });
        assert_eq!(hang, Err((0, Problem::Hang(Duration::from_millis(1)))));
    }

    #[test]
    fn a_failure_says_how_to_see_it_again() {
        let problem = Problem::Wrong("odd".into());
        let failure = Failure { target: Target::StateFile, seed: 77, problem };
        assert_eq!(
            failure.to_string(),
            "state-file fails: odd\n\
             hint: cargo xtask fuzz --target state-file --seed 77 --iterations 1"
        );
    }
}
