//! What happened, in words that a person understands.

mod keys;

use xmpp_e2e_client::xmpp_e2e::{
    BareJid, Coverage, Event, Fingerprint, HistoryEnd, Outlook, PublishFault, Reason, ScanOutcome, SendError,
    Trust, Unreadable, Waiting,
};
use xmpp_e2e_sqlite::Error as StoreError;

pub use keys::{means, misuse, policy, trust};

/// How much something wants to be seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Level {
    /// The user should do something, or be careful.
    Warning,
    /// The user may want to know.
    Info,
    /// There is nothing to do about it.
    Note,
}

/// Something about keys and people.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Said {
    /// How much it wants to be seen.
    pub level: Level,
    /// Its kind, for programs.
    pub kind: &'static str,
    /// Whom it is about.
    pub jid: Option<String>,
    /// The sentence, for people.
    pub sentence: String,
}

/// An event of the engine of the account `own`.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a list")]
pub fn security(event: &Event, own: &str) -> Said {
    use Level::{Info, Note, Warning};
    let say = |level, kind, peer: Option<&BareJid>, sentence: &str| {
        let jid = peer.map(|peer| peer.as_str().to_owned());
        let name = jid.as_deref().unwrap_or("somebody");
        Said { level, kind, sentence: sentence.replace("{}", name), jid }
    };
    match event {
        Event::AdvertMissing { peer } => say(
            Warning,
            "sign-missing",
            Some(peer),
            "A program of {} that encrypts came online without its sign that it does. The server may have taken it out. Messages stay encrypted.",
        ),
        Event::DeviceRetired { peer, device } => say(
            Info,
            "device-gone",
            Some(peer),
            &format!("Device {device} of {{}} has been shut out. Nothing is encrypted for it any more."),
        ),
        Event::ClearText { peer, .. } => say(Warning, "clear-text", Some(peer), CLEAR_TEXT),
        Event::Unverified { peer, .. } => say(
            Warning,
            "unverified",
            Some(peer),
            "The message that follows says that {} has signed it, which cannot be checked here. Anybody on the way can have written it.",
        ),
        Event::Cloned => say(
            Warning,
            "copied",
            None,
            "A copy of this device runs too, or its data was put back from a backup. If you know of neither, somebody may have taken its keys: shut this device out from another one, and set it up anew.",
        ),
        Event::Foreign { peer, .. } => say(
            Note,
            "other-encryption",
            Some(peer),
            "The message that follows came from {} under another encryption. What can be read of it may be anybody's.",
        ),
        Event::Recovering { peer, .. } => say(
            Info,
            "asked-again",
            Some(peer),
            "Messages of {} could not be read. They have been asked for again.",
        ),
        Event::Resent { peer, count, .. } => say(
            Info,
            "sent-again",
            Some(peer),
            &format!("A device of {{}} could not read {count} messages. They were sent to it again."),
        ),
        Event::Duplicate { peer, .. } => {
            say(Note, "duplicate", Some(peer), "A message of {} came a second time and was left out.")
        }
        Event::RolledBack { peer } => say(
            Warning,
            "old-keys",
            Some(peer),
            "The server shows older keys of {} than it did before. They are not used. If it goes on, ask its operator.",
        ),
        Event::Unchained { peer, device } => say(
            Warning,
            "started-anew",
            Some(peer),
            &format!(
                "Device {device} of {{}} has started its encryption anew, as after losing its data. If {{}} knows nothing of that, compare fingerprints (/who {{}})."
            ),
        ),
        Event::Superseded { peer, device } => say(
            Warning,
            "older-copy",
            Some(peer),
            &format!(
                "Device {device} of {{}} goes on from an older state, as after a backup was put back, or as a copy would. Ask {{}} whether that was so."
            ),
        ),
        Event::Scanned { peer, outcome: ScanOutcome::Mismatch } => say(
            Warning,
            "wrong-code",
            Some(peer),
            "The code is not of the key that {} has here. Either the code or the key is somebody else's. Send nothing that matters before you know which; after /trust {} distrusted nothing is sent.",
        ),
        Event::Scanned { peer, outcome: ScanOutcome::Expected } => say(
            Info,
            "code-kept",
            Some(peer),
            "{} has shown no key here yet. The first one must be that of the code.",
        ),
        Event::Scanned { peer, .. } => say(Info, "right-code", Some(peer), "The code is of the key of {}."),
        Event::KeyChanged { peer, digest, verified_elsewhere: true } => say(
            Warning,
            "key-differs",
            Some(peer),
            &format!(
                "Another device of yours has verified another key of {{}} than the one known here, which may be that of somebody in between. Nothing is sent to {{}} before you decide. The fingerprint that was verified is: {}. Then /accept-key {{}} or /reject-key {{}}.",
                fingerprint(peer, digest)
            ),
        ),
        Event::KeyChanged { peer, digest, .. } => say(
            Warning,
            "key-changed",
            Some(peer),
            &format!(
                "The key of {{}} is another now. It may be a new installation, or somebody in between. Nothing is sent to {{}} before you decide. Compare the new fingerprint by telephone or in person: {}. Compared, and the same: /accept-key {{}}, then /trust {{}} verified. Not the same: /reject-key {{}}.",
                fingerprint(peer, digest)
            ),
        ),
        Event::KeyReused { peer, known } => say(
            Warning,
            "key-reused",
            Some(peer),
            &format!(
                "{{}} shows the key of {}. That is right only if both addresses are of one person.",
                known.as_str()
            ),
        ),
        Event::Encrypts { peer, digest } => say(
            Info,
            "encrypts",
            Some(peer),
            &format!(
                "Messages to {{}} are encrypted from now on. The key's fingerprint: {}.",
                fingerprint(peer, digest)
            ),
        ),
        Event::Left { peer } => say(
            Warning,
            "left",
            Some(peer),
            "{} has given up encryption and says so with its key. Messages to {} go out in clear, unless you want otherwise (/encrypt on).",
        ),
        Event::NewDevice { peer, device } if peer.as_str() == own => say(
            Warning,
            "new-device",
            Some(peer),
            &format!(
                "Your account {{}} has another device, {device}. Did you add it? If you have lost it, type /retire {device}, where the key is. If you never had it, somebody has the key of your account: do the same at once; then start with an empty store, and type /begin-anew really."
            ),
        ),
        Event::NewDevice { peer, device } => say(
            Info,
            "new-device",
            Some(peer),
            &format!("{{}} has another device, {device}, which the key of {{}} vouches for."),
        ),
        Event::LinkingStarted { .. } => say(
            Info,
            "linking-started",
            None,
            "Looking for other devices of this account that can take this one in.",
        ),
        Event::AccountKeyContested { .. } => say(
            Warning,
            "account-key-contested",
            None,
            "This account shows another key besides this device's. If you have begun anew on another device, set this one up again; if not, the server is not honest, or somebody has your password: change it, log out all programs that are not yours, and tell your contacts by another way to reject the new key. Until they do they may be unable to write.",
        ),
        Event::PublishFailed { why } => say(Warning, "keys-not-published", None, publish(*why)),
        Event::Published => say(Info, "keys-published", None, "The own keys are on the server again."),
        Event::SuitesShrank { peer, device } => say(
            Warning,
            "weaker",
            Some(peer),
            &format!(
                "Device {device} of {{}} says that it can do less than before. Encryption with it may be weaker."
            ),
        ),
        Event::ListWithheld { peer } => say(
            Warning,
            "devices-hidden",
            Some(peer),
            "The server does not give out the newest list of the devices of {}. A device that was lost or stolen may still be on the list known here.",
        ),
        Event::HistoryEnded { why, .. } => say(Info, "history-ended", None, history(*why)),
        Event::HistoryOffered(_) => say(
            Info,
            "history-offered",
            None,
            "Another device of this account has made a file with the past messages for this one. Bring it here, and type /history-open FILE.",
        ),
        Event::Retired => say(
            Warning,
            "retired",
            None,
            "This device has been shut out of its account, or the account has given up encryption. It encrypts nothing any more.",
        ),
        Event::TooManyDevices => say(
            Warning,
            "too-many-devices",
            None,
            "The account has as many devices as it can have. Shut out one of them on another device that has the account's key, then start this program anew.",
        ),
        Event::AgentFailed => {
            say(Warning, "no-keys", None, "The program that keeps the own keys did not answer.")
        }
        Event::TrustChanged { peer, trust, .. } => say(
            Info,
            "trust",
            Some(peer),
            match trust {
                Trust::Verified => "The key of {} is verified.",
                Trust::Distrusted => "The key of {} is not to be used. Nothing is sent to {} any more.",
                _ => "The key of {} is used without having been verified.",
            },
        ),
        Event::Rejected { peer, reason, recoverable, .. } => rejected(peer.as_ref(), *reason, *recoverable),
        _ => keys::compared(event).unwrap_or_else(|| {
            say(Note, "other", None, "Something happened that this program has no words for.")
        }),
    }
}

