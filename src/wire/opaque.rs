//! `opaque x<V>`, decoded here: the vectors of `tls_codec` 0.5 panic in debug builds where the
//! input ends early, and take lengths of eight bytes, which RFC 9420 has not.

use std::io::Write;

use tls_codec::{DeserializeBytes, Error, Serialize, Size, TlsVarInt, VLByteSlice};
use zeroize::Zeroize;

/// The longest that a length of four bytes can tell (RFC 9420, section 2.1.2).
const MAX_LEN: u64 = (1 << 30) - 1;

/// `opaque x<V>`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    /// `bytes` as a vector.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The content.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
}

impl Zeroize for Bytes {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Size for Bytes {
    fn tls_serialized_len(&self) -> usize {
        VLByteSlice(&self.0).tls_serialized_len()
    }
}

impl Serialize for Bytes {
    fn tls_serialize<W: Write>(&self, writer: &mut W) -> Result<usize, Error> {
        VLByteSlice(&self.0).tls_serialize(writer)
    }
}

impl DeserializeBytes for Bytes {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (content, rest) = opaque(bytes)?;
        Ok((content.into(), rest))
    }
}

/// The content of the `opaque<V>` at the start of `bytes`, and the rest.
pub(crate) fn opaque(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (length, rest) = TlsVarInt::tls_deserialize_bytes(bytes)?;
    if length.value() > MAX_LEN {
        return Err(Error::InvalidVectorLength);
    }
    let length = usize::try_from(length.value()).map_err(|_| Error::InvalidVectorLength)?;
    rest.split_at_checked(length).ok_or(Error::EndOfStream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_at_each_length_of_length() {
        for len in [0, 1, 63, 64, 16_383, 16_384] {
            let bytes = Bytes::from(vec![7; len]);
            let mut encoded = bytes.tls_serialize_detached().unwrap();
            assert_eq!(encoded.len(), bytes.tls_serialized_len());
            encoded.push(9);
            assert_eq!(Bytes::tls_deserialize_bytes(&encoded), Ok((bytes, &[9][..])));
        }
    }

    #[test]
    fn refuses_without_panic() {
        for bytes in [
            &[][..],
            &[1],
            &[2, 9],
            &[0x40],
            &[0x40, 1, 9],
            &[0x80, 0, 0, 1, 9],
            &[0xBF, 0xFF, 0xFF, 0xFF],
            &[0xC0, 0, 0, 0, 0, 0, 0, 1, 9],
            &[0xFF; 9],
        ] {
            assert!(opaque(bytes).is_err(), "{bytes:?}");
        }
    }
}
