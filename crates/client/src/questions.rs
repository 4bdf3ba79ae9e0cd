//! Iqs: those of this client and their answers, and those of others.

use std::time::Duration;

use minidom::Element;
use tokio::time::Instant;
use xmpp_e2e::{Command, Need, Protection, Token};

use crate::client::{Client, OWN_TOKENS};
use crate::event::{Error, Event, Fault};
use crate::storage::Storage;
use crate::xml::{self, CARBONS, DISCO_INFO, MAM, PING, bare, element};

/// Some programs never answer; servers with rate limits take long.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

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
                Some(protection) => Event::Iq { stanza: stanza.clone(), protection },
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
            self.tell(match protection {
                None => Event::Stanza(iq.clone()),
                Some(protection) => Event::Iq { stanza: iq.clone(), protection },
            });
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
            // What follows the presence must not wait for it.
            return if self.presence_token == Some(token) { self.presence_sent() } else { Ok(()) };
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

    /// Asks a question.
    pub(crate) fn ask(&mut self, kind: &str, to: Option<&str>, payload: Element, purpose: Purpose) -> String {
        let (id, iq) = self.register(kind, to, payload, (purpose, None));
        self.write(iq);
        id
    }

    /// Sends an iq of type `get` or `set`. With [`Need::Policy`] it goes under protection to a device that is known at
    /// `to`, else in clear. Its answer comes as [`Event::Answer`] with the id returned; after a minute without one it is
    /// taken back if it has not gone out.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn request(
        &mut self,
        kind: &str,
        to: Option<&str>,
        payload: Element,
        need: Need,
    ) -> Result<String, Error<S::Error>> {
        let token = Token(OWN_TOKENS | self.number());
        let (id, iq) = self.register(kind, to, payload, (Purpose::Application, Some(token)));
        self.send(&iq, token, need)?;
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
                if let Some(token) = request.token {
                    // Nobody waits for it any more: it must not go out later.
                    self.command(Command::Cancel(token))?;
                }
                self.answered_with(&id, &request.purpose, None)?;
            }
        }
        Ok(())
    }

    /// A new session: nobody will answer the questions of the one before.
    pub(crate) fn fail_requests(&mut self) {
        self.archive.reading = None;
        for (id, request) in core::mem::take(&mut self.requests) {
            if matches!(request.purpose, Purpose::Application) {
                self.tell(Event::Answer { id, answer: None, protection: None });
            }
        }
    }
}
