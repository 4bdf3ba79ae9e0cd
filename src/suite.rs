//! Suites: numbered sets of algorithms, as data.
//!
//! A [`Suite`] is a plain struct of parts. Each part is a trait object, so a suite this crate does
//! not know is a few lines in the caller's code: implement the parts that are missing, put a
//! `static Suite` together, check it with [`conformance`], and list it in [`Suites`].

mod aes_gcm_siv;
mod chacha20_poly1305;
pub mod conformance;
mod ed25519;
pub(crate) mod kdf;
mod ml_kem_768;
mod registry;
mod sha2;
mod x25519;

use core::fmt;

use rand_core::CryptoRng;

pub use crate::secret::Secret;
pub use aes_gcm_siv::AES_256_GCM_SIV;
pub use chacha20_poly1305::CHACHA20_POLY1305;
pub use ed25519::ED25519;
pub use ml_kem_768::ML_KEM_768;
pub(crate) use registry::{MAX_SUITES, choose, grease};
pub use registry::{SUITE_CLASSICAL, SUITE_HYBRID, SUITE_HYBRID_MISUSE_RESISTANT, SuiteError, Suites};
pub use sha2::{SHA_256, SHA_512};
pub use x25519::X25519;

/// The number of a suite. `0xF000` and above are for private use; the values `0x?A?A` with equal
/// bytes are grease (as in RFC 8701): they are listed at random and never used.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct SuiteId(pub u16);

impl SuiteId {
    /// Whether this value is reserved for grease.
    #[must_use]
    pub const fn is_grease(self) -> bool {
        self.0 & 0x0F0F == 0x0A0A && self.0 >> 8 == self.0 & 0xFF
    }

    /// Whether this value is for private use.
    #[must_use]
    pub const fn is_private(self) -> bool {
        self.0 >= 0xF000 && !self.is_grease()
    }
}

/// The number of one algorithm (agreement, KEM or signature) in keys on the wire. Each kind has
/// its own numbers; `0xF000` and above are for private use.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct AlgorithmId(pub u16);

/// How strong a suite is; more is stronger. Policies and single stanzas ask for a least level.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "any number is a level")]
pub struct Level(pub u8);

impl Level {
    /// Secure against today's attackers.
    pub const CLASSICAL: Self = Self(1);
    /// Confidential also against an attacker who records now and has a quantum computer later.
    pub const HYBRID: Self = Self(2);
}

/// A set of algorithms that a session uses from its first byte to its last.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "callers build suites of their own")]
pub struct Suite {
    /// Its number on the wire.
    pub id: SuiteId,
    /// Its name, for people.
    pub name: &'static str,
    /// How strong it is.
    pub level: Level,
    /// Diffie-Hellman.
    pub agreement: &'static dyn Agreement,
    /// Key encapsulation mixed in beside Diffie-Hellman, for a hybrid suite.
    pub kem: Option<&'static dyn Kem>,
    /// Authenticated encryption.
    pub aead: &'static dyn Aead,
    /// Hash, HMAC and HKDF.
    pub hash: &'static dyn Hash,
    /// Signatures of the account and device keys of those who use the suite.
    pub signature: &'static dyn Signature,
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a part refused. Deliberately without detail: parts work on secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the algorithm refused its input")]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to say")]
pub struct Refused;

/// A private key and its public key.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it holds a secret")]
#[expect(clippy::exhaustive_structs, reason = "parts build it")]
pub struct KeyPair {
    /// The private key, in the form the part stores and takes back.
    pub secret: Secret,
    /// The public key, as on the wire.
    pub public: Vec<u8>,
}

/// Diffie-Hellman over one group.
pub trait Agreement: Sync {
    /// Its number in keys on the wire.
    fn id(&self) -> AlgorithmId;
    /// The length of every public key in bytes.
    fn public_len(&self) -> usize;
    /// A new key pair.
    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair;
    /// Whether `public` is a public key in its one canonical encoding and of no small order.
    ///
    /// # Errors
    /// [`Refused`] if it is not.
    fn check(&self, public: &[u8]) -> Result<(), Refused>;
    /// The shared secret.
    ///
    /// # Errors
    /// [`Refused`] for whatever [`check`](Self::check) refuses, if `secret` is not a private key,
    /// and if the shared secret is all zero.
    fn agree(&self, secret: &Secret, public: &[u8]) -> Result<Secret, Refused>;
}

