//! Device lists: made at once, withheld, told to contacts, made anew.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xmpp_e2e::{Command, Malformed};
use xmpp_e2e_testkit::server::Pep;
use xmpp_e2e_testkit::wire::bytes_in;

use super::own_devices::{TABLET, id, live, with_tablet};
use super::*;

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
    assert_eq!(reached(&mut world), expected);
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
    let reached = reached(&mut world);
    assert!(reached.contains(&id(&world, laptop)), "{reached:?}");
}

/// The version of a list made where none was shown is the time, which is far from those of before.
#[test]
fn c8_a_list_of_a_device_that_was_shown_none_is_asked_of_that_device() {
    let laptop = 3;
    let mut world = with_tablet(92);
    let before = world.server.items(ALICE_JID, "urn:xmpp:e2e:0:devices").to_vec();
    for device in [ALICE, TABLET] {
        world.disconnect(device);
    }
    world.server.set_items(ALICE_JID, "urn:xmpp:e2e:0:devices", Vec::new());
    world.advance(Duration::from_hours(24));
    world.add("alice@example.com/laptop");
    world.connect(laptop);
    world.run();
    // The server shows the old one, and what is put there does not stay.
    world.server.set_pep(ALICE_JID, Pep::Forgets);
    world.server.set_items(ALICE_JID, "urn:xmpp:e2e:0:devices", before);
    for device in [ALICE, TABLET] {
        world.connect(device);
    }
    world.run();
    // A new advert goes out within the hour.
    world.advance(Duration::from_hours(2));
    let all = [ALICE, TABLET, laptop].map(|device| id(&world, device));
    for device in [ALICE, TABLET, laptop] {
        assert!(all.iter().all(|other| live(&world, device).contains(other)), "{device}: {}", world.dump());
    }
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
    // One who knows nothing of the account finds on the server what the others have.
    world.add("carol@example.net/home");
    world.connect(4);
    world.run();
    let token = world.say_with(4, ALICE_JID, "y", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(covered(&world, 4, token).devices, expected);
    for device in [ALICE, laptop] {
        world.connect(device);
        world.run();
    }
    world.advance(Duration::from_hours(2));
    for device in [ALICE, laptop] {
        assert_eq!(live(&world, device), expected, "{device}");
    }
    assert_eq!(reached(&mut world), expected);
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
    let nodes = ["urn:xmpp:e2e:0:devices", "urn:xmpp:e2e:0:device"];
    let laptop = 3;
    for lost in [&nodes[..1], &nodes] {
        let mut world = with_tablet(96);
        world.command(ALICE, Command::RetireDevice { device: id(&world, TABLET) });
        world.run();
        world.disconnect(ALICE);
        for node in lost {
            world.server.set_items(ALICE_JID, node, Vec::new());
        }
        world.add("alice@example.com/laptop");
        world.now = world.now.after(Duration::from_hours(1));
        hide_lists_shown(&mut world);
        world.connect(laptop);
        world.run();
        assert_eq!(reached(&mut world), [id(&world, laptop)]);
        world.server.tamper = None;
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
        assert_eq!(reached(&mut world), all);
    }
}

#[test]
fn c8_a_list_that_only_contacts_have_seen_comes_to_the_devices_by_them() {
    let (node, laptop) = ("urn:xmpp:e2e:0:devices", 2);
    // The contact may ask because the device shows itself, or because it writes.
    for writes in [false, true] {
        let mut world = talking(89);
        world.disconnect(ALICE);
        let before = world.server.items(ALICE_JID, node).to_vec();
        world.server.set_items(ALICE_JID, node, Vec::new());
        world.add("alice@example.com/laptop");
        world.advance(Duration::from_hours(3));
        hide_lists_shown(&mut world);
        world.connect(laptop);
        world.run();
        assert_eq!(reached(&mut world), [id(&world, laptop)]);
        world.server.tamper = None;
        // It is lost, and so is what it has published.
        world.disconnect(laptop);
        world.server.set_items(ALICE_JID, node, before);
        world.connect(ALICE);
        if writes {
            world.say(ALICE, BOB_JID, "it is me");
        }
        world.run();
        // What was found is not looked at again at once.
        world.advance(Duration::from_mins(11));
        let mut all = [ALICE, laptop].map(|device| id(&world, device));
        all.sort_unstable();
        assert_eq!(live(&world, ALICE), all);
        let token = world.say(BOB, ALICE_JID, "y");
        world.run();
        assert_eq!(covered(&world, BOB, token).devices, all, "{writes}");
        assert_eq!(bodies(&world, ALICE).last(), Some(&"y"));
        assert_eq!(bodies(&world, BOB).contains(&"it is me"), writes);
    }
}

#[test]
fn c8_a_list_shown_by_a_contact_that_is_older_or_forged_changes_nothing() {
    let node = "urn:xmpp:e2e:0:devices";
    let mut world = talking(88);
    let old = bytes_in(&world.server.items(ALICE_JID, node)[0].1, "devices", 0);
    world.add("alice@example.com/tablet");
    world.connect(2);
    world.run();
    let both = live(&world, ALICE);
    let now = world.server.items(ALICE_JID, node).to_vec();
    let newest = bytes_in(&now[0].1, "devices", 0);
    // Of one that is as new the contact may have a copy that is signed otherwise.
    let mut other = newest.clone();
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    // The version is the first in which they differ.
    let mut forged = newest.clone();
    let version = old.iter().zip(&newest).position(|(old, newest)| old != newest).unwrap();
    forged[version] += 1;
    world.devices[ALICE].record.events.clear();
    world.server.log.clear();
    for (number, bytes) in [old, newest, other, forged, vec![0; 9]].iter().enumerate() {
        let list = STANDARD.encode(bytes);
        let keys = format!("<keys xmlns='urn:xmpp:e2e:0'><devices>{list}</devices></keys>");
        let to = "alice@example.com/phone";
        let iq = format!("<iq type='get' id='k{number}' to='{to}' from='bob@example.org/desk'>{keys}</iq>");
        assert!(world.server.inject(to, iq));
        world.run();
        assert_eq!(live(&world, ALICE), both);
        assert_eq!(world.server.items(ALICE_JID, node), now);
        assert_eq!(sent(&world, ALICE, &format!("id='k{number}'")).len(), 1, "it is answered all the same");
    }
    assert!(sent(&world, ALICE, "<publish").is_empty());
    let refused = [Reason::Unauthentic, Malformed::Encoding.into()];
    assert_eq!(rejected(&world, ALICE), refused);
}
