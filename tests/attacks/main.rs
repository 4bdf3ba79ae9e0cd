//! Known attacks on protocols like this one, tried. The table names for each where it is tried, or
//! why it is not.
//!
//! | attack | tried in |
//! |---|---|
//! | unknown key-share, misbinding | [`a_handshake_for_one_account_is_nothing_to_another`]; `hostile`: another sender |
//! | the same key under another JID | [`an_account_key_under_another_jid_is_told`] |
//! | signatures of one format taken for another | unit tests of `identity`: each label refuses the others |
//! | one key for signing and agreement | none: the keys are of different kinds |
//! | KEM re-encapsulation, session independence | `tampering`: every byte of a hybrid flight |
//! | last-resort prekeys pass for one-time | [`the_security_of_the_first_flight_is_told`] |
//! | replayed first messages | [`a_first_message_is_read_once`] |
//! | prekeys drained, devices told apart by them | `servers`: `strangers_get_no_one_time_prekeys`, `servers`: `c7_nobody_gets_a_one_time_prekey_twice` |
//! | a recipient's device alters the payload for the others | [`a_recipient_cannot_alter_the_message_for_another`] |
//! | no device linkage | `servers`: `a_device_of_another_account_key_gets_nothing` |
//! | devices that only read never heal | [`a_device_that_only_reads_answers_now_and_then`] |
//! | suites downgraded | [`a_flight_is_not_moved_to_a_weaker_suite`], [`what_needs_the_quantum_level_is_not_sent_below`] |
//! | metadata in clear, hash of the plaintext | [`nothing_of_the_content_is_outside`] |
//! | weak forward secrecy of first messages | [`the_security_of_the_first_flight_is_told`]; the manual says how long |
//! | a clone opens sessions of its own | [`a_handshake_that_is_not_chained_is_told`] |
//! | state rolled back or cloned | [`a_state_restored_from_a_backup_is_told_to_the_peer`] |
//! | membership by the server, forwarded keys | `servers`: `a_device_of_another_account_key_gets_nothing`; no keys are forwarded |
//! | backups without integrity | none: the engine has no backup format |
//! | non-contributory agreement | `hostile`: all-zero agreement |
//! | lax signatures, timing of base64 | `vectors`, `zeroize`: strict verification; secrets are not in base64 |
//! | home-made key agreement, compression | the models; nothing is compressed |
//! | lengths checked before authentication | `tampering`: truncations |
//! | salamanders: one ciphertext, two keys | [`a_recipient_cannot_alter_the_message_for_another`] |
//! | padding oracles | [`refusals_of_damaged_messages_are_all_alike`] |
//! | signature wrapping, canonicalisation | `stanzas`: `attacks::each_row_on_each_form`, `properties::no_edit_of_what_is_in_clear_reaches_the_application` |
//! | stanza smuggling, parser differentials | `hostile`: XML that XMPP forbids |
//! | forged carbons | `servers`: `a_forwarded_copy_of_a_stranger_is_not_read`; `stanzas`: `attacks::a_carbon_filed_under_another_conversation_is_refused` |
//! | roster push and iq answer spoofed | `servers`: `answers_from_elsewhere_are_not_taken`, `servers`: `a_roster_push_from_elsewhere_is_not_taken`; `stanzas`: `whole::answers_that_servers_swap_or_rename_still_find_their_questions` |
//! | unprotected siblings | `servers`: `unprotected_siblings_are_dropped`; `stanzas`: `attacks::each_row_on_each_form` |
//! | presence replayed | `hostile_keys`: an older advert; `api`: `signed_presence` |
//! | capability stripped | `servers`: `a_stripped_advert_is_told_and_changes_nothing`, `servers`: `clear_text_from_who_encrypts_is_told` |
//! | surreptitious forwarding | [`a_handshake_for_one_account_is_nothing_to_another`]; `stanzas`: `signed::it_is_for_the_account_addressed_unless_it_is_for_anyone` |
//! | small-order and non-canonical keys | `hostile`: bad keys |
//! | malleable signatures, batches | `vectors`: strict; no batches, no ids of signatures |
//! | double public key oracle | none: the trait takes no public key to sign |
//! | truncated tags | `suite::conformance`: 16 bytes at least |
//! | comparison of tags in variable time | none: only the parts compare, in constant time |
//! | receipts without the user's knowledge | [`a_stranger_gets_no_automatic_answer`] |
//! | lengths | [`short_messages_have_one_length`] |
//! | trust messages replayed | there are none |
//! | work caused by who has proven nothing | `servers`: `unverified_adverts_cost_one_request_at_a_time`, `a_false_flight_does_not_keep_the_true_one_out` |
//! | handshakes that cross | [`handshakes_that_cross_come_to_one_session`] |

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod servers;

