//! The engine's state: tables of records, each with a draft laid over what is stored.
//!
//! A step reads through the draft and writes into it. Once the store has taken the batch, the draft
//! becomes the state; else it is thrown away. So a step costs what it changes, whatever the size
//! of the state, and nothing else can be undone halfway.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use crate::env::Timestamp;
use crate::store::RecordKey;
use crate::wire::Undecodable;

/// One kind of record.
pub(crate) trait Record: Clone {
    /// The first byte of its keys.
    const KIND: u8;
    type Key: Key;
    fn encode(&self) -> Zeroizing<Vec<u8>>;
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable>;
    /// When a tick must look at it.
    fn deadline(&self) -> Option<Timestamp> {
        None
    }
    /// Since when it waits for its turn.
    fn queued(&self) -> Option<Timestamp> {
        None
    }
}

/// A typed key; its encodings differ if the keys do.
pub(crate) trait Key: Clone + Ord {
    fn encode(&self, out: &mut Vec<u8>);
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable>;
}

/// A record that the store has and memory has not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Missing(pub(crate) RecordKey);

/// All records of one kind.
pub(crate) struct Table<R: Record> {
    /// `None`: stored, but not in memory.
    stored: BTreeMap<R::Key, Option<R>>,
    /// `None`: deleted.
    draft: BTreeMap<R::Key, Option<R>>,
    /// The deadlines of what is stored.
    deadlines: BTreeSet<(Timestamp, R::Key)>,
    /// What of it waits for its turn.
    queue: BTreeSet<(Timestamp, R::Key)>,
}

impl<R: Record> Default for Table<R> {
    fn default() -> Self {
        Self {
            stored: BTreeMap::new(),
            draft: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            queue: BTreeSet::new(),
        }
    }
}

impl<R: Record> Table<R> {
    pub(crate) fn get(&self, key: &R::Key) -> Result<Option<&R>, Missing> {
        if !self.draft.is_empty()
            && let Some(drafted) = self.draft.get(key)
        {
            return Ok(drafted.as_ref());
        }
        match self.stored.get(key) {
            Some(Some(record)) => Ok(Some(record)),
            Some(None) => Err(Missing(Self::record_key(key))),
            None => Ok(None),
        }
    }

    /// The record to be changed, copied into the draft.
    pub(crate) fn get_mut(&mut self, key: &R::Key) -> Result<Option<&mut R>, Missing> {
        if !self.draft.contains_key(key) {
            let Some(record) = self.get(key)?.cloned() else { return Ok(None) };
            self.draft.insert(key.clone(), Some(record));
        }
        Ok(self.draft.get_mut(key).and_then(Option::as_mut))
    }

    pub(crate) fn put(&mut self, key: R::Key, record: R) {
        self.draft.insert(key, Some(record));
    }

    pub(crate) fn remove(&mut self, key: &R::Key) {
        if self.stored.contains_key(key) {
            self.draft.insert(key.clone(), None);
        } else {
            self.draft.remove(key);
        }
    }

    /// Deletes all records.
    pub(crate) fn clear(&mut self) {
        for key in self.all_keys() {
            self.remove(&key);
        }
    }

    pub(crate) fn contains(&self, key: &R::Key) -> bool {
        match self.draft.get(key) {
            Some(drafted) => drafted.is_some(),
            None => self.stored.contains_key(key),
        }
    }

    /// The keys in `range`, in order.
    pub(crate) fn keys(&self, range: RangeInclusive<R::Key>) -> Vec<R::Key> {
        let stored = self.stored.range(range.clone()).map(|(key, _)| key);
        let mut keys: Vec<R::Key> = stored.filter(|key| !self.draft.contains_key(key)).cloned().collect();
        let drafted = self.draft.range(range).filter(|(_, record)| record.is_some());
        let before = keys.len();
        keys.extend(drafted.map(|(key, _)| key.clone()));
        if keys.len() > before && before > 0 {
            keys.sort_unstable();
        }
        keys
    }

    /// All keys, in order. For tables that are bounded or asked for as a whole.
    pub(crate) fn all_keys(&self) -> Vec<R::Key> {
        let stored = self.stored.keys().filter(|key| !self.draft.contains_key(key)).cloned();
        let drafted = self.draft.iter().filter(|(_, record)| record.is_some());
        let mut keys: Vec<R::Key> = stored.chain(drafted.map(|(key, _)| key.clone())).collect();
        keys.sort_unstable();
        keys
    }

    pub(crate) fn len(&self) -> usize {
        let (mut added, mut removed) = (0, 0);
        for (key, record) in &self.draft {
            match (record.is_some(), self.stored.contains_key(key)) {
                (true, false) => added += 1,
                (false, true) => removed += 1,
                (true, true) | (false, false) => {}
            }
        }
        self.stored.len() + added - removed
    }

