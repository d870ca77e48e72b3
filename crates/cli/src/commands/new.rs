//! `new`: the beginning of a program.

use std::path::{Path, PathBuf};

use clap::Args;
use tribunal_build::{Guest, NewError, Template};

use crate::failure::{Failure, Result};
use crate::output::print;

/// Where this binary was built: the kit is there if the clone still is.
const CLONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Make a program that builds, runs and passes its tests as it is.
///
/// The program depends on the crate tribunal-guest: by path on the clone that this command was built
/// from, unless another place is named. If that is gone, or --with-kit is given, the crate's sources,
/// which this command carries, are put into the program's folder.
#[derive(Args, Debug)]
pub(crate) struct New {
    /// The name of the program, and of the folder that is made for it.
    #[arg(value_name = "NAME")]
    name: PathBuf,

    /// The folder crates/guest of a clone of Tribunal.
    #[arg(long, value_name = "PATH", conflicts_with = "guest_git")]
    guest_path: Option<PathBuf>,

    /// The repository of Tribunal.
    #[arg(long, value_name = "URL")]
    guest_git: Option<String>,

    /// A commit of it; the newest of the default branch unless one is named.
    #[arg(long, value_name = "COMMIT", requires = "guest_git")]
    guest_rev: Option<String>,

    /// Put the sources of the crate into the program's folder, so that it depends on no clone.
    #[arg(long, conflicts_with_all = ["guest_path", "guest_git"])]
    with_kit: bool,
}

impl New {
    pub(crate) fn execute(&self) -> Result<()> {
        let name = self.name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let template = Template { guest: self.guest()?, name };
        let files = template.write(&self.name).map_err(of_new)?;
        let folder = self.name.display();
        let mut text = format!("made {folder}:\n");
        for file in files.iter().filter(|file| !file.ends_with("Cargo.lock")) {
            let slash = if file.is_dir() { "/" } else { "" };
            let file = file.strip_prefix(&self.name).unwrap_or(file);
            text.push_str(&format!("  {}{slash}\n", file.display()));
        }
        print(&format!("{text}next: cd {folder} && tribunal test\n"))
    }

    fn guest(&self) -> Result<Guest> {
        if let Some(url) = &self.guest_git {
            return Ok(Guest::Git { url: url.clone(), rev: self.guest_rev.clone() });
        }
        if let Some(path) = &self.guest_path {
            let absolute = std::path::absolute(path);
            return absolute.map(Guest::Path).map_err(|error| Failure::reading(path, &error));
        }
        Ok(if self.with_kit { Guest::Carried } else { kit_of(Path::new(CLONE)) })
    }
}

/// The kit of this clone, if it is one to depend on.
fn kit_of(clone: &Path) -> Guest {
    match clone.join("crates/guest").canonicalize() {
        // Where cargo installs from is its own, and it may clear that away.
        Ok(path) if !path.to_string_lossy().contains("/git/checkouts/") => Guest::Path(path),
        _ => Guest::Carried,
    }
}

fn of_new(error: NewError) -> Failure {
    let message = error.to_string();
    match error {
        NewError::Io { .. } => Failure::environment(message),
        NewError::Exists { .. } => Failure::input(message).hint("name another folder"),
        _ => Failure::input(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_clone_of_ones_own_the_kit_is_carried() {
        assert!(matches!(kit_of(Path::new(CLONE)), Guest::Path(path) if path.ends_with("guest")));
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(kit_of(directory.path()), Guest::Carried);
        let checkout = directory.path().join("git/checkouts/tribunal-0/0123abc");
        std::fs::create_dir_all(checkout.join("crates/guest")).unwrap();
        assert_eq!(kit_of(&checkout), Guest::Carried);
    }
}
