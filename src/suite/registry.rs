//! The suites of this crate, and the list of those an engine may use.

use rand_core::CryptoRng;

use crate::suite::{
    AES_256_GCM_SIV, Agreement, AlgorithmId, CHACHA20_POLY1305, ED25519, Kem, Level, ML_KEM_768, SHA_256,
    SHA_512, Signature, Suite, SuiteId, X25519,
};

/// Suite `0x0001`, which every implementation has.
pub static SUITE_CLASSICAL: Suite = Suite {
    id: SuiteId(0x0001),
    name: "X25519, ChaCha20-Poly1305, SHA-256, Ed25519",
    level: Level::CLASSICAL,
    agreement: X25519,
    kem: None,
    aead: CHACHA20_POLY1305,
    hash: SHA_256,
    signature: ED25519,
};

/// Suite `0x0002`, the default.
pub static SUITE_HYBRID: Suite = Suite {
    id: SuiteId(0x0002),
    name: "X25519 with ML-KEM-768, ChaCha20-Poly1305, SHA-256, Ed25519",
    level: Level::HYBRID,
    kem: Some(ML_KEM_768),
    ..SUITE_CLASSICAL
};

/// Suite `0x0003`, whose message keys survive a state restored without saying so.
pub static SUITE_HYBRID_MISUSE_RESISTANT: Suite = Suite {
    id: SuiteId(0x0003),
    name: "X25519 with ML-KEM-768, AES-256-GCM-SIV, SHA-512, Ed25519",
    aead: AES_256_GCM_SIV,
    hash: SHA_512,
    ..SUITE_HYBRID
};

/// A list holds at most this many suites: each adds bytes to every advert, whose limit is 250.
pub(crate) const MAX_SUITES: usize = 8;

/// Why a list of suites was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// No suite, or more than eight.
    #[error("no suite, or too many")]
    Count,
    /// Two suites of one number.
    #[error("two suites of one number")]
    Duplicate,
    /// A grease number.
    #[error("a number reserved for grease")]
    Grease,
    /// A hash of under 32 bytes or a tag of under 16.
    #[error("hash or tag too short")]
    TooShort,
}

/// The suites an engine may use, in order of preference.
#[derive(Clone, Debug)]
pub struct Suites(Vec<&'static Suite>);

impl Suites {
    /// Takes `suites` in order of preference.
    ///
    /// # Errors
    /// [`SuiteError`] if the list is empty or too long, or a suite in it cannot be used.
    pub fn new(suites: &[&'static Suite]) -> Result<Self, SuiteError> {
        if suites.is_empty() || suites.len() > MAX_SUITES {
            return Err(SuiteError::Count);
        }
        for (index, suite) in suites.iter().enumerate() {
            if suite.id.is_grease() {
                return Err(SuiteError::Grease);
            }
            if suite.hash.output_len() < 32 || suite.aead.tag_len() < 16 {
                return Err(SuiteError::TooShort);
            }
            if suites.iter().skip(index + 1).any(|other| other.id == suite.id) {
                return Err(SuiteError::Duplicate);
            }
        }
        Ok(Self(suites.to_vec()))
    }

    /// The suites, the preferred first.
    pub fn iter(&self) -> impl Iterator<Item = &'static Suite> + '_ {
        self.0.iter().copied()
    }

    /// The suite of number `id`.
    #[must_use]
    pub fn find(&self, id: SuiteId) -> Option<&'static Suite> {
        self.iter().find(|suite| suite.id == id)
    }

    /// The numbers of the suites of at least `least`, the preferred first: the list to show a peer.
    pub(crate) fn ids(&self, least: Level) -> Vec<u16> {
        self.iter().filter(|suite| suite.level >= least).map(|suite| suite.id.0).collect()
    }

    /// The part that verifies signatures by keys of algorithm `id`.
    pub(crate) fn signature(&self, id: AlgorithmId) -> Option<&'static dyn Signature> {
        self.iter().map(|suite| suite.signature).find(|part| part.id() == id)
    }

    /// The part for agreement keys of algorithm `id`.
    pub(crate) fn agreement(&self, id: AlgorithmId) -> Option<&'static dyn Agreement> {
        self.iter().map(|suite| suite.agreement).find(|part| part.id() == id)
    }

    /// The part for KEM keys of algorithm `id`.
    pub(crate) fn kem(&self, id: AlgorithmId) -> Option<&'static dyn Kem> {
        self.iter().filter_map(|suite| suite.kem).find(|part| part.id() == id)
    }

    /// All agreement parts, each once.
    pub(crate) fn agreements(&self) -> Vec<&'static dyn Agreement> {
        let mut parts: Vec<&'static dyn Agreement> = Vec::new();
        for suite in self.iter() {
            if parts.iter().all(|part| part.id() != suite.agreement.id()) {
                parts.push(suite.agreement);
            }
        }
        parts
    }

    /// All KEM parts, each once.
    pub(crate) fn kems(&self) -> Vec<&'static dyn Kem> {
        let mut parts: Vec<&'static dyn Kem> = Vec::new();
        for kem in self.iter().filter_map(|suite| suite.kem) {
            if parts.iter().all(|part| part.id() != kem.id()) {
                parts.push(kem);
            }
        }
        parts
    }
}

