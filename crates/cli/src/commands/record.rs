//! `record`: run a program to its end, and write down all that it was told.

mod block;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tribunal_machine::Machine as _;

use crate::failure::{Failure, Result};
use crate::input::{Artefact, Loaded, load, ready};
use crate::output::{Destination, print_json};
use crate::running::{Recorded as Taken, RunArgs, Summary};
use crate::units::{Bytes, Count};

use block::BlockArgs;

/// Run a program to its end, and write what it was told into one file, which exec repeats anywhere.
///
/// The recording holds the program itself, the hash it begins with, each hint, each preimage, boot
/// values included, and the final state. It leaves with the program's exit code, as exec does. A run
/// that is kept from its end is recorded as far as it went.
///
/// With --block, the program is told by nodes all that the execution of a block takes.
#[derive(Args, Debug)]
pub(crate) struct Record {
    /// The program (an ELF file) or a state to go on from; .gz is fine, - is standard input. With
    /// --block it may be left out: op-block, which judges a block by its parent and its transactions.
    #[arg(value_name = "PROGRAM", required_unless_present = "block")]
    program: Option<PathBuf>,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    block: BlockArgs,

    /// Where to write the recording; - is standard output.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// Leave the program out: whoever repeats the run must have it.
    #[arg(long)]
    without_program: bool,
}

/// What is told of a recording.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recorded<'a> {
    #[serde(flatten)]
    run: &'a Summary,
    recorded_hints: u64,
    recorded_preimages: u64,
    recording_bytes: u64,
}

impl Record {
    pub(crate) fn execute(&self) -> Result<u8> {
        let RunArgs { json, quiet, .. } = &self.run;
        let destination = Destination::new(&self.out);
        destination.check()?;
        if *json && destination == Destination::Stdout {
            return Err(Failure::input("--json and --out - would both write to standard output"));
        }
        let loaded = self.load()?;
        let stage = self.run.stage(loaded.machine.step())?;
        let source = match self.block.number() {
            Some(number) => self.block.source(number, &self.run, &stage)?,
            None => self.run.source(&stage)?,
        };
        let recorded = self.run.manner().record(loaded, !self.without_program, stage, source)?;
        let Taken { mut ran, source, hints, preimages, inputs, bytes } = recorded;
        destination.write(|sink| sink.write_all(&bytes))?;
        let problem = ran.verdict.is_ok().then(|| source.shutdown()).flatten();
        // A program that decided nothing may not have come so far.
        let decided = matches!(ran.verdict, Ok(0 | 1));
        let problem = problem.or_else(|| self.block.unused(&inputs).filter(|_| decided));
        let name = match &destination {
            Destination::Stdout => "standard output".into(),
            _ => self.out.display().to_string(),
        };
        let recorded = format!(
            "{} hints, {} preimages; {} in {name}",
            Count(hints),
            Count(preimages),
            Bytes(bytes.len() as u64)
        );
        let more = format!("  recorded   {recorded}\n");
        if let Some(run) = ran.tell(quiet.quiet, problem.as_deref(), &more)
            && *json
        {
            // Without a reader the exit status still tells.
            let _ = print_json(&Recorded {
                run,
                recorded_hints: hints,
                recorded_preimages: preimages,
                recording_bytes: bytes.len() as u64,
            });
        }
        ran.verdict.map_err(|failure| {
            failure.detail(format!("what there is of the run is recorded: {recorded}"))
        })
    }

    fn load(&self) -> Result<Loaded> {
        let (meta, limit) = (self.run.meta.as_deref(), self.run.machine.memory_limit());
        match &self.program {
            Some(path) => load(path, meta, limit),
            None => ready(Artefact::Elf(block::program()?), Path::new("op-block"), meta, limit),
        }
    }
}
