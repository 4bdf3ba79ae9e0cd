//! What this device keeps in order for itself: certificate, list, record, prekeys, advert.
//!
//! [`Draft::settle`] looks at what there is and starts whatever is missing, so it goes on from any
//! point after a crash, a refusal or a lost answer.

use core::time::Duration;

use crate::agent::{AgentRequest, Operation};
use crate::engine::asks::operation;
use crate::engine::draft::{Done, Draft};
use crate::engine::records::{OneTime, OwnKey, OwnPrekeys, Purpose};
use crate::env::Timestamp;
use crate::error::{Error, Misuse};
use crate::identity::{
    CertificateTbs, DeviceCertificate, DeviceList, DeviceRecord, DeviceState, Prekey, PrekeyKind, PrekeyTbs,
    PublicKey, RecordTbs, digest, spelled,
};
use crate::jid::{Address, BareJid};
use crate::presence::{AdvertTbs, PresenceMeaning};
use crate::stanza::parse;
use crate::step::{Effect, Event, SendError, Token};
use crate::wire::Bytes;

/// A certificate lasts a year and is renewed a quarter before, so that a device that is rarely
/// switched on stays certified.
pub(super) const CERTIFICATE_LIFE: Duration = Duration::from_hours(365 * 24);
pub(super) const CERTIFICATE_RENEWAL: Duration = Duration::from_hours(90 * 24);

/// Prekeys change weekly: a first flight is forward secret from then on plus the grace below.
pub(super) const PREKEY_ROTATION: Duration = Duration::from_hours(7 * 24);

/// Peers may use a record for so long: a device that is off for a month can still be written to.
pub(super) const RECORD_LIFE: Duration = Duration::from_hours(30 * 24);

/// Superseded prekeys are kept as long as their record was good for peers, plus their clocks' error
/// and what servers hold back.
pub(super) const PREKEY_GRACE: Duration = Duration::from_hours(32 * 24);

/// A given one-time prekey is kept as long: the flight that uses it may lie in an offline store.
pub(crate) const ONE_TIME_GRACE: Duration = PREKEY_GRACE;

/// One-time prekeys ready to be given, of each algorithm: enough for the devices of a few contacts
/// at once, and made again in the background.
const ONE_TIME_READY: usize = 8;

/// Presence is sent again for a new advert at most so often, for it goes to the whole roster.
pub(crate) const PRESENCE_INTERVAL: Duration = Duration::from_hours(1);

/// A presence waits so long for its advert, then goes without.
pub(crate) const HOLD: Duration = Duration::from_secs(20);

/// An agent that refused is asked again so much later, or at the next connection.
pub(super) const AGENT_RETRY: Duration = Duration::from_hours(1);

/// After this many flights on one record its prekeys are replaced, so that the store of flights
/// accepted stays bounded (the design's bound).
pub(crate) const MAX_ACCEPTED: u32 = 10_000;

