//! What is sealed inside a protected stanza.
//!
//! ```text
//! uint8 kind; uint8 time[6]; opaque inner_id<V>; [uint8 tag[16];] body; zeros
//! ```
//!
//! The body reaches to the padding, which is zeros: no text or XML has a NUL. The top bit of `kind` says that it
//! answers an iq, and that the tag of that iq is there.

use std::borrow::Cow;

use tls_codec::{Serialize, VLByteSlice};
use zeroize::Zeroizing;

use super::chars::are_chars;
use super::control::Control;
use super::covered::MAX_COVERED;
use super::{
    CLIENT_NS, Element, IQ, MAX_STANZA, MESSAGE, Node, PRESENCE, Padding, parse, parse_children, write,
    write_children,
};
use crate::env::Timestamp;
use crate::error::Malformed;
use crate::identity::Digest;
use crate::wire;

/// Bytes of a content, padding included: as base64 (four thirds) it leaves 16 KiB of a stanza of
/// [`MAX_STANZA`] for addressing, keys and hints.
pub(crate) const MAX_CONTENT: usize = (MAX_STANZA - 16_384) / 4 * 3;

/// Bytes of an inner id. Clients' own have 5 to 40.
pub(crate) const MAX_INNER_ID: usize = 255;

/// Milliseconds that six bytes hold: until the year 10889.
const MAX_TIME: u64 = (1 << 48) - 1;

/// What a protected stanza says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Content<'a> {
    /// The sender's time, in milliseconds.
    pub(crate) time: Timestamp,
    /// The authoritative id of the stanza, if something may refer to it; not empty.
    pub(crate) inner_id: Option<Cow<'a, str>>,
    /// The tag of the iq that this answers.
    pub(crate) answers: Option<AnswerTag>,
    /// The rest, by kind.
    pub(crate) body: Body<'a>,
}

/// Names an iq to its two sides and to nobody else: derived from the key of the message it came in.
pub(crate) type AnswerTag = [u8; 16];

