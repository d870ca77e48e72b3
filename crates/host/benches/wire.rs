//! How fast preimages reach a program: 100,000 of them, of 1 KiB to 1 MiB, each checked where it
//! leaves its store and again where it arrives.
//!
//! `cargo bench -p tribunal-host --bench wire`; a number after `--` is that of the preimages. Sizes are
//! spread so that each power of two is as likely as any other.
#![allow(clippy::print_stdout, reason = "the numbers are for people")]

use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use tribunal_host::child::Options;
use tribunal_host::serve::{ServerPipes, serve};
use tribunal_host::store::{self, MemoryStore, StoreFormat};
use tribunal_host::{ChildHost, LocalHost, PreimageStore};
use tribunal_preimage::channel::ReadWrite;
use tribunal_preimage::client::{Client, HintWriter, OracleReader};
use tribunal_preimage::{Checked, Key, Oracle};

/// How many of the preimages differ from each other.
const DISTINCT: u64 = 400;

/// Where the server in a child process finds its store.
const STORE: &str = "BENCH_STORE";

fn main() {
    if let Some(dir) = std::env::var_os(STORE) {
        let host = LocalHost::new(store::open(Path::new(&dir)).expect("the store is there"));
        let pipes = ServerPipes::inherited().expect("started by a client");
        return serve(&host, pipes).expect("the client ends it");
    }
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count: u64 = count.unwrap_or(100_000);

    let preimages: Vec<Vec<u8>> = (0..DISTINCT).map(preimage).collect();
    let keys: Vec<Key> = preimages.iter().map(|data| Key::keccak256_of(data)).collect();
    let entries = || keys.iter().copied().zip(preimages.iter().cloned()).collect::<Vec<_>>();
    let sizes = preimages.iter().map(Vec::len);
    let (least, most) = (sizes.clone().min().unwrap_or(0), sizes.clone().max().unwrap_or(0));
    println!("{count} preimages of {least} to {most} bytes, {} different ones", keys.len());

    let memory = MemoryStore::new();
    memory.put_all(entries()).expect("they belong to their keys");
    measure("in process, from memory", count, &keys, &preimages, &mut &LocalHost::new(&memory));

    let dir = tempfile::tempdir().expect("a temporary directory");
    for format in StoreFormat::ALL {
        let dir = dir.path().join(format.name());
        let store = store::create(&dir, format).expect("a new store");
        store.put_all(entries()).expect("they belong to their keys");
        let what = format!("in process, from a store of the format {format}");
        measure(&what, count / 10, &keys, &preimages, &mut &LocalHost::new(store));
    }

    over_pipes(count, &keys, &preimages, &LocalHost::new(&memory));

    let mut server = Command::new(std::env::current_exe().expect("our own path"));
    server.env(STORE, dir.path().join(StoreFormat::Database.name()));
    let mut host = ChildHost::start(server, Options::default()).expect("it starts");
    measure(
        "over pipes, from a child process and its database",
        count,
        &keys,
        &preimages,
        &mut host,
    );
}

/// The program and its host in two threads, and real pipes between them.
fn over_pipes<S: PreimageStore>(count: u64, keys: &[Key], data: &[Vec<u8>], host: &LocalHost<S>) {
    let pipe = || io::pipe().expect("a pipe");
    let ((hint_requests, to_hints), (from_hints, hint_acks)) = (pipe(), pipe());
    let ((requests, to_preimages), (from_preimages, answers)) = (pipe(), pipe());
    let pipes = ServerPipes::new(
        (hint_requests.into(), hint_acks.into()),
        (requests.into(), answers.into()),
    );
    thread::scope(|scope| {
        scope.spawn(|| serve(host, pipes.expect("pipes")).expect("the client ends it"));
        let mut client = Checked(Client::new(
            HintWriter::new(ReadWrite { reader: from_hints, writer: to_hints }),
            OracleReader::new(ReadWrite { reader: from_preimages, writer: to_preimages }),
        ));
        measure("over pipes, from memory in another thread", count, keys, data, &mut client);
    });
}

fn measure(what: &str, count: u64, keys: &[Key], data: &[Vec<u8>], oracle: &mut dyn Oracle) {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let mut bytes = 0;
    for i in 0..count as usize {
        let at = i % keys.len();
        let found = oracle.preimage(keys[at]).expect("it is there");
        assert_eq!(found.len(), data[at].len());
        bytes += found.len() as u64;
    }
    let seconds = started.elapsed().as_secs_f64();
    let (cpu, megabytes) = (cpu_seconds() - cpu, bytes as f64 / 1e6);
    let (speed, per_cpu) = (megabytes / seconds, megabytes / cpu);
    println!("{megabytes:8.0} MB: {speed:5.0} MB/s, {per_cpu:5.0} MB per second of CPU  {what}");
}

/// What this process has had of the processors, all its threads together: on a busy machine that tells
/// more than the clock on the wall.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Preimage number `i`.
fn preimage(i: u64) -> Vec<u8> {
    let mut state = i;
    let mut random = move || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    // 2¹⁰ to 2²⁰
    let power = 10.0 + 10.0 * (random() % 1_000_000) as f64 / 999_999.0;
    let length = power.exp2().round() as usize;
    let words = (0..length.div_ceil(8)).flat_map(|_| random().to_be_bytes());
    words.take(length).collect()
}
