//! The protection that a stanza needs.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::jid::BareJid;
use crate::suite::Level;

/// Leave to send in clear to an account that is known to encrypt. Made only by the event that
/// warned of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Consent {
    pub(crate) peer: BareJid,
}

/// How a stanza in clear is authenticated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Authentication {
    pub(crate) form: Form,
    pub(crate) level: Level,
}

impl Default for Authentication {
    fn default() -> Self {
        Self::session(Level::CLASSICAL)
    }
}

impl Authentication {
    /// In the sessions with the recipient's devices, with suites of at least this level. Deniable: nobody else can tell
    /// who has written it.
    #[must_use]
    pub const fn session(level: Level) -> Self {
        Self { form: Form::Authenticated, level }
    }

    /// By a signature of the device: for readers without a session, and not deniable. Only the account it is addressed
    /// to takes it. An iq that publishes an item (XEP-0060) carries the signature in the item, for anyone:
    /// [`Engine::item`](crate::Engine::item) verifies it.
    #[must_use]
    pub const fn signed() -> Self {
        Self { form: Form::Signed, level: Level::CLASSICAL }
    }

    /// A signature that anyone takes who comes by the stanza. Of authentication in a session this changes nothing.
    #[must_use]
    pub fn for_anyone(self) -> Self {
        let form = match self.form {
            Form::Signed | Form::SignedForAnyone => Form::SignedForAnyone,
            Form::SignedShown | Form::SignedShownForAnyone => Form::SignedShownForAnyone,
            form @ (Form::Encrypted | Form::Authenticated | Form::Shown) => form,
        };
        Self { form, ..self }
    }

    /// With a copy of what it says beside it, which alone counts. For what servers damage: CR in text, TAB and line
    /// ends in attributes, text between a stanza's children; in a session also its own language. It takes the stanza's
    /// size again.
    #[must_use]
    pub fn with_copy(self) -> Self {
        let form = match self.form {
            Form::Encrypted => Form::Encrypted,
            Form::Authenticated | Form::Shown => Form::Shown,
            Form::Signed | Form::SignedShown => Form::SignedShown,
            Form::SignedForAnyone | Form::SignedShownForAnyone => Form::SignedShownForAnyone,
        };
        Self { form, ..self }
    }
}

impl Need {
    /// How what needs this is protected, if it is.
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Authenticated(authentication) => authentication.form,
            Self::Clear(_) | Self::Encrypted(_) | Self::Policy => Form::Encrypted,
        }
    }
}

/// How a stanza is protected on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Form {
    /// Sealed.
    Encrypted = 1,
    /// In clear, with sealed hashes.
    Authenticated = 2,
    /// In clear, with a sealed copy.
    Shown = 3,
    /// In clear, with signed hashes, for the account addressed.
    Signed = 4,
    /// In clear, with a signed copy, for the account addressed.
    SignedShown = 5,
    /// In clear, with signed hashes.
    SignedForAnyone = 6,
    /// In clear, with a signed copy.
    SignedShownForAnyone = 7,
}

impl Form {
    /// Whether it is signed.
    pub(crate) fn is_signed(self) -> bool {
        match self {
            Self::Encrypted | Self::Authenticated | Self::Shown => false,
            Self::Signed | Self::SignedShown | Self::SignedForAnyone | Self::SignedShownForAnyone => true,
        }
    }

    /// Whether it has a copy of what is in clear.
    pub(crate) fn has_copy(self) -> bool {
        matches!(self, Self::Shown | Self::SignedShown | Self::SignedShownForAnyone)
    }

    /// Whether anyone takes it.
    pub(crate) fn is_for_anyone(self) -> bool {
        matches!(self, Self::SignedForAnyone | Self::SignedShownForAnyone)
    }
}

/// The protection a stanza needs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Need {
    /// Authenticated, and in clear: who and what is on the way can read it and use it, and the recipient's engine
    /// vouches for it. Software that knows nothing of this protocol shows it as it is.
    Authenticated(Authentication),
    /// In clear, although the account is known to encrypt.
    Clear(Consent),
    /// Encrypted with a suite of at least this level, or not sent.
    Encrypted(Level),
    /// As the policy says: encrypted to accounts known to encrypt, and to the own one if it has other devices; else in
    /// clear.
    Policy,
}
