//! Handshakes that this side opens.

use core::time::Duration;

use crate::agent::Operation;
use crate::engine::asks::operation;
use crate::engine::draft::{Done, Draft};
use crate::engine::pep;
use crate::engine::records::{Opening, OpeningStage, Purpose, Query};
use crate::engine::send::Found;
use crate::error::{Error, Misuse, Reason, Unreadable};
use crate::identity::{DeviceRecord, OneTimePrekey, PrekeyKind};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::session::{AwaitLegs, Payload, Prologue, RESUMPTION_NAME_LEN, ResponderKeys, Session, initiator};
use crate::step::{SendError, Token, Uncovered, Waiting};
use crate::suite::{Level, Suite, SuiteId, choose};

/// Sessions kept for one device: the live one, and older ones for what is still under way.
const MAX_SESSIONS: usize = 4;

/// Older sessions only decrypt, and are dropped after this time (what offline stores hold back).
const OLD_SESSION_LIFE: Duration = Duration::from_hours(30 * 24);

/// After an agent's refusal a device is left alone so long.
const REFUSED: Duration = Duration::from_mins(10);

/// A handshake opened because the peer could not be understood, at most so often for a device.
const REOPEN: Duration = Duration::from_hours(1);

/// A handshake opened because the peer could not be understood counts on by so much: what could not be read may have had
/// counters of its own, one an hour, and this session is to be the one that both use.
const TROUBLE_STEP: u64 = 64;

/// Why a handshake is opened.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Occasion {
    /// There is something to send.
    Send,
    /// This device asks to be linked: no one-time prekeys are used up for it.
    Linking,
    /// The peer named a session that is not known here.
    NotUnderstood,
    /// The same, and it did not understand ours either: this one names none.
    NothingInCommon,
}

