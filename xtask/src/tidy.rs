//! `cargo xtask tidy`: the house rules that a compiler does not know, as `ARCHITECTURE.md` has them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::root;

/// What each crate of the project may depend on within the project. Absence is the rule that
/// matters: a crate exists because of what it must not know.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("keccak", &[]),
    ("memory", &["keccak"]),
    ("preimage", &["keccak"]),
    ("machine", &["keccak", "preimage"]),
    ("mips64", &["keccak", "machine", "memory", "preimage"]),
    ("jit", &["keccak", "machine", "memory", "mips64", "preimage"]),
    ("index", &["keccak", "machine", "memory", "mips64", "preimage"]),
    ("host", &["keccak", "preimage"]),
    ("guest", &["keccak", "optimism-hints", "preimage", "rlp"]),
    ("rlp", &[]),
    ("rollup", &[]),
    ("derivation", &["keccak", "rlp", "rollup"]),
    ("optimism", &["keccak", "optimism-hints", "preimage", "rlp", "rollup"]),
    ("conformance", &["keccak", "machine", "memory", "mips64", "preimage"]),
    (
        "fuzz",
        &[
            "conformance",
            "derivation",
            "jit",
            "keccak",
            "machine",
            "memory",
            "mips64",
            "preimage",
            "rollup",
        ],
    ),
    ("kzg", &[]),
    ("build", &[]),
    ("onchain", &["keccak", "kzg", "machine", "preimage"]),
    ("optimism-hints", &[]),
    ("optimism-host", &["host", "keccak", "kzg", "optimism-hints", "preimage", "rpc"]),
    ("rpc", &[]),
    (
        "cli",
        &[
            "build",
            "guest",
            "host",
            "index",
            "jit",
            "keccak",
            "machine",
            "memory",
            "mips64",
            "onchain",
            "optimism",
            "optimism-host",
            "preimage",
            "rpc",
        ],
    ),
    ("guests/bench", &["guest"]),
    ("guests/op-block", &["guest", "optimism", "rollup"]),
    ("guests/optimism", &["derivation", "guest", "optimism", "rollup"]),
    ("guests/transactions", &["guest", "keccak", "preimage"]),
    ("xtask", &["build", "conformance", "fuzz", "guest", "jit", "machine", "mips64", "preimage"]),
];

/// The crates that may be unsafe, each with its reason in `ARCHITECTURE.md`.
const MAY_BE_UNSAFE: [&str; 5] = [
    "crates/guest",
    "crates/jit",
    "crates/keccak/src/aarch64.rs",
    "crates/keccak/src/x86.rs",
    "guests/bench/src/allocators.rs",
];

/// Crates whose results reach a state hash: no clock, no environment, no files, no floats.
const PURE: [&str; 7] = [
    "crates/derivation",
    "crates/keccak",
    "crates/memory",
    "crates/mips64",
    "crates/preimage",
    "crates/rlp",
    "crates/rollup",
];

const IMPURE: [&str; 10] = [
    "std::time",
    "std::env::",
    "std::fs",
    "std::process",
    "std::net",
    "std::thread",
    "SystemTime",
    ": f64",
    ": f32",
    "HashSet",
];

/// The only maps without an order in pure crates: looked up, never iterated.
const MAY_HASH: [&str; 2] = ["crates/memory/src/tree.rs", "crates/memory/src/upper_tree.rs"];

/// The only threads in pure crates: each result has a place of its own, whoever computes it, or is
/// that of a moment, whenever it is computed.
const MAY_SPAWN: [&str; 2] = ["crates/memory/src/later.rs", "crates/memory/src/page_tree.rs"];

const MAX_FILE_BYTES: u64 = 2 << 20;
const MAX_TESTDATA_BYTES: u64 = 20 << 20;

pub(crate) fn run() -> Result<()> {
    let mut complaints = Vec::new();
    let files = tracked_files()?;
    check_sizes(&files, &mut complaints)?;
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        check_source(path, &mut complaints)?;
    }
    check_dependencies(&mut complaints)?;
    if complaints.is_empty() {
        println!("{} files are tidy", files.len());
        return Ok(());
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    bail!("{} things are not tidy", complaints.len())
}

