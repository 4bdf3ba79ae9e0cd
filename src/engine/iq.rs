//! Protected iqs: which answer belongs to which question (RFC 6120, section 8.2.3).
//!
//! An answer names its question by a tag that only the two devices can derive, so a server cannot swap answers, and
//! the id outside does not matter.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::receive::{How, Incoming};
use crate::engine::records::{Inquiry, Question};
use crate::error::{Error, Misbehaviour, Reason};
use crate::jid::{Address, BareJid};
use crate::session::StanzaKind;
use crate::stanza::envelope::Envelope;
use crate::stanza::{AnswerTag, CLIENT_NS, Element, IQ, MAX_STANZA, write_stanza};
use crate::step::{Effect, Event, SendError, Token};
use crate::wire::from_base64;

/// Iqs unanswered at once, either way; more are refused. Clients ask some dozen things at a time.
const MAX_UNANSWERED: usize = 1000;

/// Of those of others, from one account: its devices, and no more than leaves room for others.
const MAX_INQUIRIES_OF_ONE: usize = 100;

/// An answer is waited for so long. Clients give up after minutes; a person may be asked before.
const ANSWER_LIFE: Duration = Duration::from_hours(1);

/// The namespace of the conditions of RFC 6120, section 8.3.3.
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What is outside of a protected iq error: RFC 6120, section 8.2.3, wants an `<error/>`.
pub(super) fn undefined_error() -> Element<'static> {
    error("undefined-condition")
}

