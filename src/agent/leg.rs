//! Legs: the form in which every Diffie-Hellman result enters a handshake.
//!
//! A leg is bound to its place in the handshake, to both public keys and to the transcript so far,
//! so an agent that gives out legs gives no Diffie-Hellman result away and serves for nothing else.

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::secret::Secret;
use crate::suite::kdf::{SECRET_LEN, expand_with_label};
use crate::suite::{Refused, Suite};
use crate::wire::Bytes;

/// The place of a leg in the handshake: the initiator's key, then the responder's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
#[non_exhaustive]
pub enum LegLabel {
    /// Ephemeral and signed prekey.
    Es = 1,
    /// Ephemeral and agreement key.
    Ea = 2,
    /// Ephemeral and one-time prekey.
    Eo = 3,
    /// Agreement key and signed prekey.
    Sp = 4,
    /// Agreement key and agreement key.
    Aa = 5,
}

impl LegLabel {
    /// The text that separates it from the others.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Es => "leg es",
            Self::Ea => "leg ea",
            Self::Eo => "leg eo",
            Self::Sp => "leg sp",
            Self::Aa => "leg aa",
        }
    }

    /// Whether this leg is of the device agreement key of the side that is `role`.
    #[must_use]
    pub const fn is_for_agent(self, role: Role) -> bool {
        match (self, role) {
            (Self::Aa, _) | (Self::Ea, Role::Responder) | (Self::Sp, Role::Initiator) => true,
            (Self::Es | Self::Eo, _) | (Self::Ea, Role::Initiator) | (Self::Sp, Role::Responder) => false,
        }
    }
}

/// The side of a handshake.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
#[expect(clippy::exhaustive_enums, reason = "a handshake has two sides")]
pub enum Role {
    /// The side that sends the first message.
    Initiator = 1,
    /// The side that receives it.
    Responder = 2,
}

impl Role {
    /// The other side.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// A leg asked of an agent.
#[derive(Clone, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub struct Leg {
    label: LegLabel,
    role: Role,
    peer: Bytes,
    h: Bytes,
}

impl Leg {
    pub(crate) fn new(label: LegLabel, role: Role, peer: &[u8], h: &[u8]) -> Self {
        Self { label, role, peer: peer.to_vec().into(), h: h.to_vec().into() }
    }

    /// Its place in the handshake.
    #[must_use]
    pub fn label(&self) -> LegLabel {
        self.label
    }

    /// The side the agent's device is on.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The peer's public key.
    #[must_use]
    pub fn peer(&self) -> &[u8] {
        self.peer.as_ref()
    }

    /// The hash of the transcript so far.
    #[must_use]
    pub fn h(&self) -> &[u8] {
        self.h.as_ref()
    }

    /// The leg from the agreement key of public key `own` and its Diffie-Hellman result `dh` with
    /// [`peer`](Self::peer), which must be one that the suite's agreement gave.
    ///
    /// # Errors
    /// [`Refused`] if the leg is not one of a device agreement key.
    pub fn answer(&self, suite: &Suite, own: &[u8], dh: &Secret) -> Result<Secret, Refused> {
        if !self.label.is_for_agent(self.role) {
            return Err(Refused);
        }
        let (initiator, responder) = match self.role {
            Role::Initiator => (own, self.peer()),
            Role::Responder => (self.peer(), own),
        };
        leg(suite, self.label, dh, initiator, responder, self.h())
    }
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, role, peer: _, h: _ } = self;
        f.debug_struct("Leg").field("label", label).field("role", role).finish_non_exhaustive()
    }
}

