//! Stores: the bytes they share with other hosts, and what they do about damage.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use tribunal_host::store::{
    self, Backend, DatabaseStore, DiskFormat, DiskStore, JsonStore, MemoryStore, Overlay, ReadOnly,
    Split, StoreFormat,
};
use tribunal_host::{PreimageStore, StoreError};
use tribunal_preimage::Key;

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Every file under `dir` with its content, sorted.
fn files(dir: &Path) -> Vec<(String, String)> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.push((name, String::from_utf8(fs::read(path).unwrap()).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

/// One preimage of every kind.
fn samples() -> Vec<(Key, Vec<u8>)> {
    vec![
        (Key::local(1), b"local".to_vec()),
        (Key::keccak256_of(b"keccak"), b"keccak".to_vec()),
        (Key::keccak256_of(b""), vec![]),
        (Key::global_generic([9; 32]), vec![1, 2, 3]),
        (Key::sha256_of(b"sha"), b"sha".to_vec()),
        (Key::blob(&[1; 48], &[2; 32]), vec![7; 32]),
        (Key::precompile(&[3; 20], 21_000, b"in"), b"\x01out".to_vec()),
        (Key::precompile(&[3; 20], 21_000, b"bad"), vec![0]),
    ]
}

/// Data that cannot belong to the key, where the key says anything about it.
fn wrong_samples() -> Vec<(Key, Vec<u8>)> {
    vec![
        (Key::keccak256_of(b"keccak"), b"Keccak".to_vec()),
        (Key::keccak256_of(b"keccak"), vec![]),
        (Key::sha256_of(b"sha"), b"shb".to_vec()),
        (Key::blob(&[1; 48], &[2; 32]), vec![7; 31]),
        (Key::precompile(&[3; 20], 21_000, b"in"), b"\x02out".to_vec()),
        (Key::precompile(&[3; 20], 21_000, b"in"), vec![]),
        (Key::from_bytes([0; 32]), vec![1]),
        (Key::from_bytes([7; 32]), vec![1]),
    ]
}

fn every_store(dir: &Path) -> Vec<Box<dyn PreimageStore>> {
    let json = dir.join("empty.json");
    fs::write(&json, "{}").unwrap();
    vec![
        Box::new(MemoryStore::new()),
        Box::new(DiskStore::create(&dir.join("d"), DiskFormat::Directory).unwrap()),
        Box::new(DiskStore::create(&dir.join("f"), DiskFormat::File).unwrap()),
        Box::new(JsonStore::open(&json).unwrap()),
        Box::new(Arc::new(MemoryStore::new())),
        Box::new(DatabaseStore::create(&dir.join("b")).unwrap()),
        Box::new(Split { locals: MemoryStore::new(), rest: MemoryStore::new() }),
        Box::new(Overlay { put: MemoryStore::new(), there: MemoryStore::new() }),
    ]
}

#[test]
fn every_store_gives_back_what_was_put() {
    let dir = tempdir();
    for store in every_store(dir.path()) {
        for (key, data) in samples() {
            assert_eq!(store.get(key).unwrap(), None, "{}", store.name());
            store.put(key, data).unwrap();
        }
        for (key, data) in samples() {
            assert_eq!(store.get(key).unwrap(), Some(data), "{}", store.name());
        }
        store.put(Key::local(1), b"later".to_vec()).unwrap();
        assert_eq!(store.get(Key::local(1)).unwrap().unwrap(), b"later");
    }
}

#[test]
fn every_store_takes_many_at_once_and_lists_them() {
    let dir = tempdir();
    for store in every_store(dir.path()) {
        assert_eq!(store.keys().unwrap(), [], "{}", store.name());
        store.put_all(vec![]).unwrap();
        store.put_all(samples()).unwrap();
        let mut keys: Vec<Key> = samples().into_iter().map(|(key, _)| key).collect();
        keys.sort();
        assert_eq!(store.keys().unwrap(), keys, "{}", store.name());
        for (key, data) in samples() {
            assert!(store.has(key));
            assert_eq!(store.get(key).unwrap(), Some(data), "{}", store.name());
        }
        // One that is wrong, and none is taken.
        let good = Key::keccak256_of(b"good");
        let entries = vec![(good, b"good".to_vec()), (Key::sha256_of(b"x"), b"y".to_vec())];
        let error = store.put_all(entries).unwrap_err();
        assert!(matches!(error, StoreError::Rejected { .. }), "{error}");
        assert!(!store.has(good));
        assert_eq!(store.keys().unwrap(), keys);
    }
}

#[test]
fn every_store_takes_good_bytes_in_the_place_of_damaged_ones() {
    let dir = tempdir();
    for store in every_store(dir.path()) {
        let key = Key::keccak256_of(b"true");
        store.save(key, b"false".to_vec()).unwrap();
        assert!(!store.has(key));
        assert!(store.get(key).unwrap_err().is_damage());
        store.put(key, b"true".to_vec()).unwrap();
        assert_eq!(store.get(key).unwrap().unwrap(), b"true", "{}", store.name());
    }
}

#[test]
fn what_is_only_read_takes_nothing() {
    let inner = Arc::new(MemoryStore::new());
    inner.put_all(samples()).unwrap();
    let store = ReadOnly(inner.clone());
    let error = store.put(Key::local(9), vec![1]).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    assert!(store.put_all(vec![(Key::local(9), vec![1])]).is_err());
    assert_eq!(inner.len(), samples().len());
    assert_eq!(store.keys().unwrap(), inner.keys().unwrap());
    assert!(store.has(Key::local(1)));
}

#[test]
fn what_is_put_above_a_store_comes_first_and_does_not_reach_it() {
    let there = Arc::new(MemoryStore::new());
    there.put_all(samples()).unwrap();
    let damaged = Key::keccak256_of(b"true");
    there.save(damaged, b"false".to_vec()).unwrap();
    let store = Overlay { put: MemoryStore::new(), there: ReadOnly(there.clone()) };
    assert!(store.get(damaged).unwrap_err().is_damage());
    store.put(damaged, b"true".to_vec()).unwrap();
    store.put(Key::local(9), vec![9]).unwrap();
    assert_eq!(store.get(damaged).unwrap().unwrap(), b"true");
    assert_eq!(store.get(Key::local(1)).unwrap().unwrap(), b"local");
    assert_eq!(store.keys().unwrap().len(), samples().len() + 2);
    assert_eq!(there.load(damaged).unwrap().unwrap(), b"false");
    assert_eq!(there.get(Key::local(9)).unwrap(), None);
}

/// Nothing binds a local key to its data: those of one run must not answer another.
#[test]
fn inputs_of_a_run_stay_out_of_the_store_that_runs_share() {
    let shared = Arc::new(MemoryStore::new());
    shared.put(Key::local(1), b"of another run".to_vec()).unwrap();
    let store = Split { locals: MemoryStore::new(), rest: shared.clone() };
    assert_eq!(store.get(Key::local(1)).unwrap(), None);
    assert_eq!(store.keys().unwrap(), []);
    store.put_all(samples()).unwrap();
    assert_eq!(store.get(Key::local(1)).unwrap().unwrap(), b"local");
    assert_eq!(shared.get(Key::local(1)).unwrap().unwrap(), b"of another run");
    assert_eq!(shared.len(), samples().len());
}

#[test]
fn every_store_refuses_what_does_not_belong_to_its_key() {
    let dir = tempdir();
    for store in every_store(dir.path()) {
        for (key, data) in wrong_samples() {
            let error = store.put(key, data).unwrap_err();
            assert!(matches!(error, StoreError::Rejected { .. }), "{error}");
            assert!(error.to_string().contains(&key.to_string()), "{error}");
            assert_eq!(store.get(key).unwrap(), None);
        }
    }
}

#[test]
fn every_store_checks_again_on_the_way_out() {
    let dir = tempdir();
    for store in every_store(dir.path()) {
        for (key, data) in wrong_samples() {
            // Past the check, as a failing disk or another program would do it.
            store.save(key, data).unwrap();
            let error = store.get(key).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(&store.place(key)), "{error}");
        }
    }
}

const EMPTY_DIGITS: &str = "d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";

#[test]
fn directory_format_is_what_other_hosts_read() {
    let dir = tempdir();
    let store = DiskStore::create(dir.path(), DiskFormat::Directory).unwrap();
    store.put(Key::keccak256_of(b""), vec![]).unwrap();
    store.put(Key::local(0xab), vec![0xde, 0xad]).unwrap();
    let zeros = "0".repeat(58);
    assert_eq!(
        files(dir.path()),
        [
            (format!("0100/{zeros}ab.txt"), "dead".into()),
            (format!("02d2/{}.txt", &EMPTY_DIGITS[2..]), String::new()),
            ("kvformat".into(), "directory".into()),
        ]
    );
}

#[test]
fn file_format_is_what_other_hosts_read() {
    let dir = tempdir();
    let store = DiskStore::create(dir.path(), DiskFormat::File).unwrap();
    store.put(Key::keccak256_of(b""), vec![]).unwrap();
    store.put(Key::local(0xab), vec![0xde, 0xad]).unwrap();
    assert_eq!(
        files(dir.path()),
        [
            (format!("0x01{}ab.txt", "0".repeat(60)), "dead".into()),
            (format!("0x02{EMPTY_DIGITS}.txt"), String::new()),
            ("kvformat".into(), "file".into()),
        ]
    );
}

/// op-challenger may run as another user than the host.
#[test]
fn files_have_the_permissions_of_any_new_file() {
    let dir = tempdir();
    let store = DiskStore::create(dir.path(), DiskFormat::File).unwrap();
    store.put(Key::local(1), vec![1]).unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, "").unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(store.place(Key::local(1)).into()), mode(plain.clone()));
    assert_eq!(mode(dir.path().join("kvformat")), mode(plain));
}

