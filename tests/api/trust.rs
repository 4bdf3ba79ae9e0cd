//! What is decided about keys, and what that allows.

use xmpp_e2e::{
    Authentication, BareJid, Command, Contact, Error, Fingerprint, Means, Misuse, Outlook, ScanOutcome,
    SendError, Subscription, Trust, TrustPolicy,
};
use xmpp_e2e_testkit::device::{End, Job};

use super::*;

/// What Alice knows of Bob.
fn bob(world: &World) -> Contact {
    world.devices[ALICE].engine().contact(BOB_JID).unwrap().unwrap()
}

fn command(world: &mut World, device: usize, command: Command<'static>) {
    world.with(device, |device, server, env| device.step(server, env, Job::Command(command)));
    world.run();
}

fn decide(world: &mut World, trust: Trust, means: Means) {
    let key = bob(world).account_key.unwrap();
    command(world, ALICE, Command::SetTrust { jid: BOB_JID, key, trust, means });
}

fn policy(world: &mut World, policy: TrustPolicy) {
    command(world, ALICE, Command::SetPolicy { jid: BOB_JID, policy: Some(policy) });
}

/// How a message of Alice to Bob ends.
fn say(world: &mut World, text: &str) -> Vec<End> {
    let token = world.say(ALICE, BOB_JID, text);
    world.run();
    ends(world, ALICE, token)
}

fn outlook(world: &World) -> Outlook {
    world.devices[ALICE].engine().outlook(BOB_JID, &Need::Policy).unwrap()
}

/// Bob installs anew, with another account key, and Alice learns of it.
fn new_key(world: &mut World) -> [u8; 32] {
    world.disconnect(BOB);
    let name = world.devices[BOB].full_jid.clone();
    world.devices[BOB] = Device::first(&name, &mut world.rng);
    world.connect(BOB);
    world.run();
    bob(world).changed_key.expect("another key")
}

#[test]
fn c21_nothing_is_sealed_before_the_decision() {
    for (rule, trust, means) in [
        (TrustPolicy::VerifiedOnly, Trust::Verified, Means::Fingerprint),
        (TrustPolicy::Application, Trust::FirstUse, Means::User),
    ] {
        let mut world = talking(1);
        policy(&mut world, rule);
        assert_eq!(outlook(&world), Outlook::Refused(SendError::Untrusted));
        let stanzas = [
            message(BOB_JID, "m1", "early"),
            format!("<presence to='{BOB_JID}/desk'><status>early</status></presence>"),
            format!("<iq to='{BOB_JID}/desk' type='get' id='q1'><query xmlns='early'/></iq>"),
        ];
        let session = Need::Authenticated(Authentication::session(Level::CLASSICAL));
        for need in [Need::Policy, Need::Encrypted(Level::CLASSICAL), session] {
            for stanza in &stanzas {
                let effects = world.with(ALICE, |device, _, env| {
                    let (token, need) = (Token(1), need.clone());
                    apply(device, env, Input::Outgoing { stanza, token, need })
                });
                let failed = matches!(effects[..], [Effect::Failed { why: SendError::Untrusted, .. }]);
                assert!(failed, "{need:?} {stanza} {effects:?}");
            }
        }
        // A signature for anyone is sealed to nobody.
        let signed = Need::Authenticated(Authentication::signed().for_anyone());
        let token = world.say_with(ALICE, BOB_JID, "signed", signed);
        world.run();
        assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
        decide(&mut world, trust, means);
        assert_eq!(outlook(&world), Outlook::Encrypted);
        assert!(matches!(say(&mut world, "now")[..], [End::Sent(_)]));
        assert_eq!(bodies(&world, BOB).last(), Some(&"now"));
        assert!(!bodies(&world, BOB).contains(&"early"));
    }
}