/// The kinds of content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Body<'a> {
    /// Kind 1: the text of a message that has only a `<body/>`.
    ChatText(Cow<'a, str>),
    /// Kind 2: the children of a stanza in `jabber:client`.
    Children(Vec<Node<'a>>),
    /// Kind 3: a stanza without the attributes that are outside.
    Stanza(Element<'a>),
    /// Kind 4: the hashes of what stands outside in clear, in order.
    Covered(Vec<Digest>),
    /// Kind 5: for the engine at the other end.
    Control(Control),
    /// Kind 6: as kind 3, of a stanza that also stands outside in clear.
    Shown(Element<'a>),
}

const CHAT_TEXT: u8 = 1;
const CHILDREN: u8 = 2;
const STANZA: u8 = 3;
const COVERED: u8 = 4;
const CONTROL: u8 = 5;
const SHOWN: u8 = 6;

/// The bit of a kind that says that it answers an iq.
const ANSWER: u8 = 0x80;

/// The attributes of a stanza that stand outside: servers route by them (RFC 6120, section 8.1).
pub(crate) const OUTSIDE: [&str; 4] = ["from", "to", "type", "id"];

/// Digests of a detached authentication, in bytes.
const MAX_HASHES: usize = MAX_COVERED * 32;

impl<'a> Content<'a> {
    /// The padded bytes. A time beyond what they hold is written as the last they do.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`], and [`Malformed::Xml`] if a text cannot stand in XML.
    pub(crate) fn encode(&self, padding: Padding) -> Result<Zeroizing<Vec<u8>>, Malformed> {
        let id = self.inner_id.as_deref().unwrap_or_default();
        let (kind, body): (u8, Zeroizing<Vec<u8>>) = match &self.body {
            Body::ChatText(text) => (CHAT_TEXT, Zeroizing::new(text.as_bytes().to_vec())),
            Body::Children(children) => {
                let mut xml = String::new();
                write_children(children, CLIENT_NS, &mut xml);
                (CHILDREN, Zeroizing::new(xml.into_bytes()))
            }
            Body::Stanza(stanza) => (STANZA, whole(stanza)),
            Body::Shown(stanza) => (SHOWN, whole(stanza)),
            Body::Covered(hashes) => (COVERED, Zeroizing::new(wire::encode(&VLByteSlice(&hashes.concat())))),
            Body::Control(control) => (CONTROL, wire::encode_secret(control)),
        };
        if id.len() > MAX_INNER_ID || body.len() > MAX_CONTENT {
            return Err(Malformed::TooLarge);
        }
        let text = match kind {
            CONTROL | COVERED => Ok(""),
            _ => core::str::from_utf8(&body),
        };
        let tag = self.answers.as_ref().map_or(&[][..], AnswerTag::as_slice);
        if !are_chars(id) || !text.is_ok_and(are_chars) {
            return Err(Malformed::Xml);
        }
        // A kind byte, six of time, at most two of length.
        let len = padding.padded_len(1 + 6 + 2 + id.len() + tag.len() + body.len());
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        bytes.push(if tag.is_empty() { kind } else { kind | ANSWER });
        bytes.extend(self.time.as_millis().min(MAX_TIME).to_be_bytes().iter().skip(2));
        VLByteSlice(id.as_bytes()).tls_serialize(&mut *bytes).map_err(|_| Malformed::TooLarge)?;
        bytes.extend_from_slice(tag);
        bytes.extend_from_slice(&body);
        let len = padding.padded_len(bytes.len());
        if len > MAX_CONTENT {
            return Err(Malformed::TooLarge);
        }
        bytes.resize(len, 0);
        Ok(bytes)
    }

    /// Reads padded bytes: all of them, whatever the padding.
    ///
    /// # Errors
    /// [`Malformed::Version`] for a kind that is not known, otherwise what is wrong.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_CONTENT {
            return Err(Malformed::TooLarge);
        }
        let (&first, rest) = bytes.split_first().ok_or(Malformed::Encoding)?;
        let (kind, answer) = (first & !ANSWER, first & ANSWER != 0);
        let known = match kind {
            CHILDREN | STANZA | COVERED | SHOWN => true,
            // Nobody asks for these.
            CHAT_TEXT | CONTROL => !answer,
            _ => false,
        };
        if !known {
            return Err(Malformed::Version);
        }
        let (time, rest) = rest.split_first_chunk::<6>().ok_or(Malformed::Encoding)?;
        let millis = time.iter().fold(0, |millis, &byte| millis << 8 | u64::from(byte));
        let (id, rest) = wire::opaque(rest).map_err(|_| Malformed::Encoding)?;
        if id.len() > MAX_INNER_ID {
            return Err(Malformed::TooLarge);
        }
        let id = xml_text(id)?;
        let (answers, rest) = if answer {
            let (tag, rest) = rest.split_first_chunk().ok_or(Malformed::Encoding)?;
            (Some(*tag), rest)
        } else {
            (None, rest)
        };
        let body = match kind {
            CONTROL => Body::Control(Control::decode(rest)?),
            COVERED => Body::Covered(hashes(rest)?),
            CHILDREN => Body::Children(parse_children(xml_text(unpadded(rest))?)?),
            STANZA => Body::Stanza(stanza(rest)?),
            SHOWN => Body::Shown(stanza(rest)?),
            _ => Body::ChatText(Cow::Borrowed(xml_text(unpadded(rest))?)),
        };
        Ok(Self {
            time: Timestamp::from_millis(millis),
            inner_id: (!id.is_empty()).then_some(Cow::Borrowed(id)),
            answers,
            body,
        })
    }

    /// The same, borrowing nothing.
    #[cfg(test)]
    pub(crate) fn into_owned(self) -> Content<'static> {
        Content {
            time: self.time,
            inner_id: self.inner_id.map(|id| Cow::Owned(id.into_owned())),
            answers: self.answers,
            body: match self.body {
                Body::Stanza(stanza) => Body::Stanza(stanza.into_owned()),
                Body::Shown(stanza) => Body::Shown(stanza.into_owned()),
                Body::Covered(hashes) => Body::Covered(hashes),
                Body::ChatText(text) => Body::ChatText(Cow::Owned(text.into_owned())),
                Body::Children(children) => {
                    Body::Children(children.into_iter().map(Node::into_owned).collect())
                }
                Body::Control(control) => Body::Control(control),
            },
        }
    }
}

/// A stanza as XML, without the attributes that stand outside.
fn whole(stanza: &Element<'_>) -> Zeroizing<Vec<u8>> {
    let mut xml = String::new();
    write(stanza, CLIENT_NS, &mut xml);
    Zeroizing::new(xml.into_bytes())
}

