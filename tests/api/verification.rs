//! Comparing account keys: by short string, and by a secret.

mod opened;
mod refused;

use std::time::Duration;

use xmpp_e2e::{Command, Contact, Engine, Means, RunId, SharedSecret, ShortString, Trust, VerificationFault};
use xmpp_e2e_testkit::device::Job;
use xmpp_e2e_testkit::wire::{Catch, is_protected};

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const QUESTION: &str = "Where did we meet?";

fn other(device: usize) -> &'static str {
    if device == ALICE { BOB_JID } else { ALICE_JID }
}

/// The run that was last begun, or asked for, at this device.
fn run(world: &World, device: usize) -> RunId {
    let last = world.devices[device].record.events.iter().rev().find_map(|event| match event {
        Event::VerificationStarted { run, .. } | Event::VerificationAsked { run, .. } => Some(*run),
        _ => None,
    });
    last.expect("a run")
}

fn string(world: &World, device: usize) -> Option<ShortString> {
    world.devices[device].record.events.iter().rev().find_map(|event| match event {
        Event::VerificationString { string, .. } => Some(*string),
        _ => None,
    })
}

fn faults(world: &World, device: usize) -> Vec<VerificationFault> {
    let events = world.devices[device].record.events.iter().filter_map(|event| match event {
        Event::VerificationFailed { why, .. } => Some(*why),
        _ => None,
    });
    events.collect()
}

fn asked(world: &World, device: usize) -> usize {
    count(world, device, |event| matches!(event, Event::VerificationAsked { .. }))
}

fn done(world: &World, device: usize) -> usize {
    count(world, device, |event| matches!(event, Event::VerificationDone { .. }))
}

fn contact(world: &World, device: usize) -> Contact {
    world.devices[device].engine().contact(other(device)).unwrap().unwrap()
}

fn trust(world: &World, device: usize) -> (Trust, Means) {
    let decision = contact(world, device).decision;
    (decision.trust, decision.means)
}

fn start(world: &mut World, device: usize) {
    world.command(device, Command::StartVerification { jid: other(device), device: None });
    world.run();
}

fn ask(world: &mut World, device: usize, secret: &'static str) {
    let (jid, secret) = (other(device), SharedSecret::new(secret));
    world.command(device, Command::StartSecret { jid, device: None, question: QUESTION, secret });
    world.run();
}

fn accept(world: &mut World, device: usize) {
    let run = run(world, device);
    world.command(device, Command::AcceptVerification { jid: other(device), run });
    world.run();
}

fn answer(world: &mut World, device: usize, secret: &'static str) {
    let (jid, run, secret) = (other(device), run(world, device), SharedSecret::new(secret));
    world.command(device, Command::AnswerSecret { jid, run, secret });
    world.run();
}

fn confirm(world: &mut World, device: usize, same: bool) {
    let run = run(world, device);
    world.command(device, Command::ConfirmVerification { jid: other(device), run, same });
    world.run();
}

fn cancel(world: &mut World, device: usize) {
    let run = run(world, device);
    world.command(device, Command::CancelVerification { jid: other(device), run });
    world.run();
}

/// A session, and both users see the string.
fn shown(seed: u64) -> World {
    let mut world = talking(seed);
    start(&mut world, ALICE);
    accept(&mut world, BOB);
    world
}

fn quiet(world: &World) {
    for device in [ALICE, BOB] {
        assert_eq!(rejected(world, device), []);
    }
}

#[test]
fn equal_strings_confirmed_on_both_sides_verify_both_keys() {
    for first in [ALICE, BOB] {
        let second = 1 - first;
        let mut world = talking(1);
        start(&mut world, first);
        assert_eq!((asked(&world, second), string(&world, first), string(&world, second)), (1, None, None));
        accept(&mut world, second);
        let shown = string(&world, first).unwrap();
        assert_eq!(string(&world, second), Some(shown));
        confirm(&mut world, second, true);
        assert_eq!((done(&world, first), done(&world, second)), (0, 0));
        assert_eq!(trust(&world, second).0, Trust::FirstUse, "the other side has not confirmed");
        confirm(&mut world, first, true);
        for device in [first, second] {
            assert_eq!(done(&world, device), 1);
            assert_eq!(trust(&world, device), (Trust::Verified, Means::ShortString));
            let changed = |event: &Event| {
                let to = (Trust::Verified, Means::ShortString);
                matches!(event, Event::TrustChanged { trust, means, .. } if (*trust, *means) == to)
            };
            assert_eq!(count(&world, device, changed), 1);
            assert_eq!(faults(&world, device), []);
        }
        quiet(&world);
        world.say(ALICE, BOB_JID, "now I know");
        world.run();
        assert_eq!(bodies(&world, BOB), ["now I know"]);
    }
}

