//! Progress of a run on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tribunal_machine::Machine;

use crate::units::{Bytes, Count, Speed};

/// Time between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// Time between two changes of the bar.
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);

/// Shows how far a run has come.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Shown,
    started: Instant,
    first_step: u64,
    next: Instant,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Begins with a run at `first_step`.
    pub(crate) fn new(quiet: bool, first_step: u64) -> Self {
        let started = Instant::now();
        let (shown, next) = if quiet {
            (Shown::Nothing, started)
        } else if stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            // Goes on turning while the host is asked.
            bar.enable_steady_tick(BETWEEN_CHANGES);
            (Shown::Bar(bar), started)
        } else {
            (Shown::Lines, started + BETWEEN_LINES)
        };
        Self { shown, started, first_step, next }
    }

    /// Shows where `machine` is, if it is time to.
    pub(crate) fn tick(&mut self, machine: &impl Machine) {
        let first_step = self.first_step;
        self.show(|time| {
            let step = machine.step();
            let speed = Speed { steps: step.wrapping_sub(first_step), time };
            format!("step {}, {speed}, {}", Count(step), Bytes(machine.state_bytes()))
        });
    }

    /// Shows this, made of the time since the beginning, if it is time to.
    pub(crate) fn show(&mut self, text: impl FnOnce(Duration) -> String) {
        if matches!(self.shown, Shown::Nothing) {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let text = text(now - self.started);
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_message(text);
                self.next = now + BETWEEN_CHANGES;
            }
            Shown::Lines => {
                // Nobody may be listening any more: the run goes on.
                let _ = writeln!(stderr(), "{text}");
                self.next = now + BETWEEN_LINES;
            }
            Shown::Nothing => {}
        }
    }

    /// The bar, if there is one: whoever writes to the terminal must step around it.
    pub(crate) fn bar(&self) -> Option<ProgressBar> {
        match &self.shown {
            Shown::Bar(bar) => Some(bar.clone()),
            Shown::Lines | Shown::Nothing => None,
        }
    }

    /// Takes the bar away. Returns how long it was there.
    pub(crate) fn finish(&self) -> Duration {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        self.started.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
