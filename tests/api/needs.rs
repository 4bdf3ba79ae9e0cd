//! What a stanza needs, and what can be known before it is sent.

use xmpp_e2e::suite::{SUITE_CLASSICAL, Suites};
use xmpp_e2e::{Authentication, Error, Input, Misuse, Outlook, Pending, Protection, SendError, Waiting};
use xmpp_e2e_testkit::device::End;

use super::*;

const CAROL_JID: &str = "carol@example.net";

/// Carol has the classical suite only, and is a contact of Alice.
fn with_carol(seed: u64) -> (World, usize) {
    let mut world = World::pair(seed);
    let carol = world.add("carol@example.net/laptop");
    world.server.befriend(CAROL_JID, ALICE_JID);
    world.devices[carol].config.suites = Suites::new(&[&SUITE_CLASSICAL]).unwrap();
    world.devices[carol].restore();
    world.connect(carol);
    world.run();
    (world, carol)
}

#[test]
fn a_classical_peer_gets_classical_and_nothing_that_needs_more() {
    let (mut world, carol) = with_carol(1);
    let hybrid = Need::Encrypted(Level::HYBRID);
    let failed = [End::Failed(SendError::Level)];
    let before = world.say_with(ALICE, CAROL_JID, "secret", hybrid.clone());
    world.run();
    assert_eq!(ends(&world, ALICE, before), failed);
    world.say(ALICE, CAROL_JID, "hello");
    world.run();
    let after = world.say_with(ALICE, CAROL_JID, "secret", hybrid.clone());
    world.run();
    assert_eq!(ends(&world, ALICE, after), failed);
    assert_eq!(bodies(&world, carol), ["hello"]);
    let protection = world.devices[carol].inbox()[0].protection;
    assert!(matches!(protection, Some(Protection::Encrypted { level: Level::CLASSICAL, .. })));
    let outlook = world.devices[ALICE].engine().outlook(CAROL_JID, &hybrid).unwrap();
    assert_eq!(outlook, Outlook::Refused(SendError::Level));
}

#[test]
fn a_hybrid_peer_gets_what_needs_hybrid() {
    let mut world = World::pair(2);
    world.say_with(ALICE, BOB_JID, "secret", Need::Encrypted(Level::HYBRID));
    world.run();
    let protection = world.devices[BOB].inbox()[0].protection;
    assert!(matches!(protection, Some(Protection::Encrypted { level: Level::HYBRID, .. })));
}

#[test]
fn encrypted_to_somebody_without_keys_fails_and_nothing_goes_out() {
    let mut world = World::pair(3);
    world.server.connect("carol@example.net/laptop");
    let token = world.say_with(ALICE, CAROL_JID, "secret", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::NoKeys)]);
    assert_eq!(sent(&world, ALICE, "<message"), Vec::<String>::new());
    assert_eq!(sent(&world, ALICE, "secret"), Vec::<String>::new());
}

#[test]
fn without_a_stream_it_is_sealed_and_goes_with_the_next() {
    let mut world = World::pair(4);
    world.disconnect(ALICE);
    let token = world.say(ALICE, BOB_JID, "later");
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    let pending = world.devices[ALICE].engine().pending().unwrap();
    assert_eq!(pending, [Pending::Unacknowledged(token)]);
    assert_eq!(bodies(&world, BOB), Vec::<&str>::new());
    world.connect(ALICE);
    world.run();
    assert_eq!(bodies(&world, BOB), ["later"]);
    assert_eq!(world.devices[ALICE].engine().pending().unwrap(), []);
}

#[test]
fn without_a_stream_and_keys_it_waits_for_both() {
    let mut world = World::new(4);
    world.add("alice@example.com/phone");
    world.add("bob@example.org/desk");
    for device in [ALICE, BOB] {
        world.connect(device);
    }
    world.run();
    world.disconnect(ALICE);
    let token = world.say_with(ALICE, BOB_JID, "later", Need::Encrypted(Level::HYBRID));
    world.run();
    assert_eq!(ends(&world, ALICE, token), []);
    let engine = world.devices[ALICE].engine();
    assert_eq!(engine.pending().unwrap(), [Pending::Waiting(token)]);
    assert_eq!(world.devices[ALICE].record.waited.last(), Some(&(token, Waiting::Connection)));
    world.connect(ALICE);
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    assert_eq!(bodies(&world, BOB), ["later"]);
}

