//! A file `snapshot-STEP`: a state without its pages, and where those are.

use std::path::{Path, PathBuf};

use tribunal_keccak::Hash;
use tribunal_preimage::Key;
use xxhash_rust::xxh3::Xxh3;

use crate::IndexError;
use crate::bytes::{Reading, Writing, load};
use crate::inputs::Inputs;
use crate::pack::Place;

/// What the names of such files begin with.
pub(crate) const PREFIX: &str = "snapshot-";

const MAGIC: &[u8; 8] = b"snapshot";

pub(crate) fn path(directory: &Path, step: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{step:020}"))
}

/// The step in the name of a snapshot.
pub(crate) fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX).filter(|digits| digits.len() == 20)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// What a snapshot file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The prestate of the run.
    pub(crate) prestate: Hash,
    pub(crate) step: u64,
    /// The exit code of a program that has exited.
    pub(crate) exit_code: Option<u8>,
    /// The state without its pages.
    pub(crate) rest: Vec<u8>,
    pub(crate) inputs: Inputs,
    /// Of the index and the root of every page: [`PagesSum`].
    pub(crate) pages_sum: u64,
    pub(crate) runs: Vec<Run>,
}

/// Pages side by side in memory that lie side by side in a file too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) index: u64,
    pub(crate) place: Place,
    pub(crate) pages: u64,
}

/// A checksum of which pages there are, by their roots: it ties them to the snapshot, wherever they
/// are kept.
#[derive(Default)]
pub(crate) struct PagesSum(Xxh3);

impl PagesSum {
    pub(crate) fn add(&mut self, index: u64, root: &Hash) {
        self.0.update(&index.to_be_bytes());
        self.0.update(root);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.digest()
    }
}

/// Puts pages, given in ascending order, into runs.
pub(crate) fn runs(pages: impl Iterator<Item = (u64, Place)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, place) in pages {
        match runs.last_mut() {
            Some(run)
                if run.index + run.pages == index
                    && run.place.pack == place.pack
                    && u64::from(run.place.slot) + run.pages == u64::from(place.slot) =>
            {
                run.pages += 1;
            }
            _ => runs.push(Run { index, place, pages: 1 }),
        }
    }
    runs
}

impl Snapshot {
    /// Every page and its place.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u64, Place)> {
        self.runs.iter().flat_map(|run| {
            (0..run.pages).map(|offset| {
                let slot = run.place.slot.wrapping_add(offset as u32);
                (run.index + offset, Place { slot, ..run.place })
            })
        })
    }

    pub(crate) fn page_count(&self) -> u64 {
        self.runs.iter().map(|run| run.pages).fold(0, u64::saturating_add)
    }

    /// Returns how many bytes the file has.
    pub(crate) fn save(&self, directory: &Path) -> Result<u64, IndexError> {
        let mut bytes = Writing::default();
        bytes.put(MAGIC);
        bytes.put(&self.prestate);
        bytes.word(self.step);
        bytes.put(&[self.exit_code.is_some().into(), self.exit_code.unwrap_or(0)]);
        bytes.counted(&self.rest);
        bytes.counted(&self.inputs.hint);
        bytes.word(self.inputs.answers.len() as u64);
        for (key, hash) in &self.inputs.answers {
            bytes.put(key.as_bytes());
            bytes.put(hash);
        }
        bytes.word(self.pages_sum);
        bytes.word(self.runs.len() as u64);
        for run in &self.runs {
            bytes.word(run.index);
            bytes.put(&run.place.pack.to_be_bytes());
            bytes.put(&run.place.slot.to_be_bytes());
            bytes.word(run.pages);
        }
        bytes.save(&path(directory, self.step))
    }

    /// Reads the snapshot of `step` in the index of the run from `prestate` on.
    pub(crate) fn load(directory: &Path, prestate: &Hash, step: u64) -> Result<Self, IndexError> {
        let path = path(directory, step);
        let bytes = load(&path)?;
        let damaged = |what| IndexError::damaged(&path, what);
        let snapshot =
            Self::parse(&mut Reading(&bytes)).ok_or_else(|| damaged("it is not a snapshot"))?;
        if snapshot.prestate != *prestate {
            return Err(damaged("it belongs to another index"));
        }
        if snapshot.step != step {
            return Err(damaged("it is that of another step"));
        }
        Ok(snapshot)
    }

    fn parse(bytes: &mut Reading<'_>) -> Option<Self> {
        if bytes.take()? != *MAGIC {
            return None;
        }
        let (prestate, step) = (bytes.take()?, bytes.word()?);
        let exit_code = match bytes.take()? {
            [0, _] => None,
            [1, code] => Some(code),
            _ => return None,
        };
        let rest = bytes.counted()?.to_vec();
        let hint = bytes.counted()?.to_vec();
        let mut answers = Vec::new();
        for _ in 0..bytes.word()? {
            answers.push((Key::from_bytes(bytes.take()?), bytes.take()?));
        }
        let pages_sum = bytes.word()?;
        let mut runs: Vec<Run> = Vec::new();
        let mut next = 0;
        for _ in 0..bytes.word()? {
            let index = bytes.word()?;
            let [pack, slot] = [bytes.take()?, bytes.take()?].map(u32::from_be_bytes);
            let pages = bytes.word()?;
            let end = index.checked_add(pages)?;
            let fits =
                index >= next && pages > 0 && end <= 1 << 52 && pages <= u64::from(u32::MAX - slot);
            if !fits {
                return None;
            }
            next = end;
            runs.push(Run { index, place: Place { pack, slot }, pages });
        }
        let inputs = Inputs { answers, hint };
        let snapshot = Self { prestate, step, exit_code, rest, inputs, pages_sum, runs };
        bytes.0.is_empty().then_some(snapshot)
    }
}
