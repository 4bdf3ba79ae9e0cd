//! All tables of an engine.

use zeroize::Zeroizing;

use crate::engine::Config;
use crate::engine::records::{
    Accepted, Acknowledged, Arrival, Ask, Contact, Counters, Device, History, InboxItem, Inquiry, Kept,
    Linking, OneTime, Opening, OutboxItem, Own, OwnPrekeys, PastDecisions, Question, Request, Trouble,
    Verification, WaitingSend,
};
use crate::env::Timestamp;
use crate::error::Misuse;
use crate::identity::DeviceCertificate;
use crate::jid::BareJid;
use crate::session::{Session, SkippedBlock};
use crate::store::RecordKey;
use crate::store::table::{Missing, Record, Table};

/// A field for each table, and what is done to all of them.
macro_rules! tables {
    ($($name:ident: $record:ty),* $(,)?) => {
        /// What an engine knows: stored records and the draft of the step over them.
        #[derive(Default)]
        pub(crate) struct State {
            pub(crate) generation: u64,
            /// The latest time seen.
            pub(crate) seen: Timestamp,
            $(pub(crate) $name: Table<$record>,)*
        }

        impl State {
            pub(crate) fn collect(&self, changes: &mut Vec<(RecordKey, Option<Zeroizing<Vec<u8>>>)>) {
                $(self.$name.collect(changes);)*
            }

            pub(crate) fn commit(&mut self) {
                $(self.$name.commit();)*
            }

            pub(crate) fn roll_back(&mut self) {
                $(self.$name.roll_back();)*
            }

            pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
                [$(self.$name.next_deadline()),*].into_iter().flatten().min()
            }

            pub(crate) fn load(&mut self, key: &RecordKey, value: Option<&[u8]>) -> Result<(), Misuse> {
                let (kind, rest) = key.as_bytes().split_first().ok_or(Misuse::Record)?;
                let result = match *kind {
                    $(<$record>::KIND => self.$name.load(rest, value),)*
                    _ => return Err(Misuse::Record),
                };
                result.map_err(|_| Misuse::Record)
            }

            /// Key and value of all that is in memory, as stores have them.
            #[cfg(test)]
            fn encoded(&self) -> Vec<(RecordKey, Zeroizing<Vec<u8>>)> {
                let mut all = Vec::new();
                $(all.extend(
                    self.$name.in_memory().map(|(key, r)| (Table::<$record>::record_key(key), r.encode())),
                );)*
                all
            }

            /// The kinds of records.
            #[cfg(test)]
            const KINDS: &[u8] = &[$(<$record>::KIND),*];

            /// Deletes everything.
            pub(crate) fn clear(&mut self) {
                $(self.$name.clear();)*
            }
        }
    };
}

tables! {
    own: Own,
    counters: Counters,
    prekeys: OwnPrekeys,
    accepted: Accepted,
    one_time: OneTime,
    contacts: Contact,
    devices: Device,
    sessions: Session,
    skipped: SkippedBlock,
    outbox: OutboxItem,
    acknowledged: Acknowledged,
    inbox: InboxItem,
    waiting: WaitingSend,
    requests: Request,
    asks: Ask,
    openings: Opening,
    arrivals: Arrival,
    questions: Question,
    inquiries: Inquiry,
    histories: History,
    past_decisions: PastDecisions,
    verifications: Verification,
    kept: Kept,
    troubles: Trouble,
    linkings: Linking,
}

impl State {
    pub(crate) fn is_evictable(key: &RecordKey) -> bool {
        key.as_bytes().first().is_some_and(|kind| [Session::KIND, SkippedBlock::KIND].contains(kind))
    }

    pub(crate) fn evict_idle(&mut self, before: Timestamp) {
        let idle = self.sessions.in_memory().filter(|(_, session)| session.last_used() < before);
        let idle: Vec<_> = idle.map(|(key, _)| key.clone()).collect();
        for key in idle {
            self.sessions.evict(&key);
            for block in self.skipped.keys((key.2, 0, 0)..=(key.2, u32::MAX, u32::MAX)) {
                self.skipped.evict(&block);
            }
        }
    }

    /// Whether messages to an account go out protected or not at all; of the own one, where it has other devices.
    pub(crate) fn never_clear(&self, jid: &BareJid) -> Result<bool, Missing> {
        let Some(contact) = self.contacts.get(jid)? else { return Ok(false) };
        let own = self.own.get(&())?.filter(|own| own.jid == *jid);
        let others = own.is_some_and(|own| contact.live.iter().any(|device| *device != own.device));
        Ok(others || contact.never_clear())
    }

    /// After a restart there is no connection until the caller says so.
    pub(crate) fn restarted(&mut self, config: &Config) -> Result<(), Misuse> {
        if let Some(own) = self.own.get_mut(&()).map_err(|_| Misuse::Record)? {
            if own.jid != config.account {
                return Err(Misuse::Record);
            }
            if !own.certificate.as_slice().is_empty() {
                let certificate = DeviceCertificate::from_store(own.certificate.as_slice());
                let certificate = certificate.map_err(|_| Misuse::Record)?;
                let account = config.identity.account_digest();
                let ours = account.is_none_or(|account| *certificate.account_digest() == account)
                    && certificate.signing_key() == config.identity.signing_key();
                if !ours {
                    // The keys of another device, or made anew: nothing of this store fits them.
                    return Err(Misuse::Identity);
                }
            }
            own.connected = false;
            own.restarted = true;
            self.own.commit();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::wire::from_base64;

    /// The kinds and versions that the specification lists.
    fn specified() -> BTreeMap<u8, u8> {
        let rows = include_str!("../manual/specification/state.rs").lines();
        let cells = rows.filter_map(|row| row.strip_prefix("//! | ")?.split_once(" | "));
        let kinds = cells.filter_map(|(kind, rest)| {
            let version = rest.split_once(" | ")?.0;
            Some((kind.parse().ok()?, version.parse().ok()?))
        });
        kinds.collect()
    }

    #[test]
    fn c20_every_kind_of_record_is_specified_once() {
        let mut kinds = State::KINDS.to_vec();
        kinds.sort_unstable();
        assert_eq!(specified().into_keys().collect::<Vec<_>>(), kinds);
    }

    /// What was stored before is read, and would be stored the same.
    #[test]
    fn c20_what_was_stored_is_stored_again_byte_for_byte() {
        let mut kinds = BTreeMap::new();
        for file in [include_str!("../../tests/stored/alice.txt"), include_str!("../../tests/stored/bob.txt")]
        {
            let mut state = State::default();
            let mut stored = BTreeMap::new();
            for line in file.lines().filter_map(|line| line.strip_prefix("record ")) {
                let (key, value) = line.split_once(' ').unwrap();
                let [key, value] = [key, value].map(|text| from_base64(text, 1 << 20).unwrap());
                let key = RecordKey::from_bytes(&key);
                state.load(&key, Some(&value)).unwrap();
                kinds.insert(key.as_bytes()[0], value[0]);
                stored.insert(key, value);
            }
            let again: BTreeMap<_, _> =
                state.encoded().into_iter().map(|(key, v)| (key, v.to_vec())).collect();
            assert!(again == stored);
        }
        assert_eq!(kinds, specified(), "each kind has a stored one, of its version");
    }
}
