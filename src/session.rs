//! Sessions: the handshake that makes one, and its Double Ratchet with a KEM ratchet beside it
//! (protocol, sections 6 and 7).
//!
//! Pure state: time and randomness are arguments, and what needs a key that only the key agent
//! holds is asked for as data. The caller stores what an operation changed before it uses the
//! result.

pub(crate) mod codec;
pub(crate) mod flight;
pub(crate) mod header;
pub(crate) mod initiator;
pub(crate) mod kem_ratchet;
pub(crate) mod message;
pub(crate) mod ratchet;
pub(crate) mod responder;
pub(crate) mod resumption;
pub(crate) mod skipped;
pub(crate) mod symmetric;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use flight::{Flight, Payload, RESUMPTION_NAME_LEN};
pub(crate) use header::{Context, StanzaKind};
pub(crate) use initiator::{AwaitLegs, ResponderKeys};
pub(crate) use kem_ratchet::KemPolicy;
pub(crate) use message::{MAX_STORED, OpenError, Opened, SKIPPED_LIFE};
pub(crate) use responder::{AwaitAa, AwaitEa, OwnKeys};
pub(crate) use skipped::{BLOCK, SkippedBlock};

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLByteSlice};
use zeroize::Zeroizing;

pub(crate) use crate::agent::Role;
use crate::env::{Env, Timestamp};
use crate::error::{Misbehaviour, Reason};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::session::codec::{SECRET_LEN, derive};
use crate::session::kem_ratchet::KemRatchet;
use crate::session::ratchet::{RatchetKeyPair, ReceivingChain, RootKey, SendingChain};
use crate::session::resumption::Resumption;
use crate::session::symmetric::SymmetricState;
use crate::suite::{Refused, Suite, SuiteId};
use crate::wire::{self, Bytes, Undecodable};

/// Version of the stored form.
const VERSION: u8 = 1;

/// A flight, KEM ratchet state and all chains are below this.
const MAX_SESSION: usize = 32_768;

/// The version of the protocol, as in the prologue.
const PROTOCOL_VERSION: u8 = 0;

/// The length of a session id.
pub(crate) const SESSION_ID_LEN: usize = 16;

/// Messages of a chain this many chains ago have been overtaken by as many round trips.
pub(crate) const MAX_OLD_CHAINS: u32 = 5;

/// Chains known to have been read, so that what comes again is told from a forgery: a page of an archive, or two, even
/// where each message was answered. They take 4 bytes each.
const RECENT_CHAINS: usize = 64;

/// Messages read last of which it can be told that another has taken their place: what two copies of a device
/// write in a minute. They take 8 bytes each.
const MARKS: usize = 8;

/// Chains with skipped keys that are kept while an archive is read, however many begin meanwhile; more is more than
/// the keys that are kept, for any use.
const MAX_KEPT_CHAINS: usize = 256;

/// After this many messages without a reply an empty one is due, so that a device that only reads
/// also heals; often enough for that, and two in a hundred messages.
pub(crate) const HEARTBEAT: u32 = 50;

/// What both sides know before the handshake, and bind.
#[derive(Clone, Copy)]
pub(crate) struct Prologue<'a> {
    pub(crate) initiator: &'a BareJid,
    pub(crate) responder: &'a BareJid,
    pub(crate) initiator_device: u32,
    pub(crate) responder_device: u32,
    /// The digest of the responder's record.
    pub(crate) record: [u8; 32],
}

#[derive(TlsSerialize, TlsSize)]
struct PrologueBytes<'a> {
    version: u8,
    suite: u16,
    initiator: VLByteSlice<'a>,
    responder: VLByteSlice<'a>,
    initiator_device: u32,
    responder_device: u32,
    record: [u8; 32],
}

