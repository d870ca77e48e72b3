//! The embedded database: what other processes see of it, what a killed writer leaves, and damage.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tribunal_host::store::{self, Backend as _, DatabaseStore, DiskFormat, DiskStore, StoreFormat};
use tribunal_host::{PreimageStore as _, StoreError};
use tribunal_preimage::Key;

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn file(dir: &Path) -> PathBuf {
    dir.join("preimages.redb")
}

/// Preimage number `i`, of 1 to 4000 bytes.
fn sample(i: u64) -> Vec<u8> {
    let length = 1 + (i * 7919) % 4000;
    (0..length).map(|j| (i.wrapping_mul(31) + j) as u8).chain(i.to_be_bytes()).collect()
}

fn put(store: &DatabaseStore, i: u64) {
    let data = sample(i);
    store.put(Key::keccak256_of(&data), data).unwrap();
}

fn assert_there(store: &dyn store::PreimageStore, i: u64) {
    let data = sample(i);
    assert_eq!(store.get(Key::keccak256_of(&data)).unwrap(), Some(data), "{i}");
}

/// Starts this test program in the role of the test `role`.
fn start(role: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", role, "--nocapture", "--test-threads=1"])
        .env("TEST_DATABASE_DIR", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Plays a writer that says after each preimage that it is kept, from the hundredth on after each
/// twenty that it puts at once.
#[test]
fn role_writer() {
    let Some(dir) = std::env::var_os("TEST_DATABASE_DIR") else { return };
    let store = DatabaseStore::create(Path::new(&dir)).unwrap();
    let mut next = 0;
    loop {
        let count = if next < 100 { 1 } else { 20 };
        let entries = (next..next + count).map(|i| (Key::keccak256_of(&sample(i)), sample(i)));
        store.put_all(entries.collect()).unwrap();
        next += count;
        let mut out = std::io::stdout().lock();
        writeln!(out, "kept {}", next - 1).unwrap();
        out.flush().unwrap();
    }
}

/// Reads what a writer says up to `last`; returns the number of the last it kept.
fn acknowledged(lines: &mut impl Iterator<Item = std::io::Result<String>>, last: u64) -> u64 {
    let number = |line: &str| line.split("kept ").nth(1)?.parse::<u64>().ok();
    for line in lines {
        if let Some(number) = number(&line.unwrap())
            && number >= last
        {
            return number;
        }
    }
    panic!("the writer ended");
}

/// Kills a writer of `dir` with SIGKILL once it has acknowledged `last`; returns how far it came.
fn write_and_kill(dir: &Path, last: u64) -> u64 {
    let mut child = start("role_writer", dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    acknowledged(&mut lines, last);
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it died.
    let rest =
        lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("kept ")?.parse().ok());
    rest.last().unwrap_or(last)
}

/// Killed in the middle of ten thousand writes, the writer loses nothing that it acknowledged.
#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let dir = tempdir();
    let last = write_and_kill(dir.path(), 5_000);
    // The next writer goes on, and is killed too.
    let last = last.max(write_and_kill(dir.path(), 2_500));
    assert!(last >= 5_000, "{last}");
    // Whoever comes next only reads.
    let store = store::open(dir.path()).unwrap();
    for i in 0..=last {
        assert_there(&store, i);
    }
    for key in store.keys().unwrap() {
        assert!(store.has(key), "{key}");
    }
    drop(store);
    let store = DatabaseStore::create(dir.path()).unwrap();
    put(&store, last + 10);
    assert_there(&store, last + 10);
}

#[test]
fn readers_see_what_a_writer_in_another_process_has_kept() {
    let dir = tempdir();
    let mut child = start("role_writer", dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = acknowledged(&mut lines, 10);
    let readers = [store::open(dir.path()).unwrap(), store::open(dir.path()).unwrap()];
    for reader in &readers {
        assert_there(reader, last);
        let error = reader.put(Key::local(1), vec![]).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    }
    // Also what it keeps afterwards.
    let last = acknowledged(&mut lines, last + 20);
    readers.iter().for_each(|reader| assert_there(reader, last));

    // A second writer is told that there is one.
    let error = DatabaseStore::create(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert!(error.to_string().contains("another process is writing to "), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    readers.iter().for_each(|reader| assert_there(reader, last));
    drop(readers);
    DatabaseStore::create(dir.path()).unwrap();
}

#[test]
fn threads_share_a_database() {
    let dir = tempdir();
    let store = DatabaseStore::create(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..25 {
                    put(store, 100 * thread + i);
                    assert_there(store, 100 * thread + i);
                }
            });
        }
    });
    assert_eq!(store.keys().unwrap().len(), 100);
}

