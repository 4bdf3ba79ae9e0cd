//! How to build a client on this crate.
//!
//! The whole integration is a loop, two hooks, a store and a timer. The loop is on the crate's first page, and a
//! program with all of it is [`hour`](super::hour), as code that is compiled.
//!
//! # The parts
//!
//! | part | what it does |
//! |---|---|
//! | connection | after binding, hand in `Input::Connected`; when the stream is gone, `Input::Disconnected` |
//! | hook in | every stanza that comes, before the library matches its own iqs, as `Input::Received` |
//! | hook out | every stanza the client wants to send, as `Input::Outgoing` |
//! | store | the closure given to `Step::persist` applies the batch, wholly or not at all |
//! | timer | when `Engine::next_wakeup` has come, hand in `Input::Tick`; ask for it anew after each step |
//! | key agent | answers `Effect::Ask`; `LocalAgent` does it within the process |
//!
//! # To begin
//!
//! Make a `LocalAgent` (or connect to another agent), and keep its bytes where the client keeps secrets. Make a
//! `Config` with the account's bare JID and the agent's identity. `Engine::new` makes the engine of a new
//! device; `Engine::restore` takes back what the store has. Both are the same afterwards: an engine goes on
//! from whatever it finds.
//!
//! The identity of one device must not be used by two engines at once. A second device of the same account gets
//! an agent of its own: `LocalAgent::for_new_device`.
//!
//! Hand in the roster: each entry as `Input::Roster`, from the cache, before the first messages. Pushes and
//! results that come through `Input::Received` are read by the engine itself. Who may see the user's presence
//! gets automatic answers and one-time prekeys; nobody else.
//!
//! # Connecting
//!
//! `Connected { resumed: false }`: what was not acknowledged is sent again, byte for byte, and open requests
//! are given up. `Connected { resumed: true }` (XEP-0198): nothing is sent again, for the stream does it.
//!
//! Send the user's presence through the hook as any other stanza. The engine adds the advert; on a new device
//! it holds the presence for up to 20 seconds until keys are published, and says so with `Waiting`. Send it
//! anew after each connection that was not resumed.
//!
//! With `Config::sign_presence` contacts can tell that a status is the user's and not a server's; each change costs one
//! signature, and the presence waits for it. Before closing the stream wait for the end of the presence that says
//! `unavailable`, which is signed too. This is not for an agent that asks a person for each signature: a presence that
//! goes without advert alarms contacts.
//!
//! # Sending
//!
//! ```text
//! Outgoing { stanza, token, need }
//! ```
//!
//! The token is a number of your own. Each token of a message ends in exactly one of
//!
//! | effect | meaning |
//! |---|---|
//! | `Pass` | send the stanza as you handed it in: it is not protected |
//! | `Sent` | it is protected and stored; its bytes are in a `Send` |
//! | `Failed` | it was not sent, and why |
//!
//! Before that there may be `Waiting`. After `Sent` there may be one `Failed` with `SendError::Bounced`.
//!
//! Every stanza has a token of its own, iqs and presence too. An iq may wait, a minute at most; if you give up before,
//! take it back with `Command::Cancel`. A message to which something may refer later, a correction or a receipt, must
//! have something beside its `<body/>`, such as `<request xmlns='urn:xmpp:receipts'/>`: else its id is not protected.
//!
//! `need` says what the stanza needs:
//!
//! * `Need::Policy`: encrypted to accounts that are known to encrypt, else in clear. An iq, and a presence to a full
//!   JID, is encrypted if the device there is known; for bare JIDs iqs are answered by servers, and stay in clear.
//! * `Need::Encrypted(level)`: encrypted with at least that level, or not sent.
//! * `Need::Authenticated(authentication)`: in clear, so that everybody can use it, with a proof that it is the user's
//!   and was not altered. A delivered one has `Protection::Authenticated`: show it as readable on the way. With
//!   `Authentication::session` it is deniable; with `Authentication::signed` it is not, needs no session, and can be for
//!   anyone. An iq that publishes an item of a pubsub node can be signed too; `Engine::item` verifies what a server shows
//!   of it.
//! * `Need::Clear(consent)`: in clear although the account is known to encrypt. The consent comes only with the
//!   event that warned of its clear text.
//!
//! `Engine::outlook` tells in advance what would become of a message: the padlock. `Sent` carries the coverage:
//! which devices can read it, which cannot, and how many resources of the contact showed no advert.
//!
//! # Receiving
//!
//! | effect | what to do |
//! |---|---|
//! | `Pass` | use the stanza that came, as unprotected |
//! | `PassSigned` | the same, for a presence; its show, status, priority and capabilities are signed by that device |
//! | `Deliver` | use the stanza it carries; a message is stored, then taken with `Input::Taken(id)`. A padlock only if `Protection::is_encrypted` |
//! | neither | nothing: it was for the engine, or it was refused |
//!
//! All kinds of stanzas are delivered so: messages, presence that was sent to this user, and iqs. A delivered iq is
//! matched, or answered, by the client's own code, with the id that it was delivered with; the answer goes out through
//! the hook. The answer to a question that came in a session is encrypted, or authenticated if it needs only that; to a
//! signed one it is in clear; if the question is forgotten, after an hour or with its stream, the answer fails. An iq
//! error that follows a `Failed` with `Bounced` passes unprotected: a server's word, or anybody's on the way.
//!
//! **What is in clear must not touch what was protected.** A correction, a receipt, a retraction or a reaction that comes
//! as `Pass` is anybody's word on the way, and raises no event of its own if it has no `<body/>`: do not let it change a
//! message that was delivered. `Event::Unverified` says of the stanza behind it that it claims to be authentic, and that
//! this device cannot tell: treat it as clear text.
//!
//! A delivered stanza replaces the one that came. `Context` tells who sent it; show that and not the stanza's
//! resource. If `id_protected` is false, do not let receipts or corrections refer to the stanza's id. `again`
//! is true if it may have been delivered before: look at what you stored. What servers had added, such as the time of a
//! delay, is in `unauthenticated`: use it as you would without encryption. `dropped` names what else stood beside the
//! protected part and is nobody's word; log it.
//!
//! Messages of one device belong in the order of `Context::sent`, which rises from one to the next. Servers mostly
//! keep that order; ejabberd mixes it when it resumes a session. A client shows what comes, and sorts by it.
//!
//! **Copies.** Carbons and archive results go in like all else. A protected message in one is delivered *in its
//! place*: the carbon or result comes back with the message readable inside, so the client's own code for XEP-0280
//! and XEP-0313 works on. `Context::via` says so, and a copy of what another own device sent has the own account as
//! `sender` and the contact as `addressed`. The same message twice is `Event::Duplicate`, whichever way it came; so
//! is what this device sent itself. Copies that somebody else than the own server made are `Rejected`, and do not
//! pass. What is in clear in an archive passes without event, for it may be older than the contact's keys: show it
//! as unprotected.
//!
//! **What could not be read.** Every protected stanza that comes is one event: `Deliver`, `Duplicate` or `Rejected`; only
//! the engine's own short messages are none. With `recoverable` the engine asks the device for it, within seconds or
//! at most an hour after the last time: show a placeholder where the message would stand, and drop it when
//! `Recovering` has been followed by deliveries, or leave it to the user to ask. What comes again has its old
//! `Context::sent`, and is delivered once. The other way, `Resent` says that a device of the contact got what it had
//! missed. `Config::resend_memory` bounds what is kept for that; it is on, for most applications keep the
//! same texts in their history. If yours does not, or deletes messages early, turn it `ResendMemory::OFF`.
//!
//! **Other encryption.** `Foreign` says that the message behind it, which passes, is under OMEMO, OpenPGP or another:
//! hand it to the code for that, and show its body, a fallback that anybody can have written, without a padlock.
//!
//! **Catching up.** Hand in `Command::CatchUp { active: true }` before an archive is read of what came in an absence, and
//! `active: false` when it has been: meanwhile keys are not deleted for their age, whichever end is read first.
//!
//! **After an absence** send presence, and then read the archive from the last id that was dealt with; hold back
//! what comes live until that is done. Prosody does not send from the offline store what a client could read in the
//! archive, so what came between the reading and the presence would be missed until the next time.
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
//! * scanned: `Fingerprint::parse_uri`, then `Command::Scanned`. If that is another key than the known one,
//!   `CodeMismatch` alarms and nothing changes. If no key is known, the first must be this one, or it is a changed key; and
//!   nothing goes to the contact in clear any more.
//!
//! `AcceptKey` takes the key before too, so that a user who accepted or rejected in error can go back.
//!
//! `NewDevice` and `DeviceRetired` with the own account as peer are of the user's own devices: one that the user has not
//! added means that somebody has the account key.
//!
//! **Coverage.** `Sent` says which devices can read the stanza, and which live ones cannot, and why. With
//! `Config::partial` off it fails with `Incomplete` instead.
//!
//! # The other effects
//!
//! | effect | what to do |
//! |---|---|
//! | `Send` | put the bytes on the stream, unchanged; when the server has them, hand in `Input::Acknowledged(id)` |
//! | `Ask` | give the request to the key agent; its reply comes back as `Input::Agent`, now or in five minutes |
//! | `Notify` | show or log the event; `KeyChanged`, `CodeMismatch`, `ClearText` and `AdvertMissing` are for the user |
//!
//! `PublishFailed` says why keys are not in PEP as they should be. Messages flow all the same between those who are
//! online together, and the engine tries again by itself. Show it in the account's settings:
//!
//! | fault | meaning | who can mend it |
//! |---|---|---|
//! | `Absent` | the server has no PEP | its operator |
//! | `Refused` | the server refuses | its operator: a policy or a limit |
//! | `AccessModel` | only contacts can read the keys: no first message from others | the user, if another program made the nodes |
//! | `Lost` | the server does not keep a record for each device | its operator: more than one item for a node |
//! | `NoAnswer` | the server did not answer | time |
//!
//! `Published` says that it is mended.
//!
//! Acknowledge with XEP-0198, or with the answer to a ping that was sent after the stanza. What is never
//! acknowledged is sent again at each connection, and after a thousand the engine takes no more.
//!
//! # Comparing keys
//!
//! Two people who have a session can make sure that nobody is in between, by `Command::StartVerification` (each reads a
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
//! # Order
//!
//! * Carry effects out in the order of the vector, and vectors in the order of their steps.
//! * Hand in stanzas in the order in which they came. One input at a time: a step borrows the engine.
//! * With XEP-0198, count a stanza as handled after `persist`, not before.
//! * Do not hand in another input from within the loop over effects. Put it behind.
//!
//! # The store
//!
//! A batch is a set of records to put or delete and the generation that it builds on. Apply it in one transaction:
//!
//! ```text
//! begin;
//! update engine set generation = :generation where generation = :expected;   -- exactly one row, else roll back
//! insert or replace / delete for each change;
//! commit;
//! ```
//!
//! Values are secrets: encrypt the database or keep it where only the user can read it.
//! `store::contract::check` tests a store. For an asynchronous store there is `Step::persist_async`. If its
//! future is dropped, the batch may have been applied or not: restore the engine.
//!
//! # Backups
//!
//! A store put back from a backup is older than what the contacts have seen. Hand in `Command::Restored` as the first
//! input after it: nothing is sealed with the old state then, and messages of the time since are asked for again. Without
//! it messages are lost both ways until the engine has learnt it from others, and message keys are used twice (suite
//! 0x0003 limits that harm). A backup of the store has what `resend_memory` keeps, in clear.
//!
//! # Clones
//!
//! The same store must not run twice. A contact sees `Superseded` when a device goes on from an older state, and the
//! account's other devices do too; the device itself sees `Cloned`. If the user knows of no copy and of no backup, somebody
//! has taken the keys: retire the device from another one, and set it up anew with an agent of its own. A message number
//! used twice is `Rejected` as `Equivocation`: a suspicion only, for any server can forge it.
//!
//! **After a store conflict.** If the store refuses because the generation is another, another process has
//! written (a push extension, a second instance). This engine can store nothing more, so it can send nothing
//! more. Drop it, read the store, `Engine::restore`, go on. Nothing is lost: what the step would have done has
//! not happened. Hand the input in again.
//!
//! **After another failure** of the store (disk full), nothing has changed either. Hand the input in again later.
//!
//! **Several processes** can share a store in this way, one at a time: restore, handle, drop.
//!
//! # Restart
//!
//! After `Engine::restore`, the first step gives again what may have been lost with the effects of the last
//! one: `Deliver` with `again` for all that was not taken, `Ask` for all requests open, `Send` and `Sent` for
//! what was not acknowledged. Hand in again the stanzas whose token had not ended, before `Connected`: a token that
//! the engine knows is not sent twice, and it knows those that the server has not acknowledged.
//!
//! # Backups
//!
//! A backup of the store is older than what peers have seen. After restoring one, hand in `Command::Restored`
//! *first*. The engine then drops what must not be used again and opens new sessions. Messages that were under
//! way are lost to this device. Without that command the state may repeat keys; suite 0x0003 limits the harm.
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
//! | `Event::HistoryEnded` | store the archive, then `Command::TakeHistory` with what `finish` gave |
//!
//! Only the device named can open the file. Nothing is given out that is not authentic; that it is *whole* only `finish`
//! says, so do not show the archive as complete before. If sealing stops halfway, begin a new file; a reader that stops
//! begins again. Neither needs memory for the whole.
//!
//! An offer outlives restarts and lost messages, and ends after seven days, or when either side hands in
//! `Command::DropHistory`. `Engine::histories` lists what is open; look at it after a restart, for events are not repeated.
//! A name is what the other device was told: show it, and do not make a path of it.
//!
//! `TakeHistory` never overwrites what the user has decided on the new device. A contact whose key is verified on the old
//! device and who has first shown another one on the new raises `Event::KeyChanged`. Ask the user on both devices, before:
//! who holds the new one gets all the past. Delete the file when it is taken: until then it is as secret as its key.
//!
//! # Several devices
//!
//! The *account key* vouches for the devices of an account; contacts know this one key. It is in the agent of at
//! least one device.
//!
//! * First device: `LocalAgent::generate`. Back `LocalAgent::to_bytes` up where only the user gets at it: who has lost
//!   all devices and this cannot go on under the same key.
//! * Another device, by linking: `LocalAgent::without_account_key`. It connects, sends presence, and says `Command::Link`.
//!   Every device with the account key that is online gets `LinkingAsked`; show it only where the user is just setting up a
//!   device, and let one say `AcceptLinking`. Both then get `LinkingString`. The user compares and says `ConfirmLinking` on
//!   both; `Linked` follows on both, or `LinkingFailed`, which says why. Ten minutes are all there is. Such a device
//!   cannot link or retire others; its certificate is renewed by those with the key.
//! * Another device, with a copy of the account key: `LocalAgent::for_new_device` of the backup. It adds itself.
//! * If the account shows another account key than this agent's, `OtherAccountKey` says so, and nothing is published or sent.
//!   Most often the user has another device already: link instead, with a new store. `Command::BeginAnew` is for those who
//!   have lost everything; contacts see `KeyChanged`.
//!
//! `Engine::own_devices` lists them, with names (`Command::NameDevice`; only own devices see them), with the end of their
//! certificates and when they were last heard of. A new one is `NewDevice` with the own JID on the others: show it, for it
//! should be no surprise. `Command::RetireDevice` shuts a lost one out; that one gets `Retired` when it comes online.
//!
//! # Time
//!
//! `Env::now` is the wall clock. If it goes back, the engine takes it as standing still. A clock that is wrong
//! by more than a day makes certificates and adverts of others invalid.
//!
//! # Large accounts
//!
//! Sessions and skipped keys can be left out of memory: `Engine::restore_some` with only their keys,
//! `Engine::evict_idle`. If one is needed, an input fails with `Error::NotLoaded` and has changed nothing;
//! `Engine::load` the records it names and hand the input in again. A client that restores everything never
//! sees this.
//!
//! # Errors
//!
//! `Engine::handle` gives `Err` for a mistake of the client (`Misuse`) and for `NotLoaded`. Whatever the
//! network sends gives `Ok`: a bad stanza is an event `Rejected`.
//!
//! # What to show a user
//!
//! * A padlock from `outlook` before sending and from `Protection` after receiving. Never draw it from anything else.
//! * A changed key: nothing goes to the contact until the user accepts with `Command::AcceptKey`. Say that it
//!   may be a new installation, or an attack.
//! * Clear text of a contact that encrypts: show it as such, apart from protected text.
//! * Devices left out of a message, if it matters.
