//! Cannon's commands: its flags, files, output and exit statuses, on two whole runs of Cannon.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tribunal_conformance::assemble::{NOP, ZERO, beq, call};
use tribunal_conformance::{TrailPoint, read_trail};

use common::*;

const EXIT_GROUP: u64 = 5205;

fn trail(name: &str) -> Vec<TrailPoint> {
    read_trail(&guest(&format!("{name}.trail.jsonl.gz"))).unwrap()
}

/// The proof file that Cannon writes for a step of a trail.
fn proof_file(point: &TrailPoint) -> String {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let mut file = format!(
        "{{\n  \"step\": {},\n  \"pre\": \"{}\",\n  \"post\": \"{}\",\n  \"state-data\": \"{}\",\n  \
         \"proof-data\": \"{}\"",
        point.step,
        hex(&point.hash.0),
        hex(&point.post.as_ref().unwrap().0),
        hex(&point.state.as_ref().unwrap().0),
        hex(&point.proof.as_ref().unwrap().0),
    );
    if let Some(key) = &point.oracle_key {
        let value = hex(&point.oracle_value.as_ref().unwrap().0);
        file +=
            &format!(",\n  \"oracle-key\": \"{}\",\n  \"oracle-value\": \"{value}\"", hex(&key.0));
    }
    if let Some(offset) = point.oracle_offset.filter(|&offset| offset != 0) {
        file += &format!(",\n  \"oracle-offset\": {offset}");
    }
    file + "\n}\n\n"
}

#[test]
fn programs_load_into_cannons_states() {
    for (name, sha) in [
        ("threads", "1182ff80c09fffdb14f6724eff697b7c29f865b1f2204486f512b7346b6d6ea0"),
        ("preimages", "4a90f5a2b5464b04c8e447d66fff58de650cc2ca9efa9c61ee77a12a45957a73"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let elf = guest(&format!("{name}.elf.gz"));
        let printed = succeed_in(
            directory.path(),
            arguments!["load-elf", "--type", "multithreaded64-5", "--path", elf],
        );
        assert_eq!(printed, "");
        assert_eq!(names(directory.path()), ["meta.json", "state.bin.gz"]);
        assert_eq!(sha256(&directory.path().join("state.bin.gz")), sha);

        let meta: Value =
            serde_json::from_slice(&read(&directory.path().join("meta.json"))).unwrap();
        let symbols = meta["symbols"].as_array().unwrap();
        let main = symbols.iter().find(|symbol| symbol["name"] == "main.main").unwrap();
        assert!(main["start"].as_u64().unwrap() > 0x1_0000 && main["size"].as_u64().unwrap() > 0);
        let starts: Vec<u64> = symbols.iter().map(|s| s["start"].as_u64().unwrap()).collect();
        assert!(starts.is_sorted());

        // `-` is standard output, and empty is nowhere.
        let output = run_in(
            directory.path(),
            arguments![
                "load-elf",
                "-type=multithreaded64-5",
                "-path",
                elf,
                "--out",
                "-",
                "--meta",
                ""
            ],
        );
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout == read(&directory.path().join("state.bin.gz")));
        assert_eq!(names(directory.path()), ["meta.json", "state.bin.gz"]);
    }
}

