//! Stanzas in clear, and items of pubsub nodes, that a device has signed.

use std::time::Duration;

use xmpp_e2e::{Authentication, Malformed, Misbehaviour, Protection, SendError, Timestamp, Unreadable};

use super::*;

const DAY: u64 = 24 * 3600;

const INSIDE: &str = "<body>in clear</body><x xmlns='urn:x' y='1'>z</x>";

/// With digests, and with a copy; for the account addressed.
fn needs() -> [Need; 2] {
    let signed = Authentication::signed();
    [Need::Authenticated(signed), Need::Authenticated(signed.with_copy())]
}

fn said() -> String {
    format!("<message to='{BOB_JID}' type='chat' id='m'>{INSIDE}</message>")
}

fn came() -> String {
    said().replacen("<message ", &format!("<message from='{PHONE}' "), 1)
}

/// Alice and Bob, who know each other's keys and have no session.
fn known(seed: u64) -> World {
    let mut world = World::pair(seed);
    clear(&mut world);
    world
}

/// What Alice's message is on the stream to Bob, who has not got it.
fn caught(world: &mut World, need: &Need) -> String {
    world.server.tamper = Some(Box::new(|to, stanza| if to == DESK { Vec::new() } else { vec![stanza] }));
    let token = hand_in(world, ALICE, &said(), need.clone());
    world.run();
    assert!(matches!(ends(world, ALICE, token)[..], [End::Sent(_)]));
    world.server.tamper = None;
    let wire = crossed(world, Way::Out, PHONE, "in clear").pop().unwrap();
    wire.replacen("<message ", &format!("<message from='{PHONE}' "), 1)
}

#[test]
fn it_is_verified_without_a_session() {
    for (need, anyone) in needs().into_iter().map(|need| (need, false)).chain([
        (Need::Authenticated(Authentication::signed().for_anyone()), true),
        (Need::Authenticated(Authentication::signed().with_copy().for_anyone()), true),
    ]) {
        let mut world = known(1);
        let wire = caught(&mut world, &need);
        assert!(wire.contains(INSIDE) && wire.contains("<signed xmlns='urn:xmpp:e2e:0'>"));
        receive(&mut world, BOB, &wire);
        let (got, context) = letter(&world, BOB);
        assert_same(got, &came());
        assert!(context.id_protected && context.dropped.is_empty());
        assert_eq!(letters(&world, BOB)[0].protection, Some(Protection::Signed { for_anyone: anyone }));
        assert_eq!(crossed(&world, Way::Out, PHONE, "<keys "), Vec::<String>::new(), "no session was opened");
    }
}

#[test]
fn presence_and_iqs_are_signed_too() {
    for need in needs() {
        let mut world = known(2);
        for stanza in [
            format!("<presence to='{DESK}'><show>dnd</show></presence>"),
            format!("<iq to='{DESK}' type='set' id='i'><a xmlns='urn:a'/></iq>"),
        ] {
            hand_in(&mut world, ALICE, &stanza, need.clone());
            world.run();
            let (got, _) = letter(&world, BOB);
            assert_same(got, &stanza.replacen(" to=", &format!(" from='{PHONE}' to="), 1));
            clear(&mut world);
        }
    }
}

#[test]
fn what_is_altered_or_replayed_is_noticed() {
    let [digests, copy] = needs();
    for (need, altered) in [(&digests, true), (&copy, false)] {
        let mut world = known(3);
        let wire = caught(&mut world, need);
        receive(&mut world, BOB, &wire.replacen("in clear", "in cleaR", 1));
        if altered {
            assert_eq!(rejected(&world, BOB), [Reason::Altered]);
            receive(&mut world, BOB, &wire);
        }
        assert_same(letter(&world, BOB).0, &came());
        receive(&mut world, BOB, &wire);
        assert_eq!(letters(&world, BOB).len(), 1);
        assert!(matches!(events(&world, BOB).last(), Some(Event::Duplicate { .. })));
        // Under another type, from another account, or with another signature.
        for forged in [
            wire.replacen("type='chat'", "type='headline'", 1),
            wire.replacen(&format!("from='{PHONE}'"), "from='carol@example.net/x'", 1),
            wire.replacen("=</signed>", "</signed>", 1),
            wire.replacen("</signed>", "AAAA</signed>", 1),
        ] {
            let before = letters(&world, BOB).len();
            receive(&mut world, BOB, &forged);
            assert_eq!(letters(&world, BOB).len(), before, "{forged}");
        }
    }
}

