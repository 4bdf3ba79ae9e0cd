//! Handshakes that a peer opens.
//!
//! The agent is asked twice: for `ea`, which opens the sealed payload, and for `aa`, once the
//! initiator's certificate is verified. Meanwhile everything from that device waits. Nothing is
//! used up before the ratchet message after the flight has been read.

use crate::agent::Operation;
use crate::engine::advert::MAX_CONTACTS;
use crate::engine::asks::operation;
use crate::engine::draft::{Done, Draft};
use crate::engine::receive::{Incoming, Message};
use crate::engine::records::{Accepted, Arrival, Device, OwnKey, Purpose};
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason, Unreadable};
use crate::identity::{CertificateTbs, DeviceCertificate, digest};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::session::{
    AwaitAa, AwaitEa, OpenError, OwnKeys, Payload, Prologue, RESUMPTION_NAME_LEN, responder,
};
use crate::stanza::envelope::Envelope;
use crate::stanza::parse;
use crate::step::{Effect, Event};
use crate::suite::{AlgorithmId, KeyPair, Suite, SuiteId, choose};
use crate::wire::Bytes;

/// First flights waiting for the agent at once, from all peers: each holds a stanza and costs the
/// agent two requests.
const MAX_ARRIVALS: usize = 32;

/// First flights of one account that wait at once: its devices, and no more made-up ones.
const MAX_ARRIVALS_OF_ONE: usize = 4;

/// Handshake counters rise by one. A step this large is no device's, and must not push the counter
/// to its end, where no later handshake could win.
const MAX_COUNTER_STEP: u64 = 1 << 32;

/// Stanzas of one device that wait behind its first flight.
const MAX_QUEUE: usize = 32;

