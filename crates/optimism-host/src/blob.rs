//! A blob as its preimages: the commitment, and each element under its own key.
//!
//! An element's key is a hash of the commitment and of a root of unity, in bit-reversed order: the only
//! points that the contract on L1 can be shown a proof for. What is behind a key is kept as the
//! keccak256 preimage of the same hash, because op-challenger looks it up there.

use sha2::{Digest as _, Sha256};
use tribunal_keccak::Hash;
use tribunal_kzg::{Blob, ELEMENTS, point};
use tribunal_preimage::Key;

/// The first byte of a versioned hash.
const VERSION: u8 = 1;

/// A blob that has the versioned hash that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct CheckedBlob {
    blob: Blob,
    commitment: [u8; 48],
    versioned_hash: Hash,
}

impl CheckedBlob {
    /// Computes the commitment of these bytes and holds it against the hash.
    pub(crate) fn new(bytes: &[u8], versioned_hash: &Hash) -> Result<Self, String> {
        let blob = Blob::new(bytes).map_err(|error| error.to_string())?;
        let commitment = blob.commitment();
        let actual = hash_of(&commitment);
        if actual != *versioned_hash {
            return Err(format!("the blob has the versioned hash 0x{}", hex::encode(actual)));
        }
        Ok(Self { blob, commitment, versioned_hash: actual })
    }

    /// All preimages. The commitment comes last, so that whoever finds it finds the rest.
    pub(crate) fn preimages(&self) -> impl Iterator<Item = (Key, Vec<u8>)> {
        let elements = (0..ELEMENTS).flat_map(|place| {
            let z = point(place);
            let key = Key::blob(&self.commitment, &z);
            let behind = [&self.commitment[..], &z].concat();
            let element = self.blob.element(place).to_vec();
            [(Key::keccak256(key.into_bytes()), behind), (key, element)]
        });
        let commitment = (Key::sha256(self.versioned_hash), self.commitment.to_vec());
        elements.chain([commitment])
    }
}

/// The versioned hash of a commitment.
pub(crate) fn hash_of(commitment: &[u8]) -> Hash {
    let mut hash: Hash = Sha256::digest(commitment).into();
    hash[0] = VERSION;
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use tribunal_onchain::Evidence;

    use super::*;

    #[test]
    fn a_published_blob_becomes_what_a_disputer_proves_elements_with() {
        let packed: &[u8] = include_bytes!("../../../testdata/blobs/batches.json.gz");
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let bytes = |field: &str| hex::decode(&json[field].as_str().unwrap()[2..]).unwrap();
        let (mut blob, commitment) = (bytes("blob"), bytes("commitment"));
        let hash = hash_of(&commitment);

        let checked = CheckedBlob::new(&blob, &hash).unwrap();
        let preimages: BTreeMap<Key, Vec<u8>> = checked.preimages().collect();
        assert_eq!(preimages.len(), 2 * ELEMENTS + 1);
        for (key, data) in &preimages {
            key.check(data).unwrap();
        }
        assert_eq!(preimages[&Key::sha256(hash)], commitment);
        let commitment: [u8; 48] = commitment.try_into().unwrap();
        let key = Key::blob(&commitment, &point(7));
        assert_eq!(preimages[&key], blob[7 * 32..8 * 32]);
        // Enough for the proof that a dispute takes.
        let evidence = Evidence::of_blob_key(key, |key| preimages.get(&key).cloned()).unwrap();
        assert!(matches!(evidence, Evidence::Blob { z, .. } if z == point(7)));

        blob[40] ^= 1;
        assert!(CheckedBlob::new(&blob, &hash).unwrap_err().contains("versioned hash"));
        assert!(CheckedBlob::new(&blob[1..], &hash).unwrap_err().contains("131071"));
    }
}
