//! Files of history: their keys are given to, and taken from, other devices of the own account.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{History, HistoryState, SessionKey};
use crate::engine::send::Found;
use crate::engine::state::State;
use crate::engine::{Engine, MAX_CONTACTS};
use crate::env::{Env, Timestamp};
use crate::error::{Error, Misbehaviour, Misuse};
use crate::history::{
    Between, Decisions, HistoryEnd, HistoryFile, HistoryId, HistoryMessage, HistoryRead, HistoryReader,
    HistoryWriter, Offer, TrustOf, check_name, fits,
};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::stanza::Control;
use crate::step::Event;
use crate::suite::SuiteId;
use crate::trust::{Decision, Means, Trust};
use crate::wire;

/// So long the key of a file is kept: the other device is set up within days.
const OFFER_LIFE: Duration = Duration::from_hours(7 * 24);

/// Files between this device and one other at once, either way: one is what people need; a failed attempt or two must
/// not stand in its way.
const MAX_OFFERS: usize = 4;

/// An offer that is not answered is sent again after an hour, and then after twice the time before, up to a day: what
/// carries it can be lost.
const REPEAT: Duration = Duration::from_hours(1);
const MAX_REPEAT: Duration = Duration::from_hours(24);

/// A file of history whose key is here.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HistoryOffer {
    /// The name of the file.
    pub id: [u8; 16],
    /// The other device.
    pub device: u32,
    /// Whether this device has offered it, else the other has.
    pub given: bool,
    /// How many bytes the file has.
    pub size: u64,
    /// The SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// What the device that made it calls it. Not a safe name for a file as it is.
    pub name: String,
    /// Until when its key is kept.
    pub until: Timestamp,
}

impl HistoryOffer {
    fn of(id: HistoryId, history: &History) -> Self {
        Self {
            id,
            device: history.device,
            given: history.state == HistoryState::Given,
            size: history.size,
            digest: history.digest,
            name: history.name.clone(),
            until: history.expires,
        }
    }
}

impl Engine {
    /// Begins a file of history for another device of the own account. It begins with what the user has decided about
    /// contacts' keys; the application's archive follows.
    ///
    /// # Errors
    /// [`Misuse::Device`] if `device` is none that lives by the own device list; [`Error::NotLoaded`].
    pub fn seal_history(&self, env: &mut Env<'_>, device: u32) -> Result<HistoryWriter, Error> {
        let own = self.state.own.get(&())?.filter(|own| !own.left && own.device != device);
        let own = own.ok_or(Misuse::Device)?;
        if !lives(&self.state, &own.jid, env.now.max(self.state.seen), device)? {
            return Err(Misuse::Device.into());
        }
        let known = self.state.devices.get(&(own.jid.clone(), device))?;
        let listed = known.map_or(&[][..], |known| known.suites.as_slice());
        let suite = self.config.suites.ids(self.config.least).into_iter().find_map(|id| {
            let suite = self.config.suites.find(SuiteId(id)).filter(|suite| fits(suite));
            suite.filter(|_| listed.contains(&id))
        });
        let between = Between { account: own.jid.clone(), from: own.device, to: device };
        let writer =
            HistoryWriter::new(between, suite.ok_or(Misuse::Device)?, &decisions(&self.state)?, env.rng);
        Ok(writer.map_err(|_| Misuse::Device)?)
    }

    /// The reader of a file of history that another own device has [offered](Event::HistoryOffered); `None` if its key
    /// is not here, or not any more.
    ///
    /// # Errors
    /// [`Error::NotLoaded`].
    pub fn open_history(&self, id: [u8; 16]) -> Result<Option<HistoryReader>, Error> {
        let (Some(own), Some(history)) = (self.state.own.get(&())?, self.state.histories.get(&id)?) else {
            return Ok(None);
        };
        let lives = lives(&self.state, &own.jid, self.state.seen, history.device)?;
        if history.state != HistoryState::Got || own.left || !lives {
            return Ok(None);
        }
        let between = Between { account: own.jid.clone(), from: history.device, to: own.device };
        let offer = offer_of(id, history);
        Ok(Some(HistoryReader::new(between, &offer, &self.config.suites, self.config.least)))
    }

    /// The files of history whose keys are here: those offered to other devices and not taken yet, and those got.
    ///
    /// # Errors
    /// [`Error::NotLoaded`].
    pub fn histories(&self) -> Result<Vec<HistoryOffer>, Error> {
        let mut all = Vec::new();
        for id in self.state.histories.all_keys() {
            if let Some(history) = self.state.histories.get(&id)?
                && is_open(history.state)
            {
                all.push(HistoryOffer::of(id, history));
            }
        }
        Ok(all)
    }
}

