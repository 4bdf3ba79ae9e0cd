//! Operations on engines, read from bytes: what the fuzzer of the engine runs, and the replay of
//! its corpus.
//!
//! Three devices of two accounts talk under the fake suite, over a network that delivers, drops,
//! repeats, reorders and, if the first byte says so, forges. After each operation the engine must
//! have kept its word, else this panics.
//!
//! The first byte is the mode, then come operations of four bytes each: which, and three arguments.
//! So a byte changed changes one operation, and a corpus keeps its meaning.

use core::convert::Infallible;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use xmpp_e2e::store::{Batch, RecordKey};
use xmpp_e2e::suite::{Level, Secret, Suites};
use xmpp_e2e::{
    AgentRefusal, AgentReply, AgentRequest, Answer, Command, Config, Consent, Coverage, Effect, Engine, Env,
    Error, Event, InboxId, Input, LocalAgent, Misuse, NS, Need, OutboxId, Pending, Reason, SendError,
    Subscription, Timestamp, Token, Unreadable,
};

use crate::fake::FAKE_SUITE;

/// Accounts and resources of the devices.
const DEVICES: [(&str, &str); 3] =
    [("alice@example.com", "phone"), ("bob@example.org", "desk"), ("alice@example.com", "tablet")];

/// Operations run at most, so that an input takes milliseconds.
const MAX_OPERATIONS: usize = 200;

/// Stanzas under way at most; the oldest is lost.
const MAX_WIRE: usize = 64;

/// The bounds the engine gives: stanzas waiting or unacknowledged with those kept for errors, and
/// first flights that wait for the agent.
const MAX_OUTBOX: usize = 1000;
const MAX_ARRIVALS: usize = 32;

/// The kinds of records, as the first byte of their keys has them.
const OUTBOX: u8 = 10;
const WAITING: u8 = 12;
const ARRIVALS: u8 = 16;
/// Own prekeys, flights accepted, one-time prekeys, devices, sessions and skipped keys: nothing
/// refused changes them.
const KEYS: [u8; 6] = [3, 4, 5, 7, 8, 9];

/// What the texts of this run have in common, so that they are found where they must not be.
const MARK: &str = "secret-";

/// Panics if the engine did not keep its word.
fn promise(kept: bool, what: &str) {
    assert!(kept, "{what}");
}

/// Runs the operations in `data`.
pub fn run(data: &[u8]) {
    let Some((mode, mut rest)) = data.split_first() else { return };
    let mut world = World::new(*mode);
    if mode & MODE_SET_UP != 0 {
        world.set_up();
    }
    for _ in 0..MAX_OPERATIONS {
        let Some((operation, after)) = rest.split_first_chunk::<4>() else { break };
        rest = after;
        world.operate(*operation, &mut rest);
        for device in &world.devices {
            device.check_restore();
        }
    }
}

/// Bits of the mode: forge, begin with devices that know each other, do each step twice,
/// acknowledge at once.
const MODE_HOSTILE: u8 = 1;
const MODE_SET_UP: u8 = 2;
const MODE_TWICE: u8 = 4;
const MODE_ACKNOWLEDGE: u8 = 8;

struct World {
    hostile: bool,
    twice: bool,
    acknowledge: bool,
    devices: Vec<Device>,
    wire: Vec<Flying>,
    /// What is published: account and node, then item and content.
    published: BTreeMap<(String, String), Vec<(String, String)>>,
    now: u64,
    rng: ChaCha20Rng,
    /// The texts handed in: by which account, and to which.
    sent: BTreeMap<String, (&'static str, &'static str)>,
    tokens: u64,
}

struct Device {
    account: &'static str,
    resource: &'static str,
    config: Config,
    agent: LocalAgent,
    engine: Engine,
    store: Records,
    backup: Option<Records>,
    online: bool,
    left: bool,
    asks: Vec<AgentRequest>,
    replies: Vec<AgentReply>,
    unacknowledged: Vec<OutboxId>,
    untaken: Vec<InboxId>,
    consents: Vec<Consent>,
    changed: Option<(String, [u8; 32])>,
    fates: BTreeMap<u64, Fate>,
    seen: BTreeSet<String>,
    /// The first input after a restart says much again.
    restarted: bool,
    /// What is delivered may have been delivered before: the store is a backup.
    rolled_back: bool,
    store_fails: bool,
    effects_lost: bool,
}

/// A store, and what its last batch replaced.
#[derive(Clone, Default)]
struct Records {
    generation: u64,
    records: BTreeMap<RecordKey, Vec<u8>>,
    replaced: Vec<Option<Vec<u8>>>,
}

