//! RLP, read strictly: what has two encodings is accepted in the shorter one alone, so that bytes
//! with the right hash are the only bytes that mean what they mean.
//!
//! Nothing is copied: items are slices of what was read. Knows lengths and their one right form; what
//! a list means, whoever reads it knows.
#![no_std]

extern crate alloc;

mod write;

use core::fmt;

pub use write::{list_of, write_integer, write_list, write_list_header, write_string};

/// An item of RLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A string of bytes.
    Bytes(&'a [u8]),
    /// A list: the encodings of its items, one after the other.
    List(&'a [u8]),
}

/// Why bytes are not RLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RlpError {
    /// A list where bytes should be, or the other way round.
    Kind,
    /// An item has another number of bytes or of items than it should have.
    Length,
    /// Longer than it need be: a leading zero of a number, a long form for a short one.
    NotShortest,
    /// Bytes behind the end.
    Trailing,
    /// The end before the last byte.
    Truncated,
}

impl fmt::Display for RlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "bytes and list are mixed up",
            Self::Length => "an item has the wrong length",
            Self::NotShortest => "an item is not encoded in the shortest way",
            Self::Trailing => "there are bytes behind the end",
            Self::Truncated => "the end is missing",
        })
    }
}

impl core::error::Error for RlpError {}

/// The items of a list, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a>(&'a [u8]);

/// Reads the only item in `bytes`.
///
/// # Errors
/// If it is none, or something follows.
pub fn exact(bytes: &[u8]) -> Result<Item<'_>, RlpError> {
    let (item, rest) = split(bytes)?;
    if rest.is_empty() { Ok(item) } else { Err(RlpError::Trailing) }
}

/// Reads the only item in `bytes`, a list.
///
/// # Errors
/// If it is none.
pub fn list(bytes: &[u8]) -> Result<Items<'_>, RlpError> {
    exact(bytes)?.list()
}

/// The first item of `bytes`, and what follows it.
///
/// # Errors
/// If there is none.
#[inline]
pub fn split(bytes: &[u8]) -> Result<(Item<'_>, &[u8]), RlpError> {
    let header = ItemHeader::read(bytes)?;
    let (item, rest) = bytes
        .split_at_checked(header.total().ok_or(RlpError::Truncated)?)
        .ok_or(RlpError::Truncated)?;
    let payload = &item[header.len..];
    if header.is_list {
        return Ok((Item::List(payload), rest));
    }
    match payload {
        [0..=0x7f] if header.len > 0 => Err(RlpError::NotShortest),
        _ => Ok((Item::Bytes(payload), rest)),
    }
}

/// The bytes in front of an item's payload, which say what it is and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemHeader {
    /// It is a list, and no string of bytes.
    pub is_list: bool,
    /// Bytes before the payload; 0 for a byte that stands for itself.
    pub len: usize,
    /// Bytes of the payload.
    pub payload: usize,
}

impl ItemHeader {
    /// The most bytes that one has.
    pub const MAX: usize = 9;

    /// How many bytes the header has that begins with `first`.
    pub const fn len_of(first: u8) -> usize {
        match first {
            0..=0x7f => 0,
            0xb8..=0xbf => 1 + (first - 0xb7) as usize,
            0xf8.. => 1 + (first - 0xf7) as usize,
            _ => 1,
        }
    }

    /// Reads a header, or the byte that needs none. Whether the payload is there, and whether it is a
    /// byte that could stand for itself, is for whoever has it to see.
    ///
    /// # Errors
    /// If it is cut short, or the length is not in its shortest form.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, RlpError> {
        let first = *bytes.first().ok_or(RlpError::Truncated)?;
        let (len, payload) = match first {
            0..=0x7f => (0, 1),
            0x80..=0xb7 => (1, usize::from(first - 0x80)),
            0xc0..=0xf7 => (1, usize::from(first - 0xc0)),
            _ => {
                let len = Self::len_of(first);
                (len, long_length(bytes.get(1..len).ok_or(RlpError::Truncated)?)?)
            }
        };
        Ok(Self { is_list: first >= 0xc0, len, payload })
    }

    /// Bytes of header and payload, if there can be as many.
    pub const fn total(self) -> Option<usize> {
        self.len.checked_add(self.payload)
    }
}

/// The length of a payload from its digits.
fn long_length(digits: &[u8]) -> Result<usize, RlpError> {
    if digits.first() == Some(&0) {
        return Err(RlpError::NotShortest);
    }
    let length = digits.iter().try_fold(0usize, |length, &digit| {
        length.checked_mul(256).map(|length| length | usize::from(digit))
    });
    match length {
        // More than there can be bytes.
        None => Err(RlpError::Truncated),
        Some(..56) => Err(RlpError::NotShortest),
        Some(length) => Ok(length),
    }
}

