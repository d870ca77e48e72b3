//! A store that lives as long as the process.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use tribunal_preimage::Key;

use super::{Backend, StoreError};

/// Preimages in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    preimages: RwLock<BTreeMap<Key, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    pub const fn new() -> Self {
        Self { preimages: RwLock::new(BTreeMap::new()) }
    }

    /// How many preimages there are.
    pub fn len(&self) -> usize {
        self.preimages.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is anything for `key`.
    pub fn contains(&self, key: Key) -> bool {
        self.preimages.read().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }
}

/// As they are, unchecked: they are checked when they leave.
impl FromIterator<(Key, Vec<u8>)> for MemoryStore {
    fn from_iter<I: IntoIterator<Item = (Key, Vec<u8>)>>(preimages: I) -> Self {
        Self { preimages: RwLock::new(preimages.into_iter().collect()) }
    }
}

// A thread that panicked while it held the lock left a whole map behind: nothing in between can
// panic. So a poisoned lock is as good as any.
impl Backend for MemoryStore {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.preimages.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned())
    }

    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        self.preimages.write().unwrap_or_else(PoisonError::into_inner).insert(key, data);
        Ok(())
    }

    fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        self.preimages.write().unwrap_or_else(PoisonError::into_inner).extend(entries);
        Ok(())
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let preimages = self.preimages.read().unwrap_or_else(PoisonError::into_inner);
        Ok(preimages.keys().copied().collect())
    }

    fn name(&self) -> String {
        "the store in memory".into()
    }
}
