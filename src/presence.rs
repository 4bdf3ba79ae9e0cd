//! The advert in presence: that a device speaks this protocol, where its keys are, and a signature
//! of both; and, if the device wants it, of what the presence means.

mod meaning;

use core::fmt;
use core::time::Duration;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;
use crate::error::{Malformed, Misbehaviour, Reason};
use crate::identity::{
    DeviceRecord, Digest, Extension, MAX_EXTENSIONS, MAX_SUITE_NUMBERS, PublicKey, TOLERANCE, Unverified,
    check_device, check_expiry, join, spelled, split,
};
use crate::jid::BareJid;
use crate::suite::Suites;
use crate::wire;

pub use meaning::PresenceMeaning;

/// What a device signs adverts as.
pub(crate) const ADVERT_LABEL: &str = "advert";

/// How long an advert is good for. It is sent again at half its life.
pub(crate) const ADVERT_LIFE: Duration = Duration::from_hours(7 * 24);

/// An advert that claims to be good for longer, a day of tolerance aside, is refused: a stolen one
/// could be shown for ever.
pub(crate) const MAX_ADVERT_LIFE: Duration = ADVERT_LIFE;

/// The longest advert taken. This crate's own have 158 bytes; others may list more suites and have
/// longer signatures.
pub(crate) const MAX_ADVERT: usize = 512;

/// The only version there is.
const VERSION: u8 = 0;

/// Flag: the signature is also over the meaning of the presence that the advert stands in.
const COVERS: u8 = 1;

/// Flag: the device retires. It shows no advert after this one.
const RETIRES: u8 = 2;

/// What an advert says. The signature is over this, the bare JID and, with the flag, the digest of
/// what the presence means.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct AdvertTbs {
    version: u8,
    device: u32,
    /// Rises with each advert.
    sequence: u32,
    /// Seconds since the Unix epoch.
    expiry: u32,
    suites: Vec<u16>,
    /// The digest of the device record.
    record: Digest,
    /// The digest of the account key.
    account: Digest,
    /// The version of the newest device list.
    list_version: u32,
    flags: u8,
    extensions: Vec<Extension>,
}

impl AdvertTbs {
    /// The advert of the device of `record`, with the record's suites and grease.
    pub(crate) fn new(
        record: &DeviceRecord,
        list_version: u32,
        sequence: u32,
        now: Timestamp,
        covers: bool,
    ) -> Self {
        Self {
            version: VERSION,
            device: record.certificate().device(),
            sequence,
            expiry: now.after(ADVERT_LIFE).as_secs(),
            suites: record.suites().to_vec(),
            record: *record.digest(),
            account: *record.certificate().account_digest(),
            list_version,
            flags: if covers { COVERS } else { 0 },
            extensions: Vec::new(),
        }
    }

    /// The last one of the device.
    pub(crate) fn retiring(self) -> Self {
        Self { flags: self.flags | RETIRES, ..self }
    }

    /// The bytes before the signature.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes the bytes before the signature.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        check_version(bytes)?;
        let advert: Self = wire::decode(bytes, MAX_ADVERT)?;
        advert.check()?;
        Ok(advert)
    }

    fn check(&self) -> Result<(), Reason> {
        let too_many = self.suites.len() > MAX_SUITE_NUMBERS || self.extensions.len() > MAX_EXTENSIONS;
        if too_many {
            return Err(Malformed::Encoding.into());
        }
        check_device(self.device)
    }

    pub(crate) fn device(&self) -> u32 {
        self.device
    }

    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    pub(crate) fn expiry(&self) -> Timestamp {
        Timestamp::from_secs(self.expiry)
    }

    pub(crate) fn account(&self) -> &Digest {
        &self.account
    }

    /// Whether the device retires.
    pub(crate) fn retires(&self) -> bool {
        self.flags & RETIRES != 0
    }

    /// Whether the signature is also over what the presence means.
    pub(crate) fn covers(&self) -> bool {
        self.flags & COVERS != 0
    }

    /// What is signed after the advert: the bare JID, and what the presence means if that is covered.
    pub(crate) fn signed_with(&self, jid: &BareJid, meaning: Option<&Digest>) -> Result<Vec<u8>, Reason> {
        let jid = wire::encode(&spelled(jid));
        match (self.covers(), meaning) {
            (false, _) => Ok(jid),
            (true, Some(meaning)) => Ok([&jid, &meaning[..]].concat()),
            // It is a signature of something else.
            (true, None) => Err(Reason::Unauthentic),
        }
    }

    /// Refuses an advert that is past its time, or too far ahead of it.
    pub(crate) fn check_time(&self, now: Timestamp) -> Result<(), Reason> {
        if self.expiry() > now.after(MAX_ADVERT_LIFE).after(TOLERANCE) {
            return Err(Misbehaviour::Expired.into());
        }
        check_expiry(self.expiry, now)
    }
}

