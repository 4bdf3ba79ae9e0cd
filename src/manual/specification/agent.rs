//! Requests to the key agent, and its replies.
//!
//! This is no part of what goes between clients. It lets an agent in another process, or of another author, serve
//! this engine. The encoding is that of [`encoding`](super::encoding).
//!
//! ```text
//! struct { uint8 version = 0; uint64 id; uint8 operation; ... } Request;
//! struct { uint8 version = 0; uint64 id; uint8 answer; ... } Reply;
//! ```
//!
//! | operation | number | body | key | answer |
//! |---|---|---|---|---|
//! | certify device | 1 | `opaque CertificateTBS<V>` | account | signature |
//! | sign device list | 2 | `opaque ListTBS<V>` | account | signature |
//! | sign record | 3 | `opaque RecordTBS<V>` | device signing | signature |
//! | sign advert | 4 | `opaque AdvertTBS<V>`, `opaque jid<V>`, `opaque Meaning<V>`, empty if the advert covers no presence | device signing | signature |
//! | sign one-time prekeys | 5 | vector of `opaque PrekeyTBS<V>`, at most 128, all of one device | device signing | signatures |
//! | agree | 6 | `uint16 suite`, vector of `Leg`, at most 4 | device agreement | legs |
//! | begin linking | 8 | `opaque CertificateTBS<V>` with the flag *linking* | device signing | signature |
//! | sign stanza | 7 | `opaque SignedTBS<V>`, `opaque jid<V>` | device signing | signature |
//!
//! | answer | number | body |
//! |---|---|---|
//! | refusal | 1 | `uint8`: 1 declined, 2 not of this agent's keys, 3 unknown suite or algorithm, 4 not valid |
//! | signature | 2 | `opaque<V>` |
//! | signatures | 3 | vector of `opaque<V>`, in the order of the request |
//! | legs | 4 | vector of `opaque<V>` of 32 bytes, in the order of the request |
//!
//! ```text
//! struct { uint8 label; uint8 role; opaque peer<V>; opaque h<V>; } Leg;
//!     label: es 1, ea 2, eo 3, sp 4, aa 5        role of the agent's device: initiator 1, responder 2
//! ```
//!
//! A leg for an agent is one of the device agreement key: `aa` on both sides, `ea` for the responder, `sp` for
//! the initiator. Any other is refused. The agent checks the peer's public key, computes the Diffie-Hellman,
//! refuses zero, and answers the [leg](super::handshake), never the Diffie-Hellman result.
//!
//! The agent builds the bytes to sign itself, from the structure and the label of the operation. It decodes the
//! structure first and refuses what is not one, so it signs nothing else under that label. It should refuse
//! what does not concern its own keys. A person may be shown what is asked, and decline.
//!
//! Requests and replies have at most 1 MiB. A reply with legs is secret.
