//! Device certificates: the account key says which keys a device has.

use core::fmt;
use core::time::Duration;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;
use crate::error::{Malformed, Misbehaviour, Reason};
use crate::identity::{
    AccountKey, Digest, Extension, MAX_EXTENSIONS, PublicKey, TOLERANCE, account_of, check_agreement,
    check_device, check_expiry, check_keys, check_signature, check_succession, join, split,
};
use crate::jid::BareJid;
use crate::suite::{AlgorithmId, Suites};
use crate::wire::{self, Bytes, Undecodable};

/// What the account key signs certificates as.
pub(crate) const CERTIFICATE_LABEL: &str = "device certificate";

/// Flag: signed by the device itself and good for linking it only. [`DeviceCertificate::verify`]
/// refuses it.
pub(crate) const LINKING: u8 = 1;

/// What a new device signs its provisional certificate as.
pub(crate) const PROVISIONAL_LABEL: &str = "provisional certificate";

/// A provisional certificate is good for so long: time for a person to look at two screens.
pub(crate) const LINKING_LIFE: Duration = Duration::from_mins(10);

/// The longest certificate: 200 bytes with the keys of every suite here, and room for a long JID
/// and keys of other algorithms. A record, which has 2 KiB, holds one.
pub(crate) const MAX_CERTIFICATE: usize = 1024;

/// What a device certificate says.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct CertificateTbs {
    /// The bare JID of the account, as prepared.
    pub(crate) jid: Bytes,
    pub(crate) account: AccountKey,
    /// Random, not zero, and at most `MAX_DEVICE_ID`.
    pub(crate) device: u32,
    pub(crate) signing_key: PublicKey,
    /// One for each group of the device's suites.
    pub(crate) agreement_keys: Vec<PublicKey>,
    pub(crate) flags: u8,
    /// Seconds since the Unix epoch.
    pub(crate) not_before: u32,
    /// Seconds since the Unix epoch.
    pub(crate) not_after: u32,
    /// Rises with each certificate of the device.
    pub(crate) serial: u32,
    pub(crate) extensions: Vec<Extension>,
}

impl CertificateTbs {
    /// The exact bytes to sign.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes bytes to sign.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        Ok(wire::decode(bytes, MAX_CERTIFICATE)?)
    }

    /// What the certificate of these exact bytes says, verified or not.
    pub(crate) fn inside(certificate: &[u8]) -> Result<Self, Reason> {
        Ok(split::<Self>(certificate, MAX_CERTIFICATE)?.content)
    }

    /// Refuses what is no provisional certificate.
    pub(crate) fn check_provisional(&self) -> Result<(), Reason> {
        let life = u64::from(self.not_after.saturating_sub(self.not_before));
        if self.flags & LINKING == 0 || life > LINKING_LIFE.as_secs() {
            return Err(Misbehaviour::WrongSubject.into());
        }
        Ok(())
    }

    /// Whether it says that it is good for linking only.
    pub(crate) fn is_provisional(&self) -> bool {
        self.flags & LINKING != 0
    }

    /// Refuses what no certificate may say, whoever signed it.
    pub(crate) fn check(&self, suites: &Suites) -> Result<(), Reason> {
        account_of(&self.jid)?;
        check_device(self.device)?;
        if self.extensions.len() > MAX_EXTENSIONS {
            return Err(Malformed::Encoding.into());
        }
        if self.not_after < self.not_before {
            return Err(Misbehaviour::Expired.into());
        }
        self.account.check(suites)?;
        let signing = &self.signing_key;
        let bad = check_signature(suites, signing.algorithm(), signing.key.as_ref()).is_err();
        // One key, one purpose.
        if bad || signing == self.account.key() {
            return Err(Misbehaviour::BadKey.into());
        }
        let keys = self.agreement_keys.iter().map(|key| (key.algorithm, key.key.as_ref()));
        check_keys(&keys, |id, key| check_agreement(suites, id, key))
    }
}

/// A verified device certificate.
#[derive(Clone)]
pub(crate) struct DeviceCertificate {
    content: CertificateTbs,
    jid: BareJid,
    account: Digest,
    bytes: Vec<u8>,
}

impl DeviceCertificate {
    /// Verifies a certificate, which must be by the account key of digest `expected_account` where
    /// one is given, and valid now.
    pub(crate) fn verify(
        bytes: &[u8],
        expected_account: Option<&Digest>,
        suites: &Suites,
        now: Timestamp,
    ) -> Result<Self, Reason> {
        let certificate = Self::verify_at_any_time(bytes, suites)?;
        if expected_account.is_some_and(|expected| *expected != certificate.account) {
            return Err(Misbehaviour::WrongSubject.into());
        }
        certificate.check_time(now)?;
        Ok(certificate)
    }

