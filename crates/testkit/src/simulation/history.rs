//! Runs a plan.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chacha20::ChaCha20Rng;
use xmpp_e2e::rand_core::{Rng, SeedableRng};
use xmpp_e2e::store::{MemoryStore, Store};
use xmpp_e2e::suite::Suites;
use xmpp_e2e::{Env, Event, Timestamp};

use crate::device::{Device, End, Record};
use crate::link::{Link, Odds};
use crate::server::{Server, Way, bare};
use crate::simulation::model::{MAX_BYTES, MAX_RECORDS, Rule, Watched};
use crate::simulation::observer::Observer;
use crate::simulation::plan::MAX_DEVICES;
use crate::simulation::{Cryptography, Figures, Plan, SIMULATED_SUITE, Violation};
use crate::world::World;

/// Devices come to rest within so many stanzas and ticks, and as many for each stanza that was under way.
const PATIENCE: usize = 20_000;
const PATIENCE_EACH: usize = 40;

/// So many stanzas that a device received are kept, to come again.
const PAST: usize = 64;

/// The accounts of all histories.
const ACCOUNTS: [&str; 4] =
    ["alice@one.example", "bob@two.example", "carol@three.example", "dave@one.example"];

/// What became of a history.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened, in numbers.
    pub figures: Figures,
    /// What was wrong first.
    pub violation: Option<Violation>,
    /// What happened, if that was asked for.
    pub log: Vec<String>,
}

/// Runs a plan to its end, or until something is wrong.
#[must_use]
pub fn run(plan: &Plan, cryptography: Cryptography, log: bool) -> Outcome {
    let mut history = History::new(plan, cryptography, log);
    let result = catch_unwind(AssertUnwindSafe(|| history.play(plan)));
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        history.observer.report(Rule::Sound, text.unwrap_or_default());
    }
    history.finish(plan)
}

/// What is remembered of a device beside what it knows itself.
#[derive(Default)]
pub(super) struct Known {
    /// It is gone for ever.
    pub(super) dead: bool,
    /// It does not come back by itself.
    pub(super) down: bool,
    /// Its stream was cut, and the server does not know.
    pub(super) suspended: bool,
    /// It is a second run of this one.
    pub(super) clone_of: Option<usize>,
    /// It was set back, or ran twice, and nobody has told it.
    pub(super) undeclared: bool,
    pub(super) backup: Option<(MemoryStore, Record, Watched)>,
    /// What it received.
    pub(super) past: VecDeque<String>,
}

/// An account.
pub(super) struct Account {
    pub(super) jid: &'static str,
    /// It has left the protocol.
    pub(super) left: bool,
    /// It has begun anew with another key.
    pub(super) has_new_key: bool,
    /// How many devices it has had.
    pub(super) count: usize,
}

pub(super) struct History {
    pub(super) world: World,
    pub(super) link: Link,
    pub(super) observer: Observer,
    pub(super) known: Vec<Known>,
    pub(super) accounts: Vec<Account>,
    pub(super) figures: Figures,
    rng: ChaCha20Rng,
    log: Option<Vec<String>>,
}

impl History {
    fn new(plan: &Plan, cryptography: Cryptography, log: bool) -> Self {
        let mut world = World::new(plan.seed);
        world.revives = false;
        if cryptography == Cryptography::Fake {
            world.suites = Suites::new(&[&SIMULATED_SUITE]).expect("one suite");
        }
        let link = world.lossy(plan.seed, Odds::default());
        world.server.carbons = plan.shape.carbons;
        world.server.archives = true;
        Self {
            world,
            link,
            observer: Observer::default(),
            known: Vec::new(),
            accounts: Vec::new(),
            figures: Figures::default(),
            rng: ChaCha20Rng::seed_from_u64(!plan.seed),
            log: log.then(Vec::new),
        }
    }

    fn play(&mut self, plan: &Plan) {
        for (jid, devices) in ACCOUNTS.into_iter().zip(&plan.shape.devices) {
            self.accounts.push(Account { jid, left: false, has_new_key: false, count: 0 });
            for _ in 0..*devices {
                self.add_device(self.accounts.len() - 1);
            }
        }
        for (place, one) in ACCOUNTS.into_iter().enumerate().take(self.accounts.len()) {
            for other in ACCOUNTS.into_iter().take(place) {
                self.world.server.befriend(one, other);
            }
        }
        for device in 0..self.known.len() {
            self.with(device, Device::connect);
            // Own devices do not change their list at the same time before they know each other.
            self.run();
        }
        for (number, action) in &plan.actions {
            if self.is_over() {
                return;
            }
            self.note(|| format!("-- {number}: {action:?}"));
            self.perform(*action);
            self.figures.actions += 1;
        }
        self.end();
    }

