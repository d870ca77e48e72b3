//! Why a program could not decide, in the words of the kit.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};
use core::fmt;

use crate::OracleError;

/// Why the kit could not give what was asked for. Whoever has errors of their own makes this a
/// source of them: the exit status is found through the sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What came has not the form it should have.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The host did not answer.
    #[error("no {what}: {source}")]
    Oracle {
        /// What was asked for.
        what: Cow<'static, str>,
        /// What the oracle says.
        source: OracleError,
    },
}

impl From<OracleError> for Error {
    fn from(source: OracleError) -> Self {
        Self::Oracle { what: "answer of the host".into(), source }
    }
}

/// Bytes that are not what they should be: nothing is decided of such input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    what: Cow<'static, str>,
    why: String,
}

impl Malformed {
    /// `what` is malformed: `why`.
    pub fn new(what: impl Into<Cow<'static, str>>, why: impl fmt::Display) -> Self {
        Self { what: what.into(), why: why.to_string() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} is malformed: {}", self.what, self.why)
    }
}

impl core::error::Error for Malformed {}
