//! Devices for the tests of this crate.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;

use crate::env::Timestamp;
use crate::identity::{
    AccountKey, CERTIFICATE_LABEL, CertificateTbs, DeviceCertificate, DeviceEntry, DeviceList, DeviceRecord,
    DeviceState, LIST_LABEL, ListTbs, Prekey, PublicKey, RECORD_LABEL, RecordTbs, join,
};
use crate::jid::BareJid;
use crate::suite::kdf::signed_bytes;
use crate::suite::{ED25519, KeyPair, Level, ML_KEM_768, Suites, X25519};

/// The time of all tests, in seconds.
pub(crate) const NOW: u32 = 1_800_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A device with the private keys of its account; everything follows from the seed.
pub(crate) struct Device {
    pub(crate) jid: BareJid,
    pub(crate) id: u32,
    seed: u64,
    account: KeyPair,
    signing: KeyPair,
    pub(crate) agreement: KeyPair,
    pub(crate) signed_prekey: KeyPair,
    pub(crate) kem_prekey: KeyPair,
}

impl Device {
    pub(crate) fn new(jid: &str, seed: u64) -> Self {
        let rng = &mut rng(seed);
        Self {
            jid: BareJid::parse(jid).unwrap(),
            id: u32::try_from(seed).unwrap() + 1000,
            seed,
            account: ED25519.generate(rng),
            signing: ED25519.generate(rng),
            agreement: X25519.generate(rng),
            signed_prekey: X25519.generate(rng),
            kem_prekey: ML_KEM_768.generate(rng),
        }
    }

    pub(crate) fn account(&self) -> AccountKey {
        AccountKey::new(ED25519.id(), &self.account.public, b"")
    }

    pub(crate) fn certificate_tbs(&self) -> CertificateTbs {
        CertificateTbs {
            jid: super::spelled(&self.jid),
            account: self.account(),
            device: self.id,
            signing_key: PublicKey::new(ED25519.id(), &self.signing.public),
            agreement_keys: vec![PublicKey::new(X25519.id(), &self.agreement.public)],
            flags: 0,
            not_before: NOW - 1000,
            not_after: NOW + 1_000_000,
            serial: 1,
            extensions: Vec::new(),
        }
    }

    pub(crate) fn certificate(&self) -> DeviceCertificate {
        let bytes = self.sign_as_account(CERTIFICATE_LABEL, &self.certificate_tbs().encode());
        DeviceCertificate::verify(&bytes, None, &Suites::default(), now()).unwrap()
    }

    pub(crate) fn record_tbs(&self) -> RecordTbs {
        let signed = vec![Prekey::new(X25519.id(), 1, &self.signed_prekey.public)];
        let kem = vec![Prekey::new(ML_KEM_768.id(), 2, &self.kem_prekey.public)];
        let suites = Suites::default().ids(Level::CLASSICAL);
        let rng = &mut rng(self.seed);
        RecordTbs::new(&self.certificate(), suites, (signed, kem), 1, NOW + 500_000, rng)
    }

    pub(crate) fn record(&self) -> DeviceRecord {
        let bytes = self.sign_as_device(RECORD_LABEL, &self.record_tbs().encode());
        DeviceRecord::verify(&bytes, &self.jid, &Suites::default(), now()).unwrap()
    }

    /// A list of its account.
    pub(crate) fn list(&self, version: u32, entries: &[(u32, DeviceState)], tombstone: bool) -> DeviceList {
        let entry = |(device, state): &(u32, DeviceState)| DeviceEntry {
            device: *device,
            lowest_serial: 1,
            state: *state,
        };
        let entries = entries.iter().map(entry).collect();
        let tbs = ListTbs::new(&self.jid, &self.account(), version, entries, tombstone);
        let bytes = self.sign_as_account(LIST_LABEL, &tbs.encode());
        DeviceList::verify(&bytes, &self.jid, &self.account(), &Suites::default()).unwrap()
    }

    /// `content` and its signature by the account key.
    pub(crate) fn sign_as_account(&self, label: &str, content: &[u8]) -> Vec<u8> {
        join(content, &sign(&self.account, label, &[content]))
    }

    /// `content` and its signature by the device signing key.
    pub(crate) fn sign_as_device(&self, label: &str, content: &[u8]) -> Vec<u8> {
        join(content, &self.signature(label, &[content]))
    }

    /// The signature of `content` by the device signing key.
    pub(crate) fn signature(&self, label: &str, content: &[&[u8]]) -> Vec<u8> {
        sign(&self.signing, label, content)
    }
}

fn sign(pair: &KeyPair, label: &str, content: &[&[u8]]) -> Vec<u8> {
    ED25519.sign(&pair.secret, &signed_bytes(label, content).unwrap()).unwrap()
}

/// `bytes` with each byte altered, cut at each place, and with one more byte.
pub(crate) fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let altered = (0..bytes.len()).map(|place| {
        let mut altered = bytes.to_vec();
        altered[place] ^= 1 << (place % 8);
        altered
    });
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    altered.chain(cut).chain([[bytes, &[0]].concat()])
}
