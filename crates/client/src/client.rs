//! The client: what an application calls, and the loop below it.

mod effects;
mod link;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use getrandom::SysRng;
use minidom::Element;
use tokio::time::Instant;
use tokio_xmpp::xmlstream::ReadError;
use xmpp_e2e::rand_core::{CryptoRng, UnwrapErr};
use xmpp_e2e::suite::Suites;
use xmpp_e2e::{
    AgentReply, Command, Engine, Env, HistoryWriter, InboxId, Input, LocalAgent, Misuse, Need, Outlook,
    Timestamp, Token,
};
use xmpp_e2e_minidom::to_tree;
use zeroize::Zeroizing;

use link::{Happened, Link, Out};

use crate::archive::Archive;
use crate::config::{Agent, Config};
use crate::connect::{ConnectError, Login, Offers};
use crate::event::{Error, Event, Fault, Offline};
use crate::questions::Request;
use crate::roster::Roster;
use crate::sm::{Sent, StreamManagement};
use crate::storage::Storage;
use crate::xml::{CSI, SM, element};

/// Where the agent's keys are kept, and the rest that a client notes.
const AGENT: &str = "agent";
const RESOURCE: &str = "resource";
pub(crate) const ROSTER: &str = "roster";
pub(crate) const ARCHIVE: &str = "archive";

/// Messages in clear that wait for a connection; those under protection wait with the engine.
const MAX_BACKLOG: usize = 1_000;

/// The engine is told a token of the client's own by numbers from here on.
pub(crate) const OWN_TOKENS: u64 = 1 << 63;

/// A client of one account.
///
/// Everything happens inside [`next`](Self::next); what else is called only prepares. Dropping the future of
/// `next` loses nothing.
#[expect(clippy::struct_excessive_bools, reason = "of the session, the user and the server, each by itself")]
pub struct Client<S: Storage> {
    pub(crate) config: Config,
    pub(crate) login: Login,
    pub(crate) engine: Engine,
    agent: Option<LocalAgent>,
    has_account_key: bool,
    pub(crate) storage: S,
    rng: UnwrapErr<SysRng>,
    pub(crate) roster: Roster,
    pub(crate) offers: Offers,
    link: Link,
    pub(crate) full_jid: String,
    pub(crate) sm: StreamManagement,
    out: VecDeque<Out>,
    queue: VecDeque<Queued>,
    pub(crate) requests: BTreeMap<String, Request>,
    pub(crate) presence: Option<Element>,
    /// The engine's name for the presence that is on its way.
    pub(crate) presence_token: Option<Token>,
    pub(crate) active: bool,
    /// Whether what comes is before the server's count.
    pub(crate) uncounted: bool,
    /// Whether this session has come to sending presence.
    pub(crate) begun: bool,
    /// Whether what follows presence is still to be done.
    pub(crate) unread: bool,
    pub(crate) archive: Archive,
    /// Whether the engine has been told that an archive is, or is to be, read.
    catching_up: bool,
    /// Messages that came while the archive was read, which has what was before them.
    pub(crate) held: VecDeque<Element>,
    backlog: VecDeque<Sent>,
    attempts: u32,
    /// When bytes came last that were no XML.
    unreadable: Option<Instant>,
    numbers: u64,
}

/// What `next` gives, and what follows from its having been given.
enum Queued {
    Event(Box<Event>),
    /// Everything that the last stanza caused has been dealt with.
    Handled,
    /// The archive's name of the stanza.
    Seen(String),
}

/// The stanza that `Effect::Pass` speaks of.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    Came(&'a Element),
    HandedIn(&'a Element, Token),
    Nothing,
}

