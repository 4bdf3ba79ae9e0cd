//! The session: a Double Ratchet, with a KEM ratchet beside it in hybrid suites.
//!
//! # State
//!
//! A session has a role (initiator 1, responder 2), the transcript (the last `h` of the handshake), a session
//! id of 16 bytes, a root key, at most one sending chain, at most one receiving chain, an own ratchet key pair
//! or none, the number of the last own chain's messages, the state of the KEM ratchet, up to five resumption
//! secrets and the exporter secret. The *tag* of a session is the first byte of its id.
//!
//! # Derivations
//!
//! ```text
//! KDF_RK(root, DH, mix):  prk = HKDF-Extract(salt = root, DH ‖ mix)       mix: 32 bytes at a new epoch, else nothing
//!                         root       = ExpandWithLabel(prk, "ratchet root", "", 32)
//!                         chain      = ExpandWithLabel(prk, "ratchet chain", "", 32)
//!                         resumption = ExpandWithLabel(prk, "ratchet resumption", "", 32)
//! KDF_CK(chain):          message key = first 32 bytes of HMAC(chain, 0x01)
//!                         next chain  = first 32 bytes of HMAC(chain, 0x02)
//! AEAD key ‖ nonce      = ExpandWithLabel(message key, "message", "", key length + nonce length)
//! ```
//!
//! # Chains
//!
//! *The initiator's first step.* With a fresh ratchet key pair: `KDF_RK(root, DH(own, signed prekey))` gives its first
//! sending chain. The responder's first ratchet key pair is its signed prekey.
//!
//! *Sending.* If there is no sending chain, a step comes first: a fresh ratchet key pair, the DH with the
//! peer's ratchet key, the mix if the KEM ratchet has one to send, `KDF_RK`. The step is made when something is
//! sent, and not when the peer's key arrives. Then `KDF_CK` gives the message key. A chain has at most 2^30
//! messages.
//!
//! *Receiving.* Look up the pair (ratchet key, `n`) first:
//!
//! 1. The ratchet key is that of the receiving chain and `n` has been passed, or it is that of an earlier
//!    chain: the key must be among the skipped ones; if not, the message is a *duplicate*.
//! 2. It is that of the receiving chain: go on to `n`, keeping the keys passed over.
//! 3. It is unknown: a step of the peer. There must be an own key pair that the peer has not used up yet. DH
//!    with it, mix if the epoch says so, `KDF_RK`; go on to `n` in the new chain. The rest of the old chain, up
//!    to `pn`, is skipped as well. The own key pair and the sending chain are dropped; the number of messages
//!    sent becomes the `pn` of the next own chain.
//!
//! Everything is done on a copy. If the message does not open, nothing has changed. In case 3 a message whose ratchet
//! key is one of the last 64 receiving chains' is a duplicate and not a forgery.
//!
//! Of the last eight messages read the last four bytes are remembered. A duplicate with others is refused as equivocation:
//! two have sealed with one state, or somebody wants it to look so. It changes nothing but may lead to
//! [`recovery`](super::recovery).
//!
//! # Header
//!
//! ```text
//! opaque   ratchet_key[length of the suite's public keys]
//! varint   n                          // at most 2^30 - 1
//! varint   pn                         // at most 2^30 - 1
//! uint8    epoch                      // number modulo 256
//! Field    fields<V>                  // at most 4,096 bytes
//! struct { uint8 type; opaque data<V>; } Field;
//! ```
//!
//! The ciphertext follows directly, to the end of its part.
//!
//! | type | name | data |
//! |---|---|---|
//! | 1 | offer | a KEM public key |
//! | 2 | answer | a KEM ciphertext |
//! | 3 | want | empty |
//!
//! No type twice. Unknown types are authenticated with the header and ignored. Known types stand only in the first
//! message of a chain (`n` = 0), and not in the initiator's first chain.
//!
//! # Associated data
//!
//! Each of these as `opaque<V>`, in this order:
//!
//! 1. the transcript of the session (`Nh` bytes),
//! 2. the sender's role, one byte: 1 or 2,
//! 3. the prefix: the bytes of the element before the header, as [`stanza`](super::stanza) says, a flight included,
//! 4. the header's bytes,
//! 5. the epoch of the chain as `uint64`,
//! 6. the kind of stanza, one byte: 1 message, 2 presence, 3 iq,
//! 7. the stanza's `type`; `normal` for a message where it is absent or none of RFC 6121, which means the same and which
//!    servers drop; nothing for others where it is absent,
//! 8. the sender's bare JID,
//! 9. the bare JID of the addressed account,
//! 10. in a wrapped message three more: the list of recipients, the commitment, the SHA-256 of the payload's
//!     ciphertext.
//!
//! The epoch in 5 is the full number that the receiver knows for the chain; the byte in the header must be its
//! lowest. The addressed account is that of the stanza's `to`: for a copy to the sender's own other devices it
//! is the peer, not the own account. Resources, ids, languages and other children of the stanza are never
//! bound.
//!
//! # Skipped keys
//!
//! A message may skip at most 1,000 keys, those of the old and of the new chain counted together. The store has
//! at most 2,000 of a session; the oldest go first. A key is deleted when it is used, when more than five later
//! receiving chains have begun, and is not used after 30 days. While an archive is read the last two do not
//! apply, for at most 256 earlier chains; nor are prekeys then deleted for their age.
//!
//! # KEM ratchet
//!
//! Epochs count from 0. Odd ones are offered by the initiator, even ones by the responder. A session without
//! KEM stays in epoch 0, and a field of type 1 to 3 in it is refused.
//!
//! | state | meaning |
//! |---|---|
//! | idle | nothing outstanding |
//! | offered | this side has offered; it keeps seed and public key |
//! | agreed | this side has the answer; it mixes at its next own root step |
//! | asked | the peer has offered; this side encapsulates when its next chain begins |
//! | answered | this side has answered; it repeats the ciphertext until it sees the epoch in use |
//!
//! * An offer is *due* after 32 messages of the epoch, both directions counted, or a day after it began, or on request.
//! * When a side begins a sending chain, after its root step: in *idle*, if an offer is due and the next epoch
//!   is its own, it makes a key pair and is *offered*; if it is due and the other's, it sends *want*. In
//!   *asked* it encapsulates and is *answered*. In *offered* the first message carries the same offer again, in
//!   *answered* the same answer.
//! * The initiator's first chain begins with the session, before any message; it carries no field.
//! * A received *want* counts as a request. It is heeded when the receiver's turn comes.
//! * An offer received in *idle* leads to *asked*. The same key again changes nothing; another is equivocation,
//!   and the first is kept. An offer for an epoch that is one's own to offer is out of turn; so is an answer
//!   where nothing was offered.
//! * An answer received in *offered* leads to *agreed*; the same again changes nothing, another is equivocation.
//! * Fields in a message of an epoch that is past are ignored.
//!
//! ```text
//! mix = ExpandWithLabel(KEM secret, "kem epoch", uint64 epoch ‖ H(public key) ‖ H(ciphertext), 32)
//! ```
//!
//! with the number of the *new* epoch. The offerer, in *agreed*, enters the epoch with its next root step and
//! mixes there. The answerer enters it when a message under a new ratchet key carries the next epoch and opens.
//! A new ratchet key may carry the current epoch or, in *answered*, the next; anything else is refused. A known
//! ratchet key keeps the epoch of its chain.
//!
//! So an epoch takes an offer, an answer and a step: at most three round trips. A lost message delays it and breaks
//! nothing, since offer and answer are repeated in each chain.
//!
//! # Resumption secrets
//!
//! The handshake makes the first (label `resumption secret`), each root step the next (label `ratchet resumption`). The
//! current one and four before are kept.
//!
//! ```text
//! name = ExpandWithLabel(resumption secret, "resumption name", "", 8)
//! ```
//!
//! # Heartbeat
//!
//! After 50 messages read without one sent, an empty message is due, so that a device that only reads begins
//! new chains too. Empty messages do not count. It goes to accounts only that may see one's presence, and to one's own.
//!
//! # Exporter
//!
//! ```text
//! export(label, context, n) = ExpandWithLabel(exporter secret, "exported", opaque label<V> ‖ opaque context<V>, n)
//! ```
//!
//! The same on both sides for the whole life of the session. It does not heal with the ratchet: after a theft
//! of the state, open a new session first.
