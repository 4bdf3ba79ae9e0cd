//! Keys that change, and states that are left, forgotten or restored.

use xmpp_e2e::{Command, Error, Input, Misuse, Outlook, SendError};
use xmpp_e2e_testkit::device::{End, Job};

use super::*;

fn outlook(world: &World) -> Outlook {
    world.devices[ALICE].engine().outlook(BOB_JID, &Need::Policy).unwrap()
}

/// Bob comes back with a new account key, as after losing everything.
fn new_bob(seed: u64) -> World {
    let mut world = talking(seed);
    world.disconnect(BOB);
    world.run();
    let bob = Device::first("bob@example.org/desk", &mut world.rng);
    world.devices[BOB] = bob;
    world.connect(BOB);
    world.run();
    world
}

#[test]
fn a_changed_key_stops_sending_until_the_user_accepts_it() {
    // What he published under his old key is still there.
    let mut world = new_bob(1);
    assert_eq!(world.server.items(BOB_JID, "urn:xmpp:e2e:0:device").len(), 2);
    let changed = world.devices[ALICE].record.events.iter().filter_map(|event| match event {
        Event::KeyChanged { digest, .. } => Some(*digest),
        _ => None,
    });
    let changed: Vec<_> = changed.collect();
    let [digest] = changed[..] else { panic!("{changed:?}") };
    assert_eq!(outlook(&world), Outlook::Refused(SendError::KeyChanged));
    let token = world.say(ALICE, BOB_JID, "to whom?");
    world.run();
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::KeyChanged)]);
    world.with(ALICE, |device, _, env| {
        let accept = Command::AcceptKey { jid: BOB_JID, digest: [0; 32] };
        let error = device.engine_mut().handle(env, Input::Command(accept)).unwrap_err();
        assert_eq!(error, Error::Misuse(Misuse::Key));
    });
    world.command(ALICE, Command::AcceptKey { jid: BOB_JID, digest });
    world.run();
    world.say(ALICE, BOB_JID, "welcome back");
    world.run();
    assert_eq!(bodies(&world, BOB), ["welcome back"]);
    let contact = world.devices[ALICE].engine().contact(BOB_JID).unwrap().unwrap();
    assert_eq!((contact.account_key, contact.changed_key), (Some(digest), None));
}

#[test]
fn records_of_two_dead_keys_beside_the_third_are_no_news() {
    let mut world = new_bob(9);
    let changed =
        |world: &World| world.devices[ALICE].engine().contact(BOB_JID).unwrap().unwrap().changed_key;
    for _ in 0..2 {
        let digest = changed(&world).expect("another key");
        world.command(ALICE, Command::AcceptKey { jid: BOB_JID, digest });
        world.run();
        if world.server.items(BOB_JID, "urn:xmpp:e2e:0:device").len() < 3 {
            world.disconnect(BOB);
            world.run();
            world.devices[BOB] = Device::first("bob@example.org/desk", &mut world.rng);
            world.connect(BOB);
            world.run();
        }
    }
    assert_eq!(world.server.items(BOB_JID, "urn:xmpp:e2e:0:device").len(), 3);
    // The keys are looked at again.
    for _ in 0..3 {
        world.advance(std::time::Duration::from_hours(1));
        world.say(ALICE, BOB_JID, "to the third");
        world.run();
    }
    assert_eq!(changed(&world), None, "{}", world.dump());
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 2);
    assert_eq!(bodies(&world, BOB), ["to the third"; 3]);
}

#[test]
fn two_keys_of_a_contact_that_showed_no_advert_stop_clear_text_too() {
    let mut world = World::new(41);
    world.add("alice@example.com/phone");
    world.add("bob@example.org/desk");
    // He publishes keys; nobody sees his presence.
    world.connect(BOB);
    world.run();
    world.connect(ALICE);
    let _ = world.say_with(ALICE, BOB_JID, "by his keys", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(outlook(&world), Outlook::Clear, "he has not said that he always encrypts");
    world.disconnect(BOB);
    world.devices[BOB] = Device::first("bob@example.org/desk", &mut world.rng);
    // His first advert is of the new key.
    world.server.befriend(ALICE_JID, BOB_JID);
    world.connect(BOB);
    world.run();
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 1);
    assert_eq!(outlook(&world), Outlook::Refused(SendError::KeyChanged));
    let token = world.say_with(ALICE, BOB_JID, "in clear?", Need::Policy);
    world.run();
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::KeyChanged)]);
}

