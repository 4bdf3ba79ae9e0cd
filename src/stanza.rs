//! Stanzas: read strictly, written plainly, and what is inside a protected one.

pub(crate) mod canonical;
mod chars;
mod content;
mod control;
pub(crate) mod covered;
mod element;
pub(crate) mod envelope;
#[cfg(test)]
mod generate;
mod hints;
mod padding;
mod reader;
mod tree;
pub(crate) mod wrap;
mod writer;

pub(crate) use content::{AnswerTag, Body, Content, MAX_CONTENT, OUTSIDE};
pub(crate) use control::{Again, Control, Resend};
pub(crate) use covered::{Uncoverable, Uncovered, attach, attached, cover, uncover};
pub(crate) use element::{Attribute, Element, Node};
pub use hints::Hints;
pub(crate) use hints::{is_for_servers, is_from_servers, is_hint, is_out_of_place};
pub use padding::Padding;
pub(crate) use reader::{MAX_DEPTH, MAX_STANZA, parse, parse_children};
pub use tree::{Tree, TreeBuilder, Visitor};
pub(crate) use writer::{write, write_children, write_stanza};

/// The default namespace of a client's stream (RFC 6120, section 4.8.2).
pub(crate) const CLIENT_NS: &str = "jabber:client";

/// The stanzas (RFC 6120, section 8.2).
pub(crate) const MESSAGE: &str = "message";
pub(crate) const PRESENCE: &str = "presence";
pub(crate) const IQ: &str = "iq";

/// The namespace that the prefix `xml` is bound to (Namespaces in XML 1.0, section 3).
pub(crate) const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";
