//! How the parts of a session are stored: compact fields, and a version before the whole.

use tls_codec::{DeserializeBytes, Serialize, Size};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::suite::kdf::{self, expand_with_label};
use crate::suite::{Refused, Suite};
use crate::wire::{self, Undecodable};

/// The length of a secret, as the key schedule takes lengths.
#[expect(clippy::cast_possible_truncation, reason = "32 fits")]
pub(crate) const SECRET_LEN: u16 = kdf::SECRET_LEN as u16;

/// A version byte, then the structure.
pub(crate) fn encode<T: Serialize + Size>(version: u8, value: &T) -> Zeroizing<Vec<u8>> {
    // Sized at once, so that no copy of a secret stays behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 + value.tls_serialized_len()));
    bytes.push(version);
    // Writing to a vector fails only for a field of 2^30 bytes or more; all here are bounded.
    if value.tls_serialize(&mut *bytes).is_err() {
        bytes.clear();
    }
    bytes
}

/// The structure after the version byte, which must be `version`.
pub(crate) fn decode<T: DeserializeBytes>(version: u8, bytes: &[u8], limit: usize) -> Result<T, Undecodable> {
    match bytes.split_first() {
        Some((first, rest)) if *first == version => wire::decode(rest, limit),
        _ => Err(Undecodable),
    }
}

/// `ExpandWithLabel` of a secret of 32 bytes. Where the hash is longer, the secret keys its HMAC
/// padded with zeros, as HMAC pads every key shorter than a block.
pub(crate) fn derive(
    suite: &Suite,
    secret: &Secret,
    label: &str,
    context: &[&[u8]],
    len: u16,
) -> Result<Secret, Refused> {
    let hash_len = suite.hash.output_len();
    let bytes = secret.expose();
    if bytes.len() >= hash_len {
        return expand_with_label(suite.hash, bytes, label, context, len);
    }
    let padded = Secret::with(hash_len, |out| {
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = *from;
        }
    });
    expand_with_label(suite.hash, padded.expose(), label, context, len)
}

/// `#[tls_codec(with = "…::secret32")]`: a secret of 32 bytes without its length.
pub(crate) mod secret32 {
    use std::io::Write;

    use tls_codec::Error;

    use super::Secret;
    use crate::suite::kdf::SECRET_LEN;

    pub(crate) fn tls_serialized_len(_: &Secret) -> usize {
        SECRET_LEN
    }

    pub(crate) fn tls_serialize<W: Write>(secret: &Secret, writer: &mut W) -> Result<usize, Error> {
        let bytes = secret.expose();
        if bytes.len() != SECRET_LEN {
            return Err(Error::InvalidInput);
        }
        writer.write_all(bytes)?;
        Ok(SECRET_LEN)
    }

    pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Secret, &[u8]), Error> {
        let (secret, rest) = bytes.split_at_checked(SECRET_LEN).ok_or(Error::EndOfStream)?;
        Ok((Secret::from(secret), rest))
    }
}

macro_rules! varint {
    ($name:ident, $int:ty) => {
        /// A number as the variable-length integer of RFC 9000, minimal.
        pub(crate) mod $name {
            use std::io::Write;

            use tls_codec::{DeserializeBytes, Error, Serialize, Size, TlsVarInt};

            pub(crate) fn tls_serialized_len(number: &$int) -> usize {
                TlsVarInt::try_from(u64::from(*number)).map_or(0, |number| number.tls_serialized_len())
            }

            pub(crate) fn tls_serialize<W: Write>(number: &$int, writer: &mut W) -> Result<usize, Error> {
                TlsVarInt::try_from(u64::from(*number))?.tls_serialize(writer)
            }

            pub(crate) fn tls_deserialize_bytes(bytes: &[u8]) -> Result<($int, &[u8]), Error> {
                let (number, rest) = TlsVarInt::tls_deserialize_bytes(bytes)?;
                let number = <$int>::try_from(number.value()).map_err(|_| Error::InvalidInput)?;
                Ok((number, rest))
            }
        }
    };
}

varint!(varint32, u32);
varint!(varint64, u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID_MISUSE_RESISTANT};

    #[test]
    fn a_version_and_nothing_after() {
        assert_eq!(encode(3, &7_u16).as_slice(), [3, 0, 7]);
        assert_eq!(decode::<u16>(3, &[3, 0, 7], 9), Ok(7));
        for bad in [&[2, 0, 7][..], &[3, 0, 7, 0], &[3, 0], &[]] {
            assert_eq!(decode::<u16>(3, bad, 9), Err(Undecodable));
        }
    }

    #[test]
    fn derives_from_short_secrets_under_long_hashes() {
        let secret = Secret::from(&[1; 32][..]);
        for suite in [&SUITE_CLASSICAL, &SUITE_HYBRID_MISUSE_RESISTANT] {
            assert_eq!(derive(suite, &secret, "x", &[], 44).unwrap().expose().len(), 44);
        }
    }
}
