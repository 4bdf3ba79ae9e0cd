//! The manual: what is on the wire, how to build a client on this crate, and what it protects against.
//!
//! These modules hold text and no code.
//!
//! | chapter | for whom |
//! |---|---|
//! | [`specification`] | who writes a second implementation |
//! | [`hour`] | who wants encryption in a client that exists, today |
//! | [`guide`] | who writes a client |
//! | [`users`] | who shows keys, devices, backups and events to people |
//! | [`security`] | who has to say what a user may rely on |
//! | [`defaults`] | who wants to change a default, or to know why a bound is what it is |
//! | [`deviations`] | who knows the design this began from |

#![expect(clippy::doc_markdown, reason = "prose, full of names")]

pub mod defaults;
pub mod deviations;
pub mod guide;
pub mod hour;
pub mod security;
pub mod specification;
pub mod users;
