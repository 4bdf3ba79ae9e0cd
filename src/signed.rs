//! Signed statements: that a device says this stanza, or this item of a pubsub node, and until when.
//!
//! The stanza stays as it is, for those who do not know this protocol. A statement can be shown to
//! anybody and not be denied.

use core::fmt;
use core::time::Duration;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::env::Timestamp;
use crate::error::{Malformed, Misbehaviour, Reason};
use crate::identity::{
    DeviceCertificate, Digest, PublicKey, TOLERANCE, Unverified, account_of, check_device, check_expiry,
    join, spelled, split,
};
use crate::jid::BareJid;
use crate::stanza::MAX_CONTENT;
use crate::stanza::covered::MAX_COVERED;
use crate::suite::Suites;
use crate::wire::{self, Bytes};

/// What a device signs statements as.
pub(crate) const SIGNED_LABEL: &str = "signed stanza";

/// The XML that a statement carries itself: as base64 it leaves 16 KiB of a stanza, as a sealed
/// content does.
pub(crate) const MAX_OPAQUE: usize = MAX_CONTENT;

/// A subject or an inner id: the node and the id of an item have no limit of their own, and the id
/// may be a room's JID (XEP-0402).
pub(crate) const MAX_NAME: usize = 2_047;

/// The longest statement: three names, the XML, and 1 KiB for numbers, lengths and the signature.
pub(crate) const MAX_SIGNED: usize = MAX_OPAQUE + 3 * MAX_NAME + 1024;

/// A statement that claims to be good for longer, a day of tolerance aside, is refused: what was signed in a moment of
/// access to the agent shall not outlast it for ever.
pub(crate) const MAX_STATEMENT_LIFE: Duration = Duration::from_hours(30 * 24);

/// The only version there is.
const VERSION: u8 = 0;

/// What a statement is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
#[non_exhaustive]
pub enum StatementKind {
    /// A message.
    Message = 1,
    /// A presence.
    Presence = 2,
    /// An iq.
    Iq = 3,
    /// An item of a pubsub node (XEP-0060).
    Item = 4,
}

/// How `covered` is to be read.
#[derive(Clone, Copy, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
enum Form {
    Hashes = 1,
    Opaque = 2,
}

/// What a statement covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Covered<'a> {
    /// The hashes of the children, in their order. The children stand in the stanza.
    Hashes(&'a [Digest]),
    /// The children as XML, which stand nowhere else.
    Opaque(&'a str),
}

/// What is said, by whomever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Statement<'a> {
    pub(crate) kind: StatementKind,
    /// To whom; `None` is to anybody.
    pub(crate) audience: Option<&'a BareJid>,
    /// The stanza's `type`, of which none is `normal` for a message; the node of an item.
    pub(crate) subject: &'a str,
    /// The id of the stanza or item; empty if it has none.
    pub(crate) inner_id: &'a str,
    pub(crate) covered: Covered<'a>,
}

/// What a device signs. The signature is over this and its bare JID.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct SignedTbs {
    version: u8,
    kind: StatementKind,
    device: u32,
    /// Rises with each statement of the device.
    sequence: u64,
    #[tls_codec(with = "crate::wire::time")]
    time: Timestamp,
    /// Seconds since the Unix epoch.
    expiry: u32,
    /// A bare JID, as prepared, or empty.
    audience: Bytes,
    #[tls_codec(with = "crate::wire::text")]
    subject: String,
    #[tls_codec(with = "crate::wire::text")]
    inner_id: String,
    form: Form,
    covered: Bytes,
}

impl SignedTbs {
    /// What `device` says now and stands by until `expiry`.
    pub(crate) fn new(
        said: &Statement<'_>,
        device: u32,
        sequence: u64,
        now: Timestamp,
        expiry: Timestamp,
    ) -> Self {
        let (form, covered) = match said.covered {
            Covered::Hashes(hashes) => (Form::Hashes, hashes.concat()),
            Covered::Opaque(xml) => (Form::Opaque, xml.as_bytes().to_vec()),
        };
        let subject = match (said.kind, said.subject) {
            // RFC 6121, section 5.2.2.
            (StatementKind::Message, "") => "normal",
            (_, subject) => subject,
        };
        Self {
            version: VERSION,
            kind: said.kind,
            device,
            sequence,
            time: now,
            expiry: expiry.as_secs(),
            audience: said.audience.map(spelled).unwrap_or_default(),
            subject: subject.to_owned(),
            inner_id: said.inner_id.to_owned(),
            form,
            covered: covered.into(),
        }
    }

