//! The 32-byte name of a preimage, and what a preimage must be to deserve it.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};
use tribunal_keccak::{Keccak256, keccak256};

/// What the first byte of a [`Key`] says about the preimage.
///
/// Six kinds exist. The others are illegal (0) or reserved (7 to 255), and no host or contract can
/// answer them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// An input of this run, named by a number. Nothing binds the bytes to the key.
    Local = 1,
    /// The rest of the key is the keccak256 of the preimage.
    Keccak256 = 2,
    /// Reserved for contents shared by all runs; no deployed contract implements it.
    GlobalGeneric = 3,
    /// The rest of the key is the sha256 of the preimage.
    Sha256 = 4,
    /// One 32-byte field element of an EIP-4844 blob.
    Blob = 5,
    /// The result of a precompiled contract: a status byte (0 failed, 1 succeeded), then the output.
    Precompile = 6,
}

impl KeyKind {
    /// The kind that a key with this first byte has, if there is one.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Local),
            2 => Some(Self::Keccak256),
            3 => Some(Self::GlobalGeneric),
            4 => Some(Self::Sha256),
            5 => Some(Self::Blob),
            6 => Some(Self::Precompile),
            _ => None,
        }
    }

    /// The word the command line and the messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Keccak256 => "keccak256",
            Self::GlobalGeneric => "global generic",
            Self::Sha256 => "sha256",
            Self::Blob => "blob",
            Self::Precompile => "precompile",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a preimage: a kind in the first byte, then 31 bytes whose meaning the kind gives.
