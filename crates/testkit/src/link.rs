//! A link between servers and clients that loses, reorders, repeats, delays and edits.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chacha20::ChaCha20Rng;
use xmpp_e2e::NS;
use xmpp_e2e::rand_core::{Rng, SeedableRng};

use crate::server::Tamper;

/// How often, of 1,000 stanzas, what happens to one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Odds {
    /// It never comes.
    pub lose: u32,
    /// Up to [`Link::OVERTAKEN`] later ones to the same client come before it.
    pub reorder: u32,
    /// It comes twice; the second time as [`reorder`](Self::reorder) has it, or at once.
    pub repeat: u32,
    /// It comes up to [`Link::DELAY`] milliseconds later.
    pub delay: u32,
    /// One letter or digit of it, anywhere, is another.
    pub edit: u32,
    /// What this protocol has put into it is taken out.
    pub strip: u32,
    /// It comes up to [`Link::WITHHELD`] milliseconds later.
    pub withhold: u32,
}

impl Odds {
    /// Each thing that happens by accident happens to `n` of 1,000 stanzas.
    #[must_use]
    pub fn all(n: u32) -> Self {
        Self { lose: n, reorder: n, repeat: n, delay: n, edit: n, ..Self::default() }
    }
}

/// A bad link. Clones are the same link.
#[derive(Clone)]
pub struct Link(Rc<RefCell<State>>);

struct State {
    odds: Odds,
    rng: ChaCha20Rng,
    now: u64,
    /// Which stanzas nothing happens to.
    spares: fn(&str) -> bool,
    /// To whom, how many overtake it yet, what.
    overtaken: Vec<(String, u32, String)>,
    /// When, in which order, to whom and what.
    delayed: BTreeMap<(u64, u64), (String, String)>,
    count: u64,
    /// What came out of editing and stripping.
    edited: BTreeSet<String>,
    /// What has been done.
    done: Odds,
}

impl Link {
    /// The most stanzas that overtake one.
    pub const OVERTAKEN: u32 = 20;

    /// The longest delay, in milliseconds: longer than clients wait for an answer.
    pub const DELAY: u32 = 60_000;

    /// The longest that a server keeps something back, in milliseconds: ten days.
    pub const WITHHELD: u32 = 864_000_000;

    /// A link that does the same for the same seed and stanzas.
    #[must_use]
    pub fn new(seed: u64, odds: Odds) -> Self {
        Self(Rc::new(RefCell::new(State {
            odds,
            rng: ChaCha20Rng::seed_from_u64(seed),
            now: 0,
            spares: |_| false,
            overtaken: Vec::new(),
            delayed: BTreeMap::new(),
            count: 0,
            edited: BTreeSet::new(),
            done: Odds::default(),
        })))
    }

    /// From now on these things happen so often.
    pub fn set_odds(&self, odds: Odds) {
        self.0.borrow_mut().odds = odds;
    }

    /// How often each thing has happened.
    #[must_use]
    pub fn done(&self) -> Odds {
        self.0.borrow().done
    }

    /// Does nothing to the stanzas for which `spares` is true.
    pub fn spare(&self, spares: fn(&str) -> bool) {
        self.0.borrow_mut().spares = spares;
    }

    /// The hook for [`Server::tamper`](crate::Server::tamper).
    #[must_use]
    pub fn tamper(&self) -> Tamper {
        let link = self.clone();
        Box::new(move |to, stanza| link.0.borrow_mut().pass(to, stanza))
    }

    /// Whether it has made this stanza from another.
    #[must_use]
    pub fn has_edited(&self, stanza: &str) -> bool {
        self.0.borrow().edited.contains(stanza)
    }

    /// When the next delayed stanza comes.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.0.borrow().delayed.keys().next().map(|(at, _)| *at)
    }

    /// What has been delayed until `now`: to whom, and the stanza.
    #[must_use]
    pub fn due(&self, now: u64) -> Vec<(String, String)> {
        let mut state = self.0.borrow_mut();
        state.now = now;
        let later = state.delayed.split_off(&(now + 1, 0));
        std::mem::replace(&mut state.delayed, later).into_values().collect()
    }

    /// What waits to be overtaken, when nothing else is under way.
    #[must_use]
    pub fn rest(&self) -> Vec<(String, String)> {
        let overtaken = std::mem::take(&mut self.0.borrow_mut().overtaken);
        overtaken.into_iter().map(|(to, _, stanza)| (to, stanza)).collect()
    }
}

impl State {
    fn pass(&mut self, to: &str, mut stanza: String) -> Vec<String> {
        let mut out = Vec::new();
        if (self.spares)(&stanza) {
            out.push(stanza);
        } else if self.chance(self.odds.lose) {
            // Nothing comes.
            self.done.lose += 1;
        } else {
            if self.chance(self.odds.edit) {
                self.done.edit += 1;
                stanza = self.edited(&stanza);
                self.edited.insert(stanza.clone());
            }
            if self.chance(self.odds.strip)
                && let Some(rest) = stripped(&stanza)
            {
                self.done.strip += 1;
                stanza = rest;
                self.edited.insert(stanza.clone());
            }
            if self.chance(self.odds.repeat) {
                self.done.repeat += 1;
                self.place(to, stanza.clone(), &mut out);
            }
            self.place(to, stanza, &mut out);
        }
        let mut waiting = std::mem::take(&mut self.overtaken);
        waiting.retain_mut(|(whose, left, stanza)| {
            if whose != to || out.is_empty() {
                return true;
            }
            *left = left.saturating_sub(1);
            if *left == 0 {
                out.push(std::mem::take(stanza));
            }
            *left > 0
        });
        self.overtaken.extend(waiting);
        out
    }