impl Records {
    fn apply(&mut self, batch: &Batch) -> Result<(), Infallible> {
        assert_eq!(batch.expected_generation(), self.generation);
        self.generation = batch.generation();
        for (key, value) in batch.changes() {
            self.replaced.push(match value {
                Some(value) => self.records.insert(key.clone(), value.to_vec()),
                None => self.records.remove(key),
            });
        }
        Ok(())
    }
}

/// What became of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Open,
    Held,
    Sent,
    Done,
    /// Effects were lost, and perhaps the one that said it.
    Unknown,
}

/// A stanza under way.
#[derive(Clone)]
struct Flying {
    from: usize,
    /// To this device alone; else as addressed.
    to: Option<usize>,
    text: String,
    /// Whether it is a message with one protected part, whatever is in that.
    protected: bool,
}

/// What an input is, as far as the checks differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    Protected,
    Stanza,
    Agent,
    Outgoing {
        token: u64,
        clear: bool,
    },
    Presence {
        token: u64,
    },
    Tick,
    /// May be refused as a mistake of the caller.
    Wish,
    Other,
}

type Changes = Vec<(RecordKey, Option<Vec<u8>>)>;

fn changes(batch: &Batch) -> Changes {
    batch.changes().map(|(key, value)| (key.clone(), value.map(<[u8]>::to_vec))).collect()
}

fn kind(key: &RecordKey) -> u8 {
    key.as_bytes().first().copied().unwrap_or_default()
}

impl World {
    fn new(mode: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([mode; 32]);
        let suites = Suites::new(&[&FAKE_SUITE]).expect("one suite");
        let phone = LocalAgent::generate(&suites, &mut rng);
        let desk = LocalAgent::generate(&suites, &mut rng);
        let tablet = phone.for_new_device(&mut rng);
        let agents = [phone, desk, tablet];
        let devices = DEVICES.into_iter().zip(agents);
        let devices = devices.map(|((account, resource), agent)| Device::new(account, resource, agent));
        Self {
            hostile: mode & MODE_HOSTILE != 0,
            twice: mode & MODE_TWICE != 0,
            acknowledge: mode & MODE_ACKNOWLEDGE != 0,
            devices: devices.collect(),
            wire: Vec::new(),
            published: BTreeMap::new(),
            now: 1_790_000_000_000,
            rng,
            sent: BTreeMap::new(),
            tokens: 0,
        }
    }

    /// Everybody is there and knows everybody.
    fn set_up(&mut self) {
        for i in 0..self.devices.len() {
            self.connect(i, false);
            for (jid, _) in DEVICES {
                self.roster(i, jid, Subscription::Both);
            }
            self.presence(i, "<presence/>");
            self.pump(16);
        }
    }

    fn operate(&mut self, [which, a, b, c]: [u8; 4], rest: &mut &[u8]) {
        let i = usize::from(a) % self.devices.len();
        match which % 40 {
            0 => self.connect(i, b & 1 == 1),
            1 => self.disconnect(i),
            2..=5 => self.message(i, b, c),
            6 => self.presence(i, ["<presence/>", "<presence type='unavailable'/>"][usize::from(b & 1)]),
            7..=9 => self.pump(usize::from(a)),
            10..=12 => {
                if let Some(flying) = self.take_from_wire(a) {
                    self.deliver(flying);
                }
            }
            13 => drop(self.take_from_wire(a)),
            14 => {
                if let Some(flying) = self.pick(a) {
                    self.deliver(flying);
                }
            }
            15 | 16 => {
                for _ in 0..=b % 16 {
                    self.answer(i, c);
                }
            }
            17 => self.refuse(i, b, c),
            18 | 19 => {
                const JUMPS: [u64; 8] =
                    [0, 1000, 21_000, 61_000, 3_600_000, 86_400_000, 8 * 86_400_000, 40 * 86_400_000];
                self.now += JUMPS[usize::from(b % 8)];
                self.step(i, Class::Tick, &|| Input::Tick);
            }
            20 => self.restart(i, b),
            21 => self.devices[i].store_fails = true,
            22 => self.devices[i].effects_lost = true,
            23 => self.devices[i].backup = Some(self.devices[i].store.clone()),
            24 => self.restore_backup(i),
            25 | 26 => self.command(i, b, c),
            27 => {
                let subscriptions = [
                    Subscription::Both,
                    Subscription::None,
                    Subscription::Remove,
                    Subscription::To,
                    Subscription::From,
                ];
                let jid = DEVICES[usize::from(b) % DEVICES.len()].0;
                self.roster(i, jid, subscriptions[usize::from(c) % subscriptions.len()]);
            }
            28 => self.take(i, b),
            29 => self.acknowledge(i, b),
            30 => {
                let before = Timestamp::from_millis(if b & 1 == 0 { u64::MAX } else { self.now });
                self.devices[i].engine.evict_idle(before);
            }
            31 => self.bounce(a, b),
            32 => self.clear_text(i, b, c),
            33 => self.reinstall(i),
            34 if self.hostile => self.misroute(a, b, c),
            35 if self.hostile => self.splice(a, b, c),
            36 | 37 if self.hostile => self.corrupt(a, b, c),
            38 if self.hostile => self.forge(i, b, c, rest),
            39 if self.hostile => {
                let (text, after) = rest.split_at(usize::from(b).min(rest.len()));
                *rest = after;
                let text = String::from_utf8_lossy(text).into_owned();
                self.step(i, Class::Stanza, &|| Input::Received(&text));
            }
            _ => {}
        }
    }

