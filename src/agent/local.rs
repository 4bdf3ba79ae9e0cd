//! An agent within the process, for clients that keep keys in their own store.

use core::fmt;

use rand_core::CryptoRng;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::agent::{
    AgentIdentity, AgentRefusal, AgentReply, AgentRequest, Answer, InvalidAgentData, Leg, MAX_IDENTITY,
    Operation,
};
use crate::identity::{AccountKey, PublicKey};
use crate::secret::Secret;
use crate::suite::{Agreement, AlgorithmId, ED25519, KeyPair, Signature, SuiteId, Suites};
use crate::wire::{self, Bytes};

/// The version of the stored form.
const VERSION: u8 = 0;

/// An agent that holds the private keys itself and does whatever is asked about them.
pub struct LocalAgent {
    suites: Suites,
    account: Option<PrivateKey>,
    signing: PrivateKey,
    agreement: Vec<PrivateKey>,
}

#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct PrivateKey {
    algorithm: u16,
    #[tls_codec(with = "crate::wire::secret")]
    secret: Secret,
    public: Bytes,
}

#[derive(TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Stored {
    version: u8,
    account: Option<PrivateKey>,
    signing: PrivateKey,
    agreement: Vec<PrivateKey>,
}

impl LocalAgent {
    /// An agent with a new account key and the keys of its first device: signature keys of the
    /// preferred suite, an agreement key for each group.
    #[must_use]
    pub fn generate(suites: &Suites, rng: &mut dyn CryptoRng) -> Self {
        let part = preferred(suites);
        let account = PrivateKey::new(part.id(), part.generate(rng));
        Self::with_account(suites, Some(account), rng)
    }

    /// An agent with the keys of a device, and no account key: another device of the account is to
    /// [link](crate::Command::Link) it.
    #[must_use]
    pub fn without_account_key(suites: &Suites, rng: &mut dyn CryptoRng) -> Self {
        Self::with_account(suites, None, rng)
    }

    /// An agent with a copy of the account key, if this one has it, and new keys of a second device.
    #[must_use]
    pub fn for_new_device(&self, rng: &mut dyn CryptoRng) -> Self {
        Self::with_account(&self.suites, self.account.clone(), rng)
    }

    fn with_account(suites: &Suites, account: Option<PrivateKey>, rng: &mut dyn CryptoRng) -> Self {
        let part = preferred(suites);
        let signing = PrivateKey::new(part.id(), part.generate(rng));
        let of_group = |part: &'static dyn Agreement| PrivateKey::new(part.id(), part.generate(rng));
        let agreement = suites.agreements().into_iter().map(of_group).collect();
        Self { suites: suites.clone(), account, signing, agreement }
    }

    /// The public keys, with which to create an engine.
    #[must_use]
    pub fn identity(&self) -> AgentIdentity {
        AgentIdentity {
            account: self
                .account
                .as_ref()
                .map(|key| AccountKey::new(AlgorithmId(key.algorithm), key.public.as_ref(), b"")),
            signing: self.signing.public_key(),
            agreement: self.agreement.iter().map(PrivateKey::public_key).collect(),
        }
    }

    /// Does what is asked, if it is about the keys of this agent.
    #[must_use]
    pub fn answer(&self, request: &AgentRequest) -> AgentReply {
        AgentReply::new(request, self.result(request.operation()))
    }

