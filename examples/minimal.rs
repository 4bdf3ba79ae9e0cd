//! The least integration: connect, two hooks, a store, a timer. The manual's chapter "The hour" walks through it.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xmpp_e2e::store::{MemoryStore, Store};
use xmpp_e2e::{Config, Effect, Engine, Env, Input, LocalAgent, Need, OutboxId, Timestamp, Token};

/// What an XMPP library gives a client: a stream that takes stanzas.
trait Stream {
    fn write(&mut self, stanza: &str);
}

/// The engine and what it needs. A client has one for each account.
struct Encryption {
    engine: Engine,
    store: MemoryStore, // in a client: a database
    agent: LocalAgent,  // its `to_bytes` are kept beside the records
    unacknowledged: Vec<OutboxId>,
}

/// What the client shows.
enum Shown {
    Protected { from: String, stanza: String },
    Clear(String),
    Warning(String),
    Mark(Token, &'static str),
}

impl Encryption {
    fn open(account: &str, agent: LocalAgent, store: MemoryStore) -> Result<Self, Box<dyn Error>> {
        let config = Config::new(account, agent.identity())?;
        // Nothing stored is a new device.
        let engine = Engine::restore(config, &store.load()?)?;
        Ok(Self { engine, store, agent, unacknowledged: Vec::new() })
    }

    /// After binding, at each new stream.
    fn connected(&mut self, stream: &mut impl Stream, full_jid: &str) -> Result<Vec<Shown>, Box<dyn Error>> {
        self.handle(stream, Input::Connected { full_jid, resumed: false })
    }

    /// Hook one: every stanza to be sent. Presence too: it takes the advert along.
    fn send(
        &mut self,
        stream: &mut impl Stream,
        stanza: &str,
        token: Token,
    ) -> Result<Vec<Shown>, Box<dyn Error>> {
        self.handle(stream, Input::Outgoing { stanza, token, need: Need::Policy })
    }

    /// Hook two: every stanza that came, before the library looks for the iq it answers.
    fn received(&mut self, stream: &mut impl Stream, stanza: &str) -> Result<Vec<Shown>, Box<dyn Error>> {
        self.handle(stream, Input::Received(stanza))
    }

    /// The server has acknowledged all that was written (XEP-0198), or has answered a ping.
    fn acknowledged(&mut self, stream: &mut impl Stream) -> Result<(), Box<dyn Error>> {
        for id in std::mem::take(&mut self.unacknowledged) {
            self.handle(stream, Input::Acknowledged(id))?;
        }
        Ok(())
    }

    /// How long the timer runs until `tick`.
    fn timer(&self) -> Option<Duration> {
        self.engine.next_wakeup().map(|at| at.since(now()))
    }

    fn tick(&mut self, stream: &mut impl Stream) -> Result<Vec<Shown>, Box<dyn Error>> {
        self.handle(stream, Input::Tick)
    }

    fn handle(&mut self, stream: &mut impl Stream, input: Input<'_>) -> Result<Vec<Shown>, Box<dyn Error>> {
        let (came, handed_in) = match &input {
            Input::Received(stanza) => (Some(*stanza), None),
            Input::Outgoing { stanza, .. } => (None, Some(*stanza)),
            _ => (None, None),
        };
        let mut rng = xmpp_e2e::rand_core::UnwrapErr(getrandom::SysRng);
        let mut env = Env { now: now(), rng: &mut rng };
        let store = &mut self.store;
        // The store function: all of the batch or nothing, and only upon the generation it expects.
        let effects = self.engine.handle(&mut env, input)?.persist(|batch| store.apply(batch))?;
        let (mut shown, mut then) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Send { id, stanza, .. } => {
                    stream.write(stanza.as_str());
                    self.unacknowledged.push(id);
                }
                Effect::Pass => {
                    if let Some(stanza) = handed_in {
                        stream.write(stanza);
                    }
                    shown.extend(came.map(|stanza| Shown::Clear(stanza.to_owned())));
                }
                Effect::Deliver { id, stanza, context, .. } => {
                    let from = context.sender.as_str().to_owned();
                    shown.push(Shown::Protected { from, stanza: stanza.as_str().to_owned() });
                    then.push(id); // in a client: once the message is in its own database
                }
                Effect::Ask(request) => {
                    let reply = self.agent.answer(&request);
                    shown.extend(self.handle(stream, Input::Agent(&reply))?);
                }
                Effect::Notify(event) => shown.push(Shown::Warning(format!("{event:?}"))),
                Effect::Sent { token, .. } => shown.push(Shown::Mark(token, "sent")),
                Effect::Waiting { token, .. } => shown.push(Shown::Mark(token, "waits")),
                Effect::Failed { token, .. } => shown.push(Shown::Mark(token, "not sent")),
                _ => {}
            }
        }
        for id in then {
            self.handle(stream, Input::Taken(id))?;
        }
        Ok(shown)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the outside")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The stream of this example: a server in memory, to whose sessions both clients are bound.
struct Bound<'s>(&'s mut xmpp_e2e_testkit::server::Server, &'static str);

impl Stream for Bound<'_> {
    fn write(&mut self, stanza: &str) {
        self.0.send(self.1, stanza);
    }
}

const JIDS: [&str; 2] = ["romeo@example.net/orchard", "juliet@example.com/balcony"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = xmpp_e2e_testkit::server::Server::new();
    server.befriend("romeo@example.net", "juliet@example.com");
    let mut clients = Vec::new();
    for full_jid in JIDS {
        let agent =
            LocalAgent::generate(&Default::default(), &mut xmpp_e2e::rand_core::UnwrapErr(getrandom::SysRng));
        let account = full_jid.split('/').next().unwrap_or_default();
        let mut client = Encryption::open(account, agent, MemoryStore::new())?;
        server.connect(full_jid);
        client.connected(&mut Bound(&mut server, full_jid), full_jid)?;
        client.send(&mut Bound(&mut server, full_jid), "<presence/>", Token(0))?;
        clients.push(client);
    }
    carry(&mut server, &mut clients)?;
    let hello = "<message to='juliet@example.com' type='chat' id='m1'><body>Good night</body></message>";
    let [romeo, ..] = clients.as_mut_slice() else { return Ok(()) };
    romeo.send(&mut Bound(&mut server, JIDS[0]), hello, Token(1))?;
    carry(&mut server, &mut clients)
}

/// What event loops do: hands over what comes, until nothing comes any more.
fn carry(
    server: &mut xmpp_e2e_testkit::server::Server,
    clients: &mut [Encryption],
) -> Result<(), Box<dyn Error>> {
    let mut quiet = false;
    while !std::mem::replace(&mut quiet, true) {
        for (client, full_jid) in clients.iter_mut().zip(JIDS) {
            while let Some(stanza) = server.receive(full_jid) {
                quiet = false;
                let mut stream = Bound(server, full_jid);
                for shown in client.received(&mut stream, &stanza)? {
                    match shown {
                        Shown::Protected { from, stanza } => {
                            println!("{full_jid}: {from}, encrypted: {stanza}")
                        }
                        Shown::Clear(stanza) => println!("{full_jid}: in clear: {stanza}"),
                        Shown::Warning(what) => println!("{full_jid}: {what}"),
                        Shown::Mark(Token(number), mark) => println!("{full_jid}: {number} {mark}"),
                    }
                }
                client.acknowledged(&mut stream)?;
            }
            if client.timer().is_some_and(|pause| pause.is_zero()) {
                client.tick(&mut Bound(server, full_jid))?;
            }
        }
    }
    Ok(())
}
