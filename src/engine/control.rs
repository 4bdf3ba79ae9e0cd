//! The engine's own short messages.

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::records::SessionKey;
use crate::engine::seal::{Sealed, Target};
use crate::env::Timestamp;
use crate::error::{Error, Misuse};
use crate::jid::BareJid;
use crate::session::{Context as Bound, StanzaKind};
use crate::stanza::envelope::Recipient;
use crate::stanza::{Body, Content, Control, Element, Hints, Resend, write_stanza};
use crate::wire::to_base64;

impl Draft<'_> {
    /// Acts on what the engine at the other end of this session says. The session is stored as it is after reading.
    pub(super) fn controlled(&mut self, key: &SessionKey, said: Timestamp, control: &Control) -> Done {
        let (jid, device, _) = key;
        match control {
            Control::ListVersion(version) => {
                let version = *version;
                let contact = self.contact_mut(jid)?;
                if version > contact.list_version {
                    // Whatever others have named: one of them may lie.
                    self.version_named(jid, *device, version)?;
                    self.want_keys(jid)?;
                }
                Ok(())
            }
            Control::Empty => Ok(()),
            Control::Verification(message) => self.verification_received(key, message.as_slice()),
            Control::Resend(Resend::Since(since)) => self.asked_to_resend(key, said, *since),
            // Authentic, and nothing this version acts on; what is sent again has been handed over.
            Control::Resend(Resend::Message(_)) => Ok(()),
            Control::Linking(message) => self.linking_said(key, message.as_slice()),
            Control::History(message) => self.history_told(key, message.as_slice()),
        }
    }

    /// Sends an empty message in the live session: an answer, or a heartbeat.
    pub(super) fn send_empty(&mut self, jid: &BareJid, device: u32) -> Done {
        let Some(id) = self.live_id(jid, device)? else { return Ok(()) };
        self.send_empty_in(&(jid.clone(), device, id))
    }

    pub(super) fn send_empty_in(&mut self, key: &SessionKey) -> Done {
        self.send_control(key, Control::Empty)
    }

    /// Tells the devices there is a session with, and whose users may know, the version of the own list: from `first`
    /// on, and at most so many. Who is next after them.
    pub(super) fn announce_list(
        &mut self,
        version: u32,
        first: Option<&(BareJid, u32)>,
        most: usize,
    ) -> Result<Option<(BareJid, u32)>, Error> {
        let mut told = 0;
        for key in self.state.devices.all_keys() {
            if first.is_some_and(|first| key < *first) {
                continue;
            }
            if told >= most {
                return Ok(Some(key));
            }
            let (jid, device) = key;
            let live = self.live_id(&jid, device)?;
            if let Some(id) = live
                && self.is_friend(&jid)?
            {
                let sealed = self.try_control(&(jid, device, id), Control::ListVersion(version))?;
                told += usize::from(sealed);
            }
        }
        Ok(None)
    }

    /// Where a device is: at a resource that showed its advert on this stream, else somewhere at the account.
    fn address_of(&self, jid: &BareJid, device: u32) -> Result<String, Error> {
        let own = self.own()?;
        let connection = own.connection;
        let contact = self.contact(jid)?.filter(|contact| contact.connection == connection);
        let resources = contact.map_or(&[][..], |contact| &contact.resources);
        let resource = resources.iter().find(|known| known.available && known.device == device);
        if let Some(resource) = resource {
            return Ok(format!("{}/{}", jid.as_str(), resource.name));
        }
        // One that is to be linked shows no advert.
        let linking = if own.jid == *jid { self.state.linkings.get(&device)? } else { None };
        Ok(match linking {
            Some(linking) if !linking.address.is_empty() => linking.address.clone(),
            Some(_) | None => jid.as_str().to_owned(),
        })
    }

    /// Seals `control` in this session, and only there, if that can be now.
    pub(super) fn send_control(&mut self, key: &SessionKey, control: Control) -> Done {
        self.try_control(key, control).map(|_| ())
    }

    /// The same. Whether it was sealed.
    pub(super) fn try_control(&mut self, key: &SessionKey, control: Control) -> Result<bool, Error> {
        let (jid, device, _) = key;
        if self.is_distrusted(jid)? {
            return Ok(false);
        }
        let Some(session) = self.state.sessions.get(key)?.cloned() else { return Ok(false) };
        let Some(suite) = self.config.suites.find(session.suite_id()) else { return Ok(false) };
        if self.state.outbox.len() + self.state.waiting.len() >= super::outbox::MAX_OUTBOX {
            return Ok(false);
        }
        let kept = matches!(control, Control::Resend(_));
        let own = self.own()?;
        let (account, me) = (own.jid.clone(), own.device);
        let content =
            Content { time: self.stamp()?, inner_id: None, answers: None, body: Body::Control(control) };
        let content = content.encode(self.config.padding).map_err(|_| Misuse::Record)?;
        let bound = Bound {
            kind: StanzaKind::Message,
            stanza_type: None,
            sender: &account,
            addressed: jid,
            prefix: &[],
            extra: &[],
        };
        let to = Recipient { device: *device, own: *jid == account };
        let target = Target { jid: jid.clone(), to, session, suite };
        let Some(Sealed { bytes, .. }) = self.seal_direct(me, &bound, target, &content) else {
            return Ok(false);
        };
        let order = self.count(|counters| &mut counters.outbox)?;
        let mut element = Element::new("jabber:client", "message")
            .with_attr("to", self.address_of(jid, *device)?)
            .with_child(Element::new(NS, "e").with_text(to_base64(&bytes)));
        if kept {
            // The device it is for may be away for long.
            Hints::Archived.add_to(&mut element);
        }
        // No other hints: nobody wants it in an archive or on a telephone's screen. No type: servers make carbons of
        // such a message only if it has a body, and it is for one device.
        self.put_in_outbox(order, jid, None, write_stanza(&element), None);
        Ok(true)
    }
}