impl<'a> Item<'a> {
    /// Whether it is the empty string, which stands for zero, or for nothing at all.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::Bytes([]))
    }

    /// The bytes.
    ///
    /// # Errors
    /// If it is a list.
    pub const fn bytes(self) -> Result<&'a [u8], RlpError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::List(_) => Err(RlpError::Kind),
        }
    }

    /// The items.
    ///
    /// # Errors
    /// If it is a string of bytes.
    pub const fn list(self) -> Result<Items<'a>, RlpError> {
        match self {
            Self::Bytes(_) => Err(RlpError::Kind),
            Self::List(items) => Ok(Items(items)),
        }
    }

    /// Exactly `N` bytes: a hash, an address.
    ///
    /// # Errors
    /// If it is something else.
    pub fn array<const N: usize>(self) -> Result<[u8; N], RlpError> {
        self.bytes()?.try_into().map_err(|_| RlpError::Length)
    }

    /// A number of at most `N` bytes, big-endian, filled up with zeroes from the left.
    ///
    /// # Errors
    /// If it is longer, or begins with a zero.
    pub fn number<const N: usize>(self) -> Result<[u8; N], RlpError> {
        let bytes = self.bytes()?;
        if bytes.first() == Some(&0) {
            return Err(RlpError::NotShortest);
        }
        let mut number = [0; N];
        let start = N.checked_sub(bytes.len()).ok_or(RlpError::Length)?;
        number[start..].copy_from_slice(bytes);
        Ok(number)
    }

    /// A number below 2⁶⁴.
    ///
    /// # Errors
    /// If it is larger, or begins with a zero.
    pub fn u64(self) -> Result<u64, RlpError> {
        self.number().map(u64::from_be_bytes)
    }
}

impl<'a> Items<'a> {
    /// Of encodings that stand one after the other.
    pub const fn new(encodings: &'a [u8]) -> Self {
        Self(encodings)
    }

    /// The next item.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    #[inline]
    pub fn take(&mut self) -> Result<Item<'a>, RlpError> {
        let (item, rest) = split(self.0)?;
        self.0 = rest;
        Ok(item)
    }

    /// Whether all were taken.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encodings that were not taken yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// That all were taken.
    ///
    /// # Errors
    /// If there are more.
    pub const fn end(&self) -> Result<(), RlpError> {
        if self.is_empty() { Ok(()) } else { Err(RlpError::Trailing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_what_the_specification_says() {
        let long = [&[0xb8, 56][..], &[7; 56]].concat();
        for (encoded, expected) in [
            (&b"\x83dog"[..], Item::Bytes(b"dog")),
            (b"\x80", Item::Bytes(b"")),
            (b"\x00", Item::Bytes(b"\x00")),
            (b"\x0f", Item::Bytes(b"\x0f")),
            (b"\x82\x04\x00", Item::Bytes(b"\x04\x00")),
            (b"\xc0", Item::List(b"")),
            (b"\xc8\x83cat\x83dog", Item::List(b"\x83cat\x83dog")),
            (&long, Item::Bytes(&[7; 56])),
        ] {
            assert_eq!(exact(encoded), Ok(expected));
        }
        assert_eq!(ItemHeader::read(&long[..2]).unwrap().total(), Some(58));
        let mut items = list(b"\xc8\x83cat\x83dog").unwrap();
        assert_eq!(items.take(), Ok(Item::Bytes(b"cat")));
        assert_eq!(items.end(), Err(RlpError::Trailing));
        assert_eq!(items.take(), Ok(Item::Bytes(b"dog")));
        assert_eq!(items.end(), Ok(()));
        assert_eq!(items.take(), Err(RlpError::Truncated));
    }

    #[test]
    fn only_the_shortest_encoding_counts() {
        for encoded in [&b"\x81\x05"[..], b"\xb8\x01x", b"\xb9\x00\x38", b"\xf8\x01\x05"] {
            assert_eq!(exact(encoded), Err(RlpError::NotShortest), "{encoded:x?}");
        }
        assert_eq!(exact(b"\x83dogs"), Err(RlpError::Trailing));
        for encoded in
            [&b""[..], b"\x83do", b"\xb8", b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xc2\x01"]
        {
            assert_eq!(exact(encoded), Err(RlpError::Truncated), "{encoded:x?}");
        }
    }

    #[test]
    fn numbers_have_no_leading_zero() {
        assert_eq!(exact(b"\x80").unwrap().u64(), Ok(0));
        assert_eq!(exact(b"\x82\x01\x00").unwrap().u64(), Ok(256));
        assert_eq!(exact(b"\x00").unwrap().u64(), Err(RlpError::NotShortest));
        assert_eq!(exact(b"\x89123456789").unwrap().u64(), Err(RlpError::Length));
        assert_eq!(exact(b"\xc0").unwrap().u64(), Err(RlpError::Kind));
        assert_eq!(exact(b"\x82\x01\x00").unwrap().number(), Ok([0, 0, 1, 0]));
        assert_eq!(exact(b"\x82ab").unwrap().array(), Ok(*b"ab"));
        assert_eq!(exact(b"\x82ab").unwrap().array::<3>(), Err(RlpError::Length));
    }
}
