use rand_core::Rng;

use crate::env::{Env, Timestamp};
use crate::error::{Misbehaviour, Reason};
use crate::session::Session;
use crate::session::header::{Context, StanzaKind};
use crate::session::message::{MAX_SKIP, MAX_STORED, OpenError};
use crate::session::testing::{ALL, Handshake, UNAUTHENTIC, context, jid, misbehaved, rng};
use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID};

#[test]
fn on_a_bad_network_what_arrives_is_read_once() {
    for (seed, suite) in (1..).zip(ALL) {
        let mut pair = Handshake { seed, ..Handshake::new(suite) }.pair();
        pair.round();
        let mut random = rng(seed + 100);
        let mut pick = |below: u32| random.next_u32() % below;
        let mut wires: [Vec<(u32, Vec<u8>)>; 2] = [vec![], vec![]];
        let mut read = [vec![], vec![]];
        for number in 0..1500_u32 {
            let from = pick(2) as usize;
            let body = pair.seal(from, &number.to_be_bytes());
            if pick(10) > 0 {
                wires[from].push((number, body.clone()));
            }
            if pick(10) == 0 {
                wires[from].push((number, body));
            }
            if pick(100) == 0 {
                pair.devices[from].session.request_kem();
            }
            for from in [0, 1] {
                while !wires[from].is_empty() && pick(3) > 0 {
                    // At most eight back, so that no chain is too old.
                    let at = pick(u32::try_from(wires[from].len().min(8)).unwrap()) as usize;
                    let (number, body) = wires[from].remove(at);
                    match pair.open(1 - from, &body) {
                        Ok(content) => {
                            assert_eq!(content, number.to_be_bytes());
                            assert!(!read[from].contains(&number));
                            read[from].push(number);
                        }
                        Err(error) => {
                            assert!(read[from].contains(&number), "{number} {error:?}");
                            assert!(matches!(error, OpenError::Duplicate | UNAUTHENTIC));
                        }
                    }
                }
            }
        }
        assert!(read.iter().all(|read| read.len() > 500));
        assert_eq!(pair.epochs()[0] > 2, suite.kem.is_some());
    }
}

#[test]
fn every_byte_counts_and_a_failure_changes_nothing() {
    for suite in ALL {
        let mut pair = Handshake::new(suite).pair();
        pair.round();
        pair.devices[0].session.request_kem();
        pair.seal(1, b"skipped");
        let long = pair.seal(0, b"with an offer, perhaps");
        let short = pair.seal(0, b"same chain");
        for (body, step) in [(&short, 1), (&long, if suite.kem.is_some() { 13 } else { 1 })] {
            for at in (0..body.len()).step_by(step) {
                for bit in [1, 0x80] {
                    let mut bad = body.clone();
                    bad[at] ^= bit;
                    assert!(pair.open(1, &bad).is_err(), "{at}");
                }
            }
            for end in 0..body.len().min(60) {
                assert!(pair.open(1, &body[..end]).is_err());
            }
        }
        assert_eq!(pair.open(1, &short).unwrap(), b"same chain");
        assert_eq!(pair.open(1, &long).unwrap(), b"with an offer, perhaps");
        assert_eq!(pair.open(1, &long), Err(OpenError::Duplicate));
        assert_eq!(pair.open(1, &short), Err(OpenError::Duplicate));
    }
}

