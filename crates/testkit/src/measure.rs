//! Devices for measurements: as little between two engines as there can be, so that what is
//! measured is the engines' work. For tests of behaviour there is the server.

pub mod heap;
pub mod paths;
pub mod sizes;

use std::collections::{BTreeMap, VecDeque};

use chacha20::ChaCha20Rng;
use xmpp_e2e::rand_core::SeedableRng;
use xmpp_e2e::store::{MemoryStore, Store};
use xmpp_e2e::suite::Suites;
use xmpp_e2e::{
    Config, Effect, Engine, Env, Hints, InboxId, Input, LocalAgent, Need, OutboxId, Subscription, Timestamp,
    Token,
};

/// The time at which a network starts, in milliseconds since the Unix epoch.
pub const START: u64 = 1_790_000_000_000;

/// The full JID of the device that most measurements send from.
pub const ALICE: &str = "alice@example.com/phone";

/// The full JID of the device that most measurements send to.
pub const BOB: &str = "bob@example.org/desk";

/// A message from [`ALICE`] to [`BOB`] with these children, as an application hands it in.
#[must_use]
pub fn message(from: &str, to: &str, children: &str) -> String {
    format!("<message from='{from}' to='{to}' type='chat' id='a1b2c3d4'>{children}</message>")
}

/// A device: its engine, agent and store, and what waits to be carried out.
#[derive(Debug)]
pub struct Device {
    /// Its full JID.
    pub jid: String,
    /// The engine.
    pub engine: Engine,
    /// The agent, which answers at once.
    pub agent: LocalAgent,
    /// The store.
    pub store: MemoryStore,
    /// Stanzas sent, not yet carried away.
    pub out: VecDeque<String>,
    /// Stanzas delivered.
    pub delivered: Vec<String>,
    sent: Vec<OutboxId>,
    taken: Vec<InboxId>,
}

impl Device {
    /// One step with its batch stored; requests to the agent are answered, in steps of their own.
    ///
    /// # Panics
    /// If the engine or the store refuses.
    pub fn step(&mut self, rng: &mut ChaCha20Rng, now: u64, input: Input<'_>) {
        let mut env = Env { now: Timestamp::from_millis(now), rng: &mut *rng };
        let step = self.engine.handle(&mut env, input).expect("the input is right");
        let store = &mut self.store;
        let effects = step.persist(|batch| store.apply(batch)).expect("nobody else writes");
        for effect in effects {
            match effect {
                Effect::Ask(request) => {
                    let reply = self.agent.answer(&request);
                    self.step(rng, now, Input::Agent(&reply));
                }
                Effect::Send { id, stanza, .. } => {
                    self.out.push_back(stanza.as_str().to_owned());
                    self.sent.push(id);
                }
                Effect::Deliver { id, stanza, .. } => {
                    self.delivered.push(stanza.as_str().to_owned());
                    self.taken.push(id);
                }
                Effect::Failed { token, why } => panic!("{token:?} failed: {why:?}"),
                _ => {}
            }
        }
    }

    /// Acknowledges all that was sent, and takes all that was delivered.
    pub fn tidy(&mut self, rng: &mut ChaCha20Rng, now: u64) {
        for id in std::mem::take(&mut self.sent) {
            self.step(rng, now, Input::Acknowledged(id));
        }
        for id in std::mem::take(&mut self.taken) {
            self.step(rng, now, Input::Taken(id));
        }
    }

    /// The stored bytes of keys and values of the records whose key begins with `kind`.
    ///
    /// # Panics
    /// Never: a store in memory can be read.
    #[must_use]
    pub fn stored(&self, kind: u8) -> Vec<(usize, usize)> {
        let records = self.store.load().expect("in memory").records;
        let records = records.iter().filter(|(key, _)| key.as_bytes().first() == Some(&kind));
        records.map(|(key, value)| (key.as_bytes().len(), value.len())).collect()
    }
}

/// How a device is made.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Its suites.
    pub suites: Suites,
    /// Its hints.
    pub hints: Hints,
    /// Whether it signs its presence.
    pub sign_presence: bool,
}

/// Devices and what is between them: stanzas reach everybody they are for, in order and at once.
#[derive(Debug)]
pub struct Network {
    /// The randomness of all devices.
    pub rng: ChaCha20Rng,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
    /// The devices, in the order they were added.
    pub devices: Vec<Device>,
    /// Items by account and node: id and payload.
    pub pep: BTreeMap<(String, String), Vec<(String, String)>>,
    token: u64,
}