#[test]
fn each_run_has_a_string_of_its_own() {
    let mut world = shown(2);
    let first = string(&world, ALICE).unwrap();
    cancel(&mut world, ALICE);
    start(&mut world, BOB);
    accept(&mut world, ALICE);
    assert_ne!(string(&world, ALICE), Some(first));
    assert_eq!(string(&world, ALICE), string(&world, BOB));
}

#[test]
fn who_says_that_the_strings_differ_ends_it_on_both_sides() {
    let mut world = shown(3);
    confirm(&mut world, BOB, true);
    confirm(&mut world, ALICE, false);
    for device in [ALICE, BOB] {
        assert_eq!(faults(&world, device), [VerificationFault::Mismatch]);
        assert_eq!((done(&world, device), trust(&world, device).0), (0, Trust::FirstUse));
    }
    quiet(&world);
}

#[test]
fn the_same_secret_verifies_both_keys() {
    for first in [ALICE, BOB] {
        let second = 1 - first;
        let mut world = talking(4);
        ask(&mut world, first, "the blue house");
        let question = |event: &Event| matches!(event, Event::VerificationAsked { question: Some(text), .. } if text.as_str() == QUESTION);
        assert_eq!(count(&world, second, question), 1);
        answer(&mut world, second, " the  blue house ");
        for device in [first, second] {
            assert_eq!((done(&world, device), faults(&world, device)), (1, vec![]));
            assert_eq!(trust(&world, device), (Trust::Verified, Means::Secret));
        }
        quiet(&world);
    }
}

#[test]
fn a_wrong_secret_is_told_on_both_sides_and_there_is_one_try() {
    let mut world = talking(5);
    ask(&mut world, ALICE, "the blue house");
    answer(&mut world, BOB, "the green house");
    for device in [ALICE, BOB] {
        assert_eq!(faults(&world, device), [VerificationFault::WrongSecret]);
        assert_eq!((done(&world, device), trust(&world, device).0), (0, Trust::FirstUse));
    }
    answer(&mut world, BOB, "the blue house");
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (0, 0));
    quiet(&world);
}

#[test]
fn three_runs_an_hour_are_all_there_are() {
    let mut world = talking(6);
    for _ in 0..3 {
        ask(&mut world, ALICE, "right");
        answer(&mut world, BOB, "wrong");
    }
    start(&mut world, ALICE);
    start(&mut world, BOB);
    for device in [ALICE, BOB] {
        let wrong = VerificationFault::WrongSecret;
        assert_eq!(faults(&world, device), [wrong, wrong, wrong, VerificationFault::TooMany]);
    }
    assert_eq!((asked(&world, BOB), asked(&world, ALICE)), (3, 0));
    world.advance(60 * MINUTE);
    start(&mut world, ALICE);
    assert_eq!(asked(&world, BOB), 4);
}

/// A program that does not keep to the limit: it forgets what it has done.
#[test]
fn who_asks_too_often_is_refused_and_its_user_not_asked() {
    let mut world = talking(7);
    for _ in 0..3 {
        start(&mut world, ALICE);
        cancel(&mut world, ALICE);
    }
    forget_runs(&mut world, ALICE);
    start(&mut world, ALICE);
    assert_eq!(asked(&world, BOB), 3);
    assert_eq!(faults(&world, ALICE).last(), Some(&VerificationFault::TooMany));
    assert_eq!(faults(&world, BOB).len(), 3, "those that were cancelled");
    // After some refusals there is not even an answer.
    let answers = |world: &World| sent(world, BOB, "<e ").len();
    for _ in 0..8 {
        forget_runs(&mut world, ALICE);
        start(&mut world, ALICE);
    }
    let before = answers(&world);
    forget_runs(&mut world, ALICE);
    start(&mut world, ALICE);
    assert_eq!((asked(&world, BOB), answers(&world)), (3, before));
}

/// Has a program forget its comparisons, as one that cheats would.
fn forget_runs(world: &mut World, device: usize) {
    world.disconnect(device);
    let mut stored = world.devices[device].store.load().unwrap();
    stored.records.retain(|(key, _)| key.as_bytes().first() != Some(&21));
    let config = world.devices[device].config.clone();
    *world.devices[device].engine_mut() = Engine::restore(config, &stored).unwrap();
    world.connect(device);
    world.run();
}

