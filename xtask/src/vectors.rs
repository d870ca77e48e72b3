//! `cargo xtask vectors`: runs conformance vectors on an engine.

use std::path::Path;

use anyhow::{Result, bail};
use tribunal_conformance::{
    Engine, Outcome, Vector, failures, read_vectors, reference, run_vector,
};
use tribunal_jit::{Compiler, Options, Portable, PortableOptions};
use tribunal_mips64::{Mips64, State};

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
        "reference" => run_here(&mut reference, files),
        "fast" => run_here(&mut fast()?, files),
        "portable" => run_here(&mut portable, files),
        "contract" => run_contract(files),
        _ => {
            bail!("there is no engine \"{engine}\"; there are: reference, fast, portable, contract")
        }
    }
}

fn run_here(engine: &mut dyn Engine, files: &[&str]) -> Result<()> {
    let (mut count, mut failed) = (0, Vec::new());
    for file in files {
        let vectors = read_vectors(Path::new(file))?;
        count += vectors.len();
        failed.extend(failures(engine, &vectors));
    }
    failed.iter().take(SHOWN).for_each(|failure| println!("{failure}"));
    println!("{} passed, {} failed", count - failed.len(), failed.len());
    match failed.len() {
        0 => Ok(()),
        _ => bail!("the engine differs from the deployed contract"),
    }
}

/// The compiler, which compiles each instruction at once and alone: or else the reference would
/// take every step.
fn fast() -> Result<impl Engine> {
    let options = Options { warm: 0, max_block: 1 };
    let compiler = move |state| {
        Compiler::new(Mips64::new(state), options)
            .map_err(|(_, error)| format!("code cannot be compiled here: {error}"))
    };
    compiler(State::new(0)).map_err(anyhow::Error::msg)?;
    Ok(move |vector: &Vector| match compiler(vector.state.clone()) {
        Ok(compiler) => run_vector(compiler, vector),
        Err(error) => Outcome::Refused(error),
    })
}

/// Blocks decoded at once, each instruction alone.
fn portable(vector: &Vector) -> Outcome {
    let options = PortableOptions { warm: 0, max_block: 1 };
    run_vector(Portable::new(Mips64::new(vector.state.clone()), options), vector)
}

/// The contract runs in an example of its crate, because that needs an EVM.
fn run_contract(files: &[&str]) -> Result<()> {
    let mut example = example("vectors");
    for file in files {
        example.arg(std::path::absolute(file)?);
    }
    run_command(&mut example)
}
