//! Ed25519 (RFC 8032), verified strictly, by the `ed25519-dalek` crate.

use ed25519_dalek::{Signature as Ed25519Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;

use crate::secret::Secret;
use crate::suite::{AlgorithmId, KeyPair, Refused, Signature};

/// Ed25519; algorithm 1.
pub static ED25519: &(dyn Signature + Send + Sync) = &Part;

struct Part;

impl Signature for Part {
    fn id(&self) -> AlgorithmId {
        AlgorithmId(1)
    }

    fn public_len(&self) -> usize {
        32
    }

    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
        let key = SigningKey::generate(&mut { rng });
        KeyPair { secret: Secret::from(&key.as_bytes()[..]), public: key.verifying_key().as_bytes().to_vec() }
    }

    fn check(&self, public: &[u8]) -> Result<(), Refused> {
        verifying_key(public).map(drop)
    }

    fn sign(&self, secret: &Secret, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let key = SigningKey::try_from(secret.expose()).map_err(|_| Refused)?;
        Ok(key.sign(message).to_bytes().to_vec())
    }

    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Refused> {
        let key = verifying_key(public)?;
        let signature = Ed25519Signature::try_from(signature).map_err(|_| Refused)?;
        // `verify` would take keys of small order, for which any message verifies.
        key.verify_strict(message, &signature).map_err(|_| Refused)
    }
}

fn verifying_key(public: &[u8]) -> Result<VerifyingKey, Refused> {
    let key = VerifyingKey::try_from(public).map_err(|_| Refused)?;
    // Decoding takes y not reduced; such a key would be a second spelling of another.
    let canonical = key.to_edwards().compress().as_bytes() == public;
    if key.is_weak() || !canonical { Err(Refused) } else { Ok(key) }
}