fn error(condition: &'static str) -> Element<'static> {
    let error = Element::new(CLIENT_NS, "error").with_attr("type", "cancel");
    error.with_child(Element::new(STANZAS, condition))
}

/// What the ids begin with under which questions are handed over. The engine knows them for ever, so an answer to a
/// protected question never passes for one to a question in clear.
const INQUIRY_PREFIX: &str = "e2eq-";

/// Whether an iq answers a question that was protected, be it forgotten.
pub(super) fn answers_inquiry(iq: &Element<'_>) -> bool {
    is_answer(iq) && iq.attr("id").is_some_and(|id| id.starts_with(INQUIRY_PREFIX))
}

/// Whether an iq answers another.
pub(super) fn is_answer(iq: &Element<'_>) -> bool {
    matches!(iq.attr("type"), Some("result" | "error"))
}

impl Draft<'_> {
    /// Notes a question of ours that goes out.
    pub(super) fn asked_question(
        &mut self,
        (jid, device): (&BareJid, u32),
        iq: &Element<'_>,
        token: Token,
        tag: AnswerTag,
    ) {
        let question = Question {
            token: token.0,
            to: iq.attr("to").unwrap_or_default().to_owned(),
            id: iq.attr("id").unwrap_or_default().to_owned(),
            forget_at: self.now.after(ANSWER_LIFE),
        };
        self.state.questions.put((jid.clone(), device, tag), question);
    }

    /// The question that a protected answer is for: where it was sent, and its id. It is answered now.
    pub(super) fn answered_question(
        &mut self,
        jid: &BareJid,
        device: u32,
        tag: AnswerTag,
    ) -> Result<Option<Question>, Error> {
        let key = (jid.clone(), device, tag);
        let question = self.state.questions.get(&key)?.cloned();
        self.state.questions.remove(&key);
        Ok(question)
    }

    /// Whether there is a question that a protected answer can be for.
    pub(super) fn is_asked(&self, jid: &BareJid, device: u32, tag: AnswerTag) -> bool {
        self.state.questions.contains(&(jid.clone(), device, tag))
    }

    /// Whether another question may be open.
    pub(super) fn may_ask(&self) -> bool {
        self.state.questions.len() < MAX_UNANSWERED
    }

    /// Whether another question of this account may be open.
    pub(super) fn may_inquire(&self, jid: &BareJid) -> Result<bool, Error> {
        let mut of_one = 0;
        for id in self.state.inquiries.all_keys() {
            of_one += usize::from(self.state.inquiries.get(&id)?.is_some_and(|inquiry| inquiry.jid == *jid));
        }
        Ok(of_one < MAX_INQUIRIES_OF_ONE && self.state.inquiries.len() < MAX_UNANSWERED)
    }

    /// Notes a question of somebody else's, and gives the id under which it is handed over: no question in clear, and
    /// none of another device, can have the same.
    pub(super) fn inquired(
        &mut self,
        jid: &BareJid,
        iq: &Element<'_>,
        id: &str,
        (device, tag): (u32, AnswerTag),
    ) -> String {
        let inquiry = Inquiry {
            jid: jid.clone(),
            from: iq.attr("from").unwrap_or_default().to_owned(),
            id: id.to_owned(),
            device,
            tag,
            forget_at: self.now.after(ANSWER_LIFE),
        };
        let id = format!("{INQUIRY_PREFIX}{:016x}", self.rng.next_u64());
        self.state.inquiries.put(id.clone(), inquiry);
        id
    }

    /// What an answer of the application is for, if that question is open and was asked from there.
    pub(super) fn inquiry(&self, answer: &Element<'_>) -> Result<Option<&Inquiry>, Error> {
        let (Some(to), Some(id)) = (answer.attr("to"), answer.attr("id")) else { return Ok(None) };
        let inquiry = self.state.inquiries.get(&id.to_owned())?;
        let to = Address::parse(to).ok();
        Ok(inquiry.filter(|inquiry| to.is_some() && Address::parse(&inquiry.from).ok() == to))
    }

    pub(super) fn inquiry_answered(&mut self, answer: &Element<'_>) {
        if let Some(id) = answer.attr("id") {
            self.state.inquiries.remove(&id.to_owned());
        }
    }

    /// A new stream: no iq of the one before is answered, and nothing of it waits any more.
    pub(super) fn end_stanzas_of_stream(&mut self) -> Done {
        self.state.questions.clear();
        self.state.inquiries.clear();
        for key in self.state.arrivals.all_keys() {
            if let Some(arrival) = self.state.arrivals.get_mut(&key)? {
                // The first one makes a session.
                let mut first = true;
                arrival.stanzas.retain(|stanza| {
                    core::mem::take(&mut first) || stanza.as_slice().starts_with(b"<message")
                });
            }
        }
        for order in self.state.waiting.all_keys() {
            let Some(waiting) = self.state.waiting.get(&order)? else { continue };
            if !is_message(&waiting.stanza) {
                let token = Token(waiting.token);
                self.state.waiting.remove(&order);
                self.fail(token, SendError::StreamEnded);
            }
        }
        Ok(())
    }

    /// An answer in clear to a protected question. Whether it was one: an error may be a server's, which cannot protect
    /// it; a result is none.
    pub(super) fn answered_in_clear(&mut self, iq: &Element<'_>) -> Result<bool, Error> {
        let from = iq.attr("from").map(Address::parse).transpose().ok().flatten();
        for key in self.state.questions.all_keys() {
            let Some(question) = self.state.questions.get(&key)? else { continue };
            if iq.attr("id") != Some(question.id.as_str()) {
                continue;
            }
            if iq.attr("type") != Some("error") {
                // Whoever it claims to be from: libraries may not look.
                self.reject(from.as_ref().map(|from| &from.bare), Misbehaviour::NotTheAnswer);
                return Ok(true);
            }
            if from != Address::parse(&question.to).ok() {
                continue;
            }
            let token = Token(question.token);
            self.state.questions.remove(&key);
            self.fail(token, SendError::Bounced);
            self.effects.push(Effect::Pass);
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether an iq error holds an answer to this device: else it is a question of ours, sent back.
    pub(super) fn is_protected_answer(&self, protected: &Element<'_>) -> Result<bool, Error> {
        let bytes = from_base64(&protected.text(), MAX_STANZA).unwrap_or_default();
        let me = self.own()?.device;
        Ok(Envelope::decode(&bytes).is_ok_and(|envelope| envelope.is_direct_to(me)))
    }

    /// Refuses what came: the event, and to a question the answer of a client that does not know it.
    pub(super) fn refuse(&mut self, incoming: &Incoming<'_>, reason: Reason) -> Done {
        let peer = incoming.sender.clone();
        let sealed = incoming.how == How::Sealed;
        let envelope =
            Some(&incoming.bytes).filter(|_| sealed).and_then(|bytes| Envelope::decode(bytes).ok());
        let device = envelope.map(|envelope| envelope.sender());
        let recoverable = match device {
            Some(device) if incoming.kind == StanzaKind::Message => {
                self.unreadable(&peer, device, reason, incoming.via)?
            }
            Some(_) | None => false,
        };
        self.notify(Event::Rejected { peer: Some(peer), device, reason, recoverable });
        self.refuse_iq(incoming.element)
    }

    /// The answer of RFC 6120, section 8.4, to a question that cannot be read.
    pub(super) fn refuse_iq(&mut self, iq: &Element<'_>) -> Done {
        let (Some(from), Some(id)) = (iq.attr("from"), iq.attr("id")) else { return Ok(()) };
        if !iq.is(CLIENT_NS, IQ) || !matches!(iq.attr("type"), Some("get" | "set")) {
            return Ok(());
        }
        let answer = Element::new(CLIENT_NS, IQ).with_attr("to", from).with_attr("id", id);
        let answer = answer.with_attr("type", "error").with_child(error("service-unavailable"));
        self.send(write_stanza(&answer), None)
    }
}

/// Whether a stanza as the engine writes it is a message.
pub(super) fn is_message(stanza: &str) -> bool {
    stanza.starts_with("<message")
}
