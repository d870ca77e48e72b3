//! RLP as it is written: behind what is there already, so that a list in a list costs no copy.

use alloc::vec::Vec;

use crate::ItemHeader;

/// Appends a string of bytes.
#[inline]
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    if !matches!(bytes, [0..=0x7f]) {
        write_header(out, 0x80, bytes.len());
    }
    out.extend_from_slice(bytes);
}

/// Appends a big-endian integer, whose leading zeroes go.
pub fn write_integer(out: &mut Vec<u8>, bytes: &[u8]) {
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    write_string(out, &bytes[zeroes..]);
}

/// Appends the header of a list whose items take `len` bytes.
pub fn write_list_header(out: &mut Vec<u8>, len: usize) {
    write_header(out, 0xc0, len);
}

/// Appends a list, of which `items` appends the items.
pub fn write_list(out: &mut Vec<u8>, items: impl FnOnce(&mut Vec<u8>)) {
    /// Room for the header of most nodes of a trie: only for other lists the items have to move.
    const ROOM: usize = 3;
    let start = out.len();
    out.extend_from_slice(&[0; ROOM]);
    items(out);
    let (header, used) = header(0xc0, out.len() - start - ROOM);
    let header = header.get(..used).unwrap_or_default();
    if used == ROOM {
        out[start..start + ROOM].copy_from_slice(header);
    } else {
        out.splice(start..start + ROOM, header.iter().copied());
    }
}

/// The list with these encodings as its items.
pub fn list_of(items: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.len() + ItemHeader::MAX);
    write_list_header(&mut out, items.len());
    out.extend_from_slice(items);
    out
}

#[inline]
fn write_header(out: &mut Vec<u8>, base: u8, len: usize) {
    if len < 56 {
        out.push(base + len as u8);
        return;
    }
    let (header, used) = header(base, len);
    out.extend_from_slice(header.get(..used).unwrap_or_default());
}

/// The header of `len` bytes, for strings (`base` 0x80) and lists (0xc0), and how long it is.
fn header(base: u8, len: usize) -> ([u8; ItemHeader::MAX], usize) {
    let mut header = [0; ItemHeader::MAX];
    if len < 56 {
        header[0] = base + len as u8;
        return (header, 1);
    }
    let zeroes = (len as u64).leading_zeros() / 8;
    let digits = 8 - zeroes;
    header[0] = base + 55 + digits as u8;
    header[1..].copy_from_slice(&((len as u64) << (8 * zeroes)).to_be_bytes());
    (header, 1 + digits as usize)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Item, Items, exact, list};

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 55, 56, 255, 256, 65_535, 65_536, 70_000] {
            let bytes = vec![0xab; len];
            let mut out = Vec::new();
            write_string(&mut out, &bytes);
            assert_eq!(exact(&out), Ok(Item::Bytes(&bytes)));
            assert_eq!(exact(&list_of(&bytes)), Ok(Item::List(&bytes)));
            let mut out = vec![7];
            write_list(&mut out, |out| out.extend_from_slice(&bytes));
            assert_eq!(out[0], 7);
            assert_eq!(exact(&out[1..]), Ok(Item::List(&bytes)));
        }
        let mut out = Vec::new();
        for number in [0, 1, 0x80, u64::MAX] {
            write_integer(&mut out, &number.to_be_bytes());
        }
        let mut items = Items::new(&out);
        let read = [0; 4].map(|_: u64| items.take().unwrap().u64().unwrap());
        assert_eq!((read, items.end()), ([0, 1, 0x80, u64::MAX], Ok(())));
    }

    #[test]
    fn lists_in_lists_stand_where_they_are_written() {
        let mut out = Vec::new();
        write_list(&mut out, |out| {
            write_list(out, |out| write_string(out, &[1; 300]));
            write_list(out, |out| write_string(out, b"cat"));
        });
        let mut items = list(&out).unwrap();
        let mut inner = |expected: &[u8]| {
            let mut inner = items.take().unwrap().list().unwrap();
            assert_eq!(inner.take(), Ok(Item::Bytes(expected)));
            inner.end().unwrap();
        };
        inner(&[1; 300]);
        inner(b"cat");
        items.end().unwrap();
    }
}
