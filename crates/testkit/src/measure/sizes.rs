//! The bytes of what engines put on the wire.

use xmpp_e2e::suite::{Level, SUITE_CLASSICAL, Suites};
use xmpp_e2e::{Authentication, Hints, Need};

use crate::World;
use crate::measure::{ALICE, BOB, Network, Setup, bare, message};
use crate::server::Way;

/// A size, and what it must not exceed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Size {
    /// What was measured.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: usize,
    /// The bound, if it has one.
    pub bound: Option<usize>,
}

impl Size {
    /// Whether the bound is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.bound.is_none_or(|bound| self.bytes <= bound)
    }
}

/// A message of 20 characters.
const TEXT20: &str = "<body>See you at the park!</body>";

/// What chat clients commonly send around a text.
const TYPICAL: &str = "<body>See you at the park!</body><request xmlns='urn:xmpp:receipts'/>\
     <markable xmlns='urn:xmpp:chat-markers:0'/><origin-id xmlns='urn:xmpp:sid:0' id='a1b2c3d4'/>\
     <active xmlns='http://jabber.org/protocol/chatstates'/>";

/// All sizes, each of something that an engine produced.
///
/// # Panics
/// If an engine does not do what it shall.
#[must_use]
pub fn all() -> Vec<Size> {
    let mut sizes = Vec::new();
    let mut push = |name, bytes, bound: usize| {
        sizes.push(Size { name, bytes, bound: (bound > 0).then_some(bound) });
    };
    let hybrid = Setup::default();
    let classical =
        Setup { suites: Suites::new(&[&SUITE_CLASSICAL]).expect("one suite"), ..Setup::default() };
    let bare_hints = Setup { hints: Hints::Bare, ..Setup::default() };
    let archived = Setup { hints: Hints::Archived, ..Setup::default() };
    let text = |children: &str| message(ALICE, BOB, children);
    let body = |len: usize| text(&format!("<body>{}</body>", "The park. ".repeat(len / 10)));

    push("advert", advert(), 250);
    let signed = presence_signed();
    push("advert-signed", element(&signed, "e2e").len(), 250);
    push("presence-signed", signed.len(), 340);
    push("record-hybrid", record(&hybrid), 4000);
    push("record-classical", record(&classical), 0);

    push("plain20-stanza", text(TEXT20).len(), 0);
    let mut network = Network::session(1, &hybrid);
    let stanza = network.protect(0, &text(TEXT20));
    push("chat20", element(&stanza, "e").len(), 160);
    let stanza = network.protect(0, &body(200));
    push("chat200", element(&stanza, "e").len(), 0);
    push("chat20-stanza-bare", Network::session(1, &bare_hints).protect(0, &text(TEXT20)).len(), 270);
    push("chat20-stanza-archived", Network::session(1, &archived).protect(0, &text(TEXT20)).len(), 0);
    push("chat20-stanza-pushed", Network::session(1, &hybrid).protect(0, &text(TEXT20)).len(), 360);
    push("plain20-typical", text(TYPICAL).len(), 0);
    push("chat20-typical", Network::session(1, &hybrid).protect(0, &text(TYPICAL)).len(), 0);
    push("chat20-3dev", element(&several(3).protect(0, &text(TEXT20)), "e").len(), 520);
    push("chat20-5dev-stanza", several(5).protect(0, &text(TEXT20)).len(), 1000);
    push("first-classical", first(&classical, true), 700);
    push("first-classical-offline", first(&classical, false), 700);
    push("first-hybrid", first(&hybrid, true), 2400);
    push("first-hybrid-offline", first(&hybrid, false), 2400);
    let mut network = Network::session(1, &hybrid);
    let session = Authentication::session(Level::HYBRID);
    let stanza = network.protect_with(0, &text(TEXT20), Need::Authenticated(session));
    push("auth-only-session20", element(&stanza, "auth").len(), 210);
    let stanza = network.protect_with(0, &text(TEXT20), Need::Authenticated(session.with_copy()));
    push("auth-only-copied20", element(&stanza, "auth").len(), 250);
    let signed = Authentication::signed();
    let stanza = network.protect_with(0, &text(TEXT20), Need::Authenticated(signed));
    push("auth-only-signed20", element(&stanza, "signed").len(), 260);
    let ping = format!("<iq to='{BOB}' type='get' id='a1'><ping xmlns='urn:xmpp:ping'/></iq>");
    push("plain-iq-ping", ping.len(), 0);
    push("iq-ping", network.protect(0, &ping).len(), 260);
    let [new, known] = log_ins(500);
    push("presence-500-known-out", known.out, 700);
    push("presence-500-known-in", known.into, 130_000);
    push("presence-500-known-iqs", known.iqs, 2);
    push("presence-500-new-out", new.out, 190_000);
    push("presence-500-new-in", new.into, 1_600_000);
    push("presence-500-new-iqs", new.iqs, 1_010);
    sizes
}

