//! Sealing a message for its devices, and the stanza around it.

use crate::NS;
use crate::engine::draft::Draft;
use crate::engine::iq::undefined_error;
use crate::env::{Env, Timestamp};
use crate::error::{Error, Malformed, Misuse};
use crate::identity::Digest;
use crate::jid::BareJid;
use crate::session::{Context as Bound, KemPolicy, Session, StanzaKind};
use crate::stanza::envelope::{self, Recipient};
use crate::stanza::wrap::Wrap;
use crate::stanza::{
    AnswerTag, Attribute, Body, CLIENT_NS, Content, Element, Hints, IQ, MESSAGE, Node, OUTSIDE, Uncoverable,
    attach, cover, is_for_servers, is_hint, write_stanza,
};
use crate::step::{Form, SendError};
use crate::suite::{Suite, SuiteId};
use crate::wire::to_base64;

/// The element that authenticates a stanza in clear.
pub(super) const AUTHENTICATION: &str = "auth";

/// XEP-0085: that somebody is typing.
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";

/// A device to send to, and the session for it.
pub(super) struct Target {
    pub(super) jid: BareJid,
    pub(super) to: Recipient,
    pub(super) session: Session,
    pub(super) suite: &'static Suite,
}

/// A sealed content.
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    /// Of an iq: what its answer names it by.
    pub(super) answer_tag: Option<AnswerTag>,
}

