//! `cargo xtask block`: recorded blocks of the OP Stack, executed here or in the machine.
//!
//! Knows which program to build and whom to give it. What a file holds and what must come of it, an
//! example of the program's crate knows, because that needs an EVM.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::guests::build_for_mips64;
use crate::{cargo, root, run as run_command};

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let (mut vm, mut computed, mut files) = (false, false, Vec::new());
    for option in options {
        match *option {
            "--vm" => vm = true,
            "--computed" => computed = true,
            flag if flag.starts_with("--") => bail!("block has no option {flag}"),
            file => files.push(std::path::absolute(file)?),
        }
    }
    if files.is_empty() {
        bail!("name a file of a recorded block, such as testdata/op-stack/*.json.gz");
    }
    let mut example = cargo();
    example.args(["run", "--quiet", "--package", "op-block", "--example", "blocks", "--"]);
    if computed {
        example.arg("--computed");
    }
    if vm {
        example.arg("--vm").arg(elf(computed)?);
    }
    run_command(example.args(files))
}

/// `cargo xtask bench op-block`: what the program costs over the recorded blocks of `testdata/`.
pub(crate) fn bench() -> Result<()> {
    let folder = root().join("testdata/op-stack");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {folder:?}"))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut example = cargo();
    example.args(["run", "--quiet", "--release", "--package", "op-block", "--example", "bench"]);
    run_command(example.arg("--").arg(elf(false)?).arg(elf(true)?).args(files))
}

/// Builds the program for the machine.
fn elf(computed: bool) -> Result<PathBuf> {
    let name = if computed { "op-block-computed" } else { "op-block" };
    Ok(build_for_mips64("op-block", &[])?.join(name))
}
