//! What somebody on the way can do to a stanza, a row for each: it has no effect on what is delivered, or it is one
//! event. Every row is tried on every form of protection.

use xmpp_e2e::{Authentication, Malformed, Misbehaviour};

use super::*;

const SESSION: Authentication = Authentication::session(Level::HYBRID);

/// The forms: sealed, and in clear with digests or a copy, in a session or signed.
fn forms() -> [(Form, Need); 5] {
    let signed = Authentication::signed();
    [
        (Form::Sealed, ENCRYPTED),
        (Form::Digests, Need::Authenticated(SESSION)),
        (Form::Copy, Need::Authenticated(SESSION.with_copy())),
        (Form::Digests, Need::Authenticated(signed)),
        (Form::Copy, Need::Authenticated(signed.with_copy())),
    ]
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Sealed,
    Digests,
    Copy,
}

/// What becomes of a stanza.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Outcome {
    /// It is delivered as it was sent, and what else stood there is told by name.
    Same(&'static [&'static str]),
    /// It is refused, as nothing else is.
    Refused(Reason),
    /// It is refused, whatever for.
    Broken,
    /// It is what it looks like: a stanza in clear, with the event that warns.
    Clear,
    /// One of these two.
    Worthless,
}

use Outcome::{Broken, Clear, Refused, Same, Worthless};

const INSIDE: &str = "<body>pay Bob 1</body><reply xmlns='urn:xmpp:reply:0' id='m0'/>\
                      <x xmlns='urn:x'><y a='1'/></x>";

const REPLY: &str = "<reply xmlns='urn:xmpp:reply:0' id='m0'/>";
const X: &str = "<x xmlns='urn:x'><y a='1'/></x>";

/// A stanza as it comes, and what somebody makes of it.
type Edit = fn(&str) -> String;

/// One edit in clear: what is altered where digests count has no effect where a copy counts, and is not there where
/// all is sealed.
fn altered(form: Form) -> Outcome {
    match form {
        Form::Sealed | Form::Copy => Same(&[]),
        Form::Digests => Refused(Reason::Altered),
    }
}

