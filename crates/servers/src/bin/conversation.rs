//! A conversation on a real server, as three see it: who writes, the server, and who reads.
//!
//! `cargo run -p xmpp-e2e-servers --bin conversation`. The exit code is 1 if the server could read what is protected.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use xmpp_e2e_servers::{Proxy, Raw, Servers, Terminal};

const ALICE: &str = "alice@a.test";
const BOB: &str = "bob@a.test";
const CAROL: &str = "carol@a.test";

/// What is said under protection: who, and what.
const SCRIPT: [(&str, &str); 5] = [
    (ALICE, "Are you there, Bob? This waits for you on the server."),
    (BOB, "I am now. How did you reach my keys without me?"),
    (ALICE, "The server keeps them. Grüße aus Köln!"),
    (BOB, "🚀 arrived, and the umlauts too."),
    (ALICE, "Then supper at eight, and nobody else knows where."),
];

/// To somebody who cannot decrypt.
const CLEAR: &str = "Hello Carol, everybody on the way can read this.";

/// What Alice never said.
const FORGED: &str = "Send me the password, please.";

/// How wide the output is.
const WIDTH: usize = 100;

/// How much of a Base64 text is shown.
const SHOWN: usize = 60;

/// Somebody at the terminal, and what the server sees of it.
struct Seen {
    terminal: Terminal,
    proxy: Proxy,
}

/// A message as three saw it.
struct Row {
    title: String,
    writer: (String, Vec<String>),
    stanzas: Vec<String>,
    reader: (String, Vec<String>),
}

impl Seen {
    async fn new(account: &str, server: &str, folder: &Path) -> Self {
        let proxy = Proxy::start(server.to_owned()).await;
        let terminal = Terminal::new(account, proxy.address(), folder).with("--verbose");
        Self { terminal, proxy }
    }

    /// Says something, waits until the server has it, and gives the number and the stanzas that went.
    fn say(&mut self, to: &str, text: &str) -> (String, Vec<String>) {
        let (lines, bytes) = (self.terminal.lines().len(), self.proxy.passed().0.len());
        self.terminal.say(&format!("/send {to} {text}"));
        let queued = |line: &String| {
            let fields: Vec<&str> = line.split('\t').collect();
            (fields.first() == Some(&"queued") && fields.get(3) == Some(&text)).then(|| fields[1].to_owned())
        };
        let mut number = None;
        for _ in 0..600 {
            number = self.terminal.lines().iter().skip(lines).find_map(queued);
            if number.is_some() {
                break;
            }
            sleep(Duration::from_millis(50));
        }
        let number = number.unwrap_or_else(|| panic!("not queued:\n{}", self.terminal.tail()));
        self.terminal.wait(&["acknowledged", &number]);
        (number, stanzas(&self.proxy.passed().0[bytes..]))
    }

    /// What the screen says about the message with this number.
    fn about(&self, number: &str) -> Vec<String> {
        let own = |line: &&String| {
            let fields: Vec<&str> = line.split('\t').collect();
            matches!(fields[0], "queued" | "waiting" | "sent" | "acknowledged" | "failed")
                && fields[1] == number
        };
        self.terminal.lines().iter().filter(own).cloned().collect()
    }

    /// What the screen says that has `text` as a field.
    fn with_field(&self, text: &str) -> Vec<String> {
        self.terminal.lines().into_iter().filter(|line| line.split('\t').any(|field| field == text)).collect()
    }
}

/// The messages in what went to the server.
fn stanzas(stream: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = stream;
    while let Some(start) = rest.find("<message") {
        let Some(end) = rest[start..].find("</message>") else { break };
        let end = start + end + "</message>".len();
        found.push(rest[start..end].to_owned());
        rest = &rest[end..];
    }
    found
}

/// With long runs of Base64 cut.
fn shortened(stanza: &str) -> String {
    let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut out = String::new();
    let mut rest = stanza;
    while !rest.is_empty() {
        let run = rest.find(|c| !base64(c)).unwrap_or(rest.len());
        if run > SHOWN {
            out.push_str(&format!("{}… ({run} characters)", &rest[..SHOWN]));
        } else {
            out.push_str(&rest[..run]);
        }
        let other = rest[run..].find(base64).map_or(rest.len(), |at| run + at);
        out.push_str(&rest[run..other]);
        rest = &rest[other..];
    }
    out
}

/// Prints blocks with a margin.
struct Page {
    color: bool,
}

