//! Nodes for tests: a small HTTP server that answers as it is told, badly too; answers of a real
//! node that were recorded; a beacon node that has one blob; and what a host must have fetched.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

/// What a node does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The body of an answer without its id: a result or an error. To a GET, the whole body.
    Answer(Value),
    /// These bytes, whatever they are, and the end of the connection.
    Bytes(Vec<u8>),
    /// A status, headers, and a body.
    Http(&'static str, &'static str, &'static str),
    /// Nothing, ever.
    Silence,
}

impl Reply {
    pub(crate) fn result(result: impl Into<Value>) -> Self {
        Self::Answer(json!({ "result": result.into() }))
    }

    pub(crate) fn error(code: i64, message: &str) -> Self {
        Self::Answer(json!({ "error": { "code": code, "message": message } }))
    }

    pub(crate) fn lacks(method: &str) -> Self {
        Self::error(-32601, &format!("the method {method} does not exist/is not available"))
    }
}

/// A question: of a POST the method and its parameters, of a GET the path.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) params: Value,
}

type Answer = dyn FnMut(&Asked) -> Reply + Send;

/// An HTTP server on loopback, until it is dropped.
pub(crate) struct Node {
    pub(crate) url: String,
    /// How many questions there were.
    pub(crate) asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn start(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        Self::start_with(answer, true)
    }

    /// One that may not take several questions at once.
    pub(crate) fn start_with(
        answer: impl FnMut(&Asked) -> Reply + Send + 'static,
        batches: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = thread::spawn(move || {
            let answer: Arc<Mutex<Box<Answer>>> = Arc::new(Mutex::new(Box::new(answer)));
            let mut open: Vec<(TcpStream, JoinHandle<()>)> = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let stream = stream.unwrap();
                let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
                let other_end = stream.try_clone().unwrap();
                let serving = thread::spawn(move || serve(&stream, &answer, &count, batches));
                open.push((other_end, serving));
            }
            for (stream, serving) in open {
                let _ = stream.shutdown(Shutdown::Both);
                let _ = serving.join();
            }
        });
        Self { url, asked, stop, thread: Some(thread) }
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it up.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: &TcpStream, answer: &Mutex<Box<Answer>>, count: &AtomicUsize, batches: bool) {
    let Some((method, path, body)) = read_request(stream) else { return };
    let ask = |asked: &Asked| {
        count.fetch_add(1, Ordering::Relaxed);
        answer.lock().unwrap()(asked)
    };
    if method == "GET" {
        let reply = ask(&Asked { method: path, params: Value::Null });
        return finish(stream, reply, |body| body);
    }
    let asked = |question: &Value| Asked {
        method: question["method"].as_str().unwrap_or_default().to_owned(),
        params: question["params"].clone(),
    };
    if let Value::Array(questions) = &body {
        if !batches {
            return finish(stream, Reply::error(-32600, "one at a time"), |body| body);
        }
        let mut answers = Vec::new();
        for question in questions {
            match ask(&asked(question)) {
                Reply::Answer(mut answer) => {
                    answer["id"] = question["id"].clone();
                    answers.push(answer);
                }
                other => return finish(stream, other, |body| body),
            }
        }
        return finish(stream, Reply::Answer(answers.into()), |body| body);
    }
    let reply = ask(&asked(&body));
    if matches!(reply, Reply::Silence) {
        // Until the other side gives up, or this node is taken away.
        let _ = stream.read(&mut [0]);
        return;
    }
    finish(stream, reply, |mut answer| {
        if answer.get("id").is_none() {
            answer["id"] = body["id"].clone();
        }
        answer
    });
}

fn finish(mut stream: &TcpStream, reply: Reply, complete: impl FnOnce(Value) -> Value) {
    let http = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
        format!("{head}{headers}\r\n{body}").into_bytes()
    };
    let bytes = match reply {
        Reply::Answer(answer) => http("200 OK", "", &complete(answer).to_string()),
        Reply::Http(status, headers, body) => http(status, headers, body),
        Reply::Bytes(bytes) => bytes,
        Reply::Silence => return,
    };
    // Whoever asked may be gone.
    let _ = stream.write_all(&bytes);
    let _ = stream.shutdown(Shutdown::Both);
}