/// Files that belong to the repository, or would once they are added, relative to its root.
fn tracked_files() -> Result<Vec<PathBuf>> {
    let list = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("cannot run git, which knows the files of the repository")?;
    let names = String::from_utf8(list.stdout).context("a file name that is not UTF-8")?;
    let exists = |path: &PathBuf| root().join(path).is_file();
    Ok(names.split_terminator('\0').map(PathBuf::from).filter(exists).collect())
}

fn check_sizes(files: &[PathBuf], complaints: &mut Vec<String>) -> Result<()> {
    let mut testdata = 0;
    for path in files {
        let bytes = fs::metadata(root().join(path))?.len();
        if bytes > MAX_FILE_BYTES {
            complaints.push(format!("{}: larger than 2 MiB", path.display()));
        }
        if path.starts_with("testdata") {
            testdata += bytes;
        }
    }
    if testdata > MAX_TESTDATA_BYTES {
        complaints.push(format!("testdata: {testdata} bytes are more than 20 MiB"));
    }
    Ok(())
}

fn check_source(path: &Path, complaints: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(root().join(path))?;
    let name = path.display();
    let mut complain = |line: usize, what: &str| complaints.push(format!("{name}:{line}: {what}"));

    let opening = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    if !opening.is_some_and(|line| line.starts_with("//!")) {
        complain(1, "a module opens with what it knows and refuses to know (//!)");
    }
    if path.file_stem().is_some_and(|stem| stem == "utils" || stem == "util" || stem == "helpers") {
        complain(1, "a file needs a name that says what is in it");
    }
    let pure = PURE.iter().any(|room| path.starts_with(room)) && is_shipped(path);
    let may_be_unsafe = MAY_BE_UNSAFE.iter().any(|room| path.starts_with(room));
    let this_file = path == Path::new("xtask/src/tidy.rs");
    for (number, line) in text.lines().enumerate() {
        // Unit tests stand at the end, and may do as they please.
        if line == "#[cfg(test)]" {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        if pure {
            let may_spawn = MAY_SPAWN.iter().any(|file| path == Path::new(file));
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                if *word == "std::thread" && may_spawn {
                    continue;
                }
                complain(number + 1, &format!("{word} in a crate whose results reach a state"));
            }
            if code.contains("HashMap") && !MAY_HASH.iter().any(|file| path == Path::new(file)) {
                complain(
                    number + 1,
                    "a map without an order in a crate whose results reach a state",
                );
            }
        }
        if !this_file && !may_be_unsafe && code.contains("unsafe ") {
            complain(number + 1, "unsafe outside of the crates that may be");
        }
        if !this_file && code.contains("#[ignore]") {
            complain(number + 1, "an ignored test says why: #[ignore = \"reason\"]");
        }
    }
    Ok(())
}

/// Whether a file is part of a crate's library, not of its tests, examples or build.
fn is_shipped(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "src")
}

fn check_dependencies(complaints: &mut Vec<String>) -> Result<()> {
    let rules: BTreeMap<_, _> = MAY_KNOW.iter().copied().collect();
    for (krate, folder) in crates()? {
        let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
        let Some(allowed) = rules.get(krate.as_str()) else {
            complaints.push(format!("{krate}: xtask/src/tidy.rs does not say what it may know"));
            continue;
        };
        for known in shipped_dependencies(&manifest) {
            if !allowed.contains(&known.as_str()) {
                complaints.push(format!("{krate} must not know {known} (ARCHITECTURE.md)"));
            }
        }
    }
    Ok(())
}

/// Every crate of the workspace: its short name and its folder.
fn crates() -> Result<Vec<(String, PathBuf)>> {
    let mut crates = vec![("xtask".to_owned(), root().join("xtask"))];
    for (parent, prefix) in [("crates", ""), ("guests", "guests/")] {
        for entry in fs::read_dir(root().join(parent))? {
            let folder = entry?.path();
            if folder.join("Cargo.toml").exists() {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                crates.push((format!("{prefix}{name}"), folder));
            }
        }
    }
    crates.sort();
    Ok(crates)
}

/// The crates of this project that a manifest depends on, outside of its tests.
fn shipped_dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let shipped = section.contains("dependencies") && !section.contains("dev-dependencies");
        if let (true, Some(name)) = (shipped, line.strip_prefix("tribunal-")) {
            found.push(name.split([' ', '=', '.']).next().unwrap_or_default().to_owned());
        }
    }
    found
}