#[test]
fn a_run_ends_after_ten_minutes_on_both_sides() {
    for method in [false, true] {
        let mut world = talking(8);
        if method {
            ask(&mut world, ALICE, "x");
        } else {
            start(&mut world, ALICE);
            accept(&mut world, BOB);
        }
        world.advance(9 * MINUTE);
        assert_eq!((faults(&world, ALICE), faults(&world, BOB)), (vec![], vec![]));
        world.advance(2 * MINUTE);
        for device in [ALICE, BOB] {
            assert_eq!(faults(&world, device), [VerificationFault::TimedOut]);
        }
        if !method {
            confirm(&mut world, ALICE, true);
            confirm(&mut world, BOB, true);
        }
        assert_eq!((done(&world, ALICE), done(&world, BOB)), (0, 0));
        quiet(&world);
        // What is counted is forgotten, and the store as it was.
        world.advance(70 * MINUTE);
        for device in [ALICE, BOB] {
            let records = content(&world.devices[device].store).1;
            assert!(records.iter().all(|(key, _)| key[0] != 21));
        }
    }
}

#[test]
fn what_came_too_late_ends_without_harm() {
    let mut world = talking(9);
    world.disconnect(BOB);
    start(&mut world, ALICE);
    world.advance(11 * MINUTE);
    world.connect(BOB);
    world.run();
    assert_eq!(faults(&world, ALICE), [VerificationFault::TimedOut]);
    assert_eq!((asked(&world, BOB), faults(&world, BOB)), (1, vec![VerificationFault::TimedOut]));
    quiet(&world);
}

#[test]
fn a_run_goes_on_while_one_side_comes_and_goes() {
    let mut world = talking(10);
    world.disconnect(BOB);
    start(&mut world, ALICE);
    world.disconnect(ALICE);
    world.connect(BOB);
    world.run();
    accept(&mut world, BOB);
    world.disconnect(BOB);
    world.connect(ALICE);
    world.run();
    world.connect(BOB);
    world.run();
    assert!(string(&world, ALICE).is_some());
    assert_eq!(string(&world, ALICE), string(&world, BOB));
    confirm(&mut world, ALICE, true);
    world.disconnect(ALICE);
    confirm(&mut world, BOB, true);
    world.connect(ALICE);
    world.run();
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (1, 1));
    quiet(&world);
}

#[test]
fn runs_survive_a_crash_at_any_step_and_are_shown_again() {
    let crash = |world: &mut World| {
        for device in [ALICE, BOB] {
            world.crash(device);
            world.restart(device);
        }
        world.run();
    };
    let mut world = talking(11);
    start(&mut world, ALICE);
    crash(&mut world);
    assert_eq!(asked(&world, BOB), 2, "told again");
    accept(&mut world, BOB);
    let before = string(&world, ALICE).unwrap();
    crash(&mut world);
    let strings = |device| count(&world, device, |event| matches!(event, Event::VerificationString { .. }));
    assert_eq!((strings(ALICE), strings(BOB)), (2, 2));
    assert_eq!((string(&world, ALICE), string(&world, BOB)), (Some(before), Some(before)));
    confirm(&mut world, ALICE, true);
    crash(&mut world);
    confirm(&mut world, BOB, true);
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (1, 1));
    ask(&mut world, BOB, "x");
    crash(&mut world);
    answer(&mut world, ALICE, "x");
    crash(&mut world);
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (2, 2));
    quiet(&world);
}

#[test]
fn a_crash_between_any_two_effects_loses_nothing() {
    for number in 0.. {
        let mut world = talking(12);
        let now = world.devices[BOB].moments;
        world.devices[BOB].crash_at(now + number);
        start(&mut world, ALICE);
        accept(&mut world, BOB);
        if string(&world, BOB).is_none() {
            // The command was lost with the program.
            accept(&mut world, BOB);
        }
        confirm(&mut world, ALICE, true);
        confirm(&mut world, BOB, true);
        confirm(&mut world, BOB, true);
        assert_eq!((trust(&world, ALICE).0, trust(&world, BOB).0), (Trust::Verified, Trust::Verified));
        let crashed = world.devices[BOB].moments > now + number;
        if !crashed {
            assert!(number > 10);
            return;
        }
    }
}