///
/// A program may write any 32 bytes, so a key may be of no kind at all; see [`Key::kind`].
/// Shown, and parsed, as `0x` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Input number `ident` of the run.
    pub const fn local(ident: u64) -> Self {
        let mut key = [0; 32];
        let ident = ident.to_be_bytes();
        let mut i = 0;
        while i < ident.len() {
            key[24 + i] = ident[i];
            i += 1;
        }
        Self(key).of_kind(KeyKind::Local)
    }

    /// The key of the data with this keccak256.
    pub const fn keccak256(hash_of_data: [u8; 32]) -> Self {
        Self(hash_of_data).of_kind(KeyKind::Keccak256)
    }

    /// The keccak256 key of `data`.
    pub fn keccak256_of(data: &[u8]) -> Self {
        Self::keccak256(keccak256(data))
    }

    /// The key of contents shared by all runs, by the hash that names them.
    pub const fn global_generic(hash: [u8; 32]) -> Self {
        Self(hash).of_kind(KeyKind::GlobalGeneric)
    }

    /// The key of the data with this sha256.
    pub const fn sha256(hash_of_data: [u8; 32]) -> Self {
        Self(hash_of_data).of_kind(KeyKind::Sha256)
    }

    /// The sha256 key of `data`.
    pub fn sha256_of(data: &[u8]) -> Self {
        Self::sha256(Sha256::digest(data).into())
    }

    /// The key of a blob's polynomial at the point `z`.
    ///
    /// `commitment` is the blob's compressed KZG commitment. `z` is big-endian, and it is the root
    /// of unity of the wanted field element in bit-reversed order: the contract proves no other
    /// point, so a key made from the element's index can never be proven.
    pub fn blob(commitment: &[u8; 48], z: &[u8; 32]) -> Self {
        Self(hash_all(&[commitment, z])).of_kind(KeyKind::Blob)
    }

    /// The key of the result of calling the precompile at `address` with `input`.
    ///
    /// `required_gas` is the gas that the contract makes sure the call gets, in gas.
    pub fn precompile(address: &[u8; 20], required_gas: u64, input: &[u8]) -> Self {
        Self(hash_all(&[address, &required_gas.to_be_bytes(), input])).of_kind(KeyKind::Precompile)
    }

    /// The key under which the contract keeps this local key for one sender and one context.
    ///
    /// Local inputs of different disputes would collide without it. Only the contract uses these
    /// keys; the first byte of `self` does not matter.
    pub fn localized(&self, sender: &[u8; 20], context: &[u8; 32]) -> Self {
        let key = self.of_kind(KeyKind::Local);
        Self(hash_all(&[&key.0, &[0; 12], sender, context])).of_kind(KeyKind::Local)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 32 bytes.
    pub const fn into_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The kind, or `None` if no preimage can have this key.
    pub const fn kind(&self) -> Option<KeyKind> {
        KeyKind::from_byte(self.0[0])
    }

    /// Whether `data` may be the preimage of this key.
    ///
    /// Keccak256 and sha256 preimages are compared by hash. The point behind a blob key and the call
    /// behind a precompile key cannot be told from the key, so only the form is checked: 32 bytes,
    /// and a status byte of 0 or 1. Nothing is known of local and global generic preimages.
    ///
    /// # Errors
    /// What is wrong with `data`; or that the key is of no kind.
    pub fn check(&self, data: &[u8]) -> Result<(), WrongPreimage> {
        let key = *self;
        let Some(kind) = key.kind() else {
            return Err(WrongPreimage::UnknownKind { key });
        };
        let by_hash = |actual: Self| {
            if actual == key {
                Ok(())
            } else {
                Err(WrongPreimage::Hash { key, actual, len: data.len() })
            }
        };
        match kind {
            KeyKind::Local | KeyKind::GlobalGeneric => Ok(()),
            KeyKind::Keccak256 => by_hash(Self::keccak256_of(data)),
            KeyKind::Sha256 => by_hash(Self::sha256_of(data)),
            KeyKind::Blob if data.len() == 32 => Ok(()),
            KeyKind::Blob => Err(WrongPreimage::BlobLength { key, len: data.len() }),
            KeyKind::Precompile => match data.first() {
                Some(0 | 1) => Ok(()),
                Some(&status) => Err(WrongPreimage::PrecompileStatus { key, status }),
                None => Err(WrongPreimage::PrecompileEmpty { key }),
            },
        }
    }

    const fn of_kind(mut self, kind: KeyKind) -> Self {
        self.0[0] = kind as u8;
        self
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Key {
    type Err = ParseKeyError;

    /// Reads 64 hex digits of either case, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bad = |(at, found): (usize, char)| ParseKeyError::Digit { found, at };
        if let Some(bad_digit) = digits.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
            return Err(bad(bad_digit));
        }
        if digits.len() != 64 {
            return Err(ParseKeyError::Length { digits: digits.len() });
        }
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().as_chunks::<2>().0) {
            *byte = hex_value(pair[0]) << 4 | hex_value(pair[1]);
        }
        Ok(Self(key))
    }
}

/// Why a text is no [`Key`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// A character that is no hex digit.
    #[error("a preimage key has a {found:?} where hex digit {at} should be")]
    Digit {
        /// The character.
        found: char,
        /// Its place after the `0x`, from 0.
        at: usize,
    },
    /// Not 32 bytes.
    #[error("a preimage key is 64 hex digits, not {digits}")]
    Length {
        /// How many digits there are.
        digits: usize,
    },
}

/// Bytes that cannot be the preimage of the key they were given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongPreimage {
    /// A blob preimage is one field element.
    #[error("the preimage for {key} (blob) is {len} bytes, a field element is 32")]
    BlobLength {
        /// The key.
        key: Key,
        /// Length of the data in bytes.
        len: usize,
    },
    /// The data hashes to something else.
    #[error("the {len} bytes given for {key} ({}) belong to {actual}", name(.key))]
    Hash {
        /// The key that was asked for.
        key: Key,
        /// The key of the same kind that the data belongs to.
        actual: Key,
        /// Length of the data in bytes.
        len: usize,
    },
    /// A precompile preimage begins with its status.
    #[error("the preimage for {key} (precompile) is empty, it should begin with a status byte")]
    PrecompileEmpty {
        /// The key.
        key: Key,
    },
    /// A precompile either failed (0) or succeeded (1).
    #[error("the preimage for {key} (precompile) begins with status {status}, not 0 or 1")]
    PrecompileStatus {
        /// The key.
        key: Key,
        /// The first byte of the data.
        status: u8,
    },
    /// No data can belong to a key of no kind.
    #[error("{key} is not a preimage key: no kind of preimage has type byte {}", .key.as_bytes()[0])]
    UnknownKind {
        /// The key.
        key: Key,
    },
}

