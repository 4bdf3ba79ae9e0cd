//! How a client learns that another speaks this protocol, and gets its keys.
//!
//! # Advert
//!
//! A device puts an element into its broadcast presence, and into no other:
//!
//! ```xml
//! <presence><e2e xmlns='urn:xmpp:e2e:0'>BASE64</e2e></presence>
//! ```
//!
//! ```text
//! struct {
//!     uint8      version;              // 0
//!     uint32     device;
//!     uint32     sequence;
//!     uint32     expiry;
//!     uint16     suites<V>;            // those of the record
//!     opaque     record[32];           // digest of the record
//!     opaque     account[32];          // digest of the account key
//!     uint32     list_version;
//!     uint8      flags;                // 1: covers the presence; 2: the device retires
//!     Extension  extensions<V>;
//! } AdvertTBS;
//! struct { AdvertTBS content; opaque signature<V>; } Advert;
//! ```
//!
//! The device signing key signs, under the label `advert`, `AdvertTBS ‖ opaque jid<V>` with the account's bare
//! JID. The JID itself is not sent: it is the sender of the presence. An advert with three suites and grease
//! has 158 bytes; receivers take up to 512. An advert whose first byte is not 0 is of another version and
//! refused as such.
//!
//! The expiry is seven days ahead. A receiver refuses an advert that expired more than a day ago, and one that
//! claims to be good for more than eight days. A sender makes a new one at half its life, and when record or
//! list change; it sends its last broadcast presence again for that at most once an hour. Other flags are zero
//! and ignored.
//!
//! A device that leaves sends its last presence once more, with an advert that has the flag 2 and the version of the
//! tombstone. Readers close the sessions with the device, send nothing to it any more, take no handshake and no later
//! advert of it, and fetch the list.
//!
//! To verify an advert: get a verified record whose digest it names; compare JID, device and account digest with the
//! record's certificate; verify the signature; check the times of certificate, record and advert.
//!
//! * Before it is verified, an advert has no effect but a fetch of keys.
//! * A lower sequence than one verified before is stale and ignored: servers delay and repeat presence.
//! * The same sequence with other content is refused as equivocation.
//! * Suites that the record lists and the advert of the same record does not raise an event.
//! * A list version above the known one asks for a fetch of the list. If it cannot be had, an event
//!   says so, and it is asked for again: on the next stream, and after times that double from 30 seconds to a day, each
//!   time of the server and of another of the account's devices that are there. When a list retires the device that named
//!   the version, or its sessions have been closed three times since no list lets it live, the version is forgotten.
//! * An advert of a device that the list does not hold asks for the list, too. One of an own device that names a lower
//!   version than is known asks for the own list after 30 seconds: an older one may stand in its place.
//! * Once an advert of an account has been verified, the account is *sticky*; see [`conduct`](super::conduct).
//!
//! Presence of type `unavailable` without the element says nothing, for servers make it. An available presence without
//! the element, from a resource that has shown a device, raises an event.
//!
//! # Authenticated presence
//!
//! With the flag *covers the presence* the signature is also over what the presence means that the advert stands in:
//! over `AdvertTBS ‖ opaque jid<V> ‖ opaque digest[32]`, where the digest is `SHA-256(Meaning)`. The digest is not
//! sent; the verifier takes it from the presence it sees. Such an advert may stand in a presence of type `unavailable`
//! too.
//!
//! ```text
//! struct { opaque lang<V>; opaque text<V>; } Status;
//! struct { opaque hash<V>; opaque node<V>; opaque ver<V>; } Caps;
//! struct {
//!     opaque  type<V>;                 // empty, or "unavailable"
//!     opaque  show<V>;
//!     Status  statuses<V>;             // by language as bytes
//!     int8    priority;
//!     Caps    caps;
//! } Meaning;
//! ```
//!
//! All are values as parsed, in UTF-8; what is absent is empty, and a priority 0. What else is in the presence is not
//! covered, and neither are its addresses: the resource is what the server says.
//!
//! * `show`, `status` and `priority` are those in `jabber:client`. In their texts CR LF and CR become LF.
//! * `lang` is the `xml:lang` of the `status` itself, else empty. That of the presence is ignored.
//! * The priority is read as a number, with spaces, TAB and LF around it ignored.
//! * `caps` are the attributes of the `c` in `http://jabber.org/protocol/caps`.
//!
//! A presence that can be read in two ways means nothing, is not signed, and does not verify: of another type; with two
//! of `show`, `priority` or `c`; with two statuses of one language; with elements in `show`, `status` or `priority`;
//! with a priority that is no number from -128 to 127.
//!
//! ```text
//! <presence><show>away</show><status xml:lang='en'>Back soon</status><priority> 5 </priority>
//! <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>
//!     Meaning  0004617761790d02656e094261636b20736f6f6e05057368612d31016e0176
//!     digest   9f18f6f125185fcc1a26c6eb2e8382bed7b6d660613cd4a6be0b0c61811bfb02
//! <presence/>
//!     Meaning  00000000000000
//!     digest   837885c8f8091aeaeb9ec3c3f85a6ff470a415e610b8ba3e49f9b33c9cf9d619
//! ```
//!
//! A sender makes a new advert for each presence that means something else. It holds the presence until it is signed, at
//! most 20 seconds; then the presence goes without advert. That the device is `unavailable` is signed as well, if it was
//! available before.
//!
//! A receiver takes a presence for signed if its advert verifies with what the presence means, is not older than the
//! newest one of the device, has not expired, and if the account's list lets the device live. The same presence again is
//! signed too. One with an older advert is stale and passes unsigned. If the advert does not verify, or has expired, it is
//! refused without effect, and the presence passes unsigned. A presence whose advert waits for the fetch of keys passes
//! unsigned; the advert is verified later with what that presence meant. In a presence of type `unavailable` an advert
//! that does not cover it, or is of a device that is not known, is ignored.
//!
//! # Nodes
//!
//! The keys are in PEP (XEP-0163) of the account:
//!
//! | node | item | payload |
//! |---|---|---|
//! | `urn:xmpp:e2e:0:device` | id: the device id in decimal; one for each device | `<device xmlns='urn:xmpp:e2e:0'>` base64 of the record `</device>` |
//! | `urn:xmpp:e2e:0:devices` | id: `current`; the only one | `<devices xmlns='urn:xmpp:e2e:0'>` base64 of the list `</devices>` |
//!
//! They are published with the options `pubsub#access_model` = `open` and `pubsub#persist_items` = `true` and
//! with no other, because servers refuse options that they do not know. An advert that names a record or list
//! must not be sent before both are published, or publication has failed and an event has said so.
//!
//! * If the server answers `precondition-not-met`, the publisher configures the node (XEP-0060, section 8.2) with
//!   `pubsub#access_model` = `open`, `pubsub#persist_items` = `true` and `pubsub#max_items`, and publishes again. If
//!   either fails, it publishes without options, for those who see presence may read it then, and an event says so.
//!   Before that is tried again the list is read, and taken if it is newer: another device may have put its own there.
//! * Many servers keep one item for a node unless told otherwise, so that the record of one device would replace
//!   that of another. After its first record is published a device configures the node of the records in the same
//!   way. `pubsub#max_items` is 32 for the records and 1 for the list, in decimal: not all servers know `max`.
//! * A record is then read back. If it is not there, or not that of another live device of the account whose record
//!   is known and good, it is lost: an event says so, and at the next try the node is configured again.
//! * What the server has lost or spoilt is published again when the device next connects.
//!
//! A reader asks for all items of the node, and takes at most 32. It looks at payloads and not at item ids: the record
//! says whose it is.
//!
//! A device that connects reads the account's list first and signs a new one only if the list does not accept its own
//! certificate. If the list it finds is older than its own, it publishes its own again.
//!
//! # Keys from the device itself
//!
//! ```xml
//! <iq type='get' id='…' to='bob@example.org/desk'><keys xmlns='urn:xmpp:e2e:0'/></iq>
//!
//! <iq type='result' id='…' from='bob@example.org/desk'>
//!   <keys xmlns='urn:xmpp:e2e:0'>
//!     <record>BASE64</record>
//!     <devices>BASE64</devices>
//!     <prekey>BASE64</prekey>
//!     <prekey>BASE64</prekey>
//!   </keys>
//! </iq>
//! ```
//!
//! `record` is the current record, `devices` the list if the device has one, each `prekey` a one-time prekey. A device
//! gives one one-time prekey of each kind and algorithm, to accounts that may see its presence (roster subscription
//! `from` or `both`) and to its own account, at most 16 at a time that are not yet used. Readers take at most 16. A
//! request of others, or to a device without a record, is left to the client, which answers as to any request it does
//! not know.
//!
//! A request may have a list of the account as `devices`, which the asking device knows and the asked one may not: contacts
//! may be the only ones that know of a list whose devices are lost and which the server does not show. It is the
//! newest, if that does not let the device live that is asked. Else it is the one before, if the newest is not full and
//! does not name all devices of that, and that does not name the device that is asked. This is done for seven days, and for
//! each device once a day at most, when keys of the account are fetched.
//!
//! The device that is asked takes a list that is under its own account key. A newer one it takes as one that its server
//! shows; so it does with one of the version that says something else, once, if it has the account key. Of an older one
//! that is no tombstone it takes the devices that its own list does not name, unless that is full, and the retirements of
//! those that it has as live: the next list says the same of them. Anything else changes nothing. The answer is the same.
//!
//! # Order of a fetch
//!
//! One request is outstanding for each account, and for a few accounts at once; the others wait for their turn. What
//! a message waits for goes first. A fetch asks, each at most once:
//!
//! 1. for the records, in PEP;
//! 2. for the list, in PEP, if there is none or a higher version has been named, or sessions of a device were closed
//!    since no list lets it live, and if a device of the account is known by now;
//! 3. each device itself whose advert is still unverified, at its available resource; else one that is to be shown a
//!    list of before; else, if the list is still missing, any that has shown an advert: each in its turn if a
//!    higher version has been named, or else one that the list does not name.
//!
//! A request without answer fails 20 seconds after it was sent. An answer counts only if its id and its `from` are
//! those of the request; for requests to the own account the `from` may be absent or the own bare JID, with or without
//! resource. Ids have a random part.
//!
//! What a fetch found, or did not find, is believed for ten minutes before a message to be sent asks again, or a device
//! that the list does not hold and that shows itself.
//!
//! Silence of a server, and an error of type `wait`, do not say that there is nothing. If a message waits for an account
//! with no known device, or an advert is unverified, the fetch is made again: after 30 seconds, then each time after
//! twice as long, up to an hour, with the time-outs doubled up to eightfold; at once on a new stream. After six such
//! fetches the adverts are refused; messages go on waiting. Meanwhile what goes to devices that are known does not wait.
//! Without an answer about its own list a device makes no first list.
