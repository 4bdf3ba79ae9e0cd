//! Archives that are read late, and backwards.

use std::time::Duration;

use xmpp_e2e::{Command, Unreadable, Via};
use xmpp_e2e_testkit::device::Job;

use super::*;

/// An archive result of Alice's.
fn result(inner: &str, from: &str) -> String {
    let inner = inner.replacen("<message ", &format!("<message xmlns='jabber:client' from='{from}' "), 1);
    format!(
        "<message to='alice@example.com/phone'><result xmlns='urn:xmpp:mam:2' id='a' queryid='q'>\
         <forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></result></message>"
    )
}

/// What Bob has sent with text, as Alice's archive has it.
fn archive(world: &World) -> Vec<String> {
    let all = sent(world, BOB, "<e ");
    all.iter().map(|stanza| result(stanza, "bob@example.org/desk")).collect()
}

#[test]
fn c5_a_copy_of_what_was_read_long_ago_is_a_duplicate() {
    let mut world = talking(1);
    for number in 0..60 {
        for (from, to) in [(BOB, ALICE_JID), (ALICE, BOB_JID)] {
            world.say(from, to, &number.to_string());
            world.run();
        }
    }
    let archive = archive(&world);
    assert_eq!(archive.len(), 60);
    world.devices[ALICE].record.events.clear();
    for stanza in archive {
        world.step(ALICE, Job::Received(stanza));
    }
    let events = &world.devices[ALICE].record.events;
    assert_eq!(events.len(), 60);
    assert!(events.iter().all(|event| matches!(event, Event::Duplicate { .. })), "{events:?}");
    assert_eq!(bodies(&world, ALICE).len(), 60);
}

#[test]
fn c5_a_copy_of_a_first_message_is_a_duplicate_when_its_prekeys_are_gone() {
    let mut world = World::pair(2);
    world.say(BOB, ALICE_JID, "first");
    world.run();
    world.say(ALICE, BOB_JID, "yes");
    world.run();
    let archive = archive(&world);
    for _ in 0..10 {
        world.advance(Duration::from_secs(5 * DAY));
    }
    world.devices[ALICE].record.events.clear();
    world.step(ALICE, Job::Received(archive[0].clone()));
    let events = &world.devices[ALICE].record.events;
    assert!(matches!(&events[..], [Event::Duplicate { .. }]), "{events:?}");
}

/// Whatever the copy is that they came in.
fn letters_with(world: &World, text: &str) -> usize {
    world.devices[ALICE].inbox().iter().filter(|letter| letter.stanza.contains(text)).count()
}

/// Messages to Alice that her server drops, and has in her archive.
fn lose(world: &mut World, text: &str) {
    world.server.tamper = Some(Box::new(|to, stanza| {
        if to.starts_with("alice@") && stanza.contains("<e ") { Vec::new() } else { vec![stanza] }
    }));
    world.say(BOB, ALICE_JID, text);
    world.run();
    world.server.tamper = None;
}

#[test]
fn c5_an_archive_read_backwards_behind_live_messages_loses_nothing() {
    for active in [true, false] {
        let mut world = talking(3);
        world.command(ALICE, Command::CatchUp { active });
        for number in 0..12 {
            lose(&mut world, &format!("lost {number}"));
            for (from, to) in [(BOB, ALICE_JID), (ALICE, BOB_JID)] {
                world.say(from, to, &format!("live {number}"));
                world.run();
            }
        }
        for stanza in archive(&world).iter().rev() {
            world.step(ALICE, Job::Received(stanza.clone()));
        }
        let lost = letters_with(&world, "lost");
        assert_eq!(lost, if active { 12 } else { 6 }, "{active}: {}", world.dump());
        let archived = world.devices[ALICE].inbox().iter().filter_map(|letter| letter.context.as_ref());
        assert_eq!(archived.filter(|context| context.via == Via::Archive).count(), lost);
    }
}

#[test]
fn c5_keys_are_kept_while_an_archive_is_read_for_a_day_at_most() {
    // Skipped keys are kept for thirty days: read half a day later.
    for (begun, read) in [(None, false), (Some(12), true), (Some(36), false)] {
        let mut world = talking(4);
        lose(&mut world, "lost");
        world.say(BOB, ALICE_JID, "read");
        world.run();
        let archive = archive(&world);
        let hours = 30 * 24 + 6;
        world.advance(Duration::from_hours(hours - begun.unwrap_or(0)));
        if let Some(begun) = begun {
            world.command(ALICE, Command::CatchUp { active: true });
            world.advance(Duration::from_hours(begun));
        }
        world.step(ALICE, Job::Received(archive[0].clone()));
        assert_eq!(letters_with(&world, "lost") == 1, read, "{begun:?}");
    }
}

#[test]
fn c5_an_old_archive_asks_for_nothing() {
    let mut world = talking(5);
    world.say(BOB, ALICE_JID, "x");
    world.run();
    let archive = archive(&world);
    let mut bytes = xmpp_e2e_testkit::wire::bytes_in(&archive[0], "e", 0);
    // Of a session that is gone.
    bytes[9] ^= 0x55;
    let old = xmpp_e2e_testkit::wire::with_bytes(&archive[0], "e", 0, &bytes);
    for active in [false, true] {
        world.devices[ALICE].record.events.clear();
        world.command(ALICE, Command::CatchUp { active });
        world.step(ALICE, Job::Received(old.clone()));
        world.advance(Duration::from_mins(1));
        let events = &world.devices[ALICE].record.events;
        let no_session = Unreadable::NoSession.into();
        assert!(
            matches!(&events[0], Event::Rejected { reason, recoverable, .. }
                if *reason == no_session && *recoverable == active),
            "{events:?}"
        );
        assert_eq!(events.iter().any(|event| matches!(event, Event::Recovering { .. })), active);
    }
}