    fn connect(&mut self, i: usize, resumed: bool) {
        let full_jid = self.devices[i].full_jid();
        self.devices[i].online = true;
        self.step(i, Class::Other, &|| Input::Connected { full_jid: &full_jid, resumed });
    }

    fn disconnect(&mut self, i: usize) {
        self.devices[i].online = false;
        self.step(i, Class::Other, &|| Input::Disconnected);
    }

    fn roster(&mut self, i: usize, jid: &str, subscription: Subscription) {
        self.step(i, Class::Other, &|| Input::Roster { jid, subscription });
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    fn presence(&mut self, i: usize, stanza: &str) {
        let token = self.token();
        let input = || Input::Outgoing { stanza, token: Token(token), need: Need::Policy };
        self.step(i, Class::Presence { token }, &input);
    }

    fn message(&mut self, i: usize, b: u8, c: u8) {
        let from = self.devices[i].account;
        let (to, resource) = DEVICES[usize::from(b) % DEVICES.len()];
        let token = self.token();
        let text = format!("{MARK}{token}.");
        self.sent.insert(text.clone(), (from, to));
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
        let class = if wish { Class::Wish } else { Class::Outgoing { token, clear } };
        let input = || Input::Outgoing { stanza: &stanza, token: Token(token), need: need.clone() };
        self.step(i, class, &input);
    }

    fn answer(&mut self, i: usize, which: u8) {
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
    fn refuse(&mut self, i: usize, b: u8, c: u8) {
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
    fn restart(&mut self, i: usize, b: u8) {
        self.devices[i].restart();
        if b & 1 == 0 {
            self.connect(i, false);
        }
        if b & 2 == 0 {
            self.presence(i, "<presence/>");
        }
    }

    fn restore_backup(&mut self, i: usize) {
        let Some(backup) = self.devices[i].backup.clone() else { return };
        let device = &mut self.devices[i];
        device.store = backup;
        device.restart();
        device.rolled_back = true;
        // What it left is not in the backup.
        device.left = false;
        for fate in device.fates.values_mut() {
            *fate = Fate::Unknown;
        }
        self.step(i, Class::Other, &|| Input::Command(Command::Restored));
    }

    /// The device begins anew: a desk with a new account, the others as new devices of theirs.
    fn reinstall(&mut self, i: usize) {
        let (account, resource) = (self.devices[i].account, self.devices[i].resource);
        let agent = if i == 1 {
            let suites = Suites::new(&[&FAKE_SUITE]).expect("one suite");
            LocalAgent::generate(&suites, &mut self.rng)
        } else {
            self.devices[2 - i].agent.for_new_device(&mut self.rng)
        };
        self.devices[i] = Device::new(account, resource, agent);
    }

    fn command(&mut self, i: usize, b: u8, c: u8) {
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
            3 => self.step(i, Class::Wish, &|| Input::Command(Command::Forget { jid })),
            4 => self.step(i, Class::Other, &|| Input::Command(Command::Restored)),
            // Rare, for little comes after.
            5 if c == 0 => {
                self.devices[i].left = true;
                self.step(i, Class::Other, &|| Input::Command(Command::Leave));
            }
            _ => self.step(i, Class::Other, &|| Input::Command(Command::Heal { jid })),
        }
    }

    fn take(&mut self, i: usize, b: u8) {
        let untaken = &mut self.devices[i].untaken;
        if !untaken.is_empty() {
            let id = untaken.remove(usize::from(b) % untaken.len());
            self.step(i, Class::Other, &|| Input::Taken(id));
        }
    }

    fn acknowledge(&mut self, i: usize, b: u8) {
        let unacknowledged = &mut self.devices[i].unacknowledged;
        if !unacknowledged.is_empty() {
            let id = unacknowledged.remove(usize::from(b) % unacknowledged.len());
            self.step(i, Class::Other, &|| Input::Acknowledged(id));
        }
    }

    fn take_from_wire(&mut self, a: u8) -> Option<Flying> {
        let len = self.wire.len();
        (len > 0).then(|| self.wire.remove(usize::from(a) % len))
    }

    fn pick(&self, a: u8) -> Option<Flying> {
        let len = self.wire.len();
        (len > 0).then(|| self.wire[usize::from(a) % len].clone())
    }

    fn fly(&mut self, flying: Flying) {
        if self.wire.len() >= MAX_WIRE {
            self.wire.remove(0);
        }
        self.wire.push(flying);
    }

    /// Agents answer, and the network delivers in order, for some rounds or until all is quiet.
    fn pump(&mut self, rounds: usize) {
        for _ in 0..=rounds {
            let mut quiet = true;
            for i in 0..self.devices.len() {
                while !self.devices[i].asks.is_empty() {
                    quiet = false;
                    self.answer(i, 0);
                }
            }
            // What is for nobody online stays.
            for flying in core::mem::take(&mut self.wire) {
                quiet &= !self.deliver(flying);
            }
            if quiet {
                return;
            }
        }
    }

    /// Delivers to all it is for; whether that was anybody.
    fn deliver(&mut self, flying: Flying) -> bool {
        if let Some(to) = flying.to {
            return self.receive(to, &flying.text, flying.protected);
        }
        let head = flying.text.split('>').next().unwrap_or_default().to_owned();
        let to = attribute(&head, "to").unwrap_or_default();
        if flying.text.starts_with("<iq") && !to.contains('/') {
            let text = self.serve(&flying, &head, &to);
            self.fly(Flying { from: flying.from, to: Some(flying.from), text, protected: false });
            return true;
        }
        let from = self.devices[flying.from].full_jid();
        let text = stamp(&flying.text, &from);
        let (account, resource) = to.split_once('/').map_or((&*to, None), |(jid, name)| (jid, Some(name)));
        let mut taken = false;
        for i in 0..self.devices.len() {
            let device = &self.devices[i];
            let addressed = match (flying.text.starts_with("<message"), resource) {
                _ if to.is_empty() => i != flying.from,
                (false, Some(resource)) => device.account == account && device.resource == resource,
                _ => device.account == account && i != flying.from,
            };
            if addressed {
                taken |= self.receive(i, &text, flying.protected);
            }
        }
        if !taken && flying.protected {
            self.fly(flying);
        }
        taken
    }

    fn receive(&mut self, i: usize, text: &str, protected: bool) -> bool {
        if !self.devices[i].online {
            return false;
        }
        let class = if protected { Class::Protected } else { Class::Stanza };
        self.step(i, class, &|| Input::Received(text));
        true
    }

    /// PEP of the server.
    fn serve(&mut self, flying: &Flying, head: &str, to: &str) -> String {
        let own = self.devices[flying.from].account;
        let to = if to.is_empty() { own } else { to };
        let id = attribute(head, "id").unwrap_or_default();
        let node = attribute(&flying.text, "node").unwrap_or_default();
        let result = |inside: &str| format!("<iq type='result' from='{to}' id='{id}'>{inside}</iq>");
        let item = flying.text.split_once("<item id='").and_then(|(_, rest)| rest.split_once('\''));
        match item {
            Some((item, rest)) if flying.text.contains("<publish ") && to == own => {
                let body = rest.trim_start_matches('>').split("</item>").next().unwrap_or_default();
                let items = self.published.entry((own.to_owned(), node)).or_default();
                items.retain(|(known, _)| known != item);
                items.push((item.to_owned(), body.to_owned()));
                return result("");
            }
            Some((item, _)) if flying.text.contains("<retract ") && to == own => {
                let items = self.published.entry((own.to_owned(), node)).or_default();
                items.retain(|(known, _)| known != item);
                return result("");
            }
            _ => {}
        }
        let Some(items) = self.published.get(&(to.to_owned(), node.clone())) else {
            return format!("<iq type='error' from='{to}' id='{id}'><error type='cancel'/></iq>");
        };
        let items: String =
            items.iter().map(|(item, body)| format!("<item id='{item}'>{body}</item>")).collect();
        result(&format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{items}</items></pubsub>"
        ))
    }

    /// A server returns a stanza.
    fn bounce(&mut self, a: u8, b: u8) {
        let Some(flying) = self.pick(a) else { return };
        let head = flying.text.split('>').next().unwrap_or_default();
        let (to, id) = (attribute(head, "to").unwrap_or_default(), attribute(head, "id").unwrap_or_default());
        let name = head.split([' ', '/']).next().unwrap_or_default().trim_start_matches('<');
        let inside = if b & 1 == 0 { payload_element(&flying.text) } else { String::new() };
        if !["message", "iq", "presence"].contains(&name) {
            return;
        }
        let text = format!(
            "<{name} type='error' from='{to}' to='{}' id='{id}'>{inside}<error type='cancel'/></{name}>",
            self.devices[flying.from].account
        );
        self.receive(flying.from, &text, false);
    }

    /// A message of a client without this protocol.
    fn clear_text(&mut self, i: usize, b: u8, c: u8) {
        let (from, resource) = DEVICES[usize::from(b) % DEVICES.len()];
        let kind = ["chat", "normal", "groupchat", "headline", "error"][usize::from(c) % 5];
        let text =
            format!("<message from='{from}/{resource}' type='{kind}' id='i{c}'><body>hello</body></message>");
        self.receive(i, &text, false);
    }

    /// A stanza arrives as from another.
    fn misroute(&mut self, a: u8, b: u8, c: u8) {
        let Some(flying) = self.take_from_wire(a) else { return };
        let (from, to) = (usize::from(b) % self.devices.len(), usize::from(c) % self.devices.len());
        let mut text = flying.text;
        if let Some(addressed) = attribute(text.split('>').next().unwrap_or_default(), "to") {
            text = text.replacen(&addressed, self.devices[to].account, 1);
        }
        let text = stamp(&text, &self.devices[from].full_jid());
        self.receive(to, &text, flying.protected);
    }

    /// The beginning of what one stanza protects, and the end of another's.
    fn splice(&mut self, a: u8, b: u8, c: u8) {
        let (Some(one), Some(other)) = (self.pick(a), self.pick(b)) else { return };
        let (Some((_, one_bytes)), Some((place, bytes))) = (payload(&one.text), payload(&other.text)) else {
            return;
        };
        let at = usize::from(c) * one_bytes.len() / 256;
        let mut spliced = one_bytes[..at].to_vec();
        spliced.extend_from_slice(bytes.get(at..).unwrap_or_default());
        let mut flying = other;
        flying.text.replace_range(place, &STANDARD.encode(spliced));
        self.fly(flying);
    }

    /// Changes the bytes that a stanza carries.
    fn corrupt(&mut self, a: u8, b: u8, c: u8) {
        let len = self.wire.len();
        if len == 0 {
            return;
        }
        let flying = &mut self.wire[usize::from(a) % len];
        let Some((place, mut bytes)) = payload(&flying.text) else { return };
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(b) % bytes.len();
        // The low numbers are in the head; the high ones may be anywhere.
        let at = if b >= 128 { usize::from(b) * bytes.len() / 256 } else { at };
        match c {
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, b),
            3 => bytes.extend_from_slice(&[0; 40]),
            _ => bytes[at] ^= c,
        }
        flying.text.replace_range(place, &STANDARD.encode(bytes));
    }