impl Prologue<'_> {
    fn encode(&self, suite: &Suite) -> Vec<u8> {
        wire::encode(&PrologueBytes {
            version: PROTOCOL_VERSION,
            suite: suite.id.0,
            initiator: VLByteSlice(self.initiator.as_str().as_bytes()),
            responder: VLByteSlice(self.responder.as_str().as_bytes()),
            initiator_device: self.initiator_device,
            responder_device: self.responder_device,
            record: self.record,
        })
    }
}

/// The chain we receive on.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Receiving {
    #[tls_codec(with = "crate::session::codec::varint32")]
    number: u32,
    #[tls_codec(with = "crate::session::codec::varint64")]
    epoch: u64,
    /// How many skipped keys the store has.
    #[tls_codec(with = "crate::session::codec::varint32")]
    unread: u32,
    ratchet_key: Bytes,
    chain: ReceivingChain,
}

/// An earlier chain of which skipped keys are in the store.
#[derive(Clone, Debug, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Earlier {
    #[tls_codec(with = "crate::session::codec::varint32")]
    number: u32,
    #[tls_codec(with = "crate::session::codec::varint64")]
    epoch: u64,
    #[tls_codec(with = "crate::session::codec::varint32")]
    unread: u32,
    /// The start of the hash of its ratchet key.
    id: [u8; 16],
}

/// A message that was read: the start of its ratchet key with its number, and the end of its ciphertext.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Mark {
    place: u32,
    ciphertext: u32,
}

/// A session with one device.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Session {
    role: Role,
    suite: u16,
    id: [u8; SESSION_ID_LEN],
    transcript: Bytes,
    /// Whether a one-time prekey went into the handshake.
    one_time: u8,
    /// Whether anything was sent.
    replied: u8,
    /// How often the device's state had been put back from a backup when this was made.
    #[tls_codec(with = "crate::session::codec::varint32")]
    restores: u32,
    root: RootKey,
    /// Ours, until a message under a new key of the peer's has used it up.
    own: Option<RatchetKeyPair>,
    /// None if the next message we send begins a chain.
    sending: Option<SendingChain>,
    /// The length of the sending chain before (`pn`).
    #[tls_codec(with = "crate::session::codec::varint32")]
    previous: u32,
    receiving: Option<Receiving>,
    earlier: Vec<Earlier>,
    /// Short hashes of the ratchet keys of the last chains.
    recent: Vec<u32>,
    /// The messages read last, the newest first.
    marks: Vec<Mark>,
    /// The highest time that a message of the other side's has said, in milliseconds.
    heard: u64,
    /// The latest time that a message, of any kind, has said.
    latest: u64,
    kem: KemRatchet,
    resumption: Resumption,
    #[tls_codec(with = "crate::session::codec::secret32")]
    exporter: Secret,
    created: u32,
    used: u32,
    #[tls_codec(with = "crate::session::codec::varint32")]
    unanswered: u32,
    /// Repeated before each message until a reply has come.
    flight: Option<Bytes>,
}

impl Session {
    /// Step 6 on the initiator's side: a fresh ratchet key, and the first root step with it.
    fn initiator(
        suite: &Suite,
        symmetric: &SymmetricState,
        signed_prekey: &[u8],
        one_time: bool,
        flight: Bytes,
        env: &mut Env<'_>,
    ) -> Result<Self, Reason> {
        let mut session = Self::new(suite, symmetric, Role::Initiator, one_time, env.now)?;
        session.flight = Some(flight);
        let pair = suite.agreement.generate(env.rng);
        let dh = suite.agreement.agree(&pair.secret, signed_prekey).map_err(bad_key)?;
        let step = session.root.step(suite, &dh, None).map_err(failed)?;
        session.root = step.root;
        session.resumption.push(step.resumption);
        session.sending = Some(SendingChain::new(step.chain));
        session.own = Some(RatchetKeyPair::from(&pair));
        Ok(session)
    }

