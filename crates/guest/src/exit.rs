//! How a program ends: what its exit status says of the claim.

use alloc::string::ToString as _;
use core::error::Error;

use crate::eprintln;

/// What a program found out about the claim.
///
/// Nothing else becomes an exit status of 0 or 1: whoever could not decide returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The claim is true. Exit status 0.
    Holds,
    /// The claim is proven false. Exit status 1.
    Wrong,
}

impl Verdict {
    /// The verdict on a claim that was found to be true or false.
    pub const fn from_claim(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Wrong }
    }
}

/// The exit status of a program: 0 the claim holds, 1 it is wrong, 2 nothing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(u8);

impl ExitStatus {
    /// The program could not decide: a preimage is missing or malformed, memory ran out, a panic.
    pub const UNDECIDED: Self = Self(2);

    /// The exit status for what a program function returned; an error is told on stderr, with its
    /// causes.
    pub fn of<E: Error>(result: Result<Verdict, E>) -> Self {
        let error = match result {
            Ok(verdict) => return verdict.into(),
            Err(error) => error,
        };
        let mut said = error.to_string();
        eprintln!("error: {said}");
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors say what their cause says.
            if !said.contains(&text) {
                eprintln!("  because: {text}");
                said = text;
            }
            cause = error.source();
        }
        Self::UNDECIDED
    }

    /// The number.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl From<Verdict> for ExitStatus {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Holds => Self(0),
            Verdict::Wrong => Self(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verdict_is_zero_or_one() {
        let of = |result: Result<Verdict, core::fmt::Error>| ExitStatus::of(result).code();
        assert_eq!(of(Ok(Verdict::from_claim(true))), 0);
        assert_eq!(of(Ok(Verdict::from_claim(false))), 1);
        assert_eq!(of(Err(core::fmt::Error)), 2);
    }
}
