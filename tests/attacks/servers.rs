//! Known attacks that take a server: what it can forge, strip, withhold or ask for. The table of all
//! is in `main`.

use xmpp_e2e::{Event, Misbehaviour, SendError};
use xmpp_e2e_testkit::device::{End, Job};
use xmpp_e2e_testkit::wire::{Catch, Snapshot, bytes_in, is_protected, with_bytes};
use xmpp_e2e_testkit::{Device, World};

use super::{ALICE, BOB, DESK, EVE, PHONE, bodies, caught, clear, events, jid, rejected, sent, talking};

#[test]
fn a_forwarded_copy_of_a_stranger_is_not_read() {
    let mut world = talking(16);
    let stanza = caught(&mut world, "x");
    let inside = stanza.replacen("<message", "<message xmlns='jabber:client'", 1);
    for kind in ["sent", "received"] {
        let carbon = format!(
            "<message from='{EVE}' to='{DESK}'><{kind} xmlns='urn:xmpp:carbons:2'>\
             <forwarded xmlns='urn:xmpp:forward:0'>{inside}</forwarded></{kind}></message>"
        );
        world.step(World::BOB, Job::Received(carbon));
    }
    assert_eq!(world.devices[World::BOB].inbox(), []);
    world.step(World::BOB, Job::Received(stanza));
    assert_eq!(bodies(&world, World::BOB), ["x"], "it was not used up");
}

#[test]
fn answers_from_elsewhere_are_not_taken() {
    let mut world = World::new(17);
    world.add(PHONE);
    world.add(DESK);
    world.server.befriend(ALICE, BOB);
    let own = format!("from='{ALICE}'");
    let catch = Catch::new(&mut world.server, DESK, move |stanza| {
        stanza.contains("<device ") && stanza.contains(&own)
    });
    world.connect(World::ALICE);
    world.connect(World::BOB);
    world.run();
    let answer = catch.one();
    world.server.tamper = None;
    let bob = Snapshot::of(&world, World::BOB);
    bob.put_back(&mut world);
    for from in
        [format!("from='{EVE}'"), "from='example.com'".into(), format!("from='{PHONE}'"), String::new()]
    {
        let spoofed = answer.replacen(&format!("from='{ALICE}'"), &from, 1);
        let event = bob.refuses(&mut world, &spoofed, &from);
        assert_eq!(rejected(&event), Misbehaviour::WrongSubject.into());
    }
    let nowhere = answer.replacen(&format!("from='{ALICE}'"), "from='@'", 1);
    bob.refuses(&mut world, &nowhere, "no JID");
    world.step(World::BOB, Job::Received(answer));
    world.run();
    assert!(matches!(events(&world, World::BOB), [.., Event::Encrypts { .. }]));
}

#[test]
fn a_roster_push_from_elsewhere_is_not_taken() {
    let mut world = World::pair(18);
    let push = |from: &str| {
        format!(
            "<iq type='set' id='1'{from}><query xmlns='jabber:iq:roster'>\
             <item jid='eve@example.net' subscription='both'/></query></iq>"
        )
    };
    let bob = Snapshot::of(&world, World::BOB);
    bob.put_back(&mut world);
    let event = bob.refuses(&mut world, &push(&format!(" from='{EVE}'")), "push");
    assert_eq!(rejected(&event), Misbehaviour::WrongSubject.into());
    let asks = |world: &mut World, id: &str| {
        let iq = format!("<iq type='get' id='{id}' to='{DESK}'><keys xmlns='urn:xmpp:e2e:0'/></iq>");
        world.server.send(EVE, &iq);
        world.run();
        let mut last = String::new();
        while let Some(answer) = world.server.receive(EVE) {
            last = answer;
        }
        last
    };
    world.server.connect(EVE);
    assert!(!asks(&mut world, "1").contains("<prekey>"));
    // The own server's push is taken.
    world.step(World::BOB, Job::Received(push("")));
    assert!(asks(&mut world, "2").contains("<prekey>"));
}