fn check_version(bytes: &[u8]) -> Result<(), Reason> {
    match bytes.first() {
        Some(&VERSION) => Ok(()),
        Some(_) => Err(Malformed::Version.into()),
        None => Err(Malformed::Encoding.into()),
    }
}

/// A received advert that nothing has vouched for. It tells what to fetch, no more.
pub(crate) struct AdvertIn {
    content: AdvertTbs,
    exact: Vec<u8>,
    signature: Vec<u8>,
}

impl AdvertIn {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        check_version(bytes)?;
        let Unverified { content, exact, signature } = split::<AdvertTbs>(bytes, MAX_ADVERT)?;
        content.check()?;
        Ok(Self { content, exact: exact.to_vec(), signature: signature.into() })
    }

    /// Decodes the text of the element.
    #[cfg(test)]
    pub(crate) fn from_text(text: &str) -> Result<Self, Reason> {
        Self::decode(&wire::from_base64(text, MAX_ADVERT)?)
    }

    /// What it says, which nothing has vouched for.
    pub(crate) fn content(&self) -> &AdvertTbs {
        &self.content
    }

    pub(crate) fn device(&self) -> u32 {
        self.content.device
    }

    #[cfg(test)]
    pub(crate) fn sequence(&self) -> u32 {
        self.content.sequence
    }

    /// The digest of the record to fetch.
    pub(crate) fn record_digest(&self) -> &Digest {
        &self.content.record
    }

    pub(crate) fn list_version(&self) -> u32 {
        self.content.list_version
    }

    /// Verifies the advert, which must be of `jid`, name `record` and be valid now; and that the
    /// record, which may have been verified long ago, still is. `meaning` is the digest of what the
    /// presence around it means; an advert that does not cover it does not look at it.
    pub(crate) fn verify(
        self,
        jid: &BareJid,
        record: &DeviceRecord,
        meaning: Option<&Digest>,
        suites: &Suites,
        now: Timestamp,
    ) -> Result<Advert, Reason> {
        let certificate = record.certificate();
        let advert = &self.content;
        if certificate.jid() != jid
            || advert.device != certificate.device()
            || advert.record != *record.digest()
            || advert.account != *certificate.account_digest()
        {
            return Err(Misbehaviour::WrongSubject.into());
        }
        let advert = self.verify_signature(jid, certificate.signing_key(), meaning, suites)?;
        record.check_time(now)?;
        advert.content.check_time(now)?;
        Ok(advert)
    }

    /// Verifies an advert by the key alone, whatever record it names.
    pub(crate) fn verify_own(
        self,
        jid: &BareJid,
        key: &PublicKey,
        meaning: Option<&Digest>,
        suites: &Suites,
    ) -> Result<Advert, Reason> {
        self.verify_signature(jid, key, meaning, suites)
    }

    fn verify_signature(
        self,
        jid: &BareJid,
        key: &PublicKey,
        meaning: Option<&Digest>,
        suites: &Suites,
    ) -> Result<Advert, Reason> {
        let Self { content, exact, signature } = self;
        let with = content.signed_with(jid, meaning)?;
        key.verify(suites, ADVERT_LABEL, &[&exact, &with], &signature)?;
        let bytes = join(&exact, &signature);
        let meaning = meaning.copied().filter(|_| content.covers());
        Ok(Advert { content, meaning, bytes })
    }
}

/// A verified advert.
#[derive(Clone)]
pub(crate) struct Advert {
    content: AdvertTbs,
    /// The digest of what the presence means, if the signature covers it.
    meaning: Option<Digest>,
    bytes: Vec<u8>,
}

impl Advert {
    /// Whether the device retires.
    pub(crate) fn retires(&self) -> bool {
        self.content.retires()
    }

