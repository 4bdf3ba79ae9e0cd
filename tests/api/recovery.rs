//! Messages that could not be read, and come again.

use std::time::Duration;

use xmpp_e2e::{Command, Means, ResendMemory, Trust, TrustPolicy, Unreadable};
use xmpp_e2e_testkit::device::Job;
use xmpp_e2e_testkit::link::Odds;
use xmpp_e2e_testkit::wire::{Catch, bytes_in, damages, is_protected, with_bytes};

use super::*;

const TABLET: usize = 2;

/// How an application would say that nothing was lost: each once, in any order.
fn sorted(mut texts: Vec<&str>) -> Vec<&str> {
    texts.sort_unstable();
    texts
}

/// Bob's state is what it was, and nobody says so.
fn roll_back(world: &mut World, device: usize, backup: &MemoryStore) {
    world.crash(device);
    world.devices[device].store = backup.clone();
    world.restart(device);
    world.run();
}

/// How many events there are of asking, and of sending again.
fn asked(world: &World, device: usize) -> usize {
    count(world, device, |event| matches!(event, Event::Recovering { .. }))
}

fn resent(world: &World, device: usize) -> usize {
    let events = world.devices[device].record.events.iter();
    let counts = events.filter_map(|event| match event {
        Event::Resent { count, .. } => Some(usize::from(*count)),
        _ => None,
    });
    counts.sum()
}

fn distrust(world: &mut World, device: usize, jid: &'static str) {
    let key = world.devices[device].engine().contact(jid).unwrap().unwrap().account_key.unwrap();
    world.command(device, Command::SetTrust { jid, key, trust: Trust::Distrusted, means: Means::User });
}

fn minute() -> Duration {
    Duration::from_mins(1)
}

/// Bob is a new session behind: what Alice says he cannot read.
fn behind(seed: u64) -> World {
    let mut world = talking(seed);
    let backup = world.devices[BOB].store.clone();
    // Alice goes on in a new session that Bob forgets.
    world.say(ALICE, BOB_JID, "known");
    world.run();
    world.command(ALICE, Command::Restored);
    world.run();
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "in a new session");
        world.run();
    }
    roll_back(&mut world, BOB, &backup);
    for device in [ALICE, BOB] {
        world.devices[device].record.events.clear();
        world.devices[device].record.inbox.clear();
    }
    world.server.log.clear();
    world
}

/// Whatever has become of it on its way: delivered or one event, never nothing, and never both.
#[test]
fn c1_every_protected_stanza_has_one_outcome() {
    let mut world = talking(0);
    let catch = Catch::new(&mut world.server, "bob@example.org/desk", is_protected);
    world.say(ALICE, BOB_JID, "x");
    world.run();
    let stanza = catch.one();
    let outcome = |world: &mut World, stanza: &str| {
        let effects = world.with(BOB, |bob, _, env| apply(bob, env, Input::Received(stanza)));
        let of =
            |effect: &Effect| matches!(effect, Effect::Deliver { .. } | Effect::Notify(_) | Effect::Pass);
        assert_eq!(effects.iter().filter(|effect| of(effect)).count(), 1, "{stanza} {effects:?}");
        effects.into_iter().find(of).unwrap()
    };
    let recoverable = |effect: &Effect| match effect {
        Effect::Notify(Event::Rejected { peer: Some(peer), recoverable, .. }) => {
            assert_eq!(peer.as_str(), ALICE_JID);
            Some(*recoverable)
        }
        _ => None,
    };
    let bytes = bytes_in(&stanza, "e", 0);
    let (mut lost, mut refused) = (0, 0);
    for (what, damaged) in damages(&bytes, 1) {
        match recoverable(&outcome(&mut world, &with_bytes(&stanza, "e", 0, &damaged))) {
            Some(true) => lost += 1,
            Some(false) => refused += 1,
            None => panic!("{what}"),
        }
    }
    assert!(lost > 0 && refused > 0, "{lost} {refused}");
    assert!(matches!(outcome(&mut world, &stanza), Effect::Deliver { .. }));
    assert!(matches!(outcome(&mut world, &stanza), Effect::Notify(Event::Duplicate { .. })));
}

#[test]
fn c1_each_stanza_that_cannot_be_read_is_one_event_that_says_what_will_be_done() {
    let mut world = behind(1);
    for text in ["one", "two", "three"] {
        world.say(ALICE, BOB_JID, text);
    }
    world.run();
    let no_session = Reason::from(Unreadable::NoSession);
    assert_eq!(refusals(&world, BOB), [(no_session, true); 3]);
    assert_eq!(bodies(&world, BOB), Vec::<&str>::new());
}

