//! Blobs over preimages: no more elements than somebody needs, and one look at all the others.
//!
//! A blob is 4,096 values of a polynomial p, each a preimage under a key that must be hashed. What a
//! batcher sends is mostly far shorter than a blob, and the elements behind it must be 0. That they are
//! needs no look at each:
//!
//! 1. Let q be the polynomial with the values that were read, and 0 at all other places. If p is not q,
//!    the two agree in at most 4,095 points, because their degree is at most that.
//! 2. The point z is a hash of the commitment and of the values that were read, so it follows from p
//!    alone: whoever makes a blob has one z for it, of 2²⁴⁸, and must make about 2²³⁶ blobs until
//!    p(z) = q(z) without p being q.
//! 3. p(z) is a preimage as the elements are: an oracle serves, and the contract on chain proves, the
//!    value at any point, not only at the 4,096.
//! 4. If p(z) is not q(z), all elements are read: nothing follows from a look that fails but cost.
//!
//! Knows field elements and their keys; knows nothing of what a blob holds.

use alloc::vec::Vec;

use alloy_primitives::B256;
use ark_bls12_381::Fr;
use ark_ff::{BigInt, FftField as _, Field as _, One as _, PrimeField as _, Zero as _};
use tribunal_keccak::Keccak256;
use tribunal_preimage::{Key, Oracle};

use crate::preimages::{Item, Preimages, Undecided};

/// Elements of a blob.
const ELEMENTS: usize = 4096;

/// Bytes of a commitment.
const COMMITMENT_BYTES: usize = 48;

/// Up to so many elements one look at the others costs less than to read them.
const MOST_SUMMED: usize = 2560;

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
    /// `used` tells from the first element how many can, the first counted; `None` if nobody needs any
    /// other, which are left out then. If it is wrong about the others, all are there.
    ///
    /// # Errors
    /// If something is not to be had, or is no part of a blob.
    pub fn read<O: Oracle>(
        &mut self,
        preimages: &mut Preimages<O>,
        id: &BlobId,
        used: impl FnOnce(&[u8; 32]) -> Option<usize>,
    ) -> Result<Vec<u8>, Undecided> {
        let (index, timestamp) = (id.index.to_be_bytes(), id.timestamp.to_be_bytes());
        preimages.hint("l1-blob", &[&id.versioned_hash.0, &index, &timestamp])?;
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
        blob.read_to(used.clamp(1, ELEMENTS), self, preimages)?;
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
        blobs: &mut Blobs,
        preimages: &mut Preimages<O>,
    ) -> Result<bool, Undecided> {
        let mut hasher = Keccak256::new();
        hasher.update(&self.commitment);
        hasher.update(&self.bytes);
        let mut point = hasher.finish();
        // Below 2²⁴⁸ it is below the modulus.
        point[0] = 0;
        preimages.hint("l1-blob-point", &[&self.commitment, &point])?;
        let value = self.value_at(&point, preimages)?;
        let (elements, _) = self.bytes.as_chunks::<32>();
        let at_point = blobs.evaluate(elements, Fr::from_be_bytes_mod_order(&point));
        Ok(at_point.is_some_and(|at_point| words_of(&value) == Some(at_point)))
    }
}

