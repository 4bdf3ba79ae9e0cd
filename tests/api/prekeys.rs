//! Prekeys: their numbers, where they are published, and when they go.

use std::collections::BTreeMap;
use std::time::Duration;

use xmpp_e2e::{Command, PublishFault, Unreadable};
use xmpp_e2e_testkit::device::{Fate, Moment};
use xmpp_e2e_testkit::wire::{Catch, bytes_in, is_protected};

use super::*;

const RECORDS: &str = "urn:xmpp:e2e:0:device";
const LIST: &str = "urn:xmpp:e2e:0:devices";
const ASKERS: [&str; 3] = [BOB_JID, "carol@example.net", "dave@example.net"];

/// Alice's one-time prekeys as stored: number, and what does not change while there is one.
fn one_time(world: &World) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let (_, records) = content(&world.devices[ALICE].store);
    let keys = records.into_iter().filter(|(key, _)| key[0] == 5);
    // Version, kind, algorithm, number, and the beginning of the public key.
    keys.map(|(key, value)| (key, value[..40].to_vec())).collect()
}

/// Each asks so often for Alice's keys. All one-time prekeys that she then has or had.
fn ask(world: &mut World, times: usize, all: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut note = |world: &World| {
        for (id, key) in one_time(world) {
            let known = all.insert(id.clone(), key.clone());
            assert!(known.is_none_or(|known| known == key), "the number {id:?} is of two keys");
        }
    };
    note(world);
    for number in 0..times {
        for asker in 1..=ASKERS.len() {
            let full = world.devices[asker].full_jid.clone();
            let iq = format!(
                "<iq type='get' to='alice@example.com/phone' id='k{number}'><keys xmlns='urn:xmpp:e2e:0'/></iq>"
            );
            world.server.send(&full, &iq);
            world.run();
            note(world);
        }
    }
}

fn with_askers(seed: u64) -> World {
    let mut world = World::pair(seed);
    for asker in &ASKERS[1..] {
        let device = world.add(&format!("{asker}/home"));
        world.server.befriend(ALICE_JID, asker);
        world.connect(device);
    }
    world.disconnect(ALICE);
    world.connect(ALICE);
    world.run();
    world
}

#[test]
fn c7_a_number_of_a_one_time_prekey_is_never_of_another_key() {
    let mut world = with_askers(1);
    let mut all = BTreeMap::new();
    ask(&mut world, 2, &mut all);
    world.crash(ALICE);
    world.run();
    ask(&mut world, 2, &mut all);
    let backup = world.devices[ALICE].store.clone();
    ask(&mut world, 2, &mut all);
    let before = all.len();
    assert!(before > 24, "{before} are enough to see it");
    // A backup knows nothing of those made since.
    world.crash(ALICE);
    world.devices[ALICE].store = backup;
    world.devices[ALICE].restore();
    world.command(ALICE, Command::Restored);
    assert_eq!(one_time(&world), BTreeMap::new(), "those of the backup may have been given out");
    world.connect(ALICE);
    world.run();
    let fresh = one_time(&world);
    assert!(!fresh.is_empty());
    assert!(fresh.keys().all(|id| !all.contains_key(id)));
    ask(&mut world, 2, &mut all);
    assert!(all.len() > before);
}

#[test]
fn c7_after_a_declared_restore_all_prekeys_are_purged_and_new_ones_published() {
    let mut world = World::pair(2);
    let caught = Catch::new(&mut world.server, "alice@example.com/phone", is_protected);
    world.say(BOB, ALICE_JID, "to the keys of before");
    world.run();
    world.server.tamper = None;
    let flight = caught.one();
    let prekeys = |world: &World| {
        let (_, records) = content(&world.devices[ALICE].store);
        let keys = records.into_iter().map(|(key, _)| key).filter(|key| [3, 5].contains(&key[0]));
        keys.collect::<Vec<_>>()
    };
    let (before, published) = (prekeys(&world), world.server.items(ALICE_JID, RECORDS).to_vec());
    world.command(ALICE, Command::Restored);
    world.run();
    let after = prekeys(&world);
    assert!(!after.is_empty() && after.iter().all(|key| !before.contains(key)));
    let items = world.server.items(ALICE_JID, RECORDS);
    assert_eq!((items.len(), &items[0].0), (1, &published[0].0));
    assert_ne!(items, published);
    // What was sealed to the old ones can be read no more, says so once, and is asked for.
    world.devices[ALICE].record.events.clear();
    world.server.inject("alice@example.com/phone", flight);
    world.run();
    assert_eq!(rejected(&world, ALICE), [Unreadable::NoPrekey.into()]);
    world.say(BOB, ALICE_JID, "to the new ones");
    world.run();
    world.advance(Duration::from_mins(1));
    let mut texts = bodies(&world, ALICE);
    texts.sort_unstable();
    assert_eq!(texts, ["to the keys of before", "to the new ones"], "{}", world.dump());
}

