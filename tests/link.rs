//! A link that loses, reorders, repeats, delays and edits: within the bounds of section 7 every
//! message that arrives is read exactly once, beyond them it gives exactly one event; nothing is
//! ever delivered that was not sent; state stays bounded; KEM epochs go on.
//!
//! `SEED=7 cargo test --test link` runs another conversation; a failure says its seed.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use xmpp_e2e::rand_core::{Rng, UnwrapErr};
use xmpp_e2e::store::Store;
use xmpp_e2e::{Event, Misbehaviour, Need, Outlook, Unreadable};
use xmpp_e2e_testkit::link::Odds;
use xmpp_e2e_testkit::server::Way;
use xmpp_e2e_testkit::{Link, Peek, World};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";

/// Keys of skipped messages are kept for so many later chains of the same session (section 7).
const CHAINS: usize = 5;

/// What a device may store: itself, a few sessions, and skipped keys of the last chains; far less
/// than the 2,000 keys a session may have.
const MAX_RECORDS: usize = 300;
const MAX_BYTES: usize = 100_000;

/// Says the seed when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SEED={}", self.0);
        }
    }
}

/// What came of a conversation.
struct Found {
    /// Messages delivered to each side.
    read: [usize; 2],
    /// Arrivals beyond the bounds.
    beyond: usize,
    /// Arrivals of what had been read.
    again: usize,
    /// At which message each answer to a KEM offer was first sent.
    answers: Vec<u32>,
}

/// `count` messages from both sides, at random times and in bursts. Then the link is good, and both
/// can talk again.
fn talk(seed: u64, odds: Odds, count: u32) -> Found {
    let seed = Seed(seed);
    let mut world = World::pair(seed.0);
    for device in &mut world.devices {
        device.record.heard = Some(Vec::new());
    }
    let link = world.lossy(seed.0, odds);
    let mut answers = Answers::default();
    for number in 0..count {
        let random = world.rng.next_u32();
        let (device, to) = if random & 1 == 0 { (World::ALICE, BOB) } else { (World::BOB, ALICE) };
        world.say(device, to, &number.to_string());
        if random & 8 == 0 {
            world.run();
        }
        if random & 6 == 0 {
            world.advance(Duration::from_millis(u64::from(random >> 16) / 4));
        }
        if number % 50 == 0 {
            check_size(&world);
            answers.look(&world, number);
        }
    }
    world.advance(Duration::from_mins(10));
    let devices = [World::ALICE, World::BOB];
    let read = devices.map(|device| check_texts(&world, device, count));
    let [alice, bob] = devices.map(|device| check_arrivals(&world, device, &link));
    world.steady();
    world.advance(Duration::from_secs(4000));
    for (device, to, other) in [(World::ALICE, BOB, World::BOB), (World::BOB, ALICE, World::ALICE)] {
        assert_ne!(world.devices[device].engine().outlook(to, &Need::Policy).unwrap(), Outlook::Clear);
        world.say(device, to, "at last");
        world.advance(Duration::from_mins(1));
        assert_eq!(world.devices[other].record.bodies().last(), Some(&"at last"), "{}", world.dump());
    }
    assert!(world.devices.iter().all(|device| device.record.open().is_empty()), "{}", world.dump());
    check_size(&world);
    Found { read, beyond: alice.0 + bob.0, again: alice.1 + bob.1, answers: answers.when }
}

#[derive(Default)]
struct Answers {
    seen: BTreeSet<Vec<u8>>,
    when: Vec<u32>,
    place: usize,
}

impl Answers {
    fn look(&mut self, world: &World, number: u32) {
        for crossing in world.server.log.iter().skip(self.place).filter(|crossing| crossing.way == Way::Out) {
            if let Some(answer) = Peek::at(&crossing.stanza).and_then(|peek| peek.answer)
                && self.seen.insert(answer)
            {
                self.when.push(number);
            }
        }
        self.place = world.server.log.len();
    }
}

fn check_size(world: &World) {
    for device in &world.devices {
        let stored = device.store.load().unwrap();
        let bytes: usize = stored.records.iter().map(|(_, value)| value.len()).sum();
        let count = stored.records.len();
        assert!(count <= MAX_RECORDS && bytes <= MAX_BYTES, "{count} records, {bytes} bytes");
    }
}

/// Nothing is delivered that the other side did not send, and nothing twice.
fn check_texts(world: &World, device: usize, count: u32) -> usize {
    let sent: BTreeSet<&str> = world.devices[1 - device]
        .record
        .handed
        .values()
        .filter_map(|handed| handed.stanza.split_once("<body>")?.1.split_once("</body>"))
        .map(|(text, _)| text)
        .collect();
    assert!(sent.len() <= count as usize);
    let bodies = world.devices[device].record.bodies();
    let different: BTreeSet<&str> = bodies.iter().copied().collect();
    assert_eq!(bodies.len(), different.len(), "delivered twice\n{}", world.dump());
    assert!(different.is_subset(&sent), "delivered and not sent");
    bodies.len()
}

