//! A suite that costs next to nothing, and that tells a forged byte from a genuine one.

use xmpp_e2e::rand_core::CryptoRng;
use xmpp_e2e::suite::{Aead, AlgorithmId, KeyPair, Refused, Secret, Signature, Suite, SuiteId};

use crate::fake::{FAKE_SUITE, mask, mix, pair};

/// **No security**: whoever looks can compute every key. But tags and signatures are checked and nothing is in clear, as
/// far as servers that do not look can see. Private number `0xF0F2`.
pub static SIMULATED_SUITE: Suite = Suite {
    id: SuiteId(0xF0F2),
    name: "SIMULATED, NO SECURITY, FOR SIMULATIONS ONLY",
    aead: &Simulated,
    signature: &Simulated,
    ..FAKE_SUITE
};

/// The length of a tag.
const TAG: usize = 16;

struct Simulated;

/// Combines the text with a stream that depends on key and nonce.
fn scramble(key: &[u8], nonce: &[u8], text: &mut [u8]) {
    let start = mix(&[b"stream", key, nonce]);
    let mut state = u64::from_le_bytes(start.first_chunk::<8>().copied().unwrap_or_default());
    for chunk in text.chunks_mut(8) {
        // `SplitMix64`.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let word = (word ^ word >> 31).to_le_bytes();
        chunk.iter_mut().zip(word).for_each(|(byte, key)| *byte ^= key);
    }
}

fn tag(key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> [u8; 32] {
    let length = u64::try_from(aad.len()).unwrap_or_default().to_be_bytes();
    mix(&[b"tag", key, nonce, &length, aad, ciphertext])
}

impl Aead for Simulated {
    fn key_len(&self) -> usize {
        32
    }

    fn nonce_len(&self) -> usize {
        12
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        scramble(key, nonce, buffer);
        let tag = tag(key, nonce, aad, buffer);
        buffer.extend(tag.iter().take(TAG));
        Ok(())
    }

    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        let len = buffer.len().checked_sub(TAG).ok_or(Refused)?;
        let (ciphertext, given) = buffer.split_at(len);
        if !tag(key, nonce, aad, ciphertext).starts_with(given) {
            return Err(Refused);
        }
        buffer.truncate(len);
        scramble(key, nonce, buffer);
        Ok(())
    }
}

impl Signature for Simulated {
    fn id(&self) -> AlgorithmId {
        AlgorithmId(0xF0F2)
    }

    fn public_len(&self) -> usize {
        32
    }

    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
        pair(32, rng)
    }

    fn check(&self, public: &[u8]) -> Result<(), Refused> {
        FAKE_SUITE.signature.check(public)
    }

    fn sign(&self, secret: &Secret, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let half = mix(&[b"sign", &mask(secret), message]);
        Ok([half, half].concat())
    }

    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Refused> {
        let half = mix(&[b"sign", public, message]);
        if signature == [half, half].concat() { Ok(()) } else { Err(Refused) }
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn keeps_the_contract_of_a_suite_where_it_can() {
        let aead = SIMULATED_SUITE.aead;
        let mut sealed = b"any text".to_vec();
        aead.seal(&[1; 32], &[2; 12], b"aad", &mut sealed).unwrap();
        assert!(!sealed.starts_with(b"any"));
        for at in 0..sealed.len() {
            let mut edited = sealed.clone();
            edited[at] ^= 1;
            assert!(aead.open(&[1; 32], &[2; 12], b"aad", &mut edited).is_err(), "{at}");
        }
        assert!(aead.open(&[1; 32], &[2; 12], b"bad", &mut sealed.clone()).is_err());
        aead.open(&[1; 32], &[2; 12], b"aad", &mut sealed).unwrap();
        assert_eq!(sealed, b"any text");
    }

    #[test]
    fn signatures_are_checked() {
        let signature = SIMULATED_SUITE.signature;
        let key = signature.generate(&mut ChaCha20Rng::from_seed([1; 32]));
        let signed = signature.sign(&key.secret, b"text").unwrap();
        assert!(signature.verify(&key.public, b"text", &signed).is_ok());
        assert!(signature.verify(&key.public, b"test", &signed).is_err());
        assert!(signature.verify(&[7; 32], b"text", &signed).is_err());
    }
}
