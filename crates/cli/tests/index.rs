//! `--index`: the same answers, from snapshots.

mod common;

use std::path::Path;

use serde_json::Value;

use common::*;

/// Steps everywhere, past the end too.
const LIST: &str = "0,1,77,%500000,1234567,2533556,2533557,2533558,9000000";

fn sample(dir: &Path, flags: &[&str]) -> std::process::Output {
    let (elf, store) = (guest("preimages.elf.gz"), guest("preimages.json"));
    let mut arguments: Arguments =
        arguments!["sample", "-q", "--input", elf, "--preimages", store].into();
    arguments.extend(flags.iter().map(Into::into));
    run_in(dir, arguments)
}

#[test]
fn an_index_changes_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let plain = sample(dir, &["--at", LIST, "--proof"]);
    assert_eq!(plain.status.code(), Some(0), "{}", stderr(&plain));
    // Made on the way, in two parts; then read.
    for list in ["5,1000000", LIST, LIST] {
        let indexed = sample(dir, &["--at", list, "--proof", "--index", "snapshots"]);
        assert_eq!(indexed.status.code(), Some(0), "{}", stderr(&indexed));
        if list == LIST {
            assert_eq!(stdout(&indexed), stdout(&plain));
        }
    }
    // A host in a child process answers alike.
    let (elf, store, host) = (guest("preimages.elf.gz"), guest("preimages.json"), store_host());
    let arguments = arguments![
        "sample",
        "-q",
        "--input",
        elf,
        "--at",
        LIST,
        "--proof",
        "--index",
        "snapshots",
        "--",
        host,
        "--store",
        store
    ];
    assert_eq!(succeed_in(dir, arguments), stdout(&plain));

    let shown = succeed_in(dir, ["inspect", "snapshots"]);
    line_with(&shown, "the last one at step 2,533,557, where the program exited with code 0");
    let shown: Value =
        serde_json::from_str(&succeed_in(dir, ["inspect", "--json", "snapshots"])).unwrap();
    assert_eq!(shown["kind"], "index");
    assert_eq!(shown["exitCode"], 0);
    assert_eq!(shown["steps"].as_array().unwrap().last().unwrap(), 2_533_557);
}

#[test]
fn prove_writes_the_proof_file_of_run() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    load_guest(dir, "preimages");
    let store = guest("preimages.json");
    succeed_in(
        dir,
        arguments!["run", "--input=state.bin", "--proof-at==1234567", "--preimages", store],
    );
    let expected = read(&dir.join("proof-1234567.json"));
    let prove = |flags: &[&str]| {
        let mut arguments: Arguments =
            arguments!["prove", "-q", "--input=state.bin", "--preimages", store].into();
        arguments.extend(["--at=1234567"].iter().chain(flags).map(Into::into));
        succeed_in(dir, arguments)
    };
    assert_eq!(prove(&[]).as_bytes(), expected);
    assert_eq!(prove(&["--index=snapshots"]).as_bytes(), expected, "recorded");
    assert_eq!(prove(&["--index=snapshots"]).as_bytes(), expected, "replayed");
    assert_eq!(prove(&["--index=snapshots", "--output=proof.json"]), "");
    assert_eq!(read(&dir.join("proof.json")), expected);
}

#[test]
fn an_index_that_does_not_fit_is_refused_and_made_anew_only_if_asked() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let index = ["--at", "9", "--index", "snapshots"];
    let made = stdout(&sample(dir, &index));
    let other = guest("threads.elf.gz");
    let refused =
        run_in(dir, arguments!["sample", "--input", other, "--at=9", "--index=snapshots"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("snapshots is the index of another run"));

    let snapshot = dir.join("snapshots").join(format!("snapshot-{:020}", 9));
    let mut bytes = std::fs::read(&snapshot).unwrap();
    bytes[99] ^= 1;
    std::fs::write(&snapshot, &bytes).unwrap();
    let refused = sample(dir, &index);
    assert_eq!(refused.status.code(), Some(2));
    let told = stderr(&refused);
    assert!(told.contains("snapshot-00000000000000000009 is damaged"), "{told}");
    assert!(told.contains("--reindex"), "{told}");
    assert!(stdout(&refused).is_empty());
    let again = sample(dir, &[&index[..], &["--reindex"]].concat());
    assert_eq!(stdout(&again), made);
    assert_eq!(stdout(&sample(dir, &index)), made);

    let full = sample(dir, &["--at", "9", "--index", "."]);
    assert_eq!(full.status.code(), Some(2));
    assert!(stderr(&full).contains("is not an index, and not empty"), "{}", stderr(&full));
    assert!(dir.join("snapshots").exists());
}