use xmpp_e2e::suite::{Level, SUITE_CLASSICAL, Suites};
use xmpp_e2e::{BareJid, Command, Event, Malformed, Need, Protection, Reason, SendError};
use xmpp_e2e_testkit::device::{End, Job};
use xmpp_e2e_testkit::server::{Crossing, Way};
use xmpp_e2e_testkit::wire::{Catch, Snapshot, bytes_in, is_protected, with_bytes};
use xmpp_e2e_testkit::{Device, World};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";
const PHONE: &str = "alice@example.com/phone";
const DESK: &str = "bob@example.org/desk";
const EVE: &str = "eve@example.net/x";

fn jid(jid: &str) -> BareJid {
    BareJid::parse(jid).unwrap()
}

fn events(world: &World, device: usize) -> &[Event] {
    &world.devices[device].record.events
}

fn bodies(world: &World, device: usize) -> Vec<&str> {
    world.devices[device].record.bodies()
}

/// What a client has sent since the log was last cleared.
fn sent<'w>(world: &'w World, client: &str) -> Vec<&'w str> {
    let of_client = |entry: &&Crossing| entry.way == Way::Out && entry.client == client;
    world.server.log.iter().filter(of_client).map(|entry| entry.stanza.as_str()).collect()
}

/// Alice and Bob, who have met and talked both ways.
fn talking(seed: u64) -> World {
    let mut world = World::pair(seed);
    world.say(World::ALICE, BOB, "before");
    world.run();
    world.say(World::BOB, ALICE, "answer");
    world.run();
    clear(&mut world);
    world
}

fn clear(world: &mut World) {
    world.server.log.clear();
    for device in &mut world.devices {
        device.record.events.clear();
        device.record.inbox.clear();
    }
}

/// Alice's message to Bob, taken off the stream.
fn caught(world: &mut World, text: &str) -> String {
    let catch = Catch::new(&mut world.server, DESK, is_protected);
    world.say(World::ALICE, BOB, text);
    world.run();
    world.server.tamper = None;
    catch.one()
}

fn rejected(event: &Event) -> Reason {
    let Event::Rejected { reason, .. } = event else { panic!("{event:?}") };
    *reason
}

#[test]
fn a_handshake_for_one_account_is_nothing_to_another() {
    let mut world = World::pair(1);
    let carol = world.add("carol@example.com/phone");
    world.connect(carol);
    world.run();
    let stanza = caught(&mut world, "x");
    let carols = Snapshot::of(&world, carol);
    carols.put_back(&mut world);
    // Bob, or the servers, hand it on; with everything changed that is not sealed.
    let forwarded = stanza.replacen("to='bob@example.org'", "to='carol@example.com'", 1);
    carols.refuses(&mut world, &forwarded, "forwarded");
    let mut bytes = bytes_in(&stanza, "e", 0);
    let device = world.devices[carol].engine().device();
    bytes[5..9].copy_from_slice(&device.to_be_bytes());
    carols.refuses(&mut world, &with_bytes(&forwarded, "e", 0, &bytes), "readdressed");
    bytes[15..23].fill(0);
    carols.refuses(&mut world, &with_bytes(&forwarded, "e", 0, &bytes), "to the record");
    world.step(World::BOB, Job::Received(stanza));
    assert_eq!(bodies(&world, World::BOB), ["x"]);
}

#[test]
fn an_account_key_under_another_jid_is_told() {
    let mut world = World::pair(2);
    let agent = world.devices[World::ALICE].agent.for_new_device(&mut world.rng);
    world.devices.push(Device::with_agent("carol@example.com/phone", agent));
    world.server.befriend("carol@example.com", BOB);
    world.connect(2);
    world.run();
    let told = |event: &Event| matches!(event, Event::KeyReused { peer, known } if *peer == jid("carol@example.com") && *known == jid(ALICE));
    assert_eq!(events(&world, World::BOB).iter().filter(|event| told(event)).count(), 1);
}

