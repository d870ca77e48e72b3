//! The machines that programs are compiled for, as the compiler is told of them.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A machine without an operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// MIPS64, big-endian, soft float: the deployed fault-proof VM.
    Mips64,
    /// RV64IMA without compressed instructions.
    Riscv64,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mips64, Self::Riscv64];

    /// What people, and folders, call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mips64 => "mips64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// What cargo calls the folder it builds into: the name of the target file.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Mips64 => "mips64-fpvm",
            Self::Riscv64 => "riscv64-fpvm",
        }
    }

    const fn specification(self) -> &'static str {
        match self {
            Self::Mips64 => include_str!("../targets/mips64-fpvm.json"),
            Self::Riscv64 => include_str!("../targets/riscv64-fpvm.json"),
        }
    }

    /// Writes the target file into `directory`, unless it is there, and returns where it is.
    pub(crate) fn write(self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(format!("{}.json", self.folder()));
        if fs::read(&path).is_ok_and(|found| found == self.specification().as_bytes()) {
            return Ok(path);
        }
        fs::create_dir_all(directory)?;
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&temporary, self.specification())?;
        fs::rename(&temporary, &path)?;
        Ok(path)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|target| target.name() == text);
        found.ok_or_else(|| format!("no such machine: {text:?}; there are mips64 and riscv64"))
    }
}
