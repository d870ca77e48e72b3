//! `exec`: run a program to its end, and leave with its verdict.

use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, Machine, Status};
use tribunal_memory::PAGE_SIZE;

use crate::cli::{MachineArgs, QuietArg};
use crate::failure::{Result, of_run};
use crate::input::{Loaded, load};
use crate::interrupt::Interrupt;
use crate::output::print_json;
use crate::progress::Progress;
use crate::speaker::{Speaker, host_words};
use crate::style::Style;
use crate::units::{Bytes, Count, Seconds, Speed};
use crate::watch::{Watch, run_to_end};
use crate::world::{HostArgs, Listener as _, Source, World};

/// Run a program to its end in the VM, and leave with its verdict.
///
/// The exit status is the program's exit code: 0 the claim holds, 1 it is wrong, 2 or more: nothing
/// was decided. What keeps the program from its end is 2 too if the program or its file is to blame,
/// 3 if the host, the disk or the memory limit is.
#[derive(Args, Debug)]
pub(crate) struct Exec {
    /// The program (an ELF file) or a state to go on from; .gz is fine, - is standard input.
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,

    /// Symbols for a state, as load-elf wrote them.
    #[arg(long, value_name = "FILE")]
    meta: Option<PathBuf>,

    /// Say what came out as JSON on standard output; what the program writes goes to standard error.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    quiet: QuietArg,

    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    host: HostArgs,
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

impl Exec {
    pub(crate) fn execute(&self) -> Result<u8> {
        let limit = self.machine.memory_limit();
        let Loaded { machine, symbols } = load(&self.program, self.meta.as_deref(), limit)?;
        let interrupt = Interrupt::listen()?;
        let mut progress = Progress::new(self.quiet.quiet, machine.step());
        let words = host_words(&progress, self.quiet.quiet);
        let mut source = Source::open(&self.host, &interrupt, words)?;
        let first_step = machine.step();
        let mut speaker = Speaker::new(progress.bar(), self.json);
        let mut machine = self.machine.engines().start(machine, speaker.unless(self.quiet.quiet));
        let outcome = {
            let mut world = World { source: &mut source, listener: &mut speaker };
            let mut watch = Watch { interrupt: &interrupt, progress: &mut progress };
            run_to_end(&mut machine, limit, &mut world, &mut watch)
        };
        let time = progress.finish();
        speaker.finish();
        let code = outcome.map_err(|error| of_run(error, &machine, &symbols))?;

        let summary = Summary::of(&mut machine, code, first_step, time);
        let problem = source.shutdown();
        if !self.quiet.quiet {
            if let Some(problem) = problem {
                speaker.warn(&problem);
            }
            let _ = stderr().write_all(summary.text(Style::of_stderr()).as_bytes());
        }
        if self.json {
            // Without a reader the exit status still tells.
            let _ = print_json(&summary);
        }
        Ok(code)
    }
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
