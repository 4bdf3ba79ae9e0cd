//! What users decide, and what clients show them: keys, devices, backups, and every event.
//!
//! # Trust
//!
//! People verify one account key for each contact. What has been decided about it is `Contact::decision`, from
//! `Engine::contact`: a state, by what means, and when. `Engine::trust_history` has what held before. Each `Deliver` says
//! in `Context::trust` how far the sender was trusted when the message came; store it with the message. The own account's
//! devices are verified.
//!
//! Whether a stanza is sealed to a contact is decided anew for each, when it is sealed, also for one that has waited:
//!
//! | the key is | `FirstUse` | `FirstUseUntilVerified` | `VerifiedOnly` | `Application` |
//! |---|---|---|---|---|
//! | the first | sent | sent, if no key of the contact was ever verified | `Untrusted` | `Untrusted` |
//! | accepted with `AcceptKey` | sent | the same | `Untrusted` | sent |
//! | `FirstUse` by `SetTrust` | sent | the same | `Untrusted` | sent |
//! | verified | sent | sent | sent | sent |
//! | distrusted | `Distrusted` | `Distrusted` | `Distrusted` | `Distrusted` |
//! | changed, and not accepted | `KeyChanged` | `KeyChanged` | `KeyChanged` | `KeyChanged` |
//!
//! The words are those of `SendError`; nothing goes out in clear instead. `Engine::outlook` says them beforehand. The
//! policy is `Config::trust`, or the contact's own by `Command::SetPolicy`. A stanza that fails so can be handed in again
//! once the user has decided. A contact that is distrusted gets no automatic messages either; what it sends is delivered.
//! What is signed for anyone needs no trust, and so does what the user consents to send in clear. What was sealed before
//! a decision is not called back.
//!
//! **Fingerprints.** `Engine::fingerprint` is the own one, `Contact::fingerprint` a contact's, and
//! `Contact::changed_fingerprint` that of a key nobody has accepted. Show `digits`, `words`, and `uri` as a QR code. What
//! the user has looked at is then decided:
//!
//! * compared by eye or ear: `Command::SetTrust` with the digest of the key that was on the screen, so that a key which
//!   changed meanwhile is not taken for it; `Fingerprint::matches` compares what was typed;
//! * scanned: `Fingerprint::parse_uri`, then `Command::Scanned`, once the user knows whose code it is:
//!   `Fingerprint::jid` must be the contact's that is shown. Each scan ends in one `Scanned`, but for the own code on a
//!   device that waits to be linked. `Mismatch` alarms and changes nothing: messages go to the key known as before, so
//!   offer `SetTrust { Distrusted }`. `Expected` means that no key is known and the first must be this one
//!   (`Contact::expected`); nothing goes to the contact in clear any more, and while it has no keys messages fail with
//!   `NoKeys`.
//!
//! **A changed key.** `SetTrust` is only about the key known, `Contact::account_key`: with the digest of a changed one
//! it is `Misuse::Key`. If the user
//!
//! * has compared it by eye or ear: `AcceptKey`, then `SetTrust { Verified, Means::Fingerprint }`, both with its
//!   digest;
//! * has scanned it: `Scanned` alone;
//! * has not compared it: `AcceptKey` alone. That does not verify it, unless another own device has
//!   (`verified_elsewhere`).
//!
//! A short string or a question can compare it only after `AcceptKey`. From then on messages go to it as the policy
//! says: if nothing may go out before it is verified, `SetPolicy { VerifiedOnly }` first.
//!
//! **Back.** `AcceptKey` takes a key of before too, so that a user who accepted or rejected in error can go back: the
//! newest in `Engine::trust_history` that is not `Contact::account_key`. It comes back as accepted, not as verified.
//!
//! `NewDevice` and `DeviceRetired` with the own account as peer are of the user's own devices. One that the user has
//! not added means that somebody has the account key: see [several devices](#several-devices). A device that the user
//! links here is not announced here.
//!
//! **Coverage.** `Sent` says which devices can read the stanza, and which live ones cannot, and why. With
//! `Config::partial` off it fails with `Incomplete` instead.
//!
//! # Comparing keys
//!
//! Two people can make sure that nobody is in between, also before their first message and under any policy, by `Command::StartVerification` (each reads a
//! short string to the other by telephone or in person) or by `Command::StartSecret` (one asks what only the other can
//! answer; neither the answer nor anything to test guesses with is sent).
//!
//! | event | what to do |
//! |---|---|
//! | `VerificationStarted` | the contact is being asked; offer `CancelVerification` |
//! | `VerificationAsked` without question | ask the user: `AcceptVerification` or `CancelVerification` |
//! | `VerificationAsked` with a question | show the question, as the contact's words: `AnswerSecret` or `CancelVerification` |
//! | `VerificationString` | show `digits` or `words`, and ask: `ConfirmVerification { same }`. Do not send the string in a message |
//! | `VerificationDone` | both have confirmed; `TrustChanged` says that the key is verified |
//! | `VerificationFailed` | close the dialogue and say why. `Mismatch` and `WrongSecret` may be an attack, or a slip: the user may try again, three times an hour |
//!
//! A dialogue belongs to a run and closes with it; a click that comes later does nothing. After a restart the events that
//! open dialogues come again. A run is with one device of the contact: the one named, else the one online or last heard
//! from. One that is not online gets it late or not at all, as servers have it; ten minutes after its start a run is over.
//!
//! # Several devices
//!
//! The *account key* vouches for the devices of an account; contacts know this one key. It is in the agent of at
//! least one device.
//!
//! * First device: `LocalAgent::generate`. Back `LocalAgent::to_bytes` up where only the user gets at it: who has lost
//!   all devices and this cannot go on under the same key. The backup is for `for_new_device`, not to be run beside the
//!   device it was made of. A store that is lost while the agent is kept: `for_new_device` of its bytes with a new store,
//!   and `RetireDevice` of the old number.
//! * Another device, by linking: `LocalAgent::without_account_key`. It connects, sends presence, and says `Command::Link`.
//!   Every device with the account key that is online gets `LinkingAsked`; show it only where the user is just setting up a
//!   device, and let one say `AcceptLinking`. Both then get `LinkingString`. The user compares and says `ConfirmLinking` on
//!   both; `Linked` follows on both, or `LinkingFailed`, which says why. Ten minutes are all there is. Such a device
//!   cannot link or retire others; its certificate is renewed by those with the key.
//! * A linked device whose certificate has ended, for it or those with the key were off for too long, or which the
//!   account's list does not name, for that was made where no other was shown: `Engine::standing` is `Unlinked` again. `Command::Link` links it as before; contacts, decisions and the sessions
//!   with contacts stay.
//! * Another device, with a copy of the account key: `LocalAgent::for_new_device` of the backup. It adds itself.
//! * If the account shows another account key than this agent's, `OtherAccountKey` says so, and nothing is published or sent.
//!   Most often the user has another device already: link instead. That takes an agent without account key and an empty
//!   store; here `Link` is `Misuse::Identity`. `Command::BeginAnew` is for those who have lost everything; contacts see
//!   `KeyChanged`.
//!
//! A new store knows nobody who encrypts: until a contact's advert has been verified `Need::Policy` goes out in clear,
//! and the first key that comes is believed. Take the [history](#history-for-a-new-device) over before the first
//! message, send with `Need::Encrypted` to those with whom the client's archive shows encrypted messages, and
//! `SetPolicy` again.
//!
//! `Engine::own_devices` lists them, with names (`Command::NameDevice`; only own devices see them), with the end of
//! their certificates and when they were last heard of. A new one is `NewDevice` with the own JID on the others: ask
//! whether the user has added it. `Command::RetireDevice` shuts a lost one out; that one gets `Retired` when it comes
//! online. Offer it only where `Engine::standing` is `Member { account_key: true }`. Where all devices were lost and the
//! server shows nothing of them, contacts show them to the new one. They come as `NewDevice`, and are written to and read
//! as before until they are retired, so ask at once. A device of which the new one hears nothing, for the server keeps
//! contacts from telling, is read for a week at most; `RetireDevice` takes its number, too, as an earlier `own_devices` gave
//! it.
//!
//! `Command::Leave` ends encryption for the account, on *all* its devices: ask twice. No event tells of it here, only
//! `Standing::Left`. All keys are forgotten, and messages go out in clear from then on. The other devices get
//! `Retired`, and so does one that retires itself. After `Retired` nothing goes in clear to contacts that encrypt: it
//! fails with `SendError::Left`.
//!
//! Of a lost device with the account key one question decides: can somebody else have it?
//!
//! | what has happened | what the user can do |
//! |---|---|
//! | a linked device is lost | `RetireDevice` on one with the account key; if all are lost, `for_new_device` from the backup, with an empty store, and the same there |
//! | a device *with* the account key is lost and somebody else may have it, or it was copied | whoever has it can add devices again: begin anew. `LocalAgent::generate` with an empty store, `OtherAccountKey`, `BeginAnew`; link the other devices to it, with agents and stores of their own. Contacts see `KeyChanged`, and decisions about contacts are made again |
//! | a device with the account key is destroyed, for certain | `RetireDevice` on another with the account key. If there is none: `for_new_device` from the backup, with an empty store, and `RetireDevice` of the old number once the standing is `Member`; without a backup, begin anew before the certificates of linked devices end (`OwnDevice::expires`, a year at most) |
//! | there is a device that the user has not added | somebody has the account key: `RetireDevice` at once, then begin anew, as above |
//! | this device was retired, or the user had another key before | it ends: keep the client's archive, throw agent and store away, begin with `without_account_key` and `Link` |
//! | the account has left | it does not come back under its key, and nobody is left to link to: begin anew |
//! | the account shows two keys (`AccountKeyContested`) | if the user has begun anew on another device, `Link` a linked device again, and set up one with an account key of its own as a new one. Else the server has made it up, or somebody who has the account's password: change the password, end sessions that are not the user's, and tell contacts by another way to reject the new key. Until they do they may be unable to write |
//!
//! # Backups
//!
//! A store put back from a backup is older than what the contacts have seen. Hand in `Command::Restored` as the first
//! input after it: nothing is sealed with the old state then, and messages of the time since are asked for again. Without
//! it messages are lost both ways until the engine has learnt it from others, and message keys are used twice (suite
//! 0x0003 limits that harm). A backup of the store has what `resend_memory` keeps, in clear.
//!
//! A client that cannot know whether it was put back keeps `Engine::generation` where backups do not reach, after each
//! step: if that is ahead of the store, the store is older.
//!
//! # Clones
//!
//! The same store must not run twice. A contact sees `Superseded` when a device goes on from an older state, and the
//! account's other devices do too; the device itself sees `Cloned`. If the user knows of no copy and of no backup, somebody
//! has taken the keys: retire the device from another one, and set it up anew with an agent of its own; if it has the
//! account key, that is not enough (see the table above). A message number
//! used twice is `Rejected` as `Equivocation`: a suspicion only, for any server can forge it.
//!
//! # History for a new device
//!
//! A new device reads nothing that was sent before it was there. An old one can give it the past: a sealed file with the
//! client's archive, in a form of the client's own, and with what the user has decided about contacts' keys.
//!
//! | on the old device | on the new device |
//! |---|---|
//! | `Engine::seal_history(env, device)` gives a `HistoryWriter` | |
//! | `write` piece by piece, then `finish`: each gives bytes of the file | |
//! | move the file: a cable, a stick, HTTP upload | |
//! | `Command::OfferHistory { file, name }` with what `finish` gave | `Event::HistoryOffered` |
//! | | with the file: `Engine::open_history(id)` gives a `HistoryReader` |
//! | | `read` piece by piece, then `finish`: each gives bytes of the archive |
//! | `Event::HistoryEnded`: delete the file | store the archive, then `Command::TakeHistory` with what `finish` gave, and delete the file |
//!
//! Only the device named can open the file. Nothing is given out that is not authentic; that it is *whole* only `finish`
//! says, so do not show the archive as complete before. If sealing stops halfway, begin a new file; a reader that stops
//! begins again. Neither needs memory for the whole.
//!
//! An offer outlives restarts and lost messages, and ends after seven days, or when either side hands in
//! `Command::DropHistory`. `HistoryEnded` tells of what the other side, time, newer files or a retirement have ended.
//! Whoever hands in `TakeHistory` or `DropHistory` gets none, and deletes its file then. `Engine::histories` lists what
//! is open; look at it after a restart, for events are not repeated. A name is what the other device was told: show it,
//! and do not make a path of it.
//!
//! `TakeHistory` never overwrites what the user has decided on the new device. A contact whose key is verified on the
//! old device and who has first shown another one on the new raises `Event::KeyChanged`, with `verified_elsewhere`.
//! Keys that were verified, distrusted or accepted travel; those that were only the first do not, and neither do
//! policies. To a contact that has shown no key here yet, and whose key the file brings, nothing goes in clear any
//! more. A file ends with its devices: after `RetireDevice` it can be taken no more. Ask the user on both devices,
//! before: who holds the new one gets all the past. Delete the file when it is taken: until then it is as secret as its
//! key.
//!
//! # Padlocks
//!
//! Draw a padlock from `Engine::outlook` before sending and from `Protection::is_encrypted` after receiving, and from nothing
//! else. Show clear text of a contact that encrypts apart from protected text, and devices left out of a message, if it
//! matters.
//!
//! `Need::Policy` to a contact that encrypts also seals what another encryption has made. A client that has one looks
//! at `Engine::outlook` before it encrypts with that.
//!
//! # Every event
//!
//! *Ask* opens a question that the user decides. *Show* is a line in the conversation or in the account's settings. *Log*
//! is for whoever looks for a fault. Every event comes as `Effect::Notify`; those that ask come again after a restart
//! where that is said in their own documentation.
//!
//! ## About contacts
//!
//! | event | what to do | command |
//! |---|---|---|
//! | `Encrypts` | show: from now on messages to this contact are encrypted | |
//! | `KeyChanged` | ask: a new installation, or somebody in between. With `verified_elsewhere` another own device has verified the new key, and the one used here until now may be somebody else's. Nothing goes to the contact meanwhile. What follows what: see [trust](#trust) | `AcceptKey`, and `SetTrust` after it if it was compared; `RejectKey`; `Scanned` if the contact shows the code |
//! | `KeyReused` | show: another account has this key. Unless both are one person, it is an attack | `SetTrust` |
//! | `Scanned` | show; `Mismatch` as an alarm: messages go to the key known as before. Compare again, in person | after `Mismatch`: `SetTrust { Distrusted }` |
//! | `TrustChanged` | show, beside the contact | |
//! | `NewDevice`, `DeviceRetired` | show; of one's own account: see [there](#about-the-own-account) | |
//! | `Left` | show: the contact encrypts no more, and has said so | |
//! | `ClearText` | show the message as unprotected, with a warning | the `consent` in it lets the user answer in clear |
//! | `Unverified` | show the message behind it as unprotected | |
//! | `Foreign` | hand the message to the code for that encryption. If that cannot decrypt it, or there is none, anybody on the way can have made it so, and there is no `ClearText`: show its body, if at all, as unprotected | |
//! | `AdvertMissing`, `SuitesShrank`, `RolledBack`, `ListWithheld` | show, without alarm: the contact's server, or the own one, may hide something. Log | `Forget` only if the contact says that it has left |
//! | `Superseded` | show: a device of the contact was restored from a backup, or copied | compare keys, if the contact knows of no backup |
//! | `Unchained` | log: a new session that is not a continuation | |
//!
//! ## About one message
//!
//! | event | what to do |
//! |---|---|
//! | `Rejected` with `recoverable` | show: a message could not be read, and is asked for again |
//! | `Rejected` | log; show if it is of somebody in the roster: a message could not be read |
//! | `Recovering`, `Resent` | log |
//! | `Duplicate` | nothing |
//!
//! ## Comparing keys
//!
//! | event | what to do | command |
//! |---|---|---|
//! | `VerificationAsked` | ask: the contact wants to compare; with a question, its answer | `AcceptVerification`, `AnswerSecret`, `CancelVerification` |
//! | `VerificationStarted` | keep the run's name | `CancelVerification` |
//! | `VerificationString` | ask: does the contact see the same? | `ConfirmVerification` |
//! | `VerificationDone`, `VerificationFailed` | show, and close the question | |
//!
//! ## About the own account
//!
//! | event | what to do | command |
//! |---|---|---|
//! | `LinkingAsked` | ask: has the user just set up another device? | `AcceptLinking`, `CancelLinking` |
//! | `LinkingStarted` | on the new device: it looks for others | `CancelLinking` |
//! | `LinkingString` | ask: do both devices show the same? | `ConfirmLinking` |
//! | `Linked`, `LinkingFailed` | show, and close the question | `Link` tries again |
//! | `OtherAccountKey` | ask: this device has another key than the account. To link it, close the engine, throw agent and store away, begin with `without_account_key`, and `Link`. With the backup of the key: `for_new_device` and an empty store. If everything is lost: begin anew | `BeginAnew` |
//! | `NewDevice` | ask: *did you add it, or have you lost it?* If it is lost, retire it. If it is neither, somebody has the account key: `RetireDevice` at once, then [begin anew](#several-devices) | `RetireDevice`, where the standing is `Member { account_key: true }` |
//! | `DeviceRetired` | show; if no device of the user has done it, somebody has the account key | |
//! | `Retired` | show: this device encrypts no more. It, or another, has retired it, or the account has left | with agent and store of a new device: `Link`; if the account has left, begin anew |
//! | `AccountKeyContested` | show: see [several devices](#several-devices) | |
//! | `Cloned` | show: a copy of this device is about | `RetireDevice` on another device that has the account key |
//! | `TooManyDevices` | show | `RetireDevice` on a device whose standing is `Member { account_key: true }` |
//! | `AgentFailed` | show, if an agent outside the program should be running | |
//! | `PublishFailed`, `Published` | show in the settings | |
//! | `HistoryOffered` | ask: another own device gives its history | `TakeHistory`, `DropHistory` |
//! | `HistoryEnded` | show, and delete the file | |
