//! How the batcher packs bytes into a blob, encoding version 0. Knows field elements only as 32 bytes
//! of which the two highest bits must be 0.

use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a blob.
pub const BLOB_BYTES: usize = 4096 * 32;

/// The most bytes that a blob can carry.
pub const MAX_BLOB_DATA: usize = ROUND_BYTES * 1024 - 4;

/// Bytes that a round carries: 31 of each of its four elements, and three out of six free bits of each
/// element's first byte.
const ROUND_BYTES: usize = 4 * 31 + 3;

/// How many elements at the front of a blob carry something, as its first one tells: all others must
/// be 0. `None` if no blob that begins so is a valid encoding.
pub fn elements_used(first: &[u8; 32]) -> Option<usize> {
    // Version and length come before the data.
    length(first).map(|length| 4 * (length + 4).div_ceil(ROUND_BYTES))
}

/// The length that the first element tells, in bytes.
fn length(first: &[u8; 32]) -> Option<usize> {
    let [_, version, l0, l1, l2, ..] = *first;
    let length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
    (version == 0 && length <= MAX_BLOB_DATA).then_some(length)
}

/// The bytes that a blob carries, if it is a valid encoding; an invalid blob is skipped. Elements that
/// are missing at the end are 0.
///
/// Elements are taken in rounds of four. The first element of all begins with version and length.
pub fn decode_blob(blob: &[u8]) -> Option<Vec<u8>> {
    let (elements, rest) = blob.as_chunks::<32>();
    if elements.len() > 4096 || !rest.is_empty() {
        return None;
    }
    let length = length(elements.first()?)?;
    let mut out = Vec::with_capacity(length + ROUND_BYTES);
    let mut rounds = elements.chunks(4);
    let mut first = true;
    while out.len() < length || first {
        let mut round = [[0; 32]; 4];
        let there = rounds.next().unwrap_or_default();
        round[..there.len()].copy_from_slice(there);
        let [a, b, c, d] = [round[0][0], round[1][0], round[2][0], round[3][0]];
        // The first element's high bits are masked, not looked at; so does whoever set the rule.
        if (b | c | d) & 0xc0 != 0 || (!first && a & 0xc0 != 0) {
            return None;
        }
        out.extend_from_slice(&round[0][if first { 5 } else { 1 }..]);
        out.push(a & 0x3f | (b & 0x30) << 2);
        out.extend_from_slice(&round[1][1..]);
        out.push(b & 0x0f | (d & 0x0f) << 4);
        out.extend_from_slice(&round[2][1..]);
        out.push(c & 0x3f | (d & 0x30) << 2);
        out.extend_from_slice(&round[3][1..]);
        first = false;
    }
    let unread = rounds.flat_map(|round| round.as_flattened());
    if out[length..].iter().chain(unread).any(|byte| *byte != 0) {
        return None;
    }
    out.truncate(length);
    Some(out)
}

/// Packs `data` into a blob, or `None` if it is too long.
pub fn encode_blob(data: &[u8]) -> Option<Vec<u8>> {
    if data.len() > MAX_BLOB_DATA {
        return None;
    }
    let mut blob = vec![0; BLOB_BYTES];
    let mut rest = data.iter().copied();
    let mut byte = || rest.next().unwrap_or(0);
    let (elements, _) = blob.as_chunks_mut::<32>();
    for (number, round) in elements.chunks_exact_mut(4).enumerate() {
        let mut start = 1;
        if number == 0 {
            let [.., l0, l1, l2] = (data.len() as u32).to_be_bytes();
            round[0][1..5].copy_from_slice(&[0, l0, l1, l2]);
            start = 5;
        }
        round[0][start..].fill_with(&mut byte);
        let x = byte();
        round[1][1..].fill_with(&mut byte);
        let y = byte();
        round[2][1..].fill_with(&mut byte);
        let z = byte();
        round[3][1..].fill_with(&mut byte);
        round[0][0] = x & 0x3f;
        round[1][0] = y & 0x0f | (x & 0xc0) >> 2;
        round[2][0] = z & 0x3f;
        round[3][0] = (z & 0xc0) >> 2 | (y & 0xf0) >> 4;
    }
    Some(blob)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use tribunal_keccak::keccak256;

    use super::*;

    fn data(len: usize) -> Vec<u8> {
        (0..len).map(|i| (7 * i + 3) as u8).collect()
    }

    #[test]
    fn the_encoding_is_that_of_the_op_stack() {
        let blob = encode_blob(&data(1000)).expect("it fits");
        assert_eq!(
            blob[..32],
            hex!("00000003e8030a11181f262d343b424950575e656c737a81888f969da4abb2b9")
        );
        assert_eq!(
            keccak256(&blob),
            hex!("427901d3654465fb3ebe33d89c2bfc9fa63d72b37920937155f374ca2454a283")
        );
    }

    #[test]
    fn every_length_comes_back() {
        for len in
            [0, 1, 27, 28, 122, 123, 124, 249, 250, 251, 1000, MAX_BLOB_DATA - 1, MAX_BLOB_DATA]
        {
            let data = data(len);
            assert_eq!(decode_blob(&encode_blob(&data).expect("it fits")), Some(data));
        }
        assert_eq!(encode_blob(&data(MAX_BLOB_DATA + 1)), None);
    }

    #[test]
    fn the_first_element_tells_how_many_are_enough() {
        for (len, expected) in [
            (0, 4),
            (1, 4),
            (123, 4),
            (124, 8),
            (250, 8),
            (251, 12),
            (MAX_BLOB_DATA - 127, 4092),
            (MAX_BLOB_DATA, 4096),
        ] {
            let data = data(len);
            let blob = encode_blob(&data).expect("it fits");
            let first = blob.first_chunk().expect("an element");
            assert_eq!(elements_used(first), Some(expected), "{len}");
            assert_eq!(decode_blob(&blob[..32 * expected]), Some(data), "{len}");
        }
        let mut spoilt = [0; 32];
        spoilt[1] = 1;
        assert_eq!(elements_used(&spoilt), None, "version");
        spoilt = [0; 32];
        spoilt[2] = 2;
        assert_eq!(elements_used(&spoilt), None, "length");
    }

    #[test]
    fn what_is_not_an_encoding_is_refused() {
        let good = encode_blob(&data(1000)).expect("it fits");
        let spoil = |place: usize, value: u8| {
            let mut blob = good.clone();
            blob[place] = value;
            decode_blob(&blob)
        };
        assert_eq!(spoil(1, 1), None, "version");
        assert_eq!(spoil(2, 0x02), None, "length above what fits");
        assert_eq!(spoil(4, 0), None, "data beyond the length");
        assert_eq!(spoil(32, 0x40 | good[32]), None, "not a field element");
        assert_eq!(spoil(4 * 32, 0x80 | good[4 * 32]), None, "not a field element");
        assert_eq!(spoil(BLOB_BYTES - 1, 1), None, "unread bytes");
        assert_eq!(spoil(33 * 32, 1), None, "unread bytes right after the last round");
        assert_eq!(spoil(0, 0xc0 | good[0]), Some(data(1000)), "the first element is masked");
        assert_eq!(decode_blob(&good[1..]), None);
        assert_eq!(decode_blob(&[&good[..], &[0; 32]].concat()), None, "longer than a blob");
        assert_eq!(decode_blob(&[]), None);
        assert_eq!(decode_blob(&vec![0; BLOB_BYTES]), Some(Vec::new()));
    }
}
