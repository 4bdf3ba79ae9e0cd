//! The protocol, version 0: all that a second implementation needs.
//!
//! The namespace is `urn:xmpp:e2e:0`. It is provisional, and so is every byte below, until the protocol is
//! submitted to the XMPP Standards Foundation. A later version has another namespace, another prefix of all
//! labels and another version byte.
//!
//! *Must*, *should* and *may* are as in RFC 2119. "Refused" means: the stanza has one event of the kind
//! "rejected" and no other effect.
//!
//! | chapter | what |
//! |---|---|
//! | [`encoding`] | integers, vectors, base64, addresses, signatures, key derivation, digests |
//! | [`suites`] | algorithms, suites, grease, negotiation |
//! | [`identity`] | account key, certificate, device list, device record, one-time prekey |
//! | [`discovery`] | advert in presence, PEP nodes, requests between clients |
//! | [`handshake`] | the first flight, step by step |
//! | [`linking`] | a new device of an account; names and renewal |
//! | [`session`] | the ratchets, associated data, resumption, exporter |
//! | [`stanza`] | the element on the wire, and what is sealed in it |
//! | [`canonical`] | authentication without encryption: what is covered of a visible stanza |
//! | [`verification`] | how two people compare account keys within a session |
//! | [`conduct`] | convergence, replays, what an implementation may do by itself |
//! | [`recovery`] | how what could not be read is asked for, and sent again |
//! | [`bounds`] | every number that limits something, with its reason |
//! | [`errors`] | what is refused, and as what |
//! | [`history`] | a sealed file with the past, for a new device |
//! | [`agent`] | the requests to a key agent; local, needed only to share agents between implementations |
//! | [`state`] | the records that are stored; local |
//!
//! # Roles
//!
//! An *account* is a bare JID with an account key. A *device* is one client of it with keys of its own. In a
//! handshake the *initiator* sends the first flight and the *responder* receives it. A *session* is between two
//! devices.
//!
//! # Notation
//!
//! `‖` joins bytes. `H` is the hash of the suite, `Nh` its length, `SHA-256` is meant where it is written.
//! `len32(x)` is the length of `x` in four bytes. Structures are in the TLS presentation language; `opaque x<V>`
//! and `T x<V>` are vectors as [`encoding`] has them. All integers are big-endian.

pub mod agent;
pub mod bounds;
pub mod canonical;
pub mod conduct;
pub mod discovery;
pub mod encoding;
pub mod errors;
pub mod handshake;
pub mod history;
pub mod identity;
pub mod linking;
pub mod recovery;
pub mod session;
pub mod stanza;
pub mod state;
pub mod suites;
pub mod verification;
