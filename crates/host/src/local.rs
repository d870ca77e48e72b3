//! A host in this process: a store, and who follows the hints.

use tribunal_preimage::{Key, Oracle, OracleError};

use crate::router::{Event, Router};
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

    /// Takes a hint; see [`Router`] for when it is followed.
    pub fn hear(&self, hint: &[u8]) {
        self.router.hear(hint);
    }

    /// The preimage of `key`, from the store or from what the last hints bring there.
    ///
    /// What the store has for a key and does not belong to it is sought anew, never given.
    ///
    /// # Errors
    /// [`OracleError::Missing`] if it cannot be had, with the last hints and what came of them;
    /// [`OracleError::Host`] with the place if the store is damaged and nobody can mend it, or cannot
    /// be read; [`OracleError::Channel`] if the search was cancelled; [`OracleError::InvalidKey`].
    pub fn find(&self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.find_while(key, &|| true)
    }

    /// As [`LocalHost::find`], as long as `still` says that somebody waits for it.
    pub(crate) fn find_while(
        &self,
        key: Key,
        still: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, OracleError> {
        if key.kind().is_none() {
            return Err(OracleError::InvalidKey { key });
        }
        match self.store.get(key) {
            Ok(Some(data)) => Ok(data),
            Ok(None) => self.router.seek(key, &self.store, still),
            Err(error) if error.is_damage() => {
                self.router.tell(&Event::Damaged { error: &error });
                self.router.seek(key, &self.store, still).map_err(|sought| match sought {
                    OracleError::Missing { why, .. } => {
                        OracleError::Host(format!("{error}; {why}"))
                    }
                    other => other,
                })
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
        self.hear(hint);
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.find(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tribunal_preimage::Fault;

    use super::*;
    use crate::history::Heard;
    use crate::router::{HintError, Patience};
    use crate::store::{Backend as _, MemoryStore};

    fn missing(host: &LocalHost<MemoryStore>, key: Key) -> String {
        match host.find(key) {
            Err(OracleError::Missing { key: named, why }) if named == key => why,
            other => panic!("{other:?}"),
        }
    }

    /// A host that can fetch the preimage of one word, and has little patience.
    fn fetching() -> LocalHost<MemoryStore> {
        let mut router = Router::new();
        router.on("fetch", |hint, errand| {
            let data = hint.data()?;
            Ok(errand.store().put(Key::keccak256_of(&data), data)?)
        });
        router.on("fail", |hint, _| {
            Err(HintError::new(format!("no {}", hint.argument())).at("http://l1").for_good())
        });
        LocalHost::with_router(MemoryStore::new(), impatient(router))
    }

    fn impatient(router: Router) -> Router {
        let wait = Duration::from_millis(1);
        router.with_patience(Patience {
            deadline: Duration::from_secs(60),
            first_wait: wait,
            longest_wait: wait,
            cancel: None,
        })
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
    fn two_hints_before_a_read_both_count() {
        let mut host = fetching();
        host.hint(b"fetch 0x6869").unwrap();
        host.hint(b"fetch 0x00").unwrap();
        host.hint(b"other").unwrap();
        assert_eq!(host.preimage(Key::keccak256_of(b"hi")).unwrap(), b"hi");
    }

    #[test]
    fn what_is_in_the_store_is_not_fetched() {
        let mut router = Router::new();
        router.on("fetch", |_, _| panic!("called for nothing"));
        let mut host = LocalHost::with_router(MemoryStore::new(), router);
        host.store().put(Key::keccak256_of(b"hi"), b"hi".to_vec()).unwrap();
        host.hint(b"fetch 0x6869").unwrap();
        assert_eq!(host.preimage(Key::keccak256_of(b"hi")).unwrap(), b"hi");
    }

    #[test]
    fn hints_without_a_handler_are_acknowledged() {
        let mut host = LocalHost::new(MemoryStore::new());
        for hint in [&b""[..], b" ", b"unknown", b"unknown 0x00", b"\xff\xfe", &[0; 100_000]] {
            assert_eq!(host.hint(hint), Ok(()));
            assert_eq!((&mut &host).hint(hint), Ok(()));
        }
    }

    #[test]
    fn a_missing_preimage_is_told_at_once_with_key_kind_and_last_hint() {
        let host = fetching();
        host.hear(b"fetch 0x01");
        host.hear(b"l1-block-header 0x77");
        let error = host.find(Key::keccak256_of(b"x")).unwrap_err();
        assert_eq!(error.fault(), Fault::Host);
        let error = error.to_string();
        assert!(error.contains(&Key::keccak256_of(b"x").to_string()), "{error}");
        assert!(error.contains("(keccak256)"), "{error}");
        assert!(error.contains("; last hint: l1-block-header 0x77; "), "{error}");
    }

    #[test]
    fn why_a_hint_failed_is_told_when_the_preimage_is_missing() {
        let mut host = fetching();
        host.hint(b"fail network").unwrap();
        let why = missing(&host, Key::sha256_of(b""));
        let expected = "last hint: fail network, which failed: http://l1: no network; hints were \
                        followed once in ";
        assert!(why.contains(expected), "{why}");

        // Also when a harmless hint follows.
        host.hear(b"other");
        let why = missing(&host, Key::sha256_of(b""));
        assert!(
            why.ends_with(
                "last hint: other; before that: fail network, which failed: http://l1: no network"
            ),
            "{why}"
        );
    }

    #[test]
    fn a_handler_that_fetches_the_wrong_bytes_fails() {
        let mut router = Router::new();
        router.on("lie", |_, errand| {
            let put = errand.store().put(Key::keccak256_of(b"true"), b"false".into());
            put.map_err(|error| HintError::new(error).at("http://liar").for_good())
        });
        let host = LocalHost::with_router(MemoryStore::new(), router);
        host.hear(b"lie");
        let why = missing(&host, Key::keccak256_of(b"true"));
        assert!(why.contains("http://liar: the store in memory refused a preimage"), "{why}");
        assert!(host.store().is_empty());
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
    fn what_is_damaged_is_told_and_fetched_anew() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        let mut router = Router::new();
        router.on("fetch", |hint, errand| {
            let data = hint.data()?;
            Ok(errand.store().put(Key::keccak256_of(&data), data)?)
        });
        let router = router.with_log(move |event| log.lock().unwrap().push(event.to_string()));
        let host = LocalHost::with_router(MemoryStore::new(), router);
        let key = Key::keccak256_of(b"hi");
        host.store().save(key, b"ho".into()).unwrap();
        host.hear(b"fetch 0x6869");
        assert_eq!(host.find(key).unwrap(), b"hi");
        assert_eq!(host.store().get(key).unwrap().unwrap(), b"hi");
        let told = told.lock().unwrap();
        assert!(matches!(&told[..], [one] if one.contains(" is damaged: ")), "{told:?}");
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
            host.hear(format!("hint {i}").as_bytes());
        }
        host.hear(&[b'x'; 1_000_000]);
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
}