#[test]
fn the_security_of_the_first_flight_is_told() {
    for offline in [false, true] {
        let mut world = World::pair(3);
        if offline {
            world.disconnect(World::BOB);
        }
        world.run();
        world.say(World::ALICE, BOB, "x");
        world.run();
        if offline {
            world.connect(World::BOB);
            world.run();
        }
        let [letter] = world.devices[World::BOB].inbox() else { panic!() };
        let Some(Protection::Encrypted { one_time, level, .. }) = letter.protection else { panic!() };
        assert_eq!((one_time, level), (!offline, Level::HYBRID));
    }
}

#[test]
fn a_first_message_is_read_once() {
    let mut world = World::pair(4);
    world.disconnect(World::BOB);
    world.run();
    world.say(World::ALICE, BOB, "x");
    world.run();
    world.connect(World::BOB);
    world.run();
    assert_eq!(bodies(&world, World::BOB), ["x"]);
    let log = world.server.log.iter().rev();
    let mut flights = log.filter(|entry| entry.client == DESK && entry.way == Way::In);
    let flight = flights.find(|entry| is_protected(&entry.stanza)).unwrap().stanza.clone();
    let duplicate = |event: &Event| matches!(event, Event::Duplicate { .. });
    let bob = Snapshot::of(&world, World::BOB);
    assert!(duplicate(&bob.refuses(&mut world, &flight, "again")));
    world.devices[World::BOB].restore();
    world.step(World::BOB, Job::Connected(true));
    assert!(duplicate(&bob.refuses(&mut world, &flight, "after a restart")));
    // The session is gone, and what was accepted is not forgotten.
    world.command(World::BOB, Command::Forget { jid: ALICE });
    assert!(duplicate(&bob.refuses(&mut world, &flight, "without the session")));
    assert_eq!(bodies(&world, World::BOB), ["x"]);
}

#[test]
fn a_recipient_cannot_alter_the_message_for_another() {
    let mut world = World::pair(7);
    let tablet = world.add("bob@example.org/tablet");
    world.connect(tablet);
    world.run();
    for device in [World::ALICE, World::BOB, tablet] {
        world.say(device, if device == World::ALICE { BOB } else { ALICE }, "before");
        world.run();
    }
    world.say(World::ALICE, BOB, "before");
    world.run();
    let (one, two) = (caught(&mut world, "the one text"), caught(&mut world, "another text"));
    let (first, second) = (bytes_in(&one, "e", 0), bytes_in(&two, "e", 0));
    assert_eq!((first[0], first.len()), (3, second.len()));
    // Type, sender, suite, the list's length and the list; then the commitment and the payload.
    assert_eq!(first[7] >> 6, 1, "a length of two bytes");
    let list = 9 + (usize::from(first[7] & 0x3F) << 8 | usize::from(first[8]));
    let bob = Snapshot::of(&world, World::BOB);
    bob.put_back(&mut world);
    for (what, split) in [("commitment and payload", list), ("payload", list + 32)] {
        let spliced = [&first[..split], &second[split..]].concat();
        let event = bob.refuses(&mut world, &with_bytes(&one, "e", 0, &spliced), what);
        assert_eq!(rejected(&event), Reason::Unauthentic, "{what}");
    }
    let mut spliced = first.clone();
    spliced[list..list + 32].copy_from_slice(&second[list..list + 32]);
    bob.refuses(&mut world, &with_bytes(&one, "e", 0, &spliced), "commitment");
    // The key for the content passed off as a message of its own.
    let device = world.devices[World::BOB].engine().device().to_be_bytes();
    let at = (9..list).find(|at| first[*at..*at + 4] == device).unwrap();
    let len = usize::from(first[at + 5] & 0x3F) << 8 | usize::from(first[at + 6]);
    let body = &first[at + 7..at + 7 + len];
    let direct = [&[1], &first[1..5], &device, &first[at + 4..=at + 4], body].concat();
    bob.refuses(&mut world, &with_bytes(&one, "e", 0, &direct), "direct");
    for stanza in [one, two] {
        world.step(World::BOB, Job::Received(stanza));
    }
    assert_eq!(bodies(&world, World::BOB), ["the one text", "another text"]);
}