    /// Puts together what an agent signed. Refuses what [`verify`](Self::verify) would.
    pub(crate) fn issue(tbs: &[u8], signature: &[u8], suites: &Suites) -> Result<Self, Reason> {
        Self::verify_at_any_time(&join(tbs, signature), suites)
    }

    /// Everything but the time.
    pub(crate) fn verify_at_any_time(bytes: &[u8], suites: &Suites) -> Result<Self, Reason> {
        let parts = split::<CertificateTbs>(bytes, MAX_CERTIFICATE)?;
        parts.content.check(suites)?;
        if parts.content.is_provisional() {
            return Err(Misbehaviour::WrongSubject.into());
        }
        let signature = parts.signature.as_ref();
        parts.content.account.verify(suites, CERTIFICATE_LABEL, parts.exact, signature)?;
        Self::assemble(parts.content, bytes)
    }

    /// Verifies a provisional certificate, by which a new device asks to be linked: it says which keys the device has,
    /// and nothing of whose it is.
    pub(crate) fn verify_provisional(bytes: &[u8], suites: &Suites, now: Timestamp) -> Result<Self, Reason> {
        let certificate = Self::verify_provisional_at_any_time(bytes, suites)?;
        certificate.check_time(now)?;
        Ok(certificate)
    }

    /// Puts together what a new device's agent signed.
    pub(crate) fn issue_provisional(tbs: &[u8], signature: &[u8], suites: &Suites) -> Result<Self, Reason> {
        Self::verify_provisional_at_any_time(&join(tbs, signature), suites)
    }

    fn verify_provisional_at_any_time(bytes: &[u8], suites: &Suites) -> Result<Self, Reason> {
        let parts = split::<CertificateTbs>(bytes, MAX_CERTIFICATE)?;
        parts.content.check(suites)?;
        parts.content.check_provisional()?;
        let signature = parts.signature.as_ref();
        parts.content.signing_key.verify(suites, PROVISIONAL_LABEL, &[parts.exact], signature)?;
        Self::assemble(parts.content, bytes)
    }

    /// Takes the bytes of a verified certificate back from our own store.
    pub(crate) fn from_store(bytes: &[u8]) -> Result<Self, Undecodable> {
        let parts = split::<CertificateTbs>(bytes, MAX_CERTIFICATE).map_err(|_| Undecodable)?;
        Self::assemble(parts.content, bytes).map_err(|_| Undecodable)
    }

    fn assemble(content: CertificateTbs, bytes: &[u8]) -> Result<Self, Reason> {
        let jid = account_of(&content.jid)?;
        let account = content.account.digest();
        Ok(Self { content, jid, account, bytes: bytes.to_vec() })
    }

    /// Refuses a time outside the certificate's, with a day of tolerance at both ends.
    pub(crate) fn check_time(&self, now: Timestamp) -> Result<(), Reason> {
        if now.after(TOLERANCE) < Timestamp::from_secs(self.content.not_before) {
            return Err(Misbehaviour::Expired.into());
        }
        check_expiry(self.content.not_after, now)
    }

    /// Refuses to let this follow `known` unless it is of the same account and device and newer,
    /// or the very same.
    pub(crate) fn check_successor_of(&self, known: &Self) -> Result<(), Reason> {
        if self.jid != known.jid || self.account != known.account || self.device() != known.device() {
            return Err(Misbehaviour::WrongSubject.into());
        }
        check_succession((self.serial(), &self.bytes), (known.serial(), &known.bytes))
    }

    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(test)]
    pub(crate) fn digest(&self) -> Digest {
        super::digest(&self.bytes)
    }

    pub(crate) fn jid(&self) -> &BareJid {
        &self.jid
    }

    pub(crate) fn account(&self) -> &AccountKey {
        &self.content.account
    }

    pub(crate) fn account_digest(&self) -> &Digest {
        &self.account
    }

    pub(crate) fn device(&self) -> u32 {
        self.content.device
    }

    pub(crate) fn signing_key(&self) -> &PublicKey {
        &self.content.signing_key
    }

    /// All agreement keys.
    pub(crate) fn agreement_keys(&self) -> &[PublicKey] {
        &self.content.agreement_keys
    }

    /// The agreement key of one algorithm.
    pub(crate) fn agreement_key(&self, id: AlgorithmId) -> Option<&[u8]> {
        let key = self.content.agreement_keys.iter().find(|key| key.algorithm == id.0)?;
        Some(key.key.as_ref())
    }

    pub(crate) fn not_after(&self) -> Timestamp {
        Timestamp::from_secs(self.content.not_after)
    }

    pub(crate) fn serial(&self) -> u32 {
        self.content.serial
    }

    #[cfg(test)]
    pub(crate) fn extensions(&self) -> &[Extension] {
        &self.content.extensions
    }
}

