//! verify: what holds, what does not, what is no proof, and chains that answer in every way.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use serde_json::{Value, json};
use tribunal_conformance::assemble::{NOP, ZERO, beq};
use tribunal_conformance::{TrailPoint, read_trail};
use tribunal_onchain::{Address, Artifact, Contract, Instance, Refusal};

use common::*;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

/// Runs `verify` with a proof on standard input.
fn verify(directory: &Path, flags: &[&str], input: &str) -> Output {
    let mut command = tribunal();
    command.current_dir(directory).arg("verify").args(flags).arg("-");
    for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Whoever does not read is known by the exit status.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// A directory with proofs of a program that does a bit of everything, and the preimages it reads.
fn reader() -> (tempfile::TempDir, Vec<Value>) {
    let directory = tempfile::tempdir().unwrap();
    let preimages = preimages();
    let keys: Vec<_> = preimages[..5].iter().map(|(key, _)| *key).collect();
    write_reader(&directory.path().join("reader.elf"), &keys);
    write_preimages(&directory.path().join("preimages.json"), &preimages);
    let proofs = prove_all(directory.path(), "reader.elf", "preimages.json");
    (directory, proofs)
}

const EVIDENCE: [&str; 3] = ["--json", "--preimages", "preimages.json"];

#[test]
fn every_step_of_a_program_holds() {
    let (directory, proofs) = reader();
    let text: String = proofs.iter().map(|proof| format!("{proof}\n")).collect();
    let output = verify(directory.path(), &EVIDENCE, &text);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let verdicts = lines(&stdout(&output));
    assert_eq!(verdicts.len(), proofs.len());
    assert!(stderr(&output).ends_with(" proofs hold, 0 do not\n"));
    let mut loaded = Vec::new();
    for (proof, verdict) in proofs.iter().zip(&verdicts) {
        assert_eq!(verdict["verdict"], "holds", "{verdict}");
        assert_eq!((&verdict["step"], &verdict["post"]), (&proof["step"], &proof["post"]));
        assert_eq!(verdict["contractPost"], proof["post"]);
        let gas = &verdict["gas"];
        assert!(
            gas["execution"].as_u64() > Some(1_000) && gas["transaction"].as_u64() > Some(21_000)
        );
        let preimage = &verdict["preimage"];
        // Nobody knows the blob, and this is said.
        let notes = verdict["notes"].as_array().unwrap().len();
        assert_eq!(notes, usize::from(preimage["kind"] == "blob"), "{verdict}");
        if !preimage.is_null() {
            assert_eq!(preimage["key"], proof["oracle-key"]);
            assert_eq!(preimage["proven"], !preimage["function"].is_null());
            loaded.push(format!("{} {}", preimage["kind"], preimage["function"]).replace('"', ""));
        }
    }
    loaded.dedup();
    let expected = [
        "local loadLocalData",
        "keccak256 loadKeccak256PreimagePart",
        "sha256 loadSha256PreimagePart",
        "blob null",
        "precompile loadPrecompilePreimagePart",
    ];
    assert_eq!(loaded, expected);
    let named = |name: &str| verdicts.iter().any(|verdict| verdict["remark"] == name);
    assert!(named("read") && named("write") && named("clock_gettime"));
    assert!(verdicts.iter().any(|verdict| verdict["instruction"] == "sd $t1, 256($t0)"));
}

#[test]
fn a_step_that_only_switches_threads_looks_at_no_memory_but_is_held_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("loop.elf"), &[beq(ZERO, ZERO, -1), NOP]);
    let proof = succeed_in(dir, ["sample", "--input=loop.elf", "--proof", "--at=100000", "-q"]);
    let proof = json(&proof);
    let output = verify(dir, &["--json"], &proof.to_string());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let verdict = json(&stdout(&output));
    assert_eq!(verdict["remark"], "not taken: another thread's turn");
    let (names, flipped): (Vec<_>, Vec<_>) = flips(&proof).into_iter().unzip();
    let text: String = flipped.iter().map(|proof| format!("{proof}\n")).collect();
    for (name, verdict) in names.iter().zip(lines(&stdout(&verify(dir, &["--json"], &text)))) {
        assert_ne!(verdict["verdict"], "holds", "{name}");
    }
}

