//! Blobs over preimages: no more elements than somebody needs, and one look at all the others.
//!
//! A blob is 4,096 field elements, each a preimage under a key that must be hashed. What a batcher sends
//! is often far shorter than a blob, and all elements behind it must be 0. That they are needs no look
//! at each: a commitment is the sum of one point of a curve for each element, times the element. If the
//! sum over the elements that were read is the commitment, all others are 0: a blob with another one
//! and the same commitment nobody can find, or no blob would be bound to its hash. The sum is what a
//! precompiled contract of L1 computes, so it is asked for as the results of those are: every host and
//! challenger knows how.
//!
//! Knows field elements, their keys and their points; knows nothing of what a blob holds.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, U256, address};
use ark_bls12_381::Fr;
use ark_ff::{FftField as _, One as _, PrimeField as _};
use tribunal_optimism_hints::Hint;
use tribunal_preimage::{Key, Oracle};

use crate::preimages::{Item, Preimages, Undecided};

/// Elements of a blob.
const ELEMENTS: usize = 4096;

/// Bytes of a commitment, a compressed point.
const COMMITMENT_BYTES: usize = 48;

/// Up to so many elements, the sum is asked for instead of the others.
const MOST_SUMMED: usize = 512;

/// The points that go with the first elements, in the order of a blob: their two coordinates of 48
/// bytes, big-endian.
static BASIS: &[u8; MOST_SUMMED * 96] = include_bytes!("blob/basis.bin");

/// Adds two points of BLS12-381 (EIP-2537).
const ADD: Address = address!("0x000000000000000000000000000000000000000b");

/// What that takes, in gas.
const ADD_GAS: u64 = 375;

/// Sums points, each times a number (EIP-2537).
const SUM: Address = address!("0x000000000000000000000000000000000000000c");

/// What that takes at most, in gas for each point.
const SUM_GAS: u64 = 12_000;

/// Points of one sum: with more it gets no cheaper, and the call must fit into a transaction.
const AT_ONCE: usize = 128;

/// Half the modulus of the field of coordinates, rounded down, big-endian.
const HALF_MODULUS: [u8; 48] = alloy_primitives::hex!(
    "0d0088f51cbff34d258dd3db21a5d66bb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555"
);

/// Where a blob is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobId {
    /// Of its commitment.
    pub versioned_hash: B256,
    /// Its place among the blobs of its L1 block.
    pub index: u64,
    /// When the L1 block was made, in seconds.
    pub timestamp: u64,
}

/// Reads blobs, and keeps what is the same for all.
#[derive(Clone, Debug, Default)]
pub struct Blobs {
    /// Where the elements are the values at, as many as were needed: a power of two.
    roots: Vec<Fr>,
}

impl Blobs {
    /// The elements of a blob up to the last one that can be other than 0.
    ///
    /// `used` tells from the first element how many can; `None` if nobody needs any other, which are
    /// left out then.
    ///
    /// # Errors
    /// If something is not to be had, or is no part of a blob.
    pub fn read<O: Oracle>(
        &mut self,
        preimages: &mut Preimages<O>,
        id: &BlobId,
        used: impl FnOnce(&[u8; 32]) -> Option<usize>,
    ) -> Result<Vec<u8>, Undecided> {
        let BlobId { versioned_hash, index, timestamp } = *id;
        let versioned_hash = versioned_hash.0;
        preimages.tell(&Hint::L1Blob { versioned_hash, index: Some(index), timestamp })?;
        let commitment = preimages.ask(Key::sha256(versioned_hash), Item::Commitment)?;
        let commitment = commitment.try_into().map_err(|_| Undecided::Blob {
            versioned_hash: id.versioned_hash,
            item: Item::Commitment,
            problem: "not 48 bytes long",
        })?;
        let mut blob = Blob { id, commitment, bytes: Vec::new() };
        blob.read_to(1, self, preimages)?;
        let Some(used) = blob.bytes.first_chunk().and_then(used) else { return Ok(blob.bytes) };
        if used <= MOST_SUMMED && preimages.is_accelerated() {
            blob.read_to(used, self, preimages)?;
            if blob.is_all(preimages)? {
                return Ok(blob.bytes);
            }
        }
        blob.read_to(ELEMENTS, self, preimages)?;
        Ok(blob.bytes)
    }

