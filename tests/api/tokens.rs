//! Each stanza handed in comes to one end.

use xmpp_e2e::{Command, SendError, Subscription, Waiting};
use xmpp_e2e_testkit::World;
use xmpp_e2e_testkit::device::{End, Fate, Job, Moment};

use super::*;

#[test]
fn a_token_ends_once_whatever_becomes_of_it() {
    let mut world = talking(1);
    world.server.register("carol@example.net");
    let sent = world.say(ALICE, BOB_JID, "sealed");
    let pass = world.say(ALICE, "carol@example.net", "clear");
    let need = Need::Encrypted(Level::CLASSICAL);
    let failed = world.say_with(ALICE, "carol@example.net", "sealed", need);
    world.run();
    for _ in 0..2 {
        assert!(matches!(ends(&world, ALICE, sent)[..], [End::Sent(_)]));
        assert_eq!(ends(&world, ALICE, pass), [End::Pass]);
        assert_eq!(ends(&world, ALICE, failed), [End::Failed(SendError::NoKeys)]);
        world.crash(ALICE);
        world.restart(ALICE);
        world.run();
    }
    assert_eq!(bodies(&world, BOB), ["sealed"]);
}

#[test]
fn sent_is_said_again_after_a_crash_that_hid_it() {
    let mut world = talking(2);
    world.devices[ALICE].fault = Some(Box::new(|_, moment| match moment {
        Moment::Before("Sent") => Fate::Crash,
        _ => Fate::GoOn,
    }));
    let token = world.say(ALICE, BOB_JID, "x");
    assert!(!world.devices[ALICE].runs());
    assert_eq!(ends(&world, ALICE, token), []);
    world.devices[ALICE].fault = None;
    world.run();
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    assert_eq!(bodies(&world, BOB), ["x"]);
}

#[test]
fn after_a_restart_a_new_stream_sends_what_is_open_once() {
    let mut world = talking(3);
    world.devices[ALICE].acks = false;
    world.say(ALICE, BOB_JID, "x");
    world.run();
    world.crash(ALICE);
    world.server.log.clear();
    world.restart(ALICE);
    world.run();
    assert_eq!(sent(&world, ALICE, "<message").len(), 1);
    assert_eq!(bodies(&world, BOB), ["x"]);
}

#[test]
fn cancel_takes_back_what_waits_and_not_what_is_sent() {
    let mut world = World::pair(4);
    world.devices[ALICE].answers = false;
    let waiting = world.say(ALICE, BOB_JID, "for the agent");
    let behind = world.say(ALICE, BOB_JID, "behind it");
    world.run();
    let waited = world.devices[ALICE].record.waited.clone();
    assert!(waited.contains(&(waiting, Waiting::Agent)), "{waited:?}");
    assert_eq!(ends(&world, ALICE, waiting), []);
    world.command(ALICE, Command::Cancel(waiting));
    assert_eq!(ends(&world, ALICE, waiting), [End::Failed(SendError::Cancelled)]);
    world.devices[ALICE].answers = true;
    world.with(ALICE, xmpp_e2e_testkit::Device::answer);
    world.run();
    assert_eq!(bodies(&world, BOB), ["behind it"]);
    world.command(ALICE, Command::Cancel(behind));
    assert!(matches!(ends(&world, ALICE, behind)[..], [End::Sent(_)]));
}

#[test]
fn a_token_handed_in_again_is_not_sent_again() {
    let mut world = World::pair(5);
    world.devices[ALICE].answers = false;
    world.devices[ALICE].acks = false;
    let token = world.say(ALICE, BOB_JID, "x");
    let again = Job::Outgoing(message(BOB_JID, "m", "x"), token, Need::Policy);
    // While it waits, and while it is not acknowledged.
    world.step(ALICE, again.clone());
    world.devices[ALICE].answers = true;
    world.with(ALICE, xmpp_e2e_testkit::Device::answer);
    world.run();
    world.step(ALICE, again);
    world.run();
    assert_eq!(bodies(&world, BOB), ["x"]);
    assert_eq!(sent(&world, ALICE, "<message").len(), 1);
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
}

#[test]
fn what_comes_back_fails_its_token_and_is_no_message() {
    let mut world = talking(6);
    let token = world.say(ALICE, BOB_JID, "x");
    world.run();
    let stanza = sent(&world, ALICE, "<message").pop().unwrap();
    let returned = stanza.replacen("type='chat'", "type='error'", 1).replacen(
        "to='bob@example.org'",
        "from='bob@example.org' to='alice@example.com/phone'",
        1,
    );
    for _ in 0..2 {
        world.server.inject("alice@example.com/phone", returned.clone());
        world.run();
    }
    let expected = ends(&world, ALICE, token);
    assert!(matches!(expected[..], [End::Sent(_), End::Failed(SendError::Bounced)]), "{expected:?}");
    assert!(world.devices[ALICE].inbox().is_empty());
}

#[test]
fn a_full_outbox_refuses_and_takes_again_once_acknowledged() {
    let mut world = talking(7);
    world.devices[ALICE].acks = false;
    world.server.silent = true;
    let tokens: Vec<Token> = (0..1_200).map(|n| world.say(ALICE, BOB_JID, &n.to_string())).collect();
    let full = |token: &Token| ends(&world, ALICE, *token) == [End::Failed(SendError::Full)];
    let first = tokens.iter().position(full).expect("there is a bound");
    assert!((1_000..1_100).contains(&first), "{first}");
    assert!(tokens[first..].iter().all(full));
    world.with(ALICE, xmpp_e2e_testkit::Device::acknowledge);
    let token = world.say(ALICE, BOB_JID, "there is room");
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    world.run();
    assert_eq!(bodies(&world, BOB).len(), first + 1);
}

#[test]
fn strangers_get_no_automatic_reply() {
    let mut world = World::pair(8);
    let carol = world.add("carol@example.net/laptop");
    world.connect(carol);
    world.run();
    world.server.log.clear();
    let need = Need::Encrypted(Level::HYBRID);
    for text in ["you", "do not", "know me"] {
        world.say_with(carol, BOB_JID, text, need.clone());
        world.run();
    }
    assert_eq!(bodies(&world, BOB), ["you", "do not", "know me"]);
    assert_eq!(sent(&world, BOB, "<message"), Vec::<String>::new());
    // Once she may see his presence, his device answers.
    world.step(BOB, Job::Roster("carol@example.net".to_owned(), Subscription::From));
    world.say_with(carol, BOB_JID, "now you do", Need::Policy);
    world.run();
    world.say(BOB, "carol@example.net", "so I do");
    world.run();
    assert_eq!(bodies(&world, carol), ["so I do"]);
}

#[test]
fn messages_say_times_that_rise_though_the_clock_stands() {
    let mut world = talking(31);
    for n in 0..5 {
        let _ = world.say(ALICE, BOB_JID, &n.to_string());
    }
    let mut times = Vec::new();
    while times.len() < 5 {
        for effect in receive(&mut world, BOB) {
            if let Effect::Deliver { context, .. } = effect {
                times.push(context.sent);
            }
        }
    }
    assert!(times.is_sorted_by(|one, other| one < other), "{times:?}");
}
