//! What another device of the account, or somebody who is none, may say of a file.

use rand_core::SeedableRng as _;

use super::*;
use crate::agent::LocalAgent;
use crate::engine::{Config, Input};
use crate::error::{Malformed, Reason};
use crate::step::Effect;
use crate::suite::Suites;

const OWN: &str = "alice@example.com";

/// What comes of `act` on the draft of a new device.
fn draft(act: impl FnOnce(&mut Draft<'_>)) -> Vec<Effect> {
    let mut rng = chacha20::ChaCha20Rng::from_seed([3; 32]);
    let agent = LocalAgent::generate(&Suites::default(), &mut rng);
    let mut engine = Engine::new(Config::new(OWN, agent.identity()).unwrap());
    let mut env = Env { now: Timestamp::from_secs(1_800_000_000), rng: &mut rng };
    engine.handle(&mut env, Input::Tick).unwrap().persist(|_| Ok::<(), ()>(())).unwrap();
    let mut effects = Vec::new();
    let Engine { config, state } = &mut engine;
    act(&mut Draft::begin(config, state, &mut env, &mut effects).unwrap());
    effects
}

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn offer(id: u8, key: u8) -> Offer {
    let key = Secret::from(&[key; 32][..]);
    Offer { id: [id; 16], key, size: 100, digest: [id; 32], name: "archive".to_owned() }
}

fn rejected(effects: &[Effect]) -> Vec<Reason> {
    let reasons = effects.iter().filter_map(|effect| {
        if let Effect::Notify(Event::Rejected { reason, .. }) = effect { Some(*reason) } else { None }
    });
    reasons.collect()
}

#[test]
fn only_devices_that_live_by_the_own_list_are_heard() {
    let message = wire::encode(&HistoryMessage::Offer(offer(1, 1)));
    for from in [OWN, "bob@example.org"] {
        let effects = draft(|draft| {
            draft.history_told(&(jid(from), 7, [0; 16]), &message).unwrap();
            assert!(draft.state.histories.all_keys().is_empty());
        });
        assert_eq!((effects.len(), rejected(&effects)), (1, vec![Misbehaviour::WrongSubject.into()]));
    }
}

#[test]
fn one_name_is_one_file_of_one_device() {
    let (own, wrong) = (jid(OWN), Reason::from(Misbehaviour::Equivocation));
    let effects = draft(|draft| {
        for offered in [offer(1, 1), offer(1, 1), offer(1, 2), Offer { size: 99, ..offer(1, 1) }] {
            draft.history_offered(&own, 7, offered).unwrap();
        }
        draft.history_offered(&own, 8, offer(1, 1)).unwrap();
        let known = draft.state.histories.get(&[1; 16]).unwrap().unwrap();
        assert!(known.device == 7 && known.key.same(&offer(1, 1).key));
    });
    assert_eq!(rejected(&effects), [wrong; 3]);
    let offered = |effect: &&Effect| matches!(effect, Effect::Notify(Event::HistoryOffered(_)));
    assert_eq!(effects.iter().filter(offered).count(), 1);
}

#[test]
fn nobody_ends_what_another_has_offered() {
    let effects = draft(|draft| {
        draft.history_offered(&jid(OWN), 7, offer(1, 1)).unwrap();
        draft.history_answered(8, [1; 16], HistoryEnd::Dropped).unwrap();
        // Who has made a file cannot have taken it.
        draft.history_answered(7, [1; 16], HistoryEnd::Taken).unwrap();
        draft.history_answered(7, [2; 16], HistoryEnd::Dropped).unwrap();
        assert_eq!(draft.state.histories.all_keys(), [[1; 16]]);
        draft.history_answered(7, [1; 16], HistoryEnd::Dropped).unwrap();
        assert!(draft.state.histories.all_keys().is_empty());
    });
    assert_eq!(effects.len(), 2);
}

/// However many are offered, and dropped or not, four of one device are remembered, and those that are open longest.
#[test]
fn what_is_remembered_of_one_device_is_bounded() {
    draft(|draft| {
        for n in 1..=100 {
            draft.history_offered(&jid(OWN), 7, offer(n, 1)).unwrap();
            if n % 3 == 0 {
                draft.drop_history([n; 16]).unwrap();
            }
            assert!(draft.state.histories.len() <= MAX_OFFERS);
            let newest = draft.state.histories.get(&[n; 16]).unwrap().unwrap();
            assert_eq!(newest.key.expose().is_empty(), n % 3 == 0, "a key that is not needed is forgotten");
        }
    });
}

#[test]
fn what_is_no_message_is_malformed() {
    assert_eq!(HistoryMessage::decode(&[]).err(), Some(Malformed::Encoding));
    assert_eq!(HistoryMessage::decode(&[2, 1]).err(), Some(Malformed::Encoding));
}
