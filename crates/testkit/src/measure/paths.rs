//! What programs do most, made to be timed.

use xmpp_e2e::store::{RecordKey, Store};
use xmpp_e2e::{Command, Config, Engine, Input};

use crate::measure::{ALICE, BOB, Device, Network, Setup, bare, heap, message};

/// The first byte of the keys of sessions, and of skipped message keys, in the store.
const SESSION: u8 = 8;
const SKIPPED: u8 = 9;

/// A text of 64 bytes.
pub const TEXT64: &str = "Sixty-four bytes of text are a usual length for a chat message.";

/// Keys skipped at once.
pub const SKIP: usize = 1000;

/// Something to be timed, again and again.
pub trait Path {
    /// What it is.
    fn name(&self) -> &'static str;

    /// Brings everything to where [`run`](Self::run) begins. Not timed.
    fn prepare(&mut self);

    /// What is timed.
    fn run(&mut self);

    /// How many messages a run is, for times per message.
    fn messages(&self) -> u32 {
        1
    }

    /// How often it is worth running, in thousandths of the number for the fastest.
    fn share(&self) -> u32 {
        1000
    }
}

/// All paths.
#[must_use]
pub fn all() -> Vec<Box<dyn Path>> {
    vec![
        Box::new(Chain::new("same chain, 64 B: text to text", Part::Both)),
        Box::new(Chain::new("  of it: sending", Part::Send)),
        Box::new(Chain::new("  of it: receiving", Part::Receive)),
        Box::new(Chain::new("  with acknowledging and taking", Part::Tidy)),
        Box::new(PingPong::new()),
        Box::new(Handshake::new("handshake with first message, offline", false)),
        Box::new(Handshake::new("handshake with first message, online", true)),
        Box::new(Skip::new()),
        Box::new(Late::new()),
    ]
}

/// Which part of a message is timed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Both steps.
    Both,
    /// The sender's.
    Send,
    /// The receiver's.
    Receive,
    /// Both, and the steps that acknowledge and take.
    Tidy,
}

/// Messages of one sending chain.
#[derive(Debug)]
pub struct Chain {
    name: &'static str,
    part: Part,
    network: Network,
    stanza: String,
    sealed: String,
}

impl Chain {
    /// In a session already answered.
    #[must_use]
    pub fn new(name: &'static str, part: Part) -> Self {
        let network = Network::session(1, &Setup::default());
        Self { name, part, network, stanza: text64(ALICE, BOB), sealed: String::new() }
    }
}

impl Path for Chain {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        self.network.tidy();
        for device in &mut self.network.devices {
            device.out.clear();
            device.delivered.clear();
        }
        if self.part == Part::Receive {
            self.network.hand_in(0, &self.stanza);
            self.sealed = last_message(&mut self.network.devices[0]);
        }
    }

    fn run(&mut self) {
        if self.part != Part::Receive {
            self.network.hand_in(0, &self.stanza);
        }
        if matches!(self.part, Part::Both | Part::Tidy) {
            self.sealed = last_message(&mut self.network.devices[0]);
        }
        if self.part != Part::Send {
            let Network { rng, now, devices, .. } = &mut self.network;
            devices[1].step(rng, *now, Input::Received(&self.sealed));
            assert_eq!(devices[1].delivered.len(), 1);
        }
        if self.part == Part::Tidy {
            self.network.tidy();
        }
    }
}

/// A message there and one back.
#[derive(Debug)]
pub struct PingPong {
    network: Network,
    there: String,
    back: String,
}

impl PingPong {
    /// In a session already answered.
    #[must_use]
    pub fn new() -> Self {
        let network = Network::session(1, &Setup::default());
        Self { network, there: text64(ALICE, BOB), back: text64(BOB, ALICE) }
    }
}

impl Default for PingPong {
    fn default() -> Self {
        Self::new()
    }
}

impl Path for PingPong {
    fn name(&self) -> &'static str {
        "ping-pong, a message"
    }

    fn prepare(&mut self) {
        self.network.tidy();
        for device in &mut self.network.devices {
            device.delivered.clear();
        }
    }

    fn run(&mut self) {
        for (from, to, stanza) in [(0, 1, &self.there), (1, 0, &self.back)] {
            self.network.hand_in(from, stanza);
            let Network { rng, now, devices, .. } = &mut self.network;
            let sealed = last_message(&mut devices[from]);
            devices[to].step(rng, *now, Input::Received(&sealed));
            assert_eq!(devices[to].delivered.len(), 1);
        }
    }

    fn messages(&self) -> u32 {
        2
    }
}

