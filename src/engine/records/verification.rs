//! Comparisons of keys with a contact.

use core::time::Duration;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use super::{MAX_RECORD, VERSION};
use crate::env::Timestamp;
use crate::identity::Digest;
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::short_string::SHORT_STRING_LEN;
use crate::store::table::Record;
use crate::verify::{Method, RUN_ID_LEN};
use crate::wire::{self, Bytes, Undecodable};

/// In this time runs are counted: who guesses has three tries in it.
pub(crate) const RUN_WINDOW: Duration = Duration::from_hours(1);

/// The comparisons with one contact: the one under way, and how many there were.
#[derive(Clone, Default, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Verification {
    /// Those begun in the last hour, oldest first.
    pub(crate) begun: Vec<Begun>,
    /// Requests answered with a refusal since then.
    pub(crate) refusals: u8,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) refused_since: Timestamp,
    pub(crate) run: Option<Run>,
}

impl Verification {
    /// Forgets what is not counted any more.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        self.begun.retain(|begun| now.since(begun.at) < RUN_WINDOW);
        if now.since(self.refused_since) >= RUN_WINDOW {
            self.refusals = 0;
        }
    }

    /// When there is nothing more to know.
    fn forget_at(&self) -> Timestamp {
        let last = self.begun.iter().map(|begun| begun.at).max().unwrap_or_default();
        last.max(self.refused_since).after(RUN_WINDOW)
    }
}

record!(Verification, 21, BareJid, |verification| Some(match &verification.run {
    Some(run) => run.expires,
    None => verification.forget_at(),
}));

/// A run that was begun.
#[derive(Clone, Debug, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Begun {
    pub(crate) run: [u8; RUN_ID_LEN],
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) at: Timestamp,
    /// Whether by this device.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) ours: bool,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Stage {
    /// This device has asked.
    Requested = 1,
    /// It was asked, and its user has not said anything.
    Asked = 2,
    /// It has agreed and committed.
    Committed = 3,
    /// It has sent its contribution, and has the peer's commitment.
    Contributed = 4,
    /// Both sides have the string.
    Shown = 5,
    /// It has answered with a secret.
    Answered = 6,
    /// This device will ask once there is a session.
    Opening = 7,
}

/// A comparison under way.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Run {
    pub(crate) id: [u8; RUN_ID_LEN],
    /// The contact's device.
    pub(crate) device: u32,
    /// Whether this device is the initiator.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) ours: bool,
    pub(crate) method: Method,
    pub(crate) stage: Stage,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) expires: Timestamp,
    /// The account key that is compared.
    pub(crate) account: Digest,
    /// The session it is bound to; none before the responder has agreed.
    pub(crate) session: Option<[u8; 16]>,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) question: String,
    /// Our contribution, or what our side of the PAKE is made from.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) seed: Secret,
    /// What stands for the secret.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) phrase: Secret,
    /// The peer's commitment, or its element.
    pub(crate) theirs: Bytes,
    pub(crate) string: Option<[u8; SHORT_STRING_LEN]>,
    /// What each side says to confirm; empty before they are known.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) our_confirmation: Secret,
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) their_confirmation: Secret,
    /// Whether our user has said that it is the same.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) confirmed: bool,
    /// The peer's confirmation, as it came.
    pub(crate) received: Bytes,
}
