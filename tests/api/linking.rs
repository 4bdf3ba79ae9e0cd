//! A new device without the account key, taken in by another.

use std::time::Duration;

use xmpp_e2e::{Command, Error, Input, LinkFault, Misbehaviour, Misuse, RunId, SendError};
use xmpp_e2e_testkit::device::{End, Job};

use super::*;

pub(super) const NEW: usize = 2;
const LAPTOP: usize = 3;

/// Alice and Bob talk; she has a new tablet, which is online and has no keys of hers.
pub(super) fn newcomer(seed: u64) -> World {
    let mut world = talking(seed);
    world.add_unlinked("alice@example.com/tablet");
    world.connect(NEW);
    world.run();
    world
}

/// The same, with a laptop that has a copy of the account key.
fn with_laptop(seed: u64) -> World {
    let mut world = newcomer(seed);
    world.add("alice@example.com/laptop");
    world.connect(LAPTOP);
    world.run();
    world
}

pub(super) fn id(world: &World, device: usize) -> u32 {
    world.devices[device].engine().device()
}

pub(super) fn live(world: &World, device: usize) -> Vec<u32> {
    let own = world.devices[device].engine().own_devices().unwrap();
    own.iter().filter(|known| known.live).map(|known| known.device).collect()
}

/// The run that a device was last asked about.
pub(super) fn asked(world: &World, device: usize) -> Option<RunId> {
    world.devices[device].record.events.iter().rev().find_map(|event| match event {
        Event::LinkingAsked { run, .. } => Some(*run),
        _ => None,
    })
}

fn string(world: &World, device: usize) -> Option<String> {
    world.devices[device].record.events.iter().rev().find_map(|event| match event {
        Event::LinkingString { string, .. } => Some(string.digits()),
        _ => None,
    })
}

pub(super) fn faults(world: &World, device: usize) -> Vec<LinkFault> {
    let events = world.devices[device].record.events.iter();
    let faults = events.filter_map(|event| match event {
        Event::LinkingFailed { why, .. } => Some(*why),
        _ => None,
    });
    faults.collect()
}

fn is_linked(world: &World) -> bool {
    let linked = |device| count(world, device, |event| matches!(event, Event::Linked { .. })) == 1;
    linked(ALICE) && linked(NEW)
}

/// Up to where both users are to compare. The run.
pub(super) fn compared(world: &mut World, old: usize) -> RunId {
    world.command(NEW, Command::Link);
    world.run();
    let run = asked(world, old).expect("the old device is asked");
    world.command(old, Command::AcceptLinking { run });
    world.run();
    run
}

pub(super) fn link(world: &mut World) {
    let run = compared(world, ALICE);
    for device in [NEW, ALICE] {
        world.command(device, Command::ConfirmLinking { run, same: true });
        world.run();
    }
}

#[test]
fn c10_a_linked_device_is_covered_and_contacts_see_the_same_account_key() {
    let mut world = newcomer(1);
    let before = world.devices[BOB].engine().contact(ALICE_JID).unwrap().unwrap().account_key;
    let run = compared(&mut world, ALICE);
    assert!(string(&world, ALICE).is_some());
    assert_eq!(string(&world, ALICE), string(&world, NEW));
    world.command(ALICE, Command::ConfirmLinking { run, same: true });
    world.run();
    assert!(!is_linked(&world), "the user has confirmed on one device only");
    assert_eq!(live(&world, ALICE), [id(&world, ALICE)]);
    world.command(NEW, Command::ConfirmLinking { run, same: true });
    world.run();
    assert!(is_linked(&world));
    let mut both = vec![id(&world, ALICE), id(&world, NEW)];
    both.sort_unstable();
    for device in [ALICE, NEW] {
        assert_eq!(live(&world, device), both);
        assert_eq!(faults(&world, device), []);
        assert_eq!(rejected(&world, device), []);
    }
    assert_eq!(count(&world, BOB, |event| matches!(event, Event::NewDevice { .. })), 1);
    let token = world.say(BOB, ALICE_JID, "to both");
    world.run();
    let coverage = covered(&world, BOB, token);
    assert_eq!((coverage.devices, coverage.missing.len()), (both, 0));
    for device in [ALICE, NEW] {
        assert_eq!(bodies(&world, device), ["to both"]);
    }
    world.say(NEW, BOB_JID, "from the tablet");
    world.run();
    assert_eq!(bodies(&world, BOB), ["from the tablet"]);
    let contact = world.devices[BOB].engine().contact(ALICE_JID).unwrap().unwrap();
    assert_eq!((contact.account_key, contact.changed_key), (before, None));
}

