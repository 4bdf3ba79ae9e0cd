//! The terminal client as a process, killed wherever it is, again and again. `XMPP_E2E_SEED=N` makes other pauses.

use std::fmt::Write as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xmpp_e2e_servers::{Missing, Past, Servers, Terminal};

use crate::kills::Pauses;
use crate::{Tests, add};

/// Looked for in everything the servers have written.
const MARK: &str = "Reibekuchen";

/// How often at least.
const KILLS: usize = 20;

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn add_tests(all: &mut Tests) {
    for domain in ["a.test", "e.test"] {
        add(all, format!("the terminal client killed {KILLS} times, {domain}"), move || async move {
            killed(domain)
        });
    }
}

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xmpp-e2e-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Pair {
    alice: Terminal,
    bob: Terminal,
    /// How many messages each has typed.
    typed: (usize, usize),
}

impl Pair {
    fn new(domain: &str, server: &str, folder: &Path) -> Self {
        let (alice, bob) = (format!("alice@{domain}"), format!("bob@{domain}"));
        Self {
            alice: Terminal::new(&alice, server, folder).with("--with").with(&bob),
            bob: Terminal::new(&bob, server, folder).with("--with").with(&alice),
            typed: (0, 0),
        }
    }

    fn say(&mut self, alice: bool) {
        let (who, typed) =
            if alice { (&mut self.alice, &mut self.typed.0) } else { (&mut self.bob, &mut self.typed.1) };
        who.say(&format!("{MARK} {typed} of {}", who.account));
        *typed += 1;
    }

    /// Kills some, and starts them again.
    fn kill_and_start(&mut self, dead: &[bool], pauses: &mut Pauses, caught: &mut Caught) {
        for alice in dead {
            let who = if *alice { &mut self.alice } else { &mut self.bob };
            assert!(who.kill(), "{} had ended by itself:\n{}", who.account, who.tail());
            caught.count(&who.lines_of_last());
            sleep(pauses.next(40));
        }
        sleep(pauses.next(200));
        for alice in dead {
            if *alice { self.alice.start() } else { self.bob.start() }
        }
    }

    /// What one has sent to the other, by the sender's history and by the receiver's.
    fn both_histories(&self, alice: bool) -> (Vec<Past>, Vec<Past>) {
        let (from, to) = if alice { (&self.alice, &self.bob) } else { (&self.bob, &self.alice) };
        let only = |entries: Vec<Past>, direction: &str| {
            entries.into_iter().filter(|entry| entry.direction == direction).collect()
        };
        (only(from.history(&to.account), "out"), only(to.history(&from.account), "in"))
    }

    /// What is wrong, if anything is.
    fn compare(&self) -> Option<String> {
        for alice in [true, false] {
            let (sent, came) = self.both_histories(alice);
            let came: Vec<&str> = came.iter().map(|past| &*past.text).collect();
            // ejabberd sends back what a session had not acknowledged that ends, although its archive has it.
            let due = |past: &&Past| past.state != "failed" || came.contains(&&*past.text);
            let sent: Vec<&str> = sent.iter().filter(due).map(|past| &*past.text).collect();
            if let Some(wrong) = (0..sent.len().max(came.len())).find(|n| sent.get(*n) != came.get(*n)) {
                let who = if alice { "Alice" } else { "Bob" };
                return Some(format!("{who}'s messages, wrong at {wrong}: sent {sent:#?}\ncame {came:#?}"));
            }
        }
        None
    }

    fn screens(&self) -> String {
        let mut out = String::new();
        for who in [&self.alice, &self.bob] {
            let _ = writeln!(out, "--- {}:\n{}", who.account, who.tail());
        }
        out
    }
}

