//! The iqs of the engine, as XML: PEP (XEP-0163) and the direct request for keys.

use core::fmt::Write;

use crate::NS;
use crate::stanza::{Element, write_stanza};
use crate::wire::to_base64;

/// The node with one item for each device: its record.
pub(crate) const NODE_DEVICE: &str = "urn:xmpp:e2e:0:device";
/// The node with one item: the device list.
pub(crate) const NODE_DEVICES: &str = "urn:xmpp:e2e:0:devices";
/// The only item of [`NODE_DEVICES`].
pub(crate) const ITEM_DEVICES: &str = "current";

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

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

/// The payload that publishes one item. Only the two options are named that every server knows.
pub(crate) fn publish(node: &str, item: &str, name: &str, bytes: &[u8]) -> String {
    let data = to_base64(bytes);
    format!(
        "<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{item}'><{name} xmlns='{NS}'>{data}</{name}>\
         </item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='pubsub#access_model'><value>open</value></field>\
         <field var='pubsub#persist_items'><value>true</value></field></x></publish-options></pubsub>"
    )
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

/// The payload that asks a device for its keys.
pub(crate) fn ask_keys() -> String {
    format!("<keys xmlns='{NS}'/>")
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
