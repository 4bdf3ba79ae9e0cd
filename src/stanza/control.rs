//! What engines tell each other inside a protected message.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::content::unpadded;
use crate::error::Malformed;
use crate::wire::{self, Bytes};

/// What engines tell each other.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Control {
    /// Nothing: an answer to a handshake, or a heartbeat.
    #[tls_codec(discriminant = 1)]
    Empty,
    /// The version of the sender's device list.
    #[tls_codec(discriminant = 2)]
    ListVersion(u32),
    /// About sending again what could not be read.
    #[tls_codec(discriminant = 3)]
    Resend(Resend),
    /// A step of a comparison of keys.
    #[tls_codec(discriminant = 4)]
    Verification(Bytes),
    /// A step of taking a new device into the account.
    #[tls_codec(discriminant = 5)]
    Linking(Bytes),
    /// About a file of history, between devices of one account.
    #[tls_codec(discriminant = 6)]
    History(Bytes),
}

/// About sending again.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Resend {
    /// Asks for the messages after this time, in milliseconds of the clock of the device asked.
    #[tls_codec(discriminant = 1)]
    Since(u64),
    /// One of them.
    #[tls_codec(discriminant = 2)]
    Message(Again),
}

/// A message that is sent again: what its stanza said, and its content without padding.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Again {
    /// The account that it was addressed to.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) addressed: String,
    /// The stanza's `type` and `id`; empty where there is none.
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) stanza_type: String,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) id: String,
    pub(crate) content: Bytes,
}

impl Control {
    /// Reads it, and the zeros after it.
    ///
    /// # Errors
    /// [`Malformed::Version`] for a kind that is not known, otherwise [`Malformed::Encoding`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.first() {
            Some(1..=6) => {}
            Some(_) => return Err(Malformed::Version),
            None => return Err(Malformed::Encoding),
        }
        let (control, rest) = wire::decode_prefix(bytes).map_err(|_| Malformed::Encoding)?;
        if unpadded(rest).is_empty() { Ok(control) } else { Err(Malformed::Encoding) }
    }
}