#[test]
fn the_context_is_bound() {
    let suite = &SUITE_CLASSICAL;
    let mut pair = Handshake::new(suite).pair();
    let (alice, bob, eve) = (jid("alice@example.org"), jid("bob@example.org"), jid("eve@example.org"));
    let right = Context { extra: &[b"ids", b"commitment"], ..context(&alice, &bob) };
    let mut env = Env { now: pair.now, rng: &mut pair.rng };
    let session = &mut pair.devices[0].session;
    let sealed = session.seal(suite, &pair.policy, &mut env, &right, b"x").unwrap();
    let body = [sealed.header, sealed.ciphertext].concat();
    let open = |context: &Context<'_>| {
        let mut session = pair.devices[1].session.clone();
        session.open(suite, pair.now, context, &body, &mut |_, _| Ok::<_, ()>(None)).err()
    };
    for wrong in [
        Context { kind: StanzaKind::Presence, ..right },
        Context { kind: StanzaKind::Iq, ..right },
        Context { stanza_type: None, ..right },
        Context { stanza_type: Some("headline"), ..right },
        Context { stanza_type: Some("foo"), ..right },
        Context { sender: &eve, ..right },
        Context { addressed: &eve, ..right },
        Context { sender: &bob, addressed: &alice, ..right },
        Context { prefix: &[1], ..right },
        Context { extra: &[], ..right },
        Context { extra: &[b"idsc", b"ommitment"], ..right },
    ] {
        assert_eq!(open(&wrong), Some(UNAUTHENTIC));
    }
    assert_eq!(open(&right), None);
}

#[test]
fn no_type_and_an_unknown_one_are_normal() {
    let suite = &SUITE_CLASSICAL;
    let mut pair = Handshake::new(suite).pair();
    let (alice, bob) = (jid("alice@example.org"), jid("bob@example.org"));
    for (kind, sent, read) in [
        (StanzaKind::Message, None, Some("normal")),
        (StanzaKind::Message, Some("normal"), None),
        (StanzaKind::Message, Some("foo"), None),
        (StanzaKind::Message, Some("CHAT"), Some("normal")),
        (StanzaKind::Presence, None, None),
        (StanzaKind::Iq, Some("get"), Some("get")),
    ] {
        let base = context(&alice, &bob);
        let mut env = Env { now: pair.now, rng: &mut pair.rng };
        let session = &mut pair.devices[0].session;
        let context = Context { kind, stanza_type: sent, ..base };
        let sealed = session.seal(suite, &pair.policy, &mut env, &context, b"x").unwrap();
        let body = [sealed.header, sealed.ciphertext].concat();
        let context = Context { kind, stanza_type: read, ..base };
        let session = &mut pair.devices[1].session;
        let opened = session.open(suite, pair.now, &context, &body, &mut |_, _| Ok::<_, ()>(None)).unwrap();
        assert_eq!(*opened.content, b"x");
    }
}

#[test]
fn skipping_is_bounded() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    pair.round();
    let mut far = |count: u32| {
        for _ in 0..count {
            pair.seal(0, b"");
        }
        let body = pair.seal(0, b"");
        let result = pair.open(1, &body);
        (result.is_ok(), misbehaved(&result, Misbehaviour::TooManySkipped), pair.devices[1].keys.len())
    };
    assert_eq!(far(MAX_SKIP), (true, false, MAX_SKIP as usize));
    assert_eq!(far(MAX_SKIP), (true, false, 2 * MAX_SKIP as usize));
    // The oldest make room.
    assert_eq!(far(MAX_SKIP), (true, false, MAX_STORED as usize));
    assert_eq!(far(MAX_SKIP + 1), (false, true, MAX_STORED as usize));
}

#[test]
fn old_chains_are_dropped() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    pair.round();
    let skipped = pair.seal(0, b"skipped");
    pair.say(0, b"");
    for _ in 0..5 {
        pair.say(1, b"");
        pair.say(0, b"");
        assert_eq!(pair.devices[1].keys.len(), 1);
    }
    assert_eq!(pair.clone().open(1, &skipped).unwrap(), b"skipped");
    pair.say(1, b"");
    pair.say(0, b"");
    assert!(pair.devices[1].keys.is_empty() && pair.devices[1].session.earlier.is_empty());
    assert_eq!(
        pair.open(1, &skipped),
        Err(OpenError::Duplicate),
        "too old to be told from one that was read"
    );
}

#[test]
fn chains_can_be_kept_for_longer() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    pair.round();
    pair.seal(0, b"skipped");
    pair.say(0, b"");
    let mut before = pair.devices[1].session.clone();
    for _ in 0..7 {
        pair.say(1, b"");
        before.clone_from(&pair.devices[1].session);
        pair.say(0, b"");
        let session = &mut pair.devices[1].session;
        if session.earlier.is_empty() {
            let expired: Vec<u32> = before.earlier.iter().map(|earlier| earlier.number).collect();
            assert!(session.keep_chains(&before, &expired).is_empty());
        }
        assert_eq!((session.unread(), session.earlier.len()), (1, 1));
    }
}

