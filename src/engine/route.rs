//! Stanzas of a stream on their way out: iqs, and presence for somebody. They are protected where a device is known to
//! be, and are lost with their stream.

use crate::engine::draft::{Done, Draft};
use crate::engine::iq::{answers_inquiry, is_answer};
use crate::engine::records::Resource;
use crate::engine::statement::is_publication;
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
        // Nobody would know what an answer in clear to a protected question is for.
        let consented = match (need, &to) {
            (Need::Clear(consent), Some(to)) if consent.peer == to.bare => !answers_inquiry(element),
            (Need::Clear(_), _) => return Err(Misuse::Consent.into()),
            (Need::Authenticated(_) | Need::Encrypted(_) | Need::Policy, _) => false,
        };
        let way = if consented { Ok(None) } else { self.way(element, to.as_ref(), need)? };
        let way = match way {
            // This device has left, and seals nothing; what it would have sealed does not go out otherwise.
            Ok(Some(_)) if self.own()?.left => Err(SendError::Left),
            way => way,
        };
        match (way, to) {
            (Ok(Some(level)), Some(to)) => self.protect(element, to.bare, token, (level, need.form())),
            (Err(why), _) => {
                self.fail(token, why);
                Ok(())
            }
            (Ok(Some(_)), None) => {
                self.fail(token, SendError::NotProtectable);
                Ok(())
            }
            (Ok(None), _) => {
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
        let signed = need.form().is_signed();
        if iq && is_answer(element) {
            return Ok(match (self.inquiry(element)?, level) {
                // A signature does not say which question it answers.
                (_, Some(_)) if signed => Err(SendError::NotProtectable),
                (Some(_), _) => Ok(Some(level.unwrap_or(least))),
                // The question was protected, and its stream or its time is over.
                (None, _) if answers_inquiry(element) => Err(SendError::StreamEnded),
                (None, Some(_)) => Err(SendError::NotProtectable),
                (None, None) => Ok(None),
            });
        }
        if signed {
            // Servers read it; of theirs only an item can hold a signature.
            let fits = !iq || to.resource.is_some() || is_publication(element);
            return Ok(if fits { Ok(level) } else { Err(SendError::NotProtectable) });
        }
        let there = match &to.resource {
            Some(resource) => self.device_of_resource(&to.bare, resource)?.is_some(),
            // The server answers for a bare JID.
            None if iq => return Ok(level.map_or(Ok(None), |_| Err(SendError::NotProtectable))),
            None => true,
        };
        // Of one's own account each resource that has shown a device.
        let own = to.resource.is_some() && self.own()?.jid == to.bare;
        let encrypts = own || self.state.never_clear(&to.bare)?;
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

    /// The device that has shown its advert at a full JID.
    pub(super) fn device_at(&self, to: Option<&str>) -> Result<Option<u32>, Error> {
        match to.map(Address::parse) {
            Some(Ok(Address { bare, resource: Some(resource) })) => self.device_of_resource(&bare, &resource),
            _ => Ok(None),
        }
    }

    fn device_of_resource(&self, jid: &BareJid, resource: &str) -> Result<Option<u32>, Error> {
        // That it is there is a server's word, and so is that it is gone.
        let here = |known: &&Resource| known.name == resource && known.device != 0;
        let device = self.contact(jid)?.and_then(|contact| contact.resources.iter().find(here));
        let Some(device) = device.map(|known| known.device) else { return Ok(None) };
        // Its advert may not be verified yet.
        Ok(self.device(jid, device)?.map(|_| device))
    }
}
