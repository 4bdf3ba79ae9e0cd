//! How it is printed: for programs, or for people with colours.

use std::io::{self, IsTerminal, Write};

use xmpp_e2e_client::xmpp_e2e::{Fingerprint, OwnDevice};

use crate::args::Color;
use crate::history::{Direction, Entry, Protection, State};
use crate::line::Line;
use crate::words::{self, Level, Said};
use crate::{qr, text};

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";

/// Groups of digits, or words, in a line.
const FINGERPRINT_PARTS: usize = 4;

/// The width where there is no terminal.
const COLUMNS: usize = 80;

/// Where lines are printed.
#[derive(Debug)]
pub struct Printer {
    people: bool,
    color: bool,
    prompt: String,
}

impl Printer {
    /// For this program's output.
    #[must_use]
    pub fn new(color: Color) -> Self {
        let terminal = io::stdout().is_terminal();
        let (people, color) = match color {
            Color::Auto => (terminal, terminal && std::env::var_os("NO_COLOR").is_none()),
            Color::Always => (true, true),
            Color::Never => (terminal, false),
        };
        Self { people, color, prompt: String::new() }
    }

    /// Whether it prints for people.
    #[must_use]
    pub fn for_people(&self) -> bool {
        self.people
    }

    /// Prints a line.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub fn print(&mut self, line: &Line) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.people {
            // The prompt goes, and what the user has typed behind it; the terminal still has that.
            let clear = if self.prompt.is_empty() { "" } else { "\r\x1b[K" };
            writeln!(out, "{clear}{}", self.paint(line))?;
            write!(out, "{}", self.prompt)?;
        } else {
            writeln!(out, "{}", line.piped())?;
        }
        out.flush()
    }

    /// Sets the prompt: the conversation, and what would become of a message. Prints it if `again` or if it is
    /// another.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub fn prompt(&mut self, jid: Option<&str>, mark: Option<&str>, again: bool) -> io::Result<()> {
        if !self.people {
            return Ok(());
        }
        let color = match mark {
            Some("encrypted") => GREEN,
            Some("later") => YELLOW,
            _ => RED,
        };
        let mark = mark.map(|mark| self.color(color, &format!(" [{mark}]"))).unwrap_or_default();
        let prompt = format!("{}{mark}> ", self.color(BOLD, &text::safe(jid.unwrap_or_default())));
        if again || prompt != self.prompt {
            self.prompt = prompt;
            let mut out = io::stdout().lock();
            write!(out, "\r\x1b[K{}", self.prompt)?;
            out.flush()?;
        }
        Ok(())
    }

    fn color(&self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line for people.
    #[must_use]
    pub fn paint(&self, line: &Line) -> String {
        let time = text::clock(text::now());
        let plain = |mark: &str, color: &str, what: &str| {
            format!(
                "{} {} {}",
                self.color(DIM, &time),
                self.color(color, &format!("{mark:<3}")),
                self.color(color, what)
            )
        };
        let of = |n: i64| format!("#{n} ");
        match line {
            Line::Acknowledged { n } => plain("ok", DIM, &of(*n)),
            Line::CaughtUp { messages: 0 } => plain("--", DIM, "nothing new in the archive"),
            Line::CaughtUp { messages } => {
                plain("--", DIM, &format!("{messages} messages read from the archive"))
            }
            Line::Compare { jid, digits, words } => {
                let who = text::safe(jid);
                let lines = [
                    plain(
                        "??",
                        YELLOW,
                        &format!("Read these to each other, {who} and you: by telephone or in person."),
                    ),
                    format!("        {}", self.color(BOLD, digits)),
                    format!("        {}", self.color(BOLD, words)),
                    plain("??", YELLOW, "The same on both sides? Then /match, else /differ."),
                ];
                lines.join("\n")
            }
            Line::Device(device) => self.device(device),
            Line::Fingerprint { fingerprint, own, changed } => self.fingerprint(fingerprint, *own, *changed),
            Line::Copy { n, entry } | Line::In { n, entry } | Line::History { n, entry } => {
                self.message(*n, entry)
            }
            Line::Queued { n, entry, outlook } => {
                let mut out = self.message(*n, entry);
                let clear = outlook.map(words::outlook).filter(|(word, _)| *word != "encrypted");
                if let Some((word, sentence)) = clear {
                    let color = if word == "later" { YELLOW } else { RED };
                    out.push('\n');
                    out.push_str(&plain("...", color, &sentence));
                }
                out
            }
            Line::Error(sentence) => plain("!!", RED, &text::safe(sentence)),
            Line::Failed { n, word: _, sentence } => plain("!!", RED, &(of(*n) + &text::safe(sentence))),
            Line::Fault(sentence) => plain("!!", YELLOW, &text::safe(sentence)),
            Line::Offline(why) => plain("--", YELLOW, &format!("offline: {}", text::safe(why))),
            Line::Ok(sentence) => text::safe_lines(sentence).join("\n"),
            Line::Online { full_jid, resumed } => {
                let word = if *resumed { "online again" } else { "online" };
                plain("--", DIM, &format!("{word} as {}", text::safe(full_jid)))
            }
            Line::Presence { full_jid, available } => {
                let word = if *available { "is here" } else { "has gone" };
                plain("--", DIM, &format!("{} {word}", text::safe(full_jid)))
            }
            Line::Request { jid } => {
                let jid = text::safe(jid);
                plain("??", YELLOW, &format!("{jid} asks to see when you are here: /accept {jid}"))
            }
            Line::Roster { jid, subscription, name } => {
                let name = name.as_deref().map(|name| format!("  {}", text::safe(name))).unwrap_or_default();
                plain("--", DIM, &format!("{:<32} {subscription:<7}{name}", text::safe(jid)))
            }
            Line::Said(Said { level, sentence, .. }) => match level {
                Level::Warning => plain("!!", RED, &text::safe(sentence)),
                Level::Info => plain("**", YELLOW, &text::safe(sentence)),
                Level::Note => plain("--", DIM, &text::safe(sentence)),
            },
            Line::Sent { n, coverage: None } => plain("->", RED, &(of(*n) + "in clear")),
            Line::Sent { n, coverage: Some(coverage) } => {
                plain("->", DIM, &(of(*n) + &words::coverage(coverage)))
            }
            Line::Synced => plain("--", DIM, "nothing is on its way"),
            Line::Trust { trust, means, time, key, past, .. } => {
                let when = if *past { "before:" } else { "now:   " };
                let line = format!("{when} {trust} ({means}, {})  {key}", text::clock(*time));
                self.color(if *past { DIM } else { BOLD }, &line)
            }
            Line::Waiting { n, sentence, .. } => plain("...", YELLOW, &(of(*n) + sentence)),
            Line::Who { jid, state, key, changed, devices } => {
                let mut lines =
                    vec![format!("{}: {}", self.color(BOLD, &text::safe(jid)), state_words(state))];
                lines.extend(key.as_ref().map(|key| format!("    key      {key}")));
                let changed = changed.as_ref().map(|key| format!("    new key  {key} (not accepted)"));
                lines.extend(changed.map(|line| self.color(RED, &line)));
                lines.extend(devices.iter().map(|device| format!("    device   {device}")));
                lines.join("\n")
            }
        }
    }

    fn device(&self, device: &OwnDevice) -> String {
        let OwnDevice { device, name, this, live, expires, last_seen, .. } = device;
        let name = name.as_deref().map(|name| format!("  {}", text::safe(name))).unwrap_or_default();
        let mut line = format!("{device:>10}{}", self.color(BOLD, &name));
        if *this {
            line.push_str("  (this one)");
        }
        if !live {
            line.push_str(&self.color(RED, "  shut out"));
        }
        for (word, time) in [("last heard of", last_seen), ("certified until", expires)] {
            if let Some(time) = time.filter(|_| *live) {
                line.push_str(&self.color(DIM, &format!("  {word} {}", text::clock(time.as_millis()))));
            }
        }
        line
    }

    fn fingerprint(&self, fingerprint: &Fingerprint, own: bool, changed: bool) -> String {
        let jid = text::safe(fingerprint.jid().as_str());
        let whose = match (own, changed) {
            (true, _) => "your key".to_owned(),
            (false, false) => format!("the key of {jid}"),
            (false, true) => format!("another key that {jid} shows, and that nobody has accepted"),
        };
        let mut lines = vec![self.color(BOLD, &whose)];
        for text in [fingerprint.digits(), fingerprint.words()] {
            let parts: Vec<&str> = text.split(' ').collect();
            lines.extend(parts.chunks(FINGERPRINT_PARTS).map(|parts| format!("    {}", parts.join(" "))));
        }
        if own {
            // Only the own one is for others' cameras.
            lines.extend(qr::draw(&fingerprint.uri(), columns(), self.color).unwrap_or_default());
            lines.push(format!("    {}", fingerprint.uri()));
        }
        lines.join("\n")
    }

    fn message(&self, n: i64, entry: &Entry) -> String {
        let Entry { direction, jid, time, text, state, protection, trust, .. } = entry;
        let who = match direction {
            Direction::In => text::safe(jid),
            Direction::Out => format!("you to {}", text::safe(jid)),
            Direction::Copy => format!("you, elsewhere, to {}", text::safe(jid)),
        };
        let protection = match protection {
            _ if trust.as_deref() == Some("distrusted") => self.color(RED, "[distrusted]"),
            Some(Protection::Encrypted) if trust.as_deref() == Some("verified") => {
                self.color(GREEN, "[verified] ")
            }
            Some(Protection::Encrypted) => self.color(GREEN, "[encrypted]"),
            Some(Protection::Authenticated) => self.color(YELLOW, "[readable] "),
            Some(Protection::Clear) => self.color(RED, "[clear]    "),
            None => "           ".to_owned(),
        };
        let state = match state {
            Some(State::Failed(_)) => self.color(RED, "!! "),
            Some(State::Queued | State::Waiting(_)) => self.color(YELLOW, "... "),
            Some(State::Sent | State::Written) => "-> ".to_owned(),
            Some(State::Acknowledged) | None => String::new(),
        };
        let number =
            if *direction == Direction::Out { self.color(DIM, &format!("  #{n}")) } else { String::new() };
        let lines = text::safe_lines(text).join("\n             ");
        let time = self.color(DIM, &text::clock(*time));
        format!("{time} {protection} {state}{}: {lines}{number}", self.color(BOLD, &who))
    }
}

