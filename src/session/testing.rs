//! Two devices for the tests of sessions.

use std::collections::BTreeMap;

use chacha20::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::agent::leg::Leg;
use crate::env::{Env, Timestamp};
use crate::error::{Misbehaviour, Reason};
use crate::jid::BareJid;
use crate::secret::Secret;
use crate::session::flight::{Flight, Payload};
use crate::session::header::{Context, StanzaKind};
use crate::session::kem_ratchet::KemPolicy;
use crate::session::message::{OpenError, Opened};
use crate::session::responder::{AwaitAa, AwaitEa, OwnKeys};
use crate::session::{Prologue, Session, initiator, responder};
use crate::suite::{KeyPair, SUITE_CLASSICAL, SUITE_HYBRID, SUITE_HYBRID_MISUSE_RESISTANT, Suite};

pub(crate) static ALL: [&Suite; 3] = [&SUITE_CLASSICAL, &SUITE_HYBRID, &SUITE_HYBRID_MISUSE_RESISTANT];

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

/// What a key agent does with a wanted leg.
pub(crate) fn agent(suite: &Suite, own: &KeyPair, wanted: &Leg) -> Secret {
    let dh = suite.agreement.agree(&own.secret, wanted.peer()).unwrap();
    wanted.answer(suite, &own.public, &dh).unwrap()
}

/// What may go wrong in a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    None,
    Initiator,
    Responder,
    InitiatorDevice,
    ResponderDevice,
    Record,
    Ea,
    Sp,
    Aa,
    Resumption,
    OneTime,
    Kem,
    SignedPrekey,
    /// Flip a bit of this byte of the flight.
    Byte(usize),
}

pub(crate) struct Handshake {
    pub(crate) suite: &'static Suite,
    pub(crate) one_time: bool,
    pub(crate) resumption: Option<(Secret, [u8; 8])>,
    pub(crate) fault: Fault,
    pub(crate) seed: u64,
}

impl Handshake {
    pub(crate) fn new(suite: &'static Suite) -> Self {
        Self { suite, one_time: true, resumption: None, fault: Fault::None, seed: 1 }
    }

