//! Two device lists of one version, made at once by devices that did not know of each other.

use std::time::Duration;

use xmpp_e2e::{Command, Misbehaviour, Unreadable};
use xmpp_e2e_testkit::Peek;

use super::own_devices::{TABLET, id, with_tablet};
use super::*;

#[test]
fn c8_contacts_that_have_seen_one_of_two_lists_of_a_version_come_to_one() {
    let node = "urn:xmpp:e2e:0:devices";
    let (laptop, desk) = (3, 4);
    let mut world = with_tablet(98);
    let before = world.server.items(ALICE_JID, node).to_vec();
    for device in [ALICE, TABLET] {
        world.disconnect(device);
    }
    // Two join where no list is shown, and one of them sees what the other has made.
    for name in ["laptop", "desk"] {
        world.server.set_items(ALICE_JID, node, Vec::new());
        let device = world.add(&format!("alice@example.com/{name}"));
        world.connect(device);
        world.run();
        world.disconnect(device);
    }
    for (device, shown) in [(laptop, None), (desk, Some(&before)), (laptop, Some(&before))] {
        if let Some(shown) = shown {
            world.server.set_items(ALICE_JID, node, shown.clone());
        }
        world.connect(device);
        // Until its advert names what it has made.
        world.advance(Duration::from_mins(61));
        world.disconnect(device);
    }
    // Bob knows that of the desk; that of the laptop, which is there now, says as much and more.
    for device in [ALICE, TABLET, laptop, desk] {
        world.connect(device);
        world.run();
    }
    world.advance(Duration::from_hours(2));
    let reached = reached(&mut world);
    let all = [ALICE, TABLET, laptop, desk].map(|device| id(&world, device));
    assert!(all.iter().all(|device| reached.contains(device)), "{all:?} {reached:?}");
}

/// The telephone and the tablet have each made a first list. Bob was shown that of the tablet, which is offline, and does
/// not know the telephone by it. The server has what the telephone has published.
fn with_two_lists(mut world: World) -> World {
    hide_lists_shown(&mut world);
    let nodes = ["urn:xmpp:e2e:0:device", "urn:xmpp:e2e:0:devices"];
    world.disconnect(ALICE);
    let before = nodes.map(|node| world.server.items(ALICE_JID, node).to_vec());
    for node in nodes {
        world.server.set_items(ALICE_JID, node, Vec::new());
    }
    world.add("alice@example.com/tablet");
    world.connect(TABLET);
    world.run();
    for (node, items) in nodes.into_iter().zip(before) {
        world.server.set_items(ALICE_JID, node, items);
    }
    world.disconnect(TABLET);
    world.connect(ALICE);
    world.run();
    for device in &mut world.devices {
        device.record.events.clear();
    }
    world
}

#[test]
fn c8_what_a_device_with_a_session_writes_before_two_lists_have_come_to_one_is_read_at_once() {
    let mut world = with_two_lists(talking(96));
    world.say(ALICE, BOB_JID, "early");
    world.run();
    assert_eq!(refusals(&world, BOB), []);
    assert_eq!(bodies(&world, BOB), ["early"]);
}

#[test]
fn c8_what_a_device_without_a_session_writes_before_two_lists_have_come_to_one_is_read() {
    let mut world = with_two_lists(World::pair(95));
    world.say(ALICE, BOB_JID, "early");
    world.run();
    assert_eq!(refusals(&world, BOB), [(Misbehaviour::Retired.into(), true)]);
    world.connect(TABLET);
    world.advance(Duration::from_mins(3));
    assert_eq!(bodies(&world, BOB), ["early"]);
    world.say(TABLET, BOB_JID, "late");
    world.run();
    assert_eq!(bodies(&world, BOB), ["early", "late"]);
}

#[test]
fn c8_what_a_device_writes_is_asked_for_though_the_list_comes_late_or_bob_was_away() {
    for away in [false, true] {
        let mut world = with_two_lists(World::pair(93));
        let list = world.server.items(ALICE_JID, "urn:xmpp:e2e:0:devices").to_vec();
        world.server.set_items(ALICE_JID, "urn:xmpp:e2e:0:devices", Vec::new());
        world.say(ALICE, BOB_JID, "early");
        world.run();
        assert_eq!(refusals(&world, BOB), [(Misbehaviour::Retired.into(), true)]);
        if away {
            world.disconnect(BOB);
        }
        // Longer than the list is looked at.
        world.disconnect(ALICE);
        world.advance(Duration::from_hours(2));
        world.server.set_items(ALICE_JID, "urn:xmpp:e2e:0:devices", list);
        world.connect(ALICE);
        if away {
            world.connect(BOB);
        }
        world.run();
        world.advance(Duration::from_mins(2));
        assert_eq!(bodies(&world, BOB), ["early"], "{away} {}", world.dump());
    }
}

#[test]
fn c8_a_list_that_never_holds_a_device_is_not_looked_at_for_ever() {
    let mut world = with_two_lists(World::pair(94));
    let looks = |world: &World| {
        let to_alice = sent(world, BOB, "to='alice@example.com'");
        to_alice.iter().filter(|stanza| stanza.contains("urn:xmpp:e2e:0:devices")).count()
    };
    world.server.set_items(ALICE_JID, "urn:xmpp:e2e:0:devices", Vec::new());
    let before = looks(&world);
    world.say(ALICE, BOB_JID, "early");
    world.run();
    world.disconnect(ALICE);
    world.advance(Duration::from_mins(50));
    let after = looks(&world);
    assert_eq!(after - before, 6);
    world.advance(Duration::from_hours(20));
    assert_eq!(looks(&world), after);
}

