//! What went wrong with a question, in words that name the place and never a secret.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

/// The most characters that are shown of what a node says.
const SHOWN: usize = 200;

/// Why a question has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Trouble {
    /// Scheme, host and port of who was asked.
    pub place: String,
    /// The method or the path.
    pub asked: String,
    /// What happened.
    pub what: Box<What>,
}

/// What happened to a question.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum What {
    /// Whoever asked does not want to know any more, or has no time left.
    #[error("the question was given up before it was answered")]
    Cancelled,
    /// There is no such host.
    #[error("cannot find {place}: no such host")]
    HostNotFound {
        /// Where.
        place: String,
    },
    /// The node does not have this method.
    #[error("{place} has no {method}")]
    Lacks {
        /// Where.
        place: String,
        /// Which.
        method: String,
    },
    /// The answer is no JSON-RPC, or to another question.
    #[error("{place} is no node of a chain: {why}")]
    Malformed {
        /// Where.
        place: String,
        /// What is wrong.
        why: &'static str,
        /// What it said.
        text: String,
    },
    /// The node answered with an error.
    #[error("{place} answers with error{}", code.map_or_else(String::new, |code| format!(" {code}")))]
    Refused {
        /// Where.
        place: String,
        /// Its number.
        code: Option<i64>,
        /// Its words.
        message: String,
        /// What it adds.
        data: Value,
    },
    /// The answer is not what was asked for.
    #[error("{place} does not answer {asked} with what was asked for: {why}")]
    Rejected {
        /// Where.
        place: String,
        /// What was asked.
        asked: String,
        /// What is wrong with it.
        why: String,
    },
    /// The answer is an HTTP status other than 200, without a JSON-RPC error.
    #[error("{place} answers with HTTP status {status}")]
    Status {
        /// Where.
        place: String,
        /// The code and its words.
        status: String,
        /// The code.
        code: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
        /// What it said.
        text: String,
    },
    /// It took too long.
    #[error("{place} does not answer within {} s", seconds(.after))]
    Timeout {
        /// Where.
        place: String,
        /// How long it had.
        after: Duration,
    },
    /// The request or the answer broke.
    #[error("cannot ask {place}: {why}")]
    Transport {
        /// Where.
        place: String,
        /// What the library says.
        why: String,
    },
    /// The time was over before all of several questions were answered.
    #[error("{place} had answered {answered} of {questions} questions when the time was over")]
    Unfinished {
        /// Where.
        place: String,
        /// How many were answered.
        answered: usize,
        /// Of how many.
        questions: usize,
    },
    /// The operating system says no.
    #[error("cannot reach {place}: {why}")]
    Unreachable {
        /// Where.
        place: String,
        /// What it says.
        why: String,
    },
}

impl Trouble {
    /// What the node itself said, if it said anything: a line to add.
    pub fn words(&self) -> Option<String> {
        match &*self.what {
            What::Malformed { text, .. } => Some(excerpt(text)),
            What::Status { text, .. } => Some(excerpt(&message_of(text))),
            What::Refused { message, .. } => Some(excerpt(message)),
            _ => None,
        }
    }

    /// The trouble and the node's own words, in one line.
    pub fn in_full(&self) -> String {
        match self.words() {
            Some(words) => format!("{self}; {words}"),
            None => self.to_string(),
        }
    }

    /// Whether the same question may go better in a moment: the node is busy, broken or away, and has
    /// not answered the question.
    pub fn is_passing(&self) -> bool {
        match &*self.what {
            What::Status { code, .. } => *code == 408 || *code == 429 || *code >= 500,
            What::Refused { code, message, .. } => is_rate_limit(*code, message),
            What::HostNotFound { .. }
            | What::Malformed { .. }
            | What::Timeout { .. }
            | What::Transport { .. }
            | What::Unreachable { .. } => true,
            What::Cancelled
            | What::Lacks { .. }
            | What::Rejected { .. }
            | What::Unfinished { .. } => false,
        }
    }

    /// Whether no node was there to answer at all.
    pub fn is_silence(&self) -> bool {
        matches!(
            *self.what,
            What::HostNotFound { .. }
                | What::Timeout { .. }
                | What::Transport { .. }
                | What::Unreachable { .. }
        )
    }

