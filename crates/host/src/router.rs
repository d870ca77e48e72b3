//! Who follows which hint, and when.
//!
//! A hint is acknowledged as soon as it is heard, and followed when a preimage turns out to be
//! missing: a store that has everything costs no request, and a program may hint as much as it likes.

mod errand;
mod memory;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tribunal_preimage::{ChannelError, Key, OracleError};

use crate::history::Heard;
use crate::store::{PreimageStore, StoreError};

pub use errand::{Errand, HintError, Patience};

use errand::{Again, is_set};
use memory::{Candidate, Fate, Memory, Scope};

type Handler = Box<dyn Fn(&Hint<'_>, &Errand<'_>) -> Result<(), HintError> + Send + Sync>;
type Log = Box<dyn Fn(&Event<'_>) + Send + Sync>;

/// A hint: a name, a space, and whatever that name's handler understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint<'a> {
    text: &'a str,
    name: &'a str,
    argument: &'a str,
}

impl<'a> Hint<'a> {
    /// Splits a hint at its first space; `None` if it is not UTF-8.
    pub fn parse(hint: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(hint).ok()?;
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        Some(Self { text, name, argument })
    }

    /// All of it.
    pub const fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The first word.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// What follows the space after the name.
    pub const fn argument(&self) -> &'a str {
        self.argument
    }

    /// The argument as bytes: hex digits of either case, with or without `0x`.
    ///
    /// # Errors
    /// What is wrong with the digits, and where. It is [for good](HintError::for_good).
    pub fn data(&self) -> Result<Vec<u8>, HintError> {
        let digits = self.argument.strip_prefix("0x").unwrap_or(self.argument);
        hex::decode(digits).map_err(|error| {
            HintError::new(format!("what follows {} is not hex: {error}", self.name)).for_good()
        })
    }
}

/// Something a person may want to know of, while hints are heard and followed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// What was kept for a key does not belong to it. It is sought anew.
    Damaged {
        /// What is wrong, and where.
        error: &'a StoreError,
    },
    /// A handler could not follow its hint.
    Failed {
        /// The hint.
        hint: &'a Heard,
        /// Why.
        error: &'a HintError,
    },
    /// A hint was heard that no handler knows. Each name is told of once, and no more than a few.
    Unknown {
        /// The hint.
        hint: &'a Heard,
    },
    /// A preimage is still missing; what can be tried again is, after this time.
    Waiting {
        /// The preimage.
        key: Key,
        /// How long.
        wait: Duration,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { error } => write!(f, "{error}; it is being sought anew"),
            Self::Failed { hint, error } => write!(f, "cannot follow {hint}: {error}"),
            Self::Unknown { hint } => {
                write!(f, "nobody here knows the hint {hint}; it is acknowledged")
            }
            Self::Waiting { key, wait } => {
                write!(f, "the preimage of {key} is still missing; trying again in {wait:.1?}")
            }
        }
    }
}

/// Gives each hint to the handler of its name, once a preimage is missing.
///
/// A hint never fails the program: on chain hints do nothing, and what a hint was to fetch may be in
/// the store already. A hint without a handler is acknowledged, and why a handler failed is told when
/// the preimage cannot be had.
#[derive(Default)]
pub struct Router {
    handlers: BTreeMap<String, (Scope, Handler)>,
    patience: Patience,
    log: Option<Log>,
    memory: Mutex<Memory>,
    /// The names that [`Event::Unknown`] was told of.
    unknown: Mutex<BTreeSet<String>>,
}

impl Router {
    /// A router that acknowledges everything and follows nothing, as hints are on chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a missing preimage is sought, instead of the default.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Has `log` called with what happens, from whatever thread it happens in.
    pub fn with_log(mut self, log: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.log = Some(Box::new(log));
        self
    }

    /// Gives hints called `name` to `handler`, in the place of an earlier one.
    ///
    /// A handler puts what the hint asks for into the errand's store. It may be called several times
    /// for one hint, and from several threads at once. The last 64 such hints are remembered.
    pub fn on<F>(&mut self, name: &str, handler: F) -> &mut Self
    where
        F: Fn(&Hint<'_>, &Errand<'_>) -> Result<(), HintError> + Send + Sync + 'static,
    {
        self.handlers.insert(name.into(), (Scope::Single, Box::new(handler)));
        self
    }

    /// As [`Router::on`], for hints that ask for much at once: a whole block's witness.
    ///
    /// They are followed before all others, and the last four stay remembered however many others
    /// follow.
    pub fn on_bulk<F>(&mut self, name: &str, handler: F) -> &mut Self
    where
        F: Fn(&Hint<'_>, &Errand<'_>) -> Result<(), HintError> + Send + Sync + 'static,
    {
        self.handlers.insert(name.into(), (Scope::Bulk, Box::new(handler)));
        self
    }

