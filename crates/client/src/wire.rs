//! What comes on the stream, element by element, bounded while it is read.
//!
//! A library's own stanza types drop what they do not expect, and build trees as deep as a server likes.

use minidom::Element;
use minidom::rxml::{AttrMap, Event, QName};
use xso::error::{Error, FromEventsError};
use xso::{Context, FromEventsBuilder, FromXml};

/// Elements within each other. The engine takes 64; deeper trees are dropped recursively.
const MAX_DEPTH: usize = 64;

/// Bytes of names, values and text of one element of the stream: what servers let clients send, and as much
/// again for what they add.
const MAX_BYTES: usize = 2 * 262_144;

/// What an empty element costs in memory, about: so many cannot come for little.
const NODE_COST: usize = 16;

/// An element of the stream.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// As it was sent.
    Element(Element),
    /// Over the bounds: its content was not kept. Whether it was a stanza.
    TooLarge { stanza: bool },
}

/// Builds an [`Incoming`] from the parser's events.
#[derive(Debug)]
pub(crate) struct Building {
    open: Vec<Element>,
    /// Elements open that are not kept.
    skipped: usize,
    bytes: usize,
    too_large: bool,
    stanza: bool,
}

impl Building {
    fn start(&mut self, (ns, name): QName, attributes: AttrMap) {
        let sizes = attributes.iter().map(|((_, name), value)| name.len() + value.len());
        self.bytes += NODE_COST + name.len() + sizes.sum::<usize>();
        self.too_large |= self.bytes > MAX_BYTES || self.open.len() >= MAX_DEPTH;
        if self.too_large {
            self.skipped += 1;
            return;
        }
        let mut element = Element::bare(String::from(name), String::from(ns));
        *element.attrs_mut() = attributes;
        self.open.push(element);
    }
}

impl FromEventsBuilder for Building {
    type Output = Incoming;

    fn feed(&mut self, event: Event, _: &Context<'_>) -> Result<Option<Incoming>, Error> {
        match event {
            Event::XmlDeclaration(..) => {}
            Event::StartElement(_, name, attributes) => self.start(name, attributes),
            Event::Text(_, text) => {
                self.bytes += text.len();
                self.too_large |= self.bytes > MAX_BYTES;
                if let (false, Some(element)) = (self.too_large, self.open.last_mut()) {
                    element.append_text(text);
                }
            }
            Event::EndElement(_) if self.skipped > 0 => self.skipped -= 1,
            Event::EndElement(_) => {
                let ended = self.open.pop();
                match (self.open.last_mut(), ended) {
                    (Some(parent), Some(element)) => {
                        parent.append_child(element);
                    }
                    (None, Some(element)) if !self.too_large => return Ok(Some(Incoming::Element(element))),
                    (None, _) => return Ok(Some(Incoming::TooLarge { stanza: self.stanza })),
                    (Some(_), None) => {}
                }
            }
        }
        // An outermost element that was itself too large has nothing open.
        if self.open.is_empty() && self.skipped == 0 {
            return Ok(Some(Incoming::TooLarge { stanza: self.stanza }));
        }
        Ok(None)
    }
}

impl FromXml for Incoming {
    type Builder = Building;

    fn from_events(name: QName, attributes: AttrMap, _: &Context<'_>) -> Result<Building, FromEventsError> {
        let (ns, local) = &name;
        let stanza = ns.as_str() == CLIENT && is_stanza_name(local);
        let mut building = Building { open: Vec::new(), skipped: 0, bytes: 0, too_large: false, stanza };
        building.start(name, attributes);
        Ok(building)
    }
}

/// The namespace of stanzas on a client's stream.
pub(crate) const CLIENT: &str = "jabber:client";

fn is_stanza_name(name: &str) -> bool {
    matches!(name, "iq" | "message" | "presence")
}

/// Whether stream management counts it.
pub(crate) fn is_stanza(element: &Element) -> bool {
    element.has_ns(CLIENT) && is_stanza_name(element.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Incoming {
        xso::from_bytes(xml.as_bytes()).unwrap()
    }

    #[test]
    fn kept_as_it_was_sent() {
        let xml = "<message xmlns='jabber:client' to='a@b' xml:lang='en'>t<x xmlns='urn:x'><y a='1'/>u</x></message>";
        let Incoming::Element(element) = read(xml) else { panic!("too large") };
        assert_eq!(element, xml.parse().unwrap());
        assert!(is_stanza(&element));
    }

    #[test]
    fn what_is_too_deep_or_too_large_is_named_and_not_kept() {
        let deep =
            format!("<iq xmlns='jabber:client'>{}{}</iq>", "<a>".repeat(30_000), "</a>".repeat(30_000));
        let large = format!("<iq xmlns='jabber:client'><a>{}</a></iq>", "x".repeat(MAX_BYTES));
        let many = format!("<iq xmlns='jabber:client'>{}</iq>", "<a/>".repeat(MAX_BYTES / NODE_COST));
        for xml in [deep, large, many] {
            assert!(matches!(read(&xml), Incoming::TooLarge { stanza: true }));
        }
        assert!(matches!(
            read(&format!("<a xmlns='urn:a' b='{}'/>", "x".repeat(8000))),
            Incoming::Element(element) if !is_stanza(&element)
        ));
    }
}
