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
/// from, if it is still there, unless another place is named.
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
}

impl New {
    pub(crate) fn execute(&self) -> Result<()> {
        let name = self.name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let template = Template { guest: self.guest()?, name };
        let files = template.write(&self.name).map_err(of_new)?;
        let folder = self.name.display();
        let mut text = format!("made {folder}:\n");
        for file in files.iter().filter(|file| !file.ends_with("Cargo.lock")) {
            let file = file.strip_prefix(&self.name).unwrap_or(file);
            text.push_str(&format!("  {}\n", file.display()));
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
        match Path::new(CLONE).join("crates/guest").canonicalize() {
            Ok(path) => Ok(Guest::Path(path)),
            Err(_) => Err(Failure::input("the clone that this command was built from is gone")
                .hint("say where the kit is: --guest-path PATH/crates/guest, or --guest-git URL")),
        }
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
