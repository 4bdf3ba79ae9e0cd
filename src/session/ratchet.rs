//! The stages of the Double Ratchet (section 7), a type for each and for each side.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::session::codec::{SECRET_LEN, derive};
use crate::session::symmetric::len16;
use crate::stanza::AnswerTag;
use crate::suite::kdf::{self, expand_with_label};
use crate::suite::{KeyPair, Refused, Suite};
use crate::wire::Bytes;

/// A chain ends here: numbers keep to four bytes on the wire.
pub(crate) const MAX_NUMBER: u32 = (1 << 30) - 1;

/// The input of `KDF_CK` for the message key.
const MESSAGE: &[u8] = &[1];

/// The input of `KDF_CK` for the next chain key.
const NEXT: &[u8] = &[2];

/// A ratchet key pair of ours.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct RatchetKeyPair {
    #[tls_codec(with = "crate::wire::secret")]
    pub(crate) secret: Secret,
    pub(crate) public: Bytes,
}

impl From<&KeyPair> for RatchetKeyPair {
    fn from(pair: &KeyPair) -> Self {
        Self { secret: pair.secret.clone(), public: pair.public.as_slice().into() }
    }
}

/// The root key.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct RootKey(#[tls_codec(with = "crate::session::codec::secret32")] Secret);

/// What a root step gives.
pub(crate) struct RootStep {
    pub(crate) root: RootKey,
    /// The first chain key.
    pub(crate) chain: Secret,
    pub(crate) resumption: Secret,
}

impl RootKey {
    /// The root key of a new session.
    pub(crate) fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// `KDF_RK`: HKDF with the root key as salt over the Diffie-Hellman result and, at a new
    /// epoch, the KEM's.
    pub(crate) fn step(&self, suite: &Suite, dh: &Secret, kem: Option<&Secret>) -> Result<RootStep, Refused> {
        let mix = kem.map_or(&[][..], Secret::expose);
        let extracted = suite.hash.hmac(self.0.expose(), &[dh.expose(), mix]);
        let expand = |label| expand_with_label(suite.hash, extracted.expose(), label, &[], SECRET_LEN);
        Ok(RootStep {
            root: Self(expand("ratchet root")?),
            chain: expand("ratchet chain")?,
            resumption: expand("ratchet resumption")?,
        })
    }
}

/// `KDF_CK`: the message key and the next chain key.
fn chain_step(suite: &Suite, key: &Secret) -> Result<(Secret, Secret), Refused> {
    let (message, next) = suite.hash.hmac_pair(key.expose(), MESSAGE, NEXT);
    Ok((shorten(message)?, shorten(next)?))
}

/// The first 32 bytes.
fn shorten(secret: Secret) -> Result<Secret, Refused> {
    let bytes = secret.expose();
    if bytes.len() == kdf::SECRET_LEN {
        return Ok(secret);
    }
    bytes.get(..kdf::SECRET_LEN).map(Secret::from).ok_or(Refused)
}

/// A chain of messages we send.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct SendingChain {
    #[tls_codec(with = "crate::session::codec::secret32")]
    key: Secret,
    #[tls_codec(with = "crate::session::codec::varint32")]
    next: u32,
}

impl SendingChain {
    pub(crate) fn new(key: Secret) -> Self {
        Self { key, next: 0 }
    }

    /// The number of the next message, which is how many were sent.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// The key for the next message.
    pub(crate) fn advance(&mut self, suite: &Suite) -> Result<MessageKey, Refused> {
        if self.next > MAX_NUMBER {
            return Err(Refused);
        }
        let (message, next) = chain_step(suite, &self.key)?;
        self.key = next;
        self.next += 1;
        Ok(MessageKey(message))
    }
}

/// A chain of messages we receive.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct ReceivingChain {
    #[tls_codec(with = "crate::session::codec::secret32")]
    key: Secret,
    #[tls_codec(with = "crate::session::codec::varint32")]
    next: u32,
}

impl ReceivingChain {
    pub(crate) fn new(key: Secret) -> Self {
        Self { key, next: 0 }
    }

    /// The number of the next message.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Goes on to message `n`, giving the keys of those before it. The caller bounds how many.
    pub(crate) fn skip_to(&mut self, suite: &Suite, n: u32) -> Result<Vec<Secret>, Refused> {
        let count = n.checked_sub(self.next).ok_or(Refused)?;
        let mut keys = Vec::with_capacity(usize::try_from(count).map_err(|_| Refused)?);
        for _ in 0..count {
            let (message, next) = chain_step(suite, &self.key)?;
            self.key = next;
            keys.push(message);
        }
        self.next = n;
        Ok(keys)
    }

