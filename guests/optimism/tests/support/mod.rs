//! The fixtures of `testdata/derivation`, and a host for the program that has nothing else.

use std::path::{Path, PathBuf};

use tribunal_guest::{Key, Oracle, OracleError};
use tribunal_host::store::MemoryStore;
use tribunal_host::{LocalHost, Patience, Router};
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
        let host = LocalHost::with_router(store, router);
        Self { host, output: String::new(), log: Vec::new() }
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
