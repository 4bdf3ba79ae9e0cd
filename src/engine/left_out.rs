//! What an account's list does not know of, for its maker was not shown the one before: it is shown that.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::LeftOut;
use crate::env::Timestamp;
use crate::error::{Error, Malformed, Misuse, Reason};
use crate::identity::DeviceList;
use crate::jid::BareJid;

/// How long a device is read that a list leaves out: own devices and contacts have the next list name it once one of them
/// has shown its list to one that makes them. Who has stolen it must not be read without end, where the server lets the
/// user's new device hear of nothing.
const LEFT_OUT: Duration = Duration::from_hours(7 * 24);

/// How often each device is shown such a list: it gives one-time prekeys each time, which nobody uses.
const SHOWN_EACH: Duration = Duration::from_hours(24);

impl Draft<'_> {
    /// Keeps the list known if `list`, which comes in its place, does not know of it. Of several the first, unless another
    /// retires what that has.
    pub(super) fn note_left_out(&mut self, jid: &BareJid, list: &DeviceList) -> Done {
        let lacks = |before: &DeviceList| {
            let named = before.entries().iter().any(|entry| list.leaves_out(entry.device));
            before.account() == list.account() && named
        };
        let (kept, known) = (self.left_out(jid)?, self.list_of(jid)?);
        let retires = |known: &DeviceList, kept: &DeviceList| {
            kept.entries().iter().any(|entry| kept.is_live(entry.device) && known.retires(entry.device))
        };
        let newer = |kept: &DeviceList| known.as_ref().is_some_and(|known| retires(known, kept));
        let kept = kept.filter(lacks);
        if kept.as_ref().is_some_and(|kept| !newer(kept)) {
            return Ok(());
        }
        let (since, until) = (self.now, self.now.after(LEFT_OUT));
        let contact = self.contact_mut(jid)?;
        // Who was left out before gets no other week.
        let before = contact.left_out.take().filter(|_| kept.is_some());
        let (until, latest) =
            before.map_or((until, until.after(LEFT_OUT)), |before| (before.until, before.latest));
        contact.left_out = known.filter(lacks).map(|known| LeftOut {
            list: known.bytes().into(),
            until,
            latest,
            since,
            shown: Vec::new(),
        });
        Ok(())
    }

    pub(super) fn left_out(&self, jid: &BareJid) -> Result<Option<DeviceList>, Error> {
        let left_out = self.contact(jid)?.and_then(|contact| contact.left_out.as_ref());
        let list = left_out.map(|left_out| DeviceList::from_store(left_out.list.as_slice()));
        Ok(list.transpose().map_err(|_| Misuse::Record)?)
    }

    /// The time may have come when devices that are left out are read no more; in a catch-up that is later.
    pub(super) fn left_out_due(&mut self, jid: &BareJid, catching_up: Option<Timestamp>) -> Done {
        let now = self.now;
        let left_out = self.contact(jid)?.and_then(|contact| contact.left_out.as_ref());
        let Some(latest) = left_out.filter(|left_out| left_out.until <= now).map(|left_out| left_out.latest)
        else {
            return Ok(());
        };
        let put_off = catching_up.map(|until| until.min(latest)).filter(|until| *until > now);
        let contact = self.contact_mut(jid)?;
        if let (Some(until), Some(left_out)) = (put_off, &mut contact.left_out) {
            left_out.until = until;
            return Ok(());
        }
        contact.left_out = None;
        let Some(list) = self.list_of(jid)? else { return Ok(()) };
        for device in self.devices_of(jid) {
            // One that no list has held may be in one that is about to come.
            let listed = self.device(jid, device)?.is_some_and(|known| known.listed);
            if listed && list.leaves_out(device) {
                self.close_sessions(jid, device)?;
                self.forget_named_by(jid, device)?;
                if let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? {
                    known.listed = false;
                }
            }
        }
        Ok(())
    }

    /// Whether a device is to be shown the list before its account's own one, for that does not know of it.
    pub(super) fn is_to_be_shown(&self, jid: &BareJid, device: u32) -> Result<bool, Error> {
        let Some(left_out) = self.contact(jid)?.and_then(|contact| contact.left_out.as_ref()) else {
            return Ok(false);
        };
        let lately = self.now < left_out.since.after(SHOWN_EACH);
        if lately && left_out.shown.contains(&device) {
            return Ok(false);
        }
        let (Some(before), Some(list)) = (self.left_out(jid)?, self.list_of(jid)?) else { return Ok(false) };
        Ok(list.is_live(device) && !before.holds(device))
    }

    /// Notes that a device is shown the list before the newest: that list.
    pub(super) fn show_left_out(&mut self, jid: &BareJid, device: u32) -> Result<Option<DeviceList>, Error> {
        let now = self.now;
        let before = self.left_out(jid)?;
        if let Some(left_out) = &mut self.contact_mut(jid)?.left_out {
            if now >= left_out.since.after(SHOWN_EACH) {
                left_out.since = now;
                left_out.shown.clear();
            }
            left_out.shown.push(device);
        }
        Ok(before)
    }

    /// Takes the list of the own account that somebody else knows. The server may have it no more, and the devices that
    /// knew it may be lost. A newer one is taken as from the server, and once another of the version if the next can be made
    /// here; of an older one only what the own list does not know of.
    pub(super) fn take_list_shown(
        &mut self,
        own: &BareJid,
        bytes: &[u8],
    ) -> Result<Result<(), Reason>, Error> {
        let Ok(shown) = DeviceList::from_store(bytes) else { return Ok(Err(Malformed::Encoding.into())) };
        let Some(known) = self.list_of(own)? else { return self.take_list(own, bytes) };
        if shown.version() > known.version() {
            return self.take_list(own, bytes);
        }
        if shown.version() == known.version() {
            let makes = self.config.identity.has_account_key() && !self.own()?.list_forked;
            let same = shown.entries() == known.entries() && shown.is_tombstone() == known.is_tombstone();
            return if makes && !same { self.take_list(own, bytes) } else { Ok(Ok(())) };
        }
        let lost = shown.entries().iter().any(|entry| known.lacks(entry));
        if !lost || shown.is_tombstone() {
            return Ok(Ok(()));
        }
        let Some(key) = self.account_key(own)? else { return Ok(Ok(())) };
        match DeviceList::verify(bytes, own, &key, &self.config.suites) {
            Ok(shown) => self.amend_newer(&shown, &known).map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::draft::testing::{drafted, drafted_linked, put_session};
    use crate::engine::records::CatchUp;
    use crate::error::Misbehaviour;
    use crate::identity::DeviceState::{self, Live, Retired};
    use crate::identity::fixture::{Device, now};

    /// Bob, with some of whose devices there are sessions.
    fn with_sessions(draft: &mut Draft<'_>) -> Device {
        let bob = Device::new("bob@example.com", 2);
        for device in [3, 4, 5, 6, 8] {
            let mut known = Device::new("bob@example.com", 2);
            known.id = device;
            draft.introduce(&bob.jid, &known.certificate()).unwrap();
            put_session(draft, &bob.jid, device);
        }
        bob
    }

    /// His list names the devices 3 and 4; then one that does not know of it names 5 and 6. He has a device 8, too.
    fn with_two_lists(draft: &mut Draft<'_>) -> Device {
        let bob = with_sessions(draft);
        draft.store_list(&bob.jid, &bob.list(7, &[(3, Live), (4, Live)], false)).unwrap();
        draft.store_list(&bob.jid, &bob.list(900, &[(5, Live), (6, Live)], false)).unwrap();
        bob
    }

    fn read(draft: &Draft<'_>, bob: &Device) -> Vec<u32> {
        let mut devices = draft.devices_of(&bob.jid);
        devices.retain(|device| !draft.sessions_of(&bob.jid, *device).is_empty());
        devices
    }

    #[test]
    fn c8_after_a_week_only_who_is_left_out_is_read_no_more() {
        drafted(now(), |draft| {
            let bob = with_two_lists(draft);
            draft.close_unlisted(&bob.jid).unwrap();
            assert_eq!(read(draft, &bob), [3, 4, 5, 6]);
        });
        drafted(now(), |draft| {
            let bob = with_two_lists(draft);
            for (days, expected) in [(6, vec![3, 4, 5, 6, 8]), (7, vec![5, 6, 8])] {
                draft.now = now().after(Duration::from_hours(24 * days));
                draft.left_out_due(&bob.jid, None).unwrap();
                assert_eq!(read(draft, &bob), expected);
            }
        });
    }

    /// After the week other devices are left out.
    #[test]
    fn c8_a_device_whose_week_is_over_gets_no_other_with_somebody_else() {
        drafted(now(), |draft| {
            let bob = with_two_lists(draft);
            draft.version_named(&bob.jid, 3, 2000).unwrap();
            draft.now = now().after(LEFT_OUT);
            draft.left_out_due(&bob.jid, None).unwrap();
            assert_eq!(draft.contact(&bob.jid).unwrap().unwrap().list_named, 900);
            draft.store_list(&bob.jid, &bob.list(901, &[(5, Live)], false)).unwrap();
            assert!(draft.left_out(&bob.jid).unwrap().is_some());
            put_session(draft, &bob.jid, 3);
            draft.close_unlisted(&bob.jid).unwrap();
            assert_eq!(read(draft, &bob), [5, 6]);
        });
    }

    #[test]
    fn c8_another_list_in_the_place_of_the_one_before_gives_no_other_week() {
        drafted(now(), |draft| {
            let bob = with_two_lists(draft);
            draft.now = now().after(Duration::from_hours(24 * 6));
            let third = bob.list(901, &[(5, Live), (6, Live), (4, Retired)], false);
            draft.store_list(&bob.jid, &third).unwrap();
            draft.store_list(&bob.jid, &bob.list(902, &[(5, Live)], false)).unwrap();
            assert_eq!(draft.left_out(&bob.jid).unwrap().map(|list| list.version()), Some(901));
            assert_eq!(read(draft, &bob), [3, 5, 6, 8]);
            draft.now = now().after(LEFT_OUT);
            draft.left_out_due(&bob.jid, None).unwrap();
            assert_eq!(read(draft, &bob), [5, 8]);
        });
    }

    /// A list that is full names no other device, and is the answer that came late.
    #[test]
    fn c8_a_new_device_of_a_full_list_is_not_shut_out_by_one_late_answer() {
        drafted(now(), |draft| {
            let bob = Device::new("bob@example.com", 2);
            draft.introduce(&bob.jid, &bob.certificate()).unwrap();
            let full: Vec<_> = (100..132).map(|device| (device, Live)).collect();
            draft.store_list(&bob.jid, &bob.list(900, &full, false)).unwrap();
            assert_eq!(refused(draft, &bob), None);
            let named: Vec<_> = full.iter().skip(1).copied().chain([(bob.id, Live)]).collect();
            draft.store_list(&bob.jid, &bob.list(901, &named, false)).unwrap();
            draft.version_named(&bob.jid, bob.id, 2000).unwrap();
            draft.store_list(&bob.jid, &bob.list(902, &full, false)).unwrap();
            // Of one that stood there before it says that it is no more.
            assert_eq!(refused(draft, &bob), Some(Misbehaviour::Retired.into()));
            assert_eq!(draft.contact(&bob.jid).unwrap().unwrap().list_named, 902);
        });
    }

    #[test]
    fn c8_catching_up_again_and_again_puts_the_end_of_the_week_off_by_another_at_most() {
        drafted(now(), |draft| {
            let bob = with_two_lists(draft);
            for (day, expected) in [(8, true), (10, true), (12, true), (13, true), (14, false)] {
                draft.now = now().after(Duration::from_hours(24 * day));
                let until = draft.now.after(Duration::from_hours(30));
                draft.left_out_due(&bob.jid, Some(until)).unwrap();
                assert_eq!(read(draft, &bob).contains(&3), expected, "{day}");
            }
        });
    }

    #[test]
    fn c10_who_is_left_out_is_read_until_the_archive_has_been() {
        drafted(now(), |draft| {
            let bob = with_two_lists(draft);
            draft.now = now().after(Duration::from_hours(24 * 9));
            let (began, since) = (draft.now, Some(draft.now.as_millis()));
            draft.own_mut().unwrap().catch_up = Some(CatchUp { began, connected: 0, since });
            draft.tick().unwrap();
            assert_eq!(read(draft, &bob), [3, 4, 5, 6, 8]);
            draft.own_mut().unwrap().catch_up = None;
            draft.now = draft.now.after(Duration::from_hours(24));
            let until = draft.catching_up_until().unwrap();
            draft.left_out_due(&bob.jid, until).unwrap();
            assert_eq!(read(draft, &bob), [5, 6, 8]);
        });
    }

    #[test]
    fn c8_each_device_that_may_not_know_of_a_list_is_shown_it_once_a_day() {
        drafted(now(), |draft| {
            let bob = with_two_lists(draft);
            let shown = |draft: &Draft<'_>| {
                let to_be = |device: &u32| draft.is_to_be_shown(&bob.jid, *device).unwrap();
                draft.devices_of(&bob.jid).into_iter().filter(to_be).collect::<Vec<_>>()
            };
            assert_eq!(shown(draft), [5, 6]);
            let before = draft.show_left_out(&bob.jid, 5).unwrap().unwrap();
            assert_eq!(before.version(), 7);
            assert_eq!(shown(draft), [6]);
            draft.now = draft.now.after(Duration::from_hours(24));
            assert_eq!(shown(draft), [5, 6]);
            draft.show_left_out(&bob.jid, 6).unwrap();
            assert_eq!(shown(draft), [5]);
            let both = [(3, Retired), (4, Live), (5, Live), (6, Live)];
            draft.store_list(&bob.jid, &bob.list(901, &both, false)).unwrap();
            assert_eq!(shown(draft), []);
        });
    }

    #[test]
    fn c8_of_an_older_list_that_is_shown_what_the_own_one_does_not_say_is_taken() {
        let alice = Device::new("alice@example.com", 2);
        let own = [(1, Live), (7, Live), (8, Live)];
        let taken = |known: &[(u32, DeviceState)], shown: &[(u32, DeviceState)]| {
            let act = |draft: &mut Draft<'_>| {
                draft.store_list(&alice.jid, &alice.list(1001, known, false)).unwrap();
                let shown = alice.list(6, shown, false);
                assert_eq!(draft.take_list_shown(&alice.jid, shown.bytes()).unwrap(), Ok(()));
                let amends = draft.own().unwrap().amends.clone();
                amends.iter().map(|entry| (entry.device, entry.state)).collect::<Vec<_>>()
            };
            drafted_linked(&alice, now(), act).0
        };
        assert_eq!(taken(&own, &[(1, Live), (8, Retired)]), [(8, Retired)]);
        assert_eq!(taken(&own, &[(1, Live), (2, Live), (3, Retired)]), [(2, Live), (3, Retired)]);
        assert_eq!(taken(&[(1, Retired), (7, Live)], &[(1, Live), (7, Live)]), []);
        let full: Vec<_> = (1..=32).map(|device| (device, Live)).collect();
        assert_eq!(taken(&full, &[(40, Live), (41, Retired)]), []);
        assert_eq!(taken(&full, &[(40, Live), (9, Retired)]), [(9, Retired)]);
    }

    #[test]
    fn c8_of_two_lists_before_the_one_is_shown_that_retires_a_device_of_the_other() {
        let bob = Device::new("bob@example.com", 2);
        let kept = |third: DeviceState| {
            let lists = [
                bob.list(1, &[(3, Live), (4, Live)], false),
                bob.list(2, &[(5, Live)], false),
                bob.list(3, &[(5, Live), (4, third)], false),
                bob.list(4, &[(6, Live)], false),
            ];
            let act = |draft: &mut Draft<'_>| {
                for list in &lists {
                    draft.store_list(&bob.jid, list).unwrap();
                }
                draft.left_out(&bob.jid).unwrap().unwrap().version()
            };
            drafted(now(), act).0
        };
        assert_eq!([Live, Retired].map(kept), [1, 3]);
    }

    /// Why a handshake of Bob's device is not admitted that names a version after all of these lists.
    fn refused(draft: &mut Draft<'_>, bob: &Device) -> Option<Reason> {
        draft.may_be_admitted(&bob.jid, bob.id, &bob.certificate(), 2000).unwrap().err()
    }

    #[test]
    fn c8_a_device_that_claims_falsely_to_stand_in_a_newer_list_is_soon_not_believed() {
        drafted(now(), |draft| {
            let bob = Device::new("bob@example.com", 2);
            draft.introduce(&bob.jid, &bob.certificate()).unwrap();
            draft.store_list(&bob.jid, &bob.list(900, &[(9, Live)], false)).unwrap();
            let named = |draft: &Draft<'_>| draft.contact(&bob.jid).unwrap().unwrap().list_named;
            for _ in 0..3 {
                assert_eq!(refused(draft, &bob), None);
                put_session(draft, &bob.jid, bob.id);
                draft.version_named(&bob.jid, bob.id, 2000).unwrap();
                // A server may be silent, and the list come late: until then it is asked for.
                assert_eq!(named(draft), 2000);
                draft.close_unlisted(&bob.jid).unwrap();
                draft.close_unlisted(&bob.jid).unwrap();
                assert!(draft.sessions_of(&bob.jid, bob.id).is_empty());
                assert!(draft.has_closed(&bob.jid).unwrap());
            }
            assert_eq!(refused(draft, &bob), Some(Misbehaviour::Retired.into()));
            draft.version_named(&bob.jid, bob.id, 2001).unwrap();
            assert_eq!(named(draft), 900);
            // Until a list names it.
            draft.store_list(&bob.jid, &bob.list(901, &[(9, Live), (bob.id, Live)], false)).unwrap();
            assert_eq!(refused(draft, &bob), None);
            assert!(!draft.has_closed(&bob.jid).unwrap());
        });
    }

    #[test]
    fn c8_a_device_that_was_retired_before_it_was_known_is_not_admitted_by_its_own_word() {
        for (state, expected) in [(Live, None), (Retired, Some(Misbehaviour::Retired.into()))] {
            drafted(now(), |draft| {
                let bob = Device::new("bob@example.com", 2);
                draft.store_list(&bob.jid, &bob.list(7, &[(3, Live), (bob.id, state)], false)).unwrap();
                draft.store_list(&bob.jid, &bob.list(900, &[(9, Live)], false)).unwrap();
                assert_eq!(refused(draft, &bob), expected);
            });
        }
    }
}
