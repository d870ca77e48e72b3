//! Preimages as files, as op-program, kona-host and op-challenger read and write them.
//!
//! ```text
//! kvformat                       `directory` or `file`, nothing else: which of the two follows
//! 02ab/cdef…60 digits….txt       directory: the key's hex digits, the first four as a directory
//! 0x02abcdef…64 digits….txt      file
//! ```
//!
//! A file holds the preimage as lower-case hex digits: no `0x`, no line end. It is written under
//! another name and renamed, so other processes may use the directory at the same time.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use tribunal_preimage::Key;

use super::{Backend, StoreError};

/// Name of the file that says which format a directory has.
const MARKER: &str = "kvformat";

/// How preimages are laid out in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFormat {
    /// Spread over directories by the first four digits of the key: what hosts write today.
    #[default]
    Directory,
    /// All in one directory: what op-program used to write.
    File,
}

impl DiskFormat {
    /// The word in the marker file and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File => "file",
        }
    }

    fn file_name(self, key: Key) -> PathBuf {
        match self {
            Self::Directory => {
                let digits = hex::encode(key.as_bytes());
                let (dir, name) = digits.split_at(4);
                Path::new(dir).join(format!("{name}.txt"))
            }
            Self::File => format!("{key}.txt").into(),
        }
    }
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DiskFormat {
    type Err = UnknownDiskFormat;

    fn from_str(name: &str) -> Result<Self, UnknownDiskFormat> {
        match name {
            "directory" => Ok(Self::Directory),
            "file" => Ok(Self::File),
            _ => Err(UnknownDiskFormat),
        }
    }
}

/// A word that names no [`DiskFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the format of a preimage directory is `directory` or `file`")]
pub struct UnknownDiskFormat;

/// A directory of preimages.
#[derive(Debug)]
pub struct DiskStore {
    dir: PathBuf,
    format: DiskFormat,
    /// Set once the marker is known to be on disk.
    marked: OnceLock<()>,
}

impl DiskStore {
    /// Opens the directory `dir`, making it if it is not there.
    ///
    /// If it has a marker, that says the format, whatever is `wanted`; else it gets one that says
    /// `wanted`.
    ///
    /// # Errors
    /// If the directory or its marker cannot be made or read, or the marker names a format that is
    /// not supported.
    pub fn create(dir: &Path, wanted: DiskFormat) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|e| StoreError::io("make the directory", dir, e))?;
        let format = match read_marker(dir)? {
            Some(format) => format,
            None => {
                refuse_database(dir)?;
                write_marker(dir, wanted)?
            }
        };
        Ok(Self { dir: dir.into(), format, marked: OnceLock::from(()) })
    }

    /// Opens a directory that exists, writing nothing unless something is put there.
    ///
    /// Without a marker the format is told from what is in the directory.
    ///
    /// # Errors
    /// If there is no such directory, it cannot be read, holds other things than preimages, or its
    /// marker names a format that is not supported.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        if let Some(format) = read_marker(dir)? {
            return Ok(Self { dir: dir.into(), format, marked: OnceLock::from(()) });
        }
        refuse_database(dir)?;
        Ok(Self { dir: dir.into(), format: guess_format(dir)?, marked: OnceLock::new() })
    }

    /// The format in use.
    pub const fn format(&self) -> DiskFormat {
        self.format
    }

    /// Makes sure that others read what is put here the way it is written.
    fn mark(&self) -> Result<(), StoreError> {
        if self.marked.get().is_some() {
            return Ok(());
        }
        let format = match read_marker(&self.dir)? {
            Some(format) => format,
            None => write_marker(&self.dir, self.format)?,
        };
        if format != self.format {
            // Another process decided otherwise since this one looked.
            let marker = self.dir.join(MARKER);
            let changed = "the format has changed since the directory was opened; start again";
            return Err(StoreError::io("use", &marker, std::io::Error::other(changed)));
        }
        self.marked.get_or_init(|| ());
        Ok(())
    }
}