#[test]
fn nothing_from_a_changed_key_is_delivered() {
    let mut world = new_bob(2);
    world.say_with(BOB, ALICE_JID, "it is me", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(bodies(&world, ALICE), Vec::<&str>::new());
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 1);
}

#[test]
fn a_message_under_a_changed_key_tells_of_the_change_where_nothing_else_does() {
    let mut world = talking(5);
    world.disconnect(BOB);
    world.run();
    world.devices[BOB] = Device::first("bob@example.org/desk", &mut world.rng);
    // His server goes on to give his old keys, and shows nobody that he is there.
    world.server.freeze(BOB_JID);
    world.server.unsubscribe(ALICE_JID, BOB_JID);
    world.connect(BOB);
    world.run();
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 0);
    let _ = world.say_with(BOB, ALICE_JID, "it is me", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 1);
    assert_eq!(bodies(&world, ALICE), Vec::<&str>::new());
    assert_eq!(outlook(&world), Outlook::Refused(SendError::KeyChanged));
}

#[test]
fn c2_the_same_backup_can_be_restored_twice() {
    let mut world = talking(6);
    let (store, record) = (world.devices[BOB].store.clone(), world.devices[BOB].record.clone());
    for round in ["first", "second"] {
        world.advance(std::time::Duration::from_hours(2));
        world.crash(BOB);
        (world.devices[BOB].store, world.devices[BOB].record) = (store.clone(), record.clone());
        world.devices[BOB].restore();
        world.command(BOB, Command::Restored);
        world.restart(BOB);
        world.run();
        for (from, to) in [(BOB, ALICE_JID), (ALICE, BOB_JID)] {
            let _ = world.say(from, to, round);
            world.run();
        }
        assert!(bodies(&world, ALICE).contains(&round), "{}", world.dump());
        assert!(bodies(&world, BOB).contains(&round), "{}", world.dump());
    }
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::RolledBack { .. })), 0);
}

#[test]
fn forgetting_makes_a_contact_clear_again() {
    let mut world = talking(3);
    assert_eq!(outlook(&world), Outlook::Encrypted);
    world.command(ALICE, Command::Forget { jid: BOB_JID });
    assert_eq!(outlook(&world), Outlook::Clear);
    let token = world.say(ALICE, BOB_JID, "clear");
    assert_eq!(ends(&world, ALICE, token), [End::Pass]);
    world.with(ALICE, |device, _, env| {
        let forget = Input::Command(Command::Forget { jid: ALICE_JID });
        assert_eq!(device.engine_mut().handle(env, forget).unwrap_err(), Error::Misuse(Misuse::Jid));
    });
}

#[test]
fn who_leaves_says_so_and_keeps_nothing() {
    let mut world = talking(4);
    world.command(BOB, Command::Leave);
    world.run();
    let records = content(&world.devices[BOB].store).1;
    assert!(records.len() <= 5, "{}", records.len());
    assert_eq!(world.server.items(BOB_JID, "urn:xmpp:e2e:0:device"), []);
    let token = world.say(BOB, ALICE_JID, "in clear from now on");
    world.run();
    assert_eq!(ends(&world, BOB, token), [End::Pass]);
    // His contacts are told to look at the list that he signed.
    let events = &world.devices[ALICE].record.events;
    assert!(matches!(&events[..], [Event::Left { peer }] if peer.as_str() == BOB_JID), "{events:?}");
    assert_eq!(outlook(&world), Outlook::Clear);
}

#[test]
fn contacts_without_a_session_learn_from_the_presence_who_leaves() {
    for signed in [false, true] {
        let mut world = World::pair(5);
        world.devices[BOB].config.sign_presence = signed;
        world.crash(BOB);
        world.run();
        world.devices[ALICE].record.events.clear();
        world.server.log.clear();
        world.command(BOB, Command::Leave);
        world.run();
        let last = sent(&world, BOB, "<presence>");
        assert_eq!(last.len(), 1, "{last:?}");
        let events = &world.devices[ALICE].record.events;
        assert!(matches!(&events[..], [Event::Left { peer }] if peer.as_str() == BOB_JID), "{events:?}");
        let token = world.say(ALICE, BOB_JID, "in clear");
        world.run();
        assert_eq!(ends(&world, ALICE, token), [End::Pass]);
        // Whoever shows the advert of before again changes nothing.
        let before =
            world.server.log.iter().rev().find(|crossing| crossing.stanza.contains("<e2e ")).unwrap();
        let again = before.stanza.clone();
        world.server.inject("alice@example.com/phone", again);
        world.run();
        assert_eq!(outlook(&world), Outlook::Clear);
    }
}

