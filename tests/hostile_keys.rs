//! Keys, adverts and certificates that are old, early, or somebody else's: what a hostile server can
//! serve, and what a peer that lies can show.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use xmpp_e2e::store::Store;
use xmpp_e2e::{BareJid, Engine, Event, Misbehaviour, Reason, Timestamp};
use xmpp_e2e_testkit::World;
use xmpp_e2e_testkit::device::Job;
use xmpp_e2e_testkit::wire::{Catch, Snapshot, bytes_in, is_protected, with_bytes};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";
const PHONE: &str = "alice@example.com/phone";
const DESK: &str = "bob@example.org/desk";
const RECORDS: &str = "urn:xmpp:e2e:0:device";
const LIST: &str = "urn:xmpp:e2e:0:devices";
const DAY: Duration = Duration::from_hours(24);

fn reason(event: &Event) -> Reason {
    let Event::Rejected { reason, .. } = event else { panic!("{event:?}") };
    *reason
}

fn events(world: &World, device: usize) -> Vec<Event> {
    world.devices[device].record.events.clone()
}

/// The last presence of Alice's that Bob got.
fn last_advert(world: &World) -> String {
    let mut log = world.server.log.iter().rev().filter(|entry| entry.client == DESK);
    let from = format!("from='{PHONE}'");
    let presence = |stanza: &str| stanza.starts_with("<presence") && stanza.contains(&from);
    let found = log.find(|entry| presence(&entry.stanza) && entry.stanza.contains("<e2e "));
    found.expect("an advert of Alice's").stanza.clone()
}

#[test]
fn adverts_past_and_before_their_time() {
    let mut world = World::pair(13);
    let catch =
        Catch::new(&mut world.server, DESK, |stanza| stanza.contains("<e2e ") && stanza.contains(PHONE));
    world.advance(4 * DAY);
    let presence = catch.one();
    let now = world.now;
    world.server.tamper = None;
    let then = Snapshot::of(&world, World::BOB);
    for clock in [now.after(9 * DAY), now.before(3 * DAY)] {
        let bob = then.clone().at(clock);
        bob.put_back(&mut world);
        let event = bob.refuses(&mut world, &presence, "time");
        assert_eq!(reason(&event), Misbehaviour::Expired.into());
    }
    then.put_back(&mut world);
    world.step(World::BOB, Job::Received(presence));
    assert_eq!(events(&world, World::BOB), []);
}

/// A time before another.
trait Before {
    fn before(self, duration: Duration) -> Self;
}

impl Before for Timestamp {
    fn before(self, duration: Duration) -> Self {
        Self::from_millis(self.as_millis() - u64::try_from(duration.as_millis()).unwrap())
    }
}

#[test]
fn certificates_past_and_before_their_time() {
    let mut world = World::pair(14);
    let catch = Catch::new(&mut world.server, DESK, is_protected);
    world.say(World::ALICE, BOB, "x");
    world.run();
    world.server.tamper = None;
    let (stanza, now) = (catch.one(), world.now);
    let then = Snapshot::of(&world, World::BOB);
    for clock in [now.after(367 * DAY), now.before(2 * DAY)] {
        let bob = then.clone().at(clock);
        bob.put_back(&mut world);
        let event = bob.refuses(&mut world, &stanza, "time");
        assert_eq!(reason(&event), Misbehaviour::Expired.into());
    }
    then.put_back(&mut world);
    world.step(World::BOB, Job::Received(stanza));
    assert_eq!(world.devices[World::BOB].record.bodies(), ["x"]);
}

#[test]
fn an_older_record_from_pep() {
    let mut world = World::pair(15);
    let old = world.server.items(ALICE, RECORDS).to_vec();
    world.advance(8 * DAY);
    assert_ne!(world.server.items(ALICE, RECORDS), old);
    assert!(!events(&world, World::BOB).iter().any(|event| matches!(event, Event::RolledBack { .. })));
    let old = bytes_in(&old[0].1, "device", 0);
    world.server.tamper = Some(Box::new(move |to, stanza| {
        let answer = to == DESK && stanza.contains("<device ") && stanza.contains("from='alice");
        vec![if answer { with_bytes(&stanza, "device", 0, &old) } else { stanza }]
    }));
    world.devices[World::BOB].record.events.clear();
    world.advance(7 * DAY);
    assert_eq!(events(&world, World::BOB), [Event::RolledBack { peer: jid(ALICE) }]);
    // The device itself gives the newer one.
    world.say(World::BOB, ALICE, "x");
    world.run();
    assert_eq!(world.devices[World::ALICE].record.bodies(), ["x"]);
}

fn jid(jid: &str) -> BareJid {
    BareJid::parse(jid).unwrap()
}

