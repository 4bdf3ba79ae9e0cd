//! The own account's devices: the list that says which live, retiring one, and their names.

use core::time::Duration;

use crate::agent::Operation;
use crate::engine::asks::operation;
use crate::engine::draft::{Done, Draft};
use crate::engine::opening::Occasion;
use crate::engine::outbox::MAX_OUTBOX;
use crate::engine::own::CERTIFICATE_RENEWAL;
use crate::engine::pep;
use crate::engine::records::{Purpose, Query, SessionKey, Untold};
use crate::env::Timestamp;
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason};
use crate::identity::{
    AccountKey, CertificateTbs, DeviceCertificate, DeviceEntry, DeviceList, DeviceRecord, DeviceState,
    Digest, ListTbs, MAX_DEVICES, check_device,
};
use crate::jid::BareJid;
use crate::linking::{DeviceKeys, LinkingMessage};
use crate::stanza::Control;
use crate::step::Event;

/// How exactly is noted when another device was heard of, and how often one is asked for a certificate.
const DAY: Duration = Duration::from_hours(24);

/// Account keys that contest the own one, each told once: who begins anew does so once or twice. A server that makes up
/// more can have one told again, and does no more with it than with a new one.
const MAX_CONTESTED: usize = 8;

/// The highest version that a first list gets, from a clock that is wrong: it must have successors.
const MAX_FIRST_VERSION: u32 = u32::MAX - (1 << 16);

/// Devices told of a new list in one step, for each of which a message is sealed and a session stored. They take half
/// of the outbox at most: the user's own messages need room, too.
const MAX_TOLD: usize = 100;

/// So much later the next are told, if what is acknowledged does not give them room before.
const TELL_ON: Duration = Duration::from_secs(5);

/// The same where there was no room for any.
const NO_ROOM: Duration = Duration::from_mins(1);

/// The longest name of a device, in bytes: a line on any screen.
pub(super) const MAX_NAME: usize = 64;

