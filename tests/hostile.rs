//! Bad input of every sort: each is one event, and nothing else has changed. What was sent in its
//! place is then read.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use xmpp_e2e::suite::{
    Aead, CHACHA20_POLY1305, ED25519, Level, Refused, SHA_256, SUITE_CLASSICAL, Suite, SuiteId, Suites,
    X25519,
};
use xmpp_e2e::{Event, Malformed, Misbehaviour, Reason, Unreadable};
use xmpp_e2e_testkit::World;
use xmpp_e2e_testkit::device::Job;
use xmpp_e2e_testkit::wire::{Catch, Snapshot, bytes_in, is_protected, with_bytes, with_text};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";
const PHONE: &str = "alice@example.com/phone";
const DESK: &str = "bob@example.org/desk";

/// Bob before a stanza of Alice's that the test has in hand.
struct Case {
    world: World,
    stanza: String,
    bob: Snapshot,
}

impl Case {
    /// A message in a session that both have used.
    fn established(seed: u64) -> Self {
        let mut world = World::pair(seed);
        world.say(World::ALICE, BOB, "before");
        world.run();
        world.say(World::BOB, ALICE, "answer");
        world.run();
        Self::next(world)
    }

    /// A first flight.
    fn flight(seed: u64) -> Self {
        let mut world = World::new(seed);
        for full in [PHONE, DESK] {
            let device = world.add(full);
            world.devices[device].config.suites = Suites::new(&[&SUITE_CLASSICAL]).unwrap();
            world.devices[device].restore();
        }
        world.server.befriend(ALICE, BOB);
        world.connect(World::ALICE);
        world.connect(World::BOB);
        world.run();
        let case = Self::next(world);
        assert_eq!(case.bytes()[0], 2);
        case
    }

    fn next(mut world: World) -> Self {
        let catch = Catch::new(&mut world.server, DESK, is_protected);
        world.say(World::ALICE, BOB, "x");
        world.run();
        world.server.tamper = None;
        let (stanza, bob) = (catch.one(), Snapshot::of(&world, World::BOB));
        Self { world, stanza, bob }
    }

    fn bytes(&self) -> Vec<u8> {
        bytes_in(&self.stanza, "e", 0)
    }

    /// The stanza with other bytes in the element.
    fn with(&self, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = self.bytes();
        change(&mut bytes);
        with_bytes(&self.stanza, "e", 0, &bytes)
    }

    /// The stanza with something written otherwise.
    fn edit(&self, from: &str, to: &str) -> String {
        assert!(self.stanza.contains(from), "{from} in {}", self.stanza);
        self.stanza.replacen(from, to, 1)
    }

    /// Bob refuses it for this reason, and reads the true stanza.
    fn refused(&mut self, stanza: &str, expected: impl Into<Reason>) {
        self.bob.put_back(&mut self.world);
        assert_eq!(reason(&self.bob.refuses(&mut self.world, stanza, "bad")), expected.into(), "{stanza}");
        self.world.step(World::BOB, Job::Received(self.stanza.clone()));
        assert_eq!(self.world.devices[World::BOB].record.bodies(), ["x"]);
    }
}

fn reason(event: &Event) -> Reason {
    let Event::Rejected { reason, .. } = event else { panic!("{event:?}") };
    *reason
}

#[test]
fn oversized_stanzas() {
    let mut case = Case::established(1);
    let large = case.edit("</message>", &format!("<x xmlns='y'>{}</x></message>", "a".repeat(262_144)));
    case.refused(&large, Malformed::TooLarge);
    let large = with_text(&case.stanza, "e", 0, &"A".repeat(260_000));
    case.refused(&large, Malformed::Version);
    let attributes = (0..40).map(|n| format!(" a{n}=''")).collect::<Vec<_>>().concat();
    let many = case.edit("<message", &format!("<message{attributes}"));
    case.refused(&many, Malformed::TooLarge);
}

