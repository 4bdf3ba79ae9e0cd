//! Shows what crosses the wire, and what each side makes of it.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xmpp_e2e::{Event, Protection, Reason, Token};
use xmpp_e2e_testkit::device::{Letter, Moment};
use xmpp_e2e_testkit::server::{Crossing, Way, bare};
use xmpp_e2e_testkit::{Device, World};

use super::{KEM_STANZA, NEED, Outcome, fate_at};

/// The longest stanza shown whole, in characters.
const WIDTH: usize = 118;

/// What a stanza is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Traffic {
    Presence,
    Keys,
    First,
    Message,
    Kem,
    Empty,
    Clear,
}

impl Traffic {
    const ALL: [Self; 7] =
        [Self::Presence, Self::Keys, Self::First, Self::Message, Self::Kem, Self::Empty, Self::Clear];

    fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Keys => "keys: publishing, fetching",
            Self::First => "first messages",
            Self::Message => "messages",
            Self::Kem => "with KEM offer or answer",
            Self::Empty => "empty: answers, requests",
            Self::Clear => "in clear text",
        }
    }

    /// Of a stanza as its sender wrote it, with the epoch of its session if it shows one.
    fn of(stanza: &str) -> (Self, Option<u64>) {
        if stanza.starts_with("<presence") {
            return (Self::Presence, None);
        }
        if stanza.starts_with("<iq") {
            return (Self::Keys, None);
        }
        let Some(bytes) = text_of(stanza, "e").and_then(|text| STANDARD.decode(text).ok()) else {
            return (Self::Clear, None);
        };
        if bytes.first() == Some(&2) {
            return (Self::First, None);
        }
        let traffic = match stanza {
            _ if stanza.len() > KEM_STANZA => Self::Kem,
            // Only what people wrote is meant for archives.
            _ if stanza.contains("<store ") => Self::Message,
            _ => Self::Empty,
        };
        (traffic, epoch(&bytes))
    }
}

/// The epoch in the header of a direct message, which anybody can read.
fn epoch(bytes: &[u8]) -> Option<u64> {
    // Kind, two devices, tag; ratchet key; two numbers whose first bits say how long they are.
    let mut rest = bytes.get(10 + 32..)?;
    for _ in 0..2 {
        rest = rest.get(1_usize << (rest.first()? >> 6)..)?;
    }
    rest.first().map(|epoch| u64::from(*epoch))
}

/// The text of the first element of this name in our namespace.
fn text_of<'s>(stanza: &'s str, name: &str) -> Option<&'s str> {
    let (_, rest) = stanza.split_once(&format!("<{name} xmlns='{}'>", xmpp_e2e::NS))?;
    rest.split_once('<').map(|(text, _)| text)
}

/// The stanza with one letter of its ciphertext changed.
pub(crate) fn edited(stanza: &str) -> String {
    let Some((head, tail)) = stanza.split_once("</e>") else { return stanza.to_owned() };
    let at = head.len().saturating_sub(8);
    let old = head.get(at..=at).unwrap_or_default();
    let new = if old == "A" { "B" } else { "A" };
    format!("{}{new}{}</e>{tail}", head.get(..at).unwrap_or_default(), head.get(at + 1..).unwrap_or_default())
}

/// What an interception kept back.
pub(crate) type Held = Rc<RefCell<Option<String>>>;

/// The world, and where it is shown.
pub(crate) struct Screen<'o> {
    out: &'o mut dyn Write,
    colour: bool,
    pub(crate) world: World,
    /// The highest epoch on the wire.
    pub(crate) epoch: u64,
    chapters: u32,
    seed: u64,
    /// Stanzas shown, and what each device has been seen to know.
    seen: usize,
    known: Vec<(usize, usize)>,
    tally: Vec<(Traffic, usize)>,
}

impl<'o> Screen<'o> {
    pub(crate) fn new(out: &'o mut dyn Write, colour: bool, seed: u64) -> Self {
        Self {
            out,
            colour,
            world: World::new(seed),
            epoch: 0,
            chapters: 0,
            seed,
            seen: 0,
            known: Vec::new(),
            tally: Vec::new(),
        }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn chapter(&mut self, title: &str, sentence: &str) -> Outcome {
        self.chapters += 1;
        let title = self.paint("1;36", &format!("{}. {title}", self.chapters));
        writeln!(self.out, "\n{title}\n")?;
        for line in wrapped(sentence, 96) {
            writeln!(self.out, "   {line}")?;
        }
        writeln!(self.out)?;
        Ok(())
    }

    pub(crate) fn remark(&mut self, text: &str) -> Outcome {
        writeln!(self.out, "   {}", self.paint("3;33", &format!("… {text}")))?;
        Ok(())
    }

    /// Says that something holds, if it does.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn claim(&mut self, holds: bool, claim: &str) -> Outcome {
        if !holds {
            return Err(format!("chapter {}: it is not so that {claim}", self.chapters).into());
        }
        writeln!(self.out, "   {}", self.paint("32", &format!("✓ {claim}")))?;
        Ok(())
    }

