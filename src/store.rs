//! What an engine asks of storage: to apply one [`Batch`] at a time, wholly or not at all, and
//! only upon the generation it builds on.

pub mod contract;
mod memory;
pub(crate) mod table;

use core::fmt;

use zeroize::Zeroizing;

pub use memory::{Conflict, MemoryStore};

/// The name of a stored record: opaque bytes, at most [`RecordKey::MAX_LEN`] of them.
///
/// A store that serves several accounts puts its own prefix in front.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordKey(Box<[u8]>);

impl RecordKey {
    /// The longest key: a kind, a JID and a few numbers. It fits what databases can index.
    pub const MAX_LEN: usize = crate::jid::MAX_JID + 32;

    /// The key with these bytes, as read back from a store.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes to store it under.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys hold JIDs; the first byte is the kind.
        f.debug_tuple("RecordKey").field(&self.0.first()).finish_non_exhaustive()
    }
}

/// The changes of one step, to be applied as one transaction: all of them, or none.
///
/// ```text
/// begin;
/// update engine set generation = :generation where generation = :expected;   -- exactly one row, else roll back
/// insert or replace / delete for each change;
/// commit;
/// ```
pub struct Batch {
    pub(crate) expected: u64,
    pub(crate) changes: Vec<(RecordKey, Option<Zeroizing<Vec<u8>>>)>,
}

impl Batch {
    /// The generation that the store must hold, else it must refuse: another engine has written.
    #[must_use]
    pub fn expected_generation(&self) -> u64 {
        self.expected
    }

    /// The generation that the store holds once the batch is applied.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.expected.saturating_add(1)
    }

    /// Each record that changes, once: its new value, or `None` if it is deleted. The values are
    /// secrets.
    pub fn changes(&self) -> impl Iterator<Item = (&RecordKey, Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (key, value.as_ref().map(|value| value.as_slice())))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, changes } = self;
        f.debug_struct("Batch").field("expected", expected).field("changes", &changes.len()).finish()
    }
}

/// All that a store holds of one engine.
#[derive(Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Stored {
    /// The generation of the last batch applied, zero before the first.
    pub generation: u64,
    /// The records, in any order.
    pub records: Vec<(RecordKey, Zeroizing<Vec<u8>>)>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, records } = self;
        f.debug_struct("Stored").field("generation", generation).field("records", &records.len()).finish()
    }
}

/// A store as [`contract::check`] tests it. The engine itself needs none of it, only a closure for
/// [`Step::persist`](crate::Step::persist).
pub trait Store {
    /// Why the store refused or failed.
    type Error: core::error::Error;

    /// Applies the batch as one transaction.
    ///
    /// # Errors
    /// If the generation is not the expected one, or the medium fails. Then nothing has changed.
    fn apply(&mut self, batch: &Batch) -> Result<(), Self::Error>;

    /// Reads everything back.
    ///
    /// # Errors
    /// If the medium fails.
    fn load(&self) -> Result<Stored, Self::Error>;
}
