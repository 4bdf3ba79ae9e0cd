//! JIDs, prepared once (RFC 7622, by the `jid` crate) and compared as prepared.

use core::fmt;
use std::sync::Arc;

/// A JID of at most this many bytes: three parts of 1,023 and two separators (RFC 7622, section 3.1).
pub(crate) const MAX_JID: usize = 3 * 1023 + 2;

/// A text that is not a JID of the kind asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a valid JID")]
#[non_exhaustive]
pub struct InvalidJid;

/// A prepared bare JID: an account, or a domain.
///
/// Its `Debug` does not show it, so that logs do not.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BareJid(Arc<str>);

impl BareJid {
    /// Prepares `text`, which must have no resource.
    ///
    /// # Errors
    /// [`InvalidJid`] if it is no JID or has a resource.
    pub fn parse(text: &str) -> Result<Self, InvalidJid> {
        let Address { bare, resource } = Address::parse(text)?;
        if resource.is_some() { Err(InvalidJid) } else { Ok(bare) }
    }

    /// The prepared text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain part.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or(&*self.0, |(_, domain)| domain)
    }
}

impl fmt::Debug for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BareJid(..)")
    }
}

/// The JID in a stanza's `from` or `to`: bare, or with a resource.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Address {
    pub(crate) bare: BareJid,
    pub(crate) resource: Option<Arc<str>>,
}

impl Address {
    /// Prepares `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidJid> {
        if text.len() > MAX_JID {
            return Err(InvalidJid);
        }
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        // Most JIDs are as their preparation would leave them; the tables cost more than a message.
        if is_prepared(bare) && resource.is_none_or(is_prepared_resource) {
            let bare = BareJid(bare.into());
            return Ok(Self { bare, resource: resource.map(Into::into) });
        }
        let jid = jid::Jid::new(text).map_err(|_| InvalidJid)?;
        // What preparation would change again has no one spelling to be compared by.
        if jid.as_str() != text && jid::Jid::new(jid.as_str()).map_err(|_| InvalidJid)? != jid {
            return Err(InvalidJid);
        }
        let resource = jid.resource().map(|resource| resource.as_str().into());
        Ok(Self { bare: BareJid(jid.into_bare().as_str().into()), resource })
    }
}

/// Whether `bare` surely is what preparation makes of it: lower-case ASCII letters, digits and the
/// few marks that both profiles leave alone.
fn is_prepared(bare: &str) -> bool {
    let (local, domain) = bare.split_once('@').map_or((None, bare), |(local, domain)| (Some(local), domain));
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
            // Labels such as `xn--…` are looked at by the real preparation.
            && label.get(2..4) != Some("--")
    };
    domain.len() <= 253
        && domain.split('.').all(label)
        && local.is_none_or(|local| {
            (1..=1023).contains(&local.len())
                && local.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'+'))
        })
}

/// The same for a resource, which keeps its case.
fn is_prepared_resource(resource: &str) -> bool {
    (1..=1023).contains(&resource.len()) && resource.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prepared_once_and_compared_as_prepared() {
        let plain = BareJid::parse("alice@example.com").unwrap();
        assert_eq!(BareJid::parse("Alice@EXAMPLE.com").unwrap(), plain);
        assert_eq!(plain.domain(), "example.com");
        assert_eq!(BareJid::parse("example.com").unwrap().domain(), "example.com");
        assert_eq!(Address::parse("alice@example.com/Ph one").unwrap().resource.unwrap().as_ref(), "Ph one");
    }

    #[test]
    fn refuses_what_is_no_jid() {
        for text in
            ["", "@example.com", "alice@", "alice@example.com/", "a b@example.com", "alice@example.com/phone"]
        {
            assert_eq!(BareJid::parse(text), Err(InvalidJid), "{text}");
        }
        assert!(Address::parse(&"a".repeat(4000)).is_err());
    }

    #[test]
    fn the_short_way_agrees_with_the_tables() {
        for text in
            ["alice@example.com", "a.b-c_d+e@x-y.example.org", "example.com", "bob@localhost", "a@1.2.3.4"]
        {
            assert!(is_prepared(text), "{text}");
            assert_eq!(jid::Jid::new(text).unwrap().as_str(), text);
        }
        for resource in ["phone", "Phone-1", "a/b@c", "~!#$%^&*()"] {
            assert!(is_prepared_resource(resource), "{resource}");
            let full = format!("a@b.c/{resource}");
            assert_eq!(jid::Jid::new(&full).unwrap().as_str(), full);
        }
    }

    #[test]
    fn what_preparation_would_change_again_is_no_jid() {
        // The full stop of full width becomes a trailing dot, which a second time is removed.
        assert_eq!(BareJid::parse("example.com\u{FF0E}"), Err(InvalidJid));
        assert_eq!(BareJid::parse("example.com.").unwrap().as_str(), "example.com");
    }

    proptest! {
        #[test]
        fn the_short_way_is_sound(bare in "([a-zA-Z0-9._+-]{0,4}@)?[a-z0-9.xn-]{1,8}", resource in "[ -~]{1,6}") {
            let full = format!("{bare}/{resource}");
            if is_prepared(&bare) && is_prepared_resource(&resource) {
                let jid = jid::Jid::new(&full).unwrap();
                prop_assert_eq!(jid.as_str(), &full);
                let prepared = jid.to_bare();
                prop_assert_eq!(prepared.as_str(), &bare);
                prop_assert_eq!(jid.resource().unwrap().as_str(), &resource);
            }
        }

        #[test]
        fn prepared_twice_is_prepared_once(text in any::<String>(), jid in "[aÅ@ⅣŸ]{0,3}@[a．。.ßé-]{1,5}") {
            for text in [text, jid] {
                if let Ok(bare) = BareJid::parse(&text) {
                    prop_assert_eq!(BareJid::parse(bare.as_str()), Ok(bare));
                }
            }
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", BareJid::parse("alice@example.com").unwrap()), "BareJid(..)");
    }
}
