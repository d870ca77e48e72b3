//! What a child prints, passed on line by line while it runs.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::LineSink;

/// Longer lines are passed on in pieces of this many bytes.
const LONGEST_LINE: usize = 64 * 1024;
/// How many of the last lines are kept for messages.
const KEPT_LINES: usize = 10;
/// How many characters of each.
const KEPT_CHARS: usize = 300;

/// One output stream of a child, read by a thread of its own.
pub(crate) struct Output {
    last: Arc<Mutex<VecDeque<String>>>,
    /// Never gets anything: it closes when the thread is done.
    done: Receiver<()>,
}

impl Output {
    /// Passes every line of `source` to `sink`.
    pub(crate) fn collect(source: Option<impl Read + Send + 'static>, mut sink: LineSink) -> Self {
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let (running, done) = mpsc::channel();
        if let Some(source) = source {
            let last = Arc::clone(&last);
            thread::spawn(move || {
                let _running = running;
                each_line(source, |line| {
                    keep(&last, line);
                    sink(line);
                });
            });
        }
        Self { last, done }
    }

    /// Waits until all has been passed on, at most for `limit`.
    pub(crate) fn finish(&self, limit: Duration) {
        // Either way there is nothing more to do: it is done, or it goes on by itself.
        let _ = self.done.recv_timeout(limit);
    }

    /// The last lines so far.
    pub(crate) fn last_lines(&self) -> VecDeque<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("last", &self.last).finish_non_exhaustive()
    }
}

fn keep(last: &Mutex<VecDeque<String>>, line: &str) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() == KEPT_LINES {
        last.pop_front();
    }
    last.push_back(line.chars().take(KEPT_CHARS).collect());
}

/// Calls `take` with each line of `source` until it ends or fails.
fn each_line(source: impl Read, mut take: impl FnMut(&str)) {
    let mut source = BufReader::with_capacity(LONGEST_LINE, source);
    let mut line = Vec::new();
    let mut in_pieces = false;
    loop {
        line.clear();
        let mut piece = source.by_ref().take(LONGEST_LINE as u64);
        match piece.read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            // Nothing more will come, as at the end.
            Err(_) if line.is_empty() => return,
            Err(_) => {}
        }
        let whole = line.last() == Some(&b'\n');
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !(in_pieces && text.is_empty()) {
            take(&String::from_utf8_lossy(text));
        }
        in_pieces = !whole;
    }
}
