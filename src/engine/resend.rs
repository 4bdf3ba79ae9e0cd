//! Sent messages that a device may ask for again, and those that come again.

use core::time::Duration;

use crate::engine::deliver::Given;
use crate::engine::draft::{Done, Draft};
use crate::engine::outbox::MAX_OUTBOX;
use crate::engine::receive::{How, Incoming};
use crate::engine::records::{Kept, SessionKey};
use crate::engine::recovery::Missing;
use crate::env::Timestamp;
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::session::{Session, StanzaKind};
use crate::stanza::{Again, Body, CLIENT_NS, Content, Control, Element, MESSAGE, Node, Padding, Resend};
use crate::step::{Coverage, Event, Via};
use crate::suite::{Level, Suite};

/// Messages sent again at one request: more than somebody writes before noticing that no answer comes.
pub(super) const MAX_RESENT: usize = 100;

/// A device is sent messages again at most so often within [`ANSWERS`]: as often as it may ask.
const MAX_ANSWERS: u8 = 3;
const ANSWERS: Duration = Duration::from_hours(1);

/// All devices of an account are sent messages again so often within [`ANSWERS`]: an account may list 32 devices, and
/// each answer may be a mebibyte.
const MAX_ANSWERS_OF_ACCOUNT: u32 = 12;

/// What is kept of sent messages, to be sent again to devices that they were sealed for and that could not read them.
///
/// It is in clear in the store until it goes: whoever gets the store can read it, as in the history that most
/// applications keep. One that keeps none, or deletes messages early, should turn it [`OFF`](Self::OFF).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ResendMemory {
    /// How many messages for one contact.
    pub messages: usize,
    /// How many bytes altogether, with 128 for each message.
    pub bytes: u64,
    /// For how long.
    pub age: Duration,
}

impl ResendMemory {
    /// Nothing is kept, and nothing is sent again.
    pub const OFF: Self = Self { messages: 0, bytes: 0, age: Duration::ZERO };
}

impl Default for ResendMemory {
    /// A hundred messages for a contact, one mebibyte, seven days.
    fn default() -> Self {
        Self { messages: 100, bytes: 1 << 20, age: Duration::from_hours(7 * 24) }
    }
}