#[test]
fn an_older_list_from_pep() {
    let mut world = World::pair(16);
    let old = bytes_in(&world.server.items(ALICE, LIST)[0].1, "devices", 0);
    world.devices[World::BOB].record.events.clear();
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    let told = events(&world, World::BOB);
    assert!(matches!(told[..], [Event::NewDevice { .. }]), "{told:?}");
    world.server.tamper = Some(Box::new(move |to, stanza| {
        let answer = to == DESK && stanza.contains("<devices ") && stanza.contains("from='alice");
        vec![if answer { with_bytes(&stanza, "devices", 0, &old) } else { stanza }]
    }));
    let laptop = world.add("alice@example.com/laptop");
    world.connect(laptop);
    world.devices[World::BOB].record.events.clear();
    world.run();
    let told = events(&world, World::BOB);
    let rolled_back = told.iter().filter(|event| matches!(event, Event::RolledBack { .. })).count();
    assert!(rolled_back >= 1, "{told:?}");
    assert!(!told.iter().any(|event| matches!(event, Event::Rejected { .. })), "{told:?}");
    world.server.tamper = None;
    world.say(World::BOB, ALICE, "x");
    world.run();
    for device in [World::ALICE, tablet, laptop] {
        assert_eq!(world.devices[device].record.bodies(), ["x"]);
    }
}

#[test]
fn an_older_advert_is_no_news() {
    let mut world = World::pair(17);
    let old = last_advert(&world);
    world.advance(4 * DAY);
    assert_ne!(bytes_in(&last_advert(&world), "e2e", 0), bytes_in(&old, "e2e", 0));
    let bob = Snapshot::of(&world, World::BOB);
    bob.put_back(&mut world);
    let before = bob.kept(&world);
    world.step(World::BOB, Job::Received(old));
    bob.settle(&mut world);
    assert_eq!(events(&world, World::BOB), []);
    assert!(before == bob.kept(&world));
}

/// The certificate in a device's published record.
fn certificate(world: &World, account: &str, number: usize) -> Vec<u8> {
    let record = bytes_in(&world.server.items(account, RECORDS)[number].1, "device", 0);
    let len = usize::from(record[0] & 0x3F) << 8 | usize::from(record[1]);
    record[2..2 + len].to_vec()
}

/// Has a device show another certificate than its own in handshakes.
fn impersonate(world: &mut World, device: usize, own: &[u8], other: &[u8]) {
    assert_eq!(own.len(), other.len());
    let mut stored = world.devices[device].store.load().unwrap();
    let mut count = 0;
    for (key, value) in &mut stored.records {
        if key.as_bytes()[0] != 1 {
            continue;
        }
        while let Some(at) = value.windows(own.len()).position(|window| window == own) {
            value[at..at + own.len()].copy_from_slice(other);
            count += 1;
        }
    }
    assert!(count > 0);
    let mut config = world.devices[device].config.clone();
    // Else the engine sees that its store is another device's.
    config.identity = world.devices[2].agent.identity();
    *world.devices[device].engine_mut() = Engine::restore(config, &stored).unwrap();
    world.step(device, Job::Connected(true));
}

#[test]
fn the_certificate_of_another_account_or_device() {
    for (seed, other) in [(26, "carol@example.com/phone"), (27, "alice@example.com/other")] {
        let mut world = World::new(seed);
        for full in [PHONE, DESK, other] {
            world.add(full);
        }
        world.server.befriend(ALICE, BOB);
        for device in 0..3 {
            world.connect(device);
            world.run();
        }
        world.disconnect(2);
        let same = other.starts_with("alice");
        let own = certificate(&world, ALICE, 0);
        let theirs =
            if same { certificate(&world, ALICE, 1) } else { certificate(&world, "carol@example.com", 0) };
        impersonate(&mut world, World::ALICE, &own, &theirs);
        let catch = Catch::new(&mut world.server, DESK, is_protected);
        world.say(World::ALICE, BOB, "x");
        world.run();
        let bob = Snapshot::of(&world, World::BOB);
        bob.put_back(&mut world);
        let event = bob.refuses(&mut world, &catch.all()[0], other);
        assert_eq!(reason(&event), Misbehaviour::WrongSubject.into(), "{other}");
    }
}

/// A record of one account in the node of another.
#[test]
fn a_record_under_another_jid() {
    let mut world = World::new(28);
    for full in [PHONE, DESK, "carol@example.com/phone"] {
        world.add(full);
        world.connect(world.devices.len() - 1);
    }
    world.run();
    let carols = bytes_in(&world.server.items("carol@example.com", RECORDS)[0].1, "device", 0);
    let catch = Catch::new(&mut world.server, DESK, |stanza| stanza.contains("<device "));
    world.server.befriend(ALICE, BOB);
    world.run();
    let answer = catch.one();
    let bob = Snapshot::of(&world, World::BOB);
    bob.put_back(&mut world);
    let event = bob.refuses(&mut world, &with_bytes(&answer, "device", 0, &carols), "carol's");
    assert_eq!(reason(&event), Misbehaviour::WrongSubject.into());
}
