//! The book is true: every command of its pages is run, in their order, and prints what the page shows;
//! every link leads somewhere.
//!
//! What is run are blocks that are fenced as `console`: what stands behind `$ ` is typed, what follows
//! it, if anything does, is what comes. `…` stands for anything: within a line, or for any number of
//! lines where it is alone on one. How long things took is not compared. A command must end well,
//! unless the next one is `echo $?`. A block that is fenced with `file=PATH` is a file that the reader
//! writes. A page is one session, in a folder where `guests` and `testdata` are those of the clone.
//!
//! `UPDATE_BOOK=1 cargo test -p tribunal --test book` writes what really comes into the pages.
//!
//! `BOOK_PAGE=tutorial` follows that page alone.
//!
//! Programs are built here, so the component rust-src has to be installed, as `rust-toolchain.toml`
//! asks for: `rustup component add rust-src`.

mod common;

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a reader types and this test does not: it builds what this test was given, in another profile.
const ELSEWHERE: [&str; 2] = ["cargo run --release -- demo", "cargo build --release"];

/// What the pages say about where the binary is; here it is in the path already.
const PATH: &str = "export PATH=$PWD/target/release:$PATH";

/// Between the outputs of two commands.
const END: char = '\u{1e}';

/// A thing that a page has its reader do.
enum Deed {
    /// Type a command. The lines of what comes begin and end there in the page.
    Type { command: String, shown: std::ops::Range<usize> },
    /// Write a file.
    Write { path: String, text: String },
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The pages that the summary lists.
fn pages() -> Vec<PathBuf> {
    let docs = root().join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let links = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.map(|link| docs.join(link)).collect()
}

fn deeds(lines: &[&str]) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(fence) = lines[at].strip_prefix("```").filter(|fence| !fence.is_empty()) else {
            at += 1;
            continue;
        };
        let end = at + 1 + lines[at + 1..].iter().position(|line| *line == "```").unwrap();
        let block = at + 1..end;
        if fence == "console" {
            let typed: Vec<usize> =
                block.clone().filter(|&line| lines[line].starts_with("$ ")).collect();
            assert_eq!(typed.first(), Some(&block.start), "line {}: no command", block.start + 1);
            for (i, &line) in typed.iter().enumerate() {
                let next = typed.get(i + 1).copied().unwrap_or(end);
                let command = lines[line][2..].to_owned();
                deeds.push(Deed::Type { command, shown: line + 1..next });
            }
        } else if let Some((_, path)) = fence.split_once("file=") {
            let text = lines[block].join("\n") + "\n";
            deeds.push(Deed::Write { path: path.to_owned(), text });
        }
        at = end + 1;
    }
    deeds
}

/// Whether a line is what the page shows, where `…` is anything.
fn fits(shown: &str, came: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = came.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
        last = Some(piece);
    }
    // Nothing may follow but what an ellipsis at the end stands for.
    last == Some("") || rest.is_empty()
}

fn all_fit(shown: &[&str], came: &[&str]) -> bool {
    match shown {
        [] => came.is_empty(),
        ["…", rest @ ..] => (0..=came.len()).any(|skipped| all_fit(rest, &came[skipped..])),
        [first, rest @ ..] => {
            came.first().is_some_and(|line| fits(first, line)) && all_fit(rest, &came[1..])
        }
    }
}

/// How fast it was is another story on another machine.
fn without_times(line: &str) -> &str {
    let line = line.trim_end();
    match line.rsplit_once(" in ") {
        Some((steps, speed)) if speed.ends_with("steps/s") => steps,
        _ => line,
    }
}

/// A shell in which a page is followed.
struct Session {
    directory: tempfile::TempDir,
    script: String,
    commands: Vec<String>,
}

impl Session {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["guests", "testdata"] {
            symlink(root().join(name), directory.path().join(name)).unwrap();
        }
        common::share_builds(directory.path());
        Self { directory, script: String::new(), commands: Vec::new() }
    }

    fn write(&mut self, path: &str, text: &str) {
        // Within the session, because folders are made by it.
        let end = "THE_END_OF_THE_FILE";
        assert!(!text.contains(end));
        self.script.push_str(&format!("cat > '{path}' <<'{end}'\n{text}{end}\n"));
    }

    fn run(&mut self, command: &str) {
        let quoted = command.replace('\'', "'\\''");
        self.script.push_str(&format!(
            "(exit ${{last:-0}}); eval '{quoted}' 2>&1; last=$?; printf '\\036%s\\036' $last\n"
        ));
        self.commands.push(command.to_owned());
    }

    /// What came of each command: its exit status and what it printed.
    fn end(self) -> Vec<(String, u8, String)> {
        let binary = Path::new(env!("CARGO_BIN_EXE_tribunal"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", binary.parent().unwrap().display());
        let mut shell = Command::new("bash")
            .current_dir(self.directory.path())
            .env("PATH", path)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        let script = self.script.clone();
        let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()).unwrap());
        let output = shell.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let pieces: Vec<&str> = text.split(END).collect();
        assert_eq!(pieces.len(), 2 * self.commands.len() + 1, "{text}");
        let ends =
            pieces.chunks_exact(2).map(|pair| (pair[1].parse().unwrap(), pair[0].to_owned()));
        self.commands.into_iter().zip(ends).map(|(c, (status, text))| (c, status, text)).collect()
    }
}

