//! States that are older than what the peers have seen: backups and copies.

use std::time::Duration;

use xmpp_e2e::{Command, Misbehaviour};
use xmpp_e2e_testkit::device::Job;
use xmpp_e2e_testkit::wire::{Catch, is_protected};

use super::*;

const COPY: usize = 2;

/// So many messages each way, with no two one after the other.
fn chat(world: &mut World, name: &str, rounds: usize) {
    for round in 0..rounds {
        for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
            world.say(from, to, &format!("{name} {round}"));
            world.run();
        }
    }
}

/// Alice's store is what it was.
fn restore(world: &mut World, backup: MemoryStore, declared: bool) {
    world.crash(ALICE);
    world.now = world.now.after(Duration::from_mins(10));
    world.devices[ALICE].store = backup;
    world.devices[ALICE].restore();
    if declared {
        world.command(ALICE, Command::Restored);
    }
    world.connect(ALICE);
    world.run();
}

fn superseded(world: &World, device: usize) -> usize {
    count(world, device, |event| matches!(event, Event::Superseded { .. }))
}

/// Both sides hear each other.
fn both_hear(world: &mut World, text: &str) {
    for (from, to, other) in [(ALICE, BOB_JID, BOB), (BOB, ALICE_JID, ALICE)] {
        world.say(from, to, text);
        world.run();
        assert_eq!(bodies(world, other).last(), Some(&text), "{}", world.dump());
    }
}

#[test]
fn c2_what_came_since_the_backup_comes_again() {
    for rounds in [1, 3, 12] {
        let mut world = talking(30 + rounds as u64);
        let backup = world.devices[ALICE].store.clone();
        chat(&mut world, "since", rounds);
        world.devices[ALICE].record.inbox.clear();
        restore(&mut world, backup, true);
        // He does not know yet, and goes on as before.
        world.say(BOB, ALICE_JID, "are you there?");
        world.run();
        world.advance(Duration::from_mins(1));
        let texts = bodies(&world, ALICE);
        for text in (0..rounds).map(|round| format!("since {round}")).chain(["are you there?".to_owned()]) {
            assert_eq!(texts.iter().filter(|other| **other == text).count(), 1, "{text}: {}", world.dump());
        }
        both_hear(&mut world, "yes");
    }
}

#[test]
fn c2_first_messages_after_a_restore_that_cross_heal_within_a_minute() {
    for rounds in [1, 12] {
        let mut world = talking(40 + rounds as u64);
        let backup = world.devices[ALICE].store.clone();
        chat(&mut world, "since", rounds);
        restore(&mut world, backup, true);
        world.say(ALICE, BOB_JID, "one");
        world.say(BOB, ALICE_JID, "two");
        world.run();
        world.advance(Duration::from_mins(1));
        assert!(bodies(&world, BOB).contains(&"one"), "{}", world.dump());
        assert!(bodies(&world, ALICE).contains(&"two"), "{}", world.dump());
        both_hear(&mut world, "healed");
    }
}

#[test]
fn c2_what_is_said_in_the_second_of_the_restore_comes() {
    for rounds in [1, 12] {
        let mut world = talking(70 + rounds as u64);
        let backup = world.devices[ALICE].store.clone();
        chat(&mut world, "since", rounds);
        // Sessions note the second in which they were made, and this one is half over.
        let over = world.now.as_millis() % 1000;
        world.now = world.now.after(Duration::from_millis(1500 - over));
        restore(&mut world, backup, true);
        world.say(ALICE, BOB_JID, "at once");
        world.run();
        world.advance(Duration::from_mins(1));
        assert_eq!(
            bodies(&world, BOB).iter().filter(|text| **text == "at once").count(),
            1,
            "{}",
            world.dump()
        );
        both_hear(&mut world, "healed");
    }
}

#[test]
fn c2_an_old_backup_comes_past_restores_since() {
    let mut world = talking(69);
    let backup = world.devices[ALICE].store.clone();
    // Twice within a second: the numbers of the second time are ahead of the clock.
    for _ in 0..2 {
        world.command(ALICE, Command::Restored);
        world.run();
    }
    world.advance(Duration::from_hours(2));
    // Nothing tells it what it has used.
    world.server.set_items(ALICE_JID, "urn:xmpp:e2e:0:device", Vec::new());
    restore(&mut world, backup, true);
    world.advance(Duration::from_mins(1));
    both_hear(&mut world, "healed");
}

