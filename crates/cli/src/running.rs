//! One run of a program to its end, as `exec` and `record` make it: its flags, and what is told of it.

use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tribunal_host::recording::{Beginning, End};
use tribunal_host::{Recorder, RecordingWriter};
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, Machine, Status};
use tribunal_memory::PAGE_SIZE;
use tribunal_mips64::Mips64;
use tribunal_preimage::{Key, KeyKind};

use crate::cli::{MachineArgs, QuietArg};
use crate::failure::{Failure, Result, of_run};
use crate::input::Loaded;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::speaker::{Mute, Speaker, host_words};
use crate::style::Style;
use crate::units::{Bytes, Count, Seconds, Speed};
use crate::watch::{Watch, run_to_end};
use crate::world::{HostArgs, Listener as _, Source, World};

/// What is run, and how.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Symbols for a state, as load-elf wrote them.
    #[arg(long, value_name = "FILE")]
    pub(crate) meta: Option<PathBuf>,

    /// Say what came out as JSON on standard output; what the program writes goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietArg,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,

    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// What a run needs besides a program and somebody who answers it.
pub(crate) struct Stage {
    pub(crate) interrupt: Interrupt,
    progress: Progress,
}

impl Stage {
    /// For a run from `first_step`.
    pub(crate) fn new(interrupt: Interrupt, quiet: bool, first_step: u64) -> Self {
        Self { interrupt, progress: Progress::new(quiet, first_step) }
    }
}

/// A run that is over.
pub(crate) struct Ran {
    /// The program's exit code, or why it did not come to one.
    pub(crate) verdict: Result<u8>,
    /// The state it came to.
    pub(crate) end: End,
    pub(crate) summary: Option<Summary>,
    speaker: Speaker,
}

/// A run, and what it was told and asked.
pub(crate) struct Recorded {
    pub(crate) ran: Ran,
    /// Who answered it.
    pub(crate) source: Source,
    pub(crate) hints: u64,
    pub(crate) preimages: u64,
    /// The inputs that the program asked for.
    pub(crate) inputs: Vec<Key>,
    /// The recording.
    pub(crate) bytes: Vec<u8>,
}

/// Where what a program writes goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Where the program says.
    AsWritten,
    /// To standard error.
    AllToStderr,
    /// Nowhere.
    Nowhere,
}

/// How what is loaded runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) machine: MachineArgs,
    /// Whether nobody is spoken to.
    pub(crate) quiet: bool,
    /// Where what the program writes goes.
    pub(crate) words: Words,
}

impl RunArgs {
    /// Prepares for a run from `first_step`.
    pub(crate) fn stage(&self, first_step: u64) -> Result<Stage> {
        Ok(Stage::new(Interrupt::listen()?, self.quiet.quiet, first_step))
    }

    /// Opens the store or starts the host that the command line names.
    pub(crate) fn source(&self, stage: &Stage) -> Result<Source> {
        let words = host_words(&stage.progress, self.quiet.quiet);
        Source::open(&self.host, &stage.interrupt, words)
    }

    /// How the program runs.
    pub(crate) const fn manner(&self) -> Manner {
        let words = if self.json { Words::AllToStderr } else { Words::AsWritten };
        Manner { machine: self.machine, quiet: self.quiet.quiet, words }
    }
}

impl Manner {
    /// Runs the program to its end.
    pub(crate) fn run(self, loaded: Loaded, mut stage: Stage, source: &mut Source) -> Ran {
        let Loaded { machine, symbols, .. } = loaded;
        let limit = self.machine.memory_limit();
        let first_step = machine.step();
        let mut speaker = Speaker::new(stage.progress.bar(), self.words == Words::AllToStderr);
        let mut machine = self.machine.engines().start(machine, speaker.unless(self.quiet));
        let outcome = {
            let mut watch = Watch { interrupt: &stage.interrupt, progress: &mut stage.progress };
            let mut loud = World { source: &mut *source, listener: &mut speaker };
            if self.words == Words::Nowhere {
                let World { source, listener } = loud;
                let mut mute = World { source, listener: Mute(listener) };
                run_to_end(&mut machine, limit, &mut mute, &mut watch)
            } else {
                run_to_end(&mut machine, limit, &mut loud, &mut watch)
            }
        };
        let time = stage.progress.finish();
        speaker.finish();
        let end = End {
            exit_code: outcome.as_ref().ok().copied(),
            state_hash: machine.state_hash(),
            step: machine.step(),
        };
        let verdict = outcome.map_err(|error| of_run(error, &machine, &symbols));
        let summary = verdict.as_ref().ok();
        let summary = summary.map(|&code| Summary::of(&mut machine, code, first_step, time));
        Ran { verdict, end, summary, speaker }
    }