/// How wide the terminal is.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| width.0.into())
}

fn state_words(state: &str) -> &'static str {
    match state {
        "encrypts" => "encrypts",
        "left" => "has given up encryption",
        "clear" => "is not known to encrypt",
        _ => "nothing is known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_does_not_reach_the_terminal_raw() {
        let printer = Printer { people: true, color: false, prompt: String::new() };
        let wild = "a\x1b[2J\u{202e}b\nc";
        let entry = Entry::incoming(wild, wild, 0);
        let lines = [
            Line::In { n: 1, entry: entry.clone() },
            Line::Offline(wild.to_owned()),
            Line::Online { full_jid: wild.to_owned(), resumed: false },
            Line::Presence { full_jid: wild.to_owned(), available: true },
            Line::Request { jid: wild.to_owned() },
            Line::Roster { jid: wild.to_owned(), subscription: "both", name: Some(wild.to_owned()) },
            Line::Error(wild.to_owned()),
            Line::Queued { n: 1, entry, outlook: None },
        ];
        for line in lines {
            let painted = printer.paint(&line);
            assert!(!painted.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{painted:?}");
        }
    }

    #[test]
    fn the_mark_says_how_the_key_was_trusted() {
        let printer = Printer { people: true, color: false, prompt: String::new() };
        let mark = |trust: Option<&str>, protection| {
            let mut entry = Entry::incoming("juliet@example.com", "hi", 0);
            (entry.trust, entry.protection) = (trust.map(str::to_owned), Some(protection));
            printer.paint(&Line::In { n: 1, entry })
        };
        assert!(mark(None, Protection::Encrypted).contains("[encrypted]"));
        assert!(mark(Some("first-use"), Protection::Encrypted).contains("[encrypted]"));
        assert!(mark(Some("verified"), Protection::Encrypted).contains("[verified]"));
        assert!(mark(Some("verified"), Protection::Authenticated).contains("[readable]"));
        assert!(mark(Some("distrusted"), Protection::Encrypted).contains("[distrusted]"));
    }

    #[test]
    fn only_the_own_key_has_a_code_for_cameras() {
        let printer = Printer { people: true, color: false, prompt: String::new() };
        let jid = xmpp_e2e_client::xmpp_e2e::BareJid::parse("juliet@example.com").unwrap();
        let fingerprint = Fingerprint::new(jid, [7; 32]);
        for own in [true, false] {
            let line = Line::Fingerprint { fingerprint: fingerprint.clone(), own, changed: false };
            let painted = printer.paint(&line);
            assert_eq!((painted.contains('▀'), painted.contains(&fingerprint.uri())), (own, own));
            let first = fingerprint.digits().split(' ').take(4).collect::<Vec<_>>().join(" ");
            assert!(painted.contains(&first), "{painted}");
        }
    }
}