#[test]
fn unprotected_siblings_are_dropped() {
    let mut world = talking(19);
    let stanza = caught(&mut world, "x");
    let more = "<body>forged</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>\
                <received xmlns='urn:xmpp:receipts' id='m0'/></message>";
    for around in
        [stanza.replacen("<e ", "<body>forged</body><e ", 1), stanza.replacen("</message>", more, 1)]
    {
        let bob = Snapshot::of(&world, World::BOB);
        world.step(World::BOB, Job::Received(around));
        let [letter] = world.devices[World::BOB].inbox() else { panic!("not one letter") };
        assert_eq!(letter.body.as_deref(), Some("x"));
        for word in ["forged", "replace", "receipts"] {
            assert!(!letter.stanza.contains(word), "{}", letter.stanza);
        }
        bob.put_back(&mut world);
    }
}

#[test]
fn a_stripped_advert_is_told_and_changes_nothing() {
    let mut world = talking(20);
    let stripped = format!("<presence from='{PHONE}' to='{BOB}'><show>away</show></presence>");
    let bob = Snapshot::of(&world, World::BOB);
    let before = bob.kept(&world);
    world.step(World::BOB, Job::Received(stripped));
    let told = events(&world, World::BOB);
    assert!(matches!(told, [Event::AdvertMissing { peer }] if *peer == jid(ALICE)), "{told:?}");
    assert!(before == bob.kept(&world));
    // What a server makes when a resource goes never counts.
    let gone = format!("<presence from='{PHONE}' to='{BOB}' type='unavailable'/>");
    world.step(World::BOB, Job::Received(gone));
    assert_eq!(events(&world, World::BOB).len(), 1);
    world.say(World::BOB, ALICE, "secret");
    world.run();
    assert!(!sent(&world, DESK).concat().contains("secret"));
    assert_eq!(bodies(&world, World::ALICE), ["secret"]);
}

#[test]
fn clear_text_from_who_encrypts_is_told() {
    let mut world = talking(21);
    let clear = format!("<message from='{PHONE}' to='{BOB}' type='chat'><body>forged</body></message>");
    world.step(World::BOB, Job::Received(clear.clone()));
    let told = events(&world, World::BOB);
    assert!(matches!(told, [Event::ClearText { peer, .. }] if *peer == jid(ALICE)), "{told:?}");
    let [letter] = world.devices[World::BOB].inbox() else { panic!() };
    assert_eq!(letter.protection, None);
    // A message under another encryption is neither.
    let foreign = clear.replacen(
        "</message>",
        "<encryption xmlns='urn:xmpp:eme:0' namespace='jabber:x:openpgp'/></message>",
        1,
    );
    world.step(World::BOB, Job::Received(foreign));
    assert!(matches!(events(&world, World::BOB), [_, Event::Foreign { .. }]));
    world.say(World::BOB, ALICE, "secret");
    world.run();
    assert!(!sent(&world, DESK).concat().contains("secret"));
}

#[test]
fn a_device_of_another_account_key_gets_nothing() {
    let mut world = talking(8);
    let known = world.devices[World::BOB].engine().contact(ALICE).unwrap().unwrap();
    // The server makes a device of its own.
    let other = Device::first("alice@example.com/server", &mut world.rng);
    world.devices.push(other);
    world.connect(2);
    world.run();
    let told = |event: &&Event| matches!(event, Event::KeyChanged { peer, .. } if *peer == jid(ALICE));
    assert_eq!(events(&world, World::BOB).iter().filter(told).count(), 1, "{:?}", events(&world, World::BOB));
    let now = world.devices[World::BOB].engine().contact(ALICE).unwrap().unwrap();
    assert_eq!((now.account_key, now.devices), (known.account_key, known.devices));
    let token = world.say(World::BOB, ALICE, "secret");
    world.run();
    let ends = &world.devices[World::BOB].record.handed[&token].ends;
    assert_eq!(ends[..], [End::Failed(SendError::KeyChanged)]);
    assert!(world.devices[2].inbox().is_empty());
}

