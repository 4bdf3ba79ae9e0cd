//! Whole stanzas: message, directed presence and iq come out as if they had come in the wrapper's place.

use std::time::Duration;

use xmpp_e2e::store::Store;
use xmpp_e2e::{Coverage, Misbehaviour, Outlook, SendError};

use xmpp_e2e_testkit::Device;

use super::*;

const VERSION: &str = "<query xmlns='jabber:iq:version'><name>Secret</name></query>";

/// Alice asks Bob's desk; what she handed in, and its token.
fn ask(world: &mut World, id: &str) -> Token {
    let stanza = format!("<iq to='{DESK}' type='get' id='{id}'><query xmlns='jabber:iq:version'/></iq>");
    hand_in(world, ALICE, &stanza, Need::Policy)
}

/// Bob answers the question that came last, by the id that he has for it.
fn answer(world: &mut World, kind: &str, payload: &str) -> Token {
    let question = world.devices[BOB].inbox().iter().rev().find(|letter| letter.stanza.starts_with("<iq"));
    let id = id_of(&question.expect("a question").stanza);
    hand_in(world, BOB, &format!("<iq to='{PHONE}' type='{kind}' id='{id}'>{payload}</iq>"), Need::Policy)
}

#[test]
fn messages_come_out_equal() {
    let inside = [
        "<body>plain</body>",
        "<body xml:lang='de'>gr\u{fc}n</body><body xml:lang='en'>green \u{1F600}</body>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<received xmlns='urn:xmpp:receipts' id='m1'/>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/><body>corrected</body>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>\u{1F44D}</reaction></reactions>",
        "text <b xmlns='urn:x' xmlns:y='urn:y' y:a='&#9;&lt;&apos;'>mixed<!-- --> </b>\n",
        "<a xmlns='urn:a'><b xmlns=''/><c xmlns='urn:c' xml:lang='x'><![CDATA[<&]]></c></a>",
    ];
    for outer in ["", " type='chat'", " type='headline' xml:lang='fr'", " type='normal' custom='1'"] {
        let mut world = talking(1);
        for (number, inside) in inside.iter().enumerate() {
            // The reader refuses comments, on both sides.
            let inside = inside.replace("<!-- -->", "");
            let sent = format!("<message to='{BOB_JID}'{outer} id='i{number}'>{inside}</message>");
            hand_in(&mut world, ALICE, &sent, Need::Policy);
            world.run();
            let (got, context) = letter(&world, BOB);
            let expected = sent.replacen("<message ", &format!("<message from='{PHONE}' "), 1);
            assert_same(got, &expected);
            assert_eq!((&context.dropped[..], &context.unauthenticated[..]), (&[][..], &[][..]));
            for device in &mut world.devices {
                device.record.inbox.clear();
            }
        }
        assert_eq!(crossed(&world, Way::Out, PHONE, "<body"), Vec::<String>::new());
        assert_eq!(crossed(&world, Way::Out, PHONE, "urn:xmpp:e2e:0").len(), inside.len());
    }
}

#[test]
fn an_iq_and_its_answers_are_protected() {
    for (kind, payload) in [
        ("result", VERSION),
        ("result", ""),
        ("error", "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"),
    ] {
        let mut world = talking(2);
        let asked = ask(&mut world, "v1");
        world.run();
        let coverage = ends(&world, ALICE, asked);
        let [End::Sent(Coverage { devices, .. })] = &coverage[..] else { panic!("{coverage:?}") };
        assert_eq!(devices[..], [world.devices[BOB].engine().device()]);
        let (got, context) = letter(&world, BOB);
        let id = id_of(got);
        assert_same(
            got,
            &format!(
                "<iq from='{PHONE}' to='{DESK}' type='get' id='{id}'><query xmlns='jabber:iq:version'/></iq>"
            ),
        );
        assert!(context.id_protected);
        let answered = answer(&mut world, kind, payload);
        world.run();
        assert!(matches!(ends(&world, BOB, answered)[..], [End::Sent(_)]));
        let (got, context) = letter(&world, ALICE);
        assert_same(got, &format!("<iq from='{DESK}' to='{PHONE}' type='{kind}' id='v1'>{payload}</iq>"));
        assert!(context.id_protected && context.dropped.is_empty());
        for what in ["jabber:iq:version", "Secret", "forbidden"] {
            assert_eq!(crossed(&world, Way::Out, PHONE, what), Vec::<String>::new());
            assert_eq!(crossed(&world, Way::Out, DESK, what), Vec::<String>::new());
        }
        // On the stream it is an iq as RFC 6120 has it.
        let wire = crossed(&world, Way::Out, DESK, "<iq");
        assert!(wire[0].contains(&format!("type='{kind}'")) && wire[0].contains("id='v1'"), "{wire:?}");
        assert_eq!(wire[0].contains("<error "), kind == "error");
        // A second answer to the same question is nobody's, and does not go out in clear.
        let again = answer(&mut world, kind, payload);
        assert_eq!(ends(&world, BOB, again), [End::Failed(SendError::StreamEnded)]);
    }
}