#[test]
fn the_marker_beats_the_wanted_format() {
    let dir = tempdir();
    // As another host writes it, and as an editor would leave it.
    for marker in ["file", "file\n"] {
        fs::write(dir.path().join("kvformat"), marker).unwrap();
        let store = DiskStore::create(dir.path(), DiskFormat::Directory).unwrap();
        assert_eq!(store.format(), DiskFormat::File);
        assert_eq!(DiskStore::open(dir.path()).unwrap().format(), DiskFormat::File);
        assert_eq!(fs::read_to_string(dir.path().join("kvformat")).unwrap(), marker);
    }
}

#[test]
fn foreign_formats_are_refused_with_a_way_out() {
    for (marker, words) in [
        ("pebble", ["pebble database", "--data.format"]),
        ("rocksdb", ["rocksdb database", "--data-format"]),
        ("zip", ["unknown format \"zip\"", "`directory` and `file`"]),
        (&"x".repeat(100_000), ["unknown format \"xxx", "kvformat"]),
    ] {
        let dir = tempdir();
        fs::write(dir.path().join("kvformat"), marker).unwrap();
        for result in [
            DiskStore::create(dir.path(), DiskFormat::Directory).err(),
            DiskStore::open(dir.path()).err(),
            store::open(dir.path()).err(),
        ] {
            let error = result.unwrap().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
            assert!(error.contains(&dir.path().display().to_string()), "{error}");
            assert!(error.len() < 600, "{} bytes of message", error.len());
        }
    }
}

