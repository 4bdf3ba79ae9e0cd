//! What the user wants.

use tokio::time::Instant;
use xmpp_e2e_client::xmpp_e2e::{Command as Engine, Contact, Need, Outlook, OwnDevice, Subscription};

use super::receive::roster_line;
use super::{App, stop};
use crate::args::COMMANDS;
use crate::command::Command;
use crate::line::Line;
use crate::{Stop, stanza, words};

/// How many messages a conversation is begun with.
const RECENT: usize = 10;

impl App {
    pub(super) fn command(&mut self, command: Command) -> Result<(), Stop> {
        // What only goes out over a connection.
        let needs_connection =
            matches!(command, Command::Accept(_) | Command::Add(_) | Command::Link | Command::Verify(_));
        if needs_connection && !(self.ready && self.client.is_online()) {
            self.later.push(command);
            return Ok(());
        }
        match command {
            Command::Accept(jid) => self.accept(&jid),
            Command::AcceptKey(jid) => self.decide(&jid, true),
            Command::RejectKey(jid) => self.decide(&jid, false),
            Command::Active => self.active(true),
            Command::Inactive => self.active(false),
            Command::Add(jid) => {
                self.client.request("set", None, stanza::roster_item(&jid), Need::Policy).map_err(stop)?;
                self.send_presence(&jid, "subscribe")?;
                self.ok(&format!("asked {jid}"))
            }
            Command::Answer(text) => self.answer(&text),
            Command::Ask(question) => self.ask_question(&question),
            Command::BeginAnew => {
                if self.does(Engine::BeginAnew)? {
                    self.ok("a new key takes the old one's place")
                } else {
                    Ok(())
                }
            }
            Command::Cancel(jid) => self.cancel(jid),
            Command::Devices => self.devices(),
            Command::Differ(jid) => self.compared(jid.as_deref(), false),
            Command::Match(jid) => self.compared(jid.as_deref(), true),
            Command::Away => self.show(Some("away")),
            Command::Back => self.show(None),
            Command::Encrypt(only) => self.encrypt(only),
            Command::Fingerprint(jid) => self.fingerprint(jid.as_deref()),
            Command::HistoryOpen(path) => self.open_history(&path),
            Command::HistorySend(device, path) => self.send_history(device, &path),
            Command::Leave => {
                if self.does(Engine::Leave)? {
                    self.ok("giving up encryption; contacts are told")
                } else {
                    Ok(())
                }
            }
            Command::Link => self.link(),
            Command::Name(name) => self.name(&name),
            Command::Policy(jid, policy) => self.policy(&jid, policy),
            Command::Retire(device) => self.retire(device),
            Command::Scanned(text) => self.scanned(&text),
            Command::Trust(jid, None) => self.show_trust(&jid),
            Command::Trust(jid, Some(opinion)) => self.set_trust(&jid, opinion),
            Command::Verify(jid) => self.verify(jid),
            Command::Help => self.ok(COMMANDS),
            Command::History(limit) => match self.current.clone() {
                Some(jid) => self.past(&jid, limit),
                None => self.no_conversation(),
            },
            Command::Quit => {
                self.quit.get_or_insert_with(|| Instant::now() + self.wait);
                Ok(())
            }
            Command::Roster => {
                let lines: Vec<Line> = self.client.roster().items().map(roster_line).collect();
                lines.iter().try_for_each(|line| self.print(line))
            }
            Command::Send(jid, text) => self.say(&jid, &text),
            Command::Say(text) => match self.current.clone() {
                Some(jid) => self.say(&jid, &text),
                None => self.no_conversation(),
            },
            Command::Sync => {
                self.syncs += 1;
                Ok(())
            }
            Command::To(jid) => {
                if self.printer.for_people() {
                    self.past(&jid, RECENT)?;
                }
                self.current = Some(jid.clone());
                self.ok(&format!("to {jid}"))
            }
            Command::Who(jid) => self.who(jid),
        }
    }

    pub(super) fn ok(&mut self, sentence: &str) -> Result<(), Stop> {
        self.print(&Line::Ok(sentence.to_owned()))
    }

    pub(super) fn error(&mut self, sentence: &str) -> Result<(), Stop> {
        self.print(&Line::Error(sentence.to_owned()))
    }

    pub(super) fn no_conversation(&mut self) -> Result<(), Stop> {
        self.error("there is no conversation; /to JID begins one")
    }

