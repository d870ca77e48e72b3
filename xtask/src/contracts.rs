//! `cargo xtask contracts`: the contracts as ABI and bytecode, which are checked in.
//!
//! The only part of the project that needs Node, because the compiler is an npm package. Which one is
//! pinned by `contracts/package.json`, its settings stand in `contracts/solc.json`.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{build_cargo, cargo, root, run as run_command};

/// The most bytes of code that a chain takes (EIP-170).
const MAX_CODE_BYTES: usize = 24_576;

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let write = match options {
        [] => true,
        ["--check"] => false,
        _ => bail!("contracts takes --check or nothing, not {}", options.join(" ")),
    };
    let compiler = Compiler::ready()?;
    compile(&compiler, write)
}

/// For the gate: `contracts --check`, where the compiler is or can be had. Without it nothing is
/// known of the artifacts, so nothing is held against them.
pub(crate) fn check_if_possible() -> Result<()> {
    match Compiler::ready() {
        Ok(compiler) => compile(&compiler, false),
        Err(error) if error.is::<NoCompiler>() => {
            println!("not checked whether contracts/artifacts is up to date: {error}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Writes the artifacts, or compares them with those that are checked in.
fn compile(compiler: &Compiler, write: bool) -> Result<()> {
    let artifacts = compiler.artifacts()?;
    for artifact in &artifacts {
        let spare = MAX_CODE_BYTES.checked_sub(artifact.code_bytes);
        let spare = spare.with_context(|| format!("{} does not fit EIP-170", artifact.name))?;
        println!("{:<15} {:>6} bytes, {spare} to spare", artifact.name, artifact.code_bytes);
    }
    if write {
        for artifact in &artifacts {
            write_atomically(&artifact.path(), &artifact.text)?;
        }
        return Ok(());
    }
    for artifact in &artifacts {
        ensure!(
            artifact.is_checked_in(),
            "{} is not what the sources compile to: run `cargo xtask contracts`",
            artifact.path().display()
        );
    }
    println!("the artifacts are what the sources compile to");
    Ok(())
}

/// `cargo xtask bench gas [ARTIFACT…]`: what steps cost, ours and those of other artifacts.
pub(crate) fn gas(artifacts: &[&str]) -> Result<()> {
    let mut example = example("gas");
    for artifact in artifacts {
        example.arg(std::path::absolute(artifact)?);
    }
    run_command(&mut example)
}

/// `cargo xtask soak`: steps on the reference and on our contract.
pub(crate) fn soak(options: &[&str]) -> Result<()> {
    run_command(example("soak").args(options))
}

/// For the gate: as much of it as takes half a minute, as the tests have compiled it.
pub(crate) fn short_soak(steps: &str) -> Result<()> {
    // As the tests were built: for one package alone, an EVM would be built once more.
    let soak = build_cargo(&mut cargo(), &["--workspace", "--example", "soak"])?;
    run_command(Command::new(soak).current_dir(root()).args(["--steps", steps]))
}

/// What needs an EVM is an example of the crate that has one.
pub(crate) fn example(name: &str) -> Command {
    let mut example = cargo();
    example.args(["run", "--quiet", "--release", "--package", "tribunal-onchain"]);
    example.args(["--example", name, "--"]);
    example
}

/// The pinned compiler, installed.
struct Compiler {
    script: PathBuf,
    version: String,
}

impl Compiler {
    /// Installs it if it is not there yet.
    fn ready() -> Result<Self> {
        require("node")?;
        let contracts = root().join("contracts");
        let home = root().join("target/solc");
        let wanted = read_json(&contracts.join("package.json"))?;
        let version =
            wanted["devDependencies"]["solc"].as_str().context("package.json: no solc")?;
        let package = home.join("node_modules/solc");
        let installed = read_json(&package.join("package.json")).unwrap_or_default();
        if installed["version"] != version {
            require("npm")?;
            fs::create_dir_all(&home).with_context(|| format!("cannot make {home:?}"))?;
            for file in ["package.json", "package-lock.json"] {
                fs::copy(contracts.join(file), home.join(file))
                    .with_context(|| format!("cannot copy contracts/{file} to {home:?}"))?;
            }
            println!("installing solc {version} into target/solc");
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund", "--fetch-retries=1"]).current_dir(&home);
            let unreachable = "the compiler cannot be installed; that takes a network, once";
            run_command(&mut npm).context(NoCompiler(unreachable.into()))?;
        }
        Ok(Self { script: package.join("solc.js"), version: version.to_owned() })
    }

    fn artifacts(&self) -> Result<Vec<Artifact>> {
        let contracts = root().join("contracts");
        let mut input = read_json(&contracts.join("solc.json"))?;
        input["sources"] = sources(&contracts)?;
        let output = self.compile(&input)?;
        if let Some(message) = output["errors"].as_array().and_then(|messages| messages.first()) {
            let text = message["formattedMessage"].as_str().unwrap_or_default();
            // A warning that nobody minds is one that nobody reads.
            bail!("solc says:\n{text}");
        }
        let wanted = input["settings"]["outputSelection"].as_object();
        let mut artifacts = Vec::new();
        for file in wanted.context("solc.json: no outputSelection")?.keys() {
            let compiled = output["contracts"][file].as_object();
            for (name, contract) in compiled.with_context(|| format!("solc left out {file}"))? {
                artifacts.push(self.artifact(name, contract)?);
            }
        }
        Ok(artifacts)
    }

    fn artifact(&self, name: &str, contract: &Value) -> Result<Artifact> {
        let code = |which: &str| {
            let digits = contract["evm"][which]["object"].as_str();
            digits
                .map(|digits| format!("0x{digits}"))
                .with_context(|| format!("{name}: no {which}"))
        };
        let runtime = code("deployedBytecode")?;
        let artifact = json!({
            "contractName": name,
            "compiler": format!("solc {}", self.version),
            "abi": contract["abi"],
            "bytecode": code("bytecode")?,
            "deployedBytecode": runtime,
        });
        Ok(Artifact {
            name: name.to_owned(),
            code_bytes: (runtime.len() - 2) / 2,
            text: serde_json::to_string_pretty(&artifact)? + "\n",
        })
    }

    /// Runs the compiler from file to file: it loses what does not fit into a pipe at once.
    fn compile(&self, input: &Value) -> Result<Value> {
        let folder = root().join("target/solc");
        let (from, to) = (folder.join("input.json"), folder.join("output.json"));
        fs::write(&from, serde_json::to_vec(input)?)
            .with_context(|| format!("cannot write {from:?}"))?;
        let output = File::create(&to).with_context(|| format!("cannot write {to:?}"))?;
        run_command(
            Command::new("node")
                .arg(&self.script)
                .arg("--standard-json")
                .stdin(File::open(&from)?)
                .stdout(output),
        )?;
        let text = fs::read_to_string(&to)?;
        // A line for people may stand in front.
        let start = text.find('{').context("solc wrote no JSON")?;
        serde_json::from_str(&text[start..]).context("solc wrote broken JSON")
    }
}

/// What a contract compiles to.
struct Artifact {
    name: String,
    code_bytes: usize,
    text: String,
}

impl Artifact {
    fn path(&self) -> PathBuf {
        root().join("contracts/artifacts").join(format!("{}.json", self.name))
    }

    fn is_checked_in(&self) -> bool {
        fs::read_to_string(self.path()).is_ok_and(|text| text == self.text)
    }
}

/// Every Solidity file, by the path that imports name it by.
fn sources(contracts: &Path) -> Result<Value> {
    let mut sources = serde_json::Map::new();
    for folder in ["", "interfaces", "libraries"] {
        let folder_path = contracts.join(folder);
        let files =
            fs::read_dir(&folder_path).with_context(|| format!("cannot list {folder_path:?}"))?;
        for file in files {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "sol") {
                let name = path.strip_prefix(contracts)?.to_string_lossy().replace('\\', "/");
                sources.insert(name, json!({ "content": fs::read_to_string(&path)? }));
            }
        }
    }
    Ok(Value::Object(sources))
}

/// The compiler is not there, which is nobody's fault.
#[derive(Debug)]
struct NoCompiler(String);

impl fmt::Display for NoCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoCompiler {}

fn require(program: &str) -> Result<()> {
    let found =
        Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if found {
        return Ok(());
    }
    bail!(NoCompiler(format!(
        "there is no {program}, which the compiler of the contracts needs (https://nodejs.org); \
         nothing else does, as contracts/artifacts is checked in"
    )))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path:?}"))?;
    serde_json::from_str(&text).with_context(|| format!("{path:?} is no JSON"))
}

fn write_atomically(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().context("a file in no folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {parent:?}"))?;
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text).with_context(|| format!("cannot write {temporary:?}"))?;
    fs::rename(&temporary, path).with_context(|| format!("cannot write {path:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_that_is_not_there_is_no_mistake_of_the_artifacts() {
        let absent = require("a-program-that-nobody-has").unwrap_err();
        assert!(absent.is::<NoCompiler>());
        let told: Result<()> = Err(anyhow::anyhow!("npm failed"));
        assert!(told.context(NoCompiler(String::new())).unwrap_err().is::<NoCompiler>());
        assert!(!read_json(Path::new("no/such/file")).unwrap_err().is::<NoCompiler>());
    }

    /// Needs Node, and the compiler that `cargo xtask contracts` installs: a test takes no network.
    #[test]
    fn artifacts_are_what_the_sources_compile_to() {
        if require("node").is_err() || !root().join("target/solc/node_modules/solc").exists() {
            eprintln!("not tested: run `cargo xtask contracts --check`, which needs Node");
            return;
        }
        for artifact in Compiler::ready().unwrap().artifacts().unwrap() {
            assert!(artifact.is_checked_in(), "{} is not up to date", artifact.name);
        }
    }
}
