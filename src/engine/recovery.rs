//! What cannot be read is asked for again.
//!
//! A message that cannot be read changes nothing but a timer. When that has run out a new session is opened with the
//! device, chained to the last, and its first message asks for what was sent since the last one that was read. If a
//! session with the device is made meanwhile, by whichever side, it is asked there. Of a device that its account's list
//! does not hold, the list is looked at first: of two that were made at once, it may be the one that is about to go.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::fetch::RETRY;
use crate::engine::opening::Occasion;
use crate::engine::records::{SessionKey, Trouble};
use crate::env::Timestamp;
use crate::error::{Error, Misbehaviour, Misuse, Reason, Unreadable};
use crate::identity::{DeviceRecord, MAX_DEVICES};
use crate::jid::BareJid;
use crate::session::SKIPPED_LIFE;
use crate::stanza::{Control, Resend};
use crate::step::{Event, Via};

/// So long for what was overtaken on its way, and for all that cannot be read to have come: it is asked for once.
const GRACE: Duration = Duration::from_secs(5);

/// While a handshake with the device is under way, or this one has no certificate, it is looked at again after so long.
const AGAIN: Duration = Duration::from_mins(1);

/// A session is opened for this at most so often with a device; and twice as seldom after each time that nothing came
/// of it.
const INTERVAL: Duration = Duration::from_hours(1);

/// After so many times in a row of which nothing came no more is opened, until something can be read again.
const MAX_FAILURES: u8 = 4;

/// Within an hour it is asked at most so often: where handshakes cross, in one session that the other side cannot
/// read, and then in the one that both come to.
const MAX_ASKED: u8 = 3;

/// A list that does not hold a device is looked at so often for its sake, after [`RETRY`] and each time after twice as
/// long: half an hour. Its next advert is not far then, and has the list looked at, too.
const MAX_LOOKS: u8 = 6;

/// For so long nothing more is done for a device that the list does not hold: it may be one that is no more.
const LOOKED: Duration = Duration::from_hours(24);

/// Times of messages that are remembered, of those read and of those that came again: more than are sent again.
const MAX_TIMES: usize = 2 * super::resend::MAX_RESENT;

/// No session is opened after [`MAX_FAILURES`] for so long after the last: what was asked for is kept no more.
const GIVEN_UP: Duration = Duration::from_hours(8 * 24);

/// All is forgotten so long after the last trouble, and after what was last sent again: what came that way must not be
/// taken a second time from the stanza that it was in first, which can be read as long as its key is stored.
pub(super) const FORGET: Duration = SKIPPED_LIFE.saturating_add(GIVEN_UP);

/// After a restore archives hold what the state does not know: so long that is asked for, too.
const RESTORED: Duration = Duration::from_hours(7 * 24);

