//! `test`: a program's tests, natively and in the machine.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;
use tribunal_build::Target;

use crate::commands::build::{PlaceArgs, of_build};
use crate::failure::{Failure, Result};
use crate::output::print;
use crate::style::Style;

/// How the tests know in what to run the program: see `tribunal_guest::testing`.
const MACHINE: &str = "TRIBUNAL_TEST_MACHINE";
const PROGRAMS: &str = "TRIBUNAL_TEST_PROGRAMS";

/// Run the tests of the program in this folder natively, then the same tests in the machine.
///
/// A test that asks run_program! for an exit status gets that of the function the first time, and that
/// of the built program the second. The exit status is 0 if all pass, 1 if one does not.
#[derive(Args, Debug)]
pub(crate) struct Test {
    #[command(flatten)]
    place: PlaceArgs,

    /// Run them natively only.
    #[arg(long, conflicts_with = "vm")]
    native: bool,

    /// Run them in the machine only.
    #[arg(long)]
    vm: bool,

    /// What cargo test is given: names of tests, or -- and what the tests are given.
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Test {
    pub(crate) fn execute(&self) -> Result<u8> {
        let place = self.place.find()?;
        if !self.vm {
            headline("natively")?;
            if !self.cargo_test(&[])? {
                return Ok(1);
            }
        }
        if !self.native {
            headline("in the machine")?;
            place.build(&[Target::Mips64])?;
            let machine = std::env::current_exe().map_err(|error| {
                Failure::environment(format!("cannot find this executable: {error}"))
            })?;
            let programs = std::path::absolute(place.programs(Target::Mips64));
            let programs = programs.map_err(|error| Failure::environment(error.to_string()))?;
            let variables = [(MACHINE, machine.into_os_string()), (PROGRAMS, programs.into())];
            if !self.cargo_test(&variables)? {
                return Ok(1);
            }
        }
        Ok(0)
    }

    /// Whether all tests pass.
    fn cargo_test(&self, variables: &[(&str, OsString)]) -> Result<bool> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut cargo = Command::new(cargo);
        cargo.arg("test").args(self.place.flags()).args(&self.arguments);
        cargo.current_dir(self.place.directory()).env_remove(MACHINE).env_remove(PROGRAMS);
        cargo.envs(variables.iter().map(|(name, value)| (name, value)));
        let status = cargo.status();
        let status =
            status.map_err(|error| Failure::environment(format!("cannot run cargo: {error}")))?;
        if !status.success() {
            // Cargo would have it that the test is at fault.
            tribunal_build::check_linker().map_err(|error| of_build(error.into()))?;
        }
        Ok(status.success())
    }
}

fn headline(text: &str) -> Result<()> {
    print(&format!("{}\n", Style::of_stdout().strong(text)))
}