impl Draft<'_> {
    /// What is sealed of a stanza: its text if that is all it has, its children, or more if it has more.
    pub(super) fn content_of<'e>(
        element: &'e Element<'e>,
        time: Timestamp,
        answers: Option<AnswerTag>,
        form: Form,
    ) -> Result<Content<'e>, SendError> {
        // The tag names what an answer is for.
        let id = if answers.is_none() { element.attr("id") } else { None };
        let inner_id = id.filter(|id| !id.is_empty()).map(Into::into);
        if form == Form::Authenticated {
            let body = Body::Covered(digests_of(element)?);
            return Ok(Content { time, inner_id, answers, body });
        }
        let inside = |node: &&Node<'e>| match node {
            Node::Element(child) => !is_for_servers(&child.ns, &child.name) && &*child.ns != NS,
            Node::Text(_) => true,
        };
        let nodes: Vec<&Node<'e>> = element.children.iter().filter(inside).collect();
        let more =
            |attribute: &&Attribute<'_>| attribute.ns.is_some() || !OUTSIDE.contains(&&*attribute.name);
        let attributes: Vec<_> = element.attributes.iter().filter(more).cloned().collect();
        let shown = form.has_copy();
        let plain = !shown && attributes.is_empty() && answers.is_none() && &*element.name == MESSAGE;
        if let ([Node::Element(body)], true) = (nodes.as_slice(), plain)
            && body.is(CLIENT_NS, "body")
            && body.attributes.is_empty()
            && body.elements().next().is_none()
        {
            return Ok(Content { time, inner_id: None, answers: None, body: Body::ChatText(body.text()) });
        }
        let text = nodes.iter().any(|node| matches!(node, Node::Text(_)));
        let children = nodes.into_iter().cloned().collect();
        let body = if attributes.is_empty() && !text && !shown {
            Body::Children(children)
        } else {
            let stanza = Element { attributes, children, ..Element::new(CLIENT_NS, &*element.name) };
            if shown { Body::Shown(stanza) } else { Body::Stanza(stanza) }
        };
        Ok(Content { time, inner_id, answers, body })
    }

    /// What the next message says of its time: it rises from message to message, so that a reader can put them in
    /// order whatever servers have done to it.
    pub(super) fn stamp(&mut self) -> Result<Timestamp, Error> {
        let now = self.now.as_millis();
        let counters = self.state.counters.get_mut(&())?.ok_or(Misuse::Record)?;
        counters.time = now.max(counters.time.saturating_add(1));
        Ok(Timestamp::from_millis(counters.time))
    }

    /// Seals `content` for all targets: directly for one, wrapped for more.
    pub(super) fn seal(
        &mut self,
        to: &BareJid,
        element: &Element<'_>,
        targets: Vec<Target>,
        content: &[u8],
    ) -> Result<Result<Sealed, SendError>, Error> {
        let own = self.own()?;
        let (account, sender) = (own.jid.clone(), own.device);
        let bound = Bound {
            kind: StanzaKind::of(&element.name).ok_or(Misuse::Stanza(Malformed::Stanza))?,
            stanza_type: element.attr("type"),
            sender: &account,
            addressed: to,
            prefix: &[],
            extra: &[],
        };
        if let [_] = targets.as_slice() {
            let mut bytes = None;
            for target in targets {
                bytes = self.seal_direct(sender, &bound, target, content);
            }
            // A chain or a header field at its end; the next handshake begins anew.
            return Ok(bytes.ok_or(SendError::NoKeys));
        }
        let Some(suite) = self.payload_suite(&targets)? else { return Ok(Err(SendError::Level)) };
        let bytes = self.seal_wrapped(sender, suite, &bound, targets, content);
        Ok(bytes.map(|bytes| Sealed { bytes, answer_tag: None }).ok_or(SendError::NoKeys))
    }

    /// The first of our suites that every recipient lists. All sessions may have another.
    fn payload_suite(&self, targets: &[Target]) -> Result<Option<&'static Suite>, Error> {
        let mut common = self.config.suites.ids(self.config.least);
        for target in targets {
            let device = self.device(&target.jid, target.to.device)?;
            let listed = device.map_or(&[][..], |device| device.suites.as_slice());
            let session = target.suite.id.0;
            common.retain(|id| *id == session || listed.contains(id));
        }
        Ok(common.first().and_then(|id| self.config.suites.find(SuiteId(*id))))
    }

    pub(super) fn seal_direct(
        &mut self,
        sender: u32,
        bound: &Bound<'_>,
        mut target: Target,
        content: &[u8],
    ) -> Option<Sealed> {
        let flight = target.session.flight().map(<[u8]>::to_vec);
        let tag = target.session.tag();
        let prefix = envelope::direct_prefix(sender, target.to.device, flight.as_deref(), tag);
        let bound = Bound { prefix: &prefix, ..*bound };
        let mut env = Env { now: self.now, rng: self.rng };
        let sealed = target.session.seal(target.suite, &KemPolicy::default(), &mut env, &bound, content);
        let Ok(sealed) = sealed else { return None };
        let mut bytes = prefix;
        bytes.extend_from_slice(&sealed.header);
        bytes.extend_from_slice(&sealed.ciphertext);
        self.store_session(&target.jid, target.to.device, target.session);
        Some(Sealed { bytes, answer_tag: sealed.answer_tag })
    }

    fn seal_wrapped(
        &mut self,
        sender: u32,
        suite: &Suite,
        bound: &Bound<'_>,
        targets: Vec<Target>,
        content: &[u8],
    ) -> Option<Vec<u8>> {
        let Ok(wrap) = Wrap::seal(suite, content, self.rng) else { return None };
        let recipients = envelope::recipients(targets.iter().map(|target| target.to));
        let hash = crate::identity::digest(&wrap.payload);
        let mut entries = Vec::with_capacity(targets.len());
        for mut target in targets {
            let flight = target.session.flight().map(<[u8]>::to_vec);
            let head = envelope::entry_head(target.to, flight.as_deref(), target.session.tag());
            let prefix = envelope::entry_prefix(sender, suite.id, &head);
            let extra: [&[u8]; 3] = [&recipients, &wrap.commitment, &hash];
            let bound = Bound { prefix: &prefix, extra: &extra, ..*bound };
            let mut env = Env { now: self.now, rng: self.rng };
            let key = wrap.key.expose();
            let sealed = target.session.seal(target.suite, &KemPolicy::default(), &mut env, &bound, key);
            let Ok(sealed) = sealed else { return None };
            let mut body = sealed.header;
            body.extend_from_slice(&sealed.ciphertext);
            entries.push((head, body));
            self.store_session(&target.jid, target.to.device, target.session);
        }
        Some(envelope::wrapped(sender, suite.id, &entries, &wrap.commitment, &wrap.payload))
    }

    pub(super) fn store_session(&mut self, jid: &BareJid, device: u32, session: Session) {
        self.state.sessions.put((jid.clone(), device, session.id()), session);
    }

    /// The stanza around the element: the application's addressing, the element, hints and what is
    /// meant for servers.
    pub(super) fn wrap(&self, element: &Element<'_>, bytes: &[u8], form: Form) -> String {
        if form != Form::Encrypted {
            return self.attach(element, Element::new(NS, AUTHENTICATION).with_text(to_base64(bytes)));
        }
        let mut out = Element::new(CLIENT_NS, &*element.name);
        for attribute in &element.attributes {
            if attribute.ns.is_none() && OUTSIDE.contains(&&*attribute.name) {
                out.attributes.push(attribute.clone());
            }
        }
        out = out.with_child(Element::new(NS, "e").with_text(to_base64(bytes)));
        for child in element.elements().filter(|child| is_for_servers(&child.ns, &child.name)) {
            out = out.with_child(child.clone());
        }
        match (&*element.name, element.attr("type")) {
            (MESSAGE, _) => self.hints_for(element).add_to(&mut out),
            (IQ, Some("error")) => out = out.with_child(undefined_error()),
            _ => {}
        }
        write_stanza(&out)
    }

    /// What servers are told about a message: what the application has told them, or nothing of what only says that
    /// somebody is typing, or what the configuration says.
    fn hints_for(&self, element: &Element<'_>) -> Hints {
        let passing = is_passing(element);
        let hinted = element.elements().any(|child| is_hint(&child.ns));
        if passing || hinted { Hints::Bare } else { self.config.hints }
    }

    /// The stanza as it is, with an element of this protocol that vouches for it.
    pub(super) fn attach(&self, element: &Element<'_>, authentication: Element<'_>) -> String {
        let mut out = element.clone();
        out.remove_children_in(NS);
        let mut out = attach(out, authentication);
        // It is what it is to servers; only what they do not keep by themselves is marked.
        if &*element.name == MESSAGE && element.child(CLIENT_NS, "body").is_none() {
            self.hints_for(element).kept().add_to(&mut out);
        }
        write_stanza(&out)
    }
}

/// Whether a message only says that somebody is typing.
pub(super) fn is_passing(element: &Element<'_>) -> bool {
    let mut said = element.elements().filter(|child| !is_for_servers(&child.ns, &child.name)).peekable();
    said.peek().is_some() && said.all(|child| &*child.ns == CHAT_STATES)
}

/// The digests of what a stanza says in clear, or why they cannot vouch for it.
pub(super) fn digests_of(element: &Element<'_>) -> Result<Vec<Digest>, SendError> {
    match cover(element) {
        Ok(digests) if digests.is_empty() => Err(SendError::NotProtectable),
        Ok(digests) => Ok(digests),
        Err(Uncoverable::Fragile) => Err(SendError::Fragile),
        Err(Uncoverable::TooMany) => Err(SendError::TooLarge),
    }
}
