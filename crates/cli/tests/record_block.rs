//! record --block: a block of an L2 chain, from a node that is in the test.

mod common;

#[path = "../../optimism-host/tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::{Asked, Node, Reply, bytes, read_packed_json, testdata};

use common::*;

const NUMBER: u64 = 26_207_960;

/// What a node says of a block and of the one before.
struct Block {
    hash: Value,
    /// As the node writes it: the header, and that of the parent.
    header: Value,
    parent: Value,
    transactions: Vec<Vec<u8>>,
    /// What its execution reads, by hash.
    state: Value,
}

/// How a node says what the execution of a block reads.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Of a block that it has, all at once.
    Block,
    /// Node by node.
    Nodes,
    /// Of any payload, all at once.
    Payload,
}

impl Block {
    fn read() -> Self {
        let recorded = |number: u64| {
            let name = format!("op-stack/op-sepolia-{number}-holocene.json.gz");
            read_packed_json(&testdata().join(name))
        };
        let (block, next) = (recorded(NUMBER), recorded(NUMBER + 1));
        let transactions = block["executing_payload"]["transactions"].as_array().unwrap();
        Self {
            hash: block["expected_block_hash"].clone(),
            header: next["parent_header"].clone(),
            parent: block["parent_header"].clone(),
            transactions: transactions.iter().map(bytes).collect(),
            state: block["preimages"].clone(),
        }
    }

    /// What the block is made of, as nodes read it.
    fn attributes(&self) -> Value {
        let extra = self.header["extraData"].as_str().unwrap();
        let hexadecimal = |bytes: &Vec<u8>| format!("0x{}", hex::encode(bytes));
        json!({
            "timestamp": self.header["timestamp"],
            "prevRandao": self.header["mixHash"],
            "suggestedFeeRecipient": self.header["miner"],
            "withdrawals": [],
            "parentBeaconBlockRoot": self.header["parentBeaconBlockRoot"],
            "transactions": self.transactions.iter().map(hexadecimal).collect::<Vec<_>>(),
            "noTxPool": true,
            "gasLimit": self.header["gasLimit"],
            // Without the version in front.
            "eip1559Params": format!("0x{}", &extra[4..]),
        })
    }

    /// The block's bytes, as far as anybody looks at them: what is beside the transactions is empty.
    fn raw(&self) -> String {
        let mut list = Vec::new();
        for transaction in &self.transactions {
            // Whatever has a type is a string within the list.
            match transaction[0] {
                0xc0.. => list.extend(transaction),
                _ => tribunal_rlp::write_string(&mut list, transaction),
            }
        }
        let parts = [&[0xc0][..], &tribunal_rlp::list_of(&list), &[0xc0]].concat();
        format!("0x{}", hex::encode(tribunal_rlp::list_of(&parts)))
    }

    /// A node that has the block, and says so what its execution reads.
    fn node(self, way: Way) -> Node {
        self.node_of("0xaa37dc", way)
    }

    /// One that says that it is of this chain.
    fn node_of(self, chain: &'static str, way: Way) -> Node {
        Node::start(move |asked: &Asked| match asked.method.as_str() {
            "eth_chainId" => Reply::result(chain),
            "eth_getBlockByNumber" if asked.params[0] == format!("{NUMBER:#x}") => {
                let parent = self.header["parentHash"].clone();
                Reply::result(json!({ "hash": self.hash, "parentHash": parent }))
            }
            "eth_getBlockByNumber" => Reply::result(Value::Null),
            "eth_getBlockByHash" if asked.params[0] == self.hash => {
                Reply::result(self.header.clone())
            }
            "eth_getBlockByHash" if asked.params[0] == self.header["parentHash"] => {
                Reply::result(self.parent.clone())
            }
            "debug_getRawBlock" if asked.params[0] == self.hash => Reply::result(self.raw()),
            "debug_executionWitness" if way == Way::Block => {
                assert_eq!(asked.params, json!([format!("{NUMBER:#x}")]));
                Reply::result(json!({ "state": self.state }))
            }
            "debug_executePayload" if way == Way::Payload => {
                assert_eq!(asked.params, json!([self.header["parentHash"], self.attributes()]));
                Reply::result(json!({ "state": self.state }))
            }
            "debug_dbGet" if way == Way::Nodes => {
                match &self.state[asked.params[0].as_str().unwrap()] {
                    Value::Null => Reply::error(-32000, "leveldb: not found"),
                    node => Reply::result(node.clone()),
                }
            }
            other => Reply::lacks(other),
        })
    }
}

