//! The devices of one account: retired, named, shown wrongly by a server.

use xmpp_e2e::{Command, Error, Input, Misuse, Outlook, Uncovered};

use super::*;

pub(super) const TABLET: usize = 2;

/// Alice has a tablet too, and both have talked with Bob.
pub(super) fn with_tablet(seed: u64) -> World {
    let mut world = talking(seed);
    world.add("alice@example.com/tablet");
    world.connect(TABLET);
    world.run();
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID), (TABLET, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "hello");
        world.run();
    }
    for device in &mut world.devices {
        device.record.inbox.clear();
        device.record.events.clear();
    }
    world.server.log.clear();
    world
}

pub(super) fn id(world: &World, device: usize) -> u32 {
    world.devices[device].engine().device()
}

/// The live ones among the own devices, as a device knows them.
pub(super) fn live(world: &World, device: usize) -> Vec<u32> {
    let own = world.devices[device].engine().own_devices().unwrap();
    own.iter().filter(|known| known.live).map(|known| known.device).collect()
}

#[test]
fn a_device_retired_by_another_leaves_and_contacts_take_nothing_from_it() {
    let mut world = with_tablet(1);
    let (phone, tablet) = (id(&world, ALICE), id(&world, TABLET));
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.run();
    assert_eq!(live(&world, ALICE), [phone]);
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 1);
    assert_eq!(world.server.items(ALICE_JID, "urn:xmpp:e2e:0:device").len(), 1, "its record has gone");
    let token = world.say(BOB, ALICE_JID, "for the telephone");
    world.run();
    let coverage = covered(&world, BOB, token);
    assert_eq!(coverage.devices, [phone]);
    assert_eq!(bodies(&world, ALICE), ["for the telephone"]);
    assert_eq!(bodies(&world, TABLET), Vec::<&str>::new());
    let events = |device| count(&world, device, |event| matches!(event, Event::ListWithheld { .. }));
    assert_eq!([ALICE, BOB, TABLET].map(events), [0; 3]);
}

#[test]
fn a_retired_device_whose_agent_is_slow_does_not_take_the_account_along() {
    for answers in [true, false] {
        let mut world = with_tablet(15);
        let (phone, tablet) = (id(&world, ALICE), id(&world, TABLET));
        world.devices[TABLET].answers = false;
        // A device more, and so another list: the next advert is due, and the agent asks its user.
        world.add("alice@example.com/laptop");
        world.connect(3);
        world.run();
        world.disconnect(TABLET);
        world.command(ALICE, Command::RetireDevice { device: tablet });
        world.run();
        world.connect(TABLET);
        world.run();
        assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 1);
        world.devices[TABLET].answers = true;
        if answers {
            world.with(TABLET, Device::answer);
        }
        world.advance(std::time::Duration::from_hours(1));
        world.run();
        assert!(live(&world, ALICE).contains(&phone), "{answers}");
        assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Retired)), 0, "{answers}");
        assert_eq!(count(&world, BOB, |event| matches!(event, Event::Left { .. })), 0, "{answers}");
    }
}

#[test]
fn what_is_under_way_on_a_retired_device_ends_and_it_keeps_nothing_and_sends_nothing_in_clear() {
    let mut world = with_tablet(17);
    let tablet = id(&world, TABLET);
    world.command(TABLET, Command::StartVerification { jid: BOB_JID, device: None });
    world.run();
    world.add("carol@example.net/home");
    world.connect(3);
    world.run();
    world.devices[TABLET].answers = false;
    let token = world.say_with(TABLET, "carol@example.net", "x", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(ends(&world, TABLET, token), [], "the agent is asked");
    world.disconnect(TABLET);
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.run();
    world.connect(TABLET);
    world.run();
    let failed = xmpp_e2e_testkit::device::End::Failed(xmpp_e2e::SendError::Left);
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 1);
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::VerificationFailed { .. })), 1);
    assert_eq!(ends(&world, TABLET, token), std::slice::from_ref(&failed));
    assert!(content(&world.devices[TABLET].store).1.len() <= 5, "it keeps nothing");
    for to in [BOB_JID, ALICE_JID] {
        let token = world.say(TABLET, to, "y");
        assert_eq!(ends(&world, TABLET, token), std::slice::from_ref(&failed), "{to}");
    }
}

#[test]
fn a_retired_device_learns_it_without_a_session_when_it_comes_back() {
    let mut world = World::pair(2);
    world.add("alice@example.com/tablet");
    world.connect(TABLET);
    world.run();
    world.disconnect(TABLET);
    let tablet = id(&world, TABLET);
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.run();
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 0);
    world.connect(TABLET);
    world.run();
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 1);
    assert!(!live(&world, ALICE).contains(&tablet), "it has not put itself back");
}

