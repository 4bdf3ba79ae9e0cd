//! What the engine asks an agent to sign. Each request decodes as what it names or does not exist, so
//! an agent signs nothing else under its label.

use core::fmt;

use crate::agent::MAX_PREKEYS;
use crate::env::Timestamp;
use crate::error::{Malformed, Reason};
use crate::identity::{
    CERTIFICATE_LABEL, CertificateTbs, DeviceState, Digest, LIST_LABEL, ListTbs, PREKEY_LABEL,
    PROVISIONAL_LABEL, PrekeyTbs, RECORD_LABEL, RecordTbs, account_of, spelled,
};
use crate::jid::BareJid;
use crate::presence::{ADVERT_LABEL, AdvertTbs, PresenceMeaning};
use crate::signed::{SIGNED_LABEL, SignedTbs, StatementKind};
use crate::suite::kdf::signed_bytes;
use crate::wire;

/// What is common to the requests to sign one structure.
macro_rules! signing {
    ($name:ident) => {
        impl $name {
            /// The account it is for.
            #[must_use]
            pub fn jid(&self) -> &BareJid {
                &self.jid
            }

            /// The structure without its signature.
            #[must_use]
            pub fn tbs(&self) -> &[u8] {
                &self.tbs
            }

            /// The bytes to sign: the structure under its label.
            #[must_use]
            pub fn signed_bytes(&self) -> &[u8] {
                &self.to_sign
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

/// A request to sign a device certificate.
#[derive(Clone)]
pub struct CertifyDevice {
    pub(crate) content: Box<CertificateTbs>,
    jid: BareJid,
    tbs: Vec<u8>,
    to_sign: Vec<u8>,
}

signing!(CertifyDevice);

impl CertifyDevice {
    pub(crate) fn decode(tbs: Vec<u8>) -> Result<Self, Reason> {
        let content = Box::new(CertificateTbs::decode(&tbs)?);
        let jid = account_of(&content.jid)?;
        let to_sign = labelled(CERTIFICATE_LABEL, &[&tbs])?;
        Ok(Self { content, jid, tbs, to_sign })
    }

    /// The digest of the account key that is to sign.
    #[must_use]
    pub fn account_digest(&self) -> Digest {
        self.content.account.digest()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.content.device
    }

    /// The key the device signs with.
    #[must_use]
    pub fn device_signing_key(&self) -> &[u8] {
        self.content.signing_key.key.as_ref()
    }

    /// The time from which the certificate is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        Timestamp::from_secs(self.content.not_before)
    }

    /// The time until which it is.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        Timestamp::from_secs(self.content.not_after)
    }

    /// The serial, which rises with each certificate of the device.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.content.serial
    }
}

/// A request of a new device to sign, with its own key, the certificate with which it asks another device to link it.
/// That is good for nothing else, and for ten minutes.
#[derive(Clone)]
pub struct BeginLinking {
    pub(crate) content: Box<CertificateTbs>,
    jid: BareJid,
    tbs: Vec<u8>,
    to_sign: Vec<u8>,
}

signing!(BeginLinking);

impl BeginLinking {
    pub(crate) fn decode(tbs: Vec<u8>) -> Result<Self, Reason> {
        let content = Box::new(CertificateTbs::decode(&tbs)?);
        content.check_provisional()?;
        let jid = account_of(&content.jid)?;
        let to_sign = labelled(PROVISIONAL_LABEL, &[&tbs])?;
        Ok(Self { content, jid, tbs, to_sign })
    }

    /// The digest of the account key that the account shows, and that is to certify the device.
    #[must_use]
    pub fn account_digest(&self) -> Digest {
        self.content.account.digest()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.content.device
    }
}

/// A request to sign a device list.
#[derive(Clone)]
pub struct SignDeviceList {
    pub(crate) content: ListTbs,
    jid: BareJid,
    tbs: Vec<u8>,
    to_sign: Vec<u8>,
}

signing!(SignDeviceList);

impl SignDeviceList {
    pub(crate) fn decode(tbs: Vec<u8>) -> Result<Self, Reason> {
        let content = ListTbs::decode(&tbs)?;
        content.check()?;
        let jid = content.jid()?;
        let to_sign = labelled(LIST_LABEL, &[&tbs])?;
        Ok(Self { content, jid, tbs, to_sign })
    }

    /// The version of the list, which rises.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.content.version()
    }

    /// The devices in use.
    pub fn live(&self) -> impl Iterator<Item = u32> + '_ {
        self.of_state(DeviceState::Live)
    }

    /// The devices no longer in use.
    pub fn retired(&self) -> impl Iterator<Item = u32> + '_ {
        self.of_state(DeviceState::Retired)
    }

    /// Whether the list says that the account has left.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.content.is_tombstone()
    }

    fn of_state(&self, state: DeviceState) -> impl Iterator<Item = u32> + '_ {
        self.content.entries().iter().filter(move |entry| entry.state == state).map(|entry| entry.device)
    }
}

