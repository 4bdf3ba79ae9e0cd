//! The signed structures of accounts and devices.
//!
//! The account key signs certificates and the device list. The signing key of a device signs its record, its
//! one-time prekeys, its adverts and its statements over stanzas. All are `struct { T content; opaque signature<V>; }` with the labels of
//! [`encoding`](super::encoding).
//!
//! # Keys
//!
//! ```text
//! struct { uint16 algorithm; opaque key<V>; } PublicKey;
//! struct { PublicKey key; opaque application<V>; } AccountKey;
//! ```
//!
//! `application` is empty, unless the account key is on hardware that signs for a named application; then it is that
//! name, at most 255 bytes. The digest of an account key is `SHA-256(AccountKey)`. It names the key everywhere.
//!
//! A device has a signing key and, for each agreement algorithm of its suites, an agreement key. No key serves two
//! purposes: a signing key equal to the account key is refused. Nothing is converted between curves.
//!
//! In every list of keys: at most eight, no two of one algorithm. A key of an unknown algorithm is kept and ignored. A
//! key of a known algorithm that is not valid makes the whole structure invalid. A signature by a key of an unknown
//! algorithm cannot be verified: the structure is refused as unreadable.
//!
//! # Certificate
//!
//! ```text
//! struct {
//!     opaque      jid<V>;              // the account's bare JID, as prepared
//!     AccountKey  account;
//!     uint32      device;
//!     PublicKey   signing_key;
//!     PublicKey   agreement_keys<V>;
//!     uint8       flags;               // 1: linking
//!     uint32      not_before;
//!     uint32      not_after;
//!     uint32      serial;
//!     Extension   extensions<V>;
//! } CertificateTBS;
//! ```
//!
//! Signed by `account`. At most 1,024 bytes with the signature; 209 for `alice@example.com` and one agreement key.
//!
//! * It holds from a day before `not_before` to a day after `not_after`; `not_after` must not be before `not_before`.
//! * A certificate with the flag *linking* is good for [linking](super::linking) a device only; everything else refuses it
//!   as `wrong subject`. Other flags are ignored.
//! * The serial rises with each certificate of a device. A certificate may follow another of the same account, account
//!   key and device only if its serial is higher or its bytes are the same. A lower serial is a rollback, an equal one
//!   with other bytes an equivocation.
//!
//! # Device list
//!
//! ```text
//! enum { live(1), retired(2), (255) } DeviceState;
//! struct { uint32 device; uint32 lowest_serial; DeviceState state; } DeviceEntry;
//! struct {
//!     opaque       jid<V>;
//!     opaque       account[32];        // digest of the account key
//!     uint32       version;
//!     DeviceEntry  entries<V>;
//!     uint8        flags;              // 1: tombstone
//!     Extension    extensions<V>;
//! } ListTBS;
//! ```
//!
//! Signed by the account key. At most 4,096 bytes and 32 entries, no device twice. The key to verify it with is the one
//! in any verified certificate of the account; therefore a fetch asks for records before it asks for the list.
//!
//! A certificate is *accepted* by a list of the same account and account key if the list is no tombstone, holds the
//! device as live, and the serial is at least `lowest_serial`. No message of the user is sealed for a device that is
//! not in the list, and no handshake of it is accepted unless it names a higher version of the list, which is fetched.
//!
//! A list may follow another only if its version is higher, or its bytes are the same, and if it takes nothing back:
//!
//! * a device that was retired must not be live,
//! * the lowest serial of a device that is still live must not fall,
//! * a tombstone must stay one.
//!
//! Otherwise it is a rollback, or an equivocation for the same version with other bytes. Entries of retired devices
//! are left out of a later list only if it is full.
//!
//! The first version of an account's list is the time in seconds, 2<sup>32</sup> − 65,537 at most: there may have been a
//! list of which contacts know, whose devices are all lost and which the server does not show. A device that takes a
//! newer list which lacks a device of the one before makes the next, with that device as it was, unless the list is full.
//!
//! Two devices may make a version at once. One of the account that sees both takes the one that the server has, and makes
//! the next version, which says of every device what either says, and that it is retired if one says so. A contact takes
//! the other of a version if it takes nothing back, and raises an event: the device that knew of both may be lost.
//!
//! So a list that is not full, and does not name a device that one before let live, does not retire it: it was made where
//! that was not shown. No message of the user is sealed for the device, and sessions with it stay to be read in until a list
//! names it or is full, for seven days at most; up to seven more while an archive is read. Sessions of any other device
//! that no list lets live are closed when the list has been asked for. When that has happened three times to a device, or
//! once it is retired, for a full list does not name it any more, its handshakes are not accepted and no version
//! that it names is asked for, before a list names it.
//! A device that one list has retired stays so for all that knew it then, whatever a later list says.
//!
//! Whoever knows the list before [shows it](super::discovery#keys-from-the-device-itself) to a device that does not, so
//! that the next list names what it did. To retire a device of which its user's list knows nothing, the next list
//! has it as retired, with 1 as the lowest serial.
//!
//! A tombstone says that the account has left the protocol. When a list is taken that does not let a device live which
//! it names, all sessions with that device are closed: deleted, with what is stored for them. A device that its own list
//! does not let live ends what is under way, and keeps nothing but whom it must not write to in clear. A device signs a
//! tombstone only if its own user leaves with the account.
//!
//! # Device record
//!
//! ```text
//! struct { uint16 algorithm; uint32 id; opaque key<V>; } Prekey;
//! struct {
//!     opaque     certificate<V>;       // exact bytes, with signature
//!     uint16     suites<V>;            // the preferred first, with grease
//!     Prekey     signed_prekeys<V>;    // one for each agreement algorithm
//!     Prekey     kem_prekeys<V>;       // one for each KEM: the last resort
//!     opaque     attestations<V>;      // where attestations are; empty in this version
//!     uint32     sequence;
//!     uint32     expiry;
//!     Extension  extensions<V>;
//! } RecordTBS;
//! ```
//!
//! Signed by the signing key in the certificate. At most 2,048 bytes; a hybrid one has between 1,500 and 1,600.
//! At most 18 suite numbers and 16 extensions. The id of a prekey is not zero, and no id of a device is ever
//! used for another key; signed prekeys, KEM prekeys and one-time prekeys count together.
//!
//! To verify a record: verify the certificate (signature by its own account key, time), compare its JID with
//! the account that the record was fetched for, verify the record's signature, check its keys and its expiry
//! (with a day of tolerance). That the account key is the one that is known is another question: see
//! [`conduct`](super::conduct).
//!
//! A record may follow another of the same device only if its certificate may follow the other's and its sequence is
//! higher, or its bytes are the same.
//!
//! A record changes when prekeys rotate, when the certificate is renewed and when the suites change; never when it is
//! used. No one-time prekey is in it.
//!
//! # One-time prekey
//!
//! ```text
//! enum { agreement(1), kem(2), (255) } PrekeyKind;
//! struct {
//!     opaque      jid<V>;
//!     uint32      device;
//!     uint32      id;
//!     PrekeyKind  kind;
//!     PublicKey   key;
//! } PrekeyTBS;
//! ```
//!
//! Signed by the device signing key. At most 4,096 bytes: 128 for X25519 and 1,281 for ML-KEM-768 under
//! `alice@example.com`. JID and device must be those of the certificate that holds the signing key. Each is
//! given to one asker, once. It has no time limit of its own; the giver keeps the private half for a while and
//! then drops it.
//!
//! # Statement over a stanza
//!
//! ```text
//! enum { message(1), presence(2), iq(3), item(4), (255) } StatementKind;
//! enum { hashes(1), opaque(2), (255) } Form;
//! struct {
//!     uint8          version;          // 0
//!     StatementKind  kind;
//!     uint32         device;
//!     uint64         sequence;
//!     uint64         time;             // milliseconds
//!     uint32         expiry;
//!     opaque         audience<V>;      // a bare JID as prepared; empty: anybody
//!     opaque         subject<V>;       // UTF-8: the stanza's type; the node of an item
//!     opaque         inner_id<V>;      // UTF-8: the id of the stanza or item; empty: none
//!     Form           form;
//!     opaque         covered<V>;
//! } SignedTBS;
//! struct { SignedTBS content; opaque signature<V>; } Statement;
//! ```
//!
//! The device signing key signs, under the label `signed stanza`, `SignedTBS ‖ opaque jid<V>` with the bare JID of its
//! account, which is not sent. A statement cannot be denied.
//!
//! * The subject of a message without `type` is `normal`; an empty one is refused. That of another stanza without `type`
//!   is empty.
//! * `covered` in the form *hashes* is at most 64 digests of 32 bytes, one after the other. In the form *opaque* it is
//!   at most 184,320 bytes of UTF-8: the XML of the children, which then stand nowhere else.
//! * Subject and inner id have at most 2,047 bytes each, the statement with its signature 191,485.
//! * The sequence rises with each statement of a device. The expiry must not be before the time.
//!
//! To verify a statement: take the device's certificate; compare its JID with the account that the stanza is of, and its
//! device with the statement's; verify the signature; check the certificate's time. The times of the statement are
//! checked apart, with a day of tolerance: what an archive gives may have expired.
//!
//! # Fingerprint
//!
//! What people compare names an account key of one bare JID. The same key under another JID has another fingerprint.
//!
//! ```text
//! struct {
//!     opaque label<V> = "xmpp-e2e 0 fingerprint";
//!     opaque jid<V>;                    the bare JID, prepared
//!     opaque account_key_digest[32];
//! } Fingerprint;
//! F = SHA-256(Fingerprint), as a big-endian integer
//! ```
//!
//! * *Digits*: 12 groups of 5. The first is F mod 100,000, the second (F div 100,000) mod 100,000, and so on; each with
//!   leading zeros. They hold 199 bits.
//! * *Words*: 15 of the English list of BIP-39, numbered from 0 to 2,047. The first is F mod 2,048, the second
//!   (F div 2,048) mod 2,048, and so on. They hold 165 bits.
//! * *Code*: a URI of RFC 5122, `xmpp:JID?e2e-verify;key=DIGEST`. In the JID all bytes but ASCII letters, digits and
//!   `-._~:[]` of local part and domain are percent-encoded. DIGEST is the digest of the account key itself in
//!   base64url (RFC 4648, section 5) without padding, unused bits zero. Other parameters and a fragment are ignored; an
//!   authority behind `//`, a resource, and a second `key` make it another URI, which is refused.
//!
//! For `alice@example.org` and the digest `00 01 … 1f`:
//!
//! ```text
//! 73240 18305 91510 18665 22529 11868 96397 53194 62661 56040 69049 49669
//! novel bless casual element try old time hunt muffin clever diary practice stage crew cigar
//! xmpp:alice@example.org?e2e-verify;key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8
//! ```
