//! An application for tests: the integration loop around one engine, and what it has recorded.

mod job;
mod record;

use std::collections::VecDeque;
use std::fmt;

use xmpp_e2e::rand_core::CryptoRng;
use xmpp_e2e::store::{MemoryStore, Store};
use xmpp_e2e::suite::Suites;
use xmpp_e2e::{
    AgentReply, Command, Config, Effect, Engine, Env, Error, Event, InboxId, LocalAgent, Need, OutboxId,
    Subscription, Timestamp, Token,
};

use crate::server::{Server, bare};
use crate::xml::{Element, escaped};

pub use job::{Fate, Fault, Job, Moment};
use job::{moment, name};
pub use record::{End, Handed, Heard, Letter, Record};

/// An application with its engine, store and key agent. What crashes is the program: store, agent
/// and [`record`](Self::record) stay.
#[expect(clippy::struct_excessive_bools, reason = "each is a policy of its own")]
pub struct Device {
    /// The full JID it connects as.
    pub full_jid: String,
    /// Holds the private keys.
    pub agent: LocalAgent,
    /// What the engine is made with, also after a crash.
    pub config: Config,
    /// What the engine has stored.
    pub store: MemoryStore,
    /// What the application has stored.
    pub record: Record,
    /// The presence sent after connecting.
    pub presence: String,
    /// Acknowledges what is sent at once. Else [`acknowledge`](Self::acknowledge) does.
    pub acks: bool,
    /// Takes what is delivered at once. Else [`take`](Self::take) does.
    pub takes: bool,
    /// Answers the key agent's requests at once. Else [`answer`](Self::answer) does.
    pub answers: bool,
    /// Gives up another account key that the account shows, at once.
    pub begins_anew: bool,
    /// Answers iqs that it does not know, as it should; some clients never do.
    pub polite: bool,
    /// Called at every [`Moment`].
    pub fault: Option<Fault>,
    /// How many [`Moment`]s there have been.
    pub moments: u64,
    engine: Option<Engine>,
    connected: bool,
    sent: Vec<OutboxId>,
    delivered: Vec<InboxId>,
    asked: Vec<AgentReply>,
}

impl Device {
    /// The first device of an account.
    ///
    /// # Panics
    /// If `full_jid` is none.
    #[must_use]
    pub fn first(full_jid: &str, rng: &mut dyn CryptoRng) -> Self {
        Self::first_with(full_jid, &Suites::default(), rng)
    }

    /// The first device of an account, with these suites.
    ///
    /// # Panics
    /// If `full_jid` is none.
    #[must_use]
    pub fn first_with(full_jid: &str, suites: &Suites, rng: &mut dyn CryptoRng) -> Self {
        Self::make(full_jid, LocalAgent::generate(suites, rng), suites)
    }

    /// Another device of the account that `other` is of.
    #[must_use]
    pub fn another(other: &Self, full_jid: &str, rng: &mut dyn CryptoRng) -> Self {
        Self::make(full_jid, other.agent.for_new_device(rng), &other.config.suites)
    }

    /// A device whose agent has no account key: another one is to link it.
    ///
    /// # Panics
    /// If `full_jid` is none.
    #[must_use]
    pub fn unlinked(full_jid: &str, suites: &Suites, rng: &mut dyn CryptoRng) -> Self {
        Self::make(full_jid, LocalAgent::without_account_key(suites, rng), suites)
    }

    /// A device with the keys of `agent`.
    ///
    /// # Panics
    /// If `full_jid` is none.
    #[must_use]
    pub fn with_agent(full_jid: &str, agent: LocalAgent) -> Self {
        Self::make(full_jid, agent, &Suites::default())
    }

    fn make(full_jid: &str, agent: LocalAgent, suites: &Suites) -> Self {
        let mut config = Config::new(bare(full_jid), agent.identity()).expect("a JID");
        config.suites = suites.clone();
        Self {
            full_jid: full_jid.to_owned(),
            agent,
            engine: Some(Engine::new(config.clone())),
            config,
            store: MemoryStore::new(),
            record: Record::default(),
            presence: "<presence/>".to_owned(),
            acks: true,
            takes: true,
            answers: true,
            begins_anew: true,
            polite: true,
            fault: None,
            moments: 0,
            connected: false,
            sent: Vec::new(),
            delivered: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// The bare JID.
    #[must_use]
    pub fn account(&self) -> &str {
        bare(&self.full_jid)
    }

    /// The engine.
    ///
    /// # Panics
    /// If the program has crashed.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the program runs")
    }

    /// The engine, such as for eviction.
    ///
    /// # Panics
    /// If the program has crashed.
    pub fn engine_mut(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("the program runs")
    }

    /// Whether the program runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.engine.is_some()
    }

