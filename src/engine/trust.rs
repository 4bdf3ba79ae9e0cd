//! What is decided about the keys of accounts.

use crate::engine::draft::{Done, Draft};
use crate::error::Error;
use crate::identity::Digest;
use crate::jid::BareJid;
use crate::step::Event;
use crate::trust::{Decision, Means, Trust};

impl Draft<'_> {
    /// Notes a decision about the present account key of `jid`, and tells it. Nothing if that is no longer `key`.
    pub(super) fn decide_trust(&mut self, jid: &BareJid, key: &Digest, trust: Trust, means: Means) -> Done {
        let at = self.now;
        let contact = self.contact_mut(jid)?;
        if contact.account_key.as_ref() != Some(key) {
            return Ok(());
        }
        let decision = Decision { trust, means, at };
        let before = core::mem::replace(&mut contact.trust, decision);
        if before.trust != trust {
            self.notify(Event::TrustChanged { peer: jid.clone(), trust, means });
        }
        Ok(())
    }

    /// The first key that an account has shown. Whether it may be used: not if another is expected that is verified.
    pub(super) fn first_key(&mut self, jid: &BareJid, key: Digest) -> Result<bool, Error> {
        let at = self.now;
        let contact = self.contact_mut(jid)?;
        let first = Decision { trust: Trust::FirstUse, means: Means::First, at };
        match contact.expected.take() {
            Some((expected, decision)) if expected == key => {
                contact.account_key = Some(key);
                contact.trust = first;
                self.decide_trust(jid, &key, decision.trust, decision.means)?;
            }
            Some((expected, decision)) if decision.trust == Trust::Verified => {
                contact.account_key = Some(expected);
                contact.trust = decision;
                contact.other_key = Some(key);
                self.notify(Event::KeyChanged { peer: jid.clone(), digest: key });
                return Ok(false);
            }
            Some(_) | None => {
                contact.account_key = Some(key);
                contact.trust = first;
            }
        }
        Ok(true)
    }
}