#[test]
fn c3_two_handshakes_to_prekeys_that_are_gone_do_not_wait_for_each_other() {
    let mut world = World::pair(3);
    // What either writes is lost, for longer than prekeys are kept.
    let odds = Odds { lose: 1000, ..Odds::default() };
    world.lossy(3, odds).spare(|stanza| !stanza.starts_with("<message"));
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "lost");
    }
    world.advance(Duration::from_secs(45 * DAY));
    world.steady();
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "unreadable");
        world.run();
    }
    world.advance(Duration::from_hours(1));
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "read");
        world.run();
    }
    for device in [ALICE, BOB] {
        assert!(bodies(&world, device).contains(&"read"), "{}", world.dump());
    }
}

#[test]
fn c3_what_could_not_be_read_comes_again_within_a_minute_once() {
    let mut world = behind(2);
    for text in ["one", "two", "three"] {
        world.say(ALICE, BOB_JID, text);
    }
    world.run();
    world.advance(minute());
    let all = ["in a new session", "known", "one", "three", "two"];
    assert_eq!(sorted(bodies(&world, BOB)), all, "{}", world.dump());
    assert_eq!((asked(&world, BOB), resent(&world, ALICE)), (1, 5));
    // They are as they were: the time, the id and whom they were for.
    let letters = world.devices[BOB].inbox();
    assert!(letters.iter().all(|letter| letter.stanza.contains("type='chat'")), "{letters:?}");
    // The two talk on.
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "on");
        world.run();
    }
    assert_eq!((bodies(&world, BOB).last(), bodies(&world, ALICE).last()), (Some(&"on"), Some(&"on")));
    assert_eq!(bodies(&world, BOB).len(), all.len() + 1);
}

#[test]
fn c3_who_keeps_nothing_is_asked_and_sends_nothing_again() {
    let mut world = behind(3);
    world.devices[ALICE].config.resend_memory = ResendMemory::OFF;
    world.crash(ALICE);
    world.run();
    world.say(ALICE, BOB_JID, "one");
    world.run();
    world.advance(minute());
    assert_eq!((asked(&world, BOB), resent(&world, ALICE)), (1, 0));
    world.say(ALICE, BOB_JID, "two");
    world.run();
    assert_eq!(bodies(&world, BOB), ["two"]);
}

#[test]
fn c4_forgeries_open_one_session_an_hour_and_fewer_if_nothing_comes_of_it() {
    let mut world = talking(4);
    let stanza = {
        world.say(ALICE, BOB_JID, "true");
        sent(&world, ALICE, "<e ").pop().unwrap()
    };
    world.run();
    let from = stanza.replacen("<message ", "<message from='alice@example.com/phone' ", 1);
    let bytes = bytes_in(&from, "e", 0);
    world.server.log.clear();
    let mut sessions = Vec::new();
    for minute in 0..240 {
        // Another session's, which nobody has.
        let mut forged = bytes.clone();
        let last = forged.len() - 1;
        forged[9] ^= 0x55;
        forged[last] ^= u8::try_from(minute % 200 + 1).unwrap();
        let forged = with_bytes(&from, "e", 0, &forged);
        world.step(BOB, Job::Received(forged));
        world.advance(Duration::from_mins(1));
        sessions.push(asked(&world, BOB));
    }
    assert_eq!(*sessions.last().unwrap(), 4, "{sessions:?}");
    assert_eq!(sessions[58], 1, "{sessions:?}");
    assert_eq!(bodies(&world, BOB), ["true"]);
    assert_eq!(resent(&world, ALICE), 0, "nothing is missing");
    world.say(ALICE, BOB_JID, "still");
    world.run();
    assert_eq!(bodies(&world, BOB), ["true", "still"]);
}

#[test]
fn c3_what_came_again_is_not_delivered_when_its_stanza_comes_weeks_later() {
    let mut world = talking(9);
    world.say(ALICE, BOB_JID, "first");
    world.run();
    let stamped =
        |stanza: String| stanza.replacen("<message ", "<message from='alice@example.com/phone' ", 1);
    let first = stamped(sent(&world, ALICE, "<e ").pop().unwrap());
    // Something of no session that Bob has.
    let mut forged = xmpp_e2e_testkit::wire::bytes_in(&first, "e", 0);
    forged[9] ^= 0x55;
    let forged = xmpp_e2e_testkit::wire::with_bytes(&first, "e", 0, &forged);
    world.step(BOB, Job::Received(forged));
    let odds = Odds { lose: 1000, ..Odds::default() };
    world.lossy(9, odds).spare(|stanza| !stanza.starts_with("<message"));
    world.say(ALICE, BOB_JID, "held back");
    world.run();
    let held = stamped(sent(&world, ALICE, "<e ").pop().unwrap());
    world.steady();
    world.say(ALICE, BOB_JID, "next");
    world.run();
    world.advance(minute());
    let all = ["first", "held back", "next"];
    assert_eq!((sorted(bodies(&world, BOB)), asked(&world, BOB)), (all.to_vec(), 1), "{}", world.dump());
    world.advance(Duration::from_secs(20 * DAY));
    world.step(BOB, Job::Received(held));
    world.run();
    assert_eq!(sorted(bodies(&world, BOB)), all, "{}", world.dump());
}

