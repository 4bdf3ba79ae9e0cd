//! What is read, handed to the application; and the engine's own short messages.

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::forwarded::put_back;
use crate::engine::receive::Incoming;
use crate::engine::records::{InboxItem, SessionKey};
use crate::env::Env;
use crate::error::{Error, Malformed, Misuse};
use crate::jid::BareJid;
use crate::session::{Context as Bound, KemPolicy, Session, StanzaKind};
use crate::stanza::{
    Body, Content, Control, Element, Node, envelope, is_for_servers, is_from_servers, parse, write_stanza,
};
use crate::step::{Context, Effect, Inbound, InboxId, Protection};
use crate::suite::{Level, Suite, SuiteId};
use crate::wire::to_base64;

/// Stanzas delivered and not taken: an application that takes none is broken, and should not go on
/// acknowledging them to the server.
const MAX_INBOX: usize = 10_000;

impl Draft<'_> {
    /// Acts on a content. Whether it counts as something to be answered.
    pub(super) fn act(
        &mut self,
        incoming: &Incoming<'_>,
        device: u32,
        session: &Session,
        suite: &Suite,
        content: Content<'_>,
    ) -> Result<bool, Error> {
        let Content { time, inner_id, body } = content;
        let mut stanza = Element::new("jabber:client", "message");
        for name in ["from", "to", "type"] {
            if let Some(value) = incoming.element.attr(name) {
                stanza = stanza.with_attr(name, value);
            }
        }
        let id_protected = inner_id.is_some();
        if let Some(id) = inner_id.or_else(|| incoming.element.attr("id").map(Into::into)) {
            stanza = stanza.with_attr("id", id);
        }
        match body {
            Body::ChatText(text) => {
                stanza = stanza.with_child(Element::new("jabber:client", "body").with_text(text));
            }
            Body::Children(mut children) => {
                // What only servers say or are told has no place inside.
                children.retain(|node| match node {
                    Node::Element(child) => {
                        !is_for_servers(&child.ns, &child.name) && !is_from_servers(&child.ns, &child.name)
                    }
                    Node::Text(_) => true,
                });
                stanza.children = children;
            }
            Body::Control(Control::ListVersion(version)) => {
                let contact = self.contact_mut(&incoming.sender)?;
                if version > contact.list_named {
                    contact.list_named = version;
                    self.want_keys(&incoming.sender)?;
                }
                return Ok(false);
            }
            // Kinds of later versions are authentic and say nothing yet.
            Body::Control(_) => return Ok(false),
        }
        if let Some(outer) = incoming.outer {
            stanza = put_back(outer, stanza);
        }
        let stanza = write_stanza(&stanza);
        // Written out it may be over a bound that it was within as it came; nobody could read it.
        if parse(&stanza).is_err() {
            self.reject(Some(&incoming.sender), Malformed::TooLarge);
            return Ok(true);
        }
        let item = InboxItem {
            stanza,
            suite: suite.id.0,
            level: suite.level.0,
            one_time: session.used_one_time_prekey(),
            sender: incoming.sender.clone(),
            device,
            addressed: incoming.addressed.clone(),
            sent: time,
            id_protected,
            via: incoming.via,
        };
        if self.state.inbox.len() >= MAX_INBOX {
            return Err(Misuse::InboxFull.into());
        }
        let id = self.count(|counters| &mut counters.inbox)?;
        self.effects.push(deliver(id, &item, false));
        self.state.inbox.put(id, item);
        Ok(true)
    }

    /// Delivers what the application had not taken before a restart.
    pub(super) fn deliver_again(&mut self, key: u64) -> Done {
        if let Some(item) = self.state.inbox.get(&key)? {
            let effect = deliver(key, item, true);
            self.effects.push(effect);
        }
        Ok(())
    }

    /// Sends an empty message in the live session: an answer, or a heartbeat.
    pub(super) fn send_empty(&mut self, jid: &BareJid, device: u32) -> Done {
        let Some(id) = self.device(jid, device)?.and_then(|known| known.live) else { return Ok(()) };
        self.send_empty_in(&(jid.clone(), device, id))
    }

    pub(super) fn send_empty_in(&mut self, key: &SessionKey) -> Done {
        self.send_control(key, Control::Empty)
    }

    /// Tells everybody there is a session with, and who may know, the version of the own list.
    pub(super) fn announce_list(&mut self, version: u32) -> Done {
        for (jid, device) in self.state.devices.all_keys() {
            let live = self.device(&jid, device)?.and_then(|known| known.live);
            if let Some(id) = live
                && self.is_friend(&jid)?
            {
                self.send_control(&(jid, device, id), Control::ListVersion(version))?;
            }
        }
        Ok(())
    }

    /// Where a device is: at a resource that showed its advert on this stream, else somewhere at the account.
    fn address_of(&self, jid: &BareJid, device: u32) -> Result<String, Error> {
        let connection = self.own()?.connection;
        let contact = self.contact(jid)?.filter(|contact| contact.connection == connection);
        let resources = contact.map_or(&[][..], |contact| &contact.resources);
        let resource = resources.iter().find(|known| known.available && known.device == device);
        Ok(match resource {
            Some(resource) => format!("{}/{}", jid.as_str(), resource.name),
            None => jid.as_str().to_owned(),
        })
    }

    fn send_control(&mut self, key: &SessionKey, control: Control) -> Done {
        let (jid, device, _) = key;
        let Some(mut session) = self.state.sessions.get(key)?.cloned() else { return Ok(()) };
        let Some(suite) = self.config.suites.find(session.suite_id()) else { return Ok(()) };
        if self.state.outbox.len() + self.state.waiting.len() >= super::outbox::MAX_OUTBOX {
            return Ok(());
        }
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let content = Content { time: self.stamp()?, inner_id: None, body: Body::Control(control) };
        let content = content.encode(self.config.padding).map_err(|_| Misuse::Record)?;
        let flight = session.flight().map(<[u8]>::to_vec);
        let prefix = envelope::direct_prefix(me, *device, flight.as_deref(), session.tag());
        let bound = Bound {
            kind: StanzaKind::Message,
            stanza_type: None,
            sender: &account,
            addressed: jid,
            prefix: &prefix,
            extra: &[],
        };
        let mut env = Env { now: self.now, rng: self.rng };
        let Ok(sealed) = session.seal(suite, &KemPolicy::default(), &mut env, &bound, &content) else {
            return Ok(());
        };
        let bytes = [prefix.as_slice(), &sealed.header, &sealed.ciphertext].concat();
        self.state.sessions.put(key.clone(), session);
        let order = self.count(|counters| &mut counters.outbox)?;
        let element = Element::new("jabber:client", "message")
            .with_attr("to", self.address_of(jid, *device)?)
            .with_child(Element::new(NS, "e").with_text(to_base64(&bytes)));
        // No hints: nobody wants it in an archive or on a telephone's screen. No type: servers make carbons of
        // such a message only if it has a body, and it is for one device.
        self.put_in_outbox(order, jid, None, write_stanza(&element), None);
        Ok(())
    }
}

fn deliver(id: u64, item: &InboxItem, again: bool) -> Effect {
    Effect::Deliver {
        id: InboxId(id),
        stanza: Inbound(item.stanza.clone()),
        protection: Protection::Encrypted {
            suite: SuiteId(item.suite),
            level: Level(item.level),
            one_time: item.one_time,
        },
        context: Context {
            sender: item.sender.clone(),
            device: item.device,
            addressed: item.addressed.clone(),
            sent: item.sent,
            id_protected: item.id_protected,
            via: item.via,
        },
        again,
    }
}
