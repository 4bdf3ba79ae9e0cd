//! The responder's side of the handshake (section 6): a state for each wait.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::agent::leg::{Leg, LegLabel, leg};
use crate::env::Timestamp;
use crate::error::{Misbehaviour, Reason, Unreadable};
use crate::secret::Secret;
use crate::session::codec;
use crate::session::flight::{Flight, Payload};
use crate::session::initiator::mix_static_legs;
use crate::session::ratchet::RatchetKeyPair;
use crate::session::symmetric::SymmetricState;
use crate::session::{Prologue, Role, Session, bad_key, failed};
use crate::suite::{KeyPair, Suite};
use crate::wire::{Bytes, Undecodable};

/// Version of the stored forms.
const VERSION: u8 = 1;

/// A flight, a KEM key and some secrets; see `MAX_SEALED`.
const MAX_STATE: usize = 16_384;

/// The responder's own keys that the flight names.
#[derive(Clone, Copy)]
pub(crate) struct OwnKeys<'a> {
    pub(crate) signed_prekey: &'a KeyPair,
    pub(crate) one_time: Option<&'a KeyPair>,
    /// The KEM prekey's seed and public key. None in a classical suite.
    pub(crate) kem: Option<&'a KeyPair>,
}

/// A secret that is mixed in once the transcript has come so far.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Ready {
    #[tls_codec(with = "crate::wire::secret")]
    secret: Secret,
    /// The KEM key, for the transcript; empty for a leg.
    public: Bytes,
}

/// The leg `ea` is with the key agent.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct AwaitEa {
    symmetric: SymmetricState,
    flight: Flight,
    signed_prekey: RatchetKeyPair,
    one_time: Option<Ready>,
    kem: Option<Ready>,
}

/// The flight is open; whose agreement key it is must be settled from the certificate in it.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct AwaitIdentity {
    symmetric: SymmetricState,
    signed_prekey: RatchetKeyPair,
    one_time: u8,
    resumes: u8,
}

/// The leg `aa` is with the key agent.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct AwaitAa {
    symmetric: SymmetricState,
    signed_prekey: RatchetKeyPair,
    one_time: u8,
    resumes: u8,
    #[tls_codec(with = "crate::wire::secret")]
    sp: Secret,
    initiator: Bytes,
}

/// Takes a flight and the keys it names. The caller has looked for a replay.
pub(crate) fn start(
    suite: &Suite,
    prologue: &Prologue<'_>,
    flight: Flight,
    keys: &OwnKeys<'_>,
) -> Result<AwaitEa, Reason> {
    flight.check(suite)?;
    if keys.one_time.is_some() != (flight.one_time != 0) || keys.kem.is_some() != suite.kem.is_some() {
        return Err(Unreadable::NoPrekey.into());
    }
    let mut symmetric = SymmetricState::new(suite);
    symmetric.mix_hash(suite, &prologue.encode(suite)).map_err(failed)?;
    symmetric.mix_hash(suite, &flight.clear_header()).map_err(failed)?;

    let e = flight.e.as_slice();
    let compute = |label, own: &KeyPair, h: &[u8]| {
        let dh = suite.agreement.agree(&own.secret, e).map_err(bad_key)?;
        leg(suite, label, &dh, e, &own.public, h).map_err(failed)
    };
    let es = compute(LegLabel::Es, keys.signed_prekey, symmetric.h())?;
    symmetric.mix_key(suite, LegLabel::Es.name(), &es).map_err(failed)?;
    // `h` stays as it is until the KEM, so this leg can be had before `ea`.
    let one_time = match keys.one_time {
        Some(own) => {
            let secret = compute(LegLabel::Eo, own, symmetric.h())?;
            Some(Ready { secret, public: Vec::new().into() })
        }
        None => None,
    };
    let kem = match (suite.kem, keys.kem) {
        (Some(kem), Some(own)) => {
            let secret = kem.decapsulate(&own.secret, flight.kem_ciphertext.as_slice()).map_err(bad_key)?;
            Some(Ready { secret, public: own.public.clone().into() })
        }
        _ => None,
    };
    Ok(AwaitEa { symmetric, flight, signed_prekey: keys.signed_prekey.into(), one_time, kem })
}