impl Blobs {
    /// What the polynomial with these values, and 0 at all other places, is at `z`. `None` if one is no
    /// field element, or `z` is one of the places.
    ///
    /// The first m places, m a power of 2, are those of a polynomial f of their own, at which f(x) and
    /// f(-x) are neighbours. `f(z) = e(z²) + z·o(z²)`, and twice e and o at x² are `f(x) + f(-x)` and
    /// `(f(x) - f(-x)) / x`: half as many values, of which all that is left of z² is asked, and so on.
    /// f(z) times `(zⁿ - 1) / (zᵐ - 1) · m / n` is 0 at the other places. All of it is linear in the
    /// values, so they can stay as they are, outside of Montgomery's form.
    fn evaluate(&mut self, elements: &[[u8; 32]], z: Fr) -> Option<BigInt<4>> {
        let count = elements.len().next_power_of_two();
        let mut values = Vec::with_capacity(count);
        for element in elements {
            values.push(Fr::new_unchecked(words_of(element)?));
        }
        values.resize(count, Fr::zero());
        self.extend(count);
        let mut power = z;
        while values.len() > 1 {
            for pair in 0..values.len() / 2 {
                let place = 2 * pair;
                let (even, odd) =
                    (values[place] + values[place + 1], values[place] - values[place + 1]);
                values[pair] = match odd.is_zero() {
                    true => even,
                    false => even + odd * power * self.points[inverse_of(place)],
                };
            }
            values.truncate(values.len() / 2);
            power.square_in_place();
        }
        // Now the power is zᵐ.
        let inner = (power - Fr::one()) * Fr::from(ELEMENTS as u64);
        let outer = z.pow([ELEMENTS as u64]) - Fr::one();
        let value = *values.first()? * outer * inner.inverse()?;
        Some(value.0)
    }
}

/// The place whose point is the inverse of another's: but for its highest bit, a place has the bits of
/// the power reversed, and in -1 less the power all are others.
const fn inverse_of(place: usize) -> usize {
    match place.checked_ilog2() {
        Some(highest) => place ^ ((1 << highest) - 1),
        None => 0,
    }
}

