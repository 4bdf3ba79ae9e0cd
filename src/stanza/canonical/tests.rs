use proptest::prelude::*;

use super::super::generate::element;
use super::super::{parse, write_stanza};
use super::*;

fn reduced(xml: &str) -> Reduced<'_> {
    Reduced::of(&parse(xml).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[test]
fn the_bytes() {
    let bytes = reduced("<a xmlns='u' c='2' b='1'>x<d xmlns=''/></a>").to_bytes();
    let expected: [&[u8]; 9] = [
        b"\x01\x01u\x01a",
        b"\x0A",
        b"\x00\x01b\x011",
        b"\x00\x01c\x012",
        b"\x02\x01x",
        b"\x01\x00\x01d",
        b"\x00",
        b"\x00",
        b"\x00",
    ];
    assert_eq!(hex(&bytes), hex(&expected.concat()));
}

/// In each line all are the same.
#[test]
fn what_servers_may_write_for_each_other() {
    for same in [
        &[
            "<a xmlns='u'><b/></a>",
            "<p:a xmlns:p='u'><q:b xmlns:q='u'/></p:a>",
            "<a xmlns='u' xmlns:r='v'><b></b></a>",
        ][..],
        &["<x xmlns='u' a='1' b='2'/>", "<x b=\"2\" xmlns='u' a='&#49;'/>"],
        &["<x xmlns='u' xmlns:p='v' p:a='1' a='2'/>", "<x xmlns='u' a='2' q:a='1' xmlns:q='v'/>"],
        &["<x xmlns='u'>a&lt;b</x>", "<x xmlns='u'><![CDATA[a<]]>b</x>", "<x xmlns='u'>&#97;&#x3C;b</x>"],
        &["<x xmlns='u'>a&#13;&#10;b&#13;c</x>", "<x xmlns='u'>a\r\nb\rc</x>", "<x xmlns='u'>a\nb\nc</x>"],
        &[
            "<x xmlns='u' a='1&#9;2&#10;3&#13;4'/>",
            "<x xmlns='u' a='1\t2\n3\r4'/>",
            "<x xmlns='u' a='1 2 3 4'/>",
        ],
        &["<x xmlns='u' a='1&#13;&#10;2'/>", "<x xmlns='u' a='1\r\n2'/>", "<x xmlns='u' a='1 2'/>"],
        &[
            "<body>b</body>",
            "<body x='1'>b</body>",
            "<body xml:lang=''>b</body>",
            "<body xmlns:p='u' p:lang='de'>b</body>",
            "<c:body xmlns:c='jabber:client'>b</c:body>",
        ],
        &["<body>ab</body>", "<body>a<b xmlns='u'>c</b>b</body>"],
        &[
            "<thread>t</thread>",
            "<thread xml:lang='de' p='1'>t</thread>",
            "<thread parent=''>t</thread>",
            "<thread xmlns:p='u' p:parent='1'>t</thread>",
        ],
        &["<show>away</show>", "<show xml:lang='de'>away</show>"],
        &["<priority>5</priority>", "<priority> 5&#13;\n\t</priority>", "<priority>+05</priority>"],
        &["<priority>0</priority>", "<priority>-0</priority>", "<priority>000</priority>"],
    ] {
        let forms: Vec<_> = same.iter().map(|xml| reduced(xml)).collect();
        assert!(forms.iter().all(|form| form.to_bytes() == forms[0].to_bytes()), "{same:?}");
        assert!(forms.iter().all(|form| form.digest() == forms[0].digest()), "{same:?}");
    }
}

#[test]
fn what_says_something_else() {
    let different = [
        "<body/>",
        "<body>b</body>",
        "<body>B</body>",
        "<body> b</body>",
        "<body>b\n</body>",
        "<body xml:lang='de'>b</body>",
        "<body xml:lang='DE'>b</body>",
        "<body xmlns='u'>b</body>",
        "<body xmlns=''>b</body>",
        "<body xmlns='u' xml:lang='de'>b</body>",
        "<body xmlns='u' lang='de'>b</body>",
        "<body xmlns='u' xmlns:v='v' v:lang='de'>b</body>",
        "<subject>b</subject>",
        "<thread>b</thread>",
        "<thread parent='a'>b</thread>",
        "<show> away</show>",
        "<show>away</show>",
        "<priority>5</priority>",
        "<priority>-5</priority>",
        "<priority>500</priority>",
        "<priority>0500</priority>",
        "<priority/>",
        "<x xmlns='u'/>",
        "<x xmlns='u'> </x>",
        "<x xmlns='u' a=''/>",
        "<x xmlns='u' a='1'/>",
        "<x xmlns='u' a='1' b=''/>",
        "<x xmlns='u' b='' a='  1'/>",
        "<x xmlns='u'>a</x>",
        "<x xmlns='u'><a/></x>",
        "<x xmlns='u'><a/><a/></x>",
        "<x xmlns='u'><a><a/></a></x>",
        "<x xmlns='u'>a<a/></x>",
        "<x xmlns='u'><a/>a</x>",
        "<x xmlns='u'><a>a</a></x>",
        "<x xmlns='u'>\u{E9}</x>",
        "<x xmlns='u'>e\u{301}</x>",
    ];
    let mut digests: Vec<_> = different.iter().map(|xml| reduced(xml).digest()).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), different.len());
}