impl Default for Suites {
    /// Hybrid first, then hybrid and misuse-resistant, then classical.
    fn default() -> Self {
        Self(vec![&SUITE_HYBRID, &SUITE_HYBRID_MISUSE_RESISTANT, &SUITE_CLASSICAL])
    }
}

/// The suite both sides must use: the first in the initiator's order that the responder's list
/// holds too. Each list holds what its owner's policy allows.
pub(crate) fn choose(initiator: &[u16], responder: &[u16]) -> Option<SuiteId> {
    initiator.iter().copied().find(|id| !SuiteId(*id).is_grease() && responder.contains(id)).map(SuiteId)
}

/// `ids` with one grease value in a random place, so that peers stay used to unknown numbers.
pub(crate) fn grease(mut ids: Vec<u16>, rng: &mut dyn CryptoRng) -> Vec<u16> {
    let random = rng.next_u32();
    let byte = u16::try_from(random & 0xF0).unwrap_or(0) | 0x0A;
    let place = usize::try_from(random >> 16).unwrap_or(0) % (ids.len() + 1);
    ids.insert(place, byte << 8 | byte);
    ids
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    use super::*;
    use crate::secret::Secret;
    use crate::suite::{Aead, Hash, Refused};

    struct Short;

    impl Aead for Short {
        fn key_len(&self) -> usize {
            32
        }
        fn nonce_len(&self) -> usize {
            12
        }
        fn tag_len(&self) -> usize {
            15
        }
        fn seal(&self, _: &[u8], _: &[u8], _: &[u8], _: &mut Vec<u8>) -> Result<(), Refused> {
            Err(Refused)
        }
        fn open(&self, _: &[u8], _: &[u8], _: &[u8], _: &mut Vec<u8>) -> Result<(), Refused> {
            Err(Refused)
        }
    }

    impl Hash for Short {
        fn output_len(&self) -> usize {
            31
        }
        fn hash(&self, _: &[&[u8]]) -> Vec<u8> {
            vec![0; 31]
        }
        fn hmac(&self, _: &[u8], _: &[&[u8]]) -> Secret {
            Secret::with(31, |_| ())
        }
        fn expand(&self, _: &[u8], _: &[&[u8]], _: usize) -> Result<Secret, Refused> {
            Err(Refused)
        }
    }

    static SHORT_TAG: Suite = Suite { aead: &Short, ..SUITE_CLASSICAL };
    static SHORT_HASH: Suite = Suite { hash: &Short, ..SUITE_CLASSICAL };
    static GREASE: Suite = Suite { id: SuiteId(0xFAFA), ..SUITE_CLASSICAL };
    static PRIVATE: Suite = Suite { id: SuiteId(0xF001), ..SUITE_CLASSICAL };

    fn error(suites: &[&'static Suite]) -> Option<SuiteError> {
        Suites::new(suites).err()
    }

    #[test]
    fn a_list_that_cannot_be_used_is_refused() {
        assert_eq!(error(&[]), Some(SuiteError::Count));
        assert_eq!(error(&[&SUITE_HYBRID; 9]), Some(SuiteError::Count));
        assert_eq!(error(&[&SUITE_HYBRID, &PRIVATE, &SUITE_HYBRID]), Some(SuiteError::Duplicate));
        assert_eq!(error(&[&SUITE_HYBRID, &GREASE]), Some(SuiteError::Grease));
        assert_eq!(error(&[&SHORT_TAG]), Some(SuiteError::TooShort));
        assert_eq!(error(&[&SHORT_HASH]), Some(SuiteError::TooShort));
        assert_eq!(error(&[&PRIVATE]), None);
    }

    #[test]
    fn the_default_list_is_valid_and_hybrid_first() {
        let suites = Suites::default();
        assert!(Suites::new(&suites.iter().collect::<Vec<_>>()).is_ok());
        assert_eq!(suites.ids(Level::CLASSICAL), [2, 3, 1]);
        assert_eq!(suites.ids(Level::HYBRID), [2, 3]);
        assert!(suites.ids(Level(3)).is_empty());
        assert_eq!((suites.agreements().len(), suites.kems().len()), (1, 1));
    }

    #[test]
    fn the_default_suites_are_as_the_protocol_numbers_them() {
        for (suite, id, hybrid, hash_len) in [
            (&SUITE_CLASSICAL, 1, false, 32),
            (&SUITE_HYBRID, 2, true, 32),
            (&SUITE_HYBRID_MISUSE_RESISTANT, 3, true, 64),
        ] {
            assert_eq!(suite.id, SuiteId(id));
            assert_eq!(suite.kem.is_some(), hybrid);
            assert_eq!(suite.level == Level::HYBRID, hybrid);
            assert_eq!(suite.hash.output_len(), hash_len);
        }
    }

    #[test]
    fn parts_and_suites_are_found_by_number() {
        let suites = Suites::new(&[&SUITE_CLASSICAL, &PRIVATE]).unwrap();
        assert_eq!(suites.find(SuiteId(0xF001)).map(|suite| suite.id), Some(SuiteId(0xF001)));
        assert!(suites.find(SuiteId(2)).is_none());
        assert!(suites.agreement(AlgorithmId(1)).is_some() && suites.agreement(AlgorithmId(2)).is_none());
        assert!(suites.signature(AlgorithmId(1)).is_some() && suites.signature(AlgorithmId(2)).is_none());
        assert!(suites.kem(AlgorithmId(1)).is_none() && suites.kems().is_empty());
    }

    #[test]
    fn the_order_of_the_initiator_decides() {
        assert_eq!(choose(&[2, 3, 1], &[1, 3]), Some(SuiteId(3)));
        assert_eq!(choose(&[1, 3], &[2, 3, 1]), Some(SuiteId(1)));
        assert_eq!(choose(&[2], &[1, 3]), None);
        assert_eq!(choose(&[], &[1]), None);
        assert_eq!(choose(&[0x7777, 1], &[1, 0xF001]), Some(SuiteId(1)));
    }

    #[test]
    fn grease_is_never_chosen() {
        assert_eq!(choose(&[0x0A0A, 1], &[0x0A0A, 1]), Some(SuiteId(1)));
        assert_eq!(choose(&[0xFAFA], &[0xFAFA]), None);
    }

    #[test]
    fn grease_is_one_value_in_any_place() {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let (mut values, mut places) = ([false; 16], [false; 4]);
        for _ in 0..500 {
            let mut ids = grease(vec![2, 3, 1], &mut rng);
            let place = ids.iter().position(|id| SuiteId(*id).is_grease()).unwrap();
            values[usize::from(ids.remove(place) >> 12)] = true;
            places[place] = true;
            assert_eq!(ids, [2, 3, 1]);
        }
        assert!(values.iter().chain(&places).all(|seen| *seen));
        assert_eq!(grease(Vec::new(), &mut rng).len(), 1);
    }

    #[test]
    fn grease_and_private_numbers_are_told_apart() {
        let grease: Vec<u16> = (0..=u16::MAX).filter(|id| SuiteId(*id).is_grease()).collect();
        let expected: Vec<u16> = (0..16).map(|n| n << 12 | 0x0A00 | n << 4 | 0x000A).collect();
        assert_eq!(grease, expected);
        assert!(SuiteId(0xF000).is_private() && SuiteId(0xFFFF).is_private());
        assert!(!SuiteId(0xEFFF).is_private() && !SuiteId(0xFAFA).is_private());
    }
}