    /// The keys of records whose stored deadline is at or before `now`.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<R::Key> {
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key.clone()).collect()
    }

    /// The record that has waited longest for its turn. It costs what the draft has, and no more.
    pub(crate) fn first_queued(&self) -> Option<R::Key> {
        let stored = self.queue.iter().find(|(_, key)| !self.draft.contains_key(key)).cloned();
        let drafted = self.draft.iter().filter_map(|(key, record)| {
            let since = record.as_ref().and_then(R::queued)?;
            Some((since, key.clone()))
        });
        drafted.chain(stored).min().map(|(_, key)| key)
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Adds what the draft changes to a batch.
    pub(crate) fn collect(&self, changes: &mut Vec<(RecordKey, Option<Zeroizing<Vec<u8>>>)>) {
        changes.extend(
            self.draft.iter().map(|(key, record)| (Self::record_key(key), record.as_ref().map(R::encode))),
        );
    }

    /// The store has taken the batch: the draft is the state.
    pub(crate) fn commit(&mut self) {
        while let Some((key, record)) = self.draft.pop_first() {
            let old = self.stored.get(&key).and_then(Option::as_ref);
            if let Some(deadline) = old.and_then(R::deadline) {
                self.deadlines.remove(&(deadline, key.clone()));
            }
            if let Some(since) = old.and_then(R::queued) {
                self.queue.remove(&(since, key.clone()));
            }
            match record {
                Some(record) => {
                    self.index(&key, &record);
                    self.stored.insert(key, Some(record));
                }
                None => {
                    self.stored.remove(&key);
                }
            }
        }
    }

    pub(crate) fn roll_back(&mut self) {
        self.draft.clear();
    }

    /// Takes a record as the store holds it, or only its key.
    pub(crate) fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Undecodable> {
        let key = R::Key::decode(key)?;
        let record = value.map(R::decode).transpose()?;
        if let Some(record) = &record {
            self.index(&key, record);
        }
        self.stored.insert(key, record);
        Ok(())
    }

    fn index(&mut self, key: &R::Key, record: &R) {
        if let Some(deadline) = record.deadline() {
            self.deadlines.insert((deadline, key.clone()));
        }
        if let Some(since) = record.queued() {
            self.queue.insert((since, key.clone()));
        }
    }

    /// Forgets the value of a stored record that has no deadline and no draft.
    pub(crate) fn evict(&mut self, key: &R::Key) {
        if !self.draft.contains_key(key)
            && let Some(slot) = self.stored.get_mut(key)
            && slot.as_ref().is_some_and(|record| record.deadline().is_none())
        {
            *slot = None;
        }
    }

    /// What is in memory, without drafts.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = (&R::Key, &R)> {
        self.stored.iter().filter_map(|(key, record)| Some((key, record.as_ref()?)))
    }

    pub(crate) fn record_key(key: &R::Key) -> RecordKey {
        let mut bytes = vec![R::KIND];
        key.encode(&mut bytes);
        RecordKey::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Note(u64);

    impl Record for Note {
        const KIND: u8 = 9;
        type Key = u64;
        fn encode(&self) -> Zeroizing<Vec<u8>> {
            Zeroizing::new(self.0.to_be_bytes().to_vec())
        }
        fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
            Ok(Self(u64::from_be_bytes(bytes.try_into().map_err(|_| Undecodable)?)))
        }
        fn deadline(&self) -> Option<Timestamp> {
            (self.0 > 0).then(|| Timestamp::from_millis(self.0))
        }
        fn queued(&self) -> Option<Timestamp> {
            self.deadline()
        }
    }

    #[test]
    fn a_draft_is_read_and_can_be_undone() {
        let mut table = Table::<Note>::default();
        table.put(1, Note(10));
        assert_eq!(table.get(&1), Ok(Some(&Note(10))));
        table.roll_back();
        assert_eq!(table.get(&1), Ok(None));
        table.put(1, Note(10));
        table.put(2, Note(0));
        table.commit();
        assert_eq!(table.next_deadline(), Some(Timestamp::from_millis(10)));
        table.get_mut(&1).unwrap().unwrap().0 = 20;
        table.remove(&2);
        assert_eq!((table.all_keys(), table.len()), (vec![1], 1));
        assert_eq!(
            table.next_deadline(),
            Some(Timestamp::from_millis(10)),
            "deadlines are of what is stored"
        );
        table.commit();
        assert_eq!(table.next_deadline(), Some(Timestamp::from_millis(20)));
        assert!(!table.contains(&2));
    }

    #[test]
    fn an_evicted_record_is_missing_not_absent() {
        let mut table = Table::<Note>::default();
        table.put(1, Note(0));
        table.put(2, Note(5));
        table.commit();
        table.evict(&1);
        table.evict(&2);
        assert!(matches!(table.get(&1), Err(Missing(key)) if key.as_bytes()[0] == 9));
        assert_eq!(table.get(&2), Ok(Some(&Note(5))), "what has a deadline stays");
        table.load(&1u64.to_be_bytes(), Some(&0u64.to_be_bytes())).unwrap();
        assert_eq!(table.get(&1), Ok(Some(&Note(0))));
    }

    #[test]
    fn who_has_waited_longest_is_first_through_the_draft() {
        let mut table = Table::<Note>::default();
        for (key, since) in [(1, 30), (2, 20), (3, 0)] {
            table.put(key, Note(since));
        }
        assert_eq!(table.first_queued(), Some(2));
        table.commit();
        assert_eq!(table.first_queued(), Some(2));
        table.get_mut(&2).unwrap().unwrap().0 = 0;
        assert_eq!(table.first_queued(), Some(1));
        table.put(4, Note(10));
        assert_eq!(table.first_queued(), Some(4));
        table.remove(&4);
        table.commit();
        assert_eq!(table.first_queued(), Some(1));
        table.remove(&1);
        assert_eq!(table.first_queued(), None);
        table.roll_back();
        assert_eq!(table.first_queued(), Some(1));
    }

    #[test]
    fn keys_in_a_range_come_in_order_through_the_draft() {
        let mut table = Table::<Note>::default();
        for key in [1, 3, 5] {
            table.put(key, Note(0));
        }
        table.commit();
        table.put(4, Note(0));
        table.remove(&3);
        assert_eq!(table.keys(2..=5), [4, 5]);
        assert_eq!(table.keys(1..=1), [1]);
    }
}
