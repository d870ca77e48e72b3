//! calldata: the transactions it prints, sent in order, have the step judged.

mod common;

use std::path::Path;

use serde_json::{Value, json};
use tribunal_kzg::{BLOB_BYTES, ELEMENTS, point};
use tribunal_onchain::{Blob, Instance, Transaction, U256};
use tribunal_preimage::Key;

use common::*;

/// Steps that read from a preimage, of a program that reads from each of these.
fn reads(directory: &Path, keys: &[Key], preimages: &[(Key, Vec<u8>)]) -> Vec<Value> {
    write_reader(&directory.join("reader.elf"), keys);
    write_preimages(&directory.join("preimages.json"), preimages);
    let proofs = prove_all(directory, "reader.elf", "preimages.json");
    proofs.into_iter().filter(|proof| proof["oracle-key"].is_string()).collect()
}

fn transactions(directory: &Path, proof: &Value, flags: &[&str]) -> Vec<Value> {
    std::fs::write(directory.join("proof.json"), proof.to_string()).unwrap();
    let arguments = ["calldata", "proof.json", "--json", "--preimages", "preimages.json"];
    let lines = succeed_in(directory, arguments.iter().chain(flags).copied());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(text: &Value) -> Vec<u8> {
    hex::decode(&text.as_str().unwrap()[2..]).unwrap()
}

/// Sends transactions to contracts that know nothing yet. Returns the state hash after the step, and
/// how many seconds had to pass.
fn send(transactions: &[Value]) -> (Vec<u8>, u64) {
    let mut instance = Instance::new();
    let (mut post, mut waited) = (Vec::new(), 0);
    for transaction in transactions {
        let wait = transaction["wait"].as_u64().unwrap();
        // Each in a block of its own.
        instance.advance_time(if wait > 0 { wait + 1 } else { 0 });
        waited += wait;
        let to = match transaction["contract"].as_str().unwrap() {
            "MIPS64" => instance.machine(),
            "PreimageOracle" => instance.oracle(),
            other => panic!("{other}"),
        };
        let value: U256 = transaction["value"].as_str().unwrap().parse().unwrap();
        let calldata = bytes(&transaction["data"]);
        let from = Instance::SENDER;
        let receipt = instance
            .transact(Transaction { from, to, value, calldata, gas_limit: None })
            .unwrap_or_else(|refused| panic!("{}: {refused}", transaction["function"]));
        let gas = (receipt.gas.execution, receipt.gas.transaction);
        let told = |name: &str| transaction[name].as_u64().unwrap();
        assert_eq!(gas, (told("executionGas"), told("transactionGas")));
        post = receipt.output;
    }
    (post, waited)
}

fn functions(transactions: &[Value]) -> Vec<&str> {
    transactions.iter().map(|transaction| transaction["function"].as_str().unwrap()).collect()
}

#[test]
fn transactions_sent_in_order_lead_to_the_state_of_the_proof() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let preimages = preimages();
    let keys: Vec<_> = preimages[..5].iter().map(|(key, _)| *key).collect();
    let mut seen = Vec::new();
    for proof in reads(dir, &keys, &preimages) {
        if proof["oracle-key"].as_str().unwrap().starts_with("0x05") {
            // Nobody knows the blob.
            std::fs::write(dir.join("proof.json"), proof.to_string()).unwrap();
            let output = run_in(dir, ["calldata", "proof.json"]);
            assert_eq!(output.status.code(), Some(2));
            assert!(stderr(&output).contains("its KZG commitment and proof are not known"));
            continue;
        }
        let sent = transactions(dir, &proof, &[]);
        let (post, waited) = send(&sent);
        assert_eq!((post, waited), (bytes(&proof["post"]), 0));
        let names = functions(&sent);
        assert_eq!(names[1..], ["step"]);
        seen.push(names[0].to_owned());
    }
    seen.dedup();
    let expected = [
        "loadLocalData",
        "loadKeccak256PreimagePart",
        "loadSha256PreimagePart",
        "loadPrecompilePreimagePart",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_element_of_a_blob_is_proven_where_the_whole_blob_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut blob = vec![0; BLOB_BYTES];
    blob.chunks_mut(32).zip(1u16..).for_each(|(it, n)| it[30..].copy_from_slice(&n.to_be_bytes()));
    let commitment = Blob::new(&blob).unwrap().commitment();
    let keys: Vec<Key> = (0..ELEMENTS).map(|place| Key::blob(&commitment, &point(place))).collect();
    let key = keys[5];
    let behind = [&commitment[..], &point(5)].concat();
    let mut preimages = vec![(Key::keccak256_of(&behind), behind)];
    preimages.extend(keys.into_iter().zip(blob.chunks(32).map(<[u8]>::to_vec)));
    let proof = &reads(dir, &[key], &preimages)[1];

    let sent = transactions(dir, proof, &[]);
    assert_eq!(functions(&sent), ["loadBlobPreimagePart", "step"]);
    assert_eq!(send(&sent).0, bytes(&proof["post"]));
    let text = succeed_in(dir, ["verify", "proof.json", "--preimages", "preimages.json"]);
    assert!(text.contains("loaded by loadBlobPreimagePart, which proves it"), "{text}");
    // A changed byte that the step does not read is found out now too.
    let mut changed = proof.clone();
    let value = proof["oracle-value"].as_str().unwrap();
    changed["oracle-value"] = json!(value.replace("0006", "0007"));
    std::fs::write(dir.join("changed.json"), changed.to_string()).unwrap();
    let output = run_in(dir, ["verify", "changed.json", "--preimages", "preimages.json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("FAIL oracle-value: "), "{}", stdout(&output));

    preimages.remove(1 + 77);
    write_preimages(&dir.join("preimages.json"), &preimages);
    let text = succeed_in(dir, ["verify", "proof.json", "--preimages", "preimages.json"]);
    assert!(text.contains("taken as given") && text.contains("element 77 of the blob"), "{text}");
    let output = run_in(dir, ["calldata", "proof.json", "--preimages", "preimages.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("element 77 of the blob"), "{}", stderr(&output));
}

#[test]
fn a_step_without_a_preimage_is_one_transaction_with_no_more_proof_than_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_reader(&dir.join("reader.elf"), &[]);
    write_preimages(&dir.join("preimages.json"), &[]);
    let mut lengths = Vec::new();
    for proof in prove_all(dir, "reader.elf", "preimages.json") {
        let sent = transactions(dir, &proof, &[]);
        assert_eq!(functions(&sent), ["step"]);
        assert_eq!(send(&sent).0, bytes(&proof["post"]));
        lengths.push(bytes(&sent[0]["data"]).len());
    }
    lengths.sort_unstable();
    lengths.dedup();
    // 356 bytes of call and state, in front of: nothing, a thread with 1, 2 or 3 memory proofs.
    let padded = |length: usize| 356 + length.next_multiple_of(32);
    assert_eq!(lengths, [0, 330 + 1920, 330 + 2 * 1920, 330 + 3 * 1920].map(padded));
}

#[test]
fn a_large_preimage_is_proposed() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let data: Vec<u8> = (0..1_200_000u32).map(|i| (i ^ (i >> 9)) as u8).collect();
    let key = Key::keccak256_of(&data);
    let proofs = reads(dir, &[key], &[(key, data)]);
    let sender = Instance::SENDER.to_string();
    for proof in &proofs {
        let sent = transactions(dir, proof, &["--sender", &sender]);
        let names = functions(&sent);
        let [first, additions @ .., squeeze, step] = names.as_slice() else { panic!("{names:?}") };
        assert_eq!([*first, *squeeze, *step], ["initLPP", "squeezeLPP", "step"]);
        assert_eq!(additions, ["addLeavesLPP"; 30]);
        assert!(sent.iter().all(|it| bytes(&it["data"]).len() < 128 << 10));
        assert!(sent.iter().all(|it| it["transactionGas"].as_u64() < Some(1 << 24)));
        assert_eq!(sent[0]["value"], "250000000000000000");
        let (post, waited) = send(&sent);
        assert_eq!((post, waited), (bytes(&proof["post"]), 86_400));

        // Another number and another account make another proposal, of the same part.
        let other = "0x00000000000000000000000000000000000000aa";
        let theirs = transactions(dir, proof, &["--sender", other, "--uuid", "7"]);
        assert_eq!(functions(&theirs), names);
        assert_ne!(theirs[0]["data"], sent[0]["data"]);
        assert_eq!(theirs.last(), sent.last());
    }
    let output = run_in(dir, ["calldata", "proof.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("name the account that sends the transactions with --sender"));

    let text = succeed_in(dir, ["calldata", "proof.json", "--sender", &sender]);
    for part in [
        "1. PreimageOracle.initLPP\n",
        "  value  250000000000000000 wei, which comes back unless it is challenged\n",
        "  when   more than 86400 seconds (24 h 0 min) after the one before\n",
        "33. MIPS64.step\n",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn people_are_told_to_whom_and_what_the_game_does() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let key = Key::local(4);
    let proofs = reads(dir, &[key], &[(key, vec![7; 8])]);
    std::fs::write(dir.join("proof.json"), proofs[1].to_string()).unwrap();
    let (machine, oracle) = (
        "0x1111111111111111111111111111111111111111",
        "0x2222222222222222222222222222222222222222",
    );
    let context = "0x".to_owned() + &"ab".repeat(32);
    let flags = ["--address", machine, "--oracle", oracle, "--context", &context];
    let output = run_in(dir, ["calldata", "proof.json"].iter().chain(&flags).copied());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with(&format!("1. PreimageOracle.loadLocalData\n  to     {oracle}\n")));
    assert!(text.contains(&format!("2. MIPS64.step\n  to     {machine}\n")));
    assert_eq!(text.matches(&"ab".repeat(32)).count(), 2, "the context is in both");
    assert!(stderr(&output).contains("the dispute game's: on a chain its addLocalData calls"));
    assert!(stderr(&output).contains("in a dispute the game calls step"));
    let sent = transactions(dir, &proofs[1], &flags);
    assert_eq!((&sent[0]["to"], &sent[1]["to"]), (&json!(oracle), &json!(machine)));
    assert_eq!(send(&sent).0, bytes(&proofs[1]["post"]));
    let quiet = run_in(dir, ["calldata", "proof.json", "--quiet"]);
    assert!(quiet.stderr.is_empty());
}

#[test]
fn what_does_not_hold_is_not_sent() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let key = Key::keccak256_of(b"12345678");
    let proofs = reads(dir, &[key], &[(key, b"12345678".to_vec())]);
    let with = |field: &str, value: Value| {
        let mut changed = proofs[1].clone();
        changed[field] = value;
        changed.to_string()
    };
    let two = format!("{}{}", proofs[0], proofs[1]);
    let post = json!(format!("0x03{}", "11".repeat(31)));
    for (input, status, says) in [
        (with("post", post), 1, "not to the post of the proof, 0x0311"),
        (with("oracle-offset", json!(7)), 1, "step is refused: pre-image must exist"),
        (with("oracle-offset", json!(99)), 1, "is read at offset 99, but it ends at 16"),
        (with("oracle-value", json!("0x00")), 2, "has no 8-byte length in front"),
        (with("oracle-key", json!("0x00")), 2, "its oracle-key is 1 bytes"),
        (two, 2, "proof.json holds 2 proofs"),
        (String::new(), 2, "proof.json is not a proof"),
    ] {
        std::fs::write(dir.join("proof.json"), &input).unwrap();
        let output = run_in(dir, ["calldata", "proof.json"]);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{says}: {error}");
        assert!(error.contains(says), "{says}: {error}");
        assert!(output.stdout.is_empty());
    }
    std::fs::write(dir.join("proof.json"), proofs[1].to_string()).unwrap();
    for flags in [["--address", "0x12"], ["--context", "0x12"], ["--uuid", "x"]] {
        let output = run_in(dir, ["calldata", "proof.json"].into_iter().chain(flags));
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
    }
}
