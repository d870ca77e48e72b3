//! Our own commands: exec, sample, inspect, completions.

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tribunal_conformance::assemble::{NOP, T0, ZERO, beq, call, daddiu, load_value, sd};
use tribunal_conformance::read_trail;

use common::*;

const WRITE: u64 = 5001;
const EXIT_GROUP: u64 = 5205;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn exec_leaves_with_the_verdict_of_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    for (code, says) in [
        (0u64, "the claim holds (exit code 0)"),
        (1, "the claim is wrong (exit code 1)"),
        (2, "nothing was decided (exit code 2)"),
        (3, "nothing was decided (exit code 3)"),
        (255, "nothing was decided (exit code 255)"),
    ] {
        write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[code]));
        let output = run_in(dir, ["exec", "exit.elf"]);
        assert_eq!(output.status.code(), Some(code as i32));
        assert!(stderr(&output).starts_with(says), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
        let quiet = run_in(dir, ["exec", "-q", "exit.elf"]);
        assert_eq!(quiet.status.code(), Some(code as i32));
        assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
    }
    assert_eq!(names(dir), ["exit.elf"], "exec writes no files");
}

#[test]
fn exec_runs_programs_and_states_with_a_store_or_a_host() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let end = "0x0065bab26372908da871b8470d04a7b7c6bfad88fd83f94aaaca960acf2f27a0";
    let (elf, store) = (guest("preimages.elf.gz"), guest("preimages.json"));
    let host = store_host();
    let plain = run_in(dir, arguments!["exec", elf, "--preimages", store]);
    assert_eq!(plain.status.code(), Some(0), "{}", stderr(&plain));
    assert!(
        stdout(&plain)
            .ends_with("digest 92616e1de30738a52c391c68812728b1e9cfc4d3a041b7c520e79a587c24d84f\n")
    );
    let report = stderr(&plain);
    for part in ["the claim holds", "2,533,557 in ", " steps/s", "pages", "19, 6.9 KiB", end] {
        line_with(&report, part);
    }
    let hosted = run_in(dir, arguments!["exec", "state.bin", "--", host, "--store", store]);
    assert_eq!(hosted.status.code(), Some(0), "{}", stderr(&hosted));
    assert_eq!(stdout(&hosted), stdout(&plain), "the host's words are not the program's");
    let report = stderr(&hosted);
    line_with(&report, "host: serving");
    line_with(&report, end);
    let quiet = run_in(dir, arguments!["exec", "-q", "state.bin", "--", host, "--store", store]);
    assert_eq!((stdout(&quiet), stderr(&quiet)), (stdout(&plain), String::new()));

    let answer = run_in(dir, arguments!["exec", elf, "--json", "--quiet", "--preimages", store]);
    assert_eq!(answer.status.code(), Some(0));
    assert_eq!(stderr(&answer), stdout(&plain), "only what the program writes");
    let answer = json(&stdout(&answer));
    assert_eq!(answer["verdict"], "valid");
    assert_eq!(answer["exitCode"], 0);
    assert_eq!(answer["steps"], 2_533_557);
    assert_eq!(answer["preimages"], 19);
    assert_eq!(answer["memoryBytes"], answer["pages"].as_u64().unwrap() * 4096);
    assert_eq!(answer["stateHash"], end);

    // From standard input, and from a state that is already at its end.
    let mut piped = tribunal();
    piped.args(["exec", "-q", "-", "--preimages"]).arg(&store);
    piped.stdin(std::fs::File::open(&elf).unwrap());
    assert_eq!(piped.output().unwrap().stdout, plain.stdout);
    succeed_in(dir, arguments!["run", "--input=state.bin", "--preimages", store]);
    let done = run_in(dir, ["exec", "out.bin.gz"]);
    assert_eq!(done.status.code(), Some(0));
    line_with(&stderr(&done), end);
}

