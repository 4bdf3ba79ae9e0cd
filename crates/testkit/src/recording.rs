//! The hybrid suite with a memory: which key and nonce sealed what, in this thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use xmpp_e2e::suite::{Aead, CHACHA20_POLY1305, Refused, SUITE_HYBRID, Suite, SuiteId};

/// The hybrid suite under the private number `0xF0C1`; all it seals is [recorded](take).
pub static RECORDING_SUITE: Suite = Suite {
    id: SuiteId(0xF0C1),
    name: "X25519 with ML-KEM-768, recorded ChaCha20-Poly1305, SHA-256, Ed25519",
    aead: &Recorder,
    ..SUITE_HYBRID
};

/// What each key and nonce has sealed.
pub type Records = BTreeMap<(Vec<u8>, Vec<u8>), BTreeSet<Vec<u8>>>;

thread_local! {
    static RECORDS: RefCell<Records> = const { RefCell::new(Records::new()) };
}

/// What this thread has sealed since it was last asked.
pub fn take() -> Records {
    RECORDS.take()
}

struct Recorder;

impl Aead for Recorder {
    fn key_len(&self) -> usize {
        CHACHA20_POLY1305.key_len()
    }

    fn nonce_len(&self) -> usize {
        CHACHA20_POLY1305.nonce_len()
    }

    fn tag_len(&self) -> usize {
        CHACHA20_POLY1305.tag_len()
    }

    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        CHACHA20_POLY1305.seal(key, nonce, aad, buffer)?;
        let place = (key.to_vec(), nonce.to_vec());
        RECORDS.with_borrow_mut(|records| records.entry(place).or_default().insert(buffer.clone()));
        Ok(())
    }

    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
        CHACHA20_POLY1305.open(key, nonce, aad, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_uses_of_a_key_are_seen() {
        let aead = RECORDING_SUITE.aead;
        for (key, text) in [(1, b"a"), (1, b"b"), (1, b"b"), (2, b"a")] {
            aead.seal(&[key; 32], &[0; 12], b"", &mut text.to_vec()).unwrap();
        }
        let uses: Vec<usize> = take().values().map(BTreeSet::len).collect();
        assert_eq!(uses, [2, 1]);
        assert!(take().is_empty());
    }
}
