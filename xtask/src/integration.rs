//! `cargo xtask integration`: fetching from real nodes.
//!
//! Knows where geth and anvil are to be had, in which versions: geth through Go's module proxy, which
//! takes a Go toolchain and some minutes once, anvil as an npm package. What is asked of them is in
//! `crates/optimism-host/tests/integration.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{cargo, root, run as run_command};

/// The last version whose dependencies the module proxy has.
const GETH: &str = "v1.17.6";

const ANVIL: &str = "1.7.1";

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let record = match options {
        [] => false,
        ["--record"] => true,
        _ => bail!("integration takes --record or nothing, not {}", options.join(" ")),
    };
    let home = root().join("target/nodes");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {home:?}"))?;
    let (geth, anvil) = (geth(&home)?, anvil(&home)?);
    let mut test = cargo();
    test.args(["test", "--package", "tribunal-optimism-host", "--features", "integration"]);
    // One node at a time: each wants a machine to itself.
    test.args(["--test", "integration", "--", "--test-threads=1"]);
    test.env("GETH", geth).env("ANVIL", anvil);
    if record {
        test.env("RECORD", "1");
    }
    run_command(&mut test)
}

fn geth(home: &Path) -> Result<PathBuf> {
    let folder = home.join(format!("geth-{GETH}"));
    let program = folder.join("geth");
    if !program.exists() {
        println!("building geth {GETH} into target/nodes");
        let module = format!("github.com/ethereum/go-ethereum/cmd/geth@{GETH}");
        let mut go = Command::new("go");
        go.args(["install", &module]).env("GOBIN", &folder).env("CGO_ENABLED", "0");
        run_command(&mut go).context("geth cannot be built; that takes Go and a network, once")?;
    }
    Ok(program)
}

fn anvil(home: &Path) -> Result<PathBuf> {
    let system = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-amd64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-amd64",
        ("macos", "aarch64") => "darwin-arm64",
        (system, processor) => bail!("there is no anvil for {system} on {processor}"),
    };
    let folder = home.join(format!("anvil-{ANVIL}"));
    let program = folder.join(format!("node_modules/@foundry-rs/anvil-{system}/bin/anvil"));
    if !program.exists() {
        println!("installing anvil {ANVIL} into target/nodes");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {folder:?}"))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--fetch-retries=1", "--prefix"]);
        npm.arg(&folder).arg(format!("@foundry-rs/anvil-{system}@{ANVIL}"));
        run_command(&mut npm).context("anvil cannot be installed; that takes npm, once")?;
    }
    Ok(program)
}
