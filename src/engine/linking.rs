//! Linking: another device of the account certifies this one, or this one another, after the user has compared a
//! string on both.
//!
//! The new device opens a session under a provisional certificate. In it nothing is read but
//! [`LinkingMessage`]s: it is never live, its device is not among those known, and it goes when the run ends.
//! What both sides do is here; [`new`] and [`old`] have what one does.

mod new;
mod old;

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Linking, LinkingStage, SessionKey};
use crate::env::Timestamp;
use crate::error::{Error, Misbehaviour, Misuse, Reason};
use crate::identity::{DeviceCertificate, DeviceEntry, DeviceState, spelled};
use crate::jid::BareJid;
use crate::linking::{DeviceKeys, LinkingMessage, Run, Transcript};
use crate::stanza::{Body, Content, Control};
use crate::step::{Event, LinkFault};
use crate::verify::RunId;
use crate::wire::Bytes;

/// Requests shown to the user in an hour: a server can make up devices, and must not keep a person busy.
const MAX_REQUESTS: usize = 6;

/// Comparisons in an hour: each is one try to meet a string by chance.
const MAX_RUNS: usize = 3;

/// The time in which they are counted.
const WINDOW: Duration = Duration::from_hours(1);

/// Old devices that a new one asks at once: those at hand.
const MAX_ASKED: usize = 4;

/// What nothing has answered is said again so much later: servers lose messages to devices that come and go.
const REPEAT: Duration = Duration::from_mins(1);

/// Where a new device keeps that it looks for old ones: no device has this number.
pub(super) const SEARCH: u32 = 0;

impl Linking {
    /// The run whose end the user is told: of a new device that of its search.
    fn shown_run(&self) -> Option<Run> {
        let shown = match self.stage {
            LinkingStage::Searching => true,
            LinkingStage::Asked
            | LinkingStage::Accepted
            | LinkingStage::Comparing
            | LinkingStage::Certifying
            | LinkingStage::Listing => !self.new,
            LinkingStage::Opening | LinkingStage::Sent | LinkingStage::Ended => false,
        };
        shown.then_some(self.run)
    }
}