fn record(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = tribunal();
    for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    command.current_dir(directory).arg("record").args(arguments).output().unwrap()
}

#[test]
fn any_block_of_a_node_becomes_a_recording_that_repeats_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    for way in [Way::Block, Way::Payload] {
        let node = Block::read().node(way);
        let number = NUMBER.to_string();
        let arguments = ["--l2", &node.url, "--block", &number, "-o", "block.rec"];
        let output = record(dir, &arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        line_with(&stdout(&output), "block 26207960 0x");
        line_with(&stdout(&output), ": as claimed, 10 transactions, 953624 gas");
        line_with(&said, "recorded ");
        // Who it is, two headers, the transactions, and all at once what the execution reads.
        assert!(node.count() < 12, "{} questions", node.count());
        drop(node);

        let replayed = run_in(dir, ["exec", "block.rec"]);
        assert_eq!(replayed.status.code(), Some(0), "{}", stderr(&replayed));
        assert_eq!(stdout(&replayed), stdout(&output));
        line_with(&stderr(&replayed), "recording  repeated: the same final state");
    }
}

/// The program judges by the configuration that it knows, and whoever names another is told.
#[test]
fn a_configuration_that_is_not_used_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let name = format!("op-stack/op-sepolia-{NUMBER}-holocene.json.gz");
    let mut config = read_packed_json(&testdata().join(name))["rollup_config"].take();
    config["l2_chain_id"] = json!(0x4d);
    config["regolith_time"] = json!(0);
    std::fs::write(dir.join("rollup.json"), config.to_string()).unwrap();
    let number = NUMBER.to_string();
    let recorded = |node: &Node| {
        let arguments = ["--l2", &node.url, "--block", &number, "-o", "block.rec"];
        record(dir, &[&arguments[..], &["--rollup-cfg", "rollup.json"]].concat())
    };
    let output = recorded(&Block::read().node(Way::Block));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    line_with(&stderr(&output), "warning: rollup.json was not used: the program knows");
    // A chain that it does not know, whose transactions are not these.
    let output = recorded(&Block::read().node_of("0x4d", Way::Block));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!stderr(&output).contains("was not used"), "{}", stderr(&output));
}

#[test]
fn what_a_node_lacks_or_does_not_know_is_the_nodes_failure() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let node = Block::read().node(Way::Block);
    let output =
        record(dir, &["--l2", &node.url, "--block", "7", "-o", "a.rec", "--host-deadline=1"]);
    assert_eq!(output.status.code(), Some(3));
    line_with(&stderr(&output), "error: the node does not say what block 7 is");
    line_with(&stderr(&output), "it has no block 7");

    // Without witnesses and without proofs no way leads to the state.
    let node = Block::read().node(Way::Nodes);
    let number = NUMBER.to_string();
    let arguments = ["--l2", &node.url, "--block", &number, "-o", "b.rec", "--host-deadline=2"];
    let output = record(dir, &arguments);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    line_with(&said, "error: the host does not know a preimage");
    line_with(&said, "has no eth_getProof");
    line_with(&said, "what there is of the run is recorded: ");
}

#[test]
fn flags_that_do_not_belong_together_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["--block", "7", "-o", "a.rec"][..],
        &["--l2", "http://127.0.0.1:1", "--block", "0", "-o", "a.rec"],
        &["--l2", "http://127.0.0.1:1", "--block", "7", "-o", "a.rec", "--preimages", "x"],
        &["-o", "a.rec"],
        &["--l2", "no url", "--block", "7", "-o", "a.rec"],
    ] {
        let output = record(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}
