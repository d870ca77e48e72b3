//! Why a contract refused a call, in its own words.

use std::fmt;

use crate::abi::selector;

/// The errors of both contracts, and of the published ones that they behave as.
const ERRORS: [&str; 25] = [
    "ActiveProposal",
    "AlreadyFinalized",
    "AlreadyInitialized",
    "BadProposal",
    "BondTransferFailed",
    "InsufficientBond",
    "InvalidAddress",
    "InvalidExitedValue",
    "InvalidInputSize",
    "InvalidMemoryProof",
    "InvalidPC",
    "InvalidPreimage",
    "InvalidProof",
    "InvalidRMWInstruction",
    "InvalidSecondMemoryProof",
    "NotEOA",
    "NotEnoughGas",
    "NotInitialized",
    "PartOffsetOOB",
    "PostStateMatches",
    "ShaFailed",
    "StatesNotContiguous",
    "TreeSizeOverflow",
    "UnsupportedStateVersion",
    "WrongStartingBlock",
];

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `revert("message")`
    Message(String),
    /// A custom error, with its name if it is one of the contracts'.
    Error {
        /// Its first four bytes.
        selector: [u8; 4],
        /// Its name.
        name: Option<&'static str>,
    },
    /// What the compiler checks: an overflow (0x11), a division by zero (0x12), an index (0x32), …
    Panic(u64),
    /// A revert without a reason: of `step`, mostly an encoding that is not canonical.
    Silent,
    /// A revert with bytes that mean nothing here.
    Unknown(Vec<u8>),
    /// The EVM gave up: out of gas, an invalid opcode.
    Halt(String),
}

impl Refusal {
    /// What these bytes, which a call reverted with, mean.
    pub fn decode(output: &[u8]) -> Self {
        let Some((selector_bytes, rest)) = output.split_first_chunk::<4>() else {
            return if output.is_empty() { Self::Silent } else { Self::Unknown(output.to_vec()) };
        };
        if *selector_bytes == selector("Error(string)") {
            return match decode_string(rest) {
                Some(message) => Self::Message(message),
                None => Self::Unknown(output.to_vec()),
            };
        }
        if *selector_bytes == selector("Panic(uint256)") {
            return match decode_length(rest) {
                Some((code, [])) => Self::Panic(code),
                _ => Self::Unknown(output.to_vec()),
            };
        }
        if !rest.is_empty() {
            return Self::Unknown(output.to_vec());
        }
        let name =
            ERRORS.into_iter().find(|name| selector(&format!("{name}()")) == *selector_bytes);
        Self::Error { selector: *selector_bytes, name }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => f.write_str(message),
            Self::Error { name: Some(name), .. } => write!(f, "{name}()"),
            Self::Error { selector, name: None } => {
                write!(f, "custom error 0x{}", hex::encode(selector))
            }
            Self::Panic(code) => write!(f, "panic {code:#04x}"),
            Self::Silent => f.write_str("a revert without a reason"),
            Self::Unknown(bytes) => write!(f, "a revert with 0x{}", hex::encode(bytes)),
            Self::Halt(reason) => write!(f, "the EVM halted: {reason}"),
        }
    }
}

fn decode_length(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<32>()?;
    let (high, low) = word.split_last_chunk::<8>()?;
    high.iter().all(|&byte| byte == 0).then(|| (u64::from_be_bytes(*low), rest))
}

/// A string that is the only argument.
fn decode_string(bytes: &[u8]) -> Option<String> {
    let (offset, _) = decode_length(bytes)?;
    let (length, rest) = decode_length(bytes.get(usize::try_from(offset).ok()?..)?)?;
    let text = rest.get(..usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{Value, call};

    #[test]
    fn every_kind_of_revert_is_told_apart() {
        let message = call("Error(string)", &[Value::Bytes(b"pre-image must exist")]);
        assert_eq!(Refusal::decode(&message), Refusal::Message("pre-image must exist".into()));
        let panic = call("Panic(uint256)", &[Value::number(0x11u8)]);
        assert_eq!(Refusal::decode(&panic), Refusal::Panic(0x11));
        assert_eq!(Refusal::decode(&[]), Refusal::Silent);
        assert_eq!(Refusal::decode(&[1, 2]), Refusal::Unknown(vec![1, 2]));
        assert_eq!(Refusal::decode(&message[..40]), Refusal::Unknown(message[..40].to_vec()));
        let foreign = Refusal::decode(&[1, 2, 3, 4]);
        assert_eq!(foreign, Refusal::Error { selector: [1, 2, 3, 4], name: None });
    }

    #[test]
    fn errors_have_the_published_selectors() {
        for (name, digits) in [
            ("InvalidExitedValue", "0136cc76"),
            ("InvalidPC", "3f8200bc"),
            ("InvalidMemoryProof", "8e77b2b7"),
            ("InvalidAddress", "e6c4247b"),
            ("PartOffsetOOB", "fe254987"),
            ("NotEnoughGas", "dd629f86"),
            ("AlreadyInitialized", "0dc149f0"),
            ("ActiveProposal", "55d4cbf9"),
            ("PostStateMatches", "9843145b"),
        ] {
            let bytes = hex::decode(digits).unwrap();
            assert_eq!(Refusal::decode(&bytes).to_string(), format!("{name}()"));
        }
    }
}