#[test]
fn a_device_that_only_reads_answers_now_and_then() {
    let mut world = talking(9);
    for number in 0..120 {
        world.say(World::ALICE, BOB, &number.to_string());
        world.run();
    }
    let answers = sent(&world, DESK).len();
    assert!((1..=4).contains(&answers), "{answers}");
    assert_eq!(world.devices[World::ALICE].inbox(), []);
    assert_eq!(bodies(&world, World::BOB).len(), 120);
}

#[test]
fn a_flight_is_not_moved_to_a_weaker_suite() {
    let mut world = World::pair(10);
    let stanza = caught(&mut world, "x");
    let bytes = bytes_in(&stanza, "e", 0);
    assert_eq!(bytes[9..11], [0, 2], "hybrid");
    let bob = Snapshot::of(&world, World::BOB);
    bob.put_back(&mut world);
    let mut weaker = bytes.clone();
    weaker[10] = 1;
    bob.refuses(&mut world, &with_bytes(&stanza, "e", 0, &weaker), "another number");
    // And without what a classical flight has not: the KEM prekey and its ciphertext.
    weaker[19..23].fill(0);
    drop(weaker.splice(56..58 + 1088, [0]));
    let event = bob.refuses(&mut world, &with_bytes(&stanza, "e", 0, &weaker), "as a classical flight");
    assert_eq!(rejected(&event), Reason::Unauthentic);
    world.step(World::BOB, Job::Received(stanza));
    assert_eq!(bodies(&world, World::BOB), ["x"]);
}

#[test]
fn what_needs_the_quantum_level_is_not_sent_below() {
    let mut world = World::new(11);
    world.add(PHONE);
    world.add(DESK);
    world.devices[World::BOB].config.suites = Suites::new(&[&SUITE_CLASSICAL]).unwrap();
    world.devices[World::BOB].restore();
    world.server.befriend(ALICE, BOB);
    world.connect(World::ALICE);
    world.connect(World::BOB);
    world.run();
    for text in ["before there is a session", "in a classical session"] {
        let token = world.say_with(World::ALICE, BOB, text, Need::Encrypted(Level::HYBRID));
        world.run();
        let ends = &world.devices[World::ALICE].record.handed[&token].ends;
        assert_eq!(ends[..], [End::Failed(SendError::Level)], "{text}");
        world.say(World::ALICE, BOB, "fine");
        world.run();
    }
    assert_eq!(bodies(&world, World::BOB), ["fine", "fine"]);
}

#[test]
fn nothing_of_the_content_is_outside() {
    let mut world = talking(12);
    let stanza = format!(
        "<message to='{BOB}' type='chat' id='m1'><body>open</body><replace xmlns='urn:xmpp:message-correct:0' \
         id='not-outside'/><request xmlns='urn:xmpp:receipts'/><subject>sesame</subject></message>"
    );
    world.with(World::ALICE, |device, server, env| device.hand_in(server, env, &stanza, Need::Policy));
    world.run();
    let out = sent(&world, PHONE).concat();
    for word in ["open", "sesame", "replace", "receipts", "not-outside"] {
        assert!(!out.contains(word), "{word} in {out}");
    }
    let [letter] = world.devices[World::BOB].inbox() else { panic!() };
    assert!(letter.stanza.contains("sesame") && letter.stanza.contains("id='not-outside'"));
}

