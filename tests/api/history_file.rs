//! A sealed file with the past, from one device of an account to another.

mod decisions;

use std::collections::BTreeSet;
use std::time::Duration;

use xmpp_e2e::{Command, Error, HistoryEnd, HistoryError, HistoryFile, HistoryOffer, Means, Misuse, Trust};
use xmpp_e2e_testkit::Peek;

use super::*;

const TABLET: usize = 2;

/// Alice's telephone, Bob, and Alice's tablet.
fn three(seed: u64) -> World {
    let mut world = World::pair(seed);
    world.add("alice@example.com/tablet");
    world.connect(TABLET);
    world.run();
    world
}

fn id(world: &World, device: usize) -> u32 {
    world.devices[device].engine().device()
}

/// A file of the device `from` for the device `to`.
fn seal(world: &mut World, from: usize, to: usize, archive: &[u8]) -> (Vec<u8>, HistoryFile) {
    let to = id(world, to);
    world.with(from, |device, _, env| {
        let mut writer = device.engine().seal_history(env, to).unwrap();
        let mut sealed = writer.write(archive).unwrap();
        let (rest, file) = writer.finish().unwrap();
        sealed.extend(rest);
        (sealed, file)
    })
}

fn offer(world: &mut World, from: usize, file: &HistoryFile) {
    world.command(from, Command::OfferHistory { file: file.clone(), name: "all of it" });
    world.run();
}

fn open(world: &World, device: usize) -> Vec<HistoryOffer> {
    world.devices[device].engine().histories().unwrap()
}

/// Reads what is offered, and says that it was taken.
fn take(world: &mut World, device: usize, sealed: &[u8]) -> Vec<u8> {
    let offer = open(world, device).remove(0);
    let mut reader = world.devices[device].engine().open_history(offer.id).unwrap().unwrap();
    let mut archive = reader.read(sealed).unwrap();
    let (rest, read) = reader.finish().unwrap();
    archive.extend(rest);
    world.command(device, Command::TakeHistory(read));
    world.run();
    archive
}

fn ended(world: &World, device: usize) -> Vec<HistoryEnd> {
    let events = &world.devices[device].record.events;
    events
        .iter()
        .filter_map(|event| if let Event::HistoryEnded { why, .. } = event { Some(*why) } else { None })
        .collect()
}

fn offers(world: &World, device: usize) -> usize {
    count(world, device, |event| matches!(event, Event::HistoryOffered(_)))
}

fn key_of(world: &World, device: usize, jid: &str) -> [u8; 32] {
    world.devices[device].engine().contact(jid).unwrap().unwrap().account_key.unwrap()
}

fn trust_in(world: &World, device: usize, jid: &str) -> (Trust, Means) {
    let decision = world.devices[device].engine().contact(jid).unwrap().unwrap().decision;
    (decision.trust, decision.means)
}

fn set_trust(world: &mut World, device: usize, jid: &'static str, trust: Trust) {
    let key = key_of(world, device, jid);
    world.command(device, Command::SetTrust { jid, key, trust, means: Means::Fingerprint });
}

/// No ratchet key and number of a device's direct messages are two messages'.
fn no_key_twice(world: &World) {
    let mut seen = BTreeSet::new();
    for crossing in world.server.log.iter().filter(|crossing| crossing.way == Way::Out) {
        if let Some(peek) = Peek::at(&crossing.stanza) {
            assert!(seen.insert((peek.ratchet_key, peek.n)), "a key is used twice");
        }
    }
    assert!(!seen.is_empty());
}

#[test]
fn c22_a_new_device_gets_the_past_and_what_was_decided() {
    let mut world = three(1);
    set_trust(&mut world, ALICE, BOB_JID, Trust::Verified);
    let archive = vec![7; 200_000];
    let (sealed, file) = seal(&mut world, ALICE, TABLET, &archive);
    assert_eq!((file.device(), file.size()), (id(&world, TABLET), sealed.len() as u64));
    offer(&mut world, ALICE, &file);
    let offered = open(&world, TABLET);
    assert_eq!(count(&world, TABLET, |event| *event == Event::HistoryOffered(offered[0].clone())), 1);
    assert_eq!(
        (offered[0].device, offered[0].given, &*offered[0].name),
        (id(&world, ALICE), false, "all of it")
    );
    assert_eq!((offered[0].size, offered[0].digest), (file.size(), file.digest()));
    assert_eq!(trust_in(&world, TABLET, BOB_JID), (Trust::FirstUse, Means::First));
    assert!(open(&world, ALICE)[0].given);
    assert_eq!(open(&world, BOB), [], "only the device itself");

    assert!(take(&mut world, TABLET, &sealed) == archive);
    assert_eq!(trust_in(&world, TABLET, BOB_JID), (Trust::Verified, Means::OwnDevice));
    assert_eq!(ended(&world, ALICE), [HistoryEnd::Taken]);
    assert_eq!((open(&world, ALICE), open(&world, TABLET)), (vec![], vec![]));
    let again = world.devices[TABLET].engine().open_history(file.id()).unwrap();
    assert!(again.is_none(), "the key is gone");
    assert_eq!((rejected(&world, ALICE).len(), rejected(&world, TABLET).len()), (0, 0));
    no_key_twice(&world);
}

