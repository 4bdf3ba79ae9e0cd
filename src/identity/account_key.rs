//! The key of an account: what people verify.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::{Misbehaviour, Reason};
use crate::identity::{Digest, PublicKey, check_signature, digest};
use crate::suite::{AlgorithmId, Suites};
use crate::wire::{self, Bytes};

/// The longest application name of a hardware-backed key.
const MAX_APPLICATION: usize = 255;

/// The public key of an account.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct AccountKey {
    key: PublicKey,
    /// The application a hardware-backed key is bound to; empty for all others.
    application: Bytes,
}

impl AccountKey {
    pub(crate) fn new(algorithm: AlgorithmId, key: &[u8], application: &[u8]) -> Self {
        Self { key: PublicKey::new(algorithm, key), application: application.to_vec().into() }
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn application(&self) -> &[u8] {
        self.application.as_ref()
    }

    /// What names this key everywhere. The encoding has one spelling, so this is over the bytes as
    /// received.
    pub(crate) fn digest(&self) -> Digest {
        digest(&wire::encode(self))
    }

    /// Refuses a bad key.
    pub(crate) fn check(&self, suites: &Suites) -> Result<(), Reason> {
        let bad = check_signature(suites, self.key.algorithm(), self.key.key.as_ref()).is_err();
        if bad || self.application().len() > MAX_APPLICATION {
            return Err(Misbehaviour::BadKey.into());
        }
        Ok(())
    }

    /// Verifies `signature` of `content` under `label`.
    pub(crate) fn verify(
        &self,
        suites: &Suites,
        label: &str,
        content: &[u8],
        signature: &[u8],
    ) -> Result<(), Reason> {
        self.key.verify(suites, label, &[content], signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_covers_every_field() {
        let keys = [
            AccountKey::new(AlgorithmId(1), &[1; 32], b""),
            AccountKey::new(AlgorithmId(2), &[1; 32], b""),
            AccountKey::new(AlgorithmId(1), &[2; 32], b""),
            AccountKey::new(AlgorithmId(1), &[1; 32], b"ssh:"),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(keys.iter().skip(index + 1).all(|other| other.digest() != key.digest()));
        }
    }

    #[test]
    fn small_order_and_long_names_are_refused() {
        let suites = Suites::default();
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(AccountKey::new(AlgorithmId(1), &identity, b"").check(&suites).is_err());
        assert!(AccountKey::new(AlgorithmId(9), &identity, b"").check(&suites).is_ok());
        assert!(AccountKey::new(AlgorithmId(9), &identity, &[b'a'; 256]).check(&suites).is_err());
    }
}
