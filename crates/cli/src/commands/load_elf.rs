//! `load-elf`: from a program to the state before its first step.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use tribunal_machine::Machine as _;
use tribunal_mips64::{KNOWN_VERSIONS, Mips64, VERSION_NAME};

use crate::cli::MemoryArg;
use crate::failure::{Failure, Result};
use crate::input::{load_program, read_program};
use crate::output::{Destination, is_binary_state};

/// Load a program (ELF) into a state (Cannon).
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(crate) struct LoadElf {
    /// The version of the machine: multithreaded64-5.
    #[arg(long = "type", value_name = "VERSION")]
    version: String,

    /// The program: a 64-bit big-endian MIPS ELF file.
    #[arg(long, value_name = "FILE")]
    path: PathBuf,

    /// Where to write the state: a .bin or .bin.gz file, - for standard output, nowhere if empty.
    #[arg(long, value_name = "FILE", default_value = "state.bin.gz")]
    out: OsString,

    /// Where to write the symbols, as JSON: a file, - for standard output, nowhere if empty.
    #[arg(long, value_name = "FILE", default_value = "meta.json")]
    meta: OsString,

    #[command(flatten)]
    memory: MemoryArg,
}

impl LoadElf {
    pub(crate) fn execute(&self) -> Result<()> {
        check_version(&self.version)?;
        let out = Destination::new(&self.out);
        let meta = Destination::new(&self.meta);
        if matches!(out, Destination::File(_)) && !is_binary_state(&self.out) {
            return Err(Failure::input(format!(
                "invalid --out {}: a state file is named .bin or .bin.gz",
                self.out.display()
            )));
        }
        out.check()?;
        meta.check()?;

        let limit = self.memory.limit();
        let bytes = read_program(&self.path, limit)?;
        let program = load_program(&self.path, &bytes, limit)?;
        match (&program.symbols, &meta) {
            (_, Destination::Nowhere) => {}
            (Some(symbols), _) => meta.write_json(symbols)?,
            (None, _) => {
                return Err(Failure::input(format!(
                    "{} has no symbols to write to {}",
                    self.path.display(),
                    self.meta.display()
                ))
                .hint("--meta \"\" does without them, or build the program without stripping it"));
            }
        }
        let machine = Mips64::new(program.state);
        out.write(|sink| machine.write_state(sink))
    }
}

/// Refuses every version but the one there is.
fn check_version(version: &str) -> Result<()> {
    if version == VERSION_NAME {
        return Ok(());
    }
    let message = if KNOWN_VERSIONS.contains(&version) {
        format!("unsupported state version: {version} is an old version of Cannon's machine")
    } else {
        format!("unknown state version: \"{version}\"")
    };
    Err(Failure::input(message).hint(format!("use --type {VERSION_NAME}")))
}
