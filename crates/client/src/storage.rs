//! What a client keeps: the engine's records, and a few values of its own.

use std::collections::BTreeMap;

use xmpp_e2e::store::{Batch, Conflict, MemoryStore, Store, Stored};
use zeroize::Zeroizing;

/// A store of an engine's records that keeps small named values besides.
pub trait Storage: Store {
    /// The value of this name.
    ///
    /// # Errors
    /// If the medium fails.
    fn note(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Self::Error>;

    /// Keeps or, with `None`, deletes the value of this name.
    ///
    /// # Errors
    /// If the medium fails; then nothing has changed.
    fn set_note(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Self::Error>;
}

/// Storage that lives as long as the program.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    store: MemoryStore,
    notes: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

impl Store for MemoryStorage {
    type Error = Conflict;

    fn apply(&mut self, batch: &Batch) -> Result<(), Conflict> {
        self.store.apply(batch)
    }

    fn load(&self) -> Result<Stored, Conflict> {
        self.store.load()
    }
}

impl Storage for MemoryStorage {
    fn note(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Conflict> {
        Ok(self.notes.get(name).cloned())
    }

    fn set_note(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Conflict> {
        match value {
            Some(value) => self.notes.insert(name.to_owned(), Zeroizing::new(value.to_vec())),
            None => self.notes.remove(name),
        };
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl Storage for xmpp_e2e_sqlite::Account {
    fn note(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Self::Error> {
        Self::note(self, name)
    }

    fn set_note(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Self::Error> {
        Self::set_note(self, name, value)
    }
}