#[test]
fn answers_that_servers_swap_or_rename_still_find_their_questions() {
    let mut world = talking(3);
    world.server.tamper = Some(Box::new(|to, stanza| {
        let answer = to == PHONE && stanza.starts_with("<iq ") && stanza.contains("type='result'");
        if !answer {
            return vec![stanza];
        }
        let swapped =
            stanza.replace("id='a'", "id='x'").replace("id='b'", "id='a'").replace("id='x'", "id='b'");
        vec![swapped]
    }));
    for id in ["a", "b"] {
        ask(&mut world, id);
        world.run();
        answer(&mut world, "result", &format!("<is xmlns='urn:is'>{id}</is>"));
        world.run();
    }
    let all = letters(&world, ALICE);
    assert_eq!(all.len(), 2);
    for (letter, id) in all.iter().zip(["a", "b"]) {
        let expected = format!(
            "<iq from='{DESK}' to='{PHONE}' type='result' id='{id}'><is xmlns='urn:is'>{id}</is></iq>"
        );
        assert_same(&letter.stanza, &expected);
    }
}

#[test]
fn results_in_clear_are_refused_and_errors_are_failures_that_nobody_vouches_for() {
    let mut world = talking(4);
    let asked = ask(&mut world, "q");
    let forged = format!("<iq from='{DESK}' to='{PHONE}' type='result' id='q'>{VERSION}</iq>");
    receive(&mut world, ALICE, &forged);
    assert_eq!(rejected(&world, ALICE), [Misbehaviour::NotTheAnswer.into()]);
    assert_eq!(world.devices[ALICE].inbox().len(), 0);
    let error =
        "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    // As ejabberd does, with what was sent inside.
    let wire = crossed(&world, Way::Out, PHONE, "<iq").remove(0);
    let e = &wire[wire.find("<e ").unwrap()..wire.find("</iq>").unwrap()];
    receive(
        &mut world,
        ALICE,
        &format!("<iq from='{DESK}' to='{PHONE}' type='error' id='q'>{e}{error}</iq>"),
    );
    let ends = ends(&world, ALICE, asked);
    assert!(matches!(ends[..], [End::Sent(_), End::Failed(SendError::Bounced)]), "{ends:?}");
    // The question is over: a true answer comes too late.
    world.run();
    answer(&mut world, "result", VERSION);
    world.run();
    assert_eq!(letters(&world, ALICE).len(), 0);
    assert_eq!(rejected(&world, ALICE).last(), Some(&Misbehaviour::NotTheAnswer.into()));
}