#[test]
fn what_keeps_exec_from_a_verdict_is_never_a_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("break.elf"), &[NOP, 0x0d]);
    let mut hog = load_value(T0, 0x1000_0000_0000);
    hog.extend([sd(T0, 0, T0), daddiu(T0, T0, 4096), beq(ZERO, ZERO, -3), NOP]);
    write_program(&dir.join("hog.elf"), &hog);
    std::fs::write(dir.join("text"), "hello").unwrap();
    let elf = guest("preimages.elf.gz");
    let host = store_host();
    for (flags, status, says) in [
        (arguments!["break.elf"].to_vec(), 2, "error: the program failed: 0x0000000d is no"),
        (
            arguments!["text"].to_vec(),
            2,
            "text is neither a program (ELF), a state, a proof nor a recording",
        ),
        (arguments!["nowhere"].to_vec(), 2, "cannot read nowhere"),
        (arguments![dir].to_vec(), 2, "cannot read"),
        (
            arguments!["break.elf", "--engine=quick"].to_vec(),
            2,
            "choose reference, fast or portable",
        ),
        (
            arguments!["break.elf", "--memory-limit=9"].to_vec(),
            3,
            "break.elf holds more than 9 bytes",
        ),
        (arguments!["break.elf", "--memory-limit=9k"].to_vec(), 3, "cannot load break.elf"),
        (arguments!["break.elf", "--meta=text"].to_vec(), 2, "text does not hold symbols"),
        (
            arguments!["hog.elf", "--memory-limit=64MiB"].to_vec(),
            3,
            "more than the limit of 64.0 MiB",
        ),
        (arguments![elf].to_vec(), 3, "error: the host does not know a preimage"),
        (arguments![elf, "--", "/nowhere"].to_vec(), 3, "cannot start the host"),
        (arguments![elf, "--", host, "--misbehave", "die"].to_vec(), 3, "error: the host failed"),
    ] {
        let mut arguments: Arguments = arguments!["exec"].into();
        arguments.extend(flags.clone());
        let output = run_in(dir, arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{flags:?}: {error}");
        assert!(error.contains(says), "{flags:?}: {error}");
    }
}

#[test]
fn engines_tell_write_and_leave_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let store = guest("preimages.json");
    let made = |engine: &str| {
        let place = dir.join(engine);
        std::fs::create_dir(&place).unwrap();
        let arguments = arguments![
            "run",
            "--input",
            "../state.bin",
            "--meta",
            "../meta.json",
            "--debug",
            "--engine",
            engine,
            "--proof-at",
            "%700001",
            "--snapshot-at",
            "%900000",
            "--info-at",
            "never",
            "--debug-info",
            "info.json",
            "--stop-at-preimage-type",
            "blob",
            "--preimages",
            store
        ];
        let run = run_in(&place, arguments);
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        let files = names(&place).into_iter().map(|name| (read(&place.join(&name)), name));
        let files: Vec<_> = files.collect();
        // What is logged, but for when.
        let log = stderr(&run);
        let said: Vec<_> = log.lines().filter_map(|line| line.split_once("lvl=")).collect();
        let said: Vec<String> = said.into_iter().map(|(_, said)| said.to_owned()).collect();
        let arguments = arguments![
            "sample",
            "--input",
            "../state.bin",
            "--at",
            "5,%500000",
            "--proof",
            "--engine",
            engine,
            "--preimages",
            store
        ];
        let samples = succeed_in(&place, arguments);
        let arguments =
            arguments!["exec", "../state.bin", "--engine", engine, "--json", "--preimages", store];
        let mut answer = json(&succeed_in(&place, arguments));
        for time in ["seconds", "stepsPerSecond"] {
            answer.as_object_mut().unwrap().remove(time);
        }
        (files, said, samples, answer)
    };
    let (reference, fast) = (made("reference"), made("fast"));
    assert!(fast == made("portable"));
    assert!(reference.0.len() > 4, "proofs, snapshots, information, the last state");
    assert!(reference == fast);
}

#[test]
fn without_room_for_the_fast_engine_the_portable_one_runs_and_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[1]));
    // Less address space than guest memory is reserved in.
    let limited = |arguments: &str| {
        let script = format!("ulimit -v 4000000; exec \"$0\" {arguments}");
        let me = env!("CARGO_BIN_EXE_tribunal");
        std::process::Command::new("sh").args(["-c", &script, me]).current_dir(dir).output()
    };
    let told = limited("exec exit.elf").unwrap();
    assert_eq!(told.status.code(), Some(1), "{}", stderr(&told));
    let warnings: Vec<_> =
        stderr(&told).lines().filter(|l| l.contains("warning:")).map(String::from).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("nothing can be compiled here, the portable engine runs"),
        "{warnings:?}"
    );
    for silent in ["exec -q exit.elf", "exec exit.elf --engine portable"] {
        let output = limited(silent).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!stderr(&output).contains("warning:"), "{}", stderr(&output));
    }
}

