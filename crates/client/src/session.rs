//! What happens on a stream: the beginning of a session, and each stanza.

use std::collections::BTreeSet;

use minidom::Element;
use xmpp_e2e::{Input, Need, OutboxId, Subscription, Token};
use xmpp_e2e_minidom::to_tree;

use crate::archive::{self, Name, Reading};
use crate::client::{ARCHIVE, Client, OWN_TOKENS, ROSTER, Subject};
use crate::connect::{Connected, Session, roster_query};
use crate::event::{Error, Event, Fault};
use crate::questions::Purpose;
use crate::roster::Change;
use crate::sm::{Sent, StreamManagement, Wrong};
use crate::storage::Storage;
use crate::wire::{CLIENT, Incoming, is_stanza};
use crate::xml::{self, DISCO_INFO, SM, STANZAS, STREAMS};

/// The archive's position is stored after so many messages: what is read twice after a crash is told from new.
const SAVE_AFTER: usize = 20;

/// Messages held back while the archive is read. Beyond it they are handed over as they come, out of order.
const MAX_HELD: usize = 1_000;

impl<S: Storage> Client<S> {
    pub(crate) fn connected(&mut self, connected: Connected) -> Result<(), Error<S::Error>> {
        let Connected { stream, offers, session, early } = connected;
        self.offers = offers;
        let (full_jid, resumed) = match session {
            Session::Resumed { h } => {
                self.up(stream);
                self.acknowledged(h, true)?;
                self.write_again();
                if self.begun {
                    self.write_backlog()?;
                    // What came meanwhile comes with the stream.
                    if !self.unread && self.archive.reading.is_none() {
                        self.catch_up(self.archive.failed)?;
                    }
                }
                (self.full_jid.clone(), true)
            }
            Session::Bound { full_jid, counted, id, before } => {
                if let Some(h) = before {
                    self.acknowledged(h, true)?;
                }
                self.reset_stream();
                self.up(stream);
                self.sm = StreamManagement::new(counted, id);
                self.full_jid.clone_from(&full_jid);
                self.fail_requests();
                self.begun = false;
                self.unread = false;
                (full_jid, false)
            }
        };
        self.step([Input::Connected { full_jid: &full_jid, resumed }], Subject::Nothing)?;
        self.tell(Event::Online { full_jid, resumed });
        if !self.active {
            self.tell_active();
        }
        if !resumed {
            self.begin();
        }
        // The server counts from where it said so, which was behind these.
        self.uncounted = true;
        let taken = early.into_iter().try_for_each(|incoming| self.came(incoming));
        self.uncounted = false;
        taken
    }

    /// What a new session starts with. Then comes presence, and then the archive: what arrives before presence is
    /// there, and servers may send it nowhere else. What arrives after it is held back until the archive is read,
    /// so that all is in order.
    fn begin(&mut self) {
        let domain = xml::domain(&self.login.account).to_owned();
        let info = || Element::bare("query", DISCO_INFO);
        self.ask("get", Some(&domain), info(), Purpose::Server);
        let version = self.offers.roster_versions.then(|| self.roster.version().to_owned());
        self.ask("get", None, roster_query(version.as_deref()), Purpose::Roster);
        let account = self.login.account.clone();
        self.ask("get", Some(&account), info(), Purpose::Account);
    }

    /// An element came.
    pub(crate) fn came(&mut self, incoming: Incoming) -> Result<(), Error<S::Error>> {
        let element = match incoming {
            Incoming::Element(element) => element,
            Incoming::TooLarge { stanza } => {
                self.fault(Fault::Refused(None));
                if stanza {
                    self.handled_then(None);
                }
                return Ok(());
            }
        };
        if is_stanza(&element) {
            return self.stanza(&element);
        }
        if element.has_ns(SM) {
            match element.name() {
                "r" => self.write_uncounted(xml::element(SM, "a", &[("h", &self.sm.h().to_string())])),
                "a" => match element.attr("h").and_then(|h| h.parse().ok()) {
                    Some(h) => self.acknowledged(h, false)?,
                    None => self.fault(Fault::Refused(None)),
                },
                _ => {}
            }
        } else if element.is("error", STREAMS) {
            let condition = element.children().next().map(|child| child.name().to_owned());
            if condition.as_deref() == Some("conflict") {
                self.step([Input::Disconnected], Subject::Nothing)?;
                return Err(Error::Replaced);
            }
            // The session is gone with the stream (RFC 6120, section 4.9.1.1).
            self.lost(condition)?;
        }
        Ok(())
    }

