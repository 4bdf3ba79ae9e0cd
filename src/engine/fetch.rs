//! Fetching the keys of an account: its records and its list from PEP, else from a device itself.
//!
//! One request is outstanding for each account, and for a few accounts at once ([`super::slots`]). [`Draft::pursue`] looks at what is known and takes
//! the next step, or ends the fetch and lets waiting stanzas go.

use core::time::Duration;

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::pep;
use crate::engine::records::{Contact, Query, Request, Resource};
use crate::env::Timestamp;
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason, Unreadable};
use crate::identity::{DeviceList, MAX_LIST, MAX_RECORD};
use crate::jid::{Address, BareJid};
use crate::stanza::Element;
use crate::step::{Effect, Event};
use crate::wire::from_base64;

/// What has been tried in a fetch.
pub(super) const RECORDS: u8 = 1;
pub(super) const LIST: u8 = 2;
pub(super) const KEYS: u8 = 4;

/// What the ids of the engine's own iqs begin with.
const ID_PREFIX: &str = "e2e-";

/// Some clients never answer an iq they do not know.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A server that gave no answer is asked again after so long, and each time after twice as long...
pub(super) const RETRY: Duration = Duration::from_secs(30);

/// ...up to this: who comes back after a day is not kept waiting for another.
const MAX_RETRY: Duration = Duration::from_hours(1);

/// So many fetches without an answer, in half an hour, and an advert that they were for is refused. A message that
/// waits goes on waiting.
const MAX_SILENCES: u8 = 6;

/// Each fetch without an answer doubles the patience of the next, so often: a server that is slow is no longer
/// asked faster than it answers.
const MAX_PATIENCE: u8 = 3;

/// For so long after the own presence those of contacts are still coming in: that nothing was found for one says nothing
/// yet.
const GATHERING: Duration = Duration::from_secs(10);

/// How long what a fetch found, or did not find, is believed before a send asks again.
pub(super) const FRESH: Duration = Duration::from_mins(10);

