//! A host in this process: a store, and who follows the hints.

use tribunal_preimage::{Key, Oracle, OracleError};

use crate::router::{Outcome, Router};
use crate::store::PreimageStore;

/// Answers from a store, after its router has followed the hints.
///
/// Shared references are oracles too, so threads may share one.
#[derive(Debug)]
pub struct LocalHost<S> {
    store: S,
    router: Router,
}

impl<S: PreimageStore> LocalHost<S> {
    /// A host that acknowledges every hint and knows only what is in `store`.
    pub fn new(store: S) -> Self {
        Self::with_router(store, Router::new())
    }

    /// A host whose hints go to `router`.
    pub const fn with_router(store: S, router: Router) -> Self {
        Self { store, router }
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The router.
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// Has `hint` followed; returns once that is done.
    pub fn follow(&self, hint: &[u8]) -> Outcome {
        self.router.route(hint, &self.store)
    }

    /// The preimage of `key`.
    ///
    /// # Errors
    /// [`OracleError::Missing`] at once if the store does not have it, with the last hint;
    /// [`OracleError::Host`] with the place if the store is damaged or cannot be read;
    /// [`OracleError::InvalidKey`].
    pub fn find(&self, key: Key) -> Result<Vec<u8>, OracleError> {
        if key.kind().is_none() {
            return Err(OracleError::InvalidKey { key });
        }
        match self.store.get(key) {
            Ok(Some(data)) => Ok(data),
            Ok(None) => {
                let (store, hints) = (self.store.name(), self.router.summary());
                Err(OracleError::Missing { key, why: format!("it is not in {store}; {hints}") })
            }
            Err(error) => Err(OracleError::Host(error.to_string())),
        }
    }
}

impl<S: PreimageStore> Oracle for LocalHost<S> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        (&*self).hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.find(key)
    }
}

impl<S: PreimageStore> Oracle for &LocalHost<S> {
    /// Never fails: see [`Router`].
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.follow(hint);
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.find(key)
    }
}

#[cfg(test)]
mod tests {
    use tribunal_preimage::Fault;

    use super::*;
    use crate::history::Heard;
    use crate::store::{Backend as _, MemoryStore};

    fn missing(host: &LocalHost<MemoryStore>, key: Key) -> String {
        match host.find(key) {
            Err(OracleError::Missing { key: named, why }) if named == key => why,
            other => panic!("{other:?}"),
        }
    }

    /// A host that can fetch the preimage of one word.
    fn fetching() -> LocalHost<MemoryStore> {
        let mut router = Router::new();
        router.on("fetch", |hint, store| {
            let data = hint.data()?;
            Ok(store.put(Key::keccak256_of(&data), data)?)
        });
        router.on("fail", |hint, _| Err(format!("no {}", hint.argument()).into()));
        LocalHost::with_router(MemoryStore::new(), router)
    }

    #[test]
    fn a_hint_brings_the_preimage() {
        let mut host = fetching();
        let key = Key::keccak256_of(b"hi");
        assert!(missing(&host, key).ends_with("the store in memory; no hint came before"));
        host.hint(b"fetch 0x6869").unwrap();
        assert_eq!(host.preimage(key).unwrap(), b"hi");
    }

    #[test]
    fn hints_without_a_handler_are_acknowledged() {
        let host = LocalHost::new(MemoryStore::new());
        for hint in [&b""[..], b" ", b"unknown", b"unknown 0x00", b"\xff\xfe", &[0; 100_000]] {
            assert_eq!(host.follow(hint), Outcome::Acknowledged);
            assert_eq!((&mut &host).hint(hint), Ok(()));
        }
    }

    #[test]
    fn a_missing_preimage_is_told_at_once_with_key_kind_and_last_hint() {
        let host = fetching();
        host.follow(b"fetch 0x01");
        host.follow(b"l1-block-header 0x77");
        let error = host.find(Key::keccak256_of(b"x")).unwrap_err();
        assert_eq!(error.fault(), Fault::Host);
        let error = error.to_string();
        assert!(error.contains(&Key::keccak256_of(b"x").to_string()), "{error}");
        assert!(error.contains("(keccak256)"), "{error}");
        assert!(error.ends_with("; last hint: l1-block-header 0x77"), "{error}");
    }

    #[test]
    fn why_a_hint_failed_is_told_when_the_preimage_is_missing() {
        let mut host = fetching();
        assert_eq!(host.follow(b"fail network"), Outcome::Failed("no network".into()));
        host.hint(b"fail network").unwrap();
        let why = missing(&host, Key::sha256_of(b""));
        assert!(why.ends_with("last hint: fail network, which failed: no network"), "{why}");

        // Also when a harmless hint follows.
        host.follow(b"other");
        let why = missing(&host, Key::sha256_of(b""));
        assert!(
            why.ends_with("last hint: other; before that: fail network, which failed: no network")
        );
    }

    #[test]
    fn a_handler_that_fetches_the_wrong_bytes_fails() {
        let mut router = Router::new();
        router.on("lie", |_, store| Ok(store.put(Key::keccak256_of(b"true"), b"false".into())?));
        let host = LocalHost::with_router(MemoryStore::new(), router);
        let Outcome::Failed(why) = host.follow(b"lie") else { panic!("believed") };
        assert!(why.contains("refused"), "{why}");
        missing(&host, Key::keccak256_of(b"true"));
    }

    #[test]
    fn a_damaged_store_is_not_a_missing_preimage() {
        let host = LocalHost::new(MemoryStore::new());
        let key = Key::keccak256_of(b"true");
        host.store().save(key, b"false".into()).unwrap();
        let error = host.find(key).unwrap_err();
        assert!(matches!(&error, OracleError::Host(why) if why.contains("damaged")), "{error}");
    }

    #[test]
    fn a_key_of_no_kind_is_the_programs_fault() {
        let host = LocalHost::new(MemoryStore::new());
        for byte in [0, 7, 128, 129, 255] {
            let key = Key::from_bytes([byte; 32]);
            assert_eq!(host.find(key), Err(OracleError::InvalidKey { key }));
        }
    }

    #[test]
    fn few_hints_are_kept_and_long_ones_in_part() {
        let host = LocalHost::new(MemoryStore::new());
        for i in 0..100 {
            host.follow(format!("hint {i}").as_bytes());
        }
        host.follow(&[b'x'; 1_000_000]);
        let hints = host.router().last_hints();
        assert_eq!(hints.len(), 4);
        assert_eq!(hints[2].to_string(), "hint 99");
        assert_eq!(hints[3].length, 1_000_000);
        assert_eq!(hints[3].to_string(), format!("{}… (1000000 bytes)", "x".repeat(200)));
    }

    #[test]
    fn a_hint_cannot_write_to_a_terminal() {
        let heard = Heard::new(b"a\x1b[2Jb\n\xffc", None).to_string();
        assert_eq!(heard, "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
    }

    #[test]
    fn a_shared_host_serves_threads() {
        let host = fetching();
        std::thread::scope(|scope| {
            for i in 0..4u8 {
                let mut oracle = &host;
                scope.spawn(move || {
                    for j in 0..50 {
                        oracle.hint(format!("fetch 0x{i:02x}{j:02x}").as_bytes()).unwrap();
                        assert_eq!(oracle.preimage(Key::keccak256_of(&[i, j])).unwrap(), [i, j]);
                    }
                });
            }
        });
    }
}