#[test]
fn c21_what_waited_for_keys_is_judged_when_it_could_go() {
    let mut world = World::new(2);
    world.add("alice@example.com/phone");
    world.add("bob@example.org/desk");
    world.devices[ALICE].config.trust = TrustPolicy::VerifiedOnly;
    world.devices[ALICE].restore();
    world.connect(BOB);
    world.run();
    // Bob's keys are in PEP; Alice has none of his yet.
    world.disconnect(BOB);
    world.connect(ALICE);
    world.run();
    let token = world.say_with(ALICE, BOB_JID, "secret", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::Untrusted)]);
    assert_eq!(sent(&world, ALICE, "<message"), Vec::<String>::new());
    decide(&mut world, Trust::Verified, Means::Fingerprint);
    let token = world.say_with(ALICE, BOB_JID, "secret", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
}

#[test]
fn c12_a_message_that_waits_when_its_contact_is_distrusted_fails() {
    let mut world = talking(3);
    world.disconnect(ALICE);
    // A second device of Bob, which Alice has no session with, holds the message up.
    let laptop = world.add("bob@example.org/laptop");
    world.connect(laptop);
    world.run();
    world.devices[ALICE].answers = false;
    world.connect(ALICE);
    world.run();
    let token = world.say(ALICE, BOB_JID, "waits");
    world.run();
    assert_eq!(ends(&world, ALICE, token), []);
    decide(&mut world, Trust::Distrusted, Means::User);
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::Distrusted)]);
    world.with(ALICE, Device::answer);
    world.run();
    assert_eq!((bodies(&world, BOB).len(), bodies(&world, laptop).len()), (0, 0));
}

#[test]
fn c12_first_use_ends_with_the_first_verification() {
    let mut world = talking(4);
    policy(&mut world, TrustPolicy::FirstUseUntilVerified);
    assert!(matches!(say(&mut world, "first use")[..], [End::Sent(_)]));
    let first = bob(&world).account_key.unwrap();
    decide(&mut world, Trust::Verified, Means::ShortString);
    let digest = new_key(&mut world);
    assert_eq!(say(&mut world, "x"), [End::Failed(SendError::KeyChanged)]);
    // A verified key is not overwritten by another that is shown.
    assert_eq!((bob(&world).account_key, bob(&world).decision.trust), (Some(first), Trust::Verified));
    command(&mut world, ALICE, Command::AcceptKey { jid: BOB_JID, digest });
    let decision = bob(&world).decision;
    assert_eq!((decision.trust, decision.means), (Trust::FirstUse, Means::Accepted));
    assert_eq!(outlook(&world), Outlook::Refused(SendError::Untrusted));
    assert_eq!(say(&mut world, "x"), [End::Failed(SendError::Untrusted)]);
    // One who had never been verified would have got it.
    policy(&mut world, TrustPolicy::FirstUse);
    assert!(matches!(say(&mut world, "new key")[..], [End::Sent(_)]));
    policy(&mut world, TrustPolicy::FirstUseUntilVerified);
    decide(&mut world, Trust::Verified, Means::ShortString);
    assert!(matches!(say(&mut world, "verified anew")[..], [End::Sent(_)]));
    assert_eq!(bodies(&world, BOB), ["new key", "verified anew"]);
}