#[test]
fn a_database_without_a_marker_is_told_from_an_empty_directory() {
    let dir = tempdir();
    fs::write(dir.path().join("CURRENT"), "MANIFEST-000001\n").unwrap();
    let error = DiskStore::create(dir.path(), DiskFormat::Directory).unwrap_err();
    assert!(error.to_string().contains("pebble or rocksdb"), "{error}");
    assert!(!dir.path().join("kvformat").exists());
}

#[test]
fn opening_tells_the_format_from_the_files_and_writes_nothing() {
    for format in [DiskFormat::Directory, DiskFormat::File] {
        let dir = tempdir();
        DiskStore::create(dir.path(), format).unwrap().put(Key::local(1), vec![1]).unwrap();
        fs::remove_file(dir.path().join("kvformat")).unwrap();
        fs::write(dir.path().join("debug-info.json"), "{}").unwrap();
        let before = files(dir.path());

        let store = store::open(dir.path()).unwrap();
        assert_eq!(store.get(Key::local(1)).unwrap(), Some(vec![1]));
        assert_eq!(store.get(Key::local(2)).unwrap(), None);
        assert_eq!(files(dir.path()), before);

        store.put(Key::local(2), vec![2]).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("kvformat")).unwrap(), format.name());
    }
}

/// Marked as what it is not, a store would hide all that is in it.
#[test]
fn a_store_without_a_marker_stays_what_it_is_when_it_is_written_to() {
    for marker in [None, Some(""), Some("\n")] {
        for format in StoreFormat::ALL {
            for wanted in StoreFormat::ALL {
                let dir = tempdir();
                let path = dir.path().join("kvformat");
                store::create(dir.path(), format).unwrap().put(Key::local(1), vec![1]).unwrap();
                match marker {
                    None => fs::remove_file(&path).unwrap(),
                    Some(text) => fs::write(&path, text).unwrap(),
                }
                let opened = store::open(dir.path()).unwrap();
                assert_eq!(opened.get(Key::local(1)).unwrap(), Some(vec![1]), "{format}");
                drop(opened);

                let store = store::create(dir.path(), wanted).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), format.name(), "{wanted}");
                assert_eq!(store.get(Key::local(1)).unwrap(), Some(vec![1]), "{format}");
                store.put(Key::local(2), vec![2]).unwrap();
                drop(store);
                assert_eq!(store::open(dir.path()).unwrap().keys().unwrap().len(), 2);
            }
        }
    }
}