/// Looks at all that came to a device; how much came too late to be read, and how much again.
fn check_arrivals(world: &World, device: usize, link: &Link) -> (usize, usize) {
    let record = &world.devices[device].record;
    let mut read: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut chains: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
    let (mut beyond, mut again) = (0, 0);
    for heard in record.heard.as_ref().unwrap().iter().filter(|heard| heard.stanza.starts_with("<message")) {
        let outcomes = heard.outcomes();
        // The engine's own messages say nothing when they are read, and have no id and no sign of an encryption;
        // an edit takes at most one of these away.
        let marks = [" id='m", " id=\"m", "urn:xmpp:eme:0"];
        let own = !marks.iter().any(|mark| heard.stanza.contains(mark));
        assert!(outcomes == 1 || outcomes == 0 && own, "{heard:?}");
        // One that holds what is sent again says what becomes of that.
        let Some(peek) = Peek::at(&heard.stanza) else { continue };
        let known = read.contains(&peek.ciphertext);
        let chains = chains.entry(peek.tag).or_default();
        let age = chains.iter().rev().position(|key| *key == peek.ratchet_key);
        let again_inside = own && heard.rejected.is_empty() && !known;
        let is_read = heard.delivered.len() == 1 || outcomes == 0 || again_inside;
        if known {
            assert!(!is_read, "read twice: {heard:?}");
            again += 1;
        } else if !link.has_edited(&heard.stanza) {
            let within = age.is_none_or(|age| age <= CHAINS);
            // What has been sent again may have come first. A flight that names a secret which this side never had is
            // refused; a handshake goes the other way, and what was in it comes again.
            let strange = peek.flight.is_some() && heard.rejected == [Unreadable::NoSession.into()];
            let came = is_read || heard.duplicates == 1 || strange;
            assert!(came || !within, "not read, {age:?} chains old: {heard:?}\n{}", world.dump());
            beyond += usize::from(!is_read);
        }
        if is_read {
            read.insert(peek.ciphertext);
            if age.is_none() {
                chains.push(peek.ratchet_key);
            }
        }
    }
    (beyond, again)
}

/// What `SEED` says, or any.
fn any_seed() -> u64 {
    let given = std::env::var("SEED").ok().map(|seed| seed.parse().expect("a number"));
    given.unwrap_or_else(|| UnwrapErr(getrandom::SysRng).next_u64())
}

#[test]
fn ten_thousand_messages_over_a_link_that_does_everything() {
    let found = talk(1, Odds::all(30), 10_000);
    assert!(found.read.iter().all(|read| *read > 4500), "{:?}", found.read);
    assert!(found.again > 100, "{}", found.again);
    // Epochs go on, from first to last.
    assert!(found.answers.len() >= 150, "{}", found.answers.len());
    assert!(found.answers.windows(2).all(|pair| pair[1] - pair[0] <= 300), "{:?}", found.answers);
    assert!(found.answers.last().is_some_and(|last| *last > 9_700));
}

#[test]
fn five_hundred_messages_and_any_seed() {
    for seed in [2, 3, 4, any_seed()] {
        let found = talk(seed, Odds::all(30), 500);
        assert!(found.read.iter().all(|read| *read > 180), "{seed}: {:?}", found.read);
    }
}

/// What is later than some changes of speaker cannot be read, and says so.
#[test]
fn nothing_lost_and_much_late() {
    for seed in [5, 6] {
        let found = talk(seed, Odds { lose: 0, edit: 0, ..Odds::all(200) }, 500);
        assert_eq!(found.read.iter().sum::<usize>() + found.beyond, 500, "{seed}: {:?}", found.read);
        assert!(found.beyond > 0);
    }
}

/// The end of what section 7 reads: more than a thousand lost in one chain. One event each, and
/// the device that cannot read opens a session in which both can.
#[test]
fn more_lost_than_may_be_skipped() {
    let mut world = World::pair(12);
    for (device, to) in [(World::ALICE, BOB), (World::BOB, ALICE)] {
        world.say(device, to, "hello");
        world.run();
    }
    world.lossy(12, Odds { lose: 1000, ..Odds::default() });
    for number in 0..1_100 {
        world.say(World::ALICE, BOB, &number.to_string());
    }
    world.steady();
    world.devices[World::BOB].record.heard = Some(Vec::new());
    for text in ["lost", "lost too", "and this"] {
        world.say(World::ALICE, BOB, text);
    }
    world.run();
    let heard = world.devices[World::BOB].record.heard.clone().unwrap();
    let refused: Vec<_> = heard.iter().filter(|heard| !heard.rejected.is_empty()).collect();
    assert_eq!(refused.len(), 3, "{heard:?}");
    for heard in refused {
        assert_eq!((&heard.rejected[..], heard.outcomes()), (&[Misbehaviour::TooManySkipped.into()][..], 1));
    }
    world.say(World::ALICE, BOB, "read");
    world.say(World::BOB, ALICE, "too");
    world.run();
    let bodies = world.devices[World::BOB].record.bodies();
    for text in ["hello", "lost", "lost too", "and this", "read"] {
        assert_eq!(bodies.iter().filter(|body| **body == text).count(), 1, "{text}: {}", world.dump());
    }
    assert_eq!(bodies.len(), 102, "what is kept has come again");
    assert_eq!(world.devices[World::ALICE].record.bodies(), ["hello", "too"]);
    let alarms = |event: &Event| matches!(event, Event::Unchained { .. } | Event::Superseded { .. });
    assert!(!world.devices.iter().any(|device| device.record.events.iter().any(alarms)));
}

#[test]
fn much_lost() {
    let found = talk(11, Odds { lose: 300, ..Odds::default() }, 500);
    assert!(found.read.iter().all(|read| *read > 140), "{:?}", found.read);
}
