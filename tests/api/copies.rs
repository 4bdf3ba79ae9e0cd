//! Carbons and archive results.

use std::cell::RefCell;
use std::rc::Rc;

use xmpp_e2e::{Malformed, Misbehaviour, SendError, Tree, TreeBuilder, Via, Visitor};

use super::*;

const TABLET: usize = 2;

/// Alice with two devices and Bob with one; carbons are on.
fn three(seed: u64) -> World {
    let mut world = World::pair(seed);
    world.add("alice@example.com/tablet");
    world.connect(TABLET);
    world.run();
    world.server.carbons = true;
    world
}

/// An archive result as Prosody (without `from`) or ejabberd makes it.
fn result(inner: &str, from: &str) -> String {
    let inner = inner.replacen("<message ", "<message xmlns='jabber:client' ", 1);
    format!(
        "<message {from} to='alice@example.com/phone'><result xmlns='urn:xmpp:mam:2' id='a7' queryid='q'>\
         <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>{inner}\
         </forwarded></result></message>"
    )
}

/// The one stanza that these effects deliver.
fn delivered(effects: &[Effect]) -> Option<(String, xmpp_e2e::Context)> {
    let mut found = effects.iter().filter_map(|effect| match effect {
        Effect::Deliver { stanza, context, .. } => Some((stanza.as_str().to_owned(), context.clone())),
        _ => None,
    });
    let first = found.next();
    assert!(found.next().is_none());
    first
}

fn events(effects: &[Effect]) -> Vec<Event> {
    let events = effects.iter().filter_map(|effect| match effect {
        Effect::Notify(event) => Some(event.clone()),
        _ => None,
    });
    events.collect()
}

fn passes(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Pass))
}

/// A message from Bob to Alice on its way, taken out of her stream.
fn on_its_way(world: &mut World, text: &str) -> String {
    let _ = world.say(BOB, ALICE_JID, text);
    let stanza = world.with(ALICE, |device, server, _| server.receive(&device.full_jid)).unwrap();
    assert!(stanza.contains("<e "), "{stanza}");
    stanza
}

fn take(world: &mut World, stanza: &str) -> Vec<Effect> {
    world.with(ALICE, |device, _, env| apply(device, env, Input::Received(stanza)))
}

#[test]
fn another_own_device_reads_what_was_sent_and_where_it_went() {
    let mut world = three(1);
    let token = world.say(ALICE, BOB_JID, "from the phone");
    world.run();
    assert!(
        matches!(&ends(&world, ALICE, token)[..], [End::Sent(coverage)] if coverage.own_devices.len() == 1)
    );
    let letters = world.devices[TABLET].inbox();
    let letter = letters.iter().find(|letter| letter.stanza.contains("from the phone")).expect("a carbon");
    assert!(letter.stanza.contains("<sent xmlns='urn:xmpp:carbons:2'>"), "{}", letter.stanza);
    assert!(letter.stanza.contains("<body>from the phone</body>"), "{}", letter.stanza);
    assert!(!letter.stanza.contains("<e "), "{}", letter.stanza);
    assert_eq!(bodies(&world, BOB), ["from the phone"]);
    assert_eq!(rejected(&world, TABLET), []);
}

#[test]
fn an_archive_result_is_read_in_its_place_once() {
    for from in ["", "from='alice@example.com'"] {
        let mut world = talking(2);
        let stanza = on_its_way(&mut world, "kept");
        let archived = result(&stanza, from);
        let effects = take(&mut world, &archived);
        let (outer, context) = delivered(&effects).expect("the copy");
        assert_eq!((context.via, context.sender.as_str()), (Via::Archive, BOB_JID));
        let around = ["<result xmlns='urn:xmpp:mam:2' id='a7' queryid='q'>", "stamp='2026-01-01T00:00:00Z'"];
        for part in around.iter().chain(&["<body>kept</body>", "<message xmlns='jabber:client'"]) {
            assert!(outer.contains(part), "{part} in {outer}");
        }
        assert!(!outer.contains("<e ") && !passes(&effects));
        // The same from the stream, and from the archive again.
        for again in [&stanza, &archived] {
            let effects = take(&mut world, again);
            assert!(delivered(&effects).is_none() && !passes(&effects));
            assert!(matches!(&events(&effects)[..], [Event::Duplicate { .. }]), "{effects:?}");
        }
    }
}

