//! claim, and our program behind host single: claims about chains that the reference stack made, judged
//! natively and in the machine, from files, from a data directory, and with nodes.

mod common;

#[path = "../../optimism-host/tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Asked, Node, Reply, read_packed_json, testdata};
use tribunal_host::PreimageStore as _;
use tribunal_host::store::{self, StoreFormat};
use tribunal_keccak::keccak256;
use tribunal_optimism_host::Fixture;
use tribunal_preimage::{Key, KeyKind};

use common::*;

/// One empty block, from a blob; the same with a claim of junk; several blocks; several whose headers
/// say what their output is made of; one that recovers a signer; no more data.
const VALID: &str = "01-jovian-simple-blob-valid";
const JUNK: &str = "02-jovian-simple-blob-junk-claim";
const SEVERAL: &str = "10-holocene-frames-ordered-valid";
const OF_JOVIAN: &str = "16-jovian-batches-duplicate-a-valid";
const RECOVERS: &str = "60-jovian-precompile-ecrecover-valid";
const BEYOND: &str = "70-jovian-trace-extension-valid";

fn path(name: &str) -> PathBuf {
    testdata().join(format!("derivation/{name}.json.gz"))
}

fn fixture(name: &str) -> Fixture {
    Fixture::read(&path(name)).unwrap()
}

fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/elf/mips64/optimism.elf.gz")
}

/// A directory with a data directory of all that a claim needs but this, and the configurations.
fn directory_of(fixture: &Fixture, lacking: Option<Key>) -> tempfile::TempDir {
    directory_in(fixture, lacking, StoreFormat::default())
}

fn directory_in(fixture: &Fixture, lacking: Option<Key>, format: StoreFormat) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let data = store::create(&directory.path().join("data"), format).unwrap();
    let all = fixture.preimages.iter().filter(|(key, _)| Some(*key) != lacking);
    data.put_all(all.cloned().collect()).unwrap();
    for (name, config) in
        [("rollup.json", &fixture.boot.rollup_config), ("l1.json", &fixture.boot.l1_config)]
    {
        std::fs::write(directory.path().join(name), config.as_ref().unwrap()).unwrap();
    }
    directory
}

/// The arguments that op-challenger passes to kona-host for a chain with a configuration of its own,
/// in its order. The nodes are away.
fn challenger(fixture: &Fixture, mode: &str) -> Vec<String> {
    let boot = &fixture.boot;
    let mut arguments: Vec<String> = ["single"].map(str::to_owned).into();
    for (flag, value) in [
        ("--l1-node-address", "http://127.0.0.1:1"),
        ("--l1-beacon-address", "http://127.0.0.1:1"),
        ("--l2-node-address", "http://127.0.0.1:1"),
        ("--l1-head", &digits(&boot.l1_head)),
        ("--agreed-l2-head-hash", &digits(&boot.agreed_l2_head)),
        ("--agreed-l2-output-root", &digits(&boot.agreed_l2_output)),
        ("--claimed-l2-output-root", &digits(&boot.claimed_l2_output)),
        ("--claimed-l2-block-number", &boot.claimed_l2_block.to_string()),
    ] {
        arguments.extend([flag.to_owned(), value.to_owned()]);
    }
    arguments.push(mode.into());
    for (flag, value) in [
        ("--data-dir", "data"),
        ("--rollup-config-path", "rollup.json"),
        ("--l1-config-path", "l1.json"),
    ] {
        arguments.extend([flag.to_owned(), value.to_owned()]);
    }
    arguments
}

/// Without the nodes.
fn offline(arguments: &[String]) -> Vec<String> {
    [&arguments[..1], &arguments[7..]].concat()
}

fn claim(arguments: &[&str]) -> Output {
    tribunal().arg("claim").args(arguments).output().unwrap()
}