/// From a text handed in without a session, to the text delivered.
#[derive(Debug)]
pub struct Handshake {
    name: &'static str,
    online: bool,
    seed: u64,
    network: Network,
    stanza: String,
}

impl Handshake {
    /// With a device that is online, which is asked for one-time prekeys, or one that is not. The
    /// answer it sends at once is sealed, and not read.
    #[must_use]
    pub fn new(name: &'static str, online: bool) -> Self {
        Self { name, online, seed: 1, network: Network::new(0), stanza: text64(ALICE, BOB) }
    }
}

impl Path for Handshake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        self.seed += 1;
        self.network = Network::pair(self.seed, &Setup::default());
        if !self.online {
            let gone = format!("<presence from='{BOB}' type='unavailable'/>");
            self.network.step(0, Input::Received(&gone));
        }
    }

    fn run(&mut self) {
        self.network.hand_in(0, &self.stanza);
        loop {
            assert!(self.network.carry_from(0), "something leaves");
            if !self.network.devices[1].delivered.is_empty() {
                break;
            }
            // The one-time prekeys.
            self.network.carry_from(1);
        }
    }

    fn share(&self) -> u32 {
        30
    }
}

/// The last of a thousand and one messages, the others not received.
#[derive(Debug)]
pub struct Skip {
    seed: u64,
    network: Network,
    last: String,
}

impl Skip {
    /// Each run is in a session of its own.
    #[must_use]
    pub fn new() -> Self {
        Self { seed: 1, network: Network::new(0), last: String::new() }
    }
}

impl Default for Skip {
    fn default() -> Self {
        Self::new()
    }
}

impl Path for Skip {
    fn name(&self) -> &'static str {
        "1,000 skipped, then the last"
    }

    fn prepare(&mut self) {
        self.seed += 1;
        self.network = Network::session(self.seed, &Setup::default());
        for _ in 0..=SKIP {
            self.network.hand_in(0, &text64(ALICE, BOB));
            self.last = last_message(&mut self.network.devices[0]);
            self.network.tidy();
        }
    }

    fn run(&mut self) {
        self.network.step(1, Input::Received(&self.last));
        assert_eq!(self.network.devices[1].delivered.len(), 1);
    }

    fn share(&self) -> u32 {
        15
    }
}

/// A message whose key is among a thousand skipped ones.
#[derive(Debug)]
pub struct Late {
    seed: u64,
    network: Network,
    late: Vec<String>,
    next: String,
}

impl Late {
    /// Each thousand runs are in a session of their own.
    #[must_use]
    pub fn new() -> Self {
        Self { seed: 1, network: Network::new(0), late: Vec::new(), next: String::new() }
    }
}

impl Default for Late {
    fn default() -> Self {
        Self::new()
    }
}

impl Path for Late {
    fn name(&self) -> &'static str {
        "late decrypt of a skipped one"
    }

    fn prepare(&mut self) {
        if self.late.is_empty() {
            self.seed += 1;
            (self.network, self.late) = skipped(self.seed);
        }
        self.network.tidy();
        self.network.devices[1].delivered.clear();
        self.next = self.late.pop().unwrap_or_default();
    }

    fn run(&mut self) {
        let Network { rng, now, devices, .. } = &mut self.network;
        devices[1].step(rng, *now, Input::Received(&self.next));
        assert_eq!(devices[1].delivered.len(), 1);
    }
}

/// A session in which a thousand messages were skipped, and those messages.
fn skipped(seed: u64) -> (Network, Vec<String>) {
    let mut network = Network::session(seed, &Setup::default());
    let mut messages = Vec::new();
    for _ in 0..=SKIP {
        network.hand_in(0, &text64(ALICE, BOB));
        messages.push(last_message(&mut network.devices[0]));
        network.tidy();
    }
    let last = messages.pop().unwrap_or_default();
    network.step(1, Input::Received(&last));
    (network, messages)
}

/// Bytes of what is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Key and value of a session's record, nothing outstanding.
    pub session: usize,
    /// The same without a KEM in the suite.
    pub classical: usize,
    /// The same while a KEM offer is outstanding, and an answer.
    pub offered: usize,
    /// See `offered`.
    pub answered: usize,
    /// A skipped key, of a thousand: key and value of their records.
    pub skipped: usize,
    /// An idle session in memory, with its place in the engine's table. Zero if nobody counts.
    pub memory: usize,
}

