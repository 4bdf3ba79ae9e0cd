//! The canonical form of a stanza's child, which is the same before and after servers.
//!
//! Servers rename prefixes, order attributes anew and choose their own escapes; what survives is
//! the tree of expanded names. What they change in it is reduced away: see [`Reduced`].

use std::borrow::Cow;

use tls_codec::VLByteSlice;

use super::chars::is_space;
use super::reader::fold_lines;
use super::{Attribute, CLIENT_NS, Element, Node, XML_NS};
use crate::identity::{Digest, digest};
use crate::suite::kdf::PREFIX;
use crate::wire;

/// What a digest is of.
const LABEL: &str = "covered child";

/// Ends an element.
const END: u8 = 0;
/// Begins an element.
const ELEMENT: u8 = 1;
/// Begins character data.
const TEXT: u8 = 2;

/// A child with nothing but what its digest is of. A receiver hands over this and not the child
/// that came, so what is handed over is what was covered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reduced<'a>(Element<'a>);

impl<'a> Reduced<'a> {
    /// What counts of `child`, in the form in which it survives.
    pub(crate) fn of(child: &Element<'a>) -> Self {
        let mut counted = counted(child);
        fold(&mut counted);
        Self(counted)
    }

    /// The same without its language, if it is one of the known children that has one: libraries
    /// write the inherited language there, which no sender said.
    pub(crate) fn without_language(&self) -> Option<Self> {
        if !is_known(&self.0) || !self.0.attributes.iter().any(is_language) {
            return None;
        }
        let mut without = self.clone();
        without.0.attributes.retain(|attribute| !is_language(attribute));
        Some(without)
    }

    /// The canonical bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        encode(&self.0, &mut bytes);
        bytes
    }

    /// What a sender lists.
    pub(crate) fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(256);
        encode_opaque([PREFIX, LABEL].concat().as_bytes(), &mut bytes);
        bytes.extend(self.to_bytes());
        digest(&bytes)
    }

    /// What a receiver hands over.
    pub(crate) fn into_element(self) -> Element<'a> {
        self.0
    }
}

/// Whether some path changes what counts of `child`: CR in text, or TAB, LF or CR in an attribute.
/// [`Reduced`] is the same before and after, but it is not what the sender wrote.
pub(crate) fn is_fragile(child: &Element<'_>) -> bool {
    is_folded(&counted(child))
}

fn is_folded(element: &Element<'_>) -> bool {
    element.attributes.iter().any(|attribute| attribute.value.contains(['\t', '\n', '\r']))
        || element.children.iter().any(|node| match node {
            Node::Element(child) => is_folded(child),
            Node::Text(text) => text.contains('\r'),
        })
}

/// Of a known child its text and the attribute that has a meaning, of another all.
fn counted<'a>(child: &Element<'a>) -> Element<'a> {
    if !is_known(child) {
        return child.clone();
    }
    let mut known = Element::new(child.ns.clone(), child.name.clone());
    let meant = |attribute: &&Attribute<'_>| has_meaning(&child.name, attribute);
    known.attributes = child.attributes.iter().filter(meant).cloned().collect();
    if child.name == "priority" {
        // A number, which servers read and write anew (RFC 6121, section 4.7.2.3).
        let text = child.text();
        let text = text.trim_matches(is_space);
        let number = text.parse().map(|number: i8| number.to_string());
        return known.with_text(number.unwrap_or_else(|_| text.to_owned()));
    }
    for node in &child.children {
        if let Node::Text(text) = node {
            known.push_text(text.clone());
        }
    }
    known
}

/// Whether servers write this child anew, with nothing but its meaning: those of a message and a
/// presence in RFC 6121.
fn is_known(child: &Element<'_>) -> bool {
    let known = ["body", "subject", "thread", "show", "status", "priority"];
    child.ns == CLIENT_NS && known.contains(&&*child.name)
}

/// Whether RFC 6121, sections 4.7.2 and 5.2, give the known child `name` this attribute. An empty one says nothing, and
/// servers drop it.
fn has_meaning(name: &str, attribute: &Attribute<'_>) -> bool {
    match name {
        _ if attribute.value.is_empty() => false,
        "body" | "subject" | "status" => is_language(attribute),
        "thread" => attribute.ns.is_none() && attribute.name == "parent",
        _ => false,
    }
}

fn is_language(attribute: &Attribute<'_>) -> bool {
    attribute.ns.as_deref() == Some(XML_NS) && attribute.name == "lang"
}

/// Makes of white space what the next parser makes of it where a server did not escape it: of line
/// ends LF, in attributes a space (XML 1.0, sections 2.11 and 3.3.3).
fn fold(element: &mut Element<'_>) {
    for attribute in &mut element.attributes {
        if attribute.value.contains(['\t', '\n', '\r']) {
            let value = attribute.value.replace("\r\n", " ").replace(['\t', '\n', '\r'], " ");
            attribute.value = Cow::Owned(value);
        }
    }
    for node in &mut element.children {
        match node {
            Node::Element(child) => fold(child),
            Node::Text(text) => *text = fold_lines(core::mem::take(text)),
        }
    }
}

/// Each part tells its length or its end, so no two trees have the same bytes.
fn encode(element: &Element<'_>, out: &mut Vec<u8>) {
    out.push(ELEMENT);
    encode_opaque(element.ns.as_bytes(), out);
    encode_opaque(element.name.as_bytes(), out);
    let mut sorted: Vec<[&str; 3]> = Vec::with_capacity(element.attributes.len());
    for Attribute { ns, name, value } in &element.attributes {
        sorted.push([ns.as_deref().unwrap_or_default(), name, value]);
    }
    sorted.sort_unstable();
    let mut attributes = Vec::new();
    for part in sorted.iter().flatten() {
        encode_opaque(part.as_bytes(), &mut attributes);
    }
    encode_opaque(&attributes, out);
    for node in &element.children {
        match node {
            Node::Element(child) => encode(child, out),
            Node::Text(text) => {
                out.push(TEXT);
                encode_opaque(text.as_bytes(), out);
            }
        }
    }
    out.push(END);
}

fn encode_opaque(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(wire::encode(&VLByteSlice(bytes)));
}

#[cfg(test)]
mod tests;
