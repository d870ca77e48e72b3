//! The log of Cannon's commands: `key=value` lines, in the form that op-challenger passes on.
//!
//! A terminal sees `t=… lvl=info msg=…`, everyone else `level=INFO msg=…` without the time; which of
//! the two is decided, as in Cannon, by where standard output goes.

use std::fmt::{Display, Write as _};
use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Info,
    Warn,
}

/// Where lines come from, and what they look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    with_time: bool,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { with_time: stdout().is_terminal() }
    }

    /// Logs to standard error. That nobody listens is no reason to stop.
    pub(crate) fn line(self, level: Level, message: &str, fields: &[(&str, &dyn Display)]) {
        let line = self.format(level, message, fields);
        let _ = stderr().write_all(line.as_bytes());
    }

    /// Logs a line of the host's standard output to ours.
    pub(crate) fn host_stdout(self, text: &str) {
        let line = self.format_text(&[("module", &"host")], text.as_bytes());
        let _ = stdout().write_all(line.as_bytes());
    }

    /// Logs a line of the host's standard error.
    pub(crate) fn host_stderr(self, text: &str) {
        let line = self.format_text(&[("module", &"host")], text.as_bytes());
        let _ = stderr().write_all(line.as_bytes());
    }

    /// Logs a line that the program wrote.
    pub(crate) fn guest(self, stream: &str, text: &[u8]) {
        let line = self.format_text(&[("module", &"guest"), ("stream", &stream)], text);
        let _ = stderr().write_all(line.as_bytes());
    }

    /// What is not plain ASCII is shown as bytes.
    fn format_text(self, fields: &[(&str, &dyn Display)], text: &[u8]) -> String {
        let plain = text.iter().all(|byte| matches!(byte, b'\t' | 0x20..0x7f));
        let (key, value) = match std::str::from_utf8(text) {
            Ok(text) if plain => ("text", text.to_owned()),
            _ => ("data", format!("0x{}", hex::encode(text))),
        };
        let mut fields = fields.to_vec();
        fields.push((key, &value));
        self.format(Level::Info, "", &fields)
    }

    fn format(self, level: Level, message: &str, fields: &[(&str, &dyn Display)]) -> String {
        let mut line = String::new();
        if self.with_time {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let level = match level {
                Level::Error => "eror",
                Level::Info => "info",
                Level::Warn => "warn",
            };
            write_field(&mut line, "t", &utc(now.as_secs()));
            write_field(&mut line, "lvl", level);
        } else {
            let level = match level {
                Level::Error => "ERROR",
                Level::Info => "INFO",
                Level::Warn => "WARN",
            };
            write_field(&mut line, "level", level);
        }
        write_field(&mut line, "msg", message);
        for (key, value) in fields {
            write_field(&mut line, key, &value.to_string());
        }
        line.push('\n');
        line
    }
}

fn write_field(line: &mut String, key: &str, value: &str) {
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(key);
    line.push('=');
    let plain = |c: char| !matches!(c, ' ' | '=' | '"') && !c.is_control() && !c.is_whitespace();
    if !value.is_empty() && value.chars().all(plain) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for c in value.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() => {
                let written = write!(line, "\\u{:04x}", u32::from(c));
                written.expect("a String takes any text");
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// Seconds since 1970 as `2006-01-02T15:04:05+0000`.
fn utc(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is the last of its year, and eras of 400 years
    // on 0000-03-01, which is 719,468 days before 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Log = Log { with_time: false };

    #[test]
    fn lines_are_those_op_challenger_passes_on() {
        let fields: [(&str, &dyn Display); 3] =
            [("module", &"vm"), ("step", &320_000_000), ("mem", &"47.6 MiB")];
        assert_eq!(
            LOG.format(Level::Info, "processing", &fields),
            "level=INFO msg=processing module=vm step=320000000 mem=\"47.6 MiB\"\n"
        );
        assert_eq!(LOG.format(Level::Error, "a=b", &[]), "level=ERROR msg=\"a=b\"\n");
    }

    #[test]
    fn a_program_cannot_forge_a_line() {
        let line = |text| LOG.format_text(&[("module", &"guest")], text);
        assert_eq!(
            line(b"say \"hi\"\tlevel=INFO"),
            "level=INFO msg=\"\" module=guest text=\"say \\\"hi\\\"\\tlevel=INFO\"\n"
        );
        assert_eq!(line(b"\x1b[2J"), "level=INFO msg=\"\" module=guest data=0x1b5b324a\n");
        assert_eq!(line("é".as_bytes()), "level=INFO msg=\"\" module=guest data=0xc3a9\n");
        assert_eq!(line(b"\xff"), "level=INFO msg=\"\" module=guest data=0xff\n");
        assert_eq!(line(b""), "level=INFO msg=\"\" module=guest text=\"\"\n");
    }

    #[test]
    fn a_terminal_sees_the_time() {
        let line = Log { with_time: true }.format(Level::Info, "x", &[]);
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(rest, "lvl=info msg=x\n");
        assert!(time.starts_with("t=20") && time.ends_with("+0000"), "{time}");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00+0000"),
            (951_782_399, "2000-02-28T23:59:59+0000"),
            (951_782_400, "2000-02-29T00:00:00+0000"),
            (951_868_800, "2000-03-01T00:00:00+0000"),
            (1_136_214_245, "2006-01-02T15:04:05+0000"),
            (4_107_542_400, "2100-03-01T00:00:00+0000"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
