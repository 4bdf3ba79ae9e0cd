//! What is refused, and as what.
//!
//! Nothing about a refusal goes over the wire: no error stanza, no answer, no difference in time that depends
//! on a secret. The reasons are for the own application and its log. All failures of authentication have one
//! reason without detail.
//!
//! A refused stanza changes nothing but bounded counters and timers: no session, key, prekey or trust.
//!
//! # Malformed: the sender's software or the path is at fault
//!
//! | reason | when |
//! |---|---|
//! | bad encoding | not base64, not the structure, a bound of a list, a zero id, a field twice |
//! | forbidden XML | comment, processing instruction, DOCTYPE, unknown entity |
//! | bad address | a JID that is none, or not spelled as prepared in a signed structure |
//! | not a stanza as defined | no single element; our element in a room |
//! | too deep, too large | over a bound |
//! | unknown version | first byte of element or advert, kind of content, type of control |
//! | not well-formed | as XML has it |
//!
//! # Not authentic
//!
//! A signature, a seal, a commitment or a message that does not verify; a presence that means something else than its
//! device signed; an epoch byte that is not the chain's;
//! a message under an unknown ratchet key that does not open.
//!
//! # The peer misbehaved
//!
//! | reason | when |
//! |---|---|
//! | bad key | not canonical, of small order, of wrong length; signing key equal to the account key; all-zero agreement |
//! | expired or not yet valid | certificate, record or advert, a day of tolerance given |
//! | equivocation | another KEM key or answer for one epoch; same number with other content in certificate, list, record, advert; a file of history of a known name |
//! | out of turn | a field or `pn` that the session's state does not allow |
//! | retired device | the list does not hold it as live |
//! | rolled back | an older serial, version or sequence; a list that takes something back |
//! | too many skipped | more than 1,000 |
//! | wrong suite | not what negotiation gives, not offered, or unknown |
//! | wrong subject | another account, device, account key or record than it must be; an answer from the wrong address; a message to another account; a message about a file of history from no device of the own account |
//! | too much at once | more waiting than one peer may cause |
//!
//! # It cannot be read here
//!
//! | reason | when |
//! |---|---|
//! | not for this device | no entry for it |
//! | no session | none with that tag, or an unknown resumption name |
//! | prekey gone | the record or prekey named is no longer kept |
//! | the record named cannot be had | an advert whose record neither the server nor the device gave |
//! | unknown algorithm | a key that nothing here can use |
//! | no answer from the key agent | refused or silent |
//! | returned, and unknown here | an error stanza that echoes our element and belongs to nothing outstanding |
//!
//! # Not refused, but told
//!
//! A *duplicate* is an event of its own. So are a key that changed or was reused, a rollback of fetched keys, an
//! unchained or superseded handshake, a withheld list, missing adverts, clear text, suites that shrank.
