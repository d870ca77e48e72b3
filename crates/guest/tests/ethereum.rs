//! Headers, tries and accounts: of a real block, and of tries that another implementation makes.

use std::collections::BTreeMap;

use alloy_trie::proof::ProofRetainer;
use alloy_trie::{HashBuilder, Nibbles};
use tribunal_guest::testing::Store;
use tribunal_guest::trie::{EMPTY_ROOT, get, walk};
use tribunal_guest::{
    Cached, Error, ExitStatus, Header, Key, Malformed, Number, Preimages as _, keccak256,
};

/// What the sequencer of OP Sepolia was paid to, and had after block 26207961.
const VAULT: &str = "0x4200000000000000000000000000000000000011";
const BALANCE: &str = "3064989535737807632251";

fn recorded() -> Store {
    let folder = env!("CARGO_MANIFEST_DIR");
    Store::from_file(format!("{folder}/../../testdata/balance/op-sepolia-26207961.json"))
}

#[test]
fn an_account_of_a_real_block_is_read_by_its_hash() {
    let mut store = recorded();
    let hash = store.local_hash(1).unwrap();
    // As the block is named elsewhere.
    assert_eq!(hash[..4], [0x16, 0x3f, 0x97, 0x4e]);
    let header = store.header(&hash).unwrap();
    assert_eq!(header.number, 26_207_961);
    assert_eq!(header.timestamp, 0x67f6_a95e);
    assert_eq!(header.base_fee.and_then(Number::to_u128), Some(270));
    assert_eq!(header.blob_gas_used, Some(0));
    assert!(header.parent_beacon_root.is_some() && header.requests_hash.is_none());
    let address: [u8; 20] = store.local_array(2).unwrap();
    assert_eq!(alloy_primitives::hex::encode_prefixed(address), VAULT);
    assert_eq!(header.beneficiary, address);
    let mut cache = Cached::new(store, 1 << 20);
    let account = cache.account(&header.state_root, &address).unwrap().unwrap();
    assert_eq!(account.balance.to_string(), BALANCE);
    assert_eq!(cache.local_array(3).map(Number), Ok(account.balance));
    assert_eq!(account.nonce, 0);
    // The nodes of its storage are not recorded.
    assert!(matches!(cache.storage(&account.storage_root, &[7; 32]), Err(Error::Oracle { .. })));
    assert_eq!(cache.storage(&EMPTY_ROOT, &[7; 32]), Ok(Number::ZERO));
}

/// Another hash with the same key is no hash of the header.
#[test]
fn the_byte_of_a_hash_that_its_key_does_not_hold_counts() {
    let mut store = recorded();
    let mut hash = store.local_hash(1).unwrap();
    hash[0] ^= 1;
    let error = store.header(&hash).unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    assert_eq!(ExitStatus::of(Err(error)), ExitStatus::MALFORMED);
}

