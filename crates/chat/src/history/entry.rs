//! An entry, and its stored form: lines of a name and a value, so that a later version can add some.

/// The first line.
const VERSION: &str = "xmpp-e2e-chat 1";

/// Which way a message went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Direction {
    /// From the contact.
    In,
    /// From this program.
    Out,
    /// From another program of the own account.
    Copy,
}

/// How it was protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Protection {
    /// Its sender is certain; it could be read on the way.
    Authenticated,
    /// Not at all.
    Clear,
    /// End to end.
    Encrypted,
}

/// How far a message that goes out has come.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// The server has it.
    Acknowledged,
    /// It did not go out, or came back.
    Failed(String),
    /// The engine may not have it yet.
    Queued,
    /// The engine sends it until it is acknowledged.
    Sent,
    /// The engine has it, and waits.
    Waiting(String),
    /// In clear: the connection may have had it, nobody else keeps it.
    Written,
}

/// A message as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Which way it went.
    pub direction: Direction,
    /// The contact's bare JID.
    pub jid: String,
    /// The device that encrypted it.
    pub device: Option<u32>,
    /// In milliseconds since 1970.
    pub time: u64,
    /// What it says.
    pub text: String,
    /// Of one that goes out.
    pub state: Option<State>,
    /// None while it is not decided.
    pub protection: Option<Protection>,
    /// How far the sender's key was trusted when it came, in a word.
    pub trust: Option<String>,
    /// The stanza's id.
    pub id: String,
    /// Of one that goes out.
    pub token: Option<i64>,
    /// Whether it may only go out encrypted.
    pub only_encrypted: bool,
}

impl Entry {
    /// A message from `jid`.
    #[must_use]
    pub fn incoming(jid: &str, text: &str, time: u64) -> Self {
        Self {
            direction: Direction::In,
            jid: jid.to_owned(),
            device: None,
            time,
            text: text.to_owned(),
            state: None,
            protection: None,
            trust: None,
            id: String::new(),
            token: None,
            only_encrypted: false,
        }
    }

    /// A message to `jid`, to be sent.
    #[must_use]
    pub fn outgoing(jid: &str, id: &str, text: &str, time: u64) -> Self {
        let (id, state) = (id.to_owned(), Some(State::Queued));
        Self { direction: Direction::Out, state, id, ..Self::incoming(jid, text, time) }
    }

    /// What stands for an entry that cannot be read.
    pub(super) fn unknown(jid: &str) -> Self {
        Self::incoming(jid, "(written by a newer version of this program)", 0)
    }

    /// Whether one that goes out has come to its end.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, Some(State::Acknowledged | State::Failed(_)))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { direction, jid, device, time, text, state, protection, trust, id, token, only_encrypted } =
            self;
        let mut out = VERSION.to_owned();
        let mut line = |name: &str, value: &str| {
            out.push('\n');
            out.push_str(name);
            out.push(' ');
            out.push_str(&escape(value));
        };
        line("direction", direction.word());
        line("jid", jid);
        line("time", &time.to_string());
        if let Some(device) = device {
            line("device", &device.to_string());
        }
        if let Some(state) = state {
            line("state", state.word());
            if let State::Failed(why) | State::Waiting(why) = state {
                line("why", why);
            }
        }
        if let Some(protection) = protection {
            line("protection", protection.word());
        }
        if let Some(trust) = trust {
            line("trust", trust);
        }
        if !id.is_empty() {
            line("id", id);
        }
        if let Some(token) = token {
            line("token", &token.to_string());
        }
        if *only_encrypted {
            line("need", "encrypted");
        }
        line("text", text);
        out.into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        let mut lines = text.split('\n');
        if lines.next()? != VERSION {
            return None;
        }
        let mut entry = Self::incoming("", "", 0);
        let (mut state, mut why) = (None, String::new());
        for line in lines {
            let (name, value) = line.split_once(' ')?;
            let value = unescape(value);
            match name {
                "direction" => entry.direction = Direction::of(&value)?,
                "jid" => entry.jid = value,
                "time" => entry.time = value.parse().ok()?,
                "device" => entry.device = Some(value.parse().ok()?),
                "state" => state = Some(value),
                "why" => why = value,
                "protection" => entry.protection = Some(Protection::of(&value)?),
                "trust" => entry.trust = Some(value),
                "id" => entry.id = value,
                "token" => entry.token = Some(value.parse().ok()?),
                "need" => entry.only_encrypted = value == "encrypted",
                "text" => entry.text = value,
                _ => {}
            }
        }
        entry.state = match state {
            Some(word) => Some(State::of(&word, why)?),
            None => None,
        };
        Some(entry)
    }
}

impl Direction {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Copy => "copy",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::In, Self::Out, Self::Copy].into_iter().find(|direction| direction.word() == word)
    }
}

impl Protection {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Clear => "clear",
            Self::Encrypted => "encrypted",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Authenticated, Self::Clear, Self::Encrypted]
            .into_iter()
            .find(|protection| protection.word() == word)
    }
}

impl State {
    /// In a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Failed(_) => "failed",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Waiting(_) => "waiting",
            Self::Written => "written",
        }
    }

    fn of(word: &str, why: String) -> Option<Self> {
        Some(match word {
            "acknowledged" => Self::Acknowledged,
            "failed" => Self::Failed(why),
            "queued" => Self::Queued,
            "sent" => Self::Sent,
            "waiting" => Self::Waiting(why),
            "written" => Self::Written,
            _ => return None,
        })
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next() == Some('n') => out.push('\n'),
            '\\' => out.push('\\'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_kept_as_it_is() {
        let states = [
            State::Acknowledged,
            State::Failed("a\nb".to_owned()),
            State::Queued,
            State::Sent,
            State::Waiting(String::new()),
            State::Written,
        ];
        for state in states {
            let mut entry = Entry::outgoing("a@x", "i\nd", "text\nstate failed\n\\n \\\\", 1_800_000_000_000);
            assert_eq!(Entry::decode(&entry.encode()), Some(entry.clone()));
            entry.state = Some(state);
            entry.device = Some(7);
            entry.protection = Some(Protection::Encrypted);
            entry.trust = Some("verified".to_owned());
            entry.token = Some(9);
            entry.only_encrypted = true;
            entry.direction = Direction::Copy;
            assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }
    }

    #[test]
    fn what_a_later_version_adds_is_skipped_and_a_later_form_refused() {
        let bytes = [&Entry::incoming("a@x", "t", 1).encode()[..], b"\nnew thing"].concat();
        assert_eq!(Entry::decode(&bytes), Some(Entry::incoming("a@x", "t", 1)));
        assert_eq!(Entry::decode(b"xmpp-e2e-chat 2\nx y"), None);
        assert_eq!(Entry::decode(b"\xff"), None);
        assert_eq!(Entry::decode(b"xmpp-e2e-chat 1\ntime x"), None);
    }

    /// The stored form, byte for byte.
    #[test]
    fn fixture() {
        let text =
            "xmpp-e2e-chat 1\ndirection in\njid a@x\ntime 5\ndevice 3\nprotection clear\nid i\ntext hi\\nyou";
        let entry = Entry {
            device: Some(3),
            protection: Some(Protection::Clear),
            id: "i".to_owned(),
            ..Entry::incoming("a@x", "hi\nyou", 5)
        };
        assert_eq!(Entry::decode(text.as_bytes()).as_ref(), Some(&entry));
        assert_eq!(entry.encode(), text.as_bytes());
    }
}
