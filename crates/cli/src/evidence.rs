//! What is behind a key that is a hash of a question: the call behind a precompile key, the blob
//! behind a blob key.
//!
//! Hosts of OP Stack programs keep it as the keccak256 preimage of the same hash.

use tribunal_host::PreimageStore;
use tribunal_onchain::{Evidence, NoEvidence};
use tribunal_preimage::{Key, KeyKind};

use crate::failure::Result;

/// What a store knows about a key besides its preimage: nothing, evidence, or why that is not enough.
pub(crate) type Known = Option<std::result::Result<Evidence, NoEvidence>>;

/// Looks up the evidence for a key, if it is of a kind that needs some.
pub(crate) fn evidence(store: &dyn PreimageStore, key: &Key) -> Result<Known> {
    match key.kind() {
        Some(KeyKind::Blob) => {
            let mut damaged = None;
            let known = Evidence::of_blob_key(*key, |key| {
                store.get(key).unwrap_or_else(|error| {
                    damaged.get_or_insert(error);
                    None
                })
            });
            damaged.map_or(Ok(Some(known)), |error| Err(error.into()))
        }
        Some(KeyKind::Precompile) => {
            let call = store.get(Key::keccak256(key.into_bytes()))?;
            Ok(call.and_then(|call| precompile(&call)).map(Ok))
        }
        _ => Ok(None),
    }
}

/// Address, gas as 8 big-endian bytes, input.
fn precompile(call: &[u8]) -> Option<Evidence> {
    let (address, rest) = call.split_first_chunk()?;
    let (gas, input) = rest.split_first_chunk()?;
    let required_gas = u64::from_be_bytes(*gas);
    Some(Evidence::Precompile { address: *address, required_gas, input: input.to_vec() })
}
