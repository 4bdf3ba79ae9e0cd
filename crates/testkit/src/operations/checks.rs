//! What must hold after each input.

use super::*;

/// The bounds the engine gives: stanzas waiting or unacknowledged with those kept for errors, and
/// first flights that wait for the agent.
const MAX_OUTBOX: usize = 1000;
const MAX_ARRIVALS: usize = 32;

/// The kinds of records, as the first byte of their keys has them.
const OUTBOX: u8 = 10;
const WAITING: u8 = 12;
const ARRIVALS: u8 = 16;
/// Own prekeys, flights accepted, one-time prekeys, devices, sessions and skipped keys: nothing
/// refused changes them.
const KEYS: [u8; 6] = [3, 4, 5, 7, 8, 9];

impl Device {
    /// A refused stanza changes no keys.
    pub(super) fn check_changes(&self, drafted: &Changes, class: Class, effects: &[Effect]) {
        let refused = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Notify(Event::Rejected { .. } | Event::Duplicate { .. })));
        if class != Class::Protected || !refused {
            return;
        }
        for ((key, value), before) in drafted.iter().zip(&self.store.replaced) {
            promise(value == before || !KEYS.contains(&kind(key)), "a refused stanza changes keys");
        }
    }

    pub(super) fn has_unacknowledged(&self) -> bool {
        self.store.records.keys().any(|key| kind(key) == OUTBOX)
    }

    pub(super) fn check_bounds(&self) {
        let count = |kinds: &[u8]| self.store.records.keys().filter(|key| kinds.contains(&kind(key))).count();
        assert!(count(&[OUTBOX, WAITING]) <= MAX_OUTBOX);
        assert!(count(&[ARRIVALS]) <= MAX_ARRIVALS);
    }

    /// What is stored is what there is.
    pub(super) fn check_restore(&self) {
        let restored = self.restored();
        assert_eq!(restored.generation(), self.engine.generation());
        assert_eq!(restored.device(), self.engine.device());
        assert_eq!(restored.pending(), self.engine.pending());
        for (jid, _) in DEVICES {
            assert_eq!(restored.contact(jid), self.engine.contact(jid));
            // What is evicted gives no outlook.
            if let Ok(outlook) = self.engine.outlook(jid, &Need::Policy) {
                assert_eq!(restored.outlook(jid, &Need::Policy), Ok(outlook));
            }
        }
    }

    /// A stanza that came has one outcome.
    pub(super) fn check_counts(&self, class: Class, effects: &[Effect]) {
        let count = |of: fn(&Effect) -> bool| effects.iter().filter(|effect| of(effect)).count();
        let passed = count(|effect| matches!(effect, Effect::Pass | Effect::PassSigned { .. }));
        let delivered = count(|effect| matches!(effect, Effect::Deliver { again: false, .. }));
        let refused = count(|effect| {
            matches!(effect, Effect::Notify(Event::Rejected { .. } | Event::Duplicate { .. }))
        });
        assert!(self.restarted || count(|effect| matches!(effect, Effect::Deliver { again: true, .. })) == 0);
        match class {
            Class::Protected => {
                promise(passed == 0, "a protected message passes");
                promise(delivered + refused <= 1, "a protected message has two outcomes");
            }
            Class::Any => assert!(passed + delivered + refused <= 1),
            Class::Stanza => assert!(passed <= 1 && delivered == 0),
            Class::Outgoing { .. } | Class::Presence { .. } | Class::Wish => {
                assert_eq!(delivered + refused, 0)
            }
            Class::Agent => assert_eq!(passed, 0),
            Class::Tick | Class::Other => assert_eq!(passed, 0),
        }
    }

    /// A stanza of an application has one outcome as soon as it comes, if it need not wait for the agent.
    pub(super) fn check_one_outcome(&self, class: Class, effects: &[Effect]) {
        if !matches!(class, Class::Protected | Class::Any | Class::Stanza) {
            return;
        }
        // What is wrong with the advert in a presence is told besides.
        let passed = effects.iter().any(|effect| matches!(effect, Effect::Pass | Effect::PassSigned { .. }));
        if class == Class::Stanza && passed {
            return;
        }
        let outcomes = effects.iter().filter(|effect| match effect {
            Effect::Pass | Effect::PassSigned { .. } | Effect::Deliver { again: false, .. } => true,
            Effect::Notify(event) => matches!(event, Event::Rejected { .. } | Event::Duplicate { .. }),
            _ => false,
        });
        let waits = self.store.records.keys().any(|key| kind(key) == ARRIVALS);
        match outcomes.count() {
            0 => promise(waits, "a stanza has no outcome"),
            one => assert_eq!(one, 1, "a stanza has two outcomes"),
        }
    }

    /// A token has one outcome, and nothing protected goes out in clear.
    pub(super) fn check_fate(&mut self, class: Class, effect: &Effect, effects: &[Effect]) {
        let said_again = self.restarted;
        let (token, next) = match effect {
            Effect::Pass => match class {
                Class::Outgoing { token, clear } => {
                    promise(clear, "in clear to an account that encrypts, or against the need");
                    (token, Fate::Done)
                }
                Class::Presence { token } => (token, Fate::Done),
                _ => return,
            },
            Effect::Sent { token, .. } => (token.0, Fate::Sent),
            Effect::Failed { token, why } => {
                let known = self.fates.get(&token.0).copied().unwrap_or(Fate::Unknown);
                promise(
                    known != Fate::Sent || *why == SendError::Bounced,
                    "what was sent fails otherwise than by bouncing",
                );
                (token.0, Fate::Done)
            }
            Effect::Waiting { token, .. } => {
                let presence = matches!(class, Class::Presence { .. });
                (token.0, if presence { Fate::Held } else { Fate::Open })
            }
            Effect::Send { token, stanza, .. } => {
                let said = |effect: &Effect| match effect {
                    Effect::Sent { token, coverage: Coverage { clear: true, .. } } => Some(*token),
                    _ => None,
                };
                self.cleared.extend(effects.iter().filter_map(said));
                let clear = token.is_some_and(|token| self.cleared.contains(&token));
                promise(!stanza.as_str().contains(MARK) || clear, "sent in clear");
                return;
            }
            Effect::Notify(Event::Rejected { reason, .. }) => {
                let own_fault = *reason == Reason::Unreadable(Unreadable::Agent);
                assert!(!own_fault || matches!(class, Class::Agent | Class::Tick));
                return;
            }
            _ => return,
        };
        let known = self.fates.entry(token).or_insert(Fate::Unknown);
        let allowed = match *known {
            Fate::Unknown => true,
            Fate::Open | Fate::Held => true,
            Fate::Sent => said_again && next == Fate::Sent || next == Fate::Done,
            Fate::Done => false,
        };
        promise(allowed, "a token has two outcomes");
        if *known != Fate::Unknown {
            *known = next;
        }
    }

    /// What has no outcome yet is still there.
    pub(super) fn check_open(&self) {
        let pending = self.engine.pending().expect("never evicted");
        for (token, fate) in &self.fates {
            if *fate == Fate::Open {
                promise(pending.contains(&Pending::Waiting(Token(*token))), "a stanza handed in is lost");
            }
        }
    }
}

fn kind(key: &RecordKey) -> u8 {
    key.as_bytes().first().copied().unwrap_or_default()
}
