//! Blobs over preimages: no more elements than somebody needs, and one look at all the others.
//!
//! A blob is 4,096 values of a polynomial, each a preimage under a key that must be hashed. What a
//! batcher sends is mostly far shorter than a blob, and the elements behind it must be 0. That they are
//! needs no look at each: if the polynomial has, at a point that nobody could foresee, the value of the
//! polynomial whose other values are 0, it is that polynomial, because two of degree 4,095 agree in
//! less than 4,096 of about 2²⁴⁸ points. An oracle serves, and the contract on chain proves, the value
//! at any point, not only at the 4,096.
//!
//! Knows field elements and their keys; knows nothing of what a blob holds.

use alloc::vec::Vec;

use alloy_primitives::B256;
use ark_bls12_381::Fr;
use ark_ff::{FftField as _, Field as _, One as _, PrimeField as _, Zero as _};
use tribunal_keccak::Keccak256;
use tribunal_optimism_hints::Hint;
use tribunal_preimage::{Key, Oracle};

use crate::preimages::{Item, Preimages, Undecided};

/// Elements of a blob.
const ELEMENTS: usize = 4096;

/// Bytes of a commitment.
const COMMITMENT_BYTES: usize = 48;

/// Up to so many elements one look at the others costs less than to read them.
const MOST_SUMMED: usize = 3072;

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
    /// The points that the elements are the values at, as many as were needed.
    points: Vec<Fr>,
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
        preimages.tell(&Hint::L1Blob {
            versioned_hash: id.versioned_hash.0,
            index: Some(id.index),
            timestamp: id.timestamp,
        })?;
        let key = Key::sha256(id.versioned_hash.0);
        let problem =
            |item, problem| Undecided::Blob { versioned_hash: id.versioned_hash, item, problem };
        let commitment = preimages.ask(key, Item::Commitment)?;
        let commitment: [u8; COMMITMENT_BYTES] =
            commitment.try_into().map_err(|_| problem(Item::Commitment, "not 48 bytes long"))?;
        let mut blob = Blob { id, commitment, bytes: Vec::new() };

        blob.read_to(1, self, preimages)?;
        let first = blob.bytes.first_chunk().and_then(used);
        let Some(used) = first else { return Ok(blob.bytes) };
        blob.read_to(used.min(ELEMENTS), self, preimages)?;
        if used > MOST_SUMMED || !blob.is_all(self, preimages)? {
            blob.read_to(ELEMENTS, self, preimages)?;
        }
        Ok(blob.bytes)
    }

    /// Has the first `count` points.
    fn extend(&mut self, count: usize) {
        if self.points.is_empty() {
            self.points.push(Fr::one());
        }
        while self.points.len() < count {
            // In a blob's order, the bits of a place reversed are the power: each doubling has one more
            // bit of it, and the points so far times the root of that order.
            let doubled = self.points.len();
            let root = Fr::get_root_of_unity(2 * doubled as u64).unwrap_or_default();
            self.points.extend_from_within(..);
            self.points[doubled..].iter_mut().for_each(|point| *point *= root);
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
    fn problem(&self, problem: &'static str) -> Undecided {
        Undecided::Blob { versioned_hash: self.id.versioned_hash, item: Item::Blob, problem }
    }

    fn read_to<O: Oracle>(
        &mut self,
        count: usize,
        blobs: &mut Blobs,
        preimages: &mut Preimages<O>,
    ) -> Result<(), Undecided> {
        blobs.extend(count);
        self.bytes.reserve(32 * count - self.bytes.len());
        for place in self.bytes.len() / 32..count {
            let element = self.value_at(&bytes_of(blobs.points[place]), preimages)?;
            self.bytes.extend_from_slice(&element);
        }
        Ok(())
    }

    /// What the polynomial is at a point.
    fn value_at<O: Oracle>(
        &self,
        point: &[u8; 32],
        preimages: &mut Preimages<O>,
    ) -> Result<[u8; 32], Undecided> {
        let value = preimages.ask(Key::blob(&self.commitment, point), Item::Blob)?;
        value.try_into().map_err(|_| self.problem("not 32 bytes long"))
    }

    /// Whether all elements that were not read are 0.
    fn is_all<O: Oracle>(
        &self,
        blobs: &Blobs,
        preimages: &mut Preimages<O>,
    ) -> Result<bool, Undecided> {
        let (elements, _) = self.bytes.as_chunks::<32>();
        // Whoever made the blob would have to know the point before the commitment. Below 2²⁴⁸ it is
        // below the modulus.
        let mut hasher = Keccak256::new();
        hasher.update(&self.commitment);
        hasher.update(&self.bytes);
        let mut point = hasher.finish();
        point[0] = 0;
        preimages.tell(&Hint::L1BlobPoint { commitment: self.commitment, point })?;
        let value = self.value_at(&point, preimages)?;

        // Lagrange: p(z) = (zⁿ - 1) / n · Σ pᵢ · ωᵢ / (z - ωᵢ).
        let z = Fr::from_be_bytes_mod_order(&point);
        let used = elements.iter().zip(&blobs.points).filter(|(bytes, _)| **bytes != [0; 32]);
        let (values, roots): (Vec<_>, Vec<_>) =
            used.map(|(bytes, root)| (Fr::from_be_bytes_mod_order(bytes), *root)).unzip();
        let mut inverses: Vec<Fr> = roots.iter().map(|root| z - root).collect();
        // Were z a root, its term would be missing and the sum be wrong: then all elements are read.
        ark_ff::batch_inversion(&mut inverses);
        let mut sum = Fr::zero();
        for ((value, root), inverse) in values.iter().zip(&roots).zip(&inverses) {
            sum += *value * root * inverse;
        }
        let n = Fr::from(ELEMENTS as u64);
        let outer = (z.pow([ELEMENTS as u64]) - Fr::one()) * n.inverse().unwrap_or_default();
        Ok(bytes_of(sum * outer) == value)
    }
}

fn bytes_of(element: Fr) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (words, _) = bytes.as_chunks_mut::<8>();
    let limbs = element.into_bigint().0;
    for (word, limb) in words.iter_mut().zip(limbs.iter().rev()) {
        *word = limb.to_be_bytes();
    }
    bytes
}
