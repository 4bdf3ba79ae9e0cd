//! The draft of a step: what every kind of work on it shares.

use rand_core::CryptoRng;

use crate::engine::records::{Contact, Counters, Device, Own, SessionKey};
use crate::engine::state::State;
use crate::engine::{Config, Input};
use crate::env::{Env, Timestamp};
use crate::error::{Error, Misuse, Reason};
use crate::identity::{DeviceCertificate, MAX_DEVICE_ID};
use crate::jid::BareJid;
use crate::step::{Effect, Event, Outbound, OutboxId, Token};
use crate::wire::Bytes;

/// What work on a draft gives.
pub(crate) type Done = Result<(), Error>;

/// The state as the step would leave it, and the effects so far.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Draft<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a mut State,
    pub(crate) now: Timestamp,
    pub(crate) rng: &'a mut dyn CryptoRng,
    pub(crate) effects: &'a mut Vec<Effect>,
    /// Whether something has changed that `settle` must look at. Most messages change nothing.
    pub(crate) unsettled: bool,
    /// Whether a fetch that waits for its turn may go on.
    pub(crate) slot_freed: bool,
    /// To whom a message is being sent, which does not wait for it yet.
    pub(crate) sending: Option<BareJid>,
    /// Whether this device has been retired in this step.
    pub(crate) retired: bool,
    /// Whether a stanza is read that came with an earlier input: there is nothing to pass.
    pub(crate) late: bool,
}

impl<'a> Draft<'a> {
    pub(crate) fn begin(
        config: &'a Config,
        state: &'a mut State,
        env: &'a mut Env<'_>,
        effects: &'a mut Vec<Effect>,
    ) -> Result<Self, Error> {
        // Time that goes back stands still.
        let now = env.now.max(state.seen);
        state.seen = now;
        let mut draft = Self {
            config,
            state,
            now,
            rng: env.rng,
            effects,
            unsettled: false,
            slot_freed: false,
            sending: None,
            retired: false,
            late: false,
        };
        if draft.state.own.get(&())?.is_none() {
            draft.create();
        }
        Ok(draft)
    }

    pub(crate) fn dispatch(&mut self, input: Input<'_>) -> Done {
        if self.own()?.restarted {
            self.restart(matches!(input, Input::Connected { resumed: false, .. }))?;
        }
        self.unsettled =
            matches!(input, Input::Agent(_) | Input::Command(_) | Input::Connected { .. } | Input::Tick);
        match input {
            Input::Acknowledged(id) => self.acknowledged(id)?,
            Input::Agent(reply) => self.agent_answered(reply)?,
            Input::Command(command) => self.command(&command)?,
            Input::Connected { full_jid, resumed } => self.connected(full_jid, resumed)?,
            Input::Disconnected => self.disconnected()?,
            Input::Outgoing { stanza, token, need } => self.outgoing(stanza, token, need)?,
            Input::OutgoingTree { stanza, token, need } => self.outgoing_element(&stanza.0, token, need)?,
            Input::Received(stanza) => self.received(stanza)?,
            Input::ReceivedTree(stanza) => self.received_element(&stanza.0)?,
            Input::Roster { jid, subscription } => self.roster(jid, subscription)?,
            Input::Taken(id) => self.state.inbox.remove(&id.0),
            Input::Tick => self.tick()?,
        }
        if self.slot_freed {
            self.fill_slots()?;
        }
        if self.unsettled {
            self.settle()?;
        }
        if self.retired {
            self.forget_retired()?;
        }
        if self.unsettled || self.retired {
            self.set_wakeup()?;
        }
        Ok(())
    }

    /// The first record of a new engine: a device id, from which the rest follows.
    fn create(&mut self) {
        let device = loop {
            // Zero names no device.
            if let id @ 1.. = self.rng.next_u32() & MAX_DEVICE_ID {
                break id;
            }
        };
        let own = Own {
            jid: self.config.account.clone(),
            device,
            serial: 0,
            certificate: Bytes::new(Vec::new()),
            record: Bytes::new(Vec::new()),
            record_sequence: 0,
            rotate_at: self.now,
            advert: String::new(),
            advert_sequence: 0,
            advert_record: [0; 32],
            advert_list: 0,
            advert_meaning: None,
            readvertise_at: self.now,
            presence: String::new(),
            presence_meaning: None,
            presence_sent: Timestamp::default(),
            held: None,
            held_until: self.now,
            connected: false,
            resource: String::new(),
            list_fetched: false,
            list_refused: false,
            list_published: false,
            record_published: false,
            list_restricted: false,
            record_restricted: false,
            room_made: false,
            amends: Vec::new(),
            name: String::new(),
            renamed: false,
            list_full: false,
            list_forked: false,
            linking_requests: Vec::new(),
            linking_runs: Vec::new(),
            renewal_asked: 0,
            renewals: 0,
            other_account: None,
            disowned: None,
            contested: Vec::new(),
            announced: 0,
            untold: None,
            publishing: None,
            publish_fault: None,
            publish_failures: 0,
            publish_at: self.now,
            wake_at: None,
            agent_retry_at: None,
            left: false,
            restarted: false,
            lost_after: 0,
            connection: 0,
            presence_advert: 0,
            restored_at: Timestamp::default(),
            restores: 0,
            cloned_at: 0,
            catch_up: None,
            leaving: false,
            tombstone: Bytes::new(Vec::new()),
        };
        self.state.own.put((), own);
        self.state.counters.put((), Counters::default());
    }

    pub(crate) fn own(&self) -> Result<&Own, Error> {
        Ok(self.state.own.get(&())?.ok_or(Misuse::Record)?)
    }

