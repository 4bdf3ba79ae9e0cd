//! Servers that give no answer. Silence does not say that there are no keys.

use std::time::Duration;

use xmpp_e2e::{Command, Waiting};
use xmpp_e2e_testkit::device::End;

use super::*;

const SECRET: Need = Need::Encrypted(Level::HYBRID);

/// What becomes of an iq on its way to a client.
#[derive(Clone, Copy)]
enum Answers {
    Lost,
    /// An error that says to wait (RFC 6120, section 8.3.2).
    Wait,
}

/// Answers that come `from` an account's server, as long as this is set.
fn withhold(world: &mut World, from: &'static str, how: Answers) {
    world.server.tamper = Some(Box::new(move |to, stanza| {
        let from_it = stanza.contains(&format!("from='{from}'")) || bare(to) == from;
        if !stanza.starts_with("<iq ") || !from_it || stanza.contains("type='get'") {
            return vec![stanza];
        }
        let id = stanza.split("id='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        match how {
            Answers::Lost => Vec::new(),
            Answers::Wait => vec![format!(
                "<iq type='error' id='{id}' from='{from}' to='{to}'><error type='wait'>\
                 <remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )],
        }
    }));
}

fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// Alice and Bob, who are no contacts of each other, online.
fn strangers(seed: u64) -> World {
    let mut world = World::new(seed);
    world.add("alice@example.com/phone");
    world.add("bob@example.org/desk");
    for device in [ALICE, BOB] {
        world.connect(device);
    }
    world.run();
    world
}

/// How many adverts nothing has vouched for.
fn refused(world: &World) -> usize {
    let reason = Reason::from(xmpp_e2e::Unreadable::NoRecord);
    count(world, ALICE, |event| matches!(event, Event::Rejected { reason: why, .. } if *why == reason))
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[test]
fn a_message_waits_for_keys_that_a_server_does_not_give() {
    for (seed, how) in [(60, Answers::Lost), (61, Answers::Wait)] {
        let mut world = strangers(seed);
        withhold(&mut world, BOB_JID, how);
        let token = world.say_with(ALICE, BOB_JID, "at last", SECRET);
        world.advance(minutes(30));
        assert_eq!(ends(&world, ALICE, token), []);
        assert_eq!(world.devices[ALICE].record.waited.last(), Some(&(token, Waiting::Keys)));
        world.server.tamper = None;
        world.advance(minutes(61));
        assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
        assert_eq!(bodies(&world, BOB), ["at last"]);
    }
}

#[test]
fn it_is_asked_again_more_and_more_rarely_and_until_nothing_waits() {
    let mut world = strangers(62);
    withhold(&mut world, BOB_JID, Answers::Lost);
    let token = world.say_with(ALICE, BOB_JID, "x", SECRET);
    let asked = |world: &World| sent(world, ALICE, "to='bob@example.org'").len();
    world.advance(minutes(60));
    let hour = asked(&world);
    assert!((5..=12).contains(&hour), "{hour}");
    world.advance(Duration::from_secs(DAY));
    assert!((15..=30).contains(&(asked(&world) - hour)), "{}", asked(&world) - hour);
    world.command(ALICE, Command::Cancel(token));
    world.advance(minutes(120));
    let before = asked(&world);
    world.advance(Duration::from_secs(DAY));
    assert_eq!(asked(&world), before, "nobody waits");
    // The next message is not refused because of it.
    world.server.tamper = None;
    let token = world.say_with(ALICE, BOB_JID, "y", SECRET);
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
}

#[test]
fn a_message_that_waited_a_week_fails() {
    let mut world = strangers(63);
    withhold(&mut world, BOB_JID, Answers::Lost);
    let token = world.say_with(ALICE, BOB_JID, "x", SECRET);
    world.advance(Duration::from_secs(7 * DAY - 60));
    assert_eq!(ends(&world, ALICE, token), []);
    world.advance(minutes(2));
    assert_eq!(ends(&world, ALICE, token), [End::Failed(xmpp_e2e::SendError::NoKeys)]);
}

#[test]
fn a_new_stream_asks_at_once() {
    let mut world = strangers(64);
    withhold(&mut world, BOB_JID, Answers::Lost);
    let token = world.say_with(ALICE, BOB_JID, "x", SECRET);
    world.advance(minutes(30));
    world.server.tamper = None;
    world.disconnect(ALICE);
    world.connect(ALICE);
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
}

#[test]
fn a_slow_server_is_waited_for_longer_each_time() {
    for seed in 0..5 {
        let mut world = strangers(65);
        // An answer takes up to a minute; the first request waits for twenty seconds.
        world.lossy(seed, xmpp_e2e_testkit::link::Odds { delay: 1000, ..Default::default() });
        let token = world.say_with(ALICE, BOB_JID, "x", SECRET);
        world.advance(minutes(15));
        assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]), "{:?}", ends(&world, ALICE, token));
    }
}

