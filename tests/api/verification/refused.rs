//! What a comparison does not do, or not any more.

use std::cell::RefCell;
use std::rc::Rc;

use xmpp_e2e::{Error, Input, Misuse, Subscription};
use xmpp_e2e_testkit::device::Job;

use super::*;

#[test]
fn clicks_on_what_is_over_do_nothing() {
    let mut world = shown(17);
    let run = run(&world, ALICE);
    cancel(&mut world, ALICE);
    world.server.log.clear();
    let before = content(&world.devices[ALICE].store).1;
    for command in [
        Command::AcceptVerification { jid: BOB_JID, run },
        Command::AnswerSecret { jid: BOB_JID, run, secret: SharedSecret::new("x") },
        Command::ConfirmVerification { jid: BOB_JID, run, same: true },
        Command::ConfirmVerification { jid: BOB_JID, run, same: false },
        Command::CancelVerification { jid: BOB_JID, run },
        Command::CancelVerification { jid: "nobody@example.net", run },
    ] {
        let events = world.devices[ALICE].record.events.len();
        world.command(ALICE, command);
        assert_eq!(world.devices[ALICE].record.events.len(), events);
    }
    assert_eq!(content(&world.devices[ALICE].store).1, before);
    assert_eq!(sent(&world, ALICE, "<e "), Vec::<String>::new());
}

#[test]
fn mistakes_of_a_program_are_misuse_and_change_nothing() {
    let mut world = talking(18);
    let long = "x".repeat(1025);
    let run = RunId::from_bytes([1; 16]);
    assert_eq!(run.to_bytes(), [1; 16]);
    let secret = |text| SharedSecret::new(text);
    let cases = [
        (Command::StartVerification { jid: ALICE_JID, device: None }, Misuse::Jid),
        (Command::StartVerification { jid: "no jid", device: None }, Misuse::Jid),
        (
            Command::StartSecret { jid: BOB_JID, device: None, question: QUESTION, secret: secret(" ") },
            Misuse::Text,
        ),
        (
            Command::StartSecret { jid: BOB_JID, device: None, question: &long, secret: secret("x") },
            Misuse::Text,
        ),
        (Command::AnswerSecret { jid: BOB_JID, run, secret: secret(&long) }, Misuse::Text),
    ];
    for (command, misuse) in cases {
        world.with(ALICE, |device, _, env| {
            let error = device.engine_mut().handle(env, Input::Command(command)).unwrap_err();
            assert_eq!(error, Error::Misuse(misuse));
        });
    }
}

#[test]
fn without_device_or_contact_nothing_is_asked() {
    let mut world = World::pair(19);
    for (jid, device) in [(BOB_JID, Some(7)), ("nobody@example.net", None)] {
        world.command(ALICE, Command::StartVerification { jid, device });
    }
    world.run();
    assert_eq!(faults(&world, ALICE), [VerificationFault::NoSession; 2]);
    assert_eq!((asked(&world, BOB), sent(&world, ALICE, "<e ").len()), (0, 0));
}

#[test]
fn the_device_named_is_asked_else_the_one_online() {
    let mut world = talking(20);
    let laptop = world.add("bob@example.org/laptop");
    world.connect(laptop);
    world.run();
    world.say(ALICE, BOB_JID, "to both");
    world.run();
    world.disconnect(BOB);
    world.run();
    start(&mut world, ALICE);
    assert_eq!(asked(&world, laptop), 1);
    cancel(&mut world, ALICE);
    world.connect(BOB);
    world.run();
    world.say(laptop, ALICE_JID, "last heard from");
    world.run();
    let desk = world.devices[BOB].engine().device();
    world.command(ALICE, Command::StartVerification { jid: BOB_JID, device: Some(desk) });
    world.run();
    assert_eq!((asked(&world, laptop), asked(&world, BOB)), (1, 1));
    // The other device is not at it, and cannot get in.
    let run = run(&world, BOB);
    world.command(laptop, Command::AcceptVerification { jid: ALICE_JID, run });
    world.run();
    assert_eq!(string(&world, ALICE), None);
    accept(&mut world, BOB);
    assert!(string(&world, ALICE).is_some());
}

#[test]
fn whoever_may_not_see_presence_cannot_ask_unless_asked() {
    let mut world = talking(21);
    world.step(BOB, Job::Roster(ALICE_JID.to_owned(), Subscription::To));
    world.server.log.clear();
    start(&mut world, ALICE);
    assert_eq!((asked(&world, BOB), rejected(&world, BOB).len()), (0, 1));
    assert_eq!(sent(&world, BOB, "<e "), Vec::<String>::new(), "not even a refusal");
    cancel(&mut world, ALICE);
    // Bob's user asks; from then on Alice may.
    start(&mut world, BOB);
    accept(&mut world, ALICE);
    assert_eq!(string(&world, ALICE), string(&world, BOB));
    cancel(&mut world, ALICE);
    start(&mut world, ALICE);
    assert_eq!(asked(&world, BOB), 1);
}

#[test]
fn whoever_is_distrusted_cannot_ask() {
    let mut world = talking(22);
    let key = contact(&world, BOB).account_key.unwrap();
    let (trust, means) = (Trust::Distrusted, Means::User);
    world.command(BOB, Command::SetTrust { jid: ALICE_JID, key, trust, means });
    start(&mut world, ALICE);
    assert_eq!((asked(&world, BOB), rejected(&world, BOB).len()), (0, 1));
}

