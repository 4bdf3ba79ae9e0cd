//! The messages of a comparison of keys, inside a control message.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::Malformed;
use crate::identity::Digest;
use crate::verify::{ELEMENT_LEN, RUN_ID_LEN};
use crate::wire::{self, Bytes};

/// The longest question: some lines.
pub(crate) const MAX_QUESTION: usize = 1024;

/// A question, and all else there is.
const MAX_MESSAGE: usize = MAX_QUESTION + 128;

/// One message of a run.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Message {
    pub(crate) run: [u8; RUN_ID_LEN],
    pub(crate) step: Step,
}

/// What it says.
#[derive(Clone, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum Step {
    /// Asks to compare a short string.
    #[tls_codec(discriminant = 1)]
    Request,
    /// Agrees, and commits to a contribution.
    #[tls_codec(discriminant = 2)]
    Accept(Digest),
    /// The initiator's contribution.
    #[tls_codec(discriminant = 3)]
    Contribution([u8; 32]),
    /// The responder's, which it has committed to.
    #[tls_codec(discriminant = 4)]
    Reveal([u8; 32]),
    /// Both sides of a short string, and the initiator with a secret: it is the same.
    #[tls_codec(discriminant = 5)]
    Confirm([u8; 32]),
    /// Asks for a secret: the question, and the initiator's element.
    #[tls_codec(discriminant = 6)]
    Question(Bytes, [u8; ELEMENT_LEN]),
    /// The responder's element, and that it has the key.
    #[tls_codec(discriminant = 7)]
    Answer([u8; ELEMENT_LEN], [u8; 32]),
    /// The run is over, and why.
    #[tls_codec(discriminant = 8)]
    Abort(u8),
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes all of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Malformed::TooLarge);
        }
        match bytes.get(RUN_ID_LEN) {
            Some(1..=8) => {}
            Some(_) => return Err(Malformed::Version),
            None => return Err(Malformed::Encoding),
        }
        let message: Self = wire::decode(bytes, MAX_MESSAGE).map_err(|_| Malformed::Encoding)?;
        match &message.step {
            Step::Question(text, _) if text.as_slice().len() > MAX_QUESTION => Err(Malformed::TooLarge),
            Step::Question(text, _) if core::str::from_utf8(text.as_slice()).is_err() => {
                Err(Malformed::Encoding)
            }
            Step::Question(..)
            | Step::Request
            | Step::Accept(_)
            | Step::Contribution(_)
            | Step::Reveal(_)
            | Step::Confirm(_)
            | Step::Answer(..)
            | Step::Abort(_) => Ok(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_what_is_cut_or_longer() {
        let steps = [
            Step::Request,
            Step::Accept([1; 32]),
            Step::Contribution([2; 32]),
            Step::Reveal([3; 32]),
            Step::Confirm([4; 32]),
            Step::Question("Where did we meet?".as_bytes().into(), [5; 32]),
            Step::Question(vec![b'?'; MAX_QUESTION].into(), [5; 32]),
            Step::Answer([6; 32], [7; 32]),
            Step::Abort(255),
        ];
        for (number, step) in steps.into_iter().enumerate() {
            let message = Message { run: [9; 16], step };
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes), Ok(message), "{number}");
            assert!(Message::decode(&[&bytes[..], &[0]].concat()).is_err());
            for len in 0..bytes.len() {
                assert!(Message::decode(&bytes[..len]).is_err(), "{number} {len}");
            }
        }
    }

    #[test]
    fn what_is_unknown_too_long_or_no_text_is_refused() {
        let kind = |kind| [&[9; 16][..], &[kind]].concat();
        assert_eq!(Message::decode(&kind(0)), Err(Malformed::Version));
        assert_eq!(Message::decode(&kind(9)), Err(Malformed::Version));
        let question = |text: Vec<u8>| Message { run: [9; 16], step: Step::Question(text.into(), [5; 32]) };
        let long = question(vec![b'?'; MAX_QUESTION + 1]).encode();
        assert_eq!(Message::decode(&long), Err(Malformed::TooLarge));
        assert_eq!(Message::decode(&question(vec![b'?'; 5000]).encode()), Err(Malformed::TooLarge));
        assert_eq!(Message::decode(&question(vec![0xFF]).encode()), Err(Malformed::Encoding));
    }
}
