//! Sealed stanzas until the other side has them, and a while after.

use crate::engine::draft::{Done, Draft};
use crate::engine::records::{Acknowledged, OutboxItem};
use crate::error::Error;
use crate::jid::BareJid;
use crate::step::{Coverage, Effect, Outbound, OutboxId, SendError, Token};

/// Stanzas that wait, or are not yet acknowledged: more than a person sends in days offline.
pub(super) const MAX_OUTBOX: usize = 1000;

/// Acknowledged stanzas of which id and token are kept, so that an error finds its token.
const MAX_ACKNOWLEDGED: usize = 128;

impl Draft<'_> {
    /// Stores a sealed stanza until it is acknowledged, and sends it.
    pub(super) fn put_in_outbox(
        &mut self,
        order: u64,
        to: &BareJid,
        stanza_id: Option<&str>,
        stanza: String,
        of: Option<(Token, Coverage)>,
    ) {
        let token = of.as_ref().map(|(token, _)| *token);
        let coverage = of.map(|(_, coverage)| coverage).unwrap_or_default();
        let item = OutboxItem {
            token: token.map(|token| token.0),
            to: to.clone(),
            stanza_id: stanza_id.unwrap_or_default().to_owned(),
            stanza: stanza.clone(),
            devices: coverage.devices.clone(),
            own_devices: coverage.own_devices.clone(),
            missing: coverage.missing.clone(),
            clear: coverage.clear,
            readable: coverage.readable,
            resources_without: u16::try_from(coverage.resources_without).unwrap_or(u16::MAX),
        };
        self.state.outbox.put(order, item);
        self.effects.push(Effect::Send { id: OutboxId(order), token, stanza: Outbound(stanza) });
        if let Some(token) = token {
            self.effects.push(Effect::Sent { token, coverage });
        }
    }

    /// Sends an unacknowledged stanza again, byte for byte.
    pub(super) fn resend(&mut self, key: u64) -> Done {
        if let Some(item) = self.state.outbox.get(&key)? {
            let (token, stanza) = (item.token.map(Token), Outbound(item.stanza.clone()));
            self.effects.push(Effect::Send { id: OutboxId(key), token, stanza });
        }
        Ok(())
    }

    pub(super) fn report_sent(&mut self, key: u64) -> Done {
        if let Some(item) = self.state.outbox.get(&key)?
            && let Some(token) = item.token
        {
            let coverage = Coverage {
                devices: item.devices.clone(),
                own_devices: item.own_devices.clone(),
                missing: item.missing.clone(),
                resources_without: usize::from(item.resources_without),
                clear: item.clear,
                readable: item.readable,
            };
            self.effects.push(Effect::Sent { token: Token(token), coverage });
        }
        Ok(())
    }

    pub(super) fn acknowledged(&mut self, id: OutboxId) -> Done {
        let Some(OutboxItem { token, to, stanza_id, .. }) = self.state.outbox.get(&id.0)?.cloned() else {
            return Ok(());
        };
        self.state.outbox.remove(&id.0);
        self.unsettled |= self.can_tell_on()?;
        if let Some(token) = token {
            self.state.acknowledged.put(token, Acknowledged { order: id.0, to, stanza_id });
            if self.state.acknowledged.len() > MAX_ACKNOWLEDGED {
                self.forget_acknowledged()?;
            }
        }
        Ok(())
    }

    /// Forgets the older half of what is acknowledged.
    fn forget_acknowledged(&mut self) -> Done {
        let mut by_age = Vec::new();
        for token in self.state.acknowledged.all_keys() {
            by_age.extend(self.state.acknowledged.get(&token)?.map(|item| (item.order, token)));
        }
        by_age.sort_unstable();
        for (_, token) in by_age.iter().take(MAX_ACKNOWLEDGED / 2) {
            self.state.acknowledged.remove(token);
        }
        Ok(())
    }

    /// An error for one of our stanzas.
    pub(super) fn bounced(&mut self, from: &BareJid, id: Option<&str>) -> Done {
        match id.map(|id| self.sent_as(from, id)).transpose()?.flatten() {
            Some((key, token)) => {
                self.state.outbox.remove(&key);
                self.state.acknowledged.remove(&token.0);
                self.fail(token, SendError::Bounced);
            }
            None => self.reject(Some(from), crate::error::Unreadable::Bounced),
        }
        Ok(())
    }

    /// Number and token of the stanza of this id that went to `to`.
    pub(super) fn sent_as(&self, to: &BareJid, id: &str) -> Result<Option<(u64, Token)>, Error> {
        if id.is_empty() {
            return Ok(None);
        }
        for key in self.state.outbox.all_keys() {
            if let Some(item) = self.state.outbox.get(&key)?
                && let Some(token) = item.token
                && item.to == *to
                && item.stanza_id == id
            {
                return Ok(Some((key, Token(token))));
            }
        }
        for token in self.state.acknowledged.all_keys() {
            if let Some(item) = self.state.acknowledged.get(&token)?
                && item.to == *to
                && item.stanza_id == id
            {
                return Ok(Some((item.order, Token(token))));
            }
        }
        Ok(None)
    }
}