#[test]
fn a_missing_preimage_is_told_with_key_step_function_and_hint() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut preimages: serde_json::Map<String, Value> =
        serde_json::from_slice(&read(&guest("preimages.json"))).unwrap();
    let trail = read_trail(&guest("preimages.trail.jsonl.gz")).unwrap();
    let point = trail.iter().rfind(|point| point.key().is_some()).unwrap();
    let key = point.key().unwrap().to_string();
    preimages.remove(&key).unwrap();
    std::fs::write(dir.join("less.json"), serde_json::to_vec(&preimages).unwrap()).unwrap();
    let elf = guest("preimages.elf.gz");
    let output = run_in(dir, arguments!["exec", elf, "--preimages", "less.json"]);
    assert_eq!(output.status.code(), Some(3));
    let error = stderr(&output);
    assert!(error.starts_with("error: the host does not know a preimage\n  key   "), "{error}");
    let line = line_with(&error, &key);
    assert!(line.contains("asked for at step ") && line.contains(" in `"), "{line}");
    line_with(&error, "it is not in the file less.json");
    line_with(&error, "last hint: fetch 0x");
    assert!(error.lines().last().unwrap().starts_with("hint: "), "{error}");

    // A preimage that is not what its key says is refused, before the first step.
    let (_, lie) = preimages.iter_mut().find(|(key, _)| key.starts_with("0x02")).unwrap();
    *lie = "0xdeadbeef".into();
    std::fs::write(dir.join("lies.json"), serde_json::to_vec(&preimages).unwrap()).unwrap();
    let output = run_in(dir, arguments!["exec", elf, "--preimages", "lies.json"]);
    assert_eq!(output.status.code(), Some(2));
    // The Keccak-256 of de ad be ef, as a key.
    line_with(&stderr(&output), "(keccak256) belong to 0x02fd4e189132273036449fc9e11198c7");
}

#[test]
fn samples_are_those_of_the_trail() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    for name in ["threads", "preimages"] {
        load_guest(dir, name);
        let trail = read_trail(&guest(&format!("{name}.trail.jsonl.gz"))).unwrap();
        // In any order, some twice.
        let mut list: Vec<String> =
            trail.iter().rev().map(|point| point.step.to_string()).collect();
        list.push(trail[0].step.to_string());
        std::fs::write(dir.join("list"), list.join("\n")).unwrap();
        let flags = arguments![
            "sample",
            "--input=state.bin",
            "--at=@list",
            "--preimages",
            guest("preimages.json")
        ];
        let hashes = succeed_in(dir, &flags);
        let expected: String = trail
            .iter()
            .map(|point| {
                format!(
                    "{{\"step\":{},\"hash\":\"0x{}\"}}\n",
                    point.step,
                    hex::encode(point.hash.0)
                )
            })
            .collect();
        assert_eq!(hashes, expected, "{name}");

        let proven = succeed_in(dir, [&flags[..], &arguments!["--proof"]].concat());
        assert_eq!(proven.lines().count(), trail.len());
        for (line, point) in proven.lines().zip(&trail) {
            let start = format!("{{\"step\":{},\"hash\":\"0x", point.step);
            assert!(line.starts_with(&start), "{line}");
            let line = json(line);
            let hex = |bytes: &[u8]| Value::from(format!("0x{}", hex::encode(bytes)));
            let optional = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, hex);
            assert_eq!(line["pre"], hex(&point.hash.0));
            if let Some(proof) = &point.proof {
                assert_eq!(line["proof-data"], hex(&proof.0), "{name} {}", point.step);
                assert_eq!(line["post"], hex(&point.post.as_ref().unwrap().0));
                assert_eq!(line["state-data"], hex(&point.state.as_ref().unwrap().0));
                let key = point.oracle_key.as_ref().map(|key| &key.0[..]);
                assert_eq!(line["oracle-key"], optional(key));
                let value = point.oracle_value.as_ref().map(|value| &value.0[..]);
                assert_eq!(line["oracle-value"], optional(value));
                let offset = point.oracle_offset.filter(|&offset| offset != 0);
                assert_eq!(line["oracle-offset"], offset.map_or(Value::Null, Value::from));
            }
        }
    }
}

