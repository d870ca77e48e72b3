//! A store whose blob elements and results of precompiled contracts are computed anew before they are
//! given.
//!
//! Their keys are hashes of a question, not of the answer, so any other store vouches only for the form
//! of the answer. Hosts keep the question beside it, as the keccak256 preimage of the same hash:
//! commitment and point of an element, address, gas and input of a call. Out of that, what is right can
//! be told. Knows nothing of how the store around which it stands keeps bytes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tribunal_host::store::Backend;
use tribunal_host::{PreimageStore as _, StoreError};
use tribunal_keccak::{Hash, keccak256};
use tribunal_kzg::{BLOB_BYTES, Blob, ELEMENT_BYTES, ELEMENTS, place_of, point};
use tribunal_preimage::{Key, KeyKind};

use crate::chain::digits;
use crate::precompile::Call;

type Commitment = [u8; 48];

/// A store that gives no element of a blob that is not in it, and no result that a precompiled contract
/// does not have: [`StoreError::Disproved`].
///
/// Where the store lacks the question, or some element of the blob, nothing can be computed: then what
/// is there is given as it is. A blob is committed to once, when its first element is asked for, and a
/// contract is run once for each result.
#[derive(Debug)]
pub struct Verified<S> {
    store: S,
    blobs: Mutex<BTreeMap<Commitment, Standing>>,
    /// The hashes of results that are right.
    results: Mutex<BTreeMap<Key, Hash>>,
}

/// What is known of the elements of a commitment.
#[derive(Debug)]
enum Standing {
    /// They are not what was committed to: why.
    Damaged(String),
    /// This one is not there, so nothing is known of the others.
    Partial(Key),
    /// These are they.
    Whole(Box<[[u8; ELEMENT_BYTES]]>),
}

impl<S: Backend> Verified<S> {
    /// Stands around `store`.
    pub const fn new(store: S) -> Self {
        Self { store, blobs: Mutex::new(BTreeMap::new()), results: Mutex::new(BTreeMap::new()) }
    }

    /// What `key` is a hash of, if it is kept.
    fn question(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(Key::keccak256(key.into_bytes()))
    }

    fn element(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        let question = self.question(key)?;
        let Some((commitment, z)) = question.as_deref().and_then(parts) else {
            return self.store.load(key);
        };
        let mut blobs = self.blobs();
        let known = match blobs.get(&commitment) {
            // Somebody may have put it there.
            Some(Standing::Partial(lacking)) => self.store.load(*lacking)?.is_none(),
            known => known.is_some(),
        };
        if !known {
            let standing = self.gather(&commitment)?;
            blobs.insert(commitment, standing);
        }
        match blobs.get(&commitment) {
            Some(Standing::Damaged(why)) => {
                let blob = digits(&commitment);
                let place = format!("the blob with the commitment {blob} in {}", self.name());
                Err(StoreError::Disproved { place, why: why.clone() })
            }
            Some(Standing::Whole(elements)) => match place_of(&z) {
                Some(place) => Ok(Some(elements[place].to_vec())),
                // No contract is shown a proof for another point.
                None => self.store.load(key),
            },
            Some(Standing::Partial(_)) | None => self.store.load(key),
        }
    }

    /// Reads all elements of a commitment, and commits to them.
    fn gather(&self, commitment: &Commitment) -> Result<Standing, StoreError> {
        let mut bytes = Vec::with_capacity(BLOB_BYTES);
        for place in 0..ELEMENTS {
            let key = Key::blob(commitment, &point(place));
            match self.store.get(key) {
                Ok(Some(element)) => bytes.extend(element),
                Ok(None) => return Ok(Standing::Partial(key)),
                Err(error) if error.is_damage() => return Ok(Standing::Damaged(error.to_string())),
                Err(error) => return Err(error),
            }
        }
        let advice = "fetch it anew, or take another copy of it";
        let why = match Blob::new(&bytes) {
            Ok(blob) if blob.commitment() == *commitment => {
                let (elements, _) = bytes.as_chunks();
                return Ok(Standing::Whole(elements.into()));
            }
            Ok(_) => {
                format!("at least one of its {ELEMENTS} elements is not what it was; {advice}")
            }
            Err(error) => format!("{error}; {advice}"),
        };
        Ok(Standing::Damaged(why))
    }