#[test]
fn op_challengers_argument_list_makes_the_files_it_reads() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    for made in ["game/snapshots", "game/proofs", "game/preimages"] {
        std::fs::create_dir_all(dir.join(made)).unwrap();
    }
    let point = trail("preimages").into_iter().rfind(|point| point.oracle_key.is_some()).unwrap();
    let step = point.step;
    let json = guest("preimages.json");
    let game = dir.join("game");
    let output = run_in(
        Path::new("/"),
        arguments![
            "run",
            "--input",
            dir.join("state.bin"),
            "--output",
            game.join("final.bin.gz"),
            "--meta",
            "",
            "--info-at",
            "%1000000",
            "--proof-at",
            format!("={step}"),
            "--proof-fmt",
            game.join("proofs/%d.json.gz"),
            "--snapshot-at",
            "%500000",
            "--snapshot-fmt",
            game.join("snapshots/%d.bin.gz"),
            "--stop-at",
            format!("={}", step + 1),
            "--debug-info",
            game.join("preimages/debug-info.json"),
            "--",
            store_host(),
            "single",
            "--l1-node-address",
            "http://localhost:8545",
            "--l1-head",
            "0x00",
            "--server",
            "--data-dir",
            game.join("preimages"),
            "--l2-chain-id",
            "10",
            "--store",
            json,
        ],
    );
    let log = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{log}");

    let proof = read(&game.join(format!("proofs/{step}.json.gz")));
    assert_eq!(String::from_utf8(proof).unwrap(), proof_file(&point));
    assert_eq!(names(&game.join("proofs")), [format!("{step}.json.gz")]);
    let snapshots: Vec<String> =
        (0..=step / 500_000).map(|i| format!("{}.bin.gz", i * 500_000)).collect();
    let mut sorted = snapshots.clone();
    sorted.sort();
    assert_eq!(names(&game.join("snapshots")), sorted);
    assert_eq!(
        sha256(&game.join("snapshots/0.bin.gz")),
        sha256(&dir.join("state.bin")),
        "a snapshot is of the state before its step"
    );

    let info: Value =
        serde_json::from_slice(&read(&game.join("preimages/debug-info.json"))).unwrap();
    let keys: Vec<&String> = info.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 13);
    assert_eq!(info["total_steps"], step + 1);
    assert_eq!(info["num_preimage_requests"].as_u64().unwrap(), 19);
    let pages = info["pages"].as_u64().unwrap();
    assert_eq!(info["memory_used"], format!("{:#x}", pages * 4096));
    assert_eq!(info["highest_icache_miss_pc"], "0x0");

    // What op-challenger asks next of the final state.
    let witness = succeed_in(dir, arguments!["witness", "--input", game.join("final.bin.gz")]);
    let witness: Value = serde_json::from_str(&witness).unwrap();
    assert_eq!(witness["step"], step + 1);
    assert_eq!(witness["exited"], false);
    assert_eq!(witness["witnessHash"], format!("0x{}", hex::encode(point.post.unwrap().0)));

    // Its log: the machine, the program and the host, told apart.
    for part in [
        "level=INFO msg=\"no metadata file specified, defaulting to empty metadata\" module=vm",
        "level=INFO msg=\"Loaded input state\" module=vm version=multithreaded64-5",
        "level=INFO msg=processing module=vm step=1000000 pc=",
        "level=INFO msg=\"\" module=guest stream=stdout text=\"675bff07 type 2, 1 bytes\"",
        "level=INFO msg=\"\" module=host text=\"arguments: single --l1-node-address http",
        "level=INFO msg=\"Reached stop at\" module=vm",
        "level=INFO msg=\"Execution stopped\" module=vm exited=false code=0",
    ] {
        line_with(&log, part);
    }
    let processing = line_with(&log, "step=1000000 ");
    for key in [" insn=", " ips=", " pages=", " mem=\"", " name=!unknown"] {
        assert!(processing.contains(key), "{processing}");
    }
    assert_eq!(stdout(&output), "level=INFO msg=\"\" module=host text=serving\n");
}

#[test]
fn a_run_resumed_from_a_snapshot_is_the_straight_run() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let json = guest("preimages.json");
    succeed_in(
        dir,
        arguments![
            "run",
            "--input=state.bin",
            "--output=straight.bin",
            "--snapshot-at=%700001",
            "--snapshot-fmt=%d.bin",
            "--preimages",
            json
        ],
    );
    assert_eq!(
        sha256(&dir.join("straight.bin")),
        "8994c96ef4565c37bd531c262a9372847ab2a78874cc6c2da60b2adf0709af82"
    );
    for step in [700_001u64, 1_400_002, 2_100_003] {
        succeed_in(
            dir,
            arguments![
                "run",
                "--input",
                format!("{step}.bin"),
                "--output=resumed.bin.gz",
                "--snapshot-at",
                format!("={}", 2_100_003),
                "--snapshot-fmt=again-%d.bin",
                "--preimages",
                json
            ],
        );
        assert_eq!(sha256(&dir.join("resumed.bin.gz")), sha256(&dir.join("straight.bin")));
        assert_eq!(sha256(&dir.join("again-2100003.bin")), sha256(&dir.join("2100003.bin")));
    }
}

