//! What two sides compute to compare their keys: commitment, transcript, short string, confirmations. Pure functions on
//! plain values; the engine says when.

mod fault;
mod message;
mod pake;
mod phrase;

use core::fmt;

use sha2::{Digest as _, Sha256};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLByteSlice};

use crate::identity::{AccountKey, DeviceCertificate, Digest, PublicKey};
use crate::secret::Secret;
use crate::short_string::ShortString;
use crate::suite::kdf::{PREFIX, expand_with_label};
use crate::suite::{Refused, SHA_256};
use crate::wire::{self, Bytes};

pub use fault::VerificationFault;
pub(crate) use message::{MAX_QUESTION, Message, Step};
pub(crate) use pake::{ELEMENT_LEN, Element, Side, check_element, finish, start};
pub(crate) use phrase::prepare;
pub use phrase::{Question, SharedSecret};

/// What comparisons between people have in their labels.
pub(crate) const PURPOSE: &str = "verification";

/// What a run is bound to beside the transcript: a secret of the session with this label, and the run's id as context. It
/// is none that an application has for itself.
pub(crate) const EXPORTER_LABEL: &str = "urn:xmpp:e2e:0 verification";

/// The length of the id of a run.
pub(crate) const RUN_ID_LEN: usize = 16;

/// The lengths of what is derived.
const STRING_LEN: u16 = 6;
const CONFIRMATION_LEN: u16 = 32;

/// The id of one comparison of keys.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RunId(pub(crate) [u8; RUN_ID_LEN]);

impl RunId {
    /// The id that [`to_bytes`](Self::to_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; RUN_ID_LEN]) -> Self {
        Self(bytes)
    }

    /// The id as bytes, such as for a dialogue of the application.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RUN_ID_LEN] {
        self.0
    }
}

/// How keys are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Method {
    /// People compare a short string.
    ShortString = 1,
    /// The programs compare a secret that both people know.
    Secret = 2,
}

/// One side, as it stands in the transcript: keys in full, with their types. The certificate around them is left out, for
/// it is renewed with the same keys.
#[derive(Clone, TlsSerialize, TlsSize)]
pub(crate) struct Party {
    jid: Bytes,
    account: AccountKey,
    device: u32,
    signing_key: PublicKey,
    agreement_keys: Vec<PublicKey>,
}

impl Party {
    pub(crate) fn of(certificate: &DeviceCertificate) -> Self {
        Self {
            jid: certificate.jid().as_str().as_bytes().into(),
            account: certificate.account().clone(),
            device: certificate.device(),
            signing_key: certificate.signing_key().clone(),
            agreement_keys: certificate.agreement_keys().to_vec(),
        }
    }

    /// What the side is called in the PAKE.
    pub(crate) fn identity(&self) -> Vec<u8> {
        wire::encode(self)
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("device", &self.device).finish_non_exhaustive()
    }
}

/// All that both sides must have seen alike, in the order of their roles.
pub(crate) struct Transcript<'a> {
    /// The protocol it is of, so that two protocols with these functions never give one string.
    pub(crate) purpose: &'a str,
    pub(crate) method: Method,
    pub(crate) run: RunId,
    /// The id of the session.
    pub(crate) session: [u8; 16],
    pub(crate) initiator: &'a Party,
    pub(crate) responder: &'a Party,
    /// What each side added: random bytes, or its element of the PAKE.
    pub(crate) contributions: [&'a [u8]; 2],
    /// The key of the PAKE; empty without.
    pub(crate) shared: &'a [u8],
}

#[derive(TlsSerialize, TlsSize)]
struct TranscriptBytes<'a> {
    label: VLByteSlice<'a>,
    method: Method,
    run: [u8; RUN_ID_LEN],
    session: [u8; 16],
    initiator: &'a Party,
    responder: &'a Party,
    initiator_contribution: VLByteSlice<'a>,
    responder_contribution: VLByteSlice<'a>,
    shared: VLByteSlice<'a>,
}

/// What a transcript gives.
pub(crate) struct Outcome {
    /// What people compare.
    pub(crate) string: ShortString,
    /// What the initiator and the responder send to say that they agree.
    pub(crate) confirmations: [Secret; 2],
}

impl Transcript<'_> {
    /// Derives from the transcript and `exported`, a secret that both ends of the session have.
    pub(crate) fn outcome(&self, exported: &Secret) -> Result<Outcome, Refused> {
        let label = [PREFIX, self.purpose].concat();
        let [first, second] = self.contributions;
        let bytes = wire::encode_secret(&TranscriptBytes {
            label: VLByteSlice(label.as_bytes()),
            method: self.method,
            run: self.run.0,
            session: self.session,
            initiator: self.initiator,
            responder: self.responder,
            initiator_contribution: VLByteSlice(first),
            responder_contribution: VLByteSlice(second),
            shared: VLByteSlice(self.shared),
        });
        let prk = SHA_256.hmac(exported.expose(), &[&bytes]);
        let expand = |label: &str, len| expand_with_label(SHA_256, prk.expose(), label, &[], len);
        // It is shown on two screens.
        let string = expand("short string", STRING_LEN)?;
        let string = string.expose().try_into().map_err(|_| Refused)?;
        let confirmations = [
            expand("initiator confirmation", CONFIRMATION_LEN)?,
            expand("responder confirmation", CONFIRMATION_LEN)?,
        ];
        Ok(Outcome { string: ShortString::new(string), confirmations })
    }
}

/// The commitment of the responder to its contribution, before it sees the initiator's.
pub(crate) fn commit(purpose: &str, run: RunId, contribution: &[u8]) -> Digest {
    let label = [PREFIX, purpose, " commitment"].concat();
    let mut hash = Sha256::new();
    hash.update(wire::encode(&VLByteSlice(label.as_bytes())));
    hash.update(run.0);
    hash.update(wire::encode(&VLByteSlice(contribution)));
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
