//! Stanzas of every kind, with every need, and the answers to them.

use xmpp_e2e::{Authentication, Tree};

use super::*;

/// The node that applications publish in.
const NODE: &str = "urn:x:node";

/// A question that was delivered.
pub(super) struct Inquiry {
    from: String,
    id: String,
}

/// What belongs to a stream: the questions of this device, and those of others to it.
#[derive(Default)]
pub(super) struct Iqs {
    /// Under their tokens: to whom, with which id.
    asked: BTreeMap<u64, (String, String)>,
    /// Those sent and not answered; nothing if that is not known.
    open: Option<Vec<u64>>,
    pub(super) inquiries: Vec<Inquiry>,
    /// Under their tokens: which question they are for.
    answers: BTreeMap<u64, (String, String)>,
}

impl Iqs {
    /// A new stream: nothing is open.
    pub(super) fn new_stream(&mut self) {
        self.open = Some(Vec::new());
        self.inquiries.clear();
    }

    /// The store or the effects are not those of what happened.
    pub(super) fn forget(&mut self) {
        self.open = None;
        self.inquiries.clear();
    }

    /// An answer is delivered only for a question that is open, and once.
    pub(super) fn check(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Sent { token, .. } if self.asked.contains_key(&token.0) => {
                    self.open.iter_mut().for_each(|open| open.push(token.0));
                }
                Effect::Sent { token, .. } => {
                    if let Some((to, id)) = self.answers.get(&token.0) {
                        self.inquiries.retain(|known| (&known.from, &known.id) != (to, id));
                    }
                }
                Effect::Failed { token, why: SendError::Bounced } => {
                    self.open.iter_mut().for_each(|open| open.retain(|known| *known != token.0));
                }
                Effect::Deliver { stanza, protection, again: false, .. }
                    if stanza.as_str().starts_with("<iq") =>
                {
                    let signed = matches!(protection, Protection::Signed { .. });
                    self.delivered(stanza.as_str(), signed);
                }
                _ => {}
            }
        }
    }

    fn delivered(&mut self, xml: &str, signed: bool) {
        let mut iq = Infoset::of(xml);
        let (from, id, kind) = (iq.take("from"), iq.take("id"), iq.take("type"));
        if matches!(&*kind, "get" | "set") {
            // A signature asks for no protection of the answer. Others are not those of these devices.
            let plain = |c: char| c.is_ascii_alphanumeric() || "@./-".contains(c);
            if !signed && !from.is_empty() && from.chars().all(plain) && id.chars().all(plain) {
                self.inquiries.retain(|known| (&known.from, &known.id) != (&from, &id));
                self.inquiries.push(Inquiry { from, id });
            }
            return;
        }
        let Some(open) = &mut self.open else { return };
        let place = open.iter().position(|token| self.asked.get(token) == Some(&(from.clone(), id.clone())));
        let place = place.expect("an answer that nobody waits for");
        open.remove(place);
    }
}

impl World {
    pub(super) fn operate_on_stanzas(&mut self, which: u8, [a, b, c]: [u8; 3]) {
        let i = usize::from(a) % self.devices.len();
        match which {
            0..=5 => self.compose(i, b, c),
            6..=9 => self.question(i, b, c),
            10..=13 => self.reply(i, b, c),
            14..=16 => self.directed(i, b, c),
            17 | 18 => self.publish(i, b, c),
            19 | 20 => self.item(i, b, c),
            21..=28 => self.edit(a, b, c),
            29 | 30 => self.copy(a, b, c),
            31 => self.answer_in_clear(i, b, c),
            _ => {
                self.disconnect(i);
                self.connect(i, b & 1 == 1);
                if b & 2 == 0 {
                    self.presence(i, "<presence/>");
                }
            }
        }
    }

    /// A need, and whether it shows what is said.
    fn need(&mut self, i: usize, c: u8) -> (Need, bool) {
        let session = Authentication::session(Level(c >> 6));
        let signed = Authentication::signed();
        let authentication = match c & 15 {
            0..=3 => return (Need::Policy, false),
            4..=6 => return (Need::Encrypted(Level(c >> 6)), false),
            7 => {
                let consent = self.devices[i].consents.pop();
                return (consent.map_or(Need::Policy, Need::Clear), false);
            }
            8 | 9 => session,
            10 | 11 => session.with_copy(),
            12 => signed,
            13 => signed.for_anyone(),
            14 => signed.with_copy(),
            _ => signed.with_copy().for_anyone(),
        };
        (Need::Authenticated(authentication), true)
    }

