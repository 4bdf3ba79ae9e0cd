//! What is believed of other accounts' keys: records and account keys.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Contact, Device};
use crate::engine::seen::Seen;
use crate::env::Timestamp;
use crate::error::{Error, Misbehaviour, Misuse, Reason};
use crate::identity::{AccountKey, DeviceCertificate, DeviceRecord, Digest, MAX_DEVICES};
use crate::jid::BareJid;
use crate::presence::AdvertIn;
use crate::step::Event;
use crate::trust::{Decision, Trust};
use crate::wire::Bytes;

/// Two copies of a device that both run would else start anew without end, each because of the other.
const CLONED_INTERVAL: Duration = Duration::from_hours(24);

impl Draft<'_> {
    /// Takes the record of a device, if it is good and not older than the one known.
    pub(super) fn take_record(&mut self, jid: &BareJid, bytes: &[u8]) -> Result<Result<(), Reason>, Error> {
        let record = match DeviceRecord::verify(bytes, jid, &self.config.suites, self.now) {
            Ok(record) => record,
            Err(reason) => return Ok(Err(reason)),
        };
        let certificate = record.certificate();
        let device = certificate.device();
        let own = self.own()?;
        if own.jid == *jid && own.device == device {
            // One's own of earlier, or a clone's; it is published over.
            let known = own.record.as_slice();
            let account = self.own_account()?.map(|key| key.digest());
            let newer = record.sequence() > own.record_sequence
                || record.sequence() == own.record_sequence && !known.is_empty() && known != bytes;
            let ours = certificate.signing_key() == self.config.identity.signing_key()
                && Some(*certificate.account_digest()) == account;
            if newer && ours {
                self.cloned()?;
            }
            if ours && !self.config.identity.has_account_key() {
                // The state may be from before the last renewal, and peers take no older certificate.
                _ = self.adopt_certificate(certificate)?;
            }
            return Ok(Ok(()));
        }
        if !self.take_account(jid, certificate)? {
            return Ok(Ok(()));
        }
        let key = (jid.clone(), device);
        match self.state.devices.get(&key)? {
            Some(known) if known.record.as_slice() == bytes => {}
            Some(known) => {
                let refused = if known.record.as_slice().is_empty() {
                    let known = DeviceCertificate::from_store(known.certificate.as_slice());
                    certificate.check_successor_of(&known.map_err(|_| Misuse::Record)?)
                } else {
                    let known = DeviceRecord::from_store(known.record.as_slice());
                    record.check_successor_of(&known.map_err(|_| Misuse::Record)?)
                };
                if let Err(reason) = refused {
                    return Ok(Err(reason));
                }
                if self.state.openings.contains(&key) {
                    self.state.openings.remove(&key);
                    self.asking_broken_off(&key)?;
                }
            }
            None => {
                if !self.has_room_for_device(jid)? {
                    return Ok(Err(Misbehaviour::TooMuch.into()));
                }
                self.introduce(jid, certificate)?;
            }
        }
        if let Some(known) = self.state.devices.get_mut(&key)? {
            known.record = bytes.to_vec().into();
            known.record_digest = *record.digest();
            known.record_sequence = record.sequence();
            known.certificate = certificate.bytes().to_vec().into();
            known.suites = record.suites().to_vec();
        }
        let list = self.list_of(jid)?;
        self.judge(jid, device, list.as_ref())?;
        self.verify_pending(jid, &record)
    }

    /// Somebody else has signed with this device's key, or this device has and has forgotten it: what it has is no
    /// state to seal with.
    pub(super) fn cloned(&mut self) -> Done {
        let own = self.own()?;
        let before = crate::env::Timestamp::from_millis(own.cloned_at);
        if own.cloned_at != 0 && self.now.since(before) < CLONED_INTERVAL {
            return Ok(());
        }
        self.own_mut()?.cloned_at = self.now.as_millis();
        self.notify(Event::Cloned);
        self.restored()
    }

    /// Whether another device of the account can be remembered.
    pub(super) fn has_room_for_device(&self, jid: &BareJid) -> Result<bool, Error> {
        Ok(self.devices_of(jid).len() < MAX_DEVICES || self.device_to_forget(jid)?.is_some())
    }

    /// A device of the account that is no more: one without sessions, else one that the list leaves out, else one of whose
    /// retirement the list does not know.
    fn device_to_forget(&self, jid: &BareJid) -> Result<Option<u32>, Error> {
        let Some(list) = self.list_of(jid)? else { return Ok(None) };
        let (mut left_out, mut unsaid) = (None, None);
        for device in self.devices_of(jid) {
            let Some(known) = self.device(jid, device)?.filter(|_| !list.is_live(device)) else { continue };
            if known.retired && !list.retires(device) {
                unsaid = unsaid.or(Some(device));
            } else if self.sessions_of(jid, device).is_empty() {
                return Ok(Some(device));
            } else if known.listed && list.leaves_out(device) {
                // One that no list has held may be in one that is about to come.
                left_out = left_out.or(Some(device));
            }
        }
        Ok(left_out.or(unsaid))
    }

    /// Adds a device known by its certificate.
    pub(super) fn introduce(&mut self, jid: &BareJid, certificate: &DeviceCertificate) -> Done {
        let device = certificate.device();
        if self.devices_of(jid).len() >= MAX_DEVICES
            && let Some(gone) = self.device_to_forget(jid)?
        {
            self.close_sessions(jid, gone)?;
            self.state.devices.remove(&(jid.clone(), gone));
        }
        let others = self.devices_of(jid);
        let sticky = self.contact(jid)?.is_some_and(|contact| contact.sticky);
        if !others.is_empty() && sticky {
            self.notify(Event::NewDevice { peer: jid.clone(), device });
        }
        let new = Device {
            record: Bytes::new(Vec::new()),
            record_digest: [0; 32],
            record_sequence: 0,
            certificate: certificate.bytes().to_vec().into(),
            good_until: 0,
            listed: false,
            closed: 0,
            retired: false,
            suites: Vec::new(),
            advert_sequence: 0,
            advert_digest: [0; 32],
            advert_meaning: None,
            sent_counter: 0,
            seen_counter: 0,
            live: None,
            live_counter: 0,
            reopened: 0,
            refused_until: 0,
            too_far: 0,
            statements: Seen::default(),
            heard: 0,
            forgotten: 0,
            last_seen: Timestamp::default(),
            name: String::new(),
            named: false,
        };
        self.state.devices.put((jid.clone(), device), new);
        Ok(())
    }

    fn verify_pending(&mut self, jid: &BareJid, record: &DeviceRecord) -> Result<Result<(), Reason>, Error> {
        let device = record.certificate().device();
        let Some(contact) = self.contact(jid)? else { return Ok(Ok(())) };
        let Some(pending) = contact.pending.iter().find(|pending| pending.device == device).cloned() else {
            return Ok(Ok(()));
        };
        let advert = AdvertIn::decode(pending.advert.as_slice()).and_then(|advert| {
            advert.verify(jid, record, pending.meaning.as_ref(), &self.config.suites, self.now)
        });
        match advert {
            // The presence has passed long ago.
            Ok(advert) => Ok(self.take_advert(jid, record, &advert)?.map(drop)),
            // The record may be older than the advert; the device itself may give a newer one.
            Err(Reason::Misbehaved(Misbehaviour::WrongSubject)) => Ok(Ok(())),
            Err(reason) => {
                self.contact_mut(jid)?.pending.retain(|pending| pending.device != device);
                Ok(Err(reason))
            }
        }
    }

    /// Compares a certificate's account key with the one known, or takes it as the first. Whether
    /// the certificate may be used.
    pub(super) fn take_account(
        &mut self,
        jid: &BareJid,
        certificate: &DeviceCertificate,
    ) -> Result<bool, Error> {
        let digest = *certificate.account_digest();
        let mine = self.own()?.jid == *jid;
        let own = if mine { self.own_account()?.map(|key| key.digest()) } else { None };
        let contact = self.contact(jid)?;
        match own.or(contact.and_then(|contact| contact.account_key)) {
            Some(known) if known == digest => Ok(true),
            Some(_) => {
                let news = contact.and_then(|contact| contact.other_key) != Some(digest);
                let former = self.is_former_key(jid, &digest)?;
                if own.is_some() && self.shows_other_account(digest)? {
                    // A key of before, or made by mistake: the user decides.
                } else if mine {
                    // Somebody else's device claims to be of this account.
                    self.reject(Some(jid), Misbehaviour::WrongSubject);
                } else if news && !former {
                    self.key_changed(jid, digest)?;
                } else {
                    self.reject(Some(jid), Misbehaviour::WrongSubject);
                }
                Ok(false)
            }
            None => {
                let expected = contact.and_then(|contact| contact.expected);
                let other = |(expected, decision): (Digest, Decision)| {
                    expected != digest && decision.trust == Trust::Verified
                };
                if expected.is_some_and(other) {
                    let other = contact.and_then(|contact| contact.other_key) == Some(digest);
                    if other || self.is_former_key(jid, &digest)? {
                        self.reject(Some(jid), Misbehaviour::WrongSubject);
                    } else {
                        self.key_changed(jid, digest)?;
                    }
                    return Ok(false);
                }
                self.tell_reuse(jid, &digest)?;
                let contact = self.contact_mut(jid)?;
                contact.account_key = Some(digest);
                contact.expected = None;
                if let (Some(_), Some(wrong)) = (expected, contact.other_key.take()) {
                    contact.former_key = Some(wrong);
                }
                match expected.filter(|(expected, _)| *expected == digest) {
                    Some((_, decision)) => {
                        self.decide_trust(jid, &digest, decision.trust, decision.means)?;
                    }
                    None => self.first_seen(jid, &digest)?,
                }
                Ok(true)
            }
        }
    }

    /// Whether the user has seen this key of the account before, and has another in its place: records of dead keys stay
    /// with servers.
    pub(super) fn is_former_key(&self, jid: &BareJid, digest: &Digest) -> Result<bool, Error> {
        let contact = self.contact(jid)?;
        let keys = contact.map(|contact| (contact.account_key, contact.former_key)).unwrap_or_default();
        if keys.0.as_ref() == Some(digest) {
            return Ok(false);
        }
        let former = keys.1.as_ref() == Some(digest);
        let past = self.state.past_decisions.get(jid)?;
        Ok(former || past.is_some_and(|history| history.past.iter().any(|past| past.key == *digest)))
    }

    /// The account shows another key than it must.
    pub(super) fn key_changed(&mut self, jid: &BareJid, digest: Digest) -> Done {
        let contact = self.contact_mut(jid)?;
        contact.other_key = Some(digest);
        let verified_elsewhere = contact.verified_elsewhere(&digest).is_some();
        self.notify(Event::KeyChanged { peer: jid.clone(), digest, verified_elsewhere });
        self.tell_reuse(jid, &digest)
    }

    fn tell_reuse(&mut self, jid: &BareJid, digest: &Digest) -> Done {
        if let Some(known) = self.account_of_key(jid, digest)? {
            self.notify(Event::KeyReused { peer: jid.clone(), known });
        }
        Ok(())
    }

    /// Another account with this key. Looked for once for each account that becomes known, or shows another key.
    fn account_of_key(&self, jid: &BareJid, digest: &Digest) -> Result<Option<BareJid>, Error> {
        let own = self.own()?.jid.clone();
        if *jid != own && Some(*digest) == self.own_account()?.map(|key| key.digest()) {
            return Ok(Some(own));
        }
        for key in self.state.contacts.all_keys() {
            let same = |contact: &Contact| contact.account_key == Some(*digest);
            if key != *jid && self.state.contacts.get(&key)?.is_some_and(same) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    pub(super) fn close_sessions(&mut self, jid: &BareJid, device: u32) -> Done {
        for key in self.sessions_of(jid, device) {
            self.drop_session(&key)?;
        }
        self.state.openings.remove(&(jid.clone(), device));
        if let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? {
            known.live = None;
        }
        Ok(())
    }

    /// The account key itself, from any certificate of the account.
    pub(super) fn account_key(&self, jid: &BareJid) -> Result<Option<AccountKey>, Error> {
        if self.own()?.jid == *jid
            && let Some(key) = self.own_account()?
        {
            return Ok(Some(key));
        }
        for device in self.devices_of(jid) {
            if let Some(known) = self.device(jid, device)? {
                let certificate = DeviceCertificate::from_store(known.certificate.as_slice());
                return Ok(Some(certificate.map_err(|_| Misuse::Record)?.account().clone()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::draft::testing::{drafted, put_session};
    use crate::identity::DeviceState::Live;
    use crate::identity::fixture::{Device, now};

    /// Bob's lists name one of these devices each, in turn; with so many of the first there is a session.
    fn forgotten(ids: [u32; 3], sessions: usize) -> Option<u32> {
        let bob = Device::new("bob@example.com", 2);
        let (forgotten, _) = drafted(now(), |draft| {
            for device in ids {
                let mut known = Device::new("bob@example.com", 2);
                known.id = device;
                draft.introduce(&bob.jid, &known.certificate()).unwrap();
            }
            for (device, version) in ids.into_iter().zip(1..) {
                draft.store_list(&bob.jid, &bob.list(version, &[(device, Live)], false)).unwrap();
            }
            for device in ids.into_iter().take(sessions) {
                put_session(draft, &bob.jid, device);
            }
            draft.device_to_forget(&bob.jid).unwrap()
        });
        forgotten
    }

    #[test]
    fn c8_a_device_that_is_left_out_is_forgotten_before_one_that_lives_and_after_one_without_session() {
        assert_eq!(forgotten([3, 5, 9], 1), Some(5));
        assert_eq!(forgotten([5, 3, 9], 1), Some(3));
        assert_eq!(forgotten([3, 5, 9], 3), Some(3));
        assert_eq!(forgotten([9, 9, 9], 1), None);
    }
}
