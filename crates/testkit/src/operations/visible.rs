//! Servers that alter what is in clear: the bytes that protect it stay as they are, so what is delivered must be what
//! was handed in, even under the fake suite.

use super::*;
use crate::xml::Element;

/// The elements that protect a stanza.
const ELEMENTS: [&str; 3] = ["e", "auth", "signed"];

impl World {
    /// Alters a stanza under way; the one that was stays or goes.
    pub(super) fn edit(&mut self, a: u8, b: u8, c: u8) {
        let Some(mut flying) = self.pick(a) else { return };
        // An `auth` is bound to its stanza by what the fake suite does not check.
        let other =
            self.pick(b).map(|other| protecting(&other.text)).filter(|text| text.starts_with("<signed"));
        let other = other.unwrap_or_default();
        let Some(text) = edited(&flying.text, b, c, &other) else { return };
        if c & 128 != 0 {
            drop(self.take_from_wire(a));
        } else {
            self.replayed = true;
        }
        flying.text = text;
        flying.protected = false;
        self.fly(flying);
    }
}

/// The element that authenticates a stanza in clear, wherever it stands.
fn protecting(text: &str) -> String {
    for name in ["auth", "signed"] {
        let parts = text
            .split_once(&format!("<{name} "))
            .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
        if let Some((inside, _)) = parts {
            return format!("<{name} {inside}</{name}>");
        }
    }
    String::new()
}

/// A stanza altered among its children, or in the first of them.
fn edited(text: &str, b: u8, c: u8, other: &str) -> Option<String> {
    let mut stanza = Element::parse(text)?;
    if b & 1 == 0 {
        return altered(text, c, other);
    }
    let mut children: Vec<String> = stanza.children().iter().map(|child| child.write("")).collect();
    let place = children
        .iter()
        .position(|child| !child.contains(&format!(" xmlns='{NS}'>")) || child.contains("><"))?;
    let child = altered(&children[place], c, other)?;
    children[place] = child;
    stanza.inner = "";
    Some(stanza.write(&children.concat()))
}

/// An element altered among its children.
pub(super) fn altered(text: &str, c: u8, other: &str) -> Option<String> {
    let mut element = Element::parse(text)?;
    let mut children: Vec<String> = element.children().iter().map(|child| child.write("")).collect();
    let len = children.len().max(1);
    let place = usize::from(c >> 4) % len;
    let forged = [
        "<body>forged</body>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='i1'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>",
        "<signed xmlns='urn:xmpp:e2e:0'>AAAA</signed>",
        "<auth xmlns='urn:xmpp:e2e:0'>AAAA</auth>",
        "<show>forged</show>",
    ];
    match c & 15 {
        0 if !children.is_empty() => drop(children.remove(place)),
        1 if !children.is_empty() => children.push(children[place].clone()),
        2 => children.push(forged[usize::from(c >> 4) % forged.len()].to_owned()),
        3 => children.insert(0, forged[usize::from(c >> 4) % forged.len()].to_owned()),
        4 => {
            let altered = text.replacen(SHOWN, "sHown-", 1 + place);
            return (altered != text).then_some(altered);
        }
        5 => children.rotate_left(place),
        6 => {
            let from = ELEMENTS[place % 3];
            let to = ELEMENTS[usize::from(c >> 6) % 3];
            let renamed = text.replace(&format!("<{from} "), &format!("<{to} "));
            return Some(renamed.replace(&format!("</{from}>"), &format!("</{to}>")));
        }
        7 | 8 => {
            // Out of the payload, or into it.
            let own = protecting(text);
            if own.is_empty() {
                return None;
            }
            let without = text.replacen(&own, "", 1);
            let (at, _) = without.match_indices("</").nth(place % 2)?;
            let mut moved = without.clone();
            moved.insert_str(if c & 1 == 0 { at } else { moved.rfind("</")? }, &own);
            return Some(moved);
        }
        9 if !other.is_empty() => {
            let own = protecting(text);
            return if own.is_empty() { None } else { Some(text.replacen(&own, other, 1)) };
        }
        10 => return Some(text.replacen(&protecting(text), "", 1)),
        11 => return Some(text.replacen("<body>", "<body xml:lang='en'>", 1)),
        12 => return Some(text.replacen(" xml:lang='de'", "", 1)),
        13 => return Some(text.replacen('>', " xml:lang='x'>", 1)).filter(|_| !text.contains("xml:lang")),
        14 => children.push(other.to_owned()),
        _ => return None,
    }
    element.inner = "";
    Some(element.write(&children.concat()))
}
