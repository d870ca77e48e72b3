//! `sample`: state hashes, and proofs, at many steps of one run; or a check of random ones.

mod check;

use std::io::{BufWriter, IsTerminal as _, Write as _, stdout};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, ProofFile, Sample as Point, SamplePoints};

use crate::cli::{ContractArgs, IndexArgs, MachineArgs, QuietArg};
use crate::failure::{Failure, Result};
use crate::indexed::Question;
use crate::input::{load, read_text};
use crate::world::HostArgs;

/// Print the state hash, and the proof, of many steps from one run.
///
/// One JSON object per line, by ascending step: {"step":N,"hash":"0x…"}, the hash being that of the
/// state before step N. Past its end a program's state no longer changes.
#[derive(Args, Debug)]
pub(crate) struct Sample {
    /// The state to begin with, a program (an ELF file), or a recording of a run with its program,
    /// whose preimages then answer it unless others are named.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Which steps: numbers and %N for every Nth step, with commas between; @FILE reads them from a
    /// file.
    #[arg(long, value_name = "LIST", required_unless_present = "check")]
    at: Option<String>,

    /// Prove each of these steps too.
    #[arg(long)]
    proof: bool,

    /// Instead of printing anything, have the contract take N random steps of the run too, in an EVM,
    /// and leave with 1 if it comes to another state than the machine at any of them. The program
    /// runs once before, to learn how long the run is.
    #[arg(long, value_name = "N", conflicts_with_all = ["at", "proof", "directory"],
          value_parser = clap::value_parser!(u64).range(1..))]
    check: Option<u64>,

    /// What --check draws its steps from: the same seed draws the same steps.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Symbols for a state, as load-elf wrote them.
    #[arg(long, value_name = "FILE")]
    meta: Option<PathBuf>,

    #[command(flatten)]
    index: IndexArgs,

    #[command(flatten)]
    contracts: ContractArgs,

    #[command(flatten)]
    quiet: QuietArg,

    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// A line of the answer.
#[derive(Serialize)]
struct Line {
    step: u64,
    hash: Hex<Hash>,
    #[serde(flatten)]
    proof: Option<Proof>,
}

/// What a proof file holds besides the step.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Proof {
    pre: Hex<Hash>,
    post: Hex<Hash>,
    state_data: Hex<Vec<u8>>,
    proof_data: Hex<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle_key: Option<Hex<Vec<u8>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle_value: Option<Hex<Vec<u8>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle_offset: Option<u64>,
}

impl From<ProofFile> for Proof {
    fn from(file: ProofFile) -> Self {
        let some = |bytes: Hex<Vec<u8>>| (!bytes.0.is_empty()).then_some(bytes);
        Self {
            pre: file.pre,
            post: file.post,
            state_data: file.state_data,
            proof_data: file.proof_data,
            oracle_key: some(file.oracle_key),
            oracle_value: some(file.oracle_value),
            oracle_offset: (file.oracle_offset != 0).then_some(file.oracle_offset),
        }
    }
}

impl Sample {
    pub(crate) fn execute(&self) -> Result<u8> {
        match self.check {
            Some(count) => self.check(count),
            None if self.contracts.are_others() || self.seed.is_some() => {
                Err(Failure::input("--contract and --seed are for --check"))
            }
            None => self.sample().map(|()| 0),
        }
    }

    fn sample(&self) -> Result<()> {
        let limit = self.machine.memory_limit();
        let question = Question {
            points: &self.points()?,
            prove: self.proof,
            machine: self.machine,
            index: &self.index,
            host: &self.host,
            quiet: self.quiet.quiet,
        };
        let loaded = load(&self.input, self.meta.as_deref(), limit)?;
        let mut sink = BufWriter::with_capacity(1 << 16, stdout().lock());
        // A person sees each line when it is found; nothing else needs that.
        let watched = stdout().is_terminal();
        let outcome = question.answer(loaded, |point, bar| {
            let line = line(point)?;
            let mut show = || sink.write_all(&line).and_then(|()| sink.flush());
            match (watched, bar) {
                (true, Some(bar)) => bar.suspend(show),
                (true, None) => show(),
                (false, _) => sink.write_all(&line),
            }
            .map_err(|error| Failure::stdout(&error))
        });
        // What was found before a failure is true all the same.
        let flushed = sink.flush().map_err(|error| Failure::stdout(&error));
        outcome.and(flushed)
    }

    fn points(&self) -> Result<SamplePoints> {
        let at = self.at.as_deref().unwrap_or_default();
        let text = match at.strip_prefix('@') {
            None => at.to_owned(),
            Some(file) => read_text(file.as_ref())?,
        };
        let points: SamplePoints =
            text.parse().map_err(|error| Failure::input(format!("invalid --at: {error}")))?;
        match points.is_empty() {
            true => {
                Err(Failure::input("--at names no step").hint("for instance --at 0,1000,%50000"))
            }
            false => Ok(points),
        }
    }
}

fn line(point: Point) -> Result<Vec<u8>> {
    let line = Line {
        step: point.step,
        hash: Hex(point.hash),
        proof: point.proof.map(|proof| ProofFile::from(proof).into()),
    };
    let mut bytes = serde_json::to_vec(&line)
        .map_err(|error| Failure::environment(format!("cannot encode a sample: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}
