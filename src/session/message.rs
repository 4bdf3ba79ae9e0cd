//! Sealing and opening the messages of a session (section 7).

use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::env::{Env, Timestamp};
use crate::error::{Malformed, Misbehaviour, Reason};
use crate::secret::Secret;
use crate::session::header::{Context, Fields, Header, StanzaKind, associated_data};
use crate::session::kem_ratchet::{KemPolicy, KemRatchet, low_byte};
use crate::session::ratchet::{MessageKey, RatchetKeyPair, ReceivingChain, RootStep, SendingChain};
use crate::session::skipped::SkippedRun;
use crate::session::{
    Earlier, MARKS, MAX_OLD_CHAINS, Mark, RECENT_CHAINS, Receiving, Role, Session, bad_key, failed,
};
use crate::stanza::AnswerTag;
use crate::suite::{Refused, Suite};

/// One message makes us derive at most this many keys: a third of a millisecond, and more than a
/// server drops from an offline store.
pub(crate) const MAX_SKIP: u32 = 1000;

/// The store has at most this many skipped keys of a session: two such gaps, 72 KB.
pub(crate) const MAX_STORED: u32 = 2000;

/// Skipped keys are dropped after this time; archives and offline stores are read long before.
pub(crate) const SKIPPED_LIFE: Duration = Duration::from_hours(30 * 24);

/// A message to send: the prefix of its context goes before, nothing between.
pub(crate) struct SealedMessage {
    pub(crate) header: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    /// Of an iq: what its answer names it by.
    pub(crate) answer_tag: Option<AnswerTag>,
}

/// A message opened, and what the store is to do in the batch that stores the session.
pub(crate) struct Opened {
    pub(crate) content: Zeroizing<Vec<u8>>,
    /// Of an iq: what its answer is to name it by.
    pub(crate) answer_tag: Option<AnswerTag>,
    /// Skipped keys to store.
    pub(crate) skipped: Vec<SkippedRun>,
    /// The skipped key (chain, number) that was used and is to be deleted.
    pub(crate) used: Option<(u32, u32)>,
    /// Chains of which all skipped keys are to be deleted.
    pub(crate) expired_chains: Vec<u32>,
    /// How many skipped keys are to be deleted beyond that, the oldest first; see
    /// [`Session::forget_skipped`].
    pub(crate) excess: u32,
}

/// Why a message was not opened. `E` is the failure of whoever looks up skipped keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OpenError<E> {
    /// It names a message whose key was used, or dropped as too old.
    Duplicate,
    /// It is refused.
    Refused(Reason),
    /// The skipped key could not be looked up.
    Store(E),
}

impl<E> From<Reason> for OpenError<E> {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl<E> From<Misbehaviour> for OpenError<E> {
    fn from(misbehaviour: Misbehaviour) -> Self {
        Self::Refused(misbehaviour.into())
    }
}

/// What a message says, and the tag for its answer.
type Plain = (Zeroizing<Vec<u8>>, Option<AnswerTag>);

/// A message about to be opened.
struct Sealed<'a> {
    header: Header<'a>,
    header_bytes: &'a [u8],
    ciphertext: &'a [u8],
    context: &'a Context<'a>,
}

impl Session {
    /// Encrypts `plaintext`. After an error, which no input causes but the end of a chain and a
    /// responder that has opened nothing yet, this state is not to be used.
    pub(crate) fn seal(
        &mut self,
        suite: &Suite,
        policy: &KemPolicy,
        env: &mut Env<'_>,
        context: &Context<'_>,
        plaintext: &[u8],
    ) -> Result<SealedMessage, Refused> {
        if suite.id != self.suite_id() {
            return Err(Refused);
        }
        let begins = self.sending.is_none();
        let mut want = false;
        if begins {
            self.send_step(suite, env)?;
            want = self.kem.prepare(suite, self.role, policy, env.now, env.rng)?;
        }
        let (Some(own), Some(sending)) = (&self.own, &mut self.sending) else { return Err(Refused) };
        let epoch = self.kem.epoch();
        let header = Header {
            ratchet_key: own.public.as_slice(),
            n: sending.next(),
            pn: self.previous,
            epoch: low_byte(epoch),
            fields: if begins { self.kem.fields(want) } else { Fields::default() },
        }
        .encode()?;
        let key = sending.advance(suite)?;
        let answer_tag = answer_tag(suite, context, &key)?;
        let aad = associated_data(self.transcript.as_slice(), self.role, &header, epoch, context)?;
        let ciphertext = key.seal(suite, &aad, plaintext)?;
        self.kem.count();
        self.unanswered = 0;
        self.replied = 1;
        self.used = env.now.as_secs();
        Ok(SealedMessage { header, ciphertext, answer_tag })
    }