impl AwaitEa {
    /// The leg `ea`, which the key agent computes.
    pub(crate) fn wanted(&self) -> Leg {
        Leg::new(LegLabel::Ea, Role::Responder, self.flight.e.as_slice(), self.symmetric.h())
    }

    /// Opens the flight.
    pub(crate) fn open(mut self, suite: &Suite, ea: &Secret) -> Result<(Payload, AwaitIdentity), Reason> {
        self.symmetric.mix_key(suite, LegLabel::Ea.name(), ea).map_err(failed)?;
        if let Some(one_time) = &self.one_time {
            self.symmetric.mix_key(suite, LegLabel::Eo.name(), &one_time.secret).map_err(failed)?;
        }
        if let Some(kem) = &self.kem {
            self.symmetric.mix_hash(suite, kem.public.as_slice()).map_err(failed)?;
            self.symmetric.mix_hash(suite, self.flight.kem_ciphertext.as_slice()).map_err(failed)?;
            self.symmetric.mix_key(suite, "kem", &kem.secret).map_err(failed)?;
        }
        let sealed = self.flight.sealed.as_slice();
        let opened = self.symmetric.open(suite, sealed).map_err(|_| Reason::Unauthentic)?;
        let payload = Payload::decode(&opened)?;
        // The suite that was used must be one that the initiator says it has.
        if !payload.suites.contains(&suite.id.0) {
            return Err(Misbehaviour::WrongSuite.into());
        }
        let next = AwaitIdentity {
            symmetric: self.symmetric,
            signed_prekey: self.signed_prekey,
            one_time: u8::from(self.one_time.is_some()),
            resumes: u8::from(payload.resumes()),
        };
        Ok((payload, next))
    }
}

impl AwaitIdentity {
    /// Goes on with the agreement key of the initiator's certificate, once that is verified.
    pub(crate) fn identified(self, suite: &Suite, initiator: &[u8]) -> Result<AwaitAa, Reason> {
        let Self { symmetric, signed_prekey, one_time, resumes } = self;
        let dh = suite.agreement.agree(&signed_prekey.secret, initiator).map_err(bad_key)?;
        let public = signed_prekey.public.as_slice();
        let sp = leg(suite, LegLabel::Sp, &dh, initiator, public, symmetric.h()).map_err(failed)?;
        Ok(AwaitAa { symmetric, signed_prekey, one_time, resumes, sp, initiator: initiator.into() })
    }
}

impl AwaitAa {
    /// The leg `aa`, which the key agent computes.
    pub(crate) fn wanted(&self) -> Leg {
        Leg::new(LegLabel::Aa, Role::Responder, self.initiator.as_slice(), self.symmetric.h())
    }

    /// Takes the agent's leg, and the resumption secret if the payload named one. Only when the
    /// session has opened the ratchet message after the flight is the initiator proven.
    pub(crate) fn finish(
        mut self,
        suite: &Suite,
        aa: &Secret,
        resumption: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Session, Reason> {
        mix_static_legs(&mut self.symmetric, suite, &self.sp, aa, self.resumes != 0, resumption)?;
        Session::responder(suite, &self.symmetric, self.signed_prekey, self.one_time != 0, now)
    }
}

macro_rules! stored {
    ($($state:ident),*) => {$(
        impl $state {
            /// The stored form.
            pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
                codec::encode(VERSION, self)
            }

            /// The inverse of [`encode`](Self::encode).
            pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
                codec::decode(VERSION, bytes, MAX_STATE)
            }
        }
    )*};
}

stored!(AwaitEa, AwaitAa);
