//! What the engine asks of an agent.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::agent::{
    BeginLinking, CertifyDevice, InvalidAgentData, Leg, MAX_LEGS, SignAdvert, SignDeviceList, SignPrekeys,
    SignRecord, SignStanza,
};
use crate::error::{Malformed, Reason};
use crate::identity::{account_of, spelled};
use crate::jid::BareJid;
use crate::presence::PresenceMeaning;
use crate::suite::SuiteId;
use crate::wire::{self, Bytes};

/// One-time prekeys in one request: enough for a store that ran empty.
pub const MAX_PREKEYS: usize = 128;

/// The longest request or reply: that many prekeys of a KEM, the largest of them.
pub(crate) const MAX_REQUEST: usize = 1024 * 1024;

/// The version of the encoding.
const VERSION: u8 = 0;

/// One thing the engine asks of the agent.
#[derive(Clone, Debug)]
pub struct AgentRequest {
    id: u64,
    operation: Operation,
}

/// What is asked. Whatever is to be signed has been decoded as what the operation names, so an agent
/// signs nothing else under its label.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// Sign a device certificate with the account key.
    CertifyDevice(CertifyDevice),
    /// Sign the certificate of a new device with which it asks to be linked, with its own signing key.
    BeginLinking(BeginLinking),
    /// Sign a device list with the account key.
    SignDeviceList(SignDeviceList),
    /// Sign a device record with the device signing key.
    SignRecord(SignRecord),
    /// Sign an advert with the device signing key.
    SignAdvert(SignAdvert),
    /// Sign one-time prekeys with the device signing key.
    SignPrekeys(SignPrekeys),
    /// Compute legs with the device agreement key.
    Agree {
        /// The suite of the handshake.
        suite: SuiteId,
        /// The legs, at most four.
        legs: Vec<Leg>,
    },
    /// Sign a statement over a stanza, or an item of a node, with the device signing key. It cannot be
    /// denied afterwards, so a person may want to see it.
    SignStanza(SignStanza),
}

#[derive(TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
enum WireOperation {
    #[tls_codec(discriminant = 1)]
    CertifyDevice(Bytes),
    #[tls_codec(discriminant = 2)]
    SignDeviceList(Bytes),
    #[tls_codec(discriminant = 3)]
    SignRecord(Bytes),
    /// The advert, the bare JID, and what the presence means: empty if that is not covered.
    #[tls_codec(discriminant = 4)]
    SignAdvert(Bytes, Bytes, Bytes),
    #[tls_codec(discriminant = 5)]
    SignPrekeys(Vec<Bytes>),
    #[tls_codec(discriminant = 6)]
    Agree(u16, Vec<Leg>),
    /// The statement and the bare JID.
    #[tls_codec(discriminant = 7)]
    SignStanza(Bytes, Bytes),
    #[tls_codec(discriminant = 8)]
    BeginLinking(Bytes),
}

#[derive(TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct WireRequest {
    version: u8,
    id: u64,
    operation: WireOperation,
}

impl AgentRequest {
    pub(crate) fn new(id: u64, operation: Operation) -> Self {
        Self { id, operation }
    }

