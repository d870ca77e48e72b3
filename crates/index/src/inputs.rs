//! What a run was told that nothing binds to what was asked: the preimages of local keys. And its last
//! hint, because who takes up the run between a hint and a preimage has a host that must know it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tribunal_keccak::{Hash, keccak256};
use tribunal_machine::{Host, Stream};
use tribunal_preimage::{Key, KeyKind, Oracle, OracleError};

/// What a run was told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Keys that bind nothing, and the keccak256 of what they were answered with, in the order in
    /// which they were first asked for.
    pub(crate) answers: Vec<(Key, Hash)>,
    /// The last hint.
    pub(crate) hint: Vec<u8>,
}

impl Inputs {
    /// The last hint of the run, empty if there was none.
    pub fn last_hint(&self) -> &[u8] {
        &self.hint
    }

    fn note(&mut self, key: Key, preimage: &[u8]) {
        let binds_nothing = matches!(key.kind(), Some(KeyKind::Local | KeyKind::GlobalGeneric));
        if binds_nothing && !self.answers.iter().any(|(known, _)| *known == key) {
            self.answers.push((key, keccak256(preimage)));
        }
    }
}

/// Inputs that are noted while a machine runs.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Inputs>>);

impl Notes {
    pub(crate) fn new(inputs: Inputs) -> Self {
        Self(Arc::new(Mutex::new(inputs)))
    }

    pub(crate) fn get(&self) -> MutexGuard<'_, Inputs> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host whose answers are noted for the index.
pub struct Observed<'a> {
    pub(crate) host: &'a mut dyn Host,
    pub(crate) notes: Notes,
}

impl Oracle for Observed<'_> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        let mut notes = self.notes.get();
        notes.hint.clear();
        notes.hint.extend_from_slice(hint);
        drop(notes);
        self.host.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let preimage = self.host.preimage(key)?;
        self.notes.get().note(key, &preimage);
        Ok(preimage)
    }
}

impl Host for Observed<'_> {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.host.output(stream, bytes);
    }

    fn warn(&mut self, message: &str) {
        self.host.warn(message);
    }
}
