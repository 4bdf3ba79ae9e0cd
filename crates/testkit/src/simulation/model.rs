//! What the simulation knows of each message and each device, apart from what engines say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use xmpp_e2e::{Timestamp, Token};

/// What must hold, and did not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// What went against it.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// What must hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// A device delivers a stanza once, and once more for each time that it or the sender was restored or cloned, or has
    /// found out that it was: then it may have been sealed again, or asked for again. What is delivered again after a
    /// restart says so.
    DeliveredOnce,
    /// What is delivered as protected is what was handed in, and says which device of which account did that, and for whom.
    Attributed,
    /// Once a device has said that an account encrypts, nothing to it crosses the stream in clear, until the account has
    /// left. What the device put on its stream before is the past.
    NotInClear,
    /// A message with this protocol's element is delivered, refused or called a duplicate: once.
    OneOutcome,
    /// With another device a device opens at most one handshake an hour because it has something to say, and two because
    /// of what was not understood, one that asks and one that answers a handshake which named what is not known: their
    /// first stanza is none of an application. One more is excused for each of: either of them was restored from a backup,
    /// or has found out that it was, or its account's key has changed; twelve if one was cloned, and one when one comes
    /// back, for what it opened while it was away is seen then.
    OneHandshakeAnHour,
    /// When faults have ended and a message has gone from each device to each account, the next comes to every device.
    TalksAgain,
    /// Each message handed in has an end when all is over.
    Ended,
    /// Records and bytes stay within `MAX_RECORDS` and `MAX_BYTES`.
    Bounded,
    /// Devices come to rest.
    Rests,
    /// Nothing panics, and the engine calls nothing misuse.
    Sound,
}

/// A device of at most four accounts with four devices each, and as many again lost or replaced, has not more records:
/// sixteen keys, some hundred contacts, devices, sessions and stanzas under way.
pub const MAX_RECORDS: usize = 2_000;

/// Nor more bytes: a session has up to 32 KiB, one of sixteen at a time two that are in use.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// A message handed in.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// The device that handed it in.
    pub(super) by: usize,
    /// The account it is for.
    pub(super) to: String,
    /// What it says.
    pub(super) text: String,
    /// Went through in clear, by the engine's word.
    pub(super) passed: bool,
}

/// What is known of a device as it is now: its backup has that of then.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    /// Its account.
    pub(super) account: String,
    /// Its number, once it has one.
    pub(super) id: Option<u32>,
    /// Accounts that it must not write to in clear.
    pub(super) sticky: BTreeSet<String>,
    /// The messages delivered, and how often.
    pub(super) delivered: BTreeMap<usize, u32>,
    /// Messages without end.
    pub(super) open: Vec<(Token, usize)>,
    /// How many letters and events have been looked at.
    pub(super) letters: usize,
    pub(super) events: usize,
}

/// The place of a device, its number, and that of another.
type Pair = (usize, u32, u32);

/// When a flight was first seen, whether in trouble, and its beginning.
type Opened = (Timestamp, bool, Vec<u8>);

/// Who opened how many handshakes.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshakes {
    /// What each pair has opened.
    opened: BTreeMap<Pair, Vec<Opened>>,
    /// The same: how many handshakes were excused.
    excuses: BTreeMap<Pair, u32>,
    /// The excuses of one device, for pairs that there are not yet.
    each: BTreeMap<u32, u32>,
    /// How often one was used.
    pub(super) excused: u64,
    /// How many there were.
    pub(super) count: u64,
    /// How many came within an hour of another between the two devices, either way.
    pub(super) again: u64,
}

/// So much of a flight tells it from others: suite and numbers, and the ephemeral key.
const HEAD: usize = 47;

impl Handshakes {
    /// A flight from one device to another is on the wire, of its own accord or with something to say. `false` if it
    /// should not be.
    pub(super) fn flight(&mut self, pair: Pair, flight: &[u8], trouble: bool, now: Timestamp) -> bool {
        let head = flight.get(..HEAD).unwrap_or(flight).to_vec();
        if self.opened.get(&pair).is_some_and(|opened| opened.iter().any(|(.., known)| *known == head)) {
            return true;
        }
        let (_, from, to) = pair;
        let hour = |at: &Timestamp| now.as_millis().saturating_sub(at.as_millis()) < 3_600_000;
        let between = |other: &Pair| [(from, to), (to, from)].contains(&(other.1, other.2));
        let mut before =
            self.opened.iter().filter(|(other, _)| between(other)).flat_map(|(_, opened)| opened);
        let again = before.any(|(at, ..)| hour(at));
        let opened = self.opened.entry(pair).or_default();
        self.count += 1;
        self.again += u64::from(again);
        let recent = opened.iter().filter(|(at, known, _)| *known == trouble && hour(at)).count();
        let soon = recent > usize::from(trouble);
        opened.push((now, trouble, head));
        if !soon {
            return true;
        }
        let each = [from, to].iter().map(|id| self.each.get(id).copied().unwrap_or_default()).sum::<u32>();
        let used = self.excuses.entry(pair).or_default();
        *used += 1;
        self.excused += 1;
        *used <= each
    }

    /// Something happened to this device that excuses a handshake with each other.
    pub(super) fn excuse(&mut self, id: u32) {
        *self.each.entry(id).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_handshake_within_an_hour_needs_an_excuse() {
        let at = |minutes: u64| Timestamp::from_millis(1_000_000_000 + minutes * 60_000);
        let mut handshakes = Handshakes::default();
        assert!(
            handshakes.flight((0, 1, 2), b"a", false, at(0))
                && handshakes.flight((1, 2, 1), b"b", false, at(0))
        );
        assert!(handshakes.flight((0, 1, 2), b"a", false, at(1)), "the same again");
        assert!(handshakes.flight((0, 1, 2), b"b", true, at(1)), "in trouble");
        assert!(handshakes.flight((0, 1, 2), b"ba", true, at(1)), "and the answer to another");
        assert!(!handshakes.clone().flight((0, 1, 2), b"bb", true, at(1)));
        assert!(handshakes.flight((0, 1, 2), b"c", false, at(61)));
        let mut other = handshakes.clone();
        assert!(!other.flight((0, 1, 2), b"d", false, at(62)));
        handshakes.excuse(2);
        assert!(handshakes.flight((0, 1, 2), b"d", false, at(62)));
        assert!(!handshakes.flight((0, 1, 2), b"e", false, at(63)));
        assert_eq!((handshakes.count, handshakes.excused, handshakes.again), (7, 2, 5));
    }
}