/// The constructors of one kind do not make another of it either.
#[test]
fn a_store_without_a_marker_is_not_opened_as_another_kind() {
    let dir = tempdir();
    DiskStore::create(dir.path(), DiskFormat::Directory)
        .unwrap()
        .put(Key::local(1), vec![])
        .unwrap();
    fs::remove_file(dir.path().join("kvformat")).unwrap();
    let error = DatabaseStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("of the format `directory`, not `redb`"), "{error}");
    let error = DatabaseStore::create(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("of the format `directory`, not `redb`"), "{error}");
    assert!(!dir.path().join("preimages.redb").exists());
}

#[test]
fn preimages_in_two_formats_need_a_marker() {
    let dir = tempdir();
    for format in [DiskFormat::Directory, DiskFormat::File] {
        fs::write(dir.path().join("kvformat"), format.name()).unwrap();
        DiskStore::open(dir.path()).unwrap().put(Key::local(1), vec![1]).unwrap();
    }
    fs::remove_file(dir.path().join("kvformat")).unwrap();
    for error in [
        store::open(dir.path()).err(),
        store::create(dir.path(), StoreFormat::Database).err(),
        DiskStore::create(dir.path(), DiskFormat::File).err(),
    ] {
        let error = error.unwrap();
        assert!(matches!(error, StoreError::TwoFormats { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("`directory`") && error.contains("`file`"), "{error}");
    }
    assert!(!dir.path().join("kvformat").exists());
    // As the message says.
    fs::write(dir.path().join("kvformat"), "file").unwrap();
    assert_eq!(store::open(dir.path()).unwrap().get(Key::local(1)).unwrap(), Some(vec![1]));
}

/// A directory with a name of four digits need not be part of a store.
#[test]
fn names_alone_make_no_second_format() {
    let dir = tempdir();
    let store = DiskStore::create(dir.path(), DiskFormat::File).unwrap();
    store.put(Key::local(1), vec![1]).unwrap();
    fs::remove_file(dir.path().join("kvformat")).unwrap();
    fs::create_dir(dir.path().join("2026")).unwrap();
    fs::write(dir.path().join("2026/notes.txt"), "").unwrap();
    fs::write(dir.path().join("beef"), "").unwrap();
    assert!(store::open(dir.path()).unwrap().has(Key::local(1)));
}

#[test]
fn a_directory_of_other_things_is_no_store() {
    let dir = tempdir();
    fs::write(dir.path().join("notes.txt"), "").unwrap();
    let error = store::open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    fs::write(dir.path().join("notes.bin"), "").unwrap();
    let error = store::open(&dir.path().join("notes.bin")).err().unwrap();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
}

#[test]
fn an_empty_directory_is_an_empty_store() {
    let dir = tempdir();
    let store = store::open(dir.path()).unwrap();
    assert_eq!(store.get(Key::local(1)).unwrap(), None);
    assert!(files(dir.path()).is_empty());
}

#[test]
fn damage_on_disk_is_named_and_never_served() {
    let dir = tempdir();
    for format in [DiskFormat::Directory, DiskFormat::File] {
        let store = DiskStore::create(&dir.path().join(format.name()), format).unwrap();
        let key = Key::keccak256_of(b"hello");
        store.put(key, b"hello".to_vec()).unwrap();
        let file = PathBuf::from(store.place(key));
        for (content, reason) in [
            // A bit flipped, the file torn at a byte, within a byte and at its beginning.
            ("68656c6c6e", "belong to"),
            ("68656c", "belong to"),
            ("68656c6", "Odd number of digits"),
            ("", "belong to"),
            ("0x68656c6c6f", "'x' at position 1"),
            ("68656c6c6f\n", "Odd number of digits"),
            ("6865zc6c6f", "'z' at position 4"),
        ] {
            fs::write(&file, content).unwrap();
            let error = store.get(key).unwrap_err().to_string();
            assert!(error.contains(reason), "{content:?}: {error}");
            assert!(error.contains(file.to_str().unwrap()), "{error}");
            assert!(error.contains("remove it"), "{error}");
        }
        // What the message tells people to do helps.
        fs::remove_file(&file).unwrap();
        store.put(key, b"hello".to_vec()).unwrap();
        assert_eq!(store.get(key).unwrap().unwrap(), b"hello");
    }
}

#[test]
fn upper_case_digits_are_read() {
    let dir = tempdir();
    let store = DiskStore::create(dir.path(), DiskFormat::File).unwrap();
    fs::write(store.place(Key::local(1)), "DEADbeef").unwrap();
    assert_eq!(store.get(Key::local(1)).unwrap().unwrap(), [0xde, 0xad, 0xbe, 0xef]);
}

/// A process that was killed while it wrote leaves a file behind that nobody takes for a preimage.
#[test]
fn leftovers_of_a_killed_writer_do_no_harm() {
    let dir = tempdir();
    fs::write(dir.path().join(".writing-a1b2c3"), "6865").unwrap();
    let store = store::open(dir.path()).unwrap();
    assert_eq!(store.get(Key::keccak256_of(b"hello")).unwrap(), None);
    store.put(Key::keccak256_of(b"hello"), b"hello".to_vec()).unwrap();
    assert_eq!(store.get(Key::keccak256_of(b"hello")).unwrap().unwrap(), b"hello");
}

#[test]
fn many_threads_and_stores_share_a_directory() {
    let dir = tempdir();
    let preimage = |i: usize| vec![i as u8; 50_000];
    let (keys, rounds) = (8, 20);
    thread::scope(|scope| {
        for writer in 0..2 {
            // As two processes: each has opened the fresh directory by itself.
            let store = DiskStore::create(dir.path(), DiskFormat::Directory).unwrap();
            scope.spawn(move || {
                for round in 0..rounds {
                    let i = (round + writer) % keys;
                    let data = preimage(i);
                    store.put(Key::keccak256_of(&data), data).unwrap();
                }
            });
        }
        for _ in 0..2 {
            let store = DiskStore::create(dir.path(), DiskFormat::Directory).unwrap();
            scope.spawn(move || {
                for round in 0..rounds * 10 {
                    // Whole or not there yet: a part would be an error.
                    let data = preimage(round % keys);
                    let found = store.get(Key::keccak256_of(&data)).unwrap();
                    assert!(found.is_none_or(|found| found == data));
                }
            });
        }
    });
    assert_eq!(files(dir.path()).len(), keys + 1);
}

#[test]
fn two_first_writers_agree_on_the_format() {
    for _ in 0..50 {
        let dir = tempdir();
        let formats = thread::scope(|scope| {
            let open = |format| {
                let dir = dir.path();
                scope.spawn(move || DiskStore::create(dir, format).unwrap().format())
            };
            let (a, b) = (open(DiskFormat::Directory), open(DiskFormat::File));
            (a.join().unwrap(), b.join().unwrap())
        });
        assert_eq!(formats.0, formats.1);
        let marker = fs::read_to_string(dir.path().join("kvformat")).unwrap();
        assert_eq!(marker, formats.0.name());
    }
}

#[test]
fn a_store_that_was_marked_otherwise_meanwhile_is_not_mixed() {
    let dir = tempdir();
    let store = DiskStore::open(dir.path()).unwrap();
    fs::write(dir.path().join("kvformat"), "file").unwrap();
    let error = store.put(Key::local(1), vec![1]).unwrap_err();
    assert!(error.to_string().contains("start again"), "{error}");
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn places_that_cannot_be_used_are_named() {
    let dir = tempdir();
    let missing = dir.path().join("missing");
    for error in [
        store::open(&missing).err().unwrap(),
        DiskStore::open(&missing).unwrap_err(),
        JsonStore::open(&missing).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.contains("missing: No such file"), "{error}");
        assert!(error.contains("check the path"), "{error}");
    }

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = DiskStore::create(&file, DiskFormat::File).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()), "{error}");

    // Removed behind our back: a put does not bring half of it back.
    let gone = dir.path().join("gone");
    let store = DiskStore::create(&gone, DiskFormat::Directory).unwrap();
    fs::remove_dir_all(&gone).unwrap();
    let error = store.put(Key::local(1), vec![1]).unwrap_err().to_string();
    assert!(error.contains("gone/0100: No such file"), "{error}");
    assert!(!gone.exists());
}