#[test]
fn threads_runs_as_in_cannon_whatever_surrounds_it() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "threads");
    let points = trail("threads");
    let proven: Vec<&TrailPoint> = points.iter().filter(|point| point.proof.is_some()).collect();
    let step = proven[proven.len() / 2].step;
    let run = |into: &str| {
        std::fs::create_dir(dir.join(into)).unwrap();
        let mut command = tribunal();
        command.args([
            "run",
            "--input=../state.bin",
            "--proof-at",
            &format!("={step}"),
            "--snapshot-at==12345678",
            "--meta=../meta.json",
            "--debug-info=info.json",
        ]);
        command.current_dir(dir.join(into));
        command
    };
    let plain = run("plain").output().unwrap();
    assert_eq!(plain.status.code(), Some(0), "{}", stderr(&plain));
    let elsewhere = run("elsewhere")
        .env_clear()
        .envs([("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu"), ("COLUMNS", "20")])
        .output()
        .unwrap();
    assert_eq!(elsewhere.status.code(), Some(0), "{}", stderr(&elsewhere));

    let made = names(&dir.join("plain"));
    let proof = format!("proof-{step}.json");
    assert_eq!(made, ["info.json", "out.bin.gz", &proof, "state-12345678.bin.gz"]);
    for name in &made {
        let [one, other] =
            ["plain", "elsewhere"].map(|into| std::fs::read(dir.join(into).join(name)).unwrap());
        assert!(one == other, "{name}");
    }
    assert_eq!(
        sha256(&dir.join("plain/out.bin.gz")),
        "e24d9a99fec868fb896447f6cac0d72e50b8e3f623ed17047a36f1e897006a42"
    );
    let proof = read(&dir.join("plain").join(proof));
    assert_eq!(String::from_utf8(proof).unwrap(), proof_file(proven[proven.len() / 2]));
    let log = stderr(&plain);
    let processing = line_with(&log, "msg=processing");
    assert!(processing.ends_with(" name=_rt0_mips64_linux"), "{processing}");
    let said: Vec<&str> = log
        .lines()
        .filter_map(|line| {
            line.strip_prefix("level=INFO msg=\"\" module=guest stream=stdout text=")
        })
        .collect();
    assert_eq!(said.len(), 6);
    assert_eq!(said[1], "\"count 1800 1800\"");
}

#[test]
fn the_witness_is_one_json_object_and_188_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "threads");
    let point = &trail("threads")[0];
    let printed = succeed_in(dir, ["witness", "--input=state.bin", "--output", "witness"]);
    let witness = hex::encode(&point.state.as_ref().unwrap().0);
    assert_eq!(
        printed,
        format!(
            "{{\n  \"stateVersion\": 8,\n  \"witnessHash\": \"0x{}\",\n  \"witness\": \"0x{witness}\",\n  \
             \"step\": 0,\n  \"exited\": false,\n  \"exitCode\": 0\n}}\n\n",
            hex::encode(point.hash.0)
        )
    );
    assert_eq!(hex::encode(read(&dir.join("witness"))), witness);
}

#[test]
fn the_one_version_is_listed_and_the_old_ones_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let listed = succeed_in(dir, ["list"]);
    line_with(&listed, "version: multithreaded64-5 (8)");
    let elf = guest("threads.elf.gz");
    for (version, says) in [
        ("singlethreaded-2", "singlethreaded-2 is an old version"),
        ("multithreaded64-4", "multithreaded64-4 is an old version"),
        ("8", "unknown state version"),
        ("", "unknown state version"),
    ] {
        let output = run_in(dir, arguments!["load-elf", "--type", version, "--path", elf]);
        assert_eq!(output.status.code(), Some(1));
        let error = stderr(&output);
        assert!(error.starts_with("error: ") && error.contains(says), "{error}");
        assert!(error.contains("--type multithreaded64-5"), "{error}");
    }
    assert!(names(dir).is_empty());
}

