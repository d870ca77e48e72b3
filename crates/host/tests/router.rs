//! What the router does about a missing preimage: which hints it follows, how often, and for how long.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tribunal_host::store::MemoryStore;
use tribunal_host::{
    Errand, Event, Hint, HintError, LocalHost, Patience, PreimageStore as _, Router,
};
use tribunal_preimage::{ChannelError, Fault, Key, OracleError};

const HI: &[u8] = b"fetch 0x6869";

fn hi() -> Key {
    Key::keccak256_of(b"hi")
}

/// Waits of 1 ms, 2 ms, 4 ms, 4 ms… for as long as `deadline`.
fn patience(deadline: Duration) -> Patience {
    Patience {
        cancel: None,
        deadline,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(4),
    }
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);

fn fetch(hint: &Hint<'_>, errand: &Errand<'_>) -> Result<(), HintError> {
    let data = hint.data()?;
    Ok(errand.store().put(Key::keccak256_of(&data), data)?)
}

/// What a router tells, in words; waits apart.
#[derive(Clone, Default)]
struct Told {
    words: Arc<Mutex<Vec<String>>>,
    waits: Arc<Mutex<Vec<Duration>>>,
}

impl Told {
    fn listen(&self, router: Router) -> Router {
        let told = self.clone();
        router.with_log(move |event| match event {
            Event::Waiting { wait, .. } => told.waits.lock().unwrap().push(*wait),
            other => told.words.lock().unwrap().push(other.to_string()),
        })
    }
}

fn why_missing(result: Result<Vec<u8>, OracleError>) -> String {
    match result {
        Err(error @ OracleError::Missing { .. }) => {
            assert_eq!(error.fault(), Fault::Host);
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_endpoint_that_comes_back_is_asked_until_it_answers() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let mut router = Router::new();
    router.on("fetch", move |hint, errand| match count.fetch_add(1, Ordering::Relaxed) {
        0..5 => Err(HintError::new("503 Service Unavailable").at("http://l1:8545")),
        _ => fetch(hint, errand),
    });
    let told = Told::default();
    let host = LocalHost::with_router(
        MemoryStore::new(),
        told.listen(router.with_patience(patience(LONG))),
    );
    host.hear(HI);
    assert_eq!(host.find(hi()).unwrap(), b"hi");
    assert_eq!(calls.load(Ordering::Relaxed), 6);
    // It is left alone in between, for longer and longer.
    let waits: Vec<_> = told.waits.lock().unwrap().iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [1, 2, 4, 4, 4]);
    let words = told.words.lock().unwrap();
    assert_eq!(words.len(), 5);
    assert_eq!(words[0], "cannot follow fetch 0x6869: http://l1:8545: 503 Service Unavailable");
}

#[test]
fn an_endpoint_that_stays_away_ends_in_an_error_that_names_everything() {
    let mut router = Router::new();
    router.on("fetch", |_, _| Err(HintError::new("connection refused").at("http://l1:8545")));
    let told = Told::default();
    let host = LocalHost::with_router(
        MemoryStore::new(),
        told.listen(router.with_patience(patience(SHORT))),
    );
    host.hear(HI);
    let error = why_missing(host.find(hi()));
    for part in [
        hi().to_string().as_str(),
        "keccak256",
        "last hint: fetch 0x6869, which failed: http://l1:8545: connection refused",
        "hints were followed ",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    // Never a hot loop: as often as it waited, and once before.
    let waits = told.waits.lock().unwrap().len();
    assert!(told.words.lock().unwrap().len() <= waits + 1);
    // It is no verdict, and nothing is kept of it: the next search begins anew.
    why_missing(host.find(hi()));
}

#[test]
fn what_can_not_go_better_is_not_tried_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let mut router = Router::new();
    router.on("fetch", move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        Err(HintError::new("the method debug_dbGet does not exist").at("http://l2").for_good())
    });
    let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience(LONG)));
    host.hear(HI);
    let error = why_missing(host.find(hi()));
    assert!(error.contains("http://l2: the method debug_dbGet does not exist"), "{error}");
    why_missing(host.find(hi()));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    // The same hint again is a new one.
    host.hear(HI);
    why_missing(host.find(hi()));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn malformed_hints_are_told_and_not_tried_again() {
    for hint in [&b"fetch 0xzz"[..], b"fetch 0x123", b"fetch 0x01 0x02"] {
        let mut router = Router::new();
        router.on("fetch", fetch);
        let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience(LONG)));
        host.hear(hint);
        let error = why_missing(host.find(hi()));
        assert!(error.contains("what follows fetch is not hex"), "{error}");
    }
}

