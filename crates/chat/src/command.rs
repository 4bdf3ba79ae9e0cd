//! What the user types.

use xmpp_e2e_client::xmpp_e2e::{BareJid, TrustPolicy};

/// What the user wants.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Answers a request for subscription, and asks for the same.
    Accept(String),
    /// Takes the new key of a contact for its own.
    AcceptKey(String),
    /// Somebody looks at the screen.
    Active,
    /// Asks to see a contact's presence.
    Add(String),
    /// The answer to the secret question of the current conversation, one's own or the contact's.
    Answer(String),
    /// Asks the contact of the current conversation what only the two know.
    Ask(String),
    /// Shows the user as away.
    Away,
    /// Shows the user as there.
    Back,
    /// Gives up the account's old key, which is lost.
    BeginAnew,
    /// Ends a comparison or a linking.
    Cancel(Option<String>),
    /// The own devices.
    Devices,
    /// What is compared with somebody is not the same.
    Differ(Option<String>),
    /// Whether messages may only go encrypted in the current conversation.
    Encrypt(bool),
    /// The fingerprint of a contact's key; of the own without one.
    Fingerprint(Option<String>),
    /// The list of commands.
    Help,
    /// The last messages of the current conversation.
    History(usize),
    /// Reads the history that another own device has written into a file.
    HistoryOpen(String),
    /// Writes the history into a file that one own device can read.
    HistorySend(u32, String),
    /// Nobody looks at the screen.
    Inactive,
    /// Gives up encryption.
    Leave,
    /// Lets a new device of the account in, or asks again to be let in.
    Link,
    /// What is compared with somebody is the same.
    Match(Option<String>),
    /// Names this device.
    Name(String),
    /// Which keys of a contact are good enough; without a policy shows it.
    Policy(String, Option<Policy>),
    /// Ends the program.
    Quit,
    /// Takes the new key of a contact for another's.
    RejectKey(String),
    /// The contacts.
    Roster,
    /// Shuts an own device out.
    Retire(u32),
    /// What a camera has read from another's screen.
    Scanned(String),
    /// A message to somebody.
    Send(String, String),
    /// A message to the current conversation.
    Say(String),
    /// Says when nothing is on its way.
    Sync,
    /// Changes the conversation.
    To(String),
    /// What the user thinks of a contact's key; without an opinion shows what was thought so far.
    Trust(String, Option<Opinion>),
    /// Compares a few digits with somebody, or agrees to it; without a name with the current conversation.
    Verify(Option<String>),
    /// What is known of a contact's keys; of the own without one.
    Who(Option<String>),
}

/// What a user may think of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Opinion {
    /// It is not to be trusted.
    Distrusted,
    /// Good enough, without having been compared.
    FirstUse,
    /// It was compared.
    Verified,
}

/// Which keys are good enough to be sent to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Policy {
    /// Those that the user has said yes to.
    Ask,
    /// As for everybody.
    Default,
    /// The first one that was seen.
    FirstUse,
    /// As before, until one was compared; from then on only compared ones.
    UntilVerified,
    /// Those that were compared.
    Verified,
}

impl Policy {
    /// The engine's; none for that of everybody.
    #[must_use]
    pub fn to_engine(self) -> Option<TrustPolicy> {
        match self {
            Self::Ask => Some(TrustPolicy::Application),
            Self::Default => None,
            Self::FirstUse => Some(TrustPolicy::FirstUse),
            Self::UntilVerified => Some(TrustPolicy::FirstUseUntilVerified),
            Self::Verified => Some(TrustPolicy::VerifiedOnly),
        }
    }
}

/// How many messages `/history` shows.
const HISTORY: usize = 20;