#[test]
fn a_question_that_cannot_be_read_is_answered_as_by_a_client_that_does_not_know_it() {
    let mut world = talking(5);
    world.server.tamper = Some(Box::new(|to, stanza| {
        if to != DESK || !stanza.starts_with("<iq ") {
            return vec![stanza];
        }
        vec![stanza.replacen("AAAA", "AAAB", 1).replacen("</e>", "", 1).replacen("</iq>", "AAAA</e></iq>", 1)]
    }));
    let asked = ask(&mut world, "q");
    world.run();
    assert_eq!(rejected(&world, BOB).len(), 1);
    let refusal = crossed(&world, Way::Out, DESK, "<iq").remove(0);
    assert_eq!(
        refusal,
        format!(
            "<iq to='{PHONE}' id='q' type='error'><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )
    );
    assert!(matches!(ends(&world, ALICE, asked)[..], [End::Sent(_), End::Failed(SendError::Bounced)]));
}

#[test]
fn a_question_opens_a_session_if_there_is_none() {
    let mut world = World::pair(6);
    clear(&mut world);
    ask(&mut world, "q");
    world.run();
    assert_eq!(letters(&world, BOB).len(), 1);
    answer(&mut world, "result", VERSION);
    world.run();
    assert_eq!(letters(&world, ALICE).len(), 1);
    assert_eq!(world.devices[ALICE].engine().outlook(BOB_JID, &Need::Policy).unwrap(), Outlook::Encrypted);
}

#[test]
fn what_belongs_to_a_stream_ends_with_it() {
    let mut world = talking(7);
    ask(&mut world, "q");
    world.run();
    world.disconnect(ALICE);
    let offline = ask(&mut world, "r");
    assert_eq!(ends(&world, ALICE, offline), []);
    world.connect(ALICE);
    world.run();
    assert_eq!(ends(&world, ALICE, offline), [End::Failed(SendError::StreamEnded)]);
    let question = world.devices[BOB].inbox().to_vec();
    clear(&mut world);
    world.devices[BOB].record.inbox = question;
    // The answer to the stream before is nobody's.
    answer(&mut world, "result", VERSION);
    world.run();
    assert_eq!(letters(&world, ALICE).len(), 0);
    assert_eq!(crossed(&world, Way::Out, PHONE, "<iq to="), Vec::<String>::new(), "nothing is sent again");
    // One that waits for a key agent goes with its stream too.
    let mut world = World::pair(8);
    world.devices[ALICE].answers = false;
    let waiting = ask(&mut world, "q");
    world.run();
    assert_eq!(ends(&world, ALICE, waiting), []);
    world.disconnect(ALICE);
    world.connect(ALICE);
    assert_eq!(ends(&world, ALICE, waiting), [End::Failed(SendError::StreamEnded)]);
}

#[test]
fn an_iq_that_was_not_taken_is_not_delivered_to_the_next_stream() {
    let mut world = talking(9);
    world.devices[BOB].takes = false;
    ask(&mut world, "q");
    world.say(ALICE, BOB_JID, "kept");
    world.run();
    assert_eq!(letters(&world, BOB).len(), 2);
    clear(&mut world);
    world.crash(BOB);
    world.run();
    let again: Vec<_> = letters(&world, BOB).into_iter().map(|letter| letter.body.clone()).collect();
    assert_eq!(again, [Some("kept".to_owned())]);
}

#[test]
fn unanswered_questions_are_forgotten_in_time() {
    let mut world = talking(10);
    ask(&mut world, "q");
    world.run();
    let count = |world: &World, device: usize| world.devices[device].store.load().unwrap().records.len();
    let (alice, bob) = (count(&world, ALICE), count(&world, BOB));
    world.advance(Duration::from_secs(3601));
    assert_eq!((count(&world, ALICE), count(&world, BOB)), (alice - 1, bob - 1));
}

#[test]
fn presence_for_somebody_is_protected() {
    let mut world = talking(11);
    let tablet = world.add("bob@example.org/tablet");
    world.connect(tablet);
    world.run();
    world.disconnect(BOB);
    world.connect(BOB);
    world.run();
    clear(&mut world);
    for (to, readers) in [(DESK, &[BOB][..]), (BOB_JID, &[BOB, tablet])] {
        for inside in ["<show>dnd</show><status xml:lang='de'>geheim</status>", ""] {
            let sent = format!("<presence to='{to}' id='p'>{inside}</presence>");
            let token = hand_in(&mut world, ALICE, &sent, Need::Policy);
            world.run();
            assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
            for reader in readers {
                let expected = format!("<presence from='{PHONE}' to='{to}' id='p'>{inside}</presence>");
                assert_same(letter(&world, *reader).0, &expected);
            }
            assert_eq!(crossed(&world, Way::Out, PHONE, "geheim"), Vec::<String>::new());
            clear(&mut world);
        }
    }
    for device in [BOB, tablet] {
        assert_eq!(events(&world, device), []);
    }
}

#[test]
fn what_servers_add_is_handed_over_apart_and_the_rest_is_dropped_and_told() {
    let mut world = talking(12);
    let delay = "<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2026-01-01T00:00:00Z'/>";
    let inject = format!(
        "{delay}<stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.org' id='s1'/><body>forged</body>\
         <replace xmlns='urn:xmpp:message-correct:0' id='m0'/></message>"
    );
    world.server.tamper = Some(Box::new(move |to, stanza| {
        if to == DESK { vec![stanza.replacen("</message>", &inject, 1)] } else { vec![stanza] }
    }));
    world.say(ALICE, BOB_JID, "true");
    world.run();
    let (got, context) = letter(&world, BOB);
    assert_same(
        got,
        &format!("<message from='{PHONE}' to='{BOB_JID}' type='chat' id='m3'><body>true</body></message>")
            .replace(
                "id='m3'",
                &format!("id='{}'", got.split("id='").nth(1).unwrap().split('\'').next().unwrap()),
            ),
    );
    assert_eq!(context.unauthenticated.len(), 2);
    assert_same(&context.unauthenticated[0], delay);
    assert_eq!(context.dropped, ["{jabber:client}body", "{urn:xmpp:message-correct:0}replace"]);
}

#[test]
fn what_only_servers_say_is_not_taken_from_inside() {
    let mut world = talking(13);
    let forged = "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
                  <message from='carol@example.net'><body>forged</body></message></forwarded></received>";
    for out_of_place in [
        forged,
        "<result xmlns='urn:xmpp:mam:2' id='1'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.org' id='s1'/>",
        "<e xmlns='urn:xmpp:e2e:0'>AAAA</e>",
        "<store xmlns='urn:xmpp:hints'/>",
    ] {
        let sent =
            format!("<message to='{BOB_JID}' id='i' custom='x'>{out_of_place}<body>b</body></message>");
        hand_in(&mut world, ALICE, &sent, Need::Policy);
        world.run();
        let expected =
            format!("<message from='{PHONE}' to='{BOB_JID}' id='i' custom='x'><body>b</body></message>");
        assert_same(letter(&world, BOB).0, &expected);
        clear(&mut world);
    }
}

#[test]
fn what_could_not_be_read_in_a_copy_is_not_sent() {
    let mut world = talking(15);
    for (depth, goes) in [(60, true), (61, false)] {
        let inside = format!("{}{}", "<a xmlns='urn:a'>".repeat(depth), "</a>".repeat(depth));
        let sent = format!("<message to='{BOB_JID}' id='i'>{inside}</message>");
        let token = hand_in(&mut world, ALICE, &sent, Need::Policy);
        world.run();
        assert_eq!(letters(&world, BOB).len(), 1);
        let ends = ends(&world, ALICE, token);
        assert_eq!(!matches!(ends[..], [End::Failed(SendError::TooLarge)]), goes, "{ends:?}");
    }
}

#[test]
fn a_need_for_protection_is_met_or_the_stanza_fails() {
    let mut world = talking(14);
    let stranger = "<iq to='carol@example.net/x' type='get' id='1'><x xmlns='y'/></iq>";
    let token = hand_in(&mut world, ALICE, stranger, ENCRYPTED);
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::NoKeys)]);
    let token = hand_in(&mut world, ALICE, stranger, Need::Policy);
    assert_eq!(ends(&world, ALICE, token), [End::Pass]);
    let known = format!("<iq to='{DESK}' type='set' id='2'><x xmlns='y'/></iq>");
    let token = hand_in(&mut world, ALICE, &known, ENCRYPTED);
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
}