    fn stanza(&mut self, stanza: &Element) -> Result<(), Error<S::Error>> {
        let mut seen = None;
        if stanza.name() == "message" {
            match archive::name(stanza, &self.login.account) {
                Some(Name::Result { query, id }) => {
                    if let Some(reading) =
                        self.archive.reading.as_mut().filter(|reading| reading.query == query)
                    {
                        seen = Some(id.clone());
                        if reading.probe {
                            self.handled_then(seen);
                            return Ok(());
                        }
                        reading.messages += 1;
                        reading.ids.insert(id.clone());
                    }
                }
                name => {
                    // What lies between would be skipped.
                    let settled = self.begun && !self.unread && self.archive.reading.is_none();
                    if !settled && !self.uncounted && self.held.len() < MAX_HELD {
                        self.held.push_back(stanza.clone());
                        return Ok(());
                    }
                    if let (Some(Name::Live(id)), true) = (name, settled) {
                        seen = Some(id);
                    }
                }
            }
        }
        self.take(stanza, seen)
    }

    fn take(&mut self, stanza: &Element, seen: Option<String>) -> Result<(), Error<S::Error>> {
        match to_tree(stanza) {
            Ok(tree) => self.step([Input::ReceivedTree(&tree)], Subject::Came(stanza))?,
            Err(malformed) => self.fault(Fault::Refused(Some(malformed))),
        }
        self.handled_then(seen);
        Ok(())
    }

    /// A stanza that is not under protection, nor the engine's business.
    pub(crate) fn passed(&mut self, stanza: &Element) -> Result<(), Error<S::Error>> {
        if stanza.name() == "iq" {
            return self.iq(stanza, None);
        }
        self.tell(Event::Stanza(stanza.clone()));
        Ok(())
    }

    fn read_archive(&mut self) {
        let query = format!("{:016x}", self.random());
        let probe = self.archive.last.is_none();
        self.archive.failed = false;
        self.archive.reading = Some(Reading { query, messages: 0, probe, ids: BTreeSet::new() });
        self.next_page();
    }

    fn next_page(&mut self) {
        if let Some(query) = self.archive.query() {
            self.ask("set", None, query, Purpose::Archive);
        }
    }

    pub(crate) fn archive_answered(
        &mut self,
        result: Option<&Element>,
        iq: Option<&Element>,
    ) -> Result<(), Error<S::Error>> {
        let Some(reading) = &mut self.archive.reading else { return Ok(()) };
        let (messages, probe) = (reading.messages, reading.probe);
        let unknown = |iq: &Element| {
            iq.get_child("error", CLIENT).is_some_and(|error| error.has_child("item-not-found", STANZAS))
        };
        let known = self.archive.last.as_deref().is_some_and(|last| !last.is_empty());
        if iq.is_some_and(unknown) && !probe && known {
            self.fault(Fault::HistoryGap);
            self.archive.last = Some(String::new());
            self.read_archive();
            return Ok(());
        }
        if !probe && result.is_some_and(archive::has_more) && messages < self.config.history {
            self.next_page();
            return Ok(());
        }
        let read = core::mem::take(&mut reading.ids);
        self.archive.failed = !probe && result.is_none_or(archive::has_more);
        self.archive.reading = None;
        if result.is_some() && self.archive.last.is_none() {
            // The archive is empty: at the next login everything in it is new.
            self.archive.seen(String::new());
        }
        self.save_archive()?;
        self.caught_up(messages, &read)
    }

    /// All is known that must be before presence.
    pub(crate) fn present(&mut self) -> Result<(), Error<S::Error>> {
        self.begun = true;
        self.write_backlog()?;
        self.unread = true;
        self.send_presence()?;
        if self.presence.is_none() { self.presence_sent() } else { Ok(()) }
    }

    /// Presence has gone out, with the advert it may have waited for.
    pub(crate) fn presence_sent(&mut self) -> Result<(), Error<S::Error>> {
        if !core::mem::take(&mut self.unread) {
            return Ok(());
        }
        if self.archive.offered {
            self.read_archive();
            return Ok(());
        }
        self.caught_up(0, &BTreeSet::new())
    }

