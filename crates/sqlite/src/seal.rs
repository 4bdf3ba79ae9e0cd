//! How names and values stand in the file: as they are, or sealed.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use xmpp_e2e::Secret;
use zeroize::Zeroizing;

use crate::Error;
use crate::key::{Key, fill};

/// What every label begins with: this format and its version.
const LABEL: &str = "xmpp-e2e-sqlite 1 ";

pub(crate) const SALT_LEN: usize = 32;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// What a name or a value is of. The numbers are part of the format.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Account = 1,
    Record = 2,
    Note = 3,
    Log = 4,
    Once = 5,
}

/// Where a value stands. None of it can be changed without the value's being refused.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) kind: Kind,
    /// The look-up name of the account.
    pub(crate) account: &'a [u8],
    /// The look-up name of the value.
    pub(crate) name: &'a [u8],
    /// The number of an entry of a log, zero for what has a name of its own.
    pub(crate) id: i64,
}

/// The form of a file.
pub(crate) enum Form {
    Clear,
    Sealed { names: Secret, values: Secret },
}

impl Form {
    /// The sealed form under `key`, and the proof that a file holds of it.
    ///
    /// The salt is the file's: one key may open two files, and neither says anything about the other.
    pub(crate) fn sealed(key: &Key, salt: &[u8]) -> Result<(Self, Proof), Error> {
        let root = Hkdf::<Sha256>::new(Some(salt), key.expose());
        let expand = |label: &str| {
            let mut result = Ok(());
            let info = [LABEL.as_bytes(), label.as_bytes()];
            let secret = Secret::with(32, |bytes| result = root.expand_multi_info(&info, bytes));
            // 32 bytes are never too many.
            result.map(|()| secret).map_err(|_| Error::Key)
        };
        let form = Self::Sealed { names: expand("names")?, values: expand("values")? };
        Ok((form, Proof(expand("proof")?)))
    }

    /// The name to look something up by: itself, or its keyed hash.
    ///
    /// The hash is of the account too, so that equal names of two accounts do not show as equal.
    pub(crate) fn lookup(&self, kind: Kind, account: &[u8], name: &[&[u8]]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Clear => Ok(name.concat()),
            Self::Sealed { names, .. } => {
                let mut mac =
                    <Hmac<Sha256> as KeyInit>::new_from_slice(names.expose()).map_err(|_| Error::Key)?;
                // The kind fixes whether the account's hash stands here: it has one length.
                mac.update(&[kind as u8]);
                mac.update(account);
                for part in name {
                    mac.update(part);
                }
                Ok(mac.finalize().into_bytes().to_vec())
            }
        }
    }

    /// The bytes to be stored for `value`: itself, or a nonce and the sealed value.
    pub(crate) fn seal(&self, place: Place<'_>, value: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let len = value.iter().map(|part| part.len()).sum::<usize>();
        // All in one piece from the start: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(len + TAG_LEN));
        for part in value {
            bytes.extend_from_slice(part);
        }
        match self {
            Self::Clear => Ok(bytes),
            Self::Sealed { values, .. } => {
                let mut nonce = [0; NONCE_LEN];
                fill(&mut nonce)?;
                cipher(values)?
                    .encrypt_in_place(&XNonce::from(nonce), &place.bytes(), &mut *bytes)
                    .map_err(|_| Error::Damaged)?;
                Ok(Zeroizing::new([nonce.as_slice(), bytes.as_slice()].concat()))
            }
        }
    }

    /// The value of which `stored` is the form.
    pub(crate) fn open(&self, place: Place<'_>, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::Clear => Ok(Zeroizing::new(stored.to_vec())),
            Self::Sealed { values, .. } => {
                let (nonce, sealed) = stored.split_first_chunk::<NONCE_LEN>().ok_or(Error::Damaged)?;
                let mut bytes = Zeroizing::new(sealed.to_vec());
                cipher(values)?
                    .decrypt_in_place(&XNonce::from(*nonce), &place.bytes(), &mut *bytes)
                    .map_err(|_| Error::Damaged)?;
                Ok(bytes)
            }
        }
    }
}

impl Place<'_> {
    /// The associated data. Look-up names of sealed files have one length, so that this has one reading.
    fn bytes(self) -> Vec<u8> {
        let Self { kind, account, name, id } = self;
        [LABEL.as_bytes(), &[kind as u8], account, name, &id.to_be_bytes()].concat()
    }
}

/// What a sealed file holds to tell its key from others.
pub(crate) struct Proof(Secret);

impl Proof {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    pub(crate) fn is(&self, stored: &[u8]) -> bool {
        self.0.expose().ct_eq(stored).into()
    }
}

fn cipher(key: &Secret) -> Result<XChaCha20Poly1305, Error> {
    XChaCha20Poly1305::new_from_slice(key.expose()).map_err(|_| Error::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        Form::sealed(&Key::new(&[1; 32]), &[2; SALT_LEN]).unwrap().0
    }

    #[test]
    fn opens_only_where_it_was_sealed() {
        let place = Place { kind: Kind::Record, account: &[1; 32], name: &[2; 32], id: 3 };
        let sealed = form().seal(place, &[b"a", b"b"]).unwrap();
        assert_eq!(*form().open(place, &sealed).unwrap(), b"ab");
        let others = [
            Place { kind: Kind::Note, ..place },
            Place { account: &[9; 32], ..place },
            Place { name: &[9; 32], ..place },
            Place { id: 4, ..place },
        ];
        for other in others {
            assert!(matches!(form().open(other, &sealed), Err(Error::Damaged)));
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(matches!(form().open(place, &damaged), Err(Error::Damaged)));
            assert!(matches!(form().open(place, &sealed[..at]), Err(Error::Damaged)));
        }
        assert_ne!(*form().seal(place, &[b"ab"]).unwrap(), *sealed, "the nonce is random");
    }

    #[test]
    fn names_of_kinds_and_accounts_differ() {
        let form = form();
        let a = form.lookup(Kind::Record, &[1; 32], &[b"name"]).unwrap();
        assert_eq!(a, form.lookup(Kind::Record, &[1; 32], &[b"na", b"me"]).unwrap());
        assert_ne!(a, form.lookup(Kind::Note, &[1; 32], &[b"name"]).unwrap());
        assert_ne!(a, form.lookup(Kind::Record, &[2; 32], &[b"name"]).unwrap());
        let (other, proof) = Form::sealed(&Key::new(&[1; 32]), &[3; SALT_LEN]).unwrap();
        assert_ne!(a, other.lookup(Kind::Record, &[1; 32], &[b"name"]).unwrap(), "the salt counts");
        assert!(proof.is(proof.bytes()) && !proof.is(&proof.bytes()[1..]) && !proof.is(&[0; 32]));
    }
}