fn killed(domain: &str) -> Result<(), Missing> {
    let instance = if domain == "a.test" { "a" } else { "e" };
    let friends = (format!("alice@{domain}"), format!("bob@{domain}"));
    let servers =
        Servers::new(5, &[instance]).with_friends(&[friends]).with("XMPP_TEST_LOGLEVEL", "debug").start()?;
    let folder = Folder::new("chat");
    let mut pair = Pair::new(domain, &servers.address(domain), &folder.0);
    pair.alice.start();
    pair.bob.start();
    pair.alice.wait(&["info", "encrypts", &pair.bob.account]);
    pair.bob.wait(&["info", "encrypts", &pair.alice.account]);

    let seed = std::env::var("XMPP_E2E_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut pauses = Pauses(seed.unwrap_or(11));
    let mut caught = Caught::default();
    for round in 0.. {
        // In a conversation: before the last lines are read, or some time later.
        pair.alice.wait(&["caught-up"]);
        pair.bob.wait(&["caught-up"]);
        for _ in 0..4 {
            sleep(pauses.next(60));
            pair.say(true);
            pair.say(false);
        }
        sleep(pauses.next([1, 60, 250][round % 3]));
        let dead = [&[true][..], &[false], &[true, false]][pauses.next(3).subsec_millis() as usize];
        pair.kill_and_start(dead, &mut pauses, &mut caught);
        // And again while the first lines meet the log-in.
        if round % 3 < 2 {
            sleep(pauses.next(30));
            pair.say(true);
            pair.say(false);
            sleep(pauses.next(100));
            pair.kill_and_start(dead, &mut pauses, &mut caught);
        }
        if caught.kills >= KILLS {
            break;
        }
    }
    finish(&mut pair, &servers);
    println!("         {caught:?}");
    assert!(caught.on_their_way > 0 && caught.before_caught_up > 0, "not where it matters: {caught:?}");
    Ok(())
}

/// Where the kills have met the clients.
#[derive(Debug, Default)]
struct Caught {
    kills: usize,
    before_online: usize,
    before_caught_up: usize,
    /// Messages that were kept and not acknowledged.
    on_their_way: usize,
}

impl Caught {
    fn count(&mut self, lines: &[String]) {
        let count = |word: &str| lines.iter().filter(|line| line.split('\t').next() == Some(word)).count();
        self.kills += 1;
        self.before_online += usize::from(count("online") == 0);
        self.before_caught_up += usize::from(count("caught-up") == 0);
        self.on_their_way += count("queued").saturating_sub(count("acknowledged") + count("failed"));
    }
}

/// Both get ready, and what they have is compared.
fn finish(pair: &mut Pair, servers: &Servers) {
    for who in [&mut pair.alice, &mut pair.bob] {
        who.say("/sync");
    }
    for who in [&pair.alice, &pair.bob] {
        who.wait(&["synced"]);
    }
    let start = Instant::now();
    while let Some(wrong) = pair.compare() {
        assert!(start.elapsed() < PATIENCE, "{wrong}\n{}", pair.screens());
        sleep(Duration::from_millis(300));
    }
    for who in [&mut pair.alice, &mut pair.bob] {
        let code = who.end();
        assert_eq!(code, Some(0), "{}:\n{}", who.account, who.tail());
    }
    assert_eq!(pair.compare(), None, "after the end:\n{}", pair.screens());

    for (alice, typed) in [(true, pair.typed.0), (false, pair.typed.1)] {
        let who = if alice { &pair.alice } else { &pair.bob };
        let (sent, came) = pair.both_histories(alice);
        // What was never read is not sent; what was is so once, in the order in which it was typed.
        let numbers: Vec<usize> = sent
            .iter()
            .map(|past| past.text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number"))
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        assert!(numbers.len() * 2 > typed, "{} of {typed} messages were read", numbers.len());
        for past in sent.iter().chain(&came) {
            assert_eq!(past.protection, "encrypted", "{past:?}\n{}", pair.screens());
        }
        let mut failed = 0;
        for past in &sent {
            let returned = past.state == "failed" && who.account.ends_with("@e.test");
            assert!(past.state == "acknowledged" || returned, "{past:?}\n{}", pair.screens());
            failed += usize::from(returned);
        }
        let reasons = || who.lines().into_iter().filter(|line| line.starts_with("failed\t"));
        assert!(
            reasons().all(|line| line.split('\t').nth(2) == Some("returned")),
            "{:?}",
            reasons().collect::<Vec<_>>()
        );
        // What was said to be kept is.
        for line in who.lines() {
            if let ["queued", _, _, text, _] = line.split('\t').collect::<Vec<_>>()[..] {
                assert!(sent.iter().any(|past| past.text == text), "{line}");
            }
        }
        println!(
            "         {}: {} of {typed} messages were read before a kill, {failed} came back",
            who.account,
            sent.len()
        );
    }
    let files = servers.files_with(MARK);
    assert!(files.is_empty(), "clear text in {files:?}");
}