    /// Bytes of the fuzzer's, where the engine looks for protected ones.
    fn forge(&mut self, i: usize, b: u8, c: u8, rest: &mut &[u8]) {
        let (bytes, after) = rest.split_at(usize::from(b).min(rest.len()));
        *rest = after;
        let data = STANDARD.encode(bytes);
        let from = &self.devices[usize::from(c) % self.devices.len()];
        let jid = from.full_jid();
        let text = match c >> 4 {
            0..=6 => format!("<message from='{jid}' type='chat'><e xmlns='{NS}'>{data}</e></message>"),
            7..=10 => format!("<presence from='{jid}'><e2e xmlns='{NS}'>{data}</e2e></presence>"),
            _ => format!("<iq type='get' from='{jid}' id='f'><keys xmlns='{NS}'>{data}</keys></iq>"),
        };
        let protected = text.starts_with("<message");
        self.receive(i, &text, protected);
    }

    /// One input: handled, stored and carried out, and all that must hold checked.
    fn step<'i>(&mut self, i: usize, class: Class, make: &dyn Fn() -> Input<'i>) {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let now = Timestamp::from_millis(self.now);
        let twice = self.twice;
        let device = &mut self.devices[i];
        if let Class::Outgoing { token, .. } | Class::Presence { token } = class {
            device.fates.insert(token, Fate::Open);
        }
        device.store.replaced.clear();
        let Some((drafted, effects)) = device.handle(now, seed, twice, class, make) else { return };
        device.check_changes(&drafted, class, &effects);
        device.check_bounds();
        if device.effects_lost {
            device.effects_lost = false;
            for fate in device.fates.values_mut() {
                *fate = Fate::Unknown;
            }
            device.restart();
            return;
        }
        device.check_counts(class, &effects);
        for effect in &effects {
            device.check_fate(class, effect, &effects);
        }
        device.restarted = false;
        device.check_open();
        if class == Class::Tick {
            let next = device.engine.next_wakeup();
            promise(next.is_none_or(|next| next > now), "a tick leaves the same tick due");
        }
        for effect in effects {
            self.carry_out(i, effect);
        }
    }

    fn carry_out(&mut self, i: usize, effect: Effect) {
        let device = &mut self.devices[i];
        match effect {
            Effect::Ask(request) => device.asks.push(request),
            Effect::Send { id, stanza, .. } if device.online => {
                let text = stanza.as_str().to_owned();
                let protected = text.starts_with("<message") && text.contains(&format!("<e xmlns='{NS}'>"));
                self.fly(Flying { from: i, to: None, text, protected });
                if self.acknowledge {
                    self.step(i, Class::Other, &|| Input::Acknowledged(id));
                } else {
                    self.devices[i].unacknowledged.push(id);
                }
            }
            Effect::Deliver { id, stanza, context, again, .. } => {
                device.untaken.push(id);
                let text = stanza.as_str();
                let first = device.seen.insert(text.to_owned());
                if !self.hostile {
                    let (text, _) = text
                        .split_once(MARK)
                        .and_then(|(_, rest)| rest.split_once('.'))
                        .expect("only what was sent is delivered");
                    let (from, to) = self.sent[&format!("{MARK}{text}.")];
                    assert_eq!((from, to), (context.sender.as_str(), device.account));
                    promise(first || again || device.rolled_back, "delivered twice");
                }
            }
            Effect::Notify(Event::ClearText { consent, .. }) => device.consents.push(consent),
            Effect::Notify(Event::KeyChanged { peer, digest }) => {
                device.changed = Some((peer.as_str().to_owned(), digest));
            }
            _ => {}
        }
    }
}