    /// Whether the node turns away whoever asks, or is no node: it would again.
    pub fn is_barred(&self) -> bool {
        match *self.what {
            What::Status { code, .. } => match code {
                401 | 403 | 407 => true,
                // Of what is at a path, a node may not have this one.
                300..=399 | 404 | 405 | 410 => !self.asked.starts_with('/'),
                _ => false,
            },
            _ => false,
        }
    }

    /// What a person can do about it, where that does not depend on the question.
    pub fn advice(&self) -> Option<&'static str> {
        const RATE: &str = "it is asked more often than it allows: give it time, or name another";
        Some(match &*self.what {
            What::Cancelled | What::Unfinished { .. } => {
                "allow more time, or name a node that answers faster"
            }
            What::HostNotFound { .. } | What::Transport { .. } | What::Unreachable { .. } => {
                "is the node running, and the URL right?"
            }
            What::Malformed { .. } => "is it the URL of a JSON-RPC node?",
            What::Timeout { .. } => "is the node overloaded? wait until it is not, or name another",
            What::Refused { code, message, .. } if is_rate_limit(*code, message) => RATE,
            What::Status { code: 401 | 403 | 407, .. } => {
                "the node does not let us in: is the key in the URL right, and may it ask for that?"
            }
            What::Status { .. } if self.is_barred() => {
                "no node answers there: is the path of the URL right?"
            }
            What::Status { code: 429, .. } => RATE,
            What::Status { code: 408 | 500.., .. } => {
                "the node is in trouble: look at its log, or name another"
            }
            What::Lacks { .. }
            | What::Refused { .. }
            | What::Rejected { .. }
            | What::Status { .. } => return None,
        })
    }

    /// Whether the node does not have the method.
    pub fn is_lack(&self) -> bool {
        matches!(*self.what, What::Lacks { .. })
    }

    /// How long the node wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.what {
            What::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Whether an error says that there were too many questions.
fn is_rate_limit(code: Option<i64>, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let words = ["rate limit", "too many requests", "request limit", "capacity", "throttl"];
    matches!(code, Some(-32005 | 429)) || words.iter().any(|word| message.contains(word))
}

/// Whether an error says that the node does not have the method. Nodes word it in many ways.
pub(crate) fn is_lack(method: &str, code: Option<i64>, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let about_methods = message.contains("method");
    let about_it = about_methods || message.contains(&method.to_ascii_lowercase());
    code == Some(-32601)
        || about_it
            && says(&["does not exist", "not available", "not supported", "unsupported", "disabled"])
        // A block may be unknown or not be found, too.
        || about_methods && says(&["not found", "unknown", "not allowed", "not whitelisted"])
}

/// What an error of JSON-RPC says, whatever status came with it; otherwise all of it.
fn message_of(text: &str) -> Cow<'_, str> {
    let body = serde_json::from_str::<Value>(text).ok();
    match body.as_ref().and_then(|body| body["error"]["message"].as_str()) {
        Some(message) => Cow::Owned(message.to_owned()),
        None => Cow::Borrowed(text),
    }
}

fn excerpt(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("it says: {}…", &clean[..end]),
        None if clean.trim().is_empty() => "it says nothing".to_owned(),
        None => format!("it says: {}", clean.trim()),
    }
}

/// Whole seconds, or tenths where there are few.
fn seconds(time: &Duration) -> String {
    match time.subsec_millis() {
        0 => time.as_secs().to_string(),
        _ => format!("{:.1}", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_lacks_is_told_from_a_question_that_fails() {
        for (code, message) in [
            (-32601, "the method debug_dbGet does not exist/is not available"),
            (-32600, "debug_dbGet is not available on the Free tier"),
            (-32000, "Method not found"),
            (-32004, "unsupported method: debug_dbGet"),
        ] {
            assert!(is_lack("debug_dbGet", Some(code), message), "{message}");
        }
        for (code, message) in [
            (-32000, "header not found"),
            (-32000, "missing trie node 01 (path ) state 0x02 is not available"),
            (-32000, "leveldb: not found"),
            (-32000, "debug_dbGet: unknown block"),
        ] {
            assert!(!is_lack("debug_dbGet", Some(code), message), "{message}");
        }
    }

    #[test]
    fn what_a_node_says_is_shown_in_part_and_without_control_characters() {
        assert_eq!(excerpt(" a\u{1b}[2Jb\n"), "it says: a [2Jb");
        assert_eq!(excerpt("\n"), "it says nothing");
        assert_eq!(excerpt(&"x".repeat(500)), format!("it says: {}…", "x".repeat(SHOWN)));
    }
}
