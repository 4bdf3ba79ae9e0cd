//! Histories of several devices under faults keep what the model asks for; and the model asks for something: what is
//! broken on purpose is found.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

use xmpp_e2e::{Timestamp, Token};
use xmpp_e2e_testkit::World;
use xmpp_e2e_testkit::device::{Heard, Letter};
use xmpp_e2e_testkit::simulation::observer::Observer;
use xmpp_e2e_testkit::simulation::{Cryptography, Plan, Rule, run, run_many, shrink};

/// How many histories each run of the tests has. `examples/simulate.rs` runs more.
const HISTORIES: u64 = 200;

#[test]
fn two_hundred_histories() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (figures, failed) = run_many(1..1 + HISTORIES, Cryptography::Fake, threads);
    let failed: Vec<String> =
        failed.iter().map(|(seed, violation)| format!("--replay {seed}: {violation}")).collect();
    assert!(failed.is_empty(), "cargo run --release --example simulate --\n{}", failed.join("\n"));
    // Each fault does happen, or its absence would prove nothing.
    for (name, count) in [
        ("lost", figures.lost),
        ("reordered", figures.reordered),
        ("repeated", figures.repeated),
        ("delayed", figures.delayed),
        ("withheld", figures.withheld),
        ("edited", figures.edited),
        ("stripped", figures.stripped),
        ("replayed", figures.replayed),
        ("misdirected", figures.misdirected),
        ("PEP faults", figures.pep_faults),
        ("crashes", figures.crashes),
        ("batches refused", figures.batches_refused),
        ("restored, declared", figures.restored_declared),
        ("restored, undeclared", figures.restored_undeclared),
        ("cloned", figures.cloned),
        ("wiped", figures.wiped),
        ("retired", figures.retired),
        ("new keys", figures.new_keys),
        ("left", figures.left),
        ("archive results", figures.archive_results),
    ] {
        assert!(count >= 10, "{name}: {count}");
    }
    assert!(figures.deliveries > 20 * HISTORIES, "{figures}");
}

#[test]
fn three_histories_with_real_cryptography() {
    let (figures, failed) = run_many(1..4, Cryptography::Real, 2);
    assert_eq!(failed, []);
    assert!(figures.deliveries > 0);
}

#[test]
fn the_same_seed_is_the_same_history() {
    let plan = Plan::new(7);
    let [one, two] = [0, 1].map(|_| run(&plan, Cryptography::Fake, true));
    assert_eq!((one.figures, one.log), (two.figures, two.log));
}

#[test]
fn a_plan_that_holds_is_not_shrunk() {
    let plan = Plan::new(7).keep(&[0, 1, 2]);
    assert_eq!(shrink(&plan, Cryptography::Fake), plan);
}

/// Two devices that have talked: what the second has delivered and heard, and the observer that knows of it.
fn talked() -> (Observer, Letter, Vec<Heard>, String) {
    let mut world = World::pair(1);
    let mut observer = Observer::default();
    for (device, account) in [(World::ALICE, "alice@example.com"), (World::BOB, "bob@example.org")] {
        observer.add(account);
        observer.is(device, world.devices[device].engine().device());
    }
    world.devices[World::BOB].record.heard = Some(Vec::new());
    let text = observer.write(World::ALICE, "bob@example.org");
    let token = world.say(World::ALICE, "bob@example.org", &text);
    observer.handed_in(World::ALICE, token);
    world.run();
    let bob = &world.devices[World::BOB].record;
    let flight = world.server.log.iter().find(|crossing| crossing.stanza.contains("type='chat'")).unwrap();
    (observer, bob.inbox[0].clone(), bob.heard.clone().unwrap(), flight.stanza.clone())
}

/// The rule that is violated, if one is.
fn violated(observer: &Observer) -> Option<Rule> {
    observer.violation().map(|violation| violation.rule)
}

#[test]
fn a_letter_delivered_twice_is_found() {
    let (mut observer, letter, ..) = talked();
    observer.delivered(World::BOB, &letter);
    assert_eq!(violated(&observer), None);
    observer.delivered(World::BOB, &letter);
    assert_eq!(violated(&observer), Some(Rule::DeliveredOnce));
}

#[test]
fn a_letter_of_somebody_else_is_found() {
    for wrong in 0..4 {
        let (mut observer, mut letter, ..) = talked();
        let mut to = World::BOB;
        match wrong {
            0 => letter.from = "mallory@example.com".to_owned(),
            1 => letter.device = letter.device.map(|device| device + 1),
            2 => letter.stanza = letter.stanza.replace("sim-0-", "sim-0-x"),
            _ => to = observer.add("carol@example.net"),
        }
        observer.delivered(to, &letter);
        assert_eq!(violated(&observer), Some(Rule::Attributed), "{wrong}");
    }
}

#[test]
fn clear_text_to_an_account_that_encrypts_is_found() {
    let mut world = World::pair(1);
    let (mut observer, ..) = talked();
    let text = observer.write(World::ALICE, "bob@example.org");
    observer.handed_in(World::ALICE, Token(9));
    let stanza = format!("<message to='bob@example.org' type='chat'><body>{text}</body></message>");
    let mut ignorant = observer.clone();
    ignorant.sent(World::ALICE, &stanza, Timestamp::from_secs(1));
    ignorant.passed(World::ALICE, 1);
    assert_eq!(violated(&ignorant), None);
    world.run();
    for event in &world.devices[World::ALICE].record.events {
        observer.event(World::ALICE, event);
    }
    let mut other = observer.clone();
    observer.sent(World::ALICE, &stanza, Timestamp::from_secs(1));
    assert_eq!(violated(&observer), Some(Rule::NotInClear));
    other.passed(World::ALICE, 1);
    assert_eq!(violated(&other), Some(Rule::NotInClear));
}

#[test]
fn a_stanza_without_outcome_or_with_two_is_found() {
    let (observer, _, heard, _) = talked();
    let of_message = heard.iter().find(|heard| heard.stanza.contains("type='chat'")).unwrap();
    for (outcomes, rule) in [(1, None), (0, Some(Rule::OneOutcome)), (2, Some(Rule::OneOutcome))] {
        let mut observer = observer.clone();
        let heard = Heard { delivered: (0..outcomes).collect(), ..of_message.clone() };
        observer.heard(World::BOB, &heard, true);
        assert_eq!(violated(&observer), rule);
    }
}

#[test]
fn a_second_handshake_within_the_hour_is_found() {
    let (mut observer, _, _, flight) = talked();
    let other = {
        let mut world = World::pair(2);
        world.say(World::ALICE, "bob@example.org", "x");
        world.run();
        let log = world.server.log;
        log.into_iter().find(|crossing| crossing.stanza.contains("type='chat'")).unwrap().stanza
    };
    observer.sent(World::ALICE, &flight, Timestamp::from_secs(1));
    observer.sent(World::ALICE, &flight, Timestamp::from_secs(2));
    // Of other devices.
    observer.sent(World::ALICE, &other, Timestamp::from_secs(3));
    assert_eq!(violated(&observer), None);
    let edited = edit_ephemeral_key(&flight);
    observer.sent(World::ALICE, &edited, Timestamp::from_secs(3000));
    assert_eq!(violated(&observer), Some(Rule::OneHandshakeAnHour));
}

/// The same devices, and another flight.
fn edit_ephemeral_key(stanza: &str) -> String {
    let place = stanza.find("<e xmlns=").unwrap();
    let start = place + stanza[place..].find('>').unwrap() + 1;
    // Behind the kind, two devices and the fields before the key.
    let at = start + 40;
    let mut bytes = stanza.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}