impl Kept {
    /// Measures all.
    ///
    /// # Panics
    /// If an engine does not do what it shall.
    #[must_use]
    pub fn measure() -> Self {
        let suites = xmpp_e2e::suite::Suites::new(&[&xmpp_e2e::suite::SUITE_CLASSICAL]).expect("one suite");
        let classical = Network::session(1, &Setup { suites, ..Setup::default() });
        let network = Network::session(1, &Setup::default());
        let session = sum(&network.devices[0], SESSION);
        let memory = in_memory(&network.devices[0]);
        let (mut offered, mut answered) = (0, 0);
        let mut network = network;
        heal(&mut network, 0);
        for _ in 0..4 {
            network.talk(0, 1, "ping");
            offered = offered.max(sum(&network.devices[0], SESSION));
            network.talk(1, 0, "pong");
            answered = answered.max(sum(&network.devices[1], SESSION));
        }
        let (skipped, _) = skipped(1);
        Self {
            session,
            classical: sum(&classical.devices[0], SESSION),
            offered,
            answered,
            skipped: sum(&skipped.devices[1], SKIPPED) / SKIP,
            memory,
        }
    }
}

fn sum(device: &Device, kind: u8) -> usize {
    device.stored(kind).iter().map(|(key, value)| key + value).sum()
}

/// An engine with many copies of its session is compared with one that has one.
fn in_memory(device: &Device) -> usize {
    const COPIES: u16 = 1000;
    let stored = device.store.load().expect("in memory");
    let mut many = stored.clone();
    let session = stored.records.iter().find(|(key, _)| key.as_bytes().first() == Some(&SESSION));
    let (key, value) = session.expect("there is a session");
    for number in 0..COPIES {
        let mut key = key.as_bytes().to_vec();
        // The last of the key is the session's id.
        let end = key.len() - 2;
        key[end..].copy_from_slice(&number.to_be_bytes());
        many.records.push((RecordKey::from_bytes(&key), value.clone()));
    }
    let config = || Config::new(bare(&device.jid), device.agent.identity()).expect("a JID");
    let size = |stored| {
        let (config, before) = (config(), heap::live());
        let engine = Engine::restore(config, stored).expect("its own records");
        let used = heap::live().saturating_sub(before);
        drop(engine);
        used
    };
    (size(&many) - size(&stored)) / usize::from(COPIES)
}

/// Round trips until a message of the next KEM epoch has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Healing {
    /// The longest of four epochs in a dialogue.
    pub dialogue: u32,
    /// On request of the side whose turn it is to offer, and of the other.
    pub requested: [u32; 2],
}

impl Healing {
    /// Measures all.
    #[must_use]
    pub fn measure() -> Self {
        let mut network = Network::session(1, &Setup::default());
        // From the last epoch's first message on.
        round_trips(&mut network);
        let dialogue = (0..4).map(|_| round_trips(&mut network)).max().unwrap_or_default();
        let requested = [0, 1].map(|who| {
            let mut network = Network::session(1, &Setup::default());
            heal(&mut network, who);
            round_trips(&mut network)
        });
        Self { dialogue, requested }
    }
}

fn heal(network: &mut Network, who: usize) {
    let peer = if who == 0 { bare(BOB) } else { bare(ALICE) };
    network.step(who, Input::Command(Command::Heal { jid: peer }));
}

/// How many until a new epoch begins: a side offers and the other answers, which makes both
/// messages long, and the next message of the first is of the new epoch.
fn round_trips(network: &mut Network) -> u32 {
    let mut long = 0;
    for count in 1..1000 {
        for (from, to, stanza) in [(0, 1, text64(ALICE, BOB)), (1, 0, text64(BOB, ALICE))] {
            network.hand_in(from, &stanza);
            let sealed = last_message(&mut network.devices[from]);
            network.step(to, Input::Received(&sealed));
            let is_long = sealed.len() > 1500;
            if long >= 2 && !is_long {
                network.settle();
                return count;
            }
            long += u32::from(is_long);
        }
        network.tidy();
    }
    0
}

/// A message of 64 bytes of text.
#[must_use]
pub fn text64(from: &str, to: &str) -> String {
    message(from, to, &format!("<body>{TEXT64}</body>"))
}

/// The one message that waits to leave.
fn last_message(device: &mut Device) -> String {
    device.out.pop_back().expect("a message leaves")
}
