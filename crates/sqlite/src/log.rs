//! Logs: what a client appends, such as the history of a chat.

use rusqlite::{OptionalExtension, Transaction, params};
use zeroize::Zeroizing;

use crate::seal::{Kind, Place};
use crate::{Account, Error};

/// An entry of a log with its number.
pub type Entry = (i64, Zeroizing<Vec<u8>>);

/// Logs of entries, each under a name. Numbers grow over all logs of the file and are never used again.
impl Account {
    /// Appends an entry to a log. Gives its number.
    ///
    /// # Errors
    /// [`Error::Gone`], or what the medium says.
    pub fn append(&self, log: &str, entry: &[u8]) -> Result<i64, Error> {
        let log = self.log(log)?;
        self.file.write(|tx| self.insert(tx, &log, None, entry))
    }

    /// Appends an entry, unless one is there that was appended with the same `key` to this log: then `None`.
    ///
    /// With a key of the message, what is delivered twice is kept once. The key stays when the entry is replaced, and
    /// goes with it when it is removed.
    ///
    /// # Errors
    /// [`Error::Gone`], or what the medium says.
    pub fn append_once(&self, log: &str, key: &[u8], entry: &[u8]) -> Result<Option<i64>, Error> {
        let log = self.log(log)?;
        let once = self.once(&log, key)?;
        self.file.write(|tx| self.insert_once(tx, &log, &once, entry))
    }

    /// [`append_once`](Self::append_once) for many entries, each with its key, in one transaction. Gives how many were
    /// appended.
    ///
    /// # Errors
    /// [`Error::Gone`], or what the medium says; then none was.
    pub fn append_all_once(&self, log: &str, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<usize, Error> {
        let log = self.log(log)?;
        self.file.write(|tx| {
            let mut appended = 0;
            for (key, entry) in entries {
                let new = self.insert_once(tx, &log, &self.once(&log, key)?, entry)?;
                appended += usize::from(new.is_some());
            }
            Ok(appended)
        })
    }

    /// Whether the log has an entry that was appended with this key.
    ///
    /// # Errors
    /// What the medium says.
    pub fn has_entry(&self, log: &str, key: &[u8]) -> Result<bool, Error> {
        let log = self.log(log)?;
        let once = self.once(&log, key)?;
        self.file.read(|tx| self.is_known(tx, &log, &once))
    }

    /// At most `limit` entries of a log, in the order they were appended: the first, or the first after number
    /// `after`.
    ///
    /// # Errors
    /// [`Error::Damaged`], or what the medium says.
    pub fn entries(&self, log: &str, after: Option<i64>, limit: usize) -> Result<Vec<Entry>, Error> {
        let select =
            "SELECT id, value FROM entry WHERE account = ?1 AND log = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
        self.select(select, log, after.unwrap_or(i64::MIN), limit)
    }

    /// At most `limit` entries of a log, in the order they were appended: the last, or the last before number
    /// `before`.
    ///
    /// # Errors
    /// [`Error::Damaged`], or what the medium says.
    pub fn last_entries(&self, log: &str, before: Option<i64>, limit: usize) -> Result<Vec<Entry>, Error> {
        let select = "SELECT id, value FROM entry WHERE account = ?1 AND log = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";
        let mut entries = self.select(select, log, before.unwrap_or(i64::MAX), limit)?;
        entries.reverse();
        Ok(entries)
    }

    /// Replaces the entry of this number, for a correction or a mark. Says whether it was there.
    ///
    /// # Errors
    /// What the medium says.
    pub fn replace_entry(&self, id: i64, entry: &[u8]) -> Result<bool, Error> {
        self.file.write(|tx| {
            let find = "SELECT log FROM entry WHERE id = ?1 AND account = ?2";
            let log: Option<Vec<u8>> = tx.query_row(find, [id, self.id], |row| row.get(0)).optional()?;
            let Some(log) = log else { return Ok(false) };
            self.set(tx, &log, id, entry)?;
            Ok(true)
        })
    }

    /// Removes the entry of this number. Says whether it was there.
    ///
    /// # Errors
    /// What the medium says.
    pub fn remove_entry(&self, id: i64) -> Result<bool, Error> {
        let delete = "DELETE FROM entry WHERE id = ?1 AND account = ?2";
        self.file.write(|tx| Ok(tx.execute(delete, [id, self.id])? == 1))
    }

    /// Removes a log with all its entries. Gives their number.
    ///
    /// # Errors
    /// What the medium says.
    pub fn remove_log(&self, log: &str) -> Result<usize, Error> {
        let log = self.log(log)?;
        let delete = "DELETE FROM entry WHERE account = ?1 AND log = ?2";
        self.file.write(|tx| Ok(tx.execute(delete, params![self.id, log])?))
    }

    fn once(&self, log: &[u8], key: &[u8]) -> Result<Vec<u8>, Error> {
        self.file.form.lookup(Kind::Once, &self.lookup, &[log, key])
    }

    fn is_known(&self, tx: &Transaction<'_>, log: &[u8], once: &[u8]) -> Result<bool, Error> {
        let find = "SELECT 1 FROM entry WHERE account = ?1 AND log = ?2 AND once = ?3";
        let mut statement = tx.prepare_cached(find)?;
        Ok(statement.exists(params![self.id, log, once])?)
    }

    fn insert_once(
        &self,
        tx: &Transaction<'_>,
        log: &[u8],
        once: &[u8],
        entry: &[u8],
    ) -> Result<Option<i64>, Error> {
        if self.is_known(tx, log, once)? {
            return Ok(None);
        }
        self.insert(tx, log, Some(once), entry).map(Some)
    }

    fn log(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.file.form.lookup(Kind::Log, &self.lookup, &[name.as_bytes()])
    }

    fn insert(
        &self,
        tx: &Transaction<'_>,
        log: &[u8],
        once: Option<&[u8]>,
        entry: &[u8],
    ) -> Result<i64, Error> {
        let insert = "INSERT INTO entry (account, log, once, value) VALUES (?1, ?2, ?3, x'')";
        tx.prepare_cached(insert)?.execute(params![self.id, log, once])?;
        // Sealed with its number, so that entries cannot change places.
        let id = tx.last_insert_rowid();
        self.set(tx, log, id, entry)?;
        Ok(id)
    }

    fn set(&self, tx: &Transaction<'_>, log: &[u8], id: i64, entry: &[u8]) -> Result<(), Error> {
        let sealed = self.file.form.seal(self.entry_place(log, id), &[entry])?;
        tx.prepare_cached("UPDATE entry SET value = ?1 WHERE id = ?2")?.execute(params![*sealed, id])?;
        Ok(())
    }

    fn select(&self, select: &str, log: &str, from: i64, limit: usize) -> Result<Vec<Entry>, Error> {
        let log = self.log(log)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.file.read(|tx| {
            let mut statement = tx.prepare(select)?;
            let mut rows = statement.query(params![self.id, log, from, limit])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let id = row.get(0)?;
                entries
                    .push((id, self.file.form.open(self.entry_place(&log, id), row.get_ref(1)?.as_blob()?)?));
            }
            Ok(entries)
        })
    }

    fn entry_place<'a>(&'a self, log: &'a [u8], id: i64) -> Place<'a> {
        Place { id, ..self.place(Kind::Log, log) }
    }
}
