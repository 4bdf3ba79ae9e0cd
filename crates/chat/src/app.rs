//! The program: its state, and the loop between server and user.

mod commands;
mod compare;
mod devices;
mod keys;
mod receive;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use xmpp_e2e_client::tokio_xmpp::connect::DnsConfig;
use xmpp_e2e_client::xmpp_e2e::{Consent, Need, ResendMemory, Token};
use xmpp_e2e_client::{Agent, Client, Config, Error, Event, Server};
use xmpp_e2e_sqlite::{Account, Database, Error as StoreError};

use crate::args::{Args, Tls};
use crate::command::Command;
use crate::history::{History, Outgoing};
use crate::line::Line;
use crate::paint::Printer;
use crate::{Stop, store, text, words};
use compare::Comparison;

/// Lines read ahead.
const LINES: usize = 16;

/// Programs may write faster than a server takes: beyond so many messages on their way their input waits. The engine
/// takes a thousand.
const MAX_OPEN: usize = 500;

/// How often the program looks at its end whether the server has acknowledged all. Of stanzas that are no messages it
/// is told nothing.
const LOOK: Duration = Duration::from_millis(50);

/// Tokens of what is not kept are from here on. The store counts up to it.
const OTHER_TOKENS: u64 = 1 << 62;

/// The program's state.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct App {
    client: Client<Account>,
    history: History,
    printer: Printer,
    /// What is on its way, by token.
    open: BTreeMap<i64, Outgoing>,
    /// What is not handed in before the archive has been read: it may be there.
    held: Vec<i64>,
    /// Stanza ids of messages in clear, for errors that come back.
    ids: BTreeMap<String, i64>,
    consents: BTreeMap<String, Consent>,
    /// To whom the user wants to answer in clear.
    in_clear: BTreeSet<String>,
    /// Keys that are being compared, by account; with the own one a device is being let in.
    comparisons: BTreeMap<String, Comparison>,
    /// Questions to contacts whose answers are not typed yet.
    questions: BTreeMap<String, String>,
    current: Option<String>,
    /// Commands that wait until the session is ready.
    later: Vec<Command>,
    ready: bool,
    syncs: usize,
    quit: Option<Instant>,
    /// The input ended: what is on the server is read before the program ends.
    reads: bool,
    accept: bool,
    verbose: bool,
    wait: Duration,
    numbers: u64,
}

/// What the loop waits for.
enum Happened {
    Event(Box<Result<Event, Error<StoreError>>>),
    Line(Option<String>),
    Late,
}

/// Runs the program.
///
/// # Errors
/// Why it ended.
pub async fn run(args: &Args) -> Result<(), Stop> {
    if let Some(jid) = &args.history {
        return print_history(args, jid);
    }
    let database = store::open(args, true)?;
    let password = store::password(args)?;
    let mut app = App::open(args, &database, &password)?;
    app.resume()?;
    if let Some(jid) = &args.with {
        app.command(Command::To(jid.clone()))?;
    }
    app.run(read_lines()).await
}

fn print_history(args: &Args, jid: &str) -> Result<(), Stop> {
    let history = History::new(store::open(args, false)?.account(&args.account)?);
    let mut printer = Printer::new(args.color);
    for (n, entry) in history.last(jid, args.last.unwrap_or(usize::MAX))? {
        printer.print(&Line::History { n, entry }).map_err(Stop::error)?;
    }
    Ok(())
}

/// The lines of the input. A thread reads them, for it cannot be told to stop: the program ends without it.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut bytes = Vec::new();
        while input.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
            if sender.blocking_send(String::from_utf8_lossy(&bytes).into_owned()).is_err() {
                return;
            }
            bytes.clear();
        }
    });
    receiver
}

impl App {
    /// The program as it was when it ended.
    ///
    /// # Errors
    /// If what is stored cannot be read.
    pub fn open(args: &Args, database: &Database, password: &str) -> Result<Self, Stop> {
        let mut config = Config::new(&args.account, password);
        config.resource.clone_from(&args.resource);
        config.server = server(args);
        config.trust = args.policy;
        config.restored = args.restored;
        config.sign_presence = args.sign_presence;
        if args.link {
            config.agent = Agent::Linked;
        }
        if args.forget_sent {
            config.resend_memory = ResendMemory::OFF;
        }
        let account = database.account(&args.account)?;
        Ok(Self {
            client: Client::open(config, account).map_err(stop)?,
            history: History::new(database.account(&args.account)?),
            printer: Printer::new(args.color),
            open: BTreeMap::new(),
            held: Vec::new(),
            ids: BTreeMap::new(),
            consents: BTreeMap::new(),
            in_clear: BTreeSet::new(),
            comparisons: BTreeMap::new(),
            questions: BTreeMap::new(),
            current: None,
            later: Vec::new(),
            ready: false,
            syncs: 0,
            quit: None,
            reads: false,
            accept: args.accept,
            verbose: args.verbose,
            wait: Duration::from_secs(args.wait),
            numbers: 0,
        })
    }

