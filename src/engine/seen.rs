//! Which numbers of a rising sequence have come.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

/// So many numbers below the highest are told apart, for archives and servers put statements out of order. They take
/// 128 bytes of a device that signs.
const WINDOW: u64 = 1024;

/// The bits of a word.
const BITS: u64 = 64;

/// The numbers that have come: the highest, and which of those just below it.
#[derive(Clone, Debug, Default, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Seen {
    highest: u64,
    /// A bit for each number of the window, by its remainder; empty before the first.
    window: Vec<u64>,
}

impl Seen {
    /// Whether a number is below the window: nobody can tell whether it has come.
    pub(crate) fn is_too_old(&self, number: u64) -> bool {
        self.highest.saturating_sub(number) >= WINDOW
    }

    /// Whether a number has not come before. One too old to be told is taken for one that has.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        if number > self.highest {
            return true;
        }
        // They begin with one.
        if number == 0 {
            return false;
        }
        let (word, bit) = place(number);
        let seen = self.window.get(word).is_none_or(|word| word & bit != 0);
        self.highest - number < WINDOW && !seen
    }

    /// Takes note of a number.
    pub(crate) fn note(&mut self, number: u64) {
        if !self.is_new(number) {
            return;
        }
        self.window.resize(usize::try_from(WINDOW / BITS).unwrap_or_default(), 0);
        // Those between have not come.
        let passed = number.saturating_sub(self.highest).min(WINDOW);
        for step in 0..passed {
            let (word, bit) = place(number - step);
            if let Some(word) = self.window.get_mut(word) {
                *word &= !bit;
            }
        }
        let (word, bit) = place(number);
        if let Some(word) = self.window.get_mut(word) {
            *word |= bit;
        }
        self.highest = self.highest.max(number);
    }
}

/// The word of a number's bit, and the bit.
fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    (usize::try_from(at / BITS).unwrap_or_default(), 1 << (at % BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_a_set_within_the_window(numbers in proptest::collection::vec(0_u64..4000, 0..400)) {
            let (mut seen, mut set) = (Seen::default(), BTreeSet::new());
            for number in numbers {
                let highest = set.last().copied().unwrap_or(0);
                let old = number + WINDOW <= highest;
                // Numbers begin with one.
                let new = number != 0 && !old && !set.contains(&number);
                prop_assert_eq!(seen.is_new(number), new, "{}", number);
                seen.note(number);
                if new {
                    set.insert(number);
                }
            }
        }
    }

    #[test]
    fn a_far_step_forgets_all() {
        let mut seen = Seen::default();
        seen.note(1);
        seen.note(u64::MAX);
        assert!(!seen.is_new(u64::MAX) && !seen.is_new(1) && seen.is_new(u64::MAX - 1));
    }
}