    /// The bytes before the signature.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes the bytes before the signature.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        check_version(bytes)?;
        let content: Self = wire::decode(bytes, MAX_SIGNED)?;
        content.check()?;
        Ok(content)
    }

    /// Refuses what no statement may say, whoever signed it.
    fn check(&self) -> Result<(), Reason> {
        check_device(self.device)?;
        self.audience()?;
        let covered = self.covered.as_slice();
        let bad = match self.form {
            Form::Hashes => covered.len() > MAX_COVERED * size_of::<Digest>() || self.hashes().is_none(),
            Form::Opaque => covered.len() > MAX_OPAQUE || self.opaque().is_none(),
        };
        let long = self.subject.len() > MAX_NAME || self.inner_id.len() > MAX_NAME;
        // A message without type has one all the same.
        let unnamed = self.kind == StatementKind::Message && self.subject.is_empty();
        if bad || long || unnamed {
            return Err(Malformed::Encoding.into());
        }
        if self.expiry() < Timestamp::from_secs(self.time.as_secs()) {
            return Err(Misbehaviour::Expired.into());
        }
        Ok(())
    }

    pub(crate) fn kind(&self) -> StatementKind {
        self.kind
    }

    pub(crate) fn device(&self) -> u32 {
        self.device
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    pub(crate) fn expiry(&self) -> Timestamp {
        Timestamp::from_secs(self.expiry)
    }

    /// To whom; `None` is to anybody.
    pub(crate) fn audience(&self) -> Result<Option<BareJid>, Reason> {
        let audience = &self.audience;
        if audience.as_slice().is_empty() { Ok(None) } else { account_of(audience).map(Some) }
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn inner_id(&self) -> &str {
        &self.inner_id
    }

    /// The hashes of what is covered, if that is the form.
    pub(crate) fn hashes(&self) -> Option<&[Digest]> {
        match (self.form, self.covered.as_slice().as_chunks()) {
            (Form::Hashes, (hashes, [])) => Some(hashes),
            (Form::Hashes | Form::Opaque, _) => None,
        }
    }

    /// The XML that it carries itself, if that is the form.
    pub(crate) fn opaque(&self) -> Option<&str> {
        match self.form {
            Form::Hashes => None,
            Form::Opaque => core::str::from_utf8(self.covered.as_slice()).ok(),
        }
    }
}

fn check_version(bytes: &[u8]) -> Result<(), Reason> {
    match bytes.first() {
        Some(&VERSION) => Ok(()),
        Some(_) => Err(Malformed::Version.into()),
        None => Err(Malformed::Encoding.into()),
    }
}

/// A received statement that nothing has vouched for. It tells whose certificate to look for, no
/// more.
pub(crate) struct SignedIn {
    content: SignedTbs,
    exact: Vec<u8>,
    signature: Vec<u8>,
}

impl SignedIn {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        check_version(bytes)?;
        let Unverified { content, exact, signature } = split::<SignedTbs>(bytes, MAX_SIGNED)?;
        content.check()?;
        Ok(Self { content, exact: exact.to_vec(), signature: signature.into() })
    }

    pub(crate) fn device(&self) -> u32 {
        self.content.device
    }

    /// Verifies the statement, which must be by the device of `certificate` and of `jid`; and that
    /// the certificate, which may have been verified long ago, is valid now. An archive may give a
    /// statement that has expired: [`Signed::check_time`].
    pub(crate) fn verify(
        self,
        jid: &BareJid,
        certificate: &DeviceCertificate,
        suites: &Suites,
        now: Timestamp,
    ) -> Result<Signed, Reason> {
        if certificate.jid() != jid || certificate.device() != self.content.device {
            return Err(Misbehaviour::WrongSubject.into());
        }
        let signed = self.verify_signature(jid, certificate.signing_key(), suites)?;
        certificate.check_time(now)?;
        Ok(signed)
    }

    fn verify_signature(self, jid: &BareJid, key: &PublicKey, suites: &Suites) -> Result<Signed, Reason> {
        let Self { content, exact, signature } = self;
        let jid = wire::encode(&spelled(jid));
        key.verify(suites, SIGNED_LABEL, &[&exact, &jid], &signature)?;
        let audience = content.audience()?;
        let bytes = join(&exact, &signature);
        Ok(Signed { content, audience, bytes })
    }
}

/// A verified statement.
#[derive(Clone)]
pub(crate) struct Signed {
    content: SignedTbs,
    audience: Option<BareJid>,
    bytes: Vec<u8>,
}

impl Signed {
    /// Puts together what an agent signed. Refuses what [`SignedIn::verify`] would, but for the
    /// time.
    pub(crate) fn issue(
        tbs: &[u8],
        signature: &[u8],
        jid: &BareJid,
        key: &PublicKey,
        suites: &Suites,
    ) -> Result<Self, Reason> {
        SignedIn::decode(&join(tbs, signature))?.verify_signature(jid, key, suites)
    }

    /// Refuses a statement that is past its time, or of a time that has not come.
    pub(crate) fn check_time(&self, now: Timestamp) -> Result<(), Reason> {
        let latest = now.after(MAX_STATEMENT_LIFE).after(TOLERANCE);
        if self.time() > now.after(TOLERANCE) || self.expiry() > latest {
            return Err(Misbehaviour::Expired.into());
        }
        check_expiry(self.content.expiry, now)
    }

    /// What it says.
    pub(crate) fn statement(&self) -> Statement<'_> {
        let content = &self.content;
        let covered = match (content.hashes(), content.opaque()) {
            (Some(hashes), _) => Covered::Hashes(hashes),
            (None, xml) => Covered::Opaque(xml.unwrap_or_default()),
        };
        Statement {
            kind: content.kind,
            audience: self.audience.as_ref(),
            subject: content.subject(),
            inner_id: content.inner_id(),
            covered,
        }
    }

    /// Whether it is meant for `jid`, or for anybody.
    pub(crate) fn is_for(&self, jid: &BareJid) -> bool {
        self.audience.as_ref().is_none_or(|audience| audience == jid)
    }

    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Until when it is good.
    pub(crate) fn expiry(&self) -> Timestamp {
        self.content.expiry()
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.content.sequence
    }

    pub(crate) fn time(&self) -> Timestamp {
        self.content.time
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
