//! A peer that does not keep to the protocol.

#![expect(clippy::wildcard_enum_match_arm, reason = "helpers of tests")]

use super::*;
use crate::agent::LocalAgent;
use crate::engine::{Config, State};
use crate::env::Env;
use crate::error::{Malformed, Misbehaviour, Reason};
use crate::identity::fixture::{Device, now, rng};
use crate::session::testing::Handshake;
use crate::step::Effect;
use crate::suite::{SUITE_HYBRID, Suites};
use crate::verify::{self, SharedSecret, Side, commit};

/// The engine of Alice, who has a session with Bob.
struct Alice {
    config: Config,
    state: State,
    key: SessionKey,
    rng: chacha20::ChaCha20Rng,
}

const SECRET: SharedSecret<'static> = SharedSecret::new("the blue house");

impl Alice {
    fn new() -> Self {
        let (alice, bob) = (Device::new("alice@example.org", 1), Device::new("bob@example.org", 2));
        let (session, _) = Handshake::new(&SUITE_HYBRID).run();
        let key = (bob.jid.clone(), bob.id, session.id());
        let agent = LocalAgent::generate(&Suites::default(), &mut rng(3));
        let config = Config::new("alice@example.org", agent.identity()).unwrap();
        let mut this = Self { config, state: State::default(), key: key.clone(), rng: rng(4) };
        this.act(|draft| {
            let own = draft.own_mut()?;
            own.device = alice.id;
            own.certificate = alice.certificate().bytes().into();
            let contact = draft.contact_mut(&bob.jid)?;
            contact.friend = true;
            contact.account_key = Some(bob.account().digest());
            draft.introduce(&bob.jid, &bob.certificate())?;
            let known = draft.state.devices.get_mut(&(bob.jid.clone(), bob.id))?.ok_or(Misuse::Record)?;
            known.good_until = u32::MAX;
            known.live = Some(key.2);
            draft.state.sessions.put(key.clone(), session.clone());
            Ok(())
        });
        this
    }

