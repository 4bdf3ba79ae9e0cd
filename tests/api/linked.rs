//! A device that another has linked, and that has no account key: what becomes of it.

use std::time::Duration;

use xmpp_e2e::{Command, Fingerprint, ScanOutcome, Standing};
use xmpp_e2e_testkit::device::End;

use super::linking::{NEW, asked, compared, id, link, live, newcomer};
use super::*;

const CAROL_JID: &str = "carol@example.net";

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

/// The list of the laptop was made where none was shown, and nobody can tell it.
#[test]
fn c8_a_linked_device_that_a_list_leaves_out_can_be_linked_again() {
    let mut world = linked(6);
    let laptop = 3;
    for device in [ALICE, NEW] {
        world.disconnect(device);
    }
    for node in ["urn:xmpp:e2e:0:devices", "urn:xmpp:e2e:0:device"] {
        world.server.set_items(ALICE_JID, node, Vec::new());
    }
    world.add("alice@example.com/laptop");
    hide_lists_shown(&mut world);
    world.now = world.now.after(Duration::from_hours(1));
    for device in [laptop, NEW] {
        world.connect(device);
        world.run();
    }
    let standing = |world: &World| world.devices[NEW].engine().standing().unwrap();
    assert_eq!(standing(&world), Standing::Unlinked);
    assert!(!live(&world, laptop).contains(&id(&world, NEW)));
    let run = compared(&mut world, laptop);
    for device in [NEW, laptop] {
        world.command(device, Command::ConfirmLinking { run, same: true });
        world.run();
    }
    assert_eq!(standing(&world), Standing::Member { account_key: false });
    assert!(live(&world, laptop).contains(&id(&world, NEW)));
    goes_on(&mut world);
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

/// The tablet is off for so many days.
fn off(world: &mut World, days: u64) {
    world.disconnect(NEW);
    world.advance(Duration::from_secs(days * DAY));
    world.connect(NEW);
    world.run();
    world.advance(Duration::from_hours(2));
    world.devices[NEW].record.events.clear();
    world.devices[ALICE].record.events.clear();
}

fn standing(world: &World) -> Standing {
    world.devices[NEW].engine().standing().unwrap()
}

#[test]
fn c10_a_linked_device_that_comes_back_after_its_certificate_has_ended_is_linked_again() {
    let mut world = linked(6);
    let tablet = id(&world, NEW);
    let contact = |world: &World| world.devices[NEW].engine().contact(BOB_JID).unwrap().unwrap();
    let known = contact(&world);
    off(&mut world, 400);
    assert_eq!(standing(&world), Standing::Unlinked, "nobody has certified it anew");
    world.add("carol@example.net/home");
    world.connect(3);
    world.run();
    let waits = world.say_with(NEW, CAROL_JID, "written before", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(ends(&world, NEW, waits), [], "she would not take it");
    world.command(NEW, Command::Link);
    assert_eq!(standing(&world), Standing::Linking);
    let run = world.devices[NEW].record.events.iter().find_map(|event| match event {
        Event::LinkingStarted { run } => Some(*run),
        _ => None,
    });
    world.command(NEW, Command::CancelLinking { run: run.unwrap() });
    world.run();
    assert_eq!(standing(&world), Standing::Unlinked);
    link(&mut world);
    assert_eq!(standing(&world), Standing::Member { account_key: false }, "{}", world.dump());
    assert_eq!(id(&world, NEW), tablet);
    assert!(expires(&world) > world.now);
    let now = contact(&world);
    assert_eq!((now.account_key, now.decision), (known.account_key, known.decision));
    assert!(matches!(ends(&world, NEW, waits)[..], [End::Sent(_)]), "{}", world.dump());
    assert_eq!(bodies(&world, 3), ["written before"]);
    goes_on(&mut world);
    // And the telephone and the tablet talk as well.
    let token = world.say(ALICE, BOB_JID, "from the telephone");
    world.run();
    let coverage = covered(&world, ALICE, token);
    assert_eq!(coverage.own_devices, [tablet]);
    // They have nothing to tell each other that the other does not understand.
    let refused = |event: &Event| matches!(event, Event::Rejected { device: Some(_), .. });
    assert_eq!([ALICE, NEW].map(|device| count(&world, device, refused)), [0, 0], "{}", world.dump());
}

#[test]
fn a_linked_device_whose_certificate_has_ended_asks_nobody_and_publishes_nothing() {
    let mut world = linked(7);
    off(&mut world, 400);
    world.server.log.clear();
    world.disconnect(NEW);
    world.connect(NEW);
    world.run();
    world.advance(Duration::from_hours(72));
    assert_eq!(sent(&world, NEW, "<message"), Vec::<String>::new());
    assert_eq!(sent(&world, NEW, "<publish"), Vec::<String>::new());
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Rejected { .. })), 0);
}

#[test]
fn a_linked_device_that_is_off_for_months_is_renewed_when_it_comes_back() {
    let mut world = linked(8);
    let first = expires(&world);
    off(&mut world, 300);
    // First it opens a session to ask in.
    world.advance(Duration::from_hours(24 * 10));
    assert!(expires(&world) > first, "{}", world.dump());
    assert_eq!(standing(&world), Standing::Member { account_key: false });
    goes_on(&mut world);
}

