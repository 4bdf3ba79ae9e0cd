use proptest::prelude::*;
use proptest::sample::Index;

use super::super::generate::{element, text};
use super::super::{parse, write_stanza};
use super::*;

const SIG: &str = "<s xmlns='urn:xmpp:e2e:0'/>";

fn message(children: &str) -> String {
    format!("<message to='bob@example.org' type='chat'>{children}</message>")
}

fn digests(xml: &str) -> Vec<Digest> {
    cover(&parse(xml).unwrap()).unwrap()
}

/// What a receiver hands over, how many are missing, the names of those dropped.
type Received = Result<(String, usize, String), Forged>;

/// What a receiver takes of `came` if `sent` was covered.
#[expect(clippy::unwrap_in_result, reason = "a test: what must not fail panics")]
fn received(sent: &str, came: &str) -> Received {
    let came = parse(came).unwrap();
    let Uncovered { children, missing, dropped } = uncover(&came, &digests(sent))?;
    let mut written = String::new();
    super::super::write_children(&children, CLIENT_NS, &mut written);
    let names: Vec<_> = dropped.iter().map(|(ns, name)| format!("{{{ns}}}{name}")).collect();
    Ok((written, missing, names.join(" ")))
}

#[test]
fn as_servers_deliver_it() {
    let sent = message(
        "<x xmlns='u' b='1' a='2'/><thread parent='p'>t</thread><body n='1'>hi</body><body xml:lang='de'>ho</body>",
    );
    let whole =
        "<x xmlns='u' b='1' a='2'/><thread parent='p'>t</thread><body>hi</body><body xml:lang='de'>ho</body>";
    assert_eq!(received(&sent, &sent), Ok((whole.into(), 0, String::new())));
    let rewritten = message(
        "<archived xmlns='urn:xmpp:mam:tmp'/><stanza-id xmlns='urn:xmpp:sid:0' id='1'/>\
         <p:x xmlns:p='u' a='2' b='1'/><body xml:lang='de'>ho</body><body>hi</body><thread parent='p'>t</thread>\
         <s xmlns='urn:xmpp:e2e:0'/><store xmlns='urn:xmpp:hints'/> stray text",
    );
    let whole = whole.replace("b='1' a='2'", "a='2' b='1'");
    assert_eq!(received(&sent, &rewritten), Ok((whole, 0, String::new())));
}

#[test]
fn a_child_that_an_archive_dropped() {
    let sent = message("<active xmlns='http://jabber.org/protocol/chatstates'/><body>hi</body>");
    assert_eq!(
        received(&sent, &message("<body>hi</body>")),
        Ok(("<body>hi</body>".into(), 1, String::new()))
    );
    // Nothing of what was covered came.
    assert_eq!(received(&sent, &message("")), Err(Forged));
    assert_eq!(received(&sent, &message("<x xmlns='u'/>")), Err(Forged));
}

#[test]
fn a_child_that_somebody_added() {
    let sent = message("<body>hi</body>");
    let came = message("<y xmlns='u'/><body>hi</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>");
    let dropped = "{u}y {urn:xmpp:message-correct:0}replace".to_owned();
    assert_eq!(received(&sent, &came), Ok(("<body>hi</body>".into(), 0, dropped)));
    let many = message(&("<body>hi</body>".to_owned() + &"<y xmlns='u'/>".repeat(100)));
    let came = parse(&many).unwrap();
    assert_eq!(uncover(&came, &digests(&sent)).unwrap().dropped.len(), MAX_DROPPED);
    // A second one that says the same counts as added.
    let twice = message("<body>hi</body><body>hi</body>");
    assert_eq!(received(&sent, &twice), Ok(("<body>hi</body>".into(), 0, format!("{{{CLIENT_NS}}}body"))));
    assert_eq!(received(&twice, &twice), Ok(("<body>hi</body>".repeat(2), 0, String::new())));
    assert_eq!(received(&twice, &sent), Ok(("<body>hi</body>".into(), 1, String::new())));
}

#[test]
fn a_stanza_that_covers_nothing() {
    for nothing in [message(""), message("text"), message("<store xmlns='urn:xmpp:hints'/>"), message(SIG)] {
        assert_eq!(received(&nothing, &nothing), Ok((String::new(), 0, String::new())));
        let came = message("<body>hi</body>");
        assert_eq!(received(&nothing, &came), Ok((String::new(), 0, format!("{{{CLIENT_NS}}}body"))));
    }
}