#[test]
fn preimages_stop_a_run_as_asked() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let json = guest("preimages.json");
    // The trail holds the steps around each read; the first step of each kind of key, at offset 0.
    let mut first_reads: BTreeMap<u8, (u64, TrailPoint)> = BTreeMap::new();
    for point in trail("preimages") {
        if let Some(key) = &point.oracle_key
            && point.oracle_offset.unwrap_or(0) == 0
        {
            first_reads.entry(key.0[0]).or_insert((point.step, point));
        }
    }
    let stop = |flags: &[String]| {
        let mut arguments: Arguments =
            arguments!["run", "--input=state.bin", "--output=out.bin"].into();
        arguments.extend(flags.iter().map(Into::into));
        arguments.extend(arguments!["--preimages", json]);
        let output = run_in(dir, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        line_with(&stderr(&output), "Stopping at preimage read");
        let witness = succeed_in(dir, ["witness", "--input=out.bin"]);
        serde_json::from_str::<Value>(&witness).unwrap()["step"].as_u64().unwrap()
    };
    assert!(first_reads.len() >= 4, "{:?}", first_reads.keys());
    for (name, kind) in [("local", 1), ("keccak", 2), ("sha256", 4), ("blob", 5), ("precompile", 6)]
    {
        let Some((step, _)) = first_reads.get(&kind) else { continue };
        let stopped = stop(&[format!("--stop-at-preimage-type={name}")]);
        assert_eq!(stopped, step + 1, "{name}: the state after the read");
    }
    for (step, point) in first_reads.values() {
        let key = hex::encode(&point.oracle_key.as_ref().unwrap().0[..9]);
        assert_eq!(stop(&["--stop-at-preimage".into(), format!("0x{key}")]), step + 1);
        // The kind does not count beside a key; the first step that may stop does.
        let later = format!("{key}@8@{}", step + 1);
        let flags = ["--stop-at-preimage".into(), later, "--stop-at-preimage-type=any".into()];
        assert!(stop(&flags) > step + 1);
    }
    let first = first_reads.values().map(|(step, _)| *step).min().unwrap();
    assert!(stop(&["--stop-at-preimage-type=any".into()]) <= first + 1);
    let large = stop(&["--stop-at-preimage-larger-than=1008".into()]);
    let info = succeed_in(dir, ["inspect", "out.bin", "--json"]);
    assert!(
        serde_json::from_str::<Value>(&info).unwrap()["preimageKey"]
            .as_str()
            .unwrap()
            .starts_with("0x02")
    );
    assert!(large > first);
}

#[test]
fn a_completed_run_succeeds_whatever_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    for code in [0u64, 1, 2, 255] {
        write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[code]));
        load(dir, &dir.join("exit.elf"));
        let output = run_in(dir, ["run", "--input=state.bin"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        line_with(&stderr(&output), &format!("exited=true code={code}"));
        let witness = succeed_in(dir, ["witness", "--input", "out.bin.gz"]);
        let witness: Value = serde_json::from_str(&witness).unwrap();
        assert_eq!(witness["exited"], true);
        assert_eq!(witness["exitCode"], code);
    }
}

