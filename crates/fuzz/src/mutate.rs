//! Damage to bytes that were right.

use tribunal_conformance::Random;

/// Values at which a length or an address becomes one that nobody thought of.
const EDGES: [u64; 12] = [
    0,
    1,
    8,
    0xffff,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 52,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 4095,
    u64::MAX,
];

/// Damages `bytes` in one to four places, more often among the `hot` first ones, where fields are.
pub(crate) fn mutate(bytes: &mut Vec<u8>, hot: usize, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            *bytes = noise(random, 200);
            return;
        }
        damage(bytes, hot, random);
    }
}

/// Bytes without any structure, fewer than `most`.
pub(crate) fn noise(random: &mut Random, most: usize) -> Vec<u8> {
    let length = random.index(most);
    match random.below(3) {
        0 => vec![random.pick(&[0, 0xff, 1, 8]); length],
        _ => random.bytes(length),
    }
}

fn damage(bytes: &mut Vec<u8>, hot: usize, random: &mut Random) {
    let length = bytes.len();
    let place = match random.below(3) {
        0 => random.index(length),
        _ => random.index(hot.clamp(1, length)),
    };
    // Short pieces mostly, or anything up to the end.
    let piece = match random.below(3) {
        0 => random.index(length - place + 1),
        _ => random.index(64).min(length - place),
    };
    match random.below(12) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => bytes[place] = random.number() as u8,
        2 => bytes.truncate(place),
        3 => bytes.truncate(length - random.index(16).min(length)),
        4 => bytes.extend(noise(random, 40)),
        5 => {
            let copy = bytes[place..place + piece].to_vec();
            bytes.splice(place..place, copy);
        }
        6 => {
            bytes.drain(place..place + piece);
        }
        7 => {
            // A piece over another place.
            let to = random.index(length - piece + 1);
            bytes.copy_within(place..place + piece, to);
        }
        8 => bytes[place..place + piece].fill(random.pick(&[0, 0xff])),
        _ => {
            let edge = match random.below(4) {
                0 => (length as u64).wrapping_add(random.below(3)).wrapping_sub(1),
                1 => random.below(300),
                _ => random.pick(&EDGES),
            };
            let width = random.pick(&[8, 8, 8, 4, 2]);
            let place = if random.once_in(2) { place & !7 } else { place };
            let field = &edge.to_be_bytes()[8 - width..];
            for (byte, value) in bytes[place..].iter_mut().zip(field) {
                *byte = *value;
            }
        }
    }
}
