//! The README's tour: every command in it, word for word, prints what the README says it prints.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A command of the tour, and what the tour says that it prints; nothing if it does not say.
struct Shown {
    command: String,
    output: Vec<String>,
}

/// The indented blocks that begin with a prompt: what is typed, and what follows.
fn tour(readme: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut in_block = false;
    for line in readme.lines() {
        match line.strip_prefix("    ") {
            Some(typed) if typed.starts_with("$ ") => {
                shown.push(Shown { command: typed[2..].to_owned(), output: Vec::new() });
                in_block = true;
            }
            Some(text) if in_block => shown.last_mut().unwrap().output.push(text.to_owned()),
            None if line.is_empty() && in_block => {
                shown.last_mut().unwrap().output.push(String::new());
            }
            _ => in_block = false,
        }
    }
    for Shown { output, .. } in &mut shown {
        while output.last().is_some_and(String::is_empty) {
            output.pop();
        }
    }
    shown
}

/// How fast it was is another story on another machine.
fn without_times(line: &str) -> String {
    match line.split_once(" in 0.") {
        Some((steps, _)) if line.ends_with("steps/s") => steps.to_owned(),
        _ => line.trim_end().to_owned(),
    }
}

#[test]
fn the_tour_of_the_readme_prints_what_it_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_tribunal"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let directory = tempfile::tempdir().unwrap();
    for folder in ["guests", "testdata"] {
        symlink(root.join(folder), directory.path().join(folder)).unwrap();
    }

    let shown = tour(&std::fs::read_to_string(root.join("README.md")).unwrap());
    assert!(shown.iter().filter(|shown| !shown.output.is_empty()).count() >= 4, "a tour");
    for Shown { command, output } in shown {
        let done = Command::new("sh")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(directory.path())
            .env("PATH", &path)
            .output()
            .unwrap();
        let printed = String::from_utf8(done.stdout).unwrap();
        if !output.is_empty() {
            let printed: Vec<_> = printed.trim_end().lines().map(without_times).collect();
            let expected: Vec<_> = output.iter().map(|line| without_times(line)).collect();
            assert_eq!(printed, expected, "{command}");
        }
    }
}
