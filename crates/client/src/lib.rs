//! An XMPP client core with end-to-end encryption: [`xmpp_e2e`] over [`tokio_xmpp`].
//!
//! [`Client`] connects and reconnects, resumes sessions (XEP-0198) or pings, keeps the roster by version, reads the
//! archive (XEP-0313) after each absence, switches carbons (XEP-0280) on, and hands each stanza to the engine before
//! anything else looks at it. What is left for an application: its window, and storing what it shows.
//!
//! Below tokio-xmpp's own client, whose stanza types drop what they do not know, which counts a stanza as handled as
//! soon as it is parsed, and which asks for an unreadable stanza for ever. TCP, TLS, SASL and XML are tokio-xmpp's.
//!
//! ```no_run
//! use xmpp_e2e_client::{Client, Config, Event, MemoryStorage};
//! use xmpp_e2e_client::xmpp_e2e::{Need, Token};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new("romeo@example.net", "password");
//! let mut client = Client::open(config, MemoryStorage::default())?;
//! let hello = "<message xmlns='jabber:client' to='juliet@example.com' type='chat'><body>Hello</body></message>";
//! client.send(&hello.parse()?, Token(1), Need::Policy)?;
//! loop {
//!     match client.next().await? {
//!         Event::Delivered { id, stanza, protection, context, .. } => {
//!             let how = if protection.is_encrypted() { "encrypted" } else { "readable on the way" };
//!             println!("{} says, {how}: {}", context.sender.as_str(), String::from(&stanza));
//!             client.taken(id)?; // once it is stored
//!         }
//!         Event::Stanza(stanza) => println!("in clear: {}", String::from(&stanza)),
//!         Event::Security(event) => println!("{event:?}"),
//!         _ => {}
//!     }
//! }
//! # }
//! ```

mod archive;
mod client;
mod config;
mod connect;
mod event;
mod questions;
mod roster;
mod session;
mod sm;
mod storage;
mod wire;
mod xml;

pub use client::Client;
pub use config::{Agent, Config};
pub use connect::{ConnectError, Server};
pub use event::{Error, Event, Fault, Offline};
pub use minidom;
pub use roster::{Item, Roster};
pub use storage::{MemoryStorage, Storage};
pub use tokio_xmpp;
pub use xmpp_e2e;
