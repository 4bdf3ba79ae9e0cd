//! The handshake: hybrid, deniable, asynchronous, in one flight.
//!
//! It stands in the line of X3DH and PQXDH. The transcript hash `h` and the chaining key `ck` are as in Noise: whatever
//! is sent or known goes into `h`, whatever is agreed goes into `ck` together with `h`.
//!
//! # Symmetric state
//!
//! ```text
//! start        h = H(name);  ck = h          name = "xmpp-e2e 0 handshake " + four hexadecimal digits of the suite
//! MixHash(x)   h = H(h ‖ len32(x) ‖ x)
//! MixKey(L,v)  ck = ExpandWithLabel(HKDF-Extract(ck, v), L, h, Nh)
//! Seal(p)      c = AEAD(key, nonce, aad = h, p);  MixHash(c)
//!              key   = ExpandWithLabel(ck, "seal key", h, key length)
//!              nonce = ExpandWithLabel(ck, "seal nonce", h, nonce length)
//! ```
//!
//! The digits of the name are lower case: suite `0x0002` has the name `xmpp-e2e 0 handshake 0002`.
//!
//! # Legs
//!
//! A Diffie-Hellman result never enters by itself. It enters as
//!
//! ```text
//! leg(L, DH, pI, pR) = ExpandWithLabel(HKDF-Extract(salt = L, DH), L, pI ‖ pR ‖ h, 32)
//! ```
//!
//! with the initiator's public key `pI`, the responder's `pR`, and `h` as it is at that point. The salt is the label
//! without the prefix. Whoever computes the Diffie-Hellman refuses a result that is zero. So an agent that holds a
//! private key gives out legs only, which serve for nothing but this place of this handshake.
//!
//! | label | initiator's key | responder's key |
//! |---|---|---|
//! | `leg es` | ephemeral `e` | signed prekey |
//! | `leg ea` | ephemeral `e` | device agreement key |
//! | `leg eo` | ephemeral `e` | one-time prekey |
//! | `leg sp` | device agreement key | signed prekey |
//! | `leg aa` | device agreement key | device agreement key |
//!
//! # The flight
//!
//! ```text
//! struct {
//!     uint16  suite;
//!     uint32  record_sequence;         // of the responder's record
//!     uint32  one_time;                // id of the one-time agreement prekey, or 0
//!     uint32  kem_prekey;              // id of the KEM prekey, one-time or the record's; 0 without KEM
//!     opaque  e<V>;
//!     opaque  kem_ciphertext<V>;       // empty without KEM
//!     opaque  sealed<V>;               // at most 8,192 bytes
//! } Flight;
//!
//! struct {
//!     opaque     certificate<V>;       // the initiator's, exact bytes
//!     uint16     suites<V>;            // the initiator's, with grease; at most 32
//!     uint64     counter;
//!     uint32     list_version;         // of the initiator's account
//!     opaque     resumption<V>;        // a name of 8 bytes, or empty
//!     Extension  extensions<V>;        // at most 16
//! } Payload;
//! ```
//!
//! The *clear header* is the first five fields of `Flight`, `suite` to `e`, encoded as there.
//!
//! # Prologue
//!
//! ```text
//! struct {
//!     uint8   version;                 // 0
//!     uint16  suite;
//!     opaque  initiator<V>;            // bare JID
//!     opaque  responder<V>;            // bare JID
//!     uint32  initiator_device;
//!     uint32  responder_device;
//!     opaque  record[32];              // digest of the responder's record
//! } Prologue;
//! ```
//!
//! # Steps
//!
//! | step | initiator | responder |
//! |---|---|---|
//! | 1 | `MixHash(Prologue)` | the same, with the digest of its record of that sequence |
//! | 2 | make `e`; `MixHash(clear header)` | `MixHash(clear header)` as received |
//! | 3 | `MixKey("leg es", leg es)` | the same |
//! | 4 | `MixKey("leg ea", leg ea)` | the same; the leg is asked of the key agent |
//! | 5 | if `one_time` is not 0: `MixKey("leg eo", leg eo)` | the same |
//! | 6 | with a KEM: encapsulate to the KEM prekey; `MixHash(KEM public key)`; `MixHash(ciphertext)`; `MixKey("kem", secret)` | decapsulate, and the same |
//! | 7 | `sealed = Seal(Payload)` | open, check |
//! | 8 | `MixKey("leg sp", leg sp)`; `MixKey("leg aa", leg aa)` | the same; `leg aa` is asked of the key agent |
//! | 9 | if the payload names one: `MixKey("resumption", resumption secret)` | the same |
//! | 10 | derive from `ck` and `h`: `session id` (16), `root` (32), `resumption secret` (32), `exporter` (32) | the same |
//!
//! `h` does not change between the steps 2 and 6, nor after 7; all legs of steps 3 to 5 share one `h`, those of step 8
//! another. The last `h` is the *transcript* of the session. The ephemeral private key is deleted after step 5.
//!
//! In step 6 the KEM prekey is a one-time one if the initiator got one, else that of the record. The two kinds
//! of one-time prekeys are independent: a flight may use either, both or none. With a classical suite
//! `kem_prekey` is 0 and `kem_ciphertext` is empty; with a hybrid one neither is. Another length of `e` or
//! ciphertext than the suite's is refused.
//!
//! After step 10 the initiator makes its first ratchet key, which is not `e`, and seals the first message with
//! it. The responder's first ratchet key is the signed prekey that the flight named. The first message stands
//! behind the flight in the same stanza; see [`stanza`](super::stanza). Until a message of the responder has
//! been opened in the session, the initiator repeats the same flight, byte for byte, before each message.
//!
//! # What the responder checks
//!
//! Before step 1: that it knows the suite and listed it in that record, that the suite has its least level,
//! that it still has the private keys named, and that this `e` has not been accepted before.
//!
//! After step 7, in this order:
//!
//! 1. The suite of the flight is in the initiator's list.
//! 2. The certificate verifies and holds now.
//! 3. Its JID is the bare sender of the stanza, its device the sender's device of the stanza.
//! 4. If the sender is the own account: the account key is the own one.
//! 5. The suite is what [negotiation](super::suites) gives for both lists.
//! 6. If a device list of the account is known: it accepts the certificate. A device that the list does not name at all
//!    passes if the payload names a higher list version than the known one; that list is then fetched. It does not pass
//!    if a list before has retired it, or if its sessions were closed three times since no list lets it live, and none
//!    has named it since.
//! 7. If the device is known: the certificate may follow the known one.
//!
//! After step 9 the first message must open in the new session and its content must decode. Only then is the
//! initiator proven, and only then does anything change. In one batch: the account key is taken or compared,
//! the device noted, the flight noted as accepted, the one-time prekeys used are deleted, the session stored.
//!
//! While the key agent is asked, later stanzas of the same device wait behind the flight.
//!
//! # The counter
//!
//! Each device keeps, for each device it has to do with, the highest counter it has sent and the highest it has
//! seen. A new handshake has the higher of the two plus one. It decides which session is used; see
//! [`conduct`](super::conduct).
//!
//! # Resumption
//!
//! An initiator that has a session with the device names that session's current resumption secret. So the new
//! session is chained to the old one, and an attacker who has stolen long-term keys but not the session cannot
//! slip in unseen.
//!
//! The responder looks for the name in all its sessions with that device:
//!
//! * The current secret, or the one before if the last root step was the responder's own: the handshake is chained.
//! * A kept one that is older: it is accepted, and an event tells that the peer's state was rolled back or cloned.
//! * Unknown: the handshake is refused, and the responder opens one of its own, at most once an hour for a
//!   device. It names the responder's own session; if the responder's own last flight to that device has had no
//!   answer, it names none.
//!
//! A handshake without a name is accepted. If there is a session with the device that has been answered, an
//! event tells it.
