//! Publication in PEP, and servers that do it otherwise.

use std::time::Duration;

use xmpp_e2e::{Event, PublishFault};
use xmpp_e2e_testkit::link::Odds;
use xmpp_e2e_testkit::server::Pep;
use xmpp_e2e_testkit::wire::{bytes_in, with_bytes};

use super::*;

const DEVICE: &str = "urn:xmpp:e2e:0:device";
const DEVICES: &str = "urn:xmpp:e2e:0:devices";

/// What a device was told of its publication: a fault, or that all is well again.
fn told(world: &World, device: usize) -> Vec<Option<PublishFault>> {
    let events = world.devices[device].record.events.iter();
    let told = events.filter_map(|event| match event {
        Event::PublishFailed { why } => Some(Some(*why)),
        Event::Published => Some(None),
        _ => None,
    });
    told.collect()
}

/// Alice's telephone on a server with this PEP, connected.
fn alone(pep: Pep) -> World {
    let mut world = World::new(40);
    world.add("alice@example.com/phone");
    world.server.set_pep(ALICE_JID, pep);
    world.connect(ALICE);
    world.run();
    world
}

fn iqs(world: &World) -> usize {
    sent(world, ALICE, "<iq ").len()
}

fn reconnect(world: &mut World, device: usize) {
    world.disconnect(device);
    world.run();
    world.connect(device);
    world.run();
}

#[test]
fn c9_a_list_that_cannot_be_opened_to_all_is_not_put_over_a_newer_one() {
    let mut world = alone(Pep::PreconditionNotMet);
    // The two do not see each other.
    let odds = Odds { lose: 1000, ..Odds::default() };
    world.lossy(1, odds).spare(|stanza| stanza.starts_with("<iq"));
    world.add("alice@example.com/tablet");
    world.connect(1);
    world.run();
    let newest = world.server.items(ALICE_JID, DEVICES).to_vec();
    world.server.log.clear();
    world.advance(Duration::from_hours(2));
    let lists = sent(&world, ALICE, "<publish node='urn:xmpp:e2e:0:devices'>");
    assert!(!lists.is_empty() && newest.len() == 1);
    assert!(lists.iter().all(|list| list.contains(&newest[0].1)), "{lists:?}");
}

#[test]
fn c9_the_event_says_what_is_wrong_once_and_the_tries_get_rarer() {
    let faults = [
        (Pep::Absent, PublishFault::Absent),
        (Pep::Unsupported, PublishFault::Absent),
        (Pep::Refuses, PublishFault::Refused),
        (Pep::PreconditionNotMet, PublishFault::AccessModel),
        (Pep::Forgets, PublishFault::Lost),
    ];
    for (pep, fault) in faults {
        let mut world = alone(pep);
        assert_eq!(told(&world, ALICE), [Some(fault)], "{pep:?}");
        // A new list is looked at once more.
        world.advance(Duration::from_secs(31));
        let before = iqs(&world);
        world.advance(Duration::from_secs(30));
        let round = iqs(&world) - before;
        assert!((1..=8).contains(&round), "{pep:?}: {round} iqs in a round");
        // At 1, 3, 7, 15, 31, 63 minutes, then hourly.
        world.advance(Duration::from_secs(DAY));
        assert!(iqs(&world) - before <= 30 * round, "{pep:?}: {} iqs in a day", iqs(&world) - before);
        assert!(iqs(&world) - before >= 20 * round, "{pep:?}: {} iqs in a day", iqs(&world) - before);
        assert_eq!(told(&world, ALICE), [Some(fault)], "{pep:?}");
        let before = iqs(&world);
        reconnect(&mut world, ALICE);
        assert!(iqs(&world) - before > 2, "{pep:?}: a new connection is a new try");
        assert_eq!(told(&world, ALICE), [Some(fault)], "{pep:?}");
        world.server.set_pep(ALICE_JID, Pep::Works);
        reconnect(&mut world, ALICE);
        assert_eq!(told(&world, ALICE), [Some(fault), None], "{pep:?}");
        for node in [DEVICE, DEVICES] {
            assert_eq!(world.server.items(ALICE_JID, node).len(), 1);
            assert_eq!(world.server.access(ALICE_JID, node), Some("open"));
        }
        // What was published is looked at once more.
        world.advance(Duration::from_mins(1));
        let before = iqs(&world);
        world.advance(Duration::from_secs(DAY));
        assert_eq!(iqs(&world), before, "nothing more to do");
    }
}