    /// Has the first `count` roots.
    fn extend(&mut self, count: usize) {
        if self.roots.is_empty() {
            self.roots.push(Fr::one());
        }
        while self.roots.len() < count {
            // The place of an element with its bits reversed is a power of the root of unity. So twice
            // as many are those that there are, and the same times the root of that order.
            let known = self.roots.len();
            let root = Fr::get_root_of_unity(2 * known as u64).unwrap_or_default();
            self.roots.extend_from_within(..);
            self.roots[known..].iter_mut().for_each(|other| *other *= root);
        }
    }
}

/// A blob as far as it was read.
struct Blob<'a> {
    id: &'a BlobId,
    commitment: [u8; COMMITMENT_BYTES],
    bytes: Vec<u8>,
}

impl Blob<'_> {
    fn read_to<O: Oracle>(
        &mut self,
        count: usize,
        blobs: &mut Blobs,
        preimages: &mut Preimages<O>,
    ) -> Result<(), Undecided> {
        blobs.extend(count);
        self.bytes.reserve((32 * count).saturating_sub(self.bytes.len()));
        for place in self.bytes.len() / 32..count {
            let key = Key::blob(&self.commitment, &bytes_of(&blobs.roots[place]));
            let element = preimages.ask(key, Item::Blob)?;
            let element: [u8; 32] = element.try_into().map_err(|_| Undecided::Blob {
                versioned_hash: self.id.versioned_hash,
                item: Item::Blob,
                problem: "not 32 bytes long",
            })?;
            self.bytes.extend_from_slice(&element);
        }
        Ok(())
    }

    /// Whether all elements that were not read are 0: whether those that were read add up to the
    /// commitment.
    fn is_all<O: Oracle>(&self, preimages: &mut Preimages<O>) -> Result<bool, Undecided> {
        let (elements, _) = self.bytes.as_chunks::<32>();
        let (points, _) = BASIS.as_chunks::<96>();
        let terms: Vec<_> =
            points.iter().zip(elements).filter(|(_, element)| **element != [0; 32]).collect();
        let mut sum: Option<Vec<u8>> = None;
        for terms in terms.chunks(AT_ONCE) {
            let mut input = Vec::with_capacity(160 * terms.len());
            for (point, element) in terms {
                let (x, y) = point.split_at(48);
                for part in [&[0; 16], x, &[0; 16], y, &element[..]] {
                    input.extend_from_slice(part);
                }
            }
            let gas = SUM_GAS * terms.len() as u64;
            let Some(part) = preimages.precompile(&SUM, gas, &input)? else { return Ok(false) };
            sum = match sum {
                None => Some(part),
                Some(sum) => preimages.precompile(&ADD, ADD_GAS, &[sum, part].concat())?,
            };
            if sum.is_none() {
                return Ok(false);
            }
        }
        Ok(compress(&sum.unwrap_or_else(|| [0; 128].into())) == Some(self.commitment))
    }
}

/// A point as contracts give it, as commitments are written.
fn compress(point: &[u8]) -> Option<[u8; COMMITMENT_BYTES]> {
    let (&[x, y], []) = point.as_chunks::<64>() else { return None };
    let mut compressed = [0; COMMITMENT_BYTES];
    compressed.copy_from_slice(&x[16..]);
    compressed[0] |= match () {
        () if [x, y] == [[0; 64]; 2] => 0xc0,
        () if y[16..] > HALF_MODULUS[..] => 0xa0,
        () => 0x80,
    };
    Some(compressed)
}

fn bytes_of(element: &Fr) -> [u8; 32] {
    U256::from_limbs(element.into_bigint().0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_are_those_of_the_ceremony() {
        let (points, _) = BASIS.as_chunks::<96>();
        for (place, point) in points.iter().enumerate() {
            assert_eq!(*point, tribunal_kzg::basis(place), "{place}");
        }
    }

    #[test]
    fn points_are_compressed_as_commitments_are() {
        // One blob with a single 1 in it, one with a single modulus minus 1.
        let (points, _) = BASIS.as_chunks::<96>();
        for (place, point) in points.iter().enumerate().take(20) {
            let mut bytes = [0; 32 * ELEMENTS];
            bytes[32 * place + 31] = 1;
            let blob = tribunal_kzg::Blob::new(&bytes).expect("a blob");
            let (x, y) = point.split_at(48);
            let wide = [&[0; 16], x, &[0; 16], y].concat();
            assert_eq!(compress(&wide), Some(blob.commitment()), "{place}");
        }
        let nothing = tribunal_kzg::Blob::new(&[0; 32 * ELEMENTS]).expect("a blob");
        assert_eq!(compress(&[0; 128]), Some(nothing.commitment()));
        assert_eq!(compress(&[0; 127]), None);
    }
}