#[test]
fn samples_go_by_strides_and_past_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[1]));
    let steps = |at: &str| -> Vec<(u64, String)> {
        let flags = ["sample", "--input=exit.elf", "--proof", "--at", at];
        let lines = succeed_in(dir, flags);
        let field = |line: &Value| {
            (line["step"].as_u64().unwrap(), line["hash"].as_str().unwrap().to_owned())
        };
        lines.lines().map(|line| field(&json(line))).collect()
    };
    let found = steps("%5,7,100,18446744073709551615");
    let numbers: Vec<u64> = found.iter().map(|(step, _)| *step).collect();
    assert_eq!(numbers, [0, 5, 7, 10, 15, 100, u64::MAX], "strides end with the program");
    assert!(found[5].1.starts_with("0x01"), "the state hash says that the claim is wrong");
    assert_eq!(found[5].1, found[6].1);

    // From a later state.
    load(dir, &dir.join("exit.elf"));
    succeed_in(dir, ["run", "--input=state.bin", "--stop-at==7", "--output=later.bin"]);
    let later = succeed_in(dir, ["sample", "--input=later.bin", "--at=7,%5"]);
    assert_eq!(later.lines().count(), 3);
    for (at, says) in [
        ("6", "step 6 lies before the state, which is at step 7"),
        ("", "--at names no step"),
        ("%0", "\"%0\" is neither a step nor a stride"),
        ("1,x", "\"x\" is neither"),
        ("@nowhere", "cannot read nowhere"),
    ] {
        let output = run_in(dir, ["sample", "--input=later.bin", "--at", at]);
        assert_eq!(output.status.code(), Some(2), "{at}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn samples_before_a_failure_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("break.elf"), &[NOP, NOP, 0x0d]);
    let output = run_in(dir, ["sample", "--input=break.elf", "--at=0,2,5"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output).lines().count(), 2);
    line_with(&stderr(&output), "error: the program failed");
}

#[test]
fn states_are_checked_to_their_last_byte_whatever_they_are_called() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    load(dir, &dir.join("exit.elf"));
    let state = read(&dir.join("state.bin"));
    let mut old = state.clone();
    old[0] = 3;
    for (name, bytes, status, says) in [
        ("state", &state[..], 0, ""),
        ("more", &[&state[..], b"x"].concat(), 2, "more is not a state: bytes follow the end"),
        ("less", &state[..state.len() - 9], 2, "less is not a state: it ends within"),
        ("old", &old, 2, "state version 3 (multithreaded64) is not supported"),
        ("other.bin", b"\x7fELF", 2, "other.bin is not a state"),
        ("empty", b"", 2, "empty is empty"),
    ] {
        std::fs::write(dir.join(name), bytes).unwrap();
        for command in [&["exec", name][..], &["sample", "--at=1", "--input", name]] {
            let output = run_in(dir, command);
            assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
            assert!(stderr(&output).contains(says), "{}", stderr(&output));
        }
    }
}

#[test]
fn what_is_in_the_wrong_place_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    load(dir, &dir.join("exit.elf"));
    std::fs::create_dir(dir.join("folder")).unwrap();
    std::fs::write(dir.join("object.json"), "{}").unwrap();
    std::fs::write(dir.join("binary"), [0xff; 9]).unwrap();
    for (line, status, says) in [
        ("exec object.json", 2, "object.json is JSON, not a program or a state"),
        ("exec folder", 2, "cannot read folder"),
        ("exec folder", 2, "hint: name a file in that folder"),
        ("inspect nowhere", 2, "hint: check the path"),
        ("sample --input=nowhere --at=0", 2, "hint: check the path"),
        ("witness --input=nowhere.bin", 1, "hint: check the path"),
        ("exec exit.elf --preimages binary", 2, "binary is not a preimage store"),
        ("load-elf --type=multithreaded64-5 --path=object.json", 1, "object.json is not a program"),
        ("witness --input=state.bin --output=nowhere/w", 1, "there is no directory nowhere"),
        ("witness --input=state.bin --output=folder", 1, "cannot write folder: it is a directory"),
        ("prove --input=exit.elf --at=0 --output=folder", 2, "folder: it is a directory"),
        ("prove --input=exit.elf --at=0,1", 2, "name one step by its number"),
        ("sample --input=exit.elf --at=@binary", 2, "binary is not text"),
        ("sample --input=exit.elf --at=@folder", 2, "cannot read folder"),
        ("sample --input=exit.elf --check=0", 2, "'0' for '--check <N>'"),
        ("sample --input=exit.elf --at=0 --index=binary", 2, "cannot read binary"),
        ("inspect object.json", 2, "object.json is not a proof"),
        ("calldata folder", 2, "cannot read folder"),
        ("demo --dir=binary", 2, "binary is not a directory"),
    ] {
        let output = run_in(dir, line.split(' '));
        assert_eq!(output.status.code(), Some(status), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{line}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("exit.elf"), &call(EXIT_GROUP, &[0]));
    load(dir, &dir.join("exit.elf"));
    for (status, arguments) in [
        (3, &["sample", "--input=state.bin", "--at=1"][..]),
        (3, &["inspect", "state.bin"]),
        (1, &["witness", "--input=state.bin"]),
        (1, &["load-elf", "--type=multithreaded64-5", "--path=exit.elf", "--out=-", "--meta="]),
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = tribunal().current_dir(dir).args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        line_with(&stderr(&output), "error: cannot write to standard output: ");
    }
}

