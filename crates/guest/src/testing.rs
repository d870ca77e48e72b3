//! What the tests of a program need: a host in the test itself, and the same test in the machine.
//!
//! A test makes a [`Store`] and asks [`run_program!`](crate::run_program!) for the exit status.
//! `cargo test` then calls the program function over the store. `tribunal test` runs the tests twice:
//! the second time the store is written to a file and the compiled program runs in the machine, and
//! the test expects the same. Not for programs: there is no such module on a bare machine.

extern crate std;

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::error::Error;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU32, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{ExitStatus, Key, Oracle, OracleError, Verdict};

/// The variable with the command line that runs programs in the machine; `tribunal test` sets it.
pub const MACHINE: &str = "TRIBUNAL_TEST_MACHINE";

/// The variable with the folder of the programs for the machine; `tribunal test` sets it.
pub const PROGRAMS: &str = "TRIBUNAL_TEST_PROGRAMS";

/// Preimages in memory, each held against its key, and the hints that came.
///
/// A file of them is what `tribunal exec --preimages` takes: a JSON object of keys and data, both
/// `0x` and hex digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    preimages: BTreeMap<Key, Vec<u8>>,
    /// The hints that came, in their order, as text.
    pub hints: Vec<String>,
    /// The first key that was asked for in vain.
    missing: Option<Key>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// With `data` as local input number `ident`.
    #[must_use]
    pub fn with_local(mut self, ident: u64, data: impl Into<Vec<u8>>) -> Self {
        self.insert(Key::local(ident), data);
        self
    }

    /// With `data` behind its keccak256.
    #[must_use]
    pub fn with(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.add(data);
        self
    }

    /// Adds `data` behind its keccak256, and returns that hash.
    pub fn add(&mut self, data: impl Into<Vec<u8>>) -> [u8; 32] {
        let data = data.into();
        let hash = tribunal_keccak::keccak256(&data);
        self.preimages.insert(Key::keccak256(hash), data);
        hash
    }

    /// Puts `data` behind `key`.
    ///
    /// # Panics
    /// If it does not belong there: a test that wants a host that lies has to write one.
    pub fn insert(&mut self, key: Key, data: impl Into<Vec<u8>>) {
        let data = data.into();
        key.check(&data).unwrap_or_else(|wrong| panic!("{wrong}"));
        self.preimages.insert(key, data);
    }

    /// Takes the preimage of `key` away.
    pub fn remove(&mut self, key: Key) -> Option<Vec<u8>> {
        self.preimages.remove(&key)
    }

    /// The preimage of `key`, if it is there.
    pub fn get(&self, key: Key) -> Option<&[u8]> {
        self.preimages.get(&key).map(Vec::as_slice)
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.preimages.keys().copied()
    }

    /// Reads a file.
    ///
    /// # Panics
    /// With the name of the file, if it cannot be read or holds something else.
    pub fn from_file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        Self::from_json(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Reads what a file holds.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let inner = inner.ok_or("a store is a JSON object: { \"0xKEY\": \"0xDATA\", … }")?.trim();
        let mut store = Self::new();
        let members = if inner.is_empty() { None } else { Some(inner.split(',')) };
        for member in members.into_iter().flatten() {
            let quoted = |text: &str| {
                let text = text.trim().strip_prefix('"')?.strip_suffix('"')?;
                (!text.contains(['"', '\\'])).then(|| text.to_owned())
            };
            let (key, data) = member.split_once(':').unwrap_or((member, ""));
            let (Some(key), Some(data)) = (quoted(key), quoted(data)) else {
                return Err(format!("{:?} is not \"0xKEY\": \"0xDATA\"", member.trim()));
            };
            let key: Key = key.parse().map_err(|error| format!("{error}"))?;
            let data = bytes(&data).ok_or_else(|| format!("the data of {key} is not hex"))?;
            key.check(&data).map_err(|wrong| wrong.to_string())?;
            store.preimages.insert(key, data);
        }
        Ok(store)
    }

    /// What a file holds: the same text for the same preimages.
    pub fn to_json(&self) -> String {
        let mut text = String::from("{");
        for (i, (key, data)) in self.preimages.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\n  \"{key}\": \"0x");
            for byte in data {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('"');
        }
        text.push_str("\n}\n");
        text
    }
}

impl Oracle for Store {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.hints.push(String::from_utf8_lossy(hint).into_owned());
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        if key.kind().is_none() {
            return Err(OracleError::InvalidKey { key });
        }
        if let Some(data) = self.preimages.get(&key) {
            return Ok(data.clone());
        }
        self.missing.get_or_insert(key);
        let last = self.hints.last().map(|hint| format!("; last hint: {hint}"));
        let why = format!("it is not in the test's store{}", last.unwrap_or_default());
        Err(OracleError::Missing { key, why })
    }
}

/// The exit status of this package's program over a [`Store`]: natively, or in the machine if it is
/// `tribunal test` that asks.
///
/// `run_program!(name::run, store)` takes the program function and the store. The executable has the
/// name of the package; another one is named with `run_program!(name::run, store, "other")`.
#[macro_export]
macro_rules! run_program {
    ($program:path, $store:expr) => {
        $crate::run_program!($program, $store, ::core::env!("CARGO_PKG_NAME"))
    };
    ($program:path, $store:expr, $name:expr) => {
        $crate::testing::run($name, |store: &mut $crate::testing::Store| $program(store), $store)
    };
}

