//! The parts of the program `xmpp-e2e-chat`, a terminal client. Its `--help` is the documentation; what is here is
//! for the program and its examples, and may change at any time.

pub mod app;
pub mod args;
pub mod command;
pub mod history;
pub mod line;
pub mod paint;
pub mod qr;
pub mod stanza;
pub mod store;
pub mod text;
pub mod words;

/// Why the program ends, other than by the user's wish.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stop {
    /// The exit code.
    pub code: u8,
    /// The reason, for a person.
    pub why: String,
}

impl Stop {
    /// Something failed.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn error(why: impl ToString) -> Self {
        Self { code: 1, why: why.to_string() }
    }
}

impl core::fmt::Display for Stop {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.why)
    }
}

impl core::error::Error for Stop {}

impl From<xmpp_e2e_sqlite::Error> for Stop {
    fn from(error: xmpp_e2e_sqlite::Error) -> Self {
        Self::error(words::store(&error))
    }
}
