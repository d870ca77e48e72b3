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
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use tribunal_preimage::Key;

use super::format::{
    Layout, MARKER, StoreFormat, claim, layout, read_marker, refuse_database, write_aside,
    write_marker,
};
use super::{Backend, StoreError, digits};

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
    /// If it has a marker, that says the format, whatever is `wanted`; else it gets one, of the format
    /// of the preimages that are there, or else of the `wanted` one.
    ///
    /// # Errors
    /// If the directory or its marker cannot be made or read, or the marker names a format that is
    /// not supported.
    pub fn create(dir: &Path, wanted: DiskFormat) -> Result<Self, StoreError> {
        let format = disk_format(dir, claim(dir, wanted.into())?, wanted)?;
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
            let format = disk_format(dir, format, DiskFormat::default())?;
            return Ok(Self { dir: dir.into(), format, marked: OnceLock::from(()) });
        }
        refuse_database(dir)?;
        let format = match layout(dir)? {
            Layout::Empty => DiskFormat::default(),
            Layout::Foreign => return Err(StoreError::NotAStore { path: dir.into() }),
            Layout::Preimages(found) => disk_format(dir, found, DiskFormat::default())?,
        };
        Ok(Self { dir: dir.into(), format, marked: OnceLock::new() })
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
            None => write_marker(&self.dir, self.format.into())?,
        };
        if format != StoreFormat::from(self.format) {
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
        match digits::decode(&digits) {
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
        let file = write_aside(&self.dir, &path, digits::encode(&data).as_bytes())?;
        match file.persist(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::io("write", &path, error.error)),
        }
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let mut keys = Vec::new();
        let mut add = |name: &Path| {
            let digits: String = name.to_string_lossy().replace('/', "");
            let key = digits.strip_suffix(".txt").and_then(|digits| digits.parse().ok());
            // What would not be found under its key is none of ours.
            keys.extend(key.filter(|key| self.format.file_name(*key) == name));
        };
        match self.format {
            DiskFormat::File => names(&self.dir)?.iter().for_each(|name| add(name)),
            DiskFormat::Directory => {
                for dir in names(&self.dir)?.into_iter().filter(|name| name.as_os_str().len() == 4)
                {
                    names(&self.dir.join(&dir))?.iter().for_each(|name| add(&dir.join(name)));
                }
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    fn name(&self) -> String {
        format!("the directory {}", self.dir.display())
    }

    fn place(&self, key: Key) -> String {
        self.dir.join(self.format.file_name(key)).display().to_string()
    }
}

/// `found`, if it is a format of files.
fn disk_format(
    dir: &Path,
    found: StoreFormat,
    wanted: DiskFormat,
) -> Result<DiskFormat, StoreError> {
    let other = || StoreError::OtherFormat { dir: dir.into(), found, wanted: wanted.into() };
    found.on_disk().ok_or_else(other)
}

/// The names of what is in a directory; none if it is no directory.
fn names(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let in_context = |error| StoreError::io("read", dir, error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(in_context(error)),
    };
    entries.map(|entry| Ok(entry.map_err(in_context)?.file_name().into())).collect()
}
