//! After theft of all state of one side at a random point, an attacker with the stolen state and a
//! copy of all traffic reads nothing after the healing that section 1 promises, and everything
//! before it that section 1 concedes.
//!
//! The thief is an engine with the stolen store whose messages go nowhere. An engine does not read
//! what it sent itself, so these tests are of what the robbed device receives. What it sends, and
//! the quantum part (one who also breaks Diffie-Hellman is shut out by the first epoch to which the
//! robbed device contributed), are tested on sessions, in `session/tests/theft.rs`.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use xmpp_e2e::rand_core::Rng;
use xmpp_e2e::store::{MemoryStore, RecordKey, Store, Stored};
use xmpp_e2e::{Config, Effect, Engine, Env, Input, LocalAgent};
use xmpp_e2e_testkit::link::Odds;
use xmpp_e2e_testkit::server::{Crossing, Way};
use xmpp_e2e_testkit::{Peek, World};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";

/// Kinds of records: flights accepted, and sessions.
const ACCEPTED: u8 = 4;
const SESSION: u8 = 8;

/// All state of a device at some time, and perhaps its key agent.
struct Loot {
    config: Config,
    store: MemoryStore,
    agent: Option<LocalAgent>,
}

impl Loot {
    fn steal(world: &World, device: usize, agent: bool) -> Self {
        let victim = &world.devices[device];
        let suites = &victim.config.suites;
        let agent = agent.then(|| LocalAgent::from_bytes(&victim.agent.to_bytes(), suites).unwrap());
        Self { config: victim.config.clone(), store: victim.store.clone(), agent }
    }

    /// A thief who has dropped the records of these kinds from its copy.
    fn thief(&self, without: &[u8]) -> Thief<'_> {
        let Stored { generation, mut records } = self.store.load().unwrap();
        records.retain(|(key, _): &(RecordKey, _)| !without.contains(&key.as_bytes()[0]));
        let engine = Engine::restore(self.config.clone(), &Stored { generation, records }).unwrap();
        Thief { engine, agent: self.agent.as_ref() }
    }
}

struct Thief<'a> {
    engine: Engine,
    agent: Option<&'a LocalAgent>,
}

impl Thief<'_> {
    /// The stanzas that the thief reads in this one.
    fn hear(&mut self, world: &mut World, stanza: &str) -> Vec<String> {
        let mut env = Env { now: world.now, rng: &mut world.rng };
        let mut read = Vec::new();
        let mut replies = Vec::new();
        let step = self.engine.handle(&mut env, Input::Received(stanza)).unwrap();
        let mut effects = step.persist(|_| Ok::<_, Infallible>(())).unwrap();
        loop {
            for effect in effects {
                if let Effect::Deliver { stanza, again: false, .. } = &effect {
                    read.push(stanza.as_str().to_owned());
                } else if let Effect::Ask(request) = &effect {
                    replies.extend(self.agent.map(|agent| agent.answer(request)));
                }
            }
            let Some(reply) = replies.pop() else { return read };
            let mut env = Env { now: world.now, rng: &mut world.rng };
            let step = self.engine.handle(&mut env, Input::Agent(&reply)).unwrap();
            effects = step.persist(|_| Ok::<_, Infallible>(())).unwrap();
        }
    }
}

fn say(world: &mut World, device: usize, text: &str) {
    world.say(device, if device == World::ALICE { BOB } else { ALICE }, text);
}

/// Both talk at random; some of what they say is lost, late or double.
fn chat(world: &mut World, name: &str, count: u32) {
    for number in 0..count {
        let random = world.rng.next_u32();
        say(world, (random & 1) as usize, &format!("{name} {number}"));
        if random & 2 == 0 {
            world.run();
        }
    }
}

/// What a device received from `place` on.
fn received(world: &World, device: usize, place: usize) -> Vec<String> {
    let client = &world.devices[device].full_jid;
    let log = world.server.log.iter().skip(place);
    let own = log.filter(|crossing| crossing.way == Way::In && crossing.client == *client);
    own.map(|crossing| crossing.stanza.clone()).collect()
}

/// The bodies that a device has read.
fn texts(world: &World, device: usize) -> BTreeSet<String> {
    world.devices[device].record.bodies().into_iter().map(str::to_owned).collect()
}