#[test]
fn c10_a_linked_device_of_an_account_begun_anew_is_linked_to_the_new_key() {
    let mut world = linked(9);
    world.disconnect(ALICE);
    world.disconnect(NEW);
    // The telephone is lost; its successor has a key of its own.
    let mut other = Device::first("alice@example.com/successor", &mut world.rng);
    other.begins_anew = true;
    world.devices.push(other);
    world.connect(3);
    world.run();
    world.connect(NEW);
    world.run();
    world.advance(Duration::from_hours(2));
    let contested = |event: &Event| matches!(event, Event::AccountKeyContested { .. });
    assert_eq!(count(&world, NEW, contested), 1, "{}", world.dump());
    // A try that fails leaves it what it was.
    let run = compared(&mut world, 3);
    world.command(NEW, Command::CancelLinking { run });
    world.run();
    assert_eq!(standing(&world), Standing::Member { account_key: false }, "{}", world.dump());
    let run = compared(&mut world, 3);
    for device in [NEW, 3] {
        world.command(device, Command::ConfirmLinking { run, same: true });
        world.run();
    }
    assert_eq!(standing(&world), Standing::Member { account_key: false });
    assert_eq!(live(&world, 3).len(), 2, "{}", world.dump());
    let changed = world.devices[BOB].engine().contact(ALICE_JID).unwrap().unwrap().changed_key.unwrap();
    world.command(BOB, Command::AcceptKey { jid: ALICE_JID, digest: changed });
    world.run();
    world.advance(Duration::from_hours(2));
    // He has no session of before, and asks for it again.
    world.say(NEW, BOB_JID, "as one of hers");
    world.run();
    world.advance(Duration::from_mins(1));
    assert!(bodies(&world, BOB).contains(&"as one of hers"), "{}", world.dump());
    goes_on(&mut world);
}

#[test]
fn a_linked_device_whose_certificate_ends_while_it_is_on_is_linked_again() {
    let mut world = linked(10);
    world.disconnect(ALICE);
    world.advance(Duration::from_secs(360 * DAY));
    assert_eq!(standing(&world), Standing::Member { account_key: false });
    world.advance(Duration::from_secs(10 * DAY));
    assert_eq!(standing(&world), Standing::Unlinked, "nobody was there");
    world.connect(ALICE);
    world.run();
    link(&mut world);
    assert_eq!(standing(&world), Standing::Member { account_key: false });
    goes_on(&mut world);
}

#[test]
fn a_linked_device_whose_certificate_has_ended_knows_its_list_whatever_becomes_of_a_try() {
    for restored in [false, true] {
        let mut world = linked(11);
        off(&mut world, 400);
        let before = world.devices[NEW].engine().own_devices().unwrap();
        assert_eq!(before.len(), 2);
        world.command(NEW, Command::Link);
        world.run();
        world.crash(NEW);
        world.run();
        assert_eq!(standing(&world), Standing::Linking);
        world.disconnect(NEW);
        let last = if restored {
            Command::Restored
        } else {
            Command::CancelLinking { run: asked(&world, ALICE).unwrap() }
        };
        world.command(NEW, last);
        assert_eq!(standing(&world), Standing::Unlinked);
        let after = world.devices[NEW].engine().own_devices().unwrap();
        let numbers =
            |all: &[xmpp_e2e::OwnDevice]| all.iter().map(|one| (one.device, one.live)).collect::<Vec<_>>();
        assert_eq!(numbers(&after), numbers(&before), "{restored}");
        world.connect(NEW);
        world.run();
        world.advance(Duration::from_hours(1));
        link(&mut world);
        assert_eq!(standing(&world), Standing::Member { account_key: false }, "{restored}");
        goes_on(&mut world);
    }
}

#[test]
fn a_linked_device_that_was_retired_and_whose_certificate_has_ended_learns_both() {
    let mut world = linked(12);
    let tablet = id(&world, NEW);
    world.disconnect(NEW);
    world.command(ALICE, Command::RetireDevice { device: tablet });
    world.advance(Duration::from_secs(400 * DAY));
    world.connect(NEW);
    world.run();
    assert_eq!(count(&world, NEW, |event| matches!(event, Event::Retired)), 1);
    assert_eq!(standing(&world), Standing::Left);
}

#[test]
fn c8_a_key_that_the_server_makes_up_takes_a_linked_device_nothing() {
    let mut world = linked(13);
    let node = "urn:xmpp:e2e:0:devices";
    let (true_list, records) = (world.server.items(ALICE_JID, node).to_vec(), "urn:xmpp:e2e:0:device");
    let true_records = world.server.items(ALICE_JID, records).to_vec();
    let mut elsewhere = World::new(99);
    elsewhere.add("alice@example.com/spy");
    elsewhere.connect(0);
    elsewhere.run();
    world.disconnect(ALICE);
    world.disconnect(NEW);
    world.server.set_items(ALICE_JID, node, elsewhere.server.items(ALICE_JID, node).to_vec());
    world.server.set_items(ALICE_JID, records, elsewhere.server.items(ALICE_JID, records).to_vec());
    world.connect(NEW);
    world.run();
    let fingerprint = world.devices[NEW].engine().fingerprint().unwrap();
    assert_eq!(count(&world, NEW, |event| matches!(event, Event::AccountKeyContested { .. })), 1);
    world.command(NEW, Command::Link);
    world.run();
    assert_eq!(world.devices[NEW].engine().fingerprint().unwrap(), fingerprint);
    // Nobody has anything to compare with.
    world.advance(Duration::from_mins(11));
    assert_eq!(standing(&world), Standing::Member { account_key: false });
    world.server.set_items(ALICE_JID, node, true_list);
    world.server.set_items(ALICE_JID, records, true_records);
    world.connect(ALICE);
    world.run();
    world.advance(Duration::from_hours(2));
    assert_eq!(live(&world, NEW).len(), 2);
    goes_on(&mut world);
}
