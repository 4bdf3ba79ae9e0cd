//! What happens on a stream: the beginning of a session, and each stanza.

use std::collections::BTreeSet;
use std::time::Duration;

use minidom::Element;
use tokio::time::Instant;
use xmpp_e2e::{Input, Need, OutboxId, Protection, Subscription, Token};
use xmpp_e2e_minidom::to_tree;

use crate::archive::{self, Name, Reading};
use crate::client::{ARCHIVE, Client, OWN_TOKENS, ROSTER, Subject};
use crate::connect::{Connected, Session, roster_query};
use crate::event::{Error, Event, Fault};
use crate::roster::Change;
use crate::sm::{Sent, StreamManagement, Wrong};
use crate::storage::Storage;
use crate::wire::{CLIENT, Incoming, is_stanza};
use crate::xml::{self, CARBONS, DISCO_INFO, MAM, PING, SM, STANZAS, STREAMS, bare, element};

/// Some programs never answer; servers with rate limits take long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The archive's position is stored after so many messages: what is read twice after a crash is told from new.
const SAVE_AFTER: usize = 20;

/// Messages held back while the archive is read. Beyond it they are handed over as they come, out of order.
const MAX_HELD: usize = 1_000;

/// A question of the client's that is open.
#[derive(Debug)]
pub(crate) struct Request {
    to: Option<String>,
    /// The engine's name for it, if it went through the engine.
    token: Option<Token>,
    purpose: Purpose,
    pub(crate) deadline: Instant,
}

