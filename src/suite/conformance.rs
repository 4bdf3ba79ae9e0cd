//! What every suite must do, as a check that anyone can run on a suite of their own.
//!
//! Passing says that the parts keep the promises of their traits as far as a few thousand calls
//! can show; it says nothing about their strength. Test vectors are needed beside it.

use rand_core::CryptoRng;

use crate::secret::Secret;
use crate::suite::{Aead, Agreement, Hash, Kem, Refused, Signature, Suite};

/// The promise a suite does not keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The suite has a number reserved for grease.
    #[error("suite: its number is grease")]
    GreaseId,
    /// A generated public key does not have the stated length.
    #[error("agreement: a public key of another length than stated")]
    AgreementLength,
    /// Two generated keys or two shared secrets are the same.
    #[error("agreement: keys or secrets repeat")]
    AgreementRepeats,
    /// A generated key is refused.
    #[error("agreement: a generated key is refused")]
    AgreementCheck,
    /// The two sides do not get the same secret.
    #[error("agreement: the two sides disagree")]
    AgreementSymmetry,
    /// The all-zero public key is accepted.
    #[error("agreement: the all-zero key is accepted")]
    AgreementZeroKey,
    /// A public or private key of another length is accepted.
    #[error("agreement: a key of wrong length is accepted")]
    AgreementWrongLength,
    /// A generated public key or a ciphertext does not have the stated length.
    #[error("KEM: a key or ciphertext of another length than stated")]
    KemLength,
    /// Two generated keys, ciphertexts or secrets are the same.
    #[error("KEM: keys, ciphertexts or secrets repeat")]
    KemRepeats,
    /// A generated key is refused.
    #[error("KEM: a generated key is refused")]
    KemCheck,
    /// Decapsulation does not give what encapsulation gave.
    #[error("KEM: the two sides disagree")]
    KemRoundTrip,
    /// A false ciphertext or key gives an error or the true secret.
    #[error("KEM: a false ciphertext gives an error or the true secret")]
    KemFalseCiphertext,
    /// A key or ciphertext of another length is accepted.
    #[error("KEM: a key or ciphertext of wrong length is accepted")]
    KemWrongLength,
    /// The tag is short, or sealing does not add exactly the tag.
    #[error("AEAD: short tag, or another length than stated")]
    AeadLength,
    /// What was sealed is not what is opened.
    #[error("AEAD: what was sealed does not open")]
    AeadRoundTrip,
    /// Sealing leaves the plaintext as it is.
    #[error("AEAD: the plaintext shows")]
    AeadPlaintextShows,
    /// A changed ciphertext opens.
    #[error("AEAD: a changed ciphertext opens")]
    AeadCiphertext,
    /// A changed tag opens.
    #[error("AEAD: a changed tag opens")]
    AeadTag,
    /// Changed associated data opens.
    #[error("AEAD: changed associated data opens")]
    AeadAssociatedData,
    /// A changed nonce opens.
    #[error("AEAD: a changed nonce opens")]
    AeadNonce,
    /// A changed key opens.
    #[error("AEAD: a changed key opens")]
    AeadKey,
    /// A key, nonce or ciphertext of another length is accepted.
    #[error("AEAD: a key, nonce or ciphertext of wrong length is accepted")]
    AeadWrongLength,
    /// The hash or an HMAC is short or does not have the stated length.
    #[error("hash: short, or another length than stated")]
    HashLength,
    /// Parts give another hash than their concatenation.
    #[error("hash: parts hash to something else than the whole")]
    HashParts,
    /// Two inputs have one hash, or one input two.
    #[error("hash: it does not follow from its input alone")]
    HashInput,
    /// HMAC is not that of RFC 2104 over the hash, for no block length up to 256 bytes.
    #[error("hash: its HMAC is another function")]
    Hmac,
    /// HMAC does not depend on its key.
    #[error("hash: two keys have one HMAC")]
    HmacKey,
    /// The pair of HMACs differs from the two alone.
    #[error("hash: the pair of HMACs differs from the two")]
    HmacPair,
    /// Expansion is not that of RFC 5869 over the HMAC.
    #[error("hash: its expansion is another function")]
    Expand,
    /// Expansion gives more than 255 outputs, or refuses less.
    #[error("hash: wrong limit of the expansion")]
    ExpandLimit,
    /// Expansion takes a short key.
    #[error("hash: expansion of a short key")]
    ExpandShortKey,
    /// A generated public key does not have the stated length.
    #[error("signature: a public key of another length than stated")]
    SignatureLength,
    /// Two generated keys are the same.
    #[error("signature: keys repeat")]
    SignatureRepeats,
    /// A generated key is refused.
    #[error("signature: a generated key is refused")]
    SignatureCheck,
    /// A signature is refused.
    #[error("signature: a true signature is refused")]
    SignatureTrue,
    /// A signature of another message is accepted.
    #[error("signature: another message is accepted")]
    SignatureMessage,
    /// A changed signature is accepted.
    #[error("signature: a changed signature is accepted")]
    SignatureChanged,
    /// A signature by another key is accepted.
    #[error("signature: another key is accepted")]
    SignatureKey,
    /// A key or signature of another length is accepted.
    #[error("signature: a key or signature of wrong length is accepted")]
    SignatureWrongLength,
}

