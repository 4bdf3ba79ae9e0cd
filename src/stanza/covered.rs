//! "Authentication only": which children of a visible stanza are covered, and what a receiver may
//! take of one. What carries the digests is in the stanza's authentication element.

use super::canonical::{Reduced, is_fragile};
use super::{CLIENT_NS, Element, Node, is_for_servers, is_from_servers};
use crate::NS;
use crate::identity::Digest;

/// Children covered of one stanza. Clients send up to a dozen; the digests of so many have 2 KiB,
/// and a receiver compares each with each child.
pub(crate) const MAX_COVERED: usize = 64;

/// Names told of children that are not covered: enough to find who adds them.
pub(crate) const MAX_DROPPED: usize = 16;

/// Why a stanza's children cannot be covered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Uncoverable {
    /// Servers would change what a child says; it can only go opaquely.
    #[error("a child that servers change")]
    Fragile,
    /// More than [`MAX_COVERED`].
    #[error("too many children")]
    TooMany,
}

/// The stanza is not what its sender covered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("altered or forged")]
pub(crate) struct Forged;

/// What is left of a stanza.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Uncovered<'a> {
    /// The covered children, in the order in which they were covered.
    pub(crate) children: Vec<Node<'a>>,
    /// How many covered children did not come.
    pub(crate) missing: usize,
    /// The namespaces and names of children that came and are not covered, at most [`MAX_DROPPED`].
    pub(crate) dropped: Vec<(String, String)>,
}

/// The digests of what `stanza` says, in order.
pub(crate) fn cover(stanza: &Element<'_>) -> Result<Vec<Digest>, Uncoverable> {
    let said = said(stanza);
    if said.len() > MAX_COVERED {
        return Err(Uncoverable::TooMany);
    }
    if said.iter().any(is_fragile) {
        return Err(Uncoverable::Fragile);
    }
    Ok(said.iter().map(|child| Reduced::of(child).digest()).collect())
}

/// What `stanza` says of what `digests` cover.
///
/// A child that an archive dropped is missing, and one that somebody added is dropped. Both
/// together cannot be told from a child that was altered.
pub(crate) fn uncover<'a>(stanza: &Element<'a>, digests: &[Digest]) -> Result<Uncovered<'a>, Forged> {
    if digests.len() > MAX_COVERED {
        return Err(Forged);
    }
    let mut came: Vec<_> = said(stanza).iter().map(|child| Some(Came::new(child))).collect();
    let mut found = vec![None; digests.len()];
    // All as they came first, so that a child without language takes no other's place.
    for without_language in [false, true] {
        for (place, digest) in found.iter_mut().zip(digests) {
            if place.is_none() {
                *place = came.iter_mut().find_map(|child| {
                    child.as_ref()?.matches(digest, without_language).cloned().inspect(|_| *child = None)
                });
            }
        }
    }
    let missing = found.iter().filter(|place| place.is_none()).count();
    let mut left = came.into_iter().flatten().peekable();
    if missing > 0 && (left.peek().is_some() || missing == digests.len()) {
        return Err(Forged);
    }
    let children = found.into_iter().flatten().map(|child| Node::Element(child.into_element()));
    Ok(Uncovered {
        children: children.collect(),
        missing,
        dropped: left.take(MAX_DROPPED).map(Came::into_name).collect(),
    })
}

/// Puts the authentication element where [`attached`] finds it: at the end of a message or a
/// presence; in an iq, which may have one child only (RFC 6120, section 8.2.3), at that one's end.
pub(crate) fn attach<'a>(mut stanza: Element<'a>, element: Element<'a>) -> Element<'a> {
    let element = Node::Element(element);
    if let Some(payload) = payload_mut(&mut stanza) {
        payload.children.push(element);
    } else {
        stanza.children.push(element);
    }
    stanza
}

/// The element `name` of this protocol that [`attach`] put there. If there are two, none: no two
/// readers shall choose differently.
pub(crate) fn attached<'s, 'a>(stanza: &'s Element<'a>, name: &str) -> Option<&'s Element<'a>> {
    let payload = payload(stanza);
    let mut all = payload.unwrap_or(stanza).elements().filter(|element| element.is(NS, name));
    let (first, second) = (all.next(), all.next());
    let ends = |payload: &Element<'_>| match payload.children.last() {
        Some(Node::Element(last)) => last.is(NS, name),
        Some(Node::Text(_)) | None => false,
    };
    first.filter(|_| second.is_none() && payload.is_none_or(ends))
}

/// A child that came and was not yet taken.
#[derive(Clone)]
struct Came<'a> {
    reduced: Reduced<'a>,
    digest: Digest,
    without_language: Option<(Reduced<'a>, Digest)>,
}

impl<'a> Came<'a> {
    fn new(child: &Element<'a>) -> Self {
        let reduced = Reduced::of(child);
        let without_language = reduced.without_language().map(|without| {
            let digest = without.digest();
            (without, digest)
        });
        Self { digest: reduced.digest(), reduced, without_language }
    }

    fn matches(&self, digest: &Digest, without_language: bool) -> Option<&Reduced<'a>> {
        let form = if without_language {
            self.without_language.as_ref().map(|(reduced, digest)| (reduced, digest))
        } else {
            Some((&self.reduced, &self.digest))
        };
        form.filter(|(_, its)| *its == digest).map(|(reduced, _)| reduced)
    }

    fn into_name(self) -> (String, String) {
        let element = self.reduced.into_element();
        (element.ns.into_owned(), element.name.into_owned())
    }
}

/// The children that a sender can vouch for: neither for servers nor from them, nor this protocol's.
fn said<'a>(stanza: &Element<'a>) -> Vec<Element<'a>> {
    let mut stanza = stanza.clone();
    if let Some(payload) = payload_mut(&mut stanza) {
        // The authentication element stands here; this protocol has no other in foreign ones.
        while payload.children.last().is_some_and(is_own) {
            payload.children.pop();
        }
    }
    let said = stanza.children.into_iter().filter_map(|node| match node {
        Node::Element(child) => Some(child),
        Node::Text(_) => None,
    });
    said.filter(|child| {
        child.ns != NS && !is_for_servers(&child.ns, &child.name) && !is_from_servers(&child.ns, &child.name)
    })
    .collect()
}

/// What an iq holds.
fn payload<'s, 'a>(stanza: &'s Element<'a>) -> Option<&'s Element<'a>> {
    let last = stanza.children.iter().rev().find_map(|node| match node {
        Node::Element(child) => (child.ns != NS).then_some(child),
        Node::Text(_) => None,
    });
    last.filter(|_| stanza.is(CLIENT_NS, "iq"))
}

/// The same, to change it.
fn payload_mut<'s, 'a>(stanza: &'s mut Element<'a>) -> Option<&'s mut Element<'a>> {
    let is_iq = stanza.is(CLIENT_NS, "iq");
    let last = stanza.children.iter_mut().rev().find_map(|node| match node {
        Node::Element(child) => (child.ns != NS).then_some(child),
        Node::Text(_) => None,
    });
    last.filter(|_| is_iq)
}

fn is_own(node: &Node<'_>) -> bool {
    match node {
        Node::Element(child) => child.ns == NS,
        Node::Text(_) => false,
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
