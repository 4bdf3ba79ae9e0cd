//! The payload of a wrapped message: one ciphertext under a key that every recipient gets.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::session::codec::derive;
use crate::suite::kdf::SECRET_LEN;
use crate::suite::{Refused, Suite};

/// A payload and what opens it. ChaCha20-Poly1305 does not commit to its key, so a sender could
/// show two devices different texts with one ciphertext; the commitment, derived with the key and
/// bound by every entry, prevents it.
pub(crate) struct Wrap {
    pub(crate) key: Secret,
    pub(crate) commitment: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Wrap {
    /// Encrypts `content` under a new key.
    pub(crate) fn seal(suite: &Suite, content: &[u8], rng: &mut dyn CryptoRng) -> Result<Self, Refused> {
        let key = Secret::random(SECRET_LEN, rng);
        let mut payload = Vec::with_capacity(content.len() + suite.aead.tag_len());
        payload.extend_from_slice(content);
        let (aead_key, nonce) = aead_key(suite, &key)?;
        suite.aead.seal(aead_key.expose(), nonce.expose(), &[], &mut payload)?;
        Ok(Self { commitment: commitment(suite, &key)?.expose().to_vec(), key, payload })
    }
}

/// Decrypts a payload with the key that an entry gave, if that is the key committed to.
pub(crate) fn open(
    suite: &Suite,
    key: &Secret,
    committed: &[u8],
    payload: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    if !commitment(suite, key)?.same(&Secret::from(committed)) {
        return Err(Refused);
    }
    let mut content = Zeroizing::new(payload.to_vec());
    let (aead_key, nonce) = aead_key(suite, key)?;
    suite.aead.open(aead_key.expose(), nonce.expose(), &[], &mut content)?;
    Ok(content)
}

fn commitment(suite: &Suite, key: &Secret) -> Result<Secret, Refused> {
    derive(suite, key, "payload commitment", &[], super::envelope::COMMITMENT_LEN)
}

fn aead_key(suite: &Suite, key: &Secret) -> Result<(Secret, Secret), Refused> {
    let len = |len| u16::try_from(len).map_err(|_| Refused);
    let aead_key = derive(suite, key, "payload key", &[], len(suite.aead.key_len())?)?;
    let nonce = derive(suite, key, "payload nonce", &[], len(suite.aead.nonce_len())?)?;
    Ok((aead_key, nonce))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID_MISUSE_RESISTANT};
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    #[test]
    fn opens_with_its_key_and_no_other() {
        for suite in [&SUITE_CLASSICAL, &SUITE_HYBRID_MISUSE_RESISTANT] {
            let mut rng = ChaCha20Rng::seed_from_u64(1);
            let wrap = Wrap::seal(suite, b"content", &mut rng).unwrap();
            let opened = open(suite, &wrap.key, &wrap.commitment, &wrap.payload).unwrap();
            assert_eq!(*opened, b"content");
            let other = Secret::random(32, &mut rng);
            assert!(open(suite, &other, &wrap.commitment, &wrap.payload).is_err());
            for place in 0..wrap.payload.len() {
                let mut payload = wrap.payload.clone();
                payload[place] ^= 1;
                assert!(open(suite, &wrap.key, &wrap.commitment, &payload).is_err());
            }
            for place in 0..wrap.commitment.len() {
                let mut commitment = wrap.commitment.clone();
                commitment[place] ^= 1;
                assert!(open(suite, &wrap.key, &commitment, &wrap.payload).is_err());
            }
        }
    }
}
