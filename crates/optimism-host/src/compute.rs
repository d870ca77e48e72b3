//! What hints ask for that no node has to be asked for: it is computed here, out of the hint and of
//! what is in the store.

use tribunal_host::{Errand, HintError, Router};
use tribunal_kzg::{BLOB_BYTES, Blob, ELEMENTS, point};
use tribunal_optimism_hints::Hint;
use tribunal_preimage::Key;

use crate::blob::value;
use crate::chain::digits;
use crate::precompile::Call;

/// Has a router follow the hints that take no node: for a program whose other preimages are all in the
/// store.
pub fn register_computed(router: &mut Router) {
    for name in ["l1-blob-point", "l1-precompile", "l1-precompile-v2"] {
        router.on(name, |hint, errand| {
            let malformed = |error| HintError::new(format!("{error}")).for_good();
            match Hint::parse(hint.name(), hint.argument()).map_err(malformed)? {
                Hint::L1BlobPoint { commitment, point } => blob_point(&commitment, &point, errand),
                Hint::L1Precompile { address, required_gas, input } => {
                    precompile(&address, required_gas, &input, errand)
                }
                _ => Ok(()),
            }
        });
    }
}

/// Runs a precompiled contract.
pub(crate) fn precompile(
    address: &[u8; 20],
    required_gas: Option<u64>,
    input: &[u8],
    errand: &Errand<'_>,
) -> Result<(), HintError> {
    let call = Call::run(address, required_gas, input).ok_or_else(|| {
        let address = digits(address);
        HintError::new(format!("no host runs the precompile {address}")).for_good()
    })?;
    let (call_key, result_key) = (call.call_key(), call.result_key());
    errand.store().put(call_key, call.call)?;
    Ok(errand.store().put(result_key, call.result)?)
}

/// Evaluates the polynomial of a blob that is in the store.
pub(crate) fn blob_point(
    commitment: &[u8; 48],
    z: &[u8; 32],
    errand: &Errand<'_>,
) -> Result<(), HintError> {
    let mut bytes = Vec::with_capacity(BLOB_BYTES);
    for place in 0..ELEMENTS {
        let element = errand.store().get(Key::blob(commitment, &point(place)))?;
        bytes.extend(element.ok_or_else(|| {
            let commitment = digits(commitment);
            HintError::new(format!(
                "element {place} of the blob with the commitment {commitment} is not in the store"
            ))
        })?);
    }
    let at = Blob::new(&bytes)?.value_at(z);
    let at = at.ok_or_else(|| HintError::new("the point is no field element").for_good())?;
    for (key, data) in value(commitment, z, at) {
        errand.store().put(key, data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tribunal_host::store::MemoryStore;
    use tribunal_host::{LocalHost, Patience, PreimageStore as _};
    use tribunal_keccak::keccak256;
    use tribunal_kzg::ELEMENT_BYTES;
    use tribunal_optimism_hints::Dialect;

    use super::*;
    use crate::blob::{CheckedBlob, hash_of};

    fn host(preimages: impl IntoIterator<Item = (Key, Vec<u8>)>) -> LocalHost<MemoryStore> {
        let patience = Patience { deadline: std::time::Duration::ZERO, ..Patience::default() };
        let mut router = Router::new().with_patience(patience);
        register_computed(&mut router);
        LocalHost::with_router(preimages.into_iter().collect(), router)
    }

    fn hear(host: &LocalHost<MemoryStore>, hint: &Hint) {
        host.hear(hint.encode(Dialect::Kona).unwrap().as_bytes());
    }

    #[test]
    fn the_value_of_a_blob_at_any_point_comes_with_what_a_disputer_needs() {
        let mut bytes: Vec<u8> = (0..BLOB_BYTES).map(|place| (place % 251) as u8).collect();
        bytes.iter_mut().step_by(ELEMENT_BYTES).for_each(|byte| *byte &= 0x3f);
        let blob = Blob::new(&bytes).unwrap();
        let commitment = blob.commitment();
        let checked = CheckedBlob::new(&bytes, &hash_of(&commitment)).unwrap();
        let preimages: Vec<_> = checked.preimages().collect();
        let host_of = |preimages: &[(Key, Vec<u8>)]| host(preimages.iter().cloned());

        let mut z = keccak256(b"anywhere");
        z[0] = 0;
        let key = Key::blob(&commitment, &z);
        let host = host_of(&preimages);
        host.find(key).unwrap_err();
        hear(&host, &Hint::L1BlobPoint { commitment, point: z });
        assert_eq!(host.find(key).unwrap(), blob.value_at(&z).unwrap());
        let behind = host.store().get(Key::keccak256(key.into_bytes())).unwrap();
        assert_eq!(behind.unwrap(), [&commitment[..], &z].concat());

        // A point that is none, an unknown blob, an element that is not there.
        let none = Key::blob(&commitment, &[0xff; 32]);
        hear(&host, &Hint::L1BlobPoint { commitment, point: [0xff; 32] });
        assert!(host.find(none).unwrap_err().to_string().contains("no field element"));
        let unknown = Key::blob(&[1; 48], &z);
        hear(&host, &Hint::L1BlobPoint { commitment: [1; 48], point: z });
        assert!(host.find(unknown).unwrap_err().to_string().contains("element 0 of the blob"));
        let host = host_of(&preimages[2..]);
        hear(&host, &Hint::L1BlobPoint { commitment, point: z });
        assert!(host.find(key).unwrap_err().to_string().contains("element 0 of the blob"));
    }

    #[test]
    fn a_precompiled_contract_is_run_for_whoever_hints_it() {
        // sha256 is not among those that oracles know; ecrecover of nothing recovers nobody.
        let mut address = [0; 20];
        address[19] = 1;
        let host = host([]);
        let hint = Hint::L1Precompile { address, required_gas: Some(3000), input: vec![0; 128] };
        hear(&host, &hint);
        let key = Key::precompile(&address, 3000, &[0; 128]);
        assert_eq!(host.find(key).unwrap(), [1]);
        address[19] = 2;
        hear(&host, &Hint::L1Precompile { address, required_gas: Some(60), input: vec![] });
        let error = host.find(Key::precompile(&address, 60, &[])).unwrap_err().to_string();
        assert!(error.contains("no host runs the precompile"), "{error}");
    }
}
