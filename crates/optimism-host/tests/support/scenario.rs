//! Every hint, followed against some nodes, and what must be in the store then.

#![allow(dead_code, reason = "each test uses a part")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tribunal_host::store::MemoryStore;
use tribunal_host::{LocalHost, Patience, PreimageStore, Router};
use tribunal_optimism_hints::{BlockId, Dialect, Hint, PayloadWitness};
use tribunal_optimism_host::{Fetcher, Nodes, Options};
use tribunal_preimage::{Key, Oracle as _, OracleError};
use tribunal_rpc::{Client, Policy};

use crate::support::{GENESIS, bytes, hash, published_blob};

/// Quick to give up: nothing is far away.
pub(crate) const POLICY: Policy = Policy {
    timeout: Duration::from_millis(2000),
    rounds: 2,
    first_wait: Duration::from_millis(10),
    longest_wait: Duration::from_millis(20),
    in_flight: 4,
    batch: 7,
    answer_limit: 16 << 20,
};

/// Where to ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Urls {
    pub(crate) l1: Vec<String>,
    pub(crate) beacon: Vec<String>,
    pub(crate) l2: Vec<String>,
}

impl Urls {
    /// One node for both chains.
    pub(crate) fn of(node: &str, beacon: &str) -> Self {
        let node = vec![node.to_owned()];
        Self { l1: node.clone(), beacon: vec![beacon.to_owned()], l2: node }
    }
}

/// A host that fetches, patient for so long.
pub(crate) fn host<S: PreimageStore>(
    urls: &Urls,
    facts: &Value,
    policy: Policy,
    deadline: Duration,
    store: S,
) -> LocalHost<S> {
    let client = |urls: &[String]| Client::new(urls, policy).unwrap();
    let nodes = Nodes { l1: client(&urls.l1), beacon: client(&urls.beacon), l2: client(&urls.l2) };
    let options = Options {
        agreed_l2_head: hash(&facts["head"]["hash"]),
        claimed_l2_block: facts["claimed"].as_u64().unwrap_or(0),
        l2_chain_id: Some(1337),
        payload_witness: true,
    };
    let mut router = Router::new().with_patience(Patience {
        deadline,
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_millis(50),
        ..Patience::default()
    });
    Fetcher::new(nodes, options).register(&mut router);
    LocalHost::with_router(store, router)
}

/// A host with a store in memory.
pub(crate) fn memory_host(urls: &Urls, facts: &Value) -> Arc<LocalHost<MemoryStore>> {
    Arc::new(host(urls, facts, POLICY, Duration::from_secs(20), MemoryStore::new()))
}

/// Asks as a program does.
pub(crate) fn ask<S: PreimageStore>(
    host: &LocalHost<S>,
    hint: &Hint<'_>,
    dialect: Dialect,
    key: Key,
) -> Result<Vec<u8>, OracleError> {
    let mut host = host;
    let hint = hint.encode(dialect).expect("a hint of this dialect");
    host.hint(hint.as_bytes())?;
    host.preimage(key)
}

pub(crate) fn keccak(hash: [u8; 32]) -> Key {
    Key::keccak256(hash)
}

/// Fetches headers, transactions and receipts of every block of the recording, with L1 and with L2
/// hints, and compares them with what the node itself encodes.
pub(crate) fn blocks(urls: &Urls, facts: &Value) {
    for l1 in [true, false] {
        for dialect in [Dialect::Kona, Dialect::OpProgram] {
            let host = memory_host(urls, facts);
            for block in facts["blocks"].as_array().unwrap() {
                check_block(&host, block, l1, dialect);
            }
        }
    }
}

pub(crate) fn check_block<S: PreimageStore>(
    host: &LocalHost<S>,
    block: &Value,
    l1: bool,
    dialect: Dialect,
) {
    let name = hash(&block["hash"]);
    let chain = (dialect == Dialect::OpProgram).then_some(1337);
    let hints = match l1 {
        true => [Hint::L1BlockHeader(name), Hint::L1Transactions(name), Hint::L1Receipts(name)],
        false => [
            Hint::L2BlockHeader { hash: name, chain },
            Hint::L2Transactions { hash: name, chain },
            Hint::L2Receipts { hash: name, chain },
        ],
    };
    let header = ask(host, &hints[0], dialect, keccak(name)).unwrap();
    assert_eq!(header, bytes(&block["header"]));
    let fields = items(&header);
    for (hint, field, what) in [(&hints[1], 4, "transactions"), (&hints[2], 5, "receipts")] {
        let root: [u8; 32] = fields[field].try_into().unwrap();
        ask(host, hint, dialect, keccak(root)).unwrap();
        let mut found = Vec::new();
        walk(host, root, &mut found);
        let mut wanted: Vec<_> = block[what].as_array().unwrap().iter().map(bytes).collect();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{what} of {}", block["hash"]);
    }
}

