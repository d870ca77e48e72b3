//! Preimages in an embedded database: one file in a directory, the default of our own commands.
//!
//! ```text
//! kvformat          `redb`, nothing else
//! preimages.redb    a redb database; its table `preimages` leads from keys (32 bytes) to data
//! ```
//!
//! What has been put is on the disk: neither the end of the process nor of the machine loses it. One
//! process writes, any number of them read at the same time.

use std::any::Any;
use std::fmt;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase as _,
    ReadableTable as _, TableDefinition,
};
use tribunal_preimage::Key;

use super::format::{DATABASE, StoreFormat, claim, found};
use super::{Backend, StoreError};

const PREIMAGES: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("preimages");

/// What is kept of the file in memory, in bytes.
const CACHE: usize = 64 << 20;

/// A database of preimages.
pub struct DatabaseStore {
    path: PathBuf,
    handle: Handle,
}

enum Handle {
    Reader(ReadOnlyDatabase),
    Writer(Database),
}

impl DatabaseStore {
    /// Opens the database in the directory `dir` for reading and writing, making both if they are not
    /// there.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if another process writes to it; [`StoreError::OtherFormat`] if the
    /// directory holds another kind of store; what the operating system says.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        match claim(dir, StoreFormat::Database)? {
            StoreFormat::Database => {}
            found => return Err(other_format(dir, found)),
        }
        let path = dir.join(DATABASE);
        let handle = guard(&path, || {
            let database = builder().create(&path)?;
            // Readers find a table from the beginning.
            let transaction = database.begin_write()?;
            transaction.open_table(PREIMAGES)?;
            transaction.commit()?;
            Ok(Handle::Writer(database))
        })?;
        Ok(Self { path, handle })
    }

    /// Opens the database in the directory `dir` for reading only.
    ///
    /// If a writer was killed, what it left is put in order first, which does write.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        match found(dir)? {
            Some(StoreFormat::Database) => {}
            Some(found) => return Err(other_format(dir, found)),
            None => return Err(StoreError::NotAStore { path: dir.into() }),
        }
        let path = dir.join(DATABASE);
        let read = || Ok(Handle::Reader(builder().open_read_only(&path)?));
        let handle = guard(&path, || match builder().open_read_only(&path) {
            Ok(database) => Ok(Handle::Reader(database)),
            Err(redb::DatabaseError::RepairAborted) => {
                drop(builder().open(&path)?);
                read()
            }
            Err(error) => Err(error.into()),
        })?;
        Ok(Self { path, handle })
    }

    fn read(&self) -> Result<ReadTransaction, redb::Error> {
        Ok(match &self.handle {
            Handle::Reader(database) => database.begin_read()?,
            Handle::Writer(database) => database.begin_read()?,
        })
    }

    fn write(&self, entries: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
        let Handle::Writer(database) = &self.handle else {
            return Err(StoreError::ReadOnly { store: self.name() });
        };
        if entries.is_empty() {
            return Ok(());
        }
        guard(&self.path, || {
            let transaction = database.begin_write()?;
            let mut table = transaction.open_table(PREIMAGES)?;
            for (key, data) in entries {
                table.insert(key.as_bytes(), data.as_slice())?;
            }
            drop(table);
            transaction.commit()?;
            Ok(())
        })
    }
}

impl fmt::Debug for DatabaseStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = matches!(self.handle, Handle::Writer(_));
        f.debug_struct("DatabaseStore").field("path", &self.path).field("writes", &writes).finish()
    }
}

impl Backend for DatabaseStore {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        guard(&self.path, || {
            let table = self.read()?.open_table(PREIMAGES)?;
            Ok(table.get(key.as_bytes())?.map(|data| data.value().to_vec()))
        })
    }

    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        self.write(&[(key, data)])
    }

    /// All in one transaction: much faster than one by one.
    fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        self.write(&entries)
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        guard(&self.path, || {
            let table = self.read()?.open_table(PREIMAGES)?;
            let keys = table.iter()?.map(|entry| Ok(Key::from_bytes(entry?.0.value())));
            keys.collect()
        })
    }

    fn name(&self) -> String {
        format!("the database {}", self.path.display())
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

fn other_format(dir: &Path, found: StoreFormat) -> StoreError {
    StoreError::OtherFormat { dir: dir.into(), found, wanted: StoreFormat::Database }
}

/// Does what `action` says with the database at `path`, and tells what went wrong in our words.
///
/// Bytes that are damaged in the right places make the database's code panic: then the database is
/// what failed, not we.
fn guard<T>(path: &Path, action: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(explain(path, error)),
        Err(panic) => {
            Err(StoreError::DamagedDatabase { path: path.into(), reason: words_of(&*panic) })
        }
    }
}

fn explain(path: &Path, error: redb::Error) -> StoreError {
    let damaged = |reason| StoreError::DamagedDatabase { path: path.into(), reason };
    match error {
        redb::Error::Io(source) if source.kind() == ErrorKind::UnexpectedEof => {
            damaged("it ends too early".into())
        }
        redb::Error::Io(source) if source.kind() == ErrorKind::InvalidData => {
            damaged(source.to_string())
        }
        redb::Error::Io(source) => StoreError::io("use", path, source),
        redb::Error::DatabaseAlreadyOpen
        | redb::Error::LockProtocolMismatch
        | redb::Error::WouldBlock => StoreError::Busy { path: path.into() },
        redb::Error::PreviousIo => {
            let earlier = std::io::Error::other("an earlier write failed; start again");
            StoreError::io("use", path, earlier)
        }
        other => damaged(other.to_string()),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    words.unwrap_or("it makes no sense").lines().next().unwrap_or_default().into()
}
