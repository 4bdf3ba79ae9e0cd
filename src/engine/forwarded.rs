//! Copies of messages: carbons (XEP-0280) and archive results (XEP-0313). What is inside is read as
//! if it had come by itself, and put back in its place.

use crate::engine::draft::Draft;
use crate::error::{Error, Misbehaviour, Reason};
use crate::jid::{Address, BareJid};
use crate::stanza::{CLIENT_NS, Element, Node};
use crate::step::Via;

const CARBONS: &str = "urn:xmpp:carbons:2";
const MAM: &str = "urn:xmpp:mam:2";
const FORWARD: &str = "urn:xmpp:forward:0";

/// The message in a copy.
#[derive(Clone, Copy)]
pub(super) struct Copied<'e, 'a> {
    pub(super) via: Via,
    pub(super) inner: &'e Element<'a>,
}

/// The message that `outer` is a copy of, whoever made it.
fn copied<'e, 'a>(outer: &'e Element<'a>) -> Option<Copied<'e, 'a>> {
    let wrapper = |child: &&Element<'_>| via(child).is_some();
    let wrapper = outer.elements().find(wrapper)?;
    let inner = wrapper.child(FORWARD, "forwarded")?.child(CLIENT_NS, "message")?;
    Some(Copied { via: via(wrapper)?, inner })
}

fn via(wrapper: &Element<'_>) -> Option<Via> {
    match (&*wrapper.ns, &*wrapper.name) {
        (CARBONS, "received" | "sent") => Some(Via::Carbon),
        (MAM, "result") => Some(Via::Archive),
        _ => None,
    }
}

/// `outer` with `message` where the copied message was, and of the rest only what makes it a copy: whatever else the
/// server put beside it would look as if it had been protected.
pub(super) fn put_back<'a>(outer: &Element<'a>, message: Element<'a>) -> Element<'a> {
    let mut outer = outer.clone();
    let is = |node: &Node<'_>, wanted: &dyn Fn(&Element<'_>) -> bool| match node {
        Node::Element(element) => wanted(element),
        Node::Text(_) => false,
    };
    outer.children.retain(|node| is(node, &|child| via(child).is_some()));
    outer.children.truncate(1);
    for wrapper in elements_mut(&mut outer) {
        wrapper.children.retain(|node| is(node, &|child| child.is(FORWARD, "forwarded")));
        wrapper.children.truncate(1);
        for forwarded in elements_mut(wrapper) {
            let kept =
                |child: &Element<'_>| child.is(CLIENT_NS, "message") || child.is("urn:xmpp:delay", "delay");
            forwarded.children.retain(|node| is(node, &kept));
        }
    }
    let wrapper = elements_mut(&mut outer).find(|child| via(child).is_some());
    let forwarded =
        wrapper.and_then(|child| elements_mut(child).find(|child| child.is(FORWARD, "forwarded")));
    let place = forwarded.and_then(|child| elements_mut(child).find(|child| child.is(CLIENT_NS, "message")));
    if let Some(place) = place {
        *place = message;
    }
    outer
}

fn elements_mut<'e, 'a>(element: &'e mut Element<'a>) -> impl Iterator<Item = &'e mut Element<'a>> {
    element.children.iter_mut().filter_map(|node| match node {
        Node::Element(element) => Some(element),
        Node::Text(_) => None,
    })
}

impl Draft<'_> {
    /// The message that `outer` is a copy of, if it is one that the own server made.
    ///
    /// # Errors
    /// The inner error if somebody else made it: anybody can send such an element, and a client that took it for
    /// a copy would show words that nobody said.
    pub(super) fn copied<'e, 'a>(
        &self,
        outer: &'e Element<'a>,
    ) -> Result<Result<Option<Copied<'e, 'a>>, Reason>, Error> {
        let Some(copied) = copied(outer) else { return Ok(Ok(None)) };
        let own = &self.own()?.jid;
        // Some servers leave `from` out of archive results.
        let from =
            outer.attr("from").map_or(Ok(own.clone()), |from| Address::parse(from).map(|from| from.bare));
        if from.is_ok_and(|from| from == *own) {
            return Ok(Ok(Some(copied)));
        }
        // Rooms have archives of their own.
        let room = copied.via == Via::Archive && copied.inner.attr("type") == Some("groupchat");
        Ok(if room { Ok(None) } else { Err(Misbehaviour::WrongSubject.into()) })
    }

    /// Whether this device may read a message between these accounts: one to the own account, or a copy of one
    /// from it.
    pub(super) fn is_concerned(
        &self,
        via: Via,
        sender: &BareJid,
        addressed: &BareJid,
    ) -> Result<bool, Error> {
        let own = &self.own()?.jid;
        Ok(addressed == own || via != Via::Stream && sender == own)
    }
}
