//! What the tests against real servers share: the servers, people with clients, people at the terminal client, screens
//! for programs of others, a proxy that cuts and injects, and a client that sends any bytes.

mod person;
mod proxy;
mod raw;
mod screen;
mod server;
mod terminal;

pub use person::{Delivered, Heard, Person, SharedStorage};
pub use proxy::Proxy;
pub use raw::Raw;
pub use screen::Screen;
pub use server::{Missing, Servers, need_client, scripts};
pub use terminal::{Past, Terminal, chat_program};
