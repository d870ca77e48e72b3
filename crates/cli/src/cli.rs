//! The command line as a whole: its commands, and the flags that several of them share.
//!
//! Cannon's commands also take flags the way Go programs do: with one dash or two.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tribunal_host::PreimageStore;
use tribunal_jit::EngineKind;
use tribunal_onchain::{Address, Artifact, Contract, Instance};

use crate::commands::{
    build, calldata, claim, completions, convert, demo, doctor, exec, host, inspect, list,
    load_elf, new, prove, record, run, sample, test, verify, witness,
};
use crate::engines::Engines;
use crate::failure::{Failure, Result, Statuses};
use crate::input::read_artifact;
use crate::judge::Judge;
use crate::stores;
use crate::units::Bytes;

/// A fault-proof environment: run a program in a fault-proof VM, and prove any one step of the run.
#[derive(Debug, Parser)]
#[command(name = "tribunal", version, max_term_width = 100)]
#[command(after_help = "\
load-elf, run, witness and list are Cannon's: same flags, files, output and exit statuses.

Exit statuses of the others: 0 done, 1 the answer is no, 2 the command or its input was wrong, \
3 the environment failed (disk, network, host), 130 interrupted. exec and record leave with the \
verdict of the program they ran: 0 the claim holds, 1 it is wrong, 2 or more: nothing was decided.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    LoadElf(load_elf::LoadElf),
    Run(Box<run::Run>),
    Witness(witness::Witness),
    List(list::List),
    Exec(Box<exec::Exec>),
    Record(Box<record::Record>),
    Claim(Box<claim::Claim>),
    Sample(Box<sample::Sample>),
    Prove(Box<prove::Prove>),
    Verify(verify::Verify),
    Calldata(calldata::Calldata),
    Inspect(inspect::Inspect),
    Convert(convert::Convert),
    New(new::New),
    Build(build::Build),
    Test(test::Test),
    Host(host::Host),
    Doctor(Box<doctor::Doctor>),
    Demo(demo::Demo),
    Completions(completions::Completions),
}

/// The commands that are Cannon's.
const CANNON: [&str; 4] = ["load-elf", "list", "run", "witness"];

/// Whose exit statuses the command that these arguments name has.
pub(crate) fn statuses(arguments: &[OsString]) -> Statuses {
    match cannon_command(arguments) {
        Some(_) => Statuses::Cannon,
        None => Statuses::Tribunal,
    }
}

fn cannon_command(arguments: &[OsString]) -> Option<&str> {
    let name = arguments.get(1)?.to_str()?;
    CANNON.contains(&name).then_some(name)
}

/// Reads the command line.
pub(crate) fn parse(arguments: Vec<OsString>) -> std::result::Result<Cli, clap::Error> {
    Cli::try_parse_from(spell_out(as_host(arguments))).map_err(|mut error| {
        if error.kind() == ErrorKind::UnknownArgument {
            // The advice to put it behind --: there the host stands.
            error.remove(ContextKind::Suggested);
        }
        error
    })
}

/// op-challenger takes us for kona-host, whose first argument is the mode, but for how much to say.
fn as_host(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_volume = |argument: &&OsString| {
        let letters = argument.to_str().and_then(|text| text.strip_prefix('-'));
        letters.is_some_and(|letters| !letters.is_empty() && letters.chars().all(|c| c == 'v'))
    };
    let first = arguments.iter().skip(1).find(|argument| !is_volume(argument));
    if first.is_some_and(|first| first == "single") {
        arguments.insert(1, "host".into());
    }
    arguments
}

/// Writes the flags of Cannon's commands with two dashes and their value behind an equals sign, as
/// Go understands them: a flag takes the next argument for its value whatever that looks like.
fn spell_out(arguments: Vec<OsString>) -> Vec<OsString> {
    let Some(name) = cannon_command(&arguments) else { return arguments };
    let cli = Cli::command();
    let Some(command) = cli.find_subcommand(name) else { return arguments };
    let takes_value = |flag: &str| {
        let known = command.get_arguments().find(|known| known.get_long() == Some(flag));
        known.is_some_and(|known| {
            known.get_action().takes_values() && !known.is_require_equals_set()
        })
    };

    let mut rest = arguments.iter().cloned();
    let mut spelled: Vec<OsString> = rest.by_ref().take(2).collect();
    while let Some(argument) = rest.next() {
        let Some(flag) = flag_of(&argument) else {
            // What is no flag ends the flags: the host and its arguments follow.
            spelled.push("--".into());
            if argument != "--" {
                spelled.push(argument);
            }
            spelled.extend(rest);
            break;
        };
        let mut flag_and_value = OsString::from(format!("--{flag}"));
        if takes_value(&flag)
            && let Some(value) = rest.next()
        {
            flag_and_value.push("=");
            flag_and_value.push(value);
        }
        spelled.push(flag_and_value);
    }
    spelled
}

/// The flag, and the value behind an equals sign if there is one; `None` for what is no flag.
fn flag_of(argument: &OsStr) -> Option<String> {
    let text = argument.to_str()?;
    let flag = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    match flag {
        "" => None,
        "h" => Some("help".into()),
        _ => Some(flag.into()),
    }
}

/// How large a state may be.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct MemoryArg {
    /// The most memory that a state may take.
    #[arg(long = "memory-limit", value_name = "SIZE", default_value = "8GiB",
          value_parser = Bytes::from_str)]
    limit: Bytes,
}

impl MemoryArg {
    /// In bytes.
    pub(crate) fn limit(self) -> u64 {
        self.limit.0
    }
}

