//! Why something was refused, said so that the reader knows who must act.

/// Why a received stanza was refused. Carries no content, key or JID.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes are not what the protocol allows: the sender's software, or the path, is at fault.
    #[error("malformed: {0}")]
    Malformed(Malformed),
    /// Authentication failed. Deliberately without detail.
    #[error("not authentic")]
    Unauthentic,
    /// What is in clear is not what its sender has authenticated.
    #[error("altered or forged")]
    Altered,
    /// Well-formed, and against the rules: the peer's software or an attacker is at fault.
    #[error("the peer misbehaved: {0}")]
    Misbehaved(Misbehaviour),
    /// It cannot be read with what this device has.
    #[error("cannot be read here: {0}")]
    Unreadable(Unreadable),
}

/// How bytes were malformed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Not base64 of RFC 4648 section 4, or not the encoding of the structure expected.
    #[error("bad encoding")]
    Encoding,
    /// What XMPP forbids in XML: comment, processing instruction, DOCTYPE, unknown entity.
    #[error("forbidden XML")]
    ForbiddenXml,
    /// An address that is no JID.
    #[error("bad address")]
    Jid,
    /// Not a stanza, or our element not as defined.
    #[error("not a stanza as defined")]
    Stanza,
    /// Nested deeper than allowed.
    #[error("too deep")]
    TooDeep,
    /// Larger than allowed.
    #[error("too large")]
    TooLarge,
    /// A version this crate does not know.
    #[error("unknown version")]
    Version,
    /// Not well-formed XML with namespaces.
    #[error("not well-formed")]
    Xml,
}

/// How a peer broke the rules.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// A public key that is not canonical, of small order, or of the wrong length.
    #[error("bad key")]
    BadKey,
    /// Outside the time in which it is valid.
    #[error("expired or not yet valid")]
    Expired,
    /// A second value where only one may be, such as another KEM key for one epoch.
    #[error("equivocation")]
    Equivocation,
    /// Epoch, counter or field that the session's state does not allow.
    #[error("out of turn")]
    OutOfTurn,
    /// A device that its account's list does not hold, or has retired.
    #[error("retired device")]
    Retired,
    /// The answer to a protected iq without protection, or with the protection of another answer.
    #[error("not the answer to what was asked")]
    NotTheAnswer,
    /// An older version or sequence than the one known.
    #[error("rolled back")]
    RolledBack,
    /// More skipped messages than allowed.
    #[error("too many skipped")]
    TooManySkipped,
    /// A suite that is not what both lists and policies give.
    #[error("wrong suite")]
    WrongSuite,
    /// Another account, device or record than the one it must be of.
    #[error("wrong subject")]
    WrongSubject,
    /// More outstanding work than one peer may cause.
    #[error("too much at once")]
    TooMuch,
}

/// Why an acceptable stanza cannot be read on this device.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// An error for a stanza that is not outstanding.
    #[error("returned, and unknown here")]
    Bounced,
    /// For another device of this account.
    #[error("not for this device")]
    NotForThisDevice,
    /// No session it could belong to.
    #[error("no session")]
    NoSession,
    /// A record or prekey of ours that is gone.
    #[error("prekey gone")]
    NoPrekey,
    /// An advert's record, which neither the server nor the device gave.
    #[error("the record named cannot be had")]
    NoRecord,
    /// A key of an algorithm that no suite here has.
    #[error("unknown algorithm")]
    UnknownAlgorithm,
    /// A signed statement too old to be told from one that has come.
    #[error("too old to be told from one that has come")]
    TooOld,
    /// The key agent refused or did not answer.
    #[error("no answer from the key agent")]
    Agent,
}

impl From<Malformed> for Reason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Misbehaviour> for Reason {
    fn from(misbehaviour: Misbehaviour) -> Self {
        Self::Misbehaved(misbehaviour)
    }
}

impl From<Unreadable> for Reason {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<crate::wire::Undecodable> for Reason {
    fn from(_: crate::wire::Undecodable) -> Self {
        Self::Malformed(Malformed::Encoding)
    }
}

/// A mistake in the calling program. It can be found and mended by reading the code; nothing the
/// network sends causes it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// Consent to clear text for another account than the stanza's.
    #[error("consent for another account")]
    Consent,
    /// Not another device that lives by the own account's list, or one that has no suite in common to seal a file with. To
    /// retire: a number that no device can have, or there is no list yet.
    #[error("no such device of the own account")]
    Device,
    /// A file of history, or a name for one, of another device or account, or that cannot be one.
    #[error("not a file of history of this device")]
    History,
    /// The agent's identity cannot be certified, or is not the one the store was made with.
    #[error("the agent's identity does not fit")]
    Identity,
    /// Ten thousand delivered stanzas that the application has not taken.
    #[error("nothing delivered is taken")]
    InboxFull,
    /// A JID that is not one.
    #[error("not a JID")]
    Jid,
    /// A key decided about that is not the one the contact has, or has shown: also when that has changed while the user
    /// was looking. Read [`Engine::contact`](crate::Engine::contact) anew.
    #[error("not the key shown")]
    Key,
    /// A name of a device that is too long or has control characters.
    #[error("not a name of a device")]
    Name,
    /// Only a device whose agent has the account key does this: [`Engine::standing`](crate::Engine::standing) says it.
    #[error("this device has no account key")]
    NoAccountKey,
    /// A stored record that does not decode, or that another account or version wrote.
    #[error("a stored record is damaged")]
    Record,
    /// The stanza handed in is not one stanza as RFC 6120 has it.
    #[error("not a stanza: {0}")]
    Stanza(Malformed),
    /// A shared secret that is empty, or one or its question too long: more than 1,024 bytes.
    #[error("an empty secret, or a text too long")]
    Text,
    /// No decision: trust that is [unknown](crate::Trust::Unknown), or by [no act](crate::Means::First) of the user.
    #[error("no decision")]
    Trust,
}

/// Why an input was not handled. The engine is unchanged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The calling program must be mended.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// These stored records are needed: [`Engine::load`](crate::Engine::load) them and hand in the
    /// same input again.
    #[error("stored records are needed")]
    NotLoaded(Vec<crate::store::RecordKey>),
}

impl From<crate::store::table::Missing> for Error {
    fn from(missing: crate::store::table::Missing) -> Self {
        Self::NotLoaded(vec![missing.0])
    }
}
