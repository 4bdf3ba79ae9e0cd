//! The engine's own iqs, and servers that answer them badly.

use std::time::Duration;

use xmpp_e2e::{Misbehaviour, Reason};
use xmpp_e2e_testkit::server::Pep;

use super::*;

#[test]
fn answers_to_the_engine_are_swallowed_and_all_others_pass() {
    let mut world = World::new(1);
    world.add("alice@example.com/phone");
    world.connect(ALICE);
    let own = world.with(ALICE, |device, server, _| server.receive(&device.full_jid)).unwrap();
    let other = "<iq type='result' id='app-1' from='example.com' to='alice@example.com/phone'/>";
    let asked = "<iq type='get' id='q' from='example.com' to='alice@example.com/phone'><ping xmlns='urn:xmpp:ping'/></iq>";
    world.with(ALICE, |device, _, env| {
        let passes = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Pass));
        assert!(!passes(&apply(device, env, Input::Received(&own))));
        assert!(passes(&apply(device, env, Input::Received(other))));
        assert!(passes(&apply(device, env, Input::Received(asked))));
    });
}

#[test]
fn an_answer_from_somebody_else_is_one_event_and_the_true_one_still_counts() {
    let mut world = talking(2);
    world.server.register("carol@example.net");
    world.server.tamper = Some(Box::new(|_, stanza| {
        if !stanza.starts_with("<iq ") || !stanza.contains("from='carol@example.net'") {
            return vec![stanza];
        }
        let forged = stanza.replacen("from='carol@example.net'", "from='mallory@example.net'", 1);
        vec![forged, stanza]
    }));
    let need = Need::Encrypted(Level::CLASSICAL);
    let token = world.say_with(ALICE, "carol@example.net", "x", need);
    world.run();
    let requests = sent(&world, ALICE, "to='carol@example.net'").len();
    assert!(requests > 0);
    assert_eq!(rejected(&world, ALICE), vec![Reason::from(Misbehaviour::WrongSubject); requests]);
    assert_eq!(ends(&world, ALICE, token).len(), 1);
}

#[test]
fn c9_messages_flow_without_pep_and_it_mends_itself() {
    for pep in [Pep::PreconditionNotMet, Pep::Unsupported, Pep::Absent] {
        let mut world = World::new(3);
        world.add("alice@example.com/phone");
        world.add("bob@example.org/desk");
        world.server.befriend(ALICE_JID, BOB_JID);
        for jid in [ALICE_JID, BOB_JID] {
            world.server.register(jid);
            world.server.set_pep(jid, pep);
        }
        for device in [ALICE, BOB] {
            world.connect(device);
        }
        world.run();
        for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
            world.say_with(from, to, "x", Need::Encrypted(Level::HYBRID));
            world.run();
        }
        for device in [ALICE, BOB] {
            assert_eq!(bodies(&world, device), ["x"], "{pep:?}");
            let failed = count(&world, device, |event| matches!(event, Event::PublishFailed { .. }));
            assert_eq!(failed, 1, "{pep:?}");
        }
        for jid in [ALICE_JID, BOB_JID] {
            world.server.set_pep(jid, Pep::Works);
        }
        world.advance(Duration::from_hours(2));
        for device in [ALICE, BOB] {
            let published = count(&world, device, |event| matches!(event, Event::Published));
            let failed = count(&world, device, |event| matches!(event, Event::PublishFailed { .. }));
            assert_eq!((published, failed), (1, 1), "{pep:?}");
        }
        assert_eq!(world.server.items(BOB_JID, "urn:xmpp:e2e:0:device").len(), 1);
        assert_eq!(world.server.items(BOB_JID, "urn:xmpp:e2e:0:devices").len(), 1);
    }
}

#[test]
fn a_peer_that_never_answers_costs_a_while_and_no_more() {
    let mut world = World::pair(4);
    world.devices[BOB].polite = false;
    world.server.tamper = Some(Box::new(|to, stanza| {
        let lost = to.starts_with(BOB_JID) && stanza.contains("<keys ");
        if lost { Vec::new() } else { vec![stanza] }
    }));
    world.say(ALICE, BOB_JID, "x");
    world.run();
    assert_eq!(bodies(&world, BOB), Vec::<&str>::new());
    world.advance(Duration::from_secs(30));
    assert_eq!(bodies(&world, BOB), ["x"]);
    let protection = world.devices[BOB].inbox()[0].protection;
    assert!(matches!(protection, Some(xmpp_e2e::Protection::Encrypted { one_time: false, .. })));
}
