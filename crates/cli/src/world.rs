//! The world around a machine: who answers it, and who listens to the program.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use tribunal_host::child::{EndedBy, LineSink, Options, ShutdownWaits};
use tribunal_host::{ChildHost, LocalHost, PreimageStore, Recorder};
use tribunal_machine::{Host, Stream};
use tribunal_preimage::{Key, Oracle, OracleError};

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::stores;

/// Who answers the program.
#[derive(Args, Clone, Debug)]
pub(crate) struct HostArgs {
    /// Answer the program from these preimages, and from nothing else, as on chain: a directory that a
    /// host or convert wrote, a recording, or a .json(.gz) file of keys and data.
    #[arg(long, value_name = "PATH", conflicts_with = "host")]
    preimages: Option<PathBuf>,

    /// Give the host up when it has not answered a request for so long; without, it may take as long
    /// as it needs.
    #[arg(long = "host-deadline", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    deadline: Option<u64>,

    /// The host that answers the program: a command and its arguments, run as a child process.
    #[arg(last = true, value_name = "HOST")]
    host: Vec<OsString>,
}

impl HostArgs {
    /// Whether they name any.
    pub(crate) fn names_any(&self) -> bool {
        self.preimages.is_some() || !self.host.is_empty()
    }

    /// These, or if they name nobody, the recording that the program came from.
    pub(crate) fn or_recording(&self, recording: Option<PathBuf>) -> Cow<'_, Self> {
        match recording {
            Some(_) if !self.names_any() => {
                Cow::Owned(Self { preimages: recording, ..self.clone() })
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// How long a host may take for an answer, if that is limited.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline.map(Duration::from_secs)
    }

    /// The store that they name, once more.
    pub(crate) fn store(&self) -> Result<Option<Box<dyn PreimageStore>>> {
        self.preimages.as_deref().map(stores::open).transpose()
    }
}

/// Where the words of a host in a child process go, line by line.
pub(crate) struct HostWords {
    pub(crate) stdout: LineSink,
    pub(crate) stderr: LineSink,
}

/// Why [`Source::Nobody`] has no preimage, in Cannon's words.
pub(crate) const NOBODY: &str = "no pre-image retriever available";

/// Who answers.
pub(crate) enum Source {
    Child(Box<ChildHost>),
    Local(Box<LocalHost<Box<dyn PreimageStore>>>),
    /// Nobody: hints are not followed, and there are no preimages.
    Nobody,
    /// Any of the others, whose answers are written down.
    Recorded(Box<Recorder<Source, Vec<u8>>>),
}

impl Source {
    /// Opens the store or starts the host that the command line names.
    pub(crate) fn open(args: &HostArgs, interrupt: &Interrupt, words: HostWords) -> Result<Self> {
        if let Some(path) = &args.preimages {
            return Ok(Self::local(stores::open(path)?));
        }
        let Some((program, rest)) = args.host.split_first() else { return Ok(Self::Nobody) };
        if program.is_empty() {
            return Err(Failure::input("the host after -- has an empty name"));
        }
        let mut command = Command::new(program);
        command.args(rest);
        let options = Options {
            cancel: Some(interrupt.flag()),
            request_timeout: args.deadline(),
            stdout: words.stdout,
            stderr: words.stderr,
            ..Options::default()
        };
        Ok(Self::Child(Box::new(ChildHost::start(command, options)?)))
    }

    /// Answers from a store, into which what is missing comes by hints.
    pub(crate) fn fetched(host: LocalHost<Box<dyn PreimageStore>>) -> Self {
        Self::Local(Box::new(host))
    }

    /// Answers from a store alone: hints do nothing, as on chain.
    pub(crate) fn local(store: Box<dyn PreimageStore>) -> Self {
        Self::Local(Box::new(LocalHost::new(store)))
    }

    /// One that threads can share, if there can be one.
    pub(crate) fn shared(&self) -> Option<Shared<'_>> {
        match self {
            Self::Child(_) | Self::Recorded(_) => None,
            Self::Local(host) => Some(Shared(Some(host))),
            Self::Nobody => Some(Shared(None)),
        }
    }

