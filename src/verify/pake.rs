//! SPAKE2 by the `spake2` crate. Its state cannot be stored, so it is made anew from a seed for each of its two halves.

use core::convert::Infallible;

use curve25519_dalek::edwards::CompressedEdwardsY;
use rand_core::{TryCryptoRng, TryRng};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroize;

use crate::secret::Secret;
use crate::suite::{Refused, SHA_256};

/// The length of an element.
pub(crate) const ELEMENT_LEN: usize = 32;

/// What one side sends to the other.
pub(crate) type Element = [u8; ELEMENT_LEN];

/// The sides, as SPAKE2 names them before an element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// `A`.
    Initiator = 0x41,
    /// `B`.
    Responder = 0x42,
}

/// The state and the element of a side with this `seed`; `phrase` stands for the secret.
fn state(
    side: Side,
    seed: &Secret,
    phrase: &Secret,
    [initiator, responder]: [&[u8]; 2],
) -> Result<(Spake2<Ed25519Group>, Element), Refused> {
    // The crate wipes neither this nor its state. Nothing of the secret as typed is in them.
    let password = Password::new(phrase.expose());
    let (a, b) = (Identity::new(initiator), Identity::new(responder));
    let mut rng = Seeded { seed, count: 0 };
    let (state, message) = match side {
        Side::Initiator => Spake2::start_a_with_rng(&password, &a, &b, &mut rng),
        Side::Responder => Spake2::start_b_with_rng(&password, &a, &b, &mut rng),
    };
    let (_, element) = message.split_first().ok_or(Refused)?;
    Ok((state, element.try_into().map_err(|_| Refused)?))
}

/// The element of a side.
pub(crate) fn start(
    side: Side,
    seed: &Secret,
    phrase: &Secret,
    identities: [&[u8]; 2],
) -> Result<Element, Refused> {
    state(side, seed, phrase, identities).map(|(_, element)| element)
}

/// The key that both have if they know the same secret. `peer` is the other side's element.
pub(crate) fn finish(
    side: Side,
    seed: &Secret,
    phrase: &Secret,
    identities: [&[u8]; 2],
    peer: &Element,
) -> Result<Secret, Refused> {
    if !check_element(peer) {
        return Err(Refused);
    }
    let (state, _) = state(side, seed, phrase, identities)?;
    let other = match side {
        Side::Initiator => Side::Responder,
        Side::Responder => Side::Initiator,
    };
    let mut message = vec![other as u8];
    message.extend_from_slice(peer);
    let mut key = state.finish(&message).map_err(|_| Refused)?;
    let secret = Secret::from(key.as_slice());
    key.zeroize();
    Ok(secret)
}

/// Whether this is an element in its one encoding, and of no small order.
pub(crate) fn check_element(element: &Element) -> bool {
    let point = CompressedEdwardsY(*element).decompress();
    point.is_some_and(|point| !point.is_small_order() && point.compress().0 == *element)
}

/// The same bytes for the same seed: HMAC-SHA-256 of a counter under it.
struct Seeded<'a> {
    seed: &'a Secret,
    count: u64,
}

impl TryRng for Seeded<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block = SHA_256.hmac(self.seed.expose(), &[&self.count.to_be_bytes()]);
            self.count += 1;
            for (byte, random) in chunk.iter_mut().zip(block.expose()) {
                *byte = *random;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Seeded<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::hex;

    fn secret(byte: u8) -> Secret {
        Secret::from(&[byte; 32][..])
    }

    fn keys(phrases: [u8; 2], ids: [[&[u8]; 2]; 2]) -> [Vec<u8>; 2] {
        let [a, b] = phrases.map(secret);
        let x = start(Side::Initiator, &secret(1), &a, ids[0]).unwrap();
        let y = start(Side::Responder, &secret(2), &b, ids[1]).unwrap();
        let one = finish(Side::Initiator, &secret(1), &a, ids[0], &y).ok().unwrap();
        let other = finish(Side::Responder, &secret(2), &b, ids[1], &x).ok().unwrap();
        [one, other].map(|key| key.expose().to_vec())
    }

    #[test]
    fn keys_are_equal_exactly_if_secret_and_names_are() {
        let ids: [&[u8]; 2] = [b"alice", b"bob"];
        let [one, other] = keys([9, 9], [ids, ids]);
        assert_eq!(one, other);
        assert_eq!(one.len(), 32);
        let [one, other] = keys([9, 8], [ids, ids]);
        assert_ne!(one, other);
        let [one, other] = keys([9, 9], [ids, [b"alice", b"mallory"]]);
        assert_ne!(one, other);
    }

    /// Computed apart from this code and its crate, with Python's integers.
    #[test]
    fn vectors() {
        let ids: [&[u8]; 2] = [b"alice", b"bob"];
        let x = start(Side::Initiator, &secret(1), &secret(9), ids).unwrap();
        let y = start(Side::Responder, &secret(2), &secret(9), ids).unwrap();
        assert_eq!(hex(&x), "9d1cdde4753b27bda4cb922d8fa20240563904e848f3b6b39181ad93b5c18102");
        assert_eq!(hex(&y), "ef57c6604a8b7cc2d31e835f3f090e6900bfa4cd871b62a83fbb74a7cff66878");
        let key = finish(Side::Initiator, &secret(1), &secret(9), ids, &y).ok().unwrap();
        assert_eq!(hex(key.expose()), "726cf06542ef73a254c50db53c51bbfa0a0cd1ad6538e279580e49cf1052e360");
    }

    #[test]
    fn a_seed_gives_its_element_again_and_another_seed_another() {
        let of = |seed| start(Side::Initiator, &secret(seed), &secret(9), [b"a", b"b"]).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let mut long = [0; 64];
        let seed = secret(1);
        let mut rng = Seeded { seed: &seed, count: 0 };
        let Ok(()) = rng.try_fill_bytes(&mut long);
        assert_ne!(long[..32], long[32..]);
    }

    #[test]
    fn elements_that_are_none_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut not_canonical = [0xFF; 32];
        not_canonical[0] = 0xEE;
        for bad in [identity, not_canonical, [0; 32], [2; 32]] {
            let result = finish(Side::Initiator, &secret(1), &secret(9), [b"a", b"b"], &bad);
            assert!(result.is_err(), "{bad:?}");
        }
    }
}
