//! Reads a stanza, and refuses what XMPP does (RFC 6120, section 11.1) or what two parsers read
//! differently.
//!
//! quick-xml finds where tags, text and references begin and end, and matches end tags; names,
//! namespaces, attributes, references and characters are checked here.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::chars::{are_chars, is_char, is_ncname, is_space};
use super::{Attribute, CLIENT_NS, Element, Node, XML_NS};
use crate::error::Malformed;

/// Bytes of a stanza: what the common servers accept from clients by default. RFC 6120, section
/// 13.12, lets none accept fewer than 10,000.
pub(crate) const MAX_STANZA: usize = 262_144;

/// Elements nested, the stanza counted. Archived and forwarded messages with formatting inside
/// have about 12; trees are dropped and copied recursively, and this many frames fit any stack.
pub(crate) const MAX_DEPTH: usize = 64;

/// Attributes of one element, declarations included. XMPP's elements have up to a dozen; the check
/// for duplicates compares each with each.
pub(super) const MAX_ATTRIBUTES: usize = 32;

/// Elements and texts of one stanza: a roster of 4,000 contacts has fewer. Each costs about 100
/// bytes, however few it has in XML.
pub(super) const MAX_NODES: usize = 16_384;

/// Namespace declarations in scope: one at each depth, and as many again. Each name is looked for
/// among them.
const MAX_BINDINGS: usize = 2 * MAX_DEPTH;

/// The namespace that the prefix `xmlns` is bound to (Namespaces in XML 1.0, section 3).
pub(super) const XMLNS_NS: &str = "http://www.w3.org/2000/xmlns/";

/// Reads one stanza: a single element, with white space around it at most.
///
/// As clients cut stanzas out of a stream, an element that no declaration covers is in
/// `jabber:client`; prefixes must be declared inside.
pub(crate) fn parse(text: &str) -> Result<Element<'_>, Malformed> {
    if text.len() > MAX_STANZA {
        return Err(Malformed::TooLarge);
    }
    let text = text.trim_matches(is_space);
    if text.is_empty() {
        return Err(Malformed::Stanza);
    }
    // A byte order mark would be skipped otherwise.
    if !text.starts_with('<') {
        return Err(Malformed::Xml);
    }
    let mut tree = Reading::default();
    tree.read(text)?;
    // Elements open at the end of input are no error to the tokenizer.
    if tree.open.is_empty() { tree.root.ok_or(Malformed::Xml) } else { Err(Malformed::Xml) }
}

/// Reads what a stanza contains, as [`parse`] would within `<message>`.
pub(crate) fn parse_children(text: &str) -> Result<Vec<Node<'_>>, Malformed> {
    if text.len() > MAX_STANZA {
        return Err(Malformed::TooLarge);
    }
    let mut tree = Reading { open: vec![Element::new(CLIENT_NS, "message")], ..Reading::default() };
    // Here a byte order mark is text.
    let rest = text.trim_start_matches('\u{FEFF}');
    tree.text(Cow::Borrowed(text.strip_suffix(rest).unwrap_or_default()))?;
    tree.read(rest)?;
    match (tree.open.pop(), tree.open.is_empty()) {
        (Some(message), true) => Ok(message.children),
        _ => Err(Malformed::Xml),
    }
}

/// The tree so far.
#[derive(Default)]
struct Reading<'a> {
    open: Vec<Element<'a>>,
    root: Option<Element<'a>>,
    bindings: Vec<Binding<'a>>,
    nodes: usize,
}

/// A namespace declaration in scope.
struct Binding<'a> {
    /// How many elements were open around the one that has it.
    depth: usize,
    /// Empty for the default namespace.
    prefix: &'a str,
    ns: Cow<'a, str>,
}

