//! Claims with one thing spoiled: what is wrong is wrong, what cannot be told is not told, and nothing
//! becomes true that is not.

#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use optimism::{Error, decide, inputs};
use support::{World, fixture};
use tribunal_guest::{Key, Oracle, OracleError, Verdict};
use tribunal_optimism::{Preimages, list};
use tribunal_optimism_host::Fixture;
use tribunal_preimage::{Checked, KeyKind};

/// A host that gives other answers to some questions, or none.
struct Liar<'a> {
    world: &'a mut World,
    lies: BTreeMap<Key, Option<Vec<u8>>>,
}

impl Oracle for Liar<'_> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.world.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        match self.lies.get(&key) {
            None => self.world.preimage(key),
            Some(Some(lie)) => Ok(lie.clone()),
            Some(None) => Err(OracleError::Missing { key, why: "on purpose".into() }),
        }
    }
}

/// What is said if the host gives `lie` for `key`. As everywhere but in a machine, what is bound to its
/// key is checked.
fn judge(world: &mut World, key: Key, lie: Option<Vec<u8>>) -> Result<Verdict, Error> {
    let mut oracle = Checked(Liar { world, lies: [(key, lie)].into() });
    decide(Preimages::new(&mut oracle), &mut |_| {}).map(|decision| decision.verdict())
}

/// The same for a local input.
fn with(world: &mut World, ident: u64, data: &[u8]) -> Result<Verdict, Error> {
    judge(world, Key::local(ident), Some(data.to_vec()))
}

/// What is asked for in the course of a fixture, and what the answers are.
fn asked(fixture: &Fixture) -> (World, BTreeMap<Key, Vec<u8>>) {
    let mut world = World::new(fixture);
    let decision = decide(Preimages::new(&mut world), &mut |_| {}).unwrap();
    assert_eq!(decision.verdict(), Verdict::from_claim(fixture.holds));
    let log = std::mem::take(&mut world.log);
    let answers = log.into_iter().map(|key| (key, world.get(key).unwrap())).collect();
    (world, answers)
}

fn flipped(data: &[u8], place: usize) -> Vec<u8> {
    let mut data = data.to_vec();
    data[place] ^= 1;
    data
}

#[test]
fn without_a_preimage_or_with_another_nothing_is_decided() {
    // Blobs; calldata; deposits and receipts.
    for (name, every) in [("01-", 1), ("03-", 1), ("36-", 9), ("53-", 7)] {
        let (mut world, answers) = asked(&fixture(name));
        let mut count = 0;
        for (key, data) in answers.iter().step_by(every) {
            let missing = judge(&mut world, *key, None);
            assert!(missing.is_err(), "{name} {key}: {missing:?}");
            if let Some(KeyKind::Keccak256 | KeyKind::Sha256) = key.kind() {
                for place in [0, data.len() / 2, data.len() - 1] {
                    let other = judge(&mut world, *key, Some(flipped(data, place)));
                    assert!(other.is_err(), "{name} {key}: {other:?}");
                }
                judge(&mut world, *key, Some(data[1..].to_vec())).unwrap_err();
                judge(&mut world, *key, Some(vec![])).unwrap_err();
            }
            count += 1;
        }
        assert!(count >= 10, "{name}: {count}");
    }
}

