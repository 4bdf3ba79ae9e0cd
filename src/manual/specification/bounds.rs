//! Every number that limits something, with its reason.
//!
//! Those under *must* are part of the protocol: a peer relies on them. The others are this implementation's,
//! and another may have its own.
//!
//! # Must
//!
//! | what | bound | reason |
//! |---|---|---|
//! | device id | 1 to 2^30 - 1 | two bits of a recipient's number are flags |
//! | length of a vector | 2^30 - 1 | RFC 9420 |
//! | keys of one kind in a structure | 8, one of each algorithm | no more algorithms than suites |
//! | suite numbers in a record or advert | 18 | twice what is sent, grease included |
//! | suite numbers in a payload | 32 | the same, with room |
//! | extensions in a structure | 16 | far more than are defined |
//! | certificate | 1,024 bytes | a record, which has 2 KiB, holds one |
//! | record | 2,048 bytes | servers take PEP items of this size everywhere |
//! | device list | 4,096 bytes, 32 devices | few people have ten devices |
//! | one-time prekey | 4,096 bytes | a KEM key and a long JID |
//! | advert | 512 bytes taken, 250 of XML sent | it is in every presence |
//! | children covered by a statement | 64 | stanzas have about ten |
//! | XML in a statement | 184,320 bytes | in base64 it leaves 16 KiB of a stanza |
//! | subject and inner id of a statement | 2,047 bytes | the id of an item may be a room's JID |
//! | application name of a key | 255 bytes | as in SSHSIG |
//! | sealed payload of a flight | 8,192 bytes | a certificate, lists, extensions |
//! | header fields | 4,096 bytes | an offer, an answer, and as much again |
//! | question of a comparison, and its answer | 1,024 bytes | some lines |
//! | message numbers | 2^30 - 1 | they keep to four bytes |
//! | recipients of a stanza | 64 | all devices of two accounts |
//! | covered children of a stanza | 64 | clients send up to a dozen; the digests have 2 KiB |
//! | inner id | 255 bytes | clients' own have 5 to 40 |
//! | content, padded | 184,320 bytes | in base64 it leaves 16 KiB of a stanza |
//! | stanza | 262,144 bytes | what the common servers take |
//! | skipped keys for one message | 1,000 | a third of a millisecond of work; more than a server drops |
//! | chunk of a file of history | 65,536 bytes | little to hold in memory, much for one tag |
//! | message about a file of history | 512 bytes, its name 255 | a name as file systems have it |
//! | name of a device | 64 bytes | a line on any screen |
//! | a run of linking, and a provisional certificate | 10 minutes | time for a person to look at two screens |
//! | clock tolerance | 1 day | time zones make up to 14 hours |
//! | advert's life | 7 days, 8 taken | a stolen one could be shown for ever |
//!
//! # Reading XML
//!
//! | what | bound | reason |
//! |---|---|---|
//! | depth | 64 elements | archived messages with formatting have about 12; any stack holds it |
//! | elements nested in a stanza that is sent protected | 61 | a carbon or an archive result puts three around it |
//! | attributes of an element | 32 | XMPP's have up to a dozen; each is compared with each |
//! | elements and texts of a stanza | 16,384 | a roster of 4,000 contacts has fewer |
//! | declarations in scope | 128 | each name is looked up among them |
//! | JID | 3,071 bytes | RFC 7622 |
//!
//! # This implementation's
//!
//! | what | bound | reason |
//! |---|---|---|
//! | skipped keys stored for a session | 2,000 | two full gaps, 72 KB |
//! | their life | 30 days, 5 later chains | archives are read long before |
//! | recent chains remembered | 4 | to tell what comes again from a forgery |
//! | resumption secrets kept | 5 | the sides are one step apart; the older tell a rollback |
//! | sessions for one device | 4 | the live one, and what is still under way |
//! | life of an old session | 30 days | what offline stores hold back |
//! | heartbeat | 50 messages | heals a reader, costs two in a hundred |
//! | KEM epoch | 32 messages or a day | a new epoch within 20 round trips of a dialogue |
//! | flights waiting for the key agent | 32 in all, 16 of them for those who may not see our presence, 4 of one account | each holds a stanza and costs two requests |
//! | stanzas behind one of them | 32 | the same |
//! | accepted flights for a record | 10,000 | then the prekeys rotate, so the list stays bounded |
//! | one-time prekeys ready | 8 of each algorithm | a few contacts at once; made anew in the background |
//! | one-time prekeys out | 400, of these 16 to one account | nobody can drain them |
//! | step of a handshake counter | 2^32 | a counter at its end could not be passed |
//! | comparisons of keys with a contact | 1 at a time, 3 an hour, 10 minutes each | one is one guess for whoever is in between; time to make a call |
//! | refusals of them to a contact | 6 an hour | its program has understood by then |
//! | fetches under way | 8, and 4 more for what a message waits for | servers read 3 to 10 KB a second from a client; a message behind so many waits half a second |
//! | accounts remembered | 10,000 | more than any roster has |
//! | signed statements told apart | 1,024 below the highest of a device | archives are read out of order; 128 bytes |
//! | protected iqs unanswered, either way | 1,000, of one account 100 | some dozen are; one more is refused |
//! | bytes around a copied message | 8,192 | what else would make it too large to be handed over |
//! | bytes kept of what stood beside the element | 8,192 | a dozen marks of servers have a tenth of it |
//! | one-time prekeys in an answer | 16 | one of each algorithm |
//! | unverified adverts of an account | 8 | a stranger's devices |
//! | resources of an account | 16 | the oldest is forgotten |
//! | stanzas waiting or unacknowledged | 1,000 | more than a person sends in days offline |
//! | stanzas delivered and not taken | 10,000 | an application that takes none is broken; then each input fails as misuse |
//! | names told of children that are not covered | 16 | enough to find who adds them |
//! | acknowledged ids kept | 64 to 128 | so that an error finds its token |
//! | past decisions about the keys of a contact | 16 | a key every few months, each decided about twice |
//! | codes scanned of accounts that have shown no key | 256 | who scans a room full of people has fewer; the oldest goes |
//! | URI of a code | 9,469 bytes | a JID with every byte escaped |
//! | decisions about keys in a file of history | 31 MB | one about each of the accounts remembered |
//! | files of history with one device | 4 either way | one is needed; failed attempts must not stand in its way |
//! | other account keys of the own account that have been told | the newest 8 | who begins anew does so once or twice |
//! | runs of linking in an hour | 3 comparisons, 6 requests, one at a time | one chance in 2^48 for each; a server makes up devices |
//! | old devices asked at once to link | 4 | those at hand |
//! | prekeys in a request to the agent | 128 | a store that ran empty |
//! | messages kept to be sent again | 100 for a contact, 1 MiB in all, 7 days; configurable | more than is written before somebody notices |
//! | messages sent again at one request | 100, the newest | the same |
//! | times remembered of messages read since one could not be | 200 | twice as many |
//! | requests for one device, and answers to it, within an hour | 3; 12 answers to an account | handshakes may cross twice; an account may list 32 devices |
//! | attempts of which nothing came | 4, each twice as long after the one before | no loop |
//! | read chains remembered in a session | 64 | a page of an archive |
//! | read messages of which another would be noticed | 8 | what two copies write in a minute |
//! | chains with skipped keys while an archive is read | 256 | a session record stays under 32 KiB |
//! | characters of another encryption's namespace | 100 | the known ones have a third of it |
//!
//! # Times
//!
//! | what | time | reason |
//! |---|---|---|
//! | certificate | 1 year, renewed 90 days before | a device that is rarely on stays certified |
//! | renewal asked of another device | daily, one device | it is no hurry for 90 days |
//! | record | rotated after 7 days, good for 30 | a device off for a month can be written to |
//! | superseded prekeys | kept 32 days | the record's life, clocks, offline stores |
//! | given one-time prekeys | kept 32 days | the flight may lie in an offline store |
//! | advert renewed | at 3.5 days | half its life |
//! | presence sent again | at most hourly | it goes to the whole roster |
//! | presence held for its advert, or until it is signed | 20 seconds | then it goes without |
//! | request to a peer | 20 seconds, twice as long after each silence of its server, up to 160 | some clients never answer; a slow server must not be asked faster than it answers |
//! | a message to a contact without keys | fails 10 seconds after the own presence at the earliest | until then a device may show itself that its server keeps no keys of |
//! | a publication that failed tried again | after a minute, or 5 seconds if the server said to wait, doubled each time up to 1 hour | a server that restarts, or is busy for a moment |
//! | a server that gave no answer asked again | after 30 seconds, doubled each time up to 1 hour, and at the next connection | silence does not say that there are no keys |
//! | fetches without answer for an unverified advert | 6 | half an hour; then it is refused |
//! | request to the key agent | 5 minutes | it may have to ask its user |
//! | agent tried again | after 1 hour, or at the next connection | no flood |
//! | publication tried again | after 1 minute, doubled each time up to 1 hour, and at the next connection | most failures are a server that restarts; no flood |
//! | keys believed fresh | 10 minutes | a send does not ask for each message |
//! | a message waits for keys | 7 days | then it fails |
//! | an undecided message waits | 1 minute | its peer's advert is being verified |
//! | the answer to a protected iq | 1 hour, and its stream | a person may be asked |
//! | an iq or a presence waits for keys | 1 minute | who asked has given up by then |
//! | an iq or a presence on its way | 1 day | it belongs to a stream |
//! | a signed statement | 30 days | what lies in an offline store is read by then |
//! | a file of history waits to be taken | 7 days | a new device is set up within days |
//! | an offer of it without answer sent again | after 1 hour, doubled each time up to 1 day | what carries it can be lost |
//! | a handshake because of misunderstanding | hourly for a device | no loop |
//! | a handshake because of something unreadable | 5 seconds later, hourly for a device | what was overtaken comes first |
//! | what could not be read forgotten | 38 days after the last trouble, or after what was sent again; not while an archive is read | a stored key opens the first stanza for 30 days |
//! | a list that does not name a device that wrote | fetched after 30 seconds, doubled each time, 6 times a day | half an hour; the next advert is not far then |
//! | nothing asked for after four handshakes in vain | 8 days | nobody keeps it longer by default |
//! | archives asked for after a restore | 7 days | the same |
//! | a device is read that a list leaves out | 7 days; up to 7 more while an archive is read | the list that names it comes as soon as one who knows it meets one who makes lists; a stolen one is not read for ever |
//! | sessions are closed of a device that claims to stand in a newer list | 3 times, then it is not believed | servers are silent, or have the list late |
//! | a list of before is shown to a device | once a day | it answers with one-time prekeys that nobody uses |
//! | catching up | 24 hours with a stream, 7 days in all | reading an archive takes minutes |
//! | a copy of this device acted upon | daily | two copies would start anew without end |
