//! Signed statements over stanzas that stay in clear, and over items of pubsub nodes.

use core::time::Duration;

use crate::NS;
use crate::agent::Operation;
use crate::engine::Engine;
use crate::engine::asks::operation;
use crate::engine::deliver::Given;
use crate::engine::draft::{Done, Draft};
use crate::engine::iq::is_answer;
use crate::engine::receive::Incoming;
use crate::engine::records::Purpose;
use crate::engine::seal::digests_of;
use crate::engine::send::Attempt;
use crate::env::Timestamp;
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason, Unreadable};
use crate::identity::DeviceCertificate;
use crate::jid::BareJid;
use crate::session::StanzaKind;
use crate::signed::{
    Covered, MAX_SIGNED, MAX_STATEMENT_LIFE, Signed, SignedIn, SignedTbs, Statement, StatementKind,
};
use crate::stanza::canonical::{Reduced, is_fragile};
use crate::stanza::{
    CLIENT_NS, Element, IQ, MAX_STANZA, MESSAGE, Node, Tree, is_out_of_place, parse, parse_children,
    write_children, write_stanza,
};
use crate::step::{Coverage, Effect, Event, Form, Inbound, SendError, Token, Via, Waiting};
use crate::trust::Trust;
use crate::wire::{from_base64, to_base64};

/// The element that a signature stands in.
pub(super) const SIGNED: &str = "signed";

/// A statement is good for so long: what lies in an offline store is read by then. An archive gives it later too.
const STATEMENT_LIFE: Duration = MAX_STATEMENT_LIFE;

/// PEP and other nodes (XEP-0060).
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// An item being published: its node, its id, and what it holds.
struct Publication<'e, 'a> {
    node: &'e str,
    id: &'e str,
    payload: &'e Element<'a>,
}

/// The item that an iq publishes, if it is one and has one payload.
fn publication<'e, 'a>(iq: &'e Element<'a>) -> Option<Publication<'e, 'a>> {
    if !iq.is(CLIENT_NS, IQ) || iq.attr("type") != Some("set") {
        return None;
    }
    let publish = iq.child(PUBSUB, "pubsub")?.child(PUBSUB, "publish")?;
    let mut items = publish.elements().filter(|item| item.is(PUBSUB, "item"));
    let (item, None) = (items.next()?, items.next()) else { return None };
    let mut payloads = item.elements();
    let (payload, None) = (payloads.next()?, payloads.next()) else { return None };
    Some(Publication { node: publish.attr("node")?, id: item.attr("id").unwrap_or_default(), payload })
}

/// Whether an iq publishes one item, which can be signed.
pub(super) fn is_publication(iq: &Element<'_>) -> bool {
    publication(iq).is_some()
}

/// The payload of a signed item, without the signature.
fn item_payload<'a>(payload: &Element<'a>) -> Element<'a> {
    let mut payload = payload.clone();
    payload.remove_children_in(NS);
    payload
}

/// The signature in the payload of an item; none if there are two.
pub(super) fn item_signature<'e, 'a>(payload: &'e Element<'a>) -> Option<&'e Element<'a>> {
    let mut all = payload.elements().filter(|child| child.is(NS, SIGNED));
    let (first, None) = (all.next()?, all.next()) else { return None };
    Some(first)
}

/// An item of a pubsub node whose signature is good.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Item {
    /// What was signed, as XML: use this and not what came.
    pub payload: Inbound,
    /// The device that signed it.
    pub device: u32,
    /// How far its account's key is trusted.
    pub trust: Trust,
    /// When it was signed.
    pub sent: Timestamp,
    /// Until when the device stands by it. Whether one that is older still counts is the application's to say.
    pub expiry: Timestamp,
    /// Rises with each statement of the device: a server that shows an older item again shows a lower one.
    pub sequence: u64,
}