#[test]
fn c8_a_list_of_a_device_that_was_lost_does_not_stand_in_the_way_of_another() {
    let node = "urn:xmpp:e2e:0:devices";
    let (laptop, desk) = (3, 4);
    let mut world = with_tablet(97);
    let before = world.server.items(ALICE_JID, node).to_vec();
    for device in [ALICE, TABLET] {
        world.disconnect(device);
    }
    for (device, name) in [(laptop, "laptop"), (desk, "desk")] {
        world.add(&format!("alice@example.com/{name}"));
        world.server.set_items(ALICE_JID, node, before.clone());
        world.connect(device);
        world.advance(Duration::from_mins(61));
        if device == laptop {
            // Nobody but Bob has seen what it has put there, and it never comes back.
            world.disconnect(laptop);
        }
    }
    for device in [ALICE, TABLET] {
        world.connect(device);
    }
    world.run();
    let reached = reached(&mut world);
    let all = [ALICE, TABLET, desk].map(|device| id(&world, device));
    assert!(all.iter().all(|device| reached.contains(device)), "{all:?} {reached:?}");
    assert!(count(&world, BOB, |event| matches!(event, Event::RolledBack { .. })) >= 1);
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::DeviceRetired { .. })), 0);
}

/// The laptop has made its list without the tablet; only Bob has seen both.
fn with_a_list_without_the_tablet(seed: u64) -> World {
    let mut world = talking(seed);
    let node = "urn:xmpp:e2e:0:devices";
    let before = world.server.items(ALICE_JID, node).to_vec();
    world.add("alice@example.com/tablet");
    world.connect(TABLET);
    world.run();
    for (from, to) in [(TABLET, BOB_JID), (BOB, ALICE_JID), (ALICE, ALICE_JID), (TABLET, ALICE_JID)] {
        world.say_with(from, to, "hello", Need::Encrypted(Level::HYBRID));
        world.run();
    }
    for device in [ALICE, TABLET] {
        world.disconnect(device);
    }
    world.server.set_items(ALICE_JID, node, before);
    world.add("alice@example.com/laptop");
    hide_lists_shown(&mut world);
    world.connect(3);
    world.run();
    // Its advert names its list.
    world.advance(Duration::from_mins(61));
    for device in &mut world.devices {
        device.record.inbox.clear();
        device.record.events.clear();
    }
    world.server.log.clear();
    world
}

/// To whom a device has opened handshakes.
fn opened(world: &World, device: usize) -> Vec<u32> {
    let sent = sent(world, device, "<e ");
    let flights = sent.iter().filter_map(|stanza| Peek::flights(stanza)).flat_map(|(_, flights)| flights);
    flights.map(|(to, _)| to).collect()
}

#[test]
fn c8_own_devices_keep_their_sessions_while_two_lists_come_to_one() {
    let mut world = with_a_list_without_the_tablet(91);
    let tablet = id(&world, TABLET);
    world.connect(ALICE);
    world.run();
    world.connect(TABLET);
    world.run();
    world.advance(Duration::from_mins(2));
    world.say_with(ALICE, ALICE_JID, "x", Need::Encrypted(Level::HYBRID));
    world.run();
    let handshakes = opened(&world, ALICE);
    assert!(!handshakes.contains(&tablet), "{tablet} {handshakes:?}");
    assert_eq!(bodies(&world, TABLET), ["x"]);
}

/// Whether or not a newer one does not hold it either: who retires a device says so.
#[test]
fn c8_a_device_that_a_list_leaves_out_is_read_in_its_session_until_one_says_that_it_is_retired() {
    for retired in [false, true] {
        let mut world = with_a_list_without_the_tablet(90);
        world.add("alice@example.com/desk");
        world.connect(4);
        world.run();
        world.advance(Duration::from_mins(61));
        let tablet = id(&world, TABLET);
        assert!(!reached(&mut world).contains(&tablet));
        let gone = |event: &Event| matches!(event, Event::DeviceRetired { device, .. } if *device == tablet);
        assert_eq!(count(&world, BOB, gone), 0);
        if retired {
            // Bob never sees a list that names it as live again.
            world.disconnect(BOB);
            world.connect(ALICE);
            world.run();
            world.command(ALICE, Command::RetireDevice { device: tablet });
            world.run();
            world.connect(BOB);
            world.run();
            world.advance(Duration::from_mins(61));
            assert_eq!(count(&world, BOB, gone), 1);
        }
        world.server.tamper = Some(Box::new(|to, stanza| {
            // Nobody hears of lists meanwhile.
            if stanza.contains("<message") && to.starts_with("bob@") { vec![stanza] } else { vec![] }
        }));
        world.connect(TABLET);
        world.say(TABLET, BOB_JID, "early");
        world.run();
        let expected: &[_] = if retired { &[] } else { &["early"] };
        assert_eq!(bodies(&world, BOB), expected, "{retired}");
        let refused = rejected(&world, BOB).contains(&Unreadable::NoSession.into());
        assert_eq!(refused, retired);
    }
}
