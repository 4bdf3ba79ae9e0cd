//! What is decided about the keys of accounts.

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Contact, PastDecisions};
use crate::error::{Error, Misuse};
use crate::fingerprint::Fingerprint;
use crate::identity::Digest;
use crate::jid::BareJid;
use crate::step::{Event, ScanOutcome, SendError};
use crate::trust::{Decision, Means, PastDecision, Trust, TrustPolicy};
use crate::verify::VerificationFault;

/// Past decisions kept for a contact: a key every few months, and each decided about twice.
const MAX_HISTORY: usize = 16;

/// Accounts whose code has been scanned and that have shown no key yet: who scans a room full of people has fewer.
const MAX_EXPECTED: usize = 256;

impl Draft<'_> {
    /// The user has looked at this key.
    pub(super) fn set_trust(&mut self, jid: &BareJid, key: &Digest, trust: Trust, means: Means) -> Done {
        if trust == Trust::Unknown || means == Means::First {
            return Err(Misuse::Trust.into());
        }
        let shown = self.contact(jid)?.and_then(|contact| contact.account_key);
        if shown != Some(*key) || self.own()?.jid == *jid {
            return Err(Misuse::Key.into());
        }
        self.decide_trust(jid, key, trust, means)
    }

    /// Notes a decision about the present account key of `jid`, and tells it. Nothing if that is no longer `key`.
    pub(super) fn decide_trust(&mut self, jid: &BareJid, key: &Digest, trust: Trust, means: Means) -> Done {
        if self.contact(jid)?.is_none_or(|contact| contact.account_key.as_ref() != Some(key)) {
            return Ok(());
        }
        if trust == Trust::Distrusted {
            // Else it would verify what the user has just decided against; and nothing can be said to it afterwards.
            self.end_run(jid, VerificationFault::Cancelled, true)?;
        }
        let before = self.replace_decision(jid, trust, means)?;
        if trust == Trust::Distrusted {
            // What came again stays known: what comes of it is still read.
            self.forget_kept(jid)?;
            for key in self.troubles_of(jid) {
                self.forget_asking(&key)?;
            }
        }
        if before.trust != trust {
            self.notify(Event::TrustChanged { peer: jid.clone(), trust, means });
        }
        // What waits for keys, and may not go any more.
        self.flush(jid)
    }

    /// Puts a decision in the place of the one about the present account key, which it keeps as a past one.
    pub(super) fn replace_decision(
        &mut self,
        jid: &BareJid,
        trust: Trust,
        means: Means,
    ) -> Result<Decision, Error> {
        let decision = Decision { trust, means, at: self.now };
        let contact = self.contact_mut(jid)?;
        if trust == Trust::Verified {
            contact.once_verified = true;
            // What another device has verified does not count against it.
            contact.expected = None;
        }
        let before = core::mem::replace(&mut contact.trust, decision);
        if let Some(key) = contact.account_key
            && before.trust != Trust::Unknown
        {
            self.remember_decision(jid, PastDecision { key, decision: before })?;
        }
        Ok(before)
    }

    /// A key comes in as the first of `jid`, perhaps again after it was forgotten. One that the user would not have stays
    /// so; else nothing is decided.
    pub(super) fn first_seen(&mut self, jid: &BareJid, key: &Digest) -> Done {
        let history = self.state.past_decisions.get(jid)?;
        let last = history.and_then(|history| history.past.iter().rev().find(|past| past.key == *key));
        match last.map(|past| past.decision).filter(|before| before.trust == Trust::Distrusted) {
            Some(before) => self.decide_trust(jid, key, before.trust, before.means),
            None => self.replace_decision(jid, Trust::FirstUse, Means::First).map(drop),
        }
    }

    /// The user has scanned a code, which shows the account key of somebody.
    pub(super) fn scanned(&mut self, code: &Fingerprint) -> Done {
        let (peer, key) = (code.jid().clone(), code.key());
        if self.own()?.jid == peer && self.own_account()?.is_none() {
            // Before this device is linked it has no key that the code could be of, or not.
            return Ok(());
        }
        let outcome = self.scan(&peer, key)?;
        self.notify(Event::Scanned { peer, outcome });
        Ok(())
    }

    fn scan(&mut self, jid: &BareJid, key: Digest) -> Result<ScanOutcome, Error> {
        if self.own()?.jid == *jid {
            let same = Some(key) == self.own_account()?.map(|own| own.digest());
            return Ok(if same { ScanOutcome::Own } else { ScanOutcome::Mismatch });
        }
        let contact = self.contact(jid)?;
        let known = contact.and_then(|contact| contact.account_key);
        let changed = contact.is_some_and(|contact| {
            contact.other_key == Some(key) || contact.verified_elsewhere(&key).is_some()
        });
        let mut outcome = ScanOutcome::Verified;
        match known {
            Some(known) if known == key => {
                if contact.is_some_and(|contact| contact.trust.trust == Trust::Verified) {
                    outcome = ScanOutcome::Known;
                }
            }
            _ if changed => self.accept_key(jid, key)?,
            Some(_) => return Ok(ScanOutcome::Mismatch),
            None => {
                self.expect_key(jid, key)?;
                return Ok(ScanOutcome::Expected);
            }
        }
        self.decide_trust(jid, &key, Trust::Verified, Means::Code)?;
        Ok(outcome)
    }

    /// Keeps in mind the key that an account must show first.
    fn expect_key(&mut self, jid: &BareJid, key: Digest) -> Done {
        let mut others = Vec::new();
        for other in self.state.contacts.all_keys() {
            if let Some((_, decision)) = self.state.contacts.get(&other)?.and_then(|contact| contact.expected)
                && other != *jid
                // What another own device has decided is bounded by the accounts remembered.
                && decision.means == Means::Code
            {
                others.push((decision.at, other));
            }
        }
        if others.len() >= MAX_EXPECTED
            && let Some((_, oldest)) = others.into_iter().min()
        {
            self.contact_mut(&oldest)?.expected = None;
        }
        let at = self.now;
        let decision = Decision { trust: Trust::Verified, means: Means::Code, at };
        self.contact_mut(jid)?.expected = Some((key, decision));
        Ok(())
    }

    pub(super) fn remember_decision(&mut self, jid: &BareJid, past: PastDecision) -> Done {
        let mut history = self.state.past_decisions.get(jid)?.cloned().unwrap_or_default();
        let PastDecisions { past: all } = &mut history;
        if all.len() >= MAX_HISTORY {
            all.remove(0);
        }
        all.push(past);
        self.state.past_decisions.put(jid.clone(), history);
        Ok(())
    }

    /// The policy for this contact; what waits for it is looked at again.
    pub(super) fn set_policy(&mut self, jid: &BareJid, policy: Option<TrustPolicy>) -> Done {
        if self.own()?.jid == *jid {
            return Err(Misuse::Jid.into());
        }
        self.contact_mut(jid)?.policy = policy;
        self.flush(jid)
    }

    /// How far the key of an account is trusted. The own one is the user's.
    pub(super) fn trust_in(&self, jid: &BareJid) -> Result<Trust, Error> {
        if self.own()?.jid == *jid {
            return Ok(Trust::Verified);
        }
        Ok(self.contact(jid)?.map_or(Trust::Unknown, |contact| contact.trust.trust))
    }

    /// Whether something may be sealed to this account now.
    pub(super) fn check_trust(&self, jid: &BareJid) -> Result<Result<(), SendError>, Error> {
        let peer = self.contact(jid)?.filter(|_| self.own().is_ok_and(|own| own.jid != *jid));
        Ok(peer.map_or(Ok(()), |contact| contact.check_trust(self.config.trust)))
    }

    /// Whether the user wants nothing to go to this account.
    pub(super) fn is_distrusted(&self, jid: &BareJid) -> Result<bool, Error> {
        Ok(self.contact(jid)?.is_some_and(Contact::is_distrusted))
    }
}