    /// Remembers `hint`.
    pub fn hear(&self, hint: &[u8]) {
        let scope = self.handler(hint).map(|(_, scope, _)| scope);
        self.memory().add(hint, scope);
        if scope.is_none() && !self.handlers.is_empty() {
            self.tell_unknown(hint);
        }
    }

    /// The last few hints, oldest first.
    pub fn last_hints(&self) -> Vec<Heard> {
        self.memory().last()
    }

    /// Whether somebody wants every search to end.
    pub(crate) fn is_cancelled(&self) -> bool {
        is_set(self.patience.cancel.as_deref())
    }

    /// Seeks the preimage of `key`, which is not in `store`, by following hints.
    ///
    /// # Errors
    /// [`OracleError::Missing`] if no hint brings it within the deadline, or none can;
    /// [`OracleError::Channel`] if whoever waits gives up; [`OracleError::Host`] if the store fails.
    pub(crate) fn seek(
        &self,
        key: Key,
        store: &dyn PreimageStore,
        still: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, OracleError> {
        let start = Instant::now();
        let until = start + self.patience.deadline;
        let cancelled = || self.is_cancelled() || !still();
        let errand = Errand { store, key, until, cancelled: &cancelled };
        let mut search = Search::default();
        let mut wait = self.patience.first_wait;
        let mut round = self.first_round();
        loop {
            let mut not_before = Duration::ZERO;
            for candidate in &round {
                if cancelled() {
                    return Err(OracleError::Channel(ChannelError::Cancelled));
                }
                // The first attempt is made however short the deadline.
                if search.attempts > 0 && Instant::now() >= until {
                    break;
                }
                let asked = self.follow(candidate, &errand, &mut search);
                if let Some(data) = look(store, key)? {
                    return Ok(data);
                }
                not_before = not_before.max(asked);
            }
            round = self.later_round(&search);
            let left = until.saturating_duration_since(Instant::now());
            if round.is_empty() || left.is_zero() {
                return Err(self.missing(key, store, &search, start.elapsed()));
            }
            if cancelled() {
                return Err(OracleError::Channel(ChannelError::Cancelled));
            }
            let pause = wait.max(not_before).min(left);
            self.tell(&Event::Waiting { key, wait: pause });
            if !sleep_unless(pause, &cancelled) {
                return Err(OracleError::Channel(ChannelError::Cancelled));
            }
            wait = wait.saturating_mul(2).min(self.patience.longest_wait);
            // Another process may use the same store.
            if let Some(data) = look(store, key)? {
                return Ok(data);
            }
        }
    }

    /// Tells of something that happened.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(log) = &self.log {
            log(event);
        }
    }

    /// What is tried at once: what nobody has tried yet, what asks for much before the rest; then what
    /// has failed before, the other way round, since what failed for much costs much.
    fn first_round(&self) -> Vec<Candidate> {
        let mut round = self.memory().candidates();
        round.retain(|known| matches!(known.fate, Fate::Failed | Fate::Untried));
        let rank = |known: &Candidate| match (known.fate, known.scope) {
            (Fate::Untried, Scope::Bulk) => 0,
            (Fate::Untried, Scope::Single) => 1,
            (_, Scope::Single) => 2,
            (_, Scope::Bulk) => 3,
        };
        round.sort_by_key(|known| (rank(known), Reverse(known.number)));
        round
    }

    /// What is tried after a wait: the last few hints that may still bring it.
    ///
    /// One that was followed and did not is followed once more, and then believed.
    fn later_round(&self, search: &Search) -> Vec<Candidate> {
        /// More would be a burden for the endpoints, and older ones are hardly the reason.
        const SINGLE: usize = 4;
        const BULK: usize = 1;

        let (mut single, mut bulk) = (SINGLE, BULK);
        let mut round = self.memory().candidates();
        round.retain(|known| {
            let left = match known.scope {
                Scope::Bulk => &mut bulk,
                Scope::Single => &mut single,
            };
            let may_bring_it = match known.fate {
                Fate::Failed | Fate::Untried => true,
                Fate::Followed => !search.repeated.contains(&known.number),
                Fate::FailedForGood => false,
            };
            let taken = may_bring_it && *left > 0;
            *left -= usize::from(taken);
            taken
        });
        round
    }

    /// Follows one hint. Returns how long its endpoint wants to be left alone.
    fn follow(&self, candidate: &Candidate, errand: &Errand<'_>, search: &mut Search) -> Duration {
        let Some((hint, _, handler)) = self.handler(&candidate.hint) else { return Duration::ZERO };
        search.attempts += 1;
        let result = handler(&hint, errand);
        let (fate, failure) = match &result {
            Ok(()) => {
                if candidate.fate == Fate::Followed {
                    search.repeated.insert(candidate.number);
                }
                (Fate::Followed, None)
            }
            Err(error) => {
                let mut said = error.to_string();
                match search.said.get(&candidate.number) {
                    // It was tried while there was time, and that tells more.
                    Some(before) if Instant::now() >= errand.until => said.clone_from(before),
                    _ => drop(search.said.insert(candidate.number, said.clone())),
                }
                let heard = Heard::new(&candidate.hint, Some(said));
                if !errand.is_cancelled() {
                    self.tell(&Event::Failed { hint: &Heard::new(&candidate.hint, None), error });
                }
                let fate = match error.again() {
                    Again::Never => Fate::FailedForGood,
                    Again::After(_) => Fate::Failed,
                };
                let failure = heard.failure.clone();
                search.failure = Some(heard);
                (fate, failure)
            }
        };
        self.memory().note(candidate.number, fate, failure);
        match result.map_err(|error| error.again()) {
            Err(Again::After(wait)) => wait,
            Ok(()) | Err(Again::Never) => Duration::ZERO,
        }
    }

    /// Why `key` could not be had.
    fn missing(
        &self,
        key: Key,
        store: &dyn PreimageStore,
        search: &Search,
        time: Duration,
    ) -> OracleError {
        let memory = self.memory();
        let mut why = format!("it is not in {}; {}", store.name(), memory.summary());
        if let Some(heard) = &search.failure
            && !memory.last().contains(heard)
        {
            why.push_str(&format!("; also tried: {heard}"));
        }
        if search.attempts > 0 {
            let times = match search.attempts {
                1 => "once".into(),
                n => format!("{n} times"),
            };
            why.push_str(&format!("; hints were followed {times} in {time:.1?}"));
        }
        OracleError::Missing { key, why }
    }

    /// The hint, what it asks for and who follows it, if there is anyone.
    fn handler<'a>(&'a self, hint: &'a [u8]) -> Option<(Hint<'a>, Scope, &'a Handler)> {
        let hint = Hint::parse(hint)?;
        let (scope, handler) = self.handlers.get(hint.name)?;
        Some((hint, *scope, handler))
    }

    fn tell_unknown(&self, hint: &[u8]) {
        /// A program may make up names without end.
        const MOST: usize = 64;

        let heard = Heard::new(hint, None);
        let name = heard.text.split(' ').next().unwrap_or_default();
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() < MOST && unknown.insert(name.into()) {
            drop(unknown);
            self.tell(&Event::Unknown { hint: &heard });
        }
    }

    // Nothing panics while it holds the lock, so a poisoned one is as good as any.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("handlers", &self.handlers.keys())
            .field("patience", &self.patience)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// How the search for one preimage went so far.
