//! The devices of one account: retired, lost to a list made at the same time, shown wrongly by a server.

use std::time::Duration;

use xmpp_e2e::{Command, Error, Input, Misbehaviour, Misuse, Uncovered, Unreadable};
use xmpp_e2e_testkit::server::Pep;

use super::*;

const TABLET: usize = 2;

/// Alice has a tablet too, and both have talked with Bob.
fn with_tablet(seed: u64) -> World {
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

fn id(world: &World, device: usize) -> u32 {
    world.devices[device].engine().device()
}

/// The live ones among the own devices, as a device knows them.
fn live(world: &World, device: usize) -> Vec<u32> {
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
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
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
    let token = world.say(TABLET, BOB_JID, "y");
    assert_eq!(ends(&world, TABLET, token), [failed]);
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
fn only_listed_devices_can_be_retired_and_twice_is_once() {
    let mut world = with_tablet(4);
    let tablet = id(&world, TABLET);
    world.with(ALICE, |device, _, env| {
        let unknown = Command::RetireDevice { device: tablet ^ 1 };
        let error = device.engine_mut().handle(env, Input::Command(unknown)).unwrap_err();
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
fn c8_lists_made_at_once_lose_no_retirement_and_no_device() {
    let mut world = with_tablet(6);
    world.add("alice@example.com/laptop");
    world.connect(3);
    world.run();
    let (tablet, laptop) = (id(&world, TABLET), id(&world, 3));
    // Two devices retire two others, and neither hears of the other before its list is made.
    world.add("alice@example.com/watch");
    world.connect(4);
    world.run();
    for device in [ALICE, 4] {
        world.devices[device].answers = false;
    }
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.command(4, Command::RetireDevice { device: laptop });
    for device in [ALICE, 4] {
        world.devices[device].answers = true;
        world.with(device, Device::answer);
    }
    world.run();
    world.advance(Duration::from_mins(61));
    let mut expected = vec![id(&world, ALICE), id(&world, 4)];
    expected.sort_unstable();
    for device in [ALICE, 4] {
        assert_eq!(live(&world, device), expected, "{device}");
    }
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
    let mut covered = coverage.devices.clone();
    covered.sort_unstable();
    assert_eq!(covered, expected);
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
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
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
fn c8_a_list_that_the_server_withholds_is_an_event_and_asked_for_again() {
    let mut world = with_tablet(14);
    let node = "urn:xmpp:e2e:0:devices";
    let old = world.server.items(ALICE_JID, node).to_vec();
    let shown = old[0].1.clone();
    world.server.tamper = Some(Box::new(move |to, stanza| {
        // What Bob is shown of Alice's list, by her server and by her device, is what it was.
        let list = to.starts_with("bob@") && (stanza.contains("<devices") || stanza.contains("<keys"));
        if !list {
            return vec![stanza];
        }
        let start = stanza.find("<devices").unwrap_or_default();
        let end = stanza.find("</devices>").map_or(start, |end| end + "</devices>".len());
        let with = if stanza.contains("<keys") { "" } else { &shown };
        vec![format!("{}{with}{}", &stanza[..start], &stanza[end..])]
    }));
    let tablet = id(&world, TABLET);
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.run();
    world.advance(Duration::from_mins(50));
    let told = |world: &World| {
        [
            count(world, BOB, |event| matches!(event, Event::ListWithheld { .. })),
            count(world, BOB, |event| matches!(event, Event::DeviceRetired { .. })),
        ]
    };
    assert_eq!(told(&world), [1, 0]);
    world.server.tamper = None;
    world.advance(Duration::from_mins(15));
    assert_eq!(told(&world), [1, 1]);
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
fn c8_a_device_that_joins_while_the_server_shows_no_list_comes_into_that_of_the_others() {
    let laptop = 3;
    let mut world = with_tablet(99);
    world.server.set_pep(ALICE_JID, Pep::Absent);
    world.disconnect(ALICE);
    world.disconnect(TABLET);
    world.add("alice@example.com/laptop");
    world.connect(laptop);
    world.run();
    // What it has made alone is older than what the others have, and stands in the place of that.
    world.server.set_pep(ALICE_JID, Pep::Works);
    world.advance(Duration::from_mins(2));
    world.disconnect(laptop);
    for device in [laptop, ALICE] {
        world.connect(device);
    }
    world.run();
    // A new advert goes out within the hour.
    world.advance(Duration::from_hours(2));
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
    assert!(coverage.devices.contains(&id(&world, laptop)), "{coverage:?}");
}

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
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
    let all = [ALICE, TABLET, laptop, desk].map(|device| id(&world, device));
    assert!(all.iter().all(|device| coverage.devices.contains(device)), "{all:?} {coverage:?}");
}

/// The telephone and the tablet have each made a first list. Bob was shown that of the tablet, which is offline, and does
/// not know the telephone by it. The server has what the telephone has published.
fn with_two_lists(mut world: World) -> World {
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

/// What was rejected at Bob, and whether it will be asked for.
fn refusals(world: &World) -> Vec<(Reason, bool)> {
    let of = |event: &Event| match event {
        Event::Rejected { reason, recoverable, .. } => Some((*reason, *recoverable)),
        _ => None,
    };
    world.devices[BOB].record.events.iter().filter_map(of).collect()
}

#[test]
fn c8_what_a_device_with_a_session_writes_before_two_lists_have_come_to_one_is_read() {
    let mut world = with_two_lists(talking(96));
    world.say(ALICE, BOB_JID, "early");
    world.run();
    assert_eq!(refusals(&world), [(Unreadable::NoSession.into(), true)]);
    world.connect(TABLET);
    world.advance(Duration::from_mins(3));
    assert_eq!(bodies(&world, BOB), ["early"]);
    world.say(TABLET, BOB_JID, "late");
    world.run();
    assert_eq!(bodies(&world, BOB), ["early", "late"]);
}

#[test]
fn c8_what_a_device_without_a_session_writes_before_two_lists_have_come_to_one_is_read() {
    let mut world = with_two_lists(World::pair(95));
    world.say(ALICE, BOB_JID, "early");
    world.run();
    assert_eq!(refusals(&world), [(Misbehaviour::Retired.into(), true)]);
    world.connect(TABLET);
    world.advance(Duration::from_mins(3));
    assert_eq!(bodies(&world, BOB), ["early"]);
    world.say(TABLET, BOB_JID, "late");
    world.run();
    assert_eq!(bodies(&world, BOB), ["early", "late"]);
}

#[test]
fn c8_a_list_that_never_holds_a_device_is_not_looked_at_for_ever() {
    let mut world = with_two_lists(talking(94));
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
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
    let all = [ALICE, TABLET, desk].map(|device| id(&world, device));
    assert!(all.iter().all(|device| coverage.devices.contains(device)), "{all:?} {coverage:?}");
    assert!(count(&world, BOB, |event| matches!(event, Event::RolledBack { .. })) >= 1);
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::DeviceRetired { .. })), 0);
}

/// Alice's telephone with a session with each of so many contacts, and so many other devices, which have all seen.
fn with_crowd(seed: u64, contacts: usize, others: usize) -> (World, Vec<usize>, Vec<usize>) {
    let mut world = World::new(seed);
    world.add("alice@example.com/phone");
    let others: Vec<_> =
        (0..others).map(|number| world.add(&format!("alice@example.com/other{number}"))).collect();
    let jids: Vec<_> = (0..contacts).map(|number| format!("c{number:03}@example.net")).collect();
    let mut crowd = Vec::new();
    for jid in &jids {
        crowd.push(world.add(&format!("{jid}/home")));
        world.server.befriend(ALICE_JID, jid);
    }
    for device in [ALICE].iter().chain(&others) {
        world.connect(*device);
        world.run();
    }
    for (device, jid) in crowd.iter().zip(&jids) {
        world.connect(*device);
        world.run();
        for (from, to) in [(ALICE, jid.as_str()), (*device, ALICE_JID)] {
            world.say(from, to, "hello");
            world.run();
        }
    }
    (world, others, crowd)
}

/// How many of the crowd have seen this device of Alice's retired.
fn told_of(world: &World, crowd: &[usize], retired: u32) -> usize {
    let told = |event: &Event| matches!(event, Event::DeviceRetired { device, .. } if *device == retired);
    crowd.iter().filter(|device| count(world, **device, told) > 0).count()
}

#[test]
fn c8_who_has_many_contacts_can_write_while_they_are_told_of_a_list_and_all_come_to_know_it() {
    let (mut world, others, crowd) = with_crowd(96, 60, 1);
    let tablet = id(&world, others[0]);
    // One contact is away, and the server acknowledges nothing.
    world.disconnect(crowd[0]);
    world.devices[ALICE].acks = false;
    for number in 0..950 {
        world.say(ALICE, "c000@example.net", &number.to_string());
    }
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.run();
    let token = world.say(ALICE, "c001@example.net", "mine");
    let found = ends(&world, ALICE, token);
    assert!(matches!(&found[..], [xmpp_e2e_testkit::device::End::Sent(_)]), "{found:?}");
    world.run();
    world.devices[ALICE].acks = true;
    world.with(ALICE, Device::acknowledge);
    world.run();
    world.advance(Duration::from_mins(1));
    assert_eq!(told_of(&world, &crowd[1..], tablet), crowd.len() - 1);
}

#[test]
fn c8_a_list_is_told_as_there_is_room_also_after_a_crash_and_the_next_list_is_told_all_anew() {
    let (mut world, others, crowd) = with_crowd(95, 120, 2);
    let retired: Vec<u32> = others.iter().map(|device| id(&world, *device)).collect();
    let (away, crowd) = crowd.split_first().unwrap();
    // Nothing else tells: no other device of the account, and no presence.
    world.server.tamper =
        Some(Box::new(|_, stanza| if stanza.starts_with("<presence") { Vec::new() } else { vec![stanza] }));
    for device in others.iter().chain([away]) {
        world.disconnect(*device);
    }
    world.devices[ALICE].acks = false;
    for number in 0..430 {
        world.say(ALICE, "c000@example.net", &number.to_string());
    }
    world.command(ALICE, Command::RetireDevice { device: retired[0] });
    world.run();
    let some = told_of(&world, crowd, retired[0]);
    assert!((50..=70).contains(&some), "{some}");
    assert!(world.devices[ALICE].next_wakeup().unwrap() <= world.now.after(Duration::from_mins(1)));
    world.crash(ALICE);
    world.run();
    world.advance(Duration::from_mins(1));
    assert_eq!(told_of(&world, crowd, retired[0]), some, "there is no room");
    world.command(ALICE, Command::RetireDevice { device: retired[1] });
    world.run();
    assert_eq!(told_of(&world, crowd, retired[1]), 0);
    world.crash(ALICE);
    world.run();
    world.devices[ALICE].acks = true;
    world.with(ALICE, Device::acknowledge);
    world.run();
    for device in retired {
        assert_eq!(told_of(&world, crowd, device), crowd.len());
    }
}

#[test]
fn c8_a_list_is_told_on_where_nothing_is_acknowledged() {
    let (mut world, others, crowd) = with_crowd(94, 220, 1);
    world.devices[ALICE].acks = false;
    world.command(ALICE, Command::RetireDevice { device: id(&world, others[0]) });
    world.run();
    world.advance(Duration::from_secs(10));
    assert_eq!(told_of(&world, &crowd, id(&world, others[0])), crowd.len());
}

/// The tablet retires itself where nobody hears of it, and a laptop joins meanwhile. None of the others is there when
/// it comes back.
fn retires_itself_beside_another_list(seed: u64, retire: impl FnOnce(&mut World, u32)) {
    let laptop = 3;
    let mut world = with_tablet(seed);
    let tablet = id(&world, TABLET);
    retire(&mut world, tablet);
    world.add("alice@example.com/laptop");
    world.connect(laptop);
    world.run();
    for device in [ALICE, laptop] {
        world.disconnect(device);
    }
    world.devices[TABLET].answers = true;
    world.with(TABLET, Device::answer);
    world.connect(TABLET);
    world.run();
    world.advance(Duration::from_hours(2));
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Retired)), 1);
    let mut expected = vec![id(&world, ALICE), id(&world, laptop)];
    expected.sort_unstable();
    let covered = |world: &World, from: usize, token: Token| {
        let found = ends(world, from, token);
        let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
        let mut covered = coverage.devices.clone();
        covered.sort_unstable();
        covered
    };
    // One who knows nothing of the account finds on the server what the others have.
    world.add("carol@example.net/home");
    world.connect(4);
    world.run();
    let token = world.say_with(4, ALICE_JID, "y", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(covered(&world, 4, token), expected);
    for device in [ALICE, laptop] {
        world.connect(device);
        world.run();
    }
    world.advance(Duration::from_hours(2));
    for device in [ALICE, laptop] {
        assert_eq!(live(&world, device), expected, "{device}");
    }
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    assert_eq!(covered(&world, BOB, token), expected);
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::RolledBack { .. })), 0);
}