/// A key encapsulation mechanism that hashes its public key into the secret, as ML-KEM does.
pub trait Kem: Sync {
    /// Its number in keys on the wire.
    fn id(&self) -> AlgorithmId;
    /// The length of every public key in bytes.
    fn public_len(&self) -> usize;
    /// The length of every ciphertext in bytes.
    fn ciphertext_len(&self) -> usize;
    /// A new key pair; its secret is the seed, never a library's inner state.
    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair;
    /// Whether `public` is a valid public key.
    ///
    /// # Errors
    /// [`Refused`] if it is not.
    fn check(&self, public: &[u8]) -> Result<(), Refused>;
    /// A ciphertext for `public` and the secret it carries.
    ///
    /// # Errors
    /// [`Refused`] if `public` is not valid.
    fn encapsulate(&self, public: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, Secret), Refused>;
    /// The secret in `ciphertext`; a false ciphertext gives an unrelated secret.
    ///
    /// # Errors
    /// [`Refused`] if a length is wrong.
    fn decapsulate(&self, secret: &Secret, ciphertext: &[u8]) -> Result<Secret, Refused>;
}

/// Authenticated encryption with associated data.
pub trait Aead: Sync {
    /// The length of a key in bytes.
    fn key_len(&self) -> usize;
    /// The length of a nonce in bytes.
    fn nonce_len(&self) -> usize;
    /// The length of the tag in bytes, at least 16.
    fn tag_len(&self) -> usize;
    /// Encrypts `buffer` in place and appends the tag.
    ///
    /// # Errors
    /// [`Refused`] if a length is wrong.
    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused>;
    /// Checks and removes the tag and decrypts `buffer` in place. After an error the content of
    /// `buffer` is meaningless.
    ///
    /// # Errors
    /// [`Refused`] if a length or the tag is wrong.
    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused>;
}

/// A hash function with HMAC (RFC 2104) and HKDF (RFC 5869) over it.
pub trait Hash: Sync {
    /// The length of the output in bytes, at least 32.
    fn output_len(&self) -> usize;
    /// The hash of all `parts`, one after the other.
    fn hash(&self, parts: &[&[u8]]) -> Vec<u8>;
    /// HMAC of all `parts`, one after the other. HKDF-Extract is this, keyed with the salt.
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret;
    /// Two HMACs under one key: what a symmetric ratchet step is.
    fn hmac_pair(&self, key: &[u8], first: &[u8], second: &[u8]) -> (Secret, Secret) {
        (self.hmac(key, &[first]), self.hmac(key, &[second]))
    }
    /// HKDF-Expand of `len` bytes; the info is all `info`, one after the other.
    ///
    /// # Errors
    /// [`Refused`] if `prk` is shorter than the output or `len` more than 255 outputs.
    fn expand(&self, prk: &[u8], info: &[&[u8]], len: usize) -> Result<Secret, Refused>;
}

/// Signatures.
pub trait Signature: Sync {
    /// Its number in keys on the wire.
    fn id(&self) -> AlgorithmId;
    /// The length of every public key in bytes.
    fn public_len(&self) -> usize;
    /// A new key pair.
    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair;
    /// Whether `public` is a public key in its one canonical encoding and of no small order.
    ///
    /// # Errors
    /// [`Refused`] if it is not.
    fn check(&self, public: &[u8]) -> Result<(), Refused>;
    /// The signature of `message`. The public key follows from `secret` and is never an argument.
    ///
    /// # Errors
    /// [`Refused`] if `secret` is not a private key.
    fn sign(&self, secret: &Secret, message: &[u8]) -> Result<Vec<u8>, Refused>;
    /// Verifies strictly.
    ///
    /// # Errors
    /// [`Refused`] if the signature or the key is not valid.
    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Refused>;
}
