//! The contract of a store, as a function that its author calls in a test.
//!
//! ```
//! # use xmpp_e2e::store::{MemoryStore, contract};
//! contract::check(MemoryStore::new()).expect("the store keeps the contract");
//! ```

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::store::{Batch, RecordKey, Store, Stored};

/// What a store did wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It was not empty at the start, at generation zero.
    #[error("a new store must be empty, at generation 0")]
    NotEmpty,
    /// It refused a batch that it must apply.
    #[error("refused a good batch: {0}")]
    Refused(String),
    /// It could not be read.
    #[error("could not be read: {0}")]
    Unreadable(String),
    /// It applied a batch that builds on another generation.
    #[error("applied a batch upon the wrong generation")]
    WrongGenerationApplied,
    /// After `after`, it holds something else than it must.
    #[error("wrong content after {after}")]
    WrongContent {
        /// What had been done.
        after: &'static str,
    },
}

/// Runs a new, empty `store` through everything an engine does to it.
///
/// # Errors
/// The first [`Violation`].
pub fn check<S: Store>(mut store: S) -> Result<(), Violation> {
    if !content(&store)?.0.eq(&0) || !content(&store)?.1.is_empty() {
        return Err(Violation::NotEmpty);
    }
    let mut model: BTreeMap<RecordKey, Vec<u8>> = BTreeMap::new();
    let mut generation = 0_u64;
    let long = vec![0xA5; RecordKey::MAX_LEN];
    let (a, b, long) = (key(b"\x01a"), key(b"\x01b"), key(&long));
    let script: [(&'static str, Vec<Change>); 7] = [
        ("inserting", vec![(a.clone(), Some(vec![1, 2, 3])), (b.clone(), Some(vec![]))]),
        ("replacing", vec![(a.clone(), Some(vec![0; 100_000]))]),
        ("a key that is a prefix of another", vec![(key(b"\x01"), Some(vec![7])), (key(b""), Some(vec![8]))]),
        ("bytes that are no text", vec![(key(&[0, 0xFF, 0x27]), Some((0..=255).collect()))]),
        ("the longest key", vec![(long.clone(), Some(vec![9]))]),
        ("deleting", vec![(a.clone(), None), (b, Some(vec![4]))]),
        ("deleting what is not there", vec![(a.clone(), None), (long, None)]),
    ];
    for (after, changes) in script {
        for wrong in [generation + 1, generation.wrapping_sub(1)] {
            if store.apply(&batch(wrong, &changes)).is_ok() {
                return Err(Violation::WrongGenerationApplied);
            }
            matches(&store, generation, &model, "a refused batch")?;
        }
        store.apply(&batch(generation, &changes)).map_err(|error| Violation::Refused(error.to_string()))?;
        generation += 1;
        for (key, value) in changes {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        matches(&store, generation, &model, after)?;
    }
    Ok(())
}

type Change = (RecordKey, Option<Vec<u8>>);

fn key(bytes: &[u8]) -> RecordKey {
    RecordKey::from_bytes(bytes)
}

fn batch(expected: u64, changes: &[Change]) -> Batch {
    let changes = changes.iter().map(|(key, value)| (key.clone(), value.clone().map(Zeroizing::new)));
    Batch { expected, changes: changes.collect() }
}

fn content<S: Store>(store: &S) -> Result<(u64, BTreeMap<RecordKey, Vec<u8>>), Violation> {
    let Stored { generation, records } =
        store.load().map_err(|error| Violation::Unreadable(error.to_string()))?;
    let count = records.len();
    let records: BTreeMap<_, _> = records.into_iter().map(|(key, value)| (key, value.to_vec())).collect();
    if records.len() != count {
        return Err(Violation::WrongContent { after: "reading: a record came twice" });
    }
    Ok((generation, records))
}

fn matches<S: Store>(
    store: &S,
    generation: u64,
    model: &BTreeMap<RecordKey, Vec<u8>>,
    after: &'static str,
) -> Result<(), Violation> {
    let (found, records) = content(store)?;
    if found == generation && &records == model { Ok(()) } else { Err(Violation::WrongContent { after }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    /// A store with one fault.
    struct Faulty(MemoryStore, Fault);

    #[derive(PartialEq)]
    enum Fault {
        IgnoresGeneration,
        NeverDeletes,
        ChangesThoughRefused,
        LosesTheLast,
    }

    impl Store for Faulty {
        type Error = crate::store::memory::Conflict;

        fn apply(&mut self, batch: &Batch) -> Result<(), Self::Error> {
            let mut changes = batch.changes.clone();
            match self.1 {
                Fault::IgnoresGeneration => {
                    let expected = self.0.load()?.generation;
                    return self.0.apply(&Batch { expected, changes });
                }
                Fault::NeverDeletes => changes.retain(|(_, value)| value.is_some()),
                Fault::ChangesThoughRefused => {
                    let expected = self.0.load()?.generation;
                    let result = self.0.clone().apply(batch);
                    self.0.apply(&Batch { expected, changes })?;
                    return result;
                }
                Fault::LosesTheLast => drop(changes.pop()),
            }
            self.0.apply(&Batch { expected: batch.expected, changes })
        }

        fn load(&self) -> Result<Stored, Self::Error> {
            self.0.load()
        }
    }

    #[test]
    fn each_fault_is_found() {
        for fault in
            [Fault::IgnoresGeneration, Fault::NeverDeletes, Fault::ChangesThoughRefused, Fault::LosesTheLast]
        {
            assert!(check(Faulty(MemoryStore::new(), fault)).is_err());
        }
    }
}
