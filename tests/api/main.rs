//! What the API promises, by topic.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests"
)]

mod accounts;
mod beside;
mod catch_up;
mod copies;
mod coverage;
mod crowd;
mod devices;
mod durable;
mod foreign;
mod history_file;
mod iqs;
mod left_out;
mod linked;
mod linking;
mod lists;
mod loading;
mod needs;
mod own_devices;
mod pep;
mod prekeys;
mod presence;
mod recovery;
mod restore;
mod signed_presence;
mod silence;
mod steps;
mod tokens;
mod trust;
mod verification;

use xmpp_e2e::store::{MemoryStore, Store};
use xmpp_e2e::{Coverage, Effect, Env, Event, Input, Reason};
use xmpp_e2e_testkit::device::End;
use xmpp_e2e_testkit::server::Way;
use xmpp_e2e_testkit::{Device, World};

pub(crate) use xmpp_e2e::suite::Level;
pub(crate) use xmpp_e2e::{Need, Token};

pub(crate) const ALICE: usize = World::ALICE;
pub(crate) const BOB: usize = World::BOB;
pub(crate) const ALICE_JID: &str = "alice@example.com";
pub(crate) const BOB_JID: &str = "bob@example.org";
pub(crate) const DAY: u64 = 24 * 3600;

/// Alice and Bob with a session that both have used.
pub(crate) fn talking(seed: u64) -> World {
    let mut world = World::pair(seed);
    for (from, to) in [(ALICE, BOB_JID), (BOB, ALICE_JID)] {
        world.say(from, to, "hello");
        world.run();
    }
    for device in &mut world.devices {
        device.record.inbox.clear();
        device.record.events.clear();
    }
    world.server.log.clear();
    world
}

pub(crate) fn ends(world: &World, device: usize, token: Token) -> Vec<End> {
    world.devices[device].record.handed[&token].ends.clone()
}

/// The devices of Alice that a message of Bob goes to, in order of number.
pub(crate) fn reached(world: &mut World) -> Vec<u32> {
    let token = world.say(BOB, ALICE_JID, "x");
    world.run();
    covered(world, BOB, token).devices
}

/// No contact can show a device of Alice the list that it knows.
pub(crate) fn hide_lists_shown(world: &mut World) {
    world.server.tamper = Some(Box::new(|to, stanza| {
        let Some((begin, list)) = stanza.split_once("<devices>") else { return vec![stanza] };
        let asks = to.starts_with("alice@") && begin.starts_with("<iq type='get'");
        let Some((_, end)) = list.split_once("</devices>").filter(|_| asks) else { return vec![stanza] };
        vec![format!("{begin}{end}")]
    }));
}

/// Whom a stanza was sealed to that has been sent; the devices in order of number.
pub(crate) fn covered(world: &World, device: usize, token: Token) -> Coverage {
    let found = ends(world, device, token);
    let [End::Sent(coverage)] = &found[..] else { panic!("{found:?}") };
    let mut coverage = coverage.clone();
    coverage.devices.sort_unstable();
    coverage
}

pub(crate) fn bodies(world: &World, device: usize) -> Vec<&str> {
    world.devices[device].record.bodies()
}

pub(crate) fn count(world: &World, device: usize, which: impl Fn(&Event) -> bool) -> usize {
    world.devices[device].record.events.iter().filter(|event| which(event)).count()
}

pub(crate) fn rejected(world: &World, device: usize) -> Vec<Reason> {
    world.devices[device].record.rejected.iter().map(|(reason, _)| *reason).collect()
}

/// What was rejected at a device, and whether it will be asked for.
pub(crate) fn refusals(world: &World, device: usize) -> Vec<(Reason, bool)> {
    let events = world.devices[device].record.events.iter();
    let refusals = events.filter_map(|event| match event {
        Event::Rejected { reason, recoverable, .. } => Some((*reason, *recoverable)),
        _ => None,
    });
    refusals.collect()
}

/// What a device has sent that contains `what`, in order.
pub(crate) fn sent(world: &World, device: usize, what: &str) -> Vec<String> {
    let jid = &world.devices[device].full_jid;
    let out = world.server.log.iter().filter(|crossing| crossing.way == Way::Out && crossing.client == *jid);
    out.filter(|crossing| crossing.stanza.contains(what)).map(|crossing| crossing.stanza.clone()).collect()
}

/// A message as the engine gets it from the application.
pub(crate) fn message(to: &str, id: &str, text: &str) -> String {
    format!("<message to='{to}' type='chat' id='{id}'><body>{text}</body></message>")
}

/// Handles one input, stores the batch, and gives the effects without carrying them out.
pub(crate) fn apply(device: &mut Device, env: &mut Env<'_>, input: Input<'_>) -> Vec<Effect> {
    let mut store = device.store.clone();
    let step = device.engine_mut().handle(env, input).unwrap();
    let effects = step.persist(|batch| store.apply(batch)).unwrap();
    device.store = store;
    effects
}

/// Generation, and key and value of each record.
pub(crate) type Content = (u64, Vec<(Vec<u8>, Vec<u8>)>);

/// Everything a store holds, to be compared.
pub(crate) fn content(store: &MemoryStore) -> Content {
    let stored = store.load().unwrap();
    let records = stored.records.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec()));
    (stored.generation, records.collect())
}

/// The stanzas that effects send.
pub(crate) fn sends(effects: &[Effect]) -> Vec<String> {
    let stanzas = effects.iter().filter_map(|effect| match effect {
        Effect::Send { stanza, .. } => Some(stanza.as_str().to_owned()),
        _ => None,
    });
    stanzas.collect()
}

/// The next stanza for a device, handled but without carrying out what it causes.
pub(crate) fn receive(world: &mut World, device: usize) -> Vec<Effect> {
    let stanza = world.with(device, |device, server, _| server.receive(&device.full_jid)).expect("a stanza");
    world.with(device, |device, _, env| apply(device, env, Input::Received(&stanza)))
}
