use core::time::Duration;

use crate::error::Misbehaviour;
use crate::session::header::Header;
use crate::session::testing::{Handshake, Pair, UNAUTHENTIC, misbehaved};
use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID, SUITE_HYBRID_MISUSE_RESISTANT};

fn pair() -> Pair {
    let mut pair = Handshake::new(&SUITE_HYBRID).pair();
    pair.round();
    pair
}

#[test]
fn epochs_follow_each_other() {
    for suite in [&SUITE_HYBRID, &SUITE_HYBRID_MISUSE_RESISTANT] {
        let mut pair = Handshake::new(suite).pair();
        let mut began = Vec::new();
        for round in 0..100 {
            let before = pair.epochs();
            pair.round();
            if pair.epochs() != before && pair.epochs()[0] == pair.epochs()[1] {
                began.push(round);
            }
        }
        assert!(pair.epochs()[0] >= 5, "{:?}", pair.epochs());
        assert!(began.windows(2).all(|pair| pair[1] - pair[0] <= 20), "{began:?}");
    }
}

#[test]
fn epochs_need_a_kem() {
    let mut pair = Handshake::new(&SUITE_CLASSICAL).pair();
    pair.devices[0].session.request_kem();
    for _ in 0..50 {
        pair.round();
    }
    assert_eq!(pair.epochs(), [0, 0]);
}

#[test]
fn a_day_makes_it_due() {
    let mut pair = pair();
    pair.now = pair.now.after(Duration::from_hours(24));
    for _ in 0..3 {
        pair.round();
    }
    assert_eq!(pair.epochs(), [1, 1]);
}

#[test]
fn healed_within_three_round_trips_of_a_request_by_either_side() {
    for who in [0, 1] {
        let mut pair = pair();
        for epoch in 1..5 {
            pair.devices[who].session.request_kem();
            let mut rounds = 0;
            while pair.epochs() != [epoch; 2] {
                pair.round();
                rounds += 1;
            }
            assert!(rounds <= 3, "{who} {epoch} {rounds}");
        }
    }
}

#[test]
fn never_in_a_first_message() {
    let mut pair = Handshake::new(&SUITE_HYBRID).pair();
    pair.devices[0].session.request_kem();
    assert!(pair.say(0, b"").len() < 100);
    assert!(pair.say(0, b"").len() < 100);
    assert!(pair.say(1, b"").len() < 100);
    assert!(pair.say(0, b"").len() > 1184);
}

#[test]
fn the_same_offer_and_answer_until_they_are_seen() {
    let mut pair = pair();
    let field = |body: &[u8]| {
        let (header, ..) = Header::decode(&SUITE_HYBRID, body).unwrap();
        header.fields.offer.or(header.fields.answer).map(<[u8]>::to_vec)
    };
    pair.devices[0].session.request_kem();
    // The first of the chain is lost, the second is read.
    let offer = field(&pair.seal(0, b"")).unwrap();
    assert_eq!(field(&pair.say(0, b"")), None);
    assert!(pair.devices[0].session.kem_pending() && !pair.devices[1].session.kem_pending());
    pair.say(1, b"");
    assert_eq!(field(&pair.say(0, b"")), Some(offer));
    assert!(pair.devices[1].session.kem_pending());
    let answer = field(&pair.seal(1, b"")).unwrap();
    pair.say(1, b"");
    // Unanswered still, the offer comes again, and so does the answer.
    pair.say(0, b"");
    assert_eq!(field(&pair.say(1, b"")), Some(answer));
    assert_eq!(pair.epochs(), [0, 0]);
    // Late messages of the old epoch are read in the new.
    let late = pair.seal(1, b"late");
    let body = pair.seal(0, b"new");
    assert_eq!(pair.epochs(), [1, 0]);
    assert_eq!(pair.open(0, &late).unwrap(), b"late");
    assert_eq!(pair.open(1, &body).unwrap(), b"new");
    assert_eq!(pair.epochs(), [1, 1]);
    assert!(!pair.devices[0].session.kem_pending() && !pair.devices[1].session.kem_pending());
    pair.round();
}

#[test]
fn another_key_for_the_same_epoch_is_equivocation() {
    let mut pair = pair();
    let fork = pair.devices[0].clone();
    pair.devices[0].session.request_kem();
    let mut other = pair.clone();
    pair.say(0, b"");
    pair.say(1, b"");
    // The peer sends from before the offer, with another key.
    other.devices[0] = fork;
    other.devices[0].session.request_kem();
    let first = other.seal(0, b"");
    assert_eq!(pair.open(1, &first).err(), Some(UNAUTHENTIC));

    // Within one line of states: the offer is forgotten by its maker and made anew.
    let mut pair = self::pair();
    pair.devices[0].session.request_kem();
    pair.say(0, b"");
    let now = pair.now;
    pair.devices[0].session.kem = crate::session::kem_ratchet::KemRatchet::new(now);
    pair.devices[0].session.request_kem();
    let answer = pair.seal(1, b"");
    assert!(misbehaved(&pair.open(0, &answer), Misbehaviour::OutOfTurn));
    let without = pair.seal(1, b"no answer in it");
    pair.open(0, &without).unwrap();
    let second = pair.seal(0, b"");
    assert!(misbehaved(&pair.open(1, &second), Misbehaviour::Equivocation));
    // What comes after is read.
    pair.say(0, b"after");
}