#[test]
fn c8_a_device_that_retires_itself_offline_puts_no_older_list_over_a_newer() {
    retires_itself_beside_another_list(101, |world, tablet| {
        world.disconnect(TABLET);
        world.command(TABLET, Command::RetireDevice { device: tablet });
    });
}

#[test]
fn c8_a_device_whose_agent_signs_its_retirement_offline_puts_no_older_list_over_a_newer() {
    retires_itself_beside_another_list(102, |world, tablet| {
        world.devices[TABLET].answers = false;
        world.command(TABLET, Command::RetireDevice { device: tablet });
        world.disconnect(TABLET);
    });
}

#[test]
fn c8_a_retirement_that_was_lost_with_its_stream_is_put_on_top_of_a_newer_list() {
    retires_itself_beside_another_list(103, |world, tablet| {
        let node = "urn:xmpp:e2e:0:devices";
        let before = world.server.items(ALICE_JID, node).to_vec();
        world.command(TABLET, Command::RetireDevice { device: tablet });
        world.disconnect(TABLET);
        // The server has got nothing of it.
        world.server.set_items(ALICE_JID, node, before);
    });
}

#[test]
fn c8_a_retirement_said_twice_is_no_list_more() {
    let mut world = with_tablet(104);
    let tablet = id(&world, TABLET);
    world.command(TABLET, Command::RetireDevice { device: tablet });
    // The server has it; the answer is lost.
    world.disconnect(TABLET);
    world.run();
    let before = world.server.items(ALICE_JID, "urn:xmpp:e2e:0:devices").to_vec();
    for _ in 0..2 {
        world.connect(TABLET);
        world.run();
        world.disconnect(TABLET);
    }
    assert_eq!(world.server.items(ALICE_JID, "urn:xmpp:e2e:0:devices"), before);
    assert_eq!(live(&world, ALICE), [id(&world, ALICE)]);
}