fn body(stanza: &str) -> String {
    let (_, rest) = stanza.split_once("<body>").unwrap();
    rest.split_once("</body>").unwrap().0.to_owned()
}

/// Robs `victim` in the midst of a conversation. How many messages the thief could read, and how
/// many not.
fn robbed(seed: u64, victim: usize) -> (usize, usize) {
    let mut world = World::pair(seed);
    chat(&mut world, "first", 4);
    world.run();
    let odds = Odds { lose: 50, reorder: 100, repeat: 50, ..Odds::default() };
    world.lossy(seed, odds).spare(|stanza| !stanza.starts_with("<message"));
    let before = 20 + world.rng.next_u32() % 60;
    chat(&mut world, "before", before);
    let (loot, place, known) =
        (Loot::steal(&world, victim, true), world.server.log.len(), texts(&world, victim));
    chat(&mut world, "after", 30);
    world.steady();
    world.run();

    // Forward secrecy: what the victim had read gives nothing.
    let mut thief = loot.thief(&[]);
    let old: Vec<String> = received(&world, victim, 0);
    let old = &old[..old.len() - received(&world, victim, place).len()];
    for stanza in old {
        let read = thief.hear(&mut world, stanza);
        assert!(read.is_empty(), "{seed}: read again {read:?}");
    }

    // Healing: what the peer says once it has read the victim's first new ratchet key.
    let mut thief = loot.thief(&[]);
    let log: Vec<Crossing> = world.server.log.clone();
    let name = world.devices[victim].full_jid.clone();
    // The victim's keys from before, and the peer's messages from before the healing.
    let stolen: BTreeSet<Vec<u8>> = log[..place]
        .iter()
        .filter(|c| c.client == name && c.way == Way::Out)
        .filter_map(|c| Peek::at(&c.stanza))
        .map(|peek| peek.ratchet_key)
        .collect();
    let fresh = |c: &Crossing| {
        let arrived = c.client != name && c.way == Way::In;
        arrived && Peek::at(&c.stanza).is_some_and(|peek| !stolen.contains(&peek.ratchet_key))
    };
    let healed = log.iter().position(fresh).unwrap_or(log.len());
    assert!(healed >= place);
    let conceded: BTreeSet<Vec<u8>> = log[..healed]
        .iter()
        .filter(|c| c.client != name && c.way == Way::Out)
        .filter_map(|c| Peek::at(&c.stanza))
        .map(|peek| peek.ciphertext)
        .collect();
    let mut stolen_texts = BTreeSet::new();
    for stanza in received(&world, victim, place) {
        let read = thief.hear(&mut world, &stanza);
        assert!(
            read.is_empty() || conceded.contains(&Peek::at(&stanza).unwrap().ciphertext),
            "{seed}: healed, and read {read:?}"
        );
        stolen_texts.extend(read.iter().map(|stanza| body(stanza)));
    }
    // And all before it is read as the victim reads it.
    let victims: BTreeSet<String> = texts(&world, victim).difference(&known).cloned().collect();
    let sent_before = sent_before(&world, 1 - victim, &conceded);
    let expected: BTreeSet<String> = victims.intersection(&sent_before).cloned().collect();
    assert_eq!(stolen_texts, expected, "{seed}");
    (expected.len(), victims.len() - expected.len())
}

/// The texts of those messages of a device that have these ciphertexts.
fn sent_before(world: &World, device: usize, ciphertexts: &BTreeSet<Vec<u8>>) -> BTreeSet<String> {
    let client = &world.devices[device].full_jid;
    let mut texts = BTreeSet::new();
    for crossing in world.server.log.iter().filter(|c| c.way == Way::Out && c.client == *client) {
        let Some(peek) = Peek::at(&crossing.stanza) else { continue };
        let token = world.devices[device].record.handed.iter().find(|(token, _)| {
            ['\'', '"'].iter().any(|quote| crossing.stanza.contains(&format!("{quote}m{}{quote}", token.0)))
        });
        if let (Some((_, handed)), true) = (token, ciphertexts.contains(&peek.ciphertext)) {
            texts.insert(body(&handed.stanza));
        }
    }
    texts
}

