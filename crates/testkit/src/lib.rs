//! What the tests, examples, benches and fuzzers of xmpp-e2e share: servers in memory, devices of
//! an application, a bad link, and a world with a time of its own to put them in.

pub mod device;
pub mod fake;
pub mod link;
pub mod measure;
pub mod operations;
pub mod peek;
pub mod recording;
pub mod server;
pub mod simulation;
pub mod wire;
pub mod world;
mod xml;

pub use device::Device;
pub use link::Link;
pub use peek::Peek;
pub use server::Server;
pub use world::World;
