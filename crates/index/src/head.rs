//! The file `index`: what kind of index this is, and of which run.

use std::path::{Path, PathBuf};

use tribunal_keccak::Hash;
use tribunal_machine::Machine;

use crate::IndexError;
use crate::bytes::{Reading, Writing, load};

/// What a run begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name of the machine and of its state version.
    pub machine: String,
    /// The hash of the prestate.
    pub prestate: Hash,
    /// Its step.
    pub step: u64,
}

const MAGIC: &[u8; 8] = b"tribunal";
const VERSION: u64 = 1;

impl Identity {
    /// That of the run which begins where `machine` stands.
    pub fn of<M: Machine>(machine: &mut M) -> Self {
        Self { machine: M::NAME.into(), prestate: machine.state_hash(), step: machine.step() }
    }

    pub(crate) fn path(directory: &Path) -> PathBuf {
        directory.join("index")
    }

    pub(crate) fn save(&self, directory: &Path) -> Result<(), IndexError> {
        let mut bytes = Writing::default();
        bytes.put(MAGIC);
        bytes.word(VERSION);
        bytes.put(&self.prestate);
        bytes.word(self.step);
        bytes.counted(self.machine.as_bytes());
        bytes.save(&Self::path(directory)).map(drop)
    }

    pub(crate) fn load(directory: &Path) -> Result<Self, IndexError> {
        let path = Self::path(directory);
        let bytes = load(&path)?;
        let mut bytes = Reading(&bytes);
        let damaged = || IndexError::damaged(&path, "it is not the head of an index");
        if bytes.take().as_ref() != Some(MAGIC) {
            return Err(damaged());
        }
        let version = bytes.word().ok_or_else(damaged)?;
        if version != VERSION {
            return Err(IndexError::Kind {
                directory: directory.to_owned(),
                what: format!("its format is version {version}, not {VERSION}"),
            });
        }
        let mut rest = || {
            let (prestate, step) = (bytes.take()?, bytes.word()?);
            let machine = String::from_utf8(bytes.counted()?.to_vec()).ok()?;
            bytes.0.is_empty().then_some(Self { machine, prestate, step })
        };
        rest().ok_or_else(damaged)
    }

    /// Refuses `self`, found in `directory`, unless it is `expected`.
    pub(crate) fn expect(&self, expected: &Self, directory: &Path) -> Result<(), IndexError> {
        let directory = directory.to_owned();
        if self.machine != expected.machine {
            let what = format!("of {}, not of {}", self.machine, expected.machine);
            return Err(IndexError::Kind { directory, what });
        }
        if self != expected {
            let what = format!(
                "that began at step {} with the state {}, this one begins at step {} with {}",
                self.step,
                digits(&self.prestate),
                expected.step,
                digits(&expected.prestate)
            );
            return Err(IndexError::Foreign { directory, what });
        }
        Ok(())
    }
}

fn digits(hash: &Hash) -> String {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}
