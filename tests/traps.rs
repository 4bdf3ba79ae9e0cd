//! What this crate assumes of its cryptographic dependencies and guards against, so that an update
//! which changes it breaks loudly. Where a test fails, read the part that guards, then the test.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use curve25519_dalek::MontgomeryPoint;
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use xmpp_e2e::rand_core::CryptoRng;
use xmpp_e2e::suite::{ED25519, ML_KEM_768, SHA_256, Secret, X25519};

/// The neutral element with a signature that holds for any message under it.
fn weak() -> (VerifyingKey, Signature) {
    let mut key = [0; 32];
    key[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    (VerifyingKey::from_bytes(&key).unwrap(), Signature::from_bytes(&signature))
}

#[test]
fn ed25519_verify_accepts_what_verify_strict_refuses() {
    use ed25519_dalek::Verifier;
    let (key, signature) = weak();
    assert!(key.verify(b"any message", &signature).is_ok());
    assert!(key.verify_strict(b"any message", &signature).is_err());
    assert!(ED25519.verify(key.as_bytes(), b"any message", &signature.to_bytes()).is_err());
}

#[test]
fn ed25519_decoding_takes_second_encodings() {
    // y = p + 1, the neutral element again.
    let mut key = [0xFF; 32];
    (key[0], key[31]) = (0xEE, 0x7F);
    assert!(VerifyingKey::from_bytes(&key).is_ok());
    assert_ne!(CompressedEdwardsY(key).decompress().unwrap().compress().0, key);
    assert!(ED25519.check(&key).is_err());
}

#[test]
fn ed25519_signs_with_the_seed_and_without_randomness() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = ED25519.sign(&Secret::from(&[7; 32][..]), b"message").unwrap();
    assert_eq!(signature, key.sign(b"message").to_bytes());
}

#[test]
fn montgomery_points_compare_and_multiply_without_any_check() {
    let mut u_plus_p = [0xFF; 32];
    (u_plus_p[0], u_plus_p[31]) = (0xF6, 0x7F);
    let mut nine = [0; 32];
    nine[0] = 9;
    assert!(MontgomeryPoint(nine) == MontgomeryPoint(u_plus_p));
    assert!(X25519.check(&nine).is_ok() && X25519.check(&u_plus_p).is_err());
    // A point of small order gives zero and no error.
    assert_eq!(MontgomeryPoint([0; 32]).mul_clamped([3; 32]).0, [0; 32]);
    // Both roots give one result, so the sign does not matter.
    let roots = [0, 1].map(|sign| MontgomeryPoint(nine).to_edwards(sign).unwrap());
    assert!(roots[0] != roots[1]);
    assert_eq!(roots[0].mul_clamped([3; 32]).to_montgomery(), roots[1].mul_clamped([3; 32]).to_montgomery());
    // On the twist there is no Edwards form, and the ladder must do.
    let mut two = [0; 32];
    two[0] = 2;
    assert!(MontgomeryPoint(two).to_edwards(0).is_none());
}

#[test]
fn x25519_keys_are_stored_unclamped() {
    let mut other = [0xFF; 32];
    let (low, high) = (other[0] & 0xF8, other[31] & 0x7F);
    let mut clamped = other;
    (clamped[0], clamped[31]) = (low, high);
    other[31] |= 0x80;
    let mut nine = [0; 32];
    nine[0] = 9;
    let agree = |key: &[u8]| X25519.agree(&Secret::from(key), &nine).unwrap();
    assert!(agree(&other).same(&agree(&clamped)));
}

#[test]
fn the_tag_of_the_aeads_comes_last() {
    let mut buffer = vec![1; 5];
    let cipher = chacha20poly1305::ChaCha20Poly1305::new(&[0; 32].into());
    cipher.encrypt_in_place(&[0; 12].into(), b"", &mut buffer).unwrap();
    assert_eq!(buffer.len(), 21);
    let mut longer = vec![1; 6];
    cipher.encrypt_in_place(&[0; 12].into(), b"", &mut longer).unwrap();
    assert_eq!(buffer[..5], longer[..5]);
}

#[test]
fn hkdf_refuses_what_rfc_5869_does_not_allow() {
    let mut output = [0; 255 * 32 + 1];
    let hkdf = hkdf::Hkdf::<sha2::Sha256>::from_prk(&[0; 32]).unwrap();
    assert!(hkdf.expand(&[], &mut output).is_err());
    assert!(hkdf::Hkdf::<sha2::Sha256>::from_prk(&[0; 31]).is_err());
    assert!(SHA_256.expand(&[0; 32], &[], usize::MAX).is_err());
}

/// Extraction without salt is that with a salt of zeros, which is how the crate calls HMAC for it.
#[test]
fn hkdf_extract_is_hmac_keyed_with_the_salt() {
    let (none, _) = hkdf::Hkdf::<sha2::Sha256>::extract(None, b"secret");
    let (some, _) = hkdf::Hkdf::<sha2::Sha256>::extract(Some(b"salt"), b"secret");
    assert_eq!(SHA_256.hmac(&[], &[b"secret"]).expose(), none.as_slice());
    assert_eq!(SHA_256.hmac(&[0; 32], &[b"secret"]).expose(), none.as_slice());
    assert_eq!(SHA_256.hmac(b"salt", &[b"secret"]).expose(), some.as_slice());
}

#[test]
fn ml_kem_takes_invalid_keys_unless_they_are_validated() {
    // Coefficients of 4095 are over the modulus.
    let key = [0xFF; 1184];
    assert!(libcrux_ml_kem::mlkem768::MlKem768PublicKey::try_from(&key[..]).is_ok());
    assert!(ML_KEM_768.check(&key).is_err());
}

#[test]
fn a_trait_object_serves_as_random_numbers() {
    use chacha20::rand_core::SeedableRng;
    let mut seeded = chacha20::ChaCha20Rng::from_seed([0; 32]);
    let rng: &mut dyn CryptoRng = &mut seeded;
    assert_ne!(ED25519.generate(rng).public, ED25519.generate(rng).public);
    let mut system = xmpp_e2e::rand_core::UnwrapErr(getrandom::SysRng);
    assert_ne!(X25519.generate(&mut system).public, X25519.generate(&mut system).public);
}

#[test]
fn base64_is_strict() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    assert!(STANDARD.decode("AQI=").is_ok());
    for refused in ["AQI", "AQI=\n", " AQI=", "AQJ=", "AQI==", "A_I="] {
        assert!(STANDARD.decode(refused).is_err(), "{refused:?}");
    }
}

/// With debug assertions a vector cut short is a panic in `tls_codec`, not an error, so bytes from
/// the network must be measured before it decodes them.
#[test]
fn tls_codec_panics_on_vectors_cut_short() {
    use tls_codec::{DeserializeBytes, VLBytes};
    let decoded = std::panic::catch_unwind(|| VLBytes::tls_deserialize_bytes(&[2, 1]).is_err());
    match decoded {
        Ok(refused) => assert!(refused && !cfg!(debug_assertions)),
        Err(_) => assert!(std::hint::black_box(cfg!(debug_assertions))),
    }
}
