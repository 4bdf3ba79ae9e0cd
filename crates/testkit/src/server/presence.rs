//! Presence and who sees it (RFC 6121, sections 3 and 4).

use crate::server::{Server, bare};
use crate::xml::{Element, escaped};

impl Server {
    /// Makes both accounts see each other's presence.
    pub fn befriend(&mut self, one: &str, other: &str) {
        self.subscribe(one, other);
        self.subscribe(other, one);
    }

    /// From now on `viewer` sees the presence of `watched`.
    pub fn subscribe(&mut self, viewer: &str, watched: &str) {
        self.register(watched);
        self.register(viewer);
        let news = self.account(viewer).watches.insert(watched.to_owned());
        if news {
            for to in self.resources(viewer, true) {
                self.show(watched, &to);
            }
        }
    }

    /// `viewer` sees the presence of `watched` no longer.
    pub fn unsubscribe(&mut self, viewer: &str, watched: &str) {
        if !self.account(viewer).watches.remove(watched) {
            return;
        }
        for from in self.resources(watched, true) {
            for to in self.resources(viewer, true) {
                let stanza = gone(&from, "");
                if let Some(mut element) = Element::parse(&stanza) {
                    element.set("to", viewer);
                    self.deliver(&to, element.write(""));
                }
            }
        }
    }

    /// The contacts of an account: JID, whether it sees them, whether they see it.
    #[must_use]
    pub fn roster(&self, account: &str) -> Vec<(String, bool, bool)> {
        let sees = |one: &str, other: &str| {
            self.accounts.get(one).is_some_and(|account| account.watches.contains(other))
        };
        let others = self.accounts.keys().filter(|other| *other != account);
        let contacts = others.map(|other| (other.clone(), sees(account, other), sees(other, account)));
        contacts.filter(|(_, to, from)| *to || *from).collect()
    }

    pub(super) fn account(&mut self, account: &str) -> &mut super::Account {
        self.accounts.entry(account.to_owned()).or_default()
    }

    pub(super) fn presence(&mut self, from: &str, element: &mut Element<'_>) {
        if let Some(to) = element.attr("to").map(str::to_owned) {
            let stanza = element.write("");
            if to == bare(&to) {
                for resource in self.resources(&to, true) {
                    self.deliver(&resource, stanza.clone());
                }
            } else {
                self.deliver(&to, stanza);
            }
            return;
        }
        match element.attr("type") {
            None => {
                let stanza = element.write("");
                let before = self.connection(from).presence.replace(stanza.clone());
                self.broadcast(from, element);
                if before.is_none() {
                    self.arrive(from);
                }
            }
            Some("unavailable") => {
                if self.connection(from).presence.take().is_some() {
                    self.unavailable(from, element.inner);
                }
            }
            Some(_) => {}
        }
    }

    /// Tells everybody who has seen it that a resource is gone.
    pub(super) fn unavailable(&mut self, full: &str, inner: &str) {
        let stanza = gone(full, inner);
        if let Some(mut element) = Element::parse(&stanza) {
            self.broadcast(full, &mut element);
        }
    }

    /// To the available resources of the own account and of those that watch it.
    fn broadcast(&mut self, full: &str, element: &mut Element<'_>) {
        let account = bare(full);
        let watches = |(_, state): &(&String, &super::Account)| state.watches.contains(account);
        let viewers = self.accounts.iter().filter(watches).map(|(jid, _)| jid.clone());
        let audience: Vec<String> = viewers.chain([account.to_owned()]).collect();
        for jid in audience {
            element.set("to", &jid);
            let stanza = element.write("");
            for to in self.resources(&jid, true) {
                self.deliver(&to, stanza.clone());
            }
        }
    }

    /// What a resource gets upon its initial presence: others' presence, and what was kept.
    fn arrive(&mut self, full: &str) {
        let account = bare(full);
        let contacts: Vec<String> = self.account(account).watches.iter().cloned().collect();
        for contact in contacts {
            self.show(&contact, full);
        }
        self.show(account, full);
        for stanza in std::mem::take(&mut self.account(account).offline) {
            self.deliver(full, stanza);
        }
    }

    /// Delivers the presence of every resource of `account` to the full JID `to`, but not its own.
    fn show(&mut self, account: &str, to: &str) {
        for resource in self.resources(account, true) {
            let presence = self.connection(&resource).presence.clone();
            if let Some(presence) = presence.filter(|_| resource != to)
                && let Some(mut element) = Element::parse(&presence)
            {
                element.set("to", bare(to));
                let stanza = element.write(&self.delay(account));
                self.deliver(to, stanza);
            }
        }
    }
}

fn gone(full: &str, inner: &str) -> String {
    format!("<presence from='{}' type='unavailable'>{inner}</presence>", escaped(full))
}
