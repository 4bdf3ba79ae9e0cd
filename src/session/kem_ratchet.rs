//! The KEM ratchet of hybrid suites (section 7): epochs, each begun by mixing a KEM secret into a
//! root step.
//!
//! Odd epochs are offered by the initiator, even ones by the responder. Fields stand in the first
//! message of a chain and speak of the epoch after the message's own. The next offer needs a
//! message received in the current epoch: that holds by itself, since the offerer of an epoch is
//! who answered the one before, and it enters that one only by such a message.

use core::time::Duration;

use rand_core::CryptoRng;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;
use crate::error::{Misbehaviour, Reason};
use crate::secret::Secret;
use crate::session::codec::{SECRET_LEN, derive};
use crate::session::header::Fields;
use crate::session::{Role, failed};
use crate::suite::{Kem, Refused, Suite};
use crate::wire::Bytes;

/// When a new epoch is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KemPolicy {
    /// After this many messages, both directions counted.
    pub(crate) messages: u32,
    /// After this time.
    pub(crate) after: Duration,
}

impl Default for KemPolicy {
    /// 32 messages, so that in a dialogue a new epoch is in use within 20 round trips; or a day.
    fn default() -> Self {
        Self { messages: 32, after: Duration::from_hours(24) }
    }
}

/// How far the next epoch is.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
enum Next {
    /// Nothing outstanding.
    Idle,
    /// We offered; the seed is kept.
    Offered {
        #[tls_codec(with = "crate::wire::secret")]
        seed: Secret,
        public: Bytes,
    },
    /// We have the answer to our offer, and mix at our next root step.
    Agreed {
        ciphertext_hash: Bytes,
        #[tls_codec(with = "crate::session::codec::secret32")]
        mix: Secret,
    },
    /// The peer offered; we encapsulate when our next chain begins.
    Asked { public: Bytes },
    /// We answered, and repeat it until we see the epoch in use.
    Answered {
        public_hash: Bytes,
        ciphertext: Bytes,
        #[tls_codec(with = "crate::session::codec::secret32")]
        mix: Secret,
    },
}

/// The state of the KEM ratchet.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct KemRatchet {
    #[tls_codec(with = "crate::session::codec::varint64")]
    epoch: u64,
    next: Next,
    /// When the epoch began, in seconds.
    since: u32,
    /// How many messages were sent and received in it.
    #[tls_codec(with = "crate::session::codec::varint32")]
    messages: u32,
    /// Whether the user or the peer asked for the next.
    requested: u8,
}

