//! Compares what devices say, store and send with what was handed in.

use std::collections::BTreeMap;

use xmpp_e2e::{Event, Timestamp, Token};

use crate::device::{Heard, Letter};
use crate::peek::Peek;
use crate::simulation::model::{Handshakes, Rule, Said, Violation, Watched};

/// What all texts begin with. Base64 has no `-`, so it stands in clear where it is found.
const MARK: &str = "sim-";

/// So many handshakes a clone excuses: one an hour, for half a day.
const CLONED: u32 = 12;

/// Knows all messages and all devices, and what must not be.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    pub(super) said: Vec<Said>,
    pub(super) devices: Vec<Watched>,
    /// How often a device's state, by its number, was set back or began to run twice.
    forked: BTreeMap<u32, u32>,
    pub(super) handshakes: Handshakes,
    violation: Option<Violation>,
}

impl Observer {
    /// A device of `account` begins; its place.
    pub fn add(&mut self, account: &str) -> usize {
        self.devices.push(Watched { account: account.to_owned(), ..Watched::default() });
        self.devices.len() - 1
    }

    /// A device has this number.
    pub fn is(&mut self, device: usize, id: u32) {
        if id != 0 {
            self.devices[device].id = Some(id);
        }
    }

    /// A device is to write to an account: the text.
    pub fn write(&mut self, device: usize, to: &str) -> String {
        let text = format!("{MARK}{}-", self.said.len());
        self.said.push(Said { by: device, to: to.to_owned(), text: text.clone(), passed: false });
        text
    }

    /// The text last written was handed in so.
    pub fn handed_in(&mut self, device: usize, token: Token) {
        self.devices[device].open.push((token, self.said.len() - 1));
    }

    /// A device's state was set back, or runs twice.
    pub fn fork(&mut self, device: usize) {
        if let Some(id) = self.devices[device].id {
            *self.forked.entry(id).or_default() += 1;
            self.handshakes.excuse(id);
        }
    }

    /// A device runs twice from now on: for a while each run undoes what the other has agreed on.
    pub fn run_twice(&mut self, device: usize) {
        self.fork(device);
        for _ in 1..CLONED {
            self.excuse(device);
        }
    }

    /// Something happened that excuses a handshake between this device and any other.
    pub fn excuse(&mut self, device: usize) {
        if let Some(id) = self.devices[device].id {
            self.handshakes.excuse(id);
        }
    }

    /// What was found wrong first.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Something is wrong.
    pub fn report(&mut self, rule: Rule, detail: String) {
        self.violation.get_or_insert(Violation { rule, detail });
    }

    /// A device has delivered a letter.
    pub fn delivered(&mut self, device: usize, letter: &Letter) {
        let (Some(sender_device), Some(context)) = (letter.device, &letter.context) else { return };
        // In a copy it stands deeper.
        let body = letter.stanza.split_once("<body>").and_then(|(_, rest)| rest.split_once("</body>"));
        let body = body.map(|(body, _)| body);
        let place = body.and_then(number);
        let Some((place, said)) = place.and_then(|place| Some((place, self.said.get(place)?))) else {
            self.report(Rule::Attributed, format!("{device} delivers what nobody said: {}", letter.stanza));
            return;
        };
        let by = &self.devices[said.by];
        let watched = &self.devices[device];
        let right = body == Some(&*said.text)
            && letter.from == by.account
            && Some(sender_device) == by.id
            && context.addressed.as_str() == said.to
            && (watched.account == said.to || watched.account == by.account)
            && watched.id != by.id;
        let forks = |id: Option<u32>| id.and_then(|id| self.forked.get(&id)).copied().unwrap_or_default();
        let forks = forks(Some(sender_device)) + forks(watched.id);
        if !right {
            let detail =
                format!("{device} ({}) delivers {} of {}", watched.account, said.text, letter.stanza);
            self.report(Rule::Attributed, format!("{detail} as from {} device {sender_device}", letter.from));
            return;
        }
        let times = self.devices[device].delivered.entry(place).or_default();
        *times += 1;
        if *times > 1 + forks {
            self.report(Rule::DeliveredOnce, format!("{device} delivers message {place} twice"));
        }
    }

    /// A device has said this.
    pub fn event(&mut self, device: usize, event: &Event) {
        if matches!(event, Event::Cloned) {
            let forked = self.devices[device].id.is_some_and(|id| self.forked.contains_key(&id));
            if !forked {
                self.report(Rule::Sound, format!("{device} finds itself cloned"));
            }
            // It begins anew, as if it had been told of a restore.
            self.fork(device);
        }
        let sticky = &mut self.devices[device].sticky;
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others leave the account what it is")]
        match event {
            Event::Encrypts { peer, .. } => _ = sticky.insert(peer.as_str().to_owned()),
            Event::Left { peer } => _ = sticky.remove(peer.as_str()),
            _ => {}
        }
    }

    /// The engine let a message through in clear.
    pub fn passed(&mut self, device: usize, message: usize) {
        let said = &mut self.said[message];
        said.passed = true;
        if self.devices[device].sticky.contains(&said.to) {
            let detail = format!("{device} lets message {message} through to {}", said.to);
            self.report(Rule::NotInClear, detail);
        }
    }

    /// A device has put a stanza on its stream.
    pub fn sent(&mut self, device: usize, stanza: &str, now: Timestamp) {
        for (at, _) in stanza.match_indices(MARK) {
            let Some(message) = stanza.get(at..).and_then(number) else { continue };
            let Some(said) = self.said.get(message) else { continue };
            if !said.passed && self.devices[device].sticky.contains(&said.to) {
                self.report(Rule::NotInClear, format!("{device} sends message {message} in clear: {stanza}"));
            }
        }
        if !stanza.starts_with("<message") {
            return;
        }
        // Where a device runs twice, each run counts.
        let Some((from, flights)) = Peek::flights(stanza) else { return };
        let trouble = !is_content(stanza);
        for (to, flight) in flights {
            if !self.handshakes.flight((device, from, to), &flight, trouble, now) {
                self.report(Rule::OneHandshakeAnHour, format!("{from} opens another to {to}"));
            }
        }
    }

    /// A stanza has led to this. `whole`: it came as it was sent, and the program did not die over it.
    pub fn heard(&mut self, device: usize, heard: &Heard, whole: bool) {
        let is_protected = heard.stanza.starts_with("<message") && heard.stanza.contains("<e xmlns=");
        if !is_protected {
            return;
        }
        // The engine's own messages cause nothing if all is well.
        let outcomes = heard.outcomes();
        if outcomes > 1 || outcomes == 0 && whole && is_content(&heard.stanza) {
            self.report(Rule::OneOutcome, format!("{device}: {outcomes} outcomes of {heard:?}"));
        }
    }
}

/// Whether a protected message is of an application: those of engines have no type.
fn is_content(stanza: &str) -> bool {
    stanza.contains("type='chat'") || stanza.contains("type=\"chat\"")
}

/// The number in a text that begins as all do.
fn number(text: &str) -> Option<usize> {
    text.strip_prefix(MARK)?.split_once('-')?.0.parse().ok()
}
