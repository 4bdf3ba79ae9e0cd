//! What happens in a history, made from a seed.

use chacha20::ChaCha20Rng;
use xmpp_e2e::rand_core::{Rng, SeedableRng};

use crate::link::Odds;
use crate::server::Pep;

/// The most accounts, and the most devices that an account begins with.
pub const MAX_ACCOUNTS: usize = 4;
/// The most devices of an account at one time.
pub const MAX_DEVICES: usize = 4;

/// How many actions a history has.
const ACTIONS: std::ops::Range<u32> = 25..75;

/// People, devices, and what happens to them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The seed of all randomness.
    pub seed: u64,
    /// How it begins.
    pub shape: Shape,
    /// What happens, in order, with the number by which it is kept.
    pub actions: Vec<(usize, Action)>,
}

/// How a history begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shape {
    /// How many devices each account has.
    pub devices: Vec<usize>,
    /// Whether servers send carbons (XEP-0280). Without, own other devices read nothing.
    pub carbons: bool,
}

/// Something that happens. Numbers of devices and accounts are taken modulo what there is, so that a plan with fewer
/// actions keeps its meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// The users of a device accept all changed keys.
    Accept(u8),
    /// An account gets another device, with a copy of the account key.
    AddDevice(u8),
    /// A device's store, engine and application together, is copied.
    Backup(u8),
    /// A device reads so many messages of its archive; backwards or not.
    CatchUp(u8, u8, bool),
    /// The server makes up a message in clear to a device, from an account.
    ClearText(u8, u8),
    /// A device's present state runs a second time.
    Clone(u8),
    /// The clone of a device ends, whichever is the first.
    EndClone(u8),
    /// A device's program dies so many moments later; it stays down or not.
    Crash(u8, u8, bool),
    /// A device drops from memory what is idle.
    Evict(u8),
    /// Whoever fetches an account's keys gets those of now, whatever is published.
    Freeze(u8),
    /// The end of that.
    Thaw(u8),
    /// A device asks for a KEM epoch with an account.
    Heal(u8, u8),
    /// An account leaves the protocol.
    Leave(u8),
    /// A device is wiped, and nobody says so.
    Lose(u8),
    /// An account loses all devices and its key, and begins anew; once. Records of two dead keys beside those of a third
    /// would change its key again and again in the eyes of its contacts.
    NewKey(u8),
    /// A device ends its stream.
    Offline(u8),
    /// All devices of an account end their streams.
    AllOffline(u8),
    /// A device connects.
    Online(u8),
    /// An account's server does PEP otherwise.
    Pep(u8, Pep),
    /// A device sends its presence again.
    Presence(u8),
    /// A device's store refuses so many batches.
    Refuse(u8, u8),
    /// A stanza that a device received long ago comes again: the so-manieth from the last.
    Replay(u8, u8),
    /// A stanza for one device comes to another.
    Misdirect(u8, u8, u8),
    /// A device goes back to its backup; declared or not.
    Restore(u8, bool),
    /// An account with several devices retires one, which is gone then.
    Retire(u8),
    /// A device writes to an account, so many times; encrypted or not at all, or as the policy says.
    Say(u8, u8, u8, bool),
    /// A device loses its stream, and the server does not know.
    Suspend(u8),
    /// It resumes it (XEP-0198).
    Resume(u8),
    /// Time passes, in seconds.
    Wait(u32),
    /// The link does these things from now on.
    Weather(Odds),
    /// So many stanzas and ticks are handled.
    Turns(u8),
}

/// What comes how often, of [`TOTAL`].
const WEIGHTS: [(u32, Kind); 31] = [
    (30, Kind::Say),
    (14, Kind::Turns),
    (14, Kind::Wait),
    (7, Kind::Weather),
    (4, Kind::Offline),
    (4, Kind::Online),
    (2, Kind::AllOffline),
    (4, Kind::Crash),
    (2, Kind::Refuse),
    (3, Kind::Backup),
    (2, Kind::Restore),
    (1, Kind::Clone),
    (1, Kind::EndClone),
    (2, Kind::AddDevice),
    (1, Kind::Lose),
    (1, Kind::Retire),
    (1, Kind::NewKey),
    (2, Kind::Accept),
    (1, Kind::Leave),
    (2, Kind::Pep),
    (1, Kind::Freeze),
    (1, Kind::Thaw),
    (3, Kind::Replay),
    (2, Kind::Misdirect),
    (3, Kind::CatchUp),
    (1, Kind::ClearText),
    (1, Kind::Evict),
    (2, Kind::Heal),
    (2, Kind::Presence),
    (2, Kind::Suspend),
    (2, Kind::Resume),
];

