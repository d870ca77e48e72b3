//! RLP as derivation reads it: what is not as it should be is nothing, because nobody asks why data
//! that anyone can write is malformed.

use alloy_primitives::U256;
use tribunal_rlp::Item;

pub(crate) use tribunal_rlp::{
    ItemHeader, list_of as list, write_integer, write_list_header, write_string,
};

/// What is left to read of a list, or of a sequence of items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a>(pub(crate) &'a [u8]);

impl<'a> Items<'a> {
    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> Option<Item<'a>> {
        let (item, rest) = tribunal_rlp::split(self.0).ok()?;
        self.0 = rest;
        Some(item)
    }

    /// All bytes of the next item.
    pub(crate) fn raw(&mut self) -> Option<&'a [u8]> {
        let from = self.0;
        self.take()?;
        from.get(..from.len() - self.0.len())
    }

    /// The next item, which must be a string.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.take()?.bytes().ok()
    }

    /// The next item, which must be a list.
    pub(crate) fn list(&mut self) -> Option<Items<'a>> {
        self.take()?.list().ok().map(|items| Items(items.rest()))
    }

    /// A string of `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take()?.array().ok()
    }

    /// The bytes of an integer of any size, without leading zeroes.
    pub(crate) fn integer(&mut self) -> Option<&'a [u8]> {
        self.string().filter(|bytes| bytes.first() != Some(&0))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take()?.u64().ok()
    }

    pub(crate) fn u256(&mut self) -> Option<U256> {
        U256::try_from_be_slice(self.integer()?)
    }
}

/// Reads the one list that `input` is, with nothing after it.
pub(crate) fn exact_list(input: &[u8]) -> Option<Items<'_>> {
    tribunal_rlp::list(input).ok().map(|items| Items(items.rest()))
}
