//! How many accounts' keys are fetched at once, and whose turn it is.
//!
//! After a log-in the adverts of a whole roster may be new. Servers slow a client down that sends
//! much, and with it its messages: what is under way is what they wait behind.

use crate::engine::draft::{Done, Draft};
use crate::engine::fetch::KEYS;
use crate::engine::records::{Contact, Query};
use crate::error::Error;
use crate::jid::BareJid;

/// Fetches under way at once. A request has some 180 bytes, and Prosody reads 10 KB a second from a
/// client, ejabberd 3 KB after a burst of 20 KB: a message behind so many waits half a second at most.
const MAX_FETCHES: usize = 8;

/// So many more for what a message waits for, which is not held behind the others.
const MAX_URGENT_FETCHES: usize = 4;

impl Draft<'_> {
    /// Whether a request for the keys of `jid` may go out now. The own account's always may: all else
    /// depends on it, and it is one.
    pub(super) fn may_fetch(&self, jid: &BareJid) -> Result<bool, Error> {
        if self.own()?.jid == *jid {
            return Ok(true);
        }
        let under_way = self.fetches()?;
        Ok(under_way < MAX_FETCHES
            || under_way < MAX_FETCHES + MAX_URGENT_FETCHES && self.is_waited_for(jid)?)
    }

    /// How many requests of fetches are unanswered. Those of handshakes are apart.
    fn fetches(&self) -> Result<usize, Error> {
        let mut count = 0;
        for key in self.state.requests.all_keys() {
            let Some(request) = self.state.requests.get(&key)? else { continue };
            count += usize::from(match request.query {
                Query::List | Query::Records => true,
                Query::Keys => {
                    let account = self.asked_account(request)?;
                    let fetched = |contact: &Contact| contact.fetching && contact.tried & KEYS != 0;
                    self.contact(&account)?.is_some_and(fetched)
                }
                Query::Publication | Query::Farewell | Query::Tombstone | Query::Retraction => false,
            });
        }
        Ok(count)
    }

    pub(super) fn is_waited_for(&self, jid: &BareJid) -> Result<bool, Error> {
        let waits = self.first_waiting(jid, true)?.or(self.first_waiting(jid, false)?).is_some();
        Ok(self.sending.as_ref() == Some(jid) || waits)
    }

    /// Goes on with what waits for its turn: the own account, then what messages wait for, then the
    /// others, who was fetched longest ago first.
    pub(super) fn fill_slots(&mut self) -> Done {
        let own = self.own()?;
        if !own.connected {
            return Ok(());
        }
        let mut first = vec![own.jid.clone()];
        for key in self.state.waiting.all_keys() {
            if let Some(waiting) = self.state.waiting.get(&key)?
                && !first.contains(&waiting.to)
            {
                first.push(waiting.to.clone());
            }
        }
        for jid in first {
            self.pursue(&jid)?;
        }
        while self.fetches()? < MAX_FETCHES {
            let Some(jid) = self.state.contacts.first_queued() else { break };
            self.pursue(&jid)?;
        }
        Ok(())
    }
}