/// The values of a trie whose nodes are all in the store.
fn walk<S: PreimageStore>(host: &LocalHost<S>, root: [u8; 32], found: &mut Vec<Vec<u8>>) {
    let node = host.store().get(keccak(root)).unwrap().expect("a node is missing");
    visit(host, &node, found);
}

fn visit<S: PreimageStore>(host: &LocalHost<S>, node: &[u8], found: &mut Vec<Vec<u8>>) {
    let items = if node == [0x80] { Vec::new() } else { items(node) };
    let mut child = |item: &[u8]| match item.len() {
        0 => {}
        32 => walk(host, item.try_into().unwrap(), found),
        _ => visit(host, item, found),
    };
    match items.as_slice() {
        [] => {}
        // The flag of a leaf.
        [path, value] if path[0] & 0x20 != 0 => found.push(value.to_vec()),
        [_, next] => child(next),
        branch => {
            branch[..16].iter().for_each(|item| child(item));
            if !branch[16].is_empty() {
                found.push(branch[16].to_vec());
            }
        }
    }
}

/// The items of an RLP list; lists within it with their heads.
pub(crate) fn items(encoded: &[u8]) -> Vec<&[u8]> {
    let mut rest = encoded;
    let head = alloy_rlp::Header::decode(&mut rest).unwrap();
    assert!(head.list && rest.len() == head.payload_length);
    let mut items = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let head = alloy_rlp::Header::decode(&mut rest).unwrap();
        let (payload, after) = rest.split_at(head.payload_length);
        items.push(if head.list { &start[..start.len() - after.len()] } else { payload });
        rest = after;
    }
    items
}

/// Fetches what the execution of a block reads, and the agreed output.
pub(crate) fn state(urls: &Urls, facts: &Value) {
    let number = facts["state"]["number"].as_u64().unwrap();
    let block = hash(&facts["state"]["hash"]);
    let state_root = hash(&facts["state"]["stateRoot"]);
    let contract: [u8; 20] = bytes(&facts["contract"]).try_into().unwrap();
    let code_hash = hash(&facts["codeHash"]);
    let storage_root = hash(&facts["storageRoot"]);

    // Proofs, by number as kona has them, by hash as op-program has them.
    for (dialect, block) in
        [(Dialect::Kona, BlockId::Number(number)), (Dialect::OpProgram, BlockId::Hash(block))]
    {
        let host = memory_host(urls, facts);
        let chain = (dialect == Dialect::OpProgram).then_some(1337);
        let hint = Hint::L2AccountProof { block, address: contract, chain };
        ask(&host, &hint, dialect, keccak(state_root)).unwrap();
        host.store().get(keccak(storage_root)).unwrap().expect("the first node of the storage");
        // The account is known now, so its code comes from there if from nowhere else.
        let hint = Hint::L2Code { hash: code_hash, chain };
        let code = ask(&host, &hint, dialect, keccak(code_hash)).unwrap();
        assert_eq!(code, bytes(&facts["code"]));
    }
    let host = memory_host(urls, facts);
    let slot = [0; 32];
    let block = BlockId::Number(number);
    let hint = Hint::L2AccountStorageProof { block, address: contract, slot, chain: None };
    ask(&host, &hint, Dialect::Kona, keccak(storage_root)).unwrap();

    // Single nodes and code, in the middle of the execution of the next block.
    for dialect in [Dialect::Kona, Dialect::OpProgram] {
        let host = memory_host(urls, facts);
        let hash_of_block = hash(&facts["state"]["hash"]);
        let hint = Hint::L2BlockHeader { hash: hash_of_block, chain: None };
        ask(&host, &hint, dialect, keccak(hash_of_block)).unwrap();
        let hint = Hint::L2StateNode { hash: state_root, chain: None };
        ask(&host, &hint, dialect, keccak(state_root)).unwrap();
        let hint = Hint::L2Code { hash: code_hash, chain: None };
        ask(&host, &hint, dialect, keccak(code_hash)).unwrap();
    }

    // The output of the agreed block.
    let root = hash(&facts["head"]["outputRoot"]);
    for dialect in [Dialect::Kona, Dialect::OpProgram] {
        let host = memory_host(urls, facts);
        let output =
            ask(&host, &Hint::L2Output { root, chain: None }, dialect, keccak(root)).unwrap();
        assert_eq!(output, bytes(&facts["head"]["output"]));
    }
}

