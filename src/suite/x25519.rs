//! X25519 (RFC 7748), by the `curve25519-dalek` crate.
//!
//! The Diffie-Hellman goes through the Edwards form where the public key has one, which is a third
//! faster than the Montgomery ladder with the vectorised backend; keys on the twist take the
//! ladder. Which way is taken depends on the public key only. The vectors and a comparison with
//! another implementation are in `tests/`.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::secret::Secret;
use crate::suite::{Agreement, AlgorithmId, KeyPair, Refused};

/// X25519; algorithm 1.
pub static X25519: &(dyn Agreement + Send + Sync) = &Part;

struct Part;

impl Agreement for Part {
    fn id(&self) -> AlgorithmId {
        AlgorithmId(1)
    }

    fn public_len(&self) -> usize {
        32
    }

    fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
        let secret = Secret::random(32, rng);
        let mut scalar = Zeroizing::new([0; 32]);
        scalar.copy_from_slice(secret.expose());
        let public = EdwardsPoint::mul_base_clamped(*scalar).to_montgomery();
        KeyPair { secret, public: public.0.to_vec() }
    }

    fn check(&self, public: &[u8]) -> Result<(), Refused> {
        point(public).map(drop)
    }

    fn agree(&self, secret: &Secret, public: &[u8]) -> Result<Secret, Refused> {
        let point = point(public)?;
        let scalar = <[u8; 32]>::try_from(secret.expose()).map(Zeroizing::new).map_err(|_| Refused)?;
        let mut shared = match point.to_edwards(0) {
            Some(edwards) => edwards.mul_clamped(*scalar).to_montgomery(),
            None => point.mul_clamped(*scalar),
        };
        let zero: Choice = shared.0.ct_eq(&[0; 32]);
        let out = Secret::from(&shared.0[..]);
        shared.zeroize();
        if zero.into() { Err(Refused) } else { Ok(out) }
    }
}

/// The point `public` encodes. Refuses a value not below 2^255 - 19 and a set top bit, so that
/// each key has one encoding, and all points of small order.
fn point(public: &[u8]) -> Result<MontgomeryPoint, Refused> {
    let bytes = <[u8; 32]>::try_from(public).map_err(|_| Refused)?;
    let canonical = bytes.iter().rev().cmp(P.iter().rev()).is_lt();
    if !canonical || SMALL_ORDER.contains(&bytes) {
        return Err(Refused);
    }
    Ok(MontgomeryPoint(bytes))
}

/// 2^255 - 19, little-endian.
const P: [u8; 32] = {
    let mut p = [0xFF; 32];
    p[0] = 0xED;
    p[31] = 0x7F;
    p
};

/// The canonical encodings of points of small order, on the curve and on its twist: 0, 1, -1 and
/// the two of order 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = P;
        minus_one[0] = 0xEC;
        minus_one
    },
    [
        0xE0, 0xEB, 0x7A, 0x7C, 0x3B, 0x41, 0xB8, 0xAE, 0x16, 0x56, 0xE3, 0xFA, 0xF1, 0x9F, 0xC4, 0x6A, 0xDA,
        0x09, 0x8D, 0xEB, 0x9C, 0x32, 0xB1, 0xFD, 0x86, 0x62, 0x05, 0x16, 0x5F, 0x49, 0xB8, 0x00,
    ],
    [
        0x5F, 0x9C, 0x95, 0xBC, 0xA3, 0x50, 0x8C, 0x24, 0xB1, 0xD0, 0xB1, 0x55, 0x9C, 0x83, 0xEF, 0x5B, 0x04,
        0x44, 0x5C, 0xC4, 0x58, 0x1C, 0x8E, 0x86, 0xD8, 0x22, 0x4E, 0xDD, 0xD0, 0x9F, 0x11, 0x57,
    ],
];
