//! Stanzas of the application on their way out.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::iq::{is_answer, is_message};
use crate::engine::opening::Occasion;
use crate::engine::outbox::MAX_OUTBOX;
use crate::engine::records::WaitingSend;
use crate::engine::seal::{Target, is_passing};
use crate::error::{Error, Malformed, Misuse};
use crate::identity::DeviceRecord;
use crate::jid::{Address, BareJid};
use crate::stanza::envelope::Recipient;
use crate::stanza::{
    CLIENT_NS, Element, IQ, MAX_DEPTH, MAX_STANZA, MESSAGE, PRESENCE, is_for_servers, parse, write_stanza,
};
use crate::step::{
    Authentication, Coverage, Effect, Form, Need, NotCovered, SendError, Token, Uncovered, Waiting,
};
use crate::suite::Level;

/// A stanza waits so long for keys while connected; then it fails.
const GIVE_UP: Duration = Duration::from_hours(7 * 24);

/// An iq or a presence waits at most so long for keys: who asked has given up by then.
const STREAM_PATIENCE: Duration = Duration::from_mins(1);

/// A stanza that the policy may yet send in clear waits at most so long for the peer's keys.
pub(super) const UNDECIDED: Duration = Duration::from_mins(1);

/// Room for addresses and for the copy that a carbon or an archive makes of a stanza.
pub(super) const MARGIN: usize = 8_192;

/// What a carbon or an archive result puts around a message: the message itself, its wrapper, `forwarded`.
const COPY_DEPTH: usize = 3;

/// How far a stanza has come.
pub(super) enum Attempt {
    Sent,
    Pass,
    Wait(Waiting),
    Fail(SendError),
}

