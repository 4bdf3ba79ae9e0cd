//! A suite this crate does not know, added without touching it: P-256 with AES-256-GCM.
//!
//! The parts that are missing are implemented here, those the crate has are taken from it, and the
//! conformance kit says whether the whole keeps its promises. Then engines that have it use it with
//! each other, and the mandatory suite with an engine that has not. `cargo run --example custom_suite`

use std::error::Error;
use std::io::Write;

use suite::SUITE_P256;
use xmpp_e2e::Protection;
use xmpp_e2e::rand_core::UnwrapErr;
use xmpp_e2e::suite::{SUITE_CLASSICAL, Suites, conformance};
use xmpp_e2e_testkit::{Device, World};

/// The suite and its parts: what a crate with a suite of its own would publish.
pub mod suite {
    use aes_gcm::aead::AeadInOut;
    use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
    use p256::elliptic_curve::sec1::ToSec1Point;
    use p256::{PublicKey, SecretKey};
    use xmpp_e2e::rand_core::CryptoRng;
    use xmpp_e2e::suite::{
        Aead, Agreement, AlgorithmId, ED25519, KeyPair, Level, Refused, SHA_256, Secret, Suite, SuiteId,
    };

    /// The suite, with a number for private use.
    pub static SUITE_P256: Suite = Suite {
        id: SuiteId(0xF001),
        name: "P-256, AES-256-GCM, SHA-256, Ed25519",
        level: Level::CLASSICAL,
        agreement: &P256,
        kem: None,
        aead: &Aes256GcmPart,
        hash: SHA_256,
        signature: ED25519,
    };

    /// ECDH over P-256 with compressed keys (SEC 1).
    struct P256;

    impl Agreement for P256 {
        fn id(&self) -> AlgorithmId {
            AlgorithmId(0xF001)
        }

        fn public_len(&self) -> usize {
            33
        }

        fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
            // Nearly every 32 bytes are a private key; the others are drawn again.
            loop {
                let secret = Secret::random(32, rng);
                if let Ok(key) = SecretKey::from_slice(secret.expose()) {
                    let public = key.public_key().to_sec1_point(true).as_bytes().to_vec();
                    return KeyPair { secret, public };
                }
            }
        }

        fn check(&self, public: &[u8]) -> Result<(), Refused> {
            public_key(public).map(drop)
        }

        fn agree(&self, secret: &Secret, public: &[u8]) -> Result<Secret, Refused> {
            let public = public_key(public)?;
            // `from_slice` would take a key cut short.
            let bytes = <&[u8; 32]>::try_from(secret.expose()).map_err(|_| Refused)?;
            let key = SecretKey::from_slice(bytes).map_err(|_| Refused)?;
            // The order of the group is prime: the secret is never the point at infinity.
            let shared = p256::ecdh::diffie_hellman(key.to_nonzero_scalar(), public.as_affine());
            Ok(Secret::from(shared.raw_secret_bytes().as_slice()))
        }
    }

    /// Only compressed keys, so that each has one encoding; the curve is checked in decoding.
    fn public_key(public: &[u8]) -> Result<PublicKey, Refused> {
        if public.len() != 33 || !matches!(public.first(), Some(2 | 3)) {
            return Err(Refused);
        }
        PublicKey::from_sec1_bytes(public).map_err(|_| Refused)
    }

    /// AES-256-GCM.
    struct Aes256GcmPart;

    impl Aead for Aes256GcmPart {
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
            let cipher = Aes256Gcm::new_from_slice(key).map_err(|_| Refused)?;
            let nonce = Nonce::try_from(nonce).map_err(|_| Refused)?;
            cipher.encrypt_in_place(&nonce, aad, buffer).map_err(|_| Refused)
        }

        fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
            let cipher = Aes256Gcm::new_from_slice(key).map_err(|_| Refused)?;
            let nonce = Nonce::try_from(nonce).map_err(|_| Refused)?;
            cipher.decrypt_in_place(&nonce, aad, buffer).map_err(|_| Refused)
        }
    }
}

/// Checks the suite, and has engines with and without it talk to each other.
///
/// # Errors
/// If it does not conform, or another suite is used than should be.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    conformance::check(&SUITE_P256, &mut UnwrapErr(getrandom::SysRng))?;
    writeln!(out, "{} conforms", SUITE_P256.name)?;

    // An engine takes it like any other: first in its order of preference, the mandatory one last.
    let extended = Suites::new(&[&SUITE_P256, &SUITE_CLASSICAL])?;
    let mut world = World::new(1);
    let alice = add(&mut world, "alice@example.com/phone", &extended);
    let bob = add(&mut world, "bob@example.org/desk", &extended);
    let carol = add(&mut world, "carol@example.net/laptop", &Suites::default());
    for (one, other) in [(BOB, ALICE), (ALICE, CAROL)] {
        world.server.befriend(one, other);
    }
    for device in [alice, bob, carol] {
        world.connect(device);
    }
    world.run();
    for (from, to, jid, expected) in [
        (alice, bob, BOB, &SUITE_P256),
        (bob, alice, ALICE, &SUITE_P256),
        (alice, carol, CAROL, &SUITE_CLASSICAL),
        (carol, alice, ALICE, &SUITE_CLASSICAL),
    ] {
        world.say(from, jid, "hello");
        world.run();
        let letter = world.devices.get(to).and_then(|device| device.inbox().last()).ok_or("nothing came")?;
        let Some(Protection::Encrypted { suite, .. }) = letter.protection else {
            return Err(format!("{jid} got clear text").into());
        };
        writeln!(out, "{} to {jid}: suite {:#06x}", letter.from, suite.0)?;
        if suite != expected.id {
            return Err(format!("that should be suite {:#06x}", expected.id.0).into());
        }
    }
    Ok(())
}

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.org";
const CAROL: &str = "carol@example.net";

/// A device whose agent has keys for these suites, and whose engine uses them.
fn add(world: &mut World, full_jid: &str, suites: &Suites) -> usize {
    let device = Device::first_with(full_jid, suites, &mut world.rng);
    world.devices.push(device);
    world.devices.len() - 1
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout())
}