#[test]
fn an_endpoint_that_wants_to_be_left_alone_is() {
    let calls = Arc::new(AtomicU32::new(0));
    let mut router = Router::new();
    router.on("fetch", move |hint, errand| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Err(HintError::new("429").not_before(Duration::from_millis(30))),
        _ => fetch(hint, errand),
    });
    let told = Told::default();
    let host = LocalHost::with_router(
        MemoryStore::new(),
        told.listen(router.with_patience(patience(LONG))),
    );
    host.hear(HI);
    assert_eq!(host.find(hi()).unwrap(), b"hi");
    assert_eq!(*told.waits.lock().unwrap(), [Duration::from_millis(30)]);
}

#[test]
fn a_hint_that_brings_something_else_is_followed_once_more_and_then_believed() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let mut router = Router::new();
    router.on("fetch", move |hint, errand| {
        count.fetch_add(1, Ordering::Relaxed);
        fetch(hint, errand)
    });
    let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience(LONG)));
    host.hear(b"fetch 0x00");
    let error = why_missing(host.find(hi()));
    assert!(error.contains("last hint: fetch 0x00; hints were followed 2 times"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn without_a_hint_that_anyone_follows_nothing_is_waited_for() {
    let mut router = Router::new();
    router.on("fetch", fetch);
    let told = Told::default();
    let host = LocalHost::with_router(
        MemoryStore::new(),
        told.listen(router.with_patience(patience(LONG))),
    );
    assert!(why_missing(host.find(hi())).ends_with("no hint came before"));
    host.hear(b"l9-block 0x00");
    host.hear(b"l9-block 0x01");
    assert!(why_missing(host.find(hi())).ends_with("last hint: l9-block 0x01"));
    assert!(told.waits.lock().unwrap().is_empty());
    // Unknown hints are acknowledged and told of, each name once.
    let words = told.words.lock().unwrap();
    assert_eq!(*words, ["nobody here knows the hint l9-block 0x00; it is acknowledged"]);
}

#[test]
fn hints_of_many_names_do_not_fill_the_log() {
    let mut router = Router::new();
    router.on("fetch", fetch);
    let told = Told::default();
    let host = LocalHost::with_router(MemoryStore::new(), told.listen(router));
    for i in 0..1000 {
        host.hear(format!("name{i} 0x").as_bytes());
    }
    assert_eq!(told.words.lock().unwrap().len(), 64);
}

#[test]
fn what_asks_for_much_is_followed_first_and_outlives_the_others() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut router = Router::new();
    let log = order.clone();
    router.on("node", move |hint, errand| {
        log.lock().unwrap().push(hint.argument().to_owned());
        fetch(hint, errand)
    });
    let log = order.clone();
    router.on_bulk("witness", move |_, errand| {
        log.lock().unwrap().push("witness".into());
        for i in 0..200u8 {
            errand.store().put(Key::keccak256_of(&[i]), vec![i])?;
        }
        Ok(())
    });
    let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience(LONG)));
    host.hear(b"witness of the block");
    for i in 0..=200u8 {
        host.hear(format!("node 0x{i:02x}").as_bytes());
    }
    assert_eq!(host.find(Key::keccak256_of(&[5])).unwrap(), [5]);
    assert_eq!(host.find(Key::keccak256_of(&[150])).unwrap(), [150]);
    // Not in the witness: the newest of the others brings it.
    assert_eq!(host.find(Key::keccak256_of(&[200])).unwrap(), [200]);
    assert_eq!(*order.lock().unwrap(), ["witness", "0xc8"]);
}