impl Network {
    /// A network without devices.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        Self { rng, now: START, devices: Vec::new(), pep: BTreeMap::new(), token: 0 }
    }

    /// [`ALICE`] and [`BOB`], both connected, with each other's keys, and no session.
    #[must_use]
    pub fn pair(seed: u64, setup: &Setup) -> Self {
        let mut network = Self::new(seed);
        network.add(ALICE, setup);
        network.add(BOB, setup);
        network.connect(0, true);
        network.connect(1, true);
        network
    }

    /// The same, with a session in which both have sent.
    #[must_use]
    pub fn session(seed: u64, setup: &Setup) -> Self {
        let mut network = Self::pair(seed, setup);
        network.talk(0, 1, "hello");
        network.talk(1, 0, "hello");
        network.talk(0, 1, "hello");
        network
    }

    /// Adds a device; a further one of an account known shares its account key.
    ///
    /// # Panics
    /// If `jid` is no full JID.
    pub fn add(&mut self, jid: &str, setup: &Setup) {
        let account = bare(jid);
        let known = self.devices.iter().find(|device| bare(&device.jid) == account);
        let agent = match known {
            Some(first) => first.agent.for_new_device(&mut self.rng),
            None => LocalAgent::generate(&setup.suites, &mut self.rng),
        };
        let mut config = Config::new(account, agent.identity()).expect("a JID");
        config.suites = setup.suites.clone();
        config.hints = setup.hints;
        config.sign_presence = setup.sign_presence;
        self.devices.push(Device {
            jid: jid.to_owned(),
            engine: Engine::new(config),
            agent,
            store: MemoryStore::new(),
            out: VecDeque::new(),
            delivered: Vec::new(),
            sent: Vec::new(),
            taken: Vec::new(),
        });
    }

    /// Connects a device, with all other accounts on its roster; it publishes its keys. If `visible`,
    /// it then sends presence, so that the others learn of it.
    pub fn connect(&mut self, index: usize, visible: bool) {
        let jid = self.devices[index].jid.clone();
        let others: Vec<String> = self.devices.iter().map(|device| bare(&device.jid).to_owned()).collect();
        self.step(index, Input::Connected { full_jid: &jid, resumed: false });
        for other in others.iter().filter(|other| *other != bare(&jid)) {
            self.step(index, Input::Roster { jid: other, subscription: Subscription::Both });
        }
        self.settle();
        if visible {
            self.hand_in(index, "<presence/>");
            self.settle();
            // What is visible already is sent to who comes later.
            for other in (0..index).filter(|other| *other != index) {
                self.hand_in(other, "<presence/>");
            }
            self.settle();
        }
    }

    /// Hands in a stanza to be protected, and leaves what is sent with the device.
    pub fn hand_in(&mut self, index: usize, stanza: &str) {
        self.hand_in_with(index, stanza, Need::Policy);
    }

    /// Hands in a stanza that needs this.
    pub fn hand_in_with(&mut self, index: usize, stanza: &str, need: Need) {
        self.token += 1;
        let input = Input::Outgoing { stanza, token: Token(self.token), need };
        self.devices[index].step(&mut self.rng, self.now, input);
    }

    /// One step of a device.
    pub fn step(&mut self, index: usize, input: Input<'_>) {
        self.devices[index].step(&mut self.rng, self.now, input);
    }

    /// Acknowledges and takes everything.
    pub fn tidy(&mut self) {
        for device in &mut self.devices {
            device.tidy(&mut self.rng, self.now);
        }
    }

    /// Sends a text from one device to another's account, and lets everything happen that follows.
    ///
    /// # Panics
    /// If it does not arrive.
    pub fn talk(&mut self, from: usize, to: usize, text: &str) {
        let before = self.devices[to].delivered.len();
        let stanza = message(&self.devices[from].jid, &self.devices[to].jid, &format!("<body>{text}</body>"));
        self.hand_in(from, &stanza);
        self.settle();
        assert_eq!(self.devices[to].delivered.len(), before + 1, "{text} arrives");
        self.devices[to].delivered.clear();
    }

    /// Hands in a stanza and gives the protected message that leaves, without carrying it away.
    ///
    /// # Panics
    /// If not one message leaves.
    pub fn protect(&mut self, index: usize, stanza: &str) -> String {
        self.protect_with(index, stanza, Need::Policy)
    }

    /// The same with another need, or of another kind of stanza.
    ///
    /// # Panics
    /// If not one such stanza leaves.
    pub fn protect_with(&mut self, index: usize, stanza: &str, need: Need) -> String {
        self.hand_in_with(index, stanza, need);
        let kind = stanza.split([' ', '>']).next().expect("a name").to_owned();
        let is_message = |stanza: &str| stanza.starts_with(&kind);
        // A first message needs the peer's one-time prekeys before it leaves.
        while !self.devices[index].out.iter().any(|stanza| is_message(stanza)) {
            assert!(self.carry(), "no message leaves");
        }
        let device = &mut self.devices[index];
        let stanza = device.out.pop_front().expect("there is one");
        assert!(is_message(&stanza) && device.out.is_empty(), "one message leaves");
        stanza
    }

    /// Carries stanzas until there are none, then acknowledges everything.
    pub fn settle(&mut self) {
        while self.carry() {}
        self.tidy();
    }

    /// Carries away what each device has sent so far. `false` if that was nothing.
    pub fn carry(&mut self) -> bool {
        let indices = 0..self.devices.len();
        indices.filter(|index| self.carry_from(*index)).count() > 0
    }

    /// Carries away what a device has sent so far. `false` if that was nothing.
    pub fn carry_from(&mut self, index: usize) -> bool {
        let stanzas = std::mem::take(&mut self.devices[index].out);
        for stanza in &stanzas {
            self.route(index, stanza);
        }
        !stanzas.is_empty()
    }

    fn route(&mut self, from: usize, stanza: &str) {
        let sender = self.devices[from].jid.clone();
        let head = stanza.split('>').next().unwrap_or_default();
        let to = attribute(head, "to").unwrap_or_else(|| bare(&sender).to_owned());
        if stanza.starts_with("<iq") && !to.contains('/') {
            let answer = self.serve(&sender, &to, stanza);
            self.step(from, Input::Received(&answer));
            return;
        }
        let stamped = match attribute(head, "from") {
            Some(_) => stanza.to_owned(),
            None => {
                let (name, rest) = stanza.split_at(stanza.find([' ', '/', '>']).unwrap_or(stanza.len()));
                format!("{name} from='{sender}'{rest}")
            }
        };
        let presence = stanza.starts_with("<presence");
        for index in 0..self.devices.len() {
            let jid = &self.devices[index].jid;
            let here =
                presence || if stanza.starts_with("<iq") { *jid == to } else { bare(jid) == bare(&to) };
            if here && index != from {
                self.step(index, Input::Received(&stamped));
            }
        }
    }

    /// PEP, for well-behaved clients.
    fn serve(&mut self, sender: &str, to: &str, stanza: &str) -> String {
        let id = attribute(stanza, "id").unwrap_or_default();
        let node = attribute(stanza, "node").unwrap_or_default();
        let result = |payload: &str| format!("<iq type='result' from='{to}' id='{id}'>{payload}</iq>");
        if stanza.contains("<publish ") {
            let item = stanza.split("<item id='").nth(1).unwrap_or_default();
            let (item, rest) = item.split_once("'>").unwrap_or_default();
            let payload = rest.split("</item>").next().unwrap_or_default();
            let items = self.pep.entry((bare(sender).to_owned(), node)).or_default();
            items.retain(|(known, _)| known != item);
            items.push((item.to_owned(), payload.to_owned()));
            return result("");
        }
        if stanza.contains("<configure ") {
            return result("");
        }
        let Some(items) = self.pep.get(&(to.to_owned(), node.clone())) else {
            return format!("<iq type='error' from='{to}' id='{id}'><error type='cancel'/></iq>");
        };
        let items: Vec<String> =
            items.iter().map(|(id, payload)| format!("<item id='{id}'>{payload}</item>")).collect();
        result(&format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{}</items></pubsub>",
            items.concat()
        ))
    }
}

/// The value of the first attribute of this name.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}='"))?;
    rest.split_once('\'').map(|(value, _)| value.to_owned())
}

/// The account of a full JID.
fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}
