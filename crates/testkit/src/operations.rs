//! Operations on engines, read from bytes: what the fuzzer of the engine runs, and the replay of
//! its corpus.
//!
//! Three devices of two accounts talk under the fake suite, over a network that delivers, drops,
//! repeats, reorders and, if the first byte says so, forges. After each operation the engine must
//! have kept its word, else this panics.
//!
//! The first byte is the mode, then come operations of four bytes each: which, and three arguments.
//! So a byte changed changes one operation, and a corpus keeps its meaning.

mod checks;
mod client;
mod device;
mod hostile;
mod network;

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

use device::Records;
use network::{attribute, stamp};

/// Accounts and resources of the devices.
const DEVICES: [(&str, &str); 3] =
    [("alice@example.com", "phone"), ("bob@example.org", "desk"), ("alice@example.com", "tablet")];

/// Operations run at most, so that an input takes milliseconds.
const MAX_OPERATIONS: usize = 200;

/// Stanzas under way at most; the oldest is lost.
const MAX_WIRE: usize = 64;

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
