//! How far an account's key is trusted, and why.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;

/// How far the account key of a contact is trusted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
#[repr(u8)]
pub enum Trust {
    /// No key has been seen.
    #[default]
    Unknown = 0,
    /// The first key seen, which nobody has compared.
    FirstUse = 1,
    /// Compared, and found to be the contact's.
    Verified = 2,
    /// The user has said that it is not to be used.
    Distrusted = 3,
}

/// By what means a decision about a key came about.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
#[repr(u8)]
pub enum Means {
    /// It was the first.
    #[default]
    First = 0,
    /// The user accepted it without comparing.
    Accepted = 1,
    /// The user compared the fingerprint.
    Fingerprint = 2,
    /// A code was scanned.
    Code = 3,
    /// A short string was compared on both sides.
    ShortString = 4,
    /// Both sides knew a secret.
    Secret = 5,
    /// Another device of the own account had decided.
    OwnDevice = 6,
    /// The user decided without saying how.
    User = 7,
}

/// A state of trust, how it came about, and when.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
pub struct Decision {
    /// The state.
    pub trust: Trust,
    /// How it came about.
    pub means: Means,
    /// When.
    #[tls_codec(with = "crate::wire::time")]
    pub at: Timestamp,
}
