//! Device records: all that a first message to a device needs, in one signed structure.

use core::fmt;

use rand_core::CryptoRng;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;
use crate::error::{Malformed, Misbehaviour, Reason};
use crate::identity::{
    DeviceCertificate, Digest, Extension, MAX_EXTENSIONS, MAX_SUITE_NUMBERS, check_agreement, check_expiry,
    check_kem, check_keys, check_succession, digest, join, split,
};
use crate::jid::BareJid;
use crate::suite::{AlgorithmId, Suites};
use crate::wire::{self, Bytes, Undecodable};

/// What a device signs its record as.
pub(crate) const RECORD_LABEL: &str = "device record";

/// The longest record. A hybrid one has 1.5 KiB, most of it the KEM key; servers take PEP items of
/// this size everywhere.
pub(crate) const MAX_RECORD: usize = 2048;

/// A signed prekey or a last-resort KEM prekey in a record.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Prekey {
    algorithm: u16,
    id: u32,
    key: Bytes,
}

impl Prekey {
    pub(crate) fn new(algorithm: AlgorithmId, id: u32, key: &[u8]) -> Self {
        Self { algorithm: algorithm.0, id, key: key.to_vec().into() }
    }

    pub(crate) fn algorithm(&self) -> AlgorithmId {
        AlgorithmId(self.algorithm)
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.key.as_ref()
    }
}

impl fmt::Debug for Prekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prekey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a device record says.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct RecordTbs {
    /// The exact bytes of the certificate.
    pub(crate) certificate: Bytes,
    /// The preferred first, with grease.
    pub(crate) suites: Vec<u16>,
    /// One for each group of the suites.
    pub(crate) signed_prekeys: Vec<Prekey>,
    /// The last resort when one-time keys are out: one for each KEM of the suites.
    pub(crate) kem_prekeys: Vec<Prekey>,
    /// Where attestations of the account key are.
    pub(crate) attestations: Bytes,
    /// Rises with each record.
    pub(crate) sequence: u32,
    /// Seconds since the Unix epoch.
    pub(crate) expiry: u32,
    pub(crate) extensions: Vec<Extension>,
}

impl RecordTbs {
    /// The record of the device of `certificate`, with a grease suite and a grease extension added.
    pub(crate) fn new(
        certificate: &DeviceCertificate,
        suites: Vec<u16>,
        prekeys: (Vec<Prekey>, Vec<Prekey>),
        sequence: u32,
        expiry: u32,
        rng: &mut dyn CryptoRng,
    ) -> Self {
        let (signed_prekeys, kem_prekeys) = prekeys;
        Self {
            certificate: certificate.bytes().to_vec().into(),
            suites: crate::suite::grease(suites, rng),
            signed_prekeys,
            kem_prekeys,
            attestations: Bytes::default(),
            sequence,
            expiry,
            extensions: vec![Extension::grease(rng)],
        }
    }

    /// The exact bytes to sign.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes bytes to sign.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        Ok(wire::decode(bytes, MAX_RECORD)?)
    }

    /// Refuses what no record may say, whoever signed it.
    pub(crate) fn check(&self, suites: &Suites) -> Result<(), Reason> {
        let ids = self.signed_prekeys.iter().chain(&self.kem_prekeys).map(Prekey::id);
        let too_many = self.suites.len() > MAX_SUITE_NUMBERS || self.extensions.len() > MAX_EXTENSIONS;
        // A handshake names zero for none.
        if too_many || ids.into_iter().any(|id| id == 0) {
            return Err(Malformed::Encoding.into());
        }
        let signed = self.signed_prekeys.iter().map(|prekey| (prekey.algorithm, prekey.key()));
        check_keys(&signed, |id, key| check_agreement(suites, id, key))?;
        let kem = self.kem_prekeys.iter().map(|prekey| (prekey.algorithm, prekey.key()));
        check_keys(&kem, |id, key| check_kem(suites, id, key))
    }
}

/// A verified device record.
#[derive(Clone)]
pub(crate) struct DeviceRecord {
    content: RecordTbs,
    certificate: DeviceCertificate,
    digest: Digest,
    bytes: Vec<u8>,
}

impl DeviceRecord {
    /// Verifies a record and the certificate in it, which must be of `jid` and valid now.
    pub(crate) fn verify(
        bytes: &[u8],
        jid: &BareJid,
        suites: &Suites,
        now: Timestamp,
    ) -> Result<Self, Reason> {
        let record = Self::verify_at_any_time(bytes, suites)?;
        if record.certificate.jid() != jid {
            return Err(Misbehaviour::WrongSubject.into());
        }
        record.check_time(now)?;
        Ok(record)
    }