    /// Runs the program to its end, and writes down what it was told and asked; the program too, if
    /// that is wanted. A run that is kept from its end is recorded as far as it went.
    pub(crate) fn record(
        self,
        mut loaded: Loaded,
        with_program: bool,
        stage: Stage,
        source: Source,
    ) -> Result<Recorded> {
        let beginning = Beginning {
            machine: <Mips64>::NAME.into(),
            prestate: loaded.machine.state_hash(),
            step: loaded.machine.step(),
        };
        let mut writer = RecordingWriter::begin(Vec::new(), &beginning).map_err(unwritten)?;
        if with_program {
            let mut state = Vec::new();
            loaded.machine.write_state(&mut state).map_err(unwritten)?;
            writer.program(&state).map_err(unwritten)?;
        }
        let mut source = Source::Recorded(Box::new(Recorder::new(source, writer)));
        let ran = self.run(loaded, stage, &mut source);
        let Source::Recorded(recorder) = source else { unreachable!("it was made above") };
        let (hints, preimages) = recorder.counts();
        let is_input = |key: &Key| key.kind() == Some(KeyKind::Local);
        let inputs = recorder.keys().filter(is_input).collect();
        let (source, bytes) = recorder.end(&ran.end).map_err(unwritten)?;
        Ok(Recorded { ran, source, hints, preimages, inputs, bytes })
    }
}

impl Ran {
    /// Tells people what came out; `more` follows. Returns what machines are told.
    pub(crate) fn tell(
        &mut self,
        quiet: bool,
        problem: Option<&str>,
        more: &str,
    ) -> Option<&Summary> {
        let summary = self.summary.as_ref()?;
        if !quiet {
            if let Some(problem) = problem {
                self.speaker.warn(problem);
            }
            let text = summary.text(Style::of_stderr());
            let _ = stderr().write_all(format!("{text}{more}").as_bytes());
        }
        Some(summary)
    }
}

/// How a run ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) verdict: &'static str,
    pub(crate) exit_code: u8,
    /// Of the last state.
    pub(crate) step: u64,
    /// Taken by this run: fewer if it began with a later state.
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
    pub(crate) steps_per_second: f64,
    pub(crate) pages: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) preimages: u64,
    pub(crate) preimage_bytes: u64,
    pub(crate) state_hash: Hex<Hash>,
}

impl Summary {
    pub(crate) fn of(
        machine: &mut impl Machine,
        code: u8,
        first_step: u64,
        time: Duration,
    ) -> Self {
        let step = machine.step();
        let steps = step.wrapping_sub(first_step);
        let pages = machine.page_count();
        let statistics = machine.statistics();
        Self {
            verdict: match Status::of(Some(code)) {
                Status::Valid => "valid",
                Status::Invalid => "invalid",
                Status::Panic | Status::Unfinished => "undecided",
            },
            exit_code: code,
            step,
            steps,
            seconds: time.as_secs_f64(),
            steps_per_second: Speed { steps, time }.per_second(),
            pages,
            memory_bytes: pages * PAGE_SIZE as u64,
            preimages: statistics.preimage_requests,
            preimage_bytes: statistics.preimage_bytes,
            state_hash: Hex(machine.state_hash()),
        }
    }

    /// What people are told.
    pub(crate) fn text(&self, style: Style) -> String {
        let verdict = match self.exit_code {
            0 => style.good("the claim holds"),
            1 => style.bad("the claim is wrong"),
            _ => style.bad("nothing was decided"),
        };
        let time = Duration::from_secs_f64(self.seconds);
        let speed = Speed { steps: self.steps, time };
        let from = match self.step == self.steps {
            true => String::new(),
            false => format!(" (to step {})", Count(self.step)),
        };
        format!(
            "{verdict} (exit code {})\n  \
             steps      {}{from} in {}, {speed}\n  \
             memory     {} in {} pages\n  \
             preimages  {}, {}\n  \
             state      0x{}\n",
            self.exit_code,
            Count(self.steps),
            Seconds(time),
            Bytes(self.memory_bytes),
            Count(self.pages),
            Count(self.preimages),
            Bytes(self.preimage_bytes),
            hex::encode(self.state_hash.0),
        )
    }
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::environment(format!("cannot write the recording: {error}"))
}
