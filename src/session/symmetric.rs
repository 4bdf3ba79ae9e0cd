//! The symmetric state of the handshake: transcript hash `h` and chaining key `ck` (section 6; the
//! idea is Noise's).

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::suite::kdf::{PREFIX, expand_with_label};
use crate::suite::{Refused, Suite};
use crate::wire::Bytes;

/// `h` and `ck`, both as long as the suite's hash.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct SymmetricState {
    h: Bytes,
    #[tls_codec(with = "crate::wire::secret")]
    ck: Secret,
}

impl SymmetricState {
    /// `h = ck = Hash(protocol name)`: `xmpp-e2e 0 handshake` and the suite's number, four
    /// hexadecimal digits.
    pub(crate) fn new(suite: &Suite) -> Self {
        let name = format!("{PREFIX}handshake {:04x}", suite.id.0);
        let h = suite.hash.hash(&[name.as_bytes()]);
        Self { ck: Secret::from(h.as_slice()), h: h.into() }
    }

    /// The transcript hash.
    pub(crate) fn h(&self) -> &[u8] {
        self.h.as_slice()
    }

    /// `MixHash`: `h = Hash(h ‖ len32(x) ‖ x)`.
    pub(crate) fn mix_hash(&mut self, suite: &Suite, x: &[u8]) -> Result<(), Refused> {
        let len = u32::try_from(x.len()).map_err(|_| Refused)?.to_be_bytes();
        self.h = suite.hash.hash(&[self.h(), &len, x]).into();
        Ok(())
    }

    /// `MixKey`: `ck = ExpandWithLabel(HKDF-Extract(ck, v), label, h, Nh)`.
    pub(crate) fn mix_key(&mut self, suite: &Suite, label: &str, v: &Secret) -> Result<(), Refused> {
        let extracted = suite.hash.hmac(self.ck.expose(), &[v.expose()]);
        let len = len16(suite.hash.output_len())?;
        self.ck = expand_with_label(suite.hash, extracted.expose(), label, &[self.h()], len)?;
        Ok(())
    }

    /// `Seal`: encrypts under `ck` with `h` as associated data, and mixes the ciphertext into `h`.
    pub(crate) fn seal(&mut self, suite: &Suite, plaintext: &[u8]) -> Result<Vec<u8>, Refused> {
        let (key, nonce) = self.seal_key(suite)?;
        let mut buffer = Vec::with_capacity(plaintext.len() + suite.aead.tag_len());
        buffer.extend_from_slice(plaintext);
        suite.aead.seal(key.expose(), nonce.expose(), self.h(), &mut buffer)?;
        self.mix_hash(suite, &buffer)?;
        Ok(buffer)
    }

    /// The inverse of [`seal`](Self::seal). After an error the state is not to be used.
    pub(crate) fn open(&mut self, suite: &Suite, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let (key, nonce) = self.seal_key(suite)?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        suite.aead.open(key.expose(), nonce.expose(), self.h(), &mut buffer)?;
        self.mix_hash(suite, sealed)?;
        Ok(buffer)
    }

    /// `ExpandWithLabel(ck, label, h, len)`.
    pub(crate) fn derive(&self, suite: &Suite, label: &str, len: u16) -> Result<Secret, Refused> {
        expand_with_label(suite.hash, self.ck.expose(), label, &[self.h()], len)
    }

    fn seal_key(&self, suite: &Suite) -> Result<(Secret, Secret), Refused> {
        let key = self.derive(suite, "seal key", len16(suite.aead.key_len())?)?;
        let nonce = self.derive(suite, "seal nonce", len16(suite.aead.nonce_len())?)?;
        Ok((key, nonce))
    }
}

/// A length as the key schedule takes it.
pub(crate) fn len16(len: usize) -> Result<u16, Refused> {
    u16::try_from(len).map_err(|_| Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID, SUITE_HYBRID_MISUSE_RESISTANT};

    #[test]
    fn both_sides_agree_and_any_difference_shows() {
        for suite in [&SUITE_CLASSICAL, &SUITE_HYBRID, &SUITE_HYBRID_MISUSE_RESISTANT] {
            let mut a = SymmetricState::new(suite);
            a.mix_hash(suite, b"prologue").unwrap();
            let mut other = a.clone();
            a.mix_key(suite, "mix es", &Secret::from(&b"v"[..])).unwrap();
            other.mix_key(suite, "mix ea", &Secret::from(&b"v"[..])).unwrap();
            let mut b = a.clone();
            let sealed = a.seal(suite, b"content").unwrap();
            assert!(other.open(suite, &sealed).is_err());
            let mut bound = b.clone();
            bound.mix_hash(suite, b"").unwrap();
            assert!(bound.open(suite, &sealed).is_err());
            assert_eq!(b.open(suite, &sealed).unwrap().as_slice(), b"content");
            assert_eq!(a.h(), b.h());
            assert!(a.derive(suite, "root", 32).unwrap().same(&b.derive(suite, "root", 32).unwrap()));
        }
    }

    #[test]
    fn suites_begin_apart() {
        assert_ne!(SymmetricState::new(&SUITE_CLASSICAL).h(), SymmetricState::new(&SUITE_HYBRID).h());
    }
}
