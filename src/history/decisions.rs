//! What a device has decided about the keys of contacts, as the first section of a file.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::engine::MAX_CONTACTS;
use crate::history::HistoryError;
use crate::identity::Digest;
use crate::jid::{BareJid, MAX_JID};
use crate::trust::Decision;
use crate::wire;

/// The longest section: a decision about each of as many contacts as are ever remembered.
const MAX_SECTION: usize = MAX_CONTACTS * (MAX_JID + 64);

/// The length of the section's length.
const LENGTH: usize = 4;

/// What is decided about the key of one contact.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct TrustOf {
    #[tls_codec(with = "crate::wire::jid")]
    pub(crate) jid: BareJid,
    /// Which key.
    pub(crate) key: Digest,
    pub(crate) decision: Decision,
}

/// What is decided about the keys of all contacts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Decisions(pub(crate) Vec<TrustOf>);

impl Decisions {
    /// The section: its length, then one after the other.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut section = Vec::new();
        for one in &self.0 {
            let one = wire::encode(one);
            if section.len() + one.len() <= MAX_SECTION {
                section.extend(one);
            }
        }
        let mut bytes = wire::encode(&u32::try_from(section.len()).unwrap_or(0));
        bytes.append(&mut section);
        bytes
    }

    /// The inverse, without the length.
    pub(crate) fn decode(mut section: &[u8]) -> Result<Self, HistoryError> {
        let mut all = Vec::new();
        while !section.is_empty() {
            let (one, rest) = wire::decode_prefix(section).map_err(|_| HistoryError::Altered)?;
            all.push(one);
            section = rest;
        }
        Ok(Self(all))
    }
}

/// Takes the section off the beginning of what comes in pieces.
#[derive(Default)]
pub(super) struct Collector {
    bytes: Zeroizing<Vec<u8>>,
    done: Option<Decisions>,
}

impl Collector {
    /// What of `plain` is behind the section.
    pub(super) fn strip(&mut self, plain: &[u8]) -> Result<Vec<u8>, HistoryError> {
        if self.done.is_some() {
            return Ok(plain.to_vec());
        }
        self.bytes.extend_from_slice(plain);
        let Some((length, rest)) = self.bytes.split_first_chunk::<LENGTH>() else { return Ok(Vec::new()) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_SECTION {
            return Err(HistoryError::TooLong);
        }
        let Some((section, rest)) = rest.split_at_checked(length) else { return Ok(Vec::new()) };
        self.done = Some(Decisions::decode(section)?);
        let rest = rest.to_vec();
        self.bytes = Zeroizing::default();
        Ok(rest)
    }

    pub(super) fn finish(self) -> Result<Decisions, HistoryError> {
        self.done.ok_or(HistoryError::Truncated)
    }
}
