//! Stream management (XEP-0198), without the stream: what was handled here, and what is not known to have been
//! handled there.
//!
//! tokio-xmpp's own counts a stanza as handled as soon as it is parsed, so what a client had not stored when it
//! stopped is lost. Here it counts when the application has dealt with it.

use std::collections::VecDeque;

use minidom::Element;
use xmpp_e2e::{OutboxId, Token};

/// Stanzas sent and not acknowledged, beyond which nothing more is sent before the server answers.
pub(crate) const MAX_UNACKNOWLEDGED: usize = 1_000;

/// A stanza on its way.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) stanza: Element,
    /// What the engine calls it.
    pub(crate) id: Option<OutboxId>,
    /// What the application calls it.
    pub(crate) token: Option<Token>,
}

/// How an acknowledgement was wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// It names more than was sent.
    Ahead,
    /// Nobody asked, and it says nothing new; or it takes back what it had said.
    Again,
}

/// The counters and the queue of one stream.
#[derive(Debug, Default)]
pub(crate) struct StreamManagement {
    /// For resumption: its name, if the server allows it.
    pub(crate) id: Option<String>,
    /// Whether the server counts; otherwise pings take the place of acknowledgements.
    pub(crate) on: bool,
    /// Stanzas that came and were dealt with, with all before them.
    handled: u32,
    /// Stanzas dealt with behind one that is held back.
    ahead: u32,
    /// Stanzas that the server has acknowledged.
    acknowledged: u32,
    /// Stanzas sent since.
    unacknowledged: VecDeque<Sent>,
    /// Requests for an acknowledgement that were not answered.
    requested: u32,
    /// Stanzas sent since the last request.
    unasked: usize,
}

impl StreamManagement {
    /// A new stream; whether the server counts, and the name for resumption.
    pub(crate) fn new(on: bool, id: Option<String>) -> Self {
        Self { id, on, ..Self::default() }
    }

    /// A stanza has been dealt with, or can never be; `all` if every one before it has been, too.
    pub(crate) fn handled(&mut self, all: bool) {
        self.ahead = self.ahead.wrapping_add(1);
        if all {
            self.handled = self.handled.wrapping_add(core::mem::take(&mut self.ahead));
        }
    }

    /// What was held back is forgotten, and so comes again with all that followed it.
    pub(crate) fn forget_held(&mut self) {
        self.ahead = 0;
    }

    /// What to tell the server.
    pub(crate) fn h(&self) -> u32 {
        self.handled
    }

    pub(crate) fn sent(&mut self, sent: Sent) {
        self.unacknowledged.push_back(sent);
        self.unasked += 1;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.unacknowledged.len() >= MAX_UNACKNOWLEDGED
    }

    /// Whether the server is to be asked now: something is not acknowledged, and no question is open.
    pub(crate) fn ask(&mut self) -> bool {
        let ask = self.unasked > 0 && self.requested == 0;
        if ask {
            self.unasked = 0;
            self.requested += 1;
        }
        ask
    }

    /// The server's count. What it says of stanzas is given back in order.
    pub(crate) fn acknowledged(&mut self, h: u32) -> Result<Vec<Sent>, Wrong> {
        let asked = self.requested > 0;
        self.requested = self.requested.saturating_sub(1);
        let count = h.wrapping_sub(self.acknowledged);
        // Half of the numbers are behind.
        if count > u32::MAX / 2 || count == 0 && !asked {
            return Err(Wrong::Again);
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > self.unacknowledged.len() {
            return Err(Wrong::Ahead);
        }
        self.acknowledged = h;
        Ok(self.unacknowledged.drain(..count).collect())
    }

    /// The answer to a ping: everything up to it has arrived.
    pub(crate) fn pinged(&mut self, count: usize) -> Vec<Sent> {
        self.requested = 0;
        let count = count.min(self.unacknowledged.len());
        self.acknowledged = self.acknowledged.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.unacknowledged.drain(..count).collect()
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.unacknowledged.len()
    }

    /// The stream is resumed, and these go again.
    pub(crate) fn resumed(&mut self) -> Vec<Element> {
        self.requested = 0;
        self.unasked = self.unacknowledged.len();
        self.unacknowledged.iter().map(|sent| sent.stanza.clone()).collect()
    }

    /// The stream is lost, with these on it.
    pub(crate) fn lost(self) -> impl Iterator<Item = Sent> {
        self.unacknowledged.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(n: usize) -> StreamManagement {
        let mut sm = StreamManagement::default();
        for i in 0..n {
            let stanza = Element::bare(format!("s{i}"), "jabber:client");
            sm.sent(Sent { stanza, id: None, token: None });
        }
        sm
    }

    fn names(sent: &[Sent]) -> Vec<&str> {
        sent.iter().map(|sent| sent.stanza.name()).collect()
    }

    #[test]
    fn acknowledged_in_order() {
        let mut sm = sent(3);
        assert!(sm.ask() && !sm.ask(), "one question at a time");
        assert_eq!(names(&sm.acknowledged(2).unwrap()), ["s0", "s1"]);
        assert!(!sm.ask(), "nothing new was sent");
        assert_eq!(names(&sm.acknowledged(3).unwrap()), ["s2"]);
    }

    #[test]
    fn wrong_counts_change_nothing() {
        let mut sm = sent(3);
        assert_eq!(sm.acknowledged(4).unwrap_err(), Wrong::Ahead);
        assert_eq!(sm.acknowledged(0).unwrap_err(), Wrong::Again, "nobody asked");
        assert_eq!(sm.acknowledged(2).unwrap().len(), 2);
        assert_eq!(sm.acknowledged(1).unwrap_err(), Wrong::Again);
        assert_eq!(sm.acknowledged(2).unwrap_err(), Wrong::Again);
        assert_eq!(names(&sm.acknowledged(3).unwrap()), ["s2"]);
        let mut asked = sent(1);
        assert!(asked.ask());
        assert_eq!(asked.acknowledged(0).unwrap().len(), 0, "an answer may say that there is nothing new");
    }

    #[test]
    fn counts_pass_their_end() {
        let mut sm = sent(2);
        sm.acknowledged = u32::MAX;
        assert_eq!(sm.acknowledged(1).unwrap().len(), 2);
        sm.handled = u32::MAX;
        sm.handled(true);
        assert_eq!(sm.h(), 0);
    }

    #[test]
    fn what_is_held_back_holds_the_count_back() {
        let mut sm = StreamManagement::default();
        sm.handled(true);
        sm.handled(false);
        sm.handled(false);
        assert_eq!(sm.h(), 1);
        sm.handled(true);
        assert_eq!(sm.h(), 4);
        sm.handled(false);
        sm.forget_held();
        sm.handled(true);
        assert_eq!(sm.h(), 5, "the lost one comes again");
    }

    #[test]
    fn a_resumed_stream_says_the_rest_again() {
        let mut sm = sent(3);
        assert_eq!(sm.acknowledged(1).unwrap().len(), 1);
        assert!(sm.ask());
        assert_eq!(sm.resumed().len(), 2);
        assert!(sm.ask());
        assert_eq!(sm.lost().count(), 2);
    }

    #[test]
    fn an_answered_ping_acknowledges_what_went_before() {
        let mut sm = sent(3);
        assert!(sm.ask());
        assert_eq!(sm.pinged(2).len(), 2);
        assert_eq!(sm.outstanding(), 1);
    }
}
