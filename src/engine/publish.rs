//! Publication of the own keys in PEP: the device list, then the record of this device.
//!
//! A round publishes what is not yet there, one iq at a time, and ends with what is wrong, if
//! anything. [`Draft::settle_publication`] begins it; the answers carry it on.

use core::time::Duration;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::engine::draft::{Done, Draft};
use crate::engine::pep::{self, Answer};
use crate::engine::records::Query;
use crate::error::{Error, Misuse};
use crate::identity::{DeviceRecord, MAX_DEVICES, MAX_RECORD};
use crate::stanza::Element;
use crate::step::{Event, PublishFault};
use crate::wire::from_base64;

/// After a failed round the next comes so much later: most failures are a server that restarts.
pub(super) const PUBLISH_RETRY: Duration = Duration::from_mins(1);

/// ...or this, if the server said to wait: it was busy.
const PUBLISH_RETRY_BUSY: Duration = Duration::from_secs(5);

/// Each further failure doubles that, up to here: a server without PEP is asked a few times a day,
/// and one that has got it is noticed the same hour.
const PUBLISH_RETRY_MAX: Duration = Duration::from_hours(1);

/// How far the publication of the record, or else of the list, is.
#[derive(Clone, Copy, Debug, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Publishing {
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) record: bool,
    pub(crate) step: PublishStep,
}

/// The steps of a publication; each is one iq.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum PublishStep {
    /// The item, with options.
    Options = 1,
    /// The configuration of a node that is not as the options say.
    Configure = 2,
    /// The item again, with options.
    Again = 3,
    /// The item, without.
    Plain = 4,
    /// The configuration of the records' node, to keep those of all devices.
    Room = 5,
    /// The node read back.
    Check = 6,
    /// The list read before it is put there again: another device's may be newer.
    Read = 7,
}

