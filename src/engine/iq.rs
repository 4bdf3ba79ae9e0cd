//! Protected iqs: which answer belongs to which question (RFC 6120, section 8.2.3).
//!
//! An answer names its question by a tag that only the two devices can derive, so a server cannot swap answers, and
//! the id outside does not matter.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::receive::Incoming;
use crate::engine::records::{Inquiry, Question};
use crate::env::Timestamp;
use crate::error::{Error, Misbehaviour, Reason};
use crate::identity::{Digest, digest};
use crate::jid::{Address, BareJid};
use crate::stanza::envelope::Envelope;
use crate::stanza::{AnswerTag, CLIENT_NS, Element, IQ, MAX_STANZA, write_stanza};
use crate::step::{Effect, SendError, Token};
use crate::wire::from_base64;

/// Protected iqs unanswered at once, either way: beyond this the one that waits longest is forgotten. Clients ask some
/// dozen things at a time.
const MAX_UNANSWERED: usize = 1000;

/// An answer is waited for so long. Clients give up after minutes; a person may be asked before.
const ANSWER_LIFE: Duration = Duration::from_secs(3600);

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

/// Under what a question of somebody else's is kept.
fn inquiry_key(from: &str, id: &str) -> Digest {
    // No JID has a NUL.
    digest(&[from.as_bytes(), id.as_bytes()].join(&0))
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
        if self.state.questions.len() >= MAX_UNANSWERED
            && let Some(oldest) = self.state.questions.due(Timestamp::MAX).first()
        {
            self.state.questions.remove(oldest);
        }
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

    /// Notes a question of somebody else's that is handed over. One of the same id takes its place.
    pub(super) fn inquired(&mut self, from: &str, id: &str, device: u32, tag: AnswerTag) {
        if self.state.inquiries.len() >= MAX_UNANSWERED
            && let Some(oldest) = self.state.inquiries.due(Timestamp::MAX).first()
        {
            self.state.inquiries.remove(oldest);
        }
        let inquiry = Inquiry { device, tag, forget_at: self.now.after(ANSWER_LIFE) };
        self.state.inquiries.put(inquiry_key(from, id), inquiry);
    }

    /// What an answer of the application is for, if it is for a protected question.
    pub(super) fn inquiry(&self, answer: &Element<'_>) -> Result<Option<(Digest, &Inquiry)>, Error> {
        let (Some(to), Some(id)) = (answer.attr("to"), answer.attr("id")) else { return Ok(None) };
        let key = inquiry_key(to, id);
        Ok(self.state.inquiries.get(&key)?.map(|inquiry| (key, inquiry)))
    }

    pub(super) fn inquiry_answered(&mut self, key: &Digest) {
        self.state.inquiries.remove(key);
    }

    /// A new stream: no iq of the one before is answered, and nothing of it waits any more.
    pub(super) fn end_stanzas_of_stream(&mut self) -> Done {
        self.state.questions.clear();
        self.state.inquiries.clear();
        for order in self.state.waiting.all_keys() {
            let Some(waiting) = self.state.waiting.get(&order)? else { continue };
            if !is_message(&waiting.stanza) {
                let token = Token(waiting.token);
                self.state.waiting.remove(&order);
                self.fail(token, SendError::StreamEnded);
            }
        }
        for id in self.state.inbox.all_keys() {
            if self.state.inbox.get(&id)?.is_some_and(|item| !is_message(&item.stanza)) {
                self.state.inbox.remove(&id);
            }
        }
        Ok(())
    }

    /// An answer in clear to a protected question. Whether it was one: an error may be a server's, which cannot protect
    /// it; a result is none.
    pub(super) fn answered_in_clear(&mut self, iq: &Element<'_>) -> Result<bool, Error> {
        let Some(Ok(from)) = iq.attr("from").map(Address::parse) else { return Ok(false) };
        for key in self.state.questions.all_keys() {
            let Some(question) = self.state.questions.get(&key)? else { continue };
            let asked = Address::parse(&question.to).is_ok_and(|to| to == from);
            if !asked || iq.attr("id") != Some(question.id.as_str()) {
                continue;
            }
            if iq.attr("type") == Some("error") {
                let token = Token(question.token);
                self.state.questions.remove(&key);
                self.fail(token, SendError::Bounced);
                self.effects.push(Effect::Pass);
            } else {
                self.reject(Some(&from.bare), Misbehaviour::NotTheAnswer);
            }
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
        self.reject(Some(&incoming.sender), reason);
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