    /// Hands a stanza in; `clear` says that it may go out as it is.
    fn hand_in(&mut self, i: usize, stanza: &str, token: u64, (need, shown): (Need, bool), clear: bool) {
        self.note_said(i, stanza, shown);
        let class = match need {
            Need::Clear(_) => Class::Wish,
            _ => Class::Outgoing { token, clear: clear && need == Need::Policy },
        };
        self.outgoing = Some(stanza.to_owned());
        let input = || Input::Outgoing { stanza, token: Token(token), need: need.clone() };
        self.step(i, class, &input);
        self.outgoing = None;
    }

    fn encrypts(&self, i: usize, jid: &str) -> bool {
        let device = &self.devices[i];
        let known = device.engine.contact(jid).ok().flatten();
        !device.left && known.is_some_and(|known| known.encrypts)
    }

    /// A message with more than a body.
    pub(super) fn compose(&mut self, i: usize, b: u8, c: u8) {
        let (to, resource) = DEVICES[usize::from(b) % DEVICES.len()];
        let resource = if b & 64 == 0 { String::new() } else { format!("/{resource}") };
        let token = self.token();
        let need = self.need(i, c);
        let mark = if need.1 { SHOWN } else { MARK };
        let text = format!("{mark}{token}.");
        let attributes = ["", " xml:lang='fr'", " custom='1'", ""][usize::from(c >> 4 & 3)];
        let kind = ["chat", "normal", "headline"][usize::from(b >> 4 & 3) % 3];
        let inside = match b >> 2 & 3 {
            0 => format!("<body>{text}</body><body xml:lang='de'>{text}</body>"),
            1 => format!("<x xmlns='urn:x' y='&#9;'>{text}&#13;</x><store xmlns='urn:xmpp:hints'/>"),
            2 => format!("{text}<a xmlns='urn:a'><b xmlns=''/><c xmlns='urn:c'>{text}</c></a>"),
            _ => format!("<subject>{text}</subject><origin-id xmlns='urn:xmpp:sid:0' id='o{token}'/>"),
        };
        let stanza = format!(
            "<message to='{to}{resource}' type='{kind}' id='i{token}'{attributes}>{inside}</message>"
        );
        let clear = !self.encrypts(i, to);
        self.hand_in(i, &stanza, token, need, clear);
    }

    /// An iq that asks, to a full or a bare JID.
    pub(super) fn question(&mut self, i: usize, b: u8, c: u8) {
        let (jid, resource) = DEVICES[usize::from(b) % DEVICES.len()];
        let to = if b & 0x70 == 0 { jid.to_owned() } else { format!("{jid}/{resource}") };
        let token = self.token();
        let need = self.need(i, c);
        // Ids come again.
        let id = format!("q{}", if b & 128 == 0 { token } else { u64::from(b & 4) });
        let mark = if need.1 { SHOWN } else { MARK };
        let kind = ["get", "set"][usize::from(b >> 3 & 1)];
        let stanza = format!(
            "<iq to='{to}' type='{kind}' id='{id}'><a xmlns='urn:a' b='{mark}{token}.'><c/></a></iq>"
        );
        if !matches!(need.0, Need::Authenticated(how) if is_signed(how)) {
            self.devices[i].iqs.asked.insert(token, (to, id));
        }
        self.hand_in(i, &stanza, token, need, true);
    }

    /// The application answers a question that was delivered.
    pub(super) fn reply(&mut self, i: usize, b: u8, c: u8) {
        let inquiries = &self.devices[i].iqs.inquiries;
        if inquiries.is_empty() {
            return;
        }
        let place = usize::from(b) % inquiries.len();
        let Inquiry { from, id } = &inquiries[place];
        let (to, id) = (from.clone(), id.clone());
        let token = self.token();
        let need = self.need(i, c);
        let mark = if need.1 { SHOWN } else { MARK };
        let text = format!("{mark}{token}.");
        let (kind, inside) = match b >> 6 {
            0 => ("error", format!("<error type='auth'><text>{text}</text></error>")),
            1 => ("result", String::new()),
            _ => ("result", format!("<is xmlns='urn:is'>{text}</is>")),
        };
        let stanza = format!("<iq to='{to}' type='{kind}' id='{id}'>{inside}</iq>");
        self.devices[i].iqs.answers.insert(token, (to, id));
        // However late, it is not in clear.
        self.hand_in(i, &stanza, token, need, false);
    }