    /// Step 6 on the responder's side: its signed prekey is its first ratchet key.
    fn responder(
        suite: &Suite,
        symmetric: &SymmetricState,
        signed_prekey: RatchetKeyPair,
        one_time: bool,
        now: Timestamp,
    ) -> Result<Self, Reason> {
        let mut session = Self::new(suite, symmetric, Role::Responder, one_time, now)?;
        session.own = Some(signed_prekey);
        Ok(session)
    }

    fn new(
        suite: &Suite,
        symmetric: &SymmetricState,
        role: Role,
        one_time: bool,
        now: Timestamp,
    ) -> Result<Self, Reason> {
        let derive = |label, len| symmetric.derive(suite, label, len).map_err(failed);
        let id = derive("session id", 16)?.expose().try_into().map_err(|_| failed(Refused))?;
        Ok(Self {
            role,
            suite: suite.id.0,
            id,
            transcript: symmetric.h().into(),
            one_time: u8::from(one_time),
            replied: 0,
            restores: 0,
            root: RootKey::new(derive("root", SECRET_LEN)?),
            own: None,
            sending: None,
            previous: 0,
            receiving: None,
            earlier: Vec::new(),
            recent: Vec::new(),
            marks: Vec::new(),
            heard: 0,
            latest: 0,
            kem: KemRatchet::new(now),
            resumption: Resumption::new(derive("resumption secret", SECRET_LEN)?),
            exporter: derive("exporter", SECRET_LEN)?,
            created: now.as_secs(),
            used: now.as_secs(),
            unanswered: 0,
            flight: None,
        })
    }

    /// The same on both sides, and no secret.
    pub(crate) fn id(&self) -> [u8; SESSION_ID_LEN] {
        self.id
    }

    /// The first byte of the id, as on the wire.
    pub(crate) fn tag(&self) -> u8 {
        let [tag, ..] = self.id;
        tag
    }

    /// The suite to hand to every operation.
    pub(crate) fn suite_id(&self) -> SuiteId {
        SuiteId(self.suite)
    }

    /// Which side of the handshake this device was.
    #[cfg(test)]
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whether a one-time prekey went into the handshake.
    pub(crate) fn used_one_time_prekey(&self) -> bool {
        self.one_time != 0
    }

    /// Notes how often the device's state has been put back from a backup.
    pub(crate) fn set_restores(&mut self, restores: u32) {
        self.restores = restores;
    }

    /// What [`set_restores`](Self::set_restores) noted. If it is more often now, this may be older than what was sealed
    /// with it: it opens what still comes, and must not seal.
    pub(crate) fn restores(&self) -> u32 {
        self.restores
    }