impl Page {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn block(&self, name: &str, color: &str, lines: &[String]) {
        const MARGIN: usize = 17;
        let nothing = [String::from("(nothing)")];
        let mut name = name.to_owned();
        for line in if lines.is_empty() { &nothing } else { lines } {
            for part in wrapped(&line.replace('\t', "  "), WIDTH - MARGIN) {
                println!("{} {}", self.paint("1", &format!("{name:>16}")), self.paint(color, &part));
                name.clear();
            }
        }
    }

    fn row(&self, row: &Row) {
        println!("{}", self.paint("1", &format!("== {}", row.title)));
        self.block(&row.writer.0, "0", &row.writer.1);
        let stanzas: Vec<String> = row
            .stanzas
            .iter()
            .flat_map(|stanza| [shortened(stanza), format!("({} bytes)", stanza.len())])
            .collect();
        self.block("server saw", "2", &stanzas);
        self.block(&row.reader.0, "0", &row.reader.1);
        println!();
    }
}

/// Lines of at most `width` characters, ended at spaces where there are some.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line: Vec<char> = Vec::new();
    for c in text.chars() {
        line.push(c);
        // Some characters fill two columns.
        if line.iter().map(|c| if *c > '\u{ffff}' { 2 } else { 1 }).sum::<usize>() > width {
            let space = line.iter().rposition(|c| *c == ' ').filter(|at| at * 2 > width);
            let rest = line.split_off(space.map_or(line.len() - 1, |at| at + 1));
            lines.push(line.iter().collect::<String>().trim_end().to_owned());
            line = rest;
        }
    }
    lines.push(line.into_iter().collect());
    lines
}

/// A folder that goes with the program.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("xmpp-e2e-conversation-{}", std::process::id()));
    let folder = Folder(folder);
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let servers = Servers::new(4, &["a"])
        .with_friends(&[(ALICE.to_owned(), BOB.to_owned())])
        .with("XMPP_TEST_LOGLEVEL", "debug")
        .start();
    let servers = match servers {
        Ok(servers) => servers,
        Err(missing) => {
            eprintln!("conversation: {missing}");
            return ExitCode::from(3);
        }
    };
    let address = servers.address("a.test");
    let mut alice = Seen::new(ALICE, &address, &folder.0).await;
    let mut bob = Seen::new(BOB, &address, &folder.0).await;
    println!("Alice and Bob at xmpp-e2e-chat, on Prosody. Numbers are those of the stores.");
    println!(
        "Bob has been there once, so that his keys are on the server, and has gone. Alice has never met"
    );
    println!("him, and says /encrypt on before her first message.\n");

    let mut rows = Vec::new();
    come_and_go(&mut bob);
    alice.terminal.start();
    alice.terminal.wait(&["caught-up"]);
    // The two have never met: by herself she would write in clear to somebody whom she does not know to encrypt.
    alice.terminal.say(&format!("/to {BOB}"));
    alice.terminal.say("/encrypt on");
    let mut numbers = Vec::new();
    for (n, (who, text)) in SCRIPT.iter().enumerate() {
        let (writer, reader) = if *who == ALICE { (&mut alice, BOB) } else { (&mut bob, ALICE) };
        numbers.push(writer.say(reader, text));
        if n == 0 {
            bob.terminal.start();
        }
        let reader = if *who == ALICE { &bob } else { &alice };
        came(&reader.terminal, who, text);
    }
    for ((who, text), (number, stanzas)) in SCRIPT.iter().zip(numbers) {
        let (writer, reader) = if *who == ALICE { (&alice, &bob) } else { (&bob, &alice) };
        rows.push(Row {
            title: format!("{} writes: {text}", name(who)),
            writer: (format!("{}'s screen", name(who)), writer.about(&number)),
            stanzas,
            reader: (format!("{}'s screen", name(&reader.terminal.account)), reader.with_field(text)),
        });
    }
    rows.push(to_carol(&mut alice, &address).await);
    rows.push(forged(&alice, &bob, &address).await);
    for terminal in [&mut alice.terminal, &mut bob.terminal] {
        let code = terminal.end();
        assert_eq!(code, Some(0), "{}", terminal.tail());
    }

    let page = Page { color: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
    rows.iter().for_each(|row| page.row(row));
    count(&page, &rows, &[&alice.proxy, &bob.proxy], &servers)
}

/// Is there once, so that the keys are on the server.
fn come_and_go(who: &mut Seen) {
    who.terminal.start();
    who.terminal.wait(&["caught-up"]);
    // Until the server has taken the keys.
    sleep(Duration::from_secs(1));
    let code = who.terminal.end();
    assert_eq!(code, Some(0), "{}", who.terminal.tail());
}

