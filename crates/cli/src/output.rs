//! Where results go.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tribunal_machine::{to_go_json, write_atomically};

use crate::failure::{Failure, Result};

/// Where a result goes, as Cannon's flags name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A file, gzip if its name ends in `.gz`.
    File(PathBuf),
    /// Nowhere: an empty name.
    Nowhere,
    /// Standard output: `-`.
    Stdout,
}

impl Destination {
    pub(crate) fn new(name: impl Into<OsString>) -> Self {
        let name = name.into();
        if name.is_empty() {
            Self::Nowhere
        } else if name == "-" {
            Self::Stdout
        } else {
            Self::File(name.into())
        }
    }

    /// Writes what `write` writes; nothing is computed for nowhere.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::File(path) => Ok(write_atomically(path, write)?),
            Self::Stdout => {
                let mut sink = io::BufWriter::new(stdout().lock());
                write(&mut sink)
                    .and_then(|()| sink.flush())
                    .map_err(|error| Failure::stdout(&error))
            }
        }
    }

    /// Writes JSON in Cannon's form.
    pub(crate) fn write_json(&self, value: &impl Serialize) -> Result<()> {
        self.write(|sink| sink.write_all(&to_go_json(value)?))
    }

    /// Refuses a file that cannot be, before any work is done for it: in a directory that is not
    /// there, or where a directory is.
    pub(crate) fn check(&self) -> Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        if path.is_dir() {
            return Err(Failure::input(format!(
                "cannot write {}: it is a directory",
                path.display()
            ))
            .hint("name a file in it"));
        }
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        if directory.is_dir() {
            return Ok(());
        }
        Err(Failure::input(format!(
            "cannot write {}: there is no directory {}",
            path.display(),
            directory.display()
        ))
        .hint(format!("make it first: mkdir -p {}", directory.display())))
    }
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))
}

/// Writes one JSON object to standard output, for people and for machines.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(not_encoded)?;
    text.push('\n');
    print(&text)
}

/// Writes a JSON object on a line of its own to standard output.
pub(crate) fn print_line(value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value).map_err(not_encoded)?;
    print(&format!("{line}\n"))
}

fn not_encoded(error: serde_json::Error) -> Failure {
    Failure::environment(format!("cannot encode the result: {error}"))
}

/// A name with the step in it: `%d` stands for the step, `%%` for a percent sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameFormat {
    /// What stands between the steps.
    pieces: Vec<String>,
}

impl NameFormat {
    /// Reads the value of the flag `flag`.
    pub(crate) fn parse(flag: &str, format: &str) -> Result<Self> {
        let mut pieces = vec![String::new()];
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('%') {
            let last = pieces.last_mut().expect("there is always one");
            last.push_str(before);
            if let Some(after) = after.strip_prefix('d') {
                pieces.push(String::new());
                rest = after;
            } else if let Some(after) = after.strip_prefix('%') {
                last.push('%');
                rest = after;
            } else {
                return Err(Failure::input(format!("invalid --{flag} \"{format}\"")).hint(
                    "%d stands for the step and %% for a percent sign; nothing else may follow a %",
                ));
            }
        }
        pieces.last_mut().expect("there is always one").push_str(rest);
        Ok(Self { pieces })
    }

    /// Whether names differ from step to step.
    pub(crate) fn names_the_step(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The name at `step`.
    pub(crate) fn at(&self, step: u64) -> OsString {
        self.pieces.join(&step.to_string()).into()
    }
}

/// Whether a name given to Cannon is that of a binary state.
pub(crate) fn is_binary_state(name: &OsStr) -> bool {
    tribunal_machine::check_state_path(Path::new(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_the_step() {
        let at = |format: &str| NameFormat::parse("x", format).unwrap().at(17);
        assert_eq!(at("proofs/%d.json.gz"), "proofs/17.json.gz");
        assert_eq!(at("%d-%d%%d"), "17-17%d");
        assert_eq!(at("state.bin"), "state.bin");
        assert_eq!(at(""), "");
        assert!(NameFormat::parse("x", "a%d").unwrap().names_the_step());
        assert!(!NameFormat::parse("x", "a%%d").unwrap().names_the_step());
        for format in ["%", "%s", "50%-%d", "%05d"] {
            assert!(NameFormat::parse("x", format).is_err(), "{format}");
        }
    }
}