    /// A new ratchet key of ours, and the root step with it.
    fn send_step(&mut self, suite: &Suite, env: &mut Env<'_>) -> Result<(), Refused> {
        let receiving = self.receiving.as_ref().ok_or(Refused)?;
        let pair = suite.agreement.generate(env.rng);
        let dh = suite.agreement.agree(&pair.secret, receiving.ratchet_key.as_slice())?;
        let mix = self.kem.mix_to_send(env.now);
        let step = self.root.step(suite, &dh, mix.as_ref())?;
        self.root = step.root;
        self.resumption.push(step.resumption);
        self.sending = Some(SendingChain::new(step.chain));
        self.own = Some(RatchetKeyPair::from(&pair));
        Ok(())
    }

    /// Decrypts `body`, a header and a ciphertext. `skipped` looks up the stored key of a chain
    /// and number, and is called at most once. After an error nothing has changed.
    pub(crate) fn open<E>(
        &mut self,
        suite: &Suite,
        now: Timestamp,
        context: &Context<'_>,
        body: &[u8],
        skipped: &mut dyn FnMut(u32, u32) -> Result<Option<Secret>, E>,
    ) -> Result<Opened, OpenError<E>> {
        if suite.id != self.suite_id() {
            return Err(failed(Refused).into());
        }
        let (header, header_bytes, ciphertext) = Header::decode(suite, body)?;
        let message = Sealed { header, header_bytes, ciphertext, context };
        let opened = match self.late_chain(suite, &message.header) {
            Some((chain, epoch)) => self.open_late(suite, &message, chain, epoch, skipped)?,
            None => match &self.receiving {
                Some(receiving) if receiving.ratchet_key.as_slice() == message.header.ratchet_key => {
                    self.open_current(suite, &message)?
                }
                _ => self.open_new(suite, now, &message)?,
            },
        };
        self.kem.count();
        self.flight = None;
        self.used = now.as_secs();
        self.marks.insert(0, mark(&message.header, ciphertext));
        self.marks.truncate(MARKS);
        Ok(Opened { excess: self.unread().saturating_sub(MAX_STORED), ..opened })
    }

    /// Whether `body` has the number of a message that was read not long ago, and is another. Anybody can make one.
    pub(crate) fn is_another(&self, suite: &Suite, body: &[u8]) -> bool {
        let Ok((header, _, ciphertext)) = Header::decode(suite, body) else { return false };
        let mark = mark(&header, ciphertext);
        let same = |known: &&Mark| known.place == mark.place;
        self.marks.iter().find(same).is_some_and(|known| known.ciphertext != mark.ciphertext)
    }

    /// The chain and epoch of a message whose key we have passed, if it is one.
    fn late_chain(&self, suite: &Suite, header: &Header<'_>) -> Option<(u32, u64)> {
        if let Some(receiving) = &self.receiving
            && receiving.ratchet_key.as_slice() == header.ratchet_key
        {
            return (header.n < receiving.chain.next()).then_some((receiving.number, receiving.epoch));
        }
        if self.earlier.is_empty() {
            return None;
        }
        let id = chain_id(suite, header.ratchet_key)?;
        let earlier = self.earlier.iter().find(|earlier| earlier.id == id)?;
        Some((earlier.number, earlier.epoch))
    }

    fn open_late<E>(
        &mut self,
        suite: &Suite,
        message: &Sealed<'_>,
        chain: u32,
        epoch: u64,
        skipped: &mut dyn FnMut(u32, u32) -> Result<Option<Secret>, E>,
    ) -> Result<Opened, OpenError<E>> {
        let n = message.header.n;
        let key = skipped(chain, n).map_err(OpenError::Store)?.ok_or(OpenError::Duplicate)?;
        let plain = self.decrypt(suite, message, epoch, MessageKey::skipped(key))?;
        let mut kem = self.kem.clone();
        self.take_fields(suite, &mut kem, message, chain, epoch)?;
        self.kem = kem;
        self.forget_skipped(chain, 1);
        Ok(Opened::new(plain, Vec::new(), Some((chain, n)), Vec::new()))
    }