    /// One device after the other takes what there is for it, until there is nothing more.
    pub(crate) fn go(&mut self) -> Outcome {
        self.show(usize::MAX)?;
        let mut busy = true;
        while busy {
            busy = false;
            for device in 0..self.world.devices.len() {
                busy |= self.world.with(device, |device, server, env| {
                    if device.next_wakeup().is_some_and(|at| at <= env.now) {
                        device.step(server, env, xmpp_e2e_testkit::device::Job::Tick);
                        return true;
                    }
                    device.receive(server, env)
                });
                self.show(device)?;
            }
        }
        Ok(())
    }

    /// Shows what has crossed the wire since, and what came of it on `device`.
    fn show(&mut self, device: usize) -> Outcome {
        let news: Vec<Crossing> = self.world.server.log.get(self.seen..).unwrap_or_default().to_vec();
        self.seen += news.len();
        let (arrived, left): (Vec<_>, Vec<_>) = news.into_iter().partition(|news| news.way == Way::In);
        for crossing in &arrived {
            self.arrival(crossing)?;
        }
        self.reactions(device)?;
        for crossing in &left {
            let to = attribute(&crossing.stanza, "to").map_or("server", person);
            self.line(person(&crossing.client), to, &crossing.stanza)?;
        }
        Ok(())
    }

    fn arrival(&mut self, crossing: &Crossing) -> Outcome {
        let Crossing { client, stanza, .. } = crossing;
        let from = attribute(stanza, "from").unwrap_or_default();
        if from.contains('/') && bare(from) != bare(client) {
            let size = format!("arrives, {} bytes", stanza.len());
            let to = self.paint("2", &format!("╰─▶ {:<8}{size}", person(client)));
            writeln!(self.out, "           {to}")?;
            return Ok(());
        }
        self.line("server", person(client), stanza)
    }

    /// One stanza where it first appears.
    fn line(&mut self, from: &str, to: &str, stanza: &str) -> Outcome {
        let (traffic, epoch) = Traffic::of(stanza);
        self.tally.push((traffic, stanza.len()));
        self.epoch = self.epoch.max(epoch.unwrap_or_default());
        let epoch = epoch.map_or(String::new(), |epoch| format!(", epoch {epoch}"));
        let what = format!("{}{epoch}", describe(traffic, stanza));
        let arrow = self.paint("1", &format!("{from:>6} ──▶ {to:<7}"));
        writeln!(self.out, "   {arrow} {:>5} bytes  {what}", stanza.len())?;
        writeln!(self.out, "          {}", self.paint("2", &abbreviated(stanza)))?;
        Ok(())
    }

    /// What a device has read and been told since.
    fn reactions(&mut self, device: usize) -> Outcome {
        self.known.resize(self.world.devices.len(), (0, 0));
        let (Some(app), Some(known)) = (self.world.devices.get(device), self.known.get_mut(device)) else {
            return Ok(());
        };
        let letters = app.record.inbox.get(known.0..).unwrap_or_default().to_vec();
        let events = app.record.events.get(known.1..).unwrap_or_default().to_vec();
        *known = (app.record.inbox.len(), app.record.events.len());
        let name = person(&app.full_jid).to_owned();
        for letter in letters {
            let text = letter.body.unwrap_or_default();
            let (style, how) = match letter.protection {
                Some(Protection::Encrypted { suite, .. }) => ("1;32", format!("suite {}", suite.0)),
                _ => ("1;31", "unprotected".to_owned()),
            };
            let read = self.paint(style, &format!("{name} reads “{text}”"));
            writeln!(self.out, "               {read}  ({how})")?;
        }
        for event in events {
            let told = self.paint("35", &format!("{name} is told: {}", said(&event)));
            writeln!(self.out, "               {told}")?;
        }
        Ok(())
    }

    /// Writes a message and lets all happen.
    pub(crate) fn write(&mut self, device: usize, to: &str, text: &str) -> Outcome<Token> {
        let name = person(&self.device(device)?.full_jid).to_owned();
        let line = self.paint("1", &format!("{name} writes “{text}”"));
        writeln!(self.out, "   {line}")?;
        let token = self.world.say_with(device, to, text, NEED);
        self.go()?;
        Ok(token)
    }

