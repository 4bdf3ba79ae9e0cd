//! The end of a history: the faults cease, and all must talk again.

use std::time::Duration;

use xmpp_e2e::Command;

use crate::device::End;
use crate::link::Odds;
use crate::server::Pep;
use crate::simulation::DECLARED;
use crate::simulation::history::History;
use crate::simulation::model::Rule;

/// Longer than any rate limit: presence, publication and handshakes have an hour.
const LIMITS: Duration = Duration::from_mins(125);

/// Longer than a message waits for keys.
const WAITS: Duration = Duration::from_hours(8 * 24);

impl History {
    pub(super) fn end(&mut self) {
        self.note(|| "-- the faults end".to_owned());
        self.heal();
        self.advance(LIMITS);
        for device in self.members() {
            self.accept(device);
        }
        self.advance(LIMITS);
        // One message in each direction, and then those that must come.
        self.exchange();
        for device in self.members() {
            // Where no server told of a new key, a message did.
            self.accept(device);
        }
        self.advance(LIMITS);
        let messages = self.exchange();
        self.check_talks(&messages);
        self.advance(WAITS);
        self.check_ends();
        self.measure();
    }

    /// Everything is as it should be, and everybody is there.
    fn heal(&mut self) {
        self.link.set_odds(Odds::default());
        for place in 0..self.accounts.len() {
            let jid = self.accounts[place].jid;
            self.world.server.set_pep(jid, Pep::Works);
            self.world.server.thaw(jid);
        }
        for device in 0..self.known.len() {
            self.world.devices[device].fault = None;
            if self.known[device].clone_of.is_some() && !self.known[device].dead {
                self.end_clone(device);
            }
        }
        // What servers held back comes now, not later.
        for (to, stanza) in self.link.rest().into_iter().chain(self.link.due(u64::MAX - 1)) {
            self.world.server.inject(&to, stanza);
        }
        for device in self.members() {
            // A stream that has lost stanzas is not gone on with, and servers that lose what is published start anew.
            self.offline(device);
            self.online(device);
        }
        self.run();
        for device in self.members() {
            // Whoever runs two of one device, or an old state, must say so at last.
            if DECLARED && self.known[device].undeclared {
                self.observer.excuse(device);
                self.command(device, Command::Restored);
            }
        }
    }

    /// The devices that are to talk.
    fn members(&self) -> Vec<usize> {
        self.live().filter(|device| self.known[*device].clone_of.is_none()).collect()
    }

    /// Each device writes to each account: the messages.
    fn exchange(&mut self) -> Vec<usize> {
        let mut messages = Vec::new();
        for device in self.members() {
            for account in 0..self.accounts.len() {
                let Some(to) = self.accounts.get(account).filter(|account| !account.left) else { continue };
                if to.jid != self.world.devices[device].account() && !self.is_over() {
                    messages.push(self.say(device, account, true));
                    self.run();
                }
            }
        }
        messages
    }

    /// Every message has come to every device of both accounts.
    fn check_talks(&mut self, messages: &[usize]) {
        for message in messages {
            let said = &self.observer.said[*message];
            let from = self.world.devices[said.by].account().to_owned();
            let to = said.to.clone();
            let by = said.by;
            let mut ends = self.world.devices[by].record.handed.values();
            let end = ends.rfind(|handed| handed.stanza.contains(&said.text));
            let end = format!("{:?}", end.map(|handed| &handed.ends));
            for device in self.members() {
                let account = self.world.devices[device].account();
                // Own other devices read carbons.
                let own = account == from && self.world.server.carbons;
                if device != by
                    && (account == to || own)
                    && !self.observer.devices[device].delivered.contains_key(message)
                {
                    let number = |device: usize| self.observer.devices[device].id.unwrap_or_default();
                    let detail = format!(
                        "message {message} of {by} ({}) to {to} has not come to {device} ({}), {}",
                        number(by),
                        number(device),
                        end
                    );
                    self.observer.report(Rule::TalksAgain, detail);
                }
            }
        }
    }

    /// Nothing waits for ever.
    fn check_ends(&mut self) {
        for device in self.members() {
            let open = self.world.devices[device].record.open();
            let message = open.iter().find(|(_, handed)| handed.stanza.starts_with("<message"));
            if let Some((token, handed)) = message {
                let detail = format!("{device}: {token:?} {}", handed.stanza);
                self.observer.report(Rule::Ended, detail);
            }
            for handed in self.world.devices[device].record.handed.values() {
                if handed.ends.iter().filter(|end| !matches!(end, End::Failed(_))).count() > 1 {
                    self.observer.report(Rule::Ended, format!("{device}: two ends of {}", handed.stanza));
                }
            }
        }
    }
}