#[test]
fn c12_decisions_are_told_and_kept() {
    let mut world = talking(5);
    let first = bob(&world).account_key.unwrap();
    decide(&mut world, Trust::Verified, Means::Fingerprint);
    let told = |event: &Event| {
        matches!(event, Event::TrustChanged { trust: Trust::Verified, means: Means::Fingerprint, .. })
    };
    assert_eq!(count(&world, ALICE, told), 1);
    let second = new_key(&mut world);
    command(&mut world, ALICE, Command::RejectKey { jid: BOB_JID, digest: second });
    // The user was wrong, and then was not.
    command(&mut world, ALICE, Command::AcceptKey { jid: BOB_JID, digest: second });
    assert_eq!(bob(&world).account_key, Some(second));
    command(&mut world, ALICE, Command::AcceptKey { jid: BOB_JID, digest: first });
    assert_eq!((bob(&world).account_key, bob(&world).decision.trust), (Some(first), Trust::FirstUse));
    world.devices[ALICE].restore();
    let history = world.devices[ALICE].engine().trust_history(BOB_JID).unwrap();
    let history: Vec<_> =
        history.iter().map(|past| (past.key, past.decision.trust, past.decision.means)).collect();
    let expected = [
        (first, Trust::FirstUse, Means::First),
        (second, Trust::Distrusted, Means::User),
        (first, Trust::Verified, Means::Fingerprint),
        (second, Trust::FirstUse, Means::Accepted),
    ];
    assert_eq!(history, expected);
    for _ in 0..20 {
        decide(&mut world, Trust::Distrusted, Means::User);
        decide(&mut world, Trust::FirstUse, Means::User);
    }
    let history = world.devices[ALICE].engine().trust_history(BOB_JID).unwrap();
    assert_eq!((history.len(), history[0].decision.means), (16, Means::User));
    assert_eq!(world.devices[BOB].engine().trust_history(BOB_JID).unwrap(), []);
}

#[test]
fn c12_a_changed_key_is_verified_after_it_is_accepted_and_the_one_before_can_be_taken_back() {
    let mut world = talking(40);
    let first = bob(&world).account_key.unwrap();
    let second = new_key(&mut world);
    let (trust, means) = (Trust::Verified, Means::Fingerprint);
    let error = world.with(ALICE, |device, _, env| {
        let set = Command::SetTrust { jid: BOB_JID, key: second, trust, means };
        device.engine_mut().handle(env, Input::Command(set)).map(drop).unwrap_err()
    });
    assert_eq!(error, Error::Misuse(Misuse::Key));
    command(&mut world, ALICE, Command::AcceptKey { jid: BOB_JID, digest: second });
    command(&mut world, ALICE, Command::SetTrust { jid: BOB_JID, key: second, trust, means });
    assert_eq!((bob(&world).account_key, bob(&world).decision.trust), (Some(second), Trust::Verified));
    // The last that was decided is about the second.
    let history = world.devices[ALICE].engine().trust_history(BOB_JID).unwrap();
    assert_eq!(history.last().map(|past| past.key), Some(second));
    let before = history.iter().rev().find(|past| past.key != second).expect("the first").key;
    assert_eq!(before, first);
    command(&mut world, ALICE, Command::AcceptKey { jid: BOB_JID, digest: before });
    assert_eq!((bob(&world).account_key, bob(&world).decision.trust), (Some(first), Trust::FirstUse));
}

#[test]
fn a_decision_is_one_about_the_key_shown() {
    let mut world = talking(6);
    let key = bob(&world).account_key.unwrap();
    let (trust, means) = (Trust::Verified, Means::Fingerprint);
    let set = |jid, key, trust, means| Command::SetTrust { jid, key, trust, means };
    for (command, misuse) in [
        (set(BOB_JID, [1; 32], trust, means), Misuse::Key),
        (set("carol@example.net", key, trust, means), Misuse::Key),
        (set(ALICE_JID, key, trust, means), Misuse::Key),
        (set(BOB_JID, key, Trust::Unknown, means), Misuse::Trust),
        (set(BOB_JID, key, trust, Means::First), Misuse::Trust),
        (set("bob@example.org/desk", key, trust, means), Misuse::Jid),
        (Command::SetPolicy { jid: ALICE_JID, policy: None }, Misuse::Jid),
    ] {
        let before = content(&world.devices[ALICE].store);
        let error = world.with(ALICE, |device, _, env| {
            device.engine_mut().handle(env, Input::Command(command.clone())).map(drop).unwrap_err()
        });
        assert_eq!(error, Error::Misuse(misuse), "{command:?}");
        assert_eq!(content(&world.devices[ALICE].store), before);
    }
}

