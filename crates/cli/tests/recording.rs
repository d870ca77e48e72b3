//! record, exec of a recording, convert, and inspect of stores and recordings.

mod common;

use std::fs;
use std::path::Path;

use serde_json::Value;
use tribunal_conformance::assemble::{T0, T1, call, load_value, sd};
use tribunal_preimage::Key;

use common::*;

const END: &str = "0x0065bab26372908da871b8470d04a7b7c6bfad88fd83f94aaaca960acf2f27a0";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Records the guest `preimages` over its store as `run.rec`.
fn record_guest(dir: &Path) -> std::process::Output {
    let (elf, store) = (guest("preimages.elf.gz"), guest("preimages.json"));
    run_in(dir, arguments!["record", elf, "--out", "run.rec", "--preimages", store])
}

#[test]
fn a_recording_replays_offline_to_the_same_final_state() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let recorded = record_guest(dir);
    assert_eq!(recorded.status.code(), Some(0), "{}", stderr(&recorded));
    line_with(&stderr(&recorded), "recorded   17 hints, 19 preimages; ");
    line_with(&stderr(&recorded), END);

    // On another machine: all there is is the file.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(dir.join("run.rec"), elsewhere.path().join("run.rec")).unwrap();
    let replayed = run_in(elsewhere.path(), ["exec", "run.rec"]);
    assert_eq!(replayed.status.code(), Some(0), "{}", stderr(&replayed));
    assert_eq!(stdout(&replayed), stdout(&recorded));
    line_with(&stderr(&replayed), END);
    line_with(&stderr(&replayed), "recording  repeated: the same final state");
    let replayed = run_in(elsewhere.path(), ["exec", "run.rec", "--json", "--engine=reference"]);
    let replayed = json(&stdout(&replayed));
    assert_eq!((&replayed["stateHash"], &replayed["steps"]), (&END.into(), &2_533_557.into()));

    // It is a store too, also for another run of the program.
    let elf = guest("preimages.elf.gz");
    let output = run_in(elsewhere.path(), arguments!["exec", elf, "--preimages", "run.rec"]);
    line_with(&stderr(&output), END);
}

#[test]
fn a_host_in_a_child_process_is_recorded_too() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (elf, store, host) = (guest("preimages.elf.gz"), guest("preimages.json"), store_host());
    let output = run_in(
        dir,
        arguments!["record", "--json", "-q", "-o", "a.rec", elf, "--", host, "--store", store],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = json(&stdout(&output));
    assert_eq!((&told["stateHash"], &told["recordedHints"]), (&END.into(), &17.into()));
    assert_eq!(told["recordingBytes"], fs::metadata(dir.join("a.rec")).unwrap().len());
    record_guest(dir);
    let same = fs::read(dir.join("a.rec")).unwrap() == fs::read(dir.join("run.rec")).unwrap();
    assert!(same, "whoever answers, the recording is the same");
}

