//! Adverts, and what changes with time.

use std::time::Duration;

use xmpp_e2e::{Unreadable, Waiting};

use xmpp_e2e_testkit::device::End;

use super::*;

const NODE: &str = "urn:xmpp:e2e:0:device";

fn adverts(world: &World, device: usize) -> Vec<bool> {
    sent(world, device, "<presence").iter().map(|stanza| stanza.contains("<e2e ")).collect()
}

#[test]
fn c8_presence_is_held_until_its_advert_can_be_verified() {
    let mut world = World::new(1);
    world.add("alice@example.com/phone");
    world.connect(ALICE);
    assert_eq!(adverts(&world, ALICE), [false; 0]);
    assert!(world.devices[ALICE].record.waited.iter().any(|(_, why)| *why == Waiting::Publication));
    world.run();
    assert_eq!(adverts(&world, ALICE), [true]);
    let log = &world.server.log;
    let at = |what: &str| log.iter().position(|crossing| crossing.stanza.contains(what)).unwrap();
    assert!(at(&format!("<publish node='{NODE}'>")) < at("<presence"));
}

#[test]
fn presence_goes_in_time_without_advert_and_is_mended() {
    let mut world = World::new(2);
    world.add("alice@example.com/phone");
    world.devices[ALICE].answers = false;
    world.connect(ALICE);
    world.run();
    assert_eq!(adverts(&world, ALICE), [false; 0]);
    world.advance(Duration::from_secs(25));
    assert_eq!(adverts(&world, ALICE), [false]);
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.run();
    assert_eq!(adverts(&world, ALICE), [false, true]);
}

#[test]
fn directed_and_unavailable_presence_pass_without_advert() {
    let mut world = talking(3);
    // Carol is not known to encrypt.
    for stanza in ["<presence to='carol@example.net'/>", "<presence type='unavailable'/>"] {
        let token =
            world.with(ALICE, |device, server, env| device.hand_in(server, env, stanza, Need::Policy));
        assert_eq!(ends(&world, ALICE, token), [End::Pass]);
    }
    world.run();
    assert_eq!(adverts(&world, ALICE), [false, false]);
}

#[test]
fn adverts_are_renewed_at_half_their_life() {
    let mut world = talking(4);
    world.advance(Duration::from_secs(3 * DAY));
    assert_eq!(adverts(&world, ALICE), [false; 0]);
    world.advance(Duration::from_secs(DAY));
    assert_eq!(adverts(&world, ALICE), [true]);
    assert_eq!(world.devices[BOB].record.events, []);
    world.advance(Duration::from_secs(30 * DAY));
    let count = adverts(&world, ALICE).len();
    assert!((8..=20).contains(&count), "{count}");
}

#[test]
fn records_rotate_weekly() {
    let mut world = talking(5);
    let record = |world: &World| world.server.items(BOB_JID, NODE)[0].1.clone();
    let first = record(&world);
    world.advance(Duration::from_secs(6 * DAY));
    assert_eq!(record(&world), first);
    world.advance(Duration::from_secs(2 * DAY));
    let second = record(&world);
    assert_ne!(second, first);
    world.advance(Duration::from_secs(7 * DAY));
    assert_ne!(record(&world), second);
    assert_eq!(world.server.items(BOB_JID, NODE).len(), 1);
}

/// A first message without one-time keys, read by Bob so many days after it was written.
fn first_message_after(days: u64) -> World {
    let mut world = World::pair(6);
    world.disconnect(BOB);
    world.run();
    world.say(ALICE, BOB_JID, "x");
    world.run();
    let message = sent(&world, ALICE, "<message").pop().unwrap();
    world.server.tamper =
        Some(Box::new(|_, stanza| if stanza.starts_with("<message") { Vec::new() } else { vec![stanza] }));
    world.connect(BOB);
    world.advance(Duration::from_secs(days * DAY));
    world.server.tamper = None;
    let message = message.replacen("<message ", "<message from='alice@example.com/phone' ", 1);
    world.server.inject("bob@example.org/desk", message);
    world.run();
    world
}

#[test]
fn a_first_message_of_an_old_record_is_read_in_the_grace_period() {
    let world = first_message_after(37);
    assert_eq!(bodies(&world, BOB), ["x"]);
    assert_eq!(rejected(&world, BOB), []);
}

#[test]
fn after_the_grace_period_it_is_refused() {
    let world = first_message_after(41);
    assert_eq!(bodies(&world, BOB), Vec::<&str>::new());
    assert_eq!(rejected(&world, BOB), [Unreadable::NoPrekey.into()]);
}

#[test]
fn a_stripped_advert_is_noticed_and_a_server_made_absence_is_not() {
    let mut world = talking(7);
    let missing = |world: &World| count(world, ALICE, |event| matches!(event, Event::AdvertMissing { .. }));
    let from = "from='bob@example.org/desk' to='alice@example.com'";
    world.server.inject("alice@example.com/phone", format!("<presence {from} type='unavailable'/>"));
    world.run();
    assert_eq!(missing(&world), 0);
    world.disconnect(BOB);
    world.connect(BOB);
    world.run();
    world.server.inject("alice@example.com/phone", format!("<presence {from}/>"));
    world.run();
    assert_eq!(missing(&world), 1);
}
