//! ChaCha20-Poly1305 (RFC 8439), by the `chacha20poly1305` crate.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};

use crate::suite::{Aead, Refused};

/// ChaCha20-Poly1305.
pub static CHACHA20_POLY1305: &(dyn Aead + Send + Sync) = &Part;

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

fn setup(key: &[u8], nonce: &[u8]) -> Result<(ChaCha20Poly1305, Nonce), Refused> {
    let cipher = ChaCha20Poly1305::new_from_slice(key).map_err(|_| Refused)?;
    Ok((cipher, Nonce::try_from(nonce).map_err(|_| Refused)?))
}