#[test]
fn inspect_shows_states_programs_and_proofs() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let trail = read_trail(&guest("preimages.trail.jsonl.gz")).unwrap();
    let point = trail.iter().rfind(|point| point.key().is_some()).unwrap();
    let step = point.step;
    succeed_in(
        dir,
        arguments![
            "run",
            "--input=state.bin",
            "--output=here.bin.gz",
            "--proof-at",
            format!("={step}"),
            "--proof-fmt=proof.json.gz",
            "--stop-at",
            format!("={step}"),
            "--preimages",
            guest("preimages.json")
        ],
    );
    succeed_in(
        dir,
        arguments![
            "run",
            "--input=here.bin.gz",
            "--output=after.bin",
            "--proof-at=always",
            "--proof-fmt=proof-%d.json.gz",
            "--stop-at",
            format!("={}", step + 1),
            "--preimages",
            guest("preimages.json")
        ],
    );
    let hash = format!("0x{}", hex::encode(point.hash.0));

    let text = succeed_in(dir, ["inspect", "here.bin.gz", "--meta=meta.json"]);
    assert!(text.starts_with("state of multithreaded64-5 at step "), "{text}");
    for part in
        [&hash[..], "heap", "(active", " in `", ": syscall\n", "  sp ", "0x00007fffffffb000"]
    {
        assert!(text.contains(part) || text.contains(", active)"), "{part}: {text}");
    }
    let view = json(&succeed_in(dir, ["inspect", "here.bin.gz", "--json", "--meta=meta.json"]));
    assert_eq!((&view["kind"], &view["step"]), (&"state".into(), &step.into()));
    assert_eq!(view["stateHash"], hash);
    assert_eq!(view["exitCode"], Value::Null);
    let thread = &view["threads"][0];
    assert_eq!(thread["active"], true);
    assert_eq!(thread["instruction"], "syscall");
    assert_eq!(thread["registers"]["zero"], "0x0");
    assert_eq!(thread["registers"].as_object().unwrap().len(), 32);
    let pages: u64 =
        view["ranges"].as_array().unwrap().iter().map(|r| r["pages"].as_u64().unwrap()).sum();
    assert_eq!(view["pages"], pages);

    let program =
        json(&succeed_in(dir, arguments!["inspect", "--json", guest("preimages.elf.gz")]));
    assert_eq!(program["kind"], "program");
    assert_eq!(
        program["prestateHash"],
        "0x0313bcbec54b701ceaaf1e25088fad25074d26c35b12deb4ab3143ecc23d5137"
    );
    assert_eq!(program["entrySymbol"], "_rt0_mips64_linux");
    assert!(program["symbols"].as_u64().unwrap() > 1000);
    assert!(program["segments"].as_array().unwrap().iter().any(|s| s["flags"] == "r-x"));
    let text = succeed_in(dir, arguments!["inspect", guest("preimages.elf.gz")]);
    assert!(text.contains("LOAD      r-x at 0x10000"), "{text}");

    let name = format!("proof-{step}.json.gz");
    let text = succeed_in(dir, ["inspect", &name, "--meta=meta.json"]);
    for part in [&hash, "syscall", &point.key().unwrap().to_string(), "holds together"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let view = json(&succeed_in(dir, ["inspect", "--json", &name]));
    assert_eq!(view["holds"], true);
    assert_eq!(view["state"]["step"], step);
    assert_eq!(view["oracle"]["key"], point.key().unwrap().to_string());
    assert_eq!(view["checks"].as_array().unwrap().len(), 10, "{}", view["checks"]);
}

