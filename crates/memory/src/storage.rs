//! What keeps the bytes of a memory. Knows nothing of hashes.

use std::borrow::Cow;

use crate::PageData;

/// Keeps pages, and which of their leaves changed.
///
/// A page exists once something was written to it, even a zero, and then for ever. Where there is
/// none, zeroes are read. An address counts bytes, a page index pages of 4096 bytes; it has 52 bits.
pub trait Storage {
    /// The 8-byte big-endian word at `address`; the low three bits of `address` are ignored.
    fn word(&mut self, address: u64) -> u64;

    /// As [`Storage::word`], for those who only look.
    fn peek(&self, address: u64) -> u64;

    /// The 4-byte instruction at `address`; the low two bits of `address` are ignored.
    fn instruction(&mut self, address: u64) -> u32;

    /// Stores an 8-byte word; the low three bits of `address` are ignored. Creates the page.
    fn set_word(&mut self, address: u64, word: u64);

    /// Writes bytes that lie within one page. Creates the page.
    fn write_within_page(&mut self, address: u64, bytes: &[u8]);

    /// Makes the page `index` exist.
    ///
    /// # Panics
    /// If `index` has more than 52 bits.
    fn touch(&mut self, index: u64);

    /// The page `index`, if it exists. A storage that keeps bytes in another order makes a copy.
    fn page(&self, index: u64) -> Option<Cow<'_, PageData>>;

    /// Whether the page `index` exists.
    fn has_page(&self, index: u64) -> bool;

    /// How many pages exist.
    fn page_count(&self) -> usize;

    /// The index of every page that exists, in ascending order.
    fn indices(&self) -> impl Iterator<Item = u64>;

    /// What changed since the last call, each page once.
    fn take_changed(&mut self) -> Vec<Changed>;
}

/// A page that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its index.
    pub index: u64,
    /// Its 32-byte leaves that may have changed, one bit each, the lowest for the first.
    pub leaves: u128,
}