fn history(why: HistoryEnd) -> &'static str {
    match why {
        HistoryEnd::Taken => {
            "The other device has read the file with the past messages. Delete the file now."
        }
        HistoryEnd::Dropped => {
            "The other device does not want the file with the past messages any more, or is gone. Delete the file now."
        }
        HistoryEnd::Expired => {
            "Nobody has read the file with the past messages in time. Delete it, and make a new one."
        }
        HistoryEnd::Replaced => {
            "There are newer files with the past messages. The oldest cannot be read any more: delete it."
        }
        _ => "The file with the past messages cannot be read any more. Delete it now.",
    }
}

/// Of whoever encrypts, and has written without.
const CLEAR_TEXT: &str = "The message that follows came from {} in clear, although {} encrypts. Anybody on the way can have written it. /encrypt off lets you answer in clear.";

fn rejected(peer: Option<&BareJid>, reason: Reason, recoverable: bool) -> Said {
    let name = peer.map_or("somebody", BareJid::as_str);
    let (level, kind, sentence) = match reason {
        _ if recoverable => (
            Level::Info,
            "unreadable",
            format!("A message of {name} cannot be read here. It will be asked for again."),
        ),
        Reason::Unreadable(Unreadable::NoSession | Unreadable::NoPrekey) => (
            Level::Info,
            "unreadable",
            format!(
                "A message of {name} cannot be read here: it was for keys that are gone. If you miss one, ask for it again."
            ),
        ),
        Reason::Unreadable(Unreadable::NotForThisDevice) => {
            (Level::Note, "not-for-this-device", format!("A message of {name} is for another device."))
        }
        Reason::Unreadable(Unreadable::Agent) => (
            Level::Warning,
            "no-keys",
            "The program that keeps the own keys did not answer, so a message could not be read.".to_owned(),
        ),
        Reason::Unreadable(_) => {
            (Level::Note, "unreadable", format!("Something of {name} cannot be read here, and need not be."))
        }
        Reason::Altered => (
            Level::Warning,
            "altered",
            format!("A message of {name} was altered on the way, or forged, and was left out."),
        ),
        Reason::Unauthentic => (
            Level::Note,
            "refused",
            format!("Something that claimed to be of {name} was not, and was left out."),
        ),
        Reason::Malformed(_) | Reason::Misbehaved(_) => {
            (Level::Note, "refused", format!("Something of {name} was not as it must be, and was left out."))
        }
        _ => (Level::Note, "refused", format!("Something of {name} was left out.")),
    };
    Said { level, kind, jid: peer.map(|peer| peer.as_str().to_owned()), sentence }
}

