//! What a handler is given to follow a hint with, and how it says that it could not.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tribunal_preimage::Key;

use crate::store::PreimageStore;

/// How long a missing preimage is sought.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Set by anyone, for instance on Ctrl-C, to end the search.
    pub cancel: Option<Arc<AtomicBool>>,
    /// From the request to the last attempt, at most.
    pub deadline: Duration,
    /// The first wait between two attempts; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait between two attempts.
    pub longest_wait: Duration,
}

impl Default for Patience {
    /// Five minutes, with waits of 250 ms to 15 s.
    fn default() -> Self {
        Self {
            cancel: None,
            deadline: Duration::from_secs(300),
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(15),
        }
    }
}

/// Why a handler is called, where it puts what it finds, and how long it may take.
#[derive(Clone, Copy)]
pub struct Errand<'a> {
    pub(super) store: &'a dyn PreimageStore,
    pub(super) key: Key,
    pub(super) until: Instant,
    pub(super) cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Errand<'a> {
    /// Where preimages are put. It takes nothing that does not belong to its key.
    pub const fn store(&self) -> &'a dyn PreimageStore {
        self.store
    }

    /// The preimage that is missing.
    pub const fn key(&self) -> Key {
        self.key
    }

    /// When whoever asked gives up. A handler should end by then; nobody ends it.
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// Whether nobody waits for it any more.
    pub fn is_cancelled(&self) -> bool {
        (self.cancelled)()
    }
}

impl fmt::Debug for Errand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").field("key", &self.key).field("until", &self.until).finish()
    }
}

/// Why a handler could not follow a hint.
///
/// Any error becomes one with `?`; it then says neither where, nor that trying again is of no use.
/// It is no [`Error`] itself, so that this works.
#[derive(Debug)]
pub struct HintError {
    cause: Box<dyn Error + Send + Sync>,
    endpoint: Option<String>,
    again: Again,
}

/// Whether the same hint may be followed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Not before this time has passed.
    After(Duration),
    /// It would fail again.
    Never,
}

impl HintError {
    /// A failure that may not come again: a broken connection, a busy server.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), endpoint: None, again: Again::After(Duration::ZERO) }
    }

    /// Says who was asked: a URL without what is secret in it.
    pub fn at(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Says that trying again is of no use: the hint is malformed, or the endpoint lacks the method.
    pub fn for_good(mut self) -> Self {
        self.again = Again::Never;
        self
    }

    /// Says how long the endpoint wants to be left alone.
    pub fn not_before(mut self, wait: Duration) -> Self {
        self.again = Again::After(wait);
        self
    }

    /// Who was asked, if that is known.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether trying again is of no use.
    pub fn is_for_good(&self) -> bool {
        self.again == Again::Never
    }

    pub(super) const fn again(&self) -> Again {
        self.again
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HintError {
    fn from(cause: E) -> Self {
        Self::new(cause)
    }
}

/// Where, then what went wrong and what caused it, in one line.
impl fmt::Display for HintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(endpoint) = &self.endpoint {
            write!(f, "{endpoint}: ")?;
        }
        let mut text = self.cause.to_string();
        let mut cause = self.cause.source();
        while let Some(error) = cause {
            let more = error.to_string();
            // Many errors already repeat their cause.
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

/// Whether a flag that may be there is set.
pub(super) fn is_set(flag: Option<&AtomicBool>) -> bool {
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("fetching failed")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_failure_is_told_with_endpoint_and_causes() {
        let outer = || Outer(std::io::Error::other("connection refused"));
        let error = HintError::from(outer());
        assert_eq!(error.to_string(), "fetching failed: connection refused");
        assert!(!error.is_for_good());
        let error = HintError::new(outer()).at("http://l1:8545").for_good();
        assert_eq!(error.to_string(), "http://l1:8545: fetching failed: connection refused");
        assert!(error.is_for_good());
        assert_eq!(HintError::from("plain words").to_string(), "plain words");
    }
}
