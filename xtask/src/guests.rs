//! `cargo xtask guests`: the programs of `guests/` as ELF files for the fault-proof VMs.
//!
//! How a program is compiled, and that its bytes depend on no machine and no directory, is the
//! business of `crates/build`, which `tribunal build` uses too.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tribunal_build::{BuildError, Built, Compile, Target};

use crate::root;

/// The machine whose programs the command line carries with it.
const EMBEDDED: Target = Target::Mips64;

/// Programs that nothing but `cargo xtask bench` runs, which builds them.
const NOT_STORED: [&str; 1] = ["bench"];

/// An embedded program is a few hundred kilobytes; a damaged file must not fill the memory.
const MAX_ELF_BYTES: u64 = 64 << 20;

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let stored = match options {
        [] => None,
        ["--update"] => Some(store as fn(&[String]) -> Result<()>),
        ["--check"] => Some(check as fn(&[String]) -> Result<()>),
        _ => bail!("guests takes --update, --check or nothing, not {}", options.join(" ")),
    };
    let mut programs = programs()?;
    if stored.is_some() {
        programs.retain(|program| !NOT_STORED.contains(&program.as_str()));
    }
    build(&programs)?;
    stored.map_or(Ok(()), |then| then(&programs))
}

/// Builds all executables of one program for the MIPS64 machine, with `variables` in the
/// environment, and returns the folder they are in.
pub(crate) fn build_for_mips64(program: &str, variables: &[(&str, &str)]) -> Result<PathBuf> {
    let built = compile(program, &[Target::Mips64], variables)?;
    let folder = built.first().and_then(|built| built.path.parent());
    folder.map(Path::to_path_buf).with_context(|| format!("{program} has no executable"))
}

/// The names of the programs: the folders of `guests/` that are crates.
fn programs() -> Result<Vec<String>> {
    let guests = root().join("guests");
    let mut names = Vec::new();
    for entry in fs::read_dir(&guests).with_context(|| format!("cannot list {guests:?}"))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// What a program is built for: everything, but for those that take minutes to build, as long as only
/// one machine runs them.
fn targets(program: &str) -> &'static [Target] {
    if ["op-block", "optimism"].contains(&program) { &[Target::Mips64] } else { &Target::ALL }
}

/// Each by itself: built together, the features that one of them asks of a crate would be in all.
fn build(programs: &[String]) -> Result<()> {
    for name in programs {
        for Built { program, target, path } in compile(name, targets(name), &[])? {
            if program != *name {
                continue;
            }
            let elf = fs::read(&path).with_context(|| format!("cannot read {path:?}"))?;
            let path = elf_path(target, &program);
            write(&path, &elf)?;
            println!("{} {:>8} {}", sha256(&elf), elf.len(), shown(&path));
        }
    }
    Ok(())
}

/// Builds the executables of one program.
fn compile(program: &str, targets: &[Target], variables: &[(&str, &str)]) -> Result<Vec<Built>> {
    let compile = Compile {
        directory: root(),
        packages: vec![program.to_owned()],
        targets: targets.to_vec(),
        target_dir: root().join("target/guests/build"),
        variables: variables.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        locked: true,
        offline: false,
        quiet: false,
    };
    compile.run().map_err(|error| match error {
        BuildError::Toolchain(lacking) => anyhow!("{lacking}\nhint: {}", lacking.remedy()),
        error => error.into(),
    })
}

/// Puts the built programs where the command line takes them from.
fn store(programs: &[String]) -> Result<()> {
    for program in programs {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&fs::read(elf_path(EMBEDDED, program))?)?;
        let path = stored_path(program);
        write(&path, &gzip.finish()?)?;
        println!("stored {}", shown(&path));
    }
    Ok(())
}

/// Fails unless the stored programs are the built ones.
fn check(programs: &[String]) -> Result<()> {
    let mut different = Vec::new();
    for program in programs {
        let built = sha256(&fs::read(elf_path(EMBEDDED, program))?);
        let path = stored_path(program);
        let stored = match fs::File::open(&path) {
            Ok(file) => {
                let mut elf = Vec::new();
                GzDecoder::new(file)
                    .take(MAX_ELF_BYTES)
                    .read_to_end(&mut elf)
                    .with_context(|| format!("cannot read {}", shown(&path)))?;
                sha256(&elf)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "none".to_owned(),
            Err(error) => return Err(error).with_context(|| format!("cannot open {path:?}")),
        };
        println!("{program}\n  built  {built}\n  stored {stored} {}", shown(&path));
        if built != stored {
            different.push(program.as_str());
        }
    }
    ensure!(
        different.is_empty(),
        "what is stored of {} is not what its source gives\nhint: if the source was meant to \
         change, `cargo xtask guests --update`; otherwise compare `rustc -vV` with \
         rust-toolchain.toml",
        different.join(", ")
    );
    Ok(())
}

fn elf_path(target: Target, program: &str) -> PathBuf {
    root().join("target/guests").join(target.name()).join(format!("{program}.elf"))
}

fn stored_path(program: &str) -> PathBuf {
    root().join("guests/elf").join(EMBEDDED.name()).join(format!("{program}.elf.gz"))
}

/// Writes a file that is either there as a whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {folder:?}"))?;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("cannot write {path:?}"))
}

/// A path as a person in the workspace would write it.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
