//! Why an index does not answer.

use std::io;
use std::path::{Path, PathBuf};

use tribunal_machine::StateFileError;
use tribunal_preimage::{Key, OracleError};

/// Why an index cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file does not hold what was written to it.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The directory holds other things.
    #[error("{} is not an index, and not empty", directory.display())]
    NoIndex {
        /// The directory.
        directory: PathBuf,
    },
    /// Another version of the format, or another machine.
    #[error("{} is an index of another kind: {what}", directory.display())]
    Kind {
        /// The directory.
        directory: PathBuf,
        /// How it differs.
        what: String,
    },
    /// The index of another prestate.
    #[error("{} is the index of another run: {what}", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// How it differs.
        what: String,
    },
    /// The index of a run with another input.
    #[error(
        "{} is the index of another run: the preimage of {key} was another one there",
        directory.display()
    )]
    OtherInput {
        /// The directory.
        directory: PathBuf,
        /// The key.
        key: Key,
    },
    /// Another process has it.
    #[error("{} is in use by another process that writes to it", directory.display())]
    Busy {
        /// The directory.
        directory: PathBuf,
    },
    /// The state in a snapshot is none, or larger than it may be.
    #[error("{} holds no state: {error}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: StateFileError,
    },
    /// An input of the run cannot be asked for.
    #[error(transparent)]
    Input(#[from] OracleError),
}

impl IndexError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { action, path, error }
    }

    pub(crate) fn damaged(path: &Path, what: &'static str) -> Self {
        Self::Damaged { path: path.to_owned(), what }
    }
}
