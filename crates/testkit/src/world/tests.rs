use xmpp_e2e::{Event, Outlook};

use super::*;
use crate::device::{End, Fate, Moment};
use crate::server::Way;

const BOB: &str = "bob@example.org";

#[test]
fn a_pair_has_met_and_talks() {
    let mut world = World::pair(1);
    for device in &world.devices {
        assert!(
            device.record.events.iter().any(|event| matches!(event, Event::Encrypts { .. })),
            "{device:?}"
        );
    }
    assert_ne!(world.devices[World::ALICE].engine().outlook(BOB, &Need::Policy).unwrap(), Outlook::Clear);
    let token = world.say(World::ALICE, BOB, "a < b & \"c\"");
    world.run();
    assert_eq!(world.devices[World::BOB].record.bodies(), ["a < b & \"c\""]);
    assert!(matches!(world.devices[World::ALICE].record.handed[&token].ends[..], [End::Sent(_)]));
    let out = world.server.log.iter().filter(|entry| entry.way == Way::Out);
    assert!(!out.into_iter().any(|entry| entry.stanza.contains("&lt; b")));
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let run = |seed| {
        let mut world = World::pair(seed);
        world.say(World::BOB, "alice@example.com", "x");
        world.run();
        world.server.log
    };
    assert_eq!(run(2), run(2));
    assert_ne!(run(2), run(3));
}

#[test]
fn offline_and_back() {
    let mut world = World::pair(4);
    world.disconnect(World::BOB);
    world.run();
    world.say(World::ALICE, BOB, "while you were out");
    world.run();
    assert!(world.devices[World::BOB].inbox().is_empty());
    world.connect(World::BOB);
    world.run();
    assert_eq!(world.devices[World::BOB].record.bodies(), ["while you were out"]);
}

#[test]
fn a_crash_and_a_failing_store() {
    let mut world = World::pair(5);
    let mut refused = 0;
    world.devices[World::BOB].fault = Some(Box::new(move |_, moment| {
        refused += u32::from(moment == Moment::BeforeStore);
        if moment == Moment::BeforeStore && refused % 2 == 1 { Fate::Refuse } else { Fate::GoOn }
    }));
    let at = world.devices[World::ALICE].moments + 1;
    world.devices[World::ALICE].crash_at(at);
    world.say(World::ALICE, BOB, "x");
    assert!(!world.devices[World::ALICE].runs());
    world.run();
    assert_eq!(world.devices[World::BOB].record.bodies(), ["x"]);
    assert!(world.devices[World::ALICE].record.open().is_empty());
}

#[test]
fn three_devices_over_a_bad_link() {
    let mut world = World::pair(6);
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    world.server.silent = true;
    world.lossy(7, Odds::all(20)).spare(|stanza| !stanza.starts_with("<message"));
    for number in 0..100 {
        world.say(World::ALICE, BOB, &number.to_string());
        world.say(World::BOB, "alice@example.com", &number.to_string());
        world.run();
    }
    world.steady();
    world.run();
    for device in [World::BOB, tablet] {
        let bodies = world.devices[device].record.bodies().len();
        assert!(bodies > 80, "{bodies}");
    }
}

#[test]
fn days_pass() {
    let mut world = World::pair(8);
    world.advance(Duration::from_hours(40 * 24));
    world.say(World::BOB, "alice@example.com", "still there?");
    world.run();
    assert_eq!(world.devices[World::ALICE].record.bodies(), ["still there?"]);
}