    fn open_current<E>(&mut self, suite: &Suite, message: &Sealed<'_>) -> Result<Opened, OpenError<E>> {
        let Some(receiving) = &self.receiving else { return Err(failed(Refused).into()) };
        let (number, epoch, first) = (receiving.number, receiving.epoch, receiving.chain.next());
        let n = message.header.n;
        if n.saturating_sub(first) > MAX_SKIP {
            return Err(Misbehaviour::TooManySkipped.into());
        }
        let mut chain = receiving.chain.clone();
        let keys = chain.skip_to(suite, n).map_err(failed)?;
        let key = chain.advance(suite).map_err(failed)?;
        let plain = self.decrypt(suite, message, epoch, key)?;
        let mut kem = self.kem.clone();
        self.take_fields(suite, &mut kem, message, number, epoch)?;

        self.kem = kem;
        if let Some(receiving) = &mut self.receiving {
            receiving.chain = chain;
            receiving.unread = receiving.unread.saturating_add(n - first);
        }
        Ok(Opened::new(plain, runs([(number, first, keys)]), None, Vec::new()))
    }

    /// A message under a ratchet key we do not know: a root step of the peer's.
    fn open_new<E>(
        &mut self,
        suite: &Suite,
        now: Timestamp,
        message: &Sealed<'_>,
    ) -> Result<Opened, OpenError<E>> {
        let header = &message.header;
        if header.n > MAX_SKIP {
            return Err(Misbehaviour::TooManySkipped.into());
        }
        let tag = recent_tag(suite, header.ratchet_key);
        let unknown = if self.recent.contains(&tag) {
            OpenError::Duplicate
        } else {
            OpenError::Refused(Reason::Unauthentic)
        };
        // Where our key is used up the peer cannot have stepped.
        let Some(own) = &self.own else { return Err(unknown) };
        let Ok(mix) = self.kem.mix_to_receive(header.epoch) else { return Err(unknown) };
        let dh = suite.agreement.agree(&own.secret, header.ratchet_key).map_err(bad_key)?;
        let step = self.root.step(suite, &dh, mix).map_err(failed)?;
        let epoch = self.kem.epoch() + u64::from(mix.is_some());
        let mut chain = ReceivingChain::new(step.chain.clone());
        let keys = chain.skip_to(suite, header.n).map_err(failed)?;
        let key = chain.advance(suite).map_err(failed)?;
        let Ok(plain) = self.decrypt(suite, message, epoch, key) else { return Err(unknown) };

        // Authentic. The rest of the chain before has been skipped.
        let number = match &self.receiving {
            Some(receiving) => receiving.number.checked_add(1).ok_or(Misbehaviour::TooMuch)?,
            None => 0,
        };
        let before = self.rest_of_chain(suite, header)?;
        let mut kem = self.kem.clone();
        if mix.is_some() {
            kem.enter(now);
        }
        self.take_fields(suite, &mut kem, message, number, epoch)?;

        self.kem = kem;
        let receiving =
            Receiving { number, epoch, unread: header.n, ratchet_key: header.ratchet_key.into(), chain };
        let skipped = runs(before.into_iter().chain([(number, 0, keys)]));
        let expired = self.receive_step(suite, step, receiving, &skipped);
        self.recent.insert(0, tag);
        self.recent.truncate(RECENT_CHAINS);
        Ok(Opened::new(plain, skipped, None, expired))
    }

    /// The keys left in the current receiving chain, which `header` says had `pn` messages.
    fn rest_of_chain(
        &self,
        suite: &Suite,
        header: &Header<'_>,
    ) -> Result<Option<(u32, u32, Vec<Secret>)>, Reason> {
        let Some(receiving) = &self.receiving else {
            return if header.pn == 0 { Ok(None) } else { Err(Misbehaviour::OutOfTurn.into()) };
        };
        let first = receiving.chain.next();
        let count = header.pn.checked_sub(first).ok_or(Misbehaviour::OutOfTurn)?;
        if count.saturating_add(header.n) > MAX_SKIP {
            return Err(Misbehaviour::TooManySkipped.into());
        }
        let keys = receiving.chain.clone().skip_to(suite, header.pn).map_err(failed)?;
        Ok(Some((receiving.number, first, keys)))
    }

