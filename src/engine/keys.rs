//! What is believed of other accounts' keys: records, device lists, account keys.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Contact, Device, LinkingStage};
use crate::engine::seen::Seen;
use crate::env::Timestamp;
use crate::error::{Error, Misbehaviour, Misuse, Reason};
use crate::identity::{
    AccountKey, DeviceCertificate, DeviceList, DeviceRecord, Digest, MAX_DEVICES, TOLERANCE,
};
use crate::jid::BareJid;
use crate::presence::AdvertIn;
use crate::step::Event;
use crate::trust::{Decision, Trust};
use crate::wire::Bytes;

/// Two copies of a device that both run would else start anew without end, each because of the other.
const CLONED_INTERVAL: Duration = Duration::from_hours(24);

/// No account makes so many lists between two that a contact sees; only one made where none was shown is further.
const MAX_VERSION_STEP: u32 = 1 << 16;

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

    /// A device of the account that is no more; not one of which the list has yet to say so.
    fn device_to_forget(&self, jid: &BareJid) -> Result<Option<u32>, Error> {
        let Some(list) = self.list_of(jid)? else { return Ok(None) };
        for device in self.devices_of(jid) {
            let said = |known: &Device| !known.retired || list.retires(device);
            let Some(known) = self.device(jid, device)?.filter(|known| said(known)) else { continue };
            // One that no list has held may be in one that is about to come.
            let left_out = known.listed && list.leaves_out(device);
            if !list.is_live(device) && (left_out || self.sessions_of(jid, device).is_empty()) {
                return Ok(Some(device));
            }
        }
        Ok(None)
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

    /// Takes a device list, if it is good and not older than the one known.
    pub(super) fn take_list(&mut self, jid: &BareJid, bytes: &[u8]) -> Result<Result<(), Reason>, Error> {
        let mine = self.own()?.jid == *jid;
        let Some(key) = self.account_key(jid)? else { return Ok(Ok(())) };
        let list = match DeviceList::verify(bytes, jid, &key, &self.config.suites) {
            Ok(list) => list,
            Err(reason) => return Ok(Err(reason)),
        };
        let known = self.list_of(jid)?;
        if let Some(known) = &known
            && let Err(reason) = list.check_successor_of(known)
        {
            if mine {
                self.own_mut()?.list_published = false;
                if list.version() < known.version() || known.is_tombstone() {
                    // What the server has is older than ours, which is published again.
                    return Ok(Err(reason));
                }
                // Two devices of one's own made a version at once: what only ours says is added to the other's.
                self.amend_after(known, &list)?;
            } else if list.is_made_beside(known) {
                // There may be nobody left who knows of both and makes a next: the device that made the other is lost.
                self.notify(Event::RolledBack { peer: jid.clone() });
            } else {
                return Ok(Err(reason));
            }
        }
        if let Some(known) = known.as_ref().filter(|known| mine && list.version() > known.version()) {
            self.amend_newer(known, &list)?;
        }
        let same = known.is_some_and(|known| known.bytes() == list.bytes());
        self.store_list(jid, &list)?;
        let contact = self.contact_mut(jid)?;
        let left = list.is_tombstone() && !contact.left;
        if left {
            contact.left = true;
            contact.sticky = false;
        }
        if mine {
            // While it is linked the list is that of whoever is shown.
            let unlinked = self.is_unlinked()?;
            let own = self.own_mut()?;
            // Another own device may have handed it over.
            own.list_published &= same;
            // What lies there of another account key is of before, for this list is of the own one.
            own.other_account = None;
            if list.is_tombstone() && !own.left && !unlinked {
                // Another device has taken the account out of the protocol.
                self.retire()?;
            }
        } else if left {
            self.notify(Event::Left { peer: jid.clone() });
        }
        Ok(Ok(()))
    }

    /// Takes over a verified list: sessions of devices that do not live by it close.
    pub(super) fn store_list(&mut self, jid: &BareJid, list: &DeviceList) -> Done {
        let entries = list.entries().iter().map(|entry| entry.device);
        let mut live: Vec<u32> =
            entries.filter(|device| list.is_live(*device) && !list.is_tombstone()).collect();
        if self.own()?.jid == *jid {
            let newer = self.contact(jid)?.is_some_and(|own| list.version() > own.list_version);
            self.own_mut()?.list_forked &= !newer;
            for device in live.clone() {
                if self.device(jid, device)?.is_some_and(|known| known.retired) {
                    live.retain(|live| *live != device);
                }
            }
        }
        self.tell_devices(jid, &live, list)?;
        let contact = self.contact_mut(jid)?;
        let newer = list.version() > contact.list_version;
        contact.list = list.bytes().into();
        contact.list_version = list.version();
        let named = contact.list_named.max(list.version());
        // A device that named more than there can be was wrong, and may be retired by this list; not by one known before.
        let far = newer && named - list.version() > MAX_VERSION_STEP;
        contact.list_named = if far { list.version() } else { named };
        contact.live.clone_from(&live);
        for device in self.devices_of(jid) {
            self.judge(jid, device, Some(list))?;
            if !live.contains(&device)
                && !list.leaves_out(device)
                && let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))?
            {
                // It stays gone whatever later lists do not say of it.
                known.listed = false;
            }
            // One that the list does not know yet may be newer than the list.
            if list.holds(device) && !live.contains(&device) {
                self.close_sessions(jid, device)?;
            }
        }
        if self.own()?.jid == *jid {
            // Of two lists that own devices made at once one does not know what the other adds.
            self.end_histories(|device| list.holds(device) && !live.contains(&device))?;
        }
        Ok(())
    }

    /// Tells which devices a newer list takes away, and of the own account which it adds. What a first list of the own
    /// account holds has been there before this device.
    fn tell_devices(&mut self, jid: &BareJid, live: &[u32], list: &DeviceList) -> Done {
        let own = self.own()?;
        let (me, mine) = (own.device, own.jid == *jid);
        let mut before = self.contact(jid)?.map_or_else(Vec::new, |contact| contact.live.clone());
        if let Some(last) = self.list_of(jid)? {
            for device in self.devices_of(jid) {
                // It was left out, and never told as gone.
                let listed = self.device(jid, device)?.is_some_and(|known| known.listed);
                if listed && last.leaves_out(device) {
                    before.push(device);
                }
            }
        }
        // That the whole account leaves is another event, and so is one's own end.
        let told = |device: &u32| !list.is_tombstone() && (!mine || *device != me);
        let retired = |device: &u32| !live.contains(device) && !list.leaves_out(*device);
        for device in before.iter().copied().filter(|device| told(device) && retired(device)) {
            self.notify(Event::DeviceRetired { peer: jid.clone(), device });
        }
        if mine && before.contains(&me) {
            for device in live.iter().copied().filter(|device| *device != me && !before.contains(device)) {
                // One that this device has linked is no news to its user.
                if self.state.linkings.get(&device)?.is_some_and(|run| run.stage == LinkingStage::Listing) {
                    continue;
                }
                self.notify(Event::NewDevice { peer: jid.clone(), device });
            }
        }
        Ok(())
    }

    /// A device that its account's list does not hold once the newest has been fetched is none: its
    /// claim to stand in a newer one was false. What one that a list before has held writes in its session can be read
    /// until a list says of it, or is full.
    pub(super) fn close_unlisted(&mut self, jid: &BareJid) -> Done {
        let Some(list) = self.list_of(jid)? else { return Ok(()) };
        let live = self.contact(jid)?.map_or_else(Vec::new, |contact| contact.live.clone());
        for device in self.devices_of(jid) {
            let listed = self.device(jid, device)?.is_some_and(|known| known.listed);
            let stays = live.contains(&device) || listed && list.leaves_out(device);
            if !stays {
                self.close_sessions(jid, device)?;
            }
        }
        Ok(())
    }

    /// Notes until when a device may be sent to, by its certificate and its account's list.
    pub(super) fn judge(&mut self, jid: &BareJid, device: u32, list: Option<&DeviceList>) -> Done {
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? else { return Ok(()) };
        let certificate = DeviceCertificate::from_store(known.certificate.as_slice());
        let certificate = certificate.map_err(|_| Misuse::Record)?;
        let accepted = !known.retired && list.is_some_and(|list| list.accepts(&certificate).is_ok());
        known.good_until = if accepted { certificate.not_after().after(TOLERANCE).as_secs() } else { 0 };
        if !accepted {
            return Ok(());
        }
        known.listed = true;
        self.listed(jid, device)
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
    use super::*;
    use crate::agent::LocalAgent;
    use crate::engine::{Config, Engine, Input};
    use crate::env::Env;
    use crate::identity::fixture::{Device as Fixture, now, rng};
    use crate::identity::{DeviceEntry, DeviceState, LIST_LABEL, ListTbs};
    use crate::step::Effect;
    use crate::suite::Suites;

    use DeviceState::{Live, Retired};

    fn list(of: &Fixture, version: u32, entries: &[(u32, DeviceState)], tombstone: bool) -> DeviceList {
        let entry = |(device, state): &(u32, DeviceState)| DeviceEntry {
            device: *device,
            lowest_serial: 1,
            state: *state,
        };
        let entries = entries.iter().map(entry).collect();
        let tbs = ListTbs::new(&of.jid, &of.account(), version, entries, tombstone);
        let bytes = of.sign_as_account(LIST_LABEL, &tbs.encode());
        DeviceList::verify(&bytes, &of.jid, &of.account(), &Suites::default()).unwrap()
    }

    fn events(of: &Fixture, lists: &[DeviceList]) -> Vec<Event> {
        taken(of, lists).0
    }

    /// The events of these lists of an account, taken one after the other by a device of Alice with the id 7, and whether
    /// the account's own device counts as listed in the end.
    fn taken(of: &Fixture, lists: &[DeviceList]) -> (Vec<Event>, bool) {
        let rng = &mut rng(1);
        let agent = LocalAgent::generate(&Suites::default(), rng);
        let mut engine = Engine::new(Config::new("alice@example.com", agent.identity()).unwrap());
        let env = &mut Env { now: now(), rng };
        engine.handle(env, Input::Tick).unwrap().persist(|_| Ok::<(), ()>(())).unwrap();
        let mut effects = Vec::new();
        let mut draft = Draft::begin(&engine.config, &mut engine.state, env, &mut effects).unwrap();
        draft.own_mut().unwrap().device = 7;
        draft.introduce(&of.jid, &of.certificate()).unwrap();
        for list in lists {
            draft.store_list(&of.jid, list).unwrap();
        }
        let listed = draft.device(&of.jid, of.id).unwrap().unwrap().listed;
        let events = effects.into_iter().map(|effect| {
            let Effect::Notify(event) = effect else { panic!("{effect:?}") };
            event
        });
        (events.collect(), listed)
    }

    #[test]
    fn c12_a_device_that_the_list_takes_away_is_told() {
        let bob = Fixture::new("bob@example.com", 2);
        let first = list(&bob, 1, &[(7, Live), (8, Live)], false);
        let second = list(&bob, 2, &[(7, Live), (8, Retired), (9, Live)], false);
        let third = list(&bob, 3, &[(7, Retired), (8, Retired), (9, Live)], false);
        let gone = list(&bob, 4, &[(7, Retired), (8, Retired), (9, Retired)], true);
        let retired = |device| Event::DeviceRetired { peer: bob.jid.clone(), device };
        assert_eq!(events(&bob, &[first, second, third, gone]), [retired(8), retired(7)]);
    }

    #[test]
    fn c12_a_device_that_a_list_leaves_out_is_told_as_retired_only_if_there_was_no_room_for_it() {
        let bob = Fixture::new("bob@example.com", 2);
        let first = list(&bob, 1, &[(7, Live), (8, Live)], false);
        let full: Vec<_> = (8..8 + 32).map(|device| (device, Live)).collect();
        let [beside, full] = [&full[..31], &full].map(|entries| list(&bob, 2, entries, false));
        assert_eq!(events(&bob, &[first.clone(), beside]), []);
        let retired = Event::DeviceRetired { peer: bob.jid.clone(), device: 7 };
        assert_eq!(events(&bob, &[first, full]), [retired]);
    }

    #[test]
    fn c8_a_device_that_was_retired_or_had_no_room_is_not_one_that_a_later_list_leaves_out() {
        let bob = Fixture::new("bob@example.com", 2);
        let first = list(&bob, 1, &[(bob.id, Live)], false);
        let without = list(&bob, 9, &[(3, Live)], false);
        assert!(taken(&bob, &[first.clone(), without.clone()]).1);
        let full: Vec<_> = (100..132).map(|device| (device, Live)).collect();
        for gone in [list(&bob, 2, &[(bob.id, Retired)], false), list(&bob, 2, &full, false)] {
            assert!(!taken(&bob, &[first.clone(), gone, without.clone()]).1);
        }
    }

    #[test]
    fn c12_a_device_that_the_own_list_adds_or_takes_away_is_told() {
        let alice = Fixture::new("alice@example.com", 2);
        // There before this device; then this device; then the rest.
        let lists = [
            list(&alice, 1, &[(8, Live)], false),
            list(&alice, 2, &[(8, Live), (7, Live)], false),
            list(&alice, 3, &[(8, Live), (7, Live), (9, Live)], false),
            list(&alice, 4, &[(8, Retired), (7, Live), (9, Live)], false),
            list(&alice, 5, &[(8, Retired), (7, Retired), (9, Live)], false),
        ];
        let peer = alice.jid.clone();
        let expected =
            [Event::NewDevice { peer: peer.clone(), device: 9 }, Event::DeviceRetired { peer, device: 8 }];
        assert_eq!(events(&alice, &lists), expected);
    }

    /// Two own devices made a list at once, and neither knows what the other says. The next one says all of it.
    #[test]
    fn c12_what_one_of_two_lists_made_at_once_does_not_know_is_not_retired() {
        let alice = Fixture::new("alice@example.com", 2);
        let lists = [
            list(&alice, 1, &[(8, Live), (7, Live)], false),
            list(&alice, 2, &[(8, Retired), (7, Live), (9, Live)], false),
            list(&alice, 2, &[(8, Live), (7, Live), (10, Live)], false),
            list(&alice, 3, &[(8, Retired), (7, Live), (9, Live), (10, Live)], false),
        ];
        let told = events(&alice, &lists);
        let retired = |event: &&Event| matches!(event, Event::DeviceRetired { device, .. } if *device != 8);
        assert_eq!(told.iter().filter(retired).count(), 0, "{told:?}");
        let retired = Event::DeviceRetired { peer: alice.jid.clone(), device: 8 };
        assert!(told.contains(&retired));
    }
}
