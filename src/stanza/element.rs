//! The tree of a stanza: expanded names, attributes, character data (XML infoset without the rest).

use std::borrow::Cow;

/// An element. Its names are expanded: no prefix or declaration is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Element<'a> {
    /// The namespace name, empty for none.
    pub(crate) ns: Cow<'a, str>,
    /// The local name.
    pub(crate) name: Cow<'a, str>,
    /// In the order written; no two have the same expanded name.
    pub(crate) attributes: Vec<Attribute<'a>>,
    /// In document order; no two texts are adjacent, and none is empty.
    pub(crate) children: Vec<Node<'a>>,
}

/// An attribute that is no namespace declaration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Attribute<'a> {
    /// The namespace name, if the attribute has a prefix.
    pub(crate) ns: Option<Cow<'a, str>>,
    /// The local name.
    pub(crate) name: Cow<'a, str>,
    /// The normalised value (XML 1.0, section 3.3.3).
    pub(crate) value: Cow<'a, str>,
}

/// What an element contains.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Node<'a> {
    /// A child element.
    Element(Element<'a>),
    /// Character data, references resolved.
    Text(Cow<'a, str>),
}

impl<'a> Element<'a> {
    /// An empty element.
    pub(crate) fn new(ns: impl Into<Cow<'a, str>>, name: impl Into<Cow<'a, str>>) -> Self {
        Self { ns: ns.into(), name: name.into(), attributes: Vec::new(), children: Vec::new() }
    }

    /// Adds an attribute in no namespace, or replaces its value.
    pub(crate) fn with_attr(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.attributes.iter_mut().find(|other| other.ns.is_none() && other.name == name) {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(Attribute { ns: None, name, value }),
        }
        self
    }

    /// Adds a child element at the end.
    pub(crate) fn with_child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// Removes the child elements in a namespace.
    pub(crate) fn remove_children_in(&mut self, ns: &str) {
        self.children.retain(|node| !matches!(node, Node::Element(child) if &*child.ns == ns));
    }

    /// Adds character data at the end.
    pub(crate) fn with_text(mut self, text: impl Into<Cow<'a, str>>) -> Self {
        self.push_text(text.into());
        self
    }

    /// Adds character data at the end, joined to what is there.
    pub(crate) fn push_text(&mut self, text: Cow<'a, str>) {
        if text.is_empty() {
            return;
        }
        match self.children.last_mut() {
            Some(Node::Text(before)) => before.to_mut().push_str(&text),
            _ => self.children.push(Node::Text(text)),
        }
    }

    /// Whether this is the element `name` of `ns`.
    pub(crate) fn is(&self, ns: &str, name: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// The value of the attribute `name` in no namespace.
    pub(crate) fn attr(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.ns.is_none() && attribute.name == name)
            .map(|attribute| &*attribute.value)
    }

    /// Whether two attributes have the same expanded name.
    pub(super) fn has_repeated_attribute(&self) -> bool {
        let mut unseen = self.attributes.as_slice();
        while let Some((first, others)) = unseen.split_first() {
            if others.iter().any(|other| other.name == first.name && other.ns == first.ns) {
                return true;
            }
            unseen = others;
        }
        false
    }

    /// The child elements.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &Element<'a>> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first child element `name` of `ns`.
    pub(crate) fn child(&self, ns: &str, name: &str) -> Option<&Element<'a>> {
        self.elements().find(|element| element.is(ns, name))
    }

    /// The character data directly in this element, joined.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        let mut joined = Cow::Borrowed("");
        for node in &self.children {
            if let Node::Text(text) = node {
                if joined.is_empty() {
                    joined = Cow::Borrowed(text);
                } else {
                    joined.to_mut().push_str(text);
                }
            }
        }
        joined
    }

    /// How many elements are nested, this one counted.
    pub(crate) fn depth(&self) -> usize {
        self.elements().map(Self::depth).max().unwrap_or_default() + 1
    }

    /// A tree that borrows nothing.
    ///
    /// Recursive, as dropping is: what [`parse`](super::parse) gives is at most
    /// [`MAX_DEPTH`](super::MAX_DEPTH) deep.
    pub(crate) fn into_owned(self) -> Element<'static> {
        Element {
            ns: own(self.ns),
            name: own(self.name),
            attributes: self.attributes.into_iter().map(Attribute::into_owned).collect(),
            children: self.children.into_iter().map(Node::into_owned).collect(),
        }
    }
}

impl Attribute<'_> {
    /// The same, borrowing nothing.
    pub(crate) fn into_owned(self) -> Attribute<'static> {
        Attribute { ns: self.ns.map(own), name: own(self.name), value: own(self.value) }
    }
}

impl Node<'_> {
    /// The same, borrowing nothing.
    pub(crate) fn into_owned(self) -> Node<'static> {
        match self {
            Node::Element(element) => Node::Element(element.into_owned()),
            Node::Text(text) => Node::Text(own(text)),
        }
    }
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_and_looked_up() {
        let message = Element::new("jabber:client", "message")
            .with_attr("id", "a1")
            .with_attr("id", "a2")
            .with_text("x")
            .with_child(Element::new("jabber:client", "body").with_text("Hel").with_text("lo"))
            .with_text("y")
            .with_text("");
        assert_eq!(message.attr("id"), Some("a2"));
        assert_eq!(message.attr("to"), None);
        assert_eq!(message.text(), "xy");
        assert_eq!(message.elements().count(), 1);
        let body = message.child("jabber:client", "body").unwrap();
        assert_eq!(body.children, [Node::Text("Hello".into())]);
        assert!(matches!(body.text(), Cow::Borrowed("Hello") | Cow::Owned(_)));
        assert_eq!(message.child("", "body"), None);
        assert_eq!(message.clone().into_owned(), message);
    }

    #[test]
    fn attributes_with_a_namespace_are_others() {
        let mut element = Element::new("", "a").with_attr("lang", "en");
        let ns = Some(Cow::Borrowed(super::super::XML_NS));
        element.attributes.insert(0, Attribute { ns, name: "lang".into(), value: "de".into() });
        assert_eq!(element.attr("lang"), Some("en"));
    }
}
