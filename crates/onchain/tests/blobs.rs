//! Elements of blobs that nobody gave a proof for: proven from the whole blob, and taken by the oracle.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;
use tribunal_conformance::Random;
use tribunal_kzg::{BLOB_BYTES, ELEMENTS, point};
use tribunal_machine::PreimageRead;
use tribunal_onchain::{Blob, Evidence, Instance, LoadError, Loaded, LoadedHow, NoEvidence};
use tribunal_preimage::Key;

type Store = BTreeMap<Key, Vec<u8>>;

/// A blob of random elements, none of them zero.
fn random_bytes() -> Vec<u8> {
    let mut bytes = Random::new(4844).bytes(BLOB_BYTES);
    // Below the modulus.
    bytes.iter_mut().step_by(32).for_each(|byte| *byte = *byte % 0x70 + 1);
    bytes
}

fn batches() -> (Vec<u8>, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/blobs/batches.json.gz");
    let json: Value = serde_json::from_reader(GzDecoder::new(File::open(path).unwrap())).unwrap();
    let bytes = |field: &str| hex::decode(&json[field].as_str().unwrap()[2..]).unwrap();
    (bytes("blob"), bytes("commitment"))
}

/// What a host has of a blob: each element, and what is behind its key.
fn store(bytes: &[u8], commitment: &[u8; 48]) -> Store {
    let mut store = Store::new();
    for (place, element) in bytes.chunks(32).enumerate() {
        let behind = [&commitment[..], &point(place)].concat();
        store.insert(Key::blob(commitment, &point(place)), element.to_vec());
        store.insert(Key::keccak256_of(&behind), behind);
    }
    assert_eq!(store.len(), 2 * ELEMENTS);
    store
}

/// Loads a part of an element of which this is said.
fn load(key: Key, element: &[u8], evidence: &Evidence) -> Result<Loaded, LoadError> {
    let value = [&32u64.to_be_bytes(), element].concat().into();
    let read = PreimageRead { key, value, offset: 8 };
    Instance::new().load_preimage(&read, Some(evidence), &[0; 32])
}

#[test]
fn an_element_is_proven_from_the_store_and_no_other_is() {
    let bytes = random_bytes();
    let commitment = Blob::new(&bytes).unwrap().commitment();
    let store = store(&bytes, &commitment);
    for place in [0, 1, 2, 1234, ELEMENTS - 1] {
        let key = Key::blob(&commitment, &point(place));
        let evidence = Evidence::of_blob_key(key, |key| store.get(&key).cloned()).unwrap();
        let element = &bytes[place * 32..][..32];
        let loaded = load(key, element, &evidence).unwrap();
        assert_eq!(loaded.key, key);
        let LoadedHow::Proven { function, .. } = loaded.how else { panic!("given: {place}") };
        assert_eq!(function, "loadBlobPreimagePart");

        let mut wrong = element.to_vec();
        wrong[31] ^= 1;
        let refused = load(key, &wrong, &evidence).unwrap_err();
        assert!(matches!(refused, LoadError::Refused { .. }), "{place}: {refused}");
        assert!(refused.to_string().contains("InvalidProof()"), "{place}: {refused}");
    }
}

#[test]
fn the_value_at_a_point_that_is_no_elements_is_proven_and_no_other_is() {
    let bytes = random_bytes();
    let blob = Blob::new(&bytes).unwrap();
    let commitment = blob.commitment();
    let mut modulus_less_1 = [0; 32];
    let digits = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";
    hex::decode_to_slice(digits, &mut modulus_less_1).unwrap();
    let mut hash = [0x5a; 32];
    hash[0] = 0;
    // The one before the last is an element's too: -1.
    for z in [hash, [0; 32], modulus_less_1, point(77)] {
        let key = Key::blob(&commitment, &z);
        let mut store = store(&bytes, &commitment);
        let behind = [&commitment[..], &z].concat();
        store.insert(Key::keccak256_of(&behind), behind);
        let evidence = Evidence::of_blob_key(key, |key| store.get(&key).cloned()).unwrap();
        let value = blob.value_at(&z).unwrap();
        let loaded = load(key, &value, &evidence).unwrap();
        assert_eq!(loaded.key, key);
        assert!(matches!(loaded.how, LoadedHow::Proven { function: "loadBlobPreimagePart", .. }));

        let mut wrong = value;
        wrong[31] ^= 1;
        let refused = load(key, &wrong, &evidence).unwrap_err();
        assert!(refused.to_string().contains("InvalidProof()"), "{refused}");
        // The value is none at another point.
        let Evidence::Blob { commitment, proof, .. } = evidence else { panic!() };
        let elsewhere = Evidence::Blob { commitment, z: point(5), proof };
        load(key, &value, &elsewhere).unwrap_err();
    }
}

#[test]
fn a_blob_that_a_batcher_filled_is_proven_under_its_own_commitment() {
    let (bytes, commitment) = batches();
    let blob = Blob::new(&bytes).unwrap();
    for place in [0, 45, 46, 4000] {
        let evidence = Evidence::of_element(&blob, place);
        let key = Key::blob(commitment[..].try_into().unwrap(), &point(place));
        let loaded = load(key, &blob.element(place), &evidence).unwrap();
        assert_eq!(loaded.key, key);
        assert!(matches!(loaded.how, LoadedHow::Proven { .. }), "{place}");
    }
}

#[test]
fn a_blob_that_is_not_known_or_not_that_of_the_commitment_gives_no_evidence() {
    let bytes = random_bytes();
    let commitment = Blob::new(&bytes).unwrap().commitment();
    let whole = store(&bytes, &commitment);
    let key = Key::blob(&commitment, &point(7));
    let of = Key::keccak256_of(&[&commitment[..], &point(7)].concat());
    let ask = |key, store: &Store| Evidence::of_blob_key(key, |key| store.get(&key).cloned());

    let mut known = whole.clone();
    known.remove(&of);
    assert_eq!(ask(key, &known), Err(NoEvidence::NoPoint { key, of }));
    // Some other text, and points that are behind other keys.
    let odd_point = [&commitment[..], &[3; 32]].concat();
    let other_point = [&commitment[..], &point(8)].concat();
    for odd in [vec![], vec![1; 79], odd_point, other_point] {
        known.insert(of, odd);
        assert_eq!(ask(key, &known), Err(NoEvidence::OddPoint { key, of }));
    }

    let far = Key::blob(&commitment, &point(4000));
    let mut known = whole.clone();
    known.remove(&far);
    assert_eq!(ask(key, &known), Err(NoEvidence::Missing { place: 4000, key: far }));
    known.insert(far, vec![0; 32]);
    assert_eq!(ask(key, &known), Err(NoEvidence::OtherBlob));
    known.insert(far, vec![0xff; 32]);
    assert!(matches!(ask(key, &known), Err(NoEvidence::Blob(_))));
}
