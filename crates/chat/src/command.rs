//! What the user types.

use xmpp_e2e_client::xmpp_e2e::BareJid;

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
    /// Shows the user as away.
    Away,
    /// Shows the user as there.
    Back,
    /// Whether messages may only go encrypted in the current conversation.
    Encrypt(bool),
    /// The list of commands.
    Help,
    /// The last messages of the current conversation.
    History(usize),
    /// Nobody looks at the screen.
    Inactive,
    /// Ends the program.
    Quit,
    /// Takes the new key of a contact for another's.
    RejectKey(String),
    /// The contacts.
    Roster,
    /// A message to somebody.
    Send(String, String),
    /// A message to the current conversation.
    Say(String),
    /// Says when nothing is on its way.
    Sync,
    /// Changes the conversation.
    To(String),
    /// What is known of a contact's keys; of the own without one.
    Who(Option<String>),
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
    Ok(Some(match name {
        "accept" => Command::Accept(jid(rest)?),
        "accept-key" => Command::AcceptKey(jid(rest)?),
        "active" => alone(Command::Active)?,
        "add" => Command::Add(jid(rest)?),
        "away" => alone(Command::Away)?,
        "back" => alone(Command::Back)?,
        "encrypt" => match rest {
            "on" => Command::Encrypt(true),
            "off" => Command::Encrypt(false),
            _ => return Err("/encrypt needs on or off".to_owned()),
        },
        "help" => alone(Command::Help)?,
        "history" if rest.is_empty() => Command::History(HISTORY),
        "history" => Command::History(rest.parse().map_err(|_| "/history takes a number".to_owned())?),
        "inactive" => alone(Command::Inactive)?,
        "quit" => alone(Command::Quit)?,
        "reject-key" => Command::RejectKey(jid(rest)?),
        "roster" => alone(Command::Roster)?,
        "send" => {
            let (to, text) = rest.split_once(' ').ok_or("/send needs an address and a text")?;
            Command::Send(jid(to)?, text.to_owned())
        }
        "sync" => alone(Command::Sync)?,
        "to" => Command::To(jid(rest)?),
        "who" if rest.is_empty() => Command::Who(None),
        "who" => Command::Who(Some(jid(rest)?)),
        _ => {
            return Err(format!(
                "there is no command /{name}; /help lists them, // begins a text with a slash"
            ));
        }
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
        for line in
            ["/", "/x", "/to", "/to a b", "/encrypt", "/history x", "/send a@x", "/quit now", "/add @"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