#[test]
fn what_is_altered_is_refused() {
    let sent = message("<x xmlns='u' a='1'><y>z</y></x><body>hi</body>");
    for children in [
        "<x xmlns='u' a='1'><y>z</y></x><body>ho</body>",
        "<x xmlns='u' a='1'><y>z</y></x><body xmlns='u'>hi</body>",
        "<x xmlns='u' a='1'><y>z</y></x><subject>hi</subject>",
        "<x xmlns='u' a='2'><y>z</y></x><body>hi</body>",
        "<x xmlns='u'><y>z</y></x><body>hi</body>",
        "<x xmlns='u' xmlns:v='v' v:a='1'><y>z</y></x><body>hi</body>",
        "<x xmlns='v' a='1'><y>z</y></x><body>hi</body>",
        "<x xmlns='u' a='1'><y xmlns='v'>z</y></x><body>hi</body>",
        "<x xmlns='u' a='1'><y>z</y><y>z</y></x><body>hi</body>",
        "<x xmlns='u' a='1'><y><y>z</y></y></x><body>hi</body>",
        "<x xmlns='u' a='1'>z<y/></x><body>hi</body>",
        "<w xmlns='u'><x a='1'><y>z</y></x></w><body>hi</body>",
        "<w xmlns='u'><x a='1'><y>z</y></x><body xmlns='jabber:client'>hi</body></w>",
    ] {
        assert_eq!(received(&sent, &message(children)), Err(Forged), "{children}");
    }
}

/// Signature wrapping: what was signed is moved to where it says nothing, and the forgery stands in
/// its place. Here nothing is looked for by name or path, so the forgery is not covered.
#[test]
fn nothing_is_wrapped() {
    let sent = message("<body>pay 1</body><x xmlns='u'/>");
    for children in [
        "<w xmlns='u'><body xmlns='jabber:client'>pay 1</body></w><body>pay 9</body><x xmlns='u'/>",
        "<body>pay 9<body>pay 1</body></body><x xmlns='u'/>",
        "<body>pay 9</body><x xmlns='u'><body xmlns='jabber:client'>pay 1</body></x>",
    ] {
        assert_eq!(received(&sent, &message(children)), Err(Forged), "{children}");
    }
    // Beside what was signed it is dropped, wherever it stands.
    let whole = "<body>pay 1</body><x xmlns='u'/>";
    for children in [
        "<body>pay 9</body><body>pay 1</body><x xmlns='u'/>",
        "<x xmlns='u'/><body>pay 1</body><body>pay 9</body>",
        "<body>pay 1<p xmlns='u'>pay 9</p></body><x xmlns='u'/><w xmlns='u'><body xmlns='jabber:client'>pay 9</body></w>",
    ] {
        let (written, missing, _) = received(&sent, &message(children)).unwrap();
        assert_eq!((&*written, missing), (whole, 0), "{children}");
    }
}

#[test]
fn a_language_that_was_not_said_is_not_handed_over() {
    let sent = message("<body>hi</body><body xml:lang='de'>hi</body>");
    let whole = Ok(("<body>hi</body><body xml:lang='de'>hi</body>".to_owned(), 0, String::new()));
    assert_eq!(
        received(&sent, &message("<body xml:lang='en'>hi</body><body xml:lang='de'>hi</body>")),
        whole
    );
    assert_eq!(
        received(&sent, &message("<body xml:lang='de'>hi</body><body xml:lang='en'>hi</body>")),
        whole
    );
    // One that was said must come.
    let german = message("<body xml:lang='de'>hi</body><x xmlns='u'/>");
    assert_eq!(received(&german, &message("<body>hi</body><x xmlns='u'/>")), Err(Forged));
    assert_eq!(received(&german, &message("<body xml:lang='en'>hi</body><x xmlns='u'/>")), Err(Forged));
}

#[test]
fn what_cannot_be_covered() {
    let cover = |xml: &str| cover(&parse(xml).unwrap());
    assert_eq!(cover(&message("<body>a&#13;b</body>")), Err(Uncoverable::Fragile));
    assert_eq!(cover(&message("<x xmlns='u' a='&#9;'/>")), Err(Uncoverable::Fragile));
    assert!(cover(&message("<x xmlns='urn:xmpp:hints' a='&#9;'/>")).is_ok());
    assert!(cover(&message(&"<x xmlns='u'/>".repeat(MAX_COVERED))).is_ok());
    assert_eq!(cover(&message(&"<x xmlns='u'/>".repeat(MAX_COVERED + 1))), Err(Uncoverable::TooMany));
    let many = message(&"<x xmlns='u'/>".repeat(MAX_COVERED + 1));
    let digests = [Reduced::of(&Element::new("u", "x")).digest(); MAX_COVERED + 1];
    assert_eq!(uncover(&parse(&many).unwrap(), &digests), Err(Forged));
}

