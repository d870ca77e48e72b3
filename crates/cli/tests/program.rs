//! `new`, `build` and `test`: a program that is begun, compiled and tested by us. What they print where
//! all goes well, the book shows, and `book.rs` compares.
//!
//! Programs are built here, so the component rust-src has to be installed, as `rust-toolchain.toml`
//! asks for: `rustup component add rust-src`.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{names, share_builds, stderr, stdout, tribunal};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The command line without what the cargo that runs the tests says to its children.
fn clean(directory: &Path) -> Command {
    let mut command = tribunal();
    command.current_dir(directory);
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

/// Makes a repository of a folder, and returns its URL.
fn repository(folder: &Path) -> String {
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "Kit"],
    ] {
        let output = Command::new("git").current_dir(folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }
    format!("file://{}", folder.display())
}

/// The only program that a build tells of.
fn built(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let reports: Value = serde_json::from_str(&stdout(output)).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 1, "{reports}");
    reports[0].clone()
}

/// Another folder, another home of cargo, the kit carried along, and an environment and a configuration
/// file that would have everything otherwise; and the kit from a repository.
#[test]
fn a_program_is_the_same_bytes_wherever_it_is_built() {
    let directory = tempfile::tempdir().unwrap();
    let one = directory.path().join("one");
    fs::create_dir(&one).unwrap();
    share_builds(&one);
    let made = clean(&one).args(["new", "words"]).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let words = one.join("words");
    let here = built(&clean(&words).args(["build", "--json", "--quiet"]).output().unwrap());

    let two = directory.path().join("two/deeper");
    fs::create_dir_all(&two).unwrap();
    let made = clean(&two).args(["new", "words", "--with-kit"]).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert!(stdout(&made).contains("\n  kit/\n"), "{}", stdout(&made));
    let moved = two.join("another-name");
    fs::rename(two.join("words"), &moved).unwrap();
    fs::create_dir(two.join(".cargo")).unwrap();
    fs::write(
        two.join(".cargo/config.toml"),
        "[build]\nrustflags = ['-Copt-level=1']\n[profile.guest]\nopt-level = 1\ndebug = true\n",
    )
    .unwrap();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cargo"));
    let other_home = directory.path().join("home");
    fs::create_dir(&other_home).unwrap();
    symlink(home.join("registry"), other_home.join("registry")).unwrap();
    let there = clean(&moved)
        .args(["build", "--json", "--quiet"])
        .env("CARGO_HOME", &other_home)
        .env("RUSTFLAGS", "-Copt-level=2")
        .env("CARGO_PROFILE_GUEST_LTO", "off")
        .env("CARGO_TARGET_DIR", directory.path().join("target"))
        .env("LANG", "tr_TR.UTF-8")
        .output()
        .unwrap();
    let there = built(&there);

    let elf = |report: &Value| fs::read(report["elf"].as_str().unwrap()).unwrap();
    assert_ne!(here["elf"], there["elf"]);
    assert!(elf(&here) == elf(&there), "the same sources gave different bytes");
    assert_eq!(here["prestate"]["hash"], there["prestate"]["hash"]);

    // From a repository.
    let three = directory.path().join("three");
    fs::create_dir(&three).unwrap();
    share_builds(&three);
    let repository = repository(&moved.join("kit"));
    let made = clean(&three).args(["new", "words", "--guest-git", &repository]).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let mut build = clean(&three.join("words"));
    let cloned = build.args(["build", "--json", "--quiet"]).env("CARGO_HOME", &other_home).output();
    let cloned = built(&cloned.unwrap());
    assert!(elf(&here) == elf(&cloned), "the kit from a repository gave different bytes");

    for place in [directory.path().to_path_buf(), root(), home] {
        let name = place.to_string_lossy().into_owned();
        let found = elf(&here).windows(name.len()).any(|bytes| bytes == name.as_bytes());
        assert!(!found, "the program says that it was built with {name}");
    }

    each_reason_not_to_decide_has_its_status(&words);
}

/// A program that ends as its local input says, and a test of it that only holds in the machine.
const ENDS: [(&str, &str); 2] = [
    (
        "src/lib.rs",
        r#"//! Ends as it is told.
#![no_std]
extern crate alloc;
use tribunal_guest::{Error, Key, Malformed, Oracle, Preimages as _, Verdict};
/// The program.
pub fn run<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    match oracle.local_number(1)? {
        1 => Ok(Verdict::Wrong),
        2 => panic!("on purpose"),
        4 => {
            core::hint::black_box(alloc::vec::Vec::<u8>::with_capacity(1 << 50));
            Ok(Verdict::Holds)
        }
        5 => Err(Malformed::new("input", "on purpose").into()),
        6 => Ok(oracle.preimage(Key::from_bytes([0; 32])).map(|_| Verdict::Holds)?),
        _ => Ok(Verdict::from_claim(cfg!(target_os = "none"))),
    }
}
"#,
    ),
    (
        "tests/program.rs",
        r#"//! Holds in the machine only.
use tribunal_guest::{ExitStatus, run_program, testing::Store};
#[test]
fn it_runs_in_the_machine() {
    let store = Store::new().with_local(1, 0u64.to_be_bytes());
    assert_eq!(run_program!(words::run, store), ExitStatus::HOLDS);
}
"#,
    ),
];