#[test]
fn a_handshake_that_is_not_chained_is_told() {
    let mut world = talking(13);
    // Alice's device has lost its sessions, or a clone of it has none.
    world.command(World::ALICE, Command::Forget { jid: BOB });
    world.run();
    world.say_with(World::ALICE, BOB, "x", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(bodies(&world, World::BOB), ["x"]);
    let told = events(&world, World::BOB);
    assert!(matches!(told, [Event::Unchained { peer, .. }] if *peer == jid(ALICE)), "{told:?}");
}

#[test]
fn a_state_restored_from_a_backup_is_told_to_the_peer() {
    let mut world = talking(14);
    let backup = world.devices[World::ALICE].store.clone();
    for text in ["1", "2"] {
        world.say(World::ALICE, BOB, text);
        world.run();
        world.say(World::BOB, ALICE, text);
        world.run();
    }
    world.crash(World::ALICE);
    world.devices[World::ALICE].store = backup;
    world.devices[World::ALICE].restore();
    world.command(World::ALICE, Command::Restored);
    world.connect(World::ALICE);
    world.run();
    clear(&mut world);
    world.say_with(World::ALICE, BOB, "back", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(bodies(&world, World::BOB), ["back"]);
    let told = events(&world, World::BOB);
    assert!(matches!(told, [Event::Superseded { peer, .. }] if *peer == jid(ALICE)), "{told:?}");
    world.say(World::BOB, ALICE, "welcome");
    world.run();
    assert_eq!(bodies(&world, World::ALICE), ["welcome"]);
}

#[test]
fn refusals_of_damaged_messages_are_all_alike() {
    let mut world = talking(15);
    let stanza = caught(&mut world, "x");
    let bytes = bytes_in(&stanza, "e", 0);
    let bob = Snapshot::of(&world, World::BOB);
    // Behind the header are content, padding and tag.
    for at in 46..bytes.len() {
        for mask in [1, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            bob.put_back(&mut world);
            let event = bob.refuses(&mut world, &with_bytes(&stanza, "e", 0, &damaged), "damaged");
            assert_eq!(rejected(&event), Reason::Unauthentic, "byte {at}");
        }
    }
}

#[test]
fn a_stranger_gets_no_automatic_answer() {
    let mut world = World::pair(22);
    let eve = world.add(EVE);
    world.connect(eve);
    world.run();
    clear(&mut world);
    for number in 0..60 {
        world.say_with(eve, BOB, &number.to_string(), Need::Encrypted(Level::CLASSICAL));
        world.run();
    }
    assert_eq!(bodies(&world, World::BOB).len(), 60);
    let answers: Vec<&str> = sent(&world, DESK).into_iter().filter(|out| out.contains("<message")).collect();
    assert_eq!(answers, Vec::<&str>::new());
    // The user's own answer goes, and is read.
    world.say_with(World::BOB, "eve@example.net", "who are you?", Need::Encrypted(Level::CLASSICAL));
    world.run();
    assert_eq!(bodies(&world, eve), ["who are you?"]);
}

#[test]
fn short_messages_have_one_length() {
    let mut world = talking(23);
    let mut lengths = std::collections::BTreeSet::new();
    for text in ["", "no", "yes", "perhaps tomorrow"] {
        lengths.insert(bytes_in(&caught(&mut world, text), "e", 0).len());
    }
    assert_eq!(lengths.len(), 1, "{lengths:?}");
}

#[test]
fn handshakes_that_cross_come_to_one_session() {
    for seed in 24..32 {
        let mut world = World::pair(seed);
        world.say(World::ALICE, BOB, "a");
        world.say(World::BOB, ALICE, "b");
        world.run();
        for _ in 0..2 {
            world.say(World::ALICE, BOB, "a");
            world.say(World::BOB, ALICE, "b");
            world.run();
        }
        assert_eq!(bodies(&world, World::ALICE), ["b", "b", "b"]);
        assert_eq!(bodies(&world, World::BOB), ["a", "a", "a"]);
        let export = |of: usize, jid: &str, with: usize| {
            let device = world.devices[with].engine().device();
            let secret = world.devices[of].engine().export(jid, device, "test", b"", 32).unwrap().unwrap();
            secret.expose().to_vec()
        };
        assert_eq!(export(World::ALICE, BOB, World::BOB), export(World::BOB, ALICE, World::ALICE));
        for device in [World::ALICE, World::BOB] {
            let told = events(&world, device);
            assert!(matches!(told, [Event::Encrypts { .. }]), "{told:?}");
        }
    }
}

#[test]
fn a_message_is_read_once() {
    let mut world = talking(33);
    let stanza = caught(&mut world, "x");
    world.step(World::BOB, Job::Received(stanza.clone()));
    let bob = Snapshot::of(&world, World::BOB);
    for _ in 0..3 {
        let event = bob.refuses(&mut world, &stanza, "again");
        assert!(matches!(event, Event::Duplicate { .. }));
    }
    let room = stanza.replacen("type='chat'", "type='groupchat'", 1);
    assert_eq!(rejected(&bob.refuses(&mut world, &room, "in a room")), Malformed::Stanza.into());
}
