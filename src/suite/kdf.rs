//! `ExpandWithLabel` and `SignWithLabel` (RFC 9420, sections 8 and 5.1.2) under this protocol's
//! prefix.

use crate::secret::Secret;
use crate::suite::{Hash, Refused, Signature};
use crate::wire;

/// What every label begins with: protocol and version.
pub(crate) const PREFIX: &str = "xmpp-e2e 0 ";

/// Secrets of every suite, but for inner states of the length of its hash, have 32 bytes.
pub(crate) const SECRET_LEN: usize = 32;

/// `HKDF-Expand(secret, struct { uint16 length; opaque label<V>; opaque context<V>; }, length)`.
/// `context` is the concatenation of its parts.
pub(crate) fn expand_with_label(
    hash: &dyn Hash,
    secret: &[u8],
    label: &str,
    context: &[&[u8]],
    len: u16,
) -> Result<Secret, Refused> {
    let length = len.to_be_bytes();
    let mut head = Vec::with_capacity(64);
    head.extend_from_slice(&length);
    push_len(&mut head, PREFIX.len() + label.len())?;
    head.extend_from_slice(PREFIX.as_bytes());
    head.extend_from_slice(label.as_bytes());
    push_len(&mut head, context.iter().map(|part| part.len()).sum())?;
    let mut info = Vec::with_capacity(1 + context.len());
    info.push(head.as_slice());
    info.extend_from_slice(context);
    hash.expand(secret, &info, usize::from(len))
}

/// The bytes a signature is over: `struct { opaque label<V>; opaque content<V>; }`.
pub(crate) fn signed_bytes(label: &str, content: &[&[u8]]) -> Result<Vec<u8>, Refused> {
    let content_len = content.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(PREFIX.len() + label.len() + content_len + 8);
    push_len(&mut bytes, PREFIX.len() + label.len())?;
    bytes.extend_from_slice(PREFIX.as_bytes());
    bytes.extend_from_slice(label.as_bytes());
    push_len(&mut bytes, content_len)?;
    for part in content {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// Verifies `signature` of `content` (all parts, one after the other) under `label`.
pub(crate) fn verify_with_label(
    algorithm: &dyn Signature,
    public: &[u8],
    label: &str,
    content: &[&[u8]],
    signature: &[u8],
) -> Result<(), Refused> {
    algorithm.verify(public, &signed_bytes(label, content)?, signature)
}

/// Appends the length of a vector (RFC 9420, section 2.1.2).
fn push_len(bytes: &mut Vec<u8>, len: usize) -> Result<(), Refused> {
    let len = tls_codec::TlsVarInt::try_from(len as u64).map_err(|_| Refused)?;
    bytes.extend_from_slice(&wire::encode(&len));
    Ok(())
}
