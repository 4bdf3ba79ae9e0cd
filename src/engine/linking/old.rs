//! The side of the device that has the account key.

use super::{MAX_REQUESTS, WINDOW};
use crate::agent::Operation;
use crate::engine::asks::operation;
use crate::engine::draft::{Done, Draft};
use crate::engine::own::CERTIFICATE_LIFE;
use crate::engine::receive::Incoming;
use crate::engine::records::{Arrival, Linking, LinkingStage, Purpose};
use crate::env::Timestamp;
use crate::error::{Error, Misbehaviour, Misuse, Reason};
use crate::identity::{CertificateTbs, DeviceCertificate, DeviceEntry, DeviceState, LINKING_LIFE};
use crate::jid::BareJid;
use crate::linking::{DeviceKeys, LinkingMessage, Run};
use crate::secret::Secret;
use crate::session::Session;
use crate::stanza::{Body, Content, Control};
use crate::step::{Event, LinkFault};
use crate::verify::RunId;

impl Draft<'_> {
    /// A device that asks to be linked has the keys of its provisional certificate: its session is kept for that.
    pub(in crate::engine) fn new_device_arrived(
        &mut self,
        incoming: &Incoming<'_>,
        device: u32,
        arrival: &Arrival,
        content: &Content<'_>,
        session: &Session,
    ) -> Result<Result<(), Reason>, Error> {
        let certificate = DeviceCertificate::from_store(arrival.certificate.as_slice());
        let allowed = self.may_ask_to_link(&certificate.map_err(|_| Misuse::Record)?)?;
        if let Err(reason) = allowed {
            return Ok(Err(reason));
        }
        let asks = |bytes: &[u8]| matches!(LinkingMessage::decode(bytes), Ok(LinkingMessage::Request { .. }));
        if !matches!(&content.body, Body::Control(Control::Linking(message)) if asks(message.as_slice())) {
            return Ok(Err(Misbehaviour::OutOfTurn.into()));
        }
        self.flight_accepted(arrival, session.id())?;
        let from = incoming.element.attr("from").unwrap_or_default();
        self.linking_arrived(device, arrival.certificate.as_slice(), session.id(), from)?;
        let key = (incoming.sender.clone(), device, session.id());
        self.state.sessions.put(key, session.clone());
        Ok(Ok(()))
    }

    /// Whether a device that shows a provisional certificate may ask now.
    pub(in crate::engine) fn may_ask_to_link(
        &mut self,
        certificate: &DeviceCertificate,
    ) -> Result<Result<(), Reason>, Error> {
        let device = certificate.device();
        if self.is_unlinked()? || device == self.own()?.device {
            return Ok(Err(Misbehaviour::WrongSubject.into()));
        }
        if let Some(known) = self.device(certificate.jid(), device)?
            && DeviceKeys::of(known.certificate.as_slice()).ok() != DeviceKeys::of(certificate.bytes()).ok()
        {
            // Under the number of another.
            return Ok(Err(Misbehaviour::WrongSubject.into()));
        }
        for key in self.state.linkings.all_keys() {
            let Some(linking) = self.state.linkings.get(&key)? else { continue };
            let same = DeviceKeys::of(linking.certificate.as_slice()).ok()
                == DeviceKeys::of(certificate.bytes()).ok();
            let decided = !matches!(linking.stage, LinkingStage::Opening | LinkingStage::Asked);
            // One at a time; the same device may begin again before the user has decided.
            if linking.stage != LinkingStage::Sent && (!same || decided) {
                return Ok(Err(Misbehaviour::TooMuch.into()));
            }
        }
        let now = self.now;
        let own = self.own_mut()?;
        own.linking_requests.retain(|at| now.since(Timestamp::from_millis(*at)) < WINDOW);
        if own.linking_requests.len() >= MAX_REQUESTS {
            return Ok(Err(Misbehaviour::TooMuch.into()));
        }
        Ok(Ok(()))
    }

    /// A new device has proven that it has the keys of its provisional certificate.
    pub(in crate::engine) fn linking_arrived(
        &mut self,
        device: u32,
        certificate: &[u8],
        session: [u8; 16],
        from: &str,
    ) -> Done {
        for old in self.state.linkings.all_keys() {
            self.end_linking(old)?;
        }
        let now = self.now;
        self.own_mut()?.linking_requests.push(now.as_millis());
        let linking = Linking {
            session,
            address: from.to_owned(),
            certificate: certificate.into(),
            mine: Secret::random(32, self.rng),
            ..Linking::begun(false, LinkingStage::Opening, self.now.after(LINKING_LIFE))
        };
        self.state.linkings.put(device, linking);
        Ok(())
    }

    /// A new device asks: the user is told.
    pub(in crate::engine) fn linking_asked(
        &mut self,
        account: &BareJid,
        device: u32,
        linking: Linking,
        run: Run,
        commitment: [u8; 32],
    ) -> Done {
        let certificate = DeviceCertificate::from_store(linking.certificate.as_slice());
        let certificate = certificate.map_err(|_| Misuse::Record)?;
        self.state.linkings.put(device, Linking { run, commitment, stage: LinkingStage::Asked, ..linking });
        let ours = self.account_key(account)?.map(|key| key.digest());
        let retired = |entry: &DeviceEntry| entry.device == device && entry.state == DeviceState::Retired;
        let list = self.list_of(account)?;
        let retired = list.is_some_and(|list| list.entries().iter().any(retired));
        if ours != Some(*certificate.account_digest()) {
            return self.linking_failed(device, LinkFault::AccountChanged, true);
        }
        if retired || !self.config.identity.has_account_key() {
            // There is nothing to ask the user.
            self.abort_linking(device, LinkFault::Refused)?;
            return self.end_linking(device);
        }
        self.notify(Event::LinkingAsked { device, run: RunId(run) });
        Ok(())
    }

    /// The user of this device agrees to compare.
    pub(in crate::engine) fn accept_linking(&mut self, run: Run) -> Done {
        let Some((device, linking)) = self.linking_of(run, LinkingStage::Asked, false)? else {
            return Ok(());
        };
        if !self.may_compare()? {
            return self.linking_failed(device, LinkFault::TooMany, true);
        }
        let mut contribution = [0; 32];
        contribution.copy_from_slice(linking.mine.expose().get(..32).ok_or(Misuse::Record)?);
        self.set_stage(device, LinkingStage::Accepted)?;
        self.say_linking(device, &linking, &LinkingMessage::Accept { run, contribution })
    }

    /// The new device's contribution: it must be the one that it committed itself to.
    pub(in crate::engine) fn linking_revealed(
        &mut self,
        device: u32,
        mut linking: Linking,
        contribution: [u8; 32],
    ) -> Done {
        let account = self.own()?.jid.clone();
        let transcript = self.transcript(&account, &linking)?;
        if !transcript.is_some_and(|transcript| transcript.opens(&linking.commitment, &contribution)) {
            return self.linking_failed(device, LinkFault::Invalid, true);
        }
        linking.theirs = contribution;
        linking.stage = LinkingStage::Comparing;
        linking.again_at = None;
        self.state.linkings.put(device, linking.clone());
        self.show_string(&linking)
    }

    /// Both have seen the same: the agent certifies the keys that were compared.
    pub(in crate::engine) fn certify_linked(&mut self, device: u32) -> Done {
        let Some(linking) = self.state.linkings.get(&device)?.cloned() else { return Ok(()) };
        if !(linking.confirmed && linking.other_confirmed) || linking.stage != LinkingStage::Comparing {
            return Ok(());
        }
        self.set_stage(device, LinkingStage::Certifying)?;
        let content = CertificateTbs::inside(linking.certificate.as_slice()).map_err(|_| Misuse::Record)?;
        self.ask_to_certify(Purpose::LinkCertificate, device, content)
    }

    /// Has the agent certify the keys of another device of the account, anew if it had a certificate.
    pub(in crate::engine) fn ask_to_certify(
        &mut self,
        purpose: Purpose,
        device: u32,
        content: CertificateTbs,
    ) -> Done {
        let account = self.own()?.jid.clone();
        let known = self.device(&account, device)?.map(|known| known.certificate.clone());
        let known =
            known.map(|known| DeviceCertificate::from_store(known.as_slice()).map_err(|_| Misuse::Record));
        let known = known.transpose()?.map_or(0, |known| known.serial());
        let listed = self.list_of(&account)?.and_then(|list| list.lowest_serial(device)).unwrap_or(0);
        let tbs = CertificateTbs {
            flags: 0,
            not_before: self.now.as_secs(),
            not_after: self.now.after(CERTIFICATE_LIFE).as_secs(),
            serial: known.max(listed).saturating_add(1),
            ..content
        };
        self.ask(purpose, Some((&account, device)), operation(Operation::certify_device(tbs.encode()))?)?;
        Ok(())
    }

    /// The agent has certified the new device. Whether that was of any use.
    pub(in crate::engine) fn linked_certified(
        &mut self,
        device: u32,
        tbs: &[u8],
        signature: &[u8],
    ) -> Result<bool, Error> {
        let Ok(certificate) = DeviceCertificate::issue(tbs, signature, &self.config.suites) else {
            return Ok(false);
        };
        let Some(linking) = self.state.linkings.get_mut(&device)? else { return Ok(true) };
        if linking.stage != LinkingStage::Certifying
            || DeviceKeys::of(certificate.bytes()).ok() != DeviceKeys::of(linking.certificate.as_slice()).ok()
        {
            // Of a run that is over.
            return Ok(true);
        }
        linking.issued = certificate.bytes().into();
        linking.stage = LinkingStage::Listing;
        let session = linking.session;
        let account = self.own()?.jid.clone();
        // If it was one of the account before, it has dropped what there was between the two.
        for key in self.sessions_of(&account, device) {
            if key.2 != session {
                self.drop_session(&key)?;
            }
        }
        if let Some(known) = self.state.devices.get_mut(&(account, device))? {
            known.live = None;
        }
        let entry = DeviceEntry { device, lowest_serial: certificate.serial(), state: DeviceState::Live };
        self.amend(entry)?;
        Ok(true)
    }

    /// The list has the new device: it gets what it needs.
    pub(in crate::engine) fn settle_linked(&mut self, account: &BareJid) -> Done {
        for device in self.state.linkings.all_keys() {
            let Some(linking) = self.state.linkings.get(&device)?.cloned() else { continue };
            let Some(list) = self.list_of(account)? else { continue };
            if linking.stage != LinkingStage::Listing {
                continue;
            }
            let certificate = DeviceCertificate::from_store(linking.issued.as_slice());
            if list.accepts(&certificate.map_err(|_| Misuse::Record)?).is_err() {
                continue;
            }
            let message = LinkingMessage::Certificate {
                run: linking.run,
                certificate: linking.issued.clone(),
                list: list.bytes().into(),
            };
            let deadline = self.now.after(LINKING_LIFE);
            let linking = Linking { stage: LinkingStage::Sent, deadline, ..linking };
            self.state.linkings.put(device, linking.clone());
            self.say_linking(device, &linking, &message)?;
            self.notify(Event::Linked { device });
        }
        Ok(())
    }

    /// The agent has refused to certify a device, or to sign the list that has it.
    pub(in crate::engine) fn certifying_failed(&mut self, device: Option<u32>) -> Done {
        for key in self.state.linkings.all_keys() {
            let stage = self.state.linkings.get(&key)?.map(|linking| linking.stage);
            let fails = match stage {
                Some(LinkingStage::Certifying) => device == Some(key),
                Some(LinkingStage::Listing) => device.is_none(),
                Some(_) | None => false,
            };
            if fails {
                self.linking_failed(key, LinkFault::Agent, true)?;
            }
        }
        Ok(())
    }
}
