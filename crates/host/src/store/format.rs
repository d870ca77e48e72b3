//! Which kind of store a directory holds, and the marker file that says so.
//!
//! ```text
//! kvformat    `directory`, `file` or `redb`: the kind, nothing else
//! ```
//!
//! Where there is none, or an empty one, the names of what is there tell the kind.
//!
//! op-program, kona-host and op-challenger know the first two, and refuse the third by its name.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::str::FromStr;

use super::{DiskFormat, StoreError};

/// Name of the file that says which format a directory has.
pub(super) const MARKER: &str = "kvformat";

/// Name of the file that is a database.
pub(super) const DATABASE: &str = "preimages.redb";

/// How preimages are kept in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreFormat {
    /// An embedded database: see [`DatabaseStore`](super::DatabaseStore).
    #[default]
    Database,
    /// A file for each preimage, spread over directories: see [`DiskStore`](super::DiskStore).
    Directory,
    /// A file for each preimage, all in one directory: see [`DiskStore`](super::DiskStore).
    File,
}

impl StoreFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Database, Self::Directory, Self::File];

    /// The word in the marker file and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "redb",
            Self::Directory => DiskFormat::Directory.name(),
            Self::File => DiskFormat::File.name(),
        }
    }

    /// The format of files, if it is one.
    pub(super) const fn on_disk(self) -> Option<DiskFormat> {
        match self {
            Self::Database => None,
            Self::Directory => Some(DiskFormat::Directory),
            Self::File => Some(DiskFormat::File),
        }
    }
}

impl From<DiskFormat> for StoreFormat {
    fn from(format: DiskFormat) -> Self {
        match format {
            DiskFormat::Directory => Self::Directory,
            DiskFormat::File => Self::File,
        }
    }
}

impl fmt::Display for StoreFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StoreFormat {
    type Err = UnknownStoreFormat;

    fn from_str(name: &str) -> Result<Self, UnknownStoreFormat> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(UnknownStoreFormat)
    }
}

/// A word that names no [`StoreFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the format of a store is `redb`, `directory` or `file`")]
pub struct UnknownStoreFormat;

/// Makes the directory `dir` if it is not there, and marks it as what it is, or as of the `wanted`
/// format if it is nothing yet; returns what it then is.
pub(super) fn claim(dir: &Path, wanted: StoreFormat) -> Result<StoreFormat, StoreError> {
    fs::create_dir_all(dir).map_err(|e| StoreError::io("make the directory", dir, e))?;
    match read_marker(dir)? {
        Some(format) => Ok(format),
        None => {
            refuse_database(dir)?;
            let format = match layout(dir)? {
                // Marked otherwise, what is there would not be found any more.
                Layout::Preimages(found) => found,
                Layout::Empty | Layout::Foreign => wanted,
            };
            write_marker(dir, format)
        }
    }
}

/// The format of the store in `dir`, by its marker or by what is there, if it is one already.
pub(super) fn found(dir: &Path) -> Result<Option<StoreFormat>, StoreError> {
    if let Some(format) = read_marker(dir)? {
        return Ok(Some(format));
    }
    Ok(match layout(dir)? {
        Layout::Preimages(format) => Some(format),
        Layout::Empty | Layout::Foreign => None,
    })
}

/// What a directory without a marker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Nothing.
    Empty,
    /// Other things than preimages.
    Foreign,
    /// Preimages of this format, whatever else.
    Preimages(StoreFormat),
}

/// Tells from names what a directory holds. Fails if preimages are there in two formats.
pub(super) fn layout(dir: &Path) -> Result<Layout, StoreError> {
    let in_context = |error| StoreError::io("read", dir, error);
    let (mut empty, mut format) = (true, None);
    // Directories as a writer makes them before the first preimage in each.
    let mut prepared = false;
    for entry in fs::read_dir(dir).map_err(in_context)? {
        let entry = entry.map_err(in_context)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == MARKER {
            continue;
        }
        empty = false;
        let found = if name == DATABASE {
            StoreFormat::Database
        } else if name.strip_prefix("0x").is_some_and(|rest| is_file_of(rest, 64)) {
            StoreFormat::File
        } else if name.len() == 4 && is_hex(&name) && entry.path().is_dir() {
            prepared = true;
            if format == Some(StoreFormat::Directory) || !holds_files_of(&entry.path(), 60)? {
                continue;
            }
            StoreFormat::Directory
        } else {
            continue;
        };
        match format.replace(found) {
            Some(other) if other != found => {
                return Err(StoreError::TwoFormats { dir: dir.into(), formats: [other, found] });
            }
            _ => {}
        }
    }
    Ok(match format.or(prepared.then_some(StoreFormat::Directory)) {
        Some(format) => Layout::Preimages(format),
        None if empty => Layout::Empty,
        None => Layout::Foreign,
    })
}

/// Whether a directory holds a file whose name is so many digits.
fn holds_files_of(dir: &Path, digits: usize) -> Result<bool, StoreError> {
    let in_context = |error| StoreError::io("read", dir, error);
    for entry in fs::read_dir(dir).map_err(in_context)? {
        if is_file_of(&entry.map_err(in_context)?.file_name().to_string_lossy(), digits) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_file_of(name: &str, digits: usize) -> bool {
    name.strip_suffix(".txt").is_some_and(|name| name.len() == digits && is_hex(name))
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the marker says, if there is one. One that is empty, as a machine that lost its power may
/// leave it, says nothing.
pub(super) fn read_marker(dir: &Path) -> Result<Option<StoreFormat>, StoreError> {
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
        "" => Ok(None),
        "pebble" => Err(StoreError::Database { dir: dir.into(), format: "pebble" }),
        "rocksdb" => Err(StoreError::Database { dir: dir.into(), format: "rocksdb" }),
        name => match name.parse() {
            Ok(format) => Ok(Some(format)),
            Err(UnknownStoreFormat) => {
                Err(StoreError::UnknownFormat { marker, found: found.into_owned() })
            }
        },
    }
}

/// Writes the marker, unless another process was faster; returns what it then says.
pub(super) fn write_marker(dir: &Path, format: StoreFormat) -> Result<StoreFormat, StoreError> {
    let marker = dir.join(MARKER);
    let in_context = |error| StoreError::io("write", &marker, error);
    let file = write_aside(dir, &marker, format.name().as_bytes())?;
    // What is lost of other files is missing; of this one, everything might be.
    file.as_file().sync_all().map_err(in_context)?;
    match file.persist_noclobber(&marker) {
        Ok(_) => Ok(format),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => match read_marker(dir)? {
            Some(found) => Ok(found),
            None => match error.file.persist(&marker) {
                Ok(_) => Ok(format),
                Err(error) => Err(in_context(error.error)),
            },
        },
        Err(error) => Err(in_context(error.error)),
    }
}

/// Older hosts wrote databases without a marker; both kinds have this file.
pub(super) fn refuse_database(dir: &Path) -> Result<(), StoreError> {
    if dir.join("CURRENT").exists() {
        return Err(StoreError::Database { dir: dir.into(), format: "pebble or rocksdb" });
    }
    Ok(())
}

/// Writes a file in `dir` that is to be `path`, and that vanishes unless it becomes so.
pub(super) fn write_aside(
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
