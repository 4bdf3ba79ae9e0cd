//! Stanzas that came in.

use zeroize::Zeroizing;

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::foreign::foreign;
use crate::engine::records::{Contact, SessionKey};
use crate::engine::seal::AUTHENTICATION;
use crate::engine::statement::SIGNED;
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason, Unreadable};
use crate::identity::{Digest, digest};
use crate::jid::{Address, BareJid};
use crate::secret::Secret;
use crate::session::{Context as Bound, OpenError, Opened, SKIPPED_LIFE, Session, StanzaKind};
use crate::stanza::envelope::{Envelope, Part};
use crate::stanza::{
    Body, CLIENT_NS, Control, Element, IQ, MAX_STANZA, MESSAGE, PRESENCE, Resend, Uncovered, attached, parse,
    uncover, wrap, write_stanza,
};
use crate::step::{Consent, Effect, Event, Via};
use crate::store::table::Missing;
use crate::suite::Suite;
use crate::wire::from_base64;

/// After so many messages too far ahead to be read a new session is opened.
const TOO_FAR: u8 = 3;

/// A protected stanza, and all that it is bound to.
pub(super) struct Incoming<'a> {
    pub(super) element: &'a Element<'a>,
    pub(super) kind: StanzaKind,
    pub(super) how: How,
    /// The copy that it came in.
    pub(super) outer: Option<&'a Element<'a>>,
    pub(super) via: Via,
    pub(super) sender: BareJid,
    pub(super) addressed: BareJid,
    /// What its element holds.
    pub(super) bytes: Vec<u8>,
}

/// How a stanza is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum How {
    /// It is sealed.
    Sealed,
    /// It is in clear, and authenticated in a session.
    Session,
    /// It is in clear, and signed.
    Signed,
}

/// The element that protects a stanza, and how. One that vouches for more comes first.
pub(super) fn protection_of<'e, 'a>(stanza: &'e Element<'a>) -> Option<(&'e Element<'a>, How)> {
    let sealed = stanza.child(NS, "e").map(|e| (e, How::Sealed));
    let session = || attached(stanza, AUTHENTICATION).map(|auth| (auth, How::Session));
    let signed = || attached(stanza, SIGNED).map(|signed| (signed, How::Signed));
    sealed.or_else(session).or_else(signed)
}

/// Whom a refused stanza claims to be from, and why it was refused.
type Refused = (Option<BareJid>, Reason);

impl<'a> Incoming<'a> {
    /// What of a stanza in clear is covered. Only archives drop children; elsewhere one that is missing was taken out.
    pub(super) fn uncover(&self, digests: &[Digest]) -> Result<Uncovered<'a>, Reason> {
        match uncover(self.element, digests) {
            Ok(covered) if covered.missing == 0 || self.via == Via::Archive => Ok(covered),
            Ok(_) | Err(_) => Err(Reason::Altered),
        }
    }

    /// The stanza, to be kept until it can be read.
    pub(super) fn to_xml(&self) -> String {
        write_stanza(self.outer.unwrap_or(self.element))
    }
}

/// What the part for this device gave.
pub(super) struct Message<'a> {
    pub(super) device: u32,
    pub(super) part: Part<'a>,
    /// Of a wrapped message: recipients, commitment, hash of the payload.
    pub(super) extra: Vec<Vec<u8>>,
    pub(super) wrapped: Option<(crate::suite::SuiteId, Vec<u8>, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// The part of `envelope` for the device `me`; `mine` says that the sender is of its account.
    pub(super) fn for_device(envelope: Envelope<'a>, me: u32, mine: bool) -> Option<Self> {
        match envelope {
            Envelope::Direct(direct) => (direct.recipient == me).then_some(Self {
                device: direct.sender,
                part: direct.part,
                extra: Vec::new(),
                wrapped: None,
            }),
            Envelope::Wrapped(wrapped) => {
                let recipients = wrapped.recipients();
                let commitment = wrapped.commitment.to_vec();
                let extra = vec![recipients, commitment.clone(), digest(wrapped.payload).to_vec()];
                let (device, payload) = (wrapped.sender, (wrapped.suite, commitment, wrapped.payload));
                let mut entries = wrapped.entries.into_iter();
                let (_, part) = entries.find(|(to, _)| to.device == me && to.own == mine)?;
                Some(Self { device, part, extra, wrapped: Some(payload) })
            }
        }
    }
}