#[test]
fn linking_may_begin_at_any_point_of_a_fetch() {
    for taken in 0..12 {
        let mut world = talking(3);
        world.add_unlinked("alice@example.com/tablet");
        world.connect(NEW);
        for _ in 0..taken {
            world.with(NEW, Device::receive);
        }
        world.command(NEW, Command::Link);
        world.run();
        assert!(asked(&world, ALICE).is_some(), "after {taken} stanzas");
    }
}

#[test]
fn what_served_linking_is_gone_afterwards() {
    let mut world = newcomer(2);
    link(&mut world);
    assert!(is_linked(&world));
    for device in [ALICE, NEW] {
        let records = content(&world.devices[device].store).1;
        assert!(records.iter().all(|(key, _)| key[0] != 22), "{device}");
    }
    // The two have an ordinary session now, made by a handshake of its own.
    world.say(NEW, BOB_JID, "x");
    world.run();
    world.say(ALICE, BOB_JID, "y");
    world.run();
    assert_eq!(bodies(&world, BOB), ["x", "y"]);
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::Unchained { .. })), 0);
}

#[test]
fn c12_other_own_devices_are_told_of_the_new_one_and_that_they_are_not_needed() {
    let mut world = with_laptop(3);
    let run = compared(&mut world, ALICE);
    assert_eq!(asked(&world, LAPTOP), Some(run), "both were asked");
    assert_eq!(faults(&world, LAPTOP), [LinkFault::Elsewhere]);
    for device in [ALICE, NEW] {
        world.command(device, Command::ConfirmLinking { run, same: true });
        world.run();
    }
    assert!(is_linked(&world));
    let tablet = id(&world, NEW);
    let told = |event: &Event| matches!(event, Event::NewDevice { peer, device } if peer.as_str() == ALICE_JID && *device == tablet);
    assert_eq!(count(&world, LAPTOP, told), 1);
    assert_eq!(count(&world, ALICE, told), 0, "its user has just linked it");
    assert_eq!(live(&world, LAPTOP).len(), 3);
    world.with(LAPTOP, |device, _, env| {
        // The user clicks late.
        let late = [
            Command::AcceptLinking { run },
            Command::ConfirmLinking { run, same: true },
            Command::ConfirmLinking { run, same: false },
            Command::CancelLinking { run },
        ];
        for late in late {
            let step = device.engine_mut().handle(env, Input::Command(late)).unwrap();
            assert!(step.persist(|_| Ok::<(), ()>(())).unwrap().is_empty());
        }
    });
}

#[test]
fn strings_that_differ_certify_nothing_whoever_says_so() {
    for who in [ALICE, NEW] {
        let mut world = newcomer(4);
        let run = compared(&mut world, ALICE);
        let other = if who == ALICE { NEW } else { ALICE };
        world.command(other, Command::ConfirmLinking { run, same: true });
        world.command(who, Command::ConfirmLinking { run, same: false });
        world.run();
        for device in [ALICE, NEW] {
            assert_eq!(faults(&world, device), [LinkFault::Mismatch], "{device}");
        }
        assert_eq!(live(&world, ALICE), [id(&world, ALICE)]);
    }
}

#[test]
fn either_side_may_refuse_or_cancel() {
    let mut world = newcomer(5);
    world.command(NEW, Command::Link);
    world.run();
    let run = asked(&world, ALICE).unwrap();
    world.command(ALICE, Command::CancelLinking { run });
    world.run();
    assert_eq!(faults(&world, ALICE), [LinkFault::Cancelled]);
    assert_eq!(faults(&world, NEW), [LinkFault::Refused]);
    for who in [NEW, ALICE] {
        let run = compared(&mut world, ALICE);
        world.devices[ALICE].record.events.clear();
        world.devices[NEW].record.events.clear();
        world.command(who, Command::CancelLinking { run });
        world.run();
        for device in [ALICE, NEW] {
            assert_eq!(faults(&world, device), [LinkFault::Cancelled], "{device}");
        }
    }
    let open = |device: usize| {
        content(&world.devices[device].store).1.iter().filter(|(key, _)| key[0] == 22).count()
    };
    assert_eq!([ALICE, NEW].map(open), [0, 0]);
}