    /// Its number, which the reply repeats.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What is asked.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The request as bytes, for a store or a socket.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = |bytes: &[u8]| Bytes::from(bytes);
        let operation = match &self.operation {
            Operation::CertifyDevice(asked) => WireOperation::CertifyDevice(bytes(asked.tbs())),
            Operation::BeginLinking(asked) => WireOperation::BeginLinking(bytes(asked.tbs())),
            Operation::SignDeviceList(asked) => WireOperation::SignDeviceList(bytes(asked.tbs())),
            Operation::SignRecord(asked) => WireOperation::SignRecord(bytes(asked.tbs())),
            Operation::SignAdvert(asked) => {
                let meaning = asked.presence().map(PresenceMeaning::encode).unwrap_or_default();
                WireOperation::SignAdvert(bytes(asked.tbs()), spelled(asked.jid()), meaning.into())
            }
            Operation::SignPrekeys(asked) => WireOperation::SignPrekeys(asked.tbs().map(bytes).collect()),
            Operation::Agree { suite, legs } => WireOperation::Agree(suite.0, legs.clone()),
            Operation::SignStanza(asked) => {
                WireOperation::SignStanza(bytes(asked.tbs()), spelled(asked.jid()))
            }
        };
        wire::encode(&WireRequest { version: VERSION, id: self.id, operation })
    }

    /// Takes back what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`InvalidAgentData`] if the bytes are something else, or what is to be signed is not what the
    /// operation names.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidAgentData> {
        let WireRequest { version, id, operation } = wire::decode(bytes, MAX_REQUEST)?;
        if version != VERSION {
            return Err(InvalidAgentData);
        }
        let operation = match operation {
            WireOperation::CertifyDevice(tbs) => Operation::certify_device(tbs.into()),
            WireOperation::BeginLinking(tbs) => Operation::begin_linking(tbs.into()),
            WireOperation::SignDeviceList(tbs) => Operation::sign_device_list(tbs.into()),
            WireOperation::SignRecord(tbs) => Operation::sign_record(tbs.into()),
            WireOperation::SignAdvert(tbs, jid, meaning) => {
                let meaning = Some(meaning.as_slice()).filter(|meaning| !meaning.is_empty());
                let meaning = meaning.map(PresenceMeaning::decode).transpose();
                account_of(&jid).and_then(|jid| Operation::sign_advert(tbs.into(), jid, meaning?))
            }
            WireOperation::SignPrekeys(all) => {
                Operation::sign_prekeys(all.into_iter().map(Into::into).collect())
            }
            WireOperation::Agree(suite, legs) => Operation::agree(SuiteId(suite), legs),
            WireOperation::SignStanza(tbs, jid) => {
                account_of(&jid).and_then(|jid| Operation::sign_stanza(tbs.into(), jid))
            }
        };
        Ok(Self { id, operation: operation.map_err(|_| InvalidAgentData)? })
    }
}

impl Operation {
    /// `tbs` is the encoding of a `CertificateTbs`.
    pub(crate) fn certify_device(tbs: Vec<u8>) -> Result<Self, Reason> {
        CertifyDevice::decode(tbs).map(Self::CertifyDevice)
    }

    /// `tbs` is the encoding of a provisional `CertificateTbs`.
    pub(crate) fn begin_linking(tbs: Vec<u8>) -> Result<Self, Reason> {
        BeginLinking::decode(tbs).map(Self::BeginLinking)
    }

    /// `tbs` is the encoding of a `ListTbs`.
    pub(crate) fn sign_device_list(tbs: Vec<u8>) -> Result<Self, Reason> {
        SignDeviceList::decode(tbs).map(Self::SignDeviceList)
    }

    /// `tbs` is the encoding of a `RecordTbs`.
    pub(crate) fn sign_record(tbs: Vec<u8>) -> Result<Self, Reason> {
        SignRecord::decode(tbs).map(Self::SignRecord)
    }

    /// `tbs` is the encoding of an `AdvertTbs`; `jid` is signed with it, and `meaning` if it says so.
    pub(crate) fn sign_advert(
        tbs: Vec<u8>,
        jid: BareJid,
        meaning: Option<PresenceMeaning>,
    ) -> Result<Self, Reason> {
        SignAdvert::decode(tbs, jid, meaning).map(Self::SignAdvert)
    }

    /// Each of `tbs` is the encoding of a `PrekeyTbs`, all of one device.
    pub(crate) fn sign_prekeys(tbs: Vec<Vec<u8>>) -> Result<Self, Reason> {
        SignPrekeys::decode(tbs).map(Self::SignPrekeys)
    }

    /// `tbs` is the encoding of a `SignedTbs`; `jid` is signed with it.
    pub(crate) fn sign_stanza(tbs: Vec<u8>, jid: BareJid) -> Result<Self, Reason> {
        SignStanza::decode(tbs, jid).map(Self::SignStanza)
    }

