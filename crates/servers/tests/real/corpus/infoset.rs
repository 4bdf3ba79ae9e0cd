//! What a stanza says, and what is left of it where it is only authenticated.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use xmpp_e2e_client::minidom::{Element, Node};

use super::CLIENT;

/// Children that servers write anew, and what of their attributes means something.
const KNOWN: [(&str, &[&str]); 6] = [
    ("body", &["lang"]),
    ("subject", &["lang"]),
    ("status", &["lang"]),
    ("thread", &["parent"]),
    ("show", &[]),
    ("priority", &[]),
];

/// Expanded names, attributes in order, and texts that are one where no element is between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Infoset {
    name: (String, String),
    attributes: BTreeMap<(String, String), String>,
    nodes: Vec<Child>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Child {
    Element(Infoset),
    Text(String),
}

impl Infoset {
    pub(super) fn of(element: &Element) -> Self {
        let attributes = element.attrs().into_iter().map(|((ns, name), value)| {
            ((ns.as_str().to_owned(), name.as_str().to_owned()), value.as_str().to_owned())
        });
        let mut nodes: Vec<Child> = Vec::new();
        for node in element.nodes() {
            match (node, nodes.last_mut()) {
                (Node::Text(text), Some(Child::Text(before))) => before.push_str(text),
                (Node::Text(text), _) if text.is_empty() => {}
                (Node::Text(text), _) => nodes.push(Child::Text(text.clone())),
                (Node::Element(child), _) => nodes.push(Child::Element(Self::of(child))),
            }
        }
        Self { name: (element.ns(), element.name().to_owned()), attributes: attributes.collect(), nodes }
    }

    /// Without where from and where to, which servers write; and an iq without its id, which engines do.
    pub(super) fn without_addresses(mut self) -> Self {
        let iq = self.name.1 == "iq";
        let written = |name: &str| matches!(name, "from" | "to") || iq && name == "id";
        self.attributes.retain(|(ns, name), _| !(ns.is_empty() && written(name)));
        self
    }

    /// Without its type.
    pub(super) fn untyped(mut self) -> Self {
        self.attributes.retain(|(ns, name), _| !(ns.is_empty() && name == "type"));
        self
    }

    /// What a receiver is handed of a stanza in clear: its children without what servers do not keep.
    pub(super) fn reduced(mut self) -> Self {
        self.attributes.retain(|(ns, name), _| ns.is_empty() && matches!(name.as_str(), "id" | "type"));
        self.nodes.retain(|node| matches!(node, Child::Element(_)));
        for node in &mut self.nodes {
            if let Child::Element(child) = node {
                child.reduce();
            }
        }
        self
    }

    fn reduce(&mut self) {
        let known = KNOWN.iter().find(|(name, _)| self.name.0 == CLIENT && self.name.1 == *name);
        let Some((name, kept)) = known else { return };
        self.attributes
            .retain(|(_, attribute), value| kept.contains(&attribute.as_str()) && !value.is_empty());
        let mut text: String = self.nodes.iter().filter_map(Child::text).collect();
        if *name == "priority" {
            text = text.trim().parse().map_or(text, |number: i8| number.to_string());
        }
        self.nodes = if text.is_empty() { Vec::new() } else { vec![Child::Text(text)] };
    }

    /// Without the children that a sender cannot vouch for.
    pub(super) fn without(mut self, names: &[(&str, &str)]) -> Self {
        self.nodes.retain(|node| match node {
            Child::Element(child) => !names.contains(&(&child.name.0, &child.name.1)),
            Child::Text(_) => true,
        });
        self
    }

    /// One that is short enough to be shown.
    pub(super) fn shown(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out.chars().take(700).collect()
    }

    fn write(&self, out: &mut String) {
        _ = write!(out, "<{{{}}}{}", self.name.0, self.name.1);
        for ((ns, name), value) in &self.attributes {
            _ = write!(out, " {{{ns}}}{name}={value:?}");
        }
        out.push('>');
        for node in &self.nodes {
            match node {
                Child::Element(child) => child.write(out),
                Child::Text(text) => _ = write!(out, "{text:?}"),
            }
        }
        out.push_str("</>");
    }
}

impl Child {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Element(_) => None,
        }
    }
}
