//! `witness`: the state hash and the witness of a state.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, Machine as _, load_state};
use tribunal_mips64::{Mips64, STATE_VERSION};

use crate::cli::MemoryArg;
use crate::failure::Result;
use crate::output::Destination;

/// Print the hash and the witness of a state (Cannon).
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(crate) struct Witness {
    /// The state: a .bin or .bin.gz file.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Also write the bare witness, 188 bytes, to this file.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    output: std::ffi::OsString,

    #[command(flatten)]
    memory: MemoryArg,
}

/// What op-challenger reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    state_version: u8,
    witness_hash: Hex<Hash>,
    witness: Hex<Vec<u8>>,
    step: u64,
    exited: bool,
    exit_code: u8,
}

impl Witness {
    pub(crate) fn execute(&self) -> Result<()> {
        let output = match self.output.is_empty() {
            true => Destination::Nowhere,
            false => Destination::File((&self.output).into()),
        };
        output.check()?;
        let mut machine: Mips64 = load_state(&self.input, self.memory.limit())?;
        let witness = machine.witness();
        output.write(|sink| sink.write_all(&witness))?;
        let state = machine.state();
        let answer = Answer {
            state_version: STATE_VERSION,
            step: state.step,
            exited: state.exited != 0,
            exit_code: state.exit_code,
            witness_hash: Hex(machine.state_hash()),
            witness: Hex(witness),
        };
        Destination::Stdout.write_json(&answer)
    }
}
