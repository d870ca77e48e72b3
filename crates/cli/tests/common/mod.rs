//! What the tests of the command line share: running it, and programs to run.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::Digest as _;
use tribunal_conformance::assemble::{T0, T1, ZERO, beq, call, daddiu, ld, ll, load_value, sc, sd};
use tribunal_conformance::elf_file::{ElfFile, Segment};
use tribunal_preimage::Key;

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

/// Has whatever cargo builds in or below `directory` keep what is between sources and programs in one
/// place, so that the standard library for a machine is compiled once for all tests.
pub(crate) fn share_builds(directory: &Path) {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    std::fs::create_dir_all(directory.join(".cargo")).unwrap();
    let text = format!("[build]\nbuild-dir = '{}'\n", shared.display());
    std::fs::write(directory.join(".cargo/config.toml"), text).unwrap();
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

/// A program that does a bit of everything, then asks for each of these preimages: its length, and 8
/// bytes of it at most.
pub(crate) fn write_reader(path: &Path, keys: &[Key]) {
    const PLACE: u64 = 0x1000_0000_0000;
    let mut words = load_value(T0, PLACE);
    words.extend([daddiu(T1, T0, 7), sd(T1, 256, T0), ld(T1, 256, T0)]);
    words.extend([ll(T1, 256, T0), sc(T1, 256, T0), sc(T1, 256, T0), beq(ZERO, ZERO, 1), 0]);
    words.extend(call(5222, &[1, PLACE + 128]));
    for key in keys {
        words.extend(load_value(T0, PLACE));
        for (word, offset) in key.as_bytes().as_chunks::<8>().0.iter().zip((0..).step_by(8)) {
            words.extend(load_value(T1, u64::from_be_bytes(*word)));
            words.push(sd(T1, offset, T0));
        }
        (0..4).for_each(|word| words.extend(call(5001, &[6, PLACE + 8 * word, 8])));
        (0..2).for_each(|_| words.extend(call(5000, &[5, PLACE + 64, 8])));
    }
    words.extend(call(5205, &[0]));
    write_program(path, &words);
}

/// Writes preimages into a file that stores them.
pub(crate) fn write_preimages(path: &Path, preimages: &[(Key, Vec<u8>)]) {
    let digits = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let map: serde_json::Map<String, Value> =
        preimages.iter().map(|(key, data)| (key.to_string(), json!(digits(data)))).collect();
    std::fs::write(path, json!(map).to_string()).unwrap();
}

/// A preimage of every kind that an oracle takes.
pub(crate) fn preimages() -> Vec<(Key, Vec<u8>)> {
    let (data, identity) = (b"twenty bytes of data".to_vec(), b"say that again".to_vec());
    let mut address = [0; 20];
    address[19] = 4;
    let call = [&address[..], &100u64.to_be_bytes(), &identity].concat();
    let precompile = Key::precompile(&address, 100, &identity);
    vec![
        (Key::local(7), b"12345678".to_vec()),
        (Key::keccak256_of(&data), data.clone()),
        (Key::sha256_of(&data), data),
        (Key::blob(&[3; 48], &[4; 32]), vec![9; 32]),
        (precompile, [&[1][..], &identity].concat()),
        // What is behind the precompile key.
        (Key::keccak256_of(&call), call),
    ]
}

/// Every step of a program, proven, as in a proof file.
pub(crate) fn prove_all(directory: &Path, program: &str, preimages: &str) -> Vec<Value> {
    let arguments =
        ["sample", "--input", program, "--preimages", preimages, "--proof", "--at", "%1", "-q"];
    let lines = succeed_in(directory, arguments);
    let proof = |line| {
        let mut proof: Value = serde_json::from_str(line).unwrap();
        proof.as_object_mut().unwrap().remove("hash");
        proof
    };
    lines.lines().map(proof).collect()
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
