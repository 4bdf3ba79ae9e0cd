//! Device lists, of other accounts and the own one: which is believed, and what it ends.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::fetch::RETRY;
use crate::engine::records::{Device, LinkingStage};
use crate::error::{Error, Misuse, Reason};
use crate::identity::{DeviceCertificate, DeviceEntry, DeviceList, DeviceState, TOLERANCE};
use crate::jid::BareJid;
use crate::step::Event;

/// A list that is older than one named is asked for again after [`RETRY`], and each time after twice as long, up to
/// this: another device may be about to put its newer one there, and who withholds it is not to be asked for ever.
const MAX_WITHHELD: Duration = Duration::from_hours(24);

/// So often the sessions are closed of a device that no list lets live, and its word that one is to come is not taken
/// any more: servers may be silent, or have the list late.
const MAX_CLOSED: u8 = 3;

impl Device {
    /// Whether its word that a newer list lets it live has proven false.
    pub(super) fn is_disproved(&self) -> bool {
        self.closed >= MAX_CLOSED
    }
}

impl Draft<'_> {
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
        }
        for device in live.clone() {
            if self.is_gone(jid, device)? {
                live.retain(|live| *live != device);
            }
        }
        self.tell_devices(jid, &live, list)?;
        self.note_left_out(jid, list)?;
        let contact = self.contact_mut(jid)?;
        contact.list = list.bytes().into();
        contact.list_version = list.version();
        contact.list_named = contact.list_named.max(list.version());
        let named_by = contact.list_named_by;
        if list.retires(named_by) {
            self.forget_named_by(jid, named_by)?;
        }
        let contact = self.contact_mut(jid)?;
        contact.live.clone_from(&live);
        for device in self.devices_of(jid) {
            self.judge(jid, device, Some(list))?;
            if !live.contains(&device)
                && !list.leaves_out(device)
                && let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))?
                && (known.listed || list.holds(device))
            {
                // It stays gone whatever later lists say or do not say of it.
                known.listed = false;
                known.closed = MAX_CLOSED;
                known.retired |= list.holds(device);
                self.forget_named_by(jid, device)?;
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
                // It was left out, or no list has held it yet, and it was never told as gone.
                let listed = self.device(jid, device)?.is_some_and(|known| known.listed);
                if last.leaves_out(device) && (listed || list.retires(device)) {
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
    /// for a while, until a list says of it or is full.
    pub(super) fn close_unlisted(&mut self, jid: &BareJid) -> Done {
        let Some(list) = self.list_of(jid)? else { return Ok(()) };
        let Some(contact) = self.contact(jid)? else { return Ok(()) };
        let (live, read) = (contact.live.clone(), contact.left_out.is_some());
        for device in self.devices_of(jid) {
            let listed = self.device(jid, device)?.is_some_and(|known| known.listed);
            let stays = live.contains(&device) || read && listed && list.leaves_out(device);
            if !stays {
                self.close_unread(jid, device)?;
            }
        }
        Ok(())
    }

    /// No list lets a device live. If that had sessions, its word that a list is to come is soon not taken any more.
    pub(super) fn close_unread(&mut self, jid: &BareJid, device: u32) -> Done {
        let had = !self.sessions_of(jid, device).is_empty();
        self.close_sessions(jid, device)?;
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))?.filter(|_| had) else {
            return Ok(());
        };
        known.closed = known.closed.saturating_add(1);
        if known.is_disproved() { self.forget_named_by(jid, device) } else { Ok(()) }
    }

    /// Whatever version a device has named, there may be none.
    pub(super) fn forget_named_by(&mut self, jid: &BareJid, device: u32) -> Done {
        let contact = self.contact_mut(jid)?;
        if contact.list_named_by == device {
            contact.list_named = contact.list_version;
        }
        Ok(())
    }

    /// Whether sessions of a device were closed since no list lets it live: it may be one that is late.
    pub(super) fn has_closed(&self, jid: &BareJid) -> Result<bool, Error> {
        for device in self.devices_of(jid) {
            if self.device(jid, device)?.is_some_and(|known| known.closed > 0 && !known.retired) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A device has named a version of its account's list. One whose word is not taken names none.
    pub(super) fn version_named(&mut self, jid: &BareJid, device: u32, version: u32) -> Done {
        if self.device(jid, device)?.is_some_and(Device::is_disproved) {
            return Ok(());
        }
        let contact = self.contact_mut(jid)?;
        if version > contact.list_named {
            (contact.list_named, contact.list_named_by) = (version, device);
        }
        Ok(())
    }

    /// Whether a device has ever been known to be retired, whatever later lists say: their makers may not have known it.
    pub(super) fn is_gone(&self, jid: &BareJid, device: u32) -> Result<bool, Error> {
        let own = self.own()?;
        let retires = |entry: &DeviceEntry| entry.device == device && entry.state == DeviceState::Retired;
        // Where the list can be signed, that closes the session when it has told the device.
        let signs = self.config.identity.has_account_key();
        let amended = !signs && own.jid == *jid && own.amends.iter().any(retires);
        Ok(amended || self.device(jid, device)?.is_some_and(|known| known.retired))
    }

    /// Tells of a list that is older than one named, once for each stream, and notes when it is asked for again.
    pub(super) fn list_withheld(&mut self, jid: &BareJid) -> Done {
        let now = self.now;
        let contact = self.contact_mut(jid)?;
        if contact.list_named <= contact.list_version {
            contact.withheld = 0;
            return Ok(());
        }
        let first = contact.withheld == 0;
        let wait = (RETRY * (1 << contact.withheld.min(16))).min(MAX_WITHHELD);
        contact.withheld = contact.withheld.saturating_add(1);
        contact.retry_at = Some(now.after(wait).as_millis());
        if first {
            self.notify(Event::ListWithheld { peer: jid.clone() });
        }
        Ok(())
    }

    /// Whether a device that has the account key's word is there, or was to be read, and the list does not hold it: of
    /// two lists made at once this may be the one that does not know of the other.
    pub(super) fn shows_unlisted(&self, jid: &BareJid) -> Result<bool, Error> {
        let (Some(contact), Some(list)) = (self.contact(jid)?, self.list_of(jid)?) else { return Ok(false) };
        for resource in contact.resources.iter().filter(|resource| resource.available) {
            if !list.holds(resource.device) && self.device(jid, resource.device)?.is_some() {
                return Ok(true);
            }
        }
        for key in self.troubles_of(jid) {
            if !list.holds(key.1) && self.state.troubles.get(&key)?.is_some_and(|trouble| trouble.open) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Another own device names this version of the own list. If it has an older one than this device, that may stand on
    /// the server in the place of ours.
    pub(super) fn own_list_named(&mut self, jid: &BareJid, version: u32) -> Done {
        let behind = self.contact(jid)?.is_some_and(|own| version < own.list_version);
        if behind && self.own()?.jid == *jid { self.look_at_list(jid, Duration::ZERO) } else { Ok(()) }
    }

    /// Has the list of an account looked at in a while, and not so soon after the last time.
    pub(super) fn look_at_list(&mut self, jid: &BareJid, rest: Duration) -> Done {
        let soon = self.now.after(RETRY);
        let contact = self.contact_mut(jid)?;
        if !contact.wanted && contact.retry_at.is_none() {
            contact.retry_at = Some(soon.max(contact.checked.after(rest)).as_millis());
        }
        Ok(())
    }

    /// Notes until when a device may be sent to, by its certificate and its account's list.
    pub(super) fn judge(&mut self, jid: &BareJid, device: u32, list: Option<&DeviceList>) -> Done {
        let gone = self.is_gone(jid, device)?;
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? else { return Ok(()) };
        let certificate = DeviceCertificate::from_store(known.certificate.as_slice());
        let certificate = certificate.map_err(|_| Misuse::Record)?;
        let accepted = !gone && list.is_some_and(|list| list.accepts(&certificate).is_ok());
        known.good_until = if accepted { certificate.not_after().after(TOLERANCE).as_secs() } else { 0 };
        if !accepted {
            return Ok(());
        }
        known.listed = true;
        known.closed = 0;
        self.listed(jid, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::draft::testing::{drafted, drafted_linked};
    use crate::env::Timestamp;
    use crate::identity::fixture::{Device as Fixture, now};

    use DeviceState::{Live, Retired};

    /// What is told of these lists of an account, taken one after the other.
    fn events(of: &Fixture, lists: &[DeviceList]) -> Vec<Event> {
        taken(of, lists).1
    }

    /// The same, and whether the account's own device counts as listed in the end.
    fn taken(of: &Fixture, lists: &[DeviceList]) -> (bool, Vec<Event>) {
        drafted(now(), |draft| {
            draft.introduce(&of.jid, &of.certificate()).unwrap();
            for list in lists {
                draft.store_list(&of.jid, list).unwrap();
            }
            draft.device(&of.jid, of.id).unwrap().unwrap().listed
        })
    }

    #[test]
    fn c8_a_version_is_asked_for_until_a_list_retires_who_has_named_it() {
        let bob = Fixture::new("bob@example.com", 2);
        let wanted = |state| {
            let lists =
                [bob.list(1, &[(3, Live), (8, Live)], false), bob.list(2, &[(3, state), (8, Live)], false)];
            let act = |draft: &mut Draft<'_>| {
                draft.store_list(&bob.jid, &lists[0]).unwrap();
                draft.version_named(&bob.jid, 8, 2).unwrap();
                draft.version_named(&bob.jid, 3, u32::MAX).unwrap();
                draft.version_named(&bob.jid, 8, 5).unwrap();
                draft.store_list(&bob.jid, &lists[1]).unwrap();
                draft.contact(&bob.jid).unwrap().unwrap().list_named
            };
            drafted(now(), act).0
        };
        assert_eq!([Live, Retired].map(wanted), [u32::MAX, 2]);
    }

    /// The server has shown no list where the third one was made, and an old one there.
    #[test]
    fn c8_a_device_that_a_list_has_retired_stays_so_whatever_lists_come() {
        let bob = Fixture::new("bob@example.com", 2);
        let lists = [
            bob.list(5, &[(1, Live), (bob.id, Live)], false),
            bob.list(6, &[(1, Live), (bob.id, Retired)], false),
            bob.list(1000, &[(9, Live)], false),
            bob.list(1001, &[(1, Live), (9, Live), (bob.id, Live)], false),
        ];
        let (lives, events) = drafted(now(), |draft| {
            draft.introduce(&bob.jid, &bob.certificate()).unwrap();
            let lives = lists.iter().map(|list| {
                assert_eq!(draft.take_list(&bob.jid, list.bytes()).unwrap(), Ok(()));
                let listed = draft.contact(&bob.jid).unwrap().unwrap().live.contains(&bob.id);
                let good = draft.device(&bob.jid, bob.id).unwrap().unwrap().is_good(draft.now);
                (listed, good)
            });
            lives.collect::<Vec<_>>()
        });
        assert_eq!(lives, [(true, true), (false, false), (false, false), (false, false)]);
        assert_eq!(events, [Event::DeviceRetired { peer: bob.jid.clone(), device: bob.id }]);
    }

    /// It cannot have a list signed.
    #[test]
    fn c8_what_a_linked_device_knows_as_retired_is_not_sealed_to_though_it_was_never_known() {
        let alice = Fixture::new("alice@example.com", 2);
        let lists = [
            alice.list(5, &[(1, Live), (7, Live), (alice.id, Retired)], false),
            alice.list(1000, &[(9, Live)], false),
            alice.list(1001, &[(1, Live), (7, Live), (9, Live), (alice.id, Live)], false),
        ];
        let ((listed, good), _) = drafted_linked(&alice, now(), |draft| {
            for list in &lists {
                assert_eq!(draft.take_list(&alice.jid, list.bytes()).unwrap(), Ok(()));
            }
            draft.introduce(&alice.jid, &alice.certificate()).unwrap();
            draft.judge(&alice.jid, alice.id, Some(&lists[2])).unwrap();
            let listed = draft.contact(&alice.jid).unwrap().unwrap().live.contains(&alice.id);
            (listed, draft.device(&alice.jid, alice.id).unwrap().unwrap().is_good(draft.now))
        });
        assert_eq!((listed, good), (false, false));
    }

    #[test]
    fn the_first_version_is_the_time_and_leaves_room_for_more() {
        let bob = Fixture::new("bob@example.com", 2);
        let last = bob.list(u32::MAX, &[], false);
        let next = |at, list: Option<&DeviceList>| drafted(at, |draft| draft.next_version(list)).0;
        assert_eq!(next(now(), None), now().as_secs());
        assert_eq!(next(Timestamp::from_secs(u32::MAX), None), u32::MAX - (1 << 16));
        assert_eq!(next(now(), Some(&bob.list(5, &[], false))), 6);
        assert_eq!(next(now(), Some(&last)), u32::MAX);
    }

    #[test]
    fn c12_a_device_that_the_list_takes_away_is_told() {
        let bob = Fixture::new("bob@example.com", 2);
        let first = bob.list(1, &[(7, Live), (8, Live)], false);
        let second = bob.list(2, &[(7, Live), (8, Retired), (9, Live)], false);
        let third = bob.list(3, &[(7, Retired), (8, Retired), (9, Live)], false);
        let gone = bob.list(4, &[(7, Retired), (8, Retired), (9, Retired)], true);
        let retired = |device| Event::DeviceRetired { peer: bob.jid.clone(), device };
        assert_eq!(events(&bob, &[first, second, third, gone]), [retired(8), retired(7)]);
    }

    #[test]
    fn c12_a_device_that_a_list_leaves_out_is_told_as_retired_only_if_there_was_no_room_for_it() {
        let bob = Fixture::new("bob@example.com", 2);
        let first = bob.list(1, &[(7, Live), (8, Live)], false);
        let full: Vec<_> = (8..8 + 32).map(|device| (device, Live)).collect();
        let [beside, full] = [&full[..31], &full].map(|entries| bob.list(2, entries, false));
        assert_eq!(events(&bob, &[first.clone(), beside]), []);
        let retired = Event::DeviceRetired { peer: bob.jid.clone(), device: 7 };
        assert_eq!(events(&bob, &[first, full]), [retired]);
    }

    #[test]
    fn c8_a_device_that_was_retired_or_had_no_room_is_not_one_that_a_later_list_leaves_out() {
        let bob = Fixture::new("bob@example.com", 2);
        let first = bob.list(1, &[(bob.id, Live)], false);
        let without = bob.list(9, &[(3, Live)], false);
        assert!(taken(&bob, &[first.clone(), without.clone()]).0);
        let full: Vec<_> = (100..132).map(|device| (device, Live)).collect();
        for gone in [bob.list(2, &[(bob.id, Retired)], false), bob.list(2, &full, false)] {
            assert!(!taken(&bob, &[first.clone(), gone, without.clone()]).0);
        }
    }

    #[test]
    fn c12_a_device_that_the_first_list_which_names_it_retires_is_told() {
        let bob = Fixture::new("bob@example.com", 2);
        let lists = [bob.list(1, &[(7, Live)], false), bob.list(2, &[(7, Live), (bob.id, Retired)], false)];
        assert_eq!(events(&bob, &lists), [Event::DeviceRetired { peer: bob.jid.clone(), device: bob.id }]);
    }

    #[test]
    fn c12_a_device_that_the_own_list_adds_or_takes_away_is_told() {
        let alice = Fixture::new("alice@example.com", 2);
        // There before this device; then this device; then the rest.
        let lists = [
            alice.list(1, &[(8, Live)], false),
            alice.list(2, &[(8, Live), (7, Live)], false),
            alice.list(3, &[(8, Live), (7, Live), (9, Live)], false),
            alice.list(4, &[(8, Retired), (7, Live), (9, Live)], false),
            alice.list(5, &[(8, Retired), (7, Retired), (9, Live)], false),
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
            alice.list(1, &[(8, Live), (7, Live)], false),
            alice.list(2, &[(8, Retired), (7, Live), (9, Live)], false),
            alice.list(2, &[(8, Live), (7, Live), (10, Live)], false),
            alice.list(3, &[(8, Retired), (7, Live), (9, Live), (10, Live)], false),
        ];
        let told = events(&alice, &lists);
        let retired = |event: &&Event| matches!(event, Event::DeviceRetired { device, .. } if *device != 8);
        assert_eq!(told.iter().filter(retired).count(), 0, "{told:?}");
        let retired = Event::DeviceRetired { peer: alice.jid.clone(), device: 8 };
        assert!(told.contains(&retired));
    }
}
