//! Golden files: what engines have stored is read by this version, which goes on from it.
//!
//! `XMPP_E2E_STORED=write cargo test --test stored` writes them anew. That is for a record whose version has changed, and
//! for versions that nobody has stored anything with.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20::ChaCha20Rng;
use xmpp_e2e::rand_core::SeedableRng;
use xmpp_e2e::store::{RecordKey, Store, Stored};
use xmpp_e2e::suite::{Level, Suites};
use xmpp_e2e::{Command, Config, Effect, Engine, Env, Input, LocalAgent, Need, Timestamp, Token};
use xmpp_e2e_testkit::{Device, World};

const ALICE: usize = World::ALICE;
const BOB: usize = World::BOB;
const TABLET: usize = 2;
const DAVE: usize = 4;
const ALICE_JID: &str = "alice@example.com";
const BOB_JID: &str = "bob@example.org";
const ENCRYPTED: Need = Need::Encrypted(Level::HYBRID);

/// What the message says that was sealed when the files were made.
const THEN: &str = "sealed when this was stored";

/// A world in which Alice's telephone has a record of every kind, and a message for it that is still to be read.
fn world() -> (World, String) {
    let mut world = World::pair(20);
    let tablet = world.add("alice@example.com/tablet");
    assert_eq!(tablet, TABLET);
    for (account, full) in
        [("carol@example.net", "carol@example.net/home"), ("dave@example.net", "dave@example.net/home")]
    {
        let device = world.add(full);
        world.server.befriend(ALICE_JID, account);
        world.connect(device);
    }
    // On a new stream the telephone learns of its contacts.
    world.disconnect(ALICE);
    for device in [ALICE, TABLET] {
        world.connect(device);
    }
    world.run();
    // Sessions, flights accepted, stanzas acknowledged.
    for (from, to) in [(BOB, ALICE_JID), (ALICE, BOB_JID)] {
        world.say(from, to, "hello");
        world.run();
    }
    // A file of history, offered.
    let to = world.devices[TABLET].engine().device();
    let file =
        world.with(ALICE, |alice, _, env| alice.engine().seal_history(env, to).unwrap().finish().unwrap().1);
    world.command(ALICE, Command::OfferHistory { file, name: "archive" });
    world.run();
    // A message that was lost: the keys up to the next one are kept.
    world.server.tamper = Some(Box::new(|_, _| Vec::new()));
    world.say(BOB, ALICE_JID, "lost");
    world.server.tamper = None;
    world.say(BOB, ALICE_JID, "behind it");
    world.run();
    // From here on nothing is acknowledged, taken or answered.
    for device in &mut world.devices[..2] {
        (device.acks, device.takes, device.polite) = (false, false, false);
    }
    world.say(ALICE, BOB_JID, "not acknowledged");
    world.say(BOB, ALICE_JID, "not taken");
    for (from, to, id) in [(ALICE, "bob@example.org/desk", "asks"), (BOB, "alice@example.com/phone", "asked")]
    {
        let iq = format!("<iq type='get' to='{to}' id='{id}'><query xmlns='jabber:iq:version'/></iq>");
        world.with(from, |device, server, env| device.hand_in(server, env, &iq, ENCRYPTED));
    }
    world.run();
    // Carol's program does not answer; the agent does not, to what Dave's flight asks.
    let flight = held(&mut world, "phone");
    world.say_with(DAVE, ALICE_JID, "waits for the agent", ENCRYPTED);
    world.run();
    world.devices[ALICE].answers = false;
    world.server.tamper =
        Some(Box::new(|to, stanza| if to.contains("carol") { Vec::new() } else { vec![stanza] }));
    world.say_with(ALICE, "carol@example.net", "waits for keys", ENCRYPTED);
    world.server.inject("alice@example.com/phone", flight.take());
    world.run();
    let stanza = held(&mut world, "phone");
    world.say(BOB, ALICE_JID, THEN);
    let stanza = stanza.take();
    (world, stanza)
}

/// Holds back messages to a resource from now on; the last of them.
fn held(world: &mut World, resource: &'static str) -> Rc<RefCell<String>> {
    let held = Rc::new(RefCell::new(String::new()));
    let keeper = Rc::clone(&held);
    world.server.tamper = Some(Box::new(move |to, stanza| {
        if !to.ends_with(resource) || !stanza.starts_with("<message") {
            return vec![stanza];
        }
        *keeper.borrow_mut() = stanza;
        Vec::new()
    }));
    held
}

/// A device as text: its keys, the time, and its records.
fn write(world: &World, device: &Device) -> String {
    let stored = device.store.load().unwrap();
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    let mut out = "# Made by a test. These keys are nobody's.\n".to_owned();
    writeln!(out, "now {}", world.now.as_millis()).unwrap();
    writeln!(out, "jid {}", device.full_jid).unwrap();
    writeln!(out, "agent {}", text(&device.agent.to_bytes())).unwrap();
    writeln!(out, "generation {}", stored.generation).unwrap();
    for (key, value) in &stored.records {
        writeln!(out, "record {} {}", text(key.as_bytes()), text(value)).unwrap();
    }
    out
}

/// A device of a golden file.
struct Golden {
    jid: String,
    now: Timestamp,
    agent: LocalAgent,
    stored: Stored,
}