#[test]
fn c23_clear_text_to_who_encrypts_takes_the_consent_of_the_event() {
    let mut world = talking(5);
    let clear =
        "<message from='bob@example.org/desk' to='alice@example.com' type='chat'><body>?</body></message>";
    world.server.inject("alice@example.com/phone", clear.to_owned());
    world.run();
    let events = &world.devices[ALICE].record.events;
    let [Event::ClearText { peer, consent }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(peer.as_str(), BOB_JID);
    let need = Need::Clear(consent.clone());
    assert_eq!(world.devices[ALICE].engine().outlook(BOB_JID, &need).unwrap(), Outlook::Clear);
    let wrong = message(CAROL_JID, "m", "x");
    world.with(ALICE, |device, _, env| {
        let input = Input::Outgoing { stanza: &wrong, token: Token(90), need: need.clone() };
        let error = device.engine_mut().handle(env, input).unwrap_err();
        assert_eq!(error, Error::Misuse(Misuse::Consent));
    });
    let token = world.say_with(ALICE, BOB_JID, "in clear", need);
    world.run();
    assert_eq!(ends(&world, ALICE, token), [End::Pass]);
    assert_eq!(sent(&world, ALICE, "in clear").len(), 1);
}

#[test]
fn the_outlook_says_what_then_happens() {
    let mut world = World::pair(6);
    let outlook =
        |world: &World, jid: &str| world.devices[ALICE].engine().outlook(jid, &Need::Policy).unwrap();
    assert_eq!(outlook(&world, CAROL_JID), Outlook::Clear);
    assert_eq!(outlook(&world, BOB_JID), Outlook::EncryptedLater);
    world.say(ALICE, BOB_JID, "x");
    world.run();
    assert_eq!(outlook(&world, BOB_JID), Outlook::Encrypted);
    let later = Need::Encrypted(Level::CLASSICAL);
    let unknown = world.devices[ALICE].engine().outlook(CAROL_JID, &later).unwrap();
    assert_eq!(unknown, Outlook::EncryptedLater);
    let bad = world.devices[ALICE].engine().outlook("@", &Need::Policy);
    assert_eq!(bad, Err(Error::Misuse(Misuse::Jid)));
}

#[test]
fn rooms_and_other_stanzas_are_refused_when_they_need_protection() {
    let mut world = talking(7);
    let need = Need::Encrypted(Level::CLASSICAL);
    for (stanza, why) in [
        ("<message to='room@example.net' type='groupchat'><body>x</body></message>", SendError::NotForRooms),
        // The server answers for a bare JID, and reads subscriptions.
        ("<iq to='bob@example.org' type='get' id='1'><x xmlns='y'/></iq>", SendError::NotProtectable),
        ("<iq to='bob@example.org/away' type='get' id='1'><x xmlns='y'/></iq>", SendError::NoKeys),
        ("<iq to='bob@example.org/desk' type='result' id='1'/>", SendError::NotProtectable),
        ("<presence to='bob@example.org' type='subscribe'/>", SendError::NotProtectable),
        ("<presence/>", SendError::NotProtectable),
    ] {
        let token =
            world.with(ALICE, |device, server, env| device.hand_in(server, env, stanza, need.clone()));
        assert_eq!(ends(&world, ALICE, token), [End::Failed(why)], "{stanza}");
    }
    let large = "x".repeat(300_000);
    let token = world.say(ALICE, BOB_JID, &large);
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::TooLarge)]);
    world.say(ALICE, BOB_JID, "small");
    world.run();
    assert_eq!(bodies(&world, BOB), ["small"]);
}

#[test]
fn both_sides_export_the_same_secret_apart_for_each_use() {
    let mut world = talking(8);
    let ids: Vec<u32> = world.devices.iter().map(|device| device.engine().device()).collect();
    let export = |world: &World, device: usize, label: &str, context: &[u8]| {
        let jid = if device == ALICE { BOB_JID } else { ALICE_JID };
        let engine = world.devices[device].engine();
        let secret = engine.export(jid, ids[1 - device], label, context, 32).unwrap();
        secret.map(|secret| secret.expose().to_vec())
    };
    let secret = export(&world, ALICE, "media", b"call 1").unwrap();
    assert_eq!(secret.len(), 32);
    assert_eq!(export(&world, BOB, "media", b"call 1").as_ref(), Some(&secret));
    assert_ne!(export(&world, BOB, "media", b"call 2").as_ref(), Some(&secret));
    assert_ne!(export(&world, BOB, "files", b"call 1").as_ref(), Some(&secret));
    world.say(ALICE, BOB_JID, "x");
    world.run();
    assert_eq!(export(&world, ALICE, "media", b"call 1"), Some(secret));
    let unknown = world.devices[ALICE].engine().export(BOB_JID, ids[1] ^ 1, "media", b"", 32).unwrap();
    assert!(unknown.is_none());
}

#[test]
fn the_outlook_is_what_becomes_of_a_message() {
    let mut world = talking(30);
    let outlook = |world: &World, need: &Need| world.devices[ALICE].engine().outlook(BOB_JID, need).unwrap();
    let signed = Need::Authenticated(Authentication::signed());
    assert_eq!(outlook(&world, &signed), Outlook::Authenticated);
    // Without a certificate a message waits for the agent.
    world.devices[ALICE].answers = false;
    world.command(ALICE, xmpp_e2e::Command::Restored);
    assert_eq!(outlook(&world, &signed), Outlook::AuthenticatedLater);
    let token = world.say_with(ALICE, BOB_JID, "x", signed);
    assert_eq!(ends(&world, ALICE, token), []);
}

#[test]
fn the_outlook_knows_that_all_devices_have_expired() {
    let mut world = talking(31);
    world.disconnect(BOB);
    world.run();
    world.advance(std::time::Duration::from_secs(400 * DAY));
    let outlook = world.devices[ALICE].engine().outlook(BOB_JID, &Need::Policy).unwrap();
    let token = world.say(ALICE, BOB_JID, "x");
    world.run();
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::NoKeys)]);
    assert_eq!(outlook, Outlook::Refused(SendError::NoKeys));
}
