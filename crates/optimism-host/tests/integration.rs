//! Fetching from a real geth in developer mode, and from anvil: `cargo xtask integration`, which
//! fetches both and says where they are.
//!
//! What geth answers can be recorded (`--record`), for the tests that need no node.

mod support;

#[path = "support/scenario.rs"]
mod scenario;

use std::collections::BTreeMap;
use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tribunal_host::store::{DiskFormat, DiskStore};
use tribunal_keccak::keccak256;
use tribunal_optimism_hints::Dialect;
use tribunal_optimism_host::{Grade, output_preimage, survey_l1, survey_l2};
use tribunal_rpc::{Bounds, Client, Endpoint, Question};

use scenario::{POLICY, Urls, check_block, host, items};
use support::{Asked, BlobApi, Node, Recording, Reply, beacon, bytes, hash, published_blob};

/// Signed for chain 1337 with the key that geth's developer mode makes rich: a contract that writes a
/// slot and logs, a call of it with an access list, transfers; a transaction that carries the
/// published blob, without the blob; and one that delegates the account.
const TRANSACTIONS: &str = include_str!("support/transactions.txt");

/// The proof that the published blob belongs to its commitment.
const BLOB_PROOF: &str = "8ed2e17908ed8a90278f7ec708658e79733b14a59c7fd2d2c989f9e29b44539e\
                          7d551fa17a13be7a7b595189720e87e6";

/// Where the contract is.
const CONTRACT: &str = "0x3a220f351252089d385b29beca14e27f204c296a";

const MESSAGE_PASSER: &str = "0x4200000000000000000000000000000000000016";

/// A node in a process of its own.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn spawn(command: &mut Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let process = Self { child, url };
        let start = Instant::now();
        while process.try_ask("eth_chainId", json!([])).is_none() {
            assert!(start.elapsed() < Duration::from_secs(180), "{command:?} does not start");
            thread::sleep(Duration::from_millis(100));
        }
        process
    }

    fn try_ask(&self, method: &str, params: Value) -> Option<Value> {
        let endpoint = Endpoint::new(&self.url, 64 << 20).unwrap();
        endpoint.ask(&Question::new(method, params), Duration::from_secs(20)).ok()
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let endpoint = Endpoint::new(&self.url, 64 << 20).unwrap();
        // The first blob has geth compute for a while.
        let answer = endpoint.ask(&Question::new(method, params), Duration::from_secs(180));
        answer.unwrap_or_else(|trouble| panic!("{}", trouble.in_full()))
    }

    /// Ends it in the midst of everything; it only gets to write down its chain.
    fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run cargo xtask integration"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn geth(data: &Path) -> Process {
    let port = free_port();
    let mut command = Command::new(program("GETH"));
    command.args(["--dev", "--dev.period", "1", "--datadir"]).arg(data);
    command.args(["--http", "--http.port", &port.to_string(), "--http.api", "eth,debug,web3"]);
    command.args(["--authrpc.port", "0", "--nodiscover", "--maxpeers", "0", "--ipcdisable"]);
    command.args(["--state.scheme", "hash", "--gcmode", "archive"]);
    Process::spawn(&mut command, port)
}

