//! A device that another has linked, and that has no account key: what becomes of it.

use std::time::Duration;

use xmpp_e2e::{Command, Fingerprint, ScanOutcome, Standing};
use xmpp_e2e_testkit::device::End;

use super::linking::{NEW, link, newcomer};
use super::*;

/// Alice's tablet is linked.
fn linked(seed: u64) -> World {
    let mut world = newcomer(seed);
    link(&mut world);
    world.say(NEW, BOB_JID, "from the tablet");
    world.run();
    assert_eq!(bodies(&world, BOB).last(), Some(&"from the tablet"));
    world
}

/// What the tablet sends and is sent is read.
fn goes_on(world: &mut World) {
    let token = world.say(NEW, BOB_JID, "still here");
    world.run();
    assert!(matches!(ends(world, NEW, token)[..], [End::Sent(_)]), "{}", world.dump());
    assert_eq!(bodies(world, BOB).last(), Some(&"still here"), "{}", world.dump());
    world.say(BOB, ALICE_JID, "good");
    world.run();
    world.advance(Duration::from_mins(1));
    assert!(bodies(world, NEW).contains(&"good"), "{}", world.dump());
}

fn expires(world: &World) -> xmpp_e2e::Timestamp {
    let own = world.devices[NEW].engine().own_devices().unwrap();
    own.iter().find(|known| known.this).unwrap().expires.unwrap()
}

fn scan(world: &mut World, code: Fingerprint) {
    world.command(NEW, Command::Scanned(Box::leak(Box::new(code))));
}

#[test]
fn c10_before_it_is_linked_a_device_has_no_fingerprint_and_no_code_is_wrong() {
    let mut world = newcomer(4);
    let fingerprint = |world: &World, device: usize| world.devices[device].engine().fingerprint().unwrap();
    let code: &Fingerprint = Box::leak(Box::new(fingerprint(&world, ALICE).unwrap()));
    world.command(NEW, Command::Link);
    world.run();
    assert_eq!(fingerprint(&world, NEW), None, "what the server shows is none of its own");
    scan(&mut world, code.clone());
    let said = |world: &World| count(world, NEW, |event| matches!(event, Event::Scanned { .. }));
    let wrong = |event: &Event| matches!(event, Event::Scanned { outcome: ScanOutcome::Mismatch, .. });
    assert_eq!(said(&world), 0);
    link(&mut world);
    assert_eq!(fingerprint(&world, NEW), Some(code.clone()));
    let other = Device::first("alice@example.com/other", &mut world.rng);
    let other = xmpp_e2e::Engine::new(other.config).fingerprint().unwrap().unwrap();
    scan(&mut world, other);
    assert_eq!((said(&world), count(&world, NEW, wrong)), (1, 1));
}

#[test]
fn where_a_device_stands_can_be_asked() {
    let mut world = World::new(5);
    let standing = |world: &World, device: usize| world.devices[device].engine().standing().unwrap();
    world.add("alice@example.com/phone");
    assert_eq!(standing(&world, ALICE), Standing::New);
    let mut world = newcomer(5);
    let member = |account_key| Standing::Member { account_key };
    assert_eq!((standing(&world, ALICE), standing(&world, NEW)), (member(true), Standing::Unlinked));
    world.command(NEW, Command::Link);
    let started = |event: &Event| matches!(event, Event::LinkingStarted { .. });
    assert_eq!((standing(&world, NEW), count(&world, NEW, started)), (Standing::Linking, 1));
    let run = world.devices[NEW].record.events.iter().find_map(|event| match event {
        Event::LinkingStarted { run } => Some(*run),
        _ => None,
    });
    world.command(NEW, Command::CancelLinking { run: run.unwrap() });
    world.run();
    assert_eq!(standing(&world, NEW), Standing::Unlinked);
    link(&mut world);
    assert_eq!(standing(&world, NEW), member(false));
    world.command(ALICE, Command::Leave);
    world.run();
    assert_eq!([ALICE, NEW].map(|device| standing(&world, device)), [Standing::Left; 2]);
    // The others are told, and cannot link any more.
    let told = [ALICE, NEW].map(|device| count(&world, device, |event| matches!(event, Event::Retired)));
    assert_eq!(told, [0, 1]);
}

#[test]
fn c2_a_linked_device_put_back_from_a_backup_goes_on() {
    let mut world = linked(1);
    let backup = world.devices[NEW].store.clone();
    world.say(NEW, BOB_JID, "since");
    world.run();
    world.crash(NEW);
    world.devices[NEW].store = backup;
    world.devices[NEW].restore();
    world.command(NEW, Command::Restored);
    world.connect(NEW);
    world.run();
    goes_on(&mut world);
}

#[test]
fn c4_a_linked_device_that_finds_itself_cloned_goes_on() {
    let mut world = linked(2);
    let backup = world.devices[NEW].store.clone();
    world.advance(Duration::from_secs(8 * DAY));
    // Nobody says that it was put back; its own newer record does.
    world.crash(NEW);
    world.now = world.now.after(Duration::from_mins(10));
    world.devices[NEW].store = backup;
    world.devices[NEW].restore();
    world.connect(NEW);
    world.run();
    assert_eq!(count(&world, NEW, |event| matches!(event, Event::Cloned)), 1, "{}", world.dump());
    goes_on(&mut world);
}

#[test]
fn c2_a_linked_device_whose_backup_has_the_certificate_before_gets_the_present_one() {
    let mut world = linked(3);
    let backup = world.devices[NEW].store.clone();
    let first = expires(&world);
    let mut months = 0;
    while expires(&world) == first {
        months += 1;
        assert!(months < 12, "certified anew");
        world.advance(Duration::from_hours(24 * 30));
        world.say(BOB, ALICE_JID, "x");
        world.run();
    }
    let second = expires(&world);
    world.crash(NEW);
    world.devices[NEW].store = backup;
    world.devices[NEW].restore();
    world.command(NEW, Command::Restored);
    world.connect(NEW);
    world.run();
    assert_eq!(expires(&world), second, "as its own record shows it; peers take no older one");
    goes_on(&mut world);
}
