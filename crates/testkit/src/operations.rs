//! Operations on engines, read from bytes: what the fuzzer of the engine runs, and the replay of
//! its corpus.
//!
//! Three devices of two accounts talk under the fake suite, over a network that delivers, drops,
//! repeats, reorders and, if the first byte says so, forges. After each operation the engine must
//! have kept its word, else this panics.
//!
//! The first byte is the mode, then come operations of four bytes each: which, and three arguments.
//! So a byte changed changes one operation, and a corpus keeps its meaning.
//!
//! The fake suite takes every byte. So what is delivered is compared with what was handed in only if no bytes are
//! forged; servers may alter what is in clear all the same.

mod checks;
mod client;
mod device;
mod hostile;
mod network;
mod said;
mod stanzas;
mod visible;

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
    Error, Event, InboxId, Input, LocalAgent, Misuse, NS, Need, OutboxId, Pending, Protection, Reason,
    SendError, Subscription, Timestamp, Token, Unreadable,
};

use crate::fake::FAKE_SUITE;

use device::Records;
use network::{attribute, stamp};
use said::{HandedIn, Infoset};
use stanzas::Iqs;
use visible::altered;

/// Accounts and resources of the devices.
const DEVICES: [(&str, &str); 3] =
    [("alice@example.com", "phone"), ("bob@example.org", "desk"), ("alice@example.com", "tablet")];

/// Operations run at most, so that an input takes milliseconds.
const MAX_OPERATIONS: usize = 200;

/// Stanzas under way at most; the oldest is lost.
const MAX_WIRE: usize = 64;

/// What the texts of this run have in common, so that they are found where they must not be.
const MARK: &str = "secret-";

/// The same of texts that are to be authenticated only.
const SHOWN: &str = "shown-";

/// The numbers of operations on stanzas of every kind. All others are those of before, and mean what they meant.
const STANZAS: core::ops::RangeInclusive<u8> = 217..=249;

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
    tokens: u64,
    /// The stanzas handed in.
    said: Vec<HandedIn>,
    /// The stanza being handed in, which goes out as it is if it passes.
    outgoing: Option<String>,
    /// Whether what is received is of an application, and so has one outcome.
    counted: bool,
    /// Whether a stanza may come again: copied, sent again, or of a sender that was restored. The fake suite opens one of a chain long past.
    replayed: bool,
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
    iqs: Iqs,
    /// What went out in clear when it had waited.
    cleared: BTreeSet<Token>,
    /// The first input after a restart says much again.
    restarted: bool,
    /// What is delivered may have been delivered before: the store is a backup.
    rolled_back: bool,
    /// The same, of signed stanzas.
    forgot: bool,
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
    /// Whether an application handed it in.
    counted: bool,
}

/// What an input is, as far as the checks differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    Protected,
    Stanza,
    /// With an element of this protocol: may be delivered, pass or be refused.
    Any,
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
            tokens: 0,
            said: Vec::new(),
            outgoing: None,
            counted: false,
            replayed: false,
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
        if STANZAS.contains(&which) {
            return self.operate_on_stanzas(which - STANZAS.start(), [a, b, c]);
        }
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
        if !self.hostile && self.counted {
            device.check_one_outcome(class, &effects);
        }
        if device.effects_lost {
            device.effects_lost = false;
            for fate in device.fates.values_mut() {
                *fate = Fate::Unknown;
            }
            device.restart();
            device.iqs.forget();
            return;
        }
        device.check_counts(class, &effects);
        for effect in &effects {
            device.check_fate(class, effect, &effects);
        }
        device.iqs.check(&effects);
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
            Effect::Send { id, token, stanza } if device.online => {
                let text = stanza.as_str().to_owned();
                let protected = text.starts_with("<message") && text.contains(&format!("<e xmlns='{NS}'>"));
                self.fly(Flying { from: i, to: None, text, protected, counted: token.is_some() });
                if self.acknowledge {
                    self.step(i, Class::Other, &|| Input::Acknowledged(id));
                } else {
                    self.devices[i].unacknowledged.push(id);
                }
            }
            Effect::Pass => {
                if let Some(text) = self.outgoing.take().filter(|_| device.online) {
                    self.fly(Flying { from: i, to: None, text, protected: false, counted: true });
                }
            }
            Effect::Deliver { id, stanza, protection, context, again } => {
                device.untaken.push(id);
                if !self.hostile {
                    let came = self.check_said(stanza.as_str(), protection, &context);
                    let device = &mut self.devices[i];
                    let first = device.seen.insert(format!(
                        "{:?} {came:?}",
                        (context.sender.as_str(), context.device, context.sent)
                    ));
                    let signed = matches!(protection, Protection::Signed { .. });
                    let replayed = if signed { device.forgot } else { self.replayed };
                    promise(first || again || device.rolled_back || replayed, "delivered twice");
                }
            }
            Effect::Notify(Event::ClearText { consent, .. }) => device.consents.push(consent),
            Effect::Notify(Event::KeyChanged { peer, digest, .. }) => {
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

    /// Under every need a message, a question with its answer, and a presence arrive.
    #[test]
    fn stanzas_of_every_kind_arrive() {
        for need in [0, 4, 8, 10, 12, 13, 14, 15] {
            let mut world = World::new(MODE_SET_UP | MODE_ACKNOWLEDGE);
            world.set_up();
            let mut seen = Vec::new();
            world.compose(0, 1, need);
            world.pump(64);
            seen.push(world.devices[1].seen.len());
            world.question(0, 0x10, need);
            world.pump(64);
            seen.push(world.devices[1].seen.len());
            world.directed(0, 0x19, need);
            world.pump(64);
            seen.push(world.devices[1].seen.len());
            world.reply(1, 0x80, 0);
            world.pump(64);
            seen.push(world.devices[0].seen.len());
            // Of a signed question nothing is known that the answer could be bound to.
            assert_eq!(seen, [1, 2, 3, usize::from(need < 12)], "{need}");
        }
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