    /// Whether it has a stream.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// When [`Job::Tick`] is due.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.engine.as_ref().and_then(Engine::next_wakeup)
    }

    /// What was delivered.
    #[must_use]
    pub fn inbox(&self) -> &[Letter] {
        &self.record.inbox
    }

    /// Crashes at the moment with this number.
    pub fn crash_at(&mut self, number: u64) {
        self.fault = Some(Box::new(move |now, _| if now == number { Fate::Crash } else { Fate::GoOn }));
    }

    /// Connects, tells the engine the roster, and sends presence.
    pub fn connect(&mut self, server: &mut Server, env: &mut Env<'_>) {
        server.connect(&self.full_jid);
        self.connected = true;
        self.step(server, env, Job::Connected(false));
        for (jid, to, from) in server.roster(bare(&self.full_jid)) {
            let subscription = match (to, from) {
                (true, true) => Subscription::Both,
                (true, false) => Subscription::To,
                (false, true) => Subscription::From,
                (false, false) => Subscription::None,
            };
            self.step(server, env, Job::Roster(jid, subscription));
        }
        let token = self.record.token();
        self.step(server, env, Job::Outgoing(self.presence.clone(), token, Need::Policy));
        for stanza in self.record.unsent(self.connected) {
            server.send(&self.full_jid, &stanza);
        }
    }

    /// Closes the stream and the session.
    pub fn disconnect(&mut self, server: &mut Server, env: &mut Env<'_>) {
        self.connected = false;
        server.disconnect(&self.full_jid);
        self.step(server, env, Job::Disconnected);
    }

    /// Loses the stream; the server keeps the session for [`resume`](Self::resume).
    pub fn lose(&mut self, server: &mut Server, env: &mut Env<'_>) {
        self.connected = false;
        server.suspend(&self.full_jid);
        self.step(server, env, Job::Disconnected);
    }

    /// Resumes the session (XEP-0198), or connects anew if it is gone.
    pub fn resume(&mut self, server: &mut Server, env: &mut Env<'_>) {
        if !server.resume(&self.full_jid) {
            self.connect(server, env);
            return;
        }
        self.connected = true;
        self.step(server, env, Job::Connected(true));
        for stanza in self.record.unsent(self.connected) {
            server.send(&self.full_jid, &stanza);
        }
    }

    /// The program ends without notice: all that is not stored is gone, and so is the session.
    pub fn crash(&mut self, server: &mut Server) {
        self.engine = None;
        self.connected = false;
        self.sent.clear();
        self.delivered.clear();
        self.asked.clear();
        server.disconnect(&self.full_jid);
    }

    /// Starts the program again: restores the engine, connects, and hands in again what no end was
    /// recorded of.
    ///
    /// # Panics
    /// If the engine does not take what it stored.
    pub fn restart(&mut self, server: &mut Server, env: &mut Env<'_>) {
        self.restore();
        self.connect(server, env);
        for (token, handed) in self.record.open() {
            self.step(server, env, Job::Outgoing(handed.stanza, token, handed.need));
        }
    }

    /// Puts an engine made from the store in the place of the one there is, and does nothing else.
    ///
    /// # Panics
    /// If the engine does not take what it stored.
    pub fn restore(&mut self) {
        let stored = self.store.load().expect("a store in memory");
        let config = self.config.clone();
        self.engine = Some(match stored.generation {
            0 => Engine::new(config),
            _ => Engine::restore(config, &stored).expect("what it stored"),
        });
    }

    /// Hands in a chat message.
    pub fn say(&mut self, server: &mut Server, env: &mut Env<'_>, to: &str, text: &str) -> Token {
        self.say_with(server, env, to, text, Need::Policy)
    }

    /// Hands in a chat message that needs this protection.
    pub fn say_with(
        &mut self,
        server: &mut Server,
        env: &mut Env<'_>,
        to: &str,
        text: &str,
        need: Need,
    ) -> Token {
        let id = self.record.tokens + 1;
        let (to, text) = (escaped(to), escaped(text));
        let stanza = format!("<message to='{to}' type='chat' id='m{id}'><body>{text}</body></message>");
        self.hand_in(server, env, &stanza, need)
    }

    /// Hands in a stanza, recorded before, so that it is handed in again after a crash.
    pub fn hand_in(&mut self, server: &mut Server, env: &mut Env<'_>, stanza: &str, need: Need) -> Token {
        let token = self.record.token();
        let handed = Handed { stanza: stanza.to_owned(), need: need.clone(), ends: Vec::new() };
        self.record.handed.insert(token, handed);
        self.step(server, env, Job::Outgoing(stanza.to_owned(), token, need));
        token
    }

    /// Takes the next stanza from the server and handles it. `false` if there is none.
    pub fn receive(&mut self, server: &mut Server, env: &mut Env<'_>) -> bool {
        if !self.connected {
            return false;
        }
        let Some(stanza) = server.receive(&self.full_jid) else { return false };
        self.step(server, env, Job::Received(stanza));
        true
    }

    /// Acknowledges all that was sent, where [`acks`](Self::acks) is off.
    pub fn acknowledge(&mut self, server: &mut Server, env: &mut Env<'_>) {
        for id in std::mem::take(&mut self.sent) {
            self.step(server, env, Job::Acknowledged(id));
        }
    }

    /// Takes all that was delivered, where [`takes`](Self::takes) is off.
    pub fn take(&mut self, server: &mut Server, env: &mut Env<'_>) {
        for id in std::mem::take(&mut self.delivered) {
            self.step(server, env, Job::Taken(id));
        }
    }

    /// Answers all that the key agent was asked, where [`answers`](Self::answers) is off.
    pub fn answer(&mut self, server: &mut Server, env: &mut Env<'_>) {
        for reply in std::mem::take(&mut self.asked) {
            self.step(server, env, Job::Agent(reply));
        }
    }

    /// Hands in one input, carries out what it causes, and then what follows from that. Does nothing
    /// if the program has crashed.
    pub fn step(&mut self, server: &mut Server, env: &mut Env<'_>, job: Job) {
        if let Job::Received(stanza) = &job {
            self.record.hear(stanza);
        }
        let mut jobs = VecDeque::from([job]);
        while let Some(job) = jobs.pop_front() {
            if self.one(server, env, &job, &mut jobs).is_none() {
                self.crash(server);
                break;
            }
        }
        self.record.hearing = false;
    }

    /// One transaction. `None` if the program has crashed.
    fn one(
        &mut self,
        server: &mut Server,
        env: &mut Env<'_>,
        job: &Job,
        jobs: &mut VecDeque<Job>,
    ) -> Option<()> {
        let effects = self.transact(env, job)?;
        let passes = effects.iter().any(|effect| matches!(effect, Effect::Pass | Effect::PassSigned { .. }));
        let received = matches!(job, Job::Received(_));
        // What passes is in no store yet.
        if received && !passes {
            server.handled(&self.full_jid);
        }
        for effect in effects {
            let name = name(&effect);
            self.moment(Moment::Before(name))?;
            self.carry_out(server, job, effect, jobs);
            self.moment(Moment::After(name))?;
        }
        if received && passes {
            server.handled(&self.full_jid);
        }
        Some(())
    }

    /// Has the engine handle an input and the store apply the batch. `None` if the program has
    /// crashed.
    fn transact(&mut self, env: &mut Env<'_>, job: &Job) -> Option<Vec<Effect>> {
        let Self { full_jid, engine, store, fault, moments, .. } = self;
        let engine = engine.as_mut()?;
        loop {
            let mut env = Env { now: env.now, rng: &mut *env.rng };
            let missing = match engine.handle(&mut env, job.input(full_jid)) {
                Ok(step) => {
                    let result = step.persist(|batch| {
                        match moment(fault, moments, Moment::BeforeStore) {
                            Fate::GoOn => store.apply(batch).expect("one engine writes to this store"),
                            fate => return Err(fate),
                        }
                        match moment(fault, moments, Moment::AfterStore) {
                            Fate::Crash => Err(Fate::Crash),
                            Fate::GoOn | Fate::Refuse => Ok(()),
                        }
                    });
                    match result {
                        Ok(effects) => return Some(effects),
                        Err(Fate::Crash) => return None,
                        Err(_) => continue,
                    }
                }
                Err(Error::NotLoaded(keys)) => keys,
                Err(error) => panic!("{full_jid}: {error:?} upon {job:?}"),
            };
            let stored = store.load().expect("a store in memory");
            let wanted = stored.records.iter().filter(|(key, _)| missing.contains(key));
            let wanted: Vec<_> = wanted.map(|(key, value)| (key, value.as_slice())).collect();
            assert_eq!(wanted.len(), missing.len(), "the engine wants what it has not stored");
            engine.load(wanted).expect("what it stored");
        }
    }

    fn moment(&mut self, now: Moment) -> Option<()> {
        (moment(&mut self.fault, &mut self.moments, now) != Fate::Crash).then_some(())
    }

    fn carry_out(&mut self, server: &mut Server, job: &Job, effect: Effect, jobs: &mut VecDeque<Job>) {
        self.record.note(&effect);
        match effect {
            Effect::Ask(request) => {
                let reply = self.agent.answer(&request);
                if self.answers {
                    jobs.push_back(Job::Agent(reply));
                } else {
                    self.asked.push(reply);
                }
            }
            Effect::Deliver { id, stanza, protection, context, again } => {
                self.record.deliver(id, stanza.as_str(), protection, &context, again);
                if self.takes {
                    jobs.push_back(Job::Taken(id));
                } else {
                    self.delivered.push(id);
                }
            }
            Effect::Failed { token, why } => self.record.end(token, End::Failed(why)),
            Effect::Notify(event) => {
                if let (Event::Rejected { reason, .. }, Job::Received(stanza)) = (&event, job) {
                    self.record.rejected.push((*reason, stanza.clone()));
                }
                if self.begins_anew && matches!(event, Event::OtherAccountKey { .. }) {
                    jobs.push_back(Job::Command(Command::BeginAnew));
                }
                self.record.events.push(event);
            }
            Effect::Pass => self.pass(server, job),
            Effect::PassSigned { peer, device, .. } => {
                if let Job::Received(stanza) = job {
                    self.record.signed.push((peer.as_str().to_owned(), device, stanza.clone()));
                }
                self.pass(server, job);
            }
            Effect::Send { id, token: _, stanza } => {
                // Without a stream it comes again with the next one.
                if self.connected {
                    server.send(&self.full_jid, stanza.as_str());
                    if self.acks {
                        jobs.push_back(Job::Acknowledged(id));
                    } else {
                        self.sent.push(id);
                    }
                }
            }
            Effect::Sent { token, coverage } => self.record.end(token, End::Sent(coverage)),
            Effect::Waiting { token, why } => self.record.waited.push((token, why)),
            other => panic!("an effect that the application does not know: {other:?}"),
        }
    }

    /// Does with a stanza what an application without this library would.
    fn pass(&mut self, server: &mut Server, job: &Job) {
        match job {
            Job::Outgoing(stanza, token, _) => {
                self.record.end(*token, End::Pass);
                self.record.clear.push(stanza.clone());
                for stanza in self.record.unsent(self.connected) {
                    server.send(&self.full_jid, &stanza);
                }
            }
            Job::Received(stanza) => {
                let Some(mut element) = Element::parse(stanza) else { return };
                if element.name == "message" {
                    self.record.clear_letter(stanza, &element);
                }
                let request = element.name == "iq" && matches!(element.attr("type"), Some("get" | "set"));
                if let (Some(from), true) = (element.attr("from").map(str::to_owned), request && self.polite)
                {
                    element.set("to", &from);
                    element.set("type", "error");
                    let error = "<error type='cancel'><service-unavailable \
                                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
                    server.send(&self.full_jid, &element.write(error));
                }
            }
            other => panic!("nothing to pass in {other:?}"),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("full_jid", &self.full_jid)
            .field("runs", &self.runs())
            .field("connected", &self.connected)
            .field("next_wakeup", &self.next_wakeup())
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