    /// Writes to the other one, who must read it, protected and once.
    pub(crate) fn talk(&mut self, device: usize, text: &str) -> Outcome<Token> {
        let other = 1 - device;
        let (to, before) = (self.device(other)?.account().to_owned(), self.letters(other)?);
        let token = self.write(device, &to, text)?;
        if self.bodies(other, before)? != [text] {
            return Err(format!("“{text}” was not read once").into());
        }
        Ok(token)
    }

    pub(crate) fn hand_in(&mut self, device: usize, stanza: &str) -> Outcome {
        self.world.with(device, |device, server, env| device.hand_in(server, env, stanza, NEED));
        self.go()
    }

    /// Lets `act` decide, with the number of those it has kept, what becomes of each stanza to a
    /// client: what is delivered, and what is kept.
    pub(crate) fn intercept(
        &mut self,
        act: impl Fn(&str, String, usize) -> (Vec<String>, Option<String>) + 'static,
    ) -> Held {
        let held = Held::default();
        let (keeper, mut number) = (held.clone(), 0);
        self.world.server.tamper = Some(Box::new(move |to, stanza| {
            let (deliver, keep) = act(to, stanza, number);
            if keep.is_some() {
                number += 1;
                *keeper.borrow_mut() = keep;
            }
            deliver
        }));
        held
    }

    pub(crate) fn crash_at(&mut self, device: usize, moment: Moment) -> Outcome {
        let device = self.world.devices.get_mut(device).ok_or("no such device")?;
        device.fault = Some(Box::new(fate_at(moment)));
        Ok(())
    }

    pub(crate) fn restart(&mut self, device: usize) -> Outcome {
        let name = person(&self.device(device)?.full_jid).to_owned();
        self.remark(&format!("{name} starts the program again"))?;
        self.world.devices.get_mut(device).ok_or("no such device")?.fault = None;
        self.world.restart(device);
        self.show(device)?;
        self.go()
    }

    pub(crate) fn device(&self, device: usize) -> Outcome<&Device> {
        self.world.devices.get(device).ok_or_else(|| "no such device".into())
    }

    pub(crate) fn letters(&self, device: usize) -> Outcome<usize> {
        Ok(self.device(device)?.inbox().len())
    }

    pub(crate) fn last_letter(&self, device: usize) -> Outcome<&Letter> {
        self.device(device)?.inbox().last().ok_or_else(|| "nothing was read".into())
    }

    /// The texts read since there were `before` letters, clear ones left out.
    pub(crate) fn bodies(&self, device: usize, before: usize) -> Outcome<Vec<&str>> {
        let letters = self.device(device)?.inbox().get(before..).unwrap_or_default();
        let protected = letters.iter().filter(|letter| letter.protection.is_some());
        Ok(protected.filter_map(|letter| letter.body.as_deref()).collect())
    }

    pub(crate) fn events(&self, device: usize, which: impl Fn(&Event) -> bool) -> Outcome<usize> {
        Ok(self.device(device)?.record.events.iter().filter(|event| which(event)).count())
    }

    pub(crate) fn duplicates(&self, device: usize) -> Outcome<usize> {
        self.events(device, |event| matches!(event, Event::Duplicate { .. }))
    }

    pub(crate) fn rejected(&self, device: usize) -> Outcome<Vec<Reason>> {
        let events = self.device(device)?.record.events.iter();
        let mut reasons = Vec::new();
        for event in events {
            if let Event::Rejected { reason, .. } = event {
                reasons.push(*reason);
            }
        }
        Ok(reasons)
    }

    /// The sizes of all adverts sent, as elements.
    pub(crate) fn adverts(&self) -> Vec<usize> {
        let sent = self.world.server.log.iter().filter(|crossing| crossing.way == Way::Out);
        let adverts = sent.filter_map(|crossing| {
            let (_, advert) = crossing.stanza.split_once("<e2e ")?;
            let (advert, _) = advert.split_once("</e2e>")?;
            Some("<e2e ".len() + advert.len() + "</e2e>".len())
        });
        adverts.collect()
    }

    /// Whether a device has sent a message, and how often it has sent the same one as the last.
    pub(crate) fn last_message_of(&self, device: usize) -> (bool, usize) {
        let jid = self.world.devices.get(device).map(|device| device.full_jid.as_str());
        let sent = self.world.server.log.iter().filter(|crossing| {
            crossing.way == Way::Out
                && Some(crossing.client.as_str()) == jid
                && crossing.stanza.contains("<e ")
        });
        let sent: Vec<&str> = sent.map(|crossing| crossing.stanza.as_str()).collect();
        let same = sent.iter().filter(|stanza| Some(*stanza) == sent.last()).count();
        (!sent.is_empty(), same)
    }

