//! STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, 2015) over a suite's AEAD: chunks that cannot be altered, swapped,
//! repeated or left out, and a last one that is marked as such.

use aead_stream::aead::array::typenum::{U12, U16};
use aead_stream::aead::inout::InOutBuf;
use aead_stream::aead::{AeadCore, AeadInOut, Error, Nonce, Tag, TagPosition};
use aead_stream::{DecryptorBE32, EncryptorBE32};
use zeroize::Zeroizing;

use crate::history::HistoryError;
use crate::secret::Secret;
use crate::session::codec::derive;
use crate::suite::{Aead, Suite};

/// Bytes sealed as one: little to hold in memory, much for one tag.
pub(super) const CHUNK: usize = 64 * 1024;

/// The length of a tag.
const TAG: usize = 16;

/// The length of a sealed chunk, but for the last.
pub(super) const SEALED_CHUNK: usize = CHUNK + TAG;

/// The length of a nonce.
const NONCE: usize = 12;

/// What of a nonce is the same for all chunks; the rest is their number and the mark of the last.
const PREFIX: u16 = 7;

/// Whether files can be sealed with this suite: STREAM is instantiated for nonces of 12 bytes and tags of 16.
pub(crate) fn fits(suite: &Suite) -> bool {
    suite.aead.nonce_len() == NONCE && suite.aead.tag_len() == TAG
}

/// A suite's AEAD under one key, as the library takes it.
struct Keyed {
    aead: &'static dyn Aead,
    key: Secret,
}

impl AeadCore for Keyed {
    type NonceSize = U12;
    type TagSize = U16;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl AeadInOut for Keyed {
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        aad: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(buffer.len() + TAG));
        bytes.extend_from_slice(buffer.get_in());
        self.aead.seal(self.key.expose(), nonce, aad, &mut bytes).map_err(|_| Error)?;
        let (body, tag) = bytes.split_at_checked(buffer.len()).ok_or(Error)?;
        buffer.get_out().copy_from_slice(body);
        Tag::<Self>::try_from(tag).map_err(|_| Error)
    }

    fn decrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        aad: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(buffer.len() + TAG));
        bytes.extend_from_slice(buffer.get_in());
        bytes.extend_from_slice(tag);
        self.aead.open(self.key.expose(), nonce, aad, &mut bytes).map_err(|_| Error)?;
        if bytes.len() != buffer.len() {
            return Err(Error);
        }
        buffer.get_out().copy_from_slice(&bytes);
        Ok(())
    }
}

/// Key and nonce prefix of a file, bound to `context`.
fn keyed(suite: &'static Suite, secret: &Secret, context: &[u8]) -> Result<(Keyed, [u8; 7]), HistoryError> {
    if !fits(suite) {
        return Err(HistoryError::Version);
    }
    let len = u16::try_from(suite.aead.key_len()).map_err(|_| HistoryError::Version)?;
    let expand =
        |label, len| derive(suite, secret, label, &[context], len).map_err(|_| HistoryError::Version);
    let key = expand("history key", len)?;
    let prefix = expand("history nonce", PREFIX)?;
    let prefix = <[u8; 7]>::try_from(prefix.expose()).map_err(|_| HistoryError::Version)?;
    Ok((Keyed { aead: suite.aead, key }, prefix))
}

/// Seals what comes in pieces of any size.
pub(super) struct Sealer {
    stream: Option<EncryptorBE32<Keyed>>,
    /// Not sealed yet; full only until more comes, for the last chunk must be known as such.
    chunk: Zeroizing<Vec<u8>>,
}

impl Sealer {
    pub(super) fn new(suite: &'static Suite, secret: &Secret, context: &[u8]) -> Result<Self, HistoryError> {
        let (keyed, prefix) = keyed(suite, secret, context)?;
        let stream = Some(EncryptorBE32::from_aead(keyed, &prefix.into()));
        Ok(Self { stream, chunk: Zeroizing::new(Vec::with_capacity(SEALED_CHUNK)) })
    }

    /// Takes `plain`, and appends to `out` what is sealed by it.
    pub(super) fn seal(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), HistoryError> {
        let stream = self.stream.as_mut().ok_or(HistoryError::TooLong)?;
        while !plain.is_empty() {
            if self.chunk.len() == CHUNK {
                stream.encrypt_next_in_place(&[], &mut *self.chunk).map_err(|_| HistoryError::TooLong)?;
                out.extend_from_slice(&self.chunk);
                self.chunk.clear();
            }
            plain = fill(&mut self.chunk, CHUNK, plain);
        }
        Ok(())
    }

    /// The last chunk.
    pub(super) fn finish_in_place(&mut self) -> Result<Vec<u8>, HistoryError> {
        let stream = self.stream.take().ok_or(HistoryError::TooLong)?;
        stream.encrypt_last_in_place(&[], &mut *self.chunk).map_err(|_| HistoryError::TooLong)?;
        Ok(core::mem::take(&mut *self.chunk))
    }
}

/// Opens what comes in pieces of any size.
pub(super) struct Opener {
    stream: DecryptorBE32<Keyed>,
    /// Not opened yet; full only until more comes.
    chunk: Zeroizing<Vec<u8>>,
}

impl Opener {
    pub(super) fn new(suite: &'static Suite, secret: &Secret, context: &[u8]) -> Result<Self, HistoryError> {
        let (keyed, prefix) = keyed(suite, secret, context)?;
        let stream = DecryptorBE32::from_aead(keyed, &prefix.into());
        Ok(Self { stream, chunk: Zeroizing::new(Vec::with_capacity(SEALED_CHUNK)) })
    }

    /// Takes `sealed`, and appends to `out` what is found to be authentic by it.
    pub(super) fn open(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), HistoryError> {
        while !sealed.is_empty() {
            if self.chunk.len() == SEALED_CHUNK {
                self.stream
                    .decrypt_next_in_place(&[], &mut *self.chunk)
                    .map_err(|_| HistoryError::Altered)?;
                out.extend_from_slice(&self.chunk);
                self.chunk.clear();
            }
            sealed = fill(&mut self.chunk, SEALED_CHUNK, sealed);
        }
        Ok(())
    }

    /// The last chunk. It is refused if it was not sealed as the last.
    pub(super) fn finish(mut self) -> Result<Zeroizing<Vec<u8>>, HistoryError> {
        self.stream.decrypt_last_in_place(&[], &mut *self.chunk).map_err(|_| HistoryError::Altered)?;
        Ok(self.chunk)
    }
}

/// Fills `chunk` up to `len`, and gives what is left over.
fn fill<'a>(chunk: &mut Vec<u8>, len: usize, bytes: &'a [u8]) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(bytes.len().min(len.saturating_sub(chunk.len())));
    chunk.extend_from_slice(taken);
    rest
}