impl Draft<'_> {
    /// Sends an iq of the engine. `to` is empty for the own account.
    pub(super) fn request(&mut self, to: &str, query: Query, kind: &'static str, payload: &str) -> Done {
        self.request_of(to, 0, query, kind, payload)
    }

    /// The same, to one of the peer's devices.
    pub(super) fn request_of(
        &mut self,
        to: &str,
        device: u32,
        query: Query,
        kind: &'static str,
        payload: &str,
    ) -> Done {
        let number = self.count(|counters| &mut counters.request)?;
        // The random part keeps others from guessing an id to answer.
        let id = format!("{ID_PREFIX}{:016x}-{number}", self.rng.next_u64());
        let stanza = pep::iq(kind, &id, to, payload);
        let mut request = Request { to: to.to_owned(), device, query, deadline: self.now };
        let asked = self.asked_account(&request)?;
        let silences = self.contact(&asked)?.map_or(0, |contact| contact.silences);
        request.deadline = self.now.after(REQUEST_TIMEOUT * (1 << silences.min(MAX_PATIENCE)));
        self.state.requests.put(id, request);
        self.send(stanza, None)
    }

    /// A new stream: no open iq will be answered.
    pub(super) fn fail_requests(&mut self) -> Done {
        for key in self.state.requests.all_keys() {
            let Some(request) = self.state.requests.get(&key)?.cloned() else { continue };
            self.state.requests.remove(&key);
            if matches!(request.query, Query::List | Query::Records | Query::Keys) {
                let jid = self.asked_account(&request)?;
                let contact = self.contact_mut(&jid)?;
                contact.fetching = false;
                contact.tried = 0;
                contact.unanswered = false;
                contact.withheld = 0;
            }
        }
        // Another stream may have better luck.
        for jid in self.state.contacts.due(Timestamp::MAX) {
            if self.contact(&jid)?.is_none_or(|contact| contact.retry_at.is_none()) {
                continue;
            }
            let contact = self.contact_mut(&jid)?;
            contact.retry_at = None;
            contact.wanted = true;
            contact.withheld = 0;
        }
        if self.own()?.publishing.is_some() {
            self.own_mut()?.publishing = None;
        }
        // Handshakes that waited for one-time prekeys start anew with the next send.
        for key in self.state.openings.all_keys() {
            self.opening_disconnected(&key)?;
        }
        Ok(())
    }

    pub(super) fn asked_account(&self, request: &Request) -> Result<BareJid, Error> {
        if request.to.is_empty() {
            return Ok(self.own()?.jid.clone());
        }
        Ok(Address::parse(&request.to).map_err(|_| Misuse::Record)?.bare)
    }

    /// The next step of the fetch for `jid`, if one is wanted. If too many are under way, its turn
    /// comes when one ends.
    pub(super) fn pursue(&mut self, jid: &BareJid) -> Done {
        let own = self.own()?;
        let mine = own.jid == *jid;
        let to = if mine { "" } else { jid.as_str() };
        let connected = own.connected;
        let Some(contact) = self.contact(jid)? else { return Ok(()) };
        let idle = !contact.wanted || contact.fetching || contact.retry_at.is_some();
        if idle || !connected || !self.may_fetch(jid)? {
            return Ok(());
        }
        let known = !self.devices_of(jid).is_empty() || mine;
        let withheld = contact.list_named > contact.list_version;
        let list_lacks = contact.list.as_slice().is_empty() || withheld || self.shows_unlisted(jid)?;
        let step = if contact.tried & RECORDS == 0 {
            RECORDS
        } else if contact.tried & LIST == 0 && known && (list_lacks || mine || self.has_closed(jid)?) {
            LIST
        } else {
            KEYS
        };
        if step == KEYS {
            let unsolved = !contact.pending.is_empty() || known && list_lacks && (!mine || withheld);
            let Some((resource, list)) = self.device_to_ask(jid, unsolved, withheld)? else {
                return self.fetched(jid);
            };
            self.mark_fetching(jid, KEYS)?;
            let to = format!("{}/{}", jid.as_str(), resource.name);
            let ask = pep::ask_keys(list.as_ref().map_or(&[], DeviceList::bytes));
            return self.request_of(&to, resource.device, Query::Keys, "get", &ask);
        }
        self.mark_fetching(jid, step)?;
        if step == RECORDS {
            self.request(to, Query::Records, "get", &pep::items(pep::NODE_DEVICE, None))
        } else {
            self.request(to, Query::List, "get", &pep::items(pep::NODE_DEVICES, None))
        }
    }

    /// A device to ask for its keys, and a list that it may not know. `unsolved`: others are to be had only there;
    /// `withheld`: a list that is known by its version.
    fn device_to_ask(
        &mut self,
        jid: &BareJid,
        unsolved: bool,
        withheld: bool,
    ) -> Result<Option<(Resource, Option<DeviceList>)>, Error> {
        let connection = self.own()?.connection;
        let (Some(contact), list) = (self.contact(jid)?, self.list_of(jid)?) else { return Ok(None) };
        let here = |resource: &&Resource| {
            resource.available && resource.device != 0 && contact.connection == connection
        };
        let unverified =
            |resource: &&Resource| contact.pending.iter().any(|p| p.device == resource.device && !p.asked);
        let unlisted = |resource: &&Resource| list.as_ref().is_some_and(|list| !list.holds(resource.device));
        let resources = contact.resources.iter().filter(here);
        let turn = usize::from(contact.withheld).checked_rem(resources.clone().count());
        let unsolved = unsolved && contact.tried & KEYS == 0;
        // Each device whose advert nothing has vouched for; it is asked once, see `got_keys`.
        let mut asked = resources.clone().find(unverified);
        if asked.is_none() {
            for resource in resources.clone() {
                if self.is_to_be_shown(jid, resource.device)? {
                    let shown = resource.clone();
                    let before = self.show_left_out(jid, shown.device)?;
                    return Ok(Some((shown, before)));
                }
            }
        }
        if asked.is_none() && unsolved {
            // One of the devices has the list that the server has not, so another is asked each time; or one may not know
            // of that which is known here.
            let lacks = resources.clone().find(unlisted).filter(|_| !withheld);
            asked = lacks.or_else(|| resources.clone().nth(turn?));
        }
        let asked = asked.cloned();
        Ok(asked.map(|asked| {
            let list = list.filter(|list| !list.is_live(asked.device));
            (asked, list)
        }))
    }

    fn mark_fetching(&mut self, jid: &BareJid, step: u8) -> Done {
        let contact = self.contact_mut(jid)?;
        contact.tried |= step;
        contact.fetching = true;
        Ok(())
    }

    /// The fetch has ended: what is not verified by now will not be, unless a server owes an answer.
    fn fetched(&mut self, jid: &BareJid) -> Done {
        let now = self.now;
        let contact = self.contact_mut(jid)?;
        contact.tried = 0;
        let unanswered = core::mem::take(&mut contact.unanswered);
        if unanswered && self.is_owed(jid)? {
            return self.retry_later(jid);
        }
        if let Some(until) = self.may_still_come(jid)? {
            self.contact_mut(jid)?.retry_at = Some(until.as_millis());
            return Ok(());
        }
        let contact = self.contact_mut(jid)?;
        contact.wanted = false;
        contact.silences = 0;
        if !unanswered || !contact.live.is_empty() {
            contact.checked = now;
        }
        self.drop_pending(jid)?;
        self.list_withheld(jid)?;
        self.close_unlisted(jid)?;
        if self.own()?.jid == *jid {
            self.own_mut()?.list_fetched = true;
            self.unsettled = true;
        }
        self.flush(jid)?;
        let decided = self.state.past_decisions.contains(jid);
        let nobody =
            |contact: &Contact| contact.account_key.is_none() && !contact.friend && !contact.is_of_user();
        if !decided && self.contact(jid)?.is_some_and(nobody) {
            // A stranger whose keys are not to be had leaves nothing behind. What the user has said of it stays.
            self.state.contacts.remove(jid);
        }
        Ok(())
    }

    /// Whether what a server did not answer is still needed: without it an account has no devices to send to, or an
    /// advert is not verified.
    fn is_owed(&self, jid: &BareJid) -> Result<bool, Error> {
        let mine = self.own()?.jid == *jid;
        let awaited = mine || self.is_waited_for(jid)?;
        Ok(self.contact(jid)?.is_some_and(|contact| {
            let advert = !contact.pending.is_empty() && contact.silences < MAX_SILENCES;
            advert || awaited && contact.live.is_empty()
        }))
    }

    /// Until when a contact may show a device that the server has no record of, if a message waits for one.
    fn may_still_come(&self, jid: &BareJid) -> Result<Option<Timestamp>, Error> {
        let own = self.own()?;
        let until = if own.held.is_some() { self.now } else { own.presence_sent }.after(GATHERING);
        let nobody = |contact: &Contact| contact.friend && contact.live.is_empty();
        let open = !own.presence.is_empty() && self.now < until && own.jid != *jid;
        let open = open && self.contact(jid)?.is_some_and(nobody) && self.is_waited_for(jid)?;
        Ok(open.then_some(until))
    }

    /// Silence does not say that there are no keys: they are asked for again, and what waits goes on waiting.
    fn retry_later(&mut self, jid: &BareJid) -> Done {
        let now = self.now;
        let contact = self.contact_mut(jid)?;
        // Told once, and not only when it is given up.
        let withheld = contact.withheld == 0 && contact.list_named > contact.list_version;
        let wait = (RETRY * (1 << contact.silences.min(16))).min(MAX_RETRY);
        contact.silences = contact.silences.saturating_add(1);
        contact.retry_at = Some(now.after(wait).as_millis());
        contact.withheld += u8::from(withheld);
        if self.own()?.jid == *jid {
            // Everything that does not need the server's answer goes on.
            self.own_mut()?.list_fetched = true;
            self.unsettled = true;
        }
        if withheld {
            self.notify(Event::ListWithheld { peer: jid.clone() });
        }
        // The devices that are known need not wait for the others.
        self.flush(jid)
    }

    /// The time for another fetch has come.
    pub(super) fn retry(&mut self, jid: &BareJid) -> Done {
        let contact = self.contact_mut(jid)?;
        contact.retry_at = None;
        for pending in &mut contact.pending {
            pending.asked = false;
        }
        if !contact.wanted {
            return self.want_keys(jid);
        }
        if self.is_owed(jid)? {
            return self.pursue(jid);
        }
        // Nothing needs the answer any more.
        self.contact_mut(jid)?.unanswered = true;
        self.fetched(jid)
    }

    /// The adverts that nothing has vouched for are refused.
    pub(super) fn drop_pending(&mut self, jid: &BareJid) -> Done {
        for _ in core::mem::take(&mut self.contact_mut(jid)?.pending) {
            self.reject(Some(jid), Unreadable::NoRecord);
        }
        Ok(())
    }

    /// An iq that answers one of the engine's. Whether it was one.
    pub(super) fn answered(&mut self, iq: &Element<'_>) -> Result<bool, Error> {
        let Some(id) = iq.attr("id") else { return Ok(false) };
        let Some(request) = self.state.requests.get(&id.to_owned())?.cloned() else {
            // Late, or of a stream before.
            return Ok(id.starts_with(ID_PREFIX));
        };
        let account = self.asked_account(&request)?;
        let from = match iq.attr("from").map(Address::parse) {
            None => request.to.is_empty(),
            Some(Ok(from)) if request.to.is_empty() => from.bare == account,
            Some(Ok(from)) => Address::parse(&request.to).is_ok_and(|to| to == from),
            Some(Err(_)) => false,
        };
        if !from {
            self.reject(None, Misbehaviour::WrongSubject);
            return Ok(true);
        }
        self.state.requests.remove(&id.to_owned());
        self.answer(&account, &request, Some(iq))?;
        Ok(true)
    }

    /// What a request gave; `None` if nobody answered in time.
    fn answer(&mut self, jid: &BareJid, request: &Request, answer: Option<&Element<'_>>) -> Done {
        self.unsettled = true;
        self.slot_freed |= matches!(request.query, Query::List | Query::Records | Query::Keys);
        let result = answer.filter(|iq| iq.attr("type") == Some("result"));
        if matches!(request.query, Query::Records | Query::List) && answer.is_none_or(pep::says_wait) {
            return self.unanswered(jid);
        }
        match request.query {
            Query::Publication => self.publication_answered(answer),
            Query::Farewell => self.farewell_read(answer),
            Query::Tombstone => self.tombstone_answered(answer),
            // What is left there of a retired device harms nobody.
            Query::Retraction => Ok(()),
            Query::Records => {
                let items = result.map(|iq| pep::read_items(iq, pep::NODE_DEVICE, "device"));
                self.got_records(jid, items.unwrap_or_default().iter().map(|(_, text)| text.as_str()))?;
                let own = self.own()?;
                if own.jid == *jid && result.is_some() && !own.record_published && own.room_made {
                    // Something has replaced it; perhaps the server keeps but one.
                    self.own_mut()?.room_made = false;
                }
                self.contact_mut(jid)?.fetching = false;
                self.pursue(jid)
            }
            Query::List => {
                let items = result.map(|iq| pep::read_items(iq, pep::NODE_DEVICES, "devices"));
                let item = items.unwrap_or_default().into_iter().next();
                self.got_list(jid, item.as_ref().map(|(_, text)| text.as_str()))?;
                self.contact_mut(jid)?.fetching = false;
                self.pursue(jid)
            }
            Query::Keys => self.got_keys(jid, request.device, result),
        }
    }

    /// A server gave no answer, which does not say that there is nothing.
    fn unanswered(&mut self, jid: &BareJid) -> Done {
        let contact = self.contact_mut(jid)?;
        contact.fetching = false;
        contact.unanswered = true;
        if self.own()?.jid == *jid {
            self.own_mut()?.list_refused = true;
        }
        self.pursue(jid)
    }

    fn got_records<'t>(&mut self, jid: &BareJid, items: impl Iterator<Item = &'t str>) -> Done {
        let mine = self.own()?.jid == *jid;
        let mut refused = None;
        for text in items {
            let Ok(bytes) = from_base64(text, MAX_RECORD) else {
                refused = refused.or(Some(Malformed::Encoding.into()));
                continue;
            };
            if mine && bytes == self.own()?.record.as_slice() {
                self.own_mut()?.record_published = true;
                continue;
            }
            if let Err(reason) = self.take_record(jid, &bytes)? {
                refused = refused.or(Some(reason));
            }
        }
        self.refused(jid, refused);
        Ok(())
    }

    /// One event for whatever of an answer was refused.
    fn refused(&mut self, jid: &BareJid, reason: Option<Reason>) {
        match reason {
            None => {}
            Some(Reason::Misbehaved(Misbehaviour::RolledBack | Misbehaviour::Equivocation)) => {
                self.notify(Event::RolledBack { peer: jid.clone() });
            }
            Some(reason) => self.reject(Some(jid), reason),
        }
    }

    pub(super) fn got_list(&mut self, jid: &BareJid, text: Option<&str>) -> Done {
        if self.own()?.jid == *jid {
            self.own_mut()?.list_refused = false;
        }
        let Some(text) = text else {
            if self.own()?.jid == *jid {
                // Lost by the server, or never there.
                self.own_mut()?.list_published = false;
            }
            return Ok(());
        };
        let taken = match from_base64(text, MAX_LIST) {
            Ok(bytes) if self.is_of_other_account(jid, &bytes)? => Ok(()),
            Ok(bytes) if self.is_listed_under_other(jid, &bytes)? => Ok(()),
            Ok(bytes) => {
                let taken = self.take_list(jid, &bytes)?;
                if taken.is_ok() && self.own()?.jid == *jid {
                    self.own_mut()?.list_published = true;
                }
                taken
            }
            Err(_) => Err(Malformed::Encoding.into()),
        };
        // A good list of an account key of before is put over; a damaged one may hide our own.
        if matches!(taken, Err(Reason::Malformed(_) | Reason::Unauthentic)) && self.own()?.jid == *jid {
            self.own_mut()?.list_refused = true;
        }
        self.refused(jid, taken.err());
        Ok(())
    }

    /// A device's own answer: record, list and one-time prekeys for a handshake that waits.
    fn got_keys(&mut self, jid: &BareJid, device: u32, result: Option<&Element<'_>>) -> Done {
        let contact = self.contact_mut(jid)?;
        let fetch = contact.fetching && contact.tried & KEYS != 0;
        // Else a handshake has asked.
        contact.fetching &= !fetch;
        let keys = result.and_then(|iq| iq.child(NS, "keys"));
        let text = |name: &str| keys.and_then(|keys| keys.child(NS, name)).map(Element::text);
        let mut refused = None;
        if let Some(record) = text("record") {
            let taken = match from_base64(&record, MAX_RECORD) {
                Ok(bytes) => self.take_record(jid, &bytes)?,
                Err(_) => Err(Malformed::Encoding.into()),
            };
            refused = taken.err();
        }
        if let Some(list) = text("devices") {
            let taken = match from_base64(&list, MAX_LIST) {
                Ok(bytes) => self.take_list(jid, &bytes)?,
                Err(_) => Err(Malformed::Encoding.into()),
            };
            refused = refused.or(taken.err());
        }
        let prekeys = keys.into_iter().flat_map(Element::elements).filter(|child| &*child.name == "prekey");
        let prekeys: Vec<String> = prekeys.take(MAX_PREKEYS).map(|child| child.text().into_owned()).collect();
        let supplied = self.opening_supplied(jid, device, &prekeys)?;
        self.refused(jid, refused.or(supplied.err()));
        let contact = self.contact_mut(jid)?;
        let pending = contact.pending.iter_mut().find(|pending| pending.device == device);
        if let Some(pending) = pending.filter(|_| fetch) {
            pending.asked = true;
            if !contact.unanswered {
                contact.pending.retain(|pending| pending.device != device);
                self.reject(Some(jid), Unreadable::NoRecord);
            }
        }
        self.pursue(jid)?;
        self.flush(jid)
    }

    /// An iq of the engine that nobody answered in time.
    pub(super) fn request_timed_out(&mut self, id: &String) -> Done {
        let Some(request) = self.state.requests.get(id)?.cloned() else { return Ok(()) };
        self.state.requests.remove(id);
        let jid = self.asked_account(&request)?;
        self.answer(&jid, &request, None)
    }

    /// An iq get or set of somebody else, or an answer.
    pub(super) fn received_iq(&mut self, iq: &Element<'_>) -> Done {
        let swallowed = match iq.attr("type") {
            Some("result" | "error") => self.answered(iq)? || self.answered_in_clear(iq)?,
            Some("get") => self.serve(iq)?,
            _ => false,
        };
        // A roster of somebody else's making is no business of the client's either.
        if !swallowed && self.read_roster(iq)? {
            self.effects.push(Effect::Pass);
        }
        Ok(())
    }
}

