//! The trie against another implementation, over random operations.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::{B256, keccak256};
use alloy_trie::{HashBuilder, Nibbles};
use tribunal_optimism::trie::{EMPTY_ROOT, Error, Nodes, Problem, Trie};

/// Operations of the gate; `TRIBUNAL_TRIE_OPERATIONS` asks for more.
const OPERATIONS: u64 = 60_000;

#[derive(Default)]
struct Store {
    nodes: HashMap<B256, Vec<u8>>,
    read: usize,
}

impl Nodes for Store {
    type Error = B256;

    fn node(&mut self, hash: B256) -> Result<Vec<u8>, B256> {
        self.read += 1;
        self.nodes.get(&hash).cloned().ok_or(hash)
    }
}

impl Store {
    fn commit(&mut self, trie: &mut Trie) -> B256 {
        trie.commit(&mut |hash, node| {
            assert_eq!(hash, keccak256(node));
            self.nodes.insert(hash, node.to_vec());
        })
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.below(256) as u8)
    }
}

/// Where the keys of a round differ, so that every kind of node comes about at every depth.
#[derive(Clone, Copy, Debug)]
enum Keys {
    /// Anywhere: a wide trie, as real ones are.
    Hashes,
    /// In a few nibbles close to the end: long extensions, nodes within nodes.
    Tails,
    /// In single nibbles here and there: chains of forks.
    Spread,
}

impl Keys {
    fn pick(self, random: &mut Random) -> B256 {
        let mut key = B256::repeat_byte(0x35);
        match self {
            Self::Hashes => return B256::from(random.bytes::<32>()),
            Self::Tails => {
                key[31] = random.below(256) as u8;
                key[30] = random.below(4) as u8;
            }
            Self::Spread => {
                for _ in 0..random.below(4) {
                    key[random.below(32) as usize] ^= 1 << random.below(8);
                }
            }
        }
        key
    }
}