    async fn run(&mut self, mut lines: mpsc::Receiver<String>) -> Result<(), Stop> {
        loop {
            for _ in 0..core::mem::take(&mut self.syncs) {
                if self.open.is_empty() && self.later.is_empty() {
                    self.print(&Line::Synced)?;
                } else {
                    self.syncs += 1;
                }
            }
            let done = self.open.is_empty() && self.later.is_empty() && self.client.outstanding() == 0;
            if self.quit.is_some() && done && (self.ready || !self.reads) {
                break;
            }
            self.show_prompt(false)?;
            let (reading, quit) = (self.is_reading(), self.quit);
            let happened = tokio::select! {
                event = self.client.next() => Happened::Event(Box::new(event)),
                line = lines.recv(), if reading => Happened::Line(line),
                () = until(quit.map(|quit| quit.min(Instant::now() + LOOK))), if quit.is_some() => Happened::Late,
            };
            match happened {
                Happened::Event(event) => self.event(event.map_err(stop)?)?,
                Happened::Line(Some(line)) => {
                    self.line(&line)?;
                    self.show_prompt(true)?;
                }
                Happened::Line(None) => {
                    self.reads = true;
                    self.command(Command::Quit)?;
                }
                Happened::Late if quit.is_some_and(|quit| Instant::now() < quit) => {}
                Happened::Late => break,
            }
        }
        self.client.close().await.map_err(stop)
    }

    fn is_reading(&self) -> bool {
        let crowded = self.open.len() >= MAX_OPEN && self.client.is_online() && !self.printer.for_people();
        self.quit.is_none() && !crowded
    }

    fn line(&mut self, line: &str) -> Result<(), Stop> {
        match crate::command::parse(line) {
            Ok(Some(command)) => self.command(command),
            Ok(None) => Ok(()),
            Err(mistake) => self.print(&Line::Error(mistake)),
        }
    }

    fn print(&mut self, line: &Line) -> Result<(), Stop> {
        self.printer.print(line).map_err(Stop::error)
    }

    fn show_prompt(&mut self, again: bool) -> Result<(), Stop> {
        let mark = match self.current.clone() {
            Some(jid) if self.printer.for_people() => self.outlook(&jid)?,
            _ => None,
        };
        let mark = mark.map(|outlook| words::outlook(outlook).0);
        self.printer.prompt(self.current.as_deref(), mark, again).map_err(Stop::error)
    }

    /// A token for what is not kept.
    fn token(&mut self) -> Token {
        self.numbers += 1;
        Token(OTHER_TOKENS | self.numbers)
    }

    /// Sends a presence to somebody.
    fn send_presence(&mut self, to: &str, kind: &str) -> Result<(), Stop> {
        let token = self.token();
        self.client.send(&crate::stanza::directed(to, kind), token, Need::Policy).map_err(stop)
    }
}

async fn until(instant: Option<Instant>) {
    if let Some(instant) = instant {
        tokio::time::sleep_until(instant).await;
    }
}

fn server(args: &Args) -> Server {
    let domain = args.account.rsplit_once('@').map_or(&*args.account, |(_, domain)| domain);
    let dns =
        |srv: fn(&str) -> DnsConfig| args.server.as_deref().map_or_else(|| srv(domain), DnsConfig::addr);
    match args.tls {
        Tls::Starttls => Server::StartTls(dns(DnsConfig::srv_default_client)),
        Tls::Direct => Server::DirectTls(dns(DnsConfig::srv_xmpps)),
        Tls::None => Server::Plain(dns(DnsConfig::srv_default_client)),
    }
}

/// Why the client stopped.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn stop(error: Error<StoreError>) -> Stop {
    let code = match error {
        Error::Credentials => 3,
        Error::Replaced => 4,
        _ => 1,
    };
    let why = match &error {
        Error::Storage(error) => words::store(error),
        Error::Credentials => "the server refused the address or the password".to_owned(),
        Error::Replaced => "another program has logged in with this resource".to_owned(),
        _ => error.to_string(),
    };
    Stop { code, why: text::safe(&why) }
}
