//! Nodes that fail and nodes that lie: nothing false is ever stored, the error says who and why, a
//! better node is found, and a run that was broken off goes on where it was.

mod support;

#[path = "support/scenario.rs"]
mod scenario;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tribunal_host::PreimageStore as _;
use tribunal_host::StoreError;
use tribunal_host::store::{Backend, DiskFormat, DiskStore, MemoryStore};
use tribunal_optimism_hints::{Dialect, Hint};
use tribunal_preimage::{Key, OracleError};
use tribunal_rpc::{Bounds, Client, Policy, What};

use scenario::{POLICY, Urls, ask, check_block, host, keccak};
use support::{Asked, BlobApi, Node, Recording, Reply, beacon, bytes, hash};

/// What becomes of a true answer.
type Fault = fn(&Asked, Value) -> Reply;

/// Every way to fail, with words that the error must have.
fn faults() -> Vec<(&'static str, Fault, &'static str)> {
    fn with_digit_changed(text: &str) -> String {
        let digit = if text.ends_with('0') { "1" } else { "0" };
        format!("{}{digit}", &text[..text.len() - 1])
    }
    /// Changes the last text in an answer.
    fn change(value: &mut Value) -> bool {
        match value {
            Value::String(text) if text.starts_with("0x") && text.len() > 4 => {
                *text = with_digit_changed(text);
                true
            }
            Value::Array(list) => list.iter_mut().rev().any(change),
            Value::Object(map) => {
                let fields = ["stateRoot", "result", "transactions", "cumulativeGasUsed", "input"];
                fields.iter().any(|field| map.get_mut(*field).is_some_and(change))
            }
            _ => false,
        }
    }
    vec![
        (
            "another byte",
            |_, mut answer| {
                change(&mut answer);
                Reply::Answer(answer)
            },
            "",
        ),
        ("nothing", |_, _| Reply::result(Value::Null), ""),
        ("another type", |_, _| Reply::result(json!({ "hello": [1] })), ""),
        ("null fields", |_, _| Reply::result(json!({ "transactions": null, "logs": null })), ""),
        (
            "cut off JSON",
            |_, answer| {
                let text = answer.to_string();
                Reply::Bytes(
                    format!(
                        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
                        &text[..text.len() / 2]
                    )
                    .into(),
                )
            },
            "its answer is no JSON-RPC",
        ),
        (
            "less than promised",
            |_, _| Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"id\":".into()),
            "cannot",
        ),
        ("no HTTP", |_, _| Reply::Bytes(b"nonsense\r\n\r\n".into()), "cannot"),
        ("hung up", |_, _| Reply::Bytes(Vec::new()), "cannot"),
        (
            "429",
            |_, _| Reply::Http("429 Too Many Requests", "retry-after: 0\r\n", "slow down"),
            "HTTP status 429",
        ),
        ("500", |_, _| Reply::Http("500 Internal Server Error", "", "oops"), "HTTP status 500"),
        ("an error", |_, _| Reply::error(-32000, "header not found"), "it says: header not found"),
        (
            "another question's",
            |_, answer| Reply::Answer(json!({ "id": 999_999, "result": answer["result"] })),
            "its answer is to another question",
        ),
        ("a stall", |_, _| Reply::Silence, "does not answer within 0.2 s"),
    ]
}

const HASTY: Policy = Policy { timeout: Duration::from_millis(200), ..POLICY };

/// A block of the recording with several transactions.
fn block(facts: &Value) -> Value {
    let blocks = facts["blocks"].as_array().unwrap();
    let longest = blocks.iter().max_by_key(|block| block["transactions"].as_array().unwrap().len());
    longest.unwrap().clone()
}

/// A node whose first answers are faulty.
fn faulty(recording: &Recording, fault: Fault, times: usize) -> Node {
    let recording = recording.clone();
    let mut left = times;
    Node::start(move |asked| {
        let Reply::Answer(answer) = recording.answer(asked) else { unreachable!() };
        if left == 0 {
            return Reply::Answer(answer);
        }
        left -= 1;
        fault(asked, answer)
    })
}

