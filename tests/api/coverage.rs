//! Who can read what is sent, who cannot and why, and whether it goes out all the same.

use std::time::Duration;

use xmpp_e2e::suite::{SUITE_CLASSICAL, Suites};
use xmpp_e2e::{Coverage, NotCovered, Outlook, SendError, Uncovered};
use xmpp_e2e_testkit::device::End;
use xmpp_e2e_testkit::server::bare;

use super::*;

fn hybrid() -> Need {
    Need::Encrypted(Level::HYBRID)
}

fn id(world: &World, device: usize) -> u32 {
    world.devices[device].engine().device()
}

/// The end of a message of Alice to Bob.
fn say(world: &mut World, need: Need) -> End {
    let token = world.say_with(ALICE, BOB_JID, "x", need);
    world.run();
    ends(world, ALICE, token).first().expect("an end").clone()
}

fn covered(end: End) -> Coverage {
    let End::Sent(coverage) = end else { panic!("{end:?}") };
    coverage
}

/// Whether Alice lets messages go out that not all devices can read.
fn allow_partial(world: &mut World, partial: bool) {
    world.devices[ALICE].config.partial = partial;
    world.crash(ALICE);
    world.run();
    world.connect(ALICE);
    world.run();
}

/// Another device of an account, which has the classical suite only.
fn weak_device(world: &mut World, full_jid: &str) -> usize {
    let device = world.add(full_jid);
    world.devices[device].config.suites = Suites::new(&[&SUITE_CLASSICAL]).unwrap();
    world.devices[device].restore();
    world.connect(device);
    world.run();
    device
}

#[test]
fn c10_who_is_not_covered_is_told_with_the_reason() {
    let mut world = talking(1);
    let laptop = weak_device(&mut world, "bob@example.org/laptop");
    let tablet = weak_device(&mut world, "alice@example.com/tablet");
    let coverage = covered(say(&mut world, hybrid()));
    assert_eq!((coverage.devices, coverage.own_devices), (vec![id(&world, BOB)], Vec::new()));
    let expected = [
        NotCovered::new(id(&world, laptop), false, Uncovered::TooWeak),
        NotCovered::new(id(&world, tablet), true, Uncovered::TooWeak),
    ];
    assert_eq!(coverage.missing, expected);
    assert_eq!((bodies(&world, BOB), bodies(&world, laptop)), (vec!["x"], Vec::new()));
    // It is the stanza that needs more than they have.
    assert_eq!(covered(say(&mut world, Need::Policy)).missing, []);
    assert_eq!(bodies(&world, laptop), ["x"]);
}

#[test]
fn c10_a_coverage_is_the_same_after_a_restart() {
    let mut world = talking(2);
    weak_device(&mut world, "bob@example.org/laptop");
    world.devices[ALICE].acks = false;
    let coverage = covered(say(&mut world, hybrid()));
    assert_eq!(coverage.missing.len(), 1);
    let again = world.with(ALICE, |device, _, env| {
        device.restore();
        apply(device, env, Input::Tick)
    });
    let told = again.iter().find_map(|effect| match effect {
        Effect::Sent { coverage, .. } => Some(coverage),
        _ => None,
    });
    assert_eq!(told, Some(&coverage));
}

#[test]
fn c10_a_device_that_is_away_too_long_or_whose_record_is_hidden_is_told() {
    let mut world = talking(3);
    let laptop = world.add("bob@example.org/laptop");
    // Its record is not to be had, its list is.
    world.server.tamper = Some(Box::new(|to, stanza| {
        let keys = stanza.contains("urn:xmpp:e2e:0:device'") || stanza.contains("<keys ");
        let lost = bare(to) == ALICE_JID && stanza.starts_with("<iq ") && keys;
        if lost { Vec::new() } else { vec![stanza] }
    }));
    world.connect(laptop);
    world.run();
    world.disconnect(BOB);
    world.connect(BOB);
    world.advance(Duration::from_mins(2));
    let missing = covered(say(&mut world, Need::Policy)).missing;
    assert_eq!(missing, [NotCovered::new(id(&world, laptop), false, Uncovered::NoRecord)]);

    let mut world = talking(4);
    let laptop = world.add("bob@example.org/laptop");
    world.connect(laptop);
    world.run();
    // There has been no session with it when its record ends.
    world.disconnect(laptop);
    world.advance(Duration::from_hours(40 * 24));
    let missing = covered(say(&mut world, Need::Policy)).missing;
    assert_eq!(missing, [NotCovered::new(id(&world, laptop), false, Uncovered::Expired)]);
}

#[test]
fn c11_whether_one_device_without_keys_stops_a_message_is_the_callers_choice() {
    for weak in ["bob@example.org/laptop", "alice@example.com/tablet"] {
        let mut world = talking(5);
        allow_partial(&mut world, false);
        assert_eq!(covered(say(&mut world, hybrid())).missing, []);
        weak_device(&mut world, weak);
        assert_eq!(say(&mut world, hybrid()), End::Failed(SendError::Incomplete), "{weak}");
        assert_eq!(covered(say(&mut world, Need::Policy)).missing, []);
        allow_partial(&mut world, true);
        assert_eq!(covered(say(&mut world, hybrid())).missing.len(), 1, "{weak}");
    }
}

#[test]
fn c11_the_outlook_says_so_beforehand() {
    let mut world = talking(6);
    weak_device(&mut world, "bob@example.org/laptop");
    say(&mut world, Need::Policy);
    let outlook = |world: &World| world.devices[ALICE].engine().outlook(BOB_JID, &hybrid()).unwrap();
    assert!(matches!(outlook(&world), Outlook::EncryptedLater | Outlook::Encrypted));
    allow_partial(&mut world, false);
    assert_eq!(outlook(&world), Outlook::Refused(SendError::Incomplete));
}

#[test]
fn c11_if_no_device_is_strong_enough_the_message_fails() {
    let mut world = World::new(7);
    world.add("alice@example.com/phone");
    world.connect(ALICE);
    let bob = weak_device(&mut world, "bob@example.org/desk");
    world.server.befriend(ALICE_JID, BOB_JID);
    for device in [ALICE, bob] {
        world.disconnect(device);
        world.connect(device);
    }
    world.run();
    assert_eq!(say(&mut world, hybrid()), End::Failed(SendError::Level));
}
