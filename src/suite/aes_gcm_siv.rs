//! AES-256-GCM-SIV (RFC 8452), resistant to a repeated nonce, by the `aes-gcm-siv` crate.

use ::aes_gcm_siv::aead::AeadInOut;
use ::aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce};

use crate::suite::{Aead, Refused};

/// AES-256-GCM-SIV.
pub static AES_256_GCM_SIV: &(dyn Aead + Send + Sync) = &Part;

struct Part;

impl Aead for Part {
    fn key_len(&self) -> usize {
        32
    }

    fn nonce_len(&self) -> usize {
        12
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        let (cipher, nonce) = setup(key, nonce)?;
        cipher.encrypt_in_place(&nonce, aad, buffer).map_err(|_| Refused)
    }

    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        let (cipher, nonce) = setup(key, nonce)?;
        cipher.decrypt_in_place(&nonce, aad, buffer).map_err(|_| Refused)
    }
}

fn setup(key: &[u8], nonce: &[u8]) -> Result<(Aes256GcmSiv, Nonce), Refused> {
    let cipher = Aes256GcmSiv::new_from_slice(key).map_err(|_| Refused)?;
    Ok((cipher, Nonce::try_from(nonce).map_err(|_| Refused)?))
}
