//! What the program decides about real blocks, and that it decides nothing about anything else.

#[allow(dead_code, reason = "shared with the other tests")]
mod store;

use std::fs;
use std::path::PathBuf;

use alloy_consensus::{Header, SignableTransaction, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes, Signature, TxKind, U256, address, b256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use store::{Store, trie_nodes, trie_nodes_of};
use transactions::{BLOCK_HASH, CLAIM, Error, Item, TrieError, decide, digest, read_block, run};
use tribunal_guest::{Key, Verdict};

/// The recorded blocks, with what is known of each: types in the order of `OpTxType::ALL`.
const BLOCKS: [(&str, [usize; 6], B256); 4] = [
    (
        "base-sepolia-37312299",
        [6, 0, 11, 0, 1, 0],
        b256!("85fcea6127bece60868905f6c49199a9b96d0c5a533630421b6a8544867b0fe9"),
    ),
    (
        "op-sepolia-26207960",
        [7, 0, 2, 0, 1, 0],
        b256!("5a17f759235d50166730940ed2215684ec4de82f814d674aed363b351feb24ad"),
    ),
    (
        "op-sepolia-26207961",
        [7, 0, 4, 0, 1, 0],
        b256!("719f2b251f51edbad80d7c0f029aca4e746a4a5f6fb3520081ffe6986f1da9a2"),
    ),
    (
        "op-sepolia-26207962",
        [8, 0, 39, 0, 1, 0],
        b256!("a558c584b21ad49a6d93df07330237bd3aee31a56e1d62f20075646e40d7d3cf"),
    ),
];

#[test]
fn the_claims_about_recorded_blocks_hold() {
    for (name, count, claim) in BLOCKS {
        let mut store = recorded(name);
        let hash = store.block_hash();
        assert_eq!(run(&mut store).unwrap(), Verdict::Holds, "{name}");
        let hints = [format!("l2-block-header {hash}"), format!("l2-transactions {hash}")];
        assert_eq!(store.hints, hints, "{name}");

        let block = read_block(&mut store, hash).unwrap();
        assert!(name.ends_with(&format!("-{}", block.header.number)));
        let summary = digest(&block).unwrap();
        assert_eq!((summary.count, summary.digest), (count, claim), "{name}");
    }
}

#[test]
fn another_claim_is_wrong() {
    let mut store = recorded("op-sepolia-26207961");
    for bit in 0..256 {
        let mut altered = store.clone();
        altered.preimages.get_mut(&CLAIM).unwrap()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verdict(&mut altered).unwrap(), Verdict::Wrong, "bit {bit}");
    }
    assert_eq!(verdict(&mut store).unwrap(), Verdict::Holds);
}

#[test]
fn nothing_is_decided_while_any_preimage_is_missing_damaged_or_cut() {
    let store = recorded("op-sepolia-26207960");
    for (&key, data) in store.preimages.iter().filter(|(key, _)| **key != CLAIM) {
        let with = |data: &[u8]| {
            let mut store = store.clone();
            store.preimages.insert(key, data.to_vec());
            verdict(&mut store)
        };
        let mut missing = store.clone();
        missing.preimages.remove(&key);
        assert!(matches!(verdict(&mut missing), Err(Error::Oracle { .. })), "{key}");
        for at in [0, data.len() / 2, data.len() - 1] {
            let mut damaged = data.clone();
            damaged[at] ^= 0x40;
            with(&damaged).unwrap_err();
            with(&data[..at]).unwrap_err();
        }
        with(&[data, &[0][..]].concat()).unwrap_err();
    }
    for len in [0, 8, 31, 33] {
        let mut store = store.clone();
        store.preimages.insert(CLAIM, vec![0; len]);
        let error = verdict(&mut store).unwrap_err();
        assert!(matches!(error, Error::LocalInput { item: Item::Claim, len: l } if l == len));
    }
}

/// A key does not hold the first byte of the hash, so an oracle cannot tell such hashes apart.
#[test]
fn a_block_hash_that_differs_only_where_keys_are_blind_is_not_accepted() {
    let mut store = recorded("op-sepolia-26207960");
    store.preimages.get_mut(&BLOCK_HASH).unwrap()[0] ^= 1;
    assert!(matches!(verdict(&mut store), Err(Error::Hash { item: Item::Header, .. })));
}

#[test]
fn a_header_that_is_none_is_not_accepted_even_if_its_hash_is_right() {
    let store = recorded("op-sepolia-26207960");
    let header = header_of(&store);
    let cut = (0..header.len()).map(|len| header[..len].to_vec());
    let trailing = [header.clone(), vec![0x80]].concat();
    for header in cut.chain([trailing]) {
        let mut store = store.clone();
        store.set_block(&header);
        let error = verdict(&mut store).unwrap_err();
        assert!(matches!(error, Error::Header { .. }), "{error:?}");
    }
}

