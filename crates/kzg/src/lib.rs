//! KZG commitments of blobs, and proofs of what their elements are (EIP-4844).
//!
//! Knows the polynomial that a blob is, and the setup of Ethereum's ceremony. Knows nothing of what
//! is in a blob, of preimages or of chains, and checks no proof: that is a contract's business.

use std::sync::LazyLock;

use ark_bls12_381::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup as _, VariableBaseMSM as _};
use ark_ff::{BigInteger as _, FftField as _, Field as _, One as _, PrimeField as _};
use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};

/// Field elements in a blob.
pub const ELEMENTS: usize = 4096;

/// Bytes of an element, big-endian.
pub const ELEMENT_BYTES: usize = 32;

/// Bytes in a blob.
pub const BLOB_BYTES: usize = ELEMENTS * ELEMENT_BYTES;

/// Bytes of a compressed point of the curve.
const POINT_BYTES: usize = 48;

/// Compressed points, each the commitment of a blob in which one element is 1 and the others are 0:
/// `g1_lagrange` of the ceremony's `trusted_setup_4096.json`, in the order of the powers of the root
/// of unity.
static SETUP_BYTES: &[u8; ELEMENTS * POINT_BYTES] = include_bytes!("trusted_setup.bin");

/// The points, in the order of a blob's elements. Unpacking them takes a fraction of a second.
static SETUP: LazyLock<Vec<G1Affine>> = LazyLock::new(|| {
    let (points, _) = SETUP_BYTES.as_chunks::<POINT_BYTES>();
    let unpack = |place: usize| {
        // A test has proofs by all of them checked, so nothing is checked here.
        G1Affine::deserialize_compressed_unchecked(&points[power_of(place)][..])
            .expect("the setup has points of the curve")
    };
    (0..ELEMENTS).map(unpack).collect()
});

/// The point that each element is the value at, in the order of a blob's elements.
static POINTS: LazyLock<Vec<Fr>> = LazyLock::new(|| {
    let root = Fr::get_root_of_unity(ELEMENTS as u64).expect("the field has one");
    let mut powers = Vec::with_capacity(ELEMENTS);
    let mut power = Fr::one();
    for _ in 0..ELEMENTS {
        powers.push(power);
        power *= root;
    }
    (0..ELEMENTS).map(|place| powers[power_of(place)]).collect()
});

/// The power of the root of unity that belongs to an element: its place with the bits reversed.
const fn power_of(place: usize) -> usize {
    place.reverse_bits() >> (usize::BITS - ELEMENTS.ilog2())
}

/// The point that the element at `place` is the value at, big-endian.
///
/// # Panics
/// If a blob has no such place: there are [`ELEMENTS`].
pub fn point(place: usize) -> [u8; ELEMENT_BYTES] {
    to_bytes(&POINTS[place])
}

/// What the commitment of a blob has of the element at `place`, if it is 1: a point of the curve, as its
/// two coordinates of 48 bytes, big-endian.
///
/// # Panics
/// If a blob has no such place: there are [`ELEMENTS`].
pub fn basis(place: usize) -> [u8; 2 * POINT_BYTES] {
    let point = SETUP[place];
    let mut bytes = [0; 2 * POINT_BYTES];
    let (x, y) = bytes.split_at_mut(POINT_BYTES);
    x.copy_from_slice(&point.x.into_bigint().to_bytes_be());
    y.copy_from_slice(&point.y.into_bigint().to_bytes_be());
    bytes
}

/// The element that is the value at this point, if it is one of a blob's points.
pub fn place_of(point: &[u8; ELEMENT_BYTES]) -> Option<usize> {
    let point = from_bytes(point)?;
    POINTS.iter().position(|other| *other == point)
}

/// A blob: the values of a polynomial of degree 4,095 at as many points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    elements: Vec<Fr>,
}

/// Bytes that are no blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There are not as many as in a blob.
    #[error("a blob has {BLOB_BYTES} bytes, not {length}")]
    Length {
        /// As many as there are.
        length: usize,
    },
    /// An element that is none of the field, or not as it is to be written.
    #[error("element {place} of the blob is not below the modulus of BLS12-381")]
    Element {
        /// Which.
        place: usize,
    },
}

impl Blob {
    /// The blob with these bytes.
    ///
    /// # Errors
    /// If they are none.
    pub fn new(bytes: &[u8]) -> Result<Self, BlobError> {
        let length = bytes.len();
        if length != BLOB_BYTES {
            return Err(BlobError::Length { length });
        }
        let (elements, _) = bytes.as_chunks::<ELEMENT_BYTES>();
        let parse = |(place, bytes)| from_bytes(bytes).ok_or(BlobError::Element { place });
        Ok(Self { elements: elements.iter().enumerate().map(parse).collect::<Result<_, _>>()? })
    }

    /// The element at `place`, big-endian.
    ///
    /// # Panics
    /// If a blob has no such place: there are [`ELEMENTS`].
    pub fn element(&self, place: usize) -> [u8; ELEMENT_BYTES] {
        to_bytes(&self.elements[place])
    }

