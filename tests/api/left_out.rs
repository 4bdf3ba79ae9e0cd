//! A user whose devices are all lost has a new one, and the server shows it no list: what its list does not know of.

use std::time::Duration;

use xmpp_e2e::{Command, Unreadable};

use super::own_devices::{TABLET, id, live, with_tablet};
use super::*;

const LAPTOP: usize = 3;

const LISTS: &str = "urn:xmpp:e2e:0:devices";

/// The telephone is destroyed, the tablet stolen, and the laptop, which has the account key, begins where nothing is shown.
fn with_laptop(seed: u64, shows: bool) -> World {
    let mut world = with_tablet(seed);
    for device in [ALICE, TABLET] {
        world.disconnect(device);
    }
    for node in [LISTS, "urn:xmpp:e2e:0:device"] {
        world.server.set_items(ALICE_JID, node, Vec::new());
    }
    if !shows {
        // No contact can say which devices there were.
        hide_lists_shown(&mut world);
    }
    world.now = world.now.after(Duration::from_hours(1));
    world.add("alice@example.com/laptop");
    world.connect(LAPTOP);
    world.run();
    world.say(BOB, ALICE_JID, "x");
    world.run();
    world.advance(Duration::from_mins(61));
    world
}

/// What the thief of the tablet writes to Bob, where nothing else comes from it.
fn steal(world: &mut World) {
    world.server.tamper = Some(Box::new(|to, stanza| {
        let passes = stanza.contains("<message") && to.starts_with("bob@");
        if passes { vec![stanza] } else { vec![] }
    }));
    world.connect(TABLET);
    world.say(TABLET, BOB_JID, "it is me");
    world.run();
    world.disconnect(TABLET);
    world.server.tamper = None;
}

fn taken(world: &World) -> bool {
    bodies(world, BOB).contains(&"it is me")
}

fn retired(world: &World, tablet: u32) -> usize {
    count(world, BOB, |event| matches!(event, Event::DeviceRetired { device, .. } if *device == tablet))
}

/// Alice retires the tablet on the laptop, and Bob is told.
fn retire(world: &mut World, tablet: u32) {
    world.command(LAPTOP, Command::RetireDevice { device: tablet });
    world.run();
    world.advance(Duration::from_mins(61));
    assert_eq!(retired(world, tablet), 1);
}

#[test]
fn c8_who_has_lost_all_devices_learns_from_contacts_which_there_were_and_retires_them() {
    let mut world = with_laptop(80, true);
    let mut all = [ALICE, TABLET, LAPTOP].map(|device| id(&world, device));
    all.sort_unstable();
    assert_eq!(live(&world, LAPTOP), all, "{}", world.dump());
    let new = |event: &Event| matches!(event, Event::NewDevice { .. });
    assert_eq!(count(&world, LAPTOP, new), 2);
    let tablet = id(&world, TABLET);
    retire(&mut world, tablet);
    steal(&mut world);
    assert!(!taken(&world));
    assert!(rejected(&world, BOB).contains(&Unreadable::NoSession.into()));
}

#[test]
fn c8_a_device_that_no_list_holds_can_be_retired() {
    let mut world = with_laptop(82, false);
    let tablet = id(&world, TABLET);
    assert_eq!(live(&world, LAPTOP), [id(&world, LAPTOP)]);
    retire(&mut world, tablet);
    steal(&mut world);
    assert!(!taken(&world));
}

#[test]
fn c8_a_device_that_is_left_out_is_read_for_a_week_at_most() {
    for (days, expected) in [(6, true), (8, false)] {
        let mut world = with_laptop(83, false);
        // Nothing is heard of the account meanwhile.
        world.disconnect(LAPTOP);
        world.advance(Duration::from_hours(24 * days));
        steal(&mut world);
        assert_eq!(taken(&world), expected, "{days}");
        assert_eq!(rejected(&world, BOB).contains(&Unreadable::NoSession.into()), !expected);
    }
}

#[test]
fn c8_a_device_that_is_left_out_and_names_a_list_that_is_not_there_is_soon_not_believed() {
    let mut world = with_laptop(84, false);
    let shown = world.server.items(ALICE_JID, LISTS).to_vec();
    world.disconnect(BOB);
    world.disconnect(LAPTOP);
    world.server.tamper = None;
    // It makes a list that nobody sees, and a handshake that names it.
    world.connect(TABLET);
    world.run();
    world.disconnect(TABLET);
    world.command(TABLET, Command::Restored);
    world.server.set_items(ALICE_JID, LISTS, shown);
    world.server.tamper = Some(Box::new(|to, stanza| {
        let asks = to.starts_with("alice@example.com/") && stanza.starts_with("<iq");
        if asks { vec![] } else { vec![stanza] }
    }));
    world.connect(BOB);
    world.advance(Duration::from_hours(24 * 8));
    let texts = ["first", "second", "third", "fourth", "fifth", "sixth"];
    for text in texts {
        world.connect(TABLET);
        world.command(TABLET, Command::Restored);
        world.say(TABLET, BOB_JID, text);
        world.run();
        world.disconnect(TABLET);
        world.advance(Duration::from_mins(10));
    }
    steal(&mut world);
    let told = bodies(&world, BOB).into_iter().filter(|body| texts.contains(body)).count();
    assert!(told <= 3, "{:?}", bodies(&world, BOB));
    assert!(!taken(&world), "{}", world.dump());
    // And that it is retired is told all the same.
    let tablet = id(&world, TABLET);
    assert_eq!(retired(&world, tablet), 0);
    world.connect(LAPTOP);
    world.run();
    retire(&mut world, tablet);
}

/// The first of its devices that is asked knows the list already, and is silent.
#[test]
fn c8_a_contact_shows_its_list_to_a_device_that_the_list_does_not_hold() {
    let mut world = talking(85);
    world.disconnect(ALICE);
    let before = world.server.items(ALICE_JID, LISTS).to_vec();
    world.server.set_items(ALICE_JID, LISTS, Vec::new());
    world.add("alice@example.com/laptop");
    world.advance(Duration::from_hours(3));
    let laptop = 2;
    hide_lists_shown(&mut world);
    world.connect(laptop);
    world.run();
    assert_eq!(reached(&mut world), [id(&world, laptop)]);
    // It hangs.
    world.server.tamper =
        Some(Box::new(
            |to, stanza| {
                if to.starts_with("alice@example.com/laptop") { vec![] } else { vec![stanza] }
            },
        ));
    world.server.set_items(ALICE_JID, LISTS, before);
    world.connect(ALICE);
    world.run();
    world.advance(Duration::from_mins(11));
    let mut all = [ALICE, laptop].map(|device| id(&world, device));
    all.sort_unstable();
    assert_eq!(live(&world, ALICE), all, "{}", world.dump());
}
