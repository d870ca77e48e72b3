//! What libraries say through the crate `log`, as lines on stderr.

use log::{LevelFilter, Log, Metadata, Record};

use crate::eprintln;

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("[{}] {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Shows what is said from now on, up to this level. What is not shown still takes steps to skip; a
/// program that is to be proven leaves it out with the features of `log` (`release_max_level_off`).
pub fn show(level: LevelFilter) {
    // Whoever was there before stays: it is the same, or a test's.
    let _ = log::set_logger(&Lines);
    log::set_max_level(level);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_the_level_is_not_asked_for_and_nobody_replaces_the_logger() {
        show(LevelFilter::Info);
        assert_eq!(log::max_level(), LevelFilter::Info);
        assert!(log::log_enabled!(log::Level::Info) && !log::log_enabled!(log::Level::Debug));
        show(LevelFilter::Off);
        assert!(!log::log_enabled!(log::Level::Error));
        // The logger stays ours: another one is refused.
        assert!(log::set_logger(&Lines).is_err());
    }
}