fn expected_root(content: &BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in content {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

#[test]
fn random_operations_come_to_the_root_of_another_implementation() {
    let wanted = std::env::var("TRIBUNAL_TRIE_OPERATIONS");
    let wanted = wanted.map_or(OPERATIONS, |text| text.parse().expect("a number of operations"));
    let (mut done, mut seed, mut removed) = (0, 0, 0);
    while done < wanted {
        let keys = [Keys::Hashes, Keys::Tails, Keys::Spread][seed as usize % 3];
        let (operations, gone) = round(keys, seed);
        done += operations;
        removed += gone;
        seed += 1;
    }
    assert!(removed > done / 5, "{removed} of {done} operations removed something");
}

/// One trie that grows and shrinks; says how many operations it took and how many removed a key.
fn round(keys: Keys, seed: u64) -> (u64, u64) {
    let mut random = Random(seed);
    let (mut store, mut trie) = (Store::default(), Trie::empty());
    let mut content = BTreeMap::<B256, Vec<u8>>::new();
    let operations = 300 + random.below(3000);
    let check_every = 1 + random.below(40);
    let (mut removed, mut removals) = (0, 4);
    for i in 0..operations {
        if i % 100 == 0 {
            // In some phases more is removed than put in.
            removals = 1 + random.below(9);
        }
        let known = random.below(3) > 0 && !content.is_empty();
        let key = if known {
            let index = random.below(content.len() as u64) as usize;
            *content.keys().nth(index).unwrap()
        } else {
            keys.pick(&mut random)
        };
        if random.below(10) < removals {
            trie.remove(&mut store, &key).unwrap();
            removed += u64::from(content.remove(&key).is_some());
        } else {
            let length = [1, 1, 2, 33, 70, 300][random.below(6) as usize];
            let value: Vec<u8> = (0..length).map(|_| random.below(255) as u8 + 1).collect();
            trie.insert(&mut store, &key, value.clone()).unwrap();
            content.insert(key, value);
        }
        let asked = keys.pick(&mut random);
        let found = trie.get(&mut store, &asked).unwrap().map(<[u8]>::to_vec);
        assert_eq!(found, content.get(&asked).cloned(), "{keys:?} of seed {seed}, operation {i}");
        if i % check_every == 0 {
            let root = store.commit(&mut trie);
            assert_eq!(root, expected_root(&content), "{keys:?} of seed {seed}, operation {i}");
            if random.below(3) == 0 {
                trie = Trie::at(root);
            }
        }
    }
    for key in content.keys() {
        trie.remove(&mut store, key).unwrap();
    }
    assert_eq!(trie.root(), EMPTY_ROOT);
    (operations + content.len() as u64, removed + content.len() as u64)
}

/// Nothing is read but what a key leads through, and the one sibling that moves up.
#[test]
fn only_what_is_touched_is_read() {
    let mut random = Random(7);
    let (mut store, mut trie) = (Store::default(), Trie::empty());
    let keys: Vec<B256> = (0..1000).map(|_| B256::from(random.bytes::<32>())).collect();
    for key in &keys {
        trie.insert(&mut store, key, vec![1; 40]).unwrap();
    }
    let root = store.commit(&mut trie);
    assert_eq!(store.read, 0);

    let mut trie = Trie::at(root);
    assert!(trie.get(&mut store, &keys[17]).unwrap().is_some());
    let path = store.read;
    assert!((3..=6).contains(&path), "{path} nodes");
    // What is in memory is not read again, and a value that stays changes nothing.
    trie.insert(&mut store, &keys[17], vec![1; 40]).unwrap();
    assert_eq!((trie.root(), store.read), (root, path));
    trie.insert(&mut store, &keys[17], vec![2; 40]).unwrap();
    assert_ne!(trie.root(), root);
    trie.insert(&mut store, &keys[17], vec![1; 40]).unwrap();
    assert_eq!((trie.root(), store.read), (root, path));
    trie.remove(&mut store, &keys[17]).unwrap();
    assert!(store.read <= path + 1);
}

#[test]
fn a_missing_node_is_told_by_its_hash() {
    let hash = B256::repeat_byte(7);
    let error = Trie::at(hash).get(&mut Store::default(), &B256::ZERO).unwrap_err();
    assert_eq!(error, Error::Nodes(hash));
}

/// Whatever has the hash of a root is answered with a value or an error.
#[test]
fn what_is_no_trie_is_an_error() {
    let hash33 = [&[0xa0][..], &[9; 32]].concat();
    let leaf = |path: &[u8], value: &[u8]| {
        let mut payload = vec![0x80 + path.len() as u8];
        payload.extend(path);
        payload.extend(value);
        [&[0xc0 + payload.len() as u8][..], &payload].concat()
    };
    let branch = |children: &[&[u8]], value: u8| {
        let mut payload = children.concat();
        payload.extend(vec![0x80; 16 - children.len()]);
        payload.push(value);
        let length = payload.len() as u8;
        let header = if length < 56 { vec![0xc0 + length] } else { vec![0xf8, length] };
        [header, payload].concat()
    };
    let even = [&[0x20][..], &[0; 32]].concat();
    let cases: Vec<(Vec<u8>, Problem)> = vec![
        (vec![], Problem::Rlp),
        (vec![0xc0], Problem::Rlp),
        (vec![0xc1, 0x80], Problem::Rlp),
        (vec![0xc2, 0x80, 0x80, 0x00], Problem::Rlp),
        (vec![0xf9, 0xff, 0xff, 0x80], Problem::Rlp),
        (vec![0xff; 600], Problem::Rlp),
        (vec![0xc3, 0x80, 0x80, 0x80], Problem::Rlp),
        (leaf(&even[..32], &[1]), Problem::Path),
        (leaf(&[&even[..], &[0]].concat(), &[1]), Problem::Path),
        (leaf(&even, &[0x80]), Problem::EmptyValue),
        (leaf(&even, &[0xc0]), Problem::Rlp),
        (leaf(&[0x00, 0x12], &[0x80]), Problem::Child),
        (leaf(&[0x00, 0x12], &[0xc0]), Problem::Rlp),
        (leaf(&[0x01, 0x12], &hash33), Problem::Path),
        (leaf(&[0x50, 0x12], &hash33), Problem::Path),
        (branch(&[&hash33], 0x80), Problem::LonelyBranch),
        (branch(&[], 0x80), Problem::LonelyBranch),
        (branch(&[&hash33, &hash33], 0x01), Problem::BranchValue),
        (branch(&[&hash33, &[0x01]], 0x80), Problem::Child),
    ];
    for (node, expected) in cases {
        let hash = keccak256(&node);
        let mut store = Store::default();
        store.nodes.insert(hash, node.clone());
        let error = Trie::at(hash).get(&mut store, &B256::ZERO).unwrap_err();
        let Error::Malformed { problem, .. } = error else { panic!("{error:?}") };
        assert_eq!(problem, expected, "{node:02x?}");
    }
}

/// A trie that leads deeper than its keys are long ends with an error, whoever made it.
#[test]
fn a_node_that_leads_to_itself_ends_where_keys_end() {
    struct Same(Vec<u8>);
    impl Nodes for Same {
        type Error = ();
        fn node(&mut self, _: B256) -> Result<Vec<u8>, ()> {
            Ok(self.0.clone())
        }
    }
    let mut node = vec![0xf9, 0x02, 0x11];
    for _ in 0..16 {
        node.push(0xa0);
        node.extend([3; 32]);
    }
    node.push(0x80);
    let mut source = Same(node);
    let root = B256::repeat_byte(3);
    let error = Trie::at(root).get(&mut source, &B256::ZERO).unwrap_err();
    assert_eq!(error, Error::Malformed { hash: root, depth: 64, problem: Problem::Path });
    let mut random = Random(1);
    for _ in 0..2000 {
        let mut mutated = Same(source.0.clone());
        for _ in 0..1 + random.below(4) {
            let at = random.below(40) as usize;
            mutated.0[at] = random.below(256) as u8;
        }
        let key = B256::from(random.bytes::<32>());
        let mut trie = Trie::at(root);
        let _ = trie.insert(&mut mutated, &key, vec![1]);
        let mut trie = Trie::at(root);
        let _ = trie.remove(&mut mutated, &key);
    }
}