/// Checks every promise of the parts of `suite`.
///
/// # Errors
/// The first [`Failure`] found.
pub fn check(suite: &Suite, rng: &mut dyn CryptoRng) -> Result<(), Failure> {
    ensure(!suite.id.is_grease(), Failure::GreaseId)?;
    agreement(suite.agreement, rng)?;
    if let Some(part) = suite.kem {
        kem(part, rng)?;
    }
    aead(suite.aead, rng)?;
    hash(suite.hash)?;
    signature(suite.signature, rng)
}

fn agreement(part: &dyn Agreement, rng: &mut dyn CryptoRng) -> Result<(), Failure> {
    let len = part.public_len();
    for _ in 0..8 {
        let (a, b, c) = (part.generate(rng), part.generate(rng), part.generate(rng));
        ensure([&a, &b, &c].iter().all(|pair| pair.public.len() == len), Failure::AgreementLength)?;
        ensure(a.public != b.public && !a.secret.same(&b.secret), Failure::AgreementRepeats)?;
        part.check(&a.public).map_err(|Refused| Failure::AgreementCheck)?;
        let agree =
            |secret, public: &[u8]| part.agree(secret, public).map_err(|Refused| Failure::AgreementSymmetry);
        let secret = agree(&a.secret, &b.public)?;
        ensure(secret.same(&agree(&b.secret, &a.public)?), Failure::AgreementSymmetry)?;
        ensure(!secret.same(&agree(&a.secret, &c.public)?), Failure::AgreementRepeats)?;
    }
    let pair = part.generate(rng);
    let refuses = |public: &[u8]| part.check(public).is_err() && part.agree(&pair.secret, public).is_err();
    ensure(refuses(&vec![0; len]), Failure::AgreementZeroKey)?;
    ensure(wrong_lengths(&pair.public).iter().all(|key| refuses(key)), Failure::AgreementWrongLength)?;
    ensure(
        wrong_lengths(pair.secret.expose())
            .iter()
            .all(|key| part.agree(&Secret::from(key.as_slice()), &pair.public).is_err()),
        Failure::AgreementWrongLength,
    )
}

fn kem(part: &dyn Kem, rng: &mut dyn CryptoRng) -> Result<(), Failure> {
    let (pair, other) = (part.generate(rng), part.generate(rng));
    ensure(pair.public.len() == part.public_len(), Failure::KemLength)?;
    ensure(pair.public != other.public && !pair.secret.same(&other.secret), Failure::KemRepeats)?;
    part.check(&pair.public).map_err(|Refused| Failure::KemCheck)?;
    let (ciphertext, secret) =
        part.encapsulate(&pair.public, rng).map_err(|Refused| Failure::KemRoundTrip)?;
    let (ciphertext_2, secret_2) =
        part.encapsulate(&pair.public, rng).map_err(|Refused| Failure::KemRoundTrip)?;
    ensure(ciphertext.len() == part.ciphertext_len(), Failure::KemLength)?;
    ensure(ciphertext != ciphertext_2 && !secret.same(&secret_2), Failure::KemRepeats)?;
    for (ciphertext, secret) in [(&ciphertext, &secret), (&ciphertext_2, &secret_2)] {
        let opened = part.decapsulate(&pair.secret, ciphertext).map_err(|Refused| Failure::KemRoundTrip)?;
        ensure(opened.same(secret), Failure::KemRoundTrip)?;
    }
    let another = |key: &Secret, ciphertext: &[u8]| {
        part.decapsulate(key, ciphertext).is_ok_and(|false_secret| !false_secret.same(&secret))
    };
    // One bit of every 16 bytes: enough to meet every part of a ciphertext.
    for bit in (0..ciphertext.len() * 8).step_by(127) {
        ensure(another(&pair.secret, &flip(&ciphertext, bit)), Failure::KemFalseCiphertext)?;
    }
    ensure(another(&other.secret, &ciphertext), Failure::KemFalseCiphertext)?;
    for key in wrong_lengths(&pair.public) {
        ensure(part.check(&key).is_err(), Failure::KemWrongLength)?;
        ensure(part.encapsulate(&key, rng).is_err(), Failure::KemWrongLength)?;
    }
    for ciphertext in wrong_lengths(&ciphertext) {
        ensure(part.decapsulate(&pair.secret, &ciphertext).is_err(), Failure::KemWrongLength)?;
    }
    for key in wrong_lengths(pair.secret.expose()) {
        let key = Secret::from(key.as_slice());
        ensure(part.decapsulate(&key, &ciphertext).is_err(), Failure::KemWrongLength)?;
    }
    Ok(())
}

