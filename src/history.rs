//! A sealed file with the past of an account, from one of its devices to another.
//!
//! The file is made and read in pieces of any size. Its key travels apart, in a session.

mod decisions;
mod message;
mod stream;

use core::fmt;

use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::identity::Digest;
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::suite::kdf::SECRET_LEN;
use crate::suite::{Level, Suite, SuiteId, Suites};
use crate::wire::{self, Bytes};

pub(crate) use decisions::{Decisions, TrustOf};
pub(crate) use message::{HistoryMessage, Offer, check_name};
pub(crate) use stream::fits;
use stream::{Opener, Sealer};

/// What names a file: random, so that no two have the same.
pub(crate) type HistoryId = [u8; 16];

/// What every file begins with: it is none of anything else.
const MAGIC: [u8; 8] = *b"xmppe2eh";

/// The version of the file.
const VERSION: u8 = 0;

/// The beginning of a file, in clear.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Header {
    magic: [u8; 8],
    version: u8,
    suite: u16,
    id: HistoryId,
}

/// The length of a [`Header`].
const HEADER_LEN: usize = 8 + 1 + 2 + 16;

/// Why a file of history cannot be made or read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A part of it is not as it was sealed, or not in its place.
    #[error("altered")]
    Altered,
    /// It is longer than the cipher can seal under one key.
    #[error("too long")]
    TooLong,
    /// It ends too early.
    #[error("ends too early")]
    Truncated,
    /// Of a version or suite that is not known here.
    #[error("unknown version or suite")]
    Version,
    /// Another file than the one offered, or none of this kind.
    #[error("not the file offered")]
    WrongFile,
}

/// How an offer of a file of history ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum HistoryEnd {
    /// The other side does not want it any more, or one of the two devices has been retired.
    Dropped,
    /// It was not taken in time.
    Expired,
    /// There were newer ones, and no room for all.
    Replaced,
    /// The other device has read the file.
    Taken,
}

/// Between whom a file goes.
#[derive(Clone)]
pub(crate) struct Between {
    pub(crate) account: BareJid,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Between {
    /// What the keys of a file are bound to.
    fn context(&self, header: &Header) -> Vec<u8> {
        wire::encode(&(*header, Bytes::from(self.account.as_str().as_bytes()), (self.from, self.to)))
    }
}

/// Seals a file of history for one other device of the account. It begins with what is decided about the keys of
/// contacts; behind that comes what the application writes.
#[must_use = "a file without its end is refused"]
pub struct HistoryWriter {
    between: Between,
    id: HistoryId,
    key: Secret,
    sealer: Sealer,
    digest: Sha256,
    size: u64,
    /// Sealed and not given out yet.
    ready: Vec<u8>,
}

impl HistoryWriter {
    pub(crate) fn new(
        between: Between,
        suite: &'static Suite,
        decisions: &Decisions,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, HistoryError> {
        let mut id = HistoryId::default();
        rng.fill_bytes(&mut id);
        let key = Secret::random(SECRET_LEN, rng);
        let header = Header { magic: MAGIC, version: VERSION, suite: suite.id.0, id };
        let sealer = Sealer::new(suite, &key, &between.context(&header))?;
        let ready = wire::encode(&header);
        let mut writer = Self { between, id, key, sealer, digest: Sha256::new(), size: 0, ready };
        writer.sealer.seal(&decisions.encode(), &mut writer.ready)?;
        Ok(writer)
    }

    /// Seals the next piece of the application's archive. Gives what the file goes on with, which may be nothing yet.
    ///
    /// # Errors
    /// [`HistoryError::TooLong`] after 256 TiB.
    pub fn write(&mut self, archive: &[u8]) -> Result<Vec<u8>, HistoryError> {
        let mut out = core::mem::take(&mut self.ready);
        self.sealer.seal(archive, &mut out)?;
        self.note(&out);
        Ok(out)
    }

    /// The end of the file, and what is needed to [offer](crate::Command::OfferHistory) it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(mut self) -> Result<(Vec<u8>, HistoryFile), HistoryError> {
        let mut out = core::mem::take(&mut self.ready);
        out.extend(self.sealer.finish_in_place()?);
        self.note(&out);
        let Self { between, id, key, digest, size, .. } = self;
        Ok((out, HistoryFile { between, id, key, size, digest: digest.finalize().into() }))
    }

    fn note(&mut self, sealed: &[u8]) {
        self.digest.update(sealed);
        self.size = self.size.saturating_add(sealed.len() as u64);
    }
}

impl fmt::Debug for HistoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryWriter")
            .field("to", &self.between.to)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A finished file: its key, and what else the other device is told of it. The file itself is the application's to
/// move, by any means.
#[derive(Clone)]
pub struct HistoryFile {
    pub(crate) between: Between,
    pub(crate) id: HistoryId,
    pub(crate) key: Secret,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

impl HistoryFile {
    /// The name of the file.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The device that can read it.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.between.to
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl fmt::Debug for HistoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryFile")
            .field("device", &self.device())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl PartialEq for HistoryFile {
    /// Whether both are the same file: each has a name of its own.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.digest == other.digest
    }
}

impl Eq for HistoryFile {}

/// Reads a file of history. What it gives is authentic; that it is whole only [`finish`](Self::finish) says.
#[must_use = "whether the file is whole only `finish` says"]
pub struct HistoryReader {
    between: Between,
    id: HistoryId,
    key: Secret,
    offered: (u64, Digest),
    suites: Suites,
    least: Level,
    /// The header, until it is whole.
    header: Vec<u8>,
    opener: Option<Opener>,
    decisions: decisions::Collector,
    digest: Sha256,
    size: u64,
    /// What went wrong; nothing is read after it.
    failed: Option<HistoryError>,
}

impl HistoryReader {
    pub(crate) fn new(between: Between, offer: &Offer, suites: &Suites, least: Level) -> Self {
        Self {
            between,
            id: offer.id,
            key: offer.key.clone(),
            offered: (offer.size, offer.digest),
            suites: suites.clone(),
            least,
            header: Vec::with_capacity(HEADER_LEN),
            opener: None,
            decisions: decisions::Collector::default(),
            digest: Sha256::new(),
            size: 0,
            failed: None,
        }
    }