#[test]
fn a_recording_without_the_program_says_so_and_takes_only_that_one() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (elf, store) = (guest("preimages.elf.gz"), guest("preimages.json"));
    succeed_in(
        dir,
        arguments![
            "record",
            "-q",
            "--without-program",
            elf,
            "-o",
            "small.rec",
            "--preimages",
            store
        ],
    );
    let output = run_in(dir, ["sample", "--input", "small.rec", "--at", "1"]);
    assert_eq!(output.status.code(), Some(2));
    line_with(&stderr(&output), "is the recording of a run, and does not hold the program");
    let output = run_in(dir, ["exec", "small.rec"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    for part in ["does not hold the program", "prestate  0x", "--with-program FILE"] {
        line_with(&said, part);
    }
    write_program(&dir.join("other.elf"), &call(5205, &[0]));
    let output = run_in(dir, ["exec", "small.rec", "--with-program", "other.elf"]);
    assert_eq!(output.status.code(), Some(2));
    line_with(&stderr(&output), "this is not the program that was recorded");
    let output = run_in(dir, arguments!["exec", "small.rec", "--with-program", elf]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    line_with(&stderr(&output), END);
}

#[test]
fn a_recording_that_lacks_something_says_what() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let preimages = preimages();
    let keys: Vec<Key> = preimages.iter().map(|(key, _)| *key).collect();
    write_reader(&dir.join("p.elf"), &keys);
    // The host lacks the last one, and so does the recording.
    write_preimages(&dir.join("p.json"), &preimages[..preimages.len() - 1]);
    let output = run_in(dir, ["record", "p.elf", "-o", "p.rec", "--preimages", "p.json"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    line_with(&stderr(&output), "error: the host does not know a preimage");
    line_with(&stderr(&output), "what there is of the run is recorded: 0 hints, 5 preimages");

    let replayed = run_in(dir, ["exec", "p.rec"]);
    assert_eq!(replayed.status.code(), Some(3), "no verdict");
    let said = stderr(&replayed);
    let lacking = keys.last().unwrap().to_string();
    for part in [
        "error: the host does not know a preimage",
        &lacking,
        "it is not in the recording p.rec",
        "the run that was recorded got to step ",
        "record it again where nothing keeps it from its end",
    ] {
        line_with(&said, part);
    }
    let shown = succeed_in(dir, ["inspect", "p.rec"]);
    line_with(&shown, "where something kept the program from its end");
}

#[test]
fn a_failing_program_is_recorded_with_its_fault() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_program(&dir.join("break.elf"), &[0, 0x0d]);
    let recorded = run_in(dir, ["record", "break.elf", "-o", "break.rec"]);
    assert_eq!(recorded.status.code(), Some(2));
    let replayed = run_in(dir, ["exec", "break.rec"]);
    assert_eq!(replayed.status.code(), Some(2));
    let fault = |output| line_with(&stderr(output), "the program failed").to_owned();
    assert_eq!(fault(&recorded), fault(&replayed));

    // The verdict of a program is the exit status here too.
    for code in [0u64, 1, 2, 77] {
        write_program(&dir.join("exit.elf"), &call(5205, &[code]));
        for line in [&["record", "-q", "-o", "exit.rec", "exit.elf"][..], &["exec", "exit.rec"]] {
            assert_eq!(run_in(dir, line).status.code(), Some(code as i32), "{line:?}");
        }
    }
}

#[test]
fn damaged_recordings_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    record_guest(dir);
    let whole = fs::read(dir.join("run.rec")).unwrap();
    for (bytes, says) in [
        (&whole[..whole.len() / 2], "the recording is incomplete: it ends within "),
        (&whole[..whole.len() - 1], "the recording is "),
        (&[&whole[..], b"x"].concat(), "something follows its end"),
        (&[b"recorded\0\0\0\0\0\0\0\x02", &whole[16..]].concat(), "has version 2, and only 1"),
    ] {
        fs::write(dir.join("bad.rec"), bytes).unwrap();
        for line in [&["exec", "bad.rec"][..], &["inspect", "bad.rec"]] {
            let output = run_in(dir, line);
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            assert!(stderr(&output).contains("bad.rec: "), "{}", stderr(&output));
            assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
        }
    }
    for flags in [&["--preimages", "run.rec"][..], &["--", "host"]] {
        let output = run_in(dir, [&["exec", "run.rec"], flags].concat());
        assert_eq!(output.status.code(), Some(2));
        line_with(&stderr(&output), "a recording answers the program itself");
    }
    // Elsewhere it stands for its program, and for its preimages where they are named.
    let sample = |input: &str, store: &str| {
        succeed_in(
            dir,
            ["sample", "-q", "--at", "0,%100000", "--input", input, "--preimages", store],
        )
    };
    let (elf, store) = (guest("preimages.elf.gz"), guest("preimages.json"));
    let plain = sample(elf.to_str().unwrap(), store.to_str().unwrap());
    assert_eq!(sample("run.rec", "run.rec"), plain);
}

/// The same program, the same verdict and final state: from every store there is.
#[test]
fn every_store_leads_to_the_same_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    record_guest(dir);
    let (elf, json_store) = (guest("preimages.elf.gz"), guest("preimages.json"));
    for (to, flag) in
        [("base", "--format=redb"), ("dir", "--format=directory"), ("files", "--format=file")]
    {
        succeed_in(dir, arguments!["convert", json_store, to, flag]);
    }
    // From one kind to the next, and back.
    succeed_in(dir, ["convert", "base", "there.json.gz"]);
    succeed_in(dir, ["convert", "there.json.gz", "from-json"]);
    succeed_in(dir, ["convert", "run.rec", "from-recording"]);
    succeed_in(dir, ["convert", "files", "from-files", "--format", "directory"]);
    assert_eq!(read(&dir.join("from-json/kvformat")), b"redb", "the default of our commands");
    assert_eq!(read(&dir.join("from-files/kvformat")), b"directory");
    for store in [
        "base",
        "dir",
        "files",
        "there.json.gz",
        "from-json",
        "from-recording",
        "from-files",
        "run.rec",
    ] {
        let output = run_in(dir, arguments!["exec", elf, "--json", "-q", "--preimages", store]);
        assert_eq!(output.status.code(), Some(0), "{store}: {}", stderr(&output));
        assert_eq!(json(&stdout(&output))["stateHash"], END, "{store}");
    }
    let originals = json(&String::from_utf8(read(&json_store)).unwrap());
    let copies = json(&String::from_utf8(read(&dir.join("there.json.gz"))).unwrap());
    assert_eq!(copies, originals);
}