impl Engine {
    /// Verifies an item of a pubsub node (XEP-0060, PEP): `payload` is what it holds, `jid` the account that is to have
    /// signed it. Changes nothing; that an item is older than one seen before is the application's to see.
    ///
    /// # Errors
    /// Outside: [`Misuse::Jid`] if `jid` is no bare JID. Inside: [`Unreadable::NoRecord`] if the signing device is not
    /// known, [`Reason::Altered`] if the item is not what was signed, and others; an item without signature is
    /// [`Malformed::Stanza`].
    pub fn item(
        &self,
        now: Timestamp,
        jid: &str,
        node: &str,
        id: &str,
        payload: &Tree<'_>,
    ) -> Result<Result<Item, Reason>, Error> {
        let jid = BareJid::parse(jid).map_err(|_| Misuse::Jid)?;
        let now = now.max(self.state.seen);
        let payload = &payload.0;
        let Some(signature) = item_signature(payload) else { return Ok(Err(Malformed::Stanza.into())) };
        let unverified = from_base64(&signature.text(), MAX_SIGNED).map_err(Reason::from);
        let unverified = match unverified.and_then(|bytes| SignedIn::decode(&bytes)) {
            Ok(unverified) => unverified,
            Err(reason) => return Ok(Err(reason)),
        };
        let device = unverified.device();
        let own = self.state.own.get(&())?.filter(|own| own.jid == jid && own.device == device);
        let known = self.state.devices.get(&(jid.clone(), device))?;
        let good = own.is_some_and(|own| !own.left) || known.is_some_and(|known| known.is_good(now));
        let certificate = own.map(|own| &own.certificate).or(known.map(|known| &known.certificate));
        let Some(certificate) = certificate.filter(|certificate| !certificate.as_slice().is_empty()) else {
            return Ok(Err(Unreadable::NoRecord.into()));
        };
        let certificate =
            DeviceCertificate::from_store(certificate.as_slice()).map_err(|_| Misuse::Record)?;
        let trust = match self.state.contacts.get(&jid)? {
            _ if jid == self.config.account => Trust::Verified,
            Some(contact) => contact.trust.trust,
            None => Trust::Unknown,
        };
        let verified = unverified.verify(&jid, &certificate, &self.config.suites, now);
        Ok(verified.and_then(|signed| {
            if !good {
                return Err(Misbehaviour::Retired.into());
            }
            let Statement { kind, subject, inner_id, covered, audience: _ } = signed.statement();
            // The server names an item that came without a name.
            let named = inner_id == id || inner_id.is_empty();
            if kind != StatementKind::Item || subject != node || !named || !signed.is_for(&jid) {
                return Err(Misbehaviour::WrongSubject.into());
            }
            let shown = Reduced::of(&item_payload(payload));
            let payload = match covered {
                Covered::Hashes([digest]) if *digest == shown.digest() => shown.into_element(),
                Covered::Hashes(_) => return Err(Reason::Altered),
                Covered::Opaque(xml) => parse(xml)?,
            };
            Ok(Item {
                payload: Inbound(write_stanza(&payload)),
                device,
                trust,
                sent: signed.time(),
                expiry: signed.expiry(),
                sequence: signed.sequence(),
            })
        }))
    }
}

