//! What is read, handed to the application; and the engine's own short messages.

use std::borrow::Cow;

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::forwarded::put_back;
use crate::engine::iq::is_answer;
use crate::engine::receive::{How, Incoming};
use crate::engine::records::InboxItem;
use crate::engine::send::MARGIN;
use crate::engine::statement::is_said;
use crate::env::Timestamp;
use crate::error::{Error, Malformed, Misbehaviour, Misuse, Reason};
use crate::identity::TOLERANCE;
use crate::session::{Session, StanzaKind};
use crate::stanza::{
    AnswerTag, Attribute, Body, CLIENT_NS, Content, Control, Element, IQ, MESSAGE, Node, Resend,
    is_for_servers, is_from_servers, parse, write, write_stanza,
};
use crate::step::{Context, Effect, Form, Inbound, InboxId, Protection};
use crate::suite::{Level, Suite, SuiteId};
use crate::wire::Bytes;

/// Stanzas delivered and not taken: an application that takes none is broken, and should not go on
/// acknowledging them to the server.
const MAX_INBOX: usize = 10_000;

/// A stanza that was protected, and how.
pub(super) struct Given<'a> {
    /// What it says, without the attributes that stand outside.
    pub(super) stanza: Element<'a>,
    /// Its id, if that is protected.
    pub(super) id: Option<Cow<'a, str>>,
    /// When its sender says it was sent.
    pub(super) sent: Timestamp,
    /// The question that it answers.
    pub(super) answers: Option<AnswerTag>,
    /// What an answer is to name it by.
    pub(super) tag: Option<AnswerTag>,
    pub(super) form: Form,
    /// Of the session.
    pub(super) suite: u16,
    pub(super) level: u8,
    pub(super) one_time: bool,
    /// Of what is in clear: how many covered children have not come, and which that came are not covered; none if what
    /// is in clear does not count.
    pub(super) missing: usize,
    pub(super) dropped: Option<Vec<(String, String)>>,
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self {
            stanza: Element::new(CLIENT_NS, MESSAGE),
            id: None,
            sent: Timestamp::default(),
            answers: None,
            tag: None,
            form: Form::Encrypted,
            suite: 0,
            level: 0,
            one_time: false,
            missing: 0,
            dropped: None,
        }
    }
}

/// Bytes kept of what stood beside the element of a stanza: a dozen marks of servers have a tenth of it.
const MAX_BESIDE: usize = 8192;

