//! `prove`: the proof of one step.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use tribunal_machine::{ProofFile, SamplePoints};

use crate::cli::{IndexArgs, MachineArgs, QuietArg};
use crate::failure::Result;
use crate::indexed::Question;
use crate::input::load;
use crate::output::Destination;
use crate::world::HostArgs;

/// Prove one step, as run --proof-at does: with --index, from the nearest snapshot on.
#[derive(Args, Debug)]
pub(crate) struct Prove {
    /// The state to begin with, a program (an ELF file), or a recording of a run with its program,
    /// whose preimages then answer it unless others are named.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Which step. Past the end of the program a step changes nothing, and has nothing to prove.
    #[arg(long, value_name = "N", value_parser = parse_step)]
    at: u64,

    /// Where to write the proof; - for standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: OsString,

    /// Symbols for a state, as load-elf wrote them.
    #[arg(long, value_name = "FILE")]
    meta: Option<PathBuf>,

    #[command(flatten)]
    index: IndexArgs,

    #[command(flatten)]
    quiet: QuietArg,

    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    host: HostArgs,
}

fn parse_step(text: &str) -> std::result::Result<u64, String> {
    text.parse().map_err(|_| "name one step by its number; sample --proof takes many".to_owned())
}

impl Prove {
    pub(crate) fn execute(&self) -> Result<u8> {
        let output = Destination::new(&self.output);
        output.check()?;
        let limit = self.machine.memory_limit();
        let question = Question {
            points: &SamplePoints::from(self.at),
            prove: true,
            machine: self.machine,
            index: &self.index,
            host: &self.host,
            quiet: self.quiet.quiet,
        };
        question.answer(load(&self.input, self.meta.as_deref(), limit)?, |point, bar| {
            let Some(proof) = point.proof.map(ProofFile::from) else { return Ok(()) };
            match bar {
                Some(bar) => bar.suspend(|| output.write_json(&proof)),
                None => output.write_json(&proof),
            }
        })?;
        Ok(0)
    }
}
