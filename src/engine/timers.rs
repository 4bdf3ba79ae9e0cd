//! What is due at a tick.

use crate::engine::draft::{Done, Draft};
use crate::step::{SendError, Token};

impl Draft<'_> {
    pub(super) fn tick(&mut self) -> Done {
        for id in self.state.requests.due(self.now) {
            self.request_timed_out(&id)?;
        }
        let until = self.catching_up_until()?;
        for jid in self.state.contacts.due(self.now) {
            self.left_out_due(&jid, until)?;
            let retry_at = self.contact(&jid)?.and_then(|contact| contact.retry_at);
            if retry_at.is_some_and(|at| at <= self.now.as_millis()) {
                self.retry(&jid)?;
                self.slot_freed = true;
            }
        }
        for id in self.state.asks.due(self.now) {
            if let Some(ask) = self.state.asks.get(&id)?.cloned() {
                self.state.asks.remove(&id);
                self.agent_failed(id, &ask)?;
            }
        }
        for order in self.state.waiting.due(self.now) {
            self.waited_enough(order)?;
        }
        for key in self.state.troubles.due(self.now) {
            self.trouble_due(&key)?;
        }
        self.expire_kept()?;
        for sequence in self.state.prekeys.due(self.now) {
            match until {
                // What is still in the archive may have been sealed to them.
                Some(until) => {
                    if let Some(keys) = self.state.prekeys.get_mut(&sequence)? {
                        keys.retire_at = until;
                    }
                }
                None => self.forget_prekeys(sequence),
            }
        }
        for key in self.state.questions.due(self.now) {
            self.state.questions.remove(&key);
        }
        for key in self.state.inquiries.due(self.now) {
            self.state.inquiries.remove(&key);
        }
        for id in self.state.histories.due(self.now) {
            self.history_due(id)?;
        }
        for device in self.state.linkings.due(self.now) {
            self.linking_due(device)?;
        }
        for id in self.state.one_time.due(self.now) {
            match until {
                Some(until) => {
                    if let Some(key) = self.state.one_time.get_mut(&id)? {
                        key.forget_at = until;
                    }
                }
                None => self.state.one_time.remove(&id),
            }
        }
        for jid in self.state.verifications.due(self.now) {
            self.verification_due(&jid)?;
        }
        let now = self.now.as_millis();
        if self.own()?.agent_retry_at.is_some_and(|at| at <= now) {
            self.own_mut()?.agent_retry_at = None;
        }
        Ok(())
    }

    /// Private prekeys go, and with them the list of the flights that used them.
    pub(super) fn forget_prekeys(&mut self, sequence: u32) {
        self.state.prekeys.remove(&sequence);
        for key in self.state.accepted.keys((sequence, [0; 32])..=(sequence, [0xFF; 32])) {
            self.state.accepted.remove(&key);
        }
    }

    fn waited_enough(&mut self, order: u64) -> Done {
        let Some(waiting) = self.state.waiting.get(&order)?.cloned() else { return Ok(()) };
        if waiting.level == 0 {
            // The advert it waited for was not verified in time. Let the policy decide without.
            self.drop_pending(&waiting.to)?;
            self.flush(&waiting.to)?;
            if let Some(waiting) = self.state.waiting.get_mut(&order)? {
                // Others go before it.
                waiting.give_up = self.now.after(super::send::UNDECIDED);
            }
            return Ok(());
        }
        self.state.waiting.remove(&order);
        self.fail(Token(waiting.token), SendError::NoKeys);
        self.flush(&waiting.to)
    }
}