#[test]
fn inspect_shows_what_is_in_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_preimages(&dir.join("p.json"), &preimages());
    let told = run_in(dir, ["convert", "p.json", "base"]);
    line_with(&stderr(&told), "copied 6 preimages, ");
    succeed_in(dir, ["convert", "-q", "p.json", "dir", "--format", "directory"]);
    for store in ["p.json", "base", "dir"] {
        let shown = succeed_in(dir, ["inspect", store]);
        line_with(&shown, "preimages in the ");
        line_with(&shown, "preimages    6, ");
        line_with(&shown, "keccak256      2, ");
        line_with(&shown, "precompile     1, 15 B");
        line_with(&shown, "inputs         7  0x3132333435363738");
        let shown = json(&succeed_in(dir, ["inspect", "--json", store]));
        assert_eq!(shown["kind"], "store");
        assert_eq!((&shown["count"], &shown["damaged"]), (&6.into(), &Value::Array(vec![])));
        assert_eq!(shown["kinds"]["blob"]["bytes"], 32);
        assert_eq!(shown["locals"]["7"], "0x3132333435363738");
    }
}

#[test]
fn what_is_damaged_is_shown_and_not_copied() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_preimages(&dir.join("p.json"), &preimages());
    succeed_in(dir, ["convert", "-q", "p.json", "dir", "--format", "directory"]);
    let (key, _) = &preimages()[1];
    let digits = hex::encode(key.as_bytes());
    let place = dir.join("dir").join(&digits[..4]).join(format!("{}.txt", &digits[4..]));
    fs::write(&place, "00").unwrap();
    let shown = run_in(dir, ["inspect", "dir"]);
    assert_eq!(shown.status.code(), Some(1));
    line_with(&stdout(&shown), "preimages    5, ");
    let damage = line_with(&stdout(&shown), "damaged ").to_owned();
    assert!(damage.contains(&digits[4..]) && damage.contains(" is damaged: "), "{damage}");

    for to in ["copy", "copy.json"] {
        let output = run_in(dir, ["convert", "dir", to]);
        assert_eq!(output.status.code(), Some(1));
        line_with(&stderr(&output), " is damaged: ");
        line_with(&stderr(&output), "copied 5 preimages, ");
        line_with(&stderr(&output), "; 1 that are damaged were left out");
        line_with(&succeed_in(dir, ["inspect", to]), "preimages    5, ");
    }
    // What is put there again is whole, whatever was there.
    succeed_in(dir, ["convert", "p.json", "dir"]);
    succeed_in(dir, ["inspect", "dir"]);
}

