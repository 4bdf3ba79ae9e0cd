//! The main paths with vodozemac.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};
use xmpp_e2e_testkit::measure::paths::{Path, SKIP, TEXT64, text64};
use xmpp_e2e_testkit::measure::{ALICE, BOB, heap};

/// The namespace of the element that holds a message.
const NS: &str = "urn:example:olm";

/// What is done around encryption.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Around {
    /// Nothing: bytes to bytes.
    Nothing,
    /// Stanza text to stanza text.
    Xml,
    /// And the sessions are serialized.
    XmlAndStore,
}

/// Two sides of a session, both of which have sent.
fn sessions() -> [Session; 2] {
    let (mut alice, mut bob, message) = first();
    assert_eq!(bob.decrypt(&message).expect("the second"), TEXT64.as_bytes());
    let answer = bob.encrypt(TEXT64).expect("it encrypts");
    alice.decrypt(&answer).expect("the answer");
    let message = alice.encrypt(TEXT64).expect("it encrypts");
    bob.decrypt(&message).expect("the third");
    [alice, bob]
}

/// Both sides of a session, and a message of the first.
fn first() -> (Session, Session, OlmMessage) {
    let mut handshake = Handshake::new();
    handshake.prepare();
    handshake.run();
    let (mut alice, bob) = handshake.made.expect("sessions");
    let message = alice.encrypt(TEXT64).expect("it encrypts");
    (alice, bob, message)
}

/// Messages of one sending chain.
pub struct Chain {
    around: Around,
    sessions: [Session; 2],
    stanza: String,
}

impl Chain {
    pub fn new(around: Around) -> Self {
        Self { around, sessions: sessions(), stanza: text64(ALICE, BOB) }
    }
}

impl Path for Chain {
    fn name(&self) -> &'static str {
        "same chain"
    }

    fn prepare(&mut self) {}

    fn run(&mut self) {
        let [alice, bob] = &mut self.sessions;
        if self.around == Around::Nothing {
            let message = alice.encrypt(TEXT64).expect("it encrypts");
            // Its bytes are what is sent.
            let (kind, bytes) = message.to_parts();
            let message = OlmMessage::from_parts(kind, &bytes).expect("it decodes");
            assert_eq!(bob.decrypt(&message).expect("it decrypts"), TEXT64.as_bytes());
            return;
        }
        let delivered = deliver(alice, bob, &self.stanza, self.around == Around::XmlAndStore);
        assert_eq!(delivered.len(), self.stanza.len());
    }
}

/// A stanza from text to text.
fn deliver(from: &mut Session, to: &mut Session, stanza: &str, store: bool) -> String {
    let stanza = read(stanza, "jabber:client", "body");
    let (kind, bytes) = from.encrypt(stanza.text.as_bytes()).expect("it encrypts").to_parts();
    if store {
        std::hint::black_box(serialized(from));
    }
    let mut element = STANDARD.encode(bytes);
    element.insert(0, if kind == 0 { '0' } else { '1' });
    let sent = write(&stanza.attributes, &format!("<e xmlns='{NS}'>{element}</e>"));

    let stanza = read(&sent, NS, "e");
    let (kind, element) = stanza.text.split_at(1);
    let bytes = STANDARD.decode(element).expect("base64");
    let message = OlmMessage::from_parts(usize::from(kind == "1"), &bytes).expect("it decodes");
    let text = to.decrypt(&message).expect("it decrypts");
    if store {
        std::hint::black_box(serialized(to));
    }
    let text = String::from_utf8(text).expect("text");
    write(&stanza.attributes, &format!("<body>{}</body>", quick_xml::escape::escape(text.as_str())))
}

fn serialized(session: &Session) -> Vec<u8> {
    serde_json::to_vec(&session.pickle()).expect("it serializes")
}

/// What is of use in a stanza.
struct Read {
    attributes: Vec<(String, String)>,
    /// The text of the child asked for.
    text: String,
}

fn read(stanza: &str, ns: &str, name: &str) -> Read {
    let mut reader = NsReader::from_str(stanza);
    let mut out = Read { attributes: Vec::new(), text: String::new() };
    let (mut depth, mut inside) = (0, false);
    loop {
        let (resolved, event) = reader.read_resolved_event().expect("well-formed");
        match event {
            Event::Start(start) => {
                if depth == 0 {
                    for attribute in start.attributes() {
                        let attribute = attribute.expect("well-formed");
                        let key = attribute.key.as_ref().to_owned();
                        let value = quick_xml::escape::unescape(attribute.value.as_ref());
                        out.attributes.push((key, value.expect("well-formed").into_owned()));
                    }
                }
                let bound = match resolved {
                    ResolveResult::Bound(bound) => bound.0 == ns,
                    _ => ns == "jabber:client",
                };
                inside = depth == 1 && bound && start.local_name().as_ref() == name;
                depth += 1;
            }
            Event::End(_) => {
                depth -= 1;
                inside = false;
            }
            Event::Text(text) if inside => out.text.push_str(text.as_ref()),
            Event::Eof => return out,
            _ => {}
        }
    }
}

