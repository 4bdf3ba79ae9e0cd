//! What a presence means, in one encoding: values as parsed, so that what servers do to the XML
//! changes nothing.

use core::fmt;
use std::borrow::Cow;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::{Malformed, Reason};
use crate::identity::{Digest, digest};
use crate::stanza::{CLIENT_NS, Element, MAX_STANZA, XML_NS};
use crate::wire;

/// Entity capabilities (XEP-0115).
const CAPS: &str = "http://jabber.org/protocol/caps";

/// No presence means more than it has bytes; lengths and lists have fewer than the tags they stand
/// for.
const MAX_MEANING: usize = MAX_STANZA;

/// What a presence means: whether its sender is there, how, for whom, and with what capabilities.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub struct PresenceMeaning {
    /// Empty, or `unavailable`.
    #[tls_codec(with = "crate::wire::text")]
    kind: String,
    #[tls_codec(with = "crate::wire::text")]
    show: String,
    /// By language, no two of one.
    statuses: Vec<Status>,
    /// In two's complement.
    priority: u8,
    caps: Caps,
}

#[derive(Clone, Eq, Ord, PartialEq, PartialOrd, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Status {
    #[tls_codec(with = "crate::wire::text")]
    lang: String,
    #[tls_codec(with = "crate::wire::text")]
    text: String,
}

#[derive(Clone, Default, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Caps {
    #[tls_codec(with = "crate::wire::text")]
    hash: String,
    #[tls_codec(with = "crate::wire::text")]
    node: String,
    #[tls_codec(with = "crate::wire::text")]
    ver: String,
}

impl PresenceMeaning {
    /// What `presence` means; `None` if two readers may read it differently, or it is of a type that
    /// tells nothing about its sender.
    pub(crate) fn of(presence: &Element<'_>) -> Option<Self> {
        let kind = match presence.attr("type") {
            None => String::new(),
            Some(kind @ "unavailable") => kind.to_owned(),
            Some(_) => return None,
        };
        let statuses = presence.elements().filter(|child| child.is(CLIENT_NS, "status"));
        let mut statuses = statuses
            .map(|status| Some(Status { lang: explicit_lang(status).to_owned(), text: plain(status)? }))
            .collect::<Option<Vec<_>>>()?;
        statuses.sort();
        // As a number; servers drop spaces around it, or keep them.
        let number = |text: String| text.trim_matches([' ', '\t', '\n']).parse::<i8>().ok();
        let priority = only(presence, CLIENT_NS, "priority", |child| number(plain(child)?))?;
        let caps = only(presence, CAPS, "c", |child| {
            let value = |name| child.attr(name).unwrap_or_default().to_owned();
            Some(Caps { hash: value("hash"), node: value("node"), ver: value("ver") })
        })?;
        let show = only(presence, CLIENT_NS, "show", plain)?;
        let meaning = Self { kind, show, statuses, priority: priority.cast_unsigned(), caps };
        meaning.check().ok().map(|()| meaning)
    }

    /// Decodes a meaning, which must be spelled as [`of`](Self::of) gives it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        let meaning: Self = wire::decode(bytes, MAX_MEANING)?;
        meaning.check()?;
        Ok(meaning)
    }

    fn check(&self) -> Result<(), Malformed> {
        let Self { kind, show, statuses, priority: _, caps: _ } = self;
        let known = kind.is_empty() || kind == "unavailable";
        let sorted = statuses.is_sorted_by(|one, next| one.lang < next.lang);
        let folded = !show.contains('\r') && statuses.iter().all(|status| !status.text.contains('\r'));
        if known && sorted && folded { Ok(()) } else { Err(Malformed::Encoding) }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    pub(crate) fn digest(&self) -> Digest {
        digest(&self.encode())
    }

    /// Whether it says that its sender is there.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.kind.is_empty()
    }

    /// The `show`; empty if there is none.
    #[must_use]
    pub fn show(&self) -> &str {
        &self.show
    }

    /// Language, empty if not given, and text of each status.
    pub fn statuses(&self) -> impl Iterator<Item = (&str, &str)> {
        self.statuses.iter().map(|status| (status.lang.as_str(), status.text.as_str()))
    }

    /// The priority; zero if there is none.
    #[must_use]
    pub fn priority(&self) -> i8 {
        self.priority.cast_signed()
    }
}

impl fmt::Debug for PresenceMeaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, show: _, statuses: _, priority: _, caps: _ } = self;
        f.debug_struct("PresenceMeaning").field("kind", kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lang: _, text: _ } = self;
        f.debug_struct("Status").finish_non_exhaustive()
    }
}

/// What the only child of this name says, or the default if there is none. Of two, each reader may
/// take another.
fn only<T: Default>(
    presence: &Element<'_>,
    ns: &str,
    name: &str,
    read: impl FnOnce(&Element<'_>) -> Option<T>,
) -> Option<T> {
    let mut all = presence.elements().filter(|child| child.is(ns, name));
    match (all.next(), all.next()) {
        (None, _) => Some(T::default()),
        (Some(child), None) => read(child),
        (Some(_), Some(_)) => None,
    }
}

/// The text of an element that has nothing else, with its line ends folded.
fn plain(element: &Element<'_>) -> Option<String> {
    if element.elements().next().is_some() {
        return None;
    }
    let text = element.text();
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text };
    Some(Cow::into_owned(text))
}

