//! What the user wants of a comparison.

use super::{MAX_RUNS, SEED_LEN, value};
use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Run, SessionKey, Stage};
use crate::engine::send::Found;
use crate::error::{Error, Misuse};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::step::Event;
use crate::trust::Means;
use crate::verify::{
    self, Element, MAX_QUESTION, Method, PURPOSE, RUN_ID_LEN, RunId, SharedSecret, Side, Step,
    VerificationFault, commit,
};

impl Draft<'_> {
    /// Asks a device of the contact to compare: a short string, or a secret with its question.
    pub(in crate::engine) fn start_verification(
        &mut self,
        jid: &BareJid,
        device: Option<u32>,
        secret: Option<(&str, SharedSecret<'_>)>,
    ) -> Done {
        if self.own()?.jid == *jid {
            return Err(Misuse::Jid.into());
        }
        let mut id = [0; RUN_ID_LEN];
        self.rng.fill_bytes(&mut id);
        let id = RunId(id);
        let phrase = match secret {
            Some((question, _)) if question.len() > MAX_QUESTION => return Err(Misuse::Text.into()),
            Some((_, secret)) => Some(verify::prepare(id, secret).map_err(|_| Misuse::Text)?),
            None => None,
        };
        let device = match self.run_target(jid, device)? {
            Ok(device) => device,
            Err(why) => {
                self.notify(Event::VerificationFailed { peer: jid.clone(), run: id, why });
                return Ok(());
            }
        };
        let account = self.contact(jid)?.and_then(|contact| contact.account_key).ok_or(Misuse::Record)?;
        let method = if secret.is_some() { Method::Secret } else { Method::ShortString };
        let mut run = Run::new(id, device, method, account, true);
        if let (Some((question, _)), Some(phrase)) = (secret, phrase) {
            run.seed = Secret::random(SEED_LEN, self.rng);
            run.phrase = phrase;
            question.clone_into(&mut run.question);
        }
        self.show_run(jid, &run);
        self.begin_run(jid, run)?;
        self.ask_run(jid)
    }

    /// Asks the contact's device for the run that waits for a session with it, once there is one. The policy says what
    /// of the application is sealed; this is how its user comes to trust the key.
    pub(in crate::engine) fn ask_run(&mut self, jid: &BareJid) -> Done {
        let Some(mut run) = self.run_with(jid)?.filter(|run| run.stage == Stage::Opening) else {
            return Ok(());
        };
        if !self.run_is_current(jid, &run)? {
            return self.end_run(jid, VerificationFault::KeyChanged, false);
        }
        let session = match self.target(jid, run.device, false, self.config.least, true)? {
            Found::Target(target) => target.session.id(),
            Found::Wait(_) => return Ok(()),
            Found::Missing(_) => return self.end_run(jid, VerificationFault::NoSession, false),
        };
        let step = match run.method {
            Method::ShortString => Step::Request,
            Method::Secret => {
                let element = self.run_element(jid, &run)?.ok_or(Misuse::Record)?;
                Step::Question(core::mem::take(&mut run.question).as_bytes().into(), element)
            }
        };
        run.stage = Stage::Requested;
        let (id, key) = (run.id(), (jid.clone(), run.device, session));
        self.keep_run(jid, run)?;
        self.say_in_run(&key, id, step)
    }

    /// Our element of the PAKE; `None` if a certificate is missing.
    pub(super) fn run_element(&self, jid: &BareJid, run: &Run) -> Result<Option<Element>, Error> {
        let Some(parties) = self.run_parties(jid, run)? else { return Ok(None) };
        let [a, b] = parties.map(|party| party.identity());
        let side = if run.ours { Side::Initiator } else { Side::Responder };
        Ok(verify::start(side, &run.seed, &run.phrase, [&a, &b]).ok())
    }

    /// The device of the contact for a new run, or why there is none.
    fn run_target(
        &mut self,
        jid: &BareJid,
        device: Option<u32>,
    ) -> Result<Result<u32, VerificationFault>, Error> {
        let left = self.own()?.left;
        let Some(contact) = self.contact(jid)?.filter(|contact| contact.account_key.is_some() && !left)
        else {
            return Ok(Err(VerificationFault::NoSession));
        };
        if contact.other_key.is_some() {
            return Ok(Err(VerificationFault::KeyChanged));
        }
        if let Some(verification) = self.verification(jid)? {
            if verification.run.is_some() {
                return Ok(Err(VerificationFault::Busy));
            }
            let mut verification = verification.clone();
            verification.prune(self.now);
            if verification.begun.len() >= MAX_RUNS {
                return Ok(Err(VerificationFault::TooMany));
            }
        }
        let device = match device {
            Some(device) => self.reachable(jid, device)?.map(|_| device),
            None => self.likeliest_device(jid)?,
        };
        Ok(device.ok_or(VerificationFault::NoSession))
    }

    /// When there was last something in the session with a good device; zero if none is open yet, but can be.
    fn reachable(&self, jid: &BareJid, device: u32) -> Result<Option<u32>, Error> {
        if let Some((used, _)) = self.good_session(jid, device)? {
            return Ok(Some(used));
        }
        let Some(known) = self.device(jid, device)?.filter(|known| known.is_good(self.now)) else {
            return Ok(None);
        };
        // Nothing at all goes to who is distrusted.
        let able = !known.record.as_slice().is_empty() && !self.is_distrusted(jid)?;
        Ok(able.then_some(0))
    }

    /// The live session with a good device, and when it was last used.
    fn good_session(&self, jid: &BareJid, device: u32) -> Result<Option<(u32, SessionKey)>, Error> {
        let good = self.device(jid, device)?.is_some_and(|known| known.is_good(self.now));
        let Some(key) = self.live_session(jid, device)?.filter(|_| good) else { return Ok(None) };
        let used = self.state.sessions.get(&key)?.map_or(0, |session| session.last_used().as_secs());
        Ok(Some((used, key)))
    }

    /// The device that the contact most likely has before it: one that is online, and of these the one last heard from.
    fn likeliest_device(&self, jid: &BareJid) -> Result<Option<u32>, Error> {
        let connection = self.own()?.connection;
        let contact = self.contact(jid)?.filter(|contact| contact.connection == connection);
        let resources = contact.map_or(&[][..], |contact| &contact.resources);
        let mut best = None;
        for device in self.devices_of(jid) {
            let Some(used) = self.reachable(jid, device)? else { continue };
            let online = resources.iter().any(|known| known.available && known.device == device);
            let rank = (online, used);
            if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                best = Some((rank, device));
            }
        }
        Ok(best.map(|(_, device)| device))
    }

    /// The run that a command is about; `None` if it is over, or not as far.
    fn run_at(&self, jid: &BareJid, id: RunId, method: Method, stage: Stage) -> Result<Option<Run>, Error> {
        let run = self.run_with(jid)?;
        Ok(run.filter(|run| run.id() == id && run.method == method && run.stage == stage))
    }

    /// The session in which the responder binds the run. Ends the run if there is none, or if the key is another now.
    fn bind_run(&mut self, jid: &BareJid, run: &Run) -> Result<Option<SessionKey>, Error> {
        if !self.run_is_current(jid, run)? {
            self.end_run(jid, VerificationFault::KeyChanged, true)?;
            return Ok(None);
        }
        let session = self.good_session(jid, run.device)?;
        if session.is_none() {
            self.end_run(jid, VerificationFault::NoSession, true)?;
        }
        Ok(session.map(|(_, key)| key))
    }

    /// The user will compare a short string.
    pub(in crate::engine) fn accept_verification(&mut self, jid: &BareJid, id: RunId) -> Done {
        let Some(mut run) = self.run_at(jid, id, Method::ShortString, Stage::Asked)? else { return Ok(()) };
        let Some(key) = self.bind_run(jid, &run)? else { return Ok(()) };
        run.session = Some(key.2);
        run.seed = Secret::random(SEED_LEN, self.rng);
        run.stage = Stage::Committed;
        let commitment = commit(PURPOSE, id, run.seed.expose());
        self.keep_run(jid, run)?;
        self.say_in_run(&key, id, Step::Accept(commitment))
    }

    /// The user knows the secret, or believes so.
    pub(in crate::engine) fn answer_secret(
        &mut self,
        jid: &BareJid,
        id: RunId,
        secret: SharedSecret<'_>,
    ) -> Done {
        let phrase = verify::prepare(id, secret).map_err(|_| Misuse::Text)?;
        let Some(mut run) = self.run_at(jid, id, Method::Secret, Stage::Asked)? else { return Ok(()) };
        let Some(key) = self.bind_run(jid, &run)? else { return Ok(()) };
        run.session = Some(key.2);
        run.seed = Secret::random(SEED_LEN, self.rng);
        run.phrase = phrase;
        run.stage = Stage::Answered;
        let theirs: Element = run.theirs.as_slice().try_into().map_err(|_| Misuse::Record)?;
        let Some(element) = self.run_element(jid, &run)? else { return Err(Misuse::Record.into()) };
        let outcome = match self.run_key(jid, &run, &theirs)? {
            Some(shared) => self.run_outcome(&key, &run, [&theirs, &element], shared.expose())?,
            None => None,
        };
        let Some(outcome) = outcome else {
            return self.end_run(jid, VerificationFault::SessionChanged, true);
        };
        run.settle(outcome);
        run.string = None;
        let confirmation = value(&run.our_confirmation)?;
        self.keep_run(jid, run)?;
        self.say_in_run(&key, id, Step::Answer(element, confirmation))
    }

    /// The key of the PAKE with the peer's element; `None` if that is none.
    pub(super) fn run_key(
        &self,
        jid: &BareJid,
        run: &Run,
        theirs: &Element,
    ) -> Result<Option<Secret>, Error> {
        let Some(parties) = self.run_parties(jid, run)? else { return Ok(None) };
        let [a, b] = parties.map(|party| party.identity());
        let side = if run.ours { Side::Initiator } else { Side::Responder };
        Ok(verify::finish(side, &run.seed, &run.phrase, [&a, &b], theirs).ok())
    }

    /// The user has compared the strings.
    pub(in crate::engine) fn confirm_verification(&mut self, jid: &BareJid, id: RunId, same: bool) -> Done {
        let Some(mut run) = self.run_at(jid, id, Method::ShortString, Stage::Shown)? else { return Ok(()) };
        if !same {
            return self.end_run(jid, VerificationFault::Mismatch, true);
        }
        if run.confirmed {
            return Ok(());
        }
        if !self.run_is_current(jid, &run)? {
            return self.end_run(jid, VerificationFault::KeyChanged, true);
        }
        let key = self.live_session(jid, run.device)?.filter(|key| Some(key.2) == run.session);
        let Some(key) = key else { return self.end_run(jid, VerificationFault::SessionChanged, true) };
        run.confirmed = true;
        let confirmation = value(&run.our_confirmation)?;
        let done = run.is_theirs(run.received.as_slice());
        self.keep_run(jid, run.clone())?;
        self.say_in_run(&key, id, Step::Confirm(confirmation))?;
        if done { self.run_done(jid, &run, Means::ShortString) } else { Ok(()) }
    }

    /// The user wants nothing of it, or has had enough.
    pub(in crate::engine) fn cancel_verification(&mut self, jid: &BareJid, id: RunId) -> Done {
        match self.run_with(jid)? {
            Some(run) if run.id() == id => self.end_run(jid, VerificationFault::Cancelled, true),
            Some(_) | None => Ok(()),
        }
    }
}
