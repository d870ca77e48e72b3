//! Collects the sources of the kit, so that a program can be given them where there is no clone to
//! depend on: the crate tribunal-guest, and those of this project that it is made of.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What programs depend on.
const KIT: &str = "guest";

/// What goes with every copy of it.
const LICENSES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = here.join("../..").canonicalize()?;
    let mut files: Vec<PathBuf> = LICENSES.iter().map(|name| root.join(name)).collect();
    let mut crates = BTreeSet::new();
    let mut wanted = vec![KIT.to_owned()];
    while let Some(name) = wanted.pop() {
        if !crates.insert(name.clone()) {
            continue;
        }
        let folder = root.join("crates").join(&name);
        let manifest = folder.join("Cargo.toml");
        wanted.extend(dependencies(&fs::read_to_string(&manifest)?));
        files.push(manifest);
        collect(&folder.join("src"), &mut files)?;
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    files.sort();
    let mut table = "&[\n".to_owned();
    for file in files {
        let name = file.strip_prefix(&root).unwrap_or(&file);
        let _ = writeln!(table, "({:?}, include_str!({:?})),", name, file);
    }
    table.push(']');
    println!("cargo::rerun-if-changed=build.rs");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("kit.rs"), table)
}

/// The crates of this project that a manifest needs, tests aside.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.strip_prefix("tribunal-"));
    names.filter_map(|name| name.split([' ', '=', '.']).next()).map(str::to_owned).collect()
}

/// All files in and below `folder`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