#[test]
fn c12_a_distrusted_contact_gets_nothing_and_is_still_read() {
    let mut world = talking(7);
    decide(&mut world, Trust::Distrusted, Means::User);
    world.server.log.clear();
    assert_eq!(outlook(&world), Outlook::Refused(SendError::Distrusted));
    assert_eq!(say(&mut world, "x"), [End::Failed(SendError::Distrusted)]);
    let signed = Need::Authenticated(Authentication::signed());
    assert_eq!(
        world.devices[ALICE].engine().outlook(BOB_JID, &signed).unwrap(),
        Outlook::Refused(SendError::Distrusted)
    );
    let token = world.say_with(ALICE, BOB_JID, "x", signed);
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::Distrusted)]);
    // No heartbeat, no KEM epoch that the user asks for, no list.
    for n in 0..120 {
        world.say(BOB, ALICE_JID, &n.to_string());
        world.run();
    }
    command(&mut world, ALICE, Command::Heal { jid: BOB_JID });
    assert_eq!(bodies(&world, ALICE).len(), 120);
    assert!(
        world.devices[ALICE].inbox().iter().all(|letter| {
            letter.context.as_ref().is_some_and(|context| context.trust == Trust::Distrusted)
        })
    );
    assert_eq!(sent(&world, ALICE, "<message"), Vec::<String>::new());
    command(&mut world, ALICE, Command::Leave);
    assert_eq!(sent(&world, ALICE, "<message"), Vec::<String>::new());
}

#[test]
fn c12_a_stranger_that_is_distrusted_is_not_written_to_in_clear() {
    let mut world = talking(8);
    decide(&mut world, Trust::Distrusted, Means::User);
    // Bob leaves the protocol: others would now write to him in clear.
    command(&mut world, BOB, Command::Leave);
    world.with(ALICE, |device, server, env| {
        device.step(server, env, Job::Roster(BOB_JID.to_owned(), Subscription::None));
    });
    assert!(bob(&world).left);
    assert_eq!(say(&mut world, "x"), [End::Failed(SendError::Distrusted)]);
    assert!(sent(&world, ALICE, ">x<").is_empty());
}

#[test]
fn c12_a_delivery_says_how_far_its_sender_was_trusted_when_it_came() {
    let mut world = talking(9);
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    world.devices[ALICE].takes = false;
    world.server.carbons = true;
    world.say(BOB, ALICE_JID, "first use");
    world.run();
    world.say(tablet, BOB_JID, "a copy");
    world.run();
    decide(&mut world, Trust::Verified, Means::Code);
    world.say(BOB, ALICE_JID, "verified");
    world.run();
    let trusts = |world: &World| -> Vec<(String, Trust)> {
        let contexts = world.devices[ALICE].inbox().iter().filter_map(|letter| letter.context.clone());
        contexts.map(|context| (context.sender.as_str().to_owned(), context.trust)).collect()
    };
    let expected = [(BOB_JID, Trust::FirstUse), (ALICE_JID, Trust::Verified), (BOB_JID, Trust::Verified)];
    let expected = expected.map(|(jid, trust)| (jid.to_owned(), trust));
    assert_eq!(trusts(&world), expected);
    // After a restart each comes again as it was.
    world.devices[ALICE].record.inbox.clear();
    world.devices[ALICE].restore();
    world.with(ALICE, |device, server, env| device.step(server, env, Job::Tick));
    assert_eq!(trusts(&world), expected);
}

/// Bob's fingerprint as he shows it.
fn code(world: &World, device: usize) -> Fingerprint {
    let shown = world.devices[device].engine().fingerprint().unwrap().unwrap().uri();
    Fingerprint::parse_uri(&shown).unwrap()
}

fn scan(world: &mut World, code: Fingerprint) {
    command(world, ALICE, Command::Scanned(Box::leak(Box::new(code))));
}

