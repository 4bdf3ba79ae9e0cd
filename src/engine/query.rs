//! Questions, answered from the state as stored.

use crate::engine::Engine;
use crate::engine::linking::SEARCH;
use crate::engine::records::Contact as ContactRecord;
use crate::env::Timestamp;
use crate::error::{Error, Misuse};
use crate::fingerprint::Fingerprint;
use crate::identity::{DeviceCertificate, DeviceList};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::step::{Authentication, Form, Need, SendError, Token};
use crate::suite::Level;
use crate::trust::{Decision, PastDecision, Trust, TrustPolicy};

/// What would happen to a message to an account now: the padlock before sending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outlook {
    /// It goes out in clear: the account is not known to encrypt.
    Clear,
    /// It goes out encrypted.
    Encrypted,
    /// It goes out encrypted, after keys have been fetched or a session has been opened.
    EncryptedLater,
    /// It goes out in clear, and authenticated.
    Authenticated,
    /// It goes out in clear, and authenticated, after keys have been fetched or a session has been opened.
    AuthenticatedLater,
    /// It does not go out.
    Refused(SendError),
}

/// What is known of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Contact {
    /// The account.
    pub jid: BareJid,
    /// The digest of its account key, if it has shown one.
    pub account_key: Option<[u8; 32]>,
    /// How far that is trusted, why and since when.
    pub decision: Decision,
    /// Its own policy, if it has one.
    pub policy: Option<TrustPolicy>,
    /// The digest of another key that it has shown since, and that nobody has accepted.
    pub changed_key: Option<[u8; 32]>,
    /// The digest of a key that has been verified and that it has not shown: its code was scanned, or another own device
    /// has verified it. With no key known the first must be this one; else it is in question which is the contact's.
    pub expected: Option<[u8; 32]>,
    /// Whether it is known to encrypt.
    pub encrypts: bool,
    /// Whether it has left the protocol, by its own signed word.
    pub left: bool,
    /// Its devices known here.
    pub devices: Vec<u32>,
}

impl Contact {
    /// The fingerprint of its account key, if it has shown one.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.account_key.map(|key| Fingerprint::new(self.jid.clone(), key))
    }

    /// The fingerprint of the key that nobody has accepted, if there is one.
    #[must_use]
    pub fn changed_fingerprint(&self) -> Option<Fingerprint> {
        self.changed_key.map(|key| Fingerprint::new(self.jid.clone(), key))
    }
}

/// A device of the own account.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OwnDevice {
    /// Its number.
    pub device: u32,
    /// The name that its user has given it, if it has told it to this one.
    pub name: Option<String>,
    /// Whether it is this device.
    pub this: bool,
    /// Whether it is in use; else it is retired.
    pub live: bool,
    /// Until when it is certified, as far as that is known: after that nobody takes anything from it.
    pub expires: Option<Timestamp>,
    /// The day on which it was last heard of. One that has been silent for a year should be retired.
    pub last_seen: Option<Timestamp>,
}

/// Where this device stands in its account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// It has an account key, and no list of the account with this device in it is there yet.
    New,
    /// It has no account key, and waits to be [linked](crate::Command::Link); again, if its certificate has ended
    /// or the list does not name it.
    Unlinked,
    /// It is being linked.
    Linking,
    /// It is one of the account's devices.
    Member {
        /// Whether its agent has the account key. Without it, it retires and links no devices, and cannot
        /// [leave](crate::Command::Leave).
        account_key: bool,
    },
    /// The account shows this other account key: see [`Event::OtherAccountKey`](crate::Event::OtherAccountKey).
    OtherAccountKey([u8; 32]),
    /// It, or the whole account, has left the protocol.
    Left,
}

/// A stanza handed in that has not gone out, or is not acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Pending {
    /// Sealed, and not acknowledged.
    Unacknowledged(Token),
    /// Waiting.
    Waiting(Token),
}

/// How many of an account's devices there are, and how many cannot be sent to: by their level, at all, or yet.
#[derive(Default)]
struct Prospect {
    known: usize,
    weak: usize,
    missing: usize,
    later: usize,
}

