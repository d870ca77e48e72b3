//! What is behind a key that is a hash of a question: the call behind a precompile key.
//!
//! Hosts of OP Stack programs keep it as the keccak256 preimage of the same hash.

use tribunal_host::PreimageStore;
use tribunal_onchain::Evidence;
use tribunal_preimage::{Key, KeyKind};

use crate::failure::Result;

/// Looks up the evidence for a key, if it is of a kind that needs some.
pub(crate) fn evidence(store: &dyn PreimageStore, key: &Key) -> Result<Option<Evidence>> {
    if key.kind() != Some(KeyKind::Precompile) {
        return Ok(None);
    }
    let Some(call) = store.get(Key::keccak256(key.into_bytes()))? else { return Ok(None) };
    let Some((address, rest)) = call.split_first_chunk() else { return Ok(None) };
    let Some((gas, input)) = rest.split_first_chunk() else { return Ok(None) };
    Ok(Some(Evidence::Precompile {
        address: *address,
        required_gas: u64::from_be_bytes(*gas),
        input: input.to_vec(),
    }))
}