impl Draft<'_> {
    /// Starts a handshake with the device of `record`, or says what a started one waits for.
    pub(super) fn open_session(
        &mut self,
        jid: &BareJid,
        record: &DeviceRecord,
        level: Level,
        occasion: Occasion,
    ) -> Result<Found, Error> {
        let device = record.certificate().device();
        let key = (jid.clone(), device);
        if self.device(jid, device)?.is_some_and(|known| self.now.as_millis() < known.refused_until) {
            return Ok(Found::Missing(Uncovered::Refused));
        }
        if let Some(opening) = self.state.openings.get(&key)? {
            return Ok(Found::Wait(match opening.stage {
                OpeningStage::Prekeys => Waiting::Keys,
                OpeningStage::Legs => Waiting::Agent,
            }));
        }
        let ours = self.config.suites.ids(self.config.least);
        let suite = choose(&ours, record.suites()).and_then(|id| self.config.suites.find(id));
        let Some(suite) = suite.filter(|suite| suite.level >= level) else {
            return Ok(Found::Missing(Uncovered::TooWeak));
        };
        // The other side refuses a handshake without, and everything in its session.
        if occasion != Occasion::Linking && !self.is_certified()? {
            return Ok(Found::Wait(Waiting::Agent));
        }
        let own = self.own()?;
        let (connected, connection) = (own.connected, own.connection);
        let resource = self.contact(jid)?.and_then(|contact| {
            let current = contact.connection == connection;
            let here = |r: &&super::records::Resource| current && r.available && r.device == device;
            contact.resources.iter().find(here).map(|resource| resource.name.clone())
        });
        let opening = Opening {
            ask: 0,
            stage: OpeningStage::Prekeys,
            suite: suite.id.0,
            state: Secret::from(&[][..]),
            resumption: Secret::from(&[][..]),
            counter: 0,
            announce: matches!(occasion, Occasion::NotUnderstood | Occasion::NothingInCommon),
            unchained: matches!(occasion, Occasion::NothingInCommon | Occasion::Linking),
        };
        self.state.openings.put(key, opening);
        if let Some(resource) = resource.filter(|_| connected && occasion != Occasion::Linking) {
            // One-time prekeys make the first flight forward secret at once; the device gives them.
            let to = format!("{}/{resource}", jid.as_str());
            self.request_of(&to, device, Query::Keys, "get", &pep::ask_keys(&[]))?;
            return Ok(Found::Wait(Waiting::Keys));
        }
        self.begin_handshake(jid, record, suite, &[])?;
        Ok(Found::Wait(Waiting::Agent))
    }

    /// The device has answered, or not, with one-time prekeys. Those that are good are used; the rest
    /// may be the work of somebody who wants none used, and is told.
    pub(super) fn opening_supplied(
        &mut self,
        jid: &BareJid,
        device: u32,
        prekeys: &[String],
    ) -> Result<Result<(), Reason>, Error> {
        let key = (jid.clone(), device);
        let Some(opening) = self.state.openings.get(&key)? else { return Ok(Ok(())) };
        if opening.stage != OpeningStage::Prekeys {
            return Ok(Ok(()));
        }
        let suite = self.config.suites.find(SuiteId(opening.suite));
        let known = self.device(jid, device)?.map(|known| DeviceRecord::from_store(known.record.as_slice()));
        let (Some(suite), Some(Ok(record))) = (suite, known) else {
            self.state.openings.remove(&key);
            return Ok(Ok(()));
        };
        let mut verified = Vec::new();
        let mut refused = Ok(());
        for text in prekeys {
            let prekey = crate::wire::from_base64(text, crate::identity::MAX_PREKEY)
                .map_err(Reason::from)
                .and_then(|b| OneTimePrekey::verify(&b, record.certificate(), &self.config.suites));
            match prekey {
                Ok(prekey) => verified.push(prekey),
                // Of a suite that is not here.
                Err(Reason::Unreadable(Unreadable::UnknownAlgorithm)) => {}
                Err(reason) => refused = refused.and(Err(reason)),
            }
        }
        self.begin_handshake(jid, &record, suite, &verified)?;
        Ok(refused)
    }

    fn begin_handshake(
        &mut self,
        jid: &BareJid,
        record: &DeviceRecord,
        suite: &'static Suite,
        prekeys: &[OneTimePrekey],
    ) -> Done {
        let device = record.certificate().device();
        let key = (jid.clone(), device);
        let one_time = prekeys.iter().find(|prekey| {
            prekey.kind() == PrekeyKind::Agreement && prekey.algorithm() == suite.agreement.id()
        });
        let kem = suite.kem.and_then(|kem| {
            let mut ours = prekeys.iter();
            let one_time =
                ours.find(|prekey| prekey.kind() == PrekeyKind::Kem && prekey.algorithm() == kem.id());
            one_time
                .map(|prekey| (prekey.id(), prekey.key()))
                .or_else(|| record.kem_prekey(kem.id()).map(|prekey| (prekey.id(), prekey.key())))
        });
        let agreement = record.certificate().agreement_key(suite.agreement.id());
        let signed_prekey = record.signed_prekey(suite.agreement.id());
        let (Some(agreement), Some(signed_prekey)) = (agreement, signed_prekey) else {
            return self.opening_refused(&key, SendError::NoKeys);
        };
        let certificate = self.certificate_to_show(jid)?;
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let list_version = self.contact(&account)?.map_or(0, |contact| contact.list_version);
        let Some(known) = self.state.devices.get(&key)? else { return Ok(()) };
        let opening = self.state.openings.get(&key)?;
        let (announce, unchained) =
            opening.map_or((false, false), |opening| (opening.announce, opening.unchained));
        let step = if announce { TROUBLE_STEP } else { 1 };
        let counter = known.sent_counter.max(known.seen_counter).saturating_add(step);
        let resumption = if unchained { None } else { self.newest_resumption(jid, device)? };
        let payload = Payload {
            certificate,
            suites: crate::suite::grease(self.config.suites.ids(self.config.least), self.rng),
            counter,
            list_version,
            resumption: resumption.as_ref().map_or_else(Vec::new, |(name, _)| name.to_vec()).into(),
            extensions: Vec::new(),
        };
        let prologue = Prologue {
            initiator: &account,
            initiator_device: me,
            responder: jid,
            responder_device: device,
            record: *record.digest(),
        };
        let keys = ResponderKeys {
            record_sequence: record.sequence(),
            agreement,
            signed_prekey: signed_prekey.key(),
            one_time: one_time.map(|prekey| (prekey.id(), prekey.key())),
            kem,
        };
        let Ok(state) = initiator::start(suite, &prologue, &keys, &payload, self.rng) else {
            return self.opening_refused(&key, SendError::NoKeys);
        };
        let legs = state.wanted();
        let legs = operation(Operation::agree(suite.id, legs.to_vec()))?;
        let ask = self.ask(Purpose::Open, Some((jid, device)), legs)?;
        if let Some(opening) = self.state.openings.get_mut(&key)? {
            opening.ask = ask;
            opening.stage = OpeningStage::Legs;
            opening.state = Secret::from(state.encode().as_slice());
            opening.resumption = resumption.map_or_else(|| Secret::from(&[][..]), |(_, secret)| secret);
            opening.counter = counter;
        }
        Ok(())
    }

    /// Name and secret that chain a handshake to the newest session with the device.
    fn newest_resumption(
        &self,
        jid: &BareJid,
        device: u32,
    ) -> Result<Option<([u8; RESUMPTION_NAME_LEN], Secret)>, Error> {
        let live = self.live_id(jid, device)?;
        let mut newest = None;
        for key in self.sessions_of(jid, device) {
            let Some(session) = self.state.sessions.get(&key)? else { continue };
            let Some(suite) = self.config.suites.find(session.suite_id()) else { continue };
            let age = (live == Some(key.2), session.created());
            if newest.as_ref().is_none_or(|(newest, _)| age > *newest)
                && let (Ok(name), Some(secret)) =
                    (session.resumption_name(suite), session.resumption_secret())
            {
                newest = Some((age, (name, secret.clone())));
            }
        }
        Ok(newest.map(|(_, resumption)| resumption))
    }

    /// The agent has given the legs. Whether they were of any use.
    pub(super) fn opening_answered(
        &mut self,
        ask: u64,
        jid: &BareJid,
        device: u32,
        legs: &[Secret],
    ) -> Result<bool, Error> {
        let key = (jid.clone(), device);
        let opening = self.state.openings.get(&key)?.filter(|opening| opening.ask == ask).cloned();
        // Another handshake has taken its place.
        let Some(opening) = opening else { return Ok(true) };
        let (Some(suite), [sp, aa]) = (self.config.suites.find(SuiteId(opening.suite)), legs) else {
            return Ok(false);
        };
        let state = AwaitLegs::decode(opening.state.expose()).map_err(|_| Misuse::Record)?;
        let resumption = Some(&opening.resumption).filter(|secret| !secret.expose().is_empty());
        let mut env = crate::env::Env { now: self.now, rng: self.rng };
        let Ok(mut session) = state.finish(suite, sp, aa, resumption, &mut env) else { return Ok(false) };
        session.set_restores(self.own()?.restores);
        self.state.openings.remove(&key);
        let id = session.id();
        if let Some(known) = self.state.devices.get_mut(&key)? {
            known.sent_counter = opening.counter;
        }
        self.store_session(jid, device, session);
        self.make_live(jid, device, id, opening.counter)?;
        self.offer_histories(jid, device)?;
        let asked = self.ask_again(jid, device)?;
        if opening.announce && !asked {
            self.send_empty(jid, device)?;
        }
        if self.own()?.jid == *jid {
            self.linking_opened(jid, device, id)?;
        }
        self.flush(jid)?;
        Ok(true)
    }

    /// Makes the session of the higher counter live; of two opened at once, which have the same, the
    /// one with the smaller id. Both sides come to the same. Drops what has been kept long enough.
    pub(super) fn make_live(&mut self, jid: &BareJid, device: u32, id: [u8; 16], counter: u64) -> Done {
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? else { return Ok(()) };
        let newer = match known.live {
            None => true,
            Some(live) => counter > known.live_counter || counter == known.live_counter && id < live,
        };
        if newer {
            known.live = Some(id);
            known.live_counter = counter;
        }
        let live = known.live;
        let mut old = Vec::new();
        for key in self.sessions_of(jid, device) {
            if Some(key.2) != live
                && let Some(session) = self.state.sessions.get(&key)?
            {
                old.push((session.created(), key));
            }
        }
        old.sort_unstable();
        let too_many = (old.len() + 1).saturating_sub(MAX_SESSIONS);
        for (place, (created, key)) in old.into_iter().enumerate() {
            let old = self.now.since(created) > OLD_SESSION_LIFE && !self.is_catching_up()?;
            if place < too_many || old {
                self.drop_session(&key)?;
            }
        }
        Ok(())
    }

    pub(super) fn drop_session(&mut self, key: &super::records::SessionKey) -> Done {
        let heard = self.state.sessions.get(key)?.map_or(0, Session::heard);
        if let Some(known) = self.state.devices.get_mut(&(key.0.clone(), key.1))? {
            known.heard = known.heard.max(heard);
        }
        self.state.sessions.remove(key);
        for block in self.state.skipped.keys((key.2, 0, 0)..=(key.2, u32::MAX, u32::MAX)) {
            self.state.skipped.remove(&block);
        }
        Ok(())
    }

    pub(super) fn opening_failed(&mut self, ask: u64, jid: &BareJid, device: u32) -> Done {
        let key = (jid.clone(), device);
        if self.state.openings.get(&key)?.is_none_or(|opening| opening.ask != ask) {
            return Ok(());
        }
        self.opening_refused(&key, SendError::Agent)
    }

    /// The handshake cannot be made: what waited for it fails.
    fn opening_refused(&mut self, key: &(BareJid, u32), why: SendError) -> Done {
        self.state.openings.remove(key);
        let until = self.now.after(REFUSED).as_millis();
        if let Some(known) = self.state.devices.get_mut(key)? {
            known.refused_until = until;
        }
        if self.own()?.jid == key.0 {
            self.linking_not_opened(key.1)?;
            // A device of one's own that cannot be covered holds nothing up.
            return self.flush_all();
        }
        for order in self.state.waiting.all_keys() {
            let Some(waiting) = self.state.waiting.get(&order)? else { continue };
            // A signature needs no session.
            if waiting.to == key.0 && !waiting.form.is_signed() {
                let token = Token(waiting.token);
                self.state.waiting.remove(&order);
                self.fail(token, why);
            }
        }
        self.flush(&key.0)
    }

    /// The stream is gone, and with it the answer to the request for one-time prekeys.
    pub(super) fn opening_disconnected(&mut self, key: &(BareJid, u32)) -> Done {
        if self.state.openings.get(key)?.is_some_and(|opening| opening.stage == OpeningStage::Prekeys) {
            self.state.openings.remove(key);
            self.asking_broken_off(key)?;
        }
        Ok(())
    }

    /// Opens a handshake because the peer's device could not be understood.
    pub(super) fn reopen(&mut self, jid: &BareJid, device: u32) -> Done {
        let now = self.now;
        if !self.is_friend(jid)? || !self.is_certified()? {
            return Ok(());
        }
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? else { return Ok(()) };
        let recently = known.reopened != 0 && now.as_millis() < known.reopened.saturating_add(REOPEN_MILLIS);
        if recently || known.record.as_slice().is_empty() {
            return Ok(());
        }
        known.reopened = now.as_millis();
        let live = known.live;
        // If ours was not understood either, the two sides have no secret in common.
        let unanswered = match live {
            Some(id) => {
                let session = self.state.sessions.get(&(jid.clone(), device, id))?;
                session.is_some_and(|session| session.flight().is_some())
            }
            None => true,
        };
        let Some(known) = self.state.devices.get(&(jid.clone(), device))? else { return Ok(()) };
        let record = DeviceRecord::from_store(known.record.as_slice()).map_err(|_| Misuse::Record)?;
        let occasion = if unanswered { Occasion::NothingInCommon } else { Occasion::NotUnderstood };
        self.open_session(jid, &record, self.config.least, occasion)?;
        Ok(())
    }
}

/// [`REOPEN`], as records hold it.
#[expect(clippy::cast_possible_truncation, reason = "an hour has few milliseconds")]
const REOPEN_MILLIS: u64 = REOPEN.as_millis() as u64;
