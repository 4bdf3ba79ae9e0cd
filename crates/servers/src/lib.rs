//! What the tests against real servers share: the servers, people with clients, people at the terminal client, a proxy
//! that cuts and injects, and a client that sends any bytes.

mod person;
mod proxy;
mod raw;
mod server;
mod terminal;

pub use person::{Heard, Person, SharedStorage};
pub use proxy::Proxy;
pub use raw::Raw;
pub use server::{Missing, Servers};
pub use terminal::{Past, Terminal, chat_program};
