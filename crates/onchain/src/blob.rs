//! Evidence for an element of a blob, made from the whole blob.
//!
//! Knows how hosts of OP Stack programs keep a blob: every element under its own key, and the
//! commitment and the point behind a key as the keccak256 preimage of the same hash. Knows nothing
//! of where preimages come from.

use tribunal_kzg::{BLOB_BYTES, Blob, BlobError, ELEMENTS, place_of, point};
use tribunal_preimage::Key;

use crate::preimage::Evidence;

/// Bytes of a commitment.
const COMMITMENT_BYTES: usize = 48;

/// Why there is no evidence for an element of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoEvidence {
    /// What is behind the key is not known.
    #[error("the commitment and the point behind {key} are not known: there is no preimage {of}")]
    NoPoint {
        /// The key of the element.
        key: Key,
        /// The key of the two.
        of: Key,
    },
    /// What is behind the key is no element's.
    #[error(
        "the preimage {of} is not the commitment and the point of an element of a blob, which \
         {key} needs"
    )]
    OddPoint {
        /// The key of the element.
        key: Key,
        /// The key of the two.
        of: Key,
    },
    /// The blob is not known as a whole.
    #[error("element {place} of the blob is not known, under {key}: a proof of one takes them all")]
    Missing {
        /// Which.
        place: usize,
        /// Its key.
        key: Key,
    },
    /// What is known is no blob.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// What is known is another blob.
    #[error(
        "the elements known of the blob are not those of its commitment: one of them is wrong, so \
         none can be proven"
    )]
    OtherBlob,
}

impl Evidence {
    /// Evidence for the element at `place` of a blob, which is at hand as a whole.
    ///
    /// # Panics
    /// If a blob has no such place: there are 4,096.
    pub fn of_element(blob: &Blob, place: usize) -> Self {
        Self::Blob { commitment: blob.commitment(), z: point(place), proof: blob.proof(place) }
    }

    /// Evidence for the element under `key`, if the whole blob is among the preimages.
    ///
    /// It asks for every element, and computes a proof, which takes a fraction of a second.
    ///
    /// # Errors
    /// What is missing, or wrong.
    pub fn of_blob_key(
        key: Key,
        mut preimage: impl FnMut(Key) -> Option<Vec<u8>>,
    ) -> Result<Self, NoEvidence> {
        let of = Key::keccak256(key.into_bytes());
        let behind = preimage(of).ok_or(NoEvidence::NoPoint { key, of })?;
        let odd = NoEvidence::OddPoint { key, of };
        let (commitment, z) = behind.split_first_chunk::<COMMITMENT_BYTES>().ok_or(odd)?;
        let z = z.try_into().map_err(|_| odd)?;
        let place = place_of(z).ok_or(odd)?;
        if Key::blob(commitment, z) != key {
            return Err(odd);
        }
        let mut bytes = Vec::with_capacity(BLOB_BYTES);
        for place in 0..ELEMENTS {
            let key = Key::blob(commitment, &point(place));
            let element = preimage(key).filter(|element| key.check(element).is_ok());
            bytes.extend(element.ok_or(NoEvidence::Missing { place, key })?);
        }
        let blob = Blob::new(&bytes)?;
        match Self::of_element(&blob, place) {
            Self::Blob { commitment: ref theirs, .. } if theirs != commitment => {
                Err(NoEvidence::OtherBlob)
            }
            evidence => Ok(evidence),
        }
    }
}
