//! How a program ends: what its exit status says of the claim.

use alloc::string::ToString as _;
use core::error::Error;

use tribunal_preimage::ChannelError;

use crate::{Malformed, OracleError, eprintln};

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

/// The exit status of a program: 0 the claim holds, 1 it is wrong; from 2 on nothing was decided, and
/// the number says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExitStatus(u8);

impl ExitStatus {
    /// The claim is true.
    pub const HOLDS: Self = Self(0);
    /// The claim is proven false.
    pub const WRONG: Self = Self(1);
    /// The program panicked.
    pub const PANICKED: Self = Self(2);
    /// The host did not answer: a preimage is missing or wrong, or the channel broke. `tribunal exec`
    /// leaves with the same number, because in a machine it is the host that stops.
    pub const NO_PREIMAGE: Self = Self(3);
    /// There was no memory left.
    pub const OUT_OF_MEMORY: Self = Self(4);
    /// What the program was given has not the form it should have.
    pub const MALFORMED: Self = Self(5);
    /// Another error of the program's own.
    pub const UNDECIDED: Self = Self(6);

    /// The exit status for what a program function returned; an error is told on stderr, with its
    /// causes.
    pub fn of<E: Error + 'static>(result: Result<Verdict, E>) -> Self {
        let error = match result {
            Ok(verdict) => return verdict.into(),
            Err(error) => error,
        };
        let mut said = error.to_string();
        eprintln!("error: {said}");
        let mut status = Self::of_one(&error);
        let mut cause = error.source();
        while let Some(error) = cause {
            status = status.or_else(|| Self::of_one(error));
            let text = error.to_string();
            // Many errors say what their cause says.
            if !said.contains(&text) {
                eprintln!("  because: {text}");
                said = text;
            }
            cause = error.source();
        }
        status.unwrap_or(Self::UNDECIDED)
    }

    /// What an error of the kit says of itself; the causes of it are not looked at.
    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        let of_oracle = |error: &OracleError| match error {
            OracleError::Channel(ChannelError::OutOfMemory { .. }) => Self::OUT_OF_MEMORY,
            // Another host would not help.
            OracleError::InvalidKey { .. } => Self::UNDECIDED,
            _ => Self::NO_PREIMAGE,
        };
        if let Some(error) = error.downcast_ref::<crate::Error>() {
            return Some(match error {
                crate::Error::Malformed(_) => Self::MALFORMED,
                crate::Error::Oracle { source, .. } => of_oracle(source),
            });
        }
        if error.is::<Malformed>() {
            return Some(Self::MALFORMED);
        }
        error.downcast_ref::<OracleError>().map(of_oracle)
    }

    /// The number.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The status with this number.
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }
}

impl From<Verdict> for ExitStatus {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Holds => Self::HOLDS,
            Verdict::Wrong => Self::WRONG,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use tribunal_preimage::Key;
    use tribunal_preimage::channel::Field;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a program's own words")]
    struct Own<E: Error + 'static>(#[source] E);

    fn of<E: Error + 'static>(error: E) -> ExitStatus {
        ExitStatus::of(Err(error))
    }

    #[test]
    fn only_a_verdict_is_zero_or_one() {
        let of = |result: Result<Verdict, core::fmt::Error>| ExitStatus::of(result);
        assert_eq!(of(Ok(Verdict::from_claim(true))).code(), 0);
        assert_eq!(of(Ok(Verdict::from_claim(false))).code(), 1);
        assert_eq!(of(Err(core::fmt::Error)), ExitStatus::UNDECIDED);
    }

    #[test]
    fn each_reason_has_its_number_however_deep_it_is() {
        let missing = || OracleError::Missing { key: Key::local(1), why: String::new() };
        let memory = ChannelError::OutOfMemory { field: Field::PreimageData, done: 0, expected: 9 };
        assert_eq!(of(missing()), ExitStatus::NO_PREIMAGE);
        assert_eq!(of(Own(Own(missing()))), ExitStatus::NO_PREIMAGE);
        assert_eq!(of(crate::Error::from(missing())), ExitStatus::NO_PREIMAGE);
        assert_eq!(of(Own(OracleError::Channel(memory))), ExitStatus::OUT_OF_MEMORY);
        assert_eq!(of(Malformed::new("header", "short")), ExitStatus::MALFORMED);
        assert_eq!(
            of(Own(crate::Error::from(Malformed::new("header", "short")))),
            ExitStatus::MALFORMED
        );
        assert_eq!(of(OracleError::InvalidKey { key: Key::from_bytes([0; 32]) }).code(), 6);
        let all = [
            ExitStatus::PANICKED,
            ExitStatus::NO_PREIMAGE,
            ExitStatus::OUT_OF_MEMORY,
            ExitStatus::MALFORMED,
            ExitStatus::UNDECIDED,
        ];
        assert_eq!(all.map(ExitStatus::code), [2, 3, 4, 5, 6]);
    }
}