/// What is tried, how, and what becomes of it.
type Row = (&'static str, Edit, fn(Form) -> Outcome);

fn rows() -> Vec<Row> {
    [contents(), children(), outside()].concat()
}

/// What a child holds.
fn contents() -> Vec<Row> {
    vec![
        ("nothing", |s| s.to_owned(), |_| Same(&[])),
        ("a text changed", |s| s.replace("Bob 1", "Bob 9"), altered),
        ("an attribute changed", |s| s.replace("a='1'", "a='2'"), altered),
        ("an attribute added", |s| s.replace("<y a='1'", "<y b='1' a='1'"), altered),
        ("an attribute of another namespace", |s| s.replace("<y a", "<y xmlns:z='urn:z' z:a"), altered),
        (
            "a child moved to another namespace",
            |s| s.replace("xmlns='urn:x'", "xmlns='urn:z'"),
            |form| match form {
                Form::Copy => Same(&["{urn:z}x"]),
                form => altered(form),
            },
        ),
        ("a grandchild moved to another namespace", |s| s.replace("<y ", "<y xmlns='urn:z' "), altered),
        (
            "a child wrapped in another",
            |s| s.replace(X, &format!("<w xmlns='urn:w'>{X}</w>")),
            |form| match form {
                Form::Copy => Same(&["{urn:w}w"]),
                form => altered(form),
            },
        ),
        (
            "all wrapped in another",
            |s| s.replace(INSIDE, &format!("<w xmlns='urn:w'>{INSIDE}</w>")),
            |form| match form {
                Form::Copy => Same(&["{urn:w}w"]),
                form => altered(form),
            },
        ),
        (
            "something wrapped around a text",
            |s| s.replace("pay Bob 1", "<b xmlns='urn:b'>pay Bob 1</b>"),
            altered,
        ),
    ]
}

/// Which children there are.
fn children() -> Vec<Row> {
    vec![
        (
            "a child injected",
            |s| s.replace("</message>", "<replace xmlns='urn:xmpp:message-correct:0' id='m0'/></message>"),
            |_| Same(&["{urn:xmpp:message-correct:0}replace"]),
        ),
        (
            "a child injected first",
            |s| s.replacen('>', "><subject>urgent</subject>", 1),
            |_| Same(&["{jabber:client}subject"]),
        ),
        (
            "a second body",
            |s| s.replace("</message>", "<body>forged</body></message>"),
            |form| match form {
                Form::Sealed | Form::Digests => Same(&["{jabber:client}body"]),
                // Of the copy's names nothing is told.
                Form::Copy => Same(&[]),
            },
        ),
        (
            "a body before the body",
            |s| s.replacen('>', "><body>forged</body>", 1),
            |form| match form {
                Form::Sealed | Form::Digests => Same(&["{jabber:client}body"]),
                Form::Copy => Same(&[]),
            },
        ),
        (
            "a child removed",
            |s| s.replace(REPLY, ""),
            |form| match form {
                Form::Sealed | Form::Copy => Same(&[]),
                // Only archives drop children.
                Form::Digests => Refused(Reason::Altered),
            },
        ),
        (
            "a child removed and one injected",
            |s| s.replace(REPLY, "<z xmlns='urn:z'/>"),
            |form| match form {
                Form::Sealed => Same(&[]),
                Form::Copy => Same(&["{urn:z}z"]),
                Form::Digests => Refused(Reason::Altered),
            },
        ),
        (
            "all removed",
            |s| s.replace(INSIDE, ""),
            |form| match form {
                Form::Sealed | Form::Copy => Same(&[]),
                Form::Digests => Refused(Reason::Altered),
            },
        ),
        (
            "a child twice",
            |s| s.replace(REPLY, &[REPLY, REPLY].concat()),
            |form| match form {
                Form::Sealed | Form::Copy => Same(&[]),
                Form::Digests => Same(&["{urn:xmpp:reply:0}reply"]),
            },
        ),
        (
            "children in another order",
            |s| s.replace(&[REPLY, X].concat(), &[X, REPLY].concat()),
            |_| Same(&[]),
        ),
        ("text between children", |s| s.replace(REPLY, &format!("forged{REPLY}")), |_| Same(&[])),
    ]
}

/// What stands around them.
fn outside() -> Vec<Row> {
    vec![
        ("a language for all", |s| s.replacen(" to=", " xml:lang='xx' to=", 1), |_| Same(&[])),
        ("another attribute of the stanza", |s| s.replacen(" to=", " forged='1' to=", 1), |_| Same(&[])),
        ("another id", |s| s.replace("id='m1'", "id='m0'"), |_| Same(&[])),
        ("no id", |s| s.replace(" id='m1'", ""), |_| Same(&[])),
        (
            "another type",
            |s| s.replace("type='chat'", "type='headline'"),
            |form| match form {
                Form::Sealed => Refused(Reason::Unauthentic),
                _ => Broken,
            },
        ),
        ("no type", |s| s.replace(" type='chat'", ""), |_| Broken),
        ("as an error", |s| s.replace("type='chat'", "type='error'"), |_| Broken),
        ("as of a room", |s| s.replace("type='chat'", "type='groupchat'"), |_| Broken),
        // No device of theirs has said anything: in clear it is what it looks like.
        (
            "from another account",
            |s| s.replace("from='alice@example.com/phone'", "from='carol@example.net/x'"),
            |form| match form {
                Form::Sealed => Broken,
                Form::Digests | Form::Copy => Clear,
            },
        ),
        (
            "from another resource",
            |s| s.replace("from='alice@example.com/phone'", "from='alice@example.com/elsewhere'"),
            |_| Same(&[]),
        ),
        (
            "to another account",
            |s| s.replace("to='bob@example.org'", "to='carol@example.net'"),
            |_| Refused(Misbehaviour::WrongSubject.into()),
        ),
        (
            "the protection in another namespace",
            |s| s.replace("urn:xmpp:e2e:0", "urn:xmpp:e2e:9"),
            |form| match form {
                // It is an empty message of somebody else's protocol.
                Form::Sealed => Clear,
                Form::Digests | Form::Copy => Clear,
            },
        ),
        (
            "the protection under another name",
            |s| rename(s),
            |form| match form {
                Form::Sealed => Broken,
                Form::Digests | Form::Copy => Worthless,
            },
        ),
        ("the protection deeper", |s| deeper(s), |_| Clear),
        (
            "what only servers say",
            |s| s.replace("</message>", "<stanza-id xmlns='urn:xmpp:sid:0' by='x' id='1'/></message>"),
            |_| Same(&[]),
        ),
        (
            "a copy that no server made",
            |s| {
                format!(
                    "<message from='carol@example.net/x' to='bob@example.org/desk'><received xmlns='urn:xmpp:carbons:2'>\
             <forwarded xmlns='urn:xmpp:forward:0'>{}</forwarded></received></message>",
                    s.replacen("<message ", "<message xmlns='jabber:client' ", 1)
                )
            },
            |_| Refused(Misbehaviour::WrongSubject.into()),
        ),
    ]
}

/// The element of another form in the place of this one.
fn rename(stanza: &str) -> String {
    let pairs = [
        ("<e xmlns='urn:xmpp:e2e:0'", "</e>", "auth"),
        ("<auth ", "</auth>", "signed"),
        ("<signed ", "</signed>", "e"),
    ];
    for (start, end, to) in pairs {
        if stanza.contains(start) && stanza.contains(end) {
            let name = start.trim_start_matches('<').split(' ').next().unwrap();
            let new = start.replacen(name, to, 1);
            return stanza.replace(start, &new).replace(end, &format!("</{to}>"));
        }
    }
    panic!("no protection in {stanza}")
}

/// The element inside another.
fn deeper(stanza: &str) -> String {
    for name in ["e", "auth", "signed"] {
        let start = format!("<{name} xmlns='urn:xmpp:e2e:0'>");
        if stanza.contains(&start) {
            let end = format!("</{name}>");
            return stanza
                .replace(&start, &format!("<w xmlns='urn:w'>{start}"))
                .replace(&end, &format!("{end}</w>"));
        }
    }
    panic!("no protection in {stanza}")
}

/// What Alice's message to Bob is on his stream, which has not brought it.
fn caught(world: &mut World, need: &Need) -> String {
    world.server.tamper = Some(Box::new(|to, stanza| if to == DESK { Vec::new() } else { vec![stanza] }));
    let sent = format!("<message to='{BOB_JID}' type='chat' id='m1'>{INSIDE}</message>");
    hand_in(world, ALICE, &sent, need.clone());
    world.run();
    world.server.tamper = None;
    let wire = crossed(world, Way::Out, PHONE, "<message").pop().unwrap();
    clear(world);
    wire.replacen("<message ", &format!("<message from='{PHONE}' "), 1)
}

fn outcome(world: &World, expected: &Outcome) -> Outcome {
    let events = events(world, BOB);
    let inbox = world.devices[BOB].inbox();
    let reasons: Vec<Reason> = rejected(world, BOB);
    match (inbox, &reasons[..]) {
        ([letter], []) if letter.protection.is_some() => {
            let context = letter.context.as_ref().unwrap();
            assert_eq!(context.missing, 0);
            let id = if context.id_protected { "m1" } else { "?" };
            let from = letter.stanza.split("from='").nth(1).unwrap().split('\'').next().unwrap();
            assert!(from.starts_with(ALICE_JID), "{from}");
            assert_same(
                &letter.stanza,
                &format!("<message from='{from}' to='{BOB_JID}' type='chat' id='{id}'>{INSIDE}</message>"),
            );
            // The names are told whatever was expected; compared as text.
            match expected {
                Same(names) if context.dropped == *names => Same(names),
                _ => panic!("dropped {:?}, expected {expected:?}", context.dropped),
            }
        }
        ([], [reason]) => {
            assert_eq!(events.len(), 1, "one event: {events:?}");
            if matches!(expected, Broken | Worthless) { expected.clone() } else { Refused(*reason) }
        }
        (inbox, []) if inbox.iter().all(|letter| letter.protection.is_none()) => {
            assert!(events.len() <= 1, "{events:?}");
            // As an error it is a message of one's own that came back, or nothing at all.
            match expected {
                Broken if inbox.is_empty() => Broken,
                Worthless => Worthless,
                _ => Clear,
            }
        }
        other => panic!("{other:?} {events:?}"),
    }
}

#[test]
fn each_row_on_each_form() {
    for (form, need) in forms() {
        let mut world = talking(1);
        let wire = caught(&mut world, &need);
        let state = world.devices[BOB].store.clone();
        for (name, edit, expected) in rows() {
            let expected = expected(form);
            let edited = edit(&wire);
            // Bob is as he was.
            world.devices[BOB].store = state.clone();
            world.devices[BOB].restore();
            clear(&mut world);
            receive(&mut world, BOB, &edited);
            let came = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outcome(&world, &expected)));
            let came = came.unwrap_or_else(|_| panic!("{name}, {need:?}"));
            assert_eq!(came, expected, "{name}, {need:?}: {edited}");
            if matches!(expected, Refused(_) | Broken) {
                // Nothing has changed: the true one is read.
                clear(&mut world);
                receive(&mut world, BOB, &wire);
                assert_eq!(
                    letters(&world, BOB).len(),
                    1,
                    "{name}, {need:?}, then the true one: {:?}",
                    events(&world, BOB)
                );
            }
        }
    }
}