#[test]
fn an_answer_is_never_in_clear_whatever_becomes_of_its_question() {
    let forgotten: [fn(&mut World); 4] = [
        |world| {
            world.disconnect(BOB);
            world.connect(BOB);
            world.run();
        },
        |world| world.advance(Duration::from_secs(3601)),
        |world| {
            answer(world, "result", "");
        },
        |world| world.command(BOB, xmpp_e2e::Command::Leave),
    ];
    for forget in forgotten {
        let mut world = talking(16);
        ask(&mut world, "q");
        world.run();
        let inbox = world.devices[BOB].inbox().to_vec();
        forget(&mut world);
        world.devices[BOB].record.inbox = inbox;
        let late = answer(&mut world, "result", VERSION);
        world.run();
        assert!(matches!(ends(&world, BOB, late)[..], [End::Failed(_)]), "{:?}", ends(&world, BOB, late));
        assert_eq!(crossed(&world, Way::Out, DESK, "Secret"), Vec::<String>::new());
    }
}

#[test]
fn the_answer_to_a_question_in_clear_is_not_that_to_a_protected_one() {
    let mut world = talking(17);
    ask(&mut world, "q");
    world.run();
    world.devices[BOB].polite = false;
    let clear =
        format!("<iq from='{PHONE}' to='{DESK}' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>");
    receive(&mut world, BOB, &clear);
    let pong = hand_in(&mut world, BOB, &format!("<iq to='{PHONE}' type='result' id='q'/>"), Need::Policy);
    world.run();
    assert_eq!(ends(&world, BOB, pong), [End::Pass]);
    assert_eq!(letters(&world, ALICE).len(), 0);
    answer(&mut world, "result", VERSION);
    world.run();
    assert!(letter(&world, ALICE).0.contains("Secret"));
}