impl Draft<'_> {
    /// The content of a stanza, if it is one that such a stanza may hold.
    pub(super) fn content<'c>(
        &self,
        incoming: &Incoming<'_>,
        device: u32,
        bytes: &'c [u8],
    ) -> Result<Result<Content<'c>, Reason>, Error> {
        let content = match self.readable(incoming, device, bytes) {
            Ok(content) => content,
            Err(reason) => return Ok(Err(reason)),
        };
        let question = incoming.kind == StanzaKind::Iq && !is_answer(incoming.element);
        if question && !self.may_inquire(&incoming.sender)? {
            // More than are kept could not be answered.
            return Ok(Err(Misbehaviour::TooMuch.into()));
        }
        Ok(Ok(content))
    }

    fn readable<'c>(
        &self,
        incoming: &Incoming<'_>,
        device: u32,
        bytes: &'c [u8],
    ) -> Result<Content<'c>, Reason> {
        let content = Content::decode(bytes)?;
        // Held back for so long, what belongs to a stream says nothing any more.
        if incoming.kind != StanzaKind::Message && self.now > content.time.after(TOLERANCE) {
            return Err(Misbehaviour::Expired.into());
        }
        if let Some(outer) = incoming.outer
            && write_stanza(&put_back(outer, Element::new(CLIENT_NS, MESSAGE))).len() > MARGIN
        {
            // Around a copy there is no more; else a good message could be made too large to be handed over.
            return Err(Malformed::TooLarge.into());
        }
        let fits = match &content.body {
            // What was sealed must not have been in clear, nor the other way round.
            Body::Covered(_) | Body::Shown(_) if incoming.how != How::Session => false,
            Body::ChatText(_) | Body::Control(_) | Body::Children(_) | Body::Stanza(_)
                if incoming.how != How::Sealed =>
            {
                false
            }
            Body::ChatText(_) | Body::Control(_) => incoming.kind == StanzaKind::Message,
            Body::Children(_) => true,
            Body::Stanza(stanza) | Body::Shown(stanza) => stanza.name == incoming.element.name,
            Body::Covered(digests) => {
                incoming.uncover(digests)?;
                true
            }
        };
        let iq = incoming.kind == StanzaKind::Iq;
        let answer = iq && is_answer(incoming.element);
        let nameless = iq && !answer && content.inner_id.is_none();
        match content.answers {
            _ if !fits || nameless => Err(Malformed::Stanza.into()),
            Some(tag) if answer && self.is_asked(&incoming.sender, device, tag) => Ok(content),
            None if !answer => Ok(content),
            Some(_) | None => Err(Misbehaviour::NotTheAnswer.into()),
        }
    }

    /// Acts on a content, with the tag for an answer to it. Whether it counts as something to be answered.
    pub(super) fn act(
        &mut self,
        incoming: &Incoming<'_>,
        (device, session, suite): (u32, &Session, &Suite),
        content: Content<'_>,
        tag: Option<AnswerTag>,
    ) -> Result<bool, Error> {
        let Content { time, inner_id, answers, body } = content;
        let mut given = Given {
            id: inner_id,
            sent: time,
            answers,
            tag,
            suite: suite.id.0,
            level: suite.level.0,
            one_time: session.used_one_time_prekey(),
            ..Given::default()
        };
        let named = |children| Element { children, ..Element::new(CLIENT_NS, &*incoming.element.name) };
        given.stanza = match body {
            Body::ChatText(text) => {
                named(vec![Node::Element(Element::new(CLIENT_NS, "body").with_text(text))])
            }
            Body::Children(children) => named(children),
            Body::Stanza(stanza) => stanza,
            Body::Shown(stanza) => {
                given.form = Form::Shown;
                stanza
            }
            Body::Covered(digests) => {
                let covered = incoming.uncover(&digests).map_err(|_| Misuse::Record)?;
                given.form = Form::Authenticated;
                given.missing = covered.missing;
                given.dropped = Some(covered.dropped);
                named(covered.children)
            }
            Body::Control(Control::Resend(Resend::Message(again))) => {
                return self.resent(incoming, (device, session, suite), &again);
            }
            Body::Control(control) => {
                let key = (incoming.sender.clone(), device, session.id());
                return self.controlled(&key, time, &control).map(|()| false);
            }
        };
        self.hand_over(incoming, device, given)?;
        Ok(true)
    }

    /// Hands over a stanza that was protected, as if it had come in the place of the one that did.
    pub(super) fn hand_over(&mut self, incoming: &Incoming<'_>, device: u32, given: Given<'_>) -> Done {
        let Given { mut stanza, id, sent, answers, tag, form, suite, level, one_time, missing, dropped } =
            given;
        stanza.children.retain(is_said);
        let (unauthenticated, mut beside) = beside(incoming.element);
        if let Some(dropped) = dropped {
            beside = dropped.into_iter().map(|(ns, name)| format!("{{{ns}}}{name}")).collect();
        } else if form != Form::Encrypted {
            // The copy counts; of what is in clear only that is told which it has not.
            beside.retain(|name| stanza.elements().all(|child| *name != clark(child)));
        }
        let mut id_protected = id.is_some();
        let mut id = id.or_else(|| incoming.element.attr("id").map(Into::into));
        let mut from = incoming.element.attr("from").map(Cow::Borrowed);
        if let Some(tag) = answers
            && let Some(question) = self.answered_question(&incoming.sender, device, tag)?
        {
            // Whatever the servers have written: this is what was asked, and where.
            id_protected = true;
            id = Some(question.id.into());
            from = Some(question.to.into());
        } else if let (Some(tag), Some(its)) = (tag, &id) {
            id = Some(self.inquired(&incoming.sender, incoming.element, its, (device, tag)).into());
        }
        let outside = [
            ("from", from),
            ("to", incoming.element.attr("to").map(Cow::Borrowed)),
            ("type", incoming.element.attr("type").map(Cow::Borrowed)),
            ("id", id),
        ];
        let mut attributes = Vec::new();
        for (name, value) in outside {
            attributes.extend(value.map(|value| Attribute { ns: None, name: name.into(), value }));
        }
        attributes.append(&mut stanza.attributes);
        stanza.attributes = attributes;
        if let Some(outer) = incoming.outer {
            stanza = put_back(outer, stanza);
        }
        let stanza = write_stanza(&stanza);
        // Written out it may be over a bound that it was within as it came; nobody could read it.
        if parse(&stanza).is_err() {
            return self.refuse(incoming, Malformed::TooLarge.into());
        }
        let bytes = |texts: Vec<String>| texts.into_iter().map(|text| text.into_bytes().into()).collect();
        let item = InboxItem {
            stanza,
            suite,
            level,
            one_time,
            sender: incoming.sender.clone(),
            device,
            addressed: incoming.addressed.clone(),
            sent,
            id_protected,
            via: incoming.via,
            unauthenticated: bytes(unauthenticated),
            dropped: bytes(beside),
            missing: u16::try_from(missing).unwrap_or(u16::MAX),
            form,
            trust: self.trust_in(&incoming.sender)?,
        };
        let kept = incoming.kind == StanzaKind::Message;
        if kept && self.state.inbox.len() >= MAX_INBOX {
            return Err(Misuse::InboxFull.into());
        }
        let id = self.count(|counters| &mut counters.inbox)?;
        self.effects.push(deliver(id, &item, false));
        // An iq and a presence are of this stream: they do not come again.
        if kept {
            self.state.inbox.put(id, item);
        }
        Ok(())
    }

    /// Delivers what the application had not taken before a restart.
    pub(super) fn deliver_again(&mut self, key: u64) -> Done {
        if let Some(item) = self.state.inbox.get(&key)? {
            let effect = deliver(key, item, true);
            self.effects.push(effect);
        }
        Ok(())
    }
}

