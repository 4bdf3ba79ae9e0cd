//! What two people, or one with two devices, compare by eye.

use core::fmt;

/// So many strings there are: 49 bits, so that whoever stands between has one chance in 10^15 in each run.
const STRINGS: u128 = 1_000_000_000_000_000;

/// A string for comparison: fifteen digits. Both sides show it, and it is the same only if nobody stands between them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ShortString(u64);

impl ShortString {
    /// The string of 16 pseudorandom bytes.
    pub(crate) fn of(bytes: &[u8; 16]) -> Self {
        // The remainder of a number so much larger is as good as uniform.
        Self(u64::try_from(u128::from_be_bytes(*bytes) % STRINGS).unwrap_or_default())
    }

    /// Three groups of five digits.
    #[must_use]
    pub fn digits(&self) -> String {
        let (rest, third) = (self.0 / 100_000, self.0 % 100_000);
        format!("{:05} {:05} {third:05}", rest / 100_000, rest % 100_000)
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not secret, and good for one comparison only.
        write!(f, "ShortString({})", self.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_groups_of_five_digits() {
        assert_eq!(ShortString::of(&[0; 16]).digits(), "00000 00000 00000");
        assert_eq!(ShortString::of(&123_456_789_012_345_u128.to_be_bytes()).digits(), "12345 67890 12345");
        assert_eq!(ShortString::of(&(STRINGS + 7).to_be_bytes()).digits(), "00000 00000 00007");
        // 2^128 - 1 modulo 10^15.
        assert_eq!(ShortString::of(&[0xFF; 16]).digits(), "60743 17682 11455");
    }
}
