//! People with several devices, at the terminal client.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use xmpp_e2e_servers::{Missing, Past, Servers, Terminal};

use crate::chat::Folder;
use crate::{Tests, add};

/// Looked for in everything the servers have written.
pub(crate) const MARK: &str = "Pannekoeken";

/// What is said while a device is away.
const AWAY: usize = 500;

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// After so long what has not come everywhere is said again.
const AGAIN: Duration = Duration::from_secs(10);

pub(crate) fn add_tests(all: &mut Tests) {
    for domain in ["a.test", "e.test"] {
        add(all, format!("c4 carbons both ways, {domain}"), move || async move { carbons(domain) });
        add(all, format!("c5 a device that was away reads {AWAY} messages, {domain}"), move || async move {
            catch_up(domain)
        });
    }
}

/// Alice and Bob, who know each other's keys; their files are in a folder of this name.
pub(crate) fn meet(
    name: &str,
    number: u8,
    domain: &str,
) -> Result<(Servers, Folder, Terminal, Terminal), Missing> {
    let instance = if domain == "a.test" { "a" } else { "e" };
    let (alice, bob) = (format!("alice@{domain}"), format!("bob@{domain}"));
    let servers = Servers::new(number, &[instance]);
    let servers = servers.with_friends(&[(alice.clone(), bob.clone())]).start()?;
    let folder = Folder::new(&format!("{name}-{number}"));
    let address = servers.address(domain);
    let mut alice = Terminal::new(&alice, &address, &folder.0).with("--with").with(&bob);
    let mut bob = Terminal::new(&bob, &address, &folder.0).with("--with").with(&alice.account);
    alice.start();
    bob.start();
    alice.wait(&["info", "encrypts", &bob.account]);
    bob.wait(&["info", "encrypts", &alice.account]);
    Ok((servers, folder, alice, bob))
}

/// Alice with two devices, and Bob.
struct People {
    servers: Servers,
    alice: Terminal,
    tablet: Terminal,
    bob: Terminal,
    _folder: Folder,
}

impl People {
    /// All are there, and know each other's keys and devices.
    fn meet(number: u8, domain: &str) -> Result<Self, Missing> {
        let (servers, folder, alice, bob) = meet("devices", number, domain)?;
        let mut tablet = alice.on_another_device("tablet").with("--with").with(&bob.account);
        tablet.copy_account_key(&alice);
        tablet.start();
        tablet.wait(&["info", "encrypts", &bob.account]);
        bob.wait(&["info", "new-device", &alice.account]);
        let mut people = Self { servers, alice, tablet, bob, _folder: folder };
        // Until both sides of each pair know of each other nothing is compared. The telephone's keys may not be on the
        // server yet when the tablet looks for them.
        let mut said = None;
        wait_for("the tablet, at the others", || {
            let came = |who: &Terminal| who.lines().iter().any(|line| line.contains("the tablet is here"));
            if came(&people.alice) && came(&people.bob) {
                return Ok(());
            }
            if said.is_none_or(|at: Instant| at.elapsed() > AGAIN) {
                people.tablet.say("the tablet is here");
                said = Some(Instant::now());
            }
            Err([&people.alice, &people.bob, &people.tablet].map(Terminal::tail).join("\n\n"))
        });
        Ok(people)
    }
}

/// Waits until `look` finds it.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(wrong) => assert!(start.elapsed() < PATIENCE, "{what} has not come: {wrong}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The texts with the mark in the conversation with `peer` that have this direction, in order.
pub(crate) fn texts(who: &Terminal, peer: &str, direction: &str) -> Vec<String> {
    let marked = |past: &Past| past.direction == direction && past.text.starts_with(MARK);
    let past = who.history(peer).into_iter().filter(marked);
    past.map(|past| {
        assert_eq!(past.protection, "encrypted", "{}", past.text);
        past.text
    })
    .collect()
}

pub(crate) fn expect(who: &Terminal, peer: &str, direction: &str, expected: &[String]) {
    wait_for(&format!("{} {direction} messages at {}", expected.len(), who.account), || {
        let came = texts(who, peer, direction);
        match (0..expected.len().max(came.len())).find(|n| came.get(*n) != expected.get(*n)) {
            None => Ok(()),
            Some(wrong) => Err(format!(
                "at {wrong} of {}: {:?} for {:?}\n{}",
                came.len(),
                came.get(wrong),
                expected.get(wrong),
                who.tail()
            )),
        }
    });
}