impl Draft<'_> {
    /// Has the agent sign a stanza, or says that it has been asked.
    pub(super) fn sign(
        &mut self,
        order: u64,
        to: &BareJid,
        element: &Element<'_>,
        form: Form,
    ) -> Result<Attempt, Error> {
        for id in self.state.asks.all_keys() {
            if self
                .state
                .asks
                .get(&id)?
                .is_some_and(|ask| ask.purpose == Purpose::Statement && ask.order == order)
            {
                return Ok(Attempt::Wait(Waiting::Agent));
            }
        }
        let tbs = match self.statement_of(to, element, form)? {
            Ok(tbs) => tbs,
            Err(why) => return Ok(Attempt::Fail(why)),
        };
        let account = self.own()?.jid.clone();
        let ask = self.ask(Purpose::Statement, None, operation(Operation::sign_stanza(tbs, account))?)?;
        if let Some(ask) = self.state.asks.get_mut(&ask)? {
            ask.order = order;
        }
        Ok(Attempt::Wait(Waiting::Agent))
    }

    /// What is to be signed of a stanza, or why it cannot be.
    fn statement_of(
        &mut self,
        to: &BareJid,
        element: &Element<'_>,
        form: Form,
    ) -> Result<Result<Vec<u8>, SendError>, Error> {
        let item = publication(element);
        let (kind, subject, inner_id) = match (&item, StanzaKind::of(&element.name)) {
            (Some(item), _) => (StatementKind::Item, item.node, item.id),
            (None, kind) => {
                let kind = kind.ok_or(Misuse::Stanza(Malformed::Stanza))?;
                let subject = kind.bound_type(element.attr("type"));
                (statement_kind(kind), subject, element.attr("id").unwrap_or_default())
            }
        };
        let payload = item.as_ref().map(|item| item_payload(item.payload));
        let mut digests = Vec::new();
        let mut copy = String::new();
        if form.has_copy() {
            let nodes: Vec<Node<'_>> = match &payload {
                Some(payload) => vec![Node::Element(payload.clone())],
                None => element.children.iter().filter(|node| is_said(node)).cloned().collect(),
            };
            write_children(&nodes, CLIENT_NS, &mut copy);
        } else if let (Some(payload), Some(item)) = (&payload, &item) {
            if is_fragile(item.payload) {
                return Ok(Err(SendError::Fragile));
            }
            digests.push(Reduced::of(payload).digest());
        } else {
            digests = match digests_of(element) {
                Ok(digests) => digests,
                Err(why) => return Ok(Err(why)),
            };
        }
        let anyone = form.is_for_anyone() || item.is_some();
        let said = Statement {
            kind,
            audience: (!anyone).then_some(to),
            subject,
            inner_id,
            covered: if form.has_copy() { Covered::Opaque(&copy) } else { Covered::Hashes(&digests) },
        };
        let sequence = self.count(|counters| &mut counters.statement)?;
        let device = self.own()?.device;
        let tbs =
            SignedTbs::new(&said, device, sequence, self.stamp()?, self.now.after(STATEMENT_LIFE)).encode();
        // Names or content beyond what a statement holds.
        let good = SignedTbs::decode(&tbs).is_ok();
        Ok(if good { Ok(tbs) } else { Err(SendError::TooLarge) })
    }

    /// The agent has signed what stands at `order` of those that wait. Whether that was of any use.
    pub(super) fn statement_signed(
        &mut self,
        order: u64,
        tbs: &[u8],
        signature: &[u8],
    ) -> Result<bool, Error> {
        // Taken back meanwhile, or of a stream that has ended.
        let Some(waiting) = self.state.waiting.get(&order)?.cloned() else { return Ok(true) };
        let (suites, key) = (&self.config.suites, self.config.identity.signing_key());
        let account = self.own()?.jid.clone();
        let Ok(signed) = Signed::issue(tbs, signature, &account, key, suites) else { return Ok(false) };
        let element = parse(&waiting.stanza).map_err(|_| Misuse::Record)?;
        if &*element.name != MESSAGE && !self.own()?.connected {
            // If the stream goes on, it is signed anew.
            return Ok(true);
        }
        let signature = Element::new(NS, SIGNED).with_text(to_base64(signed.bytes()));
        let stanza = if publication(&element).is_some() {
            write_stanza(&attach_to_item(element.clone(), signature))
        } else {
            self.attach(&element, signature)
        };
        let token = Token(waiting.token);
        self.state.waiting.remove(&order);
        let coverage = Coverage { readable: true, ..Coverage::default() };
        if stanza.len() > MAX_STANZA {
            self.fail(token, SendError::TooLarge);
        } else if &*element.name == MESSAGE {
            let of = Some((token, coverage));
            self.put_in_outbox(order, &waiting.to, element.attr("id"), stanza, of);
        } else {
            self.send(stanza, Some(token))?;
            self.effects.push(Effect::Sent { token, coverage });
        }
        self.flush(&waiting.to)?;
        Ok(true)
    }

    /// The agent has refused, or is silent.
    pub(super) fn statement_failed(&mut self, order: u64) -> Done {
        let Some(waiting) = self.state.waiting.get(&order)?.cloned() else { return Ok(()) };
        self.state.waiting.remove(&order);
        self.fail(Token(waiting.token), SendError::Agent);
        self.flush(&waiting.to)
    }

    /// A stanza with a signature.
    pub(super) fn received_statement(
        &mut self,
        incoming: &Incoming<'_>,
    ) -> Result<Result<(), Reason>, Error> {
        let unverified = match SignedIn::decode(&incoming.bytes) {
            Ok(unverified) => unverified,
            Err(reason) => return Ok(Err(reason)),
        };
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let (sender, device) = (&incoming.sender, unverified.device());
        if *sender == account && device == me {
            if incoming.via == Via::Stream {
                return Ok(Err(Misbehaviour::WrongSubject.into()));
            }
            self.notify(Event::Duplicate { peer: account, device: me });
            return Ok(Ok(()));
        }
        let Some(known) = self.device(sender, device)?.cloned() else {
            // A stranger must not learn from a request that this device is here.
            if self.is_friend(sender)? && !self.is_fresh(sender)? {
                self.want_keys(sender)?;
            }
            return Ok(Err(Unreadable::NoRecord.into()));
        };
        let certificate =
            DeviceCertificate::from_store(known.certificate.as_slice()).map_err(|_| Misuse::Record)?;
        let signed = match unverified.verify(sender, &certificate, &self.config.suites, self.now) {
            Ok(signed) => signed,
            Err(reason) => return Ok(Err(reason)),
        };
        if !known.is_good(self.now) {
            return Ok(Err(Misbehaviour::Retired.into()));
        }
        let given = match self.stated(incoming, &signed) {
            Ok(given) => given,
            Err(reason) => return Ok(Err(reason)),
        };
        if known.statements.is_too_old(signed.sequence()) {
            return Ok(Err(Unreadable::TooOld.into()));
        }
        if !known.statements.is_new(signed.sequence()) {
            self.notify(Event::Duplicate { peer: sender.clone(), device });
            return Ok(Ok(()));
        }
        self.hand_over(incoming, device, given)?;
        if let Some(known) = self.state.devices.get_mut(&(sender.clone(), device))? {
            known.statements.note(signed.sequence());
        }
        Ok(Ok(()))
    }

    /// What a verified statement says of the stanza that it came in.
    fn stated(&self, incoming: &Incoming<'_>, signed: &Signed) -> Result<Given<'static>, Reason> {
        let element = incoming.element;
        let Statement { kind, subject, inner_id, covered, audience } = signed.statement();
        let bound = incoming.kind.bound_type(element.attr("type"));
        let fits = kind == statement_kind(incoming.kind) && subject == bound;
        if !fits || !signed.is_for(&incoming.addressed) {
            return Err(Misbehaviour::WrongSubject.into());
        }
        if incoming.kind == StanzaKind::Iq && is_answer(element) {
            // It does not say of which question.
            return Err(Misbehaviour::NotTheAnswer.into());
        }
        // What an archive has may be older.
        if incoming.via != Via::Archive {
            signed.check_time(self.now)?;
        }
        let name = element.name.clone().into_owned();
        let (children, missing, dropped) = match covered {
            Covered::Hashes([]) => return Err(Malformed::Stanza.into()),
            Covered::Hashes(digests) => {
                let covered = incoming.uncover(digests)?;
                (covered.children, covered.missing, Some(covered.dropped))
            }
            Covered::Opaque(xml) => (parse_children(xml)?, 0, None),
        };
        let children = children.into_iter().map(Node::into_owned).collect();
        let form = if audience.is_some() { Form::Signed } else { Form::SignedForAnyone };
        Ok(Given {
            stanza: Element { children, ..Element::new(CLIENT_NS, name) },
            id: Some(inner_id).filter(|id| !id.is_empty()).map(|id| id.to_owned().into()),
            sent: signed.time(),
            form,
            missing,
            dropped,
            ..Given::default()
        })
    }
}

