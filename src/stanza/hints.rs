//! The children that servers read, and those that they write.

use super::Element;
use crate::NS;

/// XEP-0334, Message Processing Hints.
const HINTS_NS: &str = "urn:xmpp:hints";
/// XEP-0380, Explicit Message Encryption.
const EME_NS: &str = "urn:xmpp:eme:0";
/// XEP-0359, Unique and Stable Stanza IDs.
const SID_NS: &str = "urn:xmpp:sid:0";

/// What a protected message asks of servers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hints {
    /// Nothing: the smallest stanza. Servers deliver it, and commonly do not archive it.
    Bare,
    /// To be archived (XEP-0334 `<store/>`).
    Archived,
    /// To be archived, and delivered at once where a client is inactive or gets pushes: servers
    /// take a message with XEP-0380 `<encryption/>` for one with text.
    #[default]
    ArchivedAndPushed,
}

impl Hints {
    /// The same for a stanza that is not encrypted.
    pub(crate) fn kept(self) -> Self {
        match self {
            Self::Bare => Self::Bare,
            Self::Archived | Self::ArchivedAndPushed => Self::Archived,
        }
    }

    /// Adds the elements at the end of `stanza`.
    pub(crate) fn add_to(self, stanza: &mut Element<'_>) {
        let store = || Element::new(HINTS_NS, "store");
        let encryption = || Element::new(EME_NS, "encryption").with_attr("namespace", NS);
        let (archived, pushed) = match self {
            Self::Bare => (false, false),
            Self::Archived => (true, false),
            Self::ArchivedAndPushed => (true, true),
        };
        let elements = archived.then(store).into_iter().chain(pushed.then(encryption));
        stanza.children.extend(elements.map(super::Node::Element));
    }
}

/// Whether a stanza's child is a hint of XEP-0334.
pub(crate) fn is_hint(ns: &str) -> bool {
    ns == HINTS_NS
}

/// Whether a stanza's child is meant for servers: it stays outside a protected stanza, and is
/// dropped where it is found inside.
pub(crate) fn is_for_servers(ns: &str, name: &str) -> bool {
    match ns {
        // XEP-0334: no-permanent-store, no-store, no-copy, store, and what later versions add.
        HINTS_NS => true,
        // XEP-0359: the sender's id, which its archive and a room reflect.
        SID_NS => name == "origin-id",
        // XEP-0033: whom a multicast service sends it to.
        "http://jabber.org/protocol/address" => name == "addresses",
        // XEP-0380: by which the servers and other clients know that it is encrypted, and how.
        EME_NS => name == "encryption",
        // XEP-0280: that no carbon shall be made.
        "urn:xmpp:carbons:2" => name == "private",
        // XEP-0079: rules of delivery.
        "http://jabber.org/protocol/amp" => name == "amp",
        _ => false,
    }
}

/// Whether a child is out of place inside a protected stanza: servers read or make it, or this protocol does. A client
/// that found it there could take it for their word.
pub(crate) fn is_out_of_place(ns: &str, name: &str) -> bool {
    let copy = match ns {
        // XEP-0280 and XEP-0313: copies, which only the own server makes.
        "urn:xmpp:carbons:2" => matches!(name, "received" | "sent"),
        "urn:xmpp:mam:2" => name == "result",
        _ => false,
    };
    copy || ns == NS || is_for_servers(ns, name) || is_from_servers(ns, name)
}

/// Whether a stanza's child is what servers add by their role: no sender can vouch for it, so it
/// is handed over apart, and is dropped where it is found inside.
pub(crate) fn is_from_servers(ns: &str, name: &str) -> bool {
    match ns {
        // XEP-0203: when and where it was delayed.
        "urn:xmpp:delay" => name == "delay",
        // XEP-0091, its predecessor, which some servers add beside it.
        "jabber:x:delay" => name == "x",
        // XEP-0359: the archive's id.
        SID_NS => name == "stanza-id",
        // XEP-0313 before version 0.4: the same, still added by ejabberd.
        "urn:xmpp:mam:tmp" => name == "archived",
        // XEP-0153: the picture's hash, which servers write over what the client has sent.
        "vcard-temp:x:update" => name == "x",
        // XEP-0421: who in a room.
        "urn:xmpp:occupant-id:0" => name == "occupant-id",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CLIENT_NS, write};
    use super::*;

    fn written(hints: Hints) -> String {
        let mut message = Element::new(CLIENT_NS, "message");
        hints.add_to(&mut message);
        let mut out = String::new();
        write(&message, CLIENT_NS, &mut out);
        out
    }

    #[test]
    fn written_as_the_xeps_have_them() {
        assert_eq!(written(Hints::Bare), "<message/>");
        assert_eq!(written(Hints::Archived), "<message><store xmlns='urn:xmpp:hints'/></message>");
        assert_eq!(
            written(Hints::default()),
            "<message><store xmlns='urn:xmpp:hints'/>\
             <encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:e2e:0'/></message>"
        );
    }

    #[test]
    fn what_we_add_is_for_servers() {
        let mut message = Element::new(CLIENT_NS, "message");
        Hints::ArchivedAndPushed.add_to(&mut message);
        assert!(message.elements().all(|child| is_for_servers(&child.ns, &child.name)));
        assert!(is_for_servers(SID_NS, "origin-id"));
        assert!(!is_for_servers(SID_NS, "stanza-id"));
        assert!(is_from_servers(SID_NS, "stanza-id"));
    }

    #[test]
    fn what_people_read_is_not() {
        for (ns, name) in [
            (CLIENT_NS, "body"),
            (CLIENT_NS, "subject"),
            (NS, "e"),
            ("urn:xmpp:receipts", "request"),
            ("", "store"),
        ] {
            assert!(!is_for_servers(ns, name) && !is_from_servers(ns, name), "{name}");
        }
    }
}