#[test]
fn a_device_may_retire_itself_alone() {
    let mut world = with_tablet(3);
    let (phone, tablet) = (id(&world, ALICE), id(&world, TABLET));
    world.command(TABLET, Command::RetireDevice { device: tablet });
    world.run();
    assert_eq!(live(&world, ALICE), [phone]);
    assert!(content(&world.devices[TABLET].store).1.len() <= 5, "it keeps nothing");
    world.say(BOB, ALICE_JID, "x");
    world.run();
    assert_eq!(bodies(&world, ALICE), ["x"]);
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Retired)), 0);
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::Left { .. })), 0);
}

#[test]
fn only_devices_can_be_retired_and_twice_is_once() {
    let mut world = with_tablet(4);
    let tablet = id(&world, TABLET);
    world.with(ALICE, |device, _, env| {
        let none = Command::RetireDevice { device: 0 };
        let error = device.engine_mut().handle(env, Input::Command(none)).unwrap_err();
        assert_eq!(error, Error::Misuse(Misuse::Device));
    });
    for _ in 0..2 {
        world.command(ALICE, Command::RetireDevice { device: tablet });
        world.run();
    }
    assert_eq!(sent(&world, ALICE, "<devices xmlns").len(), 1);
}

#[test]
fn a_retirement_waits_for_the_agent_and_for_a_connection_and_survives_a_crash() {
    let mut world = with_tablet(5);
    let tablet = id(&world, TABLET);
    world.disconnect(ALICE);
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.crash(ALICE);
    world.run();
    assert!(!live(&world, ALICE).contains(&tablet));
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 1);
}

#[test]
fn c12_another_device_of_the_own_account_is_an_event_at_those_there_are() {
    let mut world = with_tablet(7);
    world.add("alice@example.com/laptop");
    world.connect(3);
    world.run();
    let laptop = id(&world, 3);
    let told = |event: &Event| matches!(event, Event::NewDevice { peer, device } if peer.as_str() == ALICE_JID && *device == laptop);
    for device in [ALICE, TABLET] {
        assert_eq!(count(&world, device, told), 1, "{device}");
    }
    assert_eq!(
        count(&world, 3, |event| matches!(event, Event::NewDevice { .. })),
        0,
        "the others are not new to it"
    );
}

#[test]
fn names_are_for_own_devices_only() {
    let mut world = with_tablet(8);
    world.server.carbons = true;
    let name = |world: &World, device: usize, of: u32| {
        let own = world.devices[device].engine().own_devices().unwrap();
        own.into_iter().find(|known| known.device == of).unwrap().name
    };
    let (phone, tablet) = (id(&world, ALICE), id(&world, TABLET));
    world.command(ALICE, Command::NameDevice { name: "old telephone" });
    world.run();
    assert_eq!(name(&world, ALICE, phone).as_deref(), Some("old telephone"));
    assert_eq!(name(&world, TABLET, phone).as_deref(), Some("old telephone"));
    assert_eq!(name(&world, ALICE, tablet), None);
    assert!(world.server.log.iter().all(|crossing| !crossing.stanza.contains("telephone")));
    let to_bob = sent(&world, ALICE, "<message").iter().any(|stanza| stanza.contains("bob@"));
    assert!(!to_bob);
    // A device that comes later is told with its first session.
    world.add("alice@example.com/laptop");
    world.connect(3);
    world.run();
    world.say(3, BOB_JID, "x");
    world.run();
    assert_eq!(name(&world, 3, phone).as_deref(), Some("old telephone"), "{}", world.dump());
    world.command(ALICE, Command::NameDevice { name: "" });
    world.run();
    assert_eq!(name(&world, TABLET, phone), None);
    for bad in ["two\nlines", "0123456789012345678901234567890123456789012345678901234567890123456789"] {
        world.with(ALICE, |device, _, env| {
            let command = Input::Command(Command::NameDevice { name: bad });
            assert_eq!(device.engine_mut().handle(env, command).unwrap_err(), Error::Misuse(Misuse::Name));
        });
    }
}