    /// Takes the next piece of the file. Gives what the application's archive goes on with, which may be nothing yet.
    ///
    /// # Errors
    /// Why the file is not the one that was sealed. Nothing more can be read of it.
    pub fn read(&mut self, sealed: &[u8]) -> Result<Vec<u8>, HistoryError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let read = self.take(sealed);
        self.failed = read.as_ref().err().copied();
        read
    }

    fn take(&mut self, sealed: &[u8]) -> Result<Vec<u8>, HistoryError> {
        self.digest.update(sealed);
        self.size = self.size.saturating_add(sealed.len() as u64);
        if self.size > self.offered.0 {
            return Err(HistoryError::WrongFile);
        }
        let missing = HEADER_LEN.saturating_sub(self.header.len()).min(sealed.len());
        let (head, sealed) = sealed.split_at_checked(missing).ok_or(HistoryError::Altered)?;
        self.header.extend_from_slice(head);
        if self.opener.is_none() && self.header.len() == HEADER_LEN {
            self.opener = Some(self.open()?);
        }
        let Some(opener) = &mut self.opener else { return Ok(Vec::new()) };
        let mut plain = zeroize::Zeroizing::new(Vec::new());
        opener.open(sealed, &mut plain)?;
        self.decisions.strip(&plain)
    }

    fn open(&self) -> Result<Opener, HistoryError> {
        let header: Header = wire::decode(&self.header, HEADER_LEN).map_err(|_| HistoryError::WrongFile)?;
        if header.magic != MAGIC {
            return Err(HistoryError::WrongFile);
        }
        if header.version != VERSION {
            return Err(HistoryError::Version);
        }
        if header.id != self.id {
            return Err(HistoryError::WrongFile);
        }
        let suite = self.suites.find(SuiteId(header.suite)).filter(|suite| suite.level >= self.least);
        Opener::new(suite.ok_or(HistoryError::Version)?, &self.key, &self.between.context(&header))
    }

    /// The end of the archive, now that the file has no more, and the proof that it was read whole, for
    /// [`Command::TakeHistory`](crate::Command::TakeHistory).
    ///
    /// # Errors
    /// Why the file is not the one that was sealed. What was read of it before is authentic, and not all.
    pub fn finish(mut self) -> Result<(Vec<u8>, HistoryRead), HistoryError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        if self.size < self.offered.0 {
            return Err(HistoryError::Truncated);
        }
        let opener = self.opener.take().ok_or(HistoryError::Truncated)?;
        let rest = self.decisions.strip(&opener.finish()?)?;
        if <Digest>::from(self.digest.finalize()) != self.offered.1 {
            return Err(HistoryError::WrongFile);
        }
        let decisions = self.decisions.finish()?;
        Ok((rest, HistoryRead { between: self.between, id: self.id, decisions }))
    }
}

impl fmt::Debug for HistoryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryReader")
            .field("from", &self.between.from)
            .field("size", &self.size)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// A file of history that was read to its end, with what the other device has decided about the keys of contacts.
#[derive(Clone)]
#[must_use = "the decisions in it are for `Command::TakeHistory`"]
pub struct HistoryRead {
    pub(crate) between: Between,
    pub(crate) id: HistoryId,
    pub(crate) decisions: Decisions,
}

impl HistoryRead {
    /// The name of the file.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// About how many contacts' keys the other device has decided.
    #[must_use]
    pub fn decisions(&self) -> usize {
        self.decisions.0.len()
    }
}

impl fmt::Debug for HistoryRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryRead").field("decisions", &self.decisions()).finish_non_exhaustive()
    }
}

impl PartialEq for HistoryRead {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.decisions == other.decisions
    }
}

impl Eq for HistoryRead {}

/// Reads any bytes as a file. Whatever comes of it, nothing is given out that was not sealed.
#[cfg(any(fuzzing, feature = "_fuzzing"))]
pub(crate) fn read_any(bytes: &[u8]) {
    let Ok(account) = BareJid::parse("alice@example.com") else { return };
    let id = bytes.get(11..HEADER_LEN).and_then(|id| id.try_into().ok()).unwrap_or_default();
    let (key, digest) = (Secret::from(&[1; SECRET_LEN][..]), crate::identity::digest(bytes));
    let offer = Offer { id, key, size: bytes.len() as u64, digest, name: String::new() };
    let between = Between { account, from: 1, to: 2 };
    let mut reader = HistoryReader::new(between, &offer, &Suites::default(), Level::CLASSICAL);
    for piece in bytes.chunks(1_000) {
        assert!(reader.read(piece).is_ok_and(|plain| plain.is_empty()) || reader.failed.is_some());
    }
    assert!(reader.finish().is_err());
}

#[cfg(test)]
mod tests;
