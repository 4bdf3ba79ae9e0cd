//! ML-KEM-768 (FIPS 203), by the `libcrux-ml-kem` crate.

use core::ops::IndexMut;

use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PublicKey};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::Secret;
use crate::suite::{AlgorithmId, Kem, KeyPair, Refused};

/// ML-KEM-768; algorithm 1. The private key is the 64-byte seed.
pub static ML_KEM_768: &(dyn Kem + Send + Sync) = &Part;

struct Part;

impl Kem for Part {
    fn id(&self) -> AlgorithmId {
        AlgorithmId(1)
    }

    fn public_len(&self) -> usize {
        1184
    }

    fn ciphertext_len(&self) -> usize {
        1088
    }

    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
        let secret = Secret::random(64, rng);
        let mut seed = Zeroizing::new([0; 64]);
        seed.copy_from_slice(secret.expose());
        let pair = mlkem768::generate_key_pair(*seed);
        let (mut private, public) = pair.into_parts();
        wipe(&mut private);
        KeyPair { secret, public: public.as_slice().to_vec() }
    }

    fn check(&self, public: &[u8]) -> Result<(), Refused> {
        public_key(public).map(drop)
    }

    fn encapsulate(&self, public: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, Secret), Refused> {
        let public = public_key(public)?;
        let mut randomness = Zeroizing::new([0; 32]);
        rng.fill_bytes(randomness.as_mut_slice());
        let (ciphertext, shared) = mlkem768::encapsulate(&public, *randomness);
        let shared = Zeroizing::new(shared);
        Ok((ciphertext.as_slice().to_vec(), Secret::from(shared.as_slice())))
    }

    fn decapsulate(&self, secret: &Secret, ciphertext: &[u8]) -> Result<Secret, Refused> {
        let seed = <[u8; 64]>::try_from(secret.expose()).map(Zeroizing::new).map_err(|_| Refused)?;
        let ciphertext = MlKem768Ciphertext::try_from(ciphertext).map_err(|_| Refused)?;
        let (mut private, _) = mlkem768::generate_key_pair(*seed).into_parts();
        let shared = Zeroizing::new(mlkem768::decapsulate(&private, &ciphertext));
        wipe(&mut private);
        Ok(Secret::from(shared.as_slice()))
    }
}

fn public_key(public: &[u8]) -> Result<MlKem768PublicKey, Refused> {
    let public = MlKem768PublicKey::try_from(public).map_err(|_| Refused)?;
    if mlkem768::validate_public_key(&public) { Ok(public) } else { Err(Refused) }
}

/// The library's private key does not wipe itself. What its moves leave on the stack stays.
fn wipe(private: &mut mlkem768::MlKem768PrivateKey) {
    let all = 0..mlkem768::MlKem768PrivateKey::len();
    // In place: a key that is only written over and dropped may not be written at all.
    private.index_mut(all).zeroize();
}