    fn result(&self, operation: &Operation) -> Result<Answer, AgentRefusal> {
        let identity = self.identity();
        match operation {
            Operation::CertifyDevice(asked) => {
                let key = self.account.as_ref().ok_or(AgentRefusal::NotOurs)?;
                ours(Some(&asked.content.account) == identity.account())?;
                asked.content.check(&self.suites).map_err(|_| AgentRefusal::Invalid)?;
                self.sign(key, asked.signed_bytes()).map(Answer::Signature)
            }
            Operation::BeginLinking(asked) => {
                ours(asked.content.signing_key == *identity.signing_key())?;
                asked.content.check(&self.suites).map_err(|_| AgentRefusal::Invalid)?;
                self.sign(&self.signing, asked.signed_bytes()).map(Answer::Signature)
            }
            Operation::SignDeviceList(asked) => {
                let key = self.account.as_ref().ok_or(AgentRefusal::NotOurs)?;
                ours(Some(*asked.content.account()) == identity.account_digest())?;
                self.sign(key, asked.signed_bytes()).map(Answer::Signature)
            }
            Operation::SignRecord(asked) => {
                // One without account key stands by what another device has certified for its keys.
                ours(
                    identity.account().is_none_or(|account| asked.certificate.account == *account)
                        && asked.certificate.signing_key == *identity.signing_key(),
                )?;
                asked.content.check(&self.suites).map_err(|_| AgentRefusal::Invalid)?;
                self.sign(&self.signing, asked.signed_bytes()).map(Answer::Signature)
            }
            Operation::SignAdvert(asked) => {
                ours(identity.account_digest().is_none_or(|account| *asked.content.account() == account))?;
                self.sign(&self.signing, asked.signed_bytes()).map(Answer::Signature)
            }
            Operation::SignPrekeys(asked) => {
                for content in &asked.contents {
                    content.check(&self.suites).map_err(|_| AgentRefusal::Invalid)?;
                }
                let signatures = asked.signed_bytes().map(|bytes| self.sign(&self.signing, bytes));
                signatures.collect::<Result<_, _>>().map(Answer::Signatures)
            }
            Operation::Agree { suite, legs } => {
                let legs = legs.iter().map(|leg| self.leg(*suite, leg));
                legs.collect::<Result<_, _>>().map(Answer::Legs)
            }
            // It names no key: whose it is, its certificate says to those who read it.
            Operation::SignStanza(asked) => {
                self.sign(&self.signing, asked.signed_bytes()).map(Answer::Signature)
            }
        }
    }

    fn sign(&self, key: &PrivateKey, bytes: &[u8]) -> Result<Vec<u8>, AgentRefusal> {
        let part = self.suites.signature(AlgorithmId(key.algorithm)).ok_or(AgentRefusal::Unknown)?;
        part.sign(&key.secret, bytes).map_err(|_| AgentRefusal::Invalid)
    }

    fn leg(&self, suite: SuiteId, leg: &Leg) -> Result<Secret, AgentRefusal> {
        let suite = self.suites.find(suite).ok_or(AgentRefusal::Unknown)?;
        let algorithm = suite.agreement.id().0;
        let key =
            self.agreement.iter().find(|key| key.algorithm == algorithm).ok_or(AgentRefusal::Unknown)?;
        let dh = suite.agreement.agree(&key.secret, leg.peer()).map_err(|_| AgentRefusal::Invalid)?;
        leg.answer(suite, key.public.as_ref(), &dh).map_err(|_| AgentRefusal::Invalid)
    }

    /// All keys as bytes, for the client's store. They are secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        wire::encode_secret(&Stored {
            version: VERSION,
            account: self.account.clone(),
            signing: self.signing.clone(),
            agreement: self.agreement.clone(),
        })
    }

    /// Takes back what [`to_bytes`](Self::to_bytes) gave, to answer for `suites`.
    ///
    /// # Errors
    /// [`InvalidAgentData`] if the bytes are something else.
    pub fn from_bytes(bytes: &[u8], suites: &Suites) -> Result<Self, InvalidAgentData> {
        let Stored { version, account, signing, agreement } = wire::decode(bytes, MAX_IDENTITY)?;
        if version != VERSION {
            return Err(InvalidAgentData);
        }
        Ok(Self { suites: suites.clone(), account, signing, agreement })
    }
}

impl fmt::Debug for LocalAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAgent").finish_non_exhaustive()
    }
}

impl PrivateKey {
    fn new(algorithm: AlgorithmId, pair: KeyPair) -> Self {
        Self { algorithm: algorithm.0, secret: pair.secret, public: pair.public.into() }
    }

