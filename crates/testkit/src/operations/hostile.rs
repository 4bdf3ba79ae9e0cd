//! Servers that return, forge and alter.

use super::*;

impl World {
    /// A server returns a stanza.
    pub(super) fn bounce(&mut self, a: u8, b: u8) {
        let Some(flying) = self.pick(a) else { return };
        let head = flying.text.split('>').next().unwrap_or_default();
        let (to, id) = (attribute(head, "to").unwrap_or_default(), attribute(head, "id").unwrap_or_default());
        let name = head.split([' ', '/']).next().unwrap_or_default().trim_start_matches('<');
        let inside = if b & 1 == 0 { payload_element(&flying.text) } else { String::new() };
        if !["message", "iq", "presence"].contains(&name) {
            return;
        }
        let text = format!(
            "<{name} type='error' from='{to}' to='{}' id='{id}'>{inside}<error type='cancel'/></{name}>",
            self.devices[flying.from].account
        );
        self.receive(flying.from, &text, false);
    }

    /// A message of a client without this protocol.
    pub(super) fn clear_text(&mut self, i: usize, b: u8, c: u8) {
        let (from, resource) = DEVICES[usize::from(b) % DEVICES.len()];
        let kind = ["chat", "normal", "groupchat", "headline", "error"][usize::from(c) % 5];
        let text =
            format!("<message from='{from}/{resource}' type='{kind}' id='i{c}'><body>hello</body></message>");
        self.receive(i, &text, false);
    }

    /// A stanza arrives as from another.
    pub(super) fn misroute(&mut self, a: u8, b: u8, c: u8) {
        let Some(flying) = self.take_from_wire(a) else { return };
        let (from, to) = (usize::from(b) % self.devices.len(), usize::from(c) % self.devices.len());
        let mut text = flying.text;
        if let Some(addressed) = attribute(text.split('>').next().unwrap_or_default(), "to") {
            text = text.replacen(&addressed, self.devices[to].account, 1);
        }
        let text = stamp(&text, &self.devices[from].full_jid());
        self.receive(to, &text, flying.protected);
    }

    /// The beginning of what one stanza protects, and the end of another's.
    pub(super) fn splice(&mut self, a: u8, b: u8, c: u8) {
        let (Some(one), Some(other)) = (self.pick(a), self.pick(b)) else { return };
        let (Some((_, one_bytes)), Some((place, bytes))) = (payload(&one.text), payload(&other.text)) else {
            return;
        };
        let at = usize::from(c) * one_bytes.len() / 256;
        let mut spliced = one_bytes[..at].to_vec();
        spliced.extend_from_slice(bytes.get(at..).unwrap_or_default());
        let mut flying = other;
        flying.text.replace_range(place, &STANDARD.encode(spliced));
        self.fly(flying);
    }

    /// Changes the bytes that a stanza carries.
    pub(super) fn corrupt(&mut self, a: u8, b: u8, c: u8) {
        let len = self.wire.len();
        if len == 0 {
            return;
        }
        let flying = &mut self.wire[usize::from(a) % len];
        let Some((place, mut bytes)) = payload(&flying.text) else { return };
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(b) % bytes.len();
        // The low numbers are in the head; the high ones may be anywhere.
        let at = if b >= 128 { usize::from(b) * bytes.len() / 256 } else { at };
        match c {
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, b),
            3 => bytes.extend_from_slice(&[0; 40]),
            _ => bytes[at] ^= c,
        }
        flying.text.replace_range(place, &STANDARD.encode(bytes));
    }

    /// Bytes of the fuzzer's, where the engine looks for protected ones.
    pub(super) fn forge(&mut self, i: usize, b: u8, c: u8, rest: &mut &[u8]) {
        let (bytes, after) = rest.split_at(usize::from(b).min(rest.len()));
        *rest = after;
        let data = STANDARD.encode(bytes);
        let from = &self.devices[usize::from(c) % self.devices.len()];
        let jid = from.full_jid();
        let text = match c >> 4 {
            0..=6 => format!("<message from='{jid}' type='chat'><e xmlns='{NS}'>{data}</e></message>"),
            7..=10 => format!("<presence from='{jid}'><e2e xmlns='{NS}'>{data}</e2e></presence>"),
            _ => format!("<iq type='get' from='{jid}' id='f'><keys xmlns='{NS}'>{data}</keys></iq>"),
        };
        let protected = text.starts_with("<message");
        self.receive(i, &text, protected);
    }
}

/// The longest base64 in a stanza: its place and its bytes.
fn payload(text: &str) -> Option<(core::ops::Range<usize>, Vec<u8>)> {
    let texts = text.match_indices('>').filter_map(|(at, _)| {
        let end = at + 1 + text.get(at + 1..)?.find('<')?;
        Some(at + 1..end)
    });
    let place = texts.max_by_key(ExactSizeIterator::len)?;
    let bytes = STANDARD.decode(text.get(place.clone())?).ok()?;
    Some((place, bytes))
}

/// The protected element of a message, as a server that returns it does.
fn payload_element(text: &str) -> String {
    let element = text.split_once("<e ").and_then(|(_, rest)| rest.split_once("</e>"));
    element.map_or_else(String::new, |(inside, _)| format!("<e {inside}</e>"))
}
