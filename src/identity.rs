//! Who an account and a device are: their keys and the signed structures that hold them together.
//!
//! The account key signs [certificates](certificate) and the [list](list) of devices; the signing
//! key of a device signs its [record](record), its [one-time prekeys](prekey) and its adverts. Each
//! structure has a type for what is signed, which decodes, and one for the whole, which exists only
//! verified and keeps the exact bytes: digests are over bytes as received.

mod account_key;
mod certificate;
#[cfg(test)]
pub(crate) mod fixture;
mod list;
mod prekey;
mod record;

use core::fmt;
use core::time::Duration;

use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use tls_codec::{DeserializeBytes, TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;
use crate::error::{Malformed, Misbehaviour, Reason, Unreadable};
use crate::jid::BareJid;
use crate::suite::kdf::verify_with_label;
use crate::suite::{AlgorithmId, Refused, Suites};
use crate::wire::{self, Bytes};

pub(crate) use account_key::AccountKey;
pub(crate) use certificate::{
    CERTIFICATE_LABEL, CertificateTbs, DeviceCertificate, LINKING, LINKING_LIFE, PROVISIONAL_LABEL,
};
pub(crate) use list::{DeviceEntry, DeviceList, DeviceState, LIST_LABEL, ListTbs, MAX_DEVICES, MAX_LIST};
pub(crate) use prekey::{MAX_PREKEY, OneTimePrekey, PREKEY_LABEL, PrekeyKind, PrekeyTbs};
pub(crate) use record::{DeviceRecord, MAX_RECORD, Prekey, RECORD_LABEL, RecordTbs};

/// The SHA-256 of an identity structure, whatever the suite: it names the structure across suites.
pub(crate) type Digest = [u8; 32];

/// The highest device id: the two top bits of a recipient's number in a stanza say whose
/// device it is and whether a first flight follows.
pub(crate) const MAX_DEVICE_ID: u32 = (1 << 30) - 1;

/// Clocks of two devices may differ by this much before a time limit is held against anyone: wrong
/// time zones make up to 14 hours, and a device without its battery a day.
pub(crate) const TOLERANCE: Duration = Duration::from_hours(24);

/// Keys of one kind in one structure: one for each algorithm, and no more algorithms than suites.
pub(crate) const MAX_KEYS: usize = 8;

/// Suite numbers in a list of a peer: twice what this crate sends, grease included.
pub(crate) const MAX_SUITE_NUMBERS: usize = 18;

/// Extensions in one structure: far more than are defined.
pub(crate) const MAX_EXTENSIONS: usize = 16;

/// The digest of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// A public key and its algorithm. Whether it is of an agreement, a KEM or a signature follows from
/// where it stands.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct PublicKey {
    pub(crate) algorithm: u16,
    pub(crate) key: Bytes,
}

impl PublicKey {
    pub(crate) fn new(algorithm: AlgorithmId, key: &[u8]) -> Self {
        Self { algorithm: algorithm.0, key: key.to_vec().into() }
    }

    pub(crate) fn algorithm(&self) -> AlgorithmId {
        AlgorithmId(self.algorithm)
    }