pub(crate) fn say(who: &mut Terminal, name: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    let said: Vec<String> = numbers.map(|n| format!("{MARK} {n} of {name}")).collect();
    said.iter().for_each(|text| who.say(text));
    said
}

fn carbons(domain: &str) -> Result<(), Missing> {
    let People { servers, mut alice, mut tablet, mut bob, _folder } = People::meet(30, domain)?;
    let of_alice = say(&mut alice, "alice", 0..5);
    expect(&bob, &alice.account, "in", &of_alice);
    expect(&tablet, &bob.account, "copy", &of_alice);
    let of_tablet = say(&mut tablet, "tablet", 0..5);
    expect(&alice, &bob.account, "copy", &of_tablet);
    let of_bob = say(&mut bob, "bob", 0..5);
    expect(&alice, &bob.account, "in", &of_bob);
    expect(&tablet, &bob.account, "in", &of_bob);
    let both = [of_alice, of_tablet].concat();
    expect(&bob, &alice.account, "in", &both);
    for who in [&mut alice, &mut tablet, &mut bob] {
        assert_eq!(who.end(), Some(0), "{}", who.tail());
    }
    let files = servers.files_with(MARK);
    assert!(files.is_empty(), "clear text in {files:?}");
    Ok(())
}

/// Pages are read forwards from where the device was; what came live meanwhile is not read twice.
fn catch_up(domain: &str) -> Result<(), Missing> {
    let People { servers, mut alice, mut tablet, mut bob, _folder } = People::meet(31, domain)?;
    assert_eq!(tablet.end(), Some(0), "{}", tablet.tail());
    let (mut of_alice, mut of_bob) = (Vec::new(), Vec::new());
    for round in 0..AWAY / 20 {
        let numbers = round * 10..round * 10 + 10;
        of_alice.extend(say(&mut alice, "alice", numbers.clone()));
        of_bob.extend(say(&mut bob, "bob", numbers));
        // Each answers what it has read, so that the ratchet turns as between people.
        let last = |said: &[String]| said.last().cloned().expect("one");
        for (who, other, text) in [(&bob, &alice, last(&of_alice)), (&alice, &bob, last(&of_bob))] {
            wait_for(&format!("round {round} at {}", who.account), || {
                let came =
                    who.lines().iter().rev().any(|line| line.starts_with("in\t") && line.ends_with(&text));
                came.then_some(()).ok_or_else(|| format!("{}\n{}", who.tail(), other.tail()))
            });
        }
    }
    let begin = tablet.lines().len();
    tablet.start();
    // Killed while it reads, it goes on from there.
    wait_for("a part of them", || {
        let came = tablet.lines_of_last().iter().filter(|line| line.contains(MARK)).count();
        if came >= AWAY / 5 { Ok(()) } else { Err(came.to_string()) }
    });
    assert!(tablet.kill(), "it had ended by itself:\n{}", tablet.tail());
    assert!(!tablet.lines_of_last().iter().any(|line| line.starts_with("caught-up")), "killed too late");
    tablet.start();
    // While it reads, the others go on.
    of_bob.extend(say(&mut bob, "bob", AWAY / 2..AWAY / 2 + 5));
    tablet.wait(&["caught-up"]);
    expect(&tablet, &bob.account, "in", &of_bob);
    expect(&tablet, &bob.account, "copy", &of_alice);
    expect(&alice, &bob.account, "in", &of_bob);
    // None is shown twice either; one was perhaps kept and not shown when it was killed.
    let lines = tablet.lines().split_off(begin);
    let marked: Vec<&String> = lines.iter().filter(|line| line.contains(MARK)).collect();
    let texts: BTreeSet<_> = marked.iter().map(|line| line.split('\t').next_back()).collect();
    assert_eq!(texts.len(), marked.len());
    assert!(marked.len() + 1 >= of_alice.len() + of_bob.len(), "{}", marked.len());
    // And again: nothing is new.
    assert_eq!(tablet.end(), Some(0), "{}", tablet.tail());
    tablet.start();
    tablet.wait(&["caught-up"]);
    let again: Vec<String> = tablet.lines_of_last().into_iter().filter(|line| line.contains(MARK)).collect();
    assert_eq!(again, Vec::<String>::new());
    let of_tablet = say(&mut tablet, "tablet", 0..3);
    expect(&bob, &alice.account, "in", &[of_alice, of_tablet].concat());
    for who in [&mut alice, &mut tablet, &mut bob] {
        assert_eq!(who.end(), Some(0), "{}", who.tail());
    }
    let files = servers.files_with(MARK);
    assert!(files.is_empty(), "clear text in {files:?}");
    Ok(())
}