#[test]
fn a_block_without_transactions_has_a_digest() {
    let header = Header { transactions_root: EMPTY_ROOT_HASH, number: 7, ..Header::default() };
    let mut store = Store::default();
    store.set_block(&alloy_rlp::encode(&header));
    store.set_claim(keccak256(store.block_hash()));
    assert_eq!(verdict(&mut store).unwrap(), Verdict::Holds);
    store.set_claim(store.block_hash());
    assert_eq!(verdict(&mut store).unwrap(), Verdict::Wrong);
}

/// Short items make nodes that are part of their parents.
#[test]
fn lists_of_every_length_and_size_are_read_in_order() {
    for len in [1, 2, 3, 15, 16, 17, 127, 128, 129, 255, 256, 257, 600] {
        for size in [1, 3, 28, 40, 200] {
            let items: Vec<_> = (0..len).map(|i| vec![(i * 37 + 1) as u8; size]).collect();
            let mut store = block_over(trie_nodes(&items));
            let hash = store.block_hash();
            let block = read_block(&mut store, hash).unwrap();
            assert!(block.transactions == items, "{len} items of {size} bytes");
        }
    }
}

/// The digest is computed here from its definition, for every type of transaction.
#[test]
fn the_digest_is_what_the_documentation_says() {
    let to = address!("00000000000000000000000000000000000000aa");
    let signature = Signature::test_signature();
    let list: Vec<OpTxEnvelope> = vec![
        TxDeposit { to: TxKind::Call(to), value: U256::MAX, gas_limit: 1, ..Default::default() }
            .into(),
        TxLegacy { to: TxKind::Create, gas_limit: u64::MAX, ..Default::default() }
            .into_signed(signature)
            .into(),
        TxEip2930 { to: TxKind::Call(to), value: U256::from(5), ..Default::default() }
            .into_signed(signature)
            .into(),
        TxEip7702 { to, input: Bytes::from_static(&[1; 300]), ..Default::default() }
            .into_signed(signature)
            .into(),
    ];
    let fields: [(u8, bool, U256, u64); 4] = [
        (0x7e, true, U256::MAX, 1),
        (0, false, U256::ZERO, u64::MAX),
        (1, true, U256::from(5), 0),
        (4, true, U256::ZERO, 0),
    ];
    let encoded: Vec<_> = list.iter().map(|transaction| transaction.encoded_2718()).collect();
    let mut store = block_over(trie_nodes(&encoded));
    let mut expected = keccak256(store.block_hash());
    for (i, (tx_type, call, value, gas_limit)) in fields.into_iter().enumerate() {
        let mut record = expected.to_vec();
        record.extend((i as u64).to_be_bytes());
        record.extend(keccak256(&encoded[i]));
        record.extend([tx_type, call.into()]);
        record.extend(if call { to.into_array() } else { [0; 20] });
        record.extend(value.to_be_bytes::<32>());
        record.extend(gas_limit.to_be_bytes());
        assert_eq!(record.len(), 32 + 102);
        expected = keccak256(record);
    }
    store.set_claim(expected);
    assert_eq!(verdict(&mut store).unwrap(), Verdict::Holds);

    let hash = store.block_hash();
    let summary = digest(&read_block(&mut store, hash).unwrap()).unwrap();
    assert_eq!(
        summary.to_string(),
        format!(
            "4 transactions (1 legacy, 1 eip2930, 1 eip7702, 1 deposit), \
             value {} wei, gas limit {}",
            U256::MAX,
            u128::from(u64::MAX) + 1
        )
    );
}

#[test]
fn a_transaction_that_cannot_be_decoded_decides_nothing() {
    let good = first_transaction();
    let blob_type = [&[3][..], &good[1..]].concat();
    let trailing = [&good[..], &[0]].concat();
    for bad in [vec![0xc0], vec![0x7e], vec![0xff; 40], good[..90].to_vec(), blob_type, trailing] {
        let mut store = block_over(trie_nodes(&[good.clone(), bad.clone()]));
        store.set_claim(B256::ZERO);
        let error = verdict(&mut store).unwrap_err();
        assert!(matches!(error, Error::Transaction { index: 1, .. }), "{bad:02x?}: {error:?}");
    }
}