#[test]
fn an_advert_whose_record_is_not_given_is_verified_later_or_refused_once() {
    let late = |given: bool| {
        let mut world = strangers(66);
        world.server.befriend(ALICE_JID, BOB_JID);
        // Neither the server nor the device answers.
        world.server.tamper = Some(Box::new(|to, stanza| {
            let lost = bare(to) == ALICE_JID && stanza.starts_with("<iq ") && stanza.contains("from='bob@");
            if lost { Vec::new() } else { vec![stanza] }
        }));
        for device in [ALICE, BOB] {
            world.disconnect(device);
            world.connect(device);
        }
        world.advance(minutes(3));
        assert_eq!(refused(&world), 0);
        if given {
            world.server.tamper = None;
        }
        world.advance(minutes(180));
        world
    };
    let world = late(true);
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Encrypts { .. })), 1);
    assert_eq!(refused(&world), 0);
    let world = late(false);
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Encrypts { .. })), 0);
    assert_eq!(refused(&world), 1);
}

#[test]
fn devices_that_are_known_do_not_wait_for_one_whose_keys_are_not_given() {
    let mut world = talking(67);
    let tablet = world.add("bob@example.org/tablet");
    // The record of the new device is not to be had, its list is.
    world.server.tamper = Some(Box::new(|to, stanza| {
        let keys = stanza.contains("urn:xmpp:e2e:0:device'") || stanza.contains("<keys ");
        let lost = bare(to) == ALICE_JID && stanza.starts_with("<iq ") && keys;
        if lost { Vec::new() } else { vec![stanza] }
    }));
    world.connect(tablet);
    world.run();
    // It names the new list.
    world.disconnect(BOB);
    world.connect(BOB);
    world.advance(minutes(2));
    let token = world.say(ALICE, BOB_JID, "to the desk");
    world.run();
    let coverage = covered(&world, ALICE, token);
    assert_eq!((coverage.devices.len(), coverage.missing.len()), (1, 1));
    assert_eq!(bodies(&world, BOB), ["to the desk"]);
}

#[test]
fn the_own_list_is_asked_for_again_and_then_the_device_shows_itself() {
    let mut world = World::new(68);
    world.add("alice@example.com/phone");
    withhold(&mut world, ALICE_JID, Answers::Lost);
    world.connect(ALICE);
    world.advance(minutes(5));
    assert_eq!(world.server.items(ALICE_JID, "urn:xmpp:e2e:0:devices"), [], "there may be one already");
    world.server.tamper = None;
    world.advance(minutes(30));
    for node in ["urn:xmpp:e2e:0:device", "urn:xmpp:e2e:0:devices"] {
        assert_eq!(world.server.items(ALICE_JID, node).len(), 1, "{node}");
    }
    assert_eq!(world.devices[ALICE].engine().own_devices().unwrap().len(), 1);
}

/// Alice logs in and writes to Bob before she has seen his presence; his server does not keep his keys.
fn early(seed: u64) -> (World, Token) {
    let mut world = World::new(seed);
    for device in ["alice@example.com/phone", "bob@example.org/desk"] {
        world.add(device);
    }
    world.server.befriend(ALICE_JID, BOB_JID);
    world.server.set_pep(BOB_JID, xmpp_e2e_testkit::server::Pep::Refuses);
    world.connect(BOB);
    world.run();
    world.server.tamper = Some(Box::new(|to, stanza| {
        let late = bare(to) == ALICE_JID && stanza.starts_with("<presence");
        if late && stanza.contains("from='bob@") { Vec::new() } else { vec![stanza] }
    }));
    world.connect(ALICE);
    let token = world.say_with(ALICE, BOB_JID, "early", SECRET);
    world.run();
    assert_eq!(ends(&world, ALICE, token), [], "presences are still coming in");
    world.server.tamper = None;
    (world, token)
}

#[test]
fn a_message_waits_for_presences_that_are_still_coming_in() {
    let (mut world, token) = early(67);
    world.disconnect(BOB);
    world.connect(BOB);
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    assert_eq!(bodies(&world, BOB), ["early"]);
}

#[test]
fn and_fails_when_nobody_has_come() {
    let (mut world, token) = early(68);
    world.advance(Duration::from_secs(9));
    assert_eq!(ends(&world, ALICE, token), []);
    world.advance(Duration::from_secs(3));
    assert_eq!(ends(&world, ALICE, token), [End::Failed(xmpp_e2e::SendError::NoKeys)]);
}
