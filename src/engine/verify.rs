//! Comparisons of account keys between two people, with their devices in a session.

mod commands;
mod received;
#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Begun, Run, SessionKey, Stage, Verification};
use crate::error::{Error, Misuse};
use crate::identity::DeviceCertificate;
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::short_string::ShortString;
use crate::stanza::Control;
use crate::step::Event;
use crate::trust::{Means, Trust};
use crate::verify::{
    EXPORTER_LABEL, Message, Method, Outcome, PURPOSE, Party, Question, RunId, Step, Transcript,
    VerificationFault,
};
use crate::wire::Bytes;

/// Runs with a contact in an hour, whoever begins them: each is one guess for who is in between.
pub(super) const MAX_RUNS: usize = 3;

/// A run takes at most so long: time to make a call, and none to forget what the prompt was about.
const RUN_LIFE: Duration = Duration::from_mins(10);

/// Refusals sent to a contact in an hour. Its program has understood by then.
const MAX_REFUSALS: u8 = 6;

/// Our contribution, and what both sides say to confirm, have this length.
type Value = [u8; 32];

/// The length of our contribution, and of the seed of our side of the PAKE.
const SEED_LEN: usize = 32;

impl Run {
    fn new(id: RunId, device: u32, method: Method, account: [u8; 32], ours: bool) -> Self {
        let none = || Secret::from(&[][..]);
        Self {
            id: id.0,
            device,
            ours,
            method,
            stage: if ours { Stage::Opening } else { Stage::Asked },
            expires: crate::env::Timestamp::default(),
            account,
            session: None,
            question: String::new(),
            seed: none(),
            phrase: none(),
            theirs: Bytes::default(),
            string: None,
            our_confirmation: none(),
            their_confirmation: none(),
            confirmed: false,
            received: Bytes::default(),
        }
    }

    fn id(&self) -> RunId {
        RunId(self.id)
    }

    /// Takes over what the transcript gave. What it was made from is not needed any more.
    fn settle(&mut self, outcome: Outcome) {
        let [initiator, responder] = outcome.confirmations;
        let (ours, theirs) = if self.ours { (initiator, responder) } else { (responder, initiator) };
        (self.our_confirmation, self.their_confirmation) = (ours, theirs);
        self.string = Some(outcome.string.to_bytes());
        self.seed = Secret::from(&[][..]);
        self.phrase = Secret::from(&[][..]);
    }

    /// Whether `confirmation` is the peer's.
    fn is_theirs(&self, confirmation: &[u8]) -> bool {
        !self.their_confirmation.expose().is_empty()
            && self.their_confirmation.same(&Secret::from(confirmation))
    }
}

/// A value that the record holds as a secret, to be sent.
fn value(secret: &Secret) -> Result<Value, Misuse> {
    secret.expose().try_into().map_err(|_| Misuse::Record)
}

