//! How much a content is padded before it is sealed, so that its length tells less.

use core::num::NonZeroU16;

/// To what length contents are padded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Padding {
    /// To a multiple of 32 up to 256 bytes, then Padmé: at most 12 % more (PURBs, PETS 2019, section 4).
    #[default]
    Classes,
    /// To a multiple of this size.
    Fixed(NonZeroU16),
    /// Not at all: the length of a text can then be read off its stanza.
    Off,
}

/// The step of the small classes: a short answer and a short sentence look the same, and a text of
/// 20 characters stays in the first.
const STEP: usize = 32;

/// Up to here the small classes hold; above, Padmé's own steps (16 and more) cost less than 7 %.
const SMALL: usize = 256;

impl Padding {
    /// The length that `len` bytes are padded to, at least `len`.
    pub(crate) fn padded_len(self, len: usize) -> usize {
        match self {
            Self::Classes if len <= SMALL => len.max(1).next_multiple_of(STEP),
            Self::Classes => padme(len),
            Self::Fixed(size) => len.checked_next_multiple_of(usize::from(size.get())).unwrap_or(len),
            Self::Off => len,
        }
    }
}

/// Padmé: a length of exponent `e` keeps as many leading bits of its mantissa as `e` has digits.
/// Meant for `len` above [`SMALL`].
fn padme(len: usize) -> usize {
    let e = len.max(2).ilog2();
    let kept = e.ilog2() + 1;
    let mask = (1_usize << e.saturating_sub(kept)) - 1;
    len.checked_add(mask).map_or(len, |sum| sum & !mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_chat_is_in_the_first_class() {
        assert_eq!(Padding::default().padded_len(1 + 6 + 1 + 20), 32);
        assert_eq!(Padding::Classes.padded_len(0), 32);
        assert_eq!(Padding::Classes.padded_len(33), 64);
        assert_eq!(Padding::Classes.padded_len(256), 256);
        assert_eq!(Padding::Classes.padded_len(257), 272);
    }

    #[test]
    fn never_shorter_monotone_and_bounded() {
        let mut before = 0;
        for len in 0..300_000 {
            let padded = Padding::Classes.padded_len(len);
            assert!(padded >= len && padded >= before, "{len}");
            assert_eq!(Padding::Classes.padded_len(padded), padded, "{len}");
            assert!(if len <= SMALL {
                padded < len + STEP || len == 0
            } else {
                (padded - len) * 100 < len * 12
            });
            before = padded;
        }
    }

    #[test]
    fn few_classes() {
        let classes: std::collections::BTreeSet<_> =
            (0..262_144).map(|len| Padding::Classes.padded_len(len)).collect();
        assert!(classes.len() < 250, "{}", classes.len());
    }

    #[test]
    fn fixed_and_off() {
        let fixed = Padding::Fixed(NonZeroU16::new(100).unwrap());
        assert_eq!([0, 1, 100, 101].map(|len| fixed.padded_len(len)), [0, 100, 100, 200]);
        assert_eq!(Padding::Off.padded_len(77), 77);
        for padding in [Padding::Classes, fixed, Padding::Off] {
            assert!(padding.padded_len(usize::MAX) == usize::MAX);
        }
    }
}
