//! Presence: the own with its advert, and that of others.

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::fetch::{FRESH, RECORDS};
use crate::engine::own::{HOLD, PRESENCE_INTERVAL};
use crate::engine::records::{Device, Pending, Resource};
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason};
use crate::identity::{DeviceRecord, Digest, digest};
use crate::jid::{Address, BareJid};
use crate::presence::{ADVERT_LIFE, Advert, AdvertIn, MAX_ADVERT, PresenceMeaning};
use crate::stanza::{Element, MAX_STANZA, parse, write_stanza};
use crate::step::{Coverage, Effect, Event, Token, Waiting};
use crate::wire::{from_base64, to_base64};

/// Resources of one account that are remembered: more are counted as one without advert.
const MAX_RESOURCES: usize = 16;

/// Accounts remembered; more than any roster has. Beyond it adverts of new ones are refused.
pub(crate) const MAX_CONTACTS: usize = 10_000;

/// Unverified adverts kept for one account (the design's bound for strangers).
const MAX_PENDING: usize = 8;

impl Draft<'_> {
    /// Presence of the application's own. Only broadcast presence carries the advert.
    pub(super) fn outgoing_presence(&mut self, element: &Element<'_>, token: Token) -> Done {
        let own = self.own()?;
        if element.attr("to").is_some() || own.left {
            self.effects.push(Effect::Pass);
            return Ok(());
        }
        let seen = own.connected && !own.presence.is_empty();
        let meaning = if self.config.sign_presence { PresenceMeaning::of(element) } else { None };
        match element.attr("type") {
            None => {}
            // Those who saw one come are told, signed, that one goes.
            Some("unavailable") if seen && meaning.is_some() => {}
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
        let mut presence = element.clone();
        presence.remove_children_in(NS);
        let presence = write_stanza(&presence);
        if presence.len() > MAX_STANZA {
            self.fail(token, crate::step::SendError::TooLarge);
            return Ok(());
        }
        let own = self.own_mut()?;
        own.presence = presence;
        own.presence_meaning = meaning.map(|meaning| meaning.digest());
        own.presence_advert = 0;
        let replaced = own.held.replace(token.0);
        own.held_until = until;
        if let Some(replaced) = replaced {
            // Only the last presence counts (RFC 6121, section 4.4.1).
            let why = crate::step::SendError::Cancelled;
            self.effects.push(Effect::Failed { token: Token(replaced), why });
        }
        if !self.advert_ready()? {
            let own = self.own()?;
            let signed = own.presence_meaning.is_some() && own.is_published();
            let why = if signed { Waiting::Agent } else { Waiting::Publication };
            self.effects.push(Effect::Waiting { token, why });
        }
        self.unsettled = true;
        Ok(())
    }

    /// Which meaning of a presence the advert has to cover.
    pub(super) fn covered(&self) -> Result<Option<Digest>, Error> {
        Ok(if self.config.sign_presence { self.own()?.presence_meaning } else { None })
    }

    /// Whether there is an advert that peers will take for a good while.
    fn advert_ready(&self) -> Result<bool, Error> {
        let own = self.own()?;
        Ok(own.connected
            && !own.advert.is_empty()
            && own.advert_meaning == self.covered()?
            && self.now < own.readvertise_at.after(ADVERT_LIFE / 4))
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
            Some(_) if ready || self.now >= own.held_until || self.is_unlinked()? || self.is_expired()? => {}
            Some(_) => return Ok(()),
            // A presence that went without advert is mended as soon as there is one.
            None if ready && renewed && (due || own.presence_advert == 0) => {}
            None => return Ok(()),
        }
        let presence = if ready { self.presence_with_advert()? } else { own.presence.clone() };
        let now = self.now;
        let own = self.own_mut()?;
        own.presence_sent = now;
        own.presence_advert = if ready { own.advert_sequence } else { 0 };
        own.held = None;
        if parse(&presence).is_ok_and(|presence| presence.attr("type").is_some()) {
            // One is gone.
            own.presence.clear();
        }
        self.send(presence, held)?;
        if let Some(token) = held {
            self.effects.push(Effect::Sent { token, coverage: Coverage::default() });
        }
        Ok(())
    }

    /// The last presence, with the advert.
    pub(super) fn presence_with_advert(&self) -> Result<String, Error> {
        let own = self.own()?;
        let element = parse(&own.presence).map_err(|_| Misuse::Record)?;
        Ok(write_stanza(&element.with_child(Element::new(NS, "e2e").with_text(own.advert.clone()))))
    }

    /// Presence of somebody else. It always passes: its advert is for the engine, the rest is the
    /// application's.
    pub(super) fn received_presence(&mut self, element: &Element<'_>) -> Done {
        let mut pass = Effect::Pass;
        match element.attr("from").map(Address::parse) {
            Some(Ok(Address { bare, resource: Some(resource) })) => {
                match self.presence_of(&bare, &resource, element)? {
                    Ok(None) => {}
                    Ok(Some(device)) => {
                        let trust = self.trust_in(&bare)?;
                        pass = Effect::PassSigned { peer: bare, device, trust };
                    }
                    Err(reason) => self.reject(Some(&bare), reason),
                }
            }
            // From a bare JID comes no availability (RFC 6121, section 4.2.2).
            Some(Ok(_)) | None => {}
            Some(Err(_)) => {
                self.reject(None, Malformed::Jid);
                return Ok(());
            }
        }
        self.effects.push(pass);
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
        // What is wrong with its advert is not what becomes of the stanza.
        let _ = self.presence_of(&bare, &resource, element)?;
        Ok(())
    }

    /// Takes note of a presence. The device, if it has signed what the presence means.
    fn presence_of(
        &mut self,
        jid: &BareJid,
        resource: &str,
        element: &Element<'_>,
    ) -> Result<Result<Option<u32>, Reason>, Error> {
        let own = self.own()?;
        if *jid == own.jid && resource == own.resource {
            return Ok(Ok(None));
        }
        let connection = own.connection;
        let available = match element.attr("type") {
            None => true,
            Some("unavailable") => false,
            Some(_) => return Ok(Ok(None)),
        };
        if !available
            && self
                .contact(jid)?
                .is_some_and(|contact| contact.resources.iter().any(|known| known.name == resource))
        {
            // Which device it was stays known: servers, and anybody, can say that one is gone.
            let contact = self.contact_mut(jid)?;
            contact.resources.retain(|known| known.name != resource || known.device != 0);
            for known in contact.resources.iter_mut().filter(|known| known.name == resource) {
                known.available = false;
            }
        }
        let bytes = match element.child(NS, "e2e").map(|child| from_base64(&child.text(), MAX_ADVERT)) {
            None if available => {
                return Ok(Ok(self.presence_without(jid, resource, connection).map(|()| None)?));
            }
            // Server-made; it never counts as stripping.
            None => return Ok(Ok(None)),
            Some(Err(_)) => return Ok(Err(Malformed::Encoding.into())),
            Some(Ok(bytes)) => bytes,
        };
        let advert = match AdvertIn::decode(&bytes) {
            Ok(advert) => advert,
            Err(reason) => return Ok(Err(reason)),
        };
        let meaning = match advert.content().covers().then(|| PresenceMeaning::of(element)) {
            None => None,
            Some(Some(meaning)) => Some(meaning.digest()),
            // Nothing that a device signs.
            Some(None) => return Ok(Err(Reason::Unauthentic)),
        };
        if *jid == self.own()?.jid && advert.device() == self.own()?.device {
            self.own_advert(&bytes, advert, meaning.as_ref())?;
            return Ok(Ok(None));
        }
        if !available && meaning.is_none() {
            return Ok(Ok(None));
        }
        if available {
            if !self.state.contacts.contains(jid) && self.state.contacts.len() >= MAX_CONTACTS {
                return Ok(Err(Misbehaviour::TooMuch.into()));
            }
            self.remember_resource(jid, resource, advert.device(), connection)?;
        }
        match self.device(jid, advert.device())? {
            Some(known) if known.advert_digest == digest(&bytes) => {
                let shown = self.shown_again(known, &advert, meaning.as_ref());
                self.own_list_named(jid, advert.list_version())?;
                self.look_once_more(jid, advert.device())?;
                if self.is_unlisted(jid, advert.device())? || self.is_to_be_shown(jid, advert.device())? {
                    // There is no newer advert that would have the list looked at.
                    self.look_at_list(jid, FRESH)?;
                }
                Ok(shown)
            }
            Some(known)
                if !known.record.as_slice().is_empty() && known.record_digest == *advert.record_digest() =>
            {
                let record = DeviceRecord::from_store(known.record.as_slice()).map_err(|_| Misuse::Record)?;
                match advert.verify(jid, &record, meaning.as_ref(), &self.config.suites, self.now) {
                    Ok(advert) => self.take_advert(jid, &record, &advert),
                    Err(reason) => Ok(Err(reason)),
                }
            }
            // What a device that is not known says of its absence is not worth a fetch.
            _ if !available => Ok(Ok(None)),
            _ => {
                let (device, resource) = (advert.device(), resource.to_owned());
                let advert = bytes.into();
                let pending = Pending { resource, device, advert, meaning, asked: false };
                self.advert_pending(jid, pending).map(|()| Ok(None))
            }
        }
    }

    /// An advert of this device at another resource: of a stream of its own that the server has not closed yet, unless
    /// it is newer than what this device has made.
    fn own_advert(&mut self, bytes: &[u8], advert: AdvertIn, meaning: Option<&Digest>) -> Done {
        let own = self.own()?;
        let (sequence, known) = (own.advert_sequence, own.advert.clone());
        let key = self.config.identity.signing_key();
        let Ok(advert) = advert.verify_own(&own.jid, key, meaning, &self.config.suites) else {
            return Ok(());
        };
        let other = advert.sequence() == sequence && !known.is_empty() && known != to_base64(bytes);
        if advert.sequence() > sequence || other { self.cloned() } else { Ok(()) }
    }

    /// An advert that has been verified, in a presence that may be another. The device, if it has
    /// signed that.
    fn shown_again(
        &self,
        known: &Device,
        advert: &AdvertIn,
        meaning: Option<&Digest>,
    ) -> Result<Option<u32>, Reason> {
        if meaning.is_none() {
            return Ok(None);
        }
        if known.advert_meaning.as_ref() != meaning {
            return Err(Reason::Unauthentic);
        }
        advert.content().check_time(self.now)?;
        Ok(known.is_good(self.now).then_some(advert.device()))
    }

    /// Keeps an advert until its record is there.
    fn advert_pending(&mut self, jid: &BareJid, pending: Pending) -> Done {
        let mut full = false;
        let contact = self.contact_mut(jid)?;
        contact.pending.retain(|other| other.device != pending.device);
        if contact.pending.len() >= MAX_PENDING {
            contact.pending.remove(0);
            full = true;
        }
        contact.pending.push(pending);
        contact.wanted = true;
        if !contact.fetching {
            contact.tried = 0;
        }
        if contact.silences == 0 {
            // It is this that was waited for.
            contact.retry_at = None;
        }
        if full {
            self.reject(Some(jid), Misbehaviour::TooMuch);
        }
        self.pursue(jid)
    }

    /// An available presence without advert.
    fn presence_without(&mut self, jid: &BareJid, resource: &str, connection: u32) -> Done {
        let Some(contact) = self.contact(jid)? else { return Ok(()) };
        let known = contact.resources.iter().any(|known| known.name == resource && known.device != 0);
        let sticky = contact.encrypts();
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
                && contact
                    .resources
                    .iter()
                    .any(|known| known.name == resource && known.device == device && known.available)
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
        // It may be one to ask.
        self.unsettled |= self.own()?.jid == *jid && self.is_unlinked()?;
        Ok(())
    }

    /// Takes a verified advert: the account is sticky from now on. The device, if the advert is its
    /// newest and says what the presence means.
    pub(super) fn take_advert(
        &mut self,
        jid: &BareJid,
        record: &DeviceRecord,
        advert: &Advert,
    ) -> Result<Result<Option<u32>, Reason>, Error> {
        let device = advert.device();
        let now = self.now;
        let key = *record.certificate().account_digest();
        let list = self.list_of(jid)?.filter(|list| *list.account() == key);
        let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? else { return Ok(Ok(None)) };
        let signed = (advert.meaning().is_some() && known.is_good(now)).then_some(device);
        let bytes = digest(advert.bytes());
        if advert.sequence() < known.advert_sequence {
            // Presence is delayed and merged by servers.
            return Ok(Ok(None));
        }
        if advert.sequence() == known.advert_sequence && known.advert_sequence != 0 {
            if known.advert_digest == bytes {
                return Ok(Ok(signed));
            }
            return Ok(Err(Misbehaviour::Equivocation.into()));
        }
        if known.retired || list.is_some_and(|list| list.retires(device)) {
            // It has said that there would be none, or its account has.
            return Ok(Err(Misbehaviour::Retired.into()));
        }
        known.advert_sequence = advert.sequence();
        known.advert_digest = bytes;
        known.advert_meaning = advert.meaning().copied();
        known.retired = advert.retires();
        known.last_seen = now;
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
        // Its sessions close at once; that the account has left, if so, is in its list.
        if advert.retires() {
            self.close_sessions(jid, device)?;
            let list = self.list_of(jid)?;
            self.judge(jid, device, list.as_ref())?;
        }
        let contact = self.contact_mut(jid)?;
        let newer = version > contact.list_version;
        let newer = newer && !self.device(jid, device)?.is_some_and(Device::is_disproved);
        self.version_named(jid, device, version)?;
        let contact = self.contact_mut(jid)?;
        if newer {
            // Soon asked for again.
            contact.withheld = contact.withheld.min(1);
        }
        if newer || self.shows_unlisted(jid)? {
            let contact = self.contact_mut(jid)?;
            if !contact.wanted {
                // That of a list which was withheld.
                contact.retry_at = None;
            }
            if !contact.fetching {
                // A fetch that has not begun may be for a record.
                contact.tried = if contact.wanted { contact.tried & RECORDS } else { RECORDS };
            }
            contact.wanted = true;
        }
        if first {
            self.notify(Event::Encrypts { peer: jid.clone(), digest: key });
        }
        self.own_list_named(jid, version)?;
        self.pursue(jid)?;
        Ok(Ok(signed))
    }
}