#[derive(Debug, Default)]
struct Search {
    /// How often a handler was called.
    attempts: u64,
    /// The last hint that failed.
    failure: Option<Heard>,
    /// What came of hints that failed, by their numbers.
    said: BTreeMap<u64, String>,
    /// The hints that were followed a second time, by their numbers.
    repeated: BTreeSet<u64>,
}

/// The preimage of `key`, if it is there and whole.
fn look(store: &dyn PreimageStore, key: Key) -> Result<Option<Vec<u8>>, OracleError> {
    match store.get(key) {
        Ok(found) => Ok(found),
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(OracleError::Host(error.to_string())),
    }
}

/// Sleeps; returns whether it slept to the end.
fn sleep_unless(time: Duration, cancelled: &dyn Fn() -> bool) -> bool {
    /// How soon someone who gives up is heard.
    const SLICE: Duration = Duration::from_millis(20);

    let end = Instant::now() + time;
    loop {
        if cancelled() {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(SLICE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_a_word_and_the_rest() {
        let parts = |hint| Hint::parse(hint).map(|hint| (hint.name(), hint.argument()));
        assert_eq!(parts(b"l2-code 0xAb"), Some(("l2-code", "0xAb")));
        assert_eq!(parts(b"proof 0x01 0x02  "), Some(("proof", "0x01 0x02  ")));
        assert_eq!(parts(b"name"), Some(("name", "")));
        assert_eq!(parts(b""), Some(("", "")));
        assert_eq!(parts(b" x"), Some(("", "x")));
        assert_eq!(parts(b"l2-code \xff"), None);
        assert_eq!(Hint::parse(b"proof 0x01 ").unwrap().bytes(), b"proof 0x01 ");
    }

    #[test]
    fn hint_data_is_hex_of_either_case() {
        let data = |hint| Hint::parse(hint).unwrap().data();
        assert_eq!(data(b"l2-code 0xABcd").unwrap(), [0xab, 0xcd]);
        assert_eq!(data(b"l2-code ABcd").unwrap(), [0xab, 0xcd]);
        assert!(data(b"l2-code 0x").unwrap().is_empty());
        for wrong in [&b"l2-code 0xABc"[..], b"l2-code 0x0g", b"l2-code 0x01 0x02"] {
            let error = data(wrong).unwrap_err();
            assert!(error.is_for_good());
            assert!(error.to_string().starts_with("what follows l2-code is not hex: "), "{error}");
        }
    }
}
