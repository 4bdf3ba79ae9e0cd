//! The own account's devices: the list that says which live, retiring one, and their names.

use crate::agent::Operation;
use crate::engine::asks::operation;
use crate::engine::draft::{Done, Draft};
use crate::engine::pep;
use crate::engine::records::{Purpose, Query};
use crate::error::{Error, Misuse};
use crate::identity::{DeviceCertificate, DeviceEntry, DeviceList, DeviceState, ListTbs, MAX_DEVICES};
use crate::jid::BareJid;
use crate::step::Event;

/// The longest name of a device, in bytes: a line on any screen.
pub(super) const MAX_NAME: usize = 64;

impl Draft<'_> {
    /// Has the list say what it lacks: this device, and what its amendments say.
    pub(super) fn settle_list(&mut self, account: &BareJid, certificate: &DeviceCertificate) -> Done {
        let list = self.list_of(account)?;
        if list.is_none() && self.own()?.list_refused {
            return Ok(());
        }
        let known = list.as_ref().map_or(&[][..], DeviceList::entries);
        let entry = known.iter().find(|entry| entry.device == certificate.device());
        if entry.is_some_and(|entry| entry.state == DeviceState::Retired) {
            // Another device of the account has retired this one; a retired device lives no more.
            self.own_mut()?.left = true;
            self.notify(Event::Retired);
            return Ok(());
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
            return Ok(());
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
        let version = list.as_ref().map_or(0, DeviceList::version).saturating_add(1);
        let tbs = ListTbs::new(account, certificate.account(), version, entries, false).encode();
        self.ask_once(Purpose::List, || operation(Operation::sign_device_list(tbs)))
    }

    /// The agent has signed a list. Whether it was of any use.
    pub(super) fn list_signed(&mut self, list: &DeviceList) -> Result<bool, Error> {
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let known = self.list_of(&account)?;
        if known.as_ref().is_some_and(|known| list.check_successor_of(known).is_err()) {
            // Another has come meanwhile; this one is made anew after it.
            return Ok(true);
        }
        let retired = |entry: &&DeviceEntry| {
            entry.state == DeviceState::Retired && known.as_ref().is_some_and(|known| known.is_live(entry.device))
        };
        let retired: Vec<u32> = list.entries().iter().filter(retired).map(|entry| entry.device).collect();
        for device in &retired {
            // Its session closes with the list, which tells it why.
            if let Some(id) = self.device(&account, *device)?.and_then(|known| known.live) {
                let version = crate::stanza::Control::ListVersion(list.version());
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

    /// Tells the devices that there is a session with of a new version of the list, once it can be fetched.
    pub(super) fn settle_announcement(&mut self, account: &BareJid) -> Done {
        let version = self.contact(account)?.map_or(0, |contact| contact.list_version);
        let own = self.own()?;
        if own.announced >= version || !own.list_published && own.publish_fault.is_none() {
            return Ok(());
        }
        self.own_mut()?.announced = version;
        self.announce_list(version)
    }

    /// What a list of the own account, made elsewhere at the same time, lacks of the one known here, is said again in
    /// the next: no retirement and no device is lost.
    pub(super) fn amend_after(&mut self, known: &DeviceList, taken: &DeviceList) -> Done {
        let lost: Vec<DeviceEntry> =
            known.entries().iter().filter(|entry| !is_said(taken.entries(), entry)).copied().collect();
        for entry in lost {
            self.amend(entry)?;
        }
        Ok(())
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
        let Some(list) = self.list_of(&account)? else { return Err(Misuse::Device.into()) };
        let Some(entry) = list.entries().iter().find(|entry| entry.device == device).copied() else {
            return Err(Misuse::Device.into());
        };
        if entry.state == DeviceState::Retired || self.own()?.left {
            return Ok(());
        }
        if !self.config.identity.has_account_key() {
            self.notify(Event::AgentFailed);
            return Ok(());
        }
        if device == me {
            self.end_held()?;
        }
        // Asked for by the user, an agent that refused before may do it now.
        self.own_mut()?.agent_retry_at = None;
        self.amend(DeviceEntry { state: DeviceState::Retired, ..entry })
    }
}

/// Whether `entries` say what `entry` does, or more.
fn is_said(entries: &[DeviceEntry], entry: &DeviceEntry) -> bool {
    entries.iter().any(|said| {
        let state = said.state == DeviceState::Retired || said.state == entry.state;
        said.device == entry.device && state && said.lowest_serial >= entry.lowest_serial
    })
}

/// `entries`, as `amends` change them: a retirement stays, and so does the highest serial. In order of the devices, so
/// that all devices that add up the same things make the same list. If there are too many, those retired before go.
fn amended(entries: &[DeviceEntry], amends: &[DeviceEntry]) -> Vec<DeviceEntry> {
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
    let mut excess = out.len().saturating_sub(MAX_DEVICES);
    out.retain(|entry| {
        let old = entry.state == DeviceState::Retired && amends.iter().all(|amend| amend.device != entry.device);
        let goes = excess > 0 && old;
        excess -= usize::from(goes);
        !goes
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }
}
