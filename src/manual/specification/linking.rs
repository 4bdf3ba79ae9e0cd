//! Linking: how a device of an account takes in a new one that has no account key, and what devices of one account
//! tell each other besides.
//!
//! # The run
//!
//! 1. The new device fetches the own account's records and list, and takes the account key that they show as a claim. It
//!    signs a *provisional certificate* with its own signing key.
//! 2. It opens a [handshake](super::handshake) with each device at hand that the list has (up to four here), with the
//!    provisional certificate as its own, no one-time prekeys and no resumption. In this session both sides take
//!    nothing but the messages below; anything else is refused as *out of turn*. The old device does not make it its
//!    live session, does not answer the flight by itself, and does not add the new device to those it knows.
//! 3. *Request*, with a commitment. The old device's user is asked.
//! 4. *Accept*, with the old device's contribution. To all other devices asked the new one sends *abort* (elsewhere).
//! 5. *Reveal*, with the contribution that the commitment was to. The old device ends the run if it is another.
//! 6. Both show the string. Each user who sees that they are the same says so; the new device then sends *confirmed*.
//! 7. When its own user has agreed and *confirmed* is there, and not before, the old device has its agent certify the keys
//!    of the provisional certificate, and makes a list with the new device in it.
//! 8. *Certificate*. The new device takes it only if its user has agreed, and only if account key, JID, device and
//!    all its keys are those compared, the dates are good, the list is by that account key, no older than one it
//!    knows, and accepts the certificate. It answers *done*. Both drop the session. What follows is an ordinary
//!    handshake with the new certificate.
//!
//! The account's private key stays where it is.
//!
//! A device whose certificate has ended is linked again in the same way, under its number and with its keys; so is one
//! whose account shows another account key. It forgets its sessions with the account's devices when it begins, and the
//! old device forgets its own when it certifies. If the records show several account keys, the one of the list is the
//! claim. A run that fails leaves certificate, account key and list as they were.
//!
//! # Provisional certificate
//!
//! A [`CertificateTBS`](super::identity) with the flag *linking*, the account key as shown, and at most ten minutes between
//! `not_before` and `not_after`; signed by its own `signing_key` under the label `provisional certificate`. It is taken in a
//! flight from the own account only, and nowhere else.
//!
//! # Messages
//!
//! The body of the [control](super::stanza) type 5 is `opaque message<V>`, and that is
//!
//! | type | name | from | after the type byte |
//! |---|---|---|---|
//! | 1 | request | new | `opaque run[16]; opaque commitment[32]` |
//! | 2 | accept | old | `opaque run[16]; opaque contribution[32]` |
//! | 3 | reveal | new | `opaque run[16]; opaque contribution[32]` |
//! | 4 | confirmed | new | `opaque run[16]` |
//! | 5 | certificate | old | `opaque run[16]; opaque certificate<V>; opaque list<V>` |
//! | 6 | done | new | `opaque run[16]` |
//! | 7 | abort | both | `opaque run[16]; uint8 why` |
//! | 8 | name | own devices | `opaque name<V>`: UTF-8, at most 64 bytes, no control characters |
//! | 9 | renew | own devices | nothing |
//! | 10 | renewed | own devices | `opaque certificate<V>` |
//!
//! Why a run ends: 1 cancelled, 2 the strings differ, 3 too late, 4 elsewhere, 5 refused, 6 another account key, 7 the
//! agent, 8 too many, 9 not what was agreed on. An unknown number is a cancellation. A message that names another run is
//! refused, one that does not fit the state of the run is ignored: only the device of a run, in its session, can end it.
//! What has had no answer is said again every minute.
//!
//! # String
//!
//! ```text
//! struct { uint32 device; PublicKey signing_key; PublicKey agreement_keys<V>; } DeviceKeys;
//! struct {
//!     opaque jid<V>; AccountKey account; DeviceKeys new; DeviceKeys old; opaque session[16]; opaque run[16];
//! } Transcript;
//! commitment = SHA-256(opaque "xmpp-e2e 0 linking commitment"<V> ‖ Transcript ‖ opaque contribution_of_new<V>)
//! s = SHA-256(opaque "xmpp-e2e 0 linking string"<V> ‖ Transcript ‖ opaque contribution_of_new<V>
//!             ‖ opaque contribution_of_old<V>)
//! ```
//!
//! `session` is the id of the session. The first six bytes of `s`, as a number, are shown as 15 decimal digits in
//! three groups of five, or as the words of [`verification`](super::verification). Contributions are 32 random bytes, of
//! each run and device their own. The new device has
//! committed itself before it sees the other's, so whoever stands between meets the string by chance, once in 2^48 tries;
//! and has three in an hour.
//!
//! # Limits
//!
//! A run lasts ten minutes at most. A device takes part in one at a time; a new request of the same keys replaces one that
//! the user has not decided. Three comparisons and six requests an hour. The old device may be cancelled until it certifies.
//!
//! # Names and renewal
//!
//! Types 8 to 10 go in ordinary sessions between devices that the list accepts. A device without account key asks another for
//! its next certificate from 90 days before its own ends, one device a day, in turn. The other certifies the same keys
//! when it is time, with a higher serial. The device takes it if it follows its own and has the same keys; so it does with
//! the one in its own published record, for a backup may hold the one before, which peers refuse as rolled back. A
//! certificate that has ended is not renewed: the user compares again.