#[test]
fn old_messages_shown_again_change_nothing() {
    let mut world = shown(23);
    let copies = |world: &World, device: usize| -> Vec<String> {
        let jid = &world.devices[device].full_jid;
        let log =
            world.server.log.iter().filter(|crossing| crossing.way == Way::In && crossing.client == *jid);
        log.filter(|crossing| crossing.stanza.contains("<e "))
            .map(|crossing| crossing.stanza.clone())
            .collect()
    };
    let replay = |world: &mut World| {
        for device in [ALICE, BOB] {
            for stanza in copies(world, device) {
                let full = world.devices[device].full_jid.clone();
                world.server.inject(&full, stanza);
            }
        }
        world.run();
    };
    replay(&mut world);
    confirm(&mut world, ALICE, true);
    confirm(&mut world, BOB, true);
    replay(&mut world);
    for device in [ALICE, BOB] {
        assert_eq!((done(&world, device), faults(&world, device)), (1, vec![]));
        assert!(count(&world, device, |event| matches!(event, Event::Duplicate { .. })) > 3);
    }
    assert_eq!((asked(&world, BOB), asked(&world, ALICE)), (1, 0));
    quiet(&world);
}

#[test]
fn a_confirmation_may_overtake_what_reveals() {
    let mut world = talking(24);
    start(&mut world, ALICE);
    let held = Rc::new(RefCell::new(Vec::new()));
    let keep = held.clone();
    // Of what goes to Alice, the second message from now on is late.
    let mut seen = 0;
    world.server.tamper = Some(Box::new(move |to, stanza| {
        seen += usize::from(to.starts_with(ALICE_JID) && stanza.contains("<e "));
        if seen == 2 && keep.borrow().is_empty() && to.starts_with(ALICE_JID) {
            keep.borrow_mut().push(stanza);
            return Vec::new();
        }
        vec![stanza]
    }));
    accept(&mut world, BOB);
    assert_eq!((string(&world, ALICE), string(&world, BOB).is_some()), (None, true));
    confirm(&mut world, BOB, true);
    assert_eq!(faults(&world, ALICE), []);
    let late = held.borrow_mut().pop().unwrap();
    let full = world.devices[ALICE].full_jid.clone();
    world.server.inject(&full, late);
    world.run();
    assert_eq!(string(&world, ALICE), string(&world, BOB));
    confirm(&mut world, ALICE, true);
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (1, 1));
    quiet(&world);
}

#[test]
fn who_is_in_between_shows_other_strings_and_knows_no_secret() {
    // Mallory has replaced the account keys: for Alice she is Bob, for Bob she is Alice.
    let mut with_alice = talking(25);
    let mut with_bob = talking(26);
    start(&mut with_alice, ALICE);
    accept(&mut with_alice, BOB);
    start(&mut with_bob, ALICE);
    accept(&mut with_bob, BOB);
    let [alice, bob] = [string(&with_alice, ALICE), string(&with_bob, BOB)].map(Option::unwrap);
    assert_ne!(alice, bob);
    assert!(!alice.matches(&bob.digits()) && alice.matches(&alice.digits()));
    confirm(&mut with_alice, ALICE, false);
    assert_eq!(faults(&with_alice, BOB), [VerificationFault::Mismatch]);
    // She hands Alice's question on, and can only guess towards Alice.
    ask(&mut with_alice, ALICE, "the blue house");
    ask(&mut with_bob, ALICE, "the red house");
    answer(&mut with_bob, BOB, "the blue house");
    answer(&mut with_alice, BOB, "the red house");
    assert_eq!(trust(&with_alice, ALICE).0, Trust::FirstUse);
    assert_eq!(trust(&with_bob, BOB).0, Trust::FirstUse);
    assert_eq!(faults(&with_alice, ALICE).last(), Some(&VerificationFault::WrongSecret));
}

#[test]
fn a_key_that_changes_meanwhile_is_not_verified() {
    let mut world = shown(27);
    confirm(&mut world, BOB, true);
    // Bob's account shows another key.
    world.add("bob@example.org/new");
    let full = "bob@example.org/new";
    world.devices[2] = Device::first(full, &mut world.rng);
    world.connect(2);
    world.run();
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 1);
    confirm(&mut world, ALICE, true);
    assert_eq!(faults(&world, ALICE), [VerificationFault::KeyChanged]);
    assert_eq!((done(&world, ALICE), trust(&world, ALICE).0), (0, Trust::FirstUse));
    start(&mut world, ALICE);
    assert_eq!(faults(&world, ALICE).last(), Some(&VerificationFault::KeyChanged));
}

#[test]
fn what_a_restored_state_was_at_does_not_go_on() {
    let mut world = shown(28);
    world.command(ALICE, Command::Restored);
    world.run();
    assert_eq!(faults(&world, ALICE), [VerificationFault::SessionChanged]);
    world.say(ALICE, BOB_JID, "anew");
    world.run();
    confirm(&mut world, BOB, true);
    assert_eq!(faults(&world, BOB), [VerificationFault::SessionChanged]);
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (0, 0));
}

#[test]
fn who_leaves_ends_its_runs() {
    let mut world = shown(30);
    world.command(ALICE, Command::Leave);
    world.run();
    for device in [ALICE, BOB] {
        assert_eq!(faults(&world, device), [VerificationFault::Cancelled]);
    }
    start(&mut world, ALICE);
    assert_eq!(faults(&world, ALICE).last(), Some(&VerificationFault::NoSession));
}

#[test]
fn forgetting_a_contact_ends_its_run() {
    let mut world = shown(29);
    world.command(ALICE, Command::Forget { jid: BOB_JID });
    assert_eq!(faults(&world, ALICE), [VerificationFault::Cancelled]);
}