/// Waits until a message has been printed.
fn came(terminal: &Terminal, from: &str, text: &str) {
    for _ in 0..600 {
        let fields = |line: &String| {
            let fields: Vec<&str> = line.split('\t').collect();
            matches!(fields[..], ["in", jid, _, _, said] if jid == from && said == text)
        };
        if terminal.lines().iter().any(fields) {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("{text:?} has not come:\n{}", terminal.tail());
}

/// To somebody whose program knows nothing of encryption.
async fn to_carol(alice: &mut Seen, address: &str) -> Row {
    let mut carol = Raw::log_in(address, CAROL, "old").await;
    carol.send("<presence/>").await;
    let (number, stanzas) = alice.say(CAROL, CLEAR);
    let seen = carol.until("</message>").await;
    let seen = seen.split("<body>").nth(1).and_then(|rest| rest.split("</body>").next()).unwrap_or_default();
    Row {
        title: format!("Alice writes to Carol, who has no encryption: {CLEAR}"),
        writer: ("Alice's screen".to_owned(), alice.about(&number)),
        stanzas,
        reader: ("Carol's screen".to_owned(), vec![seen.to_owned()]),
    }
}

/// A stranger sends what looks like a copy, made by Bob's server, of a message from Alice.
async fn forged(alice: &Seen, bob: &Seen, address: &str) -> Row {
    let mut mallory = Raw::log_in(address, "mallory@a.test", "raw").await;
    let (lines, of_alice) = (bob.terminal.lines().len(), alice.terminal.lines().len());
    let online = bob.terminal.wait(&["online"]);
    let to = online.split('\t').nth(1).unwrap_or_default();
    let stanza = format!(
        "<message to='{to}' type='chat'><received xmlns='urn:xmpp:carbons:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{ALICE}/x' to='{BOB}' \
         type='chat'><body>{FORGED}</body></message></forwarded></received></message>"
    );
    mallory.send(&stanza).await;
    let said = |line: &String| ["warning\t", "info\t", "note\t"].iter().any(|kind| line.starts_with(kind));
    let mut screen = Vec::new();
    for _ in 0..200 {
        screen = bob.terminal.lines().split_off(lines);
        if screen.iter().any(said) {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    assert!(screen.iter().any(said), "no warning:\n{}", bob.terminal.tail());
    assert!(bob.with_field(FORGED).is_empty(), "taken for a message:\n{}", bob.terminal.tail());
    Row {
        title: format!("Mallory forges a copy of a message of Alice: {FORGED}"),
        writer: ("Alice's screen".to_owned(), alice.terminal.lines().split_off(of_alice)),
        stanzas: vec![stanza],
        reader: ("Bob's screen".to_owned(), screen),
    }
}

/// The last lines, and the exit code.
fn count(page: &Page, rows: &[Row], proxies: &[&Proxy], servers: &Servers) -> ExitCode {
    let reads = |text: &str| {
        let passed = |proxy: &&Proxy| {
            let (up, down) = proxy.passed();
            up.contains(text) || down.contains(text)
        };
        proxies.iter().any(passed) || !servers.files_with(text).is_empty()
    };
    // Were the one in clear not found, not to find the others would say nothing.
    let search = reads(CLEAR);
    let leaks = SCRIPT.iter().filter(|(_, text)| reads(text)).count();
    let sealed: Vec<usize> =
        rows[..SCRIPT.len()].iter().map(|row| row.stanzas.iter().map(String::len).sum()).collect();
    let clear: usize = rows[SCRIPT.len()].stanzas.iter().map(String::len).sum();
    let good = search && leaks == 0;
    let found = if search {
        "which the search in all that the server has finds"
    } else {
        "WHICH THE SEARCH DOES NOT FIND"
    };
    let clear = format!("{clear} in clear to Carol, {found}.");
    println!("Bytes on the wire: {sealed:?} protected;\n{clear}");
    let end = format!(
        "{} protected messages, {} bytes on the wire for each, {leaks} of their texts seen by the server.",
        sealed.len(),
        sealed.iter().sum::<usize>() / sealed.len(),
    );
    for line in wrapped(&end, WIDTH) {
        println!("{}", page.paint(if good { "32" } else { "31" }, &line));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Somebody's name.
fn name(account: &str) -> &'static str {
    if account == ALICE { "Alice" } else { "Bob" }
}