#[test]
fn who_ask_at_once_have_one_run() {
    for secret in [false, true] {
        let mut world = talking(13);
        for device in [ALICE, BOB] {
            let command = if secret {
                let (question, secret) = (QUESTION, SharedSecret::new("x"));
                Command::StartSecret { jid: other(device), device: None, question, secret }
            } else {
                Command::StartVerification { jid: other(device), device: None }
            };
            world.command(device, command);
        }
        world.run();
        let asked: Vec<usize> =
            [ALICE, BOB].into_iter().filter(|device| asked(&world, *device) == 1).collect();
        let [responder] = asked[..] else { panic!("{asked:?}") };
        assert_eq!(faults(&world, responder), [VerificationFault::Superseded]);
        assert_eq!(faults(&world, 1 - responder), []);
        if secret {
            answer(&mut world, responder, "x");
        } else {
            accept(&mut world, responder);
            assert_eq!(string(&world, ALICE), string(&world, BOB));
            confirm(&mut world, ALICE, true);
            confirm(&mut world, BOB, true);
        }
        assert_eq!((done(&world, ALICE), done(&world, BOB)), (1, 1));
        quiet(&world);
    }
}

#[test]
fn one_run_at_a_time() {
    let mut world = shown(14);
    let before = run(&world, ALICE);
    start(&mut world, ALICE);
    start(&mut world, BOB);
    for device in [ALICE, BOB] {
        assert_eq!(faults(&world, device), [VerificationFault::Busy]);
        assert_eq!(run(&world, device), before);
    }
    // Who lost its part of it may ask again; the other is still at it.
    forget_runs(&mut world, ALICE);
    start(&mut world, ALICE);
    assert_eq!(faults(&world, ALICE).last(), Some(&VerificationFault::Busy));
    // What Bob says now is of a run that Alice does not know.
    confirm(&mut world, BOB, true);
    assert_eq!(faults(&world, BOB).last(), Some(&VerificationFault::Gone));
    quiet(&world);
}

#[test]
fn a_newer_request_takes_the_place_of_one_not_decided() {
    let mut world = talking(15);
    start(&mut world, ALICE);
    forget_runs(&mut world, ALICE);
    start(&mut world, ALICE);
    assert_eq!((asked(&world, BOB), faults(&world, BOB)), (2, vec![VerificationFault::Superseded]));
    accept(&mut world, BOB);
    assert!(string(&world, ALICE).is_some());
    assert_eq!(string(&world, ALICE), string(&world, BOB));
}

#[test]
fn both_sides_can_cancel_at_any_time() {
    for (stage, who) in [(0, ALICE), (0, BOB), (1, ALICE), (1, BOB)] {
        let mut world = talking(16);
        start(&mut world, ALICE);
        if stage == 1 {
            accept(&mut world, BOB);
        }
        cancel(&mut world, who);
        for device in [ALICE, BOB] {
            assert_eq!(faults(&world, device), [VerificationFault::Cancelled]);
        }
        quiet(&world);
    }
}

/// Alice says that she distrusts Bob's key.
fn distrust(world: &mut World) {
    let key = contact(world, ALICE).account_key.unwrap();
    let (jid, trust, means) = (BOB_JID, Trust::Distrusted, Means::User);
    world.command(ALICE, Command::SetTrust { jid, key, trust, means });
    world.run();
}

#[test]
fn who_is_distrusted_during_a_run_is_not_verified_by_it() {
    // Alice has confirmed the string, and the confirmation of the other side comes after.
    let mut world = shown(40);
    confirm(&mut world, ALICE, true);
    distrust(&mut world);
    assert_eq!(faults(&world, BOB), [VerificationFault::Cancelled]);
    confirm(&mut world, BOB, true);
    assert_eq!((trust(&world, ALICE), done(&world, ALICE)), ((Trust::Distrusted, Means::User), 0));
    assert_eq!(faults(&world, ALICE), [VerificationFault::Cancelled]);

    // Alice has answered the question, and Bob's word that it is right is under way.
    let mut world = talking(41);
    ask(&mut world, BOB, "the blue house");
    let held = Catch::new(&mut world.server, "alice@example.com/phone", is_protected);
    answer(&mut world, ALICE, "the blue house");
    distrust(&mut world);
    for stanza in held.all() {
        world.step(ALICE, Job::Received(stanza));
    }
    assert_eq!((trust(&world, ALICE), done(&world, ALICE)), ((Trust::Distrusted, Means::User), 0));
    assert_eq!(faults(&world, ALICE), [VerificationFault::Cancelled]);
}
