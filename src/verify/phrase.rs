//! The texts of a comparison: the question, and the secret that two people know, as they type it.

use core::fmt;

use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::suite::kdf::expand_with_label;
use crate::suite::{Refused, SHA_256};
use crate::verify::RunId;

/// Longer than any answer that two people spell alike.
const MAX_PHRASE: usize = 1024;

/// The length of what stands for the secret.
const PHRASE_LEN: u16 = 32;

/// A secret that two people know, as typed. Spaces around it do not count, and several in a row count as one; capitals
/// count.
///
/// It cannot be printed.
#[derive(Clone, Copy)]
pub struct SharedSecret<'a>(&'a str);

impl<'a> SharedSecret<'a> {
    /// The secret as typed.
    #[must_use]
    pub const fn new(typed: &'a str) -> Self {
        Self(typed)
    }
}

impl fmt::Debug for SharedSecret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

impl Eq for SharedSecret<'_> {}

/// In constant time for equal lengths.
impl PartialEq for SharedSecret<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// What a contact asks, in its own words: show them as such.
///
/// Its `Debug` does not show it, so that logs do not.
#[derive(Clone, Eq, PartialEq)]
pub struct Question(String);

impl Question {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question(..)")
    }
}

/// What stands for the secret in a run: the words themselves are not kept.
///
/// # Errors
/// If there is nothing in it, or too much.
pub(crate) fn prepare(run: RunId, secret: SharedSecret<'_>) -> Result<Secret, Refused> {
    if secret.0.len() > MAX_PHRASE {
        return Err(Refused);
    }
    // No longer than this whatever it holds, so no copy stays behind where a text grew.
    let mut text = Zeroizing::new(String::with_capacity(4 * MAX_PHRASE));
    for word in secret.0.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(word.nfc());
    }
    if text.is_empty() {
        return Err(Refused);
    }
    let prk = SHA_256.hmac(&run.0, &[text.as_bytes()]);
    expand_with_label(SHA_256, prk.expose(), "shared secret", &[], PHRASE_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::hex;

    const RUN: RunId = RunId([7; 16]);

    fn same(one: &str, other: &str) -> bool {
        let of = |typed| prepare(RUN, SharedSecret::new(typed)).ok().unwrap();
        of(one).same(&of(other))
    }

    #[test]
    fn spaces_and_compositions_do_not_count_and_capitals_do() {
        assert!(same("the blue house", "  the blue\u{a0}\thouse\n"));
        assert!(same("caf\u{e9}", "cafe\u{301}"));
        assert!(!same("Paris", "paris"));
        assert!(!same("thebluehouse", "the blue house"));
    }

    #[test]
    fn nothing_and_too_much_are_refused_and_runs_differ() {
        for typed in ["", " \t", &"x".repeat(MAX_PHRASE + 1)] {
            assert!(prepare(RUN, SharedSecret::new(typed)).is_err());
        }
        // The characters that grow most when composed anew.
        let long = "\u{fb2c}".repeat(MAX_PHRASE / 3);
        assert!(prepare(RUN, SharedSecret::new(&long)).is_ok());
        let other = prepare(RunId([8; 16]), SharedSecret::new("x")).ok().unwrap();
        assert!(!prepare(RUN, SharedSecret::new("x")).ok().unwrap().same(&other));
    }

    /// Computed apart from this code.
    #[test]
    fn vector() {
        let phrase = prepare(RUN, SharedSecret::new("the blue house")).ok().unwrap();
        assert_eq!(hex(phrase.expose()), "79dda9f684b891bd2eec44e01716a6cdeeec52d8240eddf82fa199cf007f07d7");
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", SharedSecret::new("the blue house")), "SharedSecret(..)");
        assert_eq!(format!("{:?}", Question::new("Where?".to_owned())), "Question(..)");
        assert!(SharedSecret::new("a") == SharedSecret::new("a"));
        assert!(SharedSecret::new("a") != SharedSecret::new("b"));
    }
}