#[test]
fn c9_a_fault_that_becomes_another_is_told_again() {
    let mut world = alone(Pep::Absent);
    world.server.set_pep(ALICE_JID, Pep::Refuses);
    world.advance(Duration::from_secs(61));
    world.server.tamper =
        Some(Box::new(|_, stanza| if stanza.starts_with("<iq ") { Vec::new() } else { vec![stanza] }));
    world.advance(Duration::from_mins(5));
    let faults = [PublishFault::Absent, PublishFault::Refused, PublishFault::NoAnswer];
    assert_eq!(told(&world, ALICE), faults.map(Some));
    world.server.tamper = None;
    world.server.set_pep(ALICE_JID, Pep::Works);
    world.advance(Duration::from_hours(1));
    assert_eq!(told(&world, ALICE)[3..], [None]);
}

#[test]
fn c9_a_node_with_another_access_model_is_opened() {
    let mut world = World::new(41);
    world.add("alice@example.com/phone");
    for node in [DEVICE, DEVICES] {
        world.server.set_access(ALICE_JID, node, "whitelist");
    }
    world.connect(ALICE);
    world.run();
    assert_eq!(told(&world, ALICE), []);
    for node in [DEVICE, DEVICES] {
        assert_eq!(world.server.access(ALICE_JID, node), Some("open"));
        assert_eq!(world.server.items(ALICE_JID, node).len(), 1);
    }
    assert_eq!(sent(&world, ALICE, "<configure ").len(), 2, "that makes the room too");
}

#[test]
fn c9_where_it_cannot_be_opened_contacts_read_it_and_strangers_cannot() {
    let mut world = alone(Pep::PreconditionNotMet);
    world.add("bob@example.org/desk");
    world.add("carol@example.net/desk");
    world.server.befriend(ALICE_JID, BOB_JID);
    world.disconnect(ALICE);
    for device in [BOB, 2] {
        world.connect(device);
        world.run();
    }
    let need = Need::Encrypted(Level::HYBRID);
    let tokens = [BOB, 2].map(|device| (device, world.say_with(device, ALICE_JID, "x", need.clone())));
    world.run();
    let ended = tokens.map(|(device, token)| matches!(ends(&world, device, token)[..], [End::Sent(_)]));
    assert_eq!(ended, [true, false]);
}

#[test]
fn c8_two_devices_keep_their_records_in_a_node_that_began_with_room_for_one() {
    let mut world = alone(Pep::Works);
    assert_eq!(sent(&world, ALICE, "<configure ").len(), 1);
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    for device in [ALICE, tablet] {
        reconnect(&mut world, device);
        assert_eq!(told(&world, device), []);
        assert_eq!(sent(&world, device, "<configure ").len(), 1, "once in a device's life");
    }
    assert_eq!(world.server.items(ALICE_JID, DEVICE).len(), 2);
}

#[test]
fn c9_a_server_that_keeps_one_record_is_noticed_and_messages_flow() {
    let mut world = alone(Pep::KeepsOne);
    assert_eq!(told(&world, ALICE), [], "one fits");
    world.server.befriend(ALICE_JID, BOB_JID);
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    assert_eq!(told(&world, tablet), [Some(PublishFault::Lost)]);
    reconnect(&mut world, ALICE);
    assert_eq!(told(&world, ALICE), [Some(PublishFault::Lost)]);
    let bob = world.add("bob@example.org/desk");
    world.connect(bob);
    world.run();
    world.say_with(bob, ALICE_JID, "x", Need::Encrypted(Level::HYBRID));
    world.run();
    for device in [ALICE, tablet] {
        assert_eq!(bodies(&world, device), ["x"]);
    }
    let before = iqs(&world);
    world.advance(Duration::from_secs(DAY));
    assert!(iqs(&world) - before < 200, "{}", iqs(&world) - before);
    for device in [ALICE, tablet] {
        assert_eq!(told(&world, device), [Some(PublishFault::Lost)]);
    }
    // Once it can, each record is put back by its device.
    world.server.set_pep(ALICE_JID, Pep::Works);
    world.advance(Duration::from_hours(3));
    assert_eq!(world.server.items(ALICE_JID, DEVICE).len(), 2);
    for device in [ALICE, tablet] {
        assert_eq!(told(&world, device), [Some(PublishFault::Lost), None]);
    }
}

