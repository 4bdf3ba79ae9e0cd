//! What the application, and often the user, should know.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::engine::HistoryOffer;
use crate::error::Reason;
use crate::history::HistoryEnd;
use crate::jid::BareJid;
use crate::short_string::ShortString;
use crate::step::Consent;
use crate::trust::{Means, Trust};
use crate::verify::{Question, RunId, VerificationFault};

/// Something to know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The own account shows another account key besides the one that this device is established under. Either the user
    /// has said [`Command::BeginAnew`](crate::Command::BeginAnew) on another device, and contacts no longer take this
    /// one's messages once they have accepted the new key; or the server shows a key that it made up; or somebody who
    /// has the account's password has published one: change it, end sessions that are not the user's, and tell contacts
    /// by another way to reject that key. This device goes on. One without account key can be
    /// [linked](crate::Command::Link) to a new key of the user's. Told once for each key.
    AccountKeyContested {
        /// The digest of that key.
        digest: [u8; 32],
    },
    /// An available presence without advert from a resource whose device is known: the server may
    /// have taken it out.
    AdvertMissing {
        /// The account.
        peer: BareJid,
    },
    /// The key agent refused, or did not answer in time.
    AgentFailed,
    /// A clear-text message from an account that is known to encrypt. It follows as `Pass`.
    ClearText {
        /// The account.
        peer: BareJid,
        /// With this the user can answer in clear.
        consent: Consent,
    },
    /// Somebody else has this device's keys and state: its own advert or record has come, and it has not made it. It
    /// is a copy of this device that runs too, or this state was put back from a backup without
    /// [`Command::Restored`](crate::Command::Restored). The engine goes on as if that had been said.
    Cloned,
    /// A device of a known account, or of the own one, is one no more: the account's list says so.
    DeviceRetired {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
    },
    /// The same stanza again, or one too old to be told from it, or one that this device has sent. Not an error.
    Duplicate {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
    },
    /// The account encrypts from now on: its advert has been verified.
    Encrypts {
        /// The account.
        peer: BareJid,
        /// The digest of its account key.
        digest: [u8; 32],
    },
    /// A message that says that it is under another encryption, such as OMEMO or `OpenPGP`. It follows as `Pass`. If it
    /// cannot be decrypted so, anybody on the way may have made it, also if the account is known to encrypt: there is
    /// no [`ClearText`](Self::ClearText) for it. A body beside it is unprotected.
    Foreign {
        /// The account that it claims to be from.
        peer: BareJid,
        /// The namespace of that encryption, at most 100 characters of it.
        namespace: String,
    },
    /// The key of a file of history was forgotten. The device that hands in
    /// [`TakeHistory`](crate::Command::TakeHistory) or [`DropHistory`](crate::Command::DropHistory) gets no event for
    /// it.
    HistoryEnded {
        /// The name of the file.
        id: [u8; 16],
        /// The other device.
        device: u32,
        /// Why.
        why: HistoryEnd,
    },
    /// Another device of the own account has sealed a file of history for this one. `Engine::open_history` reads it once
    /// the application has it.
    HistoryOffered(HistoryOffer),
    /// There is another account key of the account than the one known: the account shows it now, or another own device
    /// has verified it. Nothing is sent until the user accepts or rejects it.
    KeyChanged {
        /// The account.
        peer: BareJid,
        /// The digest of the new key.
        digest: [u8; 32],
        /// Whether another device of the own account has verified this key: then it is the one known until now that may
        /// be somebody else's. Once accepted it is verified here too.
        verified_elsewhere: bool,
    },
    /// This account key is already known under another JID.
    KeyReused {
        /// The account that shows it now.
        peer: BareJid,
        /// The account it was known for.
        known: BareJid,
    },
    /// The account has left the protocol, by a statement it signed.
    Left {
        /// The account.
        peer: BareJid,
    },
    /// A device is now one of the own account: this one, or one that this one has linked.
    Linked {
        /// The device.
        device: u32,
    },
    /// A device that says that it is a new one of the own account asks to be linked. Show it only where the user is just
    /// then setting one up: a server can make such devices up. [`Command::AcceptLinking`](crate::Command::AcceptLinking)
    /// or [`CancelLinking`](crate::Command::CancelLinking) answers.
    LinkingAsked {
        /// The device.
        device: u32,
        /// Names the run.
        run: RunId,
    },
    /// Linking has come to nothing.
    LinkingFailed {
        /// Names the run.
        run: RunId,
        /// Why.
        why: LinkFault,
    },
    /// This device looks for others of the account that take it in. With the run the search can be
    /// [cancelled](crate::Command::CancelLinking). Told again after a restart.
    LinkingStarted {
        /// Names the run.
        run: RunId,
    },
    /// Both devices show this string, and the user compares:
    /// [`Command::ConfirmLinking`](crate::Command::ConfirmLinking) on both.
    LinkingString {
        /// Names the run.
        run: RunId,
        /// The string.
        string: ShortString,
    },
    /// The device list that the account's devices name cannot be fetched. It is asked for again; this is told once for
    /// each stream.
    ListWithheld {
        /// The account.
        peer: BareJid,
    },
    /// A new device of a known account, certified by its account key; or of the own account, in its list, but for one
    /// that this device has linked. It may be one of before, of which this device has only now heard. If the user has
    /// never added it, somebody has the account key: [`RetireDevice`](crate::Command::RetireDevice) at once, then begin
    /// anew.
    NewDevice {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
    },
    /// The own account shows another account key than this device's agent has: made on another device, perhaps, or by the
    /// server. Nothing is published over it, and nothing is sent, until the user says
    /// [`Command::BeginAnew`](crate::Command::BeginAnew), or this device is set up anew: with an agent without account
    /// key and an empty store it can be [linked](crate::Command::Link). Told again after a restart.
    OtherAccountKey {
        /// The digest of that key.
        digest: [u8; 32],
    },
    /// Keys could not be published through the server as they should be; they are still answered by
    /// IQ. Told once for each change of what is wrong, however often it is tried.
    PublishFailed {
        /// What is wrong.
        why: PublishFault,
    },
    /// Keys are published again after a failure.
    Published,
    /// Messages of this device could not be read, and it has been asked to send them again.
    Recovering {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
    },
    /// A stanza was refused. Nothing but bounded counters and timers has changed.
    Rejected {
        /// From whom, as far as the stanza can be believed.
        peer: Option<BareJid>,
        /// From which device, as far as it can be believed.
        device: Option<u32>,
        /// Why.
        reason: Reason,
        /// Whether the device will be asked for it again. If it has kept the message, that is delivered then.
        recoverable: bool,
    },
    /// A device could not read messages, and has been sent them again.
    Resent {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
        /// How many.
        count: u16,
    },
    /// This device is retired: by another of the own account, by one that has [left](crate::Command::Leave) with all of
    /// them, or by itself. It seals nothing any more. The device that says `Leave` gets no event.
    Retired,
    /// A record or list older than the one known was fetched, or an equal number with other content. Only such a list is
    /// taken, and only if no retired device lives by it: two devices of the account may have made one at once.
    RolledBack {
        /// The account.
        peer: BareJid,
    },
    /// The user has scanned a code: this has come of it.
    Scanned {
        /// The account whose code it is.
        peer: BareJid,
        /// What.
        outcome: ScanOutcome,
    },
    /// The suites of a device shrank within one record sequence.
    SuitesShrank {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
    },
    /// A valid handshake named a secret that the device had moved past: it was restored from a
    /// backup, or cloned.
    Superseded {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
    },
    /// The own account's list is full; this device cannot be added before another is retired.
    TooManyDevices,
    /// Something has been decided about the contact's account key.
    TrustChanged {
        /// The account.
        peer: BareJid,
        /// What.
        trust: Trust,
        /// By what means.
        means: Means,
    },
    /// A handshake that does not name the live session's secret has replaced that session.
    Unchained {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
    },
    /// A stanza in clear whose authentication cannot be checked on this device: it was not meant for it, or keys are not
    /// known. It follows as `Pass`: nobody vouches for it here.
    Unverified {
        /// The account that it claims to be from.
        peer: BareJid,
        /// Why not.
        reason: Reason,
    },
    /// A contact wants to compare account keys. Ask the user, who answers with
    /// [`AnswerSecret`](crate::Command::AnswerSecret) if there is a question, else with
    /// [`AcceptVerification`](crate::Command::AcceptVerification), or with
    /// [`CancelVerification`](crate::Command::CancelVerification).
    VerificationAsked {
        /// The account.
        peer: BareJid,
        /// The device that asks.
        device: u32,
        /// The run.
        run: RunId,
        /// The question, if a secret is to be compared.
        question: Option<Question>,
    },
    /// Both sides have confirmed: the account key is the contact's, and is [verified](Trust::Verified) now.
    VerificationDone {
        /// The account.
        peer: BareJid,
        /// The run.
        run: RunId,
    },
    /// A comparison of keys came to nothing. Close its dialogue.
    VerificationFailed {
        /// The account.
        peer: BareJid,
        /// The run.
        run: RunId,
        /// Why.
        why: VerificationFault,
    },
    /// A comparison of keys was begun here; the contact is being asked.
    VerificationStarted {
        /// The account.
        peer: BareJid,
        /// The device that is asked.
        device: u32,
        /// The run.
        run: RunId,
    },
    /// The short string of a comparison. Show it, and have both users read theirs to each other by another way than this
    /// one: by telephone or in person. Then [`ConfirmVerification`](crate::Command::ConfirmVerification).
    VerificationString {
        /// The account.
        peer: BareJid,
        /// The run.
        run: RunId,
        /// The string.
        string: ShortString,
    },
}

