//! The element on the wire, and what is sealed in it.
//!
//! ```xml
//! <message to='bob@example.org' type='chat' id='a1'>
//!   <e xmlns='urn:xmpp:e2e:0'>BASE64</e>
//!   <store xmlns='urn:xmpp:hints'/>
//!   <encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:e2e:0'/>
//! </message>
//! ```
//!
//! (White space between the elements is for the reader of this page.)
//!
//! Protected are messages, presence for somebody (with a `to`, available or `unavailable`), and iqs to a full JID.
//! Never: a message of type `groupchat` or `error`, broadcast presence and the other types of presence, and an iq to a
//! bare JID, which its server answers.
//!
//! # The bytes
//!
//! | first byte | what follows |
//! |---|---|
//! | `0x01` | direct: a message to one device |
//! | `0x02` | direct with flight |
//! | `0x03` | wrapped: a message to several devices |
//!
//! Another first byte is of an unknown version.
//!
//! ```text
//! direct:    uint8 = 1;  uint32 sender;  uint32 recipient;                 uint8 tag;  header;  ciphertext to the end
//! first:     uint8 = 2;  uint32 sender;  uint32 recipient;  Flight flight; uint8 tag;  header;  ciphertext to the end
//!
//! wrapped:   uint8 = 3;  uint32 sender;  uint16 suite;  Entry entries<V>;  opaque commitment[32];  payload to the end
//! Entry:     uint32 number;  [Flight flight;]  uint8 tag;  opaque body<V>
//! body:      header;  ciphertext of the content key
//! ```
//!
//! `number` is the device id of the recipient, with two flags in the top bits:
//!
//! | bit | meaning |
//! |---|---|
//! | 31 | the device is of the sender's own account; else of the addressed one |
//! | 30 | a flight follows |
//!
//! A device id of 0, and in the other places one above 2^30 - 1, is refused. So is a recipient that stands
//! twice (id and bit 31 taken together), and more than 64 entries.
//!
//! The **prefix** in the [associated data](super::session) is
//!
//! * in a direct message all bytes before the header: first byte, sender, recipient, flight if there is one, tag;
//! * in an entry: first byte `0x03`, sender, suite, and the entry's bytes before `body`: number, flight if
//!   there is one, tag.
//!
//! The **list of recipients** in the associated data of each entry is the numbers of all entries in their
//! order, four bytes each, with bit 31 as sent and bit 30 cleared.
//!
//! A receiver takes the entry with its own device id and bit 31 set exactly if the sender is its own account.
//! If there is none, or a direct message names another recipient, the message is *not for this device*. A
//! message of one's own account that names one's own device as sender is refused, unless it is in a copy or addressed to
//! the own account: see *Copies*.
//!
//! Without a flight, the session is one of those with that device whose tag is the one sent; if several have
//! it, each is tried. With a flight: if this `e` has been accepted for this record, the session it made; else a
//! new one.
//!
//! # Direct or wrapped
//!
//! To one device direct, to two or more wrapped. What is sealed in a direct message is the padded content; in
//! an entry, the content key.
//!
//! ```text
//! content key K = 32 random bytes
//! payload       = AEAD(ExpandWithLabel(K, "payload key", "", key length),
//!                      ExpandWithLabel(K, "payload nonce", "", nonce length), aad = "", padded content)
//! commitment    = ExpandWithLabel(K, "payload commitment", "", 32)
//! ```
//!
//! under the suite that the wrapped message names. It need not be the suite of any session: it is the first of
//! the sender's list that each recipient either has as the suite of its session or lists. Only its AEAD and
//! hash are used. The receiver compares the commitment in constant time before it decrypts.
//!
//! # Who gets it
//!
//! A message: all live devices of the addressed account, by its list, and all other live devices of the sender's
//! account. A presence for a bare JID: all live devices of that account. An iq, and a presence for a full JID: the
//! device at that resource, by the verified advert that it showed; an answer the device that asked. Devices without a
//! valid certificate or record are left out and reported. If no device of the addressed account is left, the stanza is
//! not sent.
//!
//! # Content
//!
//! ```text
//! uint8   kind
//! uint8   time[6]                     // the sender's, milliseconds since the Unix epoch; more than in its message before
//! opaque  inner_id<V>                 // at most 255 bytes, may be empty
//! [opaque tag[16];]                   // if the top bit of `kind` is set: what iq this answers
//! body                                // to the padding
//! zeros                               // the padding
//! ```
//!
//! | kind | name | body |
//! |---|---|---|
//! | 1 | chat text | the text of the only `<body/>`, UTF-8 |
//! | 2 | children | the children of the stanza as XML, where `jabber:client` is the default namespace |
//! | 3 | stanza | the stanza as XML, without the attributes `from`, `to`, `type` and `id` |
//! | 4 | covered | `opaque digests<V>`: of what is outside in clear, 32 bytes each, 1 to 64 of them |
//! | 5 | control | `uint8 type`, then by type |
//! | 6 | shown | as kind 3, of a stanza that is also outside in clear |
//!
//! The top bit (`0x80`) may be set for kinds 2, 3, 4 and 6. Kinds 1 and 5 are for messages only. The element in kinds 3
//! and 6 must be of the same name as the stanza that it comes in. Kinds 4 and 6 stand in an element `auth`, the others
//! in an element `e`, and are refused elsewhere: what could be read on the way cannot be made to look sealed.
//!
//! | control type | name | after the type |
//! |---|---|---|
//! | 1 | empty | nothing |
//! | 2 | list version | `uint32`: the version of the sender's device list |
//! | 3 | sending again | a request, or a message, as [`recovery`](super::recovery) has it |
//! | 4 | verification | `opaque<V>`: see [`verification`](super::verification) |
//! | 5 | linking | `opaque<V>`: see [`linking`](super::linking) |
//! | 6 | history | `opaque<V>`: see [`history`](super::history) |
//!
//! An unknown kind or control type is refused as of an unknown version. Type 2 is sent when there is a new list.
//!
//! Kind 1 is used if a message, apart from children for servers, has only a `<body/>` in `jabber:client`
//! without attributes and child elements; it has no inner id. Otherwise kind 2, or kind 3 if the stanza has other
//! attributes than the four or text between its children, with the stanza's id as inner
//! id. The inner id is authoritative. Where there is none, the stanza's own id is handed over and marked as not
//! protected: nothing may refer to it.
//!
//! Texts are UTF-8 and hold only characters that XML 1.0 can carry; so the zeros of the padding are told apart.
//!
//! # XML of kinds 2, 3 and 6
//!
//! Written: no prefix on elements but `xml`; the default namespace declared where it changes; attributes in a
//! namespace with a prefix `ns` and a number; attribute values in single quotes; `&`, `<`, `>` and CR escaped
//! everywhere, and `'`, TAB and LF in attributes.
//!
//! Read: no comment, processing instruction, DOCTYPE or entity but the five of XML; no byte order mark;
//! well-formed with namespaces; within the bounds for depth, attributes and nodes. Namespace names with `&`,
//! quotes, `>`, TAB, LF or CR are refused. The same reader reads the stanzas themselves.
//!
//! # Children for servers
//!
//! These stay outside:
//!
//! | namespace | element |
//! |---|---|
//! | `urn:xmpp:hints` | all |
//! | `urn:xmpp:sid:0` | `origin-id` |
//! | `http://jabber.org/protocol/address` | `addresses` |
//! | `urn:xmpp:eme:0` | `encryption` |
//! | `urn:xmpp:carbons:2` | `private` |
//! | `http://jabber.org/protocol/amp` | `amp` |
//!
//! A message that has nothing but such children is not protected.
//!
//! Inside, these are dropped, and with them what only servers say: `delay` of `urn:xmpp:delay`, `x` of `jabber:x:delay`,
//! `stanza-id` of `urn:xmpp:sid:0`, `archived` of `urn:xmpp:mam:tmp`, `x` of `vcard-temp:x:update`, `occupant-id` of `urn:xmpp:occupant-id:0`, the
//! wrappers of copies (below), and every element of `urn:xmpp:e2e:0`. Only children of the stanza itself are looked at.
//!
//! # What is handed over
//!
//! A stanza with the outer `from`, `to` and `type`, the inner id if there is one, else the outer; and inside
//! what was sealed. Of the rest of the outer stanza, what only servers say is handed over apart, as nobody's word; the
//! names of what is neither that nor for servers are reported, and it is dropped.
//!
//! # Iqs
//!
//! ```xml
//! <iq to='bob@example.org/desk' type='get' id='v1'><e xmlns='urn:xmpp:e2e:0'>BASE64</e></iq>
//! ```
//!
//! An iq is an iq of the same type, with the element as its payload, always direct. A question has its id as
//! inner id. Both sides derive a tag from the message key of the question:
//!
//! ```text
//! tag = ExpandWithLabel(message key, "answer", "", 16)
//! ```
//!
//! The answer carries the tag, and no inner id. A protected answer whose tag names no question that is open with that
//! device is refused; else it is the answer to that question, whatever id and `from` stand outside, and is handed over
//! with those of the question. So answers cannot be swapped. A question is open for an hour, until it is answered, and
//! until its stream ends; there are at most 1,000, and at most 100 of one account. One more is refused.
//!
//! The side that is asked hands the question over under an id of its own making, which nobody else knows, and knows the
//! answer by it. So the answer to a question in clear cannot be passed off as that to a protected one, and an answer to
//! a protected question is never sent in clear: if the question is forgotten, it is not sent. On the wire the answer has
//! the question's own id.
//!
//! An iq, or a presence for somebody, that was sealed more than a day ago is refused as expired.
//!
//! Beside a protected answer of type `error` stands `<error type='cancel'><undefined-condition
//! xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`, for RFC 6120 wants one. An iq error whose element is not
//! direct to this device is a question of one's own that came back.
//!
//! A server cannot protect its errors: an error in clear, from where a question was sent and with its id, ends the
//! question as a failure that nobody vouches for. A *result* in clear with the id of an open question is refused, from
//! whomever it is. A question that cannot be read, or has come before, is answered with `service-unavailable`, as by a
//! client that does not know it (RFC 6120, section 8.4), without a copy of what was asked.
//!
//! Iqs and presence are of one stream: they wait a minute at most, wait for a stream that is resumed, and are not sent
//! again with the next. They do not wait for messages, nor messages for them.
//!
//! # Authenticated only
//!
//! ```xml
//! <message to='bob@example.org' type='chat' id='a1'>
//!   <body>See you at the park!</body>
//!   <auth xmlns='urn:xmpp:e2e:0'>BASE64</auth>
//! </message>
//! ```
//!
//! The stanza stays as it is, for servers and for software that knows nothing of this protocol. The element `auth` holds
//! what an `e` would, for the same devices, with a content of kind 4: the digests of [`canonical`](super::canonical),
//! which also says where the element stands. It is authenticated by the sessions, so it is deniable. Its id is the
//! inner id.
//!
//! The receiver rebuilds the stanza from the children that have a digest, in the order of the digests, and from the
//! outer `from`, `to` and `type`; the language of the stanza and text between its children are not covered, and not
//! handed over. What does not fit is *altered or forged*: one event, and no key is used, so that a good copy can still
//! be read. A child that is missing is that too, but in a stanza from an archive. If the content cannot be read on this
//! device, or is of an unknown version, the stanza is one in clear: a message or presence with an event that says so, an
//! iq with all that is checked of iqs in clear.
//!
//! With a content of kind 6 the sealed copy counts, and of what is outside nothing is taken; the names of children that
//! the copy has not are reported. A sender must use it, or refuse, for what servers change
//! ([`canonical`](super::canonical): *fragile*).
//!
//! A message has no EME and, if it has a `<body/>`, no hint; else `<store/>` unless the policy is *bare*.
//!
//! # Signed
//!
//! ```xml
//! <message to='bob@example.org' type='chat' id='a1'>
//!   <body>See you at the park!</body>
//!   <signed xmlns='urn:xmpp:e2e:0'>BASE64</signed>
//! </message>
//! ```
//!
//! For readers without a session, and not deniable. The element `signed` stands where an `auth` would and holds a signed
//! statement ([`identity`](super::identity)): of the kind of the stanza; with the stanza's `type` as subject; its id as
//! inner id; the account addressed as audience, or nobody in particular; with the digests of
//! [`canonical`](super::canonical), or a copy: the children as XML. A statement is good for 30 days. Broadcast presence
//! is signed otherwise ([`discovery`](super::discovery)), and the answer to an iq not at all, for a signature does not
//! say to which question it belongs.
//!
//! The receiver takes it if the device's certificate is known and good, kind, subject and audience fit, the time has not
//! passed (but for a stanza from an archive), and the sequence has not come before: it tells the 1,024 numbers below the
//! highest apart; what is older is in clear. If the device is not known, the stanza is one in clear, and the
//! keys of an account that may see one's presence are fetched. A statement good for more than 30 days, a day of
//! tolerance aside, is refused. Of `e`, `auth` and `signed` the first that is there counts.
//!
//! **Items** of pubsub nodes (XEP-0060, XEP-0163): the element `signed` is the last child of the item's payload, and not
//! covered. The statement is of kind *item*, with the node as subject, the item's id as inner id (empty if the server
//! chose it), for anyone, and one digest, of the payload without the elements of this protocol directly in it; or a copy
//! of that payload. Whether an item that has expired, or of a lower sequence than one seen before, still counts, is the
//! application's to say.
//!
//! # Padding
//!
//! The content is padded with zeros. The sender chooses the length, the receiver takes any. The default, for a
//! length `n`: up to 256 the next multiple of 32, at least 32; above, Padmé: with `E` = floor(log2 n) and `S` =
//! floor(log2 E) + 1, round up to a multiple of 2^(E - S). Flights are not padded.
//!
//! # Hints
//!
//! | policy | children added |
//! |---|---|
//! | bare | none |
//! | archived | `<store xmlns='urn:xmpp:hints'/>` |
//! | archived and pushed, the default | the same, and `<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:e2e:0'/>` |
//!
//! A message that has a hint of XEP-0334 already, or nothing but chat states (XEP-0085), gets none.
//!
//! An empty message has none, and no `type`: servers make carbons of it only if it has a body. It goes to the
//! resource of its device if that is known, else to the bare JID.
//!
//! # Copies
//!
//! A message of the own bare JID, or without `from`, may hold a copy: a child `received` or `sent` of
//! `urn:xmpp:carbons:2` (XEP-0280), or `result` of `urn:xmpp:mam:2` (XEP-0313), in it `forwarded` of
//! `urn:xmpp:forward:0`, in it the `message`. The inner message is opened as if it had come by itself, bound to its own
//! `from`, `to` and `type`. It must be addressed to the own account, or come from it. What is delivered is the outer
//! stanza with the rebuilt message in the inner one's place. An inner message of this device is a duplicate, and so is one that
//! this device has sent to its own account, which comes to all who are there.
//!
//! A carbon, or a result whose message is not of type `groupchat`, from anybody else is refused. So is a copy with more
//! than 8,192 bytes around the message; the message's key is not used.