#[test]
fn it_is_for_the_account_addressed_unless_it_is_for_anyone() {
    for (need, taken) in
        [(needs()[0].clone(), false), (Need::Authenticated(Authentication::signed().for_anyone()), true)]
    {
        let mut world = known(4);
        let wire = caught(&mut world, &need);
        let carol = world.add("carol@example.net/laptop");
        world.server.befriend("carol@example.net", ALICE_JID);
        world.connect(carol);
        world.run();
        clear(&mut world);
        let forwarded = wire.replacen(&format!("to='{BOB_JID}'"), "to='carol@example.net'", 1);
        receive(&mut world, carol, &forwarded);
        assert_eq!(letters(&world, carol).len(), usize::from(taken));
        assert_eq!(rejected(&world, carol).len(), usize::from(!taken));
    }
}

#[test]
fn it_expires_but_for_archives() {
    let mut world = known(5);
    let wire = caught(&mut world, &needs()[0]);
    for device in [ALICE, BOB] {
        world.devices[device].record.events.clear();
    }
    world.advance(Duration::from_secs(32 * DAY));
    clear(&mut world);
    receive(&mut world, BOB, &wire);
    assert_eq!(rejected(&world, BOB), [Misbehaviour::Expired.into()]);
    let inner = wire.replacen("<message ", "<message xmlns='jabber:client' ", 1);
    let result = format!(
        "<message to='{DESK}'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'>\
         {inner}</forwarded></result></message>"
    );
    receive(&mut world, BOB, &result);
    assert_eq!(letters(&world, BOB).len(), 1, "{:?}", events(&world, BOB));
}

#[test]
fn of_an_unknown_device_it_is_clear_text_and_its_keys_are_asked_for() {
    let mut world = known(6);
    let wire = caught(&mut world, &needs()[0]);
    let tablet = world.add("bob@example.org/tablet");
    world.connect(tablet);
    world.devices[tablet].record.inbox.clear();
    // It has not yet been told of Alice.
    receive(&mut world, tablet, &wire);
    let inbox = world.devices[tablet].inbox();
    assert_eq!((inbox.len(), inbox[0].protection), (1, None));
    world.run();
    receive(&mut world, tablet, &wire);
    assert_eq!(letters(&world, tablet).len(), 1);
}

#[test]
fn an_agent_that_refuses_or_is_slow_ends_it_or_delays_it() {
    let mut world = known(7);
    world.devices[ALICE].answers = false;
    let signed = hand_in(&mut world, ALICE, &said(), needs()[0].clone());
    let behind = world.say(ALICE, BOB_JID, "behind");
    world.run();
    assert_eq!((ends(&world, ALICE, signed), ends(&world, ALICE, behind)), (vec![], vec![]));
    world.crash(ALICE);
    world.devices[ALICE].answers = true;
    world.run();
    let bodies: Vec<_> = world.devices[BOB].record.bodies().into_iter().map(str::to_owned).collect();
    assert_eq!(bodies, ["in clear", "behind"], "in order, and asked again after a crash");

    let mut world = known(8);
    world.devices[ALICE].answers = false;
    let signed = hand_in(&mut world, ALICE, &said(), needs()[0].clone());
    world.advance(Duration::from_secs(301));
    assert_eq!(ends(&world, ALICE, signed), [End::Failed(SendError::Agent)]);
}

