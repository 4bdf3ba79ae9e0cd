//! Records of what is under way: stanzas out and in, requests, handshakes.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use super::{MAX_RECORD, VERSION};
use crate::env::Timestamp;
use crate::identity::Digest;
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::stanza::AnswerTag;
use crate::step::{Form, NotCovered, Via};
use crate::store::table::Record;
use crate::trust::Trust;
use crate::wire::{self, Bytes, Undecodable};

/// A sealed stanza that the other side has not acknowledged.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct OutboxItem {
    pub(crate) token: Option<u64>,
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) to: BareJid,
    /// The stanza's id, by which an error answers it.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) stanza_id: String,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) stanza: String,
    pub(crate) devices: Vec<u32>,
    pub(crate) own_devices: Vec<u32>,
    pub(crate) missing: Vec<NotCovered>,
    pub(crate) resources_without: u16,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) clear: bool,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) readable: bool,
}

record!(OutboxItem, 10, u64);

/// An acknowledged stanza, by its token: remembered a while, because an error may still come back
/// for it.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Acknowledged {
    pub(crate) order: u64,
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) to: BareJid,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) stanza_id: String,
}

record!(Acknowledged, 17, u64);

/// A delivered stanza that the application has not taken.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct InboxItem {
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) stanza: String,
    pub(crate) suite: u16,
    pub(crate) level: u8,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) one_time: bool,
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) sender: BareJid,
    pub(crate) device: u32,
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) addressed: BareJid,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) sent: Timestamp,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) id_protected: bool,
    pub(crate) via: Via,
    /// What stood outside beside it: see [`Context`](crate::Context).
    pub(crate) unauthenticated: Vec<Bytes>,
    pub(crate) dropped: Vec<Bytes>,
    pub(crate) missing: u16,
    pub(crate) form: Form,
    pub(crate) trust: Trust,
}

record!(InboxItem, 11, u64);

/// A protected iq of ours that is not answered yet, by the device asked and the tag of its answer.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Question {
    pub(crate) token: u64,
    /// As handed in: the answer is handed over as from there, under this id.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) to: String,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) id: String,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) forget_at: Timestamp,
}

record!(Question, 18, (BareJid, u32, AnswerTag), |question| Some(question.forget_at));

/// A protected iq of somebody else's that the application has not answered yet, by the id under which it was handed over.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Inquiry {
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) jid: BareJid,
    /// From where it came, and its own id.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) from: String,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) id: String,
    /// The device that asked, and what the answer is to name the question by.
    pub(crate) device: u32,
    pub(crate) tag: AnswerTag,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) forget_at: Timestamp,
}

record!(Inquiry, 19, String, |inquiry| Some(inquiry.forget_at));

/// A stanza handed in that waits, under the number its outbox item will have.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct WaitingSend {
    pub(crate) token: u64,
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) to: BareJid,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) stanza: String,
    /// The least level; zero if the policy decides and may yet decide for clear text.
    pub(crate) level: u8,
    pub(crate) form: Form,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) give_up: Timestamp,
    /// What the application was last told it waits for.
    pub(crate) told: u8,
}

record!(WaitingSend, 12, u64, |send| Some(send.give_up));

/// An outstanding iq of the engine.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Request {
    /// The JID asked, as the answer's `from` must be; empty for the own account.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) to: String,
    /// The device asked, for its keys; else zero.
    pub(crate) device: u32,
    pub(crate) query: Query,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) deadline: Timestamp,
}

record!(Request, 13, String, |request| Some(request.deadline));

/// What an iq asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Query {
    /// The device list in PEP.
    List = 1,
    /// The device records in PEP.
    Records = 2,
    /// Record, list and one-time prekeys, of the device itself.
    Keys = 3,
    /// A step of the publication of one's own.
    Publication = 4,
    /// That the account has left.
    Tombstone = 5,
    /// The item of the own record is taken back; whether it could be changes nothing.
    Retraction = 6,
    /// The device list in PEP, over which a device that has left is to put its last one.
    Farewell = 7,
}

/// An outstanding request to the key agent.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Ask {
    /// The request as bytes.
    pub(crate) request: Bytes,
    pub(crate) purpose: Purpose,
    /// The device pair concerned, for handshakes.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) jid: String,
    pub(crate) device: u32,
    /// The stanza that waits for it, for a statement; else zero.
    pub(crate) order: u64,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) deadline: Timestamp,
}

record!(Ask, 14, u64, |ask| Some(ask.deadline));