    /// Lets a stanza through, now or later.
    fn place(&mut self, to: &str, stanza: String, out: &mut Vec<String>) {
        let withheld = self.chance(self.odds.withhold);
        if withheld || self.chance(self.odds.delay) {
            self.count += 1;
            let longest = if withheld { Link::WITHHELD } else { Link::DELAY };
            let done = if withheld { &mut self.done.withhold } else { &mut self.done.delay };
            *done += 1;
            let at = self.now + u64::from(1 + self.below(longest));
            self.delayed.insert((at, self.count), (to.to_owned(), stanza));
        } else if self.chance(self.odds.reorder) {
            self.done.reorder += 1;
            let left = 1 + self.below(Link::OVERTAKEN);
            self.overtaken.push((to.to_owned(), left, stanza));
        } else {
            out.push(stanza);
        }
    }

    fn edited(&mut self, stanza: &str) -> String {
        let places: Vec<usize> =
            stanza.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
        let Some(at) = places.get(self.below_len(places.len())).copied() else { return stanza.to_owned() };
        let mut bytes = stanza.as_bytes().to_vec();
        let Some(byte) = bytes.get_mut(at) else { return stanza.to_owned() };
        loop {
            let new = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[self.below_len(62)];
            if new != *byte {
                *byte = new;
                return String::from_utf8(bytes).expect("ASCII for ASCII");
            }
        }
    }

    fn chance(&mut self, odds: u32) -> bool {
        odds > 0 && self.below(1000) < odds
    }

    fn below(&mut self, end: u32) -> u32 {
        self.rng.next_u32() % end.max(1)
    }

    fn below_len(&mut self, end: usize) -> usize {
        usize::try_from(self.rng.next_u32()).map_or(0, |number| number % end.max(1))
    }
}

/// A stanza without this protocol's first element; `None` if it has none.
fn stripped(stanza: &str) -> Option<String> {
    let place = stanza.find(&format!(" xmlns='{NS}'"))?;
    let (before, rest) = stanza.split_at(place);
    let start = before.rfind('<')?;
    let end = format!("</{}>", before.get(start + 1..)?);
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{}{after}", before.get(..start)?))
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.borrow();
        f.debug_struct("Link")
            .field("odds", &state.odds)
            .field("overtaken", &state.overtaken.len())
            .field("delayed", &state.delayed.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of a link for the numbers up to 10,000.
    fn run(seed: u64, odds: Odds) -> Vec<String> {
        let link = Link::new(seed, odds);
        let mut tamper = link.tamper();
        let mut out = Vec::new();
        for number in 0..10_000_u64 {
            out.extend(link.due(number).into_iter().map(|(_, stanza)| stanza));
            out.extend(tamper("a@b/c", number.to_string()));
        }
        out.extend(link.rest().into_iter().map(|(_, stanza)| stanza));
        assert!(link.next_due().is_none_or(|at| at >= 10_000));
        out.extend(link.due(u64::MAX - 1).into_iter().map(|(_, stanza)| stanza));
        out
    }

    #[test]
    fn a_good_link_does_nothing() {
        let all: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        assert_eq!(run(1, Odds::default()), all);
    }

    #[test]
    fn a_bad_link_does_each_thing_about_as_often_as_asked() {
        let sorted = |odds| {
            let mut out: Vec<u32> = run(2, odds).iter().map(|text| text.parse().unwrap()).collect();
            let disorder = out.windows(2).filter(|two| two[0] > two[1]).count();
            out.sort_unstable();
            let len = out.len();
            out.dedup();
            (len, out.len(), disorder)
        };
        let (lost, ..) = sorted(Odds { lose: 50, ..Odds::default() });
        assert!((9_300..9_700).contains(&lost), "{lost}");
        let (len, different, _) = sorted(Odds { repeat: 50, ..Odds::default() });
        assert!((10_300..10_700).contains(&len) && different == 10_000, "{len}");
        for odds in [Odds { reorder: 50, ..Odds::default() }, Odds { delay: 50, ..Odds::default() }] {
            let (len, different, disorder) = sorted(odds);
            assert_eq!((len, different), (10_000, 10_000));
            assert!((100..600).contains(&disorder), "{disorder}");
        }
        let withheld = Odds { withhold: 50, ..Odds::default() };
        assert_eq!(sorted(withheld).0, 10_000);
        let edited = run(3, Odds { edit: 50, ..Odds::default() });
        let edits = edited.iter().zip(0_u32..).filter(|(text, number)| **text != number.to_string()).count();
        assert!((300..700).contains(&edits), "{edits}");
    }

    #[test]
    fn what_is_stripped_is_this_protocols() {
        let stanza = format!("<message to='a'><body>x</body><e xmlns='{NS}'>AA</e><y/></message>");
        assert_eq!(stripped(&stanza).as_deref(), Some("<message to='a'><body>x</body><y/></message>"));
        assert_eq!(stripped("<presence><e2e xmlns='x'>AA</e2e></presence>"), None);
    }

    #[test]
    fn equal_seeds_give_equal_runs() {
        assert_eq!(run(4, Odds::all(50)), run(4, Odds::all(50)));
        assert_ne!(run(4, Odds::all(50)), run(5, Odds::all(50)));
    }
}