#[test]
fn c4_strangers_and_the_distrusted_are_never_asked() {
    for distrusted in [false, true] {
        let mut world = behind(5);
        if distrusted {
            distrust(&mut world, BOB, ALICE_JID);
        } else {
            world.step(BOB, Job::Roster(ALICE_JID.to_owned(), xmpp_e2e::Subscription::None));
        }
        world.say(ALICE, BOB_JID, "one");
        world.run();
        let before = sent(&world, BOB, "<message").len();
        world.advance(Duration::from_hours(2));
        assert_eq!(refusals(&world, BOB), [(Unreadable::NoSession.into(), false)]);
        assert_eq!((asked(&world, BOB), sent(&world, BOB, "<message").len()), (0, before));
    }
}

#[test]
fn c3_the_distrusted_are_sent_nothing_again() {
    let mut world = behind(6);
    world.say(ALICE, BOB_JID, "one");
    world.run();
    distrust(&mut world, ALICE, BOB_JID);
    world.advance(minute());
    assert_eq!((asked(&world, BOB), resent(&world, ALICE)), (1, 0));
    assert_eq!(bodies(&world, BOB), Vec::<&str>::new());
}

#[test]
fn c3_a_device_that_was_not_there_gets_nothing_of_before() {
    let mut world = talking(7);
    world.say(ALICE, BOB_JID, "before");
    world.run();
    world.add("bob@example.org/laptop");
    world.connect(TABLET);
    world.run();
    world.devices[TABLET].record.inbox.clear();
    let backup = world.devices[TABLET].store.clone();
    world.say(ALICE, BOB_JID, "for both");
    world.run();
    assert_eq!(bodies(&world, TABLET), ["for both"]);
    roll_back(&mut world, TABLET, &backup);
    world.devices[TABLET].record.inbox.clear();
    world.say(ALICE, BOB_JID, "again");
    world.run();
    world.advance(minute());
    let texts = sorted(bodies(&world, TABLET));
    assert!(!texts.contains(&"before") && texts.contains(&"again"), "{texts:?} {}", world.dump());
}

#[test]
fn c3_messages_come_again_for_a_week_and_a_hundred_at_most() {
    for (days, expected) in [(0, 100), (8, 1)] {
        let mut world = behind(8);
        world.disconnect(BOB);
        for number in 0..150 {
            world.say(ALICE, BOB_JID, &number.to_string());
        }
        world.run();
        world.advance(Duration::from_secs(days * DAY));
        world.say(ALICE, BOB_JID, "last");
        world.connect(BOB);
        world.run();
        world.advance(minute());
        assert_eq!(resent(&world, ALICE), expected);
        assert_eq!(bodies(&world, BOB).last(), Some(&"last"));
    }
}

#[test]
fn c1_what_waits_behind_a_slow_agent_is_asked_for() {
    let mut world = World::pair(9);
    world.devices[BOB].answers = false;
    let texts: Vec<String> = (0..50).map(|number| format!("{number:02}")).collect();
    for text in &texts {
        world.say(ALICE, BOB_JID, text);
    }
    world.run();
    let lost = refusals(&world, BOB);
    assert_eq!(lost.len(), 18);
    assert!(
        lost.iter().all(|(reason, recoverable)| {
            *reason == xmpp_e2e::Misbehaviour::TooMuch.into() && *recoverable
        })
    );
    world.devices[BOB].answers = true;
    world.with(BOB, Device::answer);
    world.run();
    world.advance(minute());
    assert_eq!(sorted(bodies(&world, BOB)), texts, "{}", world.dump());
}