#[test]
fn inspect_refuses_every_proof_of_a_trail_once_a_byte_that_counts_is_another() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let trail = read_trail(&guest("preimages.trail.jsonl.gz")).unwrap();
    let point = trail.iter().rfind(|point| point.key().is_some()).unwrap();
    let at = point.step.to_string();
    let line = succeed_in(
        dir,
        arguments![
            "sample",
            "--input=state.bin",
            "--proof",
            "--at",
            at,
            "--preimages",
            guest("preimages.json")
        ],
    );
    let inspect = |proof: &Value| {
        std::fs::write(dir.join("proof.json"), proof.to_string()).unwrap();
        let output = run_in(dir, ["inspect", "proof.json", "--json"]);
        let view = json(&stdout(&output));
        assert_eq!(output.status.code() == Some(0), view["holds"] == true);
        assert_eq!(output.status.code() == Some(1), view["holds"] == false);
        let failed = |check: &&Value| check["holds"] == false;
        let checks = view["checks"].as_array().unwrap().clone();
        checks
            .iter()
            .filter(failed)
            .map(|check| check["what"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let proof = json(&line);
    assert!(inspect(&proof).is_empty());
    let edited = |field: &str, byte: usize| {
        let mut proof = proof.clone();
        let mut bytes = hex::decode(&proof[field].as_str().unwrap()[2..]).unwrap();
        bytes[byte] ^= 1;
        proof[field] = format!("0x{}", hex::encode(bytes)).into();
        inspect(&proof)
    };
    assert_eq!(edited("pre", 31), ["pre is its hash"]);
    assert!(edited("state-data", 0).contains(&"memory holds the instruction".to_owned()));
    assert!(edited("state-data", 40).contains(&"the preimage is the state's".to_owned()));
    assert_eq!(edited("proof-data", 50), ["the thread tops the active stack"]);
    assert_eq!(edited("proof-data", 300), ["the thread tops the active stack"]);
    assert_eq!(edited("proof-data", 330 + 700), ["memory holds the instruction"]);
    assert_eq!(edited("proof-data", 330 + 1920 + 700), ["memory holds the word it touches"]);
    // Cannon leaves old proofs where none is needed, and the contract does not look there.
    assert!(edited("proof-data", 330 + 2 * 1920 + 700).is_empty());
    let mut jump = json(&succeed_in(dir, ["sample", "--input=state.bin", "--proof", "--at=0"]));
    let mut bytes = hex::decode(&jump["proof-data"].as_str().unwrap()[2..]).unwrap();
    bytes[330 + 1920..].fill(7);
    jump["proof-data"] = format!("0x{}", hex::encode(bytes)).into();
    assert!(inspect(&jump).is_empty());
    assert_eq!(edited("oracle-key", 9), ["the preimage is the state's"]);
    assert_eq!(edited("oracle-value", 7), ["the length in front is the preimage's"]);
    let mut short = proof.clone();
    short["proof-data"] = "0x00".into();
    assert_eq!(inspect(&short), ["proof data is complete"]);
    short["proof-data"] = "0x".into();
    assert!(inspect(&short).contains(&"without proof data the program has exited".to_owned()));
    short["state-data"] = "0x00".into();
    assert!(inspect(&short).contains(&"state data is a witness".to_owned()));
    short["pre"] = "0x00".into();
    std::fs::write(dir.join("proof.json"), short.to_string()).unwrap();
    assert_eq!(run_in(dir, ["inspect", "proof.json"]).status.code(), Some(2));
}

#[test]
fn an_output_that_nobody_reads_to_its_end_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "threads");
    let first_line = |arguments: &[&str]| {
        let mut child = tribunal()
            .current_dir(dir)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (line, error, child.wait().unwrap().code())
    };
    let (line, error, status) =
        first_line(&["sample", "--input=state.bin", "--proof", "--at=%9999"]);
    assert!(line.starts_with("{\"step\":0,"), "{line}");
    assert_eq!((error.as_str(), status), ("", Some(0)));
    let (_, error, status) = first_line(&["inspect", "state.bin", "--json"]);
    assert_eq!((error.as_str(), status), ("", Some(0)));
    let (_, error, status) = first_line(&["completions", "zsh"]);
    assert_eq!((error.as_str(), status), ("", Some(0)));

    // The verdict is the answer of exec, whoever reads what the program writes.
    let text = b"a line\n";
    let mut words = Vec::new();
    for _ in 0..200 {
        words.extend(call(WRITE, &[1, 0x1_0000, text.len() as u64]));
    }
    words.extend(call(EXIT_GROUP, &[1]));
    let text: Vec<u32> = std::iter::chain(text, b"\0")
        .copied()
        .collect::<Vec<u8>>()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_be_bytes(*word))
        .collect();
    write_program_after(&dir.join("talk.elf"), &text, &words);
    let (line, error, status) = first_line(&["exec", "-q", "talk.elf"]);
    assert_eq!((line.as_str(), error.as_str(), status), ("a line\n", "", Some(1)));
}

