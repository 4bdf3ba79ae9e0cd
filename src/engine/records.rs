//! What the engine stores, one type per kind of record.

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::engine::publish::Publishing;
use crate::engine::seen::Seen;
use crate::env::Timestamp;
use crate::identity::{DeviceEntry, Digest};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::session::{Session, SkippedBlock};
use crate::step::{PublishFault, SendError};
use crate::store::table::{Key, Record};
use crate::trust::{Decision, PastDecision, Trust, TrustPolicy};
use crate::wire::{self, Bytes, Undecodable};

/// The version of every record of this file.
const VERSION: u8 = 0;

/// No stored record is larger: a whole stanza and its envelope.
const MAX_RECORD: usize = 2 * 1024 * 1024;

/// A record that is a TLS structure behind a version byte; its deadline and its place in the queue,
/// if it has them.
macro_rules! record {
    ($type:ident, $kind:literal, $key:ty $(, $deadline:expr $(, $queued:expr)?)?) => {
        impl Record for $type {
            const KIND: u8 = $kind;
            type Key = $key;

            fn encode(&self) -> Zeroizing<Vec<u8>> {
                wire::encode_secret(&(VERSION, self))
            }

            fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
                match bytes.split_first() {
                    Some((&VERSION, body)) => wire::decode(body, MAX_RECORD),
                    _ => Err(Undecodable),
                }
            }

            $(fn deadline(&self) -> Option<Timestamp> {
                let deadline: fn(&Self) -> Option<Timestamp> = $deadline;
                deadline(self)
            }

            $(fn queued(&self) -> Option<Timestamp> {
                let queued: fn(&Self) -> Option<Timestamp> = $queued;
                queued(self)
            })?)?
        }
    };
}

mod history;
mod recovery;
mod verification;
mod work;

pub(crate) use history::{History, HistoryState};
pub(crate) use recovery::{Kept, Trouble};
pub(crate) use verification::{Begun, Run, Stage, Verification};
pub(crate) use work::{
    Acknowledged, Arrival, Ask, InboxItem, Inquiry, Linking, LinkingStage, Opening, OpeningStage, OutboxItem,
    Purpose, Query, Question, Request, WaitingSend,
};