#[test]
fn deep_nesting() {
    let mut case = Case::established(2);
    for depth in [64, 10_000] {
        let nested = format!("{}{}</message>", "<a>".repeat(depth), "</a>".repeat(depth));
        let deep = case.edit("</message>", &nested);
        case.refused(&deep, Malformed::TooDeep);
    }
}

#[test]
fn xml_that_xmpp_forbids() {
    let mut case = Case::established(3);
    for (bad, expected) in [
        ("<a:b/></message>", Malformed::Xml),
        ("<b a:c=''/></message>", Malformed::Xml),
        ("<!-- --></message>", Malformed::ForbiddenXml),
        ("<?a?></message>", Malformed::ForbiddenXml),
        ("<a>&b;</a></message>", Malformed::ForbiddenXml),
        ("<a>\u{1}</a></message>", Malformed::Xml),
        ("<a>&#1;</a></message>", Malformed::Xml),
        ("<a b='\u{FFFF}'/></message>", Malformed::Xml),
        ("<a b='1' b='2'/></message>", Malformed::Xml),
        ("<a xmlns:c='d' xmlns:e='d' c:b='1' e:b='2'/></message>", Malformed::Xml),
        ("<a></message>", Malformed::Xml),
        ("</message><message/>", Malformed::Xml),
    ] {
        let bad = case.edit("</message>", bad);
        case.refused(&bad, expected);
    }
    let doctype = format!("<!DOCTYPE message [<!ENTITY b 'c'>]>{}", case.stanza);
    case.refused(&doctype, Malformed::ForbiddenXml);
}

#[test]
fn invalid_base64() {
    let mut case = Case::established(4);
    let text = |stanza: &str| {
        let start = stanza.find("<e ").unwrap();
        let start = start + stanza[start..].find('>').unwrap() + 1;
        stanza[start..start + stanza[start..].find('<').unwrap()].to_owned()
    };
    let good = text(&case.stanza);
    let (half, rest) = good.split_at(8);
    for bad in [
        String::new(),
        "A".to_owned(),
        "QUE".to_owned(),
        "QUF=".to_owned(),
        format!("{half}\n{rest}"),
        format!("{half} {rest}"),
        format!("{half}-{}", &rest[1..]),
        format!("{half}={}", &rest[1..]),
        format!("{good}===="),
        format!("{half}<a/>{rest}"),
    ] {
        let bad = with_text(&case.stanza, "e", 0, &bad);
        case.refused(&bad, Malformed::Encoding);
    }
}

#[test]
fn unknown_versions_of_the_element() {
    let mut case = Case::established(5);
    for kind in [0, 4, 0x11, 0xFF] {
        let bad = case.with(|bytes| bytes[0] = kind);
        case.refused(&bad, Malformed::Version);
    }
}

#[test]
fn an_unknown_version_of_the_advert() {
    let mut world = World::pair(6);
    let presence = last_advert(&world);
    let mut bytes = bytes_in(&presence, "e2e", 0);
    bytes[0] = 1;
    let bob = Snapshot::of(&world, World::BOB);
    bob.put_back(&mut world);
    let event = bob.refuses(&mut world, &with_bytes(&presence, "e2e", 0, &bytes), "version");
    assert_eq!(reason(&event), Malformed::Version.into());
}

/// The last presence of Alice's that Bob got.
fn last_advert(world: &World) -> String {
    let mut log = world.server.log.iter().rev().filter(|entry| entry.client == DESK);
    let from = format!("from='{PHONE}'");
    let presence = |stanza: &str| stanza.starts_with("<presence") && stanza.contains(&from);
    let found = log.find(|entry| presence(&entry.stanza) && entry.stanza.contains("<e2e "));
    found.expect("an advert of Alice's").stanza.clone()
}

/// Seals what no honest engine does: chat texts as an unknown kind, and control characters.
struct Evil;

impl Aead for Evil {
    fn key_len(&self) -> usize {
        CHACHA20_POLY1305.key_len()
    }

    fn nonce_len(&self) -> usize {
        CHACHA20_POLY1305.nonce_len()
    }

