//! Why a comparison came to nothing.

/// Why a comparison of keys came to nothing. Nothing is decided by that about the key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerificationFault {
    /// Another comparison with this contact is under way, here or there.
    #[error("another comparison is under way")]
    Busy,
    /// One of the two users did not want it, or has stopped it.
    #[error("cancelled")]
    Cancelled,
    /// The other side knows nothing of it any more.
    #[error("not known to the other side any more")]
    Gone,
    /// The contact's account key is another one now, or a second one is in question.
    #[error("the account key is another")]
    KeyChanged,
    /// The other side has sent what does not belong there.
    #[error("not what belongs there")]
    Malformed,
    /// One of the users says that the strings differ, or the devices found that they do: somebody may be in between.
    #[error("the strings were not the same")]
    Mismatch,
    /// There is no session with a device of the contact.
    #[error("no session with a device")]
    NoSession,
    /// The session that it was bound to is not the live one any more.
    #[error("the session is another")]
    SessionChanged,
    /// The contact has asked at the same time, or again; that comparison counts.
    #[error("another comparison took its place")]
    Superseded,
    /// It took more than ten minutes.
    #[error("not in time")]
    TimedOut,
    /// There were three within an hour.
    #[error("too many in an hour")]
    TooMany,
    /// The two secrets are not the same, or somebody is in between.
    #[error("the secrets were not the same")]
    WrongSecret,
}

impl VerificationFault {
    /// What the other side is told.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Cancelled | Self::Superseded => 1,
            Self::Mismatch => 2,
            Self::WrongSecret => 3,
            Self::TimedOut => 4,
            Self::TooMany => 5,
            Self::KeyChanged => 6,
            Self::SessionChanged | Self::NoSession => 7,
            Self::Busy => 8,
            Self::Gone => 9,
            Self::Malformed => 10,
        }
    }

    /// What the other side says. What is not known is a wish to stop.
    pub(crate) fn from_code(code: u8) -> Self {
        match code {
            2 => Self::Mismatch,
            3 => Self::WrongSecret,
            4 => Self::TimedOut,
            5 => Self::TooMany,
            6 => Self::KeyChanged,
            7 => Self::SessionChanged,
            8 => Self::Busy,
            9 => Self::Gone,
            10 => Self::Malformed,
            _ => Self::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_sentence() {
        assert_eq!(VerificationFault::TimedOut.to_string(), "not in time");
    }

    #[test]
    fn codes_are_read_as_written_and_unknown_ones_as_a_wish() {
        for code in 1..=10 {
            assert_eq!(VerificationFault::from_code(code).code(), code);
        }
        for code in [0, 11, 255] {
            assert_eq!(VerificationFault::from_code(code), VerificationFault::Cancelled);
        }
    }
}