impl<S: Storage> Client<S> {
    /// A client with what `storage` has of it; a new device if that is nothing.
    ///
    /// # Errors
    /// [`Error::Storage`] and [`Error::Stored`] if it cannot be read, [`Error::Misuse`] if the account is no JID.
    pub fn open(config: Config, mut storage: S) -> Result<Self, Error<S::Error>> {
        let mut rng = UnwrapErr(SysRng);
        let make: Option<fn(&Suites, &mut dyn CryptoRng) -> LocalAgent> = match &config.agent {
            Agent::Outside(_) => None,
            Agent::Stored => Some(LocalAgent::generate),
            Agent::Linked => Some(LocalAgent::without_account_key),
        };
        let agent = match make {
            None => None,
            Some(make) => Some(if let Some(bytes) = storage.note(AGENT).map_err(Error::Storage)? {
                LocalAgent::from_bytes(&bytes, &Suites::default()).map_err(|_| Error::Stored("the keys"))?
            } else {
                let agent = make(&Suites::default(), &mut rng);
                storage.set_note(AGENT, Some(&agent.to_bytes())).map_err(Error::Storage)?;
                agent
            }),
        };
        let identity = match (&agent, &config.agent) {
            (Some(agent), _) => agent.identity(),
            (None, Agent::Outside(identity)) => (**identity).clone(),
            (None, Agent::Stored | Agent::Linked) => return Err(Error::Stored("the keys")),
        };
        let has_account_key = identity.account_digest().is_some();
        let mut settings = xmpp_e2e::Config::new(&config.account, identity).map_err(Error::Misuse)?;
        settings.padding = config.padding;
        settings.hints = config.hints;
        settings.trust = config.trust;
        settings.resend_memory = config.resend_memory;
        settings.sign_presence = config.sign_presence;
        let account = settings.account.as_str().to_owned();
        let stored = storage.load().map_err(Error::Storage)?;
        let engine = Engine::restore(settings, &stored).map_err(Error::Misuse)?;
        let text =
            |note: Option<Zeroizing<Vec<u8>>>| note.and_then(|note| String::from_utf8(note.to_vec()).ok());
        let roster = text(storage.note(ROSTER).map_err(Error::Storage)?);
        let roster = roster.and_then(|text| Roster::from_xml(&text)).unwrap_or_default();
        let last = text(storage.note(ARCHIVE).map_err(Error::Storage)?);
        let resource = if config.resource.is_empty() {
            if let Some(resource) = text(storage.note(RESOURCE).map_err(Error::Storage)?) {
                resource
            } else {
                let resource = format!("e2e-{:08x}", random(&mut rng) >> 32);
                storage.set_note(RESOURCE, Some(resource.as_bytes())).map_err(Error::Storage)?;
                resource
            }
        } else {
            config.resource.clone()
        };
        let login = Login {
            account,
            resource,
            password: config.password.clone(),
            server: config.server.clone(),
            timeouts: config.timeouts,
        };
        let mut client = Self {
            config,
            login,
            engine,
            agent,
            has_account_key,
            storage,
            rng,
            roster,
            offers: Offers::default(),
            link: Link::Down { until: Instant::now() },
            full_jid: String::new(),
            sm: StreamManagement::default(),
            out: VecDeque::new(),
            queue: VecDeque::new(),
            requests: BTreeMap::new(),
            presence: Some(Element::bare("presence", crate::wire::CLIENT)),
            presence_token: None,
            active: true,
            uncounted: false,
            begun: false,
            unread: false,
            archive: Archive { last, ..Archive::default() },
            catching_up: false,
            held: VecDeque::new(),
            backlog: VecDeque::new(),
            attempts: 0,
            unreadable: None,
            numbers: 0,
        };
        if client.config.restored {
            client.command(Command::Restored)?;
        }
        client.catch_up(client.archive.last.is_some())?;
        client.tell_roster()?;
        Ok(client)
    }

    /// The next thing that happened. What was given before has been dealt with.
    ///
    /// # Errors
    /// [`Error`]: the client stops.
    pub async fn next(&mut self) -> Result<Event, Error<S::Error>> {
        let result = self.advance().await;
        if result.is_err() {
            // What had failed would be counted as handled with the next stanza.
            self.link = Link::Closed;
            self.queue.clear();
        }
        result
    }

    async fn advance(&mut self) -> Result<Event, Error<S::Error>> {
        loop {
            while let Some(queued) = self.queue.pop_front() {
                match queued {
                    Queued::Event(event) => return Ok(*event),
                    Queued::Handled => self.sm.handled(self.held.is_empty()),
                    Queued::Seen(id) => self.seen(id)?,
                }
            }
            if matches!(self.link, Link::Closed) {
                return Err(Error::Closed);
            }
            if !self.sm.on && self.is_online() && self.sm.outstanding() > 0 {
                self.ping();
            }
            let happened = self.wait().await;
            if matches!(happened, Happened::Connected(_)) {
                self.link = Link::Down { until: Instant::now() };
            }
            match happened {
                Happened::Timer => self.timer()?,
                Happened::Connected(Ok(connected)) => self.connected(*connected)?,
                Happened::Connected(Err(ConnectError::Credentials)) => return Err(Error::Credentials),
                Happened::Connected(Err(error)) => self.pause(Offline::Connect(error)),
                Happened::Came(Some(Ok(incoming))) => self.came(incoming)?,
                Happened::Came(Some(Err(ReadError::SoftTimeout))) => self.probe(),
                Happened::Came(Some(Err(ReadError::HardError(error)))) => self.broken(&error)?,
                Happened::Came(Some(Err(ReadError::ParseError(_)))) => self.fault(Fault::Refused(None)),
                Happened::Came(Some(Err(ReadError::StreamFooterReceived)) | None) => self.lost(None)?,
                Happened::WriteFailed(error) => self.lost(Some(error.to_string()))?,
            }
        }
    }

