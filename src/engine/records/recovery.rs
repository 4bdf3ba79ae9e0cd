//! Records about messages that could not be read.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use super::{MAX_RECORD, VERSION};
use crate::env::Timestamp;
use crate::identity::Digest;
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::store::table::Record;
use crate::wire::{self, Undecodable};

/// A message sent that a device it was sealed for may ask for again, by the account it went to and its number.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Kept {
    /// The account key that it was sealed under.
    pub(crate) account_key: Option<Digest>,
    /// The least level that it needed.
    pub(crate) level: u8,
    /// The time that it said.
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) time: Timestamp,
    pub(crate) devices: Vec<u32>,
    pub(crate) own_devices: Vec<u32>,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) stanza_type: String,
    #[tls_codec(with = "crate::wire::text")]
    pub(crate) id: String,
    /// The content, without padding.
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) content: Secret,
}

impl Kept {
    /// What it counts for, with what a store adds to a record.
    pub(crate) fn size(&self) -> u64 {
        let devices = (self.devices.len() + self.own_devices.len()) * 4;
        let len = self.content.expose().len() + self.id.len() + devices + 128;
        u64::try_from(len).unwrap_or(u64::MAX)
    }
}

record!(Kept, 23, (BareJid, u64));

/// What could not be read of a device, and what has been done about it.
#[derive(Clone, Default, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Trouble {
    /// Whether something is missing that has not been asked for with success.
    #[tls_codec(with = "crate::wire::flag")]
    pub(crate) open: bool,
    /// The time that the last message read before the first trouble had said, in milliseconds.
    pub(crate) since: u64,
    /// The times that messages have said that were read from then on, in milliseconds.
    pub(crate) read: Vec<u64>,
    /// The times that messages have said that came again, in milliseconds.
    pub(crate) again: Vec<u64>,
    /// The time that the last message read before the last trouble had said, in milliseconds.
    pub(crate) from: u64,
    /// When a new session is opened to ask, in milliseconds.
    pub(crate) due: Option<u64>,
    /// When was last asked, in milliseconds, in which session, and how often within the hour.
    pub(crate) asked_at: u64,
    pub(crate) asked_in: Option<[u8; 16]>,
    pub(crate) asked: u8,
    /// How often in a row nothing came of it.
    pub(crate) failures: u8,
    /// How often the list has been looked at since it last held the device.
    pub(crate) looks: u8,
    /// When messages were first sent again to the device within the hour, in milliseconds, and how often since.
    pub(crate) answered_at: u64,
    pub(crate) answered: u8,
    #[tls_codec(with = "crate::wire::time")]
    pub(crate) forget_at: Timestamp,
}

impl Trouble {
    /// Whether anything could not be read; else it only says what was sent again.
    pub(crate) fn is_of_reading(&self) -> bool {
        self.open || self.asked_at != 0
    }

    /// Nothing is asked for any more, and what was asked for does not cover what is missing next. What was read stays known.
    pub(crate) fn close(&mut self) {
        self.open = false;
        self.due = None;
        self.asked_in = None;
    }
}

record!(Trouble, 24, (BareJid, u32), |trouble| Some(
    trouble.due.map_or(trouble.forget_at, Timestamp::from_millis)
));