#[test]
fn a_trie_that_is_not_that_of_a_list_decides_nothing() {
    let item = first_transaction();
    let leaves = |keys: &[&[u8]]| {
        let leaf = |key: &&[u8]| (Nibbles::unpack(key), item.clone());
        trie_error(trie_nodes_of(keys.iter().map(leaf).collect()))
    };
    assert_eq!(leaves(&[&[0x80], &[2]]), TrieError::Gap { missing: 1, items: 2 });
    assert_eq!(leaves(&[&[1]]), TrieError::Gap { missing: 0, items: 1 });
    assert_eq!(leaves(&[&[0x80], &[0x81, 0xff]]), TrieError::Gap { missing: 1, items: 2 });
    for key in [&[0x00][..], &[0x81, 0x01], &[0x82, 0x00, 0x80], &[0x85, 1, 1, 1], &[0xc0], &[1, 1]]
    {
        let found = leaves(&[&[0x80], key]);
        assert!(matches!(found, TrieError::Key { .. }), "{key:02x?}: {found:?}");
    }
    let found = leaves(&[&[0x80], &[0x84, 1, 1, 1, 1]]);
    assert!(matches!(found, TrieError::TooDeep { .. }), "{found:?}");
}

#[test]
fn malformed_nodes_decide_nothing() {
    let item = first_transaction();
    let string = |bytes: &[u8]| alloy_rlp::encode(bytes);
    let leaf = |path: &[u8]| rlp_list(&[string(path), string(&item)]);
    let hash = |node: &[u8]| string(keccak256(node).as_slice());
    let branch = |children: &[(usize, Vec<u8>)]| {
        let mut items = vec![vec![0x80]; 17];
        for (nibble, child) in children {
            items[*nibble].clone_from(child);
        }
        rlp_list(&items)
    };
    let at_root = Nibbles::new();

    // The trie of one item, by hand.
    let mut store = block_over(vec![leaf(&[0x20, 0x80])]);
    assert_eq!(
        read_block(&mut store.clone(), store.block_hash()).unwrap().transactions,
        [&item[..]]
    );
    store.set_claim(B256::ZERO);
    assert_eq!(verdict(&mut store).unwrap(), Verdict::Wrong);

    let no_node = |node: Vec<u8>| {
        let found = trie_error(vec![node]);
        assert!(matches!(found, TrieError::Node { .. }), "{found:?}");
    };
    no_node(vec![]);
    no_node(vec![0xc0]);
    no_node(vec![0xf9, 0xff]);
    no_node(string(&item));
    no_node([leaf(&[0x20, 0x80]), vec![0]].concat());
    no_node(leaf(&[]));
    no_node(leaf(&[0x40, 0x80]));
    no_node(leaf(&[&[0x20][..], &[1; 40]].concat()));
    no_node(branch(&[(1, hash(&[])), (2, hash(&[])), (16, string(&[1]))]));
    no_node(rlp_list(&vec![vec![0x80]; 18]));
    no_node(branch(&[(1, string(&[1; 33])), (2, hash(&[]))]));

    assert_eq!(
        trie_error(vec![rlp_list(&[string(&[0x20, 0x80]), string(&[])])]),
        TrieError::EmptyItem { index: 0 }
    );
    assert_eq!(trie_error(vec![vec![0xc2, 0x20, 0x01]]), TrieError::Key { key: at_root });
    // Half a byte is no key, although it would be one if it were filled up.
    let half = Nibbles::from_nibbles([8]);
    assert_eq!(trie_error(vec![leaf(&[0x38])]), TrieError::Key { key: half });
    assert_eq!(trie_error(vec![branch(&[])]), TrieError::LonelyBranch { path: at_root });
    let node = leaf(&[0x30]);
    assert_eq!(
        trie_error(vec![node.clone(), branch(&[(8, hash(&node))])]),
        TrieError::LonelyBranch { path: at_root }
    );
    assert_eq!(
        trie_error(vec![node.clone(), rlp_list(&[string(&[0]), hash(&node)])]),
        TrieError::EmptyExtension { path: at_root }
    );
    let nibble = Nibbles::from_nibbles([3]);
    assert_eq!(
        trie_error(vec![rlp_list(&[string(&[0x13]), vec![0x80]])]),
        TrieError::EmptyNode { path: nibble }
    );
    // Neither a hash, nor short enough to be part of its parent.
    for child in [rlp_list(&[string(&[1; 31])]), rlp_list(&[string(&[1; 30])])] {
        assert_eq!(
            trie_error(vec![rlp_list(&[string(&[0x13]), child])]),
            TrieError::Child { path: nibble }
        );
    }
}

/// A few shared nodes can stand for a list without end: here 15 million leaves, all the same.
#[test]
fn a_trie_that_would_fill_the_memory_is_given_up() {
    // Too many, and too long.
    for item in [vec![1], vec![1; 1 << 20]] {
        let mut nodes = vec![rlp_list(&[vec![0x20], alloy_rlp::encode(&item[..])])];
        for level in 0..7 {
            let child = alloy_rlp::encode(keccak256(nodes.last().unwrap()));
            let mut children = vec![child; 16];
            children.push(vec![0x80]);
            match level {
                // Numbers do not begin with a zero.
                5 => children[0] = vec![0x80],
                // The keys are `0x83` and three bytes.
                6 => children = vec![alloy_rlp::encode([0x00, 0x83]), children.swap_remove(0)],
                _ => {}
            }
            nodes.push(rlp_list(&children));
        }
        assert_eq!(trie_error(nodes), TrieError::TooLarge);
    }
}