impl Draft<'_> {
    /// What both sides must see alike.
    fn transcript(&self, account: &BareJid, linking: &Linking) -> Result<Option<Transcript>, Error> {
        let keys = |certificate: &Bytes| DeviceKeys::of(certificate.as_slice());
        let theirs = keys(&linking.certificate);
        let (key, mine) = if linking.new {
            let shown = DeviceCertificate::from_store(linking.certificate.as_slice());
            let shown = shown.map_err(|_| Misuse::Record)?;
            (Some(shown.account().clone()), keys(&self.certificate_to_show(account)?))
        } else {
            (self.account_key(account)?, keys(&self.own()?.certificate))
        };
        let (Some(key), Ok(theirs), Ok(mine)) = (key, theirs, mine) else { return Ok(None) };
        let (new, old) = if linking.new { (mine, theirs) } else { (theirs, mine) };
        let (session, run) = (linking.session, linking.run);
        Ok(Some(Transcript { jid: spelled(account), account: key, new, old, session, run }))
    }

    /// Says something in the session of a run, and again every minute until something answers it.
    fn say_linking(&mut self, device: u32, linking: &Linking, message: &LinkingMessage) -> Done {
        let bytes = message.encode();
        let last = matches!(message, LinkingMessage::Done { .. } | LinkingMessage::Abort { .. });
        let again = self.now.after(REPEAT).as_millis();
        if let Some(linking) = self.state.linkings.get_mut(&device)? {
            linking.last = bytes.as_slice().into();
            linking.again_at = (!last).then_some(again);
        }
        let key = (self.own()?.jid.clone(), device, linking.session);
        self.send_control(&key, Control::Linking(bytes.into()))
    }

    /// Nothing has answered what was last said: it may be lost.
    fn say_again(&mut self, device: u32) -> Done {
        let account = self.own()?.jid.clone();
        let again = self.now.after(REPEAT).as_millis();
        let Some(linking) = self.state.linkings.get_mut(&device)? else { return Ok(()) };
        linking.again_at = Some(again);
        let (key, bytes) = ((account, device, linking.session), linking.last.clone());
        self.send_control(&key, Control::Linking(bytes))
    }

    /// Whether a session is good for linking only.
    pub(super) fn is_for_linking(&self, key: &SessionKey) -> Result<bool, Error> {
        let (jid, device, session) = key;
        if self.own()?.jid != *jid {
            return Ok(false);
        }
        let linking = self.state.linkings.get(device)?;
        Ok(self.is_unlinked()? || linking.is_some_and(|linking| linking.session == *session))
    }

    /// Refuses everything in a session for linking but what belongs to it.
    pub(super) fn check_linking(
        &self,
        key: &SessionKey,
        content: &Content<'_>,
    ) -> Result<Result<(), Reason>, Error> {
        let fits = matches!(content.body, Body::Control(Control::Linking(_)));
        if self.is_for_linking(key)? && !fits {
            return Ok(Err(Misbehaviour::OutOfTurn.into()));
        }
        Ok(Ok(()))
    }

    /// A message in the session of a run, or between devices of the account.
    pub(super) fn linking_said(&mut self, key: &SessionKey, bytes: &[u8]) -> Done {
        let (jid, device, session) = key;
        let message = match LinkingMessage::decode(bytes) {
            Ok(message) if self.own()?.jid == *jid => message,
            Ok(_) => {
                self.reject(Some(jid), Misbehaviour::WrongSubject);
                return Ok(());
            }
            Err(malformed) => {
                self.reject(Some(jid), malformed);
                return Ok(());
            }
        };
        let linking = self.state.linkings.get(device)?.filter(|linking| linking.session == *session).cloned();
        let Some(linking) = linking else { return self.own_device_said(key, message) };
        let fits = match (&message, linking.stage) {
            (LinkingMessage::Request { run, commitment }, LinkingStage::Opening) if !linking.new => {
                return self.linking_asked(jid, *device, linking, *run, *commitment);
            }
            (LinkingMessage::Accept { run, .. }, LinkingStage::Asked) => linking.new && *run == linking.run,
            (LinkingMessage::Reveal { run, .. }, LinkingStage::Accepted) => {
                !linking.new && *run == linking.run
            }
            (LinkingMessage::Confirmed { run }, LinkingStage::Comparing) => {
                !linking.new && *run == linking.run
            }
            (LinkingMessage::Certificate { run, .. }, LinkingStage::Comparing) => {
                linking.new && linking.confirmed && *run == linking.run
            }
            (LinkingMessage::Done { run }, LinkingStage::Sent) => *run == linking.run,
            (LinkingMessage::Abort { run, .. }, stage) => *run == linking.run && stage != LinkingStage::Ended,
            _ => false,
        };
        if !fits {
            // Of this run it has come twice, or late.
            if message.run() != Some(&linking.run) {
                self.reject(Some(jid), Misbehaviour::OutOfTurn);
            }
            return Ok(());
        }
        match message {
            LinkingMessage::Accept { contribution, .. } => {
                self.linking_accepted(*device, linking, contribution)
            }
            LinkingMessage::Reveal { contribution, .. } => {
                self.linking_revealed(*device, linking, contribution)
            }
            LinkingMessage::Confirmed { .. } => {
                if let Some(linking) = self.state.linkings.get_mut(device)? {
                    linking.other_confirmed = true;
                }
                self.certify_linked(*device)
            }
            LinkingMessage::Certificate { certificate, list, .. } => {
                match self.take_certificate(&linking, certificate.as_slice(), list.as_slice())? {
                    Ok(()) => self.linked(*device, &linking),
                    Err(why) => self.linking_failed(*device, why, true),
                }
            }
            LinkingMessage::Done { .. } => self.end_linking(*device),
            LinkingMessage::Abort { why, .. } => {
                self.linking_failed(*device, LinkFault::from_code(why), false)
            }
            LinkingMessage::Request { .. }
            | LinkingMessage::Name(_)
            | LinkingMessage::Renew
            | LinkingMessage::Renewed(_) => Ok(()),
        }
    }

    /// Counts a comparison, unless there were too many.
    fn may_compare(&mut self) -> Result<bool, Error> {
        let now = self.now;
        let own = self.own_mut()?;
        own.linking_runs.retain(|at| now.since(Timestamp::from_millis(*at)) < WINDOW);
        let room = own.linking_runs.len() < MAX_RUNS;
        if room {
            own.linking_runs.push(now.as_millis());
        }
        Ok(room)
    }

    fn show_string(&mut self, linking: &Linking) -> Done {
        let account = self.own()?.jid.clone();
        let Some(transcript) = self.transcript(&account, linking)? else { return Ok(()) };
        let (mine, theirs) = (linking.mine.expose(), &linking.theirs[..]);
        let (new, old) = if linking.new { (mine, theirs) } else { (theirs, mine) };
        let string = transcript.string(new, old);
        self.notify(Event::LinkingString { run: RunId(linking.run), string });
        Ok(())
    }

    /// The user has compared.
    pub(super) fn confirm_linking(&mut self, run: Run, same: bool) -> Done {
        let new = self.is_unlinked()?;
        let Some((device, mut linking)) = self.linking_of(run, LinkingStage::Comparing, new)? else {
            return Ok(());
        };
        if !same {
            return self.linking_failed(device, LinkFault::Mismatch, true);
        }
        if linking.confirmed {
            return Ok(());
        }
        linking.confirmed = true;
        self.state.linkings.put(device, linking.clone());
        if new {
            return self.say_linking(device, &linking, &LinkingMessage::Confirmed { run });
        }
        self.certify_linked(device)
    }

    /// The user has thought better of it.
    pub(super) fn cancel_linking(&mut self, run: Run) -> Done {
        if self.state.linkings.get(&SEARCH)?.is_some_and(|search| search.run == run) {
            return self.end_search(Some(LinkFault::Cancelled));
        }
        for device in self.state.linkings.all_keys() {
            let Some(linking) = self.state.linkings.get(&device)? else { continue };
            let before = match linking.stage {
                LinkingStage::Asked | LinkingStage::Accepted | LinkingStage::Comparing => true,
                LinkingStage::Searching
                | LinkingStage::Opening
                | LinkingStage::Certifying
                | LinkingStage::Listing
                | LinkingStage::Sent
                | LinkingStage::Ended => false,
            };
            if linking.run == run && before {
                let asked = linking.stage == LinkingStage::Asked;
                self.abort_linking(device, if asked { LinkFault::Refused } else { LinkFault::Cancelled })?;
                self.notify(Event::LinkingFailed { run: RunId(run), why: LinkFault::Cancelled });
                return self.end_linking(device);
            }
        }
        Ok(())
    }

    /// None if the run is over, or past this: the user was late.
    fn linking_of(&self, run: Run, stage: LinkingStage, new: bool) -> Result<Option<(u32, Linking)>, Error> {
        for device in self.state.linkings.all_keys() {
            if let Some(linking) = self.state.linkings.get(&device)?
                && (linking.run, linking.stage, linking.new) == (run, stage, new)
            {
                return Ok(Some((device, linking.clone())));
            }
        }
        Ok(None)
    }

    /// Ends a run with its event, and tells the other side if it does not know.
    pub(super) fn linking_failed(&mut self, device: u32, why: LinkFault, tell: bool) -> Done {
        let Some(linking) = self.state.linkings.get(&device)?.cloned() else { return Ok(()) };
        if tell {
            self.abort_linking(device, why)?;
        }
        if !linking.new {
            if linking.stage == LinkingStage::Listing {
                // If the list has it already, another run will find it there.
                let retired = |entry: &DeviceEntry| entry.state == DeviceState::Retired;
                self.own_mut()?.amends.retain(|entry| entry.device != device || retired(entry));
            }
            self.notify(Event::LinkingFailed { run: RunId(linking.run), why });
            return self.end_linking(device);
        }
        self.set_ended(device)?;
        for other in self.state.linkings.all_keys() {
            let stage = self.state.linkings.get(&other)?.map(|linking| linking.stage);
            if matches!(stage, Some(LinkingStage::Opening | LinkingStage::Asked | LinkingStage::Comparing)) {
                // Another may still take it in.
                return Ok(());
            }
        }
        self.end_search(Some(why))
    }

    fn abort_linking(&mut self, device: u32, why: LinkFault) -> Done {
        match self.state.linkings.get(&device)?.cloned() {
            Some(linking) if linking.session != [0; 16] => self.say_linking(
                device,
                &linking,
                &LinkingMessage::Abort { run: linking.run, why: why.code() },
            ),
            Some(_) | None => Ok(()),
        }
    }

    fn set_stage(&mut self, device: u32, stage: LinkingStage) -> Done {
        if let Some(linking) = self.state.linkings.get_mut(&device)? {
            linking.stage = stage;
        }
        Ok(())
    }

    /// Forgets a run and its session.
    fn end_linking(&mut self, device: u32) -> Done {
        let account = self.own()?.jid.clone();
        if let Some(linking) = self.state.linkings.get(&device)? {
            let key = (account, device, linking.session);
            self.drop_session(&key)?;
        }
        self.state.linkings.remove(&device);
        Ok(())
    }

    /// No run goes on, for this device has left.
    pub(super) fn end_linkings(&mut self) -> Done {
        self.end_search(Some(LinkFault::Cancelled))?;
        for device in self.state.linkings.all_keys() {
            match self.state.linkings.get(&device)?.map(|linking| linking.stage) {
                Some(
                    LinkingStage::Asked
                    | LinkingStage::Accepted
                    | LinkingStage::Comparing
                    | LinkingStage::Certifying
                    | LinkingStage::Listing,
                ) => self.linking_failed(device, LinkFault::Cancelled, true)?,
                // The user knows of none, or how it ended.
                Some(
                    LinkingStage::Searching
                    | LinkingStage::Opening
                    | LinkingStage::Sent
                    | LinkingStage::Ended,
                )
                | None => {}
            }
        }
        Ok(())
    }

    /// No run goes on after a restoration, and nobody is told: its session has sealed what is not known here.
    pub(super) fn drop_linkings(&mut self) -> Done {
        for device in self.state.linkings.all_keys() {
            let Some(linking) = self.state.linkings.get(&device)?.cloned() else { continue };
            if let (Some(run), why) = (linking.shown_run(), LinkFault::Cancelled) {
                self.notify(Event::LinkingFailed { run: RunId(run), why });
            }
            self.end_linking(device)?;
            if device == SEARCH {
                self.search_undone(&linking)?;
            }
        }
        Ok(())
    }

    /// The time of a run is over.
    pub(super) fn linking_due(&mut self, device: u32) -> Done {
        let Some(linking) = self.state.linkings.get(&device)?.cloned() else { return Ok(()) };
        if self.now < linking.deadline {
            return self.say_again(device);
        }
        match linking.stage {
            LinkingStage::Searching => self.end_search(Some(LinkFault::TimedOut)),
            _ if linking.new => {
                // Ends with the search, which has the same time.
                if self.state.linkings.contains(&SEARCH) { Ok(()) } else { self.end_linking(device) }
            }
            LinkingStage::Opening | LinkingStage::Sent | LinkingStage::Ended => self.end_linking(device),
            LinkingStage::Asked
            | LinkingStage::Accepted
            | LinkingStage::Comparing
            | LinkingStage::Certifying
            | LinkingStage::Listing => self.linking_failed(device, LinkFault::TimedOut, true),
        }
    }

    /// After a restart what the user has to do is said again.
    pub(super) fn repeat_linking(&mut self) -> Done {
        for device in self.state.linkings.all_keys() {
            let Some(linking) = self.state.linkings.get(&device)?.cloned() else { continue };
            match linking.stage {
                LinkingStage::Asked if !linking.new => {
                    self.notify(Event::LinkingAsked { device, run: RunId(linking.run) });
                }
                LinkingStage::Comparing if !linking.confirmed => self.show_string(&linking)?,
                LinkingStage::Searching => {
                    self.notify(Event::LinkingStarted { run: RunId(linking.run) });
                }
                LinkingStage::Opening
                | LinkingStage::Asked
                | LinkingStage::Accepted
                | LinkingStage::Comparing
                | LinkingStage::Certifying
                | LinkingStage::Listing
                | LinkingStage::Sent
                | LinkingStage::Ended => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_keep_their_numbers() {
        for code in 1..=9 {
            assert_eq!(LinkFault::from_code(code).code(), code);
        }
        assert_eq!(LinkFault::from_code(200), LinkFault::Cancelled);
    }
}
