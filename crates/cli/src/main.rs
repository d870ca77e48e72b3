//! The `tribunal` command line.
//!
//! Knows arguments, terminals, files and exit statuses, and is the only crate that prints. What a state
//! means, how a step is taken and where a preimage comes from, others know.

mod chain;
mod cli;
mod commands;
mod engines;
mod evidence;
mod failure;
mod indexed;
mod input;
mod interrupt;
mod judge;
mod logfmt;
mod native;
mod nodes;
mod op_host;
mod output;
mod programs;
mod progress;
mod running;
mod speaker;
mod stores;
mod style;
mod symbol;
mod units;
mod watch;
mod world;

use std::ffi::OsString;
use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::cli::{Cli, Command};
use crate::failure::{Result, Statuses};

fn main() -> ExitCode {
    // Cargo starts this executable in the place of the compiler where programs are built.
    if let Some(code) = tribunal_build::stand_in() {
        return code;
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let statuses = cli::statuses(&arguments);
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, statuses),
    };
    match execute(cli) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            // Without standard error, the exit status still tells.
            let _ = stderr().write_all(failure.report().as_bytes());
            ExitCode::from(failure.status(statuses))
        }
    }
}

/// Runs a command. Returns the exit status of one that did what it was asked to.
fn execute(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::LoadElf(command) => command.execute().map(|()| 0),
        Command::Run(command) => command.execute().map(|()| 0),
        Command::Witness(command) => command.execute().map(|()| 0),
        Command::List(command) => command.execute().map(|()| 0),
        Command::Exec(command) => command.execute(),
        Command::Record(command) => command.execute(),
        Command::Claim(command) => command.execute(),
        Command::Sample(command) => command.execute(),
        Command::Prove(command) => command.execute(),
        Command::Verify(command) => command.execute(),
        Command::Calldata(command) => command.execute(),
        Command::Inspect(command) => command.execute(),
        Command::Convert(command) => command.execute(),
        Command::Host(command) => command.execute(),
        Command::Doctor(command) => command.execute(),
        Command::New(command) => command.execute().map(|()| 0),
        Command::Build(command) => command.execute().map(|()| 0),
        Command::Test(command) => command.execute(),
        Command::Demo(command) => command.execute(),
        Command::Completions(command) => command.execute().map(|()| 0),
    }
}

/// Shows help or the version, or what is wrong with the command line.
fn refuse(error: &clap::Error, statuses: Statuses) -> ExitCode {
    // Whoever reads it may have had enough.
    let _ = error.print();
    match (error.kind(), statuses) {
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, _) => ExitCode::SUCCESS,
        (_, Statuses::Cannon) => ExitCode::from(1),
        (_, Statuses::Tribunal) => ExitCode::from(2),
    }
}