/// What a question is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    Account,
    Application,
    Archive,
    Carbons,
    /// Acknowledges the stanzas that were unacknowledged when it was sent.
    Ping(usize),
    Roster,
    Server,
}

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

    /// An iq, and how it was protected.
    pub(crate) fn iq(
        &mut self,
        stanza: &Element,
        protection: Option<Protection>,
    ) -> Result<(), Error<S::Error>> {
        match stanza.attr("type") {
            Some("result" | "error") => return self.answer(stanza, protection),
            // Only the own server pushes, and it has no keys.
            Some("set") if protection.is_none() && stanza.has_child("query", xml::ROSTER) => {
                // The engine lets only the own server's pass.
                if let Some(query) = stanza.get_child("query", xml::ROSTER) {
                    let change = self.roster.update(query);
                    self.take_roster(change)?;
                }
                self.write(xml::result(stanza, None));
            }
            Some("get") if stanza.has_child("ping", PING) => return self.reply(&xml::result(stanza, None)),
            Some("get") if stanza.has_child("query", DISCO_INFO) => {
                let mut query = Element::bare("query", DISCO_INFO);
                let identity = [("category", "client"), ("type", "pc"), ("name", "xmpp-e2e")];
                query.append_child(element(DISCO_INFO, "identity", &identity));
                for feature in [DISCO_INFO, PING, xmpp_e2e::NS] {
                    query.append_child(element(DISCO_INFO, "feature", &[("var", feature)]));
                }
                return self.reply(&xml::result(stanza, Some(query)));
            }
            _ => self.tell(match protection {
                None => Event::Stanza(stanza.clone()),
                Some(protection) => Event::Question { stanza: stanza.clone(), protection },
            }),
        }
        Ok(())
    }

    /// Answers an iq: under protection, if that is how it was asked.
    pub(crate) fn reply(&mut self, answer: &Element) -> Result<(), Error<S::Error>> {
        let token = Token(OWN_TOKENS | self.number());
        self.send(answer, token, Need::Policy)
    }

    /// The answer to a question of the client's.
    fn answer(&mut self, iq: &Element, protection: Option<Protection>) -> Result<(), Error<S::Error>> {
        let id = iq.attr("id").unwrap_or_default();
        let Some(request) = self.requests.get(id) else {
            self.tell(Event::Stanza(iq.clone()));
            return Ok(());
        };
        let from = iq.attr("from");
        let right = match &request.to {
            Some(to) => from == Some(to) || from.is_none() && *to == self.login.account,
            // Servers name themselves, the account or nobody (RFC 6120, section 8.1.2.1).
            None => from.is_none_or(|from| bare(from) == self.login.account),
        };
        if !right {
            self.fault(Fault::AnswerFromElsewhere);
            return Ok(());
        }
        let Some(request) = self.requests.remove(id) else { return Ok(()) };
        if let Purpose::Application = request.purpose {
            self.tell(Event::Answer { id: id.to_owned(), answer: Some(iq.clone()), protection });
            return Ok(());
        }
        self.answered_with(id, &request.purpose, Some(iq))
    }

    /// Something of the client's own did not go out.
    pub(crate) fn own_failed(&mut self, token: Token) -> Result<(), Error<S::Error>> {
        let request = self.requests.iter().find(|(_, request)| request.token == Some(token));
        let Some(id) = request.map(|(id, _)| id.clone()) else {
            // The presence: what follows it must not wait for it.
            return self.presence_sent();
        };
        let outstanding = self.requests.remove(&id);
        outstanding.map_or(Ok(()), |request| self.answered_with(&id, &request.purpose, None))
    }

    fn answered_with(
        &mut self,
        id: &str,
        purpose: &Purpose,
        iq: Option<&Element>,
    ) -> Result<(), Error<S::Error>> {
        let result = iq.filter(|iq| iq.attr("type") == Some("result"));
        let offers = |feature: &str| {
            let query = result.and_then(|iq| iq.get_child("query", DISCO_INFO));
            query.is_some_and(|query| {
                query.children().any(|child| child.name() == "feature" && child.attr("var") == Some(feature))
            })
        };
        match purpose {
            Purpose::Application => {
                self.tell(Event::Answer { id: id.to_owned(), answer: iq.cloned(), protection: None });
            }
            Purpose::Carbons => {}
            Purpose::Ping(count) => {
                if iq.is_none() {
                    return self.lost(Some("no answer to a ping".to_owned()));
                }
                // An error is an answer too.
                let sent = self.sm.pinged(*count);
                self.tell_engine(sent)?;
            }
            Purpose::Server => {
                if offers(CARBONS) {
                    self.ask("set", None, Element::bare("enable", CARBONS), Purpose::Carbons);
                }
            }
            Purpose::Roster => {
                if let Some(query) = result.and_then(|iq| iq.get_child("query", xml::ROSTER)) {
                    let change = self.roster.replace(query);
                    self.take_roster(change)?;
                }
            }
            Purpose::Account => {
                self.archive.offered = offers(MAM);
                return self.present();
            }
            Purpose::Archive => return self.archive_answered(result, iq),
        }
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

    fn archive_answered(
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
    fn present(&mut self) -> Result<(), Error<S::Error>> {
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
        self.send(&presence, token, Need::Policy)
    }

    fn take_roster(&mut self, change: Change) -> Result<(), Error<S::Error>> {
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

    /// Asks a question.
    pub(crate) fn ask(&mut self, kind: &str, to: Option<&str>, payload: Element, purpose: Purpose) -> String {
        let (id, iq) = self.register(kind, to, payload, (purpose, None));
        self.write(iq);
        id
    }

    /// Asks a question of the application's, under protection where that is possible.
    pub(crate) fn ask_protected(
        &mut self,
        kind: &str,
        to: Option<&str>,
        payload: Element,
    ) -> Result<String, Error<S::Error>> {
        let token = Token(OWN_TOKENS | self.number());
        let (id, iq) = self.register(kind, to, payload, (Purpose::Application, Some(token)));
        self.send(&iq, token, Need::Policy)?;
        Ok(id)
    }

    fn register(
        &mut self,
        kind: &str,
        to: Option<&str>,
        payload: Element,
        (purpose, token): (Purpose, Option<Token>),
    ) -> (String, Element) {
        // Nobody can answer who has not seen it.
        let id = format!("c{:x}-{:012x}", self.number(), self.random() >> 16);
        let request =
            Request { to: to.map(str::to_owned), token, purpose, deadline: Instant::now() + ANSWER_TIMEOUT };
        self.requests.insert(id.clone(), request);
        let iq = xml::iq(kind, &id, to, Some(payload));
        (id, iq)
    }

    /// Where the server does not count: an answer to a ping acknowledges what went before it.
    pub(crate) fn ping(&mut self) {
        let open = self.requests.values().any(|request| matches!(request.purpose, Purpose::Ping(_)));
        if !open {
            let domain = xml::domain(&self.login.account).to_owned();
            let count = self.sm.outstanding();
            let (_, ping) = self.register(
                "get",
                Some(&domain),
                Element::bare("ping", PING),
                (Purpose::Ping(count), None),
            );
            // Nothing acknowledges the ping itself.
            self.write_first(ping);
        }
    }

    pub(crate) fn time_out_requests(&mut self) -> Result<(), Error<S::Error>> {
        let now = Instant::now();
        let late = self.requests.iter().filter(|(_, request)| request.deadline <= now);
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        for id in late {
            if let Some(request) = self.requests.remove(&id) {
                self.answered_with(&id, &request.purpose, None)?;
            }
        }
        Ok(())
    }

    /// A new session: nobody will answer the questions of the one before.
    fn fail_requests(&mut self) {
        self.archive.reading = None;
        for (id, request) in core::mem::take(&mut self.requests) {
            if matches!(request.purpose, Purpose::Application) {
                self.tell(Event::Answer { id, answer: None, protection: None });
            }
        }
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

    fn tell_engine(&mut self, sent: Vec<Sent>) -> Result<(), Error<S::Error>> {
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