    /// What the work tells.
    fn act(&mut self, work: impl FnOnce(&mut Draft<'_>) -> Done) -> Vec<Event> {
        let mut effects = Vec::new();
        let mut env = Env { now: now(), rng: &mut self.rng };
        let mut draft = Draft::begin(&self.config, &mut self.state, &mut env, &mut effects).unwrap();
        work(&mut draft).unwrap();
        self.state.commit();
        let events = effects.into_iter().filter_map(|effect| match effect {
            Effect::Notify(event) => Some(event),
            _ => None,
        });
        events.collect()
    }

    fn sent(&self) -> usize {
        self.state.outbox.len()
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Event> {
        let key = self.key.clone();
        self.act(|draft| draft.verification_received(&key, bytes))
    }

    fn step(&mut self, run: RunId, step: Step) -> Vec<Event> {
        self.bytes(&Message { run: run.0, step }.encode())
    }

    fn run(&self) -> Option<Run> {
        let verification = self.state.verifications.get(&self.key.0).unwrap();
        verification.and_then(|verification| verification.run.clone())
    }

    fn start(&mut self) -> RunId {
        let bob = self.key.0.clone();
        self.act(|draft| draft.start_verification(&bob, None, None));
        self.run().unwrap().id()
    }

    fn ask(&mut self) -> RunId {
        let bob = self.key.0.clone();
        self.act(|draft| draft.start_verification(&bob, None, Some(("Where?", SECRET))));
        self.run().unwrap().id()
    }

    /// As initiator, with the string on the screen.
    fn shown(&mut self) -> RunId {
        let run = self.start();
        assert!(self.step(run, Step::Accept(commit(PURPOSE, run, &[1; 32]))).is_empty());
        let events = self.step(run, Step::Reveal([1; 32]));
        assert!(matches!(events[..], [Event::VerificationString { .. }]), "{events:?}");
        run
    }
}

fn fault(events: &[Event]) -> Option<VerificationFault> {
    events.iter().find_map(|event| match event {
        Event::VerificationFailed { why, .. } => Some(*why),
        _ => None,
    })
}

fn refused(events: &[Event]) -> Option<Reason> {
    events.iter().find_map(|event| match event {
        Event::Rejected { reason, .. } => Some(*reason),
        _ => None,
    })
}

const OUT_OF_TURN: Option<Reason> = Some(Reason::Misbehaved(Misbehaviour::OutOfTurn));

#[test]
fn what_was_not_committed_to_is_no_contribution() {
    let mut alice = Alice::new();
    let run = alice.start();
    alice.step(run, Step::Accept(commit(PURPOSE, run, &[1; 32])));
    let events = alice.step(run, Step::Reveal([2; 32]));
    assert_eq!(refused(&events), Some(Reason::Unauthentic));
    assert_eq!(fault(&events), Some(VerificationFault::Mismatch));
    assert_eq!((events.len(), alice.run().is_none()), (2, true));
}

#[test]
fn a_false_confirmation_ends_it_whatever_the_user_has_said() {
    for (confirmed, reflected) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut alice = Alice::new();
        let run = alice.shown();
        if confirmed {
            let bob = alice.key.0.clone();
            assert!(alice.act(|draft| draft.confirm_verification(&bob, run, true)).is_empty());
        }
        let ours = value(&alice.run().unwrap().our_confirmation).unwrap();
        let events = alice.step(run, Step::Confirm(if reflected { ours } else { [0; 32] }));
        assert_eq!((fault(&events), events.len()), (Some(VerificationFault::Mismatch), 1));
        let contact = alice.state.contacts.get(&alice.key.0).unwrap().unwrap();
        assert_ne!(contact.trust.trust, Trust::Verified);
    }
}

#[test]
fn one_that_came_before_what_reveals_is_looked_at_then() {
    let mut alice = Alice::new();
    let run = alice.start();
    alice.step(run, Step::Accept(commit(PURPOSE, run, &[1; 32])));
    assert!(alice.step(run, Step::Confirm([9; 32])).is_empty());
    let events = alice.step(run, Step::Reveal([1; 32]));
    assert_eq!(fault(&events), Some(VerificationFault::Mismatch));
}

/// Brings a run to some point.
type Begin = fn(&mut Alice) -> RunId;

#[test]
fn what_is_not_due_ends_the_run() {
    let steps = || {
        [
            Step::Accept([1; 32]),
            Step::Contribution([1; 32]),
            Step::Reveal([1; 32]),
            Step::Confirm([1; 32]),
            Step::Answer([1; 32], [1; 32]),
        ]
    };
    let requested: Begin = Alice::start;
    let asked: Begin = |alice| {
        assert_eq!(alice.step(RunId([5; 16]), Step::Request).len(), 1);
        RunId([5; 16])
    };
    let committed: Begin = |alice| {
        alice.step(RunId([5; 16]), Step::Request);
        let bob = alice.key.0.clone();
        alice.act(|draft| draft.accept_verification(&bob, RunId([5; 16])));
        RunId([5; 16])
    };
    let with_secret: Begin = Alice::ask;
    let shown: Begin = Alice::shown;
    let cases: [(Begin, &[usize]); 5] =
        [(requested, &[0]), (asked, &[]), (committed, &[1]), (with_secret, &[4]), (shown, &[3])];
    for (number, (begin, due)) in cases.into_iter().enumerate() {
        for (place, step) in steps().into_iter().enumerate().filter(|(place, _)| !due.contains(place)) {
            let mut alice = Alice::new();
            let run = begin(&mut alice);
            let events = alice.step(run, step);
            assert_eq!(refused(&events), OUT_OF_TURN, "{number} {place}");
            assert_eq!(fault(&events), Some(VerificationFault::Malformed));
            assert!(alice.run().is_none());
        }
    }
}

#[test]
fn what_does_not_decode_ends_the_run_of_its_device_only() {
    for (bytes, malformed) in [
        (&[][..], Malformed::Encoding),
        (&[7; 17][..], Malformed::Encoding),
        (&[99; 17][..], Malformed::Version),
    ] {
        let mut alice = Alice::new();
        alice.start();
        let (bob, device, session) = alice.key.clone();
        let events = alice.act(|draft| draft.verification_received(&(bob, device + 1, session), bytes));
        assert_eq!((refused(&events), events.len()), (Some(malformed.into()), 1));
        let events = alice.bytes(bytes);
        assert_eq!(refused(&events), Some(malformed.into()));
        assert_eq!(fault(&events), Some(VerificationFault::Malformed));
    }
}

#[test]
fn another_device_or_session_cannot_go_on_with_it() {
    let mut alice = Alice::new();
    let run = alice.start();
    let accept = Message { run: run.0, step: Step::Accept([1; 32]) }.encode();
    let (bob, device, session) = alice.key.clone();
    let events = alice.act(|draft| draft.verification_received(&(bob.clone(), device + 1, session), &accept));
    assert_eq!((refused(&events), events.len()), (OUT_OF_TURN, 1));
    assert_eq!(alice.run().unwrap().stage, Stage::Requested);
    let events = alice.act(|draft| draft.verification_received(&(bob, device, [0; 16]), &accept));
    assert_eq!(fault(&events), Some(VerificationFault::SessionChanged));
}

#[test]
fn the_own_account_is_no_contact() {
    let mut alice = Alice::new();
    let own = (alice.config.account.clone(), 7, [0; 16]);
    let request = Message { run: [5; 16], step: Step::Request }.encode();
    let events = alice.act(|draft| draft.verification_received(&own, &request));
    assert_eq!(refused(&events), Some(Misbehaviour::WrongSubject.into()));
}

#[test]
fn a_run_is_asked_for_once() {
    let mut alice = Alice::new();
    let run = RunId([5; 16]);
    assert_eq!(alice.step(run, Step::Request).len(), 1);
    alice.step(run, Step::Abort(1));
    let events = alice.step(run, Step::Request);
    assert_eq!((refused(&events), events.len()), (OUT_OF_TURN, 1));
}

#[test]
fn what_is_unknown_is_answered_a_few_times_and_an_end_never() {
    let mut alice = Alice::new();
    for number in 0..20 {
        assert!(alice.step(RunId([number; 16]), Step::Abort(1)).is_empty());
    }
    assert_eq!(alice.sent(), 0);
    for number in 0..20 {
        assert!(alice.step(RunId([number; 16]), Step::Confirm([1; 32])).is_empty());
    }
    assert_eq!(alice.sent(), usize::from(MAX_REFUSALS));
}

#[test]
fn an_element_that_is_none_asks_and_answers_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut alice = Alice::new();
    let events = alice.step(RunId([5; 16]), Step::Question(b"?"[..].into(), identity));
    assert_eq!((refused(&events), events.len()), (Some(Misbehaviour::BadKey.into()), 1));
    let run = alice.ask();
    let events = alice.step(run, Step::Answer(identity, [1; 32]));
    assert_eq!(refused(&events), Some(Misbehaviour::BadKey.into()));
    assert_eq!(fault(&events), Some(VerificationFault::Malformed));
}

#[test]
fn who_does_not_know_the_secret_has_one_guess() {
    let mut alice = Alice::new();
    let run = alice.ask();
    let (seed, guess) = (Secret::from(&[1; 32][..]), verify::prepare(run, SharedSecret::new("x")).unwrap());
    let element = verify::start(Side::Responder, &seed, &guess, [b"", b""]).unwrap();
    let events = alice.step(run, Step::Answer(element, [1; 32]));
    assert_eq!((fault(&events), events.len()), (Some(VerificationFault::WrongSecret), 1));
    assert!(alice.run().is_none());
    assert!(alice.step(run, Step::Answer(element, [1; 32])).is_empty());
}

#[test]
fn what_a_run_was_made_from_is_wiped_with_it() {
    let mut alice = Alice::new();
    let run = alice.ask();
    let kept = alice.run().unwrap();
    assert!(!kept.seed.expose().is_empty() && !kept.phrase.expose().is_empty());
    assert!(!kept.phrase.same(&Secret::from(&b"the blue house"[..])));
    alice.step(run, Step::Abort(1));
    alice.shown();
    let kept = alice.run().unwrap();
    assert!(kept.seed.expose().is_empty() && kept.phrase.expose().is_empty());
}