impl fmt::Debug for DeviceCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCertificate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::{self, Device, NOW, damaged};

    const DAY: u32 = 24 * 60 * 60;

    fn verify(bytes: &[u8]) -> Result<DeviceCertificate, Reason> {
        DeviceCertificate::verify(bytes, None, &Suites::default(), fixture::now())
    }

    fn signed(device: &Device, change: impl FnOnce(&mut CertificateTbs)) -> Vec<u8> {
        let mut tbs = device.certificate_tbs();
        change(&mut tbs);
        device.sign_as_account(CERTIFICATE_LABEL, &tbs.encode())
    }

    #[test]
    fn round_trip_and_size() {
        let device = Device::new("alice@example.com", 1);
        let certificate = device.certificate();
        assert_eq!(certificate.bytes().len(), 209);
        let again = verify(certificate.bytes()).unwrap();
        assert_eq!(again.bytes(), certificate.bytes());
        assert_eq!(again.digest(), crate::identity::digest(certificate.bytes()));
        assert_eq!(again.jid().as_str(), "alice@example.com");
        assert_eq!(again.device(), device.id);
        assert!(again.agreement_key(AlgorithmId(1)).is_some());
        assert!(again.agreement_key(AlgorithmId(2)).is_none());
        let stored = DeviceCertificate::from_store(certificate.bytes()).unwrap();
        assert_eq!(stored.account_digest(), certificate.account_digest());
        assert_eq!(format!("{stored:?}"), "DeviceCertificate { .. }");
    }

    #[test]
    fn nothing_damaged_is_accepted() {
        let certificate = Device::new("alice@example.com", 1).certificate();
        for bytes in damaged(certificate.bytes()) {
            assert!(verify(&bytes).is_err());
        }
    }

    #[test]
    fn of_the_expected_account_only() {
        let (alice, mallory) = (Device::new("alice@example.com", 1), Device::new("alice@example.com", 2));
        let (suites, now) = (Suites::default(), fixture::now());
        let bytes = mallory.certificate().bytes().to_vec();
        let own = *mallory.certificate().account_digest();
        assert!(DeviceCertificate::verify(&bytes, Some(&own), &suites, now).is_ok());
        let expected = *alice.certificate().account_digest();
        assert_eq!(
            DeviceCertificate::verify(&bytes, Some(&expected), &suites, now).err(),
            Some(Misbehaviour::WrongSubject.into())
        );
        // Signed by another account's key than the one it names.
        let foreign = mallory.sign_as_account(CERTIFICATE_LABEL, &alice.certificate_tbs().encode());
        assert_eq!(verify(&foreign).err(), Some(Reason::Unauthentic));
        // Signed under another label.
        let label = alice.sign_as_account("device list", &alice.certificate_tbs().encode());
        assert_eq!(verify(&label).err(), Some(Reason::Unauthentic));
    }

    #[test]
    fn time_with_a_day_of_tolerance() {
        let device = Device::new("alice@example.com", 1);
        let at = |not_before, not_after| {
            verify(&signed(&device, |tbs| (tbs.not_before, tbs.not_after) = (not_before, not_after)))
                .map(drop)
        };
        let expired = Err(Misbehaviour::Expired.into());
        assert_eq!(at(NOW, NOW), Ok(()));
        assert_eq!(at(NOW + DAY, NOW + DAY), Ok(()));
        assert_eq!(at(NOW + DAY + 1, NOW + 9 * DAY), expired);
        assert_eq!(at(NOW - 9 * DAY, NOW - DAY), Ok(()));
        assert_eq!(at(NOW - 9 * DAY, NOW - DAY - 1), expired);
        assert_eq!(at(NOW + 1, NOW), expired);
    }

    #[test]
    fn refuses_what_may_not_be_said() {
        let device = Device::new("alice@example.com", 1);
        let refused = |change: fn(&mut CertificateTbs)| verify(&signed(&device, change)).err().unwrap();
        let bad_key = Reason::from(Misbehaviour::BadKey);
        assert_eq!(refused(|tbs| tbs.device = 0), Malformed::Encoding.into());
        assert_eq!(refused(|tbs| tbs.device = 1 << 31), Malformed::Encoding.into());
        assert_eq!(refused(|tbs| tbs.flags = LINKING), Misbehaviour::WrongSubject.into());
        assert_eq!(refused(|tbs| tbs.jid = b"Alice@example.com".to_vec().into()), Malformed::Jid.into());
        assert_eq!(refused(|tbs| tbs.jid = b"alice@example.com/x".to_vec().into()), Malformed::Jid.into());
        assert_eq!(refused(|tbs| tbs.jid = vec![0xFF].into()), Malformed::Jid.into());
        assert_eq!(refused(|tbs| tbs.signing_key = tbs.account.key().clone()), bad_key);
        assert_eq!(refused(|tbs| tbs.signing_key.key = vec![0; 32].into()), bad_key);
        // Of small order, not canonical, too short, twice.
        let with = |key: &[u8]| vec![PublicKey::new(AlgorithmId(1), key)];
        let keys = |keys: Vec<PublicKey>| verify(&signed(&device, |tbs| tbs.agreement_keys = keys)).err();
        assert_eq!(keys(with(&[0; 32])), Some(bad_key));
        assert_eq!(keys(with(&[0xFF; 32])), Some(bad_key));
        assert_eq!(keys(with(&[9; 31])), Some(bad_key));
        let one = device.certificate_tbs().agreement_keys;
        assert_eq!(keys([one.clone(), one].concat()), Some(bad_key));
        let too_long =
            refused(|tbs| tbs.extensions = vec![Extension { kind: 1, data: vec![0; 1000].into() }]);
        assert_eq!(too_long, Malformed::TooLarge.into());
    }

    #[test]
    fn unknown_algorithms_and_extensions_are_kept() {
        let device = Device::new("alice@example.com", 1);
        let bytes = signed(&device, |tbs| {
            tbs.agreement_keys.push(PublicKey::new(AlgorithmId(0xF001), &[0; 65]));
            tbs.extensions.push(Extension { kind: 0x1A1A, data: vec![1].into() });
            tbs.flags = 0x80;
        });
        let certificate = verify(&bytes).unwrap();
        assert_eq!(certificate.agreement_key(AlgorithmId(0xF001)), Some(&[0; 65][..]));
        assert_eq!(certificate.extensions().len(), 1);
        assert_eq!(certificate.bytes(), bytes);
    }

    #[test]
    fn a_provisional_certificate_is_good_for_linking_only() {
        let (device, suites) = (Device::new("alice@example.com", 1), Suites::default());
        let provisional = |change: &dyn Fn(&mut CertificateTbs)| {
            let mut tbs = device.certificate_tbs();
            (tbs.flags, tbs.not_before, tbs.not_after) = (LINKING, NOW, NOW + 600);
            change(&mut tbs);
            device.sign_as_device(PROVISIONAL_LABEL, &tbs.encode())
        };
        let check =
            |bytes: &[u8]| DeviceCertificate::verify_provisional(bytes, &suites, fixture::now()).map(drop);
        let good = provisional(&|_| {});
        assert_eq!(check(&good), Ok(()));
        for bytes in damaged(&good) {
            assert!(check(&bytes).is_err());
        }
        let wrong = Misbehaviour::WrongSubject.into();
        assert_eq!(verify(&good).err(), Some(wrong));
        assert_eq!(check(&provisional(&|tbs| tbs.not_after += 1)), Err(wrong));
        assert_eq!(check(&provisional(&|tbs| tbs.flags = 0)), Err(wrong));
        let old = provisional(&|tbs| (tbs.not_before, tbs.not_after) = (NOW - 3 * DAY, NOW - 3 * DAY + 600));
        assert_eq!(check(&old), Err(Misbehaviour::Expired.into()));
        // Signed by the account, or as something else, it is none.
        let mut tbs = device.certificate_tbs();
        (tbs.flags, tbs.not_after) = (LINKING, tbs.not_before + 600);
        let tbs = tbs.encode();
        assert_eq!(check(&device.sign_as_account(PROVISIONAL_LABEL, &tbs)), Err(Reason::Unauthentic));
        assert_eq!(check(&device.sign_as_device(CERTIFICATE_LABEL, &tbs)), Err(Reason::Unauthentic));
    }

    #[test]
    fn only_the_newer_follows() {
        let device = Device::new("alice@example.com", 1);
        let of = |serial| verify(&signed(&device, |tbs| tbs.serial = serial)).unwrap();
        let same_serial = verify(&signed(&device, |tbs| tbs.flags = 0x80)).unwrap();
        assert_eq!(of(2).check_successor_of(&of(1)), Ok(()));
        assert_eq!(of(1).check_successor_of(&of(2)), Err(Misbehaviour::RolledBack.into()));
        assert_eq!(same_serial.check_successor_of(&of(1)), Err(Misbehaviour::Equivocation.into()));
        let other = Device::new("alice@example.com", 2).certificate();
        assert_eq!(other.check_successor_of(&of(1)), Err(Misbehaviour::WrongSubject.into()));
    }
}
