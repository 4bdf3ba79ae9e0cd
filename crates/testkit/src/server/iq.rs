//! IQs between resources, and what servers answer: PEP (XEP-0163), and pings.

use std::fmt::Write;

use crate::server::{Server, bare, domain};
use crate::xml::{Element, escaped};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// A PEP node.
#[derive(Clone)]
pub(super) struct Node {
    /// Id and payload, the newest last.
    items: Vec<(String, String)>,
    /// `pubsub#access_model`.
    access: String,
    /// `pubsub#max_items`.
    most: usize,
}

impl Default for Node {
    /// What many servers make of a new node: one item, for those who see presence.
    fn default() -> Self {
        Self { items: Vec::new(), access: "presence".to_owned(), most: 1 }
    }
}

/// How the server of an account does PEP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pep {
    /// As it should.
    #[default]
    Works,
    /// Publications with options fail: all nodes are for those who see presence, and cannot be
    /// configured.
    PreconditionNotMet,
    /// Nodes keep one item, whatever they are configured to.
    KeepsOne,
    /// Publications are taken, and nothing is kept.
    Forgets,
    /// Publications are refused by a policy.
    Refuses,
    /// Publications fail for now: as ejabberd says that a transaction has failed.
    Busy,
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
        node.map_or(&[], |node| node.items.as_slice())
    }

    /// The access model of a PEP node.
    #[must_use]
    pub fn access(&self, account: &str, node: &str) -> Option<&str> {
        let node = self.accounts.get(account).and_then(|account| account.nodes.get(node));
        node.map(|node| node.access.as_str())
    }

    /// Makes a PEP node with this access model, as another program of the account may have done.
    pub fn set_access(&mut self, account: &str, node: &str, access: &str) {
        access.clone_into(&mut self.account(account).nodes.entry(node.to_owned()).or_default().access);
    }

    /// From now on whoever fetches sees the nodes as they are now, whatever is published: what a hostile server does, or
    /// one whose disk is full.
    pub fn freeze(&mut self, account: &str) {
        let account = self.account(account);
        account.shown = Some(account.nodes.clone());
    }

    /// From now on what is fetched is what was published.
    pub fn thaw(&mut self, account: &str) {
        self.account(account).shown = None;
    }

    /// Replaces the items of a PEP node: what a hostile server does.
    pub fn set_items(&mut self, account: &str, node: &str, items: Vec<(String, String)>) {
        self.account(account).nodes.entry(node.to_owned()).or_default().items = items;
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
                let options = pubsub.child("publish-options");
                match pubsub.children().first() {
                    Some(action) if !set => self.fetch(bare(from), to, action),
                    Some(_) if to != bare(from) => Err(("auth", "forbidden")),
                    Some(action) => self.change(to, action, options.as_ref()),
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

    fn fetch(&self, asker: &str, account: &str, items: &Element<'_>) -> Answer {
        let node = items.attr("node").filter(|_| items.name == "items").unwrap_or_default();
        let account_of = |account| self.accounts.get(account);
        let nodes = account_of(account).map(|account| account.shown.as_ref().unwrap_or(&account.nodes));
        let Some(stored) = nodes.and_then(|nodes| nodes.get(node)) else {
            return Err(("cancel", "item-not-found"));
        };
        let sees = self.accounts.get(asker).is_some_and(|asker| asker.watches.contains(account));
        if stored.access != "open" && asker != account && !sees {
            return Err(("auth", "not-authorized"));
        }
        let wanted: Vec<String> =
            items.children().iter().filter_map(|item| item.attr("id").map(str::to_owned)).collect();
        let mut out = format!("<pubsub xmlns='{PUBSUB}'><items node='{}'>", escaped(node));
        for (id, payload) in stored.items.iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(id)) {
            _ = write!(out, "<item id='{}'>{payload}</item>", escaped(id));
        }
        out.push_str("</items></pubsub>");
        Ok(out)
    }

    fn change(&mut self, account: &str, action: &Element<'_>, options: Option<&Element<'_>>) -> Answer {
        let node = action.attr("node").unwrap_or_default().to_owned();
        let item = action.child("item");
        let id = item.as_ref().and_then(|item| item.attr("id")).map(str::to_owned);
        self.count += 1;
        let id = id.unwrap_or_else(|| format!("item-{}", self.count));
        let state = self.account(account);
        match (action.name, item) {
            ("publish", Some(item)) => {
                match state.pep {
                    Pep::Works | Pep::KeepsOne | Pep::Forgets => {}
                    Pep::PreconditionNotMet if options.is_none() => {}
                    Pep::PreconditionNotMet => return Err(("cancel", "precondition-not-met")),
                    Pep::Refuses => return Err(("modify", "policy-violation")),
                    Pep::Busy => return Err(("wait", "internal-server-error")),
                    Pep::Unsupported | Pep::Absent => return Err(("cancel", "feature-not-implemented")),
                }
                let access = options.and_then(|options| field(options, "pubsub#access_model"));
                match state.nodes.get(&node) {
                    Some(known) if access.as_ref().is_some_and(|access| *access != known.access) => {
                        return Err(("cancel", "precondition-not-met"));
                    }
                    Some(_) => {}
                    None => {
                        let new = Node::default();
                        let access = access.unwrap_or(new.access);
                        state.nodes.insert(node.clone(), Node { access, ..new });
                    }
                }
                let kept = state.nodes.entry(node.clone()).or_default();
                kept.items.retain(|(known, _)| *known != id);
                kept.items.push((id.clone(), item.inner.to_owned()));
                let most = if state.pep == Pep::Forgets { 0 } else { kept.most };
                kept.items.drain(..kept.items.len().saturating_sub(most));
                let (node, id) = (escaped(&node), escaped(&id));
                Ok(format!(
                    "<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{id}'/></publish></pubsub>"
                ))
            }
            ("configure", None) if state.pep == Pep::PreconditionNotMet => Err(("auth", "forbidden")),
            ("configure", None) => {
                let known = state.nodes.get_mut(&node).ok_or(("cancel", "item-not-found"))?;
                if let Some(access) = field(action, "pubsub#access_model") {
                    known.access = access;
                }
                let most = field(action, "pubsub#max_items").and_then(|most| most.parse().ok());
                if let Some(most) = most.filter(|_| state.pep != Pep::KeepsOne) {
                    known.most = most;
                }
                Ok(String::new())
            }
            ("retract", Some(_)) => {
                let known = state.nodes.get_mut(&node).ok_or(("cancel", "item-not-found"))?;
                known.items.retain(|(known, _)| *known != id);
                Ok(String::new())
            }
            ("purge", None) => {
                state.nodes.get_mut(&node).ok_or(("cancel", "item-not-found"))?.items.clear();
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

/// The value of a field of the form in an element.
fn field(element: &Element<'_>, var: &str) -> Option<String> {
    let form = element.child("x")?;
    let field = form.children().into_iter().find(|field| field.attr("var") == Some(var))?;
    field.child("value").map(|value| value.inner.to_owned())
}

/// The payload of a result, or kind and condition of an error.
type Answer = Result<String, (&'static str, &'static str)>;
