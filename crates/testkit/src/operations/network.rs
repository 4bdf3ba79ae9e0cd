//! Servers that deliver, drop, repeat and reorder, and their PEP.

use super::*;

impl World {
    pub(super) fn take_from_wire(&mut self, a: u8) -> Option<Flying> {
        let len = self.wire.len();
        (len > 0).then(|| self.wire.remove(usize::from(a) % len))
    }

    pub(super) fn pick(&self, a: u8) -> Option<Flying> {
        let len = self.wire.len();
        (len > 0).then(|| self.wire[usize::from(a) % len].clone())
    }

    pub(super) fn fly(&mut self, flying: Flying) {
        if self.wire.len() >= MAX_WIRE {
            self.wire.remove(0);
        }
        self.wire.push(flying);
    }

    /// Agents answer, and the network delivers in order, for some rounds or until all is quiet.
    pub(super) fn pump(&mut self, rounds: usize) {
        for _ in 0..=rounds {
            let mut quiet = true;
            for i in 0..self.devices.len() {
                while !self.devices[i].asks.is_empty() {
                    quiet = false;
                    self.answer(i, 0);
                }
            }
            // What is for nobody online stays.
            for flying in core::mem::take(&mut self.wire) {
                quiet &= !self.deliver(flying);
            }
            if quiet {
                return;
            }
        }
    }

    /// Delivers to all it is for; whether that was anybody.
    pub(super) fn deliver(&mut self, flying: Flying) -> bool {
        if let Some(to) = flying.to {
            return self.receive_flying(to, &flying, &flying.text);
        }
        let head = flying.text.split('>').next().unwrap_or_default().to_owned();
        let to = attribute(&head, "to").unwrap_or_default();
        if flying.text.starts_with("<iq") && !to.contains('/') {
            let text = self.serve(&flying, &head, &to);
            self.fly(Flying {
                from: flying.from,
                to: Some(flying.from),
                text,
                protected: false,
                counted: false,
            });
            return true;
        }
        let from = self.devices[flying.from].full_jid();
        let text = stamp(&flying.text, &from);
        let (account, resource) = to.split_once('/').map_or((&*to, None), |(jid, name)| (jid, Some(name)));
        let mut taken = false;
        for i in 0..self.devices.len() {
            let device = &self.devices[i];
            let addressed = match (flying.text.starts_with("<message"), resource) {
                _ if to.is_empty() => i != flying.from,
                (false, Some(resource)) => device.account == account && device.resource == resource,
                _ => device.account == account && i != flying.from,
            };
            if addressed {
                taken |= self.receive_flying(i, &flying, &text);
            }
        }
        if !taken && flying.protected {
            self.fly(flying);
        }
        taken
    }

    fn receive_flying(&mut self, i: usize, flying: &Flying, text: &str) -> bool {
        self.counted = flying.counted;
        let taken = self.receive(i, text, flying.protected);
        self.counted = false;
        taken
    }

    pub(super) fn receive(&mut self, i: usize, text: &str, protected: bool) -> bool {
        if !self.devices[i].online {
            return false;
        }
        let any = ["e", "auth", "signed"].iter().any(|name| text.contains(&format!("<{name} xmlns='{NS}'")));
        let class = match (protected, any) {
            (true, _) => Class::Protected,
            (false, true) => Class::Any,
            (false, false) => Class::Stanza,
        };
        self.step(i, class, &|| Input::Received(text));
        true
    }

    /// PEP of the server.
    pub(super) fn serve(&mut self, flying: &Flying, head: &str, to: &str) -> String {
        let own = self.devices[flying.from].account;
        let to = if to.is_empty() { own } else { to };
        let id = attribute(head, "id").unwrap_or_default();
        let node = attribute(&flying.text, "node").unwrap_or_default();
        let result = |inside: &str| format!("<iq type='result' from='{to}' id='{id}'>{inside}</iq>");
        let item = flying.text.split_once("<item id='").and_then(|(_, rest)| rest.split_once('\''));
        match item {
            Some((item, rest)) if flying.text.contains("<publish ") && to == own => {
                let body = rest.trim_start_matches('>').split("</item>").next().unwrap_or_default();
                let items = self.published.entry((own.to_owned(), node)).or_default();
                items.retain(|(known, _)| known != item);
                items.push((item.to_owned(), body.to_owned()));
                return result("");
            }
            Some((item, _)) if flying.text.contains("<retract ") && to == own => {
                let items = self.published.entry((own.to_owned(), node)).or_default();
                items.retain(|(known, _)| known != item);
                return result("");
            }
            _ => {}
        }
        let Some(items) = self.published.get(&(to.to_owned(), node.clone())) else {
            return format!("<iq type='error' from='{to}' id='{id}'><error type='cancel'/></iq>");
        };
        let items: String =
            items.iter().map(|(item, body)| format!("<item id='{item}'>{body}</item>")).collect();
        result(&format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{items}</items></pubsub>"
        ))
    }
}

/// The value of an attribute that the engine wrote.
pub(super) fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}='"))?;
    Some(rest.split('\'').next()?.to_owned())
}

/// Puts `from` into a stanza, as its server does.
pub(super) fn stamp(text: &str, from: &str) -> String {
    let end = text.find([' ', '>', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    format!("{name} from='{from}'{rest}")
}
