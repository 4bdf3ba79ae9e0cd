//! Verification: how two people compare account keys within a session.
//!
//! A *run* is between two devices of two accounts that have a session. Its messages are control messages of type 4. The
//! *initiator* of a run is who asks, whoever was the initiator of the session.
//!
//! ```text
//! struct { opaque run[16]; uint8 step; ... } Message;
//! ```
//!
//! | step | name | body | from |
//! |---|---|---|---|
//! | 1 | request | nothing | initiator |
//! | 2 | accept | `opaque commitment[32]` | responder |
//! | 3 | contribution | `opaque contribution[32]` | initiator |
//! | 4 | reveal | `opaque contribution[32]` | responder |
//! | 5 | confirm | `opaque confirmation[32]` | both; with a secret the initiator |
//! | 6 | question | `opaque text<V>`, UTF-8 of at most 1,024 bytes; `opaque element[32]` | initiator |
//! | 7 | answer | `opaque element[32]`; `opaque confirmation[32]` | responder |
//! | 8 | abort | `uint8 why` | both |
//!
//! `run` is chosen at random by the initiator. An unknown step is refused as of an unknown version, and ends the run, as
//! does every message that does not decode or is not due.
//!
//! # Short string (method 1)
//!
//! ```text
//! initiator                                            responder
//!     request                          ──▶             asks its user
//!                                      ◀──             accept: commitment to 32 random bytes
//!     contribution: 32 random bytes    ──▶             shows the string
//!     checks, shows the string         ◀──             reveal: the bytes
//!     confirm, once its user has       ◀─▶             confirm, once its user has
//! ```
//!
//! ```text
//! commitment = SHA-256(opaque label<V> = "xmpp-e2e 0 verification commitment" ‖ run ‖ opaque contribution<V>)
//! ```
//!
//! The initiator's bytes are made when the commitment has come. A contribution that is not the one committed to ends the
//! run. Either user may confirm first, and a confirmation may overtake the *reveal*. A side is done when its user has
//! confirmed and the right confirmation of the other has come.
//!
//! # Secret (method 2)
//!
//! ```text
//! initiator                                            responder
//!     question, element X              ──▶             asks its user
//!     checks the confirmation          ◀──             answer: element Y, confirmation
//!     confirm; done                    ──▶             checks; done
//! ```
//!
//! The secret as typed is split at white space (Unicode's property `White_Space`); each word is put in normalization form
//! C; they are joined with single spaces. Capitals stay. It must not be empty. In a run it is stood for by
//!
//! ```text
//! pw = ExpandWithLabel(HKDF-Extract(salt = run, secret), "shared secret", "", 32)        with SHA-256
//! ```
//!
//! SPAKE2 over edwards25519, in the form that the Python package and the Rust crate `spake2` share. `B` is the base point, `L` its
//! order, elements are encoded as in RFC 8032:
//!
//! ```text
//! M  = 15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312
//! N  = f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3
//! w  = the 48 bytes of HKDF-SHA-256(salt = "", pw, info = "SPAKE2 pw"), big-endian, modulo L
//! X  = x·B + w·M        Y = y·B + w·N        x, y random modulo L
//! K  = x·(Y - w·N) = y·(X - w·M)
//! key = SHA-256(SHA-256(pw) ‖ SHA-256(Party of the initiator) ‖ SHA-256(Party of the responder) ‖ X ‖ Y ‖ K)
//! ```
//!
//! An element that is not the one encoding of a point, or is of small order, is refused and ends the run.
//!
//! # Transcript
//!
//! ```text
//! struct {
//!     opaque jid<V>;                  // as in the certificate
//!     AccountKey account;
//!     uint32 device;
//!     PublicKey signing_key;
//!     PublicKey agreement_keys<V>;    // in the order of the certificate
//! } Party;
//!
//! struct {
//!     opaque label<V> = "xmpp-e2e 0 verification";
//!     uint8 method;
//!     opaque run[16];
//!     opaque session[16];             // the session's id
//!     Party initiator;
//!     Party responder;
//!     opaque initiator_contribution<V>;    // 32 random bytes, or X
//!     opaque responder_contribution<V>;    // 32 random bytes, or Y
//!     opaque shared<V>;                    // the key of SPAKE2; empty for a short string
//! } Transcript;
//!
//! exported = exporter("urn:xmpp:e2e:0 verification", run, 32) of the session
//! prk      = HKDF-Extract(salt = exported, Transcript)                          with SHA-256 for all suites
//! string   = ExpandWithLabel(prk, "short string", "", 6)
//! confirmation of the initiator = ExpandWithLabel(prk, "initiator confirmation", "", 32)
//! confirmation of the responder = ExpandWithLabel(prk, "responder confirmation", "", 32)
//! ```
//!
//! Keys are those of the certificates that each side believes. The account key that a side verifies is the one in its
//! transcript: if the contact's is another when the run ends, or a second one is in question, the run fails. Confirmations
//! are compared in constant time.
//!
//! # Spelling
//!
//! The six bytes are a number, big-endian. *Digits*: 15 decimal digits with leading zeros, in three groups of five.
//! *Words*: three, one for each two bytes; from the top, four bits give a consonant of `bdfghjklmnprstvz`, two a
//! vowel of `aiou`, four a consonant, two a vowel, four a consonant. An implementation must show the digits; it may show the
//! words too.
//!
//! | bytes | digits | words |
//! |---|---|---|
//! | `7f000001000f` | 13963 79767 93103 | lusab babad babaz |
//!
//! # Rules
//!
//! * If there is no session with the device, one is opened for the run, whatever keys the user's policy lets stanzas be
//!   sealed to: the run is how a key becomes one of them. Only a distrusted one is not sealed to at all.
//! * A run is with one device. Messages of it from another device are refused and change nothing.
//! * It is bound to the session in which *accept* or *answer* is sent. Later messages must come in that one, and it must be the live
//!   one on both sides; else the run ends.
//! * There is one run at a time between two accounts, as each device knows; another request is answered with *busy*. If both
//!   ask at the same time, the smaller run id counts, and who made the larger one drops it without a word. A request that
//!   follows another one of the same device that its user has not decided takes its place.
//! * There are at most three runs an hour between two accounts, whoever begins them, counted on both sides. More are answered with *too
//!   many*, and the user is not asked. Of two requests that cross one is counted.
//! * A run ends ten minutes after it began, on each side by its own clock.
//! * Requests are taken only from who may see presence, and from who was asked in the last hour; never from who is distrusted. The
//!   others are refused without an answer. A run under way ends when the user distrusts the key.
//! * Who gives a run up says so with *abort*. A message of a run that is not known is answered with *gone*; *abort* is
//!   never answered. Both go only to who may see presence, or has asked or agreed.
//! * A run id is taken once in an hour.
//!
//! | why | name |
//! |---|---|
//! | 1 | cancelled, and all that is not known |
//! | 2 | mismatch: the strings differ |
//! | 3 | wrong secret |
//! | 4 | timed out |
//! | 5 | too many |
//! | 6 | key changed |
//! | 7 | session changed, or none |
//! | 8 | busy |
//! | 9 | gone |
//! | 10 | malformed, or not due |
//!
//! A run that does not end with both confirmations changes nothing in what is believed of keys.
