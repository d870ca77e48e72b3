//! The part of the Solidity ABI that the two contracts use.
//!
//! By hand, because it is small, and because what a call looks like to the byte is what this crate
//! is about.

use tribunal_keccak::keccak256;

/// A value in the arguments of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Any type that takes 32 bytes.
    Word([u8; 32]),
    /// `bytes`
    Bytes(&'a [u8]),
    /// An array of variable length.
    Array(Vec<Value<'a>>),
    /// A struct, or an array of fixed length.
    Tuple(Vec<Value<'a>>),
}

impl Value<'_> {
    pub(crate) fn number(number: impl Into<u128>) -> Self {
        let mut word = [0; 32];
        word[16..].copy_from_slice(&number.into().to_be_bytes());
        Self::Word(word)
    }

    pub(crate) fn address(address: &[u8; 20]) -> Self {
        let mut word = [0; 32];
        word[12..].copy_from_slice(address);
        Self::Word(word)
    }

    /// Whether its place in a list holds an offset to the value instead of the value.
    fn is_dynamic(&self) -> bool {
        match self {
            Self::Word(_) => false,
            Self::Bytes(_) | Self::Array(_) => true,
            Self::Tuple(values) => values.iter().any(Self::is_dynamic),
        }
    }

    /// Bytes that it takes in a list it belongs to.
    fn head_bytes(&self) -> usize {
        match self {
            Self::Tuple(values) if !self.is_dynamic() => values.iter().map(Self::head_bytes).sum(),
            _ => 32,
        }
    }

    fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Word(word) => out.extend_from_slice(word),
            Self::Bytes(bytes) => {
                append_length(bytes.len(), out);
                out.extend_from_slice(bytes);
                out.resize(out.len() + bytes.len().wrapping_neg() % 32, 0);
            }
            Self::Array(values) => {
                append_length(values.len(), out);
                append_list(values, out);
            }
            Self::Tuple(values) => append_list(values, out),
        }
    }
}

fn append_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 24]);
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

/// Values, or offsets to them from where the list begins; then what the offsets point to.
fn append_list(values: &[Value<'_>], out: &mut Vec<u8>) {
    let mut tail = Vec::new();
    let heads: usize = values.iter().map(Value::head_bytes).sum();
    for value in values {
        if value.is_dynamic() {
            append_length(heads + tail.len(), out);
            value.append_to(&mut tail);
        } else {
            value.append_to(out);
        }
    }
    out.append(&mut tail);
}

/// The first four bytes of a call of a function, or of a revert with an error.
pub(crate) fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak256(signature.as_bytes());
    [a, b, c, d]
}

/// A call of the function with this signature.
pub(crate) fn call(signature: &str, arguments: &[Value<'_>]) -> Vec<u8> {
    let mut calldata = selector(signature).to_vec();
    append_list(arguments, &mut calldata);
    calldata
}

/// The arguments of a constructor, which stand behind its code.
pub(crate) fn arguments(arguments: &[Value<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_list(arguments, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> Vec<String> {
        bytes.chunks(32).map(hex::encode).collect()
    }

    /// The example of the Solidity documentation: `sam(bytes,bool,uint256[])` of `"dave"`, true and
    /// `[1, 2, 3]`.
    #[test]
    fn the_published_example_is_encoded_as_published() {
        let numbers = [1u8, 2, 3].map(Value::number).to_vec();
        let arguments = [Value::Bytes(b"dave"), Value::number(1u8), Value::Array(numbers)];
        let calldata = call("sam(bytes,bool,uint256[])", &arguments);
        assert_eq!(calldata[..4], [0xa5, 0x64, 0x3b, 0xf2]);
        let numbered = |digits: &str| format!("{digits:0>64}");
        let expected = [
            numbered("60"),
            numbered("1"),
            numbered("a0"),
            numbered("4"),
            format!("{:0<64}", hex::encode("dave")),
            numbered("3"),
            numbered("1"),
            numbered("2"),
            numbered("3"),
        ];
        assert_eq!(words(&calldata[4..]), expected);
    }

    #[test]
    fn bytes_that_fill_their_words_are_not_padded_and_static_tuples_stand_in_place() {
        let bytes = [7; 32];
        let fixed = Value::Tuple(vec![Value::number(1u8), Value::number(2u8)]);
        let leaf = Value::Tuple(vec![Value::Bytes(&bytes), Value::number(3u8)]);
        let numbered = |digits: &str| format!("{digits:0>64}");
        let expected = [
            numbered("1"),
            numbered("2"),
            numbered("60"),
            numbered("40"),
            numbered("3"),
            numbered("20"),
            "07".repeat(32),
        ];
        assert_eq!(words(&arguments(&[fixed, leaf])), expected);
    }
}