    /// Verifies `signature` of `content` under `label` by this key.
    pub(crate) fn verify(
        &self,
        suites: &Suites,
        label: &str,
        content: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Reason> {
        let part = suites.signature(self.algorithm()).ok_or(Unreadable::UnknownAlgorithm)?;
        verify_with_label(part, self.key.as_ref(), label, content, signature)
            .map_err(|Refused| Reason::Unauthentic)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Room for what later versions add. Unknown types are kept and ignored.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Extension {
    pub(crate) kind: u16,
    pub(crate) data: Bytes,
}

impl Extension {
    /// An extension of a type reserved for grease, so that peers stay used to unknown ones.
    pub(crate) fn grease(rng: &mut dyn CryptoRng) -> Self {
        let [byte, len, data @ ..] = rng.next_u64().to_be_bytes();
        let byte = u16::from(byte & 0xF0 | 0x0A);
        let data = data.iter().copied().take(usize::from(len % 4)).collect::<Vec<u8>>();
        Self { kind: byte << 8 | byte, data: data.into() }
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What is signed, decoded but not believed; its exact bytes; and the signature beside it.
pub(crate) struct Unverified<'a, T> {
    pub(crate) content: T,
    pub(crate) exact: &'a [u8],
    pub(crate) signature: Bytes,
}

/// Takes `struct { T content; opaque signature<V>; }` apart.
pub(crate) fn split<T: DeserializeBytes>(bytes: &[u8], limit: usize) -> Result<Unverified<'_, T>, Reason> {
    if bytes.len() > limit {
        return Err(Malformed::TooLarge.into());
    }
    let (content, rest) = wire::decode_prefix(bytes)?;
    let signature = wire::decode(rest, rest.len())?;
    let exact = bytes.strip_suffix(rest).ok_or(Malformed::Encoding)?;
    Ok(Unverified { content, exact, signature })
}

/// `struct { T content; opaque signature<V>; }` of the exact bytes of a content.
pub(crate) fn join(content: &[u8], signature: &[u8]) -> Vec<u8> {
    [content, &wire::encode(&Bytes::from(signature))].concat()
}

/// The account in a signed structure, which must be spelled as prepared.
pub(crate) fn account_of(jid: &Bytes) -> Result<BareJid, Reason> {
    let text = core::str::from_utf8(jid.as_ref()).map_err(|_| Malformed::Jid)?;
    let jid = BareJid::parse(text).map_err(|_| Malformed::Jid)?;
    if jid.as_str() == text { Ok(jid) } else { Err(Malformed::Jid.into()) }
}

/// `jid` as it stands in signed structures.
pub(crate) fn spelled(jid: &BareJid) -> Bytes {
    jid.as_str().as_bytes().to_vec().into()
}

/// Refuses a device id that no device has.
pub(crate) fn check_device(id: u32) -> Result<(), Reason> {
    if id == 0 || id > MAX_DEVICE_ID { Err(Malformed::Encoding.into()) } else { Ok(()) }
}

/// Refuses `now` if `expiry`, in seconds, is past even for a slow clock.
pub(crate) fn check_expiry(expiry: u32, now: Timestamp) -> Result<(), Reason> {
    if now > Timestamp::from_secs(expiry).after(TOLERANCE) {
        return Err(Misbehaviour::Expired.into());
    }
    Ok(())
}

/// Refuses keys that are too many, two of one algorithm, and what `check` refuses. A key of an
/// unknown algorithm is kept and not looked at.
pub(crate) fn check_keys<'a>(
    keys: &(impl Iterator<Item = (u16, &'a [u8])> + Clone),
    check: impl Fn(AlgorithmId, &[u8]) -> Result<(), Refused>,
) -> Result<(), Reason> {
    for (index, (algorithm, key)) in keys.clone().enumerate() {
        let again = keys.clone().take(index).any(|(other, _)| other == algorithm);
        if index >= MAX_KEYS || again || check(AlgorithmId(algorithm), key).is_err() {
            return Err(Misbehaviour::BadKey.into());
        }
    }
    Ok(())
}

/// Refuses a bad agreement key, unless its algorithm is unknown.
pub(crate) fn check_agreement(suites: &Suites, id: AlgorithmId, key: &[u8]) -> Result<(), Refused> {
    suites.agreement(id).map_or(Ok(()), |part| part.check(key))
}

/// Refuses a bad KEM key, unless its algorithm is unknown.
pub(crate) fn check_kem(suites: &Suites, id: AlgorithmId, key: &[u8]) -> Result<(), Refused> {
    suites.kem(id).map_or(Ok(()), |part| part.check(key))
}

/// Refuses a bad signature key, unless its algorithm is unknown.
pub(crate) fn check_signature(suites: &Suites, id: AlgorithmId, key: &[u8]) -> Result<(), Refused> {
    suites.signature(id).map_or(Ok(()), |part| part.check(key))
}

/// Whether `new`, of number `new_number`, may follow `known`: an older number is a rollback, the
/// same number with other bytes an equivocation.
pub(crate) fn check_succession(new: (u32, &[u8]), known: (u32, &[u8])) -> Result<(), Reason> {
    let ((new_number, new), (known_number, known)) = (new, known);
    if new_number < known_number {
        return Err(Misbehaviour::RolledBack.into());
    }
    if new_number == known_number && new != known {
        return Err(Misbehaviour::Equivocation.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fixture::rng;
    use super::*;

    #[test]
    fn grease_is_of_its_own_numbers() {
        let mut rng = rng(1);
        for _ in 0..100 {
            let Extension { kind, data } = Extension::grease(&mut rng);
            assert!(crate::suite::SuiteId(kind).is_grease());
            assert!(data.as_ref().len() < 4);
        }
    }

    #[test]
    fn split_undoes_join() {
        let content = wire::encode(&Bytes::from(vec![7; 70]));
        let whole = join(&content, &[9; 64]);
        let parts = split::<Bytes>(&whole, whole.len()).ok().unwrap();
        assert_eq!(parts.content.as_ref(), [7; 70]);
        assert_eq!(parts.exact, content);
        assert_eq!(parts.signature.as_ref(), [9; 64]);
        let long = split::<Bytes>(&whole, whole.len() - 1).map(|_| ());
        assert_eq!(long, Err(Malformed::TooLarge.into()));
    }

    #[test]
    fn device_ids() {
        assert!(check_device(0).is_err() && check_device(1 << 30).is_err());
        assert!(check_device(1).is_ok() && check_device(MAX_DEVICE_ID).is_ok());
    }

    #[test]
    fn succession() {
        assert_eq!(check_succession((2, b"b"), (1, b"a")), Ok(()));
        assert_eq!(check_succession((1, b"a"), (1, b"a")), Ok(()));
        assert_eq!(check_succession((1, b"b"), (1, b"a")), Err(Misbehaviour::Equivocation.into()));
        assert_eq!(check_succession((0, b"a"), (1, b"a")), Err(Misbehaviour::RolledBack.into()));
    }

    #[test]
    fn one_key_for_each_algorithm() {
        let good = |_: AlgorithmId, _: &[u8]| Ok(());
        let key: &[u8] = &[1];
        assert!(check_keys(&[(1, key), (2, key)].into_iter(), good).is_ok());
        assert!(check_keys(&[(1, key), (1, key)].into_iter(), good).is_err());
        assert!(check_keys(&(0..8).map(|id| (id, key)), good).is_ok());
        assert!(check_keys(&(0..9).map(|id| (id, key)), good).is_err());
        assert!(check_keys(&[(1, key)].into_iter(), |_, _| Err(Refused)).is_err());
    }
}