#[test]
fn answers_rooms_and_broadcasts_are_not_signed() {
    let mut world = known(9);
    for need in needs() {
        for (stanza, why) in [
            (format!("<iq to='{DESK}' type='result' id='i'/>"), SendError::NotProtectable),
            ("<presence/>".to_owned(), SendError::NotProtectable),
            (format!("<presence to='{BOB_JID}' type='subscribe'/>"), SendError::NotProtectable),
            (
                "<message to='r@example.net' type='groupchat'><body>x</body></message>".to_owned(),
                SendError::NotForRooms,
            ),
        ] {
            let token = hand_in(&mut world, ALICE, &stanza, need.clone());
            assert_eq!(ends(&world, ALICE, token), [End::Failed(why)], "{stanza}");
        }
    }
    let fragile = format!("<message to='{BOB_JID}'><body>a&#13;b</body></message>");
    let token = hand_in(&mut world, ALICE, &fragile, needs()[0].clone());
    assert_eq!(ends(&world, ALICE, token), [End::Failed(SendError::Fragile)]);
}

#[test]
fn the_copy_of_an_item_is_what_was_published() {
    let mut world = known(11);
    let payload = "<tune xmlns='urn:tune' a='&#9;&#10;'>a&#13;b</tune>";
    let shown = publish(&mut world, &needs()[1], "current", payload);
    let tree = Tree::parse(&shown).unwrap();
    let item = world.devices[BOB].engine().item(world.now, ALICE_JID, "urn:x:node", "current", &tree);
    assert_same(item.unwrap().unwrap().payload.as_str(), payload);
}

/// What Alice publishes, and what the server then shows of it.
fn publish(world: &mut World, need: &Need, id: &str, payload: &str) -> String {
    let iq = format!(
        "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:x:node'>\
         <item id='{id}'>{payload}</item></publish></pubsub></iq>"
    );
    hand_in(world, ALICE, &iq, need.clone());
    world.run();
    world.server.items(ALICE_JID, "urn:x:node").last().unwrap().1.clone()
}

#[test]
fn items_of_pubsub_nodes_are_signed_and_verified() {
    let payload = "<tune xmlns='urn:tune'><artist>Yes</artist></tune>";
    for need in needs() {
        let mut world = known(10);
        let shown = publish(&mut world, &need, "current", payload);
        assert!(shown.starts_with("<tune xmlns='urn:tune'><artist>Yes</artist><signed "), "{shown}");
        let check = |world: &World, device: usize, jid: &str, node: &str, id: &str, shown: &str| {
            let tree = Tree::parse(shown).unwrap();
            world.devices[device].engine().item(world.now, jid, node, id, &tree).unwrap()
        };
        let item = check(&world, BOB, ALICE_JID, "urn:x:node", "current", &shown).unwrap();
        assert_same(item.payload.as_str(), payload);
        assert_eq!(item.device, world.devices[ALICE].engine().device());
        let next = publish(&mut world, &need, "current", payload);
        let next = check(&world, BOB, ALICE_JID, "urn:x:node", "current", &next).unwrap();
        assert!(next.sequence > item.sequence && next.expiry > item.sent);
        let wrong = Err(Misbehaviour::WrongSubject.into());
        assert_eq!(check(&world, BOB, ALICE_JID, "urn:x:other", "current", &shown), wrong);
        assert_eq!(check(&world, BOB, ALICE_JID, "urn:x:node", "other", &shown), wrong);
        let unknown = Err(Unreadable::NoRecord.into());
        assert_eq!(check(&world, BOB, "carol@example.net", "urn:x:node", "current", &shown), unknown);
        let unsigned = Err(Malformed::Stanza.into());
        assert_eq!(check(&world, BOB, ALICE_JID, "urn:x:node", "current", payload), unsigned);
        let altered = shown.replacen("Yes", "No", 1);
        let altered = check(&world, BOB, ALICE_JID, "urn:x:node", "current", &altered);
        // Of a copy nothing is taken from what is in clear.
        assert!(
            altered == Err(Reason::Altered) || altered.is_ok_and(|item| item.payload.as_str() == payload)
        );
        let time = Timestamp::from_secs(0);
        let tree = Tree::parse(&shown).unwrap();
        assert!(world.devices[BOB].engine().item(time, "@", "n", "i", &tree).is_err());
    }
}