impl Backend for DiskStore {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.dir.join(self.format.file_name(key));
        let digits = match fs::read(&path) {
            Ok(digits) => digits,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        match hex::decode(&digits) {
            Ok(data) => Ok(Some(data)),
            Err(source) => Err(StoreError::Hex { place: self.place(key), source }),
        }
    }

    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        self.mark()?;
        let path = self.dir.join(self.format.file_name(key));
        if let (DiskFormat::Directory, Some(parent)) = (self.format, path.parent()) {
            // Only the one level: a store that was removed should not come back in part.
            match fs::create_dir(parent) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(StoreError::io("make the directory", parent, error));
                }
                _ => {}
            }
        }
        let file = write_aside(&self.dir, &path, hex::encode(data).as_bytes())?;
        match file.persist(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::io("write", &path, error.error)),
        }
    }

    fn name(&self) -> String {
        format!("the directory {}", self.dir.display())
    }

    fn place(&self, key: Key) -> String {
        self.dir.join(self.format.file_name(key)).display().to_string()
    }
}

/// Writes a file in `dir` that is to be `path`, and that vanishes unless it becomes so.
fn write_aside(
    dir: &Path,
    path: &Path,
    bytes: &[u8],
) -> Result<tempfile::NamedTempFile, StoreError> {
    let in_context = |error| StoreError::io("write", path, error);
    let mut file = tempfile::Builder::new()
        .prefix(".writing-")
        // As any other new file: the host and op-challenger need not be the same user.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(in_context)?;
    file.write_all(bytes).map_err(in_context)?;
    Ok(file)
}

/// What the marker says, if there is one.
fn read_marker(dir: &Path) -> Result<Option<DiskFormat>, StoreError> {
    /// Longer than any format's name.
    const LONGEST: u64 = 64;

    let marker = dir.join(MARKER);
    let in_context = |error| StoreError::io("read", &marker, error);
    let file = match File::open(&marker) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(in_context(error)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(in_context)?;
    let found = String::from_utf8_lossy(&bytes);
    // Nobody writes a line end there, but people's editors do.
    match found.trim_ascii_end() {
        "pebble" => Err(StoreError::Database { dir: dir.into(), format: "pebble" }),
        "rocksdb" => Err(StoreError::Database { dir: dir.into(), format: "rocksdb" }),
        name => match name.parse() {
            Ok(format) => Ok(Some(format)),
            Err(UnknownDiskFormat) => {
                Err(StoreError::UnknownFormat { marker, found: found.into_owned() })
            }
        },
    }
}

/// Writes the marker, unless another process was faster; returns what it then says.
fn write_marker(dir: &Path, format: DiskFormat) -> Result<DiskFormat, StoreError> {
    let marker = dir.join(MARKER);
    let file = write_aside(dir, &marker, format.name().as_bytes())?;
    match file.persist_noclobber(&marker) {
        Ok(_) => Ok(format),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            Ok(read_marker(dir)?.unwrap_or(format))
        }
        Err(error) => Err(StoreError::io("write", &marker, error.error)),
    }
}

/// Older hosts wrote databases without a marker; both kinds have this file.
fn refuse_database(dir: &Path) -> Result<(), StoreError> {
    if dir.join("CURRENT").exists() {
        return Err(StoreError::Database { dir: dir.into(), format: "pebble or rocksdb" });
    }
    Ok(())
}

/// Tells the format of a directory without a marker from the first preimage in it.
fn guess_format(dir: &Path) -> Result<DiskFormat, StoreError> {
    let in_context = |error| StoreError::io("read", dir, error);
    let mut empty = true;
    for entry in fs::read_dir(dir).map_err(in_context)? {
        let name = entry.map_err(in_context)?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        empty = false;
        let is_hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
        if name.len() == 4 && is_hex(&name) {
            return Ok(DiskFormat::Directory);
        }
        let digits = name.strip_prefix("0x").and_then(|rest| rest.strip_suffix(".txt"));
        if digits.is_some_and(|digits| digits.len() == 64 && is_hex(digits)) {
            return Ok(DiskFormat::File);
        }
    }
    if empty {
        return Ok(DiskFormat::default());
    }
    Err(StoreError::NotAStore { path: dir.into() })
}