#[test]
fn c2_a_restore_that_nobody_declares_heals_within_a_minute_of_a_message_each_way() {
    for rounds in [1, 3, 12] {
        let mut world = talking(50 + rounds as u64);
        let backup = world.devices[ALICE].store.clone();
        chat(&mut world, "since", rounds);
        restore(&mut world, backup, false);
        for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
            world.say(from, to, "after");
        }
        world.run();
        world.advance(Duration::from_mins(2));
        both_hear(&mut world, "healed");
        assert_eq!(
            bodies(&world, BOB).iter().filter(|text| **text == "after").count(),
            1,
            "{}",
            world.dump()
        );
        assert_eq!(
            bodies(&world, ALICE).iter().filter(|text| **text == "after").count(),
            1,
            "{}",
            world.dump()
        );
    }
}

#[test]
fn c4_a_message_number_used_twice_is_suspected_and_changes_no_key() {
    let mut world = talking(60);
    let stanza = {
        world.say(ALICE, BOB_JID, "true");
        sent(&world, ALICE, "<e ").pop().unwrap()
    };
    world.run();
    let stanza = stanza.replacen("<message ", "<message from='alice@example.com/phone' ", 1);
    let mut bytes = xmpp_e2e_testkit::wire::bytes_in(&stanza, "e", 0);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let other = xmpp_e2e_testkit::wire::with_bytes(&stanza, "e", 0, &bytes);
    world.step(BOB, Job::Received(other));
    world.step(BOB, Job::Received(stanza));
    let events = &world.devices[BOB].record.events;
    assert!(
        matches!(&events[..], [Event::Rejected { reason, recoverable: true, .. }, Event::Duplicate { .. }]
            if *reason == Misbehaviour::Equivocation.into()),
        "{events:?}"
    );
    both_hear(&mut world, "still");
}

fn same_agent(world: &World) -> xmpp_e2e::LocalAgent {
    let device = &world.devices[ALICE];
    xmpp_e2e::LocalAgent::from_bytes(&device.agent.to_bytes(), &device.config.suites).unwrap()
}

/// Alice's telephone runs twice: from one state, at two resources.
fn cloned(seed: u64) -> World {
    let mut world = talking(seed);
    let mut copy = Device::with_agent("alice@example.com/copy", same_agent(&world));
    copy.config = world.devices[ALICE].config.clone();
    copy.store = world.devices[ALICE].store.clone();
    copy.restore();
    world.devices.push(copy);
    world.connect(COPY);
    world.run();
    world
}

#[test]
fn c4_a_copy_is_noticed_by_the_peer_and_by_the_device_itself() {
    let mut world = cloned(61);
    assert_eq!(
        count(&world, ALICE, |event| matches!(event, Event::Cloned)),
        0,
        "a stream that is not closed yet looks so"
    );
    for number in 0..3 {
        for device in [ALICE, COPY] {
            world.say(device, BOB_JID, &format!("{device} {number}"));
            world.run();
            world.say(BOB, ALICE_JID, "which?");
            world.run();
        }
    }
    world.advance(Duration::from_secs(8 * DAY));
    let odd = |event: &Event| {
        matches!(
            event,
            Event::Superseded { .. } | Event::Rejected { recoverable: true, .. } | Event::Unchained { .. }
        )
    };
    assert!(count(&world, BOB, odd) > 0, "{:?}", world.devices[BOB].record.events);
    let told = [ALICE, COPY].map(|device| count(&world, device, |event| matches!(event, Event::Cloned)));
    assert!(told.iter().sum::<usize>() >= 1 && told.iter().all(|told| *told <= 8), "{told:?}");
}

