//! What this protects against, and what not.
//!
//! # The attacker
//!
//! The attacker controls both servers and the network: reads, drops, delays, replays, reorders, edits, injects
//! and strips. It may steal the state of a device once. It may record today and have a quantum computer later.
//! It does not control a device all the time, and does not break the primitives.
//!
//! # What is promised
//!
//! | property | level |
//! |---|---|
//! | confidentiality, integrity | every encrypted stanza, for the devices listed in it |
//! | authentication | every protected message is from the device and account named, to the account named; never presented as protected otherwise |
//! | forward secrecy | each message once it is read, or once its skipped key is dropped; for the first flight see below |
//! | recovery after theft | against Diffie-Hellman: after one full round trip in which the attacker stays passive |
//! | recovery, quantum attacker | from the first KEM epoch to which the robbed device contributed after the theft |
//! | post-quantum confidentiality | from the first message, with suites 0x0002 and 0x0003 |
//! | deniability | what is encrypted, or authenticated in a session, carries no signature: either side could have made the transcript |
//! | no downgrade | of suites: both lists are authenticated; of encryption: accounts are sticky, and for iqs and directed presence each resource that has shown a device |
//! | one text for all | a sender cannot show two devices different texts in one message |
//!
//! All this rests on the account key being the right one. Until a user has compared it, it is trusted on first
//! use: an attacker who was there at the very first contact, and at each one since, stays unseen.
//!
//! # Honest limits
//!
//! **The first flight.** Its secrecy after a later theft begins when the prekeys it used are deleted. With a
//! one-time prekey, that is when it is read. Without, for a device that was offline, it is when its record's
//! prekeys go: the rotation of seven days plus 32 days of grace, about 39 days at most. `Protection` tells
//! whether one-time prekeys were used.
//!
//! **A stolen agent key.** Who has stolen the device agreement key can pretend to be others *towards that
//! device* in new handshakes, if it has the prekeys too; and read first messages to it. This is key-compromise
//! impersonation. Prekeys alone do not suffice, because of the leg between the two agreement keys. Keep the
//! agent's keys apart from the store. Who has stolen the account key can certify devices; the cure is a new
//! account key, and contacts see it.
//!
//! **Theft of the state.** Between theft and recovery the attacker reads. An active attacker who uses the
//! stolen state can keep the victim out; a later handshake of the victim then shows as superseded or unchained.
//! A KEM offer or answer that was outstanding at the theft heals nothing. `Command::Heal` asks for new epochs.
//!
//! **An active quantum attacker** can forge signatures and Diffie-Hellman legs, and so impersonate. Only
//! confidentiality is hybrid in this version.
//!
//! **Comparing keys.** A short string has 48 bits, and who is in between one try for each run that both users agree to: at
//! most three an hour with a contact. A secret that can be guessed is guessed in so many tries; ask for one that only the two know,
//! and nobody can look up. The contact, or who is in between, does not learn the secret, but learns the question. While a
//! run lasts, up to ten minutes, the store holds a value that a guessed secret can be checked against.
//! The crate for SPAKE2 does not wipe its copies of that value in memory.
//!
//! **Availability.** A server that drops everything cannot be overcome. It shows as messages that wait or are
//! not acknowledged.
//!
//! **A withheld list.** A server can hide for a while that a device was retired, towards peers that have seen
//! no higher version. Each advert and each handshake names the version; who has seen one and cannot fetch it is
//! told. So the server must hold back all of these as well.
//!
//! **Metadata.** Servers see who writes to whom, when, how often, to which device ids and about how much; that
//! a session is new (the flight is large); the suite; message numbers. Padding hides lengths within classes.
//! Adverts and records are public: devices and their number, their suites, rough times of use. An advert in
//! a presence, a stranger's too, makes this device ask for the keys, which tells that it is online, and where.
//!
//! **A file of history** is the past in one piece. Its key stands in the stores of both devices until it is taken, a week
//! at most: who steals one of them in that time, and the file, reads it all. A device that is added to the account by
//! somebody else gets no file unless the user seals one for it.
//!
//! **Deniability** ends where something is signed: adverts, certificates, records, lists, each presence where
//! that is switched on, and the stanzas and items that are to be signed. The key agent can log.
//!
//! **Authentication only.** A server can leave children out of what an archive gives; how many is told. It can show a
//! signed iq or presence to another device of the account addressed, each device once; a signed item in another service
//! of the same publisher; and an older item again, which its sequence tells. The agent sees digests of what it signs, or
//! the copy, and not more.
//!
//! **Iqs** go in clear to a resource that has never shown a device, for other clients of a contact have no keys. A server
//! can hide the advert of a new resource. A need of `Encrypted` is met or fails.
//!
//! **A signed presence** is what a device said, and the newest that came through. A server can hold one back, for a
//! week, and show it under another resource.
//!
//! **Copies for sending again.** A sealed message is kept until it is acknowledged, and a delivered one until
//! it is taken. They are in the store, and outside of forward secrecy.
//!
//! **Deletion.** Skipped keys and old sessions that are past their time are no longer used, but stay in the
//! store until the session is next used or replaced. What the store really erases is up to its medium.
//!
//! **Backups.** A state restored without `Command::Restored` may use a message key twice. With suites 0x0001
//! and 0x0002 that can reveal both messages; with 0x0003 only whether they are equal.
//!
//! **A wrong clock** by more than a day defeats expiry.
//!
//! # Not in this version
//!
//! Rooms; attestations; files and media; access control beyond one-time prekeys. What the engine does not protect passes as it is, and is never presented as protected.
//!
//! # Classes of vulnerability, and what avoids them
//!
//! | class | where seen | here |
//! |---|---|---|
//! | unknown key share, identity misbinding | TextSecure, early prekey messages | JIDs, device ids, record digest and certificate in the transcript; JIDs in every message |
//! | signature over one format taken for another | PQXDH prekeys, several messengers | a label in each signature; types with length prefixes; a key for one purpose |
//! | one key for signing and agreement | XEdDSA users | two keys, cross-certified; no conversion |
//! | re-encapsulation | PQXDH analysis | KEM public key and ciphertext in transcript and epoch mix |
//! | replayed first message | prekey protocols | accepted ephemeral keys kept as long as the prekeys |
//! | draining of prekeys, watching of devices by bundles | Prekey Pogo | no pool on the server; one-time prekeys from the device, to contacts only; never needed |
//! | payload not bound to the session | OMEMO audit 2016 | each entry binds payload hash, commitment and all recipients |
//! | non-committing AEAD | invisible salamanders | commitment checked before decryption |
//! | device list in the server's hand | OMEMO, Matrix 2022 | list signed by the account key, versioned, never taken back |
//! | passive devices never heal | OMEMO audit | heartbeats; certificates and adverts expire |
//! | algorithm downgrade | many | choice bound in the transcript, lists authenticated, grease |
//! | capability stripping | OTR over XMPP, XEP-0378, XEP-0320 | sticky accounts, signed tombstone, nothing taken from entity capabilities |
//! | old session slipped in | session-handling clones | one live session for a device; new ones chained, else an event |
//! | state rollback | clone attacks | generation in the store; superseded resumption names tell it |
//! | all-zero and non-canonical keys | vodozemac 2026, libsignal | refused where decoded and where computed, for every leg and step |
//! | malleable signatures, small-order keys | EdDSA variants | strict verification only; signature bytes are never ids |
//! | signing with a foreign public key | double-public-key oracle | the signing part takes a private key only |
//! | static DH oracle | agents that give out DH results | agents give legs, bound to place and transcript |
//! | truncated or leaking MAC compare | Olm, others | full tags, constant time |
//! | padding and error oracles | XML Encryption | AEAD only; one reason for all failures; nothing on the wire |
//! | signature wrapping, parser differentials, stanza smuggling | XML-DSig, 2022 | no XML signatures; one strict reader for outer and inner XML; bounds before the tree |
//! | impersonation by carbons, spoofed results and pushes | CVE-2017-5589 and kin | copies only from the own account, and a message in one only if it is to or from that account; a message to another account is refused; id and sender of answers matched; pushes from the own account only |
//! | injected unprotected siblings | Conversations 1720 | what is handed over is built from the sealed part |
//! | receipts as a side channel | Careless Whisper | no automatic answer to those who may not see presence |
//! | lengths | many | padding by default |
//! | decompression before authentication | several | no compression |
//! | secrets in logs | many | secrets cannot be printed; JIDs and texts not in `Debug` |
//! | sent before stored | ratchets after a crash | effects exist only after the store has the step |