/// What came of the codes that Alice has scanned, and of whom they were.
fn outcomes(world: &World) -> Vec<(&str, ScanOutcome)> {
    let events = world.devices[ALICE].record.events.iter();
    let outcomes = events.filter_map(|event| match event {
        Event::Scanned { peer, outcome } => Some((peer.as_str(), *outcome)),
        _ => None,
    });
    outcomes.collect()
}

#[test]
fn c12_a_scanned_code_verifies_the_key_that_is_known() {
    let mut world = talking(10);
    let shown = code(&world, BOB);
    assert_eq!(bob(&world).fingerprint(), Some(shown.clone()));
    assert!(shown.matches(&bob(&world).fingerprint().unwrap().words()));
    scan(&mut world, shown);
    assert_eq!((bob(&world).decision.trust, bob(&world).decision.means), (Trust::Verified, Means::Code));
    let told = |event: &Event| matches!(event, Event::TrustChanged { trust: Trust::Verified, .. });
    assert_eq!(count(&world, ALICE, told), 1);
    // That of another device of one's own says nothing new, nor does the same again.
    for device in [ALICE, BOB] {
        let shown = code(&world, device);
        scan(&mut world, shown);
    }
    let own = (ALICE_JID, ScanOutcome::Own);
    assert_eq!(outcomes(&world), [(BOB_JID, ScanOutcome::Verified), own, (BOB_JID, ScanOutcome::Known)]);
}

#[test]
fn c12_a_code_of_another_key_is_an_alarm_and_changes_nothing() {
    let mut world = talking(11);
    let before = bob(&world);
    for (n, jid) in [BOB_JID, ALICE_JID].into_iter().enumerate() {
        scan(&mut world, Fingerprint::new(BareJid::parse(jid).unwrap(), [1; 32]));
        assert_eq!(outcomes(&world).get(n..), Some(&[(jid, ScanOutcome::Mismatch)][..]));
        assert!(bob(&world) == before);
    }
    assert!(matches!(say(&mut world, "x")[..], [End::Sent(_)]));
}

#[test]
fn c12_a_code_that_shows_the_changed_key_accepts_and_verifies_it() {
    let mut world = talking(12);
    policy(&mut world, TrustPolicy::FirstUseUntilVerified);
    decide(&mut world, Trust::Verified, Means::Fingerprint);
    let digest = new_key(&mut world);
    let shown = code(&world, BOB);
    assert_eq!(bob(&world).changed_fingerprint(), Some(shown.clone()));
    scan(&mut world, shown);
    let contact = bob(&world);
    assert_eq!((contact.account_key, contact.changed_key), (Some(digest), None));
    assert_eq!((contact.decision.trust, contact.decision.means), (Trust::Verified, Means::Code));
    assert_eq!(outcomes(&world), [(BOB_JID, ScanOutcome::Verified)]);
    assert!(matches!(say(&mut world, "x")[..], [End::Sent(_)]));
    assert_eq!(bodies(&world, BOB), ["x"]);
}

/// Alice and Bob before they have seen anything of each other; Alice has scanned `code`, or Bob's.
fn scanned_first(seed: u64, code_of: Option<[u8; 32]>) -> World {
    let mut world = World::new(seed);
    world.add("alice@example.com/phone");
    world.add("bob@example.org/desk");
    world.server.befriend(ALICE_JID, BOB_JID);
    world.connect(ALICE);
    world.run();
    let shown = match code_of {
        Some(key) => Fingerprint::new(BareJid::parse(BOB_JID).unwrap(), key),
        None => code(&world, BOB),
    };
    scan(&mut world, shown);
    world
}

