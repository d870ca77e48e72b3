//! The whole command line as its help tells it: `docs/command-line.md`, kept true.
//!
//! `UPDATE_REFERENCE=1 cargo test -p tribunal --test reference` writes it anew.

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::tribunal;

const OPENING: &str = "\
# The command line

What `tribunal COMMAND --help` says, of every command. This page is written by a test \
(`crates/cli/tests/reference.rs`), which fails where it is not what the binary says.
";

#[test]
fn the_reference_is_what_help_says() {
    let help = |arguments: &[&str]| {
        let output = tribunal().args(arguments).env("COLUMNS", "100").output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        // Lines that clap leaves blank may hold spaces.
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    };
    let overview = help(&["--help"]);
    let commands = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A description that needs a second line goes on further right.
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split(' ').next())
        .filter(|command| *command != "help");
    let mut reference = format!("{OPENING}\n```text\n{overview}\n```\n");
    // What has commands of its own is told with them.
    let commands = commands.flat_map(|command| match command {
        "host" => vec!["host", "host single"],
        command => vec![command],
    });
    for command in commands {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let text = help(&words);
        write!(reference, "\n## {command}\n\n```text\n{text}\n```\n").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command-line.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &reference).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == reference,
        "docs/command-line.md is not what help says: see tests/reference.rs"
    );
}
