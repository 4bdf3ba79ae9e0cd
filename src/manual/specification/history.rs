//! A sealed file with the past, from one device of an account to another.
//!
//! Forward secrecy costs a new device the past: no session of its own can open what was sent before. So an old device
//! seals what it has into a file and gives the new one the key. The file goes by any way; the key goes in a session.
//!
//! # The file
//!
//! ```text
//! struct {
//!     opaque magic[8] = "xmppe2eh";
//!     uint8  version = 0;
//!     uint16 suite;                   // only its AEAD and hash are used
//!     opaque id[16];                  // random, the name of the file
//! } Header;
//!
//! file = Header ‖ sealed chunks
//! ```
//!
//! The suite must be one of the reader's, with a nonce of 12 bytes and a tag of 16; the sealer takes the first of its own
//! list that the other device lists. The file has a key `F` of 32 random bytes that seals nothing else. Two runs of
//! sealing never share `F`, whatever they seal.
//!
//! ```text
//! context = Header ‖ opaque jid<V> ‖ uint32 from ‖ uint32 to      // the account, the device that seals, the one that reads
//! key     = ExpandWithLabel(F, "history key", context, key length)
//! prefix  = ExpandWithLabel(F, "history nonce", context, 7)
//! ```
//!
//! Chunks are sealed by STREAM in its 32-bit big-endian form: chunk `i`, from 0, with the nonce `prefix ‖ uint32 i ‖ uint8 last`
//! and no associated data, where `last` is 1 for the last chunk and 0 for all others. Every chunk but the last has 65,536
//! bytes; the last has from 1 to 65,536. With its tag of 16 bytes each stands behind the one before.
//!
//! A reader gives out nothing of a chunk before it is authentic. It refuses a file whose header is not as above, or of
//! another name than the one offered; a chunk that does not open at its place; an end without a chunk marked as the last;
//! another length or SHA-256 than offered.
//!
//! # The content
//!
//! ```text
//! struct {
//!     opaque jid<V>;                  // a contact, spelled as prepared
//!     opaque key[32];                 // digest of its account key
//!     uint8  trust;                   // 2 verified, 3 distrusted
//!     uint8  means;                   // how that came about on the sealing device
//!     uint64 at;                      // when, in milliseconds
//! } Decision;
//!
//! uint32 length; Decision decisions[length];      // length in bytes
//! opaque archive[];                               // to the end: the application's
//! ```
//!
//! Only decisions of the user (verified, distrusted, or first use by another means than *first*) about the key that a contact has now, or must show, are in it.
//!
//! # The messages
//!
//! They are the control type 6, `opaque<V>`, at most 512 bytes, of
//!
//! | type | name | after the type |
//! |---|---|---|
//! | 1 | offer | `opaque id[16]`, `opaque F<V>`, `uint64` length of the file, `opaque digest[32]`, its SHA-256, `opaque name<V>` |
//! | 2 | taken | `opaque id[16]` |
//! | 3 | dropped | `opaque id[16]` |
//!
//! Other types are ignored. A message is refused that is not from a device that lives by the own account's list. A name is
//! UTF-8 of at most 255 bytes without control characters; it is for people, and no path.
//!
//! An offer goes to one device. It is sent again, less and less often, until it is answered or has expired. Who has taken
//! the file says so, and forgets `F`; who wants no more of it says *dropped*, either side. An offer of a name that was
//! taken or dropped is answered the same again, and is not shown; one of a known name with other content is refused.
//! Whoever has an answer forgets `F`. Both forget it after seven days, and when a list of the account says that the other
//! device lives no more: nothing of its file is taken over then.
//!
//! # Taking decisions over
//!
//! Only once the file was read to its end. For each decision:
//!
//! * The contact has the same key here, and the user has not decided: the decision is taken over. One for first use does
//!   not take the place of another.
//! * The contact has shown no key: the key is expected. Once it is shown the decision holds. If the first key shown is
//!   another and the one expected is verified, that is a changed key.
//! * The contact has another key here on first use, and the one in the file is verified and not a former one: a changed key
//!   that another own device has verified. If the user accepts it, it is verified. If the user rejects it, the key known
//!   stays, and nothing is held against the other: it is a changed key again if the account shows it.
//! * Otherwise nothing. What the user has decided here stays.
