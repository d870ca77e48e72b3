//! The last hints, kept for messages: when a preimage is missing, the hint before it says why.

use std::collections::VecDeque;
use std::fmt;

/// How many hints are kept.
pub(crate) const LAST: usize = 4;
/// How many bytes of a hint are kept.
const SHOWN: usize = 200;

/// A hint that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The hint, or as much of it as a message needs.
    pub text: String,
    /// Its full length in bytes.
    pub length: usize,
    /// Why its handler failed, if it did.
    pub failure: Option<String>,
}

impl Heard {
    pub(crate) fn new(hint: &[u8], failure: Option<String>) -> Self {
        let shown = String::from_utf8_lossy(&hint[..hint.len().min(SHOWN)]);
        // Hints come from the program: they must not move a terminal's cursor.
        let text = shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        Self { text, length: hint.len(), failure }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.length > SHOWN {
            write!(f, "… ({} bytes)", self.length)?;
        }
        match &self.failure {
            Some(failure) => write!(f, ", which failed: {failure}"),
            None => Ok(()),
        }
    }
}

/// The last hints, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<Heard>);

impl History {
    pub(crate) fn add(&mut self, heard: Heard) {
        if self.0.len() == LAST {
            self.0.pop_front();
        }
        self.0.push_back(heard);
    }

    /// What a message says about the hints that came before a failure.
    pub(crate) fn summary(&mut self) -> String {
        summary(self.0.make_contiguous())
    }
}

/// What a message says about the hints, oldest first, that came before a failure.
pub(crate) fn summary(hints: &[Heard]) -> String {
    let Some(last) = hints.last() else {
        return "no hint came before".into();
    };
    // If the last one went well, an earlier one that did not may be the reason.
    match hints.iter().rev().find(|heard| heard.failure.is_some()) {
        Some(failed) if last.failure.is_none() => {
            format!("last hint: {last}; before that: {failed}")
        }
        _ => format!("last hint: {last}"),
    }
}