#[test]
fn convert_refuses_what_it_cannot_do() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_preimages(&dir.join("p.json"), &preimages());
    fs::write(dir.join("text"), "hello").unwrap();
    for (line, status, says) in [
        (&["convert", "nowhere", "to"][..], 2, "cannot open nowhere"),
        (&["convert", "text", "to"], 2, "text is not a preimage store"),
        (&["convert", "p.json", "p.json"], 2, "p.json is there already"),
        (&["convert", "p.json", "to", "--format=rocksdb"], 2, "choose redb, directory or file"),
        (&["convert", "p.json", "text/to"], 2, "cannot make the directory text/to"),
    ] {
        let output = run_in(dir, line);
        assert_eq!(output.status.code(), Some(status), "{line:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{line:?}: {}", stderr(&output));
    }
    assert_eq!(names(dir), ["p.json", "text"]);
}

#[test]
fn inspect_shows_what_is_in_a_recording() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    record_guest(dir);
    let shown = succeed_in(dir, ["inspect", "run.rec"]);
    for part in ["recording of a run of ", "prestate     0x", "program      a state of ", END] {
        line_with(&shown, part);
    }
    line_with(&shown, "at step 2,533,557, with exit code 0");
    line_with(&shown, "hints        17");
    let shown = json(&succeed_in(dir, ["inspect", "--json", "run.rec"]));
    assert_eq!((&shown["kind"], &shown["exitCode"]), (&"recording".into(), &0.into()));
    assert_eq!((&shown["stateHash"], &shown["lastStep"]), (&END.into(), &2_533_557.into()));
    assert!(shown["programBytes"].as_u64().unwrap() > 1 << 20);
}

/// A host that neither answers nor ends, as kona-host does about what it cannot fetch.
#[test]
fn a_host_that_never_answers_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let key = Key::keccak256_of(b"nobody has it");
    write_reader(&dir.join("p.elf"), &[key]);
    let output =
        run_in(dir, ["exec", "p.elf", "--host-deadline=1", "--", "sh", "-c", "cat <&5 >/dev/null"]);
    assert_eq!(output.status.code(), Some(3), "no verdict: {}", stderr(&output));
    let said = stderr(&output);
    for part in ["error: the host failed: sh did not answer", &key.to_string(), "within 1s"] {
        line_with(&said, part);
    }
}

/// A host may not say one thing and then another.
#[test]
fn a_host_that_changes_its_answers_is_not_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_reader(&dir.join("p.elf"), &[Key::local(7), Key::local(8), Key::local(7)]);
    // Answers with a count of the questions: eight bytes of length, and one of data.
    let host = r#"for i in 1 2 3 4 5 6; do
        dd bs=32 count=1 <&5 2>/dev/null >/dev/null || exit
        printf "\000\000\000\000\000\000\000\001$i" >&6
    done"#;
    let output = run_in(dir, ["record", "p.elf", "-o", "p.rec", "--", "sh", "-c", host]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    line_with(&stderr(&output), "another answer than before");
}

/// As on chain: hints do nothing, and only what is in the store exists.
#[test]
fn a_store_that_is_only_read_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    write_preimages(&dir.join("p.json"), &preimages());
    succeed_in(dir, ["convert", "-q", "p.json", "dir", "--format", "directory"]);
    let before = names(&dir.join("dir"));
    // A program that hints, then asks for what nobody has.
    let mut words = load_value(T0, 0x1000_0000_0000);
    words.extend(load_value(T1, 0x0000_0002_6869_0000));
    words.push(sd(T1, 0, T0));
    words.extend(call(5001, &[4, 0x1000_0000_0000, 6]));
    words.extend(call(5205, &[0]));
    write_program(&dir.join("hints.elf"), &words);
    let output = run_in(dir, ["exec", "hints.elf", "--preimages", "dir"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let keys: Vec<Key> = preimages().iter().map(|(key, _)| *key).collect();
    write_reader(&dir.join("p.elf"), &[&keys[..], &[Key::local(99)]].concat());
    let output = run_in(dir, ["exec", "p.elf", "--preimages", "dir"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(names(&dir.join("dir")), before);
}