/// This device, as far as it changes rarely.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, stored as one record")]
pub(crate) struct Own {
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) jid: BareJid,
    pub(crate) device: u32,
    /// The highest serial of a certificate asked for.
    pub(crate) serial: u32,
    /// Exact bytes; empty before the agent has certified this device.
    pub(crate) certificate: Bytes,
    /// Exact bytes of the current record; empty before there is one.
    pub(crate) record: Bytes,
    pub(crate) record_sequence: u32,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) rotate_at: Timestamp,
    /// The base64 of the current advert; empty before there is one.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) advert: String,
    pub(crate) advert_sequence: u32,
    /// What the advert was made for.
    pub(crate) advert_record: Digest,
    pub(crate) advert_list: u32,
    pub(crate) advert_meaning: Option<Digest>,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) readvertise_at: Timestamp,
    /// The last broadcast presence as handed in; empty while unavailable.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) presence: String,
    /// The digest of what it means, if that is to be signed.
    pub(crate) presence_meaning: Option<Digest>,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) presence_sent: Timestamp,
    /// The token of a presence held until there is an advert, and until when it is held.
    pub(crate) held: Option<u64>,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) held_until: Timestamp,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) connected: bool,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) resource: String,
    /// Since the last `Connected`: own list fetched; list and record read back as published.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) list_fetched: bool,
    /// The server's answer was no good list; an own one is not put over what may be there.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) list_refused: bool,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) list_published: bool,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) record_published: bool,
    /// Published in nodes that may not be open.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) list_restricted: bool,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) record_restricted: bool,
    /// Whether the node of the records has been configured to keep one for each device.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) room_made: bool,
    /// What the next version of the list is to say besides: devices that were retired or taken in here, and what a list
    /// made elsewhere at the same time lacks.
    pub(crate) amends: Vec<DeviceEntry>,
    /// The name that the user has given this device; empty if none.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) name: String,
    /// Whether it ever was given one.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) renamed: bool,
    /// Whether it has been told that the list has no room.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) list_full: bool,
    /// Whether two lists of the present version have been seen, so that there must be a next.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) list_forked: bool,
    /// When devices asked to be linked, and when strings were compared, in milliseconds.
    pub(crate) linking_requests: Vec<u64>,
    pub(crate) linking_runs: Vec<u64>,
    /// When another device was last asked for a certificate, in milliseconds, and how often that was.
    pub(crate) renewal_asked: u64,
    pub(crate) renewals: u32,
    /// The digest of another account key that the account shows; nothing is published over it.
    pub(crate) other_account: Option<Digest>,
    /// That of the one that the user has given up.
    pub(crate) disowned: Option<Digest>,
    /// Those of keys that it has been told the account shows besides this device's own, the newest last.
    pub(crate) contested: Vec<Digest>,
    /// The version of the list that the devices with a session have been told of, or are told of.
    pub(crate) announced: u32,
    /// From whom on they have not been told yet.
    pub(crate) untold: Option<Untold>,
    /// What an iq is under way for.
    pub(crate) publishing: Option<Publishing>,
    /// What is wrong, as it was told; how often in a row; and when it is tried again.
    pub(crate) publish_fault: Option<PublishFault>,
    pub(crate) publish_failures: u8,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) publish_at: Timestamp,
    /// When something of all this is due next, in milliseconds. What is overdue waits for an answer,
    /// which has a time limit of its own.
    pub(crate) wake_at: Option<u64>,
    /// When an agent that refused is asked again, in milliseconds.
    pub(crate) agent_retry_at: Option<u64>,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) left: bool,
    /// Not yet run since the engine was restored: what was delivered comes again, and what was asked
    /// is asked again.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) restarted: bool,
    /// The last number given out when the stream was lost: what was sealed since has not been on it.
    pub(crate) lost_after: u64,
    /// Counts connections: what a contact's presence said holds for one.
    pub(crate) connection: u32,
    /// The sequence of the advert in the last broadcast presence; zero if it had none.
    pub(crate) presence_advert: u32,
    /// When this state was last put back from a backup.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) restored_at: Timestamp,
    /// How often it was: a session that was made before the last time does not seal.
    #[tls_codec(with = "crate::session::codec::varint32")]
    pub(crate) restores: u32,
    /// When it was last told that somebody else has these keys, in milliseconds.
    pub(crate) cloned_at: u64,
    pub(crate) catch_up: Option<CatchUp>,
    /// Whether a tombstone is to be signed.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) leaving: bool,
    /// The exact bytes of the tombstone, until the server has it.
    pub(crate) tombstone: Bytes,
}

/// Devices are being told of a new list.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Untold {
    /// The device that is next.
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) jid: BareJid,
    pub(crate) device: u32,
    /// When it goes on at the latest.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) at: Timestamp,
}

/// An archive is being read.
#[derive(Clone, Copy, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct CatchUp {
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) began: Timestamp,
    /// Milliseconds with a stream, before the present one.
    pub(crate) connected: u64,
    /// Since when there is a stream, in milliseconds.
    pub(crate) since: Option<u64>,
}

impl Own {
    /// Whether the keys are where others look for them, or an event has said that they are not.
    pub(crate) fn is_published(&self) -> bool {
        self.publish_fault.is_some() || (self.list_published && self.record_published)
    }
}

record!(Own, 1, (), |own| if own.connected { own.wake_at.map(Timestamp::from_millis) } else { None });

/// The next numbers; apart, because every message changes them.
#[derive(Clone, Default, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Counters {
    /// Of stanzas handed in, and of those sent.
    pub(crate) outbox: u64,
    pub(crate) inbox: u64,
    pub(crate) ask: u64,
    pub(crate) request: u64,
    pub(crate) prekey: u32,
    /// The time that the last message said, in milliseconds.
    pub(crate) time: u64,
    /// Of signed statements.
    pub(crate) statement: u64,
    /// The size of all messages kept to be sent again.
    pub(crate) kept: u64,
}

record!(Counters, 2, ());

