//! What a step gives: a batch to store, and then effects to carry out.

mod event;
mod need;

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::agent::AgentRequest;
use crate::engine::{Engine, Input};
use crate::env::Env;
use crate::error::{Error, Malformed};
use crate::jid::BareJid;
use crate::stanza::Tree;
use crate::store::Batch;
use crate::suite::{Level, SuiteId};

pub use event::{Event, LinkFault, PublishFault, ScanOutcome};
pub(crate) use need::Form;
pub use need::{Authentication, Consent, Need};

/// One transaction of the engine: what it would change and do.
///
/// It borrows the engine, so there is one at a time. Dropping it undoes it. Its effects exist only
/// after [`persist`](Self::persist), so nothing is sent or shown that is not stored.
#[must_use = "a step that is not persisted has not happened"]
pub struct Step<'e> {
    engine: &'e mut Engine,
    effects: Vec<Effect>,
    batch: Batch,
    done: bool,
}

impl<'e> Step<'e> {
    pub(crate) fn new(engine: &'e mut Engine, effects: Vec<Effect>) -> Self {
        let batch = engine.draft_batch();
        Self { engine, effects, batch, done: false }
    }

    /// Handles another input in the same transaction. If this fails, the whole step is undone. A step
    /// takes one `Outgoing` or `Received` at most: `Pass` does not say of which it speaks.
    ///
    /// # Errors
    /// As [`Engine::handle`].
    pub fn also(mut self, env: &mut Env<'_>, input: Input<'_>) -> Result<Self, Error> {
        let mut effects = core::mem::take(&mut self.effects);
        self.engine.run(env, input, &mut effects)?;
        self.effects = effects;
        self.batch = self.engine.draft_batch();
        Ok(self)
    }

    /// What the store must apply.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Has `apply` store the batch, then makes it the engine's state and gives the effects, to be
    /// carried out in their order. If nothing changed, `apply` is not called.
    ///
    /// # Errors
    /// Those of `apply`; then nothing has changed.
    pub fn persist<E>(mut self, apply: impl FnOnce(&Batch) -> Result<(), E>) -> Result<Vec<Effect>, E> {
        if !self.batch.is_empty() {
            apply(&self.batch)?;
        }
        Ok(self.commit())
    }

    /// [`persist`](Self::persist) with an asynchronous store. Dropping the future undoes the step
    /// in memory; if the store may have applied the batch all the same, the engine must be restored.
    ///
    /// # Errors
    /// Those of `apply`; then nothing has changed.
    pub async fn persist_async<E>(
        mut self,
        apply: impl AsyncFnOnce(&Batch) -> Result<(), E>,
    ) -> Result<Vec<Effect>, E> {
        if !self.batch.is_empty() {
            apply(&self.batch).await?;
        }
        Ok(self.commit())
    }

    fn commit(&mut self) -> Vec<Effect> {
        self.done = true;
        self.engine.commit(&self.batch);
        core::mem::take(&mut self.effects)
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.engine.roll_back();
        }
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine: _, effects, batch, done: _ } = self;
        f.debug_struct("Step").field("batch", batch).field("effects", &effects.len()).finish()
    }
}

/// The application's own name for a stanza it hands in, unique among those not yet acknowledged.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "the application's number")]
pub struct Token(pub u64);

/// Names a stanza to be sent until it is acknowledged.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OutboxId(pub(crate) u64);

/// Names a delivered stanza until the application has taken it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InboxId(pub(crate) u64);

impl InboxId {
    /// Its number, for the key under which the application stores the stanza once. Unique as long as the store of
    /// the engine is not emptied.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// Something for the caller to do, after the step is stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum Effect {
    /// The key agent is asked; its answer comes back as [`Input::Agent`].
    Ask(AgentRequest),
    /// A protected stanza, unwrapped as if it had come in the wrapper's place. A message is kept, and
    /// delivered again after a restart, until [`Input::Taken`]; iqs and presence are of one stream, and are not.
    Deliver {
        /// To be given back with [`Input::Taken`].
        id: InboxId,
        /// The stanza.
        stanza: Inbound,
        /// How it was protected.
        protection: Protection,
        /// What is known of it besides.
        context: Context,
        /// Whether it may have been delivered before.
        again: bool,
    },
    /// The stanza of this token was not sent, or ([`SendError::Bounced`]) came back.
    Failed {
        /// The stanza's token.
        token: Token,
        /// Why.
        why: SendError,
    },
    /// Something happened that the application, and often the user, should know.
    Notify(Event),
    /// Use the stanza handed in, as it is, and not under this protocol's protection.
    Pass,
    /// [`Pass`](Self::Pass), for a presence that came; and what it means was signed by this device:
    /// whether its sender is there, show, status, priority and capabilities (XEP-0115). All else in
    /// it, the resource too, is only what servers say.
    PassSigned {
        /// The account.
        peer: BareJid,
        /// The device.
        device: u32,
        /// How far its account's key is trusted.
        trust: crate::trust::Trust,
    },
    /// Send these bytes.
    Send {
        /// To be given back with [`Input::Acknowledged`].
        id: OutboxId,
        /// The token of the stanza it protects, if it does.
        token: Option<Token>,
        /// What to send.
        stanza: Outbound,
    },
    /// The stanza of this token is protected, stored, and in a `Send` of this or an earlier step.
    Sent {
        /// The stanza's token.
        token: Token,
        /// Who can read it.
        coverage: Coverage,
    },
    /// The stanza of this token is stored, and goes out when what it waits for has come.
    Waiting {
        /// The stanza's token.
        token: Token,
        /// For what.
        why: Waiting,
    },
}