#[test]
fn c4_a_copy_is_noticed_by_the_other_own_devices() {
    let mut world = World::pair(62);
    world.add("alice@example.com/tablet");
    world.connect(COPY);
    world.run();
    world.say(ALICE, BOB_JID, "one");
    world.run();
    world.say(COPY, BOB_JID, "two");
    world.run();
    let backup = world.devices[ALICE].store.clone();
    for number in 0..3 {
        world.say(ALICE, BOB_JID, &format!("one {number}"));
        world.run();
        world.say(COPY, BOB_JID, &format!("two {number}"));
        world.run();
    }
    // The copy runs in the place of the telephone, and is put in order.
    restore(&mut world, backup, true);
    world.say(ALICE, BOB_JID, "copy");
    world.run();
    world.advance(Duration::from_mins(1));
    assert!(superseded(&world, COPY) > 0 || superseded(&world, BOB) > 0);
}

#[test]
fn c2_a_tombstone_that_was_not_sent_is_sent_on_the_next_stream() {
    let mut world = talking(63);
    world.disconnect(ALICE);
    // The program ends between storing and sending.
    world.with(BOB, |bob, _, env| {
        let mut asked = apply(bob, env, Input::Command(Command::Leave));
        while let Some(effect) = asked.pop() {
            if let Effect::Ask(request) = effect {
                let reply = bob.agent.answer(&request);
                asked.extend(apply(bob, env, Input::Agent(&reply)));
            }
        }
    });
    world.crash(BOB);
    world.run();
    world.connect(ALICE);
    world.run();
    world.say(ALICE, BOB_JID, "are you there?");
    world.run();
    world.advance(Duration::from_mins(30));
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Left { .. })), 1, "{}", world.dump());
    // Once it is there it is not sent again.
    world.server.log.clear();
    world.disconnect(BOB);
    world.connect(BOB);
    world.run();
    assert_eq!(sent(&world, BOB, "urn:xmpp:e2e:0:devices").len(), 0);
}

/// What a device sent last, as it comes from this address and with its last bit turned.
fn damaged(world: &World, device: usize, from: &str) -> String {
    let stanza = sent(world, device, "<e ").pop().unwrap();
    let stanza = stanza.replacen("<message ", &format!("<message from='{from}' "), 1);
    let mut bytes = xmpp_e2e_testkit::wire::bytes_in(&stanza, "e", 0);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    xmpp_e2e_testkit::wire::with_bytes(&stanza, "e", 0, &bytes)
}

#[test]
fn c2_nothing_is_opened_before_the_restored_device_has_its_certificate() {
    let mut world = talking(64);
    world.say(BOB, ALICE_JID, "are you there?");
    let damaged = damaged(&world, BOB, "bob@example.org/desk");
    world.devices[ALICE].answers = false;
    world.command(ALICE, Command::Restored);
    world.step(ALICE, Job::Received(damaged));
    world.run();
    // Longer than she waits before she asks for it again, and the agent has its dialogue open.
    world.advance(Duration::from_secs(10));
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.advance(Duration::from_mins(3));
    assert_eq!(rejected(&world, BOB), [], "{}", world.dump());
    assert!(bodies(&world, ALICE).contains(&"are you there?"), "{}", world.dump());
    both_hear(&mut world, "healed");
}

#[test]
fn c2_a_request_that_waited_behind_a_handshake_revives_no_session_of_before() {
    let mut world = talking(65);
    // Bob misses something.
    world.say(ALICE, BOB_JID, "damaged");
    let damaged = damaged(&world, ALICE, "alice@example.com/phone");
    world.step(BOB, Job::Received(damaged));
    // He asks for it in the next session that Alice opens, and then opens one himself.
    let held = Catch::new(&mut world.server, "alice@example.com/phone", is_protected);
    world.command(ALICE, Command::Restored);
    world.run();
    world.say(ALICE, BOB_JID, "new session");
    world.run();
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::Recovering { .. })), 1, "{}", world.dump());
    let asked = held.all();
    world.command(BOB, Command::Restored);
    world.run();
    world.say(BOB, ALICE_JID, "of a new session");
    world.run();
    let opened = held.all().pop().unwrap();
    assert!(!asked.contains(&opened));
    world.now = world.now.after(Duration::from_secs(1));
    world.devices[ALICE].answers = false;
    world.step(ALICE, Job::Received(opened));
    for stanza in asked {
        world.step(ALICE, Job::Received(stanza));
    }
    world.server.log.clear();
    world.command(ALICE, Command::Restored);
    world.run();
    world.say(ALICE, BOB_JID, "after");
    world.run();
    assert_eq!(sent(&world, ALICE, "<e "), Vec::<String>::new(), "{}", world.dump());
}

