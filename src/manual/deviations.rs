//! Where the code departs from the design it began from, or makes it precise, and why.
//!
//! # On the wire
//!
//! | design | code | why |
//! |---|---|---|
//! | two simultaneous handshakes: the smaller session id wins while neither is answered, else the higher counter | one rule: higher counter, then smaller session id | "answered" is not the same on both sides at one time. Counters count on from the highest seen or sent, as Lamport's clocks do, so crossing handshakes have equal counters and later ones higher. Both sides come to the same, whatever the order of arrival |
//! | device id of 32 bits | 30 bits | two flags of a recipient stand in the same four bytes: own account, and flight |
//! | one account bit | a second bit says that a flight follows in an entry | new and old sessions can stand in one wrapped message |
//! | type byte for direct | three: direct, direct with flight, wrapped | the receiver need not guess whether a flight is there |
//! | wrapped payload under the session's suite | the payload names its suite | sessions of one message may have different suites, the payload has one |
//! | one agreement key, one signed prekey | one for each algorithm, with its number | a suite with another group needs no second certificate |
//! | ranking in the registry | the first of the initiator's list that the responder has | no common registry is needed for private suites |
//! | the list fetched beside the records | after the records | the key that verifies it is in the certificates |
//! | list without account key | the list carries the digest of the account key | it says for itself by whom it is |
//! | digest of the epoch's names in the suite's hash | digests that name structures are SHA-256 in all suites | they are read across suites |
//! | MixHash(KEM public key, ciphertext) | two MixHash | one step, one thing |
//! | offers and answers never in a first message | never in the initiator's first chain | the same, and said so that a repeated flight is covered |
//! | associated data without the bytes before the header | the prefix is in it | a repeated flight, the tag and the recipient cannot be changed |
//! | inner id whenever something refers to it | in contents of kinds 2 and 3 | a plain text stays within its 32 bytes |
//! | an answer carries a tag | and no id: the tag alone finds its question | ids outside need not be believed, and ids inside not be sent |
//! | detached authentication in the element of encrypted content | an element of its own, and a kind of its own for the opaque variant | what was in clear cannot be passed off as sealed |
//! | a signed stanza of an unknown device: not said | clear text, and the keys are fetched | it can be read; the copy in an archive is verified later |
//! | the answer to an iq signed | not | a signature does not name its question |
//! | authentication of an iq | inside its payload | an iq has one child (RFC 6120) |
//! | a child is covered with its explicit language | one that came with a language is also compared without | libraries write the inherited one there |
//! | whole stanza | used where a stanza has more than its children (language, other attributes, text between); else children | smaller |
//! | the short string over both devices' certificates | over the keys in them | a certificate is renewed with the same keys, and the two sides learn of it at different times: strings would differ without an attack |
//! | a run is bound to the session | to the one in which the responder agrees, and through a secret exported from it | the request may wait while a new session begins; who is in between does not know the secret |
//! | short secrets under a long hash: not said | filled up with zeros | HMAC does the same; some libraries refuse short keys |
//! | a request to send again | it names a time of the asked device's clock, and messages come again in control messages of one session | times rise from message to message, so they tell messages apart on both sides, across sessions |
//! | recovery at once | after five seconds, from a timer | a message that cannot be read changes nothing but timers, and what was overtaken needs none |
//! | a repeated message number with other content: an event | the stanza is refused as equivocation, and may be asked for | one event for each stanza |
//! | recent messages may be kept | they are, by default | most applications keep the same texts anyway, and users lose messages otherwise |
//! | grease in adverts | that of the record's suite list | the two lists can be compared |
//!
//! # In conduct
//!
//! | design | code | why |
//! |---|---|---|
//! | an unknown resumption name: refused, and the responder opens its own handshake | the same; if its own flight had no answer either, it names no secret | else each side would go on to name what the other does not know |
//! | first-flight grace not fixed | 32 days | a record is good for 30 |
//! | one-time prekeys by access policy | to those who may see presence, and the own account | the policy by class is to come |
//! | the responder answers at once | to those who may see presence | to others it would be a receipt |
//! | sessions of a retired device close | when a list that names the device is taken, and those of a device that no list has held, or for which there was no room, when the newest has been fetched; those of one that a list leaves out after a week | a device the list does not know yet may be newer than the list |
//! | a retired device forgets everything | but for whom it has encrypted: to them it sends nothing in clear | another device has retired it, and its user may not have noticed |
//! | a handshake that names a superseded secret is an event | an old name within the kept five; the one before the current is let through if the last step was one's own | the peer may not have seen that step |
//! | sender time | it rises from message to message of a device, by a millisecond at least | servers put messages out of order when sessions are resumed; so a reader can put them in order again |
//! | empty messages of type `chat` | of no type, to the resource of the device where it is known | servers make carbons of `chat`, and the other devices cannot read it |
//! | a question is handed over as it came | under an id of the engine's | an answer in clear to a question in clear could pass for the answer to a protected one of the same id |
//! | a child that is missing is counted | in archives only | elsewhere nobody drops children but an attacker |
//! | iqs protected by default | to a full JID where a device has ever shown its advert; else in clear under the policy | other clients of a contact, and servers, answer what they are asked |
//! | clear text of a sticky account is an event | not when it comes from an archive | what is there may be older than the account's keys |
//! | fetches: one for each account | eight at once, and those that a message waits for first | servers limit rates: five hundred requests at a log-in would time out |
//! | keys that cannot be had | a server's silence is not taken for *none*: asked again, more and more rarely | a message to a contact whose server is slow or down for a while would fail |
//! | nothing goes to a changed key before it is accepted | accepting makes the account sticky | adverts of the key that came before were not believed, so nothing else would; messages would go in clear |
//! | the application's own policy | a key needs a decision with other means than *first* | it can then be stored and told as any other |
//! | stanzas that the trust policy stops | fail, and do not wait | the user decides at leisure, and may not want it to go out a week later |
//! | a device that cannot be sent to with the level needed | left out and told; the stanza fails only if that is all | one old device of a contact would stop everything |
//! | publication | nodes are configured where the server's defaults do not do: access model, room for a record of each device | one common server keeps one item, another takes no such option with a publication |
//! | three comparisons of keys an hour | whoever begins them, together | each is one guess for whoever is in between, either way round |
//! | a comparison that the user has found false | the trust stays as it was | people mishear; the event says what it may mean, and the user decides |
//! | a file of history is offered once | until it is answered, ever more rarely | a message that is lost would leave the user with a file nobody can open |
//! | STREAM from the library | the same, over a suite's AEAD of 12 bytes nonce and 16 bytes tag | the library's lengths are fixed when it is compiled; a private suite of other lengths seals no files |
//! | one session state for handshake and ratchet | the responder's first ratchet key is its signed prekey, the root step lazy | a step is made when something is sent, so no key is made for nothing |
//! | an offer is the offerer's first thing in each chain | prepared after the root step of that chain | so the epoch of the message is the one before |
//! | the short string for linking | fifteen digits, over the session's id too; the old device certifies only when both users have agreed | a user who has looked at one screen only certifies nothing |
//! | who is asked to link | devices of the list that are online | a message to the bare JID would come back to the sender |
//! | which devices a list names | also those of a list before that its maker was not shown, alive as they were | a server that loses or hides a list must neither shut devices out nor bring one back; the user is told and retires what is lost |
//!
//! # Not yet there
//!
//! The numbers are reserved where the design gave them: attestations in the record.
//!
//! * Attestations.
//! * Access classes, offers to strangers, puzzles.
//! * Files, media, the watch for clear-text channels.
//! * Notes of a step for logs.