    /// The archive has been read: now for what was held back.
    fn caught_up(&mut self, messages: usize, read: &BTreeSet<String>) -> Result<(), Error<S::Error>> {
        self.release(read)?;
        // What could not be read of it is read, to older keys, at the next login.
        self.catch_up(self.archive.failed)?;
        self.tell(Event::CaughtUp { messages });
        Ok(())
    }

    /// Hands over what was held back, but for what was `read` in the archive.
    pub(crate) fn release(&mut self, read: &BTreeSet<String>) -> Result<(), Error<S::Error>> {
        for stanza in core::mem::take(&mut self.held) {
            match archive::name(&stanza, &self.login.account) {
                Some(Name::Live(id)) if read.contains(&id) => self.handled_then(None),
                Some(Name::Live(id)) => self.take(&stanza, Some(id))?,
                Some(Name::Result { .. }) | None => self.take(&stanza, None)?,
            }
        }
        Ok(())
    }

    pub(crate) fn send_presence(&mut self) -> Result<(), Error<S::Error>> {
        let Some(presence) = self.presence.clone() else {
            self.write(xml::unavailable());
            return Ok(());
        };
        let token = Token(OWN_TOKENS | self.number());
        self.presence_token = Some(token);
        self.send(&presence, token, Need::Policy)
    }

    pub(crate) fn take_roster(&mut self, change: Change) -> Result<(), Error<S::Error>> {
        let text = self.roster.to_xml();
        self.storage.set_note(ROSTER, Some(text.as_bytes())).map_err(Error::Storage)?;
        // The engine reads results and pushes too, but not what has silently gone.
        let gone = change.removed.iter();
        let gone = gone.map(|jid| Input::Roster { jid, subscription: Subscription::Remove });
        self.step(gone.collect::<Vec<_>>(), Subject::Nothing)?;
        for item in change.set {
            self.tell(Event::Roster(item));
        }
        for jid in change.removed {
            self.tell(Event::RosterRemoved { jid });
        }
        Ok(())
    }

    /// Tells the engine the roster as it was stored.
    pub(crate) fn tell_roster(&mut self) -> Result<(), Error<S::Error>> {
        let items: Vec<_> = self.roster.items().map(|item| (item.jid.clone(), item.subscription)).collect();
        let inputs =
            items.iter().map(|(jid, subscription)| Input::Roster { jid, subscription: *subscription });
        self.step(inputs, Subject::Nothing)
    }

    /// The server's count of stanzas; `asked` if it was given with a resumption.
    fn acknowledged(&mut self, h: u32, asked: bool) -> Result<(), Error<S::Error>> {
        match self.sm.acknowledged(h) {
            Ok(sent) => self.tell_engine(sent),
            Err(Wrong::Again) if asked => Ok(()),
            Err(Wrong::Again) => {
                self.fault(Fault::AcknowledgedAgain);
                Ok(())
            }
            Err(Wrong::Ahead) => {
                self.fault(Fault::AcknowledgedAhead);
                Ok(())
            }
        }
    }

    pub(crate) fn tell_engine(&mut self, sent: Vec<Sent>) -> Result<(), Error<S::Error>> {
        let ids: Vec<OutboxId> = sent.iter().filter_map(|sent| sent.id).collect();
        self.step(ids.into_iter().map(Input::Acknowledged), Subject::Nothing)?;
        for token in sent.into_iter().filter_map(|sent| sent.token) {
            self.tell(Event::Acknowledged { token });
        }
        Ok(())
    }

    /// A message of the archive has been dealt with.
    pub(crate) fn seen(&mut self, id: String) -> Result<(), Error<S::Error>> {
        // Where the archive could not be read, the next reading begins where this one ended.
        if self.archive.failed {
            return Ok(());
        }
        let first = self.archive.last.is_none();
        self.archive.seen(id);
        if first || self.archive.unsaved >= SAVE_AFTER { self.save_archive() } else { Ok(()) }
    }

    pub(crate) fn save_archive(&mut self) -> Result<(), Error<S::Error>> {
        if let (Some(last), true) = (&self.archive.last, self.archive.unsaved > 0) {
            let last = last.clone();
            self.storage.set_note(ARCHIVE, Some(last.as_bytes())).map_err(Error::Storage)?;
            self.archive.unsaved = 0;
        }
        Ok(())
    }
}