impl WrongPreimage {
    /// The key the data was given for.
    pub const fn key(&self) -> Key {
        match self {
            Self::BlobLength { key, .. }
            | Self::Hash { key, .. }
            | Self::PrecompileEmpty { key }
            | Self::PrecompileStatus { key, .. }
            | Self::UnknownKind { key } => *key,
        }
    }
}

/// The name of a key's kind for a message.
pub(crate) fn name(key: &Key) -> String {
    match key.kind() {
        Some(kind) => kind.name().into(),
        None => alloc::format!("of no kind, type byte {}", key.0[0]),
    }
}

fn hash_all(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finish()
}

/// The value of a byte that is known to be a hex digit.
const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let pairs = hex.as_bytes().as_chunks::<2>().0;
        let bytes: Vec<u8> = pairs.iter().map(|p| hex_value(p[0]) << 4 | hex_value(p[1])).collect();
        bytes.try_into().unwrap()
    }

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    #[test]
    fn local_keys_hold_the_number_in_the_low_bytes() {
        let expected = "0x0100000000000000000000000000000000000000000000000102030405060708";
        assert_eq!(Key::local(0x0102_0304_0506_0708).to_string(), expected);
    }

    #[test]
    fn hash_keys_replace_only_the_first_byte() {
        // The published digests of the empty message.
        assert_eq!(
            Key::keccak256_of(b"").to_string(),
            "0x02d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
        assert_eq!(
            Key::sha256_of(b"").to_string(),
            "0x04b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(Key::global_generic([0xff; 32]).as_bytes()[..2], [3, 0xff]);
    }

    /// What a real run asked for: `ecrecover` with 3000 gas.
    #[test]
    fn precompile_key_of_a_real_call() {
        let mut address = [0; 20];
        address[19] = 1;
        let input: [u8; 128] = bytes(concat!(
            "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c",
            "000000000000000000000000000000000000000000000000000000000000001c",
            "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f",
            "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549"
        ));
        assert_eq!(
            Key::precompile(&address, 3000, &input),
            key("0x068160565afb63d472879bb03e042e0867049b802d5236900a7296adf3fae797")
        );
        assert_ne!(
            Key::precompile(&address, 3001, &input),
            Key::precompile(&address, 3000, &input)
        );
    }

    /// A blob's versioned hash is the sha256 of its commitment, with its own first byte.
    #[test]
    fn commitment_of_a_real_blob_is_found_by_its_versioned_hash() {
        let commitment: [u8; 48] = bytes(
            "b6290c024d12f451cfe7e4ddb51afd4b559834041a9d55e31f056d8d5cfba4a7bead46cdb4d102a0282e0cb0013123ae",
        );
        let versioned_hash =
            bytes("01064a0b0df82c19d1f1c67250a325f8edeaa81851589da1749ce54b11aa0a20");
        let key = Key::sha256(versioned_hash);
        assert_eq!(key, Key::sha256_of(&commitment));
        key.check(&commitment).unwrap();
    }

    #[test]
    fn blob_keys_hash_the_commitment_and_the_point() {
        let (commitment, z) = ([0xc0; 48], [0x2a; 32]);
        let mut preimage = commitment.to_vec();
        preimage.extend(z);
        let key = Key::blob(&commitment, &z);
        assert_eq!(key.kind(), Some(KeyKind::Blob));
        assert_eq!(key.as_bytes()[1..], Key::keccak256_of(&preimage).as_bytes()[1..]);
    }

    #[test]
    fn localisation_pads_the_sender_to_a_word() {
        let (sender, context) = ([0xab; 20], [0xcd; 32]);
        let mut preimage = Key::local(4).into_bytes().to_vec();
        preimage.extend([0; 12]);
        preimage.extend(sender);
        preimage.extend(context);
        let localized = Key::local(4).localized(&sender, &context);
        assert_eq!(localized.kind(), Some(KeyKind::Local));
        assert_eq!(localized.as_bytes()[1..], Key::keccak256_of(&preimage).as_bytes()[1..]);

        // The contract ignores the first byte of what it is given.
        let mut other_kind = Key::local(4).into_bytes();
        other_kind[0] = 9;
        assert_eq!(Key::from_bytes(other_kind).localized(&sender, &context), localized);
    }

    #[test]
    fn only_six_type_bytes_are_kinds() {
        for byte in 0..=255 {
            let mut bytes = [0x11; 32];
            bytes[0] = byte;
            let key = Key::from_bytes(bytes);
            assert_eq!(key.kind().is_some(), (1..=6).contains(&byte), "{byte}");
            if let Some(kind) = key.kind() {
                assert_eq!(kind as u8, byte);
            } else {
                assert_eq!(key.check(b"data"), Err(WrongPreimage::UnknownKind { key }));
            }
        }
    }

    #[test]
    fn every_kind_checks_what_it_can() {
        for len in [0, 1, 7, 8, 31, 32, 33, 135, 136, 137, 271, 272, 273] {
            let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
            for key in [Key::keccak256_of(&data), Key::sha256_of(&data)] {
                key.check(&data).unwrap();
                let mut more = data.clone();
                more.push(0);
                let error = key.check(&more).unwrap_err();
                assert!(matches!(error, WrongPreimage::Hash { .. }), "{error}");
                assert_eq!(error.key(), key);
                if let Some((last, _)) = data.split_last() {
                    let mut flipped = data.clone();
                    *flipped.last_mut().unwrap() = last ^ 0x80;
                    key.check(&flipped).unwrap_err();
                }
            }
        }
        let blob = Key::blob(&[1; 48], &[2; 32]);
        blob.check(&[0; 32]).unwrap();
        assert_eq!(blob.check(&[0; 31]), Err(WrongPreimage::BlobLength { key: blob, len: 31 }));
        blob.check(&[0; 33]).unwrap_err();
        let call = Key::precompile(&[1; 20], 0, b"");
        call.check(&[0]).unwrap();
        call.check(b"\x01output").unwrap();
        assert_eq!(call.check(&[2]), Err(WrongPreimage::PrecompileStatus { key: call, status: 2 }));
        assert_eq!(call.check(&[]), Err(WrongPreimage::PrecompileEmpty { key: call }));
        Key::local(1).check(b"anything").unwrap();
        Key::global_generic([0; 32]).check(b"").unwrap();
    }

    #[test]
    fn text_form_goes_both_ways_and_says_where_it_is_wrong() {
        let text = "0x02d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(key(text), Key::keccak256_of(b""));
        assert_eq!(key(&text[2..].to_uppercase()), Key::keccak256_of(b""));
        assert_eq!(format!("{:?}", key(text)), text);
        assert_eq!("0x02".parse::<Key>(), Err(ParseKeyError::Length { digits: 2 }));
        assert_eq!("".parse::<Key>(), Err(ParseKeyError::Length { digits: 0 }));
        let bad = text.replace("d246", "d2g6");
        assert_eq!(bad.parse::<Key>(), Err(ParseKeyError::Digit { found: 'g', at: 4 }));
        let wide = format!("0x{}é", "0".repeat(62));
        assert_eq!(wide.parse::<Key>(), Err(ParseKeyError::Digit { found: 'é', at: 62 }));
    }

    #[test]
    fn messages_name_key_and_kind() {
        let error = Key::keccak256_of(b"").check(b"x").unwrap_err().to_string();
        assert!(error.contains("0x02d24601"), "{error}");
        assert!(error.contains("(keccak256)"), "{error}");
        assert!(error.contains(&Key::keccak256_of(b"x").to_string()), "{error}");
        let error = Key::from_bytes([7; 32]).check(b"").unwrap_err().to_string();
        assert!(error.contains("type byte 7"), "{error}");
    }
}
