//! `cargo xtask vectors`: runs conformance vectors on an engine.

use std::path::Path;

use anyhow::{Result, bail};
use tribunal_conformance::{failures, read_vectors, reference};

use crate::contracts::example;
use crate::run as run_command;

/// Failures shown in full; the rest is counted.
const SHOWN: usize = 20;

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let (engine, files) = match options {
        ["--engine", engine, files @ ..] => (*engine, files),
        files => ("reference", files),
    };
    if files.is_empty() {
        bail!("name a file of vectors, such as testdata/vectors/mips64-single-step.jsonl.gz");
    }
    match engine {
        "reference" => run_reference(files),
        "contract" => run_contract(files),
        _ => bail!("there is no engine \"{engine}\"; there are: reference, contract"),
    }
}

fn run_reference(files: &[&str]) -> Result<()> {
    let (mut count, mut failed) = (0, Vec::new());
    for file in files {
        let vectors = read_vectors(Path::new(file))?;
        count += vectors.len();
        failed.extend(failures(&mut reference, &vectors));
    }
    failed.iter().take(SHOWN).for_each(|failure| println!("{failure}"));
    println!("{} passed, {} failed", count - failed.len(), failed.len());
    match failed.len() {
        0 => Ok(()),
        _ => bail!("the reference differs from the deployed contract"),
    }
}

/// The contract runs in an example of its crate, because that needs an EVM.
fn run_contract(files: &[&str]) -> Result<()> {
    let mut example = example("vectors");
    for file in files {
        example.arg(std::path::absolute(file)?);
    }
    run_command(&mut example)
}
