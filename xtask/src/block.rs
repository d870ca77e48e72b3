//! `cargo xtask block`: recorded blocks of the OP Stack, executed here or in the machine; and what that
//! costs, and what judging a claim about a chain of them does.
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

/// `cargo xtask bench op-block`: what the program costs over the recorded blocks of `testdata/`, or over
/// those of `options`; and where the steps go in the one with the most gas.
pub(crate) fn bench(options: &[&str]) -> Result<()> {
    if let Some(option) = options.iter().find(|option| option.starts_with("--")) {
        bail!("bench op-block has no option {option}: name files of blocks, or none");
    }
    let mut files = options.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
    if files.is_empty() {
        files = files_in("testdata/op-stack")?;
    }
    let mut example = cargo();
    example.args(["run", "--quiet", "--release", "--package", "op-block", "--example", "bench"]);
    run_command(example.arg("--").arg(elf(false)?).arg(elf(true)?).args(files))
}

/// `cargo xtask bench op-program`: what the program `optimism` costs over the claims of
/// `testdata/derivation`, or over those of `options`; with `--profile`, where the steps go.
pub(crate) fn bench_program(options: &[&str]) -> Result<()> {
    let (with_profile, files) = match options {
        ["--profile", files @ ..] => (true, files),
        files => (false, files),
    };
    if let Some(option) = files.iter().find(|file| file.starts_with("--")) {
        bail!("bench op-program has no option {option}, but --profile as the first");
    }
    let mut files = files.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
    if files.is_empty() {
        files = files_in("testdata/derivation")?;
        // Claims are numbered; the rest is what they have in common, and says so.
        files.retain(|file| {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        });
    }
    let program = build_for_mips64("optimism", &[])?.join("optimism");
    let mut example = cargo();
    example.args(["run", "--quiet", "--release", "--package", "optimism", "--example", "judge"]);
    example.arg("--").arg(program);
    if with_profile {
        example.arg("--profile");
    }
    run_command(example.args(files))
}

/// The files of a folder, in the order of their names.
fn files_in(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = root().join(folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {folder:?}"))? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

/// Builds the program for the machine.
fn elf(computed: bool) -> Result<PathBuf> {
    let name = if computed { "op-block-computed" } else { "op-block" };
    Ok(build_for_mips64("op-block", &[])?.join(name))
}