    /// Hands in a stanza. What becomes of it comes as an event: `Sent`, `Clear` or `Failed`, after `Waiting`
    /// perhaps. A token handed in again after a restart, before the first [`next`](Self::next), is not sent twice.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the stanza is none, [`Error::Storage`].
    pub fn send(&mut self, stanza: &Element, token: Token, need: Need) -> Result<(), Error<S::Error>> {
        let tree = to_tree(stanza).map_err(|malformed| Error::Misuse(Misuse::Stanza(malformed)))?;
        let input = Input::OutgoingTree { stanza: &tree, token, need };
        self.step([input], Subject::HandedIn(stanza, token))
    }

    /// The application has stored what was delivered.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn taken(&mut self, id: InboxId) -> Result<(), Error<S::Error>> {
        self.step([Input::Taken(id)], Subject::Nothing)
    }

    /// What the user or the application wants of the engine.
    ///
    /// # Errors
    /// [`Error::Misuse`] if it names no JID, [`Error::Storage`].
    pub fn command(&mut self, command: Command<'_>) -> Result<(), Error<S::Error>> {
        self.step([Input::Command(command)], Subject::Nothing)
    }

    /// The answer of a key agent that is outside.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn answered(&mut self, reply: &AgentReply) -> Result<(), Error<S::Error>> {
        self.step([Input::Agent(reply)], Subject::Nothing)
    }

    /// Sets the presence that is sent now and after each login. `None` for none: then servers deliver nothing
    /// by themselves.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn set_presence(&mut self, presence: Option<Element>) -> Result<(), Error<S::Error>> {
        self.presence = presence;
        if self.is_online() && self.begun { self.send_presence() } else { Ok(()) }
    }

    /// Whether somebody is looking (XEP-0352): servers hold back what can wait.
    pub fn set_active(&mut self, active: bool) {
        self.active = active;
        self.tell_active();
    }

    /// Answers an iq that this program does not know.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn refuse(&mut self, request: &Element) -> Result<(), Error<S::Error>> {
        self.reply(&crate::xml::unknown(request))
    }

    /// What would become of a stanza to `jid`: the padlock before sending.
    ///
    /// # Errors
    /// [`Error::Misuse`] if it is no JID.
    pub fn outlook(&self, jid: &str, need: &Need) -> Result<Outlook, Error<S::Error>> {
        self.engine.outlook(jid, need).map_err(misuse)
    }

    /// The engine, to be asked.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the client was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the key agent has the account key: only then can this device take in or shut out others.
    #[must_use]
    pub fn has_account_key(&self) -> bool {
        self.has_account_key
    }

    /// Begins a sealed file of history for another device of the own account; see [`Engine::seal_history`].
    ///
    /// # Errors
    /// [`Error::Misuse`] if `device` is none of the account's.
    pub fn seal_history(&mut self, device: u32) -> Result<HistoryWriter, Error<S::Error>> {
        let mut env = Env { now: now(), rng: &mut self.rng };
        self.engine.seal_history(&mut env, device).map_err(misuse)
    }

    /// The storage, for what the application keeps there.
    pub fn storage(&mut self) -> &mut S {
        &mut self.storage
    }

    /// The roster.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The account's bare JID, prepared.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.login.account
    }

    /// Whether there is a stream.
    #[must_use]
    pub fn is_online(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// How many stanzas the server has not acknowledged, or were not written yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.sm.outstanding() + self.out.len()
    }

    /// Says goodbye and closes the stream. What is not acknowledged goes out at the next login.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn close(&mut self) -> Result<(), Error<S::Error>> {
        self.save_archive()?;
        if let Link::Up { stream, .. } = &mut self.link {
            let unavailable = crate::xml::unavailable();
            let handled = element(SM, "a", &[("h", &self.sm.h().to_string())]);
            // What was given last counts only with the next call of `next`, which does not come.
            let counted = self.sm.on && self.queue.is_empty() && self.held.is_empty();
            let farewell = async {
                use futures::SinkExt;
                if counted {
                    stream.send(&handled).await?;
                }
                stream.send(&unavailable).await?;
                stream.shutdown().await
            };
            // A server that does not listen is left without.
            let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
        }
        self.link = Link::Closed;
        self.step([Input::Disconnected], Subject::Nothing)
    }

    /// Puts a stanza of the client's own on the stream, if there is one.
    pub(crate) fn write(&mut self, stanza: Element) {
        if self.is_online() {
            self.out.push_back(Out::Stanza(Sent { stanza, id: None, token: None }));
        }
    }

    /// Puts what is no stanza on the stream, or what was counted before.
    pub(crate) fn write_uncounted(&mut self, element: Element) {
        self.out.push_back(Out::Other(element));
    }

    /// Puts what is not counted on the stream, before all that waits to be written.
    pub(crate) fn write_first(&mut self, element: Element) {
        self.out.push_front(Out::Other(element));
    }

    /// The session goes on: what the server has not handled comes first, then what was not written.
    pub(crate) fn write_again(&mut self) {
        let unwritten =
            core::mem::take(&mut self.out).into_iter().filter(|out| matches!(out, Out::Stanza(_)));
        self.out = self.sm.resumed().into_iter().map(Out::Other).chain(unwritten).collect();
    }

    /// What waited in clear for a connection.
    pub(crate) fn write_backlog(&mut self) -> Result<(), Error<S::Error>> {
        for Sent { stanza, token, .. } in core::mem::take(&mut self.backlog) {
            let token = token.unwrap_or_else(|| Token(OWN_TOKENS | self.number()));
            self.send(&stanza, token, Need::Policy)?;
        }
        Ok(())
    }

    /// Tells the engine that an archive is to be read of what was sent to older keys, or has been.
    pub(crate) fn catch_up(&mut self, active: bool) -> Result<(), Error<S::Error>> {
        if core::mem::replace(&mut self.catching_up, active) == active {
            return Ok(());
        }
        self.command(Command::CatchUp { active })
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.queue.push_back(Queued::Event(Box::new(event)));
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.tell(Event::Fault(fault));
    }

    /// Once all events so far have been given, the stanza that caused them counts as handled.
    pub(crate) fn handled_then(&mut self, seen: Option<String>) {
        self.queue.extend(seen.map(Queued::Seen));
        if !self.uncounted {
            self.queue.push_back(Queued::Handled);
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn random(&mut self) -> u64 {
        random(&mut self.rng)
    }

    pub(crate) fn tell_active(&mut self) {
        if self.is_online() && self.offers.client_state {
            let name = if self.active { "active" } else { "inactive" };
            self.write_uncounted(Element::bare(name, CSI));
        }
    }
}

impl<S: Storage> core::fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").field("engine", &self.engine).finish_non_exhaustive()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn misuse<E: core::error::Error>(error: xmpp_e2e::Error) -> Error<E> {
    match error {
        xmpp_e2e::Error::Misuse(misuse) => Error::Misuse(misuse),
        _ => Error::Stored("the sessions"),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn random(rng: &mut UnwrapErr<SysRng>) -> u64 {
    use xmpp_e2e::rand_core::Rng;
    rng.next_u64()
}

#[cfg(test)]
mod tests {
    use xmpp_e2e::SendError;

    use super::*;
    use crate::storage::MemoryStorage;
    use crate::wire::Incoming;

    #[tokio::test]
    async fn what_comes_before_the_archive_is_read_is_held_back() {
        let config = Config::new("romeo@example.net", "password");
        let mut client = Client::open(config, MemoryStorage::default()).unwrap();
        let live = "<message xmlns='jabber:client' from='juliet@example.com/b'><body>Hello</body>\
            <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.net' id='9'/></message>";
        for settled in [false, true] {
            client.queue.clear();
            client.held.clear();
            client.begun = settled;
            client.came(Incoming::Element(live.parse().unwrap())).unwrap();
            assert_eq!(client.queue.iter().any(|queued| matches!(queued, Queued::Seen(_))), settled);
            assert_eq!(client.held.is_empty(), settled);
        }
    }

    #[tokio::test]
    async fn a_message_in_clear_that_finds_no_place_has_failed() {
        let config = Config::new("romeo@example.net", "password");
        let mut client = Client::open(config, MemoryStorage::default()).unwrap();
        let hello = "<message xmlns='jabber:client' to='juliet@example.com'><body>Hello</body></message>";
        let hello = hello.parse().unwrap();
        for token in 0..=MAX_BACKLOG as u64 {
            client.send(&hello, Token(token), Need::Policy).unwrap();
        }
        for token in 0..MAX_BACKLOG as u64 {
            assert!(matches!(client.next().await, Ok(Event::Waiting { token: Token(n), .. }) if n == token));
        }
        let last = client.next().await;
        assert!(matches!(last, Ok(Event::Failed { token: Token(_), why: SendError::Full })), "{last:?}");
    }
}