impl Draft<'_> {
    /// Begins a round, if something is to be published or has not worked and is due again.
    pub(super) fn settle_publication(&mut self) -> Done {
        let own = self.own()?;
        if own.publishing.is_some() {
            return Ok(());
        }
        if own.publish_fault.is_some() {
            if self.now < own.publish_at {
                return Ok(());
            }
            // What is there, but not as it should be, goes through it all again.
            let list = own.list_restricted;
            let record = own.record_restricted || own.publish_fault == Some(PublishFault::Lost);
            let own = self.own_mut()?;
            own.record_published &= !record;
            if list {
                own.list_published = false;
                return self.publish_step(false, PublishStep::Read);
            }
        }
        self.publish_next()
    }

    /// Whether there is a list, and it has yet to be published.
    fn owes_list(&self) -> Result<bool, Error> {
        let own = self.own()?;
        let list = self.contact(&own.jid)?.is_some_and(|contact| !contact.list.as_slice().is_empty());
        Ok(!own.list_published && list)
    }

    fn publish_next(&mut self) -> Done {
        let own = self.own()?;
        if self.owes_list()? {
            self.publish_step(false, PublishStep::Options)
        } else if !own.record_published && !own.record.as_slice().is_empty() {
            self.publish_step(true, PublishStep::Options)
        } else {
            self.end_round(None)
        }
    }

    /// Sends the iq of a step, for the record or else for the list.
    fn publish_step(&mut self, record: bool, step: PublishStep) -> Done {
        let own = self.own()?;
        let (node, most) = if record { (pep::NODE_DEVICE, MAX_DEVICES) } else { (pep::NODE_DEVICES, 1) };
        let (kind, payload) = match step {
            PublishStep::Options | PublishStep::Again | PublishStep::Plain => {
                let options = step != PublishStep::Plain;
                let payload = if record {
                    let item = own.device.to_string();
                    pep::publish(node, &item, "device", own.record.as_slice(), options)
                } else {
                    let list = self.contact(&own.jid)?.map_or(&[][..], |contact| contact.list.as_slice());
                    pep::publish(node, pep::ITEM_DEVICES, "devices", list, options)
                };
                ("set", payload)
            }
            PublishStep::Configure | PublishStep::Room => ("set", pep::configure(node, most)),
            PublishStep::Check | PublishStep::Read => ("get", pep::items(node, None)),
        };
        self.own_mut()?.publishing = Some(Publishing { record, step });
        self.request("", Query::Publication, kind, &payload)
    }

    /// What a step gave; `None` if nobody answered in time.
    pub(super) fn publication_answered(&mut self, iq: Option<&Element<'_>>) -> Done {
        let Some(Publishing { record, step }) = self.own_mut()?.publishing.take() else { return Ok(()) };
        if self.own()?.left {
            // Another device has retired this one meanwhile.
            return Ok(());
        }
        let retry = if iq.is_some_and(pep::says_wait) { PUBLISH_RETRY_BUSY } else { PUBLISH_RETRY };
        let answer = pep::answer(iq);
        match (step, answer) {
            (PublishStep::Read, Answer::Done) => self.list_read(iq),
            // That it is not to be had says nothing against putting it there.
            (PublishStep::Read, Answer::Precondition | Answer::Fault(_)) => self.publish_next(),
            (PublishStep::Options | PublishStep::Again, Answer::Done) => self.item_published(record, false),
            (PublishStep::Options, Answer::Precondition) => self.publish_step(record, PublishStep::Configure),
            (PublishStep::Configure, Answer::Done) => {
                self.own_mut()?.room_made |= record;
                self.publish_step(record, PublishStep::Again)
            }
            // Those who may see presence can read it there at least.
            (PublishStep::Configure, Answer::Precondition | Answer::Fault(_))
            | (PublishStep::Again, Answer::Precondition) => self.publish_step(record, PublishStep::Plain),
            (PublishStep::Plain, Answer::Done) => self.item_published(record, true),
            (PublishStep::Plain, Answer::Precondition) => self.end_round(Some(PublishFault::AccessModel)),
            (PublishStep::Room, _) => {
                // Once in a device's life, unless items turn out to be lost.
                self.own_mut()?.room_made = true;
                self.publish_step(true, PublishStep::Check)
            }
            (PublishStep::Check, Answer::Done) => self.read_back(iq),
            (PublishStep::Check, Answer::Fault(PublishFault::Absent)) => self.lost(),
            (_, Answer::Fault(fault)) => self.end_round_with(Some(fault), retry),
            (PublishStep::Check, Answer::Precondition) => self.end_round(Some(PublishFault::Refused)),
        }
    }

    /// The server has taken an item; `restricted` if the node may not be open.
    fn item_published(&mut self, record: bool, restricted: bool) -> Done {
        let own = self.own_mut()?;
        if !record {
            own.list_published = true;
            own.list_restricted = restricted;
            let (account, told) = (own.jid.clone(), own.announced);
            if !restricted && self.contact(&account)?.is_some_and(|contact| contact.list_version > told) {
                // Another own device may have put one there at the same time. Once: a server that loses what it is given
                // is not to be given it every time.
                self.look_at_list(&account, Duration::ZERO)?;
            }
            return self.publish_next();
        }
        own.record_restricted = restricted;
        // Many servers keep one item for a node: the next device's record would replace this one.
        let step = if own.room_made || restricted { PublishStep::Check } else { PublishStep::Room };
        self.publish_step(true, step)
    }

    /// The list that is to be put over: it is taken if it is newer, and ours is put there if it is not.
    fn list_read(&mut self, iq: Option<&Element<'_>>) -> Done {
        let account = self.own()?.jid.clone();
        let items = iq.map(|iq| pep::read_items(iq, pep::NODE_DEVICES, "devices")).unwrap_or_default();
        self.got_list(&account, items.first().map(|(_, text)| text.as_str()))?;
        let own = self.own_mut()?;
        // In a node that may not be open it is put there once more.
        own.list_published &= !own.list_restricted;
        self.publish_next()
    }

    /// The items of the node after publication: this device's own is there, and so are those of the
    /// account's other devices.
    fn read_back(&mut self, iq: Option<&Element<'_>>) -> Done {
        let own = self.own()?;
        let items = iq.map(|iq| pep::read_items(iq, pep::NODE_DEVICE, "device")).unwrap_or_default();
        let mine = own.device.to_string();
        let there = items.iter().any(|(item, text)| {
            *item == mine && from_base64(text, MAX_RECORD).is_ok_and(|bytes| bytes == own.record.as_slice())
        });
        let live = self.contact(&own.jid)?.map_or(&[][..], |contact| contact.live.as_slice());
        let mut others = true;
        for device in live {
            if *device != own.device && self.has_good_record(*device)? {
                let id = device.to_string();
                others &= items.iter().any(|(item, _)| *item == id);
            }
        }
        if !there || !others {
            return self.lost();
        }
        self.own_mut()?.record_published = true;
        self.publish_next()
    }

    /// Whether another device of the account is known by a record that peers still take.
    fn has_good_record(&self, device: u32) -> Result<bool, Error> {
        let Some(known) = self.device(&self.own()?.jid, device)? else { return Ok(false) };
        if known.record.as_slice().is_empty() {
            return Ok(false);
        }
        let record = DeviceRecord::from_store(known.record.as_slice()).map_err(|_| Misuse::Record)?;
        Ok(record.check_time(self.now).is_ok())
    }

    /// The node does not keep what is published in it.
    fn lost(&mut self) -> Done {
        let own = self.own_mut()?;
        own.record_published = false;
        own.room_made = false;
        self.end_round(Some(PublishFault::Lost))
    }

    fn end_round(&mut self, fault: Option<PublishFault>) -> Done {
        self.end_round_with(fault, PUBLISH_RETRY)
    }

    /// Ends the round; after a first fault the next begins `retry` later.
    fn end_round_with(&mut self, fault: Option<PublishFault>, retry: Duration) -> Done {
        let own = self.own()?;
        let restricted = (own.list_restricted || own.record_restricted).then_some(PublishFault::AccessModel);
        let all = !self.owes_list()? && own.record_published;
        let told = own.publish_fault;
        match fault.or(restricted) {
            None if told.is_some() && all => {
                let own = self.own_mut()?;
                own.publish_fault = None;
                own.publish_failures = 0;
                self.notify(Event::Published);
            }
            None => {}
            Some(fault) => {
                let wait = retry.saturating_mul(1 << own.publish_failures.min(10));
                let at = self.now.after(wait.min(PUBLISH_RETRY_MAX));
                let own = self.own_mut()?;
                own.publish_at = at;
                own.publish_failures = own.publish_failures.saturating_add(1);
                own.publish_fault = Some(fault);
                if told != Some(fault) {
                    self.notify(Event::PublishFailed { why: fault });
                }
            }
        }
        Ok(())
    }

    /// There is a new record, or else a new list. If the old one is being published, the answer counts
    /// for nothing.
    pub(super) fn publish_anew(&mut self, record: bool) -> Done {
        let now = self.now;
        let own = self.own_mut()?;
        own.publish_at = now;
        if own.publishing.is_none_or(|publishing| publishing.record != record) {
            return Ok(());
        }
        own.publishing = None;
        for key in self.state.requests.all_keys() {
            if self.state.requests.get(&key)?.is_some_and(|request| request.query == Query::Publication) {
                self.state.requests.remove(&key);
            }
        }
        Ok(())
    }
}
