use crate::session::header::{Header, associated_data};
use crate::session::testing::{ALL, Handshake, Pair, context};
use crate::suite::SUITE_HYBRID;

/// A thief's copy of device `of`, as a pair of which only that device is used.
fn steal(pair: &Pair, of: usize) -> (Pair, usize) {
    (pair.clone(), of)
}

#[test]
fn read_messages_stay_secret() {
    for suite in ALL {
        let mut pair = Handshake::new(suite).pair();
        let mut bodies = Vec::new();
        for _ in 0..3 {
            bodies.push(pair.say(0, b"ping"));
            bodies.push(pair.say(0, b"ping"));
            pair.say(1, b"pong");
        }
        let (mut thief, of) = steal(&pair, 1);
        for body in bodies {
            assert!(thief.open(of, &body).is_err());
        }
    }
}

#[test]
fn a_round_trip_heals() {
    for suite in ALL {
        for of in [0, 1] {
            let mut pair = Handshake::new(suite).pair();
            pair.round();
            let (mut thief, of) = steal(&pair, of);
            // What comes first the thief still reads; then the owner replies with a key it made.
            let body = pair.say(1 - of, b"read");
            assert!(thief.open(of, &body).is_ok());
            pair.say(of, b"reply");
            let body = pair.say(1 - of, b"not read");
            assert!(thief.open(of, &body).is_err());
        }
    }
}

/// What the robbed device itself sends: the thief has the chain, and not the key of the next.
#[test]
fn what_is_sent_is_read_until_the_next_chain() {
    for suite in ALL {
        for of in [0, 1] {
            let mut pair = Handshake::new(suite).pair();
            pair.round();
            pair.say(of, b"a chain has begun");
            let thief = pair.devices[of].clone();
            let mut chain = thief.session.sending.clone().unwrap();
            let mut read = |body: &[u8]| {
                let (header, bytes, ciphertext) = Header::decode(suite, body).unwrap();
                let context = context(&thief.jid, &thief.peer);
                let transcript = thief.session.transcript.as_slice();
                let epoch = header.epoch.into();
                let aad = associated_data(transcript, thief.session.role(), bytes, epoch, &context).unwrap();
                let key = chain.advance(suite).unwrap();
                key.open(suite, &aad, ciphertext).map(|plain| plain.to_vec())
            };
            assert_eq!(read(&pair.say(of, b"read")).unwrap(), b"read");
            pair.say(1 - of, b"");
            assert!(read(&pair.say(of, b"not read")).is_err());
        }
    }
}

/// One who breaks Diffie-Hellman: whatever ratchet keys the device makes, the thief has them.
#[test]
fn only_a_new_epoch_heals_against_one_who_breaks_diffie_hellman() {
    for of in [0, 1] {
        for requested in [false, true] {
            let mut pair = Handshake::new(&SUITE_HYBRID).pair();
            pair.round();
            let mut thief = pair.clone();
            if requested {
                pair.devices[of].session.request_kem();
            }
            for _ in 0..6 {
                for from in [0, 1] {
                    let body = pair.say(from, b"hi");
                    if from == of {
                        follow(&mut thief, &pair, of);
                    } else {
                        let healed = pair.devices[from].session.epoch() > 0;
                        assert_eq!(thief.open(of, &body).is_err(), healed, "{of}");
                    }
                }
            }
            assert_eq!(pair.epochs()[of] > 0, requested);
        }
    }
}

/// The thief goes along with a step of the device's, knowing its new ratchet key, but neither the
/// seed nor the KEM secret that the device has made since.
fn follow(thief: &mut Pair, pair: &Pair, of: usize) {
    use crate::session::ratchet::SendingChain;
    let (suite, now) = (thief.suite, thief.now);
    let theirs = &pair.devices[of].session;
    let own = &mut thief.devices[of].session;
    let secret = &theirs.own.as_ref().unwrap().secret;
    let peer = own.receiving.as_ref().unwrap().ratchet_key.clone();
    let dh = suite.agreement.agree(secret, peer.as_slice()).unwrap();
    let mix = own.kem.mix_to_send(now);
    let step = own.root.step(suite, &dh, mix.as_ref()).unwrap();
    own.root = step.root;
    own.sending = Some(SendingChain::new(step.chain));
    own.own = theirs.own.clone();
    if own.kem.epoch() == theirs.kem.epoch() {
        own.kem = theirs.kem.clone().without_secrets();
    }
}