fn write(attributes: &[(String, String)], children: &str) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("<message");
    for (key, value) in attributes {
        out.push(' ');
        out.push_str(key);
        out.push_str("='");
        out.push_str(&quick_xml::escape::escape(value.as_str()));
        out.push('\'');
    }
    out.push('>');
    out.push_str(children);
    out.push_str("</message>");
    out
}

/// A message there and one back, text to text.
pub struct PingPong {
    sessions: [Session; 2],
    there: String,
    back: String,
}

impl PingPong {
    pub fn new() -> Self {
        Self { sessions: sessions(), there: text64(ALICE, BOB), back: text64(BOB, ALICE) }
    }
}

impl Path for PingPong {
    fn name(&self) -> &'static str {
        "ping-pong"
    }

    fn prepare(&mut self) {}

    fn run(&mut self) {
        let [alice, bob] = &mut self.sessions;
        deliver(alice, bob, &self.there, false);
        deliver(bob, alice, &self.back, false);
    }

    fn messages(&self) -> u32 {
        2
    }
}

/// From keys to the first text read.
pub struct Handshake {
    accounts: Option<(Account, Account)>,
    made: Option<(Session, Session)>,
}

impl Handshake {
    pub fn new() -> Self {
        Self { accounts: None, made: None }
    }
}

impl Path for Handshake {
    fn name(&self) -> &'static str {
        "handshake"
    }

    fn prepare(&mut self) {
        let (alice, mut bob) = (Account::new(), Account::new());
        bob.generate_one_time_keys(1);
        self.accounts = Some((alice, bob));
    }

    fn run(&mut self) {
        let (alice, bob) = self.accounts.as_mut().expect("prepared");
        let config = SessionConfig::version_1();
        let one_time = *bob.one_time_keys().values().next().expect("one");
        let mut session = alice
            .create_outbound_session(config, bob.curve25519_key(), one_time)
            .expect("keys that contribute");
        let (kind, bytes) = session.encrypt(TEXT64).expect("it encrypts").to_parts();
        let OlmMessage::PreKey(message) = OlmMessage::from_parts(kind, &bytes).expect("it decodes") else {
            unreachable!("it is the first");
        };
        let inbound =
            bob.create_inbound_session(config, alice.curve25519_key(), &message).expect("it is accepted");
        assert_eq!(inbound.plaintext, TEXT64.as_bytes());
        self.made = Some((session, inbound.session));
    }

    fn share(&self) -> u32 {
        30
    }
}

/// The last of a thousand and one messages, the others not received.
pub struct Skip {
    to: Option<Session>,
    last: Option<OlmMessage>,
}

impl Skip {
    pub fn new() -> Self {
        Self { to: None, last: None }
    }
}

impl Path for Skip {
    fn name(&self) -> &'static str {
        "1,000 skipped"
    }

    fn prepare(&mut self) {
        let [mut alice, bob] = sessions();
        self.to = Some(bob);
        for _ in 0..=SKIP {
            self.last = Some(alice.encrypt(TEXT64).expect("it encrypts"));
        }
    }

    fn run(&mut self) {
        let (Some(to), Some(last)) = (&mut self.to, &self.last) else { return };
        assert_eq!(to.decrypt(last).expect("it decrypts"), TEXT64.as_bytes());
    }

    fn share(&self) -> u32 {
        15
    }
}

/// A message whose key was skipped.
pub struct Late {
    to: Option<Session>,
    late: Vec<OlmMessage>,
    next: Option<OlmMessage>,
}

/// As many keys as are kept.
const KEEPS: usize = 40;

impl Late {
    pub fn new() -> Self {
        Self { to: None, late: Vec::new(), next: None }
    }
}

impl Path for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn prepare(&mut self) {
        if self.late.is_empty() {
            let [mut alice, mut bob] = sessions();
            self.late = (0..=KEEPS).map(|_| alice.encrypt(TEXT64).expect("it encrypts")).collect();
            let last = self.late.pop().expect("the last");
            bob.decrypt(&last).expect("it decrypts");
            self.to = Some(bob);
        }
        self.next = self.late.pop();
    }

    fn run(&mut self) {
        let (Some(to), Some(next)) = (&mut self.to, &self.next) else { return };
        assert_eq!(to.decrypt(next).expect("it decrypts"), TEXT64.as_bytes());
    }
}

/// The bytes of a stored session, and of one in memory.
pub fn kept() -> (usize, usize) {
    const COPIES: usize = 200;
    // Both sides, so that the accounts are gone when memory is counted.
    let memory = heap::mean(COPIES / 2, |_| sessions()) / 2;
    let [alice, _] = sessions();
    (serialized(&alice).len(), memory)
}

/// The stored bytes of a skipped key.
pub fn stored_skipped() -> usize {
    let [mut alice, mut bob] = sessions();
    let before = serialized(&bob).len();
    let messages: Vec<_> = (0..=KEEPS).map(|_| alice.encrypt(TEXT64).expect("it encrypts")).collect();
    bob.decrypt(&messages[KEEPS]).expect("it decrypts");
    (serialized(&bob).len() - before) / KEEPS
}
