//! The new device's side.

use super::{MAX_ASKED, SEARCH};
use crate::agent::Operation;
use crate::engine::asks::operation;
use crate::engine::draft::{Done, Draft};
use crate::engine::opening::Occasion;
use crate::engine::records::{Linking, LinkingStage, Own, Purpose};
use crate::engine::send::Found;
use crate::engine::state::State;
use crate::env::Timestamp;
use crate::error::{Error, Misuse};
use crate::identity::{
    CertificateTbs, DeviceCertificate, DeviceList, DeviceRecord, Digest, LINKING, LINKING_LIFE, TOLERANCE,
    spelled,
};
use crate::jid::BareJid;
use crate::linking::{DeviceKeys, LinkingMessage};
use crate::secret::Secret;
use crate::step::{Event, LinkFault};
use crate::verify::RunId;
use crate::wire::Bytes;

impl Own {
    /// Whether the time of the certificate is over.
    pub(in crate::engine) fn is_expired(&self, now: Timestamp) -> Result<bool, Error> {
        let bytes = self.certificate.as_slice();
        if bytes.is_empty() {
            return Ok(false);
        }
        let certificate = DeviceCertificate::from_store(bytes).map_err(|_| Misuse::Record)?;
        Ok(now > certificate.not_after().after(TOLERANCE))
    }
}

impl State {
    /// Whether this device has a certificate that others take. With the account key it gets the next one by itself.
    pub(in crate::engine) fn is_certified(&self, account_key: bool) -> Result<bool, Error> {
        let Some(own) = self.own.get(&())? else { return Ok(false) };
        let linked = account_key || !self.linkings.contains(&SEARCH) && !own.is_expired(self.seen)?;
        Ok(linked && !own.certificate.as_slice().is_empty())
    }
}