impl Device {
    fn new(account: &'static str, resource: &'static str, agent: LocalAgent) -> Self {
        let mut config = Config::new(account, agent.identity()).expect("a JID");
        config.suites = Suites::new(&[&FAKE_SUITE]).expect("one suite");
        config.sign_presence = account == DEVICES[0].0;
        Self {
            account,
            resource,
            engine: Engine::new(config.clone()),
            config,
            agent,
            store: Records::default(),
            backup: None,
            online: false,
            left: false,
            asks: Vec::new(),
            replies: Vec::new(),
            unacknowledged: Vec::new(),
            untaken: Vec::new(),
            consents: Vec::new(),
            changed: None,
            fates: BTreeMap::new(),
            seen: BTreeSet::new(),
            restarted: false,
            rolled_back: false,
            store_fails: false,
            effects_lost: false,
        }
    }

    fn full_jid(&self) -> String {
        format!("{}/{}", self.account, self.resource)
    }

    fn restored(&self) -> Engine {
        let records = self.store.records.iter().map(|(key, value)| (key, Some(value.as_slice())));
        let restored = Engine::restore_some(self.config.clone(), self.store.generation, records);
        restored.expect("what was stored restores")
    }

    fn restart(&mut self) {
        self.engine = self.restored();
        self.online = false;
        self.restarted = true;
        self.asks.clear();
        self.unacknowledged.clear();
        self.untaken.clear();
    }