    /// Stanzas handed in without an end, or with more than one.
    pub(crate) fn open_tokens(&self) -> Outcome<usize> {
        let mut open = 0;
        for device in &self.world.devices {
            open += device.record.handed.values().filter(|handed| handed.ends.len() != 1).count();
            open += device.engine().pending()?.len();
        }
        Ok(open)
    }

    /// How many stanzas of this kind there were, and their bytes.
    pub(crate) fn count(&self, which: Traffic) -> (usize, usize) {
        let of = self.tally.iter().filter(|(traffic, _)| *traffic == which);
        of.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
    }

    pub(crate) fn table(&mut self) -> Outcome {
        let title = self.paint("1;36", "What it took");
        writeln!(self.out, "\n{title}\n\n   {:<28}{:>8}{:>10}{:>10}", "", "stanzas", "bytes", "each")?;
        let rows: Vec<_> = Traffic::ALL.into_iter().map(|which| (which.name(), self.count(which))).collect();
        for (name, (count, bytes)) in rows.into_iter().filter(|(_, (count, _))| *count > 0) {
            writeln!(self.out, "   {name:<28}{count:>8}{bytes:>10}{:>10}", bytes / count)?;
        }
        let (count, bytes) = (self.tally.len(), self.tally.iter().map(|(_, size)| size).sum::<usize>());
        writeln!(self.out, "   {:<28}{count:>8}{bytes:>10}", "together")?;
        writeln!(
            self.out,
            "\n   KEM epochs begun: {}. Seed {}: the next run is the same.",
            self.epoch, self.seed
        )?;
        self.out.flush()?;
        Ok(())
    }
}

fn describe(traffic: Traffic, stanza: &str) -> String {
    let what = match traffic {
        Traffic::Presence if stanza.contains("type='unavailable'") => "gone",
        Traffic::Presence if stanza.contains("<e2e ") => "presence with an advert",
        Traffic::Presence => "presence",
        Traffic::First => "message with the handshake",
        Traffic::Message => "message",
        Traffic::Kem => "message with a KEM offer or answer",
        Traffic::Empty => "empty message",
        Traffic::Clear => "message in clear text",
        Traffic::Keys => {
            let of = if stanza.contains("urn:xmpp:e2e:0:devices") { "device list" } else { "device record" };
            let kind = attribute(stanza, "type").unwrap_or_default();
            return match kind {
                "get" | "result" if stanza.contains("<keys ") => {
                    format!(
                        "{} keys, one-time ones among them",
                        if kind == "get" { "asks for" } else { "gives" }
                    )
                }
                "set" => format!("publishes the {of}"),
                "get" => format!("asks for the {of}"),
                "result" if stanza.contains("<publish ") => format!("has the {of}"),
                "result" => format!("gives the {of}"),
                _ => "has none".to_owned(),
            };
        }
    };
    what.to_owned()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others do not come about here")]
fn said(event: &Event) -> String {
    match event {
        Event::Encrypts { peer, .. } => format!("{} encrypts from now on", person(peer.as_str())),
        Event::Duplicate { .. } => "the same message again, nothing to do".to_owned(),
        Event::AdvertMissing { peer } => format!("the advert of {} is missing", person(peer.as_str())),
        Event::ClearText { peer, .. } => format!("clear text, although {} encrypts", person(peer.as_str())),
        Event::Rejected { reason, .. } => format!("refused: {reason}"),
        other => format!("{other:?}"),
    }
}

/// The name before the `@`.
fn person(jid: &str) -> &str {
    jid.split_once('@').map_or(jid, |(name, _)| name)
}

/// The value of an attribute of the start tag.
fn attribute<'s>(stanza: &'s str, name: &str) -> Option<&'s str> {
    let (tag, _) = stanza.split_once('>')?;
    let (_, value) = tag.split_once(&format!(" {name}='"))?;
    value.split_once('\'').map(|(value, _)| value)
}

/// Base64 of any length is cut to its ends, and the whole to its ends if it is still long.
fn abbreviated(stanza: &str) -> String {
    let mut out = String::new();
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    for part in stanza.split_inclusive(|c: char| !is_base64(c) || c == '=') {
        if part.len() > 40 {
            out.push_str(&middle(part, 14, 7));
        } else {
            out.push_str(part);
        }
    }
    if out.chars().count() > WIDTH { middle(&out, WIDTH - 18, 17) } else { out }
}

/// The first and the last characters of `text`.
fn middle(text: &str, first: usize, last: usize) -> String {
    let head: String = text.chars().take(first).collect();
    let skipped = text.chars().count().saturating_sub(last);
    head + "…" + &text.chars().skip(skipped).collect::<String>()
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