impl Draft<'_> {
    /// Has the list say what it lacks: this device, and what its amendments say.
    pub(super) fn settle_list(&mut self, account: &BareJid, certificate: &DeviceCertificate) -> Done {
        // One under another account key is no list of this account.
        let list = self.list_of(account)?.filter(|list| list.account() == certificate.account_digest());
        if list.as_ref().is_some_and(|list| list.version() == u32::MAX)
            || list.is_none() && self.own()?.list_refused
        {
            return Ok(());
        }
        let known = list.as_ref().map_or(&[][..], DeviceList::entries);
        let entry = known.iter().find(|entry| entry.device == certificate.device());
        if entry.is_some_and(|entry| entry.state == DeviceState::Retired) {
            // Another device of the account has retired this one; a retired device lives no more.
            return self.retire();
        }
        let mut amends = self.own()?.amends.clone();
        if list.as_ref().is_none_or(|list| list.accepts(certificate).is_err()) {
            let lowest_serial = entry.map_or(1, |entry| entry.lowest_serial);
            amends.push(DeviceEntry {
                device: certificate.device(),
                lowest_serial,
                state: DeviceState::Live,
            });
        }
        amends.retain(|amend| !is_said(known, amend));
        if amends.is_empty() {
            self.own_mut()?.amends.clear();
            if !self.own()?.list_forked {
                return Ok(());
            }
        }
        if !self.config.identity.has_account_key() {
            // Only a device with the account key makes lists.
            return Ok(());
        }
        let entries = amended(known, &amends);
        if entries.len() > MAX_DEVICES {
            if !self.own()?.list_full {
                self.own_mut()?.list_full = true;
                self.notify(Event::TooManyDevices);
            }
            return Ok(());
        }
        self.own_mut()?.list_full = false;
        let version = self.next_version(list.as_ref());
        let tbs = ListTbs::new(account, certificate.account(), version, entries, false).encode();
        self.ask_once(Purpose::List, || operation(Operation::sign_device_list(tbs)))
    }

    /// The version of the list after this one.
    pub(super) fn next_version(&self, list: Option<&DeviceList>) -> u32 {
        // There may have been a list, of which contacts know and nobody tells: the time is past its version.
        let first = self.now.as_secs().min(MAX_FIRST_VERSION);
        list.map_or(first, |list| list.version().saturating_add(1))
    }

    /// The agent has signed a list. Whether it was of any use.
    pub(super) fn list_signed(&mut self, list: &DeviceList) -> Result<bool, Error> {
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let known = self.list_of(&account)?.filter(|known| known.account() == list.account());
        if known.as_ref().is_some_and(|known| list.check_successor_of(known).is_err()) {
            // Another has come meanwhile; this one is made anew after it.
            return Ok(true);
        }
        let retired = |entry: &&DeviceEntry| {
            entry.state == DeviceState::Retired
                && known.as_ref().is_some_and(|known| known.is_live(entry.device))
        };
        let retired: Vec<u32> = list.entries().iter().filter(retired).map(|entry| entry.device).collect();
        if self.own()?.left {
            return self.farewell_signed(list);
        }
        if retired.contains(&me) && !self.is_up_to_date()? {
            // It is made anew after whatever list is there then: who has left knows of no other.
            return Ok(true);
        }
        for device in &retired {
            // Its session closes with the list, which tells it why.
            if let Some(id) = self.live_id(&account, *device)? {
                let version = Control::ListVersion(list.version());
                self.send_control(&(account.clone(), *device, id), version)?;
            }
        }
        self.store_list(&account, list)?;
        if retired.contains(&me) {
            self.device_left(list)?;
            return Ok(true);
        }
        self.own_mut()?.list_published = false;
        self.publish_anew(false)?;
        for device in retired {
            let payload = pep::retract(pep::NODE_DEVICE, &device.to_string());
            self.request("", Query::Retraction, "set", &payload)?;
        }
        Ok(true)
    }

    /// Tells the devices that there is a session with of a new version of the list, once it can be fetched: as many in
    /// a step as there is room for, and of a still newer version all of them anew.
    pub(super) fn settle_announcement(&mut self, account: &BareJid) -> Done {
        let version = self.contact(account)?.map_or(0, |contact| contact.list_version);
        let own = self.own()?;
        if !own.list_published && own.publish_fault.is_none() {
            return Ok(());
        }
        let first = if own.announced < version {
            None
        } else if let Some(Untold { jid, device, .. }) = &own.untold {
            Some((jid.clone(), *device))
        } else {
            return Ok(());
        };
        let version = own.announced.max(version);
        let room = self.room_to_tell();
        let next = self.announce_list(version, first.as_ref(), room)?;
        let at = self.now.after(if room == 0 { NO_ROOM } else { TELL_ON });
        let own = self.own_mut()?;
        own.announced = version;
        own.untold = next.map(|(jid, device)| Untold { jid, device, at });
        Ok(())
    }

    /// How many devices can be told of a list now.
    fn room_to_tell(&self) -> usize {
        let taken = self.state.outbox.len() + self.state.waiting.len();
        (MAX_OUTBOX / 2).saturating_sub(taken).min(MAX_TOLD)
    }

    /// Whether devices wait to be told of a list, and as many can be as in a step.
    pub(super) fn can_tell_on(&self) -> Result<bool, Error> {
        Ok(self.own()?.untold.is_some() && self.room_to_tell() == MAX_TOLD)
    }

    /// What a list of the own account, made elsewhere at the same time, lacks of the one known here, is said again in
    /// the next: no retirement and no device is lost. There must be a next, for contacts know one or the other.
    pub(super) fn amend_after(&mut self, known: &DeviceList, taken: &DeviceList) -> Done {
        self.own_mut()?.list_forked |= known.entries() != taken.entries();
        let said = |entry: &&DeviceEntry| !is_said(taken.entries(), entry);
        self.list_again(known.entries().iter().filter(said).copied().collect())
    }

    /// The same of a newer list that does not know of the one known here: it was made where that was not shown.
    pub(super) fn amend_newer(&mut self, known: &DeviceList, taken: &DeviceList) -> Done {
        self.list_again(known.entries().iter().filter(|entry| taken.lacks(entry)).copied().collect())
    }

    /// Has the next list say this of devices.
    fn list_again(&mut self, lost: Vec<DeviceEntry>) -> Done {
        let account = self.own()?.jid.clone();
        for entry in lost {
            // It stays so here whatever lists a server shows, and on a device that cannot have one signed too.
            if entry.state == DeviceState::Retired
                && let Some(device) = self.state.devices.get_mut(&(account.clone(), entry.device))?
            {
                device.retired = true;
            }
            self.amend(entry)?;
        }
        Ok(())
    }

    /// Whether this device has seen on this stream which list the server has.
    pub(super) fn is_up_to_date(&self) -> Result<bool, Error> {
        let own = self.own()?;
        Ok(own.connected && own.list_fetched)
    }

    /// Has the next list say this of a device.
    pub(super) fn amend(&mut self, entry: DeviceEntry) -> Done {
        let own = self.own_mut()?;
        own.amends = amended(&own.amends, &[entry]);
        Ok(())
    }

    /// The user wants a device of the account retired.
    pub(super) fn retire_device(&mut self, device: u32) -> Done {
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let Some(list) = self.list_of(&account)?.filter(|_| check_device(device).is_ok()) else {
            return Err(Misuse::Device.into());
        };
        let entry = list.entry(device).copied();
        if entry.is_none() && device == me {
            return Err(Misuse::Device.into());
        }
        // One that was lost before this list was made, where none was shown: contacts may still read it.
        let entry = entry.unwrap_or(DeviceEntry { device, lowest_serial: 1, state: DeviceState::Live });
        if entry.state == DeviceState::Retired || self.own()?.left {
            return Ok(());
        }
        if !self.config.identity.has_account_key() {
            return Err(Misuse::NoAccountKey.into());
        }
        if device == me {
            self.end_held()?;
        }
        // Asked for by the user, an agent that refused before may do it now.
        self.own_mut()?.agent_retry_at = None;
        self.amend(DeviceEntry { state: DeviceState::Retired, ..entry })
    }

    /// The key of the own account: the agent's, or the one that has certified this device.
    pub(super) fn own_account(&self) -> Result<Option<AccountKey>, Error> {
        match self.config.identity.account() {
            Some(key) => Ok(Some(key.clone())),
            // Which it is, the user finds out by comparing.
            None if self.is_searching() => Ok(None),
            None => Ok(self.own_certificate()?.map(|certificate| certificate.account().clone())),
        }
    }

    /// Notes that the own account shows another account key. Whether that is for the user to decide: a device that has
    /// published a list of its own key takes no word for another, but tells it once.
    pub(super) fn shows_other_account(&mut self, digest: Digest) -> Result<bool, Error> {
        let own = self.own()?;
        let established = self.contact(&own.jid)?.is_some_and(|contact| !contact.list.as_slice().is_empty());
        if established || own.disowned.is_some() || !self.config.identity.has_account_key() {
            let told = own.contested.contains(&digest) || own.disowned == Some(digest) || own.left;
            if !told {
                let own = self.own_mut()?;
                if own.contested.len() >= MAX_CONTESTED {
                    own.contested.remove(0);
                }
                own.contested.push(digest);
                self.notify(Event::AccountKeyContested { digest });
            }
            return Ok(false);
        }
        if own.other_account.is_none() {
            // Of several keys of before one is told: the decision is about all.
            self.own_mut()?.other_account = Some(digest);
            self.notify(Event::OtherAccountKey { digest });
        }
        Ok(true)
    }

    /// Whether bytes are a list of the own account under another key.
    pub(super) fn is_of_other_account(&mut self, jid: &BareJid, bytes: &[u8]) -> Result<bool, Error> {
        let (true, Some(key)) = (self.own()?.jid == *jid, self.own_account()?) else { return Ok(false) };
        match DeviceList::from_store(bytes) {
            Ok(list) if *list.account() != key.digest() => self.shows_other_account(*list.account()),
            Ok(_) | Err(_) => Ok(false),
        }
    }

    /// The user gives the other account key up.
    pub(super) fn begin_anew(&mut self) -> Done {
        let Some(digest) = self.own()?.other_account else { return Ok(()) };
        let own = self.own_mut()?;
        own.other_account = None;
        own.disowned = Some(digest);
        // Whatever is there is put over.
        own.list_refused = false;
        Ok(())
    }

    /// Notes, to the day, that another device of the own account is in use.
    pub(super) fn seen_alive(&mut self, jid: &BareJid, device: u32) -> Done {
        let now = self.now;
        if self.own()?.jid == *jid
            && let Some(known) = self.device(jid, device)?
            && now.since(known.last_seen) >= DAY
            && let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))?
        {
            known.last_seen = now;
        }
        Ok(())
    }

    /// The user names this device.
    pub(super) fn name_device(&mut self, name: &str) -> Done {
        if !is_name(name) {
            return Err(Misuse::Name.into());
        }
        let own = self.own_mut()?;
        name.clone_into(&mut own.name);
        own.renamed = true;
        let account = own.jid.clone();
        for device in self.devices_of(&account) {
            if let Some(known) = self.state.devices.get_mut(&(account.clone(), device))? {
                known.named = false;
            }
        }
        Ok(())
    }

    /// Tells the own other devices this device's name, where there is a session and they do not know it.
    pub(super) fn settle_names(&mut self, account: &BareJid) -> Done {
        for device in self.devices_of(account) {
            let Some(known) = self.device(account, device)? else { continue };
            let own = self.own()?;
            let untold = !known.named && own.renamed;
            let (Some(id), true, true) = (known.live, untold, known.is_good(self.now)) else { continue };
            let message = LinkingMessage::Name(own.name.as_bytes().into());
            let told = Control::Linking(message.encode().into());
            if self.try_control(&(account.clone(), device, id), told)?
                && let Some(known) = self.state.devices.get_mut(&(account.clone(), device))?
            {
                known.named = true;
            }
        }
        Ok(())
    }

    /// What another device of the account says in an ordinary session.
    pub(super) fn own_device_said(&mut self, key: &SessionKey, message: LinkingMessage) -> Done {
        let (account, device, _) = key;
        let good = self.device(account, *device)?.is_some_and(|known| known.is_good(self.now));
        match message {
            LinkingMessage::Name(name) if good => {
                let name = String::from_utf8(name.into()).unwrap_or_default();
                if !is_name(&name) {
                    self.reject(Some(account), Malformed::Encoding);
                } else if let Some(known) = self.state.devices.get_mut(&(account.clone(), *device))? {
                    known.name = name;
                }
                Ok(())
            }
            LinkingMessage::Renew if good => self.renew(account, *device),
            LinkingMessage::Renewed(certificate) if good => self.renewed(account, certificate.as_slice()),
            LinkingMessage::Request { .. }
            | LinkingMessage::Accept { .. }
            | LinkingMessage::Reveal { .. }
            | LinkingMessage::Confirmed { .. }
            | LinkingMessage::Certificate { .. }
            | LinkingMessage::Done { .. }
            | LinkingMessage::Abort { .. }
            | LinkingMessage::Name(_)
            | LinkingMessage::Renew
            | LinkingMessage::Renewed(_) => {
                self.reject(Some(account), Misbehaviour::OutOfTurn);
                Ok(())
            }
        }
    }

    /// Without the account key this device asks another for its next certificate: one of them a day, each in turn.
    pub(super) fn ask_for_renewal(&mut self) -> Done {
        let own = self.own()?;
        let (account, now) = (own.jid.clone(), self.now);
        if own.left || now.since(Timestamp::from_millis(own.renewal_asked)) < DAY {
            return Ok(());
        }
        let turn = own.renewals;
        let mut others = self.devices_of(&account);
        let live = self.contact(&account)?.map_or_else(Vec::new, |contact| contact.live.clone());
        others.retain(|device| live.contains(device));
        let Some(place) = turn.checked_rem(u32::try_from(others.len()).unwrap_or(u32::MAX)) else {
            return Ok(());
        };
        let Some(device) = others.into_iter().nth(usize::try_from(place).unwrap_or_default()) else {
            return Ok(());
        };
        let own = self.own_mut()?;
        own.renewal_asked = now.as_millis();
        own.renewals = turn.wrapping_add(1);
        let Some(known) = self.device(&account, device)? else { return Ok(()) };
        if let Some(id) = known.live {
            let renew = Control::Linking(LinkingMessage::Renew.encode().into());
            return self.send_control(&(account, device, id), renew);
        }
        if known.record.as_slice().is_empty() {
            return Ok(());
        }
        // For the next time.
        let record = DeviceRecord::from_store(known.record.as_slice()).map_err(|_| Misuse::Record)?;
        self.open_session(&account, &record, self.config.least, Occasion::NotUnderstood)?;
        Ok(())
    }

    /// A device without the account key asks for its next certificate. It gets it when it is time: the keys are those
    /// that the user has compared.
    fn renew(&mut self, account: &BareJid, device: u32) -> Done {
        let Some(known) = self.device(account, device)? else { return Ok(()) };
        let certificate = known.certificate.clone();
        let known = DeviceCertificate::from_store(certificate.as_slice()).map_err(|_| Misuse::Record)?;
        let due = self.now.after(CERTIFICATE_RENEWAL) > known.not_after();
        if !due || !self.config.identity.has_account_key() || self.asked(Purpose::Renewal)? {
            return Ok(());
        }
        let content = CertificateTbs::inside(certificate.as_slice()).map_err(|_| Misuse::Record)?;
        self.ask_to_certify(Purpose::Renewal, device, content)
    }

    /// The agent has signed the next certificate of another device. Whether that was of any use.
    pub(super) fn renewal_signed(
        &mut self,
        device: u32,
        tbs: &[u8],
        signature: &[u8],
    ) -> Result<bool, Error> {
        let Ok(certificate) = DeviceCertificate::issue(tbs, signature, &self.config.suites) else {
            return Ok(false);
        };
        let account = self.own()?.jid.clone();
        if let Some(id) = self.live_id(&account, device)? {
            let renewed = LinkingMessage::Renewed(certificate.bytes().into());
            self.send_control(&(account, device, id), Control::Linking(renewed.encode().into()))?;
        }
        Ok(true)
    }

    /// Another device has certified this one anew: the same keys, by the same account.
    fn renewed(&mut self, account: &BareJid, certificate: &[u8]) -> Done {
        let Some(known) = self.own_certificate()? else { return Ok(()) };
        let key = Some(known.account_digest());
        let certificate = DeviceCertificate::verify(certificate, key, &self.config.suites, self.now);
        let adopted = match certificate {
            Ok(certificate) => self.adopt_certificate(&certificate)?,
            Err(reason) => Err(reason),
        };
        if let Err(reason) = adopted {
            self.reject(Some(account), reason);
        }
        Ok(())
    }

    /// Takes a verified certificate of this device if it follows the one known: the same keys, by the same account.
    pub(super) fn adopt_certificate(
        &mut self,
        certificate: &DeviceCertificate,
    ) -> Result<Result<(), Reason>, Error> {
        let Some(known) = self.own_certificate()? else { return Ok(Ok(())) };
        let follows = certificate.check_successor_of(&known).and_then(|()| {
            let same = DeviceKeys::of(certificate.bytes())? == DeviceKeys::of(known.bytes())?;
            if same { Ok(()) } else { Err(Misbehaviour::WrongSubject.into()) }
        });
        if follows.is_ok() && certificate.bytes() != known.bytes() {
            let own = self.own_mut()?;
            own.certificate = certificate.bytes().into();
            own.serial = own.serial.max(certificate.serial());
            self.unsettled = true;
        }
        Ok(follows)
    }
}

