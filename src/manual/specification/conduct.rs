//! What an implementation does over time: which key it believes, which session it uses, what it does by itself.
//!
//! # Account keys
//!
//! The first account key that a verified record or handshake of an account shows is taken as its key. Another
//! one later raises an event and is not taken: nothing is sent to the account, nothing of the new key's devices
//! is used, until the user accepts it by its digest. Then the old key's devices, sessions and list go. The same
//! account key under another JID raises an event.
//!
//! If the user has scanned the account's code before any key of it was seen, only the key of the code is taken as the
//! first, as verified; another raises the event of a changed key, and no message goes out in clear meanwhile.
//!
//! A key that another own device has verified, and that came from it with its decisions, is such a changed key if another
//! one is known here on first use (see [`history`](super::history)).
//!
//! If the user has the account forgotten, the next key is taken as the first, except that one the user has distrusted or
//! rejected, as the last word about it, is distrusted.
//!
//! Whether a key is sealed to is decided by the user's policy at the moment of sealing. To an account whose key the user
//! distrusts nothing is sealed, and none of the messages of *Answers and own initiative* is sent; it counts there as one
//! that may not see one's presence. What it sends is read all the same.
//!
//! A device that a newer list retires or has no room for, and in the list of the own account one that was not there before,
//! raise an event.
//!
//! # Sticky
//!
//! An account is sticky once an advert of it has been verified through its record, a handshake of it
//! accepted, or a key of it accepted or verified by the user. It stays so until a tombstone signed by its account key, or the user's explicit command. From then
//! on, under the default policy,
//!
//! * a message to it is sent encrypted, waits or fails, and never goes out in clear,
//! * a clear message of it (a chat or normal one with a body and no sign of another encryption) raises an event,
//! * an available presence without advert, from a resource that had shown a device, raises an event.
//!
//! An older record or list than the known one, if it was *fetched*, raises an event. An older advert does not.
//!
//! # Which session is live
//!
//! For each device one session is *live*: what is sent to it is sealed there. All others only open. Each
//! session has the counter of its handshake.
//!
//! ```text
//! a new session becomes live if there is none,
//! or if its counter is higher than that of the live one,
//! or if the counters are equal and its id is smaller (as bytes)
//! ```
//!
//! Two handshakes that cross have the same counter, for each side counts on from the highest it has seen or
//! sent. Both sides then take the session with the smaller id. Otherwise the later handshake has the higher
//! counter. Both sides apply this one rule when a session is made, so they come to the same, in whatever order
//! the stanzas arrive.
//!
//! A handshake that is opened because the other side was not understood counts on by 64 instead of one, and the
//! counter of a flight refused for an unknown resumption secret counts as seen: the sender of what was not
//! understood holds on to its session, and must come to the new one. A restored device counts on by 100,000, or from
//! the seconds since 1970 if that is more.
//!
//! A request to send again ([`recovery`](super::recovery)) makes the session that it comes in the live one.
//!
//! Besides the live session, up to three older ones are kept for a device; those over a month old go when a new
//! one comes. A flight that is accepted ends a handshake of one's own with that device that is still waiting
//! for prekeys or the key agent.
//!
//! # Replays
//!
//! * For each record, as long as its private prekeys are kept, the SHA-256 of each accepted `e` is kept with
//!   the id of the session it made, written in the batch that stores the session. A known `e` with its session
//!   present is a message of that session; without, it is a duplicate (or unreadable, if the list does not name the
//!   device: its session was closed for that). This store is all that stops the replay
//!   of a flight without one-time prekeys.
//! * After 10,000 accepted flights the prekeys are replaced.
//! * A one-time prekey is deleted in the same batch; a second flight that names it is refused for want of the prekey.
//! * A message whose key has been used is a duplicate, an event and no error.
//!
//! # Prekeys
//!
//! A device makes a new record every seven days. A record is good for peers for 30 days. The private halves of
//! a superseded one are kept for 32 days more, and so is a one-time prekey that was given and not used.
//!
//! # Answers and own initiative
//!
//! What an implementation sends by itself:
//!
//! | what | when | to whom |
//! |---|---|---|
//! | an empty message | after a first flight was accepted | accounts that may see one's presence, own account |
//! | an empty message | heartbeat | the same |
//! | a question for what could not be read, in a new session | [`recovery`](super::recovery) | the same, not distrusted; once an hour for a device |
//! | messages once more | that question | the same |
//! | a handshake of one's own with an empty message | a flight named an unknown resumption secret | the same; once an hour for a device |
//! | keys | a request | as above; to others the iq is the application's to answer |
//! | requests for keys | an unverified advert, something to send | the account, of a few accounts at once |
//! | own list and record, the nodes' configuration | what is published is not what should be | the own server |
//!
//! So a stranger never learns from an automatic message whether its own was read.
//!
//! # A state that was restored
//!
//! A device whose state was restored from a backup must not seal with it. It drops all own prekeys, published
//! and one-time, and the list of accepted flights; it abandons its sending sessions, and ends comparisons and runs of
//! linking without a word in their sessions; it makes a new certificate, record and
//! advert with numbers past all that it can have used, as are its prekey ids; once it has the certificate it opens new
//! handshakes, which name the resumption secrets that it still has. The peer sees that they are old. What came since the backup is asked for
//! as [`recovery`](super::recovery) says.
//!
//! The same is done, at most once a day, by a device to which a record or an advert comes that its own signing key has
//! signed and that it has not made: one with a higher sequence than its own, or with the same and other bytes. Its state
//! is an old one, or a copy of it runs elsewhere. An advert of its own that is not newer proves nothing: its server may
//! not have closed a former stream.
//!
//! # Other encryption, and rooms
//!
//! A message (not of a room) that names another namespace by XEP-0380, has the element of OMEMO, OX or XEP-0027, or a
//! body that begins with `?OTR`, is *foreign*: no clear text, which would be an alarm, and not protected. Rooms
//! (`groupchat`, the presence of occupants) are nobody: no key is theirs, and nothing of them is an alarm.
//!
//! # Leaving
//!
//! A device that leaves for the whole account has a tombstone signed, publishes it, takes back its record and
//! deletes everything else but the tombstone, which it publishes again on each new stream until the server has
//! taken it. On a new stream it first reads the list that is there. If that is no older and does not say it yet, it
//! has its last list signed anew on top of that; so does a device that retires itself alone. A peer that sees the
//! tombstone stops being bound to encrypt, and an event says so.
