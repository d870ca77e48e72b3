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

use common::{names, stderr, stdout, tribunal};
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

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        if name != "target" {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}

/// The only program that a build tells of.
fn built(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let reports: Value = serde_json::from_str(&stdout(output)).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 1, "{reports}");
    reports[0].clone()
}

/// Another folder, another home of cargo, the kit elsewhere, and an environment and a configuration
/// file that would have everything otherwise.
#[test]
fn a_program_is_the_same_bytes_wherever_it_is_built() {
    let directory = tempfile::tempdir().unwrap();
    let one = directory.path().join("one");
    fs::create_dir(&one).unwrap();
    let made = clean(&one).args(["new", "words"]).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let words = one.join("words");
    let here = built(&clean(&words).args(["build", "--json", "--quiet"]).output().unwrap());

    let two = directory.path().join("two/deeper");
    let kit = two.join("kit");
    for part in ["Cargo.toml", "crates/guest", "crates/keccak", "crates/preimage"] {
        fs::create_dir_all(kit.join(part).parent().unwrap()).unwrap();
        copy(&root().join(part), &kit.join(part));
    }
    let moved = two.join("under/another/name");
    copy(&words, &moved);
    let manifest = fs::read_to_string(moved.join("Cargo.toml")).unwrap();
    let path = |line: &str| match line.starts_with("tribunal-guest") {
        true => format!("tribunal-guest = {{ path = '{}' }}\n", kit.join("crates/guest").display()),
        false => format!("{line}\n"),
    };
    fs::write(moved.join("Cargo.toml"), manifest.lines().map(path).collect::<String>()).unwrap();
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
    for place in [directory.path().to_path_buf(), root(), home] {
        let name = place.to_string_lossy().into_owned();
        let found = elf(&here).windows(name.len()).any(|bytes| bytes == name.as_bytes());
        assert!(!found, "the program says that it was built with {name}");
    }

    // A test that fails is an answer.
    fs::copy(words.join("inputs/wrong.json"), words.join("inputs/holds.json")).unwrap();
    let failed = clean(&words).args(["test", "--native", "--quiet"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(stdout(&failed).contains("test result: FAILED. 2 passed; 1 failed"));
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