    fn result(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(data) = self.store.load(key)? else { return Ok(None) };
        let hash = keccak256(&data);
        if self.results().get(&key) == Some(&hash) {
            return Ok(Some(data));
        }
        let Some(call) = self.question(key)?.as_deref().and_then(again) else {
            return Ok(Some(data));
        };
        if call.result != data {
            return Err(StoreError::Disproved {
                place: self.place(key),
                why: "the contract, run again, has another result; remove it, so that it can be \
                      put there again"
                    .into(),
            });
        }
        self.results().insert(key, hash);
        Ok(Some(data))
    }

    /// What was known of a blob is not known any more once one of its elements is put.
    fn forget(&self, key: Key) {
        if key.kind() != Some(KeyKind::Blob) {
            return;
        }
        match self.question(key).ok().flatten().as_deref().and_then(parts) {
            Some((commitment, _)) => drop(self.blobs().remove(&commitment)),
            None => self.blobs().clear(),
        }
    }

    // Nothing panics between two changes of what is behind these locks.
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<Commitment, Standing>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn results(&self) -> MutexGuard<'_, BTreeMap<Key, Hash>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Backend> Backend for Verified<S> {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        match key.kind() {
            Some(KeyKind::Blob) => self.element(key),
            Some(KeyKind::Precompile) => self.result(key),
            _ => self.store.load(key),
        }
    }

    /// What is put was computed, or held against a commitment, by whoever puts it; it is computed anew
    /// when it is asked for.
    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        let saved = self.store.save(key, data);
        self.forget(key);
        saved
    }

    fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        let keys: Vec<Key> = entries.iter().map(|(key, _)| *key).collect();
        let saved = self.store.save_all(entries);
        keys.into_iter().for_each(|key| self.forget(key));
        saved
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.store.keys()
    }

    fn name(&self) -> String {
        self.store.name()
    }

    fn place(&self, key: Key) -> String {
        self.store.place(key)
    }
}

/// The commitment and the point that an element's key is a hash of.
fn parts(question: &[u8]) -> Option<(Commitment, [u8; ELEMENT_BYTES])> {
    let (commitment, z) = question.split_first_chunk()?;
    Some((*commitment, z.try_into().ok()?))
}