/// Nobody can make a file there, not even root.
#[test]
#[cfg(target_os = "linux")]
fn a_read_only_place_is_named() {
    let error = DiskStore::create(Path::new("/proc/self"), DiskFormat::File).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot write /proc/self/kvformat: "), "{error}");
}

/// Plays the process that [`a_full_disk_leaves_nothing_half_written`] starts.
#[test]
fn role_writer() {
    let Some(dir) = std::env::var_os("TEST_WRITER_DIR") else { return };
    let store = DiskStore::create(Path::new(&dir), DiskFormat::Directory).unwrap();
    store.put(Key::local(1), vec![0; 100]).unwrap();
    let error = store.put(Key::local(2), vec![0; 1_000_000]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write "), "{error}");
    assert!(error.contains("02.txt: File too large"), "{error}");
}

/// Plays the process that [`a_killed_writer_of_files_loses_nothing_that_it_acknowledged`] kills.
#[test]
fn role_endless_writer() {
    let Some(dir) = std::env::var_os("TEST_ENDLESS_DIR") else { return };
    let store = DiskStore::create(Path::new(&dir), DiskFormat::Directory).unwrap();
    for i in 0u64.. {
        store.put(Key::keccak256_of(&i.to_be_bytes()), i.to_be_bytes().to_vec()).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "kept {i}").unwrap();
        out.flush().unwrap();
    }
}

