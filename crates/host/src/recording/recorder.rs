//! Stands between a program and its host, and writes down what passes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tribunal_keccak::keccak256;
use tribunal_preimage::{Key, Oracle, OracleError};

use super::{End, RecordingWriter};

/// An oracle that records what it is told and asked.
pub struct Recorder<O, W: Write> {
    oracle: O,
    writer: RecordingWriter<W>,
    /// The hash of what each key led to.
    seen: BTreeMap<Key, [u8; 32]>,
    hints: u64,
}

impl<O, W: Write> Recorder<O, W> {
    /// Records what `oracle` is told and asked.
    pub const fn new(oracle: O, writer: RecordingWriter<W>) -> Self {
        Self { oracle, writer, seen: BTreeMap::new(), hints: 0 }
    }

    /// How many hints and how many preimages there are so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.hints, self.seen.len() as u64)
    }

    /// The keys that were asked for so far, in ascending order.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.seen.keys().copied()
    }

    /// Ends the recording, and gives back the oracle and where it was written to.
    ///
    /// # Errors
    /// What that reports.
    pub fn end(self, end: &End) -> io::Result<(O, W)> {
        Ok((self.oracle, self.writer.end(end)?))
    }
}

impl<O: Oracle, W: Write> Oracle for Recorder<O, W> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.hints += 1;
        self.writer.hint(hint).map_err(unwritten)?;
        self.oracle.hint(hint)
    }

    /// Fails also if the host gives a key another answer than before: no recording has two.
    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let data = self.oracle.preimage(key)?;
        let hash = keccak256(&data);
        match self.seen.insert(key, hash) {
            None => self.writer.preimage(key, &data).map_err(unwritten)?,
            Some(before) if before == hash => {}
            Some(before) => {
                self.seen.insert(key, before);
                return Err(OracleError::Host(format!(
                    "it gave {key} another answer than before; a run with such a host cannot be \
                     repeated"
                )));
            }
        }
        Ok(data)
    }
}

fn unwritten(error: io::Error) -> OracleError {
    OracleError::Host(format!("the recording cannot be written: {error}"))
}