#[test]
fn c8_a_device_that_the_user_retires_before_it_stands_in_the_list_is_retired() {
    let mut world = newcomer(8);
    let run = compared(&mut world, ALICE);
    world.devices[ALICE].answers = false;
    for device in [NEW, ALICE] {
        world.command(device, Command::ConfirmLinking { run, same: true });
        world.run();
    }
    // The certificate; the list is to be signed.
    world.with(ALICE, Device::answer);
    let new = id(&world, NEW);
    world.command(ALICE, Command::RetireDevice { device: new });
    world.advance(Duration::from_mins(11));
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.advance(Duration::from_hours(1));
    let own = world.devices[ALICE].engine().own_devices().unwrap();
    let of_new = own.iter().find(|known| known.device == new).map(|known| known.live);
    assert_eq!((of_new, faults(&world, ALICE)), (Some(false), vec![LinkFault::Agent]));
}

#[test]
fn ten_minutes_are_all_and_nothing_stays() {
    let mut world = newcomer(6);
    compared(&mut world, ALICE);
    world.advance(Duration::from_mins(9));
    assert_eq!(faults(&world, ALICE), []);
    world.advance(Duration::from_mins(2));
    for device in [ALICE, NEW] {
        assert_eq!(faults(&world, device), [LinkFault::TimedOut]);
    }
    // And it may begin again.
    world.devices[NEW].record.events.clear();
    link(&mut world);
    assert_eq!(count(&world, NEW, |event| matches!(event, Event::Linked { .. })), 1);
}

#[test]
fn three_comparisons_an_hour_and_six_requests() {
    let mut world = newcomer(7);
    for _ in 0..3 {
        let run = compared(&mut world, ALICE);
        world.command(NEW, Command::CancelLinking { run });
        world.run();
    }
    world.devices[ALICE].record.events.clear();
    for n in 0..5 {
        world.command(NEW, Command::Link);
        world.run();
        if n == 0 {
            let run = asked(&world, ALICE).unwrap();
            world.command(ALICE, Command::AcceptLinking { run });
            world.run();
            assert_eq!(faults(&world, ALICE), [LinkFault::TooMany]);
        }
    }
    assert_eq!(count(&world, ALICE, |event| matches!(event, Event::LinkingAsked { .. })), 3, "six in all");
    let too_much = Reason::Misbehaved(Misbehaviour::TooMuch);
    let refused =
        count(&world, ALICE, |event| matches!(event, Event::Rejected { reason, .. } if *reason == too_much));
    assert!(refused >= 2, "{refused}");
    world.advance(Duration::from_hours(2));
    world.devices[ALICE].record.events.clear();
    world.devices[NEW].record.events.clear();
    link(&mut world);
    assert!(is_linked(&world));
}

#[test]
fn a_restart_at_any_point_loses_nothing_and_says_again_what_is_to_be_done() {
    for (seed, who) in [(8, ALICE), (9, NEW)] {
        let mut world = newcomer(seed);
        let again = |world: &mut World| {
            world.crash(who);
            world.run();
            // What was lost meanwhile is said again.
            world.advance(Duration::from_secs(61));
        };
        world.command(NEW, Command::Link);
        again(&mut world);
        world.devices[ALICE].record.events.clear();
        world.crash(ALICE);
        world.run();
        let run = asked(&world, ALICE).expect("said again");
        world.command(ALICE, Command::AcceptLinking { run });
        again(&mut world);
        world.devices[who].record.events.clear();
        again(&mut world);
        assert!(string(&world, who).is_some(), "said again");
        for device in [ALICE, NEW] {
            world.command(device, Command::ConfirmLinking { run, same: true });
            again(&mut world);
        }
        let linked = |device| count(&world, device, |event| matches!(event, Event::Linked { .. }));
        assert_eq!([ALICE, NEW].map(linked), [1, 1], "{who}");
    }
}

