//! Keys of messages that have not come yet, in blocks as the store keeps them.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::env::Timestamp;
use crate::secret::Secret;
use crate::session::codec;
use crate::suite::kdf::SECRET_LEN;
use crate::wire::{Bytes, Undecodable};

/// Version of the stored form.
const VERSION: u8 = 1;

/// Keys in a block, the bits of a `u32`: one store record for many keys, and still small to
/// rewrite when one is used.
pub(crate) const BLOCK: u32 = u32::BITS;

/// Head and 32 keys.
const MAX_BLOCK: usize = 16 + BLOCK as usize * SECRET_LEN;

/// Keys of consecutive messages of one chain.
pub(crate) struct SkippedRun {
    /// The chain.
    pub(crate) chain: u32,
    /// The number of the first message.
    pub(crate) first: u32,
    /// Their keys.
    pub(crate) keys: Vec<Secret>,
}

/// The skipped keys `n` of one chain with one `n / 32`.
#[derive(Clone)]
pub(crate) struct SkippedBlock {
    created: Timestamp,
    present: u32,
    /// Those present, in order.
    keys: Vec<Secret>,
}

#[derive(TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Stored {
    created: u32,
    present: u32,
    keys: Bytes,
}

impl Drop for Stored {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.keys);
    }
}

impl SkippedRun {
    /// The blocks of this run, each with its number (`n / 32`).
    pub(crate) fn split(self, now: Timestamp) -> Vec<(u32, SkippedBlock)> {
        let mut blocks: Vec<(u32, SkippedBlock)> = Vec::new();
        for (n, key) in (self.first..=u32::MAX).zip(self.keys) {
            let number = n / BLOCK;
            match blocks.last_mut() {
                Some((last, block)) if *last == number => block.insert(n, key),
                _ => {
                    let mut block = SkippedBlock::new(now);
                    block.insert(n, key);
                    blocks.push((number, block));
                }
            }
        }
        blocks
    }
}

impl SkippedBlock {
    /// An empty block.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { created: now, present: 0, keys: Vec::new() }
    }

    /// When its first keys were put in, to the second.
    pub(crate) fn created(&self) -> Timestamp {
        self.created
    }

    /// How many keys it has.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none, and is to be deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds the key of message `n`; one that is there already stays.
    pub(crate) fn insert(&mut self, n: u32, key: Secret) {
        let (bit, place) = self.place(n);
        if self.present & bit == 0 {
            self.present |= bit;
            self.keys.insert(place, key);
        }
    }

    /// Adds all keys of `other`, a block of the same number.
    pub(crate) fn merge(&mut self, other: Self) {
        let numbers = (0..BLOCK).filter(|n| other.present & (1 << n) != 0);
        for (n, key) in numbers.zip(other.keys) {
            self.insert(n, key);
        }
    }

    /// The key of message `n`.
    pub(crate) fn get(&self, n: u32) -> Option<&Secret> {
        let (bit, place) = self.place(n);
        if self.present & bit == 0 { None } else { self.keys.get(place) }
    }

    /// Takes out the key of message `n`.
    pub(crate) fn take(&mut self, n: u32) -> Option<Secret> {
        let (bit, place) = self.place(n);
        if self.present & bit == 0 {
            return None;
        }
        self.present &= !bit;
        Some(self.keys.remove(place))
    }

    /// The bit of `n`, and where its key stands among those present.
    fn place(&self, n: u32) -> (u32, usize) {
        let bit = 1 << (n % BLOCK);
        (bit, (self.present & (bit - 1)).count_ones() as usize)
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut keys = Vec::with_capacity(self.keys.len() * SECRET_LEN);
        for key in &self.keys {
            keys.extend_from_slice(key.expose());
        }
        let stored = Stored { created: self.created.as_secs(), present: self.present, keys: keys.into() };
        codec::encode(VERSION, &stored)
    }

    /// The inverse of [`encode`](Self::encode).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: Stored = codec::decode(VERSION, bytes, MAX_BLOCK)?;
        let keys = stored.keys.as_slice();
        if keys.len() != stored.present.count_ones() as usize * SECRET_LEN {
            return Err(Undecodable);
        }
        Ok(Self {
            created: Timestamp::from_secs(stored.created),
            present: stored.present,
            keys: keys.chunks_exact(SECRET_LEN).map(Secret::from).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Secret {
        Secret::with(32, |bytes| bytes[..4].copy_from_slice(&n.to_be_bytes()))
    }

    #[test]
    fn split_take_and_merge() {
        let run = SkippedRun { chain: 1, first: 30, keys: (30..100).map(key).collect() };
        let mut blocks = run.split(Timestamp::from_secs(5));
        let shape: Vec<_> = blocks.iter().map(|(number, block)| (*number, block.len())).collect();
        assert_eq!(shape, [(0, 2), (1, 32), (2, 32), (3, 4)]);
        let (_, block) = &mut blocks[1];
        for n in (32..64).rev().step_by(2) {
            assert!(block.get(n).unwrap().same(&key(n)));
            assert!(block.take(n).unwrap().same(&key(n)));
            assert!(block.take(n).is_none());
        }
        assert_eq!(block.len(), 16);
        let mut other = SkippedBlock::new(Timestamp::from_secs(9));
        other.insert(63, key(63));
        other.insert(32, key(0));
        block.merge(other);
        assert!(block.get(63).unwrap().same(&key(63)) && block.get(32).unwrap().same(&key(32)));
        assert_eq!(block.created(), Timestamp::from_secs(5));
    }

    #[test]
    fn stored_in_under_forty_bytes_a_key() {
        let run = SkippedRun { chain: 1, first: 0, keys: (0..32).map(key).collect() };
        let (_, block) = run.split(Timestamp::from_secs(5)).remove(0);
        let bytes = block.encode();
        assert!(bytes.len() <= 40 * 32, "{}", bytes.len());
        assert_eq!(SkippedBlock::decode(&bytes).unwrap().encode(), bytes);
        let mut bad = bytes.clone();
        bad[8] ^= 1;
        assert!(SkippedBlock::decode(&bad).is_err());
        assert!(SkippedBlock::new(Timestamp::default()).is_empty());
    }
}
