//! What the contact's device says in a comparison.

use super::{MAX_REFUSALS, MAX_RUNS, SEED_LEN, Value, value};
use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Run, SessionKey, Stage};
use crate::error::{Error, Misbehaviour, Reason};
use crate::identity::Digest;
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::trust::Means;
use crate::verify::{
    Element, Message, Method, PURPOSE, RunId, Step, VerificationFault, check_element, commit,
};
use crate::wire::Bytes;

impl Draft<'_> {
    /// Acts on a message of a comparison that came in this session.
    pub(in crate::engine) fn verification_received(&mut self, key: &SessionKey, bytes: &[u8]) -> Done {
        let (jid, device, _) = key;
        if self.own()?.jid == *jid {
            self.reject(Some(jid), Misbehaviour::WrongSubject);
            return Ok(());
        }
        let run = self.run_with(jid)?;
        let Message { run: id, step } = match Message::decode(bytes) {
            Ok(message) => message,
            Err(malformed) => {
                self.reject(Some(jid), malformed);
                return match run {
                    Some(run) if run.device == *device => {
                        self.end_run(jid, VerificationFault::Malformed, true)
                    }
                    Some(_) | None => Ok(()),
                };
            }
        };
        let id = RunId(id);
        let step = match step {
            Step::Request => return self.run_asked(key, id, None),
            Step::Question(text, element) => return self.run_asked(key, id, Some((text, element))),
            step @ (Step::Accept(_)
            | Step::Contribution(_)
            | Step::Reveal(_)
            | Step::Confirm(_)
            | Step::Answer(..)
            | Step::Abort(_)) => step,
        };
        match run.filter(|run| run.id() == id) {
            // Only the device that was asked, or that asked, can go on with it.
            Some(run) if run.device == *device => self.run_goes_on(key, run, step),
            Some(_) => {
                self.reject(Some(jid), Misbehaviour::OutOfTurn);
                Ok(())
            }
            None if matches!(step, Step::Abort(_)) => Ok(()),
            None => self.refuse_run(key, id, VerificationFault::Gone),
        }
    }

    /// Says that nothing comes of a run, to those who may know that there is somebody.
    fn refuse_run(&mut self, key: &SessionKey, id: RunId, why: VerificationFault) -> Done {
        let (jid, device, _) = key;
        if !self.is_friend(jid)? {
            return Ok(());
        }
        let now = self.now;
        let verification = self.verification_mut(jid)?;
        if verification.refusals >= MAX_REFUSALS {
            return Ok(());
        }
        if verification.refusals == 0 {
            verification.refused_since = now;
        }
        verification.refusals += 1;
        let Some(live) = self.live_session(jid, *device)? else { return Ok(()) };
        self.say_in_run(&live, id, Step::Abort(why.code()))
    }

    /// Whether the user is bothered with requests of this contact: it may know that there is somebody, or the user has
    /// asked it in the last hour; and the user has not distrusted it.
    fn may_verify(&self, jid: &BareJid) -> Result<bool, Error> {
        let Some(contact) = self.contact(jid)?.filter(|contact| contact.other_key.is_none()) else {
            return Ok(false);
        };
        let distrusted = contact.is_distrusted();
        let asked = self.verification(jid)?.is_some_and(|known| known.begun.iter().any(|begun| begun.ours));
        Ok(!distrusted && (asked || self.is_friend(jid)?))
    }

    /// The contact wants to compare.
    fn run_asked(&mut self, key: &SessionKey, id: RunId, question: Option<(Bytes, Element)>) -> Done {
        let (jid, device, _) = key;
        let known = self.verification(jid)?.is_some_and(|known| known.begun.iter().any(|b| b.run == id.0));
        if known || !self.may_verify(jid)? {
            self.reject(Some(jid), Misbehaviour::OutOfTurn);
            return Ok(());
        }
        if question.as_ref().is_some_and(|(_, element)| !check_element(element)) {
            self.reject(Some(jid), Misbehaviour::BadKey);
            return Ok(());
        }
        if let Some(run) = self.run_with(jid)? {
            let crossing = run.ours && matches!(run.stage, Stage::Opening | Stage::Requested);
            let newer = !run.ours && run.stage == Stage::Asked;
            if run.device != *device || !(crossing || newer) {
                return self.refuse_run(key, id, VerificationFault::Busy);
            }
            // Both have asked at once: the smaller id is the run, for both.
            if crossing && run.id() < id {
                return Ok(());
            }
            self.end_run(jid, VerificationFault::Superseded, false)?;
            if crossing {
                self.verification_mut(jid)?.begun.retain(|begun| begun.run != run.id);
            }
        }
        if self.verification_mut(jid)?.begun.len() >= MAX_RUNS {
            return self.refuse_run(key, id, VerificationFault::TooMany);
        }
        let Some(account) = self.contact(jid)?.and_then(|contact| contact.account_key) else {
            return Ok(());
        };
        let method = if question.is_some() { Method::Secret } else { Method::ShortString };
        let mut run = Run::new(id, *device, method, account, false);
        if let Some((text, element)) = question {
            // The decoder has seen that it is text.
            run.question = String::from_utf8(text.into()).unwrap_or_default();
            run.theirs = element[..].into();
        }
        self.show_run(jid, &run);
        self.begin_run(jid, run)
    }

    /// The next message of the run under way.
    fn run_goes_on(&mut self, key: &SessionKey, run: Run, step: Step) -> Done {
        let (jid, device, session) = key;
        if let Step::Abort(code) = step {
            return self.end_run(jid, VerificationFault::from_code(code), false);
        }
        if !self.run_is_current(jid, &run)? {
            return self.end_run(jid, VerificationFault::KeyChanged, true);
        }
        let live = self.live_session(jid, *device)?.is_some_and(|live| live.2 == *session);
        if !live || run.session.is_some_and(|bound| bound != *session) {
            return self.end_run(jid, VerificationFault::SessionChanged, true);
        }
        match (step, run.method, run.stage, run.ours) {
            (Step::Accept(commitment), Method::ShortString, Stage::Requested, true) => {
                self.run_committed(key, run, commitment)
            }
            (Step::Contribution(theirs), Method::ShortString, Stage::Committed, false) => {
                self.run_contributed(key, run, theirs)
            }
            (Step::Reveal(theirs), Method::ShortString, Stage::Contributed, true) => {
                self.run_revealed(key, run, theirs)
            }
            (Step::Answer(element, confirmation), Method::Secret, Stage::Requested, true) => {
                self.run_answered(key, run, &element, &confirmation)
            }
            (Step::Confirm(confirmation), Method::Secret, Stage::Answered, false) => {
                if run.is_theirs(&confirmation) {
                    self.run_done(jid, &run, Means::Secret)
                } else {
                    self.end_run(jid, VerificationFault::WrongSecret, true)
                }
            }
            // A server may let it overtake what reveals.
            (Step::Confirm(confirmation), Method::ShortString, Stage::Shown | Stage::Contributed, _)
                if run.received.as_slice().is_empty() =>
            {
                let mut run = run;
                run.received = confirmation[..].into();
                self.run_confirmed(key, run)
            }
            _ => {
                self.reject(Some(jid), Misbehaviour::OutOfTurn);
                self.end_run(jid, VerificationFault::Malformed, true)
            }
        }
    }

    /// The responder agrees. Only now does it see our contribution.
    fn run_committed(&mut self, key: &SessionKey, mut run: Run, commitment: Digest) -> Done {
        run.session = Some(key.2);
        run.seed = Secret::random(SEED_LEN, self.rng);
        let contribution = value(&run.seed)?;
        run.theirs = commitment[..].into();
        run.stage = Stage::Contributed;
        let id = run.id();
        self.keep_run(&key.0, run)?;
        self.say_in_run(key, id, Step::Contribution(contribution))
    }

    /// The initiator's contribution has come. The string is fixed, and ours can be seen.
    fn run_contributed(&mut self, key: &SessionKey, mut run: Run, theirs: Value) -> Done {
        let ours = value(&run.seed)?;
        let Some(outcome) = self.run_outcome(key, &run, [&theirs, &ours], &[])? else {
            return self.end_run(&key.0, VerificationFault::SessionChanged, true);
        };
        run.settle(outcome);
        run.stage = Stage::Shown;
        let id = run.id();
        self.show_run(&key.0, &run);
        self.keep_run(&key.0, run)?;
        self.say_in_run(key, id, Step::Reveal(ours))
    }

    /// The responder's contribution has come.
    fn run_revealed(&mut self, key: &SessionKey, mut run: Run, theirs: Value) -> Done {
        let jid = &key.0;
        if commit(PURPOSE, run.id(), &theirs) != run.theirs.as_slice() {
            self.reject(Some(jid), Reason::Unauthentic);
            return self.end_run(jid, VerificationFault::Mismatch, true);
        }
        let Some(outcome) = self.run_outcome(key, &run, [run.seed.expose(), &theirs], &[])? else {
            return self.end_run(jid, VerificationFault::SessionChanged, true);
        };
        run.settle(outcome);
        run.stage = Stage::Shown;
        self.show_run(jid, &run);
        self.run_confirmed(key, run)
    }

    /// Looks at the peer's confirmation, if it has come and can be looked at.
    fn run_confirmed(&mut self, key: &SessionKey, run: Run) -> Done {
        let jid = &key.0;
        let looked = run.stage == Stage::Shown && !run.received.as_slice().is_empty();
        if looked && !run.is_theirs(run.received.as_slice()) {
            return self.end_run(jid, VerificationFault::Mismatch, true);
        }
        if looked && run.confirmed {
            return self.run_done(jid, &run, Means::ShortString);
        }
        self.keep_run(jid, run)
    }

    /// The responder has answered with what it believes to be the secret.
    fn run_answered(
        &mut self,
        key: &SessionKey,
        mut run: Run,
        element: &Element,
        confirmation: &Value,
    ) -> Done {
        let jid = &key.0;
        let ours = self.run_element(jid, &run)?;
        let (Some(ours), Some(shared)) = (ours, self.run_key(jid, &run, element)?) else {
            self.reject(Some(jid), Misbehaviour::BadKey);
            return self.end_run(jid, VerificationFault::Malformed, true);
        };
        let Some(outcome) = self.run_outcome(key, &run, [&ours, element], shared.expose())? else {
            return self.end_run(jid, VerificationFault::SessionChanged, true);
        };
        run.settle(outcome);
        run.session = Some(key.2);
        if !run.is_theirs(confirmation) {
            return self.end_run(jid, VerificationFault::WrongSecret, true);
        }
        self.say_in_run(key, run.id(), Step::Confirm(value(&run.our_confirmation)?))?;
        self.run_done(jid, &run, Means::Secret)
    }
}
