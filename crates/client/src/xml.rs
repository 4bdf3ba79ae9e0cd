//! The few elements that the adapter writes and looks for.

use minidom::Element;
use minidom::rxml::{Namespace, NcName};

use crate::wire::CLIENT;

pub(crate) const CARBONS: &str = "urn:xmpp:carbons:2";
pub(crate) const CSI: &str = "urn:xmpp:csi:0";
pub(crate) const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
pub(crate) const FORMS: &str = "jabber:x:data";
pub(crate) const MAM: &str = "urn:xmpp:mam:2";
pub(crate) const PING: &str = "urn:xmpp:ping";
pub(crate) const ROSTER: &str = "jabber:iq:roster";
pub(crate) const RSM: &str = "http://jabber.org/protocol/rsm";
pub(crate) const SID: &str = "urn:xmpp:sid:0";
pub(crate) const SM: &str = "urn:xmpp:sm:3";
pub(crate) const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
pub(crate) const STREAMS: &str = "http://etherx.jabber.org/streams";

/// An element with attributes in no namespace.
pub(crate) fn element(ns: &str, name: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::bare(name, ns);
    for (name, value) in attributes {
        set(&mut element, name, value);
    }
    element
}

/// Sets an attribute. Its name is one of this program's.
pub(crate) fn set(element: &mut Element, name: &str, value: &str) {
    if let Ok(name) = NcName::try_from(name) {
        element.set_attr(Namespace::NONE, name, value);
    }
}

/// `parent` with a child.
pub(crate) fn with(mut parent: Element, child: Element) -> Element {
    parent.append_child(child);
    parent
}

/// `parent` with text.
pub(crate) fn with_text(mut parent: Element, text: &str) -> Element {
    parent.append_text(text);
    parent
}

/// An iq; `to` is left out for the own account.
pub(crate) fn iq(kind: &str, id: &str, to: Option<&str>, payload: Option<Element>) -> Element {
    let mut iq = element(CLIENT, "iq", &[("type", kind), ("id", id)]);
    if let Some(to) = to {
        set(&mut iq, "to", to);
    }
    match payload {
        Some(payload) => with(iq, payload),
        None => iq,
    }
}

/// The answer to an iq: a result, with what it holds.
pub(crate) fn result(request: &Element, payload: Option<Element>) -> Element {
    iq("result", request.attr("id").unwrap_or_default(), request.attr("from"), payload)
}

/// The answer to an iq that nobody here knows (RFC 6120, section 8.4).
pub(crate) fn unknown(request: &Element) -> Element {
    let condition = Element::bare("service-unavailable", STANZAS);
    let error = with(element(CLIENT, "error", &[("type", "cancel")]), condition);
    iq("error", request.attr("id").unwrap_or_default(), request.attr("from"), Some(error))
}

/// The account of a JID.
pub(crate) fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// The domain of an account.
pub(crate) fn domain(account: &str) -> &str {
    account.rsplit_once('@').map_or(account, |(_, domain)| domain)
}

/// The presence of somebody who leaves.
pub(crate) fn unavailable() -> Element {
    element(CLIENT, "presence", &[("type", "unavailable")])
}