impl Draft<'_> {
    /// Takes note that a message, as it seems of this device, could not be read for this reason. Whether it will be
    /// asked for.
    pub(super) fn unreadable(
        &mut self,
        jid: &BareJid,
        device: u32,
        reason: Reason,
        via: Via,
    ) -> Result<bool, Error> {
        let lost = [
            Unreadable::NoSession.into(),
            Unreadable::NoPrekey.into(),
            Unreadable::Agent.into(),
            Misbehaviour::TooManySkipped.into(),
            Misbehaviour::TooMuch.into(),
            // A session that one side has of an older state than the other.
            Misbehaviour::Equivocation.into(),
            Misbehaviour::OutOfTurn.into(),
            Reason::Unauthentic,
        ];
        let key = (jid.clone(), device);
        if reason == Misbehaviour::Retired.into() {
            // Its first flight; see `look_for`.
            return Ok(self.is_unlisted(jid, device)? && self.state.troubles.contains(&key));
        }
        if !lost.contains(&reason) {
            return Ok(false);
        }
        // Archives have what is older than any session.
        let restored = self.own()?.restored_at;
        let restored = restored != Timestamp::default() && self.now.since(restored) < RESTORED;
        if via == Via::Archive && !restored && !self.is_catching_up()? {
            return Ok(false);
        }
        if !self.may_ask_again(jid, device)? {
            return if self.device(jid, device)?.is_some() { self.look_for(jid, device) } else { Ok(false) };
        }
        let mut trouble = self.state.troubles.get(&key)?.cloned().unwrap_or_default();
        if trouble.failures >= MAX_FAILURES {
            if self.now.since(Timestamp::from_millis(trouble.asked_at)) < GIVEN_UP {
                return Ok(false);
            }
            trouble.failures = 0;
        }
        self.open_trouble(&key, &mut trouble)?;
        if trouble.due.is_none() {
            trouble.due = Some(next_question(&trouble, self.now).as_millis());
        }
        trouble.forget_at = self.now.after(FORGET);
        self.state.troubles.put(key, trouble);
        Ok(true)
    }

    fn open_trouble(&self, key: &(BareJid, u32), trouble: &mut Trouble) -> Done {
        if !trouble.open {
            trouble.from = self.heard_of(&key.0, key.1)?;
            if !trouble.is_of_reading() {
                trouble.since = trouble.from;
            }
            trouble.open = true;
        }
        Ok(())
    }

    /// A device with the account key's word, which the account's list does not hold, has sent what cannot be read for
    /// that: the list is looked at again, and if it holds the device then, that is asked to send again. Whether it may
    /// come to that.
    pub(super) fn look_for(&mut self, jid: &BareJid, device: u32) -> Result<bool, Error> {
        let key = (jid.clone(), device);
        let new = !self.state.troubles.contains(&key);
        if !self.is_unlisted(jid, device)? || new && self.troubles_of(jid).len() >= MAX_DEVICES {
            return Ok(false);
        }
        let mut trouble = self.state.troubles.get(&key)?.cloned().unwrap_or_default();
        self.open_trouble(&key, &mut trouble)?;
        if trouble.due.is_none() && trouble.looks < MAX_LOOKS {
            trouble.due = Some(self.may_look_at(jid)?.as_millis());
        }
        if new {
            trouble.forget_at = self.now.after(LOOKED);
        }
        self.state.troubles.put(key, trouble);
        Ok(true)
    }

    /// From when on the list of an account may be looked at for the sake of a device.
    fn may_look_at(&self, jid: &BareJid) -> Result<Timestamp, Error> {
        let checked = self.contact(jid)?.map_or(self.now, |contact| contact.checked);
        Ok(self.now.max(checked.after(RETRY)))
    }

    /// The list is looked at in trouble's sake. After that it is waited for, as long as nothing else stands in the way.
    fn look_again(&mut self, key: &(BareJid, u32), mut trouble: Trouble) -> Done {
        trouble.due = None;
        if !self.is_unlisted(&key.0, key.1)? {
            trouble.close();
        } else if !self.own()?.connected {
            // With the next stream.
            trouble.looks = trouble.looks.max(1);
        } else if trouble.looks < MAX_LOOKS {
            let at = self.may_look_at(&key.0)?;
            if at > self.now {
                trouble.due = Some(at.as_millis());
            } else {
                trouble.due = Some(self.now.after(RETRY * (1 << trouble.looks)).as_millis());
                trouble.looks += 1;
                self.state.troubles.put(key.clone(), trouble);
                return self.want_keys(&key.0);
            }
        }
        self.state.troubles.put(key.clone(), trouble);
        Ok(())
    }

    /// There is a stream again to look at lists by.
    pub(super) fn resume_looks(&mut self) -> Done {
        for key in self.state.troubles.all_keys() {
            if self.state.troubles.get(&key)?.is_some_and(|trouble| trouble.looks < MAX_LOOKS) {
                self.look_once_more(&key.0, key.1)?;
            }
        }
        Ok(())
    }

    /// The device shows itself, and the list may hold it now.
    pub(super) fn look_once_more(&mut self, jid: &BareJid, device: u32) -> Done {
        let key = (jid.clone(), device);
        let waits = |trouble: &Trouble| trouble.open && trouble.due.is_none() && trouble.looks > 0;
        if self.state.troubles.get(&key)?.is_some_and(waits) {
            let at = self.may_look_at(jid)?;
            if let Some(trouble) = self.state.troubles.get_mut(&key)? {
                trouble.looks = trouble.looks.min(MAX_LOOKS - 1);
                trouble.due = Some(at.as_millis());
            }
        }
        Ok(())
    }

    /// The list holds the device: what was waiting for that is asked for.
    pub(super) fn listed(&mut self, jid: &BareJid, device: u32) -> Done {
        let key = (jid.clone(), device);
        let looked = |trouble: &Trouble| trouble.open && trouble.looks > 0;
        if self.state.troubles.get(&key)?.is_some_and(looked)
            && let Some(trouble) = self.state.troubles.get_mut(&key)?
        {
            trouble.looks = 0;
            trouble.due = Some(next_question(trouble, self.now).as_millis());
            trouble.forget_at = self.now.after(FORGET);
        }
        Ok(())
    }

    /// Nothing is asked for any more. What came again stays known.
    pub(super) fn forget_asking(&mut self, key: &(BareJid, u32)) -> Done {
        let Some(Trouble { since, read, again, forget_at, .. }) = self.state.troubles.get(key)?.cloned()
        else {
            return Ok(());
        };
        if again.is_empty() {
            self.state.troubles.remove(key);
        } else {
            let kept = Trouble { since, read, again, forget_at, ..Trouble::default() };
            self.state.troubles.put(key.clone(), kept);
        }
        Ok(())
    }

    /// What came again is no longer known one by one. A message that was never read moves no chain on, and could be read
    /// for as long as its session or its prekeys are there: what says a time of then is none any more.
    fn forget_trouble(&mut self, key: &(BareJid, u32)) -> Done {
        let last = self.state.troubles.get(key)?.and_then(|trouble| trouble.again.iter().copied().max());
        self.state.troubles.remove(key);
        if let Some(last) = last
            && let Some(known) = self.state.devices.get_mut(key)?
        {
            // Whatever its clock says, what it writes from now on is later.
            let past = self.now.since(Timestamp::default()).saturating_sub(SKIPPED_LIFE);
            known.forgotten = known.forgotten.max(last.min(Timestamp::default().after(past).as_millis()));
        }
        Ok(())
    }

    /// Takes note of a message that came again.
    pub(super) fn came_again(&mut self, jid: &BareJid, device: u32, time: Timestamp) -> Done {
        if let Some(trouble) = self.state.troubles.get_mut(&(jid.clone(), device))? {
            note_time(&mut trouble.again, time.as_millis());
            trouble.forget_at = self.now.after(FORGET);
        }
        Ok(())
    }

    /// Whether this device may be asked to send again: a good one, of somebody who may know that it was not read.
    fn may_ask_again(&self, jid: &BareJid, device: u32) -> Result<bool, Error> {
        let good = self
            .device(jid, device)?
            .is_some_and(|known| known.is_good(self.now) && !known.record.as_slice().is_empty());
        Ok(good && self.may_ask_account(jid)?)
    }

    fn may_ask_account(&self, jid: &BareJid) -> Result<bool, Error> {
        Ok(!self.own()?.left && !self.is_unlinked()? && self.is_friend(jid)?)
    }

    /// Whether the list of one who may be asked does not say whether the device is live.
    pub(super) fn is_unlisted(&self, jid: &BareJid, device: u32) -> Result<bool, Error> {
        let Some(list) = self.list_of(jid)? else { return Ok(false) };
        let listed = list.is_tombstone() || list.holds(device);
        let retired = self.device(jid, device)?.is_some_and(|known| known.retired);
        Ok(!listed && !retired && self.may_ask_account(jid)?)
    }

    /// The highest time that a message of the device has said.
    fn heard_of(&self, jid: &BareJid, device: u32) -> Result<u64, Error> {
        let mut heard = self.device(jid, device)?.map_or(0, |known| known.heard);
        for key in self.sessions_of(jid, device) {
            heard = heard.max(self.state.sessions.get(&key)?.map_or(0, crate::session::Session::heard));
        }
        Ok(heard)
    }

    /// The time to ask, or to forget, has come.
    pub(super) fn trouble_due(&mut self, key: &(BareJid, u32)) -> Done {
        let (jid, device) = (&key.0, key.1);
        let Some(mut trouble) = self.state.troubles.get(key)?.cloned() else { return Ok(()) };
        if let (None, Some(until)) = (trouble.due, self.catching_up_until()?) {
            // What the archive still has can be read.
            trouble.forget_at = until;
            self.state.troubles.put(key.clone(), trouble);
            return Ok(());
        }
        if trouble.due.is_none() {
            return self.forget_trouble(key);
        }
        if !self.may_ask_again(jid, device)? {
            return self.look_again(key, trouble);
        }
        if self.state.openings.contains(key) || self.state.arrivals.contains(key) || !self.is_certified()? {
            trouble.due = Some(self.now.after(AGAIN).as_millis());
            self.state.troubles.put(key.clone(), trouble);
            return Ok(());
        }
        trouble.due = None;
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.asked = 0;
        trouble.asked_at = self.now.as_millis();
        self.state.troubles.put(key.clone(), trouble);
        let Some(known) = self.state.devices.get(key)? else { return Ok(()) };
        let (live, record) = (known.live, known.record.clone());
        let now = self.now;
        let unanswered = match live {
            Some(id) => {
                let session = self.state.sessions.get(&(jid.clone(), device, id))?;
                session
                    .filter(|session| session.flight().is_some())
                    .map(|session| now.since(session.created()))
            }
            None => None,
        };
        if let Some(live) = live.filter(|_| unanswered.is_some_and(|age| age < INTERVAL)) {
            // There is a handshake on its way; the question repeats it.
            return self.ask_in(&(jid.clone(), device, live));
        }
        // One that was not answered for long may be to prekeys that are gone, and what it would name is not known there.
        let occasion = if unanswered.is_some() { Occasion::NothingInCommon } else { Occasion::NotUnderstood };
        let record = DeviceRecord::from_store(record.as_slice()).map_err(|_| Misuse::Record)?;
        self.open_session(jid, &record, self.config.least, occasion)?;
        Ok(())
    }

    /// The handshake in which something was to be asked for has been given up: another is opened.
    pub(super) fn asking_broken_off(&mut self, key: &(BareJid, u32)) -> Done {
        let soon = self.now.after(GRACE).as_millis();
        if let Some(trouble) = self.state.troubles.get_mut(key)?
            && trouble.open
            && trouble.due.is_none()
            && trouble.asked == 0
        {
            trouble.due = Some(soon);
            trouble.failures = trouble.failures.saturating_sub(1);
        }
        Ok(())
    }

    /// A session with the device has been made. Whether something was asked for in it.
    pub(super) fn ask_again(&mut self, jid: &BareJid, device: u32) -> Result<bool, Error> {
        let Some(trouble) = self.state.troubles.get(&(jid.clone(), device))? else { return Ok(false) };
        if !trouble.open || !self.may_ask_again(jid, device)? {
            return Ok(false);
        }
        let asked_in = trouble.asked_in;
        let live = self.live_id(jid, device)?;
        let Some(live) = live.filter(|live| asked_in != Some(*live)) else { return Ok(false) };
        self.ask_in(&(jid.clone(), device, live))?;
        Ok(true)
    }

    fn ask_in(&mut self, key: &SessionKey) -> Done {
        let now = self.now;
        let Some(trouble) = self.state.troubles.get_mut(&(key.0.clone(), key.1))? else { return Ok(()) };
        // The handshake may have waited for prekeys.
        if trouble.asked == 0 || now.since(Timestamp::from_millis(trouble.asked_at)) >= INTERVAL {
            trouble.asked_at = now.as_millis();
            trouble.asked = 0;
        }
        if trouble.asked >= MAX_ASKED {
            return Ok(());
        }
        trouble.asked += 1;
        trouble.asked_in = Some(key.2);
        trouble.due = None;
        trouble.forget_at = now.after(FORGET);
        let (since, first) = (trouble.from, trouble.asked == 1);
        self.send_control(key, Control::Resend(Resend::Since(since)))?;
        if first {
            self.notify(Event::Recovering { peer: key.0.clone(), device: key.1 });
        }
        Ok(())
    }

    /// A message is read in a session, and none that comes again. So late after a question in it, it may be the handshake
    /// alone that came, for that is repeated and the question is not: it is asked once more.
    pub(super) fn ask_once_more(&mut self, key: &SessionKey) -> Done {
        let late = |trouble: &Trouble| {
            let age = self.now.since(Timestamp::from_millis(trouble.asked_at));
            trouble.open && trouble.asked_in == Some(key.2) && age >= INTERVAL
        };
        let late = self.state.troubles.get(&(key.0.clone(), key.1))?.is_some_and(late);
        // Only the live session seals.
        let live = self.live_id(&key.0, key.1)? == Some(key.2);
        if late && live && self.may_ask_again(&key.0, key.1)? { self.ask_in(key) } else { Ok(()) }
    }

    /// Takes note of a message that was read: if in the session that was asked in, the other side has that.
    pub(super) fn trouble_read(&mut self, key: &SessionKey, time: Option<Timestamp>) -> Done {
        let place = (key.0.clone(), key.1);
        let Some(trouble) = self.state.troubles.get_mut(&place)? else { return Ok(()) };
        if trouble.open && trouble.asked_in == Some(key.2) {
            trouble.close();
            trouble.failures = 0;
        }
        let told = trouble.is_of_reading();
        if let Some(time) = time.filter(|time| told && time.as_millis() > trouble.since)
            && let Some(lowest) = note_time(&mut trouble.read, time.as_millis())
        {
            // All up to it count as read.
            trouble.since = trouble.since.max(lowest);
        }
        Ok(())
    }

    /// Whether a message that says this time has come again.
    pub(super) fn was_again(&self, jid: &BareJid, device: u32, time: Timestamp) -> Result<bool, Error> {
        let time = time.as_millis();
        let forgotten = self.device(jid, device)?.is_some_and(|known| time <= known.forgotten);
        let trouble = self.state.troubles.get(&(jid.clone(), device))?;
        Ok(forgotten || trouble.is_some_and(|trouble| trouble.again.contains(&time)))
    }

    /// Whether a message that says this time was asked for, and is still missing.
    pub(super) fn is_missing(&self, jid: &BareJid, device: u32, time: Timestamp) -> Result<Missing, Error> {
        let Some(trouble) = self.state.troubles.get(&(jid.clone(), device))? else { return Ok(Missing::No) };
        let time = time.as_millis();
        Ok(match trouble.asked_at {
            0 => Missing::No,
            _ if time <= trouble.since || trouble.read.contains(&time) || trouble.again.contains(&time) => {
                Missing::Read
            }
            _ => Missing::Yes,
        })
    }
}