#[test]
fn when_what_asks_for_much_fails_the_others_are_followed() {
    let bulk = Arc::new(AtomicU32::new(0));
    let count = bulk.clone();
    let mut router = Router::new();
    router.on("node", fetch);
    router.on_bulk("witness", move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        Err(HintError::new("timed out").at("http://l2"))
    });
    let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience(LONG)));
    host.hear(b"witness");
    for i in 0..20u8 {
        host.hear(format!("node 0x{i:02x}").as_bytes());
        assert_eq!(host.find(Key::keccak256_of(&[i])).unwrap(), [i]);
    }
    // What failed for much is not paid for again with each of the others.
    assert_eq!(bulk.load(Ordering::Relaxed), 1);
}

#[test]
fn a_search_can_be_cancelled_while_it_waits() {
    let cancel = Arc::new(AtomicBool::new(false));
    let mut router = Router::new();
    let flag = cancel.clone();
    router.on("fetch", move |_, errand| {
        assert!(!errand.is_cancelled());
        flag.store(true, Ordering::Relaxed);
        assert!(errand.is_cancelled());
        Err("no".into())
    });
    let patience =
        Patience { cancel: Some(cancel), deadline: LONG, first_wait: LONG, longest_wait: LONG };
    let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience));
    host.hear(HI);
    let error = host.find(hi()).unwrap_err();
    assert_eq!(error, OracleError::Channel(ChannelError::Cancelled));
    assert_eq!(error.fault(), Fault::Caller);
}

#[test]
fn what_another_process_puts_there_meanwhile_is_found() {
    let store = Arc::new(MemoryStore::new());
    let (other, calls) = (store.clone(), Arc::new(AtomicU32::new(0)));
    let count = calls.clone();
    let mut router = Router::new();
    router.on("fetch", move |_, _| {
        let other = other.clone();
        count.fetch_add(1, Ordering::Relaxed);
        thread::spawn(move || other.put(hi(), b"hi".to_vec()).unwrap()).join().unwrap();
        Err("no".into())
    });
    let host = LocalHost::with_router(store, router.with_patience(patience(LONG)));
    host.hear(HI);
    assert_eq!(host.find(hi()).unwrap(), b"hi");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn the_first_attempt_is_made_however_short_the_deadline() {
    let mut router = Router::new();
    router.on("fetch", fetch);
    let host =
        LocalHost::with_router(MemoryStore::new(), router.with_patience(patience(Duration::ZERO)));
    host.hear(HI);
    assert_eq!(host.find(hi()).unwrap(), b"hi");
}

/// An attempt that the deadline ends in its midst says little of why there is nothing.
#[test]
fn what_an_attempt_came_to_outlives_one_that_had_no_time() {
    let mut router = Router::new().with_patience(patience(SHORT));
    let attempts = AtomicU32::new(0);
    router.on("fetch", move |_, errand| {
        if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("the node lies".into());
        }
        thread::sleep(errand.until().saturating_duration_since(std::time::Instant::now()));
        Err("there was no time".into())
    });
    let host = LocalHost::with_router(MemoryStore::new(), router);
    host.hear(HI);
    let error = why_missing(host.find(hi()));
    assert!(error.contains("the node lies"), "{error}");
    assert!(!error.contains("there was no time"), "{error}");
}

#[test]
fn a_shared_host_serves_threads() {
    let mut router = Router::new();
    router.on("fetch", fetch);
    let host = LocalHost::with_router(MemoryStore::new(), router.with_patience(patience(LONG)));
    thread::scope(|scope| {
        for i in 0..4u8 {
            let host = &host;
            scope.spawn(move || {
                for j in 0..15 {
                    host.hear(format!("fetch 0x{i:02x}{j:02x}").as_bytes());
                    assert_eq!(host.find(Key::keccak256_of(&[i, j])).unwrap(), [i, j]);
                }
            });
        }
    });
}