#[test]
fn a_first_message_can_come_from_the_archive_and_wait_for_the_agent() {
    let mut world = World::pair(3);
    world.server.tamper = Some(Box::new(|to, stanza| {
        let copied = to.starts_with("alice") && stanza.contains("<e ");
        vec![if copied { result(&stanza, "") } else { stanza }]
    }));
    let _ = world.say(BOB, ALICE_JID, "first");
    world.run();
    let letter = &world.devices[ALICE].inbox()[0];
    assert!(letter.stanza.contains("<body>first</body>") && letter.stanza.contains("id='a7'"), "{letter:?}");
    assert_eq!(rejected(&world, ALICE), []);
}

#[test]
fn a_copy_of_what_this_device_sent_is_a_duplicate() {
    let mut world = talking(4);
    let _ = world.say(ALICE, BOB_JID, "mine");
    let mine = sent(&world, ALICE, "<e ").pop().unwrap();
    let mine = mine.replacen("<message ", "<message from='alice@example.com/phone' ", 1);
    let effects = take(&mut world, &result(&mine, ""));
    assert!(matches!(&events(&effects)[..], [Event::Duplicate { .. }]), "{effects:?}");
    assert!(delivered(&effects).is_none() && !passes(&effects));
}

#[test]
fn copies_that_a_stranger_made_are_refused_once() {
    let mut world = talking(5);
    let stanza = on_its_way(&mut world, "true");
    let clear = "<message from='bob@example.org/desk' to='alice@example.com' type='chat'><body>false</body></message>";
    let before = content(&world.devices[ALICE].store).1.len();
    for inner in [&*stanza, clear] {
        for from in ["mallory@example.net/x", "mallory@example.net", "bob@example.org/desk", "example.com"] {
            let from = format!("from='{from}'");
            let carbon = result(inner, &from)
                .replacen(
                    "<result xmlns='urn:xmpp:mam:2' id='a7' queryid='q'>",
                    "<received xmlns='urn:xmpp:carbons:2'>",
                    1,
                )
                .replacen("</result>", "</received>", 1);
            for copy in [result(inner, &from), carbon] {
                let effects = take(&mut world, &copy);
                let events = events(&effects);
                let wrong = Reason::from(Misbehaviour::WrongSubject);
                assert!(
                    matches!(&events[..], [Event::Rejected { reason, .. }] if *reason == wrong),
                    "{events:?}"
                );
                assert!(delivered(&effects).is_none() && !passes(&effects), "{copy}");
            }
        }
    }
    assert_eq!(content(&world.devices[ALICE].store).1.len(), before);
    // The message has lost nothing by it.
    assert!(delivered(&take(&mut world, &stanza)).is_some());
}

#[test]
fn rooms_have_archives_of_their_own() {
    let mut world = talking(6);
    let inner = "<message from='room@rooms.example/nick' type='groupchat'><body>x</body></message>";
    let effects = take(&mut world, &result(inner, "from='room@rooms.example'"));
    assert!(passes(&effects) && events(&effects).is_empty());
}

#[test]
fn what_is_clear_in_a_copy_passes_and_a_carbon_of_it_warns() {
    let mut world = talking(7);
    let inner = "<message from='bob@example.org/desk' to='alice@example.com' type='chat'><body>clear</body></message>";
    let archived = take(&mut world, &result(inner, ""));
    assert!(passes(&archived) && events(&archived).is_empty());
    let carbon = result(inner, "from='alice@example.com'")
        .replacen(
            "<result xmlns='urn:xmpp:mam:2' id='a7' queryid='q'>",
            "<received xmlns='urn:xmpp:carbons:2'>",
            1,
        )
        .replacen("</result>", "</received>", 1);
    let carbon = take(&mut world, &carbon);
    assert!(passes(&carbon));
    assert!(matches!(&events(&carbon)[..], [Event::ClearText { .. }]), "{carbon:?}");
}

#[test]
fn a_message_to_somebody_else_is_not_read_from_a_copy() {
    let mut world = talking(8);
    let stanza = on_its_way(&mut world, "x");
    let stanza = stanza.replacen("to='alice@example.com'", "to='carol@example.net'", 1);
    let effects = take(&mut world, &result(&stanza, ""));
    let wrong = Reason::from(Misbehaviour::WrongSubject);
    assert!(
        matches!(&events(&effects)[..], [Event::Rejected { reason, .. }] if *reason == wrong),
        "{effects:?}"
    );
}

#[test]
fn a_tree_is_as_good_as_text() {
    let mut world = talking(9);
    let text = message(BOB_JID, "t1", "as a tree");
    let outgoing = Tree::parse(&text).unwrap();
    let sent = world.with(ALICE, |device, _, env| {
        let input = Input::OutgoingTree { stanza: &outgoing, token: Token(900), need: Need::Policy };
        sends(&apply(device, env, input))
    });
    let from = sent[0].replacen("<message ", "<message from='alice@example.com/phone' ", 1);
    let received = Tree::parse(&from).unwrap();
    let effects = world.with(BOB, |device, _, env| apply(device, env, Input::ReceivedTree(&received)));
    assert!(delivered(&effects).unwrap().0.contains("<body>as a tree</body>"));
}

