//! Preimages with a meaning: what every [`Oracle`] can be asked for besides bytes.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use tribunal_keccak::keccak256;

use crate::{Account, Dialect, Error, Hash, Header, Hint, Key, Malformed, Number, Oracle, trie};

/// Typed questions to an [`Oracle`]. Every oracle has them.
pub trait Preimages: Oracle {
    /// Local input `ident`, whatever it is.
    ///
    /// # Errors
    /// If there is none.
    fn local(&mut self, ident: u64) -> Result<Vec<u8>, Error> {
        let what = || format!("local input {ident}").into();
        self.preimage(Key::local(ident)).map_err(|source| Error::Oracle { what: what(), source })
    }

    /// Local input `ident`, exactly `N` bytes.
    ///
    /// # Errors
    /// If there is none, or it has another length.
    fn local_array<const N: usize>(&mut self, ident: u64) -> Result<[u8; N], Error> {
        let bytes = self.local(ident)?;
        bytes.as_slice().try_into().map_err(|_| {
            let why = format!("it is {} bytes long, not {N}", bytes.len());
            Malformed::new(format!("local input {ident}"), why).into()
        })
    }

    /// Local input `ident`, a hash.
    ///
    /// # Errors
    /// If there is none, or it is not 32 bytes long.
    fn local_hash(&mut self, ident: u64) -> Result<Hash, Error> {
        self.local_array(ident)
    }

    /// Local input `ident`, a number of 8 big-endian bytes.
    ///
    /// # Errors
    /// If there is none, or it is not 8 bytes long.
    fn local_number(&mut self, ident: u64) -> Result<u64, Error> {
        self.local_array(ident).map(u64::from_be_bytes)
    }

    /// The bytes with this keccak256, hashed here: a key holds 31 bytes of the hash, and somebody may
    /// have claimed one that differs in the first. `what` is for the message.
    ///
    /// # Errors
    /// If they are missing, or have another hash.
    fn hashed(&mut self, what: &'static str, hash: &Hash) -> Result<Vec<u8>, Error> {
        let bytes = self.preimage(Key::keccak256(*hash));
        let bytes = bytes.map_err(|source| Error::Oracle { what: what.into(), source })?;
        if keccak256(&bytes) == *hash {
            return Ok(bytes);
        }
        let why = "it has another hash, though the last 31 bytes of it fit: nothing has this hash";
        Err(Malformed::new(Cow::Borrowed(what), why).into())
    }

    /// The header of the block with this hash.
    ///
    /// # Errors
    /// If it is missing or malformed.
    fn header(&mut self, hash: &Hash) -> Result<Header, Error> {
        Ok(Header::decode(&self.hashed("block header", hash)?)?)
    }

    /// The account at `address` in the state with this root, or `None` if there is none.
    ///
    /// # Errors
    /// If a node is missing or malformed.
    fn account(&mut self, state_root: &Hash, address: &[u8; 20]) -> Result<Option<Account>, Error>
    where
        Self: Sized,
    {
        trie::account(self, state_root, address)
    }

    /// What is in `slot` of the storage with this root; zero if nothing is.
    ///
    /// # Errors
    /// If a node is missing or malformed.
    fn storage(&mut self, storage_root: &Hash, slot: &Hash) -> Result<Number, Error>
    where
        Self: Sized,
    {
        trie::storage(self, storage_root, slot)
    }

    /// Tells the host what will be asked for, unless the dialect has no word for it.
    ///
    /// # Errors
    /// If it is not acknowledged.
    fn tell(&mut self, dialect: Dialect, hint: &Hint<'_>) -> Result<(), Error> {
        let Some((name, bytes)) = hint.name(dialect).zip(hint.bytes(dialect)) else {
            return Ok(());
        };
        let what = || format!("acknowledgement of the hint {name}").into();
        self.hint(&bytes).map_err(|source| Error::Oracle { what: what(), source })
    }
}

impl<O: Oracle + ?Sized> Preimages for O {}
