//! The little of RLP that trie nodes need: items where they lie, and lists whose length shows at the end.

use alloc::vec::Vec;

/// The RLP of an empty string: no child, no value.
pub(crate) const EMPTY: u8 = 0x80;

/// RLP's header of a 32-byte string.
pub(crate) const HASH: u8 = 0xa0;

/// Appends a list, of which `content` appends the items.
pub(crate) fn in_list(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    // Room for the longest header, which the shorter ones do not fill.
    out.extend_from_slice(&[0; HEADER]);
    content(out);
    let (header, used) = header(0xc0, out.len() - start - HEADER);
    out[start + HEADER - used..start + HEADER].copy_from_slice(&header[..used]);
    out.drain(start..start + HEADER - used);
}

/// Bytes of the longest header: what is encoded here is below 2²⁴ bytes long.
const HEADER: usize = 4;

/// RLP's header of `length` bytes, for strings (`base` 0x80) and lists (0xc0), and its length.
fn header(base: u8, length: usize) -> ([u8; HEADER], usize) {
    let [.., high, middle, low] = length.to_be_bytes();
    match length {
        0..56 => ([base + low, 0, 0, 0], 1),
        56..0x100 => ([base + 56, low, 0, 0], 2),
        0x100..0x1_0000 => ([base + 57, middle, low, 0], 3),
        _ => ([base + 58, high, middle, low], 4),
    }
}

pub(crate) fn encode_string(bytes: &[u8], out: &mut Vec<u8>) {
    if !matches!(bytes, [0..0x80]) {
        let (header, used) = header(0x80, bytes.len());
        out.extend_from_slice(&header[..used]);
    }
    out.extend_from_slice(bytes);
}

/// One RLP item: all its bytes, and where its payload begins.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) raw: &'a [u8],
    start: usize,
}

impl<'a> Item<'a> {
    /// The item at the front, and what follows it. Only canonical RLP is RLP.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (start, length) = match *bytes.first()? {
            0..0x80 => (0, 1),
            first @ 0x80..0xb8 => (1, usize::from(first - 0x80)),
            first @ 0xb8..0xc0 => long(bytes, first - 0xb7)?,
            first @ 0xc0..0xf8 => (1, usize::from(first - 0xc0)),
            first @ 0xf8.. => long(bytes, first - 0xf7)?,
        };
        let end = start.checked_add(length)?;
        if end > bytes.len() || matches!(bytes[..end], [0x81, 0..0x80]) {
            return None;
        }
        let (raw, rest) = bytes.split_at(end);
        Some((Self { raw, start }, rest))
    }

    pub(crate) fn string(self) -> Option<&'a [u8]> {
        (self.raw[0] < 0xc0).then_some(&self.raw[self.start..])
    }

    pub(crate) fn list(self) -> Option<&'a [u8]> {
        (self.raw[0] >= 0xc0).then_some(&self.raw[self.start..])
    }
}

/// Where the payload begins and how long it is, if its length takes `bytes_of_length` bytes.
fn long(bytes: &[u8], bytes_of_length: u8) -> Option<(usize, usize)> {
    let digits = bytes.get(1..1 + usize::from(bytes_of_length))?;
    if digits.len() > 4 || digits[0] == 0 {
        return None;
    }
    let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
    (length >= 56).then_some((1 + digits.len(), length))
}