#[test]
fn what_servers_put_beside_a_copy_is_not_delivered() {
    let mut world = talking(10);
    let stanza = on_its_way(&mut world, "true");
    let copy = result(&stanza, "").replacen("<result ", "<body>forged</body><result ", 1);
    let copy = copy.replacen("</forwarded>", "<body>forged</body></forwarded>", 1);
    let (outer, _) = delivered(&take(&mut world, &copy)).unwrap();
    assert!(outer.contains("<body>true</body>") && !outer.contains("forged"), "{outer}");
    assert!(outer.contains("stamp='2026-01-01T00:00:00Z'"), "{outer}");
}

#[test]
fn what_could_not_be_read_again_is_refused_and_does_not_come_back() {
    let mut world = talking(11);
    // As much around it as would make of it what nobody can read.
    let stanza = on_its_way(&mut world, "small");
    let much = "<delay xmlns='urn:xmpp:delay'/>".repeat(400);
    let effects =
        take(&mut world, &result(&stanza, "").replace("</forwarded>", &format!("{much}</forwarded>")));
    let refused = Reason::from(Malformed::TooLarge);
    assert!(
        matches!(&events(&effects)[..], [Event::Rejected { reason, .. }] if *reason == refused),
        "{effects:?}"
    );
    assert!(delivered(&effects).is_none());
    // Its key was not used: the good copy is read.
    assert!(delivered(&take(&mut world, &result(&stanza, ""))).is_some());
    world.crash(ALICE);
    world.restart(ALICE);
    world.connect(ALICE);
    world.say(BOB, ALICE_JID, "and on");
    world.run();
    assert_eq!(bodies(&world, ALICE).last(), Some(&"and on"));
}

#[test]
fn a_text_that_grows_over_the_bound_is_not_sent() {
    let mut world = talking(12);
    let token = world.say(ALICE, BOB_JID, &"&amp;".repeat(52_500));
    assert_eq!(ends(&world, ALICE, token), [xmpp_e2e_testkit::device::End::Failed(SendError::TooLarge)]);
}

/// Builds what it is told, with an element more that is larger written than counted.
#[derive(Default)]
struct WithMany(TreeBuilder<'static>, usize);

impl Visitor for WithMany {
    fn start(&mut self, ns: &str, name: &str) {
        self.0.start(ns.to_owned(), name.to_owned()).unwrap();
        self.1 += 1;
    }

    fn attribute(&mut self, ns: Option<&str>, name: &str, value: &str) {
        self.0.attribute(ns.map(|ns| ns.to_owned().into()), name.to_owned(), value.to_owned()).unwrap();
    }

    fn text(&mut self, text: &str) {
        self.0.text(text.to_owned()).unwrap();
    }

    fn end(&mut self) {
        self.1 -= 1;
        if self.1 == 0 {
            self.0.start("urn:x", "x").unwrap();
            for i in 0..20 {
                self.0.attribute(Some(format!("urn:{i}").into()), "a", "").unwrap();
            }
            self.0.end().unwrap();
        }
        self.0.end().unwrap();
    }
}

#[test]
fn a_first_flight_that_could_not_be_read_again_is_refused() {
    let mut world = World::pair(13);
    let caught = Rc::new(RefCell::new(Vec::new()));
    let of_server = caught.clone();
    world.server.tamper = Some(Box::new(move |to, stanza| {
        if to.starts_with("alice") && stanza.contains("<e ") {
            of_server.borrow_mut().push(stanza);
            return Vec::new();
        }
        vec![stanza]
    }));
    let _ = world.say(BOB, ALICE_JID, "first");
    world.run();
    let flight = caught.borrow_mut().remove(0);
    let mut building = WithMany::default();
    Tree::parse(&flight).unwrap().walk(&mut building);
    let tree = building.0.finish().unwrap();
    let effects = world.with(ALICE, |device, _, env| apply(device, env, Input::ReceivedTree(&tree)));
    assert!(matches!(&events(&effects)[..], [Event::Rejected { .. }]), "{effects:?}");
    // As it was sent it is read.
    world.server.tamper = None;
    world.with(ALICE, |device, server, _| server.inject(&device.full_jid, flight));
    world.run();
    assert_eq!(bodies(&world, ALICE), ["first"]);
}