#[test]
fn c1_a_flight_that_the_agent_refuses_is_asked_for() {
    let mut world = World::pair(10);
    world.devices[BOB].answers = false;
    world.say(ALICE, BOB_JID, "one");
    world.run();
    world.advance(Duration::from_mins(6));
    assert_eq!(refusals(&world, BOB), [(Unreadable::Agent.into(), true)]);
    world.devices[BOB].answers = true;
    world.with(BOB, Device::answer);
    world.advance(Duration::from_hours(1));
    assert_eq!(bodies(&world, BOB), ["one"], "{}", world.dump());
}

#[test]
fn c3_another_own_device_gets_its_copies_again() {
    let mut world = World::pair(11);
    world.add("alice@example.com/tablet");
    world.connect(TABLET);
    world.run();
    world.server.carbons = true;
    world.say(ALICE, BOB_JID, "one");
    world.run();
    let backup = world.devices[TABLET].store.clone();
    for text in ["two", "three"] {
        world.say(ALICE, BOB_JID, text);
        world.run();
        world.say(BOB, ALICE_JID, "yes");
        world.run();
    }
    world.say(TABLET, BOB_JID, "mine");
    world.run();
    roll_back(&mut world, TABLET, &backup);
    world.devices[TABLET].record.inbox.clear();
    world.command(ALICE, Command::Restored);
    world.run();
    world.say(ALICE, BOB_JID, "four");
    world.run();
    world.advance(minute());
    for text in ["two", "three", "four"] {
        let body = format!("<body>{text}</body>");
        let letters = world.devices[TABLET].inbox().iter().filter(|letter| letter.stanza.contains(&body));
        assert_eq!(letters.count(), 1, "{text} {}", world.dump());
    }
    let letter = world.devices[TABLET].inbox().iter().find(|letter| letter.stanza.contains("three"));
    assert!(letter.unwrap().stanza.contains("<sent xmlns='urn:xmpp:carbons:2'>"), "{letter:?}");
}

fn damage(stanza: &str) -> String {
    let mut bytes = bytes_in(stanza, "e", 0);
    *bytes.last_mut().unwrap() ^= 1;
    with_bytes(stanza, "e", 0, &bytes)
}

/// What Alice says comes to Bob damaged. Its stanza as it was sent.
fn say_damaged(world: &mut World, text: &str) -> String {
    let catch = Catch::new(&mut world.server, "bob@example.org/desk", |stanza| stanza.contains("<e "));
    world.say(ALICE, BOB_JID, text);
    world.run();
    world.server.tamper = None;
    let stanza = catch.one();
    world.server.inject("bob@example.org/desk", damage(&stanza));
    world.run();
    stanza
}

/// Something of Alice's came to Bob damaged, and then again. Its stanza as it was sent.
fn damaged_and_again(seed: u64) -> (World, String) {
    let mut world = talking(seed);
    let stanza = say_damaged(&mut world, "said once");
    world.advance(minute());
    assert_eq!(bodies(&world, BOB), ["said once"], "{}", world.dump());
    (world, stanza)
}

#[test]
fn c3_what_came_again_is_not_delivered_when_its_stanza_comes_after_all_has_been_forgotten() {
    let (mut world, stanza) = damaged_and_again(16);
    // Longer than what came again is remembered, and nothing is said that would move the old session on.
    world.advance(Duration::from_secs(40 * DAY));
    for catching_up in [false, true] {
        if catching_up {
            world.command(BOB, Command::CatchUp { active: true });
        }
        world.server.inject("bob@example.org/desk", stanza.clone());
        world.run();
        assert_eq!(bodies(&world, BOB), ["said once"], "{}", world.dump());
    }
    world.advance(minute());
    world.say(ALICE, BOB_JID, "another");
    world.run();
    assert_eq!(bodies(&world, BOB), ["said once", "another"]);
}

/// Each is done to Bob, and then the server delivers what had come damaged, and again.
#[test]
fn c3_what_came_again_is_known_after_a_decision_about_trust_and_after_a_restore() {
    type Done = fn(&mut World);
    let distrusts: Done = |world| distrust(world, BOB, ALICE_JID);
    let restores: Done = |world| world.command(BOB, Command::Restored);
    for done in [distrusts, restores] {
        let (mut world, stanza) = damaged_and_again(17);
        done(&mut world);
        world.run();
        world.server.inject("bob@example.org/desk", stanza);
        world.run();
        world.advance(minute());
        assert_eq!(bodies(&world, BOB), ["said once"], "{}", world.dump());
    }
}

/// The other side answers a question, and what is damaged next is not taken for answered with it.
#[test]
fn c3_what_is_lost_in_the_session_that_was_asked_in_is_asked_for_too() {
    let (mut world, _) = damaged_and_again(18);
    say_damaged(&mut world, "damaged");
    world.say(ALICE, BOB_JID, "whole");
    world.run();
    // One question an hour.
    world.advance(Duration::from_hours(2));
    assert_eq!(sorted(bodies(&world, BOB)), ["damaged", "said once", "whole"], "{}", world.dump());
}