impl Draft<'_> {
    pub(super) fn connected(&mut self, full_jid: &str, resumed: bool) -> Done {
        let Ok(Address { bare, resource: Some(resource) }) = Address::parse(full_jid) else {
            return Err(Misuse::Jid.into());
        };
        let now = self.now;
        let own = self.own_mut()?;
        if bare != own.jid {
            return Err(Misuse::Jid.into());
        }
        own.connected = true;
        own.resource = resource.to_string();
        self.catch_up_stream(true)?;
        self.expire_kept()?;
        self.resume_looks()?;
        let own = self.own_mut()?;
        if resumed {
            let lost_after = own.lost_after;
            for key in self.state.outbox.all_keys() {
                // Sealed while there was no stream; the stream resumes only what was on it.
                if key > lost_after {
                    self.resend(key)?;
                }
            }
            let own = self.own_mut()?;
            let me = own.device;
            if own.amends.iter().any(|entry| entry.device == me && entry.state == DeviceState::Retired) {
                // Another list may have come meanwhile.
                own.list_fetched = false;
            }
            self.slot_freed = true;
            self.settle_leaving()?;
            self.resume_histories()?;
            return self.flush_all();
        }
        let held = own.held.take();
        own.connection = own.connection.wrapping_add(1);
        own.presence_advert = 0;
        own.presence.clear();
        own.list_fetched = false;
        own.list_refused = false;
        own.record_published = false;
        own.publish_at = now;
        own.agent_retry_at = None;
        if let Some(token) = held {
            // Presence is of one stream; the application sends it anew.
            self.fail(Token(token), SendError::Cancelled);
        }
        self.fail_requests()?;
        self.end_stanzas_of_stream()?;
        for key in self.state.outbox.all_keys() {
            self.resend(key)?;
        }
        self.slot_freed = true;
        self.settle_leaving()?;
        self.resume_histories()?;
        self.flush_all()
    }

    pub(super) fn end_held(&mut self) -> Done {
        if let Some(token) = self.own_mut()?.held.take() {
            self.fail(Token(token), SendError::Cancelled);
        }
        Ok(())
    }

    pub(super) fn disconnected(&mut self) -> Done {
        let last = self.state.counters.get(&())?.map_or(0, |counters| counters.outbox);
        let own = self.own_mut()?;
        if own.connected {
            own.lost_after = last;
        }
        own.connected = false;
        self.catch_up_stream(false)?;
        self.fail_requests()
    }

    /// The first input after a restart: everything that may have been lost with the effects of the
    /// last step is said again. A new stream, which that input may be, sends again by itself.
    pub(super) fn restart(&mut self, new_stream: bool) -> Done {
        self.own_mut()?.restarted = false;
        self.catch_up_stream(false)?;
        // The program that had the stream is gone, whoever may resume it.
        self.end_stanzas_of_stream()?;
        for key in self.state.inbox.all_keys() {
            self.deliver_again(key)?;
        }
        for key in self.state.asks.all_keys() {
            let Some(ask) = self.state.asks.get(&key)? else { continue };
            let request = AgentRequest::from_bytes(ask.request.as_slice()).map_err(|_| Misuse::Record)?;
            self.effects.push(Effect::Ask(request));
        }
        self.repeat_linking()?;
        if let Some(digest) = self.own()?.other_account {
            // Nothing goes on until the user has decided.
            self.notify(Event::OtherAccountKey { digest });
        }
        for key in self.state.outbox.all_keys() {
            if !new_stream {
                self.resend(key)?;
            }
            self.report_sent(key)?;
        }
        self.show_runs()
    }

    /// Notes when the next thing is due that nothing else will bring about.
    pub(super) fn set_wakeup(&mut self) -> Done {
        let own = self.own()?;
        let online = own.connected && !own.left;
        let candidates = [
            own.held.map(|_| own.held_until),
            (online && !own.record.as_slice().is_empty()).then_some(own.rotate_at),
            (online && !own.advert.is_empty()).then_some(own.readvertise_at),
            (online && own.publish_fault.is_some()).then_some(own.publish_at),
            own.untold.as_ref().filter(|_| online).map(|untold| untold.at),
            (online && !own.presence.is_empty() && own.presence_advert != own.advert_sequence)
                .then_some(own.presence_sent.after(PRESENCE_INTERVAL)),
            own.agent_retry_at.map(Timestamp::from_millis),
        ];
        let next = candidates.into_iter().flatten().filter(|at| *at > self.now).min();
        let next = next.map(Timestamp::as_millis);
        if own.wake_at != next {
            self.own_mut()?.wake_at = next;
        }
        Ok(())
    }

    /// Starts what is missing.
    pub(super) fn settle(&mut self) -> Done {
        let own = self.own()?;
        if own.connected && own.leaving && own.tombstone.as_slice().is_empty() {
            return self.settle_leaving();
        }
        if !own.connected || own.left {
            return Ok(());
        }
        let (account, fetched) = (own.jid.clone(), own.list_fetched);
        if own.agent_retry_at.is_some_and(|at| self.now.as_millis() < at) {
            return self.settle_presence();
        }
        if self.is_unlinked()? {
            self.settle_linking()?;
            return self.settle_presence();
        }
        let Some(certificate) = self.settle_certificate()? else { return self.settle_presence() };
        if !fetched {
            let contact = self.contact_mut(&account)?;
            if !contact.wanted {
                contact.account_key = Some(*certificate.account_digest());
                self.want_keys(&account)?;
            }
            // The advert of the last session is good as long as nothing has changed.
            return self.settle_presence();
        }
        if self.own()?.other_account.is_some() {
            // Nothing is published over it.
            return self.settle_presence();
        }
        self.settle_list(&account, &certificate)?;
        self.settle_linked(&account)?;
        if self.own()?.left {
            return self.end_held();
        }
        if self.is_expired()? {
            // No record or advert under it is good.
            return self.settle_presence();
        }
        self.settle_record(&certificate)?;
        self.settle_one_time(&certificate)?;
        self.settle_publication()?;
        self.settle_announcement(&account)?;
        self.settle_names(&account)?;
        self.settle_advert(&account)?;
        self.settle_presence()
    }

    fn settle_certificate(&mut self) -> Result<Option<DeviceCertificate>, Error> {
        let certificate = self.own_certificate()?;
        let renewal =
            |certificate: &DeviceCertificate| self.now.after(CERTIFICATE_RENEWAL) > certificate.not_after();
        if certificate.as_ref().is_none_or(renewal) {
            let own = self.own()?;
            let identity = &self.config.identity;
            let Some(account) = identity.account() else {
                if !self.is_expired()? {
                    self.ask_for_renewal()?;
                }
                return Ok(certificate);
            };
            let tbs = CertificateTbs {
                jid: spelled(&own.jid),
                account: account.clone(),
                device: own.device,
                signing_key: identity.signing_key().clone(),
                agreement_keys: identity.agreement_keys().to_vec(),
                flags: 0,
                not_before: self.now.as_secs(),
                not_after: self.now.after(CERTIFICATE_LIFE).as_secs(),
                serial: certificate
                    .as_ref()
                    .map_or(own.serial, DeviceCertificate::serial)
                    .max(own.serial)
                    .saturating_add(1),
                extensions: Vec::new(),
            };
            self.ask_once(Purpose::Certificate, || operation(Operation::certify_device(tbs.encode())))?;
        }
        Ok(certificate)
    }

    fn settle_record(&mut self, certificate: &DeviceCertificate) -> Done {
        let own = self.own()?;
        let sequence = own.record_sequence;
        let suites = self.config.suites.ids(self.config.least);
        let current = match self.state.prekeys.get(&sequence)? {
            Some(keys) => {
                let record = DeviceRecord::from_store(own.record.as_slice()).ok();
                self.now < own.rotate_at
                    && keys.suites == suites
                    && keys.accepted < MAX_ACCEPTED
                    && record.is_some_and(|record| record.certificate().bytes() == certificate.bytes())
            }
            None => false,
        };
        if current || self.asked(Purpose::Record)? {
            return Ok(());
        }
        let mut keys = OwnPrekeys {
            digest: [0; 32],
            suites: suites.clone(),
            signed: Vec::new(),
            kem: Vec::new(),
            retire: false,
            retire_at: Timestamp::default(),
            accepted: 0,
        };
        for part in self.config.suites.agreements() {
            let pair = part.generate(self.rng);
            keys.signed.push(self.own_key(part.id(), pair)?);
        }
        for part in self.config.suites.kems() {
            let pair = part.generate(self.rng);
            keys.kem.push(self.own_key(part.id(), pair)?);
        }
        let public = |keys: &[OwnKey]| -> Vec<Prekey> {
            let ids = keys.iter();
            ids.map(|key| {
                Prekey::new(crate::suite::AlgorithmId(key.algorithm), key.id, key.public.as_slice())
            })
            .collect()
        };
        let next = sequence.saturating_add(1);
        let expiry = self.now.after(RECORD_LIFE).as_secs();
        let prekeys = (public(&keys.signed), public(&keys.kem));
        let tbs = RecordTbs::new(certificate, suites, prekeys, next, expiry, self.rng).encode();
        self.state.prekeys.put(next, keys);
        self.ask(Purpose::Record, None, operation(Operation::sign_record(tbs))?)?;
        Ok(())
    }

    fn settle_one_time(&mut self, certificate: &DeviceCertificate) -> Done {
        if self.asked(Purpose::Prekeys)? {
            return Ok(());
        }
        let mut ready = Vec::new();
        let mut stale = Vec::new();
        for id in self.state.one_time.all_keys() {
            let Some(key) = self.state.one_time.get(&id)? else { continue };
            match (key.given, key.signed.as_slice().is_empty()) {
                (true, _) => {}
                // Its request to the agent has failed.
                (false, true) => stale.push(id),
                (false, false) => ready.push((key.kem, key.key.algorithm)),
            }
        }
        for id in stale {
            self.state.one_time.remove(&id);
        }
        let lacking = |kem: bool, algorithm: u16| {
            let count = ready.iter().filter(|key| **key == (kem, algorithm)).count();
            if count > ONE_TIME_READY / 2 { 0 } else { ONE_TIME_READY - count }
        };
        let mut pairs = Vec::new();
        for part in self.config.suites.agreements() {
            for _ in 0..lacking(false, part.id().0) {
                pairs.push((false, part.id(), part.generate(self.rng)));
            }
        }
        for part in self.config.suites.kems() {
            for _ in 0..lacking(true, part.id().0) {
                pairs.push((true, part.id(), part.generate(self.rng)));
            }
        }
        if pairs.is_empty() {
            return Ok(());
        }
        let mut operations = Vec::new();
        for (kem, algorithm, pair) in pairs {
            let key = self.own_key(algorithm, pair)?;
            let kind = if kem { PrekeyKind::Kem } else { PrekeyKind::Agreement };
            let public = PublicKey::new(algorithm, key.public.as_slice());
            let tbs = PrekeyTbs::new(certificate.jid(), certificate.device(), key.id, kind, public);
            operations.push(tbs.encode());
            let forget_at = Timestamp::default();
            let id = key.id;
            let signed = Bytes::new(Vec::new());
            self.state
                .one_time
                .put(id, OneTime { kem, key, signed, given: false, asker: String::new(), forget_at });
        }
        self.ask(Purpose::Prekeys, None, operation(Operation::sign_prekeys(operations))?)?;
        Ok(())
    }

    fn own_key(
        &mut self,
        algorithm: crate::suite::AlgorithmId,
        pair: crate::suite::KeyPair,
    ) -> Result<OwnKey, Error> {
        let counters = self.state.counters.get_mut(&())?.ok_or(Misuse::Record)?;
        counters.prekey = counters.prekey.saturating_add(1);
        let id = counters.prekey;
        Ok(OwnKey { algorithm: algorithm.0, id, public: pair.public.into(), secret: pair.secret })
    }

    fn settle_advert(&mut self, account: &BareJid) -> Done {
        let version = self.contact(account)?.map_or(0, |contact| contact.list_version);
        let covered = self.covered()?;
        let own = self.own()?;
        let record = own.record.as_slice();
        if version == 0 || record.is_empty() || !own.is_published() {
            return Ok(());
        }
        if self.config.sign_presence && own.presence.is_empty() {
            // It will be made for the presence it is to stand in.
            return Ok(());
        }
        let record = digest(record);
        let current = !own.advert.is_empty()
            && own.advert_record == record
            && own.advert_list == version
            && own.advert_meaning == covered
            && self.now < own.readvertise_at;
        if current || self.asked(Purpose::Advert)? {
            return Ok(());
        }
        self.ask_for_advert(account, version, |advert| advert)
    }

    /// Has the agent sign an advert for the present record and presence.
    pub(super) fn ask_for_advert(
        &mut self,
        account: &BareJid,
        list_version: u32,
        kind: impl FnOnce(AdvertTbs) -> AdvertTbs,
    ) -> Done {
        let own = self.own()?;
        let Ok(record) = DeviceRecord::from_store(own.record.as_slice()) else { return Ok(()) };
        let meaning = match self.covered()? {
            Some(_) => PresenceMeaning::of(&parse(&own.presence).map_err(|_| Misuse::Record)?),
            None => None,
        };
        let (next, covers) = (own.advert_sequence.saturating_add(1), meaning.is_some());
        let tbs = kind(AdvertTbs::new(&record, list_version, next, self.now, covers)).encode();
        self.ask(Purpose::Advert, None, operation(Operation::sign_advert(tbs, account.clone(), meaning))?)?;
        Ok(())
    }

    /// The device list of an account, as stored.
    pub(super) fn list_of(&self, jid: &BareJid) -> Result<Option<DeviceList>, Error> {
        match self.contact(jid)? {
            Some(contact) if !contact.list.as_slice().is_empty() => {
                Ok(Some(DeviceList::from_store(contact.list.as_slice()).map_err(|_| Misuse::Record)?))
            }
            _ => Ok(None),
        }
    }
}
