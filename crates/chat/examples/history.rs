//! What ten thousand kept messages cost: `cargo run --release -p xmpp-e2e-chat --example history`.
//!
//! The store has them in forty conversations of unequal length, half of them sent, and what a new device has for its
//! keys. It has no sessions with contacts.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use xmpp_e2e_chat::app::App;
use xmpp_e2e_chat::args::Args;
use xmpp_e2e_chat::history::{Direction, Entry, History, Protection, State, key};
use xmpp_e2e_chat::store;

const MESSAGES: usize = 10_000;
const CONVERSATIONS: usize = 40;
const ACCOUNT: &str = "romeo@example.net";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    println!(
        "{MESSAGES} messages in {CONVERSATIONS} conversations; memory is that of this process, resident"
    );
    for sealed in [false, true] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store");
        let key_file = folder.path().join("key");
        std::fs::write(&key_file, "07".repeat(32))?;
        let mut arguments = vec!["xmpp-e2e-chat".into(), ACCOUNT.into(), "--store".into(), path.clone()];
        if sealed {
            arguments.extend(["--key-file".into(), key_file]);
        }
        let args = Args::try_parse_from(arguments)?;
        fill(&args).and_then(|filled| measure(&args, &path, sealed, filled))?;
    }
    Ok(())
}

/// With whom message `n` is: every other with the first, the rest evenly.
fn contact(n: usize) -> String {
    let other = if n.is_multiple_of(2) { 0 } else { n / 2 % CONVERSATIONS };
    format!("contact{other}@example.com")
}

fn fill(args: &Args) -> Result<Duration> {
    let start = Instant::now();
    let database = store::open(args, true)?;
    // The keys of a new device.
    App::open(args, &database, "")?;
    let history = History::new(database.account(ACCOUNT)?);
    let words = "But soft, what light through yonder window breaks? It is the east, and Juliet is the sun. ";
    for n in 0..MESSAGES {
        let time = 1_800_000_000_000 + u64::try_from(n)? * 60_000;
        let length = 10 + n * 37 % 200;
        let text: String = format!("{n} {words}{words}{words}").chars().take(length).collect();
        let (jid, id) = (contact(n), format!("{n:032x}"));
        let mut entry = if n % 4 < 2 {
            Entry::outgoing(&jid, &id, &text, time)
        } else {
            Entry::incoming(&jid, &text, time)
        };
        if entry.direction == Direction::Out {
            entry.state = Some(State::Acknowledged);
            entry.token = Some(i64::try_from(n)?);
        }
        entry.protection = Some(Protection::Encrypted);
        history.keep(key(&jid, Some(&id), None, &text).as_deref(), &entry)?;
    }
    Ok(start.elapsed())
}

fn measure(args: &Args, path: &Path, sealed: bool, filled: Duration) -> Result<()> {
    let before = resident();
    let start = Instant::now();
    let database = store::open(args, true)?;
    let app = App::open(args, &database, "")?;
    let history = History::new(database.account(ACCOUNT)?);
    let unfinished = history.open()?.len();
    let opened = start.elapsed();
    let open = resident();

    let start = Instant::now();
    let last = history.last(&contact(0), 50)?;
    let shown = start.elapsed();

    let start = Instant::now();
    let mut count = 0;
    for jid in history.chats()? {
        count += history.last(&jid, usize::MAX)?.len();
    }
    let read = start.elapsed();
    let after = resident();
    drop(app);

    println!();
    println!("{}", if sealed { "sealed" } else { "not sealed" });
    println!("  kept one by one, each synced   {filled:>10.1?}");
    println!("  opened as at the start         {opened:>10.1?}   {unfinished} unfinished");
    println!("  the last {} of a conversation  {shown:>10.1?}", last.len());
    println!("  all {count} read               {read:>10.1?}");
    println!("  on disk                        {:>7} KiB", std::fs::metadata(path)?.len() / 1024);
    println!("  memory before, opened, read    {before:>7} KiB, {open} KiB, {after} KiB");
    Ok(())
}

/// In KiB; zero where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