impl Draft<'_> {
    pub(super) fn offer_history(&mut self, file: &HistoryFile, name: &str) -> Done {
        let own = self.own()?;
        let Between { account, from, to } = &file.between;
        if own.jid != *account || own.device != *from || !check_name(name) {
            return Err(Misuse::History.into());
        }
        let jid = account.clone();
        if own.left || !lives(self.state, &jid, self.now, *to)? {
            return Err(Misuse::Device.into());
        }
        if !self.state.histories.contains(&file.id) {
            self.make_room(*to, true)?;
            let expires = self.now.after(OFFER_LIFE);
            let history = History {
                state: HistoryState::Given,
                device: *to,
                key: file.key.clone(),
                size: file.size,
                digest: file.digest,
                name: name.to_owned(),
                expires,
                sent: 0,
                again_at: expires,
            };
            self.state.histories.put(file.id, history);
        }
        self.send_offer(file.id)
    }

    /// Gives the device, with which there is a session now, what could not be given to it before.
    pub(super) fn offer_histories(&mut self, jid: &BareJid, device: u32) -> Done {
        if self.own()?.jid != *jid {
            return Ok(());
        }
        for id in self.histories_with(device)? {
            if self.state.histories.get(&id)?.is_some_and(|history| history.sent == 0) {
                self.send_offer(id)?;
            }
        }
        Ok(())
    }

    /// Sends an offer of this device, if there is a session, and notes when it is sent again.
    fn send_offer(&mut self, id: HistoryId) -> Done {
        let Some(history) = self.state.histories.get(&id)?.filter(|h| h.state == HistoryState::Given) else {
            return Ok(());
        };
        let (device, message) = (history.device, HistoryMessage::Offer(offer_of(id, history)));
        let sent = self.tell_history(device, &message)?;
        let now = self.now;
        if let Some(history) = self.state.histories.get_mut(&id)? {
            let wait = REPEAT.saturating_mul(1 << history.sent.min(5)).min(MAX_REPEAT);
            history.again_at = now.after(wait);
            history.sent = history.sent.saturating_add(u8::from(sent));
        }
        Ok(())
    }

    /// What is due for a file: its key is forgotten, or its offer sent again.
    pub(super) fn history_due(&mut self, id: HistoryId) -> Done {
        let Some(history) = self.state.histories.get(&id)? else { return Ok(()) };
        if history.expires <= self.now {
            return self.end_history(id, HistoryEnd::Expired);
        }
        if self.own()?.connected {
            return self.send_offer(id);
        }
        // Nothing to wake up for; with a stream it is sent.
        if let Some(history) = self.state.histories.get_mut(&id)? {
            history.again_at = history.expires;
        }
        Ok(())
    }

    /// There is a stream: offers that became due without one are sent.
    pub(super) fn resume_histories(&mut self) -> Done {
        for id in self.state.histories.all_keys() {
            if self.state.histories.get(&id)?.is_some_and(|history| history.again_at >= history.expires) {
                self.send_offer(id)?;
            }
        }
        Ok(())
    }

    /// Acts on what another device of the account says of a file.
    pub(super) fn history_told(&mut self, key: &SessionKey, message: &[u8]) -> Done {
        let (jid, device, _) = key;
        if self.own()?.jid != *jid || !lives(self.state, jid, self.now, *device)? {
            self.reject(Some(jid), Misbehaviour::WrongSubject);
            return Ok(());
        }
        match HistoryMessage::decode(message) {
            Ok(Some(HistoryMessage::Offer(offer))) => self.history_offered(jid, *device, offer),
            Ok(Some(HistoryMessage::Taken(id))) => self.history_answered(*device, id, HistoryEnd::Taken),
            Ok(Some(HistoryMessage::Dropped(id))) => self.history_answered(*device, id, HistoryEnd::Dropped),
            // Of a later version.
            Ok(None) => Ok(()),
            Err(malformed) => {
                self.reject(Some(jid), malformed);
                Ok(())
            }
        }
    }

    fn history_offered(&mut self, jid: &BareJid, device: u32, offer: Offer) -> Done {
        let id = offer.id;
        let Some(known) = self.state.histories.get(&id)? else {
            self.make_room(device, false)?;
            let expires = self.now.after(OFFER_LIFE);
            let Offer { id: _, key, size, digest, name } = offer;
            let state = HistoryState::Got;
            let history =
                History { state, device, key, size, digest, name, expires, sent: 0, again_at: expires };
            self.notify(Event::HistoryOffered(HistoryOffer::of(id, &history)));
            self.state.histories.put(id, history);
            return Ok(());
        };
        let same = known.device == device && known.size == offer.size && known.digest == offer.digest;
        match known.state {
            HistoryState::Got if same && known.key.same(&offer.key) => {}
            // The answer was lost, or the other device has forgotten it.
            HistoryState::Taken if same => {
                self.tell_history(device, &HistoryMessage::Taken(id))?;
            }
            HistoryState::Dropped if same => {
                self.tell_history(device, &HistoryMessage::Dropped(id))?;
            }
            HistoryState::Given | HistoryState::Got | HistoryState::Taken | HistoryState::Dropped => {
                self.reject(Some(jid), Misbehaviour::Equivocation);
            }
        }
        Ok(())
    }

    /// The other device has taken what was offered, or wants no more of it.
    fn history_answered(&mut self, device: u32, id: HistoryId, why: HistoryEnd) -> Done {
        let state =
            self.state.histories.get(&id)?.filter(|known| known.device == device).map(|known| known.state);
        let answers = match state {
            Some(HistoryState::Given) => true,
            Some(HistoryState::Got) => why == HistoryEnd::Dropped,
            Some(HistoryState::Taken | HistoryState::Dropped) | None => false,
        };
        if answers { self.end_history(id, why) } else { Ok(()) }
    }

    pub(super) fn drop_history(&mut self, id: HistoryId) -> Done {
        let Some(history) = self.state.histories.get_mut(&id)?.filter(|history| is_open(history.state))
        else {
            return Ok(());
        };
        let (device, given) = (history.device, history.state == HistoryState::Given);
        history.state = HistoryState::Dropped;
        history.key = Secret::from(&[][..]);
        if given {
            self.state.histories.remove(&id);
        }
        self.tell_history(device, &HistoryMessage::Dropped(id))?;
        Ok(())
    }

    pub(super) fn take_history(&mut self, read: &HistoryRead) -> Done {
        let own = self.own()?;
        let Between { account, from, to } = &read.between;
        if own.jid != *account || own.device != *to {
            return Err(Misuse::History.into());
        }
        let known = self.state.histories.get(&read.id)?.filter(|history| history.device == *from);
        match known.map(|history| history.state) {
            Some(HistoryState::Taken) => return Ok(()),
            Some(HistoryState::Got) if lives(self.state, account, self.now, *from)? => {}
            // Nobody stands for it any more.
            Some(HistoryState::Got | HistoryState::Given | HistoryState::Dropped) | None => {
                return Err(Misuse::History.into());
            }
        }
        for decision in &read.decisions.0 {
            self.import(decision)?;
        }
        if let Some(history) = self.state.histories.get_mut(&read.id)? {
            history.state = HistoryState::Taken;
            history.key = Secret::from(&[][..]);
        }
        self.tell_history(*from, &HistoryMessage::Taken(read.id))?;
        Ok(())
    }

    /// Takes over a decision of another own device. What the user has decided here stays.
    fn import(&mut self, one: &TrustOf) -> Done {
        let TrustOf { jid, key, decision } = one;
        let room = self.state.contacts.contains(jid) || self.state.contacts.len() < MAX_CONTACTS;
        if !is_decided(decision) || !room || self.own()?.jid == *jid {
            return Ok(());
        }
        let former = self.is_former_key(jid, key)?;
        let contact = self.contact_mut(jid)?;
        let undecided = matches!(contact.trust.trust, Trust::Unknown | Trust::FirstUse);
        match contact.account_key {
            None => {
                let decision = Decision { means: Means::OwnDevice, ..*decision };
                if contact.expected.is_none_or(|(_, known)| known.trust == Trust::FirstUse) {
                    contact.expected = Some((*key, decision));
                }
            }
            Some(known) if known == *key => {
                // That a key is good enough says nothing of one that is decided about.
                if undecided && (decision.trust != Trust::FirstUse || contact.trust.means == Means::First) {
                    self.decide_trust(jid, key, decision.trust, Means::OwnDevice)?;
                }
            }
            // One of the two keys is not the contact's, or was before it had this one.
            Some(_) => {
                let told = contact.verified_elsewhere(key).is_some() || former;
                if undecided && !told && decision.trust == Trust::Verified {
                    contact.expected = Some((*key, Decision { means: Means::OwnDevice, ..*decision }));
                    self.key_changed(jid, *key)?;
                }
            }
        }
        Ok(())
    }

    /// Sends a message about a file in the live session. Whether there is one; if not, it is opened.
    fn tell_history(&mut self, device: u32, message: &HistoryMessage) -> Result<bool, Error> {
        let own = self.own()?;
        let jid = own.jid.clone();
        if own.left || !lives(self.state, &jid, self.now, device)? {
            return Ok(false);
        }
        let Found::Target(target) = self.target(&jid, device, true, self.config.least, false)? else {
            return Ok(false);
        };
        let message = wire::encode(message).into();
        self.try_control(&(jid, device, target.session.id()), Control::History(message))
    }

    /// The files that this device has offered to another, or, of those got from it, all that are remembered.
    fn histories_with(&self, device: u32) -> Result<Vec<HistoryId>, Error> {
        let mut all = Vec::new();
        for id in self.state.histories.all_keys() {
            if self.state.histories.get(&id)?.is_some_and(|history| history.device == device) {
                all.push(id);
            }
        }
        Ok(all)
    }

    /// Forgets the oldest of too many files with one device, first of those that are done with.
    fn make_room(&mut self, device: u32, given: bool) -> Done {
        let mut ages = Vec::new();
        for id in self.histories_with(device)? {
            if let Some(history) = self.state.histories.get(&id)?
                && (history.state == HistoryState::Given) == given
            {
                ages.push((is_open(history.state), history.expires, id));
            }
        }
        ages.sort_unstable();
        let too_many = (ages.len() + 1).saturating_sub(MAX_OFFERS);
        for (_, _, id) in ages.into_iter().take(too_many) {
            self.end_history(id, HistoryEnd::Replaced)?;
        }
        Ok(())
    }

    /// Forgets the files between this device and those that are gone.
    pub(super) fn end_histories(&mut self, gone: impl Fn(u32) -> bool) -> Done {
        for id in self.state.histories.all_keys() {
            if self.state.histories.get(&id)?.is_some_and(|history| gone(history.device)) {
                self.end_history(id, HistoryEnd::Dropped)?;
            }
        }
        Ok(())
    }

    /// Forgets a file, and says so if anything could have become of it.
    fn end_history(&mut self, id: HistoryId, why: HistoryEnd) -> Done {
        let Some(history) = self.state.histories.get(&id)? else { return Ok(()) };
        let (device, open) = (history.device, is_open(history.state));
        self.state.histories.remove(&id);
        if open {
            self.notify(Event::HistoryEnded { id, device, why });
        }
        Ok(())
    }
}

