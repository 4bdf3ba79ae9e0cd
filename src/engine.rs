//! The engine: inputs in, a step out. This file only dispatches; `engine/` does the work on the
//! draft of the step.

mod accept;
mod advert;
mod asks;
mod catch_up;
mod command;
mod control;
mod deliver;
mod devices;
mod draft;
mod fetch;
mod foreign;
mod forwarded;
mod history;
mod iq;
mod keys;
mod left_out;
mod linking;
mod lists;
mod opening;
mod outbox;
mod own;
mod pep;
mod publish;
mod query;
mod receive;
pub(crate) mod records;
mod recovery;
mod resend;
mod route;
mod seal;
mod seen;
mod send;
mod serve;
mod slots;
mod state;
mod statement;
mod timers;
mod trust;
mod verify;

use core::fmt;

use zeroize::Zeroizing;

use crate::agent::{AgentIdentity, AgentReply};
use crate::env::{Env, Timestamp};
use crate::error::{Error, Misuse};
use crate::fingerprint::Fingerprint;
use crate::history::{HistoryFile, HistoryRead};
use crate::jid::BareJid;
use crate::stanza::{Hints, Padding, Tree};
use crate::step::{Effect, InboxId, Need, OutboxId, Step, Token};
use crate::store::{Batch, RecordKey, Stored};
use crate::suite::{Level, Suites};
use crate::trust::{Means, Trust, TrustPolicy};
use crate::verify::{RunId, SharedSecret};

pub(crate) use advert::MAX_CONTACTS;
use draft::Draft;
pub use history::HistoryOffer;
pub use query::{Contact, Outlook, OwnDevice, Pending, Standing};
pub use resend::ResendMemory;
use state::State;
pub use statement::Item;

/// What an engine is made with. The fields with a default can be changed before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The own account.
    pub account: BareJid,
    /// The public keys whose private halves the key agent holds.
    pub identity: AgentIdentity,
    /// The suites, in order of preference.
    pub suites: Suites,
    /// The least level of any session.
    pub least: Level,
    /// How lengths are hidden.
    pub padding: Padding,
    /// What servers are told about protected messages.
    pub hints: Hints,
    /// Whether each broadcast presence is signed: whether one is there, show, status, priority and
    /// capabilities. Whoever sees it can prove it to others, so it is off by default. A presence then
    /// waits for the key agent, up to twenty seconds.
    pub sign_presence: bool,
    /// Which account keys are sealed to, of contacts without a [policy](Command::SetPolicy) of their own.
    pub trust: TrustPolicy,
    /// Whether a stanza goes out though a device of the two accounts cannot read it; which ones [`Coverage`] says. If
    /// not, it fails.
    ///
    /// [`Coverage`]: crate::Coverage
    pub partial: bool,
    /// What is kept of sent messages for contacts' devices that could not read them.
    pub resend_memory: ResendMemory,
}

impl Config {
    /// The defaults for this account and agent.
    ///
    /// # Errors
    /// [`Misuse::Jid`] if `account` is not a bare JID.
    pub fn new(account: &str, identity: AgentIdentity) -> Result<Self, Misuse> {
        Ok(Self {
            account: BareJid::parse(account).map_err(|_| Misuse::Jid)?,
            identity,
            suites: Suites::default(),
            least: Level::CLASSICAL,
            padding: Padding::default(),
            hints: Hints::default(),
            sign_presence: false,
            trust: TrustPolicy::default(),
            partial: true,
            resend_memory: ResendMemory::default(),
        })
    }
}

