//! Numbers of 32 bytes, as far as a program needs them to compare: balances, storage.

use core::fmt;

/// A number below 2²⁵⁶: big-endian bytes, so that their order is that of the numbers.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub [u8; 32]);

impl Number {
    /// Zero.
    pub const ZERO: Self = Self([0; 32]);

    /// As a number that can be reckoned with, if it is small enough.
    pub fn to_u128(self) -> Option<u128> {
        let (high, low) = self.0.split_at(16);
        let low = low.try_into().ok()?;
        high.iter().all(|&byte| byte == 0).then(|| u128::from_be_bytes(low))
    }
}

impl From<u128> for Number {
    fn from(value: u128) -> Self {
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(&value.to_be_bytes());
        Self(bytes)
    }
}

impl fmt::Display for Number {
    /// Decimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By ten to the ninth at a time, from the right.
        let mut parts = [0u32; 9];
        let mut count = 0;
        let mut words: [u32; 8] =
            core::array::from_fn(|i| u32::from_be_bytes(self.0.as_chunks::<4>().0[i]));
        while words.iter().any(|&word| word != 0) {
            let mut rest = 0u64;
            for word in &mut words {
                let value = rest << 32 | u64::from(*word);
                *word = (value / 1_000_000_000) as u32;
                rest = value % 1_000_000_000;
            }
            parts[count] = rest as u32;
            count += 1;
        }
        let mut parts = parts[..count].iter().rev();
        write!(f, "{}", parts.next().unwrap_or(&0))?;
        parts.try_for_each(|part| write!(f, "{part:09}"))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn order_and_digits_are_those_of_numbers() {
        let numbers = [0, 1, 9, 10, 999_999_999, 1_000_000_000, 10u128.pow(27) + 5, u128::MAX];
        for pair in numbers.windows(2) {
            assert!(Number::from(pair[0]) < Number::from(pair[1]));
        }
        for number in numbers {
            assert_eq!(Number::from(number).to_string(), number.to_string());
            assert_eq!(Number::from(number).to_u128(), Some(number));
        }
        assert_eq!(Number([0xff; 32]).to_u128(), None);
        let largest =
            "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(Number([0xff; 32]).to_string(), largest);
    }
}