impl Draft<'_> {
    pub(super) fn received(&mut self, text: &str) -> Done {
        match parse(text) {
            Ok(element) => self.received_element(&element),
            Err(malformed) => {
                self.reject(None, malformed);
                Ok(())
            }
        }
    }

    pub(super) fn received_element(&mut self, element: &Element<'_>) -> Done {
        match (&*element.ns, &*element.name, element.attr("type")) {
            (CLIENT_NS, MESSAGE, _) => self.received_protected(element),
            (CLIENT_NS, PRESENCE, None | Some("unavailable")) if protection_of(element).is_some() => {
                self.note_presence(element)?;
                self.received_protected(element)
            }
            (CLIENT_NS, PRESENCE, _) => self.received_presence(element),
            (CLIENT_NS, IQ, kind) => match protection_of(element) {
                // An error of a server may hold our question.
                Some((e, _)) if kind != Some("error") || self.is_protected_answer(e)? => {
                    self.received_protected(element)
                }
                _ => self.received_iq(element),
            },
            _ => {
                self.effects.push(Effect::Pass);
                Ok(())
            }
        }
    }

    /// A message, or another stanza that is under protection.
    fn received_protected(&mut self, stanza: &Element<'_>) -> Done {
        let incoming = match self.incoming(stanza)? {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return Ok(()),
            Err((peer, reason)) => {
                self.reject(peer.as_ref(), reason);
                return self.refuse_iq(stanza);
            }
        };
        let result = match incoming.how {
            How::Signed => self.received_statement(&incoming)?,
            How::Sealed | How::Session => match Envelope::decode(&incoming.bytes) {
                Ok(envelope) => self.received_envelope(&incoming, envelope)?,
                Err(reason) => Err(reason),
            },
        };
        match result {
            Ok(()) => Ok(()),
            // It can be read all the same, as what it is without authentication.
            Err(reason @ (Reason::Unreadable(_) | Reason::Malformed(Malformed::Version)))
                if incoming.how != How::Sealed && !self.late =>
            {
                // An iq is what it is in clear, with all that is checked there.
                if incoming.kind == StanzaKind::Iq {
                    return self.received_iq(stanza);
                }
                self.notify(Event::Unverified { peer: incoming.sender, reason });
                self.effects.push(Effect::Pass);
                Ok(())
            }
            Err(reason) => self.refuse(&incoming, reason),
        }
    }

    /// The protected stanza that `stanza` is, or is a copy of. `None` if there is none, and it has been dealt with.
    pub(super) fn incoming<'a>(
        &mut self,
        stanza: &'a Element<'a>,
    ) -> Result<Result<Option<Incoming<'a>>, Refused>, Error> {
        let own = self.own()?.jid.clone();
        let address = |element: &Element<'_>, name: &str| match element.attr(name) {
            Some(jid) => Address::parse(jid).map(|address| address.bare),
            None => Ok(own.clone()),
        };
        let kind = StanzaKind::of(&stanza.name).ok_or(Misuse::Record)?;
        let copied = if kind == StanzaKind::Message { self.copied(stanza)? } else { Ok(None) };
        let (element, via) = match copied {
            Ok(Some(copied)) => (copied.inner, copied.via),
            Ok(None) => (stanza, Via::Stream),
            Err(reason) => return Ok(Err((address(stanza, "from").ok(), reason))),
        };
        let (Ok(sender), Ok(addressed)) = (address(element, "from"), address(element, "to")) else {
            return Ok(Err((None, Malformed::Jid.into())));
        };
        let Some((protected, how)) = protection_of(element) else {
            return self.received_clear(element, &sender, via).map(|()| Ok(None));
        };
        match element.attr("type") {
            _ if kind != StanzaKind::Message => {}
            // What comes back is our own; it is never a message from the peer.
            Some("error") if via == Via::Stream => {
                return self.bounced(&sender, element.attr("id")).map(|()| Ok(None));
            }
            Some("error" | "groupchat") => return Ok(Err((Some(sender), Malformed::Stanza.into()))),
            _ => {}
        }
        let bytes = from_base64(protected.text().trim_matches(['\n', ' ', '\t']), MAX_STANZA);
        let Some(bytes) = bytes.ok().filter(|_| protected.elements().next().is_none()) else {
            return Ok(Err((Some(sender), Malformed::Encoding.into())));
        };
        if !self.is_concerned(via, &sender, &addressed)? {
            return Ok(Err((Some(sender), Misbehaviour::WrongSubject.into())));
        }
        let outer = (via != Via::Stream).then_some(stanza);
        Ok(Ok(Some(Incoming { element, kind, how, outer, via, sender, addressed, bytes })))
    }

    /// A message that is not under this protocol.
    fn received_clear(&mut self, element: &Element<'_>, sender: &BareJid, via: Via) -> Done {
        let kind = element.attr("type");
        if kind == Some("error") && via == Via::Stream {
            let id = element.attr("id").unwrap_or_default();
            // Servers need not echo the element.
            if self.sent_as(sender, id)?.is_some() {
                return self.bounced(sender, Some(id));
            }
        }
        let chat = !matches!(kind, Some("error" | "groupchat" | "headline"));
        if let Some(namespace) = foreign(element).filter(|_| chat) {
            self.notify(Event::Foreign { peer: sender.clone(), namespace });
            self.effects.push(Effect::Pass);
            return Ok(());
        }
        let body = element.child("jabber:client", "body").is_some();
        let sticky = self.contact(sender)?.is_some_and(Contact::encrypts);
        // What an archive has in clear may be older than the contact's first key.
        if chat && body && sticky && via != Via::Archive {
            let peer = sender.clone();
            self.notify(Event::ClearText { peer: peer.clone(), consent: Consent { peer } });
        }
        self.effects.push(Effect::Pass);
        Ok(())
    }

    fn received_envelope(
        &mut self,
        incoming: &Incoming<'_>,
        envelope: Envelope<'_>,
    ) -> Result<Result<(), Reason>, Error> {
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let mine = incoming.sender == account;
        if mine && envelope.sender() == me {
            // Servers' copies bring back what this device sent, and so does a message to its own account.
            let note = incoming.kind == StanzaKind::Message && incoming.addressed == account;
            if incoming.via == Via::Stream && !note {
                return Ok(Err(Misbehaviour::WrongSubject.into()));
            }
            self.notify(Event::Duplicate { peer: account, device: me });
            return Ok(Ok(()));
        }
        let Some(message) = Message::for_device(envelope, me, mine) else {
            return Ok(Err(Unreadable::NotForThisDevice.into()));
        };
        if self.queue_behind_arrival(incoming, message.device)? {
            return Ok(Ok(()));
        }
        self.received_part(incoming, message)
    }

    /// The part of a message that is for this device, with nothing from its sender before it.
    pub(super) fn received_part(
        &mut self,
        incoming: &Incoming<'_>,
        message: Message<'_>,
    ) -> Result<Result<(), Reason>, Error> {
        let device = message.device;
        if let Some(flight) = &message.part.flight {
            let accepted = (flight.record_sequence, digest(flight.e.as_slice()));
            let Some(session) = self.state.accepted.get(&accepted)?.map(|accepted| accepted.session) else {
                // A copy of what was read when there were these prekeys.
                let gone = !self.state.prekeys.contains(&flight.record_sequence);
                if gone && self.read_before(incoming, &message)? {
                    self.notify(Event::Duplicate { peer: incoming.sender.clone(), device });
                    return Ok(Ok(()));
                }
                return self.accept_flight(incoming, message);
            };
            let key = (incoming.sender.clone(), device, session);
            if !self.state.sessions.contains(&key) {
                if self.is_unlisted(&incoming.sender, device)? {
                    // It was closed when the list that the device had named did not hold it.
                    return Ok(Err(Unreadable::NoSession.into()));
                }
                self.notify(Event::Duplicate { peer: incoming.sender.clone(), device });
                return Ok(Ok(()));
            }
            return self.read_in(incoming, &message, &[key]);
        }
        let tag = message.part.tag;
        let sessions = self.sessions_of(&incoming.sender, device);
        let sessions: Vec<_> = sessions.into_iter().filter(|(_, _, [first, ..])| *first == tag).collect();
        self.read_in(incoming, &message, &sessions)
    }

    /// Whether a message is of a chain that a session has passed, and its key is gone.
    fn read_before(&self, incoming: &Incoming<'_>, message: &Message<'_>) -> Result<bool, Error> {
        let sessions = self.sessions_of(&incoming.sender, message.device);
        for key in sessions.iter().filter(|(_, _, [first, ..])| *first == message.part.tag) {
            let Some(session) = self.state.sessions.get(key)? else { continue };
            let Some(suite) = self.config.suites.find(session.suite_id()) else { continue };
            match self.open_part(&mut session.clone(), suite, incoming, message) {
                Err(OpenError::Duplicate) => return Ok(true),
                Err(OpenError::Store(missing)) => return Err(missing.into()),
                Ok(_) | Err(OpenError::Refused(_)) => {}
            }
        }
        Ok(false)
    }

    /// Reads a message in the one of these sessions it belongs to.
    fn read_in(
        &mut self,
        incoming: &Incoming<'_>,
        message: &Message<'_>,
        sessions: &[SessionKey],
    ) -> Result<Result<(), Reason>, Error> {
        let mut refused = Reason::from(Unreadable::NoSession);
        let mut stuck = false;
        for key in sessions {
            let Some(session) = self.state.sessions.get(key)? else { continue };
            let Some(suite) = self.config.suites.find(session.suite_id()) else { continue };
            let mut session = session.clone();
            match self.open_part(&mut session, suite, incoming, message) {
                Ok(opened) => {
                    let content = match self.unwrap(&opened, message) {
                        Ok(content) => content,
                        // The entry is authentic and its payload is not: nothing has changed.
                        Err(reason) => return Ok(Err(reason)),
                    };
                    return self.read(incoming, key, session, suite, opened, &content);
                }
                // Two have sealed with one state, or somebody wants it to look so.
                Err(OpenError::Duplicate) if session.is_another(suite, message.part.body) => {
                    return Ok(Err(Misbehaviour::Equivocation.into()));
                }
                Err(OpenError::Duplicate) => {
                    let (peer, device) = (incoming.sender.clone(), message.device);
                    self.notify(Event::Duplicate { peer, device });
                    // As to what cannot be read: the answer must not tell the two apart.
                    self.refuse_iq(incoming.element)?;
                    return Ok(Ok(()));
                }
                Err(OpenError::Refused(reason)) => {
                    refused = reason;
                    stuck |= reason == Misbehaviour::TooManySkipped.into() && session.flight().is_none();
                }
                Err(OpenError::Store(missing)) => return Err(missing.into()),
            }
        }
        if stuck {
            self.too_far(&incoming.sender, message.device)?;
        }
        Ok(Err(refused))
    }

    /// A message came that is too far ahead to be read. If it is authentic, nothing that follows will
    /// be read either; whether it is cannot be known, so one alone changes nothing.
    fn too_far(&mut self, jid: &BareJid, device: u32) -> Done {
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? else { return Ok(()) };
        known.too_far = known.too_far.saturating_add(1);
        if known.too_far < TOO_FAR {
            return Ok(());
        }
        known.too_far = 0;
        self.reopen(jid, device)
    }

    pub(super) fn open_part(
        &self,
        session: &mut Session,
        suite: &Suite,
        incoming: &Incoming<'_>,
        message: &Message<'_>,
    ) -> Result<Opened, OpenError<Missing>> {
        let extra: Vec<&[u8]> = message.extra.iter().map(Vec::as_slice).collect();
        let bound = Bound {
            kind: incoming.kind,
            stanza_type: incoming.element.attr("type"),
            sender: &incoming.sender,
            addressed: &incoming.addressed,
            prefix: &message.part.prefix,
            extra: &extra,
        };
        let id = session.id();
        let catching_up = self.is_catching_up().is_ok_and(|active| active);
        let mut skipped = |chain: u32, n: u32| -> Result<Option<Secret>, Missing> {
            let block = self.state.skipped.get(&(id, chain, n / crate::session::BLOCK))?;
            let block = block.filter(|block| catching_up || self.now.since(block.created()) <= SKIPPED_LIFE);
            Ok(block.and_then(|block| block.get(n)).cloned())
        };
        if !catching_up {
            return session.open(suite, self.now, &bound, message.part.body, &mut skipped);
        }
        let before = session.clone();
        let mut opened = session.open(suite, self.now, &bound, message.part.body, &mut skipped)?;
        opened.expired_chains = session.keep_chains(&before, &opened.expired_chains);
        opened.excess = session.unread().saturating_sub(crate::session::MAX_STORED);
        Ok(opened)
    }

    /// The padded content: as it came, or from the payload under the key that came.
    pub(super) fn unwrap(
        &self,
        opened: &Opened,
        message: &Message<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let Some((suite, commitment, payload)) = &message.wrapped else { return Ok(opened.content.clone()) };
        let suite = self.config.suites.find(*suite).ok_or(Misbehaviour::WrongSuite)?;
        let key = Secret::from(opened.content.as_slice());
        wrap::open(suite, &key, commitment, payload).map_err(|_| Reason::Unauthentic)
    }

    /// Takes over what reading a message has changed, and acts on its content.
    pub(super) fn read(
        &mut self,
        incoming: &Incoming<'_>,
        key: &SessionKey,
        mut session: Session,
        suite: &'static Suite,
        opened: Opened,
        content: &[u8],
    ) -> Result<Result<(), Reason>, Error> {
        let content = match self.content(incoming, key.1, content)? {
            Ok(content) => content,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Err(reason) = self.check_linking(key, &content)? {
            return Ok(Err(reason));
        }
        let tag = opened.answer_tag;
        self.take_skipped(&mut session, key, opened)?;
        let time = content.time;
        let said = incoming.kind == StanzaKind::Message && !matches!(content.body, Body::Control(_));
        let again = said && self.was_again(&key.0, key.1, time)?;
        session.note_latest(time);
        if said {
            session.note_heard(time);
        }
        // What answers, or asks, seals in the session as it is now: no key of a message is used twice.
        self.state.sessions.put(key.clone(), session.clone());
        if !matches!(content.body, Body::Control(Control::Resend(Resend::Message(_)))) {
            self.ask_once_more(key)?;
        }
        self.trouble_read(key, (said && !again).then_some(time))?;
        if again {
            // It was sent again, and that came first.
            self.notify(Event::Duplicate { peer: key.0.clone(), device: key.1 });
            return Ok(Ok(()));
        }
        let counts = self.act(incoming, (key.1, &session, suite), content, tag)?;
        let Some(session) = self.state.sessions.get_mut(key)? else { return Ok(Ok(())) };
        session.note_read(counts);
        let beat = session.heartbeat_due();
        self.seen_alive(&key.0, key.1)?;
        // Only the live session seals: an older one may be of a state that was restored.
        let live = self.live_id(&key.0, key.1)? == Some(key.2);
        if beat && live && self.is_friend(&key.0)? {
            self.send_empty_in(key)?;
        }
        Ok(Ok(()))
    }

    /// Stores keys of messages that are still to come, and drops those used or too old.
    fn take_skipped(&mut self, session: &mut Session, key: &SessionKey, opened: Opened) -> Done {
        let id = key.2;
        if let Some((chain, n)) = opened.used {
            let place = (id, chain, n / crate::session::BLOCK);
            let empty = self.state.skipped.get_mut(&place)?.is_none_or(|block| {
                block.take(n);
                block.is_empty()
            });
            if empty {
                self.state.skipped.remove(&place);
            }
        }
        for run in opened.skipped {
            let chain = run.chain;
            for (number, block) in run.split(self.now) {
                let place = (id, chain, number);
                match self.state.skipped.get_mut(&place)? {
                    Some(known) => known.merge(block),
                    None => self.state.skipped.put(place, block),
                }
            }
        }
        for chain in opened.expired_chains {
            for place in self.state.skipped.keys((id, chain, 0)..=(id, chain, u32::MAX)) {
                self.state.skipped.remove(&place);
            }
        }
        let mut excess = opened.excess;
        let catching_up = self.is_catching_up()?;
        if excess == 0 && session.unread() == 0 {
            return Ok(());
        }
        // Oldest first: too many, or kept too long.
        for place in self.state.skipped.keys((id, 0, 0)..=(id, u32::MAX, u32::MAX)) {
            let Some(block) = self.state.skipped.get(&place)? else { continue };
            let old = !catching_up && self.now.since(block.created()) > SKIPPED_LIFE;
            if excess == 0 && !old {
                break;
            }
            let count = u32::try_from(block.len()).unwrap_or(u32::MAX);
            session.forget_skipped(place.1, count);
            excess = excess.saturating_sub(count);
            self.state.skipped.remove(&place);
        }
        Ok(())
    }

    /// Whether automatic answers may go to this account: it sees our presence and is not distrusted, or is the own.
    pub(super) fn is_friend(&self, jid: &BareJid) -> Result<bool, Error> {
        let own = self.own()?.jid == *jid;
        let roster = self
            .contact(jid)?
            .is_some_and(|contact| contact.friend && contact.other_key.is_none() && !contact.is_distrusted());
        Ok(own || roster)
    }
}
