//! What an application does with its engine, and a process with its store.

use super::*;

impl World {
    pub(super) fn connect(&mut self, i: usize, resumed: bool) {
        let full_jid = self.devices[i].full_jid();
        self.devices[i].online = true;
        self.replayed |= self.devices[i].has_unacknowledged();
        if !resumed {
            self.devices[i].iqs.new_stream();
        }
        self.step(i, Class::Other, &|| Input::Connected { full_jid: &full_jid, resumed });
    }

    pub(super) fn disconnect(&mut self, i: usize) {
        self.devices[i].online = false;
        self.step(i, Class::Other, &|| Input::Disconnected);
    }

    pub(super) fn roster(&mut self, i: usize, jid: &str, subscription: Subscription) {
        self.step(i, Class::Other, &|| Input::Roster { jid, subscription });
    }

    pub(super) fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    pub(super) fn presence(&mut self, i: usize, stanza: &str) {
        let token = self.token();
        let input = || Input::Outgoing { stanza, token: Token(token), need: Need::Policy };
        self.step(i, Class::Presence { token }, &input);
    }

    pub(super) fn message(&mut self, i: usize, b: u8, c: u8) {
        let (to, resource) = DEVICES[usize::from(b) % DEVICES.len()];
        let token = self.token();
        let text = format!("{MARK}{token}.");
        let mut clear = false;
        let need = match (c >> 3 & 3, self.devices[i].consents.pop()) {
            (1, Some(consent)) => {
                clear = true;
                Need::Clear(consent)
            }
            (2, _) => Need::Encrypted(Level(c >> 5)),
            _ => Need::Policy,
        };
        let wish = clear;
        if need == Need::Policy {
            let known = self.devices[i].engine.contact(to).ok().flatten();
            clear = !known.is_some_and(|known| known.encrypts) || self.devices[i].left;
        }
        let resource = if c & 1 == 1 { format!("/{resource}") } else { String::new() };
        let filler = "x".repeat(if c & 7 == 6 { 5000 } else { 0 });
        let active = if c & 2 == 2 { "<active xmlns='http://jabber.org/protocol/chatstates'/>" } else { "" };
        let stanza = format!(
            "<message to='{to}{resource}' type='chat' id='i{token}'><body>{text}{filler}</body>{active}</message>"
        );
        self.note_said(i, &stanza, false);
        let class = if wish { Class::Wish } else { Class::Outgoing { token, clear } };
        let input = || Input::Outgoing { stanza: &stanza, token: Token(token), need: need.clone() };
        self.step(i, class, &input);
    }

    pub(super) fn answer(&mut self, i: usize, which: u8) {
        let device = &mut self.devices[i];
        if device.asks.is_empty() {
            return;
        }
        let request = device.asks.remove(usize::from(which) % device.asks.len());
        let reply = device.agent.answer(&request);
        device.replies.truncate(7);
        device.replies.insert(0, reply.clone());
        self.step(i, Class::Agent, &|| Input::Agent(&reply));
    }

    /// The agent refuses, says something else, or the same again.
    pub(super) fn refuse(&mut self, i: usize, b: u8, c: u8) {
        let device = &mut self.devices[i];
        if b & 7 == 7 && !device.replies.is_empty() {
            let reply = device.replies[usize::from(c) % device.replies.len()].clone();
            self.step(i, Class::Agent, &|| Input::Agent(&reply));
            return;
        }
        if device.asks.is_empty() {
            return;
        }
        let request = device.asks.remove(usize::from(c) % device.asks.len());
        let len = usize::from(c);
        let result = match b & 7 {
            0..=2 => Err(AgentRefusal::Declined),
            3 => Ok(Answer::Signature(vec![b; len])),
            4 => Ok(Answer::Signatures(vec![vec![b; 64]; len % 20])),
            _ => Ok(Answer::Legs(vec![Secret::from(&vec![b; len][..]); usize::from(b >> 3) % 4])),
        };
        let reply = AgentReply::new(&request, result);
        self.step(i, Class::Agent, &|| Input::Agent(&reply));
    }

    /// The process ends, and another begins.
    pub(super) fn restart(&mut self, i: usize, b: u8) {
        self.devices[i].restart();
        if b & 1 == 0 {
            self.connect(i, false);
        }
        if b & 2 == 0 {
            self.presence(i, "<presence/>");
        }
    }

    pub(super) fn restore_backup(&mut self, i: usize) {
        let Some(backup) = self.devices[i].backup.clone() else { return };
        self.replayed = true;
        let device = &mut self.devices[i];
        device.store = backup;
        device.restart();
        device.rolled_back = true;
        // What it left is not in the backup.
        device.left = false;
        device.iqs.forget();
        for fate in device.fates.values_mut() {
            *fate = Fate::Unknown;
        }
        self.step(i, Class::Other, &|| Input::Command(Command::Restored));
    }

    /// The device begins anew: a desk with a new account, the others as new devices of theirs.
    pub(super) fn reinstall(&mut self, i: usize) {
        let (account, resource) = (self.devices[i].account, self.devices[i].resource);
        let agent = if i == 1 {
            let suites = Suites::new(&[&FAKE_SUITE]).expect("one suite");
            LocalAgent::generate(&suites, &mut self.rng)
        } else {
            self.devices[2 - i].agent.for_new_device(&mut self.rng)
        };
        self.devices[i] = Device::new(account, resource, agent);
    }

    pub(super) fn command(&mut self, i: usize, b: u8, c: u8) {
        let jid = DEVICES[usize::from(c) % DEVICES.len()].0;
        match b % 8 {
            0 => {
                let (jid, digest) = self.devices[i].changed.take().unwrap_or((jid.to_owned(), [c; 32]));
                self.step(i, Class::Wish, &|| Input::Command(Command::AcceptKey { jid: &jid, digest }));
            }
            1 | 2 => {
                let token = Token(self.tokens.saturating_sub(u64::from(c)));
                self.step(i, Class::Other, &|| Input::Command(Command::Cancel(token)));
            }
            3 => {
                // With the device it forgets which of its statements it has had.
                self.devices[i].forgot = true;
                self.step(i, Class::Wish, &|| Input::Command(Command::Forget { jid }));
            }
            4 => self.step(i, Class::Other, &|| Input::Command(Command::Restored)),
            // Rare, for little comes after.
            5 if c == 0 => {
                self.devices[i].left = true;
                self.step(i, Class::Other, &|| Input::Command(Command::Leave));
            }
            _ => self.step(i, Class::Other, &|| Input::Command(Command::Heal { jid })),
        }
    }

    pub(super) fn take(&mut self, i: usize, b: u8) {
        let untaken = &mut self.devices[i].untaken;
        if !untaken.is_empty() {
            let id = untaken.remove(usize::from(b) % untaken.len());
            self.step(i, Class::Other, &|| Input::Taken(id));
        }
    }

    pub(super) fn acknowledge(&mut self, i: usize, b: u8) {
        let unacknowledged = &mut self.devices[i].unacknowledged;
        if !unacknowledged.is_empty() {
            let id = unacknowledged.remove(usize::from(b) % unacknowledged.len());
            self.step(i, Class::Other, &|| Input::Acknowledged(id));
        }
    }
}
