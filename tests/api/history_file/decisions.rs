//! What comes of decisions about keys that differ from those of the other device.

use super::*;

/// The telephone knows a key of Bob's that the user has compared; the tablet has first seen another, and now knows of both.
/// The verified one, the tablet, and who is in between.
fn shown_another(seed: u64) -> (World, [u8; 32], usize, usize) {
    let mut world = World::pair(seed);
    set_trust(&mut world, ALICE, BOB_JID, Trust::Verified);
    let verified = key_of(&world, ALICE, BOB_JID);
    world.disconnect(BOB);
    for node in ["urn:xmpp:e2e:0:devices", "urn:xmpp:e2e:0:device"] {
        world.server.set_items(BOB_JID, node, Vec::new());
    }
    let mut other = World::new(98);
    other.add("bob@example.org/evil");
    let agent = other.devices.remove(0).agent;
    world.devices.push(Device::with_agent("bob@example.org/evil", agent));
    let evil = TABLET;
    let tablet = world.add("alice@example.com/tablet");
    for device in [tablet, evil] {
        world.connect(device);
        world.run();
    }
    assert_ne!(key_of(&world, tablet, BOB_JID), verified);
    give(&mut world, tablet);
    (world, verified, tablet, evil)
}

/// Alice's telephone gives the tablet a file.
fn give(world: &mut World, tablet: usize) {
    let (sealed, file) = seal(world, ALICE, tablet, b"archive");
    offer(world, ALICE, &file);
    take(world, tablet, &sealed);
}

/// How often the tablet has been told of this key, as one verified elsewhere or not.
fn told(world: &World, tablet: usize, key: [u8; 32], verified: bool) -> usize {
    count(world, tablet, |event| {
        matches!(event, Event::KeyChanged { digest, verified_elsewhere, .. }
            if (*digest, *verified_elsewhere) == (key, verified))
    })
}

/// Who is in between goes, and Bob comes back.
fn bob_is_back(world: &mut World, evil: usize) {
    world.disconnect(evil);
    for node in ["urn:xmpp:e2e:0:devices", "urn:xmpp:e2e:0:device"] {
        world.server.set_items(BOB_JID, node, Vec::new());
    }
    world.connect(BOB);
    world.run();
    world.advance(Duration::from_hours(48));
}

#[test]
fn c22_a_verified_key_that_differs_from_the_first_one_seen_alarms() {
    let (mut world, verified, tablet, evil) = shown_another(16);
    assert_eq!(told(&world, tablet, verified, true), 1);
    world.say(tablet, BOB_JID, "not for mallory");
    world.run();
    assert_eq!(bodies(&world, evil), Vec::<&str>::new());
}

#[test]
fn c22_a_key_verified_elsewhere_is_verified_once_accepted() {
    let (mut world, digest, tablet, evil) = shown_another(17);
    world.command(tablet, Command::AcceptKey { jid: BOB_JID, digest });
    world.run();
    assert_eq!(key_of(&world, tablet, BOB_JID), digest);
    assert_eq!(trust_in(&world, tablet, BOB_JID), (Trust::Verified, Means::OwnDevice));
    bob_is_back(&mut world, evil);
    world.say(tablet, BOB_JID, "for you");
    world.run();
    assert_eq!(bodies(&world, BOB), ["for you"]);
}

#[test]
fn c22_a_key_verified_elsewhere_and_rejected_is_in_question_again_when_shown() {
    let (mut world, digest, tablet, evil) = shown_another(18);
    let known = key_of(&world, tablet, BOB_JID);
    world.command(tablet, Command::RejectKey { jid: BOB_JID, digest });
    world.run();
    assert_eq!(key_of(&world, tablet, BOB_JID), known);
    assert_eq!(world.devices[tablet].engine().trust_history(BOB_JID).unwrap(), []);
    // The same again is no news.
    give(&mut world, tablet);
    assert_eq!(told(&world, tablet, digest, true), 1);
    bob_is_back(&mut world, evil);
    assert_eq!((told(&world, tablet, digest, true), told(&world, tablet, digest, false)), (2, 0));
    world.command(tablet, Command::AcceptKey { jid: BOB_JID, digest });
    assert_eq!(trust_in(&world, tablet, BOB_JID), (Trust::Verified, Means::OwnDevice));
}

/// Whoever has verified the key known here is not asked to take back what another device believed before.
#[test]
fn c22_what_is_verified_here_outweighs_what_was_verified_elsewhere() {
    let (mut world, digest, tablet, evil) = shown_another(19);
    world.command(tablet, Command::RejectKey { jid: BOB_JID, digest });
    set_trust(&mut world, tablet, BOB_JID, Trust::Verified);
    bob_is_back(&mut world, evil);
    assert_eq!((told(&world, tablet, digest, true), told(&world, tablet, digest, false)), (1, 1));
    world.command(tablet, Command::AcceptKey { jid: BOB_JID, digest });
    assert_eq!(trust_in(&world, tablet, BOB_JID), (Trust::FirstUse, Means::Accepted));
}

/// It is the only yes that there is for a program that seals by the application's decisions.
#[test]
fn c22_a_key_that_the_user_found_good_enough_is_so_on_the_other_device() {
    let mut world = three(20);
    give(&mut world, TABLET);
    assert_eq!(trust_in(&world, TABLET, BOB_JID), (Trust::FirstUse, Means::First));
    set_trust(&mut world, ALICE, BOB_JID, Trust::FirstUse);
    give(&mut world, TABLET);
    assert_eq!(trust_in(&world, TABLET, BOB_JID), (Trust::FirstUse, Means::OwnDevice));
}
