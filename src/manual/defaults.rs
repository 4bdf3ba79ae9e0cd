//! Why each default is as it is.
//!
//! The bounds with their reasons are in [`specification::bounds`](super::specification::bounds). This chapter
//! is about the choices.
//!
//! | default | why | to change it |
//! |---|---|---|
//! | suites 0x0002, 0x0003, 0x0001 | hybrid first: who records now must gain nothing later. ChaCha20-Poly1305 is quick without special instructions. Classical last, for devices that have no KEM | `Config::suites` |
//! | least level classical | a contact without KEM is better encrypted classically than in clear; a stanza can ask for more | `Config::least`, `Need::Encrypted` |
//! | padding in classes | a short answer and a short sentence look alike; 12 % more at most above 256 bytes | `Config::padding` |
//! | hints: archived and pushed | without them servers do not archive, and hold the message back from an idle telephone | `Config::hints` |
//! | no fallback body | it would be a clear text that says "this is encrypted" in each archive | not offered |
//! | first use is trusted | most people never compare keys; a change is always an event and stops sending | `Config::trust`, `Command::SetPolicy` |
//! | messages go out though a device cannot read them | a device that was given away must not stop a conversation; who is left out is told | `Config::partial` |
//! | sticky until a signed tombstone | else a server could end encryption by dropping adverts | `Command::Forget`, `Command::Leave` |
//! | PEP access model open | a first message must be possible before a subscription; the content is public keys. A node that is not is configured so | not offered |
//! | eight fetches at once | five hundred new adverts at a log-in must not hold messages back: servers slow a client down that sends much | constant |
//! | one-time prekeys to those who may see presence | others could drain them, and learn whether one is online | the roster |
//! | automatic answers to the same | a stranger must not learn that a message was read | the roster |
//! | prekeys rotate weekly | bounds the time in which a theft reveals first messages; a record is small | constant |
//! | grace of 32 days | a record is good for 30; messages lie in offline stores | constant |
//! | KEM epoch after 32 messages or a day | 2,272 bytes an epoch, some 70 bytes a message in a dialogue | `Command::Heal` for more |
//! | heartbeat after 50 | heals readers; two messages in a hundred | constant |
//! | a message waits a week for keys | a contact may be on a journey; then the user should know | `Command::Cancel` |
//! | iqs and directed presence are encrypted | what clients ask each other tells much: calls, files, who is there | `Need`, for a stanza |
//! | nothing is authenticated only | who can be read should know it; it is for what servers or other software use | `Need::Authenticated` |
//! | authenticated presence off | a signed status cannot be denied: whoever sees it can prove when one was where | `Config::sign_presence` |
//!
//! # Ed25519 in all suites
//!
//! Signatures protect against active attackers at the time. A recorded signature is of no use to a later
//! quantum computer, except to prove what was public. Post-quantum signatures have kilobytes, and the advert is
//! in each presence.
//!
//! # SHA-256 for names
//!
//! Digests of structures go across suites: an advert names a record to peers of any suite. So they have one hash.
//!
//! # Two agreements with the agent in each handshake
//!
//! The responder asks its agent once to open the payload and once more when the initiator is known. One request
//! would do if the initiator's certificate were in clear. That would show its keys to onlookers.
//!
//! # Initiator's order of suites
//!
//! One side has to decide. The initiator knows what it wants to send and how strong it has to be.
//!
//! # Records of the store
//!
//! A record begins with a byte for its version. Sessions, prekeys, counters and contacts are apart, so a
//! message changes few bytes.