fn aead(part: &dyn Aead, rng: &mut dyn CryptoRng) -> Result<(), Failure> {
    let tag_len = part.tag_len();
    ensure(tag_len >= 16, Failure::AeadLength)?;
    let mut random = |len| {
        let mut bytes = vec![0; len];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let (key, nonce, aad) = (random(part.key_len()), random(part.nonce_len()), random(21));
    let open = |key: &[u8], nonce: &[u8], aad: &[u8], sealed: &[u8]| {
        let mut buffer = sealed.to_vec();
        part.open(key, nonce, aad, &mut buffer).map(|()| buffer)
    };

    for len in [0, 1, 15, 16, 17, 64, 255, 4096] {
        let plain = random(len);
        for aad in [&aad[..], &[]] {
            let mut sealed = plain.clone();
            part.seal(&key, &nonce, aad, &mut sealed).map_err(|Refused| Failure::AeadRoundTrip)?;
            ensure(sealed.len() == len + tag_len, Failure::AeadLength)?;
            ensure(len < 16 || !sealed.starts_with(&plain), Failure::AeadPlaintextShows)?;
            let opened = open(&key, &nonce, aad, &sealed).map_err(|Refused| Failure::AeadRoundTrip)?;
            ensure(opened == plain, Failure::AeadRoundTrip)?;
        }
    }

    let mut sealed = random(19);
    let plain_len = sealed.len();
    part.seal(&key, &nonce, &aad, &mut sealed).map_err(|Refused| Failure::AeadRoundTrip)?;
    for bit in 0..sealed.len() * 8 {
        let failure = if bit < plain_len * 8 { Failure::AeadCiphertext } else { Failure::AeadTag };
        ensure(open(&key, &nonce, &aad, &flip(&sealed, bit)).is_err(), failure)?;
    }
    for bit in 0..aad.len() * 8 {
        ensure(open(&key, &nonce, &flip(&aad, bit), &sealed).is_err(), Failure::AeadAssociatedData)?;
    }
    ensure(open(&key, &nonce, &[], &sealed).is_err(), Failure::AeadAssociatedData)?;
    for bit in 0..nonce.len() * 8 {
        ensure(open(&key, &flip(&nonce, bit), &aad, &sealed).is_err(), Failure::AeadNonce)?;
    }
    for bit in 0..key.len() * 8 {
        ensure(open(&flip(&key, bit), &nonce, &aad, &sealed).is_err(), Failure::AeadKey)?;
    }

    for len in 0..sealed.len() {
        let short: Vec<u8> = sealed.iter().copied().take(len).collect();
        ensure(open(&key, &nonce, &aad, &short).is_err(), Failure::AeadWrongLength)?;
    }
    let seals = |key: &[u8], nonce: &[u8]| part.seal(key, nonce, &aad, &mut vec![0; 8]).is_ok();
    for key in wrong_lengths(&key) {
        let accepted = seals(&key, &nonce) || open(&key, &nonce, &aad, &sealed).is_ok();
        ensure(!accepted, Failure::AeadWrongLength)?;
    }
    for nonce in wrong_lengths(&nonce) {
        let accepted = seals(&key, &nonce) || open(&key, &nonce, &aad, &sealed).is_ok();
        ensure(!accepted, Failure::AeadWrongLength)?;
    }
    Ok(())
}

fn hash(part: &dyn Hash) -> Result<(), Failure> {
    let len = part.output_len();
    let whole = part.hash(&[b"one two three"]);
    ensure(len >= 32 && whole.len() == len, Failure::HashLength)?;
    ensure(part.hmac(b"key", &[b"one"]).expose().len() == len, Failure::HashLength)?;
    for parts in [&[&b"one"[..], b" two", b" three"][..], &[b"", b"one two ", b"", b"three", b""]] {
        ensure(part.hash(parts) == whole, Failure::HashParts)?;
        let hmac = part.hmac(b"key", &[b"one two three"]);
        ensure(part.hmac(b"key", parts).same(&hmac), Failure::HashParts)?;
    }
    let message = [0x5A; 300];
    let hashes: Vec<_> =
        (0..=message.len()).map(|len| part.hash(&[message.get(..len).unwrap_or(&[])])).collect();
    for (index, hash) in hashes.iter().enumerate() {
        ensure(hashes.iter().skip(index + 1).all(|other| other != hash), Failure::HashInput)?;
    }
    for bit in 0..message.len() * 8 {
        ensure(Some(&part.hash(&[&flip(&message, bit)])) != hashes.last(), Failure::HashInput)?;
    }

    let hmac = |key: &[u8], message: &[u8]| part.hmac(key, &[message]);
    ensure(!hmac(&[1; 32], b"one").same(&hmac(&[2; 32], b"one")), Failure::HmacKey)?;
    ensure(!hmac(&[1; 300], b"one").same(&hmac(&[1; 299], b"one")), Failure::HmacKey)?;
    ensure((32..=256).any(|block_len| is_hmac(part, block_len)), Failure::Hmac)?;
    let (first, second) = part.hmac_pair(&[1; 32], b"one", b"two");
    let same = first.same(&hmac(&[1; 32], b"one")) && second.same(&hmac(&[1; 32], b"two"));
    ensure(same, Failure::HmacPair)?;

    let key = vec![7; len];
    let expand = |len| part.expand(&key, &[b"one two"], len).map_err(|Refused| Failure::Expand);
    let mut output = Vec::new();
    let mut block: Vec<u8> = Vec::new();
    for counter in 1..=3 {
        block = part.hmac(&key, &[&block, b"one two", &[counter]]).expose().to_vec();
        output.extend_from_slice(&block);
    }
    for len in [0, 1, 12, len - 1, len, len + 1, 2 * len + 1, 3 * len] {
        ensure(Some(expand(len)?.expose()) == output.get(..len), Failure::Expand)?;
    }
    let parts = part.expand(&key, &[b"one", b"", b" two"], len).map_err(|Refused| Failure::Expand)?;
    ensure(parts.same(&expand(len)?), Failure::Expand)?;
    let most = part.expand(&key, &[], 255 * len).is_ok_and(|output| output.expose().len() == 255 * len);
    ensure(most && part.expand(&key, &[], 255 * len + 1).is_err(), Failure::ExpandLimit)?;
    for short in [&[], key.get(1..).unwrap_or(&[])] {
        ensure(part.expand(short, &[], len).is_err(), Failure::ExpandShortKey)?;
    }
    Ok(())
}

/// Whether HMAC is that of RFC 2104 with blocks of `block_len`, for short and long keys.
fn is_hmac(part: &dyn Hash, block_len: usize) -> bool {
    [&[0x33; 20][..], &[0x44; 300]].iter().all(|key| {
        let mut block = if key.len() > block_len { part.hash(&[key]) } else { key.to_vec() };
        block.resize(block_len, 0);
        let xor = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
        let inner = part.hash(&[&xor(0x36), b"message"]);
        part.hmac(key, &[b"message"]).expose() == part.hash(&[&xor(0x5C), &inner])
    })
}

fn signature(part: &dyn Signature, rng: &mut dyn CryptoRng) -> Result<(), Failure> {
    let (pair, other) = (part.generate(rng), part.generate(rng));
    ensure(pair.public.len() == part.public_len(), Failure::SignatureLength)?;
    ensure(pair.public != other.public && !pair.secret.same(&other.secret), Failure::SignatureRepeats)?;
    part.check(&pair.public).map_err(|Refused| Failure::SignatureCheck)?;
    let message = [0x6D; 40];
    for message in [&[], &message[..]] {
        let signature = part.sign(&pair.secret, message).map_err(|Refused| Failure::SignatureTrue)?;
        let verified = part.verify(&pair.public, message, &signature);
        verified.map_err(|Refused| Failure::SignatureTrue)?;
    }
    let signature = part.sign(&pair.secret, &message).map_err(|Refused| Failure::SignatureTrue)?;
    let accepts =
        |public: &[u8], message: &[u8], signature: &[u8]| part.verify(public, message, signature).is_ok();
    for bit in (0..message.len() * 8).step_by(3) {
        ensure(!accepts(&pair.public, &flip(&message, bit), &signature), Failure::SignatureMessage)?;
    }
    ensure(!accepts(&pair.public, &[], &signature), Failure::SignatureMessage)?;
    for bit in 0..signature.len() * 8 {
        ensure(!accepts(&pair.public, &message, &flip(&signature, bit)), Failure::SignatureChanged)?;
    }
    ensure(!accepts(&other.public, &message, &signature), Failure::SignatureKey)?;
    for key in wrong_lengths(&pair.public) {
        let accepted = part.check(&key).is_ok() || accepts(&key, &message, &signature);
        ensure(!accepted, Failure::SignatureWrongLength)?;
    }
    for signature in wrong_lengths(&signature) {
        ensure(!accepts(&pair.public, &message, &signature), Failure::SignatureWrongLength)?;
    }
    for key in wrong_lengths(pair.secret.expose()) {
        let key = Secret::from(key.as_slice());
        ensure(part.sign(&key, &message).is_err(), Failure::SignatureWrongLength)?;
    }
    Ok(())
}

fn ensure(holds: bool, failure: Failure) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(failure) }
}