/// Where snapshots of a run are kept.
#[derive(Args, Clone, Debug)]
pub(crate) struct IndexArgs {
    /// Keep snapshots of the run in this directory, and answer from those that are there: then any
    /// step is a short way. The run is recorded as far as it has to go for the answer, and taken up
    /// again from there when more is asked.
    #[arg(long = "index", value_name = "DIR")]
    directory: Option<PathBuf>,

    /// The most that an index may take on disk; every other snapshot is dropped when it gets larger.
    #[arg(long = "index-size", value_name = "SIZE", default_value = "4GiB", requires = "directory",
          value_parser = Bytes::from_str)]
    size: Bytes,

    /// Delete the index that is in the directory and make it anew.
    #[arg(long, requires = "directory")]
    reindex: bool,
}

impl IndexArgs {
    /// The directory, if one is named. Empty now if it is to be.
    pub(crate) fn directory(&self) -> Result<Option<&Path>> {
        if let (Some(directory), true) = (&self.directory, self.reindex) {
            tribunal_index::Index::remove(directory)?;
        }
        Ok(self.directory.as_deref())
    }

    /// How much to keep of a run.
    pub(crate) fn options(&self) -> tribunal_index::Options {
        tribunal_index::Options { max_bytes: self.size.0, ..tribunal_index::Options::default() }
    }
}

/// How a machine runs.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct MachineArgs {
    #[command(flatten)]
    memory: MemoryArg,

    /// What runs the machine: fast; portable, which compiles nothing; or reference, which the others
    /// are held against. Whatever comes out is the same.
    #[arg(long, value_name = "ENGINE", default_value_t, value_parser = EngineKind::from_str)]
    engine: EngineKind,
}

impl MachineArgs {
    /// The most bytes that a state may take.
    pub(crate) fn memory_limit(self) -> u64 {
        self.memory.limit()
    }

    /// What runs the machine.
    pub(crate) fn engines(self) -> Engines {
        Engines::new(self.engine)
    }
}

/// Which contracts judge.
#[derive(Args, Clone, Debug)]
pub(crate) struct ContractArgs {
    /// A compiled contract in the place of ours, MIPS64 or PreimageOracle: the JSON of solc, Foundry or
    /// Hardhat, or code as eth_getCode answers. May be given for each of the two.
    #[arg(long = "contract", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl ContractArgs {
    /// Whether any but ours were named.
    pub(crate) fn are_others(&self) -> bool {
        !self.files.is_empty()
    }

    /// Sets the contracts up.
    pub(crate) fn judge(&self) -> Result<Judge> {
        let mut contracts = [Contract::Mips64, Contract::PreimageOracle].map(Artifact::ours);
        let mut given = [None; 2];
        for path in &self.files {
            let artifact = read_artifact(path)?;
            let place = artifact.contract() as usize;
            if let Some(before) = given[place].replace(path) {
                return Err(Failure::input(format!(
                    "{} and {} are both {}",
                    before.display(),
                    path.display(),
                    artifact.contract()
                )));
            }
            contracts[place] = artifact;
        }
        let [machine, oracle] = &contracts;
        let instance = Instance::with(machine, oracle)
            .map_err(|error| Failure::input(format!("these contracts do not work: {error}")))?;
        Ok(Judge::new(instance, self.are_others()))
    }
}

/// Reads the address of an account.
pub(crate) fn parse_address(text: &str) -> std::result::Result<Address, String> {
    text.parse().map_err(|_| "an address is 20 bytes, in hexadecimal digits".to_owned())
}

/// What is known besides proofs, and how what becomes of them is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProofArgs {
    /// The preimages of the run: a directory that a host or convert wrote, a recording, or a
    /// .json(.gz) file of keys and data. The call behind a precompile key and the blob behind a blob
    /// key are looked up there.
    #[arg(long, value_name = "PATH")]
    preimages: Option<PathBuf>,

    /// Answer in JSON, an object on each line.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    quiet: QuietArg,
}

impl ProofArgs {
    /// Whether nobody is spoken to.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet.quiet
    }

    /// Opens the store.
    pub(crate) fn store(&self) -> Result<Option<Box<dyn PreimageStore>>> {
        self.preimages.as_deref().map(stores::open).transpose()
    }
}

/// Whether people are spoken to.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct QuietArg {
    /// Say nothing on standard error unless something goes wrong.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(line: &[&str]) -> Vec<String> {
        let line = line.iter().map(OsString::from).collect();
        spell_out(line).into_iter().map(|text| text.into_string().unwrap()).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        assert_eq!(
            spelled(&["t", "run", "-input", "a.bin", "--meta", "", "--debug", "--stop-at==5"]),
            ["t", "run", "--input=a.bin", "--meta=", "--debug", "--stop-at==5"]
        );
        assert_eq!(
            spelled(&["t", "run", "--meta", "--debug", "--", "host", "-x", "--", "y"]),
            ["t", "run", "--meta=--debug", "--", "host", "-x", "--", "y"]
        );
        assert_eq!(
            spelled(&["t", "run", "--debug=false", "host", "--input", "b"]),
            ["t", "run", "--debug=false", "--", "host", "--input", "b"]
        );
        assert_eq!(spelled(&["t", "witness", "-h"]), ["t", "witness", "--help"]);
        assert_eq!(spelled(&["t", "run", "--input"]), ["t", "run", "--input"]);
    }

    #[test]
    fn flags_of_our_own_commands_are_left_alone() {
        assert_eq!(spelled(&["t", "exec", "-q", "x"]), ["t", "exec", "-q", "x"]);
        assert_eq!(spelled(&["t"]), ["t"]);
    }
}
