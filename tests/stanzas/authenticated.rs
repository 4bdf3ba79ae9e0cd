//! Stanzas in clear that are authenticated in a session.

use xmpp_e2e::{Authentication, Outlook, Protection, SendError};

use super::*;

/// What is in clear, with sealed digests; and the same with a sealed copy.
fn needs() -> [Need; 2] {
    let session = Authentication::session(Level::HYBRID);
    [Need::Authenticated(session), Need::Authenticated(session.with_copy())]
}

fn is_authenticated(world: &World, device: usize) -> bool {
    matches!(
        letters(world, device)[0].protection,
        Some(Protection::Authenticated { level: Level::HYBRID, .. })
    )
}

const INSIDE: &str = "<body>in clear</body><body xml:lang='de'>offen</body>\
     <markable xmlns='urn:xmpp:chat-markers:0'/><x xmlns='urn:x' y='1'>z<w xmlns='urn:w'/></x>";

#[test]
fn it_is_an_ordinary_stanza_on_the_stream_and_authentic_at_the_end() {
    for need in needs() {
        let mut world = talking(1);
        let sent = format!("<message to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>");
        let outlook = world.devices[ALICE].engine().outlook(BOB_JID, &need).unwrap();
        assert_eq!(outlook, Outlook::Authenticated);
        let token = hand_in(&mut world, ALICE, &sent, need);
        world.run();
        assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
        let wire = crossed(&world, Way::Out, PHONE, "<message").remove(0);
        assert!(wire.starts_with(sent.strip_suffix("</message>").unwrap()), "{wire}");
        assert_eq!(wire.matches("urn:xmpp:").count(), 2, "nothing for servers: {wire}");
        let (got, context) = letter(&world, BOB);
        assert_same(got, &sent.replacen("<message ", &format!("<message from='{PHONE}' "), 1));
        assert!(is_authenticated(&world, BOB) && context.id_protected);
        assert_eq!((context.missing, &context.dropped[..]), (0, &[][..]));
        assert_eq!(events(&world, BOB), []);
    }
}

#[test]
fn iqs_and_presence_too() {
    for need in needs() {
        let mut world = talking(2);
        let question = format!("<iq to='{DESK}' type='set' id='q'><a xmlns='urn:a'><b/></a></iq>");
        hand_in(&mut world, ALICE, &question, need.clone());
        world.run();
        assert!(is_authenticated(&world, BOB));
        let got = letter(&world, BOB).0.to_owned();
        assert_same(&got, &with_id_of(&question.replacen("<iq ", &format!("<iq from='{PHONE}' "), 1), &got));
        let wire = crossed(&world, Way::Out, PHONE, "<iq").remove(0);
        assert!(wire.contains("<a xmlns='urn:a'><b/><auth xmlns='urn:xmpp:e2e:0'>"), "one payload: {wire}");
        // Whatever the application needs, the answer has the protection it asks for.
        let answer = format!("<iq to='{PHONE}' type='result' id='{}'/>", id_of(&got));
        hand_in(&mut world, BOB, &answer, Need::Policy);
        world.run();
        assert!(matches!(letters(&world, ALICE)[0].protection, Some(Protection::Encrypted { .. })));
        clear(&mut world);
        let presence = format!("<presence to='{DESK}'><show>away</show><status>out</status></presence>");
        hand_in(&mut world, ALICE, &presence, need);
        world.run();
        assert!(is_authenticated(&world, BOB));
        assert_same(
            letter(&world, BOB).0,
            &presence.replacen("<presence ", &format!("<presence from='{PHONE}' "), 1),
        );
    }
}

#[test]
fn answers_are_authenticated_in_clear() {
    for need in needs() {
        let mut world = talking(3);
        hand_in(
            &mut world,
            ALICE,
            &format!("<iq to='{DESK}' type='get' id='q'><a xmlns='urn:a'/></iq>"),
            Need::Policy,
        );
        world.run();
        let id = id_of(letter(&world, BOB).0);
        let answer = format!("<iq to='{PHONE}' type='result' id='{id}'><is xmlns='urn:is'>1</is></iq>");
        hand_in(&mut world, BOB, &answer, need);
        world.run();
        assert!(is_authenticated(&world, ALICE));
        let expected = answer.replacen("<iq ", &format!("<iq from='{DESK}' "), 1);
        assert_same(letter(&world, ALICE).0, &expected.replacen(&id, "q", 1));
    }
}

/// Edits what comes to Bob's desk.
fn edited(seed: u64, need: &Need, edit: impl Fn(&str) -> String + 'static) -> World {
    let mut world = talking(seed);
    world.server.tamper = Some(Box::new(move |to, stanza| {
        if to == DESK && stanza.contains("in clear") { vec![edit(&stanza)] } else { vec![stanza] }
    }));
    let sent = format!("<message to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>");
    hand_in(&mut world, ALICE, &sent, need.clone());
    world.run();
    world
}