#[test]
fn c9_what_the_server_lost_or_spoilt_is_published_again_at_the_next_connection() {
    let mut world = alone(Pep::Works);
    let items = |world: &World| [DEVICE, DEVICES].map(|node| world.server.items(ALICE_JID, node).to_vec());
    let before = items(&world);
    let id = before[0][0].0.clone();
    let garbage = vec![(id, "<device xmlns='urn:xmpp:e2e:0'>AAAA</device>".to_owned())];
    for spoilt in [Vec::new(), garbage] {
        world.server.set_items(ALICE_JID, DEVICE, spoilt);
        reconnect(&mut world, ALICE);
        assert_eq!(items(&world), before);
    }
    world.server.set_items(ALICE_JID, DEVICES, Vec::new());
    reconnect(&mut world, ALICE);
    assert_eq!(items(&world), before);
    assert_eq!(told(&world, ALICE), []);
    let iqs_before = iqs(&world);
    reconnect(&mut world, ALICE);
    assert_eq!(iqs(&world) - iqs_before, 2, "what is there is only read");
}

/// A device that has no list yet, for the one on the server is damaged and may hide that of the others, publishes its
/// record once the server keeps it, and no more.
#[test]
fn c9_a_record_that_was_lost_is_published_once_though_there_is_no_list_to_publish() {
    let mut world = alone(Pep::Works);
    let mut damaged = world.server.items(ALICE_JID, DEVICES).to_vec();
    let mut bytes = bytes_in(&damaged[0].1, "devices", 0);
    *bytes.last_mut().unwrap() ^= 1;
    damaged[0].1 = with_bytes(&damaged[0].1, "devices", 0, &bytes);
    world.disconnect(ALICE);
    world.server.set_items(ALICE_JID, DEVICES, damaged);
    world.server.set_pep(ALICE_JID, Pep::Forgets);
    let laptop = world.add("alice@example.com/laptop");
    world.connect(laptop);
    world.run();
    assert_eq!(told(&world, laptop), [Some(PublishFault::Lost)]);
    assert_eq!(rejected(&world, laptop), [Reason::Unauthentic]);
    world.server.set_pep(ALICE_JID, Pep::Works);
    world.server.log.clear();
    world.advance(Duration::from_hours(3));
    assert_eq!(sent(&world, laptop, "<publish ").len(), 1);
    assert_eq!(told(&world, laptop), [Some(PublishFault::Lost), None]);
}

#[test]
fn who_leaves_while_publishing_publishes_no_more() {
    let mut world = World::new(42);
    world.add("alice@example.com/phone");
    world.connect(ALICE);
    while sent(&world, ALICE, "<publish ").is_empty() {
        assert!(world.with(ALICE, Device::receive));
    }
    // The tombstone waits for its signature while the list's publication is answered.
    world.devices[ALICE].answers = false;
    world.command(ALICE, xmpp_e2e::Command::Leave);
    world.run();
    assert_eq!(sent(&world, ALICE, "<publish ").len(), 1);
    world.with(ALICE, Device::answer);
    world.run();
    assert_eq!(world.server.items(ALICE_JID, DEVICE), []);
    assert_eq!(sent(&world, ALICE, "<publish ").len(), 2, "the tombstone");
}

#[test]
fn c9_a_busy_server_is_asked_again_soon() {
    let mut world = alone(Pep::Busy);
    assert_eq!(told(&world, ALICE), [Some(PublishFault::Refused)]);
    world.advance(Duration::from_secs(4));
    world.server.set_pep(ALICE_JID, Pep::Works);
    world.advance(Duration::from_secs(2));
    assert_eq!(told(&world, ALICE), [Some(PublishFault::Refused), None]);
}

#[test]
fn c9_a_busy_server_that_does_not_configure_has_what_is_published() {
    let mut world = World::new(42);
    world.add("alice@example.com/phone");
    let mut taken = 0;
    world.server.tamper = Some(Box::new(move |to, stanza| {
        taken += usize::from(stanza.contains("type='result'") && !stanza.contains("<items"));
        // After the list and the record.
        if taken != 3 || stanza.contains("<items") {
            return vec![stanza];
        }
        taken += 1;
        let id = stanza.split("id='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        vec![format!(
            "<iq type='error' id='{id}' to='{to}'><error type='wait'>\
             <internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )]
    }));
    world.connect(ALICE);
    world.run();
    assert_eq!(sent(&world, ALICE, "<configure ").len(), 1);
    assert!(
        world
            .server
            .log
            .iter()
            .any(|crossing| crossing.way == Way::In && crossing.stanza.contains("type='wait'"))
    );
    assert_eq!(told(&world, ALICE), []);
    assert_eq!(world.server.items(ALICE_JID, DEVICE).len(), 1);
}