    fn past(&mut self, jid: &str, limit: usize) -> Result<(), Stop> {
        for (n, entry) in self.history.last(jid, limit)? {
            self.print(&Line::History { n, entry })?;
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, jid: &str) -> Result<(), Stop> {
        self.send_presence(jid, "subscribed")?;
        let subscription = self.client.roster().item(jid).map(|item| item.subscription);
        if !matches!(subscription, Some(Subscription::To | Subscription::Both)) {
            self.send_presence(jid, "subscribe")?;
        }
        self.ok(&format!("accepted {jid}"))
    }

    fn active(&mut self, active: bool) -> Result<(), Stop> {
        self.client.set_active(active);
        self.ok(if active { "active" } else { "inactive" })
    }

    fn show(&mut self, show: Option<&str>) -> Result<(), Stop> {
        self.client.set_presence(Some(stanza::presence(show))).map_err(stop)?;
        self.ok(show.unwrap_or("back"))
    }

    fn encrypt(&mut self, only: bool) -> Result<(), Stop> {
        let Some(jid) = self.current.clone() else { return self.no_conversation() };
        self.history.set_only_encrypted(&jid, only)?;
        self.in_clear.remove(&jid);
        if only {
            return self.ok(&format!("nothing goes to {jid} in clear any more"));
        }
        if self.client.outlook(&jid, &Need::Policy).is_ok_and(|outlook| outlook == Outlook::Clear) {
            return self.ok(&format!("messages to {jid} go out in clear until it encrypts"));
        }
        if self.consents.contains_key(&jid) {
            self.in_clear.insert(jid.clone());
            return self.ok(&format!(
                "messages to {jid} go out in clear until /encrypt on, or the end of the program"
            ));
        }
        self.error(&format!(
            "{jid} encrypts, so messages to it are encrypted; in clear only after {jid} has written so"
        ))
    }

    /// The user takes a contact's new key, or not; where there is none, the one before.
    fn decide(&mut self, jid: &str, accept: bool) -> Result<(), Stop> {
        let contact = self.client.engine().contact(jid).map_err(Stop::error)?;
        let Some(digest) = contact.as_ref().and_then(|contact| contact.changed_key) else {
            let before = contact.filter(|_| accept).and_then(|contact| contact.account_key);
            return match before {
                Some(key) => self.take_back(jid, key),
                None => self.error(&format!("{jid} has shown no new key")),
            };
        };
        let command =
            if accept { Engine::AcceptKey { jid, digest } } else { Engine::RejectKey { jid, digest } };
        if !self.does(command)? {
            return Ok(());
        }
        let word = if accept { "accepted" } else { "rejected" };
        self.ok(&format!("{word} the new key of {jid}"))
    }

    /// A decision about a contact's key was wrong: the one before `known`, or the one that was rejected, is used again.
    fn take_back(&mut self, jid: &str, known: [u8; 32]) -> Result<(), Stop> {
        let past = self.client.engine().trust_history(jid).map_err(Stop::error)?;
        let Some(past) = past.into_iter().rev().find(|past| past.key != known) else {
            return self.error(&format!("{jid} has shown no new key"));
        };
        if !self.does(Engine::AcceptKey { jid, digest: past.key })? {
            return Ok(());
        }
        let contact = self.client.engine().contact(jid).map_err(Stop::error)?;
        let (digits, now) = contact.map_or_else(Default::default, |contact| {
            let digits = contact.fingerprint().map(|key| key.digits());
            (digits.unwrap_or_default(), words::trust(contact.decision.trust))
        });
        let before = words::trust(past.decision.trust);
        self.ok(&format!(
            "took back another key of {jid}: {digits}. It was {before}, and is {now} now. /accept-key {jid} again undoes it"
        ))
    }

    fn who(&mut self, jid: Option<String>) -> Result<(), Stop> {
        let own = jid.is_none();
        let jid = jid.unwrap_or_else(|| self.client.account().to_owned());
        let engine = self.client.engine();
        let contact = engine.contact(&jid).map_err(Stop::error)?;
        let devices = if own { engine.own_devices().map_err(Stop::error)? } else { Vec::new() };
        let state = match &contact {
            _ if own => "encrypts",
            None => "unknown",
            Some(contact) if contact.left => "left",
            Some(contact) if contact.encrypts => "encrypts",
            Some(_) => "clear",
        };
        let fingerprints = |contact: &Contact| (contact.fingerprint(), contact.changed_fingerprint());
        let (key, changed) = if own {
            (engine.fingerprint().map_err(Stop::error)?, None)
        } else {
            contact.as_ref().map_or((None, None), fingerprints)
        };
        let live = |devices: Vec<OwnDevice>| {
            devices.iter().filter(|device| device.live).map(|device| device.device).collect()
        };
        let devices =
            if own { live(devices) } else { contact.map(|contact| contact.devices).unwrap_or_default() };
        self.print(&Line::Who { jid, state, key, changed, devices })
    }
}
