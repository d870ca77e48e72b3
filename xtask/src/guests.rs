//! `cargo xtask guests`: the programs of `guests/` as ELF files for the fault-proof VMs.
//!
//! The bytes depend on the sources, `Cargo.lock` and the toolchain, and on nothing else: not on the
//! machine, the directory, `CARGO_HOME`, or what the environment says about flags. What an ELF says
//! about where its code came from is relative to the workspace, `/registry` or `/rustc`.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use crate::{cargo, root, run as run_command};

/// Name of an instruction set, and of the target file for it.
const TARGETS: [(&str, &str); 2] = [("mips64", "mips64-fpvm"), ("riscv64", "riscv64-fpvm")];

/// The instruction set whose programs the command line carries with it.
const EMBEDDED: &str = "mips64";

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
    build(&programs)?;
    programs.retain(|program| !NOT_STORED.contains(&program.as_str()));
    stored.map_or(Ok(()), |then| then(&programs))
}

/// Builds all executables of one program for the MIPS64 machine, with `variables` in the
/// environment, and returns the folder they are in.
pub(crate) fn build_for_mips64(program: &str, variables: &[(&str, &str)]) -> Result<PathBuf> {
    let [(_, target), _] = TARGETS;
    let target_dir = compile(&[program.to_owned()], &[target], variables)?;
    Ok(target_dir.join(target).join("guest"))
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

fn build(programs: &[String]) -> Result<()> {
    for program in programs {
        // One at a time: what one program asks of a dependency must not change the bytes of another.
        let targets = TARGETS.map(|(_, target)| target);
        let target_dir = compile(std::slice::from_ref(program), &targets, &[])?;
        for (isa, target) in TARGETS {
            let built = target_dir.join(target).join("guest").join(program);
            let elf = fs::read(&built).with_context(|| format!("cannot read {built:?}"))?;
            let path = elf_path(isa, program);
            write(&path, &elf)?;
            println!("{} {:>8} {}", sha256(&elf), elf.len(), shown(&path));
        }
    }
    Ok(())
}

/// Runs cargo, and returns the folder it built into.
fn compile(programs: &[String], targets: &[&str], variables: &[(&str, &str)]) -> Result<PathBuf> {
    ensure_rust_src()?;
    let target_dir = root().join("target/guests/build");
    let mut cargo = cargo();
    isolated(&mut cargo)
        .env("CARGO_ENCODED_RUSTFLAGS", registry_names()?)
        // The pinned toolchain is a stable one; for a bare target its nightly features are needed.
        .env("RUSTC_BOOTSTRAP", "1")
        .envs(variables.iter().copied())
        .args(["build", "--locked", "--profile", "guest", "--bins"])
        .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"])
        .args(["-Zjson-target-spec", "-Ztrim-paths", "--config", "profile.guest.trim-paths='all'"])
        .arg("--target-dir")
        .arg(&target_dir);
    for program in programs {
        cargo.args(["--package", program]);
    }
    for target in targets {
        cargo.arg("--target").arg(format!("crates/guest/targets/{target}.json"));
    }
    run_command(&mut cargo)?;
    Ok(target_dir)
}

/// Keeps whatever the environment or a configuration file says about flags and profiles away from
/// a cargo: it would change the bytes.
fn isolated(cargo: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let prefixes = [
            "CARGO_BUILD_",
            "CARGO_PROFILE_",
            "CARGO_TARGET_",
            "CARGO_UNSTABLE_",
            "TRIBUNAL_BENCH_",
        ];
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) || text == "RUSTFLAGS" {
            cargo.env_remove(&name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "").env("CARGO_INCREMENTAL", "0")
}

/// Flags that give every registry the same name: a mirror has another directory than the original.
fn registry_names() -> Result<OsString> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().context("neither CARGO_HOME nor HOME is set")?.join(".cargo"),
    };
    let sources = home.join("registry/src");
    if !sources.is_dir() {
        // It has to be there before it can be given another name.
        run_command(isolated(&mut cargo()).args(["fetch", "--locked"]))?;
    }
    let mut flags = OsString::new();
    for entry in fs::read_dir(&sources).with_context(|| format!("cannot list {sources:?}"))? {
        // Between flags goes the unit separator.
        flags.push(if flags.is_empty() { "" } else { "\x1f" });
        flags.push("--remap-path-prefix=");
        flags.push(entry?.path());
        flags.push("=/registry");
    }
    Ok(flags)
}

/// `core` and `alloc` are built from source, which is a component of its own.
fn ensure_rust_src() -> Result<()> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "sysroot"])
        .current_dir(root())
        .output()
        .context("cannot run rustc")?;
    ensure!(output.status.success(), "rustc does not say where its toolchain is");
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists() {
        bail!(
            "the source of the standard library is not installed, and the programs are built with \
             it\nhint: rustup component add rust-src"
        );
    }
    Ok(())
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

fn elf_path(isa: &str, program: &str) -> PathBuf {
    root().join("target/guests").join(isa).join(format!("{program}.elf"))
}

fn stored_path(program: &str) -> PathBuf {
    root().join("guests/elf").join(EMBEDDED).join(format!("{program}.elf.gz"))
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
