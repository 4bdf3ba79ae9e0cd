//! Comparisons with a contact there is no session with: one is opened for them.

use xmpp_e2e::{SendError, TrustPolicy};

use super::*;

/// Alice and Bob, who have said nothing to each other, and seal only to keys that they have decided about.
fn strict(seed: u64, policy: TrustPolicy) -> World {
    let mut world = World::pair(seed);
    for device in [ALICE, BOB] {
        world.command(device, Command::SetPolicy { jid: other(device), policy: Some(policy) });
    }
    world.run();
    world
}

fn untrusted(world: &mut World) {
    for device in [ALICE, BOB] {
        let token = world.say(device, other(device), "no");
        world.run();
        assert_eq!(ends(world, device, token), [End::Failed(SendError::Untrusted)]);
    }
}

fn talk(world: &mut World) {
    for device in [ALICE, BOB] {
        let token = world.say(device, other(device), "yes");
        world.run();
        assert!(matches!(ends(world, device, token)[..], [End::Sent(_)]));
        assert_eq!(bodies(world, 1 - device), ["yes"]);
    }
}

#[test]
fn c21_who_seal_to_verified_keys_only_can_verify_them() {
    for policy in [TrustPolicy::VerifiedOnly, TrustPolicy::Application] {
        let mut world = strict(1, policy);
        untrusted(&mut world);
        start(&mut world, ALICE);
        assert_eq!((asked(&world, BOB), faults(&world, ALICE)), (1, vec![]), "{}", world.dump());
        untrusted(&mut world);
        accept(&mut world, BOB);
        assert_eq!(string(&world, ALICE).unwrap(), string(&world, BOB).unwrap());
        for device in [ALICE, BOB] {
            confirm(&mut world, device, true);
        }
        assert_eq!((done(&world, ALICE), done(&world, BOB)), (1, 1));
        talk(&mut world);
        quiet(&world);
    }
}

#[test]
fn c21_who_seal_to_verified_keys_only_can_verify_them_by_a_secret() {
    let mut world = strict(2, TrustPolicy::VerifiedOnly);
    ask(&mut world, BOB, "a house");
    let question = |event: &Event| matches!(event, Event::VerificationAsked { question: Some(question), .. } if question.as_str() == QUESTION);
    assert_eq!(count(&world, ALICE, question), 1);
    answer(&mut world, ALICE, "a house");
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (1, 1));
    talk(&mut world);
    quiet(&world);
}

/// The agent answers late; the user has been told that the comparison has begun, and stops it or not.
#[test]
fn a_run_that_waits_for_its_session_survives_a_crash_and_can_be_cancelled() {
    for cancelled in [false, true] {
        let mut world = strict(3, TrustPolicy::VerifiedOnly);
        world.devices[ALICE].answers = false;
        start(&mut world, ALICE);
        let started = |event: &Event| matches!(event, Event::VerificationStarted { .. });
        assert_eq!((count(&world, ALICE, started), asked(&world, BOB)), (1, 0));
        if cancelled {
            cancel(&mut world, ALICE);
        }
        world.crash(ALICE);
        world.devices[ALICE].answers = true;
        world.restart(ALICE);
        world.run();
        assert_eq!(asked(&world, BOB), usize::from(!cancelled), "{}", world.dump());
        let expected = if cancelled { vec![VerificationFault::Cancelled] } else { vec![] };
        assert_eq!((faults(&world, ALICE), faults(&world, BOB)), (expected, vec![]));
    }
}

#[test]
fn a_run_that_waits_for_its_session_ends_after_ten_minutes_or_with_a_refusal() {
    let mut world = strict(4, TrustPolicy::VerifiedOnly);
    world.devices[ALICE].answers = false;
    start(&mut world, ALICE);
    world.advance(MINUTE * 11);
    assert!(!faults(&world, ALICE).is_empty());
    assert_eq!((asked(&world, BOB), faults(&world, BOB)), (0, vec![]));
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.run();
    assert_eq!(asked(&world, BOB), 0);
}

#[test]
fn who_ask_at_once_without_a_session_have_one_run() {
    let mut world = strict(5, TrustPolicy::VerifiedOnly);
    for device in [ALICE, BOB] {
        world.command(device, Command::StartVerification { jid: other(device), device: None });
    }
    world.run();
    let asked_of = if asked(&world, ALICE) > 0 { ALICE } else { BOB };
    accept(&mut world, asked_of);
    for device in [ALICE, BOB] {
        assert!(string(&world, device).is_some(), "{}", world.dump());
        confirm(&mut world, device, true);
    }
    assert_eq!((done(&world, ALICE), done(&world, BOB)), (1, 1));
}

#[test]
fn no_session_is_opened_with_whom_the_user_distrusts() {
    let mut world = World::pair(6);
    let key = contact(&world, ALICE).account_key.unwrap();
    let (trust, means) = (Trust::Distrusted, Means::User);
    world.command(ALICE, Command::SetTrust { jid: BOB_JID, key, trust, means });
    start(&mut world, ALICE);
    assert_eq!(faults(&world, ALICE), [VerificationFault::NoSession]);
    assert_eq!(sent(&world, ALICE, "<e "), Vec::<String>::new());
}