#[test]
fn when_another_device_was_last_heard_of_is_known() {
    let mut world = with_tablet(9);
    let tablet = id(&world, TABLET);
    let seen = |world: &World| {
        let own = world.devices[ALICE].engine().own_devices().unwrap();
        own.into_iter().find(|known| known.device == tablet).unwrap().last_seen.unwrap()
    };
    let first = seen(&world);
    world.disconnect(TABLET);
    world.advance(std::time::Duration::from_hours(48));
    assert_eq!(seen(&world), first);
    world.connect(TABLET);
    world.run();
    world.say(TABLET, BOB_JID, "x");
    world.run();
    assert!(seen(&world) >= first);
}

/// Alice installs her program anew on another device, and makes a second account key by mistake.
fn second_key(seed: u64) -> World {
    let mut world = talking(seed);
    let mut other = Device::first("alice@example.com/tablet", &mut world.rng);
    other.begins_anew = false;
    world.devices.push(other);
    world.connect(TABLET);
    world.run();
    world
}

#[test]
fn nothing_is_published_over_another_account_key_before_the_user_says_so() {
    let mut world = second_key(10);
    let known = world.devices[BOB].engine().contact(ALICE_JID).unwrap().unwrap().account_key.unwrap();
    let told = |event: &Event| matches!(event, Event::OtherAccountKey { digest } if *digest == known);
    assert_eq!(count(&world, TABLET, told), 1);
    assert_eq!(world.server.items(ALICE_JID, "urn:xmpp:e2e:0:device").len(), 1);
    assert!(sent(&world, TABLET, "<e2e ").is_empty());
    let token = world.say_with(TABLET, BOB_JID, "x", Need::Encrypted(Level::CLASSICAL));
    world.run();
    let failed = xmpp_e2e_testkit::device::End::Failed(xmpp_e2e::SendError::OtherAccountKey);
    assert_eq!(ends(&world, TABLET, token), [failed]);
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::KeyChanged { .. })), 0);
    world.crash(TABLET);
    world.run();
    assert!(sent(&world, TABLET, "<e2e ").is_empty(), "also after a restart");
    assert_eq!(count(&world, TABLET, told), 2, "which says it again");
    let standing = world.devices[TABLET].engine().standing().unwrap();
    assert_eq!(standing, xmpp_e2e::Standing::OtherAccountKey(known));
    world.command(TABLET, Command::BeginAnew);
    world.run();
    assert!(!sent(&world, TABLET, "<e2e ").is_empty());
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::KeyChanged { .. })), 1);
    for device in [ALICE, TABLET] {
        world.with(device, |device, _, env| {
            let anew = Input::Command(Command::BeginAnew);
            let step = device.engine_mut().handle(env, anew).unwrap();
            assert!(step.persist(|_| Ok::<(), ()>(())).unwrap().is_empty(), "nothing is disputed");
        });
    }
}

#[test]
fn c8_a_server_cannot_stop_a_device_with_a_key_that_it_makes_up() {
    let mut world = second_key(11);
    world.command(TABLET, Command::BeginAnew);
    world.run();
    // The telephone, which has published under its own key long ago, goes on.
    world.disconnect(ALICE);
    world.connect(ALICE);
    world.run();
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::OtherAccountKey { .. })), 0);
    world.say(ALICE, BOB_JID, "still here");
    world.run();
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 0);
    // But each is told once that there is another key; not of the one that it has given up itself.
    world.advance(std::time::Duration::from_hours(48));
    let contested =
        |device| count(&world, device, |event| matches!(event, Event::AccountKeyContested { .. }));
    assert_eq!([ALICE, TABLET].map(contested), [1, 0]);
}

#[test]
fn c8_a_device_that_the_server_adds_is_an_event_and_gets_nothing() {
    let mut world = with_tablet(12);
    let mut elsewhere = World::new(99);
    elsewhere.add("alice@example.com/spy");
    elsewhere.connect(0);
    elsewhere.run();
    let node = "urn:xmpp:e2e:0:device";
    let mut items = world.server.items(ALICE_JID, node).to_vec();
    items.extend(elsewhere.server.items(ALICE_JID, node).to_vec());
    world.server.set_items(ALICE_JID, node, items);
    for device in [ALICE, BOB] {
        world.disconnect(device);
        world.connect(device);
        world.run();
    }
    // The own account takes no other key; a contact is told that there is one, and sends nothing more.
    assert!(count(&world, ALICE, |event| matches!(event, Event::Rejected { .. })) >= 1);
    world.say(ALICE, BOB_JID, "x");
    world.run();
    let own = world.devices[ALICE].engine().contact(ALICE_JID).unwrap().unwrap().devices;
    assert_eq!(own, [id(&world, TABLET)]);
    world.advance(std::time::Duration::from_hours(1));
    let token = world.say(BOB, ALICE_JID, "y");
    world.run();
    let found = ends(&world, BOB, token);
    let spy = elsewhere.devices[0].engine().device();
    let covered = |end: &xmpp_e2e_testkit::device::End| matches!(end, xmpp_e2e_testkit::device::End::Sent(coverage) if coverage.devices.contains(&spy));
    assert!(!found.iter().any(covered), "{found:?}");
}

