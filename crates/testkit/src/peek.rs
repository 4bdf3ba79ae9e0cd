//! What anybody on the path sees of a direct message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::xml::Element;

/// The visible parts of a message to one device, of a suite with X25519.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peek {
    /// The device that sent it.
    pub sender: u32,
    /// The device it is for.
    pub recipient: u32,
    /// The first flight, if one stands before it.
    pub flight: Option<Vec<u8>>,
    /// The first byte of the session's id.
    pub tag: u8,
    /// The sender's ratchet key.
    pub ratchet_key: Vec<u8>,
    /// The number of the message in its chain.
    pub n: u32,
    /// The length of the chain before.
    pub pn: u32,
    /// The epoch modulo 256.
    pub epoch: u8,
    /// A KEM public key offered.
    pub offer: Option<Vec<u8>>,
    /// A KEM ciphertext that answers one.
    pub answer: Option<Vec<u8>>,
    /// The rest.
    pub ciphertext: Vec<u8>,
}

/// The device a first flight is for, and its bytes.
pub type Flight = (u32, Vec<u8>);

impl Peek {
    /// Takes a stanza apart; `None` if it is anything else.
    #[must_use]
    pub fn at(stanza: &str) -> Option<Self> {
        let element = Element::parse(stanza).filter(|element| element.name == "message")?;
        let bytes = STANDARD.decode(element.child("e")?.inner).ok()?;
        Self::decode(&mut bytes.as_slice())
    }

    /// The device that a message is of, and the first flights in it with the devices they are for.
    #[must_use]
    pub fn flights(stanza: &str) -> Option<(u32, Vec<Flight>)> {
        let element = Element::parse(stanza).filter(|element| element.name == "message")?;
        let bytes = STANDARD.decode(element.child("e")?.inner).ok()?;
        let rest = &mut bytes.as_slice();
        let kind = *take(rest, 1)?.first()?;
        let sender = u32(rest)?;
        let mut flights = Vec::new();
        if kind == 2 {
            flights.push((u32(rest)?, flight(rest)?.to_vec()));
        } else if kind == 3 {
            take(rest, 2)?;
            let mut entries = vector(rest)?;
            while !entries.is_empty() {
                // Two bits are flags: of the own account, and whether a flight follows.
                let number = u32(&mut entries)?;
                if number & 1 << 30 != 0 {
                    flights.push((number & ((1 << 30) - 1), flight(&mut entries)?.to_vec()));
                }
                take(&mut entries, 1)?;
                vector(&mut entries)?;
            }
        }
        Some((sender, flights))
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let kind = *take(rest, 1)?.first().filter(|kind| [1, 2].contains(*kind))?;
        let (sender, recipient) = (u32(rest)?, u32(rest)?);
        let flight = if kind == 2 { Some(flight(rest)?.to_vec()) } else { None };
        let tag = *take(rest, 1)?.first()?;
        let ratchet_key = take(rest, 32)?.to_vec();
        let (n, pn) = (varint(rest)?, varint(rest)?);
        let epoch = *take(rest, 1)?.first()?;
        let mut fields = vector(rest)?;
        let (mut offer, mut answer) = (None, None);
        while !fields.is_empty() {
            let kind = take(&mut fields, 1)?;
            let data = vector(&mut fields)?.to_vec();
            match kind {
                [1] => offer = Some(data),
                [2] => answer = Some(data),
                _ => {}
            }
        }
        let ciphertext = rest.to_vec();
        Some(Self { sender, recipient, flight, tag, ratchet_key, n, pn, epoch, offer, answer, ciphertext })
    }
}

/// Suite and three numbers; then key, KEM ciphertext and sealed payload.
fn flight<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let all = *rest;
    take(rest, 14)?;
    for _ in 0..3 {
        vector(rest)?;
    }
    all.strip_suffix(*rest)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// A number of RFC 9000, section 16, in one, two or four bytes.
fn varint(rest: &mut &[u8]) -> Option<u32> {
    let first = *rest.first()?;
    if first >= 0xC0 {
        return None;
    }
    let bytes = take(rest, 1 << (first >> 6))?;
    // The two high bits are the length.
    Some(bytes.iter().skip(1).fold(u32::from(first & 0x3F), |number, byte| number << 8 | u32::from(*byte)))
}

fn vector<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint(rest)?).ok()?;
    take(rest, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    #[test]
    fn numbers() {
        for (bytes, number) in [
            (&[0x3F][..], 63),
            (&[0x40, 0x40], 64),
            (&[0x7F, 0xFF], 16_383),
            (&[0x80, 0, 0x40, 0], 16_384),
            (&[0xBF, 0xFF, 0xFF, 0xFF], (1 << 30) - 1),
        ] {
            assert_eq!(varint(&mut &bytes[..]), Some(number));
        }
    }

    #[test]
    fn a_conversation() {
        let mut world = World::pair(1);
        // The other side has answered the first with an empty one, so a second chain begins.
        for (flight, n, pn) in [(true, 0, 0), (false, 0, 1), (false, 1, 1)] {
            world.say(World::ALICE, "bob@example.org", "x");
            world.run();
            let own = world.server.log.iter().rev().filter(|crossing| crossing.client.starts_with("alice"));
            let mut sent = own.filter(|crossing| crossing.way == crate::server::Way::Out);
            let peek = sent.find_map(|crossing| Peek::at(&crossing.stanza)).unwrap();
            assert_eq!((peek.flight.is_some(), peek.n, peek.pn), (flight, n, pn));
            assert!(peek.offer.is_none() && peek.epoch == 0);
        }
    }
}
