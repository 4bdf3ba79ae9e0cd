//! An account: the records of its engine, and notes.

use core::fmt;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};
use xmpp_e2e::store::{Batch, RecordKey, Store, Stored};
use zeroize::Zeroizing;

use crate::Error;
use crate::file::File;
use crate::seal::{Kind, Place};

/// One account of a file: the [`Store`] of its engine, notes, and logs.
///
/// Several may be open of one account, in one process or in several. Then at most one engine writes: the others
/// get [`Error::Conflict`].
pub struct Account {
    pub(crate) file: Arc<File>,
    pub(crate) id: i64,
    pub(crate) lookup: Vec<u8>,
    pub(crate) name: String,
}

impl Account {
    /// Its name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of one record of the engine, for those it has [dropped](xmpp_e2e::Engine::evict_idle) from memory.
    ///
    /// # Errors
    /// [`Error::Damaged`], or what the medium says.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let lookup = self.file.form.lookup(Kind::Record, &self.lookup, &[key.as_bytes()])?;
        self.file.read(|tx| {
            let mut statement = tx.prepare("SELECT value FROM record WHERE account = ?1 AND lookup = ?2")?;
            let mut rows = statement.query(params![self.id, lookup])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let (found, value) = self.open_record(&lookup, row.get_ref(0)?.as_blob()?)?;
            if found == *key { Ok(Some(value)) } else { Err(Error::Damaged) }
        })
    }

    /// The note of this name.
    ///
    /// # Errors
    /// [`Error::Damaged`], or what the medium says.
    pub fn note(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let lookup = self.file.form.lookup(Kind::Note, &self.lookup, &[name.as_bytes()])?;
        self.file.read(|tx| {
            let mut statement = tx.prepare("SELECT value FROM note WHERE account = ?1 AND lookup = ?2")?;
            let mut rows = statement.query(params![self.id, lookup])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            self.file.form.open(self.place(Kind::Note, &lookup), row.get_ref(0)?.as_blob()?).map(Some)
        })
    }

    /// Sets the note of this name, or deletes it.
    ///
    /// # Errors
    /// [`Error::Gone`], or what the medium says.
    pub fn set_note(&self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let lookup = self.file.form.lookup(Kind::Note, &self.lookup, &[name.as_bytes()])?;
        let sealed = value.map(|value| self.file.form.seal(self.place(Kind::Note, &lookup), &[value]));
        let sealed = sealed.transpose()?;
        self.file.write(|tx| {
            match &sealed {
                Some(value) => tx.execute(
                    "INSERT INTO note (account, lookup, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (account, lookup) DO UPDATE SET value = excluded.value",
                    params![self.id, lookup, **value],
                )?,
                None => tx.execute(
                    "DELETE FROM note WHERE account = ?1 AND lookup = ?2",
                    params![self.id, lookup],
                )?,
            };
            Ok(())
        })
    }

    /// Where something with this look-up name stands.
    pub(crate) fn place<'a>(&'a self, kind: Kind, name: &'a [u8]) -> Place<'a> {
        Place { kind, account: &self.lookup, name, id: 0 }
    }

    fn change(&self, tx: &Transaction<'_>, key: &RecordKey, value: Option<&[u8]>) -> Result<(), Error> {
        let key = key.as_bytes();
        let lookup = self.file.form.lookup(Kind::Record, &self.lookup, &[key])?;
        let Some(value) = value else {
            let delete = "DELETE FROM record WHERE account = ?1 AND lookup = ?2";
            tx.prepare_cached(delete)?.execute(params![self.id, lookup])?;
            return Ok(());
        };
        // A hash has no way back, so that the key stands beside the value.
        let len = u16::try_from(key.len()).map_err(|_| Error::Damaged)?.to_be_bytes();
        let sealed = self.file.form.seal(self.place(Kind::Record, &lookup), &[&len, key, value])?;
        let insert = "INSERT INTO record (account, lookup, value) VALUES (?1, ?2, ?3)
                      ON CONFLICT (account, lookup) DO UPDATE SET value = excluded.value";
        tx.prepare_cached(insert)?.execute(params![self.id, lookup, *sealed])?;
        Ok(())
    }

    /// The key and the value of a record.
    fn open_record(&self, lookup: &[u8], stored: &[u8]) -> Result<(RecordKey, Zeroizing<Vec<u8>>), Error> {
        let bytes = self.file.form.open(self.place(Kind::Record, lookup), stored)?;
        let (len, rest) = bytes.split_first_chunk().ok_or(Error::Damaged)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (key, value) = rest.split_at_checked(len).ok_or(Error::Damaged)?;
        Ok((RecordKey::from_bytes(key), Zeroizing::new(value.to_vec())))
    }
}

impl Store for Account {
    type Error = Error;

    fn apply(&mut self, batch: &Batch) -> Result<(), Error> {
        // SQLite counts to 2^63. No engine gets there; what claims to is none of this account.
        let number = |generation| i64::try_from(generation).map_err(|_| Error::Conflict);
        let (expected, new) = (number(batch.expected_generation())?, number(batch.generation())?);
        self.file.write(|tx| {
            let update = "UPDATE account SET generation = ?1 WHERE id = ?2 AND generation = ?3";
            if tx.prepare_cached(update)?.execute(params![new, self.id, expected])? != 1 {
                generation(tx, self.id)?;
                return Err(Error::Conflict);
            }
            batch.changes().try_for_each(|(key, value)| self.change(tx, key, value))
        })
    }

    fn load(&self) -> Result<Stored, Error> {
        self.file.read(|tx| {
            let generation = generation(tx, self.id)?;
            let mut statement = tx.prepare("SELECT lookup, value FROM record WHERE account = ?1")?;
            let mut rows = statement.query([self.id])?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                records.push(self.open_record(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?)?);
            }
            Ok(Stored { generation, records })
        })
    }
}

fn generation(tx: &Transaction<'_>, id: i64) -> Result<u64, Error> {
    let found =
        tx.query_row("SELECT generation FROM account WHERE id = ?1", [id], |row| row.get::<_, i64>(0));
    u64::try_from(found.optional()?.ok_or(Error::Gone)?).map_err(|_| Error::Damaged)
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name is a JID.
        let Self { file: _, id, lookup: _, name: _ } = self;
        f.debug_struct("Account").field("id", id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;

    /// What no test from outside can do: the limits are those of the connection.
    #[test]
    fn a_full_or_read_only_medium_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let account = Database::open(folder.path().join("db")).unwrap().account("romeo@example.net").unwrap();
        account.set_note("a", Some(b"1")).unwrap();
        let set = |pragma: &str| account.file.lock().execute_batch(pragma).unwrap();

        set("PRAGMA max_page_count = 1");
        let large = vec![7; 1_000_000];
        assert!(matches!(account.set_note("a", Some(&large)), Err(Error::Full)));
        assert!(matches!(account.append("log", &large), Err(Error::Full)));
        set("PRAGMA max_page_count = 1000000; PRAGMA query_only = ON");
        assert!(matches!(account.set_note("a", Some(b"2")), Err(Error::ReadOnly)));
        set("PRAGMA query_only = OFF");

        assert_eq!(account.note("a").unwrap().unwrap().as_slice(), b"1");
        assert!(account.entries("log", None, 1).unwrap().is_empty());
        account.set_note("a", Some(b"3")).unwrap();
        assert_eq!(account.note("a").unwrap().unwrap().as_slice(), b"3");
    }
}
