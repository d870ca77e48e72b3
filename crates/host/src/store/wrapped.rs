//! Stores made of others.

use tribunal_preimage::{Key, KeyKind};

use super::{Backend, MemoryStore, StoreError};

/// A store that nothing is put into: a program that is answered from it gets what is there, as on
/// chain.
#[derive(Clone, Debug)]
pub struct ReadOnly<S>(pub S);

impl<S: Backend> Backend for ReadOnly<S> {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.load(key)
    }

    fn save(&self, _: Key, _: Vec<u8>) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { store: self.name() })
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.0.keys()
    }

    fn name(&self) -> String {
        self.0.name()
    }

    fn place(&self, key: Key) -> String {
        self.0.place(key)
    }
}

/// What is there, and above it what is put: that stays in memory, and goes with it.
///
/// For what is computed where nothing may be written.
#[derive(Debug)]
pub struct Overlay<S> {
    /// What is put. It comes first.
    pub put: MemoryStore,
    /// What was there before.
    pub there: S,
}

impl<S: Backend> Backend for Overlay<S> {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        match self.put.load(key)? {
            Some(data) => Ok(Some(data)),
            None => self.there.load(key),
        }
    }

    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        self.put.save(key, data)
    }

    fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        self.put.save_all(entries)
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let mut keys = self.there.keys()?;
        keys.extend(self.put.keys()?);
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn name(&self) -> String {
        self.there.name()
    }

    fn place(&self, key: Key) -> String {
        match self.put.contains(key) {
            true => self.put.place(key),
            false => self.there.place(key),
        }
    }
}

/// The inputs of one run in memory, and all else in a store that runs share.
///
/// Nothing binds a local key to its data, so those of one run must not be found by another.
#[derive(Debug)]
pub struct Split<S> {
    /// What local keys lead to.
    pub locals: MemoryStore,
    /// What all other keys lead to.
    pub rest: S,
}

impl<S: Backend> Split<S> {
    fn of(&self, key: Key) -> &dyn Backend {
        match key.kind() {
            Some(KeyKind::Local) => &self.locals,
            _ => &self.rest,
        }
    }
}

impl<S: Backend> Backend for Split<S> {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.of(key).load(key)
    }

    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        self.of(key).save(key, data)
    }

    fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        let is_local = |(key, _): &(Key, Vec<u8>)| key.kind() == Some(KeyKind::Local);
        let (locals, rest) = entries.into_iter().partition(is_local);
        self.rest.save_all(rest)?;
        self.locals.save_all(locals)
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let mut keys = self.rest.keys()?;
        keys.retain(|key| key.kind() != Some(KeyKind::Local));
        keys.extend(self.locals.keys()?);
        keys.sort_unstable();
        Ok(keys)
    }

    fn name(&self) -> String {
        self.rest.name()
    }

    fn place(&self, key: Key) -> String {
        self.of(key).place(key)
    }
}