/// Killed in the middle of ten thousand writes: what it said is kept is there, and whole.
#[test]
fn a_killed_writer_of_files_loses_nothing_that_it_acknowledged() {
    let dir = tempdir();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role_endless_writer", "--nocapture"])
        .env("TEST_ENDLESS_DIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut last = 0_u64;
    for line in lines {
        let Some(number) = line.split("kept ").nth(1).and_then(|n| n.parse().ok()) else {
            continue;
        };
        last = number;
        if last == 5_000 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(last >= 5_000);
    let store = store::open(dir.path()).unwrap();
    for i in 0..=last {
        let data = i.to_be_bytes();
        assert_eq!(store.get(Key::keccak256_of(&data)).unwrap().unwrap(), data);
    }
    for key in store.keys().unwrap() {
        assert!(store.has(key), "{key} is damaged");
    }
}

/// A limit on the size of files stands in for a disk that fills up while a file is written.
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let dir = tempdir();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact role_writer --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env("TEST_WRITER_DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let zeros = "0".repeat(58);
    let names: Vec<String> = files(dir.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [format!("0100/{zeros}01.txt"), "kvformat".into()]);
}

fn write_json(dir: &Path, name: &str, text: &[u8]) -> PathBuf {
    let path = dir.join(name);
    let bytes = if name.ends_with(".gz") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    } else {
        text.to_vec()
    };
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn the_preimages_of_a_real_run_are_read_plain_and_compressed() {
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guests/preimages.json");
    let dir = tempdir();
    let packed = write_json(dir.path(), "p.json.gz", &fs::read(&plain).unwrap());
    for path in [plain, packed] {
        assert_eq!(JsonStore::open(&path).unwrap().len(), 19);
        let store = store::open(&path).unwrap();
        // The first local input lists the keys of the others, one of each kind.
        let keys = store.get(Key::local(1)).unwrap().unwrap();
        let mut kinds = Vec::new();
        for key in keys.as_chunks::<32>().0 {
            let key = Key::from_bytes(*key);
            assert!(store.get(key).unwrap().is_some(), "{key}");
            kinds.push(key.kind().unwrap() as u8);
        }
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, [2, 3, 4, 5, 6]);
    }
}

#[test]
fn mistakes_in_json_are_named_with_their_line() {
    let local = Key::local(1);
    let hello = Key::keccak256_of(b"hello");
    let dir = tempdir();
    for (text, words) in [
        (
            format!("{{\n\"{local}\": \"0x01\",\n\"{local}\": \"0x01\"}}"),
            "is there twice at line 3",
        ),
        // The same key, spelled otherwise.
        (
            format!(
                "{{\"{hello}\": \"0x68656c6c6f\",\n\"{}\": \"0x\"}}",
                hello.to_string()[2..].to_uppercase()
            ),
            "is there twice at line 2",
        ),
        (format!("{{\n\"{local}\": \"0x1\"}}"), "Odd number of digits at line 2"),
        (format!("{{\n\"{local}\": \"0x1g\"}}"), "Invalid character 'g' at position 1 at line 2"),
        ("{\n\"0x01\": \"0x\"}".into(), "64 hex digits, not 2 at line 2"),
        (format!("{{\n\"{local}00\": \"0x\"}}"), "64 hex digits, not 66 at line 2"),
        (format!("{{\n\"{hello}\": \"0x68656c6c6e\"}}"), "belong to 0x02"),
        (format!("{{\n\"0x07{}\": \"0x\"}}", "0".repeat(62)), "type byte 7 at line 2"),
        (format!("{{\n\"{local}\": null}}"), "expected a string at line 2"),
        (format!("{{\n\"{local}\": 5}}"), "expected a string at line 2"),
        (format!("{{\n\"{local}\": {{}}}}"), "expected a string at line 2"),
        ("[]".into(), "expected an object of preimage keys and data"),
        ("null".into(), "expected an object"),
        (String::new(), "EOF while parsing"),
        (format!("{{\"{local}\": \"0x0"), "EOF while parsing"),
        (format!("{{\"{local}\": \"0x00\"}} x"), "trailing characters"),
        (format!("{{\"{local}\": \"0x00\",}}"), "trailing comma"),
        ("[".repeat(100_000), "expected an object"),
        (format!("{{\"{local}\": {}", "[".repeat(100_000)), "expected a string"),
    ] {
        for name in ["p.json", "p.json.gz"] {
            let path = write_json(dir.path(), name, text.as_bytes());
            let error = JsonStore::open(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{text:.100}: {error}");
            assert!(error.contains(name), "{error}");
        }
    }
}

#[test]
fn json_that_is_not_text_or_not_gzip_is_an_error() {
    let dir = tempdir();
    let path = write_json(dir.path(), "p.json", &[b'{', b'"', 0xff, b'"']);
    assert!(matches!(JsonStore::open(&path), Err(StoreError::Json { .. })));

    let path = dir.path().join("q.json.gz");
    fs::write(&path, "{}").unwrap();
    let error = JsonStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");

    // Cut anywhere.
    let whole = fs::read(write_json(dir.path(), "r.json.gz", b"{}")).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        JsonStore::open(&path).unwrap_err();
    }
}
