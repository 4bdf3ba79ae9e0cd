//! End-to-end encryption and authentication for XMPP: a protocol engine without IO.
//!
//! An [`Engine`] is the encryption of one device of one account. It takes stanzas, commands, answers and the time,
//! and gives stanzas, events and requests. It has no socket, clock, file, thread or source of randomness. So it fits
//! any XMPP library, blocking or asynchronous, and a test runs years in a second.
//!
//! What it gives to messages: confidentiality against recorders with a later quantum computer, authentication,
//! forward secrecy, recovery after theft, several devices, no silent downgrade. [`manual::security`] says exactly
//! what, and what not. [`manual::specification`] has every byte, [`manual::guide`] the way to a client.
//!
//! # A step is a transaction
//!
//! ```text
//!      a stanza that came          ╮
//!      a stanza to be sent         │
//!      a command of the user       ├──▶  engine.handle(env, input)
//!      an answer of the key agent  │            │
//!      the time                    ╯            ▼
//!                                        Step ── dropped, or the store refuses ──▶  nothing has happened
//!                                         │
//!                                         │ step.persist(|batch| store.apply(batch))
//!                                         ▼
//!      send these bytes            ╮
//!      show this as protected      │
//!      use your stanza as it is    ├──◀  effects
//!      ask the key agent           │
//!      tell the user               ╯
//! ```
//!
//! * *Stored before sent.* Effects do not exist before [`Step::persist`] has consumed the step.
//! * *Memory is never ahead of the store.* The state is changed after the store has said yes.
//! * *The store is never ahead of memory unnoticed.* Each batch is conditional on the generation it builds on.
//! * *One change at a time.* The step borrows the engine.
//! * *No clear text by accident.* Only the engine makes what is sent and what is delivered.
//!
//! # The loop
//!
//! ```
//! use xmpp_e2e::store::{MemoryStore, Store};
//! use xmpp_e2e::{Config, Effect, Engine, Env, Input, LocalAgent, Need, Timestamp, Token};
//!
//! /// An engine and what surrounds it in a client.
//! struct Client {
//!     engine: Engine,
//!     store: MemoryStore,    // in a client: a database
//!     agent: LocalAgent,     // holds the private keys of account and device
//!     stream: Vec<String>,   // what goes to the server
//!     screen: Vec<String>,   // what goes to the user
//! }
//!
//! fn run(client: &mut Client, env: &mut Env<'_>, input: Input<'_>) -> Result<(), Box<dyn std::error::Error>> {
//!     let (came, handed_in) = match &input {
//!         Input::Received(stanza) => (Some(*stanza), None),
//!         Input::Outgoing { stanza, .. } => (None, Some(*stanza)),
//!         _ => (None, None),
//!     };
//!     let Client { engine, store, agent, stream, screen } = client;
//!     let effects = engine.handle(env, input)?.persist(|batch| store.apply(batch))?;
//!     let (mut replies, mut taken, mut acknowledged) = (Vec::new(), Vec::new(), Vec::new());
//!     for effect in effects {
//!         match effect {
//!             Effect::Send { id, stanza, .. } => {
//!                 stream.push(stanza.as_str().to_owned());
//!                 acknowledged.push(id); // in a client: when the server has acknowledged it
//!             }
//!             Effect::Pass | Effect::PassSigned { .. } => {
//!                 stream.extend(handed_in.map(str::to_owned));
//!                 screen.extend(came.map(|stanza| format!("unprotected: {stanza}")));
//!             }
//!             Effect::Deliver { id, stanza, context, .. } => {
//!                 screen.push(format!("from {}: {}", context.sender.as_str(), stanza.as_str()));
//!                 taken.push(id); // once it is stored
//!             }
//!             Effect::Ask(request) => replies.push(agent.answer(&request)),
//!             Effect::Notify(event) => screen.push(format!("{event:?}")),
//!             Effect::Failed { token, why } => screen.push(format!("{token:?} was not sent: {why}")),
//!             Effect::Sent { .. } | Effect::Waiting { .. } => {} // marks beside the message
//!             _ => {}
//!         }
//!     }
//!     // Only now: effects are carried out in their order.
//!     for id in taken {
//!         run(client, env, Input::Taken(id))?;
//!     }
//!     for id in acknowledged {
//!         run(client, env, Input::Acknowledged(id))?;
//!     }
//!     for reply in &replies {
//!         run(client, env, Input::Agent(reply))?;
//!     }
//!     Ok(()) // and set the timer to `engine.next_wakeup()`, for `Input::Tick`
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng = xmpp_e2e::rand_core::UnwrapErr(getrandom::SysRng);
//! let agent = LocalAgent::generate(&Default::default(), &mut rng);
//! let config = Config::new("romeo@example.net", agent.identity())?;
//! let engine = Engine::new(config); // or `Engine::restore`, with what the store has
//! let (store, stream, screen) = (MemoryStore::new(), Vec::new(), Vec::new());
//! let mut client = Client { engine, store, agent, stream, screen };
//!
//! let env = &mut Env { now: Timestamp::from_secs(1_800_000_000), rng: &mut rng };
//! run(&mut client, env, Input::Connected { full_jid: "romeo@example.net/orchard", resumed: false })?;
//! let stanza = "<message to='juliet@example.com' type='chat'><body>Hello</body></message>";
//! run(&mut client, env, Input::Outgoing { stanza, token: Token(1), need: Need::Policy })?;
//! # assert!(client.stream.iter().any(|sent| sent == stanza), "nobody has shown keys: it goes as it is");
//! # assert!(client.stream.iter().any(|sent| sent.contains("<iq")), "the engine is looking after its own keys");
//! # Ok(())
//! # }
//! ```
//!
//! # What does not compile
//!
//! Misuse of these kinds is refused by the compiler. The blocks below are compiled in the tests, and must fail.
//! This much compiles, and each block departs from it in one thing:
//!
//! ```
//! # use xmpp_e2e::{Effect, Engine, Env, Input, Secret};
//! fn twice(engine: &mut Engine, env: &mut Env<'_>) -> Result<Vec<Effect>, xmpp_e2e::Error> {
//!     let first = engine.handle(env, Input::Tick)?;
//!     drop(first); // it has not happened
//!     let second = engine.handle(env, Input::Tick)?;
//!     second.persist(|_| Ok(()))
//! }
//! fn show(outbound: &xmpp_e2e::Outbound, inbound: &xmpp_e2e::Inbound) -> [String; 2] {
//!     [outbound.as_str().to_owned(), inbound.as_str().to_owned()]
//! }
//! fn same(one: &Secret, other: &Secret) -> bool {
//!     one.same(other)
//! }
//! ```
//!
//! Effects without [`persist`](Step::persist):
//!
//! ```compile_fail,E0616
//! # use xmpp_e2e::{Effect, Engine, Env, Input};
//! fn effects(engine: &mut Engine, env: &mut Env<'_>) -> Result<Vec<Effect>, xmpp_e2e::Error> {
//!     let step = engine.handle(env, Input::Tick)?;
//!     Ok(step.effects)
//! }
//! ```
//!
//! Two steps at once:
//!
//! ```compile_fail,E0499
//! # use xmpp_e2e::{Engine, Env, Input};
//! fn twice(engine: &mut Engine, env: &mut Env<'_>) -> Result<(), xmpp_e2e::Error> {
//!     let first = engine.handle(env, Input::Tick)?;
//!     let second = engine.handle(env, Input::Tick)?;
//!     drop((first, second));
//!     Ok(())
//! }
//! ```
//!
//! A step persisted twice:
//!
//! ```compile_fail,E0382
//! # use xmpp_e2e::{Engine, Env, Input};
//! fn again(engine: &mut Engine, env: &mut Env<'_>) -> Result<(), xmpp_e2e::Error> {
//!     let step = engine.handle(env, Input::Tick)?;
//!     let _ = step.persist(|_| Ok::<(), ()>(()));
//!     let _ = step.persist(|_| Ok::<(), ()>(()));
//!     Ok(())
//! }
//! ```
//!
//! A step that is forgotten, where warnings of that kind are errors:
//!
//! ```compile_fail
//! #![deny(unused_must_use)]
//! # use xmpp_e2e::{Engine, Env, Input};
//! fn forget(engine: &mut Engine, env: &mut Env<'_>) -> Result<(), xmpp_e2e::Error> {
//!     engine.handle(env, Input::Tick)?;
//!     Ok(())
//! }
//! ```
//!
//! Something to be sent, or delivered, that the engine did not make:
//!
//! ```compile_fail,E0603
//! let clear = xmpp_e2e::Outbound("<message/>".to_owned());
//! ```
//!
//! ```compile_fail,E0603
//! let forged = xmpp_e2e::Inbound("<message/>".to_owned());
//! ```
//!
//! Consent to clear text that no event gave:
//!
//! ```compile_fail,E0451
//! # fn peer() -> xmpp_e2e::BareJid { unimplemented!() }
//! let consent = xmpp_e2e::Consent { peer: peer() };
//! ```
//!
//! A secret printed, or compared in a time that depends on it:
//!
//! ```compile_fail,E0277
//! fn print(secret: &xmpp_e2e::Secret) -> String {
//!     format!("{secret:?}")
//! }
//! ```
//!
//! ```compile_fail,E0369
//! fn same(one: &xmpp_e2e::Secret, other: &xmpp_e2e::Secret) -> bool {
//!     one == other
//! }
//! ```

