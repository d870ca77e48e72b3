//! Every hint, followed against what a real geth answered (`cargo xtask integration --record`), with
//! all methods and with few; and blobs and precompiles, which take no node or a small one.

mod support;

#[path = "support/scenario.rs"]
mod scenario;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tribunal_host::{Patience, Router};
use tribunal_optimism_hints::{Dialect, Hint};
use tribunal_optimism_host::{Fetcher, Grade, Nodes, Options, survey_beacon, survey_l1, survey_l2};
use tribunal_rpc::{Bounds, Client};

use scenario::{POLICY, Urls};
use support::{BlobApi, Node, Recording, Reply, beacon, hash};

/// A node that has all methods but these.
fn node_without(lacks: &'static [&'static str]) -> (Node, Value) {
    let recording = Recording::read();
    let facts = recording.facts.clone();
    let node = Node::start(move |asked| match lacks.contains(&asked.method.as_str()) {
        true => Reply::lacks(&asked.method),
        false => recording.answer(asked),
    });
    (node, facts)
}

const NO_BLOCKS: &[&str] = &["debug_getRawHeader", "debug_getRawBlock", "debug_getRawReceipts"];

#[test]
fn blocks_come_as_bytes_or_are_rebuilt() {
    let one_by_one: &[&str] = &[
        "debug_getRawHeader",
        "debug_getRawBlock",
        "debug_getRawReceipts",
        "eth_getBlockReceipts",
    ];
    for lacks in [&[][..], NO_BLOCKS, one_by_one] {
        let (node, facts) = node_without(lacks);
        let types: Vec<u8> = facts["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|block| block["transactions"].as_array().unwrap())
            .map(|transaction| support::bytes(transaction)[0].min(0xc0))
            .collect();
        for kind in [0xc0, 1, 2, 3, 4] {
            assert!(types.contains(&kind), "no transaction of type {kind:#x} was recorded");
        }
        scenario::blocks(&Urls::of(&node.url, &node.url), &facts);
    }
}

#[test]
fn a_node_that_takes_one_question_at_a_time_is_asked_so() {
    let recording = Recording::read();
    let facts = recording.facts.clone();
    let lacks = [NO_BLOCKS, &["eth_getBlockReceipts"]].concat();
    let answer = move |asked: &support::Asked| match lacks.contains(&asked.method.as_str()) {
        true => Reply::lacks(&asked.method),
        false => recording.answer(asked),
    };
    let node = Node::start_with(answer, false);
    scenario::blocks(&Urls::of(&node.url, &node.url), &facts);
}

#[test]
fn state_comes_from_the_database_or_from_witnesses() {
    let no_database: &[&str] = &["debug_dbGet", "debug_codeByHash", "debug_executePayload"];
    for lacks in [&[][..], no_database] {
        let (node, facts) = node_without(lacks);
        let urls = Urls::of(&node.url, &node.url);
        scenario::state(&urls, &facts);
        scenario::witnesses(&urls, &facts);
    }
}

#[test]
fn blobs_come_from_both_apis() {
    let facts = Recording::read().facts;
    for api in [BlobApi::Blobs, BlobApi::Sidecars] {
        let node = Node::start(beacon(api));
        scenario::blob(&Urls { beacon: vec![node.url.clone()], ..Urls::default() }, &facts);
    }
}

#[test]
fn precompiles_are_run_here_in_every_form() {
    let facts = Recording::read().facts;
    scenario::precompile(&Urls::default(), &facts);
}

#[test]
fn nodes_are_told_good_from_bad() {
    let within = || Bounds::within(Duration::from_secs(30));
    let worst = |findings: &[tribunal_optimism_host::Finding]| {
        findings.iter().map(|finding| finding.grade).max().unwrap()
    };
    let (node, facts) = node_without(&[]);
    let head = hash(&facts["head"]["hash"]);
    let client = || Client::new(&[&node.url], POLICY).unwrap();
    let findings = survey_l2(&client(), Some(1337), Some(&head), within());
    assert_eq!(worst(&findings), Grade::Good, "{findings:?}");
    assert_eq!(worst(&survey_l1(&client(), Some(&head), within())), Grade::Good);
    // Another chain, and a block that is not there.
    let findings = survey_l2(&client(), Some(10), None, within());
    assert!(findings[0].text.starts_with("chain 1337, not 10"), "{findings:?}");
    assert_eq!(findings[0].grade, Grade::Bad);

    let (node, _) = node_without(&["debug_dbGet", "debug_executionWitness"]);
    let client = Client::new(&[&node.url], POLICY).unwrap();
    let findings = survey_l2(&client, None, None, within());
    let bad = findings.iter().find(|finding| finding.grade == Grade::Bad).unwrap();
    assert!(bad.text.contains("no way to trie nodes"), "{bad:?}");
    assert!(bad.advice.unwrap().contains("--state.scheme=hash"));

    let node = Node::start(beacon(BlobApi::Sidecars));
    let findings = survey_beacon(Client::new(&[&node.url], POLICY).unwrap(), within());
    assert_eq!(worst(&findings), Grade::Good, "{findings:?}");
    assert!(findings[0].text.contains("12 s"), "{findings:?}");
    let node = Node::start(|_| Reply::Http("503 Service Unavailable", "", "starting"));
    let findings = survey_beacon(Client::new(&[&node.url], POLICY).unwrap(), within());
    assert_eq!(worst(&findings), Grade::Bad);
    assert!(findings[0].text.contains("HTTP status 503"), "{findings:?}");
}

/// A hint for another chain, one that is none, one that one chain has no answer to: said at once.
#[test]
fn hints_that_cannot_be_followed_fail_for_good() {
    let node = Node::start(|asked| panic!("{asked:?}"));
    let facts = Recording::read().facts;
    let host = scenario::memory_host(&Urls::of(&node.url, &node.url), &facts);
    let key = scenario::keccak([7; 32]);
    let mut address = [0; 20];
    for (hint, says) in [
        (
            Hint::L2BlockHeader { hash: [7; 32], chain: Some(10) },
            "it is for chain 10, and this host serves chain 1337",
        ),
        (Hint::AgreedPreState([7; 32]), "only programs over several chains ask for it"),
        (
            Hint::L1Precompile { address, required_gas: Some(1), input: vec![].into() },
            "no host runs the precompile 0x0000000000000000000000000000000000000000",
        ),
    ] {
        let error = scenario::ask(&host, &hint, Dialect::Kona, key).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    address[19] = 2;
    let hint = Hint::L1Precompile { address, required_gas: Some(1), input: vec![].into() };
    let error = scenario::ask(&host, &hint, Dialect::OpProgram, key).unwrap_err().to_string();
    assert!(error.contains("no host runs the precompile"), "{error}");
    assert_eq!(node.count(), 0);
}

/// Without the flag, a payload is not executed by the node.
#[test]
fn payload_witnesses_are_only_asked_for_on_demand() {
    let (node, facts) = node_without(&[]);
    let client = || Client::new(&[&node.url], POLICY).unwrap();
    let options = Options {
        agreed_l2_head: hash(&facts["head"]["hash"]),
        claimed_l2_block: 0,
        l2_chain_id: None,
        payload_witness: false,
    };
    let patience = Patience { deadline: Duration::from_millis(50), ..Patience::default() };
    let mut router = Router::new().with_patience(patience);
    let nodes = Nodes { l1: client(), beacon: client(), l2: client() };
    Fetcher::new(nodes, options).register(&mut router);
    let store = tribunal_host::store::MemoryStore::new();
    let host = tribunal_host::LocalHost::with_router(store, router);
    let attributes = hex::encode(json!({ "timestamp": "0x1" }).to_string());
    let hint =
        format!("l2-payload-witness {}{attributes}", facts["state"]["hash"].as_str().unwrap());
    let mut asking = &host;
    tribunal_preimage::Oracle::hint(&mut asking, hint.as_bytes()).unwrap();
    let wanted = scenario::keccak(hash(&facts["state"]["stateRoot"]));
    host.find(wanted).unwrap_err();
    assert_eq!(node.count(), 0);
}

/// A node that executes no payloads is found out once: each block goes on with its single hints.
#[test]
fn payloads_that_no_node_executes_cost_one_question() {
    let recording = Recording::read();
    let facts = recording.facts.clone();
    let asked_for: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let counts = Arc::clone(&asked_for);
    let node = Node::start(move |asked| {
        *counts.lock().unwrap().entry(asked.method.clone()).or_default() += 1;
        match asked.method.as_str() {
            lacks @ ("debug_executePayload" | "debug_executionWitness") => Reply::lacks(lacks),
            _ => recording.answer(asked),
        }
    });
    let urls = Urls::of(&node.url, &node.url);
    let host = scenario::memory_host(&urls, &facts);
    let parent = facts["state"]["hash"].as_str().unwrap();
    let header = scenario::keccak(hash(&facts["state"]["hash"]));
    let single = |hash| Hint::L2StateNode { hash, chain: None }.encode(Dialect::Kona).unwrap();
    for (payload, (hint, wanted)) in [
        (single(hash(&facts["state"]["stateRoot"])), hash(&facts["state"]["stateRoot"])),
        (
            Hint::L2Code { hash: hash(&facts["codeHash"]), chain: None }
                .encode(Dialect::Kona)
                .unwrap(),
            hash(&facts["codeHash"]),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        // As of several blocks: no two payloads are alike.
        let attributes = hex::encode(json!({ "timestamp": payload }).to_string());
        host.hear(format!("l2-payload-witness {parent}{attributes}").as_bytes());
        host.hear(hint.as_bytes());
        host.find(scenario::keccak(wanted)).unwrap();
    }
    host.find(header).unwrap();
    let asked_for = asked_for.lock().unwrap();
    assert_eq!(asked_for.get("debug_executePayload"), Some(&1), "{asked_for:?}");
    assert_eq!(asked_for.get("debug_executionWitness"), Some(&1), "{asked_for:?}");
    // The parent's header, and what was wanted, which may take several ways.
    assert!(asked_for.values().sum::<usize>() <= 7, "{asked_for:?}");
}