    /// Runs it. The initiator's session is made whatever the fault.
    pub(crate) fn run(&self) -> (Session, Result<Session, Reason>) {
        let suite = self.suite;
        let mut rng = rng(self.seed);
        let now = Timestamp::from_secs(1000);
        let mut key = || suite.agreement.generate(&mut rng);
        let [i_agreement, r_agreement, prekey, one_time, other] = [key(), key(), key(), key(), key()];
        let kem = suite.kem.map(|kem| kem.generate(&mut rng));
        let other_kem = suite.kem.map(|kem| kem.generate(&mut rng));
        let (alice, bob, eve) = (jid("alice@example.org"), jid("bob@example.org"), jid("eve@example.org"));
        let prologue = Prologue {
            initiator: &alice,
            responder: &bob,
            initiator_device: 1,
            responder_device: 2,
            record: [3; 32],
        };
        let payload = Payload {
            certificate: vec![1; 199].into(),
            suites: vec![suite.id.0],
            counter: 1,
            list_version: 1,
            resumption: self.resumption.as_ref().map_or(vec![], |(_, name)| name.to_vec()).into(),
            extensions: Vec::new(),
        };
        let keys = initiator::ResponderKeys {
            record_sequence: 4,
            agreement: &r_agreement.public,
            signed_prekey: &prekey.public,
            one_time: self.one_time.then_some((7, one_time.public.as_slice())),
            kem: kem.as_ref().map(|kem| (8, kem.public.as_slice())),
        };
        let state = initiator::start(suite, &prologue, &keys, &payload, &mut rng).unwrap();
        let state = initiator::AwaitLegs::decode(&state.encode()).unwrap();
        let [sp, aa] = state.wanted().map(|wanted| agent(suite, &i_agreement, &wanted));
        let resumption = self.resumption.as_ref().map(|(secret, _)| secret);
        let mut env = Env { now, rng: &mut rng };
        let session = state.finish(suite, &sp, &aa, resumption, &mut env).unwrap();

        let mut bytes = session.flight().unwrap().to_vec();
        if let Fault::Byte(at) = self.fault {
            bytes[at] ^= 1;
        }
        let prologue = match self.fault {
            Fault::Initiator => Prologue { initiator: &eve, ..prologue },
            Fault::Responder => Prologue { responder: &eve, ..prologue },
            Fault::InitiatorDevice => Prologue { initiator_device: 9, ..prologue },
            Fault::ResponderDevice => Prologue { responder_device: 9, ..prologue },
            Fault::Record => Prologue { record: [4; 32], ..prologue },
            Fault::None
            | Fault::Ea
            | Fault::Sp
            | Fault::Aa
            | Fault::Resumption
            | Fault::OneTime
            | Fault::Kem
            | Fault::SignedPrekey
            | Fault::Byte(_) => prologue,
        };
        let pick = |fault, right: &KeyPair, wrong: &KeyPair| {
            if self.fault == fault { wrong.clone() } else { right.clone() }
        };
        let prekey = pick(Fault::SignedPrekey, &prekey, &other);
        let one_time = pick(Fault::OneTime, &one_time, &other);
        let r_agent = pick(Fault::Ea, &r_agreement, &other);
        let kem = if self.fault == Fault::Kem { other_kem } else { kem };
        let own = OwnKeys {
            signed_prekey: &prekey,
            one_time: self.one_time.then_some(&one_time),
            kem: kem.as_ref(),
        };
        let responder = || {
            let (flight, rest) = Flight::decode_prefix(&bytes)?;
            if !rest.is_empty() {
                return Err(Reason::Unauthentic);
            }
            let state = responder::start(suite, &prologue, flight, &own)?;
            let state = AwaitEa::decode(&state.encode()).unwrap();
            let ea = agent(suite, &r_agent, &state.wanted());
            let (opened, state) = state.open(suite, &ea)?;
            assert_eq!(opened, payload);
            let from = pick(Fault::Sp, &i_agreement, &other);
            let state = state.identified(suite, &from.public)?;
            let state = AwaitAa::decode(&state.encode()).unwrap();
            let agent_key = pick(Fault::Aa, &r_agreement, &other);
            let aa = agent(suite, &agent_key, &state.wanted());
            let wrong = Secret::from(&[1; 32][..]);
            let resumption = if self.fault == Fault::Resumption { Some(&wrong) } else { resumption };
            state.finish(suite, &aa, resumption, now)
        };
        let opened = responder();
        (session, opened)
    }

    pub(crate) fn pair(&self) -> Pair {
        let (initiator, responder) = self.run();
        Pair::new(self.suite, initiator, responder.unwrap(), self.seed)
    }
}

/// One device: its session and skipped keys.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) session: Session,
    pub(crate) keys: BTreeMap<(u32, u32), Secret>,
    pub(crate) jid: BareJid,
    pub(crate) peer: BareJid,
}

pub(crate) fn context<'a>(sender: &'a BareJid, addressed: &'a BareJid) -> Context<'a> {
    let kind = StanzaKind::Message;
    Context { kind, stanza_type: Some("chat"), sender, addressed, prefix: &[1, 2], extra: &[] }
}

