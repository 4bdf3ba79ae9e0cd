//! Messages under another encryption: neither clear text nor under this protocol.

use crate::NS;
use crate::stanza::{CLIENT_NS, Element};

/// EME (XEP-0380).
const EME: &str = "urn:xmpp:eme:0";

/// The elements of encryptions that do not always say so by EME: OMEMO (XEP-0384) of three versions, OX (XEP-0373),
/// `OpenPGP` of old (XEP-0027).
const KNOWN: [(&str, &str); 5] = [
    ("eu.siacs.conversations.axolotl", "encrypted"),
    ("urn:xmpp:omemo:1", "encrypted"),
    ("urn:xmpp:omemo:2", "encrypted"),
    ("urn:xmpp:openpgp:0", "openpgp"),
    ("jabber:x:encrypted", "x"),
];

/// What begins the body of an OTR message (XEP-0364), and the namespace that EME gives it.
const OTR: (&str, &str) = ("?OTR", "urn:xmpp:otr:0");

/// Characters of a namespace that are told: the known ones have a third of it.
const MAX_NAMESPACE: usize = 100;

/// The namespace of the other encryption that a message is under.
pub(super) fn foreign(message: &Element<'_>) -> Option<String> {
    let eme = message.elements().filter(|child| child.is(EME, "encryption"));
    let eme = eme.filter_map(|child| child.attr("namespace")).find(|namespace| *namespace != NS);
    let known = || {
        let known = KNOWN.iter().find(|(ns, name)| message.child(ns, name).is_some());
        known.map(|(ns, _)| *ns)
    };
    let otr = || {
        let body = message.child(CLIENT_NS, "body")?;
        body.text().starts_with(OTR.0).then_some(OTR.1)
    };
    let namespace = eme.or_else(known).or_else(otr)?;
    Some(namespace.chars().take(MAX_NAMESPACE).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::parse;

    #[test]
    fn what_is_foreign() {
        for (inside, expected) in [
            ("<body>x</body>", None),
            ("<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:e2e:0'/>", None),
            ("<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/><body>x</body>", Some("urn:x")),
            ("<encrypted xmlns='urn:xmpp:omemo:2'/>", Some("urn:xmpp:omemo:2")),
            ("<openpgp xmlns='urn:xmpp:openpgp:0'/>", Some("urn:xmpp:openpgp:0")),
            ("<encrypted xmlns='urn:x'/>", None),
            ("<body>?OTRv3?</body>", Some("urn:xmpp:otr:0")),
        ] {
            let message = format!("<message>{inside}</message>");
            assert_eq!(foreign(&parse(&message).unwrap()).as_deref(), expected, "{inside}");
        }
        let long = "x".repeat(1000);
        let message = format!("<message><encryption xmlns='urn:xmpp:eme:0' namespace='{long}'/></message>");
        assert_eq!(foreign(&parse(&message).unwrap()).unwrap().len(), 100);
    }
}
