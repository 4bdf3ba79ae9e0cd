//! Any stanza comes out as it went in; any edit of one in clear fails, or does not reach the application.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use xmpp_e2e::Authentication;

use super::*;

/// A text as it stands in XML.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{1,6}",
        select(vec!["&lt;", "&amp;&#39;", "\u{1F600}", "e\u{301}", "\n\t", "]]&gt;", "<![CDATA[<&]]>"])
            .prop_map(str::to_owned)
    ]
}

fn attributes() -> impl Strategy<Value = String> {
    let value = select(vec!["", "1", "&apos;\"", "&#x1F600;", "  ", "de"]);
    let name = select(vec!["a", "b", "xml:lang", "id", "xmlns:p='urn:p' p:c"]);
    proptest::collection::btree_map(name, value, 0..3).prop_map(|all| {
        let write = |(name, value): (&str, &str)| format!(" {name}='{}'", value.replace('\'', "&apos;"));
        all.into_iter().map(write).collect::<Vec<_>>().concat()
    })
}

/// An element that declares its namespace.
fn element() -> BoxedStrategy<String> {
    let names = || {
        (
            select(vec!["x", "y", "urn-z", "body"]),
            select(vec!["urn:x", "urn:y", "jabber:client", "jabber:server"]),
        )
    };
    let write = |(name, ns): (&str, &str), attributes: String, inner: String| {
        format!("<{name} xmlns='{ns}'{attributes}>{inner}</{name}>")
    };
    let leaf =
        (names(), attributes()).prop_map(move |(name, attributes)| write(name, attributes, String::new()));
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let node = prop_oneof![inner, text()];
        (names(), attributes(), proptest::collection::vec(node, 0..4))
            .prop_map(move |(name, attributes, nodes)| write(name, attributes, nodes.concat()))
    })
    .boxed()
}

/// What people commonly send, or anything.
fn child() -> impl Strategy<Value = String> {
    let body = (text(), select(vec!["", " xml:lang='de'"]))
        .prop_map(|(text, lang)| format!("<body{lang}>{text}</body>"));
    prop_oneof![1 => body, 2 => element()]
}

/// A stanza to Bob, with a name in place of its id.
fn stanza(between: bool) -> impl Strategy<Value = String> {
    let outside = select(if between { vec!["", " xml:lang='fr'", " custom='&lt;'"] } else { vec![""] });
    let node = if between { prop_oneof![3 => child(), 1 => text()].boxed() } else { child().boxed() };
    let message = (
        outside.clone(),
        select(vec!["", " type='chat'", " type='headline'"]),
        proptest::collection::vec(node.clone(), 1..5),
    )
        .prop_map(|(outside, kind, nodes)| {
            format!(
                "<message to='{BOB_JID}'{kind}{outside} id='ID'>{}<z xmlns='urn:z'/></message>",
                nodes.concat()
            )
        });
    let presence = proptest::collection::vec(node, 0..4).prop_map(|nodes| {
        format!("<presence to='{DESK}' id='ID'>{}<z xmlns='urn:z'/></presence>", nodes.concat())
    });
    let iq = (select(vec!["get", "set"]), element())
        .prop_map(|(kind, payload)| format!("<iq to='{DESK}' type='{kind}' id='ID'>{payload}</iq>"));
    prop_oneof![2 => message, 1 => presence, 1 => iq]
}

/// One world for all cases, and a name for each stanza.
struct Cases {
    world: World,
    count: usize,
}

impl Cases {
    fn new() -> RefCell<Self> {
        RefCell::new(Self { world: talking(1), count: 0 })
    }

    /// What Alice's stanza is on the stream to Bob, and what it was.
    fn protect(&mut self, stanza: &str, need: &Need) -> (String, String) {
        let Self { world, count } = self;
        *count += 1;
        clear(world);
        let sent = stanza.replacen("ID", &format!("s{count}"), 1);
        world.server.tamper = Some(Box::new(|to, stanza| if to == DESK { Vec::new() } else { vec![stanza] }));
        let token = hand_in(world, ALICE, &sent, need.clone());
        world.run();
        world.server.tamper = None;
        let ends = ends(world, ALICE, token);
        assert!(matches!(ends[..], [End::Sent(_)]), "{sent}: {ends:?}");
        let wire = crossed(world, Way::Out, PHONE, "urn:xmpp:e2e:0").pop().unwrap();
        let from = |stanza: &str| stanza.replacen(" to=", &format!(" from='{PHONE}' to="), 1);
        (from(&wire), from(&sent))
    }

    fn receive(&mut self, wire: &str) -> Option<String> {
        receive(&mut self.world, BOB, wire);
        let got = letters(&self.world, BOB).first().map(|letter| letter.stanza.clone())?;
        if got.starts_with("<iq") {
            // Else there would be too many questions after a while.
            let answer = format!("<iq to='{PHONE}' type='result' id='{}'/>", id_of(&got));
            hand_in(&mut self.world, BOB, &answer, Need::Policy);
        }
        Some(got)
    }
}

