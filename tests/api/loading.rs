//! Sessions may stay in the store until they are needed.

use xmpp_e2e::store::{RecordKey, Store};
use xmpp_e2e::{Effect, Engine, Error, Input, Misuse};

use super::*;

/// The stored values of these keys.
fn values(device: &Device, keys: &[RecordKey]) -> Vec<(RecordKey, Vec<u8>)> {
    let stored = device.store.load().unwrap().records;
    let wanted = stored.iter().filter(|(key, _)| keys.contains(key));
    wanted.map(|(key, value)| (key.clone(), value.to_vec())).collect()
}

fn load(device: &mut Device, error: Error) {
    let Error::NotLoaded(keys) = error else { panic!("{error:?}") };
    assert!(!keys.is_empty() && keys.iter().all(Engine::is_evictable));
    let values = values(device, &keys);
    assert_eq!(values.len(), keys.len());
    device.engine_mut().load(values.iter().map(|(key, value)| (key, value.as_slice()))).unwrap();
}

#[test]
fn an_evicted_session_is_asked_for_and_then_the_same_input_works() {
    let mut world = talking(1);
    world.say(ALICE, BOB_JID, "x");
    let now = world.now;
    let stanza = world.with(BOB, |device, server, _| server.receive(&device.full_jid)).unwrap();
    world.with(BOB, |device, _, env| {
        device.engine_mut().evict_idle(now.after(std::time::Duration::from_secs(1)));
        let generation = device.engine().generation();
        let error = device.engine_mut().handle(env, Input::Received(&stanza)).unwrap_err();
        assert_eq!(device.engine().generation(), generation);
        load(device, error);
        let effects = apply(device, env, Input::Received(&stanza));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Deliver { .. })), "{effects:?}");
    });
}

#[test]
fn what_was_used_since_stays_in_memory() {
    let mut world = talking(2);
    let now = world.now;
    world.say(ALICE, BOB_JID, "x");
    world.devices[BOB].engine_mut().evict_idle(now);
    receive(&mut world, BOB);
}

#[test]
fn an_application_that_evicts_all_the_time_notices_nothing() {
    let mut world = talking(3);
    let later = world.now.after(std::time::Duration::from_secs(1));
    for n in 0..5 {
        for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
            for device in &mut world.devices {
                device.engine_mut().evict_idle(later);
            }
            world.say(from, to, &n.to_string());
            world.run();
        }
    }
    assert_eq!(bodies(&world, BOB), ["0", "1", "2", "3", "4"]);
}

#[test]
fn sessions_can_be_restored_by_their_keys_alone() {
    let mut world = talking(4);
    let stanza = message(BOB_JID, "m", "x");
    world.with(ALICE, |device, _, env| {
        let stored = device.store.load().unwrap();
        let keys = |record: &dyn Fn(&RecordKey) -> bool| {
            let records = stored.records.iter();
            let with = records.map(|(key, value)| (key, (!record(key)).then_some(value.as_slice())));
            Engine::restore_some(device.config.clone(), stored.generation, with)
        };
        assert_eq!(keys(&|_| true).err(), Some(Misuse::Record));
        let mut engine = keys(&Engine::is_evictable).unwrap();
        let input = || Input::Outgoing { stanza: &stanza, token: Token(90), need: Need::Policy };
        let error = engine.handle(env, input()).unwrap_err();
        let Error::NotLoaded(missing) = error else { panic!("{error:?}") };
        let values = values(device, &missing);
        engine.load(values.iter().map(|(key, value)| (key, value.as_slice()))).unwrap();
        let effects = engine.handle(env, input()).unwrap().persist(|_| Ok::<_, ()>(())).unwrap();
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Sent { token: Token(90), .. })));
    });
}

#[test]
fn a_damaged_or_foreign_record_is_misuse() {
    let mut world = talking(5);
    world.with(ALICE, |device, _, _| {
        let stored = device.store.load().unwrap();
        let mut config = device.config.clone();
        config.account = xmpp_e2e::BareJid::parse(BOB_JID).unwrap();
        assert_eq!(Engine::restore(config, &stored).err(), Some(Misuse::Record));
        for (key, value) in &stored.records {
            let cut = &value[..value.len() - 1];
            let records = stored.records.iter();
            let records = records.map(|(k, v)| (k, Some(if k == key { cut } else { v.as_slice() })));
            let engine = Engine::restore_some(device.config.clone(), stored.generation, records);
            assert_eq!(engine.err(), Some(Misuse::Record), "{key:?}");
        }
    });
}
