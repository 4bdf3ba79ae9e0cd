//! Presence that its device signs.

use std::time::Duration;

use xmpp_e2e::{Command, Misbehaviour, SendError, Waiting};

use xmpp_e2e_testkit::device::End;

use super::*;

const PHONE: &str = "alice@example.com/phone";
const DESK: &str = "bob@example.org/desk";

const FULL: &str = "<presence><show>away</show><status>Wooing</status><status xml:lang='de'>Ich\nwerbe</status>\
    <priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>";

/// Alice, who signs her presence, and Bob, who does not, and knows her keys.
fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.add(PHONE);
    world.add(DESK);
    world.server.befriend(ALICE_JID, BOB_JID);
    world.devices[ALICE].config.sign_presence = true;
    world.devices[ALICE].restore();
    for device in [ALICE, BOB] {
        world.connect(device);
    }
    world.run();
    clear(&mut world);
    world
}

fn clear(world: &mut World) {
    for device in &mut world.devices {
        device.record.events.clear();
        device.record.rejected.clear();
        device.record.signed.clear();
        device.record.waited.clear();
    }
    world.server.log.clear();
}

fn hand_in(world: &mut World, stanza: &str) -> Token {
    world.with(ALICE, |device, server, env| device.hand_in(server, env, stanza, Need::Policy))
}

/// The presences that Bob took as signed by Alice's device.
fn signed(world: &World) -> Vec<&str> {
    let device = &world.devices[BOB].record.signed;
    assert!(device.iter().all(|(peer, _, _)| peer == ALICE_JID));
    device.iter().map(|(_, _, stanza)| stanza.as_str()).collect()
}

/// What Bob's server sent of Alice's presence.
fn arrived(world: &World) -> Vec<String> {
    let came = world.server.log.iter().filter(|crossing| crossing.way == Way::In && crossing.client == DESK);
    let of_alice = format!("from='{PHONE}'");
    let presence = |stanza: &&String| stanza.starts_with("<presence") && stanza.contains(&of_alice);
    came.map(|crossing| &crossing.stanza).filter(presence).cloned().collect()
}

fn inject(world: &mut World, stanza: &str) {
    assert!(world.server.inject(DESK, stanza.to_owned()));
    world.run();
}

/// A presence of Alice's as Bob got it, before he did anything with it.
fn held_back(world: &mut World, stanza: &str) -> String {
    clear(world);
    world.server.tamper = Some(Box::new(|to, stanza| {
        let keep = to == DESK && stanza.starts_with("<presence");
        if keep { Vec::new() } else { vec![stanza] }
    }));
    hand_in(world, stanza);
    world.run();
    world.server.tamper = None;
    let [sent] = &sent(world, ALICE, "<presence")[..] else { panic!("one presence") };
    sent.replacen("<presence", &format!("<presence from='{PHONE}' to='{BOB_JID}'"), 1)
}

#[test]
fn a_presence_is_signed_and_each_change_costs_a_signature() {
    let mut world = world(1);
    let mut sequences = Vec::new();
    for stanza in [FULL, "<presence/>", "<presence><show>dnd</show></presence>"] {
        let token = hand_in(&mut world, stanza);
        world.run();
        assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
        let sent = sent(&world, ALICE, "<presence");
        assert_eq!(sent.len(), 1);
        assert!(sent[0].contains("<e2e "));
        assert_eq!(signed(&world), [arrived(&world)[0].as_str()]);
        assert_eq!(world.devices[BOB].record.events, []);
        assert!(world.devices[ALICE].record.waited.contains(&(token, Waiting::Agent)));
        sequences.push(sent);
        clear(&mut world);
    }
    sequences.dedup();
    assert_eq!(sequences.len(), 3);
    // The same again needs none.
    world.devices[ALICE].answers = false;
    hand_in(&mut world, "<presence><show>dnd</show></presence>");
    world.run();
    assert_eq!(signed(&world).len(), 1);
    assert_eq!(world.devices[ALICE].record.waited, []);
}

#[test]
fn what_is_altered_is_rejected_and_passes_unsigned() {
    let mut world = world(2);
    let stanza = held_back(&mut world, FULL);
    for (old, new) in [
        ("away", "dnd"),
        ("<show>away</show>", ""),
        ("Wooing", "Waiting"),
        ("<status>", "<status xml:lang='en'>"),
        ("<priority>5", "<priority>6"),
        ("<priority>5", "<priority>high"),
        ("hash='sha-1'", "hash='md5'"),
        ("node='n'", "node='m'"),
        ("ver='v'", "ver='w'"),
        ("<presence ", "<presence type='unavailable' "),
        ("<show>", "<show>away</show><show>"),
    ] {
        let altered = stanza.replacen(old, new, 1);
        assert_ne!(altered, stanza);
        clear(&mut world);
        inject(&mut world, &altered);
        assert_eq!(signed(&world), [""; 0], "{old}");
        assert_eq!(rejected(&world, BOB), [Reason::Unauthentic], "{old}");
        assert_eq!(world.devices[BOB].record.events.len(), 1, "{old}");
    }
    // It had no effect, and the true one comes through; afterwards alterations are noticed as well.
    clear(&mut world);
    inject(&mut world, &stanza);
    assert_eq!(signed(&world), [stanza.as_str()]);
    inject(&mut world, &stanza.replacen("away", "dnd", 1));
    assert_eq!(signed(&world).len(), 1);
    assert_eq!(rejected(&world, BOB), [Reason::Unauthentic]);
}