impl Engine {
    /// What would become of a message to `jid` with this need.
    ///
    /// # Errors
    /// [`Misuse::Jid`] if `jid` is no bare JID; [`Error::NotLoaded`].
    pub fn outlook(&self, jid: &str, need: &Need) -> Result<Outlook, Error> {
        let jid = BareJid::parse(jid).map_err(|_| Misuse::Jid)?;
        let unknown = ContactRecord::default();
        let contact = self.state.contacts.get(&jid)?.unwrap_or(&unknown);
        let own = self.state.own.get(&())?;
        let needy = matches!(need, Need::Encrypted(_) | Need::Authenticated(_));
        let never_clear = self.state.never_clear(&jid)?;
        if own.is_some_and(|own| own.left) && (never_clear || needy) {
            return Ok(Outlook::Refused(SendError::Left));
        }
        let form = need.form();
        let level = match need {
            Need::Clear(_) => return Ok(Outlook::Clear),
            Need::Policy if !never_clear => return Ok(Outlook::Clear),
            Need::Policy => self.config.least,
            Need::Encrypted(level) | Need::Authenticated(Authentication { level, .. }) => *level,
        };
        if own.is_some_and(|own| own.other_account.is_some()) {
            return Ok(Outlook::Refused(SendError::OtherAccountKey));
        }
        if contact.is_distrusted() && !form.is_for_anyone() {
            return Ok(Outlook::Refused(SendError::Distrusted));
        }
        let certified = own.is_some_and(|own| !own.certificate.as_slice().is_empty());
        if form.is_signed() {
            // It needs nothing of the contact.
            return Ok(if certified { Outlook::Authenticated } else { Outlook::AuthenticatedLater });
        }
        if contact.other_key.is_some() {
            return Ok(Outlook::Refused(SendError::KeyChanged));
        }
        let account = &self.config.account;
        if *account != jid
            && let Err(why) = contact.check_trust(self.config.trust)
        {
            return Ok(Outlook::Refused(why));
        }
        let peers = self.prospect(&jid, level)?;
        if peers.known > 0 && peers.weak + peers.missing == peers.known {
            let why = if peers.weak > 0 { SendError::Level } else { SendError::NoKeys };
            return Ok(Outlook::Refused(why));
        }
        // What goes to a contact goes to one's own other devices too.
        let others = if *account == jid { Prospect::default() } else { self.prospect(account, level)? };
        if !self.config.partial && peers.weak + peers.missing + others.weak + others.missing > 0 {
            return Ok(Outlook::Refused(SendError::Incomplete));
        }
        let ready = certified && peers.known > 0 && peers.later + others.later == 0;
        Ok(match (need.form() == Form::Encrypted, ready) {
            (true, true) => Outlook::Encrypted,
            (true, false) => Outlook::EncryptedLater,
            (false, true) => Outlook::Authenticated,
            (false, false) => Outlook::AuthenticatedLater,
        })
    }

    /// Where this device stands in its account.
    ///
    /// # Errors
    /// [`Error::NotLoaded`].
    pub fn standing(&self) -> Result<Standing, Error> {
        let account_key = self.config.identity.has_account_key();
        let before = if account_key { Standing::New } else { Standing::Unlinked };
        let Some(own) = self.state.own.get(&())? else { return Ok(before) };
        if own.left {
            return Ok(Standing::Left);
        }
        if let Some(digest) = own.other_account {
            return Ok(Standing::OtherAccountKey(digest));
        }
        if !account_key && self.state.linkings.contains(&SEARCH) {
            return Ok(Standing::Linking);
        }
        if !account_key && !self.state.is_certified(account_key)? {
            return Ok(Standing::Unlinked);
        }
        let listed = self.state.contacts.get(&own.jid)?.is_some_and(|all| all.live.contains(&own.device));
        Ok(if listed { Standing::Member { account_key } } else { before })
    }

    /// How far the devices of an account can be sent to, but for this one.
    fn prospect(&self, jid: &BareJid, level: Level) -> Result<Prospect, Error> {
        let mut all = Prospect::default();
        let me = self.state.own.get(&())?.filter(|own| own.jid == *jid).map(|own| own.device);
        let live = self.state.contacts.get(jid)?.map_or(&[][..], |contact| &contact.live);
        for device in live.iter().filter(|device| Some(**device) != me) {
            all.known += 1;
            let known = self.state.devices.get(&(jid.clone(), *device))?;
            // An own one without record is not waited for.
            if known.map_or(me.is_some(), |known| !known.is_good(self.state.seen)) {
                all.missing += 1;
                continue;
            }
            let session = match known.and_then(|known| known.live) {
                Some(live) => self.state.sessions.get(&(jid.clone(), *device, live))?,
                None => None,
            };
            let suite = session.and_then(|session| self.config.suites.find(session.suite_id()));
            all.weak += usize::from(suite.is_some_and(|suite| suite.level < level));
            all.later += usize::from(suite.is_none());
        }
        Ok(all)
    }

    /// The devices of the own account, this one among them, as the device list has them.
    ///
    /// # Errors
    /// [`Error::NotLoaded`].
    pub fn own_devices(&self) -> Result<Vec<OwnDevice>, Error> {
        let Some(own) = self.state.own.get(&())? else { return Ok(Vec::new()) };
        let Some(contact) = self.state.contacts.get(&own.jid)?.filter(|own| !own.list.as_slice().is_empty())
        else {
            return Ok(Vec::new());
        };
        let list = DeviceList::from_store(contact.list.as_slice()).map_err(|_| Misuse::Record)?;
        let mut out = Vec::new();
        for entry in list.entries() {
            let this = entry.device == own.device;
            let known = self.state.devices.get(&(own.jid.clone(), entry.device))?;
            let name = if this { Some(&own.name) } else { known.map(|known| &known.name) };
            let certificate =
                if this { Some(&own.certificate) } else { known.map(|known| &known.certificate) };
            let certificate = certificate.filter(|certificate| !certificate.as_slice().is_empty());
            let expires = certificate
                .map(|certificate| DeviceCertificate::from_store(certificate.as_slice()))
                .transpose()
                .map_err(|_| Misuse::Record)?
                .map(|certificate| certificate.not_after());
            out.push(OwnDevice {
                device: entry.device,
                name: name.filter(|name| !name.is_empty()).cloned(),
                this,
                live: list.is_live(entry.device) && !list.is_tombstone(),
                expires,
                last_seen: known.map(|known| known.last_seen).filter(|at| *at != Timestamp::default()),
            });
        }
        Ok(out)
    }