fn statement_kind(kind: StanzaKind) -> StatementKind {
    match kind {
        StanzaKind::Message => StatementKind::Message,
        StanzaKind::Presence => StatementKind::Presence,
        StanzaKind::Iq => StatementKind::Iq,
    }
}

/// Whether a node of a stanza is what its sender says.
pub(super) fn is_said(node: &Node<'_>) -> bool {
    match node {
        Node::Element(child) => !is_out_of_place(&child.ns, &child.name),
        Node::Text(_) => true,
    }
}

/// Puts a signature at the end of the payload of the item that an iq publishes.
fn attach_to_item<'a>(mut iq: Element<'a>, signature: Element<'a>) -> Element<'a> {
    fn child<'e, 'a>(parent: &'e mut Element<'a>, name: &str) -> Option<&'e mut Element<'a>> {
        parent.children.iter_mut().find_map(|node| match node {
            Node::Element(child) => (name.is_empty() || child.is(PUBSUB, name)).then_some(child),
            Node::Text(_) => None,
        })
    }
    let payload = child(&mut iq, "pubsub")
        .and_then(|pubsub| child(pubsub, "publish"))
        .and_then(|publish| child(publish, "item"))
        .and_then(|item| child(item, ""));
    if let Some(payload) = payload {
        payload.remove_children_in(NS);
        payload.children.push(Node::Element(signature));
    }
    iq
}
