//! A run's inputs in one file: what it began with, each hint, each preimage, and how it ended.
//!
//! Knows the file (`docs/formats.md` draws it) and how one is made while a run goes on. What the bytes
//! of a program mean, whoever runs it knows.

mod reader;
mod recorder;
mod writer;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use tribunal_preimage::{Key, WrongPreimage};

use crate::store::{Backend, MemoryStore, StoreError};

pub use recorder::Recorder;
pub use writer::RecordingWriter;

/// What a recording begins with.
const MAGIC: [u8; 8] = *b"recorded";
const VERSION: u64 = 1;

/// The kinds of records.
const PROGRAM: u8 = b'p';
const HINT: u8 = b'h';
const PREIMAGE: u8 = b'k';
const END: u8 = b'e';

/// The most that is read of one file, in bytes after decompression.
const LIMIT: u64 = 4 << 30;

/// The state a run begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Its name among machines, as Cannon has it: `multithreaded64-5`.
    pub machine: String,
    /// The hash of the state.
    pub prestate: [u8; 32],
    /// Its step.
    pub step: u64,
}

/// The last state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// With which code the program ended, if it did; else something kept it from that.
    pub exit_code: Option<u8>,
    /// The hash of the state.
    pub state_hash: [u8; 32],
    /// Its step.
    pub step: u64,
}

/// A run's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The state it began with.
    pub beginning: Beginning,
    /// A state file of that state, if the recording has it.
    pub program: Option<Vec<u8>>,
    /// What the program told and asked, in its order.
    pub events: Vec<Asked>,
    /// How it ended.
    pub end: End,
}

/// What a program told or asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A hint.
    Hint(Vec<u8>),
    /// A preimage, when it was asked for first.
    Preimage(Key, Vec<u8>),
}

impl Recording {
    /// The hints, in their order.
    pub fn hints(&self) -> impl Iterator<Item = &[u8]> {
        self.events.iter().filter_map(|event| match event {
            Asked::Hint(hint) => Some(hint.as_slice()),
            Asked::Preimage(..) => None,
        })
    }

    /// The preimages, in the order in which they were asked for first.
    pub fn preimages(&self) -> impl Iterator<Item = (Key, &[u8])> {
        self.events.iter().filter_map(|event| match event {
            Asked::Hint(_) => None,
            Asked::Preimage(key, data) => Some((*key, data.as_slice())),
        })
    }

    /// Reads the recording at `path`, and checks all of it.
    ///
    /// # Errors
    /// What is wrong with it, and that it is that file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
        Self::read(&mut BufReader::new(file), LIMIT)
            .map_err(|source| StoreError::Recording { path: path.into(), source })
    }
}

/// The preimages of a recording. Nothing is put there.
#[derive(Debug)]
pub struct RecordingStore {
    path: PathBuf,
    preimages: MemoryStore,
}

impl RecordingStore {
    /// Reads the recording at `path`.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::of(path, Recording::open(path)?))
    }

    /// The preimages of a recording that was read from `path`.
    pub fn of(path: &Path, recording: Recording) -> Self {
        let preimages = recording.events.into_iter().filter_map(|event| match event {
            Asked::Hint(_) => None,
            Asked::Preimage(key, data) => Some((key, data)),
        });
        Self { path: path.into(), preimages: preimages.collect() }
    }

    /// Whether the file at `path` begins as a recording does.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_at(path: &Path) -> Result<bool, StoreError> {
        let in_context = |error| StoreError::io("read", path, error);
        let mut start = [0; MAGIC.len()];
        match File::open(path).map_err(in_context)?.read_exact(&mut start) {
            Ok(()) => Ok(start == MAGIC),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(in_context(error)),
        }
    }
}

impl Backend for RecordingStore {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.preimages.load(key)
    }

    fn save(&self, _: Key, _: Vec<u8>) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { store: self.name() })
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.preimages.keys()
    }

    fn name(&self) -> String {
        format!("the recording {}", self.path.display())
    }
}

/// Whether `bytes` begin as a recording does.
pub fn is_recording(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Why a file is no recording, or not a whole one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The checksum over all of it does not match.
    #[error("the recording is damaged: its checksum does not match; get it anew")]
    Checksum,
    /// What is compressed in it cannot be decompressed.
    #[error("the recording is damaged: {0}; get it anew")]
    Compression(io::Error),
    /// It does not begin as one.
    #[error("this is not a recording")]
    Foreign,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// It says something twice, or in the wrong place.
    #[error("the recording is damaged: {0}")]
    Misplaced(Misplaced),
    /// It holds more than this process is ready to hold.
    #[error("the recording holds more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes, after decompression.
        limit: u64,
    },
    /// Something follows its end.
    #[error("the recording is damaged: something follows its end")]
    Trailing,
    /// It ends too early.
    #[error(
        "the recording is incomplete: it ends within {0}; record the run again, or copy it again"
    )]
    Truncated(&'static str),
    /// Its version is not known.
    #[error("the recording has version {found}, and only {VERSION} is known; get a newer tribunal")]
    Version {
        /// The version it has.
        found: u64,
    },
    /// A preimage does not belong to its key.
    #[error("the recording is damaged: {0}")]
    Wrong(#[from] WrongPreimage),
}

/// What is in the wrong place of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// A preimage that was there before.
    Again(Key),
    /// A program after the run has begun, or a second one.
    Program,
    /// A record of no known kind.
    Record(u8),
    /// A byte that should be 0 or 1, or a name that is not text.
    Value,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again(key) => write!(f, "{key} is there twice"),
            Self::Program => f.write_str("a program follows after the run has begun"),
            Self::Record(kind) => write!(f, "there is a record of the unknown kind {kind}"),
            Self::Value => f.write_str("it holds a value that has no meaning"),
        }
    }
}
