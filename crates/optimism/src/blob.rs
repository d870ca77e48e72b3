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
    use alloc::collections::BTreeMap;
    use alloc::string::{String, ToString as _};
    use alloc::vec;

    use revm::precompile::Precompiles;
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
        /// What precompiled contracts gave.
        results: BTreeMap<Key, Vec<u8>>,
        hints: Vec<String>,
        reads: usize,
        /// Answers instead of the right ones: of an element, or of all precompiled contracts.
        lies: BTreeMap<Option<usize>, Vec<u8>>,
    }

    impl Host {
        fn new(bytes: &[u8]) -> Self {
            let blob = Whole::new(bytes).unwrap();
            let commitment = blob.commitment();
            let key = |place| (Key::blob(&commitment, &point(place)), place);
            let elements = (0..ELEMENTS).map(key).collect();
            let (hints, lies, results) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
            Self { blob, commitment, elements, results, hints, reads: 0, lies }
        }

        /// With another answer for an element, or of all precompiled contracts.
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
            if let Some(data) = hint.strip_prefix("l1-precompile 0x") {
                let data = alloy_primitives::hex::decode(data).unwrap();
                let (address, rest) = data.split_first_chunk::<20>().unwrap();
                let (gas, input) = rest.split_first_chunk().unwrap();
                let gas = u64::from_be_bytes(*gas);
                let contract = Precompiles::prague().get(&Address::new(*address)).unwrap();
                // With no more gas than the key says.
                let output = contract.execute(input, gas, 0).unwrap();
                assert!(output.is_success());
                let result = [&[1][..], &output.bytes].concat();
                self.results.insert(Key::precompile(address, gas, input), result);
            }
            self.hints.push(hint);
            Ok(())
        }

        fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
            if key == Key::sha256(HASH.0) {
                return Ok(self.commitment.to_vec());
            }
            let place = self.elements.get(&key).copied();
            self.reads += usize::from(place.is_some());
            if let Some(lie) = self.lies.get(&place) {
                return Ok(lie.clone());
            }
            Ok(place.map_or_else(
                || self.results[&key].clone(),
                |place| self.blob.element(place).into(),
            ))
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
        for count in [1, 4, AT_ONCE, AT_ONCE + 1, MOST_SUMMED - 7] {
            let bytes = bytes(count);
            let mut host = Host::new(&bytes);
            assert_eq!(host.read(Some(count)).unwrap(), bytes[..32 * count], "{count}");
            assert_eq!(host.reads, count, "{count}");
            let hash = alloy_primitives::hex::encode(HASH);
            assert_eq!(host.hints[0], alloc::format!("l1-blob 0x{hash}{:016x}{:016x}", 2, 3));
            // Data that ends before it says, and a blob of zeroes.
            assert_eq!(host.read(Some(count + 7)).unwrap()[..32 * count], bytes[..32 * count]);
        }
        let mut host = Host::new(&bytes(0));
        assert_eq!(host.read(Some(4)).unwrap(), [0; 4 * 32]);
        assert_eq!(host.reads, 4);
    }

    #[test]
    fn what_is_not_0_behind_the_data_is_found_wherever_it_is() {
        for place in [4, 5, 2048, ELEMENTS - 1] {
            let mut bytes = bytes(4);
            bytes[32 * place + 31] = 1;
            let mut host = Host::new(&bytes);
            assert_eq!(host.read(Some(4)).unwrap(), bytes, "{place}");
            assert_eq!(host.reads, ELEMENTS, "{place}");
        }
        // Two that cancel each other out in a sum.
        let mut bytes = bytes(4);
        bytes[32 * 10 + 31] = 1;
        bytes[32 * 11..32 * 12].copy_from_slice(&bytes_of(&-Fr::one()));
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
        assert_eq!((host.reads, host.results.len()), (1, 0));
        assert_eq!(host.read(Some(0)).unwrap(), bytes, "the first element is one that is used");
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
    fn a_lie_about_the_sum_hides_nothing() {
        // As if the rest were not 0, and as if it were.
        let bytes = bytes(4);
        let mut dirty = bytes.clone();
        dirty[BLOB_BYTES - 1] = 1;
        for lie in [&[0][..], &[1], &[1; 128], &[1; 129], &[&[1][..], &[0; 128]].concat()] {
            let mut host = Host::new(&bytes).lying(None, lie);
            assert_eq!(host.read(Some(4)).unwrap(), bytes);
            assert_eq!(Host::new(&dirty).lying(None, lie).read(Some(4)).unwrap(), dirty);
        }
        // An element that is none of the blob's.
        for place in 0..4 {
            let mut host = Host::new(&bytes).lying(Some(place), &[7; 32]);
            let read = host.read(Some(4)).unwrap();
            assert_eq!((read.len(), host.reads), (BLOB_BYTES, ELEMENTS), "{place}");
        }
    }

    #[test]
    fn without_precompiled_contracts_all_is_read() {
        let bytes = bytes(4);
        let mut host = Host::new(&bytes);
        let mut preimages = Preimages::new(&mut host).without_acceleration();
        let read = Blobs::default().read(&mut preimages, &ID, |_| Some(4)).unwrap();
        assert_eq!(read, bytes);
        assert_eq!((host.reads, host.results.len()), (ELEMENTS, 0));
    }

    #[test]
    fn what_is_no_part_of_a_blob_decides_nothing() {
        let bytes = bytes(4);
        for place in [Some(0), Some(3)] {
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
            let blob = Whole::new(&bytes).expect("a blob");
            let (x, y) = point.split_at(48);
            let wide = [&[0; 16], x, &[0; 16], y].concat();
            assert_eq!(compress(&wide), Some(blob.commitment()), "{place}");
        }
        let nothing = Whole::new(&[0; 32 * ELEMENTS]).expect("a blob");
        assert_eq!(compress(&[0; 128]), Some(nothing.commitment()));
        assert_eq!(compress(&[0; 127]), None);
    }
}
