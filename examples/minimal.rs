//! The least integration: connect, two hooks, a store, a timer. The manual has it as a chapter, `manual::hour`.

#![expect(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "two of each; the rest can wait"
)]

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use xmpp_e2e::rand_core::UnwrapErr;
use xmpp_e2e::store::{MemoryStore, Store};
use xmpp_e2e::suite::Suites;
use xmpp_e2e::{
    Config, Effect, Engine, Env, Input, LocalAgent, Need, OutboxId, Subscription, Timestamp, Token,
};
use xmpp_e2e_testkit::server::Server;

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

/// What the client shows: how it came, and a stanza or a word to the user.
type Shown = (&'static str, String);

type Done = Result<Vec<Shown>, Box<dyn Error>>;

type Roster<'a> = [(&'a str, Subscription)];

impl Encryption {
    fn open(account: &str, agent: LocalAgent, store: MemoryStore) -> Result<Self, Box<dyn Error>> {
        let config = Config::new(account, agent.identity())?;
        // Nothing stored is a new device.
        let engine = Engine::restore(config, &store.load()?)?;
        Ok(Self { engine, store, agent, unacknowledged: Vec::new() })
    }

    /// After binding, at each new stream; and the roster, from the client's cache.
    fn connected(&mut self, stream: &mut impl Stream, full_jid: &str, roster: &Roster<'_>) -> Done {
        for &(jid, subscription) in roster {
            self.handle(stream, Input::Roster { jid, subscription })?;
        }
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
    fn received(&mut self, stream: &mut impl Stream, stanza: &str) -> Done {
        self.handle(stream, Input::Received(stanza))
    }

    /// The server has acknowledged all that was written (XEP-0198), or has answered a ping.
    fn acknowledged(&mut self, stream: &mut impl Stream) -> Result<(), Box<dyn Error>> {
        for id in std::mem::take(&mut self.unacknowledged) {
            self.handle(stream, Input::Acknowledged(id))?;
        }
        Ok(())
    }

    /// How long the timer runs until `Input::Tick`.
    fn timer(&self) -> Option<Duration> {
        self.engine.next_wakeup().map(|at| at.since(now()))
    }

    fn handle(&mut self, stream: &mut impl Stream, input: Input<'_>) -> Done {
        let (came, handed_in) = match &input {
            Input::Received(stanza) => (Some(*stanza), None),
            Input::Outgoing { stanza, .. } => (None, Some(*stanza)),
            _ => (None, None),
        };
        let mut rng = UnwrapErr(SysRng);
        let mut env = Env { now: now(), rng: &mut rng };
        let store = &mut self.store;
        // The store function: all of the batch or nothing, and only upon the generation it expects.
        let effects = self.engine.handle(&mut env, input)?.persist(|batch| store.apply(batch))?;
        let (mut shown, mut taken, mut replies) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Send { id, stanza, .. } => {
                    stream.write(stanza.as_str());
                    self.unacknowledged.push(id);
                }
                Effect::Pass | Effect::PassSigned { .. } => {
                    if let Some(stanza) = handed_in {
                        stream.write(stanza);
                    }
                    shown.extend(came.map(|stanza| ("in clear", stanza.to_owned())));
                }
                Effect::Deliver { id, stanza, protection, .. } => {
                    let how = if protection.is_encrypted() { "encrypted" } else { "readable" };
                    shown.push((how, stanza.as_str().to_owned()));
                    taken.push(id); // in a client: once the message is in its own database
                }
                Effect::Ask(request) => replies.push(self.agent.answer(&request)),
                Effect::Notify(event) => shown.push(("word", format!("{event:?}"))),
                Effect::Sent { token, .. } => shown.push(("word", format!("{} sent", token.0))),
                Effect::Failed { token, why } => shown.push(("word", format!("{}: {why}", token.0))),
                _ => {}
            }
        }
        for id in taken {
            self.handle(stream, Input::Taken(id))?;
        }
        for reply in &replies {
            shown.extend(self.handle(stream, Input::Agent(reply))?);
        }
        Ok(shown)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the outside")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The stream of this example: a server in memory, and who is bound to it.
struct Bound<'s>(&'s mut Server, &'static str);

impl Stream for Bound<'_> {
    fn write(&mut self, stanza: &str) {
        self.0.send(self.1, stanza);
    }
}

const JIDS: [&str; 2] = ["romeo@example.net/orchard", "juliet@example.com/balcony"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new();
    let accounts = ["romeo@example.net", "juliet@example.com"];
    server.befriend(accounts[0], accounts[1]);
    let mut clients = Vec::new();
    for (account, full_jid) in accounts.into_iter().zip(JIDS) {
        let agent = LocalAgent::generate(&Suites::default(), &mut UnwrapErr(SysRng));
        let mut client = Encryption::open(account, agent, MemoryStore::new())?;
        server.connect(full_jid);
        let mut stream = Bound(&mut server, full_jid);
        client.connected(&mut stream, full_jid, &accounts.map(|jid| (jid, Subscription::Both)))?;
        client.send(&mut stream, "<presence/>", Token(0))?;
        clients.push(client);
    }
    run(&mut server, &mut clients)?;
    let hello = "<message to='juliet@example.com' type='chat' id='m1'><body>Good night</body></message>";
    clients[0].send(&mut Bound(&mut server, JIDS[0]), hello, Token(1))?;
    run(&mut server, &mut clients)
}

/// What event loops do, until nothing comes any more.
fn run(server: &mut Server, clients: &mut [Encryption]) -> Result<(), Box<dyn Error>> {
    for turn in 0..16 {
        let (client, full_jid) = (&mut clients[turn % 2], JIDS[turn % 2]);
        while let Some(stanza) = server.receive(full_jid) {
            let mut stream = Bound(server, full_jid);
            for (how, what) in client.received(&mut stream, &stanza)? {
                println!("{full_jid}: {how}: {what}");
            }
            client.acknowledged(&mut stream)?;
        }
        if client.timer().is_some_and(|pause| pause.is_zero()) {
            client.handle(&mut Bound(server, full_jid), Input::Tick)?;
        }
    }
    Ok(())
}