    /// Puts together what an agent signed. Refuses what [`verify`](Self::verify) would.
    pub(crate) fn issue(tbs: &[u8], signature: &[u8], suites: &Suites) -> Result<Self, Reason> {
        Self::verify_at_any_time(&join(tbs, signature), suites)
    }

    fn verify_at_any_time(bytes: &[u8], suites: &Suites) -> Result<Self, Reason> {
        let parts = split::<RecordTbs>(bytes, MAX_RECORD)?;
        let inner = parts.content.certificate.as_ref();
        let certificate = DeviceCertificate::verify_at_any_time(inner, suites)?;
        let signature = parts.signature.as_ref();
        certificate.signing_key().verify(suites, RECORD_LABEL, &[parts.exact], signature)?;
        // Last, because checking a KEM key costs most.
        parts.content.check(suites)?;
        Ok(Self::assemble(parts.content, certificate, bytes))
    }

    /// Takes the bytes of a verified record back from our own store.
    pub(crate) fn from_store(bytes: &[u8]) -> Result<Self, Undecodable> {
        let parts = split::<RecordTbs>(bytes, MAX_RECORD).map_err(|_| Undecodable)?;
        let certificate = DeviceCertificate::from_store(parts.content.certificate.as_ref())?;
        Ok(Self::assemble(parts.content, certificate, bytes))
    }

    fn assemble(content: RecordTbs, certificate: DeviceCertificate, bytes: &[u8]) -> Self {
        Self { content, certificate, digest: digest(bytes), bytes: bytes.to_vec() }
    }

    /// When it is good no more.
    pub(crate) fn expiry(&self) -> Timestamp {
        Timestamp::from_secs(self.content.expiry)
    }

    /// Refuses a record, or its certificate, that is out of its time.
    pub(crate) fn check_time(&self, now: Timestamp) -> Result<(), Reason> {
        self.certificate.check_time(now)?;
        check_expiry(self.content.expiry, now)
    }

    /// Refuses to let this follow `known` unless it is of the same account and device and newer,
    /// or the very same.
    pub(crate) fn check_successor_of(&self, known: &Self) -> Result<(), Reason> {
        self.certificate.check_successor_of(&known.certificate)?;
        check_succession((self.sequence(), &self.bytes), (known.sequence(), &known.bytes))
    }

    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(crate) fn certificate(&self) -> &DeviceCertificate {
        &self.certificate
    }

    /// Suite numbers, the preferred first, unknown ones and grease among them.
    pub(crate) fn suites(&self) -> &[u16] {
        &self.content.suites
    }

    /// The signed prekey of one algorithm.
    pub(crate) fn signed_prekey(&self, id: AlgorithmId) -> Option<&Prekey> {
        self.content.signed_prekeys.iter().find(|prekey| prekey.algorithm() == id)
    }

    /// The last-resort KEM prekey of one algorithm.
    pub(crate) fn kem_prekey(&self, id: AlgorithmId) -> Option<&Prekey> {
        self.content.kem_prekeys.iter().find(|prekey| prekey.algorithm() == id)
    }

    pub(crate) fn sequence(&self) -> u32 {
        self.content.sequence
    }
}