/// A private prekey of ours.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct OwnKey {
    pub(crate) algorithm: u16,
    pub(crate) id: u32,
    pub(crate) public: Bytes,
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) secret: Secret,
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The prekeys of one of our records, kept until peers that had the record are done with it.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct OwnPrekeys {
    /// Zeros while the record waits for its signature.
    pub(crate) digest: Digest,
    pub(crate) suites: Vec<u16>,
    pub(crate) signed: Vec<OwnKey>,
    pub(crate) kem: Vec<OwnKey>,
    /// When they go, once a newer record is there.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) retire: bool,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) retire_at: Timestamp,
    /// Flights accepted with them.
    pub(crate) accepted: u32,
}

record!(OwnPrekeys, 3, u32, |keys| keys.retire.then_some(keys.retire_at));

/// A flight accepted: record sequence and hash of `e`. Its presence is all it says.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Accepted {
    /// The session it made.
    pub(crate) session: [u8; 16],
}

record!(Accepted, 4, (u32, Digest));

/// One of our one-time prekeys.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct OneTime {
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) kem: bool,
    pub(crate) key: OwnKey,
    /// Exact bytes as given out; empty while it waits for its signature.
    pub(crate) signed: Bytes,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) given: bool,
    /// The account it was given to.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) asker: String,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) forget_at: Timestamp,
}

record!(OneTime, 5, u32, |key| key.given.then_some(key.forget_at));

/// A device list of before, which names devices that the newest says nothing of: that was made where this one was not
/// shown.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct LeftOut {
    /// Exact bytes.
    pub(crate) list: Bytes,
    /// Until when what such a device writes in its session is read.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) until: Timestamp,
    /// The latest time that this is put off to while an archive is read.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) latest: Timestamp,
    /// Which devices that may not know of it have been shown it since then.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) since: Timestamp,
    pub(crate) shown: Vec<u32>,
}

/// Somebody else's account, or one's own as the other devices show it.
#[derive(Clone, Default, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, stored as one record")]
pub(crate) struct Contact {
    /// Whether the roster lets the account see our presence: then automatic answers tell it nothing.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) friend: bool,
    /// Digest of the account key, from the first record or certificate verified.
    pub(crate) account_key: Option<Digest>,
    /// What is decided about it.
    pub(crate) trust: Decision,
    /// Before it has shown a key: which it must be, and what is decided about that. After that: which another own
    /// device has verified, while this one knows another.
    pub(crate) expected: Option<(Digest, Decision)>,
    /// Whether a key of it has ever been verified.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) once_verified: bool,
    /// Which of its keys are sealed to, if not as for all.
    pub(crate) policy: Option<TrustPolicy>,
    /// The digest of another key the account has shown and the user has not accepted.
    pub(crate) other_key: Option<Digest>,
    /// The key it had before the user accepted the present one. Records under it may still lie about.
    pub(crate) former_key: Option<Digest>,
    /// The account has said, signed, that it left.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) left: bool,
    /// Exact bytes of the newest device list; empty before there is one.
    pub(crate) list: Bytes,
    pub(crate) list_version: u32,
    /// The devices that live by it.
    pub(crate) live: Vec<u32>,
    /// The list before, while `list` does not know of it.
    pub(crate) left_out: Option<LeftOut>,
    /// The highest version that any verified statement named.
    pub(crate) list_named: u32,
    /// The device that named it.
    pub(crate) list_named_by: u32,
    /// Whether an advert or a handshake of the account has been verified: nothing goes to it in clear
    /// from then on, unless the user says so.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) sticky: bool,
    /// The connection that `resources` is of.
    pub(crate) connection: u32,
    pub(crate) resources: Vec<Resource>,
    /// Adverts not yet verified.
    pub(crate) pending: Vec<Pending>,
    /// What has been tried to fetch keys: bits of `fetch`.
    pub(crate) tried: u8,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) fetching: bool,
    /// Whether keys are wanted: an advert is to be verified, or a send waits.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) wanted: bool,
    /// When the last fetch ended.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) checked: Timestamp,
    /// Whether a server gave no answer in the fetch under way.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) unanswered: bool,
    /// How many fetches in a row ended so; and when, in milliseconds, the next one begins.
    pub(crate) silences: u8,
    pub(crate) retry_at: Option<u64>,
    /// How many fetches in a row have found a list that is older than one named.
    pub(crate) withheld: u8,
}