/// The words of a field element, if it is one.
fn words_of(bytes: &[u8; 32]) -> Option<BigInt<4>> {
    let mut words = BigInt::zero();
    let (parts, _) = bytes.as_chunks::<8>();
    for (word, part) in words.0.iter_mut().zip(parts.iter().rev()) {
        *word = u64::from_be_bytes(*part);
    }
    (words < Fr::MODULUS).then_some(words)
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

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::{String, ToString as _};
    use alloc::vec;

    use tribunal_keccak::keccak256;
    use tribunal_kzg::{BLOB_BYTES, Blob as Whole, point};
    use tribunal_preimage::OracleError;

    use super::*;

    const HASH: B256 = B256::repeat_byte(1);
    const ID: BlobId = BlobId { versioned_hash: HASH, index: 2, timestamp: 3 };

    /// A host with one blob, which may lie.
    struct Host {
        blob: Whole,
        commitment: [u8; 48],
        elements: BTreeMap<Key, usize>,
        /// The point of the last hint.
        point: Option<[u8; 32]>,
        hints: Vec<String>,
        reads: usize,
        /// Answers instead of the right ones: of an element, or of the point.
        lies: BTreeMap<Option<usize>, Vec<u8>>,
    }

    impl Host {
        fn new(bytes: &[u8]) -> Self {
            let blob = Whole::new(bytes).unwrap();
            let commitment = blob.commitment();
            let key = |place| (Key::blob(&commitment, &point(place)), place);
            let elements = (0..ELEMENTS).map(key).collect();
            let (hints, lies) = (Vec::new(), BTreeMap::new());
            Self { blob, commitment, elements, point: None, hints, reads: 0, lies }
        }

        /// With another answer for an element, or for the point.
        fn lying(mut self, place: Option<usize>, answer: &[u8]) -> Self {
            self.lies.insert(place, answer.to_vec());
            self
        }

        fn read(&mut self, used: Option<usize>) -> Result<Vec<u8>, Undecided> {
            self.reads = 0;
            Blobs::default().read(&mut Preimages::new(self), &ID, |_| used)
        }
    }

    impl Oracle for Host {
        fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
            let hint = String::from_utf8(hint.to_vec()).unwrap();
            if let Some(data) = hint.strip_prefix("l1-blob-point 0x") {
                let data = alloy_primitives::hex::decode(data).unwrap();
                assert_eq!(data[..48], self.commitment);
                self.point = Some(data[48..].try_into().unwrap());
            }
            self.hints.push(hint);
            Ok(())
        }

        fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
            if key == Key::sha256(HASH.0) {
                return Ok(self.commitment.to_vec());
            }
            self.reads += 1;
            let place = self.elements.get(&key).copied();
            if let Some(lie) = self.lies.get(&place) {
                return Ok(lie.clone());
            }
            if let Some(place) = place {
                return Ok(self.blob.element(place).to_vec());
            }
            // The point is no element's, and it was told before.
            let point = self.point.unwrap();
            assert_eq!(key, Key::blob(&self.commitment, &point));
            Ok(self.blob.value_at(&point).unwrap().to_vec())
        }
    }

    /// A blob whose first `count` elements are random.
    fn bytes(count: usize) -> Vec<u8> {
        let mut bytes = vec![0; BLOB_BYTES];
        for (place, element) in bytes.chunks_mut(32).take(count).enumerate() {
            element.copy_from_slice(&keccak256(&place.to_be_bytes()));
            element[0] &= 0x3f;
        }
        bytes
    }

    #[test]
    fn what_is_0_behind_the_data_is_not_read() {
        for count in [1, 4, 100, MOST_SUMMED] {
            let bytes = bytes(count);
            let mut host = Host::new(&bytes);
            assert_eq!(host.read(Some(count)).unwrap(), bytes[..32 * count], "{count}");
            assert_eq!(host.reads, count + 1, "{count}");
            let hash = alloy_primitives::hex::encode(HASH);
            assert_eq!(host.hints[0], alloc::format!("l1-blob 0x{hash}{:016x}{:016x}", 2, 3));
            // Data that ends before it says, and a blob of zeroes.
            assert_eq!(host.read(Some(count + 7)).unwrap()[..32 * count], bytes[..32 * count]);
        }
        let mut host = Host::new(&bytes(0));
        assert_eq!(host.read(Some(4)).unwrap(), [0; 4 * 32]);
        assert_eq!(host.reads, 5);
    }

    #[test]
    fn what_is_not_0_behind_the_data_is_found_wherever_it_is() {
        for place in [4, 5, 2048, ELEMENTS - 1] {
            let mut bytes = bytes(4);
            bytes[32 * place + 31] = 1;
            let mut host = Host::new(&bytes);
            assert_eq!(host.read(Some(4)).unwrap(), bytes, "{place}");
            assert_eq!(host.reads, ELEMENTS + 1, "{place}");
        }
        // Two that cancel each other out in a sum.
        let mut bytes = bytes(4);
        bytes[32 * 10 + 31] = 1;
        bytes[32 * 11..32 * 12].copy_from_slice(&bytes_of(-Fr::one()));
        assert_eq!(Host::new(&bytes).read(Some(4)).unwrap(), bytes);
    }

    #[test]
    fn a_blob_that_is_nearly_full_is_read_and_no_more() {
        for (used, reads) in [(MOST_SUMMED + 1, ELEMENTS), (ELEMENTS, ELEMENTS), (9999, ELEMENTS)] {
            let bytes = bytes(ELEMENTS);
            let mut host = Host::new(&bytes);
            assert_eq!(host.read(Some(used)).unwrap(), bytes, "{used}");
            assert_eq!(host.reads, reads, "{used}");
        }
    }

    #[test]
    fn of_what_nobody_needs_one_element_is_read() {
        let bytes = bytes(100);
        let mut host = Host::new(&bytes);
        assert_eq!(host.read(None).unwrap(), bytes[..32]);
        assert_eq!((host.reads, host.point), (1, None));
        assert_eq!(host.read(Some(0)).unwrap(), bytes, "the first element is one that is used");
    }

    #[test]
    fn a_polynomial_is_evaluated_as_elsewhere() {
        let mut blobs = Blobs::default();
        for count in [1, 2, 3, 4, 5, 64, 100, 2049, ELEMENTS] {
            let bytes = bytes(count);
            let blob = Whole::new(&bytes).unwrap();
            let (elements, _) = bytes[..32 * count].as_chunks::<32>();
            for z in [keccak256(b"one"), keccak256(b"another"), [0; 32]] {
                let z = Fr::from_be_bytes_mod_order(&z);
                let expected = blob.value_at(&bytes_of(z)).unwrap();
                assert_eq!(blobs.evaluate(elements, z), words_of(&expected), "{count}");
            }
        }
        for place in 0..ELEMENTS {
            assert_eq!(blobs.points[place] * blobs.points[inverse_of(place)], Fr::one());
        }
        // A place itself, and what is no field element.
        assert_eq!(blobs.evaluate(&[[1; 32]; 4], -Fr::one()), None);
        let modulus = Fr::MODULUS.0.iter().rev().flat_map(|word| word.to_be_bytes());
        let modulus: Vec<u8> = modulus.collect();
        assert_eq!(blobs.evaluate(&[modulus.try_into().unwrap()], Fr::from(7)), None);
    }

    #[test]
    fn points_are_kept_for_the_next_blob() {
        let (few, many) = (bytes(3), bytes(100));
        let mut blobs = Blobs::default();
        for bytes in [&few, &many, &few] {
            let count = if bytes == &few { 3 } else { 100 };
            let mut host = Host::new(bytes);
            let read = blobs.read(&mut Preimages::new(&mut host), &ID, |_| Some(count)).unwrap();
            assert_eq!(read, bytes[..32 * count]);
        }
    }

    #[test]
    fn a_lie_about_the_point_hides_nothing() {
        // As if the rest were not 0, and as if it were.
        let bytes = bytes(4);
        let mut host = Host::new(&bytes).lying(None, &[1; 32]);
        assert_eq!(host.read(Some(4)).unwrap(), bytes);
        let mut dirty = bytes.clone();
        dirty[BLOB_BYTES - 1] = 1;
        for lie in [[0; 32], [0xff; 32]] {
            assert_eq!(Host::new(&dirty).lying(None, &lie).read(Some(4)).unwrap(), dirty);
        }
        // An element that is none of the blob's.
        for place in 0..4 {
            let mut host = Host::new(&bytes).lying(Some(place), &[7; 32]);
            let read = host.read(Some(4)).unwrap();
            assert_eq!((read.len(), host.reads), (BLOB_BYTES, ELEMENTS + 1), "{place}");
        }
    }

    #[test]
    fn the_point_follows_from_commitment_and_elements() {
        let mut host = Host::new(&bytes(4));
        host.read(Some(4)).unwrap();
        let first = host.point.unwrap();
        assert_eq!(first[0], 0, "below the modulus");
        host.read(Some(5)).unwrap();
        assert_ne!(host.point.unwrap(), first, "of other elements");
        let mut dirty = bytes(4);
        dirty[BLOB_BYTES - 1] = 1;
        let mut host = Host::new(&dirty);
        host.read(Some(4)).unwrap();
        assert_ne!(host.point.unwrap(), first, "of another commitment");
    }

    #[test]
    fn what_is_no_part_of_a_blob_decides_nothing() {
        let bytes = bytes(4);
        for place in [Some(0), Some(3), None] {
            for len in [0, 31, 33] {
                let mut host = Host::new(&bytes).lying(place, &vec![0; len]);
                let error = host.read(Some(4)).unwrap_err();
                let Undecided::Blob { versioned_hash: HASH, item: Item::Blob, .. } = error else {
                    panic!("{error}")
                };
                assert!(error.to_string().ends_with("not 32 bytes long"), "{error}");
            }
        }
        struct Short;
        impl Oracle for Short {
            fn hint(&mut self, _: &[u8]) -> Result<(), OracleError> {
                Ok(())
            }
            fn preimage(&mut self, _: Key) -> Result<Vec<u8>, OracleError> {
                Ok(vec![0; 47])
            }
        }
        let error = Blobs::default().read(&mut Preimages::new(Short), &ID, |_| None).unwrap_err();
        assert!(error.to_string().ends_with("not 48 bytes long"), "{error}");
    }
}