#[test]
fn strangers_get_no_one_time_prekeys() {
    let mut world = World::pair(5);
    world.server.connect(EVE);
    let bob = Snapshot::of(&world, World::BOB);
    let before = bob.kept(&world);
    for number in 0..20 {
        let iq = format!("<iq type='get' id='{number}' to='{DESK}'><keys xmlns='urn:xmpp:e2e:0'/></iq>");
        world.server.send(EVE, &iq);
    }
    world.run();
    let mut answers = 0;
    while let Some(answer) = world.server.receive(EVE) {
        answers += 1;
        assert!(!answer.contains("<prekey>"), "{answer}");
    }
    assert_eq!(answers, 20);
    assert!(before == bob.kept(&world));
}

#[test]
fn c7_nobody_gets_a_one_time_prekey_twice() {
    let mut world = World::pair(6);
    let mut seen = std::collections::BTreeSet::new();
    let mut given = 0;
    for number in 0..30 {
        let catch = Catch::new(&mut world.server, PHONE, |stanza| stanza.contains("<keys "));
        let iq = format!("<iq type='get' id='x{number}' to='{DESK}'><keys xmlns='urn:xmpp:e2e:0'/></iq>");
        world.server.send(PHONE, &iq);
        world.run();
        let answer = catch.one();
        for place in 0..answer.matches("<prekey>").count() {
            given += 1;
            assert!(seen.insert(bytes_in(&answer, "prekey", place)), "twice");
        }
    }
    // One account gets so many that are not yet used, and no more.
    assert_eq!(given, 16);
}

/// Adverts of devices that there are not, from one account.
#[test]
fn unverified_adverts_cost_one_request_at_a_time() {
    let mut world = talking(40);
    let log = world.server.items(ALICE, "urn:xmpp:e2e:0:device").len();
    assert_eq!(log, 1);
    let catch = Catch::new(&mut world.server, DESK, |stanza| stanza.contains("<e2e "));
    world.disconnect(World::ALICE);
    world.connect(World::ALICE);
    world.run();
    world.server.tamper = None;
    let presence = catch.all().remove(0);
    let bytes = bytes_in(&presence, "e2e", 0);
    clear(&mut world);
    for number in 1..=100_u32 {
        let mut bytes = bytes.clone();
        bytes[1..5].copy_from_slice(&number.to_be_bytes());
        world.step(World::BOB, Job::Received(with_bytes(&presence, "e2e", 0, &bytes)));
    }
    assert_eq!(sent(&world, DESK).len(), 1);
    let devices = world.devices[World::BOB].engine().contact(ALICE).unwrap().unwrap().devices;
    world.run();
    world.advance(std::time::Duration::from_mins(2));
    assert!(sent(&world, DESK).len() < 8, "{:?}", sent(&world, DESK));
    let contact = world.devices[World::BOB].engine().contact(ALICE).unwrap().unwrap();
    assert_eq!(contact.devices, devices);
    assert!(events(&world, World::BOB).iter().all(|event| matches!(event, Event::Rejected { .. })));
    assert_eq!(events(&world, World::BOB).len(), 100, "one for each");
}

/// The server hands in a flight of its own before the true one, and the key agent is slow.
#[test]
fn a_false_flight_does_not_keep_the_true_one_out() {
    let mut world = World::pair(41);
    let catch = Catch::new(&mut world.server, DESK, is_protected);
    world.say(World::ALICE, BOB, "x");
    world.run();
    world.say(World::ALICE, BOB, "y");
    world.run();
    clear(&mut world);
    let [first, second] = &catch.all()[..] else { panic!() };
    let mut bytes = bytes_in(first, "e", 0);
    let end = bytes.len() - 200;
    bytes[end] ^= 1;
    world.devices[World::BOB].answers = false;
    let forged = with_bytes(first, "e", 0, &bytes);
    for stanza in [&forged, second, &forged, first] {
        world.step(World::BOB, Job::Received(stanza.clone()));
    }
    for _ in 0..10 {
        world.with(World::BOB, Device::answer);
    }
    assert_eq!(bodies(&world, World::BOB), ["y", "x"]);
    let told = events(&world, World::BOB);
    // Whether they were true cannot be known, so what was before is asked for.
    assert!(
        matches!(told, [Event::Rejected { .. }, Event::Rejected { .. }, Event::Recovering { .. }]),
        "{told:?}"
    );
}