impl Draft<'_> {
    /// The user wants this device taken into the account by another.
    pub(in crate::engine) fn link(&mut self) -> Done {
        let own = self.own()?;
        let left_out =
            self.list_of(&own.jid)?.is_some_and(|list| own.list_fetched && list.leaves_out(own.device));
        let ended = self.is_unlinked()? || self.is_expired()? || !own.contested.is_empty() || left_out;
        if self.config.identity.has_account_key() || !ended || self.own()?.left {
            return Err(Misuse::Identity.into());
        }
        self.end_search(Some(LinkFault::Cancelled))?;
        let account = self.own()?.jid.clone();
        let list = self.contact(&account)?.map(|contact| contact.list.clone());
        // The account key may have changed since.
        self.look_anew(&account, None)?;
        let mut run = [0; 16];
        self.rng.fill_bytes(&mut run);
        let search = Linking::begun(true, LinkingStage::Searching, self.now.after(LINKING_LIFE));
        let issued = list.unwrap_or_else(|| Bytes::new(Vec::new()));
        self.state.linkings.put(SEARCH, Linking { run, issued, ..search });
        self.notify(Event::LinkingStarted { run: RunId(run) });
        self.own_mut()?.agent_retry_at = None;
        self.want_keys(&account)
    }

    /// Forgets the own account's devices and list, which are fetched again, under this account key or under whichever
    /// is shown.
    fn look_anew(&mut self, account: &BareJid, key: Option<Digest>) -> Done {
        self.drop_devices(account)?;
        let contact = self.contact_mut(account)?;
        contact.account_key = key;
        // What the list does not know of is still to be told.
        let left_out = contact.left_out.take();
        contact.forget_list();
        contact.left_out = left_out;
        // A fetch under way may have had the records already.
        contact.tried = 0;
        self.own_mut()?.list_fetched = false;
        Ok(())
    }

    /// A device that was to be linked again stays what it was, whatever account key it was shown meanwhile. Its list
    /// too: none before that is taken.
    pub(in crate::engine) fn search_undone(&mut self, search: &Linking) -> Done {
        let Some(certificate) = self.own_certificate()? else { return Ok(()) };
        let account = self.own()?.jid.clone();
        self.look_anew(&account, Some(*certificate.account_digest()))?;
        if !search.issued.as_slice().is_empty() {
            let list = DeviceList::from_store(search.issued.as_slice()).map_err(|_| Misuse::Record)?;
            self.store_list(&account, &list)?;
        }
        self.unsettled = true;
        Ok(())
    }

    /// Of several account keys that the own account shows while this device looks for another, the one of the list
    /// counts: records of dead keys stay with servers. Whether the records are to be fetched again under that.
    pub(in crate::engine) fn is_listed_under_other(
        &mut self,
        jid: &BareJid,
        list: &[u8],
    ) -> Result<bool, Error> {
        if self.own()?.jid != *jid || !self.is_searching() {
            return Ok(false);
        }
        let (Ok(list), Some(known)) =
            (DeviceList::from_store(list), self.contact(jid)?.and_then(|contact| contact.account_key))
        else {
            return Ok(false);
        };
        let other = known != *list.account();
        if other {
            self.look_anew(jid, Some(*list.account()))?;
        }
        Ok(other)
    }

    /// Whether this device has no certificate, and only linking gives it one. While it is linked again the one that it
    /// has counts for nothing.
    pub(in crate::engine) fn is_unlinked(&self) -> Result<bool, Error> {
        let none = self.own()?.certificate.as_slice().is_empty() || self.is_searching();
        Ok(!self.config.identity.has_account_key() && none)
    }

    /// Whether this device looks for another to link it.
    pub(in crate::engine) fn is_searching(&self) -> bool {
        self.state.linkings.contains(&SEARCH)
    }

    /// Whether the time of this device's certificate is over, and only linking gives it another: no device certifies
    /// keys anew that nobody has vouched for in between.
    pub(in crate::engine) fn is_expired(&self) -> Result<bool, Error> {
        Ok(!self.config.identity.has_account_key() && self.own()?.is_expired(self.now)?)
    }

    /// Whether this device has a certificate of its account that others take.
    pub(in crate::engine) fn is_certified(&self) -> Result<bool, Error> {
        self.state.is_certified(self.config.identity.has_account_key())
    }

    /// The certificate that a handshake with an account shows: to the own one a provisional one while this device is
    /// being linked.
    pub(in crate::engine) fn certificate_to_show(&self, jid: &BareJid) -> Result<Bytes, Error> {
        let mine = self.own()?.jid == *jid;
        match self.state.linkings.get(&SEARCH)? {
            Some(search) if mine && self.is_unlinked()? => Ok(search.certificate.clone()),
            Some(_) | None => Ok(self.own()?.certificate.clone()),
        }
    }

    /// Asks the account's devices that are there to take this one in.
    pub(in crate::engine) fn settle_linking(&mut self) -> Done {
        let Some(search) = self.state.linkings.get(&SEARCH)?.cloned() else { return Ok(()) };
        let own = self.own()?;
        let (account, connection) = (own.jid.clone(), own.connection);
        if !own.list_fetched {
            // A new stream, perhaps.
            return self.want_keys(&account);
        }
        let Some(key) = self.account_key(&account)? else { return Ok(()) };
        let here = self.contact(&account)?.filter(|contact| contact.connection == connection);
        let here = here.map_or_else(Vec::new, |contact| {
            let resources =
                contact.resources.iter().filter(|r| r.available && contact.live.contains(&r.device));
            resources.map(|resource| resource.device).collect()
        });
        let mut candidates = Vec::new();
        for device in here {
            if self.device(&account, device)?.is_some_and(|known| known.is_good(self.now))
                && !self.state.linkings.contains(&device)
                && !candidates.contains(&device)
            {
                candidates.push(device);
            }
        }
        let room = (MAX_ASKED + 1).saturating_sub(self.state.linkings.len());
        candidates.truncate(room);
        if candidates.is_empty() || self.has_accepted()? {
            return Ok(());
        }
        if search.certificate.as_slice().is_empty() {
            let own = self.own()?;
            let tbs = CertificateTbs {
                jid: spelled(&account),
                account: key,
                device: own.device,
                signing_key: self.config.identity.signing_key().clone(),
                agreement_keys: self.config.identity.agreement_keys().to_vec(),
                flags: LINKING,
                not_before: self.now.as_secs(),
                not_after: self.now.after(LINKING_LIFE).as_secs(),
                serial: 0,
                extensions: Vec::new(),
            };
            return self.ask_once(Purpose::Provisional, || operation(Operation::begin_linking(tbs.encode())));
        }
        for device in candidates {
            self.ask_device(&account, device, &search)?;
        }
        Ok(())
    }

    /// Opens a session to ask one device.
    pub(in crate::engine) fn ask_device(&mut self, account: &BareJid, device: u32, search: &Linking) -> Done {
        let Some(known) = self.device(account, device)? else { return Ok(()) };
        if known.record.as_slice().is_empty() {
            return Ok(());
        }
        let record = DeviceRecord::from_store(known.record.as_slice()).map_err(|_| Misuse::Record)?;
        let certificate = known.certificate.clone();
        let linking = Linking {
            stage: LinkingStage::Opening,
            certificate,
            mine: Secret::random(32, self.rng),
            ..search.clone()
        };
        self.state.linkings.put(device, linking);
        match self.open_session(account, &record, self.config.least, Occasion::Linking)? {
            Found::Wait(_) | Found::Target(_) => Ok(()),
            Found::Missing(_) => self.linking_failed(device, LinkFault::Agent, false),
        }
    }

    /// Whether one of the devices asked has accepted.
    pub(in crate::engine) fn has_accepted(&self) -> Result<bool, Error> {
        for device in self.state.linkings.all_keys() {
            if self
                .state
                .linkings
                .get(&device)?
                .is_some_and(|linking| linking.stage == LinkingStage::Comparing)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The agent has signed the provisional certificate. Whether it was of any use.
    pub(in crate::engine) fn provisional_signed(
        &mut self,
        tbs: &[u8],
        signature: &[u8],
    ) -> Result<bool, Error> {
        let Ok(certificate) = DeviceCertificate::issue_provisional(tbs, signature, &self.config.suites)
        else {
            return Ok(false);
        };
        if let Some(search) = self.state.linkings.get_mut(&SEARCH)? {
            search.certificate = certificate.bytes().into();
        }
        Ok(true)
    }

    /// A session with a device of the own account is there: what it was opened for goes out.
    pub(in crate::engine) fn linking_opened(
        &mut self,
        account: &BareJid,
        device: u32,
        session: [u8; 16],
    ) -> Done {
        let Some(linking) = self.state.linkings.get_mut(&device)? else { return Ok(()) };
        if !linking.new || linking.stage != LinkingStage::Opening {
            return Ok(());
        }
        linking.session = session;
        linking.stage = LinkingStage::Asked;
        let linking = linking.clone();
        let Some(transcript) = self.transcript(account, &linking)? else { return Ok(()) };
        let commitment = transcript.commitment(linking.mine.expose());
        self.say_linking(device, &linking, &LinkingMessage::Request { run: linking.run, commitment })
    }

    /// The user of an old device agrees to compare: the others are told that they need not.
    pub(in crate::engine) fn linking_accepted(
        &mut self,
        device: u32,
        mut linking: Linking,
        contribution: [u8; 32],
    ) -> Done {
        for other in self.state.linkings.all_keys() {
            if other != device && other != SEARCH {
                self.abort_linking(other, LinkFault::Elsewhere)?;
                self.set_ended(other)?;
            }
        }
        if !self.may_compare()? {
            return self.linking_failed(device, LinkFault::TooMany, true);
        }
        linking.theirs = contribution;
        linking.stage = LinkingStage::Comparing;
        self.state.linkings.put(device, linking.clone());
        let mut mine = [0; 32];
        mine.copy_from_slice(linking.mine.expose().get(..32).ok_or(Misuse::Record)?);
        self.say_linking(device, &linking, &LinkingMessage::Reveal { run: linking.run, contribution: mine })?;
        self.show_string(&linking)
    }

    /// The certificate of this device, if it is what was compared.
    pub(in crate::engine) fn take_certificate(
        &mut self,
        linking: &Linking,
        certificate: &[u8],
        list: &[u8],
    ) -> Result<Result<(), LinkFault>, Error> {
        let suites = &self.config.suites;
        let shown =
            DeviceCertificate::from_store(linking.certificate.as_slice()).map_err(|_| Misuse::Record)?;
        let Ok(certificate) = DeviceCertificate::verify(certificate, None, suites, self.now) else {
            return Ok(Err(LinkFault::Invalid));
        };
        if certificate.account() != shown.account() {
            return Ok(Err(LinkFault::AccountChanged));
        }
        let own = self.own()?;
        let jid = own.jid.clone();
        let keys = DeviceKeys::of(certificate.bytes()).ok();
        let ours = keys.is_some() && keys == DeviceKeys::of(self.certificate_to_show(&jid)?.as_slice()).ok();
        let list = DeviceList::verify(list, &jid, certificate.account(), suites);
        let known = self.contact(&jid)?.map_or(0, |contact| contact.list_version);
        let (Ok(list), true, true) = (list, ours, *certificate.jid() == jid) else {
            return Ok(Err(LinkFault::Invalid));
        };
        if list.version() < known || list.accepts(&certificate).is_err() {
            return Ok(Err(LinkFault::Invalid));
        }
        let own = self.own_mut()?;
        own.certificate = certificate.bytes().into();
        own.serial = certificate.serial();
        own.contested.clear();
        // What was made under the certificate before is made anew, and told at once.
        own.record = Bytes::new(Vec::new());
        own.advert.clear();
        own.presence_advert = 0;
        // Published by the device that made it.
        own.list_published = true;
        self.contact_mut(&jid)?.account_key = Some(*certificate.account_digest());
        self.store_list(&jid, &list)?;
        self.unsettled = true;
        Ok(Ok(()))
    }

    /// This device is one of the account. What was opened for linking goes; ordinary sessions follow.
    pub(in crate::engine) fn linked(&mut self, device: u32, linking: &Linking) -> Done {
        self.say_linking(device, linking, &LinkingMessage::Done { run: linking.run })?;
        self.end_search(None)?;
        let device = self.own()?.device;
        self.notify(Event::Linked { device });
        Ok(())
    }

    /// This device has been asked, and is not asked again in this search.
    pub(in crate::engine) fn set_ended(&mut self, device: u32) -> Done {
        let account = self.own()?.jid.clone();
        self.close_sessions(&account, device)?;
        if let Some(linking) = self.state.linkings.get_mut(&device)? {
            linking.stage = LinkingStage::Ended;
            linking.session = [0; 16];
            linking.again_at = None;
        }
        Ok(())
    }

    /// The new device looks no further: all that it has asked, and that has not ended by itself, are told why.
    pub(in crate::engine) fn end_search(&mut self, why: Option<LinkFault>) -> Done {
        let account = self.own()?.jid.clone();
        let Some(search) = self.state.linkings.get(&SEARCH)?.cloned() else { return Ok(()) };
        for device in self.state.linkings.all_keys() {
            if device != SEARCH {
                if let Some(why) = why {
                    self.abort_linking(device, why)?;
                }
                self.close_sessions(&account, device)?;
            }
            self.state.linkings.remove(&device);
        }
        let Some(why) = why else { return Ok(()) };
        self.notify(Event::LinkingFailed { run: RunId(search.run), why });
        self.search_undone(&search)
    }

    /// The agent has not signed the provisional certificate.
    pub(in crate::engine) fn linking_without_agent(&mut self) -> Done {
        self.end_search(Some(LinkFault::Agent))
    }

    /// The handshake with a device that was to be asked cannot be made.
    pub(in crate::engine) fn linking_not_opened(&mut self, device: u32) -> Done {
        let opening = |linking: &Linking| linking.new && linking.stage == LinkingStage::Opening;
        if self.state.linkings.get(&device)?.is_some_and(opening) {
            return self.linking_failed(device, LinkFault::Agent, false);
        }
        Ok(())
    }
}