fn publish(why: PublishFault) -> &'static str {
    match why {
        PublishFault::Absent => {
            "The server has no place for keys. Only who is online at the same time can begin an encrypted conversation. Its operator can change that."
        }
        PublishFault::Refused => {
            "The server refuses the own keys. Only who is online at the same time can begin an encrypted conversation. Its operator can change that."
        }
        PublishFault::AccessModel => {
            "The server shows the own keys to contacts only. Others cannot begin an encrypted conversation."
        }
        PublishFault::Lost => {
            "The server does not keep the keys of all devices. Only who is online at the same time can begin an encrypted conversation. Its operator can change that."
        }
        PublishFault::NoAnswer => {
            "The server did not say whether it has taken the own keys. They are offered again later."
        }
        _ => "The own keys could not be put on the server.",
    }
}

/// In a word, and a sentence.
#[must_use]
pub fn waiting(why: Waiting) -> (&'static str, &'static str) {
    match why {
        Waiting::Agent => ("agent", "waits for the program that keeps the own keys"),
        Waiting::Connection => ("connection", "waits for the connection"),
        Waiting::Keys => ("keys", "waits for the contact's keys"),
        Waiting::Publication => ("publication", "waits until the own keys are on the server"),
        _ => ("other", "waits"),
    }
}