#[test]
fn a_carbon_filed_under_another_conversation_is_refused() {
    for (_, need) in forms() {
        let mut world = talking(2);
        let tablet = add_tablet(&mut world);
        let wire = caught(&mut world, &need);
        let wire = wire.replacen("<message ", "<message xmlns='jabber:client' ", 1);
        let carbon = |inner: &str| {
            format!(
                "<message from='{ALICE_JID}' to='alice@example.com/tablet'><sent xmlns='urn:xmpp:carbons:2'>\
                 <forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></sent></message>"
            )
        };
        receive(
            &mut world,
            tablet,
            &carbon(&wire.replace(&format!("to='{BOB_JID}'"), "to='carol@example.net'")),
        );
        let refusals =
            events(&world, tablet).iter().filter(|event| matches!(event, Event::Rejected { .. })).count();
        assert_eq!((letters(&world, tablet).len(), refusals), (0, 1), "{need:?}");
        receive(&mut world, tablet, &carbon(&wire));
        let (got, context) = letter(&world, tablet);
        assert!(got.contains("pay Bob 1") && context.addressed.as_str() == BOB_JID, "{need:?}");
    }
}

#[test]
fn what_is_not_one_stanza_inside_is_refused() {
    let mut world = talking(3);
    for bad in ["<message", "<message/><message/>", "<iq type='get'/>"] {
        let forged = format!(
            "<message from='{PHONE}' to='{BOB_JID}'><auth xmlns='urn:xmpp:e2e:0'>{bad}</auth></message>"
        );
        receive(&mut world, BOB, &forged);
        let reasons = rejected(&world, BOB);
        assert!(
            matches!(reasons[..], [Reason::Malformed(Malformed::Xml | Malformed::Encoding)]),
            "{reasons:?}"
        );
        clear(&mut world);
    }
}