fn each_reason_not_to_decide_has_its_status(words: &Path) {
    for (name, text) in ENDS {
        fs::write(words.join(name), text).unwrap();
    }
    // A test that fails is an answer.
    for (place, status) in [("--vm", 0), ("--native", 1)] {
        let tested = clean(words).args(["test", place, "--quiet"]).output().unwrap();
        assert_eq!(tested.status.code(), Some(status), "{place}: {}", stderr(&tested));
    }
    for (end, message) in [
        (0, ""),
        (1, ""),
        (2, "error: the program panicked at /words-0.1.0/src/lib.rs:9:14:\non purpose\n"),
        (4, "error: the program is out of memory: there are no 1125899906842624 bytes more\n"),
        (5, "error: the input is malformed: on purpose\n"),
        (6, "error: no answer of the host: the program asked for 0x0000"),
    ] {
        let store = words.join("inputs/end.json");
        fs::write(&store, format!("{{\"0x01{:062x}\": \"0x{end:016x}\"}}", 1)).unwrap();
        let run = clean(words)
            .args(["exec", "--quiet", "target/fpvm/mips64/words.elf", "--preimages"])
            .arg(&store)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(end), "{}", stderr(&run));
        assert!(stderr(&run).starts_with(message), "{end}: {}", stderr(&run));
    }
}

#[test]
fn what_is_missing_is_named_with_the_command_that_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("Cargo.toml"), "[package]\nname = \"x\"\nedition = \"2024\"\n").unwrap();
    fs::create_dir(path.join("src")).unwrap();
    fs::write(path.join("src/main.rs"), "fn main() {}\n").unwrap();
    let script = |name: &str, text: &str| {
        let script = path.join(name);
        fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        script
    };
    let bare = script("bare", "echo /nowhere");
    let absent = script("absent", "echo \"toolchain '1.95.0' is not installed\" >&2; exit 1");
    for (rustc, what, hint) in [
        (
            bare,
            "the source of the standard library is not installed",
            "rustup component add rust-src",
        ),
        (absent, "toolchain '1.95.0' is not installed", "rustup toolchain install"),
        (path.join("nothing"), "cannot run", "install Rust: curl"),
    ] {
        for command in ["build", "test"] {
            let output = clean(path).arg(command).env("RUSTC", &rustc).output().unwrap();
            let error = stderr(&output);
            assert_eq!(output.status.code(), Some(3), "{error}");
            assert!(error.contains(what), "{error}");
            assert!(error.contains(&format!("hint: {hint}")), "{error}");
        }
    }
}

/// What is compiled for this computer has to be linked there.
#[test]
fn a_linker_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let manifest = "[package]\nname = \"x\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(path.join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(path.join("src")).unwrap();
    fs::write(path.join("src/main.rs"), "fn main() {}\n").unwrap();
    let cargo = Path::new(env!("CARGO"));
    let output = clean(path)
        .args(["test", "--native", "--quiet"])
        .env("CARGO", cargo)
        .env("RUSTC", cargo.with_file_name("rustc"))
        .env("PATH", path)
        .output()
        .unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("error: there is no linker: cc is not in the path"), "{error}");
    assert!(error.contains("hint: apt-get install gcc"), "{error}");
}

#[test]
fn what_is_no_program_is_the_commands_fault() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let refused = |arguments: &[&str], what: &str| {
        let output = clean(path).args(arguments).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(what), "{arguments:?}: {error}");
    };
    refused(&["build"], "there is no Cargo.toml of a program in .");
    refused(&["test", "--program", "nowhere"], "in nowhere");
    refused(&["build", "--target", "sparc"], "there are mips64 and riscv64");
    refused(&["new", "Words"], "cannot be the name of a program");
    refused(&["new", "words", "--guest-path", "nowhere"], "is not the crate tribunal-guest");
    fs::create_dir(path.join("words")).unwrap();
    refused(&["new", "words"], "words is there already");
    fs::write(path.join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
    refused(&["build"], "is of no program");
    fs::write(path.join("Cargo.toml"), "this is no manifest\n").unwrap();
    refused(&["build"], "there is no Cargo.toml of a program in .");
    assert_eq!(names(path), ["Cargo.toml", "words"]);
}
