//! Sessions as a whole: handshake, conversations on bad networks, theft.

mod conversation;
mod handshake;
mod kem;
mod theft;
