//! Compiled contracts: ours, which are embedded, or any other of the same two.

use std::fmt;

use serde_json::Value;

use crate::abi::selector;

/// The contracts of `contracts/`, as `cargo xtask contracts` compiles them.
const OURS: [&str; 2] = [
    include_str!("../../../contracts/artifacts/MIPS64.json"),
    include_str!("../../../contracts/artifacts/PreimageOracle.json"),
];

/// Which contract something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// Takes steps.
    Mips64,
    /// Keeps preimages.
    PreimageOracle,
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mips64 => "MIPS64",
            Self::PreimageOracle => "PreimageOracle",
        })
    }
}

/// A compiled contract.
#[derive(Clone, PartialEq, Eq)]
pub struct Artifact {
    contract: Contract,
    code: Code,
}

/// The code of a contract.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// What a transaction that makes it consists of, but for the arguments of its constructor.
    Creation(Vec<u8>),
    /// What a chain keeps of it.
    Runtime(Vec<u8>),
}

impl Artifact {
    /// Ours.
    pub fn ours(contract: Contract) -> Self {
        let text = OURS[contract as usize];
        let artifact = Self::from_file(text.as_bytes()).expect("an artifact that xtask wrote");
        debug_assert_eq!(artifact.contract, contract);
        artifact
    }

    /// Reads a compiled contract: the JSON of solc, Foundry or Hardhat, or code as hexadecimal digits
    /// as a node answers `eth_getCode`.
    ///
    /// JSON without creation code and digits are taken for code as a chain has it, with the values
    /// that its constructor put in place.
    ///
    /// # Errors
    /// If the file holds no code, or code of another contract.
    pub fn from_file(file: &[u8]) -> Result<Self, ArtifactError> {
        let text = std::str::from_utf8(file).map_err(|_| ArtifactError::NotText)?.trim();
        let code = if text.starts_with('{') {
            let json: Value = serde_json::from_str(text).map_err(ArtifactError::Json)?;
            match find_code(&json, "bytecode")? {
                Some(code) => Code::Creation(code),
                None => Code::Runtime(
                    find_code(&json, "deployedBytecode")?.ok_or(ArtifactError::NoCode)?,
                ),
            }
        } else {
            match decode(text)? {
                code if code.is_empty() => return Err(ArtifactError::NoCode),
                code => Code::Runtime(code),
            }
        };
        let contract = recognize(code.bytes()).ok_or(ArtifactError::OtherContract)?;
        Ok(Self { contract, code })
    }

    /// Which of the two it is.
    pub fn contract(&self) -> Contract {
        self.contract
    }

    /// Its code, whichever it is: what creates it or what a chain keeps.
    pub fn bytes(&self) -> &[u8] {
        self.code.bytes()
    }

    pub(crate) fn code(&self) -> &Code {
        &self.code
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.contract, self.code.bytes().len())
    }
}

impl Code {
    fn bytes(&self) -> &[u8] {
        let (Self::Creation(bytes) | Self::Runtime(bytes)) = self;
        bytes
    }
}

/// The code under this name: digits (Hardhat, ours), or an object with them (Foundry, solc).
fn find_code(json: &Value, name: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
    for holder in [json, &json["evm"]] {
        let code = &holder[name];
        if let Some(digits) = code.as_str().or_else(|| code["object"].as_str()) {
            let code = decode(digits)?;
            if !code.is_empty() {
                return Ok(Some(code));
            }
        }
    }
    Ok(None)
}

fn decode(text: &str) -> Result<Vec<u8>, ArtifactError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map_err(|error| ArtifactError::Digits(error.to_string()))
}

/// Which contract code belongs to, by a function that only it answers to.
fn recognize(code: &[u8]) -> Option<Contract> {
    let has = |signature: &str| code.windows(4).any(|window| window == selector(signature));
    if has("step(bytes,bytes,bytes32)") {
        Some(Contract::Mips64)
    } else if has("loadKeccak256PreimagePart(uint256,bytes)") {
        Some(Contract::PreimageOracle)
    } else {
        None
    }
}

/// A file that is no compiled contract of the two.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// Not even text.
    #[error("a compiled contract is JSON or hexadecimal digits, not binary")]
    NotText,
    /// Broken JSON.
    #[error("the compiled contract is broken JSON: {0}")]
    Json(serde_json::Error),
    /// Something else than digits.
    #[error(
        "the code of a compiled contract is no hexadecimal digits ({0}); a library that was not \
         linked leaves such places"
    )]
    Digits(String),
    /// No code, such as that of an interface.
    #[error("there is no code in it: give the JSON that solc, Foundry or Hardhat wrote")]
    NoCode,
    /// Neither of the two.
    #[error("it is neither MIPS64 nor PreimageOracle: it has none of their functions")]
    OtherContract,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn our_json(contract: Contract) -> Value {
        serde_json::from_str(OURS[contract as usize]).unwrap()
    }

    #[test]
    fn every_tool_s_form_of_an_artifact_is_read() {
        for contract in [Contract::Mips64, Contract::PreimageOracle] {
            let ours = our_json(contract);
            let (creation, runtime) = (&ours["bytecode"], &ours["deployedBytecode"]);
            let forms = [
                json!({ "abi": [], "bytecode": creation, "deployedBytecode": runtime }),
                json!({ "bytecode": { "object": creation, "sourceMap": "" } }),
                json!({ "evm": { "bytecode": { "object": creation.as_str().unwrap()[2..] } } }),
            ];
            for form in forms {
                let artifact = Artifact::from_file(form.to_string().as_bytes()).unwrap();
                assert_eq!(artifact, Artifact::ours(contract));
            }
            let of_a_chain = Artifact::from_file(runtime.as_str().unwrap().as_bytes()).unwrap();
            assert!(matches!(of_a_chain.code, Code::Runtime(_)));
            let without_creation = json!({ "bytecode": "0x", "deployedBytecode": runtime });
            let read = Artifact::from_file(without_creation.to_string().as_bytes()).unwrap();
            assert_eq!(read, of_a_chain);
        }
    }

    #[test]
    fn what_is_no_contract_of_the_two_is_refused() {
        for (file, expected) in [
            (&b"\xff"[..], "not binary"),
            (b"{", "broken JSON"),
            (b"{}", "no code"),
            (b"", "no code"),
            (b"0x", "no code"),
            (br#"{"bytecode":"0x60__$lib$__"}"#, "linked"),
            (b"0x6001600155", "neither"),
        ] {
            let error = Artifact::from_file(file).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
