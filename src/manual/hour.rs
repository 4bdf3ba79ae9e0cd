//! The hour: add end-to-end encryption to your client.
//!
//! You need an XMPP library that connects, and five places in your client. Below is all of it, a program that runs:
//! `cargo run --example minimal`. Take `Encryption` as it is, and replace what stands for your library.
//!
//! 1. **Open** the engine when the account is opened. `LocalAgent` holds the private keys of account and device:
//!    make it once with `generate` on the *first* device of an account, with `without_account_key` on any other, which
//!    then says `Command::Link`; keep its `to_bytes` where you keep secrets. The store gives back what `apply` was given;
//!    a new store is a new device, and needs an agent of its own.
//! 2. **Connect.** After binding, tell the engine the full JID, and the roster from your cache. If your library
//!    resumes sessions (XEP-0198) say `resumed: true` then; it sends again what was lost, and the engine does not.
//! 3. **Hook out.** Each stanza that your client is about to send goes to `send`. What comes back as `Effect::Pass`
//!    is sent as it is; `Effect::Send` has what to send instead. Presence goes the same way: it takes along the
//!    advert by which others learn your keys.
//! 4. **Hook in.** Each stanza that came goes to `received`, before the library looks for the iq that it answers:
//!    the engine asks questions of its own. `Effect::Deliver` has the stanza as if it had come unprotected, for the
//!    code that you have already.
//! 5. **Timer.** When `next_wakeup` has come, `Input::Tick`. Ask for it again after each step.
//!
//! Then the user: show `Engine::outlook` before a message is sent (the padlock), `Effect::Sent` after it (who can
//! read it), and `Effect::Notify` in words. [`users`](super::users) says of every event what to do with it, and how other
//! devices get in; [`guide`](super::guide) has the rest: roster pushes, acknowledgements, restarts.
//!
//! Two things that this program leaves out and a client must do:
//! * keep `Effect::Send`'s id with the stanza, and hand in `Input::Acknowledged` when the *server* has it. Here a
//!   function call is the network;
//! * hand in `Input::Taken` when the *user's* message store has what was delivered, not before.
//!
//! Clients on tokio-xmpp need none of this: `xmpp-e2e-client` is such an integration, with reconnection, archive and
//! carbons. Those whose library has parsed stanzas hand them in as trees, without text in between: `xmpp-e2e-minidom`
//! does it for xmpp-rs, and is a page long.
//!
//! # The program
//!
#![doc = concat!("```\n", include_str!("../../examples/minimal.rs"), "```")]
