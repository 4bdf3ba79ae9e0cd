//! Why the file was refused, or could not be read or written.

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY;

/// Why something failed. Whatever it was, nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The batch builds on another generation than the file holds: another engine has written.
    #[error("another engine has written to this account")]
    Conflict,
    /// The key is not that of the file, or the file is sealed and no key was given, or the file is not sealed.
    #[error("the key is not that of this file")]
    Key,
    /// A newer version of this crate made the file.
    #[error("the file is of a newer version")]
    Newer,
    /// It is a file of something else.
    #[error("not a file of this library")]
    Foreign,
    /// The account has been removed.
    #[error("the account has been removed")]
    Gone,
    /// What was read is not what was written: the medium is bad, or somebody has edited the file.
    #[error("the file is damaged")]
    Damaged,
    /// Another process held the file for too long.
    #[error("the file is busy")]
    Busy,
    /// The medium is full.
    #[error("the medium is full")]
    Full,
    /// The file cannot be written.
    #[error("the file is read-only")]
    ReadOnly,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    Randomness,
    /// Anything else of the medium.
    #[error("the medium failed")]
    Medium(#[source] Box<dyn core::error::Error + Send + Sync>),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
        match code {
            Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => Self::Busy,
            Some((ErrorCode::DiskFull, _)) => Self::Full,
            Some((ErrorCode::ReadOnly, _)) => Self::ReadOnly,
            Some((ErrorCode::NotADatabase, _)) => Self::Foreign,
            Some((ErrorCode::DatabaseCorrupt, _)) => Self::Damaged,
            Some((_, SQLITE_CONSTRAINT_FOREIGNKEY)) => Self::Gone,
            Some(_) | None => Self::Medium(Box::new(error)),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Medium(Box::new(error))
    }
}

impl From<rusqlite::types::FromSqlError> for Error {
    fn from(_: rusqlite::types::FromSqlError) -> Self {
        Self::Damaged
    }
}