impl Draft<'_> {
    /// Keeps a stanza back while a first flight of the same device waits for the agent.
    pub(super) fn queue_behind_arrival(
        &mut self,
        incoming: &Incoming<'_>,
        device: u32,
    ) -> Result<bool, Error> {
        let key = (incoming.sender.clone(), device);
        if !self.state.arrivals.contains(&key) {
            return Ok(false);
        }
        let text = incoming.to_xml();
        let Some(arrival) = self.state.arrivals.get_mut(&key)? else { return Ok(false) };
        if arrival.stanzas.len() >= MAX_QUEUE || parse(&text).is_err() {
            self.refuse(incoming, Misbehaviour::TooMuch.into())?;
        } else {
            arrival.stanzas.push(text.as_bytes().into());
        }
        Ok(true)
    }

    pub(super) fn accept_flight(
        &mut self,
        incoming: &Incoming<'_>,
        message: Message<'_>,
    ) -> Result<Result<(), Reason>, Error> {
        let Some(flight) = message.part.flight else { return Ok(Err(Malformed::Encoding.into())) };
        let text = incoming.to_xml();
        // It is read again when the agent has answered.
        if parse(&text).is_err() {
            return Ok(Err(Malformed::TooLarge.into()));
        }
        // Strangers leave room for those we know.
        let room = if self.is_friend(&incoming.sender)? { MAX_ARRIVALS } else { MAX_ARRIVALS / 2 };
        let range = (incoming.sender.clone(), 0)..=(incoming.sender.clone(), u32::MAX);
        let of_one = self.state.arrivals.keys(range).len();
        if self.state.arrivals.len() >= room || of_one >= MAX_ARRIVALS_OF_ONE {
            return Ok(Err(Misbehaviour::TooMuch.into()));
        }
        let Some(suite) = self.config.suites.find(SuiteId(flight.suite)) else {
            return Ok(Err(Misbehaviour::WrongSuite.into()));
        };
        let Some(keys) = self.state.prekeys.get(&flight.record_sequence)? else {
            return Ok(Err(Unreadable::NoPrekey.into()));
        };
        if !keys.suites.contains(&suite.id.0) || suite.level < self.config.least {
            return Ok(Err(Misbehaviour::WrongSuite.into()));
        }
        let signed = keys.signed.iter().find(|key| key.algorithm == suite.agreement.id().0).map(pair);
        let mut kem = keys.kem.iter().find(|key| key.id == flight.kem_prekey).map(pair);
        let record = keys.digest;
        let mut kem_one_time = 0;
        if suite.kem.is_some() && kem.is_none() {
            kem = self.given(flight.kem_prekey, true, suite.kem.map(crate::suite::Kem::id))?;
            kem_one_time = flight.kem_prekey;
        }
        let one_time = match flight.one_time {
            0 => None,
            id => self.given(id, false, Some(suite.agreement.id()))?,
        };
        let missing = flight.one_time != 0 && one_time.is_none() || suite.kem.is_some() && kem.is_none();
        let (Some(signed), false) = (signed, missing) else {
            return Ok(Err(Unreadable::NoPrekey.into()));
        };
        let (sequence, ephemeral) = (flight.record_sequence, digest(flight.e.as_slice()));
        let used = flight.one_time;
        let own = self.own()?;
        let prologue = Prologue {
            initiator: &incoming.sender,
            initiator_device: message.device,
            responder: &own.jid,
            responder_device: own.device,
            record,
        };
        let ours = OwnKeys { signed_prekey: &signed, one_time: one_time.as_ref(), kem: kem.as_ref() };
        let state = match responder::start(suite, &prologue, flight, &ours) {
            Ok(state) => state,
            Err(reason) => return Ok(Err(reason)),
        };
        let legs = operation(Operation::agree(suite.id, vec![state.wanted()]))?;
        let ask = self.ask(Purpose::Accept, Some((&incoming.sender, message.device)), legs)?;
        let arrival = Arrival {
            ask,
            sealed: true,
            suite: suite.id.0,
            state: Secret::from(state.encode().as_slice()),
            record_sequence: sequence,
            ephemeral,
            one_time: used,
            kem_one_time,
            certificate: Bytes::new(Vec::new()),
            suites: Vec::new(),
            counter: 0,
            list_version: 0,
            resumption: Bytes::new(Vec::new()),
            stanzas: vec![text.as_bytes().into()],
        };
        self.state.arrivals.put((incoming.sender.clone(), message.device), arrival);
        Ok(Ok(()))
    }

    /// A one-time prekey that was given out.
    fn given(&self, id: u32, kem: bool, algorithm: Option<AlgorithmId>) -> Result<Option<KeyPair>, Error> {
        let key = self.state.one_time.get(&id)?;
        let key = key
            .filter(|key| key.given && key.kem == kem && Some(AlgorithmId(key.key.algorithm)) == algorithm);
        Ok(key.map(|key| pair(&key.key)))
    }

    /// The agent has given a leg for an arrival. Whether it was of any use.
    pub(super) fn arrival_answered(
        &mut self,
        ask: u64,
        jid: &BareJid,
        device: u32,
        legs: &[Secret],
    ) -> Result<bool, Error> {
        let key = (jid.clone(), device);
        let arrival = self.state.arrivals.get(&key)?.filter(|arrival| arrival.ask == ask).cloned();
        let Some(arrival) = arrival else { return Ok(true) };
        let (Some(suite), [leg]) = (self.config.suites.find(SuiteId(arrival.suite)), legs) else {
            return Ok(false);
        };
        if arrival.sealed {
            if let Err(reason) = self.open_arrival(&key, arrival, suite, leg)? {
                self.end_arrival(jid, device, Some(reason))?;
            }
            return Ok(true);
        }
        let state = AwaitAa::decode(arrival.state.expose()).map_err(|_| Misuse::Record)?;
        let result = self.finish_arrival(jid, device, &arrival, state, suite, leg)?;
        let accepted = result.is_ok();
        self.end_arrival(jid, device, result.err())?;
        if accepted {
            self.ask_again(jid, device)?;
        }
        Ok(true)
    }

    /// Opens the sealed payload, checks who sent it, and asks for the last leg.
    fn open_arrival(
        &mut self,
        key: &(BareJid, u32),
        mut arrival: Arrival,
        suite: &'static Suite,
        ea: &Secret,
    ) -> Result<Result<(), Reason>, Error> {
        let (jid, device) = key;
        let state = AwaitEa::decode(arrival.state.expose()).map_err(|_| Misuse::Record)?;
        let (payload, state) = match state.open(suite, ea) {
            Ok(opened) => opened,
            Err(reason) => return Ok(Err(reason)),
        };
        let certificate = match self.check_initiator(jid, *device, &arrival, suite, &payload)? {
            Ok(certificate) => certificate,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(agreement) = certificate.agreement_key(suite.agreement.id()) else {
            return Ok(Err(Misbehaviour::WrongSuite.into()));
        };
        let state = match state.identified(suite, agreement) {
            Ok(state) => state,
            Err(reason) => return Ok(Err(reason)),
        };
        arrival.sealed = false;
        arrival.state = Secret::from(state.encode().as_slice());
        arrival.certificate = payload.certificate;
        arrival.suites = payload.suites;
        arrival.counter = payload.counter;
        arrival.list_version = payload.list_version;
        arrival.resumption = payload.resumption;
        let legs = operation(Operation::agree(suite.id, vec![state.wanted()]))?;
        arrival.ask = self.ask(Purpose::Accept, Some((jid, *device)), legs)?;
        self.state.arrivals.put(key.clone(), arrival);
        Ok(Ok(()))
    }

    /// Whether the initiator may be who it says it is, before it has proven it.
    fn check_initiator(
        &mut self,
        jid: &BareJid,
        device: u32,
        arrival: &Arrival,
        suite: &Suite,
        payload: &Payload,
    ) -> Result<Result<DeviceCertificate, Reason>, Error> {
        let bytes = payload.certificate.as_slice();
        let mine = self.own()?.jid == *jid;
        let provisional = mine && is_provisional(bytes);
        let verified = if provisional {
            DeviceCertificate::verify_provisional(bytes, &self.config.suites, self.now)
        } else {
            DeviceCertificate::verify(bytes, None, &self.config.suites, self.now)
        };
        let certificate = match verified {
            Ok(certificate) => certificate,
            Err(reason) => return Ok(Err(reason)),
        };
        if certificate.jid() != jid || certificate.device() != device {
            return Ok(Err(Misbehaviour::WrongSubject.into()));
        }
        let own_key = self.own_account()?.map(|key| key.digest());
        if mine && !provisional && Some(*certificate.account_digest()) != own_key {
            return Ok(Err(Misbehaviour::WrongSubject.into()));
        }
        // A suite weaker than what both have would be the work of somebody between.
        let listed = self.state.prekeys.get(&arrival.record_sequence)?.map(|keys| keys.suites.clone());
        if choose(&payload.suites, &listed.unwrap_or_default()) != Some(suite.id) {
            return Ok(Err(Misbehaviour::WrongSuite.into()));
        }
        if provisional {
            let drains = arrival.one_time != 0 || arrival.kem_one_time != 0;
            if drains || !payload.resumption.as_slice().is_empty() {
                return Ok(Err(Misbehaviour::OutOfTurn.into()));
            }
            if let Err(reason) = self.may_ask_to_link(&certificate)? {
                return Ok(Err(reason));
            }
            return Ok(Ok(certificate));
        }
        if let Err(reason) = self.may_be_admitted(jid, device, &certificate, payload.list_version)? {
            return Ok(Err(reason));
        }
        let counter = self.device(jid, device)?.map_or(0, |known| known.sent_counter.max(known.seen_counter));
        if payload.counter > counter.saturating_add(MAX_COUNTER_STEP) {
            return Ok(Err(Misbehaviour::OutOfTurn.into()));
        }
        Ok(Ok(certificate))
    }

    /// Whether the account's list and what is known of the device let this certificate be used.
    pub(super) fn may_be_admitted(
        &mut self,
        jid: &BareJid,
        device: u32,
        certificate: &DeviceCertificate,
        list_version: u32,
    ) -> Result<Result<(), Reason>, Error> {
        // Under another account key the list has nothing to say: that the key has changed is to be told.
        let known_key = self.contact(jid)?.and_then(|contact| contact.account_key);
        let changed = known_key.is_some_and(|known| known != *certificate.account_digest());
        if let Some(list) = self.list_of(jid)?.filter(|_| !changed)
            && let Err(reason) = list.accepts(certificate)
        {
            // A newer list may have the device, until that list is there; none takes a retired one
            // back, and who has said so falsely too often is not believed.
            let disproved = self.device(jid, device)?.is_some_and(Device::is_disproved);
            let retired = self.left_out(jid)?.is_some_and(|before| before.retires(device));
            let newer = list_version > list.version() && !disproved && !retired;
            if !newer || list.holds(device) {
                self.look_for(jid, device)?;
                return Ok(Err(reason));
            }
        }
        match self.device(jid, device)? {
            _ if self.is_gone(jid, device)? => Ok(Err(Misbehaviour::Retired.into())),
            Some(known) => {
                let known = DeviceCertificate::from_store(known.certificate.as_slice());
                Ok(certificate.check_successor_of(&known.map_err(|_| Misuse::Record)?))
            }
            None if !self.has_room_for_device(jid)?
                || !self.state.contacts.contains(jid) && self.state.contacts.len() >= MAX_CONTACTS =>
            {
                Ok(Err(Misbehaviour::TooMuch.into()))
            }
            None => Ok(Ok(())),
        }
    }

    /// Makes the session, reads the ratchet message in it, and only then changes anything.
    fn finish_arrival(
        &mut self,
        jid: &BareJid,
        device: u32,
        arrival: &Arrival,
        state: AwaitAa,
        suite: &'static Suite,
        aa: &Secret,
    ) -> Result<Result<(), Reason>, Error> {
        // In the meantime another flight may have used the same keys.
        if arrival.one_time != 0 && !self.state.one_time.contains(&arrival.one_time)
            || arrival.kem_one_time != 0 && !self.state.one_time.contains(&arrival.kem_one_time)
            || !self.state.prekeys.contains(&arrival.record_sequence)
        {
            return Ok(Err(Unreadable::NoPrekey.into()));
        }
        let name = arrival.resumption.as_slice();
        let named =
            if name.len() == RESUMPTION_NAME_LEN { self.find_resumption(jid, device, name)? } else { None };
        if !name.is_empty() && named.is_none() {
            // It thinks there is a session that we have not: ours to open one, which is later than its own.
            if let Some(known) = self.state.devices.get_mut(&(jid.clone(), device))? {
                known.seen_counter = known.seen_counter.max(arrival.counter);
            }
            self.reopen(jid, device)?;
            return Ok(Err(Unreadable::NoSession.into()));
        }
        let resumption = named.as_ref().map(|(secret, _)| secret);
        let mut session = match state.finish(suite, aa, resumption, self.now) {
            Ok(session) => session,
            Err(reason) => return Ok(Err(reason)),
        };
        session.set_restores(self.own()?.restores);
        let Some(first) = arrival.stanzas.first() else { return Ok(Err(Malformed::Stanza.into())) };
        let text = core::str::from_utf8(first.as_slice()).map_err(|_| Misuse::Record)?;
        let element = match parse(text) {
            Ok(element) => element,
            Err(malformed) => return Ok(Err(malformed.into())),
        };
        let Ok(Some(incoming)) = self.incoming(&element)? else { return Err(Misuse::Record.into()) };
        let message = match Envelope::decode(&incoming.bytes).map(|envelope| self.part_for_me(jid, envelope))
        {
            Ok(message) => message?.ok_or(Misuse::Record)?,
            Err(_) => return Err(Misuse::Record.into()),
        };
        let opened = match self.open_part(&mut session, suite, &incoming, &message) {
            Ok(opened) => opened,
            Err(OpenError::Store(missing)) => return Err(missing.into()),
            Err(OpenError::Duplicate | OpenError::Refused(_)) => return Ok(Err(Reason::Unauthentic)),
        };
        let content = match self.unwrap(&opened, &message) {
            Ok(content) => content,
            Err(reason) => return Ok(Err(reason)),
        };

        let decoded = match self.content(&incoming, device, &content)? {
            Ok(decoded) => decoded,
            Err(reason) => return Ok(Err(reason)),
        };

        // Authentic: the initiator has its certificate's keys.
        if self.own()?.jid == *jid && is_provisional(arrival.certificate.as_slice()) {
            if let Err(reason) = self.new_device_arrived(&incoming, device, arrival, &decoded, &session)? {
                return Ok(Err(reason));
            }
            let key = (jid.clone(), device, session.id());
            // Not live, not answered before the user has agreed: nothing but linking comes of it.
            return self.read(&incoming, &key, session, suite, opened, &content);
        }
        let certificate = DeviceCertificate::from_store(arrival.certificate.as_slice());
        let certificate = certificate.map_err(|_| Misuse::Record)?;
        // The agent may have been slow, and a list may have come.
        if let Err(reason) = self.may_be_admitted(jid, device, &certificate, arrival.list_version)? {
            return Ok(Err(reason));
        }
        let told = self.effects.len();
        if !self.take_account(jid, &certificate)? {
            let refused = |effect: &Effect| matches!(effect, Effect::Notify(Event::Rejected { .. }));
            let refused = self.effects.iter().skip(told).any(refused);
            // That the key has changed does not say what became of the message.
            return Ok(if refused { Ok(()) } else { Err(Misbehaviour::WrongSubject.into()) });
        }
        let live = self.live_id(jid, device)?;
        let answered = match live {
            Some(id) => {
                self.state.sessions.get(&(jid.clone(), device, id))?.is_some_and(|s| s.flight().is_none())
            }
            None => false,
        };
        self.admit(jid, device, arrival, &certificate)?;
        self.flight_accepted(arrival, session.id())?;
        self.state.one_time.remove(&arrival.one_time);
        self.state.one_time.remove(&arrival.kem_one_time);
        self.state.openings.remove(&(jid.clone(), device));
        let peer = jid.clone();
        match named {
            Some((_, true)) => self.notify(Event::Superseded { peer, device }),
            None if answered => self.notify(Event::Unchained { peer, device }),
            _ => {}
        }
        let key = (jid.clone(), device, session.id());
        self.state.sessions.put(key.clone(), session.clone());
        self.make_live(jid, device, key.2, arrival.counter)?;
        if let Err(reason) = self.read(&incoming, &key, session, suite, opened, &content)? {
            return Ok(Err(reason));
        }
        // Until it hears from us the initiator repeats its flight before every message.
        if self.is_friend(jid)? {
            self.send_empty_in(&key)?;
        }
        self.offer_histories(jid, device)?;
        self.flush(jid)?;
        Ok(Ok(()))
    }

    /// Notes that a flight has made a session, and that prekeys with too many of them must be made anew.
    pub(super) fn flight_accepted(&mut self, arrival: &Arrival, session: [u8; 16]) -> Done {
        self.state.accepted.put((arrival.record_sequence, arrival.ephemeral), Accepted { session });
        if let Some(keys) = self.state.prekeys.get_mut(&arrival.record_sequence)? {
            keys.accepted = keys.accepted.saturating_add(1);
            self.unsettled |= keys.accepted >= super::own::MAX_ACCEPTED;
        }
        Ok(())
    }

    /// Notes the initiator's device and what its payload said.
    fn admit(
        &mut self,
        jid: &BareJid,
        device: u32,
        arrival: &Arrival,
        certificate: &DeviceCertificate,
    ) -> Done {
        let key = (jid.clone(), device);
        if !self.state.devices.contains(&key) {
            self.introduce(jid, certificate)?;
        }
        if let Some(known) = self.state.devices.get_mut(&key)? {
            known.certificate = certificate.bytes().into();
            known.seen_counter = known.seen_counter.max(arrival.counter);
            if known.suites.is_empty() {
                known.suites.clone_from(&arrival.suites);
            }
        }
        let list = self.list_of(jid)?;
        self.judge(jid, device, list.as_ref())?;
        let own = self.own()?.jid == *jid;
        let contact = self.contact_mut(jid)?;
        contact.sticky |= !own;
        self.version_named(jid, device, arrival.list_version)?;
        let contact = self.contact_mut(jid)?;
        let wanted = contact.list_named > contact.list_version;
        if wanted {
            self.want_keys(jid)?;
        }
        Ok(())
    }

    /// The part of a message that this device's own earlier parsing found.
    fn part_for_me<'a>(
        &self,
        sender: &BareJid,
        envelope: Envelope<'a>,
    ) -> Result<Option<Message<'a>>, Error> {
        let own = self.own()?;
        let mine = own.jid == *sender;
        Ok(Message::for_device(envelope, own.device, mine))
    }

    fn find_resumption(
        &self,
        jid: &BareJid,
        device: u32,
        name: &[u8],
    ) -> Result<Option<(Secret, bool)>, Error> {
        for key in self.sessions_of(jid, device) {
            let Some(session) = self.state.sessions.get(&key)? else { continue };
            let Some(suite) = self.config.suites.find(session.suite_id()) else { continue };
            if let Some(found) = session.find_resumption(suite, name) {
                return Ok(Some((found.secret.clone(), found.superseded)));
            }
        }
        Ok(None)
    }

    /// The agent refused or is silent.
    pub(super) fn arrival_failed(&mut self, ask: u64, jid: &BareJid, device: u32) -> Done {
        if self.state.arrivals.get(&(jid.clone(), device))?.is_none_or(|arrival| arrival.ask != ask) {
            return Ok(());
        }
        self.end_arrival(jid, device, Some(Unreadable::Agent.into()))
    }

    /// The first flight is dealt with; what came behind it is handled now.
    pub(super) fn end_arrival(&mut self, jid: &BareJid, device: u32, refused: Option<Reason>) -> Done {
        let key = (jid.clone(), device);
        let Some(arrival) = self.state.arrivals.get(&key)?.cloned() else { return Ok(()) };
        self.state.arrivals.remove(&key);
        if let Some(reason) = refused {
            let first = arrival.stanzas.first().map_or(&[][..], |first| first.as_slice());
            let first = core::str::from_utf8(first).map_err(|_| Misuse::Record)?;
            let Ok(first) = parse(first) else { return Err(Misuse::Record.into()) };
            match self.incoming(&first)? {
                Ok(Some(incoming)) => self.refuse(&incoming, reason)?,
                Ok(None) | Err(_) => self.reject(Some(jid), reason),
            }
        }
        for stanza in arrival.stanzas.iter().skip(1) {
            let text = core::str::from_utf8(stanza.as_slice()).map_err(|_| Misuse::Record)?;
            self.late = true;
            self.received(text)?;
        }
        self.late = false;
        Ok(())
    }
}

/// Whether a certificate says of itself that it is good for linking only.
fn is_provisional(certificate: &[u8]) -> bool {
    CertificateTbs::inside(certificate).is_ok_and(|content| content.is_provisional())
}

fn pair(key: &OwnKey) -> KeyPair {
    KeyPair { secret: key.secret.clone(), public: key.public.as_slice().to_vec() }
}