/// What has come of a code that was scanned.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ScanOutcome {
    /// No key of the account is known yet. The first that it shows must be this one, and is verified then.
    Expected,
    /// It is of the key known, which was verified already.
    Known,
    /// It is of another key than the one known, and nothing has changed: either the key or the code is somebody else's.
    /// Messages go to the key known as before, unless the user [distrusts](Trust::Distrusted) it.
    Mismatch,
    /// It is of the own account, and right.
    Own,
    /// Its key is verified now: the one known, or the changed one, which is accepted.
    Verified,
}

/// Why linking has come to nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// The account key is not the one that the other device has.
    #[error("the account key is another")]
    AccountChanged,
    /// A key agent refused, or did not answer.
    #[error("the key agent refused")]
    Agent,
    /// One of the two users took it back.
    #[error("cancelled")]
    Cancelled,
    /// Another device has taken it up.
    #[error("taken up by another device")]
    Elsewhere,
    /// What came is not what was agreed on: somebody may stand between.
    #[error("not what was agreed on")]
    Invalid,
    /// The strings were not the same: somebody stands between.
    #[error("the strings were not the same")]
    Mismatch,
    /// The other device refused.
    #[error("refused")]
    Refused,
    /// Ten minutes were not enough.
    #[error("not in time")]
    TimedOut,
    /// Three comparisons within an hour.
    #[error("too many in an hour")]
    TooMany,
}