impl KemRatchet {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { epoch: 0, next: Next::Idle, since: now.as_secs(), messages: 0, requested: 0 }
    }

    /// The epoch that root and sending chain are in.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether an offer or answer is outstanding.
    #[cfg(test)]
    pub(crate) fn is_pending(&self) -> bool {
        !matches!(self.next, Next::Idle)
    }

    /// Asks for a new epoch.
    pub(crate) fn request(&mut self) {
        self.requested = 1;
    }

    /// Counts a message.
    pub(crate) fn count(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    /// What our root step mixes besides Diffie-Hellman, if it begins an epoch.
    pub(crate) fn mix_to_send(&mut self, now: Timestamp) -> Option<Secret> {
        let Next::Agreed { mix, .. } = &self.next else { return None };
        let mix = mix.clone();
        self.enter(now);
        Some(mix)
    }

    /// The epoch of a chain under a new ratchet key, with what its root step mixes if the peer
    /// begins an epoch there. Only the current epoch or, if we answered, the next.
    pub(crate) fn mix_to_receive(&self, epoch: u8) -> Result<Option<&Secret>, Refused> {
        if epoch == low_byte(self.epoch) {
            return Ok(None);
        }
        let Next::Answered { mix, .. } = &self.next else { return Err(Refused) };
        if epoch == low_byte(self.epoch.wrapping_add(1)) { Ok(Some(mix)) } else { Err(Refused) }
    }

    /// Begins the next epoch.
    pub(crate) fn enter(&mut self, now: Timestamp) {
        *self = Self { epoch: self.epoch.wrapping_add(1), ..Self::new(now) };
    }

    /// Makes what the first message of a new chain is to say.
    pub(crate) fn prepare(
        &mut self,
        suite: &Suite,
        role: Role,
        policy: &KemPolicy,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Result<bool, Refused> {
        let Some(kem) = suite.kem else { return Ok(false) };
        match &self.next {
            Next::Idle => {
                let due = self.requested != 0
                    || self.messages >= policy.messages
                    || now.since(Timestamp::from_secs(self.since)) >= policy.after;
                if due && self.offers_next(role) {
                    let pair = kem.generate(rng);
                    self.next = Next::Offered { seed: pair.secret, public: pair.public.into() };
                    return Ok(false);
                }
                Ok(due)
            }
            Next::Asked { public } => {
                let public = public.as_slice();
                let (ciphertext, secret) = kem.encapsulate(public, rng)?;
                let mix = self.mix(suite, &secret, public, &ciphertext)?;
                let public_hash = suite.hash.hash(&[public]).into();
                self.next = Next::Answered { public_hash, ciphertext: ciphertext.into(), mix };
                Ok(false)
            }
            Next::Offered { .. } | Next::Agreed { .. } | Next::Answered { .. } => Ok(false),
        }
    }

    /// The fields of the first message of a chain; `want` is what [`prepare`](Self::prepare) gave.
    pub(crate) fn fields(&self, want: bool) -> Fields<'_> {
        match &self.next {
            Next::Offered { public, .. } => Fields { offer: Some(public.as_slice()), ..Fields::default() },
            Next::Answered { ciphertext, .. } => {
                Fields { answer: Some(ciphertext.as_slice()), ..Fields::default() }
            }
            Next::Idle | Next::Asked { .. } | Next::Agreed { .. } => Fields { want, ..Fields::default() },
        }
    }

    /// Takes the fields of an authentic message of epoch `epoch`. After an error nothing has
    /// changed.
    pub(crate) fn received(
        &mut self,
        suite: &Suite,
        role: Role,
        epoch: u64,
        fields: &Fields<'_>,
    ) -> Result<(), Reason> {
        if fields.is_empty() {
            return Ok(());
        }
        let kem = suite.kem.ok_or(Misbehaviour::OutOfTurn)?;
        if epoch != self.epoch {
            // Late: what it speaks of is done.
            return Ok(());
        }
        let ours = self.offers_next(role);
        if fields.offer.is_some() && ours || fields.answer.is_some() && !ours {
            return Err(Misbehaviour::OutOfTurn.into());
        }
        if let Some(public) = fields.offer {
            self.offered(suite, kem, public)?;
        }
        if let Some(ciphertext) = fields.answer {
            self.answered(suite, kem, ciphertext)?;
        }
        if fields.want {
            self.requested = 1;
        }
        Ok(())
    }

    fn offered(&mut self, suite: &Suite, kem: &dyn Kem, public: &[u8]) -> Result<(), Reason> {
        let same = match &self.next {
            Next::Asked { public: first } => first.as_slice() == public,
            Next::Answered { public_hash, .. } => suite.hash.hash(&[public]) == public_hash.as_slice(),
            Next::Idle | Next::Offered { .. } | Next::Agreed { .. } => {
                kem.check(public).map_err(|_| Misbehaviour::BadKey)?;
                self.next = Next::Asked { public: public.into() };
                true
            }
        };
        if same { Ok(()) } else { Err(Misbehaviour::Equivocation.into()) }
    }

    fn answered(&mut self, suite: &Suite, kem: &dyn Kem, ciphertext: &[u8]) -> Result<(), Reason> {
        match &self.next {
            Next::Offered { seed, public } => {
                let secret = kem.decapsulate(seed, ciphertext).map_err(|_| Misbehaviour::BadKey)?;
                let mix = self.mix(suite, &secret, public.as_slice(), ciphertext).map_err(failed)?;
                let ciphertext_hash = suite.hash.hash(&[ciphertext]).into();
                self.next = Next::Agreed { ciphertext_hash, mix };
                Ok(())
            }
            Next::Agreed { ciphertext_hash, .. } => {
                let same = suite.hash.hash(&[ciphertext]) == ciphertext_hash.as_slice();
                if same { Ok(()) } else { Err(Misbehaviour::Equivocation.into()) }
            }
            Next::Idle | Next::Asked { .. } | Next::Answered { .. } => Err(Misbehaviour::OutOfTurn.into()),
        }
    }

    /// `ExpandWithLabel(ss, "kem epoch", epoch ‖ H(pk) ‖ H(ct), 32)` for the next epoch.
    fn mix(
        &self,
        suite: &Suite,
        secret: &Secret,
        public: &[u8],
        ciphertext: &[u8],
    ) -> Result<Secret, Refused> {
        let epoch = self.epoch.wrapping_add(1).to_be_bytes();
        let hashes = [suite.hash.hash(&[public]), suite.hash.hash(&[ciphertext])];
        let [public, ciphertext] = &hashes;
        derive(suite, secret, "kem epoch", &[&epoch, public, ciphertext], SECRET_LEN)
    }

    /// What one sees of this state on the wire.
    #[cfg(test)]
    pub(crate) fn without_secrets(mut self) -> Self {
        match &mut self.next {
            Next::Offered { seed: secret, .. }
            | Next::Agreed { mix: secret, .. }
            | Next::Answered { mix: secret, .. } => {
                *secret = Secret::with(secret.expose().len(), |_| ());
            }
            Next::Idle | Next::Asked { .. } => {}
        }
        self
    }

    /// Whether the next epoch is `role`'s to offer.
    fn offers_next(&self, role: Role) -> bool {
        let odd = self.epoch.is_multiple_of(2);
        odd == (role == Role::Initiator)
    }
}

/// The number as the wire has it: modulo 256.
pub(crate) fn low_byte(epoch: u64) -> u8 {
    let [.., low] = epoch.to_be_bytes();
    low
}