/// A request to sign a device record.
#[derive(Clone)]
pub struct SignRecord {
    pub(crate) content: Box<RecordTbs>,
    /// What the certificate in the record says. Nobody has verified it.
    pub(crate) certificate: Box<CertificateTbs>,
    jid: BareJid,
    tbs: Vec<u8>,
    to_sign: Vec<u8>,
}

signing!(SignRecord);

impl SignRecord {
    pub(crate) fn decode(tbs: Vec<u8>) -> Result<Self, Reason> {
        let content = Box::new(RecordTbs::decode(&tbs)?);
        let certificate = CertificateTbs::inside(content.certificate.as_ref())?;
        let jid = account_of(&certificate.jid)?;
        let to_sign = labelled(RECORD_LABEL, &[&tbs])?;
        Ok(Self { content, certificate: Box::new(certificate), jid, tbs, to_sign })
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.certificate.device
    }

    /// The sequence, which rises with each record.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.content.sequence
    }

    /// The time until which the record is good.
    #[must_use]
    pub fn expiry(&self) -> Timestamp {
        Timestamp::from_secs(self.content.expiry)
    }
}

/// A request to sign an advert.
#[derive(Clone)]
pub struct SignAdvert {
    pub(crate) content: AdvertTbs,
    meaning: Option<Box<PresenceMeaning>>,
    jid: BareJid,
    tbs: Vec<u8>,
    to_sign: Vec<u8>,
}

signing!(SignAdvert);

impl SignAdvert {
    pub(crate) fn decode(
        tbs: Vec<u8>,
        jid: BareJid,
        meaning: Option<PresenceMeaning>,
    ) -> Result<Self, Reason> {
        let content = AdvertTbs::decode(&tbs)?;
        if content.covers() != meaning.is_some() {
            return Err(Malformed::Encoding.into());
        }
        let digest = meaning.as_ref().map(PresenceMeaning::digest);
        let with = content.signed_with(&jid, digest.as_ref())?;
        let to_sign = labelled(ADVERT_LABEL, &[&tbs, &with])?;
        Ok(Self { content, meaning: meaning.map(Box::new), jid, tbs, to_sign })
    }

    /// What the presence means, if that is signed with the advert. It cannot be denied afterwards.
    #[must_use]
    pub fn presence(&self) -> Option<&PresenceMeaning> {
        self.meaning.as_deref()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.content.device()
    }

    /// The sequence, which rises with each advert.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.content.sequence()
    }

    /// The time until which the advert is good.
    #[must_use]
    pub fn expiry(&self) -> Timestamp {
        self.content.expiry()
    }
}

/// A request to sign a statement over a stanza, or an item of a pubsub node.
#[derive(Clone)]
pub struct SignStanza {
    content: SignedTbs,
    audience: Option<BareJid>,
    jid: BareJid,
    tbs: Vec<u8>,
    to_sign: Vec<u8>,
}