/// The user has decided on the new device already, and otherwise.
#[test]
fn c22_a_decision_of_the_user_is_never_overwritten() {
    for (there, here, expected) in [
        (Trust::Verified, Trust::Distrusted, (Trust::Distrusted, Means::Fingerprint)),
        (Trust::Distrusted, Trust::Verified, (Trust::Verified, Means::Fingerprint)),
        (Trust::Distrusted, Trust::FirstUse, (Trust::Distrusted, Means::OwnDevice)),
        (Trust::FirstUse, Trust::Verified, (Trust::Verified, Means::Fingerprint)),
        (Trust::FirstUse, Trust::Distrusted, (Trust::Distrusted, Means::Fingerprint)),
        (Trust::FirstUse, Trust::FirstUse, (Trust::FirstUse, Means::Fingerprint)),
    ] {
        let mut world = three(2);
        set_trust(&mut world, ALICE, BOB_JID, there);
        set_trust(&mut world, TABLET, BOB_JID, here);
        let (sealed, file) = seal(&mut world, ALICE, TABLET, b"archive");
        offer(&mut world, ALICE, &file);
        take(&mut world, TABLET, &sealed);
        assert_eq!(trust_in(&world, TABLET, BOB_JID), expected);
    }
}

/// Alice has verified Carol on the telephone only. The tablet has never seen a key of hers.
fn carol_is_unknown_to_the_tablet(seed: u64) -> World {
    let mut world = World::pair(seed);
    let carol = world.add("carol@example.net/home");
    world.server.befriend(ALICE_JID, "carol@example.net");
    world.connect(carol);
    world.run();
    set_trust(&mut world, ALICE, "carol@example.net", Trust::Verified);
    world.disconnect(carol);
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    let (sealed, file) = {
        let to = id(&world, tablet);
        world.with(ALICE, |device, _, env| device.engine().seal_history(env, to).unwrap().finish().unwrap())
    };
    offer(&mut world, ALICE, &file);
    take(&mut world, tablet, &sealed);
    let known = world.devices[tablet].engine().contact("carol@example.net").unwrap();
    assert!(known.is_none_or(|known| known.account_key.is_none()), "expected is not shown");
    world
}

#[test]
fn c22_a_key_that_is_still_to_come_is_expected() {
    let (carol, tablet) = (2, 3);
    let mut world = carol_is_unknown_to_the_tablet(3);
    world.connect(carol);
    world.run();
    assert_eq!(trust_in(&world, tablet, "carol@example.net"), (Trust::Verified, Means::OwnDevice));
    assert_eq!(count(&world, tablet, |event| matches!(event, Event::KeyChanged { .. })), 0);
}

#[test]
fn c22_another_key_than_the_one_expected_is_a_changed_one() {
    let tablet = 3;
    let mut world = carol_is_unknown_to_the_tablet(4);
    // The server puts somebody else in Carol's place.
    let mut other = World::new(99);
    other.add("carol@example.net/home");
    let agent = other.devices.remove(0).agent;
    world.devices.push(Device::with_agent("carol@example.net/evil", agent));
    for node in ["urn:xmpp:e2e:0:devices", "urn:xmpp:e2e:0:device"] {
        world.server.set_items("carol@example.net", node, Vec::new());
    }
    world.connect(4);
    world.run();
    assert_eq!(count(&world, tablet, |event| matches!(event, Event::KeyChanged { .. })), 1);
    assert_eq!(trust_in(&world, tablet, "carol@example.net").0, Trust::Unknown);
    world.say(tablet, "carol@example.net", "not for mallory");
    world.run();
    assert_eq!(bodies(&world, 4), Vec::<&str>::new());
}

