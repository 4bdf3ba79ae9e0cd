//! The key agent: whoever holds the private keys of account and device, which the engine never has.
//!
//! The engine asks with an [`AgentRequest`], which names what is to be done so that an agent can
//! show and refuse it, and checks each [`AgentReply`]. [`LocalAgent`] answers within the process.

pub(crate) mod leg;
mod local;
mod reply;
mod request;
mod signing;

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::identity::{AccountKey, MAX_KEYS, PublicKey};
use crate::suite::AlgorithmId;
use crate::wire;

pub use leg::{Leg, LegLabel, Role};
pub use local::LocalAgent;
pub use reply::{AgentRefusal, AgentReply, Answer};
pub use request::{AgentRequest, MAX_PREKEYS, Operation};
pub use signing::{
    BeginLinking, CertifyDevice, SignAdvert, SignDeviceList, SignPrekeys, SignRecord, SignStanza,
};

/// Bytes that are not a request, reply or agent as encoded by this crate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not what an agent or engine writes")]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to say")]
pub struct InvalidAgentData;

impl From<wire::Undecodable> for InvalidAgentData {
    fn from(_: wire::Undecodable) -> Self {
        Self
    }
}

/// The longest encoding of an identity: keys of eight algorithms.
const MAX_IDENTITY: usize = 16 * 1024;

/// The public keys an agent answers for. An engine is created with them.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub struct AgentIdentity {
    /// None on a device that was, or is to be, linked by another.
    account: Option<AccountKey>,
    signing: PublicKey,
    agreement: Vec<PublicKey>,
}

impl AgentIdentity {
    /// The identity of these public keys. `application` is that of a hardware-backed account key,
    /// and empty for others; `agreement` has one key for each group.
    ///
    /// # Errors
    /// [`InvalidAgentData`] if there are too many keys, or two of one algorithm.
    pub fn new(
        account: (AlgorithmId, &[u8]),
        application: &[u8],
        signing: (AlgorithmId, &[u8]),
        agreement: &[(AlgorithmId, &[u8])],
    ) -> Result<Self, InvalidAgentData> {
        let identity = Self {
            account: Some(AccountKey::new(account.0, account.1, application)),
            signing: PublicKey::new(signing.0, signing.1),
            agreement: agreement.iter().map(|(id, key)| PublicKey::new(*id, key)).collect(),
        };
        identity.check()
    }

    /// The identity of a device whose agent has no account key: another device of the account is to
    /// [link](crate::Command::Link) it.
    ///
    /// # Errors
    /// [`InvalidAgentData`] if there are too many keys, or two of one algorithm.
    pub fn without_account_key(
        signing: (AlgorithmId, &[u8]),
        agreement: &[(AlgorithmId, &[u8])],
    ) -> Result<Self, InvalidAgentData> {
        let identity = Self {
            account: None,
            signing: PublicKey::new(signing.0, signing.1),
            agreement: agreement.iter().map(|(id, key)| PublicKey::new(*id, key)).collect(),
        };
        identity.check()
    }

    /// Takes back what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`InvalidAgentData`] if the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidAgentData> {
        wire::decode::<Self>(bytes, MAX_IDENTITY)?.check()
    }

    /// The keys as bytes. They are not secret.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    fn check(self) -> Result<Self, InvalidAgentData> {
        let keys = self.agreement.iter().map(|key| (key.algorithm, key.key.as_ref()));
        crate::identity::check_keys(&keys, |_, _| Ok(())).map_err(|_| InvalidAgentData)?;
        Ok(self)
    }

    /// The digest of the account key, by which two identities are seen to be of one account; none if the agent has no
    /// account key.
    #[must_use]
    pub fn account_digest(&self) -> Option<[u8; 32]> {
        self.account.as_ref().map(AccountKey::digest)
    }

    /// Whether the account key is there, so that devices can be certified.
    pub(crate) fn has_account_key(&self) -> bool {
        self.account.is_some()
    }

    pub(crate) fn account(&self) -> Option<&AccountKey> {
        self.account.as_ref()
    }

    pub(crate) fn signing_key(&self) -> &PublicKey {
        &self.signing
    }

    /// One key for each group.
    pub(crate) fn agreement_keys(&self) -> &[PublicKey] {
        &self.agreement
    }

    /// The agreement key of one algorithm.
    #[cfg(test)]
    pub(crate) fn agreement_key(&self, id: AlgorithmId) -> Option<&[u8]> {
        self.agreement.iter().find(|key| key.algorithm() == id).map(|key| key.key.as_ref())
    }
}

impl fmt::Debug for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentIdentity").finish_non_exhaustive()
    }
}

/// Legs in one request: a handshake has two for an agent.
pub(crate) const MAX_LEGS: usize = 4;

const _: () = assert!(MAX_KEYS >= crate::suite::MAX_SUITES, "one key for each suite at most");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_round_trip() {
        let keys: [(AlgorithmId, &[u8]); 2] = [(AlgorithmId(1), &[3; 32]), (AlgorithmId(2), &[4; 65])];
        let of = |keys: &[_]| {
            AgentIdentity::new((AlgorithmId(1), &[1; 32]), b"", (AlgorithmId(1), &[2; 32]), keys)
        };
        let identity = of(&keys).unwrap();
        assert_eq!(AgentIdentity::from_bytes(&identity.to_bytes()).unwrap(), identity);
        let without = AgentIdentity::without_account_key((AlgorithmId(1), &[2; 32]), &keys).unwrap();
        assert_eq!(AgentIdentity::from_bytes(&without.to_bytes()).unwrap(), without);
        assert_eq!((without.account_digest(), without.has_account_key()), (None, false));
        assert_eq!(identity.agreement_key(AlgorithmId(2)), Some(&[4; 65][..]));
        assert!(AgentIdentity::from_bytes(&identity.to_bytes()[1..]).is_err());
        assert_eq!(of(&[keys[0], keys[0]]).err(), Some(InvalidAgentData));
    }
}
