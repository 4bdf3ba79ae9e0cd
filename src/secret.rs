//! Secret bytes: boxed, wiped when dropped, without `Debug` and without `==`.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret bytes on the heap, wiped when dropped.
///
/// Moving a `Secret` moves a pointer, so no copy stays behind. It cannot be printed, and it is
/// compared only in constant time.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// `len` zero bytes that `fill` writes over, in their final place.
    pub fn with(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new(vec![0; len].into_boxed_slice());
        fill(&mut bytes);
        Self(bytes)
    }

    /// `len` random bytes.
    pub fn random(len: usize, rng: &mut dyn CryptoRng) -> Self {
        Self::with(len, |bytes| rng.fill_bytes(bytes))
    }

    /// The bytes themselves. Whoever calls this says why they may be seen.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are the same, in constant time for equal lengths.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_compares_content_and_length() {
        assert!(Secret::from(&b"ab"[..]).same(&Secret::from(&b"ab"[..])));
        assert!(!Secret::from(&b"ab"[..]).same(&Secret::from(&b"ac"[..])));
        assert!(!Secret::from(&b"ab"[..]).same(&Secret::from(&b"abc"[..])));
    }
}
