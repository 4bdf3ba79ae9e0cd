//! Keys that are compared, devices that are let in, and what the user thinks of them.

use xmpp_e2e_client::xmpp_e2e::{
    BareJid, Event, LinkFault, Means, Misuse, Trust, TrustPolicy, VerificationFault,
};

use super::{Level, Said};

/// An event about comparing or linking; `None` if it is about something else.
pub(super) fn compared(event: &Event) -> Option<Said> {
    use Level::{Info, Warning};
    let say = |level, kind, peer: Option<&BareJid>, sentence: &str| {
        let jid = peer.map(|peer| peer.as_str().to_owned());
        let sentence = sentence.replace("{}", jid.as_deref().unwrap_or("somebody"));
        Some(Said { level, kind, jid, sentence })
    };
    match event {
        Event::VerificationAsked { peer, question: None, .. } => say(
            Info,
            "asks-to-compare",
            Some(peer),
            "{} wants to be sure that nobody is in between. Call {}, or meet, and type /verify {}; or /cancel {}.",
        ),
        Event::VerificationAsked { peer, question: Some(question), .. } => {
            let said = say(Info, "asks-question", Some(peer), "{} asks what only you two know");
            said.map(|said| {
                let how = "/answer TEXT answers it; there is one try. The answer itself is not sent.";
                Said { sentence: format!("{}: {} -- {how}", said.sentence, question.as_str()), ..said }
            })
        }
        Event::VerificationStarted { peer, .. } => {
            say(Info, "comparing", Some(peer), "{} has been asked to compare. Waiting for an answer.")
        }
        Event::VerificationString { peer, .. } => {
            say(Info, "compare", Some(peer), "Compare the digits with {}, then type /match or /differ.")
        }
        Event::VerificationDone { peer, .. } => {
            say(Info, "verified", Some(peer), "Nobody is in between: the key of {} is verified.")
        }
        Event::VerificationFailed { peer, why, .. } => {
            let (level, sentence) = verification(*why);
            say(level, "not-verified", Some(peer), sentence)
        }
        Event::Linked { device } => {
            say(Info, "linked", None, &format!("Device {device} is one of your account now."))
        }
        Event::LinkingAsked { device, .. } => say(
            Warning,
            "asks-to-be-linked",
            None,
            &format!(
                "A new device, {device}, asks to be let into your account. If you are setting one up just now, type /link; if not, /cancel: somebody else is trying."
            ),
        ),
        Event::LinkingString { .. } => say(
            Info,
            "compare",
            None,
            "Compare the digits on both of your devices, then type /match or /differ on both.",
        ),
        Event::LinkingFailed { why, .. } => {
            let (level, sentence) = linking(*why);
            say(level, "not-linked", None, sentence)
        }
        Event::OtherAccountKey { .. } => say(
            Warning,
            "other-key",
            None,
            "Your account has another key already, made on another device. Let that device take this one in (start with --link and an empty store), or, if the other key is lost, type /begin-anew really: your contacts will be warned. Until then nothing is encrypted here.",
        ),
        _ => None,
    }
}

fn verification(why: VerificationFault) -> (Level, &'static str) {
    use VerificationFault as Fault;
    match why {
        Fault::Mismatch => (
            Level::Warning,
            "What was compared with {} is not the same: somebody may be in between. Send nothing that matters before you have met.",
        ),
        Fault::WrongSecret => (
            Level::Warning,
            "The answers of you and {} are not the same. One of you has mistyped it, or it is not {} who answers.",
        ),
        Fault::KeyChanged => (Level::Warning, "{} shows another key now, so the comparison has ended."),
        Fault::Malformed => {
            (Level::Warning, "The other side of the comparison with {} did what it must not.")
        }
        Fault::Busy => (Level::Info, "There is another comparison with {} already."),
        Fault::Cancelled => (Level::Info, "The comparison with {} was stopped."),
        Fault::Gone => (Level::Info, "{} knows nothing of the comparison any more. Begin again."),
        Fault::NoSession => {
            (Level::Info, "No encrypted conversation with {} yet. Send a message first, then compare.")
        }
        Fault::SessionChanged => (Level::Info, "The device of {} has started anew meanwhile. Begin again."),
        Fault::Superseded => (Level::Info, "{} has asked at the same time. Go on with that comparison."),
        Fault::TimedOut => (Level::Info, "The comparison with {} took longer than ten minutes. Begin again."),
        Fault::TooMany => {
            (Level::Info, "There were three comparisons with {} within an hour. Try again later.")
        }
        _ => (Level::Info, "The comparison with {} came to nothing."),
    }
}

fn linking(why: LinkFault) -> (Level, &'static str) {
    match why {
        LinkFault::Mismatch => (
            Level::Warning,
            "The digits on your devices are not the same: somebody may be in between. The new device was not let in.",
        ),
        LinkFault::Invalid => {
            (Level::Warning, "What came was not what was agreed on. The new device was not let in.")
        }
        LinkFault::AccountChanged => {
            (Level::Warning, "The key of your account is another now. The new device was not let in.")
        }
        LinkFault::Agent => {
            (Level::Warning, "The program that keeps the own keys refused. The new device was not let in.")
        }
        LinkFault::Cancelled => (Level::Info, "Letting the device in was stopped."),
        LinkFault::Elsewhere => (Level::Info, "Another of your devices has taken care of it."),
        LinkFault::Refused => (Level::Info, "The other device did not want to let this one in."),
        LinkFault::TimedOut => (Level::Info, "It took longer than ten minutes. Begin again with /link."),
        LinkFault::TooMany => (Level::Info, "There were three attempts within an hour. Try again later."),
        _ => (Level::Info, "The device was not let in."),
    }
}

/// In a word.
#[must_use]
pub fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Distrusted => "distrusted",
        Trust::FirstUse => "first-use",
        Trust::Verified => "verified",
        _ => "unknown",
    }
}

/// In a word.
#[must_use]
pub fn means(means: Means) -> &'static str {
    match means {
        Means::First => "first",
        Means::Accepted => "accepted",
        Means::Fingerprint => "fingerprint",
        Means::Code => "code",
        Means::ShortString => "digits",
        Means::Secret => "question",
        Means::OwnDevice => "other-device",
        _ => "you",
    }
}

/// Behind "messages to somebody go".
#[must_use]
pub fn policy(policy: TrustPolicy) -> &'static str {
    match policy {
        TrustPolicy::Application => "only to a key that you have said yes to (/trust)",
        TrustPolicy::FirstUseUntilVerified => {
            "to the first key seen; after one was compared, only to compared ones"
        }
        TrustPolicy::VerifiedOnly => "only to a key that was compared",
        _ => "to the first key seen, and to one accepted in its place",
    }
}

/// Why the engine did not take a command.
#[must_use]
pub fn misuse(misuse: Misuse) -> &'static str {
    match misuse {
        Misuse::Device => "that is no device of yours that could do it (/devices)",
        Misuse::History => "that file is not for one of your devices",
        Misuse::Jid => "that is no address for it",
        Misuse::Key => "that is not the key that is shown now",
        Misuse::NoAccountKey => "only a device that has the account's key can do that; do it there",
        Misuse::Name => "a name has at most 64 bytes, without control characters",
        Misuse::Record => "nothing is known of the keys yet",
        Misuse::Text => "that is empty, or too long",
        _ => "that is not possible now",
    }
}
