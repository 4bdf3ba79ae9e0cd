//! The element `<e/>` on the wire: direct, to one device, or wrapped, to several.

use crate::error::{Malformed, Reason};
use crate::identity::{MAX_DEVICE_ID, check_device};
use crate::session::Flight;
use crate::suite::SuiteId;
use crate::wire::{self, Bytes};

/// A ratchet message to one device.
const DIRECT: u8 = 0x01;
/// A first flight and a ratchet message to one device.
const DIRECT_FIRST: u8 = 0x02;
/// A payload, and its key for several devices.
const WRAPPED: u8 = 0x03;

/// The length of the commitment to the content key.
pub(crate) const COMMITMENT_LEN: u16 = 32;

/// Recipients of one stanza: all devices of two accounts.
pub(crate) const MAX_ENTRIES: usize = 2 * crate::identity::MAX_DEVICES;

/// In a recipient's number: the device is of the sender's own account.
const OWN_ACCOUNT: u32 = 1 << 31;
/// In a recipient's number: a first flight follows.
const FIRST: u32 = 1 << 30;

/// What an `<e/>` holds.
pub(crate) enum Envelope<'a> {
    Direct(Direct<'a>),
    Wrapped(Wrapped<'a>),
}

/// A message to one device. `prefix` are all bytes before the ratchet header, `body` the rest.
pub(crate) struct Direct<'a> {
    pub(crate) sender: u32,
    pub(crate) recipient: u32,
    pub(crate) part: Part<'a>,
}

/// What one device gets: perhaps a flight, the session's tag, header and ciphertext.
pub(crate) struct Part<'a> {
    pub(crate) flight: Option<Flight>,
    pub(crate) tag: u8,
    pub(crate) prefix: Vec<u8>,
    pub(crate) body: &'a [u8],
}

/// A message to several devices.
pub(crate) struct Wrapped<'a> {
    pub(crate) sender: u32,
    /// The suite of the payload, which need not be that of any session.
    pub(crate) suite: SuiteId,
    pub(crate) entries: Vec<(Recipient, Part<'a>)>,
    pub(crate) commitment: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// A recipient device, and whether it is of the sender's own account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Recipient {
    pub(crate) device: u32,
    pub(crate) own: bool,
}

impl<'a> Envelope<'a> {
    /// The device that sends it.
    pub(crate) fn sender(&self) -> u32 {
        match self {
            Self::Direct(direct) => direct.sender,
            Self::Wrapped(wrapped) => wrapped.sender,
        }
    }

    /// Whether it is direct, and to this device.
    pub(crate) fn is_direct_to(&self, device: u32) -> bool {
        matches!(self, Self::Direct(direct) if direct.recipient == device)
    }

    /// Takes the bytes apart.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (kind, rest) = wire::decode_prefix::<u8>(bytes)?;
        match kind {
            DIRECT | DIRECT_FIRST => {
                let ((sender, recipient), rest) = wire::decode_prefix::<(u32, u32)>(rest)?;
                check_device(sender)?;
                check_device(recipient)?;
                let (flight, tag, body) = part(rest, kind == DIRECT_FIRST)?;
                let prefix = bytes.strip_suffix(body).ok_or(Malformed::Encoding)?.to_vec();
                Ok(Self::Direct(Direct { sender, recipient, part: Part { flight, tag, prefix, body } }))
            }
            WRAPPED => Wrapped::decode(rest).map(Self::Wrapped),
            _ => Err(Malformed::Version.into()),
        }
    }
}

impl<'a> Wrapped<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        let ((sender, suite), rest) = wire::decode_prefix::<(u32, u16)>(bytes)?;
        check_device(sender)?;
        let suite = SuiteId(suite);
        let (mut list, rest) = opaque(rest)?;
        let (commitment, payload) =
            rest.split_at_checked(usize::from(COMMITMENT_LEN)).ok_or(Malformed::Encoding)?;
        let mut entries: Vec<(Recipient, Part<'a>)> = Vec::new();
        while !list.is_empty() {
            let start = list;
            let (number, rest) = wire::decode_prefix::<u32>(list)?;
            let recipient = Recipient { device: number & MAX_DEVICE_ID, own: number & OWN_ACCOUNT != 0 };
            let (flight, tag, rest) = part(rest, number & FIRST != 0)?;
            let head = start.strip_suffix(rest).ok_or(Malformed::Encoding)?;
            let (body, rest) = opaque(rest)?;
            list = rest;
            check_device(recipient.device)?;
            if entries.len() >= MAX_ENTRIES || entries.iter().any(|(other, _)| *other == recipient) {
                return Err(Malformed::Encoding.into());
            }
            let prefix = entry_prefix(sender, suite, head);
            entries.push((recipient, Part { flight, tag, prefix, body }));
        }
        Ok(Self { sender, suite, entries, commitment, payload })
    }

    /// The recipients as bytes, for every entry's associated data.
    pub(crate) fn recipients(&self) -> Vec<u8> {
        recipients(self.entries.iter().map(|(recipient, _)| *recipient))
    }
}

