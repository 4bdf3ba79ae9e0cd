//! What is decided about the keys of accounts.

use crate::engine::draft::{Done, Draft};
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
        if trust == Trust::Distrusted {
            self.forget_kept(jid)?;
        }
        let contact = self.contact_mut(jid)?;
        let before = core::mem::replace(&mut contact.trust, decision);
        if before.trust != trust {
            self.notify(Event::TrustChanged { peer: jid.clone(), trust, means });
        }
        Ok(())
    }
}
