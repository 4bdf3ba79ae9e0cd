//! How far an account's key is trusted, and why, and what that is needed for.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;
use crate::step::SendError;

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

/// A decision that no longer holds: another has taken its place, or the key has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
pub struct PastDecision {
    /// The digest of the account key it was about.
    pub key: [u8; 32],
    /// What was decided, how and when.
    pub decision: Decision,
}

/// Which account keys are sealed to. A distrusted one never is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
#[repr(u8)]
pub enum TrustPolicy {
    /// Those that the application has decided about: its decision must have another means than [`Means::First`].
    Application = 1,
    /// The first of the contact, and one that the user has accepted in its place.
    #[default]
    FirstUse = 2,
    /// The same, until one of the contact has been verified; from then on only verified ones ("blind trust before
    /// verification").
    FirstUseUntilVerified = 3,
    /// Those that have been verified.
    VerifiedOnly = 4,
}

impl TrustPolicy {
    /// Whether a key with this decision is sealed to; `once_verified` if any key of the contact has been verified.
    pub(crate) fn check(self, decision: &Decision, once_verified: bool) -> Result<(), SendError> {
        let good = match (decision.trust, self) {
            (Trust::Distrusted, _) => return Err(SendError::Distrusted),
            (Trust::Verified, _) | (_, Self::FirstUse) => true,
            (_, Self::Application) => decision.means != Means::First,
            (_, Self::FirstUseUntilVerified) => !once_verified,
            (_, Self::VerifiedOnly) => false,
        };
        if good { Ok(()) } else { Err(SendError::Untrusted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_under_every_policy() {
        use TrustPolicy::{Application, FirstUse, FirstUseUntilVerified, VerifiedOnly};
        let (ok, untrusted) = (Ok(()), Err(SendError::Untrusted));
        let all = [FirstUse, FirstUseUntilVerified, VerifiedOnly, Application];
        let rows = [
            (Trust::FirstUse, Means::First, false, [ok, ok, untrusted, untrusted]),
            (Trust::FirstUse, Means::Accepted, false, [ok, ok, untrusted, ok]),
            (Trust::FirstUse, Means::Accepted, true, [ok, untrusted, untrusted, ok]),
            (Trust::Verified, Means::Code, true, [ok; 4]),
            (Trust::Distrusted, Means::User, false, [Err(SendError::Distrusted); 4]),
            (Trust::Distrusted, Means::User, true, [Err(SendError::Distrusted); 4]),
        ];
        for (trust, means, once, expected) in rows {
            let decision = Decision { trust, means, at: Timestamp::default() };
            assert_eq!(
                all.map(|policy| policy.check(&decision, once)),
                expected,
                "{trust:?} {means:?} {once}"
            );
        }
    }
}
