//! What a program may ask of its host, in one trait, and how that can fail.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::key::name;
use crate::{ChannelError, Key, WrongPreimage};

/// What a program may ask of its host.
///
/// The client side of the wire implements it, and so does a host in the same process.
pub trait Oracle {
    /// Tells the host what will be asked for; returns once the host has acknowledged.
    ///
    /// # Errors
    /// If the host could not be told, or failed. On chain hints do nothing, so a program must not
    /// depend on what a hint answers.
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError>;

    /// The whole preimage of `key`, without the length in front of it.
    ///
    /// # Errors
    /// If there is none, or what came is not the preimage, or the host cannot be reached.
    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError>;

    /// Puts the beginning of the preimage of `key` into `buffer`, as far as both go, and returns how
    /// long the whole is, in bytes.
    ///
    /// In a machine the rest costs nothing; elsewhere the whole is read, and checked.
    ///
    /// # Errors
    /// As [`Oracle::preimage`].
    fn beginning(&mut self, key: Key, buffer: &mut [u8]) -> Result<u64, OracleError> {
        let data = self.preimage(key)?;
        let shared = data.len().min(buffer.len());
        buffer[..shared].copy_from_slice(&data[..shared]);
        Ok(data.len() as u64)
    }
}

impl<T: Oracle + ?Sized> Oracle for &mut T {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        (**self).hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        (**self).preimage(key)
    }

    fn beginning(&mut self, key: Key, buffer: &mut [u8]) -> Result<u64, OracleError> {
        (**self).beginning(key, buffer)
    }
}

impl<T: Oracle + ?Sized> Oracle for Box<T> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        (**self).hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        (**self).preimage(key)
    }

    fn beginning(&mut self, key: Key, buffer: &mut [u8]) -> Result<u64, OracleError> {
        (**self).beginning(key, buffer)
    }
}

/// An oracle whose every preimage is held against its key before anyone sees it.
///
/// Put it around whatever speaks to a host that is not trusted. A program inside a machine need not:
/// the machine has checked, and checking again costs the program steps.
#[derive(Clone, Debug)]
pub struct Checked<O>(pub O);

impl<O: Oracle> Oracle for Checked<O> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.0.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        if key.kind().is_none() {
            return Err(OracleError::InvalidKey { key });
        }
        let data = self.0.preimage(key)?;
        key.check(&data).map_err(OracleError::Wrong)?;
        Ok(data)
    }
}

/// Why a program did not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OracleError {
    /// The channel to the host broke, or what came over it has no meaning.
    #[error("the program's channel to its host failed: {0}")]
    Channel(#[from] ChannelError),
    /// The host failed, in its own words.
    #[error("the host failed: {0}")]
    Host(String),
    /// The program asked for a key that no preimage can have.
    #[error(
        "the program asked for {key}, which is no preimage key: no kind of preimage has type byte {}",
        .key.as_bytes()[0]
    )]
    InvalidKey {
        /// What it asked for.
        key: Key,
    },
    /// The host does not have the preimage.
    #[error("the host has no preimage for {key} ({}){}{why}", name(.key), if .why.is_empty() { "" } else { ": " })]
    Missing {
        /// What the program asked for.
        key: Key,
        /// What the host knows about the reason: the last hint, what to do. May be empty.
        why: String,
    },
    /// The host sent something else.
    #[error("the host lied or its store is damaged: {0}")]
    Wrong(#[from] WrongPreimage),
}

impl OracleError {
    /// Who has to mend it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::InvalidKey { .. } => Fault::Program,
            Self::Channel(ChannelError::Cancelled) => Fault::Caller,
            Self::Channel(_) | Self::Host(_) | Self::Missing { .. } | Self::Wrong(_) => Fault::Host,
        }
    }
}

/// Whose fault a failed request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody's: whoever waited for the answer gave up.
    Caller,
    /// The host or the channel to it: the same program may succeed with another host.
    Host,
    /// The program: it would fail with any host, and on chain.
    Program,
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    /// Answers everything with the same bytes and counts how often.
    struct Parrot(Vec<u8>, u32);

    impl Oracle for Parrot {
        fn hint(&mut self, _: &[u8]) -> Result<(), OracleError> {
            Ok(())
        }

        fn preimage(&mut self, _: Key) -> Result<Vec<u8>, OracleError> {
            self.1 += 1;
            Ok(self.0.clone())
        }
    }

    #[test]
    fn a_checked_oracle_passes_only_what_belongs_to_the_key() {
        let mut oracle = Checked(Parrot(vec![1, 2, 3], 0));
        assert_eq!(oracle.preimage(Key::keccak256_of(&[1, 2, 3])), Ok(vec![1, 2, 3]));
        assert_eq!(oracle.preimage(Key::sha256_of(&[1, 2, 3])), Ok(vec![1, 2, 3]));
        for key in [Key::keccak256_of(&[1, 2]), Key::sha256_of(&[]), Key::blob(&[0; 48], &[0; 32])]
        {
            let error = oracle.preimage(key).unwrap_err();
            assert!(matches!(error, OracleError::Wrong(_)), "{error}");
            assert_eq!(error.fault(), Fault::Host);
        }
    }

    #[test]
    fn a_beginning_ends_where_the_buffer_or_the_preimage_does() {
        let mut oracle = Checked(Parrot(vec![1, 2, 3], 0));
        let mut buffer = [9; 2];
        let key = Key::keccak256_of(&[1, 2, 3]);
        assert_eq!(oracle.beginning(key, &mut buffer), Ok(3));
        assert_eq!(buffer, [1, 2]);
        let mut buffer = [9; 4];
        // Through a reference, too.
        assert_eq!(Oracle::beginning(&mut &mut oracle, key, &mut buffer), Ok(3));
        assert_eq!(buffer, [1, 2, 3, 9]);
        oracle.beginning(Key::sha256_of(b"other"), &mut buffer).unwrap_err();
    }

    #[test]
    fn a_key_of_no_kind_is_the_programs_fault_and_never_asked_for() {
        let mut oracle = Checked(Parrot(vec![], 0));
        for byte in [0, 7, 128, 129, 255] {
            let key = Key::from_bytes([byte; 32]);
            let error = oracle.preimage(key).unwrap_err();
            assert_eq!(error, OracleError::InvalidKey { key });
            assert_eq!(error.fault(), Fault::Program);
        }
        assert_eq!(oracle.0.1, 0);
    }

    #[test]
    fn a_missing_preimage_says_key_kind_and_reason() {
        let error =
            |why: &str| OracleError::Missing { key: Key::local(7), why: why.into() }.to_string();
        let expected = "the host has no preimage for \
            0x0100000000000000000000000000000000000000000000000000000000000007 (local)";
        assert_eq!(error(""), expected);
        assert_eq!(error("no network"), alloc::format!("{expected}: no network"));
    }
}
