//! Writes a tree so that servers' rewriting leaves it alone: no prefixed elements, and each
//! default namespace declared where it changes.

use super::{Attribute, Element, Node, XML_NS};

/// `stanza` as text on a client's stream.
pub(crate) fn write_stanza(stanza: &Element<'_>) -> String {
    let mut out = String::with_capacity(512);
    write(stanza, super::CLIENT_NS, &mut out);
    out
}

/// Writes `element` to where `default_ns` is the default namespace.
///
/// What [`parse`](super::parse) gave is written so that it is parsed equal. Characters that XML
/// cannot carry are the caller's to keep out.
pub(crate) fn write(element: &Element<'_>, default_ns: &str, out: &mut String) {
    // Only `xml` names this namespace; it cannot be the default one.
    let prefix = if element.ns == XML_NS { "xml:" } else { "" };
    let inner_ns = if prefix.is_empty() { &*element.ns } else { default_ns };
    out.push('<');
    out.push_str(prefix);
    out.push_str(&element.name);
    if inner_ns != default_ns {
        write_attribute(&["xmlns"], inner_ns, out);
    }
    for (i, attribute) in element.attributes.iter().enumerate() {
        match attribute.ns.as_deref() {
            None => write_attribute(&[&attribute.name], &attribute.value, out),
            Some(XML_NS) => write_attribute(&["xml:", &attribute.name], &attribute.value, out),
            Some(ns) => {
                let first = first_with(ns, &element.attributes);
                let prefix = format!("ns{first}");
                if first == i {
                    write_attribute(&["xmlns:", &prefix], ns, out);
                }
                write_attribute(&[&prefix, ":", &attribute.name], &attribute.value, out);
            }
        }
    }
    if element.children.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    write_children(&element.children, inner_ns, out);
    out.push_str("</");
    out.push_str(prefix);
    out.push_str(&element.name);
    out.push('>');
}

/// Writes `children` to where `default_ns` is the default namespace.
pub(crate) fn write_children(children: &[Node<'_>], default_ns: &str, out: &mut String) {
    for child in children {
        match child {
            Node::Element(element) => write(element, default_ns, out),
            Node::Text(text) => escape(text, Place::Text, out),
        }
    }
}

/// Which attribute is the first of `ns`: it declares the prefix, and numbers it.
fn first_with(ns: &str, attributes: &[Attribute<'_>]) -> usize {
    attributes.iter().position(|attribute| attribute.ns.as_deref() == Some(ns)).unwrap_or_default()
}

fn write_attribute(name: &[&str], value: &str, out: &mut String) {
    out.push(' ');
    out.extend(name.iter().copied());
    out.push_str("='");
    escape(value, Place::Attribute, out);
    out.push('\'');
}

/// Where character data stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Attribute,
    Text,
}

/// Writes `text` so that a parser's normalisation gives it back (XML 1.0, sections 2.4, 2.11, 3.3.3).
fn escape(text: &str, place: Place, out: &mut String) {
    let mut rest = text;
    let special = |b: u8| match b {
        b'&' | b'<' | b'>' | b'\r' => true,
        b'\'' | b'\t' | b'\n' => place == Place::Attribute,
        _ => false,
    };
    while let Some(at) = rest.bytes().position(special) {
        // All of them are one byte.
        let (plain, from) = rest.split_at(at);
        let (character, after) = from.split_at(1);
        out.push_str(plain);
        out.push_str(match character {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "'" => "&apos;",
            "\t" => "&#9;",
            "\n" => "&#10;",
            _ => "&#13;",
        });
        rest = after;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::super::generate::element;
    use super::super::{CLIENT_NS, parse, parse_children};
    use super::*;

    fn written(element: &Element<'_>) -> String {
        let mut out = String::new();
        write(element, CLIENT_NS, &mut out);
        out
    }

    #[test]
    fn a_chat_message() {
        let message = Element::new(CLIENT_NS, "message")
            .with_attr("to", "bob@example.org")
            .with_attr("type", "chat")
            .with_child(Element::new(CLIENT_NS, "body").with_text("1 < 2 & 'q' \"d\"\r\n\t]]>"))
            .with_child(Element::new("urn:x", "x").with_child(Element::new("urn:x", "y")))
            .with_child(Element::new("", "z").with_child(Element::new(CLIENT_NS, "w")));
        assert_eq!(
            written(&message),
            "<message to='bob@example.org' type='chat'>\
             <body>1 &lt; 2 &amp; 'q' \"d\"&#13;\n\t]]&gt;</body>\
             <x xmlns='urn:x'><y/></x><z xmlns=''><w xmlns='jabber:client'/></z></message>"
        );
    }

    #[test]
    fn attributes() {
        let mut element = Element::new(CLIENT_NS, "a").with_attr("v", "'\"<>&\t\n\r");
        for (ns, name) in [(XML_NS, "lang"), ("urn:x", "b"), ("urn:y", "b"), ("urn:x", "c")] {
            let ns = Some(Cow::Borrowed(ns));
            element.attributes.push(Attribute { ns, name: name.into(), value: "1".into() });
        }
        assert_eq!(
            written(&element),
            "<a v='&apos;\"&lt;&gt;&amp;&#9;&#10;&#13;' xml:lang='1' \
             xmlns:ns2='urn:x' ns2:b='1' xmlns:ns3='urn:y' ns3:b='1' ns2:c='1'/>"
        );
        assert_eq!(parse(&written(&element)).unwrap(), element);
    }

    proptest! {
        #[test]
        fn what_is_written_is_parsed_equal(element in element()) {
            let xml = written(&element);
            prop_assert_eq!(parse(&xml), Ok(element.clone()), "{}", xml);
            let mut out = String::new();
            write_children(&element.children, CLIENT_NS, &mut out);
            prop_assert_eq!(parse_children(&out), Ok(element.children), "{}", out);
        }

        #[test]
        fn what_is_parsed_is_written_and_parsed_equal(
            pieces in proptest::collection::vec(proptest::sample::select(&[
                "<a>", "</a>", "<b xmlns='urn:b'>", "</b>", "<c/>", "<p:d xmlns:p='urn:p' p:e='&#9;' f=\"'\"/>",
                "text", "&lt;", "&#x10FFFF;", "&#13;", "\r\n", "<![CDATA[<&]]>", "]]>", "<!--", "-->", "<?x?>",
                "<e a='1' a='2'/>", "<x:y/>", "&unknown;", "\u{1}", "\u{FEFF}", " ", "<", ">", "&", "'",
                "<g xml:lang='de' xmlns=''><h/></g>",
            ][..]), 0..12),
        ) {
            let inner = pieces.concat();
            for text in [format!("<a>{inner}</a>"), inner] {
                if let Ok(element) = parse(&text) {
                    let xml = written(&element);
                    prop_assert_eq!(parse(&xml), Ok(element.clone()), "{}", text);
                }
                if let Ok(children) = parse_children(&text) {
                    let mut out = String::new();
                    write_children(&children, CLIENT_NS, &mut out);
                    prop_assert_eq!(parse_children(&out), Ok(children.clone()), "{}", text);
                }
            }
        }

        #[test]
        fn nothing_panics(text in "[<>/a:='\"&;#x!\\[\\]CDAT?\\- \r\u{FEFF}é]{0,40}", any in any::<String>()) {
            for text in [text, any] {
                let _ = (parse(&text), parse_children(&text));
            }
        }
    }
}