#[test]
fn a_slow_agent_is_waited_for_and_one_that_refuses_ends_it() {
    let mut world = newcomer(10);
    let run = compared(&mut world, ALICE);
    world.devices[ALICE].answers = false;
    for device in [ALICE, NEW] {
        world.command(device, Command::ConfirmLinking { run, same: true });
        world.run();
    }
    world.advance(Duration::from_mins(1));
    assert!(!is_linked(&world));
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.run();
    assert!(is_linked(&world));

    let mut world = newcomer(11);
    let run = compared(&mut world, ALICE);
    world.devices[ALICE].answers = false;
    for device in [ALICE, NEW] {
        world.command(device, Command::ConfirmLinking { run, same: true });
        world.run();
    }
    // Its agent never answers.
    world.advance(Duration::from_mins(6));
    for device in [ALICE, NEW] {
        assert_eq!(faults(&world, device), [LinkFault::Agent], "{device}");
    }
}

#[test]
fn before_it_is_linked_a_device_sends_and_publishes_nothing() {
    let mut world = newcomer(12);
    let token = world.say(NEW, BOB_JID, "x");
    compared(&mut world, ALICE);
    assert_eq!(ends(&world, NEW, token), []);
    assert_eq!(world.server.items(ALICE_JID, "urn:xmpp:e2e:0:device").len(), 1);
    assert!(sent(&world, NEW, "<e2e ").is_empty(), "no advert");
    assert_eq!(live(&world, ALICE), [id(&world, ALICE)]);
    let contact = world.devices[ALICE].engine().contact(ALICE_JID).unwrap().unwrap();
    assert_eq!(contact.devices, Vec::<u32>::new(), "it is no device of the account");
    assert!(!sent(&world, ALICE, "<prekey>").iter().any(|stanza| stanza.contains("/tablet")));
    world.server.log.clear();
    let to_own = world.say(ALICE, BOB_JID, "not for the tablet");
    world.run();
    let coverage = covered(&world, ALICE, to_own);
    assert_eq!((coverage.own_devices.len(), coverage.missing.len()), (0, 0));
}

