//! The file: how it is opened, laid out, read and written.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::Error;
use crate::key::{Key, fill};
use crate::seal::{Form, Proof, SALT_LEN};

/// `application_id` of the file: "xe2e".
const APPLICATION: i32 = 0x7865_3265;

/// `user_version` of the file.
const VERSION: i32 = 1;

/// How long to wait for another process: longer than any transaction takes, even on a slow card.
const PATIENCE: Duration = Duration::from_secs(10);

/// What each connection is set to; `crate` says why.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = EXTRA;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA journal_size_limit = 0;
    PRAGMA secure_delete = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
";

/// The numbers of accounts and entries are never used again: what is held of a removed one finds nothing.
const SCHEMA: &str = "
    CREATE TABLE form (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        salt BLOB,
        proof BLOB
    ) STRICT;
    CREATE TABLE account (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lookup BLOB NOT NULL UNIQUE,
        name BLOB NOT NULL,
        generation INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE record (
        account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
        lookup BLOB NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (account, lookup)
    ) STRICT;
    CREATE TABLE note (
        account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
        lookup BLOB NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (account, lookup)
    ) STRICT;
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
        log BLOB NOT NULL,
        once BLOB,
        value BLOB NOT NULL
    ) STRICT;
    CREATE INDEX entry_log ON entry (account, log, id);
    CREATE UNIQUE INDEX entry_once ON entry (account, log, once) WHERE once IS NOT NULL;
";

/// Applies the settings. Another process that has just made the file may hold it: `SQLite` does not wait then, for the
/// change of the journal.
fn set_up(connection: &Connection) -> Result<(), Error> {
    let pause = Duration::from_millis(20);
    let mut left = PATIENCE;
    loop {
        match connection.execute_batch(SETTINGS).map_err(Error::from) {
            Err(Error::Busy) if !left.is_zero() => {
                std::thread::sleep(pause);
                left = left.saturating_sub(pause);
            }
            result => return result,
        }
    }
}

/// An open file, shared by the accounts in it.
pub(crate) struct File {
    connection: Mutex<Connection>,
    pub(crate) form: Form,
}

impl File {
    pub(crate) fn open(path: &Path, key: Option<&Key>) -> Result<Self, Error> {
        // An absolute path is never one of the names that SQLite takes for something else than a file.
        let path = std::path::absolute(path)?;
        create(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        // Nothing is written to a file before it is known whose it is.
        let known = identify(&connection.transaction()?)?;
        set_up(&connection)?;
        if !known {
            lay_out(&mut connection, key)?;
        }
        let form = form(&connection, key)?;
        Ok(Self { connection: Mutex::new(connection), form })
    }

    /// Reads in one transaction.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = self.lock();
        work(&connection.transaction()?)
    }

    /// Writes in one transaction: all that `work` does, or nothing.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // A transaction that is dropped is rolled back.
        let result = work(&transaction)?;
        transaction.commit()?;
        sweep(&connection);
        Ok(result)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic has dropped its transaction, which rolled it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves what was committed from the log into the file and empties the log, for it holds keys that the file has no
/// more.
///
/// The commit stands whether this succeeds or not. If another process is reading, the next one will do it.
fn sweep(connection: &Connection) {
    let _ = connection.busy_timeout(Duration::ZERO);
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let _ = connection.busy_timeout(PATIENCE);
}

/// Makes the file if there is none, readable by its owner only. `SQLite` gives its other files the same rights.
fn create(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether the file is one of ours; `false` if it is empty.
fn identify(tx: &Transaction<'_>) -> Result<bool, Error> {
    let number = |sql| tx.query_row(sql, [], |row| row.get::<_, i32>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application == APPLICATION {
        return if version > VERSION { Err(Error::Newer) } else { Ok(true) };
    }
    let empty = application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0;
    if empty { Ok(false) } else { Err(Error::Foreign) }
}

/// Makes the tables, unless another process just did.
fn lay_out(connection: &mut Connection, key: Option<&Key>) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if identify(&transaction)? {
        return Ok(());
    }
    transaction.execute_batch(SCHEMA)?;
    let (salt, proof) = match key {
        None => (None, None),
        Some(key) => {
            let mut salt = [0; SALT_LEN];
            fill(&mut salt)?;
            let (_, proof) = Form::sealed(key, &salt)?;
            (Some(salt), Some(proof))
        }
    };
    let proof = proof.as_ref().map(Proof::bytes);
    transaction.execute("INSERT INTO form (id, salt, proof) VALUES (1, ?1, ?2)", params![salt, proof])?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    sweep(connection);
    Ok(())
}

/// The form of the file, if `key` is its key.
fn form(connection: &Connection, key: Option<&Key>) -> Result<Form, Error> {
    let select = "SELECT salt, proof FROM form";
    let stored = connection
        .query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(Error::Damaged)?;
    let (salt, proof): (Option<Vec<u8>>, Option<Vec<u8>>) = stored;
    match ((salt, proof), key) {
        ((None, None), None) => Ok(Form::Clear),
        ((Some(salt), Some(proof)), Some(key)) => {
            let (form, ours) = Form::sealed(key, &salt)?;
            if ours.is(&proof) { Ok(form) } else { Err(Error::Key) }
        }
        ((None, None), Some(_)) | ((Some(_), Some(_)), None) => Err(Error::Key),
        ((None, Some(_)) | (Some(_), None), _) => Err(Error::Damaged),
    }
}
