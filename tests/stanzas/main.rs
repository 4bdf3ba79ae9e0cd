//! Stanzas of every kind: protected as a whole, or authenticated only.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests"
)]

mod attacks;
mod authenticated;
mod properties;
mod signed;
mod whole;

use std::fmt::Write;

use xmpp_e2e::suite::Level;
use xmpp_e2e::{Context, Event, Need, Reason, Token, Tree, Visitor};
use xmpp_e2e_testkit::World;
use xmpp_e2e_testkit::device::{End, Job, Letter};
use xmpp_e2e_testkit::server::{Crossing, Way};

pub(crate) const ALICE: usize = World::ALICE;
pub(crate) const BOB: usize = World::BOB;
pub(crate) const ALICE_JID: &str = "alice@example.com";
pub(crate) const BOB_JID: &str = "bob@example.org";
pub(crate) const PHONE: &str = "alice@example.com/phone";
pub(crate) const DESK: &str = "bob@example.org/desk";

/// Alice and Bob with a session that both have used.
pub(crate) fn talking(seed: u64) -> World {
    let mut world = World::pair(seed);
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "hello");
        world.run();
    }
    clear(&mut world);
    world
}

/// Alice's second device, which both have seen.
pub(crate) fn add_tablet(world: &mut World) -> usize {
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    for device in [ALICE, BOB] {
        world.disconnect(device);
        world.connect(device);
        world.run();
    }
    clear(world);
    tablet
}

pub(crate) fn clear(world: &mut World) {
    for device in &mut world.devices {
        device.record.inbox.clear();
        device.record.events.clear();
        device.record.rejected.clear();
    }
    world.server.log.clear();
}

pub(crate) fn hand_in(world: &mut World, device: usize, stanza: &str, need: Need) -> Token {
    world.with(device, |device, server, env| device.hand_in(server, env, stanza, need))
}

pub(crate) fn ends(world: &World, device: usize, token: Token) -> Vec<End> {
    world.devices[device].record.handed[&token].ends.clone()
}

/// What was delivered under protection.
pub(crate) fn letters(world: &World, device: usize) -> Vec<&Letter> {
    world.devices[device].inbox().iter().filter(|letter| letter.protection.is_some()).collect()
}

/// The only one.
pub(crate) fn letter(world: &World, device: usize) -> (&str, &Context) {
    let all = letters(world, device);
    assert_eq!(all.len(), 1, "{all:?} {:?}", world.devices[device].record.events);
    (&all[0].stanza, all[0].context.as_ref().unwrap())
}

pub(crate) fn events(world: &World, device: usize) -> &[Event] {
    &world.devices[device].record.events
}

pub(crate) fn rejected(world: &World, device: usize) -> Vec<Reason> {
    world.devices[device].record.rejected.iter().map(|(reason, _)| *reason).collect()
}

/// What a client has sent, or got, that contains `what`.
pub(crate) fn crossed(world: &World, way: Way, client: &str, what: &str) -> Vec<String> {
    let of = |crossing: &&Crossing| crossing.way == way && crossing.client == client;
    let all = world.server.log.iter().filter(of).map(|crossing| crossing.stanza.clone());
    all.filter(|stanza| stanza.contains(what)).collect()
}

/// A stanza came to a device, whoever sent it.
pub(crate) fn receive(world: &mut World, device: usize, stanza: &str) {
    world.step(device, Job::Received(stanza.to_owned()));
}

/// Writes down what a tree says, attributes in order of their names.
#[derive(Default)]
struct Infoset {
    out: String,
    attributes: Vec<String>,
}

impl Infoset {
    fn flush(&mut self) {
        self.attributes.sort();
        self.out.extend(self.attributes.drain(..));
    }
}

impl Visitor for Infoset {
    fn start(&mut self, ns: &str, name: &str) {
        self.flush();
        _ = write!(self.out, "\n<{{{ns}}}{name}");
    }

    fn attribute(&mut self, ns: Option<&str>, name: &str, value: &str) {
        self.attributes.push(format!(" {{{}}}{name}={value:?}", ns.unwrap_or_default()));
    }

    fn text(&mut self, text: &str) {
        self.flush();
        _ = write!(self.out, "\n{text:?}");
    }

    fn end(&mut self) {
        self.flush();
        self.out.push_str("\n>");
    }
}

/// What a stanza says, as text to be compared.
pub(crate) fn infoset(xml: &str) -> String {
    let mut infoset = Infoset::default();
    Tree::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}")).walk(&mut infoset);
    infoset.out
}

/// The id of a stanza.
pub(crate) fn id_of(stanza: &str) -> String {
    stanza.split(" id='").nth(1).and_then(|rest| rest.split('\'').next()).expect("an id").to_owned()
}

/// A stanza with the id of another: a question is handed over under an id of the engine's.
pub(crate) fn with_id_of(stanza: &str, other: &str) -> String {
    stanza.replacen(&format!(" id='{}'", id_of(stanza)), &format!(" id='{}'", id_of(other)), 1)
}

/// Both are the same infoset.
pub(crate) fn assert_same(one: &str, other: &str) {
    assert_eq!(infoset(one), infoset(other));
}

pub(crate) const ENCRYPTED: Need = Need::Encrypted(Level::HYBRID);