    /// Puts together what an agent signed. Refuses what [`AdvertIn::verify`] would, but for the
    /// time.
    pub(crate) fn issue(
        tbs: &[u8],
        signature: &[u8],
        jid: &BareJid,
        key: &PublicKey,
        meaning: Option<&Digest>,
        suites: &Suites,
    ) -> Result<Self, Reason> {
        AdvertIn::decode(&join(tbs, signature))?.verify_signature(jid, key, meaning, suites)
    }

    /// The element to put into presence.
    #[cfg(test)]
    pub(crate) fn element(&self) -> String {
        format!("<e2e xmlns='{}'>{}</e2e>", crate::NS, wire::to_base64(&self.bytes))
    }

    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of what the presence means, if the signature covers it.
    pub(crate) fn meaning(&self) -> Option<&Digest> {
        self.meaning.as_ref()
    }

    pub(crate) fn device(&self) -> u32 {
        self.content.device
    }

    pub(crate) fn sequence(&self) -> u32 {
        self.content.sequence
    }

    /// When it is good no more.
    pub(crate) fn expiry(&self) -> Timestamp {
        self.content.expiry()
    }

    /// Suite numbers, unknown ones and grease among them.
    pub(crate) fn suites(&self) -> &[u16] {
        &self.content.suites
    }

    pub(crate) fn record_digest(&self) -> &Digest {
        &self.content.record
    }

    pub(crate) fn list_version(&self) -> u32 {
        self.content.list_version
    }
}

