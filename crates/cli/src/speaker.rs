//! What a program and its host say, passed on around the progress bar.

use std::io::{Write as _, stderr, stdout};

use indicatif::ProgressBar;
use tribunal_machine::Stream;

use crate::progress::Progress;
use crate::style::Style;
use crate::world::{HostWords, Lines, Listener};

/// Passes on what the program writes, around the progress bar if there is one.
pub(crate) struct Speaker {
    bar: Option<ProgressBar>,
    all_to_stderr: bool,
    stdout: Lines,
    stderr: Lines,
}

impl Speaker {
    pub(crate) fn new(bar: Option<ProgressBar>, all_to_stderr: bool) -> Self {
        Self { bar, all_to_stderr, stdout: Lines::default(), stderr: Lines::default() }
    }

    /// What passes on a warning, unless nobody is to be spoken to.
    pub(crate) fn unless(&mut self, quiet: bool) -> impl FnOnce(&str) {
        move |message| {
            if !quiet {
                self.warn(message);
            }
        }
    }

    /// Passes on lines that were never ended. The bar must be gone.
    pub(crate) fn finish(&mut self) {
        let stdout_too = !self.all_to_stderr;
        self.stdout.finish(|line| write(stdout_too, line));
        self.stderr.finish(|line| write(false, line));
    }
}

impl Listener for Speaker {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let to_stdout = stream == Stream::Stdout && !self.all_to_stderr;
        let Some(bar) = &self.bar else { return write(to_stdout, bytes) };
        // A line must be whole before the bar may follow it.
        let lines = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        lines.add(bytes, |line| bar.suspend(|| write(to_stdout, &[line, b"\n"].concat())));
    }

    fn warn(&mut self, message: &str) {
        let line = format!("{} {message}\n", Style::of_stderr().strong("warning:"));
        match &self.bar {
            Some(bar) => bar.suspend(|| write(false, line.as_bytes())),
            None => write(false, line.as_bytes()),
        }
    }
}

/// That nobody reads any more is no reason to stop: the verdict is the answer.
fn write(to_stdout: bool, bytes: &[u8]) {
    let _ = match to_stdout {
        true => stdout().write_all(bytes).and_then(|()| stdout().flush()),
        false => stderr().write_all(bytes),
    };
}

/// Lines of a host, on standard error: standard output is for the answer.
pub(crate) fn host_words(progress: &Progress, quiet: bool) -> HostWords {
    let line = |bar: Option<ProgressBar>| {
        move |line: &str| {
            let text = format!("host: {line}\n");
            match &bar {
                // Its last words become part of the error if it fails.
                _ if quiet => {}
                Some(bar) => bar.suspend(|| write(false, text.as_bytes())),
                None => write(false, text.as_bytes()),
            }
        }
    };
    HostWords { stdout: Box::new(line(progress.bar())), stderr: Box::new(line(progress.bar())) }
}

/// Passes on warnings only: what the program writes is not asked for.
pub(crate) struct Mute<'a>(pub(crate) &'a mut Speaker);

impl Listener for Mute<'_> {
    fn output(&mut self, _: Stream, _: &[u8]) {}

    fn warn(&mut self, message: &str) {
        self.0.warn(message);
    }
}