/// In a word, and a sentence.
#[must_use]
pub fn failed(why: SendError) -> (&'static str, &'static str) {
    match why {
        SendError::Agent => ("agent", "The program that keeps the own keys refused."),
        SendError::Bounced => ("returned", "The message came back: the other side did not take it."),
        SendError::Cancelled => ("cancelled", "The message was taken back."),
        SendError::Distrusted => ("distrusted", "You have said that the contact's key is not to be used."),
        SendError::Full => ("full", "Too many messages are on their way. Try again when some have arrived."),
        SendError::Incomplete => {
            ("incomplete", "Not all devices could have read the message, so it was not sent.")
        }
        SendError::KeyChanged => (
            "key-changed",
            "The contact's key is another now. Compare it (/who). The same: /accept-key JID, then /trust JID verified. Not the same: /reject-key JID.",
        ),
        SendError::Left => ("left", "This device does not encrypt any more."),
        SendError::Level => ("level", "The contact's program cannot encrypt as strongly as is asked for."),
        SendError::NoKeys => ("no-keys", "The contact has no keys, so nothing can be encrypted for it."),
        SendError::NotForRooms => ("room", "Messages to rooms cannot be encrypted."),
        SendError::NotProtectable => ("kind", "This kind of message cannot be encrypted."),
        SendError::OtherAccountKey => {
            ("other-key", "The own account shows a key that is not this program's.")
        }
        SendError::TooLarge => ("too-large", "The message is too long."),
        SendError::Untrusted => (
            "untrusted",
            "The contact's key has not been verified, as you want it to be. Compare fingerprints first.",
        ),
        _ => ("other", "The message was not sent."),
    }
}

/// In a word, and for a prompt.
#[must_use]
pub fn outlook(outlook: Outlook) -> (&'static str, String) {
    match outlook {
        Outlook::Clear => ("clear", "in clear: the contact is not known to encrypt".to_owned()),
        Outlook::Encrypted => ("encrypted", "encrypted".to_owned()),
        Outlook::EncryptedLater => ("later", "encrypted, once the contact's keys are here".to_owned()),
        Outlook::Refused(why) => ("refused", format!("not sent. {}", failed(why).1)),
        _ => ("refused", "not sent".to_owned()),
    }
}

/// Who can read a message, and who cannot.
#[must_use]
pub fn coverage(coverage: &Coverage) -> String {
    let count = |n: usize, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
    let mut parts = vec![format!("encrypted for {}", count(coverage.devices.len(), "device", "devices"))];
    let (own, missing, without) =
        (coverage.own_devices.len(), coverage.missing.len(), coverage.resources_without);
    if own > 0 {
        parts.push(format!("and {} of yours", count(own, "other", "others")));
    }
    if missing > 0 {
        parts.push(format!("; {} cannot read it", count(missing, "device", "devices")));
    }
    if without > 0 {
        let see = if without == 1 { "sees" } else { "see" };
        parts.push(format!(
            "; {} of the contact {see} nothing of it",
            count(without, "other program", "other programs")
        ));
    }
    parts.join(" ").replace(" ;", ";")
}

/// The fingerprint of somebody's key, in groups to be read aloud.
fn fingerprint(peer: &BareJid, digest: &[u8; 32]) -> String {
    Fingerprint::new(peer.clone(), *digest).digits()
}

/// A failure of the store.
#[must_use]
pub fn store(error: &StoreError) -> String {
    match error {
        StoreError::Conflict => "another program uses this store; one of the two must end".to_owned(),
        StoreError::Key => "the store is sealed with another key, or without one (see --key-file)".to_owned(),
        StoreError::Newer => "a newer version of this program made the store".to_owned(),
        StoreError::Foreign => "the store is a file of another program".to_owned(),
        StoreError::Damaged => "the store is damaged".to_owned(),
        StoreError::Busy => "another program keeps the store busy".to_owned(),
        StoreError::Full => "the disk is full".to_owned(),
        StoreError::ReadOnly => "the store cannot be written to".to_owned(),
        StoreError::Medium(source) => format!("the store failed: {source}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
