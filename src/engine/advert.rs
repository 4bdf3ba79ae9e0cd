//! Presence: the own with its advert, and that of others.

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::own::{HOLD, PRESENCE_INTERVAL};
use crate::engine::records::{Pending, Resource};
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason};
use crate::identity::{DeviceRecord, digest};
use crate::jid::{Address, BareJid};
use crate::presence::{ADVERT_LIFE, Advert, AdvertIn, MAX_ADVERT};
use crate::stanza::{Element, MAX_STANZA, Node, parse, write_stanza};
use crate::step::{Coverage, Effect, Event, Token, Waiting};
use crate::wire::from_base64;

/// Resources of one account that are remembered: more are counted as one without advert.
const MAX_RESOURCES: usize = 16;

/// Accounts remembered; more than any roster has. Beyond it adverts of new ones are refused.
pub(super) const MAX_CONTACTS: usize = 10_000;

/// Unverified adverts kept for one account (the design's bound for strangers).
const MAX_PENDING: usize = 8;

impl Draft<'_> {
    /// Presence of the application's own. Only broadcast presence carries the advert.
    pub(super) fn outgoing_presence(&mut self, element: &Element<'_>, token: Token) -> Done {
        if element.attr("to").is_some() || self.own()?.left {
            self.effects.push(Effect::Pass);
            return Ok(());
        }
        match element.attr("type") {
            None => {}
            Some("unavailable") => {
                self.own_mut()?.presence.clear();
                self.effects.push(Effect::Pass);
                return Ok(());
            }
            Some(_) => {
                self.effects.push(Effect::Pass);
                return Ok(());
            }
        }
        let until = self.now.after(HOLD);
        let presence = write_stanza(element);
        if presence.len() > MAX_STANZA {
            self.fail(token, crate::step::SendError::TooLarge);
            return Ok(());
        }
        let own = self.own_mut()?;
        own.presence = presence;
        own.presence_advert = 0;
        let replaced = own.held.replace(token.0);
        own.held_until = until;
        if let Some(replaced) = replaced {
            // Only the last presence counts (RFC 6121, section 4.4.1).
            let why = crate::step::SendError::Cancelled;
            self.effects.push(Effect::Failed { token: Token(replaced), why });
        }
        if !self.advert_ready()? {
            self.effects.push(Effect::Waiting { token, why: Waiting::Publication });
        }
        self.unsettled = true;
        Ok(())
    }

    /// Whether there is an advert that peers will take for a good while.
    fn advert_ready(&self) -> Result<bool, Error> {
        let own = self.own()?;
        Ok(own.connected && !own.advert.is_empty() && self.now < own.readvertise_at.after(ADVERT_LIFE / 4))
    }

    /// Sends the presence that was held, or the last one again with a new advert.
    pub(super) fn settle_presence(&mut self) -> Done {
        let own = self.own()?;
        if own.presence.is_empty() || !own.connected {
            return Ok(());
        }
        let held = own.held.map(Token);
        let ready = self.advert_ready()?;
        let due = self.now >= own.presence_sent.after(PRESENCE_INTERVAL);
        let renewed = own.presence_advert != own.advert_sequence;
        match held {
            Some(_) if ready || self.now >= own.held_until => {}
            Some(_) => return Ok(()),
            // A presence that went without advert is mended as soon as there is one.
            None if ready && renewed && (due || own.presence_advert == 0) => {}
            None => return Ok(()),
        }
        let mut element = parse(&own.presence).map_err(|_| Misuse::Record)?.into_owned();
        element.children.retain(|node| !matches!(node, Node::Element(child) if &*child.ns == NS));
        let mut advert = 0;
        if ready {
            element = element.with_child(Element::new(NS, "e2e").with_text(own.advert.clone()));
            advert = own.advert_sequence;
        }
        let now = self.now;
        let own = self.own_mut()?;
        own.presence_sent = now;
        own.presence_advert = advert;
        own.held = None;
        self.send(write_stanza(&element), held)?;
        if let Some(token) = held {
            self.effects.push(Effect::Sent { token, coverage: Coverage::default() });
        }
        Ok(())
    }

    /// Presence of somebody else. It always passes: its advert is for the engine, the rest is the
    /// application's.
    pub(super) fn received_presence(&mut self, element: &Element<'_>) -> Done {
        let result = match element.attr("from").map(Address::parse) {
            Some(Ok(Address { bare, resource: Some(resource) })) => {
                self.presence_of(&bare, &resource, element)?.map_err(|reason| (bare, reason))
            }
            // From a bare JID comes no availability (RFC 6121, section 4.2.2).
            Some(Ok(_)) | None => Ok(()),
            Some(Err(_)) => {
                self.reject(None, Malformed::Jid);
                return Ok(());
            }
        };
        if let Err((peer, reason)) = result {
            self.reject(Some(&peer), reason);
        }
        self.effects.push(Effect::Pass);
        Ok(())
    }

    /// What a presence that is under protection says outside: that its sender is there, or not.
    pub(super) fn note_presence(&mut self, element: &Element<'_>) -> Done {
        let Some(Ok(Address { bare, resource: Some(resource) })) = element.attr("from").map(Address::parse)
        else {
            return Ok(());
        };
        // Without an advert it is no sign of a client that has none.
        if element.attr("type").is_none() && element.child(NS, "e2e").is_none() {
            return Ok(());
        }
        if let Err(reason) = self.presence_of(&bare, &resource, element)? {
            self.reject(Some(&bare), reason);
        }
        Ok(())
    }

    fn presence_of(
        &mut self,
        jid: &BareJid,
        resource: &str,
        element: &Element<'_>,
    ) -> Result<Result<(), Reason>, Error> {
        let own = self.own()?;
        if *jid == own.jid && resource == own.resource {
            return Ok(Ok(()));
        }
        let connection = own.connection;
        match element.attr("type") {
            None => {}
            Some("unavailable") => {
                // Server-made; it never counts as stripping.
                if self
                    .contact(jid)?
                    .is_some_and(|contact| contact.resources.iter().any(|r| r.name == resource))
                {
                    self.contact_mut(jid)?.resources.retain(|known| known.name != resource);
                }
                return Ok(Ok(()));
            }
            Some(_) => return Ok(Ok(())),
        }
        let advert = element.child(NS, "e2e").map(|child| from_base64(&child.text(), MAX_ADVERT));
        let advert = match advert {
            None => {
                return self.presence_without(jid, resource, connection).map(Ok);
            }
            Some(Err(_)) => return Ok(Err(Malformed::Encoding.into())),
            Some(Ok(bytes)) => bytes,
        };
        let unverified = match AdvertIn::decode(&advert) {
            Ok(unverified) => unverified,
            Err(reason) => return Ok(Err(reason)),
        };
        if !self.state.contacts.contains(jid) && self.state.contacts.len() >= MAX_CONTACTS {
            return Ok(Err(Misbehaviour::TooMuch.into()));
        }
        let device = unverified.device();
        self.remember_resource(jid, resource, device, connection)?;
        let known = match self.device(jid, device)? {
            Some(known) if known.advert_digest == digest(&advert) => return Ok(Ok(())),
            Some(known)
                if !known.record.as_slice().is_empty()
                    && known.record_digest == *unverified.record_digest() =>
            {
                Some(DeviceRecord::from_store(known.record.as_slice()).map_err(|_| Misuse::Record)?)
            }
            _ => None,
        };
        if let Some(record) = known {
            return match unverified.verify(jid, &record, &self.config.suites, self.now) {
                Ok(advert) => self.take_advert(jid, &record, &advert),
                Err(reason) => Ok(Err(reason)),
            };
        }
        let bytes = advert.into();
        let mut full = false;
        let contact = self.contact_mut(jid)?;
        contact.pending.retain(|pending| pending.device != device);
        if contact.pending.len() >= MAX_PENDING {
            contact.pending.remove(0);
            full = true;
        }
        contact.pending.push(Pending { resource: resource.to_owned(), device, advert: bytes, asked: false });
        contact.wanted = true;
        if !contact.fetching {
            contact.tried = 0;
        }
        if full {
            self.reject(Some(jid), Misbehaviour::TooMuch);
        }
        self.pursue(jid)?;
        Ok(Ok(()))
    }

    /// An available presence without advert.
    fn presence_without(&mut self, jid: &BareJid, resource: &str, connection: u32) -> Done {
        let Some(contact) = self.contact(jid)? else { return Ok(()) };
        let known = contact.resources.iter().any(|known| known.name == resource && known.device != 0);
        let sticky = contact.sticky && !contact.left;
        if contact.account_key.is_none() {
            return Ok(());
        }
        if sticky && known {
            self.notify(Event::AdvertMissing { peer: jid.clone() });
            return Ok(());
        }
        self.remember_resource(jid, resource, 0, connection)
    }

    fn remember_resource(&mut self, jid: &BareJid, resource: &str, device: u32, connection: u32) -> Done {
        let contact = self.contact(jid)?;
        if contact.is_some_and(|contact| {
            contact.connection == connection
                && contact.resources.iter().any(|known| known.name == resource && known.device == device)
        }) {
            return Ok(());
        }
        let contact = self.contact_mut(jid)?;
        if contact.connection != connection {
            contact.connection = connection;
            // Which device a resource was stays known; that it is available does not.
            contact.resources.retain(|known| known.device != 0);
            for known in &mut contact.resources {
                known.available = false;
            }
        }
        contact.resources.retain(|known| known.name != resource);
        if contact.resources.len() >= MAX_RESOURCES {
            contact.resources.remove(0);
        }
        contact.resources.push(Resource { name: resource.to_owned(), device, available: true });
        Ok(())
    }

    /// Takes a verified advert: the account is sticky from now on.
    pub(super) fn take_advert(
        &mut self,
        jid: &BareJid,
        record: &DeviceRecord,
        advert: &Advert,
    ) -> Result<Result<(), Reason>, Error> {
        let device = advert.device();
        let key = *record.certificate().account_digest();
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? else { return Ok(Ok(())) };
        let bytes = digest(advert.bytes());
        if advert.sequence() < known.advert_sequence {
            // Presence is delayed and merged by servers.
            return Ok(Ok(()));
        }
        if advert.sequence() == known.advert_sequence && known.advert_sequence != 0 {
            if known.advert_digest == bytes {
                return Ok(Ok(()));
            }
            return Ok(Err(Misbehaviour::Equivocation.into()));
        }
        known.advert_sequence = advert.sequence();
        known.advert_digest = bytes;
        let shrank = record
            .suites()
            .iter()
            .any(|suite| !crate::suite::SuiteId(*suite).is_grease() && !advert.suites().contains(suite));
        if shrank {
            self.notify(Event::SuitesShrank { peer: jid.clone(), device });
        }
        let own = self.own()?.jid == *jid;
        let version = advert.list_version();
        let contact = self.contact_mut(jid)?;
        contact.pending.retain(|pending| pending.device != device);
        let first = !contact.sticky && !own;
        contact.sticky = !own;
        contact.left = false;
        let newer = version > contact.list_named;
        contact.list_named = contact.list_named.max(version);
        if newer && contact.list_version < version {
            contact.wanted = true;
            if !contact.fetching {
                contact.tried = super::fetch::RECORDS;
            }
        }
        if first {
            self.notify(Event::Encrypts { peer: jid.clone(), digest: key });
        }
        self.pursue(jid)?;
        Ok(Ok(()))
    }
}