/// Runs the call that a result's key is a hash of once more. `None` if it is none of those that are run
/// here.
fn again(question: &[u8]) -> Option<Call> {
    /// More gas than any call may take.
    const MOST_GAS: u64 = 1 << 32;

    let (address, rest) = question.split_first_chunk()?;
    // Old programs name no gas. Their input begins with a hash, or with the zeroes before a number: as
    // gas, with too much of it, or none.
    match rest.split_first_chunk().map(|(gas, input)| (u64::from_be_bytes(*gas), input)) {
        Some((gas, input)) if (1..MOST_GAS).contains(&gas) => Call::run(address, Some(gas), input),
        _ => Call::run(address, None, rest),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tribunal_host::store::MemoryStore;

    use super::*;
    use crate::blob::{CheckedBlob, hash_of};

    /// A store that counts how often elements are read.
    #[derive(Debug, Default)]
    struct Counting(MemoryStore, AtomicUsize);

    impl Backend for Counting {
        fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
            if key.kind() == Some(KeyKind::Blob) {
                self.1.fetch_add(1, Ordering::Relaxed);
            }
            self.0.load(key)
        }

        fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
            self.0.save(key, data)
        }

        fn keys(&self) -> Result<Vec<Key>, StoreError> {
            self.0.keys()
        }

        fn name(&self) -> String {
            "a store".into()
        }
    }

    /// All preimages of a blob, and the key of the element at each place.
    fn blob() -> (Vec<(Key, Vec<u8>)>, Vec<Key>) {
        let bytes: Vec<u8> =
            (0..BLOB_BYTES).map(|at| if at % 32 == 0 { 1 } else { at as u8 }).collect();
        let commitment = Blob::new(&bytes).unwrap().commitment();
        let checked = CheckedBlob::new(&bytes, &hash_of(&commitment)).unwrap();
        let keys = (0..ELEMENTS).map(|place| Key::blob(&commitment, &point(place))).collect();
        (checked.preimages().collect(), keys)
    }

    fn filled(preimages: &[(Key, Vec<u8>)]) -> (Arc<Counting>, Verified<Arc<Counting>>) {
        let store = Arc::new(Counting::default());
        preimages.iter().for_each(|(key, data)| store.save(*key, data.clone()).unwrap());
        (store.clone(), Verified::new(store))
    }

    fn flipped(data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        *data.last_mut().unwrap() ^= 1;
        data
    }

    #[test]
    fn a_whole_blob_is_read_once_and_given() {
        let (preimages, keys) = blob();
        let (store, verified) = filled(&preimages);
        for (key, data) in &preimages {
            assert_eq!(verified.get(*key).unwrap().as_ref(), Some(data));
        }
        assert_eq!(store.1.load(Ordering::Relaxed), ELEMENTS);
        // Nor does what becomes of the store later.
        store.save(keys[3], vec![9; 32]).unwrap();
        assert_ne!(verified.get(keys[3]).unwrap().unwrap(), [9; 32]);
    }

    #[test]
    fn no_element_of_a_damaged_blob_is_given_until_it_is_put_anew() {
        let (preimages, keys) = blob();
        let (store, verified) = filled(&preimages);
        let right = store.load(keys[1234]).unwrap().unwrap();
        for wrong in [flipped(&right), vec![0xff; 32], right[1..].to_vec()] {
            store.save(keys[1234], wrong).unwrap();
            let verified = Verified::new(store.clone());
            for key in [keys[0], keys[1234], keys[ELEMENTS - 1]] {
                let error = verified.get(key).unwrap_err();
                assert!(error.is_damage(), "{error}");
                assert!(error.to_string().contains("the blob with the commitment 0x"), "{error}");
            }
        }
        store.save(keys[1234], flipped(&right)).unwrap();
        verified.get(keys[0]).unwrap_err();
        let read = store.1.load(Ordering::Relaxed);
        verified.get(keys[1]).unwrap_err();
        assert_eq!(store.1.load(Ordering::Relaxed), read, "a blob is committed to once");
        verified.put(keys[1234], right.clone()).unwrap();
        assert_eq!(verified.get(keys[1234]).unwrap(), Some(right));
        verified.get(keys[0]).unwrap();
    }

    #[test]
    fn where_an_element_or_the_question_is_lacking_nothing_can_be_told() {
        let (preimages, keys) = blob();
        let last = preimages.iter().find(|(key, _)| *key == keys[ELEMENTS - 1]).unwrap();
        let rest: Vec<_> = preimages.iter().filter(|entry| *entry != last).cloned().collect();
        let (store, verified) = filled(&rest);
        store.save(keys[7], vec![9; 32]).unwrap();
        assert_eq!(verified.get(keys[7]).unwrap().unwrap(), [9; 32]);
        assert_eq!(verified.get(keys[ELEMENTS - 1]).unwrap(), None);
        let read = store.1.load(Ordering::Relaxed);
        verified.get(keys[8]).unwrap();
        assert!(store.1.load(Ordering::Relaxed) < read + 3, "all elements are read again");
        // Another process puts it there, and there is something to be told.
        store.save(last.0, last.1.clone()).unwrap();
        assert!(verified.get(keys[7]).unwrap_err().is_damage());

        let (store, verified) = filled(&[(keys[7], vec![9; 32])]);
        assert_eq!(verified.get(keys[7]).unwrap().unwrap(), [9; 32]);
        // A question that is another one is no reason to give an answer.
        store.save(Key::keccak256(keys[7].into_bytes()), vec![0; 80]).unwrap();
        assert!(verified.get(keys[7]).unwrap_err().is_damage());
    }

    #[test]
    fn a_result_that_the_contract_does_not_have_is_not_given() {
        let mut address = [0; 20];
        address[19] = 8;
        // An empty pairing, and one of points at infinity: the old form of the key names no gas.
        for (gas, input) in [(Some(45_000), vec![]), (None, vec![0; 192])] {
            let call = Call::run(&address, gas, &input).unwrap();
            let (key, question) = (call.result_key(), (call.call_key(), call.call.clone()));
            let (store, verified) = filled(&[question.clone(), (key, call.result.clone())]);
            assert_eq!(verified.get(key).unwrap(), Some(call.result.clone()));
            for wrong in [flipped(&call.result), vec![0], vec![1]] {
                store.save(key, wrong.clone()).unwrap();
                let error = verified.get(key).unwrap_err();
                assert!(
                    error.is_damage() && error.to_string().contains(&key.to_string()),
                    "{error}"
                );
                // Without the call there is nothing to run.
                let (_, alone) = filled(&[(key, wrong.clone())]);
                assert_eq!(alone.get(key).unwrap(), Some(wrong));
            }
            verified.put(key, call.result.clone()).unwrap();
            assert_eq!(verified.get(key).unwrap(), Some(call.result));
        }
    }
}
