//! A new device is let in, gets the history, and is shut out again, at the terminal client.

use std::time::{Duration, Instant};

use xmpp_e2e_servers::{Missing, Servers, Terminal};

use crate::chat::Folder;
use crate::devices::{MARK, expect, meet, say};
use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    for (number, domain) in [(40, "a.test"), (41, "e.test")] {
        add(all, format!("c8 a device linked, named and retired, {domain}"), move || async move {
            linked(number, domain)
        });
    }
    add(all, "c8 a device whose digits differ is not let in, a.test", || async { differs() });
    add(all, "c22 the history for a new device, a.test", || async { history() });
}

/// Alice, and Bob; and a device of hers that is to be linked.
struct People {
    servers: Servers,
    alice: Terminal,
    tablet: Terminal,
    bob: Terminal,
    folder: Folder,
}

impl People {
    fn meet(number: u8, domain: &str) -> Result<Self, Missing> {
        let (servers, folder, alice, bob) = meet("linking", number, domain)?;
        let tablet = alice.on_another_device("tablet").with("--with").with(&bob.account).with("--link");
        Ok(Self { servers, alice, tablet, bob, folder })
    }

    /// The digits that both devices show.
    fn ask(&mut self) {
        let own = self.alice.account.clone();
        self.tablet.start();
        self.tablet.wait(&["caught-up"]);
        self.tablet.say("/link");
        self.alice.wait(&["warning", "asks-to-be-linked"]);
        self.alice.say("/link");
        let lines = [&self.alice, &self.tablet].map(|who| who.wait(&["compare", &own]));
        assert_eq!(lines[0], lines[1]);
    }

    fn link(&mut self) {
        self.ask();
        self.alice.say("/match");
        self.tablet.say("/match");
        self.alice.wait(&["info", "linked"]);
        self.tablet.wait(&["info", "linked"]);
        self.bob.wait(&["info", "new-device", &self.alice.account]);
        self.tablet.wait(&["info", "encrypts", &self.bob.account]);
    }

    fn end(&mut self) {
        for who in [&mut self.alice, &mut self.tablet, &mut self.bob] {
            assert_eq!(who.end(), Some(0), "{}", who.tail());
        }
        let files = self.servers.files_with(MARK);
        assert!(files.is_empty(), "clear text in {files:?}");
    }
}

/// The numbers of the own devices by what `/devices` prints of them.
fn device(who: &mut Terminal, place: &str) -> Option<String> {
    let before = who.lines_of_last().iter().filter(|line| line.starts_with("ok\tto ")).count();
    who.say("/devices");
    // The answers stand before that of the next line.
    who.say("/to bob@a.test");
    who.wait_again(&["ok", "to bob@a.test"], before + 1);
    let lines = who.lines_of_last();
    let line = lines.iter().rev().find(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        matches!(fields[..], ["device", _, which, "live", ..] if which == place)
    });
    line.and_then(|line| line.split('\t').nth(1)).map(str::to_owned)
}

fn linked(number: u8, domain: &str) -> Result<(), Missing> {
    let mut people = People::meet(number, domain)?;
    people.link();
    let People { alice, tablet, bob, .. } = &mut people;
    let (alice_jid, bob_jid) = (alice.account.clone(), bob.account.clone());
    // All read all.
    let mut of_tablet = say(tablet, "tablet", 0..3);
    expect(bob, &alice_jid, "in", &of_tablet);
    expect(alice, &bob_jid, "copy", &of_tablet);
    let mut of_bob = say(bob, "bob", 0..3);
    expect(alice, &bob_jid, "in", &of_bob);
    expect(tablet, &bob_jid, "in", &of_bob);
    // Its name is for the own devices.
    tablet.say("/name the tablet");
    tablet.wait(&["ok"]);
    let named = |alice: &Terminal| {
        let lines = alice.lines();
        lines.iter().any(|line| line.starts_with("device\t") && line.contains("\tother\tlive\tthe tablet\t"))
    };
    let start = Instant::now();
    while !named(alice) && start.elapsed().as_secs() < 30 {
        alice.say("/devices");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(named(alice), "{}", alice.tail());
    assert!(!bob.lines().iter().any(|line| line.contains("the tablet")));
    // A linked device starts again as any other, and needs no option.
    assert_eq!(tablet.end(), Some(0), "{}", tablet.tail());
    tablet.set_option("--link", false);
    tablet.start();
    tablet.wait(&["caught-up"]);
    of_tablet.extend(say(tablet, "tablet", 3..5));
    expect(bob, &alice_jid, "in", &of_tablet);
    // Alice has lost it.
    let line =
        alice.lines().into_iter().rev().find(|line| line.contains("\tother\tlive\t")).expect("the tablet");
    let number = line.split('\t').nth(1).expect("its number").to_owned();
    alice.say(&format!("/retire {number}"));
    tablet.wait(&["warning", "retired"]);
    bob.wait(&["info", "device-gone", &alice_jid]);
    of_bob.extend(say(bob, "bob", 3..6));
    expect(alice, &bob_jid, "in", &of_bob);
    expect(tablet, &bob_jid, "in", &of_bob[..3]);
    people.end();
    Ok(())
}

fn differs() -> Result<(), Missing> {
    let mut people = People::meet(42, "a.test")?;
    people.ask();
    people.alice.say("/differ");
    people.alice.wait(&["warning", "not-linked"]);
    people.tablet.wait(&["warning", "not-linked"]);
    let of_bob = say(&mut people.bob, "bob", 0..3);
    expect(&people.alice, &people.bob.account, "in", &of_bob);
    expect(&people.tablet, &people.bob.account, "in", &[]);
    let bob = people.bob.lines();
    assert!(!bob.iter().any(|line| line.contains("new-device")), "{bob:?}");
    people.end();
    Ok(())
}

fn history() -> Result<(), Missing> {
    let mut people = People::meet(43, "a.test")?;
    let bob_jid = people.bob.account.clone();
    let of_alice = say(&mut people.alice, "alice", 0..20);
    expect(&people.bob, &people.alice.account, "in", &of_alice);
    let mut of_bob = say(&mut people.bob, "bob", 0..20);
    expect(&people.alice, &bob_jid, "in", &of_bob);
    people.alice.say("/trust bob@a.test verified");
    people.alice.wait(&["info", "trust", &bob_jid]);
    people.link();
    // What both have is not there twice.
    of_bob.extend(say(&mut people.bob, "bob", 20..23));
    expect(&people.tablet, &bob_jid, "in", &of_bob[20..]);
    let number = device(&mut people.alice, "other").expect("the tablet");
    let path = people.folder.0.join("history.sealed");
    people.alice.say(&format!("/history-send {number} {}", path.display()));
    people.tablet.wait(&["info", "history-offered"]);
    assert!(!std::fs::read(&path).expect("the file").windows(MARK.len()).any(|part| part == MARK.as_bytes()));
    people.tablet.say(&format!("/history-open {}", path.display()));
    people.alice.wait(&["info", "history-ended"]);
    expect(&people.tablet, &bob_jid, "in", &of_bob);
    expect(&people.tablet, &bob_jid, "copy", &of_alice);
    people.tablet.say("/trust bob@a.test");
    people.tablet.wait(&["trust", &bob_jid, "now", "verified", "other-device"]);
    // It has been read, and cannot be again.
    people.tablet.say(&format!("/history-open {}", path.display()));
    people.tablet.wait(&["error"]);
    people.end();
    Ok(())
}