impl fmt::Debug for DeviceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRecord").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::{self, Device, NOW, damaged};
    use crate::suite::{SUITE_CLASSICAL, SuiteId};

    fn verify(bytes: &[u8], device: &Device) -> Result<DeviceRecord, Reason> {
        DeviceRecord::verify(bytes, &device.jid, &Suites::default(), fixture::now())
    }

    fn signed(device: &Device, change: impl FnOnce(&mut RecordTbs)) -> Vec<u8> {
        let mut tbs = device.record_tbs();
        change(&mut tbs);
        device.sign_as_device(RECORD_LABEL, &tbs.encode())
    }

    #[test]
    fn round_trip_and_size() {
        let device = Device::new("alice@example.com", 1);
        let record = device.record();
        assert!((1500..1600).contains(&record.bytes().len()), "{}", record.bytes().len());
        let again = verify(record.bytes(), &device).unwrap();
        assert_eq!(again.digest(), record.digest());
        assert_eq!(*again.digest(), digest(record.bytes()));
        assert_eq!(again.certificate().device(), device.id);
        let known: Vec<u16> = again.suites().iter().copied().filter(|id| !SuiteId(*id).is_grease()).collect();
        assert_eq!((known, again.suites().len()), (vec![2, 3, 1], 4));
        assert!(again.signed_prekey(AlgorithmId(1)).is_some());
        assert_eq!(again.kem_prekey(AlgorithmId(1)).unwrap().key().len(), 1184);
        assert!(again.kem_prekey(AlgorithmId(2)).is_none());
        assert_eq!(DeviceRecord::from_store(record.bytes()).unwrap().digest(), record.digest());
    }

    #[test]
    fn nothing_damaged_is_accepted() {
        let device = Device::new("alice@example.com", 1);
        // The bytes of the KEM key, all alike to the decoder, are left out: they would take a minute.
        let bytes = signed(&device, |tbs| tbs.kem_prekeys.clear());
        assert!(verify(&bytes, &device).is_ok());
        for bytes in damaged(&bytes) {
            assert!(verify(&bytes, &device).is_err());
        }
    }

    #[test]
    fn of_its_account_and_device_only() {
        let (alice, bob) = (Device::new("alice@example.com", 1), Device::new("bob@example.com", 2));
        let record = alice.record();
        assert_eq!(verify(record.bytes(), &bob).err(), Some(Misbehaviour::WrongSubject.into()));
        let foreign = bob.sign_as_device(RECORD_LABEL, &alice.record_tbs().encode());
        assert_eq!(verify(&foreign, &alice).err(), Some(Reason::Unauthentic));
        let by_account = alice.sign_as_account(RECORD_LABEL, &alice.record_tbs().encode());
        assert_eq!(verify(&by_account, &alice).err(), Some(Reason::Unauthentic));
        let inner = bob.sign_as_account("device certificate", &alice.certificate_tbs().encode());
        let bytes = signed(&alice, |tbs| tbs.certificate = inner.into());
        assert_eq!(verify(&bytes, &alice).err(), Some(Reason::Unauthentic));
    }

    #[test]
    fn expiry_holds_for_record_and_certificate() {
        let device = Device::new("alice@example.com", 1);
        let expired = Some(Misbehaviour::Expired.into());
        let at = |expiry| verify(&signed(&device, |tbs| tbs.expiry = expiry), &device).err();
        assert_eq!(at(NOW - 86_400), None);
        assert_eq!(at(NOW - 86_401), expired);
        let mut old = device.certificate_tbs();
        old.not_after = NOW - 86_401;
        let old = device.sign_as_account("device certificate", &old.encode());
        assert_eq!(verify(&signed(&device, |tbs| tbs.certificate = old.into()), &device).err(), expired);
    }

    #[test]
    fn bad_keys_are_refused_and_unknown_ones_kept() {
        let device = Device::new("alice@example.com", 1);
        let refused = |change: fn(&mut RecordTbs)| verify(&signed(&device, change), &device).err();
        let bad = Some(Misbehaviour::BadKey.into());
        assert_eq!(refused(|tbs| tbs.signed_prekeys = vec![Prekey::new(AlgorithmId(1), 1, &[0; 32])]), bad);
        assert_eq!(refused(|tbs| tbs.kem_prekeys = vec![Prekey::new(AlgorithmId(1), 1, &[255; 1184])]), bad);
        assert_eq!(refused(|tbs| tbs.signed_prekeys.extend(tbs.signed_prekeys.clone())), bad);
        let none = Some(Malformed::Encoding.into());
        assert_eq!(refused(|tbs| tbs.signed_prekeys = vec![Prekey::new(AlgorithmId(7), 0, &[1])]), none);
        assert_eq!(refused(|tbs| tbs.suites = vec![1; 19]), none);
        assert_eq!(refused(|tbs| tbs.signed_prekeys.push(Prekey::new(AlgorithmId(7), 9, &[0; 65]))), None);
        // What is no KEM key is nothing to a device without that KEM.
        let bytes =
            signed(&device, |tbs| tbs.kem_prekeys = vec![Prekey::new(AlgorithmId(1), 1, &[255; 1184])]);
        let classical = Suites::new(&[&SUITE_CLASSICAL]).unwrap();
        assert!(DeviceRecord::verify(&bytes, &device.jid, &classical, fixture::now()).is_ok());
    }

    #[test]
    fn only_the_newer_follows() {
        let device = Device::new("alice@example.com", 1);
        let of = |sequence| verify(&signed(&device, |tbs| tbs.sequence = sequence), &device).unwrap();
        let other =
            verify(&signed(&device, |tbs| (tbs.sequence, tbs.suites) = (2, vec![])), &device).unwrap();
        assert_eq!(of(3).check_successor_of(&of(2)), Ok(()));
        assert_eq!(of(2).check_successor_of(&of(2)), Ok(()));
        assert_eq!(of(1).check_successor_of(&of(2)), Err(Misbehaviour::RolledBack.into()));
        assert_eq!(other.check_successor_of(&of(2)), Err(Misbehaviour::Equivocation.into()));
    }
}
