//! Linking a new device: the messages, and the string that the user compares on both devices.
//!
//! The new device commits itself to its contribution before it sees that of the old one, so neither side, and nobody
//! between them, can choose contributions until two strings agree.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::{Malformed, Reason};
use crate::identity::{AccountKey, CertificateTbs, Digest, MAX_LIST, PublicKey};
use crate::short_string::ShortString;
use crate::wire::{self, Bytes};

/// What the hash of a commitment begins with.
const COMMITMENT_LABEL: &[u8] = b"xmpp-e2e 0 linking commitment";

/// What the hash of the string begins with.
const STRING_LABEL: &[u8] = b"xmpp-e2e 0 linking string";

/// The longest message: a certificate and a list.
pub(crate) const MAX_MESSAGE: usize = MAX_LIST + 2048;

/// Names a run.
pub(crate) type Run = [u8; 16];

/// A side's random contribution to the string.
pub(crate) type Contribution = [u8; 32];

/// What two devices of one account tell each other.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum LinkingMessage {
    /// The new device asks to be taken in, and commits itself to its contribution.
    #[tls_codec(discriminant = 1)]
    Request { run: Run, commitment: Digest },
    /// The user of the old device has agreed to compare.
    #[tls_codec(discriminant = 2)]
    Accept { run: Run, contribution: Contribution },
    /// The new device's contribution.
    #[tls_codec(discriminant = 3)]
    Reveal { run: Run, contribution: Contribution },
    /// The user of the new device has seen the same string.
    #[tls_codec(discriminant = 4)]
    Confirmed { run: Run },
    /// The new device's certificate, and the list that has it.
    #[tls_codec(discriminant = 5)]
    Certificate { run: Run, certificate: Bytes, list: Bytes },
    /// The new device has taken the certificate.
    #[tls_codec(discriminant = 6)]
    Done { run: Run },
    /// The run is over.
    #[tls_codec(discriminant = 7)]
    Abort { run: Run, why: u8 },
    /// The name of the device that sends it; empty if it has none.
    #[tls_codec(discriminant = 8)]
    Name(Bytes),
    /// The certificate of the device that sends it runs out, and it has no account key.
    #[tls_codec(discriminant = 9)]
    Renew,
    /// The certificate that follows it.
    #[tls_codec(discriminant = 10)]
    Renewed(Bytes),
}

impl LinkingMessage {
    /// The run that it belongs to.
    pub(crate) fn run(&self) -> Option<&Run> {
        match self {
            Self::Request { run, .. }
            | Self::Accept { run, .. }
            | Self::Reveal { run, .. }
            | Self::Confirmed { run }
            | Self::Certificate { run, .. }
            | Self::Done { run }
            | Self::Abort { run, .. } => Some(run),
            Self::Name(_) | Self::Renew | Self::Renewed(_) => None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// # Errors
    /// [`Malformed::Version`] for a kind that is not known, otherwise [`Malformed::Encoding`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.first() {
            Some(1..=10) => wire::decode(bytes, MAX_MESSAGE).map_err(|_| Malformed::Encoding),
            Some(_) => Err(Malformed::Version),
            None => Err(Malformed::Encoding),
        }
    }
}

/// A device and its keys, each with its algorithm.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct DeviceKeys {
    device: u32,
    signing: PublicKey,
    agreement: Vec<PublicKey>,
}

impl DeviceKeys {
    /// Those that a certificate names, verified before.
    pub(crate) fn of(certificate: &[u8]) -> Result<Self, Reason> {
        let CertificateTbs { device, signing_key, agreement_keys, .. } = CertificateTbs::inside(certificate)?;
        Ok(Self { device, signing: signing_key, agreement: agreement_keys })
    }
}

/// What both sides must see alike.
#[derive(TlsSerialize, TlsSize)]
pub(crate) struct Transcript {
    pub(crate) jid: Bytes,
    pub(crate) account: AccountKey,
    pub(crate) new: DeviceKeys,
    pub(crate) old: DeviceKeys,
    pub(crate) session: [u8; 16],
    pub(crate) run: Run,
}