impl<'a> Reading<'a> {
    fn read(&mut self, text: &'a str) -> Result<(), Malformed> {
        if !are_chars(text) {
            return Err(Malformed::Xml);
        }
        let mut reader = Reader::from_str(text);
        let mut start = 0;
        loop {
            let event = reader.read_event().map_err(|_| Malformed::Xml)?;
            let end = usize::try_from(reader.buffer_position()).map_err(|_| Malformed::Xml)?;
            // The tag, borrowed for as long as the input is.
            let tag = |suffix: &str| {
                let tag = text.get(start..end)?.strip_prefix('<')?;
                tag.strip_suffix(suffix)
            };
            match event {
                Event::Start(_) => {
                    let element = self.element(tag(">").ok_or(Malformed::Xml)?)?;
                    self.open.push(element);
                }
                Event::Empty(_) => {
                    let element = self.element(tag("/>").ok_or(Malformed::Xml)?)?;
                    self.close(element);
                }
                Event::End(_) => {
                    let element = self.open.pop().ok_or(Malformed::Xml)?;
                    self.close(element);
                }
                Event::Text(text) => {
                    let text = text.into_inner();
                    // The short search first: it nearly always suffices.
                    if text.contains('>') && text.contains("]]>") {
                        return Err(Malformed::Xml);
                    }
                    self.text(fold_lines(text))?;
                }
                Event::CData(text) => self.text(fold_lines(text.into_inner()))?,
                Event::GeneralRef(name) => {
                    let c = resolve_reference(&name)?;
                    self.text(Cow::Owned(c.into()))?;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                    return Err(Malformed::ForbiddenXml);
                }
                Event::Eof => return Ok(()),
            }
            start = end;
        }
    }