    /// Handles an input; loads what it asks for. A step that is dropped or not stored has not
    /// happened.
    fn handle<'i>(
        &mut self,
        now: Timestamp,
        seed: [u8; 32],
        twice: bool,
        class: Class,
        make: &dyn Fn() -> Input<'i>,
    ) -> Option<(Changes, Vec<Effect>)> {
        let generation = self.engine.generation();
        let mut expected: Option<Changes> = None;
        for _ in 0..200 {
            let undo = match &expected {
                None if self.store_fails => Some(Undo::StoreFails),
                None if twice => Some(Undo::Drop),
                _ => None,
            };
            let outcome = attempt(&mut self.engine, &mut self.store, now, seed, make(), undo);
            match outcome {
                Outcome::Stored(drafted, effects) => {
                    let same = expected.is_none_or(|expected| expected == drafted);
                    promise(same, "an input that was undone is handled differently");
                    return Some((drafted, effects));
                }
                Outcome::Undone(drafted) => {
                    self.store_fails = false;
                    expected = Some(drafted);
                }
                Outcome::Missing(keys) => {
                    assert!(!keys.is_empty(), "nothing to load");
                    self.load(&keys);
                }
                Outcome::Misuse(misuse) => {
                    let allowed = match class {
                        Class::Wish => [Misuse::Consent, Misuse::Key, Misuse::Jid].contains(&misuse),
                        _ => false,
                    };
                    assert!(allowed, "{misuse:?} for {class:?}");
                    assert_eq!(self.engine.generation(), generation);
                    let again = attempt(&mut self.engine, &mut self.store, now, seed, make(), None);
                    assert!(matches!(again, Outcome::Misuse(again) if again == misuse));
                    return None;
                }
            }
            assert_eq!(self.engine.generation(), generation);
        }
        unreachable!("what is loaded is asked for again")
    }

    fn load(&mut self, keys: &[RecordKey]) {
        for key in keys {
            let value = self.store.records.get(key).expect("it is stored");
            assert!(Engine::is_evictable(key));
            self.engine.load([(key, value.as_slice())]).expect("it decodes");
        }
    }

    /// A refused stanza changes no keys.
    fn check_changes(&self, drafted: &Changes, class: Class, effects: &[Effect]) {
        let refused = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Notify(Event::Rejected { .. } | Event::Duplicate { .. })));
        if class != Class::Protected || !refused {
            return;
        }
        for ((key, value), before) in drafted.iter().zip(&self.store.replaced) {
            promise(value == before || !KEYS.contains(&kind(key)), "a refused stanza changes keys");
        }
    }

    fn check_bounds(&self) {
        let count = |kinds: &[u8]| self.store.records.keys().filter(|key| kinds.contains(&kind(key))).count();
        assert!(count(&[OUTBOX, WAITING]) <= MAX_OUTBOX);
        assert!(count(&[ARRIVALS]) <= MAX_ARRIVALS);
    }

    /// What is stored is what there is.
    fn check_restore(&self) {
        let restored = self.restored();
        assert_eq!(restored.generation(), self.engine.generation());
        assert_eq!(restored.device(), self.engine.device());
        assert_eq!(restored.pending(), self.engine.pending());
        for (jid, _) in DEVICES {
            assert_eq!(restored.contact(jid), self.engine.contact(jid));
            // What is evicted gives no outlook.
            if let Ok(outlook) = self.engine.outlook(jid, &Need::Policy) {
                assert_eq!(restored.outlook(jid, &Need::Policy), Ok(outlook));
            }
        }
    }

    /// A stanza that came has one outcome.
    fn check_counts(&self, class: Class, effects: &[Effect]) {
        let count = |of: fn(&Effect) -> bool| effects.iter().filter(|effect| of(effect)).count();
        let passed = count(|effect| matches!(effect, Effect::Pass | Effect::PassSigned { .. }));
        let delivered = count(|effect| matches!(effect, Effect::Deliver { again: false, .. }));
        let refused = count(|effect| {
            matches!(effect, Effect::Notify(Event::Rejected { .. } | Event::Duplicate { .. }))
        });
        assert!(self.restarted || count(|effect| matches!(effect, Effect::Deliver { again: true, .. })) == 0);
        match class {
            Class::Protected => {
                promise(passed == 0, "a protected message passes");
                promise(delivered + refused <= 1, "a protected message has two outcomes");
            }
            Class::Stanza => assert!(passed <= 1 && delivered == 0),
            Class::Outgoing { .. } | Class::Presence { .. } | Class::Wish => {
                assert_eq!(delivered + refused, 0)
            }
            Class::Agent => assert_eq!(passed, 0),
            Class::Tick | Class::Other => assert_eq!(passed, 0),
        }
    }

    /// A token has one outcome, and nothing protected goes out in clear.
    fn check_fate(&mut self, class: Class, effect: &Effect, effects: &[Effect]) {
        let said_again = self.restarted;
        let (token, next) = match effect {
            Effect::Pass => match class {
                Class::Outgoing { token, clear } => {
                    promise(clear, "in clear to an account that encrypts, or against the need");
                    (token, Fate::Done)
                }
                Class::Presence { token } => (token, Fate::Done),
                _ => return,
            },
            Effect::Sent { token, .. } => (token.0, Fate::Sent),
            Effect::Failed { token, why } => {
                let known = self.fates.get(&token.0).copied().unwrap_or(Fate::Unknown);
                promise(
                    known != Fate::Sent || *why == SendError::Bounced,
                    "what was sent fails otherwise than by bouncing",
                );
                (token.0, Fate::Done)
            }
            Effect::Waiting { token, .. } => {
                let presence = matches!(class, Class::Presence { .. });
                (token.0, if presence { Fate::Held } else { Fate::Open })
            }
            Effect::Send { token, stanza, .. } => {
                let sent_clear = |effect: &Effect| {
                    matches!(effect, Effect::Sent { token: sent, coverage: Coverage { clear: true, .. } }
                        if Some(*sent) == *token)
                };
                promise(!stanza.as_str().contains(MARK) || effects.iter().any(sent_clear), "sent in clear");
                return;
            }
            Effect::Notify(Event::Rejected { reason, .. }) => {
                let own_fault = *reason == Reason::Unreadable(Unreadable::Agent);
                assert!(!own_fault || matches!(class, Class::Agent | Class::Tick));
                return;
            }
            _ => return,
        };
        let known = self.fates.entry(token).or_insert(Fate::Unknown);
        let allowed = match *known {
            Fate::Unknown => true,
            Fate::Open | Fate::Held => true,
            Fate::Sent => said_again && next == Fate::Sent || next == Fate::Done,
            Fate::Done => false,
        };
        promise(allowed, "a token has two outcomes");
        if *known != Fate::Unknown {
            *known = next;
        }
    }

    /// What has no outcome yet is still there.
    fn check_open(&self) {
        let pending = self.engine.pending().expect("never evicted");
        for (token, fate) in &self.fates {
            if *fate == Fate::Open {
                promise(pending.contains(&Pending::Waiting(Token(*token))), "a stanza handed in is lost");
            }
        }
    }
}

