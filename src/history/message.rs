//! What two devices of an account tell each other about a file.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::Malformed;
use crate::history::HistoryId;
use crate::identity::Digest;
use crate::secret::Secret;
use crate::suite::kdf::SECRET_LEN;
use crate::wire;

/// The longest name of a file, in bytes, as file systems have it.
const MAX_NAME: usize = 255;

/// The longest message: an offer with the longest name, and what later versions may add.
const MAX_HISTORY_MESSAGE: usize = 512;

/// What two devices of an account tell each other about a file.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum HistoryMessage {
    /// The file can be read with this key.
    #[tls_codec(discriminant = 1)]
    Offer(Offer),
    /// The file has been read.
    #[tls_codec(discriminant = 2)]
    Taken(HistoryId),
    /// The sender of this wants no more of it.
    #[tls_codec(discriminant = 3)]
    Dropped(HistoryId),
}

/// A file, and its key.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Offer {
    pub(crate) id: HistoryId,
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) key: Secret,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) name: String,
}

impl HistoryMessage {
    /// Reads it; `None` if it is of a kind that is not known.
    ///
    /// # Errors
    /// [`Malformed::Encoding`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        match bytes.first() {
            Some(1..=3) => {}
            Some(_) => return Ok(None),
            None => return Err(Malformed::Encoding),
        }
        let message = wire::decode(bytes, MAX_HISTORY_MESSAGE).map_err(|_| Malformed::Encoding)?;
        if let Self::Offer(offer) = &message
            && (offer.key.expose().len() != SECRET_LEN || !check_name(&offer.name))
        {
            return Err(Malformed::Encoding);
        }
        Ok(Some(message))
    }
}

/// Whether a file may have this name: short, and of one line.
pub(crate) fn check_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}
