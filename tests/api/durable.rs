//! What is sealed or delivered outlives streams and programs.

use xmpp_e2e::{Effect, Input, Pending};
use xmpp_e2e_testkit::Device;

use super::*;

/// Alice has sent three messages that nobody has acknowledged.
fn unacknowledged(seed: u64) -> (World, Vec<String>) {
    let mut world = talking(seed);
    world.devices[ALICE].acks = false;
    for text in ["one", "two", "three"] {
        world.say(ALICE, BOB_JID, text);
    }
    world.run();
    let messages = sent(&world, ALICE, "<message");
    assert_eq!(messages.len(), 3);
    (world, messages)
}

#[test]
fn what_is_not_acknowledged_comes_again_in_order_on_a_new_stream() {
    let (mut world, messages) = unacknowledged(1);
    world.disconnect(ALICE);
    world.server.log.clear();
    world.connect(ALICE);
    world.run();
    assert_eq!(sent(&world, ALICE, "<message"), messages);
    assert_eq!(bodies(&world, BOB), ["one", "two", "three"]);
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::Duplicate { .. })), 3);
}

#[test]
fn a_resumed_stream_sends_nothing_again() {
    let (mut world, _) = unacknowledged(2);
    world.with(ALICE, Device::lose);
    world.server.log.clear();
    world.with(ALICE, Device::resume);
    world.run();
    assert_eq!(sent(&world, ALICE, "<message"), Vec::<String>::new());
    assert_eq!(world.devices[ALICE].engine().pending().unwrap().len(), 3);
}

#[test]
fn what_is_acknowledged_is_done() {
    let (mut world, _) = unacknowledged(3);
    let pending = world.devices[ALICE].engine().pending().unwrap();
    assert_eq!(pending.len(), 3);
    assert!(pending.iter().all(|item| matches!(item, Pending::Unacknowledged(_))), "{pending:?}");
    world.with(ALICE, Device::acknowledge);
    assert_eq!(world.devices[ALICE].engine().pending().unwrap(), []);
    world.disconnect(ALICE);
    world.server.log.clear();
    world.connect(ALICE);
    world.run();
    assert_eq!(sent(&world, ALICE, "<message"), Vec::<String>::new());
}

#[test]
fn a_restart_delivers_again_until_taken() {
    let mut world = talking(4);
    world.say(ALICE, BOB_JID, "x");
    let delivered = |effects: &[Effect]| {
        let inbox = effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { id, stanza, again, .. } => Some((*id, stanza.as_str().to_owned(), *again)),
            _ => None,
        });
        inbox.collect::<Vec<_>>()
    };
    let first = delivered(&receive(&mut world, BOB));
    let [(id, stanza, false)] = &first[..] else { panic!("{first:?}") };
    for _ in 0..2 {
        world.with(BOB, |device, _, env| {
            device.restore();
            let again = delivered(&apply(device, env, Input::Tick));
            assert_eq!(again, [(*id, stanza.clone(), true)]);
            assert_eq!(delivered(&apply(device, env, Input::Tick)), []);
        });
    }
    world.with(BOB, |device, _, env| {
        apply(device, env, Input::Taken(*id));
        device.restore();
        assert_eq!(delivered(&apply(device, env, Input::Tick)), []);
    });
}

#[test]
fn the_same_stanza_again_is_a_duplicate_also_after_a_restart() {
    let mut world = talking(5);
    world.say(ALICE, BOB_JID, "x");
    world.run();
    let stanza =
        world.server.log.iter().rev().find(|crossing| crossing.way == Way::In).unwrap().stanza.clone();
    world.server.inject("bob@example.org/desk", stanza.clone());
    world.run();
    world.crash(BOB);
    world.restart(BOB);
    world.run();
    world.server.inject("bob@example.org/desk", stanza);
    world.run();
    assert_eq!(bodies(&world, BOB), ["x"]);
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::Duplicate { .. })), 2);
}
