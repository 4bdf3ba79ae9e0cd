//! One-time prekeys, each signed by its device in advance.

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::{Malformed, Misbehaviour, Reason, Unreadable};
use crate::identity::{DeviceCertificate, PublicKey, account_of, check_device, join, spelled, split};
use crate::jid::BareJid;
use crate::suite::{AlgorithmId, Suites};
use crate::wire::{self, Bytes};

/// What a device signs one-time prekeys as.
pub(crate) const PREKEY_LABEL: &str = "one-time prekey";

/// The longest one-time prekey: a KEM key like those of a record, and a long JID.
pub(crate) const MAX_PREKEY: usize = 4096;

/// What a one-time prekey is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum PrekeyKind {
    Agreement = 1,
    Kem = 2,
}

/// What a one-time prekey says.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct PrekeyTbs {
    /// The bare JID of the account, as prepared.
    jid: Bytes,
    device: u32,
    /// Never used again, and not zero: a handshake names zero for none.
    id: u32,
    kind: PrekeyKind,
    key: PublicKey,
}

impl PrekeyTbs {
    pub(crate) fn new(jid: &BareJid, device: u32, id: u32, kind: PrekeyKind, key: PublicKey) -> Self {
        Self { jid: spelled(jid), device, id, kind, key }
    }

    /// The exact bytes to sign.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes bytes to sign.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        Ok(wire::decode(bytes, MAX_PREKEY)?)
    }

    /// Refuses what no one-time prekey may say. It is one key, so an unknown algorithm leaves
    /// nothing to use.
    pub(crate) fn check(&self, suites: &Suites) -> Result<(), Reason> {
        account_of(&self.jid)?;
        check_device(self.device)?;
        if self.id == 0 {
            return Err(Malformed::Encoding.into());
        }
        let (id, key) = (self.key.algorithm(), self.key.key.as_ref());
        let checked = match self.kind {
            PrekeyKind::Agreement => suites.agreement(id).map(|part| part.check(key)),
            PrekeyKind::Kem => suites.kem(id).map(|part| part.check(key)),
        };
        checked.ok_or(Unreadable::UnknownAlgorithm)?.map_err(|_| Misbehaviour::BadKey.into())
    }

    pub(crate) fn jid(&self) -> Result<BareJid, Reason> {
        account_of(&self.jid)
    }

    pub(crate) fn device(&self) -> u32 {
        self.device
    }
}

/// A verified one-time prekey.
#[derive(Clone)]
pub(crate) struct OneTimePrekey {
    content: PrekeyTbs,
    bytes: Vec<u8>,
}

impl OneTimePrekey {
    /// Verifies a one-time prekey, which must be of the device of `certificate`.
    pub(crate) fn verify(
        bytes: &[u8],
        certificate: &DeviceCertificate,
        suites: &Suites,
    ) -> Result<Self, Reason> {
        let parts = split::<PrekeyTbs>(bytes, MAX_PREKEY)?;
        if parts.content.jid()? != *certificate.jid() || parts.content.device != certificate.device() {
            return Err(Misbehaviour::WrongSubject.into());
        }
        let signature = parts.signature.as_ref();
        certificate.signing_key().verify(suites, PREKEY_LABEL, &[parts.exact], signature)?;
        // Last: checking a KEM key costs most, and only what is signed is of an unknown algorithm.
        parts.content.check(suites)?;
        Ok(Self { content: parts.content, bytes: bytes.to_vec() })
    }

    /// Puts together what an agent signed. Refuses what [`verify`](Self::verify) would.
    pub(crate) fn issue(
        tbs: &[u8],
        signature: &[u8],
        certificate: &DeviceCertificate,
        suites: &Suites,
    ) -> Result<Self, Reason> {
        Self::verify(&join(tbs, signature), certificate, suites)
    }

    /// Takes the bytes of a verified prekey back from our own store.
    #[cfg(test)]
    pub(crate) fn from_store(bytes: &[u8]) -> Result<Self, wire::Undecodable> {
        let parts = split::<PrekeyTbs>(bytes, MAX_PREKEY).map_err(|_| wire::Undecodable)?;
        Ok(Self { content: parts.content, bytes: bytes.to_vec() })
    }

    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn id(&self) -> u32 {
        self.content.id
    }

