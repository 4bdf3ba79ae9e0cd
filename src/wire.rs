//! The TLS presentation language with variable-length vectors (RFC 9420, section 2.1), bounded and
//! exact: a decoder takes all its input or refuses it.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tls_codec::{DeserializeBytes, Error, Serialize, Size};
use zeroize::Zeroizing;

use crate::secret::Secret;

mod opaque;

pub(crate) use opaque::{Bytes, opaque};

/// Input that is not the encoding of the structure asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a valid encoding")]
pub(crate) struct Undecodable;

impl From<Error> for Undecodable {
    fn from(_: Error) -> Self {
        Self
    }
}

/// The encoding of `value`.
///
/// Encoding fails only for a vector of 2^30 bytes or more, and every vector here is bounded far
/// below; it would give an empty encoding, which no decoder takes.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    value.tls_serialize_detached().unwrap_or_default()
}

/// The same for what holds secrets: sized at once, so no copy stays behind, and wiped.
pub(crate) fn encode_secret(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(encode(value))
}

/// Decodes all of `bytes`, which must be at most `limit` long.
pub(crate) fn decode<T: DeserializeBytes>(bytes: &[u8], limit: usize) -> Result<T, Undecodable> {
    if bytes.len() > limit {
        return Err(Undecodable);
    }
    Ok(T::tls_deserialize_exact_bytes(bytes)?)
}

/// Decodes a `T` at the start of `bytes` and gives the rest.
pub(crate) fn decode_prefix<T: DeserializeBytes>(bytes: &[u8]) -> Result<(T, &[u8]), Undecodable> {
    Ok(T::tls_deserialize_bytes(bytes)?)
}

/// `bytes` in base64 (RFC 4648, section 4) with padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// At most `limit` bytes from padded base64 without white space, in the one spelling they have.
pub(crate) fn from_base64(text: &str, limit: usize) -> Result<Vec<u8>, Undecodable> {
    // Looked at first, so that a long text costs no memory.
    if text.len() / 4 > limit.div_ceil(3) {
        return Err(Undecodable);
    }
    let bytes = STANDARD.decode(text).map_err(|_| Undecodable)?;
    if bytes.len() > limit { Err(Undecodable) } else { Ok(bytes) }
}

/// `#[tls_codec(with = "crate::wire::secret")]`: a [`Secret`] as `opaque<V>`.
pub(crate) mod secret {
    use super::{Error, Secret, Serialize, Size, Write, opaque};
    use tls_codec::VLByteSlice;

    pub(crate) fn tls_serialized_len(secret: &Secret) -> usize {
        VLByteSlice(secret.expose()).tls_serialized_len()
    }

    pub(crate) fn tls_serialize<W: Write>(secret: &Secret, writer: &mut W) -> Result<usize, Error> {
        VLByteSlice(secret.expose()).tls_serialize(writer)
    }

    pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Secret, &[u8]), Error> {
        let (secret, rest) = opaque(bytes)?;
        Ok((Secret::from(secret), rest))
    }
}

/// `#[tls_codec(with = "crate::wire::text")]`: UTF-8 as `opaque<V>`.
pub(crate) mod text {
    use super::{Error, Serialize, Size, Write, opaque};
    use tls_codec::VLByteSlice;

    pub(crate) fn tls_serialized_len(text: &str) -> usize {
        VLByteSlice(text.as_bytes()).tls_serialized_len()
    }

    pub(crate) fn tls_serialize<W: Write>(text: &str, writer: &mut W) -> Result<usize, Error> {
        VLByteSlice(text.as_bytes()).tls_serialize(writer)
    }

    pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(String, &[u8]), Error> {
        let (text, rest) = opaque(bytes)?;
        let text = core::str::from_utf8(text).map_err(|_| Error::InvalidInput)?;
        Ok((text.to_owned(), rest))
    }
}

/// `#[tls_codec(with = "crate::wire::jid")]`: a prepared bare JID, in our own records only.
pub(crate) mod jid {
    use super::{Error, Write, text};
    use crate::jid::BareJid;

    pub(crate) fn tls_serialized_len(jid: &BareJid) -> usize {
        text::tls_serialized_len(jid.as_str())
    }

    pub(crate) fn tls_serialize<W: Write>(jid: &BareJid, writer: &mut W) -> Result<usize, Error> {
        text::tls_serialize(jid.as_str(), writer)
    }

    pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(BareJid, &[u8]), Error> {
        let (text, rest) = text::tls_deserialize_bytes(bytes)?;
        match BareJid::parse(&text) {
            // In the one spelling it is written in.
            Ok(jid) if jid.as_str() == text => Ok((jid, rest)),
            _ => Err(Error::InvalidInput),
        }
    }
}

/// `#[tls_codec(with = "crate::wire::flag")]`: one byte, 0 or 1.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived code passes references")]
pub(crate) mod flag {
    use super::{DeserializeBytes, Error, Serialize, Write};

    pub(crate) fn tls_serialized_len(_: &bool) -> usize {
        1
    }

    pub(crate) fn tls_serialize<W: Write>(flag: &bool, writer: &mut W) -> Result<usize, Error> {
        u8::from(*flag).tls_serialize(writer)
    }

    pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(bool, &[u8]), Error> {
        match u8::tls_deserialize_bytes(bytes)? {
            (0, rest) => Ok((false, rest)),
            (1, rest) => Ok((true, rest)),
            _ => Err(Error::InvalidInput),
        }
    }
}

/// `#[tls_codec(with = "crate::wire::time")]`: milliseconds since the Unix epoch.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived code passes references")]
pub(crate) mod time {
    use super::{DeserializeBytes, Error, Serialize, Write};
    use crate::env::Timestamp;

    pub(crate) fn tls_serialized_len(_: &Timestamp) -> usize {
        8
    }

    pub(crate) fn tls_serialize<W: Write>(time: &Timestamp, writer: &mut W) -> Result<usize, Error> {
        time.as_millis().tls_serialize(writer)
    }

    pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Timestamp, &[u8]), Error> {
        let (millis, rest) = u64::tls_deserialize_bytes(bytes)?;
        Ok((Timestamp::from_millis(millis), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_minimal_and_bounded() {
        assert_eq!(decode::<u16>(&[1, 2], 2), Ok(0x0102));
        assert_eq!(decode::<u16>(&[1, 2, 3], 3), Err(Undecodable));
        assert_eq!(decode::<u16>(&[1, 2], 1), Err(Undecodable));
        assert!(decode::<Bytes>(&[1, 9], 9).is_ok());
        assert_eq!(decode::<Bytes>(&[0x40, 1, 9], 9), Err(Undecodable));
        assert_eq!(decode::<Bytes>(&[2, 9], 9), Err(Undecodable));
    }
}