/// A program with data in front.
fn write_program_after(path: &Path, data: &[u32], words: &[u32]) {
    use tribunal_conformance::elf_file::{ElfFile, Segment};

    let code: Vec<u8> = data.iter().chain(words).flat_map(|word| word.to_be_bytes()).collect();
    let mut file = ElfFile::new(vec![Segment::load(0x1_0000, code)]);
    file.entry = 0x1_0000 + 4 * data.len() as u64;
    std::fs::write(path, file.to_bytes()).unwrap();
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, part) in
        [("bash", "_tribunal()"), ("zsh", "#compdef tribunal"), ("fish", "complete -c tribunal")]
    {
        let script = succeed_in(Path::new("/"), ["completions", shell]);
        assert!(script.contains(part) && script.contains("stop-at-preimage"), "{shell}");
    }
    assert_eq!(run_in(Path::new("/"), ["completions", "dos"]).status.code(), Some(2));
}

#[test]
fn wrong_usage_is_status_2_and_help_is_not() {
    for arguments in [&["exec"][..], &["exec", "--no-such-flag"], &["no-such-command"], &[]] {
        let output = run_in(Path::new("/"), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        // Behind -- the host stands: nothing is a value there.
        assert!(!stderr(&output).contains("use '--"), "{}", stderr(&output));
    }
    for arguments in [
        &["--help"][..],
        &["-V"],
        &["run", "--help"],
        &["run", "-help"],
        &["exec", "-h"],
        &["help"],
    ] {
        let output = run_in(Path::new("/"), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn the_demo_shows_a_verdict_and_its_commands_work() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("a tour's files");
    let text = succeed_in(directory.path(), arguments!["demo", "--dir", dir]);
    for part in [
        "output root of block 3: 0x",
        ", as claimed",
        ", and not as claimed: 0x",
        "the claim holds (exit code 0)",
        " steps/s",
        "the claim is wrong (exit code 1)",
        "memory",
        "preimages",
        "which reads from the preimage",
        "the contract takes it too and comes to the same state: gas ",
    ] {
        line_with(&text, part);
    }
    let made = names(&dir);
    assert_eq!(made.len(), 5, "{made:?}");
    let proof = made.iter().find(|name| name.starts_with("proof-")).unwrap();
    let view = json(&succeed_in(&dir, ["inspect", "--json", proof]));
    assert_eq!(view["holds"], true);

    // The last state hash of the tour is that of the run it suggests.
    let commands: Vec<&str> =
        text.lines().skip_while(|line| *line != "Next, try").skip(1).collect();
    assert_eq!(commands.len(), 8, "{text}");
    let shell = std::process::Command::new("sh")
        .args(["-e", "-c", &commands.join("\n")])
        .current_dir("/")
        .output()
        .unwrap();
    assert!(shell.status.success(), "{}", stderr(&shell));
    let witness = json(&succeed_in(&dir, ["witness", "--input=out.bin.gz"]));
    let hash = witness["witnessHash"].as_str().unwrap();
    assert!(text.matches(hash).count() == 2 && hash.starts_with("0x00"), "{text}");
    assert!(stderr(&shell).contains(hash));
}