#[test]
fn from_a_node_that_always_fails_nothing_is_stored() {
    let recording = Recording::read();
    std::thread::scope(|scope| {
        for (fault, how, says) in faults() {
            let recording = &recording;
            scope.spawn(move || check_nothing_is_stored(recording, fault, how, says));
        }
    });
}

fn check_nothing_is_stored(recording: &Recording, fault: &str, how: Fault, says: &str) {
    let facts = &recording.facts;
    let name = hash(&block(facts)["hash"]);
    let state_root = hash(&facts["state"]["stateRoot"]);
    let node = faulty(recording, how, usize::MAX);
    let urls = Urls::of(&node.url, &node.url);
    // Only where silence is the fault may time be it: this machine may be slow.
    let policy = if fault == "a stall" { HASTY } else { POLICY };
    let host = host(&urls, facts, policy, Duration::from_secs(3), MemoryStore::new());
    for (hint, wanted) in [
        (Hint::L1BlockHeader(name), name),
        (Hint::L2StateNode { hash: state_root, chain: None }, state_root),
    ] {
        let error = ask(&host, &hint, Dialect::Kona, keccak(wanted)).unwrap_err();
        assert!(matches!(error, OracleError::Missing { .. }), "{fault}: {error}");
        let error = error.to_string();
        let hint = hint.encode(Dialect::Kona).unwrap();
        assert!(error.contains(&hint) && error.contains(&node.url), "{fault}: {error}");
        assert!(error.contains(says), "{fault}: {error}");
        assert_eq!(host.store().get(keccak(wanted)).unwrap(), None, "{fault}");
    }
}

/// The header is true, and all that is said of what it names is false.
#[test]
fn what_a_true_header_names_is_held_against_it() {
    let recording = Recording::read();
    let facts = recording.facts.clone();
    let other = facts["blocks"].as_array().unwrap().last().unwrap().clone();
    let block = block(&facts);
    let name = hash(&block["hash"]);
    let (ours, others) = (block["hash"].clone(), other["hash"].clone());
    // Answers every question about the block with another block.
    let node = Node::start(move |asked| {
        let mut asked = asked.clone();
        if asked.method != "debug_getRawHeader" && asked.params[0] == ours {
            asked.params[0] = others.clone();
        }
        match recording.answers.get(&Recording::key(&asked)) {
            Some(answer) => Reply::Answer(answer.clone()),
            None => Reply::lacks(&asked.method),
        }
    });
    let urls = Urls::of(&node.url, &node.url);
    let host = host(&urls, &facts, POLICY, Duration::from_secs(3), MemoryStore::new());
    let header = bytes(&block["header"]);
    for (hint, field) in [(Hint::L1Transactions(name), 4), (Hint::L1Receipts(name), 5)] {
        let root = scenario::items(&header)[field].try_into().unwrap();
        let error = ask(&host, &hint, Dialect::Kona, keccak(root)).unwrap_err().to_string();
        assert!(error.contains("have the root 0x"), "{error}");
        assert_eq!(host.store().get(keccak(root)).unwrap(), None);
    }
    // The header was true, and stays.
    assert_eq!(host.store().get(keccak(name)).unwrap(), Some(header));
}

/// What nodes have that say receipts only one by one.
const ONE_BY_ONE: [&str; 2] = ["debug_getRawReceipts", "eth_getBlockReceipts"];

/// A node that says receipts one by one, the first of them wrong.
fn wrong_receipts(recording: &Recording, times: usize) -> Node {
    let recording = recording.clone();
    let mut left = times;
    Node::start(move |asked| match asked.method.as_str() {
        lacks if ONE_BY_ONE.contains(&lacks) => Reply::lacks(lacks),
        "eth_getTransactionReceipt" if left > 0 => {
            let Reply::Answer(mut answer) = recording.answer(asked) else { unreachable!() };
            left -= 1;
            answer["result"]["cumulativeGasUsed"] = json!("0x1");
            Reply::Answer(answer)
        }
        _ => recording.answer(asked),
    })
}

