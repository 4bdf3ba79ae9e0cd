//! The short string that two people, or two devices, compare.

use core::fmt;

use subtle::ConstantTimeEq;

/// 48 bits: who has to guess it in one try does so once in 2.8 · 10^14.
pub(crate) const SHORT_STRING_LEN: usize = 6;

/// Digits of a group, and groups: 15 digits hold 48 bits.
const GROUP: u64 = 100_000;

/// The consonants and vowels of the words: each stands for the bits of its place.
const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
const VOWELS: &[u8; 4] = b"aiou";

/// A short string that both sides show, to be compared by people: equal if nobody is in between. Digits and words say
/// the same.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ShortString([u8; SHORT_STRING_LEN]);

impl ShortString {
    pub(crate) fn new(bytes: [u8; SHORT_STRING_LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) fn to_bytes(self) -> [u8; SHORT_STRING_LEN] {
        self.0
    }

    fn number(self) -> u64 {
        self.0.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Three groups of five digits.
    #[must_use]
    pub fn digits(&self) -> String {
        let number = self.number();
        format!("{:05} {:05} {:05}", number / GROUP / GROUP, number / GROUP % GROUP, number % GROUP)
    }

    /// Three words of five letters that can be spoken. They are of no language.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = String::new();
        for word in self.0.chunks_exact(2) {
            if !words.is_empty() {
                words.push(' ');
            }
            let bits = word.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
            for (shift, vowel) in [(12, false), (10, true), (6, false), (4, true), (0, false)] {
                let letter =
                    if vowel { VOWELS.get(bits >> shift & 3) } else { CONSONANTS.get(bits >> shift & 15) };
                words.extend(letter.map(|letter| char::from(*letter)));
            }
        }
        words
    }

    /// Whether somebody who was told the string at the other side has typed this one, as digits or as words. Spaces,
    /// hyphens and capitals do not matter.
    #[must_use]
    pub fn matches(&self, typed: &str) -> bool {
        let plain = |text: &str| -> String {
            let kept = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
            kept.flat_map(char::to_lowercase).collect()
        };
        let typed = plain(typed);
        let same = |ours: String| bool::from(plain(&ours).as_bytes().ct_eq(typed.as_bytes()));
        same(self.digits()) | same(self.words())
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_words_are_of_fixed_form() {
        let cases = [
            ([0; 6], "00000 00000 00000", "babab babab babab"),
            ([0xFF; 6], "28147 49767 10655", "zuzuz zuzuz zuzuz"),
            ([127, 0, 0, 1, 0, 15], "13963 79767 93103", "lusab babad babaz"),
        ];
        for (bytes, digits, words) in cases {
            let string = ShortString::new(bytes);
            assert_eq!((string.digits().as_str(), string.words().as_str()), (digits, words));
            assert_eq!(string.to_string(), digits);
        }
    }

    #[test]
    fn each_bit_shows_in_both_forms() {
        let zero = ShortString::new([0; 6]);
        for bit in 0..48 {
            let mut bytes = [0; 6];
            bytes[bit / 8] = 1 << (bit % 8);
            let string = ShortString::new(bytes);
            assert!(string.digits() != zero.digits() && string.words() != zero.words(), "{bit}");
        }
    }

    #[test]
    fn what_was_typed_matches_in_either_form_and_nothing_else_does() {
        let string = ShortString::new([127, 0, 0, 1, 0, 15]);
        for typed in ["139637976793103", " 13963-79767 93103", "Lusab babad BABAZ", "lusab-babad-babaz"] {
            assert!(string.matches(typed), "{typed}");
        }
        for typed in ["", "13963 79767 93104", "lusab babad", "13963 79767 93103 lusab babad babaz"] {
            assert!(!string.matches(typed), "{typed}");
        }
    }
}