#[test]
fn c4_a_device_that_is_told_of_its_copy_by_presence_renews_itself_at_once() {
    let mut world = cloned(66);
    world.server.log.clear();
    world.devices[ALICE].record.events.clear();
    // Alice begins anew, and her copy sees an advert of its own number that it has not made.
    world.command(ALICE, Command::Restored);
    world.run();
    world.disconnect(ALICE);
    world.connect(ALICE);
    world.run();
    let told = |device| count(&world, device, |event| matches!(event, Event::Cloned));
    assert_eq!(told(COPY), 1, "{}", world.dump());
    assert!(!sent(&world, COPY, "urn:xmpp:e2e:0:device").is_empty(), "{}", world.dump());
}

fn resent(world: &World) -> usize {
    count(world, ALICE, |event| matches!(event, Event::Resent { .. }))
}

/// Bob goes on to a session of his own.
fn go_on(world: &mut World) {
    // Sessions note the second in which they were made.
    world.now = world.now.after(Duration::from_secs(2));
    world.command(BOB, Command::Restored);
    world.run();
    world.say(BOB, ALICE_JID, "of another session");
    world.run();
    world.advance(Duration::from_mins(1));
    both_hear(world, "gone on");
}

#[test]
fn c4_a_request_held_back_is_not_answered_once_the_device_has_gone_on() {
    let mut world = talking(72);
    // Bob misses something, and asks for it in the next session that Alice opens.
    world.say(ALICE, BOB_JID, "damaged");
    let damaged = damaged(&world, ALICE, "alice@example.com/phone");
    world.step(BOB, Job::Received(damaged));
    world.run();
    world.command(ALICE, Command::Restored);
    world.run();
    let held = Catch::new(&mut world.server, "alice@example.com/phone", is_protected);
    world.say(ALICE, BOB_JID, "new session");
    world.run();
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::Recovering { .. })), 1, "{}", world.dump());
    world.server.tamper = None;
    both_hear(&mut world, "what comes later");
    go_on(&mut world);
    let before = resent(&world);
    for stanza in held.all() {
        world.step(ALICE, Job::Received(stanza));
    }
    world.run();
    assert_eq!(resent(&world), before, "{}", world.dump());
    both_hear(&mut world, "still");
}

#[test]
fn c4_a_request_of_a_thief_with_an_old_session_is_not_answered() {
    let mut world = talking(73);
    world.command(BOB, Command::Restored);
    world.run();
    // Bob has no answer yet when he misses something, and would ask for it in the session that he has opened.
    let held = Catch::new(&mut world.server, "bob@example.org/desk", is_protected);
    world.say(BOB, ALICE_JID, "new session");
    world.run();
    world.say(ALICE, BOB_JID, "damaged");
    world.run();
    let damaged = damaged(&world, ALICE, "alice@example.com/phone");
    world.step(BOB, Job::Received(damaged));
    let bob = &world.devices[BOB];
    let agent = xmpp_e2e::LocalAgent::from_bytes(&bob.agent.to_bytes(), &bob.config.suites).unwrap();
    let mut thief = Device::with_agent("bob@example.org/thief", agent);
    thief.config = bob.config.clone();
    thief.store = bob.store.clone();
    thief.restore();
    world.server.tamper = None;
    for stanza in held.all() {
        world.step(BOB, Job::Received(stanza));
    }
    world.run();
    go_on(&mut world);
    let before = resent(&world);
    let effects = world.with(BOB, |_, _, env| apply(&mut thief, env, Input::Tick));
    let asked: Vec<_> = sends(&effects).into_iter().filter(|stanza| is_protected(stanza)).collect();
    assert!(!asked.is_empty(), "{effects:?}");
    for stanza in asked {
        let stanza = stanza.replacen("<message ", "<message from='bob@example.org/desk' ", 1);
        world.step(ALICE, Job::Received(stanza));
    }
    assert_eq!(resent(&world), before, "{}", world.dump());
    world.run();
    both_hear(&mut world, "still");
}
