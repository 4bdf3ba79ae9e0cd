//! [`xmpp_e2e`] for clients that hold their stanzas as [`minidom::Element`]s, as those built on xmpp-rs do.
//!
//! A stanza that came is handed to the engine as it was parsed, and what the engine gives is made an element
//! without being written and parsed by a second library in between.
//!
//! ```
//! use minidom::Element;
//! use xmpp_e2e::{Config, Effect, Engine, Env, Input, LocalAgent, Need, Timestamp, Token};
//! use xmpp_e2e_minidom::{from_tree, to_tree};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng = xmpp_e2e::rand_core::UnwrapErr(getrandom::SysRng);
//! let agent = LocalAgent::generate(&Default::default(), &mut rng);
//! let mut engine = Engine::new(Config::new("romeo@example.net", agent.identity())?);
//! let env = &mut Env { now: Timestamp::from_secs(1_800_000_000), rng: &mut rng };
//!
//! let element: Element = "<message xmlns='jabber:client' to='juliet@example.com'><body>Hello</body></message>".parse()?;
//! let stanza = to_tree(&element)?;
//! let input = Input::OutgoingTree { stanza: &stanza, token: Token(1), need: Need::Policy };
//! for effect in engine.handle(env, input)?.persist(|_batch| Ok::<(), std::convert::Infallible>(()))? {
//!     match effect {
//!         Effect::Pass => println!("send it as it is: {}", String::from(&element)),
//!         Effect::Send { stanza, .. } => println!("send {}", String::from(&from_tree(&stanza.tree()?)?)),
//!         Effect::Deliver { stanza, .. } => println!("show {}", String::from(&from_tree(&stanza.tree()?)?)),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;

use minidom::rxml::{Namespace, NcName};
use minidom::{Element, Node};
use xmpp_e2e::{Malformed, Tree, TreeBuilder, Visitor};

/// The element as the engine takes it.
///
/// # Errors
/// [`Malformed`] if XMPP does not allow such a stanza, or it is over the engine's bounds. The engine says the same
/// of its text.
pub fn to_tree(element: &Element) -> Result<Tree<'_>, Malformed> {
    let mut builder = TreeBuilder::new();
    build(element, &mut builder)?;
    builder.finish()
}

// As deep as the builder lets it become.
fn build<'a>(element: &'a Element, builder: &mut TreeBuilder<'a>) -> Result<(), Malformed> {
    builder.start(element.ns(), element.name())?;
    for ((ns, name), value) in element.attrs() {
        let ns = (!ns.as_str().is_empty()).then(|| Cow::Borrowed(ns.as_str()));
        builder.attribute(ns, name.as_str(), value.as_str())?;
    }
    for node in element.nodes() {
        match node {
            Node::Element(child) => build(child, builder)?,
            Node::Text(text) => builder.text(text.as_str())?,
        }
    }
    builder.end()
}

/// What the engine gives, as an element.
///
/// # Errors
/// [`Malformed`] if a name is one that `minidom` does not take: its characters are those of XML 1.0's fifth edition,
/// as the engine's are, so there is none known.
pub fn from_tree(tree: &Tree<'_>) -> Result<Element, Malformed> {
    let mut building = Building::default();
    tree.walk(&mut building);
    building.root.ok_or(Malformed::Xml)
}

#[derive(Default)]
struct Building {
    open: Vec<Element>,
    root: Option<Element>,
    failed: bool,
}

impl Visitor for Building {
    fn start(&mut self, ns: &str, name: &str) {
        self.open.push(Element::bare(name, ns));
    }

    fn attribute(&mut self, ns: Option<&str>, name: &str, value: &str) {
        let (Some(element), Ok(name)) = (self.open.last_mut(), NcName::try_from(name)) else {
            self.failed = true;
            return;
        };
        let ns = ns.map_or(Namespace::NONE, |ns| Namespace::from(ns.to_owned()));
        element.set_attr(ns, name, value);
    }

    fn text(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.append_text(text);
        }
    }

    fn end(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => {
                parent.append_child(element);
            }
            None if !self.failed => self.root = Some(element),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STANZA: &str = "<message xmlns='jabber:client' to='bob@example.org' xml:lang='en'><body>a &lt;b&gt; &amp;\n</body>\
        <x xmlns='urn:x' xmlns:p='urn:p' p:a='1' a='2'>t<y xmlns=''/>u</x></message>";

    #[test]
    fn an_element_comes_back_as_it_went() {
        let element: Element = STANZA.parse().unwrap();
        let tree = to_tree(&element).unwrap();
        assert_eq!(from_tree(&tree).unwrap(), element);
        // In the order of neither parser's attributes.
        let parsed = Tree::parse(STANZA).unwrap();
        assert_eq!(from_tree(&parsed).unwrap(), element, "both parsers read the same");
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let deep = format!("{}{}", "<a xmlns='urn:a'>".repeat(100), "</a>".repeat(100));
        assert_eq!(to_tree(&deep.parse().unwrap()), Err(Malformed::TooDeep));
    }

    fn element() -> impl Strategy<Value = Element> {
        let text = prop_oneof!["[ -~]{0,8}", "[\t\n&<>'\"é\u{1F600}]{0,6}"];
        let leaf = ("[a-z_][a-z0-9.-]{0,3}", "urn:[ab]", proptest::option::of(("[a-c]", text.clone())));
        let leaf = leaf.prop_map(|(name, ns, attribute)| {
            let mut element = Element::bare(name, ns);
            if let Some((name, value)) = attribute {
                element.set_attr(Namespace::NONE, NcName::try_from(name).unwrap(), value);
            }
            element
        });
        leaf.prop_recursive(4, 30, 4, move |inner| {
            let nodes = proptest::collection::vec((inner.clone(), text.clone()), 0..4);
            (inner, nodes).prop_map(|(mut parent, nodes)| {
                for (child, text) in nodes {
                    parent.append_child(child);
                    parent.append_text(text);
                }
                parent
            })
        })
    }

    proptest! {
        #[test]
        fn any_element_comes_back(element in element()) {
            let tree = to_tree(&element).unwrap();
            let xml = tree.to_xml();
            prop_assert_eq!(&Tree::parse(&xml).unwrap(), &tree);
            let back = from_tree(&tree).unwrap();
            prop_assert_eq!(String::from(&back), String::from(&element));
        }
    }
}
