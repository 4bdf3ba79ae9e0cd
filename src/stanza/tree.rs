//! A stanza as a tree, for clients whose library has parsed it already.

use std::borrow::Cow;

use super::chars::{are_chars, is_ncname};
use super::reader::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_NODES, MAX_STANZA, XMLNS_NS};
use super::{Attribute, Element, Node, parse, write_stanza};
use crate::error::Malformed;

/// A stanza as a tree: expanded names, attributes, character data.
///
/// It is built by a [`TreeBuilder`] or parsed, and read with [`walk`](Self::walk). So a client whose XML library
/// has its own elements hands stanzas in and takes them out without text in between.
#[derive(Clone, Eq, PartialEq)]
pub struct Tree<'a>(pub(crate) Element<'a>);

impl<'a> Tree<'a> {
    /// Reads a stanza as strictly as the engine does.
    ///
    /// # Errors
    /// [`Malformed`] if it is not one element that XMPP allows.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        parse(text).map(Self)
    }

    /// Tells `visitor` what is in it, in document order.
    pub fn walk(&self, visitor: &mut impl Visitor) {
        walk(&self.0, visitor);
    }

    /// The stanza as XML, in the default namespace `jabber:client`.
    #[must_use]
    pub fn to_xml(&self) -> String {
        write_stanza(&self.0)
    }
}

impl core::fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

/// Is told what a [`Tree`] holds.
pub trait Visitor {
    /// An element begins. Its attributes follow, then its content, then [`end`](Self::end).
    fn start(&mut self, ns: &str, name: &str);

    /// An attribute of the element that has just begun; `ns` if it is in a namespace.
    fn attribute(&mut self, ns: Option<&str>, name: &str, value: &str);

    /// Character data.
    fn text(&mut self, text: &str);

    /// The innermost open element ends.
    fn end(&mut self);
}

fn walk(element: &Element<'_>, visitor: &mut impl Visitor) {
    visitor.start(&element.ns, &element.name);
    for Attribute { ns, name, value } in &element.attributes {
        visitor.attribute(ns.as_deref(), name, value);
    }
    for child in &element.children {
        match child {
            Node::Element(element) => walk(element, visitor),
            Node::Text(text) => visitor.text(text),
        }
    }
    visitor.end();
}

/// Builds a [`Tree`], within the bounds of what the engine reads from text.
#[derive(Default)]
pub struct TreeBuilder<'a> {
    open: Vec<Element<'a>>,
    root: Option<Element<'a>>,
    nodes: usize,
    /// Of names, values and character data, together.
    bytes: usize,
}

impl<'a> TreeBuilder<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins an element.
    ///
    /// # Errors
    /// [`Malformed`] if the name is none, or there are too many elements, or too deep, or one has ended already.
    pub fn start(
        &mut self,
        ns: impl Into<Cow<'a, str>>,
        name: impl Into<Cow<'a, str>>,
    ) -> Result<(), Malformed> {
        let element = Element::new(ns, name);
        if self.open.len() >= MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        if self.root.is_some() || !is_ncname(&element.name) || !is_namespace(&element.ns) {
            return Err(Malformed::Xml);
        }
        self.count(element.ns.len().saturating_add(element.name.len()), true)?;
        self.open.push(element);
        Ok(())
    }

    /// Adds an attribute to the element begun last; `ns` if it is in a namespace.
    ///
    /// # Errors
    /// [`Malformed`] if it is not well-formed, there already, or one too many.
    pub fn attribute(
        &mut self,
        ns: Option<Cow<'a, str>>,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, str>>,
    ) -> Result<(), Malformed> {
        let attribute = Attribute { ns, name: name.into(), value: value.into() };
        self.count(attribute.name.len().saturating_add(attribute.value.len()), false)?;
        let good = is_ncname(&attribute.name)
            && are_chars(&attribute.value)
            && attribute.ns.as_deref().is_none_or(|ns| !ns.is_empty() && is_namespace(ns))
            && !(attribute.ns.is_none() && attribute.name == "xmlns");
        let Some(element) = self.open.last_mut() else { return Err(Malformed::Xml) };
        if element.attributes.len() >= MAX_ATTRIBUTES {
            return Err(Malformed::TooLarge);
        }
        element.attributes.push(attribute);
        if good && !element.has_repeated_attribute() { Ok(()) } else { Err(Malformed::Xml) }
    }

    /// Adds character data to the innermost open element.
    ///
    /// # Errors
    /// [`Malformed`] if XML cannot carry it, or there is no open element, or too much.
    pub fn text(&mut self, text: impl Into<Cow<'a, str>>) -> Result<(), Malformed> {
        let text = text.into();
        self.count(text.len(), true)?;
        let Some(element) = self.open.last_mut() else { return Err(Malformed::Xml) };
        if !are_chars(&text) {
            return Err(Malformed::Xml);
        }
        element.push_text(text);
        Ok(())
    }

    /// Ends the innermost open element.
    ///
    /// # Errors
    /// [`Malformed`] if there is none.
    pub fn end(&mut self) -> Result<(), Malformed> {
        let element = self.open.pop().ok_or(Malformed::Xml)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    /// The tree.
    ///
    /// # Errors
    /// [`Malformed`] if nothing was built, or an element has not ended.
    pub fn finish(self) -> Result<Tree<'a>, Malformed> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(Tree(root)),
            _ => Err(Malformed::Xml),
        }
    }

    fn count(&mut self, bytes: usize, node: bool) -> Result<(), Malformed> {
        self.nodes += usize::from(node);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > MAX_NODES || self.bytes > MAX_STANZA { Err(Malformed::TooLarge) } else { Ok(()) }
    }
}