#[test]
fn what_servers_do_to_it_changes_nothing() {
    let delay = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>";
    let edits: [fn(&str) -> String; 4] = [
        |stanza| stanza.replacen("type='chat'", "type='chat' xml:lang='en'", 1),
        // As ejabberd does with what it knows.
        |stanza| {
            let body = "<body>in clear</body>";
            stanza.replacen(body, "", 1).replacen("</message>", &format!("{body}</message>"), 1)
        },
        |stanza| {
            stanza.replacen(
                "<x xmlns='urn:x' y='1'>z<w xmlns='urn:w'/></x>",
                "<p:x y='&#x31;' xmlns:p='urn:x'><![CDATA[z]]><q:w xmlns:q='urn:w'></q:w></p:x>",
                1,
            )
        },
        |stanza| {
            stanza.replacen(
                "</message>",
                "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></message>",
                1,
            )
        },
    ];
    for need in needs() {
        for edit in edits {
            let world = edited(4, &need, edit);
            let (got, context) = letter(&world, BOB);
            assert_same(
                got,
                &format!("<message from='{PHONE}' to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>"),
            );
            assert_eq!((context.missing, &context.dropped[..]), (0, &[][..]));
        }
        let world = edited(4, &need, edits[3]);
        assert_same(&letter(&world, BOB).1.unauthenticated[0], delay);
    }
}

#[test]
fn what_is_altered_is_one_event_or_changes_nothing() {
    let [digests, copy] = needs();
    let edits: [fn(&str) -> String; 5] = [
        |stanza| stanza.replacen("in clear", "in cleaR", 1),
        |stanza| stanza.replacen("xml:lang='de'", "xml:lang='fr'", 1),
        |stanza| stanza.replacen("y='1'", "y='2'", 1),
        |stanza| stanza.replacen("<w xmlns='urn:w'/>", "", 1),
        |stanza| stanza.replacen("urn:xmpp:chat-markers:0", "urn:xmpp:chat-markers:1", 1),
    ];
    for edit in edits {
        let world = edited(5, &digests, edit);
        assert_eq!(rejected(&world, BOB), [Reason::Altered]);
        assert_eq!((events(&world, BOB).len(), world.devices[BOB].inbox().len()), (1, 0));
        // The true one can still be read: its key was not used.
        let mut world = world;
        let wire = crossed(&world, Way::Out, PHONE, "in clear").remove(0);
        receive(&mut world, BOB, &wire.replacen("<message ", &format!("<message from='{PHONE}' "), 1));
        assert_eq!(letters(&world, BOB).len(), 1);
        // Of a copy nothing is taken from what is in clear.
        let world = edited(5, &copy, edit);
        let expected =
            format!("<message from='{PHONE}' to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>");
        assert_same(letter(&world, BOB).0, &expected);
    }
}

#[test]
fn what_is_added_is_dropped_and_told_and_what_is_missing_is_counted() {
    for need in needs() {
        let world = edited(6, &need, |stanza| {
            stanza.replacen(
                "</message>",
                "<replace xmlns='urn:xmpp:message-correct:0' id='m0'/></message>",
                1,
            )
        });
        let (got, context) = letter(&world, BOB);
        assert_same(
            got,
            &format!("<message from='{PHONE}' to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>"),
        );
        assert_eq!(context.dropped, ["{urn:xmpp:message-correct:0}replace"]);
    }
    // As an archive that does not keep markers.
    let mut world = edited(6, &needs()[0], |_| "<message/>".to_owned());
    let wire = crossed(&world, Way::Out, PHONE, "in clear").remove(0);
    let wire = wire.replacen("<markable xmlns='urn:xmpp:chat-markers:0'/>", "", 1);
    let from = format!("<message xmlns='jabber:client' from='{PHONE}' ");
    let inner = wire.replacen("<message ", &from, 1);
    let result = format!(
        "<message to='{DESK}'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'>\
         {inner}</forwarded></result></message>"
    );
    receive(&mut world, BOB, &result);
    let (got, context) = letter(&world, BOB);
    assert_eq!((context.missing, got.contains("markable"), got.contains("offen")), (1, false, true));
}

#[test]
fn clear_text_is_not_passed_off_as_sealed_nor_sealed_as_clear() {
    for need in needs() {
        // The authentication moved to where sealed content stands.
        let world = edited(7, &need, |stanza| stanza.replace("<auth ", "<e ").replace("</auth>", "</e>"));
        assert_eq!((rejected(&world, BOB).len(), world.devices[BOB].inbox().len()), (1, 0));
    }
    let mut world = talking(7);
    world.server.tamper = Some(Box::new(|to, stanza| {
        let moved = stanza.replace("<e ", "<body>forged</body><auth ").replace("</e>", "</auth>");
        if to == DESK { vec![moved] } else { vec![stanza] }
    }));
    world.say(ALICE, BOB_JID, "sealed");
    world.run();
    assert_eq!((rejected(&world, BOB).len(), world.devices[BOB].inbox().len()), (1, 0));
}

