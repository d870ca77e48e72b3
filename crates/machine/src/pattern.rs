//! Step patterns: `never`, `always`, `=N`, `%N`.

use std::str::FromStr;

/// Which steps something happens at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepPattern {
    /// At no step.
    #[default]
    Never,
    /// At every step.
    Always,
    /// At this step.
    At(u64),
    /// At every multiple of this, which is not zero; step 0 is one.
    Every(u64),
}

/// A text that is no step pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no step pattern: use never, always, =N for step N, or %N for every Nth step")]
pub struct PatternError(String);

impl StepPattern {
    /// Whether `step` matches.
    pub fn matches(self, step: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::At(at) => step == at,
            Self::Every(stride) => step.is_multiple_of(stride),
        }
    }

    /// The first step from `step` on that matches, if there is one.
    pub fn next(self, step: u64) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Always => Some(step),
            Self::At(at) => (step <= at).then_some(at),
            Self::Every(stride) => step.checked_next_multiple_of(stride),
        }
    }
}

impl FromStr for StepPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = || PatternError(text.to_owned());
        if let Some(step) = text.strip_prefix('=') {
            return parse_number(step).map(Self::At).ok_or_else(error);
        }
        if let Some(stride) = text.strip_prefix('%') {
            let stride = parse_number(stride).filter(|&stride| stride != 0);
            return stride.map(Self::Every).ok_or_else(error);
        }
        match text {
            "" | "never" => Ok(Self::Never),
            "always" => Ok(Self::Always),
            _ => Err(error()),
        }
    }
}

/// Decimal, or hexadecimal, octal and binary behind `0x`, `0o` (or `0`) and `0b`.
fn parse_number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.split_at_checked(2) {
        Some(("0x", digits)) => (digits, 16),
        Some(("0o", digits)) => (digits, 8),
        Some(("0b", digits)) => (digits, 2),
        _ if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_steps_they_name() {
        let pattern = |text: &str| text.parse::<StepPattern>().unwrap();
        assert_eq!(pattern(""), StepPattern::Never);
        assert_eq!(pattern("never"), StepPattern::Never);
        assert_eq!(pattern("=0x10"), StepPattern::At(16));
        assert_eq!(pattern("%1000000000"), StepPattern::Every(1_000_000_000));
        assert!(pattern("always").matches(0));
        assert!(
            pattern("%7").matches(0) && pattern("%7").matches(14) && !pattern("%7").matches(15)
        );
        assert!(pattern("=5").matches(5) && !pattern("=5").matches(4));
    }

    #[test]
    fn the_next_match_is_the_first_from_here_on() {
        assert_eq!(StepPattern::Every(7).next(14), Some(14));
        assert_eq!(StepPattern::Every(7).next(15), Some(21));
        assert_eq!(StepPattern::Every(1 << 63).next((1 << 63) + 1), None);
        assert_eq!(StepPattern::At(5).next(6), None);
        assert_eq!(StepPattern::At(5).next(5), Some(5));
        assert_eq!(StepPattern::Always.next(u64::MAX), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["5", "=", "%", "%0", "=-1", "=+1", "=1 ", "%1.5", "=18446744073709551616", "é"]
        {
            assert!(text.parse::<StepPattern>().is_err(), "{text}");
        }
    }
}