/// Every single change of the recorded trie, passed on up to the block hash so that the hashes do
/// not hide it, ends with a verdict or an error.
#[test]
fn no_change_of_nodes_or_headers_makes_the_program_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut decided = [0; 2];
    for name in ["op-sepolia-26207960", "base-sepolia-37312299"] {
        let store = recorded(name);
        let nodes: Vec<_> =
            store.preimages.iter().filter(|(k, _)| **k > CLAIM).map(|(_, v)| v.clone()).collect();
        for _ in 0..2_000 {
            let old = &nodes[random.below(nodes.len())];
            let mut new = old.clone();
            for _ in 0..=random.below(3) {
                random.mutate(&mut new);
            }
            let mut store = store.clone();
            replace(&mut store, old, &new);
            let result = verdict(&mut store);
            decided[usize::from(result.is_ok())] += 1;
            if new != *old {
                assert!(!matches!(result, Ok(Verdict::Holds)), "{name}: {old:02x?} -> {new:02x?}");
            }
        }
    }
    // Both ends are really reached: some changes leave a block, with another digest.
    assert!(decided.iter().all(|&count| count > 100), "{decided:?}");
}

fn verdict(store: &mut Store) -> Result<Verdict, Error> {
    decide(store).map(|decision| decision.verdict())
}

fn recorded(name: &str) -> Store {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/transactions")
        .join(format!("{name}.json.gz"));
    Store::from_json_gz(&fs::read(path).unwrap()).unwrap()
}

fn header_of(store: &Store) -> Vec<u8> {
    store.preimages[&Key::keccak256(store.block_hash().0)].clone()
}

fn first_transaction() -> Vec<u8> {
    let mut store = recorded("op-sepolia-26207960");
    let hash = store.block_hash();
    read_block(&mut store, hash).unwrap().transactions.swap_remove(0)
}

/// A list of items that are encoded already.
fn rlp_list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut list = Vec::new();
    let payload_length = items.iter().map(Vec::len).sum();
    alloy_rlp::Header { list: true, payload_length }.encode(&mut list);
    list.extend(items.concat());
    list
}

/// A block over a trie whose root is the last of the nodes that no other one names.
fn block_over(nodes: Vec<Vec<u8>>) -> Store {
    let mut store = Store::default();
    let named = |hash: B256| nodes.iter().any(|node| node.windows(32).any(|part| part == hash));
    let root = nodes.iter().map(keccak256).rfind(|hash| !named(*hash)).unwrap();
    let header = Header { transactions_root: root, ..Header::default() };
    store.set_block(&alloy_rlp::encode(header));
    store.set_claim(B256::ZERO);
    nodes.into_iter().for_each(|node| store.add(node));
    store
}

fn trie_error(nodes: Vec<Vec<u8>>) -> TrieError {
    match verdict(&mut block_over(nodes)) {
        Err(Error::Trie { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// Puts `new` in the place of `old`, and new hashes in the place of old ones all the way up.
fn replace(store: &mut Store, old: &[u8], new: &[u8]) {
    store.preimages.remove(&Key::keccak256_of(old));
    store.add(new.to_vec());
    let (old_hash, new_hash) = (keccak256(old), keccak256(new));
    if store.block_hash() == old_hash {
        store.preimages.insert(BLOCK_HASH, new_hash.to_vec());
    }
    let names = |data: &&Vec<u8>| data.windows(32).position(|part| part == old_hash);
    let parents: Vec<_> =
        store.preimages.values().filter(|data| names(data).is_some()).cloned().collect();
    for parent in parents.iter().filter(|parent| parent.len() > 32) {
        let at = names(&parent).unwrap();
        let mut changed = parent.clone();
        changed[at..at + 32].copy_from_slice(new_hash.as_slice());
        replace(store, parent, &changed);
    }
}

/// xorshift64*: the same changes in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn mutate(&mut self, data: &mut Vec<u8>) {
        let at = self.below(data.len().max(1)).min(data.len().saturating_sub(1));
        match self.below(6) {
            _ if data.is_empty() => data.push(0x80),
            0 => data[at] ^= 1 << self.below(8),
            1 => data[at] = [0x00, 0x7f, 0x80, 0xb8, 0xbf, 0xc0, 0xf8, 0xff][self.below(8)],
            2 => data[at] = self.below(256) as u8,
            3 => data.truncate(at),
            4 => drop(data.remove(at)),
            _ => data.insert(at, self.below(256) as u8),
        }
    }
}