/// Each answer is one of a receipt, and all together are not those of the header: a node that lags.
#[test]
fn receipts_that_do_not_belong_together_are_told_and_asked_for_again() {
    let recording = Recording::read();
    let facts = &recording.facts;
    let block = block(facts);
    let count = block["transactions"].as_array().unwrap().len();
    let name = hash(&block["hash"]);
    let root = scenario::items(&bytes(&block["header"]))[5].try_into().unwrap();
    let hint = Hint::L1Receipts(name);

    let node = wrong_receipts(&recording, usize::MAX);
    let urls = Urls::of(&node.url, &node.url);
    let host = host(&urls, facts, POLICY, Duration::from_secs(2), MemoryStore::new());
    let error = ask(&host, &hint, Dialect::Kona, keccak(root)).unwrap_err().to_string();
    let hint = hint.encode(Dialect::Kona).unwrap();
    let key = keccak(root).to_string();
    for words in [
        key.as_str(),
        &hint,
        &format!("{} does not answer eth_getTransactionReceipt", node.url),
        &format!("the {count} receipts have the root 0x"),
        "it may lag, or see another fork",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(host.store().get(keccak(root)).unwrap(), None);
    // A header, two methods that lack, a list of hashes; then all receipts, more than once.
    assert!(node.count() > 5 + 2 * count, "{} questions: {error}", node.count());

    // In the third attempt it has caught up.
    let node = wrong_receipts(&recording, 2 * count);
    let urls = Urls::of(&node.url, &node.url);
    let host = scenario::memory_host(&urls, facts);
    check_block(&host, &block, true, Dialect::Kona);

    // Of two nodes, the other one is right.
    let (bad, good) = (wrong_receipts(&recording, usize::MAX), wrong_receipts(&recording, 0));
    let l1 = vec![bad.url.clone(), good.url.clone()];
    let host = scenario::memory_host(&Urls { l1, ..Urls::of(&bad.url, &bad.url) }, facts);
    check_block(&host, &block, true, Dialect::Kona);
}

/// As [`Client::ask_many`] does where a node takes one question at a time.
fn ask_one_by_one(client: &Client, bounds: Bounds<'_>) -> tribunal_rpc::Trouble {
    let params = (0..40).map(|number| json!([number]));
    client.ask_many("eth_test", params, bounds, |_, answer| Ok(answer), Ok).unwrap_err()
}

#[test]
fn questions_one_by_one_end_with_their_time() {
    let node = Node::start_with(
        |_| {
            std::thread::sleep(Duration::from_millis(200));
            Reply::result(1)
        },
        false,
    );
    let policy = Policy { batch: 50, ..POLICY };
    let client = Client::new(&[&node.url], policy).unwrap();
    let trouble = ask_one_by_one(&client, Bounds::within(Duration::from_secs(2)));
    assert!(matches!(*trouble.what, What::Unfinished { questions: 40, .. }), "{trouble}");
    assert!(trouble.to_string().contains(" of 40 questions when the time was over"), "{trouble}");
    assert!(node.count() < 40, "{}", node.count());
}

#[test]
fn questions_one_by_one_end_when_nobody_wants_them() {
    let cancel = Arc::new(AtomicBool::new(false));
    let (flag, mut left) = (Arc::clone(&cancel), 3);
    let node = Node::start_with(
        move |_| {
            left -= 1;
            flag.store(left == 0, Ordering::Relaxed);
            Reply::result(1)
        },
        false,
    );
    let policy = Policy { batch: 50, ..POLICY };
    let client = Client::new(&[&node.url], policy).unwrap();
    let cancelled = || cancel.load(Ordering::Relaxed);
    let bounds = Bounds::new(Instant::now() + Duration::from_secs(600), &cancelled);
    let trouble = ask_one_by_one(&client, bounds);
    assert!(matches!(*trouble.what, What::Cancelled), "{trouble}");
    assert_eq!(node.count(), 3);
}

/// A request that is on its way does not keep whoever has stopped waiting. Else this takes an hour.
#[test]
fn nobody_waits_for_a_node_that_stalls_once_the_answer_is_not_wanted() {
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    let node = Node::start(move |_| {
        flag.store(true, Ordering::Relaxed);
        Reply::Silence
    });
    let hour = Duration::from_secs(3600);
    let client = Client::new(&[&node.url], Policy { timeout: hour, ..POLICY }).unwrap();
    let cancelled = || cancel.load(Ordering::Relaxed);
    let bounds = Bounds::new(Instant::now() + hour, &cancelled);
    let question = tribunal_rpc::Question::new("eth_test", json!([]));
    let trouble = client.ask(&question, bounds, Ok).unwrap_err();
    assert!(matches!(*trouble.what, What::Cancelled), "{trouble}");
    drop(node);
}

/// What cannot get better is not waited for, and what to do fits what happened.
#[test]
fn who_is_turned_away_is_told_so_at_once() {
    const HOUR: Duration = Duration::from_secs(3600);
    let facts = Recording::read().facts;
    let name = hash(&block(&facts)["hash"]);
    let barred = "is the key in the URL right";
    for (status, body, says) in [
        ("401 Unauthorized", "who are you?", barred),
        ("401 Unauthorized", r#"{"id":1,"error":{"code":-32600,"message":"who?"}}"#, barred),
        ("403 Forbidden", "not you", barred),
        ("404 Not Found", "nothing here", "is the path of the URL right"),
        ("301 Moved Permanently", "", "is the path of the URL right"),
    ] {
        let node = Node::start(move |_| Reply::Http(status, "", body));
        let urls = Urls::of(&node.url, &node.url);
        let host = host(&urls, &facts, POLICY, HOUR, MemoryStore::new());
        for hint in [Hint::L1BlockHeader(name), Hint::L2StateNode { hash: name, chain: None }] {
            let error = ask(&host, &hint, Dialect::Kona, keccak(name)).unwrap_err().to_string();
            assert!(error.contains(&format!("HTTP status {status}")), "{status}: {error}");
            assert!(error.contains(says), "{status}: {error}");
            assert!(!error.contains("right chain") && !error.contains("debug_dbGet ("), "{error}");
        }
        // 403 may be about one method.
        let most = if status.starts_with("403") { 8 } else { 2 };
        assert!(node.count() <= most, "{status}: {} questions", node.count());
    }
}

#[test]
fn advice_fits_what_happened() {
    let facts = Recording::read().facts;
    let name = hash(&block(&facts)["hash"]);
    let error = |url: &str, policy: Policy| {
        let host = host(&Urls::of(url, url), &facts, policy, HASTY.timeout, MemoryStore::new());
        let hint = Hint::L1BlockHeader(name);
        ask(&host, &hint, Dialect::Kona, keccak(name)).unwrap_err().to_string()
    };
    let away = Node::start(|_| Reply::Silence).url.clone();
    let says = error(&away, POLICY);
    assert!(says.contains("; is the node running, and the URL right?"), "{says}");
    assert!(!says.contains("right chain"), "{says}");
    let quick = Policy { timeout: Duration::from_millis(50), ..POLICY };
    for (reply, policy, advice) in [
        (Reply::Silence, quick, "is the node overloaded?"),
        (Reply::Http("503 Service Unavailable", "", ""), POLICY, "the node is in trouble"),
        (Reply::Http("429 Too Many Requests", "", ""), POLICY, "more often than it allows"),
        (Reply::error(-32005, "daily request limit"), POLICY, "more often than it allows"),
        (Reply::result(Value::Null), POLICY, "is it a node of the right chain"),
        (Reply::error(-32000, "header not found"), POLICY, "is it a node of the right chain"),
    ] {
        let node = Node::start(move |_| reply.clone());
        let says = error(&node.url, policy);
        assert!(says.contains(advice), "{advice}: {says}");
        assert_eq!(says.contains("right chain"), advice.contains("right chain"), "{says}");
    }
}

/// One endpoint that turns us away does not keep others from answering, now or later.
#[test]
fn a_key_for_some_methods_or_some_nodes_is_used_for_what_it_is_good_for() {
    let recording = Recording::read();
    let facts = &recording.facts;
    let plans = recording.clone();
    let node = Node::start(move |asked| match asked.method.starts_with("debug_") {
        true => Reply::Http("403 Forbidden", "", "not in your plan"),
        false => plans.answer(asked),
    });
    let host = scenario::memory_host(&Urls::of(&node.url, &node.url), facts);
    check_block(&host, &block(facts), true, Dialect::Kona);

    let stranger = Node::start(|_| Reply::Http("401 Unauthorized", "", ""));
    // It hangs up at first: who is asked with it must be patient nevertheless.
    let good = faulty(&recording, |_, _| Reply::Bytes(Vec::new()), 5);
    let l1 = vec![good.url.clone(), stranger.url.clone()];
    let host = scenario::memory_host(&Urls { l1, ..Urls::default() }, facts);
    check_block(&host, &block(facts), true, Dialect::Kona);
}

/// A store that counts how often something is put there.
#[derive(Default)]
struct Counting {
    inner: MemoryStore,
    puts: AtomicUsize,
}

impl Backend for Counting {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load(key)
    }

    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.inner.save(key, data)
    }

    fn save_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.inner.save_all(entries)
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.inner.keys()
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

/// Each put may be a transaction that waits for a disk.
#[test]
fn what_comes_together_is_put_together() {
    let recording = Recording::read();
    let facts = &recording.facts;
    let (beacon, node) =
        (Node::start(beacon(BlobApi::Blobs)), faulty(&recording, |_, a| Reply::Answer(a), 0));
    let urls = Urls::of(&node.url, &beacon.url);
    let patience = Duration::from_secs(60);
    let (_, commitment) = support::published_blob();
    let mut versioned_hash = Key::sha256_of(&commitment).into_bytes();
    versioned_hash[0] = 1;
    let blob =
        Hint::L1Blob { versioned_hash, index: Some(1), timestamp: support::GENESIS + 77 * 12 };
    let block = block(facts);
    let name = hash(&block["hash"]);
    let header = bytes(&block["header"]);
    let [transactions, receipts] =
        [4, 5].map(|field| keccak(scenario::items(&header)[field].try_into().unwrap()));
    let state_root = keccak(hash(&facts["state"]["stateRoot"]));
    let witness = facts["state"]["number"].as_u64().unwrap() + 1;
    let chain = None;
    for (hint, key, puts, least) in [
        (blob, Key::sha256(versioned_hash), 1, 8193),
        // And the header before each.
        (Hint::L2Transactions { hash: name, chain }, transactions, 2, 3),
        (Hint::L2Receipts { hash: name, chain }, receipts, 2, 3),
        (Hint::L2ExecutionWitness { block: witness }, state_root, 1, 3),
    ] {
        let host = host(&urls, facts, POLICY, patience, Counting::default());
        ask(&host, &hint, Dialect::OpProgram, key).unwrap();
        assert_eq!(host.store().puts.load(Ordering::Relaxed), puts, "{hint:?}");
        let count = host.store().keys().unwrap().len();
        assert!(count >= least, "{hint:?}: {count}");
    }
}

#[test]
fn a_node_that_recovers_is_asked_again() {
    let recording = Recording::read();
    let facts = &recording.facts;
    for (fault, how, _) in faults() {
        let node = faulty(&recording, how, 3);
        let urls = Urls::of(&node.url, &node.url);
        let host = host(&urls, facts, HASTY, Duration::from_secs(60), MemoryStore::new());
        check_block(&host, &block(facts), true, Dialect::Kona);
        assert!(node.count() >= 4, "{fault}: {}", node.count());
    }
}

#[test]
fn another_node_answers_for_one_that_fails() {
    let recording = Recording::read();
    let facts = &recording.facts;
    for (fault, how, _) in faults() {
        let bad = faulty(&recording, how, usize::MAX);
        let good = faulty(&recording, how, 0);
        let urls =
            Urls { l1: vec![bad.url.clone(), good.url.clone()], ..Urls::of(&bad.url, &bad.url) };
        let host = host(&urls, facts, HASTY, Duration::from_secs(60), MemoryStore::new());
        check_block(&host, &block(facts), true, Dialect::Kona);
        assert!(good.count() > 0, "{fault}");
        // The one that answered is asked first from then on.
        assert!(bad.count() < good.count() + 2, "{fault}: {} {}", bad.count(), good.count());
    }
}

/// The node dies in the middle, and another host goes on with the same store.
#[test]
fn a_run_that_is_broken_off_goes_on_where_it_was() {
    let recording = Recording::read();
    let facts = &recording.facts;
    let blocks = facts["blocks"].as_array().unwrap();
    let whole = {
        let node = faulty(&recording, |_, answer| Reply::Answer(answer), 0);
        let urls = Urls::of(&node.url, &node.url);
        let host = scenario::memory_host(&urls, facts);
        blocks.iter().for_each(|block| check_block(&host, block, true, Dialect::Kona));
        node.count()
    };
    let kept = tempfile::tempdir().unwrap();
    let mut asked = 0;
    for alive in [1, 2, 4, 7, usize::MAX] {
        // After so many answers it hangs up on everybody.
        let recording = recording.clone();
        let mut left = alive;
        let node = Node::start(move |asked| {
            left = left.saturating_sub(1);
            match left {
                0 => Reply::Bytes(Vec::new()),
                _ => recording.answer(asked),
            }
        });
        let urls = Urls::of(&node.url, &node.url);
        let store = DiskStore::create(kept.path(), DiskFormat::Directory).unwrap();
        // Where the node lives, nothing but the load of this machine takes time.
        let patience = if alive == usize::MAX { 60_000 } else { 100 };
        let host = host(&urls, facts, POLICY, Duration::from_millis(patience), store);
        let done = blocks.iter().all(|block| {
            let name = hash(&block["hash"]);
            let header = bytes(&block["header"]);
            let [transactions, receipts] =
                [4, 5].map(|field| keccak(scenario::items(&header)[field].try_into().unwrap()));
            let get = |hint, key| ask(&host, &hint, Dialect::Kona, key).is_ok();
            get(Hint::L1BlockHeader(name), keccak(name))
                && get(Hint::L1Transactions(name), transactions)
                && get(Hint::L1Receipts(name), receipts)
        });
        assert_eq!(done, alive == usize::MAX);
        if done {
            blocks.iter().for_each(|block| check_block(&host, block, true, Dialect::Kona));
            asked = node.count();
        }
    }
    assert!(asked < whole, "the last host asked {asked} times, one from nothing {whole} times");
}

#[test]
fn a_node_that_wants_rest_gets_it() {
    let recording = Recording::read();
    let facts = recording.facts.clone();
    let name = hash(&block(&facts)["hash"]);
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let asked = Arc::clone(&times);
    let node = Node::start(move |question| {
        let mut asked = asked.lock().unwrap();
        asked.push(Instant::now());
        match asked.len() {
            1 => Reply::Http("429 Too Many Requests", "Retry-After: 1\r\n", ""),
            _ => recording.answer(question),
        }
    });
    let urls = Urls::of(&node.url, &node.url);
    let host = scenario::memory_host(&urls, &facts);
    ask(&host, &Hint::L1BlockHeader(name), Dialect::Kona, keccak(name)).unwrap();
    let times = times.lock().unwrap();
    // It is never asked before it wants to be, however loaded this machine is.
    assert!(times[1] - times[0] >= Duration::from_millis(990), "{times:?}");
}

#[test]
fn blobs_that_are_missing_or_false_are_not_stored() {
    let facts = Recording::read().facts;
    let (_, commitment) = support::published_blob();
    let mut versioned_hash = tribunal_preimage::Key::sha256_of(&commitment).into_bytes();
    versioned_hash[0] = 1;
    let key = tribunal_preimage::Key::sha256(versioned_hash);
    let hint =
        Hint::L1Blob { versioned_hash, index: Some(1), timestamp: support::GENESIS + 77 * 12 };
    let missing = |answer: Box<dyn FnMut(&Asked) -> Reply + Send>| {
        let node = Node::start(answer);
        let urls = Urls { beacon: vec![node.url.clone()], ..Urls::default() };
        let host = host(&urls, &facts, POLICY, Duration::from_secs(3), MemoryStore::new());
        let error = ask(&host, &hint, Dialect::Kona, key).unwrap_err().to_string();
        assert_eq!(host.store().get(key).unwrap(), None);
        error
    };
    // Pruned.
    let mut clock = beacon(BlobApi::Blobs);
    let error = missing(Box::new(move |asked| match asked.method.contains("77") {
        true => Reply::Answer(json!({ "data": [] })),
        false => clock(asked),
    }));
    assert!(error.contains("none of 0 blobs is the one"), "{error}");
    // Another blob, under the right commitment or none.
    for api in [BlobApi::Blobs, BlobApi::Sidecars] {
        let mut honest = beacon(api);
        let error = missing(Box::new(move |asked| match honest(asked) {
            Reply::Answer(answer) if asked.method.contains("77") => {
                // In the middle of the first element, so that it is still one.
                let text = answer.to_string().replacen("0x3e00000597", "0x3e00000598", 1);
                Reply::Answer(serde_json::from_str(&text).unwrap())
            }
            reply => reply,
        }));
        assert!(error.contains("the blob has the versioned hash 0x01"), "{api:?}: {error}");
    }
    // Before the chain began.
    let node = Node::start(beacon(BlobApi::Blobs));
    let urls = Urls { beacon: vec![node.url.clone()], ..Urls::default() };
    let host = host(&urls, &facts, POLICY, Duration::from_secs(60), MemoryStore::new());
    let hint = Hint::L1Blob { versioned_hash, index: None, timestamp: 5 };
    let error = ask(&host, &hint, Dialect::Kona, key).unwrap_err().to_string();
    assert!(error.contains("no block was made at 5"), "{error}");
}

/// What a store was damaged in is fetched anew.
#[test]
fn a_damaged_header_is_fetched_anew() {
    let recording = Recording::read();
    let facts = recording.facts.clone();
    let block = block(&facts);
    let name = hash(&block["hash"]);
    let node = faulty(&recording, |_, answer| Reply::Answer(answer), 0);
    let urls = Urls::of(&node.url, &node.url);
    let store = MemoryStore::new();
    Backend::save(&store, keccak(name), b"false".into()).unwrap();
    let host = host(&urls, &facts, POLICY, Duration::from_secs(20), store);
    check_block(&host, &block, true, Dialect::Kona);
}

/// No more requests are on their way at once than allowed, however many ask.
#[test]
fn requests_in_flight_are_bounded() {
    let recording = Recording::read();
    let facts = recording.facts.clone();
    let now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now_in_watch, most_in_watch) = (Arc::clone(&now), Arc::clone(&most));
    let node = Node::start(move |asked| recording.answer(asked));
    let policy = Policy { in_flight: 2, ..POLICY };
    let client =
        tribunal_rpc::Client::new(&[&node.url], policy).unwrap().watched(
            move |notice| match notice {
                tribunal_rpc::Notice::Asking { .. } => {
                    let count = now_in_watch.fetch_add(1, Ordering::SeqCst) + 1;
                    most_in_watch.fetch_max(count, Ordering::SeqCst);
                }
                _ => {
                    now_in_watch.fetch_sub(1, Ordering::SeqCst);
                }
            },
        );
    let block = block(&facts);
    let question = tribunal_rpc::Question::new("debug_getRawHeader", json!([block["hash"]]));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let bounds = tribunal_rpc::Bounds::within(Duration::from_secs(60));
                client.ask(&question, bounds, Ok).unwrap();
            });
        }
    });
    assert_eq!(node.count(), 8);
    assert!(most.load(Ordering::SeqCst) <= 2, "{most:?}");
}
