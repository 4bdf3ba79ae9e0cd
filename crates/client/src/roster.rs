//! The roster (RFC 6121, section 2), kept from login to login by its version.

use std::collections::BTreeMap;

use minidom::Element;
use xmpp_e2e::Subscription;

use crate::xml::{ROSTER, element, set};

/// An entry of the roster.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Item {
    /// The contact's JID.
    pub jid: String,
    /// What the user calls it.
    pub name: Option<String>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// Whether a subscription is asked for.
    pub asked: bool,
}

/// The roster as the server had it last.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    version: Option<String>,
    items: BTreeMap<String, Item>,
}

/// What a result or push has changed.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) set: Vec<Item>,
    pub(crate) removed: Vec<String>,
}

impl Roster {
    /// The entries, by JID.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// The entry of a contact.
    #[must_use]
    pub fn item(&self, jid: &str) -> Option<&Item> {
        self.items.get(jid)
    }

    /// What to ask with: empty if there is none yet (RFC 6121, section 2.6.2).
    pub(crate) fn version(&self) -> &str {
        self.version.as_deref().unwrap_or_default()
    }

    /// A result's query: the whole roster.
    pub(crate) fn replace(&mut self, query: &Element) -> Change {
        let mut now = Self::default();
        let Change { set, .. } = now.update(query);
        let removed = self.items.keys().filter(|jid| !now.items.contains_key(*jid)).cloned().collect();
        let set = set.into_iter().filter(|item| self.items.get(&item.jid) != Some(item)).collect();
        *self = now;
        Change { set, removed }
    }

    /// A push's query, or what was cached.
    pub(crate) fn update(&mut self, query: &Element) -> Change {
        let mut change = Change::default();
        if let Some(version) = query.attr("ver") {
            self.version = Some(version.to_owned());
        }
        for child in query.children().filter(|child| child.is("item", ROSTER)) {
            let Some(jid) = child.attr("jid") else { continue };
            let subscription = match child.attr("subscription") {
                Some("both") => Subscription::Both,
                Some("from") => Subscription::From,
                Some("to") => Subscription::To,
                Some("remove") => Subscription::Remove,
                _ => Subscription::None,
            };
            if subscription == Subscription::Remove {
                self.items.remove(jid);
                change.removed.push(jid.to_owned());
                continue;
            }
            let name = child.attr("name").filter(|name| !name.is_empty()).map(str::to_owned);
            let asked = child.attr("ask") == Some("subscribe");
            let item = Item { jid: jid.to_owned(), name, subscription, asked };
            self.items.insert(jid.to_owned(), item.clone());
            change.set.push(item);
        }
        change
    }

    /// The whole, to be stored.
    pub(crate) fn to_xml(&self) -> String {
        let mut query = element(ROSTER, "query", &[]);
        if let Some(version) = &self.version {
            set(&mut query, "ver", version);
        }
        for item in self.items.values() {
            let subscription = match item.subscription {
                Subscription::Both => "both",
                Subscription::From => "from",
                Subscription::To => "to",
                Subscription::None | Subscription::Remove => "none",
            };
            let mut child = element(ROSTER, "item", &[("jid", &item.jid), ("subscription", subscription)]);
            if let Some(name) = &item.name {
                set(&mut child, "name", name);
            }
            if item.asked {
                set(&mut child, "ask", "subscribe");
            }
            query.append_child(child);
        }
        String::from(&query)
    }

    pub(crate) fn from_xml(text: &str) -> Option<Self> {
        let mut roster = Self::default();
        roster.update(&text.parse().ok()?);
        Some(roster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(items: &str) -> Element {
        format!("<query xmlns='jabber:iq:roster' ver='7'>{items}</query>").parse().unwrap()
    }

    #[test]
    fn a_result_replaces_and_a_push_adds() {
        let mut roster = Roster::default();
        let change =
            roster.replace(&query("<item jid='a@x' subscription='both' name='A'/><item jid='b@x'/>"));
        assert_eq!((change.set.len(), change.removed.len()), (2, 0));
        let change = roster
            .update(&query("<item jid='b@x' subscription='remove'/><item jid='c@x' subscription='to'/>"));
        assert_eq!((change.set.len(), &change.removed[..]), (1, &["b@x".to_owned()][..]));
        let change = roster.replace(&query("<item jid='a@x' subscription='both' name='A'/>"));
        assert_eq!((change.set.len(), &change.removed[..]), (0, &["c@x".to_owned()][..]));
    }

    #[test]
    fn kept_as_xml() {
        let mut roster = Roster::default();
        roster.replace(&query("<item jid='a@x' subscription='from' name='&lt;A&gt;' ask='subscribe'/>"));
        let again = Roster::from_xml(&roster.to_xml()).unwrap();
        assert_eq!(again.items().collect::<Vec<_>>(), roster.items().collect::<Vec<_>>());
        assert_eq!(again.version(), "7");
        assert!(Roster::from_xml("x").is_none());
    }
}
