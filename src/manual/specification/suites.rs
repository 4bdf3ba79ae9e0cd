//! Algorithms, suites, grease and negotiation.
//!
//! # Algorithms
//!
//! Keys on the wire carry the number of their algorithm. Each kind of key has numbers of its own. `0xF000` and above
//! are for private use.
//!
//! | kind | number | algorithm | public key | private key as stored | other |
//! |---|---|---|---|---|---|
//! | agreement | 1 | X25519 (RFC 7748) | 32 | 32 | secret 32 |
//! | KEM | 1 | ML-KEM-768 (FIPS 203) | 1,184 | seed `d ‖ z`, 64 | ciphertext 1,088, secret 32 |
//! | signature | 1 | Ed25519 (RFC 8032) | 32 | 32 | signature 64 |
//!
//! The AEAD and the hash have no number; the suite fixes them.
//!
//! **X25519.** A public key must be the canonical encoding of a number below 2^255 - 19, with the top bit zero, and
//! must not be one of the five encodings of points of small order (0, 1, -1 and the two of order 8). A result that is
//! all zero is refused wherever a Diffie-Hellman is computed.
//!
//! **ML-KEM-768.** The encapsulation key is checked as FIPS 203, section 7.2 says. A false ciphertext of the right
//! length gives an unrelated secret and no error.
//!
//! # Suites
//!
//! | number | agreement | KEM | AEAD | hash | signature | level |
//! |---|---|---|---|---|---|---|
//! | `0x0001` | X25519 | none | ChaCha20-Poly1305 | SHA-256 | Ed25519 | 1, classical |
//! | `0x0002` | X25519 | ML-KEM-768 | ChaCha20-Poly1305 | SHA-256 | Ed25519 | 2, hybrid |
//! | `0x0003` | X25519 | ML-KEM-768 | AES-256-GCM-SIV (RFC 8452) | SHA-512 | Ed25519 | 2, hybrid |
//!
//! All AEADs have keys of 32, nonces of 12 and tags of 16 bytes. Every implementation must have `0x0001`. The default
//! order of preference is `0x0002`, `0x0003`, `0x0001`.
//!
//! A suite needs a hash of at least 32 bytes and an AEAD tag of at least 16. Numbers from `0xF000` on that are not
//! grease are for private use. A list of one's own has at most eight suites.
//!
//! Two suites with the same agreement share the device agreement key and the signed prekey of that algorithm; two
//! with the same KEM share the KEM prekey. Keys stand in structures once for each algorithm, not for each suite. The
//! handshake's protocol name and prologue bind the suite, so nothing computed in one serves in the other.
//!
//! # Grease
//!
//! The values `0x0A0A`, `0x1A1A`, `0x2A2A`, …, `0xFAFA` are reserved in the numbers of suites and of extensions, as in
//! RFC 8701. A sender puts one of them, at random, at a random place of the suite list of each record and of each
//! handshake payload; an advert repeats the list of its record, grease included. A receiver ignores them. They are
//! never chosen, also when both sides list the same.
//!
//! # Negotiation
//!
//! Each side's list holds the suites it has and its policy allows, the preferred first.
//!
//! ```text
//! suite = the first of the initiator's list that is no grease and that the responder's list holds
//! ```
//!
//! The initiator takes the responder's list from the responder's record. It sends its own list, sealed, in the
//! payload of the handshake. The responder computes the same choice, with the list that stands in *that* record of
//! its own, and refuses another suite as `wrong suite`. Both lists are authentic (one is sealed in a handshake that
//! the suite protects, the other is in a signed record whose digest the prologue binds), so nobody between can make
//! the two settle on less.
//!
//! If a stanza asks for a higher level than the suite so chosen has, it is not sent. The initiator must not choose
//! another suite for it, for the responder would refuse that.