#[test]
fn c22_a_file_for_another_device_or_with_other_bytes_is_refused() {
    let mut world = three(5);
    let (sealed, file) = seal(&mut world, ALICE, TABLET, &vec![1; 150_000]);
    let (other, _) = seal(&mut world, ALICE, TABLET, &vec![1; 150_000]);
    offer(&mut world, ALICE, &file);
    let reader = || world.devices[TABLET].engine().open_history(file.id()).unwrap().unwrap();
    assert_eq!(reader().read(&other).unwrap_err(), HistoryError::WrongFile);
    let mut edited = sealed.clone();
    edited[100_000] ^= 1;
    assert_eq!(reader().read(&edited).unwrap_err(), HistoryError::Altered);
    let mut cut = reader();
    let before = cut.read(&sealed[..sealed.len() - 1]).unwrap();
    assert!(!before.is_empty() && before.iter().all(|byte| *byte == 1));
    assert_eq!(cut.finish().unwrap_err(), HistoryError::Truncated);
    assert_eq!(open(&world, TABLET).len(), 1, "it can be tried again with the right one");
    assert!(take(&mut world, TABLET, &sealed) == vec![1; 150_000]);
    // Nobody else can open it: not who made it, not the contact.
    for device in [ALICE, BOB] {
        assert!(world.devices[device].engine().open_history(file.id()).unwrap().is_none());
    }
}

#[test]
fn c22_only_for_live_devices_of_the_own_account() {
    let mut world = three(6);
    let (own, bob, tablet) = (id(&world, ALICE), id(&world, BOB), id(&world, TABLET));
    for device in [own, bob, 0, 77] {
        let refused = world.with(ALICE, |alice, _, env| alice.engine().seal_history(env, device).err());
        assert_eq!(refused, Some(Error::Misuse(Misuse::Device)));
    }
    let (_, file) = seal(&mut world, ALICE, TABLET, b"archive");
    // Another device can neither offer it nor take it in its name; a name of two lines is none.
    for (device, name, why) in
        [(TABLET, "x", Misuse::History), (BOB, "x", Misuse::History), (ALICE, "a\nb", Misuse::History)]
    {
        let refused = world.with(device, |device, _, env| {
            let command = Command::OfferHistory { file: file.clone(), name };
            device.engine_mut().handle(env, Input::Command(command)).err()
        });
        assert_eq!(refused, Some(Error::Misuse(why)));
    }
    // The tablet leaves the protocol, with the whole account; nobody lives then.
    world.command(TABLET, Command::Leave);
    world.run();
    let refused = world.with(ALICE, |alice, _, env| alice.engine().seal_history(env, tablet).err());
    assert_eq!(refused, Some(Error::Misuse(Misuse::Device)));
}

#[test]
fn c22_before_there_is_a_session_it_waits_for_one() {
    let mut world = three(7);
    world.server.log.clear();
    let (sealed, file) = seal(&mut world, ALICE, TABLET, b"archive");
    world.devices[ALICE].answers = false;
    offer(&mut world, ALICE, &file);
    assert_eq!(offers(&world, TABLET), 0, "the agent has to be asked for the handshake");
    world.devices[ALICE].answers = true;
    world.with(ALICE, Device::answer);
    world.run();
    assert_eq!(offers(&world, TABLET), 1);
    assert_eq!(take(&mut world, TABLET, &sealed), b"archive");
}

#[test]
fn c22_a_lost_offer_is_sent_again_until_it_is_answered() {
    let mut world = three(8);
    world.say(ALICE, BOB_JID, "a session for all");
    world.run();
    let (sealed, file) = seal(&mut world, ALICE, TABLET, b"archive");
    // The server loses every message to the tablet.
    world.server.tamper = Some(Box::new(|to, stanza| {
        if to.contains("tablet") && stanza.starts_with("<message") { vec![] } else { vec![stanza] }
    }));
    offer(&mut world, ALICE, &file);
    assert_eq!(offers(&world, TABLET), 0);
    world.server.tamper = None;
    world.advance(Duration::from_hours(2));
    assert_eq!(offers(&world, TABLET), 1);
    world.advance(Duration::from_hours(24));
    assert_eq!(offers(&world, TABLET), 1, "the same again is no news");
    // The answer is lost too, and the question comes again.
    world.server.tamper = Some(Box::new(|to, stanza| {
        if to.contains("phone") && stanza.starts_with("<message") { vec![] } else { vec![stanza] }
    }));
    assert_eq!(take(&mut world, TABLET, &sealed), b"archive");
    assert_eq!(ended(&world, ALICE), []);
    world.server.tamper = None;
    world.advance(Duration::from_hours(25));
    assert_eq!(ended(&world, ALICE), [HistoryEnd::Taken]);
    no_key_twice(&world);
}