/// A stanza to be sent, byte for byte. Only the engine makes one.
#[derive(Clone, Eq, PartialEq)]
pub struct Outbound(pub(crate) String);

impl Outbound {
    /// The bytes to put on the stream.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Outbound {
    /// The same as a tree, for a library that writes its own elements.
    ///
    /// # Errors
    /// None for what this version made; the bytes may have been stored by another.
    pub fn tree(&self) -> Result<Tree<'_>, Malformed> {
        Tree::parse(&self.0)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound({} bytes)", self.0.len())
    }
}

/// A stanza that was protected, as if it had come in the wrapper's place. Only the engine makes one.
#[derive(Clone, Eq, PartialEq)]
pub struct Inbound(pub(crate) String);

impl Inbound {
    /// The stanza as XML, in the default namespace `jabber:client`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Inbound {
    /// The same as a tree.
    ///
    /// # Errors
    /// None for what this version made; it may have been stored by another.
    pub fn tree(&self) -> Result<Tree<'_>, Malformed> {
        Tree::parse(&self.0)
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbound({} bytes)", self.0.len())
    }
}

/// How a delivered stanza was protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Protection {
    /// Encrypted and authenticated in a session.
    Encrypted {
        /// The suite of the session.
        suite: SuiteId,
        /// Its level.
        level: Level,
        /// Whether one-time prekeys went into the session's handshake.
        one_time: bool,
    },
    /// Authenticated in a session, and in clear on the way ([`Need::Authenticated`]). Nobody but the two sides can tell
    /// who has written it.
    Authenticated {
        /// The suite of the session.
        suite: SuiteId,
        /// Its level.
        level: Level,
        /// Whether one-time prekeys went into the session's handshake.
        one_time: bool,
    },
    /// Signed by the device, and in clear on the way. Whoever has it can prove who has written it.
    Signed {
        /// Whether it was for anyone, not only for the account addressed.
        for_anyone: bool,
    },
}

impl Protection {
    /// Whether nobody on the way could read it. Show a padlock only then.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        match self {
            Self::Encrypted { .. } => true,
            Self::Authenticated { .. } | Self::Signed { .. } => false,
        }
    }
}

/// How a message came to this device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
#[repr(u8)]
pub enum Via {
    /// From an archive (XEP-0313): the delivered stanza is the result, with the message in its place.
    Archive = 2,
    /// As a carbon (XEP-0280): the delivered stanza is the carbon, with the message in its place.
    Carbon = 1,
    /// By itself.
    #[default]
    Stream = 0,
}

/// What is known of a delivered stanza besides its content. All of it but `via`, `unauthenticated` and `dropped` is
/// authenticated; of what was signed for anyone, `addressed` is not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Context {
    /// The account that sent it.
    pub sender: BareJid,
    /// The device that sent it.
    pub device: u32,
    /// How far its account's key was trusted when it came. The own account's is verified.
    pub trust: crate::trust::Trust,
    /// The account it was addressed to: one's own, or, for a copy of what another device of one's
    /// own account sent, the peer's.
    pub addressed: BareJid,
    /// When the sender says it sent it. It rises from message to message of one device: in this order they belong,
    /// whatever servers have made of it.
    pub sent: crate::env::Timestamp,
    /// Whether the stanza's id came inside the protection. If not, nothing may refer to it.
    pub id_protected: bool,
    /// How it came. Around a copied message stands what only the own server says.
    pub via: Via,
    /// What servers had added to it by their role, such as `<delay/>` and `<stanza-id/>`: each element as XML. Nobody
    /// vouches for it but the servers on the way.
    pub unauthenticated: Vec<String>,
    /// What else stood beside it in clear, and was dropped: the names, as `{namespace}name`. The sender's software
    /// puts nothing there, so somebody on the way may have.
    pub dropped: Vec<String>,
    /// How many children of a stanza that is authenticated only have not come: archives drop some. What has come is
    /// authentic.
    pub missing: usize,
}

