//! Loading a part of a preimage into the oracle: through the entry point that proves it, if what is
//! known of it suffices, or straight into storage.

use tribunal_keccak::{Hash, hash_pair};
use tribunal_machine::PreimageRead;
use tribunal_preimage::{Key, KeyKind};

use crate::U256;
use crate::calldata;
use crate::instance::{Gas, Instance, Receipt, Refused, Transaction};

/// Bytes of the length in front of a preimage.
const PREFIX_BYTES: usize = 8;

/// The most bytes of a local input that an oracle takes.
const MAX_LOCAL_BYTES: usize = 32;

/// What is known of a preimage besides its key and its bytes.
///
/// A key of a blob or a precompile is a hash of something. Hosts of OP Stack programs know it as the
/// keccak256 preimage of the same hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A field element of a blob.
    Blob {
        /// The KZG commitment of the blob.
        commitment: [u8; 48],
        /// The point that the element is the value at.
        z: [u8; 32],
        /// The KZG proof of that.
        proof: [u8; 48],
    },
    /// The result of a call.
    Precompile {
        /// Who is called.
        address: [u8; 20],
        /// The gas that the call gets at least.
        required_gas: u64,
        /// With what.
        input: Vec<u8>,
    },
}

/// A part of a preimage that is in the oracle now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The key that it is under: that of the read, or of a local input its localized form.
    pub key: Key,
    /// How it got there.
    pub how: LoadedHow,
}

/// How a part got into the oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadedHow {
    /// The oracle checked it.
    Proven {
        /// The function that did.
        function: &'static str,
        /// The call of it.
        calldata: Vec<u8>,
        /// What that cost.
        gas: Gas,
    },
    /// It was written into storage and is taken as given: nobody has checked it.
    Given {
        /// Why it could not be proven.
        why: &'static str,
    },
}

/// A part that could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Not even a length.
    #[error("the value of preimage {key} has no 8-byte length in front that fits it")]
    Malformed {
        /// The key.
        key: Key,
    },
    /// The read begins past the end, where no oracle ever has anything.
    #[error("preimage {key} is read at offset {offset}, but it ends at {end}")]
    PastEnd {
        /// The key.
        key: Key,
        /// Where the read begins.
        offset: u64,
        /// The bytes there are, the length in front counted.
        end: u64,
    },
    /// The oracle refused.
    #[error("the oracle refuses preimage {key}: {refused}")]
    Refused {
        /// The key.
        key: Key,
        /// Why.
        refused: Refused,
    },
}

impl Instance {
    /// Loads the part that a step reads.
    ///
    /// Bytes that are not the preimage of the key are loaded under the key that they do belong to, so
    /// the step is refused: the oracle decides, not this function.
    ///
    /// # Errors
    /// If there is no such part, or the oracle refuses it.
    pub fn load_preimage(
        &mut self,
        read: &PreimageRead,
        evidence: Option<&Evidence>,
        local_context: &Hash,
    ) -> Result<Loaded, LoadError> {
        let key = read.key;
        let data = read.value.split_first_chunk::<PREFIX_BYTES>();
        let data = data.filter(|(length, data)| u64::from_be_bytes(**length) == data.len() as u64);
        let (_, data) = data.ok_or(LoadError::Malformed { key })?;
        let (offset, end) = (read.offset, read.value.len() as u64);
        if offset >= end {
            return Err(LoadError::PastEnd { key, offset, end });
        }

        let (function, calldata) = match (key.kind(), evidence) {
            (Some(KeyKind::Local), _) if data.len() <= MAX_LOCAL_BYTES => {
                let mut word = [0; 32];
                word[..data.len()].copy_from_slice(data);
                let size = data.len() as u64;
                let call = calldata::load_local_data(&key, local_context, word, size, offset);
                ("loadLocalData", call)
            }
            (Some(KeyKind::Keccak256), _) => {
                ("loadKeccak256PreimagePart", calldata::load_keccak256_preimage_part(offset, data))
            }
            (Some(KeyKind::Sha256), _) => {
                ("loadSha256PreimagePart", calldata::load_sha256_preimage_part(offset, data))
            }
            (Some(KeyKind::Blob), Some(Evidence::Blob { commitment, z, proof })) => {
                let Ok(y) = data.try_into() else { return Err(LoadError::Malformed { key }) };
                let call = calldata::load_blob_preimage_part(*z, y, commitment, proof, offset);
                ("loadBlobPreimagePart", call)
            }
            (
                Some(KeyKind::Precompile),
                Some(Evidence::Precompile { address, required_gas, input }),
            ) => {
                let gas = *required_gas;
                let call = calldata::load_precompile_preimage_part(offset, address, gas, input);
                ("loadPrecompilePreimagePart", call)
            }
            (kind, _) => return Ok(self.give(read, data.len(), why_not(kind), local_context)),
        };
        let Receipt { gas, .. } = self
            .transact(Transaction {
                from: Self::SENDER,
                to: self.oracle(),
                value: U256::ZERO,
                calldata: calldata.clone(),
                gas_limit: None,
            })
            .map_err(|refused| LoadError::Refused { key, refused })?;
        let how = LoadedHow::Proven { function, calldata, gas };
        Ok(Loaded { key: kept_under(&key, local_context), how })
    }

    /// Writes the part into the storage of the oracle.
    fn give(
        &mut self,
        read: &PreimageRead,
        size: usize,
        why: &'static str,
        local_context: &Hash,
    ) -> Loaded {
        let key = kept_under(&read.key, local_context);
        let rest = read.value.iter().skip(read.offset as usize);
        let mut part = [0; 32];
        part.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let slots = PartSlots::of(&key, read.offset);
        self.write_oracle_storage(slots.length, number(size as u64));
        self.write_oracle_storage(slots.part, part);
        self.write_oracle_storage(slots.part_ok, number(1));
        Loaded { key, how: LoadedHow::Given { why } }
    }
}

/// Where the oracle keeps a part: what has to be overridden to have a chain's oracle know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSlots {
    /// The length of the preimage, without the prefix.
    pub length: Hash,
    /// The part.
    pub part: Hash,
    /// 1 once the part is there.
    pub part_ok: Hash,
}

impl PartSlots {
    /// The slots of a part of the preimage under `key`: of a local input, its localized form.
    pub fn of(key: &Key, offset: u64) -> Self {
        let in_mapping = |slot: u64| hash_pair(key.as_bytes(), &number(slot));
        let at_offset = |slot: u64| hash_pair(&number(offset), &in_mapping(slot));
        Self { length: in_mapping(0), part: at_offset(1), part_ok: at_offset(2) }
    }
}

/// The key under which the oracle keeps a preimage that our sender loads.
fn kept_under(key: &Key, local_context: &Hash) -> Key {
    match key.kind() {
        Some(KeyKind::Local) => key.localized(&Instance::SENDER.0, local_context),
        _ => *key,
    }
}

fn why_not(kind: Option<KeyKind>) -> &'static str {
    match kind {
        Some(KeyKind::Local) => "a local input of more than 32 bytes, which no oracle takes",
        Some(KeyKind::Blob) => "its KZG commitment and proof are not known",
        Some(KeyKind::Precompile) => "what was called, and with what, is not known",
        Some(KeyKind::GlobalGeneric) => "no oracle takes global generic preimages",
        _ => "no oracle takes keys of this kind",
    }
}

fn number(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}