#[test]
fn where_the_authentication_element_stands() {
    for (stanza, expected) in [
        ("<message><body>b</body></message>", "<message><body>b</body>[]</message>"),
        ("<message/>", "<message>[]</message>"),
        ("<presence><show>away</show></presence>", "<presence><show>away</show>[]</presence>"),
        ("<iq/>", "<iq>[]</iq>"),
        ("<iq>text</iq>", "<iq>text[]</iq>"),
        ("<iq><q xmlns='u'/></iq>", "<iq><q xmlns='u'>[]</q></iq>"),
        ("<iq><q xmlns='u'><a/>t</q> </iq>", "<iq><q xmlns='u'><a/>t[]</q> </iq>"),
        ("<iq><q xmlns='u'/><r xmlns='u'/></iq>", "<iq><q xmlns='u'/><r xmlns='u'>[]</r></iq>"),
        ("<iq xmlns='u'><q/></iq>", "<iq xmlns='u'><q/>[]</iq>"),
    ] {
        let sig = parse(SIG).unwrap();
        let attached_to = attach(parse(stanza).unwrap(), sig.clone());
        assert_eq!(write_stanza(&attached_to), expected.replace("[]", SIG));
        assert_eq!(attached(&attached_to, "s"), Some(&sig), "{stanza}");
        assert_eq!(attached(&attached_to, "t"), None);
        assert_eq!(attached(&attach(attached_to.clone(), sig), "s"), None, "two: {stanza}");
        assert_eq!(cover(&attached_to), cover(&parse(stanza).unwrap()), "{stanza}");
    }
}

#[test]
fn elsewhere_it_is_none() {
    for stanza in [
        "<message><x xmlns='u'>[]</x></message>",
        "<message><s xmlns='u'/><s/></message>",
        "<iq><q xmlns='u'/>[]</iq>",
        "<iq>[]<q xmlns='u'/></iq>",
        "<iq><q xmlns='u'>[]</q><r xmlns='u'/></iq>",
        "<iq><q xmlns='u'>[]<a/></q></iq>",
        "<iq><q xmlns='u'>[] </q></iq>",
        "<iq><q xmlns='u'><a>[]</a></q></iq>",
        "<iq><q xmlns='u'>[]<o xmlns='urn:xmpp:e2e:0'/></q></iq>",
        "<message>[][]</message>",
        "<iq><q xmlns='u'>[][]</q></iq>",
    ] {
        assert_eq!(attached(&parse(&stanza.replace("[]", SIG)).unwrap(), "s"), None, "{stanza}");
    }
    // In an iq it counts as content where it does not belong.
    let (plain, moved) = ("<iq><q xmlns='u'><a/></q></iq>", format!("<iq><q xmlns='u'>{SIG}<a/></q></iq>"));
    assert_eq!(received(plain, &moved), Err(Forged));
}

/// A stanza with children of all kinds.
fn stanza() -> impl Strategy<Value = Element<'static>> {
    let known = (element(), "body|subject|thread|show|status|priority").prop_map(|(mut child, name)| {
        (child.ns, child.name) = (CLIENT_NS.into(), name.into());
        child
    });
    let ours = (element(), "[st]").prop_map(|(mut child, name)| {
        (child.ns, child.name) = (NS.into(), name.into());
        child
    });
    let servers = prop_oneof![
        Just(Element::new("urn:xmpp:hints", "store")),
        Just(Element::new("urn:xmpp:delay", "delay")),
        Just(Element::new("urn:xmpp:sid:0", "stanza-id")),
    ];
    let child = prop_oneof![
        4 => element().prop_map(Node::Element),
        4 => known.prop_map(Node::Element),
        1 => ours.prop_map(Node::Element),
        1 => servers.prop_map(Node::Element),
        1 => text().prop_map(|text| Node::Text(text.into())),
    ];
    let children = proptest::collection::vec(child, 0..6);
    ("message|presence|iq", children, any::<bool>()).prop_map(|(name, children, twice)| {
        let mut stanza = Element::new(CLIENT_NS, name);
        let again = if twice { children.clone() } else { Vec::new() };
        for node in children.into_iter().chain(again) {
            match node {
                Node::Element(child) => stanza.children.push(Node::Element(child)),
                Node::Text(text) => stanza.push_text(text),
            }
        }
        stanza
    })
}

