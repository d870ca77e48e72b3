//! `completions`: what a shell needs to complete our command line.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::failure::Result;
use crate::output::print;

/// Print the completions for a shell.
///
/// For bash: tribunal completions bash > ~/.local/share/bash-completion/completions/tribunal
#[derive(Args, Debug)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute(&self) -> Result<()> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "tribunal", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