    fn tag_len(&self) -> usize {
        CHACHA20_POLY1305.tag_len()
    }

    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        if let Some(at) = buffer.windows(3).position(|window| window == b"SOH") {
            buffer[at] = 1;
        }
        if buffer.windows(4).any(|window| window == b"kind") {
            buffer[0] = 77;
        }
        CHACHA20_POLY1305.seal(key, nonce, aad, buffer)
    }

    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        CHACHA20_POLY1305.open(key, nonce, aad, buffer)
    }
}

static EVIL: Suite = Suite {
    id: SuiteId(1),
    name: "evil",
    level: Level::CLASSICAL,
    agreement: X25519,
    kem: None,
    aead: &Evil,
    hash: SHA_256,
    signature: ED25519,
};

#[test]
fn authentic_contents_that_are_not_as_defined() {
    let mut world = World::new(7);
    world.add(PHONE);
    world.devices[World::ALICE].config.suites = Suites::new(&[&EVIL]).unwrap();
    world.devices[World::ALICE].restore();
    world.add(DESK);
    world.server.befriend(ALICE, BOB);
    world.connect(World::ALICE);
    world.connect(World::BOB);
    world.run();
    world.say(World::ALICE, BOB, "before");
    world.run();
    assert_eq!(world.devices[World::BOB].record.bodies(), ["before"]);
    for (text, expected) in [("an unknown kind", Malformed::Version), ("a SOH", Malformed::Encoding)] {
        let mut case = {
            let catch = Catch::new(&mut world.server, DESK, is_protected);
            world.say(World::ALICE, BOB, text);
            world.run();
            world.server.tamper = None;
            catch.one()
        };
        let bob = Snapshot::of(&world, World::BOB);
        bob.put_back(&mut world);
        assert_eq!(reason(&bob.refuses(&mut world, &case, text)), expected.into());
        // The same again is no more than that.
        case = case.replacen("<message", "<message xml:lang='en'", 1);
        assert_eq!(reason(&bob.refuses(&mut world, &case, text)), expected.into());
    }
    world.say(World::ALICE, BOB, "after");
    world.run();
    assert_eq!(world.devices[World::BOB].record.bodies(), ["after"]);
}

#[test]
fn unknown_suites_in_a_flight() {
    let mut case = Case::flight(8);
    for suite in [0_u16, 2, 7, 0x0A0A, 0xFFFF] {
        let bad = case.with(|bytes| bytes[9..11].copy_from_slice(&suite.to_be_bytes()));
        case.refused(&bad, Misbehaviour::WrongSuite);
    }
}

/// Encodings of public keys that must not be taken: of small order, or of a value not below
/// 2^255 - 19, which would be a second spelling.
fn bad_keys() -> Vec<[u8; 32]> {
    let mut one = [0; 32];
    one[0] = 1;
    let mut p = [0xFF; 32];
    (p[0], p[31]) = (0xED, 0x7F);
    let mut minus_one = p;
    minus_one[0] = 0xEC;
    let mut nine_more = p;
    nine_more[0] = 0xF6;
    let mut top_bit = [0; 32];
    (top_bit[0], top_bit[31]) = (9, 0x80);
    vec![[0; 32], one, minus_one, p, nine_more, [0xFF; 32], top_bit]
}

#[test]
fn all_zero_agreement_and_keys_in_no_canonical_encoding() {
    let mut established = Case::established(9);
    let mut flight = Case::flight(10);
    // Type, two devices; suite, record, one-time prekey, KEM prekey; the length of e.
    assert_eq!(flight.bytes()[23], 32);
    for key in bad_keys() {
        let bad = established.with(|bytes| bytes[10..42].copy_from_slice(&key));
        established.refused(&bad, Misbehaviour::BadKey);
        let bad = flight.with(|bytes| bytes[24..56].copy_from_slice(&key));
        flight.refused(&bad, Misbehaviour::BadKey);
    }
}