impl Draft<'_> {
    pub(super) fn outgoing(&mut self, stanza: &str, token: Token, need: Need) -> Done {
        let element = match parse(stanza) {
            Ok(element) => element,
            // The user has written too much; the program is not at fault.
            Err(Malformed::TooLarge) => {
                self.fail(token, SendError::TooLarge);
                return Ok(());
            }
            Err(malformed) => return Err(Misuse::Stanza(malformed).into()),
        };
        self.outgoing_element(&element, token, need)
    }

    pub(super) fn outgoing_element(&mut self, element: &Element<'_>, token: Token, need: Need) -> Done {
        if &*element.ns != CLIENT_NS {
            return Err(Misuse::Stanza(Malformed::Stanza).into());
        }
        let to = element.attr("to").map(Address::parse).transpose().map_err(|_| Misuse::Jid)?;
        match &*element.name {
            MESSAGE => {
                let to = to.map_or_else(|| self.own().map(|own| own.jid.clone()), |to| Ok(to.bare))?;
                self.outgoing_message(element, to, token, need)
            }
            PRESENCE if to.is_none() && need == Need::Policy => self.outgoing_presence(element, token),
            PRESENCE | IQ => self.outgoing_of_stream(element, to, token, &need),
            _ => Err(Misuse::Stanza(Malformed::Stanza).into()),
        }
    }

    fn outgoing_message(&mut self, element: &Element<'_>, to: BareJid, token: Token, need: Need) -> Done {
        if self.known_token(token)? {
            return Ok(());
        }
        let inside = element.elements().any(|child| !is_for_servers(&child.ns, &child.name));
        // What there is nothing to protect in, or nobody to protect it for.
        let unprotectable = match element.attr("type") {
            Some("groupchat") => Some(SendError::NotForRooms),
            Some("error") => Some(SendError::NotProtectable),
            _ if !inside => Some(SendError::NotProtectable),
            _ if self.own()?.left => Some(SendError::Left),
            _ => None,
        };
        let sticky = self.state.never_clear(&to)?;
        let form = need.form();
        let level = match (need, unprotectable) {
            (Need::Clear(consent), _) if consent.peer == to => None,
            (Need::Clear(_), _) => return Err(Misuse::Consent.into()),
            (Need::Encrypted(_) | Need::Authenticated(_), Some(why)) => {
                self.fail(token, why);
                return Ok(());
            }
            // This device has left; what goes to those who encrypt goes out in clear only by consent.
            (Need::Policy, Some(SendError::Left)) if sticky => {
                self.fail(token, SendError::Left);
                return Ok(());
            }
            (Need::Policy, Some(_)) => None,
            (Need::Encrypted(level) | Need::Authenticated(Authentication { level, .. }), None) => {
                Some(level.0.max(1))
            }
            (Need::Policy, None) => self.level_by_policy(&to)?,
        };
        if let Some(level) = level {
            return self.protect(element, to, token, (level, form));
        }
        self.effects.push(Effect::Pass);
        Ok(())
    }

    /// Sends a stanza under protection, or keeps it until that is possible.
    pub(super) fn protect(
        &mut self,
        element: &Element<'_>,
        to: BareJid,
        token: Token,
        (level, form): (u8, Form),
    ) -> Done {
        if self.state.outbox.len() + self.state.waiting.len() >= MAX_OUTBOX {
            self.fail(token, SendError::Full);
            return Ok(());
        }
        let order = self.count(|counters| &mut counters.outbox)?;
        // Those handed in earlier go first.
        let message = &*element.name == MESSAGE;
        let behind = self.first_waiting(&to, message)?;
        let attempt = if let Some(first) = behind {
            let told = self.state.waiting.get(&first)?.map_or(0, |first| first.told);
            Attempt::Wait(waiting_for(told))
        } else {
            self.sending = Some(to.clone());
            self.attempt(order, &to, element, token, (level, form))?
        };
        match attempt {
            Attempt::Sent => {}
            Attempt::Pass => self.effects.push(Effect::Pass),
            Attempt::Fail(why) => self.fail(token, why),
            Attempt::Wait(why) => {
                let patience = match level {
                    0 => UNDECIDED,
                    _ if message => GIVE_UP,
                    _ => STREAM_PATIENCE,
                };
                let stanza = write_stanza(element);
                // It must be read again.
                if stanza.len() > MAX_STANZA {
                    self.fail(token, SendError::TooLarge);
                    return Ok(());
                }
                let waiting = WaitingSend {
                    token: token.0,
                    to,
                    stanza,
                    level,
                    form,
                    give_up: self.now.after(patience),
                    told: told(why),
                };
                self.state.waiting.put(order, waiting);
                self.effects.push(Effect::Waiting { token, why });
            }
        }
        Ok(())
    }

    /// The level that the policy asks for: `None` is clear text, and zero says that it depends on
    /// an advert being verified.
    fn level_by_policy(&self, to: &BareJid) -> Result<Option<u8>, Error> {
        Ok(match self.contact(to)? {
            Some(_) if self.state.never_clear(to)? => Some(self.config.least.0.max(1)),
            Some(contact) if contact.wanted && !contact.pending.is_empty() => Some(0),
            _ => None,
        })
    }

    /// A token handed in again, as after a restart: what became of it is said again.
    fn known_token(&mut self, token: Token) -> Result<bool, Error> {
        for key in self.state.waiting.all_keys() {
            if let Some(waiting) = self.state.waiting.get(&key)?
                && waiting.token == token.0
            {
                let why = waiting_for(waiting.told);
                self.effects.push(Effect::Waiting { token, why });
                return Ok(true);
            }
        }
        for key in self.state.outbox.all_keys() {
            if self.state.outbox.get(&key)?.is_some_and(|item| item.token == Some(token.0)) {
                self.report_sent(key)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first that waits for `to`: of messages, or of the stanzas of a stream. Neither waits for the other.
    pub(super) fn first_waiting(&self, to: &BareJid, message: bool) -> Result<Option<u64>, Error> {
        let first = |waiting: &WaitingSend| waiting.to == *to && is_message(&waiting.stanza) == message;
        for key in self.state.waiting.all_keys() {
            if self.state.waiting.get(&key)?.is_some_and(first) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Lets go what waits for `to`, in order, as far as it can go.
    pub(super) fn flush(&mut self, to: &BareJid) -> Done {
        self.ask_run(to)?;
        for key in self.state.waiting.all_keys() {
            let Some(waiting) = self.state.waiting.get(&key)?.cloned() else { continue };
            // What goes to a peer goes to one's own devices too.
            if waiting.to != *to && self.own()?.jid != *to {
                continue;
            }
            if self.first_waiting(&waiting.to, is_message(&waiting.stanza))? != Some(key) {
                continue;
            }
            let token = Token(waiting.token);
            let element = parse(&waiting.stanza).map_err(|_| Misuse::Record)?;
            let level = match waiting.level {
                0 => self.level_by_policy(&waiting.to)?,
                level => Some(level),
            };
            let attempt = match level {
                None => Attempt::Pass,
                Some(level) => self.attempt(key, &waiting.to, &element, token, (level, waiting.form))?,
            };
            match attempt {
                Attempt::Sent => self.state.waiting.remove(&key),
                Attempt::Pass => {
                    // Handed in long ago, so "as you handed it in" would say nothing now.
                    self.state.waiting.remove(&key);
                    let coverage = Coverage { clear: true, ..Coverage::default() };
                    let (stanza, of) = (waiting.stanza.clone(), Some((token, coverage)));
                    self.put_in_outbox(key, &waiting.to, element.attr("id"), stanza, of);
                }
                Attempt::Fail(why) => {
                    self.state.waiting.remove(&key);
                    self.fail(token, why);
                }
                Attempt::Wait(why) => {
                    if waiting.told != told(why)
                        && let Some(waiting) = self.state.waiting.get_mut(&key)?
                    {
                        waiting.told = told(why);
                        self.effects.push(Effect::Waiting { token, why });
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn flush_all(&mut self) -> Done {
        let mut seen = self.state.verifications.all_keys();
        for key in self.state.waiting.all_keys() {
            let Some(waiting) = self.state.waiting.get(&key)? else { continue };
            if !seen.contains(&waiting.to) {
                seen.push(waiting.to.clone());
            }
        }
        seen.iter().try_for_each(|jid| self.flush(jid))
    }

    pub(super) fn fail(&mut self, token: Token, why: SendError) {
        self.effects.push(Effect::Failed { token, why });
    }

    /// Sends the stanza if every device that shall have it can, else says what it waits for.
    fn attempt(
        &mut self,
        order: u64,
        to: &BareJid,
        element: &Element<'_>,
        token: Token,
        (level, form): (u8, Form),
    ) -> Result<Attempt, Error> {
        let level = Level(level).max(self.config.least);
        if self.own()?.left {
            return Ok(Attempt::Fail(SendError::Left));
        }
        if self.own()?.certificate.as_slice().is_empty() {
            return Ok(Attempt::Wait(Waiting::Agent));
        }
        if self.own()?.other_account.is_some() {
            return Ok(Attempt::Fail(SendError::OtherAccountKey));
        }
        // Of a stream that may be resumed; else it goes with its stream.
        if &*element.name != MESSAGE && !self.own()?.connected {
            return Ok(Attempt::Wait(Waiting::Connection));
        }
        if element.depth() > MAX_DEPTH - COPY_DEPTH {
            return Ok(Attempt::Fail(SendError::TooLarge));
        }
        if !form.is_for_anyone() && self.is_distrusted(to)? {
            return Ok(Attempt::Fail(SendError::Distrusted));
        }
        if form.is_signed() {
            return self.sign(order, to, element, form);
        }
        if self.contact(to)?.is_some_and(|contact| contact.other_key.is_some()) {
            return Ok(Attempt::Fail(SendError::KeyChanged));
        }
        if let Err(why) = self.check_trust(to)? {
            return Ok(Attempt::Fail(why));
        }
        let iq = &*element.name == IQ;
        let inquiry = if iq && is_answer(element) { self.inquiry(element)?.cloned() } else { None };
        if iq && inquiry.is_none() && is_answer(element) {
            // Its question was forgotten while it waited.
            return Ok(Attempt::Fail(SendError::StreamEnded));
        }
        if iq && inquiry.is_none() && !self.may_ask() {
            return Ok(Attempt::Fail(SendError::Full));
        }
        let handed_in = element;
        let readdressed = inquiry.as_ref().map(|inquiry| {
            element.clone().with_attr("to", inquiry.from.as_str()).with_attr("id", inquiry.id.as_str())
        });
        let element = readdressed.as_ref().unwrap_or(element);
        let answers = inquiry.as_ref().map(|inquiry| inquiry.tag);
        let asker = inquiry.as_ref().map(|inquiry| inquiry.device);
        let (targets, coverage) = match self.targets(to, element, asker, (level, form))? {
            Ok(found) => found,
            Err(attempt) => return Ok(attempt),
        };
        let time = self.stamp()?;
        let content = match Self::content_of(element, time, answers, form) {
            Ok(content) => content,
            Err(why) => return Ok(Attempt::Fail(why)),
        };
        let said = content;
        let Ok(content) = said.encode(self.config.padding) else {
            return Ok(Attempt::Fail(SendError::TooLarge));
        };
        // The other side writes it out again: escaping makes one byte five, and servers add a little.
        if content.len() > MAX_STANZA / 8 && write_stanza(element).len() > MAX_STANZA - MARGIN {
            return Ok(Attempt::Fail(SendError::TooLarge));
        }
        let device = targets.first().map(|target| target.to.device);
        let sealed = match self.seal(to, element, targets, &content)? {
            Ok(sealed) => sealed,
            Err(why) => return Ok(Attempt::Fail(why)),
        };
        let stanza = self.wrap(element, &sealed.bytes, form);
        if stanza.len() > MAX_STANZA {
            return Ok(Attempt::Fail(SendError::TooLarge));
        }
        if &*element.name == MESSAGE {
            if form == Form::Encrypted && !is_passing(element) {
                self.keep((order, to), element, &said, level, &coverage)?;
            }
            self.put_in_outbox(order, to, element.attr("id"), stanza, Some((token, coverage)));
            return Ok(Attempt::Sent);
        }
        if inquiry.is_some() {
            self.inquiry_answered(handed_in);
        } else if let (Some(device), Some(tag)) = (device, sealed.answer_tag) {
            self.asked_question((to, device), element, token, tag);
        }
        // Of this stream only; a lost one is not sent again.
        self.send(stanza, Some(token))?;
        self.effects.push(Effect::Sent { token, coverage });
        Ok(Attempt::Sent)
    }

    /// The devices that a stanza goes to, each with its session: all of both accounts for a message, for others those
    /// of the addressed account, and for one to a full JID the device that is there. `asker` is the one that an answer
    /// goes to.
    fn targets(
        &mut self,
        to: &BareJid,
        element: &Element<'_>,
        asker: Option<u32>,
        (level, form): (Level, Form),
    ) -> Result<Result<(Vec<Target>, Coverage), Attempt>, Error> {
        let own = self.own()?;
        let (account, me, connection) = (own.jid.clone(), own.device, own.connection);
        let message = &*element.name == MESSAGE;
        let only = if message { None } else { asker.or(self.device_at(element.attr("to"))?) };
        if !message && only.is_none() && Self::is_to_resource(element) {
            // Nobody is there any more.
            return Ok(Err(Attempt::Fail(SendError::NoKeys)));
        }
        let all = message || only.is_none();
        let resources_without = self.contact(to)?.filter(|_| all).map_or(0, |contact| {
            let here = |resource: &&super::records::Resource| resource.available && resource.device == 0;
            if contact.connection == connection { contact.resources.iter().filter(here).count() } else { 0 }
        });
        let readable = form != Form::Encrypted;
        let mut coverage = Coverage { resources_without, readable, ..Coverage::default() };
        let mut targets: Vec<Target> = Vec::new();
        let mut wait = None;
        let accounts: &[&BareJid] = if *to == account || !message { &[to] } else { &[to, &account] };
        for jid in accounts {
            let own = **jid == account;
            let fresh = self.is_fresh(jid)?;
            let mut devices = self.contact(jid)?.map_or_else(Vec::new, |contact| contact.live.clone());
            devices.retain(|device| only.is_none_or(|only| *device == only));
            if devices.is_empty() && !own {
                if fresh {
                    return Ok(Err(Attempt::Fail(SendError::NoKeys)));
                }
                self.want_keys(jid)?;
                wait = wait.or(Some(Waiting::Keys));
                continue;
            }
            for device in devices {
                if own && device == me {
                    continue;
                }
                match self.target(jid, device, own, level, fresh)? {
                    Found::Target(target) => targets.push(*target),
                    Found::Missing(why) => coverage.missing.push(NotCovered { device, own, why }),
                    Found::Wait(why) => wait = wait.or(Some(why)),
                }
            }
        }
        if let Some(why) = wait {
            return Ok(Err(Attempt::Wait(if self.own()?.connected { why } else { Waiting::Connection })));
        }
        if !targets.iter().any(|target| target.jid == *to) {
            let weak = |missing: &NotCovered| !missing.own && missing.why == Uncovered::TooWeak;
            let why = if coverage.missing.iter().any(weak) { SendError::Level } else { SendError::NoKeys };
            return Ok(Err(Attempt::Fail(why)));
        }
        if !self.config.partial && !coverage.missing.is_empty() {
            return Ok(Err(Attempt::Fail(SendError::Incomplete)));
        }
        for target in &targets {
            let list = if target.to.own { &mut coverage.own_devices } else { &mut coverage.devices };
            list.push(target.to.device);
        }
        Ok(Ok((targets, coverage)))
    }

    /// Whether a fetch of the account's keys has ended not long ago, and none is under way; or whether, with devices
    /// that are known, its server gave no answer.
    pub(super) fn is_fresh(&self, jid: &BareJid) -> Result<bool, Error> {
        Ok(self.contact(jid)?.is_some_and(|contact| {
            let ever = contact.checked != crate::env::Timestamp::default();
            let ended = ever && !contact.wanted && self.now.since(contact.checked) < super::fetch::FRESH;
            ended || contact.silences > 0 && !contact.live.is_empty()
        }))
    }

    pub(super) fn want_keys(&mut self, jid: &BareJid) -> Done {
        let contact = self.contact_mut(jid)?;
        if !contact.wanted {
            contact.wanted = true;
            contact.tried = 0;
            contact.retry_at = None;
        }
        self.pursue(jid)
    }

    pub(super) fn target(
        &mut self,
        jid: &BareJid,
        device: u32,
        own: bool,
        level: Level,
        fresh: bool,
    ) -> Result<Found, Error> {
        let Some(known) = self.device(jid, device)? else {
            if fresh || own {
                return Ok(Found::Missing(Uncovered::NoRecord));
            }
            self.want_keys(jid)?;
            return Ok(Found::Wait(Waiting::Keys));
        };
        if !known.is_good(self.now) {
            let why = if known.good_until == 0 { Uncovered::Retired } else { Uncovered::Expired };
            return Ok(Found::Missing(why));
        }
        if let Some(id) = known.live
            && let Some(session) = self.state.sessions.get(&(jid.clone(), device, id))?
            && let Some(suite) = self.config.suites.find(session.suite_id())
            && suite.level >= self.config.least
        {
            if suite.level < level {
                return Ok(Found::Missing(Uncovered::TooWeak));
            }
            let (session, to) = (session.clone(), Recipient { device, own });
            return Ok(Found::Target(Box::new(Target { jid: jid.clone(), to, session, suite })));
        }
        if known.record.as_slice().is_empty() {
            if fresh {
                return Ok(Found::Missing(Uncovered::NoRecord));
            }
            self.want_keys(jid)?;
            return Ok(Found::Wait(Waiting::Keys));
        }
        let record = DeviceRecord::from_store(known.record.as_slice()).map_err(|_| Misuse::Record)?;
        if record.check_time(self.now).is_err() {
            if fresh {
                return Ok(Found::Missing(Uncovered::Expired));
            }
            self.want_keys(jid)?;
            return Ok(Found::Wait(Waiting::Keys));
        }
        self.open_session(jid, &record, level, Occasion::Send)
    }
}

/// What there is for one device.
pub(super) enum Found {
    Target(Box<Target>),
    /// It cannot be sent to.
    Missing(Uncovered),
    Wait(Waiting),
}

/// What `told` gave.
fn waiting_for(told: u8) -> Waiting {
    match told {
        1 => Waiting::Agent,
        2 => Waiting::Connection,
        4 => Waiting::Publication,
        _ => Waiting::Keys,
    }
}

fn told(why: Waiting) -> u8 {
    match why {
        Waiting::Agent => 1,
        Waiting::Connection => 2,
        Waiting::Keys => 3,
        Waiting::Publication => 4,
    }
}
