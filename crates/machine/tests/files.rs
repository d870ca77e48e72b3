//! Files are whole or not there: written to a temporary name, then renamed.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use tempfile::{TempDir, tempdir};
use tribunal_machine::{FileError, check_state_path, is_gzip, write_atomically};

/// Where a test that was started by itself is to write.
const UMASK_FOLDER: &str = "TRIBUNAL_TEST_UMASK_FOLDER";

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// More than any buffer on the way holds.
fn contents() -> Vec<u8> {
    (0..1_000_000u32).map(|i| (i / 7) as u8).collect()
}

#[test]
fn a_file_appears_whole_and_alone() {
    let folder = tempdir().unwrap();
    for name in ["file", "file.bin", "file.gz"] {
        let path = folder.path().join(name);
        write_atomically(&path, |sink| {
            assert!(!path.exists(), "it appears only once it is whole");
            sink.write_all(&contents())
        })
        .unwrap();
        let mut bytes = fs::read(&path).unwrap();
        if name.ends_with(".gz") {
            let compressed = std::mem::take(&mut bytes);
            GzDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).unwrap();
        }
        assert!(bytes == contents(), "{name}");
    }
    assert_eq!(names(&folder), ["file", "file.bin", "file.gz"]);
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_one_before_it() {
    let folder = tempdir().unwrap();
    for name in ["old.bin", "old.bin.gz"] {
        let path = folder.path().join(name);
        fs::write(&path, "as it was").unwrap();
        let error = write_atomically(&path, |sink| {
            sink.write_all(&contents())?;
            Err(io::Error::other("the power is gone"))
        })
        .unwrap_err();
        let message = error.to_string();
        assert!(message.contains(name) && message.contains("the power is gone"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"as it was");
    }
    assert_eq!(names(&folder), ["old.bin", "old.bin.gz"], "no temporary file is left");

    // Nor is anything left if there was nothing, or by a panic.
    let new = folder.path().join("new.bin");
    write_atomically(&new, |_| Err(io::Error::other("no"))).unwrap_err();
    let panicked = std::panic::catch_unwind(|| {
        write_atomically(&new, |_| std::panic::panic_any("a panic on purpose"))
    });
    assert!(panicked.is_err());
    assert_eq!(names(&folder), ["old.bin", "old.bin.gz"]);
}

#[test]
fn a_disk_that_is_full_is_an_error_also_when_only_the_last_bytes_do_not_fit() {
    let folder = tempdir().unwrap();
    for name in ["full", "full.gz"] {
        let full = folder.path().join(name);
        symlink("/dev/full", &full).unwrap();
        for bytes in [1, 1_000_000] {
            let error = write_atomically(&full, |sink| sink.write_all(&contents()[..bytes]));
            let Err(FileError::Write { error, .. }) = error else { panic!("{error:?}") };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{name}, {bytes} bytes");
        }
    }
    assert_eq!(names(&folder), ["full", "full.gz"]);
}

#[test]
fn a_device_stays_what_it_is() {
    let folder = tempdir().unwrap();
    let null = folder.path().join("null");
    symlink("/dev/null", &null).unwrap();
    write_atomically(&null, |sink| sink.write_all(&contents())).unwrap();
    assert!(fs::symlink_metadata(&null).unwrap().is_symlink());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn a_path_without_a_folder_or_with_a_bad_one_is_an_error() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for path in ["nowhere/file", "taken", "file/file", ""] {
        let path =
            if path.is_empty() { Path::new("").to_owned() } else { folder.path().join(path) };
        write_atomically(&path, |sink| sink.write_all(b"x")).unwrap_err();
    }
    assert_eq!(names(&folder), ["file", "taken"]);
    assert_eq!(fs::read_dir(folder.path().join("taken")).unwrap().count(), 0);
}

#[test]
fn a_file_may_be_used_by_whom_the_umask_says() {
    if let Some(folder) = std::env::var_os(UMASK_FOLDER) {
        let path = Path::new(&folder).join("state.bin");
        write_atomically(&path, |sink| sink.write_all(b"x")).unwrap();
        return;
    }
    for (umask, mode) in [("000", 0o755), ("022", 0o755), ("027", 0o750), ("077", 0o700)] {
        let folder = tempdir().unwrap();
        let this = std::env::current_exe().unwrap();
        let status = Command::new("sh")
            .args(["-c", "umask $0 && exec \"$@\"", umask])
            .arg(this)
            .args(["--exact", "a_file_may_be_used_by_whom_the_umask_says"])
            .env(UMASK_FOLDER, folder.path())
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        let metadata = fs::metadata(folder.path().join("state.bin")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "umask {umask}");
    }
}

#[test]
fn names_say_what_files_are() {
    for (name, gzip, state) in [
        ("a.bin", false, true),
        ("a.bin.gz", true, true),
        (".bin", false, true),
        ("a.json.gz", true, false),
        ("a.gz", true, false),
        ("a.bin.gz.tmp", false, false),
        ("a", false, false),
        ("", false, false),
    ] {
        assert_eq!(is_gzip(Path::new(name)), gzip, "{name}");
        assert_eq!(check_state_path(Path::new(name)).is_ok(), state, "{name}");
    }
}
