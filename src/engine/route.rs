//! Stanzas of a stream on their way out: iqs, and presence for somebody. They are protected where a device is known to
//! be, and are lost with their stream.

use crate::engine::draft::{Done, Draft};
use crate::engine::iq::is_answer;
use crate::engine::records::{Contact, Resource};
use crate::error::{Error, Malformed, Misuse};
use crate::jid::{Address, BareJid};
use crate::stanza::{Element, IQ};
use crate::step::{Authentication, Effect, Need, SendError, Token};

impl Draft<'_> {
    /// An iq, or a directed presence.
    pub(super) fn outgoing_of_stream(
        &mut self,
        element: &Element<'_>,
        to: Option<Address>,
        token: Token,
        need: &Need,
    ) -> Done {
        // What has no `to` is for the own account's server: an item to be published, perhaps.
        let to = match to {
            None if need.form().is_signed() => {
                Some(Address { bare: self.own()?.jid.clone(), resource: None })
            }
            to => to,
        };
        let consented = match (need, &to) {
            (Need::Clear(consent), Some(to)) if consent.peer == to.bare => true,
            (Need::Clear(_), _) => return Err(Misuse::Consent.into()),
            (Need::Authenticated(_) | Need::Encrypted(_) | Need::Policy, _) => false,
        };
        let way = if consented { Ok(None) } else { self.way(element, to.as_ref(), need)? };
        match (way, to) {
            (Ok(Some(level)), Some(to)) => {
                if self.own()?.connected {
                    self.protect(element, to.bare, token, (level, need.form()))
                } else {
                    self.fail(token, SendError::StreamEnded);
                    Ok(())
                }
            }
            (Err(why), _) => {
                self.fail(token, why);
                Ok(())
            }
            (Ok(_), _) => {
                self.effects.push(Effect::Pass);
                Ok(())
            }
        }
    }

    /// The least level of protection, none for clear text, or why it does not go out.
    fn way(
        &self,
        element: &Element<'_>,
        to: Option<&Address>,
        need: &Need,
    ) -> Result<Result<Option<u8>, SendError>, Error> {
        let least = self.config.least.0.max(1);
        let level = match need {
            Need::Encrypted(level) | Need::Authenticated(Authentication { level, .. }) => {
                Some(level.0.max(1))
            }
            Need::Clear(_) | Need::Policy => None,
        };
        let iq = &*element.name == IQ;
        let kind = element.attr("type");
        if iq && element.attr("id").is_none_or(str::is_empty) {
            return Err(Misuse::Stanza(Malformed::Stanza).into());
        }
        // Servers read the other types of presence.
        let directed = element.attr("to").is_some();
        let for_people = iq || directed && matches!(kind, None | Some("unavailable"));
        let Some(to) = to.filter(|_| for_people) else {
            return Ok(level.map_or(Ok(None), |_| Err(SendError::NotProtectable)));
        };
        if self.own()?.left {
            return Ok(level.map_or(Ok(None), |_| Err(SendError::Left)));
        }
        let signed = need.form().is_signed();
        if iq && is_answer(element) {
            let protected = self.inquiry(element)?.is_some();
            return Ok(match level {
                // A signature does not say which question it answers.
                Some(_) if signed => Err(SendError::NotProtectable),
                _ if protected => Ok(Some(level.unwrap_or(least))),
                Some(_) => Err(SendError::NotProtectable),
                None => Ok(None),
            });
        }
        if signed {
            return Ok(Ok(level));
        }
        let there = match &to.resource {
            Some(resource) => self.device_of_resource(&to.bare, resource)?.is_some(),
            // The server answers for a bare JID.
            None if iq => return Ok(level.map_or(Ok(None), |_| Err(SendError::NotProtectable))),
            None => true,
        };
        let own = self.own()?.jid == to.bare;
        let encrypts = own || self.contact(&to.bare)?.is_some_and(Contact::never_clear);
        Ok(match level {
            Some(level) if there => Ok(Some(level)),
            Some(_) => Err(SendError::NoKeys),
            None if there && encrypts => Ok(Some(least)),
            None => Ok(None),
        })
    }

    /// Whether a stanza goes to a full JID.
    pub(super) fn is_to_resource(element: &Element<'_>) -> bool {
        let to = element.attr("to").map(Address::parse);
        to.is_some_and(|to| to.is_ok_and(|to| to.resource.is_some()))
    }

    /// The device at a full JID, if it is there and has shown its advert.
    pub(super) fn device_at(&self, to: Option<&str>) -> Result<Option<u32>, Error> {
        match to.map(Address::parse) {
            Some(Ok(Address { bare, resource: Some(resource) })) => self.device_of_resource(&bare, &resource),
            _ => Ok(None),
        }
    }

    fn device_of_resource(&self, jid: &BareJid, resource: &str) -> Result<Option<u32>, Error> {
        let connection = self.own()?.connection;
        let contact = self.contact(jid)?.filter(|contact| contact.connection == connection);
        let here = |known: &&Resource| known.name == resource && known.available && known.device != 0;
        let device =
            contact.and_then(|contact| contact.resources.iter().find(here)).map(|known| known.device);
        // Its advert may not be verified yet.
        let known = match device {
            Some(device) => self.device(jid, device)?.is_some(),
            None => false,
        };
        Ok(device.filter(|_| known))
    }
}