    /// What is to be signed, without signatures: of several prekeys, each.
    pub(crate) fn tbs(&self) -> Vec<&[u8]> {
        match self {
            Self::CertifyDevice(asked) => vec![asked.tbs()],
            Self::BeginLinking(asked) => vec![asked.tbs()],
            Self::SignDeviceList(asked) => vec![asked.tbs()],
            Self::SignRecord(asked) => vec![asked.tbs()],
            Self::SignAdvert(asked) => vec![asked.tbs()],
            Self::SignPrekeys(asked) => asked.tbs().collect(),
            Self::Agree { .. } => Vec::new(),
            Self::SignStanza(asked) => vec![asked.tbs()],
        }
    }

    /// At least one leg, each of the device agreement key.
    pub(crate) fn agree(suite: SuiteId, legs: Vec<Leg>) -> Result<Self, Reason> {
        let count = (1..=MAX_LEGS).contains(&legs.len());
        if !count || !legs.iter().all(|leg| leg.label().is_for_agent(leg.role())) {
            return Err(Malformed::Encoding.into());
        }
        Ok(Self::Agree { suite, legs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{LegLabel, Role};
    use crate::identity::fixture::{Device, now};
    use crate::identity::{ListTbs, PrekeyKind, PrekeyTbs, PublicKey};
    use crate::presence::AdvertTbs;
    use crate::signed::{Covered, SignedTbs, Statement, StatementKind};
    use crate::stanza::parse;
    use crate::suite::AlgorithmId;

    fn all(device: &Device) -> [Vec<u8>; 6] {
        let list = ListTbs::new(&device.jid, &device.account(), 1, vec![], false);
        let key = PublicKey::new(AlgorithmId(1), &device.agreement.public);
        [
            device.certificate_tbs().encode(),
            list.encode(),
            device.record_tbs().encode(),
            AdvertTbs::new(&device.record(), 1, 1, now(), false).encode(),
            PrekeyTbs::new(&device.jid, device.id, 1, PrekeyKind::Agreement, key).encode(),
            statement(device, Covered::Hashes(&[[1; 32]; 2])),
        ]
    }

    fn statement(device: &Device, covered: Covered<'_>) -> Vec<u8> {
        let audience = BareJid::parse("bob@example.org").unwrap();
        let said = Statement {
            kind: StatementKind::Item,
            audience: Some(&audience),
            subject: "urn:xmpp:microblog:0",
            inner_id: "1",
            covered,
        };
        SignedTbs::new(&said, device.id, 1, now(), now()).encode()
    }

    fn operation(kind: usize, tbs: Vec<u8>, jid: &BareJid) -> Result<Operation, Reason> {
        match kind {
            0 => Operation::certify_device(tbs),
            1 => Operation::sign_device_list(tbs),
            2 => Operation::sign_record(tbs),
            3 => Operation::sign_advert(tbs, jid.clone(), None),
            4 => Operation::sign_prekeys(vec![tbs]),
            _ => Operation::sign_stanza(tbs, jid.clone()),
        }
    }

    fn meaning() -> PresenceMeaning {
        PresenceMeaning::of(&parse("<presence><show>away</show></presence>").unwrap()).unwrap()
    }

    fn covering(device: &Device, meaning: Option<PresenceMeaning>) -> Result<Operation, Reason> {
        let tbs = AdvertTbs::new(&device.record(), 1, 1, now(), true).encode();
        Operation::sign_advert(tbs, device.jid.clone(), meaning)
    }

    #[test]
    fn an_operation_takes_only_what_it_names() {
        let device = Device::new("alice@example.com", 1);
        for (is, tbs) in all(&device).iter().enumerate() {
            for named in 0..6 {
                let taken = operation(named, tbs.clone(), &device.jid).is_ok();
                assert_eq!(taken, is == named, "{is} as {named}");
            }
            for kind in 0..6 {
                assert!(operation(kind, [tbs, &b"x"[..]].concat(), &device.jid).is_err());
            }
        }
    }

    #[test]
    fn round_trips() {
        let device = Device::new("alice@example.com", 1);
        let legs = vec![
            Leg::new(LegLabel::Sp, Role::Initiator, &[1; 32], &[2; 32]),
            Leg::new(LegLabel::Aa, Role::Initiator, &[3; 32], &[2; 32]),
        ];
        let mut operations = vec![Operation::agree(SuiteId(1), legs).unwrap()];
        for (kind, tbs) in all(&device).into_iter().enumerate() {
            operations.push(operation(kind, tbs, &device.jid).unwrap());
        }
        operations.push(covering(&device, Some(meaning())).unwrap());
        for operation in operations {
            let bytes = AgentRequest::new(9, operation).to_bytes();
            let again = AgentRequest::from_bytes(&bytes).unwrap();
            assert_eq!((again.id(), again.to_bytes()), (9, bytes.clone()));
            assert!(AgentRequest::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
            assert!(AgentRequest::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            assert!(AgentRequest::from_bytes(&[&[1], &bytes[1..]].concat()).is_err());
            assert!(!format!("{again:?}").contains("alice"));
        }
    }

    #[test]
    fn shows_what_is_asked() {
        let device = Device::new("alice@example.com", 1);
        let Operation::CertifyDevice(asked) =
            Operation::certify_device(device.certificate_tbs().encode()).unwrap()
        else {
            panic!("another operation");
        };
        assert_eq!((asked.jid().as_str(), asked.device()), ("alice@example.com", device.id));
        assert_eq!((asked.account_digest(), asked.serial()), (device.account().digest(), 1));
        assert!(asked.signed_bytes().ends_with(asked.tbs()));
    }

    #[test]
    fn an_advert_comes_with_what_it_covers() {
        let device = Device::new("alice@example.com", 1);
        let Ok(Operation::SignAdvert(asked)) = covering(&device, Some(meaning())) else {
            panic!("another operation");
        };
        assert_eq!(asked.presence().map(PresenceMeaning::show), Some("away"));
        assert!(asked.signed_bytes().ends_with(&meaning().digest()));
        assert!(covering(&device, None).is_err());
        let plain = AdvertTbs::new(&device.record(), 1, 1, now(), false).encode();
        assert!(Operation::sign_advert(plain, device.jid.clone(), Some(meaning())).is_err());
    }

    #[test]
    fn shows_a_statement() {
        let device = Device::new("alice@example.com", 1);
        let asked = |covered| {
            let operation = Operation::sign_stanza(statement(&device, covered), device.jid.clone()).unwrap();
            let Operation::SignStanza(asked) = operation else { panic!("another operation") };
            asked
        };
        let hashes = asked(Covered::Hashes(&[[1; 32]; 2]));
        assert_eq!((hashes.jid(), hashes.device()), (&device.jid, device.id));
        assert_eq!((hashes.kind(), hashes.sequence()), (StatementKind::Item, 1));
        assert_eq!(hashes.audience().map(BareJid::as_str), Some("bob@example.org"));
        assert_eq!((hashes.subject(), hashes.inner_id()), ("urn:xmpp:microblog:0", "1"));
        assert_eq!((hashes.time(), hashes.expiry()), (now(), now()));
        assert_eq!((hashes.covered(), hashes.xml()), (2, None));
        let xml = asked(Covered::Opaque("<entry/>"));
        assert_eq!((xml.covered(), xml.xml()), (0, Some("<entry/>")));
        let jid = wire::encode(&spelled(&device.jid));
        assert!(xml.signed_bytes().ends_with(&[xml.tbs(), &jid].concat()));
    }

    #[test]
    fn bounds() {
        let leg = |label| Leg::new(label, Role::Initiator, &[1; 32], &[2; 32]);
        assert!(Operation::agree(SuiteId(1), vec![]).is_err());
        assert!(Operation::agree(SuiteId(1), vec![leg(LegLabel::Aa); 5]).is_err());
        assert!(Operation::agree(SuiteId(1), vec![leg(LegLabel::Es)]).is_err());
        assert!(Operation::sign_prekeys(vec![]).is_err());
        let (alice, bob) = (Device::new("alice@example.com", 1), Device::new("bob@example.com", 2));
        let of = |device: &Device| all(device)[4].clone();
        assert!(Operation::sign_prekeys(vec![of(&alice); 128]).is_ok());
        assert!(Operation::sign_prekeys(vec![of(&alice); 129]).is_err());
        assert!(Operation::sign_prekeys(vec![of(&alice), of(&bob)]).is_err());
    }
}