    /// Puts a new receiving chain in place; gives the chains that are now too old.
    fn receive_step(
        &mut self,
        suite: &Suite,
        step: RootStep,
        receiving: Receiving,
        skipped: &[SkippedRun],
    ) -> Vec<u32> {
        let number = receiving.number;
        if let Some(before) = self.receiving.replace(receiving) {
            let run = skipped.iter().find(|run| run.chain == before.number);
            let added = run.map_or(0, |run| u32::try_from(run.keys.len()).unwrap_or(u32::MAX));
            let unread = before.unread.saturating_add(added);
            if let Some(id) = chain_id(suite, before.ratchet_key.as_slice())
                && unread > 0
            {
                self.earlier.push(Earlier { number: before.number, epoch: before.epoch, unread, id });
            }
        }
        let oldest = number.saturating_sub(MAX_OLD_CHAINS);
        let expired = self.earlier.iter().map(|earlier| earlier.number).filter(|number| *number < oldest);
        let expired = expired.collect();
        self.earlier.retain(|earlier| earlier.number >= oldest);
        self.root = step.root;
        self.resumption.push(step.resumption);
        // Used up: the peer steps again only once it has a new key of ours.
        self.own = None;
        if let Some(sending) = self.sending.take() {
            self.previous = sending.next();
        }
        expired
    }

    /// Checks that the epoch on the wire is that of the chain, and decrypts.
    fn decrypt(
        &self,
        suite: &Suite,
        message: &Sealed<'_>,
        epoch: u64,
        key: MessageKey,
    ) -> Result<Plain, Reason> {
        let Sealed { header, header_bytes, ciphertext, context } = message;
        if header.epoch != low_byte(epoch) {
            return Err(Reason::Unauthentic);
        }
        let transcript = self.transcript.as_slice();
        let aad = associated_data(transcript, self.role.other(), header_bytes, epoch, context);
        let aad = aad.map_err(|_| Malformed::TooLarge)?;
        let tag = answer_tag(suite, context, &key).map_err(failed)?;
        let content = key.open(suite, &aad, ciphertext).map_err(|_| Reason::Unauthentic)?;
        Ok((content, tag))
    }

    /// Takes the fields of an authentic message into `kem`.
    fn take_fields(
        &self,
        suite: &Suite,
        kem: &mut KemRatchet,
        message: &Sealed<'_>,
        chain: u32,
        epoch: u64,
    ) -> Result<(), Reason> {
        let Header { n, fields, .. } = &message.header;
        // They stand in the first message of a chain, and never in the first of a session.
        let allowed = *n == 0 && !(chain == 0 && self.role == Role::Responder);
        if !fields.is_empty() && !allowed {
            return Err(Misbehaviour::OutOfTurn.into());
        }
        kem.received(suite, self.role, epoch, fields)
    }
}

impl Opened {
    fn new(
        (content, answer_tag): Plain,
        skipped: Vec<SkippedRun>,
        used: Option<(u32, u32)>,
        expired_chains: Vec<u32>,
    ) -> Self {
        Self { content, answer_tag, skipped, used, expired_chains, excess: 0 }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { content: _, answer_tag: _, skipped: _, used, expired_chains, excess } = self;
        f.debug_struct("Opened")
            .field("used", used)
            .field("expired_chains", expired_chains)
            .field("excess", excess)
            .finish_non_exhaustive()
    }
}

/// What an iq's answer names it by; other stanzas have none.
fn answer_tag(suite: &Suite, context: &Context<'_>, key: &MessageKey) -> Result<Option<AnswerTag>, Refused> {
    (context.kind == StanzaKind::Iq).then(|| key.answer_tag(suite)).transpose()
}

/// Those runs that have keys.
fn runs(runs: impl IntoIterator<Item = (u32, u32, Vec<Secret>)>) -> Vec<SkippedRun> {
    let runs = runs.into_iter().filter(|(_, _, keys)| !keys.is_empty());
    runs.map(|(chain, first, keys)| SkippedRun { chain, first, keys }).collect()
}

/// What tells a message from another of its number: a ciphertext ends with its tag.
fn mark(header: &Header<'_>, ciphertext: &[u8]) -> Mark {
    let ratchet_key = header.ratchet_key.first_chunk().copied().unwrap_or_default();
    let ciphertext = ciphertext.last_chunk().copied().unwrap_or_default();
    let place = u32::from_be_bytes(ratchet_key).wrapping_add(header.n);
    Mark { place, ciphertext: u32::from_be_bytes(ciphertext) }
}

/// What stands for a ratchet key in the index of earlier chains.
fn chain_id(suite: &Suite, ratchet_key: &[u8]) -> Option<[u8; 16]> {
    suite.hash.hash(&[ratchet_key]).first_chunk().copied()
}

/// What stands for a ratchet key among the recent ones; two may meet, which costs nothing.
fn recent_tag(suite: &Suite, ratchet_key: &[u8]) -> u32 {
    suite.hash.hash(&[ratchet_key]).first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
