//! End-to-end encryption and authentication for XMPP: a protocol engine without IO.

mod agent;
mod env;
mod error;
mod identity;
mod jid;
mod presence;
mod secret;
mod session;
mod stanza;
pub mod suite;
mod wire;

pub use rand_core;

/// The namespace of every element of this protocol.
pub const NS: &str = "urn:xmpp:e2e:0";