#[test]
fn nothing_is_read_where_a_node_is_missing() {
    let store = recorded();
    let locals = [1, 2, 3].map(Key::local);
    let (mut read, mut missing) = (0, 0);
    for key in store.keys().filter(|key| !locals.contains(key)) {
        let mut store = store.clone();
        store.remove(key);
        let hash = store.local_hash(1).unwrap();
        let address = store.local_array(2).unwrap();
        let account =
            store.header(&hash).and_then(|header| store.account(&header.state_root, &address));
        match account {
            Ok(_) => read += 1,
            Err(Error::Oracle { .. }) => missing += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(read, 0);
    assert!(missing > 5, "{missing}");
}

#[test]
fn a_header_cut_or_lengthened_anywhere_is_malformed() {
    let store = recorded();
    let hash = { store.clone().local_hash(1).unwrap() };
    let encoded = store.get(Key::keccak256(hash)).unwrap().to_vec();
    assert!(Header::decode(&encoded).is_ok());
    for length in 0..encoded.len() {
        assert!(Header::decode(&encoded[..length]).is_err(), "{length}");
    }
    assert!(Header::decode(&[&encoded[..], &[0]].concat()).is_err());
}

/// A trie of another implementation: its root, and its nodes by hash.
fn trie(
    leaves: &BTreeMap<Vec<u8>, Vec<u8>>,
    targets: &[&[u8]],
) -> ([u8; 32], BTreeMap<[u8; 32], Vec<u8>>) {
    let targets = targets.iter().map(Nibbles::unpack).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(targets));
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    let nodes = nodes.into_iter().map(|(_, node)| (keccak256(&node), node.to_vec()));
    (root.0, nodes.collect())
}

fn find(
    root: &[u8; 32],
    nodes: &BTreeMap<[u8; 32], Vec<u8>>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Malformed> {
    walk(root, key, |hash| nodes.get(hash).ok_or_else(|| Malformed::new("test", "no node")))
}

#[test]
fn what_is_in_a_trie_is_found_and_what_is_not_is_not() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for size in [0, 1, 2, 3, 17, 100, 400] {
        // Short values, so that nodes are inside of nodes; keys with much in common.
        let mut leaves = BTreeMap::new();
        while leaves.len() < size {
            let key = (next() & 0xf0f0_000f_ffff_0f0f).to_be_bytes();
            let length = next() as usize % 40 + 1;
            leaves.insert(key.to_vec(), vec![next() as u8 | 1; length]);
        }
        let absent: Vec<Vec<u8>> = (0..50)
            .map(|_| (next() & 0xf0f0_000f_ffff_0f0f).to_be_bytes().to_vec())
            .chain(leaves.keys().take(20).map(|key| key[..4].to_vec()))
            .chain(leaves.keys().take(20).map(|key| [&key[..], &[0]].concat()))
            .filter(|key| !leaves.contains_key(key))
            .collect();
        let targets: Vec<&[u8]> = leaves.keys().chain(&absent).map(Vec::as_slice).collect();
        let (root, nodes) = trie(&leaves, &targets);
        for (key, value) in &leaves {
            assert_eq!(find(&root, &nodes, key).unwrap().as_ref(), Some(value), "{size}");
        }
        for key in &absent {
            assert_eq!(find(&root, &nodes, key).unwrap(), None, "{size} {key:x?}");
        }
    }
}

#[test]
fn nodes_that_lead_nowhere_or_in_circles_are_malformed() {
    let hash = [0x77; 32];
    let reference = [&[0xa0][..], &hash].concat();
    let extension = |path: &[u8], child: &[u8]| {
        let payload = [path, child].concat();
        [&[0xc0 + payload.len() as u8][..], &payload].concat()
    };
    for node in [
        // An extension of nothing to itself would never end.
        extension(&[0x00], &reference),
        extension(&[0x11], &[0x80]),
        extension(&[0x81, 0xc1], &reference),
        extension(&[0x05], &reference),
        extension(&[0x80], &reference),
        extension(&[0x11], &[0x82, 1, 2]),
        vec![0xc3, 1, 2, 3],
        vec![0xc1, 1],
        vec![0xc0],
        vec![0x80],
        vec![],
        [&[0xd2][..], &[0x80; 18]].concat(),
        [&[0xd1][..], &[0x80; 16], &[0xc0]].concat(),
    ] {
        let found = walk(&hash, &[], |_| Ok::<_, Malformed>(&node));
        let deeper = walk(&hash, &[0x11; 3], |_| Ok::<_, Malformed>(&node));
        assert!(found.is_err() || deeper.is_err(), "{node:x?}: {found:?} {deeper:?}");
    }
    // Along a path that a trie may have, a circle ends where the key does.
    let node = extension(&[0x11], &reference);
    assert_eq!(walk(&hash, &[0x11; 3], |_| Ok::<_, Malformed>(&node)), Ok(None));
    assert_eq!(get(&mut Store::new(), &EMPTY_ROOT, b"x"), Ok(None));
}

#[test]
fn damaged_bytes_are_an_error_or_something_else_but_no_panic() {
    let store = recorded();
    let mut random = 88_172_645_463_325_252u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    let mut refused = 0;
    for key in store.keys() {
        let data = store.get(key).unwrap().to_vec();
        for _ in 0..2_000 {
            let mut damaged = data.clone();
            for _ in 0..=next() % 3 {
                let (at, bit) = (next() % damaged.len(), next() % 8);
                damaged[at] ^= 1 << bit;
            }
            damaged.truncate(damaged.len() - next() % 2);
            let hash = [0x11; 32];
            let found = walk(&hash, &[0x42; 32], |asked| match *asked == hash {
                true => Ok(damaged.clone()),
                false => Err(Malformed::new("test", "enough")),
            });
            refused += u32::from(found.is_err());
            let _ = Header::decode(&damaged);
            let _ = tribunal_guest::Account::decode(&damaged);
        }
    }
    assert!(refused > 10_000, "{refused}");
}