#[test]
fn a_fault_of_the_program_is_status_2_and_leaves_no_output() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut break_after_a_while = vec![NOP; 5];
    // `break`: none of the machine's instructions.
    break_after_a_while.push(0x0d);
    for (words, says) in [
        (break_after_a_while, "0x0000000d is no instruction of this machine"),
        (call(9999, &[]), "syscall 9999 is not supported"),
    ] {
        write_program(&dir.join("bad.elf"), &words);
        load(dir, &dir.join("bad.elf"));
        for mut flags in [arguments!["run", "--input=state.bin", "--output=out.bin"].to_vec(), {
            arguments!["run", "--input=state.bin", "--output=out.bin", "--", store_host()].to_vec()
        }] {
            if flags.len() > 3 {
                flags.extend(arguments!["--store", guest("preimages.json")]);
            }
            let output = run_in(dir, &flags);
            let error = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert!(error.contains(&format!("error: the program failed: {says}")), "{error}");
            assert!(error.contains(" in `start`"), "{error}");
            assert!(!dir.join("out.bin").exists());
        }
    }
}

#[test]
fn failures_that_are_not_the_programs_are_status_1() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let host = store_host();
    for (flags, says) in [
        (arguments![].to_vec(), "no pre-image retriever available"),
        (arguments!["--", "/nowhere/host"].to_vec(), "cannot start the host \"/nowhere/host\""),
        (arguments!["--", ""].to_vec(), "the host after -- has an empty name"),
        (arguments!["--", host, "--misbehave", "die"].to_vec(), "this host has had enough"),
        (arguments!["--preimages", "nowhere.json"].to_vec(), "nowhere.json"),
        (
            arguments!["--preimages", "meta.json"].to_vec(),
            "meta.json is not a JSON file of preimages",
        ),
        (
            arguments!["--memory-limit=2MiB", "--preimages", guest("preimages.json")].to_vec(),
            "more than the limit of 2.0 MiB",
        ),
    ] {
        let mut arguments: Arguments =
            arguments!["run", "--input=state.bin", "--output=out.bin"].into();
        arguments.extend(flags);
        let output = run_in(dir, arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("\nerror: ") && error.contains(says), "{error}");
        assert!(!dir.join("out.bin").exists());
    }
}

#[test]
fn a_host_that_fails_at_its_end_is_told_but_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let output = run_in(
        dir,
        arguments![
            "run",
            "--input=state.bin",
            "--",
            store_host(),
            "--store",
            guest("preimages.json"),
            "--misbehave",
            "fail"
        ],
    );
    assert_eq!(output.status.code(), Some(0));
    let log = stderr(&output);
    let line = line_with(&log, "failed to close pre-image server");
    assert!(line.starts_with("level=ERROR") && line.contains("exit status: 4"), "{line}");
    assert_eq!(
        sha256(&dir.join("out.bin.gz")),
        "8994c96ef4565c37bd531c262a9372847ab2a78874cc6c2da60b2adf0709af82"
    );
}

#[test]
fn what_is_wrong_is_refused_before_the_first_step() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    load(dir, &dir.join("exit.elf"));
    let before = names(dir);
    for (flags, says) in [
        (vec!["--output=out.json"], "invalid --output out.json: a state file is named .bin"),
        (vec!["--output=-"], "invalid --output -"),
        (vec!["--snapshot-fmt=state-%d.json"], "invalid --snapshot-fmt"),
        (vec!["--snapshot-fmt=state-%s.bin"], "invalid --snapshot-fmt"),
        (vec!["--proof-fmt=%x.json"], "invalid --proof-fmt"),
        (vec!["--proof-at=%2", "--proof-fmt=proof.json"], "one file for many steps"),
        (vec!["--proof-at=%2", "--proof-fmt=no/%d.json"], "there is no directory no"),
        (vec!["--snapshot-at=%2", "--snapshot-fmt=no/%d.bin"], "there is no directory no"),
        (vec!["--output=no/out.bin"], "there is no directory no"),
        (vec!["--proof-at=5"], "\"5\" is no step pattern"),
        (vec!["--stop-at=%0"], "\"%0\" is no step pattern"),
        (vec!["--info-at", "=-1"], "\"=-1\" is no step pattern"),
        (vec!["--stop-at-preimage=0xzz"], "invalid --stop-at-preimage"),
        (vec!["--stop-at-preimage-type=sha3"], "invalid preimage type \"sha3\""),
        (vec!["--stop-at-preimage-larger-than=-1"], "stop-at-preimage-larger-than"),
        (vec!["--meta=nowhere.json"], "cannot read nowhere.json"),
        (vec!["--meta=exit.elf"], "exit.elf does not hold symbols"),
        (vec!["--meta", "", "--debug"], "cannot enable debug mode without a metadata file"),
        (
            vec!["--engine=quick"],
            "there is no engine \"quick\": choose reference, fast or portable",
        ),
        (vec!["--memory-limit=lots"], "\"lots\" is no size"),
        (vec!["--no-such-flag"], "--no-such-flag"),
        (vec!["--input=state.json"], "state.json: a state file is named .bin"),
        (vec!["--input=nowhere.bin"], "cannot read nowhere.bin"),
        (vec!["--input=nowhere.bin", "--meta=none.json"], "cannot read nowhere.bin"),
        (vec!["--preimages=a.json", "--", "host"], "cannot be used with"),
    ] {
        let mut arguments = vec!["run", "--input=state.bin"];
        arguments.extend(&flags);
        let output = run_in(dir, arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {error}");
        assert!(error.contains("error: ") && error.contains(says), "{flags:?}: {error}");
        assert!(!error.contains("Execution stopped"), "{flags:?}: {error}");
        assert_eq!(names(dir), before, "{flags:?}");
    }
    let output = run_in(dir, ["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--input"));
}