#[test]
fn each_boot_value_counts() {
    for (name, blocks) in [("01-", 1), ("03-", 1), ("53-", 36)] {
        let fixture = fixture(name);
        let boot = &fixture.boot;
        let (mut world, answers) = asked(&fixture);
        for ident in 1..=7 {
            let data = &answers[&Key::local(ident)];
            for len in [0, 1, data.len() / 2, data.len() - 1] {
                with(&mut world, ident, &data[..len]).unwrap_err();
            }
            with(&mut world, ident, &[&data[..], b"}"].concat()).unwrap_err();
        }

        // Another L1 head: none at all, one of L2, and one before the data.
        for head in [[7; 32], [0; 32]] {
            with(&mut world, inputs::L1_HEAD, &head).unwrap_err();
        }
        with(&mut world, inputs::L1_HEAD, &boot.agreed_l2_head).unwrap_err();
        let config: serde_json::Value =
            serde_json::from_slice(boot.rollup_config.as_ref().unwrap()).unwrap();
        let genesis = config["genesis"]["l1"]["hash"].as_str().unwrap().parse::<B256>().unwrap();
        assert_eq!(with(&mut world, inputs::L1_HEAD, &genesis.0).unwrap(), Verdict::Wrong);

        // Another agreed output: none, and that of a block that does not exist.
        for root in [[7; 32], [0; 32]] {
            with(&mut world, inputs::AGREED_OUTPUT, &root).unwrap_err();
        }
        // An output root of other bytes.
        for other in [vec![0; 127], vec![0; 129], vec![1; 128], vec![0; 128]] {
            let root = keccak256(&other);
            world.put(Key::keccak256(root.0), other);
            with(&mut world, inputs::AGREED_OUTPUT, &root.0).unwrap_err();
        }

        // Another claim, and another number.
        let claim = boot.claimed_l2_output;
        for other in [flipped(&claim, 31), vec![0; 32], boot.agreed_l2_output.to_vec()] {
            assert_eq!(with(&mut world, inputs::CLAIM, &other).unwrap(), Verdict::Wrong);
        }
        for (number, verdict) in [
            (0, Verdict::Wrong),
            (blocks - 1, Verdict::Wrong),
            (blocks, Verdict::Holds),
            // Beyond the data the last output stands.
            (blocks + 1, Verdict::Holds),
            (u64::MAX, Verdict::Holds),
        ] {
            let found = with(&mut world, inputs::CLAIMED_NUMBER, &number.to_be_bytes()).unwrap();
            assert_eq!(found, verdict, "{name}: block {number}");
        }

        // Another chain: one without a configuration, known ones, and one that is none.
        for chain in [900_u64, 902, 10, 8453, u64::MAX] {
            with(&mut world, inputs::CHAIN_ID, &chain.to_be_bytes()).unwrap_err();
        }
        // kona's hosts say 0 for "as the configuration says".
        let found = with(&mut world, inputs::CHAIN_ID, &[0; 8]).unwrap();
        assert_eq!(found, Verdict::Holds);
    }
}

#[test]
fn another_configuration_is_another_chain() {
    let fixture = fixture("53-");
    let (mut world, _) = asked(&fixture);
    let whole: serde_json::Value =
        serde_json::from_slice(fixture.boot.rollup_config.as_ref().unwrap()).unwrap();
    let other = support::fixture("03-").boot.rollup_config.unwrap();
    with(&mut world, inputs::ROLLUP_CONFIG, &other).unwrap_err();

    let spoil = |path: &[&str], value: serde_json::Value| {
        let mut config = whole.clone();
        let field = path.iter().fold(&mut config, |field, name| &mut field[*name]);
        assert_ne!(*field, value);
        *field = value;
        config.to_string().into_bytes()
    };
    let hash = format!("{:?}", B256::repeat_byte(7));
    let address = "0x0707070707070707070707070707070707070707";
    for (path, value) in [
        (&["genesis", "l1", "hash"][..], hash.clone().into()),
        (&["genesis", "l1", "number"], 1.into()),
        (&["genesis", "l2", "hash"], hash.into()),
        (&["l2_chain_id"], 902.into()),
        (&["l1_chain_id"], 901.into()),
        (&["block_time"], 0.into()),
        (&["seq_window_size"], 0.into()),
        (&["chain_op_config", "eip1559Denominator"], 0.into()),
        (&["holocene_time"], 1.into()),
    ] {
        let found = with(&mut world, inputs::ROLLUP_CONFIG, &spoil(path, value));
        assert!(found.is_err(), "{path:?}: {found:?}");
    }
    for (path, value) in [
        (&["batch_inbox_address"][..], address.into()),
        (&["genesis", "system_config", "batcherAddr"], address.into()),
        (&["genesis", "system_config", "gasLimit"], 30_000_001.into()),
        (&["deposit_contract_address"], address.into()),
        (&["l1_system_config_address"], address.into()),
        (&["block_time"], 2.into()),
    ] {
        let found = with(&mut world, inputs::ROLLUP_CONFIG, &spoil(path, value));
        assert!(!matches!(found, Ok(Verdict::Holds)), "{path:?}: {found:?}");
    }
}