/// Whether a text may be the name of a device.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

/// Whether `entries` say what `entry` does, or more: one that a full list does not hold is retired.
fn is_said(entries: &[DeviceEntry], entry: &DeviceEntry) -> bool {
    let held = entries.iter().any(|said| said.device == entry.device);
    let full = entries.len() >= MAX_DEVICES && entry.state == DeviceState::Retired;
    !held && full
        || entries.iter().any(|said| {
            let state = said.state == DeviceState::Retired || said.state == entry.state;
            said.device == entry.device && state && said.lowest_serial >= entry.lowest_serial
        })
}

/// `entries`, as `amends` change them: a retirement stays, and so does the highest serial. In order of the devices, so
/// that all devices that add up the same things make the same list. If there are too many, those retired before go, then
/// those retired now.
pub(super) fn amended(entries: &[DeviceEntry], amends: &[DeviceEntry]) -> Vec<DeviceEntry> {
    let mut out = entries.to_vec();
    for amend in amends {
        match out.iter_mut().find(|entry| entry.device == amend.device) {
            Some(entry) => {
                entry.lowest_serial = entry.lowest_serial.max(amend.lowest_serial);
                if amend.state == DeviceState::Retired {
                    entry.state = DeviceState::Retired;
                }
            }
            None => out.push(*amend),
        }
    }
    out.sort_by_key(|entry| entry.device);
    for before in [true, false] {
        let mut excess = out.len().saturating_sub(MAX_DEVICES);
        out.retain(|entry| {
            let now = amends.iter().any(|amend| amend.device == entry.device);
            let goes = excess > 0 && entry.state == DeviceState::Retired && now != before;
            excess -= usize::from(goes);
            !goes
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::draft::testing::drafted;
    use crate::identity::fixture::{Device, now};
    use DeviceState::{Live, Retired};

    fn entry(device: u32, lowest_serial: u32, state: DeviceState) -> DeviceEntry {
        DeviceEntry { device, lowest_serial, state }
    }

    #[test]
    fn amendments_keep_retirements_and_serials_and_give_one_order() {
        let one = [entry(3, 1, Live), entry(1, 2, Retired)];
        let other = [entry(1, 5, Live), entry(2, 1, Live), entry(3, 1, Retired)];
        let both = [entry(1, 5, Retired), entry(2, 1, Live), entry(3, 1, Retired)];
        assert_eq!(amended(&one, &other), both);
        assert_eq!(amended(&other, &one), both);
        assert!(both.iter().all(|entry| is_said(&both, entry)));
        assert!(!is_said(&one, &other[0]) && !is_said(&one, &other[1]) && !is_said(&one, &other[2]));
    }

    #[test]
    fn a_full_list_drops_who_was_retired_before() {
        let full: Vec<_> =
            (1..=32).map(|device| entry(device, 1, if device < 4 { Retired } else { Live })).collect();
        let after = amended(&full, &[entry(40, 1, Live), entry(9, 1, Retired)]);
        assert_eq!(after.len(), MAX_DEVICES);
        assert!(is_said(&after, &entry(40, 1, Live)) && is_said(&after, &entry(9, 1, Retired)));
        assert!(!after.iter().any(|entry| entry.device == 1));
        // Where all live, one that is retired makes room for another.
        let all: Vec<_> = (1..=32).map(|device| entry(device, 1, Live)).collect();
        let after = amended(&all, &[entry(40, 1, Live), entry(9, 1, Retired)]);
        assert_eq!(after.len(), MAX_DEVICES);
        assert!(is_said(&after, &entry(40, 1, Live)) && is_said(&after, &entry(9, 1, Retired)));
        assert!(!is_said(&all, &entry(9, 1, Retired)) && !is_said(&after, &entry(9, 1, Live)));
    }

    #[test]
    fn c8_a_number_that_no_list_holds_is_retired_unless_it_is_the_own_or_can_be_none() {
        let alice = Device::new("alice@example.com", 2);
        let retire = |number| {
            let act = |draft: &mut Draft<'_>| {
                draft.store_list(&alice.jid, &alice.list(3, &[(5, Live)], false)).unwrap();
                draft.retire_device(number).map(|()| draft.own().unwrap().amends.clone())
            };
            drafted(now(), act).0
        };
        for number in [5, 9] {
            assert_eq!(retire(number), Ok(vec![entry(number, 1, Retired)]));
        }
        for number in [7, 0, u32::MAX] {
            assert_eq!(retire(number), Err(Misuse::Device.into()));
        }
    }
}