#[test]
fn a_server_that_withholds_the_list_keeps_no_device_that_retires_alive() {
    let mut world = talking(6);
    world.server.tamper = Some(Box::new(|to, stanza| {
        // Alice's server shows what there was before, and hides what Bob says in the session.
        let hidden = stanza.starts_with("<message") || stanza.contains("urn:xmpp:e2e:0:devices");
        if to.starts_with("alice@") && hidden { Vec::new() } else { vec![stanza] }
    }));
    world.command(BOB, Command::Leave);
    world.run();
    let token = world.say(ALICE, BOB_JID, "x");
    world.advance(std::time::Duration::from_hours(1));
    assert!(!ends(&world, ALICE, token).iter().any(|end| matches!(end, End::Sent(_) | End::Pass)));
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Left { .. })), 0);
}

/// So many messages each way, with no two one after the other.
fn chat(world: &mut World, rounds: usize) {
    for _ in 0..rounds {
        for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
            world.say(from, to, "x");
            world.run();
        }
    }
}

/// Alice's store is what it was.
fn restore(world: &mut World, backup: MemoryStore) {
    world.crash(ALICE);
    world.devices[ALICE].store = backup;
    world.devices[ALICE].restore();
    world.command(ALICE, Command::Restored);
    world.connect(ALICE);
    world.run();
}

#[test]
fn after_an_old_backup_the_two_sides_come_together_again() {
    let mut world = talking(8);
    let backup = world.devices[ALICE].store.clone();
    chat(&mut world, 5);
    restore(&mut world, backup);
    chat(&mut world, 2);
    let before = [ALICE, BOB].map(|device| bodies(&world, device).len());
    world.server.log.clear();
    chat(&mut world, 2);
    let after = [ALICE, BOB].map(|device| bodies(&world, device).len());
    assert_eq!(after, before.map(|letters| letters + 2));
    assert!(sent(&world, ALICE, "<message").iter().all(|stanza| stanza.len() < 400));
}

#[test]
fn c2_a_declared_restore_goes_on_in_a_new_session_and_the_peer_knows() {
    let mut world = talking(5);
    let backup = world.devices[ALICE].store.clone();
    chat(&mut world, 1);
    restore(&mut world, backup);
    world.say(ALICE, BOB_JID, "from the backup");
    world.run();
    world.say(BOB, ALICE_JID, "welcome back");
    world.run();
    assert_eq!(bodies(&world, BOB).last(), Some(&"from the backup"));
    assert_eq!(bodies(&world, ALICE).last(), Some(&"welcome back"));
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::Superseded { .. })), 1);
    assert_eq!(rejected(&world, BOB), []);
}

#[test]
fn healing_brings_an_offer_and_an_answer_within_three_round_trips() {
    let mut world = talking(6);
    world.command(BOB, Command::Heal { jid: ALICE_JID });
    world.run();
    for _ in 0..3 {
        for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
            world.say(from, to, "x");
            world.run();
        }
    }
    let large =
        |device| sent(&world, device, "<message").iter().filter(|stanza| stanza.len() > 1_500).count();
    assert!(large(ALICE) >= 1 && large(BOB) >= 1);
    assert_eq!(bodies(&world, BOB).len(), 3);
}

#[test]
fn a_removed_contact_gets_no_automatic_answers() {
    let mut world = talking(7);
    world.step(BOB, Job::Roster(ALICE_JID.to_owned(), xmpp_e2e::Subscription::None));
    for n in 0..60 {
        world.say(ALICE, BOB_JID, &n.to_string());
    }
    world.run();
    assert_eq!(bodies(&world, BOB).len(), 60);
    assert_eq!(sent(&world, BOB, "<message"), Vec::<String>::new());
}
