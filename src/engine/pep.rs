//! The iqs of the engine, as XML: PEP (XEP-0163) and the direct request for keys.

use core::fmt::Write;

use crate::NS;
use crate::stanza::{Element, write_stanza};
use crate::step::PublishFault;
use crate::wire::to_base64;

/// The node with one item for each device: its record.
pub(crate) const NODE_DEVICE: &str = "urn:xmpp:e2e:0:device";
/// The node with one item: the device list.
pub(crate) const NODE_DEVICES: &str = "urn:xmpp:e2e:0:devices";
/// The only item of [`NODE_DEVICES`].
pub(crate) const ITEM_DEVICES: &str = "current";

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";

/// An iq of the engine: what the start tag says, and a payload that is already written.
pub(crate) fn iq(kind: &'static str, id: &str, to: &str, payload: &str) -> String {
    let mut head = Element::new("jabber:client", "iq").with_attr("type", kind).with_attr("id", id);
    if !to.is_empty() {
        head = head.with_attr("to", to);
    }
    let head = write_stanza(&head);
    let head = head.strip_suffix("/>").unwrap_or(&head);
    format!("{head}>{payload}</iq>")
}

/// The payload that asks for the items of a node.
pub(crate) fn items(node: &str, item: Option<&str>) -> String {
    let item = item.map_or(String::new(), |item| format!("<item id='{item}'/>"));
    format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'>{item}</items></pubsub>")
}

/// What a node shall be, as a form (XEP-0004) of this type: open, so that a first message needs no
/// subscription, and kept.
fn form(of: &str, more: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#{of}</value></field>\
         <field var='pubsub#access_model'><value>open</value></field>\
         <field var='pubsub#persist_items'><value>true</value></field>{more}</x>"
    )
}

/// The payload that publishes one item, with options or as the node is. Only the two options are
/// named that every server knows.
pub(crate) fn publish(node: &str, item: &str, name: &str, bytes: &[u8], options: bool) -> String {
    let data = to_base64(bytes);
    let options = if options {
        format!("<publish-options>{}</publish-options>", form("publish-options", ""))
    } else {
        String::new()
    };
    format!(
        "<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{item}'><{name} xmlns='{NS}'>{data}</{name}>\
         </item></publish>{options}</pubsub>"
    )
}

/// The payload that configures an own node (XEP-0060, section 8.2) to keep so many items. A number,
/// for not all servers know `max`.
pub(crate) fn configure(node: &str, items: usize) -> String {
    let more = format!("<field var='pubsub#max_items'><value>{items}</value></field>");
    format!(
        "<pubsub xmlns='{PUBSUB}#owner'><configure node='{node}'>{}</configure></pubsub>",
        form("node_config", &more)
    )
}

/// What became of a request to change something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Done,
    /// The node exists, and is not as the options say.
    Precondition,
    Fault(PublishFault),
}

/// Reads an answer; `None` says that there was none.
pub(crate) fn answer(iq: Option<&Element<'_>>) -> Answer {
    let Some(iq) = iq else { return Answer::Fault(PublishFault::NoAnswer) };
    if iq.attr("type") == Some("result") {
        return Answer::Done;
    }
    let error = iq.elements().find(|child| &*child.name == "error");
    let conditions: Vec<_> = error.into_iter().flat_map(Element::elements).collect();
    if conditions.iter().any(|condition| condition.is(PUBSUB_ERRORS, "precondition-not-met")) {
        return Answer::Precondition;
    }
    let absent = ["service-unavailable", "feature-not-implemented", "item-not-found"];
    let absent = conditions.iter().any(|condition| absent.contains(&&*condition.name));
    Answer::Fault(if absent { PublishFault::Absent } else { PublishFault::Refused })
}

/// Whether an error says that the same request may be answered later (RFC 6120, section 8.3.2).
pub(crate) fn says_wait(iq: &Element<'_>) -> bool {
    let error = iq.elements().find(|child| &*child.name == "error");
    iq.attr("type") == Some("error") && error.is_some_and(|error| error.attr("type") == Some("wait"))
}

/// The payload that takes an item back.
pub(crate) fn retract(node: &str, item: &str) -> String {
    format!(
        "<pubsub xmlns='{PUBSUB}'><retract node='{node}' notify='true'><item id='{item}'/></retract></pubsub>"
    )
}

/// The items in an answer: id and the text of the child `name`.
pub(crate) fn read_items<'e>(iq: &'e Element<'_>, node: &str, name: &str) -> Vec<(&'e str, String)> {
    let Some(items) = iq.child(PUBSUB, "pubsub").and_then(|pubsub| pubsub.child(PUBSUB, "items")) else {
        return Vec::new();
    };
    if items.attr("node") != Some(node) {
        return Vec::new();
    }
    let items = items.elements().filter(|item| &*item.name == "item");
    items
        .take(crate::identity::MAX_DEVICES)
        .filter_map(|item| Some((item.attr("id").unwrap_or(""), item.child(NS, name)?.text().into_owned())))
        .collect()
}

/// The payload that asks a device for its keys; with the list of its account, where that does not let it live.
pub(crate) fn ask_keys(list: &[u8]) -> String {
    if list.is_empty() {
        return format!("<keys xmlns='{NS}'/>");
    }
    format!("<keys xmlns='{NS}'><devices>{}</devices></keys>", to_base64(list))
}

/// A device's answer: record, device list and signed one-time prekeys.
pub(crate) fn answer_keys(record: &[u8], list: &[u8], prekeys: &[&[u8]]) -> String {
    let mut out = format!("<keys xmlns='{NS}'><record>{}</record>", to_base64(record));
    if !list.is_empty() {
        let _ = write!(out, "<devices>{}</devices>", to_base64(list));
    }
    for prekey in prekeys {
        let _ = write!(out, "<prekey>{}</prekey>", to_base64(prekey));
    }
    out.push_str("</keys>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::parse;

    #[test]
    fn errors_are_told_apart() {
        let read = |conditions: &str| {
            let iq = format!("<iq type='error' id='1'><error type='cancel'>{conditions}</error></iq>");
            answer(Some(&parse(&iq).unwrap()))
        };
        let stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";
        let pubsub = "xmlns='http://jabber.org/protocol/pubsub#errors'";
        let both = format!("<conflict {stanzas}/><precondition-not-met {pubsub}/>");
        assert_eq!(read(&both), Answer::Precondition);
        let faults = [
            ("service-unavailable", PublishFault::Absent),
            ("feature-not-implemented", PublishFault::Absent),
            ("item-not-found", PublishFault::Absent),
            ("forbidden", PublishFault::Refused),
            ("resource-constraint", PublishFault::Refused),
            ("conflict", PublishFault::Refused),
        ];
        for (condition, fault) in faults {
            assert_eq!(read(&format!("<{condition} {stanzas}/>")), Answer::Fault(fault));
        }
        assert_eq!(
            answer(Some(&parse("<iq type='error' id='1'/>").unwrap())),
            Answer::Fault(PublishFault::Refused)
        );
        assert_eq!(answer(Some(&parse("<iq type='result' id='1'/>").unwrap())), Answer::Done);
        assert_eq!(answer(None), Answer::Fault(PublishFault::NoAnswer));
    }
}