#[test]
fn the_directory_says_what_it_is() {
    let dir = tempdir();
    let path = dir.path().join("new/one");
    drop(store::create(&path, StoreFormat::Database).unwrap());
    assert_eq!(fs::read_to_string(path.join("kvformat")).unwrap(), "redb");
    // The marker wins, whatever is wanted.
    let store = store::create(&path, StoreFormat::Directory).unwrap();
    assert!(store.name().starts_with("the database "), "{}", store.name());
    let error = DiskStore::create(&path, DiskFormat::File).unwrap_err();
    assert!(error.to_string().ends_with("of the format `redb`, not `file`"), "{error}");
    assert!(matches!(DiskStore::open(&path).unwrap_err(), StoreError::OtherFormat { .. }));

    let files = dir.path().join("files");
    drop(store::create(&files, StoreFormat::File).unwrap());
    let error = DatabaseStore::create(&files).unwrap_err();
    assert!(error.to_string().ends_with("of the format `file`, not `redb`"), "{error}");
    assert!(matches!(DatabaseStore::open(&files).unwrap_err(), StoreError::OtherFormat { .. }));
    let store = store::create(&files, StoreFormat::Database).unwrap();
    assert!(store.name().starts_with("the directory "), "{}", store.name());
}

#[test]
fn what_is_not_there_is_not_made_by_reading() {
    let dir = tempdir();
    assert!(matches!(store::open(&dir.path().join("no")), Err(StoreError::Io { .. })));
    assert!(matches!(DatabaseStore::open(dir.path()), Err(StoreError::NotAStore { .. })));
    fs::write(dir.path().join("kvformat"), "redb").unwrap();
    let error = store::open(dir.path()).err().unwrap();
    assert!(error.to_string().contains("preimages.redb: No such file"), "{error}");
    assert!(!file(dir.path()).exists());
}

/// Whatever happens to the file: an answer is right, or there is an error.
#[test]
fn a_damaged_database_never_serves_wrong_bytes() {
    let dir = tempdir();
    let store = DatabaseStore::create(dir.path()).unwrap();
    (0..40).for_each(|i| put(&store, i));
    drop(store);
    let whole = fs::read(file(dir.path())).unwrap();
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut served, mut refused) = (0, 0);
    for round in 0..300 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(random(whole.len())),
            // The header and what it leads to.
            1 => (0..4).for_each(|_| bytes[random(4096)] = random(256) as u8),
            _ => {
                // A torn page.
                let start = random(whole.len() - 512);
                (0..512).for_each(|i| bytes[start + i] = random(256) as u8);
            }
        }
        fs::write(file(dir.path()), &bytes).unwrap();
        let check = |result: Result<Option<Vec<u8>>, StoreError>, i| match result {
            Ok(Some(data)) => {
                assert_eq!(data, sample(i));
                true
            }
            Ok(None) => true,
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("preimages.redb"), "{said}");
                false
            }
        };
        let opened = match round % 2 {
            0 => DatabaseStore::open(dir.path()),
            _ => DatabaseStore::create(dir.path()),
        };
        match opened {
            Err(_) => refused += 1,
            Ok(store) => {
                for i in 0..40 {
                    match check(store.get(Key::keccak256_of(&sample(i))), i) {
                        true => served += 1,
                        false => refused += 1,
                    }
                }
                let _ = store.keys();
            }
        }
    }
    assert!(served > 100 && refused > 100, "{served} {refused}");
}

/// Whoever reads is told the same as who writes: it is the file that is to blame, and what to do.
#[test]
fn a_database_that_was_cut_or_is_none_is_damaged_and_no_failing_disk() {
    let dir = tempdir();
    let store = DatabaseStore::create(dir.path()).unwrap();
    (0..40).for_each(|i| put(&store, i));
    drop(store);
    let whole = fs::read(file(dir.path())).unwrap();
    let cuts = [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1];
    let mut contents: Vec<Vec<u8>> = cuts.iter().map(|cut| whole[..*cut].to_vec()).collect();
    contents.push([b"not a database ", &whole[15..]].concat());
    contents.push(vec![0; whole.len()]);
    for bytes in contents {
        fs::write(file(dir.path()), &bytes).unwrap();
        let failed = match store::open(dir.path()) {
            Err(error) => Some(error),
            Ok(store) => (0..40).find_map(|i| store.get(Key::keccak256_of(&sample(i))).err()),
        };
        let error = failed.expect("something is lacking");
        assert!(matches!(error, StoreError::DamagedDatabase { .. }), "{}: {error}", bytes.len());
        assert!(error.to_string().contains("; move it away, so that "), "{error}");
    }
}

/// Plays the process that [`a_full_disk_loses_nothing_that_was_kept`] starts.
#[test]
fn role_filler() {
    let Some(dir) = std::env::var_os("TEST_DATABASE_DIR") else { return };
    let store = DatabaseStore::create(Path::new(&dir)).unwrap();
    for i in 0..10 {
        put(&store, i);
    }
    let error = (10..100_000)
        .find_map(|i| store.put(Key::keccak256_of(&sample(i)), sample(i)).err())
        .unwrap()
        .to_string();
    assert!(error.contains("preimages.redb: File too large"), "{error}");
    let error = store.put(Key::local(1), vec![]).unwrap_err().to_string();
    assert!(error.contains("an earlier write failed; start again"), "{error}");
}

/// A limit on the size of files stands in for a disk that fills up.
#[test]
fn a_full_disk_loses_nothing_that_was_kept() {
    let dir = tempdir();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" --exact role_filler --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env("TEST_DATABASE_DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said} {complained}");
    let store = DatabaseStore::create(dir.path()).unwrap();
    (0..10).for_each(|i| assert_there(&store, i));
    put(&store, 200_000);
    assert_there(&store, 200_000);
}