/// What stood outside beside the element: what servers add, as XML, and the names of the rest.
fn beside(stanza: &Element<'_>) -> (Vec<String>, Vec<String>) {
    let (mut added, mut dropped) = (Vec::new(), Vec::new());
    let mut room = MAX_BESIDE;
    // Beside a protected error stands one that says nothing.
    let mark = |child: &&Element<'_>| stanza.is(CLIENT_NS, IQ) && child.is(CLIENT_NS, "error");
    for child in stanza.elements().filter(|child| !mark(child)) {
        if is_from_servers(&child.ns, &child.name) {
            let mut xml = String::new();
            write(child, CLIENT_NS, &mut xml);
            if let Some(rest) = room.checked_sub(xml.len()) {
                room = rest;
                added.push(xml);
            }
        } else if &*child.ns != NS && !is_for_servers(&child.ns, &child.name) {
            let name = clark(child);
            if let Some(rest) = room.checked_sub(name.len()) {
                room = rest;
                dropped.push(name);
            }
        }
    }
    (added, dropped)
}

/// The name of an element with its namespace.
fn clark(element: &Element<'_>) -> String {
    format!("{{{}}}{}", element.ns, element.name)
}

fn texts(all: &[Bytes]) -> Vec<String> {
    all.iter().map(|text| String::from_utf8_lossy(text.as_slice()).into_owned()).collect()
}

fn deliver(id: u64, item: &InboxItem, again: bool) -> Effect {
    let (suite, level, one_time) = (SuiteId(item.suite), Level(item.level), item.one_time);
    Effect::Deliver {
        id: InboxId(id),
        stanza: Inbound(item.stanza.clone()),
        protection: match item.form {
            Form::Encrypted => Protection::Encrypted { suite, level, one_time },
            Form::Authenticated | Form::Shown => Protection::Authenticated { suite, level, one_time },
            Form::Signed | Form::SignedShown => Protection::Signed { for_anyone: false },
            Form::SignedForAnyone | Form::SignedShownForAnyone => Protection::Signed { for_anyone: true },
        },
        context: Context {
            sender: item.sender.clone(),
            device: item.device,
            trust: item.trust,
            addressed: item.addressed.clone(),
            sent: item.sent,
            id_protected: item.id_protected,
            via: item.via,
            unauthenticated: texts(&item.unauthenticated),
            dropped: texts(&item.dropped),
            missing: usize::from(item.missing),
        },
        again,
    }
}
