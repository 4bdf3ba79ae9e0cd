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
//! `LocalAgent::generate` is for the account's *first* device only: it makes the account's key. How others get in is in
//! [`users`](super::users). `Engine::standing` says what this device is to its account. The identity of one device must not
//! be used by two engines at once.
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
//! | `Sent` | it is stored, and its bytes are in a `Send`. It is encrypted unless its coverage says `clear` or `readable` |
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
//! * `Need::Policy`: encrypted to accounts that are known to encrypt, and to the user's own (a note to oneself) if it has
//!   other devices; else in clear. An iq, and a presence to a full JID, is encrypted if the device there is known; for
//!   bare JIDs iqs are answered by servers, and stay in clear.
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
//! the engine's own short messages are none. With `recoverable` the engine asks the device for it: within seconds
//! the first time, then after one, two, four and eight hours; of archives only during `CatchUp`, and for seven days after
//! `Restored`; and only of contacts who may see the user's presence. Show a placeholder where the message would stand. Drop
//! it when `Recovering` has been followed by deliveries; what has not come after eight days will not come. What comes again has its old
//! `Context::sent`, and is delivered once. The other way, `Resent` says that a device of the contact got what it had
//! missed. `Config::resend_memory` bounds what is kept for that; it is on, for most applications keep the
//! same texts in their history. If yours does not, or deletes messages early, turn it `ResendMemory::OFF`.
//!
//! **Other encryption.** `Foreign` comes before a message that says that it is under OMEMO, OpenPGP or another, and
//! passes: hand it to the code for that. If that cannot decrypt it, or there is none, anybody on the way can have made
//! it so: show its body, if at all, as unprotected. No `ClearText` warns of it, for a contact that encrypts may have a
//! second client that speaks only OMEMO. When sending, `Need::Policy` to a contact that encrypts also seals what
//! another encryption has made: look at `Engine::outlook` before you encrypt with another.
//!
//! **Catching up.** Hand in `Command::CatchUp { active: true }` before an archive is read of what came in an absence, and
//! `active: false` when it has been: meanwhile keys are not deleted for their age, whichever end is read first, and what
//! cannot be read is asked for again.
//!
//! **After an absence** send presence, and then read the archive from the last id that was dealt with; hold back
//! what comes live until that is done. Prosody does not send from the offline store what a client could read in the
//! archive, so what came between the reading and the presence would be missed until the next time.
//!
//! # The other effects
//!
//! | effect | what to do |
//! |---|---|
//! | `Send` | put the bytes on the stream, unchanged; when the server has them, hand in `Input::Acknowledged(id)` |
//! | `Ask` | give the request to the key agent; its reply comes back as `Input::Agent`, now or in five minutes |
//! | `Notify` | show, ask or log, as [`users`](super::users) says of each event |
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
