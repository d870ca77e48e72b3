//! Preimages that were asked for before, kept as long as there is room.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::{Key, Oracle, OracleError};

/// What an entry costs besides its bytes, roughly.
const OVERHEAD: usize = 128;

/// An oracle that remembers. What was not asked for longest is forgotten first, so that no run of
/// questions fills the memory of a machine.
#[derive(Clone, Debug)]
pub struct Cached<O> {
    oracle: O,
    entries: BTreeMap<Key, Entry>,
    /// The keys in the order in which they were last asked for.
    order: BTreeMap<u64, Key>,
    now: u64,
    bytes: usize,
    limit: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    data: Rc<Vec<u8>>,
    asked: u64,
}

impl<O: Oracle> Cached<O> {
    /// Remembers what `oracle` says, up to `limit` bytes of it.
    pub const fn new(oracle: O, limit: usize) -> Self {
        Self { oracle, entries: BTreeMap::new(), order: BTreeMap::new(), now: 0, bytes: 0, limit }
    }

    /// The preimage of `key`, shared with the cache: nothing is copied.
    ///
    /// # Errors
    /// As [`Oracle::preimage`]; that there is none is not remembered.
    pub fn shared(&mut self, key: Key) -> Result<Rc<Vec<u8>>, OracleError> {
        self.now += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            self.order.remove(&entry.asked);
            entry.asked = self.now;
            self.order.insert(self.now, key);
            return Ok(Rc::clone(&entry.data));
        }
        let data = Rc::new(self.oracle.preimage(key)?);
        let size = data.len() + OVERHEAD;
        if size <= self.limit {
            self.bytes += size;
            self.order.insert(self.now, key);
            self.entries.insert(key, Entry { data: Rc::clone(&data), asked: self.now });
            while self.bytes > self.limit {
                self.forget_oldest();
            }
        }
        Ok(data)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
        self.bytes = 0;
    }

    /// What is asked.
    pub const fn oracle(&mut self) -> &mut O {
        &mut self.oracle
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.order.pop_first() else { return };
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.data.len() + OVERHEAD;
        }
    }
}

impl<O: Oracle> Oracle for Cached<O> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.oracle.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        Ok(Rc::unwrap_or_clone(self.shared(key)?))
    }

    fn beginning(&mut self, key: Key, buffer: &mut [u8]) -> Result<u64, OracleError> {
        // What is not remembered is not read as a whole for its beginning.
        let Some(entry) = self.entries.get(&key) else {
            return self.oracle.beginning(key, buffer);
        };
        let shared = entry.data.len().min(buffer.len());
        buffer[..shared].copy_from_slice(&entry.data[..shared]);
        Ok(entry.data.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// Answers local keys with as many bytes as they say, and counts.
    #[derive(Default)]
    struct Counting(BTreeMap<Key, u32>);

    impl Oracle for Counting {
        fn hint(&mut self, _: &[u8]) -> Result<(), OracleError> {
            Ok(())
        }

        fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
            *self.0.entry(key).or_default() += 1;
            Ok(vec![key.as_bytes()[31]; usize::from(key.as_bytes()[31])])
        }
    }

    #[test]
    fn what_is_remembered_is_not_asked_again_and_the_oldest_is_forgotten() {
        let key = Key::local;
        // Room for two of them.
        let mut cache = Cached::new(Counting::default(), 2 * (OVERHEAD + 10));
        for ident in [8, 9, 8, 10, 8, 9] {
            assert_eq!(cache.preimage(key(ident)).unwrap(), vec![ident as u8; ident as usize]);
        }
        // 10 took the place of 9, which had not been asked for longest.
        let asked = |cache: &Cached<Counting>, ident| cache.oracle.0[&key(ident)];
        assert_eq!([8, 9, 10].map(|ident| asked(&cache, ident)), [1, 2, 1]);
        assert!(cache.bytes <= cache.limit);
        let mut buffer = [0; 4];
        assert_eq!(cache.beginning(key(9), &mut buffer), Ok(9));
        assert_eq!((buffer, asked(&cache, 9)), ([9; 4], 2));
        cache.clear();
        cache.shared(key(8)).unwrap();
        assert_eq!((asked(&cache, 8), cache.bytes), (2, 8 + OVERHEAD));
    }

    #[test]
    fn what_is_larger_than_the_bound_passes_through() {
        let mut cache = Cached::new(Counting::default(), OVERHEAD + 9);
        for _ in 0..3 {
            assert_eq!(cache.shared(Key::local(200)).unwrap().len(), 200);
            cache.shared(Key::local(1)).unwrap();
        }
        assert_eq!((cache.oracle.0[&Key::local(200)], cache.oracle.0[&Key::local(1)]), (3, 1));
    }
}
