//! State files: found by name, gzip by suffix, written to a temporary name and renamed.
//!
//! What the bytes of a state are, the machine itself knows.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::{Machine, ReadState};

/// Bytes that are read, or unpacked, at once.
const READ_BYTES: usize = 1 << 16;

/// Whether a path names a gzip file: by its suffix alone.
pub fn is_gzip(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b".gz")
}

/// Whether a path names a binary state, the only kind there is.
fn is_binary_state(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    name.ends_with(b".bin") || name.ends_with(b".bin.gz")
}

/// Refuses a path that does not name a binary state.
///
/// # Errors
/// [`FileError::NotBinary`].
pub fn check_state_path(path: &Path) -> Result<(), FileError> {
    match is_binary_state(path) {
        true => Ok(()),
        false => Err(FileError::NotBinary { path: path.to_owned() }),
    }
}

/// Reads a state of at most `max_bytes` bytes from a `.bin` or `.bin.gz` file.
///
/// # Errors
/// If there is no such file, it cannot be read, or it holds no state of this machine.
pub fn load_state<M: ReadState>(path: &Path, max_bytes: u64) -> Result<M, FileError> {
    load_state_with(path, |source| M::read_state(source, max_bytes))
}

/// Reads a state from a `.bin` or `.bin.gz` file with `read`, which is to read it all.
///
/// # Errors
/// If there is no such file, it cannot be read, or `read` fails.
pub fn load_state_with<M>(
    path: &Path,
    read: impl FnOnce(&mut dyn Read) -> Result<M, StateFileError>,
) -> Result<M, FileError> {
    check_state_path(path)?;
    let file =
        File::open(path).map_err(|error| FileError::Read { path: path.to_owned(), error })?;
    let mut source: Box<dyn Read> = Box::new(BufReader::with_capacity(READ_BYTES, file));
    if is_gzip(path) {
        source = Box::new(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(source)));
    }
    let result = read(&mut source).and_then(|machine| expect_end(&mut source, machine));
    result.map_err(|error| FileError::State { path: path.to_owned(), error })
}

/// The end of the file: also where gzip compares its checksum.
fn expect_end<M>(reader: &mut dyn Read, machine: M) -> Result<M, StateFileError> {
    match reader.read(&mut [0; 1])? {
        0 => Ok(machine),
        _ => Err(StateFileError::Trailing),
    }
}

/// Writes a state to a `.bin` or `.bin.gz` file.
///
/// # Errors
/// If the name is another one, or the file cannot be written; then there is no new file.
pub fn save_state<M: Machine>(machine: &M, path: &Path) -> Result<(), FileError> {
    check_state_path(path)?;
    write_atomically(path, |sink| machine.write_state(sink))
}

/// Writes a file through `write`, compressed if its name ends in `.gz`, under a temporary name
/// beside it that becomes `path` once all is written.
///
/// # Errors
/// If anything cannot be written; then there is no new file.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    write_and_rename(path, write).map_err(|error| FileError::Write { path: path.to_owned(), error })
}

fn write_and_rename(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    // Renaming over a device or a pipe would replace it: those are written to as they are.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return write_through(path, File::options().write(true).open(path)?, write).map(drop);
    }
    let temporary = tempfile::Builder::new()
        .prefix(".tribunal-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o755))
        .tempfile_in(directory)?;
    let temporary = write_through(path, temporary, write)?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn write_through<W: Write>(
    path: &Path,
    file: W,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<W> {
    let mut sink = BufWriter::with_capacity(1 << 16, file);
    if is_gzip(path) {
        let mut encoder = GzEncoder::new(sink, Compression::fast());
        write(&mut encoder)?;
        sink = encoder.finish()?;
    } else {
        write(&mut sink)?;
    }
    sink.into_inner().map_err(io::IntoInnerError::into_error)
}

/// A state file that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The name is not that of a binary state.
    #[error(
        "{}: a state file is named .bin or .bin.gz (JSON states are no longer supported: \
         make the state anew with load-elf)",
        path.display()
    )]
    NotBinary {
        /// The name.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file holds no state.
    #[error("{} is not a state: {error}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: StateFileError,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Bytes that are not a state.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// They end too early.
    #[error("it ends within {within}: the file is truncated")]
    Truncated {
        /// The field they end in.
        within: &'static str,
    },
    /// They go on after the end.
    #[error("bytes follow the end of the state")]
    Trailing,
    /// Another version of the state.
    #[error("state version {found} ({name}) is not supported; this machine is {expected}")]
    Version {
        /// The version byte.
        found: u8,
        /// What that version is called.
        name: &'static str,
        /// What this machine is called.
        expected: &'static str,
    },
    /// More memory than the limit allows.
    #[error("it holds more than {limit} bytes, the limit on the size of a state")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A field has a value that no state has.
    #[error("{what} cannot be {found:#x}")]
    Value {
        /// The field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// A page is there twice.
    #[error("page {index:#x} is there twice")]
    DuplicatePage {
        /// The address of the page, divided by 4096.
        index: u64,
    },
    /// The bytes cannot be read, or not decompressed.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
}

impl From<io::Error> for StateFileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated { within: "the compressed data" },
            _ => Self::Read(error),
        }
    }
}