    /// The commitment, a compressed point.
    pub fn commitment(&self) -> [u8; POINT_BYTES] {
        commit(&self.elements)
    }

    /// The proof that the polynomial behind [`Blob::commitment`] has the value [`Blob::element`] at
    /// [`point`], a compressed point.
    ///
    /// # Panics
    /// If a blob has no such place: there are [`ELEMENTS`].
    pub fn proof(&self, place: usize) -> [u8; POINT_BYTES] {
        commit(&self.quotient(place))
    }

    /// `(p(x) - y) / (x - z)` at every point, for the point `z` at `place` and the value `y` there.
    fn quotient(&self, place: usize) -> Vec<Fr> {
        let (z, y) = (POINTS[place], self.elements[place]);
        let mut quotient: Vec<Fr> = POINTS.iter().map(|point| *point - z).collect();
        // Leaves the zero at `place` as it is.
        ark_ff::batch_inversion(&mut quotient);
        for (value, element) in quotient.iter_mut().zip(&self.elements) {
            *value *= *element - y;
        }
        // There it would be 0 / 0. What the others say it is, as the quotient is a polynomial too:
        // the sum over them of (p(x) - y) * x / (z * (z - x)).
        let others = quotient.iter().zip(POINTS.iter());
        let sum: Fr = others.map(|(value, point)| -(*value * point)).sum();
        let z_inverse = z.inverse().expect("a root of unity is not zero");
        quotient[place] = sum * z_inverse;
        quotient
    }
}

/// The commitment of the polynomial with these values.
fn commit(values: &[Fr]) -> [u8; POINT_BYTES] {
    let point = G1Projective::msm_unchecked(&SETUP, values).into_affine();
    let mut bytes = [0; POINT_BYTES];
    point.serialize_compressed(&mut bytes[..]).expect("a point has 48 bytes");
    bytes
}

fn from_bytes(bytes: &[u8; ELEMENT_BYTES]) -> Option<Fr> {
    let element = Fr::from_be_bytes_mod_order(bytes);
    (to_bytes(&element) == *bytes).then_some(element)
}

fn to_bytes(element: &Fr) -> [u8; ELEMENT_BYTES] {
    let bytes = element.into_bigint().to_bytes_be();
    bytes.try_into().expect("a field element has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn published() -> (Vec<u8>, Vec<u8>) {
        let packed: &[u8] = include_bytes!("../../../testdata/blobs/batches.json.gz");
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let bytes = |field: &str| hex::decode(&json[field].as_str().unwrap()[2..]).unwrap();
        (bytes("blob"), bytes("commitment"))
    }

    #[test]
    fn a_blob_has_the_commitment_that_it_was_published_with() {
        let (bytes, commitment) = published();
        let blob = Blob::new(&bytes).unwrap();
        assert_eq!(blob.commitment()[..], commitment);
        let (elements, _) = bytes.as_chunks();
        for (place, element) in elements.iter().enumerate() {
            assert_eq!(blob.element(place), *element);
        }
    }

    #[test]
    fn a_constant_has_the_same_value_everywhere_which_takes_no_proof() {
        let mut one = [0; ELEMENT_BYTES];
        one[31] = 1;
        let blob = Blob::new(&one.repeat(ELEMENTS)).unwrap();
        // The generator of the curve, as the whole setup adds up to it, and the point at infinity.
        let generator = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                         6c55e83ff97a1aeffb3af00adb22c6bb";
        assert_eq!(hex::encode(blob.commitment()), generator);
        let infinity = [&[0xc0][..], &[0; 47]].concat();
        assert_eq!(blob.proof(77)[..], infinity);
    }

    #[test]
    fn points_are_those_of_the_elements_and_found_again() {
        let hex_point = |place| hex::encode(point(place));
        assert_eq!(hex_point(0), format!("{:064x}", 1));
        // -1, then the two square roots of it.
        let minus_one = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";
        assert_eq!(hex_point(1), minus_one);
        assert_eq!(POINTS[2].square(), POINTS[1]);
        assert_eq!(POINTS[2], -POINTS[3]);
        for place in [0, 1, 2, 1000, ELEMENTS - 1] {
            assert_eq!(place_of(&point(place)), Some(place));
        }
        assert_eq!(place_of(&[0; 32]), None);
        assert_eq!(place_of(&[0xff; 32]), None);
    }

    #[test]
    fn what_is_no_blob_is_refused() {
        let mut bytes = vec![0; BLOB_BYTES];
        for length in [0, BLOB_BYTES - 1] {
            assert_eq!(Blob::new(&bytes[..length]), Err(BlobError::Length { length }));
        }
        // The modulus.
        let modulus = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
        hex::decode_to_slice(modulus, &mut bytes[3 * 32..4 * 32]).unwrap();
        assert_eq!(Blob::new(&bytes), Err(BlobError::Element { place: 3 }));
        bytes[4 * 32 - 1] -= 1;
        assert!(Blob::new(&bytes).is_ok());
    }
}
