//! What the tests against real servers share: the servers, people with clients, a proxy that cuts and injects, and a
//! client that sends any bytes.

mod person;
mod proxy;
mod raw;
mod server;

pub use person::{Heard, Person, SharedStorage};
pub use proxy::Proxy;
pub use raw::Raw;
pub use server::{Missing, Servers};