/// Whether something may yet become of a file.
fn is_open(state: HistoryState) -> bool {
    match state {
        HistoryState::Given | HistoryState::Got => true,
        HistoryState::Taken | HistoryState::Dropped => false,
    }
}

fn offer_of(id: HistoryId, history: &History) -> Offer {
    let History { key, size, digest, name, .. } = history;
    Offer { id, key: key.clone(), size: *size, digest: *digest, name: name.clone() }
}

/// Whether another device of the own account lives by its list, with a certificate that is good.
fn lives(state: &State, own: &BareJid, now: Timestamp, device: u32) -> Result<bool, Error> {
    let listed = state.contacts.get(own)?.is_some_and(|contact| contact.live.contains(&device));
    let known = state.devices.get(&(own.clone(), device))?;
    Ok(listed && known.is_some_and(|known| !known.retired && known.is_good(now)))
}

/// Whether this is the user's decision, and not only that the key was the first.
fn is_decided(decision: &Decision) -> bool {
    match decision.trust {
        Trust::Verified | Trust::Distrusted => true,
        Trust::FirstUse => decision.means != Means::First,
        Trust::Unknown => false,
    }
}

/// What is decided about the keys that contacts have now, or must have.
fn decisions(state: &State) -> Result<Decisions, Error> {
    let own = state.own.get(&())?.map(|own| own.jid.clone());
    let mut all = Vec::new();
    for jid in state.contacts.all_keys() {
        let Some(contact) = state.contacts.get(&jid)?.filter(|_| Some(&jid) != own.as_ref()) else {
            continue;
        };
        let present = contact.account_key.map(|key| (key, contact.trust)).or(contact.expected);
        if let Some((key, decision)) = present.filter(|(_, decision)| is_decided(decision)) {
            all.push(TrustOf { jid, key, decision });
        }
    }
    Ok(Decisions(all))
}

#[cfg(test)]
mod tests;