/// `ExpandWithLabel(HKDF-Extract(label, dh), label, initiator's public key ‖ responder's ‖ h, 32)`.
pub(crate) fn leg(
    suite: &Suite,
    label: LegLabel,
    dh: &Secret,
    initiator_public: &[u8],
    responder_public: &[u8],
    h: &[u8],
) -> Result<Secret, Refused> {
    let lengths = [initiator_public.len(), responder_public.len(), h.len()];
    // The three are concatenated, so each must have the one length it has in the suite.
    if lengths != [suite.agreement.public_len(), suite.agreement.public_len(), suite.hash.output_len()] {
        return Err(Refused);
    }
    let len = u16::try_from(SECRET_LEN).map_err(|_| Refused)?;
    let text = label.name();
    let prk = suite.hash.hmac(text.as_bytes(), &[dh.expose()]);
    expand_with_label(suite.hash, prk.expose(), text, &[initiator_public, responder_public, h], len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::rng;
    use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID_MISUSE_RESISTANT, X25519};

    #[test]
    fn both_sides_have_the_same_leg() {
        let rng = &mut rng(1);
        let (i, r) = (X25519.generate(rng), X25519.generate(rng));
        for (suite, h) in [(&SUITE_CLASSICAL, &[5; 32][..]), (&SUITE_HYBRID_MISUSE_RESISTANT, &[5; 64])] {
            let ours = Leg::new(LegLabel::Aa, Role::Initiator, &r.public, h);
            let theirs = Leg::new(LegLabel::Aa, Role::Responder, &i.public, h);
            let dh_i = X25519.agree(&i.secret, ours.peer()).unwrap();
            let dh_r = X25519.agree(&r.secret, theirs.peer()).unwrap();
            let a = ours.answer(suite, &i.public, &dh_i).unwrap();
            let b = theirs.answer(suite, &r.public, &dh_r).unwrap();
            assert!(a.same(&b));
            assert_eq!(a.expose().len(), 32);
            assert!(!a.same(&dh_i));
        }
    }

    #[test]
    fn every_input_counts() {
        let dh = Secret::from(&[1; 32][..]);
        let of = |label, dh: &Secret, i: u8, r: u8, h: u8| {
            leg(&SUITE_CLASSICAL, label, dh, &[i; 32], &[r; 32], &[h; 32]).unwrap()
        };
        let legs = [
            of(LegLabel::Aa, &dh, 1, 2, 3),
            of(LegLabel::Sp, &dh, 1, 2, 3),
            of(LegLabel::Aa, &Secret::from(&[2; 32][..]), 1, 2, 3),
            of(LegLabel::Aa, &dh, 2, 1, 3),
            of(LegLabel::Aa, &dh, 1, 2, 4),
            of(LegLabel::Es, &dh, 1, 2, 3),
            of(LegLabel::Ea, &dh, 1, 2, 3),
            of(LegLabel::Eo, &dh, 1, 2, 3),
        ];
        for (index, one) in legs.iter().enumerate() {
            assert!(legs.iter().skip(index + 1).all(|other| !one.same(other)));
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let dh = Secret::from(&[1; 32][..]);
        let of = |i: &[u8], r: &[u8], h: &[u8]| leg(&SUITE_CLASSICAL, LegLabel::Aa, &dh, i, r, h).is_ok();
        assert!(of(&[1; 32], &[2; 32], &[3; 32]));
        assert!(!of(&[1; 31], &[2; 33], &[3; 32]));
        assert!(!of(&[1; 32], &[2; 31], &[3; 33]));
        assert!(!of(&[1; 32], &[2; 32], &[]));
    }

    #[test]
    fn only_legs_of_an_agreement_key() {
        use LegLabel::{Aa, Ea, Eo, Es, Sp};
        let dh = Secret::from(&[1; 32][..]);
        let allowed =
            [(Aa, Role::Initiator), (Aa, Role::Responder), (Ea, Role::Responder), (Sp, Role::Initiator)];
        for label in [Es, Ea, Eo, Sp, Aa] {
            for role in [Role::Initiator, Role::Responder] {
                let answer =
                    Leg::new(label, role, &[2; 32], &[3; 32]).answer(&SUITE_CLASSICAL, &[1; 32], &dh);
                assert_eq!(answer.is_ok(), allowed.contains(&(label, role)));
            }
        }
    }
}