impl Device {
    #[expect(clippy::unwrap_in_result, reason = "a test: what must not fail panics")]
    pub(crate) fn open(
        &mut self,
        suite: &Suite,
        now: Timestamp,
        body: &[u8],
    ) -> Result<Opened, OpenError<()>> {
        let mut session = self.session.clone();
        let keys = &self.keys;
        let mut find = |chain, n| Ok(keys.get(&(chain, n)).cloned());
        let opened = session.open(suite, now, &context(&self.peer, &self.jid), body, &mut find);
        let Ok(mut opened) = opened else {
            // The promise: after an error nothing has changed.
            assert_eq!(session.encode(), self.session.encode());
            return opened;
        };
        self.session = Session::decode(&session.encode()).unwrap();
        assert_eq!(self.session.encode(), session.encode());
        for run in &mut opened.skipped {
            for (n, key) in (run.first..).zip(core::mem::take(&mut run.keys)) {
                assert!(self.keys.insert((run.chain, n), key).is_none());
            }
        }
        if let Some(used) = opened.used {
            assert!(self.keys.remove(&used).is_some());
        }
        self.keys.retain(|(chain, _), _| !opened.expired_chains.contains(chain));
        for _ in 0..opened.excess {
            let oldest = *self.keys.keys().min().unwrap();
            self.keys.remove(&oldest);
            self.session.forget_skipped(oldest.0, 1);
        }
        assert_eq!(self.session.unread() as usize, self.keys.len());
        Ok(opened)
    }
}

/// Two devices and a clock. Device 0 is the initiator.
pub(crate) struct Pair {
    pub(crate) suite: &'static Suite,
    pub(crate) devices: [Device; 2],
    pub(crate) now: Timestamp,
    pub(crate) policy: KemPolicy,
    pub(crate) rng: ChaCha20Rng,
}

impl Clone for Pair {
    fn clone(&self) -> Self {
        let Self { suite, devices, now, policy, rng: _ } = self;
        // The generator does not copy itself; one as good.
        Self { suite, devices: devices.clone(), now: *now, policy: *policy, rng: rng(77) }
    }
}

impl Pair {
    fn new(suite: &'static Suite, initiator: Session, responder: Session, seed: u64) -> Self {
        let (alice, bob) = (jid("alice@example.org"), jid("bob@example.org"));
        let device = |session, jid: &BareJid, peer: &BareJid| Device {
            session,
            keys: BTreeMap::new(),
            jid: jid.clone(),
            peer: peer.clone(),
        };
        let devices = [device(initiator, &alice, &bob), device(responder, &bob, &alice)];
        Self {
            suite,
            devices,
            now: Timestamp::from_secs(2000),
            policy: KemPolicy::default(),
            rng: rng(seed + 1),
        }
    }

    /// A message of device `from`: header and ciphertext.
    pub(crate) fn seal(&mut self, from: usize, content: &[u8]) -> Vec<u8> {
        let device = &mut self.devices[from];
        let (own, peer) = (device.jid.clone(), device.peer.clone());
        let mut env = Env { now: self.now, rng: &mut self.rng };
        let sealed =
            device.session.seal(self.suite, &self.policy, &mut env, &context(&own, &peer), content).unwrap();
        let bytes = device.session.encode();
        device.session = Session::decode(&bytes).unwrap();
        assert_eq!(device.session.encode(), bytes);
        [sealed.header, sealed.ciphertext].concat()
    }

    /// Device `to` opens it.
    pub(crate) fn open(&mut self, to: usize, body: &[u8]) -> Result<Vec<u8>, OpenError<()>> {
        self.devices[to].open(self.suite, self.now, body).map(|opened| opened.content.to_vec())
    }

    /// Sent, and read at once.
    pub(crate) fn say(&mut self, from: usize, content: &[u8]) -> Vec<u8> {
        let body = self.seal(from, content);
        assert_eq!(self.open(1 - from, &body).unwrap(), content);
        body
    }

    /// A message each way, device 0 first.
    pub(crate) fn round(&mut self) {
        self.say(0, b"ping");
        self.say(1, b"pong");
    }

    pub(crate) fn epochs(&self) -> [u64; 2] {
        [0, 1].map(|device| self.devices[device].session.epoch())
    }
}

pub(crate) const UNAUTHENTIC: OpenError<()> = OpenError::Refused(Reason::Unauthentic);

pub(crate) fn misbehaved<T>(result: &Result<T, OpenError<()>>, how: Misbehaviour) -> bool {
    matches!(result, Err(OpenError::Refused(Reason::Misbehaved(found))) if *found == how)
}
