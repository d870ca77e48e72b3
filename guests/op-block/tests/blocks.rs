//! The program over recorded blocks, as they are and spoiled.

#[allow(dead_code, reason = "shared with an example")]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use fixture::{Fixture, Store};
use op_block::{CHAIN_ID, CLAIM, CONFIG, Decision, Error, PARENT, decide};
use tribunal_guest::{Key, Verdict};
use tribunal_optimism::{Dialect, Executed, Hint, Hints, Preimages, list};
use tribunal_optimism_hints::PayloadWitness;
use tribunal_preimage::{Checked, Oracle, OracleError};

/// The smallest block there is, and one of a chain that the program does not know.
const SMALL: &str = "op-sepolia-26207960-holocene.json.gz";
const UNKNOWN_CHAIN: &str = "base-sepolia-37312300-jovian.json.gz";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/op-stack")
}

fn read(name: &str) -> (Fixture, Executed) {
    let fixture = Fixture::read(&folder().join(name)).unwrap();
    let executed = fixture.execute().unwrap();
    fixture.judge(&executed).unwrap();
    (fixture, executed)
}

fn ask(host: &mut Store) -> Result<Decision, Error> {
    decide(Preimages::new(Checked(host)))
}

/// However precompiled contracts are come by and hints are given, the decision is one.
#[test]
fn every_recorded_block_is_what_its_transactions_make_it() {
    let mut count = 0;
    for entry in folder().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (fixture, executed) = read(&name);
        let host = fixture.host(&executed);
        let run = |change: fn(Preimages<Checked<&mut Store>>) -> Preimages<Checked<&mut Store>>| {
            let mut host = host.clone();
            let decision = decide(change(Preimages::new(Checked(&mut host)))).unwrap();
            let asked: Vec<Key> = host.log;
            (decision, asked, host.hints)
        };
        let (decision, asked, hints) = run(|preimages| preimages);
        assert_eq!(decision.verdict(), Verdict::Holds, "{name}: {decision}");
        assert_eq!(decision.known_chain, name != UNKNOWN_CHAIN);
        assert_eq!(decision.to_string().contains("not verified"), name == UNKNOWN_CHAIN);
        let precompiles = |asked: &[Key]| asked.iter().filter(|key| key.as_bytes()[0] == 6).count();
        // Every sender is recovered by the oracle.
        let signed = executed.receipts.len() - 1;
        assert!(precompiles(&asked) >= signed, "{name}");

        let (computed, asked, _) = run(|preimages| preimages.without_acceleration());
        assert_eq!((computed, precompiles(&asked)), (decision.clone(), 0), "{name}");
        let (nodes, _, more_hints) = run(|preimages| preimages.with_hints(Hints::Nodes));
        assert_eq!(nodes, decision, "{name}");
        assert!(more_hints > hints, "{name}: {more_hints} hints for nodes, {hints} for proofs");
        count += 1;
    }
    assert_eq!(count, 5);
}

/// The same of blocks that somebody else chose to test with.
#[test]
fn the_blocks_of_kona_are_what_their_transactions_make_them() {
    let mut count = 0;
    for entry in folder().join("../kona").read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (fixture, executed) = read(&format!("../kona/{name}"));
        let decision = ask(&mut fixture.host(&executed)).unwrap();
        assert_eq!(decision.verdict(), Verdict::Holds, "{name}: {decision}");
        count += 1;
    }
    assert_eq!(count, 2);
}

/// A host like op-program's: it keeps the last hint for a block and the last of the others, and looks
/// at them only when something is missing.
struct TwoHints<'a> {
    /// Everything, and the results of precompiled contracts.
    world: &'a mut Store,
    /// What a node's execution of the payload would tell.
    witness: &'a BTreeMap<Key, Vec<u8>>,
    /// Whether there is such a node.
    executes: bool,
    last: Option<Hint<'static>>,
    payload: Option<serde_json::Value>,
    stored: BTreeSet<Key>,
    /// How many nodes of the state and codes were fetched by themselves.
    single: u64,
}