#[derive(Clone, Copy)]
enum Kind {
    Accept,
    AddDevice,
    AllOffline,
    Backup,
    CatchUp,
    ClearText,
    Clone,
    Crash,
    EndClone,
    Evict,
    Freeze,
    Heal,
    Leave,
    Lose,
    Misdirect,
    NewKey,
    Offline,
    Online,
    Pep,
    Presence,
    Refuse,
    Replay,
    Restore,
    Resume,
    Retire,
    Say,
    Suspend,
    Thaw,
    Turns,
    Wait,
    Weather,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Dice(ChaCha20Rng::seed_from_u64(seed));
        let accounts = rng.among(&[2, 2, 2, 3, 3, MAX_ACCOUNTS]);
        let devices = (0..accounts).map(|_| rng.among(&[1, 1, 1, 2, 2, 3, MAX_DEVICES]));
        let shape = Shape { devices: devices.collect(), carbons: rng.below(4) > 0 };
        let count = ACTIONS.start + rng.below(ACTIONS.end - ACTIONS.start);
        let actions = (0..count).map(|_| rng.action()).enumerate().collect();
        Self { seed, shape, actions }
    }

    /// The same with only these actions.
    #[must_use]
    pub fn keep(&self, numbers: &[usize]) -> Self {
        let actions = self.actions.iter().filter(|(number, _)| numbers.contains(number));
        Self { actions: actions.copied().collect(), ..self.clone() }
    }

    /// The numbers of its actions.
    #[must_use]
    pub fn numbers(&self) -> Vec<usize> {
        self.actions.iter().map(|(number, _)| *number).collect()
    }
}

/// Random choices.
struct Dice(ChaCha20Rng);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    fn byte(&mut self) -> u8 {
        self.0.next_u32().to_le_bytes()[0]
    }

    fn among<T: Copy>(&mut self, all: &[T]) -> T {
        let place = usize::try_from(self.0.next_u32()).map_or(0, |number| number % all.len());
        all[place]
    }

    fn kind(&mut self) -> Kind {
        let total = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for (weight, kind) in WEIGHTS {
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        Kind::Say
    }

    fn action(&mut self) -> Action {
        let kind = self.kind();
        let (a, b) = (self.byte(), self.byte());
        match kind {
            Kind::Accept => Action::Accept(a),
            Kind::AddDevice => Action::AddDevice(a),
            Kind::AllOffline => Action::AllOffline(a),
            Kind::Backup => Action::Backup(a),
            Kind::CatchUp => Action::CatchUp(a, b % 100, self.below(2) == 0),
            Kind::ClearText => Action::ClearText(a, b),
            Kind::Clone => Action::Clone(a),
            Kind::Crash => Action::Crash(a, b % 40, self.below(3) == 0),
            Kind::EndClone => Action::EndClone(a),
            Kind::Evict => Action::Evict(a),
            Kind::Freeze => Action::Freeze(a),
            Kind::Heal => Action::Heal(a, b),
            Kind::Leave => Action::Leave(a),
            Kind::Lose => Action::Lose(a),
            Kind::Misdirect => Action::Misdirect(a, b, self.byte()),
            Kind::NewKey => Action::NewKey(a),
            Kind::Offline => Action::Offline(a),
            Kind::Online => Action::Online(a),
            Kind::Pep => Action::Pep(
                a,
                self.among(&[
                    Pep::Works,
                    Pep::Works,
                    Pep::Works,
                    Pep::PreconditionNotMet,
                    Pep::KeepsOne,
                    Pep::Forgets,
                    Pep::Refuses,
                    Pep::Busy,
                    Pep::Unsupported,
                    Pep::Absent,
                ]),
            ),
            Kind::Presence => Action::Presence(a),
            Kind::Refuse => Action::Refuse(a, 1 + b % 4),
            Kind::Replay => Action::Replay(a, b),
            Kind::Restore => Action::Restore(a, b % 2 == 0),
            Kind::Resume => Action::Resume(a),
            Kind::Retire => Action::Retire(a),
            Kind::Say => {
                let times = self.among(&[1, 1, 1, 2, 3, 10]);
                Action::Say(a, b, times, self.below(5) == 0)
            }
            Kind::Suspend => Action::Suspend(a),
            Kind::Thaw => Action::Thaw(a),
            Kind::Turns => Action::Turns(b % 60),
            Kind::Wait => {
                const DAY: u32 = 86_400;
                let longest = self.among(&[2, 30, 300, 300, 4_000, 4_000, DAY, 5 * DAY, 20 * DAY, 45 * DAY]);
                Action::Wait(1 + self.below(longest))
            }
            Kind::Weather => Action::Weather(self.weather()),
        }
    }

    fn weather(&mut self) -> Odds {
        let n = self.among(&[0, 10, 30, 100, 300]);
        let one = |chosen: bool| if chosen { n } else { 0 };
        match self.below(8) {
            0 | 1 => Odds::default(),
            2 => Odds::all(n),
            3 => Odds { lose: n, ..Odds::default() },
            4 => Odds { reorder: n, delay: n / 2, repeat: n, ..Odds::default() },
            5 => Odds { withhold: n / 2, ..Odds::default() },
            6 => Odds { strip: n, edit: n, ..Odds::default() },
            _ => Odds {
                lose: one(self.below(2) == 0),
                reorder: one(self.below(2) == 0),
                repeat: one(self.below(2) == 0),
                delay: one(self.below(2) == 0),
                edit: one(self.below(2) == 0),
                strip: one(self.below(2) == 0),
                withhold: one(self.below(3) == 0),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_keeps_the_numbers_of_its_actions() {
        let plan = Plan::new(5);
        assert_eq!(plan, Plan::new(5));
        assert_ne!(plan.actions, Plan::new(6).actions);
        let kept = plan.keep(&[2, 7]);
        assert_eq!(kept.numbers(), [2, 7]);
        assert_eq!(kept.actions[1].1, plan.actions[7].1);
    }
}
