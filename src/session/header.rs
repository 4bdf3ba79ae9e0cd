//! The header of a ratchet message, and what else a message is bound to (section 7).

use tls_codec::{Serialize, TlsVarInt, VLByteSlice};

use crate::error::{Malformed, Reason};
use crate::jid::BareJid;
use crate::session::Role;
use crate::session::ratchet::MAX_NUMBER;
use crate::stanza::{IQ, MESSAGE, PRESENCE};
use crate::suite::{Refused, Suite};
use crate::wire;

/// An offer (1,184 bytes), an answer (1,088) and as much again for what may come.
const MAX_FIELDS: usize = 4096;

/// The types of fields.
const OFFER: u8 = 1;
const ANSWER: u8 = 2;
const WANT: u8 = 3;

/// Which stanza carries the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum StanzaKind {
    Message = 1,
    Presence = 2,
    Iq = 3,
}

impl StanzaKind {
    /// Of a stanza with this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            MESSAGE => Some(Self::Message),
            PRESENCE => Some(Self::Presence),
            IQ => Some(Self::Iq),
            _ => None,
        }
    }

    /// What is bound of a stanza's `type`.
    pub(crate) fn bound_type(self, stanza_type: Option<&str>) -> &str {
        match (self, stanza_type) {
            (Self::Message, Some(known @ ("chat" | "error" | "groupchat" | "headline"))) => known,
            // One that is not known means the same (RFC 6121, section 5.2.2), and a server may drop it.
            (Self::Message, Some(_) | None) => "normal",
            (Self::Presence | Self::Iq, Some(stanza_type)) => stanza_type,
            (Self::Presence | Self::Iq, None) => "",
        }
    }
}

/// What a message is bound to besides its session and header.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) kind: StanzaKind,
    /// The stanza's `type`; none is `normal` for a message and empty for a presence.
    pub(crate) stanza_type: Option<&'a str>,
    pub(crate) sender: &'a BareJid,
    pub(crate) addressed: &'a BareJid,
    /// The bytes before the header on the wire.
    pub(crate) prefix: &'a [u8],
    /// For a wrapped message: the id list, the commitment and the hash of the payload.
    pub(crate) extra: &'a [&'a [u8]],
}

/// The fields this version knows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fields<'a> {
    /// A KEM public key for the next epoch.
    pub(crate) offer: Option<&'a [u8]>,
    /// The ciphertext for the offered key.
    pub(crate) answer: Option<&'a [u8]>,
    /// The sender asks for an epoch that is the other's to offer.
    pub(crate) want: bool,
}

/// A header.
pub(crate) struct Header<'a> {
    pub(crate) ratchet_key: &'a [u8],
    pub(crate) n: u32,
    pub(crate) pn: u32,
    pub(crate) epoch: u8,
    pub(crate) fields: Fields<'a>,
}

impl<'a> Header<'a> {
    /// Splits `body` into header, the header's bytes and the ciphertext.
    pub(crate) fn decode(suite: &Suite, body: &'a [u8]) -> Result<(Self, &'a [u8], &'a [u8]), Reason> {
        let (ratchet_key, rest) =
            body.split_at_checked(suite.agreement.public_len()).ok_or(Malformed::Encoding)?;
        let (n, rest) = number(rest)?;
        let (pn, rest) = number(rest)?;
        let (epoch, rest) = rest.split_first().ok_or(Malformed::Encoding)?;
        let (fields, ciphertext) = vector(rest)?;
        if fields.len() > MAX_FIELDS {
            return Err(Malformed::TooLarge.into());
        }
        let (header, _) = body.split_at_checked(body.len() - ciphertext.len()).ok_or(Malformed::Encoding)?;
        let fields = Fields::decode(fields)?;
        Ok((Self { ratchet_key, n, pn, epoch: *epoch, fields }, header, ciphertext))
    }

    /// The bytes on the wire.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Refused> {
        let mut fields = Vec::new();
        let content = [
            self.fields.offer.map(|data| (OFFER, data)),
            self.fields.answer.map(|data| (ANSWER, data)),
            self.fields.want.then_some((WANT, &[][..])),
        ];
        for (kind, data) in content.into_iter().flatten() {
            fields.push(kind);
            push_vector(&mut fields, data)?;
        }
        let mut bytes = Vec::with_capacity(self.ratchet_key.len() + fields.len() + 16);
        bytes.extend_from_slice(self.ratchet_key);
        for number in [self.n, self.pn] {
            let number = TlsVarInt::try_from(u64::from(number)).map_err(|_| Refused)?;
            number.tls_serialize(&mut bytes).map_err(|_| Refused)?;
        }
        bytes.push(self.epoch);
        push_vector(&mut bytes, &fields)?;
        Ok(bytes)
    }
}