/// What a claim came to, as JSON.
fn judged(arguments: &[&str], status: i32) -> Value {
    let output = claim(&[arguments, &["--json", "--quiet"]].concat());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn op_challenger_has_our_program_run_natively() {
    for (name, status) in [(VALID, 0), (JUNK, 1)] {
        let fixture = fixture(name);
        let directory = directory_of(&fixture, None);
        let arguments = challenger(&fixture, "--native");
        for arguments in [arguments.clone(), offline(&arguments)] {
            let output = run_in(directory.path(), &arguments);
            assert_eq!(output.status.code(), Some(status), "{name}: {}", stderr(&output));
            line_with(&stdout(&output), "output root of block 1: 0x");
        }
        // What is missing is no verdict.
        let key = Key::keccak256(fixture.boot.agreed_l2_output);
        let directory = directory_of(&fixture, Some(key));
        let output = run_in(directory.path(), offline(&arguments));
        assert_eq!(output.status.code(), Some(3), "{name}: {}", stderr(&output));
        line_with(&stderr(&output), &key.to_string());
        line_with(&stderr(&output), "no preimage of an output root");
    }
}

#[test]
fn op_challenger_has_our_program_served_in_the_machine() {
    for (name, status) in [(VALID, 0), (JUNK, 1)] {
        let fixture = fixture(name);
        let directory = directory_of(&fixture, None);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
        command.current_dir(directory.path()).args(["exec", "--quiet"]).arg(program()).arg("--");
        command.arg(env!("CARGO_BIN_EXE_tribunal")).args(challenger(&fixture, "--server"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{name}: {}", stderr(&output));
    }
}

/// Changes one hex digit of what a directory has for a key. Returns its file, and what it held.
fn damage(data: &Path, key: Key) -> (PathBuf, String) {
    let digits = hex::encode(key.as_bytes());
    let file = data.join(&digits[..4]).join(format!("{}.txt", &digits[4..]));
    let whole = std::fs::read_to_string(&file).unwrap();
    let (start, last) = whole.split_at(whole.len() - 1);
    std::fs::write(&file, format!("{start}{}", if last == "0" { 'f' } else { '0' })).unwrap();
    (file, whole)
}

/// The key of an element of the fixture's blob.
fn element(fixture: &Fixture) -> Key {
    let commitment = fixture.preimages.iter().find(|(key, _)| key.kind() == Some(KeyKind::Sha256));
    let commitment = commitment.unwrap().1.as_slice().try_into().unwrap();
    Key::blob(commitment, &tribunal_kzg::point(2))
}

/// The damage keeps the form of an element, so only who computes the commitment anew notices.
#[test]
fn a_damaged_blob_decides_nothing() {
    let fixture = fixture(VALID);
    let directory = directory_in(&fixture, None, StoreFormat::Directory);
    let dir = directory.path();
    // With all that is computed and the inputs, for who has nothing else.
    let whole = run_in(dir, challenger(&fixture, "--native"));
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let data = store::create(&dir.join("data"), StoreFormat::Directory).unwrap();
    data.put_all(fixture.boot.preimages()).unwrap();
    damage(&dir.join("data"), element(&fixture));
    let blob = "the blob with the commitment 0x";
    let arguments = offline(&challenger(&fixture, "--native"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.current_dir(dir).args(["exec", "--quiet"]).arg(program()).arg("--");
    command.arg(env!("CARGO_BIN_EXE_tribunal")).args(offline(&challenger(&fixture, "--server")));
    let alone = run_in(dir, arguments!["exec", "--quiet", program(), "--preimages", "data"]);
    for output in [run_in(dir, arguments), command.output().unwrap(), alone] {
        assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
        line_with(&stderr(&output), blob);
        assert!(!stdout(&output).contains("claimed"), "{}", stdout(&output));
    }

    let output = run_in(dir, ["inspect", "data"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stdout(&output).matches(blob).count(), 1, "{}", stdout(&output));
    let output = run_in(dir, ["convert", "data", "copy"]);
    assert_eq!(output.status.code(), Some(1));
    line_with(&stderr(&output), blob);
    line_with(&stderr(&output), "; 4,096 that are damaged were left out");
    let copy = store::open(&dir.join("copy")).unwrap().keys().unwrap();
    assert!(!copy.iter().any(|key| key.kind() == Some(KeyKind::Blob)));
    let output = run_in(dir, ["doctor", "--data-dir", "data"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    line_with(&stdout(&output), blob);
}

#[test]
fn a_damaged_blob_is_fetched_anew() {
    let fixture = fixture(VALID);
    let directory = directory_in(&fixture, None, StoreFormat::Directory);
    let (file, whole) = damage(&directory.path().join("data"), element(&fixture));
    let commitment = fixture.preimages.iter().find(|(key, _)| key.kind() == Some(KeyKind::Sha256));
    let commitment: [u8; 48] = commitment.unwrap().1.clone().try_into().unwrap();
    let blob: Vec<u8> = (0..tribunal_kzg::ELEMENTS)
        .flat_map(|place| {
            let wanted = Key::blob(&commitment, &tribunal_kzg::point(place));
            let found = fixture.preimages.iter().find(|(key, _)| *key == wanted);
            found.unwrap().1.clone()
        })
        .collect();
    let beacon = Node::start(move |asked: &Asked| {
        let data = match asked.method.split('?').next().unwrap() {
            "/eth/v1/beacon/genesis" => json!({ "genesis_time": "1" }),
            "/eth/v1/config/spec" => json!({ "SECONDS_PER_SLOT": "12" }),
            path if path.starts_with("/eth/v1/beacon/blobs/") => json!([digits(&blob)]),
            other => return Reply::lacks(other),
        };
        Reply::Answer(json!({ "data": data }))
    });
    let mut arguments = challenger(&fixture, "--native");
    arguments[4] = beacon.url.clone();
    let mut command = tribunal();
    for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    let output = command.current_dir(directory.path()).args(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    line_with(&stderr(&output), "it is being sought anew");
    assert_eq!(std::fs::read_to_string(file).unwrap(), whole);
    assert_eq!(beacon.count(), 3);
    assert_eq!(run_in(directory.path(), ["inspect", "data"]).status.code(), Some(0));
}

#[test]
fn a_damaged_result_of_a_precompiled_contract_is_computed_anew() {
    let fixture = fixture(RECOVERS);
    let directory = directory_in(&fixture, None, StoreFormat::Directory);
    let (dir, data) = (directory.path(), directory.path().join("data"));
    let arguments = challenger(&fixture, "--native");
    // With nodes, even those that are away, results are kept.
    let output = run_in(dir, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let keys = store::open(&data).unwrap().keys().unwrap();
    let key = keys.into_iter().find(|key| key.kind() == Some(KeyKind::Precompile)).unwrap();
    let (file, whole) = damage(&data, key);
    let damaged = std::fs::read_to_string(&file).unwrap();
    let output = run_in(dir, ["inspect", "data"]);
    assert_eq!(output.status.code(), Some(1));
    line_with(&stdout(&output), "the contract, run again, has another result");
    line_with(&stdout(&output), &hex::encode(key.as_bytes())[4..]);

    // Where nothing is written, for this run; else for good.
    for (arguments, then) in [(offline(&arguments), &damaged), (arguments, &whole)] {
        let output = run_in(dir, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        line_with(&stderr(&output), "it is being sought anew");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), *then);
    }
}

/// All names below a directory.
fn all_names(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_names(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn without_nodes_the_data_directory_is_only_read() {
    let fixture = fixture(RECOVERS);
    let arguments = offline(&challenger(&fixture, "--native"));
    for format in [StoreFormat::Directory, StoreFormat::Database] {
        let directory = directory_in(&fixture, None, format);
        let data = directory.path().join("data");
        std::fs::remove_file(data.join("kvformat")).unwrap();
        let before = all_names(&data);
        let output = run_in(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{format}: {}", stderr(&output));
        assert_eq!(all_names(&data), before);
        // Beside one who writes, and others who read.
        let writer = store::create(&data, format).unwrap();
        let reader = store::open(&data).unwrap();
        let output = run_in(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{format}: {}", stderr(&output));
        drop((reader, writer));

        std::fs::remove_dir_all(&data).unwrap();
        let claim = ["claim", "--db", "data", "--block", "1", "--root", &"11".repeat(32)];
        let claim: Vec<String> = claim.map(str::to_owned).into();
        for arguments in [&arguments, &claim] {
            let output = run_in(directory.path(), arguments);
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            line_with(&stderr(&output), "there is no data directory data");
            assert!(!data.exists());
        }
    }
}

#[test]
fn a_new_data_directory_is_a_database_unless_a_challenger_reads_it() {
    let fixture = fixture(VALID);
    let arguments = challenger(&fixture, "--native");
    let claim = |more: &[&str]| {
        let given = &arguments[1..arguments.len()];
        let given = given.iter().filter(|argument| *argument != "--native").cloned();
        let more = more.iter().map(|&word| word.to_owned());
        ["claim".to_owned()].into_iter().chain(given).chain(more).collect::<Vec<_>>()
    };
    for (mut arguments, format) in [
        (claim(&[]), "redb"),
        (claim(&["--data-format", "file"]), "file"),
        (arguments.clone(), "directory"),
    ] {
        let directory = directory_in(&fixture, None, StoreFormat::Directory);
        arguments.extend(["--deadline".into(), "1".into()]);
        // What is there stays what it is.
        let output = run_in(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let marker = directory.path().join("data/kvformat");
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), "directory");
        std::fs::remove_dir_all(directory.path().join("data")).unwrap();
        let output = run_in(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), format);
    }
}

#[test]
fn a_claim_in_a_file_is_taken_unpacked_and_what_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let packed = read_packed_json(&path(VALID));
    for common in packed["common"].as_array().unwrap() {
        let name = common.as_str().unwrap();
        std::fs::copy(path(VALID).with_file_name(name), directory.path().join(name)).unwrap();
    }
    let unpacked = directory.path().join("claim.json");
    std::fs::write(&unpacked, packed.to_string()).unwrap();
    let output = claim(&[unpacked.to_str().unwrap(), "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let text = directory.path().join("text");
    std::fs::write(&text, "hello").unwrap();
    let output = claim(&[text.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    line_with(&stderr(&output), "expected value at line 1 column 1");
    line_with(&stderr(&output), "hint: name the recording of a run");
}

#[test]
fn a_claim_in_a_file_is_judged() {
    let [valid, junk, beyond] = [VALID, JUNK, BEYOND].map(path);
    let [valid, junk, beyond] = [&valid, &junk, &beyond].map(|path| path.to_str().unwrap());
    let boot = fixture(VALID).boot;
    let root = digits(&boot.claimed_l2_output);

    let output = claim(&[valid]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    line_with(&stdout(&output), "the claim holds");
    assert_eq!(stdout(&output).matches(&root).count(), 2, "{}", stdout(&output));
    assert!(!stderr(&output).contains("dispute"), "{}", stderr(&output));

    // Who is wrong is told what is right, and what to do.
    let output = claim(&[junk]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    line_with(&text, "the claim is wrong");
    let derived = line_with(&text, "derived");
    assert!(!derived.contains(&digits(&fixture(JUNK).boot.claimed_l2_output)), "{text}");
    line_with(&stderr(&output), &format!("tribunal claim {junk} --record claim.rec"));

    // Flags are stronger than the file.
    let root_of_junk = text.split("derived    ").nth(1).unwrap().split(' ').next().unwrap();
    let report = judged(&[junk, "--root", root_of_junk], 0);
    assert_eq!(report["output"], root_of_junk);
    let report = judged(&[valid, "--root", &digits(&boot.agreed_l2_output)], 1);
    assert_eq!((&report["verdict"], &report["output"]), (&json!("invalid"), &json!(root)));
    assert_eq!((&report["l2Blocks"], &report["knownChain"]), (&json!(1), &json!(false)));

    // Beyond the data, the last block counts; before the agreed one, nothing does.
    let output = claim(&[beyond]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = judged(&[valid, "--block", "0", "--root", &digits(&boot.agreed_l2_output)], 0);
    assert_eq!(report["l2Blocks"], 0);
    line_with(&stdout(&claim(&[valid, "--block", "1000"])), "L1 holds no block after it");
}

#[test]
fn the_machine_judges_too_and_each_step_is_proven_from_its_recording() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let junk = path(JUNK);
    let output = run_in(dir, arguments!["claim", junk, "--record", "claim.rec", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["machine"]["exitCode"], 1);
    let steps = report["machine"]["steps"].as_u64().unwrap();

    // The same claim from the recording alone, here and in the machine.
    let output = run_in(dir, ["claim", "claim.rec", "--vm", "--json", "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let again: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(again["output"], report["output"]);
    assert_eq!(again["machine"]["stateHash"], report["machine"]["stateHash"]);
    assert_eq!(run_in(dir, ["exec", "claim.rec", "--quiet"]).status.code(), Some(1));

    let step = (steps / 2).to_string();
    let of = ["--input", "claim.rec", "--at", &step];
    let proof = succeed_in(dir, [&["prove"], &of[..]].concat());
    let named = succeed_in(dir, [&["prove", "--preimages", "claim.rec"], &of[..]].concat());
    assert_eq!(proof, named);
    let sampled = succeed_in(dir, [&["sample"], &of[..]].concat());
    line_with(&sampled, &format!("{{\"step\":{step},"));
    succeed_in(dir, ["sample", "--input", "claim.rec", "--check", "3"]);
    // Whoever is named answers instead.
    std::fs::write(dir.join("empty.json"), "{}").unwrap();
    let refused = [&["prove", "--preimages", "empty.json"], &of[..]].concat();
    assert_eq!(run_in(dir, refused).status.code(), Some(3));
    std::fs::write(dir.join("step.json"), proof).unwrap();
    succeed_in(dir, ["verify", "step.json", "--preimages", "claim.rec"]);

    // Another program comes to another verdict, or to none: then there is none.
    let other = program().with_file_name("transactions.elf.gz");
    let output = run_in(dir, arguments!["claim", junk, "--program", other]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    line_with(&stderr(&output), "the program in the machine");
}

#[test]
fn what_is_lacking_is_said() {
    let directory = directory_of(&fixture(VALID), None);
    let url = "http://127.0.0.1:1";
    let hash = "11".repeat(32);
    let known = ["--root", &hash, "--block", "1", "--db", "data"];
    let with = |more: &[&str]| run_in(directory.path(), [&["claim"], &known[..], more].concat());
    for (output, says) in [
        (run_in(directory.path(), ["claim"]), "there is nothing to judge the claim by"),
        (run_in(directory.path(), ["claim", "--db", "data"]), "--claimed-l2-block-number"),
        (with(&[]), "--l2-chain-id or --rollup-config-path"),
        (with(&["--chain", "10"]), "give --l1-head"),
        (with(&["--chain", "10", "--l1-head", &hash]), "give --agreed-l2-output-root"),
        (
            with(&["--chain", "10", "--l1-head", &hash, "--agreed-block", "7"]),
            "without nodes nobody says",
        ),
        (with(&["--l1", url]), "not all: --l1-beacon-address, --l2-node-address"),
        (run_in(directory.path(), ["claim", "data"]), "is a directory"),
        (run_in(directory.path(), ["claim", "rollup.json"]), "cannot use rollup.json"),
    ] {
        assert_eq!(output.status.code(), Some(2), "{says}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
    }
}

/// The fields of a header, as nodes say them; true for numbers.
const HEADER: [(&str, bool); 21] = [
    ("parentHash", false),
    ("sha3Uncles", false),
    ("miner", false),
    ("stateRoot", false),
    ("transactionsRoot", false),
    ("receiptsRoot", false),
    ("logsBloom", false),
    ("difficulty", true),
    ("number", true),
    ("gasLimit", true),
    ("gasUsed", true),
    ("timestamp", true),
    ("extraData", false),
    ("mixHash", false),
    ("nonce", false),
    ("baseFeePerGas", true),
    ("withdrawalsRoot", false),
    ("blobGasUsed", true),
    ("excessBlobGas", true),
    ("parentBeaconBlockRoot", false),
    ("requestsHash", false),
];

/// The answer of a node about the block with this header.
fn block(header: &[u8]) -> Value {
    let mut block = json!({ "hash": digits(&keccak256(header)) });
    // All is short strings, but for the bloom and the list itself.
    let mut rest = &header[3..];
    for (name, is_number) in HEADER {
        let Some((&head, after)) = rest.split_first() else { break };
        let (skipped, length) = match head {
            0..0x80 => (0, 1),
            0x80..=0xb7 => (1, usize::from(head) - 0x80),
            _ => (3, usize::from(u16::from_be_bytes([after[0], after[1]]))),
        };
        let value = &rest[skipped..skipped + length];
        rest = &rest[skipped + length..];
        block[name] = match is_number {
            true => json!(format!("0x{}", hex::encode(value).trim_start_matches('0'))),
            false => json!(digits(value)),
        };
        if block[name] == "0x" && is_number {
            block[name] = json!("0x0");
        }
    }
    block
}

#[test]
fn nodes_say_what_is_agreed_and_which_block_differs_first() {
    let fixture = fixture(OF_JOVIAN);
    let directory = directory_of(&fixture, None);
    let header = |hash: &[u8; 32]| {
        let key = Key::keccak256(*hash);
        let found = fixture.preimages.iter().find(|(other, _)| *other == key);
        block(&found.expect("the headers of all blocks").1)
    };
    let boot = &fixture.boot;
    let agreed = fixture.blocks[0].0 - 1;
    let mut chain = vec![(agreed, header(&boot.agreed_l2_head))];
    chain.extend(fixture.blocks.iter().map(|(number, hash)| (*number, header(hash))));
    assert!(chain.len() > 3, "several blocks");
    let head = header(&boot.l1_head);
    let l1 = Node::start(move |asked: &Asked| match asked.method.as_str() {
        "eth_getBlockByNumber" if asked.params[0] == "finalized" => Reply::result(head.clone()),
        other => Reply::lacks(other),
    });
    let l2 = Node::start(move |asked: &Asked| {
        let wanted = asked.params[0].as_str().unwrap_or_default();
        let block = chain.iter().find(|(number, _)| format!("{number:#x}") == wanted);
        match (asked.method.as_str(), block) {
            ("eth_getBlockByNumber", Some((_, block))) => Reply::result(block.clone()),
            (other, _) => Reply::lacks(other),
        }
    });
    let beacon = Node::start(|asked: &Asked| Reply::lacks(&asked.method));
    let last = boot.claimed_l2_block.to_string();
    let (agreed, root) = (agreed.to_string(), digits(&boot.claimed_l2_output));
    let mut arguments = vec!["claim", "--block", &last, "--agreed-block", &agreed];
    arguments.extend(["--l1", &l1.url, "--l2", &l2.url, "--beacon", &beacon.url, "--db", "data"]);
    arguments.extend(["--rollup-cfg", "rollup.json", "--l1-cfg", "l1.json", "--deadline", "5"]);
    let run = |more: &[&str]| {
        let mut command = tribunal();
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        command.current_dir(directory.path()).args(&arguments).args(more).output().unwrap()
    };
    let output = run(&["--root", &root]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    line_with(&stderr(&output), &digits(&boot.agreed_l2_output));
    line_with(&stderr(&output), &format!("{}: final", digits(&boot.l1_head)));

    // The node agrees with what was derived.
    let wrong = "22".repeat(32);
    let output = run(&["--root", &wrong]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    line_with(&stdout(&output), "no block, from those of --l2-node-address");

    // Somebody else parts from it at each block in turn.
    for (place, (first, ours)) in fixture.blocks.iter().enumerate() {
        let blocks = fixture.blocks.clone();
        let rollup = Node::start(move |asked: &Asked| {
            assert_eq!(asked.method, "optimism_outputAtBlock");
            let wanted = asked.params[0].as_str().unwrap();
            let at = blocks.iter().position(|(number, _)| format!("{number:#x}") == wanted);
            let hash = match at.unwrap() {
                at if at < place => blocks[at].1,
                at => [at as u8; 32],
            };
            let hash = digits(&hash);
            Reply::result(json!({ "outputRoot": hash, "blockRef": { "hash": hash } }))
        });
        let output = run(&["--root", &wrong, "--json", "--rollup", &rollup.url]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let expected = json!({
            "with": "--rollup-node-address",
            "firstDifferent": [first, digits(ours), digits(&[place as u8; 32])],
        });
        assert_eq!(report["compared"], expected);
    }
}

#[test]
fn the_demo_shows_one_of_these_claims() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let output = run_in(dir, arguments!["claim", path(SEVERAL), "--record", "r", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    succeed_in(dir, ["convert", "--quiet", "r", "claim.json"]);
    let json = |path: &Path| serde_json::from_slice::<Value>(&read(path)).unwrap();
    let shown = json(&testdata().join("demo/claim.json.gz"));
    assert!(json(&dir.join("claim.json")) == shown, "the demo's claim is to be made anew");
}