fn run<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn any_stanza_comes_out_as_it_went_in() {
    let cases = Cases::new();
    let copy = Authentication::session(Level::HYBRID).with_copy();
    for (need, count) in [(ENCRYPTED, 300), (Need::Authenticated(copy), 200)] {
        run(count, stanza(true), |stanza| {
            let mut cases = cases.borrow_mut();
            let (wire, sent) = cases.protect(&stanza, &need);
            let got =
                cases.receive(&wire).unwrap_or_else(|| panic!("{sent}: {:?}", events(&cases.world, BOB)));
            let sent = if sent.starts_with("<iq") { with_id_of(&sent, &got) } else { sent };
            assert_same(&got, &sent);
        });
    }
}

/// What counts of a stanza, child by child.
fn children(stanza: &str) -> Vec<String> {
    let whole = infoset(stanza);
    // The first line is the stanza's own, the last ends it.
    let lines: Vec<&str> = whole.trim_start_matches('\n').split('\n').collect();
    let (mut all, mut depth) = (Vec::<Vec<&str>>::new(), 0);
    for line in &lines[1..lines.len() - 1] {
        if depth == 0 {
            all.push(Vec::new());
        }
        all.last_mut().unwrap().push(line);
        depth += i32::from(line.starts_with('<')) - i32::from(line.starts_with('>'));
    }
    all.into_iter().map(|lines| counted(&lines)).collect()
}

/// A body is its language and its own text; another child is all that it has.
fn counted(lines: &[&str]) -> String {
    const BODY: &str = "<{jabber:client}body";
    const LANG: &str = " {http://www.w3.org/XML/1998/namespace}lang=\"";
    let Some(attributes) = lines[0].strip_prefix(BODY) else { return lines.concat() };
    // An empty language is none: servers write either.
    let lang = attributes.split_once(LANG).map(|(_, rest)| rest.split('"').next().unwrap());
    let lang = lang.filter(|lang| !lang.is_empty()).unwrap_or("-");
    let (mut text, mut depth) = (String::new(), 0);
    for line in lines {
        if depth == 1 && line.starts_with('"') {
            text.push_str(&line[1..line.len() - 1]);
        }
        depth += i32::from(line.starts_with('<')) - i32::from(line.starts_with('>'));
    }
    format!("{BODY} {lang} {text}")
}

/// An edit of what is written.
fn edit() -> impl Strategy<Value = (u8, Index, Index, &'static str)> {
    let piece = select(vec![
        "x",
        "1",
        "'",
        "<",
        "<z xmlns='urn:z'/>",
        "<body>forged</body>",
        "</body>",
        "&lt;",
        " a='9'",
        "xmlns='urn:q'",
        "body",
    ]);
    (0..4_u8, any::<Index>(), any::<Index>(), piece)
}

fn edited(wire: &str, (kind, one, other, piece): (u8, Index, Index, &'static str)) -> String {
    let places: Vec<usize> = wire.char_indices().map(|(at, _)| at).collect();
    let tags: Vec<usize> = wire.match_indices('<').map(|(at, _)| at).collect();
    let (at, tag) = (places[one.index(places.len())], tags[one.index(tags.len())]);
    let end = tags[other.index(tags.len())];
    let (from, to) = (tag.min(end), tag.max(end));
    match kind {
        0 => format!("{}{piece}{}", &wire[..at], &wire[at..]),
        1 => format!("{}{piece}{}", &wire[..tag], &wire[tag..]),
        // What lies between two tags is gone, or stands twice.
        2 => format!("{}{}", &wire[..from], &wire[to..]),
        _ => format!("{}{}{}", &wire[..to], &wire[from..to], &wire[to..]),
    }
}

#[test]
fn no_edit_of_what_is_in_clear_reaches_the_application() {
    let cases = Cases::new();
    let session = Authentication::session(Level::HYBRID);
    let signed = Authentication::signed();
    let delivered = RefCell::new(0);
    for authentication in [session, session.with_copy(), signed, signed.with_copy()] {
        let need = Need::Authenticated(authentication);
        run(300, (stanza(false), edit()), |(stanza, edit)| {
            let mut cases = cases.borrow_mut();
            let (wire, sent) = cases.protect(&stanza, &need);
            let wire = edited(&wire, edit);
            let Some(got) = cases.receive(&wire) else { return };
            *delivered.borrow_mut() += 1;
            // Of what was sent, in its order, and nothing else.
            let sent = children(&sent);
            let mut rest = sent.iter();
            for child in children(&got) {
                assert!(rest.any(|other| *other == child), "{child}\nof {sent:#?}\nin {wire}");
            }
        });
    }
    assert!(*delivered.borrow() > 100, "some edits change nothing: {}", delivered.borrow());
}
