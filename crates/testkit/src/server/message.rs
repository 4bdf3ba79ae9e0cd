//! Messages: to resources, to the offline store, or back (RFC 6121, section 8.5).

use crate::server::{Server, bare};
use crate::xml::{Element, escaped};

impl Server {
    pub(super) fn message(&mut self, from: &str, element: &mut Element<'_>) {
        if element.attr("to").is_none() {
            element.set("to", bare(from));
        }
        self.archive(element);
        self.carbons("sent", bare(from), &[from.to_owned()], element);
        self.route(element);
    }

    /// A message that a session had not handled when it closed.
    pub(super) fn reroute(&mut self, stanza: &str) {
        let Some(element) = Element::parse(stanza) else { return };
        if element.name == "message" && element.child("sent").is_none() && element.child("received").is_none()
        {
            self.route(&element);
        }
    }

    fn route(&mut self, element: &Element<'_>) {
        let Some(to) = element.attr("to") else { return };
        let account = bare(to);
        if !self.accounts.contains_key(account) {
            self.refuse(element, "cancel", "service-unavailable");
            return;
        }
        let stanza = element.write("");
        if to != account && self.connections.contains_key(to) {
            let to = to.to_owned();
            self.carbons("received", account, std::slice::from_ref(&to), element);
            self.deliver(&to, stanza);
            return;
        }
        match element.attr("type") {
            Some("error") => {}
            Some("headline") if to != account => {}
            Some("groupchat") => self.refuse(element, "cancel", "service-unavailable"),
            kind => {
                let resources = self.resources(account, true);
                for resource in &resources {
                    self.deliver(resource, stanza.clone());
                }
                if resources.is_empty() && kind != Some("headline") {
                    self.keep(element, account);
                }
            }
        }
    }

    fn keep(&mut self, element: &Element<'_>, account: &str) {
        if element.child("no-store").is_some() {
            self.refuse(element, "cancel", "service-unavailable");
            return;
        }
        // What was kept once has its mark.
        let delay = if element.child("delay").is_some() { String::new() } else { self.delay(account) };
        let stanza = element.write(&delay);
        self.account(account).offline.push(stanza);
    }

    /// Copies of a chat message to the account's other resources (XEP-0280).
    fn carbons(&mut self, kind: &str, account: &str, except: &[String], element: &Element<'_>) {
        if !self.carbons || element.attr("type") != Some("chat") || element.child("private").is_some() {
            return;
        }
        let mut inside = element.clone();
        inside.set("xmlns", "jabber:client");
        let inside = inside.write("");
        for to in self.resources(account, true) {
            if except.contains(&to) {
                continue;
            }
            let carbon = format!(
                "<message from='{}' to='{}' type='chat'><{kind} xmlns='urn:xmpp:carbons:2'>\
                 <forwarded xmlns='urn:xmpp:forward:0'>{inside}</forwarded></{kind}></message>",
                escaped(account),
                escaped(&to),
            );
            self.deliver(&to, carbon);
        }
    }
}
