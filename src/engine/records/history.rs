//! Files of history, offered or got.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use super::{MAX_RECORD, VERSION};
use crate::env::Timestamp;
use crate::identity::Digest;
use crate::secret::Secret;
use crate::store::table::Record;
use crate::wire::{self, Undecodable};

/// A file of history, by its name.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct History {
    pub(crate) state: HistoryState,
    /// The other device.
    pub(crate) device: u32,
    /// The file's key; empty once it is forgotten.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) key: Secret,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) name: String,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) expires: Timestamp,
    /// How often the offer has gone out, and when it does again.
    pub(crate) sent: u8,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) again_at: Timestamp,
}

/// What has become of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum HistoryState {
    /// Offered by this device, and not answered.
    Given = 1,
    /// Offered to this device.
    Got = 2,
    /// Read by this device. Kept without its key, to be told from a new one.
    Taken = 3,
    /// Not wanted by this device; the same.
    Dropped = 4,
}

record!(History, 25, [u8; 16], |history| Some(match history.state {
    HistoryState::Given => history.again_at.min(history.expires),
    HistoryState::Got | HistoryState::Taken | HistoryState::Dropped => history.expires,
}));
