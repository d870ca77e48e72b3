//! What the tests of the command line share: running it, and programs to run.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use sha2::Digest as _;
use tribunal_conformance::elf_file::{ElfFile, Segment};

/// The command line.
pub(crate) fn tribunal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.env_remove("NO_COLOR");
    command
}

/// Runs the command line in `directory`.
pub(crate) fn run_in<I>(directory: &Path, arguments: I) -> Output
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    tribunal().current_dir(directory).args(arguments).output().unwrap()
}

/// Runs the command line in `directory`, which must succeed. Returns its standard output.
pub(crate) fn succeed_in<I>(directory: &Path, arguments: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let output = run_in(directory, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A file of `testdata/guests`.
pub(crate) fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guests").join(name)
}

/// The host of `examples/store_host.rs`, which cargo builds beside the command line.
pub(crate) fn store_host() -> PathBuf {
    let host = Path::new(env!("CARGO_BIN_EXE_tribunal")).with_file_name("examples");
    let host = host.join("store_host");
    assert!(host.exists(), "{} is missing: cargo build --examples makes it", host.display());
    host
}

/// Reads a file, unpacked if it is gzip by name.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut GzDecoder::new(bytes.as_slice()), &mut unpacked).unwrap();
        return unpacked;
    }
    bytes
}

/// The SHA-256 of a file, unpacked.
pub(crate) fn sha256(path: &Path) -> String {
    hex::encode(sha2::Sha256::digest(read(path)))
}

/// The names in a directory, in order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes a program of these instructions.
pub(crate) fn write_program(path: &Path, words: &[u32]) {
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let mut file = ElfFile::new(vec![Segment::load(0x1_0000, code)]);
    file.symbols = Some(vec![("start".into(), 0x1_0000, 4 * words.len() as u64)]);
    std::fs::write(path, file.to_bytes()).unwrap();
}

/// Loads a guest of `testdata/guests` into `state.bin` and `meta.json`.
pub(crate) fn load_guest(directory: &Path, name: &str) {
    let path = guest(&format!("{name}.elf.gz"));
    load(directory, &path);
}

/// Loads a program into `state.bin` and `meta.json`.
pub(crate) fn load(directory: &Path, program: &Path) {
    let arguments: [&OsStr; 7] = [
        "load-elf".as_ref(),
        "--type=multithreaded64-5".as_ref(),
        "--path".as_ref(),
        program.as_ref(),
        "--out=state.bin".as_ref(),
        "--meta".as_ref(),
        "meta.json".as_ref(),
    ];
    assert_eq!(succeed_in(directory, arguments), "");
}

/// Makes an argument list of pieces of different types.
#[macro_export]
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        [$(std::ffi::OsString::from(&$argument)),*]
    };
}

/// The line of a log that has `part` in it.
pub(crate) fn line_with<'a>(log: &'a str, part: &str) -> &'a str {
    log.lines()
        .find(|line| line.contains(part))
        .unwrap_or_else(|| panic!("no line with {part:?} in\n{log}"))
}

pub(crate) type Arguments = Vec<OsString>;