    /// The key for the next message.
    pub(crate) fn advance(&mut self, suite: &Suite) -> Result<MessageKey, Refused> {
        let (message, next) = chain_step(suite, &self.key)?;
        self.key = next;
        self.next = self.next.checked_add(1).ok_or(Refused)?;
        Ok(MessageKey(message))
    }
}

/// The key of one message; using it consumes it.
pub(crate) struct MessageKey(Secret);

impl MessageKey {
    /// A skipped key, back from the store.
    pub(crate) fn skipped(key: Secret) -> Self {
        Self(key)
    }

    /// What the answer to an iq in this message names it by.
    pub(crate) fn answer_tag(&self, suite: &Suite) -> Result<AnswerTag, Refused> {
        derive(suite, &self.0, "answer", &[], 16)?.expose().try_into().map_err(|_| Refused)
    }

    /// Encrypts.
    pub(crate) fn seal(self, suite: &Suite, aad: &[u8], content: &[u8]) -> Result<Vec<u8>, Refused> {
        // Room for the tag from the start, so that no copy of the content stays behind.
        let mut buffer = Vec::with_capacity(content.len() + suite.aead.tag_len());
        buffer.extend_from_slice(content);
        self.apply(suite, |key, nonce| suite.aead.seal(key, nonce, aad, &mut buffer))?;
        Ok(buffer)
    }

    /// Decrypts.
    pub(crate) fn open(
        self,
        suite: &Suite,
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        self.apply(suite, |key, nonce| suite.aead.open(key, nonce, aad, &mut buffer))?;
        Ok(buffer)
    }

    /// Key and nonce, one after the other, are `ExpandWithLabel(message key, "message", "", …)`.
    fn apply(
        self,
        suite: &Suite,
        run: impl FnOnce(&[u8], &[u8]) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let key_len = suite.aead.key_len();
        let len = len16(key_len + suite.aead.nonce_len())?;
        let both = derive(suite, &self.0, "message", &[], len)?;
        let (key, nonce) = both.expose().split_at_checked(key_len).ok_or(Refused)?;
        run(key, nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID_MISUSE_RESISTANT};

    #[test]
    fn both_chains_give_the_same_keys() {
        for suite in [&SUITE_CLASSICAL, &SUITE_HYBRID_MISUSE_RESISTANT] {
            let key = Secret::from(&[9; 32][..]);
            let (mut sending, mut receiving) =
                (SendingChain::new(key.clone()), ReceivingChain::new(key.clone()));
            let sealed: Vec<_> =
                (0..4).map(|_| sending.advance(suite).unwrap().seal(suite, b"ad", b"hi").unwrap()).collect();
            let skipped = receiving.skip_to(suite, 2).unwrap();
            let open = |key: MessageKey, n: usize| key.open(suite, b"ad", &sealed[n]);
            assert_eq!(open(receiving.advance(suite).unwrap(), 2).unwrap().as_slice(), b"hi");
            for (n, key) in skipped.into_iter().enumerate() {
                assert!(open(MessageKey::skipped(key.clone()), n + 1).is_err());
                assert_eq!(open(MessageKey::skipped(key), n).unwrap().as_slice(), b"hi");
            }
            assert_eq!((sending.next(), receiving.next()), (4, 3));
            assert!(receiving.skip_to(suite, 2).is_err());
        }
    }

    #[test]
    fn a_root_step_depends_on_all_its_inputs() {
        let secret = |byte| Secret::from(&[byte; 32][..]);
        let root = RootKey::new(secret(1));
        let base = root.step(&SUITE_CLASSICAL, &secret(2), None).unwrap();
        let kem = root.step(&SUITE_CLASSICAL, &secret(2), Some(&secret(3))).unwrap();
        let other = RootKey::new(secret(4)).step(&SUITE_CLASSICAL, &secret(2), None).unwrap();
        assert!(!base.chain.same(&kem.chain) && !base.chain.same(&other.chain));
        assert!(!base.chain.same(&base.resumption) && !base.chain.same(&base.root.0));
    }

    #[test]
    fn a_chain_ends() {
        let mut chain = SendingChain { key: Secret::from(&[1; 32][..]), next: MAX_NUMBER };
        assert!(chain.advance(&SUITE_CLASSICAL).is_ok());
        assert!(chain.advance(&SUITE_CLASSICAL).is_err());
    }
}
