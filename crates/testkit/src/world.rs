//! Servers, devices and time.

use std::fmt::Write;
use std::time::Duration;

use chacha20::ChaCha20Rng;
use xmpp_e2e::rand_core::SeedableRng;
use xmpp_e2e::suite::Suites;
use xmpp_e2e::{Command, Env, Need, Timestamp, Token};

use crate::device::{Device, Job};
use crate::link::{Link, Odds};
use crate::server::{Server, bare};

/// When a world begins: 2026-01-01.
const BEGIN: Timestamp = Timestamp::from_secs(1_767_225_600);

/// A world comes to rest within so many stanzas and ticks, and as many for each stanza that was
/// under way.
const PATIENCE: usize = 20_000;
const PATIENCE_EACH: usize = 20;

/// How many stanzas and events a dump shows.
const LAST: usize = 20;

/// Servers and devices with a time of their own. Equal seeds and calls give equal runs.
#[derive(Debug)]
pub struct World {
    /// The servers.
    pub server: Server,
    /// The devices, named by their place.
    pub devices: Vec<Device>,
    /// The time.
    pub now: Timestamp,
    /// All randomness.
    pub rng: ChaCha20Rng,
    /// The suites of devices to come.
    pub suites: Suites,
    /// Whether a device that has crashed starts again when the world runs.
    pub revives: bool,
    link: Option<Link>,
}

impl World {
    /// The first device of [`pair`](Self::pair): `alice@example.com/phone`.
    pub const ALICE: usize = 0;

    /// The second device of [`pair`](Self::pair): `bob@example.org/desk`.
    pub const BOB: usize = 1;

