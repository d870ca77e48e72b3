//! The toolchain that compiles a program, and what it lacks.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler that a folder's `rust-toolchain.toml`, or whoever overrides it, chooses.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// What it says of itself: `rustc 1.95.0 (59807616e 2026-04-14)`.
    version: String,
}

/// Why nothing can be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// There is no compiler.
    #[error("cannot run {program}: {source}")]
    NoCompiler {
        /// What was tried.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is nothing to link with, and what runs while a program is built has to be.
    #[error("there is no linker: cc is not in the path")]
    NoLinker,
    /// The source of the standard library is missing.
    #[error(
        "the source of the standard library is not installed, and programs are built with it (it \
         should be in {})", .library.display()
    )]
    NoSource {
        /// Where it should be.
        library: PathBuf,
    },
    /// The compiler does not work.
    #[error("rustc does not say what it is{}{said}", if .said.is_empty() { "" } else { ": " })]
    Refused {
        /// What it, or rustup in its place, says.
        said: String,
    },
}

impl ToolchainError {
    /// The one command that mends it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NoCompiler { .. } => {
                "install Rust: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
            }
            Self::NoLinker if cfg!(target_os = "macos") => "xcode-select --install",
            Self::NoLinker => "apt-get install gcc, or whatever brings cc on this system",
            Self::NoSource { .. } => "rustup component add rust-src",
            Self::Refused { .. } => "rustup toolchain install",
        }
    }
}

impl Toolchain {
    /// The toolchain that `directory` is compiled with.
    ///
    /// # Errors
    /// If there is none, or it lacks the source of the standard library.
    pub fn of(directory: &Path) -> Result<Self, ToolchainError> {
        let sysroot = PathBuf::from(ask(directory, &["--print", "sysroot"])?);
        let library = sysroot.join("lib/rustlib/src/rust/library");
        if !library.join("core/Cargo.toml").exists() {
            return Err(ToolchainError::NoSource { library });
        }
        Ok(Self { version: ask(directory, &["--version"])? })
    }

    /// What the compiler says of itself.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Whether what Rust links with by itself is in the path. Who has told cargo of another linker needs
/// none, so this matters only where a build has failed.
///
/// # Errors
/// If it is not.
pub fn check_linker() -> Result<(), ToolchainError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join("cc").is_file());
    if there || cfg!(not(unix)) { Ok(()) } else { Err(ToolchainError::NoLinker) }
}

/// The program in the variable that cargo sets for those it runs, or in the path.
pub(crate) fn program(variable: &str, name: &str) -> OsString {
    std::env::var_os(variable).filter(|value| !value.is_empty()).unwrap_or_else(|| name.into())
}

fn ask(directory: &Path, arguments: &[&str]) -> Result<String, ToolchainError> {
    let rustc = program("RUSTC", "rustc");
    let answer = Command::new(&rustc).args(arguments).current_dir(directory).output();
    let answer = answer.map_err(|source| ToolchainError::NoCompiler {
        program: rustc.to_string_lossy().into_owned(),
        source,
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match answer.status.success() {
        true => Ok(text(&answer.stdout)),
        false => Err(ToolchainError::Refused { said: text(&answer.stderr) }),
    }
}
