//! Both sides send first messages at once: both end with one live session each, the same, and
//! later messages use it; nothing is lost that arrives.

#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeSet;

use xmpp_e2e::rand_core::Rng;
use xmpp_e2e_testkit::device::Device;
use xmpp_e2e_testkit::link::Odds;
use xmpp_e2e_testkit::server::Way;
use xmpp_e2e_testkit::{Peek, World};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";

fn say(world: &mut World, device: usize, text: &str) {
    world.say(device, if device == World::ALICE { BOB } else { ALICE }, text);
}

/// One of the things that can happen next, at random; each device's agent answers when it likes.
fn happen(world: &mut World) {
    let random = world.rng.next_u32();
    let device = (random & 1) as usize;
    match random >> 1 & 7 {
        0..=4 => _ = world.with(device, Device::receive),
        5 | 6 => world.with(device, Device::answer),
        _ => world.with(device, Device::acknowledge),
    }
}

/// Delivers and answers all there is.
fn settle(world: &mut World) {
    for _ in 0..20 {
        world.run();
        for device in [World::ALICE, World::BOB] {
            world.with(device, Device::answer);
        }
    }
}

/// The messages of a device from `place` on.
fn sent(world: &World, device: usize, place: usize) -> Vec<Peek> {
    let client = &world.devices[device].full_jid;
    let log = world.server.log.iter().skip(place);
    let own = log.filter(|crossing| crossing.way == Way::Out && crossing.client == *client);
    own.filter_map(|crossing| Peek::at(&crossing.stanza)).collect()
}

/// Whether both opened a handshake.
fn converges(seed: u64) -> bool {
    let mut world = World::pair(seed);
    for device in &mut world.devices {
        device.answers = false;
        device.acks = seed.is_multiple_of(2);
    }
    let odds = Odds { lose: 150, reorder: 150, repeat: 50, ..Odds::default() };
    // Iqs come, for what they ask is waited for by the clock.
    world.lossy(seed, odds).spare(|stanza| !stanza.starts_with("<message"));
    for (number, device) in [(0, World::ALICE), (0, World::BOB)]
        .into_iter()
        .chain((1..6).flat_map(|number| [(number, World::BOB), (number, World::ALICE)]))
    {
        say(&mut world, device, &format!("{device} {number}"));
        for _ in 0..world.rng.next_u32() % 12 * u32::from(number > 0 || device == World::BOB) {
            happen(&mut world);
        }
    }
    settle(&mut world);
    world.steady();
    settle(&mut world);
    let both = [World::ALICE, World::BOB].map(|device| sent(&world, device, 0));
    let both = both.iter().all(|sent| sent.iter().any(|peek| peek.flight.is_some()));
    // Both answer; the second time over, each has been answered.
    for round in ["answer", "answered"] {
        for device in [World::ALICE, World::BOB] {
            say(&mut world, device, round);
            settle(&mut world);
        }
    }
    let place = world.server.log.len();
    for number in 0..2 {
        for device in [World::BOB, World::ALICE] {
            say(&mut world, device, &format!("later {number}"));
            settle(&mut world);
        }
    }
    let later = [World::ALICE, World::BOB].map(|device| sent(&world, device, place));
    let tags: BTreeSet<u8> = later.iter().flatten().map(|peek| peek.tag).collect();
    assert_eq!(tags.len(), 1, "{seed}: two sessions live\n{}", world.dump());
    assert!(later.iter().flatten().all(|peek| peek.flight.is_none()), "{seed}: not answered");
    for device in [World::ALICE, World::BOB] {
        assert!(later[device].len() >= 2);
        let record = &world.devices[device].record;
        let bodies = record.bodies();
        let read: BTreeSet<&str> = bodies.iter().copied().collect();
        assert_eq!(read.len(), bodies.len(), "{seed}: twice");
        // Every message whose bytes came has been read.
        let client = &world.devices[device].full_jid;
        let came = world.server.log.iter().filter(|c| c.way == Way::In && c.client == *client);
        let came: BTreeSet<Vec<u8>> =
            came.filter_map(|crossing| Peek::at(&crossing.stanza)).map(|peek| peek.ciphertext).collect();
        for (text, peek) in sent_texts(&world, 1 - device) {
            assert_eq!(read.contains(&*text), came.contains(&peek.ciphertext), "{seed}: {text}");
        }
        for text in ["answer", "answered", "later 0", "later 1"] {
            assert!(read.contains(text), "{seed}: {text}\n{}", world.dump());
        }
        assert!(record.open().is_empty(), "{seed}");
    }
    both
}

/// The texts of a device with the messages that carried them.
fn sent_texts(world: &World, device: usize) -> Vec<(String, Peek)> {
    let client = &world.devices[device].full_jid;
    let mut texts = Vec::new();
    for (token, handed) in &world.devices[device].record.handed {
        let text = handed.stanza.split_once("<body>").and_then(|(_, rest)| rest.split_once("</body>"));
        let Some((text, _)) = text else { continue };
        let id = format!("'m{}'", token.0);
        let quoted = id.replace('\'', "\"");
        let out = world.server.log.iter().find(|crossing| {
            let own = crossing.way == Way::Out && crossing.client == *client;
            own && (crossing.stanza.contains(&id) || crossing.stanza.contains(&quoted))
        });
        let peek = out.and_then(|crossing| Peek::at(&crossing.stanza)).expect("all went out");
        texts.push((text.to_owned(), peek));
    }
    texts
}

#[test]
fn first_messages_at_once_end_in_one_session() {
    let both = (0..100).filter(|seed| converges(*seed)).count();
    assert!(both >= 50, "only {both} times did both open a handshake");
}
