//! What people compare to be sure of an account key: digits, words, and a code to be scanned.

use core::fmt;
use core::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::identity::{Digest, digest};
use crate::jid::{BareJid, MAX_JID};
use crate::wire::{self, Bytes};

/// Groups of five digits: 199 bits.
const GROUPS: usize = 12;

/// Words of eleven bits: 165.
const WORDS: usize = 15;

/// The longest URI read: a JID with every byte escaped, twice what is around it.
const MAX_URI: usize = 3 * MAX_JID + 256;

/// The query type of the URI (XEP-0147).
const QUERY: &str = "e2e-verify";

/// An account key, as people compare it. Who reads it out and who looks at it see the same, whichever side they are.
///
/// It names the key *of this JID*: the same key under another JID has other digits and words. Digits and words hold 165
/// bits or more, so that who wants a key whose fingerprint is the same as that of one of a billion people still needs
/// 2^135 tries; and those who compare only half of it still compare 80 bits.
#[derive(Clone, Eq, PartialEq)]
pub struct Fingerprint {
    jid: BareJid,
    key: Digest,
}

/// A text that is not the code of a fingerprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the code of a fingerprint")]
#[non_exhaustive]
pub struct InvalidCode;

impl Fingerprint {
    /// That of the account key with this digest, of this account.
    #[must_use]
    pub const fn new(jid: BareJid, key: [u8; 32]) -> Self {
        Self { jid, key }
    }

    /// The account.
    #[must_use]
    pub const fn jid(&self) -> &BareJid {
        &self.jid
    }

    /// The digest of the account key.
    #[must_use]
    pub const fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Twelve groups of five decimal digits, with spaces between: for languages that have other words.
    #[must_use]
    pub fn digits(&self) -> String {
        let groups = residues(self.number(), 100_000, GROUPS).into_iter().map(|n| format!("{n:05}"));
        groups.collect::<Vec<_>>().join(" ")
    }

    /// Fifteen words of the English list of BIP-39, with spaces between. The first four letters tell them apart.
    #[must_use]
    pub fn words(&self) -> String {
        let list = bip39::Language::English.word_list();
        let number = residues(self.number(), 2048, WORDS).into_iter();
        let words = number.map(|n| usize::try_from(n).ok().and_then(|n| list.get(n)).copied());
        words.map(Option::unwrap_or_default).collect::<Vec<_>>().join(" ")
    }

    /// What a QR code holds: an `xmpp:` URI (RFC 5122) with the query `e2e-verify`.
    #[must_use]
    pub fn uri(&self) -> String {
        let mut uri = String::from("xmpp:");
        match self.jid.as_str().split_once('@') {
            Some((local, domain)) => {
                escape(local, &mut uri);
                uri.push('@');
                escape(domain, &mut uri);
            }
            None => escape(self.jid.as_str(), &mut uri),
        }
        let key = URL_SAFE_NO_PAD.encode(self.key);
        _ = write!(uri, "?{QUERY};key={key}");
        uri
    }

    /// Reads back what [`uri`](Self::uri) writes; what else stands in the query is left out.
    ///
    /// # Errors
    /// [`InvalidCode`] if it is something else.
    pub fn parse_uri(uri: &str) -> Result<Self, InvalidCode> {
        if uri.len() > MAX_URI {
            return Err(InvalidCode);
        }
        let uri = uri.split_once('#').map_or(uri, |(uri, _)| uri);
        let (scheme, rest) = uri.split_once(':').ok_or(InvalidCode)?;
        let (path, query) = rest.split_once('?').ok_or(InvalidCode)?;
        // Behind two slashes stands the account that is to do something.
        if !scheme.eq_ignore_ascii_case("xmpp") || path.starts_with('/') {
            return Err(InvalidCode);
        }
        let jid = BareJid::parse(&unescape(path)?).map_err(|_| InvalidCode)?;
        let mut query = query.split(';');
        if query.next() != Some(QUERY) {
            return Err(InvalidCode);
        }
        let mut keys = query.filter_map(|pair| pair.strip_prefix("key="));
        let (Some(key), None) = (keys.next(), keys.next()) else { return Err(InvalidCode) };
        let key = URL_SAFE_NO_PAD.decode(key).map_err(|_| InvalidCode)?;
        Ok(Self { jid, key: Digest::try_from(key.as_slice()).map_err(|_| InvalidCode)? })
    }

    /// Whether this is what somebody has typed: all digits, or all words, in any case and with any space between.
    #[must_use]
    pub fn matches(&self, typed: &str) -> bool {
        let digits = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
        let words = |text: &str| -> String {
            text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
        };
        let same = |one: &str, other: &str| bool::from(one.as_bytes().ct_eq(other.as_bytes()));
        same(&digits(typed), &digits(&self.digits())) | same(&words(typed), &self.words())
    }

    /// What digits and words are made of.
    fn number(&self) -> Digest {
        let label = Bytes::from("xmpp-e2e 0 fingerprint".as_bytes());
        digest(&wire::encode(&(label, Bytes::from(self.jid.as_str().as_bytes()), self.key)))
    }
}

/// The digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// The last `count` digits of a number to this base, the last one first.
fn residues(mut number: Digest, base: u64, count: usize) -> Vec<u64> {
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let mut rest = 0;
        for byte in &mut number {
            let dividend = rest << 8 | u64::from(*byte);
            *byte = u8::try_from(dividend / base).unwrap_or_default();
            rest = dividend % base;
        }
        out.push(rest);
    }
    out
}