impl Transcript {
    /// The commitment of the new device to its contribution.
    pub(crate) fn commitment(&self, contribution: &[u8]) -> Digest {
        self.hash(COMMITMENT_LABEL, &[contribution])
    }

    /// Whether `contribution` is what the new device has committed itself to.
    pub(crate) fn opens(&self, commitment: &Digest, contribution: &[u8]) -> bool {
        self.commitment(contribution).ct_eq(commitment).into()
    }

    /// The string to be compared.
    pub(crate) fn string(&self, new: &[u8], old: &[u8]) -> ShortString {
        let hash = self.hash(STRING_LABEL, &[new, old]);
        ShortString::new(hash.first_chunk().copied().unwrap_or_default())
    }

    fn hash(&self, label: &[u8], contributions: &[&[u8]]) -> Digest {
        let mut hash = Sha256::new();
        hash.update(wire::encode(&Bytes::from(label)));
        hash.update(wire::encode(self));
        for contribution in contributions {
            hash.update(wire::encode(&Bytes::from(*contribution)));
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::Device;
    use crate::identity::spelled;

    fn transcript() -> Transcript {
        let (old, new) = (Device::new("alice@example.com", 1), Device::new("alice@example.com", 2));
        Transcript {
            jid: spelled(&old.jid),
            account: old.account(),
            new: DeviceKeys::of(new.certificate().bytes()).unwrap(),
            old: DeviceKeys::of(old.certificate().bytes()).unwrap(),
            session: [3; 16],
            run: [4; 16],
        }
    }

    #[test]
    fn the_string_depends_on_everything() {
        let good = transcript().string(&[1; 32], &[2; 32]);
        assert_eq!(transcript().string(&[1; 32], &[2; 32]), good);
        assert_ne!(transcript().string(&[2; 32], &[1; 32]), good);
        let third = Device::new("alice@example.com", 9);
        let keys = DeviceKeys::of(third.certificate().bytes()).unwrap();
        let changes: [&dyn Fn(&mut Transcript); 6] = [
            &|t| t.jid = b"alice@example.net".to_vec().into(),
            &|t| t.account = third.account(),
            &|t| t.new = keys.clone(),
            &|t| t.old = keys.clone(),
            &|t| t.session = [5; 16],
            &|t| t.run = [5; 16],
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut other = transcript();
            change(&mut other);
            assert_ne!(other.string(&[1; 32], &[2; 32]), good, "{place}");
            assert!(!other.opens(&transcript().commitment(&[1; 32]), &[1; 32]), "{place}");
        }
    }

    #[test]
    fn a_commitment_is_opened_by_one_contribution() {
        let commitment = transcript().commitment(&[1; 32]);
        assert!(transcript().opens(&commitment, &[1; 32]));
        assert!(!transcript().opens(&commitment, &[2; 32]));
    }

    #[test]
    fn messages_round_trip_and_unknown_ones_are_told_apart() {
        let run = [7; 16];
        let all = [
            LinkingMessage::Request { run, commitment: [1; 32] },
            LinkingMessage::Accept { run, contribution: [2; 32] },
            LinkingMessage::Reveal { run, contribution: [3; 32] },
            LinkingMessage::Confirmed { run },
            LinkingMessage::Certificate { run, certificate: vec![1].into(), list: vec![2].into() },
            LinkingMessage::Done { run },
            LinkingMessage::Abort { run, why: 1 },
            LinkingMessage::Name(b"desk".to_vec().into()),
            LinkingMessage::Renew,
            LinkingMessage::Renewed(vec![3].into()),
        ];
        for (kind, message) in (1..).zip(all) {
            let bytes = message.encode();
            assert_eq!(bytes[0], kind);
            assert_eq!(LinkingMessage::decode(&bytes), Ok(message));
            assert_eq!(LinkingMessage::decode(&[&bytes[..], &[0]].concat()), Err(Malformed::Encoding));
        }
        assert_eq!(LinkingMessage::decode(&[11]), Err(Malformed::Version));
        assert_eq!(LinkingMessage::decode(&[]), Err(Malformed::Encoding));
        assert_eq!(LinkingMessage::decode(&[0]), Err(Malformed::Version));
    }
}