/// Reads a line; `None` if it is empty.
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() {
        return Ok(None);
    }
    let command = match line.strip_prefix('/') {
        None => return Ok(Some(Command::Say(line.to_owned()))),
        Some(text) if text.starts_with('/') => return Ok(Some(Command::Say(text.to_owned()))),
        Some(command) => command,
    };
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let rest = rest.trim();
    let jid =
        |rest: &str| bare(rest).ok_or_else(|| format!("/{name} needs an address such as juliet@example.com"));
    let alone =
        |command| if rest.is_empty() { Ok(command) } else { Err(format!("/{name} takes nothing more")) };
    let one = |rest: &str| if rest.is_empty() { Ok(None) } else { jid(rest).map(Some) };
    let some = |what: &str| {
        if rest.is_empty() { Err(format!("/{name} needs {what}")) } else { Ok(rest.to_owned()) }
    };
    let device =
        |rest: &str| rest.parse().map_err(|_| format!("/{name} needs the number of a device (/devices)"));
    let really = |command| {
        if rest == "really" {
            Ok(command)
        } else {
            Err(format!("there is no way back from /{name}; type /{name} really"))
        }
    };
    // An address, and perhaps a word.
    let (first, second) = rest.split_once(' ').map_or((rest, ""), |(first, second)| (first, second.trim()));
    Ok(Some(match name {
        "accept" => Command::Accept(jid(rest)?),
        "accept-key" => Command::AcceptKey(jid(rest)?),
        "active" => alone(Command::Active)?,
        "add" => Command::Add(jid(rest)?),
        "answer" => Command::Answer(some("what only you two know")?),
        "ask" => Command::Ask(some("a question")?),
        "away" => alone(Command::Away)?,
        "back" => alone(Command::Back)?,
        "begin-anew" => really(Command::BeginAnew)?,
        "cancel" => Command::Cancel(one(rest)?),
        "devices" => alone(Command::Devices)?,
        "differ" => Command::Differ(one(rest)?),
        "encrypt" => match rest {
            "on" => Command::Encrypt(true),
            "off" => Command::Encrypt(false),
            _ => return Err("/encrypt needs on or off".to_owned()),
        },
        "fingerprint" => Command::Fingerprint(one(rest)?),
        "help" => alone(Command::Help)?,
        "history" if rest.is_empty() => Command::History(HISTORY),
        "history" => Command::History(rest.parse().map_err(|_| "/history takes a number".to_owned())?),
        "history-open" => Command::HistoryOpen(some("a file")?),
        "history-send" if !second.is_empty() => Command::HistorySend(device(first)?, second.to_owned()),
        "history-send" => return Err("/history-send needs the number of a device and a file".to_owned()),
        "inactive" => alone(Command::Inactive)?,
        "leave" => really(Command::Leave)?,
        "link" => alone(Command::Link)?,
        "match" => Command::Match(one(rest)?),
        "name" => Command::Name(some("a name")?),
        "policy" => Command::Policy(jid(first)?, policy(second)?),
        "quit" => alone(Command::Quit)?,
        "reject-key" => Command::RejectKey(jid(rest)?),
        "retire" => Command::Retire(device(rest)?),
        "roster" => alone(Command::Roster)?,
        "scanned" => Command::Scanned(some("what the camera has read")?),
        "send" => {
            let (to, text) = rest.split_once(' ').ok_or("/send needs an address and a text")?;
            Command::Send(jid(to)?, text.to_owned())
        }
        "sync" => alone(Command::Sync)?,
        "to" => Command::To(jid(rest)?),
        "trust" => Command::Trust(jid(first)?, opinion(second)?),
        "verify" => Command::Verify(one(rest)?),
        "who" if rest.is_empty() => Command::Who(None),
        "who" => Command::Who(Some(jid(rest)?)),
        _ => {
            return Err(format!(
                "there is no command /{name}; /help lists them, // begins a text with a slash"
            ));
        }
    }))
}

fn opinion(word: &str) -> Result<Option<Opinion>, String> {
    Ok(Some(match word {
        "" => return Ok(None),
        "distrusted" => Opinion::Distrusted,
        "first-use" => Opinion::FirstUse,
        "verified" => Opinion::Verified,
        _ => return Err("/trust takes an address, and verified, first-use or distrusted".to_owned()),
    }))
}