fn read_request(stream: &TcpStream) -> Option<(String, String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, serde_json::from_slice(&body).unwrap_or_default()))
}

/// The root of the repository's test data.
pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

pub(crate) fn read_packed_json(path: &Path) -> Value {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    hex::decode(text.trim_start_matches("0x")).unwrap()
}

pub(crate) fn hash(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

/// What a real node answered, and facts about its chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) facts: Value,
    pub(crate) answers: BTreeMap<String, Value>,
}

impl Recording {
    pub(crate) fn path() -> PathBuf {
        testdata().join("nodes/geth.json.gz")
    }

    pub(crate) fn read() -> Self {
        let json = read_packed_json(&Self::path());
        let answers = json["answers"].as_object().unwrap();
        let answers = answers.iter().map(|(key, answer)| (key.clone(), answer.clone())).collect();
        Self { facts: json["facts"].clone(), answers }
    }

    pub(crate) fn write(&self) {
        let json = json!({ "facts": self.facts, "answers": self.answers });
        let file = std::fs::File::create(Self::path()).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::best());
        packed.write_all(json.to_string().as_bytes()).unwrap();
        packed.finish().unwrap();
    }

    pub(crate) fn key(asked: &Asked) -> String {
        format!("{} {}", asked.method, asked.params)
    }

    /// What the node answers; that it was never asked is a fault of the test.
    pub(crate) fn answer(&self, asked: &Asked) -> Reply {
        let key = Self::key(asked);
        match self.answers.get(&key) {
            Some(answer) => Reply::Answer(answer.clone()),
            None => {
                panic!("the recording has no answer to {key}: cargo xtask integration --record")
            }
        }
    }
}

/// The blob of `testdata/blobs`, and its commitment.
pub(crate) fn published_blob() -> (Vec<u8>, Vec<u8>) {
    let json = read_packed_json(&testdata().join("blobs/batches.json.gz"));
    (bytes(&json["blob"]), bytes(&json["commitment"]))
}

/// How a beacon node hands out blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlobApi {
    /// By their hashes.
    Blobs,
    /// With their proofs.
    Sidecars,
}

/// When the chain of [`beacon`] began; its slots take 12 s.
pub(crate) const GENESIS: u64 = 1_000_000_000;

/// A beacon node that has the published blob, as the second of slot 77.
pub(crate) fn beacon(api: BlobApi) -> impl FnMut(&Asked) -> Reply + Send + 'static {
    let (blob, commitment) = published_blob();
    let digits = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let (blob, commitment) = (digits(&blob), digits(&commitment));
    move |asked| {
        let (path, query) = asked.method.split_once('?').unwrap_or((&asked.method, ""));
        let data = match path {
            "/eth/v1/beacon/genesis" => json!({ "genesis_time": GENESIS.to_string() }),
            "/eth/v1/config/spec" => json!({ "SECONDS_PER_SLOT": "12" }),
            "/eth/v1/node/version" => json!({ "version": "tests/v1" }),
            "/eth/v1/beacon/blobs/77" if api == BlobApi::Blobs => {
                assert!(query.starts_with("versioned_hashes=0x01"), "{query}");
                json!([blob])
            }
            "/eth/v1/beacon/blob_sidecars/77" if api == BlobApi::Sidecars => {
                let other = json!({
                    "index": "0",
                    "blob": "0x00",
                    "kzg_commitment": digits(&[0xc0; 48]),
                });
                let ours = json!({ "index": "1", "blob": blob, "kzg_commitment": commitment });
                match query {
                    "indices=1" => json!([ours]),
                    "" => json!([other, ours]),
                    // Whoever counts otherwise.
                    _ => json!([other]),
                }
            }
            "/eth/v1/beacon/blobs/head" if api == BlobApi::Blobs => json!([]),
            "/eth/v1/beacon/blob_sidecars/head" if api == BlobApi::Sidecars => json!([]),
            _ => return Reply::Http("404 Not Found", "", r#"{"code":404,"message":"not found"}"#),
        };
        Reply::Answer(json!({ "data": data }))
    }
}