    pub(crate) fn kind(&self) -> PrekeyKind {
        self.content.kind
    }

    pub(crate) fn algorithm(&self) -> AlgorithmId {
        self.content.key.algorithm()
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.content.key.key.as_ref()
    }
}

impl fmt::Debug for OneTimePrekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTimePrekey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::{Device, damaged, rng};
    use crate::suite::{ML_KEM_768, X25519};

    fn tbs(device: &Device, id: u32, kind: PrekeyKind) -> PrekeyTbs {
        let mut rng = rng(9);
        let (algorithm, pair) = match kind {
            PrekeyKind::Agreement => (X25519.id(), X25519.generate(&mut rng)),
            PrekeyKind::Kem => (ML_KEM_768.id(), ML_KEM_768.generate(&mut rng)),
        };
        PrekeyTbs::new(&device.jid, device.id, id, kind, PublicKey::new(algorithm, &pair.public))
    }

    fn signed(device: &Device, tbs: &PrekeyTbs) -> Vec<u8> {
        device.sign_as_device(PREKEY_LABEL, &tbs.encode())
    }

    fn verify(bytes: &[u8], device: &Device) -> Result<OneTimePrekey, Reason> {
        OneTimePrekey::verify(bytes, &device.certificate(), &Suites::default())
    }

    #[test]
    fn round_trip_and_damage() {
        let device = Device::new("alice@example.com", 1);
        for (kind, size) in [(PrekeyKind::Agreement, 128), (PrekeyKind::Kem, 1281)] {
            let bytes = signed(&device, &tbs(&device, 7, kind));
            assert_eq!(bytes.len(), size);
            let prekey = verify(&bytes, &device).unwrap();
            assert_eq!((prekey.id(), prekey.kind(), prekey.algorithm()), (7, kind, AlgorithmId(1)));
            assert_eq!(OneTimePrekey::from_store(&bytes).unwrap().key(), prekey.key());
        }
        let bytes = signed(&device, &tbs(&device, 7, PrekeyKind::Agreement));
        for bytes in damaged(&bytes) {
            assert!(verify(&bytes, &device).is_err());
        }
    }

    #[test]
    fn of_its_device_only() {
        let (alice, bob) = (Device::new("alice@example.com", 1), Device::new("bob@example.com", 2));
        let of_alice = tbs(&alice, 7, PrekeyKind::Agreement);
        let wrong = Some(Misbehaviour::WrongSubject.into());
        assert_eq!(verify(&signed(&alice, &of_alice), &bob).err(), wrong);
        assert_eq!(verify(&signed(&bob, &of_alice), &alice).err(), Some(Reason::Unauthentic));
        let second = PrekeyTbs { device: alice.id ^ 1, ..of_alice.clone() };
        assert_eq!(verify(&signed(&alice, &second), &alice).err(), wrong);
        let label = alice.sign_as_device("device record", &of_alice.encode());
        assert_eq!(verify(&label, &alice).err(), Some(Reason::Unauthentic));
    }

    #[test]
    fn bad_and_unknown_keys() {
        let device = Device::new("alice@example.com", 1);
        let good = tbs(&device, 7, PrekeyKind::Agreement);
        let with = |id, key: &[u8]| PrekeyTbs { key: PublicKey::new(AlgorithmId(id), key), ..good.clone() };
        let refused = |tbs: &PrekeyTbs| verify(&signed(&device, tbs), &device).err();
        assert_eq!(refused(&with(1, &[0; 32])), Some(Misbehaviour::BadKey.into()));
        assert_eq!(refused(&with(1, &[0xFF; 32])), Some(Misbehaviour::BadKey.into()));
        assert_eq!(refused(&with(77, &[9; 32])), Some(Unreadable::UnknownAlgorithm.into()));
        assert_eq!(refused(&PrekeyTbs { id: 0, ..good.clone() }), Some(Malformed::Encoding.into()));
        let kem = PrekeyTbs { kind: PrekeyKind::Kem, ..with(1, &[0xFF; 1184]) };
        assert_eq!(refused(&kem), Some(Misbehaviour::BadKey.into()));
    }
}