#[test]
fn what_is_fragile() {
    for (xml, fragile) in [
        ("<x xmlns='u'>a\r\nb\tc</x>", false),
        ("<x xmlns='u'>a&#13;b</x>", true),
        ("<x xmlns='u'><y><z>&#13;</z></y></x>", true),
        ("<x xmlns='u' a='1\n2'/>", false),
        ("<x xmlns='u' a='1&#9;2'/>", true),
        ("<x xmlns='u' a='1&#10;2'/>", true),
        ("<x xmlns='u'><y a='&#13;'/></x>", true),
        ("<body>a&#13;b</body>", true),
        ("<body a='&#13;'>a<b xmlns='u'>&#13;</b></body>", false),
        ("<priority>1&#13;</priority>", false),
    ] {
        assert_eq!(is_fragile(&parse(xml).unwrap()), fragile, "{xml}");
    }
}

#[test]
fn a_language_that_a_library_wrote() {
    let plain = reduced("<body>b</body>");
    assert_eq!(plain.without_language(), None);
    assert_eq!(reduced("<body xml:lang='en' a='1'>b</body>").without_language(), Some(plain));
    assert_eq!(reduced("<thread parent='a'>b</thread>").without_language(), None);
    assert_eq!(reduced("<x xmlns='u' xml:lang='en'/>").without_language(), None);
}

/// The vectors in the manual: element, canonical bytes, digest.
#[test]
fn the_vectors_of_the_manual() {
    let manual = include_str!("../../manual/specification/canonical.rs");
    let lines = manual.lines().map(|line| line.trim_start_matches("//!").trim_start());
    let (mut xml, mut bytes, mut count) = ("", String::new(), 0);
    for line in lines {
        if let Some(rest) = line.strip_prefix("xml     ") {
            (xml, bytes) = (rest, String::new());
        } else if let Some(rest) = line.strip_prefix("bytes   ") {
            bytes.push_str(rest);
        } else if let Some(rest) = line.strip_prefix("digest  ") {
            let reduced = reduced(xml);
            assert_eq!(
                (hex(&reduced.to_bytes()), hex(&reduced.digest())),
                (bytes.clone(), rest.to_owned()),
                "{xml}"
            );
            count += 1;
        }
    }
    assert_eq!(count, 6);
}

/// Reads canonical bytes, to show that they tell the whole tree.
fn decode(bytes: &[u8]) -> Option<(Element<'static>, &[u8])> {
    let text = |bytes| {
        let (text, rest) = wire::opaque(bytes).ok()?;
        Some((String::from_utf8(text.to_vec()).ok()?, rest))
    };
    let (ns, rest) = text(bytes.strip_prefix(&[ELEMENT])?)?;
    let (name, rest) = text(rest)?;
    let mut element = Element::new(ns, name);
    let (mut attributes, mut rest) = wire::opaque(rest).ok()?;
    while !attributes.is_empty() {
        let (ns, after) = text(attributes)?;
        let (name, after) = text(after)?;
        let (value, after) = text(after)?;
        let ns = (!ns.is_empty()).then_some(Cow::Owned(ns));
        element.attributes.push(Attribute { ns, name: name.into(), value: value.into() });
        attributes = after;
    }
    loop {
        match *rest.first()? {
            ELEMENT => {
                let (child, after) = decode(rest)?;
                element.children.push(Node::Element(child));
                rest = after;
            }
            TEXT => {
                let (text, after) = text(rest.get(1..)?)?;
                element.children.push(Node::Text(text.into()));
                rest = after;
            }
            _ => return Some((element, rest.strip_prefix(&[END])?)),
        }
    }
}

proptest! {
    #[test]
    fn the_bytes_tell_the_tree(element in element()) {
        let reduced = Reduced::of(&element);
        let bytes = reduced.to_bytes();
        let (mut again, rest) = decode(&bytes).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&Reduced::of(&again).to_bytes(), &bytes);
        let mut expected = reduced.into_element();
        sort(&mut expected);
        sort(&mut again);
        prop_assert_eq!(again, expected);
    }

    #[test]
    fn reduced_once_and_for_all(element in element()) {
        let reduced = Reduced::of(&element);
        let handed_over = reduced.clone().into_element();
        prop_assert!(!is_fragile(&handed_over));
        prop_assert_eq!(&Reduced::of(&handed_over), &reduced);
        let xml = write_stanza(&handed_over);
        prop_assert_eq!(Reduced::of(&parse(&xml).unwrap()).digest(), reduced.digest());
        if !is_fragile(&element) && !is_known(&element) {
            prop_assert_eq!(handed_over, element);
        }
    }
}

fn sort(element: &mut Element<'_>) {
    element.attributes.sort_by(|a, b| (&a.ns, &a.name).cmp(&(&b.ns, &b.name)));
    for node in &mut element.children {
        if let Node::Element(child) = node {
            sort(child);
        }
    }
}