signing!(SignStanza);

impl SignStanza {
    pub(crate) fn decode(tbs: Vec<u8>, jid: BareJid) -> Result<Self, Reason> {
        let content = SignedTbs::decode(&tbs)?;
        let audience = content.audience()?;
        let to_sign = labelled(SIGNED_LABEL, &[&tbs, &wire::encode(&spelled(&jid))])?;
        Ok(Self { content, audience, jid, tbs, to_sign })
    }

    /// What is stated.
    #[must_use]
    pub fn kind(&self) -> StatementKind {
        self.content.kind()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.content.device()
    }

    /// The sequence, which rises with each statement of the device.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.content.sequence()
    }

    /// When it is said.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.content.time()
    }

    /// The time until which the statement is good.
    #[must_use]
    pub fn expiry(&self) -> Timestamp {
        self.content.expiry()
    }

    /// To whom it is said; `None` is to anybody.
    #[must_use]
    pub fn audience(&self) -> Option<&BareJid> {
        self.audience.as_ref()
    }

    /// The stanza's `type`, or the node of an item. Empty for a stanza without.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.content.subject()
    }

    /// The id of the stanza or item; empty if it has none.
    #[must_use]
    pub fn inner_id(&self) -> &str {
        self.content.inner_id()
    }

    /// How many children are covered by a hash. What they are does not show.
    #[must_use]
    pub fn covered(&self) -> usize {
        self.content.hashes().map_or(0, <[Digest]>::len)
    }

    /// What is said, as XML, if the statement carries it itself.
    #[must_use]
    pub fn xml(&self) -> Option<&str> {
        self.content.opaque()
    }
}

/// A request to sign one-time prekeys of one device.
#[derive(Clone)]
pub struct SignPrekeys {
    pub(crate) contents: Vec<PrekeyTbs>,
    jid: BareJid,
    device: u32,
    tbs: Vec<Vec<u8>>,
    to_sign: Vec<Vec<u8>>,
}

impl SignPrekeys {
    pub(crate) fn decode(tbs: Vec<Vec<u8>>) -> Result<Self, Reason> {
        if tbs.len() > MAX_PREKEYS {
            return Err(Malformed::TooLarge.into());
        }
        let mut contents = Vec::with_capacity(tbs.len());
        let mut to_sign = Vec::with_capacity(tbs.len());
        let mut subject: Option<(BareJid, u32)> = None;
        for tbs in &tbs {
            let content = PrekeyTbs::decode(tbs)?;
            let (jid, device) = (content.jid()?, content.device());
            let (first_jid, first_device) = subject.get_or_insert_with(|| (jid.clone(), device));
            if *first_jid != jid || *first_device != device {
                return Err(Malformed::Encoding.into());
            }
            contents.push(content);
            to_sign.push(labelled(PREKEY_LABEL, &[tbs])?);
        }
        let (jid, device) = subject.ok_or(Malformed::Encoding)?;
        Ok(Self { contents, jid, device, tbs, to_sign })
    }

    /// The account they are for.
    #[must_use]
    pub fn jid(&self) -> &BareJid {
        &self.jid
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.device
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tbs.len()
    }

    /// The structures without their signatures.
    pub fn tbs(&self) -> impl Iterator<Item = &[u8]> {
        self.tbs.iter().map(Vec::as_slice)
    }

    /// The bytes to sign: each structure under its label.
    pub fn signed_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.to_sign.iter().map(Vec::as_slice)
    }
}

impl fmt::Debug for SignPrekeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignPrekeys").finish_non_exhaustive()
    }
}

/// The bytes to sign.
fn labelled(label: &str, content: &[&[u8]]) -> Result<Vec<u8>, Reason> {
    signed_bytes(label, content).map_err(|_| Malformed::TooLarge.into())
}
