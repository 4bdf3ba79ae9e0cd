//! Encoding, signatures and key derivation.
//!
//! # Integers and vectors
//!
//! Binary structures are in the TLS presentation language (RFC 8446, section 3) with the variable-length vectors
//! of RFC 9420, section 2.1.2.
//!
//! * `uint8`, `uint16`, `uint32`, `uint64`: 1, 2, 4, 8 bytes, big-endian.
//! * `varint`: the variable-length integer of RFC 9000, section 16. The two top bits of the first byte tell the
//!   length: `00` 1 byte, `01` 2 bytes, `10` 4 bytes. It must be minimal: the shortest length that holds the value.
//! * `opaque x<V>`: a varint with the number of bytes, then the bytes. `T x<V>`: a varint with the number of
//!   *bytes* of all elements together, then the elements. A length is at most 2^30 - 1; the prefix `11` is refused.
//! * `optional<T>`: not used on the wire.
//!
//! A decoder must refuse
//!
//! * bytes after the end of the structure, where the structure is not said to be a prefix,
//! * a length that is not minimal, or that goes beyond the input,
//! * an enumeration value that is not listed, unless the text says that it is ignored,
//! * anything over a bound of [`bounds`](super::bounds).
//!
//! Since every structure has one encoding only, a digest over a decoded and encoded structure would be the same as
//! over the bytes received. An implementation must nevertheless hash and verify the bytes as received.
//!
//! # Extension points
//!
//! ```text
//! struct { uint16 kind; opaque data<V>; } Extension;
//! ```
//!
//! No extension is defined in this version. Unknown kinds are kept, covered by the signature or seal around them,
//! and ignored. The kinds `0x0A0A`, `0x1A1A`, …, `0xFAFA` are grease: senders put one in now and then, with up to
//! three bytes of data, and nobody ever gives them a meaning. Kinds from `0xF000` on that are not grease are for
//! private use.
//!
//! # Base64
//!
//! Where binary stands in XML it is base64 (RFC 4648, section 4) with padding, without white space inside, and in
//! its canonical form: unused bits are zero. In the element of a message, leading and trailing space, tab and line
//! feed are stripped first; nowhere else.
//!
//! # Addresses
//!
//! A JID is prepared once, as RFC 7622 says, and stands everywhere in its prepared spelling. In a signed structure
//! a JID that is not spelled as prepared is refused. Only bare JIDs are ever bound; a resource never is, because
//! servers spell the same resource differently. A stanza without `from` is from the own account; one without `to`
//! is to the own account.
//!
//! # Times
//!
//! `uint32` times are seconds since the Unix epoch. The six-byte time of a message is milliseconds.
//!
//! # Device ids
//!
//! A device id is a random number from 1 to 2^30 - 1. In structures it has four bytes. The two top bits are used as
//! flags in the recipient list of a message (see [`stanza`](super::stanza)) and are zero everywhere else; another
//! value is refused.
//!
//! # Labels
//!
//! Every label below is preceded by the prefix `xmpp-e2e 0 `, eleven ASCII bytes that end in a space. A label says
//! for one purpose only.
//!
//! # Signatures
//!
//! ```text
//! struct { opaque label<V>; opaque content<V>; } Signed;      label = "xmpp-e2e 0 " + L
//! Sign(key, L, content) = Signature(key, Signed)
//! ```
//!
//! | label `L` | key | content |
//! |---|---|---|
//! | `device certificate` | account key | `CertificateTBS` |
//! | `device list` | account key | `ListTBS` |
//! | `device record` | device signing key | `RecordTBS` |
//! | `one-time prekey` | device signing key | `PrekeyTBS` |
//! | `advert` | device signing key | `AdvertTBS ‖ opaque jid<V>`, and the digest of a presence if it covers one |
//! | `signed stanza` | device signing key | `SignedTBS ‖ opaque jid<V>` |
//!
//! A signed structure on the wire is `struct { T content; opaque signature<V>; }`. The signature is over the exact
//! bytes of the content.
//!
//! Ed25519 is verified strictly: the encoding of the key and of `R` must be canonical, the key and `R` of no small
//! order, `S` below the group order, the equation without cofactor. There is no verification in batches.
//!
//! # Key derivation
//!
//! ```text
//! ExpandWithLabel(secret, L, context, n) =
//!     HKDF-Expand(secret, struct { uint16 length = n; opaque label<V>; opaque context<V>; }, n)
//!     label = "xmpp-e2e 0 " + L
//! ```
//!
//! HKDF and HMAC are over the suite's hash. `HKDF-Extract(salt, v)` is `HMAC(salt, v)`.
//!
//! Secrets have 32 bytes, but for the chaining key of the handshake and what `HKDF-Extract` gives, which have `Nh`.
//! Where `Nh` is more than 32 and a secret of 32 bytes is expanded, the secret is filled up with zeros to `Nh` first.
//! For HMAC this changes nothing, since HMAC pads every short key so; it is said because some libraries refuse a
//! short key.
//!
//! | label | secret | context | length |
//! |---|---|---|---|
//! | `leg es`, `leg ea`, `leg eo`, `leg sp`, `leg aa` as a leg | `HKDF-Extract(label, DH)` | initiator's public key ‖ responder's ‖ `h` | 32 |
//! | the same, as `MixKey` | `HKDF-Extract(ck, leg)` | `h` | `Nh` |
//! | `kem`, as `MixKey` | `HKDF-Extract(ck, KEM secret)` | `h` | `Nh` |
//! | `resumption`, as `MixKey` | `HKDF-Extract(ck, resumption secret)` | `h` | `Nh` |
//! | `seal key`, `seal nonce` | `ck` | `h` | key, nonce of the AEAD |
//! | `session id` | `ck` | `h` | 16 |
//! | `root` | `ck` | `h` | 32 |
//! | `resumption secret` | `ck` | `h` | 32 |
//! | `exporter` | `ck` | `h` | 32 |
//! | `ratchet root`, `ratchet chain`, `ratchet resumption` | `HKDF-Extract(root key, DH ‖ KEM mix)` | empty | 32 |
//! | `message` | message key | empty | key and nonce of the AEAD, in one |
//! | `kem epoch` | KEM secret | epoch (8 bytes) ‖ `H(public key)` ‖ `H(ciphertext)` | 32 |
//! | `resumption name` | resumption secret | empty | 8 |
//! | `exported` | exporter secret | `opaque label<V> ‖ opaque context<V>` | as asked |
//! | `payload key`, `payload nonce` | content key | empty | key, nonce of the AEAD |
//! | `payload commitment` | content key | empty | 32 |
//! | `history key`, `history nonce` | key of a file | see [`history`](super::history) | key of the AEAD, 7 |
//!
//! In the first row the salt of `HKDF-Extract` is the label text itself, without prefix. `resumption` is used twice:
//! with the output of an extraction as secret, and with `ck`; the lengths in the info differ as well where `Nh` is
//! not 32, and the secrets never coincide.
//!
//! # Digests
//!
//! A digest that names a structure is the SHA-256 of its exact bytes, whatever the suite: of a certificate, list
//! and record with their signatures; of an account key without anything around it; of a payload's ciphertext; of an
//! ephemeral key in the list of accepted flights.
//!
//! The digest of a covered child is over a label too, and over bytes that each side makes of what it has: see
//! [`canonical`](super::canonical).