#[test]
fn c12_a_code_scanned_before_the_first_key_verifies_it_when_it_comes() {
    let mut world = scanned_first(13, None);
    assert_eq!(outlook(&world), Outlook::EncryptedLater);
    assert_eq!(outcomes(&world), [(BOB_JID, ScanOutcome::Expected)]);
    assert_eq!((bob(&world).account_key, bob(&world).expected), (None, Some(code(&world, BOB).key())));
    // The first message does not go out in clear, although Bob has not shown that he encrypts.
    let token = world.say(ALICE, BOB_JID, "wait for me");
    world.run();
    assert!(sent(&world, ALICE, "wait for me").is_empty());
    world.devices[ALICE].restore();
    world.connect(ALICE);
    world.connect(BOB);
    world.run();
    assert_eq!((bob(&world).decision.trust, bob(&world).decision.means), (Trust::Verified, Means::Code));
    assert_eq!(bob(&world).expected, None);
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 0);
    world.advance(std::time::Duration::from_hours(2));
    assert!(!matches!(ends(&world, ALICE, token)[..], [End::Pass]));
    let end = say(&mut world, "y");
    assert!(matches!(end[..], [End::Sent(_)]), "{end:?}");
    assert_eq!(bodies(&world, BOB).last(), Some(&"y"));
}

#[test]
fn c12_a_first_key_that_is_not_the_scanned_one_is_a_changed_key() {
    let mut world = scanned_first(14, Some([1; 32]));
    world.connect(BOB);
    world.run();
    let digest = bob(&world).changed_key.expect("another key");
    assert_eq!((bob(&world).account_key, bob(&world).decision.trust), (None, Trust::Unknown));
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::KeyChanged { .. })), 1);
    assert_eq!(outlook(&world), Outlook::Refused(SendError::KeyChanged));
    assert_eq!(say(&mut world, "x"), [End::Failed(SendError::KeyChanged)]);
    // It was an old code.
    command(&mut world, ALICE, Command::AcceptKey { jid: BOB_JID, digest });
    assert_eq!((bob(&world).account_key, bob(&world).decision.means), (Some(digest), Means::Accepted));
    let end = say(&mut world, "x");
    assert!(matches!(end[..], [End::Sent(_)]), "{end:?}");
}

#[test]
fn scanned_codes_are_kept_for_so_many_accounts() {
    let mut world = talking(15);
    for n in 0..300 {
        let jid = BareJid::parse(&format!("c{n}@example.net")).unwrap();
        scan(&mut world, Fingerprint::new(jid, [1; 32]));
        world.now = world.now.after(std::time::Duration::from_secs(1));
    }
    let engine = world.devices[ALICE].engine();
    let later = |n: usize| {
        engine.outlook(&format!("c{n}@example.net"), &Need::Policy).unwrap() == Outlook::EncryptedLater
    };
    let kept: Vec<usize> = (0..300).filter(|n| later(*n)).collect();
    assert_eq!(kept, (44..300).collect::<Vec<_>>());
}

#[test]
fn c12_a_key_of_the_own_account_under_another_jid_is_told() {
    let mut world = talking(16);
    let agent = world.devices[ALICE].agent.for_new_device(&mut world.rng);
    world.devices.push(Device::with_agent("mallory@example.net/x", agent));
    world.server.register("mallory@example.net");
    world.server.befriend("mallory@example.net", ALICE_JID);
    world.connect(2);
    world.run();
    let told = |event: &Event| matches!(event, Event::KeyReused { known, .. } if known.as_str() == ALICE_JID);
    assert_eq!(count(&world, ALICE, told), 1);
}

#[test]
fn c12_a_changed_key_that_is_somebody_elses_is_told() {
    let mut world = talking(17);
    let carol = world.add("carol@example.net/home");
    world.server.befriend("carol@example.net", ALICE_JID);
    world.connect(carol);
    world.run();
    let agent = world.devices[carol].agent.for_new_device(&mut world.rng);
    world.disconnect(BOB);
    world.devices[BOB] = Device::with_agent("bob@example.org/desk", agent);
    world.connect(BOB);
    world.run();
    let events = &world.devices[ALICE].record.events;
    let place = |which: fn(&Event) -> bool| events.iter().position(which);
    let changed = place(|event| matches!(event, Event::KeyChanged { .. })).expect("told");
    let known = |event: &Event| matches!(event, Event::KeyReused { known, .. } if known.as_str() == "carol@example.net");
    assert_eq!(place(known), Some(changed + 1));
}

