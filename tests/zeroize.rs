//! The secret types of our dependencies wipe themselves. A feature that goes missing in an update
//! is an error of the compiler here.

use xmpp_e2e::suite::Secret;
use zeroize::{ZeroizeOnDrop, Zeroizing};

fn wiped<T: ZeroizeOnDrop>() {}

#[test]
fn every_secret_type_wipes_itself() {
    wiped::<Zeroizing<Box<[u8]>>>();
    wiped::<Zeroizing<[u8; 64]>>();
    wiped::<ed25519_dalek::SigningKey>();
    wiped::<chacha20poly1305::ChaCha20Poly1305>();
    // `Aes256GcmSiv` does not say so itself; the cipher is all that it holds.
    wiped::<aes::Aes256>();
    // `Polyval` and `Poly1305` do not say so; they wipe themselves with a feature, see below.
    wiped::<sha2::Sha256>();
    wiped::<sha2::Sha512>();
    // `Hmac` does not say so itself; it holds two states of the hash, which do.
    wiped::<hmac::digest::CtOutput<hmac::Hmac<sha2::Sha256>>>();
    wiped::<hmac::digest::CtOutput<hmac::Hmac<sha2::Sha512>>>();
}

/// The features of the crates that do not say what they wipe.
#[test]
fn crates_that_keep_silent_are_built_with_wiping() {
    let manifest = include_str!("../Cargo.toml");
    for name in ["aes", "poly1305", "polyval"] {
        // As it is written, or as it is in the published crate.
        let line = manifest.split_once(&format!("\n{name} = ")).and_then(|(_, rest)| rest.split('\n').next());
        let table = manifest
            .split_once(&format!("\n[dependencies.{name}]"))
            .and_then(|(_, rest)| rest.split("\n[").next());
        assert!(line.or(table).unwrap().contains("\"zeroize\""), "{name}");
    }
}

/// `curve25519-dalek` wipes on request only; `libcrux-ml-kem` not at all, so the part does it.
#[test]
fn points_and_scalars_can_be_wiped() {
    fn can_be<T: zeroize::Zeroize>() {}
    can_be::<curve25519_dalek::MontgomeryPoint>();
    can_be::<curve25519_dalek::EdwardsPoint>();
    can_be::<curve25519_dalek::Scalar>();
}

/// A secret has no `Debug`, so nothing that holds one can print it by deriving.
#[test]
fn a_secret_cannot_be_printed() {
    trait Unprintable {
        const PRINTABLE: bool = false;
    }
    struct Probe<T>(core::marker::PhantomData<T>);
    impl<T> Unprintable for Probe<T> {}
    impl<T: core::fmt::Debug> Probe<T> {
        const PRINTABLE: bool = true;
    }
    const { assert!(Probe::<u8>::PRINTABLE) };
    const { assert!(!<Probe<Secret>>::PRINTABLE) };
}