impl fmt::Debug for Advert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Advert").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::{Device, NOW, damaged, now};

    const DAY: u32 = 24 * 60 * 60;

    const MEANING: Digest = [7; 32];

    fn tbs(record: &DeviceRecord) -> AdvertTbs {
        AdvertTbs::new(record, 4, 9, now(), false)
    }

    fn signed(device: &Device, tbs: &AdvertTbs) -> Vec<u8> {
        let (with, tbs) = (tbs.signed_with(&device.jid, Some(&MEANING)).unwrap(), tbs.encode());
        let signature = device.signature(ADVERT_LABEL, &[&tbs, &with]);
        join(&tbs, &signature)
    }

    fn verify(bytes: &[u8], record: &DeviceRecord) -> Result<Advert, Reason> {
        verify_in(bytes, record, Some(&MEANING))
    }

    fn verify_in(bytes: &[u8], record: &DeviceRecord, meaning: Option<&Digest>) -> Result<Advert, Reason> {
        let (jid, suites) = (record.certificate().jid(), Suites::default());
        AdvertIn::decode(bytes)?.verify(jid, record, meaning, &suites, now())
    }

    #[test]
    fn round_trip_and_size() {
        let device = Device::new("alice@example.com", 1);
        let record = device.record();
        let bytes = signed(&device, &tbs(&record));
        assert_eq!(bytes.len(), 158);
        let advert = verify(&bytes, &record).unwrap();
        assert_eq!(advert.bytes(), bytes);
        // Three suites and one grease value.
        assert_eq!(advert.suites().len(), 4);
        let element = advert.element();
        assert_eq!(element.len(), 246);
        assert!(element.len() <= 250);
        let text = element.strip_prefix("<e2e xmlns='urn:xmpp:e2e:0'>").unwrap();
        let seen = AdvertIn::from_text(text.strip_suffix("</e2e>").unwrap()).ok().unwrap();
        assert_eq!((seen.device(), seen.sequence(), seen.list_version()), (device.id, 9, 4));
        assert_eq!(seen.record_digest(), record.digest());
        assert_eq!(advert.expiry(), Timestamp::from_secs(NOW + 7 * DAY));
        let (content, signature) = bytes.split_at(bytes.len() - 66);
        let suites = Suites::default();
        let key = record.certificate().signing_key();
        let issued = Advert::issue(content, &signature[2..], &device.jid, key, None, &suites).unwrap();
        assert_eq!(issued.bytes(), bytes);
        let bob = BareJid::parse("bob@example.com").unwrap();
        assert!(Advert::issue(content, &signature[2..], &bob, key, None, &suites).is_err());
    }

    #[test]
    fn nothing_damaged_is_accepted() {
        let device = Device::new("alice@example.com", 1);
        let record = device.record();
        let bytes = signed(&device, &tbs(&record));
        for bytes in damaged(&bytes) {
            assert!(verify(&bytes, &record).is_err());
        }
        let version = AdvertIn::decode(&[&[1], &bytes[1..]].concat()).err();
        assert_eq!(version, Some(Malformed::Version.into()));
    }

    #[test]
    fn of_its_account_device_and_record_only() {
        let (alice, bob) = (Device::new("alice@example.com", 1), Device::new("bob@example.com", 2));
        let (record, of_bob) = (alice.record(), bob.record());
        let good = tbs(&record);
        let wrong = Some(Misbehaviour::WrongSubject.into());
        assert_eq!(verify(&signed(&alice, &good), &of_bob).err(), wrong);
        let decoded = AdvertIn::decode(&signed(&alice, &good)).ok().unwrap();
        assert_eq!(decoded.verify(&bob.jid, &record, None, &Suites::default(), now()).err(), wrong);
        let refused = |change: fn(&mut AdvertTbs)| {
            let mut tbs = good.clone();
            change(&mut tbs);
            verify(&signed(&alice, &tbs), &record).err()
        };
        assert_eq!(refused(|tbs| tbs.device += 1), wrong);
        assert_eq!(refused(|tbs| tbs.record[0] ^= 1), wrong);
        assert_eq!(refused(|tbs| tbs.account[0] ^= 1), wrong);
        assert_eq!(refused(|tbs| tbs.device = 0), Some(Malformed::Encoding.into()));
        // The same bytes, signed by another device or for another account.
        assert_eq!(verify(&signed(&bob, &good), &record).err(), Some(Reason::Unauthentic));
        let signature = alice.signature(ADVERT_LABEL, &[&good.encode(), &wire::encode(&spelled(&bob.jid))]);
        assert_eq!(verify(&join(&good.encode(), &signature), &record).err(), Some(Reason::Unauthentic));
    }

    #[test]
    fn covers_what_the_presence_means() {
        let device = Device::new("alice@example.com", 1);
        let record = device.record();
        let covering = AdvertTbs::new(&record, 4, 9, now(), true);
        let bytes = signed(&device, &covering);
        assert_eq!(bytes.len(), 158);
        assert_eq!(verify(&bytes, &record).unwrap().meaning(), Some(&MEANING));
        let refused = Some(Reason::Unauthentic);
        assert_eq!(verify_in(&bytes, &record, None).err(), refused);
        assert_eq!(verify_in(&bytes, &record, Some(&[8; 32])).err(), refused);
        for bytes in damaged(&bytes) {
            assert!(verify(&bytes, &record).is_err());
        }
        // The flag alone, or the digest alone, is another signature.
        let plain = tbs(&record).encode();
        let (content, signature) = bytes.split_at(bytes.len() - 66);
        assert_eq!(verify(&[&plain, signature].concat(), &record).err(), refused);
        let other = signed(&device, &tbs(&record));
        assert_eq!(verify(&other, &record).unwrap().meaning(), None);
        assert_eq!(verify(&[content, &other[content.len()..]].concat(), &record).err(), refused);
    }

    #[test]
    fn neither_old_nor_for_ever() {
        let device = Device::new("alice@example.com", 1);
        let record = device.record();
        let at = |expiry| {
            let tbs = AdvertTbs { expiry, ..tbs(&record) };
            verify(&signed(&device, &tbs), &record).map(drop)
        };
        let expired = Err(Misbehaviour::Expired.into());
        assert_eq!(at(NOW - DAY), Ok(()));
        assert_eq!(at(NOW - DAY - 1), expired);
        assert_eq!(at(NOW + 8 * DAY), Ok(()));
        assert_eq!(at(NOW + 8 * DAY + 1), expired);
        assert_eq!(at(u32::MAX), expired);
    }

    #[test]
    fn a_record_out_of_its_time_carries_no_advert() {
        let device = Device::new("alice@example.com", 1);
        let record = device.record();
        let later = Timestamp::from_secs(NOW + 500_000 + DAY + 1);
        let bytes = signed(&device, &AdvertTbs::new(&record, 4, 9, later, false));
        let advert = AdvertIn::decode(&bytes).ok().unwrap();
        let refused = advert.verify(&device.jid, &record, None, &Suites::default(), later).err();
        assert_eq!(refused, Some(Misbehaviour::Expired.into()));
    }
}
