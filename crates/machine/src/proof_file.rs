//! Proof files: one step as JSON, in the fields that op-challenger reads.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tribunal_keccak::Hash;

use crate::StepProof;

/// A step proof as `run --proof-at` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProofFile {
    /// The step number of the state before.
    pub step: u64,
    /// The state hash before.
    pub pre: Hex<Hash>,
    /// The state hash after.
    pub post: Hex<Hash>,
    /// The witness before.
    pub state_data: Hex<Vec<u8>>,
    /// The thread and the memory proofs; empty past the end of the program.
    pub proof_data: Hex<Vec<u8>>,
    /// The key of the preimage that was read.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub oracle_key: Hex<Vec<u8>>,
    /// The preimage, behind its length as 8 big-endian bytes.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub oracle_value: Hex<Vec<u8>>,
    /// Where in the value the step began to read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub oracle_offset: u64,
}

impl From<StepProof> for ProofFile {
    fn from(proof: StepProof) -> Self {
        let mut file = Self {
            step: proof.step,
            pre: Hex(proof.pre),
            post: Hex(proof.post),
            state_data: Hex(proof.state_data),
            proof_data: Hex(proof.proof_data),
            oracle_key: Hex(Vec::new()),
            oracle_value: Hex(Vec::new()),
            oracle_offset: 0,
        };
        if let Some(read) = proof.preimage {
            file.oracle_key.0 = read.key.as_bytes().to_vec();
            file.oracle_value.0 = read.value.to_vec();
            file.oracle_offset = read.offset;
        }
        file
    }
}

fn is_empty(bytes: &Hex<Vec<u8>>) -> bool {
    bytes.0.is_empty()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Bytes that JSON shows as `0x` and lower-case hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hex<T>(pub T);

impl<T: AsRef<[u8]>> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de, T: TryFrom<Vec<u8>, Error: WrongLength>> Deserialize<'de> for Hex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;

        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("no 0x in front"))?;
        let bytes = hex::decode(digits).map_err(D::Error::custom)?;
        T::try_from(bytes).map(Self).map_err(|error| D::Error::custom(error.describe()))
    }
}

/// What remains when bytes have the wrong length for a type.
pub trait WrongLength {
    /// Says so.
    fn describe(&self) -> String;
}

impl WrongLength for Vec<u8> {
    fn describe(&self) -> String {
        format!("{} bytes are the wrong length here", self.len())
    }
}

impl WrongLength for std::convert::Infallible {
    fn describe(&self) -> String {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use tribunal_preimage::Key;

    use super::*;
    use crate::{PreimageRead, to_go_json};

    fn proof() -> StepProof {
        StepProof {
            step: 7,
            pre: [1; 32],
            post: [2; 32],
            state_data: vec![3, 4],
            proof_data: Vec::new(),
            preimage: None,
        }
    }

    #[test]
    fn a_proof_without_a_preimage_has_no_oracle_fields() {
        let json = String::from_utf8(to_go_json(&ProofFile::from(proof())).unwrap()).unwrap();
        let hash = |digit: &str| format!("0x{}", digit.repeat(32));
        let expected = format!(
            "{{\n  \"step\": 7,\n  \"pre\": \"{}\",\n  \"post\": \"{}\",\n  \
             \"state-data\": \"0x0304\",\n  \"proof-data\": \"0x\"\n}}\n\n",
            hash("01"),
            hash("02"),
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn an_offset_of_zero_is_left_out_and_read_back() {
        let read = |offset| {
            let preimage = PreimageRead { key: Key::local(3), value: vec![0, 1].into(), offset };
            ProofFile::from(StepProof { preimage: Some(preimage), ..proof() })
        };
        for (offset, shown) in [(0, false), (8, true)] {
            let json = to_go_json(&read(offset)).unwrap();
            assert_eq!(String::from_utf8_lossy(&json).contains("oracle-offset"), shown);
            assert_eq!(serde_json::from_slice::<ProofFile>(&json).unwrap(), read(offset));
        }
    }

    #[test]
    fn bytes_of_the_wrong_length_or_shape_are_refused() {
        let json = String::from_utf8(to_go_json(&ProofFile::from(proof())).unwrap()).unwrap();
        for (from, to) in
            [("0x0101", "0x01"), ("0x0101", "0101"), ("0x0304", "0x030"), ("0x0304", "0xzz")]
        {
            let broken = json.replacen(from, to, 1);
            assert!(serde_json::from_str::<ProofFile>(&broken).is_err(), "{to}");
        }
    }
}