fn stanza(bytes: &[u8]) -> Result<Element<'_>, Malformed> {
    let stanza = parse(xml_text(unpadded(bytes))?)?;
    let known = [MESSAGE, PRESENCE, IQ].contains(&&*stanza.name) && stanza.ns == CLIENT_NS;
    let bare = OUTSIDE.iter().all(|name| stanza.attr(name).is_none());
    if known && bare { Ok(stanza) } else { Err(Malformed::Stanza) }
}

fn hashes(bytes: &[u8]) -> Result<Vec<Digest>, Malformed> {
    let (bytes, rest) = wire::opaque(bytes).map_err(|_| Malformed::Encoding)?;
    let (hashes, odd) = bytes.as_chunks();
    if bytes.len() > MAX_HASHES {
        return Err(Malformed::TooLarge);
    }
    let good = !hashes.is_empty() && odd.is_empty() && unpadded(rest).is_empty();
    if good { Ok(hashes.to_vec()) } else { Err(Malformed::Encoding) }
}

/// Without the zeros at the end.
pub(super) fn unpadded(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

/// A text that can be put into the stanza that is handed to the application.
fn xml_text(bytes: &[u8]) -> Result<&str, Malformed> {
    let text = core::str::from_utf8(bytes).map_err(|_| Malformed::Encoding)?;
    if are_chars(text) { Ok(text) } else { Err(Malformed::Encoding) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Again, Resend};
    use super::*;

    fn content(body: Body<'_>) -> Content<'_> {
        Content { time: Timestamp::from_millis(0x0102_0304_0506), inner_id: None, answers: None, body }
    }

    fn chat(text: &str) -> Content<'_> {
        content(Body::ChatText(Cow::Borrowed(text)))
    }

    #[test]
    fn the_bytes() {
        let encoded = chat("Hi").encode(Padding::Off).unwrap();
        assert_eq!(*encoded, [1, 1, 2, 3, 4, 5, 6, 0, b'H', b'i']);
        let with_id = Content { inner_id: Some("a1".into()), ..chat("") };
        assert_eq!(*with_id.encode(Padding::Off).unwrap(), [1, 1, 2, 3, 4, 5, 6, 2, b'a', b'1']);
        let list = content(Body::Control(Control::ListVersion(7)));
        assert_eq!(*list.encode(Padding::Off).unwrap(), [5, 1, 2, 3, 4, 5, 6, 0, 2, 0, 0, 0, 7]);
        let answer = Content { answers: Some([7; 16]), ..content(Body::Children(Vec::new())) };
        let bytes = answer.encode(Padding::Off).unwrap();
        assert_eq!((bytes[0], &bytes[8..]), (0x82, &[7; 16][..]));
        let covered = content(Body::Covered(vec![[0; 32], [9; 32]])).encode(Padding::Off).unwrap();
        assert_eq!((covered[0], &covered[8..10], covered.len()), (4, &[0x40, 64][..], 8 + 2 + 64));
        assert_eq!(chat("exactly twenty chars").encode(Padding::Classes).unwrap().len(), 32);
    }

    #[test]
    fn round_trips() {
        let children = vec![
            Node::Element(Element::new(CLIENT_NS, "body").with_text("a & b")),
            Node::Element(Element::new("urn:x", "x").with_attr("y", "\u{1F600}")),
        ];
        let again = Again {
            addressed: "a@b".to_owned(),
            stanza_type: String::new(),
            id: "1".to_owned(),
            content: vec![1, 0, 0, 0, 0, 0, 0, 0].into(),
        };
        for body in [
            Body::ChatText("".into()),
            Body::ChatText("\u{FEFF}a\r\nb".into()),
            Body::Children(Vec::new()),
            Body::Stanza(Element { children: children.clone(), ..Element::new(CLIENT_NS, "iq") }),
            Body::Shown(Element::new(CLIENT_NS, "presence").with_attr("x", "1").with_text(" y")),
            Body::Covered(vec![[0; 32]; 64]),
            Body::Children(children),
            Body::Control(Control::Empty),
            Body::Control(Control::ListVersion(u32::MAX)),
            Body::Control(Control::ListVersion(0x100)),
            Body::Control(Control::Resend(Resend::Since(0x100))),
            Body::Control(Control::Resend(Resend::Message(again))),
            Body::Control(Control::Verification(vec![7; 300].into())),
            Body::Control(Control::Linking(vec![0].into())),
            Body::Control(Control::History(Vec::new().into())),
        ] {
            for (padding, id) in [(Padding::Classes, None), (Padding::Off, Some(Cow::Borrowed("id")))] {
                let content = Content { inner_id: id, ..content(body.clone()) };
                let bytes = content.encode(padding).unwrap();
                assert_eq!(Content::decode(&bytes), Ok(content.clone()));
                assert_eq!(content.clone().into_owned(), content);
                let answer = Content { answers: Some([0; 16]), ..content };
                let bytes = answer.encode(padding).unwrap();
                let asked = matches!(answer.body, Body::ChatText(_) | Body::Control(_));
                let expected = if asked { Err(Malformed::Version) } else { Ok(answer) };
                assert_eq!(Content::decode(&bytes), expected);
            }
        }
    }

    #[test]
    fn refuses() {
        let head = |kind: u8, rest: &[u8]| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], rest].concat();
        for (bytes, malformed) in [
            (vec![], Malformed::Encoding),
            (vec![1, 0, 0, 0, 0, 0, 0], Malformed::Encoding),
            (vec![0; 32], Malformed::Version),
            (head(3, b""), Malformed::Stanza),
            (head(3, b"<a/>"), Malformed::Stanza),
            (head(3, b"<message xmlns='urn:x'/>"), Malformed::Stanza),
            (head(3, b"<message id=''/>"), Malformed::Stanza),
            (head(6, b"<iq from='a@b'/>"), Malformed::Stanza),
            (head(3, b"<message/><message/>"), Malformed::Xml),
            (head(4, b""), Malformed::Encoding),
            (head(4, &[0]), Malformed::Encoding),
            (head(4, &[&[31][..], &[1; 31]].concat()), Malformed::Encoding),
            (head(4, &[&[32][..], &[1; 33]].concat()), Malformed::Encoding),
            (head(4, &[&[0x48, 0x20][..], &[1; 65 * 32]].concat()), Malformed::TooLarge),
            (head(7, b""), Malformed::Version),
            (head(0x81, &[0; 16]), Malformed::Version),
            (head(0x85, &[0; 17]), Malformed::Version),
            (head(0x82, &[0; 15]), Malformed::Encoding),
            (head(1, b"a\0b"), Malformed::Encoding),
            (head(1, b"a\x01"), Malformed::Encoding),
            (head(1, b"\xFF"), Malformed::Encoding),
            (head(2, b"</message><message>"), Malformed::Xml),
            (head(2, b"<a>"), Malformed::Xml),
            (head(2, b"<!---->"), Malformed::ForbiddenXml),
            (head(2, "<a>".repeat(64).as_bytes()), Malformed::TooDeep),
            (head(5, b""), Malformed::Encoding),
            (head(5, &[0, 0]), Malformed::Version),
            (head(5, &[7]), Malformed::Version),
            (head(5, &[4]), Malformed::Encoding),
            (head(5, &[4, 2, 1]), Malformed::Encoding),
            (head(5, &[1, 0, 1]), Malformed::Encoding),
            (head(5, &[2, 0, 0, 1]), Malformed::Encoding),
            (vec![1; MAX_CONTENT + 1], Malformed::TooLarge),
            ([&[1, 0, 0, 0, 0, 0, 0, 0x41, 0x00][..], &[b'a'; 256]].concat(), Malformed::TooLarge),
        ] {
            assert_eq!(Content::decode(&bytes), Err(malformed), "{:?}", bytes.get(..20));
        }
        assert_eq!(chat("a\0").encode(Padding::Off), Err(Malformed::Xml));
        assert_eq!(chat(&"a".repeat(MAX_CONTENT)).encode(Padding::Off), Err(Malformed::TooLarge));
        let long_id = Content { inner_id: Some("i".repeat(MAX_INNER_ID + 1).into()), ..chat("") };
        assert_eq!(long_id.encode(Padding::Off), Err(Malformed::TooLarge));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_texts_survive(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            let _ = Content::decode(&bytes);
            if let Ok(bytes) = chat(&text).encode(Padding::Classes) {
                prop_assert_eq!(Content::decode(&bytes), Ok(chat(&text)));
            }
        }
    }
}