    /// When the handshake was finished here, to the second.
    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_secs(self.created)
    }

    /// When a message was last sent or opened, to the second.
    pub(crate) fn last_used(&self) -> Timestamp {
        Timestamp::from_secs(self.used)
    }

    /// The flight to send before the message, until a reply has come.
    pub(crate) fn flight(&self) -> Option<&[u8]> {
        self.flight.as_ref().map(Bytes::as_slice)
    }

    /// Whether both sides have sent and been heard, as far as this side can know.
    #[cfg(test)]
    pub(crate) fn is_answered(&self) -> bool {
        self.receiving.is_some() && self.replied != 0
    }

    /// The epoch of the KEM ratchet.
    #[cfg(test)]
    pub(crate) fn epoch(&self) -> u64 {
        self.kem.epoch()
    }

    /// Whether an offer or answer of the KEM ratchet is outstanding.
    #[cfg(test)]
    pub(crate) fn kem_pending(&self) -> bool {
        self.kem.is_pending()
    }

    /// Asks for a new epoch of the KEM ratchet as soon as may be.
    pub(crate) fn request_kem(&mut self) {
        self.kem.request();
    }

    /// Whether the initiator still waits for a first reply and repeats its flight meanwhile.
    #[cfg(test)]
    pub(crate) fn wants_reply(&self) -> bool {
        self.role == Role::Responder && self.replied == 0
    }

    /// Takes note of a message read; empty ones do not count.
    pub(crate) fn note_read(&mut self, counts: bool) {
        self.unanswered = self.unanswered.saturating_add(u32::from(counts));
    }

    /// Takes note of the time that a message said.
    pub(crate) fn note_latest(&mut self, time: Timestamp) {
        self.latest = self.latest.max(time.as_millis());
    }

    /// The latest time that a message, of any kind, has said, in milliseconds.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// Notes the time of a message of the application.
    pub(crate) fn note_heard(&mut self, time: Timestamp) {
        self.heard = self.heard.max(time.as_millis());
    }

    /// The highest time that a message has said, in milliseconds.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// Puts the chains back that are too old now: while an archive is read, what is late is still on its way. Those
    /// that are not put back.
    pub(crate) fn keep_chains(&mut self, before: &Self, expired: &[u32]) -> Vec<u32> {
        let room = MAX_KEPT_CHAINS.saturating_sub(self.earlier.len());
        let cut = expired.len().saturating_sub(room);
        let (gone, kept) = expired.split_at(cut);
        let kept = before.earlier.iter().filter(|earlier| kept.contains(&earlier.number)).cloned();
        let kept: Vec<Earlier> = kept.collect();
        self.earlier.splice(0..0, kept);
        gone.to_vec()
    }

    /// Whether an empty message is due; sending anything puts it off.
    pub(crate) fn heartbeat_due(&self) -> bool {
        self.unanswered >= HEARTBEAT
    }

    /// How many skipped keys the store has for this session.
    pub(crate) fn unread(&self) -> u32 {
        let current = self.receiving.as_ref().map_or(0, |receiving| receiving.unread);
        self.earlier.iter().fold(current, |sum, earlier| sum.saturating_add(earlier.unread))
    }

    /// Takes note that the store has dropped `count` skipped keys of `chain`.
    pub(crate) fn forget_skipped(&mut self, chain: u32, count: u32) {
        if let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.number == chain) {
            receiving.unread = receiving.unread.saturating_sub(count);
        }
        for earlier in self.earlier.iter_mut().filter(|earlier| earlier.number == chain) {
            earlier.unread = earlier.unread.saturating_sub(count);
        }
        self.earlier.retain(|earlier| earlier.unread > 0);
    }

    /// A secret for another use, such as media: the same on both sides, apart for each label and
    /// context.
    pub(crate) fn exporter(
        &self,
        suite: &Suite,
        label: &str,
        context: &[u8],
        len: u16,
    ) -> Result<Secret, Refused> {
        let label = wire::encode(&VLByteSlice(label.as_bytes()));
        let context = wire::encode(&VLByteSlice(context));
        derive(suite, &self.exporter, "exported", &[&label, &context], len)
    }

    /// The name of the current resumption secret.
    pub(crate) fn resumption_name(&self, suite: &Suite) -> Result<[u8; RESUMPTION_NAME_LEN], Refused> {
        self.resumption.current_name(suite)
    }

    /// The current resumption secret.
    pub(crate) fn resumption_secret(&self) -> Option<&Secret> {
        self.resumption.current()
    }

    /// The resumption secret of that name.
    pub(crate) fn find_resumption(&self, suite: &Suite, name: &[u8]) -> Option<resumption::Found<'_>> {
        self.resumption.find(suite, name, self.sending.is_some())
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        codec::encode(VERSION, self)
    }

    /// The inverse of [`encode`](Self::encode).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        codec::decode(VERSION, bytes, MAX_SESSION)
    }
}

/// Why a Diffie-Hellman failed: the other's key.
fn bad_key(_: Refused) -> Reason {
    Misbehaviour::BadKey.into()
}

/// A part of the suite refused what this module gave it; no input leads here.
fn failed(_: Refused) -> Reason {
    Reason::Unauthentic
}
