//! The beginning of a program: a template that builds, runs and passes its tests as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::compile::Workspace;
use crate::kit;

/// What a new program is made of. `{{name}}` is its name, `{{crate}}` that of its library, `{{guest}}`
/// where the kit is, and `{{workspace}}` what is of the workspace.
const FILES: [(&str, &str); 9] = [
    (".gitignore", include_str!("../template/gitignore")),
    ("Cargo.toml", include_str!("../template/Cargo.toml.in")),
    ("README.md", include_str!("../template/README.md")),
    ("inputs/holds.json", include_str!("../template/inputs/holds.json")),
    ("inputs/wrong.json", include_str!("../template/inputs/wrong.json")),
    ("rust-toolchain.toml", include_str!("../../../rust-toolchain.toml")),
    ("src/lib.rs", include_str!("../template/src/lib.rs")),
    ("src/main.rs", include_str!("../template/src/main.rs")),
    ("tests/program.rs", include_str!("../template/tests/program.rs")),
];

/// The versions that this project is tested with: a program begins with the same.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// Names that a crate of a program would fall over.
const RESERVED: [&str; 12] = [
    "alloc",
    "bench",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "proc_macro",
    "std",
    "test",
    "tests",
    "tribunal_guest",
];

/// The kit, as a new program depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guest {
    /// In the program's own folder, from the sources that this executable carries.
    Carried,
    /// The folder `crates/guest` of a clone.
    Path(PathBuf),
    /// A repository.
    Git {
        /// Where it is.
        url: String,
        /// A commit of it, the newest of the default branch if none is named.
        rev: Option<String>,
    },
}

/// A new program.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// The kit.
    pub guest: Guest,
}

/// Why a program cannot have a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the name of a program: {why}")]
pub struct NameError {
    name: String,
    why: &'static str,
}

/// Why no program was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewError {
    /// There is something already.
    #[error("{} is there already", .path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The name is none for a program.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The kit is not where it was said to be.
    #[error("{} is not the crate tribunal-guest", .path.display())]
    NoGuest {
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// Whether a program may have this name.
///
/// # Errors
/// Why not.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let refuse = |why| Err(NameError { name: name.to_owned(), why });
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    match name.chars().next() {
        None => return refuse("it is empty"),
        Some(first) if !first.is_ascii_lowercase() => {
            return refuse("it begins with a letter from a to z");
        }
        Some(_) => {}
    }
    if !name.chars().all(is_word) {
        return refuse("it has letters from a to z, digits, - and _ only");
    }
    if name.len() > 64 {
        return refuse("it is longer than 64 letters");
    }
    if RESERVED.contains(&name.replace('-', "_").as_str()) {
        return refuse("Rust has something else of that name");
    }
    Ok(())
}

impl Template {
    /// Writes the program into `directory`, which must not be there yet, and returns the files, and
    /// the folder of the kit if that was written too.
    ///
    /// # Errors
    /// If it is there, or cannot be written; then nothing is left behind.
    pub fn write(&self, directory: &Path) -> Result<Vec<PathBuf>, NewError> {
        check_name(&self.name)?;
        if directory.symlink_metadata().is_ok() {
            return Err(NewError::Exists { path: directory.to_owned() });
        }
        if let Guest::Path(path) = &self.guest
            && !is_guest(path)
        {
            return Err(NewError::NoGuest { path: path.clone() });
        }
        let parent = match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Made beside its place and moved there whole.
        let unfinished = parent.join(format!(".{}.{}", self.name, std::process::id()));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| NewError::Io { path, source }
        };
        let written = self.write_files(&unfinished, directory).and_then(|files| {
            fs::rename(&unfinished, directory).map_err(io(directory))?;
            Ok(files)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        let mut files = written?;
        if self.guest == Guest::Carried {
            files.push(directory.join(kit::FOLDER));
        }
        // Cargo leaves in the lock what the program needs. If it cannot now, it will when it builds.
        let _ = Workspace::settle(directory);
        files.push(directory.join("Cargo.lock"));
        Ok(files)
    }

    fn write_files(&self, to: &Path, directory: &Path) -> Result<Vec<PathBuf>, NewError> {
        let guest = self.guest.dependency(directory);
        let mut files = Vec::new();
        if self.guest == Guest::Carried {
            let kit = to.join(kit::FOLDER);
            kit::write(&kit).map_err(|source| NewError::Io { path: kit, source })?;
        }
        for (name, text) in FILES.into_iter().chain([("Cargo.lock", LOCK)]) {
            let text = match name {
                "Cargo.lock" | "rust-toolchain.toml" => text.to_owned(),
                _ => text
                    .replace("{{name}}", &self.name)
                    .replace("{{crate}}", &self.name.replace('-', "_"))
                    .replace("{{guest}}", &guest)
                    .replace("{{workspace}}", self.guest.workspace()),
            };
            let path = to.join(name);
            let io = |source| NewError::Io { path: path.clone(), source };
            fs::create_dir_all(path.parent().unwrap_or(to)).map_err(io)?;
            fs::write(&path, text).map_err(io)?;
            if name != "Cargo.lock" {
                files.push(directory.join(name));
            }
        }
        Ok(files)
    }
}

impl Guest {
    /// What the manifest says of its workspace: the kit is in one of its own.
    const fn workspace(&self) -> &'static str {
        match self {
            Self::Carried => "[workspace]\nexclude = ['kit']",
            Self::Git { .. } | Self::Path(_) => "[workspace]",
        }
    }

