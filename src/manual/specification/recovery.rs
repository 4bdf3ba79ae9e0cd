//! How what could not be read is asked for, and sent again.
//!
//! # On the wire
//!
//! Both are control messages of kind 3 (see [`stanza`](super::stanza)), in a message without `type` that carries the hint
//! `<store/>`, for the device that it is for may be away.
//!
//! ```text
//! struct {
//!     uint8 what;                     // 1 request, 2 message
//!     select (what) {
//!         case 1: uint64 since;       // milliseconds, of the clock of the device asked; 0 for all
//!         case 2: opaque addressed<V>;    // the bare JID that the message was sent to
//!                 opaque type<V>;         // of its stanza: empty, chat, normal or headline
//!                 opaque id<V>;           // of its stanza, empty if it had none
//!                 opaque content<V>;      // as in the original, time and inner id included, without padding
//!     };
//! } Resend;
//! ```
//!
//! # The side that could not read
//!
//! Something is *missing* if a sealed message of a known device could not be read because there is no session or prekey
//! for it, because too many were skipped, because it waited behind a first flight that had no room or was not accepted,
//! because it was not authentic, or because its number was used by another. Anybody can make such stanzas, so all that
//! follows is bounded:
//!
//! * only accounts that may see one's presence, the own one included, and that are not distrusted; only devices whose
//!   record is known and good;
//! * not for archive results, which hold what is older than any session, unless the application says that it is
//!   catching up or that the state was restored within seven days;
//! * five seconds after the first such message a handshake is opened, chained to the newest session; at most one an hour
//!   for a device; after each of which nothing came, twice as long; after four of these no more until one comes;
//! * if a handshake of one's own is on its way and unanswered, the request goes into its session instead.
//!
//! The same is missing, and a first flight too, if a device sent it that is certified under the account key known and that
//! the account's list does not name: two devices may have made a list at once. The list is fetched again, 30 seconds
//! after the last fetch at the earliest, then each time after twice as long, six times a day and for at most 32 devices
//! of an account, and once more when the device shows itself. When the list holds the device, it is asked.
//!
//! The request is the first message of the new session. If another session comes to be with the device before anything was
//! read in that one, whoever opened it, the request is sent there too, three times within an hour at most. So handshakes
//! that cross, or name secrets that the other side has not, heal at once. A first flight is repeated until it is answered,
//! and the request is not: when the first message that can be read in the session comes an hour after it or later, it is
//! sent once more, for it may be lost. `since` is the highest time that a message of
//! this device had said when a message was first missing since the last success. The times of those read from the first
//! trouble on are kept, up to 200; of more, all up to the lowest count as read. So are those of messages that came again.
//! They are kept for 38 days after the last trouble, or after a message came again: longer than any stored key that opens
//! the stanza it was in first. While an archive is read they are kept as the keys are. But a stanza that is the next of its
//! session, or a first flight to prekeys that a device has that was off, can be opened at any age. So when the times are
//! forgotten the highest of a message that came again is kept, and what says no later time, and one at least 30 days old
//! then, is a duplicate for good.
//!
//! A message that comes again is delivered if any was asked for, its time is above the `since` of the first trouble, and no
//! message with that time
//! has been read; else it is a duplicate, or out of turn. The same holds the other way: a message that becomes readable
//! after it came again is a duplicate. (A device never gives one time to two messages.) A copy of what another own
//! device sent is handed over as a carbon.
//!
//! # The side that is asked
//!
//! It may keep sealed messages that it sent (not iqs, presence, chat states alone, or what was only authenticated), each
//! with its recipients' devices, the account key it was sealed under and the level it needed. A request
//! makes its session the live one, whatever the counters: the other may be one that the asking device has lost. (Not if it is of
//! before a restore, nor if a later message of the device has come in the live one.) In it are sent, in order, those
//!
//! * with a time above `since`, the newest hundred,
//! * that were sealed for this very device, so one that came later gets nothing of before,
//! * under the account key that the contact still has, that no other one puts in question, and that the user's policy seals
//!   to, to an account that is not distrusted and may see one's presence,
//! * whose level the session has,
//!
//! three times an hour for a device at most. What is kept goes after seven days, with the contact when it is forgotten,
//! distrusted or has a new key accepted, and with everything when the account leaves.
//!
//! # A handshake that names an unknown secret
//!
//! The responder opens its own, with a counter above the one that it was shown; if its own was not answered either, without
//! naming a secret. This is limited to once an hour for a device, apart from the above.
