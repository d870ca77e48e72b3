//! `cargo xtask testdata`: whether the copies in `testdata/` are the originals.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::root;

/// Where each folder of copies lies in a directory of originals.
const FOLDERS: [(&str, &str); 4] = [
    ("vectors", "vectors"),
    ("guests", "guests"),
    ("op-stack", "fixtures/op-stack"),
    ("chains", "fixtures/chains"),
];

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let originals = match options {
        [] => None,
        [originals] => Some(Path::new(originals)),
        _ => bail!("testdata takes one directory of originals, or nothing"),
    };
    let testdata = root().join("testdata");
    let list = fs::read_to_string(testdata.join("SHA256SUMS")).context("testdata/SHA256SUMS")?;
    let mut listed = Vec::new();
    for line in list.lines() {
        let (sum, name) = line.split_once("  ").context("SHA256SUMS: a line without two spaces")?;
        let copy = read(&testdata.join(name))?;
        let actual: String = Sha256::digest(&copy).iter().map(|b| format!("{b:02x}")).collect();
        ensure!(actual == sum, "testdata/{name} is not the original: its SHA-256 is {actual}");
        if let Some(originals) = originals {
            let original = original_of(originals, name)?;
            ensure!(read(&original)? == copy, "testdata/{name} differs from {original:?}");
        }
        listed.push(name.to_owned());
    }
    for (folder, _) in FOLDERS {
        for name in files_below(&testdata, &testdata.join(folder))? {
            ensure!(listed.contains(&name), "testdata/{name} is not in SHA256SUMS");
        }
    }
    match originals {
        None => println!("{} files are as SHA256SUMS lists them", listed.len()),
        Some(path) => println!("{} files are equal to those in {}", listed.len(), path.display()),
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn original_of(originals: &Path, name: &str) -> Result<PathBuf> {
    let (folder, rest) = name.split_once('/').context("SHA256SUMS: a file in no folder")?;
    let known = FOLDERS.iter().find(|(copy, _)| *copy == folder);
    let (_, original) = known.with_context(|| format!("SHA256SUMS: unknown folder {folder}"))?;
    Ok(originals.join(original).join(rest))
}

fn files_below(base: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {folder:?}"))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(base, &path)?);
        } else {
            files.push(path.strip_prefix(base)?.to_string_lossy().into_owned());
        }
    }
    Ok(files)
}