#[test]
fn c12_a_new_device_of_the_own_account_is_told_once() {
    let mut world = talking(18);
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    world.advance(std::time::Duration::from_hours(24));
    let told = |device| {
        let which =
            |event: &Event| matches!(event, Event::NewDevice { peer, .. } if peer.as_str() == ALICE_JID);
        count(&world, device, which)
    };
    assert_eq!((told(ALICE), told(tablet)), (1, 0));
}

/// Alice forgets Bob, who shows his key again.
fn forget(world: &mut World) {
    command(world, ALICE, Command::Forget { jid: BOB_JID });
    assert_eq!((bob(world).account_key, bob(world).decision.trust), (None, Trust::Unknown));
    world.disconnect(BOB);
    world.connect(BOB);
    world.run();
}

#[test]
fn c21_a_distrusted_key_that_was_forgotten_comes_back_distrusted() {
    let mut world = talking(19);
    decide(&mut world, Trust::Distrusted, Means::User);
    let key = bob(&world).account_key;
    forget(&mut world);
    assert_eq!((bob(&world).account_key, bob(&world).decision.trust), (key, Trust::Distrusted));
    assert_eq!(say(&mut world, "x"), [End::Failed(SendError::Distrusted)]);
    // Until the user thinks better of it.
    decide(&mut world, Trust::FirstUse, Means::User);
    forget(&mut world);
    assert_eq!((bob(&world).decision.trust, bob(&world).decision.means), (Trust::FirstUse, Means::First));
}

#[test]
fn c21_a_rejected_key_is_distrusted_after_the_contact_was_forgotten() {
    let mut world = talking(20);
    let digest = new_key(&mut world);
    command(&mut world, ALICE, Command::RejectKey { jid: BOB_JID, digest });
    // Nothing of the key before it is on the server.
    for node in ["urn:xmpp:e2e:0:devices", "urn:xmpp:e2e:0:device"] {
        world.server.set_items(BOB_JID, node, Vec::new());
    }
    forget(&mut world);
    assert_eq!((bob(&world).account_key, bob(&world).decision.trust), (Some(digest), Trust::Distrusted));
}

#[test]
fn c21_a_verified_contact_that_was_forgotten_counts_as_once_verified() {
    let mut world = talking(21);
    policy(&mut world, TrustPolicy::FirstUseUntilVerified);
    decide(&mut world, Trust::Verified, Means::Fingerprint);
    forget(&mut world);
    assert_eq!(bob(&world).decision.trust, Trust::FirstUse);
    assert_eq!(say(&mut world, "x"), [End::Failed(SendError::Untrusted)]);
    let history = world.devices[ALICE].engine().trust_history(BOB_JID).unwrap();
    assert_eq!(history.last().map(|past| past.decision.trust), Some(Trust::Verified));
}

#[test]
fn c12_what_the_user_has_said_of_a_stranger_survives_a_fetch_without_keys() {
    // Nobody is there, and nobody of that name is on the roster.
    let mut world = World::new(20);
    world.add("alice@example.com/phone");
    world.connect(ALICE);
    world.run();
    scan(&mut world, Fingerprint::new(BareJid::parse(BOB_JID).unwrap(), [1; 32]));
    policy(&mut world, TrustPolicy::VerifiedOnly);
    for text in ["one", "two", "three"] {
        assert_eq!(say(&mut world, text), [End::Failed(SendError::NoKeys)], "{text}");
    }
    assert_eq!(bob(&world).policy, Some(TrustPolicy::VerifiedOnly));
    assert_eq!(sent(&world, ALICE, "<message"), Vec::<String>::new());
}