/// A device that was switched off while its agent was asked takes the answer when it starts again.
#[test]
fn c1_what_the_agent_signs_for_a_device_that_was_off_for_a_month_is_made_anew() {
    // An advert is due, then a record.
    for hours in [84, 7 * 24] {
        let mut world = World::pair(6);
        world.advance(Duration::from_mins(60 * hours - 1));
        world.devices[ALICE].answers = false;
        world.advance(Duration::from_mins(2));
        world.crash(ALICE);
        world.disconnect(BOB);
        world.now = world.now.after(Duration::from_hours(31 * 24));
        world.devices[ALICE].answers = true;
        world.run();
        world.connect(BOB);
        world.run();
        world.say(BOB, ALICE_JID, "x");
        world.run();
        assert_eq!(bodies(&world, ALICE), ["x"], "{hours} {}", world.dump());
    }
}

/// What the server has been told is known exactly: nothing is left out after a crash, and nothing published twice.
#[test]
fn c7_a_publication_that_a_crash_ended_is_brought_to_its_end() {
    let published = |world: &World| sent(world, ALICE, "<publish ").len();
    for steps in 0..14 {
        let mut world = World::new(3);
        world.add("alice@example.com/phone");
        world.connect(ALICE);
        for _ in 0..steps {
            world.with(ALICE, Device::receive);
        }
        world.crash(ALICE);
        world.run();
        for node in [RECORDS, LIST] {
            assert_eq!(world.server.items(ALICE_JID, node).len(), 1, "{steps}");
        }
        // Bob reads there what Alice's device has the private halves of.
        world.disconnect(ALICE);
        world.add("bob@example.org/desk");
        world.server.befriend(ALICE_JID, BOB_JID);
        world.connect(BOB);
        world.run();
        world.say_with(BOB, ALICE_JID, "x", Need::Encrypted(Level::HYBRID));
        world.run();
        let before = published(&world);
        world.connect(ALICE);
        world.run();
        assert_eq!(bodies(&world, ALICE), ["x"], "{steps}");
        assert_eq!(published(&world), before, "{steps}: all was there");
        let fault = |event: &Event| matches!(event, Event::PublishFailed { .. });
        assert_eq!(count(&world, ALICE, fault), 0, "{steps}");
    }
}

/// A presence shows a device only once its keys can be had.
#[test]
fn c8_what_is_published_is_read_back_before_it_is_shown() {
    let mut world = World::new(4);
    world.add("alice@example.com/phone");
    world.connect(ALICE);
    world.run();
    let log = &world.server.log;
    let at = |way: Way, what: &str| {
        log.iter().position(|crossing| crossing.way == way && crossing.stanza.contains(what)).unwrap()
    };
    let record = at(Way::Out, &format!("<publish node='{RECORDS}'>"));
    let checked = at(Way::In, "<device ");
    let shown = at(Way::Out, "<presence");
    assert!(record < checked && checked < shown, "{record} {checked} {shown}");
    let own = bytes_in(&log[record].stanza, "device", 0);
    assert_eq!(bytes_in(&log[checked].stanza, "device", 0), own);
    // A server that takes it and has it not is noticed, and what it said is not relied on.
    let mut world = World::new(5);
    world.add("alice@example.com/phone");
    world.server.set_pep(ALICE_JID, xmpp_e2e_testkit::server::Pep::Forgets);
    world.connect(ALICE);
    world.run();
    let lost = |event: &Event| matches!(event, Event::PublishFailed { why: PublishFault::Lost });
    assert_eq!(count(&world, ALICE, lost), 1);
}

/// The message, the session and the end of the prekeys are one batch: a store that refuses it has none of them.
#[test]
fn c6_prekeys_go_in_the_batch_that_stores_the_session() {
    let mut world = World::pair(6);
    let keys = |world: &World| {
        let (_, records) = content(&world.devices[BOB].store);
        let count = |kind: u8| records.iter().filter(|(key, _)| key[0] == kind).count();
        (count(4), count(8), count(11))
    };
    world.devices[BOB].takes = false;
    let mut fail = true;
    world.devices[BOB].fault = Some(Box::new(move |_, moment| {
        if moment == Moment::BeforeStore && std::mem::take(&mut fail) { Fate::Refuse } else { Fate::GoOn }
    }));
    world.say(ALICE, BOB_JID, "x");
    let mut seen = Vec::new();
    loop {
        seen.push(keys(&world));
        if !(world.with(BOB, Device::receive) | world.with(ALICE, Device::receive)) {
            break;
        }
    }
    seen.dedup();
    assert_eq!(seen, [(0, 0, 0), (1, 1, 1)], "the flight, its session and its message come together");
    assert_eq!(bodies(&world, BOB), ["x"]);
}