#[test]
fn people_are_told_what_the_step_is_and_how_its_preimage_was_loaded() {
    let (directory, proofs) = reader();
    let of_kind = |byte: &str| {
        let key =
            |proof: &&Value| proof["oracle-key"].as_str().is_some_and(|key| key.starts_with(byte));
        proofs.iter().find(key).unwrap().to_string()
    };
    for (kind, flags, says) in [
        ("0x01", &[][..], "loaded by loadLocalData, for which the dispute game vouches: gas "),
        ("0x02", &[], "loaded by loadKeccak256PreimagePart, which proves it: gas "),
        ("0x05", &[], "taken as given: its KZG commitment and proof are not known"),
        ("0x06", &[], "taken as given: what was called, and with what, is not known"),
        ("0x06", &EVIDENCE[1..], "loaded by loadPrecompilePreimagePart, which proves it: gas "),
    ] {
        let output = verify(directory.path(), flags, &of_kind(kind));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        for part in [says, " holds\n", "syscall (read)", "as a transaction, with its calldata"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(stderr(&output), "");
    }
}

/// A point of a trail as Cannon's file of it.
fn cannon_proof(point: &TrailPoint) -> Option<Value> {
    let mut proof = json!({
        "step": point.step,
        "pre": point.hash,
        "post": point.post.as_ref()?,
        "state-data": point.state.as_ref()?,
        "proof-data": point.proof.as_ref()?,
    });
    if let Some(key) = &point.oracle_key {
        proof["oracle-key"] = json!(key);
        proof["oracle-value"] = json!(point.oracle_value);
        proof["oracle-offset"] = json!(point.oracle_offset.unwrap_or(0));
    }
    Some(proof)
}

#[test]
fn proofs_of_cannon_hold_and_its_left_overs_are_only_noted() {
    let directory = tempfile::tempdir().unwrap();
    let mut proofs: Vec<Value> = Vec::new();
    for guest_name in ["preimages", "threads"] {
        let trail = read_trail(&guest(&format!("{guest_name}.trail.jsonl.gz"))).unwrap();
        proofs.extend(trail.iter().filter_map(cannon_proof));
    }
    assert!(proofs.len() > 60);
    let text: String = proofs.iter().map(|proof| format!("{proof}\n")).collect();
    let output = verify(directory.path(), &["--json"], &text);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(lines(&stdout(&output)).len(), proofs.len());

    // Cannon leaves the last memory proof 2 where it was, in whatever proof comes next.
    let mut left_over = proofs.iter().find(|it| it["oracle-key"].is_string()).unwrap().clone();
    let data = left_over["proof-data"].as_str().unwrap();
    let (front, one) =
        (&data[..2 + 2 * (330 + 2 * 1920)], &data[2 + 2 * (330 + 1920)..][..2 * 1920]);
    left_over["proof-data"] = json!(format!("{front}{one}"));
    let output = verify(directory.path(), &["--json"], &left_over.to_string());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let note = json(&stdout(&output))["notes"][0].to_string();
    assert!(note.contains("memory proof 2 is of an earlier step"), "{note}");

    // Gzip and a name, as op-challenger has it.
    let path = directory.path().join("0.json.gz");
    tribunal_machine::write_atomically(&path, |sink| {
        sink.write_all(proofs[0].to_string().as_bytes())
    })
    .unwrap();
    let shown = succeed_in(directory.path(), ["verify", "0.json.gz"]);
    assert!(shown.starts_with("0.json.gz: step "), "{shown}");
}

/// The proof with one byte of a field of bytes changed.
fn flip(proof: &Value, field: &str, byte: usize) -> Value {
    let mut flipped = proof.clone();
    let digits = proof[field].as_str().unwrap();
    let mut bytes = hex::decode(&digits[2..]).unwrap();
    bytes[byte] ^= 1 << (byte % 8);
    flipped[field] = json!(format!("0x{}", hex::encode(bytes)));
    flipped
}

fn length(proof: &Value, field: &str) -> usize {
    proof[field].as_str().map_or(0, |digits| digits.len() / 2 - 1)
}

/// The proof with one byte changed, in every field, all over; and what was changed.
fn flips(proof: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut add = |field: &str, byte: usize| {
        found.push((format!("{field} {byte}"), flip(proof, field, byte)));
    };
    for field in ["pre", "post", "state-data", "oracle-key", "oracle-value"] {
        (0..length(proof, field)).for_each(|byte| add(field, byte));
    }
    // Every byte of the thread, and of each hash of a memory proof one.
    (0..330).for_each(|byte| add("proof-data", byte));
    (330..6090).step_by(31).for_each(|byte| add("proof-data", byte));
    for bit in [0, 1, 7, 8, 31, 63] {
        for field in ["step", "oracle-offset"] {
            if field == "step" || proof["oracle-key"].is_string() {
                let mut flipped = proof.clone();
                flipped[field] = json!(proof[field].as_u64().unwrap_or(0) ^ 1 << bit);
                found.push((format!("{field} bit {bit}"), flipped));
            }
        }
    }
    found
}

#[test]
fn one_changed_byte_of_any_field_is_told() {
    let (directory, proofs) = reader();
    let verdicts = {
        let text: String = proofs.iter().map(|proof| format!("{proof}\n")).collect();
        lines(&stdout(&verify(directory.path(), &EVIDENCE, &text)))
    };
    let at = |what: &dyn Fn(&Value) -> bool| verdicts.iter().position(what).unwrap();
    let mut chosen = vec![
        at(&|verdict| verdict["instruction"] == "daddiu $t1, $t0, 7"),
        at(&|verdict| verdict["instruction"] == "ld $t1, 256($t0)"),
        at(&|verdict| verdict["instruction"] == "sd $t1, 256($t0)"),
        at(&|verdict| verdict["instruction"] == "sc $t1, 256($t0)"),
        at(&|verdict| verdict["remark"] == "clock_gettime"),
    ];
    chosen.extend((0..proofs.len()).filter(|&place| !proofs[place]["oracle-key"].is_null()));
    assert_eq!(chosen.len(), 5 + 2 * 5);
    for place in chosen {
        let (names, flipped): (Vec<_>, Vec<_>) = flips(&proofs[place]).into_iter().unzip();
        let text: String = flipped.iter().map(|proof| format!("{proof}\n")).collect();
        let output = verify(directory.path(), &EVIDENCE, &text);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let told = lines(&stdout(&output));
        assert_eq!(told.len(), names.len());
        for (name, verdict) in names.iter().zip(told) {
            let what = &verdicts[place]["instruction"];
            assert_ne!(verdict["verdict"], "holds", "{what}: {name}");
            assert!(!verdict["findings"][0]["what"].as_str().unwrap().is_empty());
            let refused = verdict["verdict"] == "refused";
            assert_eq!(verdict["refusal"].is_string(), refused, "{name}");
            assert_eq!(verdict["contractPost"].is_string(), !refused, "{name}");
        }
    }
}

#[test]
fn one_changed_character_of_a_file_is_told() {
    let (directory, proofs) = reader();
    let proof = proofs.iter().find(|proof| proof["oracle-offset"] == 8).unwrap().to_string();
    let structure = (0..proof.len()).filter(|&at| !proof.as_bytes()[at].is_ascii_hexdigit());
    let digits = (0..proof.len()).step_by(proof.len() / 20);
    for at in structure.step_by(3).chain(digits) {
        let mut bytes = proof.clone().into_bytes();
        bytes[at] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        let output = verify(directory.path(), &EVIDENCE[1..], &changed);
        let status = output.status.code().unwrap();
        let text = stdout(&output) + &stderr(&output);
        assert!(status == 1 || status == 2, "{at} {status}: {text}");
        assert_eq!(text.contains("FAIL "), status == 1, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let (directory, proofs) = reader();
    let (alu, read) = (&proofs[8], proofs.iter().find(|it| it["oracle-offset"] == 8).unwrap());
    let with = |proof: &Value, field: &str, value: Value| {
        let mut changed = proof.clone();
        changed[field] = value;
        changed
    };
    let hash = |digit: &str| json!(format!("0x{}", digit.repeat(32)));
    let without = |proof: &Value| {
        let mut changed = proof.clone();
        for field in ["oracle-key", "oracle-value", "oracle-offset"] {
            changed.as_object_mut().unwrap().remove(field);
        }
        changed
    };
    let post = alu["post"].as_str().unwrap();
    let ended = json!(format!("0x00{}", &post[4..]));
    let more = json!(format!("{}00", alu["proof-data"].as_str().unwrap()));
    let foreign: Value = {
        let mut changed = alu.clone();
        for field in ["oracle-key", "oracle-value", "oracle-offset"] {
            changed[field] = read[field].clone();
        }
        changed
    };
    for (proof, says) in [
        (with(alu, "post", hash("03")), "post: the file says 0x0303"),
        (with(alu, "post", hash("03")), "step: from 8 to 9\n"),
        (with(alu, "post", ended), "only the first byte differs"),
        (with(alu, "pre", hash("03")), "pre: the file says 0x0303"),
        (with(alu, "step", json!(77)), "step: the file says 77, state-data is at 8"),
        (with(alu, "state-data", json!("0x00")), "state-data: 1 bytes, a state has 188"),
        (flip(alu, "proof-data", 400), "contract: refuses the step: InvalidMemoryProof()"),
        (flip(alu, "proof-data", 6000), "memory proof 2 is neither empty nor a proof"),
        (with(alu, "proof-data", more), "proof-data: 6091 bytes, a step has 6090 at most"),
        (foreign, "oracle-key: the step reads no preimage"),
        (without(read), "contract: refuses the step: pre-image must exist"),
        (flip(read, "oracle-value", 0), "oracle-value: the value of preimage 0x"),
        (with(read, "oracle-offset", json!(999)), "oracle-offset: preimage 0x"),
    ] {
        let output = verify(directory.path(), &[], &proof.to_string());
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{text}{}", stderr(&output));
        assert!(text.contains(says), "{says}: {text}");
    }
}

#[test]
fn what_is_no_proof_is_told_apart_from_one_that_does_not_hold() {
    let (directory, proofs) = reader();
    let dir = directory.path();
    let proof = proofs[0].to_string();
    let short_key = {
        let mut changed = proofs[0].clone();
        changed["oracle-key"] = json!("0x0102");
        changed.to_string()
    };
    let no_key = {
        let mut changed = proofs[0].clone();
        changed["oracle-value"] = json!("0x0102");
        changed.to_string()
    };
    for (input, says) in [
        ("", "- is not a proof: it is empty"),
        ("[]", "it is no JSON object"),
        ("{}", "- is not a proof: missing field `step` at line 1 column 2"),
        (&proof[..500], "EOF while parsing"),
        (&proof.replacen("0x03", "0x3", 1), "- is not a proof: Odd number of digits"),
        (&format!("{proof} x"), "- is not a proof: expected value"),
        (&short_key, "its oracle-key is 2 bytes, a key has 32"),
        (&no_key, "without oracle-key"),
    ] {
        let output = verify(dir, &[], input);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{input}: {error}");
        assert!(error.contains(says), "{says}: {error}");
    }
    // The others are judged all the same.
    std::fs::write(dir.join("proof.json"), &proof).unwrap();
    std::fs::write(dir.join("changed.json"), flip(&proofs[0], "post", 5).to_string()).unwrap();
    let files = ["verify", "reader.elf", "proof.json", "nowhere", "changed.json"];
    let output = run_in(dir, files);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("proof.json: step 0 holds"));
    assert!(stdout(&output).contains("changed.json: step 0 does not hold"));
    let error = stderr(&output);
    assert!(error.contains("reader.elf is not a proof") && error.contains("cannot read nowhere"));
    assert!(error.ends_with("1 proofs hold, 1 do not, 2 files are no proofs\n"), "{error}");
    // The last is longer than a clock can tell.
    let endless = format!("--rpc-timeout={}", u64::MAX);
    let contract = format!("--address=0x{}", "11".repeat(20));
    for (flags, says) in [
        (&["--rpc", "http://127.0.0.1"][..], "--address"),
        (&["--rpc", "http://127.0.0.1", "--address", "0x00"], "an address is 20 bytes"),
        (&["--rpc", "http://127.0.0.1", &contract, "--rpc-timeout=0"], "1..=86400"),
        (&["--rpc", "http://127.0.0.1", &contract, &endless], "1..=86400"),
    ] {
        let output = verify(dir, flags, &proof);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

/// Our machine with one instruction of its code changed, so that it comes to another state.
fn wrong_machine(proof: &Value) -> String {
    let bytes = |field: &str| hex::decode(&proof[field].as_str().unwrap()[2..]).unwrap();
    let (state_data, proof_data) = (bytes("state-data"), bytes("proof-data"));
    let call = tribunal_onchain::StepCall {
        state_data: &state_data,
        proof_data: &proof_data,
        local_context: [0; 32],
    };
    let right = Instance::new().step(&call).unwrap().post;
    let code = Artifact::ours(Contract::Mips64).bytes().to_vec();
    let oracle = Artifact::ours(Contract::PreimageOracle);
    let changes = [(0x01, 0x03), (0x16, 0x17), (0x1b, 0x1c)];
    for (place, to) in code.iter().enumerate().filter_map(|(place, &byte)| {
        changes.iter().find(|(from, _)| *from == byte).map(|(_, to)| (place, *to))
    }) {
        let mut wrong = code.clone();
        wrong[place] = to;
        let file = json!({ "bytecode": format!("0x{}", hex::encode(wrong)) }).to_string();
        let Ok(artifact) = Artifact::from_file(file.as_bytes()) else { continue };
        let Ok(mut instance) = Instance::with(&artifact, &oracle) else { continue };
        if let Ok(step) = instance.step(&call)
            && step.post[1..] != right[1..]
            && step.post_state.is_some_and(|state| state.len() == 188)
        {
            return file;
        }
    }
    panic!("no such change");
}

#[test]
fn other_contracts_take_the_place_of_ours() {
    let (directory, proofs) = reader();
    let dir = directory.path();
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/artifacts");
    let artifact = |name: &str| artifacts.join(name).into_os_string().into_string().unwrap();
    let (machine, oracle) = (artifact("MIPS64.json"), artifact("PreimageOracle.json"));
    let proof = proofs.iter().find(|proof| proof["oracle-offset"] == 8).unwrap().to_string();
    let flag = |path: &str| format!("--contract={path}");
    for flags in [vec![flag(&machine)], vec![flag(&oracle)], vec![flag(&oracle), flag(&machine)]] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let output = verify(dir, &flags, &proof);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    std::fs::write(dir.join("none.json"), "{}").unwrap();
    for (flags, says) in [
        ([flag("none.json"), flag(&oracle)], "cannot use none.json: there is no code in it"),
        ([flag("nowhere"), flag(&oracle)], "cannot read nowhere"),
        ([flag(&machine), flag(&machine)], "are both MIPS64"),
    ] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let output = verify(dir, &flags, &proof);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
    }

    // One that comes to another state: what differs is told field by field.
    let alu = proofs.iter().find(|proof| proof["step"] == 8).unwrap();
    std::fs::write(dir.join("wrong.json"), wrong_machine(alu)).unwrap();
    let output = verify(dir, &["--contract", "wrong.json"], &alu.to_string());
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL post: the file says 0x"), "{text}");
    assert!(text.contains(" in the file, ") && text.contains(" for the contract\n"), "{text}");

    let sample = ["sample", "--input", "reader.elf", "--preimages", "preimages.json"];
    let check = |more: &[&str]| run_in(dir, sample.iter().chain(more).copied());
    let output = check(&["--check", "1000", "--contract", "wrong.json"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{}", stderr(&output));
    assert!(text.starts_with("the first difference: step "), "{text}");
    assert!(stderr(&output).contains(" checked: machine and contract differ at "));
    let named = text.contains("    the machine   ") && text.contains("    the contract  ");
    assert!(named || text.contains("refuses the step"), "{text}");
    assert_eq!(check(&["--at", "0", "--contract", "wrong.json"]).status.code(), Some(2));
}

#[test]
fn random_steps_of_a_run_are_checked() {
    let (directory, proofs) = reader();
    let sample = ["sample", "--input", "reader.elf", "--preimages", "preimages.json"];
    let check = |more: &[&str]| run_in(directory.path(), sample.iter().chain(more).copied());
    // More than there are: all of them.
    let output = check(&["--check", "100000", "--seed", "5"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""));
    let summary = stderr(&output);
    // The last proof is of the state past the end, which every program has.
    let steps = proofs.len() - 1;
    let steps = format!("{},{:03}", steps / 1000, steps % 1000);
    let expected = format!("{steps} steps of 0 to {steps} checked: machine and contract agree");
    assert!(summary.starts_with(&expected), "{summary}");
    assert!(summary.contains("preimages 8 proven, 2 given; median gas "), "{summary}");
    assert!(summary.ends_with("again with --seed 5\n"), "{summary}");

    let some = check(&["--check", "20", "--seed", "5"]);
    assert!(stderr(&some).starts_with("20 steps of 0 to "));
    assert_eq!(stderr(&some), stderr(&check(&["--check", "20", "--seed", "5"])));
    let quiet = check(&["--check", "3", "--quiet"]);
    assert_eq!((quiet.status.code(), stderr(&quiet).as_str()), (Some(0), ""));
    for flags in [&["--check", "3", "--at", "0"][..], &["--at", "0", "--seed", "1"], &[]] {
        assert_eq!(check(flags).status.code(), Some(2), "{flags:?}");
    }
}

/// Serves one answer after the other to whatever is asked, until the test is over. The answer is all
/// that is sent: a status line, headers, a body. What answers is made where it is used.
fn serve<A: FnMut(&str, &Value) -> Vec<u8>>(make: impl FnOnce() -> A + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut answer = make();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some((head, body)) = read_request(&stream) else { continue };
            // Whoever asked may be gone.
            let _ = stream.write_all(&answer(&head, &body));
        }
    });
    address.to_string()
}

fn read_request(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1)?.split("\r\n").next()?;
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into()
}

fn result(question: &Value, result: &str) -> Vec<u8> {
    let body = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
    http("200 OK", &body.to_string())
}

fn hash(text: &Value) -> [u8; 32] {
    hex::decode(&text.as_str().unwrap()[2..]).unwrap().try_into().unwrap()
}

/// A chain with our contracts, whose oracle knows nothing but what a call overrides.
fn chain(instance: &mut Instance, question: &Value) -> Vec<u8> {
    assert_eq!(question["method"], "eth_call");
    let [call, block, overrides @ ..] = question["params"].as_array().unwrap().as_slice() else {
        panic!("{question}");
    };
    assert_eq!(block, "latest");
    instance.reset();
    for (address, change) in overrides.iter().flat_map(|change| change.as_object().unwrap()) {
        assert_eq!(address.parse(), Ok(instance.oracle()), "{question}");
        for (slot, value) in change["stateDiff"].as_object().unwrap() {
            instance.write_oracle_storage(hash(&json!(slot)), hash(value));
        }
    }
    let to: Address = call["to"].as_str().unwrap().parse().unwrap();
    let data = hex::decode(&call["data"].as_str().unwrap()[2..]).unwrap();
    match instance.call(to, data) {
        Ok(receipt) => result(question, &format!("0x{}", hex::encode(receipt.output))),
        Err(refused) => {
            let message = match refused.why {
                Refusal::Message(message) => format!("execution reverted: {message}"),
                _ => "execution reverted".to_owned(),
            };
            let error = json!({ "code": 3, "message": message });
            let body = json!({ "jsonrpc": "2.0", "id": question["id"], "error": error });
            http("200 OK", &body.to_string())
        }
    }
}

#[test]
fn a_chain_is_asked_through_eth_call() {
    let (directory, proofs) = reader();
    let instance = Instance::new();
    let (machine, oracle) = (instance.machine().to_string(), instance.oracle().to_string());
    let address = serve(|| {
        let mut instance = Instance::new();
        move |_: &str, question: &Value| chain(&mut instance, question)
    });
    let url = format!("http://{address}");
    let on_chain = ["--json", "--rpc", &url, "--address", &machine];
    let text: String = proofs.iter().map(|proof| format!("{proof}\n")).collect();
    let output = verify(directory.path(), &on_chain, &text);
    assert_eq!(output.status.code(), Some(0), "{}{}", stderr(&output), stdout(&output));
    assert_eq!(lines(&stdout(&output)).len(), proofs.len());

    let keccak =
        |proof: &&Value| proof["oracle-key"].as_str().is_some_and(|key| &key[..4] == "0x02");
    let read = proofs.iter().find(keccak).unwrap();
    for (place, field) in [(9, "oracle-key"), (9, "oracle-value"), (9, "proof-data"), (9, "post")] {
        let changed = flip(read, field, place).to_string();
        let output = verify(directory.path(), &on_chain, &changed);
        assert_eq!(output.status.code(), Some(1), "{field}: {}", stderr(&output));
        let verdict = json(&stdout(&output));
        match field {
            "post" => assert_eq!(verdict["contractPost"], read["post"]),
            "proof-data" => assert!(verdict["refusal"].is_string()),
            _ => assert_eq!(verdict["refusal"], "pre-image must exist", "{field}"),
        }
    }
    // Another contract there, and none at all.
    for (address, says) in [
        (oracle.as_str(), "does not say where its oracle is"),
        ("0x00000000000000000000000000000000000000aa", "is no contract"),
    ] {
        let flags = ["--rpc", &url, "--address", address];
        let output = verify(directory.path(), &flags, &read.to_string());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn a_node_that_fails_is_no_refusal() {
    let (directory, proofs) = reader();
    let proof = proofs[0].to_string();
    let error = |status: &str, code: i64, message: &str| {
        let error = json!({ "code": code, "message": message });
        http(status, &json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string())
    };
    let machine = Instance::new().machine().to_string();
    for (answer, says) in [
        (http("500 Internal Server Error", "oops"), "answers with HTTP status 500"),
        (http("404 Not Found", ""), "answers with HTTP status 404"),
        (http("200 OK", "<html>hello"), "its answer is no JSON-RPC"),
        (http("200 OK", "{}"), "its answer is no JSON-RPC"),
        (http("200 OK", r#"{"id":99,"result":"0x"}"#), "its answer is to another question"),
        (http("200 OK", r#"{"id":1,"result":"0xzz"}"#), "its answer is no hexadecimal digits"),
        (http("200 OK", r#"{"id":1,"result":"12"}"#), "its answer is no hexadecimal digits"),
        (http("200 OK", r#"{"id":1,"result":7}"#), "its answer is no JSON-RPC"),
        (error("200 OK", -32601, "the method eth_call does not exist"), "error -32601"),
        (error("401 Unauthorized", -32002, "no such project"), "it says: no such project"),
        (error("200 OK", -32000, "out of gas"), "it says: out of gas"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec(), "cannot"),
        (b"nonsense\r\n\r\n".to_vec(), "cannot"),
        (Vec::new(), "cannot"),
    ] {
        let address = serve(move || move |_: &str, _: &Value| answer.clone());
        let url = format!("http://user:secret@{address}/v3/secret?key=secret");
        let output = verify(directory.path(), &["--rpc", &url, "--address", &machine], &proof);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{says}: {error}{}", stdout(&output));
        assert!(error.contains(says), "{says}: {error}");
        assert!(error.contains(&format!("http://{address}")), "{error}");
        assert!(!error.contains("secret") && stdout(&output).is_empty(), "{error}");
    }

    // Nobody there; a host that is none; one that never answers; no TLS where it is wanted.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = serve(|| |_: &str, _: &Value| http("200 OK", "{}"));
    for (url, says) in [
        (format!("http://{free}"), "cannot reach http://127.0.0.1"),
        ("http://nowhere.invalid".into(), "http://nowhere.invalid"),
        (format!("http://{}", silent.local_addr().unwrap()), "does not answer within 2 s"),
        (format!("https://{plain}"), "cannot"),
    ] {
        let flags = ["--rpc", &url, "--address", &machine, "--rpc-timeout=2"];
        let output = verify(directory.path(), &flags, &proof);
        assert_eq!(output.status.code(), Some(3), "{url}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
    }
    for url in ["ftp://node", "node", "http://", ""] {
        let output = verify(directory.path(), &["--rpc", url, "--address", &machine], &proof);
        assert_eq!(output.status.code(), Some(2), "{url}: {}", stderr(&output));
    }
}
