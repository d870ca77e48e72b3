//! Hexadecimal digits of preimages: most of the work of a store of files.
//!
//! Knows how to do it quickly. Takes nothing that a strict decoder does not take, and says what is
//! wrong in its words.

use hex::FromHexError;

/// The lower-case digits of `data`.
pub(super) fn encode(data: &[u8]) -> String {
    const_hex::encode(data)
}

/// The bytes of `digits` of either case, with nothing before, between or behind them.
pub(super) fn decode(digits: &[u8]) -> Result<Vec<u8>, FromHexError> {
    // The quick one would take digits behind a prefix too.
    let quick =
        (!matches!(digits, [b'0', b'x' | b'X', ..])).then(|| const_hex::decode(digits).ok());
    quick.flatten().map_or_else(|| hex::decode(digits), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_a_strict_decoder_takes() {
        let data: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&data), hex::encode(&data));
        let upper = encode(&data).to_uppercase();
        let long = format!("{}g", "0".repeat(99));
        for digits in ["", "00", "aB", &upper, "0", "0x", "0x00", "0X00", "00 ", "0g", &long] {
            assert_eq!(decode(digits.as_bytes()), hex::decode(digits), "{digits}");
        }
    }
}
