//! Where preimages are kept, and the one place where each is held against its key.
//!
//! A [`Backend`] only moves bytes. Everyone else sees a [`PreimageStore`], which every backend is and
//! nothing else can be, so that no store can take or give a preimage without the check.

mod database;
mod digits;
mod disk;
mod format;
mod json;
mod memory;
mod wrapped;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tribunal_preimage::{Key, WrongPreimage};

use crate::recording::{RecordingError, RecordingStore};

pub use database::DatabaseStore;
pub use disk::{DiskFormat, DiskStore};
pub use format::StoreFormat;
pub use json::{JsonStore, write_json};
pub use memory::MemoryStore;
pub use wrapped::{Overlay, ReadOnly, Split};

/// Keeps preimages and vouches for each: what goes in and what comes out belongs to its key.
///
/// Of an element of a blob and of the result of a precompiled contract it vouches for the form: nothing
/// here computes them. A store around it that does is a [`Backend`] too, which says
/// [`StoreError::Disproved`].
///
/// Local keys are bound to nothing, so any data may be put there; the last put wins.
pub trait PreimageStore: Backend {
    /// The preimage of `key`, or `None` if it is not here.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is kept does not belong to `key`; whatever the backend reports.
    fn get(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps the preimage of `key`.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if `data` does not belong to `key`: nothing is kept then. Whatever the
    /// backend reports.
    fn put(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError>;

    /// Keeps many preimages, which may be much faster than one by one.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if any of the data does not belong to its key: nothing is kept then.
    /// Whatever the backend reports: some may be kept then.
    fn put_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError>;

    /// Whether the preimage of `key` is here and whole.
    fn has(&self, key: Key) -> bool {
        matches!(self.get(key), Ok(Some(_)))
    }
}

/// Bytes by key, unchecked, from any number of threads at once.
///
/// Implement this to make a [`PreimageStore`]; to use one, use that.
pub trait Backend: Send + Sync {
    /// What is kept for `key`, or `None`.
    ///
    /// # Errors
    /// If there is something that cannot be read.
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps `data` for `key`, in the place of anything already there.
    ///
    /// # Errors
    /// If it cannot be kept. What was there before is still there then.
    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError>;

    /// Keeps many; one by one unless the backend knows better.
    ///
    /// # Errors
    /// As [`Backend::save`]; those before the one that failed may be kept.
    fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        entries.into_iter().try_for_each(|(key, data)| self.save(key, data))
    }

    /// The keys that anything is kept for, in ascending order.
    ///
    /// # Errors
    /// If they cannot be read.
    fn keys(&self) -> Result<Vec<Key>, StoreError>;

    /// What messages call the whole store: `the directory data`.
    fn name(&self) -> String;

    /// What messages call the place where `key` is kept: a file name, if there is one.
    fn place(&self, key: Key) -> String {
        format!("{key} in {}", self.name())
    }
}

impl<B: Backend + ?Sized> PreimageStore for B {
    fn get(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(data) = self.load(key)? else {
            return Ok(None);
        };
        match key.check(&data) {
            Ok(()) => Ok(Some(data)),
            Err(wrong) => Err(StoreError::Damaged { place: self.place(key), wrong }),
        }
    }

    fn put(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        key.check(&data).map_err(|wrong| StoreError::Rejected { store: self.name(), wrong })?;
        self.save(key, data)
    }

    fn put_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        for (key, data) in &entries {
            key.check(data).map_err(|wrong| StoreError::Rejected { store: self.name(), wrong })?;
        }
        self.save_all(entries)
    }
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<B: Backend + ?Sized> Backend for $pointer {
            fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
                (**self).load(key)
            }

            fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
                (**self).save(key, data)
            }

            fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
                (**self).save_all(entries)
            }

            fn keys(&self) -> Result<Vec<Key>, StoreError> {
                (**self).keys()
            }

            fn name(&self) -> String {
                (**self).name()
            }

            fn place(&self, key: Key) -> String {
                (**self).place(key)
            }
        }
    )*};
}

delegate!(&B, Arc<B>, Box<B>);

/// Opens the store at `path`, picking the kind by what is there. Writes nothing unless something is
/// put there, and not every kind takes anything.
///
/// A directory is a [`DatabaseStore`] or a [`DiskStore`], a file is a [`RecordingStore`] or, if its
/// name ends in `.json` or `.json.gz`, a [`JsonStore`].
///
/// # Errors
/// If there is nothing, or nothing that is a store, or it is a damaged one.
pub fn open(path: &Path) -> Result<Box<dyn PreimageStore>, StoreError> {
    let metadata = path.metadata().map_err(|e| StoreError::io("open", path, e))?;
    if metadata.is_dir() {
        return match format::found(path)? {
            Some(StoreFormat::Database) => Ok(Box::new(DatabaseStore::open(path)?)),
            _ => Ok(Box::new(DiskStore::open(path)?)),
        };
    }
    let name = path.to_string_lossy();
    if name.ends_with(".json") || name.ends_with(".json.gz") {
        return Ok(Box::new(JsonStore::open(path)?));
    }
    if RecordingStore::is_at(path)? {
        return Ok(Box::new(RecordingStore::open(path)?));
    }
    Err(StoreError::NotAStore { path: path.into() })
}