#[test]
fn the_thief_reads_until_the_peer_has_a_new_key_and_nothing_then_or_from_before() {
    let mut sum = (0, 0);
    for seed in 0..20 {
        for victim in [World::ALICE, World::BOB] {
            let (read, unread) = robbed(seed, victim);
            sum = (sum.0 + read, sum.1 + unread);
        }
    }
    assert!(sum.0 > 40 && sum.1 > 200, "{sum:?}");
}

/// The promise in round trips: an answer to what the robbed device sent after the theft, then a
/// reply to that.
#[test]
fn one_round_trip_and_a_reply_heal() {
    for victim in [World::ALICE, World::BOB] {
        for victim_spoke_last in [false, true] {
            let mut world = World::pair(3);
            for (device, text) in [(1 - victim, "a"), (victim, "b"), (1 - victim, "c"), (victim, "d")] {
                say(&mut world, device, text);
                world.run();
            }
            if !victim_spoke_last {
                say(&mut world, 1 - victim, "e");
                world.run();
            }
            let loot = Loot::steal(&world, victim, true);
            let mut thief = loot.thief(&[]);
            let place = world.server.log.len();
            for (device, text) in [(victim, "there"), (1 - victim, "back"), (victim, "reply")] {
                say(&mut world, device, text);
                world.run();
            }
            for text in ["secret", "secret too"] {
                say(&mut world, 1 - victim, text);
                world.run();
            }
            let heard = received(&world, victim, place);
            let read: Vec<String> = heard
                .iter()
                .flat_map(|stanza| thief.hear(&mut world, stanza))
                .map(|read| body(&read))
                .collect();
            assert_eq!(read, if victim_spoke_last { vec!["back"] } else { vec![] });
            assert!(texts(&world, victim).contains("secret too"));
        }
    }
}

/// A first flight to a device that is away uses prekeys that stay for a time.
#[test]
fn a_first_flight_is_secret_once_its_prekeys_are_deleted() {
    let mut world = World::pair(4);
    world.disconnect(World::BOB);
    world.run();
    for text in ["one", "two"] {
        say(&mut world, World::ALICE, text);
        world.run();
    }
    let place = world.server.log.len();
    world.connect(World::BOB);
    world.run();
    let flights = received(&world, World::BOB, place);
    let texts = |world: &mut World, loot: &Loot, without: &[u8]| {
        let mut thief = loot.thief(without);
        let read = flights.iter().flat_map(|stanza| thief.hear(world, stanza));
        read.map(|stanza| body(&stanza)).collect::<Vec<_>>()
    };
    assert_eq!(world.devices[World::BOB].record.bodies(), ["one", "two"]);

    // Conceded: the prekeys are there. It takes the agent's key as well, and a thief who drops what
    // the engine remembers of the flight.
    let loot = Loot::steal(&world, World::BOB, true);
    assert_eq!(texts(&mut world, &loot, &[ACCEPTED, SESSION]), ["one", "two"]);
    assert!(texts(&mut world, &loot, &[]).is_empty());
    let loot = Loot::steal(&world, World::BOB, false);
    assert!(texts(&mut world, &loot, &[ACCEPTED, SESSION]).is_empty());

    // A rotation in seven days, then 32 days of grace.
    world.advance(Duration::from_hours(38 * 24));
    let loot = Loot::steal(&world, World::BOB, true);
    assert_eq!(texts(&mut world, &loot, &[ACCEPTED, SESSION]).len(), 2);
    world.advance(Duration::from_hours(3 * 24));
    let loot = Loot::steal(&world, World::BOB, true);
    assert!(texts(&mut world, &loot, &[ACCEPTED, SESSION]).is_empty());
}

/// With one-time prekeys it is secret as soon as it is read.
#[test]
fn a_first_flight_to_a_device_that_is_there_is_secret_at_once() {
    let mut world = World::pair(5);
    say(&mut world, World::ALICE, "one");
    let before = world.server.log.len();
    world.run();
    let flights = received(&world, World::BOB, before);
    assert_eq!(world.devices[World::BOB].record.bodies(), ["one"]);
    let loot = Loot::steal(&world, World::BOB, true);
    let mut thief = loot.thief(&[ACCEPTED, SESSION]);
    assert!(flights.iter().any(|stanza| Peek::at(stanza).is_some_and(|peek| peek.flight.is_some())));
    assert!(flights.iter().all(|stanza| thief.hear(&mut world, stanza).is_empty()));
}