#[test]
fn another_message_in_the_place_of_one_is_noticed() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    let body = pair.say(0, b"one");
    let mut other = body.clone();
    *other.last_mut().unwrap() ^= 1;
    let next = pair.seal(0, b"next");
    let session = &pair.devices[1].session;
    assert!(!session.is_another(&SUITE_CLASSICAL, &body));
    assert!(session.is_another(&SUITE_CLASSICAL, &other));
    assert!(!session.is_another(&SUITE_CLASSICAL, &next));
}

#[test]
fn what_comes_again_from_the_last_chains_is_a_duplicate() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    let mut bodies = Vec::new();
    for _ in 0..64 {
        bodies.push(pair.say(0, b""));
        pair.say(1, b"");
    }
    for body in &bodies {
        assert_eq!(pair.open(1, body), Err(OpenError::Duplicate));
    }
    pair.say(0, b"");
    assert_eq!(pair.open(1, &bodies[0]), Err(UNAUTHENTIC));
}

#[test]
fn a_store_that_fails_is_told_apart() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    let first = pair.seal(0, b"");
    pair.say(0, b"");
    let device = &mut pair.devices[1];
    let (own, peer) = (device.jid.clone(), device.peer.clone());
    let result =
        device.session.open(&SUITE_CLASSICAL, pair.now, &context(&peer, &own), &first, &mut |_, _| Err(7));
    assert_eq!(result.err(), Some(OpenError::Store(7)));
}

#[test]
fn small_order_ratchet_keys_are_refused() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    pair.round();
    pair.seal(1, b"");
    let mut body = pair.seal(0, b"");
    body[..32].fill(0);
    assert!(misbehaved(&pair.open(1, &body), Misbehaviour::BadKey));
}

#[test]
fn sizes() {
    for suite in ALL {
        let mut pair = Handshake::new(suite).pair();
        for _ in 0..16 {
            pair.round();
        }
        for _ in 0..100 {
            pair.say(0, b"");
        }
        for _ in 0..10 {
            pair.round();
        }
        for device in &pair.devices {
            assert!(!device.session.kem_pending());
            let len = device.session.encode().len();
            let limit = if suite.kem.is_some() { 1000 } else { 700 };
            assert!(len <= limit, "{}: {len}", suite.name);
            // In memory: the struct, and what its boxes hold.
            let memory = size_of::<Session>() + len;
            assert!(memory <= 1300, "{}: {memory}", suite.name);
        }
        let body = pair.say(0, b"See you at the park!");
        assert!(body.len() <= 36 + 1 + 20 + 16, "{}", body.len());
    }
}

#[test]
fn heartbeats() {
    let mut pair = Handshake::new(&SUITE_HYBRID).pair();
    pair.round();
    for _ in 0..50 {
        let session = &mut pair.devices[1].session;
        assert!(!session.heartbeat_due());
        session.note_read(false);
        session.note_read(true);
    }
    assert!(pair.devices[1].session.heartbeat_due());
    pair.say(0, b"");
    pair.say(1, b"");
    assert!(!pair.devices[1].session.heartbeat_due());
}

#[test]
fn another_version_or_a_damaged_record_is_not_taken() {
    let mut pair = Handshake::new(&SUITE_HYBRID).pair();
    pair.round();
    let bytes = pair.devices[0].session.encode();
    let mut other = bytes.clone();
    other[0] = 2;
    assert!(Session::decode(&other).is_err());
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(Session::decode(&longer).is_err());
}

#[test]
fn the_wrong_suite_is_refused() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    let body = pair.seal(0, b"");
    let result = pair.devices[1].open(&SUITE_HYBRID, Timestamp::default(), &body);
    assert!(matches!(result, Err(OpenError::Refused(Reason::Unauthentic))));
}