/// A device gives one one-time prekey of each algorithm, at most.
const MAX_PREKEYS: usize = 16;

/// A check that what the engine writes, its own reader takes.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::parse;

    #[test]
    fn payloads_are_read_back() {
        let payload = pep::publish(pep::NODE_DEVICE, "7", "device", b"bytes", true);
        assert!(parse(&format!("<iq type='set' id='1'>{payload}</iq>")).is_ok());
        let payload = pep::configure(pep::NODE_DEVICE, 32);
        assert!(parse(&format!("<iq type='set' id='1'>{payload}</iq>")).is_ok());
        let payload = pep::items(pep::NODE_DEVICES, Some("current"));
        assert!(parse(&format!("<iq type='get' id='1'>{payload}</iq>")).is_ok());
        let answer = format!(
            "<iq type='result' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{}'>\
             <item id='7'><device xmlns='{NS}'>Ynl0ZXM=</device></item></items></pubsub></iq>",
            pep::NODE_DEVICE
        );
        let iq = parse(&answer).unwrap();
        let items = pep::read_items(&iq, pep::NODE_DEVICE, "device");
        assert_eq!(items, [("7", "Ynl0ZXM=".to_owned())]);
        assert!(pep::read_items(&iq, pep::NODE_DEVICES, "device").is_empty());
    }
}