    /// What is known of an account; `None` if nothing.
    ///
    /// # Errors
    /// [`Misuse::Jid`] if `jid` is no bare JID; [`Error::NotLoaded`].
    pub fn contact(&self, jid: &str) -> Result<Option<Contact>, Error> {
        let jid = BareJid::parse(jid).map_err(|_| Misuse::Jid)?;
        let Some(contact) = self.state.contacts.get(&jid)? else { return Ok(None) };
        let ContactRecord { account_key, trust, policy, other_key, left, .. } = contact;
        let expected = contact.expected.filter(|(_, decision)| decision.trust == Trust::Verified);
        let range = (jid.clone(), 0)..=(jid.clone(), u32::MAX);
        Ok(Some(Contact {
            jid,
            account_key: *account_key,
            decision: *trust,
            policy: *policy,
            changed_key: *other_key,
            expected: expected.map(|(key, _)| key),
            encrypts: contact.encrypts(),
            left: *left,
            devices: self.state.devices.keys(range).into_iter().map(|(_, device)| device).collect(),
        }))
    }

    /// The fingerprint of the own account's key; none on a device that waits to be [linked](crate::Command::Link).
    ///
    /// # Errors
    /// [`Error::NotLoaded`].
    pub fn fingerprint(&self) -> Result<Option<Fingerprint>, Error> {
        let account = &self.config.account;
        // Without a certificate, what is known is what the server shows.
        let own = self.state.own.get(&())?.filter(|own| !own.certificate.as_slice().is_empty());
        let own = own.map(|own| DeviceCertificate::from_store(own.certificate.as_slice())).transpose();
        let certified = own.map_err(|_| Misuse::Record)?.map(|own| *own.account_digest());
        let key = self.config.identity.account_digest().or(certified);
        Ok(key.map(|key| Fingerprint::new(account.clone(), key)))
    }

    /// What was decided about the keys of a contact and no longer holds, the oldest first; the newest sixteen. What
    /// holds is [`Contact::decision`].
    ///
    /// # Errors
    /// [`Misuse::Jid`] if `jid` is no bare JID; [`Error::NotLoaded`].
    pub fn trust_history(&self, jid: &str) -> Result<Vec<PastDecision>, Error> {
        let jid = BareJid::parse(jid).map_err(|_| Misuse::Jid)?;
        Ok(self.state.past_decisions.get(&jid)?.map_or_else(Vec::new, |history| history.past.clone()))
    }

    /// The own device's number; zero before the first input.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.state.own.get(&()).ok().flatten().map_or(0, |own| own.device)
    }

    /// Everything handed in that is not done.
    ///
    /// # Errors
    /// [`Error::NotLoaded`].
    pub fn pending(&self) -> Result<Vec<Pending>, Error> {
        let mut out = Vec::new();
        for key in self.state.waiting.all_keys() {
            if let Some(waiting) = self.state.waiting.get(&key)? {
                out.push(Pending::Waiting(Token(waiting.token)));
            }
        }
        for key in self.state.outbox.all_keys() {
            if let Some(item) = self.state.outbox.get(&key)?
                && let Some(token) = item.token
            {
                out.push(Pending::Unacknowledged(Token(token)));
            }
        }
        Ok(out)
    }

    /// A secret of the live session with a device, for another use such as media: the same on both
    /// sides, apart for each label and context. `None` without a session.
    ///
    /// # Errors
    /// [`Misuse::Jid`] if `jid` is no bare JID; [`Error::NotLoaded`].
    pub fn export(
        &self,
        jid: &str,
        device: u32,
        label: &str,
        context: &[u8],
        len: u16,
    ) -> Result<Option<Secret>, Error> {
        let jid = BareJid::parse(jid).map_err(|_| Misuse::Jid)?;
        let live = self.state.devices.get(&(jid.clone(), device))?.and_then(|known| known.live);
        let Some(live) = live else { return Ok(None) };
        let Some(session) = self.state.sessions.get(&(jid, device, live))? else { return Ok(None) };
        let suite = self.config.suites.find(session.suite_id());
        Ok(suite.and_then(|suite| session.exporter(suite, label, context, len).ok()))
    }
}
