//! What is sealed or delivered outlives streams and programs.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// A first message to Bob that cannot be read, whatever of it is altered, uses nothing up: the true one is read after it.
#[test]
fn c6_a_first_message_that_cannot_be_read_uses_up_no_prekey() {
    let mut world = World::pair(20);
    let held = Rc::new(RefCell::new(Vec::new()));
    let keeper = Rc::clone(&held);
    world.server.tamper = Some(Box::new(move |to, stanza| {
        if to.starts_with(BOB_JID) && stanza.starts_with("<message") {
            keeper.borrow_mut().push(stanza);
            return Vec::new();
        }
        vec![stanza]
    }));
    world.say(ALICE, BOB_JID, "hello");
    world.run();
    world.server.tamper = None;
    let stanza = held.take().remove(0);
    let (start, rest) = stanza.split_once("0'>").unwrap();
    let (text, tail) = rest.split_once("</e>").unwrap();
    let bytes = STANDARD.decode(text).unwrap();
    // Private prekeys and one-time prekeys.
    let prekeys = |world: &World| {
        let (_, records) = content(&world.devices[BOB].store);
        records.into_iter().filter(|(key, _)| [3, 5].contains(&key[0])).collect::<Vec<_>>()
    };
    let before = prekeys(&world);
    let mut refused = 0;
    for at in (9..bytes.len()).step_by(40).chain([bytes.len() - 1]) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let altered = format!("{start}0'>{}</e>{tail}", STANDARD.encode(altered));
        assert!(world.server.inject("bob@example.org/desk", altered));
        world.run();
        refused += 1;
        assert_eq!(count(&world, BOB, |event| matches!(event, Event::Rejected { .. })), refused, "{at}");
        assert_eq!(bodies(&world, BOB), Vec::<&str>::new(), "{at}");
        assert!(prekeys(&world) == before, "{at}");
    }
    world.server.inject("bob@example.org/desk", stanza);
    world.run();
    assert_eq!(bodies(&world, BOB), ["hello"]);
    assert!(prekeys(&world) != before, "now they are used up");
}
