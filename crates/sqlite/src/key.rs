//! The key of a sealed file.

use core::fmt;

use xmpp_e2e::Secret;

use crate::Error;

/// The key of a sealed file: 32 bytes that nobody can guess, boxed, and wiped when dropped.
///
/// A password is no key. Put it through a slow function (Argon2id) first, or better keep a random key in what the
/// platform has for that: Keystore, Keychain, Secret Service.
#[derive(Clone)]
pub struct Key(Secret);

impl Key {
    /// The length of a key in bytes.
    pub const LEN: usize = 32;

    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; Self::LEN]) -> Self {
        Self(Secret::from(bytes.as_slice()))
    }

    /// The key with the bytes of this secret.
    ///
    /// # Errors
    /// [`Error::Key`] if there are not 32 of them.
    pub fn from_secret(secret: Secret) -> Result<Self, Error> {
        if secret.expose().len() == Self::LEN { Ok(Self(secret)) } else { Err(Error::Key) }
    }

    /// A new key.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the operating system has none.
    pub fn random() -> Result<Self, Error> {
        let mut result = Ok(());
        let secret = Secret::with(Self::LEN, |bytes| result = fill(bytes));
        result.map(|()| Self(secret))
    }

    /// The bytes themselves, for whatever keeps the key.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// Fills with randomness of the operating system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|_| Error::Randomness)
}