#[test]
fn lengths_that_are_not_minimal() {
    let mut flight = Case::flight(11);
    let bad = flight.with(|bytes| drop(bytes.splice(23..24, [0x40, 32])));
    flight.refused(&bad, Malformed::Encoding);
    let bad = flight.with(|bytes| drop(bytes.splice(23..24, [0x80, 0, 0, 32])));
    flight.refused(&bad, Malformed::Encoding);
    let mut established = Case::established(12);
    // Behind the ratchet key: n, pn, epoch, and the length of the fields.
    assert_eq!(established.bytes()[45], 0);
    for at in [42, 43, 45] {
        let bad = established.with(|bytes| {
            let short = bytes[at];
            drop(bytes.splice(at..=at, [0x40, short]));
        });
        established.refused(&bad, Malformed::Encoding);
    }
}

#[test]
fn another_addressee_or_sender() {
    for case in [&mut Case::established(18), &mut Case::flight(19)] {
        let first = case.bytes()[0] == 2;
        let bad = case.edit("to='bob@example.org'", "to='carol@example.org'");
        case.refused(&bad, Misbehaviour::WrongSubject);
        let bad = case.edit("to='bob@example.org'", "to='@'");
        case.refused(&bad, Malformed::Jid);
        let bad = case.edit("from='alice@example.com/phone'", "from='carol@example.com/phone'");
        case.refused(&bad, if first { Reason::Unauthentic } else { Unreadable::NoSession.into() });
        let bad = case.edit("from='alice@example.com/phone'", "from='bob@example.org/phone'");
        case.refused(&bad, if first { Reason::Unauthentic } else { Unreadable::NoSession.into() });
    }
}

#[test]
fn another_type() {
    for case in [&mut Case::established(20), &mut Case::flight(21)] {
        for (to, expected) in [
            ("type='normal'", Reason::Unauthentic),
            ("", Reason::Unauthentic),
            ("type='headline'", Reason::Unauthentic),
            ("type='groupchat'", Malformed::Stanza.into()),
            ("type='error'", Unreadable::Bounced.into()),
        ] {
            let bad = case.edit("type='chat'", to);
            case.refused(&bad, expected);
        }
    }
}

#[test]
fn a_message_for_another_device() {
    for case in [&mut Case::established(22), &mut Case::flight(23)] {
        let bad = case.with(|bytes| bytes[8] ^= 1);
        case.refused(&bad, Unreadable::NotForThisDevice);
    }
}

#[test]
fn a_handshake_naming_another_record() {
    let mut case = Case::flight(24);
    for sequence in [0, 2, u32::MAX] {
        let bad = case.with(|bytes| bytes[11..15].copy_from_slice(&u32::to_be_bytes(sequence)));
        case.refused(&bad, Unreadable::NoPrekey);
    }
    for prekey in [1, 0xFFFF_FFFF] {
        let bad = case.with(|bytes| bytes[15..19].copy_from_slice(&u32::to_be_bytes(prekey)));
        case.refused(&bad, Unreadable::NoPrekey);
    }
}

/// The copy for one's own other device, moved into the conversation with oneself.
#[test]
fn a_message_moved_to_another_conversation() {
    let mut world = World::pair(25);
    let tablet = world.add("alice@example.com/tablet");
    world.connect(tablet);
    world.run();
    world.say(World::ALICE, BOB, "before");
    world.run();
    let catch = Catch::new(&mut world.server, DESK, is_protected);
    world.say(World::ALICE, BOB, "x");
    world.run();
    let stanza = catch.one();
    assert_eq!(bytes_in(&stanza, "e", 0)[0], 3);
    let snapshot = Snapshot::of(&world, tablet);
    snapshot.put_back(&mut world);
    let moved = stanza.replacen("to='bob@example.org'", "to='alice@example.com'", 1);
    let event = snapshot.refuses(&mut world, &moved, "moved");
    assert_eq!(reason(&event), Reason::Unauthentic);
    world.step(World::BOB, Job::Received(stanza));
    assert_eq!(world.devices[World::BOB].record.bodies(), ["before", "x"]);
}