impl Draft<'_> {
    /// Keeps a message that goes out sealed.
    pub(super) fn keep(
        &mut self,
        (order, to): (u64, &BareJid),
        element: &Element<'_>,
        content: &Content<'_>,
        level: Level,
        coverage: &Coverage,
    ) -> Done {
        let memory = self.config.resend_memory;
        if memory.messages == 0 {
            return Ok(());
        }
        let Ok(bytes) = content.encode(Padding::Off) else { return Ok(()) };
        let kept = Kept {
            account_key: self.contact(to)?.and_then(|contact| contact.account_key),
            level: level.0,
            time: content.time,
            devices: coverage.devices.clone(),
            own_devices: coverage.own_devices.clone(),
            stanza_type: element.attr("type").unwrap_or_default().to_owned(),
            id: element.attr("id").unwrap_or_default().to_owned(),
            content: Secret::from(bytes.as_slice()),
        };
        let size = kept.size();
        if size > memory.bytes {
            return Ok(());
        }
        self.state.kept.put((to.clone(), order), kept);
        let counters = self.state.counters.get_mut(&())?.ok_or(Misuse::Record)?;
        counters.kept = counters.kept.saturating_add(size);
        let total = counters.kept;
        let of_one = self.state.kept.keys((to.clone(), 0)..=(to.clone(), u64::MAX));
        let too_many = of_one.len().saturating_sub(memory.messages);
        for key in of_one.iter().take(too_many) {
            self.drop_kept(key)?;
        }
        if total > memory.bytes {
            self.shrink_kept(memory.bytes / 8 * 7)?;
        }
        Ok(())
    }

    /// Drops the oldest messages until there are at most so many bytes.
    fn shrink_kept(&mut self, bytes: u64) -> Done {
        let mut keys = self.state.kept.all_keys();
        keys.sort_unstable_by_key(|(_, order)| *order);
        for key in keys {
            if self.state.counters.get(&())?.is_none_or(|counters| counters.kept <= bytes) {
                break;
            }
            self.drop_kept(&key)?;
        }
        Ok(())
    }

    fn drop_kept(&mut self, key: &(BareJid, u64)) -> Done {
        let size = self.state.kept.get(key)?.map_or(0, Kept::size);
        self.state.kept.remove(key);
        let counters = self.state.counters.get_mut(&())?.ok_or(Misuse::Record)?;
        counters.kept = counters.kept.saturating_sub(size);
        Ok(())
    }

    /// Drops the messages that are too old, or all if none are to be kept any more.
    pub(super) fn expire_kept(&mut self) -> Done {
        let (memory, now) = (self.config.resend_memory, self.now);
        let gone = |kept: &Kept| memory.messages == 0 || now.since(kept.time) >= memory.age;
        for key in self.state.kept.all_keys() {
            if self.state.kept.get(&key)?.is_some_and(gone) {
                self.drop_kept(&key)?;
            }
        }
        Ok(())
    }

    /// Nothing is sent again to this account.
    pub(super) fn forget_kept(&mut self, jid: &BareJid) -> Done {
        for key in self.state.kept.keys((jid.clone(), 0)..=(jid.clone(), u64::MAX)) {
            self.drop_kept(&key)?;
        }
        Ok(())
    }

    /// A device asks for what was sent to it after `since`.
    pub(super) fn asked_to_resend(&mut self, key: &SessionKey, said: Timestamp, since: u64) -> Done {
        let (jid, device) = (&key.0, key.1);
        // What is of before a restore must not seal.
        let restores = self.own()?.restores;
        let seals = self.state.sessions.get(key)?.is_some_and(|session| session.restores() == restores);
        if !self.device(jid, device)?.is_some_and(|known| known.is_good(self.now)) || !seals {
            return Ok(());
        }
        let live = self.live_id(jid, device)?;
        if live != Some(key.2) && self.has_moved_on(key, live, said)? {
            return Ok(());
        }
        // Whichever handshake was later: here both understand each other, and in the live one it may be that they do not.
        if let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? {
            // The counter stays: who opens knowing of both sessions counts past it; who does not is read all the same.
            known.live = Some(key.2);
        }
        // Nobody is a friend while another key is in question.
        let trusted = self.is_friend(jid)? && self.check_trust(jid)?.is_ok();
        if self.own()?.left || !trusted {
            return Ok(());
        }
        let session = self.state.sessions.get(key)?.map(Session::suite_id);
        let Some(suite) = session.and_then(|id| self.config.suites.find(id)) else { return Ok(()) };
        let level = suite.level;
        if level < self.config.least || !self.may_answer_again(jid, device)? {
            return Ok(());
        }
        let mut wanted = self.wanted(jid, device, (since, level))?;
        let first = wanted.len().saturating_sub(MAX_RESENT);
        let mut count: u16 = 0;
        for (to, kept) in wanted.drain(first..) {
            // The user's own messages need room, too.
            if self.state.outbox.len() >= MAX_OUTBOX / 2 {
                break;
            }
            let again = Again {
                addressed: to.as_str().to_owned(),
                stanza_type: kept.stanza_type,
                id: kept.id,
                content: kept.content.expose().into(),
            };
            let sealed = self.try_control(key, Control::Resend(Resend::Message(again)))?;
            count = count.saturating_add(u16::from(sealed));
        }
        if count > 0 {
            self.notify(Event::Resent { peer: jid.clone(), device, count });
        }
        Ok(())
    }

    /// Whether the device has gone on to another session since it said something in this one: then that was held back on
    /// its way, or is of a thief who has the old session and not the new one.
    fn has_moved_on(&self, key: &SessionKey, live: Option<[u8; 16]>, said: Timestamp) -> Result<bool, Error> {
        let created = self.state.sessions.get(key)?.map(Session::created);
        for other in self.sessions_of(&key.0, key.1) {
            let Some(session) = self.state.sessions.get(&other)? else { continue };
            let later =
                Some(other.2) == live && session.flight().is_none() && Some(session.created()) > created;
            if later || session.latest() > said.as_millis() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The messages that a device may have again, in order: sealed for it, under the key that its account still has,
    /// and needing no more than the session gives.
    fn wanted(
        &self,
        jid: &BareJid,
        device: u32,
        (since, level): (u64, Level),
    ) -> Result<Vec<(BareJid, Kept)>, Error> {
        let own = self.own()?.jid == *jid;
        let keys = if own {
            self.state.kept.all_keys()
        } else {
            self.state.kept.keys((jid.clone(), 0)..=(jid.clone(), u64::MAX))
        };
        let mut wanted = Vec::new();
        for key in keys {
            let Some(kept) = self.state.kept.get(&key)? else { continue };
            let for_it = if own { &kept.own_devices } else { &kept.devices };
            let account_key = self.contact(&key.0)?.and_then(|contact| contact.account_key);
            if kept.time.as_millis() > since
                && for_it.contains(&device)
                && kept.account_key == account_key
                && kept.level <= level.0
                && self.now.since(kept.time) < self.config.resend_memory.age
            {
                wanted.push((key.0, kept.clone()));
            }
        }
        wanted.sort_unstable_by_key(|(_, kept)| kept.time);
        Ok(wanted)
    }

    /// How often devices of an account have been sent messages again within the hour.
    fn answers_to(&self, jid: &BareJid) -> Result<u32, Error> {
        let mut all = 0;
        for key in self.troubles_of(jid) {
            let Some(trouble) = self.state.troubles.get(&key)? else { continue };
            if self.now.since(Timestamp::from_millis(trouble.answered_at)) < ANSWERS {
                all += u32::from(trouble.answered);
            }
        }
        Ok(all)
    }

    /// Whether a device may be sent messages again, counting this time.
    fn may_answer_again(&mut self, jid: &BareJid, device: u32) -> Result<bool, Error> {
        let key = (jid.clone(), device);
        let now = self.now;
        let mut trouble = self.state.troubles.get(&key)?.cloned().unwrap_or_default();
        if now.since(Timestamp::from_millis(trouble.answered_at)) >= ANSWERS {
            trouble.answered_at = now.as_millis();
            trouble.answered = 0;
        }
        if trouble.answered >= MAX_ANSWERS || self.answers_to(jid)? >= MAX_ANSWERS_OF_ACCOUNT {
            return Ok(false);
        }
        trouble.answered += 1;
        trouble.forget_at = trouble.forget_at.max(now.after(ANSWERS));
        self.state.troubles.put(key, trouble);
        Ok(true)
    }

    /// A message that has been asked for.
    pub(super) fn resent(
        &mut self,
        incoming: &Incoming<'_>,
        (device, session, suite): (u32, &Session, &Suite),
        again: &Again,
    ) -> Result<bool, Error> {
        let sender = incoming.sender.clone();
        let own = self.own()?.jid.clone();
        let addressed = BareJid::parse(&again.addressed).ok();
        let addressed = addressed.filter(|jid| sender == own || *jid == own);
        let content = Content::decode(again.content.as_slice()).ok().filter(|content| {
            let whole = matches!(content.body, Body::ChatText(_) | Body::Children(_) | Body::Stanza(_));
            whole && content.answers.is_none()
        });
        let fits = |body: &Body<'_>| !matches!(body, Body::Stanza(stanza) if &*stanza.name != MESSAGE);
        let known_type = ["", "chat", "normal", "headline"].contains(&again.stanza_type.as_str());
        let (Some(addressed), Some(content), true) =
            (addressed, content.filter(|content| fits(&content.body)), known_type)
        else {
            self.refuse_resent(&sender, device, Malformed::Stanza.into());
            return Ok(false);
        };
        match self.is_missing(&sender, device, content.time)? {
            Missing::No => {
                self.refuse_resent(&sender, device, Misbehaviour::OutOfTurn.into());
                return Ok(false);
            }
            Missing::Read => {
                self.notify(Event::Duplicate { peer: sender, device });
                return Ok(false);
            }
            Missing::Yes => {}
        }
        let Content { time, inner_id, body, .. } = content;
        let stanza = match body {
            Body::ChatText(text) => {
                Element::new(CLIENT_NS, MESSAGE).with_child(Element::new(CLIENT_NS, "body").with_text(text))
            }
            Body::Children(children) => Element { children, ..Element::new(CLIENT_NS, MESSAGE) },
            Body::Stanza(stanza) => stanza,
            Body::Covered(_) | Body::Control(_) | Body::Shown(_) => return Ok(false),
        };
        let given = Given {
            stanza,
            id: inner_id,
            sent: time,
            suite: suite.id.0,
            level: suite.level.0,
            one_time: session.used_one_time_prekey(),
            ..Given::default()
        };
        let mut element = Element::new(CLIENT_NS, MESSAGE);
        if let Some(from) = incoming.element.attr("from") {
            element = element.with_attr("from", from.to_owned());
        }
        element = element.with_attr("to", addressed.as_str().to_owned());
        for (name, value) in [("type", &again.stanza_type), ("id", &again.id)] {
            if !value.is_empty() {
                element = element.with_attr(name, value.clone());
            }
        }
        let key = (sender.clone(), device, session.id());
        self.trouble_read(&key, Some(time))?;
        self.came_again(&sender, device, time)?;
        // What another own device has sent comes as a carbon does.
        let outer = (sender == own).then(|| carbon(&own, &element));
        let via = if outer.is_some() { Via::Carbon } else { Via::Stream };
        let incoming = Incoming {
            element: &element,
            kind: StanzaKind::Message,
            how: How::Sealed,
            outer: outer.as_ref(),
            via,
            sender,
            addressed,
            bytes: Vec::new(),
        };
        self.hand_over(&incoming, device, given)?;
        Ok(true)
    }

    fn refuse_resent(&mut self, peer: &BareJid, device: u32, reason: Reason) {
        let (peer, device) = (Some(peer.clone()), Some(device));
        self.notify(Event::Rejected { peer, device, reason, recoverable: false });
    }
}

/// A carbon (XEP-0280) of a message that the own account has sent.
fn carbon<'a>(own: &BareJid, message: &Element<'a>) -> Element<'a> {
    let forwarded = Element::new("urn:xmpp:forward:0", "forwarded").with_child(message.clone());
    let sent = Element::new("urn:xmpp:carbons:2", "sent").with_child(forwarded);
    let outer = Element::new(CLIENT_NS, MESSAGE).with_attr("from", own.as_str().to_owned());
    Element { children: vec![Node::Element(sent)], ..outer }
}
