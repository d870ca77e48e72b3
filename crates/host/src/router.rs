//! Who follows which hint.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use crate::history::{Heard, History};
use crate::store::PreimageStore;

/// Why a handler could not follow a hint.
pub type HintError = Box<dyn Error + Send + Sync>;

type Handler = Box<dyn Fn(&Hint<'_>, &dyn PreimageStore) -> Result<(), HintError> + Send + Sync>;

/// A hint: a name, a space, and whatever that name's handler understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint<'a> {
    name: &'a str,
    argument: &'a str,
}

impl<'a> Hint<'a> {
    /// Splits a hint at its first space; `None` if it is not UTF-8.
    pub fn parse(hint: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(hint).ok()?;
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        Some(Self { name, argument })
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
    /// What is wrong with the digits, and where.
    pub fn data(&self) -> Result<Vec<u8>, hex::FromHexError> {
        hex::decode(self.argument.strip_prefix("0x").unwrap_or(self.argument))
    }
}

/// What became of a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No handler knows it.
    Acknowledged,
    /// Its handler failed, and said this.
    Failed(String),
    /// Its handler has done what it asks for.
    Followed,
}

/// Gives each hint to the handler of its name.
///
/// A hint never fails the program: on chain hints do nothing, and what a hint was to fetch may be in
/// the store already. A hint without a handler is acknowledged, and why a handler failed is told when
/// a preimage turns out to be missing.
#[derive(Default)]
pub struct Router {
    handlers: BTreeMap<String, Handler>,
    history: History,
}

impl Router {
    /// A router that acknowledges everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives hints called `name` to `handler`, in the place of an earlier one.
    ///
    /// A handler puts what the hint asks for into the store. It may be called from several threads
    /// at once.
    pub fn on<F>(&mut self, name: &str, handler: F) -> &mut Self
    where
        F: Fn(&Hint<'_>, &dyn PreimageStore) -> Result<(), HintError> + Send + Sync + 'static,
    {
        self.handlers.insert(name.into(), Box::new(handler));
        self
    }

    /// Has `hint` followed; returns once that is done.
    pub fn route(&self, hint: &[u8], store: &dyn PreimageStore) -> Outcome {
        let handler = Hint::parse(hint)
            .and_then(|hint| self.handlers.get(hint.name).map(|handler| (hint, handler)));
        let outcome = match handler {
            None => Outcome::Acknowledged,
            Some((hint, handler)) => match handler(&hint, store) {
                Ok(()) => Outcome::Followed,
                Err(error) => Outcome::Failed(with_causes(&*error)),
            },
        };
        let failure = match &outcome {
            Outcome::Failed(why) => Some(why.clone()),
            Outcome::Acknowledged | Outcome::Followed => None,
        };
        self.history.add(Heard::new(hint, failure));
        outcome
    }

    /// The last few hints, oldest first.
    pub fn last_hints(&self) -> Vec<Heard> {
        self.history.all()
    }

    /// What a message says about the last hints.
    pub(crate) fn summary(&self) -> String {
        self.history.summary()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("handlers", &self.handlers.keys())
            .field("history", &self.history)
            .finish()
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many errors already repeat their cause.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn a_hint_is_a_word_and_the_rest() {
        let parts = |hint| Hint::parse(hint).map(|hint| (hint.name(), hint.argument()));
        assert_eq!(parts(b"l2-code 0xAb"), Some(("l2-code", "0xAb")));
        assert_eq!(parts(b"proof 0x01 0x02  "), Some(("proof", "0x01 0x02  ")));
        assert_eq!(parts(b"name"), Some(("name", "")));
        assert_eq!(parts(b""), Some(("", "")));
        assert_eq!(parts(b" x"), Some(("", "x")));
        assert_eq!(parts(b"l2-code \xff"), None);
    }

    #[test]
    fn hint_data_is_hex_of_either_case() {
        let data = |hint| Hint::parse(hint).unwrap().data();
        assert_eq!(data(b"l2-code 0xABcd"), Ok(vec![0xab, 0xcd]));
        assert_eq!(data(b"l2-code ABcd"), Ok(vec![0xab, 0xcd]));
        assert_eq!(data(b"l2-code 0x"), Ok(vec![]));
        data(b"l2-code 0xABc").unwrap_err();
        data(b"l2-code 0x0g").unwrap_err();
        data(b"l2-code 0x01 0x02").unwrap_err();
    }

    #[test]
    fn a_failure_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("fetching failed")]
        struct Outer(#[source] std::io::Error);
        let mut router = Router::new();
        router.on("x", |_, _| Err(Outer(std::io::Error::other("connection refused")).into()));
        let outcome = router.route(b"x", &MemoryStore::new());
        assert_eq!(outcome, Outcome::Failed("fetching failed: connection refused".into()));
    }

    #[test]
    fn the_later_handler_of_a_name_wins() {
        let mut router = Router::new();
        router.on("x", |_, _| Err("first".into())).on("x", |_, _| Ok(()));
        assert_eq!(router.route(b"x y", &MemoryStore::new()), Outcome::Followed);
    }
}