/// The element in a broadcast presence.
fn advert() -> usize {
    let mut network = Network::pair(1, &Setup::default());
    network.hand_in(0, "<presence/>");
    let presence = network.devices[0].out.pop_front().expect("it goes out");
    element(&presence, "e2e").len()
}

/// A broadcast presence that is signed.
fn presence_signed() -> String {
    let mut network = Network::pair(1, &Setup { sign_presence: true, ..Setup::default() });
    network
        .hand_in(0, "<presence><show>away</show><status>Back at eight, after the walk</status></presence>");
    network.devices[0].out.pop_front().expect("it goes out")
}

/// The element in the item of the PEP node.
fn record(setup: &Setup) -> usize {
    let network = Network::pair(1, setup);
    let key = (bare(ALICE).to_owned(), "urn:xmpp:e2e:0:device".to_owned());
    let (_, payload) = &network.pep[&key][0];
    payload.len()
}

/// The element of a first message, to a device that is online, or off so that its one-time
/// prekeys cannot be asked for.
fn first(setup: &Setup, online: bool) -> usize {
    let mut network = Network::pair(1, setup);
    if !online {
        let gone = format!("<presence from='{BOB}' type='unavailable'/>");
        network.step(0, xmpp_e2e::Input::Received(&gone));
    }
    element(&network.protect(0, &message(ALICE, BOB, TEXT20)), "e").len()
}

/// A session of one device with each of `count` devices of another account, all answered.
fn several(count: usize) -> Network {
    let mut network = Network::new(1);
    network.add(ALICE, &Setup::default());
    network.connect(0, true);
    for number in 0..count {
        let resource = if number == 0 { BOB.to_owned() } else { format!("{}/{number}", bare(BOB)) };
        network.add(&resource, &Setup::default());
        network.connect(number + 1, true);
    }
    for device in 0..count {
        network.talk(0, device + 1, "hello");
    }
    network
}

/// What a log-in costs beside plain XMPP: adverts and iqs.
#[derive(Clone, Copy, Debug, Default)]
struct LogIn {
    out: usize,
    into: usize,
    /// Requests.
    iqs: usize,
}

/// The first log-in of a device, with so many contacts online whose keys it does not know, and the
/// second.
fn log_ins(contacts: usize) -> [LogIn; 2] {
    let mut world = World::new(1);
    world.server.silent = true;
    world.add_crowd(bare(ALICE), contacts, None);
    let alice = world.add(ALICE);
    world.server.silent = false;
    [(); 2].map(|()| {
        world.server.log.clear();
        world.connect(alice);
        world.run();
        let mut cost = LogIn::default();
        for crossing in world.server.log.iter().filter(|crossing| crossing.client == ALICE) {
            let stanza = &crossing.stanza;
            let iq = stanza.starts_with("<iq ");
            let bytes = if iq {
                stanza.len()
            } else if stanza.contains("<e2e ") {
                element(stanza, "e2e").len()
            } else {
                0
            };
            match crossing.way {
                Way::In => cost.into += bytes,
                Way::Out => cost.out += bytes,
            }
            cost.iqs += usize::from(iq && crossing.way == Way::Out);
        }
        world.disconnect(alice);
        world.run();
        cost
    })
}

/// The element of this name in a stanza.
fn element<'s>(stanza: &'s str, name: &str) -> &'s str {
    let start = stanza.find(&format!("<{name} ")).expect("there is one");
    let end = format!("</{name}>");
    let len = stanza[start..].find(&end).expect("it has an end");
    &stanza[start..start + len + end.len()]
}