/// The tablet answers an offer of what it has taken from within the reading of that offer. What it and the telephone
/// seal then must not repeat a key.
#[test]
fn c22_a_taken_file_offered_twice_in_one_chain_repeats_no_key() {
    let mut world = three(9);
    let (sealed, file) = seal(&mut world, ALICE, TABLET, b"archive");
    offer(&mut world, ALICE, &file);
    assert_eq!(take(&mut world, TABLET, &sealed), b"archive");
    for _ in 0..2 {
        // Both are sent before the tablet reads the first.
        for _ in 0..2 {
            world.command(ALICE, Command::OfferHistory { file: file.clone(), name: "again" });
        }
        world.run();
        for text in ["one", "two"] {
            world.say(TABLET, ALICE_JID, text);
            world.say(TABLET, BOB_JID, text);
        }
        world.run();
        world.say(ALICE, BOB_JID, "three");
        world.run();
    }
    assert_eq!(offers(&world, TABLET), 1, "what is taken is not offered to the user again");
    assert_eq!(ended(&world, ALICE).len(), 3);
    assert_eq!(open(&world, ALICE), []);
    no_key_twice(&world);
    assert_eq!((rejected(&world, ALICE), rejected(&world, TABLET)), (vec![], vec![]));
}

#[test]
fn c22_a_replayed_offer_is_a_duplicate() {
    let mut world = three(10);
    world.say(ALICE, BOB_JID, "a session for all");
    world.run();
    world.server.log.clear();
    let (sealed, file) = seal(&mut world, ALICE, TABLET, b"archive");
    offer(&mut world, ALICE, &file);
    let tablet = &world.devices[TABLET].full_jid;
    let came = world.server.log.iter().filter(|c| c.way == Way::In && c.client == *tablet);
    let came: Vec<String> = came.map(|c| c.stanza.clone()).filter(|s| s.starts_with("<message")).collect();
    assert_eq!(came.len(), 1);
    for stanza in [&came[0], &came[0]] {
        let to = world.devices[TABLET].full_jid.clone();
        assert!(world.server.inject(&to, stanza.clone()));
        world.run();
    }
    assert_eq!((offers(&world, TABLET), open(&world, TABLET).len()), (1, 1));
    assert_eq!(count(&world, TABLET, |event| matches!(event, Event::Duplicate { .. })), 2);
    assert_eq!(take(&mut world, TABLET, &sealed), b"archive");
}

#[test]
fn c22_an_offer_expires_on_both_sides() {
    let mut world = three(11);
    let (_, file) = seal(&mut world, ALICE, TABLET, b"archive");
    offer(&mut world, ALICE, &file);
    let reader = world.devices[TABLET].engine().open_history(file.id()).unwrap();
    assert!(reader.is_some());
    world.advance(Duration::from_secs(7 * DAY + 60));
    assert_eq!((open(&world, ALICE), open(&world, TABLET)), (vec![], vec![]));
    assert_eq!(
        (ended(&world, ALICE), ended(&world, TABLET)),
        (vec![HistoryEnd::Expired], vec![HistoryEnd::Expired])
    );
    assert!(world.devices[TABLET].engine().open_history(file.id()).unwrap().is_none());
}

#[test]
fn c22_an_offer_and_its_end_outlive_restarts() {
    let mut world = three(12);
    set_trust(&mut world, ALICE, BOB_JID, Trust::Verified);
    let (sealed, file) = seal(&mut world, ALICE, TABLET, b"archive");
    offer(&mut world, ALICE, &file);
    for device in [ALICE, TABLET] {
        world.crash(device);
    }
    world.run();
    assert_eq!(open(&world, TABLET).len(), 1);
    assert_eq!(take(&mut world, TABLET, &sealed), b"archive");
    for device in [ALICE, TABLET] {
        world.crash(device);
    }
    world.run();
    assert_eq!((open(&world, ALICE), open(&world, TABLET)), (vec![], vec![]));
    assert_eq!(trust_in(&world, TABLET, BOB_JID), (Trust::Verified, Means::OwnDevice));
    offer(&mut world, ALICE, &file);
    assert_eq!(offers(&world, TABLET), 1, "it is remembered that it was taken");
}

