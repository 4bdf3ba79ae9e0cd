//! Resumption secrets: each root step makes one, and a later handshake that mixes one in is
//! chained to this session (section 6).

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::secret::Secret;
use crate::session::codec::derive;
use crate::session::flight::RESUMPTION_NAME_LEN;
use crate::session::symmetric::len16;
use crate::suite::{Refused, Suite};

/// The current and the last four: the two sides are at most one step apart, and older ones tell a
/// rollback.
const KEPT: usize = 5;

#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
struct Kept(#[tls_codec(with = "crate::session::codec::secret32")] Secret);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(..)")
    }
}

/// The resumption secrets of a session, the current first.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct Resumption(Vec<Kept>);

/// A resumption secret that a peer named.
pub(crate) struct Found<'a> {
    pub(crate) secret: &'a Secret,
    /// The peer is known to have moved to a later one, so if its handshake proves good, its state
    /// was rolled back or cloned.
    pub(crate) superseded: bool,
}

impl Resumption {
    pub(crate) fn new(secret: Secret) -> Self {
        Self(vec![Kept(secret)])
    }

    /// Makes `secret` the current one.
    pub(crate) fn push(&mut self, secret: Secret) {
        self.0.insert(0, Kept(secret));
        self.0.truncate(KEPT);
    }

    pub(crate) fn current(&self) -> Option<&Secret> {
        self.0.first().map(|kept| &kept.0)
    }

    pub(crate) fn current_name(&self, suite: &Suite) -> Result<[u8; RESUMPTION_NAME_LEN], Refused> {
        name(suite, self.current().ok_or(Refused)?)
    }

    /// Looks up `name`. `ahead` says that the last root step was our own, so that the peer may
    /// not have made it yet: then it may rightly name the secret before. A step of the peer's own
    /// that we have followed it has certainly made.
    pub(crate) fn find(&self, suite: &Suite, wanted: &[u8], ahead: bool) -> Option<Found<'_>> {
        let (age, kept) = self.0.iter().enumerate().find(|(_, kept)| {
            // Names are no secrets.
            name(suite, &kept.0).is_ok_and(|name| name == wanted)
        })?;
        Some(Found { secret: &kept.0, superseded: age > usize::from(ahead) })
    }
}

/// `ExpandWithLabel(secret, "resumption name", "", 8)`.
fn name(suite: &Suite, secret: &Secret) -> Result<[u8; RESUMPTION_NAME_LEN], Refused> {
    let name = derive(suite, secret, "resumption name", &[], len16(RESUMPTION_NAME_LEN)?)?;
    name.expose().try_into().map_err(|_| Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::SUITE_HYBRID_MISUSE_RESISTANT as SUITE;

    #[test]
    fn keeps_five_and_knows_the_superseded() {
        let mut resumption = Resumption::new(Secret::from(&[0; 32][..]));
        let mut names = vec![resumption.current_name(&SUITE).unwrap()];
        for step in 1..6 {
            resumption.push(Secret::from(&[step; 32][..]));
            names.insert(0, resumption.current_name(&SUITE).unwrap());
        }
        for (age, name) in names.iter().enumerate() {
            let superseded = |ahead| resumption.find(&SUITE, name, ahead).map(|found| found.superseded);
            let expected = (age < 5).then_some(age);
            assert_eq!(superseded(false), expected.map(|age| age > 0));
            assert_eq!(superseded(true), expected.map(|age| age > 1));
        }
    }
}
