//! The initiator's side of the handshake (section 6): a state for each wait.

use rand_core::CryptoRng;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::agent::leg::{Leg, LegLabel, leg};
use crate::env::Env;
use crate::error::{Misbehaviour, Reason};
use crate::secret::Secret;
use crate::session::codec;
use crate::session::flight::{Flight, Payload};
use crate::session::symmetric::SymmetricState;
use crate::session::{Prologue, Role, Session, bad_key, failed};
use crate::suite::Suite;
use crate::wire::{self, Bytes, Undecodable};

/// Version of the stored form.
const VERSION: u8 = 1;

/// A flight and two keys; see `MAX_SEALED`.
const MAX_STATE: usize = 16_384;

/// The responder's public keys, from its verified record and one-time prekeys.
#[derive(Clone, Copy)]
pub(crate) struct ResponderKeys<'a> {
    pub(crate) record_sequence: u32,
    pub(crate) agreement: &'a [u8],
    pub(crate) signed_prekey: &'a [u8],
    pub(crate) one_time: Option<(u32, &'a [u8])>,
    /// The one-time KEM prekey, or else the record's. None in a classical suite.
    pub(crate) kem: Option<(u32, &'a [u8])>,
}

/// The flight is made; the legs `sp` and `aa` are with the key agent.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct AwaitLegs {
    symmetric: SymmetricState,
    flight: Bytes,
    one_time: u8,
    resumes: u8,
    signed_prekey: Bytes,
    agreement: Bytes,
}

/// Makes the first flight; the legs of step 5 are for the key agent to
/// add.
pub(crate) fn start(
    suite: &Suite,
    prologue: &Prologue<'_>,
    keys: &ResponderKeys<'_>,
    payload: &Payload,
    rng: &mut dyn CryptoRng,
) -> Result<AwaitLegs, Reason> {
    let ephemeral = suite.agreement.generate(rng);
    let mut symmetric = SymmetricState::new(suite);
    symmetric.mix_hash(suite, &prologue.encode(suite)).map_err(failed)?;

    let mut flight = Flight {
        suite: suite.id.0,
        record_sequence: keys.record_sequence,
        one_time: keys.one_time.map_or(0, |(id, _)| id),
        kem_prekey: keys.kem.map_or(0, |(id, _)| id),
        e: ephemeral.public.clone().into(),
        kem_ciphertext: Vec::new().into(),
        sealed: Vec::new().into(),
    };
    // Id 0 says "none" on the wire, and a hybrid suite is nothing without its KEM.
    if flight.one_time == 0 && keys.one_time.is_some() || suite.kem.is_some() != (flight.kem_prekey != 0) {
        return Err(Misbehaviour::BadKey.into());
    }
    symmetric.mix_hash(suite, &flight.clear_header()).map_err(failed)?;

    let mix = |symmetric: &mut SymmetricState, label: LegLabel, public: &[u8]| {
        let dh = suite.agreement.agree(&ephemeral.secret, public).map_err(bad_key)?;
        let leg = leg(suite, label, &dh, &ephemeral.public, public, symmetric.h()).map_err(failed)?;
        symmetric.mix_key(suite, label.name(), &leg).map_err(failed)
    };
    mix(&mut symmetric, LegLabel::Es, keys.signed_prekey)?;
    mix(&mut symmetric, LegLabel::Ea, keys.agreement)?;
    if let Some((_, public)) = keys.one_time {
        mix(&mut symmetric, LegLabel::Eo, public)?;
    }

    if let (Some(kem), Some((_, public))) = (suite.kem, keys.kem) {
        let (ciphertext, secret) = kem.encapsulate(public, rng).map_err(bad_key)?;
        symmetric.mix_hash(suite, public).map_err(failed)?;
        symmetric.mix_hash(suite, &ciphertext).map_err(failed)?;
        symmetric.mix_key(suite, "kem", &secret).map_err(failed)?;
        flight.kem_ciphertext = ciphertext.into();
    }

    let payload_bytes = wire::encode_secret(payload);
    flight.sealed = symmetric.seal(suite, &payload_bytes).map_err(failed)?.into();
    Ok(AwaitLegs {
        symmetric,
        flight: wire::encode(&flight).into(),
        one_time: u8::from(keys.one_time.is_some()),
        resumes: u8::from(payload.resumes()),
        signed_prekey: keys.signed_prekey.into(),
        agreement: keys.agreement.into(),
    })
}

impl AwaitLegs {
    /// The legs `sp` and `aa`, which the key agent computes.
    pub(crate) fn wanted(&self) -> [Leg; 2] {
        let wanted =
            |label, peer: &Bytes| Leg::new(label, Role::Initiator, peer.as_slice(), self.symmetric.h());
        [wanted(LegLabel::Sp, &self.signed_prekey), wanted(LegLabel::Aa, &self.agreement)]
    }

    /// Takes the agent's legs, and the resumption secret if the payload named one. The session
    /// repeats its flight until a reply has come.
    pub(crate) fn finish(
        mut self,
        suite: &Suite,
        sp: &Secret,
        aa: &Secret,
        resumption: Option<&Secret>,
        env: &mut Env<'_>,
    ) -> Result<Session, Reason> {
        mix_static_legs(&mut self.symmetric, suite, sp, aa, self.resumes != 0, resumption)?;
        let one_time = self.one_time != 0;
        Session::initiator(suite, &self.symmetric, self.signed_prekey.as_slice(), one_time, self.flight, env)
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        codec::encode(VERSION, self)
    }

    /// The inverse of [`encode`](Self::encode).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        codec::decode(VERSION, bytes, MAX_STATE)
    }
}

/// Step 5: `sp`, `aa` and the resumption secret, which must be there if and only if it was named.
pub(crate) fn mix_static_legs(
    symmetric: &mut SymmetricState,
    suite: &Suite,
    sp: &Secret,
    aa: &Secret,
    resumes: bool,
    resumption: Option<&Secret>,
) -> Result<(), Reason> {
    if resumes != resumption.is_some() {
        return Err(Reason::Unauthentic);
    }
    symmetric.mix_key(suite, LegLabel::Sp.name(), sp).map_err(failed)?;
    symmetric.mix_key(suite, LegLabel::Aa.name(), aa).map_err(failed)?;
    if let Some(secret) = resumption {
        symmetric.mix_key(suite, "resumption", secret).map_err(failed)?;
    }
    Ok(())
}