impl Contact {
    /// Whether messages go out protected or not at all: the account is known to encrypt, or shows two keys of which
    /// one may be somebody else's, or one that is not to be used; or the user has scanned its code.
    pub(crate) fn never_clear(&self) -> bool {
        self.encrypts() || self.other_key.is_some() || self.expected.is_some() || self.is_distrusted()
    }

    /// Whether it is known to encrypt: it has shown so, or the user has verified its key; and it has not left.
    pub(crate) fn encrypts(&self) -> bool {
        (self.sticky || self.trust.trust == Trust::Verified) && !self.left
    }

    /// Whether it holds what the user has said, or has to look at, and no server can say again.
    pub(crate) fn is_of_user(&self) -> bool {
        self.expected.is_some() || self.other_key.is_some() || self.policy.is_some()
    }

    /// Whether nothing at all goes to it.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.trust.trust == Trust::Distrusted
    }

    /// What another own device has decided about `key`, if it has verified it and this device knows another.
    pub(crate) fn verified_elsewhere(&self, key: &Digest) -> Option<Decision> {
        let (expected, decision) = self.expected?;
        let other = self.account_key.is_some_and(|known| known != *key);
        (other && expected == *key && decision.trust == Trust::Verified).then_some(decision)
    }

    /// Whether `key` is one that the user may accept in the place of the one known.
    pub(crate) fn may_accept(&self, key: &Digest) -> bool {
        [self.other_key, self.former_key].contains(&Some(*key)) || self.verified_elsewhere(key).is_some()
    }

    /// Forgets which list the account has.
    pub(crate) fn forget_list(&mut self) {
        self.list = Bytes::new(Vec::new());
        self.list_version = 0;
        self.live = Vec::new();
        self.left_out = None;
        self.list_named = 0;
    }

    /// When the next fetch begins, or devices that are left out are read no more.
    fn due(&self) -> Option<Timestamp> {
        let until = self.left_out.as_ref().map(|left_out| left_out.until);
        self.retry_at.map(Timestamp::from_millis).into_iter().chain(until).min()
    }

    /// Whether its key is sealed to; `policy` is that for all.
    pub(crate) fn check_trust(&self, policy: TrustPolicy) -> Result<(), SendError> {
        match self.account_key {
            Some(_) => self.policy.unwrap_or(policy).check(&self.trust, self.once_verified),
            // There is nothing to seal to yet.
            None => Ok(()),
        }
    }
}

record!(Contact, 6, BareJid, Contact::due, |contact| (contact.wanted
    && !contact.fetching
    && contact.retry_at.is_none())
.then_some(contact.checked));

/// What was decided about the keys of an account, and no longer holds; the oldest first.
#[derive(Clone, Default, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct PastDecisions {
    pub(crate) past: Vec<PastDecision>,
}

record!(PastDecisions, 20, BareJid);

/// An available resource.
#[derive(Clone, Debug, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Resource {
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) name: String,
    /// Its device, or zero if it showed no advert.
    pub(crate) device: u32,
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) available: bool,
}

/// An advert not yet verified, and where it came from.
#[derive(Clone, Debug, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Pending {
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) resource: String,
    pub(crate) device: u32,
    pub(crate) advert: Bytes,
    /// The digest of what the presence around it means, if the advert says that it covers it.
    pub(crate) meaning: Option<Digest>,
    /// Whether the device itself has been asked in the fetch under way.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) asked: bool,
}

