//! Several devices, and two that begin at once.

use xmpp_e2e_testkit::device::End;

use super::*;

const TABLET: usize = 2;
const LAPTOP: usize = 3;

/// Two devices of each.
fn four(seed: u64) -> World {
    let mut world = World::pair(seed);
    world.add("alice@example.com/tablet");
    world.add("bob@example.org/laptop");
    for device in [TABLET, LAPTOP] {
        world.connect(device);
        world.run();
    }
    world
}

fn id(world: &World, device: usize) -> u32 {
    world.devices[device].engine().device()
}

#[test]
fn c10_one_message_reaches_all_devices_and_says_so() {
    let mut world = four(1);
    let token = world.say(ALICE, BOB_JID, "to all of you");
    world.run();
    for device in [BOB, LAPTOP] {
        assert_eq!(bodies(&world, device), ["to all of you"], "{device}");
    }
    let mut both = vec![id(&world, BOB), id(&world, LAPTOP)];
    both.sort_unstable();
    let coverage = covered(&world, ALICE, token);
    assert_eq!(coverage.devices, both);
    assert_eq!(coverage.own_devices, [id(&world, TABLET)]);
    assert_eq!((coverage.missing.len(), coverage.resources_without), (0, 0));
    assert_eq!(sent(&world, ALICE, "<e ").len(), 1);
}

#[test]
fn all_devices_answer_and_are_told_apart() {
    let mut world = four(2);
    for (device, text) in [(BOB, "desk"), (LAPTOP, "laptop"), (BOB, "desk again")] {
        world.say(device, ALICE_JID, text);
        world.run();
    }
    for device in [ALICE, TABLET] {
        assert_eq!(bodies(&world, device), ["desk", "laptop", "desk again"]);
        let senders = world.devices[device].inbox().iter().filter_map(|letter| letter.device);
        let expected = [id(&world, BOB), id(&world, LAPTOP), id(&world, BOB)];
        assert_eq!(senders.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn an_account_knows_its_own_devices() {
    let world = four(3);
    for account in [[ALICE, TABLET], [BOB, LAPTOP]] {
        let mut expected = account.map(|device| id(&world, device));
        expected.sort_unstable();
        for device in account {
            let own = world.devices[device].engine().own_devices().unwrap();
            assert!(own.iter().all(|known| known.live && known.expires.is_some()), "{own:?}");
            let mut own: Vec<u32> = own.iter().map(|known| known.device).collect();
            own.sort_unstable();
            assert_eq!(own, expected);
        }
    }
}

#[test]
fn a_new_device_is_an_event_and_covered_from_then_on() {
    let mut world = talking(4);
    world.add("bob@example.org/laptop");
    world.connect(TABLET);
    world.run();
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::NewDevice { .. })), 1);
    world.say(ALICE, BOB_JID, "x");
    world.run();
    assert_eq!(bodies(&world, TABLET), ["x"]);
    assert_eq!(bodies(&world, BOB), ["x"]);
}

#[test]
fn c10_resources_without_advert_are_counted() {
    let mut world = talking(5);
    world.server.connect("bob@example.org/old");
    world.server.send("bob@example.org/old", "<presence/>");
    world.run();
    let token = world.say(ALICE, BOB_JID, "x");
    let found = ends(&world, ALICE, token);
    assert!(matches!(&found[..], [End::Sent(coverage)] if coverage.resources_without == 1), "{found:?}");
    world.server.disconnect("bob@example.org/old");
    world.run();
    let token = world.say(ALICE, BOB_JID, "x");
    let found = ends(&world, ALICE, token);
    assert!(matches!(&found[..], [End::Sent(coverage)] if coverage.resources_without == 0), "{found:?}");
}

#[test]
fn c4_first_messages_at_once_both_ways_converge() {
    let mut world = World::pair(6);
    world.say(ALICE, BOB_JID, "me first");
    world.say(BOB, ALICE_JID, "no, me");
    world.run();
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID), (ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "agreed");
        world.run();
    }
    assert_eq!(bodies(&world, BOB), ["me first", "agreed", "agreed"]);
    assert_eq!(bodies(&world, ALICE), ["no, me", "agreed", "agreed"]);
    assert_eq!((rejected(&world, ALICE).len(), rejected(&world, BOB).len()), (0, 0));
    world.server.log.clear();
    world.say(ALICE, BOB_JID, "x");
    world.say(BOB, ALICE_JID, "x");
    world.run();
    let sizes = [ALICE, BOB].map(|device| sent(&world, device, "<message")[0].len());
    assert!(sizes.iter().all(|size| *size < 400), "the handshake is over: {sizes:?}");
    let ids = [id(&world, ALICE), id(&world, BOB)];
    let secret = |device: usize, jid: &str, other: u32| {
        let secret = world.devices[device].engine().export(jid, other, "x", b"", 32).unwrap();
        secret.map(|secret| secret.expose().to_vec())
    };
    assert_eq!(secret(ALICE, BOB_JID, ids[1]), secret(BOB, ALICE_JID, ids[0]));
}

#[test]
fn who_only_reads_sends_a_heartbeat_after_fifty() {
    let mut world = talking(7);
    let beats = |world: &World| sent(world, BOB, "<message").len();
    for n in 0..120 {
        world.say(ALICE, BOB_JID, &n.to_string());
        world.run();
        let expected = (n + 1) / 50;
        assert!(beats(&world).abs_diff(expected) <= 1, "{} beats after {n}", beats(&world));
    }
    assert_eq!(beats(&world), 2);
    assert_eq!(bodies(&world, ALICE), Vec::<&str>::new());
}
