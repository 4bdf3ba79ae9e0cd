//! A store in memory, for tests and for engines that live as long as the program.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::store::{Batch, RecordKey, Store, Stored};

/// The batch builds on another generation than the store holds: another engine has written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("another engine has written to this store")]
#[non_exhaustive]
pub struct Conflict;

/// A store in memory. A clone is a backup.
#[derive(Clone, Default)]
pub struct MemoryStore {
    generation: u64,
    records: BTreeMap<RecordKey, Zeroizing<Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl core::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { generation, records } = self;
        f.debug_struct("MemoryStore")
            .field("generation", generation)
            .field("records", &records.len())
            .finish()
    }
}

impl Store for MemoryStore {
    type Error = Conflict;

    fn apply(&mut self, batch: &Batch) -> Result<(), Conflict> {
        if batch.expected_generation() != self.generation {
            return Err(Conflict);
        }
        self.generation = batch.generation();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => {
                    self.records.insert(key.clone(), Zeroizing::new(value.to_vec()));
                }
                None => {
                    self.records.remove(key);
                }
            }
        }
        Ok(())
    }

    fn load(&self) -> Result<Stored, Conflict> {
        let records = self.records.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Stored { generation: self.generation, records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_contract() {
        crate::store::contract::check(MemoryStore::new()).unwrap();
    }
}
