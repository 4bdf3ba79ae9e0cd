//! What the client tells.

use xmpp_e2e_client::minidom::Element;
use xmpp_e2e_client::xmpp_e2e::{Context, Event as Security, InboxId, Protection as How, Subscription};
use xmpp_e2e_client::{Event, Fault, Item, Offline};

use super::{App, stop};
use crate::command::bare;
use crate::history::{Direction, Entry, Protection, key};
use crate::line::Line;
use crate::stanza::{self, Message};
use crate::words::{self, Level};
use crate::{Stop, text};

impl App {
    pub(super) fn event(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Online { full_jid, resumed } => {
                self.ready &= resumed;
                self.print(&Line::Online { full_jid, resumed })?;
                self.catch_up()
            }
            Event::Offline(why) => {
                let why = match why {
                    Offline::Connect(error) => error.to_string(),
                    Offline::Lost(Some(why)) => why,
                    _ => "the server closed the connection".to_owned(),
                };
                self.print(&Line::Offline(why))
            }
            Event::CaughtUp { messages } => {
                self.print(&Line::CaughtUp { messages })?;
                self.ready = true;
                self.release()?;
                self.catch_up()
            }
            Event::Stanza(stanza) => self.stanza(&stanza),
            Event::Iq { stanza, .. } if matches!(stanza.attr("type"), Some("get" | "set")) => {
                self.client.refuse(&stanza).map_err(stop)
            }
            Event::Delivered { id, stanza, protection, context, .. } => {
                self.delivered(id, &stanza, (protection, &context))
            }
            Event::Sent { token, coverage } => self.sent(token, coverage),
            Event::Waiting { token, why } => self.waiting(token, why),
            Event::Failed { token, why } => self.failed(token, why),
            Event::Clear { token } => self.clear(token),
            Event::Acknowledged { token } => self.acknowledged(token),
            Event::Security(event) => self.security(&event),
            Event::Roster(item) => self.print(&roster_line(&item)),
            Event::RosterRemoved { jid } => {
                self.print(&Line::Roster { jid, subscription: "removed", name: None })
            }
            // Servers do so when a session ends.
            Event::Fault(Fault::AcknowledgedAgain) if !self.verbose => Ok(()),
            Event::Fault(fault) => self.print(&Line::Fault(fault.to_string())),
            _ => Ok(()),
        }
    }

    /// Does what waited for the connection.
    fn catch_up(&mut self) -> Result<(), Stop> {
        for command in core::mem::take(&mut self.later) {
            self.command(command)?;
        }
        Ok(())
    }

    /// Kept, printed, taken, in this order: what is killed in between comes again, and is known.
    fn delivered(
        &mut self,
        id: InboxId,
        stanza: &Element,
        (protection, context): (How, &Context),
    ) -> Result<(), Stop> {
        let account = self.client.account().to_owned();
        if let Some(message) = stanza::message(stanza, &account) {
            let sender = context.sender.as_str();
            let (direction, jid) = if sender == account && context.addressed.as_str() != account {
                (Direction::Copy, context.addressed.as_str())
            } else {
                (Direction::In, sender)
            };
            let mut entry = Entry::incoming(jid, &message.text, context.sent.as_millis());
            entry.direction = direction;
            entry.device = Some(context.device);
            entry.protection = Some(match protection {
                How::Encrypted { .. } => Protection::Encrypted,
                // Whatever else there may be is at least that.
                _ => Protection::Authenticated,
            });
            entry.trust = Some(words::trust(context.trust).to_owned());
            entry.id = message.id.unwrap_or_default();
            // The number alone would begin anew should the engine ever forget all it has.
            let key =
                format!("inbox\0{}\0{sender}\0{}\0{}", id.as_u64(), context.device, context.sent.as_millis());
            self.keep(Some(key.as_bytes()), entry)?;
        }
        self.client.taken(id).map_err(stop)
    }

    fn keep(&mut self, key: Option<&[u8]>, entry: Entry) -> Result<(), Stop> {
        let Some(n) = self.history.keep(key, &entry)? else { return Ok(()) };
        match entry.direction {
            Direction::In => self.print(&Line::In { n, entry }),
            Direction::Out | Direction::Copy => self.print(&Line::Copy { n, entry }),
        }
    }

    fn stanza(&mut self, stanza: &Element) -> Result<(), Stop> {
        match stanza.name() {
            "message" => self.message(stanza),
            "presence" => self.presence(stanza),
            "iq" if matches!(stanza.attr("type"), Some("get" | "set")) => {
                self.client.refuse(stanza).map_err(stop)
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, stanza: &Element) -> Result<(), Stop> {
        if let Some((from, id)) = stanza::returned(stanza) {
            return self.returned(&from, id);
        }
        let account = self.client.account().to_owned();
        let Some(Message { from, to, id, archived, time, kind, text }) = stanza::message(stanza, &account)
        else {
            return Ok(());
        };
        if matches!(&*kind, "groupchat" | "error") {
            return Ok(());
        }
        let key = key(&from, id.as_deref(), archived.as_deref(), &text);
        let copy = from == account && to != account;
        if let (true, Some(id)) = (copy, &id) {
            self.found_in_archive(id)?;
        }
        let jid = if copy { &to } else { &from };
        let mut entry = Entry::incoming(jid, &text, time.unwrap_or_else(text::now));
        if copy {
            entry.direction = Direction::Copy;
        }
        entry.protection = Some(Protection::Clear);
        entry.id = id.unwrap_or_default();
        self.keep(key.as_deref(), entry)
    }

    fn presence(&mut self, stanza: &Element) -> Result<(), Stop> {
        let from = stanza.attr("from").unwrap_or_default();
        let Some(jid) = bare(from) else { return Ok(()) };
        // The own, mirrored by the server.
        if jid == self.client.account() {
            return Ok(());
        }
        match stanza.attr("type") {
            None => self.print(&Line::Presence { full_jid: from.to_owned(), available: true }),
            Some("unavailable") => {
                self.print(&Line::Presence { full_jid: from.to_owned(), available: false })
            }
            Some("subscribe") => {
                self.print(&Line::Request { jid: jid.clone() })?;
                if self.accept { self.accept(&jid) } else { Ok(()) }
            }
            Some(_) => Ok(()),
        }
    }

    fn security(&mut self, event: &Security) -> Result<(), Stop> {
        match event {
            Security::ClearText { peer, consent } => {
                self.consents.insert(peer.as_str().to_owned(), consent.clone());
            }
            Security::VerificationAsked { peer, run, question, .. } => {
                self.verification_asked(peer.as_str(), *run, question.is_some());
            }
            Security::VerificationStarted { peer, run, .. } => {
                self.verification_started(peer.as_str(), *run);
            }
            Security::VerificationString { peer, run, string } => {
                return self.verification_shown(peer.as_str(), *run, *string);
            }
            Security::VerificationDone { peer, run } | Security::VerificationFailed { peer, run, .. } => {
                self.verification_ended(peer.as_str(), *run);
            }
            Security::LinkingAsked { run, .. } => self.linking_asked(*run),
            Security::LinkingString { run, string } => return self.linking_shown(*run, *string),
            Security::LinkingFailed { run, .. } => self.linking_ended(Some(*run)),
            Security::Linked { .. } => self.linking_ended(None),
            _ => {}
        }
        let said = words::security(event, self.client.account());
        if said.level == Level::Note && !self.verbose {
            return Ok(());
        }
        self.print(&Line::Said(said))
    }
}

/// A contact.
pub(super) fn roster_line(item: &Item) -> Line {
    let subscription = match item.subscription {
        Subscription::None => "none",
        Subscription::To => "to",
        Subscription::From => "from",
        Subscription::Both => "both",
        Subscription::Remove => "removed",
    };
    Line::Roster { jid: item.jid.clone(), subscription, name: item.name.clone() }
}