/// What [`run_program!`](crate::run_program!) calls.
///
/// A missing preimage is [`ExitStatus::NO_PREIMAGE`] whatever the program makes of it, because in a
/// machine the program is never told.
///
/// # Panics
/// In the machine, if it cannot be started.
pub fn run<E: Error + 'static>(
    name: &str,
    program: impl FnOnce(&mut Store) -> Result<Verdict, E>,
    mut store: Store,
) -> ExitStatus {
    match std::env::var_os(MACHINE) {
        Some(machine) => run_in_machine(&PathBuf::from(machine), name, &store),
        None => {
            let end = catch_unwind(AssertUnwindSafe(|| ExitStatus::of(program(&mut store))));
            match store.missing {
                Some(_) => ExitStatus::NO_PREIMAGE,
                None => end.unwrap_or(ExitStatus::PANICKED),
            }
        }
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a test speaks through its harness")]
fn run_in_machine(machine: &Path, name: &str, store: &Store) -> ExitStatus {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let programs = std::env::var_os(PROGRAMS).map(PathBuf::from).unwrap_or_default();
    let program = programs.join(format!("{name}.elf"));
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("{name}-{}-{number}.json", std::process::id()));
    std::fs::write(&file, store.to_json())
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
    let mut command = Command::new(machine);
    command.args(["exec", "--quiet", "--preimages"]).arg(&file).arg(&program);
    let end = command.output();
    let _ = std::fs::remove_file(&file);
    let end = end.unwrap_or_else(|error| panic!("cannot run {}: {error}", machine.display()));
    // Shown by a test that fails, as what the program prints natively is.
    std::print!("{}", String::from_utf8_lossy(&end.stdout));
    std::eprint!("{}", String::from_utf8_lossy(&end.stderr));
    let code = end.status.code().and_then(|code| u8::try_from(code).ok());
    ExitStatus::from_code(code.expect("the machine was ended by a signal"))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let value = |digit: u8| (digit as char).to_digit(16);
    let pairs = pairs.iter().map(|[high, low]| Some((value(*high)? << 4 | value(*low)?) as u8));
    if rest.is_empty() { pairs.collect() } else { None }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::convert::Infallible;

    use super::*;

    #[test]
    fn a_store_is_written_and_read() {
        let store = Store::new().with_local(1, b"one".as_slice()).with(b"data".as_slice());
        let read = Store::from_json(&store.to_json()).unwrap();
        assert_eq!(read, store);
        assert_eq!(Store::from_json("{}"), Ok(Store::new()));
        assert_eq!(Store::from_json(&Store::new().to_json()), Ok(Store::new()));
    }

    #[test]
    fn what_is_no_store_is_told() {
        let key = Key::local(1);
        let wrong = Key::keccak256_of(b"x");
        for (text, why) in [
            (String::new(), "a JSON object"),
            ("[]".into(), "a JSON object"),
            ("{\"0x01\": \"0x\"}".into(), "64 hex digits"),
            (format!("{{\"{key}\": 5}}"), "is not \"0xKEY\""),
            (format!("{{\"{key}\": \"0x1\"}}"), "not hex"),
            (format!("{{\"{key}\": \"0xgg\"}}"), "not hex"),
            (format!("{{\"{wrong}\": \"0x\"}}"), "belong to"),
            (format!("{{\"{key}\": \"0x\",}}"), "is not \"0xKEY\""),
        ] {
            let error = Store::from_json(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    #[should_panic(expected = "belong to")]
    fn a_test_cannot_lie_by_mistake() {
        Store::new().insert(Key::keccak256_of(b"true"), b"false".as_slice());
    }

    #[test]
    fn the_status_is_that_of_the_machine() {
        let status = |program: fn(&mut Store) -> Result<Verdict, OracleError>| {
            run("nothing", program, Store::new())
        };
        assert_eq!(status(|_| Ok(Verdict::Holds)), ExitStatus::HOLDS);
        assert_eq!(status(|_| panic!("on purpose")), ExitStatus::PANICKED);
        assert_eq!(status(|store| store.hint(b"h").map(|()| Verdict::Wrong)), ExitStatus::WRONG);
        let asks = |store: &mut Store| store.preimage(Key::local(1)).map(|_| Verdict::Wrong);
        assert_eq!(status(asks), ExitStatus::NO_PREIMAGE);
    }

    /// On chain nobody tells a program that a preimage is missing: the step cannot be taken.
    #[test]
    fn nobody_decides_without_a_preimage_that_was_asked_for() {
        let stubborn = |store: &mut Store| {
            let _ = store.preimage(Key::local(1));
            Ok::<_, Infallible>(Verdict::Holds)
        };
        assert_eq!(run("nothing", stubborn, Store::new()), ExitStatus::NO_PREIMAGE);
        let store = Store::new().with_local(1, vec![]);
        assert_eq!(run("nothing", stubborn, store), ExitStatus::HOLDS);
    }
}
