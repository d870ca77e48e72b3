//! An index to be read.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tribunal_keccak::{Hash, keccak256};
use tribunal_machine::StateFileError;
use tribunal_memory::{Memory, PAGE_SIZE, Pages, Storage as _};
use tribunal_mips64::Mips64;
use tribunal_preimage::Oracle;

use crate::IndexError;
use crate::head::Identity;
use crate::inputs::Inputs;
use crate::pack::{PackReader, Place};
use crate::recorder::{Options, Recorder};
use crate::snapshot::{self, PagesSum, Snapshot};
use crate::store::{FileKind, IndexFile, Store, files, remove};

/// The snapshots of a run. While it is there, no other process writes to them.
pub struct Index {
    directory: PathBuf,
    identity: Identity,
    /// Of the snapshots, ascending.
    steps: Vec<u64>,
    lock: File,
}

/// What is in a directory.
pub enum Found {
    /// Nothing: an index can be made there.
    Nothing,
    /// The index of the run.
    Index(Index),
}

/// A snapshot as it was read.
pub struct Rebuilt {
    /// The machine at that step.
    pub machine: Mips64,
    /// What the run was told until then.
    pub inputs: Inputs,
    pages: Vec<(u64, Place, Hash)>,
}

/// What an index holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whose index it is.
    pub identity: Identity,
    /// The steps of its snapshots, ascending.
    pub steps: Vec<u64>,
    /// The exit code, if the last snapshot is of a program that has exited.
    pub exit_code: Option<u8>,
    /// Pages of the last snapshot.
    pub state_pages: u64,
    /// Inputs of the run that nothing binds to their keys.
    pub inputs: u64,
    /// Bytes of the files of pages.
    pub page_bytes: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Index {
    /// Looks for the index of a run in `directory`.
    ///
    /// # Errors
    /// If there is something else, the index of another run, or it is being written to.
    pub fn find(directory: &Path, identity: &Identity) -> Result<Found, IndexError> {
        if is_free(directory)? {
            return Ok(Found::Nothing);
        }
        let index = Self::open(directory)?;
        index.identity.expect(identity, directory)?;
        Ok(Found::Index(index))
    }

    /// Opens the index in `directory`, of whatever run.
    ///
    /// # Errors
    /// If there is none, or it is being written to.
    pub fn open(directory: &Path) -> Result<Self, IndexError> {
        if !Identity::path(directory).exists() {
            return Err(IndexError::NoIndex { directory: directory.to_owned() });
        }
        let lock = open_lock(directory)?;
        lock.try_lock_shared().map_err(|error| refused(error, directory))?;
        let identity = Identity::load(directory)?;
        Ok(Self { steps: steps(directory)?, directory: directory.to_owned(), identity, lock })
    }

    /// Makes an index without snapshots, in a directory that is empty or not there yet.
    ///
    /// # Errors
    /// If the directory is not empty, or cannot be written to.
    pub fn create(directory: &Path, identity: &Identity) -> Result<Self, IndexError> {
        if !is_free(directory)? {
            return Err(IndexError::NoIndex { directory: directory.to_owned() });
        }
        fs::create_dir_all(directory).map_err(IndexError::io("make", directory))?;
        let lock = open_lock(directory)?;
        lock.try_lock_shared().map_err(|error| refused(error, directory))?;
        identity.save(directory)?;
        let (directory, identity) = (directory.to_owned(), identity.clone());
        Ok(Self { directory, identity, steps: Vec::new(), lock })
    }

    /// Deletes the files of an index, whatever their state. Other files stay.
    ///
    /// # Errors
    /// If another process uses it, a file cannot be deleted, or `directory` never was an index.
    pub fn remove(directory: &Path) -> Result<(), IndexError> {
        if is_free(directory)? {
            return Ok(());
        }
        if !Identity::path(directory).exists() {
            return Err(IndexError::NoIndex { directory: directory.to_owned() });
        }
        let lock = open_lock(directory)?;
        lock.try_lock().map_err(|error| refused(error, directory))?;
        let mut files = files(directory)?;
        // The head last: as long as it is there, what is left can be deleted this way.
        files.sort_by_key(|file| file.kind == FileKind::Head);
        for file in files.iter().filter(|file| file.kind != FileKind::Lock) {
            remove(&directory.join(&file.name))?;
        }
        Ok(())
    }

    /// The steps of its snapshots, ascending.
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// Checks that `oracle` answers as the run was answered, where nothing binds an answer to its key.
    ///
    /// # Errors
    /// If it does not, or does not answer.
    pub fn check_inputs(&self, oracle: &mut dyn Oracle) -> Result<(), IndexError> {
        let Some(&last) = self.steps.last() else { return Ok(()) };
        let snapshot = Snapshot::load(&self.directory, &self.identity.prestate, last)?;
        for (key, hash) in snapshot.inputs.answers {
            if keccak256(&oracle.preimage(key)?) != hash {
                return Err(IndexError::OtherInput { directory: self.directory.clone(), key });
            }
        }
        Ok(())
    }

    /// Whether the run was over at the last snapshot.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn is_complete(&self) -> Result<bool, IndexError> {
        let Some(&last) = self.steps.last() else { return Ok(false) };
        let snapshot = Snapshot::load(&self.directory, &self.identity.prestate, last)?;
        Ok(snapshot.exit_code.is_some())
    }

    /// The machine at the snapshot of `step`, in at most `max_bytes` bytes.
    ///
    /// # Errors
    /// If anything is not as it was written.
    pub fn rebuild(&self, step: u64, max_bytes: u64) -> Result<Rebuilt, IndexError> {
        let snapshot = Snapshot::load(&self.directory, &self.identity.prestate, step)?;
        let path = snapshot::path(&self.directory, step);
        let of_state = |error| IndexError::State { path: path.clone(), error };
        if snapshot.page_count().saturating_mul(PAGE_SIZE as u64) > max_bytes {
            return Err(of_state(StateFileError::TooLarge { limit: max_bytes }));
        }
        let mut packs = PackReader::new(&self.directory);
        let mut storage = Pages::default();
        let mut pages = Vec::new();
        let mut sum = PagesSum::default();
        for run in &snapshot.runs {
            let mut index = run.index;
            packs.read(run.place, run.pages, |place, root, data| {
                storage.touch(index);
                storage.write_within_page(index * PAGE_SIZE as u64, data);
                sum.add(index, &root);
                pages.push((index, place, root));
                index += 1;
            })?;
        }
        if sum.get() != snapshot.pages_sum {
            return Err(IndexError::damaged(&path, "its pages are not those it was made of"));
        }
        let roots: Vec<(u64, Hash)> = pages.iter().map(|&(index, _, root)| (index, root)).collect();
        let memory = Memory::with_page_roots(storage, &roots);
        let machine = Mips64::from_split(&snapshot.rest, memory, max_bytes).map_err(of_state)?;
        if machine.state().step != step {
            return Err(IndexError::damaged(&path, "its state is at another step"));
        }
        Ok(Rebuilt { machine, inputs: snapshot.inputs, pages })
    }

    /// Goes on with the index while the run goes on from `from`, or from its start.
    ///
    /// # Errors
    /// If another process uses it.
    pub fn record(self, from: Option<&Rebuilt>, options: Options) -> Result<Recorder, IndexError> {
        let Self { directory, identity, steps: seen, lock } = self;
        lock.unlock().map_err(IndexError::io("unlock", &directory))?;
        lock.try_lock().map_err(|error| refused(error, &directory))?;
        // Between the two locks another process may have recorded.
        if steps(&directory)? != seen {
            return Err(IndexError::Busy { directory });
        }
        let known = from.map_or(&[][..], |rebuilt| &rebuilt.pages);
        let store = Store::new(&directory, lock, &identity, known, options.max_bytes)?;
        let inputs = from.map(|rebuilt| rebuilt.inputs.clone()).unwrap_or_default();
        let start = from.map_or(identity.step, |rebuilt| rebuilt.machine.state().step);
        Ok(Recorder::new(store, inputs, start, options))
    }

    /// What it holds.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn summary(&self) -> Result<Summary, IndexError> {
        let files = files(&self.directory)?;
        let last = self
            .steps
            .last()
            .map(|&step| Snapshot::load(&self.directory, &self.identity.prestate, step));
        let last = last.transpose()?;
        let is_pack = |file: &&IndexFile| matches!(file.kind, FileKind::Pack(_));
        Ok(Summary {
            identity: self.identity.clone(),
            steps: self.steps.clone(),
            exit_code: last.as_ref().and_then(|last| last.exit_code),
            state_pages: last.as_ref().map_or(0, Snapshot::page_count),
            inputs: last.as_ref().map_or(0, |last| last.inputs.answers.len() as u64),
            page_bytes: files.iter().filter(is_pack).map(|file| file.bytes).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
        })
    }
}

fn steps(directory: &Path) -> Result<Vec<u64>, IndexError> {
    let step = |file: IndexFile| match file.kind {
        FileKind::Snapshot(step) => Some(step),
        _ => None,
    };
    Ok(files(directory)?.into_iter().filter_map(step).collect())
}

/// Whether an index can be made in `directory`: there is none, or nothing in it but what is left of an
/// index that was deleted.
fn is_free(directory: &Path) -> Result<bool, IndexError> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(IndexError::io("read", directory)(error)),
        Ok(mut entries) => {
            Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lock")))
        }
    }
}

fn open_lock(directory: &Path) -> Result<File, IndexError> {
    let path = directory.join("lock");
    let file = File::options().read(true).append(true).create(true).open(&path);
    file.or_else(|_| File::open(&path)).map_err(IndexError::io("open", &path))
}

fn refused(error: TryLockError, directory: &Path) -> IndexError {
    match error {
        TryLockError::WouldBlock => IndexError::Busy { directory: directory.to_owned() },
        TryLockError::Error(error) => IndexError::io("lock", directory)(error),
    }
}
