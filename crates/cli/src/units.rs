//! Numbers as people read and write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of things: `1,204,331`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A number of bytes: `47.6 MiB`, in the form Cannon logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let power = (self.0.ilog2() / 10) as usize;
        let size = self.0 as f64 / (1u64 << (10 * power)) as f64;
        write!(f, "{size:.1} {}", UNITS[power - 1])
    }
}

impl FromStr for Bytes {
    type Err = BadSize;

    /// A number, and `K`, `M`, `G` or `T`, also as `KiB` and so on: always powers of 1024.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = || BadSize(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            _ => return Err(bad()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no size: use a number of bytes, or one like 512MiB or 8GiB")]
pub(crate) struct BadSize(String);

/// A duration: `3.42 s`, `2 min 5 s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs();
        match whole {
            0..60 => write!(f, "{:.2} s", self.0.as_secs_f64()),
            60..3600 => write!(f, "{} min {} s", whole / 60, whole % 60),
            _ => write!(f, "{} h {} min", whole / 3600, whole / 60 % 60),
        }
    }
}

/// How fast steps were taken: `61.2 M steps/s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    pub(crate) steps: u64,
    pub(crate) time: Duration,
}

impl Speed {
    /// Steps per second; 0 as long as no time has passed.
    pub(crate) fn per_second(self) -> f64 {
        let seconds = self.time.as_secs_f64();
        if seconds > 0.0 { self.steps as f64 / seconds } else { 0.0 }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let speed = self.per_second();
        if speed < 1e6 {
            write!(f, "{} steps/s", Count(speed as u64))
        } else {
            write!(f, "{:.1} M steps/s", speed / 1e6)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_204_331, "1,204,331")] {
            assert_eq!(Count(number).to_string(), text);
        }
        assert_eq!(Count(u64::MAX).to_string(), "18,446,744,073,709,551,615");
    }

    #[test]
    fn sizes_are_shown_as_cannon_does() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (12_182 * 4096, "47.6 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("4096B", 4096),
            ("1k", 1 << 10),
            ("512MiB", 512 << 20),
            ("8G", 8 << 30),
            ("2 TiB", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5G", "1x", "1 2", "99999999T", "18446744073709551616"] {
            assert_eq!(text.parse::<Bytes>(), Err(BadSize(text.into())));
        }
    }

    #[test]
    fn times_and_speeds_have_the_unit_that_fits() {
        let time = Duration::from_millis;
        assert_eq!(Seconds(time(3420)).to_string(), "3.42 s");
        assert_eq!(Seconds(time(125_000)).to_string(), "2 min 5 s");
        assert_eq!(Seconds(time(7_260_000)).to_string(), "2 h 1 min");
        let speed = |steps, millis| Speed { steps, time: time(millis) }.to_string();
        assert_eq!(speed(1_500_000, 10), "150.0 M steps/s");
        assert_eq!(speed(1500, 1000), "1,500 steps/s");
        assert_eq!(speed(1500, 0), "0 steps/s");
    }
}
