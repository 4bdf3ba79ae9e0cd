//! As much XML as a server needs: the start tag of a stanza, and its children as they were written.

use std::borrow::Cow;
use std::fmt::Write;

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::Event;

/// An element: its start tag, and what it contains as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Element<'a> {
    /// The name as written.
    pub(crate) name: &'a str,
    /// Names as written, values resolved.
    pub(crate) attributes: Vec<(&'a str, Cow<'a, str>)>,
    /// What is between start and end tag.
    pub(crate) inner: &'a str,
}

impl<'a> Element<'a> {
    /// Reads one element; `None` if `text` is anything else or not well-formed.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut elements = elements(text.trim())?;
        let only = elements.pop()?;
        elements.is_empty().then_some(only)
    }

    /// The child elements.
    pub(crate) fn children(&self) -> Vec<Self> {
        elements(self.inner).unwrap_or_default()
    }

    /// The first child element with this name, in whatever namespace.
    pub(crate) fn child(&self, name: &str) -> Option<Self> {
        self.children().into_iter().find(|child| child.name == name)
    }

    pub(crate) fn attr(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// Sets an attribute: in its place if it is there, else as the last.
    pub(crate) fn set(&mut self, name: &'a str, value: &str) {
        let value = Cow::Owned(value.to_owned());
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name, value)),
        }
    }

    /// Writes the element, its start tag anew, with `more` after what it contains.
    pub(crate) fn write(&self, more: &str) -> String {
        let mut out = format!("<{}", self.name);
        for (name, value) in &self.attributes {
            _ = write!(out, " {name}='{}'", escape(&**value));
        }
        if self.inner.is_empty() && more.is_empty() {
            out.push_str("/>");
        } else {
            _ = write!(out, ">{}{more}</{}>", self.inner, self.name);
        }
        out
    }
}

/// The elements in `text`, without what they contain; `None` if it is not well-formed.
fn elements(text: &str) -> Option<Vec<Element<'_>>> {
    let mut reader = Reader::from_str(text);
    let mut elements: Vec<Element<'_>> = Vec::new();
    let mut depth = 0;
    let mut inner = 0;
    loop {
        let before = usize::try_from(reader.buffer_position()).ok()?;
        let event = reader.read_event().ok()?;
        let after = usize::try_from(reader.buffer_position()).ok()?;
        let tag = text.get(before..after)?;
        match event {
            Event::Start(_) => {
                if depth == 0 {
                    elements.push(start(tag)?);
                    inner = after;
                }
                depth += 1;
            }
            Event::Empty(_) if depth == 0 => elements.push(start(tag)?),
            Event::End(_) => {
                depth -= 1;
                if depth == 0 {
                    elements.last_mut()?.inner = text.get(inner..before)?;
                }
            }
            // Streams carry neither (RFC 6120, section 11.1).
            Event::Comment(_) | Event::DocType(_) | Event::PI(_) | Event::Decl(_) => return None,
            Event::Eof => return (depth == 0).then_some(elements),
            _ => {}
        }
    }
}

/// Reads a start or empty-element tag.
fn start(tag: &str) -> Option<Element<'_>> {
    let tag = tag.strip_prefix('<')?.strip_suffix('>')?;
    let tag = tag.strip_suffix('/').unwrap_or(tag);
    let (name, mut rest) = tag.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(Element { name, attributes, inner: "" });
        }
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (value, after) = after.get(1..)?.split_once(quote)?;
        attributes.push((key.trim_end(), unescape(value).ok()?));
        rest = after;
    }
}

/// `text` as an attribute's value or character data.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_start_tag_is_written_anew() {
        let text = r#"<message  to = "a&amp;b@c"><body a="1" >x&#x20;</body><y/></message>"#;
        let mut message = Element::parse(text).unwrap();
        assert_eq!(message.attr("to"), Some("a&b@c"));
        assert_eq!(message.child("y").unwrap().inner, "");
        message.set("from", "d'e@f");
        let expected =
            r#"<message to='a&amp;b@c' from='d&apos;e@f'><body a="1" >x&#x20;</body><y/><z/></message>"#;
        assert_eq!(message.write("<z/>"), expected);
    }

    #[test]
    fn refuses_what_is_not_one_element() {
        for text in ["", "x", "<a>", "<a></b>", "<a/><b/>", "<a b=c/>", "<!-- --><a/>", "<a><!-- --></a>"] {
            assert_eq!(Element::parse(text), None, "{text}");
        }
    }
}
