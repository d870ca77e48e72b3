//! The sources of the kit as this executable carries them: the crate tribunal-guest and those of this
//! project that it is made of.
//!
//! Knows their files; `build.rs` collects them. Does not know what is in them, or who wants them.

use std::fs;
use std::io;
use std::path::Path;

/// The folder of a program that they are put into.
pub(crate) const FOLDER: &str = "kit";

/// The crate that programs depend on, in that folder.
pub(crate) const GUEST: &str = "crates/guest";

/// Names from the root of the repository, and texts.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kit.rs"));

/// What the crates take from their workspace: versions and lints.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");

/// Writes them into `folder`, a workspace of its own.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    for (name, text) in FILES.iter().copied().chain([("Cargo.toml", workspace().as_str())]) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// The manifest of the workspace, with these crates alone in it.
fn workspace() -> String {
    let mut text = String::new();
    for line in WORKSPACE.lines() {
        match line.split(' ').next() {
            Some("members") => text.push_str("members = [\"crates/*\"]\n"),
            Some("exclude" | "default-members") => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_and_true() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (name, text) in FILES {
            assert!(fs::read_to_string(root.join(name)).unwrap() == *text, "{name} is older here");
        }
        for name in ["LICENSE-MIT", "crates/guest/Cargo.toml", "crates/guest/src/sys/mips64.rs"] {
            assert!(FILES.iter().any(|(file, _)| *file == name), "{name}");
        }
        // Whatever one of them depends on is there too.
        for (name, text) in FILES.iter().filter(|(name, _)| name.ends_with("Cargo.toml")) {
            let shipped = text.split("[dev-dependencies]").next().unwrap_or_default();
            for line in shipped.lines().filter_map(|line| line.strip_prefix("tribunal-")) {
                let needed = line.split([' ', '.', '=']).next().unwrap_or_default();
                let manifest = format!("crates/{needed}/Cargo.toml");
                assert!(FILES.iter().any(|(file, _)| *file == manifest), "{name}: {needed}");
            }
        }
    }

    #[test]
    fn its_workspace_has_nothing_else_in_it() {
        let text = workspace();
        assert!(text.starts_with("[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n"));
        assert!(text.contains("[workspace.package]\n") && text.contains("[workspace.lints"));
        assert!(!text.contains("\"xtask\"") && !text.contains("default-members"));
    }
}
