//! Colour, and only where a person sees it.

use std::io::{IsTerminal, stderr, stdout};

use clap::builder::styling::{AnsiColor, Style as Codes};

/// Whether what goes to a stream is coloured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    coloured: bool,
}

impl Style {
    /// For what goes to standard error.
    pub(crate) fn of_stderr() -> Self {
        Self::of(&stderr())
    }

    /// For what goes to standard output.
    pub(crate) fn of_stdout() -> Self {
        Self::of(&stdout())
    }

    fn of(stream: &impl IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { coloured: stream.is_terminal() && !unwanted }
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint(AnsiColor::Green.on_default().bold(), text)
    }

    pub(crate) fn hint(self, text: &str) -> String {
        self.paint(AnsiColor::Cyan.on_default().bold(), text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.paint(Codes::new().bold(), text)
    }

    fn paint(self, codes: Codes, text: &str) -> String {
        match self.coloured {
            true => format!("{codes}{text}{codes:#}"),
            false => text.to_owned(),
        }
    }
}