/// Waits until so many transactions of the account are in blocks.
fn wait_for(node: &Process, account: &str, count: u64) {
    let start = Instant::now();
    while node.ask("eth_getTransactionCount", json!([account, "latest"])) != format!("{count:#x}") {
        assert!(start.elapsed() < Duration::from_secs(180), "nothing gets into a block");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Sends the transactions. Returns what there is to know of the chain then.
fn make_chain(node: &Process) -> Value {
    let accounts = node.ask("eth_accounts", json!([]));
    let account = accounts[0].as_str().unwrap();
    let raw: Vec<&str> = TRANSACTIONS.lines().collect();
    let [plain @ .., blob, delegation] = raw.as_slice() else { panic!("no transactions") };
    for transaction in plain {
        node.ask("eth_sendRawTransaction", json!([transaction]));
    }
    let plain = plain.len() as u64;
    wait_for(node, account, plain);
    // On a slow machine the first blob takes geth longer than it lets a request take.
    let sent = json!([with_blob(blob)]);
    let _ = (0..5).find(|_| node.try_ask("eth_sendRawTransaction", sent.clone()).is_some());
    wait_for(node, account, plain + 1);
    node.ask("eth_sendRawTransaction", json!([delegation]));
    // The account delegates itself, which counts too.
    wait_for(node, account, plain + 3);
    facts(node)
}

/// The form in which a transaction with a blob is sent.
fn with_blob(transaction: &str) -> String {
    use alloy_rlp::{Encodable as _, Header};
    let (blob, commitment) = published_blob();
    let list = |item: &[u8]| {
        let mut payload = Vec::new();
        item.encode(&mut payload);
        let mut list = Vec::new();
        Header { list: true, payload_length: payload.len() }.encode(&mut list);
        [list, payload].concat()
    };
    let proof = hex::decode(BLOB_PROOF).unwrap();
    let body = bytes(&json!(transaction))[1..].to_vec();
    let payload = [body, list(&blob), list(&commitment), list(&proof)].concat();
    let mut sent = vec![3];
    Header { list: true, payload_length: payload.len() }.encode(&mut sent);
    sent.extend(payload);
    format!("0x{}", hex::encode(sent))
}

/// The blocks that have transactions and one that has none, as the node itself encodes them.
fn facts(node: &Process) -> Value {
    let latest = bytes_number(&node.ask("eth_blockNumber", json!([])));
    let mut blocks = Vec::new();
    let mut last = 0;
    let mut has_empty = false;
    for number in 1..=latest {
        let block = node.ask("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
        let hashes = block["transactions"].as_array().unwrap();
        if hashes.is_empty() && has_empty {
            continue;
        }
        has_empty |= hashes.is_empty();
        last = if hashes.is_empty() { last } else { number };
        let transactions: Vec<Value> = hashes
            .iter()
            .map(|hash| node.ask("eth_getRawTransactionByHash", json!([hash])))
            .collect();
        blocks.push(json!({
            "number": number,
            "hash": block["hash"],
            "header": node.ask("debug_getRawHeader", json!([block["hash"]])),
            "transactions": transactions,
            "receipts": node.ask("debug_getRawReceipts", json!([block["hash"]])),
        }));
    }
    // The last one calls the contract, so its witness has the contract's code.
    let number = last - 1;
    let at = |number: u64| node.ask("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
    let (parent, next) = (at(number), at(last));
    let proof = node.ask("eth_getProof", json!([CONTRACT, ["0x0"], format!("{number:#x}")]));
    let passer = node.ask("eth_getProof", json!([MESSAGE_PASSER, [], parent["hash"]]));
    let output = output_preimage(
        &hash(&parent["stateRoot"]),
        &hash(&passer["storageHash"]),
        &hash(&parent["hash"]),
    );
    let digits = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    json!({
        "blocks": blocks,
        "contract": CONTRACT,
        "code": node.ask("eth_getCode", json!([CONTRACT, "latest"])),
        "codeHash": proof["codeHash"],
        "storageRoot": proof["storageHash"],
        "state": { "number": number, "hash": parent["hash"], "stateRoot": parent["stateRoot"] },
        "next": { "hash": next["hash"] },
        "claimed": last,
        "head": {
            "hash": parent["hash"],
            "output": digits(&output),
            "outputRoot": digits(&keccak256(&output)),
        },
    })
}

fn bytes_number(value: &Value) -> u64 {
    u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap()
}

/// What a node without some methods leaves to try.
const LACKS: [&[&str]; 4] = [
    &[],
    &["debug_getRawHeader", "debug_getRawBlock", "debug_getRawReceipts", "debug_dbGet"],
    &["debug_getRawHeader", "debug_getRawBlock", "debug_getRawReceipts", "eth_getBlockReceipts"],
    &["debug_dbGet", "debug_executePayload", "debug_codeByHash"],
];

#[test]
fn everything_comes_from_geth_in_every_way() {
    let data = tempfile::tempdir().unwrap();
    let geth = geth(data.path());
    let facts = make_chain(&geth);
    let answers: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let beacon_node = Node::start(beacon(BlobApi::Blobs));
    for lacks in LACKS {
        let endpoint = Endpoint::new(&geth.url, 64 << 20).unwrap();
        let recorded = Arc::clone(&answers);
        let between = Node::start(move |asked: &Asked| {
            if lacks.contains(&asked.method.as_str()) {
                return Reply::lacks(&asked.method);
            }
            let question = Question::new(&asked.method, asked.params.clone());
            let answer = match endpoint.ask(&question, Duration::from_secs(20)) {
                Ok(result) => json!({ "result": result }),
                Err(trouble) => match *trouble.what {
                    tribunal_rpc::What::Refused { code, message, .. } => {
                        json!({ "error": { "code": code, "message": message } })
                    }
                    _ => panic!("{}", trouble.in_full()),
                },
            };
            recorded.lock().unwrap().insert(Recording::key(asked), answer.clone());
            Reply::Answer(answer)
        });
        let urls = Urls::of(&between.url, &beacon_node.url);
        scenario::blocks(&urls, &facts);
        scenario::state(&urls, &facts);
        scenario::witnesses(&urls, &facts);

        let client = Client::new(&[&between.url], POLICY).unwrap();
        let bounds = Bounds::within(Duration::from_secs(30));
        let head = hash(&facts["head"]["hash"]);
        for findings in [
            survey_l1(&client, Some(&head), bounds),
            survey_l2(&client, Some(1337), Some(&head), bounds),
        ] {
            assert!(findings.iter().all(|finding| finding.grade < Grade::Bad), "{findings:?}");
        }
    }
    if env::var_os("RECORD").is_some() {
        let answers = answers.lock().unwrap().clone();
        Recording { facts, answers }.write();
    }
}

/// anvil has no `debug_` methods for this, and words its errors in its own way.
#[test]
fn blocks_come_from_anvil() {
    let port = free_port();
    let mut command = Command::new(program("ANVIL"));
    command.args(["--port", &port.to_string(), "--chain-id", "1337", "--silent"]);
    let anvil = Process::spawn(&mut command, port);
    let accounts = anvil.ask("eth_accounts", json!([]));
    let (from, to) = (&accounts[0], &accounts[1]);
    for transaction in [
        json!({ "from": from, "to": to, "value": "0x1", "type": "0x0", "gasPrice": "0x77359400" }),
        json!({ "from": from, "to": to, "value": "0x2" }),
        json!({ "from": from, "data": "0x6c6001600055602a60006000a100600052600d6013f3" }),
    ] {
        anvil.ask("eth_sendTransaction", json!([transaction]));
    }
    let client = Client::new(&[&anvil.url], POLICY).unwrap();
    let latest = bytes_number(&anvil.ask("eth_blockNumber", json!([])));
    assert!(latest >= 3);
    let urls = Urls::of(&anvil.url, &anvil.url);
    let block =
        |number: u64| anvil.ask("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
    let facts = json!({ "head": { "hash": block(1)["hash"] }, "claimed": latest });
    let host = scenario::memory_host(&urls, &facts);
    for number in 0..=latest {
        let hash = hash(&block(number)["hash"]);
        let header = tribunal_optimism_hints::Hint::L1BlockHeader(hash);
        let key = scenario::keccak(hash);
        let header = scenario::ask(&host, &header, Dialect::Kona, key).unwrap();
        let fields = items(&header);
        for (hint, field) in [
            (tribunal_optimism_hints::Hint::L1Transactions(hash), 4),
            (tribunal_optimism_hints::Hint::L1Receipts(hash), 5),
        ] {
            let key = scenario::keccak(fields[field].try_into().unwrap());
            scenario::ask(&host, &hint, Dialect::Kona, key).unwrap();
        }
    }
    let findings = survey_l1(&client, None, Bounds::within(Duration::from_secs(30)));
    assert!(findings.iter().all(|finding| finding.grade < Grade::Bad), "{findings:?}");
}

/// Ended in the middle, then back with its chain: the same store is filled to the end.
#[test]
fn a_node_that_goes_away_and_comes_back_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let node = geth(data.path());
    let facts = make_chain(&node);
    let blocks = facts["blocks"].as_array().unwrap();
    let open = || DiskStore::create(kept.path(), DiskFormat::Directory).unwrap();
    let urls = Urls::of(&node.url, &node.url);
    // As patient as it must be with a node on a slow machine; with the one that is gone, too.
    let first = host(&urls, &facts, POLICY, Duration::from_secs(10), open());
    check_block(&first, &blocks[0], true, Dialect::Kona);
    node.end();
    let name = hash(&blocks[1]["hash"]);
    let hint = tribunal_optimism_hints::Hint::L1BlockHeader(name);
    let error = scenario::ask(&first, &hint, Dialect::Kona, scenario::keccak(name)).unwrap_err();
    assert!(error.to_string().contains("cannot reach http://127.0.0.1:"), "{error}");
    drop(first);

    let node = geth(data.path());
    let urls = Urls::of(&node.url, &node.url);
    let again = host(&urls, &facts, POLICY, Duration::from_secs(20), open());
    for block in blocks {
        check_block(&again, block, true, Dialect::Kona);
    }
}