    pub(super) fn is_over(&self) -> bool {
        self.observer.violation().is_some()
    }

    fn finish(mut self, plan: &Plan) -> Outcome {
        let done = self.link.done();
        let figures = &mut self.figures;
        figures.histories = 1;
        figures.accounts = plan.shape.devices.len() as u64;
        figures.devices = self.known.iter().filter(|known| known.clone_of.is_none()).count() as u64;
        for (figure, count) in [
            (&mut figures.lost, done.lose),
            (&mut figures.reordered, done.reorder),
            (&mut figures.repeated, done.repeat),
            (&mut figures.delayed, done.delay),
            (&mut figures.edited, done.edit),
            (&mut figures.stripped, done.strip),
            (&mut figures.withheld, done.withhold),
        ] {
            *figure = u64::from(count);
        }
        figures.messages = self.observer.said.len() as u64;
        figures.handshakes = self.observer.handshakes.count;
        figures.handshakes_again = self.observer.handshakes.again;
        figures.handshakes_excused = self.observer.handshakes.excused;
        figures.most_inputs = figures.inputs;
        figures.hours = (self.world.now.as_millis() - World::new(0).now.as_millis()) / 3_600_000;
        let violation = self.observer.violation().cloned();
        Outcome { figures: self.figures, violation, log: self.log.unwrap_or_default() }
    }