impl LinkFault {
    /// As it stands in a message.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Cancelled => 1,
            Self::Mismatch => 2,
            Self::TimedOut => 3,
            Self::Elsewhere => 4,
            Self::Refused => 5,
            Self::AccountChanged => 6,
            Self::Agent => 7,
            Self::TooMany => 8,
            Self::Invalid => 9,
        }
    }

    /// What a number in a message says; one that is not known ends a run like any other.
    pub(crate) fn from_code(code: u8) -> Self {
        match code {
            2 => Self::Mismatch,
            3 => Self::TimedOut,
            4 => Self::Elsewhere,
            5 => Self::Refused,
            6 => Self::AccountChanged,
            7 => Self::Agent,
            8 => Self::TooMany,
            9 => Self::Invalid,
            _ => Self::Cancelled,
        }
    }
}

/// What is wrong with the publication of the own keys in PEP (XEP-0163). Until it is mended only
/// contacts that are online at the same time can get keys for a first message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
#[repr(u8)]
pub enum PublishFault {
    /// The server has no PEP: it answers `service-unavailable`, `feature-not-implemented` or
    /// `item-not-found`.
    Absent = 1,
    /// The server refuses with another error, such as `forbidden`, `policy-violation` or
    /// `resource-constraint`.
    Refused = 2,
    /// The node has another access model than `open` (`precondition-not-met`), and could not be
    /// configured. If the keys could be published in it as it is, those who see presence may read
    /// them.
    AccessModel = 3,
    /// The server took a record, and when the node was read back this one or that of another device
    /// of the account was not there.
    Lost = 4,
    /// The server did not answer in time.
    NoAnswer = 5,
}
