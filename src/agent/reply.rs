//! What an agent answers.

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::agent::request::{MAX_PREKEYS, MAX_REQUEST};
use crate::agent::{AgentRequest, InvalidAgentData, MAX_LEGS, Operation};
use crate::secret::Secret;
use crate::suite::kdf::SECRET_LEN;
use crate::wire::{self, Bytes};

/// The answer to one [`AgentRequest`].
#[derive(Clone, Debug)]
pub struct AgentReply {
    pub(crate) id: u64,
    pub(crate) result: Result<Answer, AgentRefusal>,
}

/// What was asked for.
#[derive(Clone)]
#[non_exhaustive]
pub enum Answer {
    /// The signature of one structure.
    Signature(Vec<u8>),
    /// The signatures of several, in the order of the request.
    Signatures(Vec<Vec<u8>>),
    /// The legs, in the order of the request, 32 bytes each.
    Legs(Vec<Secret>),
}

/// Why an agent did not do what was asked.
#[derive(
    Clone, Copy, Debug, Eq, Hash, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize, thiserror::Error,
)]
#[repr(u8)]
#[non_exhaustive]
pub enum AgentRefusal {
    /// A person or a rule said no.
    #[error("declined")]
    Declined = 1,
    /// It is about keys the agent does not have.
    #[error("not of this agent's keys")]
    NotOurs = 2,
    /// A suite or algorithm the agent does not have.
    #[error("unknown suite or algorithm")]
    Unknown = 3,
    /// What is to be signed, or a public key in it, is not valid.
    #[error("not valid")]
    Invalid = 4,
}

#[derive(TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
enum WireAnswer {
    #[tls_codec(discriminant = 1)]
    Refusal(AgentRefusal),
    #[tls_codec(discriminant = 2)]
    Signature(Bytes),
    #[tls_codec(discriminant = 3)]
    Signatures(Vec<Bytes>),
    #[tls_codec(discriminant = 4)]
    Legs(Vec<WireLeg>),
}

#[derive(TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct WireLeg(#[tls_codec(with = "crate::wire::secret")] Secret);

impl fmt::Debug for WireLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireLeg(..)")
    }
}

#[derive(TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct WireReply {
    version: u8,
    id: u64,
    answer: WireAnswer,
}

impl AgentReply {
    /// The reply to `request`.
    #[must_use]
    pub fn new(request: &AgentRequest, result: Result<Answer, AgentRefusal>) -> Self {
        Self { id: request.id(), result }
    }

    /// The number of the request this replies to.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The answer.
    ///
    /// # Errors
    /// [`AgentRefusal`] if the agent refused.
    pub fn result(&self) -> Result<&Answer, AgentRefusal> {
        self.result.as_ref().map_err(|refusal| *refusal)
    }

    /// The reply as bytes, for a socket.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let answer = match &self.result {
            Err(refusal) => WireAnswer::Refusal(*refusal),
            Ok(Answer::Signature(signature)) => WireAnswer::Signature(signature.clone().into()),
            Ok(Answer::Signatures(all)) => {
                WireAnswer::Signatures(all.iter().map(|signature| signature.clone().into()).collect())
            }
            Ok(Answer::Legs(legs)) => WireAnswer::Legs(legs.iter().cloned().map(WireLeg).collect()),
        };
        wire::encode_secret(&WireReply { version: 0, id: self.id, answer })
    }

    /// Takes back what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`InvalidAgentData`] if the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidAgentData> {
        let WireReply { version, id, answer } = wire::decode(bytes, MAX_REQUEST)?;
        if version != 0 {
            return Err(InvalidAgentData);
        }
        let result = match answer {
            WireAnswer::Refusal(refusal) => Err(refusal),
            WireAnswer::Signature(signature) => Ok(Answer::Signature(signature.into())),
            WireAnswer::Signatures(all) if all.len() <= MAX_PREKEYS => {
                Ok(Answer::Signatures(all.into_iter().map(Into::into).collect()))
            }
            WireAnswer::Legs(legs) if legs.len() <= MAX_LEGS => {
                Ok(Answer::Legs(legs.into_iter().map(|leg| leg.0).collect()))
            }
            WireAnswer::Signatures(_) | WireAnswer::Legs(_) => return Err(InvalidAgentData),
        };
        Ok(Self { id, result })
    }

    /// Whether this is a reply to `request`, and of the kind and number it asked for. Signatures are
    /// checked where they are used.
    pub(crate) fn fits(&self, request: &AgentRequest) -> bool {
        self.id == request.id()
            && match (&self.result, request.operation()) {
                (Err(_), _)
                | (
                    Ok(Answer::Signature(_)),
                    Operation::CertifyDevice(_)
                    | Operation::BeginLinking(_)
                    | Operation::SignDeviceList(_)
                    | Operation::SignRecord(_)
                    | Operation::SignAdvert(_)
                    | Operation::SignStanza(_),
                ) => true,
                (Ok(Answer::Signatures(signatures)), Operation::SignPrekeys(prekeys)) => {
                    signatures.len() == prekeys.count()
                }
                (Ok(Answer::Legs(answers)), Operation::Agree { legs, .. }) => {
                    answers.len() == legs.len()
                        && answers.iter().all(|answer| answer.expose().len() == SECRET_LEN)
                }
                (Ok(_), _) => false,
            }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature(_) => "Signature(..)",
            Self::Signatures(_) => "Signatures(..)",
            Self::Legs(_) => "Legs(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let results = [
            Err(AgentRefusal::Declined),
            Ok(Answer::Signature(vec![1; 64])),
            Ok(Answer::Signatures(vec![vec![1; 64], vec![2; 64]])),
            Ok(Answer::Legs(vec![Secret::from(&[3; 32][..])])),
        ];
        for result in results {
            let bytes = AgentReply { id: 7, result }.to_bytes();
            let again = AgentReply::from_bytes(&bytes).unwrap();
            assert_eq!((again.id(), again.to_bytes()), (7, bytes.clone()));
            assert!(AgentReply::from_bytes(&bytes[1..]).is_err());
            assert!(AgentReply::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
            assert!(AgentReply::from_bytes(&[&[1], &bytes[1..]].concat()).is_err());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let reply = AgentReply { id: 7, result: Ok(Answer::Legs(vec![Secret::from(&[3; 32][..])])) };
        assert_eq!(format!("{reply:?}"), "AgentReply { id: 7, result: Ok(Legs(..)) }");
    }
}
