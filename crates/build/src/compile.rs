//! One cargo, told everything that the bytes of a program depend on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::compiler::STANDS_IN;
use crate::target::Target;
use crate::toolchain::{Toolchain, ToolchainError, check_linker, program};

/// How programs are compiled, whatever the manifest or a configuration file says.
const PROFILE: [&str; 8] = [
    "profile.guest.inherits='release'",
    "profile.guest.codegen-units=1",
    "profile.guest.debug=false",
    "profile.guest.incremental=false",
    "profile.guest.lto='fat'",
    "profile.guest.opt-level=3",
    "profile.guest.panic='abort'",
    "profile.guest.strip='none'",
];

/// What the environment may not say to a cargo: it would change the bytes.
const FORBIDDEN: [&str; 5] =
    ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_UNSTABLE_", "TRIBUNAL_BENCH_"];

/// What to compile, and how.
#[derive(Clone, Debug)]
pub struct Compile {
    /// The folder cargo is started in: that of the program, or of its workspace.
    pub directory: PathBuf,
    /// The packages whose executables are wanted; none means the one in `directory`.
    pub packages: Vec<String>,
    /// For which machines.
    pub targets: Vec<Target>,
    /// Where cargo may keep what it builds.
    pub target_dir: PathBuf,
    /// Variables that the program's build is given.
    pub variables: Vec<(String, String)>,
    /// Whether `Cargo.lock` must be what it has to be.
    pub locked: bool,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Whether cargo says nothing but what is wrong.
    pub quiet: bool,
}

/// An executable for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The name of the executable.
    pub program: String,
    /// The machine it is for.
    pub target: Target,
    /// Where cargo left it.
    pub path: PathBuf,
}

/// What cargo says of the folder a program is in.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The package whose manifest is in that folder, if there is one.
    pub package: Option<Package>,
    /// Where it keeps what it builds.
    pub target_dir: PathBuf,
}

/// A package that may be a program.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The names of its executables.
    pub executables: Vec<String>,
}

/// Why a program could not be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo could not do it, and has said why.
    #[error("cargo could not build it ({status})")]
    Failed {
        /// How it ended.
        status: ExitStatus,
    },
    /// A file of ours could not be read or written.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is nothing to build.
    #[error("there is no Cargo.toml of a program in {}{said}", .directory.display())]
    NoProgram {
        /// Where it was looked for.
        directory: PathBuf,
        /// What cargo says, on lines of its own.
        said: String,
    },
    /// Something is not installed.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
}

impl Compile {
    /// Compiles, and returns the executables in the order of their names and targets.
    ///
    /// What cargo has to say goes to standard error.
    ///
    /// # Errors
    /// If the toolchain lacks something, or cargo fails.
    pub fn run(&self) -> Result<Vec<Built>, BuildError> {
        Toolchain::of(&self.directory)?;
        let mut cargo = isolated_cargo(&self.directory);
        let this = std::env::current_exe().map_err(|source| BuildError::Io {
            what: "find",
            path: "this executable".into(),
            source,
        })?;
        cargo
            .env("RUSTC_WRAPPER", this)
            .env(STANDS_IN, "1")
            // The pinned toolchain is a stable one; for a bare target its nightly features are
            // needed.
            .env("RUSTC_BOOTSTRAP", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(["build", "--profile", "guest", "--bins", "--target-dir"])
            .arg(&self.target_dir)
            .args(["--message-format", "json-render-diagnostics"])
            .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"])
            .arg("-Zjson-target-spec");
        for setting in PROFILE {
            cargo.args(["--config", setting]);
        }
        for (flag, wanted) in
            [("--locked", self.locked), ("--offline", self.offline), ("--quiet", self.quiet)]
        {
            if wanted {
                cargo.arg(flag);
            }
        }
        for package in &self.packages {
            cargo.args(["--package", package]);
        }
        let specifications = self.target_dir.join("targets");
        for target in &self.targets {
            let path = target.write(&specifications).map_err(|source| BuildError::Io {
                what: "write a target file to",
                path: specifications.clone(),
                source,
            })?;
            cargo.arg("--target").arg(path);
        }
        let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(no_cargo)?;
        if !output.status.success() {
            check_linker()?;
            return Err(BuildError::Failed { status: output.status });
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let mut built: Vec<Built> = messages.lines().filter_map(executable).collect();
        built.sort_by(|a, b| (&a.program, a.target).cmp(&(&b.program, b.target)));
        Ok(built)
    }
}

impl Workspace {
    /// Asks cargo about the program in `directory`.
    ///
    /// # Errors
    /// If there is no cargo, or it finds no package there.
    pub fn of(directory: &Path) -> Result<Self, BuildError> {
        let mut cargo = isolated_cargo(directory);
        cargo.args(["metadata", "--format-version", "1", "--no-deps"]);
        let output = cargo.output().map_err(no_cargo)?;
        let nothing = |said: &str| BuildError::NoProgram {
            directory: directory.to_owned(),
            said: format!("\n{}", said.trim()).trim_end().to_owned(),
        };
        if !output.status.success() {
            return Err(nothing(&String::from_utf8_lossy(&output.stderr)));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| nothing(&error.to_string()))?;
        let target_dir = metadata["target_directory"].as_str().map(PathBuf::from);
        let here = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let package = packages
            .filter(|package| {
                let manifest = package["manifest_path"].as_str().map(Path::new);
                let folder = manifest.and_then(Path::parent);
                folder.and_then(|folder| fs::canonicalize(folder).ok()) == Some(here.clone())
            })
            .map(package_of)
            .next();
        let target_dir = target_dir.ok_or_else(|| nothing("cargo names no target directory"))?;
        Ok(Self { package, target_dir })
    }
}

impl Workspace {
    /// Has cargo put `Cargo.lock` in order, from what is on this machine.
    pub(crate) fn settle(directory: &Path) -> io::Result<ExitStatus> {
        let mut cargo = isolated_cargo(directory);
        cargo.args(["metadata", "--format-version", "1", "--offline"]);
        cargo.stdout(Stdio::null()).stderr(Stdio::null()).status()
    }
}

fn package_of(package: &Value) -> Package {
    let is_executable = |target: &&Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
    };
    let targets = package["targets"].as_array().into_iter().flatten();
    let names = targets.filter(is_executable).filter_map(|target| target["name"].as_str());
    Package {
        name: package["name"].as_str().unwrap_or_default().to_owned(),
        executables: names.map(str::to_owned).collect(),
    }
}

/// A cargo that neither the environment nor a configuration file tells anything about flags.
fn isolated_cargo(directory: &Path) -> Command {
    let mut cargo = Command::new(program("CARGO", "cargo"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // Where to keep what is built is for whoever asked to say.
        let harmless = text == "CARGO_TARGET_DIR";
        if FORBIDDEN.iter().any(|prefix| text.starts_with(prefix)) && !harmless {
            cargo.env_remove(&name);
        }
    }
    cargo
        .current_dir(directory)
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTC_WORKSPACE_WRAPPER", "");
    cargo
}

fn no_cargo(source: io::Error) -> BuildError {
    ToolchainError::NoCompiler {
        program: program("CARGO", "cargo").to_string_lossy().into_owned(),
        source,
    }
    .into()
}

/// The executable for a machine that a message of cargo tells of.
fn executable(message: &str) -> Option<Built> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    let is_in = |target: &Target| path.components().any(|part| part.as_os_str() == target.folder());
    let target = Target::ALL.into_iter().find(is_in)?;
    Some(Built { program: message["target"]["name"].as_str()?.to_owned(), target, path })
}
