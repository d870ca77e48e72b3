//! A host in memory that remembers what a program told and asked it.

use std::collections::BTreeMap;

use tribunal_machine::{Host, Stream};
use tribunal_preimage::{Key, Oracle, OracleError};

/// Knows some preimages, takes every hint, and remembers everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingHost {
    /// What it knows.
    pub preimages: BTreeMap<Key, Vec<u8>>,
    /// The keys it was asked for.
    pub asked: Vec<Key>,
    /// The hints it was given.
    pub hints: Vec<Vec<u8>>,
    /// What the program wrote.
    pub output: Vec<(Stream, Vec<u8>)>,
    /// What the machine found odd.
    pub warnings: Vec<String>,
}

impl RecordingHost {
    /// Forgets all but what it knows.
    pub fn forget(&mut self) {
        self.asked.clear();
        self.hints.clear();
        self.output.clear();
        self.warnings.clear();
    }
}

impl Oracle for RecordingHost {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.hints.push(hint.to_vec());
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.asked.push(key);
        match self.preimages.get(&key) {
            Some(data) => Ok(data.clone()),
            None if key.kind().is_none() => Err(OracleError::InvalidKey { key }),
            None => Err(OracleError::Missing { key, why: String::new() }),
        }
    }
}

impl Host for RecordingHost {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.output.push((stream, bytes.to_vec()));
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}
