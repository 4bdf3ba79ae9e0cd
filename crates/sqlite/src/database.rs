//! The accounts of a file.

use core::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use crate::file::File;
use crate::seal::{Kind, Place};
use crate::{Account, Error, Key};

/// An open file, with the accounts in it. A clone is the same file.
///
/// All accounts of one `Database` share one connection: while one writes, the others wait.
#[derive(Clone)]
pub struct Database(Arc<File>);

impl Database {
    /// Opens the file, or makes it, with everything in it to be read by whoever reads the file.
    ///
    /// # Errors
    /// [`Error::Key`] if the file is sealed, [`Error::Foreign`] or [`Error::Newer`] if it is not one of ours, or
    /// what the medium says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self(Arc::new(File::open(path.as_ref(), None)?)))
    }

    /// Opens the file, or makes it, sealed under the key.
    ///
    /// # Errors
    /// [`Error::Key`] if this is not the key of the file, or if the file is not sealed; else as
    /// [`open`](Self::open).
    pub fn open_sealed(path: impl AsRef<Path>, key: &Key) -> Result<Self, Error> {
        Ok(Self(Arc::new(File::open(path.as_ref(), Some(key))?)))
    }

    /// The account of this name, made if it is not there.
    ///
    /// Names are compared byte by byte. Use the bare JID as [`BareJid`](xmpp_e2e::BareJid) gives it.
    ///
    /// # Errors
    /// What the medium says.
    pub fn account(&self, name: &str) -> Result<Account, Error> {
        let lookup = self.lookup(name)?;
        let find = "SELECT id FROM account WHERE lookup = ?1";
        let known = self.0.read(|tx| Ok(tx.query_row(find, [&lookup], |row| row.get(0)).optional()?))?;
        let id = match known {
            Some(id) => id,
            None => self.0.write(|tx| {
                let sealed = self.0.form.seal(place(&lookup), &[name.as_bytes()])?;
                let insert = "INSERT INTO account (lookup, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
                tx.execute(insert, params![lookup, *sealed])?;
                // Another process may have been first.
                Ok(tx.query_row(find, [&lookup], |row| row.get(0))?)
            })?,
        };
        Ok(Account { file: Arc::clone(&self.0), id, lookup, name: name.to_owned() })
    }

    /// The names of the accounts, in the order of their bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`], or what the medium says.
    pub fn accounts(&self) -> Result<Vec<String>, Error> {
        self.0.read(|tx| {
            let mut statement = tx.prepare("SELECT lookup, name FROM account")?;
            let mut rows = statement.query([])?;
            let mut names = Vec::new();
            while let Some(row) = rows.next()? {
                let (lookup, name) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
                let name = self.0.form.open(place(lookup), name)?;
                names.push(String::from_utf8(name.to_vec()).map_err(|_| Error::Damaged)?);
            }
            names.sort_unstable();
            Ok(names)
        })
    }

    /// Removes an account with all it has. Says whether it was there.
    ///
    /// Whoever still holds an [`Account`] of it gets [`Error::Gone`], even if one of the same name is made again.
    ///
    /// # Errors
    /// What the medium says.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        let lookup = self.lookup(name)?;
        self.0.write(|tx| Ok(tx.execute("DELETE FROM account WHERE lookup = ?1", [lookup])? == 1))
    }

    fn lookup(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.0.form.lookup(Kind::Account, &[], &[name.as_bytes()])
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// Where the name of an account stands.
fn place(lookup: &[u8]) -> Place<'_> {
    Place { kind: Kind::Account, account: lookup, name: &[], id: 0 }
}
