//! Every byte of every structure on the wire, flipped, cut off or added to: one event, and the
//! receiver keeps what it had. The undamaged stanza is then read as if nothing had been.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use xmpp_e2e::suite::{Level, SUITE_CLASSICAL, SUITE_HYBRID_MISUSE_RESISTANT, Suite, Suites};
use xmpp_e2e::{Event, Need};
use xmpp_e2e_testkit::device::Job;
use xmpp_e2e_testkit::wire::{Catch, Snapshot, bytes_in, damages, is_protected, with_bytes};
use xmpp_e2e_testkit::{Device, World};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";
const DESK: &str = "bob@example.org/desk";

fn world_with(seed: u64, suites: &[&'static Suite]) -> World {
    let mut world = World::new(seed);
    for full in ["alice@example.com/phone", DESK] {
        let device = world.add(full);
        if !suites.is_empty() {
            world.devices[device].config.suites = Suites::new(suites).unwrap();
            world.devices[device].restore();
        }
    }
    world.server.befriend(ALICE, BOB);
    world.connect(World::ALICE);
    world.connect(World::BOB);
    world.run();
    world.server.silent = true;
    world
}

/// Hands every damage of the message's element to `device`, and after each the message itself.
fn all_refused(world: &mut World, device: usize, stanza: &str, every: usize) -> usize {
    let snapshot = Snapshot::of(world, device);
    let bytes = bytes_in(stanza, "e", 0);
    let mut count = 0;
    for (what, damaged) in damages(&bytes, every) {
        snapshot.put_back(world);
        snapshot.refuses(world, &with_bytes(stanza, "e", 0, &damaged), &what);
        world.step(device, Job::Received(stanza.to_owned()));
        assert_eq!(world.devices[device].record.bodies(), ["x"], "after {what}");
        count += 1;
    }
    snapshot.put_back(world);
    count
}

#[test]
fn an_established_message() {
    let mut world = World::pair(1);
    world.server.silent = true;
    for _ in 0..2 {
        world.say(World::ALICE, BOB, "before");
        world.run();
        world.say(World::BOB, ALICE, "answer");
        world.run();
    }
    world.say(World::ALICE, BOB, "before");
    world.run();
    let catch = Catch::new(&mut world.server, DESK, is_protected);
    world.say(World::ALICE, BOB, "x");
    world.run();
    let count = all_refused(&mut world, World::BOB, &catch.one(), 1);
    assert!(count > 160, "{count}");
}

#[test]
fn a_message_with_a_key_of_the_post_quantum_ratchet() {
    let mut world = World::pair(2);
    world.server.silent = true;
    for _ in 0..2 {
        world.say(World::BOB, ALICE, "before");
        world.run();
        world.say(World::ALICE, BOB, "answer");
        world.run();
    }
    world.command(World::BOB, xmpp_e2e::Command::Heal { jid: ALICE });
    world.command(World::ALICE, xmpp_e2e::Command::Heal { jid: BOB });
    world.run();
    let catch = Catch::new(&mut world.server, DESK, |stanza| is_protected(stanza) && stanza.len() > 1400);
    for _ in 0..4 {
        world.say(World::BOB, ALICE, "b");
        world.run();
        if !catch.all().is_empty() {
            break;
        }
        world.say(World::ALICE, BOB, "x");
        world.run();
    }
    let count = all_refused(&mut world, World::BOB, &catch.one(), 1);
    assert!(count > 300, "{count}");
}

/// A first flight to a device that is online, with one-time prekeys, or that was offline.
fn flight(seed: u64, suites: &[&'static Suite], offline: bool, every: usize) -> usize {
    let mut world = world_with(seed, suites);
    if offline {
        world.disconnect(World::BOB);
        world.run();
    }
    let catch = Catch::new(&mut world.server, DESK, is_protected);
    world.say_with(World::ALICE, BOB, "x", Need::Encrypted(Level::CLASSICAL));
    world.run();
    if offline {
        world.connect(World::BOB);
        world.run();
    }
    let stanza = catch.one();
    assert_eq!(bytes_in(&stanza, "e", 0)[0], 2, "a first flight");
    all_refused(&mut world, World::BOB, &stanza, every)
}

#[test]
fn a_classical_first_flight_with_one_time_prekeys() {
    assert!(flight(3, &[&SUITE_CLASSICAL], false, 1) > 700);
}

#[test]
fn a_classical_first_flight_to_the_record() {
    assert!(flight(4, &[&SUITE_CLASSICAL], true, 1) > 700);
}

#[test]
fn a_hybrid_first_flight_with_one_time_prekeys() {
    assert!(flight(5, &[], false, 1) > 2_000);
}

#[test]
fn a_hybrid_first_flight_to_the_record() {
    assert!(flight(6, &[&SUITE_HYBRID_MISUSE_RESISTANT], true, 1) > 2_000);
}

/// Where the entry of a device lies in a wrapped message without flights.
fn entry_of(bytes: &[u8], device: u32) -> std::ops::Range<usize> {
    let vector = |at: usize| match bytes[at] {
        short @ 0..=0x3F => (at + 1, usize::from(short)),
        long => (at + 2, usize::from(long & 0x3F) << 8 | usize::from(bytes[at + 1])),
    };
    let (mut at, len) = vector(7);
    let end = at + len;
    while at < end {
        let number = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let (body, len) = vector(at + 5);
        if number & 0x3FFF_FFFF == device {
            return at..body + len;
        }
        at = body + len;
    }
    panic!("no entry for {device}");
}

#[test]
fn a_message_to_several_devices() {
    let mut world = World::pair(7);
    world.server.silent = true;
    let tablet = world.add("bob@example.org/tablet");
    world.connect(tablet);
    world.run();
    for _ in 0..2 {
        world.say(World::ALICE, BOB, "before");
        world.run();
        for device in [World::BOB, tablet] {
            world.say(device, ALICE, "answer");
            world.run();
        }
    }
    let catch = Catch::new(&mut world.server, DESK, is_protected);
    world.say(World::ALICE, BOB, "x");
    world.run();
    let stanza = catch.one();
    let bytes = bytes_in(&stanza, "e", 0);
    let (mine, other) =
        (world.devices[World::BOB].engine().device(), world.devices[tablet].engine().device());
    let (mine, other) = (entry_of(&bytes, mine), entry_of(&bytes, other));
    assert_eq!(mine.len(), other.len());
    let snapshot = Snapshot::of(&world, World::BOB);
    let mut theirs = 0;
    for (what, damaged) in damages(&bytes, 1) {
        let at = bytes.iter().zip(&damaged).position(|(one, two)| one != two);
        snapshot.put_back(&mut world);
        let damaged_stanza = with_bytes(&stanza, "e", 0, &damaged);
        // What only the other device reads is its own to refuse, but for its number.
        let of_other = damaged.len() == bytes.len() && at.is_some_and(|at| other.contains(&at));
        if of_other && at.is_some_and(|at| at >= other.start + 4) {
            world.step(World::BOB, Job::Received(damaged_stanza));
            let record = &world.devices[World::BOB].record;
            let read = record.bodies() == ["x"] && record.events.is_empty();
            let refused = record.bodies().is_empty() && record.events.len() == 1;
            assert!(read || refused, "{what}: {:?} {:?}", record.events, record.bodies());
            theirs += usize::from(read);
            continue;
        }
        snapshot.refuses(&mut world, &damaged_stanza, &what);
        world.step(World::BOB, Job::Received(stanza.clone()));
        assert_eq!(world.devices[World::BOB].record.bodies(), ["x"], "after {what}");
    }
    assert!(theirs > 60 && theirs < other.len(), "{theirs}");
}

/// Bob knows Alice's record and has a first advert of hers; the second is held back.
#[test]
fn an_advert_of_a_known_device() {
    let mut world = World::pair(8);
    world.server.silent = true;
    let catch = Catch::new(&mut world.server, DESK, |stanza| {
        stanza.starts_with("<presence") && stanza.contains(ALICE) && stanza.contains("<e2e ")
    });
    world.advance(Duration::from_hours(4 * 24));
    let presence = catch.one();
    world.server.tamper = None;
    let bytes = bytes_in(&presence, "e2e", 0);
    let snapshot = Snapshot::of(&world, World::BOB);
    for (what, damaged) in damages(&bytes, 1) {
        snapshot.put_back(&mut world);
        let before = snapshot.kept(&world);
        world.step(World::BOB, Job::Received(with_bytes(&presence, "e2e", 0, &damaged)));
        snapshot.settle(&mut world);
        let events = &world.devices[World::BOB].record.events;
        assert!(matches!(events[..], [Event::Rejected { .. }]), "{what}: {events:?}");
        assert!(before == snapshot.kept(&world), "{what}");
    }
    snapshot.put_back(&mut world);
    let before = snapshot.kept(&world);
    world.step(World::BOB, Job::Received(presence));
    assert_eq!(world.devices[World::BOB].record.events, []);
    assert!(before != snapshot.kept(&world), "the new advert's sequence is noted");
}

#[test]
fn an_advert_of_somebody_unknown() {
    let mut world = World::new(9);
    world.add("alice@example.com/phone");
    world.add(DESK);
    world.server.befriend(ALICE, BOB);
    world.server.silent = true;
    let catch = Catch::new(&mut world.server, DESK, |stanza| {
        stanza.starts_with("<presence") && stanza.contains(ALICE)
    });
    world.connect(World::BOB);
    world.connect(World::ALICE);
    world.run();
    world.server.tamper = None;
    let presence = catch.one();
    let bytes = bytes_in(&presence, "e2e", 0);
    let snapshot = Snapshot::of(&world, World::BOB);
    for (what, damaged) in damages(&bytes, 1) {
        snapshot.put_back(&mut world);
        world.step(World::BOB, Job::Received(with_bytes(&presence, "e2e", 0, &damaged)));
        snapshot.settle(&mut world);
        let device = &world.devices[World::BOB];
        assert!(matches!(device.record.events[..], [Event::Rejected { .. }]), "{what}: {device:?}");
        let contact = device.engine().contact(ALICE).unwrap();
        assert!(!contact.is_some_and(|contact| contact.encrypts), "{what}");
    }
    snapshot.put_back(&mut world);
    world.step(World::BOB, Job::Received(presence));
    snapshot.settle(&mut world);
    assert!(matches!(world.devices[World::BOB].record.events[..], [Event::Encrypts { .. }]));
}

/// Bob asks PEP about Alice; what the server answers is held back. Damages `name` in it.
fn answer_from_pep(seed: u64, node: &'static str, name: &str, every: usize) {
    let mut world = World::new(seed);
    world.add("alice@example.com/phone");
    world.add(DESK);
    world.server.befriend(ALICE, BOB);
    world.server.silent = true;
    let catch = Catch::new(&mut world.server, DESK, move |stanza| {
        stanza.starts_with("<iq") && stanza.contains(&format!("from='{ALICE}'")) && stanza.contains(node)
    });
    world.connect(World::ALICE);
    world.connect(World::BOB);
    world.run();
    let answer = catch.one();
    let bytes = bytes_in(&answer, name, 0);
    let snapshot = Snapshot::of(&world, World::BOB);
    for (what, damaged) in damages(&bytes, every) {
        snapshot.put_back(&mut world);
        snapshot.refuses(&mut world, &with_bytes(&answer, name, 0, &damaged), &what);
    }
    snapshot.put_back(&mut world);
    let before = snapshot.kept(&world);
    world.step(World::BOB, Job::Received(answer));
    let rejected = |event: &Event| matches!(event, Event::Rejected { .. });
    assert!(!world.devices[World::BOB].record.events.iter().any(rejected));
    assert!(before != snapshot.kept(&world) || name == "devices");
}

#[test]
fn a_record_from_pep() {
    answer_from_pep(10, "urn:xmpp:e2e:0:device'", "device", 1);
}

#[test]
fn a_list_from_pep() {
    answer_from_pep(11, "urn:xmpp:e2e:0:devices'", "devices", 1);
}

#[test]
fn a_device_answering_for_its_keys() {
    let mut world = World::pair(12);
    world.server.silent = true;
    let catch = Catch::new(&mut world.server, DESK, |stanza| stanza.contains("<keys "));
    world.say(World::BOB, ALICE, "x");
    world.run();
    let answer = catch.one();
    let snapshot = Snapshot::of(&world, World::BOB);
    let sent = Catch::new(&mut world.server, "alice@example.com/phone", is_protected);
    let prekeys = answer.matches("<prekey>").count();
    assert_eq!(prekeys, 2);
    // Each case opens a session, so of the two large structures only some bytes are taken: the record
    // has all of its bytes damaged above, the prekey in the unit tests of its decoder.
    let mut structures = vec![("record", 0, 11), ("devices", 0, 1)];
    structures.extend((0..prekeys).map(|number| {
        let large = bytes_in(&answer, "prekey", number).len() > 500;
        ("prekey", number, if large { 7 } else { 1 })
    }));
    for (name, number, every) in structures {
        let bytes = bytes_in(&answer, name, number);
        for (what, damaged) in damages(&bytes, every) {
            let what = format!("{name} {number}, {what}");
            snapshot.put_back(&mut world);
            let before = world.devices[World::BOB].engine().contact(ALICE).unwrap();
            let flights = sent.all().len();
            world.step(World::BOB, Job::Received(with_bytes(&answer, name, number, &damaged)));
            let device = &world.devices[World::BOB];
            assert!(
                matches!(device.record.events[..], [Event::Rejected { .. }]),
                "{what}: {:?}",
                device.record.events
            );
            assert_eq!(device.engine().contact(ALICE).unwrap(), before, "{what}");
            let used = one_time_of(&sent.all()[flights..]);
            let expected = (name != "prekey" || number != 0, name != "prekey" || number != 1);
            assert!(used == expected || used == (expected.1, expected.0), "{what}: {used:?}");
        }
    }
    snapshot.put_back(&mut world);
    let flights = sent.all().len();
    world.step(World::BOB, Job::Received(answer));
    assert_eq!(world.devices[World::BOB].record.events, []);
    assert_eq!(one_time_of(&sent.all()[flights..]), (true, true));
}

/// Whether a flight names a one-time prekey of either kind. Those of records have small numbers.
fn one_time_of(sent: &[String]) -> (bool, bool) {
    let [flight] = sent else { panic!("not one flight: {sent:?}") };
    let bytes = bytes_in(flight, "e", 0);
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(bytes[0], 2);
    (number(15) != 0, number(19) > 2)
}

#[test]
fn a_device_is_put_back_as_it_was() {
    let mut world = World::pair(13);
    let snapshot = Snapshot::of(&world, World::BOB);
    snapshot.put_back(&mut world);
    let before = snapshot.kept(&world);
    world.say(World::ALICE, BOB, "x");
    world.run();
    assert!(before != snapshot.kept(&world), "what a message changes is seen");
    snapshot.put_back(&mut world);
    assert!(before == snapshot.kept(&world));
    world.with(World::BOB, Device::disconnect);
}
