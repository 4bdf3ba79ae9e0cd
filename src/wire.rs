//! The TLS presentation language with variable-length vectors (RFC 9420, section 2.1), bounded and
//! exact: a decoder takes all its input or refuses it.

use std::io::Write;

use tls_codec::{DeserializeBytes, Error, Serialize, Size, VLBytes};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// `opaque x<V>`.
pub(crate) type Bytes = VLBytes;

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

/// `#[tls_codec(with = "crate::wire::secret")]`: a [`Secret`] as `opaque<V>`.
pub(crate) mod secret {
    use super::{DeserializeBytes, Error, Secret, Serialize, Size, VLBytes, Write};
    use tls_codec::VLByteSlice;
    use zeroize::Zeroizing;

    pub(crate) fn tls_serialized_len(secret: &Secret) -> usize {
        VLByteSlice(secret.expose()).tls_serialized_len()
    }

    pub(crate) fn tls_serialize<W: Write>(secret: &Secret, writer: &mut W) -> Result<usize, Error> {
        VLByteSlice(secret.expose()).tls_serialize(writer)
    }

    pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Secret, &[u8]), Error> {
        let (vector, rest) = VLBytes::tls_deserialize_bytes(bytes)?;
        let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(vector.into());
        Ok((Secret::from(bytes.as_slice()), rest))
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