#[test]
fn what_is_not_bound_to_its_key_cannot_make_a_wrong_claim_hold() {
    // Of blobs and precompiled contracts a native run has to believe its host.
    for name in ["01-", "02-", "15-", "60-", "62-"] {
        let fixture = fixture(name);
        let (mut world, answers) = asked(&fixture);
        let (mut wrong, mut undecided) = (0, 0);
        for (key, data) in &answers {
            let kind = key.kind();
            if !matches!(kind, Some(KeyKind::Blob | KeyKind::Precompile)) {
                continue;
            }
            for place in [0, data.len() / 2, data.len() - 1] {
                let found = judge(&mut world, *key, Some(flipped(data, place)));
                // The sum of a blob says only that there is nothing else to read.
                if is_sum(&world, key) {
                    let verdict = Verdict::from_claim(fixture.holds);
                    assert!(found.is_err() || found.unwrap() == verdict, "{name}");
                    continue;
                }
                match found {
                    Ok(Verdict::Wrong) => wrong += 1,
                    Ok(Verdict::Holds) => {
                        // True all the same: the checksum of a channel seldom counts, for one.
                        assert!(fixture.holds, "{name} {key} {place}");
                    }
                    Err(_) => undecided += 1,
                }
            }
            for other in [vec![], data[1..].to_vec(), [&data[..], &[0]].concat()] {
                let found = judge(&mut world, *key, Some(other));
                let holds = fixture.holds && is_sum(&world, key);
                assert!(holds || !matches!(found, Ok(Verdict::Holds)), "{name} {key}");
            }
        }
        assert!(wrong > 5, "{name}: {wrong} wrong, {undecided} undecided");
    }
}

/// Whether it is the key of a sum that a blob is held against.
fn is_sum(world: &World, key: &Key) -> bool {
    let call = world.get(Key::keccak256(key.into_bytes()));
    key.kind() == Some(KeyKind::Precompile) && call.is_some_and(|call| call[19] == 0x0c)
}

#[test]
fn an_element_behind_the_data_spoils_the_blob() {
    let fixture = fixture("01-");
    let (mut world, answers) = asked(&fixture);
    let blobs = answers.keys().filter(|key| key.kind() == Some(KeyKind::Blob));
    let read: Vec<Key> = blobs.copied().collect();
    let is_element = |key: &Key| key.kind() == Some(KeyKind::Blob);
    let elements = fixture.preimages.iter().map(|(key, _)| *key).filter(is_element);
    let unread = elements.into_iter().find(|key| !read.contains(key)).unwrap();
    // Whoever says that the elements read are not all has the others read.
    let sum = *answers.keys().find(|key| is_sum(&world, key)).unwrap();
    let mut spoilt = [0; 32];
    spoilt[31] = 1;
    let lies = [(unread, Some(spoilt.to_vec())), (sum, Some(vec![0]))].into();
    let mut oracle = Checked(Liar { world: &mut world, lies });
    let decision = decide(Preimages::new(&mut oracle), &mut |_| {}).unwrap();
    assert_eq!(decision.verdict(), Verdict::Wrong);
}

/// L1 as a fixture has it, to be made anew.
struct L1 {
    fixture: Fixture,
    store: BTreeMap<Key, Vec<u8>>,
    /// From genesis to the head.
    headers: Vec<Header>,
}

impl L1 {
    fn new(name: &str) -> Self {
        let fixture = fixture(name);
        let store: BTreeMap<_, _> = fixture.preimages.iter().cloned().collect();
        let mut headers = Vec::new();
        let mut next = B256::new(fixture.boot.l1_head);
        while next != B256::ZERO {
            let encoded = &store[&Key::keccak256(next.0)];
            let header: Header = alloy_rlp::decode_exact(encoded).unwrap();
            next = header.parent_hash;
            headers.push(header);
        }
        headers.reverse();
        assert_eq!(headers.len(), fixture.l1_blocks);
        Self { fixture, store, headers }
    }

    fn list(&self, root: B256) -> Vec<Bytes> {
        struct Nodes<'a>(&'a BTreeMap<Key, Vec<u8>>);
        impl tribunal_optimism::trie::Nodes for Nodes<'_> {
            type Error = B256;
            fn node(&mut self, hash: B256) -> Result<Vec<u8>, B256> {
                self.0.get(&Key::keccak256(hash.0)).cloned().ok_or(hash)
            }
        }
        list::read(&mut Nodes(&self.store), root).unwrap()
    }

    /// What is said of the claim if the header of block `number` is another.
    fn judge(
        &self,
        number: usize,
        change: impl FnOnce(&mut Header, &mut dyn FnMut(B256, &[u8])),
    ) -> Result<Verdict, Error> {
        let world = World::new(&self.fixture);
        let mut keep = |hash: B256, bytes: &[u8]| {
            world.put(Key::keccak256(hash.0), bytes.to_vec());
        };
        let mut header = self.headers[number].clone();
        change(&mut header, &mut keep);
        assert_ne!(header, self.headers[number]);
        let mut hash = header.hash_slow();
        keep(hash, &alloy_rlp::encode(&header));
        for later in &self.headers[number + 1..] {
            let later = Header { parent_hash: hash, ..later.clone() };
            hash = later.hash_slow();
            keep(hash, &alloy_rlp::encode(&later));
        }
        let mut world = world;
        with(&mut world, inputs::L1_HEAD, &hash.0)
    }
}

