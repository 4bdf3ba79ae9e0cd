//! The first flight: what stands before the ratchet message until the responder has replied.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLByteSlice};

use crate::error::{Malformed, Reason};
use crate::suite::{Kem, Suite};
use crate::wire::{self, Bytes};

/// The payload has a certificate (two kilobytes under the longest JID), a list of suites and
/// extensions; sealed, it stays below this.
pub(crate) const MAX_SEALED: usize = 8192;

/// Lists of suites hold eight and a grease value; this leaves room to grow.
pub(crate) const MAX_PAYLOAD_SUITES: usize = 32;

/// Known extensions and some to come; more is waste.
pub(crate) const MAX_EXTENSIONS: usize = 16;

/// A resumption secret's name: long enough that two in one store do not meet by chance.
pub(crate) const RESUMPTION_NAME_LEN: usize = 8;

/// Handshake header (the first five fields), KEM ciphertext and sealed payload.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Flight {
    /// The number of the suite.
    pub(crate) suite: u16,
    /// The sequence of the responder's record.
    pub(crate) record_sequence: u32,
    /// The one-time prekey used; 0 is none.
    pub(crate) one_time: u32,
    /// The KEM prekey encapsulated to; 0 in a classical suite.
    pub(crate) kem_prekey: u32,
    /// The initiator's ephemeral key.
    pub(crate) e: Bytes,
    /// Empty in a classical suite.
    pub(crate) kem_ciphertext: Bytes,
    /// The sealed [`Payload`].
    pub(crate) sealed: Bytes,
}

/// The part of a flight that is sent in clear and mixed before anything else.
#[derive(TlsSerialize, TlsSize)]
struct ClearHeader<'a> {
    suite: u16,
    record_sequence: u32,
    one_time: u32,
    kem_prekey: u32,
    e: VLByteSlice<'a>,
}

impl Flight {
    /// The flight at the start of `bytes`, and what follows it.
    pub(crate) fn decode_prefix(bytes: &[u8]) -> Result<(Self, &[u8]), Reason> {
        let (flight, rest) = wire::decode_prefix::<Self>(bytes)?;
        if flight.sealed.as_slice().len() > MAX_SEALED {
            return Err(Malformed::TooLarge.into());
        }
        Ok((flight, rest))
    }

    /// Checks the lengths that `suite` gives.
    pub(crate) fn check(&self, suite: &Suite) -> Result<(), Reason> {
        let kem_len = suite.kem.map_or(0, Kem::ciphertext_len);
        let fits = self.suite == suite.id.0
            && self.e.as_slice().len() == suite.agreement.public_len()
            && self.kem_ciphertext.as_slice().len() == kem_len
            && suite.kem.is_some() == (self.kem_prekey != 0);
        if fits { Ok(()) } else { Err(Malformed::Encoding.into()) }
    }

    /// The clear header as sent: its encoding is the only one there is.
    pub(crate) fn clear_header(&self) -> Vec<u8> {
        wire::encode(&ClearHeader {
            suite: self.suite,
            record_sequence: self.record_sequence,
            one_time: self.one_time,
            kem_prekey: self.kem_prekey,
            e: VLByteSlice(self.e.as_slice()),
        })
    }
}

/// An extension: kept and ignored if unknown.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Extension {
    /// What it is.
    pub(crate) kind: u16,
    /// Its content.
    pub(crate) data: Bytes,
}

/// What the initiator seals for the responder.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Payload {
    /// The initiator's device certificate.
    pub(crate) certificate: Bytes,
    /// The initiator's suites.
    pub(crate) suites: Vec<u16>,
    /// The handshake counter of this device pair.
    pub(crate) counter: u64,
    /// The version of the initiator's device list.
    pub(crate) list_version: u32,
    /// The name of the resumption secret mixed in, or nothing.
    pub(crate) resumption: Bytes,
    /// Extensions.
    pub(crate) extensions: Vec<Extension>,
}

impl Payload {
    /// Decodes and checks bounds.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        let payload: Self = wire::decode(bytes, MAX_SEALED)?;
        if !matches!(payload.resumption.as_slice().len(), 0 | RESUMPTION_NAME_LEN) {
            return Err(Malformed::Encoding.into());
        }
        if payload.suites.len() > MAX_PAYLOAD_SUITES || payload.extensions.len() > MAX_EXTENSIONS {
            return Err(Malformed::TooLarge.into());
        }
        Ok(payload)
    }

    /// Whether it names a resumption secret.
    pub(crate) fn resumes(&self) -> bool {
        !self.resumption.as_slice().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID};

    fn flight() -> Flight {
        Flight {
            suite: 1,
            record_sequence: 2,
            one_time: 3,
            kem_prekey: 0,
            e: vec![4; 32].into(),
            kem_ciphertext: vec![].into(),
            sealed: vec![5; 20].into(),
        }
    }

    #[test]
    fn a_flight_is_followed_by_a_message() {
        let flight = flight();
        let mut bytes = wire::encode(&flight);
        bytes.extend_from_slice(b"rest");
        let (decoded, rest) = Flight::decode_prefix(&bytes).unwrap();
        assert_eq!((&decoded, rest), (&flight, &b"rest"[..]));
        assert!(bytes.starts_with(&flight.clear_header()));
        assert!(flight.check(&SUITE_CLASSICAL).is_ok());
        assert!(flight.check(&SUITE_HYBRID).is_err());
    }

    #[test]
    fn bounds() {
        let mut large = flight();
        large.sealed = vec![0; MAX_SEALED + 1].into();
        assert!(Flight::decode_prefix(&wire::encode(&large)).is_err());
        let payload = |resumption: usize, suites: usize| Payload {
            certificate: vec![1].into(),
            suites: vec![1; suites],
            counter: 1,
            list_version: 1,
            resumption: vec![0; resumption].into(),
            extensions: Vec::new(),
        };
        assert!(Payload::decode(&wire::encode(&payload(8, 3))).is_ok());
        assert!(Payload::decode(&wire::encode(&payload(7, 3))).is_err());
        assert!(Payload::decode(&wire::encode(&payload(0, MAX_PAYLOAD_SUITES + 1))).is_err());
    }
}