/// `bytes` with bit number `bit` flipped.
fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    if let Some(byte) = flipped.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    flipped
}

/// `bytes` cut short and made longer.
fn wrong_lengths(bytes: &[u8]) -> Vec<Vec<u8>> {
    let cut = |len| bytes.iter().copied().take(len).collect();
    let longer = |more: &[u8]| [bytes, more].concat();
    vec![Vec::new(), cut(1), cut(bytes.len().saturating_sub(1)), longer(&[0]), longer(&[1]), longer(bytes)]
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    use super::*;
    use crate::suite::{
        AlgorithmId, CHACHA20_POLY1305, ED25519, KeyPair, ML_KEM_768, SHA_256, SUITE_CLASSICAL, SUITE_HYBRID,
        SUITE_HYBRID_MISUSE_RESISTANT, SuiteId, X25519,
    };

    fn run(suite: &Suite) -> Result<(), Failure> {
        check(suite, &mut ChaCha20Rng::from_seed([1; 32]))
    }

    /// Wrong in the way its value says.
    #[derive(PartialEq)]
    enum Wrong {
        Zero,
        OneSided,
        Length,
        Long,
        Error,
        Ignores,
        NoTag,
        NoAad,
        Plain,
        ShortTag,
        Parts,
        Key,
        Pair,
        Limit,
        Counter,
        Message,
        Truncates,
    }

    impl Agreement for Wrong {
        fn id(&self) -> AlgorithmId {
            X25519.id()
        }
        fn public_len(&self) -> usize {
            if *self == Self::Length { 33 } else { 32 }
        }
        fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
            X25519.generate(rng)
        }
        fn check(&self, public: &[u8]) -> Result<(), Refused> {
            let public = if *self == Self::Long { public.get(..32).unwrap_or(&[]) } else { public };
            if *self == Self::Zero && public == [0; 32] { Ok(()) } else { X25519.check(public) }
        }
        fn agree(&self, secret: &Secret, public: &[u8]) -> Result<Secret, Refused> {
            if *self == Self::OneSided {
                Ok(SHA_256.hmac(secret.expose(), &[public]))
            } else {
                X25519.agree(secret, public)
            }
        }
    }

    impl Kem for Wrong {
        fn id(&self) -> AlgorithmId {
            ML_KEM_768.id()
        }
        fn public_len(&self) -> usize {
            1184
        }
        fn ciphertext_len(&self) -> usize {
            if *self == Self::Length { 1089 } else { 1088 }
        }
        fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
            ML_KEM_768.generate(rng)
        }
        fn check(&self, public: &[u8]) -> Result<(), Refused> {
            ML_KEM_768.check(public)
        }
        fn encapsulate(&self, public: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, Secret), Refused> {
            let (ciphertext, secret) = ML_KEM_768.encapsulate(public, rng)?;
            let secret = if *self == Self::Key { Secret::random(32, rng) } else { secret };
            Ok((ciphertext, secret))
        }
        fn decapsulate(&self, secret: &Secret, ciphertext: &[u8]) -> Result<Secret, Refused> {
            // Says of some ciphertexts that it is false, where it must stay silent.
            if *self == Self::Error && SHA_256.hash(&[ciphertext]).first().is_some_and(|byte| byte % 8 == 0) {
                return Err(Refused);
            }
            let cut = if *self == Self::Long { ciphertext.get(..1088).unwrap_or(&[]) } else { ciphertext };
            ML_KEM_768.decapsulate(secret, cut)
        }
    }

    impl Aead for Wrong {
        fn key_len(&self) -> usize {
            32
        }
        fn nonce_len(&self) -> usize {
            12
        }
        fn tag_len(&self) -> usize {
            if *self == Self::ShortTag { 12 } else { 16 }
        }
        fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
            let aad = if *self == Self::NoAad { &[] } else { aad };
            let plain = buffer.clone();
            CHACHA20_POLY1305.seal(key, nonce, aad, buffer)?;
            if *self == Self::Plain {
                buffer[..plain.len()].copy_from_slice(&plain);
            }
            Ok(())
        }
        fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), Refused> {
            let aad = if *self == Self::NoAad { &[] } else { aad };
            if *self == Self::NoTag {
                // Decrypts as a stream and throws the tag away.
                let len = buffer.len().checked_sub(16).ok_or(Refused)?;
                buffer.truncate(len);
                CHACHA20_POLY1305.seal(key, nonce, aad, buffer)?;
                buffer.truncate(len);
                return Ok(());
            }
            if *self == Self::Plain {
                let len = buffer.len().checked_sub(16).ok_or(Refused)?;
                let tag = buffer.split_off(len);
                let mut sealed = buffer.clone();
                CHACHA20_POLY1305.seal(key, nonce, aad, &mut sealed)?;
                return if sealed.ends_with(&tag) { Ok(()) } else { Err(Refused) };
            }
            CHACHA20_POLY1305.open(key, nonce, aad, buffer)
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "every other value is right here")]
    impl Hash for Wrong {
        fn output_len(&self) -> usize {
            if *self == Self::Length { 31 } else { 32 }
        }
        fn hash(&self, parts: &[&[u8]]) -> Vec<u8> {
            match self {
                Self::Parts => SHA_256.hash(&[&SHA_256.hash(parts), &[parts.len().to_le_bytes()[0]]]),
                Self::Ignores => {
                    SHA_256.hash(&[&parts.concat().iter().copied().take(99).collect::<Vec<_>>()])
                }
                _ => SHA_256.hash(parts),
            }
        }
        fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret {
            match self {
                Self::Key => SHA_256.hmac(&[], parts),
                // Prefix MAC instead of HMAC.
                Self::Message => SHA_256.hash(&[&[key][..], parts].concat()).as_slice().into(),
                _ => SHA_256.hmac(key, parts),
            }
        }
        fn hmac_pair(&self, key: &[u8], first: &[u8], second: &[u8]) -> (Secret, Secret) {
            if *self == Self::Pair {
                SHA_256.hmac_pair(key, second, first)
            } else {
                SHA_256.hmac_pair(key, first, second)
            }
        }
        fn expand(&self, prk: &[u8], info: &[&[u8]], len: usize) -> Result<Secret, Refused> {
            match self {
                Self::Limit if len > 255 * 32 => Ok(Secret::with(len, |_| ())),
                Self::Truncates if prk.len() < 32 => Ok(Secret::with(len, |_| ())),
                Self::Counter => {
                    let mut bytes = SHA_256.expand(prk, info, len)?.expose().to_vec();
                    bytes.iter_mut().skip(32).for_each(|byte| *byte = 0);
                    Ok(bytes.as_slice().into())
                }
                _ => SHA_256.expand(prk, info, len),
            }
        }
    }

    impl Signature for Wrong {
        fn id(&self) -> AlgorithmId {
            ED25519.id()
        }
        fn public_len(&self) -> usize {
            if *self == Self::Length { 31 } else { 32 }
        }
        fn generate(&self, rng: &mut dyn CryptoRng) -> KeyPair {
            ED25519.generate(rng)
        }
        fn check(&self, public: &[u8]) -> Result<(), Refused> {
            if *self == Self::Long { Ok(()) } else { ED25519.check(public) }
        }
        fn sign(&self, secret: &Secret, message: &[u8]) -> Result<Vec<u8>, Refused> {
            ED25519.sign(secret, message.get(..message.len().min(self.covered())).unwrap_or(&[]))
        }
        fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Refused> {
            let message = message.get(..message.len().min(self.covered())).unwrap_or(&[]);
            let cut = if *self == Self::Truncates { signature.get(..64).unwrap_or(&[]) } else { signature };
            if *self == Self::Ignores && signature.len() == 64 {
                Ok(())
            } else {
                ED25519.verify(public, message, cut)
            }
        }
    }

    impl Wrong {
        fn covered(&self) -> usize {
            if *self == Self::Message { 16 } else { usize::MAX }
        }
    }

    #[test]
    fn the_suites_of_this_crate_conform() {
        for suite in [&SUITE_CLASSICAL, &SUITE_HYBRID, &SUITE_HYBRID_MISUSE_RESISTANT] {
            assert_eq!(run(suite), Ok(()), "{}", suite.name);
        }
    }

    #[test]
    fn a_grease_number_fails() {
        assert_eq!(run(&Suite { id: SuiteId(0x3A3A), ..SUITE_HYBRID }), Err(Failure::GreaseId));
    }

    #[test]
    fn a_wrong_agreement_fails() {
        for (wrong, failure) in [
            (&Wrong::Zero, Failure::AgreementZeroKey),
            (&Wrong::OneSided, Failure::AgreementSymmetry),
            (&Wrong::Length, Failure::AgreementLength),
            (&Wrong::Long, Failure::AgreementWrongLength),
        ] {
            assert_eq!(run(&Suite { agreement: wrong, ..SUITE_HYBRID }), Err(failure));
        }
    }

    #[test]
    fn a_wrong_kem_fails() {
        for (wrong, failure) in [
            (&Wrong::Length, Failure::KemLength),
            (&Wrong::Key, Failure::KemRoundTrip),
            (&Wrong::Error, Failure::KemFalseCiphertext),
            (&Wrong::Long, Failure::KemWrongLength),
        ] {
            assert_eq!(run(&Suite { kem: Some(wrong), ..SUITE_HYBRID }), Err(failure));
        }
    }

    #[test]
    fn a_wrong_aead_fails() {
        for (wrong, failure) in [
            (&Wrong::ShortTag, Failure::AeadLength),
            (&Wrong::NoTag, Failure::AeadCiphertext),
            (&Wrong::NoAad, Failure::AeadAssociatedData),
            (&Wrong::Plain, Failure::AeadPlaintextShows),
        ] {
            assert_eq!(run(&Suite { aead: wrong, ..SUITE_HYBRID }), Err(failure));
        }
    }

    #[test]
    fn a_wrong_hash_fails() {
        for (wrong, failure) in [
            (&Wrong::Length, Failure::HashLength),
            (&Wrong::Parts, Failure::HashParts),
            (&Wrong::Ignores, Failure::HashInput),
            (&Wrong::Key, Failure::HmacKey),
            (&Wrong::Message, Failure::Hmac),
            (&Wrong::Pair, Failure::HmacPair),
            (&Wrong::Counter, Failure::Expand),
            (&Wrong::Limit, Failure::ExpandLimit),
            (&Wrong::Truncates, Failure::ExpandShortKey),
        ] {
            assert_eq!(run(&Suite { hash: wrong, ..SUITE_HYBRID }), Err(failure));
        }
    }

    #[test]
    fn a_wrong_signature_fails() {
        for (wrong, failure) in [
            (&Wrong::Length, Failure::SignatureLength),
            (&Wrong::Message, Failure::SignatureMessage),
            (&Wrong::Ignores, Failure::SignatureMessage),
            (&Wrong::Long, Failure::SignatureWrongLength),
            (&Wrong::Truncates, Failure::SignatureWrongLength),
        ] {
            assert_eq!(run(&Suite { signature: wrong, ..SUITE_HYBRID }), Err(failure));
        }
    }
}