/// How a step comes to nothing.
#[derive(Clone, Copy)]
enum Undo {
    Drop,
    StoreFails,
}

/// What came of an input.
enum Outcome {
    Stored(Changes, Vec<Effect>),
    Undone(Changes),
    Missing(Vec<RecordKey>),
    Misuse(Misuse),
}

fn attempt(
    engine: &mut Engine,
    store: &mut Records,
    now: Timestamp,
    seed: [u8; 32],
    input: Input<'_>,
    undo: Option<Undo>,
) -> Outcome {
    let mut rng = ChaCha20Rng::from_seed(seed);
    match engine.handle(&mut Env { now, rng: &mut rng }, input) {
        Ok(step) => {
            let drafted = changes(step.batch());
            match undo {
                Some(Undo::StoreFails) if !drafted.is_empty() => {
                    assert_eq!(step.persist(|_| Err(())).err(), Some(()));
                    Outcome::Undone(drafted)
                }
                Some(Undo::Drop) => Outcome::Undone(drafted),
                _ => {
                    let effects = step.persist(|batch| store.apply(batch)).expect("infallible");
                    Outcome::Stored(drafted, effects)
                }
            }
        }
        Err(Error::NotLoaded(keys)) => Outcome::Missing(keys),
        Err(Error::Misuse(misuse)) => Outcome::Misuse(misuse),
        Err(error) => unreachable!("{error:?}"),
    }
}