    /// The line of the manifest.
    fn dependency(&self, directory: &Path) -> String {
        let quoted = |text: &str| format!("'{text}'");
        match self {
            Self::Carried => {
                let path = format!("{}/{}", kit::FOLDER, kit::GUEST);
                format!("tribunal-guest = {{ path = {} }}", quoted(&path))
            }
            Self::Git { url, rev: None } => format!("tribunal-guest = {{ git = {} }}", quoted(url)),
            Self::Git { url, rev: Some(rev) } => {
                format!("tribunal-guest = {{ git = {}, rev = {} }}", quoted(url), quoted(rev))
            }
            Self::Path(path) => {
                let path = beside(path, directory).unwrap_or_else(|| path.clone());
                format!("tribunal-guest = {{ path = {} }}", quoted(&path.to_string_lossy()))
            }
        }
    }
}

/// The way from `directory` to `path` if it is short: through the folder that `directory` is in, or
/// the one above.
fn beside(path: &Path, directory: &Path) -> Option<PathBuf> {
    let directory = std::path::absolute(directory).ok()?;
    let path = std::path::absolute(path).ok()?;
    let mut up = PathBuf::from("..");
    for above in directory.ancestors().skip(1).take(2) {
        // Through the root of the file system, no way is short.
        above.parent()?;
        if let Ok(down) = path.strip_prefix(above) {
            return Some(up.join(down));
        }
        up.push("..");
    }
    None
}

fn is_guest(path: &Path) -> bool {
    let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
    manifest.contains("name = \"tribunal-guest\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates() {
        for name in ["a", "words", "balance-at-least", "x_1"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(65);
        for name in ["", "1a", "-a", "Words", "a b", "../a", "ä", "core", "tribunal-guest", &long]
        {
            let error = check_name(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name:?} cannot be")), "{error}");
        }
    }

    #[test]
    fn what_is_near_is_named_from_here() {
        let way = |path: &str, to: &str| beside(Path::new(path), Path::new(to));
        assert_eq!(way("/h/t/crates/guest", "/h/p"), Some("../t/crates/guest".into()));
        assert_eq!(way("/h/t/crates/guest", "/h/x/p"), Some("../../t/crates/guest".into()));
        assert_eq!(way("/h/t/crates/guest", "/h/t/p"), Some("../crates/guest".into()));
        assert_eq!(way("/h/t/crates/guest", "/tmp/x/p"), None);
        assert_eq!(way("/h/t/crates/guest", "/p"), None);
    }

    #[test]
    fn the_kit_can_be_carried_along() {
        let directory = tempfile::tempdir().unwrap();
        let words = directory.path().join("words");
        let template = Template { name: "words".into(), guest: Guest::Carried };
        let files = template.write(&words).unwrap();
        assert!(files.contains(&words.join("kit")), "{files:?}");
        assert!(is_guest(&words.join("kit/crates/guest")));
        let manifest = fs::read_to_string(words.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("tribunal-guest = { path = 'kit/crates/guest' }\n"),
            "{manifest}"
        );
        assert!(manifest.ends_with("[workspace]\nexclude = ['kit']\n"), "{manifest}");
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("words");
        fs::create_dir(&path).unwrap();
        let guest = Guest::Git { url: "https://example.org/t".into(), rev: None };
        let template = Template { name: "words".into(), guest };
        assert!(matches!(template.write(&path), Err(NewError::Exists { .. })));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        let nowhere = Guest::Path(directory.path().join("nothing"));
        let template = Template { guest: nowhere, ..template };
        let error = template.write(&directory.path().join("other")).unwrap_err();
        assert!(matches!(error, NewError::NoGuest { .. }), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
