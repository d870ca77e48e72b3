//! The fixtures of `testdata/derivation`, and a host for the program that has nothing else; chains of
//! our own on top of them.

pub(crate) mod devnet;

use std::path::{Path, PathBuf};

use tribunal_guest::{Key, Oracle, OracleError};
use tribunal_host::store::{Backend as _, MemoryStore};
use tribunal_host::{LocalHost, Patience, PreimageStore as _, Router};
use tribunal_machine::{Host, Stream};
use tribunal_optimism_host::{Fixture, register_computed};

/// A file of the repository.
pub(crate) fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// All fixtures, with their names.
pub(crate) fn fixtures() -> Vec<(String, Fixture)> {
    let folder = at_root("testdata/derivation").read_dir().unwrap();
    let mut names: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json.gz")?.to_owned();
            (!name.starts_with("common-")).then_some((name, path))
        })
        .collect();
    names.sort();
    names.into_iter().map(|(name, path)| (name, Fixture::read(&path).unwrap())).collect()
}

/// The fixture whose name begins so.
pub(crate) fn fixture(start: &str) -> Fixture {
    let folder = at_root("testdata/derivation").read_dir().unwrap();
    let path = folder
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start));
    Fixture::read(&path.unwrap()).unwrap()
}

/// A host with the preimages of a fixture, which computes what can be computed.
pub(crate) struct World {
    host: LocalHost<MemoryStore>,
    /// What the program wrote.
    pub(crate) output: String,
    /// What it was given, in order.
    pub(crate) log: Vec<Key>,
}

impl World {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let preimages = fixture.preimages.iter().cloned().chain(fixture.boot.preimages());
        Self::of(preimages.collect())
    }

    pub(crate) fn of(store: MemoryStore) -> Self {
        let patience = Patience { deadline: std::time::Duration::ZERO, ..Patience::default() };
        let mut router = Router::new().with_patience(patience);
        register_computed(&mut router);
        Self::with(LocalHost::with_router(store, router))
    }

    /// A host that has what another one gave so far and, as on a chain, follows no hint.
    pub(crate) fn without_hints(&self) -> Self {
        let given = self.log.iter().map(|key| (*key, self.get(*key).unwrap()));
        Self::with(LocalHost::new(given.collect()))
    }

    const fn with(host: LocalHost<MemoryStore>) -> Self {
        Self { host, output: String::new(), log: Vec::new() }
    }

    /// What the store has for a key.
    pub(crate) fn get(&self, key: Key) -> Option<Vec<u8>> {
        self.host.store().get(key).unwrap()
    }

    /// Gives another answer from now on.
    pub(crate) fn put(&self, key: Key, data: Vec<u8>) {
        self.host.store().save(key, data).unwrap();
    }
}

impl Oracle for World {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.host.hear(hint);
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let data = self.host.find(key)?;
        self.log.push(key);
        Ok(data)
    }
}

impl Host for World {
    fn output(&mut self, _: Stream, bytes: &[u8]) {
        self.output.push_str(&String::from_utf8_lossy(bytes));
    }

    fn warn(&mut self, message: &str) {
        self.output.push_str(message);
    }
}
