//! A suite **without any security**, for fuzzing and nothing else.
//!
//! Anyone can read, forge and decrypt everything under it: the ciphertext is the plaintext, every
//! tag and every signature is accepted, private keys follow from public ones. That is its purpose:
//! bytes a fuzzer made up pass authentication and reach the code behind it, and its parts cost
//! next to nothing. Never list it in a program that talks to anyone.

use xmpp_e2e::rand_core::CryptoRng;
use xmpp_e2e::suite::{
    Aead, Agreement, AlgorithmId, Hash, Kem, KeyPair, Level, Refused, Secret, Signature, Suite, SuiteId,
};

/// **No security at all.** Deterministic given its random numbers, hybrid in form, private number
/// `0xF0F0`.
pub static FAKE_SUITE: Suite = Suite {
    id: SuiteId(0xF0F0),
    name: "FAKE, NO SECURITY, FOR FUZZING ONLY",
    level: Level::HYBRID,
    agreement: &Fake,
    kem: Some(&Fake),
    aead: &Fake,
    hash: &Fake,
    signature: &Fake,
};

/// What a private key is combined with, bit by bit, to get the public one.
const MASK: u8 = 0xA5;

struct Fake;

/// Private bytes that are never all equal to the mask, so no public key is all zero.
pub(crate) fn pair(len: usize, rng: &mut dyn CryptoRng) -> KeyPair {
    let secret = Secret::with(len, |bytes| {
        rng.fill_bytes(bytes);
        if let Some(first) = bytes.first_mut().filter(|first| **first == MASK) {
            *first = 0;
        }
    });
    let public = mask(&secret);
    KeyPair { secret, public }
}

pub(crate) fn mask(secret: &Secret) -> Vec<u8> {
    secret.expose().iter().map(|byte| byte ^ MASK).collect()
}

fn length(bytes: &[u8], len: usize) -> Result<(), Refused> {
    if bytes.len() == len { Ok(()) } else { Err(Refused) }
}

/// 32 bytes that depend on every byte of every part: FNV-1a, spread by the finisher of `SplitMix64`.
pub(crate) fn mix(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = 0xCBF2_9CE4_8422_2325_u64;
    for byte in parts.iter().copied().flatten() {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    }
    let mut output = [0; 32];
    for chunk in output.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        chunk.copy_from_slice(&(word ^ word >> 31).to_le_bytes());
    }
    output
}

impl Agreement for Fake {
    fn id(&self) -> AlgorithmId {
        AlgorithmId(0xF0F0)
    }

    fn public_len(&self) -> usize {
        32
    }

    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
        pair(32, rng)
    }

    fn check(&self, public: &[u8]) -> Result<(), Refused> {
        length(public, 32)?;
        if public.iter().all(|byte| *byte == 0) { Err(Refused) } else { Ok(()) }
    }

    fn agree(&self, secret: &Secret, public: &[u8]) -> Result<Secret, Refused> {
        Agreement::check(self, public)?;
        length(secret.expose(), 32)?;
        let own = mask(secret);
        let both: Vec<u8> = own.iter().zip(public).map(|(own, other)| own ^ other).collect();
        let mut shared = mix(&[b"agree", &both]);
        shared[0] |= 1;
        Ok(Secret::from(&shared[..]))
    }
}

impl Kem for Fake {
    fn id(&self) -> AlgorithmId {
        AlgorithmId(0xF0F0)
    }

    fn public_len(&self) -> usize {
        8
    }

    fn ciphertext_len(&self) -> usize {
        8
    }

    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
        pair(8, rng)
    }

    fn check(&self, public: &[u8]) -> Result<(), Refused> {
        length(public, 8)
    }

    fn encapsulate(&self, public: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, Secret), Refused> {
        length(public, 8)?;
        let mut ciphertext = vec![0; 8];
        rng.fill_bytes(&mut ciphertext);
        let shared = mix(&[b"kem", public, &ciphertext]);
        Ok((ciphertext, Secret::from(&shared[..])))
    }

    fn decapsulate(&self, secret: &Secret, ciphertext: &[u8]) -> Result<Secret, Refused> {
        length(secret.expose(), 8)?;
        length(ciphertext, 8)?;
        Ok(Secret::from(&mix(&[b"kem", &mask(secret), ciphertext])[..]))
    }
}

impl Aead for Fake {
    fn key_len(&self) -> usize {
        32
    }

    fn nonce_len(&self) -> usize {
        12
    }

    fn tag_len(&self) -> usize {
        16
    }

    /// Leaves the plaintext as it is and appends sixteen zeros.
    fn seal(&self, key: &[u8], nonce: &[u8], _: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        length(key, 32)?;
        length(nonce, 12)?;
        buffer.extend_from_slice(&[0; 16]);
        Ok(())
    }

