use super::*;

const ALICE: &str = "alice@example.com";
const PHONE: &str = "alice@example.com/phone";
const DESK: &str = "bob@example.org/desk";

/// All that a client has to receive, and has handled.
fn all(server: &mut Server, full: &str) -> Vec<String> {
    let stanzas = std::iter::from_fn(|| server.receive(full)).collect();
    server.handled(full);
    stanzas
}

/// Alice's phone and Bob's desk see each other, and have read it.
fn pair() -> Server {
    let mut server = Server::new();
    server.befriend(ALICE, "bob@example.org");
    for full in [PHONE, DESK] {
        server.connect(full);
        server.send(full, "<presence/>");
    }
    for full in [PHONE, DESK] {
        all(&mut server, full);
    }
    server
}

#[test]
fn presence_reaches_contacts_and_own_resources() {
    let mut server = Server::new();
    server.befriend(ALICE, "bob@example.org");
    server.connect(PHONE);
    server.connect("eve@example.org/x");
    server.send("eve@example.org/x", "<presence/>");
    server.send(PHONE, "<presence><a xmlns='b'>c</a></presence>");
    let own = format!("<presence from='{PHONE}' to='{ALICE}'><a xmlns='b'>c</a></presence>");
    assert_eq!(all(&mut server, PHONE), [own]);
    server.connect(DESK);
    server.send(DESK, "<presence/>");
    let seen = all(&mut server, DESK);
    assert_eq!(seen.len(), 2);
    assert!(
        seen[1]
            .starts_with(&format!("<presence from='{PHONE}' to='bob@example.org'><a xmlns='b'>c</a><delay"))
    );
    assert_eq!(all(&mut server, PHONE), [format!("<presence from='{DESK}' to='{ALICE}'/>")]);
    server.disconnect(DESK);
    assert_eq!(
        all(&mut server, PHONE),
        [format!("<presence from='{DESK}' type='unavailable' to='{ALICE}'/>")]
    );
    assert_eq!(all(&mut server, "eve@example.org/x").len(), 1);
    assert_eq!(server.roster(ALICE), [("bob@example.org".to_owned(), true, true)]);
}

#[test]
fn subscriptions_made_and_ended_while_online() {
    let mut server = pair();
    server.connect("carol@example.net/1");
    server.send("carol@example.net/1", "<presence/>");
    server.subscribe("carol@example.net", ALICE);
    assert_eq!(all(&mut server, "carol@example.net/1").len(), 2);
    assert!(all(&mut server, PHONE).is_empty());
    server.unsubscribe("carol@example.net", ALICE);
    let gone = format!("<presence from='{PHONE}' type='unavailable' to='carol@example.net'/>");
    assert_eq!(all(&mut server, "carol@example.net/1"), [gone]);
    server.send("carol@example.net/1", &format!("<presence to='{PHONE}'/>"));
    assert_eq!(all(&mut server, PHONE).len(), 1, "directed presence reaches strangers");
}

#[test]
fn a_message_goes_to_its_resource_or_to_all_or_waits() {
    let mut server = pair();
    let to = |to: &str| format!("<message to='{to}' type='chat'><body>x</body></message>");
    server.send(PHONE, &to(DESK));
    assert_eq!(
        all(&mut server, DESK),
        [format!("<message to='{DESK}' type='chat' from='{PHONE}'><body>x</body></message>")]
    );
    server.send(PHONE, &to("bob@example.org/gone"));
    server.connect("bob@example.org/b");
    server.send("bob@example.org/b", "<presence/>");
    all(&mut server, "bob@example.org/b");
    server.send(PHONE, &to("bob@example.org"));
    let desk = all(&mut server, DESK);
    assert_eq!(desk.iter().filter(|stanza| stanza.starts_with("<message")).count(), 2);
    assert_eq!(all(&mut server, "bob@example.org/b").len(), 1);
    for full in [DESK, "bob@example.org/b"] {
        server.disconnect(full);
    }
    server.now = 951_782_400_000;
    server.send(PHONE, &to("bob@example.org"));
    server.send(PHONE, &to("nobody@example.org"));
    server.connect(DESK);
    assert!(all(&mut server, DESK).is_empty(), "nothing before the initial presence");
    server.send(DESK, "<presence/>");
    let kept = all(&mut server, DESK).pop().unwrap();
    assert!(kept.contains(
        "<body>x</body><delay xmlns='urn:xmpp:delay' from='example.org' stamp='2000-02-29T00:00:00Z'/>"
    ));
    let phone = all(&mut server, PHONE);
    let refused = phone.iter().find(|stanza| stanza.contains("type='error'")).unwrap();
    assert!(refused.contains("from='nobody@example.org'") && refused.contains("<body>x</body><error"));
}

