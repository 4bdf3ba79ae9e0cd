//! What applications have handed in, and whether what is delivered is that.

use xmpp_e2e::{Context, Tree, Via, Visitor};

use super::*;

/// Children that are for servers, or from them: none of them is delivered.
const OUTSIDE: [&str; 3] = ["urn:xmpp:hints", "urn:xmpp:sid:0", "urn:xmpp:delay"];

/// An element as its infoset.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Infoset {
    ns: String,
    pub(super) name: String,
    attributes: BTreeMap<(String, String), String>,
    children: Vec<Child>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Child {
    Element(Infoset),
    Text(String),
}

impl Infoset {
    pub(super) fn of(xml: &str) -> Self {
        let mut reader = Reader::default();
        Tree::parse(xml).expect("it was read before").walk(&mut reader);
        reader.root.expect("one element")
    }

    /// Takes an attribute without namespace out.
    pub(super) fn take(&mut self, name: &str) -> String {
        self.attributes.remove(&(String::new(), name.to_owned())).unwrap_or_default()
    }

    fn into_child(self, name: &str) -> Option<Self> {
        self.children.into_iter().find_map(|child| match child {
            Child::Element(child) if child.name == name => Some(child),
            Child::Element(_) | Child::Text(_) => None,
        })
    }

    /// The message in a copy.
    pub(super) fn into_copied(self) -> Self {
        let copy = ["sent", "received", "result"];
        let wrapper = self.children.into_iter().find_map(|child| match child {
            Child::Element(child) if copy.contains(&&*child.name) => Some(child),
            Child::Element(_) | Child::Text(_) => None,
        });
        let forwarded = wrapper.and_then(|wrapper| wrapper.into_child("forwarded"));
        forwarded.and_then(|forwarded| forwarded.into_child("message")).expect("a message")
    }

    /// Whether each child of this is one of `other`.
    fn is_part_of(&self, other: &Self) -> bool {
        self.name == other.name && self.children.iter().all(|child| other.children.contains(child))
    }
}

/// Builds an infoset.
#[derive(Default)]
struct Reader {
    open: Vec<Infoset>,
    root: Option<Infoset>,
}

impl Visitor for Reader {
    fn start(&mut self, ns: &str, name: &str) {
        let element = Infoset { ns: ns.to_owned(), name: name.to_owned(), ..Infoset::default() };
        self.open.push(element);
    }

    fn attribute(&mut self, ns: Option<&str>, name: &str, value: &str) {
        let name = (ns.unwrap_or_default().to_owned(), name.to_owned());
        self.open.last_mut().expect("open").attributes.insert(name, value.to_owned());
    }

    fn text(&mut self, text: &str) {
        self.open.last_mut().expect("open").children.push(Child::Text(text.to_owned()));
    }

    fn end(&mut self) {
        let element = self.open.pop().expect("open");
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Child::Element(element)),
            None => self.root = Some(element),
        }
    }
}

/// A stanza handed in.
pub(super) struct HandedIn {
    sender: &'static str,
    addressed: String,
    id: String,
    /// Whether it was to be in clear, and authenticated.
    shown: bool,
    /// What it says: without addresses and id, and what is for servers.
    stanza: Infoset,
}

impl World {
    /// Notes a stanza that a device hands in.
    pub(super) fn note_said(&mut self, i: usize, xml: &str, shown: bool) {
        let mut stanza = Infoset::of(xml);
        let sender = self.devices[i].account;
        let to = stanza.take("to");
        let id = stanza.take("id");
        stanza.children.retain(|child| match child {
            Child::Element(child) => !OUTSIDE.contains(&&*child.ns),
            Child::Text(_) => true,
        });
        let addressed = if to.is_empty() { sender } else { bare(&to) }.to_owned();
        self.said.push(HandedIn { sender, addressed, id, shown, stanza });
    }

    /// What is delivered was handed in, by the account that it is said to be from. Not so where bytes are forged: the
    /// fake suite takes them.
    pub(super) fn check_said(&self, xml: &str, protection: Protection, context: &Context) -> Infoset {
        let mut came = Infoset::of(xml);
        if context.via != Via::Stream {
            came = came.into_copied();
        }
        let from = came.take("from");
        promise(bare(&from) == context.sender.as_str(), "delivered from another than its sender");
        came.take("to");
        let id = came.take("id");
        let encrypted = matches!(protection, Protection::Encrypted { .. });
        let anyone = matches!(protection, Protection::Signed { for_anyone: true });
        let was_said = self.said.iter().any(|said| {
            let same = if encrypted { said.stanza == came } else { came.is_part_of(&said.stanza) };
            same && said.shown != encrypted
                && said.sender == context.sender.as_str()
                && (said.addressed == context.addressed.as_str() || anyone)
                // Questions are handed over under ids of the engine's, and answered under them.
                && (said.id == id || !context.id_protected || came.name == "iq")
        });
        assert!(was_said, "delivered and not handed in: {xml} {protection:?} {context:?}");
        came
    }

    /// Whether a payload of an item was handed in by the account that it is said to be from.
    pub(super) fn check_item(&self, jid: &str, node: &str, item: &str, payload: &str) {
        let payload = Child::Element(Infoset::of(payload));
        let was_said = self.said.iter().filter(|said| said.sender == jid && said.shown).any(|said| {
            let publish =
                said.stanza.clone().into_child("pubsub").and_then(|child| child.into_child("publish"));
            let Some(mut publish) = publish.filter(|_| said.addressed == jid) else { return false };
            let same_node = publish.take("node") == node;
            let Some(mut published) = publish.into_child("item") else { return false };
            same_node && published.take("id") == item && published.children == [payload.clone()]
        });
        assert!(was_said, "an item that was not handed in");
    }
}

pub(super) fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}