#[test]
fn c8_a_device_that_the_server_hides_is_missing_and_one_that_it_swaps_is_refused() {
    let mut world = World::new(13);
    for full in ["alice@example.com/phone", "bob@example.org/desk", "alice@example.com/tablet"] {
        let device = world.add(full);
        if device != BOB {
            world.connect(device);
            world.run();
        }
    }
    let tablet = id(&world, TABLET);
    let node = "urn:xmpp:e2e:0:device";
    let items = world.server.items(ALICE_JID, node).to_vec();
    let hidden: Vec<_> = items.iter().filter(|(item, _)| *item != tablet.to_string()).cloned().collect();
    world.server.set_items(ALICE_JID, node, hidden);
    world.connect(BOB);
    let token = world.say_with(BOB, ALICE_JID, "x", Need::Encrypted(Level::CLASSICAL));
    world.run();
    let coverage = covered(&world, BOB, token);
    assert_eq!(coverage.devices, [id(&world, ALICE)]);
    let missing: Vec<_> = coverage.missing.iter().map(|missing| (missing.device, missing.why)).collect();
    assert_eq!(missing, [(tablet, Uncovered::NoRecord)]);
    // The record of another account under the number of this one.
    let mut elsewhere = World::new(98);
    elsewhere.add("alice@example.com/spy");
    elsewhere.connect(0);
    elsewhere.run();
    let (_, spy) = elsewhere.server.items(ALICE_JID, node)[0].clone();
    let swapped = items.iter().map(|(item, payload)| {
        (item.clone(), if *item == tablet.to_string() { spy.clone() } else { payload.clone() })
    });
    world.server.set_items(ALICE_JID, node, swapped.collect());
    world.advance(std::time::Duration::from_hours(1));
    world.server.befriend(ALICE_JID, BOB_JID);
    world.disconnect(BOB);
    world.connect(BOB);
    world.say_with(BOB, ALICE_JID, "y", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::KeyChanged { .. })), 1);
}

#[test]
fn a_record_of_a_key_given_up_does_not_stop_a_device_with_the_right_one() {
    let mut world = talking(18);
    let mut before = World::new(97);
    before.add("alice@example.com/before");
    before.connect(0);
    before.run();
    let node = "urn:xmpp:e2e:0:device";
    let mut items = before.server.items(ALICE_JID, node).to_vec();
    items.extend(world.server.items(ALICE_JID, node).to_vec());
    world.server.set_items(ALICE_JID, node, items);
    let mut laptop = Device::another(&world.devices[ALICE], "alice@example.com/laptop", &mut world.rng);
    laptop.begins_anew = false;
    world.devices.push(laptop);
    world.connect(TABLET);
    world.run();
    assert_eq!(live(&world, TABLET).len(), 2);
    let token = world.say(TABLET, BOB_JID, "x");
    world.run();
    let found = ends(&world, TABLET, token);
    assert!(matches!(&found[..], [xmpp_e2e_testkit::device::End::Sent(_)]), "{found:?}");
}

#[test]
fn a_note_to_oneself_is_read_by_the_other_devices_and_by_nobody_else() {
    let mut world = talking(12);
    let token = world.say(ALICE, ALICE_JID, "nobody to seal it for");
    world.run();
    assert_eq!(ends(&world, ALICE, token), [End::Pass]);
    let mut world = with_tablet(13);
    let outlook = world.devices[ALICE].engine().outlook(ALICE_JID, &Need::Policy).unwrap();
    assert_eq!(outlook, Outlook::Encrypted);
    let token = world.say(ALICE, ALICE_JID, "a note");
    world.run();
    assert_eq!(covered(&world, ALICE, token).own_devices, [id(&world, TABLET)]);
    assert_eq!(bodies(&world, TABLET), ["a note"]);
    assert!(sent(&world, ALICE, "a note").is_empty());
    // It comes to all who are there, and so back.
    assert_eq!(rejected(&world, ALICE), []);
    assert_eq!(bodies(&world, ALICE), Vec::<&str>::new());
    let token = world.say(TABLET, ALICE_JID, "another");
    world.run();
    assert_eq!(covered(&world, TABLET, token).own_devices, [id(&world, ALICE)]);
}