#[test]
fn who_asks_too_much_leaves_room_for_others_and_is_refused() {
    let mut world = talking(18);
    for number in 0..101 {
        let asked = ask(&mut world, &format!("q{number}"));
        world.run();
        let bounced =
            matches!(ends(&world, ALICE, asked)[..], [End::Sent(_), End::Failed(SendError::Bounced)]);
        assert_eq!(bounced, number == 100);
    }
    answer(&mut world, "result", "");
    ask(&mut world, "again");
    world.run();
    assert_eq!(rejected(&world, BOB), [Misbehaviour::TooMuch.into()]);
}

#[test]
fn what_a_server_says_of_who_is_there_does_not_end_encryption() {
    for forged in
        [format!("<presence from='{DESK}' type='unavailable'/>"), format!("<presence from='{DESK}'/>")]
    {
        let mut world = talking(19);
        receive(&mut world, ALICE, &format!("<presence from='{DESK}' type='unavailable'/>"));
        receive(&mut world, ALICE, &forged);
        let asked = ask(&mut world, "q");
        world.run();
        assert!(matches!(ends(&world, ALICE, asked)[..], [End::Sent(_)]), "{forged}");
        assert_eq!(letters(&world, BOB).len(), 1);
    }
}

#[test]
fn an_iq_and_a_message_do_not_wait_for_each_other() {
    let mut world = talking(20);
    add_tablet(&mut world);
    // The message waits for a session with her own tablet.
    world.devices[ALICE].answers = false;
    let message = world.say(ALICE, BOB_JID, "waits");
    let asked = ask(&mut world, "q");
    world.run();
    assert_eq!(ends(&world, ALICE, message), []);
    assert!(matches!(ends(&world, ALICE, asked)[..], [End::Sent(_)]));
}

#[test]
fn an_iq_waits_for_a_resumed_stream_and_not_for_ever_for_keys() {
    let mut world = talking(21);
    world.with(ALICE, Device::lose);
    let asked = ask(&mut world, "q");
    world.run();
    assert_eq!(ends(&world, ALICE, asked), []);
    world.with(ALICE, Device::resume);
    world.run();
    assert!(matches!(ends(&world, ALICE, asked)[..], [End::Sent(_)]));
    assert_eq!(letters(&world, BOB).len(), 1);

    let mut world = World::pair(22);
    clear(&mut world);
    world.devices[ALICE].answers = false;
    let asked = ask(&mut world, "q");
    world.advance(Duration::from_secs(61));
    assert_eq!(ends(&world, ALICE, asked), [End::Failed(SendError::NoKeys)]);
}

#[test]
fn what_was_held_back_for_days_is_not_of_this_stream() {
    let mut world = talking(23);
    world.server.tamper = Some(Box::new(|to, stanza| if to == DESK { Vec::new() } else { vec![stanza] }));
    ask(&mut world, "q");
    world.run();
    world.server.tamper = None;
    let wire = crossed(&world, Way::Out, PHONE, "<iq to='bob@example.org/desk'").remove(0);
    world.advance(Duration::from_hours(2 * 24));
    clear(&mut world);
    receive(&mut world, BOB, &wire.replacen("<iq ", &format!("<iq from='{PHONE}' "), 1));
    assert_eq!((letters(&world, BOB).len(), rejected(&world, BOB)), (0, vec![Misbehaviour::Expired.into()]));
}

#[test]
fn servers_are_told_what_the_application_says_and_nothing_of_typing() {
    let mut world = talking(24);
    let hints = |world: &mut World, inside: &str| {
        hand_in(
            world,
            ALICE,
            &format!("<message to='{BOB_JID}' type='chat'>{inside}</message>"),
            Need::Policy,
        );
        world.run();
        let wire = crossed(world, Way::Out, PHONE, "<message").pop().unwrap();
        (wire.matches("urn:xmpp:hints").count(), wire.matches("urn:xmpp:eme").count())
    };
    assert_eq!(hints(&mut world, "<body>x</body>"), (1, 1));
    assert_eq!(hints(&mut world, "<composing xmlns='http://jabber.org/protocol/chatstates'/>"), (0, 0));
    assert_eq!(hints(&mut world, "<body>x</body><no-store xmlns='urn:xmpp:hints'/>"), (1, 0));
    assert_eq!(hints(&mut world, "<body>x</body><store xmlns='urn:xmpp:hints'/>"), (1, 0));
}