#[test]
fn an_l1_head_of_another_chain_decides_nothing() {
    // Right claims and wrong ones; one of these is the agreed output, which stands while L1 holds nothing.
    for name in ["01-", "53-", "02-", "12-", "15-", "73-", "82-"] {
        let l1 = L1::new(name);
        let mut world = World::new(&l1.fixture);
        let blocks: Vec<B256> = l1.headers.iter().map(Header::hash_slow).collect();
        let mut count = 0;
        for (key, data) in &l1.store {
            let hash = keccak256(data);
            let is_header = alloy_rlp::decode_exact::<Header>(data).is_ok();
            if is_header && *key == Key::keccak256(hash.0) && !blocks.contains(&hash) {
                let found = with(&mut world, inputs::L1_HEAD, &hash.0);
                assert!(found.is_err(), "{name}: L2 block {hash}: {found:?}");
                count += 1;
            }
        }
        assert!(count > 0, "{name}: L2 genesis at least");
        // An L1 with another genesis: that block alone, and with all that follows.
        let other = Header { extra_data: Bytes::from_static(b"other"), ..l1.headers[0].clone() };
        let hash = other.hash_slow();
        world.put(Key::keccak256(hash.0), alloy_rlp::encode(&other));
        with(&mut world, inputs::L1_HEAD, &hash.0).unwrap_err();
        l1.judge(0, |header, _| *header = other).unwrap_err();
    }
}

#[test]
fn an_l1_with_something_else_in_it_is_another_l1() {
    for name in ["01-", "03-", "53-"] {
        let l1 = L1::new(name);
        for number in 1..l1.headers.len() {
            let header = &l1.headers[number];
            let transactions = l1.list(header.transactions_root);
            for index in 0..transactions.len() {
                let len = transactions[index].len();
                for place in [0, len / 3, len / 2, len - 40, len - 1] {
                    let found = l1.judge(number, |header, keep| {
                        let mut spoilt = transactions.clone();
                        spoilt[index] = flipped(&spoilt[index], place).into();
                        header.transactions_root = list::root(&spoilt, keep);
                    });
                    let number_of = format!("{name}: transaction {index} of {number}, {place}");
                    assert!(
                        !matches!(found, Ok(Verdict::Holds)) || place > len - 70,
                        "{number_of}"
                    );
                }
            }
            // Without any, the block is one that the batches do not know, or has no batches.
            if !transactions.is_empty() {
                let found = l1.judge(number, |header, _| {
                    header.transactions_root = alloy_consensus::EMPTY_ROOT_HASH;
                });
                assert_eq!(found.unwrap(), Verdict::Wrong, "{name} {number}");
            }
        }
        // A block is not what others say of it.
        let last = l1.headers.len() - 1;
        for found in [
            l1.judge(last, |header, _| header.number += 1),
            l1.judge(last, |header, _| header.number = 0),
            l1.judge(last, |header, _| header.parent_hash = B256::repeat_byte(7)),
            l1.judge(last, |header, _| header.transactions_root = B256::repeat_byte(7)),
            l1.judge(0, |header, _| header.timestamp += 1),
        ] {
            assert!(!matches!(found, Ok(Verdict::Holds)), "{name}: {found:?}");
        }
    }
}

#[test]
fn a_deposit_that_is_another_makes_another_chain() {
    let l1 = L1::new("53-");
    let with_logs = |header: &&Header| !header.logs_bloom.is_zero();
    let mut count = 0;
    for header in l1.headers.iter().filter(with_logs) {
        let receipts = l1.list(header.receipts_root);
        for (index, receipt) in receipts.iter().enumerate() {
            // The logs are at the end; before them is the bloom, which nobody compares.
            for back in [1, 33, 65, 129] {
                let Some(place) = receipt.len().checked_sub(back) else { continue };
                let found = l1.judge(header.number as usize, |header, keep| {
                    let mut spoilt = receipts.clone();
                    spoilt[index] = flipped(receipt, place).into();
                    header.receipts_root = list::root(&spoilt, keep);
                });
                // Blocks of this origin are of another now: the batches do not know it.
                assert!(!matches!(found, Ok(Verdict::Holds)), "{} {index} {back}", header.number);
                count += 1;
            }
        }
        // Bytes that are no receipt decide nothing, and nothing panics.
        let found = l1.judge(header.number as usize, |header, keep| {
            header.receipts_root = list::root(&[b"no receipt"], keep);
        });
        assert!(!matches!(found, Ok(Verdict::Holds)), "{found:?}");
    }
    assert!(count > 4, "{count}");
}