    /// Ends a host in a child process. Returns what a person should know of how it ended.
    pub(crate) fn shutdown(self) -> Option<String> {
        let Self::Child(host) = self else { return None };
        match host.shutdown(ShutdownWaits::default()) {
            Err(error) => Some(format!("cannot end the host: {error}")),
            Ok(end) => match end.by {
                EndedBy::Itself if end.status.success() => None,
                EndedBy::Itself => Some(format!("the host ended with an error: {}", end.status)),
                EndedBy::Interrupt => Some(
                    "the host went on after its pipes had closed, and had \
                     to be interrupted"
                        .into(),
                ),
                EndedBy::Kill => Some("the host did not end, and had to be killed".into()),
            },
        }
    }
}

impl Oracle for Source {
    fn hint(&mut self, hint: &[u8]) -> std::result::Result<(), OracleError> {
        match self {
            Self::Child(host) => host.hint(hint),
            Self::Local(host) => host.hint(hint),
            Self::Nobody => Ok(()),
            Self::Recorded(recorder) => recorder.hint(hint),
        }
    }

    fn preimage(&mut self, key: Key) -> std::result::Result<Vec<u8>, OracleError> {
        match self {
            Self::Child(host) => host.preimage(key),
            Self::Local(host) => host.preimage(key),
            Self::Nobody => Err(OracleError::Missing { key, why: NOBODY.into() }),
            Self::Recorded(recorder) => recorder.preimage(key),
        }
    }
}

/// A [`Source`] in this process, or nobody, for many threads.
#[derive(Clone)]
pub(crate) struct Shared<'a>(Option<&'a LocalHost<Box<dyn PreimageStore>>>);

impl Oracle for Shared<'_> {
    fn hint(&mut self, hint: &[u8]) -> std::result::Result<(), OracleError> {
        self.0.map_or(Ok(()), |mut host| host.hint(hint))
    }

    fn preimage(&mut self, key: Key) -> std::result::Result<Vec<u8>, OracleError> {
        match self.0 {
            Some(host) => host.find(key),
            None => Err(OracleError::Missing { key, why: NOBODY.into() }),
        }
    }
}

/// What a machine needs: a [`Source`], and somebody who listens to the program.
pub(crate) struct World<'a, L> {
    pub(crate) source: &'a mut Source,
    pub(crate) listener: L,
}

/// Who listens to the program.
pub(crate) trait Listener {
    /// The program wrote this.
    fn output(&mut self, stream: Stream, bytes: &[u8]);

    /// Something that a person should know.
    fn warn(&mut self, message: &str);
}

impl<L: Listener> Listener for &mut L {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        (**self).output(stream, bytes);
    }

    fn warn(&mut self, message: &str) {
        (**self).warn(message);
    }
}

impl<L: Listener> Oracle for World<'_, L> {
    fn hint(&mut self, hint: &[u8]) -> std::result::Result<(), OracleError> {
        self.source.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> std::result::Result<Vec<u8>, OracleError> {
        self.source.preimage(key)
    }
}

impl<L: Listener> Host for World<'_, L> {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.listener.output(stream, bytes);
    }

    fn warn(&mut self, message: &str) {
        self.listener.warn(message);
    }
}

/// Collects what a program writes into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Longer lines come in pieces.
    const LONGEST: usize = 64 << 10;

    /// Hands over each line that `bytes` completes, without its end.
    pub(crate) fn add(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if self.pending.last() == Some(&b'\n') {
                self.pending.pop();
                line(&self.pending);
                self.pending.clear();
            }
            while self.pending.len() > Self::LONGEST {
                line(&self.pending[..Self::LONGEST]);
                self.pending.drain(..Self::LONGEST);
            }
        }
    }

    /// Hands over what the program never ended.
    pub(crate) fn finish(&mut self, line: impl FnOnce(&[u8])) {
        if !self.pending.is_empty() {
            line(&std::mem::take(&mut self.pending));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_any_size_make_the_same_lines() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut found: Vec<String> = Vec::new();
            let mut take = |line: &[u8]| found.push(String::from_utf8(line.to_vec()).unwrap());
            for chunk in text.chunks(size) {
                lines.add(chunk, &mut take);
            }
            lines.finish(&mut take);
            assert_eq!(found, ["one", "", "two", "three"], "{size}");
        }
    }

    #[test]
    fn a_line_without_end_does_not_fill_memory() {
        let mut lines = Lines::default();
        let mut pieces = Vec::new();
        lines.add(&vec![b'x'; 200 << 10], |piece| pieces.push(piece.len()));
        assert_eq!(pieces, [64 << 10; 3]);
        lines.finish(|piece| pieces.push(piece.len()));
        assert_eq!(pieces.iter().sum::<usize>(), 200 << 10);
    }
}