    /// Presence for somebody.
    pub(super) fn directed(&mut self, i: usize, b: u8, c: u8) {
        let (jid, resource) = DEVICES[usize::from(b) % DEVICES.len()];
        let to = if b & 0x70 == 0 { jid.to_owned() } else { format!("{jid}/{resource}") };
        let token = self.token();
        let need = self.need(i, c);
        let mark = if need.1 { SHOWN } else { MARK };
        let kind = if b & 12 == 12 { " type='unavailable'" } else { "" };
        let inside = match b >> 2 & 3 {
            0 => String::new(),
            1 => "<show>away</show>".to_owned(),
            _ => format!("<show>dnd</show><status xml:lang='de'>{mark}{token}.</status>"),
        };
        let stanza = format!("<presence to='{to}'{kind} id='p{token}'>{inside}</presence>");
        let clear = to.contains('/') || !self.encrypts(i, jid);
        self.hand_in(i, &stanza, token, need, clear);
    }

    /// Publishes an item.
    pub(super) fn publish(&mut self, i: usize, b: u8, c: u8) {
        let token = self.token();
        let need = self.need(i, c | 12);
        let inside = match b & 3 {
            0 => format!("<tune xmlns='urn:tune'><artist>{SHOWN}{token}.</artist></tune>"),
            1 => format!("<tune xmlns='urn:tune' a='&#10;'>{SHOWN}{token}.&#13;</tune>"),
            2 => format!("<x:tune xmlns:x='urn:tune' x:a='{SHOWN}{token}.'>text<b xmlns=''/></x:tune>"),
            _ => "<body>b</body>".to_owned(),
        };
        let stanza = format!(
            "<iq type='set' id='u{token}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <publish node='{NODE}'><item id='n{}'>{inside}</item></publish></pubsub></iq>",
            b >> 6
        );
        self.hand_in(i, &stanza, token, need, true);
    }

    /// Verifies an item as it is shown, or as somebody altered it.
    pub(super) fn item(&mut self, i: usize, b: u8, c: u8) {
        let jid = DEVICES[usize::from(b) % DEVICES.len()].0;
        let Some(items) = self.published.get(&(jid.to_owned(), NODE.to_owned())) else { return };
        if items.is_empty() {
            return;
        }
        let (item, shown) = items[usize::from(b >> 2) % items.len()].clone();
        let shown = if c & 1 == 0 { shown } else { altered(&shown, c, "").unwrap_or(shown) };
        let Ok(tree) = Tree::parse(&shown) else { return };
        let item = if c == 255 { "other" } else { &*item };
        let now = Timestamp::from_millis(self.now);
        let verified = self.devices[i].engine.item(now, jid, NODE, item, &tree).expect("a JID");
        if let Ok(verified) = verified
            && !self.hostile
        {
            self.check_item(jid, NODE, item, verified.payload.as_str());
        }
    }

    /// An answer in clear to a question.
    pub(super) fn answer_in_clear(&mut self, i: usize, b: u8, c: u8) {
        let asked: Vec<_> = self.devices[i].iqs.asked.values().cloned().collect();
        if asked.is_empty() {
            return;
        }
        let (from, id) = &asked[asked.len() - 1 - usize::from(b) % asked.len()];
        let kind = ["result", "error"][usize::from(c & 1)];
        let text = format!("<iq type='{kind}' from='{from}' id='{id}'><error type='cancel'/></iq>");
        self.receive(i, &text, false);
    }

    /// The server's copy of a message, to a device of its sender or of the account addressed.
    pub(super) fn copy(&mut self, a: u8, b: u8, c: u8) {
        let Some(flying) = self.pick(a) else { return };
        if !flying.text.starts_with("<message") {
            return;
        }
        self.replayed = true;
        let to = usize::from(b) % self.devices.len();
        let own = self.devices[to].account;
        let inner = stamp(&flying.text, &self.devices[flying.from].full_jid());
        let inner = inner.replacen("<message", "<message xmlns='jabber:client'", 1);
        let forwarded = format!("<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>");
        let text = match c & 3 {
            0 => format!("<received xmlns='urn:xmpp:carbons:2'>{forwarded}</received>"),
            1 => format!("<sent xmlns='urn:xmpp:carbons:2'>{forwarded}</sent>"),
            _ => format!("<result xmlns='urn:xmpp:mam:2' id='r'>{forwarded}</result>"),
        };
        self.receive(to, &format!("<message from='{own}'>{text}</message>"), false);
    }
}

fn is_signed(authentication: Authentication) -> bool {
    let signed = Authentication::signed();
    let all = [signed, signed.for_anyone(), signed.with_copy(), signed.with_copy().for_anyone()];
    all.contains(&authentication)
}