/// Fetches whole witnesses.
pub(crate) fn witnesses(urls: &Urls, facts: &Value) {
    let number = facts["state"]["number"].as_u64().unwrap();
    let block = hash(&facts["state"]["hash"]);
    let state_root = hash(&facts["state"]["stateRoot"]);
    let parts = PayloadWitness::Parts { parent: block, attributes: b"{}".into(), chain: None };
    let object = format!(
        r#"{{"parentBlockHash":{},"payloadAttributes":{{}},"chainID":"1337"}}"#,
        facts["state"]["hash"]
    );
    let object = PayloadWitness::Object(object.into_bytes().into());
    for (hint, dialect) in [
        (Hint::L2PayloadWitness(parts), Dialect::Kona),
        (Hint::L2PayloadWitness(object), Dialect::OpProgram),
        (Hint::L2ExecutionWitness { block: number + 1 }, Dialect::OpProgram),
    ] {
        let host = memory_host(urls, facts);
        ask(&host, &hint, dialect, keccak(state_root)).unwrap();
    }
    let hint =
        Hint::L2BlockData { agreed: block, block: hash(&facts["next"]["hash"]), chain: 1337 };
    let host = memory_host(urls, facts);
    ask(&host, &hint, Dialect::Kona, keccak(state_root)).unwrap();
}

/// Fetches the published blob, with both forms of the hint.
pub(crate) fn blob(urls: &Urls, facts: &Value) {
    let (blob, commitment) = published_blob();
    let mut versioned_hash = Key::sha256_of(&commitment).into_bytes();
    versioned_hash[0] = 1;
    for index in [Some(1), None, Some(5)] {
        let timestamp = GENESIS + 77 * 12;
        let hint = Hint::L1Blob { versioned_hash, index, timestamp };
        let host = memory_host(urls, facts);
        let key = Key::sha256(versioned_hash);
        assert_eq!(ask(&host, &hint, Dialect::Kona, key).unwrap(), commitment);
        // The second element; its point is -1.
        let minus_one = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";
        let z: [u8; 32] = hex::decode(minus_one).unwrap().try_into().unwrap();
        let commitment: [u8; 48] = commitment.clone().try_into().unwrap();
        let key = Key::blob(&commitment, &z);
        assert_eq!(host.store().get(key).unwrap().unwrap(), blob[32..64]);
        let behind = host.store().get(keccak(key.into_bytes())).unwrap().unwrap();
        assert_eq!(behind, [&commitment[..], &z].concat());
    }
}

/// Has a signature recovered, with all three forms of the hint.
pub(crate) fn precompile(urls: &Urls, facts: &Value) {
    let mut address = [0; 20];
    address[19] = 1;
    let input = hex::decode(
        "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c\
         000000000000000000000000000000000000000000000000000000000000001c\
         73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f\
         eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549",
    )
    .unwrap();
    for (required_gas, dialect) in
        [(Some(3000), Dialect::Kona), (Some(3000), Dialect::OpProgram), (None, Dialect::OpProgram)]
    {
        let hint = Hint::L1Precompile { address, required_gas, input: input.as_slice().into() };
        let gas = required_gas.map_or(Vec::new(), |gas: u64| gas.to_be_bytes().to_vec());
        let call = [&address[..], &gas, &input].concat();
        let mut key = Key::keccak256_of(&call).into_bytes();
        let behind = keccak(key);
        key[0] = 6;
        let host = memory_host(urls, facts);
        let result = ask(&host, &hint, dialect, Key::from_bytes(key)).unwrap();
        assert_eq!(hex::encode(&result[13..]), "a94f5374fce5edbc8e2a8697c15331677e6ebf0b");
        assert_eq!(host.store().get(behind).unwrap().unwrap(), call);
    }
}