    /// A line of the log, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>14} {}", self.world.now.as_millis() % 100_000_000_000, line()));
        }
    }

    /// Another device of an account, the first of them with a key of its own; not connected yet. `None` if there are too
    /// many.
    pub(super) fn add_device(&mut self, account: usize) -> Option<usize> {
        let Account { jid, count, .. } = self.accounts.get_mut(account)?;
        let (jid, resource) = (*jid, format!("r{count}"));
        *count += 1;
        let others = |known: &(usize, &Known)| !known.1.dead && known.1.clone_of.is_none();
        let others = self.known.iter().enumerate().filter(others).map(|(device, _)| device);
        let others: Vec<usize> =
            others.filter(|device| self.world.devices[*device].account() == jid).collect();
        if others.len() >= MAX_DEVICES {
            return None;
        }
        let full = format!("{jid}/{resource}");
        let device = match others.first() {
            Some(other) => Device::another(&self.world.devices[*other], &full, &mut self.world.rng),
            None => Device::first_with(&full, &self.world.suites, &mut self.world.rng),
        };
        Some(self.push(device, Known::default()))
    }

    pub(super) fn push(&mut self, mut device: Device, known: Known) -> usize {
        self.world.server.register(device.account());
        device.record.heard = Some(Vec::new());
        let place = self.observer.add(device.account());
        self.world.devices.push(device);
        self.known.push(known);
        place
    }

    /// Does something with a device, and looks at what came of it.
    pub(super) fn with<R>(
        &mut self,
        device: usize,
        act: impl FnOnce(&mut Device, &mut Server, &mut Env<'_>) -> R,
    ) -> R {
        let result = self.world.with(device, act);
        self.watch(device);
        result
    }

    /// One stanza or tick for a device; whether there was one.
    fn turn(&mut self, device: usize) -> bool {
        let known = &self.known[device];
        if known.dead {
            return false;
        }
        if !self.world.devices[device].runs() {
            if known.down {
                return false;
            }
            self.with(device, Device::restart);
            return true;
        }
        let busy = self.world.turn(device);
        self.watch(device);
        self.figures.inputs += u64::from(busy);
        busy
    }

    /// So many turns of devices chosen at random.
    pub(super) fn turns(&mut self, count: u8) {
        for _ in 0..count {
            self.world.arrivals();
            let device = usize::try_from(self.rng.next_u32()).unwrap_or_default() % self.known.len();
            self.turn(device);
        }
    }

    /// Handles all there is at this time.
    pub(super) fn run(&mut self) {
        let patience = PATIENCE + PATIENCE_EACH * self.world.server.pending();
        let mut done = 0;
        while !self.is_over() {
            let mut busy = self.world.arrivals();
            for device in 0..self.known.len() {
                busy |= self.turn(device);
            }
            done += self.known.len();
            if !busy && !self.world.stragglers() {
                return;
            }
            if done > patience {
                let dump = self.world.dump();
                self.observer.report(Rule::Rests, format!("no rest after {done} turns\n{dump}"));
            }
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, duration: Duration) {
        let end = self.world.now.after(duration);
        self.run();
        while let Some(next) = self.next_due().filter(|next| *next <= end && !self.is_over()) {
            self.world.now = self.world.now.max(next);
            self.run();
        }
        self.world.now = end;
        self.run();
    }

    fn next_due(&self) -> Option<Timestamp> {
        let lives = |(device, known): (&Device, &Known)| {
            if known.dead || known.down { None } else { device.next_wakeup() }
        };
        let devices = self.world.devices.iter().zip(&self.known).filter_map(lives);
        devices.chain(self.link.next_due().map(Timestamp::from_millis)).min()
    }

    /// Looks at what a device has done since.
    fn watch(&mut self, place: usize) {
        let now = self.world.now;
        let device = &mut self.world.devices[place];
        let observer = &mut self.observer;
        if device.runs() {
            observer.is(place, device.engine().device());
        }
        let mut lines = Vec::new();
        let noted = self.log.is_some();
        for crossing in self.world.server.log.drain(..) {
            if crossing.way == Way::Out {
                observer.sent(place, &crossing.stanza, now);
            }
            if noted {
                lines.push(format!("   {}", crossing.to_string().chars().take(230).collect::<String>()));
            }
        }
        // Before what it says is learnt: what it sent, it sent by what it knew before.
        let open = std::mem::take(&mut observer.devices[place].open);
        for (token, message) in open {
            match device.record.handed.get(&token).and_then(|handed| handed.ends.first()) {
                None => observer.devices[place].open.push((token, message)),
                Some(End::Pass) => {
                    self.figures.in_clear += 1;
                    observer.passed(place, message);
                }
                Some(End::Sent(coverage)) if coverage.clear => {
                    self.figures.in_clear += 1;
                    observer.passed(place, message);
                }
                Some(End::Sent(_) | End::Failed(_)) => {}
            }
        }
        let (letters, events) = (observer.devices[place].letters, observer.devices[place].events);
        for letter in device.record.inbox.iter().skip(letters) {
            self.figures.deliveries += u64::from(letter.protection.is_some());
            observer.delivered(place, letter);
        }
        for event in device.record.events.iter().skip(events) {
            observer.event(place, event);
            let figures = &mut self.figures;
            #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is not counted")]
            match event {
                Event::Rejected { .. } => figures.rejected += 1,
                Event::Duplicate { .. } => figures.duplicates += 1,
                Event::Superseded { .. } => figures.superseded += 1,
                Event::KeyChanged { .. } => figures.keys_changed += 1,
                _ => {}
            }
            if noted {
                lines.push(format!("   {} : {event:?}", device.full_jid));
            }
        }
        let watched = &mut observer.devices[place];
        (watched.letters, watched.events) = (device.record.inbox.len(), device.record.events.len());
        let heard = device.record.heard.replace(Vec::new()).unwrap_or_default();
        let count = heard.len();
        for (number, heard) in heard.into_iter().enumerate() {
            let whole = !self.link.has_edited(&heard.stanza) && (device.runs() || number + 1 < count);
            observer.heard(place, &heard, whole);
            let past = &mut self.known[place].past;
            past.push_front(heard.stanza);
            past.truncate(PAST);
        }
        for line in lines {
            self.note(|| line);
        }
    }

    /// The so-manieth device that lives.
    pub(super) fn device(&self, number: u8) -> Option<usize> {
        let live: Vec<usize> = self.live().collect();
        live.get(usize::from(number) % live.len().max(1)).copied()
    }

    /// Every device that is not gone for ever; clones too.
    pub(super) fn live(&self) -> impl Iterator<Item = usize> {
        let left = |device: usize| {
            let jid = bare(&self.world.devices[device].full_jid);
            self.accounts.iter().any(|account| account.jid == jid && account.left)
        };
        (0..self.known.len()).filter(move |device| !self.known[*device].dead && !left(*device))
    }

    /// The so-manieth account that has not left.
    pub(super) fn account(&self, number: u8) -> Option<usize> {
        let accounts = self.accounts.iter().enumerate().filter(|(_, account)| !account.left);
        let accounts: Vec<usize> = accounts.map(|(place, _)| place).collect();
        accounts.get(usize::from(number) % accounts.len().max(1)).copied()
    }

    /// What a device received, the last first.
    pub(super) fn past(&self, device: usize, number: u8) -> Option<String> {
        let past = &self.known[device].past;
        past.get(usize::from(number) % past.len().max(1)).cloned()
    }

    /// Looks how much every device has stored.
    pub(super) fn measure(&mut self) {
        for device in &self.world.devices {
            let stored = device.store.load().expect("a store in memory");
            let bytes: usize =
                stored.records.iter().map(|(key, value)| key.as_bytes().len() + value.len()).sum();
            let records = stored.records.len();
            self.figures.most_records = self.figures.most_records.max(records as u64);
            self.figures.most_bytes = self.figures.most_bytes.max(bytes as u64);
            if records > MAX_RECORDS || bytes > MAX_BYTES {
                let detail = format!("{} has {records} records, {bytes} bytes", device.full_jid);
                self.observer.report(Rule::Bounded, detail);
            }
        }
    }
}