impl core::fmt::Debug for TreeBuilder<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TreeBuilder").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// What the reader lets be declared.
fn is_namespace(ns: &str) -> bool {
    ns != XMLNS_NS && are_chars(ns) && !ns.contains(['&', '<', '>', '\'', '"', '\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds again what it is told.
    #[derive(Default)]
    struct Again(TreeBuilder<'static>);

    impl Visitor for Again {
        fn start(&mut self, ns: &str, name: &str) {
            self.0.start(ns.to_owned(), name.to_owned()).unwrap();
        }

        fn attribute(&mut self, ns: Option<&str>, name: &str, value: &str) {
            self.0.attribute(ns.map(|ns| ns.to_owned().into()), name.to_owned(), value.to_owned()).unwrap();
        }

        fn text(&mut self, text: &str) {
            self.0.text(text.to_owned()).unwrap();
        }

        fn end(&mut self) {
            self.0.end().unwrap();
        }
    }

    #[test]
    fn what_is_walked_builds_the_same() {
        let xml = "<message to='bob@example.org' xml:lang='en'><body>a &lt; b\n</body>\
                   <x xmlns='urn:x' xmlns:ns0='urn:y' ns0:a='1'><y xmlns=''/>t</x></message>";
        let tree = Tree::parse(xml).unwrap();
        let mut again = Again::default();
        tree.walk(&mut again);
        let again = again.0.finish().unwrap();
        assert_eq!(again, tree);
        assert_eq!(Tree::parse(&again.to_xml()).unwrap(), tree);
    }

    #[test]
    fn what_the_reader_refuses_cannot_be_built() {
        type Step = fn(&mut TreeBuilder<'static>) -> Result<(), Malformed>;
        let bad: [(Step, Malformed); 11] = [
            (|b| b.start("urn:x", "a b"), Malformed::Xml),
            (|b| b.start("urn:'", "a"), Malformed::Xml),
            (|b| b.start("urn:\u{1}", "a"), Malformed::Xml),
            (|b| b.start(XMLNS_NS, "a"), Malformed::Xml),
            (|b| b.attribute(None, "xmlns", "urn:x"), Malformed::Xml),
            (|b| b.attribute(None, "id", "again"), Malformed::Xml),
            (|b| b.attribute(None, "v", "\u{1}"), Malformed::Xml),
            (|b| b.attribute(Some("".into()), "v", ""), Malformed::Xml),
            (|b| b.text("\u{FFFE}"), Malformed::Xml),
            (|b| b.text("x".repeat(MAX_STANZA + 1)), Malformed::TooLarge),
            (|b| (0..=MAX_DEPTH).try_for_each(|_| b.start("", "a")), Malformed::TooDeep),
        ];
        for (i, (step, why)) in bad.into_iter().enumerate() {
            let mut builder = TreeBuilder::new();
            builder.start("jabber:client", "message").unwrap();
            builder.attribute(None, "id", "1").unwrap();
            assert_eq!(step(&mut builder), Err(why), "{i}");
        }
        assert_eq!(TreeBuilder::new().end(), Err(Malformed::Xml));
        assert_eq!(TreeBuilder::new().text("x"), Err(Malformed::Xml));
        let open = |n: usize| {
            let mut builder = TreeBuilder::new();
            (0..n).for_each(|_| builder.start("", "a").unwrap());
            builder
        };
        assert!(open(0).finish().is_err() && open(1).finish().is_err());
        let mut two = open(1);
        two.end().unwrap();
        assert_eq!(two.start("", "b"), Err(Malformed::Xml));
        assert!((0..=MAX_ATTRIBUTES).any(|i| two.attribute(None, format!("a{i}"), "").is_err()));
    }
}