/// What is known of a message that comes again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Missing {
    Yes,
    /// It has been read.
    Read,
    /// Nothing was asked for.
    No,
}

/// When a device may next be asked to send again.
fn next_question(trouble: &Trouble, now: Timestamp) -> Timestamp {
    let wait = INTERVAL * (1_u32 << trouble.failures.min(MAX_FAILURES));
    let next = match trouble.asked_at {
        0 => Timestamp::default(),
        asked => Timestamp::from_millis(asked).after(wait),
    };
    now.after(GRACE).max(next)
}

/// Adds a time; if there are too many, the lowest goes and is given.
fn note_time(times: &mut Vec<u64>, time: u64) -> Option<u64> {
    times.push(time);
    let lowest = times.iter().copied().min().filter(|_| times.len() > MAX_TIMES)?;
    times.retain(|time| *time != lowest);
    Some(lowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_bounded_and_the_lowest_go() {
        let mut times = Vec::new();
        let gone: Vec<_> =
            (1..=2 * MAX_TIMES as u64).filter_map(|time| note_time(&mut times, time)).collect();
        assert_eq!(times.len(), MAX_TIMES);
        assert_eq!(gone, (1..=MAX_TIMES as u64).collect::<Vec<_>>());
        assert_eq!(times, (MAX_TIMES as u64 + 1..=2 * MAX_TIMES as u64).collect::<Vec<_>>());
    }
}