impl TwoHints<'_> {
    fn fetch(&mut self, key: Key) {
        match self.last.as_ref().expect("something was hinted") {
            Hint::L2BlockHeader { hash, .. } | Hint::L2Transactions { hash, .. } => {
                self.stored.insert(Key::keccak256(*hash));
                let others = self.world.preimages.keys();
                self.stored.extend(others.filter(|key| !self.witness.contains_key(key)));
            }
            Hint::L2Code { .. } | Hint::L2StateNode { .. }
                if self.executes && self.payload.take().is_some() =>
            {
                self.stored.extend(self.witness.keys());
            }
            Hint::L2Code { hash, .. } | Hint::L2StateNode { hash, .. } => {
                self.stored.insert(Key::keccak256(*hash));
                self.single += 1;
            }
            Hint::L1Precompile { address, required_gas, input } => {
                let gas = required_gas.expect("the new form");
                self.stored.insert(Key::precompile(address, gas, input));
            }
            hint => panic!("{key} is asked for after {hint:?}"),
        }
    }
}

impl Oracle for TwoHints<'_> {
    fn hint(&mut self, text: &[u8]) -> Result<(), OracleError> {
        let text = std::str::from_utf8(text).expect("text");
        let (name, argument) = text.split_once(' ').expect("a name and an argument");
        let hint = Hint::parse(name, argument).expect("a hint");
        assert_eq!(hint.encode(Dialect::OpProgram).as_deref(), Some(text), "of the dialect");
        if let Hint::L2PayloadWitness(PayloadWitness::Object(object)) = hint {
            self.payload = Some(serde_json::from_slice(&object).expect("JSON"));
        } else {
            self.last = Some(hint);
        }
        self.world.hint(text.as_bytes())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let local = [CHAIN_ID, CLAIM, CONFIG, PARENT].contains(&key);
        // Once for the hint of the block, once for the other.
        for _ in 0..2 {
            if !local && !self.stored.contains(&key) {
                self.fetch(key);
            }
        }
        assert!(local || self.stored.contains(&key), "{key} is not what {:?} is for", self.last);
        self.world.preimage(key)
    }
}

#[test]
fn a_host_of_op_program_can_serve_every_recorded_block() {
    for entry in folder().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (fixture, executed) = read(&name);
        let expected = ask(&mut fixture.host(&executed)).unwrap();
        for executes in [true, false] {
            let mut world = fixture.host(&executed);
            let mut host = TwoHints {
                world: &mut world,
                witness: &fixture.store.preimages,
                executes,
                last: None,
                payload: None,
                stored: BTreeSet::new(),
                single: 0,
            };
            let preimages = Preimages::new(Checked(&mut host)).with_dialect(Dialect::OpProgram);
            assert_eq!(decide(preimages).unwrap(), expected, "{name}");
            if executes {
                assert!(host.single == 0, "{name}: {} nodes by themselves", host.single);
                continue;
            }
            assert!(host.single > 100, "{name}: {} nodes by themselves", host.single);
            let payload = host.payload.expect("nobody took it");
            assert_eq!(payload["parentBlockHash"], fixture.parent.hash_slow().to_string());
            let attributes = &payload["payloadAttributes"];
            let transactions = attributes["transactions"].as_array().expect("a list");
            assert_eq!(transactions.len(), fixture.attributes.transactions.len());
            let limit = format!("{:#x}", fixture.attributes.gas_limit);
            assert_eq!(attributes["gasLimit"], limit);
        }
    }
}