/// A verified device of another account, or another of one's own.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Device {
    /// Exact bytes of its newest verified record; empty if only a handshake showed it.
    pub(crate) record: Bytes,
    pub(crate) record_digest: Digest,
    pub(crate) record_sequence: u32,
    /// Exact bytes of its certificate.
    pub(crate) certificate: Bytes,
    /// Until when, in seconds, the certificate and the account's list let it be sent to; zero if not
    /// at all.
    pub(crate) good_until: u32,
    /// Whether a list of its account has let it live.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) listed: bool,
    /// How often its sessions were closed since no list lets it live, though it may have said that one was to come.
    pub(crate) closed: u8,
    /// Whether it has said in its newest advert that it retires, or a list has said so, whatever list a server shows.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) retired: bool,
    pub(crate) suites: Vec<u16>,
    pub(crate) advert_sequence: u32,
    /// Digest of the advert of that sequence.
    pub(crate) advert_digest: Digest,
    /// The digest of what the presence with that advert means, if the device has signed it.
    pub(crate) advert_meaning: Option<Digest>,
    /// Of handshakes between this pair: ours, and the highest of theirs.
    pub(crate) sent_counter: u64,
    pub(crate) seen_counter: u64,
    /// The session to send in, and the counter of its handshake.
    pub(crate) live: Option<[u8; 16]>,
    pub(crate) live_counter: u64,
    /// When a handshake was last opened because this device could not be understood, in milliseconds.
    pub(crate) reopened: u64,
    /// Until when nothing is opened with it, for the agent refused, in milliseconds.
    pub(crate) refused_until: u64,
    /// How many messages said that too many before them were lost.
    pub(crate) too_far: u8,
    /// The statements of its signature that have come.
    pub(crate) statements: Seen,
    /// The highest time that messages have said in sessions that are gone, in milliseconds.
    pub(crate) heard: u64,
    /// A message that says a time up to this, in milliseconds, may have come again; what did is forgotten.
    pub(crate) forgotten: u64,
    /// Of another device of the own account: when it was last heard of, to the day.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) last_seen: Timestamp,
    /// The name that it has told; empty if none.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) name: String,
    /// Whether it has been told this device's name.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) named: bool,
}

impl Device {
    /// Whether it is one of its account now.
    pub(crate) fn is_good(&self, now: Timestamp) -> bool {
        now.as_secs() < self.good_until
    }
}

record!(Device, 7, (BareJid, u32));

impl Record for Session {
    const KIND: u8 = 8;
    type Key = SessionKey;

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        Session::encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        Session::decode(bytes)
    }
}

/// Account, device, session id.
pub(crate) type SessionKey = (BareJid, u32, [u8; 16]);

impl Record for SkippedBlock {
    const KIND: u8 = 9;
    type Key = ([u8; 16], u32, u32);

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        SkippedBlock::encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        SkippedBlock::decode(bytes)
    }
}

impl Key for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        if bytes.is_empty() { Ok(()) } else { Err(Undecodable) }
    }
}

macro_rules! key {
    ($type:ty, |$self:ident| $encode:expr, |$decoded:ident: $wire:ty| $decode:expr) => {
        impl Key for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                let $self = self;
                out.extend_from_slice(&wire::encode(&$encode));
            }

            fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
                let $decoded: $wire = wire::decode(bytes, crate::store::RecordKey::MAX_LEN)?;
                $decode
            }
        }
    };
}

key!(u32, |key| *key, |key: u32| Ok(key));
key!([u8; 16], |key| *key, |key: [u8; 16]| Ok(key));
key!(u64, |key| *key, |key: u64| Ok(key));
key!((u32, Digest), |key| *key, |key: (u32, Digest)| Ok(key));
key!(([u8; 16], u32, u32), |key| *key, |key: ([u8; 16], u32, u32)| Ok(key));
key!(String, |key| Bytes::from(key.as_bytes()), |key: Bytes| to_text(key));
key!(BareJid, |key| Bytes::from(key.as_str().as_bytes()), |key: Bytes| to_jid(key));
key!((BareJid, u32), |key| (Bytes::from(key.0.as_str().as_bytes()), key.1), |key: (Bytes, u32)| Ok((
    to_jid(key.0)?,
    key.1
)));
key!((BareJid, u64), |key| (Bytes::from(key.0.as_str().as_bytes()), key.1), |key: (Bytes, u64)| Ok((
    to_jid(key.0)?,
    key.1
)));
key!(SessionKey, |key| (Bytes::from(key.0.as_str().as_bytes()), key.1, key.2), |key: (
    Bytes,
    u32,
    [u8; 16]
)| Ok((
    to_jid(key.0)?,
    key.1,
    key.2
)));

fn to_text(bytes: Bytes) -> Result<String, Undecodable> {
    String::from_utf8(bytes.into()).map_err(|_| Undecodable)
}

fn to_jid(bytes: Bytes) -> Result<BareJid, Undecodable> {
    let text = to_text(bytes)?;
    BareJid::parse(&text).ok().filter(|jid| jid.as_str() == text).ok_or(Undecodable)
}
