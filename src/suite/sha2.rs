//! SHA-256 and SHA-512 with HMAC and HKDF, by the `sha2`, `hmac` and `hkdf` crates.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroize;

use crate::secret::Secret;
use crate::suite::{Hash, Refused};

/// SHA-256.
pub static SHA_256: &(dyn Hash + Send + Sync) = &Sha256Part;

/// SHA-512.
pub static SHA_512: &(dyn Hash + Send + Sync) = &Sha512Part;

macro_rules! part {
    ($part:ident, $hash:ty, $len:literal) => {
        struct $part;

        impl Hash for $part {
            fn output_len(&self) -> usize {
                $len
            }

            fn hash(&self, parts: &[&[u8]]) -> Vec<u8> {
                let mut hash = <$hash>::new();
                for part in parts {
                    hash.update(part);
                }
                hash.finalize().to_vec()
            }

            fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret {
                let mut mac = keyed::<Hmac<$hash>>(key);
                for part in parts {
                    mac.update(part);
                }
                finish(mac)
            }

            fn hmac_pair(&self, key: &[u8], first: &[u8], second: &[u8]) -> (Secret, Secret) {
                // One key schedule for both: a quarter less work in every ratchet step.
                let mut one = keyed::<Hmac<$hash>>(key);
                let mut two = one.clone();
                one.update(first);
                two.update(second);
                (finish(one), finish(two))
            }

            fn expand(&self, prk: &[u8], info: &[&[u8]], len: usize) -> Result<Secret, Refused> {
                if len > 255 * $len {
                    return Err(Refused);
                }
                let hkdf = Hkdf::<$hash>::from_prk(prk).map_err(|_| Refused)?;
                let mut result = Ok(());
                let out = Secret::with(len, |out| result = hkdf.expand_multi_info(info, out));
                result.map_err(|_| Refused)?;
                Ok(out)
            }
        }
    };
}

part!(Sha256Part, Sha256, 32);
part!(Sha512Part, Sha512, 64);

/// HMAC takes a key of any length.
fn keyed<M: Mac + KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"))
}

fn finish<M: Mac>(mac: M) -> Secret {
    let mut output = mac.finalize().into_bytes();
    let secret = Secret::from(output.as_slice());
    output.as_mut_slice().zeroize();
    secret
}