/// Which devices can read what was sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Coverage {
    /// The peer's devices that can. An iq, and a presence to a full JID, goes to the one that is there.
    pub devices: Vec<u32>,
    /// Own other devices that it is sealed for. They get it by a carbon (XEP-0280) or from the archive.
    pub own_devices: Vec<u32>,
    /// Live devices, of both accounts, that cannot.
    pub missing: Vec<NotCovered>,
    /// How many of the peer's available resources showed no advert, and so see nothing.
    pub resources_without: usize,
    /// It went out in clear, for the policy decided so after it had waited.
    pub clear: bool,
    /// It went out authenticated, and in clear: whoever is on the way can read it, and these devices can tell that it
    /// is authentic. A signed one names no devices.
    pub readable: bool,
}

/// A live device that cannot read what was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
pub struct NotCovered {
    /// The device.
    pub device: u32,
    /// Whether it is another device of the own account.
    #[tls_codec(with = "crate::wire::flag")]
    pub own: bool,
    /// Why it cannot.
    pub why: Uncovered,
}

impl NotCovered {
    /// For tests of what shows it.
    #[must_use]
    pub const fn new(device: u32, own: bool, why: Uncovered) -> Self {
        Self { device, own, why }
    }
}

/// Why a live device cannot read what was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[non_exhaustive]
#[repr(u8)]
pub enum Uncovered {
    /// Its certificate or its record has expired: it has not been there for a month.
    Expired = 1,
    /// Neither the server nor the device has given its record: it may be new, or the server hides it.
    NoRecord = 2,
    /// No session could be opened with it a short while ago: the key agent refused, or its keys cannot be used.
    Refused = 3,
    /// It has retired, and its account's list does not say so yet; or the list does not accept its certificate.
    Retired = 4,
    /// It has no suite of the level that the stanza needs.
    TooWeak = 5,
}

/// What a stanza waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Waiting {
    /// For the key agent.
    Agent,
    /// For a connection.
    Connection,
    /// For the peer's keys.
    Keys,
    /// For the publication of one's own keys.
    Publication,
}

/// Why a stanza was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The key agent refused.
    #[error("the key agent refused")]
    Agent,
    /// It came back as an error. The only failure that may follow `Sent`.
    #[error("returned by the other side")]
    Bounced,
    /// The application took it back.
    #[error("cancelled")]
    Cancelled,
    /// The user has said that the contact's key is not to be used.
    #[error("the contact's key is distrusted")]
    Distrusted,
    /// To be authenticated without a copy, and with what servers change: see [`Authentication::with_copy`].
    #[error("servers would change it")]
    Fragile,
    /// More stanzas are unacknowledged or waiting than are kept.
    #[error("too many outstanding")]
    Full,
    /// A device cannot read it, and [`Config::partial`](crate::Config::partial) does not allow that.
    #[error("not all devices can be reached")]
    Incomplete,
    /// The account's key is not the one known; nothing goes to it before the user accepts.
    #[error("the contact's key has changed")]
    KeyChanged,
    /// This device, or the account, has left the protocol.
    #[error("this device has left the protocol")]
    Left,
    /// No suite that both sides allow and that has the level asked for.
    #[error("no common suite strong enough")]
    Level,
    /// No device of the peer has keys.
    #[error("the contact has no keys")]
    NoKeys,
    /// To a room or a service, which has no keys.
    #[error("not for rooms")]
    NotForRooms,
    /// A stanza that nobody but servers would read: without content, to a server or a bare JID where the server
    /// answers, or an answer to what was not protected.
    #[error("this stanza cannot be protected")]
    NotProtectable,
    /// The own account shows another account key: see [`Event::OtherAccountKey`].
    #[error("the own account shows another key")]
    OtherAccountKey,
    /// An iq or presence whose stream has ended.
    #[error("the stream it was for has ended")]
    StreamEnded,
    /// Larger than a protected stanza may be.
    #[error("too large")]
    TooLarge,
    /// The [policy](crate::TrustPolicy) asks for more than has been decided about the contact's key.
    #[error("the contact's key has not been verified")]
    Untrusted,
}