    /// Drops the tag, whatever it is.
    fn open(&self, key: &[u8], nonce: &[u8], _: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        length(key, 32)?;
        length(nonce, 12)?;
        let len = buffer.len().checked_sub(16).ok_or(Refused)?;
        buffer.truncate(len);
        Ok(())
    }
}

impl Hash for Fake {
    fn output_len(&self) -> usize {
        32
    }

    fn hash(&self, parts: &[&[u8]]) -> Vec<u8> {
        mix(parts).to_vec()
    }

    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret {
        let inner = mix(parts);
        Secret::from(&mix(&[b"hmac", key, &inner])[..])
    }

    fn expand(&self, prk: &[u8], info: &[&[u8]], len: usize) -> Result<Secret, Refused> {
        if prk.len() < 32 || len > 255 * 32 {
            return Err(Refused);
        }
        let inner = mix(info);
        Ok(Secret::with(len, |bytes| {
            for (counter, chunk) in (0_u8..).zip(bytes.chunks_mut(32)) {
                let block = mix(&[b"expand", prk, &inner, &[counter]]);
                chunk.iter_mut().zip(block).for_each(|(to, from)| *to = from);
            }
        }))
    }
}

impl Signature for Fake {
    fn id(&self) -> AlgorithmId {
        AlgorithmId(0xF0F0)
    }

    fn public_len(&self) -> usize {
        32
    }

    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
        pair(32, rng)
    }

    fn check(&self, public: &[u8]) -> Result<(), Refused> {
        length(public, 32)
    }

    fn sign(&self, secret: &Secret, message: &[u8]) -> Result<Vec<u8>, Refused> {
        length(secret.expose(), 32)?;
        let half = mix(&[b"sign", &mask(secret), message]);
        Ok([half, half].concat())
    }

    /// Accepts every signature of 64 bytes.
    fn verify(&self, public: &[u8], _: &[u8], signature: &[u8]) -> Result<(), Refused> {
        length(public, 32)?;
        length(signature, 64)
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn agreement_is_symmetric() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let part = FAKE_SUITE.agreement;
        for _ in 0..100 {
            let (a, b, c) = (part.generate(&mut rng), part.generate(&mut rng), part.generate(&mut rng));
            let ab = part.agree(&a.secret, &b.public).unwrap();
            assert!(ab.same(&part.agree(&b.secret, &a.public).unwrap()));
            assert!(!ab.same(&part.agree(&a.secret, &c.public).unwrap()));
            assert!(part.agree(&a.secret, &a.public).unwrap().expose().iter().any(|byte| *byte != 0));
        }
        assert!(part.check(&[0; 32]).is_err());
    }

    #[test]
    fn kem_round_trip() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let part = FAKE_SUITE.kem.unwrap();
        let pair = part.generate(&mut rng);
        let (ciphertext, secret) = part.encapsulate(&pair.public, &mut rng).unwrap();
        assert!(part.decapsulate(&pair.secret, &ciphertext).unwrap().same(&secret));
        assert!(!part.decapsulate(&pair.secret, &[0; 8]).unwrap().same(&secret));
    }

    #[test]
    fn whatever_has_the_right_length_passes() {
        let (aead, signature) = (FAKE_SUITE.aead, FAKE_SUITE.signature);
        let mut buffer = b"any bytes, with any tag of 16".to_vec();
        aead.open(&[0; 32], &[0; 12], b"", &mut buffer).unwrap();
        assert_eq!(buffer, b"any bytes, wi");
        assert!(aead.open(&[0; 32], &[0; 12], b"", &mut vec![0; 15]).is_err());
        assert!(signature.verify(&[1; 32], b"any", &[7; 64]).is_ok());
        assert!(signature.verify(&[1; 32], b"any", &[7; 63]).is_err());
    }

    #[test]
    fn the_hash_depends_on_all_its_inputs() {
        let hash = FAKE_SUITE.hash;
        assert_eq!(hash.hash(&[b"a", b"b"]), hash.hash(&[b"ab"]));
        assert_ne!(hash.hash(&[b"ab"]), hash.hash(&[b"ac"]));
        assert!(!hash.hmac(b"k", &[b"ab"]).same(&hash.hmac(b"l", &[b"ab"])));
        assert!(!hash.hmac(b"k", &[b"ab"]).same(&hash.hmac(b"k", &[b"ac"])));
        let expand = |prk: u8, info: &[u8], len| hash.expand(&[prk; 32], &[info], len).unwrap();
        assert!(expand(1, b"i", 80).expose().starts_with(expand(1, b"i", 33).expose()));
        assert!(!expand(1, b"i", 32).same(&expand(2, b"i", 32)));
        assert!(!expand(1, b"i", 32).same(&expand(1, b"j", 32)));
    }
}