/// What the agent's answer is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Purpose {
    Certificate = 1,
    List = 2,
    Record = 3,
    Advert = 4,
    Prekeys = 5,
    Open = 6,
    Accept = 7,
    Tombstone = 8,
    Statement = 9,
    Provisional = 10,
    LinkCertificate = 11,
    Renewal = 12,
}

/// A handshake that this side opens.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Opening {
    /// The agent request it waits for; zero while there is none.
    pub(crate) ask: u64,
    pub(crate) stage: OpeningStage,
    pub(crate) suite: u16,
    /// The initiator's state, while the agent is asked.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) state: Secret,
    /// The resumption secret named; empty if none.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) resumption: Secret,
    pub(crate) counter: u64,
    /// Whether an empty message is to be sent in the new session, so that the peer learns of it.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) announce: bool,
    /// Whether it names no resumption secret, for the two sides have none in common.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) unchained: bool,
}

record!(Opening, 15, (BareJid, u32));

/// How far an opening handshake is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum OpeningStage {
    /// One-time prekeys have been asked of the device.
    Prekeys = 1,
    /// The agent has been asked for the legs.
    Legs = 2,
}

/// A first flight that arrived, while the agent is asked for its legs, and what came after it.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Arrival {
    /// The agent request it waits for.
    pub(crate) ask: u64,
    /// Whether the leg asked for is `ea`, else it is `aa`.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) sealed: bool,
    pub(crate) suite: u16,
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) state: Secret,
    pub(crate) record_sequence: u32,
    pub(crate) ephemeral: Digest,
    pub(crate) one_time: u32,
    pub(crate) kem_one_time: u32,
    /// From the payload, once open.
    pub(crate) certificate: Bytes,
    pub(crate) suites: Vec<u16>,
    pub(crate) counter: u64,
    pub(crate) list_version: u32,
    pub(crate) resumption: Bytes,
    /// The stanzas as received, the flight's first.
    pub(crate) stanzas: Vec<Bytes>,
}

record!(Arrival, 16, (BareJid, u32));

/// A run of linking, by the number of the other device. On a new device that looks for others there is one under zero,
/// with its provisional certificate.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Linking {
    /// Whether this device is the new one.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) new: bool,
    pub(crate) stage: LinkingStage,
    pub(crate) run: [u8; 16],
    /// The session for it; zeros if there is none.
    pub(crate) session: [u8; 16],
    /// The full JID of the new device; empty on that.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) address: String,
    /// The other device's certificate: on an old device it is provisional.
    pub(crate) certificate: Bytes,
    /// The contributions to the string.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) mine: Secret,
    pub(crate) theirs: [u8; 32],
    pub(crate) commitment: Digest,
    /// Whether the users of this and the other device have seen the same string.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) confirmed: bool,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) other_confirmed: bool,
    /// The new device's certificate; empty before the agent has signed it. On a device that is linked again, of its
    /// search: the list that it had.
    pub(crate) issued: Bytes,
    /// The last message, while nothing has answered it, and when it is said again, in milliseconds.
    pub(crate) last: Bytes,
    pub(crate) again_at: Option<u64>,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) deadline: Timestamp,
}

impl Linking {
    /// A run of which nothing is known yet.
    pub(crate) fn begun(new: bool, stage: LinkingStage, deadline: Timestamp) -> Self {
        Self {
            new,
            stage,
            run: [0; 16],
            session: [0; 16],
            address: String::new(),
            certificate: Bytes::new(Vec::new()),
            mine: Secret::from(&[][..]),
            theirs: [0; 32],
            commitment: [0; 32],
            confirmed: false,
            other_confirmed: false,
            issued: Bytes::new(Vec::new()),
            last: Bytes::new(Vec::new()),
            again_at: None,
            deadline,
        }
    }
}

record!(Linking, 22, u32, |linking| {
    let again = linking.again_at.map(Timestamp::from_millis);
    Some(again.map_or(linking.deadline, |again| again.min(linking.deadline)))
});

/// How far a run is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum LinkingStage {
    /// A new device looks for others.
    Searching = 1,
    /// There is no session yet, or nothing has been said in it.
    Opening = 2,
    /// The old device's user is asked.
    Asked = 3,
    /// That user has agreed; the new device's contribution is awaited.
    Accepted = 4,
    /// The users compare.
    Comparing = 5,
    /// The agent certifies the new device.
    Certifying = 6,
    /// The list with the new device is made.
    Listing = 7,
    /// The new device has been sent all that it needs.
    Sent = 8,
    /// It came to nothing, on a new device that asks others.
    Ended = 9,
}