#[test]
fn c8_an_account_that_leaves_offline_takes_along_who_has_joined_meanwhile() {
    let laptop = 3;
    let mut world = with_tablet(105);
    world.disconnect(ALICE);
    world.disconnect(TABLET);
    world.command(ALICE, Command::Leave);
    for name in ["laptop", "desk"] {
        let device = world.add(&format!("alice@example.com/{name}"));
        world.connect(device);
        world.run();
    }
    world.connect(ALICE);
    world.run();
    for device in [TABLET, laptop, laptop + 1] {
        world.disconnect(device);
        world.connect(device);
        world.run();
        assert_eq!(count(&world, device, |event| matches!(event, Event::Retired)), 1, "{device}");
    }
}

#[test]
fn c8_who_has_lost_all_devices_and_the_list_begins_a_newer_one() {
    let node = "urn:xmpp:e2e:0:devices";
    let laptop = 3;
    let mut world = with_tablet(96);
    world.command(ALICE, Command::RetireDevice { device: id(&world, TABLET) });
    world.run();
    world.disconnect(ALICE);
    world.server.set_items(ALICE_JID, node, Vec::new());
    world.add("alice@example.com/laptop");
    world.now = world.now.after(Duration::from_hours(1));
    world.connect(laptop);
    world.run();
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(coverage.devices, [id(&world, laptop)]);
    // If one was not lost, it says again what the other could not know.
    world.connect(ALICE);
    world.advance(Duration::from_hours(2));
    let mut all = [ALICE, laptop].map(|device| id(&world, device));
    all.sort_unstable();
    for device in [ALICE, laptop] {
        assert_eq!(live(&world, device), all);
        let tablet = id(&world, TABLET);
        let own = world.devices[device].engine().own_devices().unwrap();
        assert!(own.iter().all(|known| known.device != tablet || !known.live));
    }
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    let found = ends(&world, BOB, token);
    let [xmpp_e2e_testkit::device::End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
    let mut covered = coverage.devices.clone();
    covered.sort_unstable();
    assert_eq!(covered, all);
}
