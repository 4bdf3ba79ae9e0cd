//! What an account's list does not know of, for its maker was not shown the one before: it is shown that.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{LeftOut, Resource};
use crate::env::Timestamp;
use crate::error::{Error, Malformed, Misuse, Reason};
use crate::identity::DeviceList;
use crate::jid::BareJid;

/// How long a device is read that a list leaves out: own devices and contacts have the next list name it as soon as one
/// of them and one that makes lists are online. Who has stolen it must not be read without end, where the server lets the
/// user's new device hear of nothing.
const LEFT_OUT: Duration = Duration::from_hours(7 * 24);

/// How often a device is shown such a list, each time for one-time prekeys that nobody uses.
const SHOWN_EACH: Duration = Duration::from_hours(24);

impl Draft<'_> {
    /// Keeps the list known if `list`, which comes in its place, does not know of it; the first of several.
    pub(super) fn note_left_out(&mut self, jid: &BareJid, list: &DeviceList) -> Done {
        let lacks = |before: &DeviceList| {
            let named = before.entries().iter().any(|entry| list.leaves_out(entry.device));
            before.account() == list.account() && named
        };
        let kept = self.left_out(jid)?;
        if kept.is_some_and(|kept| lacks(&kept)) {
            return Ok(());
        }
        let known = self.list_of(jid)?.filter(lacks);
        let until = self.now.after(LEFT_OUT);
        self.contact_mut(jid)?.left_out =
            known.map(|known| LeftOut { list: known.bytes().into(), until, shown: Timestamp::default() });
        Ok(())
    }

    fn left_out(&self, jid: &BareJid) -> Result<Option<DeviceList>, Error> {
        let left_out = self.contact(jid)?.and_then(|contact| contact.left_out.as_ref());
        let list = left_out.map(|left_out| DeviceList::from_store(left_out.list.as_slice()));
        Ok(list.transpose().map_err(|_| Misuse::Record)?)
    }

    /// The time may have come when devices that are left out are read no more; in a catch-up that is later.
    pub(super) fn left_out_due(&mut self, jid: &BareJid, catching_up: Option<Timestamp>) -> Done {
        let left_out = self.contact(jid)?.and_then(|contact| contact.left_out.as_ref());
        if left_out.is_none_or(|left_out| left_out.until > self.now) {
            return Ok(());
        }
        let contact = self.contact_mut(jid)?;
        if let (Some(until), Some(left_out)) = (catching_up, &mut contact.left_out) {
            left_out.until = until;
            return Ok(());
        }
        contact.left_out = None;
        self.close_unlisted(jid)
    }

    /// A list of before, if one of these devices is to be shown it: its own list does not know of it.
    pub(super) fn list_to_show<'r>(
        &self,
        jid: &BareJid,
        mut resources: impl Iterator<Item = &'r Resource>,
    ) -> Result<Option<(&'r Resource, DeviceList)>, Error> {
        let contact = self.contact(jid)?;
        let due = |left_out: &LeftOut| self.now >= left_out.shown.after(SHOWN_EACH);
        if contact.and_then(|contact| contact.left_out.as_ref()).is_none_or(|left_out| !due(left_out)) {
            return Ok(None);
        }
        let (Some(before), Some(list)) = (self.left_out(jid)?, self.list_of(jid)?) else { return Ok(None) };
        let lacks = |resource: &&Resource| list.is_live(resource.device) && !before.holds(resource.device);
        Ok(resources.find(lacks).map(|resource| (resource, before)))
    }

    pub(super) fn left_out_shown(&mut self, jid: &BareJid) -> Done {
        let now = self.now;
        if let Some(left_out) = &mut self.contact_mut(jid)?.left_out {
            left_out.shown = now;
        }
        Ok(())
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
        let lost = shown.entries().iter().any(|entry| known.leaves_out(entry.device));
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
