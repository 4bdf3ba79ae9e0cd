//! IQs between resources, and what servers answer: PEP (XEP-0163) with open access, and pings.

use std::fmt::Write;

use crate::server::{Server, bare, domain};
use crate::xml::{Element, escaped};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// How the server of an account does PEP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pep {
    /// As it should.
    #[default]
    Works,
    /// Publications fail: the node exists with other options.
    PreconditionNotMet,
    /// Publications fail: the server cannot do what is asked.
    Unsupported,
    /// There is no PEP at all.
    Absent,
}

impl Server {
    /// From now on the server of `account` does PEP so.
    pub fn set_pep(&mut self, account: &str, pep: Pep) {
        self.account(account).pep = pep;
    }

    /// The items of a PEP node, as published: id and payload, the newest last.
    #[must_use]
    pub fn items(&self, account: &str, node: &str) -> &[(String, String)] {
        let node = self.accounts.get(account).and_then(|account| account.nodes.get(node));
        node.map_or(&[], Vec::as_slice)
    }

    /// Replaces the items of a PEP node: what a hostile server does.
    pub fn set_items(&mut self, account: &str, node: &str, items: Vec<(String, String)>) {
        self.account(account).nodes.insert(node.to_owned(), items);
    }

    pub(super) fn iq(&mut self, from: &str, element: &Element<'_>) {
        let request = matches!(element.attr("type"), Some("get" | "set"));
        let to = element.attr("to").unwrap_or(bare(from)).to_owned();
        if to != bare(&to) {
            if self.connections.contains_key(&to) {
                self.deliver(&to, element.write(""));
            } else if request {
                self.refuse(element, "cancel", "service-unavailable");
            }
        } else if request {
            self.serve(from, &to, element);
        }
    }

    /// An iq that the server answers for an account or itself.
    fn serve(&mut self, from: &str, to: &str, element: &Element<'_>) {
        let set = element.attr("type") == Some("set");
        let known = self.accounts.contains_key(to);
        let pep = self.accounts.get(to).map(|account| account.pep).unwrap_or_default();
        let answer = match element.children().first() {
            Some(ping) if ping.name == "ping" && (known || to == domain(to)) => Ok(String::new()),
            Some(pubsub) if pubsub.name == "pubsub" && known && pep != Pep::Absent => {
                match pubsub.children().first() {
                    Some(action) if !set => self.fetch(to, action),
                    Some(_) if to != bare(from) => Err(("auth", "forbidden")),
                    Some(action) => self.change(to, action),
                    None => Err(("modify", "bad-request")),
                }
            }
            _ => Err(("cancel", "service-unavailable")),
        };
        match answer {
            Ok(payload) => {
                let id = escaped(element.attr("id").unwrap_or_default());
                let (from, to) = (escaped(from), escaped(to));
                let iq = format!("<iq type='result' id='{id}' from='{to}' to='{from}'>{payload}</iq>");
                self.deliver(element.attr("from").unwrap_or_default(), iq);
            }
            Err((kind, condition)) => self.refuse(element, kind, condition),
        }
    }

    fn fetch(&self, account: &str, items: &Element<'_>) -> Answer {
        let node = items.attr("node").filter(|_| items.name == "items").unwrap_or_default();
        let Some(stored) = self.accounts.get(account).and_then(|account| account.nodes.get(node)) else {
            return Err(("cancel", "item-not-found"));
        };
        let wanted: Vec<String> =
            items.children().iter().filter_map(|item| item.attr("id").map(str::to_owned)).collect();
        let mut out = format!("<pubsub xmlns='{PUBSUB}'><items node='{}'>", escaped(node));
        for (id, payload) in stored.iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(id)) {
            _ = write!(out, "<item id='{}'>{payload}</item>", escaped(id));
        }
        out.push_str("</items></pubsub>");
        Ok(out)
    }

    fn change(&mut self, account: &str, action: &Element<'_>) -> Answer {
        let node = action.attr("node").unwrap_or_default().to_owned();
        let item = action.child("item");
        let id = item.as_ref().and_then(|item| item.attr("id")).map(str::to_owned);
        self.count += 1;
        let id = id.unwrap_or_else(|| format!("item-{}", self.count));
        let state = self.account(account);
        match (action.name, item) {
            ("publish", Some(item)) => {
                match state.pep {
                    Pep::Works => {}
                    Pep::PreconditionNotMet => return Err(("cancel", "precondition-not-met")),
                    Pep::Unsupported | Pep::Absent => return Err(("cancel", "feature-not-implemented")),
                }
                let items = state.nodes.entry(node.clone()).or_default();
                items.retain(|(known, _)| *known != id);
                items.push((id.clone(), item.inner.to_owned()));
                let (node, id) = (escaped(&node), escaped(&id));
                Ok(format!(
                    "<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{id}'/></publish></pubsub>"
                ))
            }
            ("retract", Some(_)) => {
                let items = state.nodes.get_mut(&node).ok_or(("cancel", "item-not-found"))?;
                items.retain(|(known, _)| *known != id);
                Ok(String::new())
            }
            ("purge", None) => {
                state.nodes.get_mut(&node).ok_or(("cancel", "item-not-found"))?.clear();
                Ok(String::new())
            }
            ("delete", None) => {
                state.nodes.remove(&node).ok_or(("cancel", "item-not-found"))?;
                Ok(String::new())
            }
            _ => Err(("cancel", "feature-not-implemented")),
        }
    }
}

/// The payload of a result, or kind and condition of an error.
type Answer = Result<String, (&'static str, &'static str)>;