mod agent;
mod engine;
mod env;
mod error;
mod fingerprint;
#[doc(hidden)]
#[cfg(any(fuzzing, feature = "_fuzzing"))]
pub mod fuzzing;
mod history;
mod identity;
mod jid;
mod linking;
pub mod manual;
mod presence;
mod secret;
mod session;
mod short_string;
mod signed;
mod stanza;
mod step;
pub mod store;
pub mod suite;
mod trust;
mod verify;
mod wire;

pub use agent::{
    AgentIdentity, AgentRefusal, AgentReply, AgentRequest, Answer, BeginLinking, CertifyDevice,
    InvalidAgentData, Leg, LegLabel, LocalAgent, MAX_PREKEYS, Operation, Role, SignAdvert, SignDeviceList,
    SignPrekeys, SignRecord, SignStanza,
};
pub use engine::{
    Command, Config, Contact, Engine, HistoryOffer, Input, Item, Outlook, OwnDevice, Pending, ResendMemory,
    Standing, Subscription,
};
pub use env::{Env, Timestamp};
pub use error::{Error, Malformed, Misbehaviour, Misuse, Reason, Unreadable};
pub use fingerprint::{Fingerprint, InvalidCode};
pub use history::{HistoryEnd, HistoryError, HistoryFile, HistoryRead, HistoryReader, HistoryWriter};
pub use jid::{BareJid, InvalidJid};
pub use presence::PresenceMeaning;
pub use rand_core;
pub use secret::Secret;
pub use short_string::ShortString;
pub use signed::StatementKind;
pub use stanza::{Hints, Padding, Tree, TreeBuilder, Visitor};
pub use step::{
    Authentication, Consent, Context, Coverage, Effect, Event, Inbound, InboxId, LinkFault, Need, NotCovered,
    Outbound, OutboxId, Protection, PublishFault, ScanOutcome, SendError, Step, Token, Uncovered, Via,
    Waiting,
};
pub use trust::{Decision, Means, PastDecision, Trust, TrustPolicy};
pub use verify::{Question, RunId, SharedSecret, VerificationFault};

/// The namespace of every element of this protocol.
pub const NS: &str = "urn:xmpp:e2e:0";

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