/// What a spoiled run must come to.
#[derive(Debug, PartialEq)]
enum Class {
    /// The claim is wrong; a field or the reason is named so.
    Wrong(&'static str),
    /// Nothing was decided; the message says so.
    Undecided(&'static str),
}

fn check(what: &str, host: &mut Store, expected: &Class) {
    match (ask(host), expected) {
        (Ok(decision), Class::Wrong(word)) => {
            assert_eq!(decision.verdict(), Verdict::Wrong, "{what}: {decision}");
            assert!(decision.to_string().contains(word), "{what}: {decision}");
        }
        (Err(error), Class::Undecided(word)) => {
            let mut said = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                said = format!("{said}: {error}");
                cause = error.source();
            }
            assert!(said.contains(word), "{what}: {said}");
        }
        (found, expected) => panic!("{what}: {expected:?} expected, found {found:?}"),
    }
}

#[test]
fn a_claim_with_any_other_field_is_wrong_and_the_field_is_named() {
    let (fixture, executed) = read(SMALL);
    let base = fixture.host(&executed);
    type Spoil = fn(&mut Header);
    let cases: [(&'static str, Spoil); 20] = [
        ("parent hash", |header| header.parent_hash.0[5] ^= 1),
        ("ommers hash", |header| header.ommers_hash.0[5] ^= 1),
        ("state root", |header| header.state_root.0[5] ^= 1),
        ("receipts root", |header| header.receipts_root.0[5] ^= 1),
        ("logs bloom", |header| header.logs_bloom.0[5] ^= 1),
        ("difficulty", |header| header.difficulty = U256::from(1)),
        ("number", |header| header.number += 1),
        ("gas used", |header| header.gas_used += 1),
        ("nonce", |header| header.nonce.0[0] = 1),
        ("base fee", |header| header.base_fee_per_gas = Some(1)),
        ("withdrawals root", |header| header.withdrawals_root = Some(B256::ZERO)),
        ("blob gas used", |header| header.blob_gas_used = Some(1)),
        ("excess blob gas", |header| header.excess_blob_gas = Some(131_072)),
        ("requests hash", |header| header.requests_hash = Some(B256::ZERO)),
        ("extra data", |header| header.extra_data = Bytes::new()),
        ("extra data", |header| {
            header.extra_data = [&[1], &header.extra_data[1..]].concat().into()
        }),
        ("the time is", |header| header.timestamp += 1),
        ("the gas limit is above", |header| header.gas_limit = u64::MAX),
        ("more than the block has left", |header| header.gas_limit = 1_000_000),
        // This is given, but a contract keeps it.
        ("state root", |header| header.parent_beacon_block_root = Some(B256::repeat_byte(1))),
    ];
    for (word, spoil) in cases {
        let (mut host, mut header) = (base.clone(), executed.header.clone());
        spoil(&mut header);
        host.set_claim(&header, &fixture.attributes.transactions);
        check(word, &mut host, &Class::Wrong(word));
    }
}

#[test]
fn other_transactions_make_another_block() {
    let (fixture, executed) = read(SMALL);
    let base = fixture.host(&executed);
    let given = &fixture.attributes.transactions;
    type Spoil = fn(&mut Vec<Bytes>);
    let cases: [(&str, Spoil, &'static str); 9] = [
        ("one is missing", |list| drop(list.pop()), "state root"),
        ("two change places", |list| list.reverse(), "state root"),
        ("one is there twice", |list| list.push(list[list.len() - 1].clone()), "nonce"),
        (
            "the last byte of a deposit changed",
            |list| {
                let last = list[0].len() - 1;
                flip(&mut list[0], last);
            },
            "state root",
        ),
        (
            "a signature has a high s",
            |list| {
                let first_of_s = list[1].len() - 32;
                flip(&mut list[1], first_of_s);
            },
            "its signature is none",
        ),
        ("one is empty", |list| list.push(Bytes::from_static(&[1])), "cannot be decoded"),
        ("one is of a blob", |list| list[1] = Bytes::from_static(&[3, 0xc0]), "cannot be decoded"),
        (
            "one is after its end",
            |list| {
                list[1] = [&list[1][..], &[0]].concat().into();
            },
            "cannot be decoded",
        ),
        (
            "one is of the type after all",
            |list| {
                list[1] = Bytes::from_static(&[0x7d, 0xc0]);
            },
            "transaction 1 cannot be in the block",
        ),
    ];
    for (what, spoil, word) in cases {
        let (mut host, mut header, mut list) =
            (base.clone(), executed.header.clone(), given.clone());
        spoil(&mut list);
        header.transactions_root = list::root(&list, &mut |_, _| {});
        host.set_claim(&header, &list);
        check(what, &mut host, &Class::Wrong(word));
    }
    // A root that is no list's.
    let (mut host, mut header) = (base, executed.header);
    let node = vec![0xc4, 0x82, 0x20, 0x01, 0x07];
    header.transactions_root = keccak256(&node);
    host.set_claim(&header, &[]);
    host.add(node);
    check("a list that begins late", &mut host, &Class::Wrong("no item 0"));
}

fn flip(bytes: &mut Bytes, at: usize) {
    let mut changed = bytes.to_vec();
    changed[at] ^= 0x80;
    *bytes = changed.into();
}

/// Whatever the run reads: without it, or with other bytes in its place, nothing is decided.
#[test]
fn what_is_missing_or_forged_decides_nothing() {
    let (fixture, executed) = read(SMALL);
    let base = fixture.host(&executed);
    let mut host = base.clone();
    let _ = ask(&mut host).unwrap();
    let read: Vec<Key> = host.log.iter().filter(|key| key.as_bytes()[0] == 2).copied().collect();
    assert!(read.len() > 100);
    for key in read.iter().step_by(7) {
        let mut host = base.clone();
        let data = host.preimages.remove(key).unwrap();
        check("missing", &mut host, &Class::Undecided("the host has no preimage"));
        let mut forged = data.clone();
        let middle = forged.len() / 2;
        forged[middle] ^= 1;
        host.preimages.insert(*key, forged);
        check("forged", &mut host, &Class::Undecided("the host lied"));
        host.preimages.insert(*key, data[..data.len() - 1].to_vec());
        check("cut short", &mut host, &Class::Undecided("the host lied"));
        let other = base.preimages[&read[0]].clone();
        if *key != read[0] {
            host.preimages.insert(*key, other);
            check("of another key", &mut host, &Class::Undecided("the host lied"));
        }
    }
}

#[test]
fn inputs_that_make_no_sense_decide_nothing() {
    let (fixture, executed) = read(SMALL);
    let base = fixture.host(&executed);
    for (key, name) in
        [(PARENT, "hash of the parent"), (CLAIM, "claimed hash"), (CHAIN_ID, "chain id")]
    {
        let mut host = base.clone();
        host.preimages.get_mut(&key).unwrap().push(0);
        check(name, &mut host, &Class::Undecided("wrong input"));
        host.preimages.remove(&key);
        check(name, &mut host, &Class::Undecided(name));
    }
    // A parent that is agreed on but is no header.
    let (mut host, mut parent) = (base.clone(), alloy_rlp::encode(&fixture.parent));
    parent.pop();
    host.set_local(PARENT, &keccak256(&parent).0);
    host.add(parent.clone());
    check("a parent that is cut short", &mut host, &Class::Undecided("is no header"));
    // The same of the claim is a wrong claim: what has this hash is no block.
    let mut host = base.clone();
    host.set_local(CLAIM, &keccak256(&parent).0);
    host.add(parent);
    check("a claim that is cut short", &mut host, &Class::Wrong("is no header"));
    // A parent whose state is not there.
    let mut other = fixture.parent.clone();
    other.state_root = B256::repeat_byte(1);
    let mut host = base;
    host.set_local(PARENT, &other.hash_slow().0);
    host.add(alloy_rlp::encode(&other));
    check("another parent", &mut host, &Class::Undecided("node of the state trie"));
}

#[test]
fn another_chain_or_another_time_of_a_fork_is_another_block() {
    // The transactions are of another chain.
    let (fixture, executed) = read(SMALL);
    let mut host = fixture.host(&executed);
    host.set_local(CHAIN_ID, &10u64.to_be_bytes());
    check("OP Mainnet", &mut host, &Class::Wrong("chain"));
    // Known, but with rules that nothing here knows: Celo, and a rehearsal of Interop.
    for (chain_id, why) in [(11_142_220u64, "Celo"), (420_120_009, "interop")] {
        host.set_local(CHAIN_ID, &chain_id.to_be_bytes());
        check(why, &mut host, &Class::Undecided(why));
    }

    let (fixture, executed) = read(UNKNOWN_CHAIN);
    let base = fixture.host(&executed);
    let config: serde_json::Value = serde_json::from_slice(&fixture.config_json).unwrap();
    let with = |name: &str, value: u64, expected: Class| {
        let mut config = config.clone();
        config[name] = value.into();
        let mut host = base.clone();
        host.set_local(CONFIG, &serde_json::to_vec(&config).unwrap());
        check(name, &mut host, &expected);
    };
    with("jovian_time", 1 << 40, Class::Wrong("extra data"));
    with("jovian_time", executed.header.timestamp, Class::Undecided("extra data"));
    with("interop_time", executed.header.timestamp, Class::Undecided("interop"));
    with("isthmus_time", 1 << 40, Class::Undecided("jovian"));
    with("l2_chain_id", 84_533, Class::Undecided("chain id"));
    with("block_time", 3, Class::Wrong("the time is"));
    let mut host = base.clone();
    host.set_local(CONFIG, b"{");
    check("no JSON", &mut host, &Class::Undecided("configuration"));
    host.preimages.remove(&CONFIG);
    check("no configuration", &mut host, &Class::Undecided("rollup configuration"));
}