#[test]
fn what_servers_change_is_not_sent_without_a_copy() {
    let [digests, copy] = needs();
    for inside in ["<body>a&#13;</body>", "<x xmlns='urn:x' y='&#9;'/>"] {
        let mut world = talking(8);
        let sent = format!("<message to='{BOB_JID}' type='chat' id='m'>{inside}</message>");
        let token = hand_in(&mut world, ALICE, &sent, digests.clone());
        assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::Fragile)]);
        hand_in(&mut world, ALICE, &sent, copy.clone());
        world.run();
        assert_same(
            letter(&world, BOB).0,
            &sent.replacen("<message ", &format!("<message from='{PHONE}' "), 1),
        );
    }
}

#[test]
fn where_it_cannot_be_checked_it_is_clear_text() {
    for need in needs() {
        let mut world = talking(9);
        let sent = format!("<message to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>");
        hand_in(&mut world, ALICE, &sent, need);
        world.run();
        let wire = crossed(&world, Way::In, DESK, "in clear").remove(0);
        // A device that did not exist then, and finds it in the archive or gets it from the server.
        let tablet = world.add("bob@example.org/tablet");
        world.connect(tablet);
        world.run();
        clear(&mut world);
        receive(&mut world, tablet, &wire);
        let inbox = world.devices[tablet].inbox();
        assert_eq!((inbox.len(), inbox[0].protection), (1, None));
        assert_eq!(inbox[0].body.as_deref(), Some("in clear"));
        assert!(matches!(events(&world, tablet), [Event::Unverified { .. }]), "{:?}", events(&world, tablet));
    }
}

/// Nothing is passed that was not handed in with the same input.
#[test]
fn one_that_waited_for_the_agent_in_vain_is_refused() {
    for need in needs() {
        // The same devices, with a session that those of the world below have not.
        let mut other = talking(11);
        let sent = format!("<message to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>");
        hand_in(&mut other, ALICE, &sent, need);
        other.run();
        let late = crossed(&other, Way::In, DESK, "in clear").remove(0);

        let mut world = World::pair(11);
        world.devices[BOB].answers = false;
        world.say(ALICE, BOB_JID, "first");
        world.run();
        clear(&mut world);
        receive(&mut world, BOB, &late);
        assert_eq!((world.devices[BOB].inbox().len(), events(&world, BOB)), (0, &[][..]), "it waits");
        world.advance(std::time::Duration::from_secs(301));
        assert_eq!(world.devices[BOB].inbox().len(), 0);
        let refused = |event: &&Event| matches!(event, Event::Rejected { .. });
        assert_eq!(events(&world, BOB).iter().filter(refused).count(), 2, "{:?}", events(&world, BOB));
    }
}

#[test]
fn one_for_nobody_to_vouch_for_fails() {
    let mut world = talking(10);
    for need in needs() {
        for (stanza, why) in [
            ("<message to='carol@example.net' id='m'><body>x</body></message>".to_owned(), SendError::NoKeys),
            (
                format!("<iq to='{BOB_JID}' type='get' id='q'><a xmlns='urn:a'/></iq>"),
                SendError::NotProtectable,
            ),
            (
                "<message to='room@example.net' type='groupchat'><body>x</body></message>".to_owned(),
                SendError::NotForRooms,
            ),
        ] {
            let token = hand_in(&mut world, ALICE, &stanza, need.clone());
            world.run();
            assert_eq!(ends(&world, ALICE, token), [End::Failed(why)]);
        }
    }
}

#[test]
fn junk_beside_it_spares_no_stanza_in_clear_a_check() {
    // To another device: it cannot be read here.
    for junk in [
        "<auth xmlns='urn:xmpp:e2e:0'>AQAAAAEAAAACAA==</auth>",
        "<signed xmlns='urn:xmpp:e2e:0'>AQ==</signed>",
    ] {
        let mut world = talking(11);
        let question = format!("<iq to='{DESK}' type='get' id='q'><x xmlns='urn:x'/></iq>");
        hand_in(&mut world, ALICE, &question, Need::Policy);
        let result = |from: &str| {
            format!("<iq{from} to='{PHONE}' type='result' id='q'><x xmlns='urn:x'>{junk}</x></iq>")
        };
        let push = format!(
            "<iq from='mallory@example.net' to='{PHONE}' type='set' id='p'><query xmlns='jabber:iq:roster'>\
             <item jid='mallory@example.net' subscription='both'/>{junk}</query></iq>"
        );
        for forged in
            [result(&format!(" from='{DESK}'")), result(&format!(" from='{BOB_JID}'")), result(""), push]
        {
            clear(&mut world);
            world.devices[ALICE].record.heard = Some(Vec::new());
            receive(&mut world, ALICE, &forged);
            let heard = world.devices[ALICE].record.heard.take().unwrap();
            assert_eq!(
                (heard[0].passed, heard[0].rejected.len()),
                (0, 1),
                "{forged}: {:?}",
                events(&world, ALICE)
            );
        }
        clear(&mut world);
        receive(&mut world, ALICE, &format!("<presence from='{DESK}'>{junk}</presence>"));
        assert_eq!(letters(&world, ALICE).len(), 0);
        assert!(!events(&world, ALICE).is_empty());
    }
}
