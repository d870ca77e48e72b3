//! The nodes that a host fetches from: their flags, and what is said while they are asked.

use std::io::{Write as _, stderr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use tribunal_host::Event;
use tribunal_keccak::Hash;
use tribunal_rpc::{Client, Notice, Policy};

use crate::failure::{Failure, Result};
use crate::units::Count;

/// Time between two lines about what was fetched.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// kona-host's flags for nodes. Each may be a comma-separated list of nodes that serve the same.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArgs {
    /// Execution node of the L1 chain.
    #[arg(
        long,
        visible_alias = "l1",
        env,
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub(crate) l1_node_address: Vec<String>,

    /// Beacon node of the L1 chain.
    #[arg(
        long,
        visible_alias = "beacon",
        env,
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub(crate) l1_beacon_address: Vec<String>,

    /// Execution node of the L2 chain.
    #[arg(
        long,
        visible_alias = "l2",
        env,
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub(crate) l2_node_address: Vec<String>,
}

impl NodeArgs {
    /// The flags with their URLs.
    pub(crate) const fn all(&self) -> [(&'static str, &Vec<String>); 3] {
        [
            ("--l1-node-address", &self.l1_node_address),
            ("--l1-beacon-address", &self.l1_beacon_address),
            ("--l2-node-address", &self.l2_node_address),
        ]
    }

    /// Whether there are nodes: of every kind, or of none.
    pub(crate) fn are_named(&self) -> Result<bool> {
        let lacking = self.all().into_iter().filter(|(_, urls)| urls.is_empty());
        let lacking: Vec<&str> = lacking.map(|(flag, _)| flag).collect();
        match lacking.len() {
            0 => Ok(true),
            all if all == self.all().len() => Ok(false),
            _ => {
                let message = format!("there are nodes, but not all: {}", lacking.join(", "));
                Err(Failure::input(message)
                    .hint("give all three, or none to use only what is kept already"))
            }
        }
    }
}

/// A client of the nodes that a flag names.
pub(crate) fn client(flag: &str, urls: &[String], policy: Policy) -> Result<Client> {
    Client::new(urls, policy).map_err(|(place, error)| {
        let number = if urls.len() > 1 { format!(" {}", place + 1) } else { String::new() };
        // The URL may hold a key, so it is not shown.
        Failure::input(format!("URL{number} of {flag} {error}"))
            .hint("for instance http://127.0.0.1:8545")
    })
}

/// Reads 32 bytes of hexadecimal digits.
pub(crate) fn parse_hash(text: &str) -> std::result::Result<Hash, String> {
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text));
    let bytes = bytes.map_err(|error| format!("no hexadecimal digits: {error}"))?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| format!("a hash has 32 bytes, not {length}"))
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Talk {
    /// Nothing.
    Nothing = 0,
    /// What goes wrong, and now and then how far it is.
    Trouble = 1,
    /// Every question too.
    Everything = 2,
}

/// Says on standard error what is fetched, a line now and then.
#[derive(Debug)]
pub(crate) struct Reporter {
    talk: AtomicU8,
    answers: AtomicU64,
    failures: AtomicU64,
    last_line: Mutex<Instant>,
    bar: Mutex<Option<ProgressBar>>,
}

impl Reporter {
    pub(crate) fn new(talk: Talk) -> Arc<Self> {
        Arc::new(Self {
            talk: AtomicU8::new(talk as u8),
            answers: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_line: Mutex::new(Instant::now()),
            bar: Mutex::new(None),
        })
    }

    /// Writes around this bar from now on.
    pub(crate) fn step_around(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }

    fn say(&self, line: &str) {
        let write = || {
            // Nobody may be listening any more: the work goes on.
            let _ = stderr().write_all(format!("{line}\n").as_bytes());
        };
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn talks(&self, talk: Talk) -> bool {
        self.talk.load(Ordering::Relaxed) >= talk as u8
    }

    /// Takes what a client does.
    pub(crate) fn notice(&self, notice: &Notice<'_>) {
        match notice {
            Notice::Asking { place, asked } if self.talks(Talk::Everything) => {
                self.say(&format!("asking {place} for {asked}"));
            }
            Notice::Answered { asked, .. } => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                self.tell_now_and_then(asked);
            }
            Notice::Failed(trouble) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if self.talks(Talk::Everything) {
                    self.say(&format!("{}: {}", trouble.asked, trouble.in_full()));
                }
            }
            Notice::Waiting { time, trouble } if self.talks(Talk::Trouble) => {
                self.say(&format!("{}; trying again in {time:.1?}", trouble.in_full()));
            }
            _ => {}
        }
    }

    /// Takes what a router does.
    pub(crate) fn event(&self, event: &Event<'_>) {
        if self.talks(Talk::Trouble) {
            self.say(&event.to_string());
        }
    }

    fn tell_now_and_then(&self, asked: &str) {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if self.talks(Talk::Trouble) && last.elapsed() >= BETWEEN_LINES {
            *last = Instant::now();
            let answers = Count(self.answers.load(Ordering::Relaxed));
            let failures = Count(self.failures.load(Ordering::Relaxed));
            self.say(&format!(
                "{answers} answers fetched, {failures} questions failed; now {asked}"
            ));
        }
    }
}