impl<'a> Fields<'a> {
    fn decode(mut bytes: &'a [u8]) -> Result<Self, Reason> {
        let mut fields = Self::default();
        while let Some((kind, rest)) = bytes.split_first() {
            let (data, rest) = vector(rest)?;
            bytes = rest;
            let duplicate = match *kind {
                OFFER => fields.offer.replace(data).is_some(),
                ANSWER => fields.answer.replace(data).is_some(),
                WANT => core::mem::replace(&mut fields.want, true) || !data.is_empty(),
                // Authenticated with the header, and ignored.
                _ => false,
            };
            if duplicate {
                return Err(Malformed::Encoding.into());
            }
        }
        Ok(fields)
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.offer.is_none() && self.answer.is_none() && !self.want
    }
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), Reason> {
    let (number, rest) = wire::decode_prefix::<TlsVarInt>(bytes)?;
    match u32::try_from(number.value()) {
        Ok(number) if number <= MAX_NUMBER => Ok((number, rest)),
        _ => Err(Malformed::Encoding.into()),
    }
}

fn vector(bytes: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let (len, rest) = wire::decode_prefix::<TlsVarInt>(bytes)?;
    let len = usize::try_from(len.value()).map_err(|_| Malformed::Encoding)?;
    rest.split_at_checked(len).ok_or_else(|| Malformed::Encoding.into())
}

/// Appends `opaque<V>`.
fn push_vector(bytes: &mut Vec<u8>, data: &[u8]) -> Result<(), Refused> {
    VLByteSlice(data).tls_serialize(bytes).map(drop).map_err(|_| Refused)
}

/// The associated data of a message: every part with its length, in this order.
pub(crate) fn associated_data(
    transcript: &[u8],
    sender: Role,
    header: &[u8],
    epoch: u64,
    context: &Context<'_>,
) -> Result<Vec<u8>, Refused> {
    let stanza_type = context.kind.bound_type(context.stanza_type);
    let parts = [
        transcript,
        &[sender as u8],
        context.prefix,
        header,
        &epoch.to_be_bytes(),
        &[context.kind as u8],
        stanza_type.as_bytes(),
        context.sender.as_str().as_bytes(),
        context.addressed.as_str().as_bytes(),
    ];
    let extra = context.extra.iter().copied();
    let len = parts.iter().copied().chain(extra.clone()).map(|part| part.len() + 4).sum();
    let mut bytes = Vec::with_capacity(len);
    for part in parts.into_iter().chain(extra) {
        push_vector(&mut bytes, part)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::SUITE_CLASSICAL;

    fn header(fields: Fields<'_>) -> Vec<u8> {
        Header { ratchet_key: &[7; 32], n: 5, pn: 300, epoch: 9, fields }.encode().unwrap()
    }

    #[test]
    fn sizes_and_round_trip() {
        let plain = Header { ratchet_key: &[7; 32], n: 5, pn: 6, epoch: 0, fields: Fields::default() };
        assert_eq!(plain.encode().unwrap().len(), 36);
        let mut bytes = header(Fields { offer: Some(&[1; 99]), answer: None, want: true });
        let len = bytes.len();
        bytes.extend_from_slice(b"ciphertext");
        let (decoded, header, ciphertext) = Header::decode(&SUITE_CLASSICAL, &bytes).unwrap();
        assert_eq!((decoded.n, decoded.pn, decoded.epoch), (5, 300, 9));
        assert_eq!((decoded.fields.offer, decoded.fields.want), (Some(&[1; 99][..]), true));
        assert_eq!((header.len(), ciphertext), (len, &b"ciphertext"[..]));
        for end in 0..len {
            assert!(Header::decode(&SUITE_CLASSICAL, &bytes[..end]).is_err());
        }
    }

    #[test]
    fn fields_once_and_unknown_ignored() {
        let decode = |fields: &[u8]| {
            let mut bytes = header(Fields::default());
            bytes.pop();
            push_vector(&mut bytes, fields).unwrap();
            Header::decode(&SUITE_CLASSICAL, &bytes).map(|(header, ..)| header.fields.is_empty())
        };
        assert_eq!(decode(&[3, 0]), Ok(false));
        assert_eq!(decode(&[0x4A, 1, 5, 0x4A, 0]), Ok(true));
        for bad in [&[3, 0, 3, 0][..], &[1, 0, 1, 0], &[2, 0, 2, 0], &[3, 1, 0], &[1], &[1, 2, 0]] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_minimal_and_bounded() {
        assert!(number(&[0x40, 5]).is_err());
        assert!(number(&[0xC0, 0, 0, 0, 0x40, 0, 0, 0]).is_err());
        assert_eq!(number(&[0xBF, 0xFF, 0xFF, 0xFF]).unwrap().0, MAX_NUMBER);
    }
}
