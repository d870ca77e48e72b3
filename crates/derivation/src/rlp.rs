//! RLP as it is written and read here: strictly, without copies. Knows lengths and their one right
//! form; what a list means, its reader knows.

use alloc::vec::Vec;

use alloy_primitives::U256;

/// The first bytes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemHeader {
    pub(crate) is_list: bool,
    /// Bytes before the payload; 0 for a byte that stands for itself.
    pub(crate) len: usize,
    /// Bytes of the payload.
    pub(crate) payload: usize,
}

impl ItemHeader {
    /// The most bytes that one has.
    pub(crate) const MAX: usize = 9;

    /// How many bytes the header has that begins with `first`.
    pub(crate) const fn len_of(first: u8) -> usize {
        match first {
            0..=0x7f => 0,
            0xb8..=0xbf => 1 + (first - 0xb7) as usize,
            0xf8.. => 1 + (first - 0xf7) as usize,
            _ => 1,
        }
    }

    /// Reads a header, or the byte that needs none. Lengths must be in their shortest form.
    pub(crate) fn read(input: &[u8]) -> Option<Self> {
        let first = *input.first()?;
        let len = Self::len_of(first);
        let is_list = first >= 0xc0;
        let payload = match first {
            0..=0x7f => 1,
            0x80..=0xb7 => usize::from(first - 0x80),
            0xc0..=0xf7 => usize::from(first - 0xc0),
            _ => {
                let bytes = input.get(1..len)?;
                if bytes.first() == Some(&0) {
                    return None;
                }
                let mut payload = 0_u64;
                for byte in bytes {
                    payload = payload << 8 | u64::from(*byte);
                }
                usize::try_from(payload).ok().filter(|payload| *payload >= 56)?
            }
        };
        Some(Self { is_list, len, payload })
    }

    /// Header and payload.
    pub(crate) const fn total(self) -> Option<usize> {
        self.len.checked_add(self.payload)
    }
}

/// What is left to read of a list, or of a sequence of items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a>(pub(crate) &'a [u8]);

impl<'a> Items<'a> {
    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next item: whether it is a list, its payload, and all its bytes.
    pub(crate) fn item(&mut self) -> Option<(bool, &'a [u8], &'a [u8])> {
        let header = ItemHeader::read(self.0)?;
        let (raw, rest) = self.0.split_at_checked(header.total()?)?;
        let payload = raw.get(header.len..)?;
        // A byte that can stand for itself has to.
        if !header.is_list && header.len == 1 && matches!(payload, [0..=0x7f]) {
            return None;
        }
        self.0 = rest;
        Some((header.is_list, payload, raw))
    }

    /// The next item, which must be a string.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.item().filter(|(is_list, ..)| !is_list).map(|(_, payload, _)| payload)
    }

    /// The next item, which must be a list.
    pub(crate) fn list(&mut self) -> Option<Items<'a>> {
        self.item().filter(|(is_list, ..)| *is_list).map(|(_, payload, _)| Items(payload))
    }

    /// A string of `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.string()?.try_into().ok()
    }

    /// The bytes of an integer of any size, without leading zeroes.
    pub(crate) fn integer(&mut self) -> Option<&'a [u8]> {
        self.string().filter(|bytes| bytes.first() != Some(&0))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let bytes = self.integer().filter(|bytes| bytes.len() <= 8)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(crate) fn u256(&mut self) -> Option<U256> {
        U256::try_from_be_slice(self.integer()?)
    }
}

/// Reads the one list that `input` is, with nothing after it.
pub(crate) fn exact_list(input: &[u8]) -> Option<Items<'_>> {
    let mut items = Items(input);
    let list = items.list()?;
    items.is_empty().then_some(list)
}

/// Writes the header of a payload of `len` bytes; `base` is 0x80 for a string, 0xc0 for a list.
fn write_header(out: &mut Vec<u8>, base: u8, len: usize) {
    if len < 56 {
        out.push(base + len as u8);
        return;
    }
    let bytes = (len as u64).to_be_bytes();
    let bytes = &bytes[(len as u64).leading_zeros() as usize / 8..];
    out.push(base + 55 + bytes.len() as u8);
    out.extend_from_slice(bytes);
}

pub(crate) fn write_list_header(out: &mut Vec<u8>, len: usize) {
    write_header(out, 0xc0, len);
}

pub(crate) fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    if !matches!(bytes, [0..=0x7f]) {
        write_header(out, 0x80, bytes.len());
    }
    out.extend_from_slice(bytes);
}

/// Writes a big-endian integer, whose leading zeroes go.
pub(crate) fn write_integer(out: &mut Vec<u8>, bytes: &[u8]) {
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    write_string(out, &bytes[zeroes..]);
}

/// The bytes of the list with this payload.
pub(crate) fn list(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + ItemHeader::MAX);
    write_list_header(&mut out, payload.len());
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn only_the_shortest_form_is_read() {
        let read = |bytes: &[u8]| Items(bytes).item().is_some();
        assert!(read(&[0x7f]) && read(&[0x80]) && read(&[0x81, 0x80]) && read(&[0xc0]));
        assert!(!read(&[0x81, 0x7f]), "a byte that stands for itself");
        assert!(!read(&[0xb8, 55]) && !read(&[0xb9, 0, 56]), "lengths in a longer form");
        assert!(!read(&[0x82, 1]) && !read(&[0xc1]) && !read(&[]), "too short");
        assert!(!read(&[0xbf, 255, 255, 255, 255, 255, 255, 255, 255]));
        assert_eq!(Items(&[0x00]).u64(), None, "0 is the empty string");
        assert_eq!(Items(&[0x82, 1, 0]).u64(), Some(256));
        assert!(exact_list(&[0xc1, 0x80, 0]).is_none());
    }

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 55, 56, 255, 256, 70_000] {
            let bytes = vec![0xab; len];
            let mut out = Vec::new();
            write_string(&mut out, &bytes);
            assert_eq!(Items(&out).string(), Some(&bytes[..]));
            assert_eq!(exact_list(&list(&bytes)).map(|items| items.0), Some(&bytes[..]));
        }
        let mut out = Vec::new();
        for number in [0, 1, 0x80, u64::MAX] {
            write_integer(&mut out, &number.to_be_bytes());
        }
        let mut items = Items(&out);
        let read = [0; 4].map(|_: u64| items.u64());
        assert_eq!(read, [Some(0), Some(1), Some(0x80), Some(u64::MAX)]);
    }
}