/// The bytes before the header of a direct message.
pub(crate) fn direct_prefix(sender: u32, recipient: u32, flight: Option<&[u8]>, tag: u8) -> Vec<u8> {
    let kind = if flight.is_some() { DIRECT_FIRST } else { DIRECT };
    let mut out = Vec::with_capacity(10 + flight.map_or(0, <[u8]>::len));
    out.push(kind);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&recipient.to_be_bytes());
    out.extend_from_slice(flight.unwrap_or_default());
    out.push(tag);
    out
}

/// The bytes of an entry before its body: recipient, flight and tag.
pub(crate) fn entry_head(recipient: Recipient, flight: Option<&[u8]>, tag: u8) -> Vec<u8> {
    let number = recipient.device
        | if recipient.own { OWN_ACCOUNT } else { 0 }
        | if flight.is_some() { FIRST } else { 0 };
    let mut out = number.to_be_bytes().to_vec();
    out.extend_from_slice(flight.unwrap_or_default());
    out.push(tag);
    out
}

/// What the associated data of an entry has before the ratchet header.
pub(crate) fn entry_prefix(sender: u32, suite: SuiteId, head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(7 + head.len());
    out.push(WRAPPED);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&suite.0.to_be_bytes());
    out.extend_from_slice(head);
    out
}

/// The recipients as bytes, in their order.
pub(crate) fn recipients(entries: impl Iterator<Item = Recipient>) -> Vec<u8> {
    let numbers = entries.map(|Recipient { device, own }| device | if own { OWN_ACCOUNT } else { 0 });
    numbers.flat_map(u32::to_be_bytes).collect()
}

/// A wrapped message: for each recipient its head and its body (header and sealed content key).
pub(crate) fn wrapped(
    sender: u32,
    suite: SuiteId,
    entries: &[(Vec<u8>, Vec<u8>)],
    commitment: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut list = Vec::new();
    for (head, body) in entries {
        list.extend_from_slice(head);
        list.extend_from_slice(&wire::encode(&Bytes::from(body.as_slice())));
    }
    let mut out = Vec::with_capacity(8 + list.len() + commitment.len() + payload.len());
    out.push(WRAPPED);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&suite.0.to_be_bytes());
    out.extend_from_slice(&wire::encode(&Bytes::from(list)));
    out.extend_from_slice(commitment);
    out.extend_from_slice(payload);
    out
}

fn opaque(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    wire::opaque(bytes).map_err(|_| Malformed::Encoding)
}

fn part(bytes: &[u8], first: bool) -> Result<(Option<Flight>, u8, &[u8]), Reason> {
    let (flight, rest) = if first {
        let (flight, rest) = Flight::decode_prefix(bytes)?;
        (Some(flight), rest)
    } else {
        (None, bytes)
    };
    let (tag, body) = wire::decode_prefix::<u8>(rest)?;
    Ok((flight, tag, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_there_and_back() {
        let mut bytes = direct_prefix(7, 8, None, 9);
        bytes.extend_from_slice(b"header and ciphertext");
        let Ok(Envelope::Direct(direct)) = Envelope::decode(&bytes) else { panic!() };
        assert_eq!((direct.sender, direct.recipient, direct.part.tag), (7, 8, 9));
        assert_eq!(direct.part.prefix, direct_prefix(7, 8, None, 9));
        assert_eq!(direct.part.body, b"header and ciphertext");
        assert!(direct.part.flight.is_none());
    }

    #[test]
    fn wrapped_there_and_back() {
        let to = [Recipient { device: 5, own: false }, Recipient { device: 5, own: true }];
        let entries: Vec<_> = to.iter().map(|to| (entry_head(*to, None, 3), vec![1; 84])).collect();
        let bytes = wrapped(7, SuiteId(2), &entries, &[2; 32], b"payload");
        let Ok(Envelope::Wrapped(wrapped)) = Envelope::decode(&bytes) else { panic!() };
        assert_eq!((wrapped.sender, wrapped.commitment, wrapped.payload), (7, &[2; 32][..], &b"payload"[..]));
        assert_eq!(wrapped.recipients(), recipients(to.into_iter()));
        for ((recipient, part), expected) in wrapped.entries.iter().zip(to) {
            assert_eq!(*recipient, expected);
            assert_eq!(part.body, [1; 84]);
            assert_eq!(part.prefix, entry_prefix(7, SuiteId(2), &entry_head(expected, None, 3)));
        }
    }

    #[test]
    fn refuses_zero_ids_doubles_and_unknown_kinds() {
        assert!(Envelope::decode(&direct_prefix(0, 8, None, 9)).is_err());
        assert!(Envelope::decode(&direct_prefix(7, 1 << 30, None, 9)).is_err());
        let twice = entry_head(Recipient { device: 5, own: false }, None, 3);
        let entries = [(twice.clone(), vec![]), (twice, vec![])];
        assert!(Envelope::decode(&wrapped(7, SuiteId(2), &entries, &[2; 32], b"")).is_err());
        assert!(matches!(Envelope::decode(&[0x11, 0]), Err(Reason::Malformed(Malformed::Version))));
        assert!(Envelope::decode(&[]).is_err());
    }
}