#[test]
fn c23_a_message_that_comes_twice_is_delivered_once_whichever_comes_first() {
    let mut world = talking(12);
    // A first flight is held back, and comes when all has come again.
    let catch = Catch::new(&mut world.server, "bob@example.org/desk", |stanza| stanza.contains("<e "));
    world.command(ALICE, Command::Restored);
    world.run();
    world.say(ALICE, BOB_JID, "late");
    world.run();
    world.server.tamper = None;
    let late = catch.one();
    // It came first damaged.
    world.server.inject("bob@example.org/desk", damage(&late));
    world.run();
    world.advance(minute());
    assert_eq!(bodies(&world, BOB), ["late"], "{}", world.dump());
    world.server.inject("bob@example.org/desk", late);
    world.run();
    assert_eq!(bodies(&world, BOB), ["late"], "{}", world.dump());
    assert!(count(&world, BOB, |event| matches!(event, Event::Duplicate { .. })) >= 1);
}

#[test]
fn c23_nothing_is_kept_of_whom_the_user_forgets_or_leaves() {
    let kept = |world: &World| {
        let records = content(&world.devices[ALICE].store).1;
        records.iter().filter(|(key, _)| key[0] == 23).count()
    };
    for command in [Command::Forget { jid: BOB_JID }, Command::Leave] {
        let mut world = talking(13);
        assert_eq!(kept(&world), 1);
        world.command(ALICE, command);
        world.run();
        assert_eq!(kept(&world), 0);
    }
    let mut world = talking(14);
    world.advance(Duration::from_secs(8 * DAY));
    assert_eq!(kept(&world), 0, "after a week");
}

#[test]
fn c21_nothing_is_sent_again_to_a_key_that_is_not_sealed_to_any_more() {
    for (policy, expected) in [(TrustPolicy::FirstUse, 3), (TrustPolicy::VerifiedOnly, 0)] {
        let mut world = behind(15);
        world.say(ALICE, BOB_JID, "one");
        world.run();
        assert_eq!(bodies(&world, BOB), Vec::<&str>::new());
        world.command(ALICE, Command::SetPolicy { jid: BOB_JID, policy: Some(policy) });
        world.advance(minute());
        assert_eq!((asked(&world, BOB), bodies(&world, BOB).len()), (1, expected), "{}", world.dump());
        assert_eq!(resent(&world, ALICE), expected);
    }
}

#[test]
fn c3_nothing_is_sent_again_while_another_key_is_in_question() {
    for changed in [false, true] {
        let mut world = behind(16);
        world.say(ALICE, BOB_JID, "one");
        world.run();
        if changed {
            let other = Device::first("bob@example.org/other", &mut world.rng);
            world.devices.push(other);
            world.connect(TABLET);
            world.run();
        }
        let told = count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. }));
        assert_eq!(told, usize::from(changed));
        world.advance(minute());
        assert_eq!(asked(&world, BOB), 1);
        assert_eq!(resent(&world, ALICE) > 0, !changed, "{}", world.dump());
        assert_eq!(bodies(&world, BOB).is_empty(), changed);
    }
}

/// The flight is repeated until it is answered; the question that was in its first message is not.
#[test]
fn c3_a_question_that_was_lost_is_asked_again_when_its_handshake_is_answered() {
    let mut world = talking(64);
    world.server.tamper = Some(Box::new(|to, stanza| {
        // What Alice says is damaged, and what Bob says does not come.
        let protected = is_protected(&stanza) && stanza.contains("<message");
        match (protected, to.starts_with("bob@")) {
            (false, _) => vec![stanza],
            (true, true) => vec![damage(&stanza)],
            (true, false) => vec![],
        }
    }));
    world.say(ALICE, BOB_JID, "damaged");
    world.run();
    world.advance(minute());
    assert_eq!(asked(&world, BOB), 1);
    world.server.tamper = None;
    world.advance(minute() * 120);
    world.say(BOB, ALICE_JID, "later");
    world.run();
    assert_eq!(bodies(&world, ALICE), ["later"]);
    assert_eq!(bodies(&world, BOB), ["damaged"]);
    assert_eq!(asked(&world, BOB), 2);
    world.say(BOB, ALICE_JID, "after");
    world.run();
    assert_eq!(bodies(&world, ALICE), ["later", "after"]);
    assert_eq!(rejected(&world, ALICE), []);
}
