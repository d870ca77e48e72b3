//! `list`: the versions of the machine that this binary has, in Cannon's words.

use clap::Args;
use tribunal_mips64::{STATE_VERSION, VERSION_NAME};

use crate::failure::Result;
use crate::output::print;

/// List the versions of the machine (Cannon).
#[derive(Args, Debug)]
pub(crate) struct List {}

impl List {
    pub(crate) fn execute(&self) -> Result<()> {
        print(&format!(
            "Available cannon versions:\n\
             filename: cannon-{STATE_VERSION}\tversion: {VERSION_NAME} ({STATE_VERSION})\n"
        ))
    }
}
