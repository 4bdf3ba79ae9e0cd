use crate::error::{Misbehaviour, Reason};
use crate::session::Session;
use crate::session::flight::Flight;
use crate::session::testing::{ALL, Fault, Handshake, UNAUTHENTIC};
use crate::suite::SUITE_HYBRID;

#[test]
fn both_sides_come_out_equal() {
    for suite in ALL {
        for one_time in [false, true] {
            let mut handshake = Handshake::new(suite);
            handshake.one_time = one_time;
            let (initiator, responder) = handshake.run();
            let responder = responder.unwrap();
            assert_eq!(initiator.id(), responder.id());
            assert_eq!(initiator.transcript, responder.transcript);
            assert_eq!(initiator.used_one_time_prekey(), one_time);
            assert_eq!(responder.used_one_time_prekey(), one_time);
            let export = |session: &Session, label| session.exporter(suite, label, b"c", 40).unwrap();
            assert!(export(&initiator, "a").same(&export(&responder, "a")));
            assert!(!export(&initiator, "a").same(&export(&responder, "b")));

            let mut pair = handshake.pair();
            assert!(pair.devices[1].session.wants_reply() && !pair.devices[0].session.wants_reply());
            pair.say(0, b"first");
            assert!(pair.devices[0].session.flight().is_some() && pair.devices[1].session.wants_reply());
            pair.say(0, b"second");
            pair.say(1, b"reply");
            assert!(pair.devices[0].session.flight().is_none() && !pair.devices[1].session.wants_reply());
            assert!(!pair.devices[0].session.is_answered() || pair.devices[1].session.is_answered());
            pair.round();
        }
    }
}

#[test]
fn a_responder_that_has_heard_nothing_cannot_send() {
    use crate::env::Env;
    use crate::session::testing::context;
    let mut pair = Handshake::new(&SUITE_HYBRID).pair();
    let device = &mut pair.devices[1];
    let (own, peer) = (device.jid.clone(), device.peer.clone());
    let mut env = Env { now: pair.now, rng: &mut pair.rng };
    assert!(device.session.seal(&SUITE_HYBRID, &pair.policy, &mut env, &context(&own, &peer), b"").is_err());
}

#[test]
fn whatever_differs_makes_it_fail() {
    for suite in ALL {
        let run = |fault| {
            let resumption = (fault == Fault::Resumption).then(|| {
                let (session, _) = Handshake::new(suite).run();
                (session.resumption_secret().unwrap().clone(), session.resumption_name(suite).unwrap())
            });
            Handshake { resumption, fault, ..Handshake::new(suite) }.run()
        };
        for fault in [
            Fault::Initiator,
            Fault::Responder,
            Fault::InitiatorDevice,
            Fault::ResponderDevice,
            Fault::Record,
            Fault::Ea,
            Fault::OneTime,
            Fault::SignedPrekey,
        ] {
            assert_eq!(run(fault).1.err(), Some(Reason::Unauthentic), "{fault:?}");
        }
        if suite.kem.is_some() {
            assert_eq!(run(Fault::Kem).1.err(), Some(Reason::Unauthentic));
        }
        // These come after the flight is open, and show in the first message.
        for fault in [Fault::Sp, Fault::Aa, Fault::Resumption] {
            let (initiator, responder) = run(fault);
            let mut pair = Handshake::new(suite).pair();
            pair.devices[0].session = initiator;
            pair.devices[1].session = responder.unwrap();
            let body = pair.seal(0, b"hello");
            assert_eq!(pair.open(1, &body).err(), Some(UNAUTHENTIC), "{fault:?}");
        }
    }
}

#[test]
fn every_byte_of_a_flight_counts() {
    for suite in ALL {
        let (session, _) = Handshake::new(suite).run();
        let flight = session.flight().unwrap().to_vec();
        assert!(Flight::decode_prefix(&flight).unwrap().1.is_empty());
        let sizes = flight.len();
        // Certificate of 199 bytes; the budgets of the first message are 700 and 2,400 in base64.
        assert!(sizes <= if suite.kem.is_some() { 1500 } else { 400 }, "{sizes}");
        let step = if suite.kem.is_some() { 7 } else { 1 };
        for at in (0..flight.len()).step_by(step) {
            let (_, responder) = Handshake { fault: Fault::Byte(at), ..Handshake::new(suite) }.run();
            assert!(responder.is_err(), "{at}");
        }
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    use crate::session::initiator::{ResponderKeys, start};
    use crate::session::testing::{jid, rng};
    use crate::session::{Prologue, flight::Payload};
    let suite = &crate::suite::SUITE_CLASSICAL;
    let mut rng = rng(1);
    let good = suite.agreement.generate(&mut rng).public;
    let (alice, bob) = (jid("alice@example.org"), jid("bob@example.org"));
    let prologue = Prologue {
        initiator: &alice,
        responder: &bob,
        initiator_device: 1,
        responder_device: 2,
        record: [0; 32],
    };
    let payload = Payload {
        certificate: vec![].into(),
        suites: vec![1],
        counter: 1,
        list_version: 1,
        resumption: vec![].into(),
        extensions: vec![],
    };
    let zero = [0; 32];
    for (agreement, signed_prekey, one_time) in
        [(&zero[..], &good[..], &good[..]), (&good, &zero, &good), (&good, &good, &zero)]
    {
        let keys = ResponderKeys {
            record_sequence: 1,
            agreement,
            signed_prekey,
            one_time: Some((1, one_time)),
            kem: None,
        };
        let result = start(suite, &prologue, &keys, &payload, &mut rng);
        assert_eq!(result.err(), Some(Reason::Misbehaved(Misbehaviour::BadKey)));
    }
}

#[test]
fn resumption_chains_sessions_and_tells_rollback() {
    for suite in ALL {
        let mut pair = Handshake::new(suite).pair();
        pair.round();
        let old = pair.devices[0].session.clone();
        let name = |session: &Session| session.resumption_name(suite).unwrap();
        let superseded = |pair: &crate::session::testing::Pair, by: usize, name: &[u8; 8]| {
            pair.devices[by].session.find_resumption(suite, name).map(|found| found.superseded)
        };
        // Device 1 has stepped and its message was read: both are at the same step.
        assert_eq!(superseded(&pair, 1, &name(&old)), Some(false));
        // A step of device 0 that is lost: device 1 does not know its name, and names the one
        // before, which device 0 takes.
        let lost = pair.seal(0, b"lost");
        assert_eq!(superseded(&pair, 1, &name(&pair.devices[0].session)), None);
        assert_eq!(superseded(&pair, 0, &name(&pair.devices[1].session)), Some(false));
        // It arrives: now an old state of device 0 shows.
        pair.open(1, &lost).unwrap();
        assert_eq!(superseded(&pair, 1, &name(&pair.devices[0].session)), Some(false));
        assert_eq!(superseded(&pair, 1, &name(&old)), Some(true));
        // One more each way.
        pair.say(1, b"pong");
        assert_eq!(superseded(&pair, 0, &name(&pair.devices[1].session)), Some(false));
        for _ in 0..3 {
            pair.round();
        }
        assert_eq!(superseded(&pair, 1, &name(&old)), None);

        let secret = pair.devices[0].session.resumption_secret().unwrap().clone();
        let resumption = Some((secret, name(&pair.devices[0].session)));
        let mut chained = Handshake { resumption, seed: 9, ..Handshake::new(suite) }.pair();
        chained.round();
    }
}