/// The `xml:lang` of the element itself: servers take that of the stanza away, or set one.
fn explicit_lang<'e>(element: &'e Element<'_>) -> &'e str {
    let mut attributes = element.attributes.iter();
    let lang = attributes.find(|a| a.ns.as_deref() == Some(XML_NS) && a.name == "lang");
    lang.map_or("", |lang| &*lang.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::parse;

    fn of(xml: &str) -> Option<PresenceMeaning> {
        PresenceMeaning::of(&parse(xml).unwrap())
    }

    const FULL: &str = "<presence xml:lang='en'><show>dnd</show><status>Wooing</status>\
        <status xml:lang='de'>Ich\nwerbe</status><priority>-1</priority>\
        <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.matthewwild.co.uk/verse/' \
        ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>";

    /// The vector of the specification, section "Authenticated presence".
    #[test]
    fn vector() {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let meaning = of("<presence><show>away</show><status xml:lang='en'>Back soon</status>\
            <priority> 5 </priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>\
            </presence>")
        .unwrap();
        assert_eq!(
            hex(&meaning.encode()),
            "000461776179".to_owned()
                + "0d02656e094261636b20736f6f6e"
                + "05"
                + "057368612d31"
                + "016e"
                + "0176"
        );
        assert_eq!(
            hex(&meaning.digest()),
            "9f18f6f125185fcc1a26c6eb2e8382bed7b6d660613cd4a6be0b0c61811bfb02"
        );
        let empty = of("<presence/>").unwrap();
        assert_eq!(hex(&empty.encode()), "00000000000000");
        assert_eq!(hex(&empty.digest()), "837885c8f8091aeaeb9ec3c3f85a6ff470a415e610b8ba3e49f9b33c9cf9d619");
    }

    #[test]
    fn what_servers_do_changes_nothing() {
        let meaning = of(FULL).unwrap();
        assert_eq!((meaning.is_available(), meaning.show(), meaning.priority()), (true, "dnd", -1));
        let statuses: Vec<_> = meaning.statuses().collect();
        assert_eq!(statuses, [("", "Wooing"), ("de", "Ich\nwerbe")]);
        assert_eq!(PresenceMeaning::decode(&meaning.encode()).unwrap(), meaning);
        for same in [
            FULL.replace(" xml:lang='en'", ""),
            FULL.replace("<presence ", "<presence from='a@b/c' to='d@e' id='1' "),
            FULL.replace(">-1<", "> -01\n<"),
            FULL.replace("Ich\n", "Ich&#13;\n"),
            FULL.replace("Ich\n", "Ich\r\n"),
            FULL.replace("Ich\n", "Ich&#13;"),
            FULL.replace("Wooing", "W<![CDATA[oo]]>ing"),
            FULL.replace("</presence>", "<delay xmlns='urn:xmpp:delay' stamp='x'/> </presence>"),
            FULL.replace("<show>dnd</show>", "").replace("<priority>", "<show>dnd</show><priority>"),
            FULL.replace("<status>Wooing</status>", "").replace("<prio", "<status>Wooing</status><prio"),
            FULL.replace(" hash=", " ext='x' hash="),
        ] {
            assert_eq!(of(&same).unwrap(), meaning, "{same}");
        }
        assert_eq!(of("<presence><priority>0</priority><show/></presence>"), of("<presence/>"));
    }

    #[test]
    fn each_value_counts() {
        let meaning = of(FULL).unwrap();
        for (old, new) in [
            ("<presence ", "<presence type='unavailable' "),
            ("dnd", "away"),
            ("<show>dnd</show>", ""),
            ("<show>", "<show xmlns='x'>"),
            ("Wooing", "Wooing "),
            ("<status>", "<status xml:lang='en'>"),
            ("xml:lang='de'", "lang='de' xml:lang='fr'"),
            ("<status>Wooing</status>", ""),
            (">-1<", ">1<"),
            ("sha-1", "sha-256"),
            ("verse", "prose"),
            ("Qgay", "qgay"),
        ] {
            assert_ne!(of(&FULL.replacen(old, new, 1)), Some(meaning.clone()), "{old}");
        }
    }

    #[test]
    fn what_may_be_read_in_two_ways_means_nothing() {
        for children in [
            "<show>away</show><show>dnd</show>",
            "<show>away<b xmlns='x'>!</b></show>",
            "<status>a<b xmlns='x'>!</b></status>",
            "<status>a</status><status>b</status>",
            "<status xml:lang='en'>a</status><status xml:lang='en'>a</status>",
            "<priority>1</priority><priority>1</priority>",
            "<priority/>",
            "<priority>high</priority>",
            "<priority>128</priority>",
            "<priority>1 0</priority>",
            "<c xmlns='http://jabber.org/protocol/caps'/><c xmlns='http://jabber.org/protocol/caps'/>",
        ] {
            assert_eq!(of(&format!("<presence>{children}</presence>")), None, "{children}");
        }
        assert_eq!(of("<presence type='subscribe'/>"), None);
        assert_eq!(of("<presence type=''/>"), None);
    }

    #[test]
    fn decoded_in_its_one_spelling_only() {
        let good = of(FULL).unwrap();
        let refused = |change: fn(&mut PresenceMeaning)| {
            let mut meaning = good.clone();
            change(&mut meaning);
            PresenceMeaning::decode(&meaning.encode()).is_err()
        };
        assert!(refused(|meaning| meaning.statuses.reverse()));
        assert!(refused(|meaning| meaning.statuses[1].lang.clear()));
        assert!(refused(|meaning| meaning.statuses[0].text.push('\r')));
        assert!(refused(|meaning| meaning.show.push('\r')));
        assert!(refused(|meaning| meaning.kind.push('x')));
        assert!(PresenceMeaning::decode(&[&good.encode()[..], &[0]].concat()).is_err());
        assert!(!format!("{good:?}").contains("Wooing"));
    }
}
