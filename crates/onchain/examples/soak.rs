//! Steps that the reference and our contract take, until they differ or enough of them agree: of
//! random states, of random programs, and of whole runs. `cargo xtask soak` describes the options.
//!
//! A difference is told field by field, and its state written as a vector that
//! `cargo xtask vectors` reads.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[path = "../tests/engine/mod.rs"]
mod engine;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use engine::{Contract, Difference, random_steps, to_line};
use tribunal_conformance::{Run, Start, generate, generate_program};
use tribunal_machine::{Machine as _, write_atomically};
use tribunal_mips64::Mips64;

const DEFAULT_STEPS: u64 = 100_000;

/// Steps of one source before it is the next one's turn. A run is gone through from its beginning
/// each time, so few at once would be slow.
const STEPS_OF_TURN: u64 = 50_000;

/// Steps of one random program. Most go on for longer.
const STEPS_OF_PROGRAM: u64 = 200;

/// Between two signs of life.
const PROGRESS: Duration = Duration::from_secs(20);
const PROGRESS_ON_TERMINAL: Duration = Duration::from_secs(1);

/// Vectors up to this length are shown as well as written.
const SHOWN_BYTES: usize = 1 << 16;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    let mut soak = Soak::new(&options);
    match soak.run() {
        Ok(()) => {
            println!("{} from seed {} on agree", soak.told(), options.seed);
            ExitCode::SUCCESS
        }
        Err(difference) => report(&difference, options.seed),
    }
}

/// Says what differs, and writes the vector.
fn report(difference: &Difference, seed: u64) -> ExitCode {
    let line = to_line(&difference.vector);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let written =
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string()).and_then(|()| {
            let file = folder.join("soak-difference.jsonl");
            let written = write_atomically(&file, |sink| sink.write_all(line.as_bytes()));
            written.map_err(|error| error.to_string())
        });
    if line.len() <= SHOWN_BYTES || written.is_err() {
        println!("{line}");
    }
    eprintln!("the soak with --seed {seed}: reference and contract differ at {difference:?}");
    match written {
        Ok(()) => eprintln!(
            "the state, and what the reference makes of it, is in target/soak-difference.jsonl: \
             `cargo xtask vectors --engine contract target/soak-difference.jsonl`"
        ),
        Err(error) => eprintln!("error: the state is above only: {error}"),
    }
    ExitCode::FAILURE
}

struct Options {
    steps: u64,
    seed: u64,
    over: Vec<Source>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { steps: DEFAULT_STEPS, seed: 0, over: Source::ALL.to_vec() };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || {
                let number = value.replace('_', "").parse();
                number.map_err(|_| format!("{name} takes a number, not {value}"))
            };
            match name.as_str() {
                "--steps" => options.steps = number()?,
                "--seed" => options.seed = number()?,
                "--over" if value == "all" => options.over = Source::ALL.to_vec(),
                "--over" => {
                    let known = Source::ALL.into_iter().find(|source| source.name() == value);
                    let known = known.ok_or("--over takes states, programs, runs or all")?;
                    options.over = vec![known];
                }
                _ => return Err(format!("there is no option {name}: use --steps, --seed, --over")),
            }
        }
        Ok(options)
    }
}

/// Where steps come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    States,
    Programs,
    Runs,
}

impl Source {
    const ALL: [Self; 3] = [Self::States, Self::Programs, Self::Runs];

    fn name(self) -> &'static str {
        match self {
            Self::States => "states",
            Self::Programs => "programs",
            Self::Runs => "runs",
        }
    }
}

/// What a source has to give, and what it gave.
struct Share {
    source: Source,
    wanted: u64,
    done: u64,
}

struct Soak {
    contract: Contract,
    steps: u64,
    shares: Vec<Share>,
    /// The whole runs, each with its length.
    runs: Vec<(Run, u64)>,
    /// The seed of the next state, program, or choice of steps of a run.
    next_seed: u64,
    /// The run whose turn it is.
    next_run: usize,
    started: Instant,
    spoken: Instant,
}

impl Soak {
    /// Sources share the steps evenly.
    fn new(options: &Options) -> Self {
        let count = options.over.len() as u64;
        let share = |(place, &source)| {
            let wanted = options.steps / count + u64::from(place < options.steps % count);
            Share { source, wanted, done: 0 }
        };
        let mut runs = Vec::new();
        if options.over.contains(&Source::Runs) {
            runs.extend([Run::threads(), Run::preimages()]);
            runs.extend(Run::transactions());
        }
        let with_length = |run: Run| {
            let length = run.length();
            (run, length)
        };
        Self {
            contract: Contract::new(),
            steps: options.steps,
            shares: (0..).zip(&options.over).map(share).collect(),
            runs: runs.into_iter().map(with_length).collect(),
            next_seed: options.seed,
            next_run: 0,
            started: Instant::now(),
            spoken: Instant::now(),
        }
    }

    fn run(&mut self) -> Result<(), Box<Difference>> {
        while self.done() < self.steps {
            for place in 0..self.shares.len() {
                let share = &self.shares[place];
                // Every run is to have its turn, however few steps there are.
                let turns = self.runs.len().max(1) as u64;
                let turn = STEPS_OF_TURN.min(share.wanted.div_ceil(turns));
                let end = share.wanted.min(share.done + turn);
                while self.shares[place].done < end {
                    let left = end - self.shares[place].done;
                    let judged = self.judge(self.shares[place].source, left)?;
                    self.shares[place].done += judged;
                    self.speak();
                }
            }
        }
        Ok(())
    }

    /// Judges up to `most` steps, of one state, program or run, and says how many.
    fn judge(&mut self, source: Source, most: u64) -> Result<u64, Box<Difference>> {
        let seed = self.next_seed;
        self.next_seed = seed.wrapping_add(1);
        let make = match source {
            Source::States => generate,
            Source::Programs => generate_program,
            Source::Runs => {
                let (run, length) = &self.runs[self.next_run % self.runs.len()];
                self.next_run += 1;
                let steps = random_steps(seed, most, *length);
                let name = format!("{}/seed {seed}", run.name);
                return self.contract.judge_run(&name, &run.start, &run.host, steps);
            }
        };
        let start: Start = make(seed);
        let machine = Mips64::new(start.state.clone());
        let steps = if source == Source::States { 1 } else { most.min(STEPS_OF_PROGRAM) };
        let steps = (0..steps).map(|step| machine.step().wrapping_add(step));
        let name = format!("{}/seed {seed}", start.name);
        self.contract.judge_run(&name, &machine, &start.host(), steps)
    }

    fn done(&self) -> u64 {
        self.shares.iter().map(|share| share.done).sum()
    }

    fn told(&self) -> String {
        let share = |share: &Share| format!("{} of {}", share.done, share.source.name());
        let shares: Vec<String> = self.shares.iter().map(share).collect();
        format!("{} steps ({})", self.done(), shares.join(", "))
    }

    fn speak(&mut self) {
        let is_terminal = io::stderr().is_terminal();
        if self.spoken.elapsed() > if is_terminal { PROGRESS_ON_TERMINAL } else { PROGRESS } {
            self.spoken = Instant::now();
            let seconds = self.started.elapsed().as_secs();
            let line = format!("{} of {} agree after {seconds} s", self.told(), self.steps);
            if is_terminal { eprint!("\r{line}") } else { eprintln!("{line}") }
        }
    }
}