#[test]
fn what_was_not_handled_comes_again() {
    let mut server = pair();
    server.send(PHONE, &format!("<message to='{DESK}' type='chat'><body>1</body></message>"));
    server.send(PHONE, &format!("<message to='{DESK}' type='chat'><body>2</body></message>"));
    assert!(server.receive(DESK).is_some());
    server.suspend(DESK);
    assert!(server.receive(DESK).is_none());
    assert!(server.resume(DESK));
    assert!(server.receive(DESK).unwrap().contains('1'));
    server.handled(DESK);
    assert!(server.receive(DESK).unwrap().contains('2'));
    server.disconnect(DESK);
    assert!(!server.resume(DESK));
    assert_eq!(server.pending(), 2, "the message and the presence of who left");
    server.connect(DESK);
    server.send(DESK, "<presence/>");
    assert!(all(&mut server, DESK).pop().unwrap().contains('2'));
}

#[test]
fn iqs_between_resources() {
    let mut server = pair();
    server.send(PHONE, &format!("<iq type='get' id='1' to='{DESK}'><x xmlns='y'/></iq>"));
    assert!(all(&mut server, DESK)[0].contains("from='alice@example.com/phone'"));
    server.send(DESK, &format!("<iq type='result' id='1' to='{PHONE}'/>"));
    assert_eq!(all(&mut server, PHONE), [format!("<iq type='result' id='1' to='{PHONE}' from='{DESK}'/>")]);
    server.send(PHONE, "<iq type='get' id='2' to='bob@example.org/gone'><x xmlns='y'/></iq>");
    server.send(PHONE, "<iq type='result' id='3' to='bob@example.org/gone'/>");
    let refused = all(&mut server, PHONE);
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].contains("id='2'") && refused[0].contains("<x xmlns='y'/><error type='cancel'><service-")
    );
    server.send(PHONE, "<iq type='get' id='4' to='bob@example.org'><x xmlns='y'/></iq>");
    server.send(PHONE, "<iq type='get' id='5'><ping xmlns='urn:xmpp:ping'/></iq>");
    let answers = all(&mut server, PHONE);
    assert!(answers[0].contains("service-unavailable"));
    assert_eq!(answers[1], format!("<iq type='result' id='5' from='{ALICE}' to='{PHONE}'></iq>"));
}