impl Draft<'_> {
    fn verification(&self, jid: &BareJid) -> Result<Option<&Verification>, Error> {
        Ok(self.state.verifications.get(jid)?)
    }

    fn verification_mut(&mut self, jid: &BareJid) -> Result<&mut Verification, Error> {
        let now = self.now;
        if !self.state.verifications.contains(jid) {
            self.state.verifications.put(jid.clone(), Verification::default());
        }
        let verification = self.state.verifications.get_mut(jid)?.ok_or(Misuse::Record)?;
        verification.prune(now);
        Ok(verification)
    }

    /// The run under way with this contact.
    fn run_with(&self, jid: &BareJid) -> Result<Option<Run>, Error> {
        Ok(self.verification(jid)?.and_then(|verification| verification.run.clone()))
    }

    /// Stores the run as it is now.
    fn keep_run(&mut self, jid: &BareJid, run: Run) -> Done {
        self.verification_mut(jid)?.run = Some(run);
        Ok(())
    }

    /// Counts a run and stores it.
    fn begin_run(&mut self, jid: &BareJid, mut run: Run) -> Done {
        let at = self.now;
        run.expires = at.after(RUN_LIFE);
        let verification = self.verification_mut(jid)?;
        verification.begun.push(Begun { run: run.id, at, ours: run.ours });
        verification.run = Some(run);
        Ok(())
    }

    /// The live session with a device.
    fn live_session(&self, jid: &BareJid, device: u32) -> Result<Option<SessionKey>, Error> {
        let live = self.live_id(jid, device)?;
        let key = live.map(|live| (jid.clone(), device, live));
        Ok(key.filter(|key| self.state.sessions.contains(key)))
    }

    /// Whether the contact's account key is the one of this run, and no other is in question.
    fn run_is_current(&self, jid: &BareJid, run: &Run) -> Result<bool, Error> {
        let contact = self.contact(jid)?;
        Ok(contact.is_some_and(|known| known.account_key == Some(run.account) && known.other_key.is_none()))
    }

    fn say_in_run(&mut self, key: &SessionKey, run: RunId, step: Step) -> Done {
        let message = Message { run: run.0, step };
        self.send_control(key, Control::Verification(message.encode().into()))
    }

    /// Both sides in the order of their roles; `None` if a certificate is not known any more.
    fn run_parties(&self, jid: &BareJid, run: &Run) -> Result<Option<[Party; 2]>, Error> {
        let Some(own) = self.own_certificate()? else { return Ok(None) };
        let Some(known) = self.device(jid, run.device)? else { return Ok(None) };
        let peer = DeviceCertificate::from_store(known.certificate.as_slice()).map_err(|_| Misuse::Record)?;
        let (own, peer) = (Party::of(&own), Party::of(&peer));
        Ok(Some(if run.ours { [own, peer] } else { [peer, own] }))
    }

    /// What the transcript of this run gives; `None` if the session is gone.
    fn run_outcome(
        &self,
        key: &SessionKey,
        run: &Run,
        contributions: [&[u8]; 2],
        shared: &[u8],
    ) -> Result<Option<Outcome>, Error> {
        let Some([initiator, responder]) = self.run_parties(&key.0, run)? else { return Ok(None) };
        let Some(session) = self.state.sessions.get(key)? else { return Ok(None) };
        let Some(suite) = self.config.suites.find(session.suite_id()) else { return Ok(None) };
        let transcript = Transcript {
            purpose: PURPOSE,
            method: run.method,
            run: run.id(),
            session: key.2,
            initiator: &initiator,
            responder: &responder,
            contributions,
            shared,
        };
        let exported = session.exporter(suite, EXPORTER_LABEL, &run.id, 32);
        Ok(exported.and_then(|exported| transcript.outcome(&exported)).ok())
    }

    /// The run is over. The peer is told if `tell`, and if it may know that there is somebody.
    pub(super) fn end_run(&mut self, jid: &BareJid, why: VerificationFault, tell: bool) -> Done {
        let Some(run) = self.run_with(jid)? else { return Ok(()) };
        self.verification_mut(jid)?.run = None;
        self.notify(Event::VerificationFailed { peer: jid.clone(), run: run.id(), why });
        let knows = if run.ours {
            run.stage != Stage::Opening
        } else {
            run.session.is_some() || self.is_friend(jid)?
        };
        if let Some(key) = self.live_session(jid, run.device)?.filter(|_| tell && knows) {
            self.say_in_run(&key, run.id(), Step::Abort(why.code()))?;
        }
        Ok(())
    }

    /// Both sides have confirmed.
    fn run_done(&mut self, jid: &BareJid, run: &Run, means: Means) -> Done {
        self.verification_mut(jid)?.run = None;
        self.notify(Event::VerificationDone { peer: jid.clone(), run: run.id() });
        self.decide_trust(jid, &run.account, Trust::Verified, means)
    }

    /// What the user should see of a run now.
    fn show_run(&mut self, jid: &BareJid, run: &Run) {
        let (peer, device, id) = (jid.clone(), run.device, run.id());
        match run.stage {
            Stage::Opening | Stage::Requested => {
                self.notify(Event::VerificationStarted { peer, device, run: id });
            }
            Stage::Asked => {
                let question = (run.method == Method::Secret).then(|| Question::new(run.question.clone()));
                self.notify(Event::VerificationAsked { peer, device, run: id, question });
            }
            Stage::Shown => {
                if let Some(string) = run.string.filter(|_| !run.confirmed) {
                    let string = ShortString::new(string);
                    self.notify(Event::VerificationString { peer, run: id, string });
                }
            }
            Stage::Committed | Stage::Contributed | Stage::Answered => {}
        }
    }

    /// After a restart the program has no dialogues.
    pub(super) fn show_runs(&mut self) -> Done {
        for jid in self.state.verifications.all_keys() {
            if let Some(run) = self.run_with(&jid)? {
                self.show_run(&jid, &run);
            }
        }
        Ok(())
    }

    /// No run goes on, as after a restoration.
    pub(super) fn end_runs(&mut self, why: VerificationFault, tell: bool) -> Done {
        for jid in self.state.verifications.all_keys() {
            self.end_run(&jid, why, tell)?;
        }
        Ok(())
    }

    /// A run has taken too long, or there is nothing more to count.
    pub(super) fn verification_due(&mut self, jid: &BareJid) -> Done {
        if self.run_with(jid)?.is_some() {
            return self.end_run(jid, VerificationFault::TimedOut, true);
        }
        self.state.verifications.remove(jid);
        Ok(())
    }
}