/// A golden file, written before if that is asked for.
fn file(name: &str) -> String {
    static WRITE: Once = Once::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored");
    WRITE.call_once(|| {
        if std::env::var("XMPP_E2E_STORED").as_deref() != Ok("write") {
            return;
        }
        let (world, stanza) = world();
        for (name, content) in [
            ("alice.txt", write(&world, &world.devices[ALICE])),
            ("bob.txt", write(&world, &world.devices[BOB])),
            ("message.txt", stanza),
        ] {
            std::fs::write(directory.join(name), content).unwrap();
        }
    });
    std::fs::read_to_string(directory.join(name)).unwrap()
}

fn read(name: &str) -> Golden {
    let text = file(name);
    let bytes = |text: &str| STANDARD.decode(text).unwrap();
    let fields: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let field = |name| fields.iter().find(|(field, _)| *field == name).unwrap().1;
    let records = fields.iter().filter(|(name, _)| *name == "record").map(|(_, record)| {
        let (key, value) = record.split_once(' ').unwrap();
        (RecordKey::from_bytes(&bytes(key)), bytes(value).into())
    });
    Golden {
        jid: field("jid").to_owned(),
        now: Timestamp::from_millis(field("now").parse().unwrap()),
        agent: LocalAgent::from_bytes(&bytes(field("agent")), &Suites::default()).unwrap(),
        stored: Stored { generation: field("generation").parse().unwrap(), records: records.collect() },
    }
}

impl Golden {
    fn engine(&self) -> Engine {
        let account = self.jid.split('/').next().unwrap();
        Engine::restore(Config::new(account, self.agent.identity()).unwrap(), &self.stored).unwrap()
    }

    /// All that comes of an input, the agent's answers included.
    fn handle(&self, engine: &mut Engine, rng: &mut ChaCha20Rng, input: Input<'_>) -> Vec<Effect> {
        let mut env = Env { now: self.now, rng };
        let mut all = engine.handle(&mut env, input).unwrap().persist(|_| Ok::<(), ()>(())).unwrap();
        let mut place = 0;
        while let Some(effect) = all.get(place) {
            place += 1;
            if let Effect::Ask(request) = effect {
                let reply = self.agent.answer(request);
                let step = engine.handle(&mut env, Input::Agent(&reply)).unwrap();
                all.extend(step.persist(|_| Ok::<(), ()>(())).unwrap());
            }
        }
        all
    }
}

fn delivers(effects: &[Effect], text: &str) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Deliver { stanza, .. } if stanza.as_str().contains(text)))
}

fn kinds(golden: &Golden) -> BTreeSet<u8> {
    golden.stored.records.iter().map(|(key, _)| key.as_bytes()[0]).collect()
}

#[test]
fn c20_an_engine_goes_on_from_what_was_stored() {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let (alice, bob) = (read("alice.txt"), read("bob.txt"));
    let (mut phone, mut desk) = (alice.engine(), bob.engine());
    // A message that was sealed for what is stored is read, on a stream that goes on.
    let resumed = Input::Connected { full_jid: &alice.jid, resumed: true };
    let again = alice.handle(&mut phone, rng, resumed);
    assert!(delivers(&again, "not taken"), "what was not taken comes again");
    assert!(delivers(&again, "waits for the agent"), "{again:?}");
    let effects = alice.handle(&mut phone, rng, Input::Received(&file("message.txt")));
    assert!(delivers(&effects, THEN), "{effects:?}");
    // And what is sealed from it is read by the other side, from its own.
    bob.handle(&mut desk, rng, Input::Connected { full_jid: &bob.jid, resumed: true });
    let stanza = format!("<message to='{BOB_JID}' type='chat'><body>sealed now</body></message>");
    let effects = alice.handle(
        &mut phone,
        rng,
        Input::Outgoing { stanza: &stanza, token: Token(999), need: ENCRYPTED },
    );
    let sent = effects.iter().find_map(|effect| {
        let Effect::Send { token: Some(Token(999)), stanza, .. } = effect else { return None };
        Some(stanza.as_str().to_owned())
    });
    let sent = sent.unwrap().replacen("<message ", &format!("<message from='{}' ", alice.jid), 1);
    let effects = bob.handle(&mut desk, rng, Input::Received(&sent));
    assert!(delivers(&effects, "sealed now"), "{effects:?}");
    assert_eq!(phone.histories().unwrap().len(), 1);
}

/// One that is missing is not tested. That each of the specification is there, the crate's own tests say.
#[test]
fn c20_the_run_still_makes_every_kind_that_is_stored() {
    let (world, stanza) = world();
    assert!(stanza.starts_with("<message"));
    let stored = world.devices[ALICE].store.load().unwrap();
    let made: BTreeSet<u8> = stored.records.iter().map(|(key, _)| key.as_bytes()[0]).collect();
    assert_eq!(made, kinds(&read("alice.txt")));
}

#[test]
fn c20_a_record_of_another_version_or_kind_is_refused() {
    let golden = read("alice.txt");
    for (at, (key, value)) in golden.stored.records.iter().enumerate() {
        for edit in [0, 1, 2] {
            let mut stored = golden.stored.clone();
            let mut changed = value.to_vec();
            match edit {
                0 => changed[0] = 0xEE,
                1 => changed.push(0),
                _ => {
                    let key = [&[0xEE], &key.as_bytes()[1..]].concat();
                    stored.records[at].0 = RecordKey::from_bytes(&key);
                }
            }
            stored.records[at].1 = changed.into();
            let config = Config::new(ALICE_JID, golden.agent.identity()).unwrap();
            assert!(Engine::restore(config, &stored).is_err(), "{key:?} {edit}");
        }
    }
}
