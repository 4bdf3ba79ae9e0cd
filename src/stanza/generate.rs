//! Any tree, for tests.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{Attribute, CLIENT_NS, Element, Node, XML_NS};

/// Character data, of one character at least.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{1,8}", "[\t\n\r&<>'\"\\]é\u{FEFF}\u{FFFD}\u{1F600}]{1,6}"]
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(CLIENT_NS.to_owned()),
        1 => Just(String::new()),
        1 => Just(XML_NS.to_owned()),
        2 => "urn:[ab ]{1,2}",
    ]
}

/// An element of any namespace.
pub(super) fn element() -> impl Strategy<Value = Element<'static>> {
    let attribute = (proptest::option::of(namespace()), "[a-c]", text()).prop_map(|(ns, name, value)| {
        let ns = ns.filter(|ns| !ns.is_empty()).map(Cow::Owned);
        Attribute { ns, name: Cow::Owned(name), value: Cow::Owned(value) }
    });
    let attributes = proptest::collection::vec(attribute, 0..5).prop_map(|mut all| {
        all.sort_by(|a, b| (&a.ns, &a.name).cmp(&(&b.ns, &b.name)));
        all.dedup_by(|a, b| (&a.ns, &a.name) == (&b.ns, &b.name));
        all
    });
    let leaf = (namespace(), "[a-zé_][a-z0-9.-]{0,3}", attributes).prop_map(|(ns, name, attributes)| {
        Element { ns: Cow::Owned(ns), name: Cow::Owned(name), attributes, children: Vec::new() }
    });
    let leaf = leaf.boxed();
    leaf.clone().prop_recursive(5, 40, 5, move |inner| {
        let node =
            prop_oneof![inner.prop_map(Node::Element), text().prop_map(|text| Node::Text(Cow::Owned(text))),];
        (leaf.clone(), proptest::collection::vec(node, 0..5)).prop_map(|(mut parent, nodes)| {
            for node in nodes {
                match node {
                    Node::Element(_) => parent.children.push(node),
                    Node::Text(text) => parent.push_text(text),
                }
            }
            parent
        })
    })
}