/// The value of an attribute that the engine wrote.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}='"))?;
    Some(rest.split('\'').next()?.to_owned())
}

/// Puts `from` into a stanza, as its server does.
fn stamp(text: &str, from: &str) -> String {
    let end = text.find([' ', '>', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    format!("{name} from='{from}'{rest}")
}

/// The longest base64 in a stanza: its place and its bytes.
fn payload(text: &str) -> Option<(core::ops::Range<usize>, Vec<u8>)> {
    let texts = text.match_indices('>').filter_map(|(at, _)| {
        let end = at + 1 + text.get(at + 1..)?.find('<')?;
        Some(at + 1..end)
    });
    let place = texts.max_by_key(ExactSizeIterator::len)?;
    let bytes = STANDARD.decode(text.get(place.clone())?).ok()?;
    Some((place, bytes))
}

/// The protected element of a message, as a server that returns it does.
fn payload_element(text: &str) -> String {
    let element = text.split_once("<e ").and_then(|(_, rest)| rest.split_once("</e>"));
    element.map_or_else(String::new, |(inside, _)| format!("<e {inside}</e>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Devices that are set up send to each other, and all of it arrives.
    #[test]
    fn what_is_sent_arrives() {
        let mut world = World::new(MODE_TWICE | MODE_ACKNOWLEDGE);
        world.set_up();
        for (from, to) in [(0, 1), (1, 0), (1, 0), (0, 1)] {
            world.message(from, to, 0);
            world.pump(64);
        }
        let seen: Vec<usize> = world.devices.iter().map(|device| device.seen.len()).collect();
        assert_eq!(seen, [2, 2, 2]);
    }

    #[test]
    fn any_bytes_are_operations() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        for mode in 0..16 {
            let mut data = vec![mode; 200];
            rng.fill_bytes(&mut data[1..]);
            run(&data);
        }
    }
}
