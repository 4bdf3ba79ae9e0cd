//! A step is a transaction.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use xmpp_e2e::store::Store;
use xmpp_e2e::{Effect, Engine, Error, Input, Misuse, Timestamp};
use xmpp_e2e_testkit::device::{End, Fate, Moment};

use super::*;

/// The result of a future that never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn outgoing(stanza: &str, token: u64) -> Input<'_> {
    Input::Outgoing { stanza, token: Token(token), need: Need::Policy }
}

#[test]
fn a_step_not_persisted_has_not_happened() {
    let mut world = talking(1);
    let stanza = message(BOB_JID, "m", "x");
    world.with(ALICE, |device, server, env| {
        let generation = device.engine().generation();
        let before = content(&device.store);
        let step = device.engine_mut().handle(env, outgoing(&stanza, 90)).unwrap();
        assert_eq!(step.batch().expected_generation(), generation);
        assert!(step.batch().changes().count() > 0);
        drop(step);
        let step = device.engine_mut().handle(env, outgoing(&stanza, 90)).unwrap();
        std::mem::forget(step);
        let refused =
            device.engine_mut().handle(env, outgoing(&stanza, 90)).unwrap().persist(|_| Err("full"));
        assert_eq!(refused.unwrap_err(), "full");
        let failing = device.engine_mut().handle(env, outgoing(&stanza, 90)).unwrap();
        assert_eq!(ready(failing.persist_async(async |_| Err("full"))).unwrap_err(), "full");
        assert_eq!((device.engine().generation(), device.engine().pending().unwrap().len()), (generation, 0));
        assert_eq!(content(&device.store), before);
        // And the same input works.
        for stanza in sends(&apply(device, env, outgoing(&stanza, 90))) {
            server.send(&device.full_jid, &stanza);
        }
        assert_eq!(device.engine().generation(), generation + 1);
    });
    world.run();
    assert_eq!(bodies(&world, BOB), ["x"]);
}

#[test]
fn a_received_message_survives_a_store_that_refuses() {
    let mut world = talking(2);
    let mut tries = 0;
    world.devices[BOB].fault = Some(Box::new(move |_, moment| {
        tries += u32::from(moment == Moment::BeforeStore);
        if moment == Moment::BeforeStore && tries <= 3 { Fate::Refuse } else { Fate::GoOn }
    }));
    world.say(ALICE, BOB_JID, "x");
    world.run();
    assert_eq!(bodies(&world, BOB), ["x"]);
    assert_eq!(world.devices[BOB].record.events, []);
}

#[test]
fn persist_async_gives_the_effects_of_persist() {
    let mut world = talking(3);
    let stanza = message(BOB_JID, "m", "x");
    world.with(ALICE, |device, server, env| {
        let mut store = device.store.clone();
        let step = device.engine_mut().handle(env, outgoing(&stanza, 90)).unwrap();
        let effects = ready(step.persist_async(async |batch| store.apply(batch))).unwrap();
        device.store = store;
        assert!(matches!(effects[..], [Effect::Send { .. }, Effect::Sent { token: Token(90), .. }]));
        server.send(&device.full_jid, &sends(&effects)[0]);
    });
    world.run();
    assert_eq!(bodies(&world, BOB), ["x"]);
}

#[test]
fn also_commits_two_inputs_in_one_batch() {
    let mut world = talking(4);
    let (one, two) = (message(BOB_JID, "m1", "one"), message(BOB_JID, "m2", "two"));
    world.with(ALICE, |device, server, env| {
        let mut store = device.store.clone();
        let generation = device.engine().generation();
        let step = device.engine_mut().handle(env, outgoing(&one, 90)).unwrap();
        let step = step.also(env, outgoing(&two, 91)).unwrap();
        let mut batches = 0;
        let effects = step.persist(|batch| {
            batches += 1;
            store.apply(batch)
        });
        let effects = effects.unwrap();
        assert_eq!((batches, device.engine().generation()), (1, generation + 1));
        device.store = store;
        for stanza in sends(&effects) {
            server.send(&device.full_jid, &stanza);
        }
    });
    world.run();
    assert_eq!(bodies(&world, BOB), ["one", "two"]);
}

#[test]
fn also_that_fails_undoes_the_whole_step() {
    let mut world = talking(5);
    let stanza = message(BOB_JID, "m", "x");
    world.with(ALICE, |device, _, env| {
        let generation = device.engine().generation();
        let step = device.engine_mut().handle(env, outgoing(&stanza, 90)).unwrap();
        let error = step.also(env, outgoing("<message", 91)).unwrap_err();
        assert!(matches!(error, Error::Misuse(Misuse::Stanza(_))), "{error:?}");
        assert_eq!((device.engine().generation(), device.engine().pending().unwrap().len()), (generation, 0));
        let effects = apply(device, env, outgoing(&stanza, 90));
        assert_eq!(sends(&effects).len(), 1);
    });
}

#[test]
fn a_stale_engine_stores_nothing_and_so_sends_nothing() {
    let mut world = talking(6);
    let stanza = message(BOB_JID, "m", "x");
    world.with(ALICE, |device, _, env| {
        let stored = device.store.load().unwrap();
        let mut stale = Engine::restore(device.config.clone(), &stored).unwrap();
        assert_eq!(sends(&apply(device, env, outgoing(&stanza, 90))).len(), 1);
        for _ in 0..2 {
            let mut store = device.store.clone();
            let step = stale.handle(env, outgoing(&stanza, 91)).unwrap();
            assert!(step.persist(|batch| store.apply(batch)).is_err());
            assert_eq!(content(&store), content(&device.store));
        }
        // Restored, it goes on.
        let mut store = device.store.clone();
        let mut fresh = Engine::restore(device.config.clone(), &store.load().unwrap()).unwrap();
        fresh.handle(env, outgoing(&stanza, 91)).unwrap().persist(|batch| store.apply(batch)).unwrap();
    });
}

#[test]
fn equal_seed_and_inputs_give_equal_bytes() {
    let run = |seed| {
        let mut world = talking(seed);
        world.say(ALICE, BOB_JID, "x");
        world.run();
        let stores: Vec<_> = world.devices.iter().map(|device| content(&device.store)).collect();
        (stores, world.server.log)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut world = talking(9);
    let late = world.now;
    world.say(ALICE, BOB_JID, "before");
    world.run();
    world.now = Timestamp::from_millis(late.as_millis() - 90 * DAY * 1000);
    let token = world.say(ALICE, BOB_JID, "after");
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    let effects = receive(&mut world, BOB);
    let sent = effects.iter().find_map(|effect| match effect {
        Effect::Deliver { context, .. } => Some(context.sent),
        _ => None,
    });
    let drift = sent.expect("a message").since(late);
    assert!(
        sent >= Some(late) && drift.as_millis() < 10,
        "each message is a little later than the one before"
    );
}

#[test]
fn an_input_that_changes_nothing_stores_nothing() {
    let mut world = talking(10);
    world.with(ALICE, |device, _, env| {
        let step = device.engine_mut().handle(env, Input::Received("<message><body>x</body></message>"));
        let effects = step.unwrap().persist(|_| Err("called")).unwrap();
        assert!(matches!(effects[..], [Effect::Pass]));
    });
}