#[test]
fn pep() {
    let mut server = pair();
    let publish = |item: &str, text: &str| {
        format!(
            "<iq type='set' id='1'><pubsub xmlns='{0}'><publish node='n'><item id='{item}'><a xmlns='b'>{text}</a></item>\
             </publish></pubsub></iq>",
            "http://jabber.org/protocol/pubsub"
        )
    };
    let items = |inner: &str| {
        let pubsub = format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>{inner}</items></pubsub>"
        );
        format!("<iq type='get' id='2' to='{ALICE}'>{pubsub}</iq>")
    };
    server.send(DESK, &items(""));
    assert!(all(&mut server, DESK)[0].contains("item-not-found"));
    let configure = |fields: &str| {
        format!(
            "<iq type='set' id='3'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'>\
             <x xmlns='jabber:x:data' type='submit'>{fields}</x></configure></pubsub></iq>"
        )
    };
    for item in ["1", "2"] {
        server.send(PHONE, &publish(item, "x"));
        all(&mut server, PHONE);
    }
    assert_eq!(server.items(ALICE, "n").len(), 1, "one item unless configured");
    server.send(PHONE, &configure("<field var='pubsub#max_items'><value>2</value></field>"));
    assert!(all(&mut server, PHONE)[0].contains("type='result'"));
    let open = "<field var='pubsub#access_model'><value>open</value></field>";
    let options =
        format!("<publish-options><x xmlns='jabber:x:data' type='submit'>{open}</x></publish-options>");
    let with_options = publish("1", "x").replacen("</pubsub>", &format!("{options}</pubsub>"), 1);
    server.send(PHONE, &with_options);
    assert!(all(&mut server, PHONE)[0].contains("precondition-not-met"));
    server.send(PHONE, &configure(open));
    all(&mut server, PHONE);
    server.send(PHONE, &with_options);
    assert!(all(&mut server, PHONE)[0].contains("type='result'"));
    for (item, text) in [("1", "x"), ("2", "y"), ("1", "z")] {
        server.send(PHONE, &publish(item, text));
        assert!(all(&mut server, PHONE)[0].contains("type='result'"));
    }
    server.send(DESK, &items(""));
    let answer = all(&mut server, DESK).remove(0);
    assert!(answer.starts_with(&format!("<iq type='result' id='2' from='{ALICE}' to='{DESK}'><pubsub")));
    assert!(
        answer
            .contains("<item id='2'><a xmlns='b'>y</a></item><item id='1'><a xmlns='b'>z</a></item></items>")
    );
    server.send(DESK, &items("<item id='1'/>"));
    assert!(!all(&mut server, DESK)[0].contains("id='2'><a"));
    server.send(DESK, &publish("1", "x").replacen("<iq", &format!("<iq to='{ALICE}'"), 1));
    assert!(all(&mut server, DESK)[0].contains("forbidden"));
    for (pep, error) in [
        (Pep::Refuses, "policy-violation"),
        (Pep::Busy, "internal-server-error"),
        (Pep::Unsupported, "feature-not-implemented"),
        (Pep::Absent, "service-unavailable"),
    ] {
        server.set_pep(ALICE, pep);
        server.send(PHONE, &publish("1", "x"));
        assert!(all(&mut server, PHONE)[0].contains(error));
    }
    assert_eq!(server.items(ALICE, "n").len(), 2);
}

#[test]
fn carbons() {
    let mut server = pair();
    server.carbons = true;
    server.connect("alice@example.com/tablet");
    server.send("alice@example.com/tablet", "<presence/>");
    for full in [PHONE, DESK, "alice@example.com/tablet"] {
        all(&mut server, full);
    }
    server.send(PHONE, &format!("<message to='{DESK}' type='chat'><body>x</body></message>"));
    server.send(DESK, &format!("<message to='{PHONE}' type='chat'><body>y</body></message>"));
    let copies = all(&mut server, "alice@example.com/tablet");
    assert!(copies[0].contains("<sent xmlns='urn:xmpp:carbons:2'>") && copies[0].contains("<body>x</body>"));
    assert!(copies[1].contains("<received ") && copies[1].starts_with(&format!("<message from='{ALICE}'")));
    assert_eq!(all(&mut server, PHONE).len(), 1);
}

#[test]
fn tampering_and_the_log() {
    let mut server = pair();
    server.tamper = Some(Box::new(|to, stanza| {
        assert_eq!(to, DESK);
        if stanza.contains("lost") { vec![] } else { vec![stanza.clone(), stanza] }
    }));
    server.log.clear();
    for body in ["lost", "kept"] {
        server.send(PHONE, &format!("<message to='{DESK}'><body>{body}</body></message>"));
    }
    assert_eq!(all(&mut server, DESK).len(), 2);
    let ways: Vec<(Way, &str)> = server.log.iter().map(|entry| (entry.way, entry.client.as_str())).collect();
    assert_eq!(ways, [(Way::Out, PHONE), (Way::Out, PHONE), (Way::In, DESK), (Way::In, DESK)]);
}

#[test]
#[should_panic(expected = "not well-formed")]
fn a_client_that_breaks_its_stream() {
    pair().send(PHONE, "<message><body></message>");
}