/// What the caller hands in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The other side has the stanza (XEP-0198), or has answered a ping sent after it.
    Acknowledged(OutboxId),
    /// The key agent's answer.
    Agent(&'a AgentReply),
    /// Something the user or the application wants.
    Command(Command<'a>),
    /// The stream is up and bound to `full_jid`. If it was not resumed (XEP-0198), what was not
    /// acknowledged is sent again.
    Connected {
        /// The full JID that the server gave.
        full_jid: &'a str,
        /// Whether the stream was resumed.
        resumed: bool,
    },
    /// The stream is down.
    Disconnected,
    /// A stanza to be sent.
    Outgoing {
        /// The stanza as XML.
        stanza: &'a str,
        /// The application's name for it.
        token: Token,
        /// The protection it needs.
        need: Need,
    },
    /// [`Outgoing`](Self::Outgoing) with a stanza that is a tree already.
    OutgoingTree {
        /// The stanza.
        stanza: &'a Tree<'a>,
        /// The application's name for it.
        token: Token,
        /// The protection it needs.
        need: Need,
    },
    /// A stanza that came, before the library has matched it with its own iqs.
    Received(&'a str),
    /// [`Received`](Self::Received) with a stanza that is a tree already.
    ReceivedTree(&'a Tree<'a>),
    /// An entry of the roster, from the client's cache or a result.
    Roster {
        /// The contact's JID.
        jid: &'a str,
        /// Its subscription.
        subscription: Subscription,
    },
    /// The application has stored what was delivered.
    Taken(InboxId),
    /// [`Engine::next_wakeup`] has come.
    Tick,
}

/// The `subscription` of a roster item (RFC 6121, section 2.1.2.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6121 has these")]
pub enum Subscription {
    /// Both see each other's presence.
    Both,
    /// The contact sees one's own presence.
    From,
    /// Neither.
    None,
    /// No longer on the roster.
    Remove,
    /// One sees the contact's presence.
    To,
}

/// Something the user or the application wants.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Accepts the changed account key of a contact: the user has looked at it. One that another own device has
    /// verified is verified then; another needs [`SetTrust`](Self::SetTrust) after this to be. [`Misuse::Key`] if the
    /// contact shows another one by now: read [`Engine::contact`] anew.
    AcceptKey {
        /// The contact.
        jid: &'a str,
        /// The digest that [`Event::KeyChanged`](crate::Event::KeyChanged) gave; or, to go back, the newest in
        /// [`Engine::trust_history`] that is not [`Contact::account_key`].
        digest: [u8; 32],
    },
    /// The user agrees to compare a string with a device that asks to be linked.
    ///
    /// As with all commands about a run: nothing happens if the run is over.
    AcceptLinking {
        /// The run, as [`Event::LinkingAsked`](crate::Event::LinkingAsked) gave it.
        run: RunId,
    },
    /// The user will compare a short string, as [`Event::VerificationAsked`](crate::Event::VerificationAsked) without a
    /// question asks.
    ///
    /// As with all commands about a run: nothing happens if the run is over.
    AcceptVerification {
        /// The contact.
        jid: &'a str,
        /// The run.
        run: RunId,
    },
    /// Answers the question of [`Event::VerificationAsked`](crate::Event::VerificationAsked). There is one try.
    AnswerSecret {
        /// The contact.
        jid: &'a str,
        /// The run.
        run: RunId,
        /// What the user has typed.
        secret: SharedSecret<'a>,
    },
    /// Gives up the account key that the own account shows, for it is lost: this device's takes its place. All contacts
    /// see that the key has changed, and other devices of the account are no longer among them. Nothing happens unless
    /// [`OtherAccountKey`](crate::Event::OtherAccountKey) has asked.
    BeginAnew,
    /// Takes a waiting stanza back.
    Cancel(Token),
    /// Ends a run of linking, or refuses one; on the old device until it has been confirmed on both.
    CancelLinking {
        /// The run.
        run: RunId,
    },
    /// Ends a comparison of keys, or declines it.
    CancelVerification {
        /// The contact.
        jid: &'a str,
        /// The run.
        run: RunId,
    },
    /// An archive is being read of what came while this device was away, or has been: meanwhile no key is deleted for
    /// its age, for at most 24 hours with a stream and seven days in all.
    CatchUp {
        /// Whether it begins. A second time while it goes on changes nothing.
        active: bool,
    },
    /// The user has compared the strings on both devices.
    ConfirmLinking {
        /// The run.
        run: RunId,
        /// Whether they are the same.
        same: bool,
    },
    /// The user has compared the short strings of a run.
    ConfirmVerification {
        /// The contact.
        jid: &'a str,
        /// The run.
        run: RunId,
        /// Whether they are the same. If not, the run ends on both sides with
        /// [`Mismatch`](crate::VerificationFault::Mismatch).
        same: bool,
    },
    /// Wants no more of a file of history, offered or got: its key is forgotten on both sides.
    DropHistory {
        /// The name of the file.
        id: [u8; 16],
    },
    /// Forgets that the contact encrypts, and its keys; the user's explicit wish. The key that it shows next is taken as
    /// the first, without [`Event::KeyChanged`](crate::Event::KeyChanged), even if one was verified. What was decided
    /// stays in [`Engine::trust_history`]: a key that was distrusted or rejected is distrusted when it comes back, and a
    /// contact once verified counts as such for [`TrustPolicy::FirstUseUntilVerified`].
    Forget {
        /// The contact.
        jid: &'a str,
    },
    /// Starts a KEM epoch with every live session of the contact as soon as the protocol allows.
    Heal {
        /// The contact.
        jid: &'a str,
    },
    /// Retires this account from the protocol, on all its devices: a signed tombstone, then nothing is kept. From then
    /// on [`Engine::standing`] is [`Left`](Standing::Left), and messages go out in clear; no event tells of it. On a
    /// linked device it is [`Misuse::NoAccountKey`].
    Leave,
    /// Asks the account's other devices that are online to take this one in: it has an agent without account key
    /// ([`LocalAgent::without_account_key`](crate::LocalAgent::without_account_key)).
    /// [`Event::LinkingStarted`](crate::Event::LinkingStarted) names the run. A device whose certificate has ended, or
    /// whose account has begun anew ([`Event::AccountKeyContested`](crate::Event::AccountKeyContested)), is linked
    /// again, and keeps what it knows of contacts.
    ///
    /// With an agent that has an account key, on another device that is linked, or after it was retired, it is
    /// [`Misuse::Identity`]. After [`Event::OtherAccountKey`](crate::Event::OtherAccountKey) throw agent and store away
    /// first, and begin with such an agent and an empty store.
    Link,
    /// Gives this device a name, at most 64 bytes, that the account's other devices show; empty takes it back. Nobody
    /// else sees it.
    NameDevice {
        /// The name.
        name: &'a str,
    },
    /// Gives the key of a finished file of history to the device it was sealed for. The file itself is the
    /// application's to move. Handed in again while the offer is open it is sent again.
    OfferHistory {
        /// What [`HistoryWriter::finish`](crate::HistoryWriter::finish) gave.
        file: HistoryFile,
        /// What the other device is told it is called: at most 255 bytes without control characters.
        name: &'a str,
    },
    /// Refuses the changed account key of a contact: it is not the contact's. The key known stays. One that another own
    /// device has verified is in question again if the account shows it, and can still be accepted.
    RejectKey {
        /// The contact.
        jid: &'a str,
        /// The digest that [`Event::KeyChanged`](crate::Event::KeyChanged) gave.
        digest: [u8; 32],
    },
    /// The state was restored from a backup: sending chains are abandoned and prekeys replaced.
    Restored,
    /// Retires a device of the own account: it is lost, or no longer used. The list that says so is signed anew, and
    /// contacts and own devices take nothing from it any more. Of this device itself: it alone leaves, and keeps
    /// nothing; if it is the last one, [`Leave`](Self::Leave) tells contacts more. Without the account key it is
    /// [`Misuse::NoAccountKey`].
    RetireDevice {
        /// The device, as [`Engine::own_devices`] has it, or has had it: contacts may know of one that the list does not
        /// hold, if that was made where no other was shown. Any other number stays in the list, too.
        device: u32,
    },
    /// The user has scanned the code of a contact, or of another device of the own account: its key is verified. If it
    /// is another key than the one known, nothing changes; if none is known, it must be the first. A changed key that the
    /// code shows is accepted. [`Event::Scanned`](crate::Event::Scanned) tells; of the own account nothing to a device that waits to be
    /// [linked](Self::Link).
    Scanned(&'a Fingerprint),
    /// Which account keys of a contact are sealed to.
    SetPolicy {
        /// The contact.
        jid: &'a str,
        /// The policy; none for that of the [`Config`].
        policy: Option<TrustPolicy>,
    },
    /// What the user has decided about the account key of a contact.
    SetTrust {
        /// The contact.
        jid: &'a str,
        /// The digest of the key that the user has looked at, as [`Contact::account_key`] has it. Another one, also a
        /// changed key before it is [accepted](Self::AcceptKey), is [`Misuse::Key`].
        key: [u8; 32],
        /// The decision; not [`Trust::Unknown`].
        trust: Trust,
        /// How it came about; not [`Means::First`].
        means: Means,
    },
    /// Compares account keys with a contact by a secret that both know, and that nobody else can guess in a few tries.
    /// The secret is not sent. [`Event::VerificationStarted`](crate::Event::VerificationStarted) names the run.
    StartSecret {
        /// The contact.
        jid: &'a str,
        /// Its device; `None` for the one online or last heard from.
        device: Option<u32>,
        /// What the contact is asked. It is encrypted. At most 1,024 bytes.
        question: &'a str,
        /// The answer. At most 1,024 bytes.
        secret: SharedSecret<'a>,
    },
    /// Compares account keys with a contact by a short string, which both users see once the contact has agreed.
    /// [`Event::VerificationStarted`](crate::Event::VerificationStarted) names the run.
    StartVerification {
        /// The contact.
        jid: &'a str,
        /// Its device; `None` for the one online or last heard from.
        device: Option<u32>,
    },
    /// The application has stored what a file of history held: what the other device had decided about the keys of
    /// contacts is taken over, the file's key is forgotten, and the other device is told.
    TakeHistory(HistoryRead),
}

/// The protocol engine of one device of one account.
pub struct Engine {
    config: Config,
    state: State,
}

impl Engine {
    /// An engine for a new device. It makes its keys with the first input.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, state: State::default() }
    }

    /// The engine whose records `stored` has, with all values.
    ///
    /// # Errors
    /// [`Misuse::Record`] if a record does not decode or is of another account.
    pub fn restore(config: Config, stored: &Stored) -> Result<Self, Misuse> {
        let records = stored.records.iter().map(|(key, value)| (key, Some(value.as_slice())));
        Self::restore_some(config, stored.generation, records)
    }

    /// The engine with these records, of which those that [`is_evictable`](Self::is_evictable)
    /// names may come without their value, to be [loaded](Self::load) when asked for.
    ///
    /// # Errors
    /// [`Misuse::Record`] if a record does not decode, is of another account, or has no value and
    /// needs one.
    pub fn restore_some<'r>(
        config: Config,
        generation: u64,
        records: impl IntoIterator<Item = (&'r RecordKey, Option<&'r [u8]>)>,
    ) -> Result<Self, Misuse> {
        let mut state = State { generation, ..State::default() };
        for (key, value) in records {
            if value.is_none() && !Self::is_evictable(key) {
                return Err(Misuse::Record);
            }
            state.load(key, value)?;
        }
        state.restarted(&config)?;
        Ok(Self { config, state })
    }

    /// Handles one input.
    ///
    /// Whatever the network sends gives `Ok`.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a mistake of the calling program, [`Error::NotLoaded`] if records are
    /// needed that are not in memory. The engine is unchanged.
    pub fn handle(&mut self, env: &mut Env<'_>, input: Input<'_>) -> Result<Step<'_>, Error> {
        // A step that was forgotten (`mem::forget`) has not happened either.
        self.state.roll_back();
        let mut effects = Vec::new();
        self.run(env, input, &mut effects)?;
        Ok(Step::new(self, effects))
    }

    pub(crate) fn run(
        &mut self,
        env: &mut Env<'_>,
        input: Input<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Error> {
        let result = Draft::begin(&self.config, &mut self.state, env, effects)
            .and_then(|mut draft| draft.dispatch(input));
        if result.is_err() {
            self.state.roll_back();
        }
        result
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.state.next_deadline()
    }

    /// The generation of the last batch stored.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.generation
    }

    /// Gives back records that [`Error::NotLoaded`] asked for.
    ///
    /// # Errors
    /// [`Misuse::Record`] if one does not decode.
    pub fn load<'r>(
        &mut self,
        records: impl IntoIterator<Item = (&'r RecordKey, &'r [u8])>,
    ) -> Result<(), Misuse> {
        for (key, value) in records {
            self.state.load(key, Some(value))?;
        }
        Ok(())
    }

    /// Whether the value of this record may be left out of memory: sessions and skipped keys.
    #[must_use]
    pub fn is_evictable(key: &RecordKey) -> bool {
        State::is_evictable(key)
    }

    /// Drops from memory the sessions not used since `before`.
    pub fn evict_idle(&mut self, before: Timestamp) {
        self.state.evict_idle(before);
    }

    pub(crate) fn draft_batch(&self) -> Batch {
        let mut changes: Vec<(RecordKey, Option<Zeroizing<Vec<u8>>>)> = Vec::new();
        self.state.collect(&mut changes);
        Batch { expected: self.state.generation, changes }
    }

    pub(crate) fn commit(&mut self, batch: &Batch) {
        if !batch.is_empty() {
            self.state.generation = batch.generation();
        }
        self.state.commit();
    }

    pub(crate) fn roll_back(&mut self) {
        self.state.roll_back();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config: _, state } = self;
        f.debug_struct("Engine").field("generation", &state.generation).finish_non_exhaustive()
    }
}
