//! The records that an engine stores; local, needed only to read the store of another implementation.
//!
//! A record has a key, whose first byte is its kind, and a value, whose first byte is its version. What follows is in the
//! encoding of [`encoding`](super::encoding), exact and canonical: nothing behind it, and one encoding for each content.
//! An engine refuses a store with a record of another version or kind, or that does not decode; it never guesses. Private
//! keys are stored as their seeds, KEM keys too, and nothing is the inner form of a library.
//!
//! | kind | version | record | key after the kind |
//! |---|---|---|---|
//! | 1 | 0 | this device | empty |
//! | 2 | 0 | the next numbers | empty |
//! | 3 | 0 | private prekeys of one of the own records | `uint32` sequence |
//! | 4 | 0 | an accepted flight | `uint32` sequence, `opaque[32]` digest of `e` |
//! | 5 | 0 | an own one-time prekey | `uint32` id |
//! | 6 | 0 | an account | JID |
//! | 7 | 0 | a device of an account | JID, `uint32` device |
//! | 8 | 1 | a session | JID, `uint32` device, `opaque[16]` session id |
//! | 9 | 1 | a block of skipped keys | `opaque[16]` session id, `uint32` chain, `uint32` block |
//! | 10 | 0 | a sealed stanza not acknowledged | `uint64` number |
//! | 11 | 0 | a delivered stanza not taken | `uint64` number |
//! | 12 | 0 | a stanza that waits | `uint64` number |
//! | 13 | 0 | an iq of the engine | its id |
//! | 14 | 0 | a request to the key agent | `uint64` number |
//! | 15 | 0 | a handshake that is opened | JID, `uint32` device |
//! | 16 | 0 | a first flight that arrived | JID, `uint32` device |
//! | 17 | 0 | an acknowledged stanza | `uint64` token |
//! | 18 | 0 | a protected iq sent | JID, `uint32` device, `opaque[16]` tag |
//! | 19 | 0 | a protected iq handed over | the id under which it was |
//! | 25 | 0 | a file of history | `opaque[16]` name |
//!
//! JIDs and ids of text are `opaque<V>`.
//!
//! Golden files hold one record of each kind at least. The tests read them, go on from them, and store the same bytes
//! again. A change of a record's encoding shows there, and has another version.
