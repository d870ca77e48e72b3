//! `build`: a program as the machine takes it, and the hash that a dispute game carries for it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tribunal_build::{BuildError, Built, Compile, Target, Toolchain, Workspace};
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, Machine as _, save_state, write_atomically};
use tribunal_mips64::Mips64;

use crate::cli::MemoryArg;
use crate::failure::{Failure, Result};
use crate::input::load_program;
use crate::output::{print, print_json};
use crate::units::Bytes;

/// What cargo keeps, and what is built, is in this folder of the program's target directory.
const FOLDER: &str = "fpvm";

/// Build the program in this folder for the machine, and print the hash of its prestate.
///
/// The bytes depend on the sources, Cargo.lock and the toolchain alone: not on the machine, the folder
/// or the environment. Nothing is needed but the Rust toolchain with the component rust-src.
#[derive(Args, Debug)]
pub(crate) struct Build {
    #[command(flatten)]
    place: PlaceArgs,

    /// The machine: mips64; or riscv64, for which there are programs but no machine here yet. May be
    /// given several times.
    #[arg(long = "target", value_name = "MACHINE", default_value = "mips64")]
    targets: Vec<Target>,

    /// Say what was built as JSON on standard output.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    memory: MemoryArg,
}

/// Which program, and how cargo builds it.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlaceArgs {
    /// The folder of the program, with its Cargo.toml.
    #[arg(long = "program", value_name = "DIR", default_value = ".")]
    directory: PathBuf,

    /// Fail if Cargo.lock is not what it has to be.
    #[arg(long)]
    locked: bool,

    /// Fetch nothing.
    #[arg(long)]
    offline: bool,

    /// Let cargo say nothing but what is wrong.
    #[arg(long, short)]
    quiet: bool,
}

/// A program that was built.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    program: String,
    machine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prestate: Option<Prestate>,
    bytes: u64,
    elf: PathBuf,
    compiler: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Prestate {
    hash: Hex<Hash>,
    state: PathBuf,
}

impl Build {
    pub(crate) fn execute(&self) -> Result<()> {
        let mut targets = self.targets.clone();
        targets.sort();
        targets.dedup();
        let place = self.place.find()?;
        let compiler = place.toolchain.version().to_owned();
        let mut reports = Vec::new();
        for (program, target, elf) in place.build(&targets)? {
            let bytes = std::fs::metadata(&elf).map_or(0, |metadata| metadata.len());
            let prestate = match target {
                Target::Mips64 => Some(self.prestate(&elf)?),
                Target::Riscv64 => None,
            };
            let (machine, compiler) = (target.name(), compiler.clone());
            reports.push(Report { program, machine, prestate, bytes, elf, compiler });
        }
        if self.json {
            return print_json(&reports);
        }
        reports.iter().try_for_each(|report| print(&report.text()))
    }

    /// Writes the state before the first step beside the program.
    fn prestate(&self, elf: &Path) -> Result<Prestate> {
        let bytes = std::fs::read(elf).map_err(|error| Failure::reading(elf, &error))?;
        let program = load_program(elf, &bytes, self.memory.limit())?;
        let mut machine = Mips64::new(program.state);
        let state = elf.with_extension("prestate.bin.gz");
        save_state(&machine, &state)?;
        Ok(Prestate { hash: Hex(machine.state_hash()), state })
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!("{} for {}\n", self.program, self.machine);
        if let Some(prestate) = &self.prestate {
            let _ = writeln!(text, "  prestate  0x{}", hex::encode(prestate.hash.0));
        }
        let _ = writeln!(text, "  size      {}", Bytes(self.bytes));
        let _ = writeln!(text, "  program   {}", from_here(&self.elf).display());
        if let Some(prestate) = &self.prestate {
            let _ = writeln!(text, "  state     {}", from_here(&prestate.state).display());
        }
        let _ = writeln!(text, "  compiler  {}", self.compiler);
        text
    }
}

/// A path as a person here would write it.
fn from_here(path: &Path) -> &Path {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// A program that can be built.
pub(crate) struct Place {
    args: PlaceArgs,
    package: String,
    toolchain: Toolchain,
    target_dir: PathBuf,
}

impl PlaceArgs {
    /// Looks for the program, and for what is needed to build it.
    pub(crate) fn find(&self) -> Result<Place> {
        let nothing = |message: String| {
            Failure::input(message).hint(
                "go to the folder of a program, name it with --program, or make one: tribunal new \
                 NAME",
            )
        };
        if !self.directory.join("Cargo.toml").exists() {
            let folder = self.directory.display();
            return Err(nothing(format!("there is no Cargo.toml of a program in {folder}")));
        }
        let toolchain = Toolchain::of(&self.directory).map_err(|error| of_build(error.into()))?;
        let workspace = Workspace::of(&self.directory).map_err(of_build)?;
        let package = workspace.package.filter(|package| !package.executables.is_empty());
        let Some(package) = package else {
            let folder = self.directory.display();
            return Err(nothing(format!("the Cargo.toml in {folder} is of no program")));
        };
        let target_dir = workspace.target_dir.join(FOLDER);
        Ok(Place { args: self.clone(), package: package.name, toolchain, target_dir })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The flags for a cargo that does something else.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        let flags =
            [("--locked", self.locked), ("--offline", self.offline), ("--quiet", self.quiet)];
        flags.into_iter().filter(|(_, wanted)| *wanted).map(|(flag, _)| flag).collect()
    }
}

impl Place {
    /// Builds the executables of the program, and says for each where it is.
    pub(crate) fn build(&self, targets: &[Target]) -> Result<Vec<(String, Target, PathBuf)>> {
        let compile = Compile {
            directory: self.args.directory.clone(),
            packages: vec![self.package.clone()],
            targets: targets.to_vec(),
            target_dir: self.target_dir.join("build"),
            variables: Vec::new(),
            locked: self.args.locked,
            offline: self.args.offline,
            quiet: self.args.quiet,
        };
        let mut programs = Vec::new();
        for Built { program, target, path } in compile.run().map_err(of_build)? {
            let elf = std::fs::read(&path).map_err(|error| Failure::reading(&path, &error))?;
            let folder = self.programs(target);
            std::fs::create_dir_all(&folder).map_err(|error| {
                Failure::environment(format!("cannot make {}: {error}", folder.display()))
            })?;
            let path = folder.join(format!("{program}.elf"));
            write_atomically(&path, |sink| sink.write_all(&elf))?;
            programs.push((program, target, path));
        }
        Ok(programs)
    }

    /// Where the built programs for a machine are.
    pub(crate) fn programs(&self, target: Target) -> PathBuf {
        self.target_dir.join(target.name())
    }
}

/// Who is to mend it, and how.
pub(crate) fn of_build(error: BuildError) -> Failure {
    let message = error.to_string();
    match error {
        BuildError::Toolchain(lacking) => Failure::environment(message).hint(lacking.remedy()),
        BuildError::Io { .. } => Failure::environment(message),
        // Cargo has said it.
        _ => Failure::input(message),
    }
}
