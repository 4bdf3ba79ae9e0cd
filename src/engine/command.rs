//! What the user or the application wants.

use crate::agent::Operation;
use crate::engine::asks::operation;
use crate::engine::devices::amended;
use crate::engine::draft::{Done, Draft};
use crate::engine::outbox::MAX_OUTBOX;
use crate::engine::records::{Contact, Own, Purpose, Query};
use crate::engine::{Command, pep};
use crate::env::Timestamp;
use crate::error::{Error, Misuse, Unreadable};
use crate::identity::{DeviceEntry, DeviceList, DeviceState, ListTbs, MAX_LIST};
use crate::jid::BareJid;
use crate::presence::AdvertTbs;
use crate::stanza::Element;
use crate::step::{Event, SendError, Token};
use crate::trust::{Decision, Means, PastDecision, Trust};
use crate::verify::VerificationFault;
use crate::wire::{Bytes, from_base64};

impl Draft<'_> {
    pub(super) fn command(&mut self, command: &Command<'_>) -> Done {
        let parse = |jid: &str| BareJid::parse(jid).map_err(|_| Misuse::Jid);
        match command {
            Command::AcceptKey { jid, digest } => self.accept_key(&parse(jid)?, *digest),
            Command::AcceptLinking { run } => self.accept_linking(run.to_bytes()),
            Command::AcceptVerification { jid, run } => self.accept_verification(&parse(jid)?, *run),
            Command::AnswerSecret { jid, run, secret } => self.answer_secret(&parse(jid)?, *run, *secret),
            Command::BeginAnew => self.begin_anew(),
            Command::Cancel(token) => self.cancel(*token),
            Command::CancelLinking { run } => self.cancel_linking(run.to_bytes()),
            Command::CancelVerification { jid, run } => self.cancel_verification(&parse(jid)?, *run),
            Command::CatchUp { active } => self.set_catch_up(*active),
            Command::ConfirmLinking { run, same } => self.confirm_linking(run.to_bytes(), *same),
            Command::ConfirmVerification { jid, run, same } => {
                self.confirm_verification(&parse(jid)?, *run, *same)
            }
            Command::DropHistory { id } => self.drop_history(*id),
            Command::Forget { jid } => self.forget(&parse(jid)?),
            Command::Heal { jid } => self.heal(&parse(jid)?),
            Command::Leave => self.leave(),
            Command::Link => self.link(),
            Command::NameDevice { name } => self.name_device(name),
            Command::OfferHistory { file, name } => self.offer_history(file, name),
            Command::RejectKey { jid, digest } => self.reject_key(&parse(jid)?, *digest),
            Command::Restored => self.restored(),
            Command::RetireDevice { device } => self.retire_device(*device),
            Command::Scanned(code) => self.scanned(code),
            Command::SetPolicy { jid, policy } => self.set_policy(&parse(jid)?, *policy),
            Command::SetTrust { jid, key, trust, means } => self.set_trust(&parse(jid)?, key, *trust, *means),
            Command::StartSecret { jid, device, question, secret } => {
                self.start_verification(&parse(jid)?, *device, Some((question, *secret)))
            }
            Command::StartVerification { jid, device } => {
                self.start_verification(&parse(jid)?, *device, None)
            }
            Command::TakeHistory(read) => self.take_history(read),
        }
    }

    /// The user has looked at the new key, or wants the one before it back: the old one's devices and sessions go.
    pub(super) fn accept_key(&mut self, jid: &BareJid, digest: [u8; 32]) -> Done {
        let former = self.is_former_key(jid, &digest)?;
        let Some(contact) = self.contact(jid)?.filter(|contact| former || contact.may_accept(&digest)) else {
            return Err(Misuse::Key.into());
        };
        let (trust, means) = match contact.verified_elsewhere(&digest) {
            Some(decision) => (decision.trust, decision.means),
            None => (Trust::FirstUse, Means::Accepted),
        };
        self.end_run(jid, VerificationFault::KeyChanged, false)?;
        self.drop_devices(jid)?;
        let before = self.replace_decision(jid, trust, means)?;
        let contact = self.contact_mut(jid)?;
        contact.former_key = contact.account_key.replace(digest);
        contact.other_key = None;
        contact.expected = None;
        contact.forget_list();
        contact.left = false;
        // Whoever looks at a key wants it used; the adverts of it that have come were not believed.
        let first = !core::mem::replace(&mut contact.sticky, true);
        if first {
            self.notify(Event::Encrypts { peer: jid.clone(), digest });
        }
        if before.trust != trust {
            self.notify(Event::TrustChanged { peer: jid.clone(), trust, means });
        }
        self.want_keys(jid)
    }

    /// The user has looked at the new key, and it is none: all stays as it was.
    fn reject_key(&mut self, jid: &BareJid, digest: [u8; 32]) -> Done {
        if self.contact(jid)?.is_none_or(|contact| contact.other_key != Some(digest)) {
            return Err(Misuse::Key.into());
        }
        let contact = self.contact_mut(jid)?;
        contact.other_key = None;
        if contact.verified_elsewhere(&digest).is_some() {
            // One of two devices has been shown a wrong key, and which is not known: if the account shows this one, it is
            // in question again.
            return self.flush(jid);
        }
        contact.former_key = Some(digest);
        let decision = Decision { trust: Trust::Distrusted, means: Means::User, at: self.now };
        self.remember_decision(jid, PastDecision { key: digest, decision })?;
        self.flush(jid)
    }

    fn cancel(&mut self, token: Token) -> Done {
        for order in self.state.waiting.all_keys() {
            let Some(waiting) = self.state.waiting.get(&order)?.cloned() else { continue };
            if waiting.token == token.0 {
                self.state.waiting.remove(&order);
                self.fail(token, SendError::Cancelled);
                return self.flush(&waiting.to);
            }
        }
        Ok(())
    }

    fn forget(&mut self, jid: &BareJid) -> Done {
        if self.own()?.jid == *jid {
            return Err(Misuse::Jid.into());
        }
        if let Some(contact) = self.contact(jid)? {
            let (friend, policy, once_verified) = (contact.friend, contact.policy, contact.once_verified);
            let decided = contact.account_key.map(|key| PastDecision { key, decision: contact.trust });
            self.end_run(jid, VerificationFault::Cancelled, false)?;
            self.drop_devices(jid)?;
            if let Some(past) = decided {
                self.remember_decision(jid, past)?;
            }
            let contact = Contact { friend, once_verified, policy, ..Contact::default() };
            self.state.contacts.put(jid.clone(), contact);
        }
        Ok(())
    }

    pub(super) fn drop_devices(&mut self, jid: &BareJid) -> Done {
        self.forget_kept(jid)?;
        for key in self.troubles_of(jid) {
            self.state.troubles.remove(&key);
        }
        for device in self.devices_of(jid) {
            self.close_sessions(jid, device)?;
            self.state.devices.remove(&(jid.clone(), device));
        }
        Ok(())
    }

    fn heal(&mut self, jid: &BareJid) -> Done {
        for device in self.devices_of(jid) {
            let Some(live) = self.live_id(jid, device)? else { continue };
            if let Some(session) = self.state.sessions.get_mut(&(jid.clone(), device, live))? {
                session.request_kem();
            }
            self.send_empty(jid, device)?;
        }
        Ok(())
    }

    /// The state is older than what the peers have seen: nothing is sealed with it any more, and
    /// flights to its prekeys are not accepted, for which of them were is not known. What is in the
    /// outbox was sealed before the backup; the peer knows it if it came.
    pub(super) fn restored(&mut self) -> Done {
        let now = self.now;
        // What waited behind an arrival is read below, in sessions of before: they are told by it.
        let own = self.own_mut()?;
        own.restored_at = now;
        own.restores = own.restores.saturating_add(1);
        for key in self.state.devices.all_keys() {
            if let Some(known) = self.state.devices.get_mut(&key)? {
                // The next handshake names what this state has; the peer sees that it is old. Its
                // counter is past those used since.
                known.live = None;
                known.sent_counter = past_u64(now, known.sent_counter);
            }
        }
        for sequence in self.state.prekeys.all_keys() {
            self.forget_prekeys(sequence);
        }
        // What was under way is of the time of the backup.
        self.end_runs(VerificationFault::SessionChanged, false)?;
        self.drop_linkings()?;
        self.state.one_time.clear();
        self.state.openings.clear();
        self.state.asks.clear();
        for key in self.state.troubles.all_keys() {
            self.forget_asking(&key)?;
        }
        for key in self.state.arrivals.all_keys() {
            self.end_arrival(&key.0, key.1, Some(Unreadable::NoPrekey.into()))?;
        }
        self.publish_anew(true)?;
        let account = self.own()?.jid.clone();
        let contact = self.contact_mut(&account)?;
        if !contact.fetching {
            // The list is looked at now, not when an earlier fetch is due again.
            (contact.wanted, contact.retry_at, contact.silences) = (false, None, 0);
        }
        let certifies = self.config.identity.has_account_key();
        let own = self.own_mut()?;
        own.rotate_at = now;
        own.advert.clear();
        own.record = Bytes::new(Vec::new());
        if certifies {
            // Without the account key there would be none in its place.
            own.certificate = Bytes::new(Vec::new());
        }
        own.serial = past(now, own.serial);
        own.list_fetched = false;
        // The numbers used since the backup are not known; these are past them.
        own.record_sequence = past(now, own.record_sequence);
        own.advert_sequence = past(now, own.advert_sequence);
        let counters = self.state.counters.get_mut(&())?.ok_or(Misuse::Record)?;
        counters.prekey = past(now, counters.prekey);
        counters.statement = past_u64(now, counters.statement);
        counters.ask = past_u64(now, counters.ask);
        // Also if it is a stanza that has told of it.
        self.unsettled = true;
        Ok(())
    }

    /// Says, signed, that the account has left, empties what is published, and forgets everything
    /// once that is signed.
    fn leave(&mut self) -> Done {
        if !self.config.identity.has_account_key() && self.own_certificate()?.is_some() {
            // A linked device cannot speak for the account.
            return Err(Misuse::NoAccountKey.into());
        }
        self.end_runs(VerificationFault::Cancelled, true)?;
        let own = self.own_mut()?;
        own.left = true;
        let (jid, visible) =
            (own.jid.clone(), own.connected && own.held.is_none() && !own.presence.is_empty());
        if self.own_certificate()?.is_none() {
            return self.left();
        }
        self.own_mut()?.leaving = true;
        if visible && !self.own()?.record.as_slice().is_empty() {
            // Contacts without a session learn of it from the presence. The tombstone comes after.
            let version = self.next_version(self.list_of(&jid)?.as_ref());
            return self.ask_for_advert(&jid, version, AdvertTbs::retiring);
        }
        self.ask_for_tombstone()
    }

    /// Has the agent sign that the account has left.
    pub(super) fn ask_for_tombstone(&mut self) -> Done {
        let jid = self.own()?.jid.clone();
        let Some(certificate) = self.own_certificate()? else { return self.left() };
        let list = self.list_of(&jid)?;
        let mut entries = list.as_ref().map_or_else(Vec::new, |list| list.entries().to_vec());
        for entry in &mut entries {
            entry.state = DeviceState::Retired;
        }
        let version = self.next_version(list.as_ref());
        let tbs = ListTbs::new(&jid, certificate.account(), version, entries, true).encode();
        self.ask(Purpose::Tombstone, None, operation(Operation::sign_device_list(tbs))?)?;
        Ok(())
    }

    /// The tombstone is signed: publish it, and forget the rest.
    pub(super) fn tombstone_signed(&mut self, list: &DeviceList) -> Done {
        self.publish_farewell(list)?;
        let own = self.own()?;
        if own.connected && own.advert_list == list.version() && !own.presence.is_empty() {
            let presence = self.presence_with_advert()?;
            self.send(presence, None)?;
        }
        self.left()
    }

    /// Publishes the tombstone, with the options of the node or as the node is.
    fn publish_tombstone(&mut self, options: bool) -> Done {
        let own = self.own()?;
        let device = own.device.to_string();
        let (node, item) = (pep::NODE_DEVICES, pep::ITEM_DEVICES);
        let payload = pep::publish(node, item, "devices", own.tombstone.as_slice(), options);
        self.request("", Query::Tombstone, "set", &payload)?;
        self.request("", Query::Retraction, "set", &pep::retract(pep::NODE_DEVICE, &device))
    }

    /// A stream is there: what of leaving was not finished on the last one is done again.
    pub(super) fn settle_leaving(&mut self) -> Done {
        let own = self.own()?;
        if !own.tombstone.as_slice().is_empty() {
            // What was made meanwhile is not to be put over.
            return self.request("", Query::Farewell, "get", &pep::items(pep::NODE_DEVICES, None));
        }
        let refused = own.agent_retry_at.is_some_and(|at| self.now.as_millis() < at);
        if !own.leaving || refused || self.asked(Purpose::Tombstone)? || self.asked(Purpose::Advert)? {
            return Ok(());
        }
        self.ask_for_tombstone()
    }

    /// Whether the server has the tombstone; if not, it gets it on the next stream.
    pub(super) fn tombstone_answered(&mut self, iq: Option<&Element<'_>>) -> Done {
        if pep::answer(iq) == pep::Answer::Done {
            self.own_mut()?.tombstone = Bytes::new(Vec::new());
        }
        Ok(())
    }

    /// The list that the server has, before the last one of a device that has left is put there. If it does not say
    /// that yet and is no older, it is said on top of it.
    pub(super) fn farewell_read(&mut self, iq: Option<&Element<'_>>) -> Done {
        if iq.is_none_or(pep::says_wait) {
            return Ok(());
        }
        let own = self.own()?;
        let (account, device) = (own.jid.clone(), own.device);
        let (last, Some(certificate)) = (own.tombstone.clone(), self.own_certificate()?) else {
            return Ok(());
        };
        if last.as_slice().is_empty() {
            return Ok(());
        }
        let last = DeviceList::from_store(last.as_slice()).map_err(|_| Misuse::Record)?;
        let items = iq.map(|iq| pep::read_items(iq, pep::NODE_DEVICES, "devices")).unwrap_or_default();
        let bytes = items.first().and_then(|(_, text)| from_base64(text, MAX_LIST).ok());
        let there = bytes.and_then(|bytes| {
            DeviceList::verify(&bytes, &account, certificate.account(), &self.config.suites).ok()
        });
        let Some(there) = there.filter(|there| there.version() >= last.version()) else {
            return self.publish_tombstone(false);
        };
        let gone = |entry: &&DeviceEntry| entry.state == DeviceState::Retired;
        let said = there.entries().iter().filter(gone).any(|entry| entry.device == device);
        if there.is_tombstone() || said && !last.is_tombstone() {
            self.own_mut()?.tombstone = Bytes::new(Vec::new());
            let payload = pep::retract(pep::NODE_DEVICE, &device.to_string());
            return self.request("", Query::Retraction, "set", &payload);
        }
        let retired: Vec<DeviceEntry> = last.entries().iter().filter(gone).copied().collect();
        let mut entries = amended(there.entries(), &retired);
        if last.is_tombstone() {
            for entry in &mut entries {
                entry.state = DeviceState::Retired;
            }
        }
        let version = there.version().saturating_add(1);
        let tbs = ListTbs::new(&account, certificate.account(), version, entries, last.is_tombstone());
        self.ask_once(Purpose::List, || operation(Operation::sign_device_list(tbs.encode())))
    }

    /// The last list of a device that has left is signed, after one that was made meanwhile.
    pub(super) fn farewell_signed(&mut self, list: &DeviceList) -> Result<bool, Error> {
        if !self.own()?.tombstone.as_slice().is_empty() {
            self.own_mut()?.tombstone = list.bytes().into();
            self.publish_tombstone(true)?;
        }
        Ok(true)
    }

    /// This device alone is retired, as its list says: the others look after the account.
    pub(super) fn device_left(&mut self, list: &DeviceList) -> Done {
        self.end_runs(VerificationFault::Cancelled, true)?;
        self.retire()?;
        self.publish_farewell(list)
    }

    /// This device is retired: it seals nothing from here on, and forgets everything at the end of the step.
    pub(super) fn retire(&mut self) -> Done {
        self.own_mut()?.left = true;
        self.retired = true;
        self.notify(Event::Retired);
        Ok(())
    }

    /// Forgets everything of a retired device but to whom nothing goes in clear: nobody here has decided that.
    pub(super) fn forget_retired(&mut self) -> Done {
        let mut contacts = Vec::new();
        for jid in self.state.contacts.all_keys() {
            let never_clear = self.state.never_clear(&jid)?;
            let known = self.contact(&jid)?.filter(|_| never_clear);
            contacts.extend(known.map(|known| {
                let contact = Contact {
                    friend: known.friend,
                    policy: known.policy,
                    sticky: true,
                    ..Contact::default()
                };
                (jid.clone(), contact)
            }));
        }
        self.left()?;
        for (jid, contact) in contacts {
            self.state.contacts.put(jid, contact);
        }
        Ok(())
    }

    /// Publishes a list without this device, takes its record back, and tells those there is a session with.
    fn publish_farewell(&mut self, list: &DeviceList) -> Done {
        self.own_mut()?.tombstone = list.bytes().into();
        if self.is_up_to_date()? {
            self.publish_tombstone(true)?;
        } else if self.own()?.connected {
            self.settle_leaving()?;
        }
        // After this nothing tells the contacts to look, and the user writes nothing more that would need room.
        self.announce_list(list.version(), None, MAX_OUTBOX)?;
        Ok(())
    }

    fn left(&mut self) -> Done {
        // What is under way ends with its event.
        self.end_runs(VerificationFault::Cancelled, false)?;
        self.end_linkings()?;
        self.end_histories(|_| true)?;
        for order in self.state.waiting.all_keys() {
            if let Some(token) = self.state.waiting.get(&order)?.map(|waiting| waiting.token) {
                self.fail(Token(token), SendError::Left);
            }
        }
        self.end_held()?;
        let own = self.own()?.clone();
        let mut requests = Vec::new();
        for key in self.state.requests.all_keys() {
            let request = self.state.requests.get(&key)?.cloned();
            let last = request.filter(|request| {
                matches!(request.query, Query::Farewell | Query::Tombstone | Query::Retraction)
            });
            requests.extend(last.map(|request| (key, request)));
        }
        // What has been sealed is promised; contacts learn from it, too.
        let mut outbox = Vec::new();
        for key in self.state.outbox.all_keys() {
            outbox.extend(self.state.outbox.get(&key)?.cloned().map(|item| (key, item)));
        }
        let last = self.state.counters.get(&())?.map_or(0, |counters| counters.outbox);
        self.state.clear();
        for (key, item) in outbox {
            self.state.outbox.put(key, item);
        }
        for (key, request) in requests {
            self.state.requests.put(key, request);
        }
        let presence = String::new();
        let own = Own { left: true, leaving: false, presence, catch_up: None, untold: None, ..own };
        self.state.own.put((), own);
        let counters = crate::engine::records::Counters { outbox: last, ..Default::default() };
        self.state.counters.put((), counters);
        Ok(())
    }
}

/// More rotations and adverts than are made in a month, one an hour, between a backup and its restoration.
const RESTORE_GAP: u32 = 1_000;

/// A number past all that this device can have used, also if the same backup was restored before: none rises by more
/// than one a second, so the time in seconds is past those of then. Only where the clock is behind them there is a gap, of
/// some minutes: a number ahead of the time is one that an older backup does not come past.
fn past(now: Timestamp, number: u32) -> u32 {
    let now = now.as_secs();
    if number < now { now } else { number.saturating_add(RESTORE_GAP) }
}

fn past_u64(now: Timestamp, number: u64) -> u64 {
    let now = u64::from(now.as_secs());
    if number < now { now } else { number.saturating_add(u64::from(RESTORE_GAP)) }
}