#[test]
fn c22_either_side_can_drop_it() {
    for by in [ALICE, TABLET] {
        let mut world = three(13);
        let (_, file) = seal(&mut world, ALICE, TABLET, b"archive");
        offer(&mut world, ALICE, &file);
        world.command(by, Command::DropHistory { id: file.id() });
        world.run();
        assert_eq!((open(&world, ALICE), open(&world, TABLET)), (vec![], vec![]));
        let other = if by == ALICE { TABLET } else { ALICE };
        assert_eq!((ended(&world, by), ended(&world, other)), (vec![], vec![HistoryEnd::Dropped]));
        if by == TABLET {
            offer(&mut world, ALICE, &file);
            assert_eq!(offers(&world, TABLET), 1, "what is not wanted does not come back");
            assert_eq!(ended(&world, ALICE), [HistoryEnd::Dropped, HistoryEnd::Dropped]);
        }
        world.command(by, Command::DropHistory { id: file.id() });
        world.command(by, Command::DropHistory { id: [0; 16] });
    }
}

#[test]
fn c22_there_are_four_at_most_and_the_oldest_goes() {
    let mut world = three(14);
    let mut files = Vec::new();
    for n in 0..6_u8 {
        let (_, file) = seal(&mut world, ALICE, TABLET, &[n]);
        offer(&mut world, ALICE, &file);
        files.push(file.id());
        world.advance(Duration::from_secs(1));
    }
    for device in [ALICE, TABLET] {
        let kept: BTreeSet<_> = open(&world, device).iter().map(|offer| offer.id).collect();
        assert_eq!(kept, files[2..].iter().copied().collect());
        assert_eq!(ended(&world, device), [HistoryEnd::Replaced, HistoryEnd::Replaced]);
    }
}

#[test]
fn c22_a_file_read_twice_is_taken_once_and_by_its_reader_only() {
    let mut world = three(15);
    let (sealed, file) = seal(&mut world, ALICE, TABLET, b"archive");
    offer(&mut world, ALICE, &file);
    let mut reader = world.devices[TABLET].engine().open_history(file.id()).unwrap().unwrap();
    reader.read(&sealed).unwrap();
    let (_, read) = reader.finish().unwrap();
    for device in [ALICE, BOB] {
        let refused = world.with(device, |device, _, env| {
            let command = Command::TakeHistory(read.clone());
            device.engine_mut().handle(env, Input::Command(command)).err()
        });
        assert_eq!(refused, Some(Error::Misuse(Misuse::History)));
    }
    for _ in 0..2 {
        world.command(TABLET, Command::TakeHistory(read.clone()));
    }
    world.run();
    assert_eq!(ended(&world, ALICE), [HistoryEnd::Taken]);
}

#[test]
fn c22_what_a_retired_device_has_offered_is_taken_no_more() {
    let mut world = three(17);
    let (sealed, file) = seal(&mut world, TABLET, ALICE, b"archive");
    offer(&mut world, TABLET, &file);
    let mut reader = world.devices[ALICE].engine().open_history(file.id()).unwrap().unwrap();
    reader.read(&sealed).unwrap();
    let (_, read) = reader.finish().unwrap();
    let device = id(&world, TABLET);
    world.command(ALICE, Command::RetireDevice { device });
    world.run();
    for device in [ALICE, TABLET] {
        assert_eq!(ended(&world, device), [HistoryEnd::Dropped], "{device}");
        assert_eq!(open(&world, device), []);
    }
    assert!(world.devices[ALICE].engine().open_history(file.id()).unwrap().is_none());
    let refused = world.with(ALICE, |device, _, env| {
        device.engine_mut().handle(env, Input::Command(Command::TakeHistory(read.clone()))).err()
    });
    assert_eq!(refused, Some(Error::Misuse(Misuse::History)));
}

#[test]
fn offline_an_offer_wakes_nobody_and_it_is_sent_with_the_next_stream() {
    let mut world = three(60);
    world.disconnect(TABLET);
    let (_, file) = seal(&mut world, ALICE, TABLET, b"archive");
    offer(&mut world, ALICE, &file);
    world.disconnect(ALICE);
    world.advance(Duration::from_hours(3));
    let wake = world.devices[ALICE].next_wakeup();
    assert!(wake.is_none_or(|at| at > world.now.after(Duration::from_hours(3))), "{wake:?} {:?}", world.now);
    world.server.log.clear();
    world.connect(ALICE);
    world.run();
    assert!(!sent(&world, ALICE, "<e ").is_empty(), "{}", world.dump());
}