/// A policy in a word; none if it is empty.
///
/// # Errors
/// The words there are.
pub fn policy(word: &str) -> Result<Option<Policy>, String> {
    Ok(Some(match word {
        "" => return Ok(None),
        "ask" => Policy::Ask,
        "default" => Policy::Default,
        "first-use" => Policy::FirstUse,
        "until-verified" => Policy::UntilVerified,
        "verified" => Policy::Verified,
        _ => return Err("a policy is first-use, until-verified, verified, ask or default".to_owned()),
    }))
}

/// The prepared bare JID of a JID.
#[must_use]
pub fn bare(jid: &str) -> Option<String> {
    let bare = jid.split_once('/').map_or(jid, |(bare, _)| bare);
    BareJid::parse(bare).ok().map(|jid| jid.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Command {
        parse(line).unwrap().unwrap()
    }

    #[test]
    fn text_is_text() {
        assert_eq!(read("hello  you \n"), Command::Say("hello  you ".to_owned()));
        assert_eq!(read("//slash"), Command::Say("/slash".to_owned()));
        assert_eq!(parse(" \r\n"), Ok(None));
    }

    #[test]
    fn each_command() {
        let jid = || "juliet@example.com".to_owned();
        let all = [
            ("/accept juliet@example.com", Command::Accept(jid())),
            ("/accept-key juliet@example.com", Command::AcceptKey(jid())),
            ("/active", Command::Active),
            ("/answer the blue one", Command::Answer("the blue one".to_owned())),
            ("/ask Which  boat?", Command::Ask("Which  boat?".to_owned())),
            ("/begin-anew really", Command::BeginAnew),
            ("/cancel", Command::Cancel(None)),
            ("/devices", Command::Devices),
            ("/differ juliet@example.com", Command::Differ(Some(jid()))),
            ("/fingerprint", Command::Fingerprint(None)),
            ("/fingerprint juliet@example.com", Command::Fingerprint(Some(jid()))),
            ("/history-open a file", Command::HistoryOpen("a file".to_owned())),
            ("/history-send 7 a file", Command::HistorySend(7, "a file".to_owned())),
            ("/leave really", Command::Leave),
            ("/link", Command::Link),
            ("/match", Command::Match(None)),
            ("/name my tablet", Command::Name("my tablet".to_owned())),
            ("/policy juliet@example.com", Command::Policy(jid(), None)),
            ("/policy juliet@example.com verified", Command::Policy(jid(), Some(Policy::Verified))),
            ("/retire 7", Command::Retire(7)),
            ("/scanned xmpp:a@x?b", Command::Scanned("xmpp:a@x?b".to_owned())),
            ("/trust juliet@example.com", Command::Trust(jid(), None)),
            ("/trust juliet@example.com  first-use", Command::Trust(jid(), Some(Opinion::FirstUse))),
            ("/verify", Command::Verify(None)),
            ("/add juliet@example.com/balcony", Command::Add(jid())),
            ("/away", Command::Away),
            ("/back", Command::Back),
            ("/encrypt on", Command::Encrypt(true)),
            ("/encrypt off", Command::Encrypt(false)),
            ("/help", Command::Help),
            ("/history", Command::History(HISTORY)),
            ("/history 7", Command::History(7)),
            ("/inactive", Command::Inactive),
            ("/quit ", Command::Quit),
            ("/reject-key juliet@example.com", Command::RejectKey(jid())),
            ("/roster", Command::Roster),
            ("/send Juliet@Example.com  a b ", Command::Send(jid(), " a b".to_owned())),
            ("/sync", Command::Sync),
            ("/to juliet@example.com", Command::To(jid())),
            ("/who", Command::Who(None)),
            ("/who juliet@example.com", Command::Who(Some(jid()))),
        ];
        for (line, command) in all {
            assert_eq!(read(line), command, "{line}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let all = [
            "/",
            "/x",
            "/to",
            "/to a b",
            "/encrypt",
            "/history x",
            "/send a@x",
            "/quit now",
            "/add @",
            "/leave",
            "/begin-anew yes",
            "/retire me",
            "/answer",
            "/ask ",
            "/name",
            "/policy a@x some",
            "/trust a@x yes",
            "/history-send 7",
            "/history-send x y",
            "/match a b",
        ];
        for line in all {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