/// Opens the store in the directory `dir` for reading and writing, making it if it is not there.
///
/// If there is one, its kind is what it is, whatever is `wanted`; without a marker, what is there tells
/// it.
///
/// # Errors
/// As [`DatabaseStore::create`] and [`DiskStore::create`].
pub fn create(dir: &Path, wanted: StoreFormat) -> Result<Box<dyn PreimageStore>, StoreError> {
    let format = match dir.is_dir() {
        true => format::found(dir)?,
        false => None,
    };
    match format.unwrap_or(wanted).on_disk() {
        None => Ok(Box::new(DatabaseStore::create(dir)?)),
        Some(format) => Ok(Box::new(DiskStore::create(dir, format)?)),
    }
}

/// Why a store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process writes to a database.
    #[error(
        "another process is writing to {}, and there can be only one; wait for it, or use another store",
        .path.display()
    )]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// What is kept for a key does not belong to it.
    #[error("{place} is damaged: {wrong}; remove it, so that it can be put there again")]
    Damaged {
        /// Where it was found.
        place: String,
        /// What is wrong with it.
        #[source]
        wrong: WrongPreimage,
    },
    /// A database cannot be read as one.
    #[error(
        "the database {} is damaged: {reason}; move it away, so that it can be made anew",
        .path.display()
    )]
    DamagedDatabase {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory of a database that op-program or kona-host wrote.
    #[error(
        "{} is a {format} database, which is not supported; let the host that made it write the \
         `directory` format into a new directory (op-program: --data.format, kona-host: --data-format)",
        .dir.display()
    )]
    Database {
        /// The directory.
        dir: PathBuf,
        /// `pebble` or `rocksdb`, or both if it cannot be told.
        format: &'static str,
    },
    /// What is kept for a key has the form that it should have, and is something else: whoever knows how
    /// it is computed has computed it.
    #[error("{place} is damaged: {why}")]
    Disproved {
        /// Where it was found.
        place: String,
        /// What was computed, and what to do.
        why: String,
    },
    /// A file that should hold hex digits holds something else.
    #[error("{place} is damaged: {source}; remove it, so that it can be put there again")]
    Hex {
        /// Where it was found.
        place: String,
        /// What is wrong, and at which digit.
        source: hex::FromHexError,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}{}", .path.display(), advice(.source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A JSON file of preimages is not what it should be.
    #[error("{} is not a JSON file of preimages: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: serde_json::Error,
    },
    /// No store of any kind.
    #[error(
        "{} is not a preimage store: it should be a directory of preimages, a .json or .json.gz \
         file of keys and data, or a recording",
        .path.display()
    )]
    NotAStore {
        /// The path.
        path: PathBuf,
    },
    /// A directory holds another kind of store than it should.
    #[error("{} is a store of the format `{found}`, not `{wanted}`", .dir.display())]
    OtherFormat {
        /// The directory.
        dir: PathBuf,
        /// What it is.
        found: StoreFormat,
        /// What it should be.
        wanted: StoreFormat,
    },
    /// Something was to be put into a store that is only read.
    #[error("{store} is only read, nothing is put there")]
    ReadOnly {
        /// The store.
        store: String,
    },
    /// A file is not the recording that it should be.
    #[error("{}: {source}", .path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordingError,
    },
    /// Data was offered for a key it does not belong to.
    #[error("{store} refused a preimage: {wrong}")]
    Rejected {
        /// The store.
        store: String,
        /// What is wrong with it.
        #[source]
        wrong: WrongPreimage,
    },
    /// A file of preimages is larger than this process is ready to hold.
    #[error("{} holds more than {limit} bytes; use a directory of preimages", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes, after decompression.
        limit: u64,
    },
    /// A directory holds preimages in two formats, and has no marker.
    #[error(
        "{} holds preimages in two formats, `{}` and `{}`, and nothing says which counts; move one kind \
         away, or write the name of the other into {}/{}",
        .dir.display(), .formats[0], .formats[1], .dir.display(), format::MARKER
    )]
    TwoFormats {
        /// The directory.
        dir: PathBuf,
        /// What is in it.
        formats: [StoreFormat; 2],
    },
    /// The marker file names a format nobody knows.
    #[error(
        "{} names the unknown format {found:?}; known are `redb`, `directory` and `file`: write \
         there which it is, or remove the file, and what is beside it tells",
        .marker.display()
    )]
    UnknownFormat {
        /// The marker file.
        marker: PathBuf,
        /// What it holds.
        found: String,
    },
}

impl StoreError {
    /// Whether a preimage is there that is not what it should be, so that it can be put there again.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Disproved { .. } | Self::Hex { .. })
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}

/// What to do about an error that users meet.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a place that you may use so, or change its permissions"
        }
        io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => {
            "; free some space there, then start again: nothing is left half written"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_users_meet_say_what_to_do() {
        // ENOSPC, EROFS, EACCES, ENOENT
        for (errno, words) in [
            (28, "No space left on device (os error 28); free some space"),
            (30, "; choose a place that you may use so"),
            (13, "; choose a place that you may use so"),
            (2, "; check the path"),
        ] {
            let source = io::Error::from_raw_os_error(errno);
            let error = StoreError::io("write", Path::new("data/02ab"), source).to_string();
            assert!(error.starts_with("cannot write data/02ab: "), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }
}