#[test]
fn go_spelling_is_understood_and_the_last_of_two_flags_counts() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    load(dir, &dir.join("exit.elf"));
    let output = run_in(
        dir,
        [
            "run",
            "-input",
            "nowhere.bin",
            "--input=state.bin",
            "-output",
            "",
            "--pprof.cpu",
            "--debug=true",
            "-proof-at==0",
            "--proof-fmt",
            "-",
            "--debug-info",
            "-",
        ],
    );
    let log = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{log}");
    line_with(&log, "--pprof.cpu is ignored");
    let trace = line_with(&log, "msg=traceback");
    assert!(trace.contains(" thread=0 pc=") && trace.contains(" name=start "), "{trace}");
    // A proof and what the run did: two JSON objects on standard output.
    let objects: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["step"], 0);
    assert_eq!(objects[1]["total_steps"], 15);
    assert_eq!(names(dir), ["exit.elf", "meta.json", "state.bin"]);
}

#[test]
fn damaged_states_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    load(dir, &dir.join("exit.elf"));
    let state = read(&dir.join("state.bin"));
    let mut old = state.clone();
    old[0] = 7;
    let mut many_pages = vec![8];
    many_pages.extend([0xff; 8]);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let packed = gzip(&state);
    for (name, bytes, says) in [
        ("a.bin", &state[..state.len() - 1], "truncated"),
        ("a.bin", &state[..100], "truncated"),
        ("a.bin", &[], "truncated"),
        ("a.bin", &[&state[..], &[0]].concat(), "bytes follow the end"),
        ("a.bin", &old, "state version 7 (multithreaded64-4) is not supported"),
        ("a.bin", &many_pages, "truncated"),
        ("a.bin.gz", &packed[..packed.len() / 2], "truncated"),
        ("a.bin.gz", &state, "a.bin.gz is not a state"),
        ("a.bin.gz", &gzip(&vec![0; 1 << 20]), "state version 0 (singlethreaded)"),
    ] {
        std::fs::write(dir.join(name), bytes).unwrap();
        for command in ["run", "witness"] {
            let output = run_in(dir, [command, "--input", name]);
            let error = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.contains("error: ") && error.contains(says), "{says}: {error}");
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn programs_that_cannot_be_loaded_are_refused_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    let elf = read(&dir.join("exit.elf"));
    let edit = |at: usize, byte: u8| {
        let mut bytes = elf.clone();
        bytes[at] = byte;
        bytes
    };
    for (bytes, says) in [
        (Vec::new(), " is empty"),
        (b"#!/bin/sh\n".to_vec(), "is neither a program"),
        (elf[..100].to_vec(), "cannot load bad.elf"),
        (edit(4, 1), "a 32-bit program"),
        (edit(5, 1), "a little-endian program"),
        (edit(19, 62), "a program for ELF machine 62"),
        (edit(31, 2), "entry point"),
    ] {
        std::fs::write(dir.join("bad.elf"), bytes).unwrap();
        let output = run_in(dir, ["load-elf", "--type=multithreaded64-5", "--path=bad.elf"]);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("error: ") && error.contains(says), "{says}: {error}");
    }
    // A stripped program has no symbols to write.
    let mut stripped = tribunal_conformance::elf_file::ElfFile::new(vec![
        tribunal_conformance::elf_file::Segment::load(0x1_0000, vec![0; 8]),
    ]);
    stripped.symbols = None;
    std::fs::write(dir.join("bad.elf"), stripped.to_bytes()).unwrap();
    let output = run_in(dir, ["load-elf", "--type=multithreaded64-5", "--path=bad.elf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("hint: --meta \"\""), "{}", stderr(&output));
    for flags in [
        ["--out=state.json", "--meta="],
        ["--out=no/state.bin", "--meta="],
        ["--out=", "--meta=no/meta.json"],
    ] {
        let output = run_in(
            dir,
            [&["load-elf", "--type=multithreaded64-5", "--path=exit.elf"][..], &flags].concat(),
        );
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        let says = ["invalid --out state.json", "there is no directory no"];
        assert!(says.iter().any(|says| stderr(&output).contains(says)), "{}", stderr(&output));
    }
    assert_eq!(names(dir), ["bad.elf", "exit.elf"]);
    succeed_in(
        dir,
        ["load-elf", "--type=multithreaded64-5", "--path=bad.elf", "--meta", "", "--out=s.bin"],
    );
}