    /// An element from what its tag holds between the angle brackets; its declarations come in scope.
    fn element(&mut self, tag: &'a str) -> Result<Element<'a>, Malformed> {
        let depth = self.open.len();
        if depth >= MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        if depth == 0 && self.root.is_some() {
            return Err(Malformed::Xml);
        }
        self.count()?;
        let (name, mut rest) =
            tag.split_at(tag.bytes().position(|b| is_space(b.into())).unwrap_or(tag.len()));
        let (prefix, name) = split_name(name)?;
        let mut element = Element::new("", name);
        let mut count = 0;
        while let Some((attribute, value, after)) = next_attribute(rest)? {
            rest = after;
            count += 1;
            if count > MAX_ATTRIBUTES {
                return Err(Malformed::TooLarge);
            }
            match split_name(attribute)? {
                ("", "xmlns") => self.declare(depth, "", value)?,
                ("xmlns", prefix) => self.declare(depth, prefix, value)?,
                (prefix, name) => element.attributes.push(Attribute {
                    // For now the prefix: what it is bound to may stand further on.
                    ns: (!prefix.is_empty()).then_some(Cow::Borrowed(prefix)),
                    name: Cow::Borrowed(name),
                    value: normalize(value)?,
                }),
            }
        }
        element.ns = self.resolve(prefix)?;
        for attribute in &mut element.attributes {
            if let Some(prefix) = &attribute.ns {
                attribute.ns = Some(self.resolve(prefix)?);
            }
        }
        // After resolution, for two prefixes can be bound to one namespace.
        if element.has_repeated_attribute() { Err(Malformed::Xml) } else { Ok(element) }
    }

    /// Ends `element`, whose declarations go out of scope.
    fn close(&mut self, element: Element<'a>) {
        let depth = self.open.len();
        while self.bindings.last().is_some_and(|binding| binding.depth >= depth) {
            self.bindings.pop();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<(), Malformed> {
        let Some(parent) = self.open.last_mut() else { return Err(Malformed::Xml) };
        if !text.is_empty() {
            let before = parent.children.len();
            parent.push_text(text);
            if parent.children.len() > before {
                self.count()?;
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(Malformed::TooLarge) } else { Ok(()) }
    }

    /// Namespaces in XML 1.0, sections 2.2 and 3. Names that would have to be escaped or
    /// normalised are refused: parsers differ on them, and no XMPP namespace has such.
    fn declare(&mut self, depth: usize, prefix: &'a str, ns: &'a str) -> Result<(), Malformed> {
        if ns.contains(['&', '>', '\'', '"', '\t', '\n', '\r']) {
            return Err(Malformed::ForbiddenXml);
        }
        if self.bindings.len() >= MAX_BINDINGS {
            return Err(Malformed::TooLarge);
        }
        let again = self.bindings.iter().rev().take_while(|b| b.depth == depth).any(|b| b.prefix == prefix);
        let reserved = (prefix == "xml") != (ns == XML_NS) || prefix == "xmlns" || ns == XMLNS_NS;
        let undeclared = !prefix.is_empty() && ns.is_empty();
        if again || reserved || undeclared || ns.contains('<') {
            return Err(Malformed::Xml);
        }
        self.bindings.push(Binding { depth, prefix, ns: Cow::Borrowed(ns) });
        Ok(())
    }

    fn resolve(&self, prefix: &str) -> Result<Cow<'a, str>, Malformed> {
        match self.bindings.iter().rev().find(|binding| binding.prefix == prefix) {
            Some(binding) => Ok(binding.ns.clone()),
            None if prefix.is_empty() => Ok(Cow::Borrowed(CLIENT_NS)),
            None if prefix == "xml" => Ok(Cow::Borrowed(XML_NS)),
            None => Err(Malformed::Xml),
        }
    }
}

/// The prefix, empty if there is none, and the local name.
fn split_name(name: &str) -> Result<(&str, &str), Malformed> {
    let (prefix, local) = match split(name, b':') {
        Some((prefix, local)) if is_ncname(prefix) => (prefix, local),
        Some(_) => return Err(Malformed::Xml),
        None => ("", name),
    };
    if is_ncname(local) { Ok((prefix, local)) } else { Err(Malformed::Xml) }
}

/// The next attribute's name and value as written, and what follows it.
fn next_attribute(rest: &str) -> Result<Option<(&str, &str, &str)>, Malformed> {
    let trimmed = rest.trim_start_matches(is_space);
    if trimmed.is_empty() {
        return Ok(None);
    }
    // White space must stand before each.
    if trimmed.len() == rest.len() {
        return Err(Malformed::Xml);
    }
    let (name, after) = split(trimmed, b'=').ok_or(Malformed::Xml)?;
    let after = after.trim_start_matches(is_space);
    let (value, rest) = match after.as_bytes().first() {
        Some(&quote @ (b'\'' | b'"')) => after.get(1..).and_then(|after| split(after, quote)),
        _ => None,
    }
    .ok_or(Malformed::Xml)?;
    Ok(Some((name.trim_end_matches(is_space), value, rest)))
}

/// What stands before and after the first `mark`, an ASCII character. Names and values are short:
/// looking at each byte is quicker than preparing a search.
fn split(text: &str, mark: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|b| b == mark)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The value of an attribute (XML 1.0, section 3.3.3): references resolved, and what white space
/// stands literally made spaces.
fn normalize(raw: &str) -> Result<Cow<'_, str>, Malformed> {
    if raw.bytes().all(|b| b > b'\r' && b != b'&' && b != b'<') {
        return Ok(Cow::Borrowed(raw));
    }
    if raw.contains('<') {
        return Err(Malformed::Xml);
    }
    let mut value = String::with_capacity(raw.len());
    let mut pieces = raw.split('&');
    let mut literal = pieces.next().unwrap_or_default();
    loop {
        let folded = literal.replace("\r\n", " ");
        value.extend(folded.chars().map(|c| if is_space(c) { ' ' } else { c }));
        let Some(piece) = pieces.next() else { return Ok(Cow::Owned(value)) };
        let (name, after) = piece.split_once(';').ok_or(Malformed::Xml)?;
        value.push(resolve_reference(name)?);
        literal = after;
    }
}

/// Literal line ends as XML has them (section 2.11): LF.
pub(super) fn fold_lines(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text }
}

/// What stands between `&` and `;`: one of the five names, or a number.
fn resolve_reference(name: &str) -> Result<char, Malformed> {
    let Some(number) = name.strip_prefix('#') else {
        return match name {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ => Err(Malformed::ForbiddenXml),
        };
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // `from_str_radix` would take a sign.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Malformed::Xml);
    }
    let code = u32::from_str_radix(digits, radix).map_err(|_| Malformed::Xml)?;
    char::from_u32(code).filter(|&c| is_char(c)).ok_or(Malformed::Xml)
}

#[cfg(test)]
mod tests;