/// Escapes all but what every part of a URI may hold as it is (RFC 3986, section 2.3), and the brackets of an address.
fn escape(part: &str, out: &mut String) {
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'[' | b']' | b':' => {
                out.push(char::from(byte));
            }
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
}

fn unescape(text: &str) -> Result<String, InvalidCode> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).ok_or(InvalidCode);
        let value = digit()? << 4 | digit()?;
        out.push(u8::try_from(value).map_err(|_| InvalidCode)?);
    }
    String::from_utf8(out).map_err(|_| InvalidCode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(jid: &str, key: [u8; 32]) -> Fingerprint {
        Fingerprint::new(BareJid::parse(jid).unwrap(), key)
    }

    #[test]
    fn as_the_specification_has_it() {
        let alice = of("alice@example.org", core::array::from_fn(|n| u8::try_from(n).unwrap()));
        // SHA-256(16 "xmpp-e2e 0 fingerprint" 11 "alice@example.org" 00 01 … 1f), computed apart.
        assert_eq!(alice.digits(), "73240 18305 91510 18665 22529 11868 96397 53194 62661 56040 69049 49669");
        assert_eq!(
            alice.words(),
            "novel bless casual element try old time hunt muffin clever diary practice stage crew cigar"
        );
        let uri = "xmpp:alice@example.org?e2e-verify;key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        assert_eq!(alice.uri(), uri);
        assert_eq!(alice.to_string(), alice.digits());
        assert_eq!(format!("{alice:?}"), "Fingerprint(..)");
    }

    #[test]
    fn the_same_key_under_another_jid_looks_different() {
        let (alice, bob) = (of("alice@example.org", [7; 32]), of("bob@example.org", [7; 32]));
        assert_ne!((alice.digits(), alice.words()), (bob.digits(), bob.words()));
        assert!(!bob.matches(&alice.digits()) && !bob.matches(&alice.words()));
    }

    #[test]
    fn typed_text_is_compared_as_people_type() {
        let alice = of("alice@example.org", [7; 32]);
        for typed in [
            alice.digits(),
            alice.digits().replace(' ', ""),
            alice.digits().replace(' ', "\n"),
            alice.words(),
            format!(" {} ", alice.words().to_uppercase().replace(' ', "  ")),
        ] {
            assert!(alice.matches(&typed), "{typed}");
        }
        let digits = alice.digits();
        for typed in ["", " ", &digits[..64], &format!("{digits} 1"), &alice.words().replace(' ', "")] {
            assert!(!alice.matches(typed), "{typed}");
        }
        assert!(!alice.matches(&of("alice@example.org", [8; 32]).digits()));
    }

    #[test]
    fn jids_of_all_kinds_come_back_from_the_uri() {
        for jid in
            ["d!artagnan;key=x@example.org", "a%20b?c#d@example.org", "jürgen@bücher.example", "example.org"]
        {
            let one = of(jid, [7; 32]);
            let uri = one.uri();
            assert!(uri.is_ascii(), "{uri}");
            assert_eq!(Fingerprint::parse_uri(&uri), Ok(one), "{uri}");
        }
    }

    #[test]
    fn other_codes_are_refused() {
        let key = URL_SAFE_NO_PAD.encode([7; 32]);
        let good = format!("XMPP:alice@example.org?e2e-verify;name=x;key={key};more#fragment");
        assert_eq!(Fingerprint::parse_uri(&good), Ok(of("alice@example.org", [7; 32])));
        let short = &key[..42];
        for bad in [
            String::new(),
            "xmpp:alice@example.org".to_owned(),
            format!("mailto:alice@example.org?e2e-verify;key={key}"),
            format!("xmpp:alice@example.org?message;key={key}"),
            format!("xmpp:alice@example.org?e2e-verify;key={short}"),
            format!("xmpp:alice@example.org?e2e-verify;key={short}l"),
            format!("xmpp:alice@example.org?e2e-verify;key={key}="),
            format!("xmpp:alice@example.org?e2e-verify;key={key};key={key}"),
            "xmpp:alice@example.org?e2e-verify".to_owned(),
            format!("xmpp://bob@example.org/alice@example.org?e2e-verify;key={key}"),
            format!("xmpp:alice@example.org/phone?e2e-verify;key={key}"),
            format!("xmpp:alice%2@example.org?e2e-verify;key={key}"),
            format!("xmpp:alice%FF@example.org?e2e-verify;key={key}"),
            format!("xmpp:{}@example.org?e2e-verify;key={key}", "a".repeat(MAX_URI)),
        ] {
            assert_eq!(Fingerprint::parse_uri(&bad), Err(InvalidCode), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_code_panics(text in any::<String>(), tail in "[%;=?#a-f0-9]{0,40}") {
            _ = Fingerprint::parse_uri(&text);
            _ = Fingerprint::parse_uri(&format!("xmpp:{tail}@a.b?e2e-verify;{tail}"));
        }

        #[test]
        fn codes_come_back(key: [u8; 32]) {
            let one = of("alice@example.org", key);
            prop_assert_eq!(Fingerprint::parse_uri(&one.uri()), Ok(one));
        }
    }
}