/// Follows a page. Returns what is not as it says, and the page as it should be.
fn follow(page: &Path) -> (Vec<String>, String) {
    let text = std::fs::read_to_string(page).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut session = Session::new();
    let mut places = Vec::new();
    for deed in deeds(&lines) {
        match deed {
            Deed::Write { path, text } => session.write(&path, &text),
            Deed::Type { command, .. } if command == PATH => {}
            Deed::Type { command, shown } if ELSEWHERE.contains(&command.as_str()) => {
                assert!(shown.is_empty(), "nobody compares what {command} prints");
            }
            Deed::Type { command, shown } => {
                session.run(&command);
                places.push(shown);
            }
        }
    }
    let mut complaints = Vec::new();
    let mut page_now: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let ends = if places.is_empty() { Vec::new() } else { session.end() };
    for (i, (command, status, output)) in ends.iter().enumerate().rev() {
        let asks = ends.get(i + 1).is_some_and(|(next, ..)| next == "echo $?");
        if *status != 0 && !asks {
            complaints.push(format!("{}: {command}: status {status}\n{output}", page.display()));
        }
        let shown: Vec<&str> =
            lines[places[i].clone()].iter().map(|line| without_times(line)).collect();
        let shown: Vec<&str> = match shown.iter().rposition(|line| !line.is_empty()) {
            Some(last) => shown[..=last].to_vec(),
            None => continue,
        };
        let came: Vec<&str> = output.trim_end().lines().map(without_times).collect();
        if !all_fit(&shown, &came) {
            let name = page.display();
            complaints.push(format!("{name}: {command} prints\n{output}and not\n{shown:#?}"));
            let now = output.trim_end().lines().map(|line| line.trim_end().to_owned());
            let blank = lines[places[i].clone()].last().is_some_and(|line| line.is_empty());
            page_now.splice(places[i].clone(), now.chain(blank.then(String::new)));
        }
    }
    (complaints, page_now.join("\n") + "\n")
}

#[test]
fn what_the_book_shows_is_what_comes() {
    let mut complaints = Vec::new();
    let only = std::env::var("BOOK_PAGE").ok();
    let wanted =
        |page: &PathBuf| only.as_ref().is_none_or(|name| page.ends_with(format!("{name}.md")));
    for page in pages().into_iter().filter(wanted) {
        let (found, now) = follow(&page);
        if !found.is_empty() && std::env::var_os("UPDATE_BOOK").is_some() {
            std::fs::write(&page, now).unwrap();
        }
        complaints.extend(found);
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let docs = root().join("docs");
    let mut listed = pages();
    listed.sort();
    let mut there: Vec<PathBuf> = std::fs::read_dir(&docs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md") && !path.ends_with("SUMMARY.md"))
        .collect();
    there.sort();
    assert_eq!(listed, there);
    for page in listed {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !link.starts_with("http") && !file.is_empty() {
                assert!(docs.join(file).exists(), "{} links to {link}", page.display());
            }
        }
    }
}

#[test]
fn an_ellipsis_is_anything_and_nothing_else_is() {
    for (shown, came) in [("a", "a"), ("a…", "abc"), ("a…c", "abc"), ("…", ""), ("a…b…", "axbx")]
    {
        assert!(fits(shown, came), "{shown} {came}");
    }
    for (shown, came) in [("a", "ab"), ("a…c", "abd"), ("…c", "cd"), ("b…", "ab"), ("", "a")]
    {
        assert!(!fits(shown, came), "{shown} {came}");
    }
    assert!(all_fit(&["a", "…", "d"], &["a", "b", "c", "d"]));
    assert!(all_fit(&["…"], &[]));
    assert!(!all_fit(&["a", "…", "d"], &["a", "b"]));
    assert!(!all_fit(&["a"], &["a", "b"]));
}