    /// A world without devices.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            server: Server::new(),
            devices: Vec::new(),
            now: BEGIN,
            rng: ChaCha20Rng::seed_from_u64(seed),
            suites: Suites::default(),
            revives: true,
            link: None,
        }
    }

    /// Alice's telephone and Bob's desk, contacts of each other, who have exchanged adverts.
    #[must_use]
    pub fn pair(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.add("alice@example.com/phone");
        world.add("bob@example.org/desk");
        world.server.befriend("alice@example.com", "bob@example.org");
        for device in [Self::ALICE, Self::BOB] {
            world.connect(device);
        }
        world.run();
        world
    }

    /// Adds a device: the first of its account, or another one. It is not connected yet.
    pub fn add(&mut self, full_jid: &str) -> usize {
        let first = self.devices.iter().find(|device| device.account() == bare(full_jid));
        let device = match first {
            Some(first) => Device::another(first, full_jid, &mut self.rng),
            None => Device::first_with(full_jid, &self.suites, &mut self.rng),
        };
        self.server.register(device.account());
        self.devices.push(device);
        self.devices.len() - 1
    }

    /// Adds a device without account key, which another of its account is to link. It is not connected yet.
    pub fn add_unlinked(&mut self, full_jid: &str) -> usize {
        let device = Device::unlinked(full_jid, &self.suites, &mut self.rng);
        self.server.register(device.account());
        self.devices.push(device);
        self.devices.len() - 1
    }

    /// Adds `count` contacts of `account` that are online with adverts: `c000@example.net/home` and so
    /// on. Their programs stop once their keys are published, and the servers go on for them; only
    /// that of the contact number `keep` goes on, as the last device.
    pub fn add_crowd(&mut self, account: &str, count: usize, keep: Option<usize>) {
        let mut kept = None;
        for number in 0..count {
            let full = format!("c{number:03}@example.net/home");
            let device = self.add(&full);
            self.server.befriend(account, bare(&full));
            self.connect(device);
            while self.turn(device) {}
            let device = self.devices.pop();
            if keep == Some(number) {
                kept = device;
            }
        }
        self.devices.extend(kept);
    }

    /// Calls `act` with a device, the servers, and the outside of a step.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn with<R>(
        &mut self,
        device: usize,
        act: impl FnOnce(&mut Device, &mut Server, &mut Env<'_>) -> R,
    ) -> R {
        self.server.now = self.now.as_millis();
        let mut env = Env { now: self.now, rng: &mut self.rng };
        act(&mut self.devices[device], &mut self.server, &mut env)
    }

    /// [`Device::connect`].
    pub fn connect(&mut self, device: usize) {
        self.with(device, Device::connect);
    }

    /// [`Device::disconnect`].
    pub fn disconnect(&mut self, device: usize) {
        self.with(device, Device::disconnect);
    }

    /// [`Device::crash`].
    pub fn crash(&mut self, device: usize) {
        self.with(device, |device, server, _| device.crash(server));
    }

    /// [`Device::restart`].
    pub fn restart(&mut self, device: usize) {
        self.with(device, Device::restart);
    }

    /// [`Device::step`].
    pub fn step(&mut self, device: usize, job: Job) {
        self.with(device, |device, server, env| device.step(server, env, job));
    }

    /// Gives the engine a command.
    pub fn command(&mut self, device: usize, command: Command<'static>) {
        self.step(device, Job::Command(command));
    }

    /// [`Device::say`].
    pub fn say(&mut self, device: usize, to: &str, text: &str) -> Token {
        self.with(device, |device, server, env| device.say(server, env, to, text))
    }

    /// [`Device::say_with`].
    pub fn say_with(&mut self, device: usize, to: &str, text: &str, need: Need) -> Token {
        self.with(device, |device, server, env| device.say_with(server, env, to, text, need))
    }

    /// Makes the link to every client bad. Odds and randomness of an earlier one are replaced.
    pub fn lossy(&mut self, seed: u64, odds: Odds) -> Link {
        self.steady();
        let link = Link::new(seed, odds);
        self.server.tamper = Some(link.tamper());
        self.link = Some(link.clone());
        link
    }

    /// Makes the link good again. What it held back comes now.
    pub fn steady(&mut self) {
        self.server.tamper = None;
        if let Some(link) = self.link.take() {
            for (to, stanza) in link.rest().into_iter().chain(link.due(u64::MAX - 1)) {
                self.server.inject(&to, stanza);
            }
        }
    }

    /// Delivers stanzas and ticks until there is nothing more to do at this time.
    ///
    /// # Panics
    /// If that does not come about.
    pub fn run(&mut self) {
        let patience = PATIENCE + PATIENCE_EACH * self.server.pending();
        let mut done = 0;
        loop {
            let mut busy = self.arrivals();
            for device in 0..self.devices.len() {
                busy |= self.turn(device);
            }
            done += self.devices.len();
            if !busy && !self.stragglers() {
                return;
            }
            assert!(done < patience, "no rest after {done} turns\n{}", self.dump());
        }
    }

    /// Lets time pass, and all happen when it is due.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        self.run();
        while let Some(next) = self.next_due().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// When something happens next without anybody's doing.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let link = self.link.as_ref().and_then(Link::next_due).map(Timestamp::from_millis);
        self.devices.iter().filter_map(Device::next_wakeup).chain(link).min()
    }

    /// How things stand, for the message of a failed test: the last stanzas, then each device.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut out = format!("{:?}, seed and calls give it again\n", self.now);
        for crossing in self.server.log.iter().skip(self.server.log.len().saturating_sub(LAST)) {
            out.extend(crossing.to_string().chars().take(200).chain(['\n']));
        }
        for device in &self.devices {
            let open: Vec<Token> = device.record.open().into_iter().map(|(token, _)| token).collect();
            let events = device.record.events.iter().rev().take(LAST).collect::<Vec<_>>();
            _ = writeln!(
                out,
                "{}: runs {}, connected {}, wakes {:?}, {} letters, open {open:?}, last events first {events:?}",
                device.full_jid,
                device.runs(),
                device.is_connected(),
                device.next_wakeup(),
                device.inbox().len(),
            );
        }
        _ = write!(out, "{:?}", self.server);
        out
    }

    /// One tick or stanza for one device. Whether there was anything.
    pub(crate) fn turn(&mut self, device: usize) -> bool {
        let now = self.now;
        let revives = self.revives;
        self.with(device, |device, server, env| {
            if !device.runs() {
                if revives {
                    device.restart(server, env);
                }
                return revives;
            }
            if device.next_wakeup().is_some_and(|at| at <= now) {
                device.step(server, env, Job::Tick);
                return true;
            }
            device.receive(server, env)
        })
    }

    /// What the link had delayed until now.
    pub(crate) fn arrivals(&mut self) -> bool {
        let arrived = self.link.as_ref().map(|link| link.due(self.now.as_millis())).unwrap_or_default();
        self.inject(arrived)
    }

    /// What the link holds back for others to overtake, when there are no others.
    pub(crate) fn stragglers(&mut self) -> bool {
        let rest = self.link.as_ref().map(Link::rest).unwrap_or_default();
        self.inject(rest)
    }

    fn inject(&mut self, stanzas: Vec<(String, String)>) -> bool {
        let mut any = false;
        for (to, stanza) in stanzas {
            any |= self.server.inject(&to, stanza);
        }
        any
    }
}

#[cfg(test)]
mod tests;