#[test]
fn what_servers_do_to_it_does_not_matter() {
    let mut world = world(3);
    let stanza = held_back(&mut world, FULL);
    let status = "<status>Wooing</status>";
    for rewritten in [
        stanza.replacen("<presence ", "<presence xml:lang='en' id='x' ", 1),
        stanza.replacen(
            "</presence>",
            "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></presence>",
            1,
        ),
        stanza.replacen(status, "", 1).replacen("</presence>", &format!("{status}</presence>"), 1),
        stanza.replacen("Ich\n", "Ich\r\n", 1),
        stanza.replacen("<priority>5", "<priority> 5 ", 1),
        stanza.replacen("</presence>", "<x xmlns='vcard-temp:x:update'/></presence>", 1),
        stanza.replacen("/phone'", "/telephone'", 1),
        stanza.clone(),
    ] {
        clear(&mut world);
        inject(&mut world, &rewritten);
        assert_eq!(signed(&world), [rewritten.as_str()]);
        assert_eq!(world.devices[BOB].record.events, []);
    }
}

#[test]
fn before_the_keys_are_known_it_passes_and_is_verified_later() {
    for (altered, reasons) in [("away", vec![]), ("dnd", vec![Reason::Unauthentic])] {
        let mut world = World::new(13);
        for device in [PHONE, DESK] {
            world.add(device);
        }
        world.server.befriend(ALICE_JID, BOB_JID);
        world.devices[ALICE].config.sign_presence = true;
        world.devices[ALICE].restore();
        world.devices[ALICE].presence = FULL.to_owned();
        world.server.tamper =
            Some(Box::new(move |_, stanza| vec![stanza.replace(">away<", &format!(">{altered}<"))]));
        world.connect(ALICE);
        world.run();
        world.connect(BOB);
        world.run();
        assert_eq!((signed(&world).len(), arrived(&world).len()), (0, 1));
        assert_eq!(count(&world, BOB, |event| matches!(event, Event::Encrypts { .. })), 1 - reasons.len());
        let events = world.devices[BOB].record.events.iter().filter_map(|event| match event {
            Event::Rejected { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(events.collect::<Vec<_>>(), reasons);
        world.server.tamper = None;
        let again = arrived(&world)[0].replace("dnd", "away");
        inject(&mut world, &again);
        assert_eq!(signed(&world), [again.as_str()]);
    }
}

#[test]
fn an_older_presence_is_none_that_is_signed() {
    let mut world = world(4);
    let older = held_back(&mut world, "<presence><show>dnd</show></presence>");
    hand_in(&mut world, "<presence/>");
    world.run();
    assert_eq!(signed(&world).len(), 1);
    clear(&mut world);
    inject(&mut world, &older);
    assert_eq!(signed(&world), [""; 0]);
    assert_eq!(world.devices[BOB].record.events, []);
}

#[test]
fn an_expired_presence_is_rejected() {
    for shown_before in [false, true] {
        let mut world = world(5);
        let stanza = held_back(&mut world, FULL);
        if shown_before {
            inject(&mut world, &stanza);
            assert_eq!(signed(&world).len(), 1);
        }
        world.disconnect(ALICE);
        world.advance(Duration::from_secs(8 * DAY + 1));
        clear(&mut world);
        inject(&mut world, &stanza);
        assert_eq!(signed(&world), [""; 0]);
        assert_eq!(rejected(&world, BOB), [Misbehaviour::Expired.into()]);
    }
}

#[test]
fn that_one_goes_is_signed_too() {
    let mut world = world(6);
    let token = hand_in(&mut world, "<presence type='unavailable'><status>Bye</status></presence>");
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    let [stanza] = &arrived(&world)[..] else { panic!("one presence") };
    assert_eq!(signed(&world), [stanza.as_str()]);
    let stanza = stanza.clone();
    clear(&mut world);
    inject(&mut world, &stanza.replacen("Bye", "Back soon", 1));
    assert_eq!(rejected(&world, BOB), [Reason::Unauthentic]);
    // One that the server makes says nothing.
    clear(&mut world);
    inject(&mut world, &format!("<presence from='{PHONE}' to='{BOB_JID}' type='unavailable'/>"));
    assert_eq!((signed(&world).len(), world.devices[BOB].record.events.len()), (0, 0));
    // Nobody is there to tell it to: it passes.
    let again = hand_in(&mut world, "<presence type='unavailable'/>");
    assert_eq!(ends(&world, ALICE, again), [End::Pass]);
    // Nothing is renewed while one is away; then one comes back.
    world.advance(Duration::from_secs(4 * DAY));
    assert_eq!(sent(&world, ALICE, "<e2e "), [""; 0]);
    hand_in(&mut world, "<presence/>");
    world.run();
    assert_eq!(signed(&world).len(), 1);
}

#[test]
fn an_agent_without_answer_lets_it_go_unsigned() {
    let mut world = world(7);
    world.devices[ALICE].answers = false;
    for stanza in [FULL, "<presence type='unavailable'/>"] {
        let token = hand_in(&mut world, stanza);
        world.run();
        assert_eq!(arrived(&world), [""; 0]);
        world.advance(Duration::from_secs(20));
        assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
        assert_eq!(arrived(&world).len(), 1);
        assert!(!arrived(&world)[0].contains("<e2e "));
        assert_eq!(signed(&world), [""; 0]);
        clear(&mut world);
    }
    // A late answer is for nothing that still counts.
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.run();
    assert_eq!(arrived(&world), [""; 0]);
    // A presence that went without is mended.
    world.devices[ALICE].answers = false;
    hand_in(&mut world, "<presence><show>xa</show></presence>");
    world.advance(Duration::from_secs(20));
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.run();
    assert_eq!(arrived(&world).len(), 2);
    assert_eq!(signed(&world), [arrived(&world)[1].as_str()]);
}

#[test]
fn only_the_last_presence_counts() {
    let mut world = world(8);
    world.devices[ALICE].answers = false;
    let first = hand_in(&mut world, "<presence/>");
    let [second, third] =
        [FULL, "<presence><show>xa</show></presence>"].map(|stanza| hand_in(&mut world, stanza));
    assert_eq!(ends(&world, ALICE, first).len(), 1);
    assert_eq!(ends(&world, ALICE, second), [End::Failed(SendError::Cancelled)]);
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.run();
    assert!(matches!(ends(&world, ALICE, third)[..], [End::Sent(_)]));
    assert!(signed(&world).last().unwrap().contains("<show>xa</show>"));
    assert_eq!(rejected(&world, BOB), []);
}

#[test]
fn what_cannot_be_signed_goes_with_an_advert_alone() {
    let mut world = world(9);
    hand_in(&mut world, "<presence><priority>high</priority></presence>");
    world.run();
    let [stanza] = &arrived(&world)[..] else { panic!("one presence") };
    assert!(stanza.contains("<e2e "));
    assert_eq!((signed(&world).len(), world.devices[BOB].record.events.len()), (0, 0));
}

#[test]
fn off_nothing_is_signed_or_held() {
    let mut one = World::pair(10);
    let presence = |world: &World| sent(world, ALICE, "<presence");
    let [sent] = &presence(&one)[..] else { panic!("one presence") };
    let advert = sent.strip_prefix("<presence>").unwrap();
    one.devices[ALICE].answers = false;
    one.server.log.clear();
    for stanza in ["<presence><show>away</show></presence>", "<presence type='unavailable'/>"] {
        hand_in(&mut one, stanza);
    }
    one.run();
    let expected = format!("<presence><show>away</show>{advert}");
    assert_eq!(presence(&one), [expected.as_str(), "<presence type='unavailable'/>"]);
    assert_eq!(one.devices[BOB].record.signed, []);
}

#[test]
fn it_survives_restarts_and_new_keys() {
    let mut world = world(11);
    hand_in(&mut world, FULL);
    world.devices[ALICE].presence = FULL.to_owned();
    world.run();
    clear(&mut world);
    for device in [ALICE, BOB] {
        world.crash(device);
        world.restart(device);
        world.run();
    }
    assert!(!signed(&world).is_empty());
    // Records rotate, adverts are renewed; each is a new presence for contacts.
    clear(&mut world);
    world.advance(Duration::from_secs(15 * DAY));
    assert_eq!(world.devices[BOB].record.events, []);
    assert!(signed(&world).len() >= 2, "{}", signed(&world).len());
    assert!(signed(&world).iter().all(|stanza| stanza.contains("Wooing")));
}

#[test]
fn a_device_that_has_left_signs_nothing() {
    let mut world = world(12);
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "hello");
        world.run();
    }
    let stanza = held_back(&mut world, FULL);
    world.command(ALICE, Command::Leave);
    world.run();
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::Left { .. })), 1);
    clear(&mut world);
    inject(&mut world, &stanza);
    assert_eq!(signed(&world), [""; 0]);
}
