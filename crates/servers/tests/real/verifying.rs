//! Two people at the terminal client make sure that nobody is in between.

use xmpp_e2e_servers::{Missing, Servers, Terminal};

use crate::chat::Folder;
use crate::devices::meet;
use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    type Run = fn(&mut Pair);
    let tests: [(&str, Run); 4] = [
        ("compared by digits, begun by either", by_digits),
        ("compared by a question, begun by either", by_question),
        ("codes scanned both ways", by_code),
        ("c12 only a compared key is written to", policy),
    ];
    for (number, (name, test)) in (32..).zip(tests) {
        add(all, format!("{name}, a.test"), move || async move {
            let mut pair = Pair::meet(number)?;
            test(&mut pair);
            pair.end();
            Ok(())
        });
    }
}

struct Pair {
    alice: Terminal,
    bob: Terminal,
    _servers: Servers,
    _folder: Folder,
}

impl Pair {
    /// Both are there, have each other's keys, and have talked.
    fn meet(number: u8) -> Result<Self, Missing> {
        let (servers, folder, alice, bob) = meet("verifying", number, "a.test")?;
        let mut pair = Self { alice, bob, _servers: servers, _folder: folder };
        pair.say("good day");
        Ok(pair)
    }

    /// Something from each to the other.
    fn say(&mut self, text: &str) {
        self.alice.say(text);
        wait_for_text(&self.bob, text);
        self.bob.say(text);
        wait_for_text(&self.alice, text);
    }

    fn end(&mut self) {
        for who in [&mut self.alice, &mut self.bob] {
            assert_eq!(who.end(), Some(0), "{}", who.tail());
        }
    }
}

fn wait_for_text(who: &Terminal, text: &str) {
    let came =
        || who.lines().iter().any(|line| line.starts_with("in\t") && line.ends_with(&format!("\t{text}")));
    crate::devices::wait_for(text, || came().then_some(()).ok_or_else(|| who.tail()));
}

/// A field of a line.
fn field(line: &str, n: usize) -> String {
    line.split('\t').nth(n).unwrap_or_default().to_owned()
}

/// How the key of `jid` is trusted now, at `who`.
fn trust(who: &mut Terminal, jid: &str, expected: &str) {
    who.say(&format!("/trust {jid}"));
    who.wait(&["trust", jid, "now", expected]);
}

fn by_digits(pair: &mut Pair) {
    let Pair { alice, bob, .. } = pair;
    for (round, alice_begins) in [(1, true), (2, false)] {
        let (one, other) = if alice_begins { (&mut *alice, &mut *bob) } else { (&mut *bob, &mut *alice) };
        one.say("/verify");
        other.wait(&["info", "asks-to-compare", &one.account]);
        other.say("/verify");
        let lines = [(&*one, &*other), (&*other, &*one)]
            .map(|(who, peer)| who.wait_again(&["compare", &peer.account], round));
        assert_eq!(field(&lines[0], 2), field(&lines[1], 2), "{lines:?}");
        assert_eq!(field(&lines[0], 3), field(&lines[1], 3), "{lines:?}");
        one.say("/match");
        other.say("/match");
        one.wait_again(&["info", "verified", &other.account], round);
        other.wait_again(&["info", "verified", &one.account], round);
    }
    trust(alice, "bob@a.test", "verified\tdigits");
    trust(bob, "alice@a.test", "verified\tdigits");
    // One who says that they differ is believed by both, and nothing is decided by that.
    alice.say("/verify");
    bob.wait_again(&["info", "asks-to-compare", "alice@a.test"], 2);
    bob.say("/verify");
    alice.wait_again(&["compare", "bob@a.test"], 3);
    bob.wait_again(&["compare", "alice@a.test"], 3);
    bob.say("/differ");
    alice.wait(&["warning", "not-verified", "bob@a.test"]);
    bob.wait(&["warning", "not-verified", "alice@a.test"]);
    pair.say("and on");
}

fn by_question(pair: &mut Pair) {
    let Pair { alice, bob, .. } = pair;
    for (one, other, round) in [(true, "the *blue* boat", 1), (false, "the  *blue*  boat ", 2)] {
        let (one, other, answer) =
            if one { (&mut *alice, &mut *bob, other) } else { (&mut *bob, &mut *alice, other) };
        one.say("/ask Which boat did we take?");
        one.say("/answer the *blue* boat");
        let asked = other.wait(&["info", "asks-question", &one.account]);
        assert!(asked.contains("Which boat did we take?"), "{asked}");
        other.say(&format!("/answer {answer}"));
        one.wait_again(&["info", "verified", &other.account], round);
        other.wait_again(&["info", "verified", &one.account], round);
    }
    trust(alice, "bob@a.test", "verified\tquestion");
    trust(bob, "alice@a.test", "verified\tquestion");
    // A wrong answer is told on both sides.
    alice.say("/ask What did you eat?");
    alice.say("/answer cake");
    bob.wait_again(&["info", "asks-question", "alice@a.test"], 2);
    bob.say("/answer bread");
    alice.wait(&["warning", "not-verified", "bob@a.test"]);
    bob.wait(&["warning", "not-verified", "alice@a.test"]);
    pair.say("and on");
}

fn by_code(pair: &mut Pair) {
    let Pair { alice, bob, .. } = pair;
    let code = |who: &mut Terminal| {
        who.say("/fingerprint");
        let line = who.wait(&["fingerprint", &who.account.clone(), "known"]);
        [3, 4, 5].map(|n| field(&line, n))
    };
    let (of_alice, of_bob) = (code(alice), code(bob));
    // The other side sees the same fingerprint.
    bob.say("/fingerprint alice@a.test");
    let seen = bob.wait(&["fingerprint", "alice@a.test", "known"]);
    assert_eq!([3, 4, 5].map(|n| field(&seen, n)), of_alice);
    alice.say(&format!("/scanned {}", of_bob[2]));
    alice.wait(&["info", "trust", "bob@a.test"]);
    bob.say(&format!("/scanned {}", of_alice[2]));
    bob.wait(&["info", "trust", "alice@a.test"]);
    trust(alice, "bob@a.test", "verified\tcode");
    trust(bob, "alice@a.test", "verified\tcode");
    // The code of somebody else under Alice's name.
    let wrong = of_bob[2].replace("bob@a.test", "alice@a.test");
    bob.say(&format!("/scanned {wrong}"));
    bob.wait(&["warning", "wrong-code", "alice@a.test"]);
    pair.say("and on");
}

fn policy(pair: &mut Pair) {
    let Pair { alice, bob, .. } = pair;
    alice.say("/policy bob@a.test verified");
    alice.wait(&["ok"]);
    alice.say("not for an unknown key");
    let failed = alice.wait(&["failed"]);
    assert_eq!(field(&failed, 2), "untrusted", "{failed}");
    alice.say("/trust bob@a.test verified");
    alice.wait(&["info", "trust", "bob@a.test"]);
    alice.say("now it is known");
    wait_for_text(bob, "now it is known");
    alice.say("/trust bob@a.test distrusted");
    alice.wait_again(&["info", "trust", "bob@a.test"], 2);
    alice.say("not for a bad key");
    let failed = alice.wait_again(&["failed"], 2);
    assert_eq!(field(&failed, 2), "distrusted", "{failed}");
    alice.say("/trust bob@a.test verified");
    alice.wait_again(&["info", "trust", "bob@a.test"], 3);
    pair.say("and on");
    let came = pair.bob.lines();
    assert!(!came.iter().any(|line| line.contains("not for")), "{came:?}");
}