    pub(crate) fn own_mut(&mut self) -> Result<&mut Own, Error> {
        Ok(self.state.own.get_mut(&())?.ok_or(Misuse::Record)?)
    }

    /// The next number that `field` counts.
    pub(crate) fn count(&mut self, field: impl FnOnce(&mut Counters) -> &mut u64) -> Result<u64, Error> {
        let counters = self.state.counters.get_mut(&())?.ok_or(Misuse::Record)?;
        let number = field(counters);
        *number += 1;
        Ok(*number)
    }

    pub(crate) fn own_certificate(&self) -> Result<Option<DeviceCertificate>, Error> {
        let bytes = self.own()?.certificate.as_slice();
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(DeviceCertificate::from_store(bytes).map_err(|_| Misuse::Record)?))
    }

    pub(crate) fn contact(&self, jid: &BareJid) -> Result<Option<&Contact>, Error> {
        Ok(self.state.contacts.get(jid)?)
    }

    /// The contact to be changed, made if there is none.
    pub(crate) fn contact_mut(&mut self, jid: &BareJid) -> Result<&mut Contact, Error> {
        if !self.state.contacts.contains(jid) {
            self.state.contacts.put(jid.clone(), Contact::default());
        }
        Ok(self.state.contacts.get_mut(jid)?.ok_or(Misuse::Record)?)
    }

    pub(crate) fn device(&self, jid: &BareJid, device: u32) -> Result<Option<&Device>, Error> {
        Ok(self.state.devices.get(&(jid.clone(), device))?)
    }

    /// All known devices of an account.
    pub(crate) fn devices_of(&self, jid: &BareJid) -> Vec<u32> {
        let range = (jid.clone(), 0)..=(jid.clone(), u32::MAX);
        self.state.devices.keys(range).into_iter().map(|(_, device)| device).collect()
    }

    /// The id of the session to send in to a device.
    pub(crate) fn live_id(&self, jid: &BareJid, device: u32) -> Result<Option<[u8; 16]>, Error> {
        Ok(self.device(jid, device)?.and_then(|known| known.live))
    }

    /// The keys of what could not be read of an account's devices.
    pub(crate) fn troubles_of(&self, jid: &BareJid) -> Vec<(BareJid, u32)> {
        self.state.troubles.keys((jid.clone(), 0)..=(jid.clone(), u32::MAX))
    }

    /// The keys of all sessions with a device.
    pub(crate) fn sessions_of(&self, jid: &BareJid, device: u32) -> Vec<SessionKey> {
        self.state.sessions.keys((jid.clone(), device, [0; 16])..=(jid.clone(), device, [0xFF; 16]))
    }

    pub(crate) fn notify(&mut self, event: Event) {
        self.effects.push(Effect::Notify(event));
    }

    /// The one event of a refused stanza, of which nothing more is known.
    pub(crate) fn reject(&mut self, peer: Option<&BareJid>, reason: impl Into<Reason>) {
        let (peer, reason) = (peer.cloned(), reason.into());
        self.notify(Event::Rejected { peer, device: None, reason, recoverable: false });
    }

    /// Sends bytes that need not survive: presence and iqs. A lost one is made anew.
    pub(crate) fn send(&mut self, stanza: String, token: Option<Token>) -> Done {
        let id = OutboxId(self.count(|counters| &mut counters.outbox)?);
        self.effects.push(Effect::Send { id, token, stanza: Outbound(stanza) });
        Ok(())
    }
}

/// For unit tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::agent::{AgentIdentity, LocalAgent};
    use crate::engine::Engine;
    use crate::identity::fixture::{Device, rng};
    use crate::session::testing::Handshake;
    use crate::suite::{SUITE_HYBRID, Suites};

    /// What is done in a step of a device of Alice with the id 7, and what it tells.
    pub(crate) fn drafted<T>(now: Timestamp, act: impl FnOnce(&mut Draft<'_>) -> T) -> (T, Vec<Event>) {
        let agent = LocalAgent::generate(&Suites::default(), &mut rng(1));
        run(agent.identity(), now, act)
    }

    /// The same on a linked device of the account of `alice`.
    pub(crate) fn drafted_linked<T>(
        alice: &Device,
        now: Timestamp,
        act: impl FnOnce(&mut Draft<'_>) -> T,
    ) -> (T, Vec<Event>) {
        let agent = LocalAgent::without_account_key(&Suites::default(), &mut rng(1));
        run(agent.identity(), now, |draft| {
            draft.own_mut().unwrap().certificate = alice.certificate().bytes().into();
            act(draft)
        })
    }

    /// There is a session with a device from here on.
    pub(crate) fn put_session(draft: &mut Draft<'_>, jid: &BareJid, device: u32) {
        let (session, _) = Handshake::new(&SUITE_HYBRID).run();
        draft.state.sessions.put((jid.clone(), device, session.id()), session);
    }

    fn run<T>(
        identity: AgentIdentity,
        now: Timestamp,
        act: impl FnOnce(&mut Draft<'_>) -> T,
    ) -> (T, Vec<Event>) {
        let rng = &mut rng(1);
        let mut engine = Engine::new(Config::new("alice@example.com", identity).unwrap());
        let env = &mut Env { now, rng };
        engine.handle(env, Input::Tick).unwrap().persist(|_| Ok::<(), ()>(())).unwrap();
        let mut effects = Vec::new();
        let mut draft = Draft::begin(&engine.config, &mut engine.state, env, &mut effects).unwrap();
        draft.own_mut().unwrap().device = 7;
        let out = act(&mut draft);
        let events = effects.into_iter().map(|effect| {
            let Effect::Notify(event) = effect else { panic!("{effect:?}") };
            event
        });
        (out, events.collect())
    }
}