/// The digests, though a sender would refuse some.
fn all_digests(stanza: &Element<'_>) -> Vec<Digest> {
    said(stanza).iter().map(|child| Reduced::of(child).digest()).collect()
}

fn all_reduced(stanza: &Element<'static>) -> Vec<Node<'static>> {
    said(stanza).iter().map(|child| Node::Element(Reduced::of(child).into_element())).collect()
}

/// What can be done to a visible stanza.
#[derive(Clone, Debug)]
enum Edit {
    Remove,
    Duplicate,
    Swap(Index),
    Wrap(Element<'static>),
    Inject(Element<'static>),
    Rename(Element<'static>),
    Text(String),
    Attribute(Option<String>),
    Hoist,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        Just(Edit::Remove),
        Just(Edit::Duplicate),
        any::<Index>().prop_map(Edit::Swap),
        element().prop_map(Edit::Wrap),
        element().prop_map(Edit::Inject),
        element().prop_map(Edit::Rename),
        text().prop_map(Edit::Text),
        proptest::option::of(text()).prop_map(Edit::Attribute),
        Just(Edit::Hoist),
    ]
}

/// Applies `edit` among the children of one of the stanza's elements: the `depth`th down the first
/// children, at the place `at`.
fn apply(parent: &mut Element<'static>, depth: usize, at: Index, edit: Edit) {
    if depth > 0
        && let Some(Node::Element(child)) = parent.children.iter_mut().find(|n| matches!(n, Node::Element(_)))
    {
        return apply(child, depth - 1, at, edit);
    }
    let at = at.index(parent.children.len() + 1);
    if let Edit::Inject(element) = edit {
        return parent.children.insert(at, Node::Element(element));
    }
    let Some(node) = parent.children.get_mut(at) else { return };
    match (edit, node) {
        (Edit::Remove, _) => drop(parent.children.remove(at)),
        (Edit::Duplicate, node) => {
            let again = node.clone();
            parent.children.push(again);
        }
        (Edit::Swap(other), _) => {
            let other = other.index(parent.children.len());
            parent.children.swap(at, other);
        }
        (Edit::Wrap(mut wrapper), node) => {
            wrapper.children = vec![node.clone()];
            *node = Node::Element(wrapper);
        }
        (Edit::Rename(other), Node::Element(child)) => (child.ns, child.name) = (other.ns, other.name),
        (Edit::Text(text), Node::Element(child)) => child.push_text(text.into()),
        (Edit::Text(text), Node::Text(was)) => *was = text.into(),
        (Edit::Attribute(Some(value)), Node::Element(child)) => {
            *child = child.clone().with_attr("a", value);
        }
        (Edit::Attribute(None), Node::Element(child)) => drop(child.attributes.pop()),
        (Edit::Hoist, Node::Element(child)) => {
            let inner = core::mem::take(&mut child.children);
            parent.children.splice(at..at, inner);
        }
        (Edit::Inject(_) | Edit::Rename(_) | Edit::Attribute(_) | Edit::Hoist, _) => {}
    }
}

proptest! {
    #[test]
    fn what_is_covered_is_uncovered(stanza in stanza()) {
        let digests = all_digests(&stanza);
        let uncovered = uncover(&stanza, &digests).unwrap();
        prop_assert_eq!(&uncovered.children, &all_reduced(&stanza));
        prop_assert_eq!((uncovered.missing, uncovered.dropped.len()), (0, 0));
        let fragile = said(&stanza).iter().any(is_fragile);
        prop_assert_eq!(cover(&stanza), if fragile { Err(Uncoverable::Fragile) } else { Ok(digests.clone()) });
        let attached = attach(stanza, Element::new(NS, "s"));
        let xml = write_stanza(&attached);
        prop_assert_eq!(uncover(&parse(&xml).unwrap(), &digests), Ok(uncovered));
    }

    #[test]
    fn an_edit_takes_away_and_never_adds(
        stanza in stanza(),
        edits in proptest::collection::vec((0..4_usize, any::<Index>(), edit()), 1..5),
    ) {
        let mut edited = stanza.clone();
        for (depth, at, edit) in edits {
            apply(&mut edited, depth, at, edit);
        }
        let digests = all_digests(&stanza);
        if let Ok(uncovered) = uncover(&edited, &digests) {
            prop_assert_eq!(uncovered.children.len() + uncovered.missing, digests.len());
            let mut original = all_reduced(&stanza).into_iter();
            for child in &uncovered.children {
                prop_assert!(original.any(|covered| covered == *child), "{:?} in {:?}", child, edited);
            }
        }
    }
}