#[test]
fn the_session_for_linking_carries_nothing_else() {
    let mut world = newcomer(13);
    compared(&mut world, ALICE);
    // The tablet's program is not what it should be: it thinks that the session is an ordinary one.
    let hostile = Device::first("alice@example.com/tablet", &mut world.rng);
    world.crash(NEW);
    world.devices[NEW].agent = hostile.agent;
    world.devices[NEW].config = hostile.config;
    world.restart(NEW);
    world.devices[ALICE].record.rejected.clear();
    let token = world.say_with(NEW, ALICE_JID, "let me in", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert!(matches!(ends(&world, NEW, token)[..], [End::Sent(_)]), "{}", world.dump());
    assert_eq!(bodies(&world, ALICE), Vec::<&str>::new());
    assert!(rejected(&world, ALICE).contains(&Reason::Misbehaved(Misbehaviour::OutOfTurn)));
    assert_eq!(live(&world, ALICE), [id(&world, ALICE)]);
}

#[test]
fn only_a_device_without_account_key_links_and_once() {
    let mut world = newcomer(14);
    let misuse = |world: &mut World, device: usize| {
        world.with(device, |device, _, env| {
            let link = Input::Command(Command::Link);
            assert_eq!(device.engine_mut().handle(env, link).unwrap_err(), Error::Misuse(Misuse::Identity));
        });
    };
    misuse(&mut world, ALICE);
    link(&mut world);
    misuse(&mut world, NEW);
    // And it retires nobody: its agent cannot.
    let phone = id(&world, ALICE);
    for command in [Command::RetireDevice { device: phone }, Command::Leave] {
        world.with(NEW, |device, _, env| {
            let error = device.engine_mut().handle(env, Input::Command(command)).unwrap_err();
            assert_eq!(error, Error::Misuse(Misuse::NoAccountKey));
        });
    }
    assert_eq!(live(&world, NEW).len(), 2);
    let tablet = id(&world, NEW);
    world.command(ALICE, Command::RetireDevice { device: tablet });
    // There is no session: it learns it from the next advert.
    world.advance(Duration::from_hours(1));
    assert_eq!(count(&world, NEW, |event| matches!(event, Event::Retired)), 1);
    let token = world.say(NEW, BOB_JID, "x");
    world.run();
    assert_eq!(ends(&world, NEW, token), [End::Failed(SendError::Left)]);
}

#[test]
fn a_linked_device_gets_its_next_certificate_from_one_with_the_account_key() {
    let mut world = newcomer(15);
    link(&mut world);
    world.say(ALICE, BOB_JID, "x");
    world.run();
    let expires = |world: &World| {
        let own = world.devices[NEW].engine().own_devices().unwrap();
        own.iter().find(|known| known.this).unwrap().expires.unwrap()
    };
    let first = expires(&world);
    for _ in 0..11 {
        world.advance(Duration::from_hours(24 * 30));
        world.say(BOB, ALICE_JID, "x");
        world.run();
    }
    assert!(expires(&world) > first, "certified anew");
    world.advance(Duration::from_hours(24 * 90));
    world.devices[NEW].record.inbox.clear();
    world.say(BOB, ALICE_JID, "after a year");
    world.run();
    assert_eq!(bodies(&world, NEW), ["after a year"]);
}

#[test]
fn messages_of_a_run_that_come_twice_or_late_change_nothing() {
    let mut world = newcomer(16);
    link(&mut world);
    assert!(is_linked(&world));
    let old: Vec<(String, String)> = world
        .server
        .log
        .iter()
        .filter(|crossing| crossing.way == Way::In && crossing.stanza.contains("<e "))
        .map(|crossing| (crossing.client.clone(), crossing.stanza.clone()))
        .collect();
    let before = [ALICE, NEW].map(|device| live(&world, device));
    for (to, stanza) in old {
        world.server.inject(&to, stanza);
        world.run();
    }
    assert_eq!([ALICE, NEW].map(|device| live(&world, device)), before);
    assert!(is_linked(&world));
    world.step(NEW, Job::Tick);
    world.say(BOB, ALICE_JID, "x");
    world.run();
    assert_eq!(bodies(&world, NEW), ["x"]);
}

#[test]
fn a_new_device_under_the_number_of_another_is_refused() {
    let mut world = with_laptop(17);
    // The laptop's program is replaced by one without account key, under the same number.
    let mut spy = Device::unlinked("alice@example.com/tablet", &world.suites.clone(), &mut world.rng);
    let key = |store: &MemoryStore| {
        let stored = store.load().unwrap();
        stored.records.iter().find(|(key, _)| key.as_bytes()[0] == 1).map(|(_, own)| own.to_vec()).unwrap()
    };
    let number = id(&world, LAPTOP).to_be_bytes();
    let old = id(&world, NEW).to_be_bytes();
    let own = key(&world.devices[NEW].store);
    let place = own.windows(4).position(|bytes| bytes == old).unwrap();
    world.crash(NEW);
    std::mem::swap(&mut spy, &mut world.devices[NEW]);
    let mut records = spy.store.load().unwrap();
    let generation = records.generation;
    for (key, own) in &mut records.records {
        if key.as_bytes()[0] == 1 {
            own[place..place + 4].copy_from_slice(&number);
        }
    }
    let config = world.devices[NEW].config.clone();
    let restored = records.records.iter().map(|(key, value)| (key, Some(value.as_slice())));
    let engine = xmpp_e2e::Engine::restore_some(config, generation, restored).unwrap();
    world.devices[NEW].store = spy.store;
    world.devices[NEW].restore();
    *world.devices[NEW].engine_mut() = engine;
    assert_eq!(id(&world, NEW), id(&world, LAPTOP));
    world.connect(NEW);
    world.run();
    world.command(NEW, Command::Link);
    world.run();
    assert_eq!(asked(&world, ALICE), None);
    let wrong = Reason::Misbehaved(Misbehaviour::WrongSubject);
    let refused = |event: &Event| matches!(event, Event::Rejected { reason, .. } if *reason == wrong);
    assert!(count(&world, ALICE, refused) >= 1);
}

#[test]
fn c2_a_run_of_before_a_restoration_ends_and_its_session_seals_nothing() {
    let mut world = newcomer(20);
    compared(&mut world, ALICE);
    world.devices[ALICE].answers = false;
    world.command(ALICE, Command::Restored);
    world.run();
    assert_eq!(faults(&world, ALICE), [LinkFault::Cancelled]);
    world.server.log.clear();
    world.advance(Duration::from_mins(11));
    assert_eq!(sent(&world, ALICE, "<e "), Vec::<String>::new());
    assert_eq!(faults(&world, ALICE), [LinkFault::Cancelled]);
}