    fn public_key(&self) -> PublicKey {
        PublicKey::new(AlgorithmId(self.algorithm), self.public.as_ref())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

/// The signatures of the preferred suite.
fn preferred(suites: &Suites) -> &'static dyn Signature {
    let first = suites.iter().next();
    // A list of suites is never empty.
    first.map_or(ED25519 as &dyn Signature, |suite| suite.signature)
}

fn ours(is: bool) -> Result<(), AgentRefusal> {
    if is { Ok(()) } else { Err(AgentRefusal::NotOurs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{LegLabel, Role};
    use crate::identity::fixture::{Device, NOW, now, rng};
    use crate::identity::{
        CertificateTbs, DeviceCertificate, DeviceEntry, DeviceList, DeviceRecord, DeviceState, ListTbs,
        OneTimePrekey, Prekey, PrekeyKind, PrekeyTbs, RecordTbs, spelled,
    };
    use crate::jid::BareJid;
    use crate::presence::{Advert, AdvertTbs};
    use crate::signed::{Covered, Signed, SignedTbs, Statement, StatementKind};
    use crate::suite::{SUITE_HYBRID, X25519};

    fn jid() -> BareJid {
        BareJid::parse("alice@example.com").unwrap()
    }

    fn certificate_tbs(identity: &AgentIdentity) -> Vec<u8> {
        let tbs = CertificateTbs {
            jid: spelled(&jid()),
            account: identity.account().unwrap().clone(),
            device: 5,
            signing_key: identity.signing_key().clone(),
            agreement_keys: identity.agreement_keys().to_vec(),
            flags: 0,
            not_before: NOW,
            not_after: NOW + 100,
            serial: 1,
            extensions: Vec::new(),
        };
        tbs.encode()
    }

    fn ask(agent: &LocalAgent, operation: Operation) -> Result<Answer, AgentRefusal> {
        let request = AgentRequest::new(3, operation);
        let reply = agent.answer(&request);
        assert!(reply.fits(&request));
        reply.result
    }

    fn signature(agent: &LocalAgent, operation: Operation) -> Vec<u8> {
        match ask(agent, operation).unwrap() {
            Answer::Signature(signature) => signature,
            Answer::Signatures(_) | Answer::Legs(_) => panic!("another answer"),
        }
    }

    fn certificate(agent: &LocalAgent) -> DeviceCertificate {
        let tbs = certificate_tbs(&agent.identity());
        let signature = signature(agent, Operation::certify_device(tbs.clone()).unwrap());
        DeviceCertificate::issue(&tbs, &signature, &Suites::default()).unwrap()
    }

    #[test]
    fn signs_what_verifies() {
        let (suites, rng) = (Suites::default(), &mut rng(1));
        let agent = LocalAgent::generate(&suites, rng);
        let identity = agent.identity();
        let certificate = certificate(&agent);

        let entries = vec![DeviceEntry { device: 5, lowest_serial: 1, state: DeviceState::Live }];
        let tbs = ListTbs::new(&jid(), identity.account().unwrap(), 1, entries, false).encode();
        let list = signature(&agent, Operation::sign_device_list(tbs.clone()).unwrap());
        let list = DeviceList::issue(&tbs, &list, identity.account().unwrap(), &suites).unwrap();
        assert_eq!(list.accepts(&certificate), Ok(()));

        let prekey = X25519.generate(rng).public;
        let prekeys = (vec![Prekey::new(X25519.id(), 1, &prekey)], vec![]);
        let tbs = RecordTbs::new(&certificate, vec![1], prekeys, 1, NOW + 100, rng).encode();
        let record = signature(&agent, Operation::sign_record(tbs.clone()).unwrap());
        let record = DeviceRecord::issue(&tbs, &record, &suites).unwrap();

        let tbs = AdvertTbs::new(&record, 1, 1, now(), false).encode();
        let advert = signature(&agent, Operation::sign_advert(tbs.clone(), jid(), None).unwrap());
        assert!(Advert::issue(&tbs, &advert, &jid(), identity.signing_key(), None, &suites).is_ok());
        assert!(Advert::issue(&tbs, &[0; 64], &jid(), identity.signing_key(), None, &suites).is_err());

        let key = PublicKey::new(X25519.id(), &prekey);
        let of = |id| PrekeyTbs::new(&jid(), 5, id, PrekeyKind::Agreement, key.clone()).encode();
        let answer = ask(&agent, Operation::sign_prekeys(vec![of(1), of(2)]).unwrap());
        let Ok(Answer::Signatures(signatures)) = answer else { panic!("another answer") };
        for (id, signature) in (1..).zip(&signatures) {
            assert!(OneTimePrekey::issue(&of(id), signature, &certificate, &suites).is_ok());
        }
        assert!(OneTimePrekey::issue(&of(2), &signatures[0], &certificate, &suites).is_err());

        let said = Statement {
            kind: StatementKind::Message,
            audience: None,
            subject: "chat",
            inner_id: "1",
            covered: Covered::Hashes(&[[1; 32]]),
        };
        let tbs = SignedTbs::new(&said, 5, 1, now(), now()).encode();
        let statement = signature(&agent, Operation::sign_stanza(tbs.clone(), jid()).unwrap());
        assert!(Signed::issue(&tbs, &statement, &jid(), identity.signing_key(), &suites).is_ok());
        // Under another label the same key has signed something else.
        assert!(Signed::issue(&tbs, &advert, &jid(), identity.signing_key(), &suites).is_err());
    }

    #[test]
    fn refuses_what_is_not_ours() {
        let agent = LocalAgent::generate(&Suites::default(), &mut rng(1));
        let other = Device::new("alice@example.com", 2);
        let operations = [
            Operation::certify_device(other.certificate_tbs().encode()),
            Operation::sign_device_list(ListTbs::new(&jid(), &other.account(), 1, vec![], false).encode()),
            Operation::sign_record(other.record_tbs().encode()),
            Operation::sign_advert(AdvertTbs::new(&other.record(), 1, 1, now(), false).encode(), jid(), None),
        ];
        for operation in operations {
            assert_eq!(ask(&agent, operation.unwrap()).err(), Some(AgentRefusal::NotOurs));
        }
        let bad = PublicKey::new(X25519.id(), &[0; 32]);
        let tbs = PrekeyTbs::new(&jid(), 5, 1, PrekeyKind::Agreement, bad).encode();
        let operation = Operation::sign_prekeys(vec![tbs]).unwrap();
        assert_eq!(ask(&agent, operation).err(), Some(AgentRefusal::Invalid));
    }

    #[test]
    fn a_second_device_has_the_account_and_keys_of_its_own() {
        let rng = &mut rng(1);
        let first = LocalAgent::generate(&Suites::default(), rng);
        let second = first.for_new_device(rng);
        let (a, b) = (first.identity(), second.identity());
        assert_eq!(a.account_digest(), b.account_digest());
        assert!(a.signing_key() != b.signing_key());
        assert!(a.agreement_keys() != b.agreement_keys());
        // The first may certify the second; the second's record is not the first's to sign.
        let tbs = certificate_tbs(&b);
        signature(&first, Operation::certify_device(tbs).unwrap());
        let record = RecordTbs::new(&certificate(&second), vec![1], (vec![], vec![]), 1, NOW, rng).encode();
        let operation = Operation::sign_record(record).unwrap();
        assert_eq!(ask(&first, operation.clone()).err(), Some(AgentRefusal::NotOurs));
        assert!(ask(&second, operation).is_ok());
    }

    #[test]
    fn without_account_key_it_signs_for_its_device_only() {
        let rng = &mut rng(1);
        let old = LocalAgent::generate(&Suites::default(), rng);
        let new = LocalAgent::without_account_key(&Suites::default(), rng);
        let again = LocalAgent::from_bytes(&new.to_bytes(), &Suites::default()).unwrap();
        assert!(again.identity() == new.identity() && again.identity().account_digest().is_none());
        let mut tbs = CertificateTbs::decode(&certificate_tbs(&old.identity())).unwrap();
        tbs.signing_key = new.identity().signing_key().clone();
        tbs.agreement_keys = new.identity().agreement_keys().to_vec();
        let certify = Operation::certify_device(tbs.encode()).unwrap();
        assert_eq!(ask(&new, certify.clone()).err(), Some(AgentRefusal::NotOurs));
        let list = ListTbs::new(&jid(), old.identity().account().unwrap(), 1, vec![], false).encode();
        assert_eq!(ask(&new, Operation::sign_device_list(list).unwrap()).err(), Some(AgentRefusal::NotOurs));
        // What is not provisional is not asked for, and only the device itself signs it.
        assert!(Operation::begin_linking(tbs.encode()).is_err());
        let certificate = tbs.encode();
        (tbs.flags, tbs.not_after) = (crate::identity::LINKING, tbs.not_before + 600);
        let begin = Operation::begin_linking(tbs.encode()).unwrap();
        let provisional = signature(&new, begin.clone());
        assert!(
            DeviceCertificate::issue_provisional(&tbs.encode(), &provisional, &Suites::default()).is_ok()
        );
        assert_eq!(ask(&old, begin).err(), Some(AgentRefusal::NotOurs));
        // Once certified, its record is its own to sign.
        let signed = signature(&old, certify);
        let certificate = DeviceCertificate::issue(&certificate, &signed, &Suites::default()).unwrap();
        let record = RecordTbs::new(&certificate, vec![1], (vec![], vec![]), 1, NOW, rng).encode();
        assert!(ask(&new, Operation::sign_record(record).unwrap()).is_ok());
    }

    #[test]
    fn legs_of_both_sides_are_the_same() {
        let rng = &mut rng(1);
        let (i, r) =
            (LocalAgent::generate(&Suites::default(), rng), LocalAgent::generate(&Suites::default(), rng));
        let key = |agent: &LocalAgent| agent.identity().agreement_key(X25519.id()).unwrap().to_vec();
        let (i_key, r_key) = (key(&i), key(&r));
        let legs =
            |agent: &LocalAgent, legs| match ask(agent, Operation::agree(SUITE_HYBRID.id, legs).unwrap()) {
                Ok(Answer::Legs(legs)) => Ok(legs),
                Ok(_) => panic!("another answer"),
                Err(refusal) => Err(refusal),
            };
        let prekey = X25519.generate(rng);
        let h = [7; 32];
        let ours = vec![
            Leg::new(LegLabel::Sp, Role::Initiator, &prekey.public, &h),
            Leg::new(LegLabel::Aa, Role::Initiator, &r_key, &h),
        ];
        let ours = legs(&i, ours).unwrap();
        let aa = legs(&r, vec![Leg::new(LegLabel::Aa, Role::Responder, &i_key, &h)]).unwrap();
        assert!(ours[1].same(&aa[0]));
        // The responder's engine has the prekey itself.
        let dh = X25519.agree(&prekey.secret, &i_key).unwrap();
        let sp =
            crate::agent::leg::leg(&SUITE_HYBRID, LegLabel::Sp, &dh, &i_key, &prekey.public, &h).unwrap();
        assert!(ours[0].same(&sp));
        // And the initiator's has its ephemeral key.
        let dh = X25519.agree(&prekey.secret, &r_key).unwrap();
        let ea =
            crate::agent::leg::leg(&SUITE_HYBRID, LegLabel::Ea, &dh, &prekey.public, &r_key, &h).unwrap();
        let answer = legs(&r, vec![Leg::new(LegLabel::Ea, Role::Responder, &prekey.public, &h)]).unwrap();
        assert!(answer[0].same(&ea));

        let small = vec![Leg::new(LegLabel::Aa, Role::Initiator, &[0; 32], &h)];
        assert_eq!(legs(&i, small).err(), Some(AgentRefusal::Invalid));
        let short = vec![Leg::new(LegLabel::Aa, Role::Initiator, &r_key, &h[1..])];
        assert_eq!(legs(&i, short).err(), Some(AgentRefusal::Invalid));
        let leg = vec![Leg::new(LegLabel::Aa, Role::Initiator, &r_key, &h)];
        let unknown = Operation::agree(SuiteId(0xF00D), leg).unwrap();
        assert_eq!(ask(&i, unknown).err(), Some(AgentRefusal::Unknown));
    }

    #[test]
    fn replies_that_do_not_fit() {
        let agent = LocalAgent::generate(&Suites::default(), &mut rng(1));
        let leg = vec![Leg::new(LegLabel::Aa, Role::Initiator, &[9; 32], &[1; 32])];
        let agree = AgentRequest::new(1, Operation::agree(SUITE_HYBRID.id, leg).unwrap());
        let certify = Operation::certify_device(certificate_tbs(&agent.identity())).unwrap();
        let certify = AgentRequest::new(1, certify);
        let (legs, signature) = (agent.answer(&agree), agent.answer(&certify));
        assert!(legs.fits(&agree) && signature.fits(&certify));
        assert!(!legs.fits(&certify) && !signature.fits(&agree));
        let short = AgentReply::new(&agree, Ok(Answer::Legs(vec![Secret::from(&[1; 31][..])])));
        assert!(!short.fits(&agree));
        assert!(!AgentReply::new(&agree, Ok(Answer::Legs(vec![]))).fits(&agree));
        let other = AgentRequest::new(2, agree.operation().clone());
        assert!(!legs.fits(&other));
    }

    #[test]
    fn stored_and_taken_back() {
        let suites = Suites::default();
        let agent = LocalAgent::generate(&suites, &mut rng(1));
        let bytes = agent.to_bytes();
        let again = LocalAgent::from_bytes(&bytes, &suites).unwrap();
        assert_eq!(again.identity(), agent.identity());
        assert_eq!(certificate(&again).bytes(), certificate(&agent).bytes());
        assert!(LocalAgent::from_bytes(&bytes[..bytes.len() - 1], &suites).is_err());
        assert!(LocalAgent::from_bytes(&[&[1], &bytes[1..]].concat(), &suites).is_err());
        assert_eq!(format!("{agent:?}"), "LocalAgent { .. }");
    }
}