#[test]
fn a_directory_that_cannot_be_written_to_ends_the_run_and_keeps_what_was_there() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    load(dir, &dir.join("exit.elf"));
    // A directory in the file's place cannot be replaced, whoever we are.
    std::fs::create_dir(dir.join("out.bin")).unwrap();
    let output = run_in(dir, ["run", "--input=state.bin", "--output=out.bin"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("error: cannot write out.bin"), "{}", stderr(&output));

    let locked = dir.join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    let output = run_in(dir, ["run", "--input=state.bin", "--output=locked/out.bin"]);
    if !rustix::process::geteuid().is_root() {
        assert_eq!(output.status.code(), Some(1));
        assert!(names(&locked).is_empty());
    }
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits until `part` is in the log, then sends SIGINT.
fn interrupt_after(mut child: std::process::Child, part: &str) -> (Option<i32>, String) {
    use std::io::{BufRead as _, BufReader, Read as _};

    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains(part) {
        assert_ne!(log.read_line(&mut text).unwrap(), 0, "{text}");
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    log.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn an_interrupt_ends_a_run_with_130_and_without_output() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("loop.elf"), &[beq(ZERO, ZERO, -1), NOP]);
    load(dir, &dir.join("loop.elf"));
    let before = names(dir);
    let spawn = |arguments: &[std::ffi::OsString]| {
        tribunal()
            .current_dir(dir)
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let flags = arguments!["run", "--input=state.bin", "--info-at=%1000000"];
    let (code, log) = interrupt_after(spawn(&flags), "step=1000000 ");
    assert_eq!(code, Some(130), "{log}");
    assert!(log.ends_with("command interrupted\n"), "{log}");
    assert_eq!(names(dir), before);

    // The same while a host does not answer.
    load_guest(dir, "preimages");
    let flags = arguments![
        "run",
        "--input=state.bin",
        "--info-at=%400000",
        "--",
        store_host(),
        "--misbehave",
        "stall"
    ];
    let (code, log) = interrupt_after(spawn(&flags), "step=400000 ");
    assert_eq!(code, Some(130), "{log}");
    assert!(log.ends_with("command interrupted\n"), "{log}");
    assert_eq!(names(dir), before);
}
